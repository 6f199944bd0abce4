# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a response costs
#
# A better response can be had for more draws. How many, and is there a cheaper way than {term}`best-of-N`?
#
# :::{admonition} Answer
# :class: answer
# At {{draws:g}} draws best-of-N wins {{win_best:.1%}} of comparisons with the {term}`base model`, stopping at a known threshold {{win_threshold:.1%}}, at one learnt on the spot {{win_learnt:.1%}}.
# Where prompts differ as here, an $N$ for each saves {{saved:.0%}} of the draws at equal reward.
# :::

# %% tags=["parameters"]
draws: float = 8.0  # mean draws of a response that the answer quotes, in [4, 64]
spread: float = 0.8  # standard deviation of the logarithm of the prompts' scales, in [0, 2]
n_prompts: int = 200  # prompts between which draws are shared out, in [20, 1000]
training: float = 1e6  # cost of training a policy, in draws, > 0
lam: float = 2.0  # target of the particle filter, in [0.2, 5]
particles: int = 4  # most particles, in [2, 5]
seed: int = 0  # seed of the made-up world of sequences, >= 0

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd
from scipy import stats

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw, Gaussian, PromptAverage, win_rates
from alignlib.lm.composed import PrefixWorld, blockwise_best_of_n, particle_filter, resampled_once
from alignlib.lm.level_law import LevelLaw
from alignlib.lm.space import ResponseSpace
from alignlib.rules import (
    BestOfN,
    BestOfPoisson,
    LearntThreshold,
    RejectionSampling,
    SoftBestOfN,
    ThresholdStopping,
    allocate_draws,
)

# %% [markdown]
# ## One response at a time
#
# Best-of-N draws $N$ responses, all at once if need be. Other rules draw one after the other and stop at a good one.
#
# ```{prf:theorem} The most for N draws on average (we derive; such rules are studied by B24)
# :label: thm-threshold-most
#
# Let a rule accept each draw with a probability that depends on the response, and draw $N$ on average. Its policy φ has $\varphi\le N\,p$, and every such policy can be had so. Of all of them
# {term}`threshold stopping`, which accepts the best $\frac1N$ of the base model, has the largest mean reward. Without {term}`ties <tie>` its win rate is $1-\frac1{2N}$ and its {term}`KL` is $\log N$.
# ```
#
# ```{prf:proof}
# With acceptance probabilities $a\le1$, $\varphi=p\,a/\E_pa$ and $N=1/\E_pa$. Under $\varphi\le Np$ no policy has more mass above any reward level than $\min(1,N\,\P(r>t))$, which threshold
# stopping has at every level.
# ```
#
# Best-of-N has the density $Nu^{N-1}\le N$ in the rank $u$, so a known threshold is better at equal draws. But the threshold is a quantile of the base model's rewards on this very prompt, and has to be
# known.
#
# ```{prf:theorem} A threshold learnt on the spot (we derive)
# :label: thm-learnt-threshold
#
# Draw $n$ responses, and take the $j$-th best of them, $j\ge2$, as threshold for $q$ responses to come. Without ties that takes $\frac nq+\frac n{j-1}$ draws a response on average, and wins
# $1-\frac j{2(n+1)}$ of comparisons with the base model. For $j=2$ the law of a response is that of best-of-$n$.
# ```
#
# ```{prf:proof}
# The mass $x$ above the threshold is Beta$(j,n-j+1)$, and a response takes $1/x$ more draws, of mean $n/(j-1)$. A response accepted above it beats a base draw with probability
# $1-\E x/2$. At tail $v$ the density is $\E[1\{x\ge v\}/x]$, for $j=2$ equal to $n(1-v)^{n-1}$.
# ```
#
# So for a single response, the threshold by the second best of $n$ gives what best-of-$n$ gives and takes twice the draws. {cite:t}`Kalayci2025` learn thresholds while drawing, with rewards
# normalised across prompts, and report savings over best-of-N.
#
# Rejection sampling accepts with probability $e^{-\lambda(\max r-r)}$ and gives $\pi_\lambda$, the optimum for its KL, itself. A response takes $\max_y\pi_\lambda/p$ draws.

