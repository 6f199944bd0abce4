"""Responses of a run written down by any trainer while it trains, as `alignlib kl` and `alignlib overlay` read them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import as_numbers, as_whole, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.locks import hold_at_once
from alignlib.training.policy_kl.response_names import OPENED
from alignlib.training.policy_kl.sample_arrays import MOST_LOG_PROB

__all__ = ["Rollouts"]

_PIECE = 1 << 16  # bytes read at once
_DIGITS = 9  # of a float32, all of them
_LISTS = ("token_log_prob", "base_token_log_prob", "token_kl")
_TEXTS = ("prompt_id", "prompt", "response")


class Rollouts:
    """Responses of a run as JSON lines in one file, ``rollouts.jsonl`` of a folder.

    Every call appends whole lines in one write; a line that a crash cut off is removed when the file is opened again.
    Two at once do not write one file: the second is refused.
    Nothing else is ever taken away: after a resume steps are written anew, and readers take the later ones, by a number
    in rows of a file that was opened again also where the step is the one last written.

    Parameters
    ----------
    folder : str or Path
        Where the file is; made if need be.
    rank : int
        Of several processes each writes a file of its own, which are read together as a folder.

    Raises
    ------
    InputError
        If ``folder`` is a file, ``rank`` is no whole number, or the file is being written by another.

    Examples
    --------
    >>> import tempfile
    >>> from alignlib.training import read_training_log
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Rollouts(folder) as rollouts:
    ...         for step in (0, 10):
    ...             rollouts.write(step, prompt_id=["a", "b"], reward=[0.1 + step, 0.3], n_tokens=[9, 7],
    ...                            log_prob=[-5.0, -4.0], base_log_prob=[-5.0 - 0.1 * step, -4.0])
    ...     log = read_training_log(folder)
    >>> log.step.tolist(), log.kl.tolist(), log.reward.round(2).tolist()
    ([0.0, 10.0], [0.0, 0.5], [0.2, 5.2])
    """

    def __init__(self, folder: str | Path, rank: int = 0) -> None:
        require(not isinstance(rank, bool), f"rank must be the number of a process; got {rank}.", "rank")
        rank = as_whole("rank", rank, 0)
        place = Path(folder)
        if place.exists() and not place.is_dir():
            raise InputError(f"folder must be a folder, or a name for one; {place} is a file.", argument="folder")
        place.mkdir(parents=True, exist_ok=True)
        self.path = place / (f"rollouts-{rank}.jsonl" if rank else "rollouts.jsonl")
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        if not hold_at_once(self._handle):
            self.close()
            raise InputError(
                f"{self.path} is being written by another Rollouts, of this process or another; close that first, give "
                "each process its own rank, or name another folder.",
                argument="folder",
            )
        last = _end_whole(self._handle)
        self._again = 0 if last is None else _times(last) + 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def write(self, step: int, *, split: str = "train", **columns: Any) -> None:
        """Append responses of the policy after ``step`` updates, so that 0 is the base itself.

        Parameters
        ----------
        step : int
            Updates made before these responses were drawn, >= 0.
        split : str
            ``"train"``, or the name of other prompts, such as ``"held out"``.
        **columns : sequence (n,)
            ``reward`` and either ``log_prob`` and ``base_log_prob``, sums over each response in nats under the law that
            drew it and under the base, or ``token_log_prob`` and ``base_token_log_prob``, a list each; ``n_tokens``;
            ``prompt_id`` (or ``prompt``), by which prompts are matched with those of the base samples; ``response``.
            With ``exact_kl``, the sum of exact divergences of the next-token laws, KLs are sharper, and with
            ``entropy``, the sum of entropies, another temperature or a cut law is found out. Other columns are kept.

        Raises
        ------
        InputError
            For columns of unlike lengths, or without rewards or log-probabilities.
        """
        require(self._handle >= 0, "this file of rollouts is closed; open another.", "folder")
        require(not isinstance(step, bool), f"step must be a number of updates; got {step}.", "step")
        at = as_whole("step", step, 0)
        which = {"step": _number(at), "split": _whole(split)}
        if self._again:
            which[OPENED] = self._again
        lines = [json.dumps({**which, **row}, ensure_ascii=False) for row in _rows(columns)]
        data = "".join(line + "\n" for line in lines).encode()
        while data:
            data = data[os.write(self._handle, data) :]
        os.fsync(self._handle)


def _end_whole(handle: int) -> bytes | None:
    """Cut the file after its last whole line, which is returned; one that lacks only its end of line gets it."""
    size = os.lseek(handle, 0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - _PIECE)
        os.lseek(handle, start, os.SEEK_SET)
        place = os.read(handle, end - start).rfind(b"\n")
        if place >= 0:
            end = start + place + 1
            break
        end = start
    if end < size:
        os.lseek(handle, end, os.SEEK_SET)
        with os.fdopen(os.dup(handle), "rb") as file:
            rest = file.read()
        if _is_row(rest):
            os.write(handle, b"\n")
        else:
            os.ftruncate(handle, end)
    return _last_line(handle)


def _last_line(handle: int) -> bytes | None:
    """Return the last line of a file of whole lines, which is left at its end; None for an empty one."""
    size, held = os.lseek(handle, 0, os.SEEK_END), b""
    while len(held) < size and b"\n" not in held[:-1]:
        take = min(_PIECE, size - len(held))
        os.lseek(handle, size - len(held) - take, os.SEEK_SET)
        held = os.read(handle, take) + held
    os.lseek(handle, 0, os.SEEK_END)
    return held[:-1].rpartition(b"\n")[2] if held else None


def _times(line: bytes) -> int:
    """Return how often the file had been opened again when a line was written."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return 0
    again = row.get(OPENED, 0) if isinstance(row, dict) else 0
    return again if isinstance(again, int) else 0


