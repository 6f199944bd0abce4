"""Open a table: a file of any known format, plain or gzipped, standard input, or a data frame in memory."""

from __future__ import annotations

import contextlib
import difflib
import errno
import gzip
import mmap
import os
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from alignlib._core.checks import require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import as_address, as_path, within_a_file
from alignlib.tables.data_files import FolderError, check_one_set, data_files, without_descriptions, wrong_shards
from alignlib.tables.folder_files import check_packed, files_in
from alignlib.tables.formats import TableFormat, known_formats
from alignlib.tables.formats.delimited import check_start
from alignlib.tables.memory_limit import MOST_BYTES, check_fits, most_bytes, shown_bytes
from alignlib.tables.table_file import TableFile, nested_keys, short
from alignlib.tables.text_encoding import UTF_16, as_text
from alignlib.tables.unfinished import whole_lines

if TYPE_CHECKING:
    import narwhals as nw
    from narwhals.typing import IntoFrame

__all__ = [
    "check_file",
    "is_packed",
    "is_table_name",
    "open_content",
    "open_frame",
    "open_table_file",
    "tables_in",
]

# With a mark of byte order, as Windows PowerShell writes `alignlib example > rewards.csv`; nothing else begins so.
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 24  # bytes read at once
_RATIO = 200  # that a gzip file of a table does not reach; one of zeros has 1000
_LEAST_SUSPECT = 1 << 27  # bytes; below, no ratio is suspect


def open_table_file(path: str | Path, *, unfinished: bool = False) -> TableFile:
    """Open a file by its extension and read its column names.

    Parameters
    ----------
    path : path
        The file; ``.gz`` may follow its extension. ``-`` is standard input, whose format is told by its first bytes.
    unfinished : bool
        Whether something may still be writing it: a last line that is not whole is then left out, with a note.

    Raises
    ------
    InputError
        Where there is no such file, or it is a folder, empty, of an unknown kind, truncated, corrupt, or would not fit
        into memory.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "rewards.csv")
    ...     _ = file.write_text("prompt_id,reward\\n1,0.5\\n", encoding="utf-8")
    ...     open_table_file(file).names
    ('prompt_id', 'reward')
    """
    require(isinstance(path, (str, Path)), f"path must be the path of a file; got {quoted(path)}.", "path")
    most_bytes()  # refuses what its variable says, however small the file
    if str(path) == "-":
        return _open_standard_input()
    path = as_path(path)
    check_file(path)
    found = _format_of(path)
    if found is None:
        check_packed(str(path), is_table_name)
        known = f"a table is {', '.join(known_formats())}, or one of these with .gz"
        remedy = "save one array of it with numpy.save, as .npy" if path.suffix == ".npz" else "convert it or rename it"
        raise InputError(
            f"{path} has the unknown extension {path.suffix!r}; {known}: {remedy}.",
            argument="path",
        )
    data, let_go = _content(path)
    said = ""
    if unfinished:
        name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
        data, said = whole_lines(_utf_8(data, unfinished=True), name.suffix.lower())
    opened = _opened(found, str(path), data)
    if said:
        opened.note(said)
    return opened if let_go is None else replace(opened, read=_then(opened.read, let_go))


def is_packed(start: bytes) -> bool:
    """Tell whether a text is zipped or in UTF-16, by its first two bytes: it is not read as it stands.

    Parameters
    ----------
    start : bytes
        The first two.
    """
    return start == _GZIP_MAGIC or start in UTF_16


def open_content(path: str, content: IO[bytes]) -> TableFile:
    """Open a table that is read from elsewhere than a file of this machine, as one of that name here.

    Parameters
    ----------
    path : str
        What messages call it, whose extension tells the format.
    content : file
        What is in it.

    Raises
    ------
    InputError
        As `open_table_file`.
    """
    found = _format_of(Path(path))
    if found is None:
        raise InputError(f"{path} has the unknown extension {Path(path).suffix!r}; name {', '.join(known_formats())}.")
    return _opened(found, path, _read_through(path, content, zipped=path.lower().endswith(".gz")))


def is_table_name(path: str | Path) -> bool:
    """Tell whether a file is called like a table.

    Parameters
    ----------
    path : str or Path
        The file, which need not exist.

    Examples
    --------
    >>> is_table_name("rewards.csv.gz"), is_table_name("notes.md")
    (True, False)
    """
    return _format_of(Path(path)) is not None


def tables_in(path: str | Path, *, below: bool = False) -> list[Path]:
    """Return the tables in a folder, in the order of their names; the path itself where it is no folder.

    Parameters
    ----------
    path : str or Path
        A folder, or a file.
    below : bool
        Whether tables in the folders below it are of it, too.

    Raises
    ------
    InputError
        Where a folder holds none, or not all of one.

    Examples
    --------
    >>> [path.name for path in tables_in("rewards.csv")]
    ['rewards.csv']
    """
    path = as_path(path)
    if not path.is_dir():
        return [path]
    check_one_set(str(path), _content_of)
    found = data_files(files_in(str(path), is_table_name, below=below), content=_content_of)
    require(bool(found), f"{path} is a folder without a table ({', '.join(known_formats())}); name a file.", "path")
    if said := wrong_shards(found):
        raise FolderError(f"{said}; fetch it whole, or name the files one by one.", argument="path")
    return [Path(one) for one in found]


