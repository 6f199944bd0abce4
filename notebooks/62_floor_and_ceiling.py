# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Floor and ceiling: the interval
#
# What does the capacity of feedback say about the risk of whatever is trained on it?
#
# :::{admonition} Answer
# :class: answer
# A floor that no learner crosses and a ceiling that a learner of known information stays under. Here the floor is {{floor:.3f}}, the best
# decoder errs {{bayes:.3f}}, and the ceiling at {{m_max:,d}} labels is {{ceiling_kl:.3f}} from the learner's own divergence but {{ceiling_capacity:.3f}} from the
# capacity alone, which says {{capacity_verdict}}. The floor is the informative end.
# :::

# %% tags=["parameters"]
n_values: int = 8  # values M in the codebook, in [2, 64]
n_contexts: int = 2  # contexts, in [1, 8]
concentration: float = 0.25  # Dirichlet parameter of the channel; small means reliable, in [0.05, 10]
gamma: float = 1.0  # strength of the Gibbs learner per label, in [0, 100]
m_max: int = 100000  # largest number of labels, in [100, 10000000]
small_m: int = 5  # labels of the enumerated example, in [1, 5]
n_random: int = 300  # random channels held against the floor, in [10, 10000]
seed: int = 5  # seed of the channels and data, >= 0

# %% tags=["hide-input"]
import textwrap

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.bottleneck import (
    CodebookMixture,
    ConditionError,
    alignment_interval,
    draw_counts,
    enumerate_gibbs,
    expected_ceiling,
    fano_floor,
    gibbs_learner,
    probable_ceiling,
    symmetric_channel,
)

# %% [markdown]
# ## What is claimed, and under which condition
#
# C25's abstract claims an interval: a Fano lower bound that does not depend on the number of labels, proved on a separable codebook mixture,
# and a PAC-Bayes upper bound whose divergence the same channel controls through $m\,\bar C_{\mathrm{tot}|S}$. We derive both ends:
#
# ```{prf:theorem} The floor (C25; we derive)
# :label: thm-fano-floor
#
# Let $U$ be one of $M$ equally likely values, **fresh for each instance** and independent of $S$, and let each action have loss at least $\Delta$
# for all values but one. Then every decoder of $(S,Y)$ has risk at least $\Delta P_e$ with
# $h(P_e)+P_e\log(M-1)=\log M-\bar C_{\mathrm{tot}|S}$, hence at least $\Delta\bigl(1-(\bar C_{\mathrm{tot}|S}+\log 2)/\log M\bigr)$.
# ```
#
# ```{prf:proof}
# The error $P_e$ of the decoded index obeys Fano's inequality $H(U\mid S,Y)\le h(P_e)+P_e\log(M-1)$, and
# $H(U\mid S,Y)=\log M-I(U;Y\mid S)\ge\log M-\bar C_{\mathrm{tot}|S}$. Data about other instances are independent of this one and change nothing.
# The M-ary symmetric channel attains it. The weak form uses $h\le\log 2$.
# ```
#
# ```{prf:theorem} The ceiling (C25; the four terms we derive)
# :label: thm-capacity-ceiling
#
# A learner draws $\theta$ from $Q$ after seeing $S^m,Y^m$; $P$ is a prior independent of them. Then
#
# $$\E\,\KL{Q}{P}=\underbrace{I(\theta;U^m\mid S^m)}_{\le\,m\,\bar C_{\mathrm{tot}|S}}+I(\theta;S^m)+
# \underbrace{I(\theta;Y^m\mid U^m,S^m)}_{\rho}+\KL{\E Q}{P},$$
#
# and for a loss in $[0,1]$ the expected risk is at most $\mathrm{kl}^{-1}\bigl(\E\hat R,(\E\,\KL{Q}{P}+\log(2\sqrt m))/m\bigr)$.
# ```
#
# ```{prf:proof}
# $\E\,\KL{Q}{P}=I(\theta;S^m,Y^m)+\KL{\E Q}{P}$; apply the chain rule twice and $I(\theta;U^m\mid S^m,Y^m)=0$. The first term is at most
# $I(Y^m;U^m\mid S^m)\le m\,\bar C_{\mathrm{tot}|S}$, for the channel has no memory. The ceiling is Donsker and Varadhan's inequality with the constant
# of {cite:t}`Maurer2004`.
# ```
#
# **Both ends bound the same risk only if** the learner is scored by the canonical observable loss
# $\tilde\ell(a;s,y)=\E[\ell(a,U)\mid s,y]$, and its data come from the same mixture. `alignment_interval` checks both and refuses otherwise.
# **And** a capacity controls the *expected* divergence: a ceiling that holds with probability $1-\delta-\eta$ pays Markov's $1/\eta$.

