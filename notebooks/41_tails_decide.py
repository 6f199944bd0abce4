# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tails decide
#
# The {term}`proxy` is {term}`gold` plus an independent error. Does picking the best of more and more samples ever cost gold?
#
# :::{admonition} Answer
# :class: answer
# It never does if the density of the error is {term}`log-concave`. It can if the error has a heavy {term}`tail`, or is usually small and rarely large. With normal gold, best-of-$N$ never loses gold to a normal or uniform error of any size. An error with an exponential tail ends the rise of gold at
# {{laplace_end:.2f}} standard deviations; a Student $t$ error with {{df:g}} degrees of freedom makes gold fall {{t_turn}}, in the end back to the mean gold of the base model.
# :::

# %% tags=["parameters"]
error_scale: float = 0.7  # scale of the error, in standard deviations of gold, in [0.2, 3]
df: float = 3.0  # degrees of freedom of the Student t error, in [1.5, 30]
pareto_index: float = 2.0  # tail index of the Pareto error, in [1.1, 10]
n_max: float = 1e6  # largest N shown, in [1e2, 1e9]
correlations: list[float] = [-0.9, -0.5, 0.0, 0.5]  # of gold and a normal error of twice the scale, in [-1, 1]
lump: float = 4.0  # size of a rare bounded error, in standard deviations of gold, in [1, 8]
lump_mass: float = 0.01  # its probability, in (0, 0.5]
cells: int = 1200  # cells into which the proxy's law is cut, in [200, 5000]

# %% tags=["hide-input"]
import numpy as np
from scipy import stats

from alignbook import claims
from alignbook.largest import largest
from alignlib import plotting
from alignlib.hacking.error_laws import (
    RESOLUTION,
    GaussianPair,
    finite_law,
    independent_pair,
    noisy_proxy,
    saturating_pair,
)
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import rule_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import BestOfN, BestOfPoisson

# %% tags=["hide-input"]
errors = {
    "normal": stats.norm(0, error_scale),
    "uniform": stats.uniform(-error_scale, 2 * error_scale),
    "Laplace": stats.laplace(0, error_scale),
    f"Student t, {df:g} df": stats.t(df, scale=error_scale),
    f"Pareto, index {pareto_index:g}": stats.pareto(pareto_index, scale=error_scale),
}
pairs = {name: noisy_proxy(law, cells=cells) for name, law in errors.items()}
n = np.geomspace(1, n_max, 150)
curves = {name: rule_curve(pair, BestOfN.along(n)).gold_gain for name, pair in pairs.items()}
found = {name: hacking_threshold(pair, BestOfN, RESOLUTION) for name, pair in pairs.items() if name != "Laplace"}
heavy = [name for name in found if name.startswith(("Student", "Pareto"))]

# %% mystnb={"figure": {"caption": "Gold gained by best-of-N when the proxy is normal gold plus an independent error of scale {{error_scale:g}}. Dots mark where gold is largest: N = {{t_peak:.0f}} for Student t, N = {{pareto_peak:.0f}} for Pareto.", "name": "fig-tails-gold"}, "image": {"alt": "Gold against N on a logarithmic axis: two curves rise for ever, one levels off near {{laplace_end:.2f}}, two peak and fall towards zero."}} tags=["hide-input"]
fig, ax = plotting.new(height=3.8)
styles = dict(zip(curves, ("-", "--", "-.", "-", "--"), strict=True))
for (name, gold), color in zip(curves.items(), plotting.CYCLE, strict=False):
    ax.plot(n, gold, styles[name], color=color, label=name)
    if name in heavy:
        ax.plot(found[name].parameter, found[name].gold_gain, "o", color=color, label=f"_{name}: most gold")
ax.set_xscale("log")
plotting.legend(ax, loc="upper left", bbox_to_anchor=(0.0, 1.0))
plotting.name_axes(ax, "N", "gold gained (standard deviations)")