def _content_of(path: str) -> bytes | None:
    """Return what stands in a description, which is small."""
    try:
        return Path(path).read_bytes()
    except OSError:  # none, or no file
        return None


def _opened(found: TableFormat, name: str, data: pa.Buffer) -> TableFile:
    if data.size == 0:
        raise InputError(f"{name} is empty; give a table, with a name for each column.", argument="path")
    if data[:2].to_pybytes() == _GZIP_MAGIC:
        raise InputError(f"{name} is compressed twice; unpack it once (gunzip) and try again.", argument="path")
    return found.open(name, _utf_8(data))


def _utf_8(data: pa.Buffer, *, unfinished: bool = False) -> pa.Buffer:
    """Return text in UTF-16 with its mark, as PowerShell writes it, in UTF-8; anything else as it is."""
    if data[:2].to_pybytes() in UTF_16:
        with contextlib.suppress(UnicodeDecodeError):  # what is none after all, the reader of text refuses
            return pa.py_buffer(as_text(data.to_pybytes(), unfinished=unfinished).encode())
    return data


def _open_standard_input() -> TableFile:
    name = "standard input"
    data = _utf_8(_read_through(name, sys.stdin.buffer, first=_check_text))
    return _opened(known_formats()[_extension(data[:64].to_pybytes())], name, data)


def _read_through(
    name: str,
    content: IO[bytes],
    first: Callable[[str, bytes], None] = lambda name, start: None,
    *,
    zipped: bool = False,
) -> pa.Buffer:
    """Return all that is there, unzipped where it is, or must be, zipped."""
    try:
        data = _unzipped(name, content, None, first)
        if data[:2].to_pybytes() == _GZIP_MAGIC or (zipped and data.size):
            with pa.BufferReader(data) as packed, gzip.open(packed, "rb") as unzipped:
                data = _unzipped(name, unzipped, data.size, first)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _no_gzip(name, error) from error
    return data


def _extension(start: bytes) -> str:
    """Tell a format from its first bytes: the extension of its files."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    magics = {b"PAR1": ".parquet", b"ARROW1": ".feather", b"\x93NUMPY": ".npy"}
    kind = next((suffix for magic, suffix in magics.items() if start.startswith(magic)), None)
    return kind or {b"{": ".jsonl", b"[": ".json"}.get(text[:1], ".csv")


def _check_text(name: str, start: bytes) -> None:
    """Refuse what is no table before the rest of it is read."""
    if start.startswith(UTF_16):
        start = start.decode("utf-16", "ignore").encode()
    if not start.startswith(_GZIP_MAGIC) and _extension(start[:64]) == ".csv":
        check_start(name, start)


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
        nested = nested_keys(_schema(data))
    except TypeError as error:
        raise InputError(
            f"frame must be a data frame (pandas, polars, pyarrow …); got {type(frame).__name__}.", argument="frame"
        ) from error
    except nw.exceptions.NarwhalsError as error:
        raise InputError(
            f"frame has columns that cannot be told apart ({short(error)}); rename them.", argument="frame"
        ) from error

    def read(names: list[str]) -> pa.Table:
        chosen = data.select([nw.col(columns[name]).alias(name) for name in names])
        if isinstance(chosen, nw.LazyFrame):
            chosen = chosen.collect()
        try:
            return chosen.to_arrow().select(names)
        except MemoryError:
            raise
        except Exception as error:  # whatever the frame's library raises
            raise _no_column(chosen, names, error) from error

    return TableFile("the data frame", (*columns, *nested), read, first_row=0, nested=nested)


def _no_column(chosen: nw.DataFrame[Any], names: list[str], error: Exception) -> InputError:
    """Say which column of a frame Arrow does not take, and why."""
    for name in names:
        try:
            chosen.select([name]).to_arrow()
        except Exception as its:
            return InputError(
                f"column {name!r} of the data frame cannot be read ({short(its)}); write numbers up to 64 bits, or "
                "text throughout.",
                argument="frame",
                column=name,
            )
    return InputError(f"frame has columns that cannot be read ({short(error)}).", argument="frame")


def _schema(data: nw.DataFrame[Any] | nw.LazyFrame[Any]) -> pa.Schema:
    """Return the types of a frame's columns of objects, as far as narwhals knows them; others as null."""
    import narwhals as nw

    def arrow(kind: nw.dtypes.DType | type[nw.dtypes.DType]) -> pa.DataType:
        if isinstance(kind, nw.Struct):
            return pa.struct([(part.name, arrow(part.dtype)) for part in kind.fields])
        return pa.null()

    return pa.schema([(str(name), arrow(kind)) for name, kind in data.collect_schema().items()])