# %%
rng = np.random.default_rng(seed)
channel = rng.dirichlet(np.full(n_values, concentration), size=(n_contexts, n_values))
mixture = CodebookMixture(np.full(n_contexts, 1 / n_contexts), channel, 1 - np.eye(n_values))

# %% [markdown]
# ## The floor against the best decoder
#
# {{n_random:d}} random channels of {{n_values:d}} values, from reliable to useless: the exact Bayes risk of each, at its capacity.

# %%
capacities, risks = [], []
for _ in range(n_random):
    rows = rng.dirichlet(np.full(n_values, 10 ** rng.uniform(-1.5, 1)), size=(1, n_values))
    one = CodebookMixture([1.0], rows, 1 - np.eye(n_values))
    capacities.append(one.capacity)
    risks.append(one.bayes_risk)
grid = np.linspace(0, np.log(n_values), 200)
sharp, weak = fano_floor(grid, n_values), fano_floor(grid, n_values, sharp=False)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Exact Bayes risk of {{n_random:d}} random channels against their capacity, $M={{n_values:d}}$: none lies below the sharp floor. The weak floor is lower by up to {{weak_loss:.2f}} and says nothing from {{weak_vacuous:.2f}} nats on.", "name": "fig-fano-floor"}, "image": {"alt": "Risk against capacity: two falling floors, the sharp one above the weak one, and a cloud of points above both."}}
fig, ax = plotting.new()
ax.plot(capacities, risks, ".", color=plotting.BOUND, alpha=0.6, label="best decoder, random channels")
ax.plot(grid, sharp, color=plotting.LIMIT, label="floor, sharp")
ax.plot(grid, weak, color=plotting.BEST_OF_N, linestyle="--", label="floor, weak")
ax.plot(mixture.capacity, mixture.bayes_risk, "*", color=plotting.BASE, markersize=12, label="this chapter's channel")
ax.set_ylim(-0.12, 1.0)
ax.axhline(0, color=plotting.BASE, linewidth=0.8)
plotting.legend(ax)
plotting.name_axes(ax, r"capacity $\bar C_{tot|S}$ (nats)", "risk")
# %% [markdown]
# ## The four terms, exactly
#
# Small enough to enumerate: two contexts, two values, two labels, all data sets of up to {{small_m:d}} labels, a Gibbs posterior over all 16
# decoders. {numref}`fig-four-terms` stacks the terms of the divergence; they add up to it to {{identity_error:.0e}} nats.

