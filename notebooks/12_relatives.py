# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Soft best-of-n and best-of-Poisson
#
# Is there a rule as simple as {term}`best-of-N` that comes closer to the {term}`limit`?
#
# :::{admonition} Answer
# :class: answer
# Soft best-of-$n$ comes as close as one likes with enough draws: for a bounded reward its law approaches the optimum $\pi_\lambda$ at rate $1/n$. With
# $n={{n_soft:d}}$ draws at $\lambda={{lam:g}}$ it reaches {{soft_share:.2%}} of the limit on this chapter's base model. Best-of-Poisson is nearer to the limit than
# best-of-$N$ at the same KL for uniform, Gaussian and exponential rewards. For a uniform one it reaches at least {{uniform_least:.2%-}} of the limit. But it sees
# only ranks, like best-of-$N$: its worst share is {{gaussian_least:.1%}} for a Gaussian reward and {{exponential_least:.1%}} for an exponential one.
# :::

# %% tags=["parameters"]
lam: float = 3.0  # inverse temperature of soft best-of-n, in [0.1, 50]
n_soft: int = 64  # draws of soft best-of-n that the answer quotes, in [2, 4096]
n_outcomes: int = 60  # responses of the finite base model, in [3, 1000]
seed: int = 2  # seed of the random base model, >= 0

# %% tags=["hide-input"]
import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from alignbook import claims
from alignbook.largest import largest
from alignlib import plotting
from alignlib.laws import Exponential, FiniteLaw, Gaussian, Uniform, dual_gain
from alignlib.rules import BestOfN, BestOfPoisson, SoftBestOfN

# %% [markdown]
# ## The samplers
#
# ```{prf:definition} Soft best-of-n (V25)
# :label: def-soft
#
# Draw $n$ responses and return one of them with probability proportional to $e^{\lambda r}$. At $\lambda=0$ it is the base model, at
# $\lambda=\infty$ best-of-$n$.
# ```
#
# ```{prf:definition} Best-of-Poisson (K25)
# :label: def-poisson
#
# Return the best of $1+\mathrm{Poisson}(\mu)$ responses.
# ```
#
# ```{prf:proposition} Their laws (best-of-Poisson: K25; soft best-of-n: we derive)
# :label: prop-relatives
#
# With $w=e^{\lambda r}$ and $\varphi(t)=\E_p e^{-tw}$, soft best-of-$n$ has the law
#
# $$\pi(y)=n\,p(y)\,w(y)\int_0^\infty e^{-t\,w(y)}\varphi(t)^{n-1}\,dt .$$
#
# Best-of-Poisson has the distribution function $F\,e^{-\mu(1-F)}$ in
# $F=F(r)$, hence without ties the density $(1+\mu u)\,e^{-\mu(1-u)}$ in $u=F(r)$.
# ```
#
# ```{prf:proof}
# Write $1/\sum_j w_j=\int_0^\infty e^{-t\sum_j w_j}dt$; the draws are independent given $t$. For the second, average $F^{1+k}$ over
# $k\sim\mathrm{Poisson}(\mu)$.
# ```
#
# As $n$ grows, soft best-of-$n$ tends to $\pi_\lambda$, and at rate $1/n$ in total variation if $\E_p e^{2\lambda r}$ is finite, as for every bounded reward. Otherwise
# it is slower, because single draws keep much of the weight: for an exponential reward with mean 1 that is so from $\lambda=\frac12$ on.
#
# The logarithm of the second density, $\mu u+\log(1+\mu u)$ up to a constant, is nearly linear in $u$ (its slope is about $2\mu$ for small $\mu$ and about
# $\mu$ for large $\mu$). So best-of-Poisson is nearly a tilt of the *rank* $u$, and nearly optimal where the reward is the rank: for a uniform reward.

# %% [markdown]
# ## Best-of-Poisson on a uniform reward
#
# Both rules use only the ranks of the rewards, so without ties their KL does not depend on the reward.

# %%
mu = np.geomspace(0.05, 60, 60)
n = 1 + np.geomspace(0.05, 60, 60)
poisson_kl = BestOfPoisson.along(mu).spent_formula()
# The best of k uniform rewards has mean 1 - 1/(k+1); average over k = 1 + Poisson(mu).
poisson_gain = 0.5 - (np.expm1(-mu) + mu) / mu**2
best = BestOfN.along(n).on(Uniform())
poisson_gap = Uniform().gain_at_kl(poisson_kl) - poisson_gain
best_gap = Uniform().gain_at_kl(best.kl) - best.gain


