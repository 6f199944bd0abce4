"""The log-partition function of each prompt from samples, with its O(1/n) and O(1/n²) biases removed.

Deleting one or two samples from ``log mean e^{λr}`` has a closed form, so both jackknives cost no more than a few
passes over the samples; nothing is resampled. Prompts stand side by side in blocks that fit the cache, samples from the
top down: every pass is a long operation along the prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib._core.special import log1p_excess
from alignlib.estimation.small_tilts import BLOCK_OF_SMALL, SmallTilts, how_many_small

__all__ = [
    "LogPartitionEstimate",
    "column_sums",
    "doubling_grid",
    "in_logarithms",
    "jackknife_log_partition",
    "of_numbers",
    "orders",
    "stands_apart",
    "terms_wanted",
    "work_arrays",
]

_BLOCK = 1 << 17  # samples in work at a time
_STEPS = 5  # of λ in an octave
_TOLERANCE = 2e-12  # of the sum over pairs, in nats; averages over prompts are nearer still
_NO_WEIGHT = 1e-25  # of the third largest: what weighs less in every prompt of a block is left out
_UNDERFLOW = 1e-200  # below it, weights relative to the largest no longer tell the third from nothing
_MOST_TERMS = 60
_ASIDE = 264  # numbers: half of a page, and one line of the cache
_FEW = 0.02  # up to this product of the two largest odds the largest need not be kept apart
_KEPT = 0.5  # of the weight, without the largest: else powers of its odds cancel


@dataclass(frozen=True, eq=False)
class LogPartitionEstimate(SameFields):
    """Estimates of ``log E e^{λr}`` of each prompt.

    Attributes
    ----------
    plug_in, first_order, second_order : array (prompts,) or (L, prompts)
        Of the samples as they are, and with the bias of first and of second order taken off.
    ess : array
        Effective sample size.
    largest_weight : array
        Share of the heaviest sample.
    kl : array
        What the tilt of the samples spends, ``λ Σ p_i r_i - log mean e^{λr}``, in nats.
    """

    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    ess: FloatArray
    largest_weight: FloatArray
    kl: FloatArray


def doubling_grid(low: float, high: float) -> FloatArray:
    """Return the ``λ = 2^{j/5}`` from the octave of ``low`` up to that of ``high``: each is twice the fifth before it.

    Parameters
    ----------
    low, high : float
        Between these λ the grid has all of its points.

    Examples
    --------
    >>> doubling_grid(0.9, 2.1).round(3).tolist()
    [0.5, 0.574, 0.66, 0.758, 0.871, 1.0, 1.149, 1.32, 1.516, 1.741, 2.0, 2.297, 2.639, 3.031, 3.482]
    """
    octaves = np.arange(math.floor(math.log2(low)), math.floor(math.log2(high)) + 1)
    return np.asarray(np.ldexp(2.0 ** (np.arange(_STEPS) / _STEPS), octaves[:, None])).reshape(-1)


def jackknife_log_partition(descending: FloatArray, lam: npt.ArrayLike) -> LogPartitionEstimate:
    """Estimate ``Λ(λ) = log E e^{λr}`` of each prompt from its n samples.

    With ``Λ̂ = log mean e^{λr}`` and ``Λ̂₍ₖ₎`` its average over all samples with k deleted,

        first order   n Λ̂ - (n-1) Λ̂₍₁₎
        second order  ½ [n² Λ̂ - 2(n-1)² Λ̂₍₁₎ + (n-2)² Λ̂₍₂₎]

    leave biases of O(1/n²) and O(1/n³) where the weights ``e^{λr}`` have moments enough.

    Parameters
    ----------
    descending : array (prompts, n)
        n ≥ 3 samples, each row sorted from the largest reward down.
    lam : float or array (L,)
        λ ≥ 0; several are faster together where each is twice the fifth before it, as in `doubling_grid`: weights are
        then squared instead of exponentiated.

    Raises
    ------
    InputError
        If there are fewer than 3 samples of a prompt.

    Examples
    --------
    >>> rows = np.array([[3.0, 1.0, 0.5, 0.0]])
    >>> estimate = jackknife_log_partition(rows, 0.5)
    >>> float(estimate.plug_in[0]) < float(estimate.first_order[0]) < float(estimate.second_order[0])
    True

    Source: Quenouille's and Schucany, Gray and Owen's jackknife; the closed form is derived here.
    """
    n_prompts, n = descending.shape
    require(n >= 3, f"jackknife_log_partition needs at least 3 samples per prompt; got {n}.")
    lams = np.atleast_1d(np.asarray(lam, dtype=np.float64))
    out = np.empty((6, lams.size, n_prompts))
    step = max(1, _BLOCK // n)
    for start in range(0, n_prompts, step):
        _fill(descending[start : start + step], lams, out[:, :, start : start + step])
    out[:3] += lams[:, None] * descending[:, 0]
    return LogPartitionEstimate(*(out if np.ndim(lam) else out[:, 0]))


def _fill(rows: FloatArray, lams: FloatArray, out: FloatArray) -> None:
    """Fill in the estimates, Λ less λ times the largest reward, of a block of prompts."""
    n = rows.shape[1]
    small = _fill_small(rows, lams, out)
    lams, rest = lams[small:], out[:, small:]
    below = np.ascontiguousarray((rows - rows[:, :1]).T)
    work = work_arrays(3, below.shape)
    weights: list[FloatArray] = []
    with np.errstate(all="ignore"):  # what is lost below the smallest number is done again in logarithms
        for j, lam in enumerate(lams.tolist()):
            weight = _next_weights(weights, below, lams, j)
            log_total, singles, pairs, ess, largest = _sums(weight, work)
            plug_in = log_total - math.log(n)
            rest[:3, j] = orders(plug_in, singles, pairs, n)
            rest[3, j] = ess
            rest[4, j] = largest
            product = np.multiply(weight, below[: len(weight)], out=work[0][: len(weight)])
            rest[5, j] = np.maximum(lam * largest * column_sums(product) - plug_in, 0.0)
            lost = weight[min(2, len(weight) - 1)] < _UNDERFLOW
            if lost.any():
                rest[:, j, lost] = in_logarithms(rows[lost], lam)
    alike = below[-1] == 0.0  # no rounding there, which a logarithm of it would blow up
    out[:3, :, alike] = 0.0
    out[5][:, alike] = 0.0


def _fill_small(rows: FloatArray, lams: FloatArray, out: FloatArray) -> int:
    """Fill in the same for the first λ, where they are small, and return how many these are."""
    n = rows.shape[1]
    mean = rows.mean(axis=1)
    above = rows[:, 0] - mean
    small = how_many_small(lams, float(np.maximum(above, mean - rows[:, -1]).max()), n)
    step = max(1, BLOCK_OF_SMALL // n)
    for start in range(0, len(rows) if small else 0, step):
        part = slice(start, start + step)
        found = SmallTilts(np.ascontiguousarray((rows[part] - mean[part, None]).T), lams[:small])
        to_top = lams[:small, None] * above[part]
        out[:3, :small, part] = orders(found.log_mean, found.singles, found.pairs, n)
        out[:3, :small, part] -= to_top
        out[3:, :small, part] = found.ess, np.exp(to_top) / found.total, found.kl
    return small


def orders(plug_in: FloatArray, singles: FloatArray, pairs: FloatArray, n: int) -> tuple[FloatArray, ...]:
    """Return a log-partition function as it is, and with its bias of first and of second order taken off.

    Parameters
    ----------
    plug_in : array
        ``log mean e^{λr}``, in nats.
    singles, pairs : array
        With shares p of the weight: ``1 + Σ log(1 - p_i)``, ``Σ_{i<j} log(1 - p_i - p_j) - (n-1) Σ log(1 - p_i)``.
    n : int
        Samples.
    """
    of_one, of_two = of_numbers(n)
    return (
        plug_in,
        plug_in + of_one - (n - 1) / n * singles,
        plug_in + of_two - (2 * n - 3) / n * singles + (n - 2) ** 2 / (n * (n - 1)) * pairs,
    )


@lru_cache(maxsize=64)
def of_numbers(n: int) -> tuple[float, float]:
    """Return what deleting one sample of n, and what deleting up to two, adds for their smaller number alone.

    Parameters
    ----------
    n : int
        Samples.

    Returns
    -------
    one, two : float
        In nats.
    """
    one, two = (float(log1p_excess(np.array(k / n))) for k in (1.0, 2.0))
    return -(n - 1) * one, 0.5 * (n - 2) ** 2 * two - (n - 1) ** 2 * one


def _next_weights(kept: list[FloatArray], below: FloatArray, lams: FloatArray, j: int) -> FloatArray:
    """Return ``e^{λ(r - max r)}`` of the j-th λ, from the top down as far as any prompt has weight."""
    if j >= _STEPS and lams[j] == 2.0 * lams[j - _STEPS]:
        weight = kept[j % _STEPS]
        np.multiply(weight, weight, out=weight)
        if not np.fmax.reduce(weight[-1] / weight[2]) >= _NO_WEIGHT:
            share = np.fmax.reduce(weight[3:] / weight[2], axis=1)
            weight = weight[: 3 + int(np.count_nonzero(share >= _NO_WEIGHT))]
    else:
        weight = np.multiply(below, lams[j])
        np.exp(weight, out=weight)
    if j < _STEPS:
        kept.append(weight)
    else:
        kept[j % _STEPS] = weight
    return weight


def _sums(weight: FloatArray, work: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    """Return of weights (n, prompts), the largest 1: ``log Σw``, singles, pairs, effective sample size, largest share.

    ``Σ log(1 - p_i) = -1 + singles`` and ``Σ_{i<j} log(1 - p_i - p_j) = (n-1) Σ log(1 - p_i) + pairs``: in this form
    nothing of order n or n² has to cancel. Where the two largest weigh much they are kept apart, so that no difference
    of nearly equal numbers is taken however large λ is.
    """
    runner_up, others = weight[1], weight[2:]
    rest = column_sums(others)
    without_top, without_runner_up = runner_up + rest, 1.0 + rest
    total = 1.0 + without_top
    largest = 1.0 / total
    second = runner_up * largest
    apart = stands_apart(runner_up, without_top, without_runner_up, largest)
    used = others if apart else weight
    p, kept, power = (array[: len(used)] for array in work)
    np.multiply(used, largest, out=p)
    np.multiply(p, p, out=kept)
    squares = column_sums(kept)
    np.subtract(1.0, p, out=kept)
    log_kept = np.log(np.multiply.reduce(kept, axis=0))
    odds = np.divide(p, kept, out=p)
    if not apart:
        pairs = _log_pair_products(odds, kept, power)
        return np.log(total), log_kept + 1.0, pairs, 1.0 / squares, largest
    log_first, log_second = np.log(without_top * largest), np.log(without_runner_up * largest)
    rest *= largest
    pairs = np.log(rest) - log_first - log_second - 2.0 * log_kept
    for others_of in (without_top, without_runner_up):
        np.multiply(used, 1.0 / others_of, out=kept)
        np.subtract(1.0, kept, out=kept)
        pairs += np.log(np.multiply.reduce(kept, axis=0))
    pairs += _log_pair_products(odds, kept, power)
    singles = (log_first + largest) + (log_second + second) + (log_kept + rest)
    return np.log(total), singles, pairs, 1.0 / (largest**2 + second**2 + squares), largest


def stands_apart(
    runner_up: FloatArray, without_top: FloatArray, without_runner_up: FloatArray, largest: FloatArray
) -> bool:
    """Tell from the second weight, sums without the first and the second, and the first's share, whether both count.

    Parameters
    ----------
    runner_up : array (prompts,)
        The second weight.
    without_top, without_runner_up : array (prompts,)
        Sums of weights without the first, and without the second.
    largest : array (prompts,)
        Share of the first.
    """
    product = runner_up / (without_top * without_runner_up)  # of the two largest odds p/(1-p)
    return not (float(product.max()) <= _FEW and float((without_top * largest).min()) >= _KEPT)


def column_sums(values: FloatArray) -> FloatArray:
    """Return the sum of each column.

    Parameters
    ----------
    values : array (rows, columns)
        What is summed.
    """
    return np.asarray(_ones(len(values)) @ values)  # a third of the time of values.sum(axis=0)


@lru_cache(maxsize=8)
def _ones(size: int) -> FloatArray:
    return np.ones(size)


def work_arrays(count: int, shape: tuple[int, ...]) -> list[FloatArray]:
    """Return arrays for intermediate values, no two of which begin at the same place of a page of memory.

    Where they do, a processor waits for what it has written to one before it reads the same place of another.

    Parameters
    ----------
    count : int
        How many.
    shape : tuple of int
        Of each.
    """
    size = math.prod(shape) + _ASIDE
    room = np.empty(count * size)
    return [room[k * size : (k + 1) * size - _ASIDE].reshape(shape) for k in range(count)]


def terms_wanted(sums: FloatArray, largest: FloatArray, tolerance: float) -> int:
    """Return K with ``(Σq)² largest^K / (1 - largest)`` below ``tolerance (K + 1)`` in each column.

    That bounds, up to a factor, what the pairs of a column leave out after K terms: see `_log_pair_products`.

    Parameters
    ----------
    sums : array (columns,)
        ``Σq``.
    largest : array (columns,)
        The largest q of each column, below 1.
    tolerance : float
        What may be left out.
    """
    left, terms = sums * sums / (1.0 - largest) * largest, 1
    while terms < _MOST_TERMS and float(np.fmax.reduce(left, initial=0.0)) > tolerance * (terms + 1):
        left *= largest
        terms += 1
    return terms


def _log_pair_products(q: FloatArray, square: FloatArray, power: FloatArray) -> FloatArray:
    """Return ``Σ_{i<j} log(1 - q_i q_j)`` of each column, the two largest first, by power sums.

    Of the k-th terms of the logarithms, ``Σ_{i<j} (q_i q_j)^k / k``, all after the K-th sum to at most
    ``(q_1 q_2)^K (Σq)²/(2(K+1)(1 - q_1 q_2))``. ``square`` and ``power`` are written over.
    """
    if len(q) < 2:
        return np.zeros(q.shape[1])
    sums = {1: column_sums(q)}
    last = terms_wanted(sums[1], q[0] * q[1], 2.0 * _TOLERANCE)
    raised = q
    for k in range(1, last + 1):
        if k > 1:
            raised = np.multiply(raised, q, out=power)
            sums[k] = column_sums(raised)
        if 2 * k > last and 2 * k not in sums:
            sums[2 * k] = column_sums(np.multiply(raised, raised, out=square))
    total = np.zeros(q.shape[1])
    for k in range(1, last + 1):
        total -= (sums[k] * sums[k] - sums[2 * k]) / (2 * k)
    return total


def in_logarithms(descending: FloatArray, lam: float) -> FloatArray:
    """Return the same estimates, the two largest rewards kept apart in logarithms.

    For λ so large that weights relative to the largest are lost below the smallest number.

    Parameters
    ----------
    descending : array (prompts, n)
        Samples of each, from the largest down.
    lam : float
        Inverse temperature λ.

    Returns
    -------
    array (6, prompts)
        The fields of `LogPartitionEstimate`.
    """
    n = descending.shape[1]
    first, second, third = (descending[:, k] for k in range(3))
    top, runner_up = lam * (first - third), lam * (second - third)
    weight = np.exp(lam * (descending[:, 2:] - third[:, None])).T  # in (0, 1], relative to the third largest
    log_rest = np.log(column_sums(weight))
    without_top = np.logaddexp(runner_up, log_rest)
    without_runner_up = np.logaddexp(top, log_rest)
    total = np.logaddexp(top, without_top)
    p = weight * np.exp(-total)
    log_kept = np.log1p(-p).sum(axis=0)
    log_first, log_second = without_top - total, without_runner_up - total
    p_first, p_second = np.exp(top - total), np.exp(runner_up - total)
    singles = (log_first + p_first) + (log_second + p_second) + (log_kept + p.sum(axis=0))
    pairs = (log_rest - total) - log_first - log_second - 2.0 * log_kept
    for kept in (without_top, without_runner_up):
        pairs += np.log1p(-weight * np.exp(-kept)).sum(axis=0)
    odds = p / (1.0 - p)
    pairs += _log_pair_products(odds, np.empty_like(odds), np.empty_like(odds))
    plug_in = total - np.log(n) - top
    below_top = (descending[:, 2:] - first[:, None]).T
    return np.array(
        [
            *orders(plug_in, singles, pairs, n),
            1.0 / (p_first**2 + p_second**2 + np.square(p).sum(axis=0)),
            p_first,
            np.maximum(p_second * (runner_up - top) + lam * (p * below_top).sum(axis=0) - plug_in, 0.0),
        ]
    )
