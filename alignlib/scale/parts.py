"""The parts of a table: files of a folder, a pattern or an address, each summarised by itself."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import BoolArray, IntArray, require
from alignlib._core.errors import InputError, quoted
from alignlib.scale.responses import Responses
from alignlib.scale.summary import Summary
from alignlib.scale.summary_file import holds_summary
from alignlib.tables import TableFile, is_table_name, open_pieces, read_samples, row_groups

__all__ = [
    "CorruptPartError",
    "Part",
    "Question",
    "Reading",
    "first_file",
    "first_ranges",
    "is_many",
    "list_parts",
    "summaries",
]

_LARGE = 1 << 27  # bytes of a Parquet file that are worth a task of their own
_URL = re.compile(r"^([a-z][a-z0-9+.-]+):/+(?=.)")
_DECIMAL = r"^-?[0-9]+\.0+$"  # what an integer is spelled like once it has been a float


class CorruptPartError(InputError):
    """A part that cannot be read at all.

    Examples
    --------
    >>> issubclass(CorruptPartError, InputError)
    True
    """


@dataclass(frozen=True)
class Part:
    """A file as it was when it was listed.

    Attributes
    ----------
    path : str
        Where it lies.
    size : int
        In bytes.
    changed : str
        When it was last changed, or what else tells its versions apart.
    groups : (int, int), optional
        The first of its row groups and the one after the last; all rows if None.
    """

    path: str
    size: int
    changed: str
    groups: tuple[int, int] | None = None

    def slices(self) -> list[Part]:
        """Return a large Parquet file as several, each with some of its row groups: it need not be read by one."""
        if self.size < 2 * _LARGE:
            return [self]
        with _opened(self) as source:
            rows = row_groups(self.path, source)
        number = min(self.size // _LARGE, len(rows))
        if number < 2:
            return [self]
        ends = np.cumsum(rows)
        cuts = np.unique(np.searchsorted(ends, ends[-1] * np.arange(1, number) / number, side="right"))
        edges = [0, *(cut for cut in cuts.tolist() if 0 < cut < len(rows)), len(rows)]
        return [replace(self, groups=pair) for pair in itertools.pairwise(edges)]

    @property
    def url(self) -> bool:
        """Whether fsspec opens it."""
        return bool(_URL.match(self.path))

    def check_unchanged(self) -> None:
        """Refuse what is no longer the file that was listed.

        Raises
        ------
        InputError
            If it is not.
        """
        now = replace(_stat(self.path), groups=self.groups)
        if now != self:
            raise InputError(
                f"{self.path} changed while it was read (size {self.size}, now {now.size}); wait until it is written, "
                "then give the same command: other parts that were done are kept."
            )


@dataclass(frozen=True)
class Question:
    """What is read of each part.

    Parameters
    ----------
    prompt : str, optional
        Column that names the prompt; None where all rows are of one.
    rewards : tuple of str
        Rewards, as in `RewardTable.read`.
    sample : str, optional
        Column that tells the samples of a prompt apart.
    wide : bool
        Whether a row has all samples of a prompt.
    drop_missing : bool
        Whether to go on without rows that lack a finite value.
    widths : tuple of float
        Width of the bins of each reward, powers of two.
    exact_up_to : int
        The most samples of a prompt that are kept one by one.
    """

    prompt: str | None
    rewards: tuple[str, ...]
    sample: str | None = None
    wide: bool = False
    drop_missing: bool = False
    widths: tuple[float, ...] = ()
    exact_up_to: int = 0


def is_many(location: str) -> bool:
    """Tell whether a location is a folder, a pattern or an address, not a single file.

    Parameters
    ----------
    location : str
        A path, a pattern or an address.

    Examples
    --------
    >>> is_many("runs/*.parquet"), is_many("s3://bucket/runs"), is_many("rewards.csv")
    (True, True, False)
    """
    if _URL.match(location):
        return True
    return not os.path.isfile(location) and (os.path.isdir(location) or glob.has_magic(location))


def list_parts(location: str) -> list[Part]:
    """List the tables of a folder and those below it, of a pattern, or of an address that fsspec knows, by name.

    Parameters
    ----------
    location : str
        A folder, a pattern, a file, or an address.

    Returns
    -------
    list of Part
        In the order of their names.

    Raises
    ------
    InputError
        Where there are none, or fsspec is needed and missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.csv", "a.csv"):
    ...         _ = Path(folder, name).write_text("reward\\n1\\n", encoding="utf-8")
    ...     [Path(part.path).name for part in list_parts(folder)]
    ['a.csv', 'b.csv']
    """
    if _URL.match(location):
        paths = _listed(location)
    elif os.path.isdir(location):
        below = Path(location).rglob("*")
        found = (path for path in below if not any(p[0] in "._" for p in path.relative_to(location).parts))
        paths = [str(path) for path in found if _is_file(str(path))]
    elif glob.has_magic(location) and not os.path.isfile(location):
        paths = [path for path in _matching(location) if _is_file(path)]
    else:
        paths = [location]
    if not _URL.match(location):  # what was typed may be an address, the name of a file in a folder is none
        paths = [f".{os.sep}{path}" if _URL.match(path) else path for path in paths]
    tables = sorted(path for path in paths if is_table_name(path))
    require(bool(tables), f"{location} holds no table; name a folder, a pattern or a file of them.", "table")
    return [_stat(path) for path in tables]


def _is_file(path: str) -> bool:
    """Whether a name is that of a file; one of a table that leads nowhere must not be left out in silence."""
    if os.path.isfile(path):
        return True
    if os.path.isdir(path) or not is_table_name(path):
        return False
    if os.path.islink(path) and not os.path.exists(path):
        why = f"a link to {quoted(os.readlink(path))}, which is not there"
    else:
        why = "no file, but a pipe or a device"
    raise InputError(f"{path} is {why}; fetch what it stands for, or take it away.", argument="table")


def _matching(pattern: str) -> list[str]:
    """Return what a pattern means; below ``**`` no link to a folder is followed, which may lead round in circles."""
    pieces = Path(pattern).parts
    if "**" not in pieces:
        return glob.glob(pattern, recursive=True)
    first = next(k for k, piece in enumerate(pieces) if glob.has_magic(piece))
    below = [piece if piece == "**" else re.sub(r"\*\*+", "*", piece) for piece in pieces[first:]]
    root = Path(*pieces[:first])
    seen = any(piece.startswith(".") for piece in below)  # hidden names are asked for
    found = (path for path in root.glob("/".join(below)))
    return [str(path) for path in found if seen or not any(p[0] == "." for p in path.relative_to(root).parts)]


@dataclass(frozen=True)
class Reading:
    """What is read of a piece of a part.

    Attributes
    ----------
    summary : Summary
        Its samples.
    dropped : int
        Rows that were left out.
    responses : Responses, optional
        What names its rows, where that is asked.
    kind : str
        What its prompts are: integers, text, or, of a file where all is text, ``spelled integers``, ``decimals`` such
        as 7.0, or nothing that is known.
    truths : bool
        Whether rewards are truth values.
    """

    summary: Summary
    dropped: int = 0
    responses: Responses | None = None
    kind: str = ""
    truths: bool = False


def summaries(part: Part, question: Question) -> Iterator[Reading]:
    """Yield the summary of each piece of a part, and what tells it apart from others.

    Parameters
    ----------
    part : Part
        The file.
    question : Question
        What is read of it.

    Raises
    ------
    CorruptPartError
        Where the part cannot be read.
    InputError
        Where it can, and does not hold what is asked: the sentence names it.
    """
    for file in _pieces(part, question):
        yield _of_piece(file, question)


def first_ranges(part: Part, question: Question) -> tuple[list[tuple[float, float]], int, int] | None:
    """Return the ends of each reward in the first piece that has any, and how many samples and runs of prompts it has.

    Parameters
    ----------
    part : Part
        The file.
    question : Question
        What is read of it.

    Returns
    -------
    ranges : list of (float, float)
        Ends of each reward in the first piece that has any.
    samples, runs : int
        How many samples it has, and runs of prompts.

    Raises
    ------
    InputError
        As `summaries`.
    """
    for file in _pieces(part, question):
        samples = read_samples(
            file, question.prompt, question.rewards, sample=question.sample, wide=question.wide, named=True
        )
        rewards = np.array(list(samples.rewards.values()))
        finite = np.isfinite(rewards).all(axis=0)  # what lacks a value is dropped, or refused when its turn comes
        if finite.any():
            ends = [(float(one.min()), float(one.max())) for one in rewards[:, finite]]
            return ends, samples.size, len(_runs(samples.identifiers.drop_null())[1])
    return None


def _pieces(part: Part, question: Question) -> Iterator[TableFile]:
    with _opened(part) as source:
        groups = None if part.groups is None else range(*part.groups)
        pieces = open_pieces(part.path, lambda file: _needed(file, question), source, groups)
        while True:
            try:
                file = next(pieces, None)
            except InputError as error:
                if isinstance(error, _Asked):
                    raise InputError(str(error), argument=error.argument, column=error.column) from error
                raise CorruptPartError(str(error)) from error
            if file is None:
                return
            yield file


def first_file(parts: Sequence[Part]) -> TableFile:
    """Return the first piece of the first part that can be read and has rows, which tells what columns there are.

    Parameters
    ----------
    parts : sequence of Part
        In the order in which they are tried.

    Raises
    ------
    InputError
        Where none can be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("prompt_id,reward\\n1,1\\n", encoding="utf-8")
    ...     first_file(list_parts(folder)).names
    ('prompt_id', 'reward')
    """
    problem: InputError | None = None
    for part in parts:
        try:
            with _opened(part) as source:
                for file in open_pieces(part.path, lambda file: list(file.names[:1]), source):
                    _check_no_summary(file)
                    return file
        except InputError as error:
            problem = problem or error
    raise problem or InputError(f"{parts[0].path} has a header but no rows; give samples of each prompt.")


class _Asked(InputError):
    """What is asked is not there; the part itself is whole."""


def _needed(file: TableFile, question: Question) -> list[str]:
    """Return the columns that reading a table will load, by reading it without rows."""
    _check_no_summary(file)
    asked: list[str] = []

    def read(columns: list[str]) -> pa.Table:
        asked.extend(columns)
        return file.read(columns)

    empty = TableFile(file.path, file.names, read, nested=file.nested)
    try:
        read_samples(empty, question.prompt, question.rewards, sample=question.sample, wide=question.wide)
    except InputError as error:
        if not asked:
            raise _Asked(str(error), argument=error.argument, column=error.column) from error
    return list(dict.fromkeys(asked))


def _check_no_summary(file: TableFile) -> None:
    if holds_summary(file.names):
        raise _Asked(
            f"{file.path} is a summary, not a part of a table of rewards; ask for it by itself, and keep summaries "
            "elsewhere. Those of several tables are joined by alignlib.scale.Summary.merged.",
            argument="table",
        )


def _of_piece(file: TableFile, question: Question) -> Reading:
    samples = read_samples(
        file, question.prompt, question.rewards, sample=question.sample, wide=question.wide, named=True
    )
    rewards = list(samples.rewards.values())
    if question.drop_missing and not (np.isfinite(rewards).all(axis=0) & _named(samples.identifiers)).any():
        nothing = {name: np.empty(0) for name in samples.rewards}
        none = Summary.of(
            pa.array([], pa.int64()), np.empty(0, dtype=np.int64), nothing, widths=question.widths or None
        )
        return Reading(replace(none, exact_up_to=question.exact_up_to), samples.size)
    kept = samples.without_gaps(question.drop_missing)
    prompts, sizes = _runs(kept.identifiers)
    columns = {name: np.asarray(values) for name, values in kept.rewards.items()}
    widths = question.widths or None
    found = Summary.of(prompts, sizes, columns, widths=widths, exact_up_to=question.exact_up_to)
    responses = None if kept.told_apart is None else Responses.of(prompts, sizes, kept.told_apart)
    kind = "" if question.prompt is None else _kind(prompts, file.is_text)
    return Reading(found, samples.size - kept.size, responses, kind, _truths(file, question))


def _runs(names: pa.Array) -> tuple[pa.Array, IntArray]:
    """Return the names of runs of one prompt, and how many rows each has."""
    if pa.types.is_integer(names.type) and len(names):  # a quarter of the time
        values = names.to_numpy()
        starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
        return pa.array(values[starts]), np.diff(starts, append=len(values))
    runs = pc.run_end_encode(names, run_end_type=pa.int64())
    return runs.values, np.diff(runs.run_ends.to_numpy(), prepend=0)


def _kind(names: pa.Array, is_text: bool) -> str:
    """Say what names are; a file where all is text tells less."""
    if pa.types.is_integer(names.type):
        return "spelled integers" if is_text else "integers"
    if not is_text:
        return "text"
    first = names.slice(0, 1)
    if not pc.all(pc.match_substring_regex(first, _DECIMAL)).as_py():  # most names are no numbers
        return ""
    return "decimals" if pc.all(pc.match_substring_regex(names, _DECIMAL)).as_py() else ""


def _truths(file: TableFile, question: Question) -> bool:
    """Tell whether a reward is a column of truth values, which count as 1 and 0."""
    plain = [name for name in question.rewards if name in file.names]
    return not file.is_text and any(pa.types.is_boolean(one.type) for one in file.load(plain).columns)


def _named(identifiers: pa.Array) -> BoolArray:
    return np.asarray(identifiers.is_valid().to_numpy(zero_copy_only=False))


def _stat(path: str) -> Part:
    if _URL.match(path):
        fs, inside = _fsspec(path)
        with _reached(path):
            info: dict[str, Any] = fs.info(inside)
        times = (info.get(name) for name in ("mtime", "LastModified", "Last-Modified", "updated", "ETag", "created"))
        return Part(path, int(info.get("size") or 0), str(next((one for one in times if one), "")))
    try:
        found = os.stat(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check it.", argument="table") from error
    return Part(path, found.st_size, str(found.st_mtime_ns))


def _fsspec(path: str) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise InputError(
            f"{path} is an address, which needs fsspec: install the extra, with `pip install '.[scale]'`.",
            argument="table",
        ) from error
    try:
        return fsspec.core.url_to_fs(path)
    except MemoryError:
        raise
    except FileNotFoundError as error:  # of an archive that the address names
        raise InputError(f"Nothing is found at {path}; check the address and the network.", argument="table") from error
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{path} is of a kind that fsspec cannot open ({error!s:.200}); install the package that this names.",
            argument="table",
        ) from error
    except Exception as error:  # kinds of addresses raise whatever their own libraries do
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(
            f"{path} cannot be opened ({why:.200}); check the address, which is zip://NAME::PATH for what lies in an "
            "archive.",
            argument="table",
        ) from error


def _listed(location: str) -> list[str]:
    fs, inside = _fsspec(location)
    with _reached(location):
        if glob.has_magic(inside):
            found = fs.glob(inside)
        elif fs.isdir(inside):
            found = fs.find(inside)
        else:
            found = [inside]
    return [str(fs.unstrip_protocol(path)) for path in found]


@contextmanager
def _opened(part: Part) -> Iterator[IO[bytes] | None]:
    """Open a part where fsspec does; else the reader opens it by name."""
    if not part.url:
        yield None
        return
    fs, inside = _fsspec(part.path)
    with _reached(part.path), fs.open(inside, "rb") as file:
        yield file


@contextmanager
def _reached(path: str) -> Iterator[None]:
    """Say in a sentence what goes wrong with an address; every kind of file system raises errors of its own."""
    try:
        yield
    except (InputError, GeneratorExit, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"Nothing is found at {path}; check the address and the network.", argument="table") from error
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{path} cannot be read ({said:.200}); check the address and the network, then give the same command: "
            "parts that were done are kept.",
            argument="table",
        ) from error
