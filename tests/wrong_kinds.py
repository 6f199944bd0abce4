"""Values of other kinds for every argument of every public name: ``python -m tests.wrong_kinds [ROOM …]``.

The examples of the docstrings are run and each call of a public function, constructor or method in them is noted. Then
it is made again with one argument exchanged, for every argument and every value below. What comes must be an
answer or an `InputError`. It takes a minute or two for all rooms; `tests/test_doors.py` does a part of it.
"""

from __future__ import annotations

import contextlib
import copy
import doctest
import functools
import importlib
import inspect
import io
import pkgutil
import sys
import tempfile
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from alignbook.api_pages import API_PAGES
from alignlib import InputError

__all__ = ["VALUES", "Outcome", "calls_in", "outcomes"]

# Made anew for each call.
VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "an empty list": list,
    "a list of text": lambda: ["a"],
    "a list of NaN": lambda: [float("nan")],
    "a list of lists": lambda: [[1.0]],
    "a mixed pair": lambda: (1, "a"),
    "a dictionary": dict,
    "text": lambda: "a",
    "no text": str,
    "NUL": lambda: "a\0b",
    "half a character": lambda: "\ud800",
    "bytes": lambda: b"a",
    "bytes that change": lambda: bytearray(b"a"),
    "a truth value": lambda: True,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "a huge integer": lambda: 10**400,
    "a huge negative integer": lambda: -(10**400),
    "minus one": lambda: -1,
    "nought": lambda: 0,
    "a fraction": lambda: 2.5,
    "a complex number": lambda: 1j,
    "an object": object,
    "a type": lambda: float,
    "a function": lambda: lambda *_: None,
    "an array of text": lambda: np.array(["a"]),
    "an array without elements": lambda: np.zeros((2, 0)),
    "an array of objects": lambda: np.array([None, "a"], dtype=object),
    "an iterator": lambda: iter([1.0]),
}
# Options of matplotlib are handed on, and what a caller's own function raises or returns is the caller's.
PASSED_ON = {("plotting.frontier", "color"), ("plotting.frontier", "ha"), ("hacking.saturating_pair", "transform")}
PASSED_ON |= {("SampleLevels.spent", "transform")}
DOCUMENTED = ("CapacityError", "ArithmeticError", "JSONDecodeError")  # no certificate; `parse_json`


class Outcome(NamedTuple):
    """What came of one call with one argument exchanged; ``raised`` is empty where there was an answer."""

    name: str
    argument: str
    value: str
    raised: str
    said: str

    @property
    def survived(self) -> bool:
        """Whether it was an answer, a sentence, or is not ours to say."""
        passed = (self.name, self.argument) in PASSED_ON
        return passed or self.raised in ("", "InputError", *DOCUMENTED)


class _Call(NamedTuple):
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def calls_in(rooms: list[str]) -> dict[str, _Call]:
    """Run the examples of rooms; return the first call of each public name that they make."""
    found: dict[str, _Call] = {}
    modules = [module for room in rooms for module in _modules(room)]
    spies = {}
    with contextlib.ExitStack() as undo:
        for room in rooms:
            door = importlib.import_module(f"alignlib.{room}")
            for name in getattr(door, "__all__", ()):
                offered = getattr(door, name)
                if isinstance(offered, types.FunctionType):
                    spy = _spy(f"{room}.{name}", offered, found)
                    spies |= {id(offered): spy, id(getattr(offered, "__wrapped__", None)): spy}
                elif isinstance(offered, type) and not issubclass(offered, BaseException):
                    _spy_on_class(offered, f"{room}.{name}", found, undo)
        for module in modules:
            for name, held in list(vars(module).items()):
                if isinstance(held, types.FunctionType) and id(held) in spies:
                    undo.callback(setattr, module, name, held)
                    setattr(module, name, spies[id(held)])
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
        for test in (test for module in modules for test in doctest.DocTestFinder().find(module) if test.examples):
            runner.run(test, out=lambda _: None)
    return found


def outcomes(found: dict[str, _Call], values: Callable[[int], list[str]]) -> Iterator[Outcome]:
    """Make the calls again with each argument exchanged for the values that are named for its number."""
    number = 0
    for name, call in sorted(found.items()):
        parameters = inspect.signature(call.function).parameters.values()
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD or parameter.name in ("self", "cls"):
                continue
            for value in values(number):
                yield _with(name, call, parameter, value)
            number += 1


def _with(name: str, call: _Call, parameter: inspect.Parameter, value: str) -> Outcome:
    signature = inspect.signature(call.function)
    args, kwargs = list(call.args), dict(call.kwargs)
    with contextlib.suppress(Exception):  # what cannot be copied is used as it is
        args, kwargs = copy.deepcopy((args, kwargs))
    if next(iter(signature.parameters), "") in ("self", "cls"):
        args[0] = object.__new__(type(call.args[0])) if name.endswith("()") else call.args[0]
    bound = signature.bind(*args, **kwargs)
    given = VALUES[value]()
    bound.arguments[parameter.name] = (given,) if parameter.kind is parameter.VAR_POSITIONAL else given
    bound.arguments = {key: bound.arguments[key] for key in signature.parameters if key in bound.arguments}
    raised = said = ""
    out = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        warnings.simplefilter("ignore")
        try:
            answer = call.function(*bound.args, **bound.kwargs)
            if inspect.isgenerator(answer):
                next(answer, None)
        except Exception as error:  # whatever it is, it is what is asked
            raised = "InputError" if isinstance(error, InputError) else type(error).__name__
            said = str(error)
    return Outcome(name, parameter.name, value, raised, said)


def _modules(room: str) -> list[types.ModuleType]:
    door = importlib.import_module(f"alignlib.{room}")
    inside = pkgutil.walk_packages(getattr(door, "__path__", []), f"{door.__name__}.")
    return [door, *(importlib.import_module(one.name) for one in inside)]


def _spy(label: str, function: Callable[..., Any], found: dict[str, _Call]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        frame: Any = sys._getframe(1)
        while frame.f_code.co_filename == inner.__code__.co_filename and frame.f_back is not None:
            frame = frame.f_back
        if frame.f_code.co_filename.startswith("<doctest"):
            found.setdefault(label, _Call(function, args, kwargs))
        return function(*args, **kwargs)

    return inner


def _spy_on_class(offered: type, label: str, found: dict[str, _Call], undo: contextlib.ExitStack) -> None:
    for owner in offered.__mro__:
        for name, held in list(vars(owner).items()):
            if not owner.__module__.startswith("alignlib.") or (name.startswith("_") and name != "__init__"):
                continue
            called = f"{label}()" if name == "__init__" else f"{owner.__name__}.{name}"
            if isinstance(held, types.FunctionType):
                spy: Any = _spy(called, held, found)
            elif isinstance(held, classmethod):
                spy = classmethod(_spy(called, held.__func__, found))
            else:
                continue
            undo.callback(setattr, owner, name, held)
            setattr(owner, name, spy)


def _main() -> int:
    rooms = sys.argv[1:] or [room.removeprefix("alignlib.") for _, _, room in API_PAGES]
    tally: Counter[bool] = Counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # some write files
        found = calls_in(rooms)
        for outcome in outcomes(found, lambda _: list(VALUES)):
            tally[outcome.survived] += 1
            if not outcome.survived:
                print(f"{outcome.name} {outcome.argument}: {outcome.value}: {outcome.raised}: {outcome.said[:120]}")
    print(f"{tally.total()} calls of {len(found)} public names, {tally[True]} survived")
    return int(tally[False] > 0)


if __name__ == "__main__":
    sys.exit(_main())
