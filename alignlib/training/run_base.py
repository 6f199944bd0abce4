"""What the gains of a run are measured from, and whether run and base samples share prompts and reward at all."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, as_number, require
from alignlib._core.errors import InputError
from alignlib.tables import LARGEST_REWARD, RewardTable
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.response_scatter import ResponseScatter
from alignlib.training.rounded_kl import half_digit
from alignlib.training.step_prompts import StepPrompts
from alignlib.training.strict_ends import few_levels, responses_of, student_reach

__all__ = [
    "NEAR_BASE",
    "NO_KL",
    "base_of_run",
    "below_base",
    "check_scale",
    "error_of_start",
    "error_of_these",
    "no_less_than_beside",
]

NO_KL = 1e-6  # nats: none, in whatever unit
NEAR_BASE = 0.1  # nats: a checkpoint this close can tell whether run and table have the same reward
_BESIDE = 2  # checkpoints
_SEVERAL = 4  # checkpoints, whose mean tells more than the first
_SURE, _DOUBT = 4.0, 2.6  # standard errors
_NEVER, _SELDOM = 1e-4, 2.5e-3  # chance that prompts lie so far off, on one side of two, at one time of two
_ROUGHLY = 2.0  # standard errors, at which Student's law is compared with the normal one


def base_of_run(
    log: TrainingLog, table: RewardTable, reward: str, base: float | str, these: bool = False
) -> tuple[float, float, FloatArray]:
    """Return the base reward, its standard error, and what each checkpoint's gain is measured from, (k,).

    Parameters
    ----------
    log : TrainingLog
        The run.
    table : RewardTable
        Samples of the base model.
    reward : str
        Its column with the run's reward.
    base : float or str
        A known value, ``"table"`` or ``"first"``, the first checkpoint of each run.
    these : bool
        Whether the base's mean is that of these very prompts, which stand for no others.

    Returns
    -------
    base, error : float
        The base reward and its standard error.
    start : array (k,)
        What each checkpoint's gain is measured from.

    Raises
    ------
    InputError
        If ``base`` is none of these, or a first checkpoint is no base.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> log, table = example_run(10, 8, np.random.default_rng(0))
    >>> base_of_run(log, table, "reward", 0.25)[:2]
    (0.25, 0.0)
    """
    size = log.kl.size
    if isinstance(base, int | float):
        known = as_number("base", base, -LARGEST_REWARD, LARGEST_REWARD)
        return known, 0.0, np.full(size, known)
    require(base in ("table", "first"), f"base must be 'table', 'first' or a number; got {base!r}.")
    if base == "table":
        values = table.column(reward)
        means = np.add.reduceat(values, table.offsets[:-1]) / table.n_samples
        error = error_of_these(table, reward)
        if means.size > 1 and not these:  # few prompts may be alike by chance
            few = float(student_reach(_ROUGHLY, means.size - 1.0)) / _ROUGHLY
            error = max(error, few * float(means.std(ddof=1)) / math.sqrt(means.size))
        return float(means.mean()), error, np.full(size, means.mean())
    start = np.empty(size)
    for name in log.runs:
        mine = np.flatnonzero(log.run == name)
        first = int(mine[np.argmin(log.step[mine])])
        spent = f"the first checkpoint of {name!r} is already {log.kl[first]:.3g} nats from the base"
        require(
            log.kl[first] <= NEAR_BASE,
            f"base='first': {spent}; measure the base's reward and give the number.",
        )
        start[mine] = log.reward[first]
    return float(start[0]), log.noise() or 0.0, start


def error_of_these(table: RewardTable, reward: str) -> float:
    """Return the standard error of the mean over these very prompts, by the spread of each one's samples.

    Where all samples of two levels are alike, more of them need not be.

    Parameters
    ----------
    table : RewardTable
        Samples of the base model.
    reward : str
        A column of it.

    Examples
    --------
    >>> round(error_of_these(RewardTable.from_arrays([[0.0, 1.0, 1.0, 0.0]]), "reward"), 3)
    0.289
    """
    values, size = table.column(reward), table.n_samples.astype(np.float64)
    means = np.add.reduceat(values, table.offsets[:-1]) / size
    square = np.add.reduceat((values - np.repeat(means, table.n_samples)) ** 2, table.offsets[:-1])
    error = math.sqrt(float((square / np.maximum(size - 1.0, 1.0) / size).sum())) / means.size
    levels = few_levels(table, reward)
    return error if levels is None else max(error, float(levels.least_error(means.mean(), size.sum())))


def error_of_start(
    log: TrainingLog, table: RewardTable, reward: str, gain: FloatArray, base_error: float, scatter: ResponseScatter
) -> FloatArray:
    """Return the standard error of each checkpoint's gain, by which a start is called another one, (k,).

    Of rewards of few levels it is a quarter of how far four standard errors reach on a binomial mean.

    Parameters
    ----------
    log : TrainingLog
        The run.
    table : RewardTable
        Samples of the base model.
    reward : str
        The column with the run's reward.
    gain : array (k,)
        Gain over the base.
    base_error : float
        Standard error of the base's mean.
    scatter : ResponseScatter
        How much the run scatters, at the start as the base does.
    """
    centre, counted = np.full(gain.size, scatter.centre), responses_of(log)
    few = scatter.of_a_step(centre, log)
    noise = scatter.noise_at(centre) if scatter.noise is not None else few
    # Few checkpoints that scatter tell little of it; so many responses as any has scatter no more than this.
    noise = np.maximum(noise, np.minimum(noise * float(student_reach(_SURE, scatter.free)) / _SURE, few))
    found = np.hypot(base_error, noise)
    levels = few_levels(table, reward)
    if levels is None:
        return found
    values = table.column(reward)
    many = np.full(gain.size, scatter.responses) if counted is None else counted
    inside = levels.within(log.reward)
    own = levels.arms(log.reward, many, _SURE)
    of_table = levels.arms(np.array([values.mean()]), np.array([float(values.size)]), _SURE)
    risen = gain > 0.0
    arm = np.hypot(np.where(risen, own[0], own[1]), np.where(risen, of_table[1], of_table[0]))
    return np.where(inside, np.maximum(found, arm / _SURE), found)


def check_scale(
    log: TrainingLog,
    gain: FloatArray,
    allowed_gain: FloatArray,
    error: FloatArray,
    base: float,
    of_table: float,
    prompts: StepPrompts,
) -> tuple[list[str], bool]:
    """Refuse a run that does not start where the base samples are; say what is doubtful, and whether anything is.

    ``allowed_gain`` (k,) is the most that any policy can gain at the KL of each checkpoint, ``error`` (k,) the standard
    error of each gain.

    Parameters
    ----------
    log : TrainingLog
        The run.
    gain : array (k,)
        Gain of each checkpoint.
    allowed_gain : array (k,)
        The most that any policy can gain at its KL.
    error : array (k,)
        Standard error of each gain.
    base : float
        The base reward.
    of_table : float
        Its standard error.
    prompts : StepPrompts
        What few prompts a step do by chance.

    Returns
    -------
    notes : list of str
        What is doubtful.
    doubted : bool
        Whether anything is.
    """
    said: list[str] = []
    doubted = False
    for name in log.runs:
        mine = np.flatnonzero(log.run == name)
        more, doubt = _check_run(log, mine, gain, allowed_gain, error, base, of_table, prompts)
        said, doubted = said + more, doubted or doubt
    return list(dict.fromkeys(said)), doubted


def _of_short_log(log: TrainingLog, i: int, base: float) -> list[str]:
    """Say of a log that does not tell what chance does to it that its start is not the table's, whatever the reason."""
    said = (
        f"At step {log.step[i]:g}, {log.kl[i]:.2g} nats from the base, the run's reward is {log.reward[i]:.4g}, and "
        f"the base samples average {base:.4g}: its checkpoints do not tell whether that is chance, as of few prompts "
        "or responses, or another base, prompts or reward."
    )
    return [said]


