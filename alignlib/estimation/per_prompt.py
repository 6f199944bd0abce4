"""The frontier of each prompt for the same KL budget on all, from its samples, bias removed.

The gain ``g(Δ) = min_λ (Δ + Λ̂(λ))/λ`` of a prompt is not linear in Λ̂, so the whole functional is jackknifed: at
the minimum, deleting a sample changes Λ̂, its slope and its curvature in closed form, and one Newton step in log λ
moves to the new minimum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation.averaging import averaged_curve
from alignlib.estimation.bootstrap import Cells, studentised_interval
from alignlib.estimation.curve import CurvePoints
from alignlib.estimation.dual import lam_grid, minimise_dual
from alignlib.estimation.halves import canonical_rank, parts_of, sort_keys
from alignlib.estimation.jackknife import jackknife_log_partition
from alignlib.estimation.support import first_strained, least_prompts
from alignlib.estimation.tails import TailShape, usual_spread
from alignlib.tables import RewardTable

__all__ = ["PerPromptCurve", "PromptGains", "prompt_gains"]

_BLOCK = 1 << 15
_SEARCHED = 28
_LEAST_KL = 0.005
_LEAST_WITH_TIES, _MOST_CONSTANT = 16, 1.0 / 3.0
_FURTHER = 1.5  # steps from halves to all by which the bias left in the first order may go on; 1/3 is the second order


class PerPromptCurve:
    """The gain of a budget that bounds the KL of every prompt: each has its own λ.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    tail : TailShape
        What the largest rewards say about the tail.
    cells : Cells
        The units that are resampled.
    correct : bool
        Whether the bias of few samples is taken off.
    """

    def __init__(self, table: RewardTable, column: str, tail: TailShape, cells: Cells, *, correct: bool) -> None:
        self._table, self._column, self._cells, self._correct = table, column, cells, correct
        keys, spread = np.empty((4, table.n_prompts)), 0.0
        self._unit = np.ones(table.n_prompts)
        for where, rows in self._blocks():
            keys[:, where], spread = sort_keys(rows), max(spread, float(rows.max()))
            own = np.sqrt(np.square(rows).mean(axis=1)) if tail.discrete else usual_spread(rows)
            self._unit[where] = np.where(own > 0.0, own, np.maximum(rows[:, 0], np.finfo(np.float64).tiny))
        self._rank = canonical_rank(keys, spread)
        # Every prompt must be known by itself, whatever its scale: all on one scale, at one λ, tell how far.
        self._alike = averaged_curve(table, column, cells, tail, bias_correction=True, unit=self._unit)
        most = float(np.log(table.n_samples.min()))
        searched = np.geomspace(_LEAST_KL, most, _SEARCHED)
        gain = np.zeros((table.n_prompts, _SEARCHED))
        for where, rows in self._blocks():
            gain[where] = np.maximum(_plug_in(rows, searched)[0], 0.0)
        total = gain.sum(axis=0)
        alone = 1 if cells.fixed_prompts else table.n_prompts
        with np.errstate(divide="ignore", invalid="ignore"):  # some prompts share the gain
            shared = least_prompts(alone) * np.square(gain).sum(axis=0) / np.square(total)
        known = most if self._alike.saturated and self._alike.common_ceiling else np.inf
        spent = known
        if np.isfinite(self._alike.supported_lam) or known == np.inf:
            spent = self._typical_kl(min(self._alike.supported_lam, float(self._alike.lam[-1])))
        self.supported_end = min(most, spent, first_strained(searched, shared))
        # What a prompt could gain does not show where all its samples are alike, nor well where few of them tie.
        few = tail.discrete and table.n_samples.min() < _LEAST_WITH_TIES
        if few or table.constant_prompts(column).mean() > _MOST_CONSTANT:
            self.supported_end = 0.0

    def at(self, kl: FloatArray, weights: FloatArray, level: float) -> CurvePoints:
        """Return what is known at some budgets.

        The interval is the hull of those of the estimate, of how far its bias may go, and, upwards, of what the same
        prompts gain on one scale within an average budget: no less, and linear in what is estimated.

        Parameters
        ----------
        kl : array (k,)
            KL of every prompt in nats.
        weights : array (replicates, cells)
            Rows of `Cells.resample`.
        level : float
            Coverage aimed at, in (0, 1).
        """
        each = self._each(kl)
        found = PromptGains(*(self._over_cells(getattr(each, part.name)) for part in fields(PromptGains)))
        whole, chosen = weights[0], found.second_order if self._correct else found.plug_in
        if self._cells.fixed_prompts:
            chosen = chosen + self._of_samples(kl)
        low, high = self._cells.interval(weights, chosen, level=level)
        if self._correct:
            bound = chosen + found.ahead
            further = self._cells.interval(weights, bound, level=level)
            low, high = np.minimum(low, further[0]), np.maximum(high, further[1])
            unit = weights @ self._over_cells(self._unit)
            for cells in self._alike.cell_bounds:
                gain, error, lam = self._alike.gains(weights, unit[:, None] * kl, cells)
                up = self._alike.stretch(gain[0], error[0], lam[0], unit[0] * kl)
                high = np.maximum(high, studentised_interval(gain, error, level, len(self._cells.size), up=up)[1])
        averages = (whole @ part for part in (found.slope, found.ess, found.largest_weight))
        return CurvePoints(whole @ chosen, low, high, *averages)

    def _over_cells(self, values: FloatArray) -> FloatArray:
        """Return means over cells of ``values`` (prompts, …), the mean over all where prompts are fixed."""
        if not self._cells.fixed_prompts:
            return self._cells.mean(values)
        return np.broadcast_to(values.mean(axis=0), (len(self._cells.size), *values.shape[1:]))

    def _of_samples(self, kl: FloatArray) -> FloatArray:
        """Return pseudo-values, about 0, of the gains of fixed prompts over groups of their samples, (cells, k)."""
        column, none = self._table.column(self._column), np.zeros(len(kl))

        def of_prompt(rewards: FloatArray, own: Cells) -> FloatArray:
            def without(kept: IntArray) -> FloatArray:
                rows = np.sort(rewards[kept], axis=1)[:, ::-1]
                return _plug_in(rows - rows.mean(axis=1, keepdims=True), kl)[0]

            return own.pseudo_values(without, none)

        return self._cells.joined([of_prompt(column[where], own) for where, own in self._cells.of_each])

    def _blocks(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield prompts of one number of samples: positions, and rewards about their mean from the top down."""
        for where, rewards in self._table.blocks(self._column):
            yield where, np.sort(rewards - rewards.mean(axis=1, keepdims=True), axis=1)[:, ::-1]

    def _typical_kl(self, lam: float) -> float:
        """Return the median over prompts of what the tilt by ``lam`` spends, rewards brought to one scale."""
        if lam == 0.0:
            return 0.0
        spent = np.empty(self._table.n_prompts)
        for where, rows in self._blocks():
            spent[where] = jackknife_log_partition(rows / self._unit[where][:, None], lam).kl
        return float(np.median(spent[spent > 0.0])) if spent.any() else 0.0

    def _each(self, kl: FloatArray) -> PromptGains:
        out = np.empty((len(fields(PromptGains)), self._table.n_prompts, len(kl)))
        for where, rewards in self._table.blocks(self._column):
            found = prompt_gains(rewards, kl, self._rank[where], self._table.n_prompts)
            out[:, where] = [getattr(found, part.name) for part in fields(PromptGains)]
        return PromptGains(*out)


