"""The averaged curve in total variation: the mass moved from the worst samples of all prompts to a known top reward.

With one threshold for all prompts, ``ψ(λ) = λ mean gap - E min(λ gap, 1)``: a mean, which samples estimate without
bias at every λ. It has kinks, so that the minimum over λ is taken on the grid, one λ for each of many quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.curve import AveragedCurve
from alignlib.tables import RewardTable

__all__ = ["MovedMassCurve", "moved_mass_curve"]

_POINTS = 400  # thresholds, at quantiles of all samples


@dataclass(frozen=True, eq=False)
class MovedMassCurve(AveragedCurve):
    """An `AveragedCurve` with kinks, supported everywhere."""

    def gains(
        self, weights: FloatArray, kl: FloatArray, cell_curve: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return gain, its standard error and λ: the least of ``(Δ + ψ)/λ`` on the grid, and of the largest gain.

        Parameters
        ----------
        weights : array (replicates, cells)
            Rows of `Cells.resample`.
        kl : array (k,)
            Budgets, here of total variation.
        cell_curve : array (cells, L), optional
            One of the bounds; the estimate if None.

        Returns
        -------
        gain, error, lam : array (replicates, k)
            Gain and standard error in the unit of the reward, and the λ of the point.
        """
        cells = self.cell_curve if cell_curve is None else cell_curve
        curve, most = weights @ cells, weights @ self.cell_limit
        errors = self.cells.standard_error(weights, np.column_stack([cells / self.lam, self.cell_limit]))
        asked = np.broadcast_to(kl, (len(weights), np.shape(kl)[-1]))
        bounds = np.column_stack([curve / self.lam, most])
        price = np.append(1.0 / self.lam, 0.0)
        gain, error, lam = (np.empty(asked.shape) for _ in range(3))
        for k in range(asked.shape[1]):
            value = bounds + asked[:, k, None] * price
            at = value.argmin(axis=1)
            gain[:, k] = np.take_along_axis(value, at[:, None], axis=1)[:, 0]
            error[:, k] = np.take_along_axis(errors, at[:, None], axis=1)[:, 0]
            lam[:, k] = np.append(self.lam, np.inf)[at]
        return gain, error * (asked > 0.0), lam

    @property
    def uneven(self) -> int:
        """How many cells there are."""
        return len(self.cells.size)

    @property
    def supported_end(self) -> float:
        """All of it."""
        return float("inf")


def moved_mass_curve(table: RewardTable, column: str, cells: Cells, top: float) -> AveragedCurve:
    """Tabulate the averaged curve in total variation for a reward that is ``top`` at most.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    cells : Cells
        The units that are resampled.
    top : float
        The largest reward there can be.
    """
    gaps = top - table.column(column)
    held = np.unique(np.quantile(gaps[gaps > 0.0], np.linspace(0.0, 1.0, _POINTS)))
    lam = np.unique(1.0 / held)
    psi = np.empty((table.n_prompts, lam.size))
    limit, within = np.empty(table.n_prompts), np.zeros(lam.size)
    terms = np.empty((len(cells.size), lam.size)) if cells.fixed_prompts else None
    for j, value in enumerate(lam.tolist()):
        term = np.maximum(value * gaps - 1.0, 0.0)
        psi[:, j] = np.add.reduceat(term, table.offsets[:-1]) / table.n_samples
        square = np.add.reduceat(np.square(term), table.offsets[:-1]) / table.n_samples
        within[j] = float(((square - np.square(psi[:, j])) / table.n_samples).sum())
        if terms is not None:
            terms[:, j] = np.bincount(cells.index, term) / np.bincount(cells.index)
    limit = np.add.reduceat(gaps, table.offsets[:-1]) / table.n_samples
    if terms is None:
        curve, most = cells.mean(psi), cells.mean(limit)
    else:
        of_groups = np.bincount(cells.index, gaps) / np.bincount(cells.index)
        curve, most = (cells.joined(np.split(part, cells.n_fixed)) for part in (terms, of_groups))
    return MovedMassCurve(
        lam=lam,
        ess=np.full(lam.size, float(table.n_samples.mean())),
        largest_weight=np.full(lam.size, float((1.0 / table.n_samples).mean())),
        cells=cells,
        cell_curve=curve,
        cell_bounds=(curve,),
        cell_plug_in=curve,
        cell_limit=most,
        strain=np.zeros(lam.size),
        within=np.sqrt(within) / table.n_prompts,
        base_reward=float(table.prompt_means(column).mean()),
        saturated=True,
        common_ceiling=True,
        log_samples=float(np.log(table.n_samples).mean()),
    )
