"""Formulas of the pages as plain text: what a search finds, and what its excerpts show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from alignbook.formulas import GREEK, SIGNS

__all__ = ["plain_math"]

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_&~]|\s+|.", re.DOTALL)
_SHOWN = {
    **{f"\\{name}": letter for letter, name in GREEK.items()},
    **{tex: sign for sign, tex in reversed(SIGNS.items()) if re.fullmatch(r"\\[A-Za-z]+", tex)},
    r"\epsilon": "ε", r"\phi": "φ", r"\sum": "∑", r"\prod": "∏", r"\mid": "|", r"\Vert": "‖", r"\|": "‖", r"\ll": "≪",
    r"\leq": "≤", r"\geq": "≥", r"\neq": "≠", r"\cdots": "⋯", r"\dots": "…", r"\ldots": "…", r"\lvert": "|",
    r"\rvert": "|", r"\langle": "⟨", r"\rangle": "⟩", r"\lfloor": "⌊", r"\rfloor": "⌋", r"\lceil": "⌈", r"\rceil": "⌉",
    r"\Rightarrow": "⇒", r"\iff": "⇔", r"\mapsto": "↦", r"\Theta": "Θ", r"\Xi": "Ξ", r"\iota": "ι", r"\setminus": "∖",
    r"\subset": "⊂", r"\subseteq": "⊆", r"\cdot": "·", r"\E": "E", r"\P": "P", r"\R": "ℝ", r"\argmax": "arg max",
    r"\ast": "*", r"\circ": "∘", r"\equiv": "≡", r"\asymp": "≍", r"\notin": "∉", r"\colon": ":", r"\prime": "′",
}  # fmt: skip
_SPACES = {"\\,", "\\;", "\\:", "\\ ", "\\quad", "\\qquad", "~", "&"}
_NOTHING = re.compile(r"\\(left|right|[bB]igg?[lrm]?|!|displaystyle|textstyle|limits|nolimits|label|nonumber|middle)$")
_TEXTUAL = {"mathrm", "text", "textrm", "textit", "operatorname", "mathbb", "mathcal", "mathbf", "boldsymbol", "mathit"}
_ACCENTS = {"hat": "\u0302", "widehat": "\u0302", "bar": "\u0304", "overline": "\u0304", "tilde": "\u0303"}
_OVER = {"frac", "tfrac", "dfrac"}
_RAISED = {c: s for s in "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ" for c in unicodedata.normalize("NFKC", s).replace("\u2212", "-")}
_FIXED = "\u00a0"  # a space within a formula, where no excerpt is cut


def plain_math(tex: str) -> str:
    r"""Write TeX as one reads it, in letters; there is no breakable space in it.

    >>> print(plain_math(r"R(\Delta)-R(0)=\sigma\sqrt{2\Delta}"), plain_math(r"\frac{a+b}{2}\le\chi^2"))
    R(Δ)-R(0)=σ√(2Δ) (a+b)/2≤χ²
    >>> plain_math(r"D_{\max}"), plain_math(r"\log p(\argmax r)")
    ('D_max', 'log\xa0p(arg\xa0max\xa0r)')
    >>> plain_math(r"\KL{\pi_\lambda}{p}=\log\E_p\,e^{\lambda r}"), plain_math(r"\hat r"), plain_math(r"\tfrac12")
    ('KL(π_λ‖p)=log\xa0E_p\xa0e^(λr)', 'r̂', '1/2')
    """
    text = _read(iter(_TOKEN.findall(tex)), until="")
    return unicodedata.normalize("NFC", re.sub(r"\s+", _FIXED, text).strip(_FIXED))


def _read(tokens: Iterator[str], until: str) -> str:
    parts: list[str] = []
    for token in tokens:
        if token == until:
            break
        if token in ("^", "_"):
            parts.append(_script(token, _one(tokens)))
            continue
        said = _said(token, tokens)
        # A word keeps its distance from the letter before or after it: log N.
        before = parts[-1] if parts else ""
        if before[-1:].isalnum() and said[:1].isalnum() and (_is_word(said) or _is_word(before) or before[0] == "_"):
            parts.append(" ")
        if said:
            parts.append(said)
    return "".join(parts)


def _is_word(text: str) -> bool:
    return len(text) > 1 and text.isascii() and text.replace(" ", "").isalpha()


def _one(tokens: Iterator[str]) -> str:
    """The argument of a command: a group, or one token."""
    for token in tokens:
        if not token.isspace():
            return _read(tokens, "}") if token == "{" else _said(token, tokens)
    return ""


def _said(token: str, tokens: Iterator[str]) -> str:
    name = token[1:] if token[:1] == "\\" else ""
    if token == "{":
        return _read(tokens, "}")
    if token in _SHOWN:
        return _SHOWN[token]
    if token in _SPACES or token == "\\\\":
        return " "
    if _NOTHING.match(token) or token == "}" or token.isspace():
        return ""
    if name in _OVER:
        above = _one(tokens)
        return f"{_grouped(above)}/{_grouped(_one(tokens))}"
    if name == "sqrt":
        return f"√{_grouped(_one(tokens), least=2)}"
    if name in _ACCENTS:
        return f"{_one(tokens)}{_ACCENTS[name]}"
    if name == "KL":
        return f"KL({_one(tokens)}‖{_one(tokens)})"
    if name == "binom":
        return f"binom({_one(tokens)}, {_one(tokens)})"
    if name.rstrip("*") in _TEXTUAL:
        return _one(tokens)
    if name in ("begin", "end"):
        _one(tokens)
        return " "
    return name or token


def _script(kind: str, text: str) -> str:
    text = text.strip()
    if kind == "^" and text and all(c in _RAISED for c in text):
        return "".join(_RAISED[c] for c in text)
    if kind == "^" and text in ("*", "′", "'"):
        return text
    plain = len(text) == 1 or (kind == "_" and text.isalnum())
    return f"{kind}{text}" if plain else f"{kind}({text})"


def _grouped(text: str, least: int = 1) -> str:
    """Put what is more than one factor in parentheses."""
    one = text.isalnum() and (len(text) < 2 or least == 1 or text.isdigit())
    return text if one or re.fullmatch(r"\w*\([^()]*\)|\w+_\w+", text) else f"({text})"