# %% [markdown]
# {cite:t}`K24` show that heavy-tailed errors can undo alignment under a KL penalty, and that independent light-tailed ones cannot; {cite:t}`ElMhamdi2024` derive from the tail of the error whether optimising a measure
# becomes useless or harmful. This chapter works out both cases, for the tilt and for best-of-$N$.
#
# ## Tilting: an independent error costs KL, not gold
#
# ```{prf:theorem} Light and heavy tails along λ (after Kwa et al. 2024; this form: we derive)
# :label: thm-light-tails
#
# If $\hat r=r+e$ with $e$ independent of $r$ and both $\E e^{\lambda r}$ and $\E e^{\lambda e}$ finite, tilting by $\lambda\hat r$ gains exactly the gold of tilting by $\lambda r$. If $(r,\hat r)$ is
# Gaussian, gold is linear, $\lambda\operatorname{Cov}(r,\hat r)$, for every $\lambda$. If the upper tail of an independent error is heavier than exponential, no tilt by $\lambda\hat r$ exists.
# ```
#
# ```{prf:proof}
# $e^{\lambda(r+e)}=e^{\lambda r}e^{\lambda e}$ factorises, and the factor of $e$ leaves the law of $r$ alone. The Gaussian case is the mean of a tilted normal law. In the last
# case $\E e^{\lambda\hat r}=\E e^{\lambda r}\,\E e^{\lambda e}=\infty$.
# ```
#
# Best-of-$N$ exists for any tail, and shows the difference.
#
# ## Best-of-N: what a high proxy says of gold
#
# ```{prf:theorem} Gold given the proxy (Tweedie's formula; Efron1965; the rest: we derive)
# :label: thm-gold-given-proxy
#
# For $r\sim N(0,\sigma^2)$, $e$ independent of it and $\hat f$ the density of $r+e$: $\E[r\mid\hat r=v]=-\sigma^2(\log\hat f)'(v)$. It grows without end for a normal error, tends to $\sigma^2/b$ where the density of $e$
# falls like $e^{-x/b}$, and to 0 where it falls like a power of $x$. Whatever the law of $r$, normal or not: if the density of $e$ is log-concave, $\E[r\mid\hat r=v]$ never falls as $v$ grows, and so gold along $N$ never turns down.
# ```
#
# ```{prf:proof}
# Integrate $r\varphi_\sigma(r)=-\sigma^2\varphi_\sigma'(r)$ by parts against $P(e\le v-r)$; differentiate in $v$. (With the roles of signal and noise exchanged this is {term}`Tweedie's formula`, see {cite:t}`Efron2011`.) If $f_e$ is log-concave,
# $f_e(v-r)$ is totally positive of order 2 {cite:p}`Karlin1968`: given a higher proxy, $r$ is larger in likelihood ratio, so its mean is no smaller. ({cite:t}`Efron1965` has this for sums of log-concave variables.) (For normal $r$ the density of the sum is itself log-concave {cite:p}`Prekopa1980`, and its log-derivative falls.) Now let the proxy grow. Where the density of $e$ falls like $e^{-x/b}$, $f_e(v-r)/f_e(v)$ tends to $e^{r/b}$:
# the density of $r$ given the proxy tends to one proportional to $\varphi_\sigma(r)e^{r/b}$, whose mean is $\sigma^2/b$. Where it falls like a power, the ratio tends to 1: the law of $r$ given a high proxy is then that of $r$ alone, with mean 0.
# ```
#
# The response that best-of-$N$ keeps was chosen for its error too: on average its proxy promises more than there is, the {term}`winner's curse`. Best-of-$N$ moves up the proxy and reads gold off this curve ({numref}`fig-tails-given`, {prf:ref}`thm-one-turn`). Nothing is simulated: the law of the proxy is integrated in cells, the outermost of mass
# $10^{-12}$. The density counts, not the tail alone: an error of $2^k$ with probability $2^{-k}$ has a tail $P(e\ge x)$ that falls like $1/x$, but all its mass lies on separate values. Best-of-$N$ then keeps some gold for ever: a few of its samples share the largest error, and it takes the one with the most gold among them.

