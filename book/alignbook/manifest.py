"""A folder that a report shares with its reader: what a report wrote may be replaced by the next, nothing else.

A report leaves ``manifest.json`` beside its files, with the SHA-256 of each. Only files that it names are replaced, and
only while they are as they were written. It may name no others than `LEFT_FILES`, whoever edited it. What a notebook
leaves in its ``folder`` is left in the same way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from alignlib._core.errors import InputError
from alignlib._core.files import PASSING, whole_file, write_whole
from alignlib._core.safe_text import for_json
from alignlib._core.working import MARKER as MARKER_FILE
from alignlib._core.working import is_left_folder, mark, naming

__all__ = ["ALWAYS", "LEFT_FILES", "MANIFEST", "REPORT_FILES", "FolderError", "check_folder", "filling"]

MANIFEST = "manifest.json"
SCHEMA = 1
REPORT_FILES = frozenset(
    {"report.html", "numbers.csv", "numbers.json", "draws_per_prompt.csv"}
    | {f"{picture}.{kind}" for picture in ("limit", "share", "gold") for kind in ("png", "svg")}
)
# Of these, what every report has.
ALWAYS = frozenset({"report.html", "numbers.csv", "numbers.json"})
# And what notebooks leave that are run by themselves.
LEFT_FILES = REPORT_FILES | {f"overlay.{kind}" for kind in ("csv", "json", "png", "svg")}
# Of a working folder: what it holds, and in that files of a report, finished or passing (as `whole_file` calls them).
_WORKING = ".alignlib-report-"
_MADE, _EARLIER = "made", "earlier"
_NAMES = "|".join(map(re.escape, sorted(LEFT_FILES | {MANIFEST})))
_LEFT = re.compile(f"(?:{_NAMES})|{PASSING.format(name=f'(?:{_NAMES})')}")


class FolderError(InputError):
    """A folder that a report may not be written to; it is left as it was."""


def check_folder(folder: Path, force: bool, table: Path | None = None, names: Collection[str] = ()) -> None:
    """Refuse, before anything runs, a folder that cannot be written, or would lose what is not a report's.

    Parameters
    ----------
    folder : path
        Where the report is to go.
    force : bool
        Whether an earlier report in it is to be replaced.
    table : path, optional
        What the report is made of; it may not lie in the folder.
    names : collection of str, optional
        What will be written there for sure, as far as that is known.

    Raises
    ------
    FolderError
        With a sentence that names what is in the way.
    """
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # such as a link that leads back to itself
        reason = (error.strerror or "unknown error").lower()
        raise FolderError(f"{folder} cannot be reached ({reason}); choose another place.") from None
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; name a folder for the report.")
    parent = folder.resolve().parent
    if not folder.exists() and (not parent.is_dir() or not os.access(parent, os.W_OK)):
        raise FolderError(f"{folder} cannot be made: {parent} does not exist or is not writable; choose another place.")
    if table is not None:
        for place in (Path(os.path.realpath(table)), Path(os.path.abspath(table))):
            if place.is_relative_to(folder.resolve()):
                raise FolderError(f"{table} lies in {folder}, where the report would go; choose another folder.")
    if not folder.exists():
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise FolderError(f"{folder} is not writable; choose another folder.")
    if not _entries(folder):
        return
    if not force:
        raise FolderError(
            f"{folder} is not empty; choose another folder, or pass force=True to replace an earlier report."
        )
    recorded = _recorded(folder)
    _refuse_foreign(folder, recorded, names)
    for name, digests in recorded.items():
        path = folder / name
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file() or _digest(path) not in digests):
            raise FolderError(
                f"{path} was changed after the report was written, and force=True would lose that; move it away or "
                "choose another folder."
            )


def _refuse_foreign(folder: Path, recorded: Mapping[str, object], names: Collection[str]) -> None:
    foreign = [name for name in sorted(names) if name not in recorded and os.path.lexists(folder / name)]
    if foreign:
        raise FolderError(f"{folder / foreign[0]} is in the way, and no report wrote it; choose another folder.")


@contextlib.contextmanager
def filling(folder: Path, force: bool) -> Iterator[Path]:
    """Yield an empty folder whose files go to ``folder`` once the block has ended without an error.

    A folder that exists stays the same one, with its permissions. An earlier report's files are gone only when the new
    ones are there; files of others stay. A second report into the
    same folder is refused while the first is being made; what a killed one left is cleared away.
    """
    typed, folder = folder, folder.resolve()
    with _alone(folder) as place, naming(place / _MADE, typed):
        made = place / _MADE
        made.mkdir()
        yield made
        check_folder(folder, force)  # what was there before may have changed meanwhile
        made_files = sorted(made.iterdir())
        for path in made_files:
            if path.name not in LEFT_FILES:
                raise FolderError(f"{path.name} is no file of a report, so none was written; do not save it there.")
        digests = {path.name: _digest(path) for path in made_files}
        write_whole(made / MANIFEST, _manifest(digests))
        if folder.exists():
            _replace(made, folder, place / _EARLIER, digests)
        else:
            made.rename(folder)


def _replace(made: Path, folder: Path, aside: Path, digests: Mapping[str, str]) -> None:
    recorded = _recorded(folder) if _entries(folder) else {}
    _refuse_foreign(folder, recorded, digests)
    manifest = folder / MANIFEST
    before = manifest.read_bytes() if manifest.exists() else None
    moved, put = [], []
    try:
        # Killed in between, the folder holds files of either report: until both are sorted out, both are known.
        _put(manifest, _manifest(digests, {name: sorted(known) for name, known in recorded.items()}), made)
        aside.mkdir()
        for name in recorded:
            if os.path.lexists(folder / name):
                os.rename(folder / name, aside / name)
                moved.append(name)
        for name in digests:
            os.rename(made / name, folder / name)
            put.append(name)
        os.replace(made / MANIFEST, manifest)
    except BaseException:
        for name in put:
            (folder / name).unlink(missing_ok=True)
        for name in moved:
            os.rename(aside / name, folder / name)
        if before is None:
            manifest.unlink(missing_ok=True)
        else:
            with contextlib.suppress(OSError):  # the one that knows both will do
                _put(manifest, before, made)
        raise


def _put(path: Path, data: str | bytes, passing: Path) -> None:
    """Write ``path`` by way of the working folder, so that a kill leaves nothing beside it."""
    with whole_file(path, folder=passing) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def _place(folder: Path) -> Path:
    """The working folder: beside ``folder``, or in it where beside it is another disk, or no place for us."""
    name = f"{_WORKING}{hashlib.sha256(os.fsencode(folder.name)).hexdigest()[:12]}"
    parent = folder.parent
    if folder.is_dir() and (folder.stat().st_dev != parent.stat().st_dev or not os.access(parent, os.W_OK | os.X_OK)):
        return folder / name
    return parent / name


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, but for the working folder."""
    own = _place(folder.resolve()).name
    return [path for path in folder.iterdir() if path.name != own]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Yield an empty working folder for ``folder`` that nobody else has."""
    place = _place(folder)
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
            _remove(place)
        return
    while True:
        try:
            place.mkdir(exist_ok=True)
        except FileExistsError:
            raise _foreign(place, folder) from None
        except OSError as error:
            raise FolderError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from None
        try:
            handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        except OSError:  # a link, or closed to us
            raise _foreign(place, folder) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if place.exists() and os.path.samestat(os.fstat(handle), place.stat()):
                break
        except BlockingIOError:
            os.close(handle)
            raise busy from None
        os.close(handle)  # whoever had it has just removed it
    try:
        _clear(place, folder)
        marker = mark(place)
        try:
            for other in place.parent.glob(f"{_WORKING}*"):
                if other != place and is_left_folder(other):
                    _clear_other(other)
            yield place
        finally:
            os.close(marker)
            _remove(place)
    finally:
        os.close(handle)


def _clear(place: Path, folder: Path) -> None:
    """Remove what a killed run left in ``place`` (else it would still hold the lock), or nothing if others' files."""
    files: list[Path] = []
    folders = list(place.iterdir())
    marker = place / MARKER_FILE
    if marker in folders and marker.is_file() and not marker.is_symlink():
        folders.remove(marker)
        files.append(marker)
    for inside in folders:
        if inside.name not in (_MADE, _EARLIER) or inside.is_symlink() or not inside.is_dir():
            raise _foreign(inside, folder)
        files += inside.iterdir()
    for path in files:
        if (path != marker and not _LEFT.fullmatch(path.name)) or path.is_symlink() or not path.is_file():
            raise _foreign(path, folder)
    for path in files:
        path.unlink()
    for inside in folders:
        inside.rmdir()


