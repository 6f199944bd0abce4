"""Intervals that resample prompts: each prompt is one cluster, its samples stay together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray, as_level, as_number, as_rng, as_whole
from alignlib._core.same import SameFields

__all__ = [
    "FEWEST_PROMPTS",
    "FEW_CELLS",
    "Cells",
    "check_resampling",
    "few_prompts",
    "groups_of_fixed",
    "narrowed",
    "student_interval",
    "studentised_interval",
]

_MAX_CELLS = 500
_STRETCH, _STRETCH_POWER, _MOST_STRETCH = 3.0, 0.75, 3.0  # by simulation of means of lognormal and gamma contributions
_FIXED_STRETCH = 1.25  # of several fixed prompts: groups of all hide how skewed those of the loudest are; by simulation
_AT_ONCE = 1 << 18  # draws
_SQUARED = 1e150  # beyond it a square leaves the range of floats
FEW_CELLS, _MOST_OF_PLAIN = 8, 3.0
_NEWTON_STEPS = 8
_NO_SPREAD = 1e-6  # of that of the estimate: the rounding of equal cells
_LEAST_SPREAD = 20.0  # times as sure as the estimate a replicate is at most: one may lack the few cells that differ
_GROUPS, _ALL_GROUPS = 50, 200  # of the samples of a prompt at most, and of all prompts about, where these are fixed
_SHOWN_SAMPLES = 16  # of each of few prompts: so many show the error of estimates from them
FEWEST_PROMPTS = 20  # that stand for others: see `few_prompts`


@dataclass(frozen=True, eq=False)
class Cells(SameFields):
    """The units that are resampled: prompts, or random pools of prompts where there are more than 500.

    Where the prompts are fixed their samples are resampled instead, in random groups, as many of every prompt.

    Attributes
    ----------
    index : array of int (prompts,) or (samples,)
        The cell of each prompt, or, of fixed prompts, the group of each sample.
    size : array (cells,)
        Prompts of each cell.
    n_fixed : int
        Fixed prompts, 0 where prompts are resampled.

    Examples
    --------
    >>> cells = Cells.of(np.array([8, 8, 8]), np.random.default_rng(0))
    >>> cells.size.tolist(), float(cells.mean(np.array([1.0, 2.0, 3.0])).sum())
    ([1.0, 1.0, 1.0], 6.0)
    """

    index: IntArray
    size: FloatArray
    n_fixed: int = 0

    @property
    def fixed_prompts(self) -> bool:
        """Whether intervals are of these very prompts, over their samples, and not of the prompts they stand for."""
        return self.n_fixed > 0

    @classmethod
    def of(cls, n_samples: IntArray, rng: np.random.Generator) -> Cells:
        """Give each prompt its cell, a single prompt's samples theirs.

        Parameters
        ----------
        n_samples : array of int (prompts,)
            Samples of each prompt.
        rng : Generator
            Source of randomness, for pools and groups.
        """
        prompts = len(n_samples)
        if prompts == 1:
            return cls.of_samples(n_samples, rng)
        index = np.arange(prompts) % min(prompts, _MAX_CELLS)
        if prompts > _MAX_CELLS:
            index = rng.permutation(index.astype(np.uint16))  # two bytes for each of many prompts
        return cls(index, np.bincount(index).astype(np.float64))

    @classmethod
    def of_samples(cls, n_samples: IntArray, rng: np.random.Generator) -> Cells:
        """Deal the samples of each prompt into groups at random.

        Parameters
        ----------
        n_samples : array of int (prompts,)
            Samples of each prompt.
        rng : Generator
            Source of randomness.

        Examples
        --------
        >>> Cells.of_samples(np.array([3, 5]), np.random.default_rng(0)).index.tolist()
        [2, 0, 1, 5, 4, 3, 4, 3]
        """
        groups = groups_of_fixed(n_samples)
        labels = [x * groups + rng.permutation(np.arange(n) % groups) for x, n in enumerate(n_samples.tolist())]
        return cls(np.concatenate(labels), np.ones(len(n_samples) * groups), n_fixed=len(n_samples))

    @classmethod
    def of_fixed(cls, n_samples: IntArray, groups: int | None = None) -> Cells:
        """Return as many groups, without telling which sample is in which: of samples in bins.

        Parameters
        ----------
        n_samples : array of int (prompts,)
            Samples of each prompt.
        groups : int, optional
            Groups of each prompt, where they were dealt already.
        """
        prompts = len(n_samples)
        groups = groups_of_fixed(n_samples) if groups is None else groups
        return cls(np.empty(0, dtype=np.int64), np.ones(prompts * groups), n_fixed=prompts)

    @property
    def of_each(self) -> list[tuple[slice, Cells]]:
        """The place of the samples of each fixed prompt, and its own cells."""
        groups = len(self.size) // self.n_fixed
        ends = np.searchsorted(self.index // groups, np.arange(self.n_fixed + 1)).tolist()
        return [
            (slice(a, b), Cells(self.index[a:b] - x * groups, np.ones(groups), n_fixed=1))
            for x, (a, b) in enumerate(pairwise(ends))
        ]

    def joined(self, parts: Sequence[FloatArray]) -> FloatArray:
        """Return the pseudo-values of the mean over fixed prompts from those of each, one below another.

        How prompts differ is no error of a mean over these very prompts: all are shifted to that mean, and spread so
        that `standard_error`, which knows of one mean, counts that of each.

        Parameters
        ----------
        parts : sequence of array (groups, ...)
            One for each prompt.

        Returns
        -------
        array (prompts × groups, ...)
            In the same unit.
        """
        if len(parts) == 1:
            return parts[0]
        prompts, groups = len(parts), len(parts[0])
        means = np.array([part.mean(axis=0) for part in parts])
        whole = means.mean(axis=0)
        spread = ((prompts * groups - 1.0) / (prompts * (groups - 1.0))) ** 0.5
        return np.concatenate([whole + spread * (part - mean) for part, mean in zip(parts, means, strict=True)])

    @property
    def whole(self) -> FloatArray:
        """Weights of the cells in the sample itself, shape (1, cells): row 0 of `resample`."""
        return np.asarray(self.size / self.size.sum())[None]

    def pseudo_values(
        self, without: Callable[[IntArray], FloatArray], estimate: FloatArray, order: IntArray | None = None
    ) -> FloatArray:
        """Return the pseudo-values ``-(C-1) θ(without group)``, shifted to have the mean ``estimate``.

        Parameters
        ----------
        without : callable
            Evaluates the statistic on samples that are kept, given by their positions: a row (of as many as fit the
            memory) for each group left out; it returns (rows, ...).
        estimate : array (...)
            The statistic of all samples.
        order : array of int (samples,), optional
            The order in which positions are passed on.

        Returns
        -------
        array (C, ...)
            One for each of the C groups.
        """
        order = np.arange(len(self.index)) if order is None else order
        groups, group = len(self.size), self.index[order]
        kept = len(order) - np.bincount(group, minlength=groups)
        parts: list[FloatArray] = [np.empty(0)] * groups
        for size in np.unique(kept):
            alike = np.flatnonzero(kept == size)
            step = max(1, _AT_ONCE // int(size))
            for some in (alike[first : first + step] for first in range(0, len(alike), step)):
                rows = np.stack([order[group != one] for one in some])
                for one, value in zip(some, without(rows), strict=True):
                    parts[one] = value
        return self.about(np.array(parts), estimate)

    def about(self, without: FloatArray, estimate: FloatArray) -> FloatArray:
        """Return the pseudo-values of a statistic from its values with each group left out.

        Parameters
        ----------
        without : array (C, ...)
            The statistic without each group.
        estimate : array (...)
            The statistic of all samples.

        Returns
        -------
        array (C, ...)
            Their mean is the estimate.
        """
        values = -(len(self.size) - 1) * without
        return np.asarray(values + (estimate - values.mean(axis=0)))

    def kept_sums(self, values: FloatArray) -> FloatArray:
        """Return sums with each group left out; nothing is subtracted, so that no digits are lost.

        Parameters
        ----------
        values : array (k, samples)
            What is summed.

        Returns
        -------
        array (C, k)
            A row for each group.
        """
        groups = len(self.size)
        place = (self.index + groups * np.arange(len(values))[:, None]).reshape(-1)
        of_groups = np.bincount(place, values.reshape(-1), groups * len(values)).reshape(len(values), groups)
        return np.asarray((of_groups @ (1.0 - np.eye(groups))).T)

    def mean(self, values: FloatArray) -> FloatArray:
        """Return the mean over each cell.

        Parameters
        ----------
        values : array (prompts,) or (prompts, k)
            What is averaged.

        Returns
        -------
        array (cells,) or (cells, k)
            In the same unit.
        """
        columns = values.reshape(len(values), -1).T
        total = np.stack([np.bincount(self.index, column, len(self.size)) for column in columns], axis=1)
        return np.asarray((total / self.size[:, None]).reshape(-1, *values.shape[1:]))

    def resample(self, n_boot: int, rng: np.random.Generator) -> FloatArray:
        """Return weights of the cells; row 0 is the sample itself.

        Parameters
        ----------
        n_boot : int
            Bootstrap replicates.
        rng : Generator
            Source of randomness.

        Returns
        -------
        array (n_boot + 1, cells)
            Rows sum to one.
        """
        n, n_boot = len(self.size), as_whole("n_boot", n_boot, 1)
        counts = np.ones((n_boot + 1, n))
        step = max(1, _AT_ONCE // n)
        for first in range(1, n_boot + 1, step):
            rows = counts[first : first + step]
            drawn = rng.integers(n, size=rows.shape) + n * np.arange(len(rows))[:, None]
            rows[:] = np.bincount(drawn.reshape(-1), minlength=rows.size).reshape(rows.shape)
        counts *= self.size
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))

    def interval(self, weights: FloatArray, *values: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
        """Return the interval of the mean of cell ``values`` (cells, k), stretched where few cells count.

        Of two sets of values it is the interval of what lies between their means: an estimate, and the same with the
        bias that it may still have.

        Parameters
        ----------
        weights : array (n_boot + 1, cells)
            As `resample` gives them.
        *values : array (cells, k)
            One set, or two: an estimate, and the same with the bias that it may still have.
        level : float
            Coverage aimed at, in (0, 1).

        Returns
        -------
        low, high : array (k,)
            In the unit of the values.
        """
        means = [weights @ part for part in values]
        errors = [self.standard_error(weights, part) for part in values]
        arms = narrowed([one[0] for one in means], [one[0] for one in errors], level)
        ends = [
            studentised_interval(
                mean, error, level, len(self.size), up=arms * self.stretch(mean[0], error[0]), down=arms
            )
            for mean, error in zip(means, errors, strict=True)
        ]
        return np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)

    def stretch(self, value: FloatArray, error: FloatArray) -> FloatArray:
        """Return by how much the arm of an interval away from 0 is to be stretched, where few cells count.

        A mean to which few cells contribute most is likely to miss others as large, and its own spread does not tell.
        The factor is ``1 + 3 c²/n^0.75``, at most 3, for n cells whose values have the coefficient of variation c,
        known from the relative error of the mean.

        Parameters
        ----------
        value, error : array (k,)
            The mean and its standard error, of the sample itself.
        """
        n = len(self.size)
        if self.fixed_prompts:
            return np.full(value.shape, 1.0 if self.n_fixed == 1 else _FIXED_STRETCH)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            factor = 1.0 + _STRETCH * (n - 1.0) * np.square(error / value) / n**_STRETCH_POWER
        return np.asarray(np.clip(np.nan_to_num(factor, nan=1.0), 1.0, _MOST_STRETCH))

    def standard_error(self, weights: FloatArray, values: FloatArray) -> FloatArray:
        """Return the standard error of weighted means.

        Parameters
        ----------
        weights : array (n_boot + 1, cells)
            As `resample` gives them.
        values : array (cells, k)
            What is averaged.

        Returns
        -------
        array (n_boot + 1, k)
            In the unit of the values.
        """
        n = len(self.size)
        scale = np.ones(1)
        if float(np.abs(values).max(initial=0.0)) > _SQUARED:
            scale = np.maximum(np.abs(values).max(axis=0), 1.0)
            values = values / scale
        mean = weights @ values
        variance = np.maximum(weights @ np.square(values) - np.square(mean), 0.0)
        return np.asarray(scale * np.sqrt(variance / max(n - 1, 1)))


def few_prompts(n_samples: IntArray) -> bool:
    """Tell whether prompts are so few that statements can only be of these very prompts, whose samples show them.

    Of P prompts, kinds of prompt that make up a part q of all are missed with a chance ``(1 - q)^P``: of fewer than
    twenty, one kind in seven with a chance of 5 % or more. Where the kinds that are missed matter more than others, no
    interval over all prompts that these may stand for holds as often as it says. Very few samples of a prompt do not
    show their own error either; prompts are then resampled all the same.

    Parameters
    ----------
    n_samples : array of int (prompts,)
        Samples of each prompt.

    Examples
    --------
    >>> few_prompts(np.full(10, 1000)), few_prompts(np.full(30, 64)), few_prompts(np.full(10, 4))
    (True, False, False)
    """
    return len(n_samples) < FEWEST_PROMPTS and (len(n_samples) == 1 or int(n_samples.min()) >= _SHOWN_SAMPLES)


def groups_of_fixed(n_samples: IntArray) -> int:
    """Return how many groups the samples of each of fixed prompts are dealt into.

    Parameters
    ----------
    n_samples : array of int (prompts,)
        Samples of each prompt.

    Examples
    --------
    >>> [groups_of_fixed(np.full(prompts, 60_000)) for prompts in (1, 5, 19)]
    [50, 40, 11]
    """
    return min(_GROUPS, -(-_ALL_GROUPS // len(n_samples)), int(n_samples.min()))


def studentised_interval(
    value: FloatArray,
    error: FloatArray,
    level: float,
    cells: int,
    *,
    up: FloatArray | float = 1.0,
    down: FloatArray | float = 1.0,
    upper_hull: float = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """Return the bootstrap-t interval.

    The hull of the equal-tailed and the symmetric interval, both on a logarithmic scale where all values have one sign:
    with few prompts of skewed rewards neither alone covers as often as it claims.

    Of fewer than eight cells replicates often hold one cell alone and show no spread: Student's quantile then takes
    their place. Away from 0 an arm is at most three times as long as on the plain scale: few cells let logarithms
    explode.

    Parameters
    ----------
    value, error : array (n_boot + 1, k)
        Mean and standard error; row 0 is the estimate, the others replicates.
    level : float
        Coverage aimed at, in (0, 1).
    cells : int
        Number of cells.
    up, down : array (k,) or float
        How much longer its arms away from and towards 0 become: see `Cells.stretch`.
    upper_hull : float
        Below 1 the arm away from 0 goes but this part of the way from the equal-tailed one to the hull's.

    Returns
    -------
    low, high : array (k,)
        In the unit of the values.

    Raises
    ------
    InputError
        If ``level`` is outside (0, 1).

    Examples
    --------
    >>> draws = np.random.default_rng(0).standard_normal((1001, 1))
    >>> low, high = studentised_interval(5.0 + 0.1 * draws, np.full((1001, 1), 0.1), 0.95, 100)
    >>> bool(low[0] < 5.0 < high[0])
    True

    Source: the bootstrap-t is Efron's; the hull is ours, chosen by simulated coverage.
    """
    falls = (value < 0.0).all(axis=0)
    value = np.where(falls, -value, value)
    estimate, spread = value[0], error[0]
    positive = (value > 0.0).all(axis=0)
    # A replicate may lack the few cells that differ: it is not surer of the mean for that.
    least = spread / _LEAST_SPREAD
    with np.errstate(divide="ignore", invalid="ignore"):
        log_t = np.log(value[1:] / estimate) / np.maximum(error[1:] / value[1:], least / estimate)
        plain_t = (value[1:] - estimate) / np.maximum(error[1:], least)
    t = np.where(positive, log_t, plain_t)
    # Without spread there is nothing to resample: 0/0, or rounding over 0.
    t = np.where(np.isfinite(t) & (error[1:] > _NO_SPREAD * spread), t, 0.0)
    level = as_number("level", level, 0.0, 1.0, open_low=True, open_high=True)
    tail = (1.0 - level) / 2.0
    low_t, high_t = _quantiles(t, (tail, 1.0 - tail))
    (both,) = _quantiles(np.abs(t), (level,))
    away = np.maximum(both, -low_t)
    upper, lower = up * (away + (1.0 - upper_hull) * (-low_t - away)), down * np.maximum(both, high_t)
    if cells < FEW_CELLS:
        lower = np.asarray(scipy.special.stdtrit(max(cells - 1, 1), 1.0 - tail))
        upper = lower * (up if cells > 2 else 1.0)  # of two cells the quantile is long enough
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.where(positive & (spread > 0.0), spread / estimate, 0.0)
        low = np.where(positive, estimate * np.exp(-lower * relative), estimate - lower * spread)
        factor = np.minimum(np.exp(upper * relative), 1.0 + _MOST_OF_PLAIN * upper * relative)
        high = np.where(positive, estimate * factor, estimate + upper * spread)
    return np.where(falls, -high, low), np.where(falls, -low, high)


def narrowed(values: Sequence[FloatArray], errors: Sequence[FloatArray], level: float) -> FloatArray:
    """Return by how much arms may be shorter where the truth lies between ``values``, (k,) each: 1 where they agree.

    An interval that reaches from the lower end of the one to the upper end of the other holds a truth at either value
    too often, if these are apart: a miss can then happen on one side only. The factor is ``c/z`` with
    ``Φ(c + g) + Φ(c) = 1 + level`` for values g standard errors apart, between that of a one-sided quantile and 1.

    Parameters
    ----------
    values, errors : sequence of array (k,)
        Estimates between which the truth lies, with their standard errors.
    level : float
        Coverage aimed at, in (0, 1).

    Raises
    ------
    InputError
        If ``level`` is outside (0, 1).

    Examples
    --------
    >>> apart = [np.zeros(3), np.array([0.0, 1.0, 9.0])]
    >>> narrowed(apart, [np.ones(3), np.ones(3)], 0.95).round(3).tolist()
    [1.0, 0.858, 0.839]

    Source: Imbens and Manski (2004).
    """
    level = as_number("level", level, 0.0, 1.0, open_low=True, open_high=True)
    z = NormalDist().inv_cdf(0.5 + level / 2.0)  # of the standard library: scipy.special is slow to import
    if len(values) == 1:
        return np.ones(values[0].shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.nan_to_num(np.abs(values[1] - values[0]) / np.maximum(errors[0], errors[1]), nan=0.0, posinf=99.0)
    c = np.full(gap.shape, NormalDist().inv_cdf(level))  # from below Newton's steps rise to the root
    for _ in range(_NEWTON_STEPS):
        rise = _density(c + gap) + _density(c)
        c = np.minimum(c + (1.0 + level - _cdf(c + gap) - _cdf(c)) / rise, z)
    return np.asarray(c / z)


def _cdf(x: FloatArray) -> FloatArray:
    return np.array(list(map(NormalDist().cdf, x.ravel().tolist()))).reshape(x.shape)


def _density(x: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * np.square(x)) / np.sqrt(2.0 * np.pi))


def student_interval(value: FloatArray, error: FloatArray, level: float, cells: int) -> tuple[FloatArray, FloatArray]:
    """Return ``value`` ± Student's quantile times ``error``, for a spread that so many cells show.

    Parameters
    ----------
    value, error : array
        The mean and its standard error.
    level : float
        Coverage aimed at, in (0, 1).
    cells : int
        How many the error is from.

    Returns
    -------
    low, high : array
        In the unit of the value.

    Examples
    --------
    >>> [round(float(end), 3) for end in student_interval(np.array(1.0), np.array(0.1), 0.95, 11)]
    [0.777, 1.223]
    """
    half = float(scipy.special.stdtrit(max(cells - 1, 1), 0.5 + level / 2.0)) * error
    return value - half, value + half


def _quantiles(values: FloatArray, levels: Sequence[float]) -> list[FloatArray]:
    """Return quantiles along the first axis, between ranks by interpolation: only those ranks are put in order."""
    places = [level * (len(values) - 1.0) for level in levels]
    below = [min(int(place), len(values) - 2) for place in places]
    rising = np.partition(values.T, sorted({k + up for k in below for up in (0, 1)}), axis=-1)
    return [
        (rising[..., k] + (place - k) * (rising[..., k + 1] - rising[..., k])).T
        for place, k in zip(places, below, strict=True)
    ]


def check_resampling(
    level: float, n_boot: float, rng: np.random.Generator | int
) -> tuple[float, int, np.random.Generator]:
    """Check what every interval needs.

    Parameters
    ----------
    level : float
        Coverage, in (0, 1).
    n_boot : float
        Bootstrap replicates, a whole number from 100 on.
    rng : Generator or int
        Source of randomness, or its seed.

    Returns
    -------
    level : float
        As given.
    n_boot : int
        As a whole number.
    generator : Generator
        Made from the seed.

    Raises
    ------
    InputError
        If one is out of its range.

    Examples
    --------
    >>> check_resampling(0.95, 1000.0, 0)[:2]
    (0.95, 1000)
    """
    as_level(level)
    return float(level), as_whole("n_boot", n_boot, 100), as_rng(rng)