# %% mystnb={"figure": {"caption": "Expected gold given the proxy, for the same errors. Where the curve turns down, so does best-of-N.", "name": "fig-tails-given"}, "image": {"alt": "Expected gold against proxy value: lines that rise for normal and uniform errors, a plateau for Laplace, humps that return to zero for Student t and Pareto."}} tags=["hide-input"]
fig, ax = plotting.new(height=3.4)
for (name, pair), color in zip(pairs.items(), plotting.CYCLE, strict=False):
    seen = (pair.levels.reward > -4) & (pair.levels.reward < 9) & (pair.levels.above > 1e-11)
    ax.plot(pair.levels.reward[seen], pair.gold_by_level[seen], styles[name], color=color, label=name)
ax.set_ylim(-3, 6.5)
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, r"proxy $\hat r$", r"expected gold $\mathrm{E}[r\,|\,\hat r]$")

# %% [markdown]
# ## An error correlated with gold
#
# For a normal error of standard deviation $s$ and correlation $\rho$ with gold, gold along $N$ is $\operatorname{Cov}(r,\hat r)/\hat\sigma$ times the mean of the largest
# of $N$ standard normals, with $\operatorname{Cov}(r,\hat r)=\sigma(\sigma+\rho s)$. It never turns: below $\rho=-\sigma/s$ it falls from the first step on, above it rises without end.

# %% mystnb={"figure": {"caption": "Gold gained by best-of-N when the error is normal, twice as wide as in the pictures above ({{wide:g}} standard deviations of gold), and correlated with gold. At correlations below {{turn_correlation:.2f}} every further sample costs gold.", "name": "fig-tails-correlated"}, "image": {"alt": "Lines against N on a logarithmic axis, one for each correlation: they fan out from 0, the lower the correlation the lower the line."}} tags=["hide-input"]
wide = 2 * error_scale
correlated = {rho: GaussianPair(1.0, wide, rho) for rho in correlations}
fig, ax = plotting.new(height=3.2)
for i, (rho, one) in enumerate(correlated.items()):
    gold = one.rule_gold_gain(BestOfN.along(n))
    ax.plot(n, gold, ("-", "--", "-.", ":")[i % 4], color=plotting.CYCLE[i % 6], label=f"correlation {rho:g}")
ax.axhline(0, color=plotting.BASE, linewidth=0.8, label="_nothing gained")
ax.set_xscale("log")
plotting.legend(ax, loc="upper left")
plotting.name_axes(ax, "N", "gold gained (standard deviations)")

# %% [markdown]
# ## A bounded error that is rarely large
#
# A bounded independent error cannot hold gold down in the end, for a very high proxy needs high gold. But on the way its density need not be log-concave. Let it be {{lump:g}} with probability {{lump_mass:g}}, else 0: as $N$ grows, the
# overrated responses {{lump_order}}. Two separate values are not needed: an error that is normal with a standard deviation of 0.3 for 97 % of the responses and of 2.5 for the rest has a smooth density
# of one hump and light tails, and gold falls from {{mixture_peak:.2f}} to {{mixture_dip:.2f}} before it rises again.

# %% mystnb={"figure": {"caption": "Gold gained by best-of-N when the error is {{lump:g}} with probability {{lump_mass:g}} and 0 otherwise: {{lump_course}}.", "name": "fig-tails-lump"}, "image": {"alt": "Gold against N on a logarithmic axis: {{lump_course}}."}} tags=["hide-input"]


def first_peak_and_dip(pair: ProxyPair, along) -> tuple[float, float]:
    """Gold of best-of-N, N real, where it first turns down, and the least of it after that."""
    gold = rule_curve(pair, BestOfN.along(along)).gold_gain
    falls = np.flatnonzero(np.diff(gold) < 0)
    top = int(falls[0]) if falls.size else gold.size - 1
    logs, at = np.log(along), lambda v: float(rule_curve(pair, [BestOfN(float(np.exp(v)))]).gold_gain[0])
    return largest(at, logs[max(top - 1, 0) : top + 2])[1], -largest(lambda v: -at(v), logs[top:])[1]


