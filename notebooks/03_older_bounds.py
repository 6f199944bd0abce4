# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How loose is √KL?
#
# Gains in reward are often said to grow like the square root of the {term}`KL` {term}`budget`. How far is that from the exact limit?
#
# :::{admonition} Answer
# :class: answer
# For a Gaussian reward the square root is exact. For a 0/1 reward that the base model gets right {{success_percent:g}} % of the time, the best-known
# bound, $\sqrt{\Delta/2}$, is {{hoeffding_ratio:.2f}} times the largest possible gain at {{kl_shown:g}} nats, and it keeps growing beyond
# {{kl_max:.3g}} nats, where every response is already right.
# :::

# %% tags=["parameters"]
success: float = 0.1  # base probability of a correct answer, in [0.001, 0.999]
kl_shown: float = 2.0  # KL budget that the answer quotes, in nats, in [0.001, 100]
kl_top: float = 5.0  # largest KL budget drawn, in nats, in [0.001, 100]

# %% tags=["hide-input"]
import math

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.laws import Bernoulli, Exponential, Gaussian, Uniform, bounds

# %% [markdown]
# ## The statements
#
# Each bound below replaces the centred {term}`log-partition function` $\Lambda_c(\lambda)=\log\E_p e^{\lambda(r-\E_p r)}$ by something larger in the dual
# form of the limit, $R(\Delta)-R(0)=\inf_{\lambda>0}(\Delta+\Lambda_c(\lambda))/\lambda$. The bounds on $\Lambda_c$ are those of classical concentration
# inequalities, {cite:t}`Bennett1962` and {cite:t}`Hoeffding1963`; {cite:t}`M24` applied the first and the third to alignment.
#
# ```{prf:theorem} Relaxations of the limit (M24; Hoeffding1963; Bennett1962)
# :label: thm-relaxations
#
# Let $G(\Delta)=R(\Delta)-R(0)$.
#
# 1. {term}`sub-Gaussian`, $\Lambda_c\le\sigma^2\lambda^2/2$ for $\lambda>0$: $\;G\le\sigma\sqrt{2\Delta}$, with equality for a Gaussian reward.
# 2. *Range* $[a,b]$ (Hoeffding's lemma, $\sigma=\frac{b-a}{2}$): $\;G\le(b-a)\sqrt{\Delta/2}$.
# 3. *Sub-gamma*, $\Lambda_c\le\frac{\sigma^2\lambda^2}{2(1-c\lambda)}$ for $0<\lambda<1/c$: $\;G\le\sigma\sqrt{2\Delta}+c\Delta$.
# 4. *Variance and largest value*, variance $\sigma^2$ and $r-\E_p r\le b$ (Bennett's lemma):
#    $G\le\frac{\sigma^2}{b}\,h^{-1}\!\bigl(\frac{b^2\Delta}{\sigma^2}\bigr)$ with $h(x)=(1+x)\log(1+x)-x$.
# 5. *Range and mean*, $[0,1]$ and $m$: $\;G\le\sup\{q-m:\ \mathrm{kl}(q\Vert m)\le\Delta\}$, where $\mathrm{kl}$ is the divergence of two coins. A 0/1 reward has
#    equality, so no bound in terms of mean and range can be smaller.
# ```
#
# ```{prf:proof}
# 1 to 4: insert the bound on $\Lambda_c$ and minimise over $\lambda$. 5 (Hoeffding's argument): by convexity $e^{\lambda r}\le 1-r+re^{\lambda}$ on $[0,1]$, so $\Lambda$ is
# at most that of the 0/1 reward of the same mean, whose frontier the right side is.
# ```

# %% [markdown]
# ## A 0/1 reward
#
# A task whose answers can be checked has reward 1 or 0. The success rate then determines the whole frontier.

