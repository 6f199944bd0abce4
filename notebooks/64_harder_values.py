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
# How much more capacity does feedback need when there are more values to tell apart?
#
# :::{admonition} Answer
# :class: answer
# In proportion to $\log M$: to err at most {{risk_target:.0%}} of the time, every doubling of the number of values costs about
# {{per_doubling:.2f}} nats more for any channel, {{rater_doubling:.2f}} for a rater with marks on a scale. At a fixed {{capacity_fixed:g}} nats the
# risk climbs to {{risk_last:.2f}} at {{m_last:d}} values.
# :::

# %% tags=["parameters"]
risk_target: float = 0.1  # error rate to be reached, in (0, 0.4]
capacity_fixed: float = 1.0  # capacity of the fixed channels, in nats, in [0.1, 2]
n_values: list[int] = [4, 8, 16, 32, 64, 128]  # numbers of values M, in [4, 512]
n_labels: int = 4000  # labels that the counting learner sees, in [10, 10000000]
seed: int = 11  # seed of the data, >= 0

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
    rating_channel,
    required_capacity,
    symmetric_channel,
)

# %% [markdown]
# ## The statement
#
# ```{prf:proposition} Required capacity (C25; the sharp form we derive)
# :label: prop-required-capacity
#
# A risk of at most $\varepsilon$ on $M$ equally likely values separated by $\Delta$ needs
#
# $$\bar C_{\mathrm{tot}|S}\ \ge\ \log M-h(\varepsilon/\Delta)-\tfrac{\varepsilon}{\Delta}\log(M-1)
# \ \ge\ (1-\tfrac{\varepsilon}{\Delta})\log M-\log2 .$$
# ```
#
# ```{prf:proof}
# Solve {prf:ref}`thm-fano-floor` for the capacity; $h\le\log2$ and $\log(M-1)\le\log M$ give the second form.
# ```
#
# Two kinds of feedback are held against it. The *symmetric* channel errs to every other value alike and is the best there is. A *rater with
# marks* places the value on a scale with Gaussian noise, so that neighbours are confused: closer to life, and worse.

# %%
sizes = np.array(sorted(n_values))


def tuned(make, low, high, wanted):
    """Channel of the family whose property is as wanted, by the noise."""
    noise = brentq(lambda x: wanted(make(np.exp(x))), np.log(low), np.log(high), xtol=1e-12)
    return make(np.exp(noise))


def error_rate(rows):
    return bayes_risk(np.full(len(rows), 1 / len(rows)), rows)


# %% [markdown]
# ## At fixed capacity the risk climbs

# %%
rng = np.random.default_rng(seed)
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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Risk against the number of values at a capacity of {{capacity_fixed:g}} nats. The symmetric channel lies on the sharp floor; the rater with marks above it; learners that count {{n_labels:d}} labels are higher still (crosses). Where the weak floor is below zero it says nothing.", "name": "fig-fixed-capacity"}, "image": {"alt": "Rising curves of risk against M on a logarithmic axis, up to {{risk_last:.2f}}; the weak floor starts below zero."}}
fig, ax = plotting.new(height=4.0)
ax.plot(sizes, floor, color=plotting.BASE, linewidth=2.5, label="floor, sharp")
ax.plot(sizes, weak, color=plotting.BOUND, linestyle="--", label="floor, weak")
for (name, values), color, marker in zip(best.items(), (plotting.LIMIT, plotting.BEST_OF_N), "os", strict=True):
    ax.plot(sizes, values, marker, color=color, label=f"{name}, best decoder")
    ax.plot(sizes, learnt[name], "x", color=color, label=f"{name}, counting")
ax.axhline(0, color=plotting.BASE, linewidth=0.8)
ax.set_xscale("log", base=2)
ax.set_xticks(sizes, [str(k) for k in sizes])
ax.set_ylim(min(-0.05, weak.min() - 0.05), 1.0)
plotting.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
plotting.name_axes(ax, "number of values M", "risk")
# %% [markdown]
# ## At fixed risk the capacity climbs
#
# Now the noise is tuned until the best decoder errs {{risk_target:.0%}} of the time, and the capacity that took is read off.

