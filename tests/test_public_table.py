"""The public table that ships: numbers only, as its maker makes them, with its licence."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from alignbook.project import Project
from alignlib.answers.findings import ask
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from benchmarks.public_table import FOLDER, LEAST, N_RATERS, main, rows
from tests.small_project import ROOT

FILE = FOLDER / "review_sentences.csv"


def table(*reward: str) -> RewardTable:
    return RewardTable.read(FILE, prompt="review", reward=list(reward))


def test_it_holds_numbers_only_and_little() -> None:
    with FILE.open(encoding="utf-8", newline="") as file:
        header, *cells = list(csv.reader(file))
    assert header == ["review", "sentence", "vader", "people", *(f"rater_{k}" for k in range(1, N_RATERS + 1))]
    numbers = np.array(cells, dtype=float)
    assert FILE.stat().st_size < 200_000
    _, sizes = np.unique(numbers[:, 0], return_counts=True)
    assert sizes.min() >= LEAST
    assert len({tuple(row) for row in numbers[:, :2]}) == len(numbers)
    assert (np.abs(numbers[:, 2]) <= 1).all()
    assert np.isin(numbers[:, 4:], np.arange(-4, 5)).all()
    assert (np.abs(numbers[:, 3]) <= 4).all()
    np.testing.assert_array_equal(numbers[:, 3] * 16, np.round(numbers[:, 3] * 16))  # a mean of sixteen whole ratings


def test_its_licence_lies_beside_it_and_is_named_where_licences_are() -> None:
    assert "MIT License" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    for page in ("README.md", "book/cite.md"):
        assert "notebooks/public_tables/LICENSE" in (ROOT / page).read_text(encoding="utf-8")


def test_its_maker_scores_sentences_and_leaves_out_short_reviews() -> None:
    ratings = [[k % 3] * 20 for k in range(LEAST + 2)]
    names = [f"7_{k}" for k in range(LEAST)] + ["8_0", "8_1"]
    rated = "\ufeff" + "".join(f"{name}\t0\t0\t{given}\n" for name, given in zip(names, ratings, strict=True))
    texts = "".join(f"{name}\t0\tword {'good' * k}\n" for k, name in enumerate(names))
    made = rows(rated, texts, lambda text: text.count("good") / 100)
    assert made[1:] == [f"7,{k},{k / 100:g},{k % 3},{k % 3},{k % 3},{k % 3},{k % 3}" for k in range(LEAST)]


def test_another_archive_is_refused() -> None:
    with pytest.raises(SystemExit, match="is not the archive"):
        main(str(ROOT / "setup.py"))


def test_a_person_sees_more_of_what_people_like_than_the_program() -> None:
    """By best-of-2; what the page says of it, from the columns themselves."""
    both = table("vader", "people", "rater_1")
    gained = {
        name: ask(both, name, "people", rules=[BestOfN(2)], n_boot=100, rng=0).counted.rules.gain[0]
        for name in ("vader", "rater_1")
    }
    assert gained["vader"] < 0.75 * gained["rater_1"]
    by_hand = []
    for at, block in both.blocks("vader"):
        gold = np.stack([both.column("people")[both.offsets[x] : both.offsets[x + 1]] for x in at])
        n = block.shape[1]
        upper = np.triu_indices(n, 1)
        for score, value in zip(block, gold, strict=True):
            one, two = score[upper[0]], score[upper[1]]
            kept = np.where(one > two, value[upper[0]], value[upper[1]])
            kept = np.where(one == two, (value[upper[0]] + value[upper[1]]) / 2, kept)
            by_hand.append(kept.mean() - value.mean())
    assert gained["vader"] == pytest.approx(np.mean(by_hand), rel=1e-9)


def test_its_page_is_the_readers_own_path() -> None:
    page, own = (Project(ROOT).find(name) for name in ("public_table", "31_your_own_rewards"))
    assert page.script == own.script
    assert page.parameters["table"].default == "public_tables/review_sentences.csv"
    assert page.title != own.title
