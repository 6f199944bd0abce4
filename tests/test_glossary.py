"""The glossary: every term that a page links to is in it, and each link carries its definition."""

from __future__ import annotations

import re
from functools import cache

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from alignbook.page import name_other_pages
from alignbook.project import Project
from tests.built_book import HTML, ROOT, need_book

GLOSSARY = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
LINK = re.compile(r"\{term\}`(?:[^`<>]+<)?([^`<>]+?)>?`")


@cache
def entries() -> dict[str, str]:
    """Return the first paragraph of each definition by its terms."""
    body = GLOSSARY.partition("```{glossary}\n")[2].partition("\n```")[0]
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)(?<!\S\n)", f"\n{body}"):
        lines = block.strip("\n").split("\n")
        names = [line for line in lines if line and not line.startswith(" ")]
        found |= dict.fromkeys(names, " ".join(line.strip() for line in lines if line.startswith(" ")))
    return found


def pages() -> dict[str, str]:
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("*.md"))}
    return texts | {n.name: n.script.read_text(encoding="utf-8") for n in Project(ROOT).notebooks()}


def test_every_term_that_a_page_links_to_is_defined() -> None:
    known = {name.lower() for name in entries()}
    used = {(page, term) for page, text in pages().items() for term in LINK.findall(text)}
    assert used
    assert sorted((page, term) for page, term in used if term.lower() not in known) == []


def test_entries_are_sorted_and_in_plain_words() -> None:
    names = list({text: name for name, text in reversed(entries().items())}.values())[::-1]  # the first of synonyms
    assert names == sorted(names, key=lambda name: re.sub(r"\W", "", name.lower()))
    for name, text in entries().items():
        assert text.endswith("."), name
        assert "$" not in text, f"{name}: formulas are not shown in the small box; say it in words"
        assert 25 < len(text) < 420, name


def test_a_page_on_its_own_says_terms_as_words() -> None:
    node = new_notebook(cells=[new_markdown_cell("Two {term}`nats <nat>` of {term}`capacity`.")])
    name_other_pages(node, ROOT)
    assert node.cells[0].source == "Two nats of capacity."


@pytest.mark.parametrize("page", ["notebooks/60_feedback_channel"])
def test_links_of_the_built_pages_carry_the_definition(page: str) -> None:
    need_book()
    text = (HTML / f"{page}.html").read_text(encoding="utf-8")
    links = re.findall(r'<a class="reference internal" href="[^"]*glossary\.html#term-[^>]*>', text)
    assert links
    assert all("data-definition=" in link for link in links)
