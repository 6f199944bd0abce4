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
# If we know how much feedback can carry, what do we know about the error rate of whatever is trained on it?
#
# :::{admonition} Answer
# :class: answer
# With this feedback {term}`channel` no learner can err less than {{floor:.1%-}} of the time on fresh values, however many labels of other cases it has seen; the best possible {term}`decoder` errs {{bayes:.0%}}. In the
# other direction {term}`capacity` alone guarantees nothing: the divergence that an upper bound needs exceeds capacity times labels, {{short_kl:.2f}} against {{short_capacity:.2f}} nats
# after {{short_m:d}} labels of an example small enough to enumerate.
# :::

# %% tags=["parameters"]
n_values: int = 8  # values M in the codebook, in [2, 64]
n_contexts: int = 2  # contexts, in [1, 8]
concentration: float = 0.25  # Dirichlet parameter of the channel; small means reliable, in [0.05, 10]
gamma: float = 1.0  # strength of the Gibbs learner per label, in [0, 100]
m_max: int = 100000  # largest number of labels, in [100, 10000000]
small_m: int = 5  # labels of the enumerated example, in [1, 5]
n_random: int = 300  # random channels held against the floor, in [10, 10000]
seed: int = 3  # seed of the channels and data, >= 0

# %% tags=["hide-input"]
import textwrap

import numpy as np

from alignbook import claims
from alignbook.largest import largest
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
    information_split,
    seeger,
    symmetric_channel,
)

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
channel = rng.dirichlet(np.full(n_values, concentration), size=(n_contexts, n_values))
mixture = CodebookMixture(np.full(n_contexts, 1 / n_contexts), channel, 1 - np.eye(n_values))
capacities, risks = [], []
for _ in range(n_random):
    rows = rng.dirichlet(np.full(n_values, 10 ** rng.uniform(-1.5, 1)), size=(1, n_values))
    one = CodebookMixture([1.0], rows, 1 - np.eye(n_values))
    capacities.append(one.capacity)
    risks.append(one.bayes_risk)
grid = np.linspace(0, np.log(n_values), 200)
sharp, weak = fano_floor(grid, n_values), fano_floor(grid, n_values, sharp=False)


def sharp_less_weak(c):
    """By how much the sharp floor lies above the weak one, which below 0 says nothing."""
    return float(fano_floor(c, n_values) - max(float(fano_floor(c, n_values, sharp=False)), 0.0))


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Error rate of the best decoder against capacity, for {{n_random:d}} random channels of {{n_values:d}} values and for the channel of this chapter (star). No channel lies below the sharp floor. The weak floor is lower by up to {{weak_loss:.2f+}} and says nothing from {{weak_vacuous:.2f}} nats on.", "name": "fig-fano-floor"}, "image": {"alt": "Error rate against capacity: two falling floors, the sharp one above the weak one, and a cloud of points above both."}}
fig, ax = plotting.new()
ax.plot(capacities, risks, ".", color=plotting.BOUND, alpha=0.6, label="best decoder, random channels")
ax.plot(mixture.capacity, mixture.bayes_risk, "*", color=plotting.BASE, markersize=12, label="this chapter's channel")
middle = 0.5 * np.log(n_values)
plotting.curve(ax, grid, sharp, "sharp floor", at=1.55 * middle, offset=(2, 8), ha="left")
plotting.curve(
    ax,
    grid,
    weak,
    "weak floor",
    color=plotting.BEST_OF_N,
    at=0.75 * middle,
    offset=(-6, -4),
    ha="right",
    linestyle="--",
)
ax.set_ylim(-0.12, 1.0)
ax.set_xlim(0, None)
ax.axhline(0, color=plotting.BASE, linewidth=0.8, label="_no errors")
plotting.legend(ax, loc="upper right")
plotting.name_axes(ax, "capacity (nats per label)", "error rate")

