# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The KL of a trained policy, measured right
#
# Libraries report the {term}`KL` of a {term}`policy` from its {term}`base model` under names such as `kl`, `objective/kl`, `approx_kl`: per token or per sequence, by one of four estimators, sometimes negative. Which of them is the
# divergence that the limit is drawn against, and how far off are the others?
#
# :::{admonition} Answer
# :class: answer
# Take the exact next-token divergences summed along each response ({term}`Rao–Blackwell <Rao–Blackwell estimator>`) where both models' next-token laws are known, else the mean {term}`log-ratio` $k_1$, negative
# or not. From {{n:d}} responses at {{kl_large:z.2f}} nats the first typically errs by {{rb_error:.0%}}, the second by {{k1_error:.0%}} (one {term}`standard error`). The popular $k_3$ of whole sequences looks steadier than it is: its 95 %
# {term}`intervals <confidence interval>` contain the truth {{k3_coverage:.0%}} of the time.
# :::

# %% tags=["parameters"]
table: str | None = None  # table of responses scored by policy and base; none for none, existing file
sampled_from: str = "policy"  # who wrote the responses of that table, one of policy | base
n: int = 256  # responses of one measurement, in [16, 4096]
n_rep: int = 1000  # measurements simulated, in [100, 20000]
n_intervals: int = 200  # measurements whose intervals are checked, in [20, 5000]
n_tokens: int = 10  # tokens of the made-up model, the end token among them, in [3, 12]
length: int = 5  # most content tokens of a response, in [2, 5]
sizes: list[float] = [0.1, 0.2, 0.4, 0.8, 1.6]  # changes of the logits that make the policies, in [0.01, 5]
temperature: float = 0.7  # of the mismatched sampler, in [0.2, 10]
top_p: float = 0.9  # of the truncated sampler, in [0.1, 1]
seed: int = 1  # seed of the model and of the samples, >= 0

# %% tags=["conditions", "hide-input"]
from alignbook.conditions import need
from alignlib.training import estimate_policy_kl
from alignlib.training.policy_kl.sample_table import read_kl_samples

need(
    n * n_rep <= 10_000_000,
    f"n times n_rep must be at most 10,000,000 responses; got {n} × {n_rep}.",
)
if table is not None:
    estimate_policy_kl(read_kl_samples(table), sampled_from=sampled_from)

# %% tags=["hide-input"]
import textwrap

import numpy as np
import pandas as pd

from alignbook import claims
from alignlib import KLSamples, plotting
from alignlib.answers.output.policy_kl import lines, messages
from alignlib.training import estimate_policy_kl
from alignlib.training.policy_kl import ESTIMATORS
from alignlib.training.policy_kl.sample_table import read_kl_samples
from alignlib.training.policy_kl.study import (
    conditioned_pair,
    exact_moments,
    interval_coverage,
    mean_k3_by_normalisation,
    score,
    simulated_means,
    tail_shares,
)
from alignlib.training.policy_kl.token_model import perturbed_model, random_model, sequence_kl

