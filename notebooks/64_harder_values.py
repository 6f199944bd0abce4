# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Harder values need log M
#
# How much more must feedback carry when there are more values to tell apart?
#
# :::{admonition} Answer
# :class: answer
# Each doubling of the number of values costs about {{per_doubling:.2f}} {term}`nats <nat>` more per {term}`label` if at most {{risk_target:.0%}} of the decisions may be wrong, and {{rater_doubling:.2f}} for a person
# who marks on a scale. Enough {term}`capacity` is still not enough: with {{n_marks:d}} marks for {{example_values:d}} values at least {{example_label:.1%-}} go wrong, where capacity alone would allow
# {{example_fano:.1%}}.
# :::

# %% tags=["parameters"]
risk_target: float = 0.1  # error rate to be reached, in (0, 0.4]
capacity_fixed: float = 1.0  # capacity of the fixed channels, in nats, in [0.1, 2]
n_values: list[int] = [4, 8, 16, 32, 64, 128]  # numbers of values M, in [4, 512]
n_labels: int = 4000  # labels that the counting learner sees, in [10, 10000000]
n_marks: int = 5  # marks of the rating scale that is judged, in [2, 64]
seed: int = 0  # seed of the data, >= 0

# %% tags=["conditions", "hide-input"]
import math

from alignbook.conditions import need

need(
    len(n_values) >= 2 and len(set(n_values)) == len(n_values),
    f"n_values must be two or more numbers, no one twice; got {n_values}.",
)
most = math.log(min(n_values))
need(
    capacity_fixed < most,
    f"capacity_fixed must be below {most:.4g}, the nats that tell {min(n_values)} values apart; got {capacity_fixed:g}.",
)

# %% tags=["hide-input"]
import numpy as np
from scipy.optimize import brentq

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import (
    CodebookMixture,
    bayes_risk,
    capacity,
    counting_decoder,
    draw_counts,
    fano_floor,
    label_floor,
    rating_channel,
    required_capacity,
    symmetric_channel,
)

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
sizes = np.array(sorted(n_values))


def tuned(make, low, high, wanted):
    """Channel of the family whose property is as wanted, by the noise."""
    noise = brentq(lambda x: wanted(make(np.exp(x))), np.log(low), np.log(high), xtol=1e-12)
    return make(np.exp(noise))


def error_rate(rows):
    return bayes_risk(np.full(len(rows), 1 / len(rows)), rows)


at_risk = {
    "symmetric": [symmetric_channel(k, risk_target) for k in sizes],
    "rater with marks": [
        tuned(lambda s, k=k: rating_channel(k, s, 2 * k), 1e-4 / k, 30, lambda r: error_rate(r) - risk_target)
        for k in sizes
    ],
}
spent = {name: np.array([capacity(rows).value for rows in channels]) for name, channels in at_risk.items()}
needed, needed_weak = required_capacity(risk_target, sizes), required_capacity(risk_target, sizes, sharp=False)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Capacity with which {{risk_target:.0%}} of the decisions go wrong, against the number of values on a logarithmic axis. In the shaded part no feedback gets the error rate that low, however many labels there are. The symmetric channel needs the least; a person who marks on a scale of twice as many marks as values needs more.", "name": "fig-required-capacity"}, "image": {"alt": "Straight rising lines of capacity against the logarithm of the number of values: the weak bound, the sharp bound with the symmetric channel on it, and the rater with marks above it."}}
fig, ax = plotting.new()
ax.fill_between(sizes, 0, needed, color=plotting.BOUND, alpha=0.15, linewidth=0, label="_not to be had")
ax.plot(sizes, spent["rater with marks"], "s", color=plotting.BEST_OF_N, label="rater with marks")
ax.plot(sizes, spent["symmetric"], "o", color=plotting.LIMIT, label="symmetric channel")
ax.plot(sizes, needed, color=plotting.BASE, linewidth=2.0, label="least, sharp form")
ax.plot(sizes, needed_weak, color=plotting.BOUND, linestyle="--", label="least, weak form")
ax.set_xscale("log", base=2)
ax.set_xticks(sizes, [str(k) for k in sizes])
ax.minorticks_off()
ax.set_ylim(0, None)
plotting.legend(ax)
plotting.name_axes(ax, "number of values M", "capacity (nats per label)")

