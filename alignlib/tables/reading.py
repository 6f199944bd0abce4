"""Open a table: a file of any known format, plain or gzipped, or a data frame in memory."""

from __future__ import annotations

import difflib
import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from alignlib._core.checks import require
from alignlib._core.errors import InputError
from alignlib.tables.formats import TableFormat, known_formats
from alignlib.tables.table_file import TableFile, short

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

__all__ = ["open_frame", "open_table_file"]

_GZIP_MAGIC = b"\x1f\x8b"


def open_table_file(path: str | Path) -> TableFile:
    """Open a file by its extension and read its column names.

    Parameters
    ----------
    path : path
        The file; ``.gz`` may follow its extension.

    Raises
    ------
    InputError
        Where there is no such file, or it is a folder, empty, of an unknown kind, truncated or corrupt.
    """
    require(isinstance(path, (str, Path)), f"path must be the path of a file; got {path!r:.80}.", "path")
    path = Path(path)
    _check_file(path)
    found = _format_of(path)
    if found is None:
        raise InputError(
            f"{path} has the unknown extension {path.suffix!r}; a table is {', '.join(known_formats())}, or one of "
            "these with .gz: convert it or rename it.",
            argument="path",
        )
    data = _content(path)
    if data.size == 0:
        raise InputError(f"{path} is empty; give a file with a prompt column and a reward column.", argument="path")
    return found.open(str(path), data)


def open_frame(frame: IntoFrame) -> TableFile:
    """Open a data frame of pandas, polars, pyarrow or any other library that narwhals knows.

    Parameters
    ----------
    frame : data frame
        Rows are counted from 0 in messages. Of a lazy frame the columns asked for are collected.

    Raises
    ------
    InputError
        For what is no data frame, or one that has two columns of one name.

    Examples
    --------
    >>> open_frame(pa.table({"prompt_id": [0, 0], "reward": [1.0, 2.0]})).names
    ('prompt_id', 'reward')
    """
    import narwhals as nw

    try:
        data = nw.from_native(frame)
        columns = {str(name): name for name in data.collect_schema().names()}
    except TypeError as error:
        raise InputError(
            f"frame must be a data frame (pandas, polars, pyarrow …); got {type(frame).__name__}.", argument="frame"
        ) from error
    except nw.exceptions.NarwhalsError as error:
        raise InputError(f"frame has columns that cannot be told apart ({short(error)}).", argument="frame") from error

    def load(names: list[str]) -> pa.Table:
        chosen = data.select([nw.col(columns[name]).alias(name) for name in names])
        if isinstance(chosen, nw.LazyFrame):
            chosen = chosen.collect()
        try:
            return chosen.to_arrow().select(names)
        except pa.ArrowException as error:
            raise InputError(
                f"frame has a column that mixes kinds of values ({short(error)}); write numbers or text throughout.",
                argument="frame",
            ) from error

    return TableFile("the data frame", tuple(columns), load, first_row=0)


def _format_of(path: Path) -> TableFormat | None:
    """Tell the format from the name."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return known_formats().get(name.suffix.lower())


def _check_file(path: Path) -> None:
    """Make sure that there is a file, and suggest one where there is none."""
    if path.is_file():
        return
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if _format_of(p))
        hint = f"one of {', '.join(inside[:5])}" if inside else "it holds no table"
        said = f"{path} is a folder, not a table; name a file ({hint})."
    elif path.exists():
        said = f"{path} is neither a file nor a folder; write the table to a file first."
    elif not path.parent.is_dir():
        said = f"There is no file {path}: its folder does not exist; check the path."
    else:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
        said = f"There is no file {path}; " + (f"did you mean {path.parent / near[0]}?" if near else "check the path.")
    raise InputError(said, argument="path")


def _content(path: Path) -> pa.Buffer:
    """Map the file into memory, or decompress it there."""
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if start == _GZIP_MAGIC or (start and path.suffix.lower() == ".gz"):
            with gzip.open(path, "rb") as unzipped:
                return pa.py_buffer(unzipped.read())
        if not start:
            return pa.py_buffer(b"")
        with pa.memory_map(str(path)) as mapped:
            return mapped.read_buffer()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is not a whole gzip file ({short(error)}); copy or compress it again.", argument="path"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({short(error)}); check its permissions.", argument="path") from error
