# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which divergence?
#
# The limit of this book charges a {term}`policy` its {term}`KL` to the {term}`base model`. Other divergences are in use. What is the best policy in each, and how good is
# best-of-N then?
#
# :::{admonition} Answer
# :class: answer
# It depends on the divergence. Best-of-{{n_shown:g}} has {{share_kl:.1%}} of the rise in {term}`win rate` that its KL allows, {{share_chi2:.1%}} for χ², and {{share_reverse:.1%}} for the KL of the
# base model to the policy. For the Rényi divergence of order $\frac N{N-1}$ no policy wins more.
# :::

# %% tags=["parameters"]
n_shown: float = 4.0  # N that the answer quotes, in [1.5, 64]
n_max: float = 64.0  # largest N drawn, in [4, 128]
kl_shown: float = 0.5  # KL at which optima in other divergences are compared, in nats, in [0.05, 1]
n_outcomes: int = 1000  # responses of equal probability that stand for a law without ties, in [200, 5000]
n_prompts: int = 40  # prompts of each drawn table, in [20, 500]
n_samples: int = 24  # responses to each of them, in [6, 64]
n_tables: int = 40  # tables on which the intervals are tried, in [10, 200]
seed: int = 0  # of the tables, >= 0

# %% tags=["hide-input"]
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from _pages.beyond_coverage import counted
from alignbook import claims
from alignlib import plotting
from alignlib.divergences import CHI_SQUARED, HELLINGER, JENSEN_SHANNON, KL, REVERSE_KL, TOTAL_VARIATION, Renyi
from alignlib.estimation import fit_frontier
from alignlib.laws import Exponential, FiniteLaw, Gaussian, Uniform, win_rates
from alignlib.rules import BestOfN

# %% [markdown]
# ## The statements
#
# An $f$-divergence is $D_f(\varphi\Vert p)=\E_p f(\varphi/p)$ with $f$ convex, $f(1)=f'(1)=0$. KL has $f(t)=t\log t-t+1$; the KL of the base model to the policy, $\KL p\varphi$,
# has $t-1-\log t$; the {term}`chi-squared divergence` $(t-1)^2$; the squared Hellinger distance $\frac12(\sqrt t-1)^2$; {term}`total variation`
# $\frac12|t-1|$; the Jensen–Shannon divergence is the mean KL of $\varphi$ and $p$ to their mixture. Write
# $f^*(s)=\sup_{t\ge0}\,(st-f(t))$.
#
# ```{prf:theorem} The limit in any f-divergence (classical)
# :label: thm-divergence-dual
#
# For every policy $\varphi$, every $\lambda>0$ and every $\nu$,
#
# $$\E_\varphi r\le\nu+\frac1\lambda\Bigl(D_f(\varphi\Vert p)+\E_p f^*\bigl(\lambda(r-\nu)\bigr)\Bigr).$$
#
# If $f$ is strictly convex and differentiable, there is equality for $\varphi=p\cdot(f')^{-1}(\lambda(r-\nu))$, with 0 where $\lambda(r-\nu)$ lies below all
# slopes of $f$, provided that $\nu$ makes this sum to one.
# ```
#
# ```{prf:proof}
# With $t=\varphi/p$, $\lambda(r-\nu)\,t\le f(t)+f^*(\lambda(r-\nu))$ by the definition of $f^*$; take the mean under $p$. There is equality where $f'(t)=\lambda(r-\nu)$.
# ```
#
# So the best policy for KL is an exponential of the reward, for $\KL p\varphi$ it is $\varphi\propto p/(\nu-r)$, for the Hellinger distance $p/(\nu-r)^2$, and for χ² a straight line in the
# reward, cut off at 0. Total variation moves mass from the worst responses to the best.
#
# If $f(t)/t$ stays bounded, as for all of these but KL and χ², a small mass moved to one very good response costs little. A reward without an upper end then has no finite
# limit, however small the budget: its upper tail is free.
#
# ```{prf:theorem} The gain per root of χ²
# :label: thm-chi-squared-gain
#
# With $\sigma$ the standard deviation of the reward under the base model, $\E_\varphi r-\E_p r\le\sigma\sqrt{\chi^2(\varphi\Vert p)}$, with equality for
# $\varphi=p\,\bigl(1+\frac{\sqrt{\chi^2}}\sigma(r-\E_p r)\bigr)$ as long as that is not negative.
# ```
#
# ```{prf:proof}
# $\E_\varphi r-\E_p r=\E_p(\frac\varphi p-1)(r-\E_p r)$, and Cauchy–Schwarz.
# ```
#
# {cite:t}`H25` use χ² for policies that are pessimistic about a proxy; their optimum is this one. The Rényi divergence of order $\alpha\ne1$ is
# $D_\alpha(\varphi\Vert p)=\frac1{\alpha-1}\log\E_p(\varphi/p)^\alpha$. It is a rising function of an $f$-divergence, so the same policies are optimal.
#
# ```{prf:theorem} The divergence in which best-of-N is optimal
# :label: thm-renyi-best-of-n
#
# Let $N>1$ and $\alpha=\frac N{N-1}$. The win rate $w$ of every policy over the base model, ties counting one half, satisfies
#
# $$w\le(N+1)^{-1/N}\,e^{D_\alpha(\varphi\Vert p)/N}.$$
#
# Without {term}`ties <tie>` there is equality for best-of-N, whose $D_\alpha$ is $N\log N-(N-1)\log(N+1)$ nats. In particular best-of-2 is optimal in χ², and the order tends to 1, which is
# KL, as $N$ grows.
# ```
#
# ```{prf:proof}
# Break ties by a uniform number. The rank $u$ of a response is then uniform under the base model, has a density $g$ under the policy, and
# $w=\int u\,g(u)\,du$. Since $\frac1\alpha+\frac1N=1$, Hölder's inequality gives $w\le(\int u^N)^{1/N}(\int g^\alpha)^{1/\alpha}$, and $\int g^\alpha\le e^{(\alpha-1)D_\alpha(\varphi\Vert p)}$, with equality
# if $g$ is constant on each level, as it is when ties are broken like this; $\frac{\alpha-1}\alpha=\frac1N$. Hölder has equality where $g^\alpha\propto u^N$, that is $g\propto u^{N-1}$: best-of-N.
# ```
#
# The inequality is Hölder's; its use here is new as far as we know. {cite:t}`Gui24` show that best-of-N is nearly optimal in KL, {cite:t}`M24` give its
# $f$-divergences in closed form, {cite:t}`R26` prove that it is
# statistically optimal for the win rate under a learnt reward, which is another question.

