"""A bundle opened for reading: a folder or a ZIP archive, from anywhere, of which nothing is unpacked or executed.

Whoever made it may have wished ill: names that lead elsewhere, links, archives that grow without end. All of it is
refused in one sentence before a byte is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from alignlib._core.errors import InputError, quoted
from alignlib._core.names import as_address

__all__ = ["MARK", "Bundle", "BundleError", "open_bundle"]

MARK = "ro-crate-metadata.json"
_MOST_FILES = 20_000
_MOST_BYTES = 4 * 2**30
_MOST_GROWTH = 200  # from packed to unpacked, beyond the first mebibyte of a file
_MOST_TEXT = 256 * 2**20
_CHUNK = 2**20
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


# What readers of ZIP raise, each of its ways to pack in words of its own.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError, KeyError),
)


class BundleError(InputError):
    """A bundle that cannot be read, or that nobody should read; the remedy is always the same."""

    def __init__(self, message: str) -> None:
        remedy = "get the bundle again from where it was published"
        super().__init__(message if remedy in message else f"{message.rstrip('.')}; {remedy}.")


class _Source(Protocol):
    def open(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]: ...


@dataclass(frozen=True)
class Bundle:
    """The files of a bundle by name, with their sizes."""

    path: Path
    sizes: dict[str, int]
    source: _Source = field(repr=False)

    def read(self, name: str) -> bytes:
        """Return what is in a file.

        Raises
        ------
        BundleError
            For a file that is missing, damaged or larger than any text of ours.
        """
        if name not in self.sizes:
            raise BundleError(f"{self.path} has no {name}.")
        if self.sizes[name] > _MOST_TEXT:
            raise BundleError(f"{name} of {self.path} is larger than {_MOST_TEXT:,} bytes.")
        return b"".join(self._chunks(name))

    def text(self, name: str) -> str:
        """Return what is in a text file."""
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError:
            raise BundleError(f"{name} of {self.path} is not UTF-8.") from None

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file."""
        digest = hashlib.sha256()
        for chunk in self._chunks(name):
            digest.update(chunk)
        return digest.hexdigest()

    def _chunks(self, name: str) -> Iterator[bytes]:
        left = self.sizes[name]
        try:
            with self.source.open(name) as file:
                while chunk := file.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise BundleError(f"{name} of {self.path} is longer than its archive says.")
                    yield chunk
        except BundleError:
            raise
        except (*_DAMAGED, OSError) as error:
            if getattr(error, "errno", None) is not None:  # of the system, not of what it packs
                raise
            raise BundleError(f"{quoted(name)} of {self.path} is damaged ({_words(error)}).") from None
        if left:
            raise BundleError(f"{name} of {self.path} is cut short.")


@contextlib.contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open a folder or a ZIP archive.

    Raises
    ------
    BundleError
        Where it is neither, holds no ``ro-crate-metadata.json``, or anything in it is not a plain file below it.
    """
    if path.is_dir():
        yield _folder(path)
        return
    if not path.exists():
        if address := as_address(path):
            raise InputError(f"{address} is an address; fetch the bundle, and name its file or folder.")
        raise BundleError(f"{path} does not exist; check the path.")
    if not path.is_file():
        raise BundleError(f"{path} is neither a folder nor a file.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise BundleError(
            f"{path} is not a ZIP archive that can be read ({_words(error)}); it may be cut short."
        ) from None
    with archive:
        yield _archive(path, archive)


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file that is still a plain one."""
        handle = os.open(self.root / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            yield file


class _Archive:
    def __init__(self, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> None:
        self.archive, self.entries = archive, entries

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open an entry."""
        with self.archive.open(self.entries[name]) as file:
            yield file  # type: ignore[misc]


def _folder(root: Path) -> Bundle:
    sizes: dict[str, int] = {}
    waiting = [(root, "")]
    while waiting:
        folder, before = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                name = before + entry.name
                if entry.is_symlink():
                    raise BundleError(f"{quoted(name)} of {root} is a link; a bundle holds plain files only.")
                if entry.is_dir():
                    waiting.append((Path(entry.path), f"{name}/"))
                elif not entry.is_file():
                    raise BundleError(f"{quoted(name)} of {root} is no plain file; a bundle holds plain files only.")
                else:
                    sizes[name] = entry.stat().st_size
                if len(sizes) + len(waiting) > _MOST_FILES:
                    raise BundleError(f"{root} holds more than {_MOST_FILES:,} files; no bundle does.")
    return _checked(root, sizes, _Folder(root))


def _archive(path: Path, archive: zipfile.ZipFile) -> Bundle:
    entries = archive.infolist()
    if len(entries) > _MOST_FILES:
        raise BundleError(f"{path} holds {len(entries):,} files; no bundle has more than {_MOST_FILES:,}.")
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename
        _check_name(path, name.removesuffix("/"))
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BundleError(f"{quoted(name)} of {path} is a link; a bundle holds plain files only.")
        if entry.is_dir():
            if entry.file_size:
                raise BundleError(
                    f"{quoted(name)} of {path} is called like a folder and has content, which no sum covers."
                )
            continue
        if entry.flag_bits & 0x1:
            raise BundleError(f"{quoted(name)} of {path} is encrypted; a bundle is not.")
        if entry.file_size > _MOST_GROWTH * entry.compress_size + _CHUNK:
            raise BundleError(
                f"{quoted(name)} of {path} unpacks to {entry.file_size:,} bytes from {entry.compress_size:,}; no "
                "file of a bundle grows like that."
            )
        if name in found:
            raise BundleError(f"{path} holds {quoted(name)} twice; which one counts would be a guess.")
        found[name] = entry
    packed = sum(entry.compress_size for entry in found.values())
    if packed > path.stat().st_size:
        raise BundleError(f"The files of {path} overlap each other; no archive of ours does that.")
    top = {name.partition("/")[0] for name in found}
    before = f"{next(iter(top))}/" if len(top) == 1 and MARK not in found else ""
    inside = {name.removeprefix(before): entry for name, entry in found.items()}
    return _checked(path, {name: entry.file_size for name, entry in inside.items()}, _Archive(archive, inside))


def _checked(path: Path, sizes: dict[str, int], source: _Source) -> Bundle:
    total = sum(sizes.values())
    if total > _MOST_BYTES:
        raise BundleError(f"{path} holds {total:,} bytes; no bundle has more than {_MOST_BYTES:,}.")
    for name in sizes:
        _check_name(path, name)
    if MARK not in sizes:
        raise BundleError(f"{path} has no {MARK}, so it is no bundle of `make release` or of `alignlib run --crate`.")
    return Bundle(path, dict(sorted(sizes.items())), source)


def _check_name(path: Path, name: str) -> None:
    parts = name.split("/")
    leads_away = name.startswith("/") or "\\" in name or ":" in name or {"", ".", ".."} & set(parts)
    if leads_away or any(_RESERVED.fullmatch(part) for part in parts):
        raise BundleError(f"{path} names a file {quoted(name)}, which may lead out of its folder.")
    if not name.isprintable() or any(unicodedata.category(c).startswith("C") for c in name):
        raise BundleError(f"{path} names a file {quoted(name)}, with characters that cannot be shown.")


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:80].rstrip(".") or type(error).__name__
