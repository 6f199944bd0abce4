"""The book in one file: what goes into it and where its links lead, and a PDF and an EPUB of three small pages."""

from __future__ import annotations

import base64
import re
import xml.dom.minidom
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alignbook.citation import Citation
from alignbook.volume import BrowserError, browser, write_epub, write_pdf
from alignbook.volume.articles import Part, articles, contents
from alignbook.volume.document import document
from alignbook.volume.pdf import page_numbers
from alignlib import InputError
from tests.built_book import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.xdist_group("volumes")

CITATION = Citation("Limits: a companion", "The authors", "1.0", "2026-01-02", "MIT")
PAGE = """<html><body><article class="bd-article">
<section id="{id}"><h1>{title}<a class="headerlink" href="#x">#</a></h1>
{body}</section></article></body></html>"""
INDEX = """<p>See <a href="notebooks/10_a.html#thm-one">Theorem 1</a>, <a href="genindex.html">no page of it</a> and
<a href="https://example.org/">elsewhere</a>.</p><p id="twice">a</p><p id="twice">b</p>"""
CHAPTER = r"""<details class="admonition hide"><summary>Show the code</summary><pre>secret_code()</pre></details>
<div class="proof theorem admonition" id="thm-one"><p class="admonition-title">Theorem 1</p>
<p>By <span class="math notranslate nohighlight">\(\KL{a}{b}\)</span>, for
<span class="math notranslate nohighlight">\(a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q+r+s+t+u+v+w+x+y+z\)</span>,</p>
<dl><dt>root</dt><dd><dl><dt>of</dt><dd><dl><dt>it</dt><dd><p>A root of
<span class="math notranslate nohighlight">\(z^2-(2-\gamma)z+1-\gamma+\gamma K_e=0\)</span>.</p></dd></dl></dd></dl>
</dd></dl>
<div class="math notranslate nohighlight" id="equation-eq-a"><span class="eqno">(1)</span>\[\frac{1}{2}\]</div></div>
<figure id="fig"><img alt="A point." src="../_images/a.png"/>
<figcaption><p><span class="caption-number">Figure 1 </span>It.</p></figcaption></figure>
<p><a href="../index.html">Back</a>, <a href="#fig">Figure 1</a></p>
<details class="sd-dropdown"><summary>Solution</summary><div><p>Open on paper.</p></div></details>"""
WIDE = "".join(f'<th halign="left">a long heading {k}</th>' for k in range(14))
TABLE = f"<table><thead><tr>{WIDE}</tr></thead><tbody>{f'<tr>{WIDE}</tr>' * 12}</tbody></table>"
PARTS = [Part("", ("index",)), Part("First part", ("notebooks/10_a", "notebooks/11_b"))]
POINT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
MACROS = {"KL": ["\\mathrm{KL}(#1\\,\\Vert\\,#2)", 2]}


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("html")
    for name in ("notebooks", "_images", "_static"):
        (folder / name).mkdir()
    mathjax = find_spec("sphinx-mathjax-offline")
    assert mathjax is not None
    assert mathjax.origin is not None
    (folder / "_static" / "mathjax").symlink_to(Path(mathjax.origin).parent / "static" / "mathjax")
    colours = ['html[data-theme="light"] .n { color: #000 }', 'html[data-theme="dark"] .n { color: #fffff0 }']
    (folder / "_static" / "pygments.css").write_text("\n".join(colours))
    (folder / "_images" / "a.png").write_bytes(base64.b64decode(POINT))
    pages = (("index", "Limits", INDEX), ("notebooks/10_a", "Ten", CHAPTER), ("notebooks/11_b", "Eleven", TABLE))
    for name, title, body in pages:
        (folder / f"{name}.html").write_text(PAGE.format(id="top", title=title, body=body))
    return folder


def test_the_contents_are_those_of_the_book() -> None:
    parts = contents(ROOT / "book" / "_toc.yml")
    assert parts[0] == Part("", ("index",))
    assert parts[1].caption == "Before you start"
    assert "notebooks/10_best_of_n" in {name for part in parts for name in part.pages}


