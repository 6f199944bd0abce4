"""A run at one KL, and the error of that and of sums over runs: by prompts, seeds or the scatter of checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib.training.kl_course import Course, kl_course
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.smoothing import Scatter, bend_weights, local_weights, scatter_of

_PLACES = 9  # along a run, at which its reward is sought where a KL has ends only

NOT_TOLD_APART = "how hard the prompts are and the method cannot be told apart"
TAKEN_OUT = "the base's mean on each is taken out, but not how much there is to gain on it"
_WIDER = 1.5  # times
_MEMORY_TOLD = 40  # checkpoints, of fewer of which independent noise is often taken for noise that goes on

__all__ = ["NOT_TOLD_APART", "TAKEN_OUT", "AtKL", "Errors", "along", "told"]


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
class AtKL:
    """One log at one KL.

    Attributes
    ----------
    reward : float
        Its reward there.
    noise, df : float
        Variance by noise along the run, and its degrees of freedom.
    prompts : object, optional
        What its prompts add to the error.
    bend, bend_noise : float
        How far a curve of one degree more lies above the parabola, and the variance of that.
    open : float
        How far the reward may be another because the log tells ends of the KL only.
    """

    reward: float
    noise: float
    df: float
    prompts: _Prompts | None
    bend: float
    bend_noise: float
    open: float = 0.0


def along(log: TrainingLog, budgets: FloatArray, smooth: bool = False) -> list[AtKL]:
    """Evaluate a run at each KL.

    Parameters
    ----------
    log : TrainingLog
        One run.
    budgets : array (k,)
        KLs in nats.
    smooth : bool
        Take the course of a noisy KL along the steps for the KL.
    """
    log = log if (log.kl >= 0.0).all() else log.keep(log.kl >= 0.0)
    course = kl_course(log) if smooth else None
    log = log if course is None else replace(log, kl=course.kl)
    scatter = _scatter(log)
    found = []
    for budget in budgets.tolist():
        kl, missed = _places(log, budget)
        value, slope = local_weights(log.kl, kl)
        bend = bend_weights(log.kl, kl)
        steep = float(slope @ log.reward)
        of_kl = 0.0 if course is None else _of_kl(course, log, kl, float(value @ log.reward), steep)
        found.append(
            AtKL(
                float(value @ log.reward),
                math.nan if scatter is None else scatter.of_sum(value) + of_kl,
                1.0 if scatter is None else scatter.freedom(kl),
                _prompts(log, value, steep),
                float(bend @ log.reward),
                0.0 if scatter is None else scatter.of_sum(bend),
                missed,
            )
        )
    return found


def _of_kl(course: Course, log: TrainingLog, kl: float, value: float, slope: float) -> float:
    """Return the variance of the reward at a KL that the error of the KL makes, by where it rises most near by."""
    error = math.sqrt(float(course.variance[np.argmin(np.abs(course.kl - kl))]))
    least, most = float(log.kl.min()), float(log.kl.max())
    far = [abs(slope) * min(error, kl)]  # next to the base the slope in the KL has no bound, and says nothing
    for errors in (-2.0, -1.0, 1.0, 2.0):
        at = min(max(kl + errors * error, least), most)
        far.append(
            abs(float(local_weights(log.kl, at)[0] @ log.reward) - value) * min(1.0, error / max(abs(at - kl), 1e-300))
        )
    return max(far) ** 2


def _places(log: TrainingLog, budget: float) -> tuple[float, float]:
    """Return where a run is at a KL, by the product of its means, and how far its reward may be another there.

    Where the log tells ends of the KL only, any checkpoint whose ends hold it may be the one, and any between them.
    """
    if log.kl_low is None:
        return budget, 0.0
    low, high = log.ends
    order = np.argsort(log.kl, kind="stable")
    before, after = np.flatnonzero(high[order] < budget), np.flatnonzero(low[order] > budget)
    may = np.flatnonzero((low[order] <= budget) & (budget <= high[order]))
    held = [*before[-1:], *after[:1], *np.clip([may.min() - 1, may.max() + 1] if may.size else [], 0, order.size - 1)]
    ends = log.kl[order][[int(min(held)), int(max(held))]]
    places = np.linspace(math.sqrt(ends[0]), math.sqrt(ends[1]), _PLACES) ** 2
    at = min(max(budget, float(ends[0])), float(ends[1]))
    rewards = [float(local_weights(log.kl, float(one))[0] @ log.reward) for one in (at, *places)]
    return at, max(max(rewards) - rewards[0], rewards[0] - min(rewards))


def _scatter(log: TrainingLog) -> Scatter | None:
    has_place = log.kl >= 0.0
    return scatter_of(log.kl[has_place], log.reward[has_place], log.step[has_place])


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


class Errors:
    """Half-widths of intervals for sums of runs' rewards, from prompts, seeds or noise.

    A noisy KL may be one that was measured with noise, or one that moved: the interval around what is right for the one
    holds the interval of the other.

    Parameters
    ----------
    seeds : mapping of str to sequences
        What each log of a run has at each KL, by the course of the KL along the steps.
    as_logged : mapping of str to sequences
        The same by the KLs as they were logged.
    level : float
        Coverage aimed at.
    """

    def __init__(
        self, seeds: Mapping[str, list[list[AtKL]]], as_logged: Mapping[str, list[list[AtKL]]], level: float
    ) -> None:
        self.seeds, self.as_logged, self.level = seeds, as_logged, level
        several = [some for some in seeds.values() if len(some) > 1]
        self.by_prompt = all(one.prompts is not None for some in seeds.values() for seed in some for one in seed)
        self.between = len(several) > 0
        kinds = (["prompts"] if self.by_prompt else []) + (["seeds"] if self.between else [])
        self.told_by = " and ".join(kinds) or "checkpoints"

    def value(self, weights: Mapping[str, float], j: int) -> float:
        """Return a sum of runs at one budget.

        Parameters
        ----------
        weights : mapping of str to float
            The sum: a weight for each run.
        j : int
            Position of the budget.
        """
        return _sum(self.seeds, weights, j)

    def of(self, weights: Mapping[str, float], j: int) -> float:
        """Return the half-width for a sum of runs at one budget.

        Parameters
        ----------
        weights : mapping of str to float
            The sum: a weight for each run.
        j : int
            Position of the budget.
        """
        half = self._half(self.seeds, weights, j)
        apart = abs(_sum(self.as_logged, weights, j) - self.value(weights, j))
        return half if apart == 0.0 else max(half, apart + self._half(self.as_logged, weights, j))

    def _half(self, seeds: Mapping[str, list[list[AtKL]]], weights: Mapping[str, float], j: int) -> float:
        variance, df = 0.0, math.inf
        if self.by_prompt:
            by_prompts, df = self._over_prompts(seeds, weights, j)
            variance += by_prompts
        if self.between:
            groups = [[seed[j].reward for seed in some] for some in seeds.values() if len(some) > 1]
            free = sum(len(group) - 1 for group in groups)
            pooled = sum(float(np.var(group, ddof=1)) * (len(group) - 1) for group in groups) / free
            variance += pooled * sum(weight**2 / len(seeds[name]) for name, weight in weights.items())
            df = min(df, float(free))
        if not self.by_prompt and not self.between:
            some = [(weight**2 * seeds[name][0][j].noise, seeds[name][0][j].df)
                    for name, weight in weights.items()]  # fmt: skip
            variance = sum(part for part, _ in some)
            if variance > 0.0:  # by shares, for the square of a variance may be no float
                df = 1.0 / sum((part / variance) ** 2 / free for part, free in some)
        reach = float(scipy.special.stdtrit(df, 0.5 + self.level / 2.0)) * math.sqrt(variance)
        missed = sum(
            abs(weight) * seed[j].open / len(seeds[name]) for name, weight in weights.items() for seed in seeds[name]
        )
        return reach + self._bend(seeds, weights, j) + missed

    def _over_prompts(
        self, seeds: Mapping[str, list[list[AtKL]]], weights: Mapping[str, float], j: int
    ) -> tuple[float, float]:
        """Return the variance over prompts, those in common paired, and its degrees of freedom.

        These are the number of prompts of equal weight, less what the means of the checkpoints take: n - 1 of n prompts
        that are at all checkpoints, K (m - 1) of m new ones at each of K.
        """
        total, load = dict[str, float](), dict[str, float]()
        within = lost = 0.0
        for name, weight in weights.items():
            for seed in seeds[name]:
                here, scale = seed[j].prompts, weight / len(seeds[name])
                assert here is not None
                for prompt, part in here.part.items():
                    total[prompt] = total.get(prompt, 0.0) + scale * part
                    load[prompt] = load.get(prompt, 0.0) + abs(scale) * here.weight[prompt]
                within += scale**2 * here.within
                lost += scale**2 * here.lost
        loads = np.array(list(load.values())) ** 2
        number = float(loads.sum() ** 2 / (loads**2).sum())
        return sum(part**2 for part in total.values()), max(number * (1.0 - lost / within), 1.0)

    def _bend(self, seeds: Mapping[str, list[list[AtKL]]], weights: Mapping[str, float], j: int) -> float:
        """Return how far the parabola may miss a run, as far as that stands out of the noise."""
        some = [(weight / len(seeds[name]), seed[j]) for name, weight in weights.items()
                for seed in seeds[name]]  # fmt: skip
        bend = sum(weight * one.bend for weight, one in some)
        noise = sum(weight**2 * one.bend_noise for weight, one in some)
        return math.sqrt(max(bend**2 - noise, 0.0))


def _sum(seeds: Mapping[str, list[list[AtKL]]], weights: Mapping[str, float], j: int) -> float:
    return float(sum(weight * np.mean([seed[j].reward for seed in seeds[name]]) for name, weight in weights.items()))


def told(told_by: str, every: Sequence[tuple[str, TrainingLog]], methods: Sequence[Sequence[TrainingLog]]) -> list[str]:
    """Say what intervals told by prompts, seeds or checkpoints hold, and what they do not.

    Parameters
    ----------
    told_by : str
        ``"prompts"``, ``"seeds"``, both, or ``"checkpoints"``.
    every : sequence of (str, TrainingLog)
        The logs by run.
    methods : sequence of sequences of TrainingLog
        The logs of each method.
    """
    said = {
        "prompts": f"Intervals of differences are over prompts, {_in_common(methods)}; one run each says nothing "
        "of other seeds.",
        "seeds": "Intervals of differences are over seeds, whose spread is taken to be alike for all methods.",
        "prompts and seeds": f"Intervals of differences are over prompts, {_in_common(methods)}, and over seeds, whose "
        "spread is taken to be alike for all methods.",
        "checkpoints": "Intervals of differences hold the scatter of checkpoints along these very runs, also where it "
        "goes on from one to the next: they say nothing of other prompts or seeds. Single responses with names of "
        "their prompts would tell more, and so would several seeds of a method.",
    }[told_by]  # fmt: skip
    spread = {title: _scatter(log) for title, log in every} if told_by == "checkpoints" else {}
    few = [title for title, scatter in spread.items() if scatter is None]
    wider = {
        title: scatter.wider(float(np.median(scatter.kl)))
        for title, scatter in spread.items()
        if scatter is not None and scatter.kl.size < _MEMORY_TOLD
    }
    short = [title for title, times in wider.items() if times > _WIDER]
    noisy = [(title, course.scatter) for title, log in every if (course := kl_course(log.keep(log.kl >= 0.0)))]
    more = [f"{few[0]!r} is too short to tell its noise, so its intervals are unknown."] if few else []
    if short and not few:
        more.append(
            f"Of fewer than {_MEMORY_TOLD} checkpoints ({', '.join(map(repr, short[:3]))}{', …' if short[3:] else ''}) "
            "the scatter hardly tells how far noise goes on from one to the next. It may go on for long, and "
            f"intervals allow for it: they are up to {max(wider.values()):.2g} times as wide as they would be if noise "
            "were known to be independent. Log more checkpoints, or single responses."
        )
    if "prompts" not in told_by and all(log.per_prompt is not None for _, log in every):
        more.append("A checkpoint with responses to one prompt alone says nothing of other prompts.")
    between = [title for title, log in every if log.kl_low is not None]
    if between:
        more.append(
            f"The KL of {between[0]!r} is known between ends only: its rewards are those at the KL as logged "
            "(per token: times the mean length), and intervals hold all that it may have had there."
        )
    if noisy:
        title, part = max(noisy, key=lambda one: one[1])
        more.append(
            f"The KL of {title!r} scatters by {100.0 * part:.2g} % around its course: runs are compared at their "
            "courses along the steps, and intervals hold the error of these, also where the scatter goes on from a "
            "checkpoint to the next, and what the logged KLs say besides."
        )
    return [said, *more]


def _in_common(methods: Sequence[Sequence[TrainingLog]]) -> str:
    """Say whether two methods share prompts, which pairing needs."""
    held = [
        {prompt for log in some if log.per_prompt is not None for prompt in log.per_prompt.prompt.tolist()}
        for some in methods
    ]
    shared = {prompt for i, one in enumerate(held) for other in held[:i] for prompt in one & other}
    if not shared:
        return f"of which no two methods share one ({NOT_TOLD_APART})"
    whole = len({prompt for one in held for prompt in one})
    return "the same ones paired" if len(shared) == whole else f"the same ones, {len(shared)} of {whole}, paired"
