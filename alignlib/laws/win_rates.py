"""The reward that any reward becomes when only comparisons with the base model count: the win rate of a response."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, like, require_range
from alignlib._core.errors import InputError
from alignlib.laws.continuous import ContinuousLaw
from alignlib.laws.finite import FiniteLaw
from alignlib.laws.law import Law
from alignlib.laws.uniform import Uniform

__all__ = ["largest_win_rate", "win_rates"]


def win_rates(law: Law) -> Uniform | FiniteLaw:
    """Return the law of ``w(y) = P(r(Y') < r(y)) + ½ P(r(Y') = r(y))``, Y' a base draw: its frontier is in win rates.

    Without ties it is uniform on [0, 1] whatever the reward, so that one curve holds for all. Ties lower that curve.

    Parameters
    ----------
    law : Law
        A base law and its reward: a `FiniteLaw`, or a law without ties.

    Raises
    ------
    InputError
        For a law that is neither, such as an average over prompts.

    Examples
    --------
    >>> from alignlib.laws import Gaussian
    >>> win_rates(Gaussian()).frontier([0.5]).reward.round(4).tolist()
    [0.7737]
    >>> win_rates(FiniteLaw([0.0, 1.0])).frontier([0.5]).reward.round(4).tolist()
    [0.7259]

    Source: I24 (the same transform, as a calibration of rewards), Gui24.
    """
    if isinstance(law, ContinuousLaw):
        return Uniform()
    if isinstance(law, FiniteLaw):
        levels = law.levels
        return FiniteLaw((levels.below + 0.5 * levels.mass)[levels.index], levels.prob)
    raise InputError(
        f"law must be a FiniteLaw or a law without ties; got {type(law).__name__}. Take each prompt's own law.",
        argument="law",
    )


_BEYOND = 30.0  # nats, from which on ``½ - e^{-KL-1}`` is all there is
_NODES = 8192


@lru_cache(maxsize=1)
def _table() -> tuple[FloatArray, FloatArray, FloatArray]:
    """``√KL``, gain and the gain's slope in ``√KL``, node by node along λ: no equation is solved."""
    law = Uniform()
    lam = np.concatenate([[0.0], np.geomspace(1e-8, 20.0, _NODES // 2), np.linspace(20.0, 60.0, 200)[1:],
                          np.exp(np.linspace(math.log(60.0), _BEYOND + 1.5, _NODES // 2))[1:]])  # fmt: skip
    root, gain = np.sqrt(law.kl(lam)), np.asarray(law.gain(lam))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(lam > 0.0, 2.0 * root / lam, 1.0 / math.sqrt(6.0))
    return root, gain, slope


def largest_win_rate(kl: npt.ArrayLike) -> FloatOrArray:
    """Return the largest win rate over the base model at each KL, without ties: the one curve for every reward.

    By cubic pieces between 8,000 tabulated points, at most 1e-12 off; a million budgets take a third of a second.

    Parameters
    ----------
    kl : array
        KL in nats, >= 0.

    Raises
    ------
    InputError
        If a KL is negative or not a number.

    Examples
    --------
    >>> round(largest_win_rate(0.5), 6), largest_win_rate([0.0, 50.0]).tolist()
    (0.77373, [0.5, 1.0])
    """
    budgets = require_range("kl", kl, 0.0, allow_inf=True)
    root, gain, slope = _table()
    near = np.minimum(budgets, _BEYOND)
    x = np.sqrt(near)
    at = np.clip(np.searchsorted(root, x, side="right") - 1, 0, root.size - 2)
    step = root[at + 1] - root[at]
    t = (x - root[at]) / step
    value = (
        gain[at] + step * t * (slope[at] + t * (
            3.0 * (gain[at + 1] - gain[at]) / step - 2.0 * slope[at] - slope[at + 1]
            + t * (slope[at] + slope[at + 1] - 2.0 * (gain[at + 1] - gain[at]) / step)
        ))
    )  # fmt: skip
    return like(kl, 0.5 + np.where(budgets > _BEYOND, 0.5 - np.exp(-budgets - 1.0), value))
