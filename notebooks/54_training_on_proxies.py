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
# On {{task}}: {{answer}}. From {{n_samples:d}} base responses a prompt, before any training, the KL at which the gold of the proxy's own optimum peaks is predicted at {{predicted_least:.2f}} to {{predicted_most:.2f}} times the exact one; other draws of so few samples can be further off.
# :::

# %% tags=["parameters"]
task: str = "summarisation"  # which task, one of summarisation | safety
n_largest: int = 256  # largest N of best-of-N by the proxy, in [4, 4096]
n_samples: int = 64  # base responses of each prompt for the prediction, in [8, 4096]
seed: int = 0  # of those responses, >= 0

# %% tags=["hide-input"]
from _pages import proxy_training
from alignbook import claims
from alignlib.lm.experiment.results import Results

results = Results.read("lm_results")
curves = proxy_training.gold_curves(results, task, n_largest)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold gain against KL on {{n_test:d}} test prompts, {{task}}. Lines: the optimum of each proxy as λ grows; thin dashes: best-of-N by the proxy up to {{n_largest:d}}; markers: policies trained on it by RLOO, where the table has any; dotted: the limit on gold itself.", "name": "fig-proxy-gold"}, "image": {"alt": "Gold gain against KL for proxies trained on 300 to 20,000 pairs. Peaks of the optima in nats: {{peaks}}."}}
proxy_training.figure(results, task, curves)
# %% [markdown]
# The reward models are Bradley–Terry networks; each learns from pairs of base responses to prompts that are not test prompts, labelled by noisy raters. Gold is known here, so all but the prediction is exact. One row a proxy; *gold there* compares with
# the limit on gold at the same KL. Where policies were trained, the last columns are the one with the most gold and the one with the most KL.

# %% tags=["hide-input"]
proxy_training.numbers(results, task, curves, n_samples, seed)
# %% [markdown]
# ## What it means
#
# Along a proxy's optimum gold changes with $\lambda$ at the rate $\mathrm{Cov}_{\hat\pi_\lambda}(r,\hat r)$, averaged over prompts: it rises while the two agree on what the optimum produces and falls where they do not ({doc}`40_price_of_a_proxy`).
# {{trained}} Falling short of the proxy's limit is not the same as being safe from its errors.
#
# ## Claims

# %% tags=["hide-input"]
proxy_training.glue(results, task, curves, n_samples, seed)
claims.record(*proxy_training.claims_of(results, task, curves))

# %% [markdown]
# **Try:** `-p task safety`; `-p n_samples 8`, with which the prediction comes too early: rare responses are missing from so few samples.
