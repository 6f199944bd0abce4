# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A language model with memory
#
# In a language model each {term}`token` depends on those before it. What is the optimum then, and does best-of-$N$ still approach it on long sequences?
#
# :::{admonition} Answer
# :class: answer
# If each token depends on the one before it, the optimum of long sequences is again such a chain, and it weighs each token by its reward and by
# where it leads. On a model of letters, read from {{letters_read:,d}} characters of text, a budget of {{delta:g}} nats per letter raises the reward per
# letter from {{base:.3f}} to {{optimum:.3f}} in the limit of long sequences. Best-of-$N$ with $N=e^{m\delta}$ is {{gap:.4f}} below the optimum at
# $m={{m_long:d}}$ letters.
# :::

# %% tags=["parameters"]
text: str | None = None  # your own text in UTF-8; without one, Python's own manual, existing file
kind: str = "alternation"  # what is rewarded, one of alternation | words | doubles
delta: float = 0.2  # budget in nats per letter, in [0.001, 0.5]
lengths: list[int] = [30, 60, 100, 200, 300, 600, 1200]  # letters per sequence m, in [2, 5000]
shown: int = 60  # letters of text to sample, in [20, 2000]
seed: int = 0  # seed of the sampled text, >= 0

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import need
from alignlib.sequences import MarkovModel
from alignlib.sequences.text_chain import (
    letter_chain,
    letter_states,
    python_reference_text,
    read_text,
    transition_reward,
)

transition, law, kept = letter_chain(letter_states(python_reference_text() if text is None else read_text(text)))
chain = MarkovModel(transition, transition_reward(kind, kept), law, 1).token
need(
    len(set(lengths)) >= 2,
    f"lengths must hold two different numbers of letters, whose results are compared; got {lengths}.",
)
need(
    chain.max_kl > 0.0,
    f"text must leave a choice of the next letter, and kind reward it: {kind!r} can gain nothing here.",
)
need(
    delta < chain.max_kl,
    f"delta must be below {chain.max_kl:.4g}, the largest useful budget of this text in nats per letter; got {delta:g}.",
)

# %% tags=["hide-input"]
import platform

import numpy as np

from alignbook import claims
from alignbook.largest import largest
from alignlib import plotting
from alignlib.sequences import MarkovModel
from alignlib.sequences.text_chain import (
    LETTERS,
    letter_chain,
    letter_states,
    python_reference_text,
    read_text,
    transition_reward,
)

# %% [markdown]
# ## The statement
#
# In the base chain $b$ follows $a$ with probability $P(a,b)$ and then earns $\rho(a,b)$. The *Perron root* of a matrix with non-negative entries is its largest
# eigenvalue, and the right Perron vector belongs to it.
#
# ```{prf:theorem} The twisted chain (B26; classical for Markov chains)
# :label: thm-twisted-chain
#
# Let $M_\lambda(a,b)=P(a,b)\,e^{\lambda\rho(a,b)}$ be irreducible with Perron root $e^{\Lambda(\lambda)}$ and right Perron vector $h$. As the length $m$ grows,
# $\frac1m\log\E_p e^{\lambda S}\to\Lambda(\lambda)$, and the transitions of the tilted law at a fixed share of the length tend to
#
# $$P_\lambda(a,b)=\frac{M_\lambda(a,b)\,h(b)}{e^{\Lambda(\lambda)}\,h(a)}.$$
#
# Its reward and its divergence per token tend to $\Lambda'(\lambda)$ and $\lambda\Lambda'(\lambda)-\Lambda(\lambda)$. At finite length both differ from these by
# terms of order $1/m$, and the last transitions of the sequence differ from $P_\lambda$.
# ```
#
# ```{prf:proof}
# At length $m$ the tilted law is Markov with steps $M_\lambda(a,b)\,h_t(b)/h_{t-1}(a)$, where $h_m=1$ and $h_{t-1}=M_\lambda h_t$. By the theorem of Perron and
# Frobenius $h_t$ approaches the direction of $h$ going backwards. (For a periodic chain it does so on each class of states up to a factor; the two states of a
# transition have the same factor, and it cancels.) See {cite:t}`DemboZeitouni2010` for the large deviations of Markov chains.
# ```
#
# ```{prf:theorem} Asymptotic equivalence with memory (B26)
# :label: thm-equivalence-memory
#
# Let the base chain be irreducible and $N=e^{m\delta}$ with $\delta>0$, where some finite $\lambda$ spends $\delta$ nats per token. As $m\to\infty$, $\E_{\pi_N}S/m$ and $\E_{\pi_\lambda}S/m$ have the same limit,
# and $\KL{\pi_N}{\pi_\lambda}/m\to0$.
# ```
#
# Like {prf:ref}`thm-asymptotic-equivalence`, this says nothing about whole sequences: their divergence grows with the length here too.
#
# ## A chain of real text
#
# The text is {{source}}. The states are the letters a to z and the space, and each letter depends on the one before it. A reward of 1 is earned when a vowel follows
# a consonant or the other way round (`alternation`); other choices are the end of a word (`words`) and a repeated letter (`doubles`).

