"""Rewards on a lattice, and laws of their sums: powers and products in log space, to relative accuracy in every tail.

A fast Fourier transform has absolute accuracy: beside a mode of 1e-2 it knows nothing of a tail of e^-5000. Only
sums of positive terms are used here, so that relative errors never grow by cancellation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import BoolArray, FloatArray, IntArray, as_float_array, require
from alignlib._core.errors import quoted
from alignlib._core.same import SameFields

__all__ = [
    "Lattice",
    "log_convolve",
    "log_power",
    "power_by_recursion",
    "power_by_squaring",
    "recursion_has_no_subtraction",
]

_LONGEST = 10**9  # letters of a sum: beyond, its law fits no memory
# A tilted factor spans e^-690 to 1, stored between 1e-150 and 1e150, so that no product is subnormal. What is
# left out is below e^-690 per pair, so results from e^-640 on are exact to 1e-16 even for 1e5 pairs.
_SPAN = 690.0
_ACCEPT = 640.0
_LIFT = 498  # in powers of two, which round nothing
_LARGEST_INDEX = 10_000
_ULPS = 4.0


@dataclass(frozen=True, eq=False)
class Lattice(SameFields):
    """Rewards ``start + step · index``.

    Attributes
    ----------
    start : float
        The smallest reward.
    step : float
        The distance of neighbours on the lattice.
    index : array of int
        Of the shape of the rewards, its smallest value 0.
    """

    start: float
    step: float
    index: IntArray

    @property
    def width(self) -> int:
        """The largest index."""
        return int(self.index.max())

    @classmethod
    def of(cls, reward: npt.ArrayLike) -> Lattice | None:
        """Return the coarsest lattice that holds ``reward`` to rounding, or None if there is none.

        Decimal rewards such as 0.1, 0.2, 0.3 are not equally spaced as binary numbers; they are taken to be
        where four units in the last place allow it. A lattice finer than a ten-thousandth of the range, or too
        fine to be told from chance at that precision, is not one.

        Parameters
        ----------
        reward : array
            Rewards.

        Examples
        --------
        >>> Lattice.of([0.1, 0.3, 0.2]).index.tolist()
        [0, 2, 1]
        >>> Lattice.of([0.0, 1.0, 2**0.5]) is None
        True
        """
        values = as_float_array("reward", reward)
        start, span = float(values.min()), float(np.ptp(values))
        if span == 0.0:
            return cls(start, 1.0, np.zeros(values.shape, dtype=np.int64))
        distinct = (np.unique(values) - start) / span
        slack = _ULPS * np.finfo(np.float64).eps * max(1.0, float(np.abs(values).max()) / span)
        # Fractions of denominator up to q lie about 1/q² apart: finer than this, any number would fit.
        finest = min(_LARGEST_INDEX, int(math.sqrt(1e-3 / slack)))
        if finest < 1:
            return None
        parts = [Fraction(float(v)).limit_denominator(finest) for v in distinct]
        if any(abs(float(part) - v) > slack for part, v in zip(parts, distinct.tolist(), strict=True)):
            return None
        width = math.lcm(*(part.denominator for part in parts))
        if width > finest:
            return None
        index = np.rint((values - start) / span * width).astype(np.int64)
        return cls(start, span / width, index)

    def sums(self, length: int) -> FloatArray:
        """All sums of ``length`` rewards above ``length · start``: ``step · (0, 1, …, length · width)``.

        Parameters
        ----------
        length : int
            How many rewards are added.
        """
        return self.step * np.arange(length * self.width + 1, dtype=np.float64)


def log_power(log_mass: FloatArray, length: int) -> FloatArray:
    """Return the log masses of the sum of ``length`` independent draws from a law on ``0..J``.

    Parameters
    ----------
    log_mass : array (J+1,)
        Log masses, ``-inf`` where there is none; the first and the last finite.
    length : int
        Number of draws m >= 1.

    Returns
    -------
    array (mJ+1,)
        Log masses of the sums ``0..mJ``, relative accuracy of the masses below 1e-10 for m up to 1e4.

    Raises
    ------
    InputError
        If an end of the law has no mass, or ``length`` is below 1.

    Examples
    --------
    >>> np.exp(log_power(np.log([0.5, 0.5]), 3)).round(6).tolist()
    [0.125, 0.375, 0.375, 0.125]
    """
    require(length >= 1, f"length must be at least 1; got {length}.")
    require(
        bool(np.isfinite(log_mass[[0, -1]]).all()), "log_mass must be finite at both ends: drop letters without mass."
    )
    if recursion_has_no_subtraction(log_mass, length):
        return power_by_recursion(log_mass, length)
    return power_by_squaring(log_mass, length)


def recursion_has_no_subtraction(log_mass: FloatArray, length: int) -> bool:
    """Whether Miller's recursion, run from both ends, only adds: always for three letters, hardly ever for four.

    Parameters
    ----------
    log_mass : array (k,)
        Log masses on a lattice, ``-inf`` where there is none.
    length : int
        How often it is convolved with itself.
    """
    letters = np.flatnonzero(np.isfinite(log_mass))
    width = int(letters[-1])
    if width == 0:
        return False
    reach = (int(letters[1]) + width - int(letters[-2])) * (length + 1)
    ratio = float(np.ptp(log_mass[letters]))
    # The last J coefficients are held in one scale; this keeps their range within the exponents of a double.
    return reach >= length * width and width * (math.log(length + 1) + ratio) <= 600.0


def power_by_recursion(log_mass: FloatArray, length: int) -> FloatArray:
    """Coefficients of ``P^m`` by J.C.P. Miller's recursion from both ends, ``O(m J k)`` for k letters.

    From ``P A' = m P' A``: ``n p_0 a_n = Σ_k (k(m+1) - n) p_k a_{n-k}``. With three letters every term is positive in
    the half that each end computes, so that an error stays a relative error of a few units in the last place per step.

    Parameters
    ----------
    log_mass : array (J+1,)
        Log masses of a token's reward on the lattice 0, 1, …, J; ``-inf`` where there is none; both ends have some.
    length : int
        Number of tokens m >= 1.

    Returns
    -------
    array (mJ+1,)
        Log masses of the sum, in nats.

    Examples
    --------
    >>> np.exp(power_by_recursion(np.log([0.5, 0.25, 0.25]), 2)).round(4).tolist()
    [0.25, 0.25, 0.3125, 0.125, 0.0625]
    """
    width = log_mass.size - 1
    letters = np.flatnonzero(np.isfinite(log_mass))
    forward = min(length * width, int(letters[1]) * (length + 1))
    low = _recursion(log_mass, length, forward)
    high = _recursion(log_mass[::-1], length, length * width - forward - 1)
    return np.concatenate([low, high[::-1]])


def _recursion(log_mass: FloatArray, length: int, last: int) -> FloatArray:
    if last < 0:
        return np.empty(0)
    width = log_mass.size - 1
    terms = [(int(k), math.exp(log_mass[k] - log_mass[0])) for k in np.flatnonzero(np.isfinite(log_mass)) if k > 0]
    value, exponent = np.empty(last + 1), np.empty(last + 1)
    recent, scale = [1.0], 0  # a_n = recent[n] 2^scale
    value[0], exponent[0] = 1.0, 0.0
    for n in range(1, last + 1):
        total = 0.0
        for k, ratio in terms:
            if k <= n:
                total += (k * (length + 1) - n) * ratio * recent[-k]
        total /= n
        recent.append(total)
        if total > 1e100 or 0.0 < total < 1e-100:
            shift = math.frexp(total)[1]
            recent = [math.ldexp(v, -shift) for v in recent[-width:]]
            scale += shift
        value[n], exponent[n] = recent[-1], scale
        if len(recent) > 4 * width + 64:
            recent = recent[-width:]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(value) + exponent * math.log(2.0) + length * log_mass[0])


def power_by_squaring(log_mass: FloatArray, length: int) -> FloatArray:
    """Coefficients of ``P^m`` by repeated squaring with :func:`log_convolve`; for any number of letters.

    Parameters
    ----------
    log_mass : array (J+1,)
        Log masses of a token's reward on the lattice 0, 1, …, J; ``-inf`` where there is none.
    length : int
        Number of tokens m >= 1.

    Returns
    -------
    array (mJ+1,)
        Log masses of the sum, in nats.

    Raises
    ------
    InputError
        If ``length`` is below 1, or beyond what memory holds the law of.

    Examples
    --------
    >>> np.exp(power_by_squaring(np.log([0.5, 0.25, 0.25]), 2)).round(4).tolist()
    [0.25, 0.25, 0.3125, 0.125, 0.0625]
    """
    require(1 <= length <= _LONGEST, f"length must lie in [1, {_LONGEST:g}]; got {quoted(length)}.", "length")
    power = log_mass
    for bit in bin(length)[3:]:
        power = log_convolve(power, power)
        if bit == "1":
            power = log_convolve(power, log_mass)
    return power


def log_convolve(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return ``log Σ_i e^{a_i + b_{n-i}}`` for each n, to relative accuracy of the sums.

    Each run of outputs is computed in ordinary arithmetic after the exponential tilt that brings it near the mode;
    an output is kept only where what underflowed cannot matter. Where no tilt helps (mass in far apart clusters) the
    sum is done in log space.

    Parameters
    ----------
    a, b : array
        Log masses on one lattice, ``-inf`` where there is none.

    Returns
    -------
    array (len(a) + len(b) - 1,)
        In nats.
    """
    out = np.full(a.size + b.size - 1, -np.inf)
    todo: BoolArray = scipy.signal.fftconvolve(np.isfinite(a).astype(float), np.isfinite(b).astype(float)) > 0.5
    while todo.any():
        first = int(np.argmax(todo))
        slope = _tilt_for(a, b, first)
        left, peak_a, from_a = _tilted(a, slope)
        right, peak_b, from_b = _tilted(b, slope)
        sums = np.convolve(left, right)
        where = slice(from_a + from_b, from_a + from_b + sums.size)
        kept = todo[where] & (sums >= math.ldexp(math.exp(-_ACCEPT), 2 * _LIFT))
        index = np.flatnonzero(kept) + where.start
        out[index] = np.log(np.ldexp(sums[kept], -2 * _LIFT)) + (slope * index + (peak_a + peak_b))
        todo[index] = False
        if todo[first]:
            out[first] = _one_sum(a, b, first)
            todo[first] = False
    return out


