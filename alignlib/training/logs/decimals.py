"""How many decimals a log prints of its KL, and what is to be said where they are few."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.names import counted
from alignlib.training.logs.columns import text_of
from alignlib.training.logs.log_format import LogRows

__all__ = ["decimals_of", "decimals_of_rows", "decimals_of_zeros", "of_decimals", "printed_decimals"]

_OF_ZEROS, _OF_TOKENS = 1, 3  # decimals that a log of zeros may have been rounded to, per sequence and per token
_FORMATTED = 2  # decimals: what writes numbers whole prints a 0 as 0 or 0.0
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
    if rows.per_prompt is not None:  # means of responses, which nobody has rounded
        return None
    if per_token and rows.decimals is not None:
        return rows.decimals if 1 <= rows.decimals <= _DECIMALS else None
    if kl.size < _SEVERAL or not (kl.any() if per_token else (kl > 0.0).any()) or not np.isfinite(kl).all():
        return None
    if rows.decimals is not None:
        return rows.decimals if rows.decimals <= _DECIMALS else None
    return decimals_of(kl, range(int(per_token), _DECIMALS + 1))


def decimals_of(kl: FloatArray, tried: Iterable[int]) -> int | None:
    """Return the decimals that no number exceeds, None where it is none of those tried.

    Parameters
    ----------
    kl : array (k,)
        Numbers as they were logged.
    tried : iterable of int
        Decimals, increasing.

    Examples
    --------
    >>> decimals_of(np.array([0.0, 0.25, 0.5]), range(7)), decimals_of(np.array([1.0 / 3.0]), range(7))
    (2, None)
    """
    return next((d for d in tried if np.abs(kl - kl.round(d)).max() < 1e-3 * 10.0**-d), None)


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


def printed_decimals(path: Path, name: str) -> int | None:
    """Return with how many decimals a text prints the numbers of a column, the least of them; None where it is no text.

    Parameters
    ----------
    path : Path
        A table as text, or JSON lines.
    name : str
        The column or key.
    """
    text = text_of(path)
    if text is None or "\0" in text:
        return None
    found = [re.fullmatch(r"[-+]?\d+(?:[.,](\d*))?", cell.strip()) for cell in _cells(text, name) if cell.strip()]
    return min((len(one[1] or "") for one in found if one), default=None) if all(found) else None


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
