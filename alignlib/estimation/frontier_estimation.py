"""The frontier estimated from sampled rewards, with its interval and the range that the samples support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib._core.errors import InputError
from alignlib.estimation._checks import check_resampling, check_samples, single_column, supported_end
from alignlib.estimation.averaging import averaged_curves
from alignlib.estimation.best_of_n_estimation import (
    estimate_best_of_n,
    estimate_best_of_poisson,
    estimate_soft_best_of_n,
)
from alignlib.estimation.bootstrap import Cells, studentised_interval
from alignlib.estimation.estimates import EstimatedFrontier
from alignlib.estimation.prompt_frontier import prompt_gains
from alignlib.estimation.support import excess_bias, remaining_bias, strain, supported_kl
from alignlib.estimation.tails import HeavyTailError, TailTest, tail_test
from alignlib.tables.rewards import RewardTable

__all__ = [
    "UnsupportedKLError",
    "estimate_best_of_n",
    "estimate_best_of_poisson",
    "estimate_frontier",
    "estimate_soft_best_of_n",
]

_DEFAULT_POINTS = 40
_SEARCHED = 28
_LEAST_KL = 0.005
_SLOW = 3.0  # the bias of a minimum falls no faster than 1/n where it counts: halves then show half of it, or less


class UnsupportedKLError(InputError):
    """No requested KL budget lies in the supported range; ``largest_supported`` says where that ends."""

    def __init__(self, message: str, largest_supported: float) -> None:
        super().__init__(message)
        self.largest_supported = largest_supported


@dataclass(frozen=True)
class _Points:
    """Gain and its interval at some budgets, shape (k,), and what tells how well the samples know them."""

    gain: FloatArray
    low: FloatArray
    high: FloatArray
    slope: FloatArray
    ess: FloatArray
    largest_weight: FloatArray


def estimate_frontier(
    table: RewardTable,
    reward: str | None = None,
    *,
    kl: npt.ArrayLike | None = None,
    budget: str = "average",
    bias_correction: bool = True,
    allow_heavy_tail: bool = False,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> EstimatedFrontier:
    """Estimate the largest gain in mean reward within a KL budget Δ, from samples of the base model.

    The budget is on the average over prompts, ``max {E r - E_p r : E_x KL_x ≤ Δ} = min_λ (Δ + Λ(λ))/λ`` with Λ the
    average over prompts of ``log mean e^{λ(r - r̄)}``, or on each prompt, the average of each prompt's own minimum.
    The O(1/n) and O(1/n²) biases are removed within each prompt by a second-order jackknife. The interval resamples
    prompts (or, where there is one prompt, groups of its samples).

    A budget is supported as long as the bias that the jackknife may leave is at most a quarter of the standard
    error or 1 % of the value (the interval is widened by what exceeds the former), the effective sample size
    averages at least 5 (and adds up to 100 over the prompts), and λ is at most a third of the rate of the upper
    tail unless that tail is lighter than exponential; a curve that has gone flat counts as known only if every
    prompt was seen at the largest reward of all. Beyond, ``gain`` is held at its last supported value, a floor, and
    the interval is what monotony and concavity still guarantee.

    Parameters
    ----------
    table : RewardTable
        Sampled rewards of several prompts.
    reward : str, optional
        The column; may be left out where the table has only one.
    kl : array (k,), optional
        Budgets Δ in nats; by default a grid over the supported range.
    budget : "average" or "per_prompt"
        Whether Δ bounds the KL on average over prompts, or on every prompt.
    bias_correction : bool
        False gives the plug-in curve, which lies too low, and its interval, at every budget.
    allow_heavy_tail : bool
        Go on where the tail looks heavier than exponential, for a reward known to be bounded.
    level : float
        Nominal coverage of the interval.
    n_boot : int
        Number of bootstrap replicates.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    UnsupportedKLError
        Where no budget asked for is supported; it carries the largest that is.
    HeavyTailError
        Where the tail is heavier than exponential, so that any KL budget buys unbounded reward.
    InputError
        For constant rewards, fewer than 3 samples of a prompt (6 for ``"per_prompt"``), or an argument out of
        its range.

    Examples
    --------
    >>> rows = np.random.default_rng(1).standard_normal((100, 64))
    >>> result = estimate_frontier(RewardTable.from_arrays(rows), kl=[0.5])
    >>> bool(result.gain_low[0] < 1.0 < result.gain_high[0])
    True

    Source: P26 (estimation from base samples); bias correction, interval and support rule are derived here.
    """
    column = single_column(table, reward)
    generator = check_resampling(level, n_boot, rng)
    require(budget in ("average", "per_prompt"), f"budget must be 'average' or 'per_prompt'; got {budget!r}.")
    table.check_varies(column)
    per_prompt = budget == "per_prompt" and table.n_prompts > 1
    check_samples(table, 6 if per_prompt else 3, "The frontier")
    tail = tail_test(table, column)
    if tail.heavy and not allow_heavy_tail:
        raise HeavyTailError(column, tail)
    build = _PerPromptCurve if per_prompt else _AverageCurve
    curve = build(table, column, tail, bias_correction, n_boot, generator)
    kl_end = curve.supported_kl
    budgets = np.linspace(0.0, 1.0, _DEFAULT_POINTS) ** 2 * kl_end if kl is None else as_vector("kl", kl)
    require(bool((budgets >= 0.0).all()), f"kl must not be negative; got {budgets.min():g} nats.")
    supported = budgets <= kl_end * (1.0 + 1e-12)
    if kl_end == 0.0 and (bias_correction or kl is None):
        raise UnsupportedKLError(
            f"The samples of {column!r} support no KL budget: {int(table.n_samples.min())} samples of a prompt and "
            f"{table.n_prompts} prompts are too few for its tail. Draw more samples per prompt.",
            0.0,
        )
    if bias_correction and not supported.any():
        raise UnsupportedKLError(
            f"kl must not exceed the largest supported budget, {kl_end:.3g} nats for these samples of {column!r}; got "
            f"{budgets.min():.3g}. Ask for less, or draw more samples per prompt.",
            kl_end,
        )
    held = np.minimum(budgets, kl_end) if bias_correction else budgets
    points = curve.at(np.append(held, kl_end), level)
    with np.errstate(divide="ignore"):
        lam = np.where(held > 0.0, 1.0 / points.slope[:-1], 0.0)
    return EstimatedFrontier(
        spent=budgets,
        gain=points.gain[:-1],
        lam=lam,
        base_reward=curve.base_reward,
        gain_low=points.low[:-1],
        gain_high=points.high[:-1] + (budgets - held) * points.slope[-1],
        supported=supported,
        level=level,
        supported_kl=kl_end,
        ess=points.ess[:-1],
        largest_weight=points.largest_weight[:-1],
        budget=budget,
        n_prompts=table.n_prompts,
        tail=tail,
    )


class _AverageCurve:
    """The budget bounds the average KL: one λ for all prompts."""

    def __init__(
        self, table: RewardTable, column: str, tail: TailTest, correct: bool, n_boot: int, rng: np.random.Generator
    ) -> None:
        cells = Cells.of(table.n_samples, rng)
        self._correct = correct
        self._curves = averaged_curves(table, column, cells, rng, tail, bias_correction=correct)
        self._weights = cells.resample(n_boot, rng)
        self.base_reward = self._curves.base_reward
        self.supported_kl = supported_end(self._curves, self._weights[:1], table.n_prompts, tail)

    def at(self, kl: FloatArray, level: float) -> _Points:
        gain, error, lam = self._curves.gains(self._weights, kl)
        low, high = studentised_interval(gain, error, level)
        wider = self._curves.excess_bias(self._weights[:1], lam[0]) * (kl > 0.0) if self._correct else 0.0
        place = np.searchsorted(self._curves.lam, np.minimum(lam[0], self._curves.lam[-1]) * (1.0 - 1e-9))
        with np.errstate(divide="ignore"):
            slope = 1.0 / lam[0]
        return _Points(
            gain[0], low - wider, high + wider, slope, self._curves.ess[place], self._curves.largest_weight[place]
        )


class _PerPromptCurve:
    """The budget bounds the KL of every prompt: each has its own λ."""

    def __init__(
        self, table: RewardTable, column: str, tail: TailTest, correct: bool, n_boot: int, rng: np.random.Generator
    ) -> None:
        self._table, self._column, self._correct, self._rng = table, column, correct, rng
        self._cells = Cells.of(table.n_samples, rng)
        self._weights = self._cells.resample(n_boot, rng)
        self._seed = int(rng.integers(2**63))
        self.base_reward = float(np.mean(np.add.reduceat(table.column(column), table.offsets[:-1]) / table.n_samples))
        most = float(np.log(table.n_samples.min()))
        searched = np.geomspace(_LEAST_KL, most, _SEARCHED)
        plug_in, first, second, _, ess, _, tail_index = (self._cells.mean(v) for v in self._gains(searched))
        whole = self._weights[:1]
        strained = strain(
            lam=(whole @ tail_index)[0],
            bias=_SLOW * remaining_bias(*((whole @ part)[0] for part in (plug_in, first, second))),
            value=(whole @ second)[0],
            standard_error=self._cells.standard_error(whole, second)[0],
            ess=(whole @ ess)[0],
            n_prompts=table.n_prompts,
            tail_scale=0.0 if tail.light else 1.0,
        )
        self.supported_kl = min(most, supported_kl(searched, strained))

    def _gains(self, kl: FloatArray) -> tuple[FloatArray, ...]:
        rng = np.random.default_rng(self._seed)  # the same halves at every budget
        out = np.empty((7, self._table.n_prompts, len(kl)))
        for where, rewards in self._table.blocks(self._column):
            found = prompt_gains(rewards, kl, rng)
            out[:, where] = [
                found.plug_in,
                found.first_order,
                found.second_order,
                found.slope,
                found.ess,
                found.largest_weight,
                found.tail,
            ]
        return tuple(out)

    def at(self, kl: FloatArray, level: float) -> _Points:
        plug_in, first, second, slope, ess, largest, _ = (self._cells.mean(v) for v in self._gains(kl))
        chosen = second if self._correct else plug_in
        value = self._weights @ chosen
        error = self._cells.standard_error(self._weights, chosen)
        low, high = studentised_interval(value, error, level)
        whole = self._weights[0]
        bias = _SLOW * remaining_bias(whole @ plug_in, whole @ first, whole @ second)
        wider = excess_bias(bias, whole @ second, error[0]) if self._correct else 0.0
        return _Points(value[0], low - wider, high + wider, whole @ slope, whole @ ess, whole @ largest)
