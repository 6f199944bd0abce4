"""Links to terms of the glossary carry the first paragraph of the definition, which ``book.js`` shows on the spot."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from alignlib._core.text import for_html

PAGE = "glossary"
_LINK = re.compile(r'<a class="reference internal" href="(?P<page>[^"#]*)#(?P<term>term-[^"]+)"')


def definitions(tree: nodes.document) -> dict[str, str]:
    """Return the first paragraph of each definition, as plain text, by the anchor of its term."""
    found: dict[str, str] = {}
    for item in tree.findall(nodes.definition_list_item):
        first = next(item.findall(nodes.paragraph), None)
        if first is not None:
            text = " ".join(first.astext().split())
            found |= {anchor: text for term in item.findall(nodes.term) for anchor in term["ids"]}
    return found


def tell_definitions(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Write each definition beside the links to it."""
    if "body" not in context or page == PAGE or PAGE not in app.env.all_docs:
        return
    if not hasattr(app, "_glossary"):
        app._glossary = definitions(app.env.get_doctree(PAGE))  # type: ignore[attr-defined]
    known: dict[str, str] = app._glossary  # type: ignore[attr-defined]

    def told(link: re.Match[str]) -> str:
        here = Path(link["page"]).stem == PAGE and link["term"] in known
        return f'{link[0]} data-definition="{for_html(known[link["term"]])}"' if here else link[0]

    context["body"] = _LINK.sub(told, context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", tell_definitions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
