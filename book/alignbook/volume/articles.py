"""The articles of the built pages, in the order of the contents, as one document can hold them.

A page of the book becomes an article without its code, its scripts and its buttons. In one document every name must be
the only one of its kind, so an anchor ``id`` of the page ``page`` becomes ``page--id``, and links follow.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from bs4 import BeautifulSoup
from bs4.element import Tag

from alignlib._core.errors import InputError

__all__ = ["Article", "Part", "articles", "contents"]

# Code opens on request on a page, where a reader can run it; on paper it stays in the notebook.
_LEFT_OUT = (
    "a.headerlink, details.hide, button, script, style, form, svg.sd-octicon, .cell-label, .explorer-controls, "
    ".chapter-bibtex, .figure-files"
)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Part:
    """A part of the contents: its caption (empty before the first) and the names of its pages."""

    caption: str
    pages: tuple[str, ...]


@dataclass(frozen=True)
class Article:
    """A page of the book: ``notebooks/10_best_of_n``, its title and its ``<section>``."""

    name: str
    part: str
    title: str
    body: Tag

    @property
    def key(self) -> str:
        """What its anchors begin with."""
        return self.name.replace("/", "-")


def contents(toc: Path) -> list[Part]:
    """Return the parts of ``_toc.yml``, the first page alone before them."""
    data = yaml.safe_load(toc.read_text(encoding="utf-8"))
    first = Part("", (data["root"],))
    return [first, *(Part(one["caption"], tuple(c["file"] for c in one["chapters"])) for one in data.get("parts", []))]


def articles(html: Path, parts: Collection[Part], *, apart: bool = False) -> list[Article]:
    """Return the articles of the pages in ``html``, their links led to each other.

    Parameters
    ----------
    html : Path
        The built pages.
    parts : collection of Part
        Which of them, in order.
    apart : bool
        Whether each article becomes a file of its own, ``key.xhtml``, rather than a place in one document.

    Raises
    ------
    InputError
        Where a page is missing.
    """
    found = [_article(html, part.caption, name) for part in parts for name in part.pages]
    known = {article.name: {str(tag["id"]) for tag in _named(article.body)} for article in found}
    for article in found:
        _rename(article, known, html, apart)
    return found


def _article(html: Path, part: str, name: str) -> Article:
    page = html / f"{name}.html"
    try:
        text = page.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{page} is missing; build the book first (`make book`).") from None
    start, end = text.find("<article"), text.rfind("</article>")
    body = BeautifulSoup(text[start:end], "html.parser").find("section")
    if not isinstance(body, Tag):
        raise InputError(f"{page} holds no article; build the book again (`make book`).")
    _clean(body)
    heading = body.find("h1")
    return Article(name, part, _SPACE.sub(" ", heading.get_text()).strip() if heading else name, body)


def _clean(body: Tag) -> None:
    """Take out what only a screen can use, and open what only a screen can open."""
    for tag in body.select(_LEFT_OUT):
        tag.decompose()
    for box in body.select(".explorer"):  # on paper, what stands in for it
        box.unwrap()
    for tag in body.select("div.cell, div.cell_output, div.output"):
        if not tag.get_text(strip=True) and tag.find("img") is None:
            tag.decompose()
    for details in body.find_all("details"):
        details.name = "div"
        del details["open"]
        for summary in details.find_all("summary"):
            summary.name = "p"
            summary["class"] = "admonition-title"
    for tag in body.select("[data-definition]"):
        del tag["data-definition"]
    seen: set[str] = set()
    for tag in _named(body):
        if str(tag["id"]) in seen:
            del tag["id"]
        else:
            seen.add(str(tag["id"]))


def _rename(article: Article, known: dict[str, set[str]], html: Path, apart: bool) -> None:
    """Give anchors, links and pictures of an article the names that they have in the volume."""
    folder = posixpath.dirname(article.name)
    for tag in _named(article.body):
        tag["id"] = str(tag["id"]) if apart else f"{article.key}--{tag['id']}"
    for name in ("aria-labelledby", "aria-describedby", "for"):
        for tag in article.body.select(f"[{name}]"):
            del tag[name]
    for link in article.body.find_all("a", href=True):
        href = str(link["href"])
        if re.match(r"[a-z][a-z0-9+.-]*:", href):
            continue
        path, _, anchor = href.partition("#")
        target = posixpath.normpath(posixpath.join(folder, path)).removesuffix(".html") if path else article.name
        if target not in known:
            link.unwrap()
            continue
        there = anchor if anchor in known[target] else ""
        link["href"] = _address(target.replace("/", "-"), there, apart)
    for picture in article.body.find_all("img", src=True):
        source = str(picture["src"])
        if not source.startswith("data:"):
            picture["src"] = posixpath.normpath(posixpath.join(folder, source))


def _address(key: str, anchor: str, apart: bool) -> str:
    if apart:
        return f"{key}.xhtml#{anchor}" if anchor else f"{key}.xhtml"
    return f"#{key}--{anchor}" if anchor else f"#{key}"


def _named(body: Tag) -> list[Tag]:
    """The section itself and all in it that has an anchor."""
    return [tag for tag in (body, *body.find_all(id=True)) if tag.get("id")]


def headings(body: Tag) -> Iterator[Tag]:
    """Yield the headings of an article, from the top."""
    yield from body.find_all(re.compile(r"h[1-6]"))
