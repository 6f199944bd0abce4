"""Words of inline code that a line does not break: an option such as ``--run-base`` is no two words at its hyphen."""

from __future__ import annotations

import html
import re

from sphinx.application import Sphinx

__all__ = ["keep_whole", "setup"]

_WORD = re.compile(r'<span class="pre">([^<]*)</span>')  # as Sphinx writes each word of inline code
_LONGEST = 26  # letters; more might not fit into a cell or a list on a phone


def keep_whole(body: str) -> str:
    """Mark the words of inline code that are short enough for a line of their own.

    >>> keep_whole('<code><span class="pre">--run-base</span></code>')
    '<code><span class="pre whole">--run-base</span></code>'
    """
    return _WORD.sub(
        lambda m: f'<span class="pre whole">{m[1]}</span>' if len(html.unescape(m[1])) <= _LONGEST else m[0], body
    )


def keep_words_whole(app: Sphinx, page: str, template: str, context: dict[str, str], tree: object) -> None:
    """Mark them in a page before it is written."""
    if "body" in context:
        context["body"] = keep_whole(context["body"])


def setup(app: Sphinx) -> dict[str, str | bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", keep_words_whole)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
