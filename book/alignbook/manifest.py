"""A folder that a report shares with its reader: what a report wrote may be replaced by the next, nothing else.

A report leaves ``manifest.json`` beside its files, with the SHA-256 of each. Only files that it names are replaced, and
only while they are as they were written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from alignlib._core.errors import InputError
from alignlib._core.files import write_whole
from alignlib._core.text import for_json

__all__ = ["MANIFEST", "FolderError", "check_folder", "filling"]

MANIFEST = "manifest.json"


class FolderError(InputError):
    """A folder that a report may not be written to; it is left as it was."""


def check_folder(folder: Path, force: bool, table: Path | None = None) -> None:
    """Refuse, before anything runs, a folder that cannot be written, or would lose what is not a report's.

    Parameters
    ----------
    folder : path
        Where the report is to go.
    force : bool
        Whether an earlier report in it is to be replaced.
    table : path, optional
        What the report is made of; it may not lie in the folder.

    Raises
    ------
    FolderError
        With a sentence that names what is in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; name a folder for the report.")
    parent = folder.resolve().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise FolderError(f"{folder} cannot be made: {parent} does not exist or is not writable; choose another place.")
    if table is not None:
        for place in (table.resolve(), Path(os.path.abspath(table))):
            if place.is_relative_to(folder.resolve()):
                raise FolderError(f"{table} lies in {folder}, where the report would go; choose another folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not os.access(folder, os.W_OK):
        raise FolderError(f"{folder} is not writable; choose another folder.")
    if not force:
        raise FolderError(
            f"{folder} is not empty; choose another folder, or pass --force to replace an earlier report."
        )
    for name, digests in _recorded(folder).items():
        path = folder / name
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file() or _digest(path) not in digests):
            raise FolderError(
                f"{path} was changed after the report was written, and --force would lose that; move it away or choose "
                "another folder."
            )


@contextlib.contextmanager
def filling(folder: Path, force: bool) -> Iterator[Path]:
    """Yield an empty folder whose files go to ``folder`` once the block has ended without an error.

    An earlier report's files are gone only when the new ones are there; files of others stay. A second report into the
    same folder is refused while the first is being made; what a killed one left is cleared away.
    """
    folder = folder.resolve()
    with _alone(folder) as place:
        made = place / "made"
        made.mkdir()
        yield made
        check_folder(folder, force)  # what was there before may have changed meanwhile
        digests = {path.name: _digest(path) for path in sorted(made.iterdir())}
        write_whole(made / MANIFEST, _manifest(digests))
        if folder.exists() and any(folder.iterdir()):
            _replace(made, folder, place / "earlier", digests)
        else:
            if folder.exists():
                folder.rmdir()
            made.rename(folder)


def _replace(made: Path, folder: Path, aside: Path, digests: Mapping[str, str]) -> None:
    recorded = _recorded(folder)
    foreign = [name for name in digests if name not in recorded and os.path.lexists(folder / name)]
    if foreign:
        raise FolderError(f"{folder / foreign[0]} is in the way, and no report wrote it; choose another folder.")
    # Killed in between, the folder holds files of either report: until both are sorted out, both are known.
    write_whole(folder / MANIFEST, _manifest(digests, {name: sorted(known) for name, known in recorded.items()}))
    aside.mkdir()
    moved, put = [], []
    try:
        for name in recorded:
            if os.path.lexists(folder / name):
                os.rename(folder / name, aside / name)
                moved.append(name)
        for name in digests:
            os.rename(made / name, folder / name)
            put.append(name)
        os.replace(made / MANIFEST, folder / MANIFEST)
    except BaseException:
        for name in put:
            (folder / name).unlink(missing_ok=True)
        for name in moved:
            os.rename(aside / name, folder / name)
        raise


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Yield an empty working folder beside ``folder`` that nobody else has."""
    key = hashlib.sha256(os.fsencode(folder.name)).hexdigest()[:12]
    place = folder.parent / f".alignlib-report-{key}"
    busy = FolderError(f"Another report is being written to {folder}; wait for it, or choose another folder.")
    try:
        import fcntl
    except ImportError:  # Windows: the folder itself says that somebody is at work
        try:
            place.mkdir()
        except FileExistsError:
            raise busy from None
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return
    while True:
        place.mkdir(exist_ok=True)
        try:
            handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if place.exists() and os.path.samestat(os.fstat(handle), place.stat()):
                break
        except BlockingIOError:
            os.close(handle)
            raise busy from None
        os.close(handle)  # whoever had it has just removed it
    try:
        for left in place.iterdir():  # by a run that was killed, else it would still hold the lock
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(handle)


def _recorded(folder: Path) -> dict[str, set[str]]:
    """Names and digests of what an earlier report wrote into ``folder``."""
    path = folder / MANIFEST
    try:
        if path.is_symlink():
            raise ValueError
        data = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(name, {digest}) for name, digest in data["files"].items()]
        pairs += [(name, set(known)) for name, known in data.get("replacing", {}).items()]
        found: dict[str, set[str]] = {}
        for name, known in pairs:
            if Path(name).name != name or name in ("", ".", "..", MANIFEST) or "\0" in name:
                raise ValueError
            found.setdefault(name, set()).update(known)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise FolderError(
            f"{folder} holds no {MANIFEST} of an earlier report, so nothing tells what in it may be replaced; choose "
            "another folder."
        ) from None
    return found


def _manifest(digests: Mapping[str, str], replacing: Mapping[str, list[str]] | None = None) -> str:
    data: dict[str, object] = {"schema": 1, "files": dict(digests)}
    return for_json(data | ({} if replacing is None else {"replacing": dict(replacing)}))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
