# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Gold from a correlation
#
# Often all that is known of the {term}`gold` reward is how well a {term}`proxy` correlates with it, from a few hundred judged responses. What can then be promised of a {term}`policy` that the
# proxy picks?
#
# :::{admonition} Answer
# :class: answer
# A range, and no smaller one. With a correlation of {{correlation:g}}, best-of-{{n_shown:d}} by a normal proxy gains between {{low_shown:.2f}} and {{high_shown:.2f}} standard deviations of
# gold. The largest gain that can be promised is {{most_promised:.2f}}, at $N={{n_best:d}}$; from $N={{n_lost:d}}$ on gold may fall.
# :::

# %% tags=["parameters"]
correlation: float = 0.7  # correlation of proxy and gold under the base model, in [0.1, 0.99]
n_shown: int = 4  # N that the answer quotes, in [2, 64]
n_max: int = 256  # largest N drawn, in [64, 4096]
n_prompts: int = 60  # prompts of the sampled table, in [10, 500]
n_samples: int = 32  # responses to each of them, in [8, 128]
n_judged: int = 5  # responses to each prompt of which gold is known, in [2, 8]
seed: int = 0  # of the sampled table, >= 0

# %% tags=["hide-input"]
import math

import numpy as np
import scipy

from _pages.beyond_coverage import counted
from alignbook import claims
from alignlib import plotting
from alignlib.divergences import CHI_SQUARED
from alignlib.estimation import fit_frontier
from alignlib.hacking import gold_range, gold_range_at_kl, measure_gold, promise_gold
from alignlib.laws import Gaussian
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable

# %% [markdown]
# ## The statement
#
# Let $\rho$ be the correlation of gold $r$ and proxy $\hat r$ under the {term}`base model` $p$, and $\sigma$, $\hat\sigma$ their standard deviations. For a policy $\varphi$ write $G$ and $\hat G$ for its gains in
# gold and proxy over $p$, and $\chi^2=\E_p(\varphi/p-1)^2$, the {term}`chi-squared divergence`.
#
# ```{prf:theorem} Gold from a correlation
# :label: thm-gold-from-correlation
#
# For every policy,
#
# $$\Bigl|\frac G\sigma-\rho\,\frac{\hat G}{\hat\sigma}\Bigr|\le\sqrt{1-\rho^2}\,\sqrt{\chi^2(\varphi\Vert p)-\frac{\hat G^2}{\hat\sigma^2}}.$$
#
# Let $v$ be the part of $\varphi/p$ orthogonal to the constants and the proxy. If $v\ne0$, for every $\rho$ some gold reward reaches either end; where $\varphi/p$ is a function of the proxy, so is that gold reward. If $v=0$, the right side
# is 0, and every gold reward of that correlation, if there is one, gains just that. So it is under the optimum in χ² for the proxy, where no response is dropped, and for every policy by a proxy with two values.
# ```
#
# ```{prf:proof}
# Standardise both rewards under $p$, and let $h=\varphi/p-1$, which has mean 0. In the space of such functions with $\langle a,b\rangle=\E_pab$, split gold and $h$ into their parts along $\hat r$ and orthogonal to it:
# $r=\rho\hat r+\sqrt{1-\rho^2}\,u$ and $h=\hat G\hat r+v$, with $\E_pv^2=\chi^2-\hat G^2$. Then $G=\langle r,h\rangle=\rho\hat G+\sqrt{1-\rho^2}\,\langle u,v\rangle$, and Cauchy–Schwarz. There is equality
# for $u=\pm v/\lVert v\rVert$, if $v\ne0$; this $u$ has mean 0 and length 1 and is orthogonal to $\hat r$, so that $r$ has correlation $\rho$ with it. If $v=0$, $G=\rho\hat G$; gold of correlation $\rho\ne\pm1$ then takes some other $u$, and with two responses there is none.
# On two values every function of the proxy is a line. The optimum in χ² has $h$ proportional to $\hat r$ ({prf:ref}`thm-chi-squared-gain`), so $v=0$.
# ```
#
# With several prompts, take $p$ as the joint law of prompt and response and centre both rewards within each prompt: $\rho$ is then the mean covariance within prompts over the root of the two mean
# variances, and $\chi^2$ the mean over prompts. {cite:t}`L24` bound the gold gain from below by a correlation and the whole $\chi^2$ of the policy; the theorem leaves out
# the part of $\chi^2$ that the proxy's own gain takes, has an upper end, and is attained where $v\ne0$, so that no bound in these quantities is sharper. It is Cauchy–Schwarz.
#
# ## Best-of-N by a normal proxy
#
# Best-of-$N$ without ties has $\chi^2=\frac{(N-1)^2}{2N-1}$, which grows like $\frac N2$, while its gain in a normal proxy grows like $\sqrt{2\log N}$. So the range opens: with a large $N$ nothing is promised.

