# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Best of exponentially many long sequences
#
# {term}`Best-of-N <best-of-N>` and the optimum usually differ on one {term}`token`. Do they still differ on long sequences, if the number of samples $N=e^{m\delta}$ grows with the length $m$?
#
# :::{admonition} Answer
# :class: answer
# Per token the difference vanishes: on a model with two letters the optimum's reward per token exceeds that of best-of-$N$ by {{gap_short:.4f}} at
# $m={{m_short:d}}$ and by {{gap_long:.6f}} at $m={{m_long:d}}$. In total it does not: the divergence $\KL{\pi_N}{\pi_\lambda}$ of whole sequences grows like
# $\tfrac12\log m$, to {{kl_long:.2f}} nats. And $N$ has {{digits:d}} digits by then; with {{practical_n:d}} samples, best-of-$N$ reaches
# {{practical_share:.1%}} of the limit at its own KL on long sequences, as on a Gaussian reward.
# :::

# %% tags=["parameters"]
share: float = 0.3  # budget per token as a share of the largest useful one, in [0.02, 0.9]
lengths: list[int] = [1, 3, 10, 30, 100, 300, 1000, 3000, 10000]  # token counts m, in [1, 100000]
practical_n: int = 1024  # samples that one can draw, in [2, 1000000000]

# %% tags=["conditions", "hide-input"]
import math

from alignbook.conditions import need
from alignlib.sequences import MemorylessModel

least = math.log(practical_n) / MemorylessModel([0.7, 0.3], [0.0, 1.0], 1).token.max_kl
need(
    max(lengths) > least,
    f"lengths must reach beyond {least:.3g} for practical_n={practical_n}; got {max(lengths)} at most.",
)
need(
    len(set(lengths)) >= 2 and max(lengths) >= 100,
    f"lengths must hold two different numbers of tokens, one of them 100 or more; got {lengths}.",
)

# %% tags=["hide-input"]
import math

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from alignbook import claims
from alignlib import plotting
from alignlib.sequences import MemorylessModel, compare, number_of_types

