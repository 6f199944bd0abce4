"""The reward that any reward becomes when only comparisons with the base model count: the win rate of a response."""

from __future__ import annotations

from alignlib._core.errors import InputError
from alignlib.laws.continuous import ContinuousLaw
from alignlib.laws.finite import FiniteLaw
from alignlib.laws.law import Law
from alignlib.laws.uniform import Uniform

__all__ = ["win_rates"]


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
