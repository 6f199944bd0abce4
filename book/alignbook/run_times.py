"""What a run of each notebook took, as ``python -m benchmarks.run_times`` recorded it: time, memory, and with what.

Recorded, not measured while the book is built: two builds of the same sources give the same pages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RunTimes", "Taken", "read_run_times", "run_times_section"]

FILE = Path("benchmarks", "recorded", "run_times.json")


@dataclass(frozen=True)
class Taken:
    """What one run took: seconds of one core, and at most so many megabytes, its command and kernel together."""

    seconds: float
    megabytes: float

    @property
    def time(self) -> str:
        """The time as text, of which seconds are rounded as their size allows.

        >>> Taken(3.21, 200).time, Taken(42.3, 200).time, Taken(156.0, 200).time
        ('3 s', '42 s', '2.6 minutes')
        """
        return f"{self.seconds / 60:.1f} minutes" if self.seconds >= 90 else f"{max(self.seconds, 1):.0f} s"

    @property
    def memory(self) -> str:
        """The memory as text, to ten megabytes.

        >>> Taken(3.21, 214.2).memory
        '220 MB'
        """
        return f"{-(-self.megabytes // 10) * 10:.0f} MB"


@dataclass(frozen=True)
class RunTimes:
    """Runs recorded on one machine on one day, by notebook."""

    date: str
    machine: str
    versions: Mapping[str, str]
    notebooks: Mapping[str, Taken]

    @property
    def where(self) -> str:
        """Machine, versions and date as text."""
        return f"{self.machine}, {', '.join(f'{name} {number}' for name, number in self.versions.items())}; {self.date}"


def read_run_times(root: Path) -> list[RunTimes]:
    """Read what was recorded; nothing where a project has no such file."""
    file = root / FILE
    if not file.is_file():
        return []
    return [
        RunTimes(
            one["date"],
            one["machine"],
            one["versions"],
            {name: Taken(**taken) for name, taken in one["notebooks"].items()},
        )
        for one in json.loads(file.read_text(encoding="utf-8"))
    ]


def run_times_section(recorded: Sequence[RunTimes], titles: Mapping[str, str]) -> list[str]:
    """Return what the runs of the notebooks took as lines of Markdown; ``titles`` are those of the book, by name."""
    said = (
        "Each was run by itself, with its own parameters, as by `alignlib run NAME -o out.ipynb`. The time is that of "
        "one core, the start of Python and of Jupyter included; memory is the most that command and kernel held "
        "together, pages that they share counted twice. `python -m benchmarks.run_times --record` measures them anew."
    )
    lines = ["## Time and memory of each notebook", "", said, ""]
    for one in recorded:
        there = [name for name in titles if name in one.notebooks]
        if not there:
            continue
        total = sum(one.notebooks[name].seconds for name in there)
        lines += [f"On {one.where}. All {len(there)} together: {Taken(total, 0.0).time}.", ""]
        lines += ["| Notebook | Time | Memory |", "|---|---|---|"]
        for name in there:
            taken = one.notebooks[name]
            lines.append(f"| {{doc}}`{titles[name]} <notebooks/{name}>` | {taken.time} | {taken.memory} |")
        lines.append("")
    return lines