# %% [markdown]
# ## What is claimed, and when it holds
#
# The abstract of {cite:t}`C25` claims an interval for the error rate. Its lower end, the floor, does not depend on the number of labels and is proved where one of $M$
# separate values is right. Its upper end, the ceiling, is a {term}`PAC-Bayes` bound whose divergence is controlled by the same channel through
# $m\,\bar C_{\mathrm{tot}|S}$. We derive both ends; the second needs three more terms.
#
# ```{prf:theorem} The floor (Fano 1961; for this setting Cao 2025; proof: we derive)
# :label: thm-fano-floor
#
# Let $U$ be one of $M$ equally likely values, **fresh for each instance** and independent of $S$. Let no loss be negative, and let each action have loss at least
# $\Delta_{\mathrm{sep}}$ for all values but one. Then every decoder of $(S,Y)$ has risk at least $\Delta_{\mathrm{sep}}P_e$, where $P_e$ is the solution in $[0,1-\frac1M]$ of
# $h(P_e)+P_e\log(M-1)$ $=\log M-\bar C_{\mathrm{tot}|S}$ (the sharp form). In particular the risk is at least
# $\Delta_{\mathrm{sep}}\bigl(1-(\bar C_{\mathrm{tot}|S}+\log 2)/\log M\bigr)$ (the weak form).
# ```
#
# ```{prf:proof}
# The error $P_e$ of the decoded value obeys Fano's inequality {cite:p}`Fano1961` $H(U\mid S,Y)\le h(P_e)+P_e\log(M-1)$, and
# $H(U\mid S,Y)=\log M-I(U;Y\mid S)$ $\ge\log M-\bar C_{\mathrm{tot}|S}$. The left-hand side grows with $P_e$ up to $1-\frac1M$, so no smaller error is possible. Data about other instances are independent of this one and change nothing.
# The M-ary symmetric channel attains the sharp form. The weak form uses $h\le\log 2$.
# ```
#
# ```{prf:theorem} The ceiling (after Cao 2025; the four terms are new here, as far as we know)
# :label: thm-capacity-ceiling
#
# A learner draws its parameters $\theta$ from $Q$ after seeing the contexts $S^m$ and labels $Y^m$ of $m$ independent draws of context, value and label, but not the values $U^m$; the prior $P$ does not depend on them. Then
#
# $$\begin{aligned}\E\,\KL{Q}{P}&=\underbrace{I(\theta;U^m\mid S^m)}_{\le\,m\,\bar C_{\mathrm{tot}|S}}+I(\theta;S^m)\\
# &\quad+\underbrace{I(\theta;Y^m\mid U^m,S^m)}_{\rho}+\KL{\E Q}{P},\end{aligned}$$
#
# and for a loss in $[0,1]$ of parameters, context and label the expected risk is at most $\mathrm{kl}^{-1}(\E\hat R,\kappa)$ with $\kappa=\frac1m(\E\,\KL{Q}{P}+\log(2\sqrt m))$, where $\hat R$ is the risk on the data and $\mathrm{kl}^{-1}(a,\kappa)$ the largest $b$ with $\mathrm{kl}(a\|b)\le\kappa$.
# ```
#
# ```{prf:proof}
# $\E\,\KL{Q}{P}=I(\theta;S^m,Y^m)$ $+\KL{\E Q}{P}$; apply the chain rule twice and $I(\theta;U^m\mid S^m,Y^m)=0$. The first term is at most
# $I(Y^m;U^m\mid S^m)\le m\,\bar C_{\mathrm{tot}|S}$, for the channel has no memory. The ceiling is the PAC-Bayes bound of {cite:t}`McAllester1999` in the form of {cite:t}`Seeger2002` with the constant
# of {cite:t}`Maurer2004`, in expectation; the learner below is the Gibbs posterior that {cite:t}`Catoni2007` studies.
# ```
#
# In words: what the parameters know of the values; of which contexts occurred; of chance errors in the labels ($\rho$, memorised noise, as measured by {cite:t}`Harutyunyan2020`); and how far the {term}`posterior` moves from
# the {term}`prior` on average over data sets.
#
# **Both ends bound the same risk only if** the learner is scored by the {term}`canonical loss` $\tilde\ell(a;s,y)=\E[\ell(a,U)\mid s,y]$ and its data come from the
# same law. `alignment_interval` checks both and refuses otherwise.

# %% [markdown]
# ## Capacity times labels is not enough
#
# Could $m\,\bar C$ alone bound the divergence, as the abstract's word "controlled" suggests? No. Take a rater who tosses a coin. Nothing is carried, $\bar C=0$; yet a learner that copies
# one label into its parameters has a divergence of $\log2$ from its prior, all of it $\rho$.
#
# {numref}`fig-four-terms` shows it on an ordinary case, small enough to enumerate: two contexts, two values, two labels, all data sets of up to {{small_m:d}} labels, and a {term}`Gibbs learner` over all 16
# decoders. At $m={{small_m:d}}$ the divergence is {{excess:.0%}} larger than $m\,\bar C$.

