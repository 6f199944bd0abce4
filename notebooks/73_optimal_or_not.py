# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Optimal or not?
#
# One paper finds {term}`best-of-N` nearly optimal, another that it is not. Which is right?
#
# :::{admonition} Answer
# :class: answer
# Both, of two questions. In {term}`win rate` by the reward it picks by, best-of-{{n_shown:d}} has {{share_shown:.1%}} of what any policy of its {term}`KL` gains. In a {term}`gold reward <gold>` behind a
# {term}`proxy` with a heavy-tailed error it {{turns}} {{last_heavy:.2f}} at {{n_top:,d}} draws, where a rule that limits χ² has {{held_heavy:.2f}}.
# :::

# %% tags=["parameters"]
error_sd: float = 1.0  # standard deviation of the proxy's error, gold's is 1, in [0.2, 3]
freedom: float = 2.2  # degrees of freedom of the heavy-tailed error, in [2.05, 10]
coverage: float = 4.0  # C* of the policy to compare with, in [1.5, 20]
n_shown: int = 4  # N that the answer quotes, in [2, 64]
log2_top: int = 12  # the most draws, as a power of two, in [6, 14]

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd
from scipy import stats

from _pages.beyond_coverage import counted
from alignbook import claims
from alignbook.largest import largest
from alignlib import plotting
from alignlib.divergences import CHI_SQUARED
from alignlib.hacking.error_laws import finite_law, independent_pair
from alignlib.hacking.overoptimisation import rule_curve
from alignlib.laws import FiniteLaw, Levels, Uniform, win_rates
from alignlib.rules import BestOfN, ChiSquaredPessimism, RejectionSampling, Rules, SoftBestOfN

# %% [markdown]
# ## Two questions
#
# {cite:t}`P26` ask how much *reward* a policy can have for its KL. The reward is known, and best-of-N comes close to the {term}`limit`.
#
# {cite:t}`H25` ask how much *gold* one can be sure of when a policy is made from a proxy $\hat r$ of which only the mean square error under the {term}`base model` $p$ is known. There is no KL
# budget; what costs is the error, and it is seen through the {term}`coverage <coverage of a policy>` coefficient $C(\varphi)=\E_\varphi\frac\varphi p=1+\chi^2(\varphi\Vert p)$ of a policy. They show that best-of-N is optimal only under strong
# conditions on the coverage and suffers from large $N$, and propose a rule that does not: rejection sampling with χ² as penalty. Here is the heart of it, in a form that is exact.
#
# ```{prf:theorem} The gold one can be sure of (we derive)
# :label: thm-guaranteed-gold
#
# Let $\hat r-r$ have a standard deviation of at most ε under $p$. Then for every policy
#
# $$\E_\varphi r-\E_pr\ \ge\ \E_\varphi\hat r-\E_p\hat r-\varepsilon\sqrt{\chi^2(\varphi\Vert p)},$$
#
# with equality for some $r$. So among all policies the largest guarantee belongs to one that is optimal in χ² for the proxy.
# ```
#
# ```{prf:proof}
# With $e=\hat r-r$, $\E_\varphi e-\E_pe=\E_p(\frac\varphi p-1)(e-\E_pe)\le\varepsilon\sqrt{\chi^2}$ by Cauchy–Schwarz, with equality for $e\propto\frac\varphi p-1$. Among policies of one χ² the guarantee is
# largest where $\E_\varphi\hat r$ is.
# ```
#
# ```{prf:theorem} Regret by coverage (we derive; in the spirit of H25)
# :label: thm-regret-by-coverage
#
# Let $\varphi_\lambda$ maximise $\E_\varphi\hat r-\chi^2(\varphi\Vert p)/\lambda$. Under the same condition, for every policy $\pi^*$ with coverage $C^*=1+\chi^2(\pi^*\Vert p)$,
#
# $$\E_{\pi^*}r-\E_{\varphi_\lambda}r\ \le\ \frac{C^*-1}\lambda+\varepsilon\sqrt{C^*-1}+\frac{\lambda\varepsilon^2}4,$$
#
# which is $2\varepsilon\sqrt{C^*-1}$ at $\lambda=2\sqrt{C^*-1}/\varepsilon$.
# ```
#
# ```{prf:proof}
# Write $\chi_*^2$ and $\chi^2$ for the two divergences. As $\varphi_\lambda$ is a maximiser, $\E_{\pi^*}\hat r-\E_{\varphi_\lambda}\hat r\le(\chi_*^2-\chi^2)/\lambda$. The errors add at most $\varepsilon(\chi_*+\chi)$, and
# $\varepsilon\chi-\chi^2/\lambda\le\lambda\varepsilon^2/4$.
# ```
#
# The bound does not grow with the number of draws: more draws only bring the sampler nearer to $\varphi_\lambda$. For best-of-N it does grow:
#
# ```{prf:proposition} What best-of-N can be sure of (we derive; χ² of best-of-N: M24)
# :label: prop-best-of-n-guarantee
#
# Without ties best-of-N has $\chi^2=\frac{(N-1)^2}{2N-1}$. Its guarantee is its gain in the proxy less $\varepsilon\frac{N-1}{\sqrt{2N-1}}$, which for every bounded proxy tends to $-\infty$ as $N$ grows.
# ```
#
# ```{prf:proof}
# {prf:ref}`thm-guaranteed-gold` with $\int_0^1(Nu^{N-1}-1)^2du=\frac{N^2}{2N-1}-1$; the gain of a bounded proxy is bounded.
# ```
#
# A guarantee is about the worst error of a given size. What happens under errors that are not chosen by an opponent depends on their tails ({doc}`41_tails_decide`).

