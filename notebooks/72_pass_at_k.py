# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # pass@k and majority votes
#
# Answers that are right or wrong are often judged by several tries: is one of $k$ right, are all, is the majority? Is the best {term}`policy` for one try also the best for
# several, at the same {term}`KL`?
#
# :::{admonition} Answer
# :class: answer
# {{verdict}} On the prompts of the picture, at {{kl_shown:g}} {{kl_unit}}, the best policy for one try has pass@1 {{one_at_1:.1%}} and pass@{{k_shown:d}} {{one_at_k:.1%}}; the best for
# {{k_shown:d}} tries has {{many_at_1:.1%}} and {{many_at_k:.1%}}. {{spends}}
# :::

# %% tags=["parameters"]
k_shown: int = 8  # number of tries k, in [2, 64]
kl_shown: float = 0.2  # average KL that the answer quotes, in nats, in [0.02, 1]
n_prompts: int = 50  # number of prompts, in [10, 500]
easy: float = 0.3  # first parameter of the beta distribution of success over prompts, in [0.1, 5]
hard: float = 1.0  # its second parameter, in [0.3, 5]
n_samples: int = 64  # responses to each prompt in the sampled table, in [16, 128]
skill: float = 1.0  # how far a verifier tells right from wrong answers, in standard deviations, in [0, 4]
seed: int = 0  # of the sampled table, >= 0

# %% tags=["hide-input"]
import itertools

import numpy as np
import scipy.stats

from _pages.beyond_coverage import counted
from alignbook import claims
from alignlib import plotting
from alignlib.answers.pictures import draw_pass_at_k
from alignlib.pass_at_k import (
    all_of_k_estimate,
    estimate_pass_at_k,
    kl_of_success,
    majority_estimate,
    majority_of_law,
    pass_at_k,
    pass_at_k_estimate,
    pass_frontier,
)
from alignlib.tables import AnswerTable

# %% [markdown]
# ## The statements
#
# Let $q_x$ be the probability that a response to prompt $x$ is right under the {term}`base model`, and $s_x$ under a policy. pass@k is the mean over prompts of $1-(1-s_x)^k$, the chance that
# one of $k$ responses is right; pass^k that of $s_x^k$, the chance that all are.
#
# ```{prf:theorem} Estimates without bias (ChenM2021, Yao2024)
# :label: thm-pass-at-k-unbiased
#
# If $c$ of $n\ge k$ independent responses to a prompt are right, $1-\binom{n-c}k/\binom nk$ has the mean $1-(1-s)^k$, and $\binom ck/\binom nk$ has the mean $s^k$. No function of
# fewer than $k$ responses has either mean for all $s$.
# ```
#
# ```{prf:proof}
# Both are the share of subsets of $k$ responses with the property, and each subset has it with the probability in question. The mean of a function of $n$ responses is a polynomial in $s$ of degree
# at most $n$, and these have degree $k$.
# ```
#
# So $n\ge k$ is needed, and a larger $n$ makes the estimate steadier.
#
# ```{prf:theorem} The limit of pass@k
# :label: thm-pass-frontier
#
# Let all $q_x$ be positive. A policy that is right with probability $s_x$ has at least the KL $\mathrm{kl}(s_x\Vert q_x)=s_x\log\frac{s_x}{q_x}+(1-s_x)\log\frac{1-s_x}{1-q_x}$ on prompt $x$. Among policies whose KL is
# at most $\Delta$ on average over prompts, the largest pass@k is reached where, for one $\lambda$,
#
# $$\log\frac{s_x}{1-s_x}-\log\frac{q_x}{1-q_x}=\lambda k(1-s_x)^{k-1}\qquad\text{on every prompt with }q_x<1,$$
#
# and with $\E_x\mathrm{kl}(s_x\Vert q_x)=\Delta$, if that is less than $\E_x\log\frac1{q_x}$. For every $\lambda>0$ no such policy exceeds
# $\frac\Delta\lambda+\E_x\max_s\bigl[1-(1-s)^k-\frac1\lambda\mathrm{kl}(s\Vert q_x)\bigr]$.
# ```
#
# ```{prf:proof}
# The first sentence is the data-processing inequality for the event "right"; tilting the two events by themselves reaches it. $1-(1-s)^k$ is concave in $s$ and $\mathrm{kl}$ is convex, so the bound
# (weak duality: add $\frac1\lambda(\Delta-\E_x\mathrm{kl})\ge0$) is met where the derivative of the bracket, $k(1-s)^{k-1}-\frac1\lambda(\text{difference of log-odds})$, is 0.
# ```
#
# For $k=1$ the log-odds of all prompts rise by the same $\lambda$: this is the usual tilt of a 0/1 reward. For a larger $k$ a prompt that is right often gains little from another right response, and its
# log-odds hardly move.
#
# ```{prf:theorem} Majority votes
# :label: thm-majority-limit
#
# If one answer to a prompt is more probable than every other, the chance that the majority of $k$ responses is that answer tends to 1 with $k$. So maj@k, averaged over prompts, tends to the share
# of prompts whose most probable answer is right, if no two answers of a prompt share the first place.
# ```
#
# ```{prf:proof}
# The law of large numbers for the frequencies of that answer and of the others (all others together, grouped so that each group is less probable than it, where there are infinitely many).
# ```
#
# More votes thus help on prompts whose most probable answer is right ({cite:t}`Wang2023` found the rule to work well), and harm on the others. pass@k has no such end: it tends to the share of
# prompts with $q_x>0$.
#
# ## One try and several
#
# The base rates here are {{n_prompts:d}} quantiles of a beta distribution: {{seldom:.0%}} of prompts are right less than one time in ten.

