"""Where the work on parts is done: here, one after another, or by the workers of Dask."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from multiprocessing import resource_tracker
from typing import Any, Protocol

from alignlib._core.errors import InputError
from alignlib._core.open_files import allow_open_files
from alignlib._core.safe_text import hide_password
from alignlib._core.stopping import in_the_end, undisturbed
from alignlib._core.working import working_folder

__all__ = ["Dask", "Engine", "Here", "engine_for"]

_AHEAD = 4  # tasks of each worker that wait at a time
_LAST = 3  # shares of what is left for each worker, of which the next task is one
_MEMORY = {
    "MALLOC_ARENA_MAX": 1,
    "MALLOC_MMAP_THRESHOLD_": 1 << 25,
    "MALLOC_TRIM_THRESHOLD_": 1 << 29,
    "OMP_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
}
_KEEPING = ((-3, 1 << 25), (-1, 1 << 26))  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of mallopt, and bytes
_FILES, _FILES_OF_ONE = 48, 16  # that are open at once, and more for each worker
_SECONDS = 10.0  # to wait for an answer of a scheduler: the first one, and another where the connection is lost


class Engine(Protocol):
    """Does a function on many items.

    Examples
    --------
    >>> import math
    >>> with engine_for() as engine:
    ...     list(engine.map(math.sqrt, [1.0, 4.0]))
    [(0, 1.0), (1, 2.0)]
    """

    def map(self, work: Callable[[Any], Any], items: Sequence[Any], *, at_once: int = 1) -> Iterator[tuple[int, Any]]:
        """Yield the place of each item and what ``work`` returns for it, as they end.

        Up to ``at_once`` of them may go to a worker together, where each takes little time.

        Parameters
        ----------
        work : callable
            What is done with each item; with other processes it must pickle.
        items : sequence
            What it is done with.
        at_once : int
            Items that one task takes together, where that saves messages.

        Yields
        ------
        place : int
            Position of an item.
        result : object
            What ``work`` returned for it.
        """
        ...  # pragma: no cover


class Here:
    """This process, in order.

    >>> list(Here().map(abs, [-1, 2]))
    [(0, 1), (1, 2)]
    """

    def map(self, work: Callable[[Any], Any], items: Sequence[Any], *, at_once: int = 1) -> Iterator[tuple[int, Any]]:
        """Yield place and result one after another.

        Parameters
        ----------
        work : callable
            What is done with each item.
        items : sequence
            What it is done with.
        at_once : int
            Not used here.

        Yields
        ------
        place : int
            Position of an item.
        result : object
            What ``work`` returned for it.
        """
        for place, item in enumerate(items):
            yield place, work(item)


class Dask:
    """The workers that a client of `dask.distributed` knows.

    Parameters
    ----------
    client : Client
        Of `dask.distributed`.
    address : str
        The scheduler's, for messages.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address

    def map(self, work: Callable[[Any], Any], items: Sequence[Any], *, at_once: int = 1) -> Iterator[tuple[int, Any]]:
        """Yield place and result as they end; what a worker that is gone was doing is done again by another.

        Parameters
        ----------
        work : callable
            What is done with each item; it must pickle.
        items : sequence
            What it is done with.
        at_once : int
            Items that one task takes together.

        Yields
        ------
        place : int
            Position of an item.
        result : object
            What ``work`` returned for it.

        Raises
        ------
        InputError
            Where the scheduler, or one worker after another, is lost.
        """
        from distributed import CancelledError, KilledWorker, as_completed
        from distributed.comm.core import CommClosedError

        workers = max(len(self._client.scheduler_info(n_workers=-1)["workers"]), 1)
        waiting = iter(_shares(len(items), workers, at_once))
        places: dict[Any, range] = {}

        def submit(some: range) -> Any:
            future = self._client.submit(_each_of, work, [items[place] for place in some], pure=False)
            places[future.key] = some
            return future

        of_work = False  # that what a worker did failed
        try:
            ended = as_completed([submit(some) for some in itertools.islice(waiting, _AHEAD * workers)])
            for future in ended:
                of_work = future.status == "error"
                found = future.result()
                future.release()
                for some in itertools.islice(waiting, 1):
                    ended.add(submit(some))
                yield from zip(places.pop(future.key), found, strict=True)
                del found
        except (CommClosedError, CancelledError, TimeoutError, OSError) as error:
            if of_work:  # a full disk, a file that it may not write
                raise
            raise InputError(
                f"The scheduler at {self._address} was lost ({type(error).__name__}); start it again, and give "
                "the same command: what was done is kept.",
                argument="scheduler",
            ) from error
        except KilledWorker as error:
            raise InputError(
                "One worker after another ended at the same piece of work, for want of memory as a rule; give workers "
                "more memory, or, where they read parts, write smaller ones. What was done is kept.",
                argument="workers",
            ) from error