# %%
states = letter_states(python_reference_text() if text is None else read_text(text))
transition, law, kept = letter_chain(states)
reward = transition_reward(kind, kept)
model = MarkovModel(transition, reward, law, max(lengths))
lam = model.token.lam_at_kl(delta)
twisted = model.tilted(lam)


# %% tags=["hide-input"]
def sample(chain: MarkovModel) -> str:
    """Text drawn from a chain, from the first space on."""
    rng = np.random.default_rng(seed)
    letters, state = [], int(np.flatnonzero(kept == kept.min())[0])
    for _ in range(shown):
        state = int(rng.choice(kept.size, p=chain.transition[state]))
        letters.append(LETTERS[kept[state]])
    return "".join(letters)


print("base:    ", sample(model))
print("optimum: ", sample(twisted))

# %% [markdown]
# ## What the optimum does
#
# A *myopic* tilt weighs each step by its own reward only: $P(a,b)e^{\lambda\rho(a,b)}$, normalised over $b$. The twisted chain multiplies by
# $h(b)$, the value of the letter it arrives at. {numref}`fig-markov-frontier` compares them over all $\lambda$.


# %%
def myopic(lam: float) -> tuple[float, float]:
    """KL rate and reward per letter of the chain that tilts every step by its own reward alone."""
    weight = transition * np.exp(lam * reward)
    chain = weight / weight.sum(axis=1, keepdims=True)
    flow = MarkovModel(chain, reward, law, 1).token.law[:, None] * chain
    ratio = np.where(flow > 0, chain / np.where(transition > 0, transition, 1.0), 1.0)
    spent = max(float((flow * np.log(ratio)).sum()), 0.0)  # which rounding may take below 0 at λ = 0
    return spent, float((flow * reward).sum())


tilts = np.linspace(0, 6, 91)
edge_kl, edge_reward = model.token.kl(tilts), model.token.mean_reward(tilts)
short_sighted = np.array([myopic(v) for v in tilts[::3]])
short_sighted = short_sighted[short_sighted[:, 0] <= edge_kl[-1]]


def lost_at(lam: float) -> float:
    """Reward per letter that the myopic tilt lacks of the limit at its KL."""
    spent, reached = myopic(lam)
    return model.token.base_reward + float(model.token.gain_at_kl(spent)) - reached


at_lams = tilts[::3][: len(short_sighted)]
lost = np.array([lost_at(v) for v in at_lams])
most_lost, myopic_loss = largest(lost_at, at_lams)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Reward against KL per letter, reward “{{kind}}”: the limit and the myopic tilt, which ignores where a letter leads and loses {{myopic_loss:.4f}} per letter at {{myopic_at:.2f}} nats, the most at any KL. Points: exact best-of-$e^{m\\delta}$ at $m=$ {{m_short:d}} to {{m_long:d}}, at the divergence that it spends.", "name": "fig-markov-frontier"}, "image": {"alt": "The frontier per letter, a slightly lower myopic curve, and best-of-N points that climb towards the frontier at {{delta:g}} nats per letter."}}
results = [MarkovModel(transition, reward, law, m).best_of_n(delta) for m in sorted(lengths)]
fig, ax = plotting.new()
plotting.curve(ax, edge_kl, edge_reward, "the limit", at=0.45 * edge_kl[-1], offset=(-4, 6), ha="right")
ax.plot(short_sighted[:, 0], short_sighted[:, 1], "--", color=plotting.THIRD, label="myopic tilt")
plotting.points(
    ax,
    [row.kl_to_base / row.length for row in results],
    [(row.base_reward + row.gain) / row.length for row in results],
    label=r"best of $e^{m\delta}$",
    markersize=4,
)
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, "KL to the base model (nats per letter)", "reward per letter")
# %% [markdown]
# ## Best-of-N on the chain
#
# The law of the sum over all paths is computed exactly; the optimum is the exact one at length $m$, not its limit.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Best-of-$e^{m\\delta}$ against the exact optimum of the letter chain, per letter, $\\delta={{delta:g}}$: all three gaps vanish. The total divergence to the optimum grows like $\\frac12\\log m$ here too (fitted slope {{slope:.3f}}).", "name": "fig-markov-equivalence"}, "image": {"alt": "Three nearly straight lines falling on logarithmic axes: reward gap, KL to the optimum, unspent budget, per letter, against the length."}}
m = np.array([row.length for row in results])
fig, ax = plotting.new()
ax.plot(m, [row.reward_gap for row in results], "o-", color=plotting.LIMIT, markersize=5, label="reward gap")
ax.plot(
    m,
    [row.kl_to_optimum / row.length for row in results],
    "s-",
    color=plotting.BEST_OF_N,
    markersize=5,
    label="KL to the optimum",
)
ax.plot(
    m,
    [(row.log_n - row.kl_to_base) / row.length for row in results],
    "^-",
    color=plotting.THIRD,
    markersize=5,
    label="unspent budget",
)
ax.set_xscale("log")
ax.set_yscale("log")
plotting.legend(ax, loc="lower left")
plotting.name_axes(ax, "length m", "per letter (reward or nats)")
# %% [markdown]
# ## What it means
#
# With memory the optimum is another law, one that takes into account where each token leads; how best-of-$N$ approaches it is the same as without memory. A chain of
# letters is a very small model of text. For larger models it suggests which statements to expect, but not their numbers.
#
# ## Claims