# %%
success = scipy.stats.beta.ppf((np.arange(n_prompts) + 0.5) / n_prompts, easy, hard)
budgets = np.append(np.linspace(0.0, 1.0, 41) ** 2 * 5.0 * kl_shown, kl_shown)
budgets.sort()
for_one = pass_frontier(success, 1, budgets)
for_many = pass_frontier(success, k_shown, budgets)
shown = int(np.searchsorted(budgets, kl_shown))

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "pass@1 and pass@{{k_shown:d}} of two policies at each average KL: the best for pass@1 and the best for pass@{{k_shown:d}}, on {{n_prompts:d}} prompts.", "name": "fig-pass-frontier"}, "image": {"alt": "Four curves that rise with KL. Of the upper two, pass@{{k_shown:d}}, the policy made for it is above; of the lower two, pass@1, the other one is."}}
fig, ax = plotting.new(height=3.3)
several = f"pass@{k_shown}"
ax.plot(budgets, for_many.reward, color=plotting.LIMIT, label=f"{several}, best for it")
ax.plot(budgets, for_one.pass_at(k_shown), color=plotting.LIMIT, linestyle="--", label=f"{several}, best for pass@1")
ax.plot(budgets, for_one.reward, color=plotting.BEST_OF_N, linestyle="-.", label="pass@1, best for it")
ax.plot(budgets, for_many.pass_at(1), color=plotting.BEST_OF_N, linestyle=":", label=f"pass@1, best for {several}")
ax.axvline(kl_shown, color=plotting.BASE, linewidth=1, label=f"_KL = {kl_shown:g}")
ax.set_ylim(0, 1.02)
plotting.name_axes(ax, plotting.KL_LABEL, "share of prompts")
plotting.legend(ax, loc="lower left", bbox_to_anchor=(-0.12, 1.0), ncols=2, fontsize=9)

# %% [markdown]
# {numref}`fig-pass-spent` shows where the KL goes. The policy for one try spends most where the base model is right {{peak:.0%}} of the time; the policy for {{k_shown:d}} tries spends on prompts that are
# seldom right.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL that the two policies spend on each prompt at {{kl_shown:g}} {{kl_unit}} on average, against how often the base model is right.", "name": "fig-pass-spent"}, "image": {"alt": "Two curves against the base model's rate of success: one is high in the middle, the other near zero success."}}
fig, ax = plotting.new()
ax.plot(
    success, kl_of_success(for_one.success[shown], success), "o-", color=plotting.BEST_OF_N, label="best for pass@1"
)
ax.plot(
    success, kl_of_success(for_many.success[shown], success), "s--", color=plotting.LIMIT, label=f"best for {several}"
)
plotting.name_axes(ax, "base model's rate of success", "KL spent, nats")
plotting.legend(ax)

# %% [markdown]
# ## From samples
#
# `alignlib passk` (on a made-up table of `alignlib example --kind answers`, or on yours) estimates pass@k, pass^k, maj@k (with a column of answers) and best-of-k by a verifier's score (with a column of scores) from a table of checked responses. Each is the mean over all subsets of
# $k$ responses to a prompt, and has no bias; ties of votes are broken at random, equal scores share. The interval is for prompts like these. It is that of {cite:t}`LearnedMiller2019` for means of values in
# $[0,1]$, which they conjecture to hold for every law; on zeros and ones it is Clopper and Pearson's. It has a width also where every prompt has the same value.
# `python -m benchmarks.coverage` counts on {{n_kinds:d}} kinds of answers, half of them drawn by a rule, and tables of {{counted_shape}}: {{counted_pass:.1%}} of the intervals of pass@k and pass^k hold, {{counted_maj:.1%}} of those of
# maj@k, and {{counted_picked:.1%}} for a verifier and its difference from the majority. They are wider than they need be.
#
# {numref}`fig-pass-sampled` is such an estimate from {{n_samples:d}} responses to each prompt, drawn from four answers of which one is right, with a verifier that gives right answers a score
# {{skill:g}} standard deviations higher. The verifier's pick and the majority vote use the same responses.

