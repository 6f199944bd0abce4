"""Sums over the reward levels of a prompt's samples, ties and all, with the delete-one jackknife in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray

__all__ = ["SampleLevels", "Transform"]

Transform = Callable[[FloatArray], FloatArray]  # distribution function of the chosen sample's rank: F ↦ G(F)
_Term = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class SampleLevels:
    """The distinct rewards of each prompt, all prompts in one list.

    Level l belongs to prompt ``row[l]``, has ``below[l]`` of its ``n_samples`` strictly under it and ``upto[l]`` at
    or under it.
    """

    row: IntArray
    below: FloatArray
    upto: FloatArray
    n_prompts: int
    n_samples: int

    @classmethod
    def of(cls, descending: FloatArray) -> SampleLevels:
        """Find the levels of rewards sorted from the top, shape (prompts, n)."""
        n_prompts, n = descending.shape
        new = np.ones(descending.shape, dtype=np.bool_)
        new[:, 1:] = np.diff(descending, axis=1) != 0.0
        row, start = np.nonzero(new)
        end = np.append(start[1:], 0)
        end[end == 0] = n
        return cls(row, (n - end).astype(np.float64), (n - start).astype(np.float64), n_prompts, n)

    def kl(self, transform: Transform) -> FloatArray:
        """Return the jackknifed KL to the base of the policy that picks by ``transform``, shape (prompts,).

        >>> levels = SampleLevels.of(np.array([[1.0] * 32 + [0.0] * 32]))
        >>> levels.kl(lambda f: f**2).round(2).tolist()  # 0.1308 for a fair coin
        [0.13]
        """

        def term(mass: FloatArray, share: FloatArray, _middle: FloatArray) -> FloatArray:
            ratio = np.divide(mass, share, out=np.ones_like(mass), where=(mass > 0.0) & (share > 0.0))
            return np.asarray(mass * np.log(ratio))

        return self._jackknife(transform, term)

    def win_rate(self, transform: Transform) -> FloatArray:
        """Return the jackknifed probability to beat one base draw, ties counted half, shape (prompts,)."""
        return self._jackknife(transform, lambda mass, _share, middle: mass * middle)

    def _jackknife(self, transform: Transform, term: _Term) -> FloatArray:
        n = self.n_samples

        def total(below: FloatArray, upto: FloatArray, m: int, times: FloatArray | float) -> FloatArray:
            mass = transform(upto / m) - transform(below / m)
            values = term(mass, (upto - below) / m, (upto + below) / (2 * m)) * times
            return np.asarray(np.bincount(self.row, values, self.n_prompts), dtype=np.float64)

        whole = total(self.below, self.upto, n, 1.0)
        # A level keeps its counts under deletion of a higher sample, loses one below under that of a lower
        # one, and loses one of its own under that of one of its own.
        left = total(self.below, self.upto, n - 1, (n - self.upto) / n) if n > 1 else whole
        left += total(np.maximum(self.below - 1, 0), self.upto - 1, n - 1, self.below / n)
        left += total(self.below, self.upto - 1, n - 1, (self.upto - self.below) / n)
        return np.asarray(n * whole - (n - 1) * left)
