"""The tokens of responses: least, mean and largest at each checkpoint, and whether they can be those of any."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.errors import InputError
from alignlib.training.logs.log_format import LogRows

__all__ = ["all_alike", "check_lengths", "ends_of_lengths"]

_ROUNDED = 0.5  # tokens: consoles may show a mean without decimals


def all_alike(least: FloatArray, largest: FloatArray) -> BoolArray:
    """Return at which checkpoints all responses are equally long, up to what float32 makes of a mean.

    Parameters
    ----------
    least, largest : array (k,)
        Tokens of a response, as `ends_of_lengths` returns them.
    """
    return np.isclose(least, largest, rtol=1e-6, atol=0.0)


def check_lengths(rows: LogRows) -> None:
    """Refuse lengths of which no responses can be: the least above the mean or the largest, or below 0.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as the log holds them, with a mean length.

    Raises
    ------
    InputError
        If the lengths of the log contradict each other.
    """
    assert rows.length is not None
    size = rows.kl.size
    least = np.full(size, np.nan) if rows.shortest is None else rows.shortest
    largest = np.full(size, np.nan) if rows.longest is None else rows.longest
    wrong = (least < 0.0) | (least > largest) | (least > rows.length + _ROUNDED) | (largest < rows.length - _ROUNDED)
    if wrong.any():
        i = int(np.argmax(wrong))
        named = (("at least", least[i]), ("on average", rows.length[i]), ("at most", largest[i]))
        held = ", ".join(f"{value:g} {what}" for what, value in named if not np.isnan(value))
        raise InputError(
            f"the lengths of the log contradict each other at step {rows.step[i]:g}: responses have {held} tokens. "
            "Correct the log, or give the mean number of tokens per response (length).",
            argument="length",
        )


def ends_of_lengths(rows: LogRows, given: tuple[float, float] | None) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest tokens of a response at each checkpoint: logged, given, or 1 and infinite.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as the log holds them, with a mean length.
    given : (float, float), optional
        Least and largest tokens of a response, where the log does not hold them.

    Returns
    -------
    least, largest : array (k,)
        Around the mean.

    Raises
    ------
    InputError
        If a length of the log lies outside ``given``.
    """
    assert rows.length is not None
    size = rows.kl.size
    shortest = np.full(size, np.nan) if rows.shortest is None else rows.shortest
    longest = np.full(size, np.nan) if rows.longest is None else rows.longest
    least, largest = np.where(shortest >= 1.0, shortest, 1.0), np.where(np.isnan(longest), np.inf, longest)
    if given is not None:
        outside = (rows.length < given[0]) | (rows.length > given[1])
        if outside.any():
            i = int(np.argmax(outside))
            raise InputError(
                f"lengths must hold the mean length of every checkpoint; got {given[0]:g} to {given[1]:g}, and at step "
                f"{rows.step[i]:g} responses have {rows.length[i]:g} tokens on average.",
                argument="lengths",
            )
        wrong = (least < given[0]) & (shortest >= 1.0) | (largest > given[1]) & np.isfinite(longest)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise InputError(
                f"lengths must hold the lengths of every checkpoint; got {given[0]:g} to {given[1]:g}, and at step "
                f"{rows.step[i]:g} the log has responses of {least[i]:g} to {largest[i]:g} tokens. Leave it out.",
                argument="lengths",
            )
        least, largest = np.maximum(least, given[0]), np.minimum(largest, given[1])
    return np.minimum(least, rows.length), np.maximum(largest, rows.length)