def missed_share(rule, law) -> float:
    """Share of the limit's gain that a rule misses on a law."""
    reached = rule.on(law)
    return 1.0 - reached.gain / float(law.gain_at_kl(reached.kl))


largest_poisson, largest_best = (
    largest(lambda v, make=make: Uniform().gain_at_kl(make(v).spent_formula()) - make(v).on(Uniform()).gain, values)
    for make, values in ((BestOfPoisson, mu), (BestOfN, n))
)
coarse = np.geomspace(0.05, 300, 25)
least = {
    type(law).__name__: 1.0 - largest(lambda v, law=law: missed_share(BestOfPoisson(v), law), coarse)[1]
    for law in (Uniform(), Gaussian(), Exponential())
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap to the limit against KL for a uniform reward on [0, 1]: best-of-N (real N) and best-of-Poisson. The largest gap of best-of-Poisson is {{poisson_gap:.2e}}, at $\\mu={{poisson_at:.2f}}$; that of best-of-N is {{best_gap:.2e}}, at $N={{best_at:.2f}}$.", "name": "fig-poisson-gap"}, "image": {"alt": "Two humps on a logarithmic scale: best-of-N peaks near {{best_gap:.3f}}, best-of-Poisson near {{poisson_gap:.1e}}; both fall quickly for large KL."}}
fig, ax = plotting.new()
plotting.curve(ax, best.kl, best_gap, "best-of-N", color=plotting.BEST_OF_N, at=1.2, offset=(6, 4), ha="left")
plotting.curve(ax, poisson_kl, poisson_gap, "best-of-Poisson", color=plotting.THIRD, at=0.4, offset=(0, 5))
ax.set_yscale("log")
ax.set_ylim(1e-7, 3e-2)
ax.set_xlim(0, 2.6)
plotting.name_axes(ax, plotting.KL_LABEL, "limit minus sampler (reward)")
# %% [markdown]
# ## Soft best-of-n on a finite base model
#
# The base model has {{n_outcomes:d}} responses with normal rewards; $\lambda={{lam:g}}$ is fixed and $n$ grows. The law of soft best-of-$n$ approaches
# $\pi_\lambda$, a point of the frontier; that of best-of-$n$ goes on to the best response.

# %%
rng = np.random.default_rng(seed)
reward, prob = rng.normal(size=n_outcomes), rng.dirichlet(np.ones(n_outcomes))
family = FiniteLaw(reward, prob)
target = np.exp(family.log_policy(lam))
draws = 2 ** np.arange(1, 13)
soft = [SoftBestOfN(int(k), lam).on(family) for k in draws]
laws = [one.log_policy for one in soft]
distance = np.array([np.exp(law) @ (law - np.log(target)) for law in laws])
soft_kl, soft_gain = np.array([one.kl for one in soft]), np.array([one.gain for one in soft])
soft_gap = family.gain(family.lam_at_kl(soft_kl)) - soft_gain
sharp = BestOfN.along(draws).on(family)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Soft best-of-n at $\\lambda={{lam:g}}$ climbs along the frontier and stops at $\\pi_\\lambda$; best-of-N goes on to the end, below the frontier. {{n_outcomes:d}} responses, seed {{seed:d}}.", "name": "fig-soft"}, "image": {"alt": "Gain against KL: the frontier, best-of-N points slightly below it, and soft best-of-n points on it that accumulate at one place."}}
fig, ax = plotting.new()
edge = np.linspace(0, 1, 200) ** 2 * family.max_kl
plotting.curve(
    ax, edge, family.gain(family.lam_at_kl(edge)), "the limit", at=0.8 * family.max_kl, offset=(-6, 6), ha="right"
)
plotting.points(ax, sharp.kl, sharp.gain, color=plotting.BEST_OF_N, label="best-of-N")
plotting.points(ax, soft_kl, soft_gain, color=plotting.THIRD, marker="D", markersize=5, label="soft best-of-n")
ax.plot(family.kl(lam), family.gain(lam), "*", color=plotting.BASE, markersize=13, label=r"$\pi_\lambda$")
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, plotting.KL_LABEL, "gain in reward over the base model")
# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL of soft best-of-n to the optimum $\\pi_\\lambda$, $\\lambda={{lam:g}}$: the last doubling divides it by {{ratio:.2f}}, so it falls like $1/n^2$ while the law itself moves by $1/n$.", "name": "fig-soft-rate"}, "image": {"alt": "KL to the optimum against n on logarithmic axes, falling along a straight line of slope minus two."}}
fig, ax = plotting.new(height=3.0)
ax.plot(draws, distance, "D-", color=plotting.THIRD, markersize=5)
ax.set_xscale("log", base=2)
ax.set_yscale("log")
plotting.name_axes(ax, "n", r"KL to $\pi_\lambda$ (nats)")
# %% [markdown]
# ## What it means
#
# Neither rule needs training or the probabilities of the model. Best-of-Poisson comes within {{poisson_gap:.1e+}} of the limit for a reward that is uniform
# under the base model. For Gaussian and exponential rewards it is still nearer to the limit than best-of-$N$ at the same KL, by {{poisson_lead:.1%}} of the limit's gain for the
# exponential one at a small KL, and by little at a large one. This is no rule for all rewards: for the reward $\log F(r)$ best-of-$N$ is itself the optimum ({prf:ref}`thm-log-f`). Both fall short of the limit,
# because no rule that sees only ranks knows how much better the best response is. Soft best-of-$n$ sees values, and approaches the optimum for a chosen
# $\beta$ as $n$ grows.
#
# ## Claims

