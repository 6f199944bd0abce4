"""Log-partition and mean reward over many λ at once, the kernel of every plug-in curve.

For equally spaced λ the weight factorises, ``e^{λ_{jB+b} r} = e^{λ_{jB} r} e^{b h r}``: of L values only about √L
factors of each kind are formed, by repeated multiplication, and all L sums are one matrix product. The factors are
built for a block of samples that fits the cache, blocks in as many threads as there are cores.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["BLOCK", "plug_in_curves", "threads", "tilted_sums"]

BLOCK = 1 << 15  # rewards whose factors, seven megabytes, stay in the cache
_SINGLE = 1 << 11  # a product of this length is done by one thread, not split again over the cores
_MOST_THREADS = 8


def plug_in_curves(rewards: FloatArray, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``Λ̂ = log mean e^{λr}`` and ``R̂ = Σ r e^{λr} / Σ e^{λr}``, each of shape (prompts, L).

    ``rewards`` has shape (prompts, n), ``lam`` shape (L,), of one sign; all weights are taken relative to the
    largest, so that nothing overflows. Extra memory is the result and a few megabytes per core.

    >>> log_partition, mean = plug_in_curves(np.array([[0.0, 1.0]]), np.array([0.0, 1.0]))
    >>> log_partition.round(6).tolist(), mean.round(6).tolist()
    ([[0.0, 0.620115]], [[0.5, 0.731059]])
    """
    n = rewards.shape[1]
    log_partition, mean = np.empty((2, len(rewards), len(lam)))
    rows, columns = max(1, BLOCK // n), min(n, BLOCK)
    heaviest = rewards.max(axis=1) if lam.sum() >= 0.0 else rewards.min(axis=1)
    sums = tilted_sums(lam)

    def finish(top: int, total: FloatArray, first: FloatArray) -> None:
        part = slice(top, top + rows)
        reference = heaviest[part, None]
        np.log(total / n, out=log_partition[part])
        log_partition[part] += lam * reference
        np.add(reference, first / total, out=mean[part])

    def of_block(top: int, left: int) -> FloatArray:
        part = slice(top, top + rows)
        below = rewards[part, left : left + columns] - heaviest[part, None]
        return sums(below, below)

    tops, lefts = range(0, len(rewards), rows), range(0, n, columns)
    with threads() as pool:
        if len(lefts) == 1:
            list(pool.map(lambda top: finish(top, *of_block(top, 0)), tops))
        else:  # few prompts of many samples: add up their blocks in order, so that the result is always the same
            for top in tops:
                parts = pool.map(lambda left, top=top: of_block(top, left), lefts)
                finish(top, *np.sum(list(parts), axis=0))
    return log_partition, mean


def threads() -> ThreadPoolExecutor:
    """Return as many threads as there are cores, a few at most."""
    return ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))


def tilted_sums(lam: FloatArray) -> Callable[..., FloatArray]:
    """Return what gives, for a block of rewards (rows, n), the sums ``Σ e^{λr}`` and ``Σ c e^{λr}`` along each row.

    It takes the rewards less the heaviest of them (so that no weight exceeds 1) and any columns c of their shape; it
    returns an array of shape (1 + columns, rows, L). ``BLOCK`` rewards at a time are fastest: their factors stay in the
    cache, and operations are long enough that threads seldom wait for one another.

    >>> tilted_sums(np.array([0.0, 1.0]))(np.array([[0.0, -1.0]]), np.array([[2.0, 3.0]])).round(6).tolist()
    [[[2.0, 1.367879]], [[5.0, 3.103638]]]
    """
    return _Factorised(lam) if _equally_spaced(lam) else _Direct(lam)


def _pieces(block: FloatArray) -> FloatArray:
    """Return a long row as several shorter ones where it divides evenly: (rows, pieces, samples of each)."""
    n = block.shape[1]
    return block.reshape(len(block), -1, _SINGLE if n % _SINGLE == 0 else n)


def _equally_spaced(lam: FloatArray) -> bool:
    even = np.linspace(lam[0], lam[-1], len(lam))
    return len(lam) >= 8 and bool(np.abs(even - lam).max() <= 4e-16 * np.abs(lam).max())


class _Direct:
    """One exponential for each λ."""

    def __init__(self, lam: FloatArray) -> None:
        self._lam = lam

    def __call__(self, below: FloatArray, *columns: FloatArray) -> FloatArray:
        sums = np.empty((1 + len(columns), len(below), len(self._lam)))
        weight = np.empty_like(below)
        for index, value in enumerate(self._lam):
            np.exp(np.multiply(below, value, out=weight), out=weight)
            weight.sum(axis=1, out=sums[0, :, index])
            for column, out in zip(columns, sums[1:], strict=True):
                np.einsum("ij,ij->i", weight, column, out=out[:, index])
        return sums


class _Factorised:
    """Equally spaced λ: one product of few powers by many; the few carry the columns."""

    def __init__(self, lam: FloatArray) -> None:
        self._count = len(lam)
        # Powers are formed by doubling, in few long operations; half of √L carry columns, for that is the least work.
        self._babies = 2 ** max(1, math.ceil(math.log2(self._count)) // 2 - 1)
        self._giants = math.ceil(self._count / self._babies)
        # Powers go from the λ nearest 0 outwards, so that every factor is at most 1.
        self._outwards = bool(abs(lam[-1]) >= abs(lam[0]))
        self._near, far = (lam[0], lam[-1]) if self._outwards else (lam[-1], lam[0])
        self._step = (far - self._near) / (self._count - 1)
        self._kept = threading.local()  # fresh pages cost more than the arithmetic done on them

    def __call__(self, below: FloatArray, *columns: FloatArray) -> FloatArray:
        split = _pieces(below)
        baby, giant, ratio = self._room((1 + len(columns), *split.shape))
        np.exp(np.multiply(split, self._step, out=ratio), out=ratio)
        _powers(baby[0], ratio)
        for column, out in zip(columns, baby[1:], strict=True):
            np.multiply(baby[0], _pieces(column), out=out)
        np.exp(np.multiply(split, self._near, out=giant[0]), out=giant[0])
        _powers(giant, ratio)
        carried = baby.reshape(-1, *split.shape)
        # (rows, pieces, giants, samples) @ (rows, pieces, samples, columns · babies), then one sum over the pieces
        product = (giant.transpose(1, 2, 0, 3) @ carried.transpose(1, 2, 3, 0)).sum(axis=1)
        by_column = product.reshape(len(below), self._giants, len(baby), self._babies).transpose(2, 0, 1, 3)
        sums = by_column.reshape(len(baby), len(below), -1)
        return np.asarray(sums[:, :, : self._count] if self._outwards else sums[:, :, self._count - 1 :: -1])

    def _room(self, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
        if getattr(self._kept, "shape", None) != shape:
            columns, *block = shape
            self._kept.shape = shape
            self._kept.baby = np.empty((columns, self._babies, *block))
            self._kept.baby[0, 0] = 1.0
            self._kept.giant = np.empty((self._giants, *block))
            self._kept.ratio = np.empty(block)
        return self._kept.baby, self._kept.giant, self._kept.ratio


def _powers(rows: FloatArray, ratio: FloatArray) -> None:
    """Fill ``rows[k] = rows[0] · ratio^k``, twice as many each time; ``ratio`` becomes its power beyond the last."""
    known = 1
    while known < len(rows):
        more = min(known, len(rows) - known)
        np.multiply(rows[:more], ratio, out=rows[known : known + more])
        np.multiply(ratio, ratio, out=ratio)
        known += more
