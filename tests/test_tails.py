"""The shape of the upper tail: what an exponential one may bear is reckoned with unless the tail is clearly lighter."""

from collections.abc import Callable

import numpy as np
import pytest

from alignlib.estimation import fit_frontier
from alignlib.estimation.tails import TailShape, tail_shape
from alignlib.tables import RewardTable

Sampler = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

LIGHT: dict[str, Sampler] = {
    "gaussian": lambda rng, size: rng.standard_normal(size),
    "uniform": lambda rng, size: rng.random(size),
    "skewed to the left": lambda rng, size: -rng.standard_exponential(size),
}
NOT_LIGHT: dict[str, Sampler] = {
    "exponential": lambda rng, size: rng.standard_exponential(size),
    "laplace": lambda rng, size: rng.laplace(size=size),
    "exponential of differing scale": lambda rng, size: (
        rng.standard_exponential(size) * np.exp(rng.standard_normal((size[0], 1)))
    ),
    "student t(3)": lambda rng, size: rng.standard_t(3, size),
    "lognormal(1/2)": lambda rng, size: np.exp(0.5 * rng.standard_normal(size)),
}


def run(law: Sampler, size: tuple[int, int], count: int) -> list[TailShape]:
    rng = np.random.default_rng(11)
    return [tail_shape(RewardTable.from_arrays(law(rng, size)), "reward") for _ in range(count)]


@pytest.mark.parametrize("size", [(200, 64), (30, 64), (10, 1000)])
@pytest.mark.parametrize("name", NOT_LIGHT)
def test_an_exponential_or_heavier_tail_is_reckoned_with(name: str, size: tuple[int, int]) -> None:
    bearing = [shape.bearing / shape.scale for shape in run(NOT_LIGHT[name], size, 20)]
    assert np.mean(bearing) > 0.85


@pytest.mark.parametrize("size", [(200, 64), (10, 1000)])
@pytest.mark.parametrize("name", LIGHT)
def test_a_light_tail_asks_for_nothing(name: str, size: tuple[int, int]) -> None:
    assert np.mean([shape.bearing / shape.scale for shape in run(LIGHT[name], size, 20)]) < 0.05


def test_scale_is_the_mean_exceedance() -> None:
    found = run(lambda rng, size: 3.0 * rng.standard_exponential(size), (200, 64), 5)
    assert np.mean([shape.scale for shape in found]) == pytest.approx(3.0, rel=0.03)


def test_ties_at_the_top_are_discrete() -> None:
    shape = run(lambda rng, size: (rng.random(size) < 0.1).astype(float), (50, 32), 1)[0]
    assert shape.discrete
    assert shape.bearing == 0.0


@pytest.mark.parametrize("name", ["student t(3)", "lognormal(1/2)"])
def test_no_tail_is_refused_and_none_is_followed_far(name: str) -> None:
    rows = NOT_LIGHT[name](np.random.default_rng(0), (200, 64))
    fit = fit_frontier(rows, n_boot=100)
    assert fit.problem is None
    assert fit.supported_end < 0.45  # a Gaussian reward: 1.1


def test_tails_are_reckoned_with_by_how_far_they_are_from_gaussian() -> None:
    rng = np.random.default_rng(4)
    gaussian, logistic, exponential = (
        tail_shape(RewardTable.from_arrays(rows), "reward")
        for rows in (rng.standard_normal((400, 64)), rng.logistic(size=(400, 64)), rng.exponential(size=(400, 64)))
    )
    assert gaussian.bearing < 0.3 * gaussian.scale
    assert (
        logistic.bearing > 0.6 * logistic.scale
    )  # its tail is exponential, though its ratio is nearer to a Gaussian's
    assert exponential.bearing == exponential.scale
    few = tail_shape(RewardTable.from_arrays(rng.standard_normal((4000, 8))), "reward")
    assert few.ratio == pytest.approx(few.gaussian, abs=0.01)  # what few samples of a Gaussian tail show
