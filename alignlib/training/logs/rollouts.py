"""Single responses of a training run with their log-probabilities or KLs: each step's mean is a checkpoint.

`alignlib.training.callback` writes such rows; what trainers dump (a file a step, or all in one) is read the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.tables import FolderError, TableFile, open_table_file, require_column, tables_in
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.per_prompt import per_prompt_means
from alignlib.training.policy_kl.response_names import (
    PROMPTS,
    REWARDS,
    STEPS,
    TEXTS,
    first_of,
    known_pair,
)
from alignlib.training.policy_kl.responses import Responses
from alignlib.training.policy_kl.run_again import latest_of
from alignlib.training.policy_kl.sample_table import of_cut, read_responses
from alignlib.training.policy_kl.samples_of_table import KLColumns

__all__ = ["find_rollouts", "read_rollouts"]

_TABLES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".gz", ".feather", ".arrow"}
_OWN = ("log_prob", "base_log_prob"), ("token_log_prob", "base_token_log_prob")
# Of what tells how rewards became advantages within the responses to a prompt.
_FEWEST = 8  # groups, before rewards that average 0 by chance are out of the question
_EXACT = 5e-3  # of the size: advantages are stored in float32 or less, and deviations have 1e-4 or so added


def find_rollouts(path: Path) -> Path | None:
    """Take a table whose rows are responses by its columns, or a folder of such tables.

    Parameters
    ----------
    path : Path
        What was named.
    """
    tables = _tables(path)
    return path if tables and all(_are_responses(names) for names in map(_names, tables)) else None


def read_rollouts(path: Path, query: LogQuery) -> LogRows:
    """Read the responses and average those of a step, prompts counting equally.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.

    Raises
    ------
    InputError
        If a column that is named, or the reward, is not there.
    """
    tables = _tables(path)
    names = _names(tables[0])
    reward = query.reward if query.reward is not None else first_of(REWARDS, names)
    if reward is None or reward not in names:
        listed = ", ".join(map(repr, names[:40]))
        wanted = repr(REWARDS[0] if reward is None else reward)
        raise InputError(f"{path} has no column {wanted} (reward): name that of the reward; it has {listed}.")
    kl = "kl" if query.kl is None else query.kl
    step = (first_of(STEPS, names) or "step") if query.step is None else query.step
    columns = KLColumns(kl=kl, kl_unit=query.kl_unit, step=step)
    if isinstance(query.length, str):
        columns = KLColumns(kl=columns.kl, kl_unit=query.kl_unit, step=columns.step, n_tokens=query.length)
    if query.run is not None:
        require_column(open_table_file(tables[0], unfinished=True), query.run, "run")
    read = [read_responses(one, columns, reward) for one in tables]
    lost = 0
    parts: list[Responses] = []
    for one, kept in zip(read, latest_of(read), strict=True):
        assert kept is not None
        lost += int((~kept).sum())
        parts.append(one.take(np.flatnonzero(kept)) if not kept.all() else one)
    return _averaged(path, parts, reward, columns, query, lost)


def _averaged(
    path: Path, parts: Sequence[Responses], reward_name: str, columns: KLColumns, query: LogQuery, lost: int
) -> LogRows:
    step = np.concatenate([one.step for one in parts if one.step is not None])
    kl = np.concatenate([_best(one) for one in parts])
    reward = np.concatenate([one.reward for one in parts if one.reward is not None])
    prompt, split = _every(parts, "prompt"), _every(parts, "split")
    keep = np.ones(step.size, dtype=bool)
    notes = [_recognised(parts, columns, reward_name, prompt is not None)]
    notes += dict.fromkeys(note for one in parts for note in one.notes)
    if lost:
        notes.append(
            f"Steps were run again, as after a resume: {counted(lost, 'response')} of steps that were run again are "
            "left out, the later ones taken."
        )
        if all(one.process is None for one in parts):
            notes[-1] += " If several processes wrote them, say so in a column 'rank', or give each a file of its own."
    if split is not None:
        keep, more = _of_split(path, split, query)
        notes += more
    rows = np.flatnonzero(keep)
    held_cut = [np.zeros(one.samples.size, dtype=bool) if one.cut is None else one.cut for one in parts]
    notes += of_cut([np.concatenate(held_cut)[rows]])
    split = None if split is None else split[rows]
    step, kl, reward = step[rows], kl[rows], reward[rows]
    names = np.arange(step.size).astype(object) if prompt is None else prompt[rows]
    run = np.full(step.size, path.stem, dtype=object) if split is None or not query.splits else split
    place, at, of_run = _checkpoints(step, run)
    if prompt is not None:
        notes += _of_groups(path, reward_name, reward, place, names, _advantages(parts, rows))
    held = per_prompt_means(place, names, kl, reward)
    count = np.bincount(held.checkpoint, minlength=at.size)
    return LogRows(
        _kl_name(parts, columns),
        "sequence",
        reward_name,
        at,
        np.bincount(held.checkpoint, held.kl, at.size) / count,
        np.bincount(held.checkpoint, held.reward, at.size) / count,
        None,
        of_run,
        tuple(notes),
        estimator="" if parts[0].samples.given else "k1" if parts[0].samples.exact_kl is None else "",
        per_prompt=held,
    )


def _advantages(parts: Sequence[Responses], rows: IntArray) -> FloatArray | None:
    held = [one.advantage for one in parts if one.advantage is not None]
    return np.concatenate(held)[rows] if len(held) == len(parts) else None


def _of_groups(
    path: Path,
    name: str,
    reward: FloatArray,
    place: IntArray,
    prompt: npt.NDArray[np.object_],
    advantage: FloatArray | None,
) -> list[str]:
    """Refuse rewards that are advantages within their group; say how advantages beside the rewards were made."""
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


def _checkpoints(
    step: FloatArray, run: npt.NDArray[np.object_]
) -> tuple[IntArray, FloatArray, npt.NDArray[np.object_]]:
    """Return the checkpoint of each response, and step and run of each checkpoint, run by run, steps rising."""
    order = {name: i for i, name in enumerate(dict.fromkeys(run.tolist()))}
    pairs = sorted({(order[name], at) for name, at in zip(run.tolist(), step.tolist(), strict=True)})
    number = {pair: i for i, pair in enumerate(pairs)}
    place = np.array([number[order[name], at] for name, at in zip(run.tolist(), step.tolist(), strict=True)])
    names = list(order)
    of_run = np.empty(len(pairs), dtype=object)
    of_run[:] = [names[i] for i, _ in pairs]
    return place.astype(np.int64), np.array([at for _, at in pairs]), of_run


def _best(one: Responses) -> FloatArray:
    """Return the KL of each response: exact divergences summed where there are any, else the log-ratio."""
    samples = one.samples
    if samples.token_kl is not None:
        return samples.sum_tokens(samples.token_kl)
    return samples.log_ratio if samples.exact_kl is None else samples.exact_kl


def _every(parts: Sequence[Responses], name: str) -> npt.NDArray[np.object_] | None:
    held = [getattr(one, name) for one in parts]
    if any(one is None for one in held):
        return None
    found = np.empty(sum(map(len, held)), dtype=object)
    found[:] = [str(value) for one in held for value in one.to_pylist()]
    return found


def _of_split(path: Path, split: npt.NDArray[np.object_], query: LogQuery) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Keep the training responses, or the others for an evaluation, or all where splits stand side by side."""
    names = list(dict.fromkeys(split.tolist()))
    if query.splits or len(names) == 1:
        return np.ones(split.size, dtype=bool), []
    train = np.array([name.lower().startswith("train") for name in split.tolist()])
    if not train.any() or train.all():
        return np.ones(split.size, dtype=bool), []
    kept = ~train if query.evaluation else train
    told = ", ".join(map(repr, names))
    which = "those that are no training" if query.evaluation else "those of training"
    return kept, [f"The responses are of several splits ({told}); {which} are taken (splits=True shows all)."]


