"""How much of an ensemble's error its members share: the floor that no number of members removes, from samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib.estimation.bootstrap import Cells, check_resampling, studentised_interval
from alignlib.hacking.ensembles import members_worth_having
from alignlib.hacking.proxy_table import check_members
from alignlib.tables import MemberTables, RewardTable

__all__ = ["ErrorSplit", "split_error"]


@dataclass(frozen=True)
class ErrorSplit:
    """Variances within prompts of the error ``s_k - a - b r`` that gold ``r`` leaves of a member's score ``s_k``.

    Attributes
    ----------
    shared, shared_low, shared_high : float
        Variance of what all members share, with its interval.
    own, own_low, own_high : float
        Variance of one member's own part, with its interval.
    slope : float
        b, the scale of the scores in units of gold.
    worth_having : float
        Members that bring the small-error regret within 10 % of its floor.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> gold = rng.standard_normal((60, 16))
    >>> scores = {f"s{k}": gold + rng.standard_normal((60, 16)) for k in range(2)}  # errors that have nothing in common
    >>> found = split_error(RewardTable.from_arrays({"gold": gold} | scores), ["s0", "s1"], "gold")
    >>> bool(found.shared_low < 0.0 < found.shared_high), bool(found.own_low < 1.0 < found.own_high)
    (True, True)
    """

    shared: float
    shared_low: float
    shared_high: float
    own: float
    own_low: float
    own_high: float
    slope: float
    worth_having: float

    @property
    def shared_part(self) -> float:
        """Share of a member's error variance that all members have in common."""
        return self.shared / (self.shared + self.own) if self.shared + self.own > 0 else 0.0


def split_error(
    table: RewardTable,
    members: Sequence[str],
    gold: str,
    *,
    level: float = 0.95,
    n_boot: int = 1000,
    rng: np.random.Generator | int = 0,
) -> ErrorSplit:
    """Split the members' error variance within prompts into a shared and an own part, unbiased in K.

    The own part is the variance over members of their scores' deviations, the shared part the mean covariance of two
    members' errors. Scores and gold are centred within each prompt; one slope of score on gold serves all members.

    Parameters
    ----------
    table : RewardTable
        Base samples of at least two prompts scored by every member and by gold.
    members : sequence of str
        At least two different columns.
    gold : str
        The reward that counts.
    level : float
        Coverage of the intervals, in (0, 1).
    n_boot : int
        Bootstrap replicates, of whole prompts.
    rng : Generator or int
        Source of their randomness, or its seed.

    Raises
    ------
    InputError
        If there are fewer than two members or prompts, or a column is missing or tells nothing apart.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> gold, shared = rng.standard_normal((2, 100, 32))
    >>> scores = gold + 0.5 * shared + rng.standard_normal((3, 100, 32))
    >>> table = RewardTable.from_arrays({"gold": gold} | {f"s{k}": s for k, s in enumerate(scores)})
    >>> split = split_error(table, ["s0", "s1", "s2"], "gold")
    >>> round(split.shared, 2), round(split.own, 1), split.worth_having
    (0.26, 1.0, 38.0)

    Source: derived here.
    """
    level, n_boot, generator = check_resampling(level, n_boot, rng)
    require(
        len(members) >= 2, f"members must name at least two columns to tell shared from own; got {list(members)!r}."
    )
    require(table.n_prompts >= 2, f"split_error needs at least 2 prompts to resample; got {table.n_prompts}.")
    check_members(table, members, gold)
    n_members = len(members)
    parted = _of_samples if table.ensemble is None else partial(_of_bins, ensemble=table.ensemble)
    own, of_mean, slope, off, off_own = parted(table, members, gold)
    cells = Cells.of(table.n_samples, generator)
    weights = cells.resample(n_boot, generator)
    parts = cells.mean(np.stack([of_mean - own / n_members, own], axis=1))
    low, high = studentised_interval(weights @ parts, cells.standard_error(weights, parts), level, len(cells.size))
    open_ = np.array([off, off_own])
    low, high = low - open_, high + open_
    shared_variance, own_variance = (weights[0] @ parts).tolist()
    return ErrorSplit(
        shared=shared_variance,
        shared_low=float(low[0]),
        shared_high=float(high[0]),
        own=own_variance,
        own_low=float(low[1]),
        own_high=float(high[1]),
        slope=slope,
        worth_having=members_worth_having(max(shared_variance, 0.0), own_variance),
    )


# Own part and variance of the mean, of each prompt; slope; what bins leave open of the shared part, and of the own one.
Split = tuple[FloatArray, FloatArray, float, float, float]


def _of_samples(table: RewardTable, members: Sequence[str], gold: str) -> Split:
    starts, sizes = table.offsets[:-1], table.n_samples.astype(np.float64)

    def centred(values: FloatArray) -> FloatArray:
        return np.asarray(values - np.repeat(np.add.reduceat(values, starts) / sizes, table.n_samples))

    golds = centred(table.column(gold))
    scores = np.stack([centred(table.column(name)) for name in members])
    slope = float((scores.mean(axis=0) @ golds) / (golds @ golds)) if golds.any() else 0.0
    error = scores - slope * golds
    mean = error.mean(axis=0)
    free = sizes - 1.0  # one degree of freedom goes into each prompt's mean
    own = np.add.reduceat(((error - mean) ** 2).sum(axis=0) / (len(members) - 1), starts) / free
    return own, np.add.reduceat(mean**2, starts) / free, slope, 0.0, 0.0


def _of_bins(table: RewardTable, members: Sequence[str], gold: str, ensemble: MemberTables) -> Split:
    """Return the same from second moments: what members deviate from their mean by, gold's slope does not change."""
    k, free = len(members), table.n_samples - 1.0
    scales = [ensemble.scales[name][1] for name in members]
    squares = [ensemble.members[one].prompt_squares(one) / each**2 for one, each in zip(members, scales, strict=True)]
    pairs = [(i, j) for i in range(k) for j in range(i)]
    crossed = [ensemble.products(members[i], members[j]) / (scales[i] * scales[j]) for i, j in pairs]
    with_gold = [ensemble.products(one, gold) / each for one, each in zip(members, scales, strict=True)]
    each, (both, both_off) = np.sum(squares, axis=0), np.sum(crossed, axis=0)
    product, off = np.mean(with_gold, axis=0)
    of_mean, of_mean_off = (each + 2.0 * both) / k**2, 2.0 * both_off / k**2
    of_gold = table.prompt_squares(gold)
    total = float(of_gold.sum())
    slope, left = (float(product.sum()) / total, float(off.sum()) / total) if total > 0.0 else (0.0, 0.0)
    own = np.maximum(each - k * of_mean, 0.0) / (k - 1) / free
    off_own = float((k * of_mean_off / (k - 1) / free).mean())
    error = np.maximum(of_mean - 2.0 * slope * product + slope**2 * of_gold, 0.0) / free
    # To first order: of the products here and in the slope.
    open_ = of_mean_off + 2.0 * (abs(slope) * off + left * np.abs(product - slope * of_gold))
    return own, error, slope, float((open_ / free).mean()) + off_own / k, off_own
