"""Means of rewards under the tilt by another, from samples, with their O(1/n) and O(1/n²) biases removed.

``E_p[g e^{λr̂}] / E_p e^{λr̂}`` is the derivative at ``ε = 0`` of ``log E_p e^{λr̂ + εg}``, and so are its jackknives: the
closed form for log-partition functions, differentiated, serves for means too. As there, prompts stand side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.estimation.jackknife import (
    column_sums,
    in_logarithms,
    orders,
    stands_apart,
    terms_wanted,
    work_arrays,
)
from alignlib.estimation.small_tilts import BLOCK_OF_SMALL, SmallTilts, how_many_small

__all__ = ["TiltedMeans", "jackknife_tilted_means"]

_BLOCK = 1 << 17  # samples in work at a time
_TOLERANCE = 1e-11  # of the sum over pairs, in units of the spread of the reward
_NO_WEIGHT = 1e-25  # of the third largest: what weighs less in every prompt of a block is left out
_UNDERFLOW = 1e-200
_STEP = 3e-5  # where weights underflow: a central difference errs by its square, and rounds by 1e-15 over it


@dataclass(frozen=True, eq=False)
class TiltedMeans(SameFields):
    """Estimates of ``E_{π̂_λ} g`` for C rewards g.

    Attributes
    ----------
    plug_in, first_order, second_order : array (C, L, prompts)
        Of the samples as they are, and with the bias of first and of second order taken off.
    log_partition : array (L, prompts)
        Of ``Λ(λ)`` of the proxy.
    ess : array (L, prompts)
        Effective sample size.
    """

    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    log_partition: FloatArray
    ess: FloatArray


def jackknife_tilted_means(proxy: FloatArray, rewards: FloatArray, lam: npt.ArrayLike) -> TiltedMeans:
    """Estimate the means of ``rewards`` under the tilt of each prompt by ``λ·proxy``.

    Parameters
    ----------
    proxy : array (prompts, n)
        Rows sorted from the largest proxy down, n >= 3.
    rewards : array (C, prompts, n)
        Rewards of the same samples in the same order.
    lam : float or array (L,)
        λ >= 0.

    Examples
    --------
    >>> gold = np.array([[[1.0, 3.0, 0.0, 0.0]]])
    >>> estimate = jackknife_tilted_means(np.array([[2.0, 1.0, 0.0, 0.0]]), gold, 0.0)
    >>> estimate.plug_in.round(8).tolist(), estimate.second_order.round(6).tolist()
    ([[[1.0]]], [[[1.0]]])

    Source: covariance form of P26; the jackknife is that of `jackknife_log_partition`.
    """
    n_prompts, n = proxy.shape
    lams = np.atleast_1d(np.asarray(lam, dtype=np.float64))
    means = np.empty((3, len(rewards), lams.size, n_prompts))
    whole = np.empty((2, lams.size, n_prompts))
    step = max(1, _BLOCK // n)
    for start in range(0, n_prompts, step):
        part = slice(start, start + step)
        _fill(proxy[part], rewards[:, part], lams, means[..., part], whole[..., part])
    whole[0] += lams[:, None] * proxy[:, 0]
    return TiltedMeans(*means, *whole)


def _fill(proxy: FloatArray, rewards: FloatArray, lams: FloatArray, means: FloatArray, whole: FloatArray) -> None:
    """Fill in the estimates of a block of prompts, Λ less λ times the largest proxy."""
    n = proxy.shape[1]
    centres = rewards.mean(axis=2)
    off = np.ascontiguousarray((rewards - centres[:, :, None]).transpose(0, 2, 1))
    small = _fill_small(proxy, off, lams, means, whole)
    means[:, :, :small] += centres[:, None]
    lams, means, whole = lams[small:], means[:, :, small:], whole[:, small:]
    below = np.ascontiguousarray((proxy - proxy[:, :1]).T)
    work = work_arrays(6, below.shape)
    with np.errstate(all="ignore"):  # what is lost below the smallest number is done again in logarithms
        for j, lam in enumerate(lams.tolist()):
            weight = np.exp(np.multiply(below, lam, out=work[0]), out=work[0])
            if n > 3 and not np.fmax.reduce(weight[-1] / weight[2]) >= _NO_WEIGHT:
                share = np.fmax.reduce(weight[3:] / weight[2], axis=1)
                weight = weight[: 3 + int(np.count_nonzero(share >= _NO_WEIGHT))]
            means[:, :, j], whole[:, j] = _estimates(weight, off, n, work[1:])
            lost = weight[2] < _UNDERFLOW
            if lost.any():
                some = np.flatnonzero(lost)
                means[:, :, j, some], whole[:, j, some] = _by_difference(proxy[some], off[:, :, some], lam)
            means[:, :, j] += centres


def _fill_small(proxy: FloatArray, off: FloatArray, lams: FloatArray, means: FloatArray, whole: FloatArray) -> int:
    """Fill in the same for the first λ, where they are small, and return how many these are."""
    n = proxy.shape[1]
    middle = proxy.mean(axis=1)
    above = proxy[:, 0] - middle
    small = how_many_small(lams, float(np.maximum(above, middle - proxy[:, -1]).max()), n)
    step = max(1, BLOCK_OF_SMALL // n)
    for start in range(0, len(proxy) if small else 0, step):
        part = slice(start, start + step)
        centred = np.ascontiguousarray((proxy[part] - middle[part, None]).T)
        found = SmallTilts(centred, lams[:small], off[:, :, part])
        log_partition = orders(found.log_mean, found.singles, found.pairs, n)[2]
        whole[:, :small, part] = log_partition - lams[:small, None] * above[part], found.ess
        for c in range(len(off)):
            means[:, c, :small, part] = _orders_of_mean(*found.slopes(c), n)
    return small


def _orders_of_mean(mean: FloatArray, singles: FloatArray, pairs: FloatArray, n: int) -> tuple[FloatArray, ...]:
    """Return the slopes of `alignlib.estimation.jackknife.orders`."""
    return (
        mean,
        mean - (n - 1) / n * singles,
        mean - (2 * n - 3) / n * singles + (n - 2) ** 2 / (n * (n - 1)) * pairs,
    )


def _estimates(
    weight: FloatArray, off: FloatArray, n: int, work: Sequence[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the three orders of each mean, (3, C, prompts), and Λ and the effective sample size, (2, prompts)."""
    sums = _Sums(weight, work)
    log_partition = orders(sums.log_total - math.log(n), sums.singles, sums.pairs, n)[2]
    whole = np.array([log_partition, sums.ess])
    means = np.empty((3, len(off), weight.shape[1]))
    for c, values in enumerate(off):
        means[:, c] = _orders_of_mean(*sums.slopes(values), n)
    return means, whole


