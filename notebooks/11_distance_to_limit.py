# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How close is best-of-N to the limit?
#
# What {term}`share` of the largest possible {term}`gain` does {term}`best-of-N` reach, at the {term}`KL` that it spends itself?
#
# :::{admonition} Answer
# :class: answer
# The share depends on the upper tail of the reward. For a uniform reward best-of-4 reaches {{uniform_share:.1%}} of the limit. For a Gaussian reward
# best-of-2 reaches {{gaussian_first:.1%}} and best-of-{{n_last:d}} {{gaussian_last:.1%}}; for an exponential one best-of-{{n_last:d}} reaches
# {{exponential_last:.1%}}. Where high rewards are rare the share can be close to zero ({{rare_share:.1%}} in an example with $N=16$). It is never above
# 100 %.
# :::

# %% tags=["parameters"]
n_max: int = 1024  # largest N, in [4, 1000000]
success: float = 0.2  # success rate of the 0/1 reward, in [0.001, 0.999]
n_random: int = 60  # random finite base models, in [5, 2000]
seed: int = 0  # seed of the random base models, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import Exponential, FiniteLaw, Gaussian, Laplace, Uniform, dual_gain
from alignlib.rules import BestOfN

# %% [markdown]
# ## Why it is close at all
#
# ```{prf:theorem} Best-of-N is an optimum, for another reward (Gui24)
# :label: thm-log-f
#
# Without ties, best-of-$N$ is the KL-regularised optimum for the reward $\log F(r)$ with $\lambda=N-1$, where $F(r)$ is the share of base responses
# with smaller reward.
# ```
#
# ```{prf:proof}
# Its density relative to $p$ is $N F(r)^{N-1}=e^{(N-1)\log F(r)+\log N}$: a tilt.
# ```
#
# Best-of-$N$ is therefore on the frontier of $\log F(r)$. It is close to the frontier of $r$ if $\log F(r)$ is nearly a linear function of $r$ over
# the rewards that best-of-$N$ usually returns. For a uniform reward it is: $F=r$, and $\log r\approx r-1$ near the top. For rewards with a longer upper tail it is not.

# %%
n = np.unique(np.round(np.geomspace(2, n_max, 40)).astype(int))
best = BestOfN.along(n)
kl = best.spent_formula()
laws = {"uniform": Uniform(), "Gaussian": Gaussian(), "exponential": Exponential(), "Laplace": Laplace()}
limit = {name: law.gain_at_kl(kl) for name, law in laws.items()}
reached = {name: best.on(law).gain for name, law in laws.items()}
share = {name: reached[name] / limit[name] for name in laws}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the limit's gain that best-of-N reaches at its own KL, four reward laws without ties, N from 2 to {{n_max:d}}. Rewards with exponential upper tails get the smallest shares.", "name": "fig-share"}, "image": {"alt": "Share of the limit against N: uniform rises to one, Gaussian lies near {{gaussian_first:.2f}} and rises slowly, Laplace and exponential lie lower."}}
fig, ax = plotting.new()
for (name, values), color, style in zip(share.items(), plotting.CYCLE, ("-", "-", "-", "--"), strict=False):
    low = name == "exponential"
    place = {"at": n_max / 16, "offset": (6, -9), "ha": "left"} if low else {"offset": (0, 5), "ha": "right"}
    plotting.curve(ax, n, values, name, color=color, linestyle=style, **place)
ax.axhline(1.0, color=plotting.BASE, linewidth=1, linestyle=":", label="_the limit")
ax.set_xscale("log")
ax.set_ylim(min(v.min() for v in share.values()) - 0.05, 1.04)
plotting.name_axes(ax, "N", "share of the limit at equal KL")
# %% [markdown]
# ## In absolute terms
#
# Shares hide the scale. On a uniform reward the shortfall itself vanishes quickly.

# %%
powers = 2 ** np.arange(1, 11)
of_powers = BestOfN.along(powers).on(Uniform())
uniform_gap = Uniform().gain_at_kl(of_powers.kl) - of_powers.gain

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What best-of-N leaves on the table at its own KL, uniform reward on [0, 1]: from {{gap_first:.2e}} at $N=2$ to {{gap_last:.1e}} at $N=1024$.", "name": "fig-uniform-gap"}, "image": {"alt": "Gap to the limit against N on logarithmic axes, falling from {{gap_first:.4f}} at N equal to 2 ever faster to {{gap_last:.1e}}."}}
fig, ax = plotting.new()
ax.plot(powers, np.maximum(uniform_gap, 1e-17), "o-", color=plotting.BEST_OF_N)
ax.set_xscale("log", base=2)
ax.set_yscale("log")
plotting.name_axes(ax, "N", "limit minus best-of-N (reward)")
# %% [markdown]
# ## With ties, and at random
#
# With ties the true KL is smaller than the formula ({prf:ref}`thm-formula`), and the comparison has to use the true one. On a 0/1 reward, here with
# success rate {{success:g}}, best-of-$N$ **is** a tilt and reaches the limit exactly. Beside it, {{n_random:d}} random base models with 3 to 40 responses.

# %%
binary = FiniteLaw([0.0, 1.0], [1 - success, success])
of_binary = best.on(binary)
binary_share = of_binary.gain / binary.gain(binary.lam_at_kl(of_binary.kl))