# %%
rng = np.random.default_rng(seed)
wrong = rng.dirichlet([0.5, 0.5, 0.5], n_prompts) * (1.0 - success)[:, None]
prob = np.column_stack([success, wrong])
prob /= prob.sum(axis=1, keepdims=True)
given = np.stack([rng.choice(4, n_samples, p=row) for row in prob])
table = AnswerTable.from_arrays(
    (given == 0).astype(float), answer=given, score=skill * (given == 0) + rng.standard_normal(given.shape)
)
estimate = estimate_pass_at_k(table)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Estimates from {{n_samples:d}} responses to each of {{n_prompts:d}} prompts, with 95 % intervals for prompts like these.", "name": "fig-pass-sampled"}, "image": {"alt": "Against the number of responses k: pass@k rises, pass^k falls, the majority vote and the verifier's pick lie between them, each with a band."}}
fig, ax = plotting.new(height=4.0)
draw_pass_at_k(estimate, ax)

# %% [markdown]
# ## What it means
#
# A policy trained for one try can lose pass@k that it could have had at the same KL. Which of the two is wanted depends on what follows: with a checker that tells right from wrong, pass@k
# counts; without one, a vote or a verifier's pick comes between. A vote needs no verifier, but ends at {{modes:.0%}} of these prompts, those whose most probable answer is right. What a verifier's pick
# comes to depends on its errors. From {{base_success:.1%}} for one response it comes, for {{few:,d}} and for {{many:,d}} of them, to {{normal_few:.1%}} and {{normal_many:.1%}} if scores have independent normal errors: there it goes on improving, if right answers
# score higher at all. With heavy-tailed errors (Student's t with {{freedom:g}} degrees of freedom) it comes to {{heavy_few:.1%}} and {{heavy_many:.1%}}, and ends where it began ({doc}`41_tails_decide`). A verifier that says yes or no and errs {{wrong_of:.0%}} of the time stops
# at {{yes_no:.1%}}, and systematic errors may do any harm.
#
# The theorem's policies know each prompt's rate of success. From samples that rate is known with error only.
#
# ## Claims

# %% tags=["hide-input"]
small = np.array([0, 0, 1, 2, 0, 1, 3])
subsets = np.array(list(itertools.combinations(small.tolist(), 3)))
counts = np.array([np.bincount(row, minlength=4) for row in subsets])
tops = counts == counts.max(axis=1, keepdims=True)
by_hand = float((tops[:, 0] / tops.sum(axis=1)).mean())
exact_vote = np.array([majority_of_law(row, np.arange(4) == 0, 201).value for row in prob])
draws = np.random.default_rng(1)
steps = draws.normal(size=(100, n_prompts)) * draws.uniform(0.1, 3.0, (100, 1))
odds = np.log(success) - np.log1p(-success)
random_success = 1.0 / (1.0 + np.exp(-(odds + steps)))
random_kl = kl_of_success(random_success, np.broadcast_to(success, random_success.shape)).mean(axis=1)
best = pass_frontier(success, k_shown, random_kl).reward
few, many, freedom, wrong_of = 8, 4096, 2.2, 0.1
errors = {"normal": scipy.stats.norm(), "heavy": scipy.stats.t(freedom)}


def picked(error, k: int) -> float:
    """How often the highest of k scores is that of a right answer, cell by cell of the scores."""
    tail = error.isf(np.geomspace(0.5, 1e-25, 1200))
    score = np.unique(np.concatenate([-tail[tail < -error.ppf(1e-14)], tail, tail + skill]))[::-1]
    right, rate = error.sf(score - skill), success[:, None]
    above = rate * right + (1.0 - rate) * error.sf(score)
    best_in = np.diff(-np.expm1(k * np.log1p(-np.minimum(above, 1.0 - 2.0**-53))), axis=1)
    share_right = rate * np.diff(right) / np.maximum(np.diff(above, axis=1), 1e-300)
    return float((best_in * share_right).sum(axis=1).mean())


