# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Ensembles of proxies
#
# Do several reward models mitigate hacking, how many are worth having, and can an ensemble be worse than its members?
#
# :::{admonition} Answer
# :class: answer
# They do, down to a floor: the mean of proxies is never farther from the ideal policy, in the divergence $\KL{\pi^*}{\hat\pi}$, than its members are on average, and small errors
# lose what the members do not share. Where {{shared_seen:.0%}} of a member's error is shared, {{worth:.0f}} members come within 10 % of the floor, and the rest add next to nothing. In *regret* a
# single ensemble of heavy-tailed proxies can be worse than its members are on average: {{worse_share:.0%}} of {{n_draws:d}} draws were.
# :::

# %% tags=["parameters"]
lam: float = 2.0  # inverse temperature of the tilts, in [0.1, 20]
n_outcomes: int = 40  # responses of the base model, in [5, 500]
error_size: float = 0.3  # standard deviation of a member's error, in gold's, in [0.01, 3]
shared_part: float = 0.2  # share of that variance drawn as common to all members, in [0.01, 0.9]
members: int = 32  # largest ensemble, in [2, 128]
n_draws: int = 300  # random ensembles for each size, in [50, 5000]
best_of: int = 16  # N of best-of-N where errors are heavy-tailed, in [2, 64]
seed: int = 0  # seed of the random laws, >= 0

# %% tags=["hide-input"]

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.hacking.ensemble_estimation import estimate_ensemble
from alignlib.hacking.ensembles import KINDS, ensemble_price, members_worth_having, small_error_regret
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable

# %% [markdown]
# ## The theorem
#
# Members score $\hat r_k=r+e_k$; the mean ensemble has the error $\bar e=\frac1K\sum_k e_k$.
#
# ```{prf:theorem} Averaging never hurts the divergence (we derive)
# :label: thm-ensemble
#
# $e\mapsto\KL{\pi^*}{\hat\pi_e}$ is convex. So the mean ensemble is at most as far from $\pi^*$ as its members are on average, and for exchangeable members the
# expected divergence never rises with $K$, whatever the tails of the errors.
# ```
#
# ```{prf:proof}
# $\KL{\pi^*}{\hat\pi_e}=\log\E_{\pi^*}e^{\lambda e}-\lambda\E_{\pi^*}e$ is a log-partition function minus a linear one. For the second part write the mean of $K+1$ errors
# as the average of the $K+1$ means that leave one out, and use convexity.
# ```
#
# ```{prf:theorem} Small errors (we derive)
# :label: thm-ensemble-small
#
# If every member has the error $s+u_k$ with a fixed $s$ and independent $u_k$ of equal law and mean 0 on every response, the expected regret of the mean ensemble is
# $\frac\lambda2\bigl(\operatorname{Var}_{\pi^*}(s)+\tfrac1K\E\operatorname{Var}_{\pi^*}(u)\bigr)$ to leading order in the errors: $1/K$ down to the floor of the shared error.
# ```
#
# ```{prf:proof}
# Regret is $\beta\KL{\hat\pi}{\pi^*}$ ({prf:ref}`thm-proxy-gain`), to leading order $\frac\lambda2\operatorname{Var}_{\pi^*}(\bar e)$ by {prf:ref}`thm-proxy-gap`, for both
# divergences are half of $J$ then. Take the mean over the $u_k$: means of 0 leave no cross terms.
# ```

# %%
rng = np.random.default_rng(seed)
gold = rng.standard_normal(n_outcomes)
sizes = [2**k for k in range(members.bit_length()) if 2**k <= members]
own, shared = error_size * np.sqrt([1 - shared_part, shared_part])
common = shared * rng.standard_normal(n_outcomes)
draws = own * rng.standard_normal((n_draws, members, n_outcomes))
regret = {
    name: np.array([[ProxyPair(gold, gold + one[:k].mean(axis=0) + add).regret(lam) for one in draws] for k in sizes])
    for name, add in (("independent", 0.0), ("shared", common))
}
star = np.exp(ProxyPair(gold, gold).ideal.log_policy(lam))
own_variance = own**2 * (1 - star @ star)
shared_variance = star @ common**2 - (star @ common) ** 2
predicted = small_error_regret(lam, shared_variance, own_variance, sizes)
worth = members_worth_having(shared_variance, own_variance)
floor = ProxyPair(gold, gold + common).regret(lam)