# %%
tiny = CodebookMixture([0.4, 0.6], rng.dirichlet([1.0, 1.0], size=(2, 2)), 1 - np.eye(2))
ms = np.arange(1, small_m + 1)
exact = [enumerate_gibbs(tiny, int(m), 3.0) for m in ms]
matched = {"observed_loss": tiny.canonical_loss, "data_law": tiny.data_law}
intervals = [
    alignment_interval(
        tiny,
        one.empirical_risk,
        int(m),
        context_information=max(one.split.context, 0.0),
        channel_information=max(one.split.channel, 0.0),
        prior_mismatch=one.split.prior,
        **matched,
    )
    for m, one in zip(ms, exact, strict=True)
]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Expected divergence of a Gibbs learner from its prior, split exactly, against the number of labels. Only the first term is paid by the capacity; here it is {{target_share:.0%}} of the whole at $m={{small_m:d}}$.", "name": "fig-four-terms"}, "image": {"alt": "Stacked bars for each number of labels: what is learnt of the target is the smaller part; contexts, rater noise and prior mismatch make up the rest."}}
fig, ax = plotting.new()
bottom = np.zeros(small_m)
for name, label, color, hatch in (
    ("target", r"target, $I(\theta;U^m|S^m)$", plotting.LIMIT, ""),
    ("context", r"contexts, $I(\theta;S^m)$", plotting.THIRD, "///"),
    ("channel", r"rater, $\rho$", plotting.BEST_OF_N, "..."),
    ("prior", r"prior mismatch", plotting.FOURTH, "xx"),
):
    height = np.array([max(getattr(one.split, name), 0.0) for one in exact])
    ax.bar(ms, height, 0.6, bottom=bottom, color=color, hatch=hatch, edgecolor="white", label=label)
    bottom += height
ax.plot(ms, ms * tiny.capacity, "D-", color=plotting.BASE, markersize=5, label=r"$m\,\bar C$: most for the target")
ax.set_ylim(0, 1.5 * max(bottom.max(), (ms * tiny.capacity).max()))
plotting.legend(ax, loc="upper left")
ax.set_xticks(ms)
plotting.name_axes(ax, "labels m", "nats")
# %% [markdown]
# ## The interval along the number of labels
#
# The chapter's own mixture and a Gibbs learner over all its decoders, scored by the canonical loss. Its divergence is known, so there are two
# ceilings: with the divergence itself, and with the capacity's part $m\,\bar C$ of the bound alone (the other terms only add to it).

# %%
m = np.unique(np.geomspace(10, m_max, 17).astype(int))
learners = [gibbs_learner(mixture, draw_counts(mixture, int(k), rng).sum(axis=1), gamma) for k in m]
risk = np.array([mixture.risk(one.decoder) for one in learners])
empirical = np.clip([one.empirical_risk for one in learners], 0, 1)
divergence = np.array([one.kl for one in learners])
with_divergence = expected_ceiling(empirical, divergence, m)
with_capacity = expected_ceiling(empirical, m * mixture.capacity, m)
with_markov = probable_ceiling(empirical, m * mixture.capacity, m, delta=0.025, eta=0.025)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The interval against the number of labels ($M={{n_values:d}}$, $\\bar C={{capacity:.2f}}$ nats, seed {{seed:d}}). With the learner's own divergence the ceiling closes in; with the capacity alone it levels off at {{ceiling_capacity:.2f}}, and in the form that holds with probability 95 % at {{ceiling_markov:.2f}} ({{markov_verdict}}).", "name": "fig-interval"}, "image": {"alt": "Risk against number of labels: a flat floor at {{floor:.2f}}, the learner's risk falling to {{bayes:.2f}}, one ceiling coming down to it and two that stay near one."}}
fig, ax = plotting.new(height=4.2)
ax.plot(m, with_markov, color=plotting.BOUND, linestyle=":", label="ceiling, capacity, 95 %")
ax.plot(m, with_capacity, color=plotting.FOURTH, linestyle="--", label="ceiling, capacity, expected")
ax.plot(m, with_divergence, color=plotting.THIRD, label="ceiling, own divergence")
ax.plot(m, risk, "o", color=plotting.BEST_OF_N, label="Gibbs learner")
ax.axhline(mixture.bayes_risk, color=plotting.BASE, linewidth=1, linestyle="-.", label="best decoder")
ax.axhline(mixture.floor, color=plotting.LIMIT, label="floor")
ax.set_xscale("log")
ax.set_ylim(0, 1.05)
plotting.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
plotting.name_axes(ax, "labels m", "risk")
# %% [markdown]
# ## Why the condition matters
#
# Score the same learner by agreement with the rater instead of the canonical loss: copying the label then has training risk 0 whatever the rater is
# worth, which is below any floor. `alignment_interval` answers:

# %%
label_loss = np.broadcast_to(1 - np.eye(n_values), mixture.canonical_loss.shape)
try:
    alignment_interval(mixture, 0.0, 1000, observed_loss=label_loss, data_law=mixture.data_law)
    refused = False
