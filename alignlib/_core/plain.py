"""Results as plain data for JSON: no arrays, no dataclasses, and null for what is not a finite number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

__all__ = ["Plain", "plain"]

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"


def plain(value: object) -> Plain:
    """Return ``value`` in types that JSON has; NaN and infinities become None.

    Parameters
    ----------
    value : object
        A result: dataclasses, arrays, mappings and sequences of them.

    Returns
    -------
    None, bool, int, float, str, list or dict
        What `json` writes without loss.

    Raises
    ------
    TypeError
        For an object that is none of: None, bool, number, text, array, dataclass, mapping, sequence or set.

    Examples
    --------
    >>> plain({"kl": np.array([0.5, np.inf]), "n": np.int64(3), "known": np.bool_(True)})
    {'kl': [0.5, None], 'n': 3, 'known': True}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value)]
    raise TypeError(f"no plain form of a {type(value).__name__}")