# %%
law = win_rates(FiniteLaw(np.arange(2048.0)))  # a reward without ties, by its rank
grid = np.geomspace(1.0, 64.0, 40)


def learnt(budget, responses):
    """The best win rate of a learnt threshold for no more than so many draws a response."""
    most = [(math.floor(budget / (1.0 / responses + 1.0 / (j - 1.0))), j) for j in range(2, 80)]
    tried = [LearntThreshold(n, j, responses) for n, j in most if n >= j]
    return max(tried, key=LearntThreshold.win_rate_formula, default=None)


def of_learnt(budgets, responses):
    """Win rates of the best learnt thresholds, NaN where there is none."""
    found = [learnt(v, responses) for v in budgets]
    return np.array([math.nan if rule is None else rule.win_rate_formula() for rule in found])


few = grid[::3]
wins = {
    "known threshold": (grid, 1.0 - 0.5 / grid),
    "best-of-N": (grid, grid / (grid + 1.0)),
    "best-of-Poisson": (grid, np.array([BestOfPoisson(v - 1.0).win_rate_formula() for v in grid])),
    "learnt, ten responses": (few, of_learnt(few, 10.0)),
    "learnt, one response": (few, of_learnt(few, 1.0)),
    r"$\pi_\lambda$ by rejection": (grid, RejectionSampling.along(grid).on(law).mean_reward),
}

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "How often a response beats one of the base model, against the mean number of draws that it takes, without ties. A learnt threshold serves one or ten responses to the same prompt.", "name": "fig-win-by-draws"}, "image": {"alt": "Six rising curves of win rate against draws on a logarithmic axis: known threshold on top, then best-of-N, best-of-Poisson and a learnt threshold for ten responses, a learnt threshold for one, rejection sampling."}}
fig, ax = plotting.new(height=3.5)
styles = ("-", "-", "--", "-.", ":", (0, (5, 1, 1, 1)))
for (name, (at, value)), color, style in zip(wins.items(), plotting.CYCLE, styles, strict=False):
    ax.plot(at, value, color=color, linestyle=style, label=name)
ax.set_xscale("log", base=2)
plotting.name_axes(ax, "mean number of draws", "win rate")
plotting.legend(ax, loc="lower right", fontsize=9)

# %% [markdown]
# Draws are one price, {term}`KL` is another, and time is a third: best-of-N needs one round of draws, a rule that stops needs as many as it draws. At {{draws:g}} draws, for a reward that is uniform under the
# base model:

# %% tags=["hide-input"]
whole = round(draws)
shown = {
    "best-of-N": (BestOfN(draws), "one"),
    "best-of-Poisson": (BestOfPoisson(draws - 1.0), "one"),
    "soft best-of-n (λ = 8)": (SoftBestOfN(whole, 8.0), "one"),
    "known threshold": (ThresholdStopping(draws), "many"),
    "learnt threshold": (learnt(draws, 1.0), "many"),
    "rejection sampling": (RejectionSampling(draws), "many"),
}
rows = []
for name, (rule, rounds) in shown.items():
    on = rule.on(law)
    rows.append(
        {
            "rule": name,
            "rounds": rounds,
            "KL": f"{on.kl:.2f}",
            "win rate": f"{on.mean_reward:.1%}",
            "of the limit": f"{on.gain / float(law.gain_at_kl(on.kl)):.1%}",
        }
    )
pd.DataFrame(rows).set_index("rule")

# %% [markdown]
# The last column is the share of what any policy of the same KL can gain. The known threshold wins most and has the least of that; rejection sampling has all of it, and wins less than best-of-N. A trained policy takes one draw: at a
# training cost of {{training:,.0f}} draws it is cheaper than best-of-{{whole:d}} of equal quality after {{break_even:,.0f}} responses.
#
# ## N, prompt by prompt
#
# ```{prf:theorem} Falling returns (the greedy rule is classical; its use here we derive)
# :label: thm-falling-returns
#
# The mean reward $v(n)$ of best-of-$n$ has $v(n+1)-v(n)=\int F^n(1-F)\,dt$ with $F$ the distribution function of the reward, which falls in $n$; so does its unbiased estimate from samples. So
# for every total of draws, giving the next draw to the prompt that gains most by it maximises the mean reward over prompts.
# ```
#
# ```{prf:proof}
# $v(n)=\text{const}-\int F^n$ up to where rewards start. For the estimate take $F$ of a random subset. With falling gains the greedy choice takes the largest gains of all, and no other choice of as many draws can
# have larger ones.
# ```
#
# {cite:t}`Damani2025` and others allocate draws by a learnt estimate of what they add. Here what they add is known: {{n_prompts:d}} prompts with normal rewards whose scales differ (logarithm with standard deviation {{spread:g}}).

