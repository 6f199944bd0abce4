"""Whether a value has the kind that a type in a signature names, and how a sentence says that kind."""

from __future__ import annotations

import builtins
import collections
import collections.abc
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

import numpy as np

from alignlib._core.checks import as_number, as_numbers, as_whole

__all__ = ["ARRAYS", "fits", "meant", "said"]

_LARGEST = 2**63  # whole numbers are indices and sizes


class _Numbers:
    """Stands for whatever numpy makes an array of numbers of."""


class _Array(_Numbers):
    """Stands for an array of numpy's, which has a shape."""


class _Places:
    """Stands for an array of whole numbers, or of truth values."""


# `numpy.typing` has no classes to ask for. An array of any type may hold names, too.
_TYPING = types.SimpleNamespace(ArrayLike=_Numbers, NDArray=collections.defaultdict(lambda: object))
_NAMED = {
    "FloatArray": _Array,
    "IntArray": _Places,
    "BoolArray": _Places,
    "FloatOrArray": object,
    "Any": object,
    "npt": _TYPING,
}
ARRAYS = (_Numbers, _Array, _Places)
_SAID: dict[Any, str] = {
    _Numbers: "an array of numbers",
    _Array: "a numpy array of numbers",
    _Places: "a numpy array of whole numbers or of truth values",
    float: "a finite number",
    int: "a whole number",
    str: "text",
    bool: "True or False",
    bytes: "bytes",
    None: "None",
    types.NoneType: "None",
    np.random.Generator: "a numpy Generator",
}
_MANY = {str: "texts", float: "numbers", int: "whole numbers", _Numbers: "arrays of numbers"}


class _Names(dict[str, Any]):
    """What the names of an annotation mean, those too that are imported for checkers of types only."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        super().__init__(_NAMED)
        self.known = known

    def __missing__(self, name: str) -> Any:
        for held in (self.known, vars(builtins)):
            if name in held:
                return held[name]
        others = [key for key in list(sys.modules) if key.startswith("alignlib.")]
        found = (getattr(sys.modules.get(key), name, None) for key in [*others, "scipy.stats"])
        return next((one for one in found if isinstance(one, type)), object)


def meant(hint: Any, known: Mapping[str, Any]) -> Any:
    """Return the type that an annotation names in a module of these names, or `object` where it cannot be told.

    Parameters
    ----------
    hint : object
        An annotation, which may be a string or a name known to type checkers only.
    known : mapping of str to object
        The names of the module it stands in.

    Returns
    -------
    type
        What `fits` takes.
    """
    try:
        return eval(hint, {}, _Names(known)) if isinstance(hint, str) else hint
    except Exception:  # a type that is subscripted for checkers only
        return object


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself."""
    if isinstance(hint, types.UnionType) or get_origin(hint) is typing.Union:
        for part in get_args(hint):
            yield from _parts(part)
    else:
        yield hint


def fits(hint: Any, value: Any, closely: bool = False) -> bool:
    """Whether a value has the kind of a type; ``closely``, whether whatever takes it would not stumble over it.

    Text without NUL and halves of characters, arrays with elements, numbers that are no truth values.

    Parameters
    ----------
    hint : type
        An annotation without strings, as `meant` gives it.
    value : object
        What was given.
    closely : bool
        Whether NUL in texts, arrays without elements and truth values for numbers are refused too.

    Returns
    -------
    bool
        True where the type cannot be judged.

    Examples
    --------
    >>> fits(int, 3), fits(int, 10**400), fits(str | None, ["a"]), fits(str, "a\\0", closely=True)
    (True, False, False, False)
    """
    return any(_fits_one(part, value, closely) for part in _parts(hint))


