# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises
#
# Can you use what the chapters say? Nine exercises, three for each kind of reader in {doc}`../reading_path`. Most take a few lines on paper.
#
# :::{admonition} Answer
# :class: answer
# The solutions are folded, and their numbers are computed on this page. The first exercise needs only the picture: of its three points
# {{above}} can belong to no policy.
# :::

# %% tags=["parameters"]
success: float = 0.25  # success rate of the 0/1 reward in exercises 2, 4 and 7, in [0.01, 0.9]
budget: float = 0.5  # KL budget of exercises 1, 5 and 6, in nats, in [0.05, 2]
draws: int = 16  # number of draws of best-of-N in exercises 2 and 3, in [2, 10000]

# %% tags=["hide-input"]
import math

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import Bernoulli, Exponential, Gaussian, PromptAverage, Uniform
from alignlib.rules import BestOfN
from alignlib.sequences import MemorylessModel

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Exercise 1. The largest gain within each KL budget, Gaussian reward of standard deviation 1, and three points A, B, C that somebody reports.", "name": "fig-exercise"}, "image": {"alt": "A concave curve with one point below it, one on it and one above it."}}
law = Gaussian()
kl = np.linspace(0, 2, 101)
limit = float(law.gain_at_kl(budget))
reported = {"A": (budget, 0.7 * limit), "B": (budget, limit), "C": (budget, 1.2 * limit)}
fig, ax = plotting.new(height=3.0)
plotting.curve(ax, kl, law.gain_at_kl(kl), "the limit", at=1.4, offset=(-6, 6), ha="right")
for name, (x, y) in reported.items():
    plotting.points(ax, x, y, [name], color=plotting.BASE, offset=(10, 8), label=f"_{name}")
