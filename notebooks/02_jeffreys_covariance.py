# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Two forms of the gain
#
# What does the {term}`gain` in reward consist of, and can it be known without training?
#
# :::{admonition} Answer
# :class: answer
# The gain is $\beta$ times the {term}`Jeffreys divergence`, the sum of the divergences in both directions: $\beta\,\KL{\pi_\lambda}{p}$ of it is paid as
# penalty and $\beta\,\KL{p}{\pi_\lambda}$ is left. It is also a covariance under the base model, so samples of the base model suffice to
# estimate it. For a 0/1 reward with success rate {{success:g}} and $\lambda={{lam_shown:g}}$, {{forward_share:.0%}} of the gain is paid; for
# an exponential reward with $\lambda={{lam_exponential:g}}$ it is {{exponential_share:.0%}}.
# :::

# %% tags=["parameters"]
n_outcomes: int = 50  # number of responses of the base model, in [2, 2000]
offset: float = 1e6  # constant added to every reward, in [-1e9, 1e9]
n_lam: int = 33  # values of lambda between 1e-8 and 1e8, in [5, 200]
success: float = 0.1  # success rate of the 0/1 reward, in [0.001, 0.999]
lam_shown: float = 2.0  # lambda of the 0/1 reward in the answer, in [0.001, 100]
lam_exponential: float = 0.9  # lambda of the exponential reward in the answer, in [0.001, 0.999]
seed: int = 0  # seed of the random base law, >= 0

# %% tags=["hide-input"]
import mpmath as mp
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian

# %% [markdown]
# ## The statements
#
# ```{prf:theorem} Jeffreys form (P26)
# :label: thm-jeffreys
#
# For $0<\lambda<\lambda^*$ ({prf:ref}`thm-optimum`), with $\beta=1/\lambda$,
#
# $$R(\lambda)-R(0)=\beta\,\bigl[\KL{\pi_\lambda}{p}+\KL{p}{\pi_\lambda}\bigr].$$
# ```
#
# ```{prf:proof}
# $\log(\pi_\lambda/p)=\lambda r-\Lambda$. Its mean under $\pi_\lambda$ is $\KL{\pi_\lambda}{p}=\lambda R(\lambda)-\Lambda$, under $p$ it is
# $-\KL{p}{\pi_\lambda}=\lambda R(0)-\Lambda$; subtract.
# ```
#
# ```{prf:theorem} Covariance form (P26)
# :label: thm-covariance
#
# For $0<\lambda<\lambda^*$,
#
# $$R(\lambda)-R(0)=\frac{\Cov_p\bigl(r,e^{\lambda r}\bigr)}{\E_p e^{\lambda r}} .$$
# ```
#
# ```{prf:proof}
# $R(\lambda)=\E_p[r\,e^{\lambda r}]/\E_p e^{\lambda r}$; subtract $R(0)=\E_p r$ over the common denominator.
# ```
#
# Both are short calculations with an exponential family; {cite:t}`P26` found what they say about alignment. The covariance contains only means under
# the base model, so it can be estimated from samples of it, before anything is trained.
#
# ```{prf:proposition} What is paid and what is left (we derive)
# :label: prop-split-of-the-gain
#
# The penalised objective $\E_\varphi r-\beta\KL{\varphi}{p}$ rises from the base model to its maximum, at $\pi_\lambda$, by
# $\beta\,\KL{p}{\pi_\lambda}$. The rest of the gain, $\beta\,\KL{\pi_\lambda}{p}$, is paid as penalty: the share
#
# $$\frac{\KL{\pi_\lambda}{p}}{\KL{\pi_\lambda}{p}+\KL{p}{\pi_\lambda}}=\frac12+\frac{\lambda\,\kappa_3}{12\,\kappa_2}+O(\lambda^2)$$
#
# of it, where $\kappa_2$ and $\kappa_3$ are the variance and the third central moment of the reward under $p$, if its fourth moment is finite. The share
# is one half at every $\lambda$ for a Gaussian reward, above one half for small $\lambda$ if $\kappa_3>0$ (the reward is skewed to the right), and takes every
# value between 0 and 1.
# ```
#
# ```{prf:proof}
# The first sentence is {prf:ref}`thm-jeffreys` less the penalty; that no policy does better is {prf:ref}`prop-closeness`. The expansion follows from
# $\KL{\pi_\lambda}{p}=\frac{\lambda^2\kappa_2}2+\frac{\lambda^3\kappa_3}3+\dots$ and $\KL{p}{\pi_\lambda}=\frac{\lambda^2\kappa_2}2+\frac{\lambda^3\kappa_3}6+\dots$ A 0/1
# reward has shares near 0 for large $\lambda$, an exponential one has shares near 1 for $\lambda$ near 1; in between they are continuous.
# ```

