# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What exact laws of long sequences cost
#
# This part needs the exact law of a sum of thousands of rewards, with probabilities as small as $e^{-{{deepest:.0f}}}$. How can it be computed, and how
# long does that take?
#
# :::{admonition} Answer
# :class: answer
# By methods that only add positive numbers: {{compared}} agree on every probability to a relative {{agree:.0e+}} at $m={{length:d}}$. A Fourier transform,
# the usual way, is accurate near the mean and gets {{wrong:.0%}} of the probabilities wrong by half or more. At $m=10\,000$ with three letters the exact law
# takes {{milliseconds:.0f}} ms, {{faster:.0f}} times less than direct convolution in extended precision.
# :::

# %% tags=["parameters"]
token_prob: list[float] = [0.5, 0.3125, 0.1875]  # law of a token on rewards 0, 1, 2, …, summing to one, in (0, 1)
length: int = 2000  # tokens m of the comparison, in [10, 20000]

# %% tags=["hide-input"]
import json
from pathlib import Path

import numpy as np

from alignbook import claims
from alignlib import plotting
from alignlib.sequences import power_by_recursion, power_by_squaring

# %% [markdown]
# ## Three ways to compute one law
#
# The law of the sum is the $m$-th power of the token's generating function $P(x)=\sum_kp_kx^k$.
#
# ```{prf:proposition} A recursion that only adds (J.C.P. Miller; the use of both ends: we derive)
# :label: prop-miller
#
# The coefficients of $P^m$ satisfy $n\,p_0\,a_n=\sum_k\bigl(k(m+1)-n\bigr)p_k\,a_{n-k}$. With three letters $0<j<J$ all terms are non-negative for
# $n\le j(m+1)$, and from the other end for the rest: no subtraction takes place anywhere, so each relative error stays a few roundings per
# step.
# ```
#
# ```{prf:proof}
# $P\,(P^m)'=mP'P^m$, coefficient by coefficient. Seen from the top, the letters are $0<J-j<J$, and $j(m+1)+(J-j)(m+1)>Jm$.
# ```
#
# The recursion is known by the name of J.C.P. Miller and goes back to Euler {cite:p}`Zeilberger1995`. With more than three letters it subtracts, and past the
# middle its errors grow without bound. Then the law of $m$ tokens is computed from those of $m/2$, $m/4$, … by convolution. Each part of the range of sums is
# tilted first, so that it lies near the mode, where ordinary arithmetic is accurate; a sum is kept only if what has been rounded to zero cannot matter.

# %%
logs = np.log(np.array(token_prob) / sum(token_prob))
few = len(token_prob) <= 3
by_squaring = power_by_squaring(logs, length)
by_recursion = power_by_recursion(logs, length) if few else power_by_squaring(logs[::-1], length)[::-1]
size = by_squaring.size
points = 1 << int(np.ceil(np.log2(size)))
fft = np.fft.irfft(np.fft.rfft(np.exp(logs), points) ** length, points)[:size]
fft_error = np.abs(fft / np.exp(np.maximum(by_squaring, -700.0)) - 1)
own_error = np.abs(np.expm1(by_recursion - by_squaring))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Relative error of each mass at $m={{length:d}}$. The error of the Fourier transform exceeds one wherever the mass is below about $10^{-16}$ of the largest. The exact results, {{compared}}, differ by at most {{agree:.0e+}}.", "name": "fig-exactness"}, "image": {"alt": "Relative error against the reward per token on a logarithmic axis: the Fourier curve dips to 1e-12 near the mean and exceeds one elsewhere; the exact methods stay near 1e-12 throughout."}}
fig, ax = plotting.new()
x = np.arange(size) / length
ax.plot(x, np.clip(fft_error, 1e-17, 1e3), color=plotting.BEST_OF_N, linewidth=1.2, label="Fourier power (cut at 1000)")
ax.plot(x, np.maximum(own_error, 1e-17), color=plotting.LIMIT, linewidth=0.8, label="recursion against squaring")
ax.axhline(1e-10, linestyle="--", color=plotting.BOUND, linewidth=1.2, label="promised")
ax.set_yscale("log")
ax.set_ylim(1e-17, 1e11)
plotting.legend(ax, loc="upper center", fontsize=9)
plotting.name_axes(ax, "reward per token", "relative error of the mass")
# %% [markdown]
# ## Growth of the cost
#
# Times are recorded once by `python -m benchmarks.bench_sum_law --record`, on one core of {{machine}} with NumPy {{numpy_version}}, so that the page
# does not change from build to build.

