"""Runs compared at equal KL: what each gains there, its share of the limit, and differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import BoolArray, FloatArray, as_level, as_vector, require
from alignlib._core.errors import quoted
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.estimation import Fit
from alignlib.training.logs.training_log import TrainingLog, joined_logs
from alignlib.training.placing import Overlay, overlay
from alignlib.training.smoothing import bend_weights, local_weights

__all__ = ["Comparison", "compare_runs"]

_SHOWN = 4  # budgets, where none are named


@dataclass(frozen=True, eq=False)
class Comparison(SameFields):
    """Runs at equal KL, each row of an array a run and each column a budget of ``kl``, (runs, k); NaN where unknown.

    ``reward`` is the mean reward at that KL, over the seeds of a run, and ``difference`` how much more it is than that
    of the first run. ``gain`` is over the base and ``share`` the part of ``limit`` (k,) that it is; both are None
    without base samples. ``told_by`` says what the intervals of the differences stand for: "prompts" (others like
    these), "seeds" (other runs of the same methods), both, or "checkpoints" (noise along these very runs). ``placed``
    has every run beside the limit.
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


@dataclass(frozen=True)
class _Prompts:
    """The prompts of a run in its reward at a KL: the part of each in the error, and its weight.

    ``within`` is the sum over checkpoints of the variance that equal prompts would give, and ``lost`` that of the same
    divided by their number: the part of the degrees of freedom that the means of the checkpoints take.
    """

    part: Mapping[str, float]
    weight: Mapping[str, float]
    within: float
    lost: float


@dataclass(frozen=True)
class _At:
    """One log at one KL: its reward, the variance by noise along the run, and what its prompts add to the error.

    ``bend`` is how far a parabola through the checkpoints lies above the line, ``bend_noise`` the variance of that.
    """

    reward: float
    noise: float
    df: int
    prompts: _Prompts | None
    bend: float
    bend_noise: float


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

    The reward of a run at a KL is that of a line through its checkpoints near it, in √KL. Where every log holds single
    responses, the error of a difference is that over prompts, those in common paired, the error of the KLs in it by the
    slope; of several seeds of one method it is that between seeds besides; without either it is the scatter of
    checkpoints along these very runs, and says nothing of other prompts or seeds, as where a checkpoint has one prompt
    alone. Where runs bend, intervals are wider by how far a parabola lies from the line, as far as that stands out of
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

    Source: local lines and intervals over clusters are classical; their use at equal KL is ours.
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
        require(distinct >= 3, f"{title!r} has checkpoints of {distinct} different KLs; three at least are needed.")
    budgets, notes = _budgets(every, at)
    joined = joined_logs([log for _, log in every], [title for title, _ in every], ", ".join(dict.fromkeys(
        log.path for _, log in every)))  # fmt: skip
    points = {title: [_at(log, float(one)) for one in budgets] for title, log in every}
    seeds = {name: [points[_title(name, i, len(some))] for i in range(len(some))] for name, some in logs.items()}
    reward = np.array([[np.mean([seed[j].reward for seed in seeds[n]]) for j in range(budgets.size)] for n in names])
    errors = _Errors(seeds, level)
    half = np.array([[errors.of({n: 1.0}, j) for j in range(budgets.size)] for n in names])
    apart = np.array([[errors.of({n: 1.0, names[0]: -1.0}, j) for j in range(budgets.size)] for n in names])
    apart[0] = 0.0
    difference = reward - reward[:1]
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
        notes=(*notes, *_told(errors.told_by, every)),
    )
    if fit is None:
        return replace(found, notes=(*joined.notes, *found.notes))
    return _beside_limit(found, fit, half, base, check)


def _title(name: str, place: int, seeds: int) -> str:
    return name if seeds == 1 else f"{name} #{place + 1}"


