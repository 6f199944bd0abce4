"""How much memory a table may take: what a file unpacks to, and what a count of rows or cells would need."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

from alignlib._core.errors import InputError, quoted
from alignlib._core.names import spelled

__all__ = ["MOST_BYTES", "check_fits", "most_bytes", "shown_bytes"]

MOST_BYTES = "ALIGNLIB_MAX_BYTES"  # in the environment: the largest size of a table in memory
_SHARE = 0.5  # of the memory that is free
_LEAST = 1 << 28  # what is always allowed
_CGROUP = "/sys/fs/cgroup"


def most_bytes() -> int:
    """Return how many bytes a table may take: half of the free memory, or what ``ALIGNLIB_MAX_BYTES`` says.

    Raises
    ------
    InputError
        If the variable holds no number of bytes.
    """
    said = os.environ.get(MOST_BYTES, "").strip()
    if said:
        try:
            most = spelled(said)
        except ValueError:
            most = 0.0
        if not 1.0 <= most < math.inf:
            raise InputError(f"{MOST_BYTES} must be a number of bytes, such as 8e9; got {quoted(said)}.")
        return int(most)
    return max(_LEAST, int(_SHARE * _free_bytes()))


def check_fits(needed: float, what: str, remedy: str) -> None:
    """Refuse what would not fit into memory before anything is done.

    Parameters
    ----------
    needed : float
        Estimate in bytes.
    what : str
        What needs them, the start of the sentence.
    remedy : str
        What else can be done.

    Raises
    ------
    InputError
        Where the estimate exceeds what is allowed.

    Examples
    --------
    >>> check_fits(1e3, "A small table", "take fewer rows")
    """
    most = most_bytes()
    if needed > most:
        raise InputError(
            f"{what} needs about {shown_bytes(needed)} of memory, and {shown_bytes(most)} are allowed; {remedy}, or "
            f"set {MOST_BYTES} to a larger number of bytes."
        )


def shown_bytes(size: float) -> str:
    """Write a size.

    Parameters
    ----------
    size : float
        In bytes.

    Examples
    --------
    >>> shown_bytes(3e9), shown_bytes(2048)
    ('2.8 GiB', '2 KiB')
    """
    unit, name = next(((1 << k, n) for k, n in ((30, "GiB"), (20, "MiB"), (10, "KiB")) if size >= 1 << k), (1, "B"))
    return f"{size / unit:.2g} {name}" if size / unit < 100 else f"{size / unit:.0f} {name}"


def _free_bytes() -> int:
    """Return the memory that is free, as the system or its container says; 4 GiB where neither tells."""
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with contextlib.suppress(OSError, ValueError):
        most = int(Path(_CGROUP, "memory.max").read_text(encoding="ascii"))
        found.append(most - int(Path(_CGROUP, "memory.current").read_text(encoding="ascii")))
    if not found:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=1 << 32)
