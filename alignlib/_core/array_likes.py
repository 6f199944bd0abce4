"""The one door where what a caller gives becomes an array: lists, arrays of any library, series, memory views."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from alignlib._core.errors import InputError

__all__ = ["as_array", "as_names"]


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
    if type(value) is np.ndarray:
        return value
    _refuse_mask(name, value)
    try:
        if isinstance(value, memoryview):
            value = np.frombuffer(value, dtype=value.format).reshape(value.shape)
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever the library that made it raises
        said = " ".join(str(error).split())
        why = "its rows have different lengths" if "inhomogeneous" in said else said.rstrip(".")
        raise InputError(
            f"{name} must hold numbers; got {value!r:.80}, which is no array ({why:.200}). Give a list or a numpy "
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
        Whether a name may be missing: None, NaN.

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
        raise InputError(f"{name} must list names in order; got {value!r:.80}. Give a list of them.", argument=name)
    if getattr(value, "ndim", 1) != 1:
        raise InputError(f"{name} must list names in one row; got shape {tuple(value.shape)}.", argument=name)
    if type(value) is np.ndarray and value.dtype.kind in "iubUS":  # of one type, none missing
        return value.astype(object)
    # Of an array the elements are Python's; an instant in nanoseconds would become a number.
    items = value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind not in "mM" else list(value)
    for place, item in enumerate(items):
        try:
            hash(item)
        except TypeError as error:
            raise InputError(
                f"{name} must hold texts or numbers; got {item!r:.80} at position {place}.", argument=name
            ) from error
        if not with_gaps and (item is None or item != item or str(item) in ("NaT", "<NA>")):
            raise InputError(f"{name} is missing at position {place}; give each a name.", argument=name)
    names = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        names[place] = item  # one by one: a tuple is a name too
    return names


def _refuse_mask(name: str, value: Any) -> None:
    """Refuse cells that a mask hides, in an array or in the rows of a list: numpy would read what lies beneath."""
    if isinstance(value, (list, tuple)):
        for row in value:
            if isinstance(row, (list, tuple, np.ma.MaskedArray)):
                _refuse_mask(name, row)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        place = int(np.argmax(np.ma.getmaskarray(value).reshape(-1)))
        raise InputError(
            f"{name} is masked at position {place}: there is no value; remove or fill the masked cells.", argument=name
        )
