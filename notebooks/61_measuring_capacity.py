# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Measuring capacity from ratings
#
# How many labels does it take to know how much a label carries?
#
# :::{admonition} Answer
# :class: answer
# About {{enough:d}} per target for the hardest rater here, fewer for a plain yes or no: from there on the 95 % intervals hold the truth {{worst_low:.1%}} to {{worst_high:.1%}} of the time on this chapter's
# raters. With {{n_few:d}} per target the plain count overstates the capacity by {{few_bias:.0%}}, and its intervals hold only {{few_coverage:.0%}} of the
# time at worst.
# :::

# %% tags=["parameters"]
labels_per_target: list[int] = [25, 50, 100, 200, 400, 800]  # sizes of the simulated tables, in [5, 100000]
n_runs: int = 300  # simulated tables of each size, in [50, 100000]
n_raters: int = 12  # raters of the pooled example, in [3, 200]
table: str | None = None  # your own table of ratings, existing file
target_column: str = "target"  # its column with what should have been recognised
label_column: str = "label"  # its column with what the rater said
seed: int = 3  # seed of the simulation, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import capacity, estimate_capacity, estimate_from_counts, rating_channel, symmetric_channel
from alignlib.tables import RaterTable

# %% [markdown]
# ## The statement
#
# A table of ratings holds, for each label, the context, the target that should have been recognised, the label, and the rater. Its
# confusion counts are the channel plus chance, and chance differences between rows look like information.
#
# ```{prf:proposition} Bias and spread of a counted capacity (we derive)
# :label: prop-counted-capacity
#
# Let $\hat P_u$ be the empirical law of $n_u$ independent labels of target $u$, and $\Sigma$ the covariance of all rows. To second order
#
# $$\E\,C(\hat P)-C(P)\approx\tfrac12\operatorname{tr}(H\Sigma),\qquad
# \Var C(\hat P)\approx g^{\top}\Sigma g+\tfrac12\operatorname{tr}(H\Sigma H\Sigma),$$
#
# with $g_{uy}=p_u\log\frac{P(y|u)}{q(y)}$ and $H$ the second derivative of the capacity, the response of the optimal input law $p$ included.
# ```
#
# ```{prf:proof}
# Taylor's expansion. Since $p$ is optimal it contributes nothing to the first derivative; to the second it adds
# $B^{\top}A^{-1}B\succeq0$ with $A=-\nabla_p^2I$ on directions that sum to zero and $B=\partial^2I/\partial p\,\partial P$. Gaussian fourth moments
# give the second term of the variance.
# ```
#
# The second term matters where the first vanishes: near capacity zero.

# %%
raters = {
    "five marks, 4 targets": rating_channel(4, 0.28, 5),
    "yes or no, 10 % wrong": symmetric_channel(2, 0.1),
    "yes or no, 35 % wrong": symmetric_channel(2, 0.35),
}
rng = np.random.default_rng(seed)
truth, value, error, counted, held = {}, {}, {}, {}, {}
for name, channel in raters.items():
    truth[name] = capacity(channel).value
    for n in labels_per_target:
        runs = [estimate_from_counts(rng.multinomial(n, channel)) for _ in range(n_runs)]
        held[name, n] = [low <= truth[name] <= high for low, high in (one.interval() for one in runs)]
        value[name, n] = np.array([one.value for one in runs])
        error[name, n] = np.array([one.standard_error for one in runs])
        counted[name, n] = np.array([one.plug_in for one in runs])

# %% tags=["hide-input"]
corrected = {key: float(np.mean(hits)) for key, hits in held.items()}
plain = {key: float((np.abs(counted[key] - truth[key[0]]) <= 1.96 * error[key]).mean()) for key in counted}
first = next(iter(raters))
sizes = np.array(labels_per_target)

# %% mystnb={"figure": {"caption": "Mean of {{n_runs:d}} estimates against labels per target for a rater with five marks and 4 targets. The counted capacity is too high by {{few_bias:.1%}} at {{n_few:d}} labels, the corrected one by {{few_left:.1%}}; at {{enough:d}} it is {{enough_bias:.1%}} and {{enough_left:.1%}}.", "name": "fig-capacity-bias"}, "image": {"alt": "Two curves against labels per target: the counted capacity comes down to the true {{true_first:.3f}} nats from above, the corrected one is much closer at every size."}} tags=["hide-input"]
fig, ax = plotting.new()
ax.axhline(truth[first], color=plotting.BASE, linewidth=1, linestyle=":")
ax.text(sizes[0], truth[first], "truth", ha="left", va="bottom")
for of, name, color, marker in (
    (counted, "as counted", plotting.BOUND, "s"),
    (value, "corrected", plotting.LIMIT, "o"),
):
    mean = np.array([of[first, n].mean() for n in labels_per_target])
    ax.plot(sizes, mean, marker + "-", color=color, label=name)
ax.set_xscale("log")
ax.set_xticks(sizes, [str(n) for n in sizes])
ax.minorticks_off()
plotting.legend(ax)
plotting.name_axes(ax, "labels per target", "capacity (nats)")

