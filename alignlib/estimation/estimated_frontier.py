"""What is returned for the frontier from samples: the curve, its interval, and how far the samples support it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.errors import InputError
from alignlib._core.shown import level_shown
from alignlib.estimation.tails import TailShape
from alignlib.laws import Frontier

__all__ = ["EstimatedFrontier", "UnsupportedBudgetError"]


class UnsupportedBudgetError(InputError):
    """No requested budget lies in the supported range.

    Parameters
    ----------
    message : str
        What was asked, and what can be done.
    largest_supported : float
        Where the range ends, in nats; kept under this name.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(0).standard_normal((40, 16)), n_boot=100)
    >>> try:
    ...     fit.at(5.0)
    ... except UnsupportedBudgetError as error:
    ...     print(error.largest_supported == fit.supported_end)
    True
    """

    def __init__(self, message: str, largest_supported: float) -> None:
        super().__init__(message)
        self.largest_supported = largest_supported


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class EstimatedFrontier(Frontier):
    """A `Frontier` from samples.

    Where ``unseen_top`` prompts show no response of the largest reward there can be, which the divergence lets a policy
    put mass on, ``gain`` presumes that one exists: it is an upper limit, ``gain_high`` its upper end, and ``gain_low``
    is a lower end that allows for those prompts gaining nothing.

    Attributes
    ----------
    spent : array (k,)
        Each budget, in the units of ``divergence`` (nats for KL).
    gain, gain_low, gain_high : array (k,)
        The largest mean reward for it, less ``base_reward``, with its interval.
    lam : array (k,)
        Inverse temperature λ; for a budget on every prompt ``1/λ`` is the mean of 1/λ over prompts, the slope of the
        curve.
    base_reward : float
        Mean reward of the base.
    supported : array of bool (k,)
        Where the samples are enough to be believed.
    level : float
        Coverage that the intervals aim at.
    divergence : Divergence
        What the budget is measured in.
    supported_end : float
        The largest supported budget.
    ess : array (k,)
        Effective sample size at each point's λ, averaged over prompts.
    largest_weight : array (k,)
        Share of the heaviest sample there, averaged likewise.
    budget : str
        ``"average"`` over prompts, or the same on every prompt, ``"per_prompt"``.
    n_prompts : int
        Prompts.
    tail : TailShape
        The shape of the upper tail.
    unseen_top : int
        Prompts that show no response of the largest reward.
    fixed_prompts : bool
        That the limit and its interval are of these very prompts, too few to stand for others.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> found = fit_frontier(np.random.default_rng(1).standard_normal((100, 32)), n_boot=100).at([0.1, 5.0])
    >>> found.supported.tolist(), bool(found.gain_low[0] < found.gain[0] < found.gain_high[0]), found.n_prompts
    ([True, False], True, 100)
    """

    gain_low: FloatArray
    gain_high: FloatArray
    supported: BoolArray
    level: float
    supported_end: float
    ess: FloatArray
    largest_weight: FloatArray
    budget: str
    n_prompts: int
    tail: TailShape
    unseen_top: int = 0
    fixed_prompts: bool = False

    def _shown(self) -> str:
        interval = ""
        if self.spent.size == 1:
            interval = f", {level_shown(self.level)} interval {self.gain_low[0]:.3g} to {self.gain_high[0]:.3g}"
        return f"{interval}, {self.budget} budget, supported up to {self.supported_end:.3g}"

    def take(self, which: npt.ArrayLike | slice) -> EstimatedFrontier:
        """Return some of the points, by their positions, a mask or a slice.

        Parameters
        ----------
        which : array or slice
            Positions, a mask, or a slice.
        """
        index = which if isinstance(which, slice) else np.asarray(which)
        arrays = ("spent", "gain", "lam", "gain_low", "gain_high", "supported", "ess", "largest_weight")
        return replace(self, **{name: getattr(self, name)[index] for name in arrays})
