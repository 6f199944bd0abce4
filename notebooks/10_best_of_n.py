# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Best-of-N, exactly
#
# Draw $N$ responses, keep the best. How many nats does that cost?
#
# :::{admonition} Answer
# :class: answer
# $\log N-\frac{N-1}{N}$ only if two draws are never worth the same. On a reward with {{n_levels:d}} levels, best-of-{{n_shown:d}} costs
# {{kl_shown:.3f}} nats where the formula says {{formula_shown:.3f}}; and it can never cost more than $D_{\max}={{kl_max:.3f}}$, while the
# formula grows for ever.
# :::

# %% tags=["parameters"]
n_levels: int = 7  # number of distinct rewards, in [2, 200]
n_shown: int = 256  # N that the answer quotes, in [2, 1000000]
n_max: int = 4096  # largest N drawn, in [4, 1000000000]
seed: int = 4  # seed of the random base law, >= 0

# %% tags=["hide-input"]
import itertools
import math

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN

# %% [markdown]
# ## The statements
#
# ```{prf:theorem} The law of best-of-N (B24; finite form with ties: we derive)
# :label: thm-best-of-n
#
# Let reward level $i$ have base mass $P_i$ and let $F_i$ be the mass at or below it. With ties shared among equals,
#
# $$\pi_N(y)=p(y)\,\frac{F_i^N-F_{i-1}^N}{P_i},\qquad
# \KL{\pi_N}{p}=\sum_i\bigl(F_i^N-F_{i-1}^N\bigr)\log\frac{F_i^N-F_{i-1}^N}{P_i}.$$
#
# Both extend to every real $N\ge1$.
# ```
#
# ```{prf:theorem} The formula is an upper bound (B24; proof: we derive)
# :label: thm-formula
#
# $\KL{\pi_N}{p}\le\log N-\frac{N-1}{N}$. For $N>1$ equality holds if and only if no value of the reward has positive probability under $p$ (no
# atoms), so never on a finite set of responses.
# ```
#
# ```{prf:proof}
# Break ties at random, by a uniform $u$ drawn with each response. Best-of-$N$ of the pair is the case without ties, where the
# density is $N F^{N-1}$ and its divergence $\log N-\frac{N-1}{N}$. Forgetting $u$ can only lower a divergence, and does so strictly as soon as
# a level has mass.
# ```

# %%
rng = np.random.default_rng(seed)
reward = np.arange(n_levels, dtype=float)
prob = rng.dirichlet(np.full(n_levels, 1.5))
family = FiniteLaw(reward, prob)
n = np.unique(np.round(np.geomspace(1, n_max, 60)).astype(int))
rules = BestOfN.along(n)
best = rules.on(family)
exact = best.kl
formula = rules.spent_formula()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL of best-of-N on a reward with {{n_levels:d}} levels (seed {{seed:d}}): exact, and by the formula for rewards without ties. The exact cost saturates at $D_{\\max}={{kl_max:.2f}}$ nats.", "name": "fig-best-of-n-kl"}, "image": {"alt": "KL against N on a logarithmic axis: the formula is a straight line in log N; the exact curve bends away below it and flattens at {{kl_max:.1f}} nats."}}
fig, ax = plotting.new()
plotting.curve(
    ax,
    n,
    formula,
    r"$\log N-\frac{N-1}{N}$",
    color=plotting.BOUND,
    at=0.15 * n_max,
    offset=(-10, 6),
    ha="right",
    linestyle="--",
)
plotting.curve(ax, n, exact, "exact", color=plotting.BEST_OF_N, at=0.3 * n_max, offset=(0, -9))
ax.axhline(family.max_kl, color=plotting.BASE, linewidth=1, linestyle=":")
ax.text(1.0, family.max_kl, r"$D_{\max}$", va="bottom", ha="left")
ax.set_xscale("log")
plotting.name_axes(ax, "N", "KL to the base model (nats)")
# %% [markdown]
# ## Win rate
#
# ```{prf:proposition} Win rate (we derive)
# :label: prop-win-rate
#
# The best of $N$ beats one further base draw, ties counted half, with probability
# $\sum_i(F_i^N-F_{i-1}^N)\,\tfrac12(F_{i-1}+F_i)\le\frac{N}{N+1}$, with equality if no value has positive probability.
# ```
#
# ```{prf:proof}
# Break ties at random, as above: the best of $N+1$ exchangeable draws is one of the first $N$ with probability $\frac{N}{N+1}$. Counting a tie
# half gives the winner a fresh tie-breaker in place of its own, which is stochastically larger; that can only lower the probability.
# ```
#
# Half of the way from ½ to 1 is covered with $N=3$, and no reward model changes that: without ties a win rate judged by the same reward says
# how many samples were drawn, not how good the best one is.

