"""The allowed range of a notebook's parameter, as its comment states it.

Numbers: ``>= 1``, ``> 0``, ``<= 1``, ``< 1``, ``in [0, 1]``, ``in (0, 1)``, ``in [0, 1)``, ``in (0, 1]``.
Texts: ``one of a | b``, ``existing file``, ``existing file or folder``, ``new folder`` (which `alignbook.manifest`
fills). Either: ``any``.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass

__all__ = ["AllowedRange", "split_range"]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(
    rf"(?:^|,)\s*(?:(?P<sign>>=|<=|>|<)\s*(?P<bound>{_NUMBER})"
    rf"|in\s*(?P<left>[\[(])\s*(?P<low>{_NUMBER})\s*,\s*(?P<high>{_NUMBER})\s*(?P<right>[\])])"
    r"|one of\s+(?P<options>[^,|]+(?:\|[^,|]+)+)"
    r"|(?P<file>existing file(?: or folder)?)|(?P<folder>new folder)|(?P<any>any))\s*$"
)
_LOOKS_LIKE_RANGE = re.compile(r"(?:^|,)\s*(?:[<>=≤≥]|in\s*[\[(\d]|one of\b)[^,]*(?:,[^,]*)?$")


@dataclass(frozen=True)
class AllowedRange:
    """What a value may be; ``text`` is how the comment said it.

    >>> 0.0 in split_range("a share, in (0, 1]")[1], 1.0 in split_range("a share, in (0, 1]")[1]
    (False, True)
    """

    text: str = "any"
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    options: tuple[str, ...] = ()

    def _is_there(self, path: str) -> bool:
        return os.path.isfile(path) or (self.text == "existing file or folder" and os.path.isdir(path))

    @property
    def file(self) -> bool:
        """Whether the value must be the path of an existing file."""
        return self.text.startswith("existing file")

    @property
    def folder(self) -> bool:
        """Whether the value names a folder in which the notebook leaves files."""
        return self.text == "new folder"

    def __contains__(self, value: object) -> bool:
        """Whether a value of the right type is allowed; None always is."""
        if isinstance(value, str):
            return self._is_there(value) if self.file else not self.options or value in self.options
        if not isinstance(value, int | float):
            return True
        above = self.low < value if self.open_low else self.low <= value
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        """What a value must be, as the end of a sentence."""
        return f"the path of an {self.text}" if self.file else self.text

    def fits(self, numeric: bool) -> bool:
        """Whether the range is one for numbers, or one for texts."""
        return self.text == "any" or numeric == (not self.options and not self.file and not self.folder)


def split_range(comment: str) -> tuple[str, AllowedRange | None]:
    """Split a comment into what the parameter means and its allowed range, None where it states none.

    Raises:
        ValueError: where the comment ends in something like a range that cannot be read, or in two ranges.

    >>> meaning, limits = split_range("largest N, tried in turn, >= 1")
    >>> meaning, limits.low, limits.high
    ('largest N, tried in turn', 1.0, inf)
    """
    match = _RANGE.search(comment)
    if match is None:
        if _LOOKS_LIKE_RANGE.search(comment):
            raise ValueError(f"the range at the end of {comment!r} cannot be read")
        return comment.strip(), None
    meaning = comment[: match.start()].strip(" ,")
    if _RANGE.search(meaning):
        raise ValueError(f"{comment!r} ends in two ranges; write them as one, such as 'in (0, 1]'")
    text = " ".join(match[0].strip(" ,").split())
    if match["options"]:
        return meaning, AllowedRange(text, options=tuple(option.strip() for option in match["options"].split("|")))
    if match["left"]:
        low, high = float(match["low"]), float(match["high"])
        if low > high:
            raise ValueError(f"the range {text!r} is empty")
        return meaning, AllowedRange(text, low, high, match["left"] == "(", match["right"] == ")")
    if match["sign"]:
        bound, is_open = float(match["bound"]), "=" not in match["sign"]
        if ">" in match["sign"]:
            return meaning, AllowedRange(text, low=bound, open_low=is_open)
        return meaning, AllowedRange(text, high=bound, open_high=is_open)
    return meaning, AllowedRange(text)
