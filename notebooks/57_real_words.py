# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The limit on a model that cannot be enumerated
#
# Every response of the language models of the last chapters can be listed. Does what they showed hold for a model that writes English, whose responses nobody can list?
#
# :::{admonition} Answer
# :class: answer
# {{standing}}On {{n_prompts:d}} beginnings of verses that nobody trained on, paid by sentiment, {{headline}}. Paid by civility, a toxicity classifier, {{civil_headline}}. That they lie below best-of-$N$ {{verdict}}, after {{steps:d}} steps with only the rate tuned.
# :::

# %% tags=["parameters"]
n_boot: int = 400  # bootstrap replicates of each interval, in [100, 10000]

# %% tags=["hide-input"]
from _pages import real_words
from alignbook import claims
from alignlib.lm.experiment.results import Results
from alignlib.lm.words.results import WordsResults

results = WordsResults.read("words_results")
page, civil = (real_words.Page(results, reward, n_boot) for reward in ("sentiment", "civility"))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gain in sentiment and in civility against KL. Line and band: the limit on {{n_prompts:d}} held-out prompts, estimated from {{n_samples:d}} samples of the base to each, with its 95% interval; dashes: best-of-N. Filled: each method after {{steps:d}} steps at its middle penalty, {{seeds}}, with 95% intervals over prompts and seeds. Hollow: {{n_shown:d}} of the {{n_trials:d}} trials of tuning at {{n_rates:d}} rates, on {{n_trial_prompts:d}} other prompts; the others spend more KL than the samples support.", "name": "fig-real-words"}, "image": {"alt": "Two panels of gain against KL: the limit, best-of-N a little below it, and points of trained policies. {{spoken}}."}}
real_words.figure(page, civil)
# %% [markdown]
# P26, whom we know by abstract and descriptions, find best-of-$N$ nearly on the limit and PPO and GRPO clearly below it. With {{near:.0%}} of the limit as the border, {{under_the_limit}}. Every method at its middle penalty, on the held-out prompts, {{seeds}}. *KL* in nats; *share*: gain over the base in percent of the limit at that KL; *best-of-N*: the same for best-of-$N$ at that KL; *points*: the difference of the two, paired on the same prompts, with its 95 % interval.

# %% tags=["hide-input"]
real_words.numbers((page, civil), page.core)

# %% [markdown]
# Nothing but the rate was tuned, and training is short: this is what a method reaches with {{steps:d}} steps of {{responses_a_step:d}} responses, {{seconds}} seconds of one processor core, not what it can reach. The {{n_runs:d}} runs that a processor trained took {{training_minutes:.0f}} minutes of its time; what all of it takes: {doc}`../rerun`.
#
# ## How far the enumerable worlds predicted it
#
# First best-of-$N$, which needs no training: its share of the limit here, and in the two worlds of {doc}`51_safety_training` and {doc}`52_summarisation_training` at the same KL.

# %% tags=["hide-input"]
world = Results.read("lm_results")
foreseen = real_words.best_foreseen(page, world)
real_words.best_numbers(foreseen)

# %% [markdown]
# Then the methods, by the same code at the same penalties, here and in the two worlds after as many steps or fewer: difference to best-of-$N$ at equal KL (of each method's own), in points of the limit, on prompts nobody trained on. {{settings_said}}

# %% tags=["hide-input"]
compared, predicted, gaps = real_words.prediction(page, world, n_boot)
compared

