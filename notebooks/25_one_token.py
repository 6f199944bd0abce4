# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One token: rewards at a chosen distance
#
# How far can {term}`best-of-N` be from the nearest optimum on one {term}`token`, and does coincidence on one token carry over to two?
#
# :::{admonition} Answer
# :class: answer
# On this chapter's base law best-of-{{n:d}} can be any distance up to {{most:.3f-}} nats from the nearest optimum, if only the reward of the best response is
# changed: widening the range of rewards {{top:.2f}} times puts it {{distance:g}} nats away. Coincidence does not carry over: with the coinciding
# reward on each of two tokens and $N^2$ samples, best-of-$N^2$ is {{two:.3f}} nats from the nearest optimum, and on {{m_max:d}} tokens best-of-$N^m$ is {{longest:.3f}} nats away.
# :::

# %% tags=["parameters"]
prob: list[float] = [
    0.4,
    0.3,
    0.2,
    0.1,
]  # base masses in increasing order of reward, summing to one, 2 to 1000 values, in (0, 1)
n: int = 4  # number of draws N on one token, in [2, 1000]
distance: float = 0.02  # how many nats best-of-N shall be from the nearest tilt, in [0, 1]
m_max: int = 24  # tokens of the longest sequence, in [2, 60]

# %% tags=["conditions", "hide-input"]
from alignlib.sequences import reward_at_distance

reward_at_distance([mass / sum(prob) for mass in prob], n, distance)  # refuses a distance out of reach

# %% tags=["hide-input"]
import math

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.sequences import MemorylessModel, largest_distance, nearest_tilt, reward_at_distance

# %% [markdown]
# ## The statement
#
# {prf:ref}`thm-coincidence` says when the two coincide. How far apart they are otherwise has a simple measure.
#
# ```{prf:proposition} The nearest optimum earns the same (we derive)
# :label: prop-nearest-tilt
#
# If some tilt $\pi_\lambda$ has the mean reward of best-of-$N$, as always on finitely many responses, $\min_\lambda\KL{\pi_N}{\pi_\lambda}$ is attained there, and equals
# $\KL{\pi_N}{p}-D(\lambda)$: the nats that best-of-$N$ spends beyond the policy that earns the same with the least divergence.
# ```
#
# This is moment matching, as for maximum likelihood in any exponential family; the identity behind it is Csiszár's ({prf:ref}`prop-closeness`).
#
# ```{prf:proof}
# $\KL{\pi_N}{\pi_\lambda}=\KL{\pi_N}{p}-\lambda\E_{\pi_N}r+\Lambda(\lambda)$ is convex in $\lambda$ with derivative
# $\Lambda'(\lambda)-\E_{\pi_N}r$. Where it vanishes, $\lambda\E_{\pi_N}r-\Lambda(\lambda)=\lambda\Lambda'(\lambda)-\Lambda(\lambda)=D(\lambda)$.
# ```
#
# ## A reward for every distance

# %%
base = np.array(prob) / sum(prob)
same = reward_at_distance(base, n, 0.0)
apart = reward_at_distance(base, n, distance)
policy = BestOfN(n).on(FiniteLaw(apart, base)).policy  # ranks only: the same for both rewards
tilts = {}
for name, reward in (("coinciding", same), ("apart", apart)):
    lam = nearest_tilt(MemorylessModel(base, reward, 1).sum_law(), math.log(n)).lam
    tilts[name] = np.exp(FiniteLaw(reward, base).log_policy(lam))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Best-of-{{n:d}} and the nearest optimum, response by response. Top: the coinciding reward. Bottom: the reward at {{distance:g}} nats. Best-of-$N$ is the same in both, since the order of rewards is.", "name": "fig-chosen-distance"}, "image": {"alt": "Two panels of grouped bars over the responses: identical heights in the top panel, slightly different ones in the bottom panel."}}
fig, axes = plotting.new(rows=2, height=2.5, sharex=True)
at = np.arange(base.size)
for ax, tilt, title in zip(axes, tilts.values(), ("coinciding reward", f"{distance:g} nats apart"), strict=True):
    ax.bar(at - 0.27, base, width=0.25, color=plotting.BOUND, label="base model")
    ax.bar(
        at,
        policy,
        width=0.25,
        color=plotting.BEST_OF_N,
        label=f"best of {n}",
        hatch="//",
        edgecolor="white",
        linewidth=0,
    )
    ax.bar(at + 0.27, tilt, width=0.25, color=plotting.LIMIT, label="nearest optimum")
    plotting.name_axes(ax, "", "probability", title)
