# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The limit in closed form
#
# How much reward can *any* method of alignment earn if its {term}`policy` stays within $\Delta$ {term}`nats <nat>` of the {term}`base model`?
#
# :::{admonition} Answer
# :class: answer
# As much as the base model {term}`tilted <tilt>` by the reward, $\pi_\lambda\propto p\,e^{\lambda r}$, with $\lambda$ chosen so that it spends the
# whole budget. On this chapter's base model of {{n_outcomes:d}} responses the largest possible gain is {{gain_max:.3f}}; a budget of one
# tenth of what that costs already allows {{tenth_share:.0%}} of it. (Over {{n_models:d}} base models drawn like this one, the middle half
# allows {{tenth_low:.0%}} to {{tenth_high:.0%}}.)
# :::
#
# The {term}`KL` divergence $\KL{\varphi}{p}=\E_\varphi\log(\varphi/p)$ measures how far a policy $\varphi$ has moved from the base model $p$. It is counted in
# nats; one bit is $\log2\approx0.69$ nats.

# %% tags=["parameters"]
n_outcomes: int = 40  # number of responses of the base model, in [2, 100000]
concentration: float = 0.3  # Dirichlet parameter of the base law; small means peaked, in [0.01, 100]
kl_shown: float = 1.0  # KL budget of the second picture, in nats, > 0
n_policies: int = 400  # random policies compared with the limit, in [10, 100000]
seed: int = 2  # seed of the random base law and policies, >= 0

# %% tags=["conditions", "hide-input"]
import numpy as np

from alignbook.conditions import need
from alignlib.laws import FiniteLaw

rng = np.random.default_rng(seed)
family = FiniteLaw(rng.normal(size=n_outcomes), rng.dirichlet(np.full(n_outcomes, concentration)))
need(
    family.max_kl > 1e-6,
    f"concentration must be larger for this seed; at {concentration:g} the best response has all probability but {-np.expm1(-family.max_kl):.1g}, so that there is nothing to gain.",
)
need(
    kl_shown < family.max_kl,
    f"kl_shown must be below {family.max_kl:.4g}, the nats at which no reward of this base model is left to buy; got {kl_shown:g}.",
)

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw, dual_gain, kl_to_optimum

# %% [markdown]
# ## The statement
#
# ```{prf:theorem} The KL-regularised optimum (classical; for language models Y24, P26)
# :label: thm-optimum
#
# Let $p$ be the base law and $r$ a reward that is not constant, with finite mean. Let $\Lambda(\lambda)=\log\E_p e^{\lambda r}$ be finite for
# $0\le\lambda<\lambda^*$, where $0<\lambda^*\le\infty$, and
#
# $$\pi_\lambda(y)=p(y)\,e^{\lambda r(y)-\Lambda(\lambda)},\quad D(\lambda)=\KL{\pi_\lambda}{p}=\lambda\Lambda'(\lambda)-\Lambda(\lambda).$$
#
# $D$ rises from 0 to $D_{\max}=\lim_{\lambda\to\lambda^*}D(\lambda)$, and for every budget $0<\Delta<D_{\max}$
#
# $$R(\Delta)=\max\{\E_\varphi r:\ \KL{\varphi}{p}\le\Delta\}=\Lambda'(\lambda)\quad\text{at } D(\lambda)=\Delta .$$
#
# This *frontier* $R(\Delta)$ is concave with slope $\beta=1/\lambda$.
# ```
#
# What happens from $D_{\max}$ on depends on $\lambda^*$. A reward with a largest value has $\lambda^*=\infty$ and
# $D_{\max}=-\log p(\argmax r)$; beyond it, the base model restricted to its best responses is the optimum, and nothing is left to gain. For an
# exponential law $\lambda^*$ is finite and $D_{\max}=\infty$: the frontier rises for ever, with slopes above $1/\lambda^*$. If both are finite, tilts end at
# $D_{\max}$. Beyond it the frontier is a straight line of slope $1/\lambda^*$: policies come as near to it as one likes, and none is on it. And if $\Lambda(\lambda)=\infty$ for every $\lambda>0$ (a heavy tail, such as
# Student's $t$), any budget allows any reward.
#
# The optimum is the variational principle of Gibbs and of {cite:t}`DonskerVaradhan1975`; {cite:t}`Csiszar1975` gives the identity below, of which it is a
# consequence, and {cite:t}`Korbak2022` read the training of language models with a KL penalty as the search for this law.
#
# ```{prf:proposition} Closeness identity (Csiszar1975; Y24)
# :label: prop-closeness
#
# Write $R(\lambda)=\Lambda'(\lambda)$ for the mean reward of $\pi_\lambda$. For every law $\varphi$ of finite divergence and mean reward,
#
# $$
# \begin{aligned}\KL{\varphi}{\pi_\lambda}={}&\KL{\varphi}{p}-D(\lambda)\\&-\lambda\,\bigl(\E_\varphi r-R(\lambda)\bigr).\end{aligned}
# $$
# ```
#
# ```{prf:proof}
# $\log\frac{\varphi}{\pi_\lambda}=\log\frac{\varphi}{p}-\lambda r+\Lambda(\lambda)$; take the mean under $\varphi$ and insert
# $\Lambda(\lambda)=\lambda R(\lambda)-D(\lambda)$. For the slope: $R'=\Var_{\pi_\lambda}r$ and $D'=\lambda\Var_{\pi_\lambda}r$, so $dR/dD=1/\lambda$, which falls as $\lambda$ grows.
# ```
#
# The left side is never negative. So a policy that spends no more than $\pi_\lambda$ earns no more either: that is the theorem. And a policy that
# overspends by at most $\varepsilon$ nats and misses at most $\delta$ of the reward lies within $\varepsilon+\lambda\delta$ nats of $\pi_\lambda$:
# **all good methods are near one policy.**

