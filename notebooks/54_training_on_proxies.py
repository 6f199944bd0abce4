# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training on a proxy
#
# What happens to the gold reward of policies trained on a learned reward model, on prompts that neither has seen, and can one tell in advance?
#
# :::{admonition} Answer
# :class: answer
# As training moves a policy from its base, {{turns}}. At its peak gold has {{answer}}. {{n_samples:d}} base responses a prompt tell the KL of the peak within a factor of two for {{n_close:d}} of the {{n_turned:d}} whose gold turned.
# :::

# %% tags=["parameters"]
n_largest: int = 256  # largest N of best-of-N by the proxy, in [4, 4096]
n_samples: int = 64  # base responses of each prompt for the prediction, in [8, 4096]
n_draws: int = 20  # draws of these responses, in [2, 200]
seed: int = 0  # of those responses, >= 0

# %% tags=["hide-input"]
from _pages import proxy_training
from alignbook import claims
from alignlib.lm.experiment.results import Results

results = Results.read("lm_results")
curves = proxy_training.gold_curves(results, n_largest)
together = proxy_training.ensembles(results)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold gain against KL on {{n_test:d}} test prompts of each task. Lines: the optimum of each proxy as λ grows; thin dashes: best-of-N by the proxy up to {{n_largest:d}}; markers: policies trained on it by RLOO at {{n_penalties:d}} penalties, {{seeds}}; dotted: the limit on gold itself.", "name": "fig-proxy-gold"}, "image": {"alt": "Two panels of gold gain against KL for proxies trained on 300 to 20,000 pairs: curves rise, then fall, except with many pairs. Peaks of the optima in nats: {{peaks}}."}}
proxy_training.figure(results, curves)
# %% [markdown]
# One row a proxy. The KL in nats at which gold is largest: *told* in advance from samples (the median of {{n_draws:d}} draws), and *seen* among the policies trained at {{n_penalties:d}} penalties, averaged over seeds (*>*: gold is largest at the largest KL tried, so no peak was seen). *Gold*: the largest in training, in percent of the limit on gold at that KL.

# %% tags=["hide-input"]
proxy_training.numbers(results, curves, n_samples, n_draws, seed)
# %% [markdown]
# The reward models are Bradley–Terry networks; each learns from pairs of base responses to prompts that are not test prompts, labelled by noisy raters. Gold is known here, so all but the prediction is exact. {{each_seed}} {{apart}} A prediction from {{n_samples:d}} samples cannot exceed {{log_samples:.2f}} nats.
#
# :::{dropdown} Every proxy: predictions with their spread, the proxy's optimum, and gold of the policy trained furthest
#
# Predictions are medians and the middle 80 % of the draws; *over*: no peak was seen. The last column has the largest gold along the optimum / in training, in percent of the limit on gold at that KL.
#
# {{every_proxy}}
# :::
#
# **The policies in full.** {{in_full}}. Another network would give other numbers: {{alone}}.
#
# **Told in advance.** The prediction is {{ratio_low:.2f}} to {{ratio_high:.2f}} times the exact peak of the proxy's optimum (middle 80 % over proxies and draws of the samples). In training gold turned before the largest KL tried for {{n_turned:d}} of {{n_known:d}} proxies; the median prediction
# is within a factor of two of the KL of that peak for {{n_close:d}} of these {{n_turned:d}} ({{close_by_task}}; {{against_training}}).
#
# ## What it means
#
# Along a proxy's optimum gold changes with $\lambda$ at the rate $\mathrm{Cov}_{\hat\pi_\lambda}(r,\hat r)$, averaged over prompts: it rises while the two agree on what the optimum produces and falls where they do not ({doc}`40_price_of_a_proxy`).
# {{trained}} Falling short of the proxy's limit is not the same as being safe from its errors. {{what_helps}}
#
# ## Several networks instead of one
#
# The largest gold along the optimum of the mean of several networks, each trained on {{weak_pairs:d}} pairs of its own, beside that of the networks one by one: their average and the best of them (on 24 of the test prompts; no intervals). {{ensembles}}
# A mean of $K$ networks has seen $K$ times as many pairs.

# %% tags=["hide-input"]
proxy_training.members_table(together)
# %% [markdown]
# ## Claims

# %% tags=["hide-input"]
proxy_training.glue(results, curves, together, n_samples, n_draws, seed)
claims.record(*proxy_training.claims_of(results, curves, together))

# %% [markdown]
# **Try:** `alignlib run training_on_proxies -p n_samples 8 -o out.ipynb --html`, with which the prediction comes too early: rare responses are missing from so few samples.
