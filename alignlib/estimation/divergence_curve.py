"""From a table of rewards to its averaged curve in any divergence but KL: what each prompt is worth, one λ for all.

In place of the log-partition function stands ``ψ(λ) = max_φ {λ (E_φ r - r̄) - E_p f(φ/p)}`` (`prices`), whose average
over prompts has the frontier as its dual. The plug-in is a minimum over the price of the top reward, so its mean lies
too low, by ``Var(φ/p) / (2 n E 1/f'')`` to first order; a delete-one jackknife removes that. Each deletion takes one
Newton step from the whole, which is exact for χ² as long as no sample is dropped: there the jackknife is the unbiased
variance.

In total variation mass is moved from the worst samples of all prompts to a known top reward. With one threshold for all
prompts, ``ψ(λ) = λ mean gap - E min(λ gap, 1)``: a mean, which samples estimate without bias at every λ. It has kinks,
so that the minimum over λ is taken on the grid, one λ for each of many quantiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.divergences import Divergence
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.halves import canonical_rank, part_weight, parts_of, sort_keys
from alignlib.estimation.jackknife import doubling_grid
from alignlib.estimation.prices import worth
from alignlib.estimation.support import known_kl, strain
from alignlib.estimation.tails import TailShape
from alignlib.tables import RewardTable

__all__ = ["MovedMassCurve", "divergence_curve", "moved_mass_curve"]

_BLOCK = 1 << 17  # samples in work at a time
_LOW, _HIGH = 1e-2, 1e4  # the grid of λ, in units of 1 over a typical spread of reward
_CHUNK = 10  # so many λ at once
_ABREAST = 1 << 15  # samples, λ by λ, that are solved side by side
_BEYOND = 6  # so many λ past the end of the support, for replicates of the bootstrap
_LEAST_ESS = 2.0  # past it the curve is not followed
_POINTS = 400  # thresholds, at quantiles of all samples


@dataclass(frozen=True, eq=False)
class _Prompts(SameFields):
    """What prompts show at one λ, arrays of shape (prompts,)."""

    plug_in: FloatArray
    corrected: FloatArray
    kl: FloatArray
    ess: FloatArray
    largest: FloatArray
    variance: FloatArray  # that the samples of a prompt leave
    rate: FloatArray  # how fast the largest weight grows with the reward
    place: FloatArray


def divergence_curve(
    table: RewardTable,
    column: str,
    cells: Cells,
    tail: TailShape,
    divergence: Divergence,
    top: float | None = None,
) -> AveragedCurve:
    """Tabulate the averaged curve from λ ≈ 0 to past its support.

    A budget is supported while the policy that attains it spends no more *KL* than the samples show, as for the limit
    in KL; ``tail`` counts as far as its weights are exponential. How far the bias may still go is judged from halves of
    each prompt's samples: twice the step from halves to all. A ``top`` is the largest reward there can be: mass may be
    moved there although no sample shows it.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    cells : Cells
        The units that are resampled.
    tail : TailShape
        What the largest rewards say about the tail.
    divergence : Divergence
        What budgets are measured in.
    top : float, optional
        The largest reward there can be.
    """
    n_prompts = table.n_prompts
    base, limit, scale, rank = _first_pass(table, column, top)
    low = _LOW
    if top is not None:  # mass goes to an unseen top from λ = f'(∞)/gap on
        low = min(_LOW, 0.1 * divergence.slope_at_infinity * scale / (top - float(table.column(column).min())))
    grid = doubling_grid(low, _HIGH) / scale
    fixed = cells.fixed_prompts
    sums, of_cells = np.empty((7, 0)), np.empty((3, cells.n_fixed or len(cells.size), 0))
    groups = np.empty((len(cells.size), 0))
    places: dict[int, FloatArray] = {}
    while sums.shape[1] < grid.size:
        start = sums.shape[1]
        lam = grid[start : start + _CHUNK]
        more = np.zeros((7, lam.size))
        more_cells = np.zeros((3, of_cells.shape[1], lam.size))
        for block, (where, rewards) in enumerate(table.blocks(column, _BLOCK)):
            rows = np.sort(rewards, axis=1)[:, ::-1]
            gap = (rows[:, :1] if top is None else top) - rows
            parts = parts_of(rows, rank[where], n_prompts) if rows.shape[1] > 3 else None
            index = where if fixed else cells.index[where]
            n = rows.shape[1]
            # Of small tables several λ are solved at once, as rows of one array: numpy's calls are most of their cost.
            abreast = max(1, min(lam.size, _ABREAST // rows.size))
            for first in range(0, lam.size, abreast):
                some = lam[first : first + abreast]
                at = np.repeat(some, len(rows))
                start_at = None if block not in places else np.tile(places[block], some.size)
                found = _prompts(np.tile(gap, (some.size, 1)), at, divergence, start_at, top is not None)
                places[block] = found.place[-len(rows) :]
                more[:, first : first + some.size] += _totals(found, n, some.size)
                step = found.corrected - found.plug_in
                if parts is not None:
                    halves = parts.reshape(-1, parts.shape[2])
                    part_gap = (halves[:, :1] if top is None else top) - halves
                    of_each = found.place.reshape(some.size, 1, -1)
                    guess = np.broadcast_to(of_each, (some.size, parts.shape[0], len(rows))).reshape(-1)
                    of_parts = np.repeat(some, len(halves))
                    tiled = np.tile(part_gap, (some.size, 1))
                    inside = _prompts(tiled, of_parts, divergence, guess, top is not None).corrected
                    step = found.corrected - inside.reshape(some.size, parts.shape[0], -1).mean(axis=1).reshape(-1)
                further = found.corrected + step * (part_weight(n) if parts is not None else 1.0)
                for k, values in enumerate((found.plug_in, found.corrected, further)):
                    for j, one in enumerate(values.reshape(some.size, -1), start=first):
                        np.add.at(more_cells[k, :, j], np.broadcast_to(index, one.shape), one)
        sums = np.concatenate([sums, more], axis=1)
        of_cells = np.concatenate([of_cells, more_cells], axis=2)
        if fixed:
            groups = np.concatenate([groups, _groups(table.column(column), lam, cells, divergence, top)], axis=1)
        strained = _strain(grid, sums, tail, 1 if fixed else n_prompts)
        gone = (sums[0] < _LEAST_ESS * n_prompts) & (top is None)
        over = bool((strained[:-_BEYOND] > 1.0).any())
        if gone.any() or over:
            break
    used = int(np.argmax(gone)) + 1 if gone.any() else sums.shape[1]
    counts = 1.0 if fixed else cells.size[:, None]
    plug_in, corrected, further = of_cells[..., :used] / counts
    largest = np.full(len(cells.size), limit.mean()) if fixed else cells.mean(limit)
    if fixed:
        plug_in, corrected, further = (groups[:, :used] + part.mean(axis=0) for part in (plug_in, corrected, further))
    return AveragedCurve(
        lam=grid[:used],
        ess=sums[0, :used] / n_prompts,
        largest_weight=sums[1, :used] / n_prompts,
        cells=cells,
        cell_curve=corrected,
        cell_bounds=(corrected, further),
        cell_plug_in=plug_in,
        cell_limit=largest,
        strain=strained[:used],
        within=np.sqrt(sums[5, :used]) / n_prompts,
        base_reward=float(base.mean()),
        saturated=False,
        common_ceiling=False,
        log_samples=float(np.log(table.n_samples).mean()),
    )


def _first_pass(table: RewardTable, column: str, top: float | None) -> tuple[FloatArray, FloatArray, float, IntArray]:
    """Return mean and largest gain of each prompt, the spread of reward within a prompt, and the prompts' order."""
    base, limit, keys = np.empty(table.n_prompts), np.empty(table.n_prompts), np.empty((4, table.n_prompts))
    span, squares = float(np.ptp(table.column(column))), 0.0
    for where, rewards in table.blocks(column, _BLOCK):
        rows = np.sort(rewards, axis=1)[:, ::-1]
        base[where] = rows.mean(axis=1)
        rows = rows - base[where][:, None]
        squares += float(np.square(rows / span).mean(axis=1).sum())
        limit[where] = rows[:, 0] if top is None else top - base[where]
        keys[:, where] = sort_keys(rows)
    scale = span * math.sqrt(squares / table.n_prompts)
    return base, limit, scale, canonical_rank(keys, scale)


