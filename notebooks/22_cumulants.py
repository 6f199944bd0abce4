# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Scaled cumulants and Rényi cross entropy
#
# How much does the reward of a sequence vary under the optimum and under best-of-$N$, and how does that grow with the length?
#
# :::{admonition} Answer
# :class: answer
# Under the optimum the mean, the variance and every further cumulant of the reward are proportional to the length, with factors that are derivatives of a Rényi cross
# entropy. At $m={{m_long:d}}$ tokens the variance is {{variance_optimum:.0f}} under the optimum and {{variance_best:.2f}} under best-of-$N$, where it stays
# bounded at every length. Only the mean per token is the same, and that in the limit of long sequences.
# :::
#
# The {term}`cumulants` of a random reward are the derivatives at 0 of $\log\E e^{sS}$: mean, variance, and measures of skewness and of heavier tails.

# %% tags=["parameters"]
token_prob: list[float] = [0.4, 0.3, 0.2, 0.1]  # base law p of a token; masses, summing to one, in (0, 1)
target: list[float] = [
    0.1,
    0.2,
    0.3,
    0.4,
]  # law q that p is tilted towards, with reward log q; summing to one, as many as token_prob, in (0, 1)
lam: float = 0.8  # tilt, pi is proportional to p q^lam, in [0.001, 20]
order: int = 8  # highest cumulant, in [2, 30]
lengths: list[int] = [5, 20, 80, 240]  # token counts m, increasing, 2 to 20 values, in [2, 400]

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import need

need(
    max(target) > min(target),
    f"target must hold two different masses or more, for log q is the reward; got {target}.",
)

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.sequences import MemorylessModel, cumulants, renyi_cross_entropy

# %% [markdown]
# ## The statement
#
# {cite:t}`Y24` align $p$ towards a law $q$: the reward of a token is $\rho=\log q$, and the optimum is the *mismatched tilt*
# $\pi_\lambda\propto p\,q^\lambda$. Any reward of a token is of this form up to a constant. Let $H_t(\phi\|q)=\frac1{1-t}\log\sum\phi\,q^{t-1}$, the Rényi cross entropy of order $t$.
#
# ```{prf:theorem} Growth of the scaled cumulants (Y24)
# :label: thm-scaled-cumulants
#
# $$\frac1m\log\E_{\pi_\lambda}e^{sS}=\Lambda(\lambda+s)-\Lambda(\lambda)=-s\,H_{1+s}(\pi_\lambda\|q),$$
#
# at every length, so the $n$-th cumulant of $S$ under $\pi_\lambda$ is $m\,\Lambda^{(n)}(\lambda)$.
# ```
#
# ```{prf:proof}
# $\sum\pi_\lambda q^s=\sum p\,q^{\lambda+s}/\sum p\,q^\lambda$, and $(1-t)H_t=\log\sum\pi_\lambda q^{t-1}$ with $t=1+s$. Independent tokens add their
# logarithms.
# ```
#
# ```{prf:proposition} Scaled cumulants of best-of-N (we derive)
# :label: prop-cgf-best-of-n
#
# For $N=e^{m\delta}$ with $\delta>0$ below the divergence of the best tokens, and the $\lambda$ that spends $\delta$ nats on one token, as $m\to\infty$,
#
# $$\frac1m\log\E_{\pi_N}e^{sS}\to\begin{cases}s\,R(\delta)&s\le\lambda,\\\Lambda(s)+\delta&s\ge\lambda.\end{cases}$$
# ```
#
# ```{prf:proof}
# The lemma of {cite:t}`Varadhan1966` with the rate of {prf:ref}`prop-ldp-best-of-n`: maximise $sx-I(x)+\delta$ over $x\ge R$. The maximiser is $R$ while
# $I'(R)=\lambda\ge s$, and the tilt of mean $\Lambda'(s)$ beyond.
# ```
#
# ## Both generating functions, exactly
#
# Rewards $\log q$ rarely lie on a lattice; the law of the sum is then computed type by type.

# %%
models = {m: MemorylessModel.towards(token_prob, target, m) for m in sorted(lengths)}
model = models[max(models)]
token, length = model.token, max(models)
delta = float(token.kl(lam))
mean = float(token.mean_reward(lam))
policy = np.exp(token.log_policy(lam))
laws = {m: each.sum_law() for m, each in models.items()}
best = {m: law.best_of_n(m * delta) for m, law in laws.items()}
s = np.linspace(-2.0, 3.0, 51)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Scaled cumulant generating functions, less $sR$. The optimum's is the Rényi form at every length (crosses: exact law at $m={{m_long:d}}$). Best-of-$N$'s tends to the dashed limit, flat up to $s=\\lambda={{lam:g}}$: only the slope at $s=0$, the mean, is shared.", "name": "fig-cgf"}, "image": {"alt": "A convex curve for the optimum touching zero at s = 0 with crosses on it; curves for best-of-N at growing lengths approach a limit that is zero up to lambda and rises beyond."}}
fig, ax = plotting.new(height=3.8)
ax.plot(
    s, -s * renyi_cross_entropy(policy, target, 1 + s) - s * mean, color=plotting.LIMIT, label="optimum, Rényi form"
)
exact = laws[length].tilted(lam).log_partition(s[::5]) / length - s[::5] * mean
plotting.points(ax, s[::5], exact, color=plotting.LIMIT, marker="x", label=f"optimum, exact, m = {length}")
for (m, law), style in zip(best.items(), [":", "-.", (0, (5, 1)), "-"], strict=False):
    ax.plot(
        s,
        law.log_partition(s) / m - s * mean,
        linestyle=style,
        color=plotting.BEST_OF_N,
        linewidth=1.3,
        label=f"best-of-N, m = {m}",
    )
