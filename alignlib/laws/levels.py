"""A finite law sorted into reward levels: what best-of-N and its relatives see of a base model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.array_likes import as_array
from alignlib._core.checks import FloatArray, IntArray, as_law, as_vector, frozen, require
from alignlib._core.same import SameFields
from alignlib.divergences import KL

__all__ = ["Levels", "checked_law"]

_OVERFLOWS = 700.0  # e^t beyond is no double


def checked_law(reward: npt.ArrayLike, prob: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """Return rewards and base masses, summing to one, of one shape ``(k,)``, read-only copies; equal masses for None.

    Parameters
    ----------
    reward : array (k,)
        Reward of each outcome.
    prob : array (k,), optional
        Base mass of each; equal masses if None.

    Returns
    -------
    reward, prob : array (k,)
        Read-only copies, the masses summing to one.

    Raises
    ------
    InputError
        If the shapes differ, a value is not finite, a mass is negative, or the masses do not sum to one within 1e-6.

    Examples
    --------
    >>> checked_law([1, 2], None)
    (array([1., 2.]), array([0.5, 0.5]))
    """
    rewards = frozen(as_vector("reward", reward))
    if prob is None:
        return rewards, frozen(np.full(rewards.size, 1.0 / rewards.size))
    shape = as_array("prob", prob).shape
    require(shape == rewards.shape, f"prob must have the shape of reward, {rewards.shape}; got {shape}.")
    return rewards, frozen(as_law("prob", prob))


@dataclass(frozen=True, eq=False)
class Levels(SameFields):
    """A finite law sorted into L distinct reward levels, lowest first.

    Attributes
    ----------
    reward : array (L,)
        The distinct rewards that have base mass, rising.
    mass : array (L,)
        Base mass of each level.
    below, above : array (L,)
        Base mass under it and over it; the latter is summed from the top, so that a tail of 1e-300 keeps its digits.
    index : array of int (k,)
        The level of each outcome.
    prob : array (k,)
        Base mass of each outcome.

    Examples
    --------
    >>> levels = Levels.of([1.0, 0.0, 1.0], None)
    >>> levels.reward.tolist(), levels.mass.round(3).tolist(), levels.index.tolist()
    ([0.0, 1.0], [0.333, 0.667], [1, 0, 1])
    """

    reward: FloatArray
    mass: FloatArray
    below: FloatArray
    above: FloatArray
    index: IntArray
    prob: FloatArray

    @classmethod
    def of(cls, reward: npt.ArrayLike, prob: npt.ArrayLike | None) -> Levels:
        """Sort and merge ties; checks the law as :class:`alignlib.laws.finite.FiniteLaw` does.

        Parameters
        ----------
        reward : array (k,)
            Reward of each outcome.
        prob : array (k,), optional
            Base mass of each outcome, summing to one; equal masses if None.

        Raises
        ------
        InputError
            If the shapes differ, a reward is not finite, a mass is negative, or the masses do not sum to one.
        """
        rewards, masses = checked_law(reward, prob)
        held = np.unique(rewards[masses > 0])
        # An outcome without mass belongs to no level; it is put in the nearest one and multiplied by zero.
        index = np.minimum(np.searchsorted(held, rewards), held.size - 1).astype(np.int64)
        mass = np.bincount(index, weights=masses, minlength=held.size).astype(np.float64)
        above = np.concatenate([np.cumsum(mass[:0:-1])[::-1], [0.0]])
        below = np.concatenate([[0.0], np.cumsum(mass[:-1])])
        for array in (held, mass, below, above, index):
            array.setflags(write=False)
        return cls(held, mass, below, above, index, masses)

    @property
    def log_at_or_below(self) -> FloatArray:
        """``log F_i``, accurate both near F = 0 and near F = 1."""
        at_or_below = self.below + self.mass
        high = self.above < 0.5
        with np.errstate(divide="ignore"):
            return np.where(high, np.log1p(-np.where(high, self.above, 0.0)), np.log(at_or_below))

    def gain_of(self, t: FloatArray) -> float:
        """Mean reward under level densities ``e^t`` minus the base mean, as a sum of one sign.

        Parameters
        ----------
        t : array (L,)
            ``log π/p`` of each level, rising with the reward or of any other order.
        """
        with np.errstate(over="ignore"):
            rise = np.expm1(t)
        # t grows with the level and Σ mass·(e^t - 1) = 0, so rewards may be measured from where t changes sign.
        pivot = self.reward[int(np.argmin(np.abs(t)))]
        step = self.reward - pivot
        if t[-1] > _OVERFLOWS:
            return float((self.policy_of(t) - self.mass) @ step)
        return float((self.mass * step) @ rise)

    def kl_of(self, t: FloatArray) -> float:
        """``KL`` of level densities ``e^t`` to the base.

        Parameters
        ----------
        t : array (L,)
            ``log π/p`` of each level, ``-inf`` where the policy has no mass.
        """
        return KL.of_log_ratio(t, self.mass)

    def log_policy_of(self, t: FloatArray) -> FloatArray:
        """Outcome by outcome ``log policy``.

        Parameters
        ----------
        t : array (L,)
            ``log π/p`` of each level.

        Returns
        -------
        array (k,)
            ``-inf`` where the base or the policy has no mass.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.prob) + t[self.index]

    def mean_of(self, t: FloatArray) -> float:
        """Mean reward under level densities ``e^t``.

        Parameters
        ----------
        t : array (L,)
            ``log π/p`` of each level.
        """
        return float(self.policy_of(t) @ self.reward)

    def policy_of(self, t: FloatArray) -> FloatArray:
        """Mass of each level under level densities ``e^t``, which may overflow where a mass is near the smallest.

        Parameters
        ----------
        t : array (L,)
            ``log π/p`` of each level.
        """
        if t.size and t.max() > _OVERFLOWS:
            return np.exp(np.log(self.mass) + t)
        return np.asarray(self.mass * np.exp(t))

    def win_rate_of(self, t: FloatArray) -> float:
        """Probability to beat one base draw, ties counted half.

        Parameters
        ----------
        t : array (L,)
            ``log π/p`` of each level.
        """
        return float(self.policy_of(t) @ (self.below + self.mass / 2))
