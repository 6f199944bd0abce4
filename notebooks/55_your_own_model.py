# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your training run against the limit
#
# You train a {term}`policy` and have its log. Of what *any* method could gain at its {term}`KL`, how much has it gained, checkpoint by checkpoint, and how much KL does it spend in vain?
#
# :::{admonition} Answer
# :class: answer
# {{headline}}
# :::

# %% tags=["parameters"]
run: str | None = None  # trl's trainer_state.json or a table of checkpoints; none for a made-up run, existing file
table: str | None = None  # table of base samples with rewards; none where none is known, existing file
reward: str = "reward"  # column of that table with the run's reward, any
prompt: str = "prompt_id"  # column of that table that names the prompt, any
run_kl: str | None = None  # key or column of the run with the KL; none for trl's own, any
run_reward: str | None = None  # key or column of the run with the mean reward; none for trl's own, any
run_length: str | None = None  # mean tokens of a response, or key or column; none for trl's own, any
run_column: str | None = None  # column that names the run, where there are several, any
only: str | None = None  # runs to keep such as dpo_*; none for all, any
kl_unit: str | None = None  # sequence or token; none where trl's keys tell, any
estimator: str | None = None  # k1, k2 or k3: how the trainer estimated the KL of a token; none where its keys tell, any
evaluation: bool = False  # take trl's evaluations instead of its training steps
base: str = "table"  # what gains are measured from: table, first or a number, any
level: float = 0.95  # coverage of the intervals, in [1e-6, 0.999999999]
n_boot: int = 1000  # bootstrap replicates, in [100, 20000]
seed: int = 0  # seed of what is made up and of the intervals, >= 0
folder: str | None = None  # folder in which to leave pictures and numbers, new folder

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import called, need
from alignlib._core.names import number_or_name
from alignlib.estimation import fit_frontier
from alignlib.tables import RewardTable
from alignlib.training import overlay
from alignlib.training.logs.training_log import read_training_log

if run is not None:
    options = {
        "kl": run_kl,
        "reward": run_reward,
        "length": number_or_name(run_length),
        "run": run_column,
        "only": only,
    }
    with called(kl="run_kl", reward="run_reward", length="run_length", run="run_column"):
        log = read_training_log(run, kl_unit=kl_unit, estimator=estimator, evaluation=evaluation, **options)
    need(
        log.kl_low is None,
        f"run must tell its KL per sequence; {run} has KLs per token that were averaged response by response, which "
        "bound it only: `alignlib overlay` says how far, and responses with their log-probabilities tell it.",
    )
    if table is not None:
        samples = RewardTable.read(table, prompt=prompt, reward=reward, min_samples=3)
        overlay(log, fit_frontier(samples, reward, n_boot=100, rng=0), base=number_or_name(base))
need(run is not None or table is None, f"table must go with a run; got table={table!r} and no run.")

# %% tags=["hide-input"]
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

from alignbook import claims
from alignlib import plotting
from alignlib._core.names import number_or_name
from alignlib._core.safe_text import for_terminal
from alignlib.answers import pictures
from alignlib.answers.output import overlay as output
from alignlib.answers.output.render import to_csv, to_json
from alignlib.estimation import fit_frontier
from alignlib.tables import RewardTable
from alignlib.training import overlay
from alignlib.training.envelope import Floor, achieved_envelope
from alignlib.training.example_run import example_run
from alignlib.training.logs.training_log import read_training_log

# %% tags=["hide-input"]
if run is None:
    log, data = example_run(150, 64, np.random.default_rng(seed), n_checkpoints=60)
else:
    length = number_or_name(run_length)
    options = {"kl": run_kl, "reward": run_reward, "length": length, "run": run_column, "only": only}
    log = read_training_log(run, kl_unit=kl_unit, estimator=estimator, evaluation=evaluation, **options)
    data = None if table is None else RewardTable.read(table, prompt=prompt, reward=reward, min_samples=3)
start = number_or_name(base)
drawn = {"level": level, "n_boot": n_boot, "rng": seed}
found = None if data is None else overlay(log, fit_frontier(data, reward, **drawn), base=start)
floor = achieved_envelope(log.kl, log.reward, start if isinstance(start, float) else None)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Checkpoints against KL: {{caption}}.", "name": "fig-your-run"}, "image": {"alt": "Points of the run against KL: {{alt}}."}}
shown = Floor(log, floor) if found is None else found
fig = pictures.picture_of(shown)
plotting.save(fig, folder, "overlay")

