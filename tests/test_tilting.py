"""Tilting: against 50-digit arithmetic, against its own identities, and as properties over random laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.laws import FiniteLaw
from tests import oracle

LAMS = [1e-8, 1e-4, 0.03, 1.0, 17.0, 650.0, 1e4, 1e8]
QUANTITIES = ["gain", "kl", "reverse_kl", "jeffreys", "mean_reward", "log_partition", "variance"]


def _laws() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(7)
    masses = rng.dirichlet(np.ones(12))
    tiny = np.array([1e-300, 1e-200, 1e-20, 1e-3, 0.0, 1.0])
    tiny[-1] = 1 - tiny[:-1].sum()
    return {
        "random": (rng.normal(size=12), masses),
        "offset 1e6": (1e6 + rng.normal(size=12), masses),
        "ties": (np.repeat([0.0, 1.0, 1.5], 4), masses),
        "tiny mass on top": (np.array([3.0, 2.5, 2.0, 1.0, 5.0, 0.0]), tiny),
        "tiny mass at the bottom": (np.array([-3.0, -2.5, -2.0, -1.0, -5.0, 0.0]), tiny),
        "nearly sure": (np.array([0.0, 1.0]), np.array([1e-12, 1 - 1e-12])),
        "far outlier": (np.array([-1.0, 1.0, 1e6]), np.array([0.5, 0.5 - 1e-12, 1e-12])),
        "near tie at the top": (np.array([0.0, 1.0, 1.0 + 1e-9]), np.array([0.7, 0.2, 0.1])),
        "two levels, both huge": (np.array([1e6, 1e6 + 1.0]), np.array([0.9, 0.1])),
        "single outcome": (np.array([3.25]), np.array([1.0])),
        "constant": (np.full(5, -2.0), np.full(5, 0.2)),
    }


@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("name", list(_laws()))
def test_against_fifty_digits(name: str, lam: float) -> None:
    reward, prob = _laws()[name]
    family = FiniteLaw(reward, prob)
    truth = oracle.tilted(reward, prob, lam)
    held = reward[prob > 0]
    width = float(np.ptp(held))
    # The natural scale of a quantity is the value it has for an even split over this range of rewards.
    scales = {
        "gain": min(lam * width**2, width),
        "kl": min((lam * width) ** 2, 1.0),
        "reverse_kl": min((lam * width) ** 2, lam * width),
        "jeffreys": min((lam * width) ** 2, lam * width),
        "mean_reward": float(np.abs(held).max()),
        "log_partition": lam * float(np.abs(held).max()),
        "variance": width**2,
    }
    for quantity in QUANTITIES:
        got = getattr(family, quantity)(lam)
        assert oracle.relative(got, truth[quantity], scales[quantity]) <= 1e-12, quantity


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_many_outcomes(size: int) -> None:
    """A law of distinct rewards on a grid has a geometric-series partition function: an exact oracle."""
    import mpmath as mp

    family = FiniteLaw(np.arange(size) / size)
    for lam in [1e-8, 1e-3, 1.0, 300.0, 1e8]:
        with mp.workdps(60):
            step = mp.mpf(lam) / size
            rise = lambda x: mp.log(mp.expm1(x * size) / mp.expm1(x) / size)  # noqa: E731
            log_partition = rise(step)
            slope = size * mp.exp(step * size) / mp.expm1(step * size) - mp.exp(step) / mp.expm1(step)
            mean = slope / size
            base = mp.mpf(size - 1) / (2 * size)
            kl = mp.mpf(lam) * mean - log_partition
            truth = {"gain": mean - base, "kl": kl, "reverse_kl": log_partition - mp.mpf(lam) * base}
        for quantity, want in truth.items():
            assert oracle.relative(getattr(family, quantity)(lam), want) <= 1e-12, (quantity, lam)


def test_policy_against_enumeration() -> None:
    reward, prob = _laws()["random"]
    weights = prob * np.exp(0.8 * reward)
    np.testing.assert_allclose(np.exp(FiniteLaw(reward, prob).log_policy(0.8)), weights / weights.sum(), rtol=1e-14)


def test_policy_keeps_zero_mass_outcomes_at_zero() -> None:
    family = FiniteLaw([0.0, 9.0, 1.0], [0.5, 0.0, 0.5])
    assert np.isneginf(family.log_policy([0.0, 2.0, math.inf])[:, 1]).all()
    assert family.max_reward == 1.0
    assert family.max_kl == pytest.approx(math.log(2), rel=1e-15)


def test_infinite_lam_is_the_conditioned_law() -> None:
    family = FiniteLaw([0.0, 2.0, 2.0], [0.5, 0.2, 0.3])
    np.testing.assert_allclose(np.exp(family.log_policy(math.inf)), [0.0, 0.4, 0.6], rtol=1e-15)
    assert family.mean_reward(math.inf) == 2.0
    assert family.kl(math.inf) == pytest.approx(math.log(2), rel=1e-15)
    assert family.reverse_kl(math.inf) == math.inf
    assert family.mean_reward(-math.inf) == 0.0


@pytest.mark.parametrize("name", [n for n in _laws() if n not in ("single outcome", "constant")])
def test_lam_at_kl_spends_the_budget(name: str) -> None:
    reward, prob = _laws()[name]
    family = FiniteLaw(reward, prob)
    ceiling = family.max_kl
    for budget in [1e-12, 1e-9, 1e-4, 0.1, 0.7, *(ceiling * np.array([0.3, 0.9, 0.999, 1 - 1e-9]))]:
        if budget >= ceiling:
            continue
        lam = family.lam_at_kl(budget)
        if math.isfinite(lam):
            # Compare where λ itself, one double, cannot be any closer: D moves by λ D' = λ² Var per unit of relative λ.
            sensitivity = lam**2 * family.variance(lam) * 2.3e-16
            assert abs(float(oracle.tilted(reward, prob, lam)["kl"] - budget)) <= 1e-12 * budget + sensitivity
    assert family.lam_at_kl(ceiling) == math.inf
    assert family.lam_at_kl(ceiling + 5.0) == math.inf
    assert family.lam_at_kl(0.0) == 0.0


def test_lam_at_kl_takes_arrays_in_any_order() -> None:
    family = FiniteLaw(*_laws()["random"])
    budgets = np.array([[1.0, 0.01], [50.0, 0.3]])
    lams = family.lam_at_kl(budgets)
    assert lams.shape == (2, 2)
    assert lams[1, 0] == math.inf
    np.testing.assert_allclose(lams[0, 1], family.lam_at_kl(0.01), rtol=1e-12)


def test_the_naive_form_fails_where_ours_does_not() -> None:
    """λR - Λ from rounded logarithms: no correct digit at λ = 1e-6 under an offset of 1e6. Keep this pinned."""
    rng = np.random.default_rng(3)
    reward, prob, lam = 1e6 + rng.normal(size=50), rng.dirichlet(np.ones(50)), 1e-6
    weights = prob * np.exp(lam * reward)
    naive_mean = (weights @ reward) / weights.sum()
    naive_kl = lam * naive_mean - math.log(weights.sum())
    naive_jeffreys_gain = (naive_kl + math.log(weights.sum()) - lam * (prob @ reward)) / lam
    truth = oracle.tilted(reward, prob, lam)
    family = FiniteLaw(reward, prob)
    assert oracle.relative(naive_kl, truth["kl"]) > 1e-5
    assert oracle.relative(naive_jeffreys_gain, truth["gain"]) > 1e-5
    assert oracle.relative(family.kl(lam), truth["kl"]) < 1e-13
    assert oracle.relative(family.gain(lam), truth["gain"]) < 1e-13


laws = st.integers(2, 8).flatmap(
    lambda k: st.tuples(
        st.lists(st.floats(-5, 5), min_size=k, max_size=k),
        st.lists(st.floats(1e-3, 1), min_size=k, max_size=k),
    )
)


@settings(max_examples=60)
@given(laws, st.floats(1e-3, 30))
def test_jeffreys_and_covariance_forms_of_the_gain_p26(law: tuple[list[float], list[float]], lam: float) -> None:
    reward, prob = np.array(law[0]), np.array(law[1]) / sum(law[1])
    family = FiniteLaw(reward, prob)
    gain = family.gain(lam)
    weight = np.exp(lam * (reward - reward.max()))
    covariance = prob @ ((reward - prob @ reward) * weight) / (prob @ weight)
    slack = 1e-13 * np.ptp(reward)
    assert family.jeffreys(lam) / lam == pytest.approx(gain, rel=1e-12, abs=slack)
    assert covariance == pytest.approx(gain, rel=1e-9, abs=1e-14)


@settings(max_examples=60)
@given(laws, st.floats(-1e6, 1e6), st.floats(1e-3, 30))
def test_a_constant_added_to_the_reward_changes_nothing(
    law: tuple[list[float], list[float]], shift: float, lam: float
) -> None:
    # Rewards on a grid of 2^-20 stay exact after a whole shift, so equality is to rounding.
    reward = np.round(np.array(law[0]) * 2**20) / 2**20
    prob = np.array(law[1]) / sum(law[1])
    here, there = FiniteLaw(reward, prob), FiniteLaw(reward + round(shift), prob)
    assert there.gain(lam) == pytest.approx(here.gain(lam), rel=1e-12, abs=1e-15)
    assert there.kl(lam) == pytest.approx(here.kl(lam), rel=1e-12, abs=1e-15)


@settings(max_examples=60)
@given(laws, st.floats(0.01, 10), st.lists(st.floats(1e-3, 1), min_size=8, max_size=8))
def test_closeness_identity_y24(law: tuple[list[float], list[float]], lam: float, other: list[float]) -> None:
    """KL(φ‖π_λ) = KL(φ‖p) - D(λ) - λ(E_φ r - R(λ)) for every φ (Y24)."""
    reward, prob = np.array(law[0]), np.array(law[1]) / sum(law[1])
    phi = np.array(other[: reward.size]) / sum(other[: reward.size])
    family = FiniteLaw(reward, prob)
    direct = phi @ (np.log(phi) - family.log_policy(lam))
    by_identity = phi @ np.log(phi / prob) - family.kl(lam) - lam * (phi @ reward - family.mean_reward(lam))
    assert by_identity == pytest.approx(direct, rel=1e-9, abs=1e-11)


@settings(max_examples=40)
@given(laws, st.floats(0.01, 10))
def test_derivatives(law: tuple[list[float], list[float]], lam: float) -> None:
    """Λ' = R, R' = Var, D' = λ Var, by central differences."""
    family = FiniteLaw(law[0], np.array(law[1]) / sum(law[1]))
    h = 1e-5 * lam
    lams = np.array([lam - h, lam + h])
    slope = lambda values: (values[1] - values[0]) / (2 * h)  # noqa: E731
    width = np.ptp(law[0]) + 1e-9
    assert slope(family.log_partition(lams)) == pytest.approx(
        family.mean_reward(lam), abs=1e-6 * width * (1 + 1 / lam) + 1e-10
    )
    assert slope(family.gain(lams)) == pytest.approx(
        family.variance(lam), rel=1e-5, abs=1e-7 * width**2 * (1 + 1 / lam)
    )
    assert slope(family.kl(lams)) == pytest.approx(
        lam * family.variance(lam), rel=1e-5, abs=1e-7 * width**2 * (1 + lam)
    )