# %%
law = Gaussian()
drawn = np.unique(np.round(np.geomspace(1, n_max, 60)))
best = [BestOfN(n).on(law) for n in drawn]
gain = np.array([one.gain for one in best])
chi = np.array([BestOfN(n).spent_formula(CHI_SQUARED) for n in drawn])
low, high = gold_range(correlation, gain, chi)

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "Gold gain of best-of-N by a normal proxy, in standard deviations of gold, if the correlation of the two is {{correlation:g}}: every value in the band is that of some gold. The line is gold that is jointly normal with the proxy.", "name": "fig-gold-range"}, "image": {"alt": "A band against N that opens around a slowly rising line: its lower end rises at first, then falls below zero."}}
fig, ax = plotting.new(height=3.3)
ax.set_xscale("log", base=2)
ax.fill_between(drawn, low, high, color=plotting.LIMIT, alpha=0.2, linewidth=0, label="all that the correlation allows")
ax.plot(drawn, low, color=plotting.LIMIT, label="promised")
ax.plot(drawn, correlation * gain, color=plotting.BEST_OF_N, linestyle="--", label="jointly normal")
ax.axhline(0.0, color=plotting.BASE, linewidth=1, label="_nothing gained")
ax.set_ylim(-2.0, 4.0)
plotting.name_axes(ax, "N", "gold gain, standard deviations")
plotting.legend(ax, loc="upper left")

# %% [markdown]
# ## If tails are light
#
# χ² charges for the few responses on which $\varphi/p$ is large, because gold may be extreme just there. Where it cannot be, KL says more. Let $u$ be the rest of gold on the proxy, of length 1.
#
# ```{prf:proposition} Gold from a correlation and a light tail
# :label: prop-gold-light-tail
#
# If $\log\E_pe^{\lambda u}\le\frac{s^2\lambda^2}2$ for all $\lambda$, then $\bigl|\frac G\sigma-\rho\frac{\hat G}{\hat\sigma}\bigr|\le s\sqrt{1-\rho^2}\,\sqrt{2\,\mathrm{KL}(\varphi\Vert p)}$. If
# $\log\E_pe^{a\hat r+bu}\le\frac{t^2a^2+s^2b^2}2$ for the standardised proxy $\hat r$ and all $a,b$, the last root may be $\sqrt{2\,\mathrm{KL}(\varphi\Vert p)-\hat G^2/(t\hat\sigma)^2}$; under jointly normal rewards ($s=t=1$) some policy
# reaches either end.
# ```
#
# ```{prf:proof}
# $a\hat G+b\E_\varphi u\le\mathrm{KL}(\varphi\Vert p)+\log\E_pe^{a\hat r+bu}$ for all $a$, $b$ (Donsker and Varadhan), with $\hat\sigma=1$. For the first part take $a=0$, for the second the best $a$ and $b$. Under normal rewards a tilt by $a\hat r+bu$
# moves them by $a$ and $b$ and spends $\frac{a^2+b^2}2$.
# ```
#
# Best-of-$N$ spends only $\log N-\frac{N-1}N$ nats. At $N={{n_max:d}}$ with a normal proxy the correlation alone promises {{low_far:.2f}} standard deviations of gold; with $s=1$ for the rest
# {{low_rest:.2f}} are promised, and with $s=t=1$ for both together {{low_joint:.2f}}. That tails are so light is an assumption on responses that a table does not show, and the command does not make it.
#
# ## From a table and a few judged rows
#
# `alignlib frontier TABLE --reward proxy --gold-correlation 0.7,0.6,0.8` prints this range for best-of-$N$ and for tilts by a proxy on the reader's own responses, for every correlation between the last two numbers and with
# the error of the table. `--gold-table FILE` measures the correlation on the rows of which gold is known, with an interval over prompts. The two errors each get half of what the confidence leaves, so that
# both hold together. The confidence of 95 % is for proxies whose tail is no heavier than exponential: on {{n_tables:d}} tables of {{few_prompts:d}} prompts with {{few_samples:d}} responses the promise of best-of-4 held in
# {{held_exponential:.0%}} for an exponential proxy, and in {{held_lognormal:.0%}} for a lognormal one whose logarithm has a standard deviation of {{log_sd:g}}: most of its variance such a table does not show. The command says so where the proxy's kurtosis is large.
# `python -m benchmarks.coverage` counts on {{n_kinds:d}} other kinds of law, half of them drawn by a rule: {{n_counted:d}} tables or more of {{counted_shape}}. Where the command does not warn, the ranges hold the gold of best-of-4 in {{counted_promise:.1%}} of the tables, and with gold on few rows in
# {{counted_few:.1%}}: wider than they need be. On {{counted_whole}} each kind was tried on 300 tables or more, and {{counted_above:d}} of {{counted_cells:d}} cells (a statement on a kind and a shape) hold in more than 99 % of the tables that claim them: gain and χ² each get half of the error, and the ends are those of the worst and
# the best gold of all. The interval of the correlation itself, at 97.5 %, holds in {{counted_correlation:.1%}}, least often for {{counted_where}}: {{counted_weakest}}. Where many judged prompts show one value of the proxy each, as with rare successes, their rows tell nothing of gold that turns against it there; the command says so.
#
# Here gold is known on {{n_judged:d}} responses to each of {{n_prompts:d}} prompts; on the other {{n_hidden:d}} responses to each it is hidden from the estimate, and shown in {numref}`fig-gold-promise`
# as dots. Gold falls again where the proxy is far above what is usual.

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
proxy = rng.standard_normal((n_prompts, n_samples))
gold = np.where(proxy < 1.0, proxy, 2.0 - proxy) + 0.5 * rng.standard_normal(proxy.shape)
judged = RewardTable.from_arrays(reward=proxy[:, :n_judged], gold=gold[:, :n_judged])
subset = measure_gold(judged, "reward", "gold", level=0.975)
rules = BestOfN.along([2.0, 4.0, 8.0])
fit = fit_frontier(proxy)
promise = promise_gold(fit, subset.range, rules=rules, kl=[1e-9], level=0.975)
hidden = fit_frontier(RewardTable.from_arrays(reward=proxy, gold=gold), "reward").gold("gold", rules)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold gain of best-of-N from {{n_judged:d}} judged responses a prompt: what is promised with 95 % confidence (bars), and what gold on all responses says (dots).", "name": "fig-gold-promise"}, "image": {"alt": "Three bars for N of 2, 4 and 8 that widen with N; the dots lie inside."}}
fig, ax = plotting.new()
size = np.arange(3)
ends = np.array([promise.promised[:3], promise.most[:3]])
ax.vlines(size, ends[0], ends[1], color=plotting.LIMIT, linewidth=6, alpha=0.4, label="promised, 95 % confidence")
ax.plot(size, hidden.gold_gain / subset.gold_sd, "o", color=plotting.BEST_OF_N, label="with all gold")
ax.set_xticks(size, [f"N = {rule.n:g}" for rule in rules])
ax.axhline(0.0, color=plotting.BASE, linewidth=1, label="_nothing gained")
plotting.name_axes(ax, "", "gold gain, standard deviations")
plotting.legend(ax)