def _is_row(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _rows(columns: Mapping[str, Any]) -> list[dict[str, object]]:
    held = {_whole(name): value for name, value in columns.items() if value is not None}
    for name, value in held.items():
        require(
            not isinstance(value, str | bytes | Mapping | Set | Iterator),
            f"{name} must be a list or an array, an entry for each response in order; got {quoted(value)}.",
            name,
        )
    pairs = (("log_prob", "base_log_prob"), ("token_log_prob", "base_token_log_prob"))
    require(
        "reward" in held and (any(set(pair) <= set(held) for pair in pairs) or "kl" in held),
        "write needs reward, and log_prob with base_log_prob (or both by token, or kl); got "
        f"{', '.join(held) or 'nothing'}.",
    )
    ready: dict[str, list[object]] = {}
    for name, value in held.items():
        if name in _LISTS:
            ready[name] = [
                [_number(one) for one in np.atleast_1d(as_numbers(f"{name}[{i}]", row)).tolist()]
                for i, row in enumerate(value)
            ]
        elif name in _TEXTS or (isinstance(value, Sequence) and any(isinstance(one, str) for one in value)):
            ready[name] = [_whole(one if isinstance(one, str) else _plain(one)) for one in value]
        else:
            ready[name] = [_number(one) for one in np.atleast_1d(_floats(name, value)).tolist()]
    sizes = {name: len(value) for name, value in ready.items()}
    uneven = next((name for name, size in sizes.items() if size != sizes["reward"]), None)
    require(
        uneven is None, f"{uneven} must have {sizes['reward']} entries, as reward has; got {sizes.get(uneven or '')}."
    )
    _check_tokens(ready)
    return [{name: value[i] for name, value in ready.items()} for i in range(sizes["reward"])]


def _check_tokens(ready: Mapping[str, list[Any]]) -> None:
    """Refuse what could not be read once the training is over: counts, signs, and lists of unlike lengths."""
    for name in ("log_prob", "base_log_prob", *(name for name in _LISTS if "log_prob" in name)):
        rows = ready.get(name, [])
        lacks = next((i for i, x in enumerate(rows) if x is None or (isinstance(x, list) and None in x)), None)
        require(lacks is None, f"{name} must hold finite log-probabilities; that of response {lacks} is none.", name)
    for name in ("log_prob", "base_log_prob"):
        above = next((x for x in ready.get(name, []) if x is not None and x > MOST_LOG_PROB), None)
        require(above is None, f"{name} must hold log-probabilities, <= 0; got {above}.", name)
    counts = ready.get("n_tokens", [])
    wrong = next((x for x in counts if x is not None and not (isinstance(x, int) and x >= 1)), None)
    require(wrong is None, f"n_tokens must hold whole numbers of tokens, >= 1; got {wrong}.", "n_tokens")
    lists = [name for name in _LISTS if name in ready]
    for name in lists:
        for i, row in enumerate(ready[name]):
            size = len(ready[lists[0]][i])
            require(len(row) == size, f"{name}[{i}] must hold {size} tokens, as {lists[0]} does; got {len(row)}.", name)
            require(
                not counts or counts[i] is None or counts[i] == size,
                f"n_tokens[{i}] must be {size}, the tokens in {lists[0]}; got {counts[i] if counts else None}.",
                "n_tokens",
            )


def _floats(name: str, value: Any) -> npt.NDArray[np.float64]:
    array = as_numbers(name, value)
    require(array.ndim <= 1, f"{name} must hold one number for each response; got shape {array.shape}.", name)
    return array


def _number(value: float) -> float | int | None:
    """Return a number as JSON has it: missing where it is none, whole where it is whole."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else float(f"{value:.{_DIGITS}g}")


_Value = TypeVar("_Value")


def _whole(value: _Value) -> _Value:
    """Return a text with halves of surrogate pairs, which no file can hold, written out: unlike names stay unlike.

    >>> _whole("a" + chr(0xD800)), _whole("é"), _whole(3)
    ('a\\\\ud800', 'é', 3)
    """
    return type(value)(value.encode("utf-8", "backslashreplace").decode()) if isinstance(value, str) else value


def _plain(value: object) -> object:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.item() if isinstance(value, np.generic) else value if isinstance(value, int | float) else str(value)
