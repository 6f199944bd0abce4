# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where the KL is charged
#
# Trainers charge the {term}`KL` to the {term}`base model` in the reward or in the loss, by several estimators, with a coefficient $\beta$. Which of them aim at the optimum at $\beta$?
#
# :::{admonition} Answer
# :class: answer
# Charge $k_1$ in the reward, before rewards are standardised: that rests at the optimum, $\lambda=1/\beta$. In the loss, token by token, $k_2$ wastes {{waste_k2:.1%}} of the KL at {{kl_shown:g}} {{kl_unit}} in a
# small exact world, and GRPO's $k_3$ {{waste_k3:.1%}}. Never charge $k_2$ or $k_3$ in the reward, nor $k_1$ in the loss.
# :::

# %% tags=["parameters"]
beta: float = 0.5  # penalty that the table of settings aims at, in [0.01, 10]
group: int = 8  # responses G to a prompt, in [2, 256]
deviation: float = 0.5  # standard deviation of the policy's rewards on a prompt, in [0.01, 100]
kl_shown: float = 1.0  # KL that the answer quotes, in nats, in [0.2, 2]
target: float = 0.5  # target of an adaptive controller, in nats, in [0.05, 2]
n_batch: int = 64  # responses in a batch, in [4, 4096]
n_tables: int = 200  # tables of responses on which intervals are tried, in [20, 1000]
seed: int = 0  # seed of the batches that the controller measures and of those tables, >= 0

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from _pages.penalties_at_rest import Tables
from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw, Gaussian, PromptAverage
from alignlib.lm.charge import Charge, expected_update, n_tokens
from alignlib.lm.charged_policies import at_rest, driven, wasted_kl
from alignlib.lm.next_laws import log_sequences
from alignlib.lm.space import ResponseSpace
from alignlib.training import KLController, beta_to_set, effective_beta, group_gap

space = ResponseSpace(n_content=3, length=4)
prompts = np.arange(6)
levels = []
for depth in range(space.length):
    prompt, prefix, token = np.meshgrid(
        prompts, np.arange(space.n_content**depth), np.arange(space.n_outputs), indexing="ij"
    )
    logits = 1.2 * np.sin(1.0 + 2.3 * prompt + 1.7 * prefix + 2.9 * token + 0.6 * depth) - 0.3 * (token == 0)
    levels.append(log_softmax(logits, axis=2))
log_base = log_sequences(levels)
tokens = np.asarray(space.tokens, dtype=float)
places, numbers = np.arange(space.length), np.arange(space.size)
worth = [np.where(tokens > 0, np.cos(1.1 * tokens + 1.9 * k + 0.8 * places), 0.0).sum(axis=1) for k in prompts]
reward = np.array([row + np.sin(2.1 * numbers + k) for k, row in zip(prompts, worth, strict=True)])
reward *= np.linspace(0.6, 1.4, len(prompts))[:, None]
limit = PromptAverage([FiniteLaw(r, np.exp(p)) for r, p in zip(reward, log_base, strict=True)])


def kl_of(log_policy: np.ndarray) -> float:
    prob = np.exp(log_policy)
    ratio = np.where(prob > 0, log_policy, log_base) - log_base
    return float((prob * ratio).sum(axis=1).mean())


def measured(ends) -> np.ndarray:
    """KL and wasted KL of policies, by rising KL."""
    found = np.array([[kl_of(end), wasted_kl(end, log_base, reward)] for end in ends])
    return found[np.argsort(found[:, 0])].T


def curve(charge: Charge) -> np.ndarray:
    return measured([at_rest(log_base, reward, space, b, charge) for b in grid])


def waste_at(name: str, kl: float) -> float:
    return float(np.interp(kl, *curves[name]))


