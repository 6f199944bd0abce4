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
# Do several reward models prevent {term}`over-optimisation`, how many are worth having, and can an {term}`ensemble` be worse than its members?
#
# :::{admonition} Answer
# :class: answer
# {{answer}}
# :::

# %% tags=["parameters"]
table: str | None = None  # responses scored by proxies and gold; without one, two made-up tables, existing file
prompt: str = "prompt_id"  # its column that names the prompt, any
scorers: list[str] = ["score_*"]  # its columns of proxies; * stands for any text, any
gold_column: str = "correct"  # its column of the reward that counts, any
drop_missing: bool = False  # go on without the samples that lack a finite value
best_of: int = 16  # N of best-of-N picked by the ensemble, in [2, 64]
largest: int = 16  # largest ensemble judged on gold, in [2, 64]
n_prompts: int = 120  # prompts of the made-up tables, in [20, 2000]
n_choices: int = 10  # random choices of members for each size, in [1, 200]
lam: float = 2.0  # inverse temperature of the tilts, in [0.1, 20]
n_outcomes: int = 40  # responses of the base model, in [5, 500]
error_size: float = 0.3  # standard deviation of a member's error in the exact part, in gold's, in [0.01, 3]
shared_part: float = 0.2  # share of that variance drawn as common to all members, in [0.01, 0.9]
members: int = 32  # largest ensemble of the exact part, in [4, 128]
n_draws: int = 300  # random ensembles for each size, in [50, 5000]
seed: int = 0  # seed of the random laws, >= 0

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import called
from alignlib.answers.hacking import members_of
from alignlib.tables import RewardTable

if table is not None:
    columns = [*scorers, gold_column]
    with called(reward="scorers, gold_column", ensemble="scorers", gold="gold_column"):
        given = RewardTable.read(table, prompt=prompt, reward=columns, drop_missing=drop_missing, min_samples=3)
        members_of(given, scorers, gold_column)

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib._core.safe_text import for_picture
from alignlib.answers.hacking import members_of
from alignlib.estimation import fit_frontier
from alignlib.hacking.ensemble_estimation import estimate_ensemble
from alignlib.hacking.ensembles import KINDS, ensemble_price, members_worth_having, small_error_regret
from alignlib.hacking.overoptimisation import tilting_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.hacking.proxy_table import on_one_scale
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
gold_rows = rng.standard_normal((n_prompts, 64))
shared_rows = rng.standard_normal(gold_rows.shape)


def made_up(own):
    scores = {f"m{k:02d}": gold_rows + error for k, error in enumerate(own)}
    return RewardTable.from_arrays(scores, gold=gold_rows), list(scores), "gold"


if table is None:
    normal = rng.standard_normal((largest, *gold_rows.shape))
    tables = {
        "normal errors, a fifth of them shared": made_up(np.sqrt(0.8) * normal + np.sqrt(0.2) * shared_rows),
        "heavy-tailed errors": made_up(rng.pareto(1.2, normal.shape)),
    }
else:
    given = RewardTable.read(
        table, prompt=prompt, reward=[*scorers, gold_column], drop_missing=drop_missing, min_samples=3
    )
    names = members_of(given, scorers, gold_column)
    tables = {for_picture(gold_column): (on_one_scale(given, names), names, gold_column)}
judged, ideal_gain = {}, {}
for title, (data, names, judge) in tables.items():
    drawn = min(best_of, int(data.n_samples.min()))
    options = {"rule": BestOfN(drawn), "n_choices": n_choices, "n_boot": 300, "rng": seed}
    sizes_judged = range(1, min(largest, len(names)) + 1)
    judged[title] = {
        kind: estimate_ensemble(data, names, judge, sizes=sizes_judged, kind=kind, **options) for kind in KINDS
    }
    ideal_gain[title] = float(fit_frontier(data, judge, n_boot=100, rng=seed).share(BestOfN(drawn)).gain[0])