# %% tags=["hide-input"]
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
coin = information_split([1.0], [[0.5, 0.5]], [np.full((2, 2), 0.5)], [np.eye(2)], [0.5, 0.5])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Expected divergence of a Gibbs learner from its prior, split exactly into its four terms, and the capacity times the number of labels (diamonds). Capacity bounds the lowest part of each bar only; at m = {{small_m:d}} that part is {{target_share:.0%}} of the bar.", "name": "fig-four-terms"}, "image": {"alt": "Stacked bars for each number of labels, higher than the line of capacity times labels: what is known of the values is the smaller part; contexts, noise and the average move make up the rest."}}
fig, ax = plotting.new(height=3.8)
bottom = np.zeros(small_m)
for name, label, color, hatch in (
    ("target", "values", plotting.LIMIT, ""),
    ("context", "contexts", plotting.THIRD, "///"),
    ("channel", r"label noise, $\rho$", plotting.BEST_OF_N, "..."),
    ("prior", "average move from the prior", plotting.FOURTH, "xx"),
):
    height = np.array([max(getattr(one.split, name), 0.0) for one in exact])
    ax.bar(ms, height, 0.6, bottom=bottom, color=color, hatch=hatch, edgecolor="white", label=label)
    bottom += height
ax.plot(ms, ms * tiny.capacity, "D-", color=plotting.BASE, markersize=5, label=r"$m\,\bar C$")
plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
ax.set_xticks(ms)
plotting.name_axes(ax, "labels m", "nats")

# %% [markdown]
# ## The interval along the number of labels
#
# Back to the larger channel of the first picture, with a Gibbs learner on up to {{m_max:,d}} labels. Its own divergence gives a ceiling that holds with probability 95 %
# for each data set and closes in on its risk: {{ceiling_kl:.3f}} at the end. Had one only $m\,\bar C$ to put in its place, and were the three other terms zero, the bound would level off
# at {{ceiling_capacity:.3f}}: per label it allows $\bar C$ nats, so it tends to $\mathrm{kl}^{-1}(\hat R,\bar C)$ and not to $\hat R$. Blind guessing errs {{blind:.3f}}.

# %% tags=["hide-input"]
m = np.unique(np.geomspace(10, m_max, 17).astype(int))
learners = [gibbs_learner(mixture, draw_counts(mixture, int(k), rng).sum(axis=1), gamma) for k in m]
risk = np.array([mixture.risk(one.decoder) for one in learners])
empirical = np.clip([one.empirical_risk for one in learners], 0, 1)
divergence = np.array([one.kl for one in learners])
ceiling = seeger(empirical, divergence, m, 0.05)
with_capacity = expected_ceiling(empirical, m * mixture.capacity, m)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The interval against the number of labels: {{n_values:d}} values, {{capacity:.2f}} nats per label, seed {{seed:d}}. The ceiling (95 %) comes from the learner's own divergence. The dashed line puts capacity times labels in its place; that is no proved ceiling, and ends {{capacity_verdict}} blind guessing.", "name": "fig-interval"}, "image": {"alt": "Error rate against number of labels: a flat floor at {{floor:.2f}}, the learner's risk falling to {{bayes:.2f}}, a ceiling coming down to it, and a dashed line that stays near {{ceiling_capacity:.2f}}."}}
fig, ax = plotting.new(height=4.2)
ax.plot(m, ceiling, color=plotting.THIRD, label="ceiling, own divergence")
ax.plot(m, with_capacity, color=plotting.FOURTH, linestyle="--", label=r"from $m\,\bar C$ alone, not proved")
ax.plot(m, risk, "o", color=plotting.BEST_OF_N, label="Gibbs learner")
ax.axhline(mixture.bayes_risk, color=plotting.BASE, linewidth=1, linestyle="-.", label="best decoder")
ax.axhline(mixture.floor, color=plotting.LIMIT, label="floor")
ax.axhline(1 - 1 / n_values, color=plotting.BOUND, linewidth=1, linestyle=":", label="blind guessing")
ax.set_xscale("log")
ax.set_ylim(0, 1.05)
plotting.legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
plotting.name_axes(ax, "labels m", "error rate")

