# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Win rates
#
# Rewards of two reward models cannot be compared: they have different units. How often a policy beats the {term}`base model` can. How large can that {term}`win rate` be for
# a given {term}`KL`?
#
# :::{admonition} Answer
# :class: answer
# Without {term}`ties <tie>` the largest win rate depends on the KL alone, whatever the reward: {{win_half:.1%}} at {{kl_shown:g}} nats. Best-of-{{n_shown:g}} wins
# {{win_shown:.1%}} of the time, within {{missed:.4f+}} of the largest win rate at its KL. With ties the largest win rate is smaller.
# :::

# %% tags=["parameters"]
kl_shown: float = 0.5  # KL that the answer quotes, in nats, in [0.01, 5]
n_shown: float = 4.0  # N that the answer quotes, in [1.1, 1000]
kl_top: float = 4.0  # largest KL drawn, in nats, in [1, 8]
success: float = 0.3  # base probability of a correct answer, in the example with ties, in [0.05, 0.95]
n_prompts: int = 80  # prompts of each drawn table of grades, in [20, 500]
n_samples: int = 16  # graded responses to each of them, in [6, 64]
n_tables: int = 30  # tables on which the intervals are tried, in [10, 200]
seed: int = 0  # of the tables, >= 0

# %% tags=["hide-input"]
import numpy as np

from _pages.beyond_coverage import counted
from alignbook import claims
from alignlib import plotting
from alignlib.estimation import fit_frontier
from alignlib.laws import FiniteLaw, Gaussian, largest_win_rate, win_rates
from alignlib.rules import BestOfN

# %% [markdown]
# ## The statements
#
# Let $Y'$ be a draw from the base model $p$. The win rate of a response $y$ is
#
# $$w(y)=\P\bigl(r(Y')<r(y)\bigr)+\tfrac12\P\bigl(r(Y')=r(y)\bigr),$$
#
# and that of a policy $\varphi$ is $\E_\varphi w$; the base model has $\frac12$. So the win rate is a mean reward, that of the reward $w$, and all that this book says of the limit holds
# for it. Without ties $w$ is uniform on $[0,1]$ under $p$, whatever $r$ is.
#
# ```{prf:theorem} One curve for all rewards
# :label: thm-win-rate-curve
#
# For every base model, reward and policy, $\E_\varphi w\le W(\KL\varphi p)$, where $W$ is the limit of a uniform reward on $[0,1]$:
#
# $$W=\frac1{1-e^{-\lambda}}-\frac1\lambda\quad\text{at}\quad\mathrm{KL}=\lambda W-\log\frac{e^\lambda-1}\lambda,\qquad\lambda>0.$$
#
# Without ties this is attained, by $\varphi\propto p\,e^{\lambda w}$. With ties the largest win rate at a KL is the limit of the reward $w$, which is no larger.
# ```
#
# ```{prf:proof}
# Without ties: {prf:ref}`thm-optimum` for the reward $w$, which is uniform. With ties, break them by a uniform number that is drawn with the response. Neither the KL nor the
# win rate of the policy changes, and the refined responses have no ties.
# ```
#
# The transform $r\mapsto w$ is the calibration of {cite:t}`I24`, who then train on a function of $w$ that they choose for the rule used at inference time; the limit here is that of $w$ itself. {cite:t}`Gui24` show that best-of-N is nearly optimal for the win rate at its KL, {cite:t}`B24` that its win rate is at most
# $\frac N{N+1}$, with equality without ties. The theorem makes policies trained on different reward models comparable: each has a win rate and a KL, and all lie
# below the same curve. What it compares is success by each model's own reward; it does not say which reward is worth having.

