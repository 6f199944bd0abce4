# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A billion rewards
#
# A table of rewards may be too large for the memory of any machine. What must be kept of its samples, read once and in any order, so that the limit is still known?
#
# :::{admonition} Answer
# :class: answer
# A few numbers for each bin of rewards: the count, the mean, the variance, the least and the largest. From {{n_bins:,d}} bins over {{n_samples:,d}} rewards they give two bounds, from below and above, that fix
# the limit at {{kl_shown:g}} nats to one part in {{parts:,d}}. Without the variance the bounds would be {{without_variance:,.0f-}} times as far apart.
# :::

# %% tags=["parameters"]
n_samples: int = 200000  # samples of the one prompt that is drawn, in [1000, 2000000]
shape: float = 2.0  # of their gamma law, in [0.5, 50]
width: float = 0.0078125  # width of the bins in the answer, a power of two, in [0.0001, 2]
kl_shown: float = 0.5  # KL that the answer quotes, in nats, in [0.01, 3]
n_prompts: int = 200  # prompts of the table that is cut into parts, in [20, 1000]
n_parts: int = 7  # parts it is cut into, in [2, 50]
seed: int = 0  # of the draws, >= 0

# %% tags=["conditions", "hide-input"]
from alignlib.scale import check_width

width = check_width(width)

# %% tags=["hide-input"]
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from alignbook import claims
from alignlib import plotting
from alignlib.estimation import fit_frontier
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, prepare
from alignlib.scale import (
    Bins,
    Head,
    Summary,
    SummaryTable,
    best_of_n_bounds,
    gain_bounds,
    kl_bounds,
    log_partition_bounds,
    sql,
    table_of,
)

# %% [markdown]
# ## The statement
#
# For one {term}`prompt`, the limit needs the function $\Lambda(\lambda)=\log\frac1n\sum_i e^{\lambda r_i}$, and so the sums of $e^{\lambda r}$ over the samples of each bin. From below, Jensen's inequality
# gives $e^{\lambda m}$ for a bin with mean $m$; from above there is the chord of the exponential function between the least and the largest reward. The variance gives much more.
#
# ```{prf:proposition} Two points from either side
# :label: prop-two-points
#
# Let a law on $[a,b]$ have mean $m$ and variance $v$, and let $\lambda>0$. Then $\E e^{\lambda r}$ is at least that of the law with the same mean and variance on the two points $a$ and
# $m+\frac v{m-a}$, and at most that of the law with the same mean and variance on the two points $m-\frac v{b-m}$ and $b$.
# ```
#
# ```{prf:proof}
# Let $c=m+\frac v{m-a}$, and let $q$ be the quadratic polynomial that agrees with $e^{\lambda r}$ at $a$, and at $c$ together with its slope. The error of this interpolation at $r$ is
# $\frac16\lambda^3e^{\lambda t}(r-a)(r-c)^2\ge0$ for $r\ge a$, with some $t$. So $\E e^{\lambda r}\ge\E q$. The right side depends on the mean and the variance alone, and the law on $a$ and $c$ attains it. The upper
# bound is the same with $b$ in the place of $a$, where $r-b\le0$.
# ```
#
# The argument is that of Chebyshev and Markov {cite}`KarlinStudden1966`. Both bounds are of the third order in $\lambda w$ for bins of width $w$, where Jensen's inequality and the chord are of the second. The limit
# $\min_\lambda\frac{\Delta+\Lambda(\lambda)}\lambda$ rises with $\Lambda$, so the same two laws bound it from both sides. {numref}`fig-bins-open` shows what is left open.

# %%
rng = np.random.default_rng(seed)
rewards = rng.gamma(shape, size=n_samples)
lam = 0.5 * 2.0 ** np.arange(-6.0, 0.26, 0.25)


def log_mean(values, weights=None):
    top = values.max()
    return np.array([one * top + np.log(np.average(np.exp(one * (values - top)), weights=weights)) for one in lam])


def binned(values, wide):
    return Bins.of(np.zeros(len(values), dtype=np.int64), [values], [wide])


def by_mean_alone(bins, wide):
    """Jensen's bound and the chord's, from count, mean, least and largest."""
    mean, part = bins.mean(wide), np.zeros(len(bins.row))
    np.divide(mean - bins.least, bins.most - bins.least, out=part, where=bins.most > bins.least)
    values = np.concatenate([bins.least, bins.most])
    return log_mean(mean, bins.count), log_mean(values, np.concatenate([bins.count * (1 - part), bins.count * part]))


