"""A made-up training run with samples of its base model, whose place on the frontier is known."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.doors import guard
from alignlib.tables import RewardTable
from alignlib.training.logs.per_prompt import per_prompt_means
from alignlib.training.logs.training_log import TrainingLog

__all__ = ["example_prompts", "example_run"]

_LENGTH = 32.0  # tokens, about
_BATCH_KL = 0.05  # relative noise of a logged KL


def example_run(
    n_prompts: int,
    n_samples: int,
    rng: np.random.Generator,
    *,
    share: float = 0.85,
    kl_max: float = 1.2,
    n_checkpoints: int = 24,
    noise: float = 0.03,
) -> tuple[TrainingLog, RewardTable]:
    """Draw normal base rewards of scale 1 and a run that has ``share`` of the limit ``√(2 KL)`` up to ``kl_max`` nats.

    The log is as trl's GRPO writes it: KL in nats per token with a mean length, reward with noise of standard
    deviation ``noise``; its first checkpoint is the base model.

    Parameters
    ----------
    n_prompts, n_samples : int
        Size of the table, >= 2 and >= 3.
    rng : Generator
        Source of randomness.
    share : float
        Share of the limit's gain, in (0, 1].
    kl_max : float
        KL of the last checkpoint in nats per sequence, > 0.
    n_checkpoints : int
        Number of checkpoints, >= 5.
    noise : float
        Standard deviation of a logged reward, >= 0.

    Returns
    -------
    log : TrainingLog
        The run.
    table : RewardTable
        Samples of its base.

    Raises
    ------
    InputError
        If a number is out of its range.

    Examples
    --------
    >>> log, table = example_run(10, 8, np.random.default_rng(0))
    >>> log.kl_unit, table.n_prompts, bool(abs(log.kl[-1] - 1.2) < 0.3)
    ('token', 10, True)
    """
    require(0.0 < share <= 1.0, f"share must lie in (0, 1]; got {share:g}.")
    require(kl_max > 0.0, f"kl_max must be positive; got {kl_max:g}.")
    require(n_checkpoints >= 5, f"n_checkpoints must be at least 5; got {n_checkpoints}.")
    table = RewardTable.from_arrays(rng.standard_normal((n_prompts, n_samples)))
    kl = kl_max * np.linspace(0.0, 1.0, n_checkpoints) ** 1.5
    length = _LENGTH + rng.standard_normal(n_checkpoints)
    logged = kl * np.exp(_BATCH_KL * rng.standard_normal(n_checkpoints)) / length
    reward = share * np.sqrt(2.0 * kl) + noise * rng.standard_normal(n_checkpoints)
    log = TrainingLog(
        path="made-up run",
        kl_name="kl",
        kl_unit="token",
        reward_name="reward",
        step=np.arange(n_checkpoints, dtype=np.float64) * 10.0,
        logged_kl=logged,
        kl=logged * length,
        reward=reward,
        length=length,
        run=np.full(n_checkpoints, "made-up run", dtype=object),
        notes=("The run and the base samples are made up.",),
    )
    return log, table


def example_prompts(
    level: FloatArray,
    share: float,
    rng: np.random.Generator,
    *,
    kl_max: float = 1.2,
    n_checkpoints: int = 12,
    n_responses: int = 8,
    spread: float = 0.5,
) -> TrainingLog:
    """Draw a run whose log holds what each prompt had, all prompts at every checkpoint.

    The reward of a response is normal of scale 1 around ``level``, plus a gain of ``share`` of the limit ``√(2 KL)``.
    The gain is of the mean KL, so that the truth at equal KL is known.

    Parameters
    ----------
    level : array (m,)
        The base's mean reward on each prompt.
    share : float
        Share of the limit's gain.
    rng : Generator
        Source of randomness.
    kl_max : float
        KL of the last checkpoint, in nats per sequence.
    n_checkpoints, n_responses : int
        Checkpoints, and responses to each prompt at one.
    spread : float
        Relative deviation of the KL of a prompt from that of the checkpoint.

    Examples
    --------
    >>> log = example_prompts(np.zeros(5), 0.8, np.random.default_rng(0))
    >>> log.kl.size, log.per_prompt.kl.size
    (12, 60)
    """
    m = level.size
    kl = kl_max * np.linspace(0.0, 1.0, n_checkpoints) ** 1.5
    factor = np.exp(spread * rng.standard_normal(m) - 0.5 * spread**2)
    mine = kl[:, None] * factor * np.exp(_BATCH_KL * rng.standard_normal((n_checkpoints, m)))
    gain = share * np.sqrt(2.0 * kl)[:, None] + 0.2 * share * np.sqrt(kl)[:, None] * rng.standard_normal(m)
    reward = level + gain + rng.standard_normal((n_checkpoints, m)) / np.sqrt(n_responses)
    names = np.empty(n_checkpoints * m, dtype=object)
    names[:] = [f"p{i}" for i in range(m)] * n_checkpoints
    place = np.repeat(np.arange(n_checkpoints), m)
    held = per_prompt_means(place, names, mine.ravel(), reward.ravel(), np.full(place.size, float(n_responses)))
    return TrainingLog(
        path="made-up run",
        kl_name="log-ratio",
        kl_unit="sequence",
        reward_name="reward",
        step=np.arange(n_checkpoints, dtype=np.float64) * 10.0,
        logged_kl=mine.mean(axis=1),
        kl=mine.mean(axis=1),
        reward=reward.mean(axis=1),
        length=None,
        run=np.full(n_checkpoints, "made-up run", dtype=object),
        notes=("The run and its responses are made up.",),
        per_prompt=held,
    )


guard(globals())
