"""The averaged curve: log-partition functions over prompts on a grid of λ, and the gains read off it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from functools import cached_property
from statistics import NormalDist

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells, narrowed, studentised_interval
from alignlib.estimation.dual import minimise_dual
from alignlib.estimation.support import first_strained

__all__ = ["AveragedCurve", "CurvePoints", "below_convex", "made_convex"]

_SHORT_OF_LIMIT = 0.95
_LAGS = (1, 2, 5)  # of λ, over which a slope is taken: an octave at most
_KEPT = 3  # the bounds of a curve, each with all replicates: a few megabytes


@dataclass(frozen=True, eq=False)
class CurvePoints(SameFields):
    """What is known of the limit at some budgets.

    Attributes
    ----------
    gain, low, high : array (k,)
        The gain with its interval.
    slope : array (k,)
        Slope of the curve, 1/λ.
    ess : array (k,)
        Effective sample size.
    largest_weight : array (k,)
        Share of the heaviest sample.
    """

    gain: FloatArray
    low: FloatArray
    high: FloatArray
    slope: FloatArray
    ess: FloatArray
    largest_weight: FloatArray

    def take(self, place: IntArray) -> CurvePoints:
        """Return the points at some places, which may repeat.

        Parameters
        ----------
        place : array of int
            Positions, which may repeat.
        """
        return CurvePoints(**{field.name: getattr(self, field.name)[place] for field in fields(self)})


@dataclass(frozen=True, eq=False)
class AveragedCurve(SameFields):
    """Centred log-partition functions ``Λ(λ) - λ r̄``, averaged over prompts.

    Parameters
    ----------
    lam : array (L,)
        Inverse temperatures λ, rising.
    ess, largest_weight : array (L,)
        Effective sample size, and share of the heaviest sample, averaged over prompts.
    cells : Cells
        The units that are resampled.
    cell_curve : array (cells, L)
        Mean of the estimate over each cell.
    cell_bounds : tuple of array (cells, L)
        Curves whose intervals together are the interval: how far the bias of the estimate may have to go down and up,
        or, where the rewards have known bounds, the plug-in and a curve whose mean lies above.
    cell_plug_in : array (cells, L)
        The same of the samples as they are.
    cell_limit : array (cells,)
        The largest gain, at λ = ∞: of the samples, or what a known largest reward leaves.
    strain : array (L,)
        How far each λ stretches the samples; up to 1 it is supported.
    within : array (L,)
        Standard error that the samples of these very prompts leave: no interval is narrower, for alike prompts still
        have few samples.
    base_reward : float
        Mean reward of the base.
    saturated : bool
        That from the last λ on nothing changes.
    common_ceiling : bool
        That every prompt reaches the largest reward of all.
    log_samples : float
        Mean of log n, the KL that no sample estimate exceeds.
    hard_bounds : bool
        That the bounds are of what is known, and not of a bias.
    cell_reached : array (cells,), optional
        The largest gain of the samples, where `cell_limit` is of a known largest reward.
    opened : tuple of array (cells, L), optional
        How far below and above bins leave each curve open, where samples are in bins; the bounds have it in them.
    """

    lam: FloatArray
    ess: FloatArray
    largest_weight: FloatArray
    cells: Cells
    cell_curve: FloatArray
    cell_bounds: tuple[FloatArray, ...]
    cell_plug_in: FloatArray
    cell_limit: FloatArray
    strain: FloatArray
    within: FloatArray
    base_reward: float
    saturated: bool
    common_ceiling: bool
    log_samples: float
    hard_bounds: bool = False
    cell_reached: FloatArray | None = None
    opened: tuple[FloatArray, FloatArray] | None = None

    def gains(
        self, weights: FloatArray, kl: FloatArray, cell_curve: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the largest gain at some budgets, in each replicate.

        Parameters
        ----------
        weights : array (replicates, cells)
            Rows of `Cells.resample`.
        kl : array (k,) or (replicates, k)
            Budgets; those of a row where they are resampled themselves.
        cell_curve : array (cells, L), optional
            One of the bounds; the estimate by default.

        Returns
        -------
        gain : array (replicates, k)
            In the unit of the reward.
        error : array (replicates, k)
            Its standard error.
        lam : array (replicates, k)
            The λ that attains it.
        """
        cells = self.cell_curve if cell_curve is None else cell_curve
        curve, errors = self._resampled(weights, cells)
        # Where one sample carries the weight before the curve is flat, the largest reward seen is no limit, unless what
        # there can be is known: that ends the upper curve, and what was seen the others, past the last λ too.
        ends = self.saturated or self.cell_reached is not None
        limit = weights @ self.limit_of(cells) if ends else np.full(len(weights), np.inf)
        gain, lam = minimise_dual(self.lam, curve, limit, kl)
        with np.errstate(divide="ignore"):
            place = np.log(lam / self.lam[0]) / np.log(self.lam[1] / self.lam[0])
        # The error of the gain, that of Λ over λ, between two λ of the grid.
        place = np.clip(np.nan_to_num(place, posinf=0.0), 0.0, len(self.lam) - 1.0)
        below = np.minimum(place.astype(np.int64), len(self.lam) - 2)
        low, high = (np.take_along_axis(errors, at, axis=1) / self.lam[at] for at in (below, below + 1))
        error = low + (place - below) * (high - low)
        return gain, np.where(np.isinf(lam), errors[:, -1:], error) * (np.atleast_2d(kl) > 0.0), lam

    def left_open(self, kl: FloatArray, off: FloatArray) -> FloatArray:
        """Return how far off the gain at some budgets may be, (k,), by what bins leave open of the curve and of these.

        Parameters
        ----------
        kl, off : array (k,)
            Budgets, and how far each may be off.
        """
        if self.opened is None:
            return np.zeros(len(kl))
        whole = self.cells.whole
        gain = self.gains(whole, kl)[0][0]
        curve, plug_in, largest = (whole @ one for one in (self.cell_curve, self.cell_plug_in, self.cell_limit))
        below, above = (whole @ one for one in self.opened)
        highest = np.maximum(curve, plug_in) + above
        ends = (
            (below_convex(self.lam, np.maximum(curve, plug_in) - below, highest, largest), np.maximum(kl - off, 0.0)),
            (made_convex(self.lam, curve + above, plug_in + above, largest), kl + off),
        )
        limit = largest if self.saturated else np.full(1, np.inf)
        low, high = (minimise_dual(self.lam, one, limit, asked)[0][0] for one, asked in ends)
        return np.asarray(np.maximum(np.maximum(gain - low, high - gain), 0.0))

    def limit_of(self, cell_curve: FloatArray) -> FloatArray:
        """Return the gain at λ = ∞ of each cell, (cells,), of the estimate or of one of the bounds.

        Parameters
        ----------
        cell_curve : array (cells, L)
            ``cell_curve`` or one of ``cell_bounds``.
        """
        if self.cell_reached is None or cell_curve is self.cell_bounds[-1]:
            return self.cell_limit
        return self.cell_reached

    def _resampled(self, weights: FloatArray, cells: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return curves and their standard errors, kept for the next budgets asked of the same replicates."""
        for known in self._kept:
            if known[0] is weights and known[1] is cells:
                return known[2:]
        errors = self.cells.standard_error(weights, np.column_stack([cells, self.limit_of(cells)]))
        found = (self._average(weights, cells)[0], errors)
        if len(weights) > 1:
            self._kept.append((weights, cells, *found))
        return found

    @cached_property
    def _kept(self) -> deque[tuple[FloatArray, FloatArray, FloatArray, FloatArray]]:
        return deque(maxlen=_KEPT)

    def at(self, kl: FloatArray, weights: FloatArray, level: float) -> CurvePoints:
        """Return what is known at some budgets: the hull of the intervals of the bounds.

        Parameters
        ----------
        kl : array (k,)
            Budgets.
        weights : array (replicates, cells)
            Rows of `Cells.resample`.
        level : float
            Coverage aimed at, in (0, 1).
        """
        gain, _, lam = self.gains(weights[:1], kl)
        found = [self.gains(weights, kl, bound) for bound in self.cell_bounds]
        arms = narrowed([value[0] for value, _, _ in found], [error[0] for _, error, _ in found], level)
        ends = []
        for value, error, at in found:
            up = arms * self.stretch(value[0], error[0], at[0], kl)
            own = self._of_samples(at[0], level) * (kl > 0.0)
            low, high = studentised_interval(value, error, level, len(self.cells.size), up=up, down=arms)
            ends.append((np.fmin(low, value[0] - own), np.fmax(high, value[0] + own)))
        return self._points(gain[0], lam[0], ends)

    def _points(self, gain: FloatArray, lam: FloatArray, ends: list[tuple[FloatArray, FloatArray]]) -> CurvePoints:
        """Return the points whose gains are attained at λ, with the hull of several intervals; all of shape (k,)."""
        place = np.searchsorted(self.lam, np.minimum(lam, self.lam[-1]) * (1.0 - 1e-9))
        with np.errstate(divide="ignore"):
            slope = 1.0 / lam
        return CurvePoints(
            gain=gain,
            low=np.min([low for low, _ in ends], axis=0),
            high=np.max([high for _, high in ends], axis=0),
            slope=slope,
            ess=self.ess[place],
            largest_weight=self.largest_weight[place],
        )

    def _of_samples(self, lam: FloatArray, level: float) -> FloatArray:
        """Return half the width that the samples of the prompts at hand leave at each λ, (k,)."""
        if self.cells.fixed_prompts:
            return np.zeros(lam.shape)
        error = np.interp(np.minimum(lam, self.lam[-1]), self.lam, self.within / self.lam)
        return np.asarray(NormalDist().inv_cdf(0.5 + level / 2.0) * error)

    def stretch(self, gain: FloatArray, error: FloatArray, lam: FloatArray, kl: FloatArray) -> FloatArray:
        """Return by how much upper arms are stretched: by the prompts that make up ``Λ = λ gain - Δ``.

        Parameters
        ----------
        gain, error : array (k,)
            The gain and its standard error.
        lam : array (k,)
            The λ that attains it.
        kl : array (k,)
            The budget.
        """
        with np.errstate(invalid="ignore"):
            return self.cells.stretch(lam * gain - kl, lam * error)

    def _average(self, weights: FloatArray, cell_curve: FloatArray) -> tuple[FloatArray, FloatArray]:
        largest, plug_in = weights @ self.cell_limit, weights @ self.cell_plug_in
        curve = weights @ cell_curve
        if self.opened is None or cell_curve is self.cell_curve:
            return made_convex(self.lam, curve, plug_in, largest), largest
        below, above = (weights @ one for one in self.opened)
        if cell_curve is not self.cell_bounds[0]:
            return made_convex(self.lam, curve, plug_in + above, largest), largest
        low = np.maximum(curve, plug_in - below)
        return below_convex(self.lam, low, np.maximum(curve + below, plug_in) + above, largest), largest

    @property
    def supported_end(self) -> float:
        """The largest supported KL, 0 where there is none."""
        end = first_strained(self.kl, self.strain)
        if np.isfinite(end):
            return end
        if self.saturated and self.common_ceiling:
            return self.log_samples
        # A prompt that was never seen at the top may have a chance of it too small to be seen, and worth more KL.
        return _SHORT_OF_LIMIT * float(self.kl[-1])

    @property
    def supported_lam(self) -> float:
        """The largest λ whose weights are supported."""
        return first_strained(self.lam, self.strain)

    @property
    def kl(self) -> FloatArray:
        """The average KL at each λ, shape (L,)."""
        curve, largest = self._average(self.cells.whole, self.cell_curve)
        below = curve[0] - self.lam * largest  # D is the same for Λ - λ max r
        return np.asarray(np.maximum(np.gradient(below, np.log(self.lam)) - below, 0.0))


def made_convex(lam: FloatArray, curve: FloatArray, plug_in: FloatArray, limit: FloatArray) -> FloatArray:
    """Return ``max(plug-in, ∫ running maximum of the slope)``, the slope at most ``limit``.

    A correction of bias may bend a log-partition function the wrong way: on a prompt whose two largest samples tie, the
    second-order jackknife grows ever more slowly, and the minimum over λ runs away. What is convex is left as it is.

    Parameters
    ----------
    lam : array (L,)
        Increasing λ > 0.
    curve, plug_in : array (..., L)
        Centred log-partition functions, corrected and not.
    limit : array (...,)
        The largest gain of any sample.

    Examples
    --------
    >>> lam = np.array([1.0, 2.0, 3.0])
    >>> made_convex(lam, np.array([0.4, 1.0, 1.1]), np.array([0.3, 0.9, 1.2]), np.array(1.0)).round(3).tolist()
    [0.4, 1.0, 1.6]
    """
    step = np.diff(lam, prepend=0.0)
    slope = np.diff(curve, prepend=0.0, axis=-1) / step
    slope = np.minimum(np.maximum.accumulate(slope, axis=-1), limit[..., None])
    return np.asarray(np.maximum(np.cumsum(slope * step, axis=-1), plug_in))


def below_convex(lam: FloatArray, low: FloatArray, high: FloatArray, limit: FloatArray) -> FloatArray:
    """Return a convex function below every convex one that starts at 0 and lies between ``low`` and ``high``.

    A running maximum of the slope of ``low`` could rise above them, where ``low`` comes back from far below. Their
    slopes are known from one bound to the other, and never fall again.

    Parameters
    ----------
    lam : array (L,)
        Increasing λ > 0.
    low, high : array (..., L)
        Bounds, in nats.
    limit : array (...,)
        The largest slope there can be.

    Examples
    --------
    >>> lam = np.array([1.0, 2.0, 3.0, 4.0])
    >>> low, high = np.array([0.4, -3.0, 2.9, -9.0]), np.array([0.6, 1.6, 3.1, 9.0])
    >>> below_convex(lam, low, high, np.array(9.0)).round(3).tolist()
    [0.4, 0.8, 2.1, 3.4]
    """
    found = np.maximum(low, 0.0)
    slope = np.zeros(found.shape[:-1])
    for k, one in enumerate(lam.tolist()):
        if k:
            np.maximum(found[..., k], found[..., k - 1] + slope * (one - lam[k - 1]), out=found[..., k])
        slope = np.maximum(slope, found[..., k] / one)
        for lag in _LAGS:
            if lag <= k:
                slope = np.maximum(slope, (found[..., k] - high[..., k - lag]) / (one - lam[k - lag]))
    step = np.diff(lam, prepend=0.0)
    slopes = np.diff(found, prepend=0.0, axis=-1) / step
    slopes = np.minimum.accumulate(slopes[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(np.cumsum(np.minimum(slopes, limit[..., None]) * step, axis=-1))