# %% tags=["hide-input"]
base = random_model(n_tokens, length, 1.0, np.random.default_rng(seed))
policies = [perturbed_model(base, size, np.random.default_rng(seed + 1)) for size in sorted(sizes)]
truth = np.array([sequence_kl(policy, base) for policy in policies])
moments = [exact_moments(policy, base) for policy in policies]
small, large = policies[0], policies[-1]
drawn = {
    name: simulated_means(policy, base, n, n_rep, np.random.default_rng(seed + 2))
    for name, policy in [("small", small), ("large", large)]
}
names = list(reversed([name for name in ESTIMATORS if name in moments[0]]))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Estimates from {{n:d}} responses, relative to the true KL: median and the middle 90 % of {{n_rep:d}} measurements. Top: KL {{kl_small:z.3f}} nats, where k1 is negative in {{negative:.0%}} of the measurements. Bottom: KL {{kl_large:z.2f}} nats, where k2 by sequence is off and k3 by sequence is skewed: its median falls short.", "name": "fig-kl-estimators"}, "image": {"alt": "Two panels of horizontal ranges around 1 for six estimators. Rao-Blackwell has the shortest range in both; k1 the longest at small KL, reaching below 0; k2 by sequence lies far to the right at large KL; k3 by sequence reaches far to one side."}}
fig, axes = plotting.new(rows=2, height=3.0)
for ax, (which, kl) in zip(axes, [("small", truth[0]), ("large", truth[-1])], strict=True):
    low, middle, high = np.array([np.quantile(drawn[which][name] / kl, [0.05, 0.5, 0.95]) for name in names]).T
    place = np.arange(len(names))
    ax.hlines(place, low, high, color=plotting.LIMIT, linewidth=2.5, label="_middle 90 %")
    ax.plot(middle, place, "o", color=plotting.LIMIT, label="_median")
    ax.axvline(1.0, color=plotting.BASE, linewidth=1.0, linestyle=":", label="_true KL")
    ax.set_yticks(place, [ESTIMATORS[name].label for name in names])
    plotting.name_axes(ax, "estimate / true KL", "", f"KL = {kl:.3g} nats")

# %% [markdown]
# The pictures are for a model where the truth is known: responses of at most {{length:d}} of {{n_content:d}} content {term}`tokens <token>`, {{n_sequences:,d}} in all; the policies are the base model with noise of size {{smallest:g}} to {{largest:g}} added to its logits.
#
# ## What is measured
#
# ```{prf:definition} Four estimators (Schulman 2020, Amini et al. 2025)
# :label: def-kl-estimators
#
# A policy $\pi$ writes a response $y$ of $T$ tokens, end token included. With $\ell=\log\frac{\pi(y)}{p(y)}=\sum_{t\le T}\ell_t$, where $\ell_t$ is the log-ratio of token $t$ given the prefix $h_t$, and
# $\mathrm{KL}_t=\KL{\pi(\cdot\mid h_t)}{p(\cdot\mid h_t)}$,
#
# $$\begin{gathered}k_1=\ell,\qquad k_2=\tfrac12\ell^2,\qquad k_3=e^{-\ell}-1+\ell,\\ k_{\mathrm{RB}}=\textstyle\sum_t\mathrm{KL}_t .\end{gathered}$$
#
# $k_2$ and $k_3$ also come *token by token*, as $\sum_t\frac12\ell_t^2$ and $\sum_t(e^{-\ell_t}-1+\ell_t)$. Nats per token are the mean per sequence over $\E T$.
# ```
#
# The names $k_1,k_2,k_3$ are due to {cite:t}`Schulman2020`; $k_{\mathrm{RB}}$ is from {cite:t}`Amini2025`.
#
# ```{prf:theorem} What each estimates (parts i: classical; the rest: we derive)
# :label: thm-kl-estimators
#
# Over responses of $\pi$: (i) $k_1$, $k_{\mathrm{RB}}$ and, if the support of $\pi$ contains that of $p$, both forms of $k_3$ have mean $\KL{\pi}{p}$. (ii) If it does not, $k_3$ falls short by the base mass
# out of its reach: $1-p(S)$ by sequence, $\E\sum_t(1-p(S_t\mid h_t))$ by token, $S$ being the support of $\pi$. (iii) $k_2$ by sequence is off by $\E_p\,h(\ell)$ with
# $h(\ell)=\int_0^\ell\frac12s^2e^s\,ds$: of third order, $\frac16\E_p(\pi/p-1)^3$ to leading order, with either sign, and exactly $\frac12\mathrm{KL}^2$ if $\ell$ is normal under $\pi$. (iv) The variance of $k_3$ by sequence is finite only if $\E_p[p/\pi;S]$ is, the mean over $S$ alone.
# ```
#
# ```{prf:proof}
# (i) $k_1$ is the definition. Given the prefix, $\ell_t$ and $e^{-\ell_t}-1+\ell_t$ both have mean $\mathrm{KL}_t$, since $\E[e^{-\ell_t}\mid h_t]=\sum_b p(b\mid h_t)=1$; sum over $t$ and use the tower
# property: the chain rule of the divergence. (ii) is what is missing in that last sum. (iii) $\E_\pi[k_2-k_3]=\E_p[e^{\ell}(\frac12\ell^2-\ell+1)-1]$ and the bracket has derivative $\frac12\ell^2e^\ell$ in $\ell$; for normal $\ell$ with
# variance $v$, $\E_\pi e^{-\ell}=1$ forces $\E\ell=v/2$, so $\E k_2=\frac12(v+v^2/4)$. (iv) $\E_\pi e^{-2\ell}=\E_p[p/\pi;S]$.
# ```
#
# So the *value* of GRPO's token-wise $k_3$, summed along responses of the policy itself, is right on average. Differentiating an estimator in a loss is another matter:
#
# ```{prf:proposition} What their gradients are (Tang and Munos 2025, Liu et al. 2025)
# :label: prop-kl-gradients
#
# Over responses of $\pi_\theta$, held fixed while the estimator is differentiated in $\theta$: $\E\nabla k_1=0$, $\E\nabla k_2=\nabla\KL{\pi_\theta}{p}$, and $\E\nabla k_3=\nabla\KL{p}{\pi_\theta}$, the
# {term}`reverse KL`, if the {term}`support` of $\pi_\theta$ contains that of $p$.
# ```
#
# ```{prf:proof}
# $\nabla k_1=\nabla\log\pi_\theta$ has mean 0. $\nabla k_2=\ell\,\nabla\log\pi_\theta$, and $\nabla\E\ell=\E[\ell\,\nabla\log\pi_\theta]+\E\nabla\log\pi_\theta$. $\E\nabla k_3=\E[(1-p/\pi_\theta)\nabla\log\pi_\theta]$ $=-\E_p\nabla\log\pi_\theta$.
# ```
#
# {cite:t}`T25` and {cite:t}`Liu2025` draw the consequences for training; {doc}`53_why_below` computes what such a penalty converges to.

