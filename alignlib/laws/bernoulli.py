"""A 0/1 reward, such as a verifier gives: the smallest law of all."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray, as_number, require
from alignlib.laws.finite import FiniteLaw

__all__ = ["Bernoulli"]


class Bernoulli(FiniteLaw):
    """A reward that is 1 with probability ``success`` and else 0; its frontier is flat from ``-log success`` nats on.

    Parameters
    ----------
    success : float
        Probability of reward 1, in (0, 1).

    Raises
    ------
    InputError
        If ``success`` lies outside (0, 1).

    Examples
    --------
    >>> round(Bernoulli(0.25).gain_at_kl(0.2), 6)
    0.297077
    """

    def __init__(self, success: float) -> None:
        success = as_number("success", success)
        require(0 < success < 1, f"success must lie in (0, 1); got {success:g}.")
        super().__init__([0.0, 1.0], [1 - success, success])
        self.success = success

    def __repr__(self) -> str:
        return f"Bernoulli({self.success!r})"

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        return np.asarray(rng.random(shape) < self.success, dtype=np.float64)
