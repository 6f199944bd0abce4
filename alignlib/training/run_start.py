"""What the checkpoint nearest to the base tells of a run that no policy can have: its reward, its base, or its KL."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.rounded_kl import half_digit
from alignlib.training.run_base import NEAR_BASE, NO_KL, no_less_than_beside
from alignlib.training.step_prompts import StepPrompts

__all__ = ["RunStart"]

_AGREES, _SELDOM = 3.0, 1e-3  # standard errors, and the chance of so many on one side


@dataclass(frozen=True)
class RunStart:
    """The checkpoint of a run that is nearest to the base, beside the base samples.

    Attributes
    ----------
    step, kl, reward : float
        The checkpoint itself, not a mean of several.
    base : float
        What its gain is measured from.
    error : float
        Standard error of the difference of reward and base.
    allowed : float
        The most that a policy gains at its KL.
    of_samples : bool
        Whether ``base`` is the mean of base samples, and not the run's own start.
    same_prompts : bool
        Whether the run is known to be on the prompts of the samples.
    prompts : StepPrompts
        What few prompts a checkpoint do by chance.
    place : int
        Position of the checkpoint.
    half : float
        By how much the KL may be larger than logged, for it is rounded.
    """

    step: float
    kl: float
    reward: float
    base: float
    error: float
    allowed: float
    of_samples: bool
    same_prompts: bool
    prompts: StepPrompts
    place: int
    half: float = 0.0

    @classmethod
    def of(
        cls,
        log: TrainingLog,
        base: FloatArray,
        errors: FloatArray,
        allowed: FloatArray,
        prompts: StepPrompts,
        *,
        of_samples: bool,
        same_prompts: bool,
    ) -> RunStart:
        """Return that of a run.

        Parameters
        ----------
        log : TrainingLog
            The run.
        base : array (checkpoints,)
            What the gain of each is measured from.
        errors : array (checkpoints,)
            Standard errors of the gains.
        allowed : array (checkpoints,)
            The most that a policy gains at each KL.
        prompts : StepPrompts
            What few prompts a checkpoint do by chance.
        of_samples : bool
            Whether ``base`` is the mean of base samples.
        same_prompts : bool
            Whether the run is known to be on their prompts.
        """
        away = no_less_than_beside(np.abs(log.kl))
        i = int(np.argmin(away))
        return cls(
            step=float(log.step[i]),
            kl=float(away[i]),
            reward=float(log.reward[i]),
            base=float(base[i]),
            error=float(errors[i]),
            allowed=max(float(no_less_than_beside(allowed)[i]), 0.0),
            of_samples=of_samples,
            same_prompts=same_prompts,
            prompts=prompts,
            place=i,
            half=float(half_digit(log)[i]),
        )

    def evidence(
        self, factors: tuple[float, float] | None, times: float, excess: float, scaled: bool, *, rare: bool = True
    ) -> str:
        """Say for which explanation it speaks.

        What moves no mean cannot show there: rewards stretched about it, prompts that vary more, or rare rewards.

        Parameters
        ----------
        factors : (float, float), optional
            The ends of the factors of the reward that would explain the points above the limit, if any does.
        times : float
            The least factor of the KL that would.
        excess : float
            By how much these lie above it at least: the least constant that would.
        scaled : bool
            Whether the scale is known to be another.
        rare : bool
            Whether a reward may be too rare for the samples.
        """
        if not self.of_samples:
            return "Gains are not measured from the mean of the base samples, so the start does not tell which."
        if self.kl + self.half > NEAR_BASE:
            return "No checkpoint is near enough to the base to tell which."
        # Only of the base itself is the KL known whatever its unit.
        at_base = self.kl + self.half <= NO_KL
        prompts = "" if self.same_prompts else " (or its prompts: others, or rarer ones)"
        here = np.arange(self.prompts.course.size) == self.place
        lifted = float(self.prompts.reach(here, _SELDOM)[int(self.reward > self.base)])
        reach = max(_AGREES * self.error, lifted) + (0.0 if at_base else self.allowed)
        has = (
            f"At step {self.step:g}, {self.kl:.2g} nats from the base, the run has {self.reward:.4g} and the base "
            f"samples {self.base:.4g} on average"
        )
        if abs(self.reward - self.base) > reach:
            if at_base:
                return f"{has}: they are apart before training, so it is the reward or the base{prompts}, not the unit."
            more = f"{times:.3g} times what is logged or more" if math.isfinite(times) and times > 1.0 else "larger"
            return (
                f"{has}, further apart than policies are that near ({reach:.2g} at most): it is the reward or the "
                f"base{prompts}, or the KL is {more}, in another unit for instance."
            )
        if self.reward - self.base + reach >= excess:
            return f"{has}, where {reach:.2g} more or less may be chance: too much to tell which."
        has = f"{has}, which agree within {reach:.2g}"
        none = factors is None or self._excludes(factors, reach)
        # A mean that agrees is that of other prompts as well, on which more is gained, and of a base of rare rewards.
        unseen = ["rewards stretched about that mean"]
        unseen += [] if self.same_prompts else ["prompts whose rewards vary more than the table's"]
        unseen += ["a reward too rare for the table"] if rare else []
        if scaled and none:
            looks = ", ".join(["neither a constant nor a factor alone; a KL far larger than logged", *unseen[:-1]])
            return f"{has}: {looks} or {unseen[-1]} would look so."
        if scaled:
            less = "".join(f", nor need {one}" for one in unseen[1:])
            return f"{has}: no constant was added; a factor of the reward need not show there{less}."
        if none or factors is None:
            return (
                f"{has}: this speaks for the table's reward and base, and against the KL, unless it is "
                f"{' or '.join(unseen)}."
            )
        which = f"{factors[0]:.3g} or more" if math.isinf(factors[1]) else f"{factors[1]:.3g} or less"
        need = "".join([f"A factor of the reward, {which},", *(f" or {one}," for one in unseen[1:])])
        return (
            f"{has}: another base, or a constant added to the reward, would show there. {need} need not show: "
            f"it is {'one of these' if unseen[1:] else 'that'} or the KL."
        )

    def _excludes(self, factors: tuple[float, float], reach: float) -> bool:
        """Say whether the start shows that the reward was multiplied by none of these factors."""
        with np.errstate(divide="ignore"):
            ends = sorted(float(np.divide(self.reward, one)) if one > 0.0 else math.copysign(math.inf, self.reward)
                          for one in factors)  # fmt: skip
        return max(self.base - ends[1], ends[0] - self.base) > reach