# %% [markdown]
# ## How many responses it takes
#
# {numref}`fig-kl-spread` shows the standard deviation of one response, relative to the KL; over $\sqrt n$ it is the relative error of an estimate from $n$ responses. That of $k_1$ grows as $\sqrt{2/\mathrm{KL}}$ when the KL
# shrinks, since $\operatorname{Var}\ell\approx2\,\mathrm{KL}$ for small changes: its mean is right only because it is negative at times; to cut it off at 0 makes it too large on average. $k_3$ and Rao–Blackwell
# are never negative and have the right mean all the same. The relative spread of Rao–Blackwell hardly changes. At the smallest KL here, $k_1$ needs {{saving:z.0f}} times as many responses for the same error.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Standard deviation of an estimator on one response, relative to the KL, exactly, for policies of {{kl_small:z.3f}} to {{kl_large:z.2f}} nats. Only estimators whose mean is the KL.", "name": "fig-kl-spread"}, "image": {"alt": "Log-log curves against KL: k1 falls from {{k1_first:z.1f}} to {{k1_last:z.1f}}; Rao-Blackwell is level near {{rb_last:z.1f}}; k3 by sequence rises to {{k3_last:z.0f}}; k3 by token lies between."}}
fig, ax = plotting.new()
places = {
    "k1": (0, (4, 4), "left"),
    "k3": (1, (0, 6), "center"),
    "k3_tokens": (2, (0, 5), "center"),
    "rao_blackwell": (2, (0, 5), "center"),
}
for (name, (at, offset, side)), color in zip(places.items(), plotting.CYCLE, strict=False):
    spread = np.array([found[name].sd for found in moments]) / truth
    plotting.curve(
        ax,
        truth,
        spread,
        ESTIMATORS[name].label,
        color=color,
        at=truth[min(at, len(truth) - 1)],
        offset=offset,
        ha=side,
        marker="o",
    )
ax.set_xscale("log")
ax.set_yscale("log")
plotting.name_axes(ax, "KL (nats per sequence)", "standard deviation / KL")

