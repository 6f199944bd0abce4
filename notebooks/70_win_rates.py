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

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import FiniteLaw, Gaussian, win_rates
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
# The transform $r\mapsto w$ is the calibration of {cite:t}`I24`. {cite:t}`Gui24` show that best-of-N is nearly optimal for the win rate at its KL, {cite:t}`B24` that its win rate is at most
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
fig, ax = plotting.new()
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
claims.glue(
    win_half=float(universal.frontier([kl_shown]).reward[0]),
    win_shown=n_shown / (n_shown + 1.0),
    missed=reached(n_shown) - n_shown / (n_shown + 1.0),
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
