"""Processes that are known by the folder their files go to, and their end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import psutil

__all__ = ["HOME", "at_home", "end_at_home", "kill", "lives"]

HOME = "TMPDIR"  # of all that a process starts: by it they are known, also where what started them has ended
_LONG = 10.0  # seconds to wait for processes that were killed


def at_home(homes: Collection[str]) -> list[psutil.Process]:
    """Return every process whose files go to one of these folders, or into it.

    Parameters
    ----------
    homes : collection of str
        The folders.
    """
    found = []
    for process in psutil.process_iter() if homes else ():
        with contextlib.suppress(psutil.Error, OSError):
            home = process.environ().get(HOME)
            if home is not None and any(one in homes for one in (home, *map(str, Path(home).parents))):
                found.append(process)
    return found


def end_at_home(home: str) -> None:
    """End all whose files go to a folder, before it is removed: what still begins would make it anew.

    Parameters
    ----------
    home : str
        The folder; this process is spared.
    """
    end = time.monotonic() + _LONG
    while found := [one for one in at_home({home}) if one.pid != os.getpid() and lives(one)]:
        kill(found)
        if time.monotonic() > end:
            return
        time.sleep(0.01)


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill processes, those too that have ended meanwhile.

    Parameters
    ----------
    processes : sequence of psutil.Process
        The processes.
    """
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def lives(process: psutil.Process) -> bool:
    """Whether a process has not ended.

    Parameters
    ----------
    process : psutil.Process
        The process.
    """
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