# %% [markdown]
# ## The statement
#
# ```{prf:proposition} Required capacity (Cao 2025; the sharp form: we derive)
# :label: prop-required-capacity
#
# A risk of at most $\varepsilon\le\Delta_{\mathrm{sep}}(1-\frac1M)$ on $M$ equally likely values with separation $\Delta_{\mathrm{sep}}$ needs
#
# $$\begin{aligned}\bar C_{\mathrm{tot}|S}&\ge\log M-h(\tfrac{\varepsilon}{\Delta_{\mathrm{sep}}})-\tfrac{\varepsilon}{\Delta_{\mathrm{sep}}}\log(M-1)\\
# &\ge(1-\tfrac{\varepsilon}{\Delta_{\mathrm{sep}}})\log M-\log2 .\end{aligned}$$
# ```
#
# ```{prf:proof}
# Solve {prf:ref}`thm-fano-floor` for the capacity (a risk above that bound, that of blind guessing, needs none); $h\le\log2$ and $\log(M-1)\le\log M$ give the second form.
# ```
#
# This is *necessary*. Some channel of that capacity reaches the risk, the symmetric one, whose errors go to every other value alike. Most do not. A person with a rating scale confuses
# neighbours, and a short scale runs out of marks:
#
# ```{prf:proposition} The number of labels (classical)
# :label: prop-label-count
#
# With $L$ different labels for $M$ equally likely values every {term}`decoder` errs at least $1-L/M$ of the time. Some channel attains it, for every $L\le M$.
# ```
#
# ```{prf:proof}
# The decoder names one value for each label, so at most $L$ of the $M$ values are ever named: it is right with probability $\frac1M\sum_y\max_uP(y\mid u)\le L/M$. Give $L$ values a label each, and
# the others any.
# ```
#
# ## A scale of {{n_marks:d}} marks
#
# {{n_marks:d}} marks carry at most $\log {{n_marks:d}}={{log_marks:.2f}}$ nats, whoever uses them. By capacity alone that could do for {{values_by_capacity:d}} values at {{risk_target:.0%}} errors; the number of
# labels allows {{values_by_labels:d}}. {numref}`fig-marks` shows both floors. On this scale the floor that the labels set is not only a bound: it is the exact error rate of the best rater there can be.