exact = log_mean(rewards)
widths = np.array([2.0**k for k in (-7, -3, 0)])
open_by = {}
for wide in sorted({*widths.tolist(), width}):
    bins = binned(rewards, wide)
    low, high = log_partition_bounds(bins, wide, lam)
    jensen, chord = by_mean_alone(bins, wide)
    open_by[wide] = (high - low, chord - jensen, low, high)

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "What bins of three widths leave open of Λ at each λ: with the variance of each bin, and (dashed) with the mean alone. {{n_samples:,d}} rewards of a gamma law.", "name": "fig-bins-open"}, "image": {"alt": "Three solid curves that rise steeply with λ on logarithmic axes, each far below a dashed curve of the same width that rises less steeply."}}
fig, ax = plotting.new()
ax.set_xscale("log")
ax.set_yscale("log")
for wide, color in zip(widths, (plotting.LIMIT, plotting.THIRD, plotting.BOUND), strict=True):
    with_variance, alone, *_ = open_by[wide]
    ax.plot(lam, with_variance, color=color, label=f"width {wide:g}")
    ax.plot(lam, alone, color=color, linestyle="--", label=f"_width {wide:g}, the mean alone")
plotting.name_axes(ax, "λ", "open between the bounds (nats)")
plotting.legend(ax, loc="upper left")

# %% [markdown]
# ## The summary
#
# A summary holds all samples of a prompt while there are few, up to {{exact_up_to:,d}}, and bins beyond. Within a bin the place of a reward is rounded down to one of $2^{24}$ steps. Counts, sums and sums of squares
# are then whole numbers, which add without rounding: a summary of all rows has the same bytes, whatever parts it was merged from and in which order. The rounding moves no reward by more than a step, and is in the bound.
#
# The commands choose the width by the first part, and again where it turns out far too large for the rewards of the prompts in bins; `--bin-width` fixes it. Another width changes numbers by what bins leave open.
# A sample of rank $i$ from below is kept by best-of-$N$ with a chance $w_i$ that rises with $i$. Within a bin $\sum w_ir_i$ is then at least $\sum w_i$ times the mean, and at most that and the number of samples times the
# two standard deviations. This is in the interval of best-of-$N$ and of its share: {{open_best:.0e}} of the gain at $N=64$ in the answer's bins. How many samples of a bin tie, they do not tell; what that leaves open of the KL is
# in the interval of the share too.
#
# Prompts stand in the order of a number made from their names. Intervals resample pools of prompts that this number deals, so that no partition changes an interval. Here {{n_prompts:d}} prompts are cut at random into
# {{n_parts:d}} parts, with the samples of every prompt spread over them. The gain at {{kl_shown_parts:g}} nats is {{gain_whole:.6f}} from the whole and {{gain_parts:.6f}} from the parts, its interval
# {{low_whole:.6f}} to {{high_whole:.6f}} and {{low_parts:.6f}} to {{high_parts:.6f}}.

# %%
names = np.repeat(np.arange(n_prompts), 32)
values = rng.standard_normal(names.size) * (1.0 + names % 3)
part = rng.integers(n_parts, size=names.size)
kl_shown_parts = 0.2


def summarise(some):
    order = np.flatnonzero(some)[np.argsort(names[some], kind="stable")]
    distinct, sizes = np.unique(names[some], return_counts=True)
    return Summary.of(pa.array(distinct), sizes, {"reward": values[order]})


whole = summarise(np.ones(names.size, dtype=bool))
pieces = [summarise(part == k) for k in range(n_parts) if (part == k).any()]
merged = Summary.merged(pieces[::-1])
of_whole, of_parts = (fit_frontier(table_of(one), rng=seed).at(kl_shown_parts, strict=False) for one in (whole, merged))