# %% [markdown]
# ## Run and base samples
#
# A run is one row per {term}`checkpoint`: KL to the {term}`base model` and mean reward. The logs of trl, verl, OpenRLHF and others are known by their keys, also as trackers export them ({doc}`../from_your_trainer`); anything else is a table. The base samples are responses of the *base* model to the run's prompts, scored with the run's
# reward; `alignlib sample` and `alignlib score` make them. Without paths of yours this page makes both up: a normal reward, whose {term}`limit` is $\sqrt{2\,\mathrm{KL}}$, and a run that has {{share_made:.0%}} of it{{used}}.
#
# ```{prf:definition} Units (as trl documents its logs)
# :label: def-run-units
#
# The limit is drawn against nats per *sequence*. trl's PPO and online DPO log that (`objective/kl`, $k_1$ by default). Its GRPO and RLOO log nats per *token* (`kl`, $k_3$ and $k_1$ averaged over tokens), which times the mean length is nats per sequence if both are means over the same
# tokens. A table must say which it is. It is best to measure the checkpoints that matter anew, with an interval: `alignlib kl` ({doc}`56_measuring_kl`).
# ```
#
# ## Share and waste
#
# Two numbers are needed, because either alone can flatter. Far up, the limit is nearly flat: a run may have almost all of the achievable gain and yet spend twice the KL. Near the start it is steep: a small gain in share is much KL. The {term}`share` compares gains at the run's KL, the *waste*
# compares KLs at its gain. A share below 0 is reward lost; where its interval is as wide as all that there is to gain it is unknown. Intervals contain the error of the limit (prompts resampled), of the base's mean reward, and the scatter of the log itself, of reward and KL, read from how neighbouring checkpoints differ.

# %% tags=["hide-input"]
lines = output.lines(shown)
if folder is not None:
    Path(folder, "overlay.csv").write_text(to_csv(output.points(shown), output.COLUMNS), encoding="utf-8")
    record = {"table": table, "seed": seed, **output.record(shown)}
    Path(folder, "overlay.json").write_text(to_json("overlay", record), encoding="utf-8")
said = [line for line in map(for_terminal, lines) if line and not line.startswith("  ")]  # the table follows
print("\n".join(textwrap.fill(line, 76) for line in said))

# %% tags=["hide-input"]
rows = [row for row in output.points(shown) if row["what"] == "checkpoint"]
several = len({row["run"] for row in rows}) > 1


def as_text(row, name, scale, form):
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None or not np.isfinite(value):
        return "unknown"
    ends = "" if low is None or high is None else f" [{scale * low:{form}}, {scale * high:{form}}]"
    return f"{scale * value:{form}}{ends}"


columns = {"KL": ("kl", 1, "z.2f"), "gain": ("gain", 1, "z.2f"), "KL wasted": ("wasted", 1, "z.2f")}
if found is None:
    columns = {
        "KL": ("kl", 1, "z.2f"),
        "reward": ("reward", 1, ".3g"),
        "KL wasted at least": ("wasted_at_least", 1, "z.2f"),
    }
shown_columns = {title: [as_text(row, *how) for row in rows] for title, how in columns.items()}
if found is not None:
    shares = [" ".join(output.share_cells(found, i)).strip() for i in range(len(rows))]
    shown_columns = {
        "KL": shown_columns.pop("KL"),
        "gain": shown_columns.pop("gain"),
        "share %": shares,
        **shown_columns,
    }
pd.DataFrame(
    shown_columns,
    index=[f"{for_terminal(row['run']) + ', ' if several else ''}step {row['step']:g}" for row in rows],
)