# %% [markdown]
# ## Best-of-N in each
#
# Give a policy as much divergence as best-of-N spends. What share of the rise in win rate that is then possible does best-of-N have?

# %%
law = win_rates(FiniteLaw(np.arange(n_outcomes)))
drawn = np.unique(np.concatenate([np.geomspace(1.25, n_max, 14), [2.0, n_shown]]))
kinds = {
    "KL": KL,
    "χ²": CHI_SQUARED,
    "Jensen–Shannon": JENSEN_SHANNON,
    "Hellinger": HELLINGER,
    "KL of base to policy": REVERSE_KL,
    "total variation": TOTAL_VARIATION,
}


def share(n: float, divergence) -> float:
    best = BestOfN(n).on(law)
    return best.gain / float(law.frontier([best.spent(divergence)], divergence).gain[0])


shares = {name: np.array([share(n, kind) for n in drawn]) for name, kind in kinds.items()}
own_order = np.array([share(n, Renyi(n / (n - 1.0))) for n in drawn])

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "Best-of-N against the best policy of the same divergence: share of the possible rise in win rate, without ties ({{n_outcomes:d}} responses of equal probability). In the Rényi divergence of order N/(N-1) it is all of it, at every N.", "name": "fig-share-by-divergence"}, "image": {"alt": "Seven curves against N from 1 to {{n_max:g}}: Rényi of order N over N minus 1 constant at one, KL just below it, chi-squared touching one at N = 2 and falling after, the others lower at first."}}
fig, ax = plotting.new(height=3.3)
ax.set_xscale("log", base=2)
styles = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
for (name, values), color, style in zip(shares.items(), plotting.CYCLE, styles, strict=False):
    ax.plot(drawn, values, color=color, linestyle=style, label=name)
ax.plot(drawn, own_order, color="black", linewidth=1.0, label="Rényi, order N/(N−1)")
plotting.name_axes(ax, "N", "share of the possible rise in win rate")
plotting.legend(ax, loc="lower right", fontsize=8)

