# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The optimum of a memoryless model is memoryless
#
# A sequence has $m$ independent {term}`tokens <token>`, and its reward is the sum of rewards of its tokens. What is the best that a KL budget allows, and are the
# tokens of the optimum still independent?
#
# :::{admonition} Answer
# :class: answer
# They are: the optimum tilts every token by the same $\lambda$, at every length $m$, so its reward and its divergence are $m$ times those of one token. A budget of
# {{delta:g}} nats per token raises the reward per token from {{base:.3f}} to {{optimum:.3f}}. The same budget spent on half of the tokens
# gives {{uneven:.3f}}. Best-of-$N$ with $\log N=m\delta$ gives {{best:.3f}} at $m={{length:d}}$, less than the optimum, and its tokens are dependent.
# :::

# %% tags=["parameters"]
token_prob: list[float] = [0.5, 0.3, 0.2]  # law of a token; masses, summing to one, in [0, 1]
token_reward: list[float] = [0.0, 1.0, 2.0]  # reward of each token, as many as token_prob, any
delta: float = 0.3  # budget in nats per token, in (0, 20]
length: int = 30  # tokens per sequence m of the comparison with best-of-N, in [2, 3000]
seed: int = 0  # seed of the random policies, >= 0

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import need
from alignlib.sequences import MemorylessModel

token = MemorylessModel(token_prob, token_reward, 1).token
need(
    delta < token.max_kl,
    f"delta must be below {token.max_kl:.4g}, the largest useful budget of this token in nats; got {delta:g}.",
)

# %% tags=["hide-input"]
import itertools

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw, dual_gain, kl_to_optimum
from alignlib.sequences import MemorylessModel, total_correlation

# %% [markdown]
# ## The statement
#
# Write $\Lambda(\lambda)=\log\E_p e^{\lambda\rho}$ and $R(\delta)$ for the frontier of *one* token.
#
# ```{prf:theorem} The optimum factorises (Y24)
# :label: thm-memoryless-optimum
#
# For every length $m$, base law $\prod_t p(y_t)$ and reward $S=\sum_t\rho(y_t)$,
#
# $$\pi_\lambda(y)=\prod_{t=1}^m p(y_t)\,e^{\lambda\rho(y_t)-\Lambda(\lambda)}$$
#
# and
#
# $$\max\{\E_\phi S:\KL{\phi}{p}\le m\delta\}=m\,R(\delta).$$
# ```
#
# ```{prf:proof}
# $e^{\lambda S}$ is a product, so the tilt is one. Directly: a policy $\phi$ with token marginals $\phi_t$ has
# $\sum_t\KL{\phi_t}{p}\le\KL{\phi}{p}$, since the base is a product; so its reward is at most $\sum_tR(\delta_t)$ with
# $\sum_t\delta_t\le m\delta$, at most $mR(\delta)$ by concavity.
# ```
#
# Because the frontier is concave, spending unevenly loses reward; because of the inequality, dependence between tokens costs divergence and
# gains nothing.
#
# ```{prf:theorem} Closeness of comparable methods (Csiszar1975; Y24)
# :label: thm-closeness-sequences
#
# Let $\lambda$ spend $\delta$ nats on one token. For every policy $\phi$ of sequences,
#
# $$
# \begin{aligned}\KL{\phi}{\pi_\lambda}={}&\KL{\phi}{p}-m\delta\\&+\lambda\,\bigl(mR(\delta)-\E_\phi S\bigr).\end{aligned}
# $$
#
# A policy that overspends by at most $\varepsilon$ nats and misses at most $\eta$ of the optimal reward is within $\varepsilon+\lambda\eta$ nats of the
# optimum.
# ```
#
# Both theorems are exact at every length. What this part says of *best-of-$N$* per token holds in the limit of long sequences only, and
# [](23_best_of_exponentially_many.ipynb) says how fast it is approached.
#
# ## The frontier per token

# %%
model = MemorylessModel(token_prob, token_reward, length)
token = model.token
lam = token.lam_at_kl(delta)
edge = model.token.frontier()
half = token.base_reward + (np.asarray(token.gain(token.lam_at_kl(np.minimum(2 * edge.spent, token.max_kl)))) / 2)
law = model.sum_law()
spent = np.linspace(0.02, 0.9, 12) * token.max_kl
best = [model.best_of_n(float(d)) for d in spent]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Reward against KL, both per token. The limit is the same at every length; tilting only every second token, twice as hard, lies below it, and so does best-of-$e^{m\\delta}$ at $m={{length:d}}$. Crosses: the tilt of the exact law of whole sequences.", "name": "fig-per-token"}, "image": {"alt": "A concave frontier per token with crosses on it; below it a dashed curve for uneven spending and points for best-of-N close under the frontier."}}
fig, ax = plotting.new()
plotting.curve(ax, edge.spent, edge.reward, "the limit", at=0.5 * token.max_kl, offset=(-8, 4), ha="right")
ax.plot(edge.spent, half, "--", color=plotting.THIRD, label="half of the tokens")
plotting.points(
    ax,
    [b.kl_to_base / length for b in best],
    [(b.base_reward + b.gain) / length for b in best],
    markersize=4,
    label=f"best-of-N, m = {length}",
)
whole = [law.tilted(float(v)) for v in token.lam_at_kl(spent[::3])]
plotting.points(
    ax,
    [t.kl_to(law) / length for t in whole],
    [t.base_reward / length for t in whole],
    color=plotting.BASE,
    marker="x",
    label="tilted sequences",
)
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, "KL to the base model (nats per token)", "reward per token")
# %% [markdown]
# ## How dependent best-of-N makes the tokens
#
# The *total correlation* $\KL{\pi_N}{\prod_t\pi_{N,t}}$ is the divergence of a law of sequences from the product of its token laws: zero if and only if
# the tokens are independent, as they are under the optimum.