# %% [markdown]
# {{predicted}} Sizes are not the same either: this model is larger, and its responses are up to {{response_tokens:d}} tokens of {{vocabulary:,d}}. Which of these differences makes trained policies stand here where they do was not tested; nor whether longer
# training, or tuning of more than the rate, changes it: `make lm-words STAGE=wide` trains longer.
#
# ## How it was measured
#
# **The text** is the King James Bible as Debian packages it (`bible-kjv`): {{verses:,d}} verses, in the public domain but for the Crown's patent on printing it in the United Kingdom. Whole chapters were set apart, {{test_chapters:.0%}} for the verdict, {{validation_chapters:.0%}} for tuning; nothing of the text is part of
# this project. **The base model** is a GPT-2 of {{layers:d}} layers of width {{width:d}}, {{weights:,d}} weights in all, with a byte-pair vocabulary of {{vocabulary:,d}}, pretrained on the other chapters. **Prompts** are the first {{prompt_tokens:d}} tokens of verses; a held-out one begins no verse to learn from. Training draws from {{training_prompts:,d}} others.
#
# **Rewards** are what people use and install by name. *Sentiment* is the compound score of VADER, a lexicon, times {{unit:g}}, on the response alone, each word counted once; its standard deviation is {{spread:.2f}}, and {{zero:.0%}} of the base's responses have exactly 0, so that best-of-2 spends less than its formula says. *Civility* is the
# log-odds, by the classifier that alt-profanity-check ships, that a text is not offensive; {{civil}} {{second}}
#
# **Training** uses the classes of {doc}`51_safety_training`, which ask only for prompts and a reward: {{responses_a_step:d}} responses a step. On each reward each method was tried for as many steps with the same {{n_rates:d}} rates on {{n_trial_prompts:d}} validation prompts, with a seed that is not used again, and judged by reward less KL. {{edges}}
# Each trial at the rate that was taken, where sampling alone moves a gain by about {{trial_error:.2f}} (sentiment) and {{civil_error:.2f}} (civility):

# %% tags=["hide-input"]
real_words.trial_numbers((page, civil))

# %% [markdown]
# Trials are chosen and judged on the same prompts, with one seed. Their difference to best-of-$N$ less that of the runs above, in points: {{flattered}}. {{machines}}
#
# **Measuring** goes through the commands that a reader has, for the base and for each policy but those of the trials; a policy is measured by {{kept:d}} responses to each prompt:
#
# ```console
# $ alignlib sample --model BASE --prompts held_out.jsonl --n {{n_samples:d}} \
#     --max-new-tokens {{response_tokens:d}} -o base.parquet
# $ alignlib sample --model POLICY --base BASE --prompts held_out.jsonl \
#     --n {{kept:d}} --max-new-tokens {{response_tokens:d}} -o policy.parquet
# $ alignlib score base.parquet \
#     --scorer alignlib.lm.words.rewards:sentiment
# $ alignlib frontier base.parquet --reward reward_sentiment
# $ alignlib kl policy.parquet
# $ alignlib overlay runs.csv base.parquet --reward reward_sentiment \
#     --run-kl kl --run-reward sentiment --run run --kl-unit sequence
# ```
#
# The KL is the mean over responses of the summed exact divergences of the next-token laws ({doc}`56_measuring_kl`); in the trials it is the mean log-ratio. The base's samples support the limit up to {{end:.2f}} nats; best-of-$N$ has {{best_shares}} of it. Intervals draw prompts and seeds anew, limit and best-of-$N$ with them; how few samples a prompt
# has is part of how prompts differ.
#
# ## When the reward is a learned model
#
# A reward model, the base's body with a scalar head, learned from {{labelled_pairs:,d}} pairs of base responses, labelled by raters who follow sentiment with noise. On the base's responses it correlates with gold at {{proxy_r:.2f}}. What picking by it would do to gold can be told before anything is trained:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Best-of-N by the reward model, up to {{most_draws:d}} draws: what the model says is gained, and gold with its 95% interval, against KL; both from the base's samples alone. Markers: policies trained on the model.", "name": "fig-real-words-proxy"}, "image": {"alt": "Gain against KL: the reward model's own account rises steadily, gold rises less and less. {{proxy_said}}"}}
real_words.proxy_figure(page)

# %% tags=["hide-input"]
real_words.proxy_numbers(page)

# %% [markdown]
# {{proxy_said}} {{on_proxy}}
#
# What base samples cannot show: VADER as it comes counts a word each time it is said. On the base's samples that score and the one used here correlate at {{repeats:.4f}}, so the table cannot tell them apart, yet a policy trained hard on the former could repeat one warm word for ever. A failure that the base never commits is in no table of its samples.
#
# ## Claims

# %% tags=["hide-input"]
real_words.glue(page, civil, predicted, foreseen, world)
claims.record(*real_words.claims_of(page, civil, gaps, foreseen))

# %% [markdown]
# **Try:** `alignlib run real_words -p n_boot 2000 -o out.ipynb --html` for smoother intervals. `make lm-words` trains all of it anew; `words_results/runs.csv` has every run, `words_results/tuning.csv` every trial.