# %% [markdown]
# ## Three errors
#
# Gold is normal; the proxy is gold plus an independent error with standard deviation {{error_sd:g}}: uniform, normal, or Student's t with {{freedom:g}} degrees of freedom. Gold and error are cut into cells, so
# that all that follows is a finite sum. Every rule draws as many responses: best-of-N, {term}`soft best-of-n` and χ²-pessimism (one of $N$ draws kept in proportion to $(1+\frac\lambda2(\hat r-\nu))^+$) draw $N$; rejection sampling of the optimum
# $\pi_\lambda$ draws $N$ on average, with the λ that takes so many. χ²-pessimism has the λ of {prf:ref}`thm-regret-by-coverage` for $C^*={{coverage:g}}$, soft best-of-n the same λ over 2, which is as steep at the mean.
# The t distribution is cut where {{tail:.3%}} lie beyond on either side and scaled to that deviation; uncut its scale is {{narrower:.0%}} smaller, and best-of-N gains somewhat more gold.
# The law of χ²-pessimism here takes the ν of the base model's law as known. Whoever has nothing but the draws takes theirs, as `choose` does, and gains less at few draws: of {{nu_n:d}} under the normal error {{nu_drawn:.2f}} in gold, against {{nu_law:.2f}}.

# %%
cells, tail = 36, 1e-5
ns = 2 ** np.arange(log2_top + 1)
n_top = int(ns[-1])
lam = 2.0 * math.sqrt(coverage - 1.0) / error_sd


def scaled(make):
    """The error law of the wanted standard deviation, as its cells have it."""
    e, q = finite_law(make(1.0), cells, tail)
    return make(error_sd / math.sqrt(q @ e**2 - (q @ e) ** 2))


errors = {
    "uniform": lambda s: stats.uniform(-s, 2.0 * s),
    "normal": lambda s: stats.norm(scale=s),
    "heavy-tailed": lambda s: stats.t(freedom, scale=s),
}
pairs = {kind: independent_pair(stats.norm(), scaled(make), cells, tail) for kind, make in errors.items()}

rules = {
    "best-of-N": BestOfN.along(ns),
    "soft best-of-n": Rules(SoftBestOfN(n, lam / 2) for n in ns),
    "χ²-pessimism": Rules(ChiSquaredPessimism(n, lam) for n in ns),
    "rejection sampling": RejectionSampling.along(ns),
}
gold = {(kind, name): rule_curve(pair, one).gold_gain for kind, pair in pairs.items() for name, one in rules.items()}

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "Gain in gold against draws, for a proxy with a normal and a heavy-tailed error of standard deviation {{error_sd:g}}. Best-of-N gains most under the normal error; under the heavy-tailed one it {{does}}. χ²-pessimism levels off.", "name": "fig-gold-by-draws"}, "image": {"alt": "Two panels of gold gain against draws on a logarithmic axis. Under the normal error best-of-N rises highest; under the heavy-tailed one it {{does}}; chi-squared pessimism levels off."}}
fig, axes = plotting.new(height=3.6, columns=2, sharey=True)
styles = ("-", "--", "-.", ":")
for ax, kind in zip(axes, ("normal", "heavy-tailed"), strict=True):
    for (name, _), color, style in zip(rules.items(), plotting.CYCLE, styles, strict=False):
        ax.plot(ns, gold[kind, name], color=color, linestyle=style, label=name)
    ax.set_xscale("log", base=2)
    plotting.name_axes(ax, "draws", "gain in gold" if kind == "normal" else "", f"{kind} error")
