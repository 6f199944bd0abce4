# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How sure is a number here?
#
# This book prints thousands of numbers. Some are proved to so many digits, some are tested, some are estimates from samples. Which is which?
#
# :::{admonition} Answer
# :class: answer
# Of {{n_numbers:,d}} numbers from exact inputs, hard cases among them, {{fewest:d}} digits or more are proved to be right. Other exact results are tested or certified in other ways.
# What comes from samples has an interval, and how often such intervals hold was counted.
# :::

# %% tags=["parameters"]
n_random: int = 8  # random laws beside those chosen to be hard, in [0, 100]
seed: int = 0  # seed of the random laws, >= 0

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd

from _pages import certified
from alignbook import claims
from alignlib import plotting
from alignlib.certified import balls

found = certified.numbers(certified.some_laws(seed, n_random))
every = [number for group in found.values() for number in group]

# %% tags=["hide-input", "answer-picture"] mystnb={"figure": {"caption": "Significant digits of which each number is certain: a dot for each of {{n_numbers:,d}} numbers. A double has about 16. What is rounded to a safe side, bounds and capacities, is up to a few hundred units of its last place away on purpose.", "name": "fig-certain-digits"}, "image": {"alt": "Six rows of dots between {{axis_low:d}} and 17 digits, one row for each kind of number; most dots lie right of 15."}}
fig, ax = plotting.new(height=3.2)
for k, (kind, group) in enumerate(found.items()):
    mine = np.sort([certified.digits(number) for number in group])
    place = -k - np.linspace(-0.3, 0.3, mine.size)
    ax.plot(mine, place, ".", markersize=4, color=plotting.CYCLE[k], label=f"_{kind}")
ax.set_yticks([-k for k in range(len(found))], list(found))
plotting.name_axes(ax, "digits that are certain, at least", "")

# %% [markdown]
# ## Certified
#
# *Ball arithmetic* computes with intervals instead of numbers: every operation returns an interval that contains all possible results, its own rounding errors included. If
# a formula is evaluated in it, the exact value lies in the interval that comes out; that is a theorem about the number, not a comparison of two programs. The balls
# here have {{bits:d}} bits and come from python-flint {cite:p}`Johansson2016`. They evaluate the definitions, from the same doubles that the library gets; the library
# uses other formulas, which do not lose digits.
#
# ```{prf:definition} Certain to u units
# :label: def-certain-units
#
# A number is certain to $u$ units if its distance to the exact value, for the inputs as given, is proved to be at most $u$ times its distance to the next double. With $u\le1$ no better
# double could be printed but a neighbour; $u=1000$ leaves about 13 digits.
# ```
#
# The laws are chosen to be hard: masses of $10^{-300}$, rewards of a million and a little, ties, and $\lambda$ from $10^{-8}$ to $10^8$; best-of-$N$ goes up to
# $N=10^{12}$. The last column is the number that is certain to the fewest digits.

# %% tags=["hide-input"]
rows = [
    {
        "quantity": name,
        "numbers": count,
        "digits": math.floor(certified.digits(worst)),
        "worst": worst.where,
    }
    for group in found.values()
    for name, (count, worst) in certified.worst_of(group).items()
]
pd.DataFrame(rows).set_index("quantity")

