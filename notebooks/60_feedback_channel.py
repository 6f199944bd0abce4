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
# How much can one label from a person tell a learner about what that person wants?
#
# :::{admonition} Answer
# :class: answer
# At most the {term}`capacity` of the whole path from the wanted value to the label. In this chapter's example that is {{total:.2f}} {term}`nats <nat>` per label,
# although the person can tell values apart to the extent of {{cognitive:.2f}} nats and the rating scale could carry {{articulation:.2f}}. Two good stages
# can make a poor path.
# :::

# %% tags=["parameters"]
n_contexts: int = 4  # contexts that feedback comes from, in [2, 20]
n_targets: int = 8  # values to be judged, in [2, 100]
n_judgements: int = 5  # distinctions that the judge can make, in [2, 100]
n_labels: int = 5  # labels that the rater may give, in [2, 100]
concentration: float = 0.3  # Dirichlet parameter of the random channels; small means reliable, in [0.05, 10]
n_random: int = 150  # random cascades that the smaller capacity is compared on, in [10, 10000]
seed: int = 1  # seed of the random channels, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import Cascade, capacity

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)


def random_cascade():
    judge = rng.dirichlet(np.full(n_judgements, concentration), size=(n_contexts, n_targets))
    report = rng.dirichlet(np.full(n_labels, concentration), size=(n_contexts, n_judgements))
    return Cascade(rng.dirichlet(np.full(n_contexts, 3.0)), judge, report)


cascade = random_cascade()
found = cascade.capacities()

# %% mystnb={"figure": {"caption": "Capacity of judging, of reporting, and of both in a row, in each of {{n_contexts:d}} contexts ({{n_targets:d}} values, {{n_judgements:d}} judgements, {{n_labels:d}} labels, random channels with seed {{seed:d}}). What arrives is less than either stage could pass on alone.", "name": "fig-cascade-capacities"}, "image": {"alt": "Three bars per context: judging and reporting are higher than the whole path, which carries {{total:.2f}} nats on average."}} tags=["hide-input"]
fig, ax = plotting.new()
place = np.arange(n_contexts)
for shift, values, color, hatch, name in (
    (-0.27, found.cognitive, plotting.LIMIT, "", "judging"),
    (0.0, found.articulation, plotting.THIRD, "///", "reporting"),
    (0.27, found.total, plotting.BEST_OF_N, "...", "whole path"),
):
    ax.bar(place + shift, values, 0.25, color=color, hatch=hatch, edgecolor="white", label=name)
ax.set_xticks(place, [f"{i + 1}\n{w:.0%}" for i, w in enumerate(found.context_prob)])
ax.set_ylim(0, 1.35 * max(found.cognitive.max(), found.articulation.max()))
plotting.legend(ax, loc="upper center", ncols=3, columnspacing=1.0)
plotting.name_axes(ax, "context, and how often it occurs", "capacity (nats per label)")

# %% [markdown]
# ## The statement
#
# This part of the book follows {cite:t}`C25`, known to us by its abstract and by descriptions of others. In a context $S$ (which question is asked, to whom) a
# person is to recognise a value $U$, say which of several responses is wanted. The person first forms a *judgement* $H$, then gives a *label* $Y$. Both steps
# lose something. Step one is the {term}`channel` $P(h\mid u,s)$, step two the channel $P(y\mid h,s)$; in a row they are called a *cascade*.
#
# The {term}`mutual information` $I(U;Y)$ is the number of nats by which seeing $Y$ reduces the uncertainty about $U$. The capacity of a channel is its largest
# value over all laws of the input.
#
# ```{prf:definition} Capacities of feedback (Cao 2025)
# :label: def-feedback-capacities
#
# In context $s$, $C_{\mathrm{cog}|s}=\max_{p(u)}I(U;H\mid s)$ is the capacity of judging, $C_{\mathrm{art}|s}=\max_{p(h)}I(H;Y\mid s)$ that of reporting, and
# $C_{\mathrm{tot}|s}=\max_{p(u)}I(U;Y\mid s)$ that of the whole path. A bar and the index $|S$ stand for the mean over contexts, as in $\bar C_{\mathrm{tot}|S}$.
# ```
#
# **Whose definition is whose.** Two readers of the first version of that paper report that it defines its total capacity as the mean of the smaller stage,
# $\E_S\min(C_{\mathrm{cog}|S},C_{\mathrm{art}|S})$. This book writes $\bar C_{\mathrm{tot}|S}$ for the mean capacity of the whole path, which is never larger: here
# {{total:.3f}} against {{smaller:.3f}} nats. Every bound of this part that holds with ours also holds with theirs, and is then weaker.
#
# ```{prf:proposition} What they bound (Cao 2025; data processing)
# :label: prop-min-bound
#
# $I(U;Y\mid S)\le\bar C_{\mathrm{tot}|S}$ for every law of the value, whether it depends on the context or not, and
# $C_{\mathrm{tot}|s}\le\min(C_{\mathrm{cog}|s},C_{\mathrm{art}|s})$.
# ```
#
# ```{prf:proof}
# $I(U;Y\mid S)=\sum_s w_s I(U;Y\mid s)$, and each term is at most its maximum. Along $U\to H\to Y$ no step adds information (data processing):
# $I(U;Y)\le I(U;H)$ and $I(U;Y)\le I(H;Y)$.
# ```
#
# ```{prf:proposition} When nothing is lost (we derive)
# :label: prop-equal-capacities
#
# $C_{\mathrm{tot}|s}=C_{\mathrm{cog}|s}$ if and only if, for some input law that attains $C_{\mathrm{cog}|s}$, the label tells as much of the value as the judgement does.
# Neither stage has to be perfect for that.
# ```
#
# ```{prf:proof}
# For a best input law of the judge $I(U;H)=C_{\mathrm{cog}}\ge C_{\mathrm{tot}}\ge I(U;Y)$, so $I(U;Y)=I(U;H)$ forces equality. Conversely a best input law $p$ of the path has
# $C_{\mathrm{tot}}=I(U;Y)\le I(U;H)\le C_{\mathrm{cog}}$; equality of the ends makes $p$ best for the judge as well. An example with two imperfect stages and all three capacities equal to
# $\log2$: judge $(1,0,0)$, $(0,1,0)$, $(\frac12,\frac12,0)$, report $(1,0)$, $(0,1)$, $(\frac12,\frac12)$, one row for each input. Values 1 and 2 get through unharmed, and they suffice.
# ```
#
# ## How much two stages lose together
#
# The values that the judge tells apart best need not be those that the report tells apart best, and errors add up. Over {{n_random:d}} random cascades the whole
# path carries between {{least_share:.0%}} and {{most_share:.0%}} of the smaller stage, {{median_share:.0%}} in the median. To know what feedback carries, measure
# the whole path; to improve the worse stage alone may not help.