# %% mystnb={"figure": {"caption": "Mean regret of the mean ensemble over {{n_draws:d}} draws, for independent errors and for errors of which {{shared_seen:.0%}} of the variance under \u03c0* is shared, with the small-error law (dashed). Line: the exact regret of the shared error alone, where infinitely many members end. {{n_outcomes:d}} responses, \u03bb = {{lam:g}}, error {{error_size:g}}.", "name": "fig-ensemble-size"}, "image": {"alt": "Regret against the number of members on logarithmic axes: one line falls as 1/K, the other levels off at a floor; dashed predictions lie close to both."}} tags=["hide-input"]
fig, ax = plotting.new()
plotting.points(
    ax, sizes, regret["independent"].mean(axis=1), color=plotting.THIRD, marker="D", label="independent errors"
)
plotting.points(ax, sizes, regret["shared"].mean(axis=1), label="partly shared errors")
ax.plot(sizes, small_error_regret(lam, 0.0, own_variance, sizes), "--", color=plotting.THIRD)
ax.plot(sizes, predicted, "--", color=plotting.BEST_OF_N)
ax.axhline(floor, color=plotting.BOUND, linewidth=1)
ax.set_xscale("log", base=2)
ax.set_yscale("log")
plotting.legend(ax, loc="lower left")
plotting.name_axes(ax, "members K", "regularised regret")

# %% [markdown]
# The floor is {{floor:.4f}}, by the small-error law {{floor_law:.4f}}; {{worth:.0f}} members bring that law within a tenth of its floor. What counts is the share under $\pi^*$, {{shared_seen:.0%}} in
# this draw of a common part that was made to be {{shared_part:.0%}}. It is the mean that has a floor: of {{n_draws:d}} single ensembles of {{largest:d}}, {{below_floor:.0%}} have less regret, where the
# members' own errors happen to cancel the shared one.
#
# ## A draw where the ensemble is worse
#
# The regret $\beta\KL{\hat\pi}{\pi^*}$ is *not* convex in the error. With heavy-tailed errors (Student $t$, 1.5 degrees of freedom) each of four members is fooled by
# an outlier of its own, and their mean can be fooled by all of them. Worse means: more regret than the members have on average.

# %%
prices = []
for _ in range(n_draws):
    r = rng.standard_normal(n_outcomes)
    prices.append(ensemble_price(r, r + rng.standard_t(1.5, (4, n_outcomes)), lam))
one, mean = (np.array([getattr(p, f) for p in prices]) for f in ("members_regret", "regret"))
divergences = np.array([(p.members_divergence, p.divergence) for p in prices])
worse = mean > one

# %% mystnb={"figure": {"caption": "Regret of a mean ensemble of four heavy-tailed proxies against the average regret of its members, {{n_draws:d}} draws. Above the line the ensemble is worse: {{worse_share:.0%}} of draws. In the divergence KL(\u03c0*\u2016\u03c0\u0302) none is.", "name": "fig-ensemble-worse"}, "image": {"alt": "Scatter of ensemble regret against members' average regret with the diagonal; {{worse_share:.0%}} of points, drawn as crosses, lie above it."}} tags=["hide-input"]
fig, ax = plotting.new()
plotting.points(ax, one[~worse], mean[~worse], color=plotting.LIMIT, markersize=3.5, label="better")
plotting.points(ax, one[worse], mean[worse], marker="x", markersize=5, label="worse")
top = float(max(one.max(), mean.max()))
ax.plot([0, top], [0, top], color=plotting.BASE, linewidth=1)
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "members' regret on average", "ensemble's regret")

# %% [markdown]
# ## Mean, median, minimum, mean minus deviation
#
# Gold of best-of-{{best_of:d}} where every member adds an independent error with a Pareto tail (index 1.2) to normal gold: one enormous error of one member carries the
# mean, but not the median.

# %%
gold_rows = rng.standard_normal((120, 64))
scores = gold_rows + rng.pareto(1.2, (16, 120, 64))
columns = {f"m{k:02d}": score for k, score in enumerate(scores)}
table = RewardTable.from_arrays(columns, gold=gold_rows)
names = list(columns)
kinds = {
    kind: estimate_ensemble(table, names, "gold", rule=BestOfN(best_of), kind=kind, n_choices=10, n_boot=300, rng=seed)
    for kind in KINDS
}

