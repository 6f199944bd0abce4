# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # {{Task}}: training against the limit
#
# On the {{task}} task, which methods come as close to the limit as best-of-$N$, and after how much training?
#
# :::{admonition} Answer
# :class: answer
# {{standing}}Against best-of-$N$ at equal KL, penalty by penalty, after {{short_steps:d}} steps at a constant rate: {{short_sides}}. After {{long_steps:d}} annealed steps: {{long_sides}}. Best-of-$N$ itself has {{bon_least:.1%}} to {{bon_most:.1%}} of the limit's gain for $N=2$ to ${{n_largest:d}}$.
# :::
#
# Nothing here is estimated: base model, limit, best-of-$N$ and every trained policy are summed over all {{n_responses:d}} responses to each of {{n_prompts:d}} prompts. What varies is the seed of training: {{seeds_sentence}}. The table holds {{complete:.0%}} of the planned runs.
#
# ## Two measures, because each flatters somewhere

# %% [markdown] tags=["only-51_safety_training"]
# ```{prf:theorem} Wasted KL is the distance to the nearest optimum
# :label: thm-wasted-safety
#
# Let $\varphi$ spend $\Delta$ nats of KL and gain $g$, and let $G$ be the frontier of an average budget. Then
# $\Delta-G^{-1}(g)=\min_{0\le\lambda\le\infty} \mathrm{KL}(\varphi\|\pi_\lambda)$, all of them averages over prompts; a gain below zero needs no KL (we derive, from the closeness identity of Y24).
# ```
#
# ```{prf:proof}
# $\mathrm{KL}(\varphi\|\pi_\lambda)=\Delta-[\lambda g-\Lambda_0(\lambda)]$ with $\Lambda_0=\Lambda-\lambda R(0)$. Its minimum over $\lambda\ge 0$ is $\Delta$ minus the Legendre
# transform of $\Lambda_0$ at $g$, which is the least KL that buys $g$.
# ```
#
# The *share* $g/G(\Delta)$ hides waste where the frontier is flat (a policy that has the largest gain has share one at any price); the *wasted KL*
# hides lost gain where it is steep.

# %% [markdown] tags=["only-52_summarisation_training"]
# The *share* of the achievable gain at a policy's KL, and its *wasted KL*, which by {prf:ref}`thm-wasted-safety` is its distance to the nearest
# optimum.

# %% tags=["parameters"]
task: str = "safety"  # the task, one of safety | summarisation
split: str = "train"  # prompts on which policies are judged, one of train | held_out
n_largest: int = 64  # largest N of best-of-N shown, in [4, 1024]

# %% tags=["hide-input"]
from _pages import chapter
from alignbook import claims
from alignlib.lm.experiment.comparison import TaskComparison
from alignlib.lm.experiment.results import Results
from alignlib.lm.methods import find

results = Results.read("lm_results")
compared = TaskComparison(results, task, split)
long, short = compared.verdicts("main"), compared.verdicts("short")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "{{Task}}, {{split}} prompts: gain over the base against KL. Line: the limit for an average budget; crosses: best-of-N up to {{n_largest:d}}; markers: policies after {{long_steps:d}} annealed steps at each penalty, averaged over seeds.", "name": "fig-{{task}}-gain"}, "image": {"alt": "A concave frontier of gain against KL. Best-of-N and all trained policies lie below it; after long training shares range from {{worst_long:.2f}} to {{best_long:.2f}} on average."}}
chapter.gain_figure(compared, "main", n_largest)
# %% [markdown]
# {numref}`fig-{{task}}-gain` is drawn as such figures usually are, and one can hardly see who is where. The same policies by the two measures:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "{{Task}}, {{split}} prompts: KL in nats beyond the least that buys the same gain, against KL. Filled: {{long_steps:d}} annealed steps; hollow: {{short_steps:d}} steps at a constant rate; black: best-of-N. Lower is better.", "name": "fig-{{task}}-wasted"}, "image": {"alt": "Wasted KL against KL for each method after short and long training, and for best-of-N, which wastes up to {{bon_wasted:.2f}} nats."}}
chapter.wasted_figure(compared, n_largest)
# %% tags=["hide-input"] mystnb={"figure": {"caption": "{{Task}}, {{split}} prompts: share of the achievable gain, less that of best-of-N at the same KL (N real between whole numbers), in percentage points, with seeds' intervals. Filled: {{long_steps:d}} annealed steps; hollow: {{short_steps:d}} steps at a constant rate. Above the line: better than best-of-N; past {{max_kl:.1f}} nats nothing can be.", "name": "fig-{{task}}-over"}, "image": {"alt": "Share less best-of-N's against KL for PPO, GRPO and RLOO. Short: {{short_sides}}. Long: {{long_sides}}."}}
chapter.over_figure(compared)
# %% [markdown]
# All methods in numbers, averaged over their penalties (shares at unlike KLs: compare a method with best-of-$N$, not with its neighbour): wasted KL, the same less best-of-$N$'s at equal KL, and at how many penalties the method is above and below best-of-$N$ beyond its seeds' interval. The last column is the distance to the optimum of the method's own $\beta$, which enumeration and the closeness identity give alike. (GRPO divides rewards by their deviation in each group, so that the optimum at $1/\beta$ is not what it aims at; rejection sampling has no $\beta$.)

