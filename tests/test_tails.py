"""The test for rewards of infinite Λ: its level where Λ is finite, its power where it is not."""

from collections.abc import Callable

import numpy as np
import pytest

from alignlib.estimation.tails import TailTest, tail_test
from alignlib.tables import RewardTable

Sampler = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

FINITE: dict[str, Sampler] = {
    "exponential": lambda rng, size: rng.standard_exponential(size),
    "laplace": lambda rng, size: rng.laplace(size=size),
    "gaussian": lambda rng, size: rng.standard_normal(size),
    "uniform": lambda rng, size: rng.random(size),
    "beta piled up at 0": lambda rng, size: rng.beta(0.1, 1.0, size),
    "exponential of differing scale": lambda rng, size: (
        rng.standard_exponential(size) * np.exp(rng.standard_normal((size[0], 1)))
    ),
    "contaminated gaussian": lambda rng, size: rng.standard_normal(size) * np.where(rng.random(size) < 0.1, 3.0, 1.0),
    "coin": lambda rng, size: (rng.random(size) < 0.1).astype(float),
}
INFINITE: dict[str, Sampler] = {
    "student t(3)": lambda rng, size: rng.standard_t(3, size),
    "lognormal(1)": lambda rng, size: np.exp(rng.standard_normal(size)),
    "pareto(3)": lambda rng, size: rng.pareto(3.0, size),
}


def run(law: Sampler, size: tuple[int, int], count: int) -> list[TailTest]:
    rng = np.random.default_rng(11)
    return [tail_test(RewardTable.from_arrays(law(rng, size)), "reward") for _ in range(count)]


@pytest.mark.parametrize("size", [(200, 64), (50, 16), (1, 10_000)])
@pytest.mark.parametrize("name", FINITE)
def test_level(name: str, size: tuple[int, int]) -> None:
    flagged = sum(test.heavy for test in run(FINITE[name], size, 60))
    assert flagged <= 4  # a test of level 2 % flags five of 60 once in 200 times


@pytest.mark.parametrize("size", [(200, 64), (1, 10_000)])
@pytest.mark.parametrize("name", INFINITE)
def test_power(name: str, size: tuple[int, int]) -> None:
    flagged = sum(test.heavy for test in run(INFINITE[name], size, 60))
    assert flagged >= 45  # measured over 200: 86 % to 97 %


def test_null_law_is_exact() -> None:
    """Mean and variance of z under exponential rewards are 0 and 1, for any number of samples."""
    z = np.array([test.z for test in run(FINITE["exponential"], (20, 24), 400)])
    assert abs(z.mean()) < 4 / np.sqrt(400)
    assert z.var() == pytest.approx(1.0, abs=0.3)


def test_scale_is_the_mean_exceedance() -> None:
    found = run(lambda rng, size: 3.0 * rng.standard_exponential(size), (200, 64), 5)
    assert np.mean([test.scale for test in found]) == pytest.approx(3.0, rel=0.03)


def test_ties_at_the_top_are_discrete() -> None:
    test = run(FINITE["coin"], (50, 32), 1)[0]
    assert test.discrete
    assert test.light
    assert test.n_prompts == 0


def test_few_samples_are_never_called_heavy() -> None:
    """One good response among ten looks like a heavy tail, and is none."""
    rows = np.random.default_rng(0).standard_normal((300, 10))
    rows[:, 0] += 30.0
    assert not tail_test(RewardTable.from_arrays(rows), "reward").heavy
