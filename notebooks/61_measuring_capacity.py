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
# How many ratings does it take to know how much one rating tells?
#
# :::{admonition} Answer
# :class: answer
# About {{enough:d}} for each value that is rated: from there on 95 % {term}`intervals <confidence interval>` contain the true {term}`capacity` {{pooled_coverage:.0%}} of the time. With {{n_few:d}} ratings
# per value the counted table overstates the capacity by {{few_bias:.0%}}, and naive intervals contain the truth as rarely as {{few_coverage:.0%}} of the time.
# :::

# %% tags=["parameters"]
labels_per_target: list[int] = [25, 50, 100, 200, 400, 800]  # labels a target, in [5, 100000]
n_runs: int = 200  # simulated tables of each size, in [50, 100000]
n_raters: int = 12  # raters of the pooled example, in [3, 200]
table: str | None = None  # your own table of ratings, existing file
target_column: str = "target"  # its column with what should have been recognised
label_column: str = "label"  # its column with what the rater said
seed: int = 0  # seed of the simulation, >= 0

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import called
from alignlib.tables import RaterTable

with called(target="target_column", label="label_column"):
    ratings = None if table is None else RaterTable.read(table, target_column, label_column)

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import capacity, estimate_capacity, estimate_from_counts, rating_channel, symmetric_channel
from alignlib.tables import RaterTable

# %% tags=["hide-input"]
raters = {
    "five marks, 4 values": rating_channel(4, 0.28, 5),
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

corrected = {key: float(np.mean(hits)) for key, hits in held.items()}
plain = {key: float((np.abs(counted[key] - truth[key[0]]) <= 1.96 * error[key]).mean()) for key in counted}
first = next(iter(raters))
sizes = np.array(labels_per_target)

# %% mystnb={"figure": {"caption": "Share of 95 % intervals that contain the true capacity, for three raters ({{n_runs:d}} simulated tables a point; by chance a point is off by about {{coverage_error:.1%}}). Shaded: 93 to 97 %.", "name": "fig-capacity-coverage"}, "image": {"alt": "Coverage against labels per value for three raters; between {{low_after:.0%}} and {{high_after:.0%}} from {{enough:d}} labels on."}} tags=["hide-input"]
fig, ax = plotting.new()
ax.axhspan(0.93, 0.97, color=plotting.BOUND, alpha=0.18, linewidth=0, label="_93 to 97 %")
for name, color, marker in zip(raters, plotting.CYCLE, "osD", strict=False):
    ax.plot(sizes, [corrected[name, n] for n in labels_per_target], marker + "-", color=color, label=name)
ax.set_xscale("log")
ax.set_xticks(sizes, [str(n) for n in sizes])
ax.minorticks_off()
ax.set_ylim(min(0.8, min(corrected.values()) - 0.02), 1.0)
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, "labels per value", "intervals that hold the truth")

# %% [markdown]
# ## The statement
#
# A table of ratings says, for each {term}`label`, the {term}`context`, the value that should have been recognised, the label, and the {term}`rater`. Its counts are the rater's
# {term}`channel` plus chance, and chance differences between the rows of the table look like information. {cite:t}`Miller1955` described this bias of information estimates.
#
# ```{prf:proposition} Bias and spread of a counted capacity (delta method; for a capacity new here, as far as we know)
# :label: prop-counted-capacity
#
# Let the best input law $p$ of the channel $P$ be unique, and let the inputs without mass have $\KL{P(\cdot\mid u)}{q}<C$ strictly. Let $\hat P_u$ be the
# empirical law of $n_u$ independent labels of value $u$, and $\Sigma$ the covariance of all rows. To leading order
#
# $$\begin{aligned}\E\,C(\hat P)-C(P)&\approx\tfrac12\operatorname{tr}(H\Sigma),\\
# \Var C(\hat P)&\approx g^{\top}\Sigma g,\end{aligned}$$
#
# with $g_{uy}=p_u\log\frac{P(y|u)}{q(y)}$ and $H$ the second derivative of the capacity, in which $p$ follows the channel.
# ```
#
# ```{prf:proof}
# Under the two conditions the inputs in use stay the same nearby and $p$ is a smooth function of the channel, so Taylor's formula applies. Since $p$ is optimal it contributes nothing to the first derivative; to the
# second it adds $B^{\top}A^{-1}B\succeq0$ with $A=-\nabla_p^2I$ on directions that sum to zero and $B=\partial^2I/\partial p\,\partial P$. The mean of the quadratic term is the bias, the variance of the linear one
# the variance.
# ```
#
# Near capacity zero $g$ vanishes, and $\tfrac12\operatorname{tr}(H\Sigma H\Sigma)$, the variance of the quadratic term for normal errors, takes over. The library adds it to $g^{\top}\Sigma g$ everywhere; elsewhere it is one of several terms
# of order $1/n^2$. The bias is taken off the estimate. The interval is read off capacities of channels drawn from the counts.

