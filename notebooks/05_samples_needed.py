# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How many samples a KL needs
#
# The limit can be estimated from samples of the base model. How many samples does a budget of $\Delta$ nats need, and what can {{n_samples:d}} of them tell?
#
# :::{admonition} Answer
# :class: answer
# Reweighting needs at least about $e^\Delta$ samples. At {{kl_high:g}} {{nats_high}}, eight times as many, {{eightfold:,d}}, show on average {{gaussian_seen:.0%}} of the true gain with Gaussian rewards and
# {{exponential_seen:.0%}} with exponential ones. How many are enough depends on the reward's upper tail. {{n_samples:d}} samples of a Gaussian reward show {{seen_told}}.
# No reweighting of {{n_samples:d}} samples, whatever the reward, reaches beyond $\log {{n_samples:d}}={{ceiling:.2f}}$ nats; what goes further assumes a law.
# :::

# %% tags=["parameters"]
n_samples: int = 64  # samples of the base model that the answer speaks of, in [2, 4096]
kls: list[float] = [0.5, 1.0, 2.0, 4.0]  # divergences of the optimum, in nats, in [0.01, 10]
n_max: int = 4096  # largest number of samples drawn, in [8, 65536]
n_repeats: int = 400  # tables drawn for each number of samples, in [50, 5000]
seed: int = 0  # seed of the tables, >= 0

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import need

need(
    n_max * n_repeats <= 50_000_000,
    f"n_max times n_repeats must be at most 50,000,000 draws; got {n_max} × {n_repeats}.",
)

# %% tags=["hide-input"]
import itertools

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import Exponential, Gaussian

# %% [markdown]
# ## The statements
#
# To estimate the reward of $\pi_\lambda$ from samples $y_1,\dots,y_n$ of the base model, weight each by $e^{\lambda r(y_i)}$ and average. This is *importance
# sampling*; the {term}`effective sample size` $(\sum w_i)^2/\sum w_i^2$ says how many equally weighted samples the weights $w_i$ are worth.
#
# ```{prf:proposition} The ceiling of log n (classical)
# :label: prop-log-n
#
# However $n$ samples are weighted, the weighted law is at most $\log n$ nats from the equally weighted one.
# ```
#
# ```{prf:proof}
# With weights $q_i$ that sum to one, $\sum q_i\log(n q_i)=\log n-H(q)\le\log n$, because the entropy $H(q)$ is not negative.
# ```
#
# So an estimated frontier ends at $\log n$ nats at the latest, with all the weight on the best sample. How many samples are *needed* follows from the law of the
# log-ratio $\log\frac{\pi_\lambda}{p}$, whose mean under $\pi_\lambda$ is the divergence $D$.
#
# ```{prf:theorem} Samples needed (ChatterjeeDiaconis2018)
# :label: thm-samples-needed
#
# Let $w=\pi_\lambda/p$, $D=\KL{\pi_\lambda}{p}$ and $I_n(f)=\frac1n\sum_i w(y_i)f(y_i)$ for samples $y_i$ of $p$.
#
# 1. *Enough:* if $n=e^{D+t}$ with $t\ge0$, then
#
#    $$
#    \begin{aligned}&\E\,\bigl|I_n(f)-\E_{\pi_\lambda}f\bigr|\\&\quad\le\sqrt{\E_{\pi_\lambda}f^2}\Bigl(e^{-t/4}+2\sqrt{\P_{\pi_\lambda}(\log w>D+\tfrac t2)}\Bigr).\end{aligned}
#    $$
#
# 2. *Too few:* if $n=e^{D-t}$ with $t\ge0$, then for $0<\delta<1$
#
#    $$
#    \begin{aligned}&\P\bigl(I_n(1)\ge1-\delta\bigr)\\&\quad\le e^{-t/2}+\frac{\P_{\pi_\lambda}(\log w\le D-\frac t2)}{1-\delta}.\end{aligned}
#    $$
# ```
#
# ```{prf:proof}
# *Enough.* Cut $f$ off where $w>a=e^{D+t/2}$ and call the rest $h$. Cutting changes $I_n(f)$ and $\E_{\pi_\lambda}f$ by at most $\E_{\pi_\lambda}|f|\,1[w>a]$ each in the
# mean, and by Cauchy and Schwarz this is at most $\sqrt{\E_{\pi_\lambda}f^2}\sqrt{\P_{\pi_\lambda}(w>a)}$. The variance of $I_n(h)$ is at most
# $\E_p w^2h^2/n=\E_{\pi_\lambda}wh^2/n\le\frac an\,\E_{\pi_\lambda}f^2$, and $\frac an=e^{-t/2}$.
#
# *Too few.* Some sample has $\log w>D-\frac t2$ with probability at most $n\,\P_p(w>e^{D-t/2})$, which by Markov's inequality and
# $\E_pw=1$ is at most $n\,e^{-(D-t/2)}=e^{-t/2}$. Otherwise $I_n(1)$ is the mean of $w$ over samples with $\log w\le D-\frac t2$, whose expectation is $\P_{\pi_\lambda}(\log w\le D-\frac t2)$; Markov's
# inequality again.
# ```
#
# $I_n(1)$ should be 1. With far fewer than $e^D$ samples it is nearly always below any $1-\delta$: the responses that make up the optimum have not been
# drawn. For a Gaussian reward $\log w$ is normal under $\pi_\lambda$ with mean $D$ and variance $2D$, so the number needed is $e^{D+O(\sqrt D)}$. The effective sample
# size tends to $n\,e^{-2D}$ once $n$ is much larger than $e^{2D}$; of {{n_samples:d}} samples it is, on average over the tables below, {{ess_told}}.
# For an exponential reward $\log w$ varies as much as its mean is large, and $e^D$ samples, or ten times as many, are not enough.
#
# ## The computation
#
# For a Gaussian reward the true gain at $D$ nats is $\sqrt{2D}$. Draw tables of $n$ rewards, weight them, and see which share of the true gain they show on average. (From
# each weighted mean the plain mean is taken off: it is 0 on average, and most of the chance goes with it.)

