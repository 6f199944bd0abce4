"""The built book as the tests see it: where it is, which pages it has, what each page's HTML refers to."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from alignbook.volume.browser import BrowserError, find_browser

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "build" / "_build" / "html"
NO_BROWSER = (
    "These tests open pages in Chromium, and there is none on this machine: install it (on Debian, apt-get install "
    "chromium), or run make test, which does without."
)


def browser_here() -> str | None:
    """Return the program, where there is one."""
    try:
        return find_browser()
    except BrowserError:
        return None


def need_book() -> None:
    """Fail unless the pages are there, and with them what was recorded of the notebooks."""
    if not (HTML / "index.html").is_file():
        pytest.fail("The book is not built: run make book.", pytrace=False)


def toc_pages() -> list[str]:
    """Return the pages of the table of contents, the first page first, as ``notebooks/NN_topic``."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *chapters]


class PageParser(HTMLParser):
    """Collect what a page defines (ids), links to (anchors) and loads (scripts, styles, pictures, frames)."""

    LOADS: ClassVar = {
        "script": "src",
        "img": "src",
        "link": "href",
        "iframe": "src",
        "source": "src",
        "object": "data",
    }

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.repeated: set[str] = set()
        self.links: set[str] = set()
        self.resources: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        values = {name: value or "" for name, value in attrs}
        own = values.get("id")  # an element may be an anchor by its name alone
        self.repeated |= {own} & self.ids if own is not None and own != values.get("name") else set()
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        leads = tag == "link" and values.get("rel") in ("index", "search", "next", "prev")
        if leads or (tag == "a" and "href" in values):
            self.links.add(values["href"])
        elif tag in self.LOADS and values.get(self.LOADS[tag]):
            self.resources.add(values[self.LOADS[tag]])


@cache
def parse(path: Path) -> PageParser:
    """Return what the page at ``path`` defines, links to and loads."""
    parser = PageParser()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser
