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
# A model is aligned to a {term}`proxy` $\hat r$ instead of the reward $r$ that counts ({term}`gold`). What does that cost, and when does more optimisation make it worse?
#
# :::{admonition} Answer
# :class: answer
# {{here}} At the same penalty the proxy's policy can even have *more* gold than the ideal one ({{negative:.0%}} of our random cases), because it spends more {term}`KL`; at equal KL it never has.
# :::

# %% tags=["parameters"]
exploit_mass: float = 0.003  # base mass of the response that fools the proxy, in (0, 0.5)
exploit_gold: float = -2.0  # its gold reward, in [-10, 10]
noise: float = 1.0  # half-width of what the proxy does not see of the other responses, in [0, 5]
lam_max: float = 3.5  # largest inverse temperature shown, in [0.5, 20]
n_draws: int = 200  # random laws on which growth with error and λ is checked, in [20, 5000]
seed: int = 0  # seed of the random laws, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignbook.largest import largest
from alignlib import plotting
from alignlib.hacking.examples import exploit_pair
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import rule_curve, tilting_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import BestOfN, BestOfPoisson, SoftBestOfN

# %% tags=["hide-input"]
pair = exploit_pair(exploit_mass, exploit_gold, noise)
lam = np.linspace(0, lam_max, 200)
curve = tilting_curve(pair, lam)
found = hacking_threshold(pair)
price = pair.price(lam[1::10])


def bound_over_gap(one):
    """How many times the size of the gap its sharper bound is."""
    return float(one.gap_bound_jeffreys[0] / abs(one.gap[0]))


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Reward gained over the base model as the proxy is optimised harder (λ = 1/β): what the proxy reports, what the ideal policy would gain at the same λ, and gold, which {{peaks}}. One response, of base probability {{exploit_mass:g}}, fools the proxy; its gold is {{exploit_gold:g}}.", "name": "fig-proxy-price"}, "image": {"alt": "Three curves against λ: proxy and ideal rise, gold {{peaks}} and ends at {{end:.2f}}."}}
fig, ax = plotting.new()
ideal = np.asarray(pair.ideal_gain(lam))
plotting.curve(ax, lam, curve.proxy_gain, "proxy reports", color=plotting.BEST_OF_N, at=0.9 * lam_max, offset=(0, -8))
plotting.curve(ax, lam, ideal, "ideal policy", at=0.5 * lam_max, offset=(-6, 6), ha="right")
plotting.curve(ax, lam, curve.gold_gain, "gold", color=plotting.THIRD, at=0.75 * lam_max, offset=(4, 6), ha="left")
ax.axhline(0, color=plotting.BASE, linewidth=0.8, label="_nothing gained")
if found.turns_down and found.parameter <= lam_max:
    ax.plot(found.parameter, found.gold_gain, "o", color=plotting.THIRD, label="_most gold")
plotting.name_axes(ax, r"inverse temperature $\lambda=1/\beta$", "gain over the base model")

# %% [markdown]
# ## What the proxy costs
#
# {cite:t}`P26` extend the limit to proxies. On a finite law let $\hat r=r+e$ with the error $e$. Let $\pi^*$ be the {term}`tilt` of the base model $p$ by $\lambda r$, $\hat\pi$ the tilt by $\lambda\hat r$, and $\pi_s$
# the tilt by $\lambda(r+se)$, which leads from one to the other. Write $\operatorname{osc}(f)=\max f-\min f$.
#
# ```{prf:theorem} Gold gain and regret (Monteiro Paes et al. 2026; proof: we derive)
# :label: thm-proxy-gain
#
# $\E_{\hat\pi}r-\E_p r=\operatorname{Cov}_p(r,e^{\lambda\hat r})/\E_p e^{\lambda\hat r}$: base samples scored by both rewards suffice. The {term}`regret`
# $[\E_{\pi^*}r-\beta\KL{\pi^*}{p}]$ $-[\E_{\hat\pi}r-\beta\KL{\hat\pi}{p}]$ equals $\beta\KL{\hat\pi}{\pi^*}$.
# ```
#
# ```{prf:proof}
# $\hat\pi/p=e^{\lambda\hat r}/\E_p e^{\lambda\hat r}$ gives the gain. For every policy $\phi$, $\E_\phi r-\beta\KL{\phi}{p}$ $=\beta\log\E_pe^{\lambda r}-\beta\KL{\phi}{\pi^*}$ (Gibbs, Donsker and Varadhan); subtract at
# $\phi=\hat\pi$ from $\phi=\pi^*$.
# ```
#
# ```{prf:theorem} Gap and divergence (we derive)
# :label: thm-proxy-gap
#
# The gap in gold at the same $\lambda$ is $\E_{\pi^*}r-\E_{\hat\pi}r=-\lambda\int_0^1\operatorname{Cov}_{\pi_s}(r,e)\,ds$, of either sign. The Jeffreys divergence of the two policies is
# $J=\KL{\pi^*}{\hat\pi}+\KL{\hat\pi}{\pi^*}$ $=\lambda(\E_{\hat\pi}e-\E_{\pi^*}e)$ $=\lambda^2\int_0^1\operatorname{Var}_{\pi_s}(e)\,ds$. Hence
# $J\le\lambda^2\operatorname{osc}(e)^2/4$ and $|\text{gap}|\le\tfrac12\operatorname{osc}(r)\sqrt J$ $\le\lambda\operatorname{osc}(r)\operatorname{osc}(e)/4$.
# ```
#
# ```{prf:proof}
# $\frac{d}{ds}\E_{\pi_s}f=\lambda\operatorname{Cov}_{\pi_s}(f,e)$; integrate for $f=r$ and $f=e$. The log-ratio of $\hat\pi$ to $\pi^*$ is $\lambda e$ and a constant. A variable of range $o$ has variance at most
# $o^2/4$. By Pinsker's inequality the total variation is at most $\sqrt{\min(\mathrm{KL}\text{s})/2}\le\sqrt{J/4}$, and a mean moves by at most
# $\operatorname{osc}(r)$ times that.
# ```

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Size of the gap in gold between ideal and proxy policy at the same λ, computed directly (line) and as an integral of covariances (dots), and its two bounds. The sharper bound is at least {{slack:.1f-}} times the gap.", "name": "fig-proxy-bounds"}, "image": {"alt": "Three rising curves on a logarithmic axis: the gap with dots on it, above it the bound by the divergence, and far above the bound by ranges."}}
fig, ax = plotting.new(height=3.1)
ax.plot(price.lam, np.abs(price.gap), color=plotting.LIMIT, label="gap")
ax.plot(price.lam, np.abs(price.gap_integral), ".", color=plotting.LIMIT, label="integral of covariances")
ax.plot(price.lam, price.gap_bound_jeffreys, "--", color=plotting.BEST_OF_N, label=r"$\mathrm{osc}(r)\sqrt{J}/2$")
ax.plot(price.lam, price.gap_bound, ":", color=plotting.BOUND, label=r"$\lambda\,\mathrm{osc}(r)\,\mathrm{osc}(e)/4$")
ax.set_yscale("log")
plotting.legend(ax, loc="lower right")
plotting.name_axes(ax, r"inverse temperature $\lambda=1/\beta$", "gap in gold")
# %% [markdown]
# ## Where hacking starts
#
# Let $g_i=\E[r\mid\hat r=\text{level }i]$, the expected gold given the proxy. A rule that sees only the proxy changes mean gold through $g$ alone.
#
# ```{prf:theorem} One turn of g, one turn of gold (after Khalaf et al. 2025; this form is new here, as far as we know)
# :label: thm-one-turn
#
# If $g$ rises and then falls as the proxy grows, gold along $\lambda$, along the $N$ of {term}`best-of-N` and along the $\mu$ of {term}`best-of-Poisson` turns at
# most once. Along $N$ and $\mu$ it never turns more often than $g$ does.
# ```
#
# ```{prf:proof}
# The densities $e^{\lambda\hat r}$, $NF^{N-1}$ and $(1+\mu F)e^{\mu F}=\sum_k(k+1)(\mu F)^k/k!$ are, up to factors of one variable, totally positive in parameter and proxy, so $\E_\theta g-c$ changes sign no more
# often than $g-c$ does, for every $c$ (variation diminishing, {cite:t}`Karlin1968`). Along $N$ gold is $g_K-\sum_i(g_{i+1}-g_i)F_i^N$: its derivative is a sum of exponentials in $N$,
# with at most as many zeros as its coefficients have changes of sign (Laguerre); along $\mu$ likewise.
# ```
#
# {cite:t}`K25` prove by the same property, under conditions of theirs, that gold is monotone or has one interior extremum along best-of-N and best-of-Poisson, and call that extremum the {term}`hacking threshold`. {{bracket_sentence}}
#
# ## Four ways to optimise the same proxy