# %% [markdown]
# ## The statement
#
# Tokens are independent with law $p$; the reward of a sequence is $S=\sum_t\rho(y_t)$. The optimum $\pi_\lambda$ spends $\delta$ nats per
# token, so that both methods have the same budget $m\delta=\log N$.
#
# ```{prf:theorem} Asymptotic equivalence (Y24)
# :label: thm-asymptotic-equivalence
#
# For $0<\delta<-\log p(\argmax\rho)$ and $N=e^{m\delta}$, as $m\to\infty$,
#
# $$\frac{\E_{\pi_N}S}{m}\to R(\delta),\quad\frac{\KL{\pi_N}{\pi_\lambda}}{m}\to0,\quad\frac{\KL{\pi_N}{p}}{m}\to\delta.$$
# ```
#
# ```{prf:proposition} The order of convergence (new here, as far as we know)
# :label: prop-half-log
#
# For fixed $\delta$ as in {prf:ref}`thm-asymptotic-equivalence`, as $m\to\infty$,
#
# - $\E_{\pi_\lambda}S-\E_{\pi_N}S=\bigl(\tfrac12\log m+O(1)\bigr)/\lambda$,
# - $m\delta-\KL{\pi_N}{p}=O(1)$,
# - $\KL{\pi_N}{\pi_\lambda}=\tfrac12\log m+O(1)$.
#
# If the token rewards lie on no lattice, then with Euler's constant $\gamma\approx0.577$
#
# $$
# \begin{aligned}\KL{\pi_N}{\pi_\lambda}={}&\tfrac12\log\bigl(2\pi m\lambda^2\Lambda''(\lambda)\bigr)\\&-1-\gamma+o(1).\end{aligned}
# $$
# ```
#
# ```{prf:proof}
# *Reward.* The best of $N$ lies, up to a random term of bounded mean, at the level $t$ with $\P(S\ge t)=1/N$. By {cite:t}`BahadurRao1960`,
# $\log\P(S\ge t)$ is $-mI(t/m)-\tfrac12\log m$ up to a bounded term, while $I(R)=\delta$ and $I'(R)=\lambda$: so $t=mR-(\tfrac12\log m)/\lambda+O(1)$.
#
# *Budget.* Break ties by a uniform number, as in {prf:ref}`thm-formula`; then best-of-$N$ spends $\log N-1+\frac1N$ nats. What dropping the number loses is
# its divergence from a uniform law on each level, in the mean. On level $i$, with mass $P_i$ and $F_i$ at or below it, the number has a density
# of at most
#
# $$\frac{NP_iF_i^{N-1}}{F_i^N-F_{i-1}^N}\le1+\frac{NP_i}{F_i}$$
#
# relative to the uniform law, so
#
# $$
# \begin{aligned}0&\le\log N-1+\tfrac1N-\KL{\pi_N}{p}\\&\le\E_{\pi_N}\log\bigl(1+NP_i/F_i\bigr).\end{aligned}
# $$
#
# Near $t$, by Bahadur and Rao again, $P_i\le\P(S\ge s_i)\le C\,\P(S>s_i)$ for a constant $C$, and $N\,\P(S>s_i)$ is at most $N(1-U)$, where $U$ is
# the largest of $N$ uniform numbers, with $\E N(1-U)<1$. By Jensen's inequality the right side stays below $\log(1+C)$ and a vanishing rest from levels far from $t$.
#
# *Divergence.* Insert both into the closeness identity,
#
# $$
# \begin{aligned}\KL{\pi_N}{\pi_\lambda}={}&\KL{\pi_N}{p}-m\delta\\&+\lambda\,(\E_{\pi_\lambda}S-\E_{\pi_N}S).\end{aligned}
# $$
#
# *No lattice.* Then $\P(S\ge t)\sim e^{-mI(t/m)}/\sqrt{2\pi m\lambda^2\Lambda''(\lambda)}$; $N\,\P(S\ge s)$ at the best $s$ is nearly exponential, so
# that $\lambda(s-t)$ has mean $\gamma$ in the limit; and ties have no weight, so that $\log N-1$ nats are spent.
# ```
#
# ## Four models, exactly
#
# The law of $S$ is computed exactly, by logarithms, in every tail; nothing here is simulated. On a lattice
# $S$ takes a few times $m$ values. Real-valued rewards have one value for each way to count the letters: {{types_long:,d}} of them at $m={{m_long:d}}$.
# Of these, only sums that best-of-$N$ picks with a probability above $e^{-46}$ are computed. At $m={{m_check:d}}$ the complete law of the
# real-valued model gives the same results up to a relative difference of {{window_error:.0e}}.

# %%
models = {
    "binary": ([0.7, 0.3], [0.0, 1.0]),
    "ternary lattice": ([0.5, 0.3, 0.2], [0.0, 1.0, 2.0]),
    "nearly degenerate": ([0.999, 0.001], [0.0, 1.0]),
    "real-valued": ([0.5, 0.3, 0.2], [0.0, 1.0, math.sqrt(2)]),
}
results = {}
for name, (prob, reward) in models.items():
    delta = share * MemorylessModel(prob, reward, 1).token.max_kl
    results[name] = [MemorylessModel(prob, reward, m).best_of_n(delta) for m in sorted(lengths)]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Three gaps per token against the length, at {{share:.0%}} of the largest useful budget, computed exactly. All three fall; the first two as $\\log m/m$, the third as $1/m$ once $m$ is large.", "name": "fig-equivalence"}, "image": {"alt": "Three panels on logarithmic axes: reward gap, KL to the optimum, unspent budget, all per token, for four models, falling almost as straight lines of slope minus one."}}