passed = success * (1.0 - wrong_of) + (1.0 - success) * wrong_of  # by a verifier that says yes or no
by_k = {kind: np.array([picked(error, 2**j) for j in range(21)]) for kind, error in errors.items()}
parted = max(
    float(for_one.reward[shown] - for_many.pass_at(1)[shown]),
    float(for_many.reward[shown] - for_one.pass_at(k_shown)[shown]),
)
if for_one.reward[shown] > 1.0 - 1e-9:
    verdict, spends = "Yes, here: the KL is enough to be right at every try.", "With less KL the two would part."
elif parted < 5e-4:
    verdict, spends = "Yes, here, but for less than 0.1 points.", "Other numbers of tries or budgets part the two."
else:
    verdict = "No."
    spends = "It spends its KL on prompts that the base model seldom gets right."
claims.glue(
    n_kinds=counted("^pass@").laws,
    counted_shape=counted("^pass@").shapes,
    counted_pass=counted("^pass[@^]").held,
    counted_maj=counted("^maj@").held,
    counted_picked=counted("by a verifier").held,
    verdict=verdict,
    spends=spends,
    kl_unit="nat" if kl_shown == 1.0 else "nats",
    few=few,
    many=many,
    freedom=freedom,
    wrong_of=wrong_of,
    base_success=float(success.mean()),
    **{
        f"{kind}_{name}": by_k[kind][k.bit_length() - 1]
        for kind in errors
        for name, k in (("few", few), ("many", many))
    },
    yes_no=float((success * (1.0 - wrong_of) / passed).mean()),
    one_at_1=float(for_one.reward[shown]),
    one_at_k=float(for_one.pass_at(k_shown)[shown]),
    many_at_1=float(for_many.pass_at(1)[shown]),
    many_at_k=float(for_many.reward[shown]),
    peak=float(success[kl_of_success(for_one.success[shown], success).argmax()]),
    seldom=float((success < 0.1).mean()),
    modes=float((prob.argmax(axis=1) == 0).mean()),
)
claims.record(
    claims.equal(
        "pass-duality-gap",
        "upper bound of the dual minus the gain reached, pass@1 and pass@k, at every KL drawn",
        "we derive",
        np.concatenate([for_one.dual - for_one.gain, for_many.dual - for_many.gain]),
        0.0,
        atol=1e-12,
    ),
    claims.at_most(
        "pass-any-policy",
        "pass@k of random policies over the largest at their KL",
        "we derive",
        np.mean(pass_at_k(random_success, k_shown), axis=1) / best,
        1.0 + 1e-12,
    ),
    claims.at_most(
        "pass-policies-part",
        "pass@k of the best policy for one try over that of the best for k tries",
        "we derive",
        for_one.pass_at(k_shown)[1:] / for_many.reward[1:],
        1.0 + 1e-12,
    ),
    claims.equal(
        "pass-unbiased",
        r"mean of $1-\binom{n-c}k/\binom nk$ over the law of $c$ is pass@k",
        "ChenM2021",
        scipy.stats.binom.pmf(np.arange(17), 16, success[:, None]) @ pass_at_k_estimate(16, np.arange(17), 8),
        pass_at_k(success, 8),
        rtol=1e-9,
    ),
    claims.equal(
        "pass-all-unbiased",
        r"mean of $\binom ck/\binom nk$ over the law of $c$ is pass^k",
        "Yao2024",
        scipy.stats.binom.pmf(np.arange(17), 16, success[:, None]) @ all_of_k_estimate(16, np.arange(17), 4),
        success**4,
        atol=1e-12,
    ),
    claims.equal(
        "vote-enumerated",
        "majority vote of three of seven responses against all subsets, ties shared",
        "Wang2023",
        majority_estimate([3, 2, 1, 1], np.arange(4) == 0, 3).value,
        by_hand,
        rtol=1e-12,
    ),
    claims.at_least(
        "normal-errors-improve",
        "what every doubling of responses adds to a verifier's pick, independent normal errors",
        "we derive",
        np.diff(by_k["normal"]),
        0.0,
        atol=1e-9,
    ),
    claims.equal(
        "heavy-tailed-errors-undo",
        "a verifier's pick of 2^20 responses with heavy-tailed errors against that of one",
        "K24; we derive",
        by_k["heavy"][-1],
        float(success.mean()),
        atol=0.01,
    ),
    claims.true(
        "vote-tends-to-mode",
        "with 201 votes the exact maj@k is nearer to 1 where the most probable answer is right, else nearer to 0",
        "we derive",
        (exact_vote > 0.5) == (prob.argmax(axis=1) == 0),
    ),
)

# %% [markdown]
# **Try:** `alignlib run pass_at_k -p k_shown 32 -o out.ipynb --html`. The two policies part further.
