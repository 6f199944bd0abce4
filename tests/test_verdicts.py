"""Verdicts: every sentence of an abstract has a row, and each verdict follows from claims."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from alignbook.claim import Claim
from alignbook.run_times import RunTimes, Taken
from alignbook.verdicts import VERDICTS, headlines, limits, read_verdicts, verdict, verdicts_page
from alignlib import InputError
from tests.built_book import ROOT

FILE = ROOT / "book" / "verdicts.yml"
ABSTRACTS = {"Y24": 12, "P26": 10, "C25": 9}  # sentences, as counted in the papers


def test_every_sentence_of_an_abstract_has_a_row() -> None:
    """In order, none left out; what is not tested says why."""
    papers = read_verdicts(FILE)
    assert {paper["paper"]: paper["sentences"] for paper in papers} == ABSTRACTS
    for paper in papers:
        for row in paper["rows"]:
            assert ("for" in row) != ("nothing" in row)
            assert row.get("nothing") in (None, "definition", "assumption", "motivation", "opinion")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"a": 1, "b": 1, "c": 0, "d": 1}, "verified"),
        ({"a": 1, "b": 1, "c": 1, "d": 1}, "holds under a condition"),
        ({"a": 1, "b": 1, "c": 0, "d": 0}, "holds under a condition"),
        ({"a": 0, "b": 1, "c": 0, "d": 1}, "inconclusive"),
        ({"a": 0, "b": 0, "c": 1, "d": 1}, "contested"),
    ],
)
def test_a_verdict_follows_from_claims(held: dict[str, int], said: str) -> None:
    """What must hold, what limits, what would carry further."""
    row = {"for": ["a", "b"], "unless": ["c"], "unless_not": ["d"]}
    found = verdict(row, {name: bool(value) for name, value in held.items()})
    assert found == said
    assert found in VERDICTS


def test_a_small_world_shows_no_more_than_itself() -> None:
    """What holds there is called a toy."""
    assert verdict({"for": ["a"], "world": True}, {"a": True}) == "toy"


@pytest.mark.parametrize(
    ("shares", "least", "holds"),
    [
        ((0.9, 0.96, 0.94, 0.97), 8, True),  # what lies above before it falls once more does not count
        ((0.95, 0.96, 0.97, 0.98), 1, True),
        ((0.96, 0.96, 0.96, float("nan")), 9, False),
    ],
)
def test_where_best_of_n_comes_close_is_counted_from_above(
    monkeypatch: pytest.MonkeyPatch, shares: tuple[float, ...], least: int, holds: bool
) -> None:
    """The number beside the verdict: the least N from which all that were tried have the share."""
    monkeypatch.syspath_prepend(ROOT / "notebooks")
    claim = importlib.import_module("_pages.chapter").near_from(shares, (1, 2, 4, 8), 0.95)
    assert (claim.value, claim.holds) == (least, holds)


def small(tmp_path: Path, rows: list[dict[str, object]]) -> Path:
    """Write the sentences of one paper."""
    path = tmp_path / "verdicts.yml"
    path.write_text(yaml.safe_dump([{"paper": "Y24", "title": "Asymptotics", "sentences": 2, "rows": rows}]))
    return path


def test_the_page_counts_and_shows_the_deciding_number(tmp_path: Path) -> None:
    """With the condition only where it applies, and the chapter that computes it."""
    rows = [
        {"sentence": 1, "says": "One.", "nothing": "definition"},
        {
            "sentence": 2,
            "says": "Two is at most $|x|$.",
            "for": ["01_a:two"],
            "unless_not": ["01_a:far"],
            "condition": "near.",
            "number": "01_a:far",
            "headline": "it is {01_a:far value .1f}, and {01_a:two expected} is asked",
        },
    ]
    two = Claim("two", "two is little", "we derive", "at most", 2.0, 3.0, 0.0)
    far = Claim("far", "far is little", "we derive", "at most", 9.0, 3.0, 0.0, must_hold=False)
    book = {"01_a": ("The first", [two, far])}
    recorded = [RunTimes("2026-01-02", "M", {}, {"01_a": Taken(42.3, 100.0)})]
    page = verdicts_page(small(tmp_path, rows), book, recorded)
    assert "Of 1 statements in the three abstracts 1 holds under a condition." in page
    said = "| **holds under a condition**: near. | chapter 01: far is little: 9 ≤ 3 (does not hold) |"
    assert r"| 2. Two is at most $\|x\|$. " + said in page
    assert "{doc}`The first <notebooks/01_a>`, `alignlib run 01 -o out.ipynb`, 42 s |" in page
    assert "| 1. One. | definition: nothing to test |" in page
    said = "**holds under a condition**: near. | It is 9.0, and 3.0 is asked |"
    (line,) = headlines(small(tmp_path, rows), book).splitlines()[2:]
    assert line == rf"| Two is at most $\|x\|$. ({{cite:t}}`Y24`) | {said} {{doc}}`The first <notebooks/01_a>` |"
    (line,) = headlines(small(tmp_path, rows), book, plain={"Y24": "Yang"}).splitlines()[2:]
    assert line == rf"| Two is at most $\|x\|$. (Yang) | {said} 01 |"
    assert limits(small(tmp_path, rows), book) == {"01_a:far": "{cite:t}`Y24`, sentence 2"}


def test_of_one_test_in_several_chapters_the_least_margin_is_shown(tmp_path: Path) -> None:
    """Nearest to what it must not pass; where one is past, the one that is furthest."""
    names = ["01_a:low", "02_b:low", "03_c:low"]
    rows = [{"sentence": 1, "says": "One.", "nothing": "opinion"}]
    rows.append({"sentence": 2, "says": "Two.", "for": ["01_a:low"], "number": names, "headline": "x"})
    for values, chapter in (((0.5, 0.9, 0.7), "02"), ((0.5, 0.9, 1.2), "03"), ((1.5, 0.9, 1.2), "01")):
        claims = [Claim("low", "it is low", "we derive", "at most", value, 1.0, 0.0) for value in values]
        book = {name[:4]: (name, [claim]) for name, claim in zip(names, claims, strict=True)}
        assert f"chapter {chapter}: it is low: " in verdicts_page(small(tmp_path, rows), book)
        assert f"<notebooks/{chapter}_" in headlines(small(tmp_path, rows), book)


@pytest.mark.parametrize(
    ("far", "wide", "said"),
    [
        (True, False, "**holds under a condition**: nearby. At most once."),
        (True, True, "**holds under a condition**: nearby. |"),
        (False, False, "**holds under a condition**: at most once. |"),
        (False, True, "**verified** |"),
    ],
)
def test_a_condition_is_what_the_claims_that_limit_it_say(tmp_path: Path, far: bool, wide: bool, said: str) -> None:
    """Each has a text, which stays only where it does."""
    row: dict[str, object] = {"sentence": 2, "says": "Two.", "for": ["01_a:two"], "number": "01_a:two"}
    row |= {"unless": ["01_a:far"], "unless_not": ["01_a:wide"]}
    row |= {"condition": {"01_a:far": "nearby.", "01_a:wide": "at most once."}}
    held = {"two": True, "far": far, "wide": wide}
    claims = [Claim(key, key, "we derive", "true", float(holds), 1.0, 0.0) for key, holds in held.items()]
    rows = [{"sentence": 1, "says": "One.", "nothing": "opinion"}, row]
    assert said in verdicts_page(small(tmp_path, rows), {"01_a": ("The first", claims)})
    row["condition"] = "nearby."
    with pytest.raises(InputError, match="for each claim that limits it"):
        verdicts_page(small(tmp_path, rows), {"01_a": ("The first", claims)})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"sentence": 2, "says": "b", "nothing": "opinion"}], "needs rows for sentences 1 to 2"),
        (
            [
                {"sentence": 1, "says": "a", "nothing": "opinion"},
                {"sentence": 2, "says": "b", "for": ["01_a:one"], "number": "01_a:one"},
            ],
            "names the claim '01_a:one'",
        ),
    ],
)
def test_what_is_missing_stops_the_build(tmp_path: Path, rows: list[dict[str, object]], said: str) -> None:
    """A sentence without a row, a claim that no notebook records."""
    with pytest.raises(InputError, match=said):
        verdicts_page(small(tmp_path, rows), {})