plotting.name_axes(ax, plotting.KL_LABEL, "gain in reward")
# %% [markdown]
# ## For whoever has rewards to use
#
# **1.** {numref}`fig-exercise` shows three reported policies. Which one cannot be right, which is optimal, and by how many nats could A have been cheaper?
#
# ```{dropdown} Solution
# C lies above the limit: no policy gains {{gain_c:.3f}} at {{budget:g}} nats. B is optimal. A gains {{gain_a:.3f}}; for a Gaussian reward of standard deviation 1 a gain $g$ needs
# $g^2/2={{needed_a:.3f}}$ nats, so A spends {{wasted_a:.3f}} nats more than needed.
# ```
#
# **2.** A verifier accepts {{success:.0%}} of the base model's answers. With what probability does best-of-{{draws:d}} return an accepted answer, and how many nats does it
# spend? What would the formula $\log N-\frac{N-1}N$ say?
#
# ```{dropdown} Solution
# All {{draws:d}} answers fail with probability $(1-{{success:g}})^{ {{draws:d}} }$, so the success rate is $q={{accepted:.4f}}$. The divergence of two coins,
# $q\log\frac q{ {{success:g}} }+(1-q)\log\frac{1-q}{1-{{success:g}}}$, is {{spent:.3f}} nats. The formula says {{formula:.3f}}, which is
# {{formula_is}}. No policy needs more than $D_{\max}=-\log{{success:g}}={{most:.3f}}$.
# ```
#
# **3.** You draw {{draws:d}} responses per prompt to estimate the limit. How far can they be reweighted, and how many of them still count at a quarter of that?
#
# ```{dropdown} Solution
# To $\log{{draws:d}}={{ceiling:.2f}}$ nats, whatever the reward ({prf:ref}`prop-log-n`); an estimate that reaches further assumes a law. At a quarter of that, {{quarter:.2f}} nats, the weights of a Gaussian reward leave an
# effective sample size of {{ess:.1f}} of {{draws:d}} on average. The formula $n e^{-2D}$, which holds for $n$ much larger than $e^{2D}$, would say {{ess_formula:.1f}}.
# ```
#
# ## For whoever trains
#
# **4.** Training on the verifier of exercise 2 with penalty $\beta=1$: what success rate does the optimum have?
#
# ```{dropdown} Solution
# The tilt multiplies the odds by $e^{1/\beta}=e$: odds ${{odds:.4f}}\times e={{new_odds:.4f}}$, a success rate of {{trained:.4f}}.
# ```
#
# **5.** Two prompts have Gaussian rewards with standard deviations 1 and 3. With {{budget:g}} nats on average, how many does the optimum spend on each, and what does an even
# split lose?
#
# ```{dropdown} Solution
# With one $\lambda$ for both, $D_x=\lambda^2\sigma_x^2/2$: in the ratio 1 to 9, that is {{first:.2f}} and {{second:.2f}} nats. The even split keeps
# $\E\sigma/\sqrt{\E\sigma^2}=2/\sqrt5$, {{kept:.1%}} of the gain, and loses {{lost:.1%}} ({prf:ref}`thm-two-budgets`).
# ```
#
# **6.** Your policy has {{budget:g}} nats and gains 0.9 of what is possible there (Gaussian reward, standard deviation 1). How far is it from the optimum, in nats?
#
# ```{dropdown} Solution
# By {prf:ref}`prop-closeness` its divergence from $\pi_\lambda$ is $\lambda$ times the missing reward: $\lambda=\sqrt{2\times{{budget:g}}}={{lam_six:.3f}}$, missing reward
# $0.1\times{{lam_six:.3f}}$, so {{distance:.3f}} nats.
# ```
#
# ## For whoever reads the papers
#
# **7.** Of the gain in exercise 4, which part is paid as penalty and which part is left?
#
# ```{dropdown} Solution
# $\beta\,\KL{\pi}{p}={{paid:.4f}}$ is paid and $\beta\,\KL{p}{\pi}={{left:.4f}}$ is left ({prf:ref}`prop-split-of-the-gain`); together {{gain_seven:.4f}}, the gain.
# ```
#
# **8.** For an exponential reward, show that the limit at large budgets grows like $\Delta$, while best-of-$N$ grows like $\log N$. Do they agree to leading order?
#
# ```{dropdown} Solution
# $\Lambda=-\log(1-\lambda)$, so $R=1/(1-\lambda)$ and $D=\frac\lambda{1-\lambda}+\log(1-\lambda)$: the gain is $\frac\lambda{1-\lambda}=D+\log\frac1{1-\lambda}\approx D+\log D$. Best-of-$N$
# gains $H_N-1\approx\log N-0.42$ at about $\log N-1$ nats. To leading order they agree, and the difference $\log D$ grows without bound: at $N=10^6$ best-of-$N$ has
# {{exponential_share:.1%}} of the limit.
# ```
#
# **9.** On sequences of $m$ coin flips, rewarded by the number of heads, compare best-of-$e^{m\delta}$ with the optimum at $\delta=0.1$ nats: total divergence at $m=100$ and
# $m=1000$. Which growth do you expect?
#
# ```{dropdown} Solution
# It grows like $\frac12\log m$ ({prf:ref}`prop-half-log`), that is by about $\frac12\log10={{half_log:.2f}}$. Computed: {{short_kl:.3f}} and {{long_kl:.3f}} nats, a difference of
# {{grown:.2f}}. (On a lattice the bounded term oscillates.)
# ```
#
# ## Claims