def _kl_name(parts: Sequence[Responses], columns: KLColumns) -> str:
    if parts[0].samples.given:
        return columns.kl
    exact = parts[0].samples.token_kl is not None or parts[0].samples.exact_kl is not None
    return "KL of next-token laws" if exact else "log-ratio"


def _recognised(parts: Sequence[Responses], columns: KLColumns, reward: str, prompts: bool) -> str:
    """Say what was recognised, in which unit its KL is and why."""
    samples = parts[0].samples
    total = sum(one.samples.size for one in parts)
    what = f"{counted(total, 'response')} of a run, one a row"
    if samples.given:
        how = f"{columns.kl!r}, of each response in nats per sequence, as it was written"
        if columns.kl_unit == "token":
            how = f"{columns.kl!r}, of each response in nats per token, as you said, times its tokens"
    elif samples.token_kl is not None or samples.exact_kl is not None:
        how = "the sum of exact divergences of next-token laws, in nats per sequence"
    else:
        how = "the log-ratio of policy to base summed over a response (k1), in nats per sequence"
    each = "prompts count equally" if prompts else "no column names the prompts, so responses count equally"
    return (
        f"Recognised: {what}. The KL is {how}; the reward is {reward!r}, the step is {columns.step!r}, and a "
        f"checkpoint is the mean of a step's responses ({each})."
    )


def _tables(path: Path) -> list[Path]:
    try:
        found = tables_in(path)
    except FolderError:  # it holds tables, and not all of one
        raise
    except (InputError, OSError):
        return []
    return found if found and all(one.suffix.lower() in _TABLES and one.is_file() for one in found) else []


def _names(path: Path) -> tuple[str, ...]:
    try:
        file: TableFile = open_table_file(path, unfinished=True)
    except (InputError, OSError, ValueError):
        return ()
    return file.names


def _are_responses(names: Sequence[str]) -> bool:
    """Whether columns are those of single responses of a training run."""
    if first_of(STEPS, names) is None or first_of(REWARDS, names) is None:
        return False
    pair = any(set(own) <= set(names) for own in _OWN) or known_pair(names) is not None
    each = first_of((*PROMPTS, *TEXTS), names) is not None
    return pair or (each and "kl" in names)


register(LogFormat("rollouts", find_rollouts, read_rollouts, place=-20))


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
