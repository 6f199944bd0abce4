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
# If people can pay attention to only so much, which questions should get it?
#
# :::{admonition} Answer
# :class: answer
# Those where a little more capacity lowers the loss most. With {{n_contexts:d}} kinds of question and {{budget_nats}} per judgement to spend on average, an equal split leaves a mean loss of {{equal_loss:.3f}};
# the best split leaves {{best_loss:.3f}}, {{saved:.0%}} less, and asks nothing at all about {{starved:d}} of the {{n_contexts:d}}.
# :::

# %% tags=["parameters"]
budget: float = 0.4  # mean capacity to be spent, in nats per judgement, in [0.01, 1]
n_contexts: int = 5  # contexts, in [2, 20]
n_values: int = 6  # values to be judged in each context, in [2, 30]
seed: int = 1  # seed of the contexts, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import (
    RateDistortionTask,
    allocate,
    fano_floor,
    optimal_judge,
    rate_distortion,
    reverse_water_filling,
)

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
weight = rng.dirichlet(np.full(n_contexts, 3.0))
tasks = [
    RateDistortionTask(
        rng.dirichlet(np.full(n_values, 10 ** rng.uniform(-0.7, 1))),
        10 ** rng.uniform(-1.2, 0.4) * (1 - np.eye(n_values)),
    )
    for _ in range(n_contexts)
]
split = allocate(tasks, budget, weight)
equal = np.array([optimal_judge(task.prob, task.loss, budget).loss for task in tasks])
blind = np.array([task.blind_loss for task in tasks])

# %% mystnb={"figure": {"caption": "Least loss against capacity for each of {{n_contexts:d}} contexts (seed {{seed:d}}). Dots: the best split of {{budget_nats}}; bars: the equal split. At the dots all curves are equally steep, or flatter at their start.", "name": "fig-split-curves"}, "image": {"alt": "Falling convex curves of loss against nats; the dots lie far right on steep curves and at zero on flat ones."}} tags=["hide-input"]
fig, ax = plotting.new(height=4.0)
top = max(1.15 * split.rate.max(), 1.2 * budget)
for i, (task, color) in enumerate(zip(tasks, np.resize(plotting.CYCLE, n_contexts), strict=True)):
    lams = np.geomspace(0.3, 300, 45) / np.ptp(task.loss)
    curve = [rate_distortion(task.prob, task.loss, lam) for lam in lams]
    rates, losses = np.array([[0.0, blind[i]], *([p.rate, p.distortion] for p in curve)]).T
    keep = rates <= top
    dash = ("-", "--", "-.", ":")[i % 4]
    ax.plot(rates[keep], losses[keep], dash, color=color, label=f"context {i + 1}, {weight[i]:.0%}")
    ax.plot(split.rate[i], split.distortion[i], "o", color=color, clip_on=False)
    ax.plot(budget, equal[i], "|", color=color, markersize=13, markeredgewidth=2)
ax.set_xlim(0, top)
ax.set_ylim(0, None)
plotting.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
plotting.name_axes(ax, "capacity spent (nats per judgement)", "loss")

# %% [markdown]
# ## The statement
#
# A judge of limited capacity is a {term}`channel` $P(h\mid u)$ with $I(U;H)\le C$. The best one is the subject of {term}`rate–distortion` theory {cite:p}`Shannon1959`, known in economics as rational
# inattention {cite:p}`Sims2003`.
#
# ```{prf:theorem} The optimal judge (Shannon 1959, Blahut 1972; as rational inattention Sims 2003)
# :label: thm-optimal-judge
#
# Let $C>0$ be less than the mutual information that a judge of the least possible loss needs. A judge of least mean loss within $I(U;H)\le C$ is $P(h\mid u)\propto q(h)\,e^{-\lambda\ell(u,h)}$ for some $\lambda>0$, where the law $q$ of its judgements maximises
# $\sum_u p_u\log\sum_h q(h)\,e^{-\lambda\ell(u,h)}$.
# ```
#
# This is the {term}`tilt` of the book's first chapter, with reward $-\ell$, {term}`inverse temperature` $\lambda$, and the judge's own marginal $q$ as the base law. A limit on attention and a
# limit on {term}`KL` lead to one formula, and as there $\beta=1/\lambda$ is the price of a nat at the margin.
#
# ```{prf:proposition} Splitting a budget (conditional rate–distortion, Gray1973; Gaussian case Shannon1959 and Kolmogorov1956)
# :label: prop-reverse-water-filling
#
# Let context $s$ with weight $w_s$ have the least loss $L_s(c)$ when it is judged with $c$ nats; $L_s$ is convex. The split that minimises $\sum_sw_sL_s(c_s)$ within $\sum_sw_sc_s\le C$
# has one slope $-L_s'(c_s)=\beta$ wherever $c_s>0$, and $c_s=0$ where the loss falls more slowly from the start, $-L_s'(0)\le\beta$. For Gaussian values with squared error $L_s=\min(\omega,\sigma_s^2)$ with one level $\omega$
# (*reverse water-filling*). Weak duality certifies a split: for every $\beta>0$ no split has a loss below $\sum_sw_s\min_c\{L_s(c)+\beta c\}-\beta C$.
# ```
#
# ```{prf:proof}
# The problem is convex; this is Lagrange's condition with the price $\beta$, and the last expression is its dual. For Gaussian values $L_s(c)=\sigma_s^2e^{-2c}$, whose slope is $2L_s$: equal slopes
# are equal losses $\omega=\beta/2$.
# ```
#
# Here the best split leaves {{best_loss:.4f}}, the equal one {{equal_loss:.4f}}, no judging at all {{blind_loss:.4f}}. At the margin the loss falls by {{price:.3f}} per {term}`nat` in every context
# that gets any. By the last part of the proposition no split does better by more than {{gap:.0e+}}.
#
# ## One judge
#
# Let all {{n_values:d}} values be equally likely and count errors. Then the best judge of capacity $C$ errs exactly as often as the {term}`Fano floor` of
# {doc}`62_floor_and_ceiling` says: the floor and the rate–distortion curve are one curve.