# %% [markdown]
# ## What another divergence costs in KL
#
# Turn the question round. Train to the optimum of another divergence, and measure the result in KL. The penalty that GRPO was published with, an estimate named k3 in the
# loss, has on the policy's own samples the gradient of $\KL p\varphi$ on average (such gradients are the subject of {cite:t}`T25`). So that divergence is what it limits, and
# the optimum is $\varphi\propto p/(\nu-r)$. At {{kl_shown:g}} nats that optimum has {{grpo_share:.1%-}} of the rise in win rate that the best policy in KL has.

# %%
gap = law.max_reward - law.reward
shapes = {
    "KL of base to policy": lambda c: 1.0 / (c + gap),
    "Hellinger": lambda c: 1.0 / (c + gap) ** 2,
    "χ²": lambda c: np.maximum(c - gap, 0.0),
}


def optimum(shape, c: float) -> tuple[float, float]:
    mass = law.prob * shape(c)
    mass /= mass.sum()
    kl = KL.between(mass, law.prob)
    rise = float((mass - law.prob) @ law.reward)
    return kl, rise / float(law.gain_at_kl(kl))


costs = {}
for name, shape in shapes.items():
    found = np.array([optimum(shape, c) for c in np.geomspace(2e-3, 50.0, 160)])
    found = found[np.argsort(found[:, 0])]
    costs[name] = found[(found[:, 0] > 1e-3) & (found[:, 0] < 2.5)].T

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Policies that are optimal in another divergence, at their KL: share of the rise in win rate that the best policy in KL has there.", "name": "fig-cost-in-kl"}, "image": {"alt": "Three curves against KL up to 2.5 nats that start at one: the optimum of the KL of base to policy falls lowest."}}
fig, ax = plotting.new()
for (name, (kl, value)), color, style in zip(costs.items(), plotting.CYCLE, styles, strict=False):
    ax.plot(kl, value, color=color, linestyle=style, label=name)
plotting.name_axes(ax, plotting.KL_LABEL, "share of the limit")
plotting.legend(ax, loc="lower right", bbox_to_anchor=(1.0, 0.08))

# %% [markdown]
# ## Laws without ties, exactly
#
# For a law without ties the optimum is an integral over the ranks of the rewards. {numref}`fig-laws-by-divergence` shows the gain per $\sqrt{2\chi^2}$ and per root of twice the KL. For Gaussian rewards the latter is
# constant, for no reward is it in χ² beyond the budget at which responses are dropped. An exponential reward has $\sqrt{\chi^2}$ up to $\chi^2=1$ and $1+\log\frac{\chi^2+1}2$ after.

