"""Gold of a run's checkpoints: from its own log, or from a table of scored responses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.tables import RewardTable
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.rounded_kl import within_digits

__all__ = ["RunGold", "gold_of_log", "gold_of_scores"]


@dataclass(frozen=True, eq=False)
class RunGold(SameFields):
    """Mean gold of the checkpoints at which it was scored, in order of steps.

    Attributes
    ----------
    name : str
        What the score is called.
    step : array (k,)
        Steps of training.
    kl : array (k,)
        KL of the run there, in nats per sequence.
    gold : array (k,)
        Mean gold.
    per_prompt : array (k, m), optional
        What each of m prompts had, the same ones at every checkpoint, where that is known.
    notes : tuple of str
        Sentences on what was left out.
    kl_low, kl_high : array (k,), optional
        Ends between which the KL lies, where the log tells no more: ``kl`` then only orders the checkpoints.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> found = gold_of_log(example_run(4, 4, np.random.default_rng(0), n_checkpoints=5)[0])
    >>> found.step.tolist(), found.per_prompt is None
    ([0.0, 10.0, 20.0, 30.0, 40.0], True)
    """

    name: str
    step: FloatArray
    kl: FloatArray
    gold: FloatArray
    per_prompt: FloatArray | None
    notes: tuple[str, ...]
    kl_low: FloatArray | None = None
    kl_high: FloatArray | None = None


def gold_of_log(log: TrainingLog) -> RunGold:
    """Return the gold that a log holds, read as its reward (``read_training_log(…, reward="gold")``).

    Parameters
    ----------
    log : TrainingLog
        One run; where it holds single responses, gold is known prompt by prompt.

    Raises
    ------
    InputError
        For a log of several runs.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> gold_of_log(example_run(4, 4, np.random.default_rng(0), n_checkpoints=5)[0]).step.size
    5
    """
    _one_run(log)
    held = log.per_prompt
    order = np.argsort(log.step, kind="stable")
    if held is None:
        log = _of_zeros(log)
        low, high = (None, None) if log.kl_low is None else (one[order] for one in log.ends)
        return RunGold(log.reward_name, log.step[order], log.kl[order], log.reward[order], None, (), low, high)
    names, column = np.unique([str(name) for name in held.prompt], return_inverse=True)
    cells = np.full((log.step.size, names.size), np.nan)
    cells[held.checkpoint, column] = held.reward
    return _common(log.reward_name, log.step[order], log.kl[order], cells[order])


def gold_of_scores(log: TrainingLog, scores: RewardTable, step: str, gold: str) -> RunGold:
    """Return the gold of scored responses, at the KL that the log has at their steps.

    Between two logged steps the KL is on the line between theirs.

    Parameters
    ----------
    log : TrainingLog
        One run.
    scores : RewardTable
        One row per response, read with the columns ``step`` and ``gold``.
    step, gold : str
        Their names.

    Raises
    ------
    InputError
        For steps outside the log, a log of several runs, or no two prompts that were scored at every step.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> log = example_run(2, 3, np.random.default_rng(0))[0]
    >>> scores = RewardTable.from_arrays({"step": [[0, 50], [0, 50]], "gold": [[0.0, 1.0], [0.5, 1.5]]})
    >>> found = gold_of_scores(log, scores, "step", "gold")
    >>> found.gold.tolist(), found.per_prompt.tolist()
    ([0.25, 1.25], [[0.0, 0.5], [1.0, 1.5]])
    """
    _one_run(log)
    log = _of_zeros(log)
    steps, place = np.unique(scores.column(step), return_inverse=True)
    least, most = float(log.step.min()), float(log.step.max())
    if steps[0] < least or steps[-1] > most:
        out = float(steps[0] if steps[0] < least else steps[-1])
        raise InputError(
            f"{step!r} of the scores reaches {out:g}, but the log goes from step {least:g} to {most:g}; leave out "
            "scores of other steps, or give the log of the whole run.",
            argument="scores",
        )
    prompt = np.repeat(np.arange(scores.n_prompts), scores.n_samples)
    cell = place * scores.n_prompts + prompt
    size = steps.size * scores.n_prompts
    count = np.bincount(cell, minlength=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = (np.bincount(cell, scores.column(gold), size) / count).reshape(steps.size, -1)
    order = np.argsort(log.step, kind="stable")
    found = _common(gold, steps, np.interp(steps, log.step[order], log.kl[order]), cells)
    if log.kl_low is None:
        return found
    with np.errstate(invalid="ignore"):  # between two infinite ends
        low, high = (np.interp(steps, log.step[order], one[order]) for one in log.ends)
    return replace(found, kl_low=low, kl_high=np.where(np.isnan(high), np.inf, high))


def _common(name: str, step: FloatArray, kl: FloatArray, cells: FloatArray) -> RunGold:
    """Keep the prompts that were scored at every checkpoint."""
    whole = np.isfinite(cells).all(axis=0)
    kept, lost = int(whole.sum()), int((~whole).sum())
    if kept < 2:
        raise InputError(
            f"Only {counted(kept, 'prompt')} of {whole.size} were scored at each of the {step.size} checkpoints: "
            f"checkpoints can be compared on the same prompts only; score {name!r} on the same ones at every step.",
            argument="scores",
        )
    notes = (f"{lost} of {whole.size} prompts were not scored at every checkpoint and are left out.",) if lost else ()
    return RunGold(name, step, kl, cells[:, whole].mean(axis=1), cells[:, whole], notes)


def _of_zeros(log: TrainingLog) -> TrainingLog:
    """Return a log; where its every KL is 0, with the ends that its decimals leave, for the policy may have moved."""
    return log if log.kl.any() else within_digits(log)


def _one_run(log: TrainingLog) -> None:
    if len(log.runs) > 1:
        raise InputError(
            f"{log.path} holds {counted(len(log.runs), 'run')}, {', '.join(map(repr, log.runs[:8]))}; a checkpoint is "
            "picked from one: keep one (only).",
            argument="only",
        )
