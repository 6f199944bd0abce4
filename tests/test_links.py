"""Links, anchors and resources of the built pages, read from their HTML without a browser."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from alignbook.project import Project
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
    page.write_text('<p id="here"><a href="#gone">x</a><img src="http://a.example/b.png"></p>', encoding="utf-8")
    found = parse(page)
    assert (found.ids, found.links, found.resources) == ({"here"}, {"#gone"}, {"http://a.example/b.png"})