# %% [markdown]
# ## The computation
#
# The base law is drawn at random, its rewards from a normal law. The frontier is computed twice: once by solving $D(\lambda)=\Delta$ for $\lambda$, and
# once by minimising $(\Delta+\Lambda(\lambda))/\lambda$ over $\lambda$, its convex dual, in which $D$ does not occur.

# %%
rng = np.random.default_rng(seed)
reward = rng.normal(size=n_outcomes)
prob = rng.dirichlet(np.full(n_outcomes, concentration))
family = FiniteLaw(reward, prob)
budgets = family.max_kl * np.linspace(0.02, 0.98, 49)
primal = family.frontier(budgets)
dual = dual_gain(family, budgets)

# %% [markdown]
# To compare with it, random policies: tilts of the base model by random mixtures of the reward with noise.

# %%
lam_shown = family.lam_at_kl(kl_shown)
mixing = rng.random((n_policies, 1))
noise = rng.normal(size=(n_policies, n_outcomes))
log_phi = np.log(family.prob) + rng.gamma(2.0, 1.0, (n_policies, 1)) * (
    mixing * family.reward + (1 - mixing) * noise[:, : family.reward.size]
)
phi = np.exp(log_phi - log_phi.max(axis=1, keepdims=True))
phi /= phi.sum(axis=1, keepdims=True)
spent = (phi * (np.log(np.maximum(phi, 1e-300)) - np.log(family.prob))).sum(axis=1)
gained = phi @ family.reward - family.base_reward

# %% tags=["hide-input"] mystnb={"figure": {"caption": "No policy lies above the frontier: {{n_policies:d}} random policies against the limit of a base model with {{n_outcomes:d}} responses (seed {{seed:d}}). The frontier ends at $D_{\\max}={{kl_max:.2f}}$ nats, where the best response is certain.", "name": "fig-limit"}, "image": {"alt": "Gain against KL: a concave curve rising to {{gain_max:.2f}} at {{kl_max:.1f}} nats, with a cloud of {{n_policies:d}} points entirely below it."}}
fig, ax = plotting.new()
ax.plot(spent, gained, ".", color=plotting.BOUND, markersize=4, alpha=0.6, label="random policies")
plotting.frontier(ax, family.frontier(), "the limit", at=0.45 * family.max_kl, offset=(-4, 8), ha="right")
ax.axvline(family.max_kl, color=plotting.BASE, linewidth=1, linestyle=":", label=r"_$D_{\max}$")
ax.text(family.max_kl, 0.03 * ax.get_ylim()[1], r"$D_{\max}$ ", ha="right", va="bottom")
ax.set_xlim(0, max(family.max_kl * 1.05, 0.1))
plotting.legend(ax, loc="lower right", bbox_to_anchor=(0.93, 0.08))
plotting.name_axes(ax, plotting.KL_LABEL, "gain in reward over the base model")
# %% [markdown]
# ## Everything good is near it
#
# The closeness identity turns the picture into distances. Take the $\lambda$ that spends {{kl_shown:g}} {{nat_shown}}, $\lambda={{lam_shown:.3f}}$, and ask
# how far each policy is from $\pi_\lambda$. (At this point of the frontier reward is bought at the *rate* $\beta=1/\lambda={{beta_shown:.3f}}$ per nat. The rate
# falls as one buys: a whole further nat would bring {{next_nat:.3f}}.)

