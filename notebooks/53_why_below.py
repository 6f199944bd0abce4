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
# What a trained policy wastes of its KL on prompts it has not seen: how much is due to its objective, to the split of KL over prompts, to optimisation, and to generalisation from few prompts?
#
# :::{admonition} Answer
# :class: answer
# On prompts nobody trained on, after {{long:d}} steps, {{answer}}. Learning from {{few:d}} prompts instead of fresh ones adds {{heart}} nats at the same KL.
# :::

# %% tags=["parameters"]
resamples: int = 400  # bootstrap samples of each interval, in [40, 10000]

# %% tags=["hide-input"]
from _pages import shortfall, size
from alignbook import claims
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.standings import Standings
from alignlib.lm.tasks import TASKS

results = Results.read("lm_results")
tests = {task: Standings(results, task, "test", resamples) for task in TASKS}
trains = {task: Standings(results, task, "train", resamples) for task in TASKS}
points = {task: shortfall.fixed_points(results, task) for task in TASKS}
table = shortfall.parts(tests, points)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Wasted KL on {{n_test:d}} test prompts of each task as a sum of four parts. Middle penalties, {{long:d}} steps; best-of-N at the KL of the method named, for bars at unlike KLs cannot be compared; the controls are told the exact gradient, or samples of the optimum. Parts left of zero count against the others. 95% intervals over prompts and seeds.", "name": "fig-waste-parts"}, "image": {"alt": "Stacked bars of wasted KL for PPO, RLOO, GRPO, best-of-N and a control in two panels. Learning from few prompts adds {{heart}} nats at equal KL."}}
shortfall.parts_figure(table)
# %% [markdown]
# In nats of KL, trained on fresh prompts: the parts sum to what is wasted, beside what best-of-$N$ wastes at the same KL, and what few prompts add to it.

# %% tags=["hide-input"]
shortfall.parts_table(table)
# %% [markdown]
# *Objective*: what the exact fixed point of the method's objective wastes at that KL (for best-of-$N$ in the picture: what it wastes
# within prompts). *Allocation*: what the split of KL over prompts adds. *{{few:d}} prompts add*: what {{few:d}} prompts instead of fresh ones ({{n_pools:d}} draws of them) add at the KL that the few led to (on fresh prompts interpolated between three penalties). It holds more than generalisation: rate, epochs and length were tuned on fresh prompts in shorter runs, and nobody stopped early. *The rest*, called optimisation in the picture, is a residual, what is left after the others: sampling noise, too few steps, rates, the network. It is not measured by itself. What bounds
# the share of the network in it: the least that the same network was seen to waste beyond objective and allocation at the middle penalty, after any length of training, in nats: {{rest}}. The controls are told more (the exact gradient for 200 steps, or samples of the optimum), but learn from 240 prompts; where one wastes more than a method, it bounds nothing.
#
# ## Generalisation: few prompts, learnt by heart
#
# The share less best-of-$N$'s at the same KL, in points, with 95 % intervals over prompts and pools. Each of {{n_pools:d}} seeds has a pool of {{few:d}} prompts of its own; *seen* means that pool. Where every step draws fresh prompts there is no such pool; how those policies stand on prompts that training may draw is in {doc}`51_safety_training` and {doc}`52_summarisation_training`.

# %% tags=["hide-input"]
size.few_prompts(tests, trains)
# %% [markdown]
# ## Size: prompts, steps, layers
#
# RLOO less best-of-$N$ at the same KL on test prompts, in points. By the number of prompts: {{pools}}. By depth, each with a base and a limit of its own, {{depth_seeds}}: {{layers}}. {{missing}} Every setting is the one tuned on fresh prompts with two layers, so that few prompts and deep models bear some mistuning as well.
#
# What a test prompt pays can be known without its words: other words can have the same reward for every response. *Met*: how many of the {{n_test:d}} test prompts have a reward that training met under other words; RLOO less best-of-$N$ in points on these and on the others, means over seeds.

# %% tags=["hide-input"]
size.twins(tests)
# %% [markdown]
# Where all are met, the test prompts are new in their words and not in what they pay. What training teaches of new rewards is the last column.