points, mass = finite_law(stats.norm(), 600)
lumpy = ProxyPair(
    np.tile(points, 2),
    np.concatenate([points, points + lump]),
    np.concatenate([(1 - lump_mass) * mass, lump_mass * mass]),
)
lump_gold = rule_curve(lumpy, BestOfN.along(n)).gold_gain
lump_peak, lump_dip = first_peak_and_dip(lumpy, n)
fig, ax = plotting.new(height=3.0)
ax.plot(n, lump_gold)
ax.set_xscale("log")
plotting.name_axes(ax, "N", "gold gained (standard deviations)")

# %% tags=["hide-input"]
gold_at, error_at = np.linspace(-5.0, 5.0, 201), np.linspace(-10.0, 10.0, 401)
mixture = 0.97 * stats.norm.pdf(error_at, scale=0.3) + 0.03 * stats.norm.pdf(error_at, scale=2.5)
mixed = ProxyPair(
    np.repeat(gold_at, error_at.size),
    np.round(gold_at[:, None] + error_at, 6).ravel(),
    np.outer(stats.norm.pdf(gold_at) / stats.norm.pdf(gold_at).sum(), mixture / mixture.sum()).ravel(),
)
mixture_peak, mixture_dip = first_peak_and_dip(mixed, np.geomspace(1.0, 1e5, 80))

# %% [markdown]
# ## A proxy that saturates
#
# A proxy that is a strictly rising function of gold, however flat, ranks as gold does: best-of-$N$ is as good as with gold itself. A ceiling makes {term}`ties <tie>`: gold stops rising at the
# mean above the ceiling, {{ceiling_end:.2f}} here, and never turns down. The same ceiling helps where the tail of the error hurts. Put at the proxy value of the most expected
# gold, it keeps a gold gain of {{clipped_end:.2f}} for every large $N$, of the Student $t$ proxy's peak of {{t_gold:.2f}}, because what is too good to be true is tied and picked at random.

# %% tags=["hide-input"]
flat = saturating_pair(stats.norm(), np.tanh)
ceiling = saturating_pair(stats.norm(), lambda r: np.minimum(r, 1.0))
stops = [hacking_threshold(pair, rule) for pair in (flat, ceiling) for rule in (None, BestOfN, BestOfPoisson)]
t_pair = pairs[heavy[0]]
clipped = ProxyPair(
    t_pair.gold, np.minimum(t_pair.proxy, t_pair.levels.reward[t_pair.gold_by_level.argmax()]), t_pair.prob
)
tilted = independent_pair(stats.norm(), errors["uniform"], cells=80)
lam = np.array([0.2, 0.5, 1.0, 2.0])

# %% [markdown]
# ## What it means
#
# The size of the error sets the price; its tail decides where gold ends as $N$ grows. Squashing the proxy does nothing for best-of-$N$, for a strictly rising transform leaves
# ranks as they are; clipping it does. A proxy whose error has a shorter tail helps as well, such as the median of several ({doc}`42_ensembles`). Independence
# matters: an error that depends on the response, such as the exploit of {doc}`40_price_of_a_proxy`, can turn gold down however light its tail.
#
# ## Claims

