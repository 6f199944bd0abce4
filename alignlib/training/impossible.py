"""Points that no policy can reach: the evidence for another reward scale, another base or another unit of the KL."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation import Fit
from alignlib.training.gain_errors import GainErrors, kl_error
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.run_start import RunStart
from alignlib.training.step_prompts import SEVERAL, StepPrompts
from alignlib.training.strict_ends import RESPONSES, few_levels, responses_of, strict_quantile, student_reach

__all__ = ["PointsOfRun", "far_above"]

_ACCUSED = 1e-3  # chance that prompts of the table's population lie beyond all of its own so often
_FEW_ABOVE = 4  # points, more than a third of all: of 152 honest runs of 12 points none had more than 3
_ROUNDING = 1e-9  # of sums of rewards
_BITS = (8, 11, 24)  # binary digits of the numbers of bfloat16, of half and of single precision
_SUMMED = 1e-6  # of a mean in single precision
_SELDOM = 1e-3  # chance
_BY_CHANCE = 1e-4  # that the first checkpoints lie where they are, whatever the scatter
_ONE_PROMPT = 2.6  # standard errors of the base
_DRAWN = 400_000  # responses
_SCATTERS = np.geomspace(1e-3, 1e3, 121)  # over the distance of neighbours


def far_above(
    above: BoolArray,
    log: TrainingLog,
    pooled: TrainingLog,
    width: int,
    start: FloatArray,
    errors: GainErrors,
    prompts: StepPrompts,
    by_table: bool,
) -> BoolArray:
    """Say which points lie above the limit by so much that practically no run does by chance, (k,).

    A point does by itself, or with the later half of its run: of several the means of reward and KL lie below the
    limit too, for it is concave, and scatter less. So do the first checkpoints together, where the later ones show
    that the run scatters less than it moved. Where the largest reward is known, so does any mean above it. None does
    that prompts by chance may have lifted so far, however little the others scatter.

    Parameters
    ----------
    above : array of bool (k,)
        Points above the limit's interval.
    log : TrainingLog
        The runs.
    pooled : TrainingLog
        Points, each the mean of some of their checkpoints.
    width : int
        Of so many.
    start : array (checkpoints,)
        What the gain of each checkpoint is measured from.
    errors : GainErrors
        The errors of gains.
    prompts : StepPrompts
        What few prompts a step do by chance.
    by_table : bool
        Whether that is the mean of base samples, and not the run's own start.
    """
    beyond = _beyond_bounds(pooled, errors.fit) if by_table else np.zeros(pooled.kl.size, dtype=bool)
    if not above.any():
        return beyond
    starts = replace(log, reward=start)
    beyond_all = _beyond_all_prompts(pooled, starts.pooled(width).reward, width, errors)
    found = _above(log, pooled, starts.pooled(width).reward, width, errors, by_table)
    for name in log.runs:
        rows, mine = np.flatnonzero(log.run == name), pooled.run == name
        half = rows[rows.size // 2 :]
        late, size = log.keep(half), half.size
        mean = starts.keep(half).pooled(size).reward
        known = bool(found[mine].any()) or bool(_above(late, late.pooled(size), mean, size, errors, by_table).any())
        known = known or (by_table and _at_first(log.keep(rows), start[rows], errors))
        if known and prompts.explain(_BY_CHANCE):
            known = prompts.further(int((found & beyond_all & mine).sum()), int(mine.sum())) < _ACCUSED
        found = np.where(mine, known, found)  # who is found out by one point is so at every other above the interval
    return np.asarray((above & found) | beyond)


def _limit_of(points: TrainingLog, fit: Fit) -> FloatArray:
    """Return the upper end of the limit at the KL of each point, (k,)."""
    most = np.where(np.isfinite(points.ends[1]), np.maximum(points.ends[1], 0.0), 0.0)
    return fit.at(most, strict=False).gain_high


def _beyond_all_prompts(points: TrainingLog, start: FloatArray, width: int, errors: GainErrors) -> BoolArray:
    """Say which points lie above the limit by more than responses of any one prompt of the table's could, (k,)."""
    fit = errors.fit
    apart = _range_of_prompts(fit) + strict_quantile(points.kl.size) * errors.scatter.base / math.sqrt(RESPONSES)
    return np.asarray(points.reward - start > _limit_of(points, fit) + apart / math.sqrt(width))


