"""Equality of results that hold arrays: the one that dataclasses make compares tuples and fails on arrays."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

__all__ = ["same_fields"]


def same_fields(one: Any, other: object) -> bool:
    """Whether ``other`` is of the same class as a dataclass and agrees in every field, NaN with NaN.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, eq=False)
    ... class Pair:
    ...     a: np.ndarray
    ...     b: float = 0.0
    >>> same_fields(Pair(np.array([1.0, np.nan])), Pair(np.array([1.0, np.nan])))
    True
    >>> same_fields(Pair(np.zeros(2)), Pair(np.zeros(3)))
    False
    """
    names = [field.name for field in fields(one)]
    return type(other) is type(one) and all(_same(getattr(one, name), getattr(other, name)) for name in names)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        floats = a.dtype.kind == b.dtype.kind == "f"
        return bool(a.shape == b.shape and np.array_equal(a, b, equal_nan=floats))
    if is_dataclass(a) and not isinstance(a, type):
        return bool(a == b) if type(a).__eq__ is not object.__eq__ else a is b
    return bool(a == b or (isinstance(a, float) and isinstance(b, float) and a != a and b != b))