# %% tags=["hide-input"]
grid = np.array([2.0, 16.0, 256.0, 4096.0])
claims.glue(
    t_peak=found[heavy[0]].parameter,
    t_turn=claims.Markdown(
        f"from $N={found[heavy[0]].parameter:.0f}$ on"
        if found[heavy[0]].turns_down
        else "only beyond the $10^{12}$ samples looked at here"
    ),
    pareto_peak=found[heavy[1]].parameter,
    laplace_end=1 / error_scale,
    ceiling_end=ceiling.gold_by_level[-1],
    clipped_end=clipped.gold_by_level[-1] - clipped.ideal.base_reward,
    t_gold=found[heavy[0]].gold_gain,
    wide=wide,
    turn_correlation=-1 / wide,
    lump_course=f"up to {lump_peak:.2f}, down to {lump_dip:.2f}, and up again"
    if lump_dip < lump_peak - 0.005
    else f"rising all the way, to {lump_gold[-1]:.2f}: so common an error sets gold back nowhere",
    lump_order="come before the truly good ones"
    if lump_dip < lump_peak - 0.005
    else "and the truly good ones come together",
    mixture_peak=mixture_peak,
    mixture_dip=mixture_dip,
)
claims.record(
    claims.equal(
        "gaussian",
        "normal error: gold along N is the correlation of gold and proxy times the mean of the largest of N normals",
        "we derive",
        rule_curve(pairs["normal"], BestOfN.along(grid)).gold_gain,
        GaussianPair(1.0, error_scale).rule_gold_gain(BestOfN.along(grid)),
        rtol=2e-3,
    ),
    claims.equal(
        "independent",
        "along λ an independent error leaves gold as the ideal policy has it",
        "K24; we derive",
        tilted.gold_gain(lam),
        tilted.ideal_gain(lam),
        rtol=1e-9,
    ),
    claims.true(
        "heavy-turns",
        "Student t and Pareto error: gold turns down, once, with a certificate",
        "we derive",
        [found[name].turns_down and found[name].certified for name in heavy],
        must_hold=df <= 10 and pareto_index <= 5 and error_scale >= 0.5,
    ),
    claims.true(
        "light-never",
        "normal or uniform error: gold never turns down, by proof",
        "we derive",
        [not found[name].turns_down and found[name].certified for name in ("normal", "uniform")],
    ),
    claims.equal(
        "exponential-stops",
        r"exponential tail of scale $b$: gold stops at $\sigma^2/b$",
        "we derive",
        rule_curve(pairs["Laplace"], [BestOfN(1e9)]).gold_gain,
        1 / error_scale,
        rtol=1e-3,
        must_hold=error_scale >= 0.5,
    ),
    claims.at_most(
        "heavy-to-nothing",
        "heavy tails: by $N=10^{10}$ nine tenths of the peak are lost",
        "K24; we derive",
        [rule_curve(pairs[name], [BestOfN(1e10)]).gold_gain[0] for name in heavy],
        [0.1 * found[name].gold_gain for name in heavy],
        must_hold=False,
    ),
    claims.true(
        "saturation", "a saturating proxy never turns gold down", "we derive", [not one.turns_down for one in stops]
    ),
    claims.true(
        "correlated",
        r"correlated normal error: gold falls from the start if $\operatorname{Cov}(r,\hat r)<0$, else never",
        "we derive",
        [
            bool((np.sign(np.diff(one.rule_gold_gain(BestOfN.along(grid)))) == np.sign(one.covariance)).all())
            for one in correlated.values()
        ],
    ),
    claims.true(
        "bounded-can-turn",
        "a bounded error may turn gold down, and up again",
        "we derive",
        [lump_dip < 0.9 * lump_peak, lump_gold[-1] > lump_peak],
        must_hold=False,
    ),
    claims.at_most(
        "one-hump-can-turn",
        "light tails and a density of one hump do not suffice: gold falls to less than two thirds of its peak on the way",
        "we derive",
        mixture_dip,
        2 / 3 * mixture_peak,
    ),
    claims.at_least(
        "clipping",
        "a ceiling on a heavy-tailed proxy keeps at least half of the gold at the peak, for every large N",
        "we derive",
        clipped.gold_by_level[-1] - clipped.ideal.base_reward,
        0.5 * found[heavy[0]].gold_gain,
        must_hold=False,
    ),
)

# %% [markdown]
# **Try:** `alignlib run tails_decide -p df 10 -o out.ipynb --html`. The tail is still a power law: where has the turning point gone, and would you ever see it?
