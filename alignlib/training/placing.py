"""A training run on the frontier of its base model: the share of the achievable gain, and the KL it wastes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy

from alignlib._core.checks import BoolArray, FloatArray, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib._core.shown import span
from alignlib.estimation import EstimatedFrontier, Fit, RuleEstimate
from alignlib.training.gain_errors import GainErrors, distance_to_limit, kl_error, noise_near, noise_of_distance
from alignlib.training.impossible import PointsOfRun, far_above
from alignlib.training.logs.training_log import TrainingLog, joined_logs
from alignlib.training.own_limit import OwnLimits, own_limits
from alignlib.training.response_scatter import response_scatter
from alignlib.training.rounded_kl import half_digit, told_by_ends, within_digits
from alignlib.training.run_base import base_of_run, below_base, check_scale, error_of_start
from alignlib.training.run_prompts import pair_prompts
from alignlib.training.run_start import RunStart
from alignlib.training.step_prompts import StepPrompts
from alignlib.training.strict_ends import student_reach
from alignlib.training.wasted import Limit, best_of_n_of, least_kl_of, of_kl_alone

__all__ = ["Overlay", "overlay"]

_POINTS = 12
_NAMED = 3  # runs
_PER_POINT = (
    "gain", "gain_low", "gain_high", "limit", "limit_low", "limit_high", "share", "share_low", "share_high", "needed",
    "wasted", "wasted_low", "wasted_high", "supported", "above", "equal_n", "equal_n_kl",
)  # fmt: skip
_SHORT = "The log is too short to tell its noise, so intervals hold the error of the base samples only."


@dataclass(frozen=True, eq=False)
class Overlay(SameFields):
    """Checkpoints, or means of consecutive ones, against the limit; NaN where not known.

    Intervals hold the error of the limit, of the base and the noise of one checkpoint's distance to the limit along the
    run, or, where the log holds single responses, its error over prompts; those of share and waste are hulls, hence no
    narrower than nominal. Those of waste hold the error of the KL itself besides, and those of gains the noise of
    rewards alone, for the errors of a KL and a reward of the same responses cancel in the distance only. Where the log
    tells ends of the KL only (`TrainingLog.kl_low`, `kl_high`) limit, share and waste are not known, and their
    intervals hold what lies between these ends.

    Attributes
    ----------
    log : TrainingLog
        The runs.
    width : int
        How many consecutive checkpoints are averaged into one.
    measured_in : str
        The reward.
    base_reward, base_error : float
        Mean reward of the base, with its standard error.
    noise : float, optional
        Scatter of one checkpoint's distance to the limit; None for short logs.
    gain, gain_low, gain_high : array (k,)
        Reward above the base's.
    limit, limit_low, limit_high : array (k,)
        The most that any policy gains at the checkpoint's KL on average over prompts.
    share, share_low, share_high : array (k,)
        The part of the limit that the run has, 1 at most.
    needed : array (k,)
        The least KL in nats at which any policy gains as much.
    wasted, wasted_low, wasted_high : array (k,)
        ``kl - needed`` in nats.
    supported : array of bool (k,)
        Where it is False only bounds on the share are known.
    above : array of bool (k,)
        What lies above the limit by so much that practically no run does by chance, if the samples show the rewards
        that matter; it has no share.
    equal_n, equal_n_kl : array (k,)
        The least N whose best-of-N gains as much and the nats that it spends, NaN where the samples of a prompt are too
        few for one: whatever a run spends beyond that is wasted, inside the support or not.
    largest_n : int
        The largest N that the samples of a prompt allow.
    doubted : bool
        Whether the run's reward, prompts or base may not be the table's; the notes tell why.
    frontier : EstimatedFrontier
        The limit along the KL, on the prompts of the runs where the log tells them.
    rules : RuleEstimate
        Best-of-N at the same KL.
    notes : tuple of str
        Sentences on what was left out and what is doubted.
    own : mapping of str to EstimatedFrontier, optional
        The limit of each run, where runs are on different prompts.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.training.example_run import example_run
    >>> log, table = example_run(30, 16, np.random.default_rng(0))
    >>> found = overlay(log, fit_frontier(table, n_boot=100))
    >>> found.measured_in, found.share.size == found.log.kl.size, bool((found.limit_low <= found.limit_high).all())
    ('reward', True, True)
    """

    log: TrainingLog
    width: int
    measured_in: str
    base_reward: float
    base_error: float
    noise: float | None
    gain: FloatArray
    gain_low: FloatArray
    gain_high: FloatArray
    limit: FloatArray
    limit_low: FloatArray
    limit_high: FloatArray
    share: FloatArray
    share_low: FloatArray
    share_high: FloatArray
    needed: FloatArray
    wasted: FloatArray
    wasted_low: FloatArray
    wasted_high: FloatArray
    supported: BoolArray
    above: BoolArray
    equal_n: FloatArray
    equal_n_kl: FloatArray
    largest_n: int
    doubted: bool
    frontier: EstimatedFrontier
    rules: RuleEstimate
    notes: tuple[str, ...]
    own: Mapping[str, EstimatedFrontier] | None = None

    def __repr__(self) -> str:
        """Return the size and the ends of KL, gain and share."""
        return (
            f"<Overlay of {counted(self.gain.size, 'point')} of {counted(len(self.log.runs), 'run')} on "
            f"{self.measured_in!r}: kl {span(self.log.kl)}, gain {span(self.gain)}, share {span(self.share)}>"
        )


def overlay(
    log: TrainingLog,
    fit: Fit,
    *,
    base: float | str = "table",
    pool: int | None = None,
    check: bool = True,
) -> Overlay:
    """Put the checkpoints of a run on the frontier estimated from samples of its base model.

    Where the log holds single responses to a part of the table's prompts, the limit is that of this part, for each run
    by itself.

    Parameters
    ----------
    log : TrainingLog
        KL in nats per sequence and mean reward of each checkpoint.
    fit : Fit
        The run's reward, fitted on samples of the base model on the run's prompts, or on more.
    base : "table", "first" or float
        What gains are measured from: the mean of the table, the first checkpoint of each run, or a known value.
    pool : int, optional
        How many consecutive checkpoints to average into a point; by default so many that a dozen points are left.
    check : bool
        Refuse a run whose checkpoints near KL 0 do not have the table's mean reward.

    Raises
    ------
    InputError
        Where the run does not start at the reward of the base samples.
        Where the samples, or those of the run's prompts, have no limit to estimate.
        Where ``base`` is "first" and the first checkpoint is no base.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.training.example_run import example_run
    >>> log, table = example_run(60, 32, np.random.default_rng(0))
    >>> found = overlay(log, fit_frontier(table, n_boot=200))
    >>> bool(found.share_low[-1] < 0.85 < found.share_high[-1])  # made so
    True

    Source: Y24, P26 (the limit); shares, waste and their intervals are ours.
    """
    require(isinstance(log, TrainingLog), f"log must be what read_training_log returns; got {quoted(log)}.", "log")
    require(isinstance(fit, Fit), f"fit must be what fit_frontier returns; got {quoted(fit)}.", "fit")
    require(pool is None or pool >= 1, f"pool must be at least 1; got {pool}.")
    longest = max(int((log.run == name).sum()) for name in log.runs)
    width = min(pool or math.ceil(longest / _POINTS), longest)
    own = own_limits(log, fit)
    parts = []
    for names, one in own.fits:
        group = log.keep(np.isin(log.run, np.array(names, dtype=object)))
        limit = Limit.of(one, group)
        # Each run scatters in its own way: a quiet one beside it says nothing of that.
        for name in names:
            try:
                parts.append(_placed(group.keep(group.run == name), group, limit, base, width, check, own.mixed))
            except InputError as error:
                if len(log.runs) == 1 or type(error) is not InputError:
                    raise
                raise InputError(f"{name!r}: {error}", argument=error.argument) from None
    found = parts[0] if len(parts) == 1 else _joined(log, parts, own, base)
    notes = [*found.notes, *_averaged(log, found, width)]
    return replace(found, notes=(*notes, *own.notes), doubted=found.doubted or bool(own.mixed))


@dataclass(frozen=True, eq=False)
class _Start(SameFields):
    """What the gains of a run are measured from, and how sure they are.

    Attributes
    ----------
    reward, error : float
        The base's mean reward, with its standard error.
    at : array (checkpoints,)
        What the gain of each checkpoint is measured from: of its own prompts, where these are known.
    noise : float, optional
        Scatter of one checkpoint's distance to the limit.
    errors : GainErrors
        The errors of gains.
    between : array (checkpoints,)
        How far prompts lie apart at each, beside the base.
    nearest : RunStart
        The checkpoint nearest to the base.
    doubted : bool
        Whether the run's reward, prompts or base may not be the table's.
    notes : tuple of str
        Why, and what else is to be said of it.
    """

    reward: float
    error: float
    at: FloatArray
    noise: float | None
    errors: GainErrors
    between: FloatArray
    nearest: RunStart
    doubted: bool
    notes: tuple[str, ...]

    @classmethod
    def of(cls, log: TrainingLog, group: TrainingLog, limit: Limit, base: float | str, check: bool) -> _Start:
        """Find it, ``group`` being all runs on the same prompts."""
        fit, frontier, by_table = limit.fit, limit.within, base == "table"
        reward, error, at = base_of_run(log, fit.table, fit.reward, base, fit.fixed_prompts)
        noise = noise_of_distance(log, log.reward - at, frontier)
        if noise is None and len(group.runs) > 1:  # too short to tell its own
            noise = noise_of_distance(group, group.reward - reward, frontier)
        paired, notes, doubted = pair_prompts(log, fit.table, fit.reward) if by_table else (None, [], False)
        if paired is not None:
            at = paired.at
            noise = noise_of_distance(log, log.reward - at, frontier)
        if fit.fixed_prompts and fit.table.n_prompts > 1:
            notes.append(
                f"The limit is that of the {fit.table.n_prompts} prompts of the base samples, too few to stand for "
                "others; it is the run's where its rewards are of these prompts."
            )
        if noise is None and paired is None:
            notes.append(
                "The log is too short to tell its noise, so intervals hold the error of the base samples only."
            )
        furthest = np.maximum(log.ends[1], 0.0) + half_digit(log)
        allowed = np.interp(np.sqrt(furthest), np.sqrt(frontier.spent), frontier.gain_high)
        scattered = noise
        if noise is not None:  # beyond the support too
            scattered = max(noise, noise_of_distance(log, log.reward - at, _everywhere(limit.far)) or 0.0)
        scatter = response_scatter(log, fit, log.reward - at, allowed, scattered)
        between = scatter.between(scatter.due)
        prompts = StepPrompts.of(log, fit, log.reward - at - allowed, between, 1, known=paired is not None)
        apart = error_of_start(log, fit.table, fit.reward, log.reward - at, error, scatter)
        if check and by_table:
            said, more = check_scale(_furthest(log), log.reward - at, allowed, apart, reward, error, prompts)
            notes, doubted = notes + said, doubted or more
        near = noise_near(log, distance_to_limit(log, log.reward - at, frontier))
        errors = GainErrors(log, fit, noise, error, paired is not None, scatter, near)
        alone = apart if noise is None and paired is None else errors.of(log, 1)[0]
        nearest = RunStart.of(
            _furthest(log), at, alone, allowed, prompts, of_samples=by_table, same_prompts=paired is not None
        )
        return cls(reward, error, at, noise, errors, between, nearest, doubted, tuple(notes))


def _placed(
    log: TrainingLog,
    group: TrainingLog,
    limit: Limit,
    base: float | str,
    width: int,
    check: bool,
    mixed: frozenset[str],
) -> Overlay:
    """Put a run on the limit of its prompts, ``group`` being all runs on them."""
    fit, end, by_table = limit.fit, limit.end, base == "table"
    start = _Start.of(log, group, limit, base, check)
    gains = log.reward - start.at
    gain = replace(log, reward=gains).pooled(width).reward
    z = float(scipy.special.ndtri(0.5 + fit.level / 2.0))
    reach, free = start.errors.reach(log.pooled(width), width, z), start.errors.of(log.pooled(width), width)[1]
    low, high = gain - reach, gain + reach
    alone = start.errors.of_gain(gains).reach(log.pooled(width), width, z)
    digits = within_digits(log)
    within = digits.pooled(width)
    pooled = told_by_ends(log.pooled(width), within, (low > 0.0) | (high < 0.0))
    known = pooled.ends[0] == pooled.ends[1]
    least_kl, most_kl = (np.maximum(one, 0.0) for one in within.ends)
    spent, placed = np.maximum(pooled.kl, 0.0), (pooled.kl >= 0.0) & (pooled.ends[1] > 0.0)
    at = fit.at(spent, strict=False)
    limit_low, limit_high = at.gain_low, at.gain_high
    if (least_kl < most_kl).any():
        limit_low = fit.at(least_kl, strict=False).gain_low
        limit_high = fit.at(np.where(np.isfinite(most_kl), most_kl, 0.0), strict=False).gain_high
        limit_high = np.where(np.isfinite(most_kl), limit_high, math.inf)
    # The limit of all prompts of a run is not that of a checkpoint on easier or harder ones, and shows nothing.
    varied = np.isin(pooled.run, np.array(sorted(mixed), dtype=object))
    over = (pooled.kl >= 0.0) & (low > limit_high) & ~varied
    between = np.interp(pooled.step, log.step, start.between) if width > 1 else start.between
    prompts = StepPrompts.of(pooled, fit, gain - limit_high, between, width, known=start.errors.paired)
    above = far_above(over, digits, within, width, start.at, start.errors, prompts, by_table)
    supported = at.supported & placed & (most_kl <= end)
    share, least, most = _shares(gain, low, high, np.where(supported & known, at.gain, np.nan), limit_low, limit_high)
    least, most = (np.where(placed, one, np.nan) for one in (least, most))
    share, least, most = (np.where(above | varied, np.nan, np.minimum(one, 1.0)) for one in (share, least, most))
    equal_n, equal_n_kl, enough = best_of_n_of(fit, gain, high)
    needed, needed_low, needed_high = least_kl_of(limit, gain, low, high, most_kl, enough)
    at_base = (pooled.kl == 0.0) & (pooled.ends[1] == 0.0) & ~above  # whatever it gained is noise
    needed, needed_low, needed_high = (np.where(at_base, 0.0, one) for one in (needed, needed_low, needed_high))
    needed = np.where(varied, np.nan, needed)
    possible = np.where((pooled.kl < 0.0) | varied, np.nan, 1.0)  # a negative KL has no place on the frontier
    of_kl = student_reach(z, free) * kl_error(log, pooled, width)
    least_alone, most_alone = (of_kl * of_kl_alone(limit, spent, kl) for kl in (needed_high, needed_low))
    points = PointsOfRun(_furthest(pooled), fit, gain, low, limit_high, needed_low, start.nearest, prompts)
    open_to_chance = over & ~above & placed
    below = below_base(pooled, high) if check and by_table else []
    return Overlay(
        log=pooled,
        width=width,
        measured_in=fit.reward,
        base_reward=start.reward,
        base_error=start.error,
        noise=start.noise,
        gain=gain,
        gain_low=gain - alone,
        gain_high=gain + alone,
        limit=np.where(supported & known, at.gain, np.nan),
        limit_low=np.where(placed, limit_low, np.nan),
        limit_high=np.where(placed, limit_high, np.nan),
        share=share,
        share_low=least,
        share_high=most,
        needed=needed,
        wasted=possible * np.where(known, spent, np.nan) - needed,
        wasted_low=possible * least_kl - needed_high - least_alone,
        wasted_high=possible * most_kl - needed_low + most_alone,
        supported=supported,
        above=above,
        equal_n=equal_n,
        equal_n_kl=equal_n_kl,
        doubted=start.doubted or bool(above.any()) or points.hardly_chance(open_to_chance),
        largest_n=int(fit.table.n_samples.min()),
        frontier=fit.frontier,
        rules=fit.share(),
        notes=(*pooled.notes, *start.notes, *below, *points.above_by_chance(open_to_chance), *points.impossible(above)),
    )


def _shares(
    gain: FloatArray,
    low: FloatArray,
    high: FloatArray,
    limit: FloatArray,
    limit_low: FloatArray,
    limit_high: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the part of the limit that each gain is, and the hull of it over both intervals, (k,) each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # Next to the base the lower end of the limit may fall to 0 and below: the share is then not bounded.
        lower = np.where(limit_low > 0.0, limit_low, 0.0)
        return (
            gain / limit,
            low / np.where(low > 0.0, limit_high, lower),
            high / np.where(high > 0.0, lower, limit_high),
        )


def _joined(log: TrainingLog, parts: list[Overlay], own: OwnLimits, base: float | str) -> Overlay:
    """Return runs beside their own limits as one, in the order of the log; the curve is that of all their prompts."""
    runs = [name for part in parts for name in part.log.run.tolist()]
    order = np.argsort([log.runs.index(name) for name in runs], kind="stable")

    of_points: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])[order] for name in _PER_POINT
    }
    pooled = joined_logs([part.log for part in parts], [str(i) for i in range(len(parts))], log.path)
    pooled = replace(pooled, run=np.array(runs, dtype=object), notes=log.notes).keep(order)
    notes = list(log.notes)
    said: dict[str, list[str]] = {}
    for part in parts:
        for note in dict.fromkeys(part.notes):
            if note not in log.notes:
                said.setdefault(note, []).append(part.log.runs[0])
    for note, of_runs in said.items():
        some = ", ".join(of_runs[:_NAMED]) + (f" and {len(of_runs) - _NAMED} more" if len(of_runs) > _NAMED else "")
        notes.append(note if len(of_runs) == len(parts) else f"{some}: {note}")
    base_reward, base_error, _ = base_of_run(log, own.whole.table, own.whole.reward, base, own.whole.fixed_prompts)
    noises = [part.noise for part in parts if part.noise is not None]
    return replace(
        parts[0],
        log=pooled,
        base_reward=base_reward,
        base_error=base_error,
        noise=max(noises) if noises else None,
        largest_n=min(part.largest_n for part in parts),
        doubted=any(part.doubted for part in parts),
        frontier=own.whole.frontier,
        rules=own.whole.share(),
        notes=tuple(notes),
        own={name: part.frontier for part in parts for name in part.log.runs} if len(own.fits) > 1 else None,
        **of_points,
    )


def _everywhere(far: EstimatedFrontier) -> EstimatedFrontier:
    """Return a limit with its upper end where nothing else is known, beyond the support: it is as smooth."""
    return replace(far, gain=np.where(np.isfinite(far.gain), far.gain, far.gain_high))


def _furthest(log: TrainingLog) -> TrainingLog:
    """Return a log with the largest KL that each checkpoint may have, at which it may gain most."""
    return log if log.kl_high is None else replace(log, kl=log.kl_high)


def _averaged(log: TrainingLog, found: Overlay, width: int) -> list[str]:
    """Say how many checkpoints a point is the mean of, and what that takes from its share: the limit is concave."""
    if width == 1:
        return []
    said = f"Each point is the mean of {width} consecutive checkpoints, more or less."
    if found.log.kl_low is not None:
        return [said]
    frontier = found.frontier

    def limit(kl: FloatArray) -> FloatArray:
        return np.interp(np.sqrt(np.maximum(kl, 0.0)), np.sqrt(frontier.spent), frontier.gain)

    whole, parts = limit(found.log.kl), replace(log, reward=limit(log.kl)).pooled(width).reward
    lost = float(np.max(1.0 - parts / np.where(whole > 0.0, whole, np.inf), initial=0.0, where=whole > 0.0))
    said += (
        " The limit bends, so the limit at a mean KL lies above the mean of the limits: a share is understated by "
        f"that, here by at most {100.0 * lost:.2g} % of itself (pool=1 averages nothing)."
    )
    return [said]
