# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Alignment on one page
#
# What do policy, reward model, KL penalty, best-of-N, PPO and GRPO mean, and what does this book ask about them?
#
# :::{admonition} Answer
# :class: answer
# Alignment makes responses of high reward more likely, and keeps the model near the one it started from. In the example below, with {{count}} responses, best-of-2 raises the
# mean reward by {{best_gain:.2f}} and moves {{best_kl:.3f}} nats away from the base model. No method that moves as far can raise it by more than
# {{limit_gain:.3f+}}. This largest possible gain is the *limit* that the book is about.
# :::

# %% tags=["parameters"]
prob: list[float] = [
    0.4,
    0.3,
    0.2,
    0.1,
]  # base probabilities of the responses, in increasing order of reward, summing to one, 2 to 10 values, in [0.001, 1)
reward: list[float] = [0.0, 1.0, 2.0, 3.0]  # their rewards, increasing, as many as prob, in [-100, 100]
factor: float = 2.0  # by how much the weight of a response grows with each unit of reward, e^lambda, in [1.1, 100]

# %% tags=["hide-input"]
import math

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN

# %% [markdown]
# ## The pieces
#
# Base model
# : A language model is a {term}`policy`: given a prompt $x$ it assigns a probability to every {term}`response` $y$. The one that alignment starts from is the
#   {term}`base model` $p(y\mid x)$, usually trained to imitate text and good answers.
#
# Reward model
# : A second model that gives a response a number, its {term}`reward` $r(x,y)$. It is trained on comparisons: people see two responses and say which is better, and
#   the reward is fitted so that the better one wins with the probability that {cite:t}`BradleyTerry1952` assign to it {cite:p}`Stiennon2020`. It is a
#   {term}`proxy` for what people want, and can be wrong where it has seen few comparisons.
#
# KL divergence
# : $\KL{\pi}{p}=\sum_y\pi(y)\log\frac{\pi(y)}{p(y)}$ measures how far a policy $\pi$ is from the base model, in {term}`nats <nat>`. It is zero only if
#   the two are equal. Far from the base model a policy forgets what it could do, and finds the errors of the reward model {cite:p}`G22`. Other
#   divergences can take its place {cite:p}`L24`.
#
# KL penalty
# : Training maximises $\E_\pi r-\beta\,\KL{\pi}{p}$: each nat costs $\beta$ of reward. The inverse, $\lambda=1/\beta$, says how strongly reward is pursued.
#
# RLHF
# : *Reinforcement learning from human feedback* is all of this together: collect comparisons, fit a reward model, train the policy on it with a KL penalty.
#
# PPO, GRPO, RLOO, DPO
# : Ways to train. *PPO* {cite:p}`PPO` raises the probability of tokens that turned out better than a learned value function expected, in small steps. *GRPO*
#   {cite:p}`GRPO` and *RLOO* {cite:p}`RLOO` compare each response with others to the same prompt instead. *DPO* {cite:p}`DPO` fits the policy to the
#   comparisons directly, without a separate reward model.
#
# Best-of-N
# : No training: draw $N$ responses from the base model, and keep the one with the highest reward.
#
# ## A few responses, by hand
#
# One prompt has {{count}} responses, {{letters}}. The table has their rewards and probabilities $p$, and what the next steps make of them. The base model's mean reward is
# {{base_reward:.2f}}.
#
# {{table}}

# %%
p, r = np.array(prob) / sum(prob), np.array(reward)
names = "abcdefghij"[: p.size]
lam = math.log(factor)
base_reward = float(p @ r)

# %% [markdown]
# **The tilt.** Multiply each probability by $e^{\lambda r}$ and divide by the sum, so that they sum to one again. Take $\lambda=\log {{factor:g}}={{lam:.4f}}$: each unit of reward then
# multiplies the weight by {{factor:g}}. The weights sum to {{total:.2f}}, and the mean reward of the tilted law $\pi_\lambda$ is {{tilt_reward:.4f}}: a gain of
# {{tilt_gain:.4f}}.

# %%
weight = p * factor**r
tilt = weight / weight.sum()
tilt_gain = float(tilt @ r) - base_reward

