"""The study of how often intervals hold: its truths against known ones, a law of one's own, resuming, the table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from _pages.coverage_widths import Widths
from alignlib.divergences import CHI_SQUARED, KL, REVERSE_KL, TOTAL_VARIATION, Renyi
from alignlib.laws import FiniteLaw, Gaussian, PromptAverage
from alignlib.rules import BestOfN
from benchmarks.coverage import runner, standing, summary, widths
from benchmarks.coverage.budgets import limit_of_kinds
from benchmarks.coverage.kinds import KINDS
from benchmarks.coverage.others import OTHERS
from benchmarks.coverage.passes import Checked
from benchmarks.coverage.populations import (
    POPULATIONS,
    Population,
    atoms,
    continuous,
    lognormal_scales,
    normal,
    register,
)
from benchmarks.coverage.runner import DEEP_LAWS, DEEP_SHAPES
from benchmarks.coverage.study import DRAWS, PART_OF, PARTS, SHAPES, TILTS, Shape, draw_table, try_tables
from benchmarks.coverage.topics import topics
from benchmarks.coverage.truth import Truth


@pytest.fixture
def toy():
    register("toy")(lambda: Population.of(normal(), scales=np.array([0.5, 2.0])))
    yield "toy"
    del POPULATIONS["toy"]


def file_of(pieces: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(piece) + "\n" for piece in pieces)


def test_truths_are_those_of_the_laws() -> None:
    scales = lognormal_scales(0.5)
    found = Truth(Population.of(normal(), scales=scales), DRAWS, TILTS)
    kl = np.array([0.05, 0.5, 2.0])
    np.testing.assert_allclose(found.limit(kl), np.sqrt(2 * kl * np.mean(scales**2)), rtol=2e-5)
    np.testing.assert_allclose(found.limit_on_every_prompt(kl), scales.mean() * np.sqrt(2 * kl), rtol=2e-5)
    np.testing.assert_allclose(found.gain, [scales.mean() * BestOfN(n).on(Gaussian()).gain for n in DRAWS], rtol=1e-5)
    grades = Truth(Population.of(atoms([1, 2, 5], [0.5, 0.3, 0.2])), DRAWS, TILTS)
    law = FiniteLaw([1.0, 2.0, 5.0], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(grades.limit(kl[:2]), law.gain_at_kl(kl[:2]), rtol=2e-5)
    best = [BestOfN(n).on(law) for n in DRAWS]
    np.testing.assert_allclose(grades.spent, [one.kl for one in best], rtol=1e-9)
    np.testing.assert_allclose(grades.gain, [one.gain for one in best], rtol=1e-9)


def test_louder_prompts_have_fewer_samples_where_they_are_tied() -> None:
    population = Population.of(normal(), scales=np.geomspace(0.1, 10.0, 9))
    table, kinds = draw_table(population, Shape(20, 40, tied=True), np.random.default_rng(0))
    assert table.n_samples.min() == 10
    assert np.corrcoef(kinds, table.n_samples)[0, 1] < -0.8


def test_the_deep_level_is_of_laws_that_are_there() -> None:
    assert set(DEEP_LAWS) <= set(POPULATIONS)
    assert sum(name.startswith("blind") for name in DEEP_LAWS) >= len(DEEP_LAWS) / 2 >= 7
    assert set(DEEP_SHAPES) < {shape.name for shape in SHAPES}


def test_where_gold_turns_is_that_of_the_law() -> None:
    """Gold ``z - z²/2`` under a tilt: turns at λ = 1 for a normal reward, falls from the start for an exponential."""
    assert Truth(Population.of(normal()), DRAWS, TILTS).turn_lam == pytest.approx(1.0, abs=5e-3)  # by a parabola
    falling = Truth(Population.of(continuous(scipy.stats.expon(), 0.0, 90.0)), DRAWS, TILTS)
    assert (falling.turn_lam, falling.turn_n) == (0.0, 1.0)


def test_prompts_that_a_table_may_lack() -> None:
    loud = Population.of(normal(), scales=np.array([1.0, 30.0]), chance=[0.99, 0.01])
    assert loud.unseen(30) == pytest.approx(0.99**30)
    assert Population.of(normal()).unseen(30) == 0.0


def test_a_law_of_ones_own_is_tried_and_tabulated(toy: str, tmp_path: Path) -> None:
    pieces = [try_tables(toy, Shape(30, 64), first, 2, n_boot=100, part=part) for part in PARTS for first in (0, 2)]
    assert [sorted({PART_OF.get(what, "") for what in one["statements"]}) for one in pieces[::2]] == [
        [part] for part in PARTS
    ]
    file = tmp_path / "pieces.jsonl"
    file.write_text(file_of(pieces) + '{"cut off', encoding="utf-8")
    rows = summary.read(file)
    limit = [row for row in rows if row.statement == "limit"]
    assert {(row.tables, row.first, row.in_cell) for row in rows} == {(4, 0, 4)}
    compared = next(row for row in rows if row.statement == "gain of best-of-N")
    assert set(compared.rules) == {"ours", *OTHERS}
    assert sum(tried for tried, _, _ in compared.rules["delta"]) == 2  # of tables 0 and 3
    assert limit[0].claimed == 4
    assert all(0 <= row.held_claimed <= row.claimed <= row.tried for row in rows)
    assert {row.statement for row in rows} >= {"share of the limit", "gold along λ", "turn along N", "limit, own end"}
    summary.write(rows, tmp_path / "matrix.csv")
    with (tmp_path / "matrix.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    claimed = [int(part) for line in lines for part in line["claimed"].split()]
    assert sorted(claimed) == sorted(row.claimed for row in rows if row.claimed > 0.3 * row.tables)
    assert f"0 of {len(rows)} points set aside" in summary.text(rows)
    newer = "".join(json.dumps({**piece, "code": "abc"}) + "\n" for piece in pieces[:1])
    (tmp_path / "both").write_text(file_of(pieces) + newer, encoding="utf-8")
    assert {(row.code, row.tables) for row in summary.read(tmp_path / "both") if row.statement == "limit"} == {
        ("", 4),
        ("abc", 2),
    }
    both = summary.read(tmp_path / "both")
    chosen = [{row.code for row in summary.latest(both, before)} for before in ([], [""], ["abc", ""])]
    assert chosen == [set(), {""}, {"abc"}]  # none is of the present version
    again = try_tables(toy, Shape(30, 64), 0, 2, n_boot=100)
    assert again == pieces[0]


def test_a_run_goes_on_from_the_table_of_the_book(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Later tables are added to lines of their version; more tables of a new version replace those of an old one."""
    monkeypatch.setattr(standing, "version_of", lambda law, part="": "new")
    path = tmp_path / "matrix.csv"

    def counted(statement: str, first: int, tables: int, code: str, held: int) -> summary.Row:
        row = summary.Row(
            "a law", "10 × 1000", statement, 0.1, tables, tables, tables, held, held, code=code, first=first
        )
        row.in_cell, row.widths = first + tables, [0.5]
        return row

    old = [counted(what, 0, 275, "new", 260) for what in ("limit", "gain of best-of-N")]
    old[1].at = 2.0
    summary.write([*old, counted("turn along N", 0, 92, "old", 92)], path)
    assert standing.counted(path) == {("a law", "10 × 1000", ""): (275, 275)}
    missing = runner._lacking(("a law", "10 × 1000", ""), 300, 25, {}, standing.counted(path))
    assert missing == [(275, 25)]
    assert runner._lacking(("a law", "10 × 1000", "turns"), 50, 25, {}, standing.counted(path)) == [(0, 25), (25, 25)]
    summary.write([counted("limit", 275, 25, "new", 20), counted("turn along N", 0, 50, "new", 47)], path, onto=True)
    lines = {what: (one["tables"], one["held"]) for (_, _, what), one in standing.lines_of(path).items()}
    assert lines == {"limit": ("300", "280"), "gain of best-of-N": ("275", "260"), "turn along N": ("50", "47")}
    summary.write([counted("limit", 0, 30, "newer", 30)], path, onto=True)  # fewer tables than are there
    assert {line["code"] for line in standing.lines_of(path).values()} == {"new"}


