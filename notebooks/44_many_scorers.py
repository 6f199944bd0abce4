# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Many scorers, one gold
#
# A table holds the scores of many {term}`proxies <proxy>`, on unlike scales and with {term}`ties <tie>`. How good is each, how many are worth combining, and how much of it comes from the order of the rows?
#
# :::{admonition} Answer
# :class: answer
# Best-of-{{drawn:d}} gains {{one_gain:.3f}} in {term}`gold` when one scorer picks, on average over {{n_members:d}} scorers, and {{all_gain:.3f}} ({{all_low:.3f}} to {{all_high:.3f}}) when the mean of all does. {{compared_sentence}} {{ties_sentence}}
# :::

# %% tags=["parameters"]
table: str | None = None  # table of answers scored by all; without one, a made-up table, existing file
prompt: str = "prompt_id"  # column that names the prompt, any
members: list[str] = ["model_*", "judge_*"]  # columns of the scorers; * stands for any text, any
gold: str = "right"  # column of the reward that counts, any
drop_missing: bool = False  # go on without the samples that lack a finite value
best_of: int = 8  # N of best-of-N picked by ensembles, at most the fewest samples of a prompt, >= 2
n_choices: int = 20  # random choices of members for each size, in [1, 1000]
n_prompts: int = 200  # prompts of the made-up table, in [20, 5000]
n_samples: int = 10  # answers to each, in [4, 200]
level: float = 0.95  # coverage of the intervals, in [1e-6, 0.999999999]
n_boot: int = 500  # bootstrap replicates, in [100, 20000]
seed: int = 3  # seed of what is made up, chosen or resampled, >= 0

# %% tags=["conditions", "hide-input"]
import numpy as np

from alignbook.conditions import called
from alignlib.answers.hacking import members_of
from alignlib.hacking.examples import scored_answers
from alignlib.tables import RewardTable

if table is not None:
    columns = [*members, gold]
    with called(reward="members, gold", ensemble="members", gold="gold"):
        given = RewardTable.read(table, prompt=prompt, reward=columns, drop_missing=drop_missing, min_samples=3)
        members_of(given, members, gold)
else:
    made = scored_answers(2, 2, 4, 4, np.random.default_rng(0))  # has the columns of the made-up table
    with called(ensemble="members", gold="gold"):
        members_of(made, members, gold)

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib._core.safe_text import for_picture
from alignlib.answers.hacking import members_of
from alignlib.answers.output.hacking import comparison_sentences, split_sentence
from alignlib.estimation import fit_frontier
from alignlib.hacking.ensemble_estimation import estimate_ensemble
from alignlib.hacking.ensembles import KINDS
from alignlib.hacking.error_split import split_error
from alignlib.hacking.examples import scored_answers
from alignlib.hacking.member_comparison import compare_members
from alignlib.hacking.proxy_table import on_one_scale
from alignlib.hacking.tie_breaking import tie_breaking
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable

# %% tags=["hide-input"]
if table is None:
    data = scored_answers(n_prompts, n_samples, 4, 4, np.random.default_rng(seed))
else:
    data = RewardTable.read(table, prompt=prompt, reward=[*members, gold], drop_missing=drop_missing, min_samples=3)
names = members_of(data, members, gold)
options = {"level": level, "n_boot": n_boot, "rng": seed}
ties = sorted((tie_breaking(data, name, gold, **options) for name in names), key=lambda found: found.averaged)

# %% tags=["hide-input"]
even = on_one_scale(data, names)
drawn = min(best_of, int(data.n_samples.min()))
kinds = {
    kind: estimate_ensemble(even, names, gold, rule=BestOfN(drawn), kind=kind, n_choices=n_choices, **options)
    for kind in KINDS
}
split = split_error(even, names, gold, **options)
compared = compare_members(even, names, gold, rule=BestOfN(drawn), kinds=["mean"], **options)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold gained by best-of-{{drawn:d}} picked by ensembles of K scorers, on average over the choice of members, with {{level:.0%}} intervals over prompts; shaded: from the worst to the best choice drawn, for the mean.", "name": "fig-scorers-size"}, "image": {"alt": "Gold gain against the number of members for four ways to combine, from {{one_gain:.3f}} with one member to {{all_gain:.3f}} with the mean of all; the shaded range of choices narrows."}}
fig, ax = plotting.new()
labels = {"mean": "mean", "median": "median", "min": "minimum", "mean_minus_std": "mean - std"}
mean = kinds["mean"]
named = "_mean: worst to best choice of members"
ax.fill_between(mean.size, mean.worst, mean.best, color=plotting.BOUND, alpha=0.18, linewidth=0, label=named)
for i, (kind, found) in enumerate(kinds.items()):
    plotting.points(
        ax,
        found.size * 2.0 ** (0.06 * (i - 1.5)),
        found.gold_gain,
        color=plotting.CYCLE[i],
        marker="oDs^"[i],
        low=found.gold_low,
        high=found.gold_high,
        label=labels[kind],
        linestyle="-",
    )
ax.axhline(0, color=plotting.BASE, linewidth=0.8, label="_nothing gained")
ax.set_xscale("log", base=2)
ticks = [int(k) for k in mean.size if k == mean.size[-1] or mean.size[-1] / k > 1.4]
ax.set_xticks(ticks, [f"{k}" for k in ticks])
ax.minorticks_off()
plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
plotting.name_axes(ax, "members K", f"gain in {for_picture(gold)}")