def _together(log: TrainingLog, near: IntArray, base: float, error: float) -> str:
    """Say of checkpoints that scatter, so that none tells by itself, that their mean is not the table's."""
    return (
        f"The {near.size} checkpoints within {NEAR_BASE:g} nats of the base average {log.reward[near].mean():.4g}, and "
        f"the base samples {base:.4g} (standard error of the difference {error:.2g}): together they differ by more "
        "than chance. The run's base, prompts or reward may not be the table's, or its KL may be larger, in another "
        "unit for instance."
    )


def _check_run(
    log: TrainingLog, mine: IntArray, gain: FloatArray, allowed_gain: FloatArray, errors: FloatArray, base: float,
    of_table: float, prompts: StepPrompts,
) -> tuple[list[str], bool]:  # fmt: skip
    half = half_digit(log)
    apart = no_less_than_beside(np.abs(log.kl[mine])) + half[mine]
    near = mine[apart <= NEAR_BASE]
    if near.size == 0:
        whose = "is known to lie" if (log.ends[0] < log.ends[1]).any() else "lies"
        said = f"No checkpoint {whose} within {NEAR_BASE:g} nats of the base"
        return [f"{said}: whether the run's reward and prompts are the table's cannot be checked."], False
    i = int(mine[np.argmin(apart)])
    allowed_here = float(no_less_than_beside(allowed_gain[mine])[np.argmin(apart)])
    beyond, error = abs(gain[i]) - allowed_here, float(errors[i])
    side = int(gain[i] > 0.0)
    excess = np.abs(gain[near]) * np.where(np.sign(gain[near]) == np.sign(gain[i]), 1.0, -1.0) - allowed_gain[near]

    def shown(chance: float) -> bool:
        parts = (near == i, np.ones(near.size, dtype=bool))
        return any(
            float(excess[part].mean()) > prompts.reach(np.isin(mine, near[part]), chance)[side] for part in parts
        )

    if beyond <= _DOUBT * error:
        if log.noise() is None:
            return (_of_short_log(log, i, base) if beyond > _ROUGHLY * of_table else []), False
        own = math.sqrt(float(np.mean(errors[near] ** 2 - of_table**2)) / near.size)  # of their mean
        error = math.hypot(of_table, own)
        chance = max(_SURE * error, float(prompts.reach(np.isin(mine, near), _NEVER)[side]))
        if near.size < _SEVERAL or float(excess.mean()) <= chance:
            return [], False
        return [_together(log, near, base, error)], True
    if not shown(_SELDOM):
        return _of_short_log(log, i, base), False
    allowed = allowed_here + _SURE * error
    if beyond <= _SURE * error or not shown(_NEVER) or not _goes_on(log, mine, i, gain, allowed_gain, errors):
        said = (
            f"At step {log.step[i]:g}, {log.kl[i]:.2g} nats from the base, the run's reward is {log.reward[i]:.4g}, "
            f"and the base samples average {base:.4g} (standard error of the difference {error:.2g}): fewer than one "
            "run in a hundred would differ so much by chance. Its base, prompts or reward may not be the table's"
            + (", or its KL may be larger, in another unit for instance." if log.kl[i] + half[i] > NO_KL else ".")
        )
        return [said], True
    at_base = log.kl[i] + half[i] <= NO_KL  # whatever its unit
    where = "there" if at_base else "if that KL is right,"
    unit, remedy = ("", "") if at_base else (" or unit of the KL", ", or give the KL in nats per sequence")
    sentence = (
        f"At step {log.step[i]:g}, {log.kl[i]:.2g} nats from the base, the run's reward is {log.reward[i]:.4g}, but "
        f"the base samples average {base:.4g}; {where} they can differ by {allowed:.2g} at most. So it is another "
        f"reward scale or base{unit} than the table's: sample the base on the run's prompts and score with the run's "
        f"reward, or, if they differ by a constant only, measure gains from the run's own start (base='first'){remedy}."
    )
    if log.noise() is None:  # too few checkpoints to know how far chance goes
        return [sentence], True
    raise InputError(sentence)