def _budgets(every: Sequence[tuple[str, TrainingLog]], at: npt.ArrayLike | None) -> tuple[FloatArray, list[str]]:
    """Return the KLs at which every run has checkpoints on both sides."""
    ends = {title: (float(log.kl[log.kl >= 0.0].min()), float(log.kl.max())) for title, log in every}
    low, high = max(a for a, _ in ends.values()), min(b for _, b in ends.values())
    first = max(ends, key=lambda title: ends[title][0])
    least = min(ends, key=lambda title: ends[title][1])
    require(
        low < high,
        f"runs have no KL in common: {first!r} begins at {low:.3g} nats, where {least!r} has ended at {high:.3g}. "
        "Compare runs that reach the same KLs.",
        "runs",
    )
    if at is None:
        root = math.sqrt(low) + (math.sqrt(high) - math.sqrt(low)) * np.linspace(0.25, 1.0, _SHOWN)
        return np.minimum(root**2, high), []
    asked = as_vector("at", np.atleast_1d(np.asarray(at, dtype=np.float64)))
    inside = (asked >= low) & (asked <= high)
    require(
        bool(inside.any()),
        f"at must name KLs that all runs reach, {low:.3g} to {high:.3g} nats; got "
        f"{', '.join(map('{:g}'.format, asked))}.",
        "at",
    )
    out = ", ".join(f"{x:g}" for x in asked[~inside])
    said = [f"Not all runs reach {out} nats: all have {low:.3g} to {high:.3g} in common."] if out else []
    return np.asarray(asked[inside]), said


def _at(log: TrainingLog, kl: float) -> _At:
    """Evaluate a run at a KL."""
    log = log if (log.kl >= 0.0).all() else log.keep(log.kl >= 0.0)
    value, slope = local_weights(log.kl, kl)
    rising = float(slope @ log.reward)
    lines = np.array([float(local_weights(log.kl, float(one))[0] @ log.reward) for one in log.kl])
    noise = log.noise(log.reward - lines)
    variance = math.nan if noise is None else noise**2 * float(value @ value)
    bend = bend_weights(log.kl, kl)
    bend_noise = 0.0 if noise is None else noise**2 * float(bend @ bend)
    return _At(
        float(value @ log.reward),
        variance,
        max(log.kl.size - 3, 1),
        _prompts(log, value, rising),
        float(bend @ log.reward),
        bend_noise,
    )