class _Sums:
    """The sums of `alignlib.estimation.jackknife` for weights (m, prompts), and their slopes in the direction of g."""

    def __init__(self, weight: FloatArray, work: Sequence[FloatArray]) -> None:
        runner_up, rest = weight[1], column_sums(weight[2:])
        without_top, without_runner_up = runner_up + rest, 1.0 + rest
        total = 1.0 + without_top
        largest = 1.0 / total
        self._apart = stands_apart(runner_up, without_top, without_runner_up, largest)
        self._weight, self._total, self._rest, self._without = weight, total, rest, (without_top, without_runner_up)
        self._others = weight[2:] if self._apart else weight
        self._odds, self._beside, self._spare, power, raised = (array[: len(self._others)] for array in work)
        p = np.multiply(self._others, largest, out=self._odds)
        squares = column_sums(np.multiply(p, p, out=power))
        kept = np.subtract(1.0, p, out=power)
        log_kept = np.log(np.multiply.reduce(kept, axis=0))
        np.divide(p, kept, out=self._odds)
        self._sum_of_odds = column_sums(self._odds)
        self.log_total = np.log(total)
        if self._apart:
            second = runner_up * largest
            self._set_apart(largest, second, log_kept, power)
            squares += largest**2 + second**2
        else:
            self.singles, self.pairs = log_kept + 1.0, np.zeros(weight.shape[1])
        self.ess = 1.0 / squares
        self._among_others(power, raised)

    def _set_apart(self, largest: FloatArray, second: FloatArray, log_kept: FloatArray, power: FloatArray) -> None:
        """Begin singles and pairs with the two largest, and ``beside`` with the pairs of these with another."""
        rest = self._rest * largest
        log_first, log_second = (np.log(without * largest) for without in self._without)
        self.singles = (log_first + largest) + (log_second + second) + (log_kept + rest)
        self.pairs = np.log(rest) - log_first - log_second - 2.0 * log_kept
        self._sums_beside = []  # of both largest: the sum of r/(1-r) for the shares r of the others without it
        for others_of, ratio in zip(self._without, (self._beside, self._spare), strict=True):
            np.multiply(self._others, 1.0 / others_of, out=ratio)
            np.subtract(1.0, ratio, out=power)
            self.pairs += np.log(np.multiply.reduce(power, axis=0))
            np.divide(ratio, power, out=ratio)
            self._sums_beside.append(column_sums(ratio))
        self._beside += self._spare

    def _among_others(self, power: FloatArray, raised: FloatArray) -> None:
        """Add ``Σ_{i<j} log(1 - q_i q_j)`` of the odds q to the pairs, and what its slope takes of each sample.

        With ``S_k = Σ q^k`` the k-th terms of the logarithms sum to ``-Σ_i q_i^k (S_k - q_i^k) / (2k)``, and their
        slope in the direction of g is ``-Σ_i (1 + q_i) q_i^k (S_k - q_i^k) (g_i - mean)``, for that of q is ``q (1 + q)
        (g - mean)``: so one sum over k serves every g.
        """
        q, term, total = self._odds, self._spare, power
        most = float(np.fmax.reduce(self._sum_of_odds, initial=0.0))
        terms = terms_wanted(self._sum_of_odds, q[0] * q[1], _TOLERANCE) if len(q) > 1 else 1
        np.multiply(np.subtract(self._sum_of_odds, q, out=total), q, out=total)
        self.pairs -= 0.5 * column_sums(total)
        highest, least = np.fmax.reduce(q, axis=1), _TOLERANCE / (terms * len(q) * most)
        for k in range(2, terms + 1):
            # rows from the top down, without those that count for less than the terms left out
            rows = 1 + int(np.count_nonzero(highest[1:] ** k * highest[0] ** (k - 1) > least))
            used, now = raised[:rows], term[:rows]
            np.multiply(q[:rows] if k == 2 else used, q[:rows], out=used)
            np.multiply(np.subtract(column_sums(used), used, out=now), used, out=now)
            self.pairs -= column_sums(now) / (2 * k)
            np.add(total[:rows], now, out=total[:rows])
        np.multiply(total, q, out=term)
        np.add(total, term, out=total)
        self._sum_in_pairs = column_sums(total)
        if not self._apart:
            self._beside = total
            return
        self._sum_in_pairs -= 2.0 * self._sum_of_odds
        np.multiply(q, -2.0, out=term)
        np.add(total, term, out=total)
        np.add(self._beside, total, out=self._beside)

    def slopes(self, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the derivatives by ε of ``log Σw``, singles and pairs, where ``w ∝ e^{εg}``; g = ``values`` (n, P)."""
        spare = self._spare
        others = values[len(self._weight) - len(self._others) : len(self._weight)]
        in_rest = column_sums(np.multiply(self._others, others, out=spare))
        of_odds = column_sums(np.multiply(self._odds, others, out=spare))
        in_pairs = column_sums(np.multiply(self._beside, others, out=spare))
        if not self._apart:
            mean = in_rest / self._total
            return mean, mean * self._sum_of_odds - of_odds, mean * self._sum_in_pairs - in_pairs
        top, runner_up = values[0], values[1]
        rests = self._weight[1] * runner_up + in_rest, top + in_rest
        mean = (top + rests[0]) / self._total
        inside = [slope / whole for slope, whole in zip(rests, self._without, strict=True)]
        first, second = inside[0] - mean, inside[1] - mean
        singles = first + second - (of_odds - mean * self._sum_of_odds)
        pairs = in_rest / self._rest - mean - first - second + mean * self._sum_in_pairs - in_pairs
        pairs += inside[0] * self._sums_beside[0] + inside[1] * self._sums_beside[1]
        return mean, singles, pairs


def _by_difference(proxy: FloatArray, off: FloatArray, lam: float) -> tuple[FloatArray, FloatArray]:
    """Return the same by central differences of the estimates in logarithms, for λ at which weights underflow."""
    x = lam * (proxy - proxy[:, :1])
    means = np.empty((3, len(off), len(proxy)))
    for c, values in enumerate(off):
        spread = float(np.abs(values).max())
        step = _STEP / spread if spread > 0.0 else 1.0
        moved = [x + sign * step * values.T for sign in (1.0, -1.0)]
        up, down = (in_logarithms(rows, 1.0)[:3] + rows[:, 0] for rows in moved)
        means[:, c] = (up - down) / (2.0 * step)
    middle = in_logarithms(x, 1.0)
    return means, middle[[2, 3]]
