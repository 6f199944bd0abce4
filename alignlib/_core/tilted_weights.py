"""Weights of rewards at one λ after another, with few exponentials."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["Weights"]

_SQUARES = 3  # one after another: each doubles the rounding of the one before
_STEPS = 5  # of λ in an octave
_NOTHING = 1e-40  # of the largest weight


class Weights:
    """``e^{λ(r - max r)}`` at one λ after another: one that is twice the fifth before it takes squares.

    Parameters
    ----------
    below : array (k,)
        Rewards less the largest, falling from 0.

    Examples
    --------
    >>> weights = Weights(np.array([0.0, -1.0, -900.0]))
    >>> weights.at(0.5).round(3).tolist(), weights.at(1.0).round(3).tolist()
    ([1.0, 0.607], [1.0, 0.368])
    """

    def __init__(self, below: FloatArray) -> None:
        self._below = below
        self._kept: list[tuple[float, int, FloatArray]] = []

    def at(self, lam: float) -> FloatArray:
        """Return those of the first rewards, as many as weigh anything; rising λ are fastest.

        Parameters
        ----------
        lam : float
            λ ≥ 0, in the inverse unit of the rewards.
        """
        earlier = self._kept[0] if len(self._kept) == _STEPS else None
        if earlier is not None and lam == 2.0 * earlier[0] and earlier[1] < _SQUARES:
            squares, weight = earlier[1] + 1, np.square(earlier[2])
        else:
            rises = bool(self._kept) and lam >= self._kept[-1][0]
            last = len(self._kept[-1][2]) if rises else len(self._below)
            squares, weight = 0, np.exp(lam * self._below[:last])
        if weight[-1] < _NOTHING:
            weight = weight[: int(np.searchsorted(-weight, -_NOTHING, side="right"))]
        self._kept = [*self._kept[1 - _STEPS :], (lam, squares, weight)]
        return weight
