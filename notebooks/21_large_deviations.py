# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Large deviations of the reward
#
# How rare is a long sequence whose reward per token is far from the mean: under the base model, under the optimum, under best-of-$N$?
#
# :::{admonition} Answer
# :class: answer
# The probability that a sequence of $m$ tokens has a mean reward of $x$ or beyond is about $e^{-mI(x)}$, with a rate $I(x)$ that follows from the law of one token: at $m={{m_long:d}}$ the exact exponents of the
# base model are within {{off:.5f+}} nats per token of it. Best-of-$N$ has the optimum's mean in the limit, but falls short of it with a probability whose exponent itself grows exponentially with the length; an excess is rarer than under the optimum too.
# :::

# %% tags=["parameters"]
token_prob: list[float] = [0.5, 0.3, 0.2]  # law of a token; masses, summing to one, in [0, 1]
token_reward: list[float] = [0.0, 1.0, 2.0]  # whole rewards of the tokens, as many as token_prob, any
delta: float = 0.3  # budget in nats per token of the optimum and of best-of-N, in (0, 20]
lengths: list[int] = [100, 200, 400, 1000, 2000, 4000, 10000]  # token counts m, multiples of 20, in [20, 20000]
fitted_at: list[float] = [1.0, 1.2, 1.5, 1.8]  # rewards per token whose tail is fitted, above the base mean, any

# %% tags=["conditions", "hide-input"]
import math

from alignbook.conditions import need
from alignlib.sequences import MemorylessModel

token = MemorylessModel(token_prob, token_reward, 1).token
need(
    delta < token.max_kl,
    f"delta must be below {token.max_kl:.4g}, the largest useful budget of this token in nats; got {delta:g}.",
)
need(
    all(token.base_reward < x < token.max_reward for x in fitted_at),
    f"fitted_at must lie between {token.base_reward:g}, the base mean, and {token.max_reward:g}; got {fitted_at}.",
)
need(all(math.fmod(r, 1.0) == 0.0 for r in token_reward), f"token_reward must be whole numbers; got {token_reward}.")
need(all(m % 20 == 0 for m in lengths), f"lengths must be multiples of 20; got {lengths}.")

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.sequences import MemorylessModel, exact_asymptotics

# %% [markdown]
# ## The statement
#
# A {term}`rate function` tells how fast a probability falls: $\P\approx e^{-mI}$ to leading order in the exponent.
#
# ```{prf:theorem} Large-deviation principle (Cramer1938; Y24)
# :label: thm-ldp
#
# Under $\pi_\lambda$ the reward per token $S/m$ satisfies a large-deviation principle with rate function
#
# $$I_\lambda(x)=\sup_\theta\,[\theta x-\Lambda(\lambda+\theta)+\Lambda(\lambda)].$$
#
# For $x$ between the mean and the largest reward of a token, $\frac1m\log\P(S\ge mx)\to-I_\lambda(x)$; likewise below the mean for
# $\P(S\le mx)$. And $I_\lambda(x)=\KL{\pi_{\theta_x}}{\pi_\lambda}$ for one token, where $\pi_{\theta_x}$ is the token tilt whose mean is $x$.
# ```
#
# ```{prf:proof}
# (Sketch, for $x$ above the mean.) *Upper bound.* By Markov's inequality, for every $\theta\ge0$,
#
# $$
# \begin{aligned}\P(S\ge mx)&\le e^{-m\theta x}\,\E_{\pi_\lambda}e^{\theta S}\\&=e^{-m[\theta x-\Lambda(\lambda+\theta)+\Lambda(\lambda)]},\end{aligned}
# $$
#
# so $\P(S\ge mx)\le e^{-mI_\lambda(x)}$ at every length. *Lower bound.* Change the law to the tilt $\pi_{\theta_x}$ with $\theta_x=\lambda+\theta$: its log-ratio to
# $\pi_\lambda$ is $\theta S-m\Lambda(\lambda+\theta)+m\Lambda(\lambda)$. Under it $S/m$ has mean $x$ and, by the central limit theorem, falls in
# $[mx,mx+\sqrt m]$ with a probability that stays positive, where the log-ratio is at most $mI_\lambda(x)+\theta\sqrt m$. So
# $\P(S\ge mx)\ge c\,e^{-mI_\lambda(x)-\theta\sqrt m}$. The supremum is attained at this $\theta$, and its value is the divergence of the two tilts. See {cite:t}`DemboZeitouni2010`.
# ```
#
# ```{prf:proposition} Tails of best-of-N (we derive)
# :label: prop-ldp-best-of-n
#
# Let $N=e^{m\delta}$ with $\delta>0$ below the divergence of the best tokens, let $\lambda$ spend $\delta$ nats on one token, and write $I=I_0$ and $R=R(\delta)$. In the limit of long sequences:
#
# - above $R(\delta)$, $\frac1m\log\P(S\ge mx)\to-(I(x)-\delta)$, and $I(x)-\delta=I_\lambda(x)+\lambda(x-R)$;
# - from the base mean up to $R(\delta)$, $-\log\P(S\le mx)=e^{m(\delta-I(x))+o(m)}$, and below the base mean it is larger still. There is no finite rate.
# ```
#
# ```{prf:proof}
# $\P(\text{all }N\text{ stay below }mx)=(1-e^{-mI(x)+o(m)})^{N}$, which is $1-e^{m(\delta-I(x))+o(m)}$ for $I(x)>\delta$ and
# $\exp(-e^{m(\delta-I(x))+o(m)})$ for $I(x)<\delta$; and $I(R)=\delta$. Legendre duality gives $I_\lambda(x)=I(x)-\lambda x+\Lambda(\lambda)$ and
# $\delta=\lambda R-\Lambda(\lambda)$.
# ```
#
# ## Exact tails against the rate function