# %% [markdown]
# Without a table of yours this page makes one up: {{n_prompts:d}} problems with {{n_samples:d}} answers each, of which the first is right; reward models that score on scales from 1 to
# 1000, and judges that give whole points and so tie.
#
# Scores on unlike scales cannot be averaged as they are: the widest scale would decide nearly alone. Each scorer is shifted and scaled to a standard deviation of 1 within prompts, which does not change what it picks
# alone. For each size {{n_choices:d}} sets of members are drawn. {{split_sentence}}
#
# ## Each scorer alone, and the order of the rows
#
# ```{prf:definition} Ties (we derive)
# :label: def-ties
#
# Where a scorer gives several samples of a prompt its top score, its pick is worth the *mean* of their gold. Taking the first of them, as `argmax` does, adds what the order of the table
# knows; a rule that sees only the proxy acts on gold through $\E[r\mid\hat r]$ alone ({doc}`40_price_of_a_proxy`).
# ```

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean gold of the sample that each scorer likes best: averaged over tied samples (dots, with {{level:.0%}} intervals over prompts), and when the first of the tied samples in the table is taken (diamonds). Line: a random sample. The difference is knowledge of the row order, not of the scorer.", "name": "fig-scorers-ties"}, "image": {"alt": "One row for each scorer with a dot and a diamond: for scorers that tie, the diamond lies far to the right of the dot."}}
fig, ax = plotting.new(height=1.3 + 0.27 * len(ties))
rows = np.arange(len(ties))
averaged, low, high = (np.array([getattr(t, f"averaged{end}") for t in ties]) for end in ("", "_low", "_high"))
bars = np.maximum([averaged - low, high - averaged], 0.0)
ax.errorbar(averaged, rows, xerr=bars, fmt="o", color=plotting.THIRD, markersize=5, label="ties averaged")
ax.plot([t.first for t in ties], rows, "D", color=plotting.BEST_OF_N, markerfacecolor="none", label="first of the tied")
ax.axvline(ties[0].base, color=plotting.BASE, linewidth=0.8, label="_a random sample")
ax.set_yticks(rows, [for_picture(t.reward.removeprefix("score_")) for t in ties])
plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
ax.set_xlabel(f"mean {for_picture(gold)} of the best-scored sample")

# %% [markdown]
# {{n_flattered:d}} of {{n_members:d}} scorers seem better by significantly more than a hundredth of the range of gold if the first of the tied samples is taken.
#
# ## What it means
#
# Average tied samples, or shuffle the rows, before you compare scorers. The share of the error that all members have in common makes the floor of {prf:ref}`thm-ensemble-small`: it says how many members are worth having, if errors are small. (Variances are
# those under the base model here, under the ideal policy there; the two agree for a weak tilt only.) The intervals are over prompts. With few prompts the
# differences between sizes are often smaller than they can tell, and the range over choices of members says how much a lucky choice would flatter.
#
# ## Claims

# %% tags=["hide-input"]
least = 0.01 * np.ptp(data.column(gold))
flattered = [t for t in ties if t.flattery_low > least]
worst = max(ties, key=lambda t: t.flattery)
ties_sentence = (
    "The order of the rows makes no scorer look clearly better."
    if not flattered
    else f"Taking the first of tied samples would make {len(flattered)} scorers look clearly better than they are, "
    f"{worst.reward} the most: {worst.first:.3f} instead of {worst.averaged:.3f}."
)
claims.glue(
    n_members=len(names),
    n_flattered=len(flattered),
    ties_sentence=ties_sentence,
    drawn=drawn,
    one_gain=mean.gold_gain[0],
    all_gain=mean.gold_gain[-1],
    all_low=mean.gold_low[-1],
    all_high=mean.gold_high[-1],
    split_sentence=split_sentence(split, alike=compared.alike),
    compared_sentence=" ".join(comparison_sentences(compared)),
)
even_sizes = data.n_samples.min() == data.n_samples.max()
known = []
if even_sizes:
    every = int(data.n_samples.min())
    best = [fit_frontier(data, t.reward, **options).gold(gold, BestOfN(every)) for t in ties[:3]]
    known.append(
        claims.equal(
            "best-of-all",
            "ties averaged: the pick from all samples is best-of-N with N all of them",
            "we derive",
            [found.base_gold + found.gold_gain[0] for found in best],
            [t.averaged for t in ties[:3]],
            rtol=1e-10,
        )
    )
claims.record(
    *known,
    claims.at_least(
        "order-flatters",
        "some scorers look better by more than a hundredth of the range of gold because of the order of the rows",
        "we derive",
        len(flattered),
        1,
        must_hold=table is None,
    ),
    claims.at_least(
        "mitigates",
        "ensembling helps: the mean of all gains more gold than one member does on average, by more than its interval",
        "P26",
        mean.gold_low[-1],
        mean.gold_gain[0],
        must_hold=False,
    ),
    claims.at_most(
        "and-its-limit",
        "and has its limit: the last doubling of members adds less than the first",
        "we derive",
        mean.gold_gain[-1] - mean.gold_gain[-2],
        mean.gold_gain[1] - mean.gold_gain[0],
        must_hold=table is None,
    ),
)

# %% [markdown]
# **Try:** `alignlib run many_scorers -p table TABLE -p members 'score_*' -p gold correct -o out.ipynb --html` on a table of yours. Then sort its rows by gold, the worst first: which numbers change?
