# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Over-optimisation curves
#
# Given base samples scored by a {term}`proxy` and by {term}`gold`, where does optimising the proxy start to cost gold, and how sure is that? Nothing is trained for the answer.
#
# :::{admonition} Answer
# :class: answer
# {term}`Best-of-N` on the proxy: {{n_sentence}}
#
# A policy tilted by the proxy: {{lam_sentence}}
# :::

# %% tags=["parameters"]
table: str | None = None  # table of base samples scored by both; without one, a made-up table, existing file
prompt: str = "prompt_id"  # column that names the prompt, any
proxy: str = "proxy"  # column of the proxy; mean:verifier_* averages several, any
gold: str = "gold"  # column of the reward that counts, any
drop_missing: bool = False  # go on without the samples that lack a finite value
checkpoints: str | None = None  # table of training checkpoints; without one, made-up ones, existing file
kl_column: str = "kl"  # its column of KL to the base model in nats, any
score_column: str = "gold_score"  # its column of the gold score, any
run_column: str = "run"  # its column that names the training run, any
n_prompts: int = 200  # prompts of the made-up table, in [20, 5000]
n_samples: int = 64  # samples of each prompt of the made-up table, in [8, 1024]
level: float = 0.95  # coverage of the intervals, in [1e-6, 0.999999999]
n_boot: int = 1000  # bootstrap replicates, in [100, 20000]
seed: int = 2  # seed of what is made up and of the intervals, >= 0

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import called, need
from alignlib.hacking.scaling_fit import FORMS, fit_scaling
from alignlib.tables import RewardTable
from alignlib.training.logs.training_log import read_training_log

if table is not None:
    with called(reward="proxy, gold"):
        RewardTable.read(table, prompt=prompt, reward=[proxy, gold], drop_missing=drop_missing, min_samples=3)
if checkpoints is not None:
    with called(kl="kl_column", reward="score_column", run="run_column"):
        log = read_training_log(checkpoints, kl=kl_column, kl_unit="sequence", reward=score_column, run=run_column)
    need(log.kl.min() > 0.0, f"kl_column must be above 0 nats at every checkpoint; got {log.kl.min():g} ({kl_column}).")
    with called(kl="kl_column", gold="score_column", run="run_column"):
        for form in FORMS:
            fit_scaling(log.kl, log.reward, log.run.tolist(), form=form, level=level)

# %% tags=["hide-input"]
import numpy as np
import pandas as pd

from alignbook import claims
from alignlib import plotting
from alignlib.answers.output.hacking import stop_sentence
from alignlib.estimation import fit_frontier
from alignlib.hacking.examples import exploit_pair, sampled_checkpoints, sampled_table
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import rule_curve, tilting_curve
from alignlib.hacking.run_turns import turning_runs
from alignlib.hacking.scaling_fit import FORMS, fit_scaling
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable

# %% tags=["hide-input"]
pair = exploit_pair(0.02) if table is None else None
if pair is not None:
    data = sampled_table(pair, n_prompts, n_samples, np.random.default_rng(seed))
else:
    data = RewardTable.read(table, prompt=prompt, reward=[proxy, gold], drop_missing=drop_missing, min_samples=3)
options = {"level": level, "n_boot": n_boot, "rng": seed}
fit = fit_frontier(data, proxy, **options)
by_lam, by_n = fit.tilted_gold(gold), fit.gold(gold)
known = by_lam.supported

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold as predicted from {{n_prompts_read:d}} prompts of base samples when the policy is tilted by the proxy, with its {{level:.0%}} interval, and what the proxy reports. Shaded: the interval for the turning point. {{truth_note}}.", "name": "fig-over-lam"}, "image": {"alt": "Gold against KL with a band: it rises, and then {{lam_shape}}; the proxy's report rises throughout."}}
fig, ax = plotting.new()
ax.fill_between(
    by_lam.spent[known], by_lam.gold_low[known], by_lam.gold_high[known],
    color=plotting.THIRD, alpha=0.2, linewidth=0, label="_gold, predicted: interval",
)  # fmt: skip
ax.plot(by_lam.spent[known], by_lam.gold_gain[known], color=plotting.THIRD, label="gold, predicted")
ax.plot(by_lam.spent[known], by_lam.proxy_gain[known], "--", color=plotting.BEST_OF_N, label="proxy reports")
if pair is not None:
    truth = tilting_curve(pair, by_lam.parameter[known])
    ax.plot(truth.spent, truth.gold_gain, ":", color=plotting.BASE, label="gold, true")
