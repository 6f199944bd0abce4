"""How much reward any method can still buy from a base model, at which KL, and how close best-of-N comes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib.estimation.estimates import BestOfNEstimate, EstimatedFrontier
from alignlib.estimation.frontier_estimation import UnsupportedKLError, estimate_best_of_n, estimate_frontier
from alignlib.tables.rewards import RewardTable

__all__ = ["Answer", "ask", "limit_on_every_prompt"]

# Budgets shown where none are asked for: those of the 1-2-5 series that the samples support, the last few of them.
_SERIES = [step * 10.0**power for power in (-3, -2, -1, 0, 1) for step in (1, 2, 5)]
_SHOWN = 6


@dataclass(frozen=True)
class Answer:
    """Best-of-N picked by one reward and measured in another (or the same), beside the limit of that other.

    ``limit`` is the frontier at the budgets asked for, ``limit_at_n`` the same at the KL that each best-of-N spends;
    both are None where the samples of a gold reward support no limit at all. ``unsupported_kl`` are budgets that were
    asked for and left out because the samples do not support them.
    """

    picked_by: str
    measured_in: str
    constant_prompts: int
    limit: EstimatedFrontier | None
    limit_at_n: EstimatedFrontier | None
    best_of_n: BestOfNEstimate
    unsupported_kl: tuple[float, ...] = ()


def ask(
    table: RewardTable,
    reward: str,
    gold: str | None = None,
    *,
    kl: list[float] | None = None,
    n: list[float] | None = None,
    budget: str = "average",
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
    allow_heavy_tail: bool = False,
) -> Answer:
    """Estimate the limit of one reward and how close best-of-N comes to it.

    Parameters
    ----------
    table : RewardTable
        Sampled rewards, at least 3 samples of each prompt.
    reward, gold : str
        The reward that picks the best of N, and the one that is counted (the same by default).
    kl : list of float, optional
        KL budgets in nats; by default some that the samples support.
    n : list of float, optional
        Numbers of draws, at least 1; by default 2, 4, 8, … up to the fewest samples of a prompt.
    budget : "average" or "per_prompt"
        What ``kl`` bounds: the KL on average over prompts, or on every prompt. Best-of-N is always compared at equal
        average KL.
    level, n_boot, seed
        Nominal coverage of the intervals, bootstrap replicates, and the seed of both.
    allow_heavy_tail : bool
        Go on where the reward looks heavier-tailed than exponential, if it is bounded by design.

    Raises
    ------
    UnsupportedKLError
        Where every budget asked for lies beyond what the samples support, or they support none of the reward's.
    HeavyTailError, InputError
        Where there is no limit to estimate; see `estimate_frontier` and `estimate_best_of_n`.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((100, 64))
    >>> answer = ask(RewardTable.from_arrays(rows), "reward", kl=[0.5], n=[2])
    >>> answer.limit.gain.round(1).tolist(), answer.best_of_n.kl.round(3).tolist()
    ([1.0], [0.193])
    """
    counted = reward if gold is None else gold
    table.check_varies(reward)
    constant = table.check_varies(counted, "reward" if gold is None else "gold reward")
    budgets = np.array(_SERIES) if kl is None else as_vector("kl", kl)
    require(bool((budgets >= 0.0).all()), f"kl must not be negative; got {budgets.min():g} nats.")
    draws = _default_draws(table) if n is None else as_vector("n", n)
    best = estimate_best_of_n(table, reward, n=draws, gold=gold, level=level, n_boot=n_boot, rng=seed)
    spent = np.maximum(best.kl, 0.0)  # an unbiased estimate of a KL may fall short of 0
    options: dict[str, Any] = {"allow_heavy_tail": allow_heavy_tail, "level": level, "n_boot": n_boot, "rng": seed}
    at = np.concatenate([budgets, spent])
    try:
        both = estimate_frontier(table, counted, kl=at, **options)
        limit, limit_at_n = _part(both, np.arange(budgets.size)), _part(both, budgets.size + np.arange(spent.size))
        if budget != "average":
            limit = estimate_frontier(table, counted, kl=budgets, budget=budget, **options)
    except UnsupportedKLError as error:
        if error.largest_supported > 0.0:
            raise
        if gold is not None and kl is None:  # what best-of-N gains of it is still known
            return Answer(reward, counted, constant, None, None, best)
        raise UnsupportedKLError(
            f"The samples of {counted!r} support no KL budget at all, so its limit is not known; draw more samples per "
            "prompt, or from more prompts.",
            0.0,
        ) from error
    inside = np.flatnonzero(limit.supported)
    if kl is not None and inside.size == 0:
        raise UnsupportedKLError(
            f"kl must not exceed {limit.supported_kl:.3g} nats, the largest budget that these samples of {counted!r} "
            f"support; got {budgets.min():g}. Ask for less, or draw more samples per prompt.",
            limit.supported_kl,
        )
    shown = inside if kl is not None else inside[-_SHOWN:]
    beyond = () if kl is None else tuple(budgets[~limit.supported].tolist())
    return Answer(reward, counted, constant, _part(limit, shown), limit_at_n, best, beyond)


def limit_on_every_prompt(
    table: RewardTable,
    reward: str,
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
    allow_heavy_tail: bool = False,
) -> EstimatedFrontier | None:
    """Return the limit for the same KL on every prompt, or None where no prompt's samples support one of its own.

    It asks more of the samples than the limit for an average KL, whose one λ they share. Arguments as `ask`.

    >>> rows = np.random.default_rng(0).standard_normal((100, 64))
    >>> limit_on_every_prompt(RewardTable.from_arrays(rows), "reward").budget
    'per_prompt'
    >>> limit_on_every_prompt(RewardTable.from_arrays(rows[:, :5]), "reward") is None
    True
    """
    if table.n_prompts == 1 or table.n_samples.min() < 6:
        return None
    options: dict[str, Any] = {"allow_heavy_tail": allow_heavy_tail, "level": level, "n_boot": n_boot, "rng": seed}
    try:
        return estimate_frontier(table, reward, budget="per_prompt", **options)
    except UnsupportedKLError:
        return None


def _default_draws(table: RewardTable) -> FloatArray:
    """Powers of two from 2 on; the interval of a single prompt sets some of its samples aside."""
    fewest = int(table.n_samples.min()) // (2 if table.n_prompts == 1 else 1)
    return np.asarray(2.0 ** np.arange(1, max(2, int(np.log2(max(fewest, 2))) + 1)))


def _part(whole: EstimatedFrontier, at: npt.NDArray[np.intp]) -> EstimatedFrontier:
    arrays = ("spent", "gain", "lam", "gain_low", "gain_high", "supported", "ess", "largest_weight")
    return replace(whole, **{name: getattr(whole, name)[at] for name in arrays})