# %% [markdown]
# ## On a table of your own
#
# A folder, a pattern, or an address that `fsspec` knows stands where a file does. Its parts are read by row groups, one after another or by several workers; what is done is kept, so that a stopped run goes on.
#
# ```console
# $ alignlib frontier scored/ --reward score --summary summary.parquet
# $ alignlib frontier summary.parquet --reward score --kl 0.5,1
# $ alignlib frontier 'scored/*.parquet' --reward score --workers 4
# $ alignlib frontier s3://bucket/scored --reward score --scheduler tcp://host:8786 --checkpoint /shared/kept
# ```
#
# The workers are those of Dask (`pip install '.[scale]'`). A worker that is killed changes nothing: another does its part again. Workers of your own are started as Dask starts them; on Linux, one that has done a part goes on to keep what arrays free, up to 64 MB:
# Dask sets less, which has every array given back to the system and asked for again, at the cost of up to half the time. Addresses that begin
# with `http` are read too; one in a cloud needs the package that `fsspec` names.
#
# Summaries add up: a folder that holds nothing else is read as one, and `--summary` writes it. They must have been made with one `--bin-width`, and with one `--exact-up-to` where that was given.
#
# | Rewards | What to use |
# |---|---|
# | that fit into memory | one file; every question of this book can be asked |
# | beyond, with few samples of each prompt | a folder; samples are kept on disk, and limit and best-of-N are those of the samples; intervals too, but for chance (below) |
# | beyond, with very many samples of a prompt | a folder; the samples of such a prompt are in bins, and intervals of the limit are wider by what these leave open |
# | in a warehouse that exports no rows | the statement below, saved as Parquet |
#
# Of fewer than twenty prompts with enough samples everything is said of these very prompts, in bins as in memory: groups of their samples are resampled. Otherwise intervals resample prompts, and a folder has them in the order of their keys, where one file has them in that of its rows. So at one seed all partitions of a table have the same intervals, and one file has others: another
# draw of the same bootstrap.
#
# A response that stands in two parts would count twice. Where parts have a column that tells the samples of a prompt apart (`sample_id`, or `--sample`), it is found and refused, as in one file. Without one, only a part that is
# there twice as a whole is found. `overlay` and `compare` take their table as one file.
#
# Of a second reward, gold, bins hold its sum, the sum of its squares, its least and largest value, and the sum of its products with the first. Where the first picks, gold along $\lambda$ and along $N$ is then answered from bins too
# (in Python by `fit.tilted_gold("gold")` and `fit.gold("gold")`), with what bins leave open in the intervals. Within a bin, $e^{\lambda r}$ is its chord less at most $D$. The covariance of gold with the chord follows from the sum of the products,
# that with the rest is at most $\frac12D$ times gold's standard deviation. Best-of-$N$ keeps a sample with a chance between two known ones, and what is open
# is at most the product of both deviations: of the first order in the width, where along $\lambda$ it is of the second.
#
# The limit in gold itself needs the law of gold, of which bins by the first reward tell little. So `frontier --gold` reads parts a second time where prompts are in bins, into bins by gold, and `--summary` keeps both. Of fewer than twenty prompts
# everything is said of these very ones, and groups of their samples tell the errors: gold's share of the limit, say, has a smaller error if both rest on the same groups. So the rows of each prompt are dealt into up to fifty groups when they are read, by the name of the
# sample where there is one (`sample_id`), else by the row's place in its file. Counts and sums of all groups together are those of the prompt, whatever the partition; which row is in which group moves the ends of an interval, as another seed does.
#
# An ensemble (`--ensemble`) is a reward that each row makes of its members. Two parts of its answer differ in what they need:
#
# - *The members* take one pass over the samples, and add up over parts: each is put into bins with gold, and with the members before it. What best-of-$N$ by each gains of gold follows from its bins, and the error that members share from second moments alone, of members with
#   gold and with each other.
# - *What combines them*, their mean, median and minimum, is of members on one scale (mean 0, standard deviation 1 within prompts), which is known when all samples were read once. So parts are read again, and combinations are put into bins row by row.
#
# What bins leave open of both is in the intervals. `--summary` with `--gold` and `--ensemble` keeps both: asked of all these members, it answers with the numbers of its folder. Several such summaries (with one `--bin-width`) answer of the members as all their parts together would. Of prompts in bins their combinations do not
# add up, since each part has a scale of its own: the answer says so, and leaves them out, as it does for fewer members than were kept. Where summaries hold all samples, both are answered. Summaries by the statement below, and those written without `--ensemble`, hold no members.
#
# However few samples a prompt has: where its bins hold up to two samples each, or equal ones, they tell every sample (of two, the products with gold say which is whose), and the answer is that of the samples. Otherwise every number that the answer gives of a prompt in bins, but the $\lambda$ beside a limit and the end of the support, has a
# bound that is computed from them, or is withheld:
#
# | Number | What bins leave open of it |
# |---|---|
# | mean reward, least, largest, counts | a step of $2^{-24}$ widths |
# | limit at a KL, in the reward and in gold (the $\lambda$ beside it, where the estimate has it, has no bound) | the two laws above, in the interval; the correction of the bias is a sum of functions of the weights each of which lies between its values for these two laws, too |
# | `limit_gain` at a rule's KL | `limit_gain_off` beside it in JSON and CSV, where it is supported; in the interval of the share |
# | best-of-$N$: gain and gold, with gold of ensembles' members and of their mean, median and minimum | the two deviations of each bin, in the interval |
# | best-of-$N$: KL, win rate; proxy along $N$ | `spent_off`, `win_rate_off`, `proxy_off` beside them in JSON and CSV, and the KL in the text where that is seen; in the interval of the share |
# | gold along $\lambda$, where to stop, what is left unclaimed | the chord of each bin, in the interval |
# | KL and proxy along $\lambda$ | `spent_off`, `proxy_off` beside them in JSON and CSV; in the text "±" follows the KL at which to stop |
# | error that members share, and their own | second moments, in the interval |
# | which prompts carry the limit (`assumed`) | told where bins leave less than a hundredth of it open, else withheld |
# | first terms of the limit, from few samples | withheld, with a sentence |
# | other rules than best-of-$N$, other divergences than KL, win rates as what counts, the same KL on every prompt, single responses | withheld: the command refuses in a sentence, and says to read the parts with a larger `--exact-up-to` |
# | how far the samples support (`largest_supported`, `supported`), how many samples are wanted (`wanted`) | a judgement of tails by the points that stand for the samples of a bin: no bound, as a note of the answer says |
#
# Bounds take CPU time: a prompt whose bins do not tell its samples takes more of it than one whose samples are held, and the more the wider its bins are. Many prompts of few samples are best held (`--exact-up-to`), or put into narrow bins.
#
# Other questions that take all samples at once are answered while these fit into memory, and refused in a sentence beyond.
#
# One statement of SQL makes the same bins, to the bit, in DuckDB, with which it is tested. Another engine must sum whole numbers exactly, and may want other words for the whole part of a quotient (`//`), its rest (`%`), quoted names, types and a query in `FROM`: the text of `alignlib.scale.sql` says what each of them is to give. For rewards `reward` of prompts `prompt_id` in a table `scored`:

# %% tags=["hide-input"]
print(sql("scored", width=width))

# %% [markdown]
# With `gold="gold"` the statement adds sums of gold to each bin, from which `fit.gold("gold")` and `fit.tilted_gold("gold")` follow in Python. `frontier --gold` tells the limit in gold as well, which takes bins by gold: one `GROUP BY` makes none, and so the command refuses in a sentence. Parts that it reads itself, or summaries that it wrote with `--gold`, have both.

# %% [markdown]
# ## Measured
#
# CPU seconds with start and imports, and the largest resident memory, of one process on one thread ("two workers": of the three processes together, and the memory of the largest; "on a cluster": with those of a scheduler that runs already). "Read" reads both columns and adds
# them up, which no tool can avoid. "Group-by" is the uncorrected sum over samples at 40 values of λ in DuckDB, polars or pandas, without bias correction and without intervals. Measured by
# `python -m benchmarks.bench_scale --record` on a machine shared with other work, or with `--idle` on one that does nothing else.

# %% tags=["hide-input"]
measured = json.loads(Path("../benchmarks/recorded/scale.json").read_text(encoding="utf-8"))["measured"]
labels = {"prompts": "64 a prompt", "pools": "10⁶ a prompt", "shuffled": "64, shuffled", "four": "4 a prompt"}
tools = {
    "read": "read",
    "alignlib": "alignlib",
    "workers": "two workers",
    "cluster_1": "1 on a cluster",
    "cluster_2": "2 on a cluster",
    "held": "in memory",
    "duckdb": "group-by (DuckDB)",
    "polars": "group-by (polars)",
    "pandas": "group-by (pandas)",
}
print(f"{'':<17}{'CPU s':>6}{'MiB':>5}{'ns/row':>7}")  # no wider than a phone shows
table = ""
for row in measured:
    if row["tool"] in tools:
        rows, cpu = row["rows"], row["cpu_s"]
        if table != (table := f"{labels[row['shape']]}, {rows:,} rows"):
            print(table)
        print(f"{tools[row['tool']]:<17}{cpu:>6.2f}{row['peak_mib']:>5}{1e9 * cpu / rows:>7.0f}")