except ConditionError as error:
    refused = error.condition == "canonical observable loss"
    print(textwrap.fill(str(error), 88))

# %% [markdown]
# ## What it means
#
# **Proved, always:** the floor, for fresh targets. **Proved, under the two conditions:** that floor and ceiling bracket one risk.
# **Not so:** that capacity alone makes the ceiling small. Per label it allows $\bar C$ nats, so as $m\to\infty$ it tends to
# $\mathrm{kl}^{-1}(\hat R,\bar C)$ and not to $\hat R$: more capacity lowers the floor and *raises* this ceiling. It is worth something only where
# $\bar C$ is small beside what the learner could otherwise absorb.
#
# ## Claims


# %% tags=["hide-input"]
def verdict(value: float) -> str:
    return "nothing that blind guessing does not" if value >= 1 - 1 / n_values else "a little"


claims.glue(
    floor=mixture.floor,
    bayes=mixture.bayes_risk,
    capacity=mixture.capacity,
    ceiling_kl=with_divergence[-1],
    ceiling_capacity=with_capacity[-1],
    ceiling_markov=with_markov[-1],
    capacity_verdict=verdict(with_capacity[-1]),
    markov_verdict="vacuous" if with_markov[-1] >= 1 - 1 / n_values else "not vacuous",
    weak_loss=float((sharp - np.maximum(weak, 0)).max()),
    weak_vacuous=float(grid[np.argmax(weak <= 0)]),
    identity_error=max(max(abs(one.split.total - one.split.expected_kl) for one in exact), 1e-17),
    target_share=exact[-1].split.target / exact[-1].split.total,
)
claims.record(
    claims.at_least(
        "floor-below-bayes",
        "no random channel's best decoder goes below the sharp floor",
        "C25; we derive",
        risks,
        fano_floor(np.array(capacities), n_values),
        atol=1e-12,
    ),
    claims.at_least(
        "sharp-above-weak", "the sharp floor is never below the weak one", "we derive", sharp, weak, atol=1e-12
    ),
    claims.equal(
        "floor-attained",
        "the M-ary symmetric channel attains the floor",
        "we derive",
        *(lambda one: (one.bayes_risk, one.floor))(
            CodebookMixture([1.0], [symmetric_channel(n_values, 0.3)], 1 - np.eye(n_values))
        ),
        atol=1e-10,
    ),
    claims.equal(
        "four-terms",
        "the expected divergence is the sum of its four terms",
        "we derive",
        [one.split.total for one in exact],
        [one.split.expected_kl for one in exact],
        atol=1e-11,
    ),
    claims.at_most(
        "target-paid-by-capacity",
        r"$I(\theta;U^m|S^m)\le m\,\bar C$",
        "C25; we derive",
        [one.split.target for one in exact],
        ms * tiny.capacity,
        atol=1e-12,
    ),
    claims.true(
        "interval",
        "floor, risk and ceiling are in order for every enumerated learner",
        "C25",
        [i.floor <= e.risk <= i.ceiling for i, e in zip(intervals, exact, strict=True)],
    ),
    claims.true(
        "risk-inside",
        "the learner's risk lies between floor and all three ceilings at every m",
        "C25",
        (mixture.floor <= risk) & (risk <= with_divergence) & (risk <= with_capacity) & (risk <= with_markov),
    ),
    claims.at_least(
        "capacity-ceiling-tightens",
        r"with the capacity alone the ceiling comes within 0.1 of the risk",
        "not claimed; asked by us",
        0.1,
        with_capacity[-1] - risk[-1],
        must_hold=False,
    ),
    claims.true(
        "condition-refused",
        "a learner scored by agreement with the rater is refused",
        "C25 (matched conditions)",
        np.array(refused),
    ),
)

# %% [markdown]
# **Try:** `alignlib run floor_and_ceiling -p concentration 5 -o out.ipynb --html`: with a nearly useless channel both ends meet near blind guessing.
