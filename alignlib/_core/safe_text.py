"""Text that came from a reader (a column, a cell, a file name, an option) made safe for the place that it goes to.

Such text is data wherever it is shown: it is read as typed and never runs, opens, loads or hides anything. A function
escapes once for one destination; text that is already escaped must not be escaped again. What has no shape of its own
(control characters, marks that turn the direction of writing, invisible ones, halves of surrogate pairs) is written as
Python would escape it, so ``\\n`` in a name is seen as a backslash and an n, in every destination but JSON.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = [
    "for_alt",
    "for_csv",
    "for_html",
    "for_json",
    "for_markdown",
    "for_math",
    "for_picture",
    "for_terminal",
    "hide_password",
    "lines_for_terminal",
    "visible",
    "without_password",
]

# Joiners shape letters of several scripts and emoji; selectors choose the look of the sign before them.
_KEPT = {"\u200c", "\u200d"}
# What opens something in MyST, CommonMark or Jupyter wherever it stands in a line.
_MARKUP = re.compile(r"[\\`*_{}\[\]<>&$|~#^]")
# Entities rather than backslashes for what a renderer may look for before it has dealt with backslashes.
_ENTITIES = {"\\", "$", "<", ">", "&"}
_FORMULA = (r"\t", r"\r", r"\n", "=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# Where the part of an address begins that may hold user:password@, also of one that was typed without its slashes.
_KIND = re.compile(r"(?i)[a-z][a-z0-9+.-]{1,99}:[/\\]+|(?:https?|s?ftp|s3|gs|hdfs)(?::|//)")
_OF_HERE = re.compile(r"(?i)(?:file|local):")
_PORT = re.compile(r"[^@]*:\d{1,5}")  # host:port, after which an @ is one of a path
_HIDDEN: dict[str, str] = {}  # what addresses that were given hold, as sentences may write it, and how it is shown


def hide_password(address: str) -> str:
    """Return an address without its password, which `without_password` then finds in every text.

    Called where an address is given, as a path or an option; a cell or a name that looks like one stays as it is.

    Parameters
    ----------
    address : str
        As typed.

    Returns
    -------
    str
        With ``***`` for what stands from the first ``:`` of the user to the last ``@`` before the path.

    Examples
    --------
    >>> hide_password("http://me@org.com:secret@host:80/a@b.csv"), hide_password("s3://host:80/a@b.csv")
    ('http://me@org.com:***@host:80/a@b.csv', 's3://host:80/a@b.csv')
    """
    for kind in _KIND.finditer(address):
        rest = address[kind.end() :]
        if "@" not in rest:
            break
        first = re.split(r"[/?#]", rest, maxsplit=1)[0]
        port = _PORT.fullmatch(first) is not None and int(first.rpartition(":")[2]) < 1 << 16
        slash = "@" not in first and ":" in first and not port  # of a password, as it is
        user, at, _ = (rest if slash else first).rpartition("@")
        name, colon, password = user.partition(":")
        if not (at and colon and password) or _OF_HERE.match(kind[0]):
            continue
        whole = user + at + re.split(r"[/?#]", rest[len(user) + 1 :], maxsplit=1)[0]
        shown = f"{name}:***{whole[len(user) :]}"
        for held in (whole, re.sub(r"/+", "/", whole)):  # a path has lost slashes
            forms = {held, _seen(held), repr(f"'{held}")[2:-1], repr(held)[1:-1], quote(held, safe="/:@")}
            forms |= {json.dumps(form, ensure_ascii=False)[1:-1] for form in forms}
            _HIDDEN.update(dict.fromkeys(forms, shown))
        return address[: kind.end()] + shown + rest[len(whole) :]
    return address


def without_password(text: str) -> str:
    """Return a text in which no address that was given has its password.

    Parameters
    ----------
    text : str
        A path, or a sentence that names some.

    Returns
    -------
    str
        With ``***`` in its place.

    Examples
    --------
    >>> _ = hide_password("https://u:secret@host/t.csv")
    >>> without_password("Nothing is found at https://u:secret@host/t.csv; the column is 'https://u:other@host'.")
    "Nothing is found at https://u:***@host/t.csv; the column is 'https://u:other@host'."
    """
    if "@" not in text or not _HIDDEN:
        return text
    forms = "|".join(re.escape(held) for held in sorted(_HIDDEN, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{forms})(?!\w)", lambda found: _HIDDEN[found[0]], text)


def visible(text: str) -> str:
    r"""Return ``text`` on one line, with what cannot be seen written out.

    Parameters
    ----------
    text : str
        Anybody's.

    Returns
    -------
    str
        Control characters, directions and lone surrogates are escapes in it; addresses that were given have no
        password.

    Examples
    --------
    >>> visible("a\tb\u202ec"), visible("naïve 数 👩‍🔬")
    ('a\\tb\\u202ec', 'naïve 数 👩\u200d🔬')
    """
    return _seen(without_password(text))


def for_terminal(text: str) -> str:
    r"""Return one line for a terminal: no sequence moves the cursor, changes colours or forges another line.

    Parameters
    ----------
    text : str
        Anybody's.

    Returns
    -------
    str
        It moves no cursor.

    Examples
    --------
    >>> print(for_terminal("\x1b[31mred\r\n"))
    \x1b[31mred\r\n
    """
    return visible(text)


def lines_for_terminal(lines: Iterable[str]) -> str:
    r"""Return lines as one text for a terminal; a line break inside of one of them is written out.

    Parameters
    ----------
    lines : iterable of str
        Each of them anybody's.

    Returns
    -------
    str
        As many lines as there were.

    Examples
    --------
    >>> print(lines_for_terminal(["one", "two\nno third"]))
    one
    two\nno third
    """
    return "\n".join(map(for_terminal, lines))


def for_markdown(text: str) -> str:
    r"""Return MyST Markdown, for the inside or the start of a paragraph, caption or table cell, that reads as ``text``.

    Parameters
    ----------
    text : str
        Anybody's.

    Returns
    -------
    str
        It holds no markup, mathematics or HTML.

    Examples
    --------
    >>> print(for_markdown("{{x}} *a* $b$ <i>"), for_markdown("- no list"), for_markdown("1. none"))
    \{\{x\}\} \*a\* &#36;b&#36; &#60;i&#62; \- no list 1\. none
    """
    shown = visible(text)
    body = shown.strip(" ")
    if not body:
        return "&#32;" * len(shown)
    start, end = shown[: len(shown) - len(shown.lstrip(" "))], shown[len(shown.rstrip(" ")) :]
    number = re.match(r"\d+(?=[.)])", body)
    first = number.end() if number else 0  # a number in front of a list, else the first character of all
    escaped = "".join(
        _in_markdown(c) if _MARKUP.match(c) or (i == first and _is_punctuation(c)) else c for i, c in enumerate(body)
    )
    return "&#32;" * len(start) + escaped + "&#32;" * len(end)


def for_html(text: str) -> str:
    """Return HTML for the text of an element or the value of an attribute in quotation marks.

    Parameters
    ----------
    text : str
        Anybody's.

    Returns
    -------
    str
        It holds no tag and ends no attribute.

    Examples
    --------
    >>> for_html('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(visible(text), quote=True)


def for_math(text: str) -> str:
    r"""Return TeX for MathJax that sets ``text`` upright, whatever it holds.

    Parameters
    ----------
    text : str
        Anybody's.

    Returns
    -------
    str
        It holds no command of the text's own.

    Examples
    --------
    >>> print(for_math("a $b$"))
    \text{a }\unicode{x24}\text{b}\unicode{x24}
    """
    pieces = re.findall(r"[A-Za-z0-9 ]+|.", visible(text), re.DOTALL)
    return "".join(rf"\text{{{p}}}" if re.match(r"[A-Za-z0-9 ]", p) else rf"\unicode{{x{ord(p):X}}}" for p in pieces)


def for_alt(text: str) -> str:
    """Return alternative text of a picture; whoever writes the HTML escapes it there.

    Parameters
    ----------
    text : str
        Anybody's.

    Returns
    -------
    str
        One line, not escaped for HTML.
    """
    return visible(text)


def for_json(document: object, indent: int | None = 2) -> str:
    r"""Return JSON text with a line break at its end, without a character that cannot be seen.

    Nothing is lost but passwords of addresses that were given.

    It may stand in a ``<script>`` of HTML, too. Numbers must be finite.

    Parameters
    ----------
    document : object
        What `json` can write.
    indent : int, optional
        Spaces a level; None writes one line.

    Returns
    -------
    str
        In ASCII where a character would not be seen.

    Raises
    ------
    ValueError
        For NaN or an infinity.

    Examples
    --------
    >>> print(for_json({"a\x7f</script>": "\u202e"}, indent=None), end="")
    {"a\u007f\u003c/script>": "\u202e"}
    """
    text = without_password(json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False))
    away = [c for c in set(text) if c != "\n" and (c == "<" or not c.isprintable())]
    return text.translate({ord(c): _json_escape(c) for c in away}) + "\n"


def for_csv(value: object) -> object:
    """Return the value of a cell of CSV; a text that a spreadsheet would compute gets an apostrophe in front.

    Numbers are returned as they are; quotation marks are the writer's business.

    Parameters
    ----------
    value : object
        A number, a text, or None.

    Returns
    -------
    object
        A number as it is.

    Examples
    --------
    >>> for_csv("=1+1"), for_csv("gold"), for_csv(-1.5)
    ("'=1+1", 'gold', -1.5)
    """
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if _is_computed(shown) else shown


def for_picture(text: str, at_most: int = 40) -> str:
    r"""Return a label for matplotlib: a dollar sign is no mathematics, and a leading underscore does not hide it.

    Longer than ``at_most`` characters, it loses its middle.

    Parameters
    ----------
    text : str
        Anybody's.
    at_most : int
        Characters of the label.

    Returns
    -------
    str
        What matplotlib sets as it reads.

    Examples
    --------
    >>> print(for_picture("$a$"), for_picture("_run"), for_picture("a long name", at_most=7))
    \$a\$  _run a l…ame
    """
    shown = visible(text)
    if len(shown) > at_most:
        shown = f"{shown[: (at_most - 1) // 2]}…{shown[-(at_most // 2) :]}"
    shown = shown.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _is_computed(text: str) -> bool:
    """Whether a spreadsheet may compute a text, or would if its apostrophes were gone."""
    return text.lstrip(" '").startswith(_FORMULA)


def _seen(text: str) -> str:
    return "".join(c if c.isprintable() or c in _KEPT else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1] if character != "<" and ord(character) > 0x7F else f"\\u{ord(character):04x}"


def _is_punctuation(character: str) -> bool:
    return character.isascii() and not character.isalnum() and character != " "


def _in_markdown(character: str) -> str:
    return f"&#{ord(character)};" if character in _ENTITIES else f"\\{character}"