# %% tags=["hide-input"]
by = {(row["shape"], row["tool"], row["rows"]): row for row in measured}


def largest(shape, tool):
    return max((row for row in measured if (row["shape"], row["tool"]) == (shape, tool)), key=lambda row: row["rows"])


many, some = largest("prompts", "alignlib"), by["prompts", "alignlib", 10**7]
per_row = many["cpu_s"] / many["rows"]
of_phases = {shape: largest(shape, "phases") for shape in ("prompts", "pools")}
spent = of_phases["prompts"]["phases"]
pools, of_pools, four = largest("pools", "alignlib"), of_phases["pools"]["phases"], largest("four", "alignlib")
less, more = (by["four", "memory", rows] for rows in (4 * 10**6, 8 * 10**6))
kept, of_prompt = ((more[one] - less[one]) / ((more["rows"] - less["rows"]) / 4) for one in ("kept", "most"))
few, most = by["prompts", "workers", 10**6], largest("prompts", "workers")
start = few["cpu_s"] - by["prompts", "alignlib", 10**6]["cpu_s"]
later = by["prompts", "workers", 10**7]["cpu_s"] - some["cpu_s"]
asking = (most["asking_s"] - few["asking_s"]) / (most["rows"] - few["rows"])
reading = {shape: largest(shape, "read")["cpu_s"] / largest(shape, "read")["rows"] for shape in of_phases}

kernels = of_phases["prompts"]["kernels"]
print(f"{'ns/row; a prompt has':<20}{'64':>7}{'10⁶':>7}")
print(f"{'read alone (floor)':<20}" + "".join(f"{1e9 * one:>7.1f}" for one in reading.values()))
for name in spent:
    print(f"{name:<20}" + "".join(f"{1e9 * one['phases'][name] / one['rows']:>7.1f}" for one in of_phases.values()))
for name, said in (("sort", "a sort of 64"), ("exp", "five exponentials")):
    print(f"{said:<20}{kernels[name]:>7.1f}")
print()
print(f"{'hours, 64 a prompt':<20}{'10⁹ rows':>9}{'10¹² rows':>10}")
for name, each in (
    ("read, one core", reading["prompts"]),
    ("one core", per_row),
    ("2 cores", per_row / 2 + asking),
    ("100 × 2 cores", per_row / 200 + asking),
):
    print(f"{name:<20}" + f"{1e9 * each / 3600:>9.2f}{1e12 * each / 3600:>10,.1f}")
print()
print("how many times sooner two workers end")
for one, two, than in (("alignlib", "workers", "one process"), ("cluster_1", "cluster_2", "one, on a cluster")):
    for shape in ("prompts", "pools"):
        both = [row for row in measured if row["shape"] == shape and "idle_s" in row and row["rows"] == 2 * 10**8]
        took = {row["tool"]: row["idle_s"] for row in both}
        if one in took and two in took:
            print(f"{than}, {labels[shape]}".ljust(33) + f"{took[one] / took[two]:.2f}")