# %%
data = json.loads(Path("../benchmarks/recorded/sum_law.json").read_text(encoding="utf-8"))
series: dict[tuple[str, int], list[tuple[int, float]]] = {}
for row in data["growth"]:
    series.setdefault((row["kind"], row["letters"]), []).append((row["length"], row["seconds"]))
orders = {key: np.polyfit(*np.log(np.array(value)[-3:]).T, 1)[0] for key, value in series.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Processor time of the exact law against the length, for alphabets of 2 to 10 letters (top) and chains of 3 to 27 states with rewards 0 and 1 (bottom). Fitted orders of growth over the longest lengths: from {{order_low:.2f}} to {{order_high:.2f}}.", "name": "fig-cost"}, "image": {"alt": "Two panels on logarithmic axes: times rise as nearly straight lines with the length, higher for larger alphabets, from below a millisecond to about a second."}}
fig, axes = plotting.new(rows=2, height=2.9, sharex=True)
for ax, kind, unit in zip(axes, ("memoryless", "chain"), ("letters", "states"), strict=True):
    of_kind = [item for item in series.items() if item[0][0] == kind]
    for ((_, letters), value), color, marker in zip(of_kind, plotting.CYCLE, "os^D", strict=False):
        m, taken = np.array(value).T
        ax.plot(m, taken, marker=marker, markersize=4, color=color, label=f"{letters} {unit}", linewidth=1.3)
    ax.set_xscale("log")
    ax.set_yscale("log")
    plotting.legend(ax, loc="upper left", fontsize=9)
    plotting.name_axes(ax, "", "seconds", "independent tokens" if kind == "memoryless" else "Markov chains")
axes[1].set_xlabel("length m")
# %% [markdown]
# ## What it means
#
# Statements about long sequences can be checked exactly at ten thousand tokens, in a fraction of a second. The error that is left comes from rounding the
# masses of one token, which the $m$-th power multiplies by $m$.
#
# ## Claims

# %% tags=["hide-input"]
long_double = [row for row in data["peers"] if "long double" in row["peer"]]
fifty = [row for row in data["peers"] if "50 digits" in row["peer"]]
claims.glue(
    deepest=-float(by_squaring.min()),
    wrong=float(np.mean(~(fft_error < 0.5))),
    agree=float(own_error.max()),
    compared="two methods" if few else "squaring from the lowest reward up and from the highest down",
    milliseconds=1000 * long_double[0]["seconds"],
    faster=long_double[0]["times_faster"],
    machine=data["versions"]["machine"],
    numpy_version=data["versions"]["numpy"],
    order_low=min(orders.values()),
    order_high=max(orders.values()),
)
claims.record(
    claims.at_most(
        "agree",
        "recursion and squaring (more than three letters: squaring from either end) agree: relative difference of masses",
        "we derive",
        own_error,
        1e-10,
    ),
    claims.at_least(
        "fourier-fails",
        "share of sums whose mass a naive Fourier power gets wrong by half or more",
        "we derive",
        np.mean(~(fft_error < 0.5)),
        0.5,
        must_hold=False,
    ),
    claims.equal("mass", "the masses sum to one", "arithmetic", np.logaddexp.reduce(by_squaring), 0.0, atol=1e-10),
    claims.at_least(
        "faster-long-double",
        "recorded: times faster than direct convolution in long doubles at 10 000 tokens",
        "measured",
        [row["times_faster"] for row in long_double],
        100,
        must_hold=False,
    ),
    claims.at_least(
        "faster-fifty-digits",
        "recorded: times faster than direct convolution in 50 digits at 400 tokens",
        "measured",
        [row["times_faster"] for row in fifty],
        100,
        must_hold=False,
    ),
    claims.at_most(
        "accurate-fifty-digits",
        "recorded: largest relative error against those 50 digits",
        "measured",
        [row["largest_error"] for row in fifty],
        1e-10,
    ),
)

# %% [markdown]
# **Try:** `alignlib run exact_laws -p token_prob 0.25,0.25,0.25,0.25 -o out.ipynb --html`: with four letters only squaring is left. And `alignlib run exact_laws -p length 20000 -o out.ipynb --html`.