beyond = np.where(s <= lam, 0.0, np.asarray(token.log_partition(s)) + delta - s * mean)
ax.plot(s, beyond, "--", color=plotting.BASE, linewidth=1.4, label="its limit")
plotting.legend(ax, loc="upper center", fontsize=9)
plotting.name_axes(ax, "s", r"$\frac{1}{m}\log\mathrm{E}\,e^{sS}-sR$ (nats per token)")
# %% [markdown]
# ## Cumulants one by one

# %%
rates = model.cumulants(order, lam)
short = models[min(models)].sum_law().tilted(lam)
exact_short = cumulants(short.reward, np.exp(short.log_prob), order) / short.length
variance = {m: (laws[m].variance(lam), best[m].variance(0.0)) for m in models}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Variance of the sequence reward, exact, against the length: linear under the optimum (line: $m\\Lambda''(\\lambda)$), bounded under best-of-$e^{m\\delta}$, where, off a lattice, it tends towards that of a Gumbel variable of scale $1/\\lambda$, $\\pi^2/(6\\lambda^2)={{gumbel:.2f}}$.", "name": "fig-variance"}, "image": {"alt": "On logarithmic axes, the optimum's variance rises as a straight line of slope one; best-of-N's levels off."}}
fig, ax = plotting.new()
m = np.array(list(variance))
ax.plot(m, m * rates[1], color=plotting.LIMIT, linewidth=1.2, label=r"_$m\Lambda''(\lambda)$")
plotting.points(ax, m, [v[0] for v in variance.values()], color=plotting.LIMIT, label="the optimum")
plotting.points(ax, m, [v[1] for v in variance.values()], marker="s", label="best-of-N")
ax.axhline(
    np.pi**2 / (6 * lam**2), linestyle="--", color=plotting.BEST_OF_N, linewidth=1.2, label=r"$\pi^2/6\lambda^2$"
)
ax.set_xscale("log")
ax.set_yscale("log")
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "length m", "variance of the reward")
# %% [markdown]
# ## What it means
#
# The Rényi form gives every cumulant of the optimum's reward from two token laws, exactly and at every length. Only the mean per token carries over to
# best-of-$N$. What varies there is the largest of many sums, and by extreme-value theory {cite:p}`Gnedenko1943` its variance tends to that of a Gumbel variable,
# $\pi^2/6\lambda^2$, if the token rewards lie on no lattice. On a lattice, as always with two letters, it stays bounded but need not converge.
#
# ## Claims

# %% tags=["hide-input"]
inner = s[np.abs(s) > 1e-9]
step = 1e-3
numeric = [-(k * step) * renyi_cross_entropy(policy, target, 1 + k * step) for k in (-2, -1, 1, 2)]
curvature = (-numeric[0] + 16 * numeric[1] + 16 * numeric[2] - numeric[3]) / (12 * step**2)
gap = {m: np.abs(best[m].log_partition(s) / m - s * mean - beyond).max() for m in models}
claims.glue(
    m_long=length,
    m_short=min(models),
    worst=float(np.abs(exact_short / rates - 1).max()),
    variance_best=variance[length][1],
    variance_optimum=variance[length][0],
    gumbel=np.pi**2 / (6 * lam**2),
)
claims.record(
    claims.equal(
        "renyi-form",
        r"$\frac1m\log\E_{\pi_\lambda}e^{sS}=-sH_{1+s}(\pi_\lambda\|q)$: exact law at the largest $m$ against the Rényi form",
        "Y24",
        laws[length].tilted(lam).log_partition(inner) / length,
        -inner * renyi_cross_entropy(policy, target, 1 + inner),
        rtol=1e-9,
        atol=1e-12,
    ),
    claims.equal(
        "cumulants",
        r"cumulants of the exact law at the smallest $m$, over $m$, are $\Lambda^{(n)}(\lambda)$",
        "Y24",
        exact_short,
        rates,
        rtol=1e-6,
    ),
    claims.equal(
        "second-derivative",
        r"the second derivative of $-sH_{1+s}$ at 0, by differences, is the variance per token",
        "Y24",
        curvature,
        rates[1],
        rtol=1e-6,
    ),
    claims.equal(
        "mismatched",
        r"the optimum is $p\,q^\lambda$, normalised",
        "Y24",
        policy,
        np.array(token_prob) * np.array(target) ** lam / (np.array(token_prob) * np.array(target) ** lam).sum(),
        rtol=1e-12,
    ),
    claims.at_most(
        "best-of-n-cgf",
        r"best-of-N's generating function approaches its limit: the largest distance falls with every longer $m$",
        "we derive",
        np.diff(list(gap.values())),
        0.0,
    ),
    claims.equal(
        "best-of-n-variance",
        r"best-of-N's variance at the largest $m$ is $\pi^2/6\lambda^2$ to a fifth",
        "we derive",
        variance[length][1] * 6 * lam**2 / np.pi**2,
        1.0,
        atol=0.2,
        must_hold=False,
    ),
)

# %% [markdown]
# **Try:** `alignlib run cumulants -p lam 3 -o out.ipynb --html`: the flat part of best-of-$N$'s curve ends at $s=\lambda$. And `alignlib run cumulants -p order 20 -o out.ipynb --html` compares twenty cumulants in the claims.
