"""What is asked at a wished KL beside the limit: its β, the samples it would take, what constant prompts may add."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, FloatOrArray, as_level, as_number, like, require, require_range
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.estimated_frontier import UnsupportedBudgetError
from alignlib.estimation.fit import Fit
from alignlib.estimation.support import known_kl
from alignlib.laws import Bernoulli
from alignlib.tables import RewardTable

__all__ = ["Wanted", "beta_at", "most_of_constant_prompts", "samples_wanted"]

_MOST_LOG = 300.0  # of a number of samples
_FEWEST_PROMPTS = 8
_FEWEST_SAMPLES = 4.0  # three support hardly any budget


def beta_at(fit: Fit, kl: float) -> tuple[float, float, float]:
    r"""Return ``β = dG/dΔ``, at which the optimum of ``E R - β KL(π‖p)`` spends ``Δ`` nats, and its interval.

    Parameters
    ----------
    fit : Fit
        The run's reward, fitted on samples of its base, for an average KL.
    kl : float
        Δ in nats per sequence, > 0, within what the samples support.

    Returns
    -------
    tuple of float
        β in the reward's unit per nat, and the ends of its interval over prompts.

    Raises
    ------
    UnsupportedBudgetError
        Beyond what the samples support.
    InputError
        For a fit of another kind, or without a limit.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((100, 64)))
    >>> beta, low, high = beta_at(fit, 0.5)
    >>> low < 1.0 < high  # normal rewards: 1 / √(2 Δ)
    True

    Source: the envelope theorem; the interval is the hull of two bootstraps over prompts, the percentile and the
    basic one, times what the limit's own interval reaches beyond the same draws.
    """
    budget = as_number("kl", kl, 0.0, open_low=True)
    curve = fit.curve
    if fit.problem is not None:
        raise fit.problem
    require(
        isinstance(curve, AveragedCurve) and fit.budget == "average" and not fit.win_rate,
        "fit must be one of the reward for an average KL; fit without win_rate, divergence and budget.",
        "fit",
    )
    assert isinstance(curve, AveragedCurve)
    if budget > fit.supported_end * (1.0 + 1e-12):
        raise UnsupportedBudgetError(
            f"kl must not exceed the {fit.supported_end:.3g} nats that the samples of {fit.reward!r} support; got "
            f"{budget:.3g}. Ask for less, or draw more samples per prompt.",
            fit.supported_end,
        )
    asked = np.array([budget])
    found = [curve.gains(fit.weights, asked, bound) for bound in curve.cell_bounds]
    drawn = np.concatenate([lam[1:, 0] for _, _, lam in found])
    beta = 1.0 / float(curve.gains(fit.weights[:1], asked)[2][0, 0])  # 0 where prompts cannot spend so much
    tail = (1.0 - fit.level) / 2.0
    low, high = np.quantile(1.0 / drawn, [tail, 1.0 - tail]).tolist()
    if beta == 0.0:
        return 0.0, 0.0, high
    ends = (low, high, beta**2 / high, beta**2 / low if low > 0.0 else 2.0 * beta, beta)  # as drawn, mirrored, β itself
    wider = _wider(fit, asked, np.concatenate([gain[1:, 0] for gain, _, _ in found]), tail)
    return beta, min(ends) * wider[0], max(ends) * wider[1]


def _wider(fit: Fit, asked: FloatArray, gains: FloatArray, tail: float) -> tuple[float, float]:
    """Return by what factors the limit's own interval reaches further than such draws of it, down and up.

    Draws of few prompts lack those whose rewards spread the most, which raise limit and β together, and alike: of
    rewards times as large both are.
    """
    at = fit.at(asked, strict=False)
    low, high = float(at.gain_low[0]), float(at.gain_high[0])
    drawn_low, drawn_high = np.quantile(gains, [tail, 1.0 - tail]).tolist()
    below = min(low / drawn_low, 1.0) if low > 0.0 < drawn_low else 1.0
    above = max(high / drawn_high, 1.0) if math.isfinite(high) and drawn_high > 0.0 else 1.0
    return below, above


@dataclass(frozen=True)
class Wanted:
    """How many samples would support a budget.

    Attributes
    ----------
    kl : float
        The budget in nats.
    samples : float
        About how many of each prompt it takes.
    prompts : int
        And at least so many prompts.
    rule : str
        Title of the rule that spends it, where its share of the limit is what is wanted.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(0).standard_normal((40, 16)), n_boot=100)
    >>> found = samples_wanted(fit, 2.0)
    >>> found.kl, found.samples > 16.0, found.prompts
    (2.0, True, 40)
    """

    kl: float
    samples: float
    prompts: int
    rule: str = ""


def samples_wanted(fit: Fit, kl: float, *, rule: str = "", draws: float = 0.0) -> Wanted:
    """Say how many samples a KL budget, or the share of a rule that spends it, would take.

    The support grows with the KL that n samples of a prompt show, a quarter of ``log n`` and less for very few, so that
    each further nat multiplies the samples: ``n^(kl/end)`` where n is large. Where none is supported, prompts of alike
    rewards are assumed.

    Parameters
    ----------
    fit : Fit
        Of the samples at hand.
    kl : float
        The KL budget in nats, > 0.
    rule : str
        Title of the rule that spends it, if one does.
    draws : float
        Samples of a prompt that the rule needs in any case.

    Raises
    ------
    InputError
        If ``kl`` is not positive.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> rows = np.random.default_rng(0).standard_normal((100, 64))
    >>> fit = fit_frontier(rows, n_boot=100)
    >>> samples_wanted(fit, 2.0 * fit.supported_end).samples
    4100.0
    """
    kl = as_number("kl", kl, 0.0, open_low=True)
    sizes, counts = np.unique(fit.table.n_samples, return_counts=True)
    shown = float(counts @ [known_kl(max(int(n), 3)) for n in sizes]) / fit.table.n_prompts
    end = fit.supported_end
    number = max(_samples_that_show(kl * shown / end if 0.0 < end < math.inf else kl), _FEWEST_SAMPLES, draws)
    return Wanted(kl, _two_digits(number), max(_FEWEST_PROMPTS, fit.table.n_prompts), rule)


def _samples_that_show(kl: float) -> float:
    """Return the least number of samples of a prompt that show ``kl`` nats."""
    low, high = math.log(_FEWEST_SAMPLES - 1.0), _MOST_LOG
    if known_kl(math.exp(high)) < kl:
        return math.inf
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if known_kl(math.exp(middle)) < kl else (low, middle)
    return math.exp(high)


def _two_digits(value: float) -> float:
    if not math.isfinite(value):
        return value
    unit = 10.0 ** max(math.floor(math.log10(value)) - 1, 0)
    return math.ceil(value / unit) * unit


def most_of_constant_prompts(
    table: RewardTable, reward: str, kl: npt.ArrayLike, *, level: float = 0.95, highest: float | None = None
) -> FloatOrArray:
    """Return how much prompts with constant rewards may add to the limit, averaged over all prompts, at each KL.

    Where all n samples of a prompt earn ``v``, the chance of anything else is at most ``q = 1 - (1 - level)^{1/n}``
    with the confidence ``level``, prompt by prompt. A reward that is ``highest`` with some chance of at most q and v
    otherwise gains most, so that a budget of ``kl`` on each of these prompts adds no more than the largest of these
    gains. A prompt whose rewards are at ``highest`` already adds nothing.

    Parameters
    ----------
    table : RewardTable
        The samples.
    reward : str
        Column.
    kl : array
        KL in nats on each of these prompts, >= 0.
    level : float
        Confidence of the bound on a chance that no sample has shown, in (0, 1).
    highest : float, optional
        The largest reward there can be; by default the largest in the table, which is an assumption.

    Raises
    ------
    InputError
        If a KL is negative, ``level`` outside (0, 1), or a sample above ``highest``.

    Examples
    --------
    >>> table = RewardTable.from_arrays([[0.0] * 8, [0.0, 1.0] * 4])
    >>> round(most_of_constant_prompts(table, "reward", 0.1), 3)
    0.108

    Source: the chance is that of Clopper and Pearson (1934), the gain that of two outcomes; derived here.
    """
    as_level(level)
    budgets = require_range("kl", kl, 0.0)
    top = table.extremes(reward)[1] if highest is None else float(highest)
    sizes, constant = table.n_samples, table.constant_prompts(reward)
    room = top - table.prompt_maxima(reward)[constant]
    total = np.zeros(budgets.shape)
    for n in np.unique(sizes[constant]):
        chance = -math.expm1(math.log1p(-level) / float(n))
        gains = np.array([_most_of_two(chance, budget) for budget in budgets.ravel().tolist()])
        total += float(room[sizes[constant] == n].sum()) * gains.reshape(budgets.shape)
    return like(kl, np.asarray(total / table.n_prompts))


def _most_of_two(chance: float, kl: float) -> float:
    """Return the largest gain at a KL of a reward of 0 and 1 whose mean is at most ``chance``.

    The KL of two coins is convex in both, so the gain is concave in the mean: it rises up to one mean, then falls.
    """
    found = scipy.optimize.minimize_scalar(
        lambda mean: -float(Bernoulli(mean).gain_at_kl(kl)),
        bounds=(0.0, chance),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return max(-float(found.fun), float(Bernoulli(chance).gain_at_kl(kl)))
