"""A reader's text is read as typed in every destination, and is never more than text."""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.text
import pytest
import yaml
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import example, given
from matplotlib import cbook
from myst_parser.parsers.docutils_ import Parser

from alignlib._core.errors import InputError, quoted
from alignlib._core.safe_text import (
    for_alt,
    for_csv,
    for_html,
    for_json,
    for_markdown,
    for_math,
    for_picture,
    for_terminal,
    hide_password,
    lines_for_terminal,
    visible,
    without_password,
)
from tests.hostile import strings, texts

ROOT = Path(__file__).resolve().parent.parent
EXTENSIONS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["parse"]["myst_enable_extensions"]
STRINGS = strings("canary")
# Where a notebook quotes a text: at the start of a line, inside, at the end, in a list, table, heading, box.
PLACES = [
    "@",
    "before @ after",
    "before @",
    "@@",
    "- @",
    "> @",
    "1. @ and\n   @",
    "| a | b |\n|---|---|\n| @ | @ |",
    "# @",
    ":::{admonition} Answer\n:class: answer\n@\n:::",
    "one\n@\ntwo",
    "*@ and @*",
]


def tree(source: str) -> nodes.document:
    settings = {"myst_enable_extensions": EXTENSIONS, "report_level": 5, "doctitle_xform": False, "smart_quotes": False}
    return publish_doctree(source, parser=Parser(), settings_overrides=settings)


def shape(document: nodes.document) -> list[str]:
    """The elements of a document and what they hold, without their texts."""
    return [type(node).__name__ for node in document.findall() if not isinstance(node, nodes.Text)]


@pytest.mark.parametrize("place", PLACES)
def test_markdown_keeps_its_shape(place: str) -> None:
    for text in STRINGS:
        keeps_its_shape(place, text)


@cache
def harmless(place: str) -> tuple[list[str], str]:
    """The shape and the text of a place that quotes a word."""
    wanted = tree(place.replace("@", "word"))
    return shape(wanted), wanted.astext()


def keeps_its_shape(place: str, text: str) -> None:
    found, (wanted, said) = tree(place.replace("@", for_markdown(text))), harmless(place)
    assert shape(found) == wanted, text
    assert found.astext() == said.replace("word", visible(text)), text


@given(texts())
@example("1")
@example(" ")
def test_any_text_in_markdown(text: str) -> None:
    keeps_its_shape("@\n\nbefore @ after\n\n| a |\n|---|\n| @ |", text)


def test_the_control_of_markdown() -> None:
    """The comparison of shapes sees every kind of markup, unescaped."""
    wanted = shape(tree("word"))
    kept = [
        text for text in ("*a*", "$x$", "<b>", "# h", "- i", "```\nx\n```", "{math}`x`") if shape(tree(text)) == wanted
    ]
    assert kept == []


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@given(texts())
def test_any_text_in_html(text: str) -> None:
    parser = _Texts()
    parser.feed(f'<b title="{for_html(text)}">{for_html(text)}</b>')
    parser.close()
    assert (parser.tags, parser.values, parser.text) == (["b"], [visible(text)], visible(text))


@given(texts())
def test_any_text_in_json(text: str) -> None:
    written = for_json({text: [text, 1.5, None]})
    assert json.loads(written) == {text: [text, 1.5, None]}
    assert all(line.isprintable() for line in written.splitlines())
    assert "<" not in written
    written.encode()  # no half of a pair


@given(texts())
def test_any_text_in_csv(text: str) -> None:
    file = io.StringIO()
    csv.writer(file).writerow([for_csv(text), for_csv(-1.5)])
    ((cell, number),) = csv.reader(io.StringIO(file.getvalue()))
    assert cell in (visible(text), f"'{visible(text)}")
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert number == "-1.5"


@given(texts())
def test_any_text_on_a_terminal(text: str) -> None:
    for shown in (for_terminal(text), for_alt(text), visible(text)):
        assert all(c.isprintable() or c in "\u200c\u200d" for c in shown)
        assert visible(shown) == shown
    assert lines_for_terminal([text, text]).count("\n") == 1