plotting.legend(axes[0], loc="upper left", fontsize=8)

# %% [markdown]
# The best policy of coverage $C^*={{coverage:g}}$ for gold gains {{comparator:.2f}}. The {term}`regret` of a rule is how much less it gains, here at {{n_top:,d}} draws. {prf:ref}`thm-regret-by-coverage` bounds
# that of χ²-pessimism by {{bound:.2f}}:

# %% tags=["hide-input"]
target = {}
for kind, pair in pairs.items():
    gold_law = FiniteLaw(pair.gold, pair.prob)
    target[kind] = float(gold_law.frontier([coverage - 1.0], CHI_SQUARED).gain[0])
pd.DataFrame(
    [{"rule": name, **{kind: f"{target[kind] - gold[kind, name][-1]:.2f}" for kind in pairs}} for name in rules]
).set_index("rule")

# %% [markdown]
# A negative regret is more gold than that policy has. Is it the rule, or its setting? Give each rule the parameter that is best for gold, which nobody knows beforehand, at no more than {{n_top:,d}} draws:

# %% tags=["hide-input"]
lams, some = np.geomspace(0.25, 32.0, 8), ns[1::3]


def at_best(pair, tried):
    """The rule of several that gains most gold, and its gain."""
    found = rule_curve(pair, tried).gold_gain
    return tried[int(np.argmax(found))], float(found.max())


tried = {
    "best-of-N": BestOfN.along(ns),
    "soft best-of-n": [SoftBestOfN(n, v) for n in some for v in lams],
    "χ²-pessimism": [ChiSquaredPessimism(n, v) for n in some for v in lams],
    "rejection sampling": RejectionSampling.along(ns),
}
tuned = {name: {kind: at_best(pair, Rules(one)) for kind, pair in pairs.items()} for name, one in tried.items()}
best = tuned["best-of-N"]
pd.DataFrame(
    [{"rule": name, **{kind: f"{gain:.2f}" for kind, (_, gain) in row.items()}} for name, row in tuned.items()]
).set_index("rule")

# %% [markdown]
# The gains are in standard deviations of gold; λ is the best of {{n_lams:d}} values. Of what best-of-N gains at its best $N$, the best of the other rules has {{others}} under the three errors. Under the heavy-tailed one best-of-N {{stops}}.
# What pessimism buys here is not more gold but that draws hardly hurt: it needs no $N$ to stop at, only an ε.
#
# ## What one can be sure of
#
# Now nothing is known of the error but its size. For a uniform proxy:

# %%
proxy = win_rates(FiniteLaw(np.arange(400.0)))
spread = math.sqrt(proxy.variance(0.0))
parts = np.array([0.2, 0.4, 0.6, 0.8])  # error, as a part of the proxy's own standard deviation
n_line = np.geomspace(1.0, 64.0, 60)
on_line = BestOfN.along(n_line).on(proxy)
chi = np.sqrt(on_line.spent(CHI_SQUARED))
sure = {part: on_line.gain - part * spread * chi for part in parts}
budgets = np.geomspace(1e-4, 100.0, 160)
frontier = proxy.frontier(budgets, CHI_SQUARED)
most = {part: float(np.max(frontier.gain - part * spread * np.sqrt(budgets))) for part in parts}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Guaranteed gain in gold of best-of-N on a uniform proxy, for errors of {{parts}} of the proxy's standard deviation; dotted, the largest guarantee that any policy has, which χ²-pessimism attains.", "name": "fig-guarantee"}, "image": {"alt": "Four humps against N: the larger the error, the lower the guarantee and the smaller the best N; each peak lies just below a dotted line."}}
fig, ax = plotting.new()
for part, color in zip(parts, plotting.CYCLE, strict=False):
    ax.plot(n_line, sure[part], color=color, label=f"error {part:g}")
    ax.axhline(most[part], color=color, linestyle=":", linewidth=1)
