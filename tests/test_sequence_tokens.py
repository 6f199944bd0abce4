"""Tokens of best-of-N against enumeration of all sequences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.sequences import MemorylessModel, total_correlation
from alignlib.sequences.memoryless import token_law


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("reward", [[0.0, 1.0, 2.0], [0.3, -1.0, math.pi], [1.0, 1.0, 0.0]])
def test_against_enumeration(reward: list[float], length: int) -> None:
    prob = np.array([0.5, 0.3, 0.2])
    draws = np.array(list(itertools.product(range(3), repeat=length)))
    rewards, masses = np.array(reward)[draws].sum(axis=1).round(9), prob[draws].prod(axis=1)
    policy = BestOfN(6).on(FiniteLaw(rewards, masses)).policy
    marginals = np.array([[policy[draws[:, t] == a].sum() for a in range(3)] for t in range(length)])
    model = MemorylessModel(prob, reward, length)
    np.testing.assert_allclose(token_law(model, math.log(6)), marginals[0], rtol=1e-10)
    product = marginals[np.arange(length), draws].prod(axis=1)
    want = float(policy @ np.log(policy / product))
    assert total_correlation(model, math.log(6)) == pytest.approx(want, rel=1e-8, abs=1e-12)


def test_a_letter_without_mass_is_never_drawn() -> None:
    model = MemorylessModel([0.5, 0.0, 0.5], [0.0, 5.0, 1.0], 3)
    assert token_law(model, 1.0)[1] == 0.0
