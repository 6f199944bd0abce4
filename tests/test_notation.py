"""The page of notation: one meaning a symbol in a part, every symbol of the pages listed, names that exist."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from alignbook.project import Notebook, Project
from alignbook.staging import parts
from alignbook.symbols import formulas_of, letters, rows, symbols, with_chapters

SAME_SENSE = {r"\pi", "r"}  # a policy, a reward, whatever index or hat tells them apart
ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
PROJECT = Project(ROOT)
PARTS = parts(PROJECT)


def part_of(row: list[str]) -> str:
    return row[-1].partition(", ")[0]


def letter(symbol: str) -> str:
    """Return the bare letter: without hats, indices and arguments."""
    bare = re.sub(r"\\(hat|bar|tilde|mathrm)\b", "", symbol).replace("{", "").replace("}", "").strip()
    match = re.match(r"\\[A-Za-z]+|[A-Za-z]", bare)
    assert match is not None, symbol
    return match[0]


def test_every_row_names_symbol_meaning_unit_and_part() -> None:
    for row in rows(PAGE):
        assert len(row) == 5, row
        assert symbols(row[0]), row
        assert row[1], row
        assert row[2], row
        assert part_of(row) == "all" or part_of(row) in PARTS, row


def test_a_symbol_has_one_meaning_in_a_part() -> None:
    seen = Counter((part_of(row), symbol) for row in rows(PAGE) for symbol in symbols(row[0]))
    assert [key for key, times in seen.items() if times > 1] == []


def test_letters_with_several_meanings_are_listed() -> None:
    """The same bare letter in two rows of different parts stands in the second table."""
    uses: dict[str, set[str]] = defaultdict(set)
    for row in rows(PAGE):
        for symbol in symbols(row[0]):
            uses[letter(symbol)].add(part_of(row))
    listed = {letter(symbol) for name, _ in rows(PAGE, "Letters with several meanings") for symbol in symbols(name)}
    several = {one for one, parts in uses.items() if len(parts) > 1}
    assert sorted(several - listed - SAME_SENSE) == []


def test_names_of_the_library_exist() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "alignlib").rglob("*.py"))
    names = {name.rpartition(".")[2] for row in rows(PAGE) for name in re.findall(r"`~?([^`]+)`", row[3])}
    assert sorted(name for name in names if not re.search(rf"\b{re.escape(name)}\b\s*[(:=,)]", code)) == []


def test_every_symbol_has_the_chapter_that_first_uses_it() -> None:
    chapters = {n.name: (n.title, n.text) for n in PROJECT.notebooks()}
    found = rows(with_chapters(PAGE, PARTS, chapters))
    assert len(found) == len(rows(PAGE)) > 60
    assert [row[0] for row in found if not re.search(r": \[[^\]]+\]\(notebooks/\w+\.ipynb\)$", row[-1])] == []


def test_a_chapter_that_the_author_names_is_taken() -> None:
    page = "## Symbols\n\n| symbol | part |\n|---|---|\n| $d$ | One, 02_b |\n| $x$ | One |\n| $z$ | all |\n\nAfter.\n"
    texts = {"01_a": ("A", "$x\\,dx$"), "02_b": ("B", "$d$ and $x$")}
    assert [row[-1] for row in rows(with_chapters(page, {"One": ["01_a", "02_b"]}, texts))] == [
        "One: [B](notebooks/02_b.ipynb)",
        "One: [A](notebooks/01_a.ipynb)",
        "all",
    ]


@cache
def known() -> dict[str, set[str]]:
    """The letters listed for each part, those of ``all`` and of the other two tables in each."""
    listed: dict[str, set[str]] = defaultdict(set)
    for row in rows(PAGE):
        listed[part_of(row)] |= {one for symbol in symbols(row[0]) for one in letters(symbol)}
    for heading in ("Letters with several meanings", "Letters that a page explains where it uses them"):
        listed["all"] |= {one for row in rows(PAGE, heading) for symbol in symbols(row[0]) for one in letters(symbol)}
    return {part: listed[part] | listed["all"] for part in PARTS}


@pytest.mark.parametrize("page", PROJECT.notebooks(), ids=lambda page: page.name)
def test_every_letter_of_a_page_is_listed(page: Notebook) -> None:
    part = next(part for part, names in PARTS.items() if page.name in names)
    used = {one for tex in formulas_of(page.text) for one in letters(tex)}
    assert sorted(used - known()[part]) == []