# %% mystnb={"figure": {"caption": "Gold gained by best-of-{{best_of:d}} against the number of members, heavy-tailed errors, four ways to combine, with 95 % intervals over 120 prompts. With 16 members the median gains {{median_gain:.2f}}, the mean {{mean_gain:.2f}}.", "name": "fig-ensemble-kinds"}, "image": {"alt": "Gold gain against number of members: median and minimum rise well above the mean, which gains little."}} tags=["hide-input"]
fig, ax = plotting.new()
labels = {"mean": "mean", "median": "median", "min": "minimum", "mean_minus_std": "mean - std"}
for (kind, found), color, marker in zip(kinds.items(), plotting.CYCLE, "oDs^", strict=False):
    plotting.points(
        ax,
        found.size,
        found.gold_gain,
        color=color,
        marker=marker,
        low=found.gold_low,
        high=found.gold_high,
        label=labels[kind],
        linestyle="-",
    )
ax.set_xscale("log", base=2)
ax.set_xticks(kinds["mean"].size, [f"{k}" for k in kinds["mean"].size])
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "members K", "gold gained by best-of-N")

# %% [markdown]
# ## What it means
#
# An ensemble is worth as many members as have errors of their own. Estimate both parts from a sample scored by all members and by gold
# (`alignlib.hacking.error_split.split_error`) before you train the next one. Where outliers are the trouble, averaging keeps them; the median needs a majority
# to be fooled, the minimum all of them. That the minimum does so well here is owed to errors that only ever point upwards, and more members do not always help
# it or the mean minus the deviation.
#
# ## Claims

# %% tags=["hide-input"]
median_gain, mean_gain = (kinds[kind].gold_gain[-1] for kind in ("median", "mean"))
expected = np.array(
    [[ProxyPair(gold, gold + one[:k].mean(axis=0)).divergence(lam) for one in draws[:50]] for k in sizes]
).mean(axis=1)
claims.glue(
    worth=worth,
    worse_share=worse.mean(),
    median_gain=median_gain,
    mean_gain=mean_gain,
    shared_seen=shared_variance / (shared_variance + own_variance),
    floor=floor,
    floor_law=lam / 2 * shared_variance,
    largest=sizes[-1],
    below_floor=np.mean(regret["shared"][-1] < floor),
)
claims.record(
    claims.at_most(
        "never-worse",
        "no mean ensemble is farther from the ideal policy, in divergence, than its members on average",
        "we derive",
        divergences[:, 1],
        divergences[:, 0],
        atol=1e-12,
    ),
    claims.true(
        "monotone", "the expected divergence falls with the number of members", "we derive", np.diff(expected) < 0
    ),
    claims.equal(
        "one-over-k",
        "small independent errors: regret falls as 1/K (from 4 members on)",
        "we derive",
        regret["independent"].mean(axis=1)[2:],
        small_error_regret(lam, 0.0, own_variance, sizes)[2:],
        rtol=0.1,
        must_hold=error_size <= 0.3,
    ),
    claims.equal(
        "floor",
        "shared errors: regret of the largest ensemble is the small-error law with its floor",
        "we derive",
        regret["shared"].mean(axis=1)[-1],
        predicted[-1],
        rtol=0.2,
        must_hold=error_size <= 0.3,
    ),
    claims.at_least(
        "shared-remains",
        "shared errors: no size of ensemble has less regret on average than the shared error alone",
        "we derive",
        regret["shared"].mean(axis=1),
        floor,
        must_hold=False,
    ),
    claims.true(
        "mitigates",
        "ensembles mitigate: mean regret falls with every doubling of independent members",
        "P26",
        np.diff(regret["independent"].mean(axis=1)) < 0,
    ),
    claims.true(
        "can-be-worse",
        "with heavy tails some ensembles have more regret than their members on average",
        "we derive",
        [worse.any(), not worse.all()],
    ),
    claims.at_least(
        "median",
        "heavy-tailed errors: the median of all members gains more gold than their mean",
        "we derive",
        median_gain,
        mean_gain,
    ),
)

# %% [markdown]
# **Try:** `-p error_size 2`. The small-error law is gone; what has become of the share of shared error that matters?
