# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When best-of-N is the optimum
#
# Is there a reward for which best-of-$N$ *is* the KL-regularised optimum, and how special is it?
#
# :::{admonition} Answer
# :class: answer
# For each base law, $N>1$ and order of the responses there is exactly one, up to scale and shift. With two responses every reward is of this kind; with more, almost none
# is: bending it by {{bend:g}} moves best-of-{{n:d}} away from every tilt by at least {{distance:.2e}} nats.
# :::

# %% tags=["parameters"]
n: int = 8  # number of draws of best-of-N, in [2, 10000]
n_outcomes: int = 6  # responses of the base model, in [3, 200]
bend: float = 1.0  # how far the reward is bent away from the coinciding one, as the log of an exponent, in [0, 10]
seed: int = 5  # seed of the random base law, >= 0

# %% tags=["hide-input"]
import numpy as np
from scipy import optimize

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, coincident_reward

# %% [markdown]
# ## The statement
#
# Y24 leaves open when the two laws agree exactly; B26 answers it for one token.
#
# ```{prf:theorem} Exact coincidence for one token (B26; proof: we derive)
# :label: thm-coincidence
#
# Let $N>1$, $\lambda>0$, and $r_1<\dots<r_k$ with base masses $p_i>0$ and cumulative masses $F_i$. Best-of-$N$ equals $\pi_\lambda$ for some $\lambda$ if and only if
#
# $$\lambda\,r_i=\log\frac{F_i^N-F_{i-1}^N}{p_i}+\text{const}\qquad(i=1,\dots,k).$$
#
# For $k=2$ this always holds for some $\lambda$; for $k\ge3$ it fixes $r$, for the given order, up to scale and shift.
# ```
#
# ```{prf:proof}
# Both laws are positive on all $k$ responses, so they agree exactly when their log-ratios to $p$ do: $\lambda r_i-\Lambda$ on one side, the
# logarithm on the right on the other. Two numbers always lie on a line.
# ```
#
# The right side increases with $i$ (an average of $N F^{N-1}$ over ever higher intervals), so the reward it defines has the order it needs.

# %%
rng = np.random.default_rng(seed)
prob = rng.dirichlet(np.full(n_outcomes, 3.0))
coincident = coincident_reward(prob, n)
best = BestOfN(n).on(FiniteLaw(coincident, prob)).policy
tilt = np.exp(FiniteLaw(coincident, prob).log_policy(1.0))

# %% [markdown]
# ## The converse, measured
#
# Bend the reward: add to the coinciding one a convex term that vanishes at both ends (the order is kept), and look for the *nearest* tilt.
# Best-of-$N$ does not notice, since ranks have not changed; the tilts do.


# %%
def bent(amount: float) -> np.ndarray:
    """The coinciding reward, raised to the power e^amount on its unit range, which keeps the order."""
    unit = (coincident - coincident[0]) / np.ptp(coincident)
    return unit ** np.exp(amount)


def distance_to_tilts(reward: np.ndarray) -> float:
    """Smallest KL of best-of-N to any tilt of the reward, in nats."""
    family = FiniteLaw(reward, prob)
    return optimize.minimize_scalar(
        lambda v: float(best @ (np.log(best) - family.log_policy(np.exp(v)))),
        bounds=(-6, 8),
        method="bounded",
        options={"xatol": 1e-10},
    ).fun


amounts = np.linspace(0, max(2 * bend, 0.1), 41)
distances = np.array([distance_to_tilts(bent(float(a))) for a in amounts])
family = FiniteLaw(bent(bend), prob)
reached = BestOfN(n).on(family)
missed = family.gain(family.lam_at_kl(reached.kl)) - reached.gain

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Distance of best-of-{{n:d}} to the nearest tilt as the reward is bent away from the coinciding one ({{n_outcomes:d}} responses, seed {{seed:d}}). It vanishes at the coinciding reward only, and quadratically.", "name": "fig-coincidence"}, "image": {"alt": "A curve that touches zero at the left end and rises with the amount of bending, reaching {{distance:.1e}} nats at {{bend:g}}."}}
fig, ax = plotting.new()
plotting.curve(ax, amounts, distances, color=plotting.BEST_OF_N)
plotting.points(ax, bend, distance_to_tilts(bent(bend)), color=plotting.BASE)
plotting.name_axes(ax, "bending of the reward (log of the exponent)", "KL of best-of-N to the nearest tilt (nats)")
# %% [markdown]
# ## What it means
#
# Best-of-$N$ sees ranks, the optimum sees values. They can agree for one reward and one $N$; changing $N$ alone breaks it again. But the
# distance grows only quadratically at first; bent by {{bend:g}} best-of-{{n:d}} is {{distance:.1e}} nats from the nearest tilt and misses {{missed:.1e}} of the
# reward's range.
#
# ## Claims

# %% tags=["hide-input"]
two = BestOfN(n).on(FiniteLaw([0.0, 1.0], [0.7, 0.3])).log_policy
lam_two = two[1] - two[0] + np.log(0.7 / 0.3)
other = FiniteLaw(coincident, prob)
other_n = BestOfN(2 * n).on(other).policy
nearest_other = optimize.minimize_scalar(
    lambda v: float(other_n @ (np.log(other_n) - other.log_policy(np.exp(v)))), bounds=(-6, 8), method="bounded"
).fun
small = np.array([0.01, 0.02])
exponent = np.diff(np.log([distance_to_tilts(bent(float(a))) for a in small]))[0] / np.log(2)
claims.glue(distance=distance_to_tilts(bent(bend)), missed=missed)
claims.record(
    claims.equal(
        "coincides",
        r"best-of-N equals $\pi_\lambda$ for the coinciding reward",
        "B26; we derive",
        best,
        tilt,
        rtol=1e-10,
    ),
    claims.true("increasing", "the coinciding reward increases with the rank", "we derive", np.diff(coincident) > 0),
    claims.equal(
        "two-outcomes",
        "with two responses best-of-N is always a tilt",
        "B26; we derive",
        np.exp(FiniteLaw([0.0, 1.0], [0.7, 0.3]).log_policy(lam_two)),
        np.exp(two),
        rtol=1e-10,
    ),
    claims.at_least(
        "converse",
        "bending the reward moves best-of-N away from every tilt (smallest increase along the bend)",
        "B26; we derive",
        np.diff(distances).min(),
        0.0,
    ),
    claims.equal(
        "quadratic",
        "near the coinciding reward the distance grows quadratically: local exponent",
        "we derive",
        exponent,
        2.0,
        atol=0.1,
    ),
    claims.at_least(
        "other-n", "the reward that fits N does not fit 2N: KL to the nearest tilt", "we derive", nearest_other, 1e-9
    ),
)

# %% [markdown]
# **Try:** `-p n 1000`. The coinciding reward differs from $(N-1)\log F_i$ by $\log(F_i/p_i)$, ever less in proportion; why?
