"""The limit of the very prompts that a run was on, where these are a part of those of the base samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import IntArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.estimation import Fit, fit_frontier
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.run_prompts import prompts_of

__all__ = ["OwnLimits", "own_limits"]

_RARE = 1e-5


@dataclass(frozen=True, eq=False)
class OwnLimits(SameFields):
    """Runs beside the limit of their own prompts.

    Attributes
    ----------
    fits : tuple of (tuple of str, Fit)
        The limit of each group of runs on the same prompts.
    whole : Fit
        The limit of all their prompts together.
    notes : tuple of str
        What is to be said.
    mixed : frozenset of str
        Runs of which checkpoints are on prompts of different kinds: one limit is not that of each checkpoint.
    """

    fits: tuple[tuple[tuple[str, ...], Fit], ...]
    whole: Fit
    notes: tuple[str, ...]
    mixed: frozenset[str]

    def of(self, run: str) -> Fit:
        """Return the limit of the prompts that a run was on.

        Parameters
        ----------
        run : str
            One of the runs.
        """
        return next(fit for names, fit in self.fits if run in names)


def own_limits(log: TrainingLog, fit: Fit) -> OwnLimits:
    """Estimate the limit on the prompts of each run; the fit itself where these are all of the table's, or not known.

    Where a run's gain is over the base's mean on its own prompts, the limit of others is none for it: easy prompts
    leave less to gain than hard ones.

    Parameters
    ----------
    log : TrainingLog
        The runs.
    fit : Fit
        The reward on all prompts of the table.

    Raises
    ------
    InputError
        Where the base samples of a run's prompts show no limit.
    """
    runs = tuple(log.runs)
    place = prompts_of(log, fit.table)
    if place is None or log.per_prompt is None:
        return OwnLimits(((runs, fit),), fit, (), frozenset())
    of_row = log.run[log.per_prompt.checkpoint]
    held = {run: frozenset(place[of_row == run].tolist()) for run in runs}
    groups: dict[frozenset[int], list[str]] = {}
    for run in runs:
        groups.setdefault(held[run], []).append(run)
    fits = tuple((tuple(names), _on(fit, prompts, names[0])) for prompts, names in groups.items())
    whole = fits[0][1] if len(fits) == 1 else _on(fit, frozenset().union(*groups), "the runs")
    said = [_said(groups, fit.table.n_prompts)] if any(len(one) < fit.table.n_prompts for one in groups) else []
    mixed = {run: note for run in runs if (note := _of_checkpoints(log, fit, place, run))}
    return OwnLimits(fits, whole, (*said, *mixed.values()), frozenset(mixed))


def _said(groups: dict[frozenset[int], list[str]], whole: int) -> str:
    if len(groups) == 1:
        held = len(next(iter(groups)))
        return (
            f"Of the table's {whole} prompts the log has {held}: gains are over the base's mean on these, and the "
            "limit is that of these."
        )
    some = ", ".join(f"{names[0]!r} has {len(held)}" for held, names in list(groups.items())[:6])
    return (
        f"Runs are on different prompts (of the table's {whole} {some}): the gain of each is over the base's mean on "
        "its own, and so is its limit."
    )


def _on(fit: Fit, prompts: frozenset[int], run: str) -> Fit:
    """Return the fit on some of its prompts, with the same settings."""
    if len(prompts) == fit.table.n_prompts:
        return fit
    kept = np.zeros(fit.table.n_prompts, dtype=bool)
    kept[list(prompts)] = True
    found = fit_frontier(
        fit.table.only(kept),
        fit.reward,
        budget=fit.budget,
        bias_correction=fit.bias_correction,
        bounded=fit.bounded,
        divergence=fit.divergence,
        win_rate=fit.win_rate,
        level=fit.level,
        n_boot=len(fit.weights) - 1,
    )
    if found.problem is not None:
        raise InputError(
            f"{run!r} is on {counted(len(prompts), 'prompt')} of the table's {fit.table.n_prompts}, and their base "
            f"samples show no limit: {found.problem}",
            argument="table",
        )
    return found


def _of_checkpoints(log: TrainingLog, fit: Fit, place: IntArray, run: str) -> str:
    """Say so where the prompts of a run's checkpoints differ by more than batches drawn from them do."""
    held = log.per_prompt
    assert held is not None
    means = fit.table.prompt_means(fit.reward)
    mine = np.flatnonzero(log.run[held.checkpoint] == run)
    at, prompt = held.checkpoint[mine], place[mine]
    every = means[np.unique(prompt)]
    size = np.bincount(at, minlength=log.kl.size).astype(np.float64)
    told = (size > 0.0) & (size < every.size)
    if every.size < 3 or not told.any() or every.std() == 0.0:
        return ""
    mean = np.bincount(at, means[prompt], log.kl.size)[told] / size[told]
    error = every.var(ddof=1) / size[told] * (1.0 - size[told] / every.size)
    excess = float(((mean - every.mean()) ** 2 / error).sum())
    if scipy.stats.chi2.sf(excess, int(told.sum())) > _RARE:
        return ""
    return (
        f"Checkpoints of {run!r} are on prompts of different kinds (the base averages {mean.min():.3g} to "
        f"{mean.max():.3g} on them), by more than batches drawn from one set are: the limit is that of all of them, "
        "and that of a checkpoint's own prompts is another, so shares and waste are not known."
    )
