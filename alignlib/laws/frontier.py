"""The frontier: the largest reward at each budget, one frozen result for exact and estimated curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.names import counted
from alignlib._core.safe_text import visible
from alignlib._core.same import SameFields
from alignlib._core.shown import span
from alignlib.divergences import KL, Divergence

__all__ = ["Frontier", "default_budgets"]

_POINTS = 129
_WIDE = 8.0


@dataclass(frozen=True, eq=False)
class Frontier(SameFields):
    """Points ``(spent, gain)`` of the frontier, all arrays of one shape ``(k,)``.

    An estimated frontier also carries its interval and says where the samples support it; an exact one has ``None``
    there.

    Attributes
    ----------
    spent : array (k,)
        Each budget, in the units of ``divergence`` (nats for KL).
    gain : array (k,)
        The largest mean reward for that budget, less ``base_reward``.
    lam : array (k,)
        Inverse temperature λ of the optimum; ``inf`` once the top reward is certain.
    base_reward : float
        Mean reward of the base, in the unit of the reward.
    gain_low, gain_high : array (k,), optional
        Ends of the interval of each gain.
    supported : array of bool (k,), optional
        Where the samples are enough to be believed.
    level : float, optional
        Coverage that the intervals aim at, such as 0.95.
    divergence : Divergence
        What the budget is measured in.

    Examples
    --------
    >>> from alignlib.laws import Gaussian
    >>> curve = Gaussian(mean=3.0).frontier([0.5, 2.0])
    >>> curve.gain.tolist(), curve.reward.tolist(), curve.divergence.name
    ([1.0, 2.0], [4.0, 5.0], 'kl')
    """

    spent: FloatArray
    gain: FloatArray
    lam: FloatArray
    base_reward: float
    gain_low: FloatArray | None = None
    gain_high: FloatArray | None = None
    supported: BoolArray | None = None
    level: float | None = None
    divergence: Divergence = KL

    def __repr__(self) -> str:
        """Return the size and the ends; the arrays are a field away."""
        size, budgets = counted(self.spent.size, "point"), f"spent {span(self.spent)} ({visible(self.divergence.name)})"
        return f"<{type(self).__name__} of {size}: {budgets}, gain {span(self.gain)}{self._shown()}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say under which name a budget is found."""
            hint = "" if name.startswith("_") else "; a budget is `spent`, what it buys `gain` and `reward`"
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}", name=name, obj=self)

    def _shown(self) -> str:
        """Return what a kind of frontier adds to the end of its repr."""
        return ""

    @property
    def reward(self) -> FloatArray:
        """The largest mean reward within the budget ``spent``."""
        return self.base_reward + self.gain


def default_budgets(end: float) -> FloatArray:
    """Return 129 budgets from 0 to the largest useful one (to 8 where there is none), closer together near 0.

    Parameters
    ----------
    end : float
        The largest useful budget, ``inf`` where there is none.

    Examples
    --------
    >>> default_budgets(2.0)[[0, 64, 128]].tolist()
    [0.0, 0.5, 2.0]
    """
    return np.asarray((end if 0.0 < end < math.inf else _WIDE) * np.linspace(0.0, 1.0, _POINTS) ** 2)
