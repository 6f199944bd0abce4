"""The search of the book: anchors for it to lead to, and what it looks through, written beside the pages.

Sphinx's own search knows no symbols, ranks by titles only, and has no excerpts where pages are files. Its index is not
made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from alignbook.search_entries import PageEntries, entries, script

_SHARED = {"proof", "proof-content"}  # of sphinx-proof

logger = logging.getLogger(__name__)


def name_rows(app: Sphinx, tree: nodes.document) -> None:
    """Give the rows of the page on notation anchors, for the search to lead to: a symbol each."""
    if app.env.docname != "notation":
        return
    for row in tree.findall(nodes.row):
        symbol = next(iter(row.findall(nodes.math)), None)
        if isinstance(row.parent, nodes.tbody) and symbol is not None and symbol.parent.parent is row.children[0]:
            name = plain = f"symbol-{nodes.make_id(symbol.astext().replace(chr(92), ' '))}"
            number = 1
            while name in tree.ids:
                number += 1
                name = f"{plain}-{number}"
            row["ids"].append(name)
            tree.ids[name] = row


def drop_shared_anchors(_: Sphinx, tree: nodes.document, __: str) -> None:
    """Take away the anchors that all theorems and proofs of a page share: they lead to none of them."""
    for node in tree.findall(nodes.Element):
        if node.get("ids") and set(node["ids"]) <= _SHARED:
            node["ids"] = []


def collect(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Keep the entries of a page that is about to be written, in the process that writes the index."""
    if app.builder.format == "html":
        found = entries(tree)
        title = found[0].title if found and found[0].kind == "page" else page
        app._search_pages[page] = PageEntries(app.builder.get_target_uri(page), title, found)  # type: ignore[attr-defined]


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the entries of all pages."""
    if error is None and app.builder.format == "html":
        target = Path(app.outdir, "_static", "search", "entries.js")
        target.parent.mkdir(parents=True, exist_ok=True)
        asked = Path(app.srcdir, "asked.yml")
        words = yaml.safe_load(asked.read_text(encoding="utf-8")) if asked.is_file() else {}
        if unknown := set(words) - set(app._search_pages):  # type: ignore[attr-defined]
            logger.warning("asked.yml names pages that there are not: %s", ", ".join(sorted(unknown)))
        target.write_text(script(app._search_pages, words), encoding="utf-8")  # type: ignore[attr-defined]


def drop_other_search(app: Sphinx, error: Exception | None) -> None:
    """Leave out the scripts of Sphinx's search, which no page loads (``_templates/layout.html``)."""
    for name in ("searchtools.js", "language_data.js"):
        Path(app.outdir, "_static", name).unlink(missing_ok=True)


def no_other_index(app: Sphinx) -> None:
    """Spare Sphinx its own index."""
    app._search_pages = {}  # type: ignore[attr-defined]
    app.builder.search = False  # type: ignore[attr-defined]


def search_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The page of the search, which Sphinx leaves out with its index."""
    yield "search", {}, "search.html"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", no_other_index)
    app.connect("doctree-read", name_rows)
    app.connect("doctree-resolved", drop_shared_anchors)
    app.connect("doctree-resolved", collect, priority=900)  # when nothing more is changed
    app.connect("html-collect-pages", search_page)
    app.connect("build-finished", write)
    app.connect("build-finished", drop_other_search)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
