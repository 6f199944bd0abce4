"""Logs with two counters: KL by training steps, reward and length by rollouts, several steps to a rollout.

A rollout is drawn by one policy, then trained on in several steps. The KL of the first of them is that of the policy
that drew; those of later steps are of policies that have moved on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.training.logs.steps import latest, ran_back

__all__ = ["Joined", "join_counters"]

_ENOUGH = 0.8  # of the rollouts are followed by their steps in a log in the order of training


@dataclass(frozen=True, eq=False)
class Joined(SameFields):
    """A row for each rollout whose training steps are known.

    Attributes
    ----------
    step : array (k,)
        The count of rollouts.
    run : array (k,)
        The run of each.
    values : dict of str to array (k,)
        KL, reward and the rest.
    notes : tuple of str
        What was done.
    """

    step: FloatArray
    run: npt.NDArray[np.object_]
    values: dict[str, FloatArray]
    notes: tuple[str, ...]


def join_counters(
    kl_step: FloatArray, step: FloatArray, run: npt.NDArray[np.object_], values: Mapping[str, FloatArray]
) -> Joined | None:
    """Join the KL of each rollout's first training step with what the rollout logged; None where that cannot be told.

    Rows in the order of training tell it: the first KL after a rollout's reward is its own. Where they are sorted
    otherwise, as by a tracker, or rollouts are drawn one ahead of training, the numbers tell it if there is one whole
    number of steps to a rollout.

    Parameters
    ----------
    kl_step, step : array (m,)
        Training step of each row with a KL, and rollout of each row with a reward; NaN where missing.
    run : array (m,)
        The run of each row.
    values : mapping of arrays (m,)
        ``"kl"``, ``"reward"`` and whatever else belongs to a rollout; NaN where missing.

    Examples
    --------
    >>> nan = np.nan
    >>> kl, reward = np.array([nan, 0.1, 0.2, nan, 0.3, 0.4]), np.array([5.0, nan, nan, 6.0, nan, nan])
    >>> trained, drawn = np.array([nan, 0.0, 1.0, nan, 2.0, 3.0]), np.array([0.0, nan, nan, 1.0, nan, nan])
    >>> found = join_counters(trained, drawn, np.array(["a"] * 6, object), {"kl": kl, "reward": reward})
    >>> found.step.tolist(), found.values["kl"].tolist(), found.values["reward"].tolist()
    ([0.0, 1.0], [0.1, 0.3], [5.0, 6.0])
    """
    parts: list[tuple[str, FloatArray, dict[str, FloatArray]]] = []
    resumes, replaced, later, alone = list[float](), 0, 0, 0
    ahead = False
    for name in dict.fromkeys(run.tolist()):
        mine = run == name
        kls, rewards = _filled(values["kl"], kl_step, mine), _filled(values["reward"], step, mine)
        falls = np.flatnonzero(np.diff(step[rewards]) <= 0.0) + 1
        resumes += [float(step[rewards][place]) for place in falls]
        kept = kls[latest(kl_step[kls])], rewards[latest(step[rewards])]
        replaced += int(rewards.size - kept[1].size)
        first, before = _first_steps(kl_step, step, *kept)
        if first is None:
            return None
        ahead |= before
        pairs = [(row, kl) for row, kl in zip(kept[1].tolist(), first, strict=True) if kl >= 0]
        alone += kept[1].size - len(pairs)
        later += kept[0].size - len(pairs)
        at = step[[row for row, _ in pairs]]
        held = {"kl": values["kl"][[kl for _, kl in pairs]]}
        for what, column in values.items():
            if what != "kl":
                rows = _filled(column, step, mine)
                known = dict(zip(step[rows].tolist(), column[rows].tolist(), strict=True))  # the later row stands
                held[what] = np.array([known.get(one, np.nan) for one in at.tolist()])
        parts.append((name, at, held))
    whose = np.empty(sum(at.size for _, at, _ in parts), dtype=object)
    whose[:] = [name for name, at, _ in parts for _ in range(at.size)]
    notes = [ran_back("rollout", resumes, replaced)] if replaced else []
    if later or alone or ahead:
        notes.append(_said(whose.size, later, alone, ahead))
    return Joined(
        np.concatenate([at for _, at, _ in parts]),
        whose,
        {what: np.concatenate([held[what] for _, _, held in parts]) for what in values},
        tuple(notes),
    )


def _filled(values: FloatArray, step: FloatArray, mine: npt.NDArray[np.bool_]) -> IntArray:
    return np.flatnonzero(~np.isnan(values) & np.isfinite(step) & mine)


def _first_steps(
    kl_step: FloatArray, step: FloatArray, kls: IntArray, rewards: IntArray
) -> tuple[list[int] | None, bool]:
    """Return the row of the first training step of each rollout, and whether rollouts are drawn one ahead.

    -1 where a rollout has none; None where it is not told.
    """
    if np.array_equal(kl_step[kls], step[rewards]):
        return [int(row) for row in kls], False
    place = np.searchsorted(kls, rewards)  # of the first KL after each reward
    until = np.append(rewards[1:], np.iinfo(np.int64).max)
    follows = [int(kls[i]) if i < kls.size and kls[i] < end else -1 for i, end in zip(place, until, strict=True)]
    by_step = {float(kl_step[row]): int(row) for row in kls.tolist()}
    if np.intersect1d(kls, rewards).size or sum(r >= 0 for r in follows[:-1]) < _ENOUGH * max(len(follows) - 1, 1):
        number = _steps_each(kl_step[kls], step[rewards])
        if number is None:
            return None, False
        return [by_step.get(float(one) * number, -1) for one in step[rewards].tolist()], False
    course = _course(kl_step, step[rewards], follows)
    if course is None:
        return _unbroken(kl_step, kls, follows), False
    each, start = course
    ahead = follows[0] < 0 and start == -each  # each is drawn while the one before is trained on
    start = 0.0 if ahead else start
    own = [by_step.get(float(one) * each + start, -1) for one in step[rewards].tolist()]
    return own if ahead else [row if row == mine else -1 for row, mine in zip(follows, own, strict=True)], ahead


def _course(kl_step: FloatArray, drawn: FloatArray, follows: list[int]) -> tuple[float, float] | None:
    """Return how many steps a rollout has and the step of rollout 0, if nearly all rollouts agree on them."""
    found = np.array(follows)
    rollouts, first = drawn[found >= 0], kl_step[found[found >= 0]]
    if first.size < 2:
        return None
    each = float(np.median(np.diff(first) / np.diff(rollouts)))
    starts, count = np.unique(first - each * rollouts, return_counts=True)
    at = int(np.argmax(count))
    return (each, float(starts[at])) if each > 0.0 and count[at] >= _ENOUGH * first.size else None


def _unbroken(kl_step: FloatArray, kls: IntArray, follows: list[int]) -> list[int]:
    """Return what follows each rollout, -1 where steps are missing right before it: its own first may be among them."""
    before = dict(zip(kls[1:].tolist(), np.diff(kl_step[kls]).tolist(), strict=True))
    usual = np.median([before[row] for row in follows if row in before] or [1.0])
    return [row if before.get(row, usual) <= usual else -1 for row in follows]


def _steps_each(trained: FloatArray, drawn: FloatArray) -> int | None:
    """Return how many training steps belong to a rollout: the only whole number that both counts allow.

    Where rollouts are counted by their first training step, as some log them, the counts are equal.
    """
    if not trained.size or not drawn.size:
        return None
    steps, rollouts = float(trained.max()) + 1.0, float(drawn.max()) + 1.0
    allowed = [n for n in range(1, int(steps) + 1) if rollouts - 1.0 < steps / n <= rollouts]
    if len(allowed) == 1:
        return allowed[0]
    same = np.isin(drawn, trained).all() and drawn.size > 1 and np.diff(np.unique(drawn)).min() > 1.0
    return 1 if same and not allowed else None


def _said(size: int, later: int, alone: int, ahead: bool) -> str:
    whose = "drew it" if not ahead else "came one rollout after the one that drew it, for these are drawn one ahead"
    said = f"Joined: {counted(size, 'rollout')} with the first training step of each, of the policy that {whose}"
    if later:
        said += f"; {counted(later, 'later training step')}, of policies that had moved on, left out"
    if alone:
        said += f"; {counted(alone, 'rollout')} without its first training step left out"
    return f"{said}."