# %% mystnb={"figure": {"caption": "Mean of {{n_runs:d}} estimates against the number of labels per value, for a rater with five marks and four values. With {{n_few:d}} labels the capacity of the counted table is too high by {{few_bias:.1%}}, the corrected one is off by {{few_left:.1%}}; with {{enough:d}} labels {{enough_bias:.1%}} and {{enough_left:.1%}}.", "name": "fig-capacity-bias"}, "image": {"alt": "Two curves against labels per value: the counted capacity comes down to the true {{true_first:.3f}} nats from above, the corrected one is much closer at every size."}} tags=["hide-input"]
fig, ax = plotting.new()
ax.axhline(truth[first], color=plotting.BASE, linewidth=1, linestyle=":", label="_truth")
ax.text(sizes[-1], truth[first], "truth", ha="right", va="top")
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
plotting.name_axes(ax, "labels per value", "capacity (nats)")

# %% [markdown]
# **Where it fails.** Both conditions matter. If an idle input ties, the capacity bends to one side only, and there is no second derivative. At capacity zero every input law is
# best. With two values one of them, half and half, is still singled out; with more the capacity is no quadratic function of the table's errors even in the limit. So
# a useless rater is a hard case. Of {{n_runs:d}} estimates from {{n_blind:d}} labels per value the one farthest from 0 is {{astray_two:.4f}} nats with two values and {{astray_four:.4f}} with four; the
# intervals still contain 0 in {{zero_two:.0%}} and {{zero_four:.0%}} of cases. The library marks an estimate as {term}`supported` only if it is at least two standard errors from zero, has {{enough:d}} labels for each value, and needs little
# correction; {{zero_supported:.0%}} of the useless raters here get that mark.

# %% tags=["hide-input"]
n_blind = 1600
useless = {k: np.tile([0.3, 0.5, 0.2], (k, 1)) for k in (2, 4)}
blind = {
    k: [estimate_from_counts(rng.multinomial(n_blind, rows)) for _ in range(n_runs)] for k, rows in useless.items()
}
astray = {k: max(abs(one.value) for one in found) for k, found in blind.items()}
holds_zero = {k: np.mean([one.interval()[0] <= 0.0 for one in found]) for k, found in blind.items()}
called_supported = np.mean([one.supported for found in blind.values() for one in found])

# %% [markdown]
# ## Raters who differ
#
# Labels of one rater belong together. Here are {{n_raters:d}} raters, half of them careful (2 % wrong) and half careless (40 % wrong). An interval that treats all labels as
# independent is too short. The {term}`jackknife` over whole raters {cite:p}`Miller1974` leaves out each rater in turn and shows how far they differ. What it cannot show is a
# kind of rater that none of the table's is of: of {{n_raters:d}} raters, up to {{unseen:.0%}} of all may be of one. So raters are also drawn anew, with one more among them who answers
# without looking (for the lower end) or never errs (for the upper end), as Clopper and Pearson (1934) do for a coin. With few raters the interval is wide; it says so. It allows for the worst kind
# that may be missing: where raters are of a few kinds that the table has, it holds nearly always, and is wider than it need be (`make coverage` tries ten populations of raters; see [](30_from_samples.ipynb)).

# %% tags=["hide-input"]
rater = np.repeat(np.arange(n_raters), 80)
wrong = np.where(np.arange(n_raters) % 2 == 0, 0.02, 0.4)[rater]
target = rng.integers(0, 2, rater.size)
pooled = RaterTable.from_arrays(target, target ^ (rng.random(rater.size) < wrong), rater=rater)
by_label, by_rater = estimate_capacity(pooled), estimate_capacity(pooled, by_rater=True)
unseen = 1.0 - 0.025 ** (1.0 / n_raters)  # a share that none of so many raters has with a chance of 2.5 %
single = [estimate_from_counts(pooled.counts(i)[0]).value for i in range(n_raters)]