# %% tags=["hide-input"]
sizes = size.size(tests)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What RLOO lacks of the limit at its KL, on test prompts, at its middle penalty: by the number of prompts it learns from ({{long:d}} steps, two layers; *fresh*, off the scale, draws {{drawn}} prompts in all, fewer than the largest pool has, which no run sees whole), by steps of training (fresh prompts, two layers), by layers of the model (fresh prompts, {{long:d}} steps). 95% intervals over prompts and seeds ({{size_seeds}}).", "name": "fig-size"}, "image": {"alt": "Three panels. The gap to the limit against the number of prompts, the steps of training and the layers; by depth it is {{depth_gap}} percent."}}
size.size_figure(sizes)
# %% [markdown]
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
#
# Rewards that are standardised prompt by prompt, by rank (best-of-$N$) or by deviation (GRPO), even out the KL over prompts, although the limit spends more where reward is cheap.
#
# ## Objective: where training would end
#
# ```{prf:theorem} Fixed points of four penalties (we derive)
# :label: thm-fixed-points
#
# Let a policy choose every next-token law $\pi(\cdot|s)$ freely but for giving each token some probability, let the reward enter less a baseline that does not depend on the response. Let $Q(s,a)$ be the mean of what follows token $a$ after prefix $s$, net of charges for later tokens if they are in the reward, and $V(s)$ the value passed up. The expected update vanishes
#
# 1. with $-\beta\log\pi(y)/p(y)$ in the reward, as one sum or token by token (RLOO, PPO), exactly at $\pi_\lambda$, $\lambda=1/\beta$: $\pi(a|s)\propto p(a|s)e^{Q/\beta}$ with $V=\beta\log\sum_a p\,e^{Q/\beta}$;
# 2. with the token's own KL, $\mathrm{KL}(\pi(\cdot|s)\|p(\cdot|s))$, in the loss (k3 times the importance ratio; Dr. GRPO as trained here, groups infinite): at $\pi(a|s)\propto p(a|s)e^{Q/\beta}$ with $V=\sum_a\pi Q$;
# 3. with k3 of the sampled token in the loss: at $\pi(a|s)=\beta p(a|s)/(\beta+V-Q(s,a))$ with $V=\sum_a\pi Q$;
# 4. with k3, rewards standardised by the policy's own mean and deviation on the prompt, and the mean over a response's tokens (GRPO as published, groups infinite): at $\pi(a|s)=\beta M p/(c+\beta M-Q)$, where $Q$ and $M$ are the means of $A/t$ and $1/t$ over what follows, $A$ the standardised reward, $t$ the number of tokens, and $c(s)$ makes it sum to one.
# ```
#
# ```{prf:proof}
# The reward's part of the update of the logit of $a$ after $s$ is $P(s)\,\pi(a|s)(Q-\mathrm{mean}\,Q)$. (1) With the log-ratio in the reward the bracket holds $Q-\beta\log\pi/p$ instead, and vanishes where that is constant in $a$: from the longest prefixes up this is the stated law, and at $\pi_\lambda$ the score $r-\beta\log\pi_\lambda/p$ is the same for all responses. (2) The penalty adds
# $-\beta P(s)\,\pi(a|s)(\ell-\bar\ell)$ with $\ell=\log\pi/p$ of this token only. (3) The gradient of $e^{-\ell}-1+\ell$ at a sampled token is $(1-e^{-\ell})\nabla\log\pi$, with mean $\pi(a|s)-p(a|s)$ on the logit: that of the {term}`reverse KL` $\mathrm{KL}(p\|\pi)$. (4) The same with every response weighted by $1/t$. Setting the sums to zero gives the laws, longest prefixes first.
# ```
#
# That the formulas are the gradients of the losses as trainers write them is tested by automatic differentiation, summed over all responses. For responses of one token, a policy that follows (4) is a tilt by $1/(c-r)$, not by $e^{\lambda r}$; for longer
# ones $c$ depends on the tokens so far, and it is no function of the reward. Its effective $\lambda$ differs from prompt to prompt with the deviation of the reward.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL in nats beyond the least that buys the same gain, on {{n_test:d}} test prompts: exact fixed points of GRPO's objectives (lines), policies trained by them for {{long:d}} steps at three penalties (markers), and best-of-N. RLOO's and PPO's fixed points waste nothing.", "name": "fig-fixed-points"}, "image": {"alt": "Two panels of wasted KL against KL: curves of exact fixed points and of best-of-N, markers of trained policies."}}
shortfall.fixed_point_figure(tests, points)
# %% [markdown]
# The lines are computed, not trained: no tuning, no sampling, no network. They are for infinite groups. The mean of a group of $G$ holds the response itself, which leaves $1-1/G$ of the reward's part: in (2) to (4) read $\beta G/(G-1)$ for $\beta$. {{effective}} (between the penalties computed: interpolated). That moves a policy along such a line, not off it; in (4) the deviation of a finite group, which moves too, is not counted. They are no lower bound, for an early stop or shared weights can end nearer the optimum.
#
# ## Claims

# %% tags=["hide-input"]
shortfall.glue(results, table, tests, sizes, points)
claims.record(*shortfall.claims_of(results, table, tests, trains, points))

# %% [markdown]
# **Try:** `alignlib run why_below -p resamples 4000 -o out.ipynb --html` for smoother intervals.
