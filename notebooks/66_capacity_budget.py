# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Spending a capacity budget
#
# If attention is limited, where should it go?
#
# :::{admonition} Answer
# :class: answer
# Where a nat buys most. On this chapter's {{n_contexts:d}} contexts an equal split of {{budget:g}} nats per judgement leaves a loss of {{equal_loss:.3f}}; the best
# split leaves {{best_loss:.3f}}, {{saved:.0%}} less, and gives nothing at all to {{starved:d}} of them. The answer is certified: no split does better by more than
# {{gap:.0e}}.
# :::

# %% tags=["parameters"]
budget: float = 0.4  # mean capacity to be spent, in nats per judgement, in [0.01, 2]
n_contexts: int = 5  # contexts, in [2, 20]
n_values: int = 6  # values to be judged in each context, in [2, 30]
seed: int = 17  # seed of the contexts, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import (
    Task,
    allocate,
    fano_floor,
    mutual_information,
    optimal_judge,
    rate_distortion,
    reverse_water_filling,
)

# %% [markdown]
# ## The statement
#
# A judge of bounded capacity is a channel $P(h\mid u)$ with $I(U;H)\le C$. The best one is the subject of rate–distortion theory, known in economics as rational
# inattention {cite:p}`Sims2003`.
#
# ```{prf:theorem} The optimal judge (Shannon 1959; Sims 2003)
# :label: thm-optimal-judge
#
# The judge of least mean loss within $I(U;H)\le C$ is $P(h\mid u)\propto q(h)\,e^{-s\,\ell(u,h)}$ for some slope $s$, where $q$ maximises
# $\sum_u p_u\log\sum_h q_h e^{-s\ell(u,h)}$.
# ```
#
# It is the tilted law of the book's first chapter, with the judgement's own marginal as base: bounded rationality and KL-regularised alignment are one formula.
#
# ```{prf:proposition} Splitting a budget (we derive)
# :label: prop-reverse-water-filling
#
# Let context $s$ with weight $w_s$ lose $D_s(R)$, convex, when judged with $R$ nats. The split that minimises $\sum_s w_sD_s(R_s)$ within $\sum_s w_sR_s\le C$
# has one slope $-D_s'(R_s)=1/\sigma$ wherever $R_s>0$, and $R_s=0$ where the first nat buys less. For Gaussian targets, $D_s=\min(\theta,\sigma_s^2)$: reverse water-filling.
# Weak duality at any slope certifies any split.
# ```
#
# ```{prf:proof}
# The problem is convex; this is Lagrange's condition. The dual value $\max_\sigma\sum_s w_s\min_R\{D_s(R)+R/\sigma\}-C/\sigma$ is a lower bound on every split.
# ```
#
# ## One judge
#
# {{n_values:d}} equally likely values, errors counted. The optimal judge of capacity $C$ errs exactly as often as the Fano floor of
# [](62_floor_and_ceiling.ipynb) says: floor and rate–distortion are one curve.

# %%
grid = np.linspace(0.02, 0.98 * np.log(n_values), 25)
judges = [optimal_judge(np.full(n_values, 1 / n_values), 1 - np.eye(n_values), c) for c in grid]
floor = fano_floor(grid, n_values)

# %% [markdown]
# ## Several contexts
#
# Contexts differ in how often they occur, how predictable the value is, and what errors cost.

# %%
rng = np.random.default_rng(seed)
weight = rng.dirichlet(np.full(n_contexts, 3.0))
tasks = [
    Task(
        rng.dirichlet(np.full(n_values, 10 ** rng.uniform(-0.7, 1))),
        10 ** rng.uniform(-1.2, 0.4) * (1 - np.eye(n_values)),
    )
    for _ in range(n_contexts)
]
split = allocate(tasks, budget, weight)
equal = np.array([optimal_judge(task.prob, task.loss, budget).loss for task in tasks])
blind = np.array([task.blind_loss for task in tasks])

# %% mystnb={"figure": {"caption": "Loss against capacity in each of {{n_contexts:d}} contexts (seed {{seed:d}}), with the best split of {{budget:g}} nats (dots) and the equal one (bars): at the dots all curves have the same slope, or are at their start.", "name": "fig-split-curves"}, "image": {"alt": "Falling convex curves of loss against nats; the dots lie far right on steep curves and at zero on flat ones."}} tags=["hide-input"]
fig, ax = plotting.new(height=4.0)
top = max(1.15 * split.rate.max(), 1.2 * budget)
for i, (task, color) in enumerate(zip(tasks, np.resize(plotting.CYCLE, n_contexts), strict=True)):
    slopes = np.geomspace(0.3, 300, 45) / np.ptp(task.loss)
    curve = [rate_distortion(task.prob, task.loss, s) for s in slopes]
    rates, losses = np.array([[0.0, blind[i]], *([p.rate, p.distortion] for p in curve)]).T
    keep = rates <= top
    ax.plot(rates[keep], losses[keep], color=color, label=f"context {i + 1}, {weight[i]:.0%}")
    ax.plot(split.rate[i], split.distortion[i], "o", color=color, clip_on=False)
    ax.plot(budget, equal[i], "|", color=color, markersize=13, markeredgewidth=2)