# %% [markdown]
# ## Before you believe it
#
# - **Same prompts, same reward.** Near KL 0 the run must have the base samples' mean reward. If it does not, the comparison is refused; if the two differ by a constant only, measure gains from the run's own start (`-p base first`).
# - **No policy lies above the limit.** A checkpoint that seems to has a KL that is underestimated or in the wrong unit, a reward on another scale, or other prompts than the base samples; the answer says what speaks for which.
# - **Beyond the samples' support there are floors only**: the least share, the least KL wasted, the best-of-N that gains as much. Runs far from the base, as those of PPO, are mostly there.
# - **The trained reward is a {term}`proxy`.** Which checkpoint to keep by {term}`gold`, and whether gold has fallen, is answered by `alignlib pick`; what to expect of it by {doc}`43_overoptimisation`.
# - **Training prompts are not held-out ones.** `alignlib overlay --split` shows both; several runs or seeds are compared at equal KL by `alignlib compare`.
# - **The KL of a log is a moving average** of single batches while the policy changes.
#
# ## Without base samples
#
# ```{prf:proposition} Checkpoints bound the limit from below (we derive)
# :label: thm-envelope
#
# Let policies $\pi_i$ of one base model, on one law of prompts, have KL $\kappa_i$ and mean reward $r_i$. The least concave curve above the points $(\kappa_i,r_i)$ lies nowhere above the frontier of an average KL budget.
# ```
#
# ```{prf:proof}
# The mixture $\sum_iw_i\pi_i$ has reward $\sum_iw_ir_i$ and, the divergence being convex, a KL of at most $\sum_iw_i\kappa_i$.
# ```
#
# So without base samples, as with published checkpoints, the limit and every share of it are unknown, but KL beyond that curve is certainly wasted, up to noise. `alignlib overlay RUN` without a table says how much that is. Noise adds to it: the
# curve runs through the luckiest checkpoints, and the most wasteful one is the unluckiest. {{floor_sentence}}
#
# ## What it means
#
# A run far below the limit can gain by training alone: more steps, another penalty, another group size. A run on the limit cannot: only more KL, or another base model, buys more of this reward. A run is compared at its own KL, and more steps usually spend more of it.
#
# ## Claims

# %% tags=["hide-input"]
needed = floor.kl_needed(log.reward)
wasted = log.kl - needed
most = int(np.nanargmax(wasted))
pooled = ""
if found is not None and found.width > 1:
    means = achieved_envelope(found.log.kl, found.log.reward, start if isinstance(start, float) else None)
    left = np.nanmax(found.log.kl - means.kl_needed(found.log.reward))
    pooled = f"; means of {found.width} consecutive checkpoints leave {max(left, 0.0):.2g}"
floor_sentence = (
    f"In this run {max(wasted[most], 0.0):.2g} of {log.kl[most]:.2g} nats seem wasted at step {log.step[most]:g}{pooled}."
    + (
        " All of it is noise: the run was made up with a concave curve, and what that wastes only the limit shows."
        if run is None
        else ""
    )
)
claims.glue(
    headline=lines[-1] if found is None else output.headlines(found)[-1],
    share_made=0.85,
    used="" if run is None else " (not here)",
    caption="the least concave curve above them is a lower bound on the limit, which base samples would show"
    if found is None
    else f"gain in {found.measured_in} over the base model, the limit with its {level:.0%} interval as far as the base samples support it (bar: {found.frontier.supported_end:z.2f} nats), best-of-N, and the run, {found.width} checkpoints to a point",
    alt="a scatter below a concave curve"
    if found is None
    else "squares with error bars below a rising concave curve, the limit, with best-of-N points between",
    floor_sentence=floor_sentence,
)
checks = [
    claims.at_most(
        "last-on-curve",
        "no mixture of other checkpoints has the last one's reward for less than nine tenths of its KL",
        "we derive",
        0.9 * log.kl[-1],
        needed[-1],
        must_hold=False,
    )
]
if found is not None:
    far = found.supported & (found.log.kl > 0.2)
    checks.append(
        claims.true(
            "below-limit",
            "no point of the run lies above the limit by more than chance",
            "Y24, P26",
            ~found.above,
            must_hold=run is None,
        )
    )
if found is not None and run is None:
    last = np.flatnonzero(found.supported)[-1]
    checks += [
        claims.equal(
            "share",
            "the median share past 0.2 nats is the 85 % that the run was made with",
            "we derive",
            np.median(found.share[far]),
            0.85,
            atol=0.05,
        ),
        claims.true(
            "share-interval",
            "the interval of the last point holds it",
            "we derive",
            bool(found.share_low[last] <= 0.85 <= found.share_high[last]),
            must_hold=False,
        ),
        claims.equal(
            "waste",
            "that run wastes 1 - 0.85² of its KL",
            "we derive",
            np.median(found.wasted[far] / found.log.kl[far]),
            1 - 0.85**2,
            atol=0.1,
        ),
    ]
claims.record(*checks)

# %% [markdown]
# **Try:** `alignlib overlay trainer_state.json base.parquet --reward score -o overlay.png`, or this page on your run: `alignlib run your_own_model -p run trainer_state.json -p table base.parquet -p reward score -o out.ipynb --html`.
