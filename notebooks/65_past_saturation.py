# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Past saturation: what else a learner learns
#
# What does a learner go on learning once the labels have told it what they can about the values?
#
# :::{admonition} Answer
# :class: answer
# The rater's habits and the rater's accidents, which are two different things. With a person who reports the style instead of the value {{flattery:.0%}} of the time, a learner's true
# error rate {{course}} as it is trained harder, {{agreement}}. It knows {{target_last:.2f}} of the {{carried:.2f}} {term}`nats <nat>`
# about the values that its labels carry.
# :::

# %% tags=["parameters"]
m: int = 10  # labels in a data set, all data sets are enumerated, in [1, 14]
flattery: float = 0.6  # how often the flatterer reports the style instead of the value, in [0, 1]
error: float = 0.05  # how often the flatterer misreports the value otherwise, in [0, 0.5]
noise: float = 0.3  # how often the careless rater misreports the value, in [0, 0.5]
style_penalty: float = 3.0  # nats by which the prior disfavours a verdict that uses the style, in [0, 20]
gamma_max: float = 8.0  # largest strength of optimisation, in [1, 50]
n_items: int = 2000  # items of the simulated world, in [100, 100000]
n_features: int = 40  # features of an item there, in [5, 500]
seed: int = 0  # seed of the simulated world, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignbook.largest import largest
from alignlib import plotting
from alignlib.bottleneck import FlatteryWorld, capacity

# %% tags=["hide-input"]
gammas = np.linspace(0, 1, 25) ** 1.5 * gamma_max
world = FlatteryWorld(m, flattery, error)
points = world.learner(gammas, style_penalty)
gold, proxy, training = (
    np.array([getattr(p, name) for p in points]) for name in ("gold_risk", "proxy_risk", "training_risk")
)
best = int(gold.argmin())
gamma_best, least = largest(
    lambda v: -float(world.learner(np.array([v]), style_penalty)[0].gold_risk), gammas[max(best - 1, 0) : best + 2]
)

# %% mystnb={"figure": {"caption": "Error rate against the values, against the rater's next label, and on the training labels, exactly, as the learner is trained harder; {{m:d}} labels, style reported {{flattery:.0%}} of the time. The error rate against the values is least at a strength of {{gamma_best:.1f}}; that against the rater's next label {{next_label}}.", "name": "fig-gold-proxy"}, "image": {"alt": "Three curves against training strength: the error rate against the values falls to {{gold_best:.3f}} and ends at {{gold_last:.3f}}; the error rates on the training labels and against the rater's next label stand beside it."}} tags=["hide-input"]
fig, ax = plotting.new()
plotting.curve(
    ax, gammas, gold, "against the values", color=plotting.LIMIT, at=0.66 * gamma_max, offset=(0, -14), ha="center"
)
plotting.curve(
    ax,
    gammas,
    proxy,
    "against the rater's next label",
    color=plotting.BEST_OF_N,
    at=0.26 * gamma_max,
    offset=(6, 6),
    ha="left",
    linestyle="--",
)
plotting.curve(
    ax,
    gammas,
    training,
    "on the training labels",
    color=plotting.BASE,
    at=0.62 * gamma_max,
    offset=(0, 8),
    ha="center",
    linestyle=":",
)
ax.plot(gamma_best, -least, "o", color=plotting.LIMIT, label="_least true error rate")
ax.set_ylim(0, 0.52)
plotting.name_axes(ax, r"strength of training $\gamma$", "error rate")

