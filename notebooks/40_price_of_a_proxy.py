# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The price of a proxy
#
# A model is aligned to a proxy $\hat r$ instead of the reward $r$ one wants. What does that cost, and when does more optimisation make it worse?
#
# :::{admonition} Answer
# :class: answer
# The lost gold is exactly $-\lambda$ times an average covariance of gold and error along the way, at most $\lambda\operatorname{osc}(r)\operatorname{osc}(e)/4$. {{here}}; at
# $\lambda={{lam_max:g}}$ the gold gain over the base model is {{end:.2f}}.
# :::

# %% tags=["parameters"]
exploit_mass: float = 0.003  # base mass of the response that fools the proxy, in (0, 0.5)
exploit_gold: float = -2.0  # its gold reward, in [-10, 10]
noise: float = 1.0  # half-width of what the proxy does not see of all other responses, in [0, 5]
lam_max: float = 3.5  # largest inverse temperature shown, in [0.5, 20]
n_draws: int = 200  # random laws on which growth with error and λ is checked, in [20, 5000]
seed: int = 0  # seed of the random laws, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.hacking.examples import exploit_pair
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import rule_curve, tilting_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import BestOfN, BestOfPoisson, SoftBestOfN

# %% [markdown]
# ## What the proxy costs
#
# On a finite law let $\hat r=r+e$, let $\pi^*$ tilt the base model $p$ by $\lambda r$ and $\hat\pi$ by $\lambda\hat r$, and $\pi_s$ by $\lambda(r+se)$. Write
# $\operatorname{osc}(f)=\max f-\min f$.
#
# ```{prf:theorem} Gold gain and regret (P26; proof: we derive)
# :label: thm-proxy-gain
#
# $\E_{\hat\pi}r-\E_p r=\operatorname{Cov}_p(r,e^{\lambda\hat r})/\E_p e^{\lambda\hat r}$: base samples scored by both rewards suffice. The regularised
# regret $[\E_{\pi^*}r-\beta\KL{\pi^*}{p}]-[\E_{\hat\pi}r-\beta\KL{\hat\pi}{p}]$ equals $\beta\KL{\hat\pi}{\pi^*}$.
# ```
#
# ```{prf:proof}
# $\hat\pi/p=e^{\lambda\hat r}/\E_p e^{\lambda\hat r}$ gives the gain. For every policy $\phi$, $\E_\phi r-\beta\KL{\phi}{p}=\beta\log\E_pe^{\lambda r}-\beta\KL{\phi}{\pi^*}$; subtract at
# $\phi=\hat\pi$ from $\phi=\pi^*$.
# ```
#
# ```{prf:theorem} Gap and divergence (we derive)
# :label: thm-proxy-gap
#
# $\E_{\pi^*}r-\E_{\hat\pi}r=-\lambda\int_0^1\operatorname{Cov}_{\pi_s}(r,e)\,ds$ and
# $J=\KL{\pi^*}{\hat\pi}+\KL{\hat\pi}{\pi^*}=\lambda(\E_{\hat\pi}e-\E_{\pi^*}e)=\lambda^2\int_0^1\operatorname{Var}_{\pi_s}(e)\,ds$. Hence
# $J\le\lambda^2\operatorname{osc}(e)^2/4$ and $|\text{gap}|\le\tfrac12\operatorname{osc}(r)\sqrt J\le\lambda\operatorname{osc}(r)\operatorname{osc}(e)/4$.
# ```
#
# ```{prf:proof}
# $\frac{d}{ds}\E_{\pi_s}f=\lambda\operatorname{Cov}_{\pi_s}(f,e)$; integrate for $f=r$ and $f=e$. The log-ratio of $\hat\pi$ to $\pi^*$ is $\lambda e$ and a constant. A variable of range $o$ has variance at most
# $o^2/4$. By Pinsker the total variation is at most $\sqrt{\min(\mathrm{KL}\text{s})/2}\le\sqrt{J/4}$, and a mean moves by at most
# $\operatorname{osc}(r)$ times that.
# ```