ends = np.interp(
    [by_lam.hedge.low, min(by_lam.hedge.high, by_lam.parameter[known][-1])], by_lam.parameter, by_lam.spent
)
ax.axvspan(*ends, color=plotting.BOUND, alpha=0.15, linewidth=0, label="_turning point: interval")
ax.axhline(0, color=plotting.BASE, linewidth=0.8, label="_nothing gained")
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, plotting.KL_LABEL, "gain over the base model")
# %% [markdown]
# ## Predicted from base samples
#
# When the policy is the {term}`tilt` by the proxy, its gold gain is $\operatorname{Cov}_p(r,e^{\lambda\hat r})/\E_p e^{\lambda\hat r}$ ({prf:ref}`thm-proxy-gain`). For best-of-$N$ it is the mean gold of the best of $N$
# samples by the proxy, averaged over all subsets of $N$ samples, and over tied ones.
#
# ```{prf:definition} What is reported (we derive)
# :label: def-hedge
#
# {term}`Bias` of order $1/n$ and $1/n^2$ is taken off within each prompt by the {term}`jackknife`. Intervals resample prompts. A $\lambda$ is {term}`supported` while the bias that may remain is
# small beside the error. The place to stop is the one with the most estimated gold, the {term}`hacking threshold` of {cite:t}`K25`; its interval holds every place where the slope of gold cannot be told from 0.
# ```
#
# Without a table of yours this page makes one up from a law with an exploit, so that the truth is known: {{n_prompts:d}} prompts with {{n_samples:d}} samples each.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold of best-of-N when the proxy picks, estimated without bias, with {{level:.0%}} intervals; ties are averaged ({{tied:d}} of {{n_prompts_read:d}} prompts have some). Shaded: the interval for the turning point. {{truth_note}}.", "name": "fig-over-n"}, "image": {"alt": "Gold against N on a logarithmic axis with error bars; it rises and then {{n_shape}}."}}
fig, ax = plotting.new()
shown = np.unique(np.linspace(0, by_n.parameter.size - 1, 16).round().astype(int))
plotting.points(
    ax,
    by_n.parameter[shown],
    by_n.gold_gain[shown],
    color=plotting.THIRD,
    low=by_n.gold_low[shown],
    high=by_n.gold_high[shown],
    label="gold, predicted",
)
if pair is not None:
    ax.plot(
        by_n.parameter,
        rule_curve(pair, BestOfN.along(by_n.parameter)).gold_gain,
        ":",
        color=plotting.BASE,
        label="gold, true",
    )
ends = by_n.hedge.low, min(by_n.hedge.high, by_n.parameter[-1])
ax.axvspan(*ends, color=plotting.BOUND, alpha=0.15, linewidth=0, label="_turning point: interval")
ax.axhline(0, color=plotting.BASE, linewidth=0.8, label="_nothing gained")
ax.set_xscale("log", base=2)
plotting.legend(ax, loc="best")
plotting.name_axes(ax, "N", "gold gained over the base model")
# %% [markdown]
# ## Three forms for checkpoints of training
#
# {cite:t}`G22` describe gold along training by $R(d)=d(\alpha-\beta\log d)$ and along best-of-$N$ by $R(d)=d(\alpha-\beta d)$, with $d=\sqrt{\mathrm{KL}}$. Both are fitted here with a free value at $d=0$, next
# to $R(d)=\alpha d$, the $\sqrt{\mathrm{KL}}$ law that knows no turning point. Checkpoints of one run are not independent, so intervals leave runs out in turn, and the error that counts is that on runs left out of
# the fit. {{checkpoint_note}}

# %% tags=["hide-input"]
if checkpoints is None:
    frame = pd.DataFrame(sampled_checkpoints(pair or exploit_pair(0.02), 12, 10, 0.05, np.random.default_rng(seed + 1)))
    frame.columns = [run_column, kl_column, score_column]
