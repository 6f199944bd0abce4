"""Rewards given as arrays: one array of samples for each prompt, for one reward or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from alignlib._core.array_likes import as_array, as_names
from alignlib._core.checks import FloatArray, IntArray, as_float_array, require
from alignlib._core.errors import InputError, quoted

__all__ = ["Rewards", "reward_arrays"]

Rewards: TypeAlias = npt.ArrayLike | Sequence[npt.ArrayLike]  # a rectangle, or a list with an array for each prompt


def reward_arrays(
    rewards: Rewards | Mapping[str, Rewards] | None, columns: Mapping[str, Rewards], prompts: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.object_], IntArray, dict[str, FloatArray]]:
    """Return the prompts, where the samples of each begin, and the rewards by name; as `RewardTable.from_arrays`.

    Parameters
    ----------
    rewards : arrays, mapping or None
        One reward, or several by name.
    columns : mapping
        More rewards by name.
    prompts : array, optional
        Names of the prompts.

    Returns
    -------
    prompts : array (prompts,)
        Names.
    offsets : array of int (prompts + 1,)
        Where the samples of each begin.
    columns : dict of str to array (samples,)
        The rewards.

    Raises
    ------
    InputError
        If a reward comes twice or none is given, or two have other shapes.

    Examples
    --------
    >>> reward_arrays([[1, 2], [3]], {}, None)[1].tolist()
    [0, 2, 3]
    """
    given = dict(rewards) if isinstance(rewards, Mapping) else {} if rewards is None else {"reward": rewards}
    twice = sorted(given.keys() & columns.keys())
    require(not twice, f"{''.join(twice[:1])} is given twice; give each reward a name of its own.", "rewards")
    given |= columns
    require(bool(given), "rewards must be given: from_arrays(rewards), or from_arrays(proxy=…, gold=…).", "rewards")
    alone = given.keys() == {"reward"} and not columns
    read = {name: _flat("rewards" if alone else name, value) for name, value in given.items()}
    first, (_, sizes) = next(iter(read.items()))
    for name, (_, other) in read.items():
        if not np.array_equal(other, sizes):
            shown = f"{sizes.size} and {other.size} prompts"
            if sizes.size == other.size:
                at = int(np.argmax(sizes != other))
                shown = f"{sizes[at]} and {other[at]} samples of prompt {at}"
            raise InputError(
                f"{first} and {name} must score the same samples; they have {shown}.", argument=name, column=name
            )
    names = np.arange(sizes.size).astype(object) if prompts is None else as_names("prompts", prompts)
    different = len(set(names.tolist()))
    require(
        names.shape == sizes.shape and different == sizes.size,
        f"prompts must hold a name of its own for each of {sizes.size} prompts; got {names.size}, "
        f"{different} different.",
        "prompts",
    )
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return names, offsets, {name: values for name, (values, _) in read.items()}


def _flat(name: str, rewards: Rewards) -> tuple[FloatArray, IntArray]:
    """Return the rewards of all prompts one after another, and how many each has."""
    if hasattr(type(rewards), "columns"):  # a lazy frame warns where one asks it itself
        raise InputError(
            f"{name} must hold an array of rewards for each prompt; got a {type(rewards).__name__}, whose columns are "
            "not told apart. Use RewardTable.from_frame, which takes the names of the columns.",
            argument=name,
        )
    arrayed = hasattr(rewards, "__array__") or isinstance(rewards, memoryview)
    array = as_array(name, rewards) if arrayed else None
    if array is not None and array.ndim == 2:
        values = as_float_array(name, array)
        if np.may_share_memory(values, array):  # a table owns its rewards: what is done to the array later is not seen
            values = values.copy()
        sizes = np.full(values.shape[0], values.shape[1], dtype=np.int64)
    else:
        each = list(array) if array is not None and array.ndim > 0 else rewards
        if not isinstance(each, Sequence) or isinstance(each, str):
            said = f"{name} must hold an array of rewards for each prompt; got {quoted(rewards)}."
            raise InputError(said, argument=name)
        rows = [as_float_array(f"{name}[{i}]", row) for i, row in enumerate(each)]
        if rows and all(row.ndim == 0 for row in rows):
            raise InputError(
                f"{name} must say which prompt each reward belongs to; got {len(rows)} in one row. Reshape them to "
                "(prompts, samples), or to (1, samples) where all are of one prompt.",
                argument=name,
            )
        if rows and all(row.ndim > 1 for row in rows):
            raise InputError(
                f"{name} must have two dimensions, (prompts, samples); got {1 + rows[0].ndim}. Give each reward by "
                "name, such as from_arrays(proxy=…, gold=…).",
                argument=name,
            )
        flat = next((i for i, row in enumerate(rows) if row.ndim != 1), None)
        require(flat is None, f"{name}[{flat}] must be one-dimensional, the samples of one prompt.", name)
        sizes = np.array([row.size for row in rows], dtype=np.int64)
        values = np.concatenate(rows) if rows else np.empty(0)
    require(sizes.size > 0, f"{name} must hold at least one prompt; got none.", name)
    require(
        sizes.min(initial=1) > 0, f"{name} must hold samples for each prompt; {name}[{sizes.argmin()}] is empty.", name
    )
    return values.reshape(-1), sizes
