"""Over-optimisation curves on a finite law: what a proxy says and what gold does as optimisation goes on.

A proxy is optimised by the tilt along λ or by a rule along its parameter. Either sees only the proxy and cannot tell
tied outcomes apart, so ties are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib._core.same import SameFields
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import Rule

__all__ = ["OverOptimisation", "rule_curve", "tilting_curve"]


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
