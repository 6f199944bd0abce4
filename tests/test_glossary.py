"""The glossary: every term that a page links to is in it, and each link carries its definition."""

from __future__ import annotations

import importlib.util
import pydoc
import re
from functools import cache
from types import ModuleType

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from myst_parser.docutils_ import Parser
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
        said = [line for line in lines[len(names) :] if line]
        first = [line for line in said if not line.startswith("  In the library: ")]
        found |= dict.fromkeys(names, " ".join(line.strip() for line in first))
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


def test_terms_lead_to_the_library_and_the_box_beside_a_link_does_not_say_so() -> None:
    links = re.findall(r"\{py:obj\}`\S+ <([\w.]+)>`", GLOSSARY)
    assert len(set(links)) > 40
    assert [name for name in links if pydoc.locate(name) is None] == []
    tree = publish_doctree("", settings_overrides={"myst_enable_extensions": []})
    paragraphs = [nodes.paragraph("", "A curve."), nodes.paragraph("", "In the library: x.")]
    tree += nodes.definition_list_item("", nodes.term("", "a", ids=["term-a"]), nodes.definition("", *paragraphs))
    assert TIPS.definitions(tree) == {"term-a": "A curve."}


def test_a_page_on_its_own_says_terms_as_words() -> None:
    node = new_notebook(cells=[new_markdown_cell("Two {term}`nats <nat>` of {term}`capacity`.")])
    name_other_pages(node, ROOT)
    assert node.cells[0].source == "Two nats of capacity."


def extension(name: str) -> ModuleType:
    """Return an extension of Sphinx that the book brings along; it is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / "sphinx_extensions" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TIPS = extension("glossary_tips")


def test_terms_that_are_linked_by_themselves_are_defined() -> None:
    known = {name.lower() for name in entries()}
    assert sorted(phrase for phrase, term in TIPS.SPOKEN.items() if (term or phrase).lower() not in known) == []


def test_each_term_is_linked_once_and_in_the_text_only() -> None:
    """Not in a heading, in code, in a link, nor within a longer word; an author's own link counts as the first."""
    said = "# A nat\n\nA nat, two nats, `nat`, [nat](https://a.example). Signature, tiltable, KL penalty and KL.\n\nKL."
    tree = publish_doctree("")
    Parser().parse(said, tree)
    TIPS.link_terms(tree, {"nat": "term-nat", "kl": "term-KL", "kl penalty": "term-KL-penalty"}, "g.html")
    links = [(ref["refuri"], ref.astext()) for ref in tree.findall(nodes.reference) if ref.get("internal")]
    assert links == [("g.html#term-nat", "nat"), ("g.html#term-KL-penalty", "KL penalty"), ("g.html#term-KL", "KL")]


@pytest.mark.parametrize("page", ["notebooks/60_feedback_channel"])
def test_links_of_the_built_pages_carry_the_definition(page: str) -> None:
    need_book()
    text = (HTML / f"{page}.html").read_text(encoding="utf-8")
    links = re.findall(r'<a class="reference internal" href="[^"]*glossary\.html#term-[^>]*>', text)
    assert links
    assert all("data-definition=" in link for link in links)
