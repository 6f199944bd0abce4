"""Links, anchors and resources of the built pages, read from their HTML without a browser."""

from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml
from sphinx.errors import ExtensionError

from alignbook.project import Project
from book.sphinx_extensions import few_icons
from book.sphinx_extensions.whole_words import keep_whole
from tests.built_book import HTML, ROOT, need_book, parse, toc_pages


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    """Every page of the site, generated indices included."""
    need_book()
    return [path for path in sorted(HTML.rglob("*.html")) if "_static" not in path.parts]


def test_every_page_of_the_contents_is_built() -> None:
    need_book()
    assert [page for page in toc_pages() if not (HTML / f"{page}.html").is_file()] == []


def test_contents_name_every_page_once() -> None:
    listed = toc_pages()
    prose = [path.stem for path in (ROOT / "book").glob("*.md")]
    notebooks = [f"notebooks/{notebook.name}" for notebook in Project(ROOT).notebooks()]
    assert len(set(listed)) == len(listed)
    assert sorted({*prose, *notebooks} - set(listed)) == []


def test_internal_links_resolve(pages: list[Path]) -> None:
    broken = []
    for page in pages:
        for link in parse(page).links:
            if urlsplit(link).scheme in ("https", "mailto"):
                continue
            address, anchor = urldefrag(link)
            target = (page.parent / unquote(address)).resolve() if address else page
            inside = target.is_relative_to(HTML.resolve()) and target.is_file()
            if not inside or (anchor and target.suffix == ".html" and unquote(anchor) not in parse(target).ids):
                broken.append(f"{page.relative_to(HTML)}: {link}")
    assert broken == []


def test_an_anchor_is_one_place(pages: list[Path]) -> None:
    assert {page.name: parse(page).repeated for page in pages if parse(page).repeated} == {}


def test_resources_are_local_and_present(pages: list[Path]) -> None:
    wrong = []
    for page in pages:
        for resource in parse(page).resources:
            parts = urlsplit(resource)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc or parts.path.startswith("/"):
                wrong.append(f"{page.relative_to(HTML)} loads {resource} from elsewhere")
            elif not (page.parent / unquote(parts.path)).is_file():
                wrong.append(f"{page.relative_to(HTML)}: {resource} is missing")
    assert wrong == []


def test_pages_do_not_name_the_machine_they_were_built_on(pages: list[Path]) -> None:
    names = [str(ROOT), str(Path.home() / "")]
    found = [page.name for page in pages if any(f"{name}/" in page.read_text(encoding="utf-8") for name in names)]
    assert found == []


def test_link_check_notices_a_broken_link(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<p id="here"><b id="here"></b><a href="#gone">x</a><img src="http://a.example/b.png"></p>', encoding="utf-8"
    )
    found = parse(page)
    assert found.repeated == {"here"}
    assert (found.ids, found.links, found.resources) == ({"here"}, {"#gone"}, {"http://a.example/b.png"})


def test_every_icon_of_a_page_is_in_the_script_that_draws_it(pages: list[Path]) -> None:
    styles = {"solid", "regular", "brands", "lg", "fw", "sm", "xs"}
    shown = few_icons.icons(page.read_text(encoding="utf-8") for page in pages) - styles
    script = (HTML / few_icons.SCRIPT).read_text(encoding="utf-8")
    assert {"magnifying-glass", "bars"} <= shown
    assert {name for name in shown if f'"{name}"' not in script and f"{name}:[" not in script} == set()
    assert len(script) < 150_000


def test_icons_are_kept_by_any_of_their_names() -> None:
    icon = '"i-{0}":[512,512,[128269,"other-{0}"],"f00{0}","M416 {0}z"],'
    drawn = "".join(icon.format(k % 10).replace("i-", f"i{k}-") for k in range(1200))
    script = f'var a={{{drawn}x:[1,2,[],"f00d",["M1","M2"]],star:[1,1,[],"2a","M3"]}};'
    kept = few_icons.only(script, {"i7-7", "other-3", "star"})
    assert kept.count("M416 3z") == 120
    assert kept.count("M416") == 121
    assert kept.endswith('star:[1,1,[],"2a","M3"]};')
    assert "M1" not in kept
    with pytest.raises(ExtensionError, match="in another form"):
        few_icons.only("var a={}", {"star"})


def test_our_extensions_are_among_those_that_the_book_uses() -> None:
    """Jupyter Book finds them by one list, and leaves out what the other, given as a whole, does not name."""
    sphinx = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]
    ours = {path.stem for path in (ROOT / "book" / "sphinx_extensions").glob("*.py")} - {"__init__"}
    assert ours == set(sphinx["local_extensions"])
    assert ours <= set(sphinx["config"]["extensions"])


def test_no_page_says_where_something_lay_in_memory() -> None:
    """Which differs from build to build, and two of one commit are the same bytes."""
    need_book()
    files = [path for path in HTML.rglob("*") if path.suffix == ".html" or path.parent.name == "search"]
    assert any(path.name == "entries.js" for path in files)
    assert [path.name for path in files if re.search(rb"\b0x[0-9a-f]{8}", path.read_bytes())] == []


@pytest.mark.parametrize(
    ("word", "place", "pieces"),  # in brackets what no line breaks
    [
        ("--run-base", "pre whole", "--run-base"),
        ('"chi-squared-pessimism:8:1"', "pre names", '["chi-squared-pessimism:]|[8:]|[1"]'),
        ("answers.output.frontier_sentences.lines", "pre", "[answers.]|[output.]|[frontier_sentences.]|[lines]"),
        ("a_word_without_any_place_to_break", "pre", "a_word_without_any_place_to_break"),
    ],
)
def test_code_breaks_between_its_names_and_not_at_hyphens(word: str, place: str, pieces: str) -> None:
    found = keep_whole(f'<span class="pre">{html.escape(word)}</span>')
    marks = {"|": "<wbr>", "[": '<span class="whole">', "]": "</span>"}
    inside = "".join(marks.get(letter, html.escape(letter)) for letter in pieces)
    assert found == f'<span class="{place}">{inside}</span>'
    assert keep_whole('<span class="pre">alignlib.tables</span>', longest=0).count(".<wbr>") == 1