# %% mystnb={"figure": {"caption": "Gold gained over the base model by best-of-{{drawn:d}} when an ensemble of K proxies picks, for four ways to combine their scores; 95 % intervals for the mean. Dotted: picked by gold itself.", "name": "fig-ensemble-gold"}, "image": {"alt": "One panel for each table, gold gain against the number of members: with normal errors all four rise and level off below the gain of gold itself; with heavy-tailed errors the mean gains little, median and minimum much."}} tags=["hide-input"]
fig, axes = plotting.new(rows=len(tables), height=3.0, squeeze=False)
labels = {"mean": "mean", "median": "median", "min": "minimum", "mean_minus_std": "mean - std"}
for ax, (title, kinds) in zip(axes[:, 0], judged.items(), strict=True):
    for kind, color, dash in zip(KINDS, plotting.CYCLE, ("-", "--", "-.", ":"), strict=False):
        ax.plot(kinds[kind].size, kinds[kind].gold_gain, dash, color=color, label=labels[kind])
    mean = kinds["mean"]
    ax.fill_between(
        mean.size, mean.gold_low, mean.gold_high,
        color=plotting.CYCLE[0], alpha=0.15, linewidth=0, label="_mean: 95 % interval",
    )  # fmt: skip
    ax.axhline(ideal_gain[title], color=plotting.BASE, linewidth=1, linestyle=":", label="_picked by gold itself")
    ax.set_ylim(min(0.0, float(mean.gold_low.min())), 1.12 * ideal_gain[title])
    plotting.name_axes(ax, "members K", "gold gained", title)
plotting.legend(axes[0, 0], loc="lower right", ncols=2)

# %% [markdown]
# {{steps_sentence}}
#
# Published experiments agree that ensembles help and that conservative combinations may help more than the mean {cite:p}`Coste2024`; the abstract of {cite:t}`P26` announces a proof
# that ensembling mitigates reward hacking. What can be proved, and of what?
#
# ## The theorem
#
# Members score $\hat r_k=r+e_k$; the mean ensemble has the error $\bar e=\frac1K\sum_k e_k$. Let $\pi^*$ be the {term}`tilt` by gold, $\hat\pi_k$ by member $k$ and $\hat\pi$ by the mean, all with the same
# $\lambda$.
#
# ```{prf:theorem} Averaging never hurts the divergence (Heskes 1997 on logarithmic opinion pools; in K: we derive)
# :label: thm-ensemble
#
# $\KL{\pi^*}{\hat\pi}=\frac1K\sum_k\KL{\pi^*}{\hat\pi_k}$ $-\frac1K\sum_k\KL{\hat\pi}{\hat\pi_k}$. So the mean ensemble is at most as far from $\pi^*$ as its members are on average, by exactly how far they
# are from it on average. For exchangeable members the expected divergence never rises with $K$, whatever the tails of the errors.
# ```
#
# ```{prf:proof}
# The tilt by a mean of rewards is the normalised geometric mean of the members' tilts, a logarithmic opinion pool, for which {cite:t}`Heskes1997` has the identity. For the second part write the mean of $K+1$ errors
# as the average of the $K+1$ means that leave one out, and use convexity of $e\mapsto\KL{\pi^*}{\hat\pi_e}$ $=\log\E_{\pi^*}e^{\lambda e}-\lambda\E_{\pi^*}e$.
# ```
#
# A divergence from the ideal policy is not gold. For small errors the step to {term}`regret` can be made:
#
# ```{prf:theorem} Small errors (new here, as far as we know)
# :label: thm-ensemble-small
#
# If every member has the error $s+u_k$ with a fixed $s$ and independent $u_k$ of equal law, mean 0 and finite variance on every response, the expected regret of the mean ensemble is
# $\frac\lambda2\bigl(\operatorname{Var}_{\pi^*}(s)+\tfrac1K\E\operatorname{Var}_{\pi^*}(u)\bigr)$ to leading order in the errors: it falls as $1/K$ down to the floor of the shared error.
# ```
#
# ```{prf:proof}
# Regret is $\beta\KL{\hat\pi}{\pi^*}$ ({prf:ref}`thm-proxy-gain`), to leading order $\frac\lambda2\operatorname{Var}_{\pi^*}(\bar e)$ by {prf:ref}`thm-proxy-gap`, for both
# divergences are half of $J$ then. Take the mean over the $u_k$: means of 0 leave no cross terms.
# ```

# %% tags=["hide-input"]
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

# %% mystnb={"figure": {"caption": "Regret of the mean of K proxies, averaged over {{n_draws:d}} draws: for independent errors, and for errors of which {{shared_seen:.0%}} of the variance under \u03c0* is shared. Dashed: the law for small errors. Line: the exact regret of the shared error alone, which infinitely many members would leave. {{n_outcomes:d}} responses, \u03bb = {{lam:g}}, errors {{error_size:g}} times as wide as gold.", "name": "fig-ensemble-size"}, "image": {"alt": "Regret against the number of members on logarithmic axes: one line falls as 1/K, the other levels off at a floor; dashed predictions lie close to both."}} tags=["hide-input"]
fig, ax = plotting.new()
plotting.points(
    ax, sizes, regret["independent"].mean(axis=1), color=plotting.THIRD, marker="D", label="independent errors"
)
plotting.points(ax, sizes, regret["shared"].mean(axis=1), label="partly shared errors")
independent = small_error_regret(lam, 0.0, own_variance, sizes)
ax.plot(sizes, independent, "--", color=plotting.THIRD, label="_independent errors, law for small errors")
ax.plot(sizes, predicted, "--", color=plotting.BEST_OF_N, label="_partly shared errors, law for small errors")
ax.axhline(floor, color=plotting.BOUND, linewidth=1, label="_the shared error alone")
ax.set_xscale("log", base=2)
ax.set_yscale("log")
plotting.legend(ax, loc="lower left")
plotting.name_axes(ax, "members K", "regularised regret")

