"""The estimated frontier against laws whose frontier is known."""

import numpy as np
import pytest

from alignlib.estimation import UnsupportedKLError, estimate_frontier
from alignlib.rewards import RewardTable


def gaussian_table(prompts: int = 200, samples: int = 64, seed: int = 0) -> RewardTable:
    return RewardTable.from_arrays(np.random.default_rng(seed).standard_normal((prompts, samples)))


def test_gaussian_frontier_lies_in_its_interval() -> None:
    kl = np.array([0.05, 0.1, 0.25, 0.5])
    frontier = estimate_frontier(gaussian_table(), kl=kl)
    truth = np.sqrt(2 * kl)
    assert frontier.supported is not None
    assert frontier.supported.all()
    assert frontier.gain_low is not None
    assert frontier.gain_high is not None
    assert np.all((frontier.gain_low < truth) & (truth < frontier.gain_high))
    np.testing.assert_allclose(frontier.lam, truth, rtol=0.1)


def test_plug_in_lies_below() -> None:
    plain = estimate_frontier(gaussian_table(), kl=[0.5], bias_correction=False)
    corrected = estimate_frontier(gaussian_table(), kl=[0.5])
    assert plain.gain[0] < corrected.gain[0]


def test_beyond_support_the_gain_is_held_and_the_interval_opens() -> None:
    frontier = estimate_frontier(gaussian_table(), kl=[0.5, 3.0, 4.0])
    assert frontier.supported is not None
    assert frontier.supported.tolist() == [True, False, False]
    assert frontier.gain[1] == frontier.gain[2]
    assert frontier.gain_high is not None
    assert frontier.gain_high[2] > frontier.gain_high[1] > np.sqrt(6.0)


def test_bernoulli_saturates() -> None:
    rows = (np.random.default_rng(0).random((200, 64)) < 0.5).astype(float)
    frontier = estimate_frontier(RewardTable.from_arrays(rows), kl=[0.2, 1.0])
    assert frontier.lam[1] == np.inf
    assert frontier.gain[1] == pytest.approx(0.5, abs=0.02)


def test_offset_and_scale_are_carried_through() -> None:
    rows = np.random.default_rng(5).standard_normal((50, 32))
    kl = [0.1, 0.3]
    one = estimate_frontier(RewardTable.from_arrays(rows), kl=kl)
    two = estimate_frontier(RewardTable.from_arrays(1e6 + 1e-3 * rows), kl=kl)
    np.testing.assert_allclose(two.gain, 1e-3 * one.gain, rtol=1e-6)  # 1e6 + 1e-3 r keeps seven digits of r


def test_nothing_supported_is_an_error() -> None:
    with pytest.raises(UnsupportedKLError, match="largest supported") as caught:
        estimate_frontier(gaussian_table(), kl=[5.0])
    assert 0.5 < caught.value.largest_supported < 5.0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((3, 8)), "constant"),
        ([[1.0, 2.0], [0.0, 1.0, 2.0]], "at least 3 samples"),
    ],
)
def test_bad_tables(rows: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_frontier(RewardTable.from_arrays(rows))  # type: ignore[arg-type]