def _format_of(path: Path) -> TableFormat | None:
    """Tell the format from the name."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return known_formats().get(name.suffix.lower())


def check_file(path: Path) -> None:
    """Make sure that there is a file, and suggest one where there is none.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        For what is no file, or cannot be one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     check_file(Path(file.name))
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES):
            said = {errno.ELOOP: "it is a link that leads back to itself"}.get(error.errno, error.strerror)
            raise InputError(f"{path} cannot be read: {said}; check the path.", argument="path") from error
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{str(path)!r} is no name of a file ({short(error)}); check it.", argument="path") from error
    if path.is_file():
        if not _keeps_waiting(path):
            return
        said = f"{path} is a file of the system's that is waited for, as a pipe is; write the table to a file first."
    elif path.is_dir():
        inside = without_descriptions(p.name for p in path.iterdir() if _format_of(p))
        some = ", ".join(map(repr, inside[:5]))
        if len(inside) > 1:  # a table in parts, for all that is known: one of them would be a wrong answer
            said = f"{path} is a folder, and one file is read here; join its parts to one, or name the table ({some})."
        else:
            said = f"{path} is a folder, not a table; name a file ({some or 'it holds no table'})."
    elif path.is_symlink() and not path.exists():
        said = f"{path} is a link to {os.readlink(path)!r}, which does not exist; check the path."
    elif path.exists():
        said = f"{path} is neither a file nor a folder; write the table to a file first."
    elif not path.is_absolute() and _folder_is_gone():
        said = f"There is no file {path}: the working folder is gone; change into one that exists."
    elif address := as_address(path):
        said = within_a_file(address) or (
            f"{address} is an address, and a table is read from a file of this machine here; fetch "
            "it, and name the file."
        )
    elif not path.parent.is_dir():
        said = f"There is no file {path}: its folder does not exist; check the path."
    else:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
        said = f"There is no file {path}; " + (f"did you mean {near[0]!r}?" if near else "check the path.")
    raise InputError(said, argument="path")


def _keeps_waiting(path: Path) -> bool:
    """Whether a file that says it is empty has its reader wait until something comes, as those of a kernel's log do."""
    if path.stat().st_size or not hasattr(os, "O_NONBLOCK"):
        return False
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while os.read(handle, _PIECE):
                pass
        finally:
            os.close(handle)
    except BlockingIOError:
        return True
    except OSError:  # said by whoever reads it
        pass
    return False


def _folder_is_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _then(read: Callable[[list[str]], pa.Table], let_go: Callable[[], None]) -> Callable[[list[str]], pa.Table]:
    def both(columns: list[str]) -> pa.Table:
        table = read(columns)
        let_go()
        return table

    return both


def _content(path: Path) -> tuple[pa.Buffer, Callable[[], None] | None]:
    """Map the file into memory, or decompress it there; also return what drops mapped pages until they are read again.

    Else the pages of a file that has been decoded would stay beside the columns.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if start == _GZIP_MAGIC or (start and path.suffix.lower() == ".gz"):
            with gzip.open(path, "rb") as unzipped:
                return _unzipped(str(path), unzipped, path.stat().st_size), None
        if not start:
            return pa.py_buffer(b""), None
        if path.stat().st_size == 0:  # of the system's own making, such as /proc/self/environ: it cannot be mapped
            with path.open("rb") as file:
                return _unzipped(str(path), file, None), None
        with path.open("rb") as file:  # Arrow itself opens no file whose name is not UTF-8
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        can = hasattr(mapped, "madvise") and hasattr(mmap, "MADV_DONTNEED")  # not on Windows
        return pa.py_buffer(mapped), (lambda: mapped.madvise(mmap.MADV_DONTNEED)) if can else None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _no_gzip(str(path), error) from error
    except OSError as error:
        few = error.errno in (errno.EMFILE, errno.ENFILE)
        remedy = "raise the limit of open files (ulimit -n)" if few else "check its permissions"
        raise InputError(
            f"{path} cannot be read ({error.strerror or short(error)}); {remedy}.", argument="path"
        ) from error


def _unzipped(
    name: str,
    file: IO[bytes] | gzip.GzipFile,
    size: int | None,
    first: Callable[[str, bytes], None] = lambda name, start: None,
) -> pa.Buffer:
    """Read to the end, but no more than fits into memory, nor more than an honest file of ``size`` unpacks to.

    ``first`` sees the first bytes and may refuse them.
    """
    most = most_bytes()
    honest = most if size is None else max(_LEAST_SUSPECT, _RATIO * size)
    parts, held = list[bytes](), 0
    while part := file.read(_PIECE):
        if not parts:
            first(name, part)
        parts.append(part)
        held += len(part)
        check_fits(
            held, f"{name}, unpacked," if size else name, "cut it into parts, or keep the columns asked for only"
        )
        if held > honest and MOST_BYTES not in os.environ:
            raise InputError(
                f"{name} unpacks to more than {_RATIO} times its size ({shown_bytes(held)} so far), as no table of "
                f"rewards does; unpack it yourself, or set {MOST_BYTES} to the number of bytes that it may have.",
                argument="path",
            )
    return pa.py_buffer(b"".join(parts))


def _no_gzip(name: str, error: Exception) -> InputError:
    return InputError(f"{name} is not a whole gzip file ({short(error)}); copy or compress it again.", argument="path")
