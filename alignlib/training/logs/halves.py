"""Half of the last decimal of each KL of a log, where a part of it, or one of its starts, has fewer than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.names import counted
from alignlib._core.shown import decimals_of
from alignlib.training.logs.decimals import decimals_by_value, decimals_of_zeros, half_of, printed_decimals
from alignlib.training.logs.log_format import LogRows

__all__ = ["assumed_of_starts", "halves_of_starts", "with_halves"]

_SEVERAL, _DECIMALS, _MANY = 4, 4, 7  # checkpoints, and decimals
_STRETCH = 3  # rows
_OF_NOISE = 15  # decimals: three times 0.1 is 0.30000000000000004
_EVIDENCE = 5  # decimals that are 0 in all of a stretch: by chance in one of 100,000


def with_halves(rows: LogRows, path: Path) -> LogRows:
    """Return rows with half of the last decimal of each KL, and with the decimals that a text prints if they are few.

    They are those of its run; of some rows in a stretch that have fewer than the others, their own.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as they were logged.
    path : Path
        Their log.
    """
    if rows.per_prompt is not None:
        return replace(rows, half=np.zeros(rows.kl.size))
    zeros = not rows.kl.any()
    few = rows.kl.size >= _SEVERAL and decimals_of(rows.kl[np.isfinite(rows.kl)], range(_DECIMALS + 1)) is not None
    printed = rows.decimals is not None
    if not printed and (zeros or few):
        rows = replace(rows, decimals=_printed_of(rows, path, zeros))
    if zeros or printed:
        return replace(rows, half=_of_all(rows))
    half, alike, notes = _halves(rows, path)
    if (half > alike).any():
        at = int(np.argmax(half - alike))
        notes.append(
            f"Some KLs in a row, as at step {rows.step[at]:g}, have fewer decimals than others of the log: if these "
            f"were rounded, each of them is known up to {half[at]:g} nats per {rows.kl_unit}."
        )
    return replace(rows, half=half, notes=(*rows.notes, *notes))


def halves_of_starts(parts: Sequence[LogRows]) -> FloatArray:
    """Return half of the last decimal of each KL of the starts of a run.

    A few zeros before the first KL are those of the base, and have the decimals of what follows where the text does
    not show their own.

    Parameters
    ----------
    parts : sequence of LogRows
        Starts in order.
    """
    held = [one for one in parts if one.kl.size]
    halves = [one.half for one in held if one.half is not None]
    first = held[0] if len(held) > 1 and not held[0].kl.any() and held[0].kl.size < _SEVERAL else None
    if first is not None and not decimals_of_zeros(first.decimals, first.length is not None)[1]:
        halves[0] = np.full(first.kl.size, halves[1][0])
    return np.concatenate([np.zeros(0), *halves])


def assumed_of_starts(names: Sequence[str], parts: Sequence[LogRows]) -> list[str]:
    """Say of which starts all KLs are 0 and do not show to how many decimals they were rounded.

    Parameters
    ----------
    names : sequence of str
        What each start is called.
    parts : sequence of LogRows
        The starts in order.
    """
    said = []
    for i, (name, one) in enumerate(zip(names, parts, strict=True)):
        few = i == 0 and one.kl.size < _SEVERAL
        digits, known = decimals_of_zeros(one.decimals, one.length is not None)
        if one.kl.size and not one.kl.any() and not (few or known) and len(parts) > 1:
            said.append(_assumed(f"Every KL of {name!r} is 0", digits, one.kl_unit))
    return said


def _assumed(what: str, digits: int, unit: str) -> str:
    return (
        f"{what}, and the log does not show how many decimals it printed: if the KLs were rounded, it is assumed to "
        f"{counted(digits, 'decimal')}, each is {0.5 * 10.0**-digits:g} nats per {unit} at most. If to fewer, it may "
        "be more."
    )


def _of_all(rows: LogRows) -> FloatArray:
    """Return half of the last decimal of the KLs of each run, for each of them."""
    half = np.zeros(rows.kl.size)
    for name in dict.fromkeys(rows.run.tolist()):
        mine = rows.run == name
        half[mine] = half_of(rows.kl[mine], rows.decimals, rows.length is not None)
    return half


def _printed_of(rows: LogRows, path: Path, zeros: bool) -> int | None:
    """Return with how many decimals a text prints the rows that are read; of means of several, those of the column."""
    shown = decimals_by_value(path, rows.kl_name)
    found = [shown.get(one) for one in np.abs(rows.kl[np.isfinite(rows.kl)]).tolist()]
    own = [one for one in found if one is not None and one < _OF_NOISE]
    if not own or None in found or (not zeros and max(own) == 1 and not np.mod(rows.kl, 1.0).any()):
        return printed_decimals(path, rows.kl_name, zeros)
    return min(own) if zeros else max(own)


def _halves(rows: LogRows, path: Path) -> tuple[FloatArray, FloatArray, list[str]]:
    """Return half of the last decimal of each KL, that of its run without stretches, and what is to be said of zeros.

    A single KL of few decimals tells nothing, for 0.1 is 0.1 in full precision, too; several in a row that differ do.
    Zeros in a row do after a KL that is not small, but not before the first, which are the base, or before an update,
    unless their text shows their decimals.
    """
    half, notes = _of_all(rows), list[str]()
    names, alike = list(dict.fromkeys(rows.run.tolist())), half.copy()
    printed = decimals_by_value(path, rows.kl_name)
    for name in names:
        mine = np.flatnonzero((rows.run == name) & np.isfinite(rows.kl))
        kl = np.abs(rows.kl[mine])
        if len(names) > 1:
            own = [printed.get(one) for one in np.unique(kl[kl > 0.0] if kl.any() else kl).tolist()]
            shown = [one for one in own if one is not None]
            text = max(shown) if shown and len(shown) == len(own) else None
            half[mine] = alike[mine] = half_of(kl, text, rows.length is not None)
            few, known = decimals_of_zeros(text, rows.length is not None)
            if kl.size > 1 and not kl.any() and not known:
                notes.append(_assumed(f"Every KL of {name!r} is 0", few, rows.kl_unit))
        digits = _digits(kl)
        within = np.full(kl.size, _MANY)  # the decimals of the stretch that a row is known to be in
        for few in range(_DECIMALS, -1, -1):  # the coarsest last
            for start, end in _stretches(digits <= few):
                found = _decimals_in(kl, digits, start, end, int(within[start]), rows, printed)
                if found is not None:
                    within[start:end] = found
                    half[mine[start:end]] = np.maximum(half[mine[start:end]], 0.5 * 10.0**-found)
    return half, alike, notes


def _digits(kl: FloatArray) -> IntArray:
    """Return the decimals of each number, -1 of a 0, and the most that are told apart where it has many."""
    found = [decimals_of(np.array([one]), range(_MANY)) if one else -1 for one in kl.tolist()]
    return np.array([_MANY if one is None else one for one in found], dtype=np.int64)


def _stretches(within: BoolArray) -> list[tuple[int, int]]:
    """Return start and end of each stretch of rows that are within, of some length."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], within, [False]]).astype(np.int8)))
    return [(start, end) for start, end in edges.reshape(-1, 2).tolist() if end - start >= _STRETCH]


