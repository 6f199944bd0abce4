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
# What happens to the gold reward of policies trained on a learned reward model, weak, strong or an average of weak ones?
#
# :::{admonition} Answer
# :class: answer
# {{answer}}
# :::
#
# The reward models are Bradley–Terry networks on pairs of base responses labelled by noisy raters: *weak* from 300 pairs, *strong* from 20,000, *ensemble* the mean of five weak ones, of which the weak one is the first.
# Gold is known here, so everything below is exact: the curve of the proxy's own optimum $\hat\pi_\lambda$ (theory: {doc}`40_price_of_a_proxy`), best-of-$N$ by the proxy, and policies trained on it with the sequence's log-ratio in the reward. The table holds {{complete:.0%}} of the planned runs.

# %% tags=["parameters"]
task: str = "summarisation"  # which task, one of summarisation | safety
n_largest: int = 256  # largest N of best-of-N by the proxy, in [4, 4096]

# %% tags=["hide-input"]
from _pages import proxy_training
from alignbook import claims
from alignlib.lm.experiment.results import Results

results = Results.read("lm_results")
curves = proxy_training.gold_curves(results, task, n_largest)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold gain against KL, {{task}}. Lines: the optimum of each proxy as λ grows; thin dashes: best-of-N by the proxy up to {{n_largest:d}}; markers: policies trained on it, averaged over seeds ({{seeds}}); dotted: the limit on gold itself.", "name": "fig-proxy-gold"}, "image": {"alt": "Gold gain against KL for three proxies. Peaks of the optima: {{peaks}}. Markers show trained policies."}}
proxy_training.figure(results, task, curves)
# %% [markdown]
# ## What it means
#
# Along a proxy's optimum gold changes with $\lambda$ at the rate $\mathrm{Cov}_{\hat\pi_\lambda}(r,\hat r)$, averaged over prompts: it rises while the two agree on what the optimum produces and falls where they do not. Its largest value is at {{peaks}}. A trained policy is judged twice, on its proxy and in gold: {{trained}}.
# Falling short of the proxy's limit is not the same as being safe from its errors.
#
# ## Claims

# %% tags=["hide-input"]
proxy_training.glue(results, curves)
claims.record(*proxy_training.claims_of(curves))

# %% [markdown]
# **Try:** `-p task safety`.
