"""A number of 64 bits for each prompt, from its name alone: what decides its place, whoever holds its rows."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import IntArray
from alignlib._core.hashed import hashed

__all__ = ["KeyArray", "bucket_of", "keys_of", "plain_names"]

KeyArray = npt.NDArray[np.uint64]

_WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"  # what an integer of 64 bits is spelled like, one way each


def keys_of(names: pa.Array) -> KeyArray:
    """Return the key of each name; an integer and its usual spelling are one name.

    Parameters
    ----------
    names : Array (prompts,)
        Integers or text, as an Arrow array.

    Returns
    -------
    array of uint64 (prompts,)
        The same on every machine.

    Examples
    --------
    >>> keys_of(pa.array([7])) == keys_of(pa.array(["7"])), keys_of(pa.array(["7"])) == keys_of(pa.array(["07"]))
    (array([ True]), array([False]))

    Source: integers go through splitmix64, text through BLAKE2.
    """
    if pa.types.is_dictionary(names.type):
        return np.asarray(keys_of(names.dictionary)[names.indices.to_numpy(zero_copy_only=False)])
    if pa.types.is_integer(names.type):
        names = _of_64_bits(names)
    if pa.types.is_integer(names.type):
        return hashed(names.to_numpy(zero_copy_only=False).view(np.uint64), 0)
    whole = pc.match_substring_regex(names, _WHOLE).to_numpy(zero_copy_only=False)
    keys = np.empty(len(names), dtype=np.uint64)
    if whole.any():
        keys[whole] = keys_of(names.filter(pa.array(whole)).cast(pa.int64()))
    if not whole.all():
        text = names.filter(pa.array(~whole)).to_pylist()
        found = b"".join(hashlib.blake2b(one.encode(), digest_size=8).digest() for one in text)
        keys[~whole] = np.frombuffer(found, dtype="<u8")
    return keys


def bucket_of(keys: KeyArray, bits: int) -> IntArray:
    """Return the leading ``bits`` of each key: buckets in order hold the keys in order.

    Parameters
    ----------
    keys : array of uint64 (n,)
        Hashes.
    bits : int
        How many count.
    """
    if bits == 0:
        return np.zeros(len(keys), dtype=np.int64)
    return np.asarray((keys >> np.uint64(64 - bits)).astype(np.int64))


def plain_names(names: pa.Array) -> pa.Array:
    """Return names as integers where all are spelled like integers, else as text: one form, however they came.

    Parameters
    ----------
    names : Array (prompts,)
        Integers or text, as an Arrow array.

    Examples
    --------
    >>> plain_names(pa.array(["7", "12"])).to_pylist(), plain_names(pa.array(["7", "a"])).to_pylist()
    ([7, 12], ['7', 'a'])
    """
    if pa.types.is_dictionary(names.type):
        names = names.dictionary_decode()
    if pa.types.is_integer(names.type):
        return _of_64_bits(names)
    if len(names) and pc.all(pc.match_substring_regex(names, _WHOLE)).as_py():
        return names.cast(pa.int64())
    return names.cast(pa.large_string())


def _of_64_bits(names: pa.Array) -> pa.Array:
    """Return integers as such of 64 bits with a sign, or as text where one is beyond these."""
    try:
        return names.cast(pa.int64())
    except pa.ArrowInvalid:
        return names.cast(pa.large_string())
