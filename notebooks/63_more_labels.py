# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # More labels
#
# Can more labels make up for feedback that carries too little?
#
# :::{admonition} Answer
# :class: answer
# Not if every case asks about a fresh value: with {{m_max:,d}} labels no learner here, from counting to a neural network, errs less than {{least_risk:.0%-}} of the time, and by the {term}`Fano floor` none can err less than
# {{floor:.1%-}}. If all labels are about *one* value they add up: {{shared_labels:d}} of them identify it in 90 % of cases.
# :::

# %% tags=["parameters"]
n_values: int = 8  # values M in the codebook, in [2, 64]
n_contexts: int = 3  # contexts, in [1, 10]
concentration: float = 0.25  # Dirichlet parameter of the channel; small means reliable, in [0.05, 10]
m_max: int = 100000  # largest number of labels, in [100, 10000000]
n_runs: int = 8  # data sets of each size, in [2, 1000]
width: int = 32  # hidden units of the neural network, in [1, 1000]
n_shared: int = 4000  # simulated shared targets, in [100, 1000000]
seed: int = 3  # seed of the channel and the data, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import (
    CodebookMixture,
    counting_decoder,
    draw_counts,
    expected_ceiling,
    fano_floor,
    gibbs_learner,
    network_decoder,
    pooled_decoder,
)

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
channel = rng.dirichlet(np.full(n_values, concentration), size=(n_contexts, n_values))
mixture = CodebookMixture(rng.dirichlet(np.full(n_contexts, 4.0)), channel, 1 - np.eye(n_values))
m = np.unique(np.geomspace(1, m_max, 16).astype(int))

learners = {
    "counting": lambda counts: counting_decoder(mixture, counts),
    "counting, pooled": lambda counts: pooled_decoder(mixture, counts),
    "network": lambda counts: network_decoder(mixture, counts, rng, width=width),
    "network, 2 units": lambda counts: network_decoder(mixture, counts, rng, width=2),
    "Gibbs": lambda counts: gibbs_learner(mixture, counts.sum(axis=1), 1.0).decoder,
}
risk = {name: np.empty((m.size, n_runs)) for name in learners}
ceiling = np.empty(m.size)
for i, size in enumerate(m):
    tables = [draw_counts(mixture, int(size), rng) for _ in range(n_runs)]
    for name, learn in learners.items():
        risk[name][i] = [mixture.risk(learn(counts)) for counts in tables]
    gibbs = [gibbs_learner(mixture, counts.sum(axis=1), 1.0) for counts in tables]
    seen, spent = (float(np.mean([getattr(g, k) for g in gibbs])) for k in ("empirical_risk", "kl"))
    ceiling[i] = expected_ceiling(min(seen, 1.0), spent, size)

# %% mystnb={"figure": {"caption": "Error rate, averaged over {{n_runs:d}} data sets, against the number of labels when the value is fresh each time ({{n_values:d}} values, {{capacity:.2f}} nats per label, seed {{seed:d}}). More labels lead to the best decoder, at {{bayes:.0%}}, and never below the floor, at {{floor:.1%-}}. The ceiling is for the Gibbs learner.", "name": "fig-more-labels"}, "image": {"alt": "Five falling curves that level off at or above the best decoder; the floor lies below all of them, the ceiling above the Gibbs learner."}} tags=["hide-input"]
fig, ax = plotting.new(height=4.3)
for (name, values), color, marker in zip(risk.items(), plotting.CYCLE, "osD^v", strict=False):
    ax.plot(m, values.mean(axis=1), marker + "-", color=color, markersize=4, linewidth=1.4, label=name)
ax.plot(m, np.where(ceiling < 1, ceiling, np.nan), color=plotting.BOUND, linestyle=":", label="ceiling for Gibbs")
ax.axhline(mixture.bayes_risk, color=plotting.BASE, linewidth=1, linestyle="-.", label="best decoder")
ax.axhline(mixture.floor, color=plotting.BASE, linewidth=2, label="floor")
ax.set_xscale("log")
ax.set_ylim(0, 1)
plotting.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
plotting.name_axes(ax, "labels m", "error rate")

# %% [markdown]
# The learners: *counting* sees each past case with its true value; *counting, pooled* ignores the {term}`context`; two networks (one of {{width:d}} hidden
# units, one of 2) train on the same data; the {term}`Gibbs learner` sees contexts and labels only and is scored by the {term}`canonical loss`.
#
# ## The statement
#
# ```{prf:proposition} The floor does not depend on the number of labels (Cao 2025)
# :label: prop-more-labels
#
# With $M$ and $\bar C_{\mathrm{tot}|S}$ fixed and a fresh value for each case, the floor of {prf:ref}`thm-fano-floor` holds for every
# learner and every number $m$ of labels.
# ```
#
# ```{prf:proof}
# Whatever it has learnt, the learner ends as a {term}`decoder` of the present context and label, and the floor holds for each.
# ```
#
# ```{prf:proposition} Where it does not apply (we derive)
# :label: prop-shared-target
#
# If all $m$ labels are about one value, the floor is the same expression with $m\,\bar C$ in place of $\bar C$. It reaches zero at $m=\log M/\bar C$; with fewer labels nobody identifies the value without error.
# ```
#
# ```{prf:proof}
# $I(U;Y^m\mid S^m)\le\sum_i I(U;Y_i\mid S_i)$ $\le m\,\bar C$ for a channel without memory; then Fano's inequality.
# ```
#
# ## One shared value: labels add up
#
# The same channel, but now all labels are about one value, as when many people answer one question.