def test_every_link_leads_to_something(html: Path) -> None:
    text = document(CITATION, articles(html, PARTS), html, MACROS, {"notebooks-10_a": 4})
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    leads = re.findall(r' href="([^"]+)"', text)
    assert {lead for lead in leads if not lead.startswith("#")} == {
        html.resolve().as_uri() + "/",
        "https://example.org/",
    }
    assert {lead[1:] for lead in leads if lead.startswith("#")} <= set(ids)
    assert 'href="#notebooks-10_a--thm-one"' in text
    assert "no page of it" in text
    assert "secret_code" not in text
    assert "Open on paper." in text
    assert "<details" not in text
    assert "<h2>Ten</h2>" in text
    assert '<span class="entry-page">4</span>' in text
    assert ".n { color: #000 }" in text
    assert "#fffff0" not in text  # the dark half


def test_a_page_that_is_missing_is_named(html: Path) -> None:
    with pytest.raises(InputError, match=r"12_c.html is missing; build the book first"):
        articles(html, [Part("", ("notebooks/12_c",))])


def test_without_a_browser_one_sentence_says_so(html: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser.shutil, "which", lambda _: None)
    with pytest.raises(BrowserError, match=r"^The PDF and the EPUB are made with Chromium, and there is none"):
        write_pdf(tmp_path / "a.pdf", html, PARTS, CITATION, MACROS)
    assert list(tmp_path.iterdir()) == []


def test_a_pdf_has_bookmarks_and_links_and_the_same_bytes(html: Path, tmp_path: Path, chromium: Browser) -> None:
    assert write_pdf(tmp_path / "a.pdf", html, PARTS, CITATION, MACROS, chromium) == []  # the wide table fits
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.count(b"/CreationDate (D:20260102000000") == 1
    numbers = page_numbers(data)
    assert numbers["index"] == 3  # after title page and contents
    assert numbers["notebooks-10_a"] == 4
    assert numbers["notebooks-10_a--thm-one"] == 4
    assert numbers["notebooks-11_b"] == 5
    titles = re.findall(rb"/Title \(([^)]*)\)", data)
    assert {b"Contents", b"Limits", b"First part", b"Ten", b"Eleven"} <= set(titles)
    assert b"/StructTreeRoot" in data
    assert b"/URI (https://example.org/)" in data
    write_pdf(tmp_path / "b.pdf", html, PARTS, CITATION, MACROS, chromium)
    assert (tmp_path / "b.pdf").read_bytes() == data


def test_an_epub_is_xhtml_with_mathml_and_the_same_bytes(html: Path, tmp_path: Path, chromium: Browser) -> None:
    for name in ("a", "b"):
        write_epub(tmp_path / f"{name}.epub", html, PARTS, CITATION, MACROS, chromium)
    assert (tmp_path / "a.epub").read_bytes() == (tmp_path / "b.epub").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.epub") as archive:
        assert archive.infolist()[0].filename == "mimetype"
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
        files = {name: archive.read(name) for name in archive.namelist()}
    for name, data in files.items():
        if name.endswith((".xhtml", ".opf", ".xml")):
            xml.dom.minidom.parseString(data)
        assert b"halign" not in data  # as pandas writes it, and XHTML does not have it
    chapter = files["EPUB/notebooks-10_a.xhtml"].decode()
    assert chapter.count("<math") == 4
    assert "\\(" not in chapter
    assert "\\KL" not in chapter
    assert 'src="images/a.png"' in chapter
    assert 'href="index.xhtml"' in chapter
    assert 'href="#fig"' in chapter or 'href="notebooks-10_a.xhtml#fig"' in chapter
    package = files["EPUB/content.opf"].decode()
    assert {name.removeprefix("EPUB/") for name in files if name.startswith("EPUB/")} - {"content.opf"} == set(
        re.findall(r'<item id="[^"]*" href="([^"]*)"', package)
    )
    assert package.count("<itemref") == 5
    with zipfile.ZipFile(tmp_path / "a.epub") as archive:
        archive.extractall(tmp_path)
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    for name in ("10_a", "11_b"):  # a long formula and one in a list of lists, a wide table
        page.goto((tmp_path / "EPUB" / f"notebooks-{name}.xhtml").as_uri())
        for width in (390, 320):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width], name
    page.close()
