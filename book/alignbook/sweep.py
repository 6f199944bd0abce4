"""A notebook over a grid of parameters: every claim and number of every run, as the rows of one table."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from alignbook import cache
from alignbook.parameters import Parameter, ParameterError, Value, resolve_texts
from alignbook.project import Notebook, Project
from alignbook.runner import Job, Run, execute_elsewhere
from alignlib._core.errors import quoted
from alignlib._core.names import spelled_whole

__all__ = ["columns", "grid", "run_by", "sweep"]

_MOST = 10_000  # runs of one sweep


def grid(
    notebook: Notebook, sweeps: Sequence[str], fixed: Sequence[tuple[str, str]], folder: Path
) -> list[dict[str, Value]]:
    """Return every combination of ``NAME=V1,V2,…`` with the fixed values, each checked before anything runs.

    Whole numbers may be given as a range, ``seed=0:10`` (0 to 9); values that are lists are divided by semicolons,
    ``kl=0.1,0.2;0.5``. The last name varies fastest.

    Raises
    ------
    ParameterError
        For a name that the notebook does not have, a value out of its range, or more than 10,000 combinations.
    """
    names: list[str] = []
    texts: list[list[str]] = []
    for word in sweeps:
        name, sign, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not text.strip():
            raise ParameterError(f"grid must be NAME=V1,V2,…; got {word!r}.", argument="grid")
        if name in names or any(name == other for other, _ in fixed):
            raise ParameterError(f"{name} is given twice; give it once.")
        names.append(name)
        asked = _values(notebook.parameters.get(name), text)
        twice = next((value for i, value in enumerate(asked) if value in asked[:i]), None)
        if twice is not None:
            raise ParameterError(f"{name} has the value {twice!r} more than once; give it once.")
        texts.append(asked)
    size = math.prod(map(len, texts))
    if size > _MOST:
        raise ParameterError(f"grid must have at most {_MOST:,} combinations; got {size:,}.", argument="grid")
    points = []
    for combination in itertools.product(*texts):
        values = resolve_texts(notebook.parameters, [*fixed, *zip(names, combination, strict=True)], folder)
        filled = [name for name in values if notebook.parameters[name].range.folder and values[name]]
        if filled:
            raise ParameterError(f"{filled[0]} names a folder to be filled, which a sweep does not do; leave it out.")
        notebook.check(values)
        points.append(values)
    return points


def _values(parameter: Parameter | None, text: str) -> list[str]:
    if parameter is not None and parameter.is_list:
        return [item.strip() for item in text.split(";")]
    start, sign, end = text.partition(":")
    if sign and parameter is not None and parameter.element == "int":
        try:
            low, high = spelled_whole(start), spelled_whole(end)
        except ValueError:
            raise ParameterError(f"{parameter.name} must be a range of whole numbers, 0:10; got {text!r}.") from None
        if not 0 < high - low <= _MOST:
            raise ParameterError(f"{parameter.name} must rise by 1 to {_MOST:,} from first to last; got {text!r}.")
        return [str(value) for value in range(low, high)]
    if sign and parameter is not None and parameter.element == "float":
        raise ParameterError(
            f"{parameter.name} takes no range, which is for whole numbers; got {quoted(text)}. Give values, 0.5,1,2."
        )
    return [item.strip() for item in text.split(",")]


def sweep(
    project: Project,
    notebook: Notebook,
    points: Sequence[Mapping[str, Value]],
    run_all: Callable[[list[Job]], Generator[Run, None, None]],
    folder: Path,
) -> Generator[tuple[int, dict[str, Any], bool], None, None]:
    """Run the notebook at each point, again where that fails; yield the place of each, its row, and if it was kept.

    A row has the point's values, ``seconds``, ``failed`` (a sentence, or None), for every claim its value and whether
    it holds, and every number that the notebook glues. Runs that succeed are kept in ``folder``, and taken from there
    as long as all that they were made from is unchanged.

    Parameters
    ----------
    project, notebook
        Where it belongs, and which.
    points : list of dict
        Values of parameters.
    run_all : callable
        Runs jobs and yields each run as it ends, with the place of its job.
    folder : path
        Where runs are kept.
    """
    watched = cache.our_folders(project)
    jobs = {place: Job(notebook, dict(values), watched=watched) for place, values in enumerate(points)}
    recipes = {place: cache.recipe(job, project) for place, job in jobs.items()}
    for place in list(jobs):
        before = cache.load(folder, recipes[place], project)
        if before is not None:
            del jobs[place]
            yield place, _row(points[place], before, None), True
    for last in (False, True):
        if not jobs:
            return
        places = list(jobs)
        with closing(run_all([jobs[place] for place in places])) as runs:
            for run in runs:
                place = places[run.place]
                broken = next((str(failure) for failure in run.failures if failure.claim is None), None)
                if broken is not None and not last:
                    continue
                if not run.failures:
                    cache.store(folder, recipes[place], project, run)
                yield place, _row(points[place], run, broken), False
                del jobs[place]


def run_by(map_: Callable[[Callable[[Job], Run], list[Job]], Iterator[tuple[int, Run]]]) -> Any:
    """Return what runs jobs by a function that has others do its calls, and yields places and results as they end."""

    def run_all(jobs: list[Job]) -> Generator[Run, None, None]:
        started = time.time()
        for place, run in map_(execute_elsewhere, jobs):
            yield replace(run, started=started, place=place)

    return run_all


def _row(values: Mapping[str, Value], run: Run, broken: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in values.items()
    }
    row |= {"seconds": round(run.seconds, 3), "failed": broken}
    for claim in run.claims:
        row |= {f"claim {claim.key}": claim.value, f"holds {claim.key}": claim.holds}
    return row | {f"number {name}": value for name, value in run.numbers.items()}


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return every name that some row has, in the order in which they first appear.

    >>> columns([{"n": 1, "failed": "x"}, {"n": 2, "failed": None, "claim a": 1.0}])
    ['n', 'failed', 'claim a']
    """
    return list(dict.fromkeys(name for row in rows for name in row))