grid = np.geomspace(0.25, 12.0, 14)
charges = {
    "k2 in the loss, per token": Charge("k2", "loss"),
    "the same, mean over tokens": Charge("k2", "loss", mean=True),
    "k3 in the loss, per token": Charge("k3", "loss"),
    "k3 in the loss, per sequence": Charge("k3", "loss", per_token=False),
    "k1 in the reward, averaged over tokens": Charge("k1", "reward", averaged=True),
}
curves = {name: curve(charge) for name, charge in charges.items()}
optimum = curve(Charge("k1", "reward"))
few = (0.3, 0.8, 2.5, 8.0)
driven_off = {
    k: {b: driven(log_base, reward, b, Charge(k, "reward", per_token=False)) for b in few} for k in ("k2", "k3")
}
curves |= {f"{k} in the reward, per sequence": measured(ends.values()) for k, ends in driven_off.items()}

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "KL that the policies at rest spend beyond what their reward needs, by place and estimator, in a world of {{n_responses:d}} responses to each of {{n_prompts:d}} prompts, exactly. The optimum, on the axis, is where k1 in the reward rests, and k2 of whole sequences in the loss. Points: k2 and k3 of whole sequences in the reward, followed by small steps from the base; they drop responses at every penalty drawn.", "name": "fig-waste-by-charge"}, "image": {"alt": "Wasted KL against KL: k2 per token low, k3 per token above it, k3 per sequence steeply rising; crosses of k2 and k3 in the reward lie high even at small KL."}}
fig, ax = plotting.new(height=3.3)
styles = ("-", ":", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))
for name, color, style in zip(charges, plotting.CYCLE, styles, strict=False):
    ax.plot(*curves[name], color=color, linestyle=style, label=name)
for k, marker in (("k2", "x"), ("k3", "+")):
    ax.plot(
        *curves[f"{k} in the reward, per sequence"], marker, color="black", markersize=8, label=f"{k} in the reward"
    )
ax.axhline(0.0, color="black", linewidth=1.5, label="_the optimum")
ax.set_xlim(0.0, 2.6)
ax.set_ylim(-0.02, 1.0)
plotting.name_axes(ax, plotting.KL_LABEL, "wasted KL (nats)")
plotting.legend(ax, loc="upper left", fontsize=7)