# %% [markdown]
# The floor is {{floor:.4f}}; the law for small errors puts it at {{floor_law:.4f}}. {{worth:.0f}} members bring that law within a tenth of its floor: where {{shared_seen:.0%}} of a member's error is shared, more add next to
# nothing. It is the mean that has a floor: of {{n_draws:d}} single ensembles of {{size_last:d}}, {{below_floor:.0%}} have less regret, because their own errors happen to cancel the shared one.
#
# On gold, exactly and at the KL that each policy spends, one member reaches {{share_one:.1%}} of the {term}`limit` on average, {{size_last:d}} members {{share_last:.1%}} if errors are independent and
# {{share_shared:.1%}} if they are partly shared.
#
# ## When an ensemble is worse
#
# The regret $\beta\KL{\hat\pi}{\pi^*}$ is *not* convex in the error. With heavy-tailed errors (Student $t$, 1.5 degrees of freedom) each of four members is fooled by
# one response of its own, and their mean can be fooled by all four. "Worse" means: more regret than the members have on average.

# %% tags=["hide-input"]
prices = []
for _ in range(n_draws):
    r = rng.standard_normal(n_outcomes)
    prices.append(ensemble_price(r, r + rng.standard_t(1.5, (4, n_outcomes)), lam))
one_regret, mean_regret = (np.array([getattr(p, f) for p in prices]) for f in ("members_regret", "regret"))
divergences = np.array([(p.members_divergence, p.divergence) for p in prices])
worse = mean_regret > one_regret

# %% mystnb={"figure": {"caption": "Regret of a mean ensemble of four heavy-tailed proxies against the average regret of its members, {{n_draws:d}} draws. Above the line the ensemble is worse, in {{worse_share:.0%}} of the draws. In the divergence of the theorem it never is.", "name": "fig-ensemble-worse"}, "image": {"alt": "Scatter of ensemble regret against members' average regret with the diagonal; {{worse_share:.0%}} of points, drawn as crosses, lie above it."}} tags=["hide-input"]
fig, ax = plotting.new()
plotting.points(ax, one_regret[~worse], mean_regret[~worse], color=plotting.LIMIT, markersize=3.5, label="better")
plotting.points(ax, one_regret[worse], mean_regret[worse], marker="x", markersize=5, label="worse")
top = float(max(one_regret.max(), mean_regret.max()))
ax.plot([0, top], [0, top], color=plotting.BASE, linewidth=1, label="_equal regret")
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "members' regret on average", "ensemble's regret")

# %% [markdown]
# ## What it means
#
# An ensemble is worth as many members as have errors of their own. Estimate the shared and the own part from a sample that all members and gold have scored
# (`alignlib.hacking.error_split.split_error`) before you train the next one. Where single enormous errors are the trouble, averaging keeps them; the median is fooled only when half of the
# members are, the minimum only when all are. That the minimum does so well in the lower panel is owed to errors that only point upwards.
#
# ## Claims

# %% tags=["hide-input"]
expected = np.array(
    [[ProxyPair(gold, gold + one[:k].mean(axis=0)).divergence(lam) for one in draws[:50]] for k in sizes]
).mean(axis=1)

least = min(1.0, 0.03 / (lam * error_size))  # of these errors: what is left of them for the law for small ones
tiny = {
    name: np.array(
        [
            [ProxyPair(gold, gold + least * (one[:k].mean(axis=0) + add)).regret(lam) / least**2 for one in draws]
            for k in sizes
        ]
    )
    for name, add in (("independent", 0.0), ("shared", common))
}
spread = max(float((tiny[name].std(axis=1) / tiny[name].mean(axis=1)).max()) for name in tiny)
chance = 0.03 + 5.0 * spread / np.sqrt(n_draws)


def share_of_limit(error):
    curve = tilting_curve(ProxyPair(gold, gold + error), [lam])
    return float(curve.gold_gain[0] / curve.limit_gain[0])


