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


def keep_whole(body: str, longest: int = _LONGEST) -> str:
    """Mark words of inline code that are short enough for a line of their own; longer ones break between names.

    >>> keep_whole('<code><span class="pre">--run-base</span></code>')
    '<code><span class="pre whole">--run-base</span></code>'
    >>> keep_whole('<span class="pre">answers.output.frontier_sentences</span>').count("<wbr>")
    2
    """

    def marked(word: re.Match[str]) -> str:
        letters = html.unescape(word[1])
        if len(letters) <= longest:
            return f'<span class="pre whole">{word[1]}</span>'
        names = [(html.escape(name), len(name) <= longest) for name in _PLACE.split(letters)]
        if len(names) == 1:
            return word[0]
        inside = "<wbr>".join(f'<span class="whole">{name}</span>' if fits else name for name, fits in names)
        return f'<span class="{"pre names" if len(letters) <= _LINE else "pre"}">{inside}</span>'

    return _WORD.sub(marked, body)


def keep_words_whole(app: Sphinx, page: str, template: str, context: dict[str, str], tree: object) -> None:
    """Mark them in a page before it is written; in the column of its contents, which is narrow, none is kept whole."""
    if "body" in context:
        context["body"] = keep_whole(context["body"])
    if "toc" in context:
        context["toc"] = keep_whole(context["toc"], longest=0)


def setup(app: Sphinx) -> dict[str, str | bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", keep_words_whole)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