# %% [markdown]
# ## In the reward
#
# Write $\ell=\log\frac{\pi(y)}{p(y)}=\sum_t\ell_t$ for the log-ratio of a response, and $k_1=\ell$, $k_2=\frac12\ell^2$, $k_3=e^{-\ell}-1+\ell$ ({prf:ref}`def-kl-estimators`), of the
# whole response or summed over its tokens. A charge in the reward is a number that is taken off: it is not differentiated. A policy that can choose the law of every next token freely is *at rest* if its
# expected update is 0.
#
# ```{prf:theorem} k1 in the reward
# :label: thm-kl-in-reward
#
# Pay $\rho=r-\beta\ell$, and standardise, if at all, what is paid. Among the policies that can give every response, $\pi_\lambda$ with $\lambda=1/\beta$ is the only one at rest: with a baseline that is the mean of what is paid, with rewards centred and divided by
# their standard deviation in groups of any size $G\ge2$, with a loss that is a sum or a mean over tokens.
# ```
#
# ```{prf:proof}
# A token of response $y$ is moved by $w(y)A(y)\nabla\log\pi(y_t\mid\cdot)$, with $w=1$ or $1/T$ and $A$ the mean advantage of $y$ over the rest of its group. The update of a prefix is 0 only if $\E[wA\mid\cdot]$ is the same after every next token; from the
# empty prefix to the last token, $wA=c$ for all responses. As $\E A=0$, $c\,\E T=0$ or $c=0$, so $A=0$. In a group $A$ is a strictly rising function of $\rho(y)$, whatever the others are paid, so $\rho$ is constant: $\ell=r/\beta+\text{const}$.
# ```
#
# ```{prf:proposition} k2 and k3 in the reward
# :label: prop-k2-in-reward
#
# Pay $r-\beta k(\ell)$ with $k=k_2$ or $k_3$, and move $\log\pi$ along what is paid less its mean (the natural gradient). A policy at rest that gives every response, two of them or more with smaller probability than the base does, is
# unstable.
# ```
#
# ```{prf:proof}
# Near rest, deviations $d$ of $\log\pi$ with $\E_\pi d=0$ have $\frac{\mathrm d}{\mathrm dt}\E_\pi d^2=-2\beta\,\E_\pi k'(\ell)d^2$. Where $\ell<0$, $k'(\ell)<0$. Two such responses span a plane of deviations, which meets
# $\E_\pi d=0$ in a line along which the right side is positive; the linearised flow, being symmetric for this inner product, then has a growing mode.
# ```
#
# What the base likes more than the policy is punished for being rare, and so becomes rarer, until it is gone. In the world above, $k_2$ in the reward ends with {{kept_k2:.0%}} of the responses at $\beta=8$ and {{kept_k2_low:.0%}} at $\beta=0.3$.
#
# ## In the loss
#
# There the estimator is differentiated while the responses stay as they were drawn: a token is moved by the slope $k'$ ({prf:ref}`prop-kl-gradients`, {cite:t}`T25`). The slope of $k_1$ is 1, which has no effect on average.
# $k_3$ times the ratio of the policy to the one that drew the responses has the slope $k_3+k_3'=\ell$, sample by sample that of $k_2$.
#
# ```{prf:theorem} k2 and k3 in the loss
# :label: thm-kl-in-loss
#
# With rewards whose baseline does not depend on the response, the only policies at rest that give every response are, with $c$ such that they sum to one:
# (i) $k_2$ of whole sequences: $\pi_\lambda$, $\lambda=1/\beta$. (ii) $k_3$ of whole sequences: $\pi=\frac{\beta p}{c+\beta-r}$, the optimum if the KL of base to policy is charged.
# (iii) $k_2$ token by token: $\pi(a\mid s)\propto p(a\mid s)\,e^{Q(s,a)/\beta}$. (iv) $k_3$ token by token: $\pi(a\mid s)=\frac{\beta\,p(a\mid s)}{c(s)+\beta-Q(s,a)}$. $Q(s,a)$ is the mean reward that follows, without its KL.
# ```
#
# ```{prf:proof}
# At rest $\E[r-\beta k'(\ell)\mid\cdot]$, or $Q-\beta k'(\ell_t)$ token by token, is the same after every next token. Solve $r-\beta k'(\ell)=\text{const}$ with $k_2'=\ell$ and $k_3'=1-e^{-\ell}$.
# ```
#
# A charge divided by the number of tokens, in the reward, rests at $\pi=p\,e^{T(r-c)/\beta}$ with the $c$ that makes the sum one: long responses get a larger $\lambda$. A mean over tokens in the loss of whole sequences, with $k_2$ and the
# mean reward as baseline, rests at $\pi\propto p\,e^{r/\beta+\kappa T}$ with $\kappa=\mathrm{KL}/\E T$, which favours length. Weights $1/T$ make even a constant baseline matter: at $b$ in place of $\E r$,
# $\kappa=\frac1{\E T}\bigl(\mathrm{KL}-\frac{\E r-b}\beta\bigr)$.
#
# So a penalty of tokens does not see that a token leads to prefixes where more KL will be spent, and misses the optimum even if its gradient is that of the right KL. With a mean over each response's tokens, (iii) and (iv) change again, because short
# responses count more; {numref}`fig-waste-by-charge` shows it for $k_2$. {doc}`53_why_below` finds the same of trained networks.
#
# Nor does it spend the KL that the optimum at the same $\beta$ does. In {{n_worlds:d}} random worlds (two or three tokens, two to four places, rewards normal or right and wrong) and at {{n_wished:d}} KLs, $k_2$ token by token spends more than wished in {{more_k2:.0%}} of cases, from {{low_k2:.2g}} to {{high_k2:.2g}} times it in nine
# of ten and up to {{most_k2:.2g}} times. $k_3$ token by token spends more in {{more_k3:.0%}} and less in {{less_k3:.0%}}, from {{low_k3:.2g}} to {{high_k3:.2g}} times in nine of ten, at least {{least_k3:.2g}} and up to {{most_k3:.2g}} times.