# %%
scale = np.exp(spread * stats.norm.ppf((np.arange(n_prompts) + 0.5) / n_prompts))
most = 256
value = scale[:, None] * BestOfN.along(np.arange(1, most + 1)).on(Gaussian()).gain
uniform_n = np.arange(1, 33)
chosen = [allocate_draws(value, int(n * n_prompts)) for n in uniform_n]
uniform = value[:, uniform_n - 1].mean(axis=0)
reward = np.array([one.mean_reward for one in chosen])
target = float(np.interp(draws, uniform_n, uniform))
needed = float(np.interp(target, reward, uniform_n))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean reward over {{n_prompts:d}} prompts of unlike scale against draws a prompt: the same N on all, and N chosen prompt by prompt. The arrow: equal reward for {{saved:.0%}} fewer draws.", "name": "fig-chosen-n"}, "image": {"alt": "Two rising concave curves of mean reward against mean draws a prompt; the one with chosen N lies above, and a horizontal arrow shows the draws saved."}}
fig, ax = plotting.new(height=3.2)
ax.plot(uniform_n, reward, color=plotting.LIMIT, label="N chosen prompt by prompt")
ax.plot(uniform_n, uniform, "--", color=plotting.BEST_OF_N, label="the same N on all")
ax.annotate("", (needed, target), (draws, target), arrowprops={"arrowstyle": "->"})
plotting.name_axes(ax, "draws a prompt", "mean gain in reward")
plotting.legend(ax, loc="lower right")

# %% [markdown]
# On your own table `alignlib report` does the same from samples, chosen on one half of them and judged on the other, and writes the number of each prompt ({doc}`31_your_own_rewards`). It pays where the same
# prompts are asked again, or prompts so alike that their numbers carry over.
#
# ## Block by block
#
# A response can also be improved while it is written. *Blockwise best-of-N* draws $N$ continuations of a block of tokens and keeps that of the highest value; a *particle filter* carries $K$ prefixes and resamples them in proportion to
# $e^{\lambda r}$ expected from them. In a made-up world of {{n_responses:d}} sequences both have exact laws, with exact values.

# %%
space = ResponseSpace(n_content=3, length=4)
rng = np.random.default_rng(seed)
going = rng.dirichlet(np.full(4, 2.0), size=4)  # by the last token: the chance to stop, then of each token
tokens, lengths = np.asarray(space.tokens, dtype=int), np.asarray(space.lengths, dtype=int)
prob = np.ones(space.size)
for place in range(space.length):
    before = tokens[:, place - 1] if place else np.zeros(space.size, dtype=int)
    prob *= np.where(lengths >= place, going[before, np.where(lengths > place, tokens[:, place], 0)], 1.0)
reward = rng.normal(size=4)[tokens].sum(axis=1) + 0.5 * rng.normal(size=space.size)
world = PrefixWorld.of(space, prob, (reward - prob @ reward) / np.sqrt(prob @ (reward - prob @ reward) ** 2))
optimum = np.exp(world.law.log_policy(lam))
counts = np.arange(1, particles + 1)
filters = {block: [particle_filter(world, lam, int(k), block) for k in counts] for block in (space.length, 2)}
apart = {block: [0.5 * np.abs(one.policy - optimum).sum() for one in found] for block, found in filters.items()}
composed = {
    f"best-of-{particles}": blockwise_best_of_n(world, particles, space.length),
    f"best-of-{particles}, blocks of 2": blockwise_best_of_n(world, particles, 2),
    f"best-of-{particles}, blocks of 1": blockwise_best_of_n(world, particles, 1),
    f"soft best-of-{particles}": filters[space.length][-1],
    f"{particles} particles, blocks of 2": filters[2][-1],
}
pd.DataFrame(
    [
        {
            "sampler": name,
            "tokens": f"{one.tokens:.1f}",
            "KL": f"{one.kl:.2f}",
            "gain": f"{one.gain:.2f}",
            "of the limit": f"{one.gain / float(world.law.gain_at_kl(one.kl)):.1%}",
        }
        for name, one in composed.items()
    ]
).set_index("sampler")

