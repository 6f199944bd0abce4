"""The runs of a bundle once more, here, and every number and text of a claim held against the one in the bundle.

What is executed are the notebooks of this installation, never anything from the bundle.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alignbook.bundle.opened import BundleError
from alignbook.bundle.results import record_of
from alignbook.parameters import ParameterError, resolve
from alignbook.project import Notebook, Project
from alignbook.runner import Job, Run, execute_all
from alignlib._core.errors import InputError
from alignlib._core.names import unknown_name

_IN_TEXT = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.ASCII)  # a number

__all__ = ["Compared", "Rerun", "chosen", "compare", "rerun"]


@dataclass(frozen=True)
class Compared:
    """One number or text of a notebook, as the bundle has it and as it was found here.

    ``difference`` is relative to the larger of the two, None where they are not both finite numbers.
    """

    what: str
    name: str
    bundle: Any
    here: Any
    difference: float | None
    same: bool


@dataclass(frozen=True)
class Rerun:
    """A notebook run again: each of its numbers, or why it could not be run.

    ``same_script`` says whether what was run is, byte for byte, the script that the bundle names for its run.
    """

    notebook: str
    numbers: tuple[Compared, ...] = ()
    failed: str | None = None
    same_script: bool = True

    @property
    def n_same(self) -> int:
        """How many numbers agree."""
        return sum(number.same for number in self.numbers)

    @property
    def good(self) -> bool:
        """Whether it ran and all numbers agree."""
        return self.failed is None and self.n_same == len(self.numbers)

    @property
    def largest(self) -> float:
        """The largest relative difference."""
        return max((number.difference or 0.0 for number in self.numbers), default=0.0)


def chosen(records: Mapping[str, Mapping[str, Any]], names: Sequence[str], project: Project) -> list[str]:
    """Return the notebooks of a bundle that are asked for, all where none is named.

    Raises
    ------
    ParameterError
        For a name that this installation does not know, or the bundle does not hold.
    """
    if not names:
        return sorted(records)
    found = [project.find(name).name for name in names]
    for name in found:
        if name not in records:
            raise ParameterError(unknown_name("notebook of the bundle", name, sorted(records)))
    return list(dict.fromkeys(found))


def rerun(
    records: Mapping[str, Mapping[str, Any]],
    names: Sequence[str],
    project: Project,
    *,
    tolerance: float,
    scripts: Mapping[str, str],
    workers: int | None = None,
    done: Callable[[Rerun], None] = lambda _: None,
) -> list[Rerun]:
    """Run notebooks with the parameters that a bundle records, and compare every number.

    Parameters
    ----------
    records : mapping
        What the notebooks of the bundle record.
    names : sequence of str
        Which of them.
    project : Project
        Whose notebooks are run.
    tolerance : float
        Relative difference up to which two numbers are the same.
    scripts : mapping
        The SHA-256 of the script that the bundle names for each run.
    workers : int, optional
        Runs side by side.
    done : callable
        Called with each as it ends.
    """
    found: dict[str, Rerun] = {}
    jobs: list[Job] = []
    same: dict[str, bool] = {}
    for name in names:
        try:
            notebook = project.find(name)
            if notebook.name != name:
                raise BundleError(f"it is called {name!r} in the bundle, and {notebook.name} here")
            same[name] = scripts.get(name) in _digests(notebook)
            jobs.append(_job(notebook, records[name]["parameters"]))
        except InputError as error:
            found[name] = Rerun(name, failed=str(error), same_script=same.get(name, False))
            done(found[name])
    for run in execute_all(jobs, workers) if jobs else ():
        found[run.name] = replace(
            _compared(run, records[run.name], tolerance, texts=same[run.name]), same_script=same[run.name]
        )
        done(found[run.name])
    return [found[name] for name in names]


def compare(
    bundle: Mapping[str, Any], here: Mapping[str, Any], tolerance: float, *, texts: bool = True
) -> Iterator[Compared]:
    """Yield every number of a record beside that of another: value and bound of each claim, its verdict, glued numbers.

    A number that only one of the two has is None in the other, and not the same. Texts of claims, which are those of
    the script, follow where they are asked for.
    """
    claims = [{item["key"]: item for item in record["claims"]} for record in (bundle, here)]
    for key in dict.fromkeys([*claims[0], *claims[1]]):
        for part in ("value", "expected", "tolerance", "points", "holds"):
            there, now = (record.get(key, {}).get(part) for record in claims)
            yield _pair(f"claim, {part}", key, there, now, tolerance)
        ends = [record.get(key, {}).get("interval") for record in claims]
        for k, end in enumerate(("low", "high")) if any(ends) else ():
            there, now = (one[k] if one else None for one in ends)
            yield _pair(f"claim, {end}", key, there, now, tolerance)
        for part in ("statement", "source", "kind", "must_hold") if texts else ():
            there, now = (record.get(key, {}).get(part) for record in claims)
            yield Compared(f"claim, {part}", key, there, now, None, _says_the_same(there, now, tolerance))
    for name in dict.fromkeys([*bundle["numbers"], *here["numbers"]]):
        yield _pair("number", name, bundle["numbers"].get(name), here["numbers"].get(name), tolerance)


def _digests(notebook: Notebook) -> set[str]:
    """The SHA-256 of a script as it is here, and as it is where lines end otherwise."""
    content = notebook.script.read_bytes()
    return {hashlib.sha256(one).hexdigest() for one in (content, content.replace(b"\r\n", b"\n"))}


def _job(notebook: Notebook, parameters: Mapping[str, Any]) -> Job:
    """The run of a notebook with recorded parameters; those that are its defaults are not given."""
    declared = notebook.parameters
    given = {
        name: value for name, value in parameters.items() if name not in declared or value != declared[name].default
    }
    for name in given:
        if name in declared and (declared[name].range.file or declared[name].range.folder):
            raise InputError(  # a bundle holds what it should: nothing is to be got again
                f"the run of {notebook.name} read or filled {parameters[name]!r}, which the bundle does not hold; run "
                f"it yourself with --{name.replace('_', '-')}."
            )
    values = resolve(declared, given)
    notebook.check(values)
    return Job(notebook, values)


def _compared(run: Run, record: Mapping[str, Any], tolerance: float, *, texts: bool) -> Rerun:
    broken = next((str(failure) for failure in run.failures if failure.claim is None), None)
    if broken is not None:
        return Rerun(run.name, failed=broken)
    return Rerun(run.name, tuple(compare(record, record_of(run.notebook), tolerance, texts=texts)))


def _pair(what: str, name: str, there: Any, now: Any, tolerance: float) -> Compared:
    a, b = _number(there), _number(now)
    if a is None or b is None:
        return Compared(what, name, there, now, None, there == now and type(there) is type(now))
    if not (math.isfinite(a) and math.isfinite(b)):
        return Compared(what, name, there, now, None, a == b or (math.isnan(a) and math.isnan(b)))
    size = max(abs(a), abs(b))
    difference = 0.0 if a == b else abs(a - b) / size
    return Compared(what, name, there, now, difference, difference <= tolerance)


def _says_the_same(there: object, now: object, tolerance: float) -> bool:
    """Whether two texts are the same but for numbers in them, which may differ as others may."""
    if there == now or not (isinstance(there, str) and isinstance(now, str)):
        return there == now and type(there) is type(now)
    ours, theirs = _IN_TEXT.findall(now), _IN_TEXT.findall(there)
    same = _IN_TEXT.sub("#", now) == _IN_TEXT.sub("#", there)
    return same and all(math.isclose(float(a), float(b), rel_tol=tolerance) for a, b in zip(ours, theirs, strict=True))


def _number(value: Any) -> float | None:
    """A number, also one that JSON holds as text because it is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return float(value) if value in ("inf", "-inf", "nan") else None
    try:
        return float(value)
    except OverflowError:  # compared digit by digit
        return None