# %% [markdown]
# ## What it means
#
# A correlation is a statement on usual responses. Optimisation asks about unusual ones, and there gold may do anything that the correlation leaves room for: with $\rho={{correlation:g}}$, a share
# $1-\rho^2={{unexplained:.2f}}$ of gold's variance. The bound says how much room that is for each policy, and the smaller χ² is for the same proxy gain, the less. That is the case for pessimism in χ² ({cite:t}`H25`):
# its optimum gains exactly $\rho\sigma\sqrt{\chi^2}$ of gold, whatever gold is, as long as no response is dropped.
#
# A promise of nothing is no prediction of a loss. To be told more, judge responses that the policy picks, not more of the usual ones.
#
# ## Claims

# %% tags=["hide-input"]
draws = np.random.default_rng(1)
outside = []
for _ in range(500):
    k = int(draws.integers(2, 8))
    p, phi = draws.dirichlet(np.ones(k)), draws.dirichlet(np.full(k, 0.5))
    both = draws.normal(size=(2, k))
    both -= (both @ p)[:, None]
    both /= np.sqrt(both**2 @ p)[:, None]
    rho = float(np.clip(p @ (both[0] * both[1]), -1, 1))
    chi_here, gains = float(p @ (phi / p - 1) ** 2), both @ (phi - p)
    ends_here = gold_range(rho, gains[1], chi_here)
    outside.append(max(ends_here[0] - gains[0], gains[0] - ends_here[1]) / (1.0 + chi_here))
shown = BestOfN(n_shown).on(law).gain
shown_low, shown_high = gold_range(correlation, shown, BestOfN(n_shown).spent_formula(CHI_SQUARED))
ratio = np.exp(np.linspace(-1.0, 1.0, 5))
p = np.full(5, 0.2)
phi = p * ratio / (p @ ratio)
x = np.array([-2.0, 0.5, 1.0, -0.5, 1.0]) / math.sqrt(1.3)
h = phi / p - 1.0
v = h - (p @ (h * x)) * x
reached = correlation * x - math.sqrt(1 - correlation**2) * v / math.sqrt(p @ v**2)