# %%
pair = exploit_pair(exploit_mass, exploit_gold, noise)
lam = np.linspace(0, lam_max, 200)
curve = tilting_curve(pair, lam)
found = hacking_threshold(pair)
price = pair.price(lam[1::10])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Reward gained over the base model along λ: what the proxy reports, what the ideal policy would gain at the same λ, and gold, which {{peaks}}. Exploit of mass {{exploit_mass:g}} and gold {{exploit_gold:g}}.", "name": "fig-proxy-price"}, "image": {"alt": "Three curves against λ: proxy and ideal rise, gold {{peaks}} and ends at {{end:.2f}}."}}
fig, ax = plotting.new()
ideal = np.asarray(pair.ideal_gain(lam))
plotting.curve(ax, lam, curve.proxy_gain, "proxy says", color=plotting.BEST_OF_N, at=0.9 * lam_max, offset=(0, -8))
plotting.curve(ax, lam, ideal, "ideal policy", at=0.5 * lam_max, offset=(-6, 6), ha="right")
plotting.curve(ax, lam, curve.gold_gain, "gold", color=plotting.THIRD, at=0.75 * lam_max, offset=(4, 6), ha="left")
ax.axhline(0, color=plotting.BASE, linewidth=0.8)
if found.turns_down and found.parameter <= lam_max:
    ax.plot(found.parameter, found.gold_gain, "o", color=plotting.THIRD)
plotting.name_axes(ax, r"inverse temperature $\lambda=1/\beta$", "gain over the base model")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The gap in gold between ideal and proxy policy (its size), its identity (dots), and its two bounds. In the range shown the sharper one exceeds the gap by a factor of {{slack:.1f}} or more, the least at λ = {{slack_lam:.2f}}.", "name": "fig-proxy-bounds"}, "image": {"alt": "Three rising curves on a logarithmic axis: the gap with dots on it, above it the bound by the divergence, and far above the bound by ranges."}}
fig, ax = plotting.new(height=3.1)
ax.plot(price.lam, np.abs(price.gap), color=plotting.LIMIT, label="gap")
ax.plot(price.lam, np.abs(price.gap_integral), ".", color=plotting.LIMIT, label="integral of the covariance")
ax.plot(price.lam, price.gap_bound_jeffreys, "--", color=plotting.BEST_OF_N, label=r"$\mathrm{osc}(r)\sqrt{J}/2$")
ax.plot(price.lam, price.gap_bound, ":", color=plotting.BOUND, label=r"$\lambda\,\mathrm{osc}(r)\,\mathrm{osc}(e)/4$")
ax.set_yscale("log")
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, r"inverse temperature $\lambda=1/\beta$", "gap in gold")
# %% [markdown]
# ## Where hacking starts
#
# Let $g_i=\E[r\mid\hat r=\text{level }i]$. All that optimisation of the proxy does to gold, it does through $g$.
#
# ```{prf:theorem} One turn of g, one turn of gold (we derive)
# :label: thm-one-turn
#
# If $g$ rises and then falls as the proxy grows, gold along $\lambda$, along the $N$ of best-of-$N$ and along the $\mu$ of best-of-Poisson turns at
# most once. Along $N$ and $\mu$ it never turns more often than $g$ does.
# ```
#
# ```{prf:proof}
# The densities $e^{\lambda\hat r}$, $NF^{N-1}$ and $(1+\mu F)e^{\mu F}=\sum_k(k+1)(\mu F)^k/k!$ are, up to factors of one variable, totally positive in parameter and proxy, so $\E_\theta g-c$ changes sign no more
# often than $g-c$ does, for every $c$ (variation diminishing). Along $N$ gold is $g_K-\sum_i(g_{i+1}-g_i)F_i^N$: its derivative is a sum of exponentials in $N$,
# with at most as many zeros as its coefficients have changes of sign (Laguerre); along $\mu$ likewise.
# ```
#
# So a bracket with gold rising at its left end and falling at its right is a certificate of *the* maximum. {{bracket_sentence}} This is the threshold that K25
# hedges to.
#
# ## Four ways to optimise the same proxy

