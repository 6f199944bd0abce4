"""How rewards became advantages within the responses to a prompt, as far as single responses tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError

__all__ = ["of_groups"]

_FEWEST = 8  # groups, before rewards that average 0 by chance are out of the question
_EXACT = 5e-3  # of the size: advantages are stored in float32 or less, and deviations have 1e-4 or so added


def of_groups(
    path: Path,
    name: str,
    reward: FloatArray,
    place: IntArray,
    prompt: npt.NDArray[np.object_],
    advantage: FloatArray | None,
) -> list[str]:
    """Refuse rewards that are advantages within their group; say how advantages beside the rewards were made.

    Parameters
    ----------
    path : Path
        The log.
    name : str
        The column of the reward.
    reward : array (n,)
        Of each response.
    place : array of int (n,)
        The checkpoint of each.
    prompt : array (n,)
        Its prompt.
    advantage : array (n,), optional
        Its advantage.

    Raises
    ------
    InputError
        If these are no rewards.
    """
    codes: dict[tuple[int, object], int] = {}
    pairs = zip(place.tolist(), prompt.tolist(), strict=True)
    group = np.array([codes.setdefault(pair, len(codes)) for pair in pairs], dtype=np.int64)
    if not np.isfinite(reward).all():
        return []
    made = _rewards_are(reward, group)
    if made:
        divided = " and deviation 1" if made == "group-scaled" else ""
        raise InputError(
            f"{path}: {name!r} has mean 0{divided} within the responses to every prompt of a step: these are "
            f"advantages ({made}), which say nothing of the reward; name its column (reward).",
            argument="reward",
        )
    how = "" if advantage is None else _advantages_are(advantage, reward, group)
    said = {
        "group-scaled": "less the mean of their prompt's responses and divided by their deviation",
        "group-centred": "less the mean of their prompt's responses, not scaled",
        "leave-one-out": "less the mean of the other responses to their prompt",
    }.get(how)
    return [f"Its advantages are rewards {said}: the normalisation is {how}."] if said else []


def _rewards_are(reward: FloatArray, group: IntArray) -> str:
    """Return ``"group-scaled"``, ``"group-centred"`` or "": what rewards that are none were made by.

    Rewards themselves do not average 0 in every group, and not with a deviation of 1.

    Parameters
    ----------
    reward : array (n,)
        Of each response.
    group : array of int (n,)
        The group of each.

    Examples
    --------
    >>> made = np.tile([-1.0, 1.0], 8) / np.repeat([1.0, 2.0], 8)
    >>> _rewards_are(made, np.arange(16) // 2), _rewards_are(made + 0.1, np.arange(16) // 2)
    ('group-centred', '')
    """
    size, mean, deviation = _moments(reward, group)
    several, varies = size > 1, deviation > 0.0
    scale = float(deviation.max(initial=0.0))
    if several.sum() < _FEWEST or not varies.any() or np.abs(mean[several]).max() > _EXACT * scale:
        return ""
    one = any(_near(deviation[varies] * ratio, 1.0) for ratio in (1.0, _without_bias(size[varies])))
    return "group-scaled" if one else "group-centred"


def _advantages_are(advantage: FloatArray, reward: FloatArray, group: IntArray) -> str:
    """Return ``"group-scaled"``, ``"group-centred"``, ``"leave-one-out"`` or "": how advantages follow from rewards.

    Parameters
    ----------
    advantage, reward : array (n,)
        Of each response.
    group : array of int (n,)
        The group of each.

    Examples
    --------
    >>> group, reward = np.arange(24) // 3, np.random.default_rng(0).random(24)
    >>> apart = reward - reward.reshape(8, 3).mean(axis=1)[group]
    >>> _advantages_are(apart, reward, group), _advantages_are(1.5 * apart, reward, group)
    ('group-centred', 'leave-one-out')
    """
    size, mean, deviation = _moments(reward, group)
    apart = reward - mean[group]
    kept = np.isfinite(advantage) & (deviation[group] > 0.0)
    if np.unique(group[kept]).size < _FEWEST:
        return ""
    own = {
        "group-centred": np.ones(size.size),
        "leave-one-out": size / np.maximum(size - 1.0, 1.0),
        "group-scaled": 1.0 / np.where(deviation > 0.0, deviation, 1.0),
    }
    own["group-scaled "] = own["group-scaled"] / _without_bias(size)
    for name, ratio in own.items():
        expected = (ratio[group] * apart)[kept]
        if np.abs(advantage[kept] - expected).max() <= _EXACT * np.abs(expected).max():
            return name.strip()
    return ""


def _moments(reward: FloatArray, group: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return size, mean and deviation (dividing by the size) of each group."""
    size = np.bincount(group).astype(np.float64)
    mean = np.bincount(group, reward) / np.maximum(size, 1.0)
    return size, mean, np.sqrt(np.bincount(group, (reward - mean[group]) ** 2) / np.maximum(size, 1.0))


def _without_bias(size: FloatArray) -> FloatArray:
    return np.sqrt(size / np.maximum(size - 1.0, 1.0))


def _near(values: FloatArray, wanted: float) -> bool:
    return bool(np.abs(values - wanted).max() <= _EXACT * max(wanted, 1e-300))
