"""Over-optimisation on a finite law: what a proxy says and what gold does as optimisation goes on.

A proxy is optimised by the tilt along λ or by a rule along its parameter. Either sees only the proxy and cannot tell
tied outcomes apart, so ties are averaged. `hacking_threshold` walks such a path: gold, its slope, its turns.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.same import SameFields
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import RankRule, Rule

__all__ = ["OverOptimisation", "Path", "directions", "path_of", "rule_curve", "tilting_curve"]

_GRID = 240
_SATURATED = 40.0  # e^-40 of the mass is left below the top level
_STEP = 1e-4  # of a difference quotient, relative to the offset from the start


@dataclass(frozen=True, eq=False)
class OverOptimisation(SameFields):
    """Gains over the base model as a proxy is optimised.

    Attributes
    ----------
    path : str
        ``"tilt"`` or the rule's name.
    parameter : array (k,)
        Its λ, N or μ.
    spent : array (k,)
        KL to the base in nats.
    proxy_gain, gold_gain : array (k,)
        What the proxy reports, and what is gained in truth.
    limit_gain : array (k,)
        The most gold that any policy can gain for that KL.

    Examples
    --------
    >>> curve = tilting_curve(ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5]), [0.0, 0.5, 8.0])
    >>> curve.parameter.tolist(), bool((curve.gold_gain <= curve.limit_gain + 1e-12).all())
    ([0.0, 0.5, 8.0], True)
    """

    path: str
    parameter: FloatArray
    spent: FloatArray
    proxy_gain: FloatArray
    gold_gain: FloatArray
    limit_gain: FloatArray


def tilting_curve(pair: ProxyPair, lam: npt.ArrayLike) -> OverOptimisation:
    """Return the curve of ``π̂ ∝ p e^{λr̂}`` at each ``λ >= 0``.

    Parameters
    ----------
    pair : ProxyPair
        The law of proxy and gold.
    lam : array (k,)
        Inverse temperatures λ >= 0, ``inf`` allowed.

    Raises
    ------
    InputError
        If a λ is negative or not a number.

    Examples
    --------
    >>> curve = tilting_curve(ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5]), [0.5, 8.0])
    >>> curve.gold_gain.round(4).tolist()
    [0.0126, -0.3153]

    Source: P26 (covariance form).
    """
    lams = as_vector("lam", lam)
    return _curve(pair, "tilt", lams, pair.kl(lams), pair.proxy_gain(lams), pair.gold_gain(lams))


def rule_curve(pair: ProxyPair, rules: Sequence[Rule]) -> OverOptimisation:
    """Return the curve of rules that pick by the proxy, ties averaged.

    Parameters
    ----------
    pair : ProxyPair
        Law, gold and proxy.
    rules : sequence of Rule
        One for each point, such as ``BestOfN.along([2, 4, 8])``.

    Raises
    ------
    InputError
        If there is no rule.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> rule_curve(ProxyPair([0.0, 1.0, 1.0], [0.0, 1.0, 1.0]), [BestOfN(2)]).gold_gain.round(6).tolist()
    [0.222222]

    Source: B24 (law of best-of-N), K25, V25 (its relatives).
    """
    require(len(rules) > 0, "rules must hold at least one rule; got none.")
    levels = pair.levels
    ratios = [rule.log_ratio(levels) for rule in rules]
    return _curve(
        pair,
        rules[0].name,
        np.array([rule.value for rule in rules]),
        np.array([levels.kl_of(t) for t in ratios]),
        np.array([levels.gain_of(t) for t in ratios]),
        np.array([pair.gold_of_levels(t) for t in ratios]),
    )


def _curve(
    pair: ProxyPair, path: str, parameter: FloatArray, kl: FloatArray, proxy: FloatArray, gold: FloatArray
) -> OverOptimisation:
    limit = pair.ideal.gain(pair.ideal.lam_at_kl(np.maximum(kl, 0.0)))
    return OverOptimisation(path, parameter, np.asarray(kl), np.asarray(proxy), gold, np.asarray(limit))


class Path(ABC):
    """A family of policies along one parameter, from the base model at ``start`` to its limit at infinity.

    Parameters
    ----------
    pair : ProxyPair
        The law of proxy and gold.
    """

    name: str
    start: float
    proved = True  # whether `turns` bounds how often gold turns

    def __init__(self, pair: ProxyPair) -> None:
        self.pair = pair

    @property
    @abstractmethod
    def offsets(self) -> FloatArray:
        """A geometric grid, measured from the start, from where nothing has happened to where nothing more does."""

    @abstractmethod
    def slope(self, value: float) -> tuple[float, float]:
        """Derivative of gold in the parameter, and a bound on its rounding.

        Parameters
        ----------
        value : float
            The parameter.

        Returns
        -------
        slope : float
            In units of gold.
        rounding : float
            Bound on its error.
        """

    @abstractmethod
    def gold(self, values: FloatArray) -> FloatArray:
        """Gold gain at each value of the parameter.

        Parameters
        ----------
        values : array (k,)
            Values of the parameter.
        """

    @abstractmethod
    def at(self, value: float) -> OverOptimisation:
        """The one policy at this value.

        Parameters
        ----------
        value : float
            The parameter.
        """

    @property
    def end(self) -> tuple[float, float, float]:
        """KL, proxy gain and gold gain in the limit: the base conditioned on the top proxy level.

        Returns
        -------
        kl, proxy_gain, gold_gain : float
            KL in nats, gains in the units of the rewards.
        """
        proxied = self.pair.proxied
        gold = float(self.pair.gold_by_level[-1] - self.pair.ideal.base_reward)
        return proxied.max_kl, proxied.max_reward - proxied.base_reward, gold

    def turns(self, resolution: float, first_sign: float) -> int:
        """How often gold can turn, given the sign of its slope at the start.

        Parameters
        ----------
        resolution : float
            Reversals of less than this share of the range of gold are rounding.
        first_sign : float
            Sign of the slope at the start.
        """
        return _possible_turns(self.pair, resolution, first_sign)


class _Tilt(Path):
    name = "tilt"
    start = 0.0

    @property
    def offsets(self) -> FloatArray:
        pair = self.pair
        spread = math.sqrt(pair.proxied.variance(0.0))
        top = pair.levels.reward[-1] - pair.levels.reward
        # the top level outweighs level i by e^{λ·gap} p_top / p_i
        need = (_SATURATED + np.log(pair.levels.mass[:-1]) - math.log(pair.levels.mass[-1])) / top[:-1]
        return np.geomspace(1e-3 / spread, max(float(need.max()), 2e-3 / spread), _GRID)

    def slope(self, value: float) -> tuple[float, float]:
        found, size = self.pair.covariance(value)
        return found, _rounding(size, self.pair.prob.size)

    def gold(self, values: FloatArray) -> FloatArray:
        return np.asarray(self.pair.gold_gain(values))

    def at(self, value: float) -> OverOptimisation:
        return tilting_curve(self.pair, [value])

    def turns(self, resolution: float, first_sign: float) -> int:
        return _possible_turns(self.pair, resolution, None)


class _AlongRule(Path):
    def __init__(self, pair: ProxyPair, make: Callable[[float], Rule], example: Rule) -> None:
        super().__init__(pair)
        self.make, self.name, self.start = make, example.name, example.start

    def at(self, value: float) -> OverOptimisation:
        return rule_curve(self.pair, [self.make(value)])


class _Ranks(_AlongRule):
    """A rule of ranks whose distribution function has a known slope in the parameter: gold's follows exactly."""

    make: Callable[[float], RankRule]

    @property
    def offsets(self) -> FloatArray:
        far = _SATURATED / -float(self.pair.levels.log_at_or_below[-2])
        return np.geomspace(1e-3, max(far, 1.0), _GRID)

    @cached_property
    def _steps(self) -> FloatArray:
        return np.diff(self.pair.gold_by_level)

    def slope(self, value: float) -> tuple[float, float]:
        rises = self.make(value).cdf_slope(self.pair.levels)
        assert rises is not None  # by `path_of`
        terms = self._steps * -rises
        return float(terms.sum()), _rounding(float(np.abs(terms).sum()), terms.size)

    def gold(self, values: FloatArray) -> FloatArray:
        kept = np.array([self.make(v).cdf_below_top(self.pair.levels) for v in values.tolist()])
        return np.asarray(self.pair.gold_by_level[-1] - self.pair.ideal.base_reward - kept @ self._steps)


