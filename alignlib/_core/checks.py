"""Argument checks that every room shares: one sentence that names the argument, the value and the remedy."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from alignlib._core.errors import InputError

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]
# A float for a float argument, else an array of its shape; overloads on every door would bury the mathematics.
FloatOrArray: TypeAlias = Any

_SUM_TOLERANCE = 1e-6


def as_float_array(name: str, value: npt.ArrayLike, *, allow_inf: bool = False) -> FloatArray:
    """Return ``value`` as a float array, or say which argument holds what is not a number."""
    try:
        if value is None:
            raise TypeError
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers; got {value!r:.80}.", argument=name) from error
    bad = np.isnan(array) if allow_inf else ~np.isfinite(array)
    if bad.any():
        first = int(np.argmax(bad.reshape(-1)))
        raise InputError(
            f"{name} must be finite; {int(bad.sum())} of {array.size} values are not, "
            f"the first is {array.reshape(-1)[first]} at position {first}. Remove or correct them.",
            argument=name,
        )
    return array


def as_vector(name: str, value: npt.ArrayLike, *, allow_inf: bool = False) -> FloatArray:
    """Return ``value`` as a non-empty one-dimensional float array."""
    array = as_float_array(name, value, allow_inf=allow_inf)
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"{name} must be a non-empty one-dimensional array; got shape {array.shape}.", argument=name)
    return array


def frozen(array: FloatArray) -> FloatArray:
    """Return a read-only copy, which no caller can change afterwards."""
    copy = np.array(array)
    copy.setflags(write=False)
    return copy


def as_law(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return ``value`` as a vector of masses, divided by their sum, which must be one within 1e-6."""
    law = as_vector(name, value)
    require(law.min() >= 0, f"{name} must not be negative; its smallest value is {law.min():g}.", argument=name)
    total = float(law.sum())
    require(
        abs(total - 1) <= _SUM_TOLERANCE,
        f"{name} must sum to one; it sums to {total:.9g}. Divide it by its sum if that is what you mean.",
        argument=name,
    )
    return law / total


def require(condition: bool | np.bool_, message: str, argument: str = "") -> None:
    """Raise ``InputError(message)`` about an argument unless ``condition`` holds."""
    if not condition:
        raise InputError(message, argument=argument)


def require_range(
    name: str,
    value: npt.ArrayLike,
    low: float,
    high: float = math.inf,
    *,
    open_low: bool = False,
    allow_inf: bool = False,
) -> FloatArray:
    """Return ``value`` as an array after checking low <= value <= high (low < value if ``open_low``)."""
    array = as_float_array(name, value, allow_inf=allow_inf)
    bad = (array <= low) if open_low else (array < low)
    bad = bad | (array > high)
    if bad.any():
        worst = array.reshape(-1)[int(np.argmax(bad.reshape(-1)))]
        left = "(" if open_low else "["
        right = f"{high:g}]" if math.isfinite(high) else "∞)"
        raise InputError(f"{name} must lie in {left}{low:g}, {right}; got {worst:g}.", argument=name)
    return array


def like(template: npt.ArrayLike, value: FloatArray) -> FloatOrArray:
    """Return ``value`` as a Python float where ``template`` was a scalar, else as the array it is."""
    return float(value.reshape(-1)[0]) if np.ndim(template) == 0 else value