# %% [markdown]
# ## Why the learner must be scored by the canonical loss
#
# Score the same learner by agreement with the rater instead. Copying the label then has risk 0 on the data whatever the rater is worth, which is below any floor: the two ends
# would speak of different risks. `alignment_interval` answers:

# %%
label_loss = np.broadcast_to(1 - np.eye(n_values), mixture.canonical_loss.shape)
try:
    alignment_interval(mixture, 0.0, 1000, observed_loss=label_loss, data_law=mixture.data_law)
except ConditionError as error:
    print(textwrap.fill(str(error), 72))

# %% [markdown]
# ## What it means
#
# The floor is the informative end. It holds always, for fresh values, and it needs one measured number. The ceiling holds under the two conditions, and is a statement about the
# learner rather than about the channel: capacity pays for one of its four terms. More capacity lowers the floor and *raises* what that term may be.
#
# ## Claims

# %% tags=["hide-input"]
short = min(4, small_m) - 1
claims.glue(
    floor=mixture.floor,
    bayes=mixture.bayes_risk,
    blind=1 - 1 / n_values,
    capacity=mixture.capacity,
    ceiling_kl=ceiling[-1],
    ceiling_capacity=with_capacity[-1],
    capacity_verdict="above" if with_capacity[-1] > 1 - 1 / n_values else "below",
    short_m=int(ms[short]),
    short_kl=exact[short].split.expected_kl,
    short_capacity=ms[short] * tiny.capacity,
    excess=exact[-1].split.expected_kl / (ms[-1] * tiny.capacity) - 1,
    weak_loss=largest(sharp_less_weak, grid)[1],
    weak_vacuous=np.log(n_values / 2),
    target_share=exact[-1].split.target / exact[-1].split.total,
)
claims.record(
    claims.at_least(
        "floor-below-bayes",
        "no random channel's best decoder errs less than the sharp floor",
        "C25; we derive",
        risks,
        fano_floor(np.array(capacities), n_values),
        atol=1e-12,
    ),
    claims.equal(
        "floor-attained",
        "the M-ary symmetric channel attains the sharp floor",
        "Fano",
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
        r"what the parameters know of the values is at most $m\,\bar C$",
        "C25; we derive",
        [one.split.target for one in exact],
        ms * tiny.capacity,
        atol=1e-12,
    ),
    claims.at_most(
        "capacity-alone",
        r"the expected divergence is at most $m\,\bar C$, without the three other terms",
        "C25 (abstract, read literally)",
        [one.split.expected_kl for one in exact],
        ms * tiny.capacity,
        must_hold=False,
    ),
    claims.equal(
        "coin-toss",
        r"a rater who tosses a coin has capacity 0; copying one label costs $\log2$ nats, all of it $\rho$",
        "we derive",
        [coin.expected_kl, coin.channel, np.log(2) - coin.target],
        np.log(2),
        atol=1e-12,
    ),
    claims.true(
        "interval",
        "floor, risk and ceiling with all four terms are in order for every enumerated learner",
        "C25; we derive",
        [i.floor <= e.risk <= i.ceiling for i, e in zip(intervals, exact, strict=True)],
    ),
    claims.true(
        "risk-inside",
        "at every number of labels the learner's risk lies between the floor and the ceiling from its own divergence",
        "C25; Seeger, Maurer",
        (mixture.floor <= risk) & (risk <= ceiling),
    ),
    claims.at_most(
        "own-divergence-tightens",
        "with the most labels that ceiling is within 0.02 of the risk",
        "we derive",
        ceiling[-1] - risk[-1],
        0.02,
        must_hold=False,
    ),
    claims.at_most(
        "capacity-ceiling-tightens",
        r"so is the bound with $m\,\bar C$ in place of the divergence",
        "not claimed; asked by us",
        with_capacity[-1] - risk[-1],
        0.02,
        must_hold=False,
    ),
)

# %% [markdown]
# **Try:** `alignlib run floor_and_ceiling -p concentration 5 -o out.ipynb --html`: with a nearly useless channel floor and ceiling come close to each other, a little below blind guessing.
