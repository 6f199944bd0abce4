"""The exact law of a Markov chain's accumulated reward: one forward recursion with an exponent per reward level.

All terms are positive, so relative errors never grow by cancellation; each level of the sum carries its own power of
two, and each of its states one where they differ by hundreds of nats, so that nothing underflows.
"""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib.sequences.lattice_sums import Lattice, log_convolve
from alignlib.sequences.type_sums import TooManyLevelsError

__all__ = ["log_sums", "reward_offsets"]

_SHORT, _FEW_STATES = 1200, 6
_TINY, _NEAR = math.ldexp(1.0, -900), -600


def reward_offsets(
    reward: FloatArray, possible: BoolArray, length: int, max_levels: int
) -> tuple[IntArray, FloatArray, float]:
    """Give every possible transition a whole offset so that equal sums of offsets mean equal sums of rewards.

    On a lattice these are its indices. Otherwise each distinct reward above the smallest is one digit of a number in
    base m+1, whose digits count how often it was earned: the types of the reward.

    Parameters
    ----------
    reward : array (k, k)
        Reward of each transition.
    possible : array of bool (k, k)
        Which transitions are possible.
    length : int
        Tokens m.
    max_levels : int
        Most offset sums that are allowed.

    Returns
    -------
    offsets : array (k, k) of int
        Offset of each transition; 0 where there is none.
    sums : array (levels,)
        The reward sum above ``length · min`` of each offset sum 0, 1, …
    smallest : float
        The smallest reward of a possible transition.

    Raises
    ------
    TooManyLevelsError
        If there are more than ``max_levels`` offset sums.
    """
    values = np.unique(reward[possible])
    lattice = Lattice.of(values)
    width = values.size - 1
    fine = None if lattice is None else length * lattice.width + 1
    dense = (length + 1) ** width
    levels = dense if fine is None else min(dense, fine)
    if levels > max_levels:
        what = f"The exact law of {length:,} transitions with {values.size} distinct rewards"
        raise TooManyLevelsError(levels, max_levels, what)
    place = np.searchsorted(values, np.where(possible, reward, values[0]))
    if lattice is not None and fine is not None and fine <= dense:
        return np.asarray(lattice.index[place], dtype=np.int64), lattice.sums(length), float(values[0])
    digits = np.concatenate([[0], (length + 1) ** np.arange(width)]).astype(np.int64)
    counts = np.unravel_index(np.arange(dense), (length + 1,) * width, order="F")
    sums = sum((c * (v - values[0]) for c, v in zip(counts, values[1:].tolist(), strict=True)), np.zeros(dense))
    return digits[place], np.asarray(sums), float(values[0])


def log_sums(transition: FloatArray, offsets: IntArray, initial: FloatArray, length: int, levels: int) -> FloatArray:
    """Return ``log P(Σ offsets = n)`` for n below ``levels``, over ``length`` transitions from ``initial``.

    Parameters
    ----------
    transition : array (k, k)
        Transition matrix.
    offsets : array (k, k) of int
        Whole reward of each transition, >= 0.
    initial : array (k,)
        Law of the first state, which earns nothing itself.
    length : int
        Number of transitions m.
    levels : int
        Number of sums to keep; at least the largest sum plus one.
    """
    # Squaring costs k³ convolutions, the recursion m passes over levels and states (times measured equal at
    # m = 1200 for three states).
    if length > _SHORT and initial.size <= _FEW_STATES:
        return _by_squaring(transition, offsets, initial, length, levels)
    return _by_level(transition, offsets, initial, length, levels)


def _by_level(transition: FloatArray, offsets: IntArray, initial: FloatArray, length: int, levels: int) -> FloatArray:
    """The recursion with one exponent per level, or one per state at levels whose states drift apart.

    Such levels are found by comparing what is positive with what can be reached; they are few: mostly the extreme
    sums of a chain with several best cycles.
    """
    steps = [(int(j), np.where(offsets == j, transition, 0.0)) for j in np.unique(offsets[transition > 0])]
    links = [(matrix > 0).astype(np.float32) for _, matrix in steps]
    values, exponents = np.zeros((levels, initial.size)), np.full((levels, initial.size), -math.inf)
    values[0], exponents[0] = np.frexp(initial)
    held, apart = values > 0, np.zeros(levels, dtype=bool)
    _join(values, exponents, held, apart, np.array([0]))
    size = 1
    for _ in range(length):
        ends = [min(size, levels - j) for j, _ in steps]
        before, size = size, min(levels, size + steps[-1][0])
        level = exponents[:before].max(axis=1)
        scale, reach, bad = np.full(size, -math.inf), np.zeros((size, initial.size)), np.zeros(size, dtype=bool)
        for (j, _), link, end in zip(steps, links, ends, strict=True):
            np.maximum(scale[j : j + end], level[:end], out=scale[j : j + end])
            reach[j : j + end] += held[:end].astype(np.float32) @ link
            bad[j : j + end] |= apart[:end]
        new = np.zeros((size, initial.size))
        with np.errstate(invalid="ignore", under="ignore"):
            for (j, matrix), end in zip(steps, ends, strict=True):
                shift = level[:end] - scale[j : j + end]
                factor = np.where(np.isfinite(shift), np.exp2(shift), 0.0)
                new[j : j + end] += (values[:end] * factor[:, None]) @ matrix
        now = reach > 0
        bad |= ((new < _TINY) & now).any(axis=1)
        rows = np.flatnonzero(bad)
        alone = _state_by_state(values[:before], exponents[:before], steps, rows) if rows.size else None
        lift = np.frexp(new.max(axis=1))[1]
        values[:size], exponents[:size] = np.ldexp(new, -lift[:, None]), (scale + lift)[:, None]
        held[:size], apart[:size] = now, False
        if alone is not None:
            values[rows], exponents[rows] = alone
            _join(values, exponents, held, apart, rows)
    with np.errstate(divide="ignore"):
        logs = np.log(values) + np.where(held, exponents, 0.0) * math.log(2.0)
    return np.asarray(np.logaddexp.reduce(logs, axis=1))


