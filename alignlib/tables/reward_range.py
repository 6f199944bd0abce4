"""The size that rewards may have: squares and cubes of them, and of their inverses, are computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError

__all__ = ["LARGEST_REWARD", "SMALLEST_REWARD", "check_range"]

LARGEST_REWARD = 1e102  # its cube is a float
SMALLEST_REWARD = 1e-102  # that the largest of a column may have: the inverse of its cube is a float


def check_range(name: str, values: FloatArray, where: Callable[[int], str] | None = None) -> None:
    """Refuse a reward beyond ``LARGEST_REWARD``, and rewards that all lie below ``SMALLEST_REWARD`` but are not all 0.

    Within these bounds a table and its multiples have the same answers, up to the scale of the reward.

    Parameters
    ----------
    name : str
        What messages call the reward.
    values : array (n,)
        Finite rewards.
    where : callable, optional
        Says where the value at a position stands; "at position 3" by default.

    Raises
    ------
    InputError
        With the first value out of bounds.

    Examples
    --------
    >>> check_range("reward", np.array([0.0, 1.0]))
    """
    if values.size == 0:
        return
    low, high = float(values.min()), float(values.max())
    largest = max(-low, high)
    if largest > LARGEST_REWARD:
        at = int(np.argmax(np.abs(values) > LARGEST_REWARD))
        place = f"at position {at}" if where is None else where(at)
        raise InputError(
            f"{name} holds {values[at]:g} {place}; rewards must not exceed {LARGEST_REWARD:g} in size: correct that "
            "value, or rescale the column.",
            argument=name,
            rows=[at],
        )
    if 0.0 < largest < SMALLEST_REWARD:
        raise InputError(
            f"{name} holds rewards of size {largest:g} at most; the largest must not be below {SMALLEST_REWARD:g}: "
            "rescale the column.",
            argument=name,
        )
