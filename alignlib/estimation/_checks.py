"""Checks and steps that the estimators from samples share."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib.estimation.prompt_curves import AveragedCurves
from alignlib.estimation.support import strain, supported_kl
from alignlib.estimation.tails import TailTest
from alignlib.tables.rewards import RewardTable

_SHORT_OF_LIMIT = 0.95

__all__ = ["check_resampling", "check_samples", "single_column", "supported_end"]


def single_column(table: RewardTable, reward: str | None) -> str:
    """Return the column that ``reward`` names, or the only one."""
    names = list(table.columns)
    if reward is None:
        require(len(names) == 1, f"reward must name one of the columns {names}; got None.")
        return names[0]
    table.column(reward)
    return reward


def check_resampling(level: float, n_boot: int, rng: np.random.Generator | int) -> np.random.Generator:
    """Check what every interval needs and return the generator."""
    require(0.0 < level < 1.0, f"level must lie in (0, 1); got {level!r}.")
    require(n_boot >= 100, f"n_boot must be at least 100 for an interval; got {n_boot!r}.")
    return np.random.default_rng(rng)


def check_samples(table: RewardTable, least: int, what: str) -> None:
    """Refuse tables with fewer than ``least`` samples of a prompt."""
    short = np.flatnonzero(table.n_samples < least)
    if short.size:
        first = short[0]
        raise InputError(
            f"{what} needs at least {least} samples of every prompt; {short.size} of {table.n_prompts} prompts have "
            f"fewer, the first is {table.prompts[first]!r} with {table.n_samples[first]}. Sample more, or drop them."
        )


def supported_end(curves: AveragedCurves, whole: FloatArray, n_prompts: int, tail: TailTest) -> float:
    """Return the largest supported KL, 0 where there is none."""
    strained = strain(
        lam=curves.lam,
        bias=curves.bias,
        value=curves.second_order,
        standard_error=curves.cells.standard_error(whole, curves.cell_curve)[0],
        ess=curves.ess,
        n_prompts=n_prompts,
        tail_scale=0.0 if tail.light else tail.scale,
    )
    end = supported_kl(curves.kl, strained)
    if np.isfinite(end):
        return end
    if curves.saturated and curves.common_ceiling:
        return curves.log_samples
    # A prompt that was never seen at the top may have a chance of it too small to be seen, and worth more KL.
    return _SHORT_OF_LIMIT * float(curves.kl[-1])