# %% [markdown]
# A reward or a probability that is exactly zero, or so small that doubles run out of exponents (below $10^{-290}$), is left out of the digits: there a relative error has no meaning. The
# fewest digits belong to the capacity of a channel that carries next to nothing; its two ends are certain all the same.
#
# Bounds are certain to lie on their safe side: the PAC-Bayes ceilings and the inverse of $\mathrm{kl}$ are never below the exact value, the lower end of a capacity never above it.
#
# For a number of your own, `alignlib certify` gives the ball and the distance of what the library says to it:
#
# ```console
# $ alignlib certify best-of-n --n 1e12
# $ alignlib certify tilt --reward 0,1,3 --prob 0.2,0.5,0.3 --lam 0.7
# $ alignlib certify limit --reward 0,1,3 --prob 0.2,0.5,0.3 --kl 0.1
# $ alignlib certify capacity --channel 0.9,0.1/0.2,0.8
# $ alignlib certify pac-bayes --risk 0.1 --kl 5 --m 10000 --delta 0.05
# ```
#
# ## Certified otherwise
#
# - The limit in another divergence comes with a feasible policy and a dual bound, which agree ({doc}`71_which_divergence`). The two are computed in doubles, so that what they prove holds up to rounding.
# - A capacity that has no closed form lies in a bracket; the rounding errors of both ends are allowed for ({doc}`61_measuring_capacity`).
# - Where gold turns along best-of-$N$ is proved between two values of $N$, up to rounding ({doc}`43_overoptimisation`).
#
# ## Tested
#
# | what | against what |
# |---|---|
# | laws of long sequences ({doc}`26_exact_laws`) | integer and rational arithmetic, all sequences |
# | Markov chains ({doc}`24_markov`) | all paths, and each other |
# | best-of-$N$ and its relatives ({doc}`12_relatives`) | all draws, and 50 digits |
# | rate–distortion, learners, ceilings ({doc}`62_floor_and_ceiling`) | all data sets of small tasks |
# | theorems and propositions of every chapter | a search for counterexamples |
#
# A test shows that two independent ways agree where it looked, to the digits that it asks for. It proves nothing where it did not look.
#
# ## Estimated
#
# Everything that comes from samples (`frontier`, `report`, `kl`, `capacity`, trained policies) has a statistical error, which is larger than all of the above by many orders of
# magnitude. It is given as a 95 % {term}`interval <confidence interval>`. How often these intervals hold on laws whose truth is known is counted in
# {doc}`30_from_samples`, {doc}`56_measuring_kl` and {doc}`61_measuring_capacity`, with the cases in which they fail. Policies differ from run to run: {doc}`51_safety_training` and the chapters after
# it give intervals over seeds. Printed digits follow the interval, not the double.
#
# ## What it means
#
# Doubt the inputs first. All digits here are digits of the answer to the question as it was put, for rewards and probabilities that are taken as exact. If a reward is known to three
# digits, so is the limit at best.
#
# ## Claims

# %% tags=["hide-input"]
units = np.array([number.units for number in every])
allowed = np.array([number.allowed for number in every])
plain = [n for n in every if n.quantity == "KL of best-of-N" and n.where.endswith("N = 1e+12")]
sides = [n for name in ("ceilings", "binary divergence") for n in found[name] if n.allowed == certified.SAFE]
certain = np.array([certified.digits(number) for number in every])
claims.glue(
    n_numbers=len(every),
    fewest=math.floor(certain.min()),
    axis_low=math.floor(certain.min()),
    bits=balls.BITS,
)
claims.record(
    claims.at_most(
        "contained",
        "distance to the exact value over the distance stated, all numbers",
        "we derive",
        np.where(np.isfinite(allowed), units / allowed, 0.0),
        1.0,
    ),
    claims.true(
        "bracketed",
        "capacities lie in their brackets, upper ends above what no capacity exceeds",
        "Blahut (1972), Arimoto (1972), Muroga (1953)",
        np.array([math.isfinite(number.units) for number in found["capacity"]]),
    ),
    claims.at_most(
        "best-of-a-million-million",
        r"units between the KL of best-of-$N$ and its exact value at $N=10^{12}$",
        "B24",
        np.array([number.units for number in plain]),
        certified.UNITS,
    ),
    claims.true(
        "safe-side",
        "ceilings and inverses are on their safe side",
        "we derive",
        np.array([math.isfinite(number.units) for number in sides]),
    ),
)

# %% [markdown]
# **Try:** `alignlib run how_sure -p n_random 60 -p seed 1 -o out.ipynb --html`. More random laws fill the rows with dots; the fewest digits stay where they are.
