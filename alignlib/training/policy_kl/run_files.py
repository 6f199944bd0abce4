"""Files of one run: of processes side by side, or, where the reader says so, of starts one after the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import quoted
from alignlib._core.names import counted, listed
from alignlib.training.policy_kl.responses import Responses
from alignlib.training.policy_kl.run_again import latest_of

__all__ = ["FILES", "STARTS", "by_number", "check_files", "last_starts", "of_shared_steps", "of_starts", "starts_of"]

FILES = ("processes", "starts")
STARTS = FILES[1]
_ENDING = re.compile(r"\.[A-Za-z]\w*(\.gz)?$")
_SHOWN = 4  # names, or groups of files


def check_files(files: str) -> None:
    """Refuse what files of one run cannot be.

    Parameters
    ----------
    files : str
        What they are taken for.

    Raises
    ------
    InputError
        If that is not known.
    """
    require(
        isinstance(files, str) and files in FILES,
        f"files must be {' or '.join(map(repr, FILES))}; got {quoted(files)}.",
        "files",
    )


def by_number(path: str | Path) -> list[tuple[bool, list[str | int], str]]:
    """Return what sorts files by names without endings, digits as numbers, those of a folder before deeper ones.

    Parameters
    ----------
    path : str or Path
        A file or a folder.

    Examples
    --------
    >>> sorted(["log10.jsonl", "log9.jsonl", "log.jsonl", "a/log.jsonl"], key=by_number)
    ['log.jsonl', 'log9.jsonl', 'log10.jsonl', 'a/log.jsonl']
    """
    parts = Path(path).parts
    deeper = [i + 1 < len(parts) for i in range(len(parts))]
    return [
        (more, _numbers(part if more else _ENDING.sub("", part)), part)
        for more, part in zip(deeper, parts, strict=True)
    ]


def _numbers(name: str) -> list[str | int]:
    return [int(one) if i % 2 else one for i, one in enumerate(re.split(r"([0-9]+)", name))]


def starts_of(paths: Sequence[str | Path]) -> dict[str, str]:
    """Return the start that each file is of, by its name: a file each, or a folder each of those that lie deeper.

    Parameters
    ----------
    paths : sequence of str or Path
        The files of a run.

    Examples
    --------
    >>> starts_of(["a/10.csv", "a/9.csv"])
    {'a/9.csv': '9.csv', 'a/10.csv': '10.csv'}
    >>> starts_of(["a/x.csv", "b/x.csv", "x.csv"])
    {'x.csv': 'x.csv', 'a/x.csv': 'a', 'b/x.csv': 'b'}
    """
    parts = {str(one): Path(one).parent.absolute().parts for one in sorted(paths, key=by_number)}
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*parts.values(), strict=False)))
    return {one: "/".join(whole[shared:]) or Path(one).name for one, whole in parts.items()}


def last_starts(runs: Sequence[Sequence[Responses]], what: str = "response") -> tuple[list[Responses], list[str]]:
    """Return what no later start of its run replaces, where files are of starts, and what was left out.

    Parameters
    ----------
    runs : sequence of sequences of Responses
        The files of each run.
    what : str
        What is counted.

    Returns
    -------
    responses : list of Responses
        Those that count, of each file that has any.
    notes : list of str
        What was left out.

    Raises
    ------
    InputError
        Where a file has no steps.
    """
    lacks = next((one.path for run in runs for one in run if one.step is None), None)
    require(lacks is None, f"files='starts' needs a column of steps (step); {lacks} has none.", "files")
    starts = starts_of(list(dict.fromkeys(one.path for run in runs for one in run)))
    names = list(dict.fromkeys(starts.values()))
    size, lost = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    found: list[Responses] = []
    for run in runs:
        later, kept = np.inf, list[Responses]()
        for name in reversed(names):
            mine = [one for one in run if starts[one.path] == name]
            steps = [one.step for one in mine if one.step is not None]
            for one, own, step in zip(mine, latest_of(mine), steps, strict=True):
                rows = np.flatnonzero((step < later) & (True if own is None else own))
                size[name] += step.size
                lost[name] += step.size - rows.size
                kept += [one.take(rows)] if rows.size else []
            later = min([later, *(float(step.min()) for step in steps if step.size)])
        found += kept[::-1]
    return found, of_starts(names, [*size.values()], [*lost.values()], what)


def of_starts(names: Sequence[str], size: Sequence[int], lost: Sequence[int], what: str) -> list[str]:
    """Say in which order starts of a run were taken, and how much of each later ones replaced.

    Parameters
    ----------
    names : sequence of str
        The starts in order.
    size, lost : sequence of int
        How much each holds, and how much of that is left out.
    what : str
        What is counted.
    """
    if len(names) < 2:
        return ["There is one file of the run alone, one start (files)."]
    gone = [f"{many} of {counted(total, what)} of {name!r}" for name, total, many in zip(names, size, lost, strict=True)
            if many]  # fmt: skip
    more = [counted(len(gone) - _SHOWN, "other start")] if len(gone) > _SHOWN else []
    left_out = listed([*gone[:_SHOWN], *more]) if gone else "nothing"
    order = (
        f"{len(names)} starts of one run, as you said (files), in the order of their names ({_few(names)}): a later "
        "one replaces what earlier ones hold from its first step on."
    )
    said = [f"{order} Left out so, or as run again within a start: {left_out}."]
    whole = [name for name, total, many in zip(names, size, lost, strict=True) if many == total > 0]
    if whole:
        said.append(
            f"Nothing is left of {_few(whole)}. If the names are not in the order of time, rename them; if several "
            "are processes of one start, put the files of each start into a folder of its own; if the steps of a later "
            "one begin anew though the run went on, number them on."
        )
    return said


def of_shared_steps(file: IntArray, names: Sequence[str], place: IntArray, step: FloatArray) -> list[str]:
    """Say which files of a run hold the same steps, which are averaged, and what to say where they are of starts.

    Parameters
    ----------
    file : array of int (rows,)
        The file of each response.
    names : sequence of str
        Names of the files.
    place : array of int (rows,)
        The checkpoint of each response.
    step : array (k,)
        The step of each checkpoint.
    """
    held: dict[int, set[int]] = {}
    for pair in np.unique(place * len(names) + file).tolist():
        at, one = divmod(pair, len(names))
        held.setdefault(at, set()).add(one)
    shared: dict[tuple[int, ...], list[float]] = {}
    for at in sorted(at for at, which in held.items() if len(which) > 1):
        shared.setdefault(tuple(sorted(held[at])), []).append(float(step[at]))
    if not shared:
        return []
    groups = [f"{_steps(steps)} of {_few([names[i] for i in which])}" for which, steps in shared.items()]
    more = f"; and {counted(len(groups) - _SHOWN, 'other group')} of files" if len(groups) > _SHOWN else ""
    said = (
        f"Averaged at each step, as of processes of one run: {'; '.join(groups[:_SHOWN])}{more}. If each file is a "
        "start of the run instead, as after a resume, say files='starts': then a later one, in the order of their "
        "names, replaces what earlier ones hold from its first step on. Of an evaluation, name the split in a column "
        "'split', or leave its file out."
    )
    return [said]


def _steps(steps: Sequence[float]) -> str:
    least, most = min(steps), max(steps)
    return f"step {least:g}" if len(steps) == 1 else f"{counted(len(steps), 'step')} ({least:g} to {most:g})"


def _few(names: Sequence[str]) -> str:
    more = [counted(len(names) - _SHOWN, "other")] if len(names) > _SHOWN else []
    return listed([*map(repr, names[:_SHOWN]), *more])
