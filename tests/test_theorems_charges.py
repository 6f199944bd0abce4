"""The boxes of the chapter on where the KL is charged: each is searched for a counterexample."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from alignlib._core.checks import FloatArray
from alignlib.lm.charge import Charge, expected_update
from alignlib.lm.charged_policies import at_rest
from alignlib.lm.space import ResponseSpace
from tests.searching import law, positive, worst_case
from tests.updates import largest

SPACE = ResponseSpace(n_content=2, length=2)
N = SPACE.size


def bounded(z: FloatArray) -> FloatArray:
    """A law none of whose outcomes is very rare: where nothing is drawn, nothing moves."""
    return law(1.5 * np.tanh(z))


def standardised(paid: FloatArray, policy: FloatArray) -> FloatArray:
    """Mean advantage of each response in pairs that are divided by their deviation: the sign of the difference."""
    return np.asarray(np.sign(paid[:, None] - paid[None, :]) @ policy * math.sqrt(0.5))


@pytest.mark.parametrize("mean", [False, True])
def test_thm_kl_in_reward(mean: bool) -> None:
    """No other policy is nearly at rest: the update is at least a share of the distance to the optimum."""

    def far_and_still(z: FloatArray) -> float:
        policy, base, reward = bounded(z[:N]), bounded(z[N : 2 * N]), np.tanh(z[2 * N : 3 * N])
        beta = positive(z[-1], 0.3, 3.0)
        optimum = law(np.log(base) + reward / beta)
        args = np.log(policy)[None], np.log(base)[None], reward[None]
        moved = largest(expected_update(*args, SPACE, beta, Charge("k1", "reward", mean=mean)))
        return float(np.abs(policy - optimum).sum()) - 3e3 * moved

    assert worst_case(far_and_still, 3 * N + 1, starts=2, steps=40).excess <= 0.0
    rng = np.random.default_rng(0)
    for _ in range(20):
        base, reward, beta = rng.dirichlet(np.ones(5)), rng.normal(size=5), float(rng.uniform(0.2, 3.0))
        optimum = law(np.log(base) + reward / beta)
        paid = np.round(reward - beta * np.log(optimum / base), 10)
        assert np.abs(standardised(paid, optimum)).max() == 0.0


def test_thm_kl_in_reward_in_pairs() -> None:
    """Of a single token, in pairs divided by their deviation: what pushes is 0 only if all are paid alike."""

    def still(z: FloatArray) -> float:
        policy, base, reward = bounded(z[:4]), bounded(z[4:8]), z[8:12]
        paid = reward - 0.7 * np.log(policy / base)
        push = standardised(paid, policy)
        return float(np.ptp(paid) > 1e-9) * (1e-3 - float(np.ptp(push)))

    assert worst_case(still, 12, starts=4).excess <= 0.0


@pytest.mark.parametrize("name", ["k2", "k3"])
def test_prop_k2_in_reward(name: str) -> None:
    """Some deviation grows wherever two responses are rarer than in the base, at rest."""
    slope = Charge(name, "reward", per_token=False)

    def shrinks(z: FloatArray) -> float:
        policy, base = law(z[:4]), law(z[4:8])
        ratio = np.log(policy / base)  # any policy is at rest for the reward β k(ℓ)
        if (ratio < 0).sum() < 2:
            return -1.0
        root = np.sqrt(policy)
        along = np.linalg.svd(np.eye(4) - np.outer(root, root))[0][:, :3]
        grows = np.linalg.eigvalsh(along.T @ np.diag(-slope.slope(ratio)) @ along).max()
        return -float(grows)

    assert worst_case(shrinks, 8, starts=12).excess < 0.0


@pytest.mark.parametrize(
    "charge",
    [Charge(name, "loss", per_token) for name, per_token in itertools.product(("k2", "k3"), (False, True))],
    ids=lambda charge: charge.label,
)
def test_thm_kl_in_loss(charge: Charge) -> None:
    """At rest where the box says, and nowhere else nearly so."""

    def far_and_still(z: FloatArray) -> float:
        policy, base, reward = bounded(z[:N]), bounded(z[N : 2 * N]), np.tanh(z[2 * N : 3 * N])
        beta = positive(z[-1], 0.5, 3.0)
        args = np.log(base)[None], reward[None]
        rest = np.exp(at_rest(*args, SPACE, beta, charge))[0]
        moved = largest(expected_update(np.log(policy)[None], *args, SPACE, beta, charge))
        return float(np.abs(policy - rest).sum()) - 3e3 * moved

    assert worst_case(far_and_still, 3 * N + 1, starts=2, steps=40).excess <= 0.0


@pytest.mark.parametrize("group", [2, 3])
def test_prop_group_penalty(group: int) -> None:
    """The mean of the group takes 1/G of the reward's gradient, whatever policy and rewards are."""

    def off(z: FloatArray) -> float:
        policy, reward = law(z[:3]), z[3:6]
        update = np.zeros(3)
        for drawn in itertools.product(range(3), repeat=group):
            chosen = list(drawn)
            for i in chosen:
                advantage = reward[i] - reward[chosen].mean()
                update += np.prod(policy[chosen]) / group * advantage * (np.eye(3)[i] - policy)
        want = (1.0 - 1.0 / group) * policy * (reward - policy @ reward)
        return float(np.abs(update - want).max() / max(1.0, np.abs(reward).max()))

    assert worst_case(off, 6, starts=2, steps=40).excess <= 1e-13


def test_thm_kl_controller() -> None:
    def wrong_side(z: FloatArray) -> float:
        gain, pace = positive(z[0], 1e-3, 20.0), positive(z[1], 0.01, 1.0)
        size = np.abs(np.roots([1.0, pace - 2.0, 1.0 - pace + pace * gain])).max()
        return float((size - 1.0) * (1.0 if gain < 1.0 else -1.0))

    assert worst_case(wrong_side, 2, starts=12).excess <= 1e-12

    def passes(z: FloatArray) -> float:
        pace = float(1.0 / (1.0 + np.exp(-z[1])))
        gain = pace / 4.0 * float(1.0 / (1.0 + np.exp(-z[0])))
        x = u = 1.0
        least = 1.0
        for _ in range(300):
            x, u = x + pace * (u - x), u - gain * x
            least = min(least, x)
        return -least

    assert worst_case(passes, 2, starts=6, steps=40).excess <= 1e-12
    for pace, over in ((1.0, 1.5), (0.1, 2.0), (0.02, 1.3)):  # past the threshold it is passed
        x = u = 1.0
        seen = []
        for _ in range(20_000):
            x, u = x + pace * (u - x), u - over * pace / 4.0 * x
            seen.append(x)
        assert min(seen) < 0.0
