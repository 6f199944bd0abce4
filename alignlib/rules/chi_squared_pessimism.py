"""χ²-pessimism: draw n responses, keep one with probability in proportion to a straight line of its reward, cut at 0.

With ``w = (1 + λ(r - ν)/2)⁺`` and ν such that ``E_p w = 1``, the policy ``p w`` has the largest
``E_φ r - χ²(φ‖p)/λ``. H25 sample by rejection; here one of n draws is kept in proportion to ``w``, as soft best-of-n
does with ``e^{λr}``, so that its law tends to that policy as n grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_vector
from alignlib.laws import Levels
from alignlib.rules.weighted_choice import WeightedRule, one_by_weight, weighted_choice

__all__ = ["ChiSquaredPessimism"]


@dataclass(frozen=True)
class ChiSquaredPessimism(WeightedRule):
    """Draw n, keep one with probability ∝ ``(1 + λ(r - ν)/2)⁺``; any of them where that is 0 for all.

    Its curve runs along λ at a fixed n. The offset ν is the law's, ``E_p w = 1``, and taken as known; `choose`, which
    has nothing but its draws, takes theirs. With few draws and a large λ it then gains less than the law here says.

    Parameters
    ----------
    n : float
        Number of draws, >= 1; whole, to draw responses.
    lam : float
        λ >= 0, in the inverse of the reward's unit: ``1/λ`` is the price of χ². 0 is the base.

    Raises
    ------
    InputError
        If a parameter is out of its range.

    Examples
    --------
    >>> from alignlib.divergences import CHI_SQUARED
    >>> from alignlib.laws import FiniteLaw
    >>> law = FiniteLaw([0.0, 1.0, 2.0])
    >>> many = ChiSquaredPessimism(1e6, 1.0).on(law)
    >>> best = law.frontier([many.spent(CHI_SQUARED)], CHI_SQUARED)
    >>> bool(np.isclose(many.gain, best.gain[0], rtol=1e-5)), bool(np.isclose(best.lam[0], 1.0, rtol=1e-4))
    (True, True)

    Source: H25 for the policy and for pessimism by sampling; the law for finite n is derived here.
    """

    name = "chi-squared pessimism"

    @property
    def title(self) -> str:
        """Such as ``"chi-squared pessimism of 8 (λ=2)"``."""
        return f"chi-squared pessimism of {self.n:g} ({self.label})"

    def weight(self, levels: Levels) -> FloatArray:
        """Return ``(1 + λ(r - ν)/2)⁺`` of each level, the policy over the base that many draws approach.

        Parameters
        ----------
        levels : Levels
            The base law, sorted by reward.

        Returns
        -------
        array (levels,)
            Of base mean 1; 0 on the levels that it drops.

        Examples
        --------
        >>> ChiSquaredPessimism(4, 1.0).weight(Levels.of([0.0, 1.0, 2.0], None)).tolist()
        [0.5, 1.0, 1.5]
        """
        half = 0.5 * self.lam
        step = levels.reward - levels.reward[-1]
        # From the top down: as many levels are held as leave the lowest of them a positive weight.
        mass = np.cumsum(levels.mass[::-1])[::-1]
        total = np.cumsum((levels.mass * step)[::-1])[::-1]
        # The weight at the top, if all levels from i on are held: E w = 1 gives (1 - λ/2 Σ p (r - top)) / mass.
        with np.errstate(over="ignore", invalid="ignore"):
            top = (1.0 - half * total) / mass
            held = top + half * step > 0.0
            first = int(np.argmax(held))
            return np.where(np.arange(step.size) >= first, np.maximum(top[first] + half * step, 0.0), 0.0)

    def log_ratio(self, levels: Levels) -> FloatArray:
        """Quadrature of an integral, level by level."""
        if self.lam == 0.0 or levels.mass.size == 1:
            return np.zeros_like(levels.mass)
        with np.errstate(divide="ignore"):
            return weighted_choice(levels, np.log(self.weight(levels)), 1.0, float(self.n), self.name)

    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """One of them by its weight, with the ν of these very draws."""
        levels = Levels.of(as_vector("rewards", rewards), None)
        return one_by_weight(self.weight(levels)[levels.index], rng)