# %%
spent = np.geomspace(0.01, 8.0, 12)
per_root = {
    name: (
        one.frontier(spent, KL).gain / np.sqrt(2 * spent),
        one.frontier(spent, CHI_SQUARED).gain / np.sqrt(2 * spent),
    )
    for name, one in {
        "Gaussian": Gaussian(),
        "exponential": Exponential(),
        "uniform": Uniform(0.0, math.sqrt(12.0)),
    }.items()
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gain over the root of twice the budget for three laws of standard deviation one: in KL (solid) and in χ² (dashed).", "name": "fig-laws-by-divergence"}, "image": {"alt": "Solid curves from one: the Gaussian one is constant, the exponential one rises, the uniform one falls. Dashed ones begin at 0.71 and fall."}}
fig, ax = plotting.new()
ax.set_xscale("log")
for (name, (in_kl, in_chi2)), color in zip(per_root.items(), plotting.CYCLE, strict=False):
    ax.plot(spent, in_kl, color=color, label=name)
    ax.plot(spent, in_chi2, color=color, linestyle="--", label=f"_{name}, in χ²")
plotting.name_axes(ax, "budget, in KL (nats) or χ²", "gain / √(2 budget)")
plotting.legend(ax, loc="lower left")

# %% [markdown]
# ## From samples
#
# With the dual, an average over prompts has one $\lambda$ for all, and each prompt's part is a mean over its samples, minimised over ν. A minimum over what is estimated is too low on average. For χ² this is the old
# question of $n$ or $n-1$: as long as no response is dropped, the corrected estimate is $\sqrt{s^2\chi^2}$ with the variance $s^2$ that divides by $n-1$, averaged over prompts. Beyond that, and for the Rényi divergences,
# one sample at a time is left out, which removes the bias of order $\frac1n$ and leaves one of order $\frac1{n^2}$; the interval reaches as far as that may go, judged from halves of the samples. A budget counts as supported while
# the policy that attains it spends no more KL than so many samples show.
#
# Where $f(t)/t$ is bounded (reverse KL, Hellinger, Jensen–Shannon, total variation, Rényi below order 1), no sample shows where the upper tail ends, and without an end there is no finite optimum. The command then
# asks for known bounds of the reward. Win rates have them by themselves. Where some prompts show no response of the largest reward, the limit presumes that one exists, and the command calls it an upper limit, without an interval; a rule then
# has at least so much of it. In total variation no share is told from samples: it is a mean of absolute values, which few samples or ties overstate.
# For the reward itself orders of Rényi's above 10 are refused from samples: their best policy turns on which response is just kept. For a known law any order up to 100 is solved.
#
# On {{n_tables:d}} tables of {{n_prompts:d}} prompts with {{n_samples:d}} gamma rewards each, of scales that differ from prompt to prompt, the intervals of {{level:.0%}} hold the exact limit in {{held_chi2:.0%}} of cases for χ²
# and in {{held_renyi:.0%}} for the Rényi divergence of order {{order:g}}. `python -m benchmarks.coverage` counts on other laws: {{n_kinds:d}} kinds, half of them drawn by a rule, on
# tables of {{counted_shape}}. On {{n_counted:d}} such tables {{counted_chi2:.1%}} of the claimed intervals hold in χ² and {{counted_renyi:.1%}} in Rényi divergences of order 1.5 and 3. On the {{n_bounded:d}} whose rewards have known bounds {{counted_reverse:.1%}} hold in
# reverse KL, {{counted_hellinger:.1%}} in Hellinger, {{counted_js:.1%}} in Jensen–Shannon and {{counted_tv:.1%}} in total variation: wider than they need be. The fewest hold for {{counted_where}}: {{counted_weakest}}. On a table of your own:
#
# ```console
# $ alignlib frontier rewards.csv --reward score --divergence chi2 --at 0.1,0.5
# $ alignlib frontier rewards.csv --reward score --divergence reverse-kl --bounded 0,1 --at 0.1
# ```

# %%
rng = np.random.default_rng(seed)
scales = np.array([0.5, 1.0, 2.0])
one_law = FiniteLaw(np.quantile(np.random.default_rng(1).gamma(3.0, size=400_000), (np.arange(2000) + 0.5) / 2000))
tries = np.array([0.05, 0.3])


asked = {"chi2": CHI_SQUARED, "renyi": Renyi(1.5)}
truth = {}
for name, one in asked.items():
    # One price for all scales: what they spend at it, and what that gains, are averaged.
    means = np.geomspace(1e-4, 4.0, 60)
    single = one_law.frontier(one.of_mean(means), one)
    price = single.lam * one.mean_slope(single.spent)
    tilts = np.geomspace(price[3] / scales.max(), price[-3] / scales.max(), 400)
    at = np.log(tilts[:, None] * scales)
    means_at = np.exp(np.interp(at, np.log(price), np.log(means))).mean(axis=1)
    gain_at = (scales * np.exp(np.interp(at, np.log(price), np.log(single.gain)))).mean(axis=1)
    truth[name] = np.interp(one.mean_of(tries), means_at, gain_at)
held = {name: [] for name in asked}
for _ in range(n_tables):
    drawn_rows = scales[rng.integers(3, size=n_prompts)][:, None] * rng.gamma(3.0, size=(n_prompts, n_samples))
    for name, one in asked.items():
        at = fit_frontier(drawn_rows, divergence=one, n_boot=100, rng=rng).at(tries, strict=False)
        held[name] += ((at.gain_low <= truth[name]) & (truth[name] <= at.gain_high))[at.supported].tolist()

# %% [markdown]
# ## What it costs to compute
#
# A convex solver finds these optima too. Times are recorded once by `python -m benchmarks.bench_divergences --sizes 1000,10000 --record`, on one core of {{machine}} with NumPy {{numpy_version}}, against cvxpy {{cvxpy_version}} with the fastest
# of two formulations and two solvers, for a frontier of {{n_budgets:d}} budgets of a normal reward:

# %%
data = json.loads(Path("../benchmarks/recorded/divergences.json").read_text(encoding="utf-8"))
written = {
    "kl": "KL", "reverse_kl": "KL of base to policy", "chi2": "χ²", "hellinger": "Hellinger", "jensen_shannon": "Jensen–Shannon",
    "renyi_1.5": "Rényi, order 1.5", "total_variation": "total variation",
}  # fmt: skip
smallest, largest = (ends(row["outcomes"] for row in data["against"]) for ends in (min, max))
by_size = {
    size: {row["divergence"]: row for row in data["against"] if row["outcomes"] == size} for size in (smallest, largest)
}
grown = {key: row["seconds"] / by_size[smallest][key]["seconds"] for key, row in by_size[largest].items()}
million = {row["divergence"]: row["seconds"] for row in data["million"]}

# %% tags=["hide-input"]
pd.DataFrame(
    [
        {
            "divergence": name,
            **{
                f"times as fast, {size:,} outcomes": f"{rows[key]['times_faster']:,.0f}"
                for size, rows in by_size.items()
            },
            "its distance": f"{by_size[largest][key]['peer_distance']:.0e}",
            "a million outcomes": f"{million[key]:.2f} s",
        }
        for key, name in written.items()
    ]
).set_index("divergence")

# %% [markdown]
# The distance is the largest between cvxpy's values and ours, whose primal and dual agree to $10^{-12}$ of the reward's range, on {{largest:,d}} outcomes. For {{failing}} its interior-point solver fails on so many, and the first-order one is taken. Of {{n_budgets:d}} budgets cvxpy solved as many as {{longest:g}} seconds allow; the rest is reckoned. For
# one budget the same solve is {{one_least:,.0f}} to {{one_most:,.0f}} times as fast. The last column is one budget with its certificate.
#
# A frontier is {{large_least:,.0f}} to {{large_most:,.0f}} times as fast on {{largest:,d}} outcomes, and {{small_least:,.0f}} to {{small_most:,.0f}} times on {{smallest:,d}}: a call has a fixed cost, in checks and in starting each step, that few outcomes do
# not make smaller. With {{more_outcomes:d}} times as many outcomes ours takes {{grown_least:.0f}} to {{grown_most:.0f}} times as long, and cvxpy {{peer_grown_least:.0f}} times or more.
#
# ## What it means
#
# A statement such as "best-of-N is nearly optimal", or "is not", holds for a divergence and a goal. In KL best-of-N is close to the best policy, and closer the larger $N$ is;
# in χ² it is the best policy at $N=2$; of what the KL of the base model to the policy allows it misses up to {{reverse_missed:.0%}} at the values of $N$ drawn. The goal here is the win rate,
# which is the same for every reward without ties; for the mean of a reward the shares differ from law to law.
#
# ## Claims

# %% tags=["hide-input"]
best = BestOfN(n_shown)
sd = math.sqrt(law.variance(0.0))
small = np.geomspace(1e-6, 0.9, 7) * (sd / (law.base_reward - law.min_reward)) ** 2
grpo = costs["KL of base to policy"]
own = Renyi(n_shown / (n_shown - 1.0))
# A share below one is rounded down, so that it is never written as all; one that is all but for rounding is all.
at_shown = {"kl": share(n_shown, KL), "chi2": share(n_shown, CHI_SQUARED), "reverse": share(n_shown, REVERSE_KL)}
claims.glue(
    **{f"share_{name}": 1.0 if abs(value - 1.0) < 1e-9 else value for name, value in at_shown.items()},
    reverse_missed=1.0 - shares["KL of base to policy"].min(),
    grpo_share=float(np.interp(kl_shown, grpo[0], grpo[1])),
    held_chi2=float(np.mean(held["chi2"])),
    held_renyi=float(np.mean(held["renyi"])),
    level=at.level,
    order=asked["renyi"].alpha,
    n_kinds=counted("^limit in chi2").laws,
    n_counted=counted("^limit in chi2").tables_high,
    counted_shape=counted("^limit in chi2").shapes,
    n_bounded=counted("^limit in hellinger").tables_high,
    **{
        f"counted_{name}": counted(f"^limit in {kind}").held
        for name, kind in {
            "chi2": "chi2",
            "renyi": "renyi",
            "reverse": "reverse_kl",
            "hellinger": "hellinger",
            "js": "jensen",
            "tv": "total",
        }.items()
    },
    counted_where=counted("^limit in").where.replace("chi2", "χ²"),
    counted_weakest=counted("^limit in").weakest,
    machine=data["versions"]["machine"],
    numpy_version=data["versions"]["numpy"],
    cvxpy_version=data["versions"]["cvxpy"],
    n_budgets=data["budgets"],
    failing=" and ".join(written[key] for key, row in by_size[largest].items() if "SCS" in row["peer"]) or "none",
    longest=data["longest"],
    largest=largest,
    smallest=smallest,
    more_outcomes=largest // smallest,
    small_least=min(row["times_faster"] for row in by_size[smallest].values()),
    small_most=max(row["times_faster"] for row in by_size[smallest].values()),
    large_least=min(row["times_faster"] for row in by_size[largest].values()),
    large_most=max(row["times_faster"] for row in by_size[largest].values()),
    grown_least=min(grown.values()),
    grown_most=max(grown.values()),
    peer_grown_least=min(
        part * by_size[largest][key]["times_faster"] / by_size[smallest][key]["times_faster"]
        for key, part in grown.items()
    ),
    one_least=min(row["times_faster_of_one"] for row in by_size[largest].values()),
    one_most=max(row["times_faster_of_one"] for row in by_size[largest].values()),
)
claims.record(
    claims.equal(
        "chi-squared-rate",
        r"gain over $\sigma\sqrt{\chi^2}$ while no response is dropped",
        "we derive",
        law.frontier(small, CHI_SQUARED).gain / (sd * np.sqrt(small)),
        1.0,
        rtol=1e-9,
    ),
    claims.equal(
        "best-of-2-in-chi-squared",
        "best-of-2 over the best win rate in its χ²",
        "we derive",
        share(2.0, CHI_SQUARED),
        1.0,
        rtol=1e-9,
    ),
    claims.equal(
        "renyi-of-its-own-order",
        "best-of-N over the best win rate in its Rényi divergence of order N/(N-1), but for the grid",
        "we derive; new as far as we know",
        own_order,
        1.0,
        rtol=1e-6,
    ),
    claims.equal(
        "bound-attained",
        "the bound on the win rate at best-of-N's own divergence",
        "we derive",
        (n_shown + 1.0) ** (-1.0 / n_shown) * math.exp(best.spent_formula(own) / n_shown),
        n_shown / (n_shown + 1.0),
        rtol=1e-9,
    ),
    claims.equal(
        "chi-squared-of-best-of-n",
        "χ² of best-of-N without ties is (N-1)²/(2N-1)",
        "M24",
        best.spent_formula(CHI_SQUARED),
        (n_shown - 1.0) ** 2 / (2.0 * n_shown - 1.0),
        rtol=1e-9,
    ),
    claims.equal(
        "exponential-in-chi-squared",
        r"gain of an exponential reward: $\sqrt{\chi^2}$ up to 1, $1+\log\frac{\chi^2+1}2$ after",
        "we derive",
        Exponential().frontier(spent, CHI_SQUARED).gain,
        np.where(spent <= 1.0, np.sqrt(spent), 1.0 + np.log((spent + 1.0) / 2.0)),
        rtol=1e-8,
    ),
    claims.equal(
        "best-of-n-on-the-uniform-law",
        "the largest win rate in the Rényi divergence of order N/(N-1), by quadrature and without a grid",
        "we derive",
        0.5 + Uniform().frontier([best.spent_formula(own)], own).gain[0],
        n_shown / (n_shown + 1.0),
        rtol=1e-8,
    ),
    claims.at_least(
        "sampled-intervals",
        "share of tables whose interval holds the exact limit, the worse of χ² and Rényi",
        "we measure",
        min(float(np.mean(held["chi2"])), float(np.mean(held["renyi"]))),
        0.8,
        must_hold=False,
    ),
    claims.at_least(
        "faster-than-a-solver",
        f"recorded: times as fast as cvxpy for a frontier on {largest:,} outcomes, each divergence",
        "measured",
        [row["times_faster"] for row in by_size[largest].values()],
        1000,
        must_hold=False,
    ),
    claims.at_most(
        "seconds-for-a-million",
        "recorded: seconds for one budget on a million outcomes, each divergence",
        "measured",
        [*million.values()],
        1.0,
        must_hold=False,
    ),
    claims.at_most(
        "no-more-than-all",
        "best-of-N's share in every divergence",
        "we derive",
        np.array([*shares.values()]),
        1.0 + 1e-9,
    ),
    claims.at_most(
        "other-optima-in-kl",
        "optima in other divergences over the best policy of the same KL",
        "Y24",
        np.concatenate([value for _, value in costs.values()]),
        1.0 + 1e-9,
    ),
)

# %% [markdown]
# **Try:** `alignlib run which_divergence -p n_shown 16 -o out.ipynb --html`. In KL hardly anything is missing then, in the KL of the base model to the policy much less than at $N=4$.
