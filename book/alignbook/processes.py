"""Processes that execute notebooks, and the end of them all: none outlives the command that started it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import ParamSpec, TypeVar

import psutil  # comes with ipykernel

from alignlib._core.working import working_folder

__all__ = ["context", "processes"]

# How a process starts: knowing nothing of this one. Tests, which make many pools, fork theirs from one that has
# imported what all need; such a server would leave its socket behind where a command is killed.
context: BaseContext = get_context("spawn")
_SAFE = "PYTHONSAFEPATH"


P = ParamSpec("P")
T = TypeVar("T")


class _Pool(ProcessPoolExecutor):
    """A pool whose processes are deaf to Ctrl-C from their first moment: while Python starts it would show."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a process where one is missing, and give the pool something to do."""
        with _blocked("SIGINT"):
            return super().submit(fn, *args, **kwargs)


@contextlib.contextmanager
def processes(workers: int, prepare: Callable[[str], None]) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool whose processes, and all that they start, are gone when the block ends, however it ends.

    ``prepare`` is called in each process with a folder of theirs, which is removed in the end with
    all that they left there.
    """
    before = set(multiprocessing.active_children())
    environment = dict(os.environ)
    with (
        working_folder() as home,
        _no_imports_from_here(),
        _tracked(),
        _Pool(workers, context, _begin, (str(home), prepare, environment)) as pool,
    ):
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - before:
                _end(process)
            raise


@contextlib.contextmanager
def _no_imports_from_here() -> Iterator[None]:
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
def _tracked() -> Iterator[None]:
    """Start the process with which Python clears up, so that it outlives a terminal that is closed: it heeds SIGHUP."""
    if hasattr(signal, "pthread_sigmask"):
        with _blocked("SIGHUP"):
            resource_tracker.ensure_running()
    yield


@contextlib.contextmanager
def _blocked(name: str) -> Iterator[None]:
    """Put a signal off, for this thread and for good in processes that begin within the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name)})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(home: str, prepare: Callable[[str], None], environment: dict[str, str]) -> None:
    """Set up one process of the pool."""
    os.environ.clear()  # where it is forked from a server, that has the variables of when it began
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the command sees to its processes
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ["TMPDIR"] = home  # kernels too: what is killed leaves its files where they are cleared away
    tempfile.tempdir = home
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    prepare(home)


def _end_with(sentinel: int) -> None:
    """End this process once its parent has: nobody waits for its result."""
    wait([sentinel])
    _kill_children(os.getpid())
    os._exit(1)


def _end(process: BaseProcess) -> None:
    """Kill a process and all that it started; kernels are not of its group."""
    if process.pid is None:
        return
    with contextlib.suppress(psutil.Error):
        psutil.Process(process.pid).suspend()  # lest it start another meanwhile
    children = _kill_children(process.pid)
    process.kill()
    process.join(10)
    end = time.monotonic() + 10
    while any(_lives(child) for child in children) and time.monotonic() < end:
        time.sleep(0.01)


def _kill_children(pid: int) -> list[psutil.Process]:
    children: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(pid).children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    return children


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
