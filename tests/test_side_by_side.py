"""Finite laws side by side have the moments that each has by itself, wherever λ lies."""

from __future__ import annotations

import numpy as np
import pytest

from alignlib.laws import FiniteLaw, Gaussian, PromptAverage
from alignlib.laws.prompt_average import SideBySide

LAM = np.concatenate([[0.0, np.inf, -np.inf, 1e300], np.geomspace(1e-4, 1e7, 23), -np.geomspace(1e-4, 1e7, 23)])


def some_laws(rng: np.random.Generator, n: int) -> list[FiniteLaw]:
    """Laws of several kinds, sizes and units, one of them constant, one with nearly all mass on its top."""
    laws = [FiniteLaw([2.0, 2.0]), FiniteLaw([0.0, 1.0], [1e-12, 1.0 - 1e-12]), FiniteLaw([0.0, 3e30])]
    for place in range(n):
        size = int(rng.integers(2, 30))
        reward = [rng.normal(size=size), rng.integers(0, 4, size) + 0.0, rng.exponential(size=size) ** 3][place % 3]
        laws.append(FiniteLaw(reward * 10.0 ** rng.uniform(-2, 2), rng.dirichlet(np.full(size, 0.3)) + 1e-9))
    return laws


@pytest.mark.parametrize("name", ["gain", "kl", "reverse_kl"])
def test_each_law_as_by_itself(name: str) -> None:
    laws = some_laws(np.random.default_rng(3), 40)
    together = SideBySide(laws).each({"reverse_kl": "log_partition"}.get(name, name), LAM)
    alone = np.array([getattr(law, name)(LAM) for law in laws])
    np.testing.assert_array_equal(np.isfinite(together), np.isfinite(alone))
    np.testing.assert_allclose(together, alone, rtol=2e-14)


def test_an_average_is_the_mean_of_its_laws_however_many_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignlib.laws.prompt_average._AT_ONCE", 64)  # two rows at a time
    laws = [law for law in some_laws(np.random.default_rng(4), 9) if law.max_reward < 1e20]
    average = PromptAverage(laws)
    np.testing.assert_allclose(average.kl(LAM), np.mean([law.kl(LAM) for law in laws], axis=0), rtol=1e-13)
    lam = average.lam_at_kl(0.1)
    assert np.mean([law.kl(lam) for law in laws]) == pytest.approx(0.1, rel=1e-12)


def test_others_are_left_to_themselves() -> None:
    assert SideBySide.of([FiniteLaw([0.0, 1.0]), Gaussian()]) is None
    assert SideBySide.of([FiniteLaw([0.0, 1.0])]) is None  # one law is its own average
    assert SideBySide.of([FiniteLaw([0.0, 1.0])] * 20 + [FiniteLaw(np.arange(500.0))]) is None  # mostly filling