axes[0].set_ylim(0, 1.6 * max(base.max(), policy.max()))
plotting.legend(axes[0], loc="upper center", fontsize=9)
axes[1].set_xticks(at, [f"{r:.2f}" for r in apart])
axes[1].set_xlabel("reward of the response (bottom panel)")
# %% [markdown]
# ## The second token
#
# Give every token the coinciding reward, and choose the best of $N^m$ sequences of $m$ tokens, so that the budget per token stays the same. What happens on
# long sequences depends on the mass $p_k$ of the best response. With $N<1/p_k$ the distance grows like $\frac12\log m$ ({prf:ref}`prop-half-log`), though not with
# every single token. With $N>1/p_k$ the one best sequence, of probability $p_k^m$, is nearly certain to be among $N^m$ draws: best-of-$N^m$ returns it, as the
# tilts of large $\lambda$ do, and the distance vanishes. Here $1/p_k={{one_over_top:.3g}}$.

# %%
sizes = np.arange(1, m_max + 1)
grown = {m: nearest_tilt(MemorylessModel(base, same, int(m)).sum_law(), m * math.log(n)).distance for m in sizes}
fixed = {m: nearest_tilt(MemorylessModel(base, same, int(m)).sum_law(), math.log(n)).distance for m in sizes}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Distance of best-of-$N^m$ (dots) and of best-of-{{n:d}} (squares) to the nearest optimum, for the reward that makes them coincide on one token. With $N^m$ samples it is {{longest:.2f}} nats at $m={{m_max:d}}$; with $N$ fixed it is {{settled:.2f}} nats at $m={{m_max:d}}$ and levels off.", "name": "fig-second-token"}, "image": {"alt": "Distance against length: zero at one token for both; the curve for a fixed number of draws rises to a small constant."}}
fig, ax = plotting.new()
ax.plot(sizes, list(grown.values()), "o-", markersize=4, color=plotting.BEST_OF_N, label=r"best of $N^m$")
ax.plot(sizes, list(fixed.values()), "s-", markersize=4, color=plotting.THIRD, label=f"best of {n}")
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "length m", "KL to the nearest optimum (nats)")
# %% [markdown]
# ## What it means
#
# On one token the question has a complete answer: one reward for each base law and $N$, and a known distance for every other. It does not carry over to
# sequences. There the ranks are those of the sum, whose law changes with every further token, while the reward of a token does not. What holds for long
# sequences is agreement per token ({prf:ref}`thm-asymptotic-equivalence`).
#
# ## Claims

# %% tags=["hide-input"]
law_same = MemorylessModel(base, same, 1).sum_law()
law_apart = MemorylessModel(base, apart, 1).sum_law()
family = FiniteLaw(apart, base)
nearest = nearest_tilt(law_apart, math.log(n))
searched = min(
    float(policy @ (np.log(policy) - family.log_policy(v))) for v in nearest.lam * np.linspace(0.9, 1.1, 2001)
)
unit = apart[:-1].max()
asked = np.log(np.diff(np.append(0.0, np.cumsum(base)) ** n) / base)
claims.glue(
    top=float(same[-2] / unit) if unit > 0 else math.inf,
    most=largest_distance(base, n),
    two=grown[2],
    settled=fixed[int(sizes[-1])],
    longest=grown[int(sizes[-1])],
    one_over_top=1 / base[-1],
)
claims.record(
    claims.equal(
        "coincide",
        "with the coinciding reward best-of-N is the optimum, response by response",
        "B26; we derive",
        tilts["coinciding"],
        policy,
        rtol=1e-10,
    ),
    claims.equal(
        "only-when",
        r"conversely, the $\lambda$ that earns the same turns the reward into $\log((F_i^N-F_{i-1}^N)/p_i)$ up to a constant",
        "B26; we derive",
        nearest_tilt(law_same, math.log(n)).lam * (same - same[0]),
        asked - asked[0],
        rtol=1e-8,
        atol=1e-12,
    ),
    claims.equal(
        "chosen", "the reward built for a distance has it (nats)", "we derive", nearest.distance, distance, atol=1e-10
    ),
    claims.equal(
        "nearest",
        "distance of the nearest of 2,001 tilts around the one that earns the same",
        "we derive",
        searched,
        nearest.distance,
        atol=1e-9,
    ),
    claims.equal(
        "wasted",
        r"the distance is $\KL{\pi_N}{p}-D(\lambda)$ at equal reward",
        "we derive",
        BestOfN(n).on(FiniteLaw(apart, base)).kl - family.kl(nearest.lam),
        nearest.distance,
        atol=1e-12,
    ),
    claims.at_least(
        "second-token",
        r"two tokens with $N^2$ samples do not coincide: distance in nats",
        "we derive",
        grown[2],
        1e-6,
        must_hold=bool(n * base[-1] < 1),
    ),
    claims.at_least(
        "grows",
        r"with $N<1/p_k$ the distance grows: at the longest $m$, against a quarter of it",
        "we derive",
        grown[m_max],
        grown[max(1, m_max // 4)],
        must_hold=bool(n * base[-1] <= 0.5),
    ),
)

# %% [markdown]
# **Try:** `alignlib run one_token -p n 16 -o out.ipynb --html`: now $N>1/p_k$, and on long sequences the distance vanishes. With two responses every distance above
# zero is refused, because best-of-$N$ is always a tilt there.
