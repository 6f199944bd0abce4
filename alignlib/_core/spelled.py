"""Numbers spelled by a reader, in an option or a cell: one rule, that of tables."""

from __future__ import annotations

__all__ = ["spelled", "spelled_whole"]


def spelled(text: str) -> float:
    """Read a number in ASCII digits with a decimal point, as CSV has it; ``nan`` and ``inf`` are read too.

    What only Python takes for a number (``1_000``, digits of other scripts) raises ValueError, as all other text.
    ``-0`` is 0: no answer repeats its sign.

    Parameters
    ----------
    text : str
        A cell or an option; spaces around the number do not count.

    Returns
    -------
    float
        NaN and infinities among them.

    Raises
    ------
    ValueError
        For all other text.

    Examples
    --------
    >>> spelled(" 2.5e-1"), spelled("-0")
    (0.25, 0.0)
    >>> spelled("1_000")
    Traceback (most recent call last):
    ValueError: '1_000' is no number
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no number")
    return float(text) + 0.0


def spelled_whole(text: str) -> int:
    """Read a whole number in ASCII digits, with or without a sign; all else raises ValueError.

    Parameters
    ----------
    text : str
        A cell or an option.

    Returns
    -------
    int
        Of any size.

    Raises
    ------
    ValueError
        For all other text.

    Examples
    --------
    >>> spelled_whole("-12")
    -12
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)
