"""Works of the bibliography by the names of their authors: texts write keys such as ``Y24``, pages show names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["name_works", "short_names"]

_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,\s]+),(?P<fields>.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = r"^\s*{}\s*=\s*\{{(?P<value>.*)\}},?\s*$"
_ACCENT = re.compile(r"\{?\\[`'^\"~](?:\{(\w)\}|(\w))\}?")
# A letter or more, then a year of two or four digits: no key that is also the name of a method.
_KEY = re.compile(r"(?<![\w`{\\$./-])[A-Z][A-Za-z]*\d{2}(?:\d{2})?(?![\w`}])")
_TITLE = re.compile(r"^(`{3,}\{prf:\w+\} *)(.*)$", re.MULTILINE)
# Code, roles and mathematics; a fence that opens a box (`{prf:theorem}`) holds text.
_QUOTED = re.compile(r"^`{3,}(?!\{)[^`]*^`{3,}|(?<!`)`[^`\n]+`(?!`)|\$\$.*?\$\$|\$[^$\n]*\$", re.DOTALL | re.MULTILINE)
_SOURCE = re.compile(r"(?<=<td>)[^<]*(?=</td>)")


def short_names(bibliography: Path) -> dict[str, str]:
    """Return the authors and the year of each entry of a BibTeX file: ``{"Y24": "Yang et al. 2024"}``."""
    if not bibliography.is_file():
        return {}
    found = {}
    for entry in _ENTRY.finditer(bibliography.read_text(encoding="utf-8")):
        fields = {
            name: match["value"]
            for name in ("author", "year")
            if (match := re.search(_FIELD.format(name), entry["fields"], re.MULTILINE))
        }
        if {"author", "year"} <= set(fields):
            found[entry["key"]] = f"{_families(fields['author'])} {fields['year']}"
    return found


def _families(authors: str) -> str:
    """Return the family names of BibTeX's list of authors, shortened.

    >>> _families("Yang, Joy Qiping and Salamatian, Salman and Sun, Ziteng"), _families("Cram{\\\\'e}r, Harald")
    ('Yang et al.', 'Cramér')
    """
    people = [_plain(person.partition(",")[0]) for person in authors.split(" and ")]
    return f"{people[0]} et al." if len(people) > 2 else " and ".join(people)


def _plain(name: str) -> str:
    accents = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308"}

    def accented(match: re.Match[str]) -> str:
        import unicodedata

        mark = match[0].lstrip("{")[1]
        return unicodedata.normalize("NFC", (match[1] or match[2]) + accents[mark])

    return _ACCENT.sub(accented, name).replace("{", "").replace("}", "").strip()


def name_works(node: Any, names: Mapping[str, str], *, prose: bool = True) -> None:
    """Replace keys by names in a notebook: in text by a reference, in titles of boxes and tables of claims by the name.

    Parameters
    ----------
    node : notebook
        As JSON or as nbformat reads it; changed in place.
    names : mapping
        What `short_names` returns.
    prose : bool
        Whether text and captions are changed too; not where they may hold a reader's words.
    """

    def named(text: str) -> str:
        return _KEY.sub(lambda key: names.get(key[0], key[0]), text)

    def cited(text: str) -> str:
        return _KEY.sub(lambda key: f"{{cite:t}}`{key[0]}`" if key[0] in names else key[0], text)

    for cell in node["cells"]:
        if cell["cell_type"] == "markdown":
            text = _TITLE.sub(lambda match: match[1] + named(match[2]), _text(cell["source"]))
            ends = [0, *(edge for match in _QUOTED.finditer(text) for edge in match.span()), len(text)]
            parts = [text[a:b] for a, b in itertools.pairwise(ends)]
            cell["source"] = "".join(cited(part) if prose and i % 2 == 0 else part for i, part in enumerate(parts))
        figure = cell.get("metadata", {}).get("mystnb", {}).get("figure", {})
        if prose and "caption" in figure:
            figure["caption"] = named(figure["caption"])
        for output in cell.get("outputs", []):
            page = output.get("data", {}).get("text/html")
            if page and 'class="claims"' in _text(page):
                output["data"]["text/html"] = _SOURCE.sub(lambda match: named(match[0]), _text(page))


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
