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
# On {{task}} prompts that no method was trained on, do trained policies come as close to the limit as best-of-$N$?
#
# :::{admonition} Answer
# :class: answer
# {{standing}}On {{n_test:d}} prompts nobody trained on, after {{long_steps:,d}} steps at the middle of three penalties, {{headline}}.
# That they lie below best-of-$N$ {{verdict}}.
# :::

# %% tags=["parameters"]
task: str = "safety"  # the task, one of safety | summarisation
resamples: int = 400  # bootstrap samples of each interval, in [40, 10000]

# %% tags=["hide-input"]
from _pages import chapter, training_costs
from alignbook import claims
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.standings import Standings

results = Results.read("lm_results")
test = Standings(results, task, "test", resamples)
train = Standings(results, task, "train", resamples)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "{{Task}}, {{n_test:d}} test prompts: share of the achievable gain, less that of best-of-N at the same KL, in percentage points, after training of different lengths ({{whole_lengths}}); each method at its middle penalty, {{n_seeds:d}} seeds, 95% intervals over prompts and seeds. Above the line: better than best-of-N.", "name": "fig-{{task}}-difference"}, "image": {"alt": "Difference to best-of-N against steps of training, one line for each method. After {{short_steps:d}} steps: {{early}} points."}}
chapter.difference_figure(test)
# %% [markdown]
# P26, whom we know by abstract and descriptions, find best-of-$N$ nearly on the limit and PPO and GRPO clearly below it. With {{near:.0%}} of the limit as the border, {{under_the_limit}}. Whether the two lie below best-of-$N$ is another question. GRPO is the published form.
#
# Every method after {{long_steps:,d}} steps at its middle penalty (the two that imitate best-of-$N$: at their middle number of draws), {{n_seeds:d}} seeds. *KL* in nats; *share*: gain over the base in percent of the limit at that KL; *best-of-N*: the same for best-of-$N$ at that KL; *points*: the difference on the same prompts, with its 95 % interval.

# %% tags=["hide-input"]
chapter.numbers(test, chapter.full_length(test))
# %% [markdown]
# In reward and in nats of *wasted KL* ({prf:ref}`thm-wasted-safety`) the method less best-of-$N$ is on the same side of zero, or level, as in share {{alike}}.
#
# :::{dropdown} Every penalty: the differences in share, reward and wasted KL, each with its interval
#
# The last column is on {{n_train:d}} other prompts that training may draw. Of wasted KL less is better.
#
# {{every_setting}}
# :::
#
# On the {{n_train:d}} prompts open to training the differences are {{train_headline}} points; that they lie below best-of-$N$ {{train_verdict}}. Of these prompts the runs drew, one run to another: {{met}}; so this is another sample of prompts and no clean contrast of seen with unseen, which {doc}`53_why_below` has. On test prompts after only {{short_steps:d}} steps, that they lie below best-of-$N$ {{early_verdict}}. {{late}}What explains the differences: {doc}`53_why_below`.
#
# ## How it was measured
#
# Nothing here is estimated but for the choice of prompts and seeds: base model, limit, best-of-$N$ and every trained policy are summed over all {{n_responses:,d}} responses to each prompt ({doc}`50_world`). Best-of-$N$ itself, on the test
# prompts, has {{best_shares}} of the limit at its own KL.
#
# **Prompts.** Every step draws anew, with replacement, from all {{n_distinct:,d}} there are but those set apart. The test prompts were in neither training, nor tuning, nor the pretraining of the base; but other words can pay alike:
# for {{twins}} of the {{n_test:d}} test prompts a run of RLOO met a prompt with the same reward of every response ({doc}`53_why_below` takes these apart). What happens with 24 prompts seen over and over: {doc}`53_why_below`.
#
# **Methods.** GRPO as published (advantages divided by the group's deviation, k3 in the loss), as trl has it now, and Dr. GRPO; RLOO; PPO with a critic; DPO on fresh pairs labelled with noise; best-of-$N$ distilled (maximum
# likelihood on the base's best of $N$); rejection sampling in two rounds. Each draws {{batch:d}} responses a step. They are trained side by side by loops of our own, because a hundred small models at once cost little more than
# one; their losses and gradients agree with those of trl and TorchRL on the same batch, which the tests check.
#
# **Runs.** {{trained}} (for the two that imitate best-of-$N$, numbers of draws stand in the place of penalties); {{n_seeds:d}} seeds of each setting, trained on {{machines}}; how far runs on a processor agree and what they take: {doc}`../rerun`.
#
# **Tuning.** Every method got {{trials:d}} random settings of what it has (rate, schedule, group size, epochs, clipping, λ of advantage estimation), {{tuning_steps:d}} steps each, judged on 48 validation prompts by
# reward − {{price:g}} · KL (means over prompts), with a seed that is not used again. The middle penalty β = {{price:g}} asks for just that (where the mean of a group of $G$ is the baseline, as in GRPO and Dr. GRPO, the penalty is in effect $\beta G/(G-1)$); the settings found serve the other penalties too. Taken: {{tuned}}. The table of all trials lies beside that of the runs.
#
# **Intervals** are bootstraps over prompts and seeds; limit and best-of-$N$ are computed anew on each draw of prompts, so that differences are paired. None is corrected for being one of many.
#
# ## What it costs
#
# P26 count against best-of-$N$ that it draws $N$ responses for every query. In responses drawn, training included and tuning not (its {{tuning_responses:,d}} responses a method come on top, once), training breaks even as follows. {{costs}}.
#
# In tokens, training draws about as many as follow (the mean length of a response is interpolated between lengths of training), and best-of-$N$ draws $N$ times the {{base_length:.1f}} of a response of the base for a query. {{costs_in_tokens}}.
#
# What the same number of draws gives without training: gain on test prompts, with the KL in nats in brackets. Best-of-$N$ draws $N$ at once. Keeping the first response that is among a prompt's best $1/N$ draws $N$ on average;
# it must know where they begin. Rejection sampling of $\pi_\lambda$ draws until one is accepted; it must know the largest reward. Trained policies draw once: {{once}}.

# %% tags=["hide-input"]
training_costs.equal_draws_table(test)
# %% [markdown]
#
# **Controls** are told more than any method is, but learn from 240 prompts with one seed, so they are no ceiling for methods that see fresh prompts: {{controls}}.

# %% [markdown] tags=["only-51_safety_training"]
# ## Two measures, because each flatters somewhere
#
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
# hides lost gain where it is steep. At one KL, more share is less waste.

# %% [markdown]
# ## Claims

# %% tags=["hide-input"]
chapter.glue(results, task, test, train)
claims.record(*chapter.claims_of(results, task, test, train))

# %% [markdown]
# **Try:** `alignlib run {{task}}_training -p resamples 4000 -o out.ipynb --html` for smoother intervals. `make lm` trains all of it anew; `lm_results/runs.csv` has every run.