# %%
universal = win_rates(Gaussian())
curve = universal.frontier(kl_top * np.linspace(0, 1, 201) ** 2)
drawn = np.array([1.5, 2, 3, 4, 8, 16, 32, 64])
drawn = drawn[[BestOfN(n).spent_formula() < kl_top for n in drawn]]
best = [BestOfN(n).on(Gaussian()) for n in drawn]
best_kl = np.array([one.kl for one in best])
best_win = np.array([one.win_rate for one in best])
with_ties = {
    "right or wrong": FiniteLaw([0.0, 1.0], [1 - success, success]),
    "five grades": FiniteLaw([1, 2, 3, 4, 5], [0.1, 0.2, 0.4, 0.2, 0.1]),
}
tied = {name: win_rates(law).frontier(curve.spent) for name, law in with_ties.items()}

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "The largest win rate over the base model at each KL, up to {{kl_top:g}} nats: one curve for every reward without ties, and best-of-N beside it. With ties less is possible (right or wrong: the base model is right {{success:.0%}} of the time).", "name": "fig-win-rate-curve"}, "image": {"alt": "A concave curve from one half towards one, with the points of best-of-N just below it; two lower curves with ties become flat."}}
fig, ax = plotting.new(height=3.3)
plotting.curve(ax, curve.spent, curve.reward, "no ties", at=0.97 * kl_top, offset=(0, 5), ha="right")
ax.set_ylim(0.48, 1.06)
for (name, limit), color, style, dy in zip(
    tied.items(), (plotting.THIRD, plotting.BOUND), ("--", "-."), (-15, -15), strict=True
):
    plotting.curve(
        ax, limit.spent, limit.reward, name, color=color, linestyle=style, at=0.97 * kl_top, offset=(0, dy), ha="right"
    )
plotting.points(ax, best_kl, best_win, [f"{n:g}" if n in (2, 4, 16) else "" for n in drawn], label="best-of-N")
plotting.name_axes(ax, plotting.KL_LABEL, "win rate")
plotting.legend(ax, loc="lower right", bbox_to_anchor=(1.0, 0.12))

# %% [markdown]
# {numref}`fig-win-rate-curve` shows how little best-of-N misses. {numref}`fig-win-rate-missed` shows the difference: it is largest near $N=2$ and falls steeply after.

# %%
many = np.geomspace(1.05, 64, 60)
spent = np.array([BestOfN(n).spent_formula() for n in many])
missed = universal.frontier(spent).reward - many / (many + 1)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "By how much best-of-N without ties misses the largest win rate at its KL.", "name": "fig-win-rate-missed"}, "image": {"alt": "A curve against N that rises to about one hundredth near N = 2 and falls steeply after."}}
fig, ax = plotting.new()
ax.set_xscale("log", base=2)
ax.set_yscale("log")
ax.plot(many, missed)
plotting.name_axes(ax, "N", "win rate missed")

# %% [markdown]
# ## From samples
#
# Without ties nothing has to be estimated: the curve is the same for every table, and best-of-N wins $\frac N{N+1}$ of the time. With ties the chances of the grades are
# estimated from each prompt's samples. The best-of-N of $n>N$ samples has an estimate without bias: each sample in turn is the base draw, and the mean is over all choices of $N$ others.
# The limit is that of the estimated grades, with its bias of order $\frac1n$ removed by leaving out one sample at a time; its interval is over prompts and never above the curve without ties.
#
# {numref}`fig-win-rate-sampled` shows one table of {{n_prompts:d}} prompts with {{n_samples:d}} graded responses each; prompts differ in how often each grade is given. On
# {{n_tables:d}} such tables the intervals of {{level:.0%}} hold the exact limit in {{held_limit:.0%}} of {{tried_limit:d}} cases that the samples support, and the exact win rate
# of best-of-{{whole_n:d}} in {{held_best:.0%}} of the tables. `python -m benchmarks.coverage` counts on other laws: {{n_kinds:d}} kinds, half of them drawn by a
# rule, on {{n_counted:d}} tables or more of {{counted_shape}}. There {{counted_limit:.1%}} of the claimed intervals hold for the limit and {{counted_best:.1%}} for best-of-4. Against an opponent, on {{kinds_against:d}} kinds and {{n_against:d}} tables or more of {{shape_against}}, {{counted_rise:.1%}} hold for the limit and {{counted_wins:.1%}} for best-of-4's win rate.
# On {{whole_against}} each kind was tried on 300 tables or more. Of {{cells_against:d}} cells there (a statement on a kind and a shape) {{below_against:d}} hold in fewer than 90 % of the tables that claim them, {{above_against:d}} in more than 99 %, and none is wrong on more than {{misled_against:.1%}} of its tables.
# The fewest hold for {{counted_where}}: {{counted_weakest}}. On a table of your own:
#
# ```console
# $ alignlib frontier scores.csv --reward grade --win-rate --kl 0.1,0.5 -o wins.png
# $ alignlib frontier scores.csv --reward grade --opponent other.csv
# ```
#
# The second command counts wins over the responses of a fixed opponent, another model or a person, to the same prompts. How often a response beats those is a reward like any other,
# and best-of-N's mean of it has no bias; the answer gives the win rate of every rule, with an interval. Its limit has one: with few responses of the opponent to each prompt, it is the limit against these very responses.

