"""What to do next with a training run: the checkpoint to keep and the β to set."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib.training.beta_choice import BetaChoice
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.picking import Pick

__all__ = ["RunAdvice"]


@dataclass(frozen=True)
class RunAdvice:
    """The checkpoint of a run to keep, and the β for a KL.

    Attributes
    ----------
    log : TrainingLog
        The run.
    pick : Pick, optional
        The checkpoint; None without any gold.
    beta : BetaChoice, optional
        The β; None without base samples.
    normalisation : str, optional
        How the trainer charges its KL, if it was said.
    notes : tuple of str
        Why a part is missing.
    """

    log: TrainingLog
    pick: Pick | None
    beta: BetaChoice | None
    normalisation: str | None
    notes: tuple[str, ...]
