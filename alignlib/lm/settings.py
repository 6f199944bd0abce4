"""How long and how hard a method trains."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib._core.checks import require, require_range

__all__ = ["RESPONSES", "Settings"]

RESPONSES = 192
"""Responses that every method draws in a step; 192 can be divided into groups of 2, 3, 4, 6, 8, 12, 16, 24, 32, 48."""

_SCHEDULES = ("constant", "linear")


@dataclass(frozen=True)
class Settings:
    """How long and how hard a method trains. A method that lacks a knob does not read it.

    Parameters
    ----------
    steps : int
        Steps of ``RESPONSES`` responses each, >= 1.
    learning_rate : float
        Adam's rate, > 0.
    schedule : str
        ``"constant"`` or ``"linear"`` (falls to zero at the last step).
    group : int
        Responses to one prompt in a step; divides ``RESPONSES``, at least 2.
    epochs : int
        Updates on each batch, >= 1.
    clip : float
        Ratios are clipped to ``1 ± clip``, in (0, 1). On the first update of a batch the ratio is one.
    gae_lambda : float
        λ of generalised advantage estimation, in [0, 1].

    Raises
    ------
    InputError
        If a number is out of its range.

    Examples
    --------
    >>> Settings(steps=100, group=4).schedule
    'linear'
    """

    steps: int
    learning_rate: float = 1e-3
    schedule: str = "linear"
    group: int = 8
    epochs: int = 1
    clip: float = 0.2
    gae_lambda: float = 1.0

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"steps must be at least 1; got {self.steps}.")
        require(self.learning_rate > 0, f"learning_rate must be positive; got {self.learning_rate}.")
        require(self.schedule in _SCHEDULES, f"schedule must be one of {', '.join(_SCHEDULES)}; got {self.schedule!r}.")
        require(
            self.group >= 2 and RESPONSES % self.group == 0,
            f"group must be at least 2 and divide the {RESPONSES} responses of a step; got {self.group}.",
        )
        require(self.epochs >= 1, f"epochs must be at least 1; got {self.epochs}.")
        require(0.0 < self.clip < 1.0, f"clip must lie between 0 and 1; got {self.clip}.")
        require_range("gae_lambda", self.gae_lambda, 0.0, 1.0)