# %% [markdown]
# **Its divergence.** $\KL{\pi_\lambda}{p}$ is the mean under $\pi_\lambda$ of $\log\frac{\pi_\lambda}p=\lambda r-\log{{total:.2f}}$:
# $\;{{lam:.4f}}\times{{tilt_reward:.4f}}-{{log_total:.4f}}={{forward:.4f}}$ nats. The reverse divergence $\KL{p}{\pi_\lambda}$ is the mean under $p$ of $\log\frac p{\pi_\lambda}$, the same logarithm with the opposite sign:
# $\;{{log_total:.4f}}-{{lam:.4f}}\times{{base_reward:.2f}}={{backward:.4f}}$ nats.
#
# **Both together.** The sum of the two is called the {term}`Jeffreys divergence`. The gain is $\beta=1/\lambda$ times this sum ({prf:ref}`thm-jeffreys`):
# $\;({{forward:.4f}}+{{backward:.4f}})/{{lam:.4f}}={{jeffreys_gain:.4f}}$, the gain found above.

# %%
log_total = math.log(weight.sum())
forward = lam * float(tilt @ r) - log_total
backward = log_total - lam * base_reward

# %% [markdown]
# **Best-of-2.** The reward of the better of two draws is at most that of $b$ if and only if both rewards are. One draw is at most {{letters}} with the cumulative probabilities $F$ = {{cumulative}};
# the better of two with $F^2$ = {{squares}}. The differences of neighbouring numbers in this last list are the probabilities that best-of-2 returns {{letters}} (last column of the table). Its mean reward is {{best_reward:.2f}}, a gain of {{best_gain:.2f}}, and its divergence
# from the base model is {{best_kl:.4f}} nats. (The formula $\log2-\frac12={{formula:.4f}}$ holds only where two draws never have the same reward. Of {{count}} responses the same one is often drawn twice.)

# %%
cumulative = np.cumsum(p)
best = np.diff(np.concatenate([[0.0], cumulative**2]))
best_gain = float(best @ r) - base_reward
best_kl = float(best @ np.log(best / p))

# %% [markdown]
# **The limit.** Is there a policy that moves as far as best-of-2 and earns more? The best is again a tilt ({prf:ref}`thm-optimum`), with the $\lambda$ that
# spends {{best_kl:.4f}} nats. It is found by trying: $\lambda={{limit_lam:.4f}}$. Its gain is {{limit_gain:.4f}}, {{verdict}}.

# %%
family = FiniteLaw(r, p)
limit_lam = float(family.lam_at_kl(best_kl))
limit_gain = float(family.gain(limit_lam))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The responses with their rewards: probabilities under the base model, under best-of-2, and under the tilt that spends the same {{best_kl:.3f}} nats. Best-of-2 gains {{best_gain:.3f}}, the tilt {{limit_gain:.3f}}.", "name": "fig-four"}, "image": {"alt": "Bars for {{count}} responses: those of best-of-2 and of the tilt are shifted to the higher rewards against those of the base model."}}
fig, ax = plotting.new(height=3.0)
at = np.arange(p.size)
ax.bar(at - 0.27, p, width=0.25, color=plotting.BOUND, label="base model")
ax.bar(at, best, width=0.25, color=plotting.BEST_OF_N, label="best-of-2")
ax.bar(at + 0.27, np.exp(family.log_policy(limit_lam)), width=0.25, color=plotting.LIMIT, label="the tilt")
ax.set_xticks(
    at,
    [
        f"{name}: reward {value:g}" if p.size < 5 else f"{name}: {value:g}"
        for name, value in zip(names, reward, strict=True)
    ],
)
plotting.legend(ax, loc="upper right")
plotting.name_axes(ax, "", "probability")
# %% tags=["hide-input"] mystnb={"figure": {"caption": "The limit for the {{count}} responses: the largest gain within each KL budget. The tilt by $\\lambda=\\log {{factor:g}}$ is on it; best-of-2 {{place}}.", "name": "fig-four-frontier"}, "image": {"alt": "A concave frontier with the tilt on it; the point of best-of-2 {{place}}."}}
fig, ax = plotting.new()
edge = family.frontier()
plotting.curve(ax, edge.spent, edge.gain, "the limit", at=0.5 * family.max_kl, offset=(-6, 6), ha="right")
for kl, gain, named, color in (
    (best_kl, best_gain, "best-of-2", plotting.BEST_OF_N),
    (forward, tilt_gain, rf"tilt, $\lambda=\log {factor:g}$", plotting.LIMIT),
):
    plotting.points(ax, kl, gain, [named], color=color, offset=(8, -8), label=f"_{named}")