def _state_by_state(
    values: FloatArray, exponents: FloatArray, steps: list[tuple[int, FloatArray]], rows: IntArray
) -> tuple[FloatArray, FloatArray]:
    """One step for some levels, every state with an exponent of its own: slow, and nothing underflows."""
    k = values.shape[1]
    new, scale = np.zeros((rows.size, k)), np.full((rows.size, k), -math.inf)
    sources = []
    for j, matrix in steps:
        at = np.flatnonzero((rows >= j) & (rows - j < values.shape[0]))
        out_of, into = np.nonzero(matrix)
        mantissa, power = np.frexp(matrix[out_of, into])
        from_level = rows[at] - j
        positive = values[from_level][:, out_of] > 0
        powers = np.where(positive, exponents[from_level][:, out_of] + power, -math.inf)
        masses = values[from_level][:, out_of] * mantissa
        here = (at[:, None], into[None, :])
        np.maximum.at(scale, here, powers)
        sources.append((here, powers, masses))
    with np.errstate(invalid="ignore", under="ignore"):
        for here, powers, masses in sources:
            shift = powers - scale[here]
            np.add.at(new, here, masses * np.exp2(np.where(np.isfinite(shift), shift, -math.inf)))
    mantissa, power = np.frexp(new)
    return mantissa, np.where(new > 0, scale + power, -math.inf)


def _join(values: FloatArray, exponents: FloatArray, held: BoolArray, apart: BoolArray, rows: IntArray) -> None:
    """Give the states of each of these levels one exponent again where they have come near enough."""
    with np.errstate(invalid="ignore"):  # -inf less -inf: states and levels that nothing reaches
        below = np.where(held[rows], exponents[rows] - exponents[rows].max(axis=1, keepdims=True), 0.0)
    near = below.min(axis=1) > _NEAR
    apart[rows] = ~near
    joined = rows[near]
    values[joined] = np.ldexp(values[joined], below[near].astype(np.int64))
    exponents[joined] = exponents[joined].max(axis=1, keepdims=True)


def _by_squaring(
    transition: FloatArray, offsets: IntArray, initial: FloatArray, length: int, levels: int
) -> FloatArray:
    """Powers of the matrix of generating polynomials by repeated squaring in log space: safe for any chain."""
    k = initial.size
    with np.errstate(divide="ignore"):
        law: list[FloatArray] = [np.log(initial[a : a + 1]) for a in range(k)]
        power = [[_monomial(transition[a, b], int(offsets[a, b])) for b in range(k)] for a in range(k)]
    bits = bin(length)[:1:-1]
    for position, bit in enumerate(bits):
        if bit == "1":
            law = [_mixture([(law[a], power[a][b]) for a in range(k)]) for b in range(k)]
        if position + 1 < len(bits):
            power = [[_mixture([(power[a][c], power[c][b]) for c in range(k)]) for b in range(k)] for a in range(k)]
    total = np.full(levels, -np.inf)
    for part in law:
        total[: part.size] = np.logaddexp(total[: part.size], part)
    return total


def _monomial(mass: float, offset: int) -> FloatArray:
    out = np.full(offset + 1 if mass > 0 else 1, -np.inf)
    if mass > 0:
        out[offset] = math.log(mass)
    return out


def _mixture(pairs: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """``Σ a * b`` over pairs of laws on the integers."""
    out = np.full(max(a.size + b.size for a, b in pairs) - 1, -np.inf)
    for a, b in pairs:
        if np.isfinite(a).any() and np.isfinite(b).any():
            part = log_convolve(a, b)
            out[: part.size] = np.logaddexp(out[: part.size], part)
    return out