# %%
at_risk = {
    "symmetric": [symmetric_channel(k, risk_target) for k in sizes],
    "rater with marks": [
        tuned(lambda s, k=k: rating_channel(k, s, 2 * k), 1e-4 / k, 30, lambda r: error_rate(r) - risk_target)
        for k in sizes
    ],
}
spent = {name: np.array([capacity(rows).value for rows in channels]) for name, channels in at_risk.items()}
needed, needed_weak = required_capacity(risk_target, sizes), required_capacity(risk_target, sizes, sharp=False)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Capacity that a risk of {{risk_target:.0%}} takes, against $\\log M$. Below the frontier (shaded) no feedback reaches it, however many labels there are. Every doubling of $M$ costs {{per_doubling:.2f}} nats.", "name": "fig-required-capacity"}, "image": {"alt": "Straight rising lines of capacity against the logarithm of M: the weak bound, the sharp frontier with the symmetric channel on it, and the rater with marks above it."}}
fig, ax = plotting.new()
ax.fill_between(sizes, 0, needed, color=plotting.BOUND, alpha=0.15, linewidth=0)
ax.plot(sizes, needed, color=plotting.BASE, linewidth=2.5, label="frontier, sharp")
ax.plot(sizes, needed_weak, color=plotting.BOUND, linestyle="--", label="frontier, weak")
ax.plot(sizes, spent["symmetric"], "o", color=plotting.LIMIT, label="symmetric")
ax.plot(sizes, spent["rater with marks"], "s", color=plotting.BEST_OF_N, label="rater with marks")
ax.set_xscale("log", base=2)
ax.set_xticks(sizes, [str(k) for k in sizes])
ax.set_ylim(0, None)
plotting.legend(ax)
plotting.name_axes(ax, "number of values M", "capacity (nats per label)")
# %% [markdown]
# ## What it means
#
# A rating scale of five marks carries at most $\log5\approx{{log_five:.2f}}$ nats, whoever uses it. That is enough for a risk of {{risk_target:.0%}} on at most
# {{values_on_scale:d}} values. To align on finer distinctions, widen the question (compare, rank, explain) or ask for fewer of them at a time; asking more often
# about fresh ones does not help.
#
# ## Claims

# %% tags=["hide-input"]
per_doubling = float(np.diff(needed)[-1] / np.diff(np.log2(sizes))[-1])
scale = np.arange(2, 2000)
claims.glue(
    per_doubling=per_doubling,
    rater_doubling=float(np.diff(spent["rater with marks"])[-1] / np.diff(np.log2(sizes))[-1]),
    risk_last=best["rater with marks"][-1],
    m_last=int(sizes[-1]),
    log_five=np.log(5),
    values_on_scale=int(scale[np.flatnonzero(required_capacity(risk_target, scale) <= np.log(5))[-1]]),
)
claims.record(
    claims.equal(
        "symmetric-on-floor",
        "the symmetric channel lies on the sharp floor for every M",
        "we derive",
        best["symmetric"],
        floor,
        atol=1e-8,
    ),
    claims.at_least(
        "rater-above-floor", "the rater with marks lies above it", "C25", best["rater with marks"], floor, atol=1e-12
    ),
    claims.at_least(
        "learners-above",
        "learners lie above the floor",
        "C25",
        list(learnt.values()),
        np.broadcast_to(floor, (2, sizes.size)),
        atol=1e-12,
    ),
    claims.true(
        "risk-climbs",
        "at fixed capacity the risk of the best decoder climbs with M",
        "C25",
        np.diff(np.stack(list(best.values())), axis=1) > 0,
    ),
    claims.equal(
        "frontier-attained",
        "the symmetric channel needs exactly the frontier's capacity",
        "we derive",
        spent["symmetric"],
        needed,
        atol=1e-10,
    ),
    claims.at_least(
        "nothing-below",
        "no channel here reaches the risk with less capacity",
        "C25",
        spent["rater with marks"],
        needed,
        atol=1e-9,
    ),
    claims.equal(
        "log-m-slope",
        r"the frontier's slope in $\log M$ tends to $1-\varepsilon$",
        "C25",
        per_doubling / np.log(2),
        1 - risk_target,
        atol=0.02,
    ),
)

# %% [markdown]
# **Try:** `alignlib run harder_values -p risk_target 0.01 -o out.ipynb --html`. What does the last percent cost per doubling?