# %% tags=["hide-input"]
wished = (0.1, 0.5, 1.5)
spent_of: dict[str, list[float]] = {"k2": [], "k3": []}
worlds = np.random.default_rng(seed)
n_worlds = 0
for n_content, places_of in ((2, 3), (3, 2), (3, 4)):
    small = ResponseSpace(n_content=n_content, length=places_of)
    for right_or_wrong in (False, True):
        for _ in range(25):
            shape = [(1, n_content**depth) for depth in range(places_of)]
            base_of = log_sequences([np.log(worlds.dirichlet(np.full(n_content + 1, 1.5), size=s)) for s in shape])
            paid = (
                np.where(worlds.random(base_of.shape) < 0.3, 1.0, 0.0)
                if right_or_wrong
                else worlds.standard_normal(base_of.shape)
            )
            n_worlds += 1
            law = FiniteLaw(paid[0], np.exp(base_of[0]))
            for kl in wished:
                if paid.std() > 0.0 and law.max_kl > 1.05 * kl:
                    for k, ratios in spent_of.items():
                        end = at_rest(base_of, paid, small, 1.0 / law.lam_at_kl(kl), Charge(k, "loss"))
                        ratios.append(float((np.exp(end) * (end - base_of)).sum()) / kl)
spent_by = {k: np.array(ratios) for k, ratios in spent_of.items()}

# %% [markdown]
# ## Before or after the group
#
# ```{prf:proposition} The penalty of a group
# :label: prop-group-penalty
#
# Let rewards be less the mean of their group of $G$, the response itself among them. If the KL is charged before (it is part of what the group compares), the optimum at $\beta$ is at rest. If it is charged after, in the loss or in the reward,
# what is at rest is as at $\beta\frac G{G-1}$ without a group; a mean of the others only, or a critic, leaves it at $\beta$.
# ```
#
# ```{prf:proof}
# The response's own share of the mean takes $\frac1G$ of its reward away and leaves that of the others, which are independent of it and have no effect on average: the reward's gradient is multiplied by $1-\frac1G$, the charge's is not.
# ```
#
# If rewards are also divided by the deviation of their group, the penalty is that at $\beta s\frac G{G-1}$ in large groups only, with $s$ the deviation on the prompt. In small ones it depends on the law of the rewards, and can be far from that. For right and wrong
# answers it is known exactly: it is divided by what a right answer gets more than a wrong one. In groups of {{group:d}} that is {{gap_half:.2f}} if half are right and {{gap_rare:.2f}} if one in twenty is; the limit says $\frac{G-1}{Gs}$, {{wide_half:.2f}} and {{wide_rare:.2f}}. So the
# penalty is {{more_half:.2f}} and {{more_rare:.2f}} times that of the limit, and in groups of {{large:d}} still {{more_large:.2f}} times if one in twenty is right. In groups of more than three, prompts that are hard or easy are punished less than those in between.
#
# ## Which trainer does what
#
# *trl*
#
# - `RLOOConfig`, `beta` (0.05): $k_1$ of the response, in the reward, before the group.
# - `GRPOConfig`, `beta` (0: no charge): in the loss, per token, after the group; with `use_bias_correction_kl` (on) $k_3$ times the ratio, without it $k_3$. `scale_rewards`
#   (`"group"`) divides rewards by the group's deviation.
#
# *verl*
#
# - `use_kl_in_reward` (off): in the reward, before the group; `kl_penalty` (`kl`) is $k_1$, `mse` is $k_2$, `low_var_kl` is $k_3$.
# - `use_kl_loss` (off): in the loss, per token, after the group; `kl_loss_type` `low_var_kl` is $k_3$, `mse` is $k_2$, `k1+` and `k3+` have the gradient of $k_2$
#   (before verl's pull request 6058 of April 2026 these two stop with an error).
#
# *OpenRLHF*
#
# - `--init_kl_coef` (0.01) with `--kl_estimator` (`k1`): in the reward, after the group.
# - with `--use_kl_loss` (off): in the loss, per token, after the group.
#
# In brackets: the default. Read in trl 1.16.0 (reference of the two classes), verl (`docs/algo/ppo.md` at commit 25782eb, `docs/algo/grpo.md` at 62b8e08, `ppo/ray_trainer.py` at 0040110) and OpenRLHF (`cli/train_ppo_ray.py` at commit f5b3f08,
# `ppo_utils/experience_maker.py` at 89308a0; later versions spell the options `--algo.kl.init_coef`, `--algo.kl.estimator`, `--algo.kl.use_loss`). Other versions may differ: look whether the KL is taken off
# before the group's mean, and whether it is differentiated.
#
# ## To get the optimum at β, set
#
# For $\beta={{beta:g}}$, groups of {{group:d}}, and a policy whose rewards have standard deviation {{deviation:g}} on a prompt. The two columns of numbers differ where rewards are divided by the deviation of their group: the first is
# the limit of large groups, for any rewards; the second is exact in groups of {{group:d}}, for rewards of 0 and 1. {{far}}