def _decimals_in(
    kl: FloatArray, digits: IntArray, start: int, end: int, within: int, rows: LogRows, printed: dict[float, int]
) -> int | None:
    """Return the decimals to which a stretch of KLs was rounded, where those outside have more; else None."""
    finest = min(max(digits[:start].max(initial=-1), digits[end:].max(initial=-1)), within)
    few, before = int(digits[start:end].max()), float(kl[start - 1]) if start else 0.0
    padded = {printed.get(one) for one in kl[start:end].tolist()}
    shown = next(iter(padded)) if len(padded) == 1 else None
    if shown is not None and max(few, 1) < shown < finest:  # only what formats numbers ends them with zeros
        return shown
    # A 0 after so much was not printed with all of those decimals.
    sudden = bool((kl[start:end] == 0.0).any()) and before >= 10.0 ** (1 - min(finest, _MANY - 1))
    if few >= 0:
        differ = np.unique(kl[start:end][kl[start:end] > 0.0]).size + sudden
        return few if differ > 1 and differ * (finest - few) >= _EVIDENCE else None
    full = start > 0 and end < kl.size and min(digits[:start].max(), digits[end:].max()) >= _MANY
    if not sudden or full:  # 0.0 is how a 0 is written among numbers of full precision
        return None
    few, _ = decimals_of_zeros(printed.get(0.0), rows.length is not None)
    return few if few < finest else None
