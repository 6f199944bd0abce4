"""A reader's own code, run as a guest: what it does to the process around it is put back when it is done.

It may change the working folder, close or replace the standard streams, or ask the interpreter to end; a job of hours
must not lose its files or its last words for that. What it set for itself (its folder) it finds again at the next call.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from alignlib.tables import short

__all__ = ["Guest", "what_it_raised"]


class _Lent:
    """A standard stream that whoever it is lent to cannot close."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return _Lent(found) if name in ("buffer", "raw") else found

    def close(self) -> None:
        """Write what is still to be written."""
        self._stream.flush()

    def detach(self) -> Any:
        """Keep the stream below."""
        return _Lent(self._stream.buffer)


@dataclass
class Guest:
    """Where a reader's code was last, between its calls.

    Parameters
    ----------
    folder : str, optional
        The working folder in which it was left; that of the command if None.
    """

    folder: str | None = None

    @contextlib.contextmanager
    def visit(self) -> Iterator[None]:
        """Run a reader's code in this block; what it raises is raised.

        A copy of the process that it makes (``os.fork``) and that comes back ends here, as a script would: what follows
        is the affair of one process.
        """
        process = os.getpid()
        ours, streams, mask, heeded = _here(), (sys.stdout, sys.stderr), _umask(), _heeded()
        kept = [(number, os.dup(number)) for number in (1, 2) if _is_open(number)]
        if self.folder is not None:
            with contextlib.suppress(OSError):  # it is gone; what the function then says of it is its own affair
                os.chdir(self.folder)
        sys.stdout, sys.stderr = (stream and _Lent(stream) for stream in streams)
        try:
            yield
        except BaseException as error:
            if os.getpid() != process:
                _end_of_a_copy(error)
            raise
        else:
            if os.getpid() != process:
                _end_of_a_copy(None)
        finally:
            sys.stdout, sys.stderr = streams
            for number, copy in kept:
                if not _is_open(number):
                    os.dup2(copy, number)
                os.close(copy)
            os.umask(mask)
            for signal_number, handler in heeded.items():
                signal.signal(signal_number, handler)
            self.folder = _here()
            if ours is not None and ours != self.folder:
                os.chdir(ours)


def what_it_raised(error: BaseException) -> str:
    """Return an exception of the reader's code as text, whatever its own ``str`` does.

    Parameters
    ----------
    error : BaseException
        What the reader's code raised.

    Examples
    --------
    >>> what_it_raised(MemoryError()), what_it_raised(KeyError("a"))
    ('MemoryError', "KeyError: 'a'")
    """
    kind = type(error).__name__
    try:
        return f"{kind}: {short(error)}" if str(error) else kind
    except (Exception, SystemExit):  # a reader's own exception may do anything when asked for its text
        return kind


def _end_of_a_copy(error: BaseException | None) -> NoReturn:
    code: object = 0
    with contextlib.suppress(BaseException):
        code = error.code if isinstance(error, SystemExit) else 0 if error is None else 1
        if code == 1 and error is not None and not isinstance(error, SystemExit):
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _here() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _umask() -> int:
    mask = os.umask(0o077)  # there is no other way to ask
    os.umask(mask)
    return mask


def _heeded() -> dict[int, Any]:
    """What is done on the signals that end a command; only the main thread may change it."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))
    found = {number: signal.getsignal(number) for number in numbers if number is not None}
    return {number: handler for number, handler in found.items() if handler is not None}


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
