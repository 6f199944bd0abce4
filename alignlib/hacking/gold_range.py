"""The tight range of the gold gain of a policy that a proxy picks, from the proxy's correlation with gold.

With ``ρ = corr_p(gold, proxy)`` within prompts, standard deviations σ and σ̂ and proxy gain ĝ,
``|gain/σ - ρ ĝ/σ̂| ≤ √(1-ρ²) √(χ²(φ‖p) - ĝ²/σ̂²)``: gold is ρ times the proxy plus a rest that no linear function of the
proxy sees, and ``φ/p - 1`` is ``ĝ/σ̂`` times the proxy plus a rest of that squared length.

Where tails are known to be light there is a range in KL too. Standardised within prompts, gold is ``ρ r̂ + √(1-ρ²) u``.
If ``log E_p e^{λu} ≤ s²λ²/2``, no policy moves u by more than ``s √(2 KL)``; the χ² of best-of-N grows like N/2, its KL
like log N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, as_number, as_vector, like, require, require_range
from alignlib._core.errors import InputError

__all__ = ["check_correlation", "ends_of_range", "gold_range", "gold_range_at_kl"]


def check_correlation(correlation: float | Sequence[float]) -> tuple[float, float, float]:
    """Return a correlation with its least and largest value; a single number is all three.

    Parameters
    ----------
    correlation : float, or (value, low, high)
        Correlation of gold and proxy, with its ends where they are known.

    Returns
    -------
    value, least, largest : float
        In [-1, 1].

    Raises
    ------
    InputError
        For numbers outside [-1, 1], other than one or three of them, or a value outside its ends.

    Examples
    --------
    >>> check_correlation(0.7), check_correlation([0.7, 0.6, 0.8])
    ((0.7, 0.7, 0.7), (0.7, 0.6, 0.8))
    """
    given = as_vector("gold_correlation", np.atleast_1d(np.asarray(correlation, dtype=np.float64)))
    require(
        given.size in (1, 3),
        f"gold_correlation must be one number, or three: the correlation, its least and its largest value; got "
        f"{given.size}.",
        "gold_correlation",
    )
    require_range("gold_correlation", given, -1.0, 1.0)
    value, low, high = given.tolist() * (3 // given.size)
    require(
        low <= value <= high,
        f"gold_correlation must lie between its least and largest value; got {value:g}, {low:g} and {high:g}.",
        "gold_correlation",
    )
    return value, low, high


def gold_range(
    correlation: float | Sequence[float], proxy_gain: npt.ArrayLike, chi_squared: npt.ArrayLike
) -> tuple[FloatOrArray, FloatOrArray]:
    """Return the least and the largest gold gain that a correlation allows, both in standard deviations of gold.

    ``ρ ĝ ± √(1-ρ²) √(χ² - ĝ²)``, ĝ in standard deviations of the proxy. No smaller range holds for all golds of that
    correlation: some gold reaches each end, if ``χ² > ĝ²``. At ``χ² = ĝ²``, as under a χ²-optimal policy that drops no
    response or one by a proxy with two values, the range is one point: the gain of every gold of that correlation, if
    there is one (of two responses, each gold has a correlation of -1 or 1).

    Parameters
    ----------
    correlation : float, or (value, low, high)
        Correlation of gold and proxy under the base model, within prompts; with its ends the range holds for all
        between them.
    proxy_gain : float or array (k,)
        The policy's gain in the proxy, in standard deviations of the proxy.
    chi_squared : float or array (k,)
        χ² of the policy to the base model, at least the square of the gain.

    Returns
    -------
    least, largest : float or array (k,)
        In standard deviations of gold; floats where gain and χ² are numbers.

    Raises
    ------
    InputError
        For a correlation outside [-1, 1], or a gain that no policy of that χ² has.

    Examples
    --------
    >>> low, high = gold_range(0.8, 1.0, 1.5625)
    >>> round(low, 4), round(high, 4)
    (0.35, 1.25)

    Source: Cauchy–Schwarz; L24 for a lower bound from the same quantities, which is not attained.
    """
    _, least, largest = check_correlation(correlation)
    gain, spread = np.broadcast_arrays(
        as_vector("proxy_gain", np.atleast_1d(np.asarray(proxy_gain))),
        as_vector("chi_squared", np.atleast_1d(np.asarray(chi_squared))),
    )
    rest = spread - np.square(gain)
    short = rest < -1e-9 * np.maximum(spread, 1e-300)
    if short.any():
        at = int(np.argmax(short))
        raise InputError(
            f"proxy_gain must not exceed √chi_squared, {math.sqrt(max(float(spread[at]), 0.0)):.6g}; got "
            f"{gain[at]:.6g}. Give the gain in standard deviations of the proxy.",
            argument="proxy_gain",
        )
    low, high = ends_of_range(gain, np.sqrt(np.maximum(rest, 0.0)), least, largest)
    given = np.zeros(np.broadcast_shapes(np.shape(proxy_gain), np.shape(chi_squared)))
    return like(given, low), like(given, high)


def ends_of_range(gain: FloatArray, rest: FloatArray, least: float, largest: float) -> tuple[FloatArray, FloatArray]:
    """Ends of ``ρ a ± √(1-ρ²) b`` over ρ between its ends: sine curves in arcsin ρ.

    Parameters
    ----------
    gain : array (k,)
        a, the gain in the proxy in its standard deviations.
    rest : array (k,)
        b, how far the rest of gold may be moved.
    least, largest : float
        Ends of ρ.

    Returns
    -------
    low, high : array (k,)
        In standard deviations of gold.
    """
    size, turn = np.hypot(gain, rest), np.arctan2(rest, gain)
    angles = np.arcsin(np.array([least, largest]))
    lows, highs = (size[:, None] * np.sin(angles + sign * turn[:, None]) for sign in (-1.0, 1.0))
    deepest, top = turn - math.pi / 2.0, math.pi / 2.0 - turn
    low = np.where((angles[0] < deepest) & (deepest < angles[1]), -size, lows.min(axis=1))
    high = np.where((angles[0] < top) & (top < angles[1]), size, highs.max(axis=1))
    return low, high


def gold_range_at_kl(
    correlation: float | Sequence[float],
    proxy_gain: npt.ArrayLike,
    kl: npt.ArrayLike,
    *,
    rest_tail: float = 1.0,
    proxy_tail: float | None = None,
) -> tuple[FloatOrArray, FloatOrArray]:
    """Return the least and the largest gold gain, in its standard deviations: ``ρ ĝ ± s√(1-ρ²)√(2KL)`` for light tails.

    Parameters
    ----------
    correlation : float, or (value, low, high)
        Correlation of gold and proxy under the base model, within prompts.
    proxy_gain : float or array (k,)
        The policy's gain in the proxy, in standard deviations of the proxy.
    kl : float or array (k,)
        KL of the policy to the base model, in nats.
    rest_tail : float
        ``s >= 1`` with ``log E_p e^{λu} <= s²λ²/2`` for the rest u of gold on the proxy, in its own standard deviation:
        1 if it is normal; half its range if it is bounded.
    proxy_tail : float, optional
        ``t >= 1`` with ``log E_p e^{a r̂ + b u} <= (t²a² + s²b²)/2`` for proxy and rest together: 1 if they are jointly
        normal. Then ``2KL`` is lessened by ``ĝ²/t²``, what the proxy's own gain takes.

    Returns
    -------
    least, largest : float or array (k,)
        In standard deviations of gold; floats where gain and KL are numbers.

    Raises
    ------
    InputError
        For a correlation outside [-1, 1], a tail below 1, or a gain that no policy of that KL has under ``proxy_tail``.

    Examples
    --------
    >>> low, high = gold_range_at_kl(0.8, 1.0, 0.5)
    >>> round(low, 4), round(high, 4)
    (0.2, 1.4)
    >>> [round(end, 4) for end in gold_range_at_kl(0.8, 1.0, 0.5, proxy_tail=1.0)]
    [0.8, 0.8]

    Source: Donsker and Varadhan's inequality for sub-Gaussian variables, as in transport inequalities.
    """
    _, least, largest = check_correlation(correlation)
    rest = as_number("rest_tail", rest_tail, 1.0)
    gain, spent = np.broadcast_arrays(
        as_vector("proxy_gain", np.atleast_1d(np.asarray(proxy_gain))),
        require_range("kl", np.atleast_1d(np.asarray(kl)), 0.0),
    )
    left = 2.0 * spent
    if proxy_tail is not None:
        own = np.square(gain / as_number("proxy_tail", proxy_tail, 1.0))
        short = left - own < -1e-9 * np.maximum(left, 1e-300)
        if short.any():
            at = int(np.argmax(short))
            raise InputError(
                f"proxy_gain must not exceed proxy_tail·√(2 kl), {proxy_tail * math.sqrt(left[at]):.6g}; got "
                f"{abs(gain[at]):.6g}. The proxy's tail is heavier than proxy_tail says.",
                argument="proxy_gain",
            )
        left = np.maximum(left - own, 0.0)
    low, high = ends_of_range(gain, rest * np.sqrt(left), least, largest)
    given = np.zeros(np.broadcast_shapes(np.shape(proxy_gain), np.shape(kl)))
    return like(given, low), like(given, high)