def test_truths_in_other_divergences_are_those_of_the_laws() -> None:
    """One kind of prompts has its own frontier; several have that of their average in KL."""
    law = FiniteLaw([0.0, 1.0, 2.5], [0.5, 0.3, 0.2])
    for divergence in (CHI_SQUARED, REVERSE_KL, TOTAL_VARIATION, Renyi(1.5)):
        exact = law.frontier([0.05, 0.2], divergence).gain
        np.testing.assert_allclose(limit_of_kinds([law], [0.05, 0.2], divergence), exact, rtol=1e-8)
    several = [law, FiniteLaw([0.0, 1.0], [0.9, 0.1])]
    exact = np.asarray(PromptAverage(several).gain_at_kl(np.array([0.05, 0.2])))
    np.testing.assert_allclose(limit_of_kinds(several, [0.05, 0.2], KL), exact, rtol=1e-8)


def test_every_topic_of_budgets_says_what_it_tries() -> None:
    """One table of the cheapest law of each; kinds draw what their laws say."""
    said = {}
    for topic in topics()[4:]:
        law = next(name for name in topic.laws if name.startswith(("right or wrong", "answers, even")))
        said[topic.name] = topic.laws[law]()("25 × 16", np.random.default_rng(0))
    assert {name: len(found) for name, found in said.items()} == {
        "budgets": 3, "rules by draws": 12, "opponents": 5, "promises": 4, "answers": 15,
    }  # fmt: skip
    for found in said.values():
        assert all(one.low <= one.high and np.isfinite([one.low, one.high, one.truth]).all() for one in found.values())
    kinds = KINDS["grades of four"]()
    drawn = kinds.draw(np.random.default_rng(0), 3, 20_000)
    np.testing.assert_allclose(np.bincount(drawn.astype(int)) / drawn.size, kinds.laws[3].prob, atol=0.015)


