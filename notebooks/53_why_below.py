# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why trained policies fall short
#
# How much of the gap to the limit is due to the split of the budget over prompts, how much to the objective, and how much to training it?
#
# :::{admonition} Answer
# :class: answer
# *Allocation*: spending alike on unlike prompts is {{bon_allocation}} of what best-of-$N$ wastes, {{grpo_allocation}} for GRPO, which divides by the group's deviation ({{unscaled_allocation}} without the division, at other KLs), and {{group_allocation}} where one penalty holds for all prompts (RLOO).
# *Objective*: a penalty taken token by token *in the loss* (GRPO) has another fixed point than $\pi_\lambda$, which wastes up to {{reverse_wasted:.2f}} nats as trl now takes its gradient and {{k3_wasted:.2f}} with k3 as first published (best-of-$N$: up to {{bon_wasted:.2f}}); taken token by token in the *reward* (PPO) it has not. *Training*: a constant rate instead of an annealed one costs {{constant_cost}} points of share, a bad one of the rates tried up to {{rate_cost}}.
# :::
#
# ## Allocation: who gets the budget
#
# ```{prf:theorem} Waste within prompts and by allocation (we derive)
# :label: thm-allocation
#
# Let a policy spend $\Delta_x$ and gain $g_x$ on prompt $x$, let $G_x$ be that prompt's frontier and $G$ the one for an average budget. Its wasted KL is the sum of two parts, neither negative:
# $\mathrm{mean}_x[\Delta_x-G_x^{-1}(g_x)]$, its distance to the optima if every prompt may have a $\lambda$ of its own, and $\mathrm{mean}_x\,G_x^{-1}(g_x)-G^{-1}(\mathrm{mean}_x\,g_x)$, the price of those $\lambda$ being different.
# ```
#
# ```{prf:proof}
# {prf:ref}`thm-wasted-safety` on each prompt and on their average. The second part is not negative because $G^{-1}(g)$ is the least mean KL over all ways to share out the gain $g$.
# ```

# %% tags=["parameters"]
n_largest: int = 64  # largest N of best-of-N shown, in [4, 1024]

# %% tags=["hide-input"]
from _pages import shortfall, training_gap
from alignbook import claims
from alignlib.lm.experiment.comparison import TaskComparison
from alignlib.lm.experiment.results import Results
from alignlib.lm.tasks import TASKS