class _Quotients(_AlongRule):
    """Any rule along its parameter, by difference quotients: nothing is proved."""

    proved = False

    @cached_property
    def offsets(self) -> FloatArray:
        far, spent = 1.0, self._kl(1.0)
        for _ in range(60):  # out to where doubling the parameter changes nothing, or the rule allows no more
            try:
                more = self._kl(2.0 * far)
            except (InputError, ArithmeticError):
                break
            if abs(more - spent) <= 1e-12 * spent:
                break
            far, spent = 2.0 * far, more
        return np.geomspace(1e-6 * far, far, _GRID)

    def _kl(self, offset: float) -> float:
        return self.make(self.start + offset).on(self.pair.proxied).kl

    def slope(self, value: float) -> tuple[float, float]:
        step = _STEP * max(value - self.start, float(self.offsets[0]))
        near = np.array([max(value - step, self.start), min(value + step, self.start + float(self.offsets[-1]))])
        low, high = self.gold(near)
        return float((high - low) / (near[1] - near[0])), 1e-14 * float(np.ptp(self.pair.gold)) / step

    def gold(self, values: FloatArray) -> FloatArray:
        return np.array([self.pair.gold_of_levels(self.make(v).log_ratio(self.pair.levels)) for v in values.tolist()])

    @property
    def end(self) -> tuple[float, float, float]:
        last = self.at(self.start + float(self.offsets[-1]))
        return float(last.spent[0]), float(last.proxy_gain[0]), float(last.gold_gain[0])

    def turns(self, resolution: float, first_sign: float) -> int:
        return _possible_turns(self.pair, resolution, None)