# %% [markdown]
# ## The statement
#
# The abstract of {cite:t}`C25` says: once useful signal saturates the capacity, further optimisation tends to fit regularities of the channel, consistent with {term}`sycophancy` and
# reward hacking. The four terms of {prf:ref}`thm-capacity-ceiling` make that measurable.
#
# ```{prf:proposition} Saturation (after Cao 2025; we derive)
# :label: prop-saturation
#
# However strong the learner, $I(\theta;U^m\mid S^m)\le I(U^m;Y^m\mid S^m)$ $\le m\,\bar C$. What the divergence of the {term}`posterior` from the {term}`prior` has beyond this is not knowledge of the values:
# it is which contexts occurred, $I(\theta;S^m)$; chance errors of the labels, learnt by heart, $\rho=I(\theta;Y^m\mid U^m,S^m)$; and the move that all data sets have in
# common, $\KL{\E Q}{P}$.
# ```
#
# ```{prf:proposition} Noise and bias are different terms (new here, as far as we know)
# :label: prop-noise-and-bias
#
# If the label is a function of value and context, $\rho=0$. In particular a rater who *always* reports the style leaves $\rho=0$, however completely the learner adopts the style: that shows in $\KL{\E Q}{P}$.
# ```
#
# ```{prf:proof}
# Given $U^m$ and $S^m$ such labels are certain, and certain things carry no information. That the style is adopted in every data set moves the mean of the posteriors.
# ```
#
# So $\rho$ alone does not measure sycophancy. A large $\rho$ may do no harm, and the worst rater may have none.
#
# ## Three raters, exactly
#
# The world is small enough to enumerate: two items with hidden values 0 or 1; each label shows one of them in one of two styles. The learner keeps a verdict for each item and style under a
# prior that prefers verdicts not to depend on the style, and trains with strength $\gamma$: $Q\propto P\,e^{-\gamma\cdot\text{disagreements}}$. All data sets of {{m:d}} labels are
# enumerated, for three raters: the *flatterer* reports the style {{flattery:.0%}} of the time, else the value ({{error:.0%}} wrong); the *careless* rater reports the value, {{noise:.0%}} wrong at random; the third reports *always the style*.

# %% tags=["hide-input"]
raters = {
    "flatterer": points,
    "careless": FlatteryWorld(m, 0.0, noise).learner(gammas, style_penalty),
    "always the style": FlatteryWorld(m, 1.0, error).learner(gammas, style_penalty),
}
parts = ("target", "context", "channel", "prior")
part_names = dict(zip(parts, ("values", "contexts", "memorised noise", "the common move"), strict=True))
split = {
    rater: {name: np.array([max(getattr(p.split, name), 0.0) for p in found]) for name in parts}
    for rater, found in raters.items()
}
last = {rater: found[-1] for rater, found in raters.items()}
terms = split["flatterer"]
carried = points[0].split.carried
styles = world.positive[[0, -1]]  # all items 0, all items 1
per_style = [capacity(np.stack([1 - styles[:, c], styles[:, c]], axis=1)).value for c in (0, 1)]
most = m * float(np.mean(per_style))

# %% mystnb={"figure": {"caption": "What the parameters of the strongest learner know, in nats, for three raters, and how often it is wrong. Memorised noise ρ is {{rho_flatterer:.2f}}, {{rho_careless:.2f}} and {{rho_style:.2f}} nats: it need not rank raters by the harm they do. The style is in the move that all data sets have in common.", "name": "fig-three-raters"}, "image": {"alt": "Three stacked bars: {{largest_parts}}."}} tags=["hide-input"]
fig, ax = plotting.new(height=3.9)
left = np.zeros(3)
rows = np.arange(3)[::-1]
for (name, label), color, hatch in zip(
    (("target", "values"), ("context", "contexts"), ("channel", r"memorised noise, $\rho$"), ("prior", "common move")),
    (plotting.LIMIT, plotting.THIRD, plotting.BEST_OF_N, plotting.FOURTH),
    ("", "///", "...", "xx"),
    strict=True,
):
    width = np.array([split[rater][name][-1] for rater in raters])
    ax.barh(rows, width, 0.55, left=left, color=color, hatch=hatch, edgecolor="white", label=label)
    left += width
ax.set_yticks(rows, [f"{rater}\n{point.gold_risk:.0%} wrong" for rater, point in last.items()])
ax.grid(axis="y", visible=False)
plotting.legend(ax, loc="lower left", bbox_to_anchor=(-0.3, 1.0), ncols=2)
ax.set_xlabel("nats")

# %% [markdown]
# ## The flatterer, as training goes on
#
# {numref}`fig-saturation-split` follows the flatterer's learner. Knowledge of the values levels off at {{target_last:.2f}} nats, well below the {{carried:.2f}} that the labels carry and the
# {{most:.2f}} that the channel could: the learner does not wait for that budget to be spent before it learns other things.