def _range_of_prompts(fit: Fit) -> float:
    means = np.add.reduceat(fit.table.column(fit.reward), fit.table.offsets[:-1]) / fit.table.n_samples
    return float(means.max() - means.min())


def _prompts_of(points: TrainingLog) -> IntArray:
    """Return how many prompts each point is of, (k,), where the log holds them."""
    held = points.per_prompt
    assert held is not None
    pairs = np.unique(np.stack([held.checkpoint, np.unique(held.prompt.astype(str), return_inverse=True)[1]]), axis=1)
    return np.bincount(pairs[0], minlength=points.kl.size)


def _beyond_bounds(points: TrainingLog, fit: Fit) -> BoolArray:
    """Say which points have a mean reward above the largest there is, where that is known, (k,): no scatter does."""
    if fit.bounded is None or fit.win_rate:
        return np.zeros(points.reward.size, dtype=bool)
    return np.asarray((points.kl >= 0.0) & (points.reward > _as_logged(fit.bounded)[1]))


def _as_logged(bounded: tuple[float, float]) -> tuple[float, float]:
    """Return the least and the largest mean that a trainer logs of rewards within bounds: it holds them rounded."""
    ends = np.array(bounded)
    part, power = np.frexp(ends)
    held = np.array([ends, *(np.ldexp(np.rint(np.ldexp(part, bits)), power - bits) for bits in _BITS)])
    slack = _SUMMED * float(np.abs(ends).max())
    return float(held[:, 0].min()) - slack, float(held[:, 1].max()) + slack


def _at_first(log: TrainingLog, start: FloatArray, errors: GainErrors) -> bool:
    """Say whether the first checkpoints of a run, two or more, lie above the limit by no chance.

    Second differences take a run that falls from one checkpoint to the next for one that scatters. But neighbours that
    lie close together show how little it scatters, wherever its course goes: noise of deviation σ brings a number
    within x of any other with a chance of ``2Φ(x/σ) - 1`` at most, whatever came before. So for each σ there is a
    chance that half of the later neighbours are as close as they are, times that of a mean so far above the limit.
    Scatter may end with a run's collapse, as where all responses become alike: so the first checkpoints must also be
    further out than single responses of the table would be.
    """
    fit = errors.fit
    if errors.paired or few_levels(fit.table, fit.reward) is not None:  # there responses are counted
        return False
    at = fit.at(np.maximum(log.ends[1], 0.0), strict=False)
    excess = log.reward - start - at.gain_high
    values = fit.table.column(fit.reward)
    spread = float(values.std(ddof=1))
    size, usable = 2, at.supported & (log.ends[1] >= 0.0)
    while 2 * size <= log.kl.size and usable[:size].all():
        mean, near = float(excess[:size].mean()), np.sort(np.abs(np.diff(log.reward[size:])))
        half = near.size // 2
        if near.size and mean > _single_responses(fit, size) + _ONE_PROMPT * errors.base_error:
            scatter = _SCATTERS * max(float(near[half]), _ROUNDING * spread)
            close = scipy.special.bdtrc(half, near.size, 2.0 * scipy.special.ndtr(1.0 / _SCATTERS) - 1.0)
            out = scipy.special.ndtr(-mean / np.hypot(errors.base_error, scatter / math.sqrt(size)))
            if float((close * out).max()) < _BY_CHANCE:
                return True
        size *= 2
    return False


