"""The book as an EPUB: an XHTML file a page, formulas as MathML by the MathJax of the pages, always the same bytes."""

from __future__ import annotations

import mimetypes
import re
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup
from bs4.element import Tag

from alignbook.citation import Citation
from alignbook.volume.articles import Article, Part, articles
from alignbook.volume.browser import page_of_browser
from alignbook.volume.document import FROM_NOTEBOOKS, style
from alignlib._core.errors import InputError
from alignlib._core.files import whole_file, write_whole
from alignlib._core.safe_text import for_html, for_json
from alignlib._core.working import working_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["write_epub"]

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" '
    'xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">\n<head><meta charset="utf-8"/>'
    '<title>{title}</title><link rel="stylesheet" type="text/css" href="epub.css"/></head>\n<body>\n'
)
_FOOT = "\n</body>\n</html>\n"
_CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="EPUB/content.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
# What a table or a cell said in attributes that XHTML no longer has, and roles that a reading system does not know.
_OLD = (
    "align",
    "halign",  # of pandas, where a heading spans columns
    "valign",
    "border",
    "cellpadding",
    "cellspacing",
    "width",
    "height",
    "start-value",
    "role",
    "frame",
    "rules",
)
_BLOCKS = ("p", "div", "ul", "ol", "dl", "table", "figure", "section", "pre", "h1", "h2", "h3", "h4", "blockquote")
_LINE = 12  # signs of a formula that fit into a line of a list on a small phone (320 px), which does not break it
_TEX = re.compile(r"\s*\\[(\[](.*)\\[)\]]\s*", re.DOTALL)


def write_epub(
    target: Path,
    html: Path,
    parts: Sequence[Part],
    citation: Citation,
    macros: Mapping[str, Any],
    browser: Browser | None = None,
) -> None:
    """Write the pages in ``html`` as one EPUB; arguments as of `alignbook.volume.pdf.write_pdf`.

    Raises
    ------
    BrowserError
        Where there is no Chromium.
    InputError
        Where a page or a picture is missing, or a formula cannot be set.
    """
    chosen = articles(html, parts, apart=True)
    _set_formulas(chosen, html, macros, browser)
    files: dict[str, bytes] = {"epub.css": style("epub.css").encode()}
    for article in chosen:
        _tidy(article.body)
        for picture in article.body.find_all("img", src=True):
            source = str(picture["src"])
            name = f"images/{Path(source).name}"
            files[name] = (html / source).read_bytes()
            picture["src"] = name
    pages = {"title.xhtml": _page(citation.title, _title_page(citation)), "nav.xhtml": _nav(citation, chosen)}
    for article in chosen:
        body = article.body.decode(formatter="minimal")
        pages[f"{article.key}.xhtml"] = _page(article.title, body)
    files |= {name: text.encode() for name, text in pages.items()}
    package = _package(citation, sorted(files), [article.key for article in chosen], pages)
    year, month, day = map(int, citation.date.split("-"))
    date = (year, month, day, 0, 0, 0)
    content = {"META-INF/container.xml": _CONTAINER.encode(), "EPUB/content.opf": package.encode()}
    content |= {f"EPUB/{name}": data for name, data in sorted(files.items())}
    with whole_file(target) as file, zipfile.ZipFile(file, "w") as archive:
        # The first, not packed: by it an EPUB is known.
        archive.writestr(zipfile.ZipInfo("mimetype", date), b"application/epub+zip")
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, date)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)


def _set_formulas(
    chosen: Sequence[Article], html: Path, macros: Mapping[str, Any], browser: Browser | None = None
) -> None:
    """Put MathML in the place of TeX."""
    places = [tag for article in chosen for tag in article.body.select(".math")]
    asked: dict[tuple[str, bool], str] = {}
    for tag in places:
        if (key := _formula(tag)) is not None:
            asked.setdefault(key, "")
    if not asked:
        return
    configuration = for_json({"tex": {"macros": dict(macros)}, "startup": {"typeset": False}}, indent=None)
    source = (
        f'<!doctype html><meta charset="utf-8"><base href="{html.resolve().as_uri()}/">'
        f"<script>window.MathJax = {configuration}</script>"
        '<script src="_static/mathjax/tex-chtml.js"></script>'
    )
    with page_of_browser(browser) as page, working_folder() as folder:
        write_whole(folder / "mathjax.html", source)
        page.goto((folder / "mathjax.html").as_uri(), wait_until="load")
        page.set_default_timeout(600_000)
        found = page.evaluate(
            "async asked => { await MathJax.startup.promise; const all = [];"
            "for (const [tex, display] of asked) all.push(await MathJax.tex2mmlPromise(tex, {display})); return all; }",
            [list(key) for key in asked],
        )
    asked = dict(zip(asked, found, strict=True))
    wrong = [tex for (tex, _), mml in asked.items() if "<merror" in mml]
    if wrong:
        raise InputError(f"Formulas with errors: {'; '.join(wrong[:5])}.")
    for tag in places:
        if (key := _formula(tag)) is not None:
            _replace(tag, asked[key])