# %% tags=["hide-input"]
before = beta_to_set(beta, "before", group=group)
centred = beta_to_set(beta, "after", group=group)
scaled = beta_to_set(beta, "after", group=group, deviation=deviation)
alone = beta_to_set(beta, "after")
exact = math.nan  # of right and wrong answers, which have no larger deviation than one half
if deviation <= 0.5:
    exact = beta_to_set(beta, "after", group=group, success=0.5 - math.sqrt(0.25 - deviation**2))
recipes = [
    ("trl RLOO", "beta", before, before, "the optimum"),
    ("verl, KL in the reward, kl_penalty=kl", "algorithm.kl_ctrl.kl_coef", before, before, "the optimum"),
    ("OpenRLHF, k1 in the reward, rloo or gae", "--init_kl_coef", alone, alone, "the optimum"),
    (
        "OpenRLHF, k1 in the reward, reinforce_baseline or dr_grpo",
        "--init_kl_coef",
        centred,
        centred,
        "the optimum",
    ),
    ("OpenRLHF, k1 in the reward, group_norm", "--init_kl_coef", scaled, exact, "the optimum"),
    ("trl GRPO, scale_rewards='none'", "beta", centred, centred, "k2 per token"),
    ("trl GRPO, scale_rewards='group'", "beta", scaled, exact, "k2 per token"),
    ("verl GRPO, kl_loss_type=k3+, no deviation", "actor.kl_loss_coef", centred, centred, "k2 per token"),
    ("verl GRPO, kl_loss_type=low_var_kl", "actor.kl_loss_coef", scaled, exact, "k3 per token"),
]
settings = pd.DataFrame(
    [
        (trainer, option, f"{large:.4g}", "none" if math.isnan(answers) else f"{answers:.4g}", end)
        for trainer, option, large, answers, end in recipes
    ],
    columns=["trainer", "option", "large groups", "right or wrong", "rests at"],
).set_index("trainer")
settings

# %% [markdown]
# In Python: `beta_to_set(beta, "after", group=G, deviation=s)` for the first, with `success=` in place of `deviation=` for the second, and `effective_beta` for the way back. Dividing each prompt by its own deviation gives each prompt a penalty of its own; no coefficient makes up for that.
#
# ## From samples of a run
#
# Does a run of yours aim where its coefficient says? Take responses of the policy with reward and log-ratio $\ell$, several to a prompt. Along its own log-ratio a policy at rest does not move:
#
# $$\E\,\mathrm{Cov}(r,\ell)=\beta\,\E\,\mathrm{Cov}(g(\ell),\ell),$$
#
# covariances within prompts, with $g=\ell$ for $k_1$ in the reward and $k_2$ in the loss, and $g=1-e^{-\ell}$ for $k_3$ in the loss, of whole responses. The last covariance is $\mathrm{Var}\,\ell$ for the first, and for the second the mean $\ell$ of the policy's
# responses less that of the base's: those that the policy has given up count there, and its own responses do not show them. So each charge has a $\beta$ at which the policy would go no further; a policy that is not at rest has one too. If it lies above the coefficient that is set (converted as in the table above), the run
# still moves away from the base; if below, towards it.
#
# `alignlib kl samples.csv --reward score --base-samples of_base.csv` says both, with 95 % intervals over prompts, beside the KL (in Python `resting_penalties(reward, log_ratio, prompt, base_log_ratio=…, base_prompt=…)`). In {{n_tables:d}} tables of {{n_prompts_drawn:d}} prompts with {{n_each:d}} responses each, with noise in the rewards, from three policies of the world above, the intervals hold
# {{least_held:.0%}} of the time or more. From one table of a policy at rest with $k_3$ in the loss at $\beta={{beta:g}}$: {{rest_k3:.2f}} ({{rest_low_k3:.2f}} to {{rest_high_k3:.2f}}) for $k_3$, and {{rest_k1:.2f}} ({{rest_low_k1:.2f}} to {{rest_high_k1:.2f}}) for $k_1$: if $k_1$ were charged with that coefficient, it would go no further. At $\beta$ well below 0.2 a policy at rest has given up most of the base's responses, and intervals for $k_3$ hold less often.