# %%
n = np.geomspace(1, 300, 120)
mu = np.geomspace(1e-2, 300, 120)
by_n, by_mu = rule_curve(pair, BestOfN.along(n)), rule_curve(pair, BestOfPoisson.along(mu))
soft = rule_curve(pair, SoftBestOfN.along(lam[::5], n=16))
best_n, best_mu = hacking_threshold(pair, BestOfN), hacking_threshold(pair, BestOfPoisson)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold gained against KL spent by four ways to optimise the proxy, below the limit for gold. Tilting weighs the exploit by how far the proxy puts it ahead: gold peaks at {{peak_tilt:.2f}}. Ranks do not see that lead: best-of-N peaks at {{peak:.2f}}. Soft best-of-n draws 16.", "name": "fig-proxy-paths"}, "image": {"alt": "Gold against KL: four curves rise below a concave limit; tilting peaks near {{peak_tilt:.2f}} and falls, best-of-N and best-of-Poisson peak later near {{peak:.2f}}."}}
fig, ax = plotting.new()
edge = np.linspace(0, 5, 150)
limit = pair.ideal.gain(pair.ideal.lam_at_kl(edge))
plotting.curve(ax, edge, limit, "the limit for gold", at=2.6, offset=(-4, 6), ha="right")
for one, color, dash, label in (
    (curve, plotting.THIRD, "-", "tilting"),
    (by_n, plotting.BEST_OF_N, "--", "best-of-N"),
    (by_mu, plotting.FOURTH, ":", "best-of-Poisson"),
    (soft, plotting.BASE, "-.", "soft best-of-16"),
):
    ax.plot(one.spent, one.gold_gain, dash, color=color, label=label)
ax.set_xlim(0, 5)
ax.axhline(0, color=plotting.BASE, linewidth=0.8)
plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
plotting.name_axes(ax, plotting.KL_LABEL, "gold gained over the base model")
# %% [markdown]
# ## Does the gap grow with the error and as β falls?
#
# P26 claims that it grows with the error and as $\beta$ falls. The divergence $J$ between the two policies does, always, with the size of a given error: $J=\lambda t(\E_{\pi_t}e-\E_{\pi^*}e)$ for the error $te$, and
# $\E_{\pi_t}e$ rises with $t$. As $\beta$ falls it need not: where proxy and gold like the same response best, both policies end there and $J$ tends to 0. The *bound*
# $\lambda\operatorname{osc}(r)\operatorname{osc}(e)/4$ grows with both. The gap in gold itself does on average over the laws below, but not on every single one: of {{n_draws:d}} random laws
# its size shrank in {{shrank_error:.0%}} when the error doubled, and in {{shrank_beta:.0%}} when $\beta$ halved, each somewhere in the range shown.

# %%
rng = np.random.default_rng(seed)
laws = [(rng.standard_normal(30), rng.standard_normal(30)) for _ in range(n_draws)]
sizes, lams = np.array([0.25, 0.5, 1.0, 2.0]), np.array([0.25, 0.5, 1.0, 2.0])
gaps = np.array([[ProxyPair(r, r + size * e).gap(lams) for size in sizes] for r, e in laws])
divergence = np.array([[ProxyPair(r, r + size * e).jeffreys(lams) for size in sizes] for r, e in laws])
mean_gap = gaps.mean(axis=0)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap in gold, averaged over {{n_draws:d}} random laws of 30 responses, against λ for four sizes of the error (normal gold and error). {{both}}.", "name": "fig-proxy-growth"}, "image": {"alt": "Four rising curves on logarithmic axes, one for each size of the error, the larger the higher."}}
fig, ax = plotting.new(height=3.1)
for i, size in enumerate(sizes):
    color = plotting.CYCLE[i]
    ax.plot(lams, mean_gap[i], marker="osD^"[i], color=color, label=f"error × {size:g}")
ax.set_xscale("log", base=2)
ax.set_yscale("log")
ax.legend(*(part[::-1] for part in ax.get_legend_handles_labels()), loc="lower right", frameon=False, fontsize=10.0)
plotting.name_axes(ax, r"inverse temperature $\lambda=1/\beta$", "mean gap in gold")
# %% [markdown]
# ## What it means
#
# The proxy's own curve never warns: its slope along $\lambda$ is its variance, so it rises as long as anything is left to tell apart. Watch gold, or what stands in for it on a sample of responses. The next pages ask what decides whether
# gold turns down at all, and what an ensemble of proxies mends.
#
# ## Claims

# %% tags=["hide-input"]
shrank_error, shrank_beta = (np.mean((np.diff(np.abs(gaps), axis=axis) < 0).any(axis=(1, 2))) for axis in (1, 2))
agreed = ProxyPair([0.0, 1.0, 2.0], [0.0, 1.5, 2.0]).jeffreys([4.0, 16.0])  # both like the last response best
inside = price.lam
if found.turns_down:
    where = f"peaks at $\\lambda={found.parameter:.3f}$ ({found.spent:.2f} nats)"
    here = f"Here gold {where}, where the proxy already reports {found.proxy_gain / max(found.gold_gain, 1e-12):.1f} times what is gained"
    peaks = f"turns down at λ = {found.parameter:.3f}"
    bracket_sentence = (
        f"Here $g$ turns {found.turning_points} time{'s' * (found.turning_points != 1)}, the bracket is {(found.high - found.low) / 2:.0e} wide to either side of "
        f"{found.parameter:.9f}, and the slopes at its ends are {found.slope_low:.1e} and {found.slope_high:.1e}."
        if found.low < found.high
        else "Here gold falls from the start."
    )