# %% [markdown]
# Tokens are counted, not draws: a block costs what it is long. Shorter blocks gain more here, for more tokens and much more KL, and rest on a value of unfinished responses, which has to be learnt in practice.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Total variation between what a particle filter returns and its target $\\pi_\\lambda$, λ = {{lam:g}}, against the number of particles: resampled after two tokens, and only at the end (soft best-of-n).", "name": "fig-particle-bias"}, "image": {"alt": "Two falling curves against the number of particles; the one that resamples after two tokens lies lower from two particles on."}}
fig, ax = plotting.new(height=3.0)
for (block, found), color, style in zip(apart.items(), plotting.CYCLE, ("--", "-"), strict=False):
    name = "at the end only" if block == space.length else "after two tokens too"
    ax.plot(counts, found, style, color=color, marker="o", label=name)
ax.set_xticks(counts)
plotting.name_axes(ax, "particles", r"distance to $\pi_\lambda$")
plotting.legend(ax, loc="upper right")

# %% [markdown]
# ## In the trained world
#
# A made-up chain may flatter. The language models of {doc}`50_world` are enumerable too: {{n_trained:,d}} responses to each prompt. There the same samplers have exact laws for any number of particles:
#
# ```{prf:proposition} One resampling, for any number of particles (we derive)
# :label: prop-resampled-once
#
# Draw $K$ prefixes $x$, resample $K$ of them in proportion to $w(x)>0$, let each go on to a response $y$ by the base model, and return one in proportion to $g(y)>0$. With $\phi_x(t)=\E_p[e^{-tg}\mid x]$ the law of what is returned is
#
# $$\begin{aligned}\pi(y)&=K^2\,p(y)\,g(y)\int_0^\infty e^{-tg(y)}\int_0^\infty w_x e^{-sw_x}\,c(s,t)\,ds\,dt,\\ c(s,t)&=[z^{K-1}]\;e^{szw_x\phi_x(t)}\,M(z)^{K-1},\\ M(z)&=\E_x\,e^{-sw_x+szw_x\phi_x(t)},\end{aligned}$$
#
# where $[z^{K-1}]$ takes the coefficient of $z^{K-1}$ and $x$ is the prefix of $y$.
# ```
#
# ```{prf:proof}
# Given the prefixes, the $K$ responses are independent draws of $q=\sum_i\frac{w_i}S p(\cdot\mid x_i)$, $S=\sum_iw_i$, and one is returned with probability $Kq(y)g(y)\int e^{-tg(y)}\bigl(\sum_i\frac{w_i}S\phi_{x_i}\bigr)^{K-1}dt$. Write
# $S^{-K}=\frac1{(K-1)!}\int s^{K-1}e^{-sS}ds$ and the power as $(K-1)!$ times a coefficient of an exponential series. The $K$ prefixes are then independent, and each of them is the one that $y$ goes on from in one of $K$ equal terms.
# ```
#
# Nothing cancels in it, and two sums over grids give it to rounding. `python -m alignlib.lm prepare` did so once for {{n_composed:d}} test prompts of each task; the target is $\pi_\lambda$ with a mean KL of {{trained_kl:g}} nat.