# %% tags=["hide-input"]
n_prompts_drawn, n_each = 60, 8
resting = {
    "k1 in the reward": at_rest(log_base, reward, space, beta, Charge("k1", "reward")),
    "k3 in the loss": at_rest(log_base, reward, space, beta, Charge("k3", "loss", per_token=False)),
    "half of the way": log_softmax(log_base + 0.5 * reward / beta + 0.5 * np.sin(numbers), axis=1),
}
tables = Tables(log_base, reward, n_tables, n_prompts_drawn, n_each, np.random.default_rng([seed, 1]))
tried = {name: tables.held_by(policy) for name, policy in resting.items()}
pd.DataFrame({name: held for name, (held, _) in tried.items()}).T.rename_axis("policy at rest with").round(3)

# %% [markdown]
# ## Adaptive penalties
#
# {cite:t}`Ziegler2019` multiply $\beta$ by $1+K\,\mathrm{clip}(\frac{\widehat{\mathrm{KL}}}{\text{target}}-1,\pm0.2)$ after each batch, with $K$ the batch's size over a *horizon*. verl (`kl_ctrl.type=adaptive`, `target_kl`, `horizon`) and OpenRLHF (`--kl_target`, `--kl_horizon`) have this controller.
#
# ```{prf:theorem} Where the controller settles
# :label: thm-kl-controller
#
# At rest $\widehat{\mathrm{KL}}$ is the target, whatever $K$ and the first $\beta$. Let the policy go the share $\gamma\in(0,1]$ of the way, in $\log\lambda$, to the optimum at $\beta$ in each batch, and let $e=\frac{\mathrm d\log D}{\mathrm d\log\lambda}=\frac{\lambda^2\Var r}{D}$ there. Small deviations
# die out if $Ke<1$ and grow if $Ke>1$; a policy at the optimum of a nearby $\beta$ passes the target on its way if and only if $4Ke>\gamma$.
# ```
#
# ```{prf:proof}
# With $x$ and $u$ the deviations of $\log\lambda$ of the policy and of $-\log\beta$: $x'=x+\gamma(u-x)$, $u'=u-Kex$. The characteristic polynomial $z^2-(2-\gamma)z+1-\gamma+\gamma Ke$ has both roots inside the unit circle if and only if the last coefficient is below 1, and real roots if and only if
# $\gamma^2\ge4\gamma Ke$. From $x=u$ real roots between 0 and 1 give no change of sign.
# ```
#
# For Gaussian rewards $e=2$. A batch of 256 and a horizon of 10,000 make $Ke={{gaussian_gain:.3f}}$: stable, but a policy that follows by less than {{least_pace:.0%}} of its way a batch overshoots.
#
# **What it reaches.** The controller is a sum of errors: it leaves no offset, and its end is on the frontier at the target if three things hold. (i) The charge aims at the optimum, as above. (ii) What is measured is the KL of a response. verl and OpenRLHF measure the
# mean over tokens in each response, averaged over responses. Here a target of {{per_token:.3f}} nats in that unit is reached at {{per_response:.2f}} nats a response; times the mean length, one would expect {{expected:.2f}}. (iii) The measurement is not skewed to the right: clipped errors balance
# below the mean of such an estimator, so that the KL settles above the target. From batches of {{n_batch:d}} at {{target:g}} nats it settles at {{settled_k1:.3f}} nats if $k_1$ is measured, and at {{settled_k3:.3f}} nats if $k_3$ of whole responses is.