# %%
rng = np.random.default_rng(seed)
kinds = rng.dirichlet([1.0, 2.0, 4.0, 2.0, 1.0], size=12)  # how often each grade is given
tries = np.array([0.1, 0.3])


def draw_grades() -> np.ndarray:
    return np.stack([rng.choice(5, p=kinds[k], size=n_samples) for k in rng.integers(12, size=n_prompts)]).astype(float)


def exact_limit(kl: np.ndarray) -> np.ndarray:
    tilts = np.geomspace(0.02, 200.0, 3000)
    free = np.mean([win_rates(FiniteLaw(np.arange(5.0), p)).reverse_kl(tilts) for p in kinds], axis=0)
    return 0.5 + np.array([np.min((one + free) / tilts) for one in kl])


whole_n = max(2, round(min(n_shown, n_samples - 1)))
exact_best = np.mean([BestOfN(whole_n).on(FiniteLaw(np.arange(5.0), p)).win_rate for p in kinds])
truth, held, best_held = exact_limit(tries), [], []
for _ in range(n_tables):
    fit = fit_frontier(draw_grades(), win_rate=True, n_boot=100, rng=rng)
    at = fit.at(tries, strict=False)
    low, high = 0.5 + at.gain_low, 0.5 + at.gain_high
    held += ((low <= truth) & (truth <= high))[at.supported].tolist()
    one = fit.share(BestOfN(whole_n))
    best_held.append(bool(one.gain_low[0] <= exact_best - 0.5 <= one.gain_high[0]))
shown = fit.frontier

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The largest win rate at each KL, estimated from one table of grades, with its interval as far as the samples support it: below the curve without ties.", "name": "fig-win-rate-sampled"}, "image": {"alt": "A solid curve with a narrow band on top of the dashed exact curve, both a little below a dotted curve without ties."}}
fig, ax = plotting.new()
ax.plot(shown.spent, largest_win_rate(shown.spent), color=plotting.BASE, linestyle=":", label="without ties")
ax.plot(shown.spent, exact_limit(shown.spent), color=plotting.THIRD, linestyle="--", label="exact, with ties")
ax.plot(shown.spent, shown.reward, color=plotting.LIMIT, linewidth=1.2, label="from samples")
ax.fill_between(shown.spent, 0.5 + shown.gain_low, 0.5 + shown.gain_high, color=plotting.LIMIT, alpha=0.25, linewidth=0)
plotting.name_axes(ax, plotting.KL_LABEL, "win rate")
plotting.legend(ax, loc="lower right")

# %% [markdown]
# ## What it means
#
# A win rate says less than a mean reward: it does not count by how much a response is better. For that it needs no units, takes grades and any order of responses, and has a limit
# that is known before any reward is seen. A method that claims more than {{win_half:.1%}} wins over its own base model at {{kl_shown:g}} nats per response, by the scores of
# any judge that scores responses one by one, has made a mistake in one of the two numbers. (Averaged over prompts, both numbers are averages, and the curve, being concave, still bounds them.)
#
# ## Claims

# %% tags=["hide-input"]
lam = np.geomspace(0.01, 50.0, 40)


def reached(n: float) -> float:
    return float(universal.frontier([BestOfN(n).spent_formula()]).reward[0])