# %% tags=["hide-input"]
values = np.arange(2, 41)
by_capacity = np.array([fano_floor(min(np.log(n_marks), np.log(k)), int(k)) for k in values])
by_labels = np.asarray(label_floor(n_marks, values))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Least error rate with {{n_marks:d}} marks against the number of values: what the capacity of {{log_marks:.2f}} nats allows (Fano's floor), and what the number of marks allows, which the best possible rater attains. At {{example_values:d}} values {{example_fano:.1%}} and {{example_label:.1%}}.", "name": "fig-marks"}, "image": {"alt": "Two rising curves against the number of values, both 0 up to {{n_marks:d}}: the one from the number of marks lies far above the one from capacity."}}
fig, ax = plotting.new(height=3.2)
plotting.curve(
    ax, values, by_labels, "best rater there can be", color=plotting.BEST_OF_N, at=22, offset=(-6, 6), ha="right"
)
plotting.curve(
    ax, values, by_capacity, "capacity alone", color=plotting.LIMIT, at=24, offset=(6, -6), ha="left", linestyle="--"
)
ax.set_ylim(-0.02, 1.0)
plotting.name_axes(ax, "number of values M", "least error rate")

# %% [markdown]
# ## At fixed capacity the error rate climbs
#
# Now the noise is tuned until each channel has a capacity of {{capacity_fixed:g}} {{nat_word}}.

# %% tags=["hide-input"]
at_fixed = {
    "symmetric": [
        tuned(lambda e, k=k: symmetric_channel(k, e), 1e-9, 1 - 1 / k, lambda r: capacity(r).value - capacity_fixed)
        for k in sizes
    ],
    "rater with marks": [
        tuned(lambda s, k=k: rating_channel(k, s, 2 * k), 1e-3, 30, lambda r: capacity(r).value - capacity_fixed)
        for k in sizes
    ],
}
best = {name: np.array([error_rate(rows) for rows in channels]) for name, channels in at_fixed.items()}
learnt = {}
for name, channels in at_fixed.items():
    mixtures = [CodebookMixture([1.0], rows[None], 1 - np.eye(len(rows))) for rows in channels]
    learnt[name] = np.array([one.risk(counting_decoder(one, draw_counts(one, n_labels, rng))) for one in mixtures])
floor, weak = fano_floor(capacity_fixed, sizes), fano_floor(capacity_fixed, sizes, sharp=False)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Error rate against the number of values at a capacity of {{capacity_fixed:g}} {{nat_word}}. The best decoder of the symmetric channel (circles) attains the sharp floor, that of a rater with marks (squares) lies above it; learners that count {{n_labels:d}} labels (crosses) err as often as the best decoder, or more.", "name": "fig-fixed-capacity"}, "image": {"alt": "Rising error rates against the number of values on a logarithmic axis, up to {{risk_last:.2f}}: circles on the floor, squares above it, crosses on or above each, and a weak floor that starts at zero."}}
fig, ax = plotting.new(height=3.8)
for (name, found), color, marker in zip(best.items(), (plotting.LIMIT, plotting.BEST_OF_N), "os", strict=True):
    ax.plot(sizes, found, marker, color=color, label=name)
    ax.plot(sizes, learnt[name], "x", color=plotting.BASE, markersize=5, label=f"_{name}, learners that count")
ax.plot([], [], "x", color=plotting.BASE, markersize=5, label="learners that count")
middle = float(sizes[len(sizes) // 2])
plotting.curve(
    ax, sizes, floor, "sharp floor", color=plotting.BASE, at=middle, offset=(8, -8), ha="left", linewidth=1.4, zorder=0
)
plotting.curve(
    ax,
    sizes,
    np.maximum(weak, 0),
    "weak floor",
    color=plotting.BOUND,
    at=float(sizes[min(1, len(sizes) - 1)]),
    offset=(10, -10),
    ha="left",
    linestyle="--",
)
ax.set_xscale("log", base=2)
ax.set_xticks(sizes, [str(k) for k in sizes])
ax.minorticks_off()
ax.set_ylim(-0.03, 1.0)
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "number of values M", "error rate")

# %% [markdown]
# ## What it means
#
# To align on finer distinctions, widen the question (compare, rank, explain), give the scale as many marks as there are values to tell apart, or ask for fewer of them at a
# time. Asking more often about fresh ones does not help. And a capacity that suffices on paper says nothing until the errors have been counted.
#
# ## Claims

# %% tags=["hide-input"]
per_doubling = float(np.diff(needed)[-1] / np.diff(np.log2(sizes))[-1])
scale = np.arange(2, 2000)
example_values = int(np.ceil(1.6 * n_marks))
drawn = [rng.dirichlet(np.full(n_marks, 0.1), size=example_values) for _ in range(300)]
claims.glue(
    per_doubling=per_doubling,
    rater_doubling=float(np.diff(spent["rater with marks"])[-1] / np.diff(np.log2(sizes))[-1]),
    risk_last=best["rater with marks"][-1],
    log_marks=np.log(n_marks),
    nat_word="nat" if capacity_fixed == 1 else "nats",
    values_by_capacity=int(scale[np.flatnonzero(required_capacity(risk_target, scale) <= np.log(n_marks))[-1]]),
    values_by_labels=int(scale[np.flatnonzero(label_floor(n_marks, scale) <= risk_target)[-1]]),
    example_values=example_values,
    example_label=label_floor(n_marks, example_values),
    example_fano=fano_floor(np.log(n_marks), example_values),
)
claims.record(
    claims.equal(
        "symmetric-on-floor",
        "the best decoder of the symmetric channel attains the sharp floor for every M",
        "Fano",
        best["symmetric"],
        floor,
        atol=1e-8,
    ),
    claims.at_least(
        "learners-above",
        "neither a rater with marks nor learners that count labels go below the floor",
        "C25",
        [best["rater with marks"], *learnt.values()],
        np.broadcast_to(floor, (3, sizes.size)),
        atol=1e-12,
    ),
    claims.true(
        "risk-climbs",
        "at fixed capacity the error rate of the best decoder climbs with M",
        "C25",
        np.diff(np.stack(list(best.values())), axis=1) > 0,
    ),
    claims.at_least(
        "nothing-below",
        "neither channel reaches the error rate with less than the required capacity",
        "C25",
        [spent["symmetric"], spent["rater with marks"]],
        np.broadcast_to(needed, (2, sizes.size)),
        atol=1e-9,
    ),
    claims.equal(
        "log-m-slope",
        r"the required capacity grows like $(1-\varepsilon)\log M$",
        "C25",
        per_doubling / np.log(2),
        1 - risk_target,
        atol=0.02,
        must_hold=bool(sizes[-1] >= 64),
    ),
    claims.at_most(
        "capacity-suffices",
        "enough capacity suffices: a scale whose marks could carry what is required reaches the error rate",
        "not claimed; asked by us",
        label_floor(n_marks, example_values),
        fano_floor(np.log(n_marks), example_values),
        must_hold=False,
    ),
    claims.at_least(
        "label-count",
        f"no random rater with {n_marks} marks errs less on {example_values} values than the number of marks allows",
        "we derive",
        [error_rate(rows) for rows in drawn],
        label_floor(n_marks, example_values),
        atol=1e-12,
    ),
)

# %% [markdown]
# **Try:** `alignlib run harder_values -p risk_target 0.01 -o out.ipynb --html`. What does the last percent cost per doubling?
