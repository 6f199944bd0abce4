"""Processes that execute notebooks, and the end of them all: none outlives the command that started it.

There is a pipe to each, and no thread, no lock and no queue between: a signal may come at any moment, and what it
interrupts must not be what the end of the program waits for.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import psutil  # comes with ipykernel

from alignlib._core.processes import HOME, at_home, kill, lives
from alignlib._core.stopping import in_the_end, undisturbed
from alignlib._core.working import working_folder

__all__ = ["Died", "context", "end_with_starter", "in_processes", "run_bound"]

# How a process starts: knowing nothing of this one. Tests, which make many, fork theirs from one that has
# imported what all need; such a server would leave its socket behind where a command is killed.
context: BaseContext = get_context("spawn")
_TRACKER: Any = resource_tracker._resource_tracker  # Python has no other word for its end
_SAFE = "PYTHONSAFEPATH"
_SIGNALS = ("SIGINT", "SIGHUP", "SIGTERM")
_LONG = 10.0  # seconds to wait for a process that was told to end

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Died:
    """A process ended before its job did: it was killed for want of memory, as a rule."""

    code: int | None

    def __str__(self) -> str:
        """How."""
        return f"it was ended abruptly, with exit code {self.code}"


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    home: str
    place: int = -1  # of the job that it has


def in_processes(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, prepare: Callable[[str], None]
) -> Generator[tuple[int, Result | Died], None, None]:
    """Call a function on each job in a process; yield the place of the job and the result, as they end.

    The processes, and all that they start, are gone when this ends, however it ends. ``prepare`` is called in each with
    a folder of theirs, which is removed in the end with all that they left there. What the function raises is raised
    here.
    """
    with working_folder() as home:
        crew: _Crew[Job, Result] = _Crew(function, prepare, home)
        done = in_the_end(crew.end)
        try:
            yield from crew.results(jobs, min(workers, len(jobs)))
            crew.dismiss()
        finally:
            done()


def run_bound(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program of Python that ends, with all that it starts, when this process does, even where that is killed.

    Its input is a pipe whose other end this process alone holds.

    Parameters
    ----------
    program : str
        As for ``python -c``.
    *arguments : str
        Of the program.
    **options : object
        Of ``subprocess.run``.
    """
    ours = "from alignbook.processes import end_with_starter; end_with_starter(); "
    reader, writer = os.pipe()
    try:
        command = [sys.executable, "-P", "-c", ours + program, *arguments]
        return subprocess.run(
            command, stdin=reader, stdout=subprocess.PIPE, encoding="utf-8", errors="backslashreplace", **options
        )
    finally:
        os.close(writer)
        os.close(reader)


def end_with_starter() -> None:
    """End this process, with what it has started, once the one that holds its input open has ended."""
    held = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # what is started here has an input of its own

    def watch() -> None:
        os.read(held, 1)
        _end_here()

    threading.Thread(target=watch, daemon=True).start()


