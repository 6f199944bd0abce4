"""Equality of results that hold arrays: the one that dataclasses make compares tuples and fails on arrays."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

__all__ = ["SameFields"]


class SameFields:
    """What a dataclass with arrays inherits (and says ``eq=False``): equal where every field is, NaN with NaN.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, eq=False)
    ... class Pair(SameFields):
    ...     a: np.ndarray
    ...     b: tuple[np.ndarray, ...] = ()
    >>> Pair(np.array([1.0, np.nan]), (np.zeros(1),)) == Pair(np.array([1.0, np.nan]), (np.zeros(1),))
    True
    >>> Pair(np.zeros(2)) == Pair(np.zeros(3)), Pair(np.zeros(2)) == 0.0
    (False, False)
    """

    def __eq__(self, other: object) -> bool:
        """Whether both are of one class and agree in every field."""
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]  # who inherits is a dataclass
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]  # arrays have none


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
            return False
        if a.dtype.kind == "O":
            return all(map(_same, a.ravel().tolist(), b.ravel().tolist()))
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if type(a) is not type(b):
        return bool(a == b) if isinstance(a, (int, float)) and isinstance(b, (int, float)) else False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if is_dataclass(a):
        return bool(a == b)
    equals = getattr(a, "equals", None)  # of a table of pandas or Arrow, whose == is another
    return bool(equals(b)) if equals is not None else bool(a == b or (a != a and b != b))
