# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The feedback channel and its capacities
#
# How much about an intended value can one label carry?
#
# :::{admonition} Answer
# :class: answer
# At most the capacity of the whole path from value to label: on this chapter's cascade {{total:.3f}} nats, although the judge alone could
# hold {{cognitive:.3f}} and the report alone could carry {{articulation:.3f}}. The smaller of the two is a safe bound, but the cascade reaches only
# {{share:.0%}} of it.
# :::

# %% tags=["parameters"]
n_contexts: int = 4  # contexts that feedback comes from, in [1, 20]
n_targets: int = 8  # values to be judged, in [2, 100]
n_judgements: int = 5  # distinctions that the judge can make, in [2, 100]
n_labels: int = 5  # labels that the rater may give, in [2, 100]
concentration: float = 0.3  # Dirichlet parameter of the random channels; small means reliable, in [0.05, 10]
n_random: int = 150  # random cascades for the min bound, in [10, 10000]
seed: int = 1  # seed of the random channels, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import (
    Cascade,
    binary_erasure_channel,
    binary_symmetric_channel,
    blahut_arimoto,
    capacity,
    symmetric_channel,
    z_channel,
)

# %% [markdown]
# ## The statement
#
# In a context $S$ somebody should recognise a target $U$. A *judgement* $H$ is formed, then a *label* $Y$ is given: a cascade
# $U\to H\to Y$ with channels $P(h\mid u,s)$ and $P(y\mid h,s)$ (C25, after bounded rationality).
#
# ```{prf:definition} Capacities of feedback (C25)
# :label: def-feedback-capacities
#
# $C_{\mathrm{cog}|s}=\max_{p(u)}I(U;H\mid s)$, $C_{\mathrm{art}|s}=\max_{p(h)} I(H;Y\mid s)$,
# $C_{\mathrm{tot}|s}=\max_{p(u)} I(U;Y\mid s)$; averages over the law of $S$ are $\bar C_{\mathrm{cog}|S}$, $\bar C_{\mathrm{art}|S}$,
# $\bar C_{\mathrm{tot}|S}$.
# ```
#
# ```{prf:proposition} What they bound (C25)
# :label: prop-min-bound
#
# $I(U;Y\mid S)\le\bar C_{\mathrm{tot}|S}$ for every law of a target independent of the context, and
# $C_{\mathrm{tot}|s}\le\min(C_{\mathrm{cog}|s},C_{\mathrm{art}|s})$.
# ```
#
# ```{prf:proof}
# The first: $I(U;Y\mid S)=\sum_s w_s I(U;Y\mid s)$, each term at most its maximum. The second is data processing:
# $I(U;Y)\le I(U;H)$ and $I(U;Y)\le I(H;Y)$ along $U\to H\to Y$.
# ```
#
# ```{prf:proposition} The certificate (Blahut, Arimoto 1972)
# :label: prop-capacity-certificate
#
# For every input law $p$ with output $q$: $\ I(p)\le C\le\max_u\KL{P(\cdot\mid u)}{q}$.
# ```
#
# The bracket is due to {cite:t}`Blahut1972` and {cite:t}`Arimoto1972`. So a capacity never has to be believed: the law $p$ that comes with it can be checked. Plain Blahut–Arimoto steps close this bracket
# slowly, for inputs leave the support like $1/$iteration; an interior-point step does not mind, and about ten reach rounding.

# %%
rng = np.random.default_rng(seed)


def random_cascade():
    judge = rng.dirichlet(np.full(n_judgements, concentration), size=(n_contexts, n_targets))
    report = rng.dirichlet(np.full(n_labels, concentration), size=(n_contexts, n_judgements))
    return Cascade(rng.dirichlet(np.full(n_contexts, 3.0)), judge, report)


cascade = random_cascade()
found = cascade.capacities()

# %% mystnb={"figure": {"caption": "Capacities of a cascade in each of {{n_contexts:d}} contexts ({{n_targets:d}} targets, {{n_judgements:d}} judgements, {{n_labels:d}} labels, seed {{seed:d}}). What arrives is less than either stage could pass on its own.", "name": "fig-cascade-capacities"}, "image": {"alt": "Three bars per context: judge and report are higher than the total, which is {{total:.2f}} nats on average."}} tags=["hide-input"]
fig, ax = plotting.new()
place = np.arange(n_contexts)
for shift, values, color, hatch, name in (
    (-0.27, found.cognitive, plotting.LIMIT, "", "judge, $C_{cog}$"),
    (0.0, found.articulation, plotting.THIRD, "///", "report, $C_{art}$"),
    (0.27, found.total, plotting.BEST_OF_N, "...", "total, $C_{tot}$"),
):
    ax.bar(place + shift, values, 0.25, color=color, hatch=hatch, edgecolor="white", label=name)
ax.set_xticks(place, [f"{i + 1}\n{w:.0%}" for i, w in enumerate(found.context_prob)])
ax.set_ylim(0, 1.35 * max(found.cognitive.max(), found.articulation.max()))
plotting.legend(ax, loc="upper center", ncols=3, columnspacing=1.0)
plotting.name_axes(ax, "context and its share", "capacity (nats per label)")

# %% [markdown]
# ## How far the min bound is from attained
#
# The judge's best inputs and the report's best inputs need not agree, and noise adds up. Over {{n_random:d}} random cascades the total is between
# {{least_share:.0%}} and {{most_share:.0%}} of the smaller stage, {{median_share:.0%}} in the median. It is all of it exactly where one stage
# is perfect. **Improving the worse stage is not enough; measure the whole path.**

# %%
random = [random_cascade().capacities() for _ in range(n_random)]
smaller = np.array([one.mean_smaller for one in random])
arrived = np.array([one.mean_total for one in random])

