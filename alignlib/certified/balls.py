"""Quantities of the library in ball arithmetic: each result is an interval that is proved to contain the exact value.

The functions take the doubles that the library takes, as exact numbers, and evaluate the definition with python-flint,
whose balls enclose every rounding. `units_apart` says how far the library's double can be from the exact value, in
units of its last place. Probabilities are divided by their exact sum, as the library does in rounded arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from flint import acb, arb, arb_mat, ctx

from alignlib._core.checks import FloatArray

__all__ = [
    "best_of_n",
    "binary_kl",
    "capacity_of_square",
    "ends",
    "exactly",
    "frontier",
    "gaussian_best_of_n",
    "inverse",
    "inverse_units",
    "largest_divergence",
    "mutual_information",
    "precision",
    "tilt",
    "uniform_tilt",
    "units_apart",
]

BITS = 2400
"""Enough for masses of 1e-300, N = 1e12 and λ = 1e-8 to leave more than 50 digits after every cancellation."""


@contextmanager
def precision(bits: int = BITS) -> Iterator[None]:
    """Compute with so many bits inside.

    Parameters
    ----------
    bits : int
        Of the midpoint of every ball.

    Examples
    --------
    >>> with precision(100):
    ...     ctx.prec
    100
    """
    with ctx.workprec(bits):
        yield


def exactly(value: float) -> arb:
    """Return a double as a ball of radius 0.

    Parameters
    ----------
    value : float
        The double.
    """
    return arb(value if isinstance(value, int) else float(value))  # of numpy's numbers it takes float64 only


def ends(ball: arb) -> tuple[float, float]:
    """Return the nearest doubles between which a ball lies.

    Parameters
    ----------
    ball : arb
        The ball.

    Returns
    -------
    low, high : float
        Infinite where the ball is no number or leaves their range.
    """
    low, high = ball.lower(), ball.upper()
    if not (low.is_finite() and high.is_finite()):
        return -math.inf, math.inf
    below, above = float(low), float(high)
    return (
        below if arb(below) <= low else math.nextafter(below, -math.inf),
        above if arb(above) >= high else math.nextafter(above, math.inf),
    )


def units_apart(ours: float, ball: arb) -> float:
    """Return a proved bound on ``|ours - exact|`` in units of the last place of ours; 0 where both are infinite alike.

    Parameters
    ----------
    ours : float
        A double.
    ball : arb
        What contains the exact value.

    Examples
    --------
    >>> with precision(100):
    ...     units_apart(0.1, arb(1) / 10) <= 0.5
    True
    """
    if not math.isfinite(ours):
        return 0.0 if not ball.is_finite() and not ball.is_nan() and bool(ball == arb(ours)) else math.inf
    if not ball.is_finite():
        return math.inf
    apart = abs(arb(ours) - ball).upper() / arb(float(np.spacing(abs(ours))))
    return math.nextafter(float(apart), math.inf) if apart != 0 else 0.0


def _masses(prob: Sequence[float] | FloatArray) -> list[arb]:
    exact = [arb(float(p)) for p in prob]
    total = _sum(exact)
    return [p / total for p in exact]


def _sum(values: Sequence[arb]) -> arb:
    total = arb(0)
    for value in values:
        total += value
    return total


def tilt(reward: Sequence[float] | FloatArray, prob: Sequence[float] | FloatArray, lam: float | arb) -> dict[str, arb]:
    """Return balls of what a finite law says at λ: Λ, reward, gain, KL both ways, variance.

    Parameters
    ----------
    reward, prob : arrays (k,)
        Rewards and masses, as the library gets them; masses are divided by their exact sum.
    lam : float or arb
        λ, exact if it is a double.

    Examples
    --------
    >>> with precision(100):
    ...     found = tilt(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.0)
    ...     bool(found["mean_reward"] == arb(0.5))
    True
    """
    kept = [(arb(float(r)), p) for r, p in zip(reward, _masses(prob), strict=True) if not p.is_zero()]
    at = lam if isinstance(lam, arb) else arb(lam)
    top = arb(max(float(r) for r, p in zip(reward, prob, strict=True) if p > 0))
    weight = [p * (at * (r - top)).exp() for r, p in kept]
    total = _sum(weight)
    base = _sum([p * r for r, p in kept])
    mean = _sum([w * r for w, (r, _) in zip(weight, kept, strict=True)]) / total
    log_sum = total.log()
    return {
        "log_partition": log_sum + at * top,
        "mean_reward": mean,
        "gain": mean - base,
        "kl": at * (mean - top) - log_sum,
        "reverse_kl": log_sum + at * (top - base),
        "variance": _sum([w * (r - mean) * (r - mean) for w, (r, _) in zip(weight, kept, strict=True)]) / total,
    }


def frontier(reward: FloatArray, prob: FloatArray, budget: float, near: float) -> arb:
    """Return a ball of the largest gain at a budget, from two λ near ours whose KLs are proved to enclose it.

    Parameters
    ----------
    reward, prob : arrays (k,)
        Rewards and masses, as the library gets them; masses are divided by their exact sum.
    budget : float
        The KL in nats.
    near : float
        A λ that spends about so much.

    Raises
    ------
    ValueError
        Where no λ near ``near`` encloses the budget.

    Examples
    --------
    >>> with precision(200):
    ...     found = frontier(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.1, 0.906)
    ...     bool(found > 0.2197946), bool(found < 0.2197947)
    (True, True)
    """
    exact, step = arb(budget), 2.0**-50
    low, high = arb(near), arb(near)
    while not (tilt(reward, prob, low)["kl"] < exact and tilt(reward, prob, high)["kl"] > exact):
        step *= 8.0
        if step > 0.5:
            raise ValueError(f"no λ near {near!r} encloses a budget of {budget!r} nats.")
        low, high = arb(near) * (1 - arb(step)), arb(near) * (1 + arb(step))
    for _ in range(40):
        middle = (low + high).mid() / 2
        kl = tilt(reward, prob, middle)["kl"]
        if kl < exact:
            low = middle
        elif kl > exact:
            high = middle
    return tilt(reward, prob, low)["gain"].union(tilt(reward, prob, high)["gain"])


def best_of_n(reward: FloatArray, prob: FloatArray, n: float) -> dict[str, arb]:
    """Return balls of the KL, the reward and the gain of best-of-N on a finite law, ties sharing.

    Parameters
    ----------
    reward, prob : arrays (k,)
        Rewards and masses, as the library gets them; masses are divided by their exact sum.
    n : float
        Draws.

    Examples
    --------
    >>> with precision(100):
    ...     found = best_of_n(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 2)  # the gain is 1/4
    ...     bool(abs(found["gain"] - arb(0.25)) < 1e-25)
    True
    """
    masses, power = _masses(prob), arb(n)
    kl, mean, base, below = arb(0), arb(0), arb(0), arb(0)
    for level in sorted({float(r) for r, p in zip(reward, prob, strict=True) if p > 0}):
        mass = _sum([p for r, p in zip(reward, masses, strict=True) if float(r) == level])
        above = below + mass
        # The last level ends at one exactly: a ball around one has no power that is known to be one.
        if level == max(float(r) for r, p in zip(reward, prob, strict=True) if p > 0):
            above = arb(1)
        kept = above**power - (below**power if not below.is_zero() else arb(0))
        kl += kept * (kept / mass).log()
        mean += kept * arb(level)
        base += mass * arb(level)
        below = above
    return {"kl": kl, "mean_reward": mean, "gain": mean - base}


def binary_kl(q: float | arb, p: float | arb) -> arb:
    """Return a ball of ``kl(q‖p)``.

    Parameters
    ----------
    q, p : float or arb
        Probabilities.

    Examples
    --------
    >>> with precision(100):
    ...     bool(abs(binary_kl(0.0, 0.5) - arb(2).log()) < 1e-25)
    True
    """
    first, second = (x if isinstance(x, arb) else arb(x) for x in (q, p))
    out = arb(0)
    for a, b in ((first, second), (1 - first, 1 - second)):
        if not a.is_zero():
            out += a * (a / b).log()
    return out


def inverse_units(q: float, bound: arb, ours: float, up: bool = True) -> float:
    """Return within how many units of its last place an inverse of the divergence is proved, on its safe side.

    If ``up``, of the largest p with ``kl(q‖p) <= bound``, which ours must not be below; else of the smallest x with
    ``kl(x‖q) <= bound``, which ours must not be above, in units of the last place of q. Infinite where ours is not
    proved to be on the safe side.

    Parameters
    ----------
    q : float
        The probability that is given.
    bound : arb
        The divergence, in nats.
    ours : float
        The inverse.
    up : bool
        Which of the two.

    Examples
    --------
    >>> with precision(100):
    ...     inverse_units(0.0, arb(1), 0.6321205588285578)  # 1 - 1/e, rounded up
    1.0
    """

    def divergence(x: float) -> arb:
        return binary_kl(q, x) if up else binary_kl(x, q)

    end = 1.0 if up else 0.0
    if ours != end and not divergence(ours) >= bound:
        return math.inf
    place = arb(float(np.spacing(ours if up else q)))
    for units in (0.5, *(2.0**k for k in range(13))):
        inside = arb(ours) - units * place if up else arb(ours) + units * place
        if (inside <= q) if up else (inside >= q):
            return units
        if (binary_kl(q, inside) if up else binary_kl(inside, q)) < bound:
            return units
    return math.inf


def inverse(q: float, bound: arb, up: bool = True) -> arb:
    """Return a ball of the largest p with ``kl(q‖p) <= bound``, or without ``up`` of the smallest x with ``kl(x‖q)``.

    Halves of an interval whose ends are proved to lie on either side.

    Parameters
    ----------
    q : float
        The probability that is given.
    bound : arb
        The divergence, in nats.
    up : bool
        Which of the two.
    """
    near, far = arb(q), arb(1 if up else 0)
    if near == far or (not up and q < 1.0 and bound >= binary_kl(0.0, q)):
        return far
    for _ in range(BITS // 2):
        middle = ((near + far) / 2).mid()
        found = binary_kl(q, middle) if up else binary_kl(middle, q)
        if found < bound:
            near = middle
        elif found > bound:
            far = middle
        else:
            break
    return near.union(far)


def uniform_tilt(lam: float) -> dict[str, arb]:
    """Return balls for a reward that is uniform on [0, 1]: the win rate of every law without ties.

    Parameters
    ----------
    lam : float
        λ > 0.

    Examples
    --------
    >>> with precision(100):
    ...     bool(abs(uniform_tilt(1.0)["mean_reward"] - 0.5819767068693265) < 1e-15)
    True
    """
    at = arb(lam)
    log_partition = (at.expm1() / at).log()
    mean = 1 / (1 - (-at).exp()) - 1 / at
    return {"mean_reward": mean, "kl": at * mean - log_partition}


def gaussian_best_of_n(n: int) -> arb:
    """Return a ball of the mean of the largest of n standard normal draws.

    What lies beyond 40 standard deviations is less than ``2n φ(40)``, and is added to the ball.

    Parameters
    ----------
    n : int
        Draws.

    Examples
    --------
    >>> with precision(60):
    ...     bool(abs(gaussian_best_of_n(2) - 1 / arb.pi().sqrt()) < 1e-12)
    True
    """

    def density(x: acb, _: bool) -> acb:
        normal = (-x * x / 2).exp() / (2 * acb.pi()).sqrt()
        return x * n * normal * ((1 + (x / acb(2).sqrt()).erf()) / 2) ** (n - 1)

    tail = 2 * n * (-arb(800)).exp()
    return acb.integral(density, -40, 40).real + arb(0, tail)


def _rows(channel: FloatArray) -> list[list[arb]]:
    return [_masses(row) for row in channel]


def _entropy(row: Sequence[arb]) -> arb:
    return -_sum([x * x.log() for x in row if not x.is_zero()])


def capacity_of_square(channel: FloatArray) -> arb | None:
    """Return a ball of the capacity of a channel with an inverse, or None where its best input may leave one out.

    ``log Σ_j exp(-Σ_i (P⁻¹)_{ji} H_i)`` with the entropies of the rows, if the input law that belongs to it is
    positive.

    Source: Muroga (1953); see Cover and Thomas for the conditions of Kuhn and Tucker behind it.

    Parameters
    ----------
    channel : array (k, k)
        Rows are laws of the output.

    Examples
    --------
    >>> with precision(100):
    ...     bool(abs(capacity_of_square(np.eye(2)) - arb(2).log()) < 1e-25)
    True
    """
    rows = _rows(channel)
    inverse = arb_mat(rows).inv()
    entropy = [_entropy(row) for row in rows]
    size = len(rows)
    weight = [(-_sum([inverse[j, i] * entropy[i] for i in range(size)])).exp() for j in range(size)]
    total = _sum(weight)
    inputs = [_sum([weight[j] / total * inverse[j, i] for j in range(size)]) for i in range(size)]
    return total.log() if all(x > 0 for x in inputs) else None


def largest_divergence(channel: FloatArray, input_prob: FloatArray) -> arb:
    """Return a ball of ``max_u KL(P(·|u)‖q)`` at an input law: no capacity exceeds it.

    Parameters
    ----------
    channel : array (inputs, outputs)
        Rows are laws of the output.
    input_prob : array (inputs,)
        A law of the input.

    Examples
    --------
    >>> with precision(100):
    ...     bool(abs(largest_divergence(np.eye(2), np.array([0.5, 0.5])) - arb(2).log()) < 1e-25)
    True
    """
    _, found = _divergences(channel, input_prob)
    top = found[0]
    for one in found[1:]:
        top = top.max(one)
    return top


def mutual_information(channel: FloatArray, input_prob: FloatArray) -> arb:
    """Return a ball of what passes with an input law, in nats: no capacity is less.

    Parameters
    ----------
    channel : array (inputs, outputs)
        Rows are laws of the output.
    input_prob : array (inputs,)
        A law of the input.
    """
    inputs, found = _divergences(channel, input_prob)
    return _sum([p * one for p, one in zip(inputs, found, strict=True) if not p.is_zero()])


def _divergences(channel: FloatArray, input_prob: FloatArray) -> tuple[list[arb], list[arb]]:
    """Return the input law, and each input's KL of its output to that of all."""
    rows, inputs = _rows(channel), _masses(input_prob)
    output = [_sum([p * row[j] for p, row in zip(inputs, rows, strict=True)]) for j in range(channel.shape[1])]
    found = [_sum([a * (a / q).log() for a, q in zip(row, output, strict=True) if not a.is_zero()]) for row in rows]
    return inputs, found