@given(texts())
def test_any_text_in_a_picture(text: str) -> None:
    label = for_picture(text)
    assert not cbook.is_math_text(label)
    assert not label.startswith("_")
    drawn, is_math = matplotlib.text.Text(text=label)._preprocess_math(label)
    assert is_math is False
    if len(visible(text)) <= 40:
        assert drawn.removeprefix(" ") == visible(text).removeprefix(" ")


@given(texts())
def test_any_text_in_mathematics(text: str) -> None:
    """Letters, digits and spaces stand in ``\\text``, all else is named by its number."""
    rest = for_math(text)
    shown = ""
    while rest:
        command, _, rest = rest.partition("}")
        name, _, value = command.partition("{")
        assert name in (r"\text", r"\unicode")
        shown += value if name == r"\text" else chr(int(value.removeprefix("x"), 16))
        assert name == r"\unicode" or value.replace(" ", "a").isalnum()
    assert shown == visible(text)


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "http://u:SECRET@h/t.csv",
            "HTTPS://u:SECRET@h:8080/t.csv?a=1",
            "s3:/key:SECRET@b/t.csv",
            "http:u:SECRET@h/t",
        ),
        *(
            "postgresql://u:SECRET@h/db",
            "simplecache::http://u:SECRET@h/*",
            "ftp://:SECRET@h",
            "http://u:SECRET:@[::1]/t",
        ),
        *("http://u:SECR/SECRET@h/t.csv", "http://u:SECRET@SECRET@h/t", "http://u:1SECRET@h", "http:///u:SECRET@h/t"),
        *(
            "http://me@org.com:SECRET@h:80/t",
            "http://u:99999/SECRET@h/f",
            "http://u:/SECRET@h/f",
            "name=.http://u:SECRET@h",
        ),
        *("http://u'x:SECRET@h", "http://u:SE#CRET@h/f", "http://u:SE\x85CRET \\ @h/f", "http:\\\\u:SECRET@h"),
        *("http://u:it's-SECRET@h", "http://u:%40SECRET@h", "http://u:" + "SECRET" * 100 + "@h"),
    ],
)
def test_no_output_has_the_password_of_an_address(typed: str) -> None:
    """Of any kind of address that was given, alone, in a sentence and in a document; all else of it is shown."""
    meant = hide_password(typed)
    document = {"path": typed, "notes": [f"{typed} and {typed!r} are one.", typed]}
    shown = [f(f"({typed}), read.") for f in (for_alt, for_html, for_markdown, for_math, for_picture, for_terminal)]
    shown += [str(InputError(f"Nothing is found at {typed}; check {typed!r}.")), str(for_csv(typed)), quoted(typed, 12)]
    shown += [for_json(document), for_json(document, indent=None), without_password(typed)]
    assert not any("SEC" in one or "CRET" in one for one in shown)
    assert json.loads(for_json(document))["path"] == without_password(typed) == meant
    assert meant.endswith(typed[typed.rindex("@") :])


@pytest.mark.parametrize(
    "typed", ["http://h:80/a@b.csv", "file:///a:c@b/t.csv", "s3://b/x:y@z", "a:b@c", "C:/u:x@y", "http://u@h"]
)
def test_what_is_no_password_is_shown(typed: str) -> None:
    assert hide_password(typed) == without_password(typed) == typed
    assert json.loads(for_json([typed])) == [typed]


def test_cells_and_names_that_look_like_addresses_are_shown() -> None:
    """Two of them stay two, also beside an address that was given."""
    hide_password("http://u:given@h/t.csv")
    names = ["http://u:one@h", "http://u:two@h", "http://h?mail=x@y", "au:given@h", "u:given@hh"]
    assert (
        json.loads(for_json(names)) == [for_csv(name) for name in names] == [visible(name) for name in names] == names
    )


def test_no_text_takes_long_to_be_looked_through_for_passwords() -> None:
    for text in ("a" * 10**5, "a:/" * 10**5, "a:/b:c" * 10**4, "a:/b:" * 10**4):
        assert hide_password(f"@{text}") == without_password(f"@{text}") == f"@{text}"
