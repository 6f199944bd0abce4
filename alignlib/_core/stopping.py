"""What is put away when a program ends, however it ends, and what no signal may interrupt.

A signal becomes an exception wherever the program happens to be: between two lines of a ``finally``, say, which then
puts away half. So what is made is known here from the moment it exists, and what its block did not put away is put away
when the program ends and signals raise nothing any more.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["in_the_end", "put_all_away", "undisturbed"]


class _Undisturbed:
    """A block in which a signal waits: ``with undisturbed: …``. It must be short, and end by itself."""

    def __init__(self) -> None:
        self.depth = 0
        self.owed: BaseException | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():  # signals are raised in no other
            self.depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self.depth -= 1
        if self.depth == 0 and self.owed is not None:
            owed, self.owed = self.owed, None
            raise owed

    def raised(self, stop: BaseException) -> None:
        """Raise what a signal says: now, or when the block is over."""
        if self.depth == 0:
            raise stop
        self.owed = stop


undisturbed = _Undisturbed()
_numbers = itertools.count()
_left: dict[int, tuple[int, Callable[[], object]]] = {}


def in_the_end(put_away: Callable[[], object]) -> Callable[[], None]:
    """Note what is to be put away, and return what does so, once; else it is done when the program ends.

    Parameters
    ----------
    put_away : callable
        Takes nothing; what it returns does not count.

    Returns
    -------
    callable
        To be called when the work is done; a second call does nothing.

    Examples
    --------
    >>> done = in_the_end(lambda: print("put away"))
    >>> done(); done()
    put away
    """
    number = next(_numbers)
    _left[number] = (os.getpid(), put_away)

    def done() -> None:
        with undisturbed:
            _put_away(number)

    return done


def put_all_away() -> None:
    """Put away what is left, the youngest first; what another process has made, of which this is a copy, is its own."""
    for number in sorted(_left, reverse=True):
        with contextlib.suppress(Exception):
            _put_away(number)


def _put_away(number: int) -> None:
    process, put_away = _left.get(number, (0, None))
    if put_away is not None and process == os.getpid():
        put_away()
    _left.pop(number, None)


atexit.register(put_all_away)  # of programs that are not ours
