"""The law of one of n draws, kept with a probability in proportion to a weight of its reward, and rules that do so.

``π(y) = n p(y) w(y) ∫ e^{-t w(y)} φ(t)^{n-1} dt`` with ``φ(t) = E_p e^{-t w}``: the normaliser ``1/Σw`` of a random
sample becomes an integral over independent factors. In ``s = log t`` the integrand decays doubly exponentially and the
trapezoidal rule converges geometrically. Where all draws weigh nothing, one of them is kept at random. Derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray, as_plain, require
from alignlib.laws import Levels
from alignlib.rules.rule import Rule

__all__ = ["WeightedRule", "one_by_weight", "weighted_choice"]

_T = TypeVar("_T", bound=np.generic)

# Halving the step changes nothing: the integrand's Fourier transform has fallen to e^{-π²/step} there.
_STEP = 0.2
_LEFT = 42.0
_RIGHT = 5.0
_CERTIFICATE = 1e-11
_AT_ONCE = 1 << 18
_APART = 60.0  # nats: e^-60 of a mass is nothing next to it
_WIDEST = 1e4
_GONE = 7.0  # e^-e^7 is no double
_NOTHING = 90.0  # nats: as many terms of e^-90 as a sum has are nothing
_ROWS = 256  # of the sum that are done together: some 50 nats
_OVERFLOWS = 700.0  # e^t beyond is no double


def weighted_choice(levels: Levels, exponent: FloatArray, lam: float, n: float, name: str) -> FloatArray:
    """Return ``log(policy/base)`` of each level.

    Parameters
    ----------
    levels : Levels
        The base law.
    exponent, lam : array (levels,), float
        The weight of each level is ``e^{lam·exponent}``, rising; none where the exponent is ``-inf``.
    n : float
        Number of draws.
    name : str
        What to call the rule where its law cannot be computed.

    Raises
    ------
    InputError
        Where the logarithms of the weights of levels that lie close together span 1e4 or more.
    ArithmeticError
        Where the quadrature does not sum to one within 1e-11.

    Examples
    --------
    >>> levels = Levels.of([0.0, 1.0], None)
    >>> np.exp(weighted_choice(levels, np.array([-np.inf, 0.0]), 1.0, 2.0, "a rule")).round(9).tolist()
    [0.5, 1.5]
    """
    ratio = np.empty_like(levels.mass)
    none = int(np.count_nonzero(np.isneginf(exponent)))
    # No draw of these is kept unless all n are: then one of them at random.
    if none:
        nothing = levels.below[none] if none < ratio.size else 1.0
        with np.errstate(under="ignore"):
            ratio[:none] = (n - 1.0) * math.log(nothing) if nothing < 1.0 else 0.0
    # Levels far below a cluster never win against one of it, levels far above never lose: clusters part.
    with np.errstate(over="ignore"):
        steps = lam * np.diff(exponent[none:])
    for part in np.split(np.arange(none, ratio.size), np.flatnonzero(steps > _APART + math.log(n)) + 1):
        if part.size:
            ratio[part] = _cluster(levels, lam * (exponent[part] - exponent[part[-1]]), part, n, name)
    total = float(levels.policy_of(ratio).sum())
    if abs(total - 1) > _CERTIFICATE:
        raise ArithmeticError(f"{name} lost accuracy: its law sums to {total!r} at n={n:g}.")
    return ratio


def one_by_weight(weight: FloatArray, rng: np.random.Generator) -> int:
    """Return a place drawn with probability in proportion to ``weight``, any of them where all weigh nothing.

    Parameters
    ----------
    weight : array (k,)
        Weights >= 0.
    rng : Generator
        Source of randomness.
    """
    total = float(weight.sum())
    return int(rng.choice(weight.size, p=weight / total if total > 0.0 else None))


def _cluster(levels: Levels, fall: FloatArray, part: IntArray, n: float, name: str) -> FloatArray:
    """The same for levels ``part``, none of which is far from the next; ``fall`` is from their top."""
    require(
        fall[0] > -_WIDEST,
        f"lam times the range of rewards that lie close together must stay below {_WIDEST:g} for {name}; "
        f"got {-fall[0]:g}. Use best-of-N, its limit for large lam.",
    )
    mass = levels.mass[part]
    s = np.arange(-_LEFT - math.log(n), -fall[0] + _RIGHT, _STEP)
    log_phi = np.empty_like(s)
    for start in range(0, s.size, _ROWS):
        rows = slice(start, start + _ROWS)
        # Levels far below lose nothing at such s, and levels far above lose all.
        first = int(np.searchsorted(fall, -_APART - math.log(n) - s[rows][-1]))
        last = int(np.searchsorted(fall, _GONE - s[rows][0], side="right"))
        under, over = float(levels.below[part[first]]), float(levels.above[part[last - 1]])
        log_phi[rows] = np.concatenate(
            [
                _log_laplace(mass[first:last], under, over, some[:, None] + fall[first:last])
                for some in _parts(s[rows], fall[first:last])
            ]
        )
    # log of n w t e^{-t w} φ(t)^{n-1}, summed over s with weight _STEP: all but w and e^{-t w} is that of every level
    common = math.log(n * _STEP) + s + (n - 1) * log_phi
    largest = np.maximum.accumulate(common)
    ratio = np.empty_like(fall)
    for some in np.split(np.arange(fall.size), np.flatnonzero(np.diff(np.floor(fall / _APART))) + 1):
        # The integrand of each is at least e^-1 of the largest up to where t w is 1; what is e^-90 of it is nothing.
        least = largest[np.searchsorted(s, -fall[some[-1]], side="right") - 1] - _NOTHING
        kept = np.flatnonzero((common >= least) & (s <= _GONE - fall[some[0]]))
        for at in _parts(some, s[kept]):
            out = common[kept][:, None] + fall[at] - np.exp(fall[at] + s[kept][:, None])
            peak = out.max(axis=0)
            ratio[at] = peak + np.log(np.exp(out - peak).sum(axis=0))
    return np.asarray(ratio)


def _parts(rows: npt.NDArray[_T], columns: FloatArray) -> list[npt.NDArray[_T]]:
    """Split rows so that a part times all columns stays within the cache."""
    parts: list[npt.NDArray[_T]] = np.array_split(rows, math.ceil(rows.size * columns.size / _AT_ONCE))
    return parts


def _log_laplace(mass: FloatArray, under: float, over: float, log_x: FloatArray) -> FloatArray:
    """``log (under + Σ mass e^{-x})`` of each row, accurate where next to nothing is lost and far out.

    ``under`` is mass that loses nothing and ``over`` mass that loses all: mass, under and over sum to one.
    """
    x = np.exp(np.minimum(log_x, _OVERFLOWS))
    lost = -np.expm1(-x) @ mass + over
    out = np.log1p(-np.minimum(lost, 0.5))
    far = lost >= 0.5
    if far.any():
        x = x[far]
        low = np.zeros(len(x)) if under > 0.0 else x.min(axis=1)
        with np.errstate(divide="ignore", under="ignore"):
            out[far] = -low + np.log(under + np.exp(low[:, None] - x) @ mass)
    return out


@dataclass(frozen=True)
class WeightedRule(Rule):
    """Draw n, keep one by a weight that λ >= 0 makes steeper; the curve runs along λ at a fixed n, from the base at 0.

    A subclass defines `log_ratio`, by `weighted_choice`, and `choose`.

    Parameters
    ----------
    n : float
        Number of draws, >= 1.
    lam : float
        λ >= 0; 0 is the base model.
    """

    n: float
    lam: float

    parameter = "lam"
    symbol = "λ"
    start = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", as_plain("n", self.n, 1.0))
        object.__setattr__(self, "lam", as_plain("lam", self.lam, self.start))

    @property
    def draws(self) -> float:
        """The number n itself."""
        return float(self.n)
