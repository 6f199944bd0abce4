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
# For which rewards is {term}`best-of-N` itself the KL-regularised optimum, a {term}`tilt` of the base model?
#
# :::{admonition} Answer
# :class: answer
# For each base law, $N>1$ and order of the responses there is exactly one, up to scale and shift. With two responses every reward is of this kind; with
# more, a reward almost never is. On this chapter's base model, raising the coinciding reward to the power {{power:.2f}} moves best-of-{{n:d}} away from every tilt, by at least
# {{distance:.3g-}} nats, and it then misses {{missed:.3g}} of the reward's range.
# :::

# %% tags=["parameters"]
n: int = 8  # number of draws of best-of-N, in [2, 100]
n_outcomes: int = 6  # responses of the base model, in [3, 200]
bend: float = 1.0  # logarithm of the power that bends the reward away from the coinciding one, in [0.1, 10]
seed: int = 0  # seed of the random base law, >= 0

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
# {cite:t}`Y24` leave open when the two laws agree exactly; {cite:t}`B26` answer it for one token.
#
# ```{prf:theorem} Exact coincidence for one token (B26)
# :label: thm-coincidence
#
# Let $N>1$, and let responses $1,\dots,k$ have rewards $r_1<\dots<r_k$, base masses $p_i>0$ and cumulative masses $F_i=p_1+\dots+p_i$. For $\lambda>0$,
# best-of-$N$ equals $\pi_\lambda$ if and only if there is a constant $c$ with
#
# $$\lambda\,r_i=\log\frac{F_i^N-F_{i-1}^N}{p_i}+c\qquad(i=1,\dots,k).$$
#
# If $k=2$, exactly one $\lambda$ satisfies this. If $k\ge3$, some $\lambda$ does only for one reward, up to scale and shift.
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
# Bend the reward: put the coinciding one on the range from 0 to 1 and raise it to a power, which keeps the order of the responses, and look for the
# *nearest* tilt. Best-of-$N$ stays the same, because the ranks do; the tilts change.


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
power = float(np.exp(bend))
reached = BestOfN(n).on(family)
missed = family.gain(family.lam_at_kl(reached.kl)) - reached.gain

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Distance of best-of-{{n:d}} to the nearest tilt as the reward is bent away from the coinciding one ({{n_outcomes:d}} responses, seed {{seed:d}}). It is zero at the coinciding reward only, and grows quadratically near it.", "name": "fig-coincidence"}, "image": {"alt": "A curve that touches zero at the left end and rises with the amount of bending, reaching {{distance:.1e}} nats at {{bend:g}}."}}
fig, ax = plotting.new()
plotting.curve(ax, amounts, distances, color=plotting.BEST_OF_N)
plotting.points(ax, bend, distance_to_tilts(bent(bend)), color=plotting.BASE, label="_bent as far as in the text")
plotting.name_axes(ax, "bending of the reward (log of the exponent)", "KL of best-of-N to the nearest tilt (nats)")
# %% [markdown]
# ## What it means
#
# Best-of-$N$ sees ranks, the optimum sees values. They agree for one reward, given the base law and $N$. Another $N$ usually asks for another reward: on
# this base model with the one that fits $N={{n:d}}$, best-of-{{twice:d}} is {{other:.3g}} nats from the nearest tilt. But not always. With three responses of base masses
# .02, .1715 and .8085 and rewards 0, .577 and 1 (the exact numbers are in the cell of claims), best-of-2 *and* best-of-8 are both exact tilts, while
# best-of-4 is not: on the range from 0 to 1 the middle reward that $N$ asks for falls with $N$ and rises again. This happens for {{turning:.0%}} of {{n_laws:d}} random laws of three responses.
#
# Near the coinciding reward the distance grows only quadratically, so a reward that is nearly right costs best-of-$N$ very little.
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
both = FiniteLaw([0.0, 0.57703630929, 1.0], [0.02, 0.17149784745738, 0.80850215254262])
wasted = {}
for draws in (2, 4, 8):
    found = BestOfN(draws).on(both)
    wasted[draws] = found.kl - float(both.kl_at_gain(found.gain))
n_laws, turning = 400, 0
for masses in np.random.default_rng(seed).dirichlet(np.ones(3), n_laws):
    asked = np.array([coincident_reward(masses, draws) for draws in (2, 3, 4, 6, 8, 12, 16, 32, 64, 128)])
    middle = np.diff((asked[:, 1] - asked[:, 0]) / (asked[:, 2] - asked[:, 0]))
    turning += bool((middle > 1e-9).any() and (middle < -1e-9).any())
claims.glue(
    distance=distance_to_tilts(bent(bend)),
    missed=missed,
    power=power,
    other=nearest_other,
    twice=2 * n,
    n_laws=n_laws,
    turning=turning / n_laws,
)
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
        atol=1e-12,
    ),
    claims.equal(
        "quadratic",
        "near the coinciding reward the distance grows quadratically: local exponent",
        "we derive",
        exponent,
        2.0,
        atol=0.1,
        must_hold=bool(distance_to_tilts(bent(0.01)) > 1e-10),  # else it is lost in rounding
    ),
    claims.at_least(
        "other-n",
        "this page's reward, which fits N, does not fit 2N: KL to the nearest tilt",
        "we derive",
        nearest_other,
        1e-9,
        must_hold=bool(other_n[-1] < 0.999),  # else best-of-2N is the best response, the tilt of a large lambda
    ),
    claims.at_most(
        "two-fit",
        "but one reward can fit two N: largest KL of best-of-2 and best-of-8 to their nearest tilts, three responses",
        "we derive",
        max(wasted[2], wasted[8]),
        1e-14,
    ),
    claims.at_least("one-between-does-not", "and best-of-4 of the same law is no tilt", "we derive", wasted[4], 1e-12),
)

# %% [markdown]
# **Try:** `alignlib run coincidence -p n 64 -o out.ipynb --html`. For large $N$ the coinciding reward is nearly $N\log F_i$: the differences of the other terms stay bounded while $N$ grows.
