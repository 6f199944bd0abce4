"""From a table of rewards to the averaged curve of win rates over the base model, ties counting one half.

A prompt without ties has the curve of the uniform law, whatever its rewards: nothing is estimated. With ties the curve
is that of the prompt's levels, ``w_i = F_{i-1} + P_i/2``, whose masses the samples estimate; leaving out one sample at
a time, in closed form, removes the bias of O(1/n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.divergences import CHI_SQUARED, KL, Divergence, Renyi
from alignlib.estimation.bootstrap import Cells, student_interval
from alignlib.estimation.curve import AveragedCurve, CurvePoints
from alignlib.estimation.dual import minimise_dual
from alignlib.estimation.halves import canonical_rank, part_weight, parts_of, sort_keys
from alignlib.estimation.jackknife import doubling_grid
from alignlib.estimation.prices import worth
from alignlib.estimation.support import known_kl, strain
from alignlib.laws import Uniform
from alignlib.tables import RewardTable

__all__ = ["WinRateCurve", "tied_pairs", "win_rate_curve"]

_BLOCK = 1 << 16  # samples in work at a time
_LOW = 1e-2  # where the grid of λ begins, in units of 1 over the standard deviation of a uniform win rate
_MOST = 250.0  # of the decimal logarithm of λ
_CHUNK = 10  # so many λ at once
_ABREAST = 1 << 15  # levels, λ by λ, that are solved side by side
_BEYOND = 6  # so many λ past the end of the support
_DELETED = 16  # samples of a prompt that are left out, at even ranks, where it has more levels


@dataclass(frozen=True, eq=False, kw_only=True)
class WinRateCurve(AveragedCurve, SameFields):
    """An `AveragedCurve` of win rates.

    Parameters
    ----------
    free : array (L,)
        The log-partition function without ties at each λ, which none exceeds.
    """

    free: FloatArray

    def most(self, spent: FloatArray) -> FloatArray:
        """Return the largest gain without ties at each budget, a mean of f, shape (k,).

        Parameters
        ----------
        spent : array (k,)
            Budgets, each a mean of f.
        """
        return minimise_dual(self.lam, self.free, np.array(0.5), spent)[0]

    def at(self, kl: FloatArray, weights: FloatArray, level: float) -> CurvePoints:
        """Return what is known at budgets of shape (k,): Student's intervals of the bounds, on the scale itself.

        A prompt without ties adds no spread, and the replicates of few others show too little of theirs.

        Parameters
        ----------
        kl : array (k,)
            Budgets.
        weights : array (replicates, cells)
            Rows of `Cells.resample`.
        level : float
            Coverage aimed at, in (0, 1).

        Returns
        -------
        CurvePoints
            Gains are win rates less one half.
        """
        whole = weights[:1]
        gain, _, lam = self.gains(whole, kl)
        ends = []
        for bound in self.cell_bounds:
            value, error, _ = self.gains(whole, kl, bound)
            ends.append(student_interval(value[0], error[0], level, self.uneven))
        return self._points(gain[0], lam[0], ends)

    @property
    def uneven(self) -> int:
        """How many cells of prompts have ties."""
        return int((np.abs(self.cell_limit - 0.5) > 0.0).sum())

    @property
    def supported_end(self) -> float:
        """No end where no prompt has ties."""
        return super().supported_end if self.strain.any() else math.inf


@dataclass(frozen=True, eq=False)
class _Levels(SameFields):
    """Levels of prompts with one number of samples, padded; and of the same prompts with samples left out.

    ``win`` and ``mass`` have shape (laws, prompts, levels): the prompts' own, then each deletion, which is like
    ``times`` of all deletions, shape (deletions, prompts).
    """

    win: FloatArray
    mass: FloatArray
    times: FloatArray
    n: int

    @classmethod
    def of(cls, rows: FloatArray, *, deletions: bool = True) -> _Levels:
        """Find the levels of rewards sorted from the top, shape (prompts, n)."""
        prompts, n = rows.shape
        new = np.ones(rows.shape, dtype=np.bool_)
        new[:, 1:] = np.diff(rows, axis=1) != 0.0
        place = np.cumsum(new, axis=1) - 1
        count = np.zeros((prompts, int(place.max()) + 1))
        np.add.at(count, (np.arange(prompts)[:, None], place), 1.0)
        less = _deletions(count) if deletions and n > 1 else []
        found = [_of_counts(count), *(_of_counts(_without(count, level)) for level, _ in less)]
        times = np.array([times for _, times in less]).reshape(len(less), prompts)
        return cls(np.stack([win for win, _ in found]), np.stack([mass for _, mass in found]), times, n)

    def corrected(self, psi: FloatArray) -> FloatArray:
        """Return the jackknifed value of each prompt from those of all laws, (laws, prompts)."""
        if not len(self.times):
            return np.asarray(psi[0])
        return np.asarray(self.n * psi[0] - (self.n - 1) * (self.times * psi[1:]).sum(axis=0))


def _of_counts(count: FloatArray) -> tuple[FloatArray, FloatArray]:
    mass = count / count.sum(axis=1, keepdims=True)
    above = np.cumsum(mass, axis=1) - mass
    return 1.0 - above - 0.5 * mass, mass


def _deletions(count: FloatArray) -> list[tuple[IntArray, FloatArray]]:
    """Yield for each deletion the level of every prompt that loses a sample, and how much of all deletions it is."""
    prompts, levels = count.shape
    total = count.sum(axis=1)
    if levels <= _DELETED:
        return [(np.full(prompts, k), count[:, k] / total) for k in range(levels)]
    upto = np.cumsum(count, axis=1)
    ranks = (np.arange(_DELETED) + 0.5) / _DELETED
    return [((upto > rank * total[:, None]).argmax(axis=1), np.full(prompts, 1.0 / _DELETED)) for rank in ranks]


def _without(count: FloatArray, level: IntArray) -> FloatArray:
    fewer = count.copy()
    rows = np.arange(len(count))
    fewer[rows, level] = np.maximum(fewer[rows, level] - 1.0, 0.0)
    return fewer


def _psi(
    win: FloatArray, mass: FloatArray, lam: FloatArray, divergence: Divergence, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return what levels are worth at each row's λ, the KL of the policy that has it, and the place of its price."""
    gap = np.where(mass > 0.0, 1.0 - win, np.inf)
    nearest = gap.min(axis=1, keepdims=True)
    gap = np.where(mass > 0.0, gap - nearest, 1.0)
    if divergence == KL:
        weight = mass * np.exp(-lam[:, None] * gap)
        total = weight.sum(axis=1)
        policy = weight / total[:, None]
        psi = np.log(total) + lam * (0.5 - nearest[:, 0])
        return psi, lam * (policy * (win - 0.5)).sum(axis=1) - psi, None
    found = worth(gap, mass, lam, divergence, start)
    policy = mass * found.ratio
    policy = policy / policy.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.where(policy > 0.0, policy * np.log(policy / mass), 0.0).sum(axis=1)
    return found.psi, kl, found.place