# %% tags=["hide-input"]
chapter.numbers(long, short)
# %% [markdown]
# ## What it means
#
# P26 finds best-of-$N$ almost on the frontier and PPO and GRPO clearly below it at every budget. Here being below it at every penalty is true of {{headline_holds}}. That best-of-$N$ is itself almost on the frontier is a separate claim:
# it wastes up to {{bon_wasted:.2f}} nats, most at $N={{bon_worst_n:d}}$. What the split of the budget, the objective and training have to do with it: {doc}`53_why_below`.
#
# RLOO (REINFORCE with the other responses' mean as baseline) has the sequence's log-ratio in its reward, PPO the same charged token by token; GRPO has a token penalty in its loss and divides rewards by their deviation in each group.

# %% [markdown] tags=["only-51_safety_training"]
# **How hard each was tried.** Every method got the same number of responses per step ({{batch:d}}), the same optimiser and the same tuning: {{n_rates:d}} learning rates ({{rates}}), half the long budget, middle penalty,
# on summarisation, one seed that is not used again. Nothing was tuned on this task, and no other setting was tuned at all. The chosen rates: {{chosen_rates}}.

# %% [markdown] tags=["only-52_summarisation_training"]
# **How hard each was tried.** Every method got the same number of responses per step ({{batch:d}}), the same optimiser and the same tuning: {{n_rates:d}} learning rates ({{rates}}), half the long budget, middle penalty,
# on this task, one seed that is not used again; no other setting was tuned at all. The chosen rates: {{chosen_rates}}. Best of those tried, by the regularised objective (rejection sampling: by share less that of best-of-$N$ at equal KL): {{best_rates}}. By that share instead, which suits GRPO better, the rates given would miss: {{share_missed}}.

# %% [markdown]
# Equal responses are not equal information: DPO sees one noisy preference for each pair of base responses, the others exact rewards. PPO takes {{ppo_updates:d}} updates on each batch. Rejection sampling goes {{rejection_rounds}} rounds in short and in long training ($R$ rounds are best-of-$k^R$ with perfect fits). Short training
# also goes without annealing, at a rate tuned for longer runs: it shows what a hasty run costs, not the best that {{short_steps:d}} steps allow.
#
# **Controls.** A lower bound on what a network of this size can represent, as a share of the limit's gain: {{controls}}. The first learns from {{control_responses:d}} samples of the optimum (the methods compared see {{long_responses:d}} of their own), the second sums over all responses. What a method lacks of that is not the network's size; it may still be its smaller budget.
#
# **On prompts never trained on** ({{n_held_out:d}} of them) the same policies have these shares of the achievable gain: {{held_out_shares}}. Training sees {{n_trained:d}} prompts over and over; what it learns of them is not all about the task.
#
# ## Claims

# %% tags=["hide-input", "only-52_summarisation_training"]
missed = compared.share_missed(results.settings["learning_rates"])
claims.glue(
    best_rates=", ".join(f"{find(method).label} {rate:g}" for method, rate in compared.best_rates().items()),
    share_missed=", ".join(f"{find(method).label} {100 * value:.1f} points" for method, value in missed.items()),
)

# %% tags=["hide-input"]
chapter.glue(results, task, split, long, short, compared, n_largest)
claims.record(
    *chapter.claims_of(results, compared, long, short), *chapter.tuning_claims(results, compared.best_rates())
)

# %% [markdown]
# **Try:** `-p split held_out`: the limit is then that of prompts the policies have never seen.