# %% tags=["hide-input"]
variation = np.array([np.abs(np.exp(law) - target).sum() / 2 for law in laws])
rate = np.polyfit(np.log(draws[-5:]), np.log(variation[-5:]), 1)[0]
by_quadrature = np.array(
    [quad(lambda u, m=m: (u - 0.5) * (1 + m * u) * np.exp(-m * (1 - u)), 0, 1, epsabs=1e-14)[0] for m in mu[::10]]
)
quoted = SoftBestOfN(n_soft, lam).on(family)


def lead(one: float, law) -> float:
    """Share of the limit that best-of-Poisson has and best-of-N, with as many real N as spend the same, has not."""
    rule = BestOfPoisson(one)
    spent = rule.spent_formula()
    same = 1 + brentq(lambda v: BestOfN(1 + v).spent_formula() - spent, 1e-6, 1e6, xtol=1e-13)
    return (rule.on(law).gain - BestOfN(same).on(law).gain) / float(law.gain_at_kl(spent))


leads = {type(law).__name__: [lead(float(v), law) for v in mu[::10]] for law in (Uniform(), Gaussian(), Exponential())}
claims.glue(
    poisson_at=largest_poisson[0],
    poisson_gap=largest_poisson[1],
    best_at=largest_best[0],
    best_gap=largest_best[1],
    soft_share=quoted.gain / family.gain(family.lam_at_kl(quoted.kl)),
    uniform_least=least["Uniform"],
    gaussian_least=least["Gaussian"],
    exponential_least=least["Exponential"],
    ratio=distance[-2] / distance[-1],
    poisson_lead=leads["Exponential"][0],
)
claims.record(
    claims.at_most(
        "never-above",
        "gain of either rule over the limit's at its KL, all parameters drawn",
        "Y24, P26",
        np.concatenate([poisson_gain / (poisson_gain + poisson_gap), soft_gain / (soft_gain + soft_gap)]),
        1.0,
        atol=1e-9,
    ),
    claims.equal(
        "poisson-gap",
        r"gap of best-of-Poisson, uniform reward: closed form and quadrature of its density with the dual limit",
        "we derive",
        poisson_gap[::10],
        dual_gain(Uniform(), poisson_kl[::10]) - by_quadrature,
        atol=1e-11,
    ),
    claims.at_most(
        "poisson-closer",
        "uniform reward: best-of-Poisson's largest gap over best-of-N's",
        "K25; we derive",
        largest_poisson[1] / largest_best[1],
        1 / 50,
    ),
    claims.at_least(
        "poisson-above-best-of-n",
        "uniform, Gaussian and exponential rewards: best-of-Poisson's share of the limit less best-of-N's, six KLs each",
        "we derive",
        np.concatenate(list(leads.values())),
        0.0,
    ),
    claims.at_least(
        "largest-gap",
        "no point of the grid lies above the largest gap that was searched for: difference",
        "we derive",
        largest_poisson[1] - poisson_gap,
        0.0,
    ),
    claims.at_most(
        "ranks-only",
        "best-of-Poisson's worst share for an exponential reward: ranks alone do not reach the limit",
        "we derive",
        least["Exponential"],
        0.75,
    ),
    claims.equal(
        "soft-rate",
        r"soft best-of-n approaches $\pi_\lambda$ at rate $1/n$ in total variation: fitted exponent",
        "V25",
        rate,
        -1.0,
        atol=0.1,
        must_hold=bool(draws[-5] > np.exp(2 * family.kl(lam))),
    ),
)

# %% [markdown]
# **Try:** `alignlib run relatives -p lam 20 -o out.ipynb --html`. Soft best-of-$n$ now needs many more draws, at least about $e^{D(\lambda)}$: [](05_samples_needed.ipynb) says why.