# %%
rng = np.random.default_rng(seed)
sizes = np.unique(np.append(2 ** np.arange(1, int(np.log2(n_max)) + 1), n_samples))
lams = np.sqrt(2.0 * np.array(kls))  # D = λ²/2


def shown(rewards: np.ndarray, lam: float) -> np.ndarray:
    """Weighted mean of each row: what a table says of the reward of the optimum."""
    weight = np.exp(lam * (rewards - rewards.max(axis=1, keepdims=True)))
    return (weight * rewards).sum(axis=1) / weight.sum(axis=1)


def gained(rewards: np.ndarray, lam: float) -> np.ndarray:
    """The same less the plain mean of the row, which is 0 on average and takes most of the chance with it."""
    return shown(rewards, lam) - rewards.mean(axis=1)


def effective(rewards: np.ndarray, lam: float) -> np.ndarray:
    """Effective sample size of each row."""
    weight = np.exp(lam * (rewards - rewards.max(axis=1, keepdims=True)))
    return weight.sum(axis=1) ** 2 / (weight**2).sum(axis=1)


seen, error = np.empty((2, len(kls) + 1, sizes.size))  # the share of the gain on average, and its standard error
for column, n in enumerate(sizes.tolist()):
    rows = max(2**20 // n, 1)  # tables at a time: some megabytes
    parts = (rng.standard_normal((min(rows, n_repeats - first), n)) for first in range(0, n_repeats, rows))
    each = np.hstack([[gained(part, lam) / lam for lam in [*lams, 1.0]] for part in parts])
    seen[:, column], error[:, column] = each.mean(axis=1), each.std(axis=1) / np.sqrt(n_repeats)
half_seen, seen = seen[-1], seen[:-1]  # λ = 1 is half a nat

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the true gain that the weighted mean of n samples shows on average, Gaussian reward, for optima at several divergences ({{n_repeats:d}} tables each, seed {{seed:d}}). The vertical tick on each curve is at $n=e^{D}$. The dotted line marks n = {{n_samples:d}}.", "name": "fig-samples-needed"}, "image": {"alt": "Rising curves of the share of the gain against the number of samples; curves for larger divergences lie lower and reach one later."}}
fig, ax = plotting.new()
for kl, row, color, style in zip(kls, seen, plotting.CYCLE, itertools.cycle(["-", "--", "-.", ":"]), strict=False):
    ax.plot(sizes, row, color=color, linestyle=style, label=f"D = {kl:g}")
    if sizes[0] <= np.exp(kl) <= sizes[-1]:
        ax.plot(
            np.exp(kl), np.interp(kl, np.log(sizes), row), "|",
            color=color, markersize=14, markeredgewidth=2, label=f"_D = {kl:g}, at n = exp(D)",
        )  # fmt: skip
ax.axvline(n_samples, color=plotting.BASE, linewidth=1, linestyle=":", label=f"_n = {n_samples}")
ax.set_xscale("log", base=2)
ax.set_ylim(0, 1.05)
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, "number of samples n", "share of the true gain")
# %% [markdown]
# ## What it means
#
# Of a Gaussian reward {{n_samples:d}} samples per prompt show on average {{half_seen:.0%}} of the gain at half a nat, a smaller and smaller share at larger budgets, and nothing beyond
# $\log {{n_samples:d}}={{ceiling:.2f}}$ nats. The weighted mean shows too little, because the best responses are missing from most tables. [](30_from_samples.ipynb) removes most of
# this bias, and says for each table up to which budget its samples support an estimate.
#
# The same count governs the rules that work by sampling. Best-of-$N$ spends about $\log N$ nats, and soft best-of-$n$ ([](12_relatives.ipynb)) comes near $\pi_\lambda$
# only with more than $e^{D(\lambda)}$ draws, several times as many for a Gaussian reward and far more for an exponential one. A trained model has no such ceiling: that is what training is for.
#
# ## Claims

