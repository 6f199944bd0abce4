# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Many prompts, one budget
#
# With many prompts a {term}`KL` {term}`budget` can hold on average over the prompts, or on each of them. How much reward does the second, stricter budget lose?
#
# :::{admonition} Answer
# :class: answer
# It loses nothing only if every prompt has the same price $\beta$ of a nat at that budget. With {{kl_shown:g}} {{nats_shown}} on every prompt, the best policies
# gain {{gaussian_kept:.1%}} of what they gain with {{kl_shown:g}} {{nats_shown}} on average if the prompts have Gaussian rewards with standard deviations
# {{sds_listed}}, and {{binary_kept:.1%}} if they have 0/1 rewards with success rates {{successes_listed}}.
# :::

# %% tags=["parameters"]
sds: list[float] = [0.3, 1.0, 2.0]  # standard deviations of Gaussian rewards, one prompt each, in [0.001, 1000]
successes: list[float] = [0.02, 0.1, 0.5, 0.9]  # success rates of 0/1 rewards, one prompt each, in [0.001, 0.999]
kl_shown: float = 0.5  # budget that the answer quotes, in nats, in [0.001, 20]
n_shown: int = 8  # number of draws of best-of-N, in [2, 10000]

# %% tags=["hide-input"]
import math

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import Bernoulli, FiniteLaw, Gaussian, PromptAverage
from alignlib.rules import BestOfN

# %% [markdown]
# ## The statement
#
# Prompts $x$ are drawn with weights $\mu$. Write $\Lambda_x$, $D_x$ and $R_x$ for the log-partition function, the divergence and the frontier of prompt $x$,
# as in {prf:ref}`thm-optimum`, and $\E_\mu$ for averages over prompts.
#
# ```{prf:theorem} Average and per-prompt budgets (classical Lagrange duality; we derive)
# :label: thm-two-budgets
#
# 1. Among all policies with $\E_\mu\KL{\varphi_x}{p_x}\le\Delta$ the largest mean reward is
#
#    $$R(\Delta)=\inf_{\lambda>0}\frac{\Delta+\E_\mu\Lambda_x(\lambda)}{\lambda},$$
#
#    and it is attained by tilting every prompt with the *same* $\lambda$, the one with $\E_\mu D_x(\lambda)=\Delta$, where there is one.
# 2. Policies with $\KL{\varphi_x}{p_x}\le\Delta$ on *every* prompt have mean reward at most $\E_\mu R_x(\Delta)\le R(\Delta)$.
# 3. If $R_x$ has the slope $\beta_x$ at $\Delta$, the two are equal if and only if $\beta_x$ is the same for almost all prompts.
# ```
#
# ```{prf:proof}
# Let $\lambda$ satisfy $\E_\mu D_x(\lambda)=\Delta$, and let $\varphi$ spend $\Delta_x$ nats on prompt $x$, with mean at most $\Delta$. Each frontier is concave and has the slope
# $1/\lambda$ at $D_x(\lambda)$, so
#
# $$\E_{\varphi_x}r\le R_x(\Delta_x)\le R_x(D_x(\lambda))+\frac{\Delta_x-D_x(\lambda)}\lambda .$$
#
# In the average over prompts the last term is at most 0: no policy earns more than the common $\lambda$. Inserting
# $R_x(D_x(\lambda))=\bigl(D_x(\lambda)+\Lambda_x(\lambda)\bigr)/\lambda$ gives the first formula, and for other $\lambda$ its right side is larger, by
# {prf:ref}`thm-optimum`. A budget on every prompt is one way to spend an average budget, with $\Delta_x=\Delta$. Equality then needs equality in the second step
# for almost all $x$: $\Delta$ maximises $R_x(\Delta)-\Delta/\lambda$, which is $\beta_x=1/\lambda$.
# ```
#
# For Gaussian rewards the share that the stricter budget keeps is the same at every $\Delta$. With $R_x(\Delta)-R_x(0)=\sigma_x\sqrt{2\Delta}$ and
# $D_x=\lambda^2\sigma_x^2/2$,
#
# $$\frac{\E_\mu\sigma_x\sqrt{2\Delta}}{\sqrt{\E_\mu\sigma_x^2}\,\sqrt{2\Delta}}=\frac{\E_\mu\sigma_x}{\sqrt{\E_\mu\sigma_x^2}}=\frac1{\sqrt{1+v^2}},$$
#
# where $v$ is the coefficient of variation of the $\sigma_x$, their standard deviation divided by their mean.
#
# ## The computation

