"""Rule for seeds: a chapter that quotes a number of one random base model quotes a typical one.

The default seed of each is the smallest whose number lies in the middle half of those of 60 seeds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from alignbook.project import Project
from alignlib._core.checks import FloatArray
from alignlib.answers.findings import ask
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, SoftBestOfN, coincident_reward
from alignlib.tables import example_table
from tests.small_project import ROOT


def closed_form(rng: np.random.Generator) -> float:
    """What a tenth of the largest useful budget allows of the largest gain."""
    model = FiniteLaw(rng.normal(size=40), rng.dirichlet(np.full(40, 0.3)))
    return float(model.gain_at_kl(model.max_kl / 10)) / (model.max_reward - model.base_reward)


def best_of_n(rng: np.random.Generator) -> float:
    """KL of best-of-256 on seven levels."""
    return float(BestOfN(256).on(FiniteLaw(np.arange(7.0), rng.dirichlet(np.full(7, 1.5)))).kl)


def soft(rng: np.random.Generator) -> float:
    """Share of the limit that soft best-of-64 reaches."""
    model = FiniteLaw(rng.normal(size=60), rng.dirichlet(np.ones(60)))
    found = SoftBestOfN(64, 3.0).on(model)
    return found.gain / float(model.gain_at_kl(found.kl))


def coincidence(rng: np.random.Generator) -> float:
    """Distance of best-of-8 to the nearest tilt of the bent reward."""
    prob: FloatArray = rng.dirichlet(np.full(6, 3.0))
    unit = coincident_reward(prob, 8)
    family = FiniteLaw(((unit - unit[0]) / np.ptp(unit)) ** np.e, prob)
    best = BestOfN(8).on(family)
    return best.kl - float(family.kl_at_gain(best.gain))


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("closed_form", closed_form), ("best_of_n", best_of_n), ("relatives", soft), ("coincidence", coincidence)],
)
def test_default_seeds_are_typical(name: str, quoted: Callable[[np.random.Generator], float]) -> None:
    numbers = np.array([quoted(np.random.default_rng(seed)) for seed in range(60)])
    low, high = np.quantile(numbers, [0.25, 0.75])
    typical = np.flatnonzero((numbers >= low) & (numbers <= high))
    assert Project(ROOT).find(name).parameters["seed"].default == typical[0], (numbers[:8], low, high)


def test_the_made_up_table_is_typical() -> None:
    """The smallest seed whose limit and whose share of best-of-4, as quoted, both lie in the middle half."""
    numbers = []
    for seed in range(30):
        table = example_table(n_prompts=150, n_samples=64, noise=0.7, rng=np.random.default_rng(seed))
        found = ask(table, "reward", "gold", rules=BestOfN.along([4.0]), n_boot=100, rng=seed).counted
        assert found.limit_at_rules is not None
        assert found.rules.share is not None
        numbers.append((found.limit_at_rules.gain[0], found.rules.share[0]))
    low, high = np.quantile(numbers, [0.25, 0.75], axis=0)
    typical = np.flatnonzero(np.all((low <= numbers) & (numbers <= high), axis=1))
    assert Project(ROOT).find("your_own_rewards").parameters["seed"].default == typical[0], (numbers[:4], low, high)


def test_the_front_page_picture_draws_nothing_at_random() -> None:
    assert "default_rng" not in (ROOT / "book" / "picture.py").read_text(encoding="utf-8")
