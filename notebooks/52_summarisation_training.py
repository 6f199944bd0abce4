# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Summarisation: training against the limit
#
# On the summarisation task, which methods come as close to the limit as best-of-$N$, and after how much training?
#
# :::{admonition} Answer
# :class: answer
# {{standing}}Compared with best-of-$N$ at equal KL (shares of the achievable gain in brackets), after {{short_steps:d}} steps at a constant rate: below it {{short_below}}; above it {{short_above}}; undecided {{short_level}}. After {{long_steps:d}} annealed steps: below it {{long_below}}; above it {{long_above}}; undecided {{long_level}}. Best-of-$N$ itself has {{bon_least:.1%}} to {{bon_most:.1%}} of the limit's gain for $N=2$ to $64$.
# :::
#
# Nothing here is estimated: base model, limit, best-of-$N$ and every trained policy are summed over all {{n_responses:d}} responses to each of {{n_prompts:d}} prompts. What varies is the seed of training: {{seeds_sentence}}. The table holds {{complete:.0%}} of the planned runs.
#
# ## Two measures, because each flatters somewhere
#
# The *share* of the achievable gain at a policy's KL, and its *wasted KL*, which by {prf:ref}`thm-wasted-safety` is its distance to the nearest
# optimum.

# %% tags=["parameters"]
split: str = "train"  # prompts on which policies are judged, one of train | held_out
n_largest: int = 64  # largest N of best-of-N shown, in [4, 1024]

# %% tags=["hide-input"]
from pathlib import Path

from alignlib import claims
from alignlib.lm.experiment import chapter
from alignlib.lm.experiment.comparison import TaskComparison
from alignlib.lm.experiment.results import Results

SOURCES = (
    "lm_results/curves.csv",
    "lm_results/prompts.csv",
    "lm_results/settings.json",
    "lm_results/law_summarisation_gold_train.csv",
    "lm_results/law_summarisation_gold_held_out.csv",
)
results = Results.read(Path(SOURCES[0]).parent)
task = TaskComparison(results, "summarisation", split)
long, short = task.verdicts("main"), task.verdicts("short")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Summarisation, {{split}} prompts: gain over the base against KL. Line: the limit for an average budget; crosses: best-of-N up to {{n_largest:d}}; markers: policies after {{long_steps:d}} annealed steps at five penalties, averaged over seeds.", "name": "fig-summarisation-gain"}, "image": {"alt": "A concave frontier of gain against KL. Best-of-N and all trained policies lie below it; after long training shares range from {{worst_long:.2f}} to {{best_long:.2f}} on average."}}
chapter.gain_figure(task, "main", n_largest)
# %% [markdown]
# {numref}`fig-summarisation-gain` is drawn as such figures usually are, and one can hardly see who is where. The same policies by the two measures:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Summarisation, {{split}} prompts: KL in nats beyond the least that buys the same gain, against KL. Filled: {{long_steps:d}} annealed steps; hollow: {{short_steps:d}} steps at a constant rate; black: best-of-N. Lower is better.", "name": "fig-summarisation-wasted"}, "image": {"alt": "Wasted KL against KL for each method after short and long training, and for best-of-N, which wastes up to {{bon_wasted:.2f}} nats."}}
chapter.wasted_figure(task, n_largest)
# %% tags=["hide-input"] mystnb={"figure": {"caption": "Summarisation, {{split}} prompts: share of the achievable gain, less that of best-of-N at the same KL, averaged over the penalties; intervals over seeds. Right of the line: better than best-of-N.", "name": "fig-summarisation-verdicts"}, "image": {"alt": "One row for each method with a hollow marker for short and a filled one for long training, against a vertical line at zero."}}
chapter.verdict_figure(long, short)
# %% [markdown]
# The same in numbers, averaged over the five penalties; the last column is the distance to the optimum of the method's own $\beta$, which enumeration and the closeness identity give alike. (GRPO divides rewards by their deviation in each group, so that the optimum at $1/\beta$ is not what it aims at; rejection sampling has no $\beta$.)

# %% tags=["hide-input"]
chapter.numbers(long, short)
# %% [markdown]
# ## What it means
#
# P26 finds best-of-$N$ almost on the frontier and PPO and GRPO clearly below it at every budget. Here, after {{short_steps:d}} steps, {{headline_short}}; after {{long_steps:d}} annealed ones, {{headline_long}}. So the headline holds here
# {{headline_holds}}. Best-of-$N$ itself wastes up to {{bon_wasted:.2f}} nats, most at $N={{bon_worst_n:d}}$. What the objective and what training has to do with it: {doc}`53_why_below`.
#
# **How hard each was tried.** Every method got the same number of responses per step ({{batch:d}}), the same optimiser and the same tuning: {{n_rates:d}} learning rates ({{rates}}), half the long budget, middle penalty,
# on this task, one seed that is not used again; no other setting was tuned at all. The chosen rates: {{chosen_rates}}. Best of those tried: {{best_rates}}.
#
# **Controls.** What a network of this size and this optimiser can represent at all, given samples of the optimum or the exact gradient of the objective, as a share of the limit's gain: {{controls}}. A method below them loses it by itself.
#
# **On prompts never trained on** ({{n_held_out:d}} of them) the same policies have these shares of the achievable gain: {{held_out_shares}}. Training sees {{n_prompts:d}} prompts over and over; what it learns of them is not all about the task.
#
# ## Claims

# %% tags=["hide-input"]
chapter.glue(results, "summarisation", split, long, short, task, n_largest)
best_rates = task.best_rates()
claims.glue(best_rates=", ".join(f"{method} {rate:g}" for method, rate in best_rates.items()))
claims.record(*chapter.claims_of(results, task, long, short), *chapter.tuning_claims(results, best_rates))

# %% [markdown]
# **Try:** `-p split held_out`: the limit is then that of prompts the policies have never seen.