ax.set_xlim(0, top)
ax.set_ylim(0, None)
plotting.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
plotting.name_axes(ax, "capacity spent (nats)", "loss")

# %% [markdown]
# Best split {{best_loss:.4f}}, equal split {{equal_loss:.4f}}, no judging {{blind_loss:.4f}}. At the margin a nat buys {{price:.3f}} of loss in every context
# that gets any.
#
# ## Gaussian targets
#
# When the target is a number and the loss its squared error, the split is a picture: fill water from above.

# %%
variance = np.sort(10 ** rng.uniform(-1.3, 0.3, n_contexts))[::-1]
water = reverse_water_filling(variance, budget)
budgets = np.linspace(0.0, 1.5, 31)
filled = [reverse_water_filling(variance, b) for b in budgets]
even = np.array([np.mean(variance * np.exp(-2 * b)) for b in budgets])

# %% mystnb={"figure": {"caption": "Reverse water-filling of {{budget:g}} nats per judgement over {{n_contexts:d}} Gaussian contexts: what stands above the level {{level:.3f}} is removed, contexts below it are left alone.", "name": "fig-water-level"}, "image": {"alt": "Bars of variance in falling order; the part above a horizontal level is hatched as removed, the bars below the level are untouched."}} tags=["hide-input"]
fig, ax = plotting.new(height=3.4)
place = np.arange(1, n_contexts + 1)
ax.bar(place, water.distortion, 0.65, color=plotting.LIMIT, label="loss left")
ax.bar(
    place,
    variance - water.distortion,
    0.65,
    bottom=water.distortion,
    color="white",
    edgecolor=plotting.BEST_OF_N,
    hatch="///",
    label="removed by judging",
)
ax.axhline(water.level, color=plotting.BASE, linewidth=1, linestyle="--")
ax.text(n_contexts + 0.45, water.level, "level", ha="right", va="bottom")
ax.set_xticks(place)
plotting.legend(ax, loc="upper right")
plotting.name_axes(ax, "context", "variance")

# %% [markdown]
# ## What it means
#
# An interface that asks everybody the same number of questions about everything spends most of its capacity where little is to be gained. Measure the
# slope, spend there, and leave alone what is already predictable or cheap to get wrong.
#
# ## Claims

# %% tags=["hide-input"]
used = np.array([mutual_information(task.prob, judge) for task, judge in zip(tasks, split.judges, strict=True)])
others = []
for _ in range(40):
    share = rng.dirichlet(np.ones(n_contexts)) * budget / weight
    others.append(
        weight @ np.array([optimal_judge(t.prob, t.loss, float(r)).loss for t, r in zip(tasks, share, strict=True)])
    )
claims.glue(
    equal_loss=weight @ equal,
    best_loss=split.loss,
    blind_loss=weight @ blind,
    saved=1 - split.loss / (weight @ equal),
    starved=int((split.rate < 1e-9).sum()),
    gap=max(split.gap, 1e-17),
    price=1 / split.slope,
    level=water.level,
)
claims.record(
    claims.equal(
        "judge-on-floor",
        "the optimal judge of M equally likely values errs exactly as the Fano floor says",
        "we derive",
        [one.loss for one in judges],
        floor,
        atol=1e-8,
    ),
    claims.at_most(
        "budget-kept",
        "the judges' mutual information is within the budget",
        "we derive",
        weight @ used,
        budget,
        atol=1e-9,
    ),
    claims.at_most(
        "certified",
        "the duality gap of the split is below a millionth of the range",
        "we derive",
        split.gap,
        1e-6 * (weight @ blind),
    ),
    claims.at_least("no-split-better", "no random split does better", "we derive", others, split.loss, atol=1e-9),
    claims.at_least(
        "equal-split-worse",
        "the equal split loses at least as much",
        "we derive",
        weight @ equal,
        split.loss,
        atol=1e-9,
    ),
    claims.at_most(
        "water-gap",
        "reverse water-filling closes its duality gap to rounding",
        "Kolmogorov 1956",
        [one.gap for one in filled],
        1e-12,
    ),
    claims.at_most(
        "water-below-even",
        "and never loses more than an even split",
        "we derive",
        [one.loss for one in filled],
        even,
        atol=1e-12,
    ),
)

# %% [markdown]
# **Try:** `alignlib run capacity_budget -p budget 0.05 -o out.ipynb --html`. How many contexts are left with anything?