# %% tags=["hide-input"]
coin = Bernoulli(success)
refused = (1 - success) ** draws
accepted = 1 - refused
best = BestOfN(draws).on(coin)
odds = success / (1 - success)
two = PromptAverage([Gaussian(sd=1.0), Gaussian(sd=3.0)])
lam_two = float(two.lam_at_kl(budget))
quarter = math.log(draws) / 4
weight = np.exp(
    math.sqrt(2 * quarter) * np.random.default_rng(0).standard_normal((max(2_000_000 // draws, 100), draws))
)
exponential = BestOfN(10**6).on(Exponential())
flips = {m: MemorylessModel([0.5, 0.5], [0.0, 1.0], m).best_of_n(0.1) for m in (100, 1000)}
lam_six = math.sqrt(2 * budget)
spent = accepted * math.log(accepted / success) + (draws - 1) * refused * math.log1p(-success)  # (1-q)/(1-p) is a power
formula = BestOfN(draws).spent_formula()
claims.glue(
    above=" and ".join(name for name, (x, y) in reported.items() if y > float(law.gain_at_kl(x)) + 1e-12),
    gain_a=0.7 * limit,
    gain_c=1.2 * limit,
    needed_a=(0.7 * limit) ** 2 / 2,
    wasted_a=budget - (0.7 * limit) ** 2 / 2,
    accepted=accepted,
    spent=spent,
    formula=formula,
    formula_is="more than any policy can use"
    if formula > -math.log(success)
    else "too much: it holds without ties, and here many draws have the same reward",
    most=-math.log(success),
    ceiling=math.log(draws),
    quarter=quarter,
    ess=(weight.sum(axis=1) ** 2 / (weight**2).sum(axis=1)).mean(),
    ess_formula=draws * math.exp(-2 * quarter),
    odds=odds,
    new_odds=odds * math.e,
    trained=odds * math.e / (1 + odds * math.e),
    first=lam_two**2 / 2,
    second=9 * lam_two**2 / 2,
    kept=2 / math.sqrt(5),
    lost=1 - 2 / math.sqrt(5),
    lam_six=lam_six,
    distance=0.1 * lam_six**2,
    paid=float(coin.kl(1.0)),
    left=float(coin.reverse_kl(1.0)),
    gain_seven=float(coin.gain(1.0)),
    exponential_share=exponential.gain / float(Exponential().gain_at_kl(exponential.kl)),
    half_log=0.5 * math.log(10),
    short_kl=flips[100].kl_to_optimum,
    long_kl=flips[1000].kl_to_optimum,
    grown=flips[1000].kl_to_optimum - flips[100].kl_to_optimum,
)
claims.record(
    claims.equal(
        "1", "least KL for the gain of A", "M24", law.kl_at_gain(0.7 * limit), (0.7 * limit) ** 2 / 2, rtol=1e-12
    ),
    claims.equal("2", "KL of best-of-N on the verifier", "B24", best.kl, spent, rtol=1e-9),
    claims.equal(
        "4",
        "success rate at $\\beta=1$",
        "Y24, P26",
        coin.mean_reward(1.0),
        odds * math.e / (1 + odds * math.e),
        rtol=1e-12,
    ),
    claims.equal(
        "5",
        "share kept by an even split",
        "we derive",
        two.gain_on_every_prompt(budget) / two.gain_at_kl(budget),
        2 / math.sqrt(5),
        rtol=1e-9,
    ),
    claims.equal(
        "7",
        "what is paid and what is left make up the gain",
        "P26",
        coin.kl(1.0) + coin.reverse_kl(1.0),
        coin.gain(1.0),
        rtol=1e-12,
    ),
    claims.at_most(
        "8",
        "exponential reward at $N=10^6$: best-of-N's share of the limit",
        "we derive",
        exponential.gain / float(Exponential().gain_at_kl(exponential.kl)),
        0.9,
    ),
    claims.equal(
        "9",
        "growth of the total divergence from 100 to 1000 coin flips",
        "we derive",
        flips[1000].kl_to_optimum - flips[100].kl_to_optimum,
        0.5 * math.log(10),
        atol=0.15,
    ),
    claims.at_most(
        "uniform",
        "for comparison with exercise 8: a uniform reward leaves best-of-16 less than a thousandth below the limit",
        "we derive",
        Uniform().gain_at_kl(BestOfN(16).on(Uniform()).kl) - BestOfN(16).on(Uniform()).gain,
        1e-3,
    ),
)

# %% [markdown]
# **Try:** `alignlib run exercises -p success 0.05 -p draws 64 -o out.ipynb --html` changes the numbers of the exercises, and with them the solutions.
