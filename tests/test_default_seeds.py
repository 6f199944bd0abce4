"""Rule for seeds: a chapter that quotes a number of one random draw quotes a typical one.

The default seed of each is the smallest whose number lies in the middle half of those of 60 seeds (20, where drawing is
slow). Every other page has seed 0: what it quotes is an average over many draws, or nothing that was drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from alignbook.project import Project
from alignlib._core.checks import FloatArray
from alignlib.answers.findings import ask
from alignlib.bottleneck import Cascade, CodebookMixture, RateDistortionTask, allocate
from alignlib.hacking.examples import exploit_pair, sampled_table, scored_answers
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, SoftBestOfN, coincident_reward
from alignlib.tables import RewardTable, example_table
from alignlib.training.policy_kl.token_model import perturbed_model, random_model, sequence_kl
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


def feedback(rng: np.random.Generator) -> float:
    """Capacity of the whole path of the example."""
    judge, report = rng.dirichlet(np.full(5, 0.3), size=(4, 8)), rng.dirichlet(np.full(5, 0.3), size=(4, 5))
    return float(Cascade(rng.dirichlet(np.full(4, 3.0)), judge, report).capacities().mean_total)


def floor(rng: np.random.Generator) -> float:
    """Error rate that no learner undercuts with the chapter's channel."""
    channel = rng.dirichlet(np.full(8, 0.25), size=(2, 8))
    return float(CodebookMixture(np.full(2, 0.5), channel, 1 - np.eye(8)).floor)


def floor_of_three(rng: np.random.Generator) -> float:
    """The same with three contexts of unequal weight."""
    channel = rng.dirichlet(np.full(8, 0.25), size=(3, 8))
    return float(CodebookMixture(rng.dirichlet(np.full(3, 4.0)), channel, 1 - np.eye(8)).floor)


def split(rng: np.random.Generator) -> float:
    """Loss that the best split of the budget leaves."""
    weight = rng.dirichlet(np.full(5, 3.0))
    tasks = [
        RateDistortionTask(
            rng.dirichlet(np.full(6, 10 ** rng.uniform(-0.7, 1))), 10 ** rng.uniform(-1.2, 0.4) * (1 - np.eye(6))
        )
        for _ in range(5)
    ]
    return float(allocate(tasks, 0.4, weight).loss)


def picked(proxy: FloatArray, gold: FloatArray, n: int) -> float:
    """Gold gained by the best of n by the proxy, over groups of n samples, arrays of shape (prompts, samples)."""
    groups = (-1, proxy.shape[1] // n, n)
    shown, counted = (rows[:, : groups[1] * n].reshape(groups) for rows in (proxy, gold))
    best = np.take_along_axis(counted, shown.argmax(-1)[..., None], -1)
    return float(best.mean() - gold.mean())


def rows_of(table: RewardTable, column: str) -> FloatArray:
    return table.column(column).reshape(table.n_prompts, -1)


def exploit(rng: np.random.Generator) -> float:
    """Gold of best-of-8 by the proxy of the made-up table."""
    table = sampled_table(exploit_pair(0.02), 200, 64, rng)
    return picked(rows_of(table, "proxy"), rows_of(table, "gold"), 8)


def one_scorer(rng: np.random.Generator) -> float:
    """Gold of best-of-8 when one scorer picks, averaged over the scorers."""
    table = scored_answers(200, 10, 4, 4, rng)
    names = [name for name in table.columns if name != "right"]
    assert len(names) == 8
    return float(np.mean([picked(rows_of(table, name), rows_of(table, "right"), 8) for name in names]))


def far(rng: np.random.Generator) -> float:
    """KL of the policy that has moved furthest, and with it the errors that are quoted."""
    seed = int(rng.bit_generator.seed_seq.entropy)  # type: ignore[attr-defined]
    base = random_model(10, 5, 1.0, rng)
    return float(sequence_kl(perturbed_model(base, 1.6, np.random.default_rng(seed + 1)), base))


TYPICAL: dict[str, tuple[Callable[[np.random.Generator], float], int]] = {
    "closed_form": (closed_form, 60),
    "best_of_n": (best_of_n, 60),
    "relatives": (soft, 60),
    "coincidence": (coincidence, 60),
    "overoptimisation": (exploit, 60),
    "many_scorers": (one_scorer, 60),
    "measuring_kl": (far, 20),
    "feedback_channel": (feedback, 20),
    "floor_and_ceiling": (floor, 60),
    "more_labels": (floor_of_three, 20),
    "capacity_budget": (split, 20),
}
OF_A_TABLE = {"your_own_rewards", "public_table"}  # see below; the other is a real one


@pytest.mark.parametrize("name", TYPICAL)
def test_default_seeds_are_typical(name: str) -> None:
    quoted, n = TYPICAL[name]
    numbers = np.array([quoted(np.random.default_rng(seed)) for seed in range(n)])
    low, high = np.quantile(numbers, [0.25, 0.75])
    typical = np.flatnonzero((numbers >= low) & (numbers <= high))
    assert Project(ROOT).find(name).parameters["seed"].default == typical[0], (numbers[:8], low, high)


def test_the_made_up_table_is_typical() -> None:
    """The smallest seed whose limit and whose share of best-of-4, as quoted, both lie in the middle half."""
    numbers = []
    for seed in range(20):
        table = example_table(n_prompts=150, n_samples=64, noise=0.7, rng=np.random.default_rng(seed))
        found = ask(table, "reward", "gold", rules=BestOfN.along([4.0]), n_boot=100, rng=seed).counted
        assert found.limit_at_rules is not None
        assert found.rules.share is not None
        numbers.append((found.limit_at_rules.gain[0], found.rules.share[0]))
    low, high = np.quantile(numbers, [0.25, 0.75], axis=0)
    typical = np.flatnonzero(np.all((low <= numbers) & (numbers <= high), axis=1))
    assert Project(ROOT).find("your_own_rewards").parameters["seed"].default == typical[0], (numbers[:4], low, high)


def test_every_other_seed_is_zero() -> None:
    pages = {page.name.split("_", 1)[1]: page.parameters for page in Project(ROOT).notebooks()}
    seeds = {name: found["seed"].default for name, found in pages.items() if "seed" in found}
    assert set(TYPICAL) | OF_A_TABLE <= set(seeds)
    assert {name: seed for name, seed in seeds.items() if seed and name not in TYPICAL and name not in OF_A_TABLE} == {}


def test_the_front_page_picture_draws_nothing_at_random() -> None:
    assert "default_rng" not in (ROOT / "book" / "picture.py").read_text(encoding="utf-8")
