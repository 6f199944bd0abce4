"""Time and memory of each notebook, run as a reader runs it: ``python -m benchmarks.run_times [NAME ...] [--record]``.

CPU seconds and memory are summed over the command and all that it starts, looked at ten times a second. ``--record``
keeps them in ``benchmarks/recorded/run_times.json``, from which the chapters and the page of versions take them: times
differ from run to run, pages do not. What is not named keeps what was recorded of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from alignbook.project import own_project
from alignbook.run_times import FILE
from alignlib._core.files import write_whole
from benchmarks.machine import measured_here
from benchmarks.timing import report

ROOT = Path(__file__).parent.parent
_EVERY = 0.1


def taken(command: list[str]) -> dict[str, float]:
    """Run a command; return the CPU seconds of its processes and the most memory that they held together.

    Raises
    ------
    RuntimeError
        Where it fails.
    """
    spent: dict[tuple[int, float], float] = {}
    most = 0
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        held = 0
        for one in _family(process):
            try:
                with one.oneshot():
                    times = one.cpu_times()
                    spent[one.pid, one.create_time()] = times.user + times.system
                    held += one.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
        most = max(most, held)
        time.sleep(_EVERY)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return {"seconds": round(sum(spent.values()), 2), "megabytes": round(most / 1e6, 1)}


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def record(found: dict[str, dict[str, float]], here: dict[str, Any]) -> None:
    """Put what was found in place of what was recorded of the same notebooks; forget notebooks that are gone."""
    file = ROOT / FILE
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    known = {notebook.name for notebook in own_project().notebooks()}
    kept = [
        {**one, "notebooks": {k: v for k, v in one["notebooks"].items() if k in known and k not in found}}
        for one in before
    ]
    same = next((one for one in kept if {**one, "notebooks": None} == {**here, "notebooks": None}), None)
    if same is None:
        kept.append(same := {**here, "notebooks": {}})
    same["notebooks"] = dict(sorted((same["notebooks"] | found).items()))
    write_whole(file, json.dumps([one for one in kept if one["notebooks"]], indent=1, ensure_ascii=False) + "\n")


def main(arguments: list[str]) -> None:
    """Run the named notebooks, all where none is named."""
    project = own_project()
    names = [project.find(word).name for word in arguments if not word.startswith("-")]
    here = measured_here("numpy", "scipy", "ipykernel")
    for name in names or [notebook.name for notebook in project.notebooks()]:
        with tempfile.TemporaryDirectory() as folder:
            output = str(Path(folder, "out.ipynb"))
            try:
                found = taken([sys.executable, "-m", "alignlib", "run", name, "-o", output])
            except RuntimeError as error:  # the others are measured all the same
                print(error, file=sys.stderr)
                continue
        report(name, **found)
        if "--record" in arguments:
            record({name: found}, here)


if __name__ == "__main__":
    main(sys.argv[1:])
