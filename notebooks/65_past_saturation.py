# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Past saturation: learning the rater
#
# What does a learner go on learning once it has learnt the target?
#
# :::{admonition} Answer
# :class: answer
# The rater. With a rater who flatters one style {{flattery:.0%}} of the time, what the parameters know of the target stops at {{target_last:.2f}} of the
# {{carried:.2f}} nats that the labels carry, while what they know of the rater's regularities goes on to {{rho_last:.2f}}. Agreement with the rater improves to
# the end; the true risk is best, {{gold_best:.3f}}, at strength {{gamma_best:.1f}} and then rises to {{gold_last:.3f}}.
# :::

# %% tags=["parameters"]
m: int = 10  # labels in a data set, all data sets are enumerated, in [1, 14]
flattery: float = 0.6  # how often the rater reports the style instead of the value, in [0, 1]
error: float = 0.05  # how often the rater misreports the value otherwise, in [0, 0.5]
style_penalty: float = 3.0  # nats by which the prior disfavours a verdict that uses the style, in [0, 20]
gamma_max: float = 8.0  # largest strength of optimisation, in [1, 50]
n_items: int = 2000  # items of the simulated world, in [100, 100000]
n_features: int = 40  # features of an item there, in [5, 500]
seed: int = 13  # seed of the simulated world, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import FlatteryWorld, capacity

# %% [markdown]
# ## The statement
#
# C25's abstract: once useful signal saturates the capacity, further optimisation tends to fit channel regularities, consistent with sycophancy and reward
# hacking. The four terms of {prf:ref}`thm-capacity-ceiling` make that measurable:
#
# ```{prf:proposition} Saturation (C25; we derive)
# :label: prop-saturation
#
# $I(\theta;U^m\mid S^m)\le I(U^m;Y^m\mid S^m)\le m\,\bar C$ however strong the learner. What the divergence from the prior exceeds this by is contexts,
# prior mismatch and $\rho=I(\theta;Y^m\mid U^m,S^m)$: not the target.
# ```
#
# The bound says *where* the information must go, not that it hurts. Whether it does is a matter of what the regularities are; here they are a style that the
# rater likes.
#
# ## A world small enough to enumerate
#
# Two items with hidden values 0 or 1; each label shows one of them in one of two styles. With probability {{flattery:g}} the rater
# reports the style, else the value ({{error:g}} wrong). The learner keeps a verdict per item and style under a prior that prefers verdicts not to depend on the
# style, and optimises with strength $\gamma$: $Q\propto P\,e^{-\gamma\cdot\text{disagreements}}$. All {{m:d}}-label data sets are enumerated.

# %%
gammas = np.linspace(0, 1, 25) ** 1.5 * gamma_max
world = FlatteryWorld(m, flattery, error)
points = world.learner(gammas, style_penalty)
gold, proxy, training = (
    np.array([getattr(p, name) for p in points]) for name in ("gold_risk", "proxy_risk", "training_risk")
)
terms = {
    name: np.array([max(getattr(p.split, name), 0.0) for p in points])
    for name in ("target", "context", "channel", "prior")
}
carried = points[0].split.carried
styles = world.positive[[0, -1]]  # all items 0, all items 1
per_style = [capacity(np.stack([1 - styles[:, c], styles[:, c]], axis=1)).value for c in (0, 1)]
most = m * float(np.mean(per_style))

# %% mystnb={"figure": {"caption": "True risk (against the values), proxy risk (against the rater's next label) and training risk, exactly, as optimisation grows stronger; {{m:d}} labels, flattery {{flattery:g}}. Only the true risk turns over, at $\\gamma={{gamma_best:.1f}}$.", "name": "fig-gold-proxy"}, "image": {"alt": "Three curves against strength: training and proxy risk fall throughout, the true risk falls to {{gold_best:.2f}} and rises again to {{gold_last:.2f}}."}} tags=["hide-input"]
fig, ax = plotting.new()
plotting.curve(ax, gammas, gold, "true risk", color=plotting.LIMIT, at=0.62 * gamma_max, offset=(0, -16), ha="center")
plotting.curve(
    ax,
    gammas,
    proxy,
    "proxy: rater's next label",
    color=plotting.BEST_OF_N,
    at=0.36 * gamma_max,
    offset=(4, 12),
    ha="left",
    linestyle="--",
)
plotting.curve(
    ax, gammas, training, "training labels", color=plotting.BOUND, at=0.7 * gamma_max, offset=(0, 6), linestyle=":"
)
best = int(gold.argmin())
ax.plot(gammas[best], gold[best], "o", color=plotting.LIMIT)
ax.set_ylim(0, 0.52)
plotting.name_axes(ax, r"strength of optimisation $\gamma$", "risk")