# %% tags=["hide-input"]
late = m >= m[-1] / 10
slope = np.polyfit(np.log(m[late]), np.array([row.kl_to_optimum for row in results])[late], 1)[0]
exact = model.optimum(lam)
model_half = MarkovModel(transition, reward, law, max(lengths) // 2)
middle = exact.steps[model.length // 2]
rank_one = MarkovModel(np.tile(law, (law.size, 1)), np.arange(law.size) % 3, law, 50)
without_memory = np.log(law @ np.exp(0.7 * (np.arange(law.size) % 3)))
claims.glue(
    source="a text of your own"
    if text is not None
    else f"the language reference that Python {platform.python_version()} carries; other versions differ a little",
    letters_read=int(states.size),
    base=model.token.base_reward,
    optimum=float(model.token.mean_reward(lam)),
    gap=results[-1].reward_gap,
    kl_rate=results[-1].kl_to_optimum / results[-1].length,
    m_short=int(m[0]),
    m_long=int(m[-1]),
    myopic_loss=myopic_loss,
    myopic_at=myopic(most_lost)[0],
    slope=slope,
)
claims.record(
    claims.equal(
        "twisted",
        "halfway, the exact optimum's transitions are the twisted chain's (all pairs of letters)",
        "B26; we derive",
        middle,
        twisted.transition,
        atol=1e-9,
    ),
    claims.equal(
        "growth-rate",
        r"$\frac1m\log\E e^{\lambda S}$ by matrix products tends to the log Perron root at rate $1/m$: $m$ times the difference, at $m$ and $m/2$",
        "B26; we derive",
        exact.log_partition - model.length * model.token.log_partition(lam),
        model_half.log_partition(lam) - model_half.length * model.token.log_partition(lam),
        atol=1e-6,
    ),
    claims.at_most(
        "rewards-equal",
        r"rewards per letter agree asymptotically: the gap shrinks with every longer $m$",
        "B26",
        np.diff([row.reward_gap for row in results]),
        0.0,
    ),
    claims.at_most(
        "close-in-kl",
        r"$\KL{\pi_N}{\pi_\lambda}/m\to0$: it shrinks with every longer $m$",
        "B26",
        np.diff([row.kl_to_optimum / row.length for row in results]),
        0.0,
    ),
    claims.equal(
        "half-log",
        r"the total divergence grows like $\frac12\log m$: fitted slope over the last factor 10 of lengths",
        "we derive",
        slope,
        0.5,
        atol=0.1,
        must_hold=False,
    ),
    claims.at_least(
        "planning",
        "the limit less the myopic tilt at the same KL, every $\\lambda>0$ computed",
        "we derive",
        lost[1:],
        0.0,
        atol=1e-12,
    ),
    claims.equal(
        "rank-one",
        r"a chain without memory is the memoryless model: $\Lambda(0.7)$",
        "we derive",
        rank_one.token.log_partition(0.7),
        without_memory,
        rtol=1e-12,
    ),
)

# %% [markdown]
# **Try:** `alignlib run markov --text my_book.txt --kind words -o words.ipynb --html`. Rewarding ends of words makes them shorter; the two samples of text show which.
