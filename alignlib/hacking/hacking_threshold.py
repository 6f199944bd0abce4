"""Where optimising a proxy starts to cost gold, on a finite law, with a certificate.

Let ``g_i = E[r | r̂ = level i]``. Along the tilt's λ, best-of-N's N and best-of-Poisson's μ the policy's density in the
level is totally positive, so gold turns at most once if ``g`` does (variation diminishing: ``E_θ g - c`` changes sign
no more often than ``g - c``). Along N and μ its derivative is a sum of exponentials, with no more zeros than
``g_{i+1} - g_i`` has changes of sign (Laguerre); along λ nothing of the kind is proved for a ``g`` that turns twice or
more, nor for other rules at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import quoted
from alignlib.hacking.overoptimisation import Path, directions, path_of
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import Rule

__all__ = ["HackingThreshold", "hacking_threshold"]


@dataclass(frozen=True)
class HackingThreshold:
    """The point of a path where gold is largest.

    Gold rises at ``low`` and falls at ``high`` (``slope_low > 0 > slope_high``, each beyond its rounding): the
    certificate of a maximum between them. Where ``turning_points`` is at most 1 and the path is ``proved`` to turn no
    more often, the maximum is global by proof, else by comparison on a grid.

    Attributes
    ----------
    path : str
        ``"tilt"`` or the rule's name.
    parameter : float
        λ, N or μ there: the path's start where no optimisation helps, ``inf`` where gold is largest at the end of the
        path, that is, never hacked for good.
    spent : float
        KL to the base in nats.
    gold_gain, proxy_gain : float
        Gains over the base there.
    end_gain : float
        Gold gain in the limit of the path.
    low, high : float
        Parameters around the maximum.
    slope_low, slope_high : float
        Slopes of gold at them.
    turning_points : int
        How often ``E[r | r̂]`` turns, less what lies before the path's start.
    proved : bool
        Whether gold along the path is known to turn no more often.

    Examples
    --------
    >>> found = hacking_threshold(ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5]))
    >>> bool(found.low < found.parameter < found.high), bool(found.gold_gain > found.end_gain), found.turning_points
    (True, True, 1)
    """

    path: str
    parameter: float
    spent: float
    gold_gain: float
    proxy_gain: float
    end_gain: float
    low: float
    high: float
    slope_low: float
    slope_high: float
    turning_points: int
    proved: bool

    @property
    def turns_down(self) -> bool:
        """Whether more optimisation than ``parameter`` costs gold; not so where gold is unrelated to the proxy."""
        return math.isfinite(self.parameter) and self.gold_gain > self.end_gain

    @property
    def certified(self) -> bool:
        """Whether the maximum is bracketed by slopes of proved sign, and global by proof."""
        bracketed = self.slope_low > 0 > self.slope_high if self.low < self.high else True
        return bracketed and self.proved and self.turning_points <= 1


def hacking_threshold(
    pair: ProxyPair, rule: Callable[[float], Rule] | None = None, resolution: float = 1e-13
) -> HackingThreshold:
    """Return the point of a path at which gold is largest: ``argmax E_π̂ r``.

    Parameters
    ----------
    pair : ProxyPair
        Law, gold and proxy.
    rule : callable, optional
        A rule from the value of its parameter, such as ``BestOfN`` or ``lambda lam: SoftBestOfN(16, lam)``; the tilt
        along λ if omitted.
    resolution : float
        Relative rounding of ``gold``: smaller reversals of ``E[r | r̂]`` do not count as turns.

    Raises
    ------
    InputError
        For a proxy or a gold reward that is constant.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> pair = ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5])
    >>> found = hacking_threshold(pair)
    >>> round(found.parameter, 6), found.certified, found.slope_low > 0 > found.slope_high
    (0.462098, True, True)
    >>> round(hacking_threshold(pair, BestOfN).parameter, 3)
    1.438

    Source: the threshold is K25's; the certificate is derived here.
    """
    require(
        isinstance(pair, ProxyPair),
        f"pair must be a ProxyPair, such as ProxyPair(gold, proxy, prob); got {quoted(pair)}.",
        "pair",
    )
    require(
        pair.levels.mass.size > 1,
        f"proxy must take at least two values to optimise; all outcomes with mass have {pair.proxy[0]:g}.",
    )
    require(
        bool(np.ptp(pair.gold) > 0),
        f"gold must take at least two values, or nothing can be gained or lost; all are {pair.gold[0]:g}.",
    )
    path = path_of(pair, rule)
    places = np.concatenate([[path.start], path.start + path.offsets])
    slopes = [path.slope(v) for v in places.tolist()]
    signs = np.array([np.sign(s) if abs(s) > e else 0.0 for s, e in slopes])
    end_kl, end_proxy, end_gain = path.end
    if not directions(pair, resolution):  # gold is unrelated to the proxy
        end_gain = 0.0
    turns = path.turns(resolution, float(signs[0]))
    brackets = [(float(places[a]), float(places[b])) for a, b in _crossings(signs)]
    candidates = [_refined(path, low, high, end_gain, turns) for low, high in brackets]
    best = max(candidates, key=lambda c: c.gold_gain, default=None)
    if best is not None and best.gold_gain > max(end_gain, 0.0):
        return best
    highest = float(path.gold(places).max())
    require(
        highest <= max(end_gain, 0.0) + 1e-9 * float(np.ptp(pair.gold)),
        f"gold peaks at {highest:g} where its slope is below rounding, so no maximum can be certified along the "
        f"{path.name}; state rewards in a larger unit.",
    )

    def ended(parameter: float, kl: float, gold: float, proxy: float) -> HackingThreshold:
        return HackingThreshold(
            path.name, parameter, kl, gold, proxy, end_gain, parameter, parameter, math.nan, math.nan, turns,
            path.proved,
        )  # fmt: skip

    return ended(math.inf, end_kl, end_gain, end_proxy) if end_gain > 0 else ended(path.start, 0.0, 0.0, 0.0)


def _crossings(signs: FloatArray) -> list[tuple[int, int]]:
    """Return the pairs of neighbouring certain places between which the slope goes from + to -."""
    certain = np.flatnonzero(signs)
    return [(int(a), int(b)) for a, b in pairwise(certain) if signs[a] > 0 > signs[b]]


def _refined(path: Path, low: float, high: float, end_gain: float, turns: int) -> HackingThreshold:
    root = float(scipy.optimize.brentq(lambda v: path.slope(v)[0], low, high, xtol=1e-14, rtol=1e-14))
    width = 1e-12
    while width < 1.0:  # the narrowest bracket whose slopes exceed their rounding
        left, right = max(low, root - width * root), min(high, root + width * root)
        (a, a_error), (b, b_error) = path.slope(left), path.slope(right)
        if a > a_error and b < -b_error:
            low, high = left, right
            break
        width *= 4.0
    at = path.at(root)
    return HackingThreshold(
        path.name, root, float(at.spent[0]), float(at.gold_gain[0]), float(at.proxy_gain[0]), end_gain,
        low, high, path.slope(low)[0], path.slope(high)[0], turns, path.proved,
    )  # fmt: skip