# %% [markdown]
# With 64 samples of each prompt {{per_row_ns:.0f}} ns a row are spent, of which {{read_part:.0%}} on reading and summarising, {{join_part:.0%}} on joining prompts, {{curve_part:.0%}} on the curve (the exponential functions and the two jackknives), and
# {{boot_part:.0%}} on the bootstrap. Reading, sorting and five exponentials of each sample take {{floor_ns:.0f}} ns, below which nothing goes: at the other values of λ, which are powers of two times the first five, the weights are
# squares. Most of the rest is the two jackknives, at about fifty values of λ: {{each_lam:.0f}} ns for each sample and λ.
#
# The hours assume that the cost stays in proportion to the rows, as it is between the tables measured, and that the workers' part divides evenly among cores like these. The process that asks has {{asking_ns:.0f}} ns of its own for each row (of
# {{asking_prompt:.1f}} µs for each prompt), which do not divide: more than {{most_cores:.0f}} workers do not help, until prompts have more samples. For $10^9$ rows the parts on disk take {{disk_9:.0f}} GB, and {{named_9:.0f}} GB more where samples
# have names.
#
# Memory does not grow with the samples of a prompt, and grows with the prompts, beside what the pieces and blocks in work take. Of each, {{bytes_kept:.0f}} bytes are kept: eight for its mean reward, two for the pool of prompts that it is dealt into, and one that deals
# its samples into halves. While the curve is made it takes {{bytes_prompt:.0f}}: the mean is there twice then (both are counted by Python's `tracemalloc`, as differences between tables of one and of two million prompts). The {{prompts_many:,.0f}} prompts of the largest table take
# {{table_many:,.0f}} MiB so, of the {{peak_many:,.0f}} MiB of the whole process. Those of $10^9$ rows, 64 of each prompt, would take {{memory_9:.1f}} GB and those of $10^{12}$ rows {{memory_12:,.0f}} GB, in the one process that asks. Where the prompts would need more than half of the free memory, the command says so.
#
# With 4 samples of each prompt a row costs {{four_times:.0f}} times as much as with 64. The logarithms of the jackknives are taken once for each prompt and λ, however few its samples, and of four samples all parts of three are looked at too.
#
# Where a prompt has $10^6$ samples, {{pools_ns:.0f}} ns a row are spent, {{pools_times:.1f}} times what reading costs: {{pools_read:.0%}} on reading and binning, {{pools_rest:.0%}} on the curve, the bootstrap and best-of-N. The latter cost as much
# for any number of samples of a prompt, since they see its bins alone. Binning takes two additions in place for each row, one of its count with its place in the bin and one of the square of that place. Only rewards near an end of their bin
# are compared with its least and its largest, once such have been seen in nearly all bins. A loop compiled by Numba was no faster when we tried it. The curve of a prompt in bins takes sums of powers of its weights, and
# best-of-$N$ follows from the ranks at which bins end.
#
# Two workers cost {{start_two:.1f}} CPU seconds more than one process on $10^6$ rows, and {{later_two:.1f}} on $10^7$: the start of Dask and of its processes, and what these do while they wait, which on a busy machine is long. So they pay
# where the whole takes minutes. How many times sooner two workers end is told, on $2\cdot10^8$ rows, by the clock of the process that asks, from its start to its end, on a machine of two cores that does nothing else. "One process" works
# without Dask (`--workers 1` is the same), and beside it stand two workers that the command starts itself (`--workers 2`). "One, on a cluster", where that was measured, is the only worker of a scheduler that runs already (`--scheduler`), and beside it stand two
# of these, with one thread each. Two workers halve what divides, reading and the passes over prompts. The start of Dask, and what the asking process does alone, stay: they are little beside minutes, and much where the whole takes four seconds. A Parquet file of more than 256 MB is shared among them by its row groups.
#
# ## Claims