# %% [markdown]
# The capacity of all labels together is {{pooled:.3f}} nats; the interval is {{label_low:.3f}} to {{label_high:.3f}} if labels count as independent, {{rater_low:.3f}} to
# {{rater_high:.3f}} over raters. If the learner is told *who* gave each label, the raters' own capacities count, {{single:.3f}} nats on average: information is convex in the
# channel, so mixing raters can only lose.

# %% tags=["hide-input"]
if ratings is not None:
    own = estimate_capacity(ratings)
    print(f"your table: {own.mean:.4f} nats per label, 95 % interval {own.mean_low:.4f} to {own.mean_high:.4f}")
    print("enough labels" if own.supported else "too few labels to trust the interval")

# %% [markdown]
# ## On your own table
#
# One row per label; CSV, JSON, Parquet and others (`--truth FILE` where the right answers lie in a file of their own):
#
# ```console
# $ alignlib capacity ratings.csv --context task --target truth --label score --rater who
# ```
#
# prints the capacity of each context with its interval, and the least error rate that it implies. Scores that are measured are no labels: `--bins 5` puts them into five bins.
#
# ## What it means
#
# To measure a capacity takes a few hundred labels whose right answers are known, once for each kind of question. That is little beside the labels that training
# takes, and it says beforehand what those can achieve.
#
# ## Claims

# %% tags=["hide-input"]
large = [n for n in labels_per_target if n >= 100] or labels_per_target[-1:]
at_large = np.array([corrected[name, n] for name in raters for n in large])
few = labels_per_target[0]
bias = np.array([value[name, n].mean() - truth[name] for name in raters for n in large])
spread = np.array([value[name, n].std() for name in raters for n in large])
# Of fewer tables than by default, chance alone may lead as far off as the claims allow.
enough_drawn = large[0] >= 100 and n_runs >= 200 and n_runs * at_large.size >= 2400
claims.glue(
    enough=int(large[0]),
    pooled_coverage=at_large.mean(),
    n_few=few,
    few_bias=counted[first, few].mean() / truth[first] - 1,
    few_left=abs(value[first, few].mean() / truth[first] - 1),
    enough_bias=counted[first, large[0]].mean() / truth[first] - 1,
    enough_left=abs(value[first, large[0]].mean() / truth[first] - 1),
    few_coverage=min(plain[name, few] for name in raters),
    true_first=truth[first],
    coverage_error=np.sqrt(0.95 * 0.05 / n_runs),
    low_after=at_large.min(),
    high_after=at_large.max(),
    zero_two=holds_zero[2],
    zero_four=holds_zero[4],
    zero_supported=called_supported,
    n_blind=n_blind,
    astray_two=astray[2],
    astray_four=astray[4],
    pooled=by_label.mean,
    label_low=by_label.mean_low,
    label_high=by_label.mean_high,
    rater_low=by_rater.mean_low,
    rater_high=by_rater.mean_high,
    single=float(np.mean(single)),
    unseen=unseen,
)
claims.record(
    claims.equal(
        "coverage",
        "from 100 labels per value on, 95 % of the intervals hold the truth (three raters together)",
        "we derive",
        at_large.mean(),
        0.95,
        atol=0.02,
        must_hold=enough_drawn,
    ),
    claims.at_most(
        "unbiased",
        "there the corrected estimate is off, on average, by less than a third of its own spread",
        "we derive",
        np.abs(bias),
        spread / 3,
        must_hold=enough_drawn,
    ),
    claims.at_least(
        "plug-in-too-high",
        "with the fewest labels the counted capacity is too high for every rater, by at least a tenth of its spread",
        "Miller 1955; we derive",
        [(counted[name, few].mean() - truth[name]) / counted[name, few].std() for name in raters],
        0.1,
        must_hold=False,
    ),
    claims.at_most(
        "useless-rater-unsupported",
        "of useless raters fewer than 1 % are called supported",
        "we derive",
        called_supported,
        0.01,
    ),
    claims.at_least(
        "zero-capacity",
        "at capacity zero the worst estimate with four values is more than twice as far off as with two",
        "we derive",
        astray[4],
        2 * astray[2],
        must_hold=False,
    ),
    claims.at_least(
        "raters-widen",
        "leaving out whole raters gives a standard error at least half as large again where raters differ",
        "we derive",
        by_rater.mean_standard_error,
        1.5 * by_label.mean_standard_error,
        must_hold=False,
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
# **Try:** `alignlib run measuring_capacity -p table ratings.csv -p target_column truth -o out.ipynb --html`, or `alignlib run measuring_capacity -p n_runs 5000 -o out.ipynb --html` for a
# sharper picture of the coverage.
