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
# Draw $N$ responses and keep the best. How far, in {term}`KL` divergence, does that move the {term}`policy` from the {term}`base model`?
#
# :::{admonition} Answer
# :class: answer
# By $\log N-\frac{N-1}{N}$ nats if two draws never have the same reward, and by less if they can, as always among finitely many responses, where one
# response can be drawn twice. With {{n_levels:d}} different rewards, best-of-{{n_shown:d}} spends {{kl_shown:.3f}} nats, where the formula says {{formula_shown:.3f}}. It never spends more than
# $D_{\max}={{kl_max:.3f}}$ nats, the divergence at which the best response is certain, while the formula grows without bound.
# :::

# %% tags=["parameters"]
n_levels: int = 7  # number of distinct rewards, in [2, 200]
n_shown: int = 256  # N that the answer quotes, in [2, 1000000]
n_max: int = 4096  # largest N drawn, in [4, 1000000000]
seed: int = 2  # seed of the random base law, >= 0

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
# A *level* is a value that the reward takes; responses on the same level are {term}`tied <tie>`.
#
# ```{prf:theorem} The law of best-of-N (B24)
# :label: thm-best-of-n
#
# Let reward level $i$ have base mass $P_i$ and let $F_i$ be the mass at or below it. If ties are broken at random, a response $y$ on level $i$ has
#
# $$\pi_N(y)=p(y)\,\frac{F_i^N-F_{i-1}^N}{P_i},$$
#
# and
#
# $$\KL{\pi_N}{p}=\sum_i\bigl(F_i^N-F_{i-1}^N\bigr)\log\frac{F_i^N-F_{i-1}^N}{P_i}.$$
#
# Both formulas make sense for every real $N\ge1$.
# ```
#
# The formula $\log N-\frac{N-1}N$ entered the literature with {cite:t}`Stiennon2020`; {cite:t}`Hilton2023` derives it, and {cite:t}`B24` show that it is
# an upper bound only.
#
# ```{prf:theorem} The formula is an upper bound (B24)
# :label: thm-formula
#
# $\KL{\pi_N}{p}\le\log N-\frac{N-1}{N}$. For $N>1$ equality holds if and only if no value of the reward has positive probability under $p$ (no
# atoms), so never on a finite set of responses.
# ```
#
# ```{prf:proof}
# (Ours.) Break ties by a uniform number drawn with each response. Best-of-$N$ of the pairs is the case without ties, where the
# density is $N F^{N-1}$ and its divergence $\log N-\frac{N-1}{N}$. Dropping the uniform number can only lower a divergence, and lowers it strictly as soon as
# a level has positive mass.
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
ax.axhline(family.max_kl, color=plotting.BASE, linewidth=1, linestyle=":", label=r"_$D_{\max}$")
ax.text(1.0, family.max_kl, r"$D_{\max}$", va="bottom", ha="left")
ax.set_xscale("log")
plotting.name_axes(ax, "N", "KL to the base model (nats)")
# %% [markdown]
# ## Win rate
#
# The {term}`win rate` is the probability that the kept response beats one further draw from the base model, a tie counting one half.
#
# ```{prf:proposition} Win rate (B24 without ties; with ties we derive)
# :label: prop-win-rate
#
# The win rate of best-of-$N$ is
#
# $$\sum_i(F_i^N-F_{i-1}^N)\,\tfrac12(F_{i-1}+F_i)\le\frac{N}{N+1},$$
#
# with equality if no level has positive mass.
# ```
#
# ```{prf:proof}
# Break ties at random, as above: the best of $N+1$ exchangeable draws is one of the first $N$ with probability $\frac{N}{N+1}$. Counting a tie
# half amounts to a new tie-breaking number for the kept response. Its own number, the largest of several, is stochastically larger than a new one, so the
# probability can only fall.
# ```
#
# {cite:t}`Gui24` and {cite:t}`I24` study win rates as the aim of alignment.
#
# Best-of-3 already has the win rate ¾, whatever the reward model: without ties, a win rate judged by the same reward says how many samples were drawn,
# not how good the best of them is.

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
# A verifier that says only "right" or "wrong" has two levels. If best-of-$N$ is plotted at $\log N-\frac{N-1}N$ nats there, it is drawn too far to the
# right, and seems to gain less per nat than it does. [The next chapter](11_distance_to_limit.ipynb) compares it with the limit at the KL that it
# truly spends.
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
        "upper-bound",
        r"exact KL over $\log N-\frac{N-1}{N}$, every $N\ge2$ drawn",
        "B24",
        exact[1:] / formula[1:],
        1.0,
    ),
    claims.at_most(
        "d-max",
        r"exact KL over $D_{\max}$, every $N$ drawn",
        "we derive",
        exact / family.max_kl,
        1.0,
        atol=1e-13,
    ),
    claims.equal(
        "equality-without-ties",
        "on 100,000 equally likely distinct rewards the formula is approached",
        "B24",
        few.on(fine).kl,
        few.spent_formula(),
        rtol=1e-4,
    ),
    claims.at_most(
        "win-rate",
        r"win rate over $\frac{N}{N+1}$, every $N\ge2$ drawn",
        "we derive",
        wins[1:] / no_ties[1:],
        1.0,
    ),
)

# %% [markdown]
# **Try:** `alignlib run best_of_n -p n_levels 2 -p n_shown 8 -o out.ipynb --html`: a verifier that says right or wrong. From which $N$ on has best-of-$N$ spent 99 % of $D_{\max}$?