def _prompts(log: TrainingLog, weight: FloatArray, slope: float) -> _Prompts | None:
    """Return what each prompt adds to the error of the reward at a KL, that of the KL taken in by the slope.

    None where a checkpoint has a single prompt, from which nothing is known of its error.
    """
    held = log.per_prompt
    if held is None:
        return None
    place = held.checkpoint
    count = np.bincount(place, minlength=log.kl.size).astype(np.float64)
    value = held.reward - slope * held.kl
    mean = np.bincount(place, value, log.kl.size) / np.maximum(count, 1.0)
    names = held.prompt.astype(str)
    distinct, code = np.unique(names, return_inverse=True)
    pairs = np.unique(place * distinct.size + code)
    prompts = np.bincount(pairs // distinct.size, minlength=log.kl.size).astype(np.float64)
    near = np.abs(weight) > 1e-9
    if (prompts[near] < 2.0).any():
        return None
    few = np.maximum(prompts, 2.0)
    share = weight[place] / count[place]
    part = np.bincount(code, share * (value - mean[place]) * np.sqrt(few / (few - 1.0))[place], distinct.size)
    load = np.bincount(code, np.abs(share), distinct.size)
    labels = distinct.tolist()
    return _Prompts(
        dict(zip(labels, part.tolist(), strict=True)),
        dict(zip(labels, load.tolist(), strict=True)),
        float((weight[near] ** 2 / prompts[near]).sum()),
        float((weight[near] ** 2 / prompts[near] ** 2).sum()),
    )


class _Errors:
    """Half-widths of intervals for sums of runs' rewards, from prompts, seeds or noise."""

    def __init__(self, seeds: Mapping[str, list[list[_At]]], level: float) -> None:
        self.seeds, self.level = seeds, level
        several = [some for some in seeds.values() if len(some) > 1]
        self.by_prompt = all(one.prompts is not None for some in seeds.values() for seed in some for one in seed)
        self.between = len(several) > 0
        kinds = (["prompts"] if self.by_prompt else []) + (["seeds"] if self.between else [])
        self.told_by = " and ".join(kinds) or "checkpoints"

    def of(self, weights: Mapping[str, float], j: int) -> float:
        """Return the half-width for a sum of runs at one budget."""
        variance, df = 0.0, math.inf
        if self.by_prompt:
            by_prompts, df = self._over_prompts(weights, j)
            variance += by_prompts
        if self.between:
            groups = [[seed[j].reward for seed in some] for some in self.seeds.values() if len(some) > 1]
            free = sum(len(group) - 1 for group in groups)
            pooled = sum(float(np.var(group, ddof=1)) * (len(group) - 1) for group in groups) / free
            variance += pooled * sum(weight**2 / len(self.seeds[name]) for name, weight in weights.items())
            df = min(df, float(free))
        if not self.by_prompt and not self.between:
            some = [(weight, self.seeds[name][0][j]) for name, weight in weights.items()]
            variance = sum(weight**2 * (one.noise + one.bend_noise) for weight, one in some)  # the bend is noisy too
            df = float(sum(one.df for _, one in some))
        reach = float(scipy.special.stdtrit(df, 0.5 + self.level / 2.0)) * math.sqrt(variance)
        return reach + self._bend(weights, j)

    def _over_prompts(self, weights: Mapping[str, float], j: int) -> tuple[float, float]:
        """Return the variance over prompts, those in common paired, and its degrees of freedom.

        These are the number of prompts of equal weight, less what the means of the checkpoints take: n - 1 of n prompts
        that are at all checkpoints, K (m - 1) of m new ones at each of K.
        """
        total, load = dict[str, float](), dict[str, float]()
        within = lost = 0.0
        for name, weight in weights.items():
            for seed in self.seeds[name]:
                here, scale = seed[j].prompts, weight / len(self.seeds[name])
                assert here is not None
                for prompt, part in here.part.items():
                    total[prompt] = total.get(prompt, 0.0) + scale * part
                    load[prompt] = load.get(prompt, 0.0) + abs(scale) * here.weight[prompt]
                within += scale**2 * here.within
                lost += scale**2 * here.lost
        loads = np.array(list(load.values())) ** 2
        number = float(loads.sum() ** 2 / (loads**2).sum())
        return sum(part**2 for part in total.values()), max(number * (1.0 - lost / within), 1.0)

    def _bend(self, weights: Mapping[str, float], j: int) -> float:
        """Return how far the line may miss a run that bends, as far as that stands out of the noise."""
        some = [(weight / len(self.seeds[name]), seed[j]) for name, weight in weights.items()
                for seed in self.seeds[name]]  # fmt: skip
        bend = sum(weight * one.bend for weight, one in some)
        noise = sum(weight**2 * one.bend_noise for weight, one in some)
        return math.sqrt(max(bend**2 - noise, 0.0))


def _told(told_by: str, every: Sequence[tuple[str, TrainingLog]]) -> list[str]:
    said = {
        "prompts": "Intervals of differences are over prompts, the same ones paired; one run each says nothing of "
        "other seeds.",
        "seeds": "Intervals of differences are over seeds, whose spread is taken to be alike for all methods.",
        "prompts and seeds": "Intervals of differences are over prompts and over seeds, whose spread is taken to be "
        "alike for all methods.",
        "checkpoints": "Intervals of differences hold the scatter of checkpoints along these very runs: they say "
        "nothing of other prompts or seeds. Single responses with names of their prompts would tell more, and so would "
        "several seeds of a method.",
    }[told_by]  # fmt: skip
    few = [title for title, log in every if told_by == "checkpoints" and log.noise() is None]
    more = [f"{few[0]!r} is too short to tell its noise, so its intervals are unknown."] if few else []
    if "prompts" not in told_by and all(log.per_prompt is not None for _, log in every):
        more.append("A checkpoint with responses to one prompt alone says nothing of other prompts.")
    return [said, *more]


def _beside_limit(found: Comparison, fit: Fit, half: FloatArray, base: float | str, check: bool) -> Comparison:
    placed = overlay(found.log, fit, base=base, pool=1, check=check)
    at = fit.at(found.kl, strict=False)
    gain = found.reward - placed.base_reward
    z = float(scipy.special.ndtri(0.5 + fit.level / 2.0))
    reach = np.hypot(half, z * placed.base_error)
    low, high = gain - reach, gain + reach
    with np.errstate(divide="ignore", invalid="ignore"):
        return replace(
            found,
            measured_in=fit.reward,
            base_reward=placed.base_reward,
            limit=np.where(at.supported, at.gain, np.nan),
            limit_low=at.gain_low,
            limit_high=at.gain_high,
            gain=gain,
            share=np.where(at.supported, gain / at.gain, np.nan),
            share_low=low / np.where(low > 0.0, at.gain_high, at.gain_low),
            share_high=high / np.where(high > 0.0, at.gain_low, at.gain_high),
            supported=at.supported,
            placed=placed,
            notes=(*placed.notes, *found.notes),
        )