# %%
gaussian = PromptAverage([Gaussian(sd=s) for s in sds])
binary = PromptAverage([Bernoulli(q) for q in successes])
best = {name: BestOfN(n_shown).on(law) for name, law in (("Gaussian", gaussian), ("0/1", binary))}
kl = np.linspace(0, max(2.0 * kl_shown, *(1.1 * one.kl for one in best.values())), 121)
curves = {
    name: (law.gain_at_kl(kl), law.gain_on_every_prompt(kl)) for name, law in (("Gaussian", gaussian), ("0/1", binary))
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Largest mean gain within a KL budget on average over prompts (lines) and on every prompt (dashed). Top: Gaussian rewards with standard deviations {{sds_listed}}. Bottom: 0/1 rewards with success rates {{successes_listed}}. Squares: best-of-{{n_shown:d}}, at the average KL that it spends.", "name": "fig-two-budgets"}, "image": {"alt": "Two panels, each with a solid concave curve above a dashed one; a square for best-of-N lies near the dashed curve in the top panel, below the solid one in both."}}
fig, axes = plotting.new(rows=2, height=2.7)
for ax, (name, (average, each)) in zip(axes, curves.items(), strict=True):
    ax.plot(kl, average, color=plotting.LIMIT, label="on average over prompts")
    ax.plot(kl, each, "--", color=plotting.THIRD, label="on every prompt")
    plotting.points(ax, best[name].kl, best[name].gain, marker="s", label=f"best-of-{n_shown}")
    plotting.name_axes(ax, "", "mean gain in reward", f"{name} rewards")
axes[1].set_xlabel(plotting.KL_LABEL)
plotting.legend(axes[0], loc="lower right")
# %% [markdown]
# ## Where the average budget is spent
#
# With one $\lambda$ for all prompts, the KL goes where a nat brings most: to Gaussian prompts in proportion to their variance. On 0/1 prompts of success
# rate $s$ it depends on the budget. A small one goes to them in proportion to the variance $s(1-s)$ too. A large one takes each prompt towards certain
# success, which costs $-\log s$ nats: the rarer the success, the more.

# %%
lam_gaussian, lam_binary = float(gaussian.lam_at_kl(kl_shown)), float(binary.lam_at_kl(kl_shown))
spent_gaussian = np.array([float(law.kl(lam_gaussian)) for law in gaussian.laws])
spent_binary = np.array([float(law.kl(lam_binary)) for law in binary.laws])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL that the optimum for an average budget of {{kl_shown:g}} {{nats_shown}} spends on each prompt; the dotted line is the same KL on every prompt.", "name": "fig-budget-by-prompt"}, "image": {"alt": "Bars of KL by prompt: rising steeply with the standard deviation, and uneven over the success rates; a dotted line marks the average."}}
fig, axes = plotting.new(rows=2, height=2.4)
for ax, labels, values, name in (
    (axes[0], sds, spent_gaussian, "standard deviation of the reward"),
    (axes[1], successes, spent_binary, "success rate"),
):
    ax.bar([f"{v:g}" for v in labels], values, color=plotting.LIMIT, width=0.5, label="_the optimum")
    ax.axhline(kl_shown, color=plotting.BASE, linewidth=1, linestyle=":", label="_the same KL on every prompt")
    plotting.name_axes(ax, name, "KL (nats)")
# %% [markdown]
# ## What it means
#
# Whoever reports "the KL" of a policy over many prompts reports an average, and the limit to compare with is the one for an average budget. Training with one
# penalty $\beta$ for all prompts aims at it. Best-of-$N$ does not: without ties it spends the same KL on every prompt. On 0/1 rewards best-of-{{n_shown:d}} is a tilt of every
# single prompt and wastes nothing on it ([](13_coincidence.ipynb)). It reaches {{best_share:.1%}} of the limit for its average KL, {{why}}. The library computes both limits: `--budget per-prompt` asks for the stricter one.
#
# ## Claims

# %% tags=["hide-input"]


def listed(values: list[float]) -> str:
    """Numbers as a sentence lists them."""
    *first, last = [f"{v:g}" for v in values]
    return f"{', '.join(first)} and {last}" if first else last


kept = {
    name: float(law.gain_on_every_prompt(kl_shown)) / float(law.gain_at_kl(kl_shown))
    for name, law in (("Gaussian", gaussian), ("0/1", binary))
}
spread = np.array(sds)
prompts = [FiniteLaw([0.0, 1.0], [1 - q, q]) for q in successes]
rng = np.random.default_rng(0)
split = np.array([kl_shown * rng.dirichlet(np.ones(len(successes))) * len(successes) for _ in range(300)])
elsewhere = np.array(
    [np.mean([float(law.gain_at_kl(v)) for law, v in zip(prompts, row, strict=True)]) for row in split]
)
each_best = [BestOfN(n_shown).on(law) for law in prompts]
claims.glue(
    sds_listed=listed(sds),
    successes_listed=listed(successes),
    nats_shown="nat" if kl_shown == 1 else "nats",
    gaussian_kept=kept["Gaussian"],
    binary_kept=kept["0/1"],
    why=claims.Markdown(
        "less than all of it because its $\\lambda$ differs from prompt to prompt"
        if len(set(successes)) > 1
        else "because these prompts are alike: where success rates differ, so does its $\\lambda$, and it falls short"
    ),
    best_share=best["0/1"].gain / float(binary.gain_at_kl(best["0/1"].kl)),
)
claims.record(
    claims.at_most(
        "every-prompt",
        "gain for the budget on every prompt over the gain for the average budget, all budgets drawn, both kinds of prompts",
        "we derive",
        np.concatenate([each[1:] / average[1:] for average, each in curves.values()]),
        1.0,
        atol=1e-12,
    ),
    claims.equal(
        "gaussian-share",
        r"for Gaussian rewards the share kept is $\E\sigma/\sqrt{\E\sigma^2}$",
        "we derive",
        kept["Gaussian"],
        spread.mean() / math.sqrt((spread**2).mean()),
        rtol=1e-10,
    ),
    claims.at_most(
        "no-better-split",
        "300 random ways to divide the average budget among the 0/1 prompts: none gains more than one common $\\lambda$",
        "we derive",
        elsewhere,
        float(binary.gain_at_kl(kl_shown)),
        atol=1e-12,  # rounding, where all prompts are alike
    ),
    claims.equal(
        "best-of-n-wastes-nothing-on-one-prompt",
        "on each 0/1 prompt alone best-of-N has the whole limit at its KL: share",
        "B26 (one token)",
        [one.gain / float(law.gain_at_kl(one.kl)) for one, law in zip(each_best, prompts, strict=True)],
        1.0,
        rtol=1e-9,
    ),
    claims.true(
        "best-of-n-but-not-on-average",
        "but less than the limit for its average KL",
        "we derive",
        np.array([best["0/1"].gain < float(binary.gain_at_kl(best["0/1"].kl))]),
        must_hold=len(set(successes)) > 1,
    ),
)

# %% [markdown]
# **Try:** `alignlib run many_prompts -p sds 1,1,1 -o out.ipynb --html`: prompts that are alike lose nothing. And `alignlib run many_prompts -p sds 0.01,3 -o out.ipynb --html`: with one prompt far more variable than the other, the stricter budget
# keeps about 71 %, the share $1/\sqrt2$ of two prompts of which one has no variance.