# %% tags=["hide-input"]
low, high = open_by[width][2:]
best = [float(end[0]) for end in best_of_n_bounds(binned(rewards, width), width, 64)]
jensen_open = open_by[width][1]
budget = kl_shown + np.stack([low, high, exact]) - lam * rewards.mean()
ends = (budget / lam).min(axis=1)  # the gain: lower end, upper end, exact, on one grid of λ
alone = [(kl_shown + one - lam * rewards.mean()) / lam for one in by_mean_alone(binned(rewards, width), width)]
open_alone = float(alone[1].min() - alone[0].min())
claims.glue(
    n_bins=len(binned(rewards, width).row),
    parts=10 ** math.floor(math.log10(max(1.0, float(ends[0] / max(ends[1] - ends[0], 1e-15))))),
    without_variance=open_alone / float(ends[1] - ends[0]),
    exact_up_to=whole.exact_up_to,
    kl_shown_parts=kl_shown_parts,
    gain_whole=float(of_whole.gain[0]),
    gain_parts=float(of_parts.gain[0]),
    low_whole=float(of_whole.gain_low[0]),
    high_whole=float(of_whole.gain_high[0]),
    low_parts=float(of_parts.gain_low[0]),
    high_parts=float(of_parts.gain_high[0]),
    per_row_ns=1e9 * per_row,
    read_part=spent["read and summarise"] / sum(spent.values()),
    join_part=spent["join"] / sum(spent.values()),
    curve_part=spent["curve"] / sum(spent.values()),
    boot_part=spent["bootstrap"] / sum(spent.values()),
    floor_ns=1e9 * reading["prompts"] + sum(kernels.values()),
    each_lam=1e9 * spent["curve"] / of_phases["prompts"]["rows"] / 50.0,
    asking_ns=1e9 * asking,
    asking_prompt=64e6 * asking,
    most_cores=per_row / asking,
    four_times=four["cpu_s"] / four["rows"] / per_row,
    disk_9=2 * 8.0,
    named_9=8.0,
    bytes_kept=kept,
    bytes_prompt=of_prompt,
    table_many=many["rows"] / 64 * of_prompt / 2**20,
    memory_9=1e9 / 64 * of_prompt / 1e9,
    memory_12=1e12 / 64 * of_prompt / 1e9,
    prompts_many=many["rows"] / 64,
    peak_many=many["peak_mib"],
    pools_ns=1e9 * pools["cpu_s"] / pools["rows"],
    pools_times=pools["cpu_s"] / by["pools", "read", pools["rows"]]["cpu_s"],
    pools_read=(of_pools["read and summarise"] + of_pools["join"]) / sum(of_pools.values()),
    pools_rest=1.0 - (of_pools["read and summarise"] + of_pools["join"]) / sum(of_pools.values()),
    start_two=start,
    later_two=later,
    open_best=(best[1] - best[0]) / best[1],
)
cut = [
    SummaryTable(
        [partial(lambda one: one, one) for one in whole.split(2)],
        [Head.of(one) for one in whole.split(2)],
        whole.columns,
    )
]
kl_asked, few = np.array([0.1, 0.5, 1.0]), np.sort(rewards[:5000])
law, some_bins = FiniteLaw(few), binned(few, width)
gain_ends, exact_gain = gain_bounds(some_bins, width, kl_asked), law.gain_at_kl(kl_asked)
kl_ends, exact_kl = kl_bounds(some_bins, width, exact_gain), law.kl_at_gain(exact_gain)
draws = np.array([2.0, 8.0, 64.0])
rule_ends = best_of_n_bounds(some_bins, width, draws)
rows_of_one = prepare(few[None, ::-1])
exact_rule = np.array([float(rule.evaluate(rows_of_one).mean[0]) for rule in BestOfN.along(draws)]) - few.mean()
claims.record(
    claims.at_most(
        "gain-and-kl-bounds",
        "how far the exact gain at a KL, KL at a gain and best-of-N of up to 5,000 rewards lie outside their bounds",
        "we derive",
        np.concatenate(
            [
                np.maximum(ends[0] - one, one - ends[1])
                for ends, one in ((gain_ends, exact_gain), (kl_ends, exact_kl), (rule_ends, exact_rule))
            ]
        ),
        0.0,
    ),
    claims.at_most(
        "lower-bound",
        "the lower bound less the exact Λ, every width and λ",
        "we derive",
        np.concatenate([one[2] - exact for one in open_by.values()]),
        0.0,
    ),
    claims.at_most(
        "upper-bound",
        "the exact Λ less the upper bound, every width and λ",
        "we derive",
        np.concatenate([exact - one[3] for one in open_by.values()]),
        0.0,
    ),
    claims.at_most(
        "third-order",
        r"what is open with the variance over $(\lambda w)^3$, up to rounding, of the steps too",
        "we derive",
        np.concatenate([(one[0] - 1e-12 - 2.0**-24 * lam * wide) / (lam * wide) ** 3 for wide, one in open_by.items()]),
        1.0,
    ),
    claims.equal(
        "any-parts",
        "gain and interval from parts in reverse order against those from the whole",
        "we derive",
        [of_parts.gain[0], of_parts.gain_low[0], of_parts.gain_high[0]],
        [of_whole.gain[0], of_whole.gain_low[0], of_whole.gain_high[0]],
        rtol=1e-15,
    ),
    claims.equal(
        "pieces",
        "the same from pieces by ranges of keys",
        "we derive",
        fit_frontier(cut[0], rng=seed).at(kl_shown_parts, strict=False).gain_high,
        of_whole.gain_high,
        rtol=1e-12,
    ),
    claims.true("same-bytes", "the summaries of parts and whole are equal to the bit", "we derive", merged == whole),
)

# %% [markdown]
# **Try:** `alignlib run a_billion_rewards -p width 1 -o out.ipynb --html`. Bins eight times as wide as the middle ones of the figure leave more of the limit open, though less than the mean alone does.