ax.set_xscale("log", base=2)
ax.set_ylim(-0.1, 0.42)
plotting.name_axes(ax, "N", "guaranteed gain in gold")
plotting.legend(ax, loc="upper left", fontsize=9)

# %% [markdown]
# For every such error best-of-N with its best $N$ has at least {{least_share:.1%-}} of the largest guarantee, on this proxy. What it lacks is not a good $N$ but a way to know it.
#
# ## When each verdict holds
#
# - *Best-of-N is nearly optimal* ({cite:t}`P26`): the reward that picks is the one that counts, and KL is what is paid. Its gold goes on rising with $N$ under the uniform and the normal error here.
# - *Best-of-N is not optimal* ({cite:t}`H25`): only the size of the error is known, or its tail is heavy, and $N$ is not held back. {cite:t}`R26` find best-of-N optimal again when the goal is the win rate, and
#   {cite:t}`BoT26` let the tail of the rewards decide between the two.
# - Both at once, under the heavy-tailed error: best-of-{{n_shown:d}} has {{proxy_few:.0%}} of the proxy's limit at its KL, and best-of-{{n_top:,d}} {{proxy_many:.0%}}; of the gold that best-of-N has at its best, the first has
#   {{gold_few:.0%}} and the second {{gold_many:.0%}}.
#
# In practice: if some responses have a gold score, look whether gold turns, and stop there (`alignlib frontier TABLE --reward proxy --gold gold`); `--rule chi-squared-pessimism:16:2` puts pessimism beside it. Without gold,
# keep $N$ small, or fix λ from what is known of the error: more draws are then safe.
#
# From samples, the intervals of what rules gain hold in {{counted_gain:.1%}} of the cases that `python -m benchmarks.coverage` counts, on {{n_kinds:d}} kinds of rewards and tables of {{counted_shape}}; those of the share of the limit
# in {{counted_share:.1%}} for soft best-of-n, χ²-pessimism, best-of-Poisson and learnt thresholds. What the two rules with a sharp edge spend has a bias that falls like $1/\sqrt n$ where rewards tie; their intervals are as much wider: the share of threshold stopping
# holds in {{counted_threshold:.1%}}, and of rejection sampling the gain in {{counted_rejection:.1%}} and the share in {{counted_rejected:.1%}}.
#
# ## Claims

# %% tags=["hide-input"]
regret = {kind: target[kind] - gold[kind, "χ²-pessimism"][-1] for kind in pairs}
heavy = gold["heavy-tailed", "best-of-N"]
shown = BestOfN(n_shown).on(Uniform())
picked = FiniteLaw(pairs["heavy-tailed"].proxy, pairs["heavy-tailed"].prob)
of_limit = [
    one.gain / float(picked.gain_at_kl(one.kl)) for one in (BestOfN(n_shown).on(picked), BestOfN(n_top).on(picked))
]
peaks = {
    part: largest(
        lambda v, part=part: (v - 1) / (v + 1) / 2 - part / math.sqrt(12) * (v - 1) / math.sqrt(2 * v - 1), n_line
    )
    for part in parts
}
best_at, best_heavy = round(best["heavy-tailed"][0].draws), best["heavy-tailed"][1]
if f"{best_heavy:.2f}" != f"{heavy[-1]:.2f}":
    turns, does = f"falls from its best {best_heavy:.2f}, at $N={best_at}$, to", "turns down"
    stops = f"must stop at $N={best_at}$"
else:
    turns, does = "does not turn down yet: it has", f"does not turn down within {n_top:,d} draws"
    stops = f"need not stop within {n_top:,d} draws"
# The offset of χ²-pessimism: that of the law, or of the draws alone, on the same draws.
of_draws, rng = ChiSquaredPessimism(16, lam), np.random.default_rng(0)
levels = Levels.of(pairs["normal"].proxy, pairs["normal"].prob)
gold_at = np.bincount(levels.index, pairs["normal"].gold * pairs["normal"].prob) / levels.mass
by_law, less = of_draws.weight(levels), []
for at in rng.choice(levels.mass.size, size=(4000, of_draws.n), p=levels.mass / levels.mass.sum()):
    some = Levels.of(levels.reward[at], None)
    known, own = by_law[at], of_draws.weight(some)[some.index]
    known = known if known.any() else np.ones(at.size)
    less.append(gold_at[at] @ (own / own.sum() - known / known.sum()))