rng = np.random.default_rng(0)
policies = rng.dirichlet(np.full(5, 0.5), size=200)
grades = with_ties["five grades"]
policy_wins = policies @ win_rates(grades).reward
policy_kl = np.array([float(row[row > 0] @ np.log(row[row > 0] / grades.prob[row > 0])) for row in policies])
by_law = counted("win rate")
claims.glue(
    n_kinds=counted("^largest win rate in kl").laws,
    kinds_against=counted("over an opponent").laws,
    n_counted=counted("^largest win rate in kl|^win rate of best-of-4$").tables_low,
    counted_shape=counted("^largest win rate in kl|^win rate of best-of-4$").shapes,
    n_against=counted("over an opponent").tables_low,
    shape_against=counted("over an opponent").shapes,
    whole_against=counted("over an opponent").whole,
    cells_against=counted("over an opponent").cells,
    below_against=counted("over an opponent").below,
    above_against=counted("over an opponent").above,
    misled_against=counted("over an opponent").misled,
    counted_limit=counted("^largest win rate in kl").held,
    counted_best=counted("^win rate of best-of-4$").held,
    counted_rise=counted("^largest rise").held,
    counted_wins=counted("^win rate of best-of-4 over").held,
    counted_where=by_law.where.replace("chi2", "χ²").replace("in kl", "in KL"),
    counted_weakest=by_law.weakest,
    win_half=float(universal.frontier([kl_shown]).reward[0]),
    win_shown=n_shown / (n_shown + 1.0),
    missed=reached(n_shown) - n_shown / (n_shown + 1.0),
    level=fit.level,
    held_limit=float(np.mean(held)),
    tried_limit=len(held),
    held_best=float(np.mean(best_held)),
    whole_n=whole_n,
)
claims.record(
    claims.equal(
        "universal-curve",
        r"win rate and KL of $p\,e^{\lambda w}$ against the formula of the theorem",
        "we derive",
        np.concatenate([universal.mean_reward(lam), universal.kl(lam)]),
        np.concatenate(
            [
                1 / -np.expm1(-lam) - 1 / lam,
                lam * (1 / -np.expm1(-lam) - 1 / lam) - np.log(np.expm1(lam) / lam),
            ]
        ),
        rtol=1e-8,
    ),
    claims.equal(
        "many-responses",
        "limit of 2,000 responses of different normal rewards against the curve",
        "we derive",
        win_rates(FiniteLaw(rng.normal(size=2000))).frontier([0.1, 0.5, 2.0]).reward,
        universal.frontier([0.1, 0.5, 2.0]).reward,
        rtol=1e-4,
    ),
    claims.equal(
        "best-of-n-wins",
        r"win rate of best-of-N without ties is $\frac N{N+1}$",
        "B24",
        best_win,
        drawn / (drawn + 1.0),
        rtol=1e-9,
    ),
    claims.at_most(
        "best-of-n-below",
        "best-of-N's win rate over the largest at its KL",
        "Gui24",
        best_win / np.array([reached(n) for n in drawn]),
        1.0,
    ),
    claims.at_most(
        "ties-lower-the-curve",
        "limit with ties over the curve, at every KL drawn",
        "we derive",
        np.concatenate([limit.reward / curve.reward for limit in tied.values()]),
        1.0 + 1e-12,
    ),
    claims.equal(
        "tabulated-curve",
        "the tabulated curve against the limit of the uniform law",
        "we derive",
        largest_win_rate(np.linspace(0.0, 8.0, 50)),
        universal.frontier(np.linspace(0.0, 8.0, 50)).reward,
        atol=1e-12,
    ),
    claims.at_least(
        "intervals-of-the-limit",
        "share of tables whose interval holds the exact limit with ties",
        "we measure",
        float(np.mean(held)),
        0.85,
        must_hold=False,
    ),
    claims.at_least(
        "intervals-of-best-of-n",
        "share of tables whose interval holds best-of-N's exact win rate",
        "we measure",
        float(np.mean(best_held)),
        0.8,
        must_hold=False,
    ),
    claims.at_most(
        "any-policy",
        "win rates of random policies over the curve at their KL, five grades",
        "we derive",
        policy_wins / universal.frontier(policy_kl).reward,
        1.0,
    ),
)

# %% [markdown]
# **Try:** `alignlib run win_rates -p n_shown 8 -o out.ipynb --html`. Best-of-8 misses less than a thousandth of the largest win rate.