def _each_of(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    _keep_freed_memory()
    return [work(item) for item in items]


@cache  # once in each process
def _keep_freed_memory() -> None:
    """Have glibc keep what arrays free, as much as it comes to by itself where nobody sets one of its thresholds.

    Dask's nanny sets one, which ends that: each array is then asked of the system and given back, which takes up to
    half of the time.
    """
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:  # whoever starts workers has chosen, as for those of `_MEMORY`
        return
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        for setting in _KEEPING:
            library.mallopt(*setting)


def _shares(number: int, workers: int, at_once: int) -> list[range]:
    """Cut places into tasks, large ones first: few of them, and none long when all others have ended.

    >>> [len(one) for one in _shares(20, 2, 8)], len(_shares(3, 2, 1))
    ([3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 3)
    """
    found, start = [], 0
    while start < number:
        size = min(max((number - start) // (_LAST * workers), 1), at_once)
        found.append(range(start, start + size))
        start += size
    return found


@contextmanager
def _signals_put_off() -> Iterator[None]:
    """Have threads that begin in the block, and the processes that they start, heed neither Ctrl-C nor a hang-up.

    A terminal sends both to all; this process alone ends its workers, which would answer with tracebacks.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()  # Python's own, which a hang-up would end; it lets Ctrl-C through after it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def engine_for(workers: int | None = None, scheduler: str | None = None) -> Iterator[Engine]:
    """Open what does the work: this process, others on this machine, or those of a Dask scheduler.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine; None or 1 for this process.
    scheduler : str, optional
        Address of a Dask scheduler.

    Yields
    ------
    Engine
        Closed when the block ends.

    Raises
    ------
    InputError
        Where Dask is not installed, or no scheduler answers.

    Examples
    --------
    >>> with engine_for() as engine:
    ...     list(engine.map(str, [7]))
    [(0, '7')]
    """
    hide_password(scheduler or "")
    if scheduler is None and (workers is None or workers == 1):
        yield Here()
        return
    try:
        import dask
        from distributed import Client, LocalCluster

        from alignlib._core.processes import HOME, end_at_home  # by what comes with Dask
    except ImportError as error:
        named = "workers" if scheduler is None else "scheduler"
        raise InputError(
            f"{named} needs Dask, which is not installed: install the extra, with `pip install '.[scale]'`.",
            argument=named,
        ) from error
    quiet = {
        "distributed.logging.distributed": "error",
        "distributed.comm.timeouts.connect": f"{_SECONDS}s",
        "distributed.worker.daemon": True,
        "distributed.admin.tick.limit": "1h",
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "10s",
        "distributed.admin.system-monitor.gil.enabled": False,
        "distributed.scheduler.work-stealing-interval": "1s",
        "distributed.scheduler.active-memory-manager.start": False,
        "distributed.worker.profile.enabled": False,
        "distributed.nanny.pre-spawn-environ": _MEMORY,
    }
    allow_open_files(_FILES + _FILES_OF_ONE * (workers or 1))
    with working_folder() as home, dask.config.set(quiet | {"temporary-directory": str(home)}):
        if scheduler is None:
            with ExitStack() as ending:
                # What workers have started outlives them by a moment, in which it would make our folder anew.
                ending.callback(in_the_end(partial(end_at_home, str(home))))
                with undisturbed, _signals_put_off():  # half a cluster cannot be closed
                    cluster = LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        dashboard_address="127.0.0.1:0",
                        silence_logs=50,
                        memory_limit=None,
                        env={HOME: str(home)},  # what they leave where they are killed goes with our folder
                    )
                    ending.enter_context(cluster)
                client = ending.enter_context(Client(cluster))
                yield Dask(client, "this machine")
            return
        _check_answers(scheduler)
        with _unheard():
            try:
                client = Client(scheduler, timeout=_SECONDS)
            except (OSError, TimeoutError, ValueError) as error:
                raise _silent(scheduler, "does not answer") from error
            with client:
                yield Dask(client, scheduler)


@contextmanager
def _unheard() -> Iterator[None]:
    """Have nothing logged of a scheduler that is lost: it is said in a sentence."""
    logs = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def _check_answers(scheduler: str) -> None:
    """Refuse an address before a client is made: one that fails in a protocol's own way is never closed."""
    import asyncio

    from distributed import Security
    from distributed.comm.core import connect

    async def once() -> None:
        with_keys = Security().get_connection_args("client")
        async with asyncio.timeout(_SECONDS):  # its own is for a connection, not for what is said on it
            (await connect(scheduler, timeout=_SECONDS, **with_keys)).abort()

    try:
        asyncio.run(once())
    except (OSError, TimeoutError, ValueError) as error:
        raise _silent(scheduler, "does not answer") from error
    except Exception as error:  # TypeError of tls:// without keys, and of ucx:// without its package
        if "://" not in scheduler or scheduler.startswith("tcp://"):
            raise _silent(scheduler, "is answered by something that is no scheduler of Dask") from error
        raise _silent(scheduler, "is of a protocol that Dask is not set up for here") from error


def _silent(scheduler: str, why: str) -> InputError:
    return InputError(
        f"scheduler must be the address of a scheduler that runs, such as tcp://host:8786; {scheduler!r} {why}.",
        argument="scheduler",
    )
