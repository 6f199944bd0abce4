"""Adaptive KL penalties: where the controller of Ziegler et al. settles, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import as_number, as_numbers, require
from alignlib.laws import Law

__all__ = ["KLController", "Settled"]


@dataclass(frozen=True)
class Settled:
    """Where a controller settles on a law, and how.

    Attributes
    ----------
    beta, lam : float
        β and ``λ = 1/β`` of the optimum whose KL is the target.
    elasticity : float
        ``d log KL / d log λ`` there.
    stable : bool
        Whether small deviations die out.
    overshoots : bool
        Whether a policy that stood at the optimum of another β nearby passes the target on its way.

    Examples
    --------
    >>> from alignlib.laws import Gaussian
    >>> found = KLController(2.0, 0.1).settles(Gaussian())  # λ = 2 spends two nats
    >>> round(found.lam, 6), round(found.beta, 6), found.stable
    (2.0, 0.5, True)
    """

    beta: float
    lam: float
    elasticity: float
    stable: bool
    overshoots: bool


@dataclass(frozen=True)
class KLController:
    r"""The next β is ``β (1 + K clip(KL/target - 1, ±c))``, with ``K = n/horizon`` for n responses a step.

    At rest the measured KL is the target, whatever K and the first β: the coefficient is the sum of all errors, not
    proportional to the last one. So a policy that is trained to its optimum at every β ends on the frontier at the
    target, if what is measured is the KL per sequence.

    Parameters
    ----------
    target : float
        KL to hold, > 0, in the unit of what is measured.
    step : float
        K > 0.
    clip : float
        c > 0.

    Raises
    ------
    InputError
        If a number is not positive.

    Examples
    --------
    >>> from alignlib.laws import Gaussian
    >>> control = KLController(2.0, 0.1)
    >>> round(control.next_beta(0.5, 3.0), 4)
    0.51
    >>> found = control.settles(Gaussian(), pace=0.5)
    >>> round(found.lam, 6), round(found.elasticity, 6), found.stable, found.overshoots
    (2.0, 2.0, True, True)

    Source: Ziegler et al. (2019) for the controller; we derive the rest.
    """

    target: float
    step: float
    clip: float = 0.2

    def __post_init__(self) -> None:
        for name in ("target", "step", "clip"):
            as_number(name, getattr(self, name), 0.0, open_low=True)

    def next_beta(self, beta: float, kl: float) -> float:
        """Return the next coefficient after a measured KL.

        Parameters
        ----------
        beta : float
            The coefficient in use.
        kl : float
            The KL measured with it, in the unit of ``target``.
        """
        return beta * (1.0 + self.step * float(np.clip(kl / self.target - 1.0, -self.clip, self.clip)))

    def settles(self, law: Law, pace: float = 1.0) -> Settled:
        r"""Say where the controller settles if the policy follows its optimum at a pace.

        In each step ``log λ`` of the policy goes the share γ, its pace, of the way to ``-log β``, and β is corrected by
        the KL before that step. Linearised, deviations obey ``z² - (2-γ)z + 1 - γ + γKe = 0`` with the elasticity
        ``e = λ² Var/D``. The roots lie inside the unit circle if and only if ``K e < 1``; they are real if and only if
        ``4 K e <= γ``.

        Parameters
        ----------
        law : Law
            Rewards of the base model's responses.
        pace : float
            γ in (0, 1].

        Raises
        ------
        InputError
            If the target is out of the law's reach: β then falls for ever.
        """
        as_number("pace", pace, 0.0, 1.0, open_low=True)
        require(
            self.target < law.max_kl,
            f"target must be below the KL at which the law's best responses alone are left, {law.max_kl:g} nats; got "
            f"{self.target:g}: the coefficient would fall for ever.",
        )
        lam = float(law.lam_at_kl(self.target))
        elasticity = float(lam**2 * law.variance(lam) / law.kl(lam))
        gain = self.step * elasticity
        return Settled(1.0 / lam, lam, elasticity, gain < 1.0, 4.0 * gain > pace)

    def settled_kl(self, relative: npt.ArrayLike) -> float:
        """Return the true KL at which the mean correction is zero, from draws of the measured KL over the true one.

        The clipped correction balances a location of the measurements between their median and their mean: with a
        skewed estimator the true KL settles above the target. In the limit of small steps.

        Parameters
        ----------
        relative : array
            Measured KL of a batch over the true KL; its mean is 1 for an unbiased estimator.

        Raises
        ------
        InputError
            If the mean of ``relative`` is not positive, or no KL balances the correction.

        Examples
        --------
        >>> KLController(2.0, 0.1).settled_kl([1.0, 1.0]), KLController(2.0, 0.1).settled_kl([0.5, 0.5, 2.0]) > 3
        (2.0, True)
        """
        drawn = as_numbers("relative", relative).reshape(-1)
        require(float(np.mean(drawn)) > 0.0, "relative must have a positive mean.")

        def push(log_ratio: float) -> float:
            return float(np.clip(np.exp(log_ratio) * drawn - 1.0, -self.clip, self.clip).mean())

        low, high = -1.0, 1.0
        while push(low) > 0.0 and low > -500.0:
            low *= 2.0
        while push(high) < 0.0 and high < 500.0:
            high *= 2.0
        require(push(low) <= 0.0 <= push(high), "relative must allow a balance; too many draws are not positive.")
        return self.target * float(np.exp(scipy.optimize.brentq(push, low, high, xtol=1e-13)))
