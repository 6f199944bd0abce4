"""Long jobs that may be killed at any moment: shards written whole, settings compared, one file at the end.

While ``out.parquet`` is in the making, the folder ``out.parquet.parts`` holds what has been done: ``settings.json`` and
one Parquet file per finished shard. A shard appears by a rename, so it is whole or absent, and the final file is
written beside its place and renamed too. Killed at any point, a job started again with the same settings loses at most
the shard it was working on.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Required, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alignlib._core.checks import IntArray
from alignlib._core.errors import InputError
from alignlib._core.files import whole_file, write_whole

__all__ = ["Parts", "Plan", "write_parquet"]

_SETTINGS = "settings.json"
_LOCK = "lock"


class Plan(TypedDict, total=False):
    """What was chosen when a job began and holds for the whole of it; a job adds what it wants to find again."""

    shard_rows: Required[int]
    batch_size: int
    model: str
    base: str | None
    versions: dict[str, str]


@dataclass
class Parts:
    """The shards of an unfinished file, numbered from 0 and written in that order.

    Shard ``i`` holds rows ``i * shard_rows`` to ``(i + 1) * shard_rows`` (fewer in the last one) of ``n_rows``.
    ``plan`` is what was chosen when the job began (its shard size among it) and holds for the whole job.
    """

    folder: Path
    n_rows: int
    plan: Plan

    @classmethod
    @contextlib.contextmanager
    def begin(
        cls, folder: Path, settings: Mapping[str, object], n_rows: int, plan: Callable[[], Plan]
    ) -> Iterator[Parts]:
        """Make the folder, or take up the one that is there.

        Parameters
        ----------
        folder
            Where the shards lie.
        settings
            Everything that decides the content, by the name of the argument that sets it.
        n_rows
            Rows of the final file.
        plan
            Called for a new job only; returns ``shard_rows`` and whatever else the job wants to find again.

        Raises
        ------
        InputError
            Where the folder was begun with another setting, belongs to a running job, or is none of ours.
        """
        wanted = json.loads(json.dumps(dict(settings)))  # as it will be read again
        _make_folder(folder)
        lock = _take_lock(folder)
        try:
            file = folder / _SETTINGS
            if file.is_file() and cls(folder, n_rows, {"shard_rows": 1}).n_done:
                begun = json.loads(file.read_text(encoding="utf-8"))
                _compare(folder, begun["settings"], wanted)
                chosen = begun["plan"]
            else:  # with nothing done yet, settings may still change
                chosen = plan()
                write_whole(file, json.dumps({"settings": wanted, "plan": chosen}, indent=1))
            yield cls(folder, n_rows, chosen)
        finally:
            if lock is not None:
                os.close(lock)

    @property
    def shard_rows(self) -> int:
        """Rows of every shard but the last."""
        return int(self.plan["shard_rows"])

    @property
    def n_shards(self) -> int:
        """Number of shards of the whole job."""
        return -(-self.n_rows // self.shard_rows)

    @property
    def n_done(self) -> int:
        """Number of shards already there; they are 0, 1, …, n_done - 1."""
        found = {int(path.stem) for path in self.folder.glob("*.parquet") if re.fullmatch(r"\d{6,}", path.stem)}
        return next((i for i in range(len(found)) if i not in found), len(found))

    def rows(self, shard: int) -> range:
        """Rows of a shard."""
        return range(shard * self.shard_rows, min(self.n_rows, (shard + 1) * self.shard_rows))

    def path(self, shard: int) -> Path:
        """File of a shard."""
        return self.folder / f"{shard:06d}.parquet"

    def write(self, shard: int, table: pa.Table) -> None:
        """Write a shard, whole or not at all."""
        if table.num_rows != len(self.rows(shard)):
            raise InputError(f"shard {shard} must have {len(self.rows(shard))} rows; got {table.num_rows}.")
        write_parquet(self.path(shard), [table], table.schema)

    def read(self, shard: int) -> pa.Table:
        """Read a finished shard."""
        try:
            return pq.read_table(self.path(shard), partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{self.path(shard)} cannot be read ({error}); delete the folder {self.folder} and start again."
            ) from error

    def last_metadata(self) -> dict[str, str]:
        """Schema metadata of the last finished shard; empty if there is none."""
        if self.n_done == 0:
            return {}
        found = pq.read_schema(self.path(self.n_done - 1)).metadata or {}
        return {key.decode(): value.decode() for key, value in found.items()}

    def gather(self, order: IntArray, block: int) -> Iterator[pa.Table]:
        """Yield the rows of all shards in another ``order``, ``block`` rows at a time, holding few shards in memory."""
        cached = lru_cache(maxsize=16)(self.read)
        for start in range(0, order.size, block):
            rows = order[start : start + block]
            by_shard = np.argsort(rows // self.shard_rows, kind="stable")
            taken = []
            for shard in np.unique(rows // self.shard_rows).tolist():
                inside = rows[rows // self.shard_rows == shard] - shard * self.shard_rows
                taken.append(cached(shard).take(pa.array(inside)))
            back = np.empty_like(by_shard)
            back[by_shard] = np.arange(rows.size)
            yield pa.concat_tables(taken).take(pa.array(back)).combine_chunks()

    def remove(self) -> None:
        """Delete the folder, once the final file stands."""
        shutil.rmtree(self.folder)


def write_parquet(path: Path, tables: Iterable[pa.Table], schema: pa.Schema, folder: Path | None = None) -> None:
    """Write one row group per table under a passing name, and rename: a reader sees the whole file or none.

    The passing name lies in ``folder``, the job's own, so that what a killed job leaves is found and removed.

    >>> import tempfile
    >>> table = pa.table({"a": [1, 2]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet(Path(folder) / "t.parquet", [table, table], table.schema)
    ...     pq.read_table(Path(folder) / "t.parquet").num_rows
    4
    """
    with (
        whole_file(path, folder=folder, durable=True) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for table in tables:
            writer.write_table(table.cast(schema), row_group_size=max(1, table.num_rows))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made ({error.strerror}); choose another output.") from error
    for path in folder.iterdir():
        ours = path.name in (_SETTINGS, _LOCK) or re.fullmatch(r"\d{6,}\.parquet", path.name)
        if not ours and not re.fullmatch(r"\..+\.\d+", path.name):
            raise InputError(f"{folder} holds {path.name}, which is no part of a job; move that folder away.")


def _take_lock(folder: Path) -> int | None:
    """Hold the folder for this process; the system lets go of it however the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; two jobs on one folder would do the same work twice
        return None
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise InputError(f"Another process is at work on {folder}; wait for it, or choose another output.") from error
    for path in folder.glob(".*"):  # what a killed process was writing
        path.unlink()
    return descriptor


def _compare(folder: Path, begun: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    different: Sequence[str] = [
        name for name in dict.fromkeys([*wanted, *begun]) if begun.get(name) != wanted.get(name)
    ]
    if different:
        name = different[0]
        old, new = (f"{said.get(name)!r:.80}" for said in (begun, wanted))
        set_to = "=" if name.isidentifier() else " "
        more = f" ({', '.join(different[1:])} changed too)" if len(different) > 1 else ""
        raise InputError(
            f"{folder} was begun with {name}{set_to}{old}, now it is {new}{more}; give the earlier setting to go on, "
            "or delete that folder to start again.",
            argument=name,
        )