fig, axes = plotting.new(rows=3, height=2.6, sharex=True)
markers = ["o", "s", "^", "D"]
for (name, rows), color, marker in zip(results.items(), plotting.CYCLE, markers, strict=False):
    m = np.array([row.length for row in rows])
    unit = np.ptp(models[name][1])
    series = (
        [row.reward_gap / unit for row in rows],
        [row.kl_to_optimum / row.length for row in rows],
        [(row.log_n - row.kl_to_base) / row.length for row in rows],
    )
    for ax, values in zip(axes, series, strict=True):
        ax.plot(m, values, marker=marker, markersize=4, color=color, label=name, linewidth=1.2)
for ax, title, label in zip(
    axes,
    (
        "reward: optimum minus best-of-N",
        "divergence of best-of-N to the optimum",
        "budget that best-of-N does not spend",
    ),
    ("share of range / token", "nats / token", "nats / token"),
    strict=True,
):
    ax.set_xscale("log")
    ax.set_yscale("log")
    plotting.name_axes(ax, "", label, title)
axes[-1].set_xlabel("length m")
plotting.legend(axes[0], loc="lower left", fontsize=9)
# %% [markdown]
# ## The order of convergence, measured
#
# If the proposition holds, the divergence of whole sequences to the optimum is nearly a straight line of slope ½ in $\log m$. It is fitted through
# {{fitted:d}} lengths from $m={{fit_from:d}}$ to ${{m_long:d}}$.

# %%
fit_lengths = np.unique(np.geomspace(max(1, max(lengths) / 20), max(lengths), 30).astype(int)).tolist()
slopes = {}
for name, (prob, reward) in models.items():
    delta = share * MemorylessModel(prob, reward, 1).token.max_kl
    fitted = [MemorylessModel(prob, reward, m).best_of_n(delta) for m in fit_lengths]
    slopes[name] = np.polyfit(np.log(fit_lengths), [row.kl_to_optimum for row in fitted], 1)[0]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Total divergence of best-of-$e^{m\\delta}$ to the optimum: it grows like $\\frac12\\log m$. Fitted slopes of three models lie between {{slope_low:.3f}} and {{slope_high:.3f}}. The nearly degenerate model (fitted {{slope_rare:.3f}}) jumps with every whole rewarded token: its bounded term is as large as the slope's share at these lengths.", "name": "fig-half-log"}, "image": {"alt": "Total KL to the optimum against length on a logarithmic axis: four curves that become straight and parallel to a dashed line of slope one half."}}
fig, ax = plotting.new()
for (name, rows), color, marker in zip(results.items(), plotting.CYCLE, markers, strict=False):
    m = [row.length for row in rows]
    ax.plot(m, [row.kl_to_optimum for row in rows], marker=marker, markersize=4, color=color, label=name, linewidth=1.2)
guide = np.array([100.0, 10_000.0])
ax.plot(guide, 0.5 * np.log(guide / 100) + 0.35, "--", color=plotting.BOUND, linewidth=1.2, label="slope ½")
ax.set_xscale("log")
plotting.name_axes(ax, "length m", r"KL to the optimum (nats, total)")
plotting.legend(ax, loc="upper left", fontsize=9)
# %% [markdown]
# ## Where the asymptotic statement misleads
#
# In practice $N$ is fixed: with {{practical_n:d}} samples best-of-$N$ spends at most $\log N-1+\frac1N={{practical_nats:.2f+}}$ nats on the *whole* sequence, so the budget per
# token, $\delta$, shrinks as sequences grow. Compare it with the limit at the KL that it truly spends, as in [](11_distance_to_limit.ipynb), on the binary
# model:

# %%
prob, reward = models["binary"]
practical = []
for m in sorted(lengths):
    delta = math.log(practical_n) / m
    model = MemorylessModel(prob, reward, m)
    if delta < model.token.max_kl:
        practical.append(model.best_of_n(delta))