# %% tags=["hide-input"]
random = [random_cascade().capacities() for _ in range(n_random)]
smaller = np.array([one.mean_smaller for one in random])
arrived = np.array([one.mean_total for one in random])

# %% mystnb={"figure": {"caption": "Capacity of the whole path against the capacity of the smaller stage, both averaged over contexts, for {{n_random:d}} random cascades. On the line nothing would be lost; in the median {{median_loss:.0%}} is.", "name": "fig-min-bound"}, "image": {"alt": "Scatter of the capacity of the whole path against that of the smaller stage; every point lies below the diagonal."}} tags=["hide-input"]
fig, ax = plotting.new()
ends = np.array([0, smaller.max() * 1.03])
plotting.curve(
    ax, ends, ends, "nothing lost", color=plotting.BASE, at=0.62 * ends[1], offset=(-8, 4), ha="right", linewidth=1.2
)
ax.plot(smaller, arrived, ".", color=plotting.BEST_OF_N, alpha=0.7, label="_random cascades")
ax.set_ylim(0, None)
plotting.name_axes(ax, "smaller stage (nats per label)", "whole path (nats per label)")

# %% [markdown]
# ## How a capacity is certified
#
# ```{prf:proposition} Upper and lower end of a capacity (Blahut 1972, Arimoto 1972)
# :label: prop-capacity-certificate
#
# For every input law $p$ with output law $q$: $\ I(p)\le C\le\max_u\KL{P(\cdot\mid u)}{q}$.
# ```
#
# A capacity comes with the input law $p$ that attains it, so anybody can check it by this pair of inequalities, due to {cite:t}`Blahut1972` and {cite:t}`Arimoto1972`. Their algorithm multiplies the
# mass of each input $u$ by $e^{\mathrm{KL}_u}$, where $\mathrm{KL}_u=\KL{P(\cdot\mid u)}{q}$, and normalises.
#
# ```{prf:proposition} How inputs leave (Nakagawa et al. 2021; for a single input)
# :label: prop-leaving
#
# Let the best output law be $q$, and let $u$ have no mass under the best input law. If $\mathrm{KL}_u<C$, the algorithm shrinks the mass of $u$ by a factor that tends to
# $e^{-(C-\mathrm{KL}_u)}$ a step. If $\mathrm{KL}_u=C$ (a tie) that factor tends to 1, and no geometric rate is left.
# ```
#
# ```{prf:proof}
# The normalising constant is $\sum_up_ue^{\mathrm{KL}_u}$, which tends to $e^{C}$, because $\mathrm{KL}_u=C$ on every input with mass.
# ```
#
# {cite:t}`Nakagawa2021` analyse how fast the algorithm converges: exponentially for many channels, like one over the number of steps for some.
#
# In the first context of this chapter {{n_idle:d}} of {{n_targets:d}} values end without mass; the one that leaves slowest keeps {{slowest:.1%}} of its mass a step. A tie, where the mass falls
# more slowly than geometrically or stays, is an exception among channels. The library takes interior-point steps instead, about ten for any channel.

