"""Halves of the samples of each prompt, chosen by the table alone: they show how fast a bias still falls.

An estimate whose bias falls like ``n^-a`` is off by more in half of the samples, and the step from halves to all tells
how much more there is to come. The halves are random, but drawn by a fixed generator in an order of prompts and samples
that the rewards define: no seed, no order of rows and no unit of the reward changes them.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.hashed import hashed

__all__ = ["MANY_PROMPTS", "canonical_class", "canonical_rank", "either_way", "part_weight", "parts_of", "sort_keys"]

MANY_PROMPTS = 1 << 17  # of which no order is needed: chance deals them evenly enough
_PATTERNS = 256  # of one number of samples
_LEAST_SPLITS, _OF_A_PROMPT = 64, 3  # over all prompts; the chance in a split then adds a third to a prompt's own
_MOST_WORK = 1 << 21  # samples in all splits, beyond one split a prompt
_DIGITS = 7
_SMALL = 6  # fewer samples than this are left out one or two at a time instead


def sort_keys(descending: FloatArray) -> FloatArray:
    """Return what tells prompts apart by their centred samples: see `canonical_rank`.

    Parameters
    ----------
    descending : array (prompts, n)
        Centred samples of each, from the largest down.

    Returns
    -------
    array (keys, prompts)
        In the unit of the reward.
    """
    n = descending.shape[1]
    return np.stack([descending[:, 0], descending[:, 1], descending[:, n // 4], np.abs(descending).mean(axis=1)])


def canonical_rank(keys: FloatArray, scale: float) -> IntArray:
    """Return the place of each prompt in an order that neither the order of the table nor the unit changes.

    Parameters
    ----------
    keys : array (keys, prompts)
        As `sort_keys` gives them.
    scale : float
        A spread of the reward, in its unit.

    Examples
    --------
    >>> keys = np.array([[3.0, 1.0, 2.0]] * 4)
    >>> canonical_rank(keys, 1.0).tolist() == canonical_rank(7.0 * keys, 7.0).tolist() == [2, 0, 1]
    True
    """
    first = np.round(keys[-1] / scale, _DIGITS)
    order = np.argsort(first, kind="stable")
    first = first[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = first[1:] != first[:-1]
    alike = ~new
    alike[:-1] |= alike[1:].copy()
    tied = np.flatnonzero(alike)  # few, as a rule: the other keys decide among them alone
    if tied.size:
        others = np.round(keys[:-1, order[tied]] / scale, _DIGITS)
        order[tied] = order[tied[np.lexsort((*others, np.cumsum(new)[tied]))]]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def canonical_class(descending: FloatArray) -> IntArray:
    """Return a number below 256 for each prompt in place of `canonical_rank`, made from its samples alone.

    Of many prompts it deals the patterns of halves by chance, and nothing need be known of other prompts.

    Parameters
    ----------
    descending : array (prompts, n)
        Centred samples of each, from the largest down.

    Examples
    --------
    >>> rows = np.array([[3.0, -1.0, -2.0], [1.0, 0.0, -1.0]])
    >>> canonical_class(rows).tolist() == canonical_class(7.0 * rows).tolist()
    True
    """
    top, second, upper, spread = sort_keys(descending)
    found = np.zeros(len(descending), dtype=np.uint64)
    for key in (top, second, upper):
        part = np.divide(key, spread, out=np.zeros_like(key), where=spread > 0.0)
        found = hashed(np.round(part * 10.0**_DIGITS).astype(np.int64).view(np.uint64) ^ found, 0)
    return np.asarray((found % np.uint64(_PATTERNS)).astype(np.uint8))


def part_weight(n: int) -> float:
    """Return by how much the step from the parts of n samples to all goes on: twice, where the parts are halves.

    Parts of three samples of four or five are nearer to all; a bias that falls like 1/n is then shown in smaller steps,
    a third or two thirds of what is left. What the last correction leaves open is allowed for besides: `either_way`.

    Parameters
    ----------
    n : int
        Samples of a prompt.
    """
    return 2.0 if n >= _SMALL else 4.0 / (n - 3.0)


def either_way(ahead: FloatArray, last: FloatArray, share: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how far down and how far up the bias of an estimate may go, judged by means over cells.

    Parameters
    ----------
    ahead : array (cells, L)
        How far the steps from parts of the samples to all go on: as far as the one side goes.
    last : array (cells, L)
        A part of the jackknife's last correction, which neither side is less than, for from very few samples that may
        be more than the bias was.
    share : array (cells,)
        The parts of the cells in the mean.

    Returns
    -------
    down, up : array (cells, L)
        In the unit of the estimate.

    Examples
    --------
    >>> down, up = either_way(np.array([[3.0, -3.0, 0.5]]), np.array([[1.0, 1.0, -1.0]]), np.ones(1))
    >>> down.tolist(), up.tolist()
    ([[-1.0, -3.0, -1.0]], [[3.0, 1.0, 1.0]])
    """
    by_last, by_parts = share @ last, share @ ahead
    to_last = np.where(by_last >= 0.0, last, -last)
    up = np.where(by_parts >= np.abs(by_last), ahead, to_last)
    return np.where(by_parts <= -np.abs(by_last), ahead, -to_last), up


def parts_of(descending: FloatArray, rank: IntArray, n_prompts: int) -> FloatArray:
    """Return parts of the samples, sorted from the top down: halves, and of four or five samples all parts of three.

    Parameters
    ----------
    descending : array (prompts, n)
        Samples of each, from the largest down.
    rank : array of int (prompts,)
        Place of each in the canonical order of the table, or, of many, its class.
    n_prompts : int
        Prompts of the table.

    Returns
    -------
    array (parts, prompts, m)
        m is half of the samples, or 3.
    """
    n = descending.shape[1]
    if n < _SMALL:
        return np.stack([descending[:, list(kept)] for kept in itertools.combinations(range(n), 3)])
    enough = max(-(-_LEAST_SPLITS // n_prompts), _OF_A_PROMPT)
    splits = max(1, min(enough, _MOST_WORK // (n * n_prompts)))
    patterns = _patterns(n, min(_PATTERNS, n_prompts * splits))
    half, parts = n // 2, []
    for k in range(splits):
        label = patterns[(rank.astype(np.int64) * splits + k) % len(patterns)]
        parts += [descending[label == side].reshape(len(descending), half) for side in (0, 1)]
    return np.stack(parts)


@lru_cache(maxsize=64)
def _patterns(n: int, count: int) -> npt.NDArray[np.uint8]:
    side = np.repeat(np.array([0, 1, 2], dtype=np.uint8), [n // 2, n // 2, n % 2])
    return np.asarray(np.random.default_rng(n).permuted(np.broadcast_to(side, (count, n)), axis=1))