def _prompts(
    gap: FloatArray, lam: FloatArray, divergence: Divergence, start: FloatArray | None, known_top: bool
) -> _Prompts:
    """Return what rows of distances to the top, equally likely, show, each at its λ."""
    n = gap.shape[1]
    found = worth(gap, np.asarray(1.0 / n), lam, divergence, start, known_top=known_top)
    ratio = found.ratio
    with np.errstate(all="ignore"):
        total = (n * ratio.mean(axis=1)[:, None] - ratio) / (n - 1.0)  # of the others at the same price
        rise = (n * found.response.mean(axis=1)[:, None] - found.response) / (n - 1.0)
        room = (divergence.slope_at_infinity - found.price)[:, None]
        less = _fall_to_one(total, rise, _bend(divergence), room)
        corrected = found.psi - (n - 1.0) * np.where(np.isfinite(less), less, 0.0).mean(axis=1)
        weight = ratio / ratio.sum(axis=1, keepdims=True)
        kl = np.where(weight > 0.0, weight * np.log(weight * n), 0.0).sum(axis=1)
        largest = weight[:, 0]
        rate = lam * found.response[:, 0] / ratio[:, 0]
    variance = found.term.var(axis=1) / n
    return _Prompts(
        found.psi, np.maximum(corrected, found.psi), kl, 1.0 / np.square(weight).sum(axis=1), largest, variance,
        rate, found.place,
    )  # fmt: skip