def _single_responses(fit: Fit, size: int) -> float:
    """Return how far above the base's mean so many single responses lie together, by chance once in ten thousand.

    A rare kind of prompts or responses makes that far more than a normal law would.
    """
    values = fit.table.column(fit.reward)
    drawn = np.random.default_rng(0).choice(values, (max(_DRAWN // size, 1), size)).mean(axis=1)
    return float(np.quantile(drawn, 1.0 - _BY_CHANCE)) - float(values.mean())


def _above(
    log: TrainingLog, points: TrainingLog, start: FloatArray, width: int, errors: GainErrors, by_table: bool
) -> BoolArray:
    fit, gain = errors.fit, points.reward - start
    z = strict_quantile(errors.log.kl.size)
    spent = np.maximum(points.ends[1], 0.0)
    bounded = np.isfinite(spent)
    spent = np.where(bounded, spent, 0.0) + z * kl_error(log, points, width)
    at = fit.at(spent, strict=False)
    usual = float(scipy.special.ndtri(0.5 + fit.level / 2.0))
    most = at.gain + max(z / usual, 1.0) * (at.gain_high - at.gain)
    levels, counted = few_levels(fit.table, fit.reward), responses_of(points)
    many = np.full(gain.size, errors.scatter.responses * width) if counted is None else counted
    reach, chance = _reaches(points, gain, np.minimum(gain, most), many, width, z, errors)
    # A mean beyond every sample of the table is none of its scale, however much the run seems to scatter.
    beyond = points.reward - chance > float(fit.table.column(fit.reward).max())
    above = (gain - np.where(beyond & by_table, chance, reach) > most) & bounded
    if levels is None or not above.any():
        return above
    means = points.reward if by_table else gain + fit.base_reward
    inside = levels.within(means)
    below = levels.arms(means, many, z)[0]
    if not by_table:  # the run's start has an error of its own
        below = np.hypot(below, levels.arms(np.full(gain.size, fit.base_reward), many, z)[1])
    elif errors.paired:  # a batch of the prompts may be easier than all
        below = below + np.maximum(start - fit.base_reward, 0.0)
    top = levels.most_reward(spent, resampled=not errors.paired and not fit.fixed_prompts)
    return above & (~inside | (means - below > top))


def _reaches(
    points: TrainingLog, gain: FloatArray, due: FloatArray, many: FloatArray, width: int, z: float, errors: GainErrors
) -> tuple[FloatArray, FloatArray]:
    """Return how far chance goes for each point, and for one beyond every sample of the table, (k,) each.

    ``due`` is the part of the gain that a policy may have, by which responses scatter. Few degrees of freedom tell
    little of the scatter; so many responses as any checkpoint has scatter no more than they would by themselves.
    """
    fit, scatter = errors.fit, errors.scatter
    if errors.paired:
        error, free = errors.of(points, width)
        spread = scatter.base / np.sqrt(np.minimum(many, RESPONSES * width))
        with np.errstate(over="ignore"):
            reach = np.minimum(student_reach(z, free) * error, z * np.maximum(error, spread))
        # One prompt or two may have spent nats of their own that their few samples show nothing of.
        alone = _prompts_of(points) < SEVERAL
        return np.where(alone, np.inf, reach), np.where(alone, np.inf, z * spread)
    own = scatter.noise_at(scatter.centre + due) / math.sqrt(width)
    spread = scatter.of_a_step(scatter.centre + due) / math.sqrt(width)
    if scatter.noise is None:
        own = np.zeros(gain.size)
        if not scatter.fixed:  # of one prompt, for all that the log tells
            spread = np.maximum(spread, _range_of_prompts(fit) / z / math.sqrt(width))
    elif scatter.noise > scatter.base / math.sqrt(RESPONSES):
        # Responses go together, as of one prompt a step, and prompts differ by whatever law: only scatter tells.
        spread = np.full(gain.size, np.inf)
    error = np.hypot(errors.base_error, own)
    prompts = float(fit.table.n_prompts - 1) if fit.table.n_prompts > 1 and not fit.fixed_prompts else np.inf
    with np.errstate(over="ignore"):
        reach = z * np.maximum(error, spread)
        if scatter.noise is not None:
            noise = student_reach(z, scatter.free) * own
            reach = np.minimum(reach, np.hypot(student_reach(z, prompts) * errors.base_error, noise))
    # Of single prompts, of which the table need not have the best: as far beyond its samples as these lie apart.
    values = fit.table.column(fit.reward)
    apart = max(z * scatter.base, float(values.max() - values.min())) / math.sqrt(width)
    chance = np.where(np.isfinite(spread), z * spread, apart)
    if few_levels(fit.table, fit.reward) is not None:  # at the last level hardly any, be they of one prompt
        chance = np.minimum(chance, z * scatter.at(scatter.centre + due) / math.sqrt(RESPONSES * width))
        if scatter.noise is not None:
            chance = np.minimum(chance, student_reach(z, scatter.free) * scatter.noise / math.sqrt(width))
    return reach, chance


@dataclass(frozen=True, eq=False)
class PointsOfRun(SameFields):
    """The points of a run beside the limit, of which some lie above it.

    Attributes
    ----------
    log : TrainingLog
        The points, (k,).
    fit : Fit
        The run's reward, fitted on samples of its base.
    gain, gain_low : array (k,)
        Gain over the base's mean reward, and the lower end of its interval.
    limit_high : array (k,)
        The most that any policy gains at each KL.
    needed_low : array (k,)
        The least KL in nats that may do for the gain.
    start : RunStart
        The checkpoint nearest to the base.
    prompts : StepPrompts
        What few prompts a step do by chance.
    """

    log: TrainingLog
    fit: Fit
    gain: FloatArray
    gain_low: FloatArray
    limit_high: FloatArray
    needed_low: FloatArray
    start: RunStart
    prompts: StepPrompts

    def hardly_chance(self, over: BoolArray) -> bool:
        """Say whether so many points lie above the limit's interval as honest runs seldom have.

        Parameters
        ----------
        over : array of bool (k,)
            Which do.
        """
        if int(over.sum()) < _FEW_ABOVE or 3 * int(over.sum()) <= over.size:
            return False
        return not self.prompts.explain(_SELDOM)

    def above_by_chance(self, over: BoolArray) -> list[str]:
        """Say which points lie above the limit's interval though none is called impossible, and what speaks for what.

        Parameters
        ----------
        over : array of bool (k,)
            Which are meant.
        """
        if not over.any():
            return []
        first, several = float(self.log.step[int(np.argmax(over))]), int(over.sum()) > 1
        which = f"{int(over.sum())} points lie" if several else "1 point lies"
        where = f", the first at step {first:g}" if several else f" (step {first:g})"
        if self.hardly_chance(over):
            because = "which a run seldom does by chance, though its scatter does not settle it. If it is none"
        else:
            because = "but so few checkpoints or such scatter may do that by chance. If it is none"
        which = f"{which} above the limit's interval{where}, {because}, no policy can"
        said = [
            f"{which}, and this is another reward scale, base or unit of the KL than the table's{self._unseen()}.",
            *self._evidence(over),
            "The share shown is all of the limit, and what seems wasted lies below 0.",
        ]
        return [" ".join(said)]

    def impossible(self, above: BoolArray) -> list[str]:
        """Say what speaks for which explanation, where points lie above the limit's interval and chance does not do it.

        Parameters
        ----------
        above : array of bool (k,)
            Which do.
        """
        if not above.any():
            return []
        first = int(np.argmax(above))
        said = (
            f"{int(above.sum())} of {above.size} points lie above the limit's interval, the first at step "
            f"{self.log.step[first]:g}: no policy can, so this is another reward scale, base or unit of the KL than "
            f"the table's{self._unseen()}. "
        )
        return [said + " ".join(self._evidence(above))]

    def _unseen(self) -> str:
        """Say what samples cannot exclude: what has a base probability below 3/N is missing from N in one of 20."""
        others = "" if self.start.same_prompts else ", its prompts are others"
        if self.fit.bounded is not None:
            return others
        shown = int(self.fit.table.n_samples.sum())
        return f"{others}, or the base now and then earns more than its {shown:,} samples show"

    def _evidence(self, above: BoolArray) -> list[str]:
        """Return what speaks for which: rewards beyond all of the table's, and the run's start beside its mean."""
        scaled, bounded = _range(self.log, self.fit), self.fit.bounded
        far = int(np.flatnonzero(above)[np.argmax(self.gain[above])])
        kl, needed, start = float(self.log.kl[far]), float(self.needed_low[far]), self.start
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            times = float(np.divide(needed, kl)) if kl >= 0.0 else math.inf
        # The largest of many gains is beyond the end of its own interval more often than one of them.
        further = strict_quantile(above.size) / float(scipy.special.ndtri(0.5 + self.fit.level / 2.0))
        low = float(self.gain[far] - further * (self.gain[far] - self.gain_low[far]))
        factors = _factors(start.base + low, start.base + float(self.limit_high[far]))
        needs, out = "", bounded is not None and not self.log.reward[far] <= bounded[1]  # which no KL explains
        if math.isfinite(times) and times > 1.0 and not out:
            needs = (
                f" The gain at step {self.log.step[far]:g} needs {needed:.3g} nats or more, {self._beside(far, times)}."
            )
        excess = float((self.gain_low - self.limit_high)[above].max())
        times = times if self._told(far) else math.inf
        return [*scaled, start.evidence(factors, times, excess, bool(scaled), rare=bounded is None) + needs]

    def _told(self, i: int) -> bool:
        """Say whether a point's KL is told, rather than the ends between which it lies."""
        return bool(self.log.ends[0][i] == self.log.ends[1][i])

    def _beside(self, i: int, times: float) -> str:
        """Say how far a gain is from the point's KL, and what would look so: no number is a multiple of a printed 0."""
        most = float(self.log.ends[1][i])
        if self.log.logged_kl[i] == 0.0:
            zero = "where 0 is logged" + (f", which is {most:.2g} nats at most" if most > 0.0 else "")
            return f"{zero}: a KL that was not measured, or log-probabilities of another law, would look so"
        what = "what is logged" if self._told(i) else "the most that its KL may be"
        return (
            f"{times:.3g} times {what}: nats per token taken for nats per sequence, a KL underestimated (k3 often is, "
            "by few samples), or log-probabilities of another law would look so"
        )


def _range(log: TrainingLog, fit: Fit) -> list[str]:
    values = fit.table.column(fit.reward)
    most, least = int(np.argmax(log.reward)), int(np.argmin(log.reward))
    at, side, end = most, "above", values.max()
    if log.reward[most] <= values.max():
        at, side, end = least, "below", values.min()
        if log.reward[least] >= values.min():
            return []
    said = f"The run averages {log.reward[at]:.4g} at step {log.step[at]:g}, and no response in the table scores"
    if fit.bounded is not None:
        low, high = _as_logged(fit.bounded)
        if not low <= log.reward[at] <= high:
            return [f"{said} {side} {end:.4g}, nor can any: another scale."]
        if not fit.bounded[0] < log.reward[at] < fit.bounded[1]:  # the end itself, as the trainer writes it
            return []
    return [f"{said} {side} {end:.4g}: another scale, a KL far larger than logged, or a reward too rare for the table."]


def _factors(seen: float, limit: float) -> tuple[float, float] | None:
    """Return the ends of the factors of the reward that bring a mean down to the largest possible one, if any do.

    A factor moves the base's mean too, so it is that of the whole mean, not of the gain.
    """
    if limit > 0.0:
        return max(seen / limit, 1.0), math.inf
    return (0.0, seen / limit) if seen < 0.0 else None