# %% tags=["hide-input"]
shared_m = np.arange(1, 41)
value = rng.integers(0, n_values, n_shared)
context = rng.choice(n_contexts, size=(shared_m.size, n_shared), p=mixture.context_prob)
cumulative = channel.cumsum(axis=2)
label = (rng.random((shared_m.size, n_shared, 1)) > cumulative[context, value[None, :]]).sum(axis=2)
label = np.minimum(label, n_values - 1)
with np.errstate(divide="ignore"):
    log_likelihood = np.log(channel)
posterior = np.cumsum(log_likelihood[context, :, label], axis=0)
shared_error = (posterior.argmax(axis=2) != value).mean(axis=1)
shared_floor = fano_floor(np.minimum(shared_m * mixture.capacity, np.log(n_values)), n_values)

# %% mystnb={"figure": {"caption": "The same {{capacity:.2f}} nats per label. If all labels are about one value the error rate falls with every label ({{n_shared:d}} simulated values); if the value is fresh each time it stays. The floor for the shared value reaches zero at {{log_ratio:.1f}} labels.", "name": "fig-shared-target"}, "image": {"alt": "Error against labels: a falling curve for a shared value above its own falling floor, and flat lines for fresh values."}} tags=["hide-input"]
fig, ax = plotting.new()
ax.axhline(mixture.bayes_risk, color=plotting.BEST_OF_N, label="fresh value, best decoder")
ax.axhline(mixture.floor, color=plotting.BEST_OF_N, linestyle="--", linewidth=1.2, label="fresh value, floor")
ax.plot(shared_m, shared_error, "o-", color=plotting.LIMIT, markersize=3.5, label="one shared value")
ax.plot(shared_m, shared_floor, color=plotting.LIMIT, linestyle="--", linewidth=1.2, label="one shared value, floor")
plotting.legend(ax, loc="center right", bbox_to_anchor=(1.0, 0.74))
ax.set_ylim(-0.02, None)
ax.set_xlim(0, 30)
plotting.name_axes(ax, "labels", "error rate")

# %% [markdown]
# ## What it means
#
# Which of the two applies is a question about the task, not about the bound. Rules that hold for every conversation are shared: labels add
# up. What *this* user wants *now* is fresh: no amount of past data carries it, only the present channel does.
#
# ## Claims

# %% tags=["hide-input"]
everything = np.stack(list(risk.values()))
identified = int(shared_m[np.argmax(shared_error <= 0.1)]) if (shared_error <= 0.1).any() else int(shared_m[-1])
needed = int(np.ceil(np.interp(-0.1, -shared_floor, shared_m)))
noise = np.sqrt(shared_error * (1 - shared_error) / n_shared)
positive = (shared_floor > 0) | (shared_m == 1)
claims.glue(
    floor=mixture.floor,
    bayes=mixture.bayes_risk,
    capacity=mixture.capacity,
    least_risk=everything.min(),
    shared_labels=identified,
    shared_floor_labels=needed,
    log_ratio=np.log(n_values) / mixture.capacity,
)
claims.record(
    claims.at_least(
        "no-crossing",
        "no learner errs less than the floor, with any number of labels",
        "C25",
        everything,
        mixture.floor,
    ),
    claims.at_most(
        "labels-lead-there",
        "with the most labels counting errs at most 0.01 more than the best decoder",
        "we derive",
        risk["counting"][-1].mean(),
        mixture.bayes_risk,
        atol=0.01,
    ),
    claims.at_most(
        "more-labels-suffice",
        "with enough labels some learner errs less than 5 % of the time, fresh values or not",
        "not claimed; asked by us",
        everything.min(),
        0.05,
        must_hold=False,
    ),
    claims.at_most(
        "gibbs-below-ceiling", "the Gibbs learner stays below its ceiling", "C25", risk["Gibbs"].mean(axis=1), ceiling
    ),
    claims.at_least(
        "shared-floor",
        r"with one shared value the error stays above the floor with $m\,\bar C$, wherever that is not 0",
        "we derive",
        shared_error[positive],
        shared_floor[positive],
        atol=float(3 * noise[positive].max()),
    ),
    claims.at_most(
        "shared-adds-up",
        "and falls below the floor for fresh values as labels add up",
        "we derive",
        shared_error[-1],
        mixture.floor,
    ),
)

# %% [markdown]
# **Try:** `alignlib run more_labels -p n_contexts 1 -o out.ipynb --html`: with one context pooling costs nothing. Does the floor move?