def _goes_on(
    log: TrainingLog, mine: IntArray, i: int, gain: FloatArray, allowed_gain: FloatArray, errors: FloatArray
) -> bool:
    """Say whether the next two checkpoints lie off on the same side, as where all rewards are another's.

    The start alone may be of a prompt or two unlike the others, where the log does not tell of how many it is.
    """
    if responses_of(log) is not None:
        return True
    after = mine[np.argsort(np.abs(log.kl[mine]), kind="stable")[1:3]]
    if gain[i] > 0.0:
        return bool((gain[after] - allowed_gain[after] > _ROUGHLY * errors[after]).all())
    return bool((-gain[after] > _ROUGHLY * errors[after]).all())


def no_less_than_beside(values: FloatArray) -> FloatArray:
    """Return values along one run, each between two others raised to the median of the three, (k,).

    Of many noisy KLs some are near 0 by chance, which shows no nearness to the base where their neighbours are far.

    Parameters
    ----------
    values : array (k,)
        Sizes of the KL in nats at its checkpoints, or what a policy gains at most there.

    Examples
    --------
    >>> no_less_than_beside(np.array([0.0, 0.4, 0.01, 0.5, 0.6])).tolist()
    [0.0, 0.4, 0.4, 0.5, 0.6]
    """
    found = values.copy()
    if values.size > _BESIDE:
        between = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
        found[1:-1] = np.maximum(values[1:-1], between)
    return found


def below_base(log: TrainingLog, high: FloatArray) -> list[str]:
    """Point out runs whose first point lies below the base samples, where no checkpoint is near enough to tell more.

    Parameters
    ----------
    log : TrainingLog
        Points of the runs.
    high : array (k,)
        Upper end of the gain of each over the base.
    """
    said = []
    for name in log.runs:
        first = int(np.flatnonzero(log.run == name)[np.argmin(log.kl[log.run == name])])
        if log.kl[first] > NEAR_BASE and high[first] < 0.0:
            said.append(
                f"At step {log.step[first]:g}{f' of {name!r}' if len(log.runs) > 1 else ''}, its nearest to the base, "
                "the run's reward is below that of the base samples by more than chance. Training seldom lowers it: "
                "the run's prompts or reward may not be the table's."
            )
    return said