# %% mystnb={"figure": {"caption": "How often nominal 95 % intervals hold the truth ({{n_runs:d}} tables each; one standard error of a point is about {{coverage_error:.1%}}). Shaded: 93 to 97 %. From {{enough:d}} labels per target on all three raters are inside.", "name": "fig-capacity-coverage"}, "image": {"alt": "Coverage against labels per target for three raters; at {{n_few:d}} labels as low as {{few_coverage:.0%}}, between 93 and 97 percent from {{enough:d}} labels on."}} tags=["hide-input"]
fig, ax = plotting.new()
ax.axhspan(0.93, 0.97, color=plotting.BOUND, alpha=0.18, linewidth=0)
for name, color, marker in zip(raters, plotting.CYCLE, "osD", strict=False):
    ax.plot(sizes, [corrected[name, n] for n in labels_per_target], marker + "-", color=color, label=name)
ax.set_xscale("log")
ax.set_xticks(sizes, [str(n) for n in sizes])
ax.minorticks_off()
ax.set_ylim(min(0.8, min(corrected.values()) - 0.02), 1.0)
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, "labels per target", "coverage of the 95 % interval")

# %% [markdown]
# ## Raters who differ
#
# Labels of one rater go together. With {{n_raters:d}} raters, half of them careful (2 % wrong) and half careless (40 % wrong), the interval that takes
# labels as independent is too short; leaving out whole raters in turn gives the longer, honest one.

# %%
rater = np.repeat(np.arange(n_raters), 80)
wrong = np.where(np.arange(n_raters) % 2 == 0, 0.02, 0.4)[rater]
target = rng.integers(0, 2, rater.size)
pooled = RaterTable.from_arrays(target, target ^ (rng.random(rater.size) < wrong), rater=rater)
by_label, by_rater = estimate_capacity(pooled), estimate_capacity(pooled, by_rater=True)
single = [estimate_from_counts(pooled.counts(i)[0]).value for i in range(n_raters)]

# %% [markdown]
# Pooled capacity {{pooled:.3f}} nats; interval {{label_low:.3f}} to {{label_high:.3f}} taking labels as independent, {{rater_low:.3f}} to
# {{rater_high:.3f}} over raters. Knowing *who* gave each label is worth more: the raters' own capacities average {{single:.3f}} nats, for
# information is convex in the channel. Not pooling raters is free capacity.

# %%
if table is not None:
    own = estimate_capacity(RaterTable.read(table, target_column, label_column))
    print(f"your table: {own.mean:.4f} nats per label, 95 % interval {own.mean_low:.4f} to {own.mean_high:.4f}")
    print("enough labels" if own.supported else "too few labels to trust the interval")

# %% [markdown]
# ## On your own table
#
# One row per label given; CSV, TSV, JSON lines or Parquet:
#
# ```console
# $ alignlib capacity ratings.csv --context task --target truth --label score --rater who
# ```
#
# prints the capacity of each context with its interval, and the floor that it implies.
#
# ## What it means
#
# A capacity costs a few hundred labels with known targets, once per kind of question. That is little beside the labels that training takes,
# and it says beforehand what those can buy.
#
# ## Claims

# %% tags=["hide-input"]
slack = 2 * np.sqrt(0.95 * 0.05 / n_runs)
large = [n for n in labels_per_target if n >= 400] or labels_per_target[-1:]
at_large = np.array([corrected[name, n] for name in raters for n in large])
few = labels_per_target[0]
bias = np.array([value[name, n].mean() - truth[name] for name in raters for n in large])
spread = np.array([value[name, n].std() for name in raters for n in large])
claims.glue(
    enough=int(large[0]),
    worst_low=at_large.min(),
    worst_high=at_large.max(),
    n_few=few,
    few_bias=counted[first, few].mean() / truth[first] - 1,
    few_left=value[first, few].mean() / truth[first] - 1,
    enough_bias=counted[first, large[0]].mean() / truth[first] - 1,
    enough_left=abs(value[first, large[0]].mean() / truth[first] - 1),
    few_coverage=min(plain[name, few] for name in raters),
    true_first=truth[first],
    coverage_error=np.sqrt(0.95 * 0.05 / n_runs),
    pooled=by_label.mean,
    label_low=by_label.mean_low,
    label_high=by_label.mean_high,
    rater_low=by_rater.mean_low,
    rater_high=by_rater.mean_high,
    single=float(np.mean(single)),
)
claims.record(
    claims.true(
        "coverage",
        "from 400 labels per target on, 93 to 97 % of the intervals hold the truth, up to twice the simulation's own error",
        "we derive",
        (at_large >= 0.93 - slack) & (at_large <= 0.97 + slack),
    ),
    claims.at_most(
        "unbiased",
        "there the corrected estimate is off by less than a seventh of its own spread",
        "we derive",
        np.abs(bias),
        spread / 7,
    ),
    claims.at_least(
        "plug-in-too-high",
        "the counted capacity is too high on average at every size",
        "we derive",
        [counted[key].mean() for key in counted],
        [truth[key[0]] for key in counted],
        atol=2e-3,
    ),
    claims.at_least(
        "raters-widen",
        "leaving out whole raters gives the longer interval where raters differ",
        "we derive",
        by_rater.mean_standard_error,
        by_label.mean_standard_error,
    ),
    claims.at_least(
        "knowing-the-rater",
        "the raters' own capacities average more than the pooled one",
        "we derive",
        np.mean(single),
        by_label.mean,
    ),
)

# %% [markdown]
# **Try:** `alignlib run measuring_capacity -p table ratings.csv -p target_column truth -o out.ipynb --html`, or `-p n_runs 5000` for a
# sharper picture of the coverage.