# %% [markdown]
# Rao–Blackwell is not steadier in every case, although the abstract of {cite:t}`Amini2025` says that its variance never exceeds that of $k_1$. For each term that is so, $\operatorname{Var}\mathrm{KL}_t\le\operatorname{Var}\ell_t$; for their sum it is not, because
# $\mathrm{KL}_t$ can depend on earlier tokens in a way that cancels in $\ell$.
#
# ```{prf:example} A policy that one response measures exactly (we derive)
# :label: exa-conditioned-policy
#
# Let $\pi$ be $p$ conditioned on a set $A$ of responses, as the optimum is at $\lambda=\infty$. Then $\ell=-\log p(A)$ on every response of $\pi$ and $k_1$ has no variance, while $\mathrm{KL}_t$ depends on the prefix. Two tokens, $A$: the second is 1:
# $k_1={{cond_kl:z.4f}}\pm0$, Rao–Blackwell ${{cond_kl:z.4f}}\pm{{cond_sd:z.4f}}$ (standard deviation on one response).
# ```
#
# Near such a policy $k_1$ can vary less than Rao–Blackwell; `alignlib kl` prints both with intervals.
#
# ## A heavy tail that a sample hides
#
# $k_3$ by sequence is large on responses that the policy has made rare and the base likes. At {{kl_large:z.2f}} nats its largest values, of total probability $1/{{n:d}}$, carry {{tail_k3:.0%}} of its mean ({{tail_k3_tokens:.0%}} by token,
# {{tail_k1:.0%}} of $k_1$'s). A sample often contains none of them; its estimate is then too small and its interval too narrow. The table says how often 95 % intervals contain the KL in {{n_intervals:d}} measurements, and what part of the mean is *in the tail*:

# %% tags=["hide-input"]
coverage = interval_coverage(large, base, truth[-1], n, n_intervals, np.random.default_rng(seed + 3))
tails = tail_shares(large, base, n)
rows = {
    ESTIMATORS[name].label: {
        "mean": f"{moments[-1][name].mean:z.3f}",
        "standard error": f"{moments[-1][name].sd / np.sqrt(n):z.3f}",
        "interval holds": f"{coverage[name]:.0%}",
        "in the tail": f"{tails[name]:.0%}",
    }
    for name in reversed(names)
}
pd.DataFrame(rows).T

# %% [markdown]
# ## Per token and per sequence
#
# A `kl` per token times the mean length is the KL per sequence if the mean per token was taken over *all tokens* of the batch, $\sum_i\sum_t/\sum_iT_i$. If it was taken within each response first (older versions of trl did so), or within
# batches of unequal length that are then averaged, it misses the covariance of length and KL per token:
#
# $$\begin{aligned}\E T\cdot\E\Big[\tfrac1T\sum_tk_t\Big]&=\mathrm{KL}\\&\quad-\operatorname{Cov}\Big(T,\tfrac1T\sum_tk_t\Big).\end{aligned}$$
#
# Here the exact KL of {{kl_large:z.3f}} nats comes out as {{over_tokens:z.3f}} if the mean is over tokens and as {{over_responses:z.3f}} ({{conversion_error:+.1%}}) if it is over responses; responses have {{mean_length:z.2f}} tokens on average.
#
# ## Sampled one way, scored another
#
# A negative estimate may be chance as long as its interval reaches above 0. If it does not, the responses were hardly written by the policy that scored them: they were sampled at another temperature or top-p, or by the base; or columns are exchanged, or
# padding is counted. Where all next-token laws are kept there is a sharper test: $k_1-k_{\mathrm{RB}}$ has mean 0 under the policy's own samples, whatever the policy, and in general under no others.