rng = np.random.default_rng(seed)
few = np.array([2, 4, 16, 64])
shares = np.empty((n_random, few.size))
for row in shares:
    k = int(rng.integers(3, 41))
    reward, prob = rng.normal(size=k), rng.dirichlet(np.ones(k))
    model = FiniteLaw(reward, prob)
    of_model = BestOfN.along(few).on(model)
    row[:] = of_model.gain / model.gain(model.lam_at_kl(of_model.kl))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the limit reached by best-of-N on {{n_random:d}} random finite base models (dots; bar: median), at the exact KL; seed {{seed:d}}. The worst is {{worst_share:.3f}}.", "name": "fig-random-shares"}, "image": {"alt": "Four columns of dots for N equal to 2, 4, 16 and 64; all lie between {{worst_share:.2f}} and 1, medians near {{median_share:.2f}}."}}
fig, ax = plotting.new()
for i, column in enumerate(shares.T):
    place, named = i + np.linspace(-0.25, 0.25, n_random), f"_N={few[i]}"
    ax.plot(place, np.sort(column), ".", color=plotting.BEST_OF_N, alpha=0.6, label=named)
    ax.plot([i - 0.3, i + 0.3], [np.median(column)] * 2, color=plotting.BASE, label=f"{named}: median")
ax.axhline(1.0, color=plotting.BASE, linewidth=1, linestyle=":", label="_the limit")
ax.set_xticks(range(few.size), [f"N={v}" for v in few])
ax.set_ylabel("share of the limit at equal KL")
# %% [markdown]
# Finally, a reward on which best-of-$N$ does badly: nearly all responses lie within the lowest thousandth of the range, and a mass of {{jackpot:.0e}} lies at
# the top.

# %%
jackpot = 1e-4
rare_reward = np.append(np.linspace(0.0, 1e-3, 1001), 1.0)
rare_prob = np.append(np.full(1001, (1 - jackpot) / 1001), jackpot)
rare = FiniteLaw(rare_reward, rare_prob)
of_rare = BestOfN(16).on(rare)
rare_share = of_rare.gain / rare.gain(rare.lam_at_kl(of_rare.kl))

# %% [markdown]
# ## What it means
#
# {cite:t}`P26` find best-of-$N$ almost on the frontier in their experiments. For a uniform reward the exact calculation agrees. Where high rewards
# are rare it does not: for an exponential reward at least {{missing:.0%-}} of the gain are missing at every $N$ up to {{n_last:d}}, the worst random model reaches
# {{worst_share:.3f}}, and with the rare top reward best-of-16 reaches {{rare_share:.1%}}. The optimum raises the probability of the rare response directly; best-of-$N$
# has to draw it first.
#
# Whether best-of-$N$ counts as optimal depends on what is asked. {cite:t}`H25` show that it is not, for an imperfect reward model and a bounded {term}`coverage <coverage of a policy>` of the optimum, and give a {term}`pessimistic rule` that
# is; {cite:t}`R26` find it optimal for the win rate; {cite:t}`BoT26` choose between optimism and pessimism by the tail of the reward. Here the reward is exact and the
# measure is its mean at equal KL.
#
# ## Claims

# %% tags=["hide-input"]
claims.glue(
    uniform_share=1.0 - uniform_gap[1] / Uniform().gain_at_kl(of_powers.kl[1]),
    gaussian_first=share["Gaussian"][0],
    gaussian_last=share["Gaussian"][-1],
    exponential_last=share["exponential"][-1],
    missing=1.0 - share["exponential"].max(),
    n_last=n[-1],
    gap_first=uniform_gap[0],
    gap_last=abs(uniform_gap[-1]),
    worst_share=shares.min(),
    rare_share=rare_share,
    jackpot=jackpot,
    median_share=np.median(shares),
)
grid = (np.arange(20_000) + 0.5) / 20_000
tilt = FiniteLaw(np.log(grid)).kl(7.0)
claims.record(
    claims.at_most(
        "never-above",
        "best-of-N's share of the limit at its KL, four analytic laws, every N drawn",
        "Y24, P26",
        np.array(list(share.values())),
        1.0,
        atol=1e-9,
    ),
    claims.at_most(
        "never-above-random",
        "best-of-N's share of the limit at its KL, random finite models",
        "Y24, P26",
        shares,
        1.0,
        atol=1e-10,
    ),
    claims.equal(
        "two-outcomes",
        "for a 0/1 reward best-of-N reaches the limit exactly: share, every $N$ drawn",
        "B26 (one token)",
        binary_share,
        1.0,
        rtol=1e-9,
    ),
    claims.equal(
        "uniform-gap",
        r"gap to the limit for a uniform reward, $N=2$ to $1024$: primal and dual agree",
        "we derive",
        uniform_gap,
        dual_gain(Uniform(), of_powers.kl) - (powers - 1) / (2 * (powers + 1)),
        atol=1e-12,
    ),
    claims.equal(
        "log-f",
        r"best-of-8 is the tilt of $\log F$ with $\lambda=7$: same KL (grid of 20,000)",
        "Gui24",
        tilt,
        BestOfN(8).spent_formula(),
        rtol=1e-3,
    ),
    claims.at_most(
        "rare-rewards",
        "a bounded reward with a rare jackpot leaves best-of-16 less than a twentieth of the limit",
        "we derive",
        rare_share,
        0.05,
    ),
    claims.at_most(
        "tails-matter",
        "the exponential tail leaves best-of-N a smaller share than the Gaussian one at every N",
        "we derive",
        share["exponential"],
        share["Gaussian"],
    ),
)

# %% [markdown]
# **Try:** `alignlib run distance_to_limit -p n_max 1000000 -o out.ipynb --html`. Does the Gaussian share tend to one? At what rate?