# %% tags=["hide-input"]
n = np.geomspace(1, 300, 120)
mu = np.geomspace(1e-2, 300, 120)
by_n, by_mu = rule_curve(pair, BestOfN.along(n)), rule_curve(pair, BestOfPoisson.along(mu))
soft = rule_curve(pair, SoftBestOfN.along(lam[::5], n=16))
best_n, best_mu = hacking_threshold(pair, BestOfN), hacking_threshold(pair, BestOfPoisson)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gold gained against KL spent by four ways to optimise the proxy, below the limit for gold. Tilting weighs the exploit by how far the proxy puts it ahead, and gold peaks at {{peak_tilt:.2f}}. Best-of-N looks at ranks only and does not see that lead; its gold peaks at {{peak:.2f}}. Soft best-of-n draws 16.", "name": "fig-proxy-paths"}, "image": {"alt": "Gold against KL: four curves rise below a concave limit; tilting peaks near {{peak_tilt:.2f}} and falls, best-of-N and best-of-Poisson peak later near {{peak:.2f}}."}}
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
ax.axhline(0, color=plotting.BASE, linewidth=0.8, label="_nothing gained")
plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
plotting.name_axes(ax, plotting.KL_LABEL, "gold gained over the base model")
# %% [markdown]
# ## Does the gap grow with the error and as β falls?
#
# The abstract of P26 says that the gap grows with the size of the error and as the penalty $\beta$ falls. What is compared decides.
#
# ```{prf:proposition} The sign of the gap (we derive)
# :label: prop-negative-gap
#
# If the proxy's policy has more gold than the ideal policy at the same $\beta$, it spends more KL: $\beta\bigl(\KL{\hat\pi}{p}-\KL{\pi^*}{p}\bigr)$ $\ge\E_{\hat\pi}r-\E_{\pi^*}r$.
# ```
#
# ```{prf:proof}
# The regret of {prf:ref}`thm-proxy-gain` is not negative.
# ```
#
# ```{prf:proposition} The gap at equal KL (we derive)
# :label: prop-equal-kl-gap
#
# At the KL that the proxy's policy spends, no policy has more gold than the {term}`limit`; so the gap $R(\KL{\hat\pi}{p})-\E_{\hat\pi}r$, with $R$ the frontier of gold, is never negative.
# ```
#
# {numref}`fig-proxy-sign` shows both for {{n_draws:d}} random laws of 30 responses with normal gold and an independent normal error. At the same $\beta$ the gap is negative in {{negative:.0%}} of all cases (error × 0.25 to × 2,
# $\lambda$ from 0.25 to 2). On average over laws both gaps grow with the error and as $\beta$ falls ({numref}`fig-proxy-growth`). On a single law neither has to: somewhere in this range the size of the
# gap at the same $\beta$ shrank in {{shrank_error:.0%}} of the laws when the error doubled, the gap at equal KL in {{equal_error:.0%}}; when $\beta$ halved, in {{shrank_beta:.0%}} and {{equal_beta:.0%}}. The *divergence* $J$ does grow with the size of
# a given error, always; as $\beta$ falls it need not: where proxy and gold like the same response best, both policies end there and $J$ tends to 0.

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
laws = [(rng.standard_normal(30), rng.standard_normal(30)) for _ in range(n_draws)]
sizes, lams = np.array([0.25, 0.5, 1.0, 2.0]), np.array([0.25, 0.5, 1.0, 2.0])
pairs = [[ProxyPair(r, r + size * e) for size in sizes] for r, e in laws]
gaps = np.array([[one.gap(lams) for one in row] for row in pairs])
curves = [[tilting_curve(one, lams) for one in row] for row in pairs]
equal_kl = np.array([[one.limit_gain - one.gold_gain for one in row] for row in curves])
divergence = np.array([[one.jeffreys(lams) for one in row] for row in pairs])
mean_gap, mean_equal = gaps.mean(axis=0), equal_kl.mean(axis=0)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap in gold between the ideal and the proxy's policy for {{n_draws:d}} random laws, error as large as gold: median and the middle 80 %. Top: at the same λ = 1/β the gap may be negative. Bottom: at the KL that the proxy's policy spends it never is.", "name": "fig-proxy-sign"}, "image": {"alt": "Two panels against λ: in the upper one the band around the median reaches below zero, in the lower one it stays above."}}
fig, axes = plotting.new(rows=2, height=2.4, sharex=True)
for ax, values, title, color in (
    (axes[0], gaps[:, 2], "at the same β", plotting.BEST_OF_N),
    (axes[1], equal_kl[:, 2], "at equal KL", plotting.LIMIT),
):
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
    ax.fill_between(lams, low, high, color=color, alpha=0.2, linewidth=0, label="_middle 80 %")
    ax.plot(lams, middle, "o-", color=color, label="_median")
    ax.axhline(0, color=plotting.BASE, linewidth=0.8, label="_no gap")
    ax.set_xscale("log", base=2)
    plotting.name_axes(ax, "", "gap in gold", title)
