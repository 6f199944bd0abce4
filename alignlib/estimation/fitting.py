"""From a table of rewards to its `Fit`."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import as_flag, require
from alignlib._core.errors import InputError
from alignlib.divergences import KL, TOTAL_VARIATION, Divergence, as_divergence
from alignlib.estimation.averaging import averaged_curve
from alignlib.estimation.bootstrap import Cells, check_resampling, few_prompts
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.divergence_curve import divergence_curve, moved_mass_curve
from alignlib.estimation.fit import Fit
from alignlib.estimation.fit_checks import as_table, check_beyond, check_bounds, single_column, why_no_limit
from alignlib.estimation.per_prompt import PerPromptCurve
from alignlib.estimation.tails import TailShape, tail_shape
from alignlib.estimation.win_rate_curve import win_rate_curve
from alignlib.tables import RewardTable

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

__all__ = ["fit_frontier"]

_SURE_OF_FEW = 2.5  # standard errors by which the tail of several fixed prompts must be lighter; by simulation


def fit_frontier(
    table: RewardTable | Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike] | npt.NDArray[Any] | IntoFrame,
    reward: str | None = None,
    *,
    budget: str = "average",
    bias_correction: bool = True,
    bounded: Sequence[float] | None = None,
    divergence: Divergence | str = KL,
    win_rate: bool = False,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> Fit:
    """Estimate the largest gain in mean reward within a KL budget Δ, from samples of the base model.

    The budget is on the average over prompts, ``max {E r - E_p r : E_x KL_x ≤ Δ} = min_λ (Δ + Λ(λ))/λ`` with Λ the
    average over prompts of ``log mean e^{λ(r - r̄)}``, or on each prompt, the average of each prompt's own minimum.
    The O(1/n) and O(1/n²) biases are removed within each prompt by a second-order jackknife. The interval resamples
    prompts. Where there are fewer than twenty prompts, whose samples (16 or more of each) show what is said of them, it
    is of these very prompts instead: groups of their samples are resampled (`Fit.fixed_prompts`).

    A budget is supported while prompts, weighted by what they spend, spend no more than a quarter of ``log n``, while
    at least three prompts share the KL (fewer of less than five, none need where prompts are fixed), and while λ is at
    most half the rate of the tail, unless that tail is clearly nearer to a Gaussian than to an exponential one. The
    interval reaches as far as the bias that is left may go, which halves of the samples and the last correction show;
    it is Student's where there are fewer than eight prompts, and never narrower than what the samples of these very
    prompts leave. A curve that has gone flat counts as known only if
    every prompt was seen at the largest reward of all.

    Parameters
    ----------
    table : RewardTable, array (prompts, n), list of arrays, mapping of names to either, or data frame
        Sampled rewards of several prompts; a data frame has a row for each sample, its prompt in ``prompt_id``.
    reward : str, optional
        The column; may be left out where the table has only one.
    budget : "average" or "per_prompt"
        Whether Δ bounds the KL on average over prompts, or on every prompt.
    bias_correction : bool
        False gives the plug-in curve, which lies too low, and its interval, at every budget.
    bounded : (low, high), optional
        What the reward can never fall below or exceed, known beforehand. The interval then holds at every budget, with
        no end of support, and is wider: it asks nothing of the tail.
    divergence : Divergence or str
        What a budget is measured in; budgets then hold for prompt and response together, which for all divergences but
        Rényi's is the average over prompts. One that charges a bounded price for mass moved into the upper tail
        (``alignlib.divergences``: all but KL, χ² and Rényi's of order above 1) needs ``bounded``.
    win_rate : bool
        Count the win rate over the base model by this reward, ties as one half, in place of the reward: any order of
        responses will do.
    level : float
        Nominal coverage of the intervals.
    n_boot : int
        Number of bootstrap replicates, at least 100.
    rng : Generator or int
        Source of randomness, or its seed.

    Returns
    -------
    Fit
        Also where there is no limit to estimate: ``problem`` then says why, and asking for the limit raises it.

    Raises
    ------
    InputError
        For a column that is not there, or an argument out of its range.

    Examples
    --------
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((100, 64)))
    >>> fit.at([0.5, 1.0]).gain.round(1).tolist(), bool(fit.supported_end > 1.0)
    ([1.0, 1.4], True)

    Source: P26 (estimation from base samples); bias correction, interval and support rule are derived here.
    """
    data = as_table(table, reward)
    column = single_column(data, reward)
    level, n_boot, generator = check_resampling(level, n_boot, rng)
    bias_correction = as_flag("bias_correction", bias_correction)
    start = copy.deepcopy(generator)
    require(
        isinstance(budget, str) and budget in ("average", "per_prompt"),
        f"budget must be 'average' or 'per_prompt'; got {budget!r}.",
    )
    divergence, win_rate = as_divergence(divergence), as_flag("win_rate", win_rate)
    if win_rate or divergence != KL:
        check_beyond(bounded, budget, divergence, win_rate)
        require(bias_correction, "bias_correction must be left on for win rates and for divergences other than KL.")
    bounds = check_bounds(bounded, budget, data, column)
    fixed = few_prompts(data.n_samples)
    tail = tail_shape(data, column, _SURE_OF_FEW if fixed and data.n_prompts > 1 else 1.0)
    cells = Cells.of(data.n_samples, generator) if not fixed else _of_these(data, generator)
    curve: AveragedCurve | PerPromptCurve | None = None
    end = 0.0
    if budget == "per_prompt":
        curve, problem = _curve_of_each_prompt(data, column, tail, cells, correct=bias_correction)
        end = 0.0 if curve is None else curve.supported_end
    else:
        problem = why_no_limit(data, column, 2 if win_rate or divergence == TOTAL_VARIATION else 3)
    if problem is None and curve is None and divergence == KL and not win_rate:
        largest = None if bounds is None else bounds[1]
        curve = averaged_curve(data, column, cells, tail, bias_correction=bias_correction, largest=largest)
        end = curve.supported_end if bounds is None else math.inf
    elif problem is None and curve is None:
        curve = _curve_beyond(data, column, cells, tail, divergence, win_rate, bounds)
        end = curve.supported_end
        end = float(divergence.of_mean(np.asarray(end))) if math.isfinite(end) else end
    return Fit(
        table=data,
        reward=column,
        budget=budget,
        level=level,
        bias_correction=bias_correction,
        bounded=bounds,
        tail=tail,
        cells=cells,
        weights=cells.resample(n_boot, generator),
        curve=curve,
        supported_end=end,
        problem=problem,
        start=start,
        of_each_prompt=_of_each_prompt,
        divergence=divergence,
        win_rate=win_rate,
    )


def _of_each_prompt(fit: Fit) -> Fit:
    """Return the fit of the same samples for the same KL on every prompt, which has a curve of its own."""
    curve, problem = _curve_of_each_prompt(fit.table, fit.reward, fit.tail, fit.cells, correct=fit.bias_correction)
    return replace(
        fit,
        budget="per_prompt",
        bounded=None,
        curve=curve,
        supported_end=0.0 if curve is None else curve.supported_end,
        problem=problem,
        divergence=KL,
        win_rate=False,
    )


def _curve_of_each_prompt(
    table: RewardTable, column: str, tail: TailShape, cells: Cells, *, correct: bool
) -> tuple[AveragedCurve | PerPromptCurve | None, InputError | None]:
    """Return the curve for the same KL on every prompt, or why there is none; of a single prompt there is one curve."""
    alone = table.n_prompts == 1
    problem = why_no_limit(table, column, 3 if alone else 6)
    if problem is not None:
        return None, problem
    if alone:
        return averaged_curve(table, column, cells, tail, bias_correction=correct), None
    return PerPromptCurve(table, column, tail, cells, correct=correct), None


def _of_these(table: RewardTable, generator: np.random.Generator) -> Cells:
    """Return groups of the samples of prompts that are fixed."""
    if table.all_held:
        return Cells.of_samples(table.n_samples, generator)
    return Cells.of_fixed(table.n_samples, table.groups)


def _curve_beyond(
    table: RewardTable,
    column: str,
    cells: Cells,
    tail: TailShape,
    divergence: Divergence,
    win_rate: bool,
    bounds: tuple[float, float] | None,
) -> AveragedCurve:
    """Return the curve of win rates, or of a budget in another divergence than KL."""
    if win_rate:
        return win_rate_curve(table, column, cells, divergence)
    if divergence == TOTAL_VARIATION:
        assert bounds is not None
        return moved_mass_curve(table, column, cells, bounds[1])
    free_tail = math.isfinite(divergence.slope_at_infinity)
    top = bounds[1] if free_tail and bounds is not None else None
    return divergence_curve(table, column, cells, tail, divergence, top)