# %% tags=["hide-input"]
middle = policies[len(policies) // 2]
cold, cut = middle.tempered(temperature), middle.truncated(top_p)
settings = {
    "as sampled": (middle, middle),
    f"T = {temperature:g}, scored at 1": (middle, cold),
    f"top-p {top_p:g}, scored without": (middle, cut),
    f"top-p {top_p:g}, scored with": (cut, cut),
    "by the base": (middle, base),
}
exact = {what: exact_moments(policy, base, writer) for what, (policy, writer) in settings.items()}
rows = {
    what: {
        "scored": f"{sequence_kl(policy, base):z.3f}",
        "sampled": f"{sequence_kl(writer, base):z.3f}",
        **{
            short: f"{exact[what][name].mean:z.3f}"
            for name, short in {"k1": "k1", "k3": "k3", "k3_tokens": "k3 (t)", "rao_blackwell": "R–B"}.items()
        },
    }
    for what, (policy, writer) in settings.items()
}
pd.DataFrame(rows).T

# %% [markdown]
# Exact means over the sampler's responses (*scored* is the KL of the policy that scores, *sampled* that of the law that wrote, *k3 (t)* the token-wise form). With responses of another law no estimator gives the KL of either; over the base's responses $k_1$ is minus the reverse KL. Scored as sampled, top-p leaves $k_1$ and Rao–Blackwell right and takes from $k_3$ the base mass that the truncated policy cannot
# reach. From the base's responses the policy's KL needs weights $\pi/p$, which `--sampled-from base` applies. Of the second row `alignlib kl` says, from {{n_check:d}} responses:

# %%
n_check = 8 * n
responses = cold.sample(n_check, np.random.default_rng(seed + 4))
said = messages(estimate_policy_kl(score(responses, middle, base)))
print("\n\n".join(textwrap.fill(message, 78) for message in said))

# %% [markdown]
# ## Your own policy
#
# `alignlib sample --base` writes a table with log-probabilities of both models and the next-token divergences; `alignlib kl TABLE` prints this for it, and `alignlib run measuring_kl -p table TABLE` puts it here. Responses that a trainer wrote down while it trained are read too, the last step's or those of `--step 100`
# ({doc}`../from_your_trainer`): lists of log-probabilities under the trainer's own names, or a KL and a length of each response. With entropies beside them another temperature and cut laws show, and half precision by the numbers themselves. In Python, give the log-probabilities of each response's tokens under both models, one list a response:

# %%
in_python = KLSamples.from_tokens(policy=[[-1.2, -0.3, -0.1], [-0.8, -0.2]], base=[[-1.5, -0.3, -0.2], [-1.0, -0.1]])
print(f"{in_python}: {estimate_policy_kl(in_python).best.value:z.3f} nats")

# %% [markdown]
# Of your table:

# %% tags=["hide-input"]
mine = None if table is None else estimate_policy_kl(read_kl_samples(table), sampled_from=sampled_from)
print("No table is given." if mine is None else "\n".join(lines(mine)))

# %% [markdown]
# ## Claims

# %% tags=["hide-input"]
unbiased = ("k1", "k3", "k3_tokens", "rao_blackwell")
k2_bias = np.array([found["k2"].mean for found in moments]) - truth
conditioned = exact_moments(*conditioned_pair())
lengths = mean_k3_by_normalisation(large, base)
tempered = exact[f"T = {temperature:g}, scored at 1"]
truncated = exact[f"top-p {top_p:g}, scored with"]
relative = {name: moments[-1][name].sd / np.sqrt(n) / truth[-1] for name in names}
gone = sequence_kl(cut, base) - truncated["k3"].mean
sequences = cut.sequences()
written = np.isfinite(cut.token_log_prob(sequences).sum(axis=1))
reached = np.exp(base.token_log_prob(sequences[written]).sum(axis=1)).sum()
ratio = score(large.sequences(), large, base).log_ratio
base_mass = np.exp(base.token_log_prob(large.sequences()).sum(axis=1))
claims.glue(
    n_content=n_tokens - 1,
    n_sequences=len(base.sequences()),
    smallest=min(sizes),
    largest=max(sizes),
    kl_small=truth[0],
    kl_large=truth[-1],
    negative=float((drawn["small"]["k1"] < 0).mean()),
    rb_error=relative["rao_blackwell"],
    k1_error=relative["k1"],
    k3_coverage=coverage["k3"],
    saving=(moments[0]["k1"].sd / moments[0]["rao_blackwell"].sd) ** 2,
    k1_first=moments[0]["k1"].sd / truth[0],
    k1_last=moments[-1]["k1"].sd / truth[-1],
    k3_last=moments[-1]["k3"].sd / truth[-1],
    rb_last=moments[-1]["rao_blackwell"].sd / truth[-1],
    cond_kl=conditioned["k1"].mean,
    cond_sd=conditioned["rao_blackwell"].sd,
    tail_k3=tails["k3"],
    tail_k3_tokens=tails["k3_tokens"],
    tail_k1=tails["k1"],
    over_tokens=lengths["over tokens"],
    over_responses=lengths["over responses"],
    conversion_error=lengths["over responses"] / truth[-1] - 1,
    mean_length=lengths["length"],
    n_check=n_check,
)
claims.record(
    claims.equal(
        "unbiased",
        "k1, k3 by sequence and by token, and Rao–Blackwell have the KL as their mean",
        "Schulman; Amini et al.",
        [[found[name].mean for name in unbiased] for found in moments],
        np.repeat(truth[:, None], len(unbiased), axis=1),
        rtol=1e-9,
    ),
    claims.equal(
        "k2-bias",
        r"the bias of k2 by sequence is $\mathbb{E}_p\,h(\ell)$",
        "we derive",
        k2_bias[-1],
        base_mass @ (np.exp(ratio) * (0.5 * ratio**2 - ratio + 1.0) - 1.0),
        rtol=1e-7,
    ),
    claims.equal(
        "k3-reach",
        "k3 by sequence falls short by the base mass out of the policy's reach",
        "we derive",
        gone,
        1.0 - reached,
        rtol=1e-8,
        atol=1e-12,  # rounding, where nothing is out of reach
    ),
    claims.equal(
        "over-tokens",
        "the mean over tokens times the mean length is the KL per sequence",
        "we derive",
        lengths["over tokens"],
        truth[-1],
        rtol=1e-9,
    ),
    claims.at_most(
        "rb-interval",
        "Rao–Blackwell's 95 % intervals miss the KL no more often than they may by chance",
        "we derive",
        1.0 - coverage["rao_blackwell"],
        0.05 + 3.0 * np.sqrt(0.0475 / n_intervals),
    ),
    claims.at_most(
        "k1-interval",
        "those of k1 neither",
        "we derive",
        1.0 - coverage["k1"],
        0.05 + 3.0 * np.sqrt(0.0475 / n_intervals),
    ),
    claims.at_least(
        "k3-interval",
        "those of k3 by sequence do, at the largest KL",
        "we derive",
        1.0 - coverage["k3"],
        0.05 + 3.0 * np.sqrt(0.0475 / n_intervals),
        must_hold=False,
    ),
    claims.at_most(
        "k1-conditioned",
        "on a policy that conditions the base k1 has no variance",
        "we derive",
        conditioned["k1"].sd,
        1e-12,
    ),
    claims.at_most(
        "rb-never-worse",
        "Rao–Blackwell never has more variance than k1, not even on a policy that conditions the base",
        "Amini et al. (abstract)",
        conditioned["rao_blackwell"].sd,
        conditioned["k1"].sd,
        must_hold=False,
    ),
    claims.at_most(
        "rb-steadier",
        "on these policies Rao–Blackwell varies less than k1",
        "Amini et al.",
        [found["rao_blackwell"].sd / found["k1"].sd for found in moments],
        1.0,
        must_hold=False,
    ),
    claims.true(
        "mismatch",
        "sampled at another temperature than scored, k1 and Rao–Blackwell differ in the mean",
        "we derive",
        abs(tempered["k1"].mean - tempered["rao_blackwell"].mean) > 0.01 * truth[len(truth) // 2],
        must_hold=temperature != 1.0,
    ),
)

# %% [markdown]
# **Try:** `alignlib run measuring_kl -p sizes 0.05,3 -o out.ipynb --html` for policies that hardly move and that move far; `alignlib run measuring_kl -p temperature 1 -o out.ipynb --html` for a sampler without mismatch; `alignlib run measuring_kl -p n 2048 -o out.ipynb --html`: how many responses does $k_3$ by sequence need before its interval can be trusted?