def _fits_one(hint: Any, value: Any, closely: bool) -> bool:
    origin, inside = get_origin(hint), get_args(hint)
    if hint in (None, types.NoneType):
        return value is None
    if hint in (_Numbers, _Array):
        whole = _is(lambda: as_numbers("", value))
        return whole and not (
            closely and (np.size(value) == 0 or (hint is _Array and not (isinstance(value, np.ndarray) and value.ndim)))
        )
    if hint is _Places:
        if not _is(lambda: as_numbers("", value)) or (
            closely and (np.ndim(value) == 0 or np.size(value) == 0 or not isinstance(value, np.ndarray))
        ):
            return False
        return np.size(value) == 0 or np.asarray(value).dtype.kind in "iub"
    if hint is float:
        return _is(lambda: as_number("", value)) and not (closely and not _is_plain(value))
    if hint is int:
        whole = _is(lambda: as_whole("", value, -_LARGEST, _LARGEST - 1))
        return whole and not (closely and not _is_plain(value))
    if hint is bool:
        return isinstance(value, (bool, np.bool_))
    if hint is str:
        return isinstance(value, str) and not (closely and ("\0" in value or not _is(value.encode)))
    if origin is Literal:
        return any(value is one or (type(value) is type(one) and value == one) for one in inside)
    if origin is collections.abc.Callable or hint is collections.abc.Callable:
        return callable(value)
    kind = origin or hint
    if kind is typing.IO:  # open files do not inherit from it
        return callable(getattr(value, "read", None))
    if not isinstance(kind, type) or kind in (object, Any) or getattr(kind, "_is_protocol", False):
        return True  # whatever it is
    if kind is tuple and Ellipsis not in inside and inside:
        each = list(value) if isinstance(value, (tuple, list, np.ndarray)) else []
        return len(each) == len(inside) and all(fits(one, v, closely) for one, v in zip(inside, each, strict=True))
    if kind in (tuple, list, collections.abc.Sequence, collections.abc.Iterable):
        listed = isinstance(value, (collections.abc.Sequence, np.ndarray)) or (
            kind is collections.abc.Iterable and isinstance(value, collections.abc.Iterable)
        )
        if isinstance(value, (str, bytes, bytearray, memoryview)) or not listed:
            return False
        if isinstance(value, range):
            value = list(value[:1])  # they are all of one kind
        known = isinstance(value, (list, tuple, np.ndarray)) and inside
        if isinstance(value, np.ndarray) and value.ndim == 0:
            return not known
        return not known or all(fits(inside[0], one, closely) for one in value)
    if issubclass(PurePath, kind) or issubclass(kind, PurePath):
        return isinstance(value, PurePath)
    return isinstance(value, kind)


def _is_plain(value: Any) -> bool:
    """Whether all arithmetic takes a number: no fraction, decimal, truth value, array without dimensions."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is(check: Callable[[], object]) -> bool:
    try:
        check()
    except MemoryError:
        raise
    except Exception:  # an object's own methods may raise anything
        return False
    return True


def said(hint: Any) -> str:
    """Say what kind a type stands for.

    Parameters
    ----------
    hint : type
        An annotation without strings.

    Returns
    -------
    str
        Words for a sentence, such as ``"a finite number or None"``.

    Examples
    --------
    >>> said(float | None), said(list[str]), said(typing.IO[bytes])
    ('a finite number or None', 'a list of texts', 'an open file')
    """
    parts = list(dict.fromkeys(_said_one(part) for part in _parts(hint)))
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _said_one(hint: Any) -> str:
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(repr(one) for one in inside)
    if hint in _SAID:
        return _SAID[hint]
    kind = origin or hint
    if kind is tuple and Ellipsis not in inside and inside:
        return f"{len(inside)} values: {', '.join(said(one) for one in inside)}"
    if kind in (tuple, list, collections.abc.Sequence, collections.abc.Iterable):
        return f"a list of {_MANY.get(inside[0], _named(inside[0]) + 's')}" if inside else "a list"
    if kind in (dict, collections.abc.Mapping):
        return "a mapping"
    if kind is collections.abc.Callable:
        return "a function"
    if kind is typing.IO:
        return "an open file"
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return "a path"
    name = _named(kind)
    return f"a{'n' if name[:1] in 'AEIOU' else ''} {name}"


def _named(kind: Any) -> str:
    return str(getattr(get_origin(kind) or kind, "__name__", "object"))