results = Results.read("lm_results")
compared = {task: TaskComparison(results, task) for task in TASKS}
points = {task: training_gap.fixed_points(results, task) for task in TASKS}
parts = shortfall.splits(results, n_largest)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Wasted KL after long training, split into the price of unlike λ (solid) and what is wasted within prompts (hatched), averaged over penalties and seeds (best-of-N: over N from 2 to {{n_largest:d}}). Each method over its own KLs: compare the parts of a bar rather than bars. Lines are intervals over seeds for the sum.", "name": "fig-waste-split"}, "image": {"alt": "Stacked bars for each method in two panels. Allocation is {{bon_allocation}} of best-of-N's bar and {{group_allocation}} of RLOO's."}}
shortfall.split_figure(parts)
# %% [markdown]
# Rewards that are standardised prompt by prompt, by rank (best-of-$N$) or by deviation (GRPO), even out the KL over prompts, although the limit spends more where reward is cheap. The hatched part is what is wasted whatever the split; against a frontier that forces the same KL on every prompt the waste is another
# number.
#
# ## Objective: where training would end
#
# ```{prf:theorem} Fixed points of three penalties (we derive)
# :label: thm-fixed-points
#
# Let a policy choose every next-token law $\pi(\cdot|s)$ freely, let the reward enter less a baseline that does not depend on the response, and undivided. Let $Q(s,a)$ be the mean of what follows token $a$ after prefix $s$, net of charges for later tokens if they are in the reward, and $V(s)$ the value passed up. The expected update vanishes
#
# 1. with $-\beta\log\pi(y)/p(y)$ in the reward, as one sum or token by token, exactly at $\pi_\lambda$, $\lambda=1/\beta$: $\pi(a|s)\propto p(a|s)e^{Q/\beta}$ with $V=\beta\log\sum_a p\,e^{Q/\beta}$;
# 2. with the token's own reverse KL in the loss (k3 times the importance ratio): at $\pi(a|s)\propto p(a|s)e^{Q/\beta}$ with $V=\sum_a\pi Q$;
# 3. with k3 of the sampled token in the loss, as published: at $\pi(a|s)=\beta p(a|s)/(\beta+V-Q(s,a))$ with $V=\sum_a\pi Q$.
# ```
#
# ```{prf:proof}
# The reward's part of the update of the logit of $a$ after $s$ is $P(s)\,\pi(a|s)(Q-\mathrm{mean}\,Q)$. (1) With the log-ratio in the reward the bracket holds $Q-\beta\log\pi/p$ instead, and vanishes where that is constant in $a$: from the longest prefixes up this is the stated law, and at $\pi_\lambda$ the score $r-\beta\log\pi_\lambda/p$ is the same for all responses. (2) The penalty adds
# $-\beta P(s)\,\pi(a|s)(\ell-\bar\ell)$ with $\ell=\log\pi/p$ of this token only. (3) The gradient of $e^{-\ell}-1+\ell$ at a sampled token is $(1-e^{-\ell})\nabla\log\pi$, with mean $\pi(a|s)-p(a|s)$ on the logit: that of the *forward* KL. Setting the sums to zero gives the laws, longest prefixes first.
# ```
#
# A group mean that includes the response itself, as in trl, turns $\beta$ into $\beta G/(G-1)$ for groups of $G$: other points of the same curve. In (2) and (3) a token does not answer for the KL that the tokens after it will spend: at $\pi_\lambda$ the update left over in (2) is $\beta P(s)\,\pi(a|s)$ times the future KL after $a$ less its mean. With a single token (1) and (2) agree and (3) does not. That the
# formulas are the gradients of the losses as trainers write them is tested by automatic differentiation, summed over all responses.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL in nats beyond the least that buys the same gain, at the exact fixed points of two token-level penalties ({{n_penalties:d}} penalties β from {{beta_most:g}} to {{beta_least:g}}, all responses enumerated) and for best-of-N up to {{n_largest:d}}. Above: summarisation; below: safety. The sequence's log-ratio in the reward wastes nothing.", "name": "fig-fixed-points"}, "image": {"alt": "Two panels of wasted KL against KL. The published k3 wastes up to {{k3_wasted:.2f}} nats, the corrected one up to {{reverse_wasted:.2f}}."}}
training_gap.fixed_point_figure(results, points, n_largest)
# %% [markdown]
# {numref}`fig-fixed-points` is computed, not trained: no tuning, no sampling, no network. It is where GRPO *without* division by the deviation would end if the network could represent any policy. It is no lower bound, for an early stop or shared weights can end nearer the optimum. Division by the deviation adds a loss of
# its own: it makes $\lambda$ differ between prompts, and within a prompt it caps what one response can count (with groups of two only the rank is left). Trained variants, each against GRPO as compared at equal KL: {{objective_sentence}}.
#
# ## Training: how long, how hard, how exactly

# %% tags=["hide-input"]
effort = shortfall.effort(compared)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "At each method's middle penalty. Above: wasted KL inside one annealed run of {{long_steps:d}} steps (not runs of that length), and at the end of {{longest:d}} steps at a lower rate, one seed (filled: summarisation; hollow: safety). Below: share of the limit's gain at the same KL, for the four learning rates tried, one seed, summarisation.", "name": "fig-effort"}, "image": {"alt": "Two panels on logarithmic axes. Above, wasted KL falls with the steps of training for most methods. Below, the share depends on the learning rate: {{rates_apart}}."}}
shortfall.effort_figure(effort)
# %% [markdown]
# RLOO, trained longest ({{longest:d}} steps), still wastes {{longest_wasted}} nats (summarisation and safety). Over the four learning rates tried the share ranges thus: {{rates_apart}}. Both are budgets of the
# experimenter, not properties of a method, and a comparison that does not state them says little. Against the runs as compared: {{training_sentence}}.
#
# All variants, each against the method as compared at the same KL, interpolated between its penalties († held at the end, where they do not reach); shares are of the achievable gain, intervals over seeds (* one seed):

# %% tags=["hide-input"]
table = training_gap.variants(compared)
training_gap.show(table)

# %% [markdown]
# ## Claims

# %% tags=["hide-input"]
training_gap.glue(results, points, table, n_largest)
shortfall.glue(parts, effort)
claims.record(*training_gap.claims_of(results, points, table), *shortfall.claims_of(results, parts))

# %% [markdown]
# **Try:** `-p n_largest 1024`: from which $N$ on does best-of-$N$ waste less than either fixed point at the same KL?
