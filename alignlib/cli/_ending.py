"""How a command ends: with its answer, or with one sentence on standard error and an exit code, whatever happens.

Exit codes: 0 done, 1 the answer is no (a claim that fails), 2 bad input or a system that refuses, 70 a fault of this
program, 128 + n stopped by signal n (130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP): of several, by the first, unless
another came later than a second after it, which ends the program at once.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO

import click

from alignlib._core.safe_text import for_terminal
from alignlib._core.stopping import put_all_away, undisturbed
from alignlib.cli._bad_input import BadInput

__all__ = ["FAULT", "Stopped", "as_program", "nothing_to_put_away", "refused", "sentences", "stopped"]

FAULT = 70
_NO_ROOM = "failed to map segment"  # what the loader of compiled modules says where memory is too small for one
TRACEBACK = "ALIGNLIB_TRACEBACK"
_LONGEST = 200  # characters of a name in a sentence
_REMEDIES = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "check the path"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "change its permissions, or choose another place"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space, or choose another disk"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (ulimit -n)"),
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or choose a disk that holds larger ones",
    errno.EISDIR: "name a file",
    errno.EEXIST: "choose another name",
    errno.ELOOP: "correct the link",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EROFS: "choose another disk",
    errno.EIO: "the disk may be failing, so copy the data elsewhere",
}
_SIGPIPE = getattr(signal, "SIGPIPE", 13)  # Windows has none, but closed pipes
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_AGAIN, _TOGETHER = 0.5, 1.0  # seconds until a lost signal is raised again; in which two signals are one
_PATIENCE = 10.0  # seconds for the command to put away what it has made, and again for what it left
_DEEPEST = 50  # errors that came while others were being handled


class _Named(io.FileIO):
    """A standard stream whose errors say what it is."""

    said = ""

    def write(self, data: Any, /) -> int:
        """Write bytes."""
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self.said
            raise


class Stopped(KeyboardInterrupt):
    """A signal that asks this process to end; what is on its way is put away as for Ctrl-C.

    Parameters
    ----------
    number : int
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def refused(error: OSError) -> BadInput:
    """Return what the system refused as bad input: one sentence with the file's name.

    Parameters
    ----------
    error : OSError
        What the system raised.

    Returns
    -------
    BadInput
        To be raised in its place.
    """
    if error.errno == errno.ENOENT and error.filename is None and not _has_folder():
        return BadInput("The working folder is gone; change into one that exists.")
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    if len(place) > _LONGEST:
        place = f"{place[: _LONGEST // 2]}…{place[-_LONGEST // 2 :]}"
    place = place and f" ({place})"
    if not place and error.errno in (errno.ENOSPC, errno.EDQUOT):  # as a rule said of what lies where nobody named it
        place = f", perhaps on that of temporary files (TMPDIR={os.environ.get('TMPDIR', '/tmp')})"
    if not place and error.errno == errno.EFBIG:
        place = f", perhaps a temporary one (TMPDIR={os.environ.get('TMPDIR', '/tmp')})"
    remedy = _REMEDIES.get(error.errno or 0, "try again, or choose another place")
    return BadInput(f"{error.strerror or error}{place}; {remedy}.")


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Say in a sentence what ends the block from outside: a signal, too little memory, data nested too deeply.

    Where whoever reads has enough, nothing is said. It is decided here, since click would end with the code for "no".

    Raises
    ------
    SystemExit, BadInput
        In place of the exception.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        stopped(error)
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and _NO_ROOM not in str(error):
            raise
        raise BadInput(
            "Memory is too small for this; give fewer rows or columns, or a machine with more memory."
        ) from None
    except RecursionError:
        raise BadInput("The input is nested too deeply to be read; give plain values.") from None
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise SystemExit(128 + _SIGPIPE) from None
        raise


class _Stop:
    """A signal that asks this program to end, and whether it is being obeyed.

    The exception may be lost on its way: whoever calls back from C, or imports a compiled module, may swallow it or
    turn it into another error. So it is raised again until the program ends, and is the reason whatever error comes.
    A second signal, unless it comes with the first as from a terminal that is closed, ends the process at once; the
    next run clears what it leaves, as after SIGKILL. Nothing that hangs while it is put away, or while Python ends,
    keeps the process: there is a time for each.
    """

    def __init__(self) -> None:
        self.number = 0  # of the first signal
        self.came = 0.0
        self.at_once = False  # whether there is nothing to put away
        self.over = False  # whether the command has ended: nothing is raised any more
        self.said = False

    def heed(self, name: str) -> None:
        """Have a signal stop the program, unless whoever started the process chose otherwise (``nohup``)."""
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, self._ask)

    def leave_copies_alone(self) -> None:
        """Have a copy of this process, as `multiprocessing` makes some for a reader's function, end at a signal.

        It would raise and raise again what is asked of this program, while it holds the locks that others wait for.
        """
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == self._ask:
                signal.signal(number, signal.SIG_DFL)

    def end(self, code: int) -> NoReturn:
        """Put away what the command has left, in the time there is for that, and end the process.

        Python's own end is left out: it would wait for threads, and it gives signals back to the system, so that one
        more decides the exit code.
        """
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: os._exit(code))
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        put_all_away()
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        os._exit(code)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.number or self.at_once:
            if self.at_once or time.monotonic() > self.came + _TOGETHER:
                self._leave(number)
            return
        self.number, self.came = number, time.monotonic()
        if self.over:  # the answer is there
            return
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._again)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        undisturbed.raised(Stopped(number))

    def _again(self, number: int, frame: FrameType | None) -> None:
        if self.over or undisturbed.depth:
            return
        if time.monotonic() > self.came + _PATIENCE:
            self.over = True
            put_all_away()
            self._leave(self.number)
        error = sys.exc_info()[1]
        for _ in range(_DEEPEST):
            if error is None:
                raise Stopped(self.number)
            if isinstance(error, Stopped):  # what is being put away is put away undisturbed
                return
            error = error.__context__

    def _leave(self, number: int) -> NoReturn:
        if not self.said or number != self.number:
            with contextlib.suppress(OSError):
                os.write(2, f"Stopped by {signal.Signals(number).name}.\n".encode())
        os._exit(128 + number)