# %%
composed_tables = {task: pd.read_csv(f"lm_results/composed_{task}.csv") for task in ("summarisation", "safety")}
trained = {
    task: table.groupby(["sampler", "draws"]).mean().drop(columns="prompt") for task, table in composed_tables.items()
}
bias = {task: table.distance.unstack("draws") for task, table in trained.items()}
n_blocks, n_most = 4, int(max(bias["safety"].columns))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Total variation between what a particle filter returns and its target $\\pi_\\lambda$ on the trained base models, mean over {{n_composed:d}} prompts of each task, against the number of particles: resampled after two tokens too (solid), and only at the end (dashed). Exact.", "name": "fig-trained-particles"}, "image": {"alt": "Four falling lines on logarithmic axes, nearly straight, two for each task; those that resample after two tokens lie lower."}}
fig, ax = plotting.new(height=3.2)
for (task, table), color in zip(bias.items(), plotting.CYCLE, strict=False):
    for sampler, style in (("particles", "-"), ("soft best-of-n", "--")):
        line = table.loc[sampler]
        where = "after two tokens too" if sampler == "particles" else "at the end only"
        ax.plot(line.index, line, style, color=color, marker="o", label=f"{task}, {where}")
ax.set_xscale("log", base=2)
ax.set_yscale("log")
plotting.name_axes(ax, "particles", r"distance to $\pi_\lambda$")
plotting.legend(ax, loc="lower left", fontsize=9)

# %% [markdown]
# From {{draws_before:d}} to {{draws_last:d}} particles the distance falls to {{halved_least:.0%}} to {{halved_most:.0%}} of what it was, a little faster than like one over their number. Resampling after two tokens is worth {{worth_least:.1f}} to {{worth_most:.1f}} times
# as many particles there. At {{n_blocks:d}} draws, means over the prompts:

# %% tags=["hide-input"]
labels = {
    "best-of-n": f"best-of-{n_blocks}",
    "blockwise best-of-n": f"best-of-{n_blocks}, blocks of 2",
    "soft best-of-n": f"soft best-of-{n_blocks}",
    "particles": f"{n_blocks} particles, resampled once",
}
limits = {}
for task, table in composed_tables.items():
    prompts = PromptAverage(LevelLaw.read(f"lm_results/law_{task}_gold_test.csv").laws[: table.prompt.nunique()])
    limits[task] = trained[task].gain / np.asarray(prompts.gain_at_kl(trained[task].kl.to_numpy()))
pd.DataFrame(
    [
        {
            "sampler": f"{name}; {task}",
            "tokens": f"{trained[task].tokens[key, n_blocks]:.1f}",
            "KL": f"{trained[task].kl[key, n_blocks]:.2f}",
            "of the limit": f"{limits[task][key, n_blocks]:.1%}",
        }
        for task in composed_tables
        for key, name in labels.items()
    ]
).set_index("sampler")

# %% [markdown]
# Blocks again buy reward with more tokens and much more KL, and are farther from the limit of that KL.
#
# ## What it means
#
# No price orders the rules for all. For reward per draw stop at a threshold, if there are many responses to the same prompt to learn it from; for one response in one round draw $N$ and keep the best; for the least KL
# sample $\pi_\lambda$. Where prompts differ, choose $N$ for each.
#
# ## Claims