def _tilted(a: FloatArray, slope: float) -> tuple[FloatArray, float, int]:
    """``e^{a_i - slope i - peak + lift}`` where it is large enough to count, its peak and its first index."""
    lifted = a - slope * np.arange(a.size)
    peak = float(lifted.max())
    index = np.flatnonzero(lifted >= peak - _SPAN)
    window = lifted[index[0] : index[-1] + 1] - peak
    return np.where(window >= -_SPAN, np.ldexp(np.exp(np.maximum(window, -_SPAN)), _LIFT), 0.0), peak, int(index[0])


def _tilt_for(a: FloatArray, b: FloatArray, n: int) -> float:
    """The slope at which the tilted modes of ``a`` and ``b`` lie at indices adding up to n, by bisection."""
    i, j = np.arange(a.size), np.arange(b.size)
    high = 1.0 + sum(float(np.ptp(c[np.isfinite(c)])) for c in (a, b))
    low = -high
    for _ in range(60):
        middle = (low + high) / 2
        reached = int(np.argmax(a - middle * i)) + int(np.argmax(b - middle * j))
        if reached == n:
            return middle
        low, high = (middle, high) if reached > n else (low, middle)
    return (low + high) / 2


def _one_sum(a: FloatArray, b: FloatArray, n: int) -> float:
    low, high = max(0, n - b.size + 1), min(n, a.size - 1)
    return float(scipy.special.logsumexp(a[low : high + 1] + b[n - high : n - low + 1][::-1]))