axes[1].set_xlabel(r"inverse temperature $\lambda=1/\beta$")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Gap in gold, averaged over {{n_draws:d}} random laws, against λ for four sizes of the error: at the same β (solid) and at equal KL (dashed). {{both}}.", "name": "fig-proxy-growth"}, "image": {"alt": "Rising curves on logarithmic axes, a solid and a dashed one for each size of the error, the larger the higher."}}
fig, ax = plotting.new(height=3.3)
for i, size in enumerate(sizes):
    style = {"marker": "osD^"[i], "color": plotting.CYCLE[i]}
    ax.plot(lams, mean_gap[i], label=f"error × {size:g}", **style)
    ax.plot(lams, mean_equal[i], "--", markerfacecolor="white", label=f"_error × {size:g}, at equal KL", **style)
ax.set_xscale("log", base=2)
ax.set_yscale("log")
ax.legend(*(part[::-1] for part in ax.get_legend_handles_labels()), loc="lower right", frameon=False, fontsize=10.0)
plotting.name_axes(ax, r"inverse temperature $\lambda=1/\beta$", "mean gap in gold")

# %% [markdown]
# ## What it means
#
# The proxy's own curve gives no warning: its slope along $\lambda$ is the proxy's variance, so it rises as long as anything is left to tell apart. Watch gold, or whatever stands in for it, on a sample of responses. The next chapters ask what decides whether
# gold turns down at all ({doc}`41_tails_decide`), and what an {term}`ensemble` of proxies can do about it ({doc}`42_ensembles`).
#
# ## Claims