def promised(n: float) -> float:
    spent = BestOfN(n).spent_formula(CHI_SQUARED)
    return float(gold_range(correlation, BestOfN(n).on(law).gain, spent)[0])


whole_low = np.array([promised(n) for n in range(1, 201)])
holds, fails = 1 + int(whole_low.argmax()), 2**20  # the lower end rises, then falls
while fails - holds > 1:
    middle = (holds + fails) // 2
    holds, fails = (middle, fails) if promised(middle) >= 0.0 else (holds, middle)
n_tables, few_prompts, few_samples, log_sd = 100, 40, 12, 1.5
uniform = (np.arange(400_000) + 0.5) / 400_000
held = {}
for name, quantile, variance in (
    ("exponential", -np.log1p(-uniform), 1.0),
    ("lognormal", np.exp(log_sd * scipy.special.ndtri(uniform)), math.exp(log_sd**2) * math.expm1(log_sd**2)),
):
    of_four = float((4.0 * uniform**3 - 1.0) @ quantile) / uniform.size / math.sqrt(variance)
    worst = float(gold_range(correlation, of_four, BestOfN(4).spent_formula(CHI_SQUARED))[0])
    tables = np.random.default_rng([seed, 1])
    kept = 0
    for _ in range(n_tables):
        shape = few_prompts, few_samples
        rows = tables.exponential(size=shape) if name == "exponential" else tables.lognormal(sigma=log_sd, size=shape)
        one = fit_frontier(rows, n_boot=200)
        kept += bool(promise_gold(one, correlation, rules=[BestOfN(4)], kl=[1e-9]).promised[0] <= worst)
    held[name] = kept / n_tables
far = float(drawn[-1])
spent_far = BestOfN(far).spent_formula()
low_rest, low_joint = (
    float(gold_range_at_kl(correlation, gain[-1], spent_far, proxy_tail=tail)[0]) for tail in (None, 1.0)
)
claims.glue(
    n_kinds=counted("gold").laws,
    n_counted=counted("gold").tables_low,
    counted_shape=counted("gold").shapes,
    counted_promise=counted("^(?:gold promised|most gold) from").held,
    counted_few=counted("^gold from few rows").held,
    counted_correlation=counted("^correlation from few rows").held,
    counted_where=counted("^correlation from few rows").where.partition(" on ")[2],
    counted_weakest=counted("^correlation from few rows").weakest,
    counted_whole=counted("gold promised|most gold|gold from few").whole,
    counted_cells=counted("gold promised|most gold|gold from few").cells,
    counted_above=counted("gold promised|most gold|gold from few").above,
    low_far=float(low[-1]),
    low_rest=low_rest,
    low_joint=low_joint,
    n_tables=n_tables,
    few_prompts=few_prompts,
    few_samples=few_samples,
    log_sd=log_sd,
    held_exponential=held["exponential"],
    held_lognormal=held["lognormal"],
    low_shown=float(shown_low),
    high_shown=float(shown_high),
    most_promised=float(whole_low.max()),
    n_best=1 + int(whole_low.argmax()),
    n_lost=fails,
    unexplained=1.0 - correlation**2,
    n_hidden=n_samples - n_judged,
)
claims.record(
    claims.at_most(
        "gold-range-holds",
        "how far gold gains of random laws, rewards and policies lie outside the range, relative to 1 + χ²",
        "we derive",
        np.array(outside),
        1e-9,
    ),
    claims.equal(
        "gold-range-reached",
        "gold gain of the gold that the proof constructs against the lower end",
        "we derive",
        float((phi - p) @ reached),
        gold_range(correlation, float((phi - p) @ x), float(p @ h**2))[0],
        rtol=1e-9,
    ),
    claims.equal(
        "chi-squared-optimum-known",
        "width of the range under policies 1 + c(proxy - mean), which are optimal in χ²",
        "we derive; H25 for the policy",
        np.subtract(*gold_range(correlation, np.array([0.1, 0.4]), np.array([0.1, 0.4]) ** 2)),
        0.0,
        atol=1e-9,
    ),
    claims.at_least(
        "light-tails-promise-more",
        "what light tails of gold's rest promise at the largest N drawn, and of proxy and rest together, over what the correlation alone does",
        "we derive",
        np.array([low_rest, low_joint]),
        float(low[-1]),
    ),
    claims.true(
        "normal-gold-inside",
        "jointly normal gold gains ρ times the proxy's gain, inside the range",
        "we derive",
        (low <= correlation * gain + 1e-12) & (correlation * gain <= high + 1e-12),
    ),
)

# %% [markdown]
# **Try:** `alignlib run gold_from_a_correlation -p correlation 0.9 -o out.ipynb --html`. More is promised, at a larger $N$.
