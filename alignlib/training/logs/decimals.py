"""How many decimals a log prints of its KL, and what is to be said where they are few."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.names import counted
from alignlib._core.shown import decimals_of
from alignlib.training.logs.columns import text_of
from alignlib.training.logs.log_format import LogRows

__all__ = [
    "decimals_by_value", "decimals_of_rows", "decimals_of_zeros", "half_of", "of_decimals", "printed_decimals",
    "unlike",
]  # fmt: skip

_NUMBER = re.compile(r"[-+]?\d+(?:[.,](\d*))?(?:[eE]([-+]?\d{1,3}))?")
_NO_NUMBER = {"nan", "null", "none", "na"}
_OF_ZEROS, _OF_TOKENS = 1, 3  # decimals that a log of zeros may have been rounded to, per sequence and per token
_FORMATTED = 2  # decimals: what writes numbers whole prints a 0 as 0 or 0.0
_OF_NOISE = 15  # decimals: three times 0.1 is 0.30000000000000004
_MOST = 6  # decimals of a KL that was rounded
_ALIKE = 1e-9  # of a mean of equal numbers
_SEVERAL, _DECIMALS, _MATTERS = 4, 4, 0.02  # checkpoints, decimals, and the part of the largest KL


def of_decimals(rows: LogRows, told: bool = True) -> list[str]:
    """Say so where the KL was rounded to so few decimals that it matters, as consoles print it.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as they were logged.
    told : bool
        Whether the log tells the KL per sequence, rather than ends of it.
    """
    kl, shown = rows.kl, decimals_of_rows(rows)
    if shown is None or (rows.length is None and not told):  # whose ends were said
        return []
    half, i = 0.5 * 10.0**-shown, int(np.argmax(np.abs(kl)))
    if half < _MATTERS * abs(kl[i]):
        return []
    known = f"nats per {rows.kl_unit}"
    if rows.length is not None:
        so = (
            f"so at step {rows.step[i]:g} the KL is {kl[i] * rows.length[i]:.2g} nats per sequence up to "
            f"{half * rows.length[i]:.2g}"
        )
        known += f", {so if told else 'which the ends of the KL per sequence, where there are any, hold'}"
    said = (
        f"No logged KL has more than {counted(shown, 'decimal')}. If they were rounded, each is known up to {half:g} "
        f"{known}; a trainer's files (JSON lines, wandb, TensorBoard) have more decimals than its console."
    )
    return [said]


def decimals_of_rows(rows: LogRows) -> int | None:
    """Return the decimals that a logged KL is printed with, or that none of several exceeds, if these are few.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as they were logged.
    """
    kl, per_token = rows.kl, rows.length is not None
    if rows.per_prompt is not None or unlike(rows.half):  # means of responses are not rounded; of each on its own
        return None
    if per_token and rows.decimals is not None:
        return rows.decimals if 1 <= rows.decimals <= _DECIMALS else None
    if kl.size < _SEVERAL or not (kl.any() if per_token else (kl > 0.0).any()) or not np.isfinite(kl).all():
        return None
    if rows.decimals is not None:
        return rows.decimals if rows.decimals <= _DECIMALS else None
    return decimals_of(kl, range(int(per_token), _DECIMALS + 1))


def unlike(half: FloatArray | None) -> bool:
    """Tell whether KLs have unlike last decimals.

    Parameters
    ----------
    half : array (k,), optional
        Half of the last decimal of each.
    """
    return half is not None and bool(half.size) and float(np.ptp(half)) > _ALIKE * float(half.max())


def half_of(kl: FloatArray, printed: int | None, per_token: bool) -> float:
    """Return half of the last decimal of KLs, as far as those and the text show it; 0 where they have many.

    Parameters
    ----------
    kl : array (k,)
        As they were logged.
    printed : int, optional
        With how many decimals, where it is known.
    per_token : bool
        Whether they are nats per token.

    Examples
    --------
    >>> half_of(np.array([0.1, 0.2]), 2, False), half_of(np.zeros(2), None, False), half_of(np.array([1 / 3]), 2, False)
    (0.005, 0.05, 0.0)
    """
    logged = np.abs(kl[np.isfinite(kl)])
    digits = None
    if logged.size > 1 and logged.any():  # means of several may have more than were printed of each
        digits = decimals_of(logged, range(_MOST + 1))
        digits = digits if digits is None or printed is None else max(digits, printed)
    elif logged.size > 1:  # as numbers they do not tell how many were printed
        digits = decimals_of_zeros(printed, per_token)[0]
    return 0.0 if digits is None else 0.5 * 10.0**-digits


def decimals_of_zeros(printed: int | None, per_token: bool) -> tuple[int, bool]:
    """Return the decimals to which the KLs of a log of zeros may have been rounded, and whether it shows them.

    Parameters
    ----------
    printed : int, optional
        With how many the log prints each, where it is known.
    per_token : bool
        Whether they are nats per token.

    Returns
    -------
    decimals : int
        As few as logs have where it is not known.
    known : bool
        Whether the log shows it: 0 and 0.0 are also what is printed of numbers that were not rounded.

    Examples
    --------
    >>> decimals_of_zeros(4, False), decimals_of_zeros(1, True), decimals_of_zeros(None, False)
    ((4, True), (3, False), (1, False))
    """
    if printed is not None and printed >= _FORMATTED:
        return printed, True
    return (_OF_TOKENS if per_token else _OF_ZEROS), False


def printed_decimals(path: Path, name: str, zeros: bool) -> int | None:
    """Return with how many decimals a text prints the numbers of a column; None where it is no text.

    Parameters
    ----------
    path : Path
        A table as text, or JSON lines.
    name : str
        The column or key.
    zeros : bool
        Whether all are 0: then the least of them is meant, else how many none exceeds.
    """
    text = text_of(path)
    if text is None or "\0" in text:
        return None
    cells = [cell.strip() for cell in _cells(text, name)]
    found = [_NUMBER.fullmatch(cell) for cell in cells if cell and cell.lower() not in _NO_NUMBER]
    sizes = [len(one[1] or "") - int(one[2] or 0) for one in found if one and not (zeros and one[2])]
    sizes = [size for size in sizes if size < _OF_NOISE]
    if not sizes or not all(found):
        return None
    if not zeros and max(sizes) == 1 and all(one[1] == "0" for one in found if one):
        return 0  # as floats print whole numbers
    return max(min(sizes) if zeros else max(sizes), 0)


def decimals_by_value(path: Path, name: str) -> dict[float, int]:
    """Return with how many decimals a text prints each number of a column, the fewest where it prints one variously.

    Parameters
    ----------
    path : Path
        A table as text, or JSON lines; of others none is known.
    name : str
        The column or key.
    """
    text = text_of(path)
    known: dict[float, int] = {}
    for cell in _cells(text, name) if text is not None and "\0" not in text else ():
        found = _NUMBER.fullmatch(cell.strip())
        if found and not found[2]:
            value, size = abs(float(found[0].replace(",", "."))), len(found[1] or "")
            known[value] = min(size, known.get(value, size))
    return known


def _cells(text: str, name: str) -> Iterator[str]:
    if text.lstrip()[:1] in "[{":
        yield from re.findall(rf'(?<![\w/.]){re.escape(name)}"\s*:\s*([^\s,}}\]]+)', text)
        return
    head = text.partition("\n")[0]
    try:
        rows = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=head.count))
        yield from (str(row.get(name) or "") for row in rows)
    except csv.Error:
        return