# %% tags=["hide-input"]
channel = cascade.total[0]
entropy = np.sum(channel * np.log(np.where(channel > 0, channel, 1.0)), axis=1)


def step(p):
    raised = p * np.exp(entropy - channel @ np.log(p @ channel))
    return raised / raised.sum()


masses = [np.full(n_targets, 1 / n_targets)]
for _ in range(600):
    masses.append(step(masses[-1]))
best = capacity(channel)
divergence = entropy - channel @ np.log(best.input_prob @ channel)
idle = np.flatnonzero((best.value - divergence > 0.02) & (masses[-1] > 1e-280))
measured = np.log(masses[-1] / masses[-101])[idle] / 100

# %% [markdown]
# ## Values that cost something to ask about
#
# Some values are dearer to ask about than others. If the mean cost of a question may not exceed a budget, the capacity is the concave curve of
# {numref}`fig-capacity-cost`; it is certified in the same way, with a price per unit of cost.

# %% tags=["hide-input"]
cost = np.linspace(0.0, 1.0, n_targets)
budgets = np.linspace(0.0, 1.0, 41) ** 2
priced = [capacity(channel, cost=cost, budget=float(b)) for b in budgets]
free = best

# %% mystnb={"figure": {"caption": "Capacity of the first context when the values cost between 0 and 1 to ask about, evenly spaced. A mean cost of {{half_cost:.2f}} buys half of the capacity.", "name": "fig-capacity-cost"}, "image": {"alt": "A concave curve from zero that levels off at {{free:.2f}} nats."}} tags=["hide-input"]
fig, ax = plotting.new(height=3.2)
plotting.curve(ax, budgets, [one.value for one in priced])
ax.axhline(free.value, color=plotting.BASE, linewidth=1, linestyle=":", label="_without a budget")
ax.text(1.0, 1.01 * free.value, "without a budget", ha="right", va="bottom")
ax.set_ylim(0, 1.2 * free.value)
plotting.name_axes(ax, "mean cost allowed", "capacity (nats per label)")

# %% [markdown]
# ## What it means
#
# What feedback can carry is one number per context. A finer rating scale, a clearer question and a more careful person can raise it. The next chapter measures it
# from ratings ({doc}`61_measuring_capacity`); the one after says what cannot be learnt through it ({doc}`62_floor_and_ceiling`).
#
# ## Claims

# %% tags=["hide-input"]
informations = [cascade.information(rng.dirichlet(np.full(n_targets, 0.5))) for _ in range(200)]
share = arrived / smaller
half_idle = Cascade(
    [1.0],
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]],
    [[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]],
).capacities()
claims.glue(
    total=found.mean_total,
    smaller=found.mean_smaller,
    cognitive=found.mean_cognitive,
    articulation=found.mean_articulation,
    least_share=share.min(),
    most_share=share.max(),
    median_share=float(np.median(share)),
    median_loss=float(1 - np.median(share)),
    n_idle=int((best.input_prob < 1e-7).sum()),
    slowest=float(np.exp(measured.max())) if idle.size else 0.0,
    free=free.value,
    half_cost=float(np.interp(0.5 * free.value, [one.value for one in priced], budgets)),
)
claims.record(
    claims.at_most(
        "average-bounds-information",
        r"a label carries at most $\bar C_{tot|S}$ nats, for 200 random laws of the value",
        "C25",
        informations,
        found.mean_total,
        atol=1e-9,
    ),
    claims.at_most(
        "min-bound",
        r"the whole path carries at most what the smaller stage does, in every random cascade and context",
        "C25",
        np.concatenate([one.total for one in random]),
        np.concatenate([one.smaller for one in random]),
        atol=1e-9,
    ),
    claims.at_least(
        "two-definitions",
        r"$\E_S\min(C_{cog|S},C_{art|S})$, as others report C25's definition, is more than a tenth above our $\bar C_{tot|S}$ here",
        "we derive",
        found.mean_smaller,
        1.1 * found.mean_total,
        must_hold=False,
    ),
    claims.equal(
        "equal-capacities",
        r"two imperfect stages, and all three capacities are $\log 2$",
        "we derive",
        [half_idle.mean_cognitive, half_idle.mean_articulation, half_idle.mean_total],
        np.log(2),
        atol=1e-9,
    ),
    *(
        [
            claims.equal(
                "inputs-leave",
                r"inputs without mass at the optimum leave geometrically, at the rate $C-\mathrm{KL}_u$",
                "Nakagawa et al.",
                -measured,
                (best.value - divergence)[idle],
                rtol=0.02,
                must_hold=False,
            )
        ]
        if idle.size
        else []
    ),
    claims.true(
        "cost-concave",
        "capacity against allowed cost is concave",
        "Blahut",
        np.diff(np.diff([one.value for one in priced]) / np.diff(budgets)) <= 1e-9,
    ),
)

# %% [markdown]
# **Try:** `alignlib run feedback_channel -p concentration 2.0 -o out.ipynb --html` makes both stages unreliable. The share that arrives falls further; why?