# %% mystnb={"figure": {"caption": "The four terms for the flatterer's learner as it is trained harder. Knowledge of the values (bottom) stops at {{target_last:.2f}} nats; memorised noise and the common move keep growing. Dashed: the {{carried:.2f}} nats about the values that the labels carry; dotted: the least true error rate.", "name": "fig-saturation-split"}, "image": {"alt": "Stacked areas against training strength: the part about the values levels off early, memorised noise and the common move keep growing."}} tags=["hide-input"]
fig, ax = plotting.new(height=4.0)
labels = ("values", "contexts", r"memorised noise, $\rho$", "common move")
colors = (plotting.LIMIT, plotting.THIRD, plotting.BEST_OF_N, plotting.FOURTH)
stack = ax.stackplot(gammas, *terms.values(), labels=labels, colors=colors, alpha=0.85)
for area, hatch in zip(stack, ("", "///", "...", "xx"), strict=True):
    area.set_hatch(hatch)
    area.set_edgecolor("white")
ax.axhline(carried, color=plotting.BASE, linewidth=1.2, linestyle="--", label="carried about the values")
ax.axvline(gamma_best, color=plotting.BASE, linewidth=1, linestyle=":", label="least true error rate")
plotting.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
plotting.name_axes(ax, r"strength of training $\gamma$", "nats")

# %% [markdown]
# ## A learner of growing size
#
# The same flatterer on {{n_items:d}} items described by {{n_features:d}} features. The style is one of them, the last that a learner of growing size is
# given. A logistic regression uses the first $k$ features.

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
direction = rng.normal(size=n_features - 1) / np.sqrt(np.arange(1, n_features))


def draw(n):
    x = rng.normal(size=(n, n_features - 1))
    truth = (x @ direction > 0).astype(float)
    style = rng.integers(0, 2, n).astype(float)
    honest = np.where(rng.random(n) < error, 1 - truth, truth)
    label = np.where(rng.random(n) < flattery, style, honest)
    return np.column_stack([x, 2 * style - 1]), truth, label


def fit(x, y, steps=300):
    weight = np.zeros(x.shape[1])
    for _ in range(steps):
        weight -= 0.5 * (x.T @ (1 / (1 + np.exp(-x @ weight)) - y) / len(y) + 1e-4 * weight)
    return weight


x, truth, label = draw(n_items)
new_x, new_truth, new_label = draw(20_000)
sizes = np.unique(np.append(np.geomspace(1, n_features - 1, 10).astype(int), n_features))
grown = []
for k in sizes:
    verdict = new_x[:, :k] @ fit(x[:, :k], label) > 0
    grown.append([(verdict != new_truth).mean(), (verdict != new_label).mean()])
grown_gold, grown_proxy = np.array(grown).T

# %% mystnb={"figure": {"caption": "Error rate of learners of growing size on fresh items (seed {{seed:d}}): features of the item lower both error rates. The style, the last feature, changes disagreement with the rater by {{proxy_change:+.2f}} and the true error rate by {{gold_rise:+.2f}}.", "name": "fig-growing-learner"}, "image": {"alt": "Two curves against number of features: both fall slowly; at the last feature disagreement with the rater changes by {{proxy_change:+.2f}} and the true error rate by {{gold_rise:+.2f}}."}} tags=["hide-input"]
fig, ax = plotting.new()
place = np.arange(sizes.size)
ax.plot(place, grown_gold, "o-", color=plotting.LIMIT, label="against the values")
ax.plot(place, grown_proxy, "s--", color=plotting.BEST_OF_N, label="against the rater's next label")
ax.set_xticks(place, [*(str(k) for k in sizes[:-1]), f"{sizes[-1]}\n(+ style)"])
ax.set_ylim(0, 0.65)
plotting.legend(ax, loc="upper center")
plotting.name_axes(ax, "features used", "error rate")

# %% [markdown]
# ## What it means
#
# Past the point of least true error the learner still learns, but not about the values. A *habit* of the rater, the same in all data, is the dangerous part: it looks like signal, no held-out label
# of the same rater can reveal it, and more labels teach it better. *Accidents* are learnt by heart from few labels and wash out with more. With an honest rater (no
# flattery) the same learner ends at {{honest_last:.1%}} errors, next to its best, {{honest_best:.1%}}. So stop early, regularise, or ask for labels in which habit and value come
# apart; agreement with the rater alone cannot tell on which side of the minimum one is.
#
# ## Claims