@pytest.mark.parametrize(
    ("reward", "prob", "words"),
    [
        ([], None, "reward must be a non-empty"),
        ([[1.0]], None, "one-dimensional"),
        (["a"], None, "reward must hold numbers"),
        ([1.0, math.nan], None, "reward must be finite; 1 of 2 values"),
        ([1.0, math.inf], None, "reward must be finite"),
        ([1.0, 2.0], [1.0], "prob must have the shape of reward"),
        ([1.0, 2.0], [1.5, -0.5], "prob must not be negative"),
        ([1.0, 2.0], [0.5, 0.4], "prob must sum to one; it sums to 0.9"),
    ],
)
def test_bad_laws_are_named(reward: list[float], prob: list[float] | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FiniteLaw(reward, prob)


def test_bad_budgets_are_named() -> None:
    family = FiniteLaw([0.0, 1.0])
    with pytest.raises(ValueError, match=r"kl must lie in \[0, ∞\); got -1"):
        family.lam_at_kl(-1.0)
    with pytest.raises(ValueError, match="kl must be finite"):
        family.lam_at_kl(math.nan)


def test_scalars_come_back_as_floats() -> None:
    family = FiniteLaw([0.0, 1.0])
    for door in (
        family.log_partition,
        family.gain,
        family.kl,
        family.reverse_kl,
        family.jeffreys,
        family.variance,
    ):
        assert type(door(1.0)) is float
        assert door(np.array([1.0, 2.0])).shape == (2,)
    assert type(family.lam_at_kl(0.1)) is float


@pytest.mark.parametrize("rare", [1e-2, 1e-3, 1e-6, 1e-12])
def test_budgets_are_solved_where_the_divergence_is_a_step(rare: float) -> None:
    """A rare reward: KL is flat, rises within a few units of λ and is flat again, which sends Newton in circles."""
    family = FiniteLaw([0.0, 1.0], [1 - rare, rare])
    budgets = np.append(np.linspace(0.001, 0.999, 200), 0.3) * family.max_kl
    np.testing.assert_allclose(family.kl(family.lam_at_kl(budgets)), budgets, rtol=1e-12)
    assert all(abs(family.kl(family.lam_at_kl(b)) / b - 1) < 1e-12 for b in budgets[::5].tolist())


@pytest.mark.parametrize("seed", range(8))
def test_many_lam_at_once_are_as_one_by_one(seed: int) -> None:
    """Near 0, near saturation, past it, in both directions, with rare and with likely extremes."""
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet(np.full(12, 0.3)) * 10.0 ** -rng.integers(0, 120, 12)
    law = FiniteLaw(rng.normal(size=12) * 10.0 ** rng.integers(-80, 80), prob / prob.sum())
    lam = np.concatenate([10.0 ** rng.uniform(-12, 4, 40), [0.0, np.inf]]) / law._sd
    lam = np.concatenate([lam, -lam])
    for value in (law.gain, law.kl, law.reverse_kl):
        np.testing.assert_allclose(value(lam), [value(one) for one in lam.tolist()], rtol=1e-12)
