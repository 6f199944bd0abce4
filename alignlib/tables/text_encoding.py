"""Text as programs write it: in UTF-8, or in UTF-16 where its mark says so, as PowerShell and spreadsheets do."""

from __future__ import annotations

import codecs

__all__ = ["UTF_16", "as_text"]

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def as_text(data: bytes, errors: str = "strict", *, unfinished: bool = False) -> str:
    """Return the text, without its mark.

    Parameters
    ----------
    data : bytes
        What a file holds.
    errors : str
        ``"strict"``, or what to do with bytes that are no text, as in `bytes.decode`.
    unfinished : bool
        Whether the file may still be being written: then half a letter of UTF-16 at its end is left out.

    Raises
    ------
    UnicodeDecodeError
        If it is neither.

    Examples
    --------
    >>> as_text("step,kl".encode("utf-16")), as_text(b"step,kl")
    ('step,kl', 'step,kl')
    """
    if data.startswith(UTF_16):
        return (data[: len(data) // 2 * 2] if unfinished else data).decode("utf-16", errors)
    return data.decode("utf-8-sig", errors)
