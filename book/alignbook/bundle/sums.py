"""SHA-256 sums as ``sha256sum`` writes and checks them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from alignlib._core.errors import InputError, quoted

__all__ = ["SUMS", "digest_of", "digests_within", "folders_of", "read_sums", "sums_text"]

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


def digests_within(folders: Collection[str], digests: Mapping[str, str]) -> dict[str, str]:
    """Return for each folder the SHA-256 of the lines that ``SHA256SUMS`` has for its files: one digest for all.

    >>> digests = {"a/x": "00" * 32, "a/b/y": "22" * 32, "b": "11" * 32}
    >>> digests_within(["a/", "a/b/"], digests) == digests_within(["a/b/", "a/"], {"b": "", **digests})
    True
    """
    inside: dict[str, dict[str, str]] = {folder: {} for folder in folders}
    for name, digest in digests.items():
        for folder in folders_of(name):
            if folder in inside:
                inside[folder][name] = digest
    return {folder: hashlib.sha256(sums_text(held).encode()).hexdigest() for folder, held in inside.items()}


def folders_of(name: str) -> Iterator[str]:
    """Yield the folders that a file lies in, the outermost first.

    >>> list(folders_of("a/b/y"))
    ['a/', 'a/b/']
    """
    end = name.find("/")
    while end >= 0:
        yield name[: end + 1]
        end = name.find("/", end + 1)


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
            raise InputError(f"{SUMS} lists {quoted(match[2])} twice.")
        found[match[2]] = match[1]
    return found