# %%
model = MemorylessModel(token_prob, token_reward, 1)
token = model.token
lam = token.lam_at_kl(delta)
mean = float(token.mean_reward(lam))
laws = {m: MemorylessModel(token_prob, token_reward, m).sum_law() for m in sorted(lengths)}
grid = np.linspace(token.min_reward, token.max_reward, 201)


def exponents(law, centre: float, x: np.ndarray) -> np.ndarray:
    """``-(1/m) log P`` of the tail beyond x: upper tail above the centre, lower tail below it."""
    up = np.asarray(law.log_tail(law.length * x))
    down = np.asarray(law.log_head(law.length * x))
    return -np.where(x >= centre, up, down) / law.length


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Rate functions per token (lines) and exact tail exponents at $m={{m_short:d}}$ (crosses) and $m={{m_long:d}}$ (dots), $\\delta={{delta:g}}$. Top: base model and optimum, whose mean is $R={{mean:.2f}}$. Bottom: best-of-$e^{m\\delta}$ above $R$ has the base model's rate less $\\delta$; below $R$ the exponents grow without bound with $m$.", "name": "fig-rate-functions"}, "image": {"alt": "Two panels. Top: two convex curves touching zero at the base mean and at the optimum's mean, with exact exponents on them. Bottom: best-of-N's exponents follow the base rate minus delta above the mean and shoot up to its left."}}
fig, axes = plotting.new(rows=2, height=3.1, sharex=True)
some = np.linspace(token.min_reward, token.max_reward, 21)
longest, shortest = laws[max(laws)], laws[min(laws)]
for ax, centre, tilt, color, name in (
    (axes[0], token.base_reward, 0.0, plotting.BASE, "base model"),
    (axes[0], mean, lam, plotting.LIMIT, "the optimum"),
):
    ax.plot(grid, model.rate(grid, tilt), color=color, label=name)
    for law, marker in ((shortest, "x"), (longest, "o")):
        exact = exponents(law.tilted(tilt), centre, some)
        named = f"_{name}, exact, m = {law.length}"
        plotting.points(ax, some, exact, color=color, marker=marker, markersize=4.5, label=named)
plotting.legend(axes[0], loc="upper center")
above = grid[grid >= mean]
axes[1].plot(above, model.rate(above) - delta, color=plotting.BEST_OF_N, label=r"$I(x)-\delta$")
axes[1].plot(above, model.rate(above, lam), "--", color=plotting.LIMIT, linewidth=1.2, label="the optimum")
axes[1].axvline(mean, color=plotting.BOUND, linewidth=0.8, label="_mean reward of the optimum")
for law, marker in ((shortest, "x"), (longest, "o")):
    at = exponents(law.best_of_n(law.length * delta), mean, some)
    plotting.points(axes[1], some, at, marker=marker, markersize=4.5, label=f"best-of-N, m = {law.length}")
axes[1].set_ylim(-0.05, 1.8)
plotting.legend(axes[1], loc="upper left", fontsize=9)
plotting.name_axes(axes[0], "", "exponent (nats per token)")
plotting.name_axes(axes[1], "reward per token x", "exponent (nats per token)")
# %% [markdown]
# ## The finite-length correction, fitted
#
# At finite length the exponent is not yet the rate. {cite:t}`BahadurRao1960` showed that $-\log\P(S\ge mx)-mI(x)$ is $\frac12\log m$ plus a constant that they
# give, up to a rest that vanishes. Both can be compared with the exact tails.

# %%
fits, theory = {}, {}
step = float(np.gcd.reduce(np.diff(np.unique(token_reward)).astype(int)))  # of the lattice that sums lie on
for x in fitted_at:
    m = np.array(sorted(laws))
    left = np.array([-laws[k].log_tail(k * x) - k * float(model.rate(x)) for k in m.tolist()])
    fits[x] = np.polyfit(np.log(m), left, 1)
    theory[x] = [-exact_asymptotics(token, x, int(k), step=step) - k * float(model.rate(x)) for k in m]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What is left of $-\\log\\P(S\\ge mx)$ after $m I(x)$, in nats, for four thresholds x under the base model. Points: exact. Lines: $\\frac12\\log m$ with the constant of Bahadur and Rao, not fitted. Fitted slopes lie between {{slope_low:.4f}} and {{slope_high:.4f}}.", "name": "fig-correction"}, "image": {"alt": "Points on four parallel rising lines against the length on a logarithmic axis."}}
