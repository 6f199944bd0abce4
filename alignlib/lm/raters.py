"""Noisy raters: which of two responses is preferred."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, require

__all__ = ["Raters"]


@dataclass(frozen=True)
class Raters:
    """Raters who prefer y to y' with probability ``f + (1 - 2f) / (1 + exp(-(r(y) - r(y')) / temperature))``.

    ``r`` is the gold reward, ``f`` (``flip``) the chance of a slip of the pen.

    Parameters
    ----------
    temperature : float
        Gold difference at which a careful rater prefers the better one 73 times in 100, > 0.
    flip : float
        In [0, 0.5].

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> Raters(temperature=1.0, flip=0.1).preference(np.array([0.0, 50.0])).tolist()
    [0.5, 0.9]
    """

    temperature: float = 1.0
    flip: float = 0.1

    def __post_init__(self) -> None:
        require(self.temperature > 0, f"temperature must be positive; got {self.temperature}.")
        require(0 <= self.flip <= 0.5, f"flip must lie in [0, 0.5]; got {self.flip}.")

    def preference(self, difference: FloatArray) -> FloatArray:
        """Probability of preferring the first response of a pair.

        Parameters
        ----------
        difference : array
            How much more gold it has than the second.
        """
        logistic = 0.5 + 0.5 * np.tanh(0.5 * difference / self.temperature)
        return np.asarray(self.flip + (1.0 - 2.0 * self.flip) * logistic)