# %% tags=["hide-input"]
at = int(np.flatnonzero(sizes == n_samples)[0])
order = np.argsort(kls)
small, large = int(np.argmin(kls)), int(np.argmax(kls))
middle = int(order[1]) if len(kls) > 1 else small
drawn = np.random.default_rng(seed).standard_normal((n_repeats, n_samples))
ess = np.array([effective(drawn, lam).mean() for lam in lams])
exponential = Exponential()
eightfold = max(int(8 * np.exp(kls[large])), 2)
tail_lam = float(exponential.lam_at_kl(kls[large]))
tail_tables = [np.random.default_rng([seed, i]).exponential(size=(1, eightfold)) for i in range(n_repeats)]
gaussian_tables = (np.random.default_rng([seed, i]).standard_normal((1, eightfold)) for i in range(n_repeats))
gaussian_seen = np.mean([shown(table, lams[large])[0] for table in gaussian_tables]) / lams[large]
tail_seen = np.mean([shown(table, tail_lam)[0] for table in tail_tables]) - exponential.base_reward
law = Gaussian()
one_table = np.random.default_rng(seed).standard_normal(n_samples)
hardest = np.geomspace(0.1, 1e4, 60)
weights = np.exp(hardest[:, None] * (one_table - one_table.max()))
weights /= weights.sum(axis=1, keepdims=True)
held = np.where(weights > 0, weights, 1.0)
spent = (weights * np.log(n_samples * held)).sum(axis=1)
nats = [f"{kl:g} {'nat' if kl == 1 else 'nats'}" for kl in kls]
told = [f"{ess[i]:.{0 if n_samples >= 20 else 1}f} at {nats[i]}" for i in dict.fromkeys((small, middle))]
claims.glue(
    ceiling=np.log(n_samples),
    kl_high=kls[large],
    seen_told=" and ".join(f"{seen[i, at]:.0%} at {nats[i]}" for i in dict.fromkeys((small, large))),
    half_seen=half_seen[at],
    ess_told=" and ".join(told),
    eightfold=eightfold,
    gaussian_seen=gaussian_seen,
    nats_high="nat" if kls[large] == 1 else "nats",
    exponential_seen=tail_seen / float(exponential.gain(tail_lam)),
)
falls = [
    claims.true(
        "more-nats-need-more-samples",
        "the share of the gain that is seen falls with the divergence, at every number of samples (within four standard errors)",
        "ChatterjeeDiaconis2018",
        np.diff(seen[order], axis=0) < 4 * (error[order][1:] + error[order][:-1]),
    )
    for _ in kls[1:2]  # one divergence is not compared with another
]
claims.record(
    *falls,
    claims.at_most(
        "ceiling",
        "KL of one weighted table over $\\log n$, $\\lambda$ up to 10,000",
        "classical",
        spent / np.log(n_samples),
        1.0,
        atol=1e-12,
    ),
    claims.equal(
        "gaussian",
        r"for a Gaussian reward the gain at $D$ nats is $\lambda=\sqrt{2D}$",
        "M24",
        law.gain_at_kl(np.array(kls)),
        lams,
        rtol=1e-12,
    ),
    claims.at_most(
        "too-few",
        r"with at most $e^{D}/8$ samples less than nine tenths of the gain are seen",
        "ChatterjeeDiaconis2018",
        np.concatenate([row[sizes <= np.exp(kl) / 8] for kl, row in zip(kls, seen, strict=True)] + [[0.0]]),
        0.9,
        must_hold=False,
    ),
    claims.at_most(
        "exponential",
        r"eight times $e^{D}$ samples of an exponential reward show less of the gain than of a Gaussian one at the largest divergence",
        "we derive",
        tail_seen / float(exponential.gain(tail_lam)),
        gaussian_seen,
        must_hold=False,
    ),
)

# %% [markdown]
# **Try:** `alignlib run samples_needed -p n_samples 1024 -o out.ipynb --html`: sixteen times as many samples move the ceiling by $\log16\approx2.8$ nats only.
