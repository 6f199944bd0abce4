"""Words of inline code that a line does not break: an option such as ``--run-base`` is no two words at its hyphen."""

from __future__ import annotations

import html
import re

from sphinx.application import Sphinx

__all__ = ["keep_whole", "setup"]

_WORD = re.compile(r'<span class="pre">([^<]*)</span>')  # as Sphinx writes each word of inline code
_LONGEST = 26  # letters; more might not fit into a cell or a list on a phone
_LINE = 38  # letters of a line of code on a phone
_PLACE = re.compile(r"(?<=[./:=,(])(?=[^./:=,()])")  # where a longer word breaks: after a dot and the like


def keep_whole(body: str) -> str:
    """Mark the words of inline code that are short enough for a line of their own; longer ones break between names.

    >>> keep_whole('<code><span class="pre">--run-base</span></code>')
    '<code><span class="pre whole">--run-base</span></code>'
    >>> keep_whole('<span class="pre">answers.output.frontier_sentences</span>').count("<wbr>")
    2
    """
    return _WORD.sub(_marked, body)


def _marked(word: re.Match[str]) -> str:
    if _fits(word[1]):
        return f'<span class="pre whole">{word[1]}</span>'
    letters = html.unescape(word[1])
    names = _PLACE.split(letters)
    if len(names) == 1:
        return word[0]
    marked = "<wbr>".join(
        f'<span class="whole">{name}</span>' if _fits(name) else name for name in map(html.escape, names)
    )
    return f'<span class="{"pre names" if len(letters) <= _LINE else "pre"}">{marked}</span>'


def _fits(text: str) -> bool:
    return len(html.unescape(text)) <= _LONGEST


def keep_words_whole(app: Sphinx, page: str, template: str, context: dict[str, str], tree: object) -> None:
    """Mark them in a page before it is written."""
    if "body" in context:
        context["body"] = keep_whole(context["body"])


def setup(app: Sphinx) -> dict[str, str | bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", keep_words_whole)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
