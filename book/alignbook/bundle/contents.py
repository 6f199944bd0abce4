"""How a bundle is filled: its files, then the metadata that describe them, then the sums of all; and packed."""

from __future__ import annotations

import platform
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alignbook.bundle.crate import Crate
from alignbook.bundle.opened import MARK
from alignbook.bundle.sums import SUMS, digest_of, sums_text
from alignlib._core.files import whole_file, write_whole
from alignlib._core.version import __version__

__all__ = ["finish", "pack", "put", "versions"]

_NAMED = ("numpy", "scipy", "pandas", "pyarrow", "matplotlib", "jupytext", "papermill", "myst-nb")


def put(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files by name below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def finish(folder: Path, describe: Callable[[Mapping[str, tuple[int, str]]], Crate]) -> str:
    """Write the metadata and the sums of what is in a folder; return the SHA-256 of the sums.

    ``describe`` makes the crate from sizes and SHA-256 by name.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name: (path.stat().st_size, digest_of(path)) for name, path in paths.items()}
    write_whole(folder / MARK, describe(files).text())
    digests = {name: digest for name, (_, digest) in files.items()} | {MARK: digest_of(folder / MARK)}
    write_whole(folder / SUMS, sums_text(digests))
    return digest_of(folder / SUMS)


def pack(folder: Path, target: Path, date: str) -> None:
    """Pack a folder as a ZIP archive: the same bytes from the same files, whenever and by whomever."""
    year, month, day = map(int, date.split("-"))
    with whole_file(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
                entry = zipfile.ZipInfo(name, (year, month, day, 0, 0, 0))
                entry.external_attr = 0o100644 << 16
                entry.create_system = 3
                entry.compress_type = zipfile.ZIP_DEFLATED
                with path.open("rb") as source, archive.open(entry, "w") as inside:
                    while chunk := source.read(2**20):
                        inside.write(chunk)


def versions() -> dict[str, str]:
    """Return the versions of what shapes the numbers."""
    found = {"Python": platform.python_version(), "alignlib": __version__}
    for name in _NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
