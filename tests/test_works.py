"""Works cited: pages show names for the keys that texts write; every entry is used, complete, and every key known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pybtex.database import parse_file

from alignbook.works import name_works, short_names
from tests.small_project import ROOT

BIBLIOGRAPHY = ROOT / "book" / "references.bib"
NAMES = {"Y24": "Yang et al. 2024", "Cramer1938": "Cramér 1938"}
TEXTS = [*sorted((ROOT / "notebooks").glob("[0-9]*.py")), *sorted((ROOT / "book").glob("*.md"))]
SHARED = sorted((ROOT / "notebooks" / "_pages").glob("*.py"))


def page(source: str) -> dict[str, list[dict[str, object]]]:
    return {"cells": [{"cell_type": "markdown", "source": source, "metadata": {}}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("As Y24 shows.", "As {cite:t}`Y24` shows."),
        ("{cite:t}`Y24`, `Y24`, $Y24$", "{cite:t}`Y24`, `Y24`, $Y24$"),
        ("A24 and PPO", "A24 and PPO"),
        ("```{prf:theorem} Rates (Cramer1938; Y24)\nBy Y24.\n```", None),
        ("```python\nY24 = 1\n```", "```python\nY24 = 1\n```"),
    ],
)
def test_keys_become_names(text: str, shown: str | None) -> None:
    if shown is None:
        shown = "```{prf:theorem} Rates (Cramér 1938; Yang et al. 2024)\nBy {cite:t}`Y24`.\n```"
    node = page(text)
    name_works(node, NAMES)
    assert node["cells"][0]["source"] == shown


def test_text_of_a_reader_is_left_alone() -> None:
    node = page("column Y24")
    name_works(node, NAMES, prose=False)
    assert node["cells"][0]["source"] == "column Y24"


def test_a_table_of_claims_shows_names() -> None:
    html = '<table class="claims"><tr><th scope="row">Y24</th><td>Y24; we derive</td><td>1</td></tr></table>'
    node = {"cells": [{"cell_type": "code", "metadata": {}, "outputs": [{"data": {"text/html": html}}]}]}
    name_works(node, NAMES)
    assert "<td>Yang et al. 2024; we derive</td>" in node["cells"][0]["outputs"][0]["data"]["text/html"]  # type: ignore[index]


def test_names_come_from_the_bibliography(tmp_path: Path) -> None:
    names = short_names(BIBLIOGRAPHY)
    assert names["Y24"] == "Yang et al. 2024"
    assert names["BahadurRao1960"] == "Bahadur and Ranga Rao 1960"
    assert names["Cramer1938"] == "Cramér 1938"
    assert set(names) == set(parse_file(str(BIBLIOGRAPHY)).entries)
    assert short_names(tmp_path / "none.bib") == {}


def test_entries_are_complete() -> None:
    for key, entry in parse_file(str(BIBLIOGRAPHY)).entries.items():
        assert entry.persons["author"], key
        assert {"title", "year"} <= set(entry.fields), key
        assert "others" not in str(entry.persons["author"]), key
        where = {"eprint", "doi", "journal", "booktitle", "publisher", "howpublished"}
        assert where & set(entry.fields), f"{key} says not where it appeared"
        if entry.type == "article":
            assert "journal" in entry.fields, key


def test_every_entry_is_used() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (*TEXTS, *SHARED))
    unused = [key for key in short_names(BIBLIOGRAPHY) if not re.search(rf"(?<![A-Za-z]){key}(?![A-Za-z0-9])", text)]
    assert unused == []


def test_several_authors_take_a_plural() -> None:
    """Keys are shown as names: "Y24 shows" would read "Yang et al. shows"."""
    entries = parse_file(str(BIBLIOGRAPHY)).entries
    several = "|".join(key for key, entry in entries.items() if len(entry.persons["author"]) > 1 and key[-1].isdigit())
    verbs = "finds|counts|shows|proves|derives|says|gives|leaves|has|is"
    singular = re.compile(rf"(?<!of )(?:\b(?:{several})|\{{cite:t\}}`(?:{several})`) (?:{verbs})\b")
    found = [(path.name, m[0]) for path in [*TEXTS, *SHARED] for m in singular.finditer(path.read_text("utf-8"))]
    assert found == []