# %% [markdown]
# ## The computation
#
# The same gain is computed in four ways and compared with 80-digit arithmetic. *Difference of means* averages the reward under $\pi_\lambda$ in the
# textbook way. To every reward {{offset:g}} is added, which changes no gain.

# %%
rng = np.random.default_rng(seed)
reward = offset + rng.normal(size=n_outcomes)
prob = rng.dirichlet(np.ones(n_outcomes))
family = FiniteLaw(reward, prob)
lam = np.geomspace(1e-8, 1e8, n_lam)


def exact_gain(value: float) -> mp.mpf:
    """The definition, in enough digits for any cancellation."""
    with mp.workdps(80):
        r = [mp.mpf(x) for x in reward.tolist()]
        p = [mp.mpf(x) for x in family.prob.tolist()]
        p = [x / mp.fsum(p) for x in p]
        w = [x * mp.exp(mp.mpf(value) * (y - max(r))) for x, y in zip(p, r, strict=True)]
        return mp.fsum(a * y for a, y in zip(w, r, strict=True)) / mp.fsum(w) - mp.fsum(
            a * y for a, y in zip(p, r, strict=True)
        )


truth = [exact_gain(v) for v in lam.tolist()]


def error(values: np.ndarray) -> np.ndarray:
    """Relative error of each value, never below one rounding of a double so that it can be drawn."""
    return np.array([max(float(abs(mp.mpf(float(v)) - t) / abs(t)), 1e-17) for v, t in zip(values, truth, strict=True)])


# %%
shifted = np.exp(lam[:, None] * (reward - reward.max())) * prob
policy = shifted / shifted.sum(axis=1, keepdims=True)
naive_mean = policy @ reward
naive_log_partition = np.log(shifted.sum(axis=1)) + lam * reward.max()
naive_kl = lam * naive_mean - naive_log_partition
naive_reverse = naive_log_partition - lam * (prob @ reward)
naive_jeffreys = (naive_kl + naive_reverse) / lam

errors = {
    "difference of means": error(naive_mean - prob @ reward),
    "Jeffreys, from two rounded KLs": error(naive_jeffreys),
    "Jeffreys, this library": error(family.jeffreys(lam) / lam),
    "covariance, this library": error(family.gain(lam)),
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Same mathematics, different digits: relative error of the gain against 80-digit arithmetic, {{n_outcomes:d}} responses, rewards offset by {{offset:g}} (seed {{seed:d}}). Sums of terms of one sign keep full precision; differences of rounded numbers lose it as $\\lambda$ falls.", "name": "fig-digits"}, "image": {"alt": "Relative error against lambda on logarithmic axes: two naive forms rise to {{naive_worst:.0e}} for small lambda, the library's two forms stay near 1e-16 throughout."}}
fig, ax = plotting.new(height=3.7)
for (name, values), color, style in zip(
    errors.items(), (*plotting.CYCLE[1::-1], plotting.THIRD, plotting.BASE), ("-", "--", "-", ":"), strict=True
):
    ax.plot(lam, values, label=name, color=color, linestyle=style)
ax.set_xscale("log")
ax.set_yscale("log")
ax.set_ylim(3e-18, 1e3)
plotting.legend(ax, loc="upper right")
plotting.name_axes(ax, r"$\lambda=1/\beta$", "relative error of the gain")
# %% [markdown]
# ## The two divergences
#
# For small $\lambda$ the two divergences are equal to leading order, $\tfrac12\lambda^2\Var_p r$ each. For large $\lambda$ the forward one,
# $\KL{\pi_\lambda}{p}$, stays below $D_{\max}={{kl_max:.2f}}$ nats, while the reverse one grows without bound, because the tilted model gives the worse
# responses less and less mass. How the gain divides between them depends on the law of the reward ({numref}`fig-paid-share`).

# %%
wide = np.geomspace(1e-3, 1e3, 121)
forward, backward = family.kl(wide), family.reverse_kl(wide)
rare, common = Bernoulli(success), Bernoulli(1 - success)
lams = np.geomspace(1e-2, 20, 121)
below_one = lams[lams < 0.999]
shares = {
    f"0/1, success {success:g}": (lams, rare.kl(lams) / rare.jeffreys(lams)),
    f"0/1, success {1 - success:g}": (lams, common.kl(lams) / common.jeffreys(lams)),
    "Gaussian": (lams, Gaussian().kl(lams) / Gaussian().jeffreys(lams)),
    "exponential": (below_one, Exponential().kl(below_one) / Exponential().jeffreys(below_one)),
}

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "Share of the gain that is paid as penalty, $\\KL{\\pi_\\lambda}{p}$ over the sum of both divergences. It is one half for small $\\lambda$ and, at every $\\lambda$, for a Gaussian reward; nothing bounds it otherwise.", "name": "fig-paid-share"}, "image": {"alt": "Four curves of the paid share against lambda that start at one half: the exponential one rises towards one, the two zero-one rewards depart in opposite directions at first and fall in the end, the Gaussian one stays."}}
fig, ax = plotting.new()
for (name, (x, y)), color, style in zip(shares.items(), plotting.CYCLE, ("-", "--", ":", "-."), strict=False):
    ax.plot(x, y, label=name, color=color, linestyle=style)