# %%
by_identity = kl_to_optimum(family, lam_shown, spent, gained)
log_pi = family.log_policy(lam_shown)[prob > 0]
directly = (phi * (np.log(np.maximum(phi, 1e-300)) - log_pi)).sum(axis=1)
overspent = np.maximum(spent - family.kl(lam_shown), 0)
missed = np.maximum(family.gain(lam_shown) - gained, 0)
budget_of_distance = overspent + lam_shown * missed

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Near in budget and reward means near in law: the KL of each random policy to $\\pi_\\lambda$ never exceeds $\\varepsilon+\\lambda\\delta$ (line), $\\varepsilon$ its overspending and $\\delta$ its missing reward, at $\\lambda={{lam_shown:.3f}}$.", "name": "fig-closeness"}, "image": {"alt": "Scatter of KL to the optimum against epsilon plus lambda delta on logarithmic axes; all points lie on or below the diagonal."}}
fig, ax = plotting.new()
ends = np.array([max(budget_of_distance.min(), 1e-3), budget_of_distance.max()])
plotting.curve(
    ax,
    ends,
    ends,
    "equality",
    color=plotting.BASE,
    at=float(np.sqrt(ends.prod())),
    offset=(-6, 6),
    ha="right",
    linewidth=1,
)
ax.plot(budget_of_distance, directly, ".", color=plotting.LIMIT, markersize=4, alpha=0.7, label="_random policies")
ax.set_xscale("log")
ax.set_yscale("log")
plotting.name_axes(ax, r"$\varepsilon+\lambda\delta$ (nats)", r"KL to the optimum $\pi_\lambda$ (nats)")
# %% [markdown]
# ## What it means
#
# The limit needs no training run: it is a function of the base model and the reward alone. A policy trained with the penalty $\beta$ that ends
# elsewhere than at $\pi_\lambda$ has missed something, and the identity says how much: $\lambda$ times the missing reward, plus the overspent nats, is its
# distance from the optimum in nats.
#
# ## Claims

# %% tags=["hide-input"]
n_models = 200


def share_at_a_tenth(model: FiniteLaw) -> float:
    """What a tenth of the largest useful budget allows of the largest gain."""
    return float(model.gain_at_kl(model.max_kl / 10)) / (model.max_reward - model.base_reward)


others = np.random.default_rng(seed + 1)
alike = [
    share_at_a_tenth(FiniteLaw(others.normal(size=n_outcomes), others.dirichlet(np.full(n_outcomes, concentration))))
    for _ in range(n_models)
]
next_nat = family.gain_at_kl(kl_shown + 1.0) - family.gain_at_kl(kl_shown)
claims.glue(
    tenth_share=share_at_a_tenth(family),
    n_models=n_models,
    tenth_low=np.quantile(alike, 0.25),
    tenth_high=np.quantile(alike, 0.75),
    gain_max=family.max_reward - family.base_reward,
    kl_max=family.max_kl,
    lam_shown=lam_shown,
    beta_shown=1 / lam_shown,
    next_nat=next_nat,
    nat_shown="nat" if kl_shown == 1 else "nats",
)
slopes = np.diff(primal.gain) / np.diff(primal.spent)
claims.record(
    claims.equal(
        "primal-dual",
        r"the reward of $\pi_\lambda$ at budget $\Delta$ equals the dual $\inf_\lambda(\Delta+\Lambda)/\lambda$",
        "Y24, P26",
        primal.gain,
        dual,
        rtol=1e-11,
    ),
    claims.at_most(
        "no-policy-above",
        "no random policy earns more than the limit at its KL",
        "Y24, P26",
        gained,
        family.frontier(spent).gain,
        atol=1e-12,
    ),
    claims.true(
        "concave",
        r"the frontier is concave and each chord's slope lies between the $\beta$ of its ends",
        "Y24, P26",
        (slopes <= 1 / primal.lam[:-1]) & (slopes >= 1 / primal.lam[1:]),
    ),
    claims.equal(
        "closeness-identity",
        r"$\mathrm{KL}(\varphi\Vert\pi_\lambda)$ equals its closed form for every policy",
        "Y24; we derive",
        by_identity,
        directly,
        rtol=1e-9,
        atol=1e-11,
    ),
    claims.at_most(
        "closeness",
        r"a policy within $\varepsilon$ of the budget and $\delta$ of the reward is within $\varepsilon+\lambda\delta$ of the optimum",
        "Y24; we derive",
        directly,
        budget_of_distance,
        atol=1e-11,
    ),
    claims.at_most(
        "next-nat",
        r"a whole further nat brings less than $\beta$, the rate at which the first part of it is bought",
        "we derive",
        next_nat,
        1 / lam_shown,
    ),
)

# %% [markdown]
# **Try:** `alignlib run closed_form -p concentration 0.05 -o out.ipynb --html`. A more concentrated base model gives its rare responses tiny masses, so
# $D_{\max}$ grows, and it varies much more with the seed: it is $-\log$ of the mass of one response, the best one.
