"""Jobs in processes of their own, whose answers come one by one; a process that is killed costs its own job alone.

There is a pipe to each process, and no lock and no queue between them: a process may be killed at any moment, for want
of memory as a rule, and what it held would be waited for without end.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

__all__ = ["Crew", "Over"]

_LONG = 10.0  # seconds to wait for a process that was told to end

Job = TypeVar("Job")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Over:
    """A job has ended; ``error`` says why, where it was not done.

    Parameters
    ----------
    error : str
        Empty where the job was done.
    """

    error: str = ""


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    kind: str
    job: Any = None
    busy: bool = False


class Crew(Generic[Job, Answer]):
    """Processes that call a function on jobs and send what it yields; all have ended when the block has.

    Parameters
    ----------
    function : callable
        Takes a job and yields its answers; it must pickle.
    sizes : mapping of str to int
        How many processes there are for each kind of job, >= 1.
    """

    def __init__(self, function: Callable[[Job], Iterable[Answer]], sizes: Mapping[str, int]) -> None:
        self._function, self._sizes = function, dict(sizes)
        self._waiting: dict[str, deque[Job]] = {kind: deque() for kind in sizes}
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")  # a forked one would inherit threads of libraries

    def __enter__(self) -> Crew[Job, Answer]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for worker in self._workers:
            worker.pipe.close()
            if worker.busy or kind is not None:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join(_LONG)
            if worker.process.is_alive():
                worker.process.kill()

    def give(self, kind: str, job: Job) -> None:
        """Add a job; a process of its kind takes it as soon as one is free.

        Parameters
        ----------
        kind : str
            Which processes take it.
        job : object
            What they are given; it must pickle.
        """
        self._waiting[kind].append(job)

    def answers(self, patience: float | None = None) -> Iterator[tuple[Job, Answer | Over] | None]:
        """Yield jobs and what they answer as it comes, at last `Over`; None where nothing came for so many seconds.

        Jobs may be given meanwhile; it ends when none is left.

        Parameters
        ----------
        patience : float, optional
            Seconds to wait for one answer; without limit if None.
        """
        while True:
            self._share_out()
            busy = {worker.pipe: worker for worker in self._workers if worker.busy}
            if not busy:
                return
            ready = wait(list(busy), patience)
            if not ready:
                yield None
            for pipe in ready:
                worker = busy[pipe]  # type: ignore[index]  # of what was waited for
                job, answer = worker.job, self._received(worker)
                if isinstance(answer, Over):
                    worker.busy = False
                yield job, answer

    def _received(self, worker: _Worker) -> Any:
        try:
            return worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(_LONG)
            self._workers.remove(worker)
            return Over(f"its process was ended abruptly, with exit code {worker.process.exitcode}")

    def _share_out(self) -> None:
        for kind, jobs in self._waiting.items():
            mine = [worker for worker in self._workers if worker.kind == kind]
            free = [worker for worker in mine if not worker.busy]
            while jobs and (free or len(mine) < self._sizes[kind]):
                if not free:
                    free.append(self._start(kind))
                    mine.append(free[-1])
                worker = free.pop()
                worker.job, worker.busy = jobs.popleft(), True
                try:
                    worker.pipe.send(worker.job)
                except OSError:  # it has died: its pipe says so when it is read
                    continue

    def _start(self, kind: str) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,))
        process.start()
        theirs.close()
        worker = _Worker(process, ours, kind)
        self._workers.append(worker)
        ours.send(self._function)
        return worker


def _work(pipe: Connection) -> None:
    """What a process does: one job after the other, until the pipe is closed or its parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal; the parent ends its processes
    os.environ["OMP_NUM_THREADS"] = "1"  # before the function, and whatever its module imports, is here
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        function = pipe.recv()
        while True:
            job = pipe.recv()
            try:
                for answer in function(job):
                    pipe.send(answer)
                over = Over()
            except Exception as error:  # whatever the job raised is its answer
                over = Over(f"{type(error).__name__}: {error}")
            pipe.send(over)
    except (EOFError, OSError):
        return


def _end_with_parent() -> None:
    """End this process once its parent has: nobody waits for its answers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