def _bend(divergence: Divergence) -> float:
    """The power δ by which ``(E_p φ/p)^δ`` is nearly a straight line in the price: 0 for KL, 1 for χ²."""
    one, two = divergence.response(np.array([1.0, 2.0])).tolist()
    return 1.0 - math.log2(two / one)


def _fall_to_one(total: FloatArray, rise: FloatArray, bend: float, room: FloatArray) -> FloatArray:
    """Return by how much the minimum over the price falls where the ratios sum to ``total`` at the present one.

    The integral of the sum less one, from the present price to that where the sum is one (or ``room`` ends), for a sum
    that grows like the power ``1/bend`` of a straight line.
    """
    pace = rise / total
    move = np.minimum(_power(-np.log(total), bend) / pace, room)
    grown = pace * move if bend == 0.0 else np.log1p(bend * pace * move) / bend
    return np.asarray(total / pace * _power(grown, 1.0 + bend) - move)


def _power(log: FloatArray, power: float) -> FloatArray:
    """``(e^{power log} - 1)/power``."""
    return np.asarray(log if power == 0.0 else np.expm1(power * log) / power)


def _totals(found: _Prompts, n: int, lams: int) -> FloatArray:
    squared = np.square(found.kl)
    each = np.stack([
        found.ess, found.largest, found.kl, squared, squared / known_kl(n), found.variance, found.rate * found.kl,
    ])  # fmt: skip
    return np.asarray(each.reshape(len(each), lams, -1).sum(axis=2))


def _strain(grid: FloatArray, sums: FloatArray, tail: TailShape, n_prompts: int) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(sums[2] > 0.0, sums[6] / sums[2], 0.0)
    return strain(rate, sums[2], sums[3], sums[4], tail.bearing, n_prompts)


def _groups(
    rewards: FloatArray, lam: FloatArray, cells: Cells, divergence: Divergence, top: float | None
) -> FloatArray:
    """Return pseudo-values of ``ψ`` over groups of the samples of fixed prompts, about 0, shape (cells, L)."""
    parts = []
    for where, own in cells.of_each:
        out, column = np.empty((len(own.size), lam.size)), rewards[where]
        kept = len(column) - np.bincount(own.index)
        for size in np.unique(kept).tolist():
            alike = np.flatnonzero(kept == size)
            rows = np.stack([column[own.index != g] for g in alike])
            gap = (rows.max(axis=1, keepdims=True) if top is None else top) - rows
            start = None
            for j, value in enumerate(lam.tolist()):
                found = worth(gap, np.asarray(1.0 / size), value, divergence, start, known_top=top is not None)
                out[alike, j], start = found.psi, found.place
        parts.append(own.about(out, np.zeros(lam.size)))
    return cells.joined(parts)


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