# %% mystnb={"figure": {"caption": "Where the divergence from the prior comes from. What is known of the target (bottom) stops at {{target_last:.2f}} nats, below the {{carried:.2f}} that the labels carry and the $m\\bar C={{most:.2f}}$ that the channel allows; the growth past that is the rater and the prior.", "name": "fig-saturation-split"}, "image": {"alt": "Stacked areas against strength: the target's share levels off early, the rater's share and the prior mismatch keep growing."}} tags=["hide-input"]
fig, ax = plotting.new(height=4.0)
labels = ("target", "contexts", r"rater, $\rho$", "prior mismatch")
colors = (plotting.LIMIT, plotting.THIRD, plotting.BEST_OF_N, plotting.FOURTH)
stack = ax.stackplot(gammas, *terms.values(), labels=labels, colors=colors, alpha=0.85)
for area, hatch in zip(stack, ("", "///", "...", "xx"), strict=True):
    area.set_hatch(hatch)
    area.set_edgecolor("white")
ax.axhline(carried, color=plotting.BASE, linewidth=1.2, linestyle="--", label=r"carried, $I(U^m;Y^m|S^m)$")
ax.axvline(gammas[best], color=plotting.BASE, linewidth=1, linestyle=":", label="least true risk")
plotting.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
plotting.name_axes(ax, r"strength of optimisation $\gamma$", "nats")

# %% [markdown]
# ## A learner of growing size
#
# The same rater on {{n_items:d}} items described by {{n_features:d}} features. The style is one feature among them, the last that a learner of growing size is
# given. A logistic regression uses the first $k$ features; its size is $k$.

# %%
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

# %% mystnb={"figure": {"caption": "Risk of learners of growing size on fresh items (seed {{seed:d}}): features of the item lower both risks; the style, the last feature, lowers the proxy risk by {{proxy_drop:.2f}} and raises the true one by {{gold_rise:.2f}}.", "name": "fig-growing-learner"}, "image": {"alt": "Two curves against number of features: both fall slowly, then at the last feature the proxy risk drops and the true risk jumps."}} tags=["hide-input"]
fig, ax = plotting.new()
place = np.arange(sizes.size)
ax.plot(place, grown_gold, "o-", color=plotting.LIMIT, label="true risk")
ax.plot(place, grown_proxy, "s--", color=plotting.BEST_OF_N, label="proxy: rater's next label")
ax.set_xticks(place, [*(str(k) for k in sizes[:-1]), f"{sizes[-1]}\n(+ style)"])
ax.set_ylim(0, 0.65)
plotting.legend(ax, loc="upper center")
plotting.name_axes(ax, "features used", "risk")

# %% [markdown]
# ## What it means
#
# The information that feedback carries about the target is a budget, and a learner stops when it is spent whether or not training does. What the
# training curve shows after that is the rater. It need not hurt: with an honest rater (flattery 0) the same learner ends at
# {{honest_last:.3f}}, next to its best {{honest_best:.3f}}: what is left is chance in {{m:d}} labels. So *stop*, or *regularise*, or *widen the channel*; a proxy risk alone cannot tell which side of the minimum one is on.
#
# ## Claims

# %% tags=["hide-input"]
honest_gold = np.array([p.gold_risk for p in FlatteryWorld(m, 0.0, error).learner(gammas, style_penalty)])
half = np.searchsorted(gammas, gammas[best])
claims.glue(
    target_last=terms["target"][-1],
    carried=carried,
    most=most,
    rho_last=terms["channel"][-1],
    gold_best=gold[best],
    gamma_best=gammas[best],
    gold_last=gold[-1],
    proxy_drop=grown_proxy[-2] - grown_proxy[-1],
    gold_rise=grown_gold[-1] - grown_gold[-2],
    honest_last=honest_gold[-1],
    honest_best=honest_gold.min(),
)
claims.record(
    claims.equal(
        "split-adds-up",
        "the four terms add up to the expected divergence",
        "we derive",
        [p.split.total for p in points],
        [p.split.expected_kl for p in points],
        atol=1e-9,
    ),
    claims.at_most(
        "target-within-carried",
        r"$I(\theta;U^m|S^m)\le I(U^m;Y^m|S^m)\le m\,\bar C$",
        "C25; we derive",
        [*terms["target"], carried],
        [*np.full(gammas.size, carried), most],
        atol=1e-9,
    ),
    claims.true(
        "proxy-improves",
        "proxy and training risk improve at every step",
        "C25 (consequence)",
        np.stack([np.diff(proxy), np.diff(training)]) < 0,
    ),
    claims.at_least(
        "gold-turns",
        "the true risk rises by more than 0.01 past its minimum",
        "C25 (consequence)",
        gold[-1] - gold[best],
        0.01,
    ),
    claims.at_least(
        "rho-dominates",
        "past the minimum the rater's term grows more than twice as much as the target's",
        "C25 (consequence)",
        terms["channel"][-1] - terms["channel"][half],
        2 * (terms["target"][-1] - terms["target"][half]),
    ),
    claims.at_most(
        "honest-rater",
        "with an honest rater the rise past the minimum is less than a fifth of that",
        "we derive (control)",
        honest_gold[-1] - honest_gold.min(),
        0.2 * (gold[-1] - gold[best]),
    ),
    claims.true(
        "size",
        "the style feature lowers the proxy risk and raises the true risk",
        "C25 (consequence)",
        np.array([grown_proxy[-1] < grown_proxy[-2], grown_gold[-1] > grown_gold[-2]]),
    ),
)

# %% [markdown]
# **Try:** `alignlib run past_saturation -p flattery 0.3 -o out.ipynb --html`. At which flattery does the turn disappear?