def share_at_own_kl(row) -> float:
    """Gain of best-of-N over the limit's at the KL that best-of-N spends."""
    token = MemorylessModel(prob, reward, 1).token
    return row.gain / (row.length * float(token.gain_at_kl(row.kl_to_base / row.length)))


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the limit's gain, at the KL that it spends, that best-of-{{practical_n:d}} reaches on the binary model, and the same for $N=e^{m\\delta}$. With a fixed number of samples longer sequences bring best-of-$N$ no nearer to the limit: at $m={{m_long:d}}$ it reaches {{practical_share:.1%}}; on a Gaussian reward it would be {{gaussian_share:.1%}}.", "name": "fig-practical-n"}, "image": {"alt": "Two curves against length: with N growing exponentially the share of the gain tends to one; with N fixed it settles near {{practical_share:.2f}}."}}
fig, ax = plotting.new()
rows = results["binary"]
ax.plot(
    [r.length for r in rows],
    [share_at_own_kl(r) for r in rows],
    "o-",
    markersize=4,
    color=plotting.LIMIT,
    label=r"$N=e^{m\delta}$",
)
ax.plot(
    [r.length for r in practical],
    [share_at_own_kl(r) for r in practical],
    "s-",
    markersize=4,
    color=plotting.BEST_OF_N,
    label=f"N = {practical_n}",
)
ax.set_xscale("log")
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, "length m", "share of the limit at equal KL")
# %% [markdown]
# ## What it means
#
# The equivalence of {cite:t}`Y24` holds in every model here, with a difference of order $\log m/m$ per token. It does not say that the laws of whole sequences
# become alike, and it needs a number of samples that is exponential in the length. With $N$ fixed, the sum is nearly Gaussian on the scale that best-of-$N$
# reaches, and best-of-$N$ keeps the share of the limit that it has on a Gaussian reward.
#
# ## Claims

# %% tags=["hide-input"]
best_normal = quad(lambda z: practical_n * z * norm.pdf(z) * norm.cdf(z) ** (practical_n - 1), -10, 12, limit=200)[0]
kl_normal = math.log(practical_n) - (practical_n - 1) / practical_n


def cost_of_ties(row) -> float:
    """``E log(1 + N P_i / F_i)`` under best-of-N of the binary model."""
    sums = MemorylessModel(prob, reward, row.length).sum_law()
    log_mass = np.asarray(sums.log_prob)
    kept = np.exp(sums.best_of_n(row.log_n).log_prob)
    return float(kept @ np.logaddexp(0.0, row.log_n + log_mass - np.logaddexp.accumulate(log_mass)))