nu_law, nu_less = float(rule_curve(pairs["normal"], [of_draws]).gold_gain[0]), float(np.mean(less))
claims.glue(
    n_kinds=counted("^gain of (?!best-of-N)").laws,
    counted_shape=counted("^share of").shapes,
    counted_gain=counted("^gain of (?!rejection)").held,
    counted_share=counted("^share of (?:soft|chi|best|learnt)").held,
    counted_threshold=counted("^share of threshold").held,
    counted_rejection=counted("^gain of rejection").held,
    counted_rejected=counted("^share of rejection").held,
    tail=tail,
    narrower=1.0 - error_sd * math.sqrt(1.0 - 2.0 / freedom) / scaled(errors["heavy-tailed"]).kwds["scale"],
    turns=claims.Markdown(turns),
    does=does,
    stops=claims.Markdown(stops),
    nu_n=of_draws.n,
    nu_law=nu_law,
    nu_drawn=nu_law + nu_less,
    share_shown=shown.gain / float(Uniform().gain_at_kl(shown.kl)),
    best_heavy=best_heavy,
    best_at=best_at,
    last_heavy=float(heavy[-1]),
    held_heavy=float(gold["heavy-tailed", "χ²-pessimism"][-1]),
    n_top=n_top,
    comparator=target["normal"],
    bound=2.0 * error_sd * math.sqrt(coverage - 1.0),
    others=", ".join(f"{max(row[kind][1] for row in list(tuned.values())[1:]) / best[kind][1]:.0%}" for kind in pairs),
    n_lams=lams.size,
    proxy_few=of_limit[0],
    proxy_many=of_limit[1],
    gold_few=float(rule_curve(pairs["heavy-tailed"], [BestOfN(n_shown)]).gold_gain[0]) / best["heavy-tailed"][1],
    gold_many=float(heavy[-1]) / best["heavy-tailed"][1],
    parts=", ".join(f"{part:g}" for part in parts),
    least_share=min(sure[part].max() / most[part] for part in parts),
)
claims.record(
    claims.at_most(
        "regret-by-coverage",
        r"gold regret of χ²-pessimism against the best policy of coverage $C^*$, three errors, over $2\varepsilon\sqrt{C^*-1}$",
        "we derive, after H25",
        np.array(list(regret.values())),
        2.0 * error_sd * math.sqrt(coverage - 1.0),
        atol=1e-3,
    ),
    claims.true(
        "more-draws-do-not-hurt",
        "gold of χ²-pessimism under the heavy-tailed error never falls as draws grow",
        "H25; we derive",
        np.diff(gold["heavy-tailed", "χ²-pessimism"]) > -5e-3,
        must_hold=False,
    ),
    claims.at_most(
        "best-of-n-turns",
        "gold of best-of-N at the most draws over its best, heavy-tailed error",
        "H25, K24; we derive",
        heavy[-1] / heavy.max(),
        0.6,
        must_hold=freedom <= 2.5 and error_sd >= 1.0 and log2_top >= 12,
    ),
    claims.true(
        "light-tails-do-not-turn",
        "gold of best-of-N rises with every doubling under uniform and normal errors",
        "K24; we derive",
        np.concatenate([np.diff(gold[kind, "best-of-N"]) for kind in ("uniform", "normal")]) > 0.0,
    ),
    claims.at_most(
        "guarantee",
        "guarantee of best-of-N over the largest of any policy, uniform proxy, four errors",
        "we derive",
        np.array([sure[part].max() / most[part] for part in parts]),
        1.0 + 1e-3,
    ),
    claims.equal(
        "guarantee-formula",
        "best guarantee of best-of-N, but for the grid: by enumeration and in closed form",
        "we derive; M24",
        np.array([sure[part].max() for part in parts]),
        np.array([peaks[part][1] for part in parts]),
        atol=2e-3,
    ),
)

# %% [markdown]
# **Try:** `alignlib run optimal_or_not -p freedom 5 -o out.ipynb --html`. With a lighter tail best-of-$N$ loses less of its gold by the same number of draws.
