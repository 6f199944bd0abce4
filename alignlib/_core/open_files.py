"""How many files this process may hold open: sockets and pipes of those that it starts count, too."""

from __future__ import annotations

import contextlib

from alignlib._core.errors import InputError

__all__ = ["allow_open_files"]


def allow_open_files(number: int) -> None:
    """Raise the limit of open files as far as this process may, and refuse what takes more before any work.

    Parameters
    ----------
    number : int
        As many as may be needed at once.

    Raises
    ------
    InputError
        Where the system allows fewer.

    Examples
    --------
    >>> allow_open_files(16)
    """
    try:
        import resource
    except ImportError:  # Windows counts otherwise
        return
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY or allowed >= number:
        return
    if most == resource.RLIM_INFINITY or most >= number:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, most))
            return
    raise InputError(
        f"This takes up to {number} files open at once, and {allowed} are allowed; raise that limit "
        f"(ulimit -n {number})."
    )