# %%
kl = kl_top * np.linspace(0, 1, 201) ** 2
law = Bernoulli(success)
exact = law.gain_at_kl(kl)
sd = math.sqrt(success * (1 - success))
relaxed = {
    "Hoeffding": bounds.hoeffding(kl, 0.0, 1.0),
    "Bennett": bounds.bennett(kl, sd, 1 - success),
    "mean and range": bounds.two_point(kl, success),
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Exact limit of a 0/1 reward with success rate {{success:g}} and three bounds on it. The bound from mean and range coincides with the limit; Hoeffding's ignores the mean and does not notice that the reward is exhausted at {{kl_max:.3g}} nats.", "name": "fig-zero-one-bounds"}, "image": {"alt": "Gain against KL: the exact limit rises and becomes flat at {{kl_max:.2g}} nats; Bennett's bound leaves it upwards, Hoeffding's starts steeper and keeps growing."}}
fig, ax = plotting.new()
ax.set_ylim(0, 1.75 * (1 - success))
plotting.curve(
    ax,
    kl,
    relaxed["Hoeffding"],
    "Hoeffding",
    color=plotting.BEST_OF_N,
    at=0.72 * kl_top,
    offset=(8, -10),
    ha="left",
    linestyle="--",
)
plotting.curve(
    ax,
    kl,
    relaxed["Bennett"],
    "Bennett",
    color=plotting.THIRD,
    at=0.55 * kl_top,
    offset=(-6, 2),
    ha="right",
    linestyle="-.",
)
plotting.curve(ax, kl, exact, "the limit = mean and range", at=0.97 * kl_top, offset=(0, -7), ha="right")
plotting.name_axes(ax, plotting.KL_LABEL, "gain in success rate")
# %% [markdown]
# ## Other laws
#
# Divide each frontier by $\sigma\sqrt{2\Delta}$, where $\sigma$ is the standard deviation of the reward under the base model. A Gaussian reward gives the
# constant 1. A uniform reward lies below 1. A 0/1 reward with success rate {{success:g}} {{binary_course}}.
# An exponential reward lies above 1 and keeps rising. So $\sigma\sqrt{2\Delta}$ with the standard deviation of the base model is no upper bound for an exponential reward, nor for a rare success.

# %%
positive = kl[1:]
laws = {"Gaussian": Gaussian(), "uniform": Uniform(), "exponential": Exponential(), "0/1": law}
scaled = {
    name: one.gain_at_kl(positive) / bounds.sub_gaussian(positive, math.sqrt(one.variance(0.0)))
    for name, one in laws.items()
}
sub_gamma = bounds.sub_gamma(positive, 1.0, 1.0) / bounds.sub_gaussian(positive, 1.0)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The exact limit in units of $\\sigma\\sqrt{2\\Delta}$, $\\sigma$ the base standard deviation, up to {{kl_top:g}} nats. All laws agree as $\\Delta\\to0$; the sub-gamma bound (dotted) covers the exponential law, which the √KL law does not.", "name": "fig-root-kl"}, "image": {"alt": "Four curves of gain over sigma root two KL: Gaussian constant at one, uniform falling, zero-one changing course where the reward is exhausted, exponential rising under a dotted bound."}}
fig, ax = plotting.new()
places = {
    "Gaussian": (1.0, (0, 5), "right"),
    "uniform": (1.0, (0, 6), "right"),
    "exponential": (0.6, (6, -10), "left"),
    "0/1": (0.5, (6, 4), "left"),
}
for (name, values), color in zip(scaled.items(), plotting.CYCLE, strict=False):
    at, offset, ha = places[name]
    plotting.curve(ax, positive, values, name, color=color, at=at * kl_top, offset=offset, ha=ha)
plotting.curve(
    ax,
    positive,
    sub_gamma,
    "sub-gamma bound",
    color=plotting.BOUND,
    at=0.6 * kl_top,
    offset=(0, 6),
    ha="right",
    linestyle=":",
)
ax.set_ylim(0, None)
plotting.name_axes(ax, plotting.KL_LABEL, r"gain $/\ \sigma\sqrt{2\Delta}$")
# %% [markdown]
# ## What it means
#
# The square root describes small budgets, where only the variance of the reward matters. For larger ones the upper tail of its law decides: a bounded
# reward is exhausted, one with an exponential tail is not. Where the limit itself can be computed, there is no need for these bounds.
#
# ## Claims

# %% tags=["hide-input"]
shown = law.gain_at_kl(kl_shown)
spread = np.sqrt(success * (1 - success))
at_end = (1 - success) / (spread * np.sqrt(2 * law.max_kl))
if at_end >= 1:
    binary_course = (
        f"lies above 1, because its law is skewed to the right, as long as anything is left to gain, at {law.max_kl:.2f} nats still at {at_end:.2f}; "
        f"then it falls, and is below 1 from {(1 - success) ** 2 / (2 * spread**2):.2f} nats on"
    )
elif success < 0.5:
    binary_course = f"lies above 1 at first, because its law is skewed to the right, and is down to {at_end:.2f} where the reward is exhausted, at {law.max_kl:.2f} nats"
else:
    binary_course = "lies below 1, because its law is not skewed to the right"
before_end = np.append(positive[positive <= law.max_kl], 0.5 * law.max_kl)
claims.glue(
    binary_course=claims.Markdown(binary_course),
    success_percent=100 * success,
    hoeffding_ratio=bounds.hoeffding(kl_shown, 0.0, 1.0) / shown,
    kl_max=law.max_kl,
)
claims.record(
    claims.equal(
        "gaussian-equality",
        r"for a Gaussian reward the limit is $\sigma\sqrt{2\Delta}$",
        "M24",
        Gaussian(sd=1.7).gain_at_kl(positive),
        bounds.sub_gaussian(positive, 1.7),
        rtol=1e-13,
    ),
    claims.at_most(
        "hoeffding",
        "limit over Hoeffding's bound, 0/1 reward, all budgets drawn",
        "M24; Hoeffding1963",
        exact[1:] / relaxed["Hoeffding"][1:],
        1.0,
    ),
    claims.at_most(
        "bennett",
        "limit over Bennett's bound, 0/1 reward, all budgets drawn",
        "Bennett1962",
        exact[1:] / relaxed["Bennett"][1:],
        1.0,
    ),
    claims.equal(
        "binary",
        "bound from mean and range over the limit of a 0/1 reward: equality at every budget",
        "Hoeffding1963",
        relaxed["mean and range"][1:] / exact[1:],
        1.0,
        rtol=1e-9,
    ),
    claims.at_least(
        "rare-success",
        r"a success rate of at most 0.28: as long as there is anything to gain the limit is at least $\sigma\sqrt{2\Delta}$",
        "we derive",
        law.gain_at_kl(before_end) / (spread * np.sqrt(2 * before_end)),
        1.0,
        must_hold=success <= 0.28,
    ),
    claims.at_most(
        "sub-gamma",
        "the exponential limit never exceeds its sub-gamma bound",
        "M24",
        Exponential().gain_at_kl(positive),
        bounds.sub_gamma(positive, 1.0, 1.0),
    ),
    claims.at_least(
        "root-kl-not-a-bound-for-rare-successes",
        r"a 0/1 reward with success rate below one half beats $\sigma\sqrt{2\Delta}$ at the smallest budget drawn",
        "we derive",
        scaled["0/1"][0],
        1.0,
        must_hold=success < 0.5,
    ),
    claims.at_least(
        "root-kl-not-a-bound",
        r"an exponential reward beats $\sigma\sqrt{2\Delta}$ at every budget",
        "we derive",
        scaled["exponential"],
        np.ones_like(positive),
    ),
)

# %% [markdown]
# **Try:** `alignlib run older_bounds -p success 0.9 -o out.ipynb --html`. When the base model is nearly always right, Hoeffding's bound is the loosest: it counts the whole range, of which only the
# part above the mean can be gained.