def test_few_prompts_are_meant_themselves_and_answers_have_the_truth_of_their_law() -> None:
    kinds, rng = KINDS["grades of four"](), np.random.default_rng(3)
    for shape, few in (("1 × 2000", True), ("10 × 1000", True), ("25 × 16", False)):
        which, rows = kinds.table(rng, shape)
        meant = kinds.meant(which, rows)
        assert meant == (tuple(sorted(which.tolist())) if few else tuple(range(12)))
    checked = Checked.drawn(rng, lambda rng, m: rng.random(m), wrong=3, none=0.2, sight=1.0, levels=5)
    truth, right = checked.truth(), checked.answer[:, 0].mean()
    for name in ("pass@1", "pass^1", "maj@1", "best of 1 by a verifier"):
        assert truth[name] == pytest.approx(right, abs=1e-12)
    table = checked.table(rng, "2000 × 8")
    assert table.correct.mean() == pytest.approx(right, abs=0.05)


def test_widths_are_compared_with_the_narrowest_rule_that_covers(tmp_path: Path) -> None:
    """Percentiles are narrower and do not cover; of the two that do, the delta method is the narrower."""
    row = summary.Row("a law", "30 × 64", "limit", 0.1, tables=100, tried=100, claimed=90, code="abc")
    for name, held, width in (("ours", 96, 1.2), ("bootstrap-t", 95, 1.4), ("percentile", 85, 0.7), ("delta", 93, 1.0)):
        row.rules[name] = [(100, held, width)]
    few = summary.Row("a law", "30 × 64", "limit", 0.2, tables=100, tried=100, claimed=20, rules=row.rules)
    widths.write([row, few], tmp_path / "widths.csv")
    found = Widths.read(tmp_path / "widths.csv")
    assert (found.tried.tolist(), found.ratio.tolist()) == ([100.0], [pytest.approx(1.2)])
    assert (found.covers("percentile").tolist(), found.alone) == ([False], 0)
    assert "| limit | 1 | 100% | 100% | 0% | 100% | 1.20 | 0 of 1 |" in found.table()
    assert found.wide_cells() == "- None."
