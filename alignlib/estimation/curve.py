"""The averaged curve: log-partition functions over prompts on a grid of λ, and the gains read off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.dual import minimise_dual
from alignlib.estimation.support import excess_bias, first_strained, strain
from alignlib.estimation.tails import TailTest

__all__ = ["AveragedCurve", "CurvePoints"]

_SHORT_OF_LIMIT = 0.95


@dataclass(frozen=True)
class CurvePoints:
    """Gain and its standard error at some budgets, shape (n_boot + 1, k), row 0 of the sample itself.

    ``wider`` is by how much an interval is to be widened for bias, ``slope`` that of the curve; shape (k,).
    """

    value: FloatArray
    error: FloatArray
    wider: FloatArray
    slope: FloatArray
    ess: FloatArray
    largest_weight: FloatArray


@dataclass(frozen=True)
class AveragedCurve:
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
            # The error of the gain, that of Λ over λ, between two λ of the grid.
            place = np.clip(np.nan_to_num(place, posinf=0.0), 0.0, len(self.lam) - 1.0)
            below = np.minimum(place.astype(np.int64), len(self.lam) - 2)
            low, high = (np.take_along_axis(errors, at, axis=1) / self.lam[at] for at in (below, below + 1))
            error = low + (place - below) * (high - low)
            parts.append((gain, np.where(np.isinf(lam), errors[:, -1:], error) * (column.reshape(-1, 1) > 0), lam))
        gain, error, lam = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        return gain, error, lam

    def at(self, kl: FloatArray, weights: FloatArray, *, correct: bool) -> CurvePoints:
        """Return what is known at budgets of shape (k,); ``correct`` says that biases were removed."""
        gain, error, lam = self.gains(weights, kl)
        wider = self.excess_bias(lam[0]) * (kl > 0.0) if correct else np.zeros(kl.size)
        place = np.searchsorted(self.lam, np.minimum(lam[0], self.lam[-1]) * (1.0 - 1e-9))
        with np.errstate(divide="ignore"):
            slope = 1.0 / lam[0]
        return CurvePoints(gain, error, wider, slope, self.ess[place], self.largest_weight[place])

    def supported_end(self, n_prompts: int, tail: TailTest) -> float:
        """Return the largest supported KL, 0 where there is none."""
        end = first_strained(self.kl, self.strain(n_prompts, tail))
        if np.isfinite(end):
            return end
        if self.saturated and self.common_ceiling:
            return self.log_samples
        # A prompt that was never seen at the top may have a chance of it too small to be seen, and worth more KL.
        return _SHORT_OF_LIMIT * float(self.kl[-1])

    def strain(self, n_prompts: int, tail: TailTest) -> FloatArray:
        """Return how far each λ stretches the samples, shape (L,): up to 1 it is supported."""
        return strain(
            lam=self.lam,
            bias=self.bias,
            value=self.second_order,
            standard_error=self.cells.standard_error(self.cells.whole, self.cell_curve)[0],
            ess=self.ess,
            n_prompts=n_prompts,
            tail_scale=0.0 if tail.light else tail.scale,
        )

    def excess_bias(self, lam: FloatArray) -> FloatArray:
        """By how much the interval of the gain at each λ is to be widened for bias."""
        error = self.cells.standard_error(self.cells.whole, self.cell_curve)[0]
        excess = excess_bias(self.bias, self.second_order, error)
        finite = np.where(np.isfinite(lam), np.maximum(lam, self.lam[0]), self.lam[-1])
        return np.asarray(np.where(np.isfinite(lam), np.interp(np.log(finite), np.log(self.lam), excess) / finite, 0.0))

    @property
    def kl(self) -> FloatArray:
        """The average KL at each λ, shape (L,)."""
        whole = self.cells.whole[0]
        below = whole @ self.cell_curve - self.lam * (whole @ self.cell_limit)  # D is the same for Λ - λ max r
        return np.asarray(np.gradient(below, np.log(self.lam)) - below)
