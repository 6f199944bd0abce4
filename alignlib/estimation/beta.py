"""The β whose optimum spends a wished KL, from samples of the base: the slope of the limit there."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import as_number, require
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.estimated_frontier import UnsupportedBudgetError
from alignlib.estimation.fit import Fit

__all__ = ["beta_at"]


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
    >>> from alignlib.estimation.fitting import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((100, 64)))
    >>> beta, low, high = beta_at(fit, 0.5)
    >>> low < 1.0 < high  # normal rewards: 1 / √(2 Δ)
    True

    Source: the envelope theorem; the interval is the hull of two bootstraps over prompts, the percentile and the
    basic one, on a logarithmic scale.
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
    drawn = np.concatenate([curve.gains(fit.weights, asked, bound)[2][1:, 0] for bound in curve.cell_bounds])
    lam = float(curve.gains(fit.weights[:1], asked)[2][0, 0])
    tail = (1.0 - fit.level) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    if math.isinf(lam):
        return 0.0, 0.0, 1.0 / float(low)
    ends = (1.0 / high, 1.0 / low, low / lam**2, high / lam**2, 1.0 / lam)  # as drawn, mirrored, and β itself
    return 1.0 / lam, float(min(ends)), float(max(ends))
