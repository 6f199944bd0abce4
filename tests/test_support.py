"""How far a table supports its curve: a property of the table, not of luck, order, unit or seed."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignlib.estimation import Fit, fit_frontier
from alignlib.estimation.support import first_strained, known_kl, strain
from alignlib.tables import RewardTable


def strained(kl: list[float], n: int = 64, **changes: float) -> float:
    """The strain of prompts that spend ``kl``, at λ = 1."""
    each = np.array(kl)
    sums = (each.sum(), np.square(each).sum(), (np.square(each) / known_kl(n)).sum())
    values = [np.array([changes.get("lam", 1.0)]), *(np.array([value]) for value in sums)]
    return float(strain(*values, changes.get("tail_scale", 0.0), len(kl))[0])


def test_each_condition() -> None:
    quarter = known_kl(64)
    assert strained([quarter] * 8) == pytest.approx(1.0)  # about a quarter of log n
    assert strained([quarter] * 8, n=16) == pytest.approx(known_kl(64) / known_kl(16))
    assert strained([0.1] * 3 + [0.0] * 9) == pytest.approx(1.0)  # three prompts share the KL
    assert strained([0.1] * 2 + [0.0] * 10) > 1.0
    assert strained([0.1] * 3 + [0.0]) < 1.0 < strained([0.1] * 2 + [0.0] * 2)  # of four prompts three are needed
    assert strained([0.1]) < 1.0
    assert strained([0.3] * 8, tail_scale=0.5) == pytest.approx(1.0)  # two moments
    assert strained([0.0] * 8) == 0.0
    # Prompts count by what they contribute: many that spend nothing change nothing.
    assert strained([quarter] * 8 + [0.0] * 100) == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_not_supported(bad: float) -> None:
    assert strained([0.1] * 8, lam=bad, tail_scale=1.0) == np.inf
    assert strained([bad] * 8) == np.inf
    assert first_strained(np.array([0.1, 0.2]), np.array([0.5, np.nan])) == 0.1
    assert first_strained(np.array([np.nan, 0.2]), np.array([0.5, 2.0])) == 0.0


def test_support_ends_at_the_first_strained_point() -> None:
    kl = np.array([0.1, 0.2, 0.4, 0.8])
    assert first_strained(kl, np.array([0.1, 0.5, 2.0, 0.1])) == pytest.approx(0.2 * np.sqrt(2.0))
    assert first_strained(kl, np.array([0.1, 0.5, np.inf, 0.1])) == 0.2
    assert first_strained(kl, np.array([3.0, 0.5, 0.5, 0.1])) == 0.0
    assert first_strained(kl, np.zeros(4)) == np.inf


# -- of whole tables


def unequal(seed: int, shape: tuple[int, int] = (60, 24)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.exp(rng.standard_normal((shape[0], 1))) * rng.standard_normal(shape)


def both(rows: np.ndarray, **options: object) -> tuple[Fit, Fit]:
    fit = fit_frontier(rows, n_boot=100, **options)  # type: ignore[arg-type]
    return fit, fit.per_prompt


@pytest.mark.parametrize("seed", [0, 1])
def test_no_seed_changes_the_support(seed: int) -> None:
    rows = unequal(seed)
    ends = {tuple(fit.supported_end for fit in both(rows, rng=k)) for k in range(3)}
    assert len(ends) == 1
    assert min(ends.pop()) > 0.0


@cache  # there are seven such tables, and a hundred examples
def rounded(seed: int) -> tuple[np.ndarray, Fit]:
    rows = np.round(unequal(seed, (12, 16)), 3)
    return rows, fit_frontier(rows, n_boot=100)


@given(st.integers(0, 10_000), st.floats(-1e3, 1e3), st.floats(-8.0, 8.0))
def test_order_unit_and_offset_change_nothing(seed: int, offset: float, log_unit: float) -> None:
    """Rows and prompts permuted, rewards in another unit: the same support, estimate and bound of the bias."""
    rng, (rows, one) = np.random.default_rng(seed), rounded(seed % 7)
    unit = 2.0 ** round(log_unit)
    shuffled = unit * rng.permuted(rows, axis=1)[rng.permutation(12)] + unit * round(offset)
    two = fit_frontier(shuffled, n_boot=100)
    assert two.supported_end == pytest.approx(one.supported_end, rel=1e-9)
    for first, second in zip(one.curve.cell_bounds, two.curve.cell_bounds, strict=True):
        weights = [fit.cells.whole[0] for fit in (one, two)]
        np.testing.assert_allclose(weights[1] @ second, weights[0] @ first, rtol=1e-7, atol=1e-12)
    assert two.per_prompt.supported_end == pytest.approx(one.per_prompt.supported_end, rel=1e-9)


def test_more_samples_of_a_prompt_support_more() -> None:
    """More prompts need not: they may show that rewards vary most on a few that were not drawn before."""
    few, many = (
        np.mean([fit_frontier(unequal(k, shape), n_boot=100).supported_end for k in range(6)])
        for shape in ((40, 16), (40, 64))
    )
    assert few < many


def test_the_end_is_nearly_the_same_for_all_tables_of_a_law() -> None:
    rng = np.random.default_rng(0)
    ends = [fit_frontier(rng.standard_normal((100, 64)), n_boot=100).supported_end for _ in range(20)]
    assert np.std(ends) < 0.05 * np.mean(ends)


def test_one_support_for_the_limit_the_share_and_gold() -> None:
    rng = np.random.default_rng(1)
    gold = rng.random((80, 32))  # clearly lighter than exponential: else gold, which asks for more moments, ends sooner
    table = RewardTable.from_arrays(reward=gold + 0.5 * rng.random(gold.shape), gold=gold)
    fit = fit_frontier(table, "reward", n_boot=100)
    rules = fit.share()
    assert rules.supported is not None
    assert rules.supported.tolist() == fit.at(rules.spent, strict=False).supported.tolist()
    along = fit.tilted_gold("gold")
    assert along.supported.all()
    assert along.spent[-1] == pytest.approx(fit.supported_end, rel=0.02)
    assert fit.at(fit.supported_end).lam[0] == pytest.approx(along.parameter[-1], rel=0.02)


def test_a_single_prompt_asks_for_more_moments() -> None:
    row = np.random.default_rng(5).exponential(size=2000)
    alone, many = (
        fit_frontier(rows, n_boot=100).supported_end
        for rows in (row[None], np.random.default_rng(5).exponential(size=(31, 64)))
    )
    assert 0.0 < alone < many