def _clear_other(place: Path) -> None:
    """Remove what a killed run on its way elsewhere left, unless somebody is there or it holds files of others."""
    import fcntl

    with contextlib.suppress(FolderError, OSError):
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(place, place)
            place.rmdir()
        finally:
            os.close(handle)


def _remove(place: Path) -> None:
    """Remove the working folder with what this run made in it; what others put there meanwhile stays."""
    (place / MARKER_FILE).unlink(missing_ok=True)
    for name in (_MADE, _EARLIER):
        shutil.rmtree(place / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        place.rmdir()


def _foreign(path: Path, folder: Path) -> FolderError:
    return FolderError(
        f"{path} is where a report on its way to {folder} is made, and no report wrote it; move it away or choose "
        "another folder."
    )


def _recorded(folder: Path) -> dict[str, set[str]]:
    """Names and digests of what an earlier report wrote into ``folder``."""
    path = folder / MANIFEST
    try:
        if path.is_symlink() or not path.is_file():
            raise ValueError
        data = json.loads(path.read_text(encoding="utf-8"))
        schema = data["schema"]
        pairs = [(name, {digest}) for name, digest in data["files"].items()]
        pairs += [(name, set(known)) for name, known in data.get("replacing", {}).items()]
        if not all(isinstance(digest, str) for _, known in pairs for digest in known):
            raise ValueError
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise FolderError(
            f"{folder} holds no {MANIFEST} of an earlier report, so nothing tells what in it may be replaced; choose "
            "another folder."
        ) from None
    if type(schema) is not int or schema != SCHEMA:
        raise FolderError(
            f"{path} is not of schema {SCHEMA}, the only one that this version knows, so nothing tells what may be "
            "replaced; choose another folder."
        )
    found: dict[str, set[str]] = {}
    for name, known in pairs:
        if name not in LEFT_FILES:
            raise FolderError(
                f"{path} lists {name[:80]!r}, which no report writes, so nothing tells what may be replaced; choose "
                "another folder."
            )
        found.setdefault(name, set()).update(known)
    return found


def _manifest(digests: Mapping[str, str], replacing: Mapping[str, list[str]] | None = None) -> str:
    data: dict[str, object] = {"schema": SCHEMA, "files": dict(digests)}
    return for_json(data | ({} if replacing is None else {"replacing": dict(replacing)}))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
