# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Two readings of the gain
#
# What does the gain consist of, and can it be had without training?
#
# :::{admonition} Answer
# :class: answer
# It is $\beta$ times a symmetric distance to the base model, and it is a covariance under the base model alone. Both forms agree with
# 80-digit arithmetic to {{worst:.0e}} over sixteen decades of $\lambda$, if they are computed with care: the worse of two obvious programs is
# off by {{naive_worst:.0%}} at $\lambda=10^{-8}$.
# :::

# %% tags=["parameters"]
n_outcomes: int = 50  # number of responses of the base model, in [2, 2000]
offset: float = 1e6  # constant added to every reward, in [-1e9, 1e9]
n_lam: int = 33  # values of lambda between 1e-8 and 1e8, in [5, 200]
seed: int = 0  # seed of the random base law, >= 0

# %% tags=["hide-input"]
import mpmath as mp
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw

# %% [markdown]
# ## The statements
#
# ```{prf:theorem} Jeffreys form (P26; proof: we derive)
# :label: thm-jeffreys
#
# For $\lambda>0$ with $\Lambda(\lambda)<\infty$ and $\E_p|r|<\infty$,
#
# $$R(\lambda)-R(0)=\beta\,\bigl[\KL{\pi_\lambda}{p}+\KL{p}{\pi_\lambda}\bigr],\qquad \beta=1/\lambda .$$
# ```
#
# ```{prf:proof}
# $\log(\pi_\lambda/p)=\lambda r-\Lambda$. Its mean under $\pi_\lambda$ is $\KL{\pi_\lambda}{p}=\lambda R(\lambda)-\Lambda$, under $p$ it is
# $-\KL{p}{\pi_\lambda}=\lambda R(0)-\Lambda$; subtract.
# ```
#
# ```{prf:theorem} Covariance form (P26; proof: we derive)
# :label: thm-covariance
#
# Under the same conditions,
#
# $$R(\lambda)-R(0)=\frac{\Cov_p\bigl(r,e^{\lambda r}\bigr)}{\E_p e^{\lambda r}} .$$
# ```
#
# ```{prf:proof}
# $R(\lambda)=\E_p[r\,e^{\lambda r}]/\E_p e^{\lambda r}$; subtract $R(0)=\E_p r$ over the common denominator.
# ```
#
# The first says what the reward costs: the gain is *bought* by moving away from the base model in both directions. The second says that
# samples of the base model suffice to know it, before any training.

# %% [markdown]
# ## The computation
#
# Four computations of one number, and 80-digit arithmetic as the judge. *Difference of means* averages the reward under $\pi_\lambda$ in the
# textbook way; the rewards carry an offset of {{offset:g}}, to which no gain should be sensitive.

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
# ## Where the two halves of the price go
#
# For a small $\lambda$ the two divergences are equal, $\tfrac12\lambda^2\Var_p r$ each. Far out the forward one saturates at
# $D_{\max}={{kl_max:.2f}}$ nats while the reverse one grows without bound: the base model's worse responses become impossible.

# %%
wide = np.geomspace(1e-3, 1e3, 121)
forward, backward = family.kl(wide), family.reverse_kl(wide)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The two divergences in the Jeffreys form along $\\lambda$, for the same base model: equal for small $\\lambda$, then the forward one saturates at $D_{\\max}={{kl_max:.2f}}$ nats and the reverse one grows like $\\lambda$.", "name": "fig-two-divergences"}, "image": {"alt": "Two curves on logarithmic axes that coincide at first; one flattens at {{kl_max:.1f}} nats, the other keeps rising."}}
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
# A training log that reports $\KL{\pi}{p}$ alone sees half of the price at most. And a program that estimates the gain for a strong penalty
# (small $\lambda$) as a difference of means reports rounding noise; the covariance of *centred* rewards does not.
#
# ## Claims

# %% tags=["hide-input"]
library = np.maximum(errors["Jeffreys, this library"], errors["covariance, this library"])
naive = np.maximum(errors["difference of means"], errors["Jeffreys, from two rounded KLs"])
claims.glue(
    worst=max(library.max(), 1e-16),
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
    claims.at_most(
        "fifty-digits",
        "relative error of the Jeffreys and covariance forms against 80-digit arithmetic",
        "we derive",
        library,
        np.full_like(library, 1e-12),
    ),
    claims.at_least(
        "naive-fails",
        "relative error of the textbook program at $\\lambda=10^{-8}$: at most two digits are left",
        "we derive",
        naive[0],
        1e-2,
        must_hold=abs(offset) >= 1e6,
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
# **Try:** `-p offset 0`. Both naive forms recover many digits, but not all. Which rounding is left?