def _abreast(
    win: FloatArray, mass: FloatArray, lam: FloatArray, divergence: Divergence, start: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return what `_psi` does at each of rising λ, shape (rows, L), and the places at the last.

    Of small tables several λ are solved at once, as rows of one array: numpy's calls are most of their cost.
    """
    together = max(1, min(lam.size, _ABREAST // win.size))
    psi, kl = np.empty((len(win), lam.size)), np.empty((len(win), lam.size))
    for first in range(0, lam.size, together):
        some = lam[first : first + together]
        tiled = [np.tile(part, (some.size, 1)) for part in (win, mass)]
        begin = None if start is None else np.tile(start, some.size)
        *found, place = _psi(tiled[0], tiled[1], np.repeat(some, len(win)), divergence, begin)
        start = None if place is None else place[-len(win) :]
        for out, one in zip((psi, kl), found, strict=True):
            out[:, first : first + some.size] = one.reshape(some.size, -1).T
    return psi, kl, start


@dataclass(eq=False)
class _Block(SameFields):
    """Prompts with ties of one number of samples, and halves of their samples: every law of theirs in one array."""

    where: IntArray
    levels: _Levels
    halves: list[_Levels]
    start: FloatArray | None = None

    def at(self, lam: FloatArray, divergence: Divergence) -> tuple[FloatArray, FloatArray]:
        """Return plug-in, corrected and further value (3, prompts, L), and KL (prompts, L), of rising λ (L,)."""
        psi, kl, self.start = _abreast(*self._stacked, lam, divergence, self.start)
        found = [self._values(column.reshape(-1, len(self.where))) for column in psi.T]
        return np.stack(found, axis=2), kl[: len(self.where)]

    def _values(self, psi: FloatArray) -> FloatArray:
        """Return plug-in, corrected and further value (3, prompts) from those of all laws, (laws, prompts)."""
        parts = [self.levels, *self.halves]
        values = np.split(psi, np.cumsum([part.win.shape[0] for part in parts])[:-1])
        corrected = self.levels.corrected(values[0])
        step = corrected - values[0][0]
        if self.halves:
            inside = [half.corrected(value) for half, value in zip(self.halves, values[1:], strict=True)]
            step = corrected - np.mean(inside, axis=0)
        weight = part_weight(self.levels.n) if self.halves else 1.0
        return np.stack([values[0][0], corrected, corrected + weight * step])

    @cached_property
    def _stacked(self) -> tuple[FloatArray, FloatArray]:
        parts = [self.levels, *self.halves]
        levels = max(part.win.shape[2] for part in parts)
        wide = [(0, 0), (0, 0)]
        win, mass = (
            np.concatenate([np.pad(one, [*wide, (0, levels - one.shape[2])]) for one in ones])
            for ones in ([part.win for part in parts], [part.mass for part in parts])
        )
        return win.reshape(-1, levels), mass.reshape(-1, levels)


def without_ties(lam: FloatArray, divergence: Divergence) -> tuple[FloatArray, FloatArray]:
    """Return ``ψ`` of the uniform law on [0, 1] at each λ, and the KL of the policies that have it.

    Parameters
    ----------
    lam : array (L,)
        Inverse temperatures λ.
    divergence : Divergence
        What budgets are measured in.

    Returns
    -------
    psi, spent : array (L,)
        ``ψ``, and what the policies spend of the divergence.
    """
    law = Uniform()
    if divergence == KL:
        return np.asarray(law.reverse_kl(lam)), np.asarray(law.kl(lam))
    if divergence == CHI_SQUARED:  # twice the f of order 2
        psi, kl = without_ties(0.5 * lam, Renyi(2.0))
        return 2.0 * psi, kl
    psi, kl = np.empty_like(lam), np.empty_like(lam)
    dropped = np.zeros(lam.size, dtype=np.bool_)
    if isinstance(divergence, Renyi) and divergence.alpha > 1.0:
        # φ/p = (A - δλu)^{1/δ} at the distance u from the top, δ = α - 1, sums to one for A = (αλ)^{δ/α}.
        alpha, delta = divergence.alpha, divergence.alpha - 1.0
        top = (alpha * lam) ** (delta / alpha)
        dropped = top < delta * lam
        psi[dropped] = (0.5 * lam - top / delta + top / (2.0 * alpha - 1.0) + 1.0 / (alpha * delta))[dropped]
        kl[dropped] = (np.log(top) / delta - 1.0 / alpha)[dropped]
    reward, weight = law.nodes()
    found = [_psi((reward + 0.5)[None], weight[None], value[None], divergence) for value in lam[~dropped]]
    psi[~dropped], kl[~dropped] = [float(one[0][0]) for one in found], [float(one[1][0]) for one in found]
    return psi, kl


@lru_cache(maxsize=32)
def _grid(divergence: Divergence) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the λ at which curves are tabulated, the same for every table, and what `without_ties` has there."""
    lam = doubling_grid(_LOW, _furthest(divergence)) * math.sqrt(12.0)
    found = lam, *without_ties(lam, divergence)
    for one in found:
        one.setflags(write=False)
    return found


def _furthest(divergence: Divergence) -> float:
    """Return a λ from which on the uniform law lacks less than 1e-5 of what can be gained.

    ``1/λ`` is what it lacks for KL and its reverse, less for divergences that end; the root of ``2/(9λ)`` for χ², and
    for Rényi's of order α a power ``-1/α`` of λ.
    """
    if divergence == CHI_SQUARED:
        return 1e10
    order = divergence.alpha if isinstance(divergence, Renyi) else 1.0
    return float(10.0 ** min(5.0 * max(order, 1.0), _MOST))


def win_rate_curve(table: RewardTable, column: str, cells: Cells, divergence: Divergence = KL) -> WinRateCurve:
    """Tabulate the averaged curve of the win rate over the base model, up to where nothing changes.

    Prompts whose samples have no ties count as without any. The rest are supported as the limit of a reward is: while
    they spend no more KL than the samples show. How far their bias may still go is judged from halves of the samples.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    cells : Cells
        The units that are resampled.
    divergence : Divergence
        What budgets are measured in.
    """
    lam, free, free_kl = _grid(divergence)
    n_prompts, fixed = table.n_prompts, cells.fixed_prompts
    limit, blocks = np.full(n_prompts, 0.5), _tied_blocks(table, column)
    for block in blocks:
        limit[block.where] = 0.5 - 0.5 * block.levels.mass[0, :, 0]
    values = np.empty((3, n_prompts, lam.size))
    values[:] = free
    tied = sum(len(block.where) for block in blocks)
    sums = np.zeros((3, lam.size))
    sums[0] = (n_prompts - tied) * free_kl
    used, strained = lam.size, np.empty(0)
    for first in range(0, lam.size, _CHUNK):
        some = slice(first, min(first + _CHUNK, lam.size))
        for block in blocks:
            values[:, block.where, some], kl = block.at(lam[some], divergence)
            squared = np.square(kl).sum(axis=0)
            sums[:, some] += kl.sum(axis=0), squared, squared / known_kl(block.levels.n)
        upto = slice(0, some.stop)
        strained = strain(lam[upto], sums[0, upto], sums[1, upto], sums[2, upto], 0.0, 1 if fixed else n_prompts)
        over = np.flatnonzero(strained > 1.0)
        if over.size and over[0] + _BEYOND < some.stop:
            used = int(over[0]) + _BEYOND + 1
            break
    whole = used == lam.size
    lam, free, values, sums = lam[:used], free[:used], values[..., :used], sums[:, :used]
    n_cells = len(cells.size)
    plug_in, corrected, further = (
        np.tile(part.mean(axis=0), (n_cells, 1)) if fixed else cells.mean(part) for part in values
    )
    largest = np.full(n_cells, limit.mean()) if fixed else cells.mean(limit)
    plug_in, corrected, further = (np.minimum(part, free) for part in (plug_in, corrected, further))
    if fixed and blocks:
        about = _groups(table.column(column), lam, cells, divergence)
        plug_in, corrected, further = (about + part for part in (plug_in, corrected, further))
    return WinRateCurve(
        free=free,
        lam=lam,
        ess=np.full(lam.size, float(table.n_samples.mean())),
        largest_weight=np.full(lam.size, np.nan),
        cells=cells,
        cell_curve=corrected,
        cell_bounds=(corrected, further) if blocks else (corrected,),
        cell_plug_in=plug_in,
        cell_limit=largest,
        strain=strained[:used],
        within=np.zeros(lam.size),
        base_reward=0.5,
        saturated=whole,
        common_ceiling=True,
        log_samples=float(np.log(table.n_samples).mean()),
    )


def _tied_blocks(table: RewardTable, column: str) -> list[_Block]:
    """Return the prompts with ties; the halves of their samples do not depend on the order of the table."""
    keys = np.empty((4, table.n_prompts))
    for where, rewards in table.blocks(column):
        keys[:, where] = sort_keys(np.sort(rewards - rewards.mean(axis=1, keepdims=True), axis=1)[:, ::-1])
    rank = canonical_rank(keys, float(np.ptp(table.column(column))) or 1.0)
    blocks = []
    for where, rewards in table.blocks(column, _BLOCK):
        rows = np.sort(rewards, axis=1)[:, ::-1]
        tied = (np.diff(rows, axis=1) == 0.0).any(axis=1)
        if tied.any():
            here = rows[tied]
            enough = rows.shape[1] > 5
            halves = list(parts_of(here, rank[where[tied]], table.n_prompts)[:2]) if enough else []
            blocks.append(_Block(where[tied], _Levels.of(here), [_Levels.of(half) for half in halves]))
    return blocks


def _groups(rewards: FloatArray, lam: FloatArray, cells: Cells, divergence: Divergence) -> FloatArray:
    """Return pseudo-values of ``ψ`` over groups of the samples of fixed prompts, about 0, shape (cells, L)."""
    parts = []
    for where, own in cells.of_each:
        out, column = np.empty((len(own.size), lam.size)), rewards[where]
        kept = len(column) - np.bincount(own.index)
        for size in np.unique(kept).tolist():
            alike = np.flatnonzero(kept == size)
            rows = np.stack([np.sort(column[own.index != g])[::-1] for g in alike])
            levels = _Levels.of(rows, deletions=False)
            out[alike] = _abreast(levels.win[0], levels.mass[0], lam, divergence, None)[0]
        parts.append(own.about(out, np.zeros(lam.size)))
    return cells.joined(parts)


def tied_pairs(table: RewardTable, column: str) -> float:
    """Return the share of pairs of samples of one prompt that tie, averaged over prompts: without bias.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.

    Examples
    --------
    >>> tied_pairs(RewardTable.from_arrays([[0.0, 0.0, 1.0], [1.0, 2.0, 3.0]]), "reward")
    0.16666666666666666
    """
    total = 0.0
    for _, rewards in table.blocks(column, _BLOCK):
        rows, n = np.sort(rewards, axis=1), rewards.shape[1]
        new = np.ones(rows.shape, dtype=np.bool_)
        new[:, 1:] = np.diff(rows, axis=1) != 0.0
        start = np.flatnonzero(new.ravel())
        size = np.diff(np.append(start, rows.size)).astype(np.float64)
        total += float((size * (size - 1.0)).sum()) / (n * (n - 1.0))
    return total / table.n_prompts