m_check = max((m for m in lengths if m <= 1000), default=1000)
checked = MemorylessModel(*models["real-valued"], m_check)
delta = share * checked.token.max_kl
visited = checked.best_of_n(delta)
every = compare(checked.sum_law(), delta, visited.lam)
figures = ("gain", "optimal_gain", "kl_to_base", "kl_to_optimum")
window_error = np.array([abs(getattr(visited, name) / getattr(every, name) - 1) for name in figures])
gaussian_share = best_normal / math.sqrt(2 * kl_normal)
last = {name: rows[-1] for name, rows in results.items()}
real = last["real-valued"]
spread = float(MemorylessModel(*models["real-valued"], 1).token.variance(real.lam))
regular = [name for name in models if name != "nearly degenerate"]
binary = {row.length: row for row in results["binary"]}
m_short, m_long = min(binary, key=lambda m: abs(math.log(m / 100))), max(binary)
identity = [
    row.kl_to_optimum - (row.kl_to_base - row.log_n + row.lam * row.length * row.reward_gap)
    for rows in results.values()
    for row in rows
]
early = {name: [r for r in rows if r.length <= rows[-1].length / 100] or rows[:1] for name, rows in results.items()}
far = max(lengths) >= max(1000, 100 * min(lengths))  # else the lengths cannot show what happens in the limit
tied = [row for row in results["binary"] if 30 <= row.length <= 1000] or results["binary"][:1]
claims.glue(
    gap_short=binary[m_short].reward_gap,
    gap_long=binary[m_long].reward_gap,
    m_short=m_short,
    m_long=m_long,
    kl_long=binary[m_long].kl_to_optimum,
    digits=math.floor(binary[m_long].log_n / math.log(10)) + 1,
    fitted=len(fit_lengths),
    fit_from=fit_lengths[0],
    m_check=m_check,
    types_long=number_of_types(m_long, 3),
    window_error=window_error.max(),
    slope_low=min(slopes[name] for name in regular),
    slope_high=max(slopes[name] for name in regular),
    slope_rare=slopes["nearly degenerate"],
    practical_nats=math.log(practical_n) - 1 + 1 / practical_n,
    practical_share=share_at_own_kl(practical[-1]),
    gaussian_share=gaussian_share,
)
claims.record(
    claims.at_most(
        "rewards-equal",
        r"rewards per token agree asymptotically: gap at the largest $m$ as a share of the gap at $m\le m_{\max}/100$, four models",
        "Y24",
        [last[name].reward_gap / early[name][-1].reward_gap for name in models],
        0.1,
        must_hold=far,
    ),
    claims.at_most(
        "close-in-kl",
        r"$\KL{\pi_N}{\pi_\lambda}/m\to0$: at the largest $m$ below a fifth of the value at $m\le m_{\max}/100$, four models",
        "Y24",
        [last[name].kl_to_optimum / last[name].length for name in models],
        [0.2 * early[name][-1].kl_to_optimum / early[name][-1].length for name in models],
        must_hold=far,
    ),
    claims.equal(
        "spends-the-budget",
        r"$\KL{\pi_N}{p}/m\to\delta$: share of the budget spent at the largest $m$",
        "Y24",
        [last[name].kl_to_base / last[name].log_n for name in models],
        1.0,
        atol=0.02,
        must_hold=far,
    ),
    claims.equal(
        "half-log",
        r"the total divergence grows like $\frac12\log m$: fitted slope over the last factor 20 of lengths, three regular models",
        "we derive",
        [slopes[name] for name in regular],
        0.5,
        atol=0.03,
        must_hold=far,
    ),
    claims.equal(
        "half-log-rare",
        "the same of the nearly degenerate model, whose bounded term jumps",
        "we derive",
        slopes["nearly degenerate"],
        0.5,
        atol=0.1,
        must_hold=False,
    ),
    claims.equal(
        "constant",
        r"rewards on no lattice: $\KL{\pi_N}{\pi_\lambda}$ less $\frac12\log(2\pi m\lambda^2\Lambda'')$ at the largest $m$ is $-1-\gamma$",
        "we derive",
        real.kl_to_optimum - 0.5 * math.log(2 * math.pi * real.length * real.lam**2 * spread),
        -1 - np.euler_gamma,
        atol=0.02,
        must_hold=far,
    ),
    claims.equal(
        "identity",
        r"closeness identity between four numbers computed apart, nats in total",
        "Y24",
        identity,
        0.0,
        atol=1e-6,
    ),
    claims.equal(
        "fixed-n",
        r"with $N$ fixed, best-of-$N$ reaches at the largest length the share of the limit that it has on a Gaussian reward",
        "we derive",
        share_at_own_kl(practical[-1]),
        gaussian_share,
        atol=0.01,
        must_hold=far,
    ),
    claims.at_most(
        "unspent",
        r"budget not spent, $\log N-1-\KL{\pi_N}{p}$, is bounded by what ties can cost (binary model, $m\le1000$)",
        "we derive",
        [row.log_n - 1.0 - row.kl_to_base for row in tied],
        [cost_of_ties(row) for row in tied],
    ),
)

# %% [markdown]
# **Try:** `alignlib run best_of_exponentially_many -p share 0.6 -o out.ipynb --html`: with a larger $\lambda$ the gap is smaller. And `alignlib run best_of_exponentially_many -p practical_n 1000000 -o out.ipynb --html`: a thousand times as many samples raise the share of the limit by
# about two percentage points.
