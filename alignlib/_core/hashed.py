"""Whole numbers mixed with a salt: what is dealt by them falls as at random, and the same wherever it is done."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["hashed"]


def hashed(keys: npt.NDArray[np.uint64], salt: int) -> npt.NDArray[np.uint64]:
    """Return keys mixed with a salt, one to one.

    Parameters
    ----------
    keys : array of uint64
        Numbers of prompts or samples.
    salt : int
        What tells one use of the keys from another.

    Returns
    -------
    array of uint64
        Of the same shape; different keys stay different.

    Examples
    --------
    >>> int(hashed(np.array([0], dtype=np.uint64), 0)[0]) == 0xE220A8397B1DCDAF  # the first number of splitmix64
    True

    Source: splitmix64 (Steele, Lea and Flood, 2014).
    """
    with np.errstate(over="ignore"):
        z = keys + np.uint64((0x9E3779B97F4A7C15 * (salt + 1)) & 0xFFFFFFFFFFFFFFFF)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))