class _Crew(Generic[Job, Result]):
    """The processes of one call."""

    def __init__(self, function: Callable[[Job], Result], prepare: Callable[[str], None], home: Path) -> None:
        self.task = (function, prepare, dict(os.environ))
        self.home = home
        self.homes: set[str] = set()  # of those that may have left something alive
        self.started = 0
        self.workers: list[_Worker] = []
        self.tracks = getattr(_TRACKER, "_pid", 0) is None  # nobody else's, to be ended with the rest

    def results(self, jobs: Sequence[Job], size: int) -> Iterator[tuple[int, Result | Died]]:
        """Keep everyone busy."""
        waiting = deque(range(len(jobs)))
        while True:
            while waiting and len(self.workers) < size:
                self._start()
            for worker in list(self.workers):
                if worker.place < 0 and waiting:
                    worker.place = waiting.popleft()
                    with contextlib.suppress(OSError):  # it has died: the pipe says so below
                        worker.pipe.send(jobs[worker.place])
            busy = {worker.pipe: worker for worker in self.workers if worker.place >= 0}
            if not busy:
                return
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # of what was waited for
                place, worker.place = worker.place, -1
                try:
                    good, result = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join(_LONG)
                    self.workers.remove(worker)
                    kill(at_home({worker.home}))
                    yield place, Died(worker.process.exitcode)
                    continue
                if not good:
                    raise result
                yield place, result

    def dismiss(self) -> None:
        """Have all end by themselves, as they do when their pipe is closed."""
        for worker in self.workers:
            worker.pipe.close()
        end = time.monotonic() + _LONG
        for worker in self.workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.exitcode == 0:
                self.homes.discard(worker.home)

    def end(self) -> None:
        """Kill what lives of them, and all that they started."""
        end = time.monotonic() + _LONG
        while found := self._alive():
            kill(found)
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        for worker in self.workers:
            with contextlib.suppress(AssertionError, ValueError):  # not ours, or ended and closed
                worker.process.join(0.1)
        if self.tracks and not found:  # it would end by itself, a moment after this process
            with contextlib.suppress(AttributeError, OSError):
                _TRACKER._stop()

    def _start(self) -> None:
        """Start a process; signals wait, and are put off in it until it is ready for them."""
        home = self.home / str(self.started)
        home.mkdir(exist_ok=True)
        with undisturbed, _from_nowhere(), _blocked():
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, str(home), *self.task))  # type: ignore[attr-defined]
            process.start()
            self.workers.append(_Worker(process, ours, str(home)))
            self.homes.add(str(home))
            theirs.close()
            self.started += 1

    def _alive(self) -> list[psutil.Process]:
        """All that is to end: the processes and what they have started, known also by where its files go."""
        found = []
        for worker in self.workers:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(worker.process.pid)
                process.suspend()  # lest it start another meanwhile
                found += [*process.children(recursive=True), process]
        return [process for process in {*found, *at_home(self.homes)} if lives(process)]


@contextlib.contextmanager
def _from_nowhere() -> Iterator[None]:
    """Have processes that begin within the block import nothing from the working folder, where a table may lie."""
    before = os.environ.get(_SAFE)
    os.environ[_SAFE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE]
        else:
            os.environ[_SAFE] = before


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Put signals off in processes that begin within the block; Python's own that clears up starts here too."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()  # it heeds SIGHUP of a terminal that is closed, unless it is put off
        signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in _SIGNALS})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(
    pipe: Connection,
    home: str,
    function: Callable[[Any], Any],
    prepare: Callable[[str], None],
    environment: dict[str, str],
) -> None:
    """What a process does: one job after the other, until the pipe is closed."""
    _begin(home, prepare, environment)
    with contextlib.suppress(EOFError, OSError):
        while True:
            job = pipe.recv()
            try:
                answer = True, function(job)
            except Exception as error:
                error.add_note(traceback.format_exc())
                answer = False, error
            pipe.send(answer)


def _begin(home: str, prepare: Callable[[str], None], environment: dict[str, str]) -> None:
    """Set up one process."""
    os.environ.clear()  # where it is forked from a server, that has the variables of when it began
    os.environ.update(environment)
    # Signals go to the whole group, where one is closed or timed out: the command alone ends its processes, lest one
    # end before what it has started. What is started here heeds them again (SIGINT: in its own way).
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _not_heeded)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {getattr(signal, name) for name in _SIGNALS})
    os.environ[HOME] = home  # what is killed leaves its files where they are cleared away
    tempfile.tempdir = home
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    prepare(home)


def _not_heeded(*_: object) -> None:
    """Do nothing; unlike a signal that is ignored, this one is heeded again by programs that are started."""


def _end_with(sentinel: int) -> None:
    """End this process once its parent has: nobody waits for its result."""
    wait([sentinel])
    _end_here()


def _end_here() -> NoReturn:
    with contextlib.suppress(psutil.Error):
        kill(psutil.Process().children(recursive=True))
    os._exit(1)