# %% tags=["hide-input"]
lam = float(limit.lam_at_kl(target))
held = log_softmax(log_base + lam * reward, axis=1)
length = n_tokens(space)
each = held - log_base
in_tokens = float((np.exp(held) * each / length).sum(axis=1).mean())
mean_length = float((np.exp(held) * length).sum(axis=1).mean())
rng = np.random.default_rng(seed)
drawn = np.stack(
    [rng.choice(space.size, size=(4000, n_batch), p=np.exp(row) / np.exp(row).sum()) for row in held], axis=0
)
which = rng.integers(len(prompts), size=(4000, n_batch))
picked = np.take_along_axis(drawn, which[None], axis=0)[0]
ratio = each[which, picked]
estimates = {"k1": ratio, "k3": np.expm1(-ratio) + ratio}
control = KLController(target, 256 / 10_000)
settled = {name: control.settled_kl(values.mean(axis=1) / kl_of(held)) for name, values in estimates.items()}

# %% [markdown]
# ## What it means
#
# Two trainers with one $\beta$ can aim at different policies, and one trainer at the same policy with different $\beta$. Before runs are compared at "equal $\beta$", convert it; better, compare them at equal measured KL ({doc}`56_measuring_kl`). The world here is small
# and its policies are free: a network that cannot choose every law freely rests elsewhere, and clipping, several epochs on a batch and a critic's errors come on top.
#
# ## Claims

# %% tags=["hide-input"]
largest = {}
for name, charge in {
    **charges,
    "k1 in the reward": Charge("k1", "reward", mean=True),
    "k2 in the loss, per sequence": Charge("k2", "loss", per_token=False),
    "the same, mean over tokens": Charge("k2", "loss", per_token=False, mean=True),
}.items():
    rest = at_rest(log_base, reward, space, beta, charge)
    largest[name] = max(float(np.abs(u).max()) for u in expected_update(rest, log_base, reward, space, beta, charge))
ends = driven_off["k2"]
kept = {b: float(np.isfinite(end).mean()) for b, end in ends.items()}
rarer = [int(n) for end in ends.values() for n in (np.isfinite(end) & (end < log_base - 1e-6)).sum(axis=1)]
large_group = 64


def above_limit(success: float, size: int) -> float:
    """The penalty of right and wrong answers over that of the limit of large groups."""
    s = math.sqrt(success * (1.0 - success))
    return effective_beta(1.0, "after", group=size, success=success) / effective_beta(
        1.0, "after", group=size, deviation=s
    )