shares = {
    name: [np.mean([share_of_limit(one[:k].mean(axis=0) + add) for one in draws[:50]]) for k in sizes]
    for name, add in (("independent", 0.0), ("shared", common))
}
found = list(judged.values())
if table is None:
    few, many = found[0]["mean"], found[1]
    answer = (
        f"They help, but cannot remove the error that their members share. With normal errors of which a fifth is shared, best-of-{best_of} gains "
        f"{few.gold_gain[0]:.2f} of gold with one proxy, {few.gold_gain[min(3, len(few.size) - 1)]:.2f} with "
        f"{few.size[min(3, len(few.size) - 1)]} and {few.gold_gain[-1]:.2f} with {few.size[-1]}, of {ideal_gain[next(iter(tables))]:.2f} "
        f"that gold itself would gain. With heavy-tailed errors the mean of {few.size[-1]} gains only "
        f"{many['mean'].gold_gain[-1]:.2f}, their median {many['median'].gold_gain[-1]:.2f}."
    )
else:
    one = found[0]["mean"]
    answer = (
        f"On this table best-of-{drawn} gains {one.gold_gain[0]:.3f} with one proxy, {one.gold_gain[-1]:.3f} "
        f"({one.gold_low[-1]:.3f} to {one.gold_high[-1]:.3f}) with the mean of {one.size[-1]}, of {ideal_gain[next(iter(tables))]:.3f} "
        "that gold itself would gain."
    )
claims.glue(
    answer=answer,
    drawn=drawn,
    steps_sentence=" ".join(
        f"{title[:1].upper()}{title[1:]}: the mean of all {kinds['mean'].size[-1]} gains {kinds['mean'].gold_gain[-1]:.2f} "
        f"({kinds['mean'].gold_low[-1]:.2f} to {kinds['mean'].gold_high[-1]:.2f}), one proxy "
        f"{kinds['mean'].gold_gain[0]:.2f}."
        for title, kinds in judged.items()
    ),
    worth=worth,
    worse_share=worse.mean(),
    shared_seen=shared_variance / (shared_variance + own_variance),
    floor=floor,
    floor_law=lam / 2 * shared_variance,
    size_last=sizes[-1],
    below_floor=np.mean(regret["shared"][-1] < floor),
    share_one=shares["independent"][0],
    share_last=shares["independent"][-1],
    share_shared=shares["shared"][-1],
)
claims.record(
    claims.at_most(
        "never-worse",
        "no mean ensemble is farther from the ideal policy, in divergence, than its members on average",
        "Heskes",
        divergences[:, 1],
        divergences[:, 0],
        atol=1e-12,
    ),
    claims.true(
        "monotone", "the expected divergence falls with the number of members", "we derive", np.diff(expected) < 0
    ),
    claims.equal(
        "one-over-k",
        "errors so small that the law is exact, independent: regret falls as 1/K",
        "we derive",
        tiny["independent"].mean(axis=1) / small_error_regret(lam, 0.0, own_variance, sizes),
        np.ones(len(sizes)),
        atol=chance,
    ),
    claims.equal(
        "floor",
        "errors so small that the law is exact, partly shared: regret of the largest ensemble is that law with its floor",
        "we derive",
        tiny["shared"].mean(axis=1)[-1] / predicted[-1],
        1.0,
        atol=chance,
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
        "mitigates-exactly",
        "on gold at equal KL, the exact share of the limit rises with every doubling of the members, independent or partly shared",
        "P26",
        np.diff(np.array(list(shares.values())), axis=1) > 0,
    ),
    claims.true(
        "mitigates",
        "on gold of best-of-N, the mean of all proxies of a table gains more than one proxy does, by more than its interval",
        "P26",
        [kinds["mean"].gold_low[-1] > kinds["mean"].gold_gain[0] for kinds in found],
        must_hold=False,
    ),
    claims.at_most(
        "can-be-worse",
        "with heavy tails an ensemble never has more regret than its members on average",
        "asked by us",
        mean_regret - one_regret,
        0.0,
        must_hold=False,
    ),
    *(
        [
            claims.at_least(
                "median",
                "with heavy-tailed errors the median of all proxies gains more gold than their mean",
                "we derive",
                found[1]["median"].gold_gain[-1],
                found[1]["mean"].gold_gain[-1],
            )
        ]
        if table is None
        else []
    ),
)

# %% [markdown]
# **Try:** `alignlib run ensembles -p error_size 2 -o out.ipynb --html`: the law for small errors no longer holds. Or judge scorers of yours: `alignlib run ensembles -p table TABLE -p scorers 'score_*' -p gold_column correct -o out.ipynb --html`.
