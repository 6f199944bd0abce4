r"""The first terms of the frontier from few samples of each prompt: unbiased cumulants, without a tail to be known.

With ``K_j`` the j-th cumulants of the prompts' rewards, averaged over prompts, one λ for all gives
``gain = λK₂ + λ²K₃/2 + λ³K₄/6 + …`` and ``KL = λ²K₂/2 + λ³K₃/3 + λ⁴K₄/8 + …``. Without λ, with ``x = √(2 KL)``,
``σ = √K₂``, ``γ = K₃/σ³`` and ``κ = K₄/σ⁴``,

    gain = σ [x + γ x²/6 + (κ/24 - γ²/18) x³ + …].

k-statistics estimate the cumulants of a prompt without bias from as many samples as their order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import studentised_interval
from alignlib.estimation.fit import Fit
from alignlib.tables import CountedSamples

__all__ = ["FirstTerms", "FirstTermsAt", "first_terms"]

_BLOCK = 1 << 18  # samples in work at a time
_TRUSTED = 0.05  # of the gain: how large the first term left out may be
_UNSEEN = 0.15  # of the first term: the second, where the third cannot be estimated
_FURTHEST, _FURTHEST_UNSEEN = 1.0, 0.05  # nats: no series of two terms is trusted beyond
_SURE = 1.0  # standard errors that the term left out is taken to be larger than estimated


@dataclass(frozen=True, eq=False)
class FirstTermsAt(SameFields):
    """The gain by the first terms at each KL.

    Attributes
    ----------
    spent : array (k,)
        KL in nats.
    gain, gain_low, gain_high : array (k,)
        The gain with its interval, widened by the first term left out.
    trusted : array of bool (k,)
        Where that term is small.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(0).standard_normal((500, 8)), n_boot=100)
    >>> found = first_terms(fit).at([0.01, 2.0])  # a standard normal reward gains √(2Δ)
    >>> found.gain.round(1).tolist(), found.trusted.tolist()
    ([0.1, 2.0], [True, False])
    """

    spent: FloatArray
    gain: FloatArray
    gain_low: FloatArray
    gain_high: FloatArray
    trusted: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FirstTerms(SameFields):
    """``gain = slope √KL + curvature KL``, with intervals over prompts; made by `first_terms`.

    ``curvature`` is None from two samples of a prompt, which tell no skewness. ``trusted_end`` is the largest KL at
    which the first term left out is at most 5 % of the gain, at most 1 nat; from three samples, which do not tell that
    term, the second is at most 15 % of the first, at most 0.05 nats; from two nothing is known, and it is 0.

    Attributes
    ----------
    slope, slope_low, slope_high : float
        Coefficient of ``√KL``, the mean deviation times ``√2``, with its interval.
    curvature : float, optional
        Coefficient of KL; None from two samples of a prompt.
    trusted_end : float
        The largest KL in nats that is trusted.
    level : float
        Coverage that the intervals aim at.
    base_reward : float
        Mean reward of the base.
    """

    slope: float
    slope_low: float
    slope_high: float
    curvature: float | None
    trusted_end: float
    level: float
    base_reward: float
    _cells: FloatArray  # of rewards over _scale
    _weights: FloatArray
    _scale: float

    @property
    def terms(self) -> int:
        """How many terms are known."""
        return 1 if self.curvature is None else 2

    def at(self, kl: npt.ArrayLike) -> FirstTermsAt:
        """Return the gain at each KL; the interval is widened by the first term left out.

        Parameters
        ----------
        kl : array
            KL in nats, >= 0.

        Raises
        ------
        InputError
            If a KL is negative or not a number.

        Examples
        --------
        >>> from alignlib.estimation import fit_frontier
        >>> rows = np.random.default_rng(0).exponential(size=(4000, 4))
        >>> found = first_terms(fit_frontier(rows, n_boot=100)).at(0.05)  # exactly 0.3501
        >>> bool(found.gain_low[0] < 0.3501 < found.gain_high[0]), bool(found.trusted[0])
        (True, True)
        """
        budgets = as_vector("kl", np.atleast_1d(np.asarray(kl)))
        require(bool((budgets >= 0.0).all()), f"kl must not be negative; got {budgets.min():g} nats.")
        x = np.sqrt(2.0 * budgets)
        means = self._weights @ self._cells
        gain, slopes = _gain(means[:, :2], x, self.terms)
        error = _error(self._weights, self._cells[:, :2], means[:, :2], slopes)
        low, high = studentised_interval(gain, error, self.level, len(self._cells))
        left_out = _left_out(self._weights, self._cells, means, x)
        trusted = budgets <= self.trusted_end * (1.0 + 1e-12)
        low, high = low - left_out, high + left_out
        return FirstTermsAt(budgets, self._scale * gain[0], self._scale * low, self._scale * high, trusted)


def first_terms(fit: Fit) -> FirstTerms | None:
    """Return the first terms of the frontier of a fitted reward; None where prompts are fixed or it does not vary.

    Parameters
    ----------
    fit : Fit
        Of several prompts with two samples or more each; its limit need not be known.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> rows = np.random.default_rng(1).standard_normal((2000, 3))
    >>> found = first_terms(fit_frontier(rows, n_boot=100))  # √2 for a standard Gaussian
    >>> round(found.slope, 1), found.terms
    (1.4, 2)

    Source: Fisher's k-statistics (1929); the series without λ is derived here.
    """
    table = fit.table
    if table.n_prompts < 2 or fit.fixed_prompts:
        return None
    order = min(int(table.n_samples.min()), 4)
    # Differences over a power of two near the largest: products of four neither overflow nor vanish.
    largest = float((table.prompt_maxima(fit.reward) - table.prompt_minima(fit.reward)).max())
    exponent = math.frexp(largest)[1]
    scale, each = math.ldexp(1.0, exponent), np.empty((table.n_prompts, order - 1))
    for where, found in table.each(partial(_k_statistics, exponent=exponent, order=order), [fit.reward], _BLOCK):
        each[where] = found
    for one, its in table.each_counted(partial(_of_counted, exponent=exponent, order=order), fit.reward):
        each[one] = its
    cells = fit.cells.mean(each)
    means = fit.weights @ cells
    if not means[0, 0] > 0.0:
        return None
    gain, slopes = _gain(means[:, :2], np.array([math.sqrt(2.0)]), 1)
    low, high = studentised_interval(
        gain, _error(fit.weights, cells[:, :2], means[:, :2], slopes), fit.level, len(cells)
    )
    return FirstTerms(
        slope=scale * float(gain[0, 0]),
        slope_low=scale * float(low[0]),
        slope_high=scale * float(high[0]),
        curvature=scale * float(means[0, 1] / means[0, 0] / 3.0) if order > 2 else None,
        trusted_end=_trusted_end(fit.weights, cells, means),
        level=fit.level,
        base_reward=fit.base_reward,
        _cells=cells,
        _weights=fit.weights,
        _scale=scale,
    )


def _k_statistics(rewards: FloatArray, *, exponent: int, order: int) -> FloatArray:
    """Second to ``order``-th k-statistic of each prompt, shape (prompts, order - 1), of rewards over 2^exponent."""
    values = np.ldexp(rewards - rewards[:, :1], -exponent)
    from_mean = values - values.mean(axis=1, keepdims=True)
    sums = np.stack([np.power(from_mean, k).sum(axis=1) for k in range(2, order + 1)], axis=1)
    return _from_sums(sums, float(rewards.shape[1]), order)


def _of_counted(samples: CountedSamples, *, exponent: int, order: int) -> FloatArray:
    """The same of one prompt whose samples are in bins."""
    powers = np.ldexp(samples.value - samples.mean, -exponent)[:, None] ** np.arange(2, 5)
    return _from_sums(samples.count @ powers, float(samples.size), order)


def _from_sums(sums: FloatArray, n: float, order: int) -> FloatArray:
    """Return k-statistics from sums of squares, cubes and fourth powers about the mean, shape (…, order - 1)."""
    s2 = sums[..., 0]
    found = [s2 / (n - 1.0)]
    if order > 2:
        found.append(n * sums[..., 1] / ((n - 1.0) * (n - 2.0)))
    if order > 3:
        s4 = sums[..., 2]
        found.append((n * (n + 1.0) * s4 - 3.0 * (n - 1.0) * s2**2) / ((n - 1.0) * (n - 2.0) * (n - 3.0)))
    return np.stack(found, axis=-1)


def _gain(means: FloatArray, x: FloatArray, terms: int) -> tuple[FloatArray, FloatArray]:
    """Gain at each x for every row of mean cumulants, (rows, k), and its slopes in them, (rows, k, cumulants)."""
    k2 = np.maximum(means[:, :1], 0.0)
    sd = np.sqrt(k2)
    with np.errstate(divide="ignore", invalid="ignore"):
        in_k2 = np.where(sd > 0.0, x / (2.0 * sd), 0.0)
        if terms == 1:
            return sd * x, in_k2[:, :, None]
        bend = np.where(k2 > 0.0, x**2 / (6.0 * k2), 0.0)
        k3 = means[:, 1:2]
        in_k2 = in_k2 - np.where(k2 > 0.0, k3 * bend / k2, 0.0)
    return sd * x + k3 * bend, np.stack([in_k2, bend], axis=2)


def _error(weights: FloatArray, cells: FloatArray, means: FloatArray, slopes: FloatArray) -> FloatArray:
    """Standard errors of what has these slopes in the mean cumulants, by the delta method, (rows, k)."""
    used = slopes.shape[2]
    products = cells[:, :used, None] * cells[:, None, :used]
    second = np.einsum("bc,cij->bij", weights, products)
    covariance = second - means[:, :used, None] * means[:, None, :used]
    variance = np.einsum("bki,bij,bkj->bk", slopes, covariance, slopes)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0) / max(len(cells) - 1, 1)))


def _left_out(weights: FloatArray, cells: FloatArray, means: FloatArray, x: FloatArray) -> FloatArray:
    """Size of the first term left out, as far as the samples tell it."""
    k2, order = float(means[0, 0]), cells.shape[1] + 1
    sd = math.sqrt(k2)
    if order == 2:
        return np.zeros_like(x)
    second = abs(float(means[0, 1])) / k2 * x**2 / 6.0
    if order == 3:  # as much smaller than the second as that is than the first
        return np.asarray(np.divide(second**2, sd * x, out=np.zeros_like(x), where=x > 0.0))
    gamma, kappa = float(means[0, 1]) / sd**3, float(means[0, 2]) / k2**2
    term = kappa / 24.0 - gamma**2 / 18.0
    slopes = np.array([-2.0 * kappa / 24.0 / k2 + 3.0 * gamma**2 / 18.0 / k2, -gamma / 9.0 / sd**3, 1.0 / 24.0 / k2**2])
    spread = weights[0] @ ((cells - means[0]) @ slopes) ** 2 / max(len(cells) - 1, 1)
    return np.asarray(sd * (abs(term) + _SURE * math.sqrt(float(spread))) * x**3)


def _trusted_end(weights: FloatArray, cells: FloatArray, means: FloatArray) -> float:
    """Largest KL up to which the term left out is small."""
    if cells.shape[1] == 1:
        return 0.0
    sd = math.sqrt(float(means[0, 0]))
    if cells.shape[1] == 2:
        second = abs(float(means[0, 1])) / sd**2 / 6.0
        return min(0.5 * (_UNSEEN * sd / second) ** 2, _FURTHEST_UNSEEN) if second > 0.0 else _FURTHEST_UNSEEN
    per_cube = float(_left_out(weights, cells, means, np.ones(1))[0])
    # x of the first ratio above the bound
    grid = np.linspace(0.0, math.sqrt(2.0 * _FURTHEST), 400)[1:]
    gain = sd * grid + float(means[0, 1]) / sd**2 * grid**2 / 6.0
    small = per_cube * grid**3 <= _TRUSTED * gain
    last = int(np.argmin(small)) - 1 if not small.all() else grid.size - 1
    return 0.5 * float(grid[last]) ** 2 if last >= 0 else 0.0