# %% tags=["hide-input"]
aimed = {task: table.loc[["particles", "soft best-of-n"]] for task, table in bias.items()}  # what has the target
halved = np.array([table[n_most] / table[n_most // 2] for table in aimed.values()]).ravel()
# So many particles at the end only have the distance of the most that are resampled too, on a straight line.
gained = np.array([table[n_most]["soft best-of-n"] / table[n_most]["particles"] for table in bias.values()])
n_list, doubled = np.arange(2, 40), 2.0 ** np.arange(1, 7)
claims.glue(
    win_best=draws / (draws + 1.0),
    win_threshold=shown["known threshold"][0].on(law).mean_reward,
    win_learnt=learnt(draws, 1.0).win_rate_formula(),
    saved=1.0 - needed / draws,
    whole=whole,
    break_even=training / (whole - 1.0),
    n_responses=space.size,
    n_trained=ResponseSpace().size,
    n_composed=composed_tables["safety"].prompt.nunique(),
    trained_kl=float(LevelLaw.read("lm_results/law_safety_gold_test.csv").average.kl(composed_tables["safety"].lam[0])),
    draws_before=n_most // 2,
    draws_last=n_most,
    halved_least=halved.min(),
    halved_most=halved.max(),
    worth_least=gained.min(),
    worth_most=gained.max(),
    n_blocks=n_blocks,
)
claims.record(
    claims.equal(
        "threshold",
        "win rate and KL of threshold stopping by enumeration: 1-1/(2N) and log N",
        "B24; we derive",
        np.concatenate(
            [ThresholdStopping.along(doubled).on(law).mean_reward, ThresholdStopping.along(doubled).on(law).kl]
        ),
        np.concatenate([1.0 - 0.5 / doubled, np.log(doubled)]),
        rtol=1e-9,
    ),
    claims.at_most(
        "threshold-most",
        "mean reward of best-of-N, best-of-Poisson and rejection sampling over the known threshold's at equal mean draws",
        "we derive",
        np.concatenate(
            [
                wins[name][1] / wins["known threshold"][1]
                for name in ("best-of-N", "best-of-Poisson", r"$\pi_\lambda$ by rejection")
            ]
        ),
        1.0 + 1e-9,
    ),
    claims.equal(
        "second-best-is-best-of-n",
        "KL of a threshold at the second best of n is best-of-n's",
        "we derive",
        np.array([LearntThreshold(int(n), 2).spent_formula() for n in n_list[::6]]),
        BestOfN.along(n_list[::6]).spent_formula(),
        rtol=1e-6,
    ),
    claims.at_most(
        "learning-costs",
        "best win rate of a threshold learnt for one response, over best-of-N's at equal draws",
        "we derive",
        wins["learnt, one response"][1][~np.isnan(wins["learnt, one response"][1])]
        / (few / (few + 1.0))[~np.isnan(wins["learnt, one response"][1])],
        1.0,
    ),
    claims.at_least(
        "chosen-n",
        "mean reward with N chosen prompt by prompt, less that of the same N on all",
        "we derive",
        (np.array([one.mean_reward for one in chosen]) - uniform)[1:],  # with one draw each there is nothing to choose
        0.0,
        atol=1e-12,
    ),
    claims.equal(
        "exact",
        "mean reward with chosen N over the bound that no choice exceeds",
        "we derive",
        np.array([one.mean_reward / one.bound for one in chosen[1:]]),
        1.0,
        rtol=1e-9,
    ),
    claims.at_most(
        "below-the-limit",
        "gain of samplers that compose responses, over the limit's at their KL",
        "Y24, P26",
        np.array([one.gain / float(world.law.gain_at_kl(one.kl)) for one in composed.values()]),
        1.0 + 1e-9,
    ),
    claims.at_most(
        "particles",
        "distance to the target with resampling after two tokens, over that without, two particles or more",
        "we derive",
        np.array(apart[2][1:]) / np.array(apart[space.length][1:]),
        1.0,
        must_hold=False,
    ),
    claims.at_most(
        "trained-below-the-limit",
        "gain of the same samplers on the trained base models, over the limit's at their mean KL",
        "Y24, P26",
        np.concatenate([share.to_numpy() for share in limits.values()]),
        1.0 + 1e-7,
    ),
    claims.at_most(
        "trained-particles",
        "distance to the target with resampling after two tokens, over that without, on the trained base models",
        "we measure",
        np.concatenate([(table.loc["particles"] / table.loc["soft best-of-n"]).to_numpy() for table in bias.values()]),
        1.0,
        must_hold=False,
    ),
    claims.at_most(
        "trained-one-over-particles",
        "distance to the target at twice as many particles, the most here, over that before",
        "V25 for soft best-of-n; we measure",
        halved,
        0.5,
        must_hold=False,
    ),
    claims.equal(
        "resampled-once",
        "the law by two integrals, and by enumeration of the prefixes, in the made-up world: total variation between them",
        "we derive",
        [
            0.5 * np.abs(resampled_once(world, lam, int(k), 2).policy - one.policy).sum()
            for k, one in zip(counts, filters[2], strict=True)
        ],
        0.0,
        atol=1e-10,
    ),
)

# %% [markdown]
# **Try:** `alignlib run what_a_response_costs -p spread 1.5 -o out.ipynb --html`. Where prompts differ more, choosing $N$ for each saves more.
