"""Work of a model's files on texts, in a copy of this process whose time and memory are bounded.

A chat template is a program, and a tokenizer may make a long text of a short one: both come from others.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, NoReturn

from alignlib._core.stopping import in_the_end, undisturbed

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["lines_within_bounds"]

_SECONDS = 20  # of processor time, to begin with
_MEMORY = 1 << 30  # bytes more than the process has


def lines_within_bounds(lines: Callable[[], Iterator[str]], seconds: float, memory: int = _MEMORY) -> Iterator[str]:
    """Yield lines that a copy of this process makes; fewer where it takes too much memory or time, or aborts.

    Parameters
    ----------
    lines : callable
        Returns an iterator of lines in ASCII. Where no copy can be made (Windows, macOS) it is run here.
    seconds : float
        Of processor time, beyond those that any work takes.
    memory : int
        Bytes more than this process has.

    Examples
    --------
    >>> list(lines_within_bounds(lambda: iter(["a", "b"]), 1.0))
    ['a', 'b']
    """
    if not (hasattr(os, "fork") and resource is not None and sys.platform == "linux"):
        yield from lines()
        return
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with undisturbed:
        with warnings.catch_warnings():  # of a copy of a process with threads: none of theirs is used in it
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.close(reader)
            _child(writer, lines, _SECONDS + int(seconds), memory)
        end = in_the_end(lambda: _end(child))
        os.close(writer)
    try:
        with os.fdopen(reader, encoding="ascii") as found:
            yield from (line[:-1] for line in found if line.endswith("\n"))
    finally:
        end()


def _child(writer: int, lines: Callable[[], Iterator[str]], seconds: int, memory: int) -> NoReturn:
    try:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a library of Rust says where it aborts
        for what, most in (
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_AS, _held() + memory),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        with os.fdopen(writer, "w", buffering=1, encoding="ascii") as out:  # whole lines, whatever comes
            _write(out, lines())
    finally:
        os._exit(0)


def _write(out: IO[str], lines: Iterator[str]) -> None:
    for line in lines:
        out.write(f"{line}\n")


def _held() -> int:
    """Bytes of addresses that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