else:
    log = read_training_log(checkpoints, kl=kl_column, kl_unit="sequence", reward=score_column, run=run_column)
    frame = pd.DataFrame({run_column: log.run, kl_column: log.kl, score_column: log.reward})
runs = frame[run_column].tolist()
fits = {form: fit_scaling(frame[kl_column], frame[score_column], runs, form=form, level=level) for form in FORMS}
turns = turning_runs(frame[kl_column], frame[score_column], runs, level=level)
shown_at = [point.kl for point in turns.points if point.shown]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold score of {{n_points:d}} checkpoints of {{n_runs:d}} runs against KL, with the fitted forms. Error on runs left out of the fit: {{rl_error:.3f}} (log form), {{bon_error:.3f}} (quadratic), {{sqrt_error:.3f}} (√KL).", "name": "fig-over-checkpoints"}, "image": {"alt": "Scatter of gold score against KL with three curves: two of them rise and turn down, the square-root law does not."}}
fig, ax = plotting.new()
ax.plot(frame[kl_column], frame[score_column], ".", color=plotting.BOUND, markersize=4, label="checkpoints")
edge = np.linspace(0, frame[kl_column].max(), 200)
names = {"rl": r"$d(\alpha-\beta\log d)$", "best_of_n": r"$d(\alpha-\beta d)$", "sqrt": r"$\alpha d$"}
for (form, label), color, dash in zip(names.items(), plotting.CYCLE, ("-", "--", ":"), strict=False):
    ax.plot(edge, fits[form].predict(edge), dash, color=color, label=label)
plotting.legend(ax, loc="best")
plotting.name_axes(ax, plotting.KL_LABEL, "gold score")
# %% tags=["hide-input"]
plain = {"rl": "d(α - β log d)", "best_of_n": "d(α - βd)", "sqrt": "αd"}
along = {
    form: {
        path: fit_scaling(one.spent[use], one.gold_gain[use], form=form, intercept=0.0, level=level).residual_sd
        for path, one, use in (
            ("best-of-N", by_n, by_n.spent > 0),
            ("tilt", by_lam, known & (by_lam.spent > 0)),
        )
    }
    for form in FORMS
}
rows = {
    plain[form]: {
        "α": f"{fit.alpha:.2g} [{fit.alpha_low:.2g}, {fit.alpha_high:.2g}]",
        "β": "" if form == "sqrt" else f"{fit.beta:.2g} [{fit.beta_low:.2g}, {fit.beta_high:.2g}]",
        "peak KL": "never"
        if np.isinf(fit.peak_kl)
        else f"{fit.peak_kl:.2g} [{fit.peak_kl_low:.2g}, {fit.peak_kl_high:.2g}]",
        "R²": f"{fit.r_squared:.2f}",
        "left-out error": f"{fit.left_out_sd:.3g}",
        "between runs": f"{fit.run_correlation:.0%}",
        "error, best-of-N": f"{along[form]['best-of-N']:.2g}",
        "error, tilt": f"{along[form]['tilt']:.2g}",
    }
    for form, fit in fits.items()
}
pd.DataFrame(rows)

# %% [markdown]
# On runs left out, {{winner}} errs least. The last two rows are for the same forms fitted to the two curves predicted above; there {{winners}}. "Between runs" is the share of the residual variance that lies between runs rather than within them. Where it is large, KL alone does not say what a checkpoint is worth, and one
# curve for all runs is a summary only.
#
# ## Does a run turn down, or does it only look so?
#
# The best of $k$ checkpoints is neither the first nor the last with probability $(k-2)/k$ even if gold is pure noise. So a peak inside a run proves nothing by itself. A turn counts as *shown* where a
# parabola in $\sqrt{\mathrm{KL}}$, fitted to the run alone, rises significantly at the run's first checkpoint and falls significantly at its last, and so does a line through the checkpoints on
# either side of its vertex. (The parabola alone would not do: gold that only levels off bends it down.)
#
# Here gold peaks inside {{n_inside:d}} of {{n_runs:d}} runs, where pure noise would in {{by_chance:.1f}}. {{turns_sentence}}
#
# ## What it means
#
# If the samples do not show a turning point, it may still lie beyond what they support: draw more samples per prompt, or stop where the
# support ends.
#
# ## Claims