# %% tags=["hide-input"]
grid = np.linspace(0.02, 0.98 * np.log(n_values), 25)
judges = [optimal_judge(np.full(n_values, 1 / n_values), 1 - np.eye(n_values), c) for c in grid]
floor = fano_floor(grid, n_values)

# %% [markdown]
# ## Gaussian values
#
# When the value is a number and the loss its squared error, the split can be seen: what stands above one level is removed, the rest is left alone.

# %% tags=["hide-input"]
variance = np.sort(10 ** rng.uniform(-1.3, 0.3, n_contexts))[::-1]
water = reverse_water_filling(variance, budget)
budgets = np.linspace(0.0, 1.5, 31)
filled = [reverse_water_filling(variance, b) for b in budgets]
even = np.array([np.mean(variance * np.exp(-2 * b)) for b in budgets])

# %% mystnb={"figure": {"caption": "Reverse water-filling of {{budget_nats}} per judgement over {{n_contexts:d}} Gaussian contexts: variance above the level {{level:.3f}} is removed by judging, contexts below it are left alone.", "name": "fig-water-level"}, "image": {"alt": "Bars of variance in falling order; the part above a horizontal level is hatched as removed, the bars below the level are untouched."}} tags=["hide-input"]
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
ax.axhline(water.level, color=plotting.BASE, linewidth=1, linestyle="--", label=r"level $\omega$")
ax.set_xticks(place)
plotting.legend(ax, loc="upper right")
plotting.name_axes(ax, "context", "variance")

# %% [markdown]
# ## What it means
#
# To ask the same number of questions about everything spends attention where little is to be gained. Measure at which rate a little more capacity saves loss, spend where that rate is highest, and leave alone
# what is predictable already or cheap to get wrong.
#
# ## Claims

# %% tags=["hide-input"]
others = []
for _ in range(40):
    share = rng.dirichlet(np.ones(n_contexts)) * budget / weight
    others.append(
        weight @ np.array([optimal_judge(t.prob, t.loss, float(r)).loss for t, r in zip(tasks, share, strict=True)])
    )
given = split.rate > 1e-6
step = 1e-3
saved_per_nat = np.array(
    [
        (optimal_judge(t.prob, t.loss, max(r - step, 0.0)).loss - optimal_judge(t.prob, t.loss, r + step).loss)
        / (min(r, step) + step)
        for t, r in zip(tasks, split.rate.tolist(), strict=True)
    ]
)
claims.glue(
    budget_nats=f"{budget:g} nat" + ("" if budget == 1 else "s"),
    equal_loss=weight @ equal,
    best_loss=split.loss,
    blind_loss=weight @ blind,
    saved=1 - split.loss / (weight @ equal),
    starved=int((~given).sum()),
    gap=max(split.gap, 1e-17),
    price=1 / split.slope,
    level=water.level,
)
claims.record(
    claims.equal(
        "judge-on-floor",
        "the optimal judge of M equally likely values errs exactly as the Fano floor says",
        "Fano, Shannon",
        [one.loss for one in judges],
        floor,
        atol=1e-8,
    ),
    claims.at_least("no-split-better", "no random split does better", "we derive", others, split.loss, atol=1e-9),
    claims.at_least(
        "equal-split-worse",
        "the equal split loses at least a tenth more than the best one",
        "we derive",
        weight @ equal,
        1.1 * split.loss,
        must_hold=False,
    ),
    claims.equal(
        "one-slope",
        "loss falls at the same rate per nat in every context that gets any",
        "Lagrange",
        saved_per_nat[given],
        1 / split.slope,
        rtol=0.02,
        must_hold=False,
    ),
    claims.at_most(
        "starved-flatter",
        "and no more in those that get none",
        "Lagrange",
        saved_per_nat[~given] if (~given).any() else 0.0,
        1.001 / split.slope,
    ),
    claims.at_most(
        "water-below-even",
        "reverse water-filling loses less than an even split: ratio of the losses, every budget drawn",
        "Shannon1959, Kolmogorov1956",
        [one.loss / loss for one, loss in zip(filled[1:], even[1:], strict=True)],
        1.0,
    ),
)

# %% [markdown]
# **Try:** `alignlib run capacity_budget -p budget 0.05 -o out.ipynb --html`. How many contexts are left with anything?