fig, ax = plotting.new()
for (x, predicted), color, marker in zip(theory.items(), plotting.CYCLE, "os^Dvx", strict=False):
    m = np.array(sorted(laws))
    ax.plot(m, predicted, color=color, linewidth=1.2, label=f"_x = {x:g}, Bahadur and Rao")
    left = [-laws[k].log_tail(k * x) - k * float(model.rate(x)) for k in m.tolist()]
    plotting.points(ax, m, left, color=color, marker=marker, markersize=4.5, label=f"x = {x:g}")
ax.set_xscale("log")
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "length m", r"$-\log P - m\,I(x)$ (nats)")
# %% [markdown]
# ## What it means
#
# The rate function tells how reliable one long sequence of the optimum is: the probability of a given shortfall per token falls exponentially with the
# length, at a rate that follows from one token. It does not apply to best-of-$N$. Equal mean rewards per token, the subject of the next pages, are not equal
# laws: best-of-$N$ almost never falls short, and to leading order in the exponent it exceeds the mean by $x-R$ with $e^{-m\lambda(x-R)}$ times the optimum's
# probability.
#
# ## Claims

# %% tags=["hide-input"]
inner = some[(some > token.min_reward) & (some < token.max_reward)]
m_long, m_short = max(laws), min(laws)


def miss(m: int, tilt: float, centre: float) -> np.ndarray:
    """Difference of exact exponent and rate function."""
    return np.abs(exponents(laws[m].tilted(tilt), centre, inner) - np.asarray(model.rate(inner, tilt)))


upper = some[some > mean + 0.05]
best_long = laws[m_long].best_of_n(m_long * delta)
below = mean - 0.1 * (mean - token.base_reward)
mid_lengths = [m for m in laws if m <= 4000] or [min(laws)]
per_token = np.array([-float(laws[m].best_of_n(m * delta).log_head(m * below)) / m for m in mid_lengths])
reach = mid_lengths[-1] * (delta - float(model.rate(below)))  # the exponent itself is about e^reach
claims.glue(
    m_long=m_long,
    m_short=m_short,
    off=float(miss(m_long, 0.0, token.base_reward).max()),
    mean=mean,
    slope_low=min(f[0] for f in fits.values()),
    slope_high=max(f[0] for f in fits.values()),
)
claims.record(
    claims.at_most(
        "ldp-optimum",
        r"exact exponents of the optimum approach $I_\lambda$: difference at the largest $m$, at most $(\frac12\log m+5)/m$",
        "Y24",
        miss(m_long, lam, mean),
        (0.5 * np.log(m_long) + 5) / m_long,
    ),
    claims.at_most(
        "ldp-base",
        r"the same for the base model",
        "Cramer1938; Y24",
        miss(m_long, 0.0, token.base_reward),
        (0.5 * np.log(m_long) + 5) / m_long,
    ),
    claims.equal(
        "rate-is-a-divergence",
        r"$I_\lambda(x)=I(x)-\lambda x+\Lambda(\lambda)$: two roads to the rate function",
        "Y24",
        model.rate(inner, lam),
        model.rate(inner) - lam * inner + token.log_partition(lam),
        atol=1e-12,
    ),
    claims.equal(
        "best-of-n-above",
        r"above $R$ best-of-N has the rate $I(x)-\delta$ (exact exponents at the largest $m$)",
        "we derive",
        exponents(best_long, mean, upper),
        model.rate(upper) - delta,
        atol=(0.5 * np.log(m_long) + 5) / m_long,
    ),
    claims.at_least(
        "best-of-n-below",
        r"below $R$ the exponent of best-of-N per token has no bound: largest $m\le4000$, over the largest of shorter $m$",
        "we derive",
        per_token[-1] / per_token[:-1].max(initial=0.0) if per_token[:-1].any() else np.inf,
        2.0,
        must_hold=bool(per_token.size > 1 and reach > 5.0),
    ),
    claims.equal(
        "correction-slope",
        r"the finite-length correction is $\frac12\log m$: fitted slopes",
        "BahadurRao1960",
        [f[0] for f in fits.values()],
        0.5,
        atol=0.02,
    ),
    claims.equal(
        "correction-constant",
        "its constant is Bahadur and Rao's: nats left at the largest length",
        "BahadurRao1960",
        [-float(laws[m_long].log_tail(m_long * x)) - m_long * float(model.rate(x)) for x in fitted_at],
        [theory[x][-1] for x in fitted_at],
        atol=0.01,
    ),
)

# %% [markdown]
# **Try:** `alignlib run large_deviations -p delta 0.05 -o out.ipynb --html`. With a smaller budget $\delta-I(x)$ is smaller, so that a shortfall below $R$ becomes rare only for longer sequences.
