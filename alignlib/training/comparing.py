"""Runs compared at equal KL: what each gains there, its share of the limit, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import BoolArray, FloatArray, as_level, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.estimation import EstimatedFrontier, Fit
from alignlib.training.comparable import common_kls, unlike_starts
from alignlib.training.logs.training_log import TrainingLog, joined_logs
from alignlib.training.own_limit import own_limits
from alignlib.training.placing import Overlay, overlay
from alignlib.training.run_at_kl import NOT_TOLD_APART, TAKEN_OUT, Errors, along, told
from alignlib.training.run_prompts import pair_prompts

__all__ = ["Comparison", "compare_runs", "compare_splits"]

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Comparison(SameFields):
    """Runs at equal KL: each row of an array (runs, k) is a run, each column a budget; NaN where unknown.

    What needs the limit is None without base samples.

    Attributes
    ----------
    names : tuple of str
        The runs.
    seeds : tuple of int
        How many logs each run stands for.
    log : TrainingLog
        All their checkpoints.
    measured_in : str
        The reward.
    level : float
        Coverage that the intervals aim at.
    told_by : str
        What the intervals of differences stand for: ``"prompts"`` (others like these), ``"seeds"`` (other runs of the
        same methods), both, or ``"checkpoints"`` (noise along these very runs).
    kl : array (k,)
        Budgets in nats per sequence.
    reward, reward_low, reward_high : array (runs, k)
        Mean reward at that KL, over the seeds of a run, with its interval.
    difference, difference_low, difference_high : array (runs, k)
        How much more it is than that of the first run.
    base_reward : float, optional
        Mean reward of the base.
    limit, limit_low, limit_high : array (runs, k), optional
        The most that any policy gains at that KL, on the prompts of the run where the logs tell them.
    gain : array (runs, k), optional
        Reward above the base's.
    share, share_low, share_high : array (runs, k), optional
        The part of the limit that it is, 1 at most; NaN where the interval lies beyond 1, which no policy has.
    supported : array of bool (runs, k), optional
        Where the base samples know the limit.
    placed : Overlay, optional
        Every run beside the limit.
    notes : tuple of str
        Sentences on what was left out.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> rng = np.random.default_rng(0)
    >>> found = compare_runs({name: example_run(20, 16, rng, share=part)[0] for name, part in (("a", 0.6), ("b", 0.9))})
    >>> found.names, found.reward.shape == found.difference.shape, found.limit is None
    (('a', 'b'), True, True)
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    log: TrainingLog
    measured_in: str
    level: float
    told_by: str
    kl: FloatArray
    reward: FloatArray
    reward_low: FloatArray
    reward_high: FloatArray
    difference: FloatArray
    difference_low: FloatArray
    difference_high: FloatArray
    base_reward: float | None
    limit: FloatArray | None
    limit_low: FloatArray | None
    limit_high: FloatArray | None
    gain: FloatArray | None
    share: FloatArray | None
    share_low: FloatArray | None
    share_high: FloatArray | None
    supported: BoolArray | None
    placed: Overlay | None
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Return the names of the runs and the budgets."""
        return f"<Comparison of {', '.join(map(repr, self.names)):.200} at {counted(self.kl.size, 'KL')}>"


def compare_runs(
    runs: Mapping[str, TrainingLog | Sequence[TrainingLog]],
    fit: Fit | None = None,
    *,
    at: npt.ArrayLike | None = None,
    base: float | str = "table",
    level: float = 0.95,
    check: bool = True,
) -> Comparison:
    """Compare training runs at equal KL, the first with each of the others.

    The reward of a run at a KL is that of a parabola through the checkpoints near it, in √KL. Where every log holds
    single responses, the error of a difference is that over prompts, those in common paired, the error of the KLs in it
    by the slope; of several seeds of one method it is that between seeds besides; without either it is the scatter of
    checkpoints along these very runs, and says nothing of other prompts or seeds, as where a checkpoint has one prompt
    alone. Where a run is no parabola, intervals are wider by how far a cubic lies from it, as far as that stands out of
    the noise. Intervals hold for each difference by itself.

    Parameters
    ----------
    runs : mapping
        Logs by the name of the method, two at least; several logs of one name are its seeds.
    fit : Fit, optional
        The reward, fitted on samples of the base model: for gains and shares of the limit.
    at : array (k,), optional
        KLs in nats per sequence at which to compare; by default four over the range that all runs have in common.
    base : "table", "first" or float
        What gains are measured from; see `overlay`.
    level : float
        Nominal coverage of the intervals.
    check : bool
        Refuse a run that does not start at the reward of the base samples.

    Raises
    ------
    InputError
        For fewer than two runs, runs without a KL in common, or too few checkpoints.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> rng = np.random.default_rng(0)
    >>> runs = {name: example_run(60, 32, rng, share=part)[0] for name, part in (("a", 0.6), ("b", 0.9))}
    >>> found = compare_runs(runs)
    >>> truth = 0.3 * np.sqrt(2.0 * found.kl)
    >>> bool((np.abs(found.difference[1] - truth) < 0.1).all()), bool(found.difference_low[1, -1] > 0.0)
    (True, True)

    Source: local parabolas and intervals over clusters are classical; their use at equal KL is ours.
    """
    require(isinstance(runs, Mapping), f"runs must be a mapping of names to logs; got {quoted(runs)}.", "runs")
    require(
        len(runs) >= 2,
        f"runs must hold two runs at least; got {len(runs)} name. Logs of one name are its seeds: give the runs to "
        "compare different names (NAME=LOG in the command).",
        "runs",
    )
    level = as_level(level)
    logs = {name: [one] if isinstance(one, TrainingLog) else list(one) for name, one in runs.items()}
    names = tuple(logs)
    for name, some in logs.items():
        alike = any(
            np.array_equal(one.kl, other.kl) and np.array_equal(one.reward, other.reward)
            for i, one in enumerate(some)
            for other in some[:i]
        )
        require(not alike, f"runs: two seeds of {name!r} are the same log, which tells nothing of other seeds.", "runs")
    every = [(_title(name, i, len(some)), log) for name, some in logs.items() for i, log in enumerate(some)]
    for title, log in every:
        distinct = np.unique(log.kl[log.kl >= 0.0]).size
        require(len(log.runs) == 1, f"{title!r} holds {len(log.runs)} runs; keep one of them (only).", "only")
        require(
            distinct >= 3,
            f"{title!r} has checkpoints of {counted(distinct, 'different KL')}; three at least are needed; "
            f"leave it out, or log more often.",
        )
    budgets, notes = common_kls(every, at)
    joined = joined_logs([log for _, log in every], [title for title, _ in every], ", ".join(dict.fromkeys(
        log.path for _, log in every)))  # fmt: skip
    reward, half, errors = _at(logs, budgets, level)
    difference, apart = _apart(reward, errors, budgets.size, names)
    found = Comparison(
        names=names,
        seeds=tuple(len(some) for some in logs.values()),
        log=joined,
        measured_in=every[0][1].reward_name,
        level=level,
        told_by=errors.told_by,
        kl=budgets,
        reward=reward,
        reward_low=reward - half,
        reward_high=reward + half,
        difference=difference,
        difference_low=difference - apart,
        difference_high=difference + apart,
        base_reward=None,
        limit=None,
        limit_low=None,
        limit_high=None,
        gain=None,
        share=None,
        share_low=None,
        share_high=None,
        supported=None,
        placed=None,
        notes=(*notes, *told(errors.told_by, every, list(logs.values()))),
    )
    if fit is None:
        starts = unlike_starts(every, ", and base samples of these (table), would take prompts out of it")
        return replace(found, notes=(*joined.notes, *found.notes, *starts))
    return _beside_limit(found, logs, fit, base, check)


def compare_splits(
    runs: Mapping[str, TrainingLog | Sequence[TrainingLog]],
    fit: Fit | None = None,
    *,
    at: npt.ArrayLike | None = None,
    base: float | str = "table",
    level: float = 0.95,
    check: bool = True,
) -> dict[str, Comparison]:
    """Compare runs as `compare_runs` does, on training and on held-out prompts each by itself.

    Parameters
    ----------
    runs : mapping
        Logs read with ``splits=True``: the runs in each are its splits.
    fit : Fit, optional
        The limit of the base, for shares.
    at : array, optional
        KLs in nats at which runs are compared.
    base : float or str
        What gains are measured from, as in `compare_runs`.
    level : float
        Coverage of the intervals, in (0, 1).
    check : bool
        Whether a run that does not start at the base's reward is refused.

    Returns
    -------
    dict of Comparison
        By the name of the split, those that all logs have, in the order of the first.

    Raises
    ------
    InputError
        Where the logs have no split in common, and as `compare_runs` does.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> from alignlib.training.logs.training_log import joined_logs
    >>> rng = np.random.default_rng(0)
    >>> both = {
    ...     name: joined_logs([example_run(2, 3, rng, share=part)[0] for part in parts], ("train", "held out"), name)
    ...     for name, parts in (("a", (0.6, 0.6)), ("b", (0.9, 0.6)))
    ... }
    >>> found = compare_splits(both)
    >>> [bool(found[split].difference_low[1, -1] > 0.0) for split in ("train", "held out")]
    [True, False]
    """
    require(isinstance(runs, Mapping), f"runs must be a mapping of names to logs; got {quoted(runs)}.", "runs")
    logs = {name: [one] if isinstance(one, TrainingLog) else list(one) for name, one in runs.items()}
    every = [log for some in logs.values() for log in some]
    shared = [split for split in (every[0].runs if every else []) if all(split in log.runs for log in every)]
    held = "; ".join(
        f"{name!r} has {', '.join(map(repr, some[0].runs))}" for name, some in list(logs.items())[:4] if some
    )
    require(bool(shared), f"runs must have a split in common; {held or 'there are none'}.", "runs")
    found = {}
    for split in shared:
        part = {name: [log.keep(log.run == split) for log in some] for name, some in logs.items()}
        try:
            found[split] = compare_runs(part, fit, at=at, base=base, level=level, check=check)
        except InputError as error:
            raise InputError(f"On {split!r}: {error}", argument=error.argument) from error
    return found


def _title(name: str, place: int, seeds: int) -> str:
    return name if seeds == 1 else f"{name} #{place + 1}"


def _at(
    logs: Mapping[str, Sequence[TrainingLog]], budgets: FloatArray, level: float
) -> tuple[FloatArray, FloatArray, Errors]:
    """Return the reward of each method at each KL, (runs, k), the half-widths of its intervals, and its errors."""
    seeds = {name: [along(log, budgets, smooth=True) for log in some] for name, some in logs.items()}
    as_logged = {name: [along(log, budgets) for log in some] for name, some in logs.items()}
    errors = Errors(seeds, as_logged, level)
    columns = range(budgets.size)
    reward = np.array([[errors.value({name: 1.0}, j) for j in columns] for name in logs])
    return reward, np.array([[errors.of({name: 1.0}, j) for j in columns] for name in logs]), errors


def _apart(value: FloatArray, errors: Errors, size: int, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Return how much more each run has than the first, (runs, k), and the half-widths of the intervals."""
    apart = np.array([[errors.of({name: 1.0, names[0]: -1.0}, j) for j in range(size)] for name in names])
    apart[0] = 0.0
    return value - value[:1], apart


