"""What to do next with a training run: the checkpoint to keep and the β to set."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib.training.beta_choice import BetaChoice
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.picking import Pick

__all__ = ["RunAdvice"]


@dataclass(frozen=True)
class RunAdvice:
    """The checkpoint of a run to keep, None without any gold, and the β for a KL, None without base samples.

    ``normalisation`` is that of the trainer, if it was said; ``notes`` say why a part is missing.
    """

    log: TrainingLog
    pick: Pick | None
    beta: BetaChoice | None
    normalisation: str | None
    notes: tuple[str, ...]
