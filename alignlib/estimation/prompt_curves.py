"""The averaged curve: log-partition functions over prompts on a grid of λ, and the gains read off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.dual import minimise_dual
from alignlib.estimation.support import excess_bias

__all__ = ["AveragedCurves"]


@dataclass(frozen=True)
class AveragedCurves:
    """Centred log-partition functions ``Λ(λ) - λ r̄``, averaged over prompts.

    ``lam`` and the averages have shape (L,); ``bias`` is what ``second_order`` may still be off by. ``cell_curve``
    holds the mean of the estimate over each cell of prompts, shape (cells, L), and ``cell_limit`` that of the
    largest gain, at λ = ∞. ``saturated`` says that from the last λ on nothing changes, ``common_ceiling`` that
    every prompt reaches the largest reward of all; ``log_samples`` is the mean of log n, the KL no sample estimate
    exceeds.
    """

    lam: FloatArray
    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    bias: FloatArray
    ess: FloatArray
    largest_weight: FloatArray
    cells: Cells
    cell_curve: FloatArray
    cell_limit: FloatArray
    base_reward: float
    saturated: bool
    common_ceiling: bool
    log_samples: float

    def gains(self, weights: FloatArray, kl: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return gain, its standard error and the λ that attains it, each of shape (len(weights), k).

        ``weights`` are the rows of `Cells.resample`; ``kl`` has shape (k,), or (len(weights), k) for budgets that
        are resampled themselves.
        """
        curve = weights @ self.cell_curve
        # Where one sample carries the weight before the curve is flat, the largest reward seen is no limit.
        limit = weights @ self.cell_limit if self.saturated else np.full(len(weights), np.inf)
        errors = self.cells.standard_error(weights, np.column_stack([self.cell_curve, self.cell_limit]))
        parts = []
        for column in np.atleast_2d(kl).T:
            gain, lam = minimise_dual(self.lam, curve, limit, column.reshape(-1, 1))
            with np.errstate(divide="ignore"):
                place = np.log(lam / self.lam[0]) / np.log(self.lam[1] / self.lam[0])
            nearest = np.clip(np.rint(place), 0, len(self.lam) - 1).astype(np.int64)
            error = np.take_along_axis(errors, nearest, axis=1) / self.lam[nearest]
            parts.append((gain, np.where(np.isinf(lam), errors[:, -1:], error) * (column.reshape(-1, 1) > 0), lam))
        gain, error, lam = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        return gain, error, lam

    def excess_bias(self, weights: FloatArray, lam: FloatArray) -> FloatArray:
        """By how much the interval of the gain at each λ is to be widened for bias; ``weights`` is one row."""
        error = self.cells.standard_error(weights, self.cell_curve)[0]
        excess = excess_bias(self.bias, self.second_order, error)
        finite = np.where(np.isfinite(lam), np.maximum(lam, self.lam[0]), self.lam[-1])
        return np.asarray(np.where(np.isfinite(lam), np.interp(np.log(finite), np.log(self.lam), excess) / finite, 0.0))

    @property
    def kl(self) -> FloatArray:
        """The average KL at each λ, shape (L,)."""
        whole = self.cells.size / self.cells.size.sum()
        below = whole @ self.cell_curve - self.lam * (whole @ self.cell_limit)  # D is the same for Λ - λ max r
        return np.asarray(np.gradient(below, np.log(self.lam)) - below)