def _gains(
    found: Comparison, logs: Mapping[str, Sequence[TrainingLog]], placed: Overlay, fit: Fit, base: float | str
) -> tuple[dict[str, list[TrainingLog]], bool]:
    """Return the logs with gains for rewards, and whether these are over the base's mean on each log's own prompts."""
    paired = pair_prompts(found.log, fit.table, fit.reward)[0] if base == "table" else None
    held = found.log.per_prompt
    whole = replace(
        found.log,
        reward=placed.gain,
        per_prompt=held if paired is None or held is None else replace(held, reward=held.reward - paired.base),
    )
    gains, start = dict[str, list[TrainingLog]](), 0
    for name, some in logs.items():
        gains[name] = []
        for log in some:
            gains[name].append(whole.keep(np.arange(start, start + log.kl.size)))
            start += log.kl.size
    return gains, paired is not None


def _beside_limit(
    found: Comparison, logs: Mapping[str, Sequence[TrainingLog]], fit: Fit, base: float | str, check: bool
) -> Comparison:
    placed = overlay(found.log, fit, base=base, pool=1, check=check)
    held = [_limit_of(name, some, found, fit) for name, some in logs.items()]
    limits = [one for one, _ in held]
    own = np.array([[np.nan if varied else 1.0] for _, varied in held])  # one limit is not that of each checkpoint
    limit, least, most = (
        np.array([getattr(one, part) for one in limits]) for part in ("gain", "gain_low", "gain_high")
    )
    supported = np.array([one.supported for one in limits])
    gains, paired = _gains(found, logs, placed, fit, base)
    gain, half, errors = _at(gains, found.kl, found.level)
    notes = found.notes
    titled = [(_title(name, i, len(some)), log) for name, some in (gains if paired else logs).items()
              for i, log in enumerate(some)]  # fmt: skip
    starts = unlike_starts(titled, None if paired else " that are the table's would take prompts out of it")
    if paired:
        difference, apart = _apart(gain, errors, found.kl.size, found.names)
        raw = float(np.abs(difference - found.difference).max())
        found = replace(
            found, difference=difference, difference_low=difference - apart, difference_high=difference + apart
        )
        if raw > _ROUNDING * float(np.abs(found.reward).max()):
            said = (
                "Differences are of gains over the base's mean reward on each run's own prompts, which are not the "
                f"same ones: the rewards themselves differ by up to {raw:.3g} more or less."
            )
            if not (limit == limit[:1]).all():
                said += (
                    " How much can be gained on them differs as well: shares are of the limit on a run's own prompts."
                )
            notes = (said, *(note.replace(NOT_TOLD_APART, TAKEN_OUT) for note in notes))
    z = float(scipy.special.ndtri(0.5 + fit.level / 2.0))
    reach = half if paired else np.hypot(half, z * placed.base_error)
    low, high = gain - reach, gain + reach
    with np.errstate(divide="ignore", invalid="ignore"):
        share, share_low, share_high = (
            own * np.where(supported, gain / limit, np.nan),
            own * low / np.where(low > 0.0, most, least),
            own * high / np.where(high > 0.0, least, most),
        )
        own = np.where(share_low > 1.0, np.nan, own)  # no run has more than all: what it is a share of is another
        share, share_low, share_high = (own * np.minimum(one, 1.0) for one in (share, share_low, share_high))
        return replace(
            found,
            measured_in=fit.reward,
            base_reward=placed.base_reward,
            limit=np.where(supported, limit, np.nan),
            limit_low=least,
            limit_high=most,
            gain=gain,
            share=share,
            share_low=share_low,
            share_high=share_high,
            supported=supported,
            placed=placed,
            notes=(*placed.notes, *notes, *starts),
        )


def _limit_of(name: str, logs: Sequence[TrainingLog], found: Comparison, fit: Fit) -> tuple[EstimatedFrontier, bool]:
    """Return the limit on the prompts of a run, of all its seeds together, and whether they change along it."""
    whole = joined_logs(logs, [str(i) for i in range(len(logs))], name)
    whole = replace(whole, run=np.full(whole.kl.size, name, dtype=object))
    own = own_limits(whole, fit)
    return own.of(name).at(found.kl, strict=False), bool(own.mixed)