# %% tags=["hide-input"]
honest_gold = np.array([p.gold_risk for p in FlatteryWorld(m, 0.0, error).learner(gammas, style_penalty)])
claims.glue(
    target_last=terms["target"][-1],
    rho_flatterer=last["flatterer"].split.channel,
    rho_careless=last["careless"].split.channel,
    rho_style=last["always the style"].split.channel,
    carried=carried,
    most=most,
    course=f"falls to {-least:.0%} and rises again to {gold[-1]:.0%}"
    if gold[-1] + least > 0.005
    else f"falls to {-least:.1%} and hardly rises again, to {gold[-1]:.1%},",
    agreement="while it agrees ever better with that person"
    if (np.diff(proxy) < 0).all()
    else "and its agreement with that person is best before the end",
    gamma_best=gamma_best,
    gold_best=-least,
    gold_last=gold[-1],
    next_label="still falls" if (np.diff(proxy) < 0).all() else f"is least at {gammas[proxy.argmin()]:.1f}",
    largest_parts="; ".join(
        f"{rater}: the largest part is {part_names[max(parts, key=lambda part: split[rater][part][-1])]}"
        for rater in raters
    ),
    proxy_change=grown_proxy[-1] - grown_proxy[-2],
    gold_rise=grown_gold[-1] - grown_gold[-2],
    honest_last=honest_gold[-1],
    honest_best=honest_gold.min(),
)
# The style is taken up late, and by all: other raters or priors, few labels or a weaker learner need not turn.
turns = (
    10 <= m <= 12 and 0.55 <= flattery <= 0.65 and error <= 0.05 and 2 <= style_penalty <= 3 and 7 <= gamma_max <= 10
)
claims.record(
    claims.at_most(
        "target-within-carried",
        r"$I(\theta;U^m|S^m)\le I(U^m;Y^m|S^m)\le m\,\bar C$ at every strength",
        "C25; we derive",
        [*terms["target"], carried],
        [*np.full(gammas.size, carried), most],
        atol=1e-9,
    ),
    claims.at_least(
        "target-fills-budget",
        "the learner stops learning of the values only when it knows nine tenths of what the labels carry",
        "C25 (abstract, read literally)",
        terms["target"].max(),
        0.9 * carried,
        must_hold=False,
    ),
    claims.true(
        "agreement-improves",
        "agreement with the rater and with the training labels improves at every step",
        "C25 (consequence)",
        np.stack([np.diff(proxy), np.diff(training)]) < 0,
        must_hold=turns,
    ),
    claims.at_least(
        "gold-turns",
        "the true error rate rises by more than 0.01 past its minimum",
        "C25 (consequence)",
        gold[-1] - gold[best],
        0.01,
        must_hold=turns,
    ),
    claims.at_least(
        "other-terms-grow",
        "past the minimum memorised noise and the common move grow more than five times as much as knowledge of the values",
        "C25 (consequence)",
        sum(terms[name][-1] - terms[name][best] for name in ("channel", "prior")),
        5 * (terms["target"][-1] - terms["target"][best]),
        must_hold=turns,
    ),
    claims.at_most(
        "style-without-rho",
        r"a rater who always reports the style leaves $\rho=0$ at every strength",
        "we derive",
        split["always the style"]["channel"],
        1e-12,
    ),
    claims.at_least(
        "style-in-common-move",
        r"and the style moves the mean posterior by more than three nats, $\mathrm{KL}(\mathbb{E}Q\|P)$",
        "we derive",
        split["always the style"]["prior"][-1],
        3.0,
        must_hold=False,
    ),
    claims.at_least(
        "rho-measures-harm",
        r"of two raters the one whose learner has the larger $\rho$ does more harm: flatterer and careless rater",
        "C25 (abstract)",
        (last["flatterer"].split.channel - last["careless"].split.channel)
        * (last["flatterer"].gold_risk - last["careless"].gold_risk),
        0.0,
        must_hold=False,
    ),
    claims.at_most(
        "honest-rater",
        "with an honest rater the rise past the minimum is less than a fifth of the flatterer's",
        "we derive (control)",
        honest_gold[-1] - honest_gold.min(),
        0.2 * (gold[-1] - gold[best]),
        must_hold=turns,
    ),
    claims.true(
        "size",
        "the style feature lowers disagreement with the rater and raises the true error rate",
        "C25 (consequence)",
        np.array([grown_proxy[-1] < grown_proxy[-2], grown_gold[-1] > grown_gold[-2]]),
        must_hold=turns,
    ),
)

# %% [markdown]
# **Try:** `alignlib run past_saturation -p flattery 0.3 -o out.ipynb --html`. At which flattery does the turn disappear?
