"""The one door where what a caller gives becomes an array: lists, arrays of any library, series, memory views."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from alignlib._core.errors import InputError, quoted

__all__ = ["as_array", "as_names"]

_DEEPEST = 32  # dimensions of an array: numpy makes more, but does not step through them


def as_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return ``value`` as an array of whatever type it has, or say why it is none.

    Parameters
    ----------
    name : str
        The argument, for messages.
    value : array_like
        Whatever was given; an array is returned as it is.

    Raises
    ------
    InputError
        For cells that a mask hides, rows of different lengths, and what its own library does not make an array of
        (tensors on a device or with a gradient, sparse arrays).

    Examples
    --------
    >>> as_array("reward", [1, 2]).tolist()
    [1, 2]
    """
    if type(value) is np.ndarray and value.ndim <= _DEEPEST:
        return value
    _refuse_mask(name, value)
    try:
        if isinstance(value, memoryview):
            value = np.frombuffer(value, dtype=value.format).reshape(value.shape)
        array = np.asarray(value)
        if array.ndim > _DEEPEST:
            raise ValueError(f"it has {array.ndim} dimensions")
        return array
    except MemoryError:
        raise
    except Exception as error:  # whatever the library that made it raises
        said = " ".join(str(error).split())
        why = "its rows have different lengths" if "inhomogeneous" in said else said.rstrip(".")
        raise InputError(
            f"{name} must hold numbers; got {quoted(value)}, which is no array ({why:.200}). Give a list or a numpy "
            "array.",
            argument=name,
        ) from error


def as_names(name: str, value: Any, *, with_gaps: bool = False) -> npt.NDArray[np.object_]:
    """Return ``value`` as an array of names, each kept as it is: numpy would round one type to that of another.

    Parameters
    ----------
    name : str
        The argument, for messages.
    value : sequence
        Texts, numbers, tuples: whatever can tell things apart.
    with_gaps : bool
        Whether a name may be missing: None, NaN, NA; it becomes None.

    Raises
    ------
    InputError
        Where it has no order, and for a name that is missing or cannot be compared with others.

    Examples
    --------
    >>> as_names("prompts", [2**53 + 1, 0.5]).tolist()
    [9007199254740993, 0.5]
    """
    _refuse_mask(name, value)
    if isinstance(value, (str, bytes, set, frozenset, dict)) or not hasattr(value, "__iter__"):
        raise InputError(f"{name} must list names in order; got {quoted(value)}. Give a list of them.", argument=name)
    dimensions = getattr(value, "ndim", 1)
    if dimensions != 1:
        raise InputError(f"{name} must list names in one row; got {dimensions} dimensions.", argument=name)
    if type(value) is np.ndarray and value.dtype.kind in "iubUS":  # of one type, none missing
        return value.astype(object)
    items = _as_list(name, value)
    names = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        found = _plain(item)
        try:
            hash(found)
            missing = _is_missing(found)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{name} must hold texts or numbers; got {quoted(item)} at position {place}.", argument=name
            ) from error
        if missing and not with_gaps:
            raise InputError(f"{name} is missing at position {place}; give each a name.", argument=name)
        names[place] = None if missing else found  # one by one: a tuple is a name too
    return names


def _as_list(name: str, value: Any) -> list[Any]:
    """Return the elements of a row as Python's own, as far as the library that made it gives them so."""
    try:
        if isinstance(value, np.ndarray) and value.dtype.kind in "mM":  # in nanoseconds they would become numbers
            return list(value)
        for way in ("as_py", "to_pylist", "tolist", "to_list"):  # Arrow, numpy and torch and pandas, polars
            if callable(getattr(value, way, None)):
                return list(getattr(value, way)())
        return list(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever the library that made it raises: a tensor without values, say
        why = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{name} must list names in order; got a {type(value).__name__} that is no list ({why:.200}). Give a list "
            "of them.",
            argument=name,
        ) from error


def _plain(item: Any) -> Any:
    """Return the value of a scalar of Arrow, or of a tensor without dimensions, which equals nothing but itself."""
    if isinstance(item, (str, int, float, np.generic)):
        return item
    if callable(getattr(item, "as_py", None)):
        return item.as_py()
    if getattr(item, "ndim", None) == 0 and callable(getattr(item, "tolist", None)):
        return item.tolist()
    return item


def _is_missing(item: Any) -> bool:
    """Whether an element is no value: None, NaN of any type, NA and NaT of pandas."""
    return item is None or type(item).__name__ in ("NAType", "NaTType") or bool(item != item)


def _refuse_mask(name: str, value: Any, above: tuple[int, ...] = (), seen: set[int] | None = None) -> None:
    """Refuse cells that a mask hides, in an array or in the rows of a list: numpy would read what lies beneath.

    Lists that hold themselves, or lie too deep, are refused too: numpy would not come to an end.
    """
    if isinstance(value, (list, tuple)):
        seen = set() if seen is None else seen
        if id(value) in above or len(above) >= _DEEPEST:
            what = "holds a list that holds itself" if id(value) in above else f"nests more than {_DEEPEST} lists"
            raise InputError(f"{name} {what}; give numbers, or lists of them.", argument=name)
        if id(value) in seen:
            return
        seen.add(id(value))
        for row in value:
            if isinstance(row, (list, tuple, np.ma.MaskedArray)):
                _refuse_mask(name, row, (*above, id(value)), seen)
    elif isinstance(value, np.ma.MaskedArray) and value.dtype.names:
        raise InputError(f"{name} must hold numbers or texts; got masked records. Name one field.", argument=name)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        place = int(np.argmax(np.ma.getmaskarray(value).reshape(-1)))
        raise InputError(
            f"{name} is masked at position {place}: there is no value; remove or fill the masked cells.", argument=name
        )