def path_of(pair: ProxyPair, rule: Callable[[float], Rule] | None) -> Path:
    """Return the path of a rule along its parameter, or of the tilt along λ where ``rule`` is None.

    Parameters
    ----------
    pair : ProxyPair
        The law of proxy and gold.
    rule : callable, optional
        From a value of its parameter to the rule.

    Raises
    ------
    InputError
        If what ``rule`` returns is no rule.
    """
    if rule is None:
        return _Tilt(pair)
    example = rule(1.0)
    require(
        isinstance(example, Rule),
        "rule must return a rule for a value of its parameter, as BestOfN or lambda lam: SoftBestOfN(16, lam) do; "
        f"got {quoted(example)} for 1.0.",
        "rule",
    )
    if isinstance(example, RankRule) and example.cdf_slope(pair.levels) is not None:
        return _Ranks(pair, rule, example)
    return _Quotients(pair, rule, example)


def _rounding(size: float, count: int) -> float:
    # pairwise sums of terms each known to some dozens of ulps
    return 2.2e-16 * (64.0 + math.log2(count + 1)) * size


def directions(pair: ProxyPair, resolution: float) -> list[int]:
    """Return the directions that ``E[r | r̂]`` takes one after the other as the proxy grows, 1 for up and -1 for down.

    Reversals of less than ``resolution`` times the range of gold count as rounding.

    Parameters
    ----------
    pair : ProxyPair
        The law of proxy and gold.
    resolution : float
        Reversals of less than this share of the range of gold are rounding.

    Examples
    --------
    >>> directions(ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5]), 1e-13)
    [1, -1]
    """
    gold = pair.gold_by_level
    least = resolution * float(np.ptp(pair.gold) + np.abs(pair.gold).max() * 1e-3)
    taken: list[int] = []
    extreme = float(gold[0])
    for value in gold[1:].tolist():
        if taken and taken[-1] * (value - extreme) > 0:
            extreme = value  # on in the same direction
        elif abs(value - extreme) > least:
            taken.append(1 if value > extreme else -1)
            extreme = value
    return taken


def _possible_turns(pair: ProxyPair, resolution: float, first_sign: float | None) -> int:
    """Return how often gold can turn from the start of a path on.

    Along a rule whose derivative in its parameter is a sum of exponentials on the whole line, its sign far to the left
    is that of the first step of ``E[r | r̂]``: where ``first_sign``, the sign at the start, differs, one of the zeros
    lies before the start. Along λ (``first_sign`` is None) the count is a bound only where it is at most once.
    """
    taken = directions(pair, resolution)
    before = first_sign is not None and len(taken) > 1 and first_sign * taken[0] < 0
    return max(len(taken) - 1, 0) - int(before)