# %% mystnb={"figure": {"caption": "Total capacity against the average of the smaller stages, {{n_random:d}} random cascades: always below the line, by {{median_loss:.0%}} in the median.", "name": "fig-min-bound"}, "image": {"alt": "Scatter of total capacity against the min bound; every point lies below the diagonal."}} tags=["hide-input"]
fig, ax = plotting.new()
ends = np.array([0, smaller.max() * 1.03])
plotting.curve(
    ax, ends, ends, "min bound", color=plotting.BASE, at=0.62 * ends[1], offset=(-8, 4), ha="right", linewidth=1.2
)
ax.plot(smaller, arrived, ".", color=plotting.BEST_OF_N, alpha=0.7)
ax.set_ylim(0, None)
plotting.name_axes(ax, r"average of $\min(C_{cog|s}, C_{art|s})$ (nats)", r"$\bar C_{tot|S}$ (nats)")

# %% [markdown]
# ## Targets that cost
#
# Some targets are dearer to ask about than others. Within a mean cost $B$ the capacity is the concave curve of {numref}`fig-capacity-cost`;
# its certificate is the same with a price per unit of cost.

# %%
channel = cascade.total[0]
cost = np.linspace(0.0, 1.0, n_targets)
budgets = np.linspace(0.0, 1.0, 41) ** 2
priced = [capacity(channel, cost=cost, budget=float(b)) for b in budgets]
free = capacity(channel)

# %% mystnb={"figure": {"caption": "Capacity of context 1 when target $u$ costs $u/(M-1)$: half of it needs a mean cost of {{half_cost:.2f}}.", "name": "fig-capacity-cost"}, "image": {"alt": "A concave curve from zero that levels off at {{free:.2f}} nats."}} tags=["hide-input"]
fig, ax = plotting.new(height=3.2)
plotting.curve(ax, budgets, [one.value for one in priced])
ax.axhline(free.value, color=plotting.BASE, linewidth=1, linestyle=":")
ax.text(1.0, free.value, "without a budget", ha="right", va="bottom")
ax.set_ylim(0, 1.2 * free.value)
plotting.name_axes(ax, "mean cost allowed", "capacity (nats)")

# %% [markdown]
# ## What it means
#
# Feedback is an interface with a measurable width. A finer scale, a clearer question and a better rater all widen it, and the width is
# one number per context. [](61_measuring_capacity.ipynb) measures it from ratings, [](62_floor_and_ceiling.ipynb) says what it
# forbids.
#
# ## Claims

# %% tags=["hide-input"]
errors = np.array([0.01, 0.1, 0.25, 0.4])
h = -errors * np.log(errors) - (1 - errors) * np.log1p(-errors)
forms = {
    "bsc": (binary_symmetric_channel, np.log(2) - h),
    "bec": (binary_erasure_channel, (1 - errors) * np.log(2)),
    "z": (z_channel, np.log1p((1 - errors) * errors ** (errors / (1 - errors)))),
    "m-ary": (lambda e: symmetric_channel(10, e), np.log(10) - h - errors * np.log(9)),
}
computed = np.array([[capacity(make(e)).value for e in errors] for make, _ in forms.values()])
exact = np.array([value for _, value in forms.values()])
plain = blahut_arimoto(channel)
informations = [cascade.information(rng.dirichlet(np.full(n_targets, 0.5))) for _ in range(200)]
share = arrived / smaller
perfect = Cascade(
    cascade.context_prob, cascade.judge, np.broadcast_to(np.eye(n_judgements), (n_contexts, n_judgements, n_judgements))
)
claims.glue(
    total=found.mean_total,
    cognitive=found.mean_cognitive,
    articulation=found.mean_articulation,
    share=found.mean_total / found.mean_smaller,
    least_share=share.min(),
    most_share=share.max(),
    median_share=float(np.median(share)),
    median_loss=float(1 - np.median(share)),
    free=free.value,
    half_cost=float(np.interp(0.5 * free.value, [one.value for one in priced], budgets)),
)
claims.record(
    claims.equal(
        "closed-forms",
        "capacities of BSC, BEC, Z and 10-ary symmetric channels equal their closed forms",
        "closed forms",
        computed,
        exact,
        atol=1e-12,
    ),
    claims.at_most(
        "certified",
        r"every capacity of the cascade is certified to $10^{-9}$ nats",
        "Blahut, Arimoto; we derive",
        found.gap,
        1e-9,
    ),
    claims.equal(
        "same-as-plain",
        "plain Blahut–Arimoto to the same gap agrees",
        "Blahut, Arimoto",
        free.value,
        plain.value,
        atol=1e-9,
    ),
    claims.at_most(
        "average-bounds-information",
        r"$I(U;Y|S)\le\bar C_{tot|S}$ for random target laws",
        "C25",
        informations,
        found.mean_total,
        atol=1e-9,
    ),
    claims.at_most(
        "min-bound",
        r"$C_{tot|s}\le\min(C_{cog|s},C_{art|s})$ in every random cascade",
        "C25",
        np.concatenate([one.total for one in random]),
        np.concatenate([one.smaller for one in random]),
        atol=1e-9,
    ),
    claims.equal(
        "min-attained",
        "a perfect report makes the total equal to the judge's capacity",
        "we derive",
        perfect.capacities().total,
        found.cognitive,
        atol=1e-9,
    ),
    claims.true(
        "cost-concave",
        "capacity against allowed cost is concave",
        "we derive",
        np.diff(np.diff([one.value for one in priced]) / np.diff(budgets)) <= 1e-9,
    ),
)

# %% [markdown]
# **Try:** `alignlib run feedback_channel -p concentration 2.0 -o out.ipynb --html`. Unreliable stages lose more of the min bound; why?