plotting.name_axes(ax, plotting.KL_LABEL, "gain in reward")
# %% [markdown]
# ## What the book asks
#
# A real model has more responses than can be listed, and many prompts. The questions stay the same: how high is the limit ([](01_closed_form.ipynb)), can it be known from
# samples ([](30_from_samples.ipynb)), how near do best-of-N ([](11_distance_to_limit.ipynb)) and trained policies ([](51_safety_training.ipynb)) come, what if the
# reward is a proxy ([](40_price_of_a_proxy.ipynb)), and how much can human feedback tell in the first place ([](60_feedback_channel.ipynb))?
# {doc}`../reading_path` suggests an order for three kinds of reader.
#
# ## Claims

# %% tags=["hide-input"]
listed = {name: ", ".join(f"{v:.4g}" for v in values) for name, values in (("F", cumulative), ("F²", cumulative**2))}
rows = ["| response | reward | $p$ | weight | tilt $\\pi_\\lambda$ | best-of-2 |", "|---|---|---|---|---|---|"]
for name, *numbers in zip(names, reward, p, weight, tilt, best, strict=True):
    rows.append(f"| {name} | " + " | ".join(f"{v:.4g}" for v in numbers) + " |")
share = best_gain / limit_gain
claims.glue(
    base_reward=base_reward,
    lam=lam,
    total=weight.sum(),
    log_total=log_total,
    tilt_reward=float(tilt @ r),
    tilt_gain=tilt_gain,
    forward=forward,
    backward=backward,
    jeffreys_gain=(forward + backward) / lam,
    table=claims.Markdown("\n".join(rows)),
    cumulative=claims.Markdown(listed["F"]),
    squares=claims.Markdown(listed["F²"]),
    best_reward=float(best @ r),
    best_gain=best_gain,
    best_kl=best_kl,
    formula=BestOfN(2).spent_formula(),
    limit_lam=limit_lam,
    limit_gain=limit_gain,
    share=share,
    count=("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")[p.size - 2],
    letters=claims.Markdown(", ".join(f"${name}$" for name in names)),
    verdict="the same: of two responses every policy that favours the better one is a tilt"
    if p.size == 2
    else f"so best-of-2 has {share:.1%} of the limit",
    place="is on it, too" if p.size == 2 else "is just below it" if share > 0.95 else "is below it",
)
largest = float(np.abs(r).max())
rounding = 1e-13 * np.array(
    [largest, max(lam * largest, 1.0)]
)  # of gains and divergences by hand, which are differences
claims.record(
    claims.equal(
        "tilt",
        "gain of the tilt by hand and by the library",
        "we derive",
        tilt_gain,
        family.gain(lam),
        rtol=1e-12,
        atol=rounding[0],
    ),
    claims.equal(
        "kl",
        "its divergence by hand and by the library",
        "we derive",
        forward,
        family.kl(lam),
        rtol=1e-12,
        atol=rounding[1],
    ),
    claims.equal(
        "jeffreys",
        r"$\beta$ times the sum of both divergences is the gain",
        "P26",
        (forward + backward) / lam,
        tilt_gain,
        rtol=1e-12,
        atol=rounding[0] + rounding[1] / lam,
    ),
    claims.equal(
        "best-of-2",
        "gain and divergence of best-of-2 by hand and by the library",
        "B24",
        [best_gain, best_kl],
        [BestOfN(2).on(family).gain, BestOfN(2).on(family).kl],
        rtol=1e-12,
        atol=rounding.max(),
    ),
    claims.at_most(
        "below-the-limit",
        "best-of-2 gains no more than the limit at its KL",
        "Y24, P26",
        best_gain,
        limit_gain,
        atol=1e-12 * limit_gain + rounding[0],
    ),
)

# %% [markdown]
# **Try:** `alignlib run primer -p reward 0,1,2,10 -o out.ipynb --html`: one response is far better than the others. Best-of-2, which sees only their order, then has a smaller share of the limit.