# %%
wins = best.win_rate
no_ties = n / (n + 1)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Win rate of best-of-N over one base draw, ties counted half, for the same reward with {{n_levels:d}} levels; without ties it is $N/(N+1)$ whatever the reward.", "name": "fig-win-rate"}, "image": {"alt": "Win rate against N on a logarithmic axis: the curve with ties stays below N over N plus one, both start at one half."}}
fig, ax = plotting.new()
plotting.curve(
    ax,
    n,
    no_ties,
    "without ties: $N/(N+1)$",
    color=plotting.BOUND,
    at=0.04 * n_max,
    offset=(4, 4),
    ha="center",
    linestyle="--",
)
plotting.curve(ax, n, wins, f"{n_levels} levels", color=plotting.BEST_OF_N, at=0.1 * n_max, offset=(0, -9))
ax.set_xscale("log")
ax.set_ylim(0.48, 1.06)
plotting.name_axes(ax, "N", "win rate over one base draw")
# %% [markdown]
# ## What it means
#
# A plot of best-of-$N$ against $\log N-\frac{N-1}N$ on a verifier that says only right or wrong overstates the price; against the true
# price, best-of-$N$ looks better than its reputation. [The next chapter](11_distance_to_limit.ipynb) measures how good.
#
# ## Claims

# %% tags=["hide-input"]
shown = BestOfN(n_shown)
claims.glue(kl_shown=shown.on(family).kl, formula_shown=shown.spent_formula(), kl_max=family.max_kl)
short = slice(0, min(4, n_levels))
small_reward, small_prob = reward[short], prob[short] / prob[short].sum()
drawn = np.zeros(small_reward.size)
for draws in itertools.product(range(small_reward.size), repeat=3):
    drawn[max(draws)] += math.prod(small_prob[list(draws)])
fine, few = FiniteLaw(np.arange(100_000)), BestOfN.along([2, 16, 64])
claims.record(
    claims.equal(
        "enumeration",
        "the law of best-of-3 equals the enumeration of all triples of draws",
        "B24",
        BestOfN(3).on(FiniteLaw(small_reward, small_prob)).policy,
        drawn,
        rtol=1e-12,
    ),
    claims.at_most(
        "upper-bound", r"the exact KL never exceeds $\log N-\frac{N-1}{N}$", "B24", exact, formula, atol=1e-14
    ),
    claims.at_most(
        "d-max",
        r"the exact KL never exceeds $D_{\max}$",
        "we derive",
        exact,
        np.full_like(exact, family.max_kl),
        atol=1e-12,
    ),
    claims.equal(
        "equality-without-ties",
        "on 100,000 equally likely distinct rewards the formula is approached",
        "B24",
        few.on(fine).kl,
        few.spent_formula(),
        rtol=1e-4,
    ),
    claims.at_most("win-rate", r"the win rate never exceeds $\frac{N}{N+1}$", "we derive", wins, no_ties, atol=1e-12),
)

# %% [markdown]
# **Try:** `-p n_levels 2 -p n_shown 8`: a verifier's verdict. At which $N$ has best-of-$N$ paid 99 % of all it will ever pay?
