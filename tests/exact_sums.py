"""Exact laws of sums in integers and rationals: what the fast ones are held against."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

import mpmath as mp
import numpy as np


def integer_power(weights: Sequence[int], length: int) -> list[int]:
    """Coefficients of ``(Σ w_k x^k)^m`` in integers, by the recursion of J.C.P. Miller, whose divisions are exact."""
    width = len(weights) - 1
    letters = [k for k in range(1, width + 1) if weights[k]]
    out = [weights[0] ** length]
    for n in range(1, length * width + 1):
        total = sum((k * (length + 1) - n) * weights[k] * out[n - k] for k in letters if k <= n)
        quotient, rest = divmod(total, n * weights[0])
        assert rest == 0
        out.append(quotient)
    return out


def log_integer_power(weights: Sequence[int], length: int) -> np.ndarray:
    """Logarithms of the masses: of an exact integer less ``m log Σ w``, cancelled in 60 digits and rounded once."""
    with mp.workdps(60):
        total, two = length * mp.log(sum(weights)), mp.log(2)
        out = []
        for c in integer_power(weights, length):
            shift = max(0, c.bit_length() - 64)
            out.append(math.log(c >> shift) + float(shift * two - total) if c else -math.inf)
    return np.array(out)


def enumerate_chain(
    transition: np.ndarray, reward: np.ndarray, initial: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Reward and mass of every sequence of states of positive mass."""
    k = initial.size
    rewards, masses = [], []
    for states in itertools.product(range(k), repeat=length + 1):
        mass = initial[states[0]]
        total = 0.0
        for a, b in itertools.pairwise(states):
            mass *= transition[a, b]
            total += reward[a, b]
        if mass > 0:
            rewards.append(total)
            masses.append(mass)
    return np.array(rewards), np.array(masses)


def rational_chain_law(
    transition: Sequence[Sequence[Fraction]],
    offsets: Sequence[Sequence[int]],
    initial: Sequence[Fraction],
    length: int,
) -> dict[int, Fraction]:
    """Law of the sum of offsets over ``length`` transitions, in rationals."""
    law: dict[tuple[int, int], Fraction] = {(a, 0): p for a, p in enumerate(initial) if p}
    for _ in range(length):
        new: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
        for (a, n), mass in law.items():
            for b, p in enumerate(transition[a]):
                if p:
                    new[b, n + offsets[a][b]] += mass * p
        law = new
    out: dict[int, Fraction] = defaultdict(Fraction)
    for (_, n), mass in law.items():
        out[n] += mass
    return out


def log_fraction(value: Fraction) -> float:
    with mp.workdps(60):
        return float(mp.log(value.numerator) - mp.log(value.denominator))