@dataclass(frozen=True, eq=False)
class PromptGains(SameFields):
    """Gains of each prompt at each budget.

    Attributes
    ----------
    plug_in, first_order : array (prompts, k)
        Of the samples as they are, and jackknifed.
    second_order : array (prompts, k)
        The jackknife of all samples and of their halves, extrapolated.
    ahead : array (prompts, k)
        How much further the bias may go.
    slope : array (prompts, k)
        1/λ.
    ess : array (prompts, k)
        Effective sample size.
    largest_weight : array (prompts, k)
        Share of the heaviest sample.
    tail : array (prompts, k)
        λ times the mean exceedance of the top quarter of the samples over the rest.
    spent : array (prompts, k)
        KL of the tilt: the budget, or less where all weight is on the largest samples.
    """

    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    ahead: FloatArray
    slope: FloatArray
    ess: FloatArray
    largest_weight: FloatArray
    tail: FloatArray
    spent: FloatArray


def prompt_gains(rewards: FloatArray, kl: FloatArray, rank: IntArray, n_prompts: int) -> PromptGains:
    """Estimate the frontier of every prompt.

    Parameters
    ----------
    rewards : array (prompts, n)
        The samples.
    kl : array (k,)
        Budgets in nats.
    rank : array of int (prompts,)
        Place of each in the canonical order of the table, which chooses the halves: see `parts_of`.
    n_prompts : int
        Prompts of the table.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((400, 64))
    >>> gains = prompt_gains(rows, np.array([0.5]), np.arange(400), 400)  # the truth is 1
    >>> bool(gains.plug_in.mean() < 0.98 < abs(gains.second_order.mean()) < 1.02)
    True
    """
    step = max(1, _BLOCK // rewards.shape[1])
    parts = []
    for start in range(0, len(rewards), step):
        block = np.sort(rewards[start : start + step], axis=1)[:, ::-1]
        whole = _jackknife(block, kl)
        halves = parts_of(block, rank[start : start + step], n_prompts)
        in_halves = _jackknife(halves.reshape(-1, halves.shape[2]), kl)[1]
        first = whole[1]
        # A bias c/n² left by the first order is four times as large in halves.
        gone = first - in_halves.reshape(*halves.shape[:2], len(kl)).mean(axis=0)
        parts.append((whole[0], first, first + gone / 3.0, (_FURTHER - 1.0 / 3.0) * gone, *whole[2:]))
    return PromptGains(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _jackknife(rewards: FloatArray, kl: FloatArray) -> tuple[FloatArray, ...]:
    """Return plug-in and jackknifed gain, 1/λ, ESS, largest weight, tail index and KL, each of shape (prompts, k).

    ``rewards`` is sorted from the top down.
    """
    n = rewards.shape[1]
    rows = rewards - rewards.mean(axis=1, keepdims=True)
    below = rows - rows[:, :1]
    found, lam, unit, varies = _plug_in(rows, kl)
    excess = rows[:, : max(1, n // 4)].mean(axis=1) - rows[:, max(1, n // 4)]

    corrected, slope, ess, largest = (np.empty_like(found) for _ in range(4))
    flat = np.isinf(lam) | ~varies[:, None]
    top = rows[:, 0] + (n - 1) / n * (rows[:, 0] - rows[:, 1])
    for k, budget in enumerate(kl):
        inner = np.where(flat[:, k] | (lam[:, k] == 0.0), 1.0, lam[:, k])[:, None] / unit
        weight = np.exp(below * inner)
        total = weight.sum(axis=1, keepdims=True)
        p = weight / total
        ess[:, k] = 1.0 / np.einsum("ij,ij->i", p, p)
        whole, deleted = _with_and_without(p, below, np.log(total / n), inner, float(budget))
        jackknifed = n * whole[:, 0] - (n - 1) * deleted.mean(axis=1) + rows[:, 0]
        corrected[:, k] = np.where(flat[:, k], top, jackknifed)
        slope[:, k] = np.where(flat[:, k], 0.0, 1.0 / inner[:, 0])
        ess[:, k] = np.where(flat[:, k], (rows == rows[:, :1]).sum(axis=1), ess[:, k])
        largest[:, k] = np.where(flat[:, k], 1.0 / ess[:, k], p[:, 0])
    corrected[:, kl == 0.0] = 0.0
    tail = np.divide(excess[:, None], slope, out=np.zeros_like(slope), where=slope > 0.0)
    spent = np.where(flat, np.log(n / (rows == rows[:, :1]).sum(axis=1))[:, None], kl)
    return found, corrected * varies[:, None], slope, ess, largest, tail, spent


def _plug_in(rows: FloatArray, kl: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return the gain of centred, descending ``rows``, λ times the unit, (prompts, k), that unit and where it is one.

    The unit, (prompts, 1), is the standard deviation; where rewards do not vary nothing is gained.
    """
    spread = np.sqrt(np.square(rows).mean(axis=1))
    varies = spread > 0.0
    unit = np.where(varies, spread, 1.0)[:, None]
    below = (rows - rows[:, :1]) / unit
    grid = lam_grid(1.0)
    curve, weight = np.empty((len(grid), len(rows))), np.empty_like(below)
    for value, out in zip(grid, curve, strict=True):
        np.multiply(below, value, out=weight)
        np.exp(weight, out=weight)
        np.log(weight.mean(axis=1), out=out)
    top = rows[:, 0] / unit[:, 0]
    gain, lam = minimise_dual(grid, curve.T + grid * top[:, None], top, kl)
    return gain * unit * varies[:, None], lam, unit, varies


def _with_and_without(
    p: FloatArray, below: FloatArray, log_partition: FloatArray, lam: FloatArray, budget: float
) -> tuple[FloatArray, FloatArray]:
    """Return ``min_λ (Δ + Λ)/λ`` relative to the largest reward: of all samples, and with each deleted in turn."""
    n = p.shape[1]
    mean = np.einsum("ij,ij->i", p, below)[:, None]
    distance = below - mean
    variance = np.einsum("ij,ij->i", p, np.square(distance))[:, None]
    # Only of the largest sample's weight can 1 - p cancel.
    kept = 1.0 - p
    kept[:, 0] = p[:, 1:].sum(axis=1)
    kept = np.maximum(kept, np.finfo(np.float64).tiny)
    odds = p / kept
    left = log_partition + np.log(kept) - np.log1p(-1.0 / n)
    spread = variance + odds * (variance - np.square(distance)) - np.square(odds * distance)
    whole = _step(budget + log_partition, mean, variance, lam)
    return whole, _step(budget + left, mean - odds * distance, spread, lam)


def _step(cost: FloatArray, mean: FloatArray, variance: FloatArray, lam: FloatArray) -> FloatArray:
    """Return the minimum over λ of ``cost(λ)/λ`` to second order in log λ, from cost, its slope and curvature."""
    value = cost / lam
    slope = mean - value
    bend = lam * variance - slope
    gained = np.divide(np.square(slope), 2.0 * bend, out=np.zeros_like(value), where=bend > 0.0)
    return np.asarray(value - gained)
