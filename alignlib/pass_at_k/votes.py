"""maj@k: the chance that the answer most often given by k responses is right.

The numbers of votes of different answers, given their sum k, are independent ones conditioned on that sum: Poisson
where the k responses are drawn from a law, binomial where they are a random part of n. So for each number j of votes of
a right answer the rest is a product of polynomials, one an answer, cut off at j votes; a tie with t others is shared by
the integral ``1/(1+t) = ∫ y^t dy`` over [0, 1], at as many Gaussian nodes as make it exact. All terms are positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import BoolArray, FloatArray, IntArray, as_rng, as_whole, require, require_range
from alignlib._core.errors import quoted

__all__ = ["Majority", "majority_estimate", "majority_of_law"]

_MOST_WORK = 3e8  # products of one prompt, past which votes are simulated
_MOST_DRAWS, _LEAST_DRAWS, _DRAWN = 20_000, 1000, 4e6  # subsets drawn, so that they are not many more numbers


@dataclass(frozen=True)
class Majority:
    """maj@k of one prompt.

    Attributes
    ----------
    value : float
        The chance that the most frequent of k answers is right, ties broken at random.
    ties_lost, ties_won : float
        The same if every tie were lost, or won.
    error : float
        Standard error of a simulation, 0 where the value is exact.

    Examples
    --------
    >>> found = majority_of_law([0.6, 0.4], [True, False], 2)  # right with 0.36, a tie with 0.48
    >>> round(found.value, 12), round(found.ties_lost, 12), round(found.ties_won, 12)
    (0.6, 0.36, 0.84)
    """

    value: float
    ties_lost: float
    ties_won: float
    error: float = 0.0


def majority_of_law(prob: npt.ArrayLike, right: npt.ArrayLike, k: int) -> Majority:
    """Return maj@k of a law of answers: k independent votes, ties broken at random.

    Parameters
    ----------
    prob : array (answers,)
        Probability of each answer; what is missing from 1 casts no vote.
    right : array of bool (answers,)
        Which answers are right.
    k : int
        Number of responses, at least 1.

    Raises
    ------
    InputError
        For probabilities that are negative or sum to more than 1, or a k that is no whole number.

    Examples
    --------
    >>> round(majority_of_law([0.6, 0.4], [True, False], 3).value, 12)
    0.648

    Source: Wang2023 for the rule.
    """
    mass = require_range("prob", prob, 0.0, 1.0)
    require(
        mass.ndim == 1 and mass.size > 0,
        f"prob must be a list with one number an answer; got {quoted(prob, 60)}.",
        "prob",
    )
    total = float(mass.sum())
    require(total <= 1.0 + 1e-9, f"prob must not sum to more than 1; it sums to {total:.9g}.", "prob")
    draws, flags = as_whole("k", k, 1), _flags(right, mass.size)
    abstaining = max(1.0 - total, 0.0)
    votes = np.arange(draws + 1.0)

    def poisson(rate: float) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(scipy.special.xlogy(votes, rate) - rate - scipy.special.gammaln(votes + 1.0)))

    tables, rest = [poisson(draws * p) for p in mass.tolist()], draws * abstaining if abstaining > 1e-12 else 0.0
    return _over(_plurality(tables, flags, poisson(rest), draws), float(poisson(float(draws))[-1]))


def majority_estimate(
    counts: npt.ArrayLike, right: npt.ArrayLike, k: int, *, abstaining: int = 0, rng: np.random.Generator | int = 0
) -> Majority:
    """Return the unbiased estimate of maj@k from the answers of one prompt: the mean over all subsets of k responses.

    Parameters
    ----------
    counts : array of int (answers,)
        How often each answer was given.
    right : array of bool (answers,)
        Which answers are right.
    k : int
        Number of votes, at most the number of responses.
    abstaining : int
        Responses without an answer, which cast no vote.
    rng : Generator or int
        For prompts so large that subsets are drawn instead; ``error`` then says how sure the value is.

    Raises
    ------
    InputError
        For counts that are not whole, or k above the number of responses.

    Examples
    --------
    >>> found = majority_estimate([2, 2], [True, False], 2)  # both right 1/6, a tie 2/3
    >>> round(found.value, 12), round(found.ties_lost, 12), round(found.ties_won, 12)
    (0.5, 0.166666666667, 0.833333333333)

    Source: Wang2023 for the rule; the estimate is a U-statistic.
    """
    given = require_range("counts", counts, 0.0)
    require(
        given.ndim == 1 and given.size > 0 and bool((given == np.round(given)).all()),
        f"counts must hold one whole number an answer; got {quoted(counts, 60)}.",
        "counts",
    )
    draws, flags, none = as_whole("k", k, 1), _flags(right, given.size), as_whole("abstaining", abstaining, 0)
    votes, n = given.astype(np.int64), int(given.sum()) + none
    require(
        draws <= n,
        f"k must not exceed the responses to a prompt, {n}; got {draws}. Lower k, or draw more responses.",
        "k",
    )
    flags, votes = flags[votes > 0], votes[votes > 0]
    if flags.size == 0 or not flags.any():
        return Majority(0.0, 0.0, 0.0)
    if flags.all() and none == 0:
        return Majority(1.0, 1.0, 1.0)
    if _work(votes, none, draws) * int(flags.sum()) > _MOST_WORK:
        return _simulated(votes, flags, none, draws, as_rng(rng))
    share = draws / n
    tables = [_binomial(int(c), share, draws) for c in votes]
    return _over(_plurality(tables, flags, _binomial(none, share, draws), draws), float(_binomial(n, share, draws)[-1]))


def _flags(right: npt.ArrayLike, size: int) -> BoolArray:
    flags = np.asarray(right)
    require(
        flags.dtype.kind == "b" and flags.shape == (size,),
        f"right must hold True or False for each of {size} answers; got {quoted(right, 60)}.",
        "right",
    )
    return flags


def _binomial(n: int, p: float, most: int) -> FloatArray:
    """Masses of 0 … ``most`` successes of n."""
    i = np.arange(min(n, most) + 1.0)
    log_ways = scipy.special.gammaln(n + 1.0) - scipy.special.gammaln(i + 1.0) - scipy.special.gammaln(n - i + 1.0)
    mass = np.exp(log_ways + scipy.special.xlogy(i, p) + scipy.special.xlog1py(n - i, -p))
    return np.asarray(np.append(mass, np.zeros(most - i.size + 1)))


def _work(votes: IntArray, abstaining: int, k: int) -> float:
    """About how many products `_plurality` takes."""
    return (float(np.minimum(votes, k).sum()) + abstaining) * k * k * max(math.log2(k), 1.0) / 2.0


def _plurality(tables: list[FloatArray], right: BoolArray, abstaining: FloatArray, k: int) -> FloatArray:
    """Sum over right answers and their votes of the weight of winning: shared, lost and won ties, shape (3,)."""
    total = np.zeros(3)
    first = 1
    while first <= k:  # numbers of votes of the winner that are alike in size go together
        j = np.arange(first, min(2 * first, k + 1))
        ties = min(len(tables) - 1, k // first - 1)
        node, weight = np.polynomial.legendre.leggauss(max(ties, 0) // 2 + 1)
        # What a tie with another answer counts: shared, lost, won. Right answers tied with each other count once.
        shared = (node + 1.0) / 2.0
        of_wrong, before, after = (np.append(shared, ends) for ends in ([0.0, 1.0], [0.0, 0.0], [1.0, 1.0]))
        for a in np.flatnonzero(right):
            own = tables[a][j]
            if not own.any():
                continue
            product = np.zeros((j.size, of_wrong.size, k - first + 1))
            product[..., 0] = 1.0
            for b, table in enumerate(tables):
                if b != a:
                    product = _times(product, table, j, of_wrong if not right[b] else before if b < a else after)
            product = _times(product, abstaining, np.full(j.size, k + 1), of_wrong)
            found = np.take_along_axis(product, (k - j)[:, None, None], axis=2)[..., 0]
            total += own @ np.column_stack([found[:, : node.size] @ weight / 2.0, found[:, -2], found[:, -1]])
        first *= 2
    return total


def _times(product: FloatArray, table: FloatArray, most: IntArray, y: FloatArray) -> FloatArray:
    """Multiply by one answer's polynomial, its votes below ``most`` as they are and those at it times y."""
    out = np.zeros_like(product)
    size = product.shape[2]
    for votes in np.flatnonzero(table[:size]):
        factor = np.where(votes < most[:, None], 1.0, np.where(votes == most[:, None], y, 0.0)) * table[votes]
        if factor.any():
            out[..., votes:] += factor[..., None] * product[..., : size - votes]
    return out


def _over(found: FloatArray, whole: float) -> Majority:
    value, lost, won = np.clip(found / whole, 0.0, 1.0).tolist()
    return Majority(value, min(lost, value), max(won, value))


def _simulated(votes: IntArray, right: BoolArray, abstaining: int, k: int, rng: np.random.Generator) -> Majority:
    """Draw subsets where all of them are too many."""
    draws = int(min(max(_DRAWN / votes.size, _LEAST_DRAWS), _MOST_DRAWS))
    drawn = rng.multivariate_hypergeometric(np.append(votes, abstaining), k, draws, method="marginals")[:, :-1]
    top = (drawn == drawn.max(axis=1, keepdims=True)) & (drawn > 0)
    many, ours = top.sum(axis=1), (top & right).sum(axis=1)
    share = np.divide(ours, many, out=np.zeros(draws), where=many > 0)
    spread = max(float(share.std()), 0.5 / math.sqrt(draws))  # all alike is no proof
    lost, won = float(((ours == many) & (many > 0)).mean()), float((ours > 0).mean())
    return Majority(float(share.mean()), lost, won, spread / math.sqrt(draws))
