"""Small λ, many at a time: sums over samples from moments of the rewards, which serve every such λ.

The jackknives of `alignlib.estimation.jackknife` and `alignlib.estimation.tilted_mean` need nothing of the samples but
``Σ e^{kλr}`` and ``Σ g e^{kλr}`` for k = 1, 2, …, and where no ``λ|r - r̄|`` exceeds 1 these are short series in the
moments ``Σ (r - r̄)^j`` and ``Σ g (r - r̄)^j``. So a pass for each moment takes the place of dozens of passes for each λ.
What the series leave out is below the rounding of what they are added to.

The widest prompt of a block decides, so that blocks are made of prompts that are about as wide: `narrow_to_wide`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from alignlib._core.checks import FloatArray, IntArray

__all__ = ["BLOCK_OF_SMALL", "MANY_BLOCKS", "SmallTilts", "how_many_small", "narrow_to_wide"]

MANY_BLOCKS = 1 << 20
"""Samples among which prompts that are about as wide are looked for."""

BLOCK_OF_SMALL = 1 << 15
"""Samples of which the moments are in work at a time: there is a sum for each power and each λ."""

_WIDEST = 1.0  # of λ|r - r̄|
_LARGEST_SHARE = 1.0 / 12.0  # of one sample: powers of shares are summed
_FEWEST = 6  # of λ: for fewer, moments do not pay
_ROUNDING = 2.0**-54


def how_many_small(lams: FloatArray, widest: float, n: int) -> int:
    """Return how many λ, from the first, are small enough for moments: 0 where these would not pay.

    Parameters
    ----------
    lams : array (L,)
        Inverse temperatures λ >= 0.
    widest : float
        The largest distance of a sample from the mean of its prompt.
    n : int
        Samples of a prompt.

    Examples
    --------
    >>> how_many_small(np.geomspace(0.01, 10.0, 31), 4.0, 64), how_many_small(np.geomspace(0.01, 10.0, 31), 4.0, 8)
    (14, 0)
    """
    most = _most(n)
    small = lams * widest <= most
    first = int(small.argmin()) if not small.all() else small.size
    return first if first >= _FEWEST and most > 0.0 else 0


def narrow_to_wide(descending: FloatArray, most: int) -> Iterator[IntArray]:
    """Yield blocks of prompts, from those whose samples lie close together to those whose lie far apart.

    Parameters
    ----------
    descending : array (prompts, n)
        Samples of each, from the largest down.
    most : int
        About how many samples a block may hold; it holds at least one prompt.

    Examples
    --------
    >>> [block.tolist() for block in narrow_to_wide(np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), 4)]
    [[1, 2], [0]]
    """
    prompts, n = descending.shape
    step = max(1, most // n)
    if prompts <= step:
        yield np.arange(prompts)
        return
    order = np.argsort(descending[:, 0] - descending[:, -1], kind="stable")
    yield from (order[start : start + step] for start in range(0, prompts, step))


class SmallTilts:
    """Sums over the samples of each prompt for all of several small λ.

    Parameters
    ----------
    centred : array (n, prompts)
        Rewards less the mean of their prompt.
    lams : array (L,)
        As many as `how_many_small` says.
    values : array (C, n, prompts), optional
        Other rewards of the same samples, less the mean of their prompt.

    Attributes
    ----------
    log_mean, kl, ess : array (L, prompts)
        ``log mean e^{λ(r - r̄)}``, KL of the tilt in nats, and effective sample size.
    total : array (L, prompts)
        ``Σ e^{λ(r - r̄)}``.
    singles, pairs : array (L, prompts)
        With shares p: ``1 + Σ log(1 - p_i)``, and ``Σ_{i<j} log(1 - p_i - p_j) - (n-1) Σ log(1 - p_i)``.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).standard_normal((64, 1))
    >>> centred, lams = rewards - rewards.mean(), np.linspace(0.01, 0.3, 8)
    >>> found = SmallTilts(centred, lams)
    >>> bool(np.allclose(found.log_mean, np.log(np.exp(lams[:, None] * centred.T).mean(axis=1))[:, None], rtol=1e-13))
    True
    """

    def __init__(self, centred: FloatArray, lams: FloatArray, values: FloatArray | None = None) -> None:
        n = len(centred)
        self._powers, most = _terms(n)
        self._unit = float(lams.max()) or 1.0
        moments = [np.full(centred.shape[1], float(n))]
        scaled = centred * self._unit
        power = scaled.copy()
        of_values = [] if values is None else [values.sum(axis=1)]
        ones = np.ones(n)
        for j in range(1, most + 1):
            if j > 1:
                np.multiply(power, scaled, out=power)
            moments.append(ones @ power)
            if values is not None:
                of_values.append(np.einsum("ij,cij->cj", power, values))
        at = lams / self._unit
        orders = np.arange(self._powers) + 1.0
        exponents = (orders[:, None] * at)[..., None] ** np.arange(most + 1) / _factorials(most)
        self._series = exponents.reshape(-1, most + 1)
        self._of_values = np.array(of_values)
        whole = np.array(moments)
        beyond = exponents[0, :, 2:] @ whole[2:]  # the first moment is 0 but for rounding
        self.total = n + beyond
        self._over_total = np.empty((self._powers, *self.total.shape))  # its powers
        self._over_total[0] = 1.0 / self.total
        for k in range(1, self._powers):
            np.multiply(self._over_total[k - 1], self._over_total[0], out=self._over_total[k])
        self._shares = self._of_totals(whole)
        self.log_mean = np.log1p(beyond / n)
        drawn = exponents[0, :, 1:-1] @ whole[2:]  # Σ λ(r - r̄) e^{λ(r - r̄)}, over λ
        self.kl = np.maximum(at[:, None] * drawn * self._over_total[0] - self.log_mean, 0.0)
        self.ess = 1.0 / self._shares[1]
        self._odds, self.singles, linear = self._of_shares(_combining(self._powers), self._shares)
        self.pairs = linear - 0.5 * _sum_over_orders(self._odds * self._odds)

    def slopes(self, which: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the derivatives by ε of ``log Σw``, singles and pairs, where ``w ∝ e^{λr + εg}``.

        Parameters
        ----------
        which : int
            The place of g among the ``values``.

        Returns
        -------
        mean, singles, pairs : array (L, prompts)
            In the unit of g.
        """
        sums = self._of_totals(self._of_values[:, which])
        mean = sums[0].copy()
        sums -= self._shares * mean
        orders = np.arange(self._powers) + 1.0
        odds, singles, linear = self._of_shares(_combining(self._powers) * orders, sums)
        return mean, singles, linear - _sum_over_orders(np.multiply(self._odds, odds, out=odds))

    def _of_totals(self, moments: FloatArray) -> FloatArray:
        """Return the sums that moments (J, prompts) make, over powers of the total, (K, L, prompts)."""
        sums = (self._series @ moments).reshape(self._over_total.shape)
        return np.multiply(sums, self._over_total, out=sums)

    @staticmethod
    def _of_shares(combining: FloatArray, shares: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return power sums of the odds p/(1-p), singles, and the part of pairs that is linear in power sums of p."""
        found = (combining @ shares.reshape(len(shares), -1)).reshape(-1, *shares.shape[1:])
        return found[:-2], found[-2], found[-1]


def _sum_over_orders(terms: FloatArray) -> FloatArray:
    """Return ``Σ_k terms_k / k`` of terms (K, L, prompts)."""
    of_order = 1.0 / np.arange(1.0, len(terms) + 1.0)
    return np.asarray((of_order @ terms.reshape(len(terms), -1)).reshape(terms.shape[1:]))


def _most(n: int) -> float:
    """Return the largest ``λ|r - r̄|`` that moments are used for: no share exceeds ``e^{λ|r - r̄|}/n``."""
    return min(_WIDEST, math.log(n * _LARGEST_SHARE))


@lru_cache(maxsize=64)
def _terms(n: int) -> tuple[int, int]:
    """Return how many powers of shares, an even number, and how many moments leave out no more than rounding does."""
    most = _most(n)
    share = math.exp(most) / n
    powers = 2
    while share**powers / ((powers + 1.0) * (1.0 - share)) > _ROUNDING:
        powers += 2
    terms = powers

    def left_out(k: int, terms: int) -> float:
        following = terms + 1
        size = following * math.log(k * most) - math.lgamma(following + 1.0) - (k - 1.0) * math.log(n)
        return math.exp(size) / max(1.0 - k * most / (following + 1.0), 1e-3)

    while max(left_out(k, terms) for k in range(1, powers + 1)) > _ROUNDING:
        terms += 1
    return powers, terms


@lru_cache(maxsize=64)
def _factorials(most: int) -> FloatArray:
    return np.array([float(math.factorial(j)) for j in range(most + 1)])


@lru_cache(maxsize=64)
def _combining(powers: int) -> FloatArray:
    """Return what makes of ``P_j = Σ p^j``, j = 1 … ``powers``, the parts of `SmallTilts._of_shares`.

    Power sums of the odds are ``Q_k = Σ_j C(j-1, j-k) P_j``, singles ``-Σ_{j≥2} P_j/j``, pairs ``Σ_k (Q_2k-Q_k²)/2k``.
    """
    of_odds = np.zeros((powers, powers))
    for k in range(1, powers + 1):
        of_odds[k - 1, k - 1 :] = [math.comb(j - 1, j - k) for j in range(k, powers + 1)]
    singles = -1.0 / np.arange(1.0, powers + 1.0)
    singles[0] = 0.0
    linear = np.sum(of_odds[1::2] / np.arange(2.0, powers + 1.0, 2.0)[:, None], axis=0)
    return np.vstack([of_odds[: powers // 2], singles, linear])
