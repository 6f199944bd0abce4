"""Which checkpoint of a run to keep: by its gold, or by what base samples predict of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, as_number, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.estimation import Fit, GoldTurn, gold_turn
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.own_limit import own_limits
from alignlib.training.predicted_gold import Predicted, by_prediction, predict_gold
from alignlib.training.run_gold import RunGold, gold_of_log
from alignlib.training.step_prompts import StepPrompts, deviation_within
from alignlib.training.strict_ends import student_reach

__all__ = ["Pick", "pick"]

_NEAR_BASE, _FEW, _SURE = 1.0, 16, 4.0  # nats, responses of a checkpoint at least, standard errors
_MORE, _TILTS = 1.2, 40  # times what the samples allow, for what they have not shown; tilts that are tried
_SEVERAL, _RARELY = 3, 1e-4  # checkpoints; chance
_SCATTER = 8  # checkpoints that show how much they scatter
_KINK, _MOODS = 2, 3.5  # left out; of the others one run in fifty without moods has larger ones, by simulation
_POINTS = 24  # of a log whose gold is predicted only


@dataclass(frozen=True, eq=False)
class Pick(SameFields):
    """The checkpoint to keep, of those of a run in order of steps.

    Attributes
    ----------
    log : TrainingLog
        The run.
    by : str
        ``"measured"`` or ``"predicted"`` gold.
    told_by : str
        Whether errors come from the same prompts or from the scatter of the checkpoints.
    step : array (k,)
        Steps of training.
    kl : array (k,)
        KL in nats per sequence.
    gold : array (k,), optional
        What the checkpoints had; None if it is predicted.
    behind, behind_error : array (k,)
        How far each lies below the best, with the standard error of that difference; NaN where not known.
    best : int
        Position of the best.
    chosen : int
        Position of the checkpoint of least KL that lies behind by at most one standard error.
    turn : GoldTurn, optional
        The sequential test of whether gold has fallen.
    predicted : Predicted, optional
        What base samples expect.
    against, against_low, against_high : array (k,), optional
        Measured gold minus that of best-of-N at equal KL, with its interval.
    level : float
        Coverage that the intervals aim at.
    notes : tuple of str
        Sentences on what was left out.
    kl_low, kl_high : array (k,), optional
        Ends between which each KL lies, where the log tells no more: ``kl`` then only orders the checkpoints.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from alignlib.training.example_run import example_run
    >>> log = example_run(2, 3, np.random.default_rng(0))[0]
    >>> found = pick(log, replace(log, reward=-((log.kl - 0.5) ** 2)))
    >>> found.by, bool(abs(found.kl[found.best] - 0.5) < 0.2)
    ('measured', True)
    """

    log: TrainingLog
    by: str
    told_by: str
    step: FloatArray
    kl: FloatArray
    gold: FloatArray | None
    behind: FloatArray
    behind_error: FloatArray
    best: int
    chosen: int
    turn: GoldTurn | None
    predicted: Predicted | None
    against: FloatArray | None
    against_low: FloatArray | None
    against_high: FloatArray | None
    level: float
    notes: tuple[str, ...]
    kl_low: FloatArray | None = None
    kl_high: FloatArray | None = None

    def __repr__(self) -> str:
        """Return how many checkpoints there are and which is chosen."""
        return (
            f"<Pick of {counted(self.step.size, 'checkpoint')} by {self.by} gold: step {self.step[self.chosen]:g}, "
            f"{self.kl[self.chosen]:.3g} nats; most at step {self.step[self.best]:g}>"
        )


def pick(
    log: TrainingLog,
    gold: RunGold | TrainingLog | None = None,
    *,
    fit: Fit | None = None,
    column: str | None = None,
    error: float | None = None,
    looks: int | None = None,
    level: float = 0.95,
) -> Pick:
    """Return the checkpoint to keep: the least KL whose gold is within one standard error of the most.

    Parameters
    ----------
    log : TrainingLog
        KL of the checkpoints of one run.
    gold : RunGold or TrainingLog, optional
        Gold where it was measured: of scored responses (`gold_of_scores`), or the log read with gold as its reward.
        Without it gold is predicted from base samples, for the policy with the most proxy at each checkpoint's KL.
    fit : Fit, optional
        The run's reward, the proxy, fitted on samples of the base; needed to predict.
    column : str, optional
        The column of the fit's table with gold.
    error : float, optional
        Chance of a false alarm of the test of whether gold has fallen; by default 1 - level.
    looks : int, optional
        How many checkpoints will be scored in all, if known: see `gold_turn`.
    level : float
        Coverage of the intervals; that of the fit, if there is one.

    Raises
    ------
    InputError
        Where gold is neither measured nor can be predicted.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from alignlib.training.example_run import example_run
    >>> rng = np.random.default_rng(0)
    >>> log = example_run(2, 3, rng)[0]
    >>> course = 2.0 * np.sqrt(log.kl.clip(0.0)) - 1.5 * log.kl  # most at 0.44 nats
    >>> found = pick(log, replace(log, reward=course + 0.02 * rng.standard_normal(24)))
    >>> bool(0.2 < found.kl[found.chosen] < 0.8), found.turn.said_at is not None
    (True, True)

    Source: the one-standard-error rule is that of classification trees, here with the error of a difference.
    """
    require(fit is None or column is not None, "column must name the gold of the table that fit is of.", "column")
    if isinstance(gold, TrainingLog):
        gold = gold_of_log(gold)
    if gold is None and fit is None:
        raise InputError(
            "gold must be measured at checkpoints, or predicted from base samples that both rewards have scored: give "
            "one of them.",
            argument="gold",
        )
    level = level if fit is None else fit.level
    as_number("level", level, 0.0, 1.0, open_low=True, open_high=True)
    notes: list[str] = []
    low, high = (None, None) if gold is None else (gold.kl_low, gold.kl_high)
    if gold is None:
        require(
            log.kl_low is None,
            f"{log.path} tells ends of the KL per sequence only, or none, by {log.kl_name!r} and lengths: no gold can "
            "be predicted at an unknown KL. Give responses with their log-probabilities, or measured gold (gold).",
            "gold",
        )
        require(
            bool((log.kl != 0.0).any()),
            f"{log.path} logs a KL of 0 at every checkpoint: no reference model was loaded, or the policy never left "
            "its base, and no gold can be predicted. Give responses with their log-probabilities, or measured gold "
            "(gold).",
            "gold",
        )
        points = _one_in_order(log)
        step, kl = points.step, points.kl
        if points.kl.size < log.kl.size:
            notes.append(
                f"Each point is the mean of {math.ceil(log.kl.size / points.kl.size)} consecutive checkpoints, more or "
                "less."
            )
    else:
        step, kl = gold.step, gold.kl
        notes += gold.notes
    require(
        step.size >= 2, f"Gold is known at {counted(step.size, 'checkpoint')} only; score it at two at least.", "gold"
    )
    possible = kl >= 0.0
    require(
        bool(possible.any()),
        f"All {kl.size} checkpoints have a negative KL, which no policy has: the log-probabilities are not of the "
        "policy that sampled, or the sign is turned; correct the log.",
    )
    if low is not None:
        by, order = ("and lengths", "its product with the mean length") if log.length is not None else ("alone", "it")
        notes.append(
            f"The KL of a checkpoint is known between ends only, if at all, by {log.kl_name!r} {by}: checkpoints are "
            f"ordered by {order}, and nothing is compared at equal KL."
        )
    if fit is not None and column is not None and low is None:
        own = own_limits(log, fit)
        fit, notes = own.whole, [*notes, *own.notes]
    predicted = None if fit is None or column is None or low is not None else predict_gold(kl, fit, column)
    if gold is None:
        assert predicted is not None
        best, behind, apart = by_prediction(predicted)
        told_by, values, turn = "prompts", None, None
    else:
        moved, said = _mood(gold)
        notes += said
        gold = replace(gold, per_prompt=None) if moved else gold
        values = gold.gold
        best, behind, apart, told_by = _by_measurement(gold)
        turn = gold_turn(
            gold.gold if gold.per_prompt is None else gold.per_prompt,
            error=1.0 - level if error is None else error,
            looks=looks,
        )
    if fit is not None:
        notes += _unlike_base(log.kl, log.reward, log.noise(), fit, fit.reward, same_prompts=False)
        if gold is not None and column is not None and predicted is not None:
            each = gold.per_prompt
            error = _noise(gold.gold) if each is None else float(each.std(axis=1, ddof=1).max()) / each.shape[1] ** 0.5
            notes += _unlike_base(gold.kl, gold.gold, error, fit, column, same_prompts=each is not None)
    with np.errstate(invalid="ignore"):
        near = (behind <= apart) | (np.arange(step.size) == best)
    near = np.flatnonzero(near & possible if (near & possible).any() else near)
    chosen = int(near[np.lexsort((step[near], kl[near]))[0]])
    against = (None, None, None) if gold is None or predicted is None else _against(gold, predicted, level)
    return Pick(
        log=log,
        by="predicted" if gold is None else "measured",
        told_by=told_by,
        step=step,
        kl=kl,
        gold=values,
        behind=behind,
        behind_error=apart,
        best=best,
        chosen=chosen,
        turn=turn,
        predicted=predicted,
        against=against[0],
        against_low=against[1],
        against_high=against[2],
        level=level,
        notes=tuple(notes),
        kl_low=low,
        kl_high=high,
    )


def _one_in_order(log: TrainingLog) -> TrainingLog:
    """Return one run in order of steps, averaged to two dozen points."""
    gold_of_log(log)  # refuses several runs
    order = np.argsort(log.step, kind="stable")
    return replace(log, per_prompt=None).keep(order).pooled(math.ceil(log.kl.size / _POINTS))


def _by_measurement(gold: RunGold) -> tuple[int, FloatArray, FloatArray, str]:
    """Return the best checkpoint by measured gold, how far others lie behind, the error of that and what tells it."""
    best = int(np.argmax(gold.gold))
    behind = gold.gold[best] - gold.gold
    if gold.per_prompt is not None:
        apart = gold.per_prompt[best] - gold.per_prompt
        error = apart.std(axis=1, ddof=1) / math.sqrt(apart.shape[1])
        return best, behind, np.asarray(error), "prompts"
    noise = _noise(gold.gold)
    error = np.full(behind.size, math.nan if noise is None else noise * math.sqrt(2.0))
    error[best] = 0.0
    return best, behind, error, "checkpoints"


def _mood(gold: RunGold) -> tuple[bool, list[str]]:
    """Tell whether checkpoints scatter more around their course than their prompts explain, and say so.

    Third differences leave hardly anything of a smooth course; the two largest are left out, for it may have a kink.
    """
    third = None if gold.per_prompt is None else np.diff(gold.per_prompt, 3, axis=0)
    if third is None or third.shape[1] < 2:
        return False, []
    expected = float((third.var(axis=1, ddof=1) / third.shape[1]).mean()) if len(third) > _KINK else 0.0
    moved = np.sort(third.mean(axis=1) ** 2)
    if expected <= 0.0 or float(moved[:-_KINK].mean()) <= expected * (1.5 + _MOODS / len(third)):
        few = (
            f"{counted(len(gold.gold), 'checkpoint')} are too few to show whether judge or policy have moods that move "
            "all prompts together, as a fall would; errors over prompts do not hold them."
        )
        return False, [few] if len(gold.gold) < _SCATTER else []
    said = (
        f"From one checkpoint to the next gold moves {math.sqrt(float(moved.mean()) / expected):.2g} times as much as "
        "its prompts explain: judge or policy have moods that move all prompts together. So errors are those of the "
        "checkpoints' scatter, and their order tells whether gold has fallen, as where means alone are known."
    )
    return True, [said]


def _reach(centred: FloatArray, kl: FloatArray) -> FloatArray:
    """Return how far the mean of a reward can rise at each KL, by the law of the samples whatever their prompts."""
    tilt = np.geomspace(1e-3, 1e3, _TILTS) / max(float(np.abs(centred).max()), 1e-300)
    log_mean = np.array([scipy.special.logsumexp(one * centred) for one in tilt]) - math.log(centred.size)
    return np.asarray(np.minimum(centred.max(), ((kl[:, None] + log_mean) / tilt).min(axis=1)))


def _unlike_base(
    kl: FloatArray, values: FloatArray, noise: float | None, fit: Fit, column: str, *, same_prompts: bool
) -> list[str]:
    """Say so where a run is not what the table's samples are of: near the base, or beyond all that they have.

    ``noise`` is that of one checkpoint. Where checkpoints are of the ``same_prompts`` each tells by itself. Else each
    may be of one prompt, of a rare kind, as far as the run's scatter allows.
    """
    table = fit.table
    base = table.column(column)
    means = np.add.reduceat(base, table.offsets[:-1]) / table.n_samples
    own = float(means.std()) / math.sqrt(means.size)
    near = np.flatnonzero((kl >= 0.0) & (kl <= _NEAR_BASE))
    near = near[np.argsort(kl[near], kind="stable")]
    apart = values[near] - means.mean()
    centred = base - base.mean()
    up, down = (_reach(side, kl[near]) if near.size else apart for side in (centred, -centred))
    not_this = "What is predicted from the table, or set beside it, need not be this run's."
    few = _SURE * float(base.std()) / math.sqrt(_FEW)  # no checkpoint of so many responses scatters more
    prompts = StepPrompts.plain(means, values - means.mean(), deviation_within(table, column))
    for size in sorted({min(one, near.size) for one in (1, _SEVERAL, math.ceil(near.size / 2), near.size)} - {0}):
        if same_prompts:  # whose errors go together
            by_scatter = few if noise is None else noise * float(student_reach(_SURE, max(kl.size - 2.0, 1.0)))
            reach = np.full(2, math.hypot(max(min(by_scatter, few), _SURE * (noise or 0.0)), _SURE * own))
        else:
            reach = prompts.reach(np.isin(np.arange(kl.size), near[:size]), _RARELY)
            reach = np.maximum(reach, _SURE * (noise or 0.0) / math.sqrt(size))  # of fewer responses than sixteen
        excess = (-apart[:size] - _MORE * down[:size], apart[:size] - _MORE * up[:size])
        for side, most in zip(excess, reach.tolist(), strict=True):
            if float(side.mean()) > most:
                i = near[:size]
                where = f"At {kl[i[0]]:.2g} nats" if size == 1 else f"At {kl[i[0]]:.2g} to {kl[i[-1]]:.2g} nats"
                said = (
                    f"{where} from the base the run has {values[i].mean():.4g} of {column!r}, and the base samples "
                    f"average {means.mean():.4g}: further apart than that KL and chance allow. So its {column!r}, base "
                    f"or prompts are not the table's, its KL is larger than logged (another unit, or none was "
                    f"measured), or it earns what the samples are too few to show. {not_this}"
                )
                return [said]
    error = math.hypot(noise or 0.0, own)
    beyond = np.maximum(values - base.max(), base.min() - values)
    j = int(np.argmax(beyond))
    if beyond[j] <= _SURE * error:
        return []
    said = (
        f"At {kl[j]:.2g} nats from the base the run has {values[j]:.4g} of {column!r} on average, and no response of "
        f"the table has that ({base.min():.4g} to {base.max():.4g}): another scale, another base, or prompts or "
        f"rewards too rare for the table. {not_this}"
    )
    return [said]


def _noise(values: FloatArray) -> float | None:
    """Return the standard deviation of a checkpoint's gold around its course, as `TrainingLog.noise` does."""
    second = np.diff(values, 2)
    return float(np.sqrt(np.mean(second**2) / 6.0)) if second.size >= 3 else None


def _against(gold: RunGold, found: Predicted, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return measured gold minus that of best-of-N at equal KL, and its interval.

    Prompts of run and table are taken as drawn apart, which makes it no narrower than for the same ones.
    """
    difference = gold.gold - found.base_gold - found.best_of_n
    reach = float(scipy.special.ndtri(0.5 + level / 2.0))
    if gold.per_prompt is not None:
        own = gold.per_prompt.std(axis=1, ddof=1) / math.sqrt(gold.per_prompt.shape[1])
    else:
        own = np.full(difference.size, _noise(gold.gold) or math.nan)
    arm = reach * np.hypot(own, found.base_error)
    low = difference - np.hypot(arm, found.best_of_n_high - found.best_of_n)
    high = difference + np.hypot(arm, found.best_of_n - found.best_of_n_low)
    return difference, low, high