else:
    here, peaks, bracket_sentence = (
        "Here gold never turns down along $\\lambda$",
        "never turns down",
        "Here gold never turns down.",
    )
claims.glue(
    here=claims.Markdown(here),
    peaks=peaks,
    bracket_sentence=claims.Markdown(bracket_sentence),
    both="It grows with both"
    if (np.diff(mean_gap, axis=0) > 0).all() and (np.diff(mean_gap, axis=1) > 0).all()
    else "It need not grow with both",
    end=curve.gold_gain[-1],
    slack=(price.gap_bound_jeffreys / np.abs(price.gap)).min(),
    slack_lam=price.lam[(price.gap_bound_jeffreys / np.abs(price.gap)).argmin()],
    peak=best_n.gold_gain,
    peak_tilt=found.gold_gain,
    shrank_error=shrank_error,
    shrank_beta=shrank_beta,
)
weight = np.exp(np.outer(inside, pair.proxy - pair.proxy.max()))
covariance = (weight * pair.gold) @ pair.prob - (weight @ pair.prob) * (pair.prob @ pair.gold)
claims.record(
    claims.equal(
        "gold-gain",
        "gold gain of the proxy policy is the covariance form",
        "P26",
        pair.gold_gain(inside),
        covariance / (weight @ pair.prob),
        rtol=1e-10,
        atol=1e-13,
    ),
    claims.equal(
        "regret",
        r"regularised regret is $\beta\,\mathrm{KL}(\hat\pi\|\pi^*)$",
        "P26",
        price.regret,
        pair.ideal_gain(inside) - pair.ideal.kl(inside) / inside - pair.gold_gain(inside) + pair.kl(inside) / inside,
        rtol=1e-9,
        atol=1e-12,
    ),
    claims.equal(
        "gap", "the gap is the integral of the covariance", "we derive", price.gap, price.gap_integral, rtol=1e-8
    ),
    claims.equal(
        "jeffreys",
        "the divergence is the integral of the variance",
        "we derive",
        price.jeffreys,
        price.jeffreys_integral,
        rtol=1e-8,
    ),
    claims.at_most(
        "gap-bound",
        r"the size of the gap is at most $\frac12\operatorname{osc}(r)\sqrt{J}$",
        "we derive",
        np.abs(price.gap),
        price.gap_bound_jeffreys,
    ),
    claims.at_most(
        "gap-bound-older",
        r"which is at most $\lambda\operatorname{osc}(r)\operatorname{osc}(e)/4$",
        "we derive",
        price.gap_bound_jeffreys,
        price.gap_bound,
    ),
    claims.true(
        "certificates",
        "every threshold found is bracketed by slopes of proved sign and is the only one",
        "we derive",
        [one.certified for one in (found, best_n, best_mu)],
        must_hold=False,
    ),
    claims.true(
        "grows-error",
        "the gap in gold, averaged over random laws, grows with the size of the error",
        "P26",
        np.diff(mean_gap, axis=0) > 0,
    ),
    claims.true(
        "grows-beta",
        r"the gap in gold, averaged over random laws, grows as $\beta$ falls",
        "P26",
        np.diff(mean_gap, axis=1) > 0,
    ),
    claims.true(
        "divergence-grows",
        "the divergence grows with the size of the error on every law",
        "we derive",
        np.diff(divergence, axis=1) > 0,
    ),
    claims.at_most(
        "divergence-shrinks",
        "the divergence may shrink as β falls: three responses of which gold and proxy like the same best, λ = 16 against 4",
        "we derive",
        agreed[1],
        agreed[0],
    ),
    claims.true(
        "growth-has-limits",
        "on single laws the size of the gap in gold may shrink as the error grows or as β falls",
        "we derive",
        [shrank_error > 0, shrank_beta > 0],
    ),
)

# %% [markdown]
# **Try:** `-p exploit_gold 1.5`. The exploit is now better than most responses, though not the best: does gold still turn down?
