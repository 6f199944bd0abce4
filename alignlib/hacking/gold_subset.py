"""How a proxy correlates with gold within prompts, from the few rows of which gold is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy

from alignlib._core.checks import BoolArray, FloatArray, as_level, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.estimation import Cells, check_pair
from alignlib.tables import RewardTable

__all__ = ["GoldSubset", "heavy_tail_note", "measure_gold", "skew_stretch"]

_FEWEST = 3  # cells that tell a spread
_HEAVY = 8.0  # about what few samples of an exponential tail show
_STILL = 0.25  # of the prompts whose rows with gold have one proxy, from which on it is said
_OF_SKEW = 3.0  # by simulation on normal, uniform, t5, exponential, lognormal and 0/1 rewards


@dataclass(frozen=True)
class GoldSubset:
    """The correlation of proxy and gold within prompts, with its interval; made by `measure_gold`.

    Attributes
    ----------
    correlation, low, high : float
        The correlation and the ends of its interval.
    gold_sd : float
        Gold's standard deviation within prompts, in its own unit.
    slope : float
        Gold that one unit of proxy brings on average: covariance over variance.
    rows, prompts : int
        How many were used.
    level : float
        Coverage that the interval aims at.
    notes : tuple of str
        Sentences on what was left out.

    Examples
    --------
    >>> from alignlib.tables import example_table
    >>> found = measure_gold(example_table(30, 5, 0.7, np.random.default_rng(1)), "reward", "gold")
    >>> found.rows, found.prompts, bool(found.low < found.correlation < found.high)
    (150, 30, True)
    """

    correlation: float
    low: float
    high: float
    gold_sd: float
    slope: float
    rows: int
    prompts: int
    level: float
    notes: tuple[str, ...] = ()

    @property
    def range(self) -> tuple[float, float, float]:
        """The correlation with its ends, as `promise_gold` takes it.

        Returns
        -------
        correlation, low, high : float
            Between -1 and 1.
        """
        return self.correlation, self.low, self.high


def measure_gold(table: RewardTable, reward: str, gold: str, *, level: float = 0.95) -> GoldSubset:
    """Measure the correlation of proxy and gold within prompts, with an interval over prompts.

    Covariance and variances are unbiased on each prompt and averaged over prompts; the interval is that of the
    jackknife over prompts (over groups of rows where there is one), on the scale of ``artanh ρ``, longer where
    variances of the proxy are skewed over prompts. Of a proxy with a heavy tail, few rows show nothing of the
    responses that make most of its variance: the interval then holds the truth less often than ``level`` says, and a
    note says so. Prompts with one row tell nothing of ρ, nor do those whose rows have one value of the proxy: where
    these are many, as with rare successes, a note says that the interval may lie too high.

    Parameters
    ----------
    table : RewardTable
        Rows with both rewards; a few hundred are enough.
    reward, gold : str
        Their columns.
    level : float
        Coverage, in (0, 1).

    Raises
    ------
    InputError
        For a proxy or gold that does not vary within prompts, that are one, or fewer than 3 prompts of two rows or
        more (or 6 rows of a single prompt).

    Examples
    --------
    >>> from alignlib.tables import example_table
    >>> table = example_table(60, 5, 0.7, np.random.default_rng(1))
    >>> found = measure_gold(table, "reward", "gold")
    >>> bool(found.low < 0.82 < found.high)
    True

    Source: derived here; the jackknife is Miller1974's.
    """
    as_level(level)
    kept = table.n_samples >= 2
    notes = table.notes
    if not kept.all():
        lone = int((~kept).sum())
        notes = (
            *notes,
            f"{counted(lone, 'prompt')} with one row of gold {'tells' if lone == 1 else 'tell'} nothing of it.",
        )
        table = _only(table, kept)
    check_pair(table, reward, gold)
    cells = Cells.of(table.n_samples, np.random.default_rng(0))
    require(
        len(cells.size) >= (2 * _FEWEST if cells.fixed_prompts else _FEWEST),
        f"gold is known on {counted(int(table.offsets[-1]), 'row')} of {counted(table.n_prompts, 'prompt')} with two "
        f"rows or more; it takes {_FEWEST} such prompts, or {2 * _FEWEST} rows of a single prompt. Judge more.",
        "gold",
    )
    proxies, golds = table.column(reward), table.column(gold)
    if cells.fixed_prompts:
        left = np.array([_moments(proxies[cells.index != g], golds[cells.index != g]) for g in range(len(cells.size))])
        whole = _moments(proxies, golds)
        of_cells = len(left) * whole - (len(left) - 1.0) * left
    else:
        each = np.array(
            [
                _moments(proxies[a:b], golds[a:b])
                for a, b in zip(table.offsets[:-1].tolist(), table.offsets[1:].tolist(), strict=True)
            ]
        )
        of_cells, share = cells.mean(each), cells.whole[0]
        whole = share @ of_cells
        left = (whole - share[:, None] * of_cells) / (1.0 - share[:, None])
        first = np.repeat(proxies[table.offsets[:-1]], table.n_samples)
        still = int(np.logical_and.reduceat(proxies == first, table.offsets[:-1]).sum())
        if still >= _STILL * len(each):
            notes = (*notes, _still_note(still, len(each), reward))
    value = _correlation(whole)
    without = np.array([_correlation(row) for row in left])
    longer = max(skew_stretch(of_cells[:, 0]), skew_stretch(without[np.isfinite(without)]))
    low, high = _interval(value, without, level, longer)
    heavy = heavy_tail_note(table, reward, "the correlation")
    notes = notes if heavy is None else (*notes, heavy)
    return GoldSubset(
        correlation=value,
        low=low,
        high=high,
        gold_sd=math.sqrt(max(float(whole[2]), 0.0)),
        slope=float(whole[1] / whole[0]),
        rows=int(table.offsets[-1]),
        prompts=table.n_prompts,
        level=level,
        notes=notes,
    )


def skew_stretch(values: FloatArray) -> float:
    """Return by how much an interval is to be longer for the skewness g of the values, one a cell: ``1 + 3|g|/√n``.

    Parameters
    ----------
    values : array (cells,)
        One value a cell.

    Examples
    --------
    >>> round(skew_stretch(np.array([1.0, 2.0, 3.0])), 12)
    1.0
    """
    values = values / (float(np.abs(values).max(initial=0.0)) or 1.0)  # squares stay within floats
    off = values - values.mean()
    square = float(np.square(off).mean())
    if not square > 1e-24 * float(np.square(values).mean()):
        return 1.0
    skewness: float = abs(float((off**3).mean())) / math.pow(square, 1.5)
    return 1.0 + _OF_SKEW * skewness / math.sqrt(values.size)


def heavy_tail_note(table: RewardTable, reward: str, what: str) -> str | None:
    """Say that intervals may be too short where a proxy's kurtosis within prompts is large.

    Parameters
    ----------
    table : RewardTable
        The samples.
    reward : str
        The proxy.
    what : str
        What has the interval, as the sentence has it.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((40, 12))
    >>> heavy_tail_note(RewardTable.from_arrays(rows), "reward", "the promise") is None
    True
    """
    off = table.column(reward) - np.repeat(table.prompt_means(reward), table.n_samples)
    off = off / max(float(np.abs(off).max()), 1e-300)
    kurtosis = float((off**4).mean()) / max(float(np.square(off).mean()), 1e-300) ** 2
    if kurtosis <= _HEAVY:
        return None
    return (
        f"{reward!r} has a heavy tail (kurtosis {kurtosis:.0f} within prompts; a normal reward has 3): a few responses "
        f"make most of its variance, and the interval of {what} may hold the truth less often than it says."
    )


def _still_note(still: int, prompts: int, reward: str) -> str:
    return (
        f"On {still} of {prompts} prompts the rows with gold have one value of {reward!r} each, which tells nothing of "
        "the correlation: if gold rises less with it there, or falls, the interval of the correlation may lie too high"
        ". Have more rows of these prompts judged, among them some where it differs."
    )


def _only(table: RewardTable, kept: BoolArray) -> RewardTable:
    if not kept.any():
        raise InputError(
            "gold is known on one row of each prompt only, which tells nothing of how it varies within prompts; have "
            "two or more responses of some prompts judged.",
            argument="gold",
        )
    rows = np.repeat(kept, table.n_samples)
    offsets = np.concatenate([[0], np.cumsum(table.n_samples[kept])]).astype(np.int64)
    columns = {name: values[rows] for name, values in table.columns.items()}
    return replace(table, prompts=table.prompts[kept], offsets=offsets, columns=columns)


def _moments(proxies: FloatArray, golds: FloatArray) -> FloatArray:
    """Variance of the proxy, covariance, variance of gold, each without bias."""
    n, p, g = proxies.size, proxies - proxies.mean(), golds - golds.mean()
    return np.array([p @ p, p @ g, g @ g]) / (n - 1.0)


def _correlation(moments: FloatArray) -> float:
    both = float(moments[0] * moments[2])
    return float(np.clip(moments[1] / math.sqrt(both), -1.0, 1.0)) if both > 0.0 else math.nan


def _interval(value: float, left: FloatArray, level: float, longer: float) -> tuple[float, float]:
    """Return the jackknife's interval of the correlation, of some width also where it is seen to be 1 or -1."""
    m = left.size
    tail = (1.0 - level) / 2.0
    unseen = 2.0 * -math.expm1(math.log(tail) / m)  # rows unlike these, a share of them that chance may have hidden
    if abs(value) > 1.0 - 1e-12:
        return (max(value - unseen, -1.0), value) if value > 0.0 else (value, min(value + unseen, 1.0))
    known = np.arctanh(np.clip(left[np.isfinite(left)], -1.0 + 1e-12, 1.0 - 1e-12))
    error = math.sqrt((m - 1.0) / m * float(np.square(known - known.mean()).sum()))
    reach = float(scipy.special.stdtrit(m - 1, 1.0 - tail)) * error * longer
    middle = math.atanh(value)
    return math.tanh(middle - reach), math.tanh(middle + reach)