_stop = _Stop()  # of the one program that this process is


@contextlib.contextmanager
def nothing_to_put_away() -> Iterator[None]:
    """Have a signal end the process at once in this block, which must leave nothing behind.

    For imports of compiled modules: they may swallow an exception, turn it into another or abort.
    """
    _stop.at_once = True
    try:
        yield
    finally:
        _stop.at_once = False


def stopped(error: KeyboardInterrupt, more: str = "") -> NoReturn:
    """Say that a signal stopped the command, and end it with the exit code that shells use for that signal.

    Parameters
    ----------
    error : KeyboardInterrupt
        It carries the number of the signal, if it was one.
    more : str
        How the sentence goes on.

    Raises
    ------
    SystemExit
        With 128 and the number of the signal.
    """
    number = _number(error)
    with contextlib.suppress(OSError, ValueError):
        said = for_terminal(f"Stopped by {signal.Signals(number - 128).name}{more}.")
        click.echo(f"\n{said}" if sys.stderr.isatty() else said, err=True)  # below ^C, or below a bar
        _stop.said = True
    raise SystemExit(number) from None


def as_program(command: Callable[[], Any]) -> NoReturn:
    """Run ``command`` as the program that this process is, and end the process.

    Parameters
    ----------
    command : callable
        Takes nothing.

    Raises
    ------
    SystemExit
        With 0, 1, 2, or the code of a signal.
    """
    _fill_closed()
    sys.unraisablehook = _unraisable
    for name in _SIGNALS:
        _stop.heed(name)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_stop.leave_copies_alone)
    sys.stdout, sys.stderr = _named(sys.stdout, "standard output"), _named(sys.stderr, "standard error")
    try:
        try:
            code = _run(command)
        finally:
            _stop.over = True
    except KeyboardInterrupt as error:  # raised again in the very moment of the end
        _stop.over = True
        code = _number(error)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            code = _flush(stream, code)
    if code > 128 and _stop.number:
        _stop.end(code)
    raise SystemExit(code)


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Say what Python cannot raise, as in a weak reference's callback; a signal is raised again, and needs no words."""
    if not isinstance(lost.exc_value, Stopped):
        sys.__unraisablehook__(lost)


def _run(command: Callable[[], Any]) -> int:
    """Run; return the exit code, once the sentence is said."""
    try:
        try:
            with sentences():
                try:
                    command()
                except BaseException as error:
                    if not _stop.number or isinstance(error, KeyboardInterrupt | SystemExit):
                        raise
                    raise Stopped(_stop.number) from error  # which became another error on its way
        except OSError as error:
            raise refused(error) from None
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except click.ClickException as error:
        _say(error.format_message())
        return error.exit_code
    except KeyboardInterrupt as error:  # a second signal, while the first was being obeyed
        return _number(error)
    except BaseException as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        _say(
            f"{type(error).__name__}: {' '.join(str(error).split())[:500]} - this is a fault of alignlib, not of the "
            f"input; please report it, with what {TRACEBACK}=1 shows."
        )
        return FAULT
    return 0


def _number(error: KeyboardInterrupt) -> int:
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        click.echo(f"Error: {for_terminal(sentence)}", err=True)


def _named(stream: TextIO, said: str) -> TextIO:
    """Return a standard stream that names itself in errors, and shows as escapes what it has no letters for."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = _Named(stream.fileno(), "w", closefd=False)
    raw.said = said
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
    )


def _fill_closed() -> None:
    """Put nothing where standard streams are closed: the next file would take their place, and prints go into it."""
    closed = []
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            closed.append(number)
            opened = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # the lowest number that is free
            os.set_inheritable(opened, True)  # as standard streams are: kernels would find theirs closed again
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  # for as long as the process lives
    if sys.stderr is None:  # its number is nothing by now; nobody else may close it
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        _say("Standard output is closed, so the answer would be lost; send it to a file, or to /dev/null.")
        raise SystemExit(2)


def _flush(stream: TextIO, code: int) -> int:
    """Write what is still to be written; what cannot be is thrown away, lest Python complain of it at its end."""
    try:
        stream.flush()
    except OSError as error:
        with open(os.devnull, "w", encoding="utf-8") as nothing:
            os.dup2(nothing.fileno(), stream.fileno())
        if error.errno == errno.EPIPE:
            return code or 128 + _SIGPIPE
        if code == 0:
            _say(refused(error).format_message())
            return 2
    return code


def _has_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