ax.set_xscale("log")
ax.set_ylim(0, 1)
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, r"$\lambda=1/\beta$", "share of the gain that is paid")
# %% [markdown]
# On this chapter's base model:


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The two divergences in the Jeffreys form along $\\lambda$, for the same base model: equal to leading order for small $\\lambda$, then the forward one saturates at $D_{\\max}={{kl_max:.2f}}$ nats and the reverse one grows like $\\lambda$.", "name": "fig-two-divergences"}, "image": {"alt": "Two curves on logarithmic axes that coincide at first; one flattens at {{kl_max:.1f}} nats, the other keeps rising."}}
fig, ax = plotting.new()
plotting.curve(
    ax,
    wide,
    backward,
    r"$\mathrm{KL}(p\,\Vert\,\pi_\lambda)$",
    color=plotting.BEST_OF_N,
    at=60.0,
    offset=(-8, 6),
    ha="right",
)
plotting.curve(ax, wide, forward, r"$\mathrm{KL}(\pi_\lambda\Vert\,p)$", at=60.0, offset=(0, -8))
ax.set_xscale("log")
ax.set_yscale("log")
plotting.name_axes(ax, r"$\lambda=1/\beta$", "divergence (nats)")
# %% [markdown]
# ## What it means
#
# For a policy at the optimum, a training log that reports $\KL{\pi}{p}$ and $\beta$ does not yet tell the gain: the reverse divergence is missing, and it
# may be the smaller or the larger part. A program that estimates the gain under a strong penalty (small $\lambda$) as a difference of means reports
# rounding errors, {{naive_worst:.0%}} of the gain at $\lambda=10^{-8}$ for the worse of the two obvious programs; the covariance of *centred* rewards keeps all
# its digits ({numref}`fig-digits`).
#
# ## Claims

# %% tags=["hide-input"]
naive = np.maximum(errors["difference of means"], errors["Jeffreys, from two rounded KLs"])
success_shown = success * np.exp(lam_shown) / (1 - success + success * np.exp(lam_shown))
coins = np.array([[1 - success_shown, success_shown], [1 - success, success]])
penalty = float((coins[0] * np.log(coins[0] / coins[1])).sum()) / lam_shown
# The lambda that takes the rarer outcome to one half: before it takes as much as was common, most is paid.
even = abs(np.log(success / (1 - success)))
low, high = Bernoulli(min(success, 1 - success)), Bernoulli(max(success, 1 - success))
claims.glue(
    forward_share=rare.kl(lam_shown) / rare.jeffreys(lam_shown),
    exponential_share=Exponential().kl(lam_exponential) / Exponential().jeffreys(lam_exponential),
    naive_worst=naive[0],
    kl_max=family.max_kl,
)
claims.record(
    claims.equal(
        "jeffreys",
        r"the gain is $\beta$ times the Jeffreys divergence, $\lambda$ from 1e-8 to 1e8",
        "P26",
        family.jeffreys(lam) / lam,
        family.gain(lam),
        rtol=1e-12,
    ),
    claims.equal(
        "paid",
        "share of the gain that is paid, 0/1 reward: from the library's divergences, and from the definition of KL",
        "we derive",
        rare.kl(lam_shown) / rare.jeffreys(lam_shown),
        penalty / (success_shown - success),
        rtol=1e-12,
    ),
    claims.true(
        "paid-more-and-less-than-half",
        "the share that is paid is above one half for one reward and below it for another, at one and the same $\\lambda$",
        "we derive",
        np.array([low.kl(even) > 0.5 * low.jeffreys(even), high.kl(even) < 0.5 * high.jeffreys(even)]),
        must_hold=abs(success - 0.5) > 1e-3,
    ),
    claims.equal(
        "small-lam",
        r"both divergences start as $\frac12\lambda^2\mathrm{Var}_p r$",
        "we derive",
        np.array([family.kl(1e-6), family.reverse_kl(1e-6)]),
        0.5e-12 * family.variance(0.0),
        rtol=1e-4,
    ),
)

# %% [markdown]
# **Try:** `alignlib run jeffreys_covariance -p offset 0 -o out.ipynb --html`. Both textbook programs recover many digits, but not all: what is left is the rounding of the two means themselves, which are
# nearly equal for small $\lambda$.
