"""What the doors of the library say of an argument of another kind: one sentence in place of Python's own error.

A function checks the values it is given, in terms of what it computes. That its ``reward`` is a list, or its ``kl``
text, each would have to say for each argument, and most would forget one. So the doors do: what fails inside with an
error of Python's is looked at once more, and where an argument does not have the kind that the signature names, that is
the sentence. Nothing is looked at before something has failed, so whatever works goes on to work, at the price of a
call. Two slips that would not fail are looked at first: text where a list of names belongs, and a flag that is none.

A checker of annotations (beartype 0.23) was tried in its place and does another thing: as `ArrayLike` it
takes text, ragged lists and arrays of words, and it refuses ``3`` where a float belongs and numpy's whole numbers,
which work here. It would also look at every argument of every call, and its sentences would have to be written anew.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TypeVar

import numpy as np

from alignlib._core.errors import InputError, quoted
from alignlib._core.kinds import ARRAYS, fits, meant, said

__all__ = ["guard", "guarded"]

Function = TypeVar("Function", bound=Callable[..., Any])

_HUGE, _MANY = 2.0**62, 1e9  # where a number beyond the range of floats is looked for, or a size beyond any memory
_OF_SHAPES = re.compile(r"broadcast|\bshapes?\b|same length|to unpack|dimension|out of bounds|boolean index")


def guard(door: MutableMapping[str, Any]) -> None:
    """Have all that a door offers name an argument of another kind: functions, constructors, methods.

    Parameters
    ----------
    door : mapping
        The names of a module, which has ``__all__``: ``guard(globals())`` at its end.
    """
    for name in door["__all__"]:
        offered = door[name]
        if isinstance(offered, type):
            _guard_class(offered)
        elif isinstance(offered, types.FunctionType) and offered.__module__.startswith("alignlib."):
            door[name] = guarded(offered)
            door[name].__module__ = door["__name__"]  # where it is found, as by pickle


def guarded(function: Function) -> Function:
    """Return the function with a sentence for an argument of another kind.

    Parameters
    ----------
    function : callable
        A function with annotations, which say what kinds its arguments have.

    Returns
    -------
    callable
        It does the same, and raises `InputError` where it failed for an argument that is of no such kind.

    Raises
    ------
    InputError
        By the function that is returned; errors that are not about kinds pass unchanged.

    Examples
    --------
    >>> @guarded
    ... def halved(kl: float) -> float:
    ...     return kl / 2
    >>> halved(3.0)
    1.5
    >>> halved([3.0])
    Traceback (most recent call last):
        ...
    alignlib.InputError: kl must be a finite number; got [3.0].
    """
    if hasattr(function, "_guarded"):
        return function
    explain, look = _explained, _first_look(function)

    if inspect.isgeneratorfunction(function):

        def inner(*args: Any, **kwargs: Any) -> Any:
            if look is not None:
                look(args, kwargs)
            try:
                yield from function(*args, **kwargs)
            except Exception as error:  # of an object's own methods, or of its library, too
                better = explain(function, args, kwargs, error)
                if better is None:
                    raise
                raise better from error

    else:

        def inner(*args: Any, **kwargs: Any) -> Any:
            if look is not None:
                look(args, kwargs)
            try:
                return function(*args, **kwargs)
            except Exception as error:  # of an object's own methods, or of its library, too
                better = explain(function, args, kwargs, error)
                if better is None:
                    raise
                raise better from error

    # With the names of its own module, by which doctest knows what belongs there.
    names = function.__globals__
    made: Any = types.FunctionType(inner.__code__, names, function.__name__, None, inner.__closure__)
    made._guarded = True
    return typing.cast(Function, functools.update_wrapper(made, function))


def _guard_class(offered: type) -> None:
    """Replace constructor and public methods, in the class itself: whoever inherits them has them too."""
    if issubclass(offered, BaseException) or getattr(offered, "_is_protocol", False):
        return
    for owner in offered.__mro__:
        if not owner.__module__.startswith("alignlib."):
            continue
        for name, held in list(vars(owner).items()):
            if (name.startswith("_") and name != "__init__") or getattr(held, "__isabstractmethod__", False):
                continue
            if isinstance(held, types.FunctionType):
                setattr(owner, name, guarded(held))
            elif isinstance(held, (classmethod, staticmethod)):
                setattr(owner, name, type(held)(guarded(held.__func__)))


def _explained(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], error: BaseException
) -> InputError | None:
    """Return the sentence for the first argument that is of another kind, if one is."""
    if type(error).__module__.startswith("alignlib") and not getattr(error, "of_kind", False):
        return None
    if type(error) in (ArithmeticError, MemoryError):  # something is not certified, or too large: ours to say
        return None
    if isinstance(error, OSError):
        return _of_long_path(error)
    try:
        given = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return None  # too many, too few, or a name that there is not: Python says so
    names = [
        (name, one)
        for name, value in given.arguments.items()
        if name not in ("self", "cls")
        for one in _each(given.signature.parameters[name].kind, value)
    ]
    known, types_of = getattr(function, "__globals__", {}), getattr(function, "__annotations__", {})
    hints = {name: meant(types_of[name], known) for name, _ in names if name in types_of}
    for closely in (False, True):
        for name, value in names:
            if name in hints and not fits(hints[name], value, closely):
                remedy = " Give it as int or float." if closely and _is_number(hints[name], value) else ""
                return _sentence(f"{name} must be {said(hints[name])}; got {quoted(value)}.{remedy}", name)
    for name, value in given.arguments.items():  # an object that was made of what it cannot work with
        for field, hint, held in _fields_of(value):
            if not (hint is float and isinstance(held, float)) and not fits(hint, held):  # a result may hold NaN
                made = f"{type(value).__name__}.{field} must be {said(hint)}; got {quoted(held)}."
                return _sentence(made, field if name in ("self", "cls") else name)
    if isinstance(error, (ValueError, IndexError)) and _OF_SHAPES.search(str(error)):
        shapes = [f"{name} {np.shape(value)}" for name, value in names if hints.get(name) in ARRAYS]
        if shapes:
            return _sentence(f"The shapes of {', '.join(shapes)} do not go together; give arrays that match.")
    return _of_extent(names, error)


def _each(kind: object, value: Any) -> Iterable[Any]:
    """Return what an annotation speaks of: of ``*values`` and ``**named`` each, else the argument."""
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple(value)
    return value.values() if kind is inspect.Parameter.VAR_KEYWORD else (value,)


def _is_number(hint: Any, value: Any) -> bool:
    return not isinstance(value, bool) and (fits(float, value) if fits(hint, value) else False)


def _of_long_path(error: OSError) -> InputError | None:
    if error.errno != errno.ENAMETOOLONG:
        return None  # a file that is missing, or a full disk, is another matter
    return _sentence(f"The path {quoted(error.filename, 40)}… is longer than the system takes; check the path.")


def _of_extent(names: list[tuple[str, Any]], error: BaseException) -> InputError | None:
    """Return the sentence for a list without elements, or a number too large to compute with, that made it fail."""
    of_end = isinstance(error, (IndexError, StopIteration)) or "empty" in str(error)
    of_size = "array is too big" in str(error)  # beyond any memory: numpy does not even ask for it
    huge = _HUGE if isinstance(error, OverflowError) else _MANY if of_size else math.inf
    for name, value in names:
        if of_end and isinstance(value, (list, tuple, np.ndarray)) and np.shape(value)[:1] == (0,):
            return _sentence(f"{name} must not be empty; got {quoted(value)}. Give at least one.", name)
        if isinstance(value, (int, float)) and abs(value) >= huge:
            return _sentence(f"{name} is too large to compute with; got {quoted(value)}. Give a smaller one.", name)
    return None


def _sentence(text: str, argument: str = "") -> InputError:
    error = InputError(text, argument=argument)
    error.of_kind = True
    return error


def _fields_of(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, type and value of what a dataclass of ours holds."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return
    for owner in type(value).__mro__:
        if owner.__module__.startswith("alignlib.") and dataclasses.is_dataclass(owner):
            known = vars(sys.modules[owner.__module__])
            for name, hint in inspect.get_annotations(owner).items():
                if hasattr(value, name) and not str(hint).startswith("ClassVar"):
                    yield name, meant(hint, known), getattr(value, name)


def _first_look(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], Mapping[str, Any]], None] | None:
    """Return what looks at arguments whose mistakes pass: a flag that is none, text where a list of names belongs."""
    hints: dict[str, str] = getattr(function, "__annotations__", {})
    code: Any = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code else ()
    places = {
        name: (names.index(name) if name in names else -1, hint == "bool")
        for name, hint in hints.items()
        if name != "return" and hint in ("bool", "Sequence[str]", "list[str]", "Sequence[str] | None")
    }
    if not places:
        return None

    def look(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        for name, (place, flag) in places.items():
            if name in kwargs:
                value = kwargs[name]
            elif 0 <= place < len(args):
                value = args[place]
            else:
                continue
            if flag and not isinstance(value, (bool, np.bool_)):
                raise _sentence(f"{name} must be True or False; got {quoted(value)}.", name)
            if not flag and isinstance(value, (str, bytes, bytearray, memoryview)):
                raise _sentence(f"{name} must be a list of texts; got {quoted(value)}. Put it into brackets.", name)

    return look