# %% tags=["hide-input"]
written = {"rl": r"$d(\alpha-\beta\log d)$", "best_of_n": r"$d(\alpha-\beta d)$", "sqrt": r"$\alpha d$"}
shape = {"yes": "turns down", "no": "goes on rising", "undecided": "does not tell where it goes"}
winner_n = written[min(FORMS, key=lambda form: along[form]["best-of-N"])]
winner_tilt = written[min(FORMS, key=lambda form: along[form]["tilt"])]
claims.glue(
    lam_sentence=stop_sentence(by_lam),
    n_sentence=stop_sentence(by_n),
    lam_shape=shape[by_lam.hedge.turns_down],
    n_shape=shape[by_n.hedge.turns_down],
    truth_note="Dotted: the truth" if pair is not None else "The truth is not known",
    tied=by_n.tied_prompts,
    n_prompts_read=data.n_prompts,
    n_points=len(frame),
    n_runs=len(turns.points),
    n_inside=turns.inside,
    by_chance=turns.by_chance,
    winner=claims.Markdown(written[min(FORMS, key=lambda form: fits[form].left_out_sd)]),
    winners=claims.Markdown(
        f"{winner_n} errs least along both"
        if winner_n == winner_tilt
        else f"{winner_n} errs least along best-of-N, {winner_tilt} along the tilt"
    ),
    turns_sentence=(
        f"Of the {turns.testable} runs that are long enough to test, {turns.shown} are shown to turn down"
        + (f", half of them before {np.median(shown_at):.3g} nats." if shown_at else ".")
    ),
    checkpoint_note=(
        "Here the checkpoints are made up: runs that climb the tilt by the proxy of a law with an exploit, each with an offset of its own."
        if checkpoints is None
        else "Several checkpoints of one name count as they stand."
    ),
    rl_error=fits["rl"].left_out_sd,
    bon_error=fits["best_of_n"].left_out_sd,
    sqrt_error=fits["sqrt"].left_out_sd,
)
known_truth = []
if pair is not None:
    exact, exact_n = hacking_threshold(pair), hacking_threshold(pair, BestOfN)
    exact_gold = rule_curve(pair, BestOfN.along(by_n.parameter)).gold_gain
    known_truth = [
        claims.true(
            "curves",
            "along λ and along N the interval holds the true gold wherever supported",
            "P26; we derive",
            np.concatenate(
                [
                    (by_lam.gold_low[known] <= truth.gold_gain) & (truth.gold_gain <= by_lam.gold_high[known]),
                    ((by_n.gold_low <= exact_gold) & (exact_gold <= by_n.gold_high))[1:],
                ]
            ),
            must_hold=False,
        ),
        claims.true(
            "turning-points",
            "the intervals for the turning points hold the true ones",
            "K25; we derive",
            [
                by_lam.hedge.low <= exact.parameter <= by_lam.hedge.high,
                by_n.hedge.low <= exact_n.parameter <= by_n.hedge.high,
            ],
        ),
    ]
claims.record(
    claims.true(
        "proxy-rises",
        "the proxy's own curve rises wherever supported and so gives no warning",
        "we derive",
        np.diff(by_lam.proxy_gain[known]) > 0,
        must_hold=False,
    ),
    *(
        claims.at_most(
            f"{form.replace('_', '-')}-form",
            f"on runs left out, {written[form]} errs no more than either other form",
            "G22" if form != "sqrt" else "older bounds",
            fits[form].left_out_sd,
            min(fits[other].left_out_sd for other in FORMS if other != form),
            must_hold=False,
        )
        for form in FORMS
    ),
    claims.at_least(
        "turns-shown",
        "more runs are shown to turn down than the level allows as false alarms",
        "G22",
        turns.shown,
        np.ceil((1 - level) / 2 * turns.testable) + 1,
        must_hold=False,
    ),
    *known_truth,
)

# %% [markdown]
# **Try:** `alignlib run overoptimisation -p table TABLE -p proxy score -p gold correct -o out.ipynb --html` on a table of yours, and `alignlib run overoptimisation -p n_samples 16 -o out.ipynb --html` here: how far does the
# support shrink?