# %%
sizes = np.unique(np.geomspace(2, max(length, 300), 14).astype(int))
chain = [total_correlation(MemorylessModel(token_prob, token_reward, int(m)), m * delta) for m in sizes]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Total correlation of the tokens under best-of-$e^{m\\delta}$, $\\delta={{delta:g}}$, in nats for the whole sequence: it {{growth}} (fitted slope against $\\log m$: {{slope:.2f}} on the longest third), so per token it vanishes.", "name": "fig-total-correlation"}, "image": {"alt": "Total correlation against length on a logarithmic axis: it rises and becomes a straight line beside a dashed guide of slope one half."}}
fig, ax = plotting.new()
ax.plot(sizes, chain, "o-", color=plotting.BEST_OF_N, markersize=4, label="best-of-N")
guide = sizes[sizes >= 20]
ax.plot(
    guide,
    chain[-1] + 0.5 * np.log(guide / sizes[-1]) - 0.15,
    "--",
    color=plotting.BOUND,
    linewidth=1.2,
    label="slope ½",
)
ax.axhline(0.0, color=plotting.LIMIT, label="the optimum")
ax.set_xscale("log")
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "length m", "total correlation (nats)")
# %% [markdown]
# ## What it means
#
# Best-of-$N$ selects a sequence by its *sum*. Given the sum, the tokens follow the base model, so a token with a small reward makes larger rewards of the
# others likely. The optimum fixes the mean of the sum only, and lets the sum vary. In statistical physics the two are the microcanonical and the canonical
# ensemble. The difference is about half the logarithm of the length, in nats for the whole sequence.
#
# ## Claims

# %% tags=["hide-input"]
small = 4
draws = np.array(list(itertools.product(range(len(token_prob)), repeat=small)))
rewards, masses = np.array(token_reward)[draws].sum(axis=1), np.array(token_prob)[draws].prod(axis=1)
sequences = FiniteLaw(rewards[masses > 0], masses[masses > 0])
tilt = sequences.log_policy(lam)
product = token.log_policy(lam)[draws[masses > 0]].sum(axis=1)
rng = np.random.default_rng(seed)
policies = sequences.prob * rng.gamma(0.5, size=(200, sequences.prob.size))
policies /= policies.sum(axis=1, keepdims=True)
with np.errstate(divide="ignore", invalid="ignore"):
    kl_base = np.where(policies > 0, policies * np.log(policies / sequences.prob), 0.0).sum(axis=1)
    kl_opt = np.where(policies > 0, policies * (np.log(policies) - tilt), 0.0).sum(axis=1)
gains = policies @ sequences.reward - sequences.base_reward
positive = edge.spent[1:-1]
late = sizes >= sizes[-1] / 3
slope = np.polyfit(np.log(sizes[late]), np.array(chain)[late], 1)[0]
chosen = model.best_of_n(delta)
claims.glue(
    base=token.base_reward,
    optimum=float(token.mean_reward(lam)),
    uneven=token.base_reward + token.gain_at_kl(min(2.0 * delta, token.max_kl)) / 2.0,
    best=(chosen.base_reward + chosen.gain) / length,
    slope=slope,
    growth=claims.Markdown(
        r"grows like $\frac12\log m$"
        if abs(slope - 0.5) <= 0.1
        else r"grows like $\frac12\log m$ on longer sequences than these"
    ),
)
claims.record(
    claims.equal(
        "factorises",
        r"the tilt of the law of all sequences of four tokens is the product of token tilts (largest difference of logarithms)",
        "Y24; we derive",
        tilt,
        product,
        atol=1e-12,
    ),
    claims.equal(
        "closed-form",
        r"primal: reward per token of the tilted exact law at length $m$ is the token's frontier",
        "Y24",
        [t.base_reward / length for t in whole],
        token.mean_reward(token.lam_at_kl(spent[::3])),
        rtol=1e-9,
    ),
    claims.equal(
        "dual",
        r"dual: $\inf_\lambda(\delta+\Lambda_c(\lambda))/\lambda$ gives the same gain per token",
        "we derive",
        dual_gain(token, positive),
        edge.gain[1:-1],
        rtol=1e-9,
    ),
    claims.equal(
        "closeness",
        r"closeness identity for 200 random policies of four tokens: $\KL{\phi}{\pi_\lambda}$ from budget and reward alone",
        "Y24",
        kl_to_optimum(sequences, lam, kl_base, gains),
        kl_opt,
        atol=1e-10,
    ),
    claims.at_most(
        "limit",
        "none of the 200 random policies earns more than the frontier at its own budget",
        "Y24",
        gains,
        sequences.gain(sequences.lam_at_kl(kl_base)),
        atol=1e-12,
    ),
    claims.at_most(
        "uneven", "spending on half of the tokens lies below the limit", "we derive", half[1:-1], edge.reward[1:-1]
    ),
    claims.at_least(
        "dependent",
        "tokens of best-of-N are dependent: smallest total correlation of all lengths drawn (nats)",
        "we derive",
        np.array(chain),
        0.01,
        must_hold=0.1 <= delta <= 1.0,
    ),
    claims.equal(
        "half-log",
        r"their total correlation grows like $\frac12\log m$: fitted slope",
        "we derive",
        slope,
        0.5,
        atol=0.1,
        must_hold=False,
    ),
)

# %% [markdown]
# **Try:** `alignlib run memoryless_optimum -p token_reward 0,1,10 -o out.ipynb --html`: a small budget makes the last letter more likely and hardly touches the others. And `alignlib run memoryless_optimum -p delta 1.5 -o out.ipynb --html` comes near the largest
# useful budget, $\log5\approx1.61$.
