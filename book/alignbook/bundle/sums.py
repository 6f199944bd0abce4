"""SHA-256 sums as ``sha256sum`` writes and checks them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from alignlib._core.errors import InputError

__all__ = ["SUMS", "digest_of", "digest_within", "read_sums", "sums_text"]

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_text(digests: Mapping[str, str]) -> str:
    """Return the lines of ``SHA256SUMS``, by name.

    >>> print(sums_text({"b": "00" * 32, "a": "11" * 32})[:20])
    11111111111111111111
    """
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def digest_within(folder: str, digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of the lines that ``SHA256SUMS`` has for the files of a folder: one digest for all of them.

    >>> digest_within("a/", {"a/x": "00" * 32, "b": "11" * 32}) == digest_within("a/", {"a/x": "00" * 32})
    True
    """
    lines = sums_text({name: digest for name, digest in digests.items() if name.startswith(folder)})
    return hashlib.sha256(lines.encode()).hexdigest()


def read_sums(text: str) -> dict[str, str]:
    """Return digests by name.

    Raises
    ------
    InputError
        For a line that is none, or a name that is listed twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise InputError(f"line {number} of {SUMS} is not a SHA-256 sum, two spaces and a name.")
        if match[2] in found:
            raise InputError(f"{SUMS} lists {match[2]} twice.")
        found[match[2]] = match[1]
    return found
