"""Long jobs that may be killed at any moment: shards written whole, settings compared, one file at the end.

While ``out.parquet`` is in the making, the folder ``out.parquet.parts`` holds what has been done: the journal
(`alignlib.models.journal`) and one Parquet file per finished shard. A shard appears by a rename, so it is whole or
absent, and is then noted in the journal with its number and digest; the final file is written beside its place and
renamed too. Killed at any point, a job started again with the same settings loses at most the shard it was working on;
what was changed meanwhile is refused by its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alignlib._core.checks import IntArray
from alignlib._core.errors import InputError, quoted
from alignlib._core.files import PASSING, whole_file
from alignlib.models.journal import JOURNAL, Journal, Plan

__all__ = ["Parts", "discard", "write_parquet"]

_LOCK = "lock"
_LARGE = 1 << 26  # bytes of a shard that is looked at before it is read
_SHARD = re.compile(r"\d{6,}\.parquet")
_PASSING = re.compile(PASSING.format(name=".+"))
_NUMBER = "alignlib_shard"  # in a shard's own metadata, so that a shard in another's place is known by its number


@dataclass
class Parts:
    """The shards of an unfinished file, numbered from 0 and written in that order.

    Shard ``i`` holds rows ``i * shard_rows`` to ``(i + 1) * shard_rows`` (fewer in the last one) of ``n_rows``.

    Attributes
    ----------
    folder : Path
        Where they lie.
    journal : Journal
        What the job is, and what is finished; its plan holds for the whole job.
    """

    folder: Path
    journal: Journal

    @classmethod
    @contextlib.contextmanager
    def begin(
        cls, folder: Path, settings: Mapping[str, object], n_rows: int, plan: Callable[[], Plan]
    ) -> Iterator[Parts]:
        """Make the folder, or take up the one that is there.

        Parameters
        ----------
        folder : Path
            Where the shards lie.
        settings : mapping
            Everything that decides the content, by the name of the argument that sets it.
        n_rows : int
            Rows of the final file.
        plan : callable
            Called for a new job only; returns ``shard_rows`` and whatever else the job wants to find again.

        Raises
        ------
        InputError
            Where the folder was begun with another setting, holds what the job did not write, belongs to a running job,
            or is none of ours.
        """
        wanted = json.loads(json.dumps(dict(settings)))  # as it will be read again
        lock = _take_lock(folder)
        try:
            journal = Journal.read(folder)
            _check_shards(folder, journal)
            if journal is not None and journal.shards:
                _compare(folder, journal.settings, wanted)
                if journal.n_rows != n_rows:
                    raise InputError(
                        f"{folder} was begun for {journal.n_rows} rows, now there are {n_rows}; delete that folder to "
                        "start again."
                    )
            try:
                if journal is None or not journal.shards:  # with nothing done yet, settings may still change
                    journal = Journal.begin(folder, wanted, plan(), n_rows)
                yield cls(folder, journal)
            except BaseException:
                if journal is None or not journal.shards:  # a job that did nothing leaves nothing
                    with contextlib.suppress(OSError):
                        _remove(folder)
                raise
        finally:
            if lock is not None:
                os.close(lock)

    @property
    def plan(self) -> Plan:
        """What was chosen when the job began."""
        return self.journal.plan

    @property
    def n_rows(self) -> int:
        """Rows of the final file."""
        return self.journal.n_rows

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
        return len(self.journal.shards)

    def rows(self, shard: int) -> range:
        """Rows of a shard.

        Parameters
        ----------
        shard : int
            Its number.
        """
        return _rows(self.journal, shard)

    def path(self, shard: int) -> Path:
        """File of a shard.

        Parameters
        ----------
        shard : int
            Its number.
        """
        return _path(self.folder, shard)

    def write(self, shard: int, table: pa.Table) -> None:
        """Write a shard, whole or not at all.

        Parameters
        ----------
        shard : int
            Its number, that of the next one.
        table : Table
            Its rows.

        Raises
        ------
        InputError
            If it has not as many rows as it should.
        ValueError
            If another shard comes next.
        """
        if table.num_rows != len(self.rows(shard)):
            raise InputError(f"shard {shard} must have {len(self.rows(shard))} rows; got {table.num_rows}.")
        if shard != self.n_done:
            raise ValueError(f"shard {self.n_done} comes next, not {shard}")
        own = {_NUMBER: json.dumps({"job": self.journal.job, "shard": shard})}
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **own})
        write_parquet(self.path(shard), [table], table.schema)
        content = self.path(shard).read_bytes()
        self.journal.add(_digest(content), len(content))

    def read(self, shard: int) -> pa.Table:
        """Read a finished shard.

        Parameters
        ----------
        shard : int
            Its number.
        """
        return pq.read_table(pa.BufferReader(_content(self.folder, shard, self.journal)))

    @property
    def last_batch_size(self) -> int | None:
        """How many rows at once the last finished shard was made with, as it says; None if there is none."""
        if self.n_done == 0:
            return None
        last = self.n_done - 1
        content = _content(self.folder, last, self.journal)
        said = (pq.read_schema(pa.BufferReader(content)).metadata or {}).get(b"batch_size", b"")
        if not said.isdigit() or not 0 < len(said) < 10 or int(said) == 0:
            raise _changed(self.folder, last)
        return int(said)

    def gather(self, order: IntArray, block: int) -> Iterator[pa.Table]:
        """Yield the rows of all shards in another order, holding few shards in memory.

        Parameters
        ----------
        order : array of int (rows,)
            Which row comes where.
        block : int
            Rows at a time.
        """
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
        """Delete what the job wrote, once the final file stands."""
        _remove(self.folder)


def write_parquet(
    path: Path, tables: Iterable[pa.Table], schema: pa.Schema, folder: Path | None = None, *, replace: bool = True
) -> None:
    """Write one row group per table under a passing name, and rename: a reader sees the whole file or none.

    The passing name lies in ``folder``, the job's own, so that what a killed job leaves is found and removed.

    Parameters
    ----------
    path : Path
        The file.
    tables : iterable of Table
        A row group each.
    schema : Schema
        Of all of them.
    folder : Path, optional
        Where the passing name lies; beside the file if None.
    replace : bool
        Whether a file in its place, which may have appeared while a long job ran, is replaced.

    Raises
    ------
    InputError
        Where one is there that may not be.

    Examples
    --------
    >>> import tempfile
    >>> table = pa.table({"a": [1, 2]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet(Path(folder) / "t.parquet", [table, table], table.schema)
    ...     pq.read_table(Path(folder) / "t.parquet").num_rows
    4
    """
    try:
        with (
            whole_file(path, folder=folder, durable=True, replace=replace) as file,
            pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
        ):
            for table in tables:
                writer.write_table(table.cast(schema), row_group_size=max(1, table.num_rows))
    except FileExistsError:
        kept = "" if folder is None else f": what was done is in {folder}"
        raise InputError(f"{path} has been made meanwhile; move it away and run this again{kept}.") from None


def discard(folder: Path, settings: Mapping[str, object]) -> None:
    """Delete what a finished job with these settings left, where it was killed before it could.

    Parameters
    ----------
    folder : Path
        The job's folder.
    settings : mapping
        What the job was; a folder of another job stays.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    lock = _take_lock(folder)
    try:
        journal = Journal.read(folder)
        if journal is None or journal.settings == json.loads(json.dumps(dict(settings))):
            _remove(folder)
    finally:
        if lock is not None:
            os.close(lock)


def _remove(folder: Path) -> None:
    """The journal goes last of what says whose folder it is; what others put there meanwhile stays."""
    for path in sorted(folder.iterdir()):
        if _SHARD.fullmatch(path.name):
            path.unlink()
    for name in (JOURNAL, _LOCK):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _path(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06d}.parquet"


def _content(folder: Path, shard: int, journal: Journal) -> bytes:
    """Return the content of a shard, or refuse what is not as it was written."""
    path, digest = _path(folder, shard), journal.shards[shard]
    try:
        if (size := path.stat().st_size) > _LARGE:  # what has grown since may not fit into memory, nor be read soon
            if size != (journal.sizes[shard] or size):
                raise _changed(folder, shard)
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise _changed(folder, shard)
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing, though the journal lists it; delete the folder {folder} and start again."
        ) from None
    if _digest(content) != digest:
        raise _changed(folder, shard, content)
    return content


def _changed(folder: Path, shard: int, content: bytes = b"") -> InputError:
    said = f"{_path(folder, shard)} is not as the job wrote it{_instead(content, shard)}"
    return InputError(f"{said}; delete the folder {folder} and start again.")


def _rows(journal: Journal, shard: int) -> range:
    size = int(journal.plan["shard_rows"])
    return range(shard * size, min(journal.n_rows, (shard + 1) * size))


def _checked_schema(content: bytes, journal: Journal, shard: int) -> pa.Schema | None:
    """Return the schema of a shard; None where its own job, number and rows are not those that the journal has for it.

    So a journal that was rewritten with right digests, for other shards or another size, is found too.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        said = json.loads((file.schema_arrow.metadata or {})[_NUMBER.encode()])
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None
    rows = len(_rows(journal, shard))
    right = said == {"job": journal.job, "shard": shard} and file.metadata.num_rows == rows > 0
    return file.schema_arrow if right else None


def _instead(content: bytes, shard: int) -> str:
    """Say what a changed shard holds, where it is another one."""
    try:
        metadata = pq.read_schema(pa.BufferReader(content)).metadata or {}
        number = json.loads(metadata[_NUMBER.encode()])["shard"]
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return ""
    return f" (it holds shard {number:d})" if type(number) is int and number != shard else ""


def _check_shards(folder: Path, journal: Journal | None) -> None:
    """Compare the shards that are there with those that the journal lists.

    Of the next one there may be a file: the process was killed before it noted it. It is written anew.
    """
    listed = [] if journal is None else journal.shards
    first = None
    for shard in range(len(listed)):
        assert journal is not None
        content = _content(folder, shard, journal)
        schema = _checked_schema(content, journal, shard)
        first = first or schema
        if schema is None or first is None or schema.remove_metadata() != first.remove_metadata():
            raise _changed(folder, shard, content)
    names = {_path(folder, shard).name for shard in range(len(listed) + 1)}
    for path in sorted(folder.glob("*.parquet")):
        if path.name not in names or journal is None:
            missing = "there is no journal" if journal is None else "the journal does not list it"
            raise InputError(f"{path} is there, but {missing}; delete the folder {folder} and start again.")


def _make_folder(folder: Path) -> None:
    if folder.is_symlink():
        raise InputError(
            f"{folder} is a link, where a job makes a folder of its own; remove it, or choose another output."
        )
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made ({error.strerror}); choose another output.") from error
    for path in folder.iterdir():
        ours = path.name in (JOURNAL, _LOCK) or _SHARD.fullmatch(path.name) or _PASSING.fullmatch(path.name)
        if not ours or path.is_symlink() or not path.is_file():
            raise InputError(f"{folder} holds {path.name}, which is no part of a job; move that folder away.")


def _take_lock(folder: Path) -> int | None:
    """Make the folder where it is not there and hold it; the system lets go of it however the process ends."""
    _make_folder(folder)
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; two jobs on one folder would do the same work twice
        return None
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError:  # another job has just ended, and its folder with it
        return _take_lock(folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise InputError(f"Another process is at work on {folder}; wait for it, or choose another output.") from error
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), (folder / _LOCK).stat()):
            for path in folder.glob(".*"):  # what a killed process was writing
                path.unlink()
            return descriptor
    os.close(descriptor)  # of a folder that is gone by now
    return _take_lock(folder)


def _compare(folder: Path, begun: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    different: Sequence[str] = [
        name for name in dict.fromkeys([*wanted, *begun]) if begun.get(name) != wanted.get(name)
    ]
    if different:
        name = different[0]
        old, new = (quoted(said.get(name)) for said in (begun, wanted))
        set_to = "=" if name.isidentifier() else " "
        more = f" ({', '.join(different[1:])} changed too)" if len(different) > 1 else ""
        raise InputError(
            f"{folder} was begun with {name}{set_to}{old}, now it is {new}{more}; give the earlier setting to go on, "
            "or delete that folder to start again.",
            argument=name,
        )