answer = {"k2": "k2 in the loss, per token", "k3": "k3 in the loss, per token"}
claims.glue(
    n_responses=space.size,
    n_prompts=len(prompts),
    kl_unit="nat" if kl_shown == 1.0 else "nats",
    waste_k2=waste_at(answer["k2"], kl_shown) / kl_shown,
    waste_k3=waste_at(answer["k3"], kl_shown) / kl_shown,
    after_group=centred / beta,
    kept_k2=kept[8.0],
    kept_k2_low=kept[0.3],
    gap_half=group_gap(0.5, group),
    gap_rare=group_gap(0.05, group),
    wide_half=(group - 1.0) / group / math.sqrt(0.25),
    wide_rare=(group - 1.0) / group / math.sqrt(0.05 * 0.95),
    more_half=above_limit(0.5, group),
    more_rare=above_limit(0.05, group),
    more_large=above_limit(0.05, large_group),
    large=large_group,
    far=(
        "No such rewards have that deviation: it is above one half."
        if math.isnan(exact)
        else f"The second is {exact / scaled:.0%} of the first there."
    ),
    gaussian_gain=256 / 10_000 * KLController(target, 0.1).settles(Gaussian()).elasticity,
    least_pace=4 * 256 / 10_000 * KLController(target, 0.1).settles(Gaussian()).elasticity,
    per_token=in_tokens,
    per_response=kl_of(held),
    expected=in_tokens * mean_length,
    n_worlds=n_worlds,
    n_wished=len(wished),
    **{
        f"{name}_{k}": float(np.quantile(by, q))
        for k, by in spent_by.items()
        for name, q in (("least", 0.0), ("low", 0.05), ("high", 0.95), ("most", 1.0))
    },
    **{f"more_{k}": float((by > 1.01).mean()) for k, by in spent_by.items()},
    less_k3=float((spent_by["k3"] < 0.99).mean()),
    n_prompts_drawn=n_prompts_drawn,
    n_each=n_each,
    least_held=min(min(held.values()) for held, _ in tried.values()),
    **{
        f"{end}_{k}": getattr(tried["k3 in the loss"][1][i], field)
        for i, k in enumerate(("k1", "k3"))
        for end, field in (("rest", "beta"), ("rest_low", "beta_low"), ("rest_high", "beta_high"))
    },
    settled_k1=settled["k1"],
    settled_k3=settled["k3"],
)
claims.record(
    claims.at_most(
        "at-rest",
        "largest expected update of a policy said to be at rest, every charge",
        "we derive",
        np.array([*largest.values()]),
        1e-11,
    ),
    claims.at_most(
        "k1-on-the-frontier",
        "KL that k1 in the reward wastes, at every penalty, in nats",
        "Y24",
        np.abs(optimum[1]),
        1e-10,
    ),
    claims.at_least(
        "the-others-off-it",
        "KL that every other charge wastes at the KL shown, in nats",
        "we derive",
        np.array([waste_at(name, kl_shown) for name in curves]),
        1e-3,
    ),
    claims.at_most(
        "rare-ones-vanish",
        "responses left that are rarer than in the base, of each prompt, k2 in the reward",
        "we derive",
        np.array(rarer),
        1,
    ),
    claims.true(
        "responses-dropped",
        "k2 and k3 in the reward drop responses of every prompt, at every penalty drawn",
        "we derive",
        np.array([np.isinf(end).any(axis=1) for k in driven_off.values() for end in k.values()]),
    ),
    claims.at_least(
        "resting-intervals",
        "part of tables whose 95 % interval of the penalty at rest holds, the least of three policies and two charges",
        "we derive",
        np.array([held[k] for held, _ in tried.values() for k in held]),
        0.95 - 4.0 * math.sqrt(0.05 * 0.95 / n_tables),
        must_hold=beta >= 0.2,  # below, a policy has given up most of the base's responses, and tables show few of them
    ),
    claims.equal(
        "there-and-back",
        "effective penalty of what the table sets",
        "we derive",
        [
            effective_beta(scaled, "after", group=group, deviation=deviation),
            effective_beta(centred, "after", group=group),
            effective_beta(before, "before", group=group, deviation=deviation),
        ],
        beta,
        rtol=1e-12,
    ),
    claims.at_least(
        "small-groups",
        "penalty of right and wrong answers over that of the limit of large groups, at five shares of right ones",
        "we derive",
        np.array([above_limit(s, group) for s in (0.02, 0.05, 0.2, 0.5, 0.9)]),
        1.0,
    ),
    claims.at_least(
        "k2-mostly-spends-more",
        "part of random worlds in which k2 token by token in the loss spends more KL than the optimum at its coefficient",
        "we derive",
        float((spent_by["k2"] > 1.0).mean()),
        0.7,
    ),
    claims.true(
        "k3-spends-more-or-less",
        "k3 token by token in the loss spends more in a quarter of random worlds at least, and less in a quarter",
        "we derive",
        np.array([(spent_by["k3"] > 1.0).mean() > 0.25, (spent_by["k3"] < 1.0).mean() > 0.25]),
    ),
    claims.at_least(
        "skewed-measurements",
        "KL at which a controller settles over its target, k3 of whole responses measured",
        "we derive",
        settled["k3"] / target,
        1.0,
    ),
)

# %% [markdown]
# **Try:** `alignlib run where_kl_is_charged -p kl_shown 0.3 -p group 2 -o out.ipynb --html`. At a smaller KL the token-wise $k_3$ wastes a smaller share; in pairs, the penalty of a KL that is charged after must be set to half where rewards are only centred; where they are divided too, the two columns of the table part.
