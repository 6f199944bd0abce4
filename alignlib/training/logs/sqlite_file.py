"""Databases of trackers, opened for reading only, also while a training run writes them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from alignlib._core.working import working_folder

__all__ = ["are_tables", "reading"]

_LONGEST = 64_000_000  # bytes of a value


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database in SQLite, without leaving anything beside it.

    What another process has written and not yet put into the file itself lies in ``NAME-wal``: then a copy of both is
    read, for SQLite itself would write beside the file. A copy of a torn state is an error of SQLite's.

    Parameters
    ----------
    path : Path
        The database.
    """
    log = path.with_name(path.name + "-wal")
    if not (log.is_file() and log.stat().st_size):
        with closing(_opened(path, "mode=ro&immutable=1")) as base:
            yield base
        return
    with working_folder() as folder:
        copy = folder / "copy.db"
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name("copy.db-wal"))
        with closing(_opened(copy, "mode=rw")) as base:
            yield base


def are_tables(base: sqlite3.Connection, names: Collection[str]) -> bool:
    """Whether those of these names that there are, one at least, are plain tables: a view is a program without end.

    Parameters
    ----------
    base : Connection
        The database.
    names : collection of str
        Tables that are read.
    """
    marks = ", ".join("?" for _ in names)
    made = base.execute(f"SELECT type, sql FROM sqlite_master WHERE name IN ({marks})", tuple(names)).fetchall()
    plain = (kind == "table" and not str(sql).upper().startswith("CREATE VIRTUAL") for kind, sql in made)
    return bool(made) and all(plain)


def _opened(path: Path, how: str) -> sqlite3.Connection:
    base = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{how}", uri=True)
    base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    return base