def _formula(tag: Tag) -> tuple[str, bool] | None:
    """The TeX of an element that Sphinx marked as mathematics, and whether it is set apart."""
    text = "".join(str(child) for child in tag.strings if child.find_parent(class_="eqno") is None)
    match = _TEX.fullmatch(text)
    return None if match is None else (match[1].strip(), tag.name == "div")


def _replace(tag: Tag, mml: str) -> None:
    number = tag.select_one(".eqno")
    tag.clear()
    tag.append(BeautifulSoup(mml, "html.parser"))
    if tag.name == "span" and len("".join(tag.get_text().split())) > _LINE:
        tag["class"] = " ".join([*map(str, tag.get_attribute_list("class")), "scroll"])
    if number is not None:
        tag.append(number)


def _tidy(body: Tag) -> None:
    """Leave what XHTML of an EPUB may hold."""
    for tag in body.find_all(True):
        for name in [name for name in tag.attrs if name in _OLD or name.startswith(("data-", "aria-"))]:
            if not (tag.name == "img" and name in ("width", "height")):
                del tag[name]
    for table in body.find_all("table"):
        for group in table.find_all("colgroup"):
            group.decompose()
        if table.find_parent("table") is None:
            table.wrap(Tag(name="div", attrs={"class": "scroll"}))  # what is wider than the page moves in its own box
    for number in body.select("p.eqno"):
        number.name = "span"
    for tag in body.select("span, a, em, strong, code"):  # blocks within a line, which Sphinx writes in places
        if any(isinstance(child, Tag) and child.name in _BLOCKS for child in tag.children):
            tag.name = "div" if tag.name == "span" else tag.name
    for image in body.find_all("img"):
        if not image.get("alt"):
            image["alt"] = ""
        for name in ("width", "height"):
            if name in image.attrs and not str(image[name]).isdigit():
                del image[name]


def _page(title: str, body: str) -> str:
    return _HEAD.format(title=for_html(title)) + body + _FOOT


def _title_page(citation: Citation) -> str:
    facts = [citation.authors, f"Version {citation.version}, {citation.date}", citation.address, citation.licences]
    said = "".join(f"<p>{for_html(fact)}</p>" for fact in facts if fact)
    return (
        f'<section class="title-page" epub:type="titlepage"><h1>{for_html(citation.name)}</h1>'
        f'<p class="subtitle">{for_html(citation.subtitle)}</p>{said}<p>{FROM_NOTEBOOKS}</p></section>'
    )


def _nav(citation: Citation, chosen: Sequence[Article]) -> str:
    lines, part = [], ""
    for article in chosen:
        if article.part != part:
            lines.append(("</ol></li>" if part else "") + f"<li><span>{for_html(article.part)}</span><ol>")
            part = article.part
        lines.append(f'<li><a href="{article.key}.xhtml">{for_html(article.title)}</a></li>')
    end = "</ol></li>" if part else ""
    nav = f'<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>{"".join(lines)}{end}</ol></nav>'
    return _page(f"Contents of {citation.name}", nav)


def _package(citation: Citation, files: Sequence[str], keys: Sequence[str], pages: Mapping[str, str]) -> str:
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"{citation.title} {citation.version}")
    items = []
    for name in files:
        kind = "application/xhtml+xml" if name.endswith(".xhtml") else mimetypes.guess_type(name)[0]
        has_formulas = name in pages and "<math" in pages[name]
        properties = ["nav"] if name == "nav.xhtml" else ["mathml"] if has_formulas else []
        said = f' properties="{" ".join(properties)}"' if properties else ""
        items.append(f'<item id="{_id(name)}" href="{name}" media-type="{kind}"{said}/>')
    spine = "".join(f'<itemref idref="{_id(f"{key}.xhtml")}"/>' for key in ("title", "nav", *keys))
    metadata = (
        f'<dc:identifier id="id">urn:uuid:{identifier}</dc:identifier><dc:title>{for_html(citation.title)}</dc:title>'
        f"<dc:language>en</dc:language><dc:creator>{for_html(citation.authors)}</dc:creator>"
        f"<dc:date>{citation.date}</dc:date><dc:rights>{for_html(citation.licences)}</dc:rights>"
        f'<meta property="dcterms:modified">{citation.date}T00:00:00Z</meta>'
        '<meta property="schema:accessMode">textual</meta><meta property="schema:accessMode">visual</meta>'
        '<meta property="schema:accessibilityFeature">alternativeText</meta>'
        '<meta property="schema:accessibilityFeature">MathML</meta>'
        '<meta property="schema:accessibilityFeature">tableOfContents</meta>'
        '<meta property="schema:accessibilityHazard">none</meta>'
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
        'unique-identifier="id" xml:lang="en"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"{metadata}</metadata><manifest>{''.join(items)}</manifest><spine>{spine}</spine></package>\n"
    )


def _id(name: str) -> str:
    return "f-" + re.sub(r"[^A-Za-z0-9_.-]", "-", name)
