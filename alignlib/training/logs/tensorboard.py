"""TensorBoard's event files, one or a folder of them, through TensorBoard's own reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from alignlib._core.errors import InputError
from alignlib._core.working import working_folder
from alignlib.training.logs.choose import choose
from alignlib.training.logs.columns import columns_of_rows
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.values_by_step import rows_of_values

__all__ = ["find_events", "read_events"]

_AROUND = 16  # bytes of a record beside what it holds: its length, and checksums of both
_PIECE = 1 << 20  # bytes that are looked at once


def find_events(path: Path) -> Path | None:
    """Take an event file, or a folder in which some lie and no ``trainer_state.json``.

    Parameters
    ----------
    path : Path
        What was named.
    """
    if path.is_dir():
        own = (path / "trainer_state.json").exists() or any(path.glob("checkpoint-*/trainer_state.json"))
        return path if not own and any(path.glob("events.out.tfevents.*")) else None
    return path if "events.out.tfevents." in path.name and path.is_file() else None


def read_events(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints, scalars of one step side by side.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.

    Raises
    ------
    InputError
        If TensorBoard is not installed, or cannot read it.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore
    except ImportError as error:
        raise InputError(
            f"{path} holds TensorBoard's events, which its own package reads; install it (pip install tensorboard, or "
            "the extra [tensorboard])."
        ) from error
    files = _files(path)
    none_yet = f"{path} is empty; ask again when the run has logged something."
    if not any(one.stat().st_size for one in files):
        raise InputError(none_yet)
    try:
        with _as_utf8(path, files) as (where, names):
            unfinished = [note for one, name in zip(files, names, strict=True) if (note := _check_records(one, name))]
            events: Any = EventAccumulator(where, size_guidance={"scalars": 0, "tensors": 0})
            events.Reload()
        series = {tag: _scalars(events, tag) for tag in events.Tags()["scalars"]}
        series |= {tag: _tensors(events, tag) for tag in events.Tags()["tensors"]}
    except InputError:
        raise
    except Exception as error:  # whatever its reader raises on a broken file
        raise InputError(f"{path} cannot be read as TensorBoard's events; check that it is whole.") from error
    if not series:  # each file begins with a record that holds no numbers
        raise InputError(none_yet.replace("is empty", "holds no numbers yet"))
    rows, again = rows_of_values([(time, at, tag, one) for tag, values in series.items() for time, at, one in values])
    found = choose(replace(columns_of_rows(path, "TensorBoard's events", rows), again=again), query)
    return replace(found, notes=(*found.notes, *unfinished))


def _files(path: Path) -> list[Path]:
    """Return the files of events that TensorBoard reads of a folder, or the one that was named."""
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.iterdir() if "tfevents" in one.name)
    for one in found:
        if not one.is_file():
            raise InputError(
                f"{one} is no file, or a link to none, but called like TensorBoard's events; move it away."
            )
    return found


@contextmanager
def _as_utf8(path: Path, files: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    """Yield names of a log and its files that TensorBoard opens: those in UTF-8, if need be of links made for it."""
    try:
        for one in files:
            str(one).encode()
    except UnicodeEncodeError:
        with working_folder() as place:
            links = [place / f"{number:09}.tfevents" for number in range(len(files))]  # in the order of their names
            for link, one in zip(links, files, strict=True):
                link.symlink_to(one.absolute())
            yield str(place if path.is_dir() else links[0]), list(map(str, links))
    else:
        yield str(path), list(map(str, files))


def _check_records(path: Path, name: str) -> str:
    """Refuse a file with a damaged record, where TensorBoard stops without a word; return a note on one cut short."""
    from tensorboard.compat.tensorflow_stub.errors import DataLossError, OutOfRangeError  # type: ignore
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New  # type: ignore

    reader, count, good = PyRecordReader_New(name), 0, 0
    try:
        while True:
            reader.GetNext()
            count += 1
            good += _AROUND + len(reader.record())
    except OutOfRangeError:
        return ""
    except DataLossError as error:
        # As while it is written, or after a loss of power.
        if "truncated" in str(error) or (count and not _any_behind(path, good)):
            return (
                f"{path.name} ends within a record, after {count:,} whole ones: if it is still being written, or was "
                "copied in part, what follows is not in this answer."
            )
        where = f"is damaged after record {count:,} (byte {good:,})" if count else "holds no events of TensorBoard's"
        other = "" if count else ", or move it away where it is something else"
        raise InputError(f"{path} {where}; copy it again from where the run wrote it{other}.") from error


def _any_behind(path: Path, start: int) -> bool:
    """Whether anything but zeros is in the file from a byte on."""
    with path.open("rb") as file:
        file.seek(start)
        return any(any(piece) for piece in iter(lambda: file.read(_PIECE), b""))


def _scalars(events: Any, tag: str) -> list[tuple[float, int, float]]:
    """Return time, step and value of each number."""
    return [(one.wall_time, one.step, float(one.value)) for one in events.Scalars(tag)]


def _tensors(events: Any, tag: str) -> list[tuple[float, int, float]]:
    """Return the single numbers that newer writers store as tensors."""
    from tensorboard.util.tensor_util import make_ndarray  # type: ignore

    found = [(one.wall_time, one.step, make_ndarray(one.tensor_proto)) for one in events.Tensors(tag)]
    return [(time, step, float(value)) for time, step, value in found if value.size == 1 and value.dtype.kind in "fiu"]


register(LogFormat("tensorboard", find_events, read_events, place=-10))