# %% tags=["hide-input"]
shrank_error, shrank_beta = (np.mean((np.diff(np.abs(gaps), axis=axis) < 0).any(axis=(1, 2))) for axis in (1, 2))
equal_error, equal_beta = (np.mean((np.diff(equal_kl, axis=axis) < 0).any(axis=(1, 2))) for axis in (1, 2))
more_kl = np.array([[one.kl(lams) - one.ideal.kl(lams) for one in row] for row in pairs])
agreed = ProxyPair([0.0, 1.0, 2.0], [0.0, 1.5, 2.0]).jeffreys([4.0, 16.0])  # both like the last response best
inside = price.lam
if found.turns_down and found.low < found.high:
    here = (
        f"Here gold peaks at $\\lambda={found.parameter:.2f}$ ({found.spent:.2f} nats); there the proxy already reports "
        f"{found.proxy_gain / max(found.gold_gain, 1e-12):.1f} times what is gained, and optimising on to "
        f"$\\lambda={lam_max:g}$ leaves a gold gain of {curve.gold_gain[-1]:.2f}."
    )
    peaks = f"turns down at λ = {found.parameter:.2f}"
    bracket_sentence = (
        f"Here the one at $\\lambda={found.parameter:.4f}$ is certified: gold provably rises just below it and falls just "
        "above it."
    )
elif found.turns_down:
    here, peaks = "Here every step of optimisation costs gold.", "falls from the start"
    bracket_sentence = "Here gold falls from the start."
else:
    here, peaks = "Here gold never turns down along $\\lambda$.", "never turns down"
    bracket_sentence = "Here gold never turns down."
claims.glue(
    here=claims.Markdown(here),
    peaks=peaks,
    bracket_sentence=claims.Markdown(bracket_sentence),
    both="Both means grow with the error and as β falls"
    if all((np.diff(one, axis=axis) > 0).all() for one in (mean_gap, mean_equal) for axis in (0, 1))
    else "Not every mean grows with both",
    end=curve.gold_gain[-1],
    slack=-largest(lambda v: -bound_over_gap(pair.price([v])), np.geomspace(1e-3, lam_max, 40))[1],
    negative=float((gaps < 0).mean()),
    equal_error=equal_error,
    equal_beta=equal_beta,
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
        "every threshold found along λ, N and μ is the only one, by proof",
        "K25; we derive",
        [one.certified for one in (found, best_n, best_mu)],
        must_hold=False,
    ),
    claims.at_least(
        "gap-not-negative",
        "at the same β the ideal policy has at least the gold of the proxy's policy, on every law",
        "P26 (a gap, read literally)",
        gaps,
        0.0,
        must_hold=False,
    ),
    claims.at_least(
        "negative-gap-spends-more",
        "wherever it has less, the proxy's policy spends more KL",
        "we derive",
        more_kl[gaps < 0] if (gaps < 0).any() else 0.0,
        0.0,
    ),
    claims.at_least(
        "equal-kl",
        "at equal KL the gap is never negative",
        "P26; we derive",
        equal_kl,
        0.0,
        atol=1e-9,
    ),
    claims.true(
        "grows-error",
        "the gap in gold, averaged over random laws, grows with the size of the error, at the same β and at equal KL",
        "P26",
        np.diff(np.stack([mean_gap, mean_equal]), axis=1) > 0,
    ),
    claims.true(
        "grows-beta",
        r"the gap in gold, averaged over random laws, grows as $\beta$ falls, at the same $\beta$ and at equal KL",
        "P26",
        np.diff(np.stack([mean_gap, mean_equal]), axis=2) > 0,
    ),
    claims.true(
        "divergence-grows",
        "the divergence grows with the size of the error on every law",
        "we derive",
        np.diff(divergence, axis=1) > 0,
    ),
    claims.at_most(
        "divergence-shrinks",
        "the divergence between the policies may shrink as β falls (three responses, gold and proxy like the same best)",
        "we derive",
        agreed[1],
        agreed[0],
    ),
    claims.true(
        "grows-on-every-law",
        "on every single law the gap at equal KL grows with the error and as β falls",
        "P26 (read literally)",
        [equal_error == 0, equal_beta == 0],
        must_hold=False,
    ),
)

# %% [markdown]
# **Try:** `alignlib run price_of_a_proxy -p exploit_gold 1.5 -o out.ipynb --html`. The exploit is now better than most responses, though not the best: does gold still turn down?
