"""Where a penalty that is not the KL of a response comes to rest, on samples of the base, and what to set for a KL.

Write ``r`` for the reward of a response, ``T`` for its tokens, ``ℓ`` for its log-ratio of policy to base, ``c`` for the
trainer's coefficient. A policy that may have any law on the responses rests where all of them are pushed alike:

- penalty ``c ℓ/T`` in the reward: ``ℓ = T (r - a)/c``, with the a that makes the law sum to one;
- a loss that divides reward's part and KL of a response by T: ``ℓ = r/c + κT - log Z`` with ``κ = KL/E T``;
- rewards scaled in their group, the KL charged after: ``ℓ = f(r)/c - log Z``, f the mean advantage of a reward, in
  large groups ``r/s``, s the policy's deviation on the prompt.

None is the tilt ``r/β - log Z`` unless lengths, or deviations, are equal. The coefficient is found at which the mean KL
on the samples is that of the tilt, so that what few samples understate is understated alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.training.penalty import group_gap

__all__ = ["BaseSamples", "group_scaled", "length_normalised", "per_token", "spent"]

Law = FloatArray  # log-ratios to the base of all samples, (n,)
_ROUNDS, _CLOSE, _STILL = 60, 1e-7, 3e-4
_MANY = 1 << 10  # responses, beyond which a group is taken as one without end
_DRAWS, _NODES, _SEED = 200, 25, 17  # groups, and rewards at which the mean advantage is found


@dataclass(frozen=True, eq=False)
class BaseSamples(SameFields):
    """Rewards of base samples, prompt by prompt, n in all of P prompts.

    Parameters
    ----------
    reward : array (n,)
        Their rewards.
    size : array of int (P,)
        Samples of each prompt.
    tokens : array (n,), optional
        Their tokens, if known.
    """

    reward: FloatArray
    size: IntArray
    tokens: FloatArray | None = None

    @property
    def start(self) -> IntArray:
        """Return where each prompt begins, (P,)."""
        return np.asarray(np.cumsum(self.size) - self.size)

    def each(self, values: FloatArray) -> FloatArray:
        """Return a prompt's value for each of its samples.

        Parameters
        ----------
        values : array (P,)
            One a prompt.

        Returns
        -------
        array (n,)
            One a sample.
        """
        return np.repeat(values, self.size)

    def log_mean_exp(self, score: FloatArray) -> FloatArray:
        """Return the logarithm of the mean of ``e^score`` over the samples of each prompt.

        Parameters
        ----------
        score : array (n,)
            Of each sample.

        Returns
        -------
        array (P,)
            In nats.
        """
        top = np.maximum.reduceat(score, self.start)
        total = np.add.reduceat(np.exp(score - self.each(top)), self.start)
        return np.asarray(top + np.log(total / self.size))

    def law(self, score: FloatArray) -> Law:
        """Return the law proportional to ``e^score``.

        Parameters
        ----------
        score : array (n,)
            Of each sample.

        Returns
        -------
        array (n,)
            ``log φ/p``, of mean 1 on each prompt once exponentiated.
        """
        return np.asarray(score - self.each(self.log_mean_exp(score)))

    def mean(self, law: Law, values: FloatArray) -> FloatArray:
        """Return the mean of values under a law on each prompt.

        Parameters
        ----------
        law : array (n,)
            As `law` gives it.
        values : array (n,)
            Of each sample.

        Returns
        -------
        array (P,)
            In their unit.
        """
        return np.asarray(np.add.reduceat(np.exp(law) * values, self.start) / self.size)

    def kl(self, law: Law) -> float:
        """Return the KL to the base, averaged over prompts.

        Parameters
        ----------
        law : array (n,)
            As `law` gives it.

        Returns
        -------
        float
            In nats.
        """
        return float(self.mean(law, law).mean())

    def spread(self, law: Law) -> FloatArray:
        """Return the deviation of the reward on each prompt, by ``1 - Σw²``, as few samples understate it.

        Parameters
        ----------
        law : array (n,)
            As `law` gives it.

        Returns
        -------
        array (P,)
            In the unit of the reward.
        """
        mean = self.mean(law, self.reward)
        square = self.mean(law, (self.reward - self.each(mean)) ** 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.sqrt(square / self._apart(law))
        varies = np.maximum.reduceat(self.reward, self.start) > np.minimum.reduceat(self.reward, self.start)
        return np.where(varies & np.isfinite(found), found, 0.0)

    def _apart(self, law: Law) -> FloatArray:
        return np.asarray(1.0 - np.add.reduceat(np.exp(2.0 * law), self.start) / self.size.astype(float) ** 2)


def per_token(base: BaseSamples, kl: float, guess: float) -> float:
    """Return the coefficient of the mean log-ratio of a response, taken off its reward, that spends ``kl`` nats.

    Parameters
    ----------
    base : BaseSamples
        With tokens.
    kl : float
        The KL in nats per sequence.
    guess : float
        Where the search begins.

    Examples
    --------
    >>> base = BaseSamples(np.array([0.0, 1.0, 0.0, 1.0]), np.array([4]), np.full(4, 10.0))
    >>> tilt = base.kl(base.law(base.reward / 0.5))
    >>> round(per_token(base, tilt, 3.0), 6)  # of equal lengths it is β times the length
    5.0
    """
    return _coefficient(lambda c: base.kl(_longer_further(base, c)), kl, guess)


def length_normalised(base: BaseSamples, kl: float, guess: float) -> float:
    """Return the coefficient in a loss divided by each response's length, the KL charged in it, that spends ``kl``.

    Parameters
    ----------
    base : BaseSamples
        With tokens.
    kl : float
        The KL in nats per sequence.
    guess : float
        Where the search begins.

    Examples
    --------
    >>> base = BaseSamples(np.array([0.0, 1.0, 0.0, 1.0]), np.array([4]), np.array([5.0, 10.0, 20.0, 40.0]))
    >>> length_normalised(base, base.kl(base.law(base.reward / 0.5)), 0.5) > 0.5  # long responses are favoured
    True
    """
    return _coefficient(lambda c: base.kl(_favouring_length(base, c)), kl, guess)


def group_scaled(base: BaseSamples, kl: float, beta: float, group: int | None) -> float:
    """Return the coefficient beside rewards scaled in groups that spends the KL of a β.

    Parameters
    ----------
    base : BaseSamples
        The base.
    kl : float
        The KL in nats per sequence.
    beta : float
        The β of the optimum that spends it.
    group : int, optional
        Responses to a prompt; many if None.

    Examples
    --------
    >>> one = np.random.default_rng(0).standard_normal(20_000)
    >>> base = BaseSamples(np.concatenate([one, 3.0 * one]), np.array([20_000, 20_000]))
    >>> round(group_scaled(base, 0.5, 2.0, None), 1)  # normal rewards: 1/√(2 KL) whatever their deviation
    1.0
    """
    right = bool(np.isin(base.reward, (0.0, 1.0)).all())
    law = base.law(base.reward / beta)
    c, advantage = beta / float(base.spread(law).max()), np.zeros(0)
    for _ in range(_ROUNDS):
        new = _advantage(base, law, group, right)
        advantage = 0.5 * (advantage + new) if advantage.size else new
        before, c = c, _coefficient(lambda one, given=advantage: base.kl(base.law(given / one)), kl, c)  # type: ignore[misc]
        law = base.law(advantage / c)
        if abs(c / before - 1.0) < _STILL:  # half of what is left is gone each round
            break
    return c


def spent(base: BaseSamples, c: float, normalisation: str) -> float:
    """Return the KL of the policy at rest where lengths matter, by the name of the normalisation.

    Parameters
    ----------
    base : BaseSamples
        With tokens.
    c : float
        The coefficient.
    normalisation : str
        ``"per-token"`` or ``"length-normalised"``.
    """
    rest = {"per-token": _longer_further, "length-normalised": _favouring_length}[normalisation]
    return base.kl(rest(base, c))


def _coefficient(spends: Callable[[float], float], kl: float, guess: float) -> float:
    """Return the coefficient that spends a KL: what a larger one spends is less."""

    def beyond(log_c: float) -> float:
        return math.log(max(spends(math.exp(log_c)), 1e-300) / kl)

    low = high = math.log(guess)
    for _ in range(_ROUNDS):
        if beyond(low) >= 0.0:
            break
        low -= 0.7
    for _ in range(_ROUNDS):
        if beyond(high) <= 0.0:
            break
        high += 0.7
    return math.exp(low) if low == high else float(math.exp(scipy.optimize.brentq(beyond, low, high, xtol=_CLOSE)))


def _longer_further(base: BaseSamples, c: float) -> Law:
    """Return ``ℓ = T (r - a)/c``; Newton's steps come from below, for the sum is convex in a and falls."""
    assert base.tokens is not None
    a = np.add.reduceat(base.tokens * base.reward, base.start) / np.add.reduceat(base.tokens, base.start)
    score = base.tokens * (base.reward - base.each(a)) / c
    for _ in range(_ROUNDS):
        excess = base.log_mean_exp(score)
        if np.abs(excess).max() < _CLOSE:
            break
        a = a + excess * c / base.mean(base.law(score), base.tokens)
        score = base.tokens * (base.reward - base.each(a)) / c
    return base.law(score)


def _favouring_length(base: BaseSamples, c: float) -> Law:
    """Return ``ℓ = r/c + κT - log Z`` with ``κ = KL/E T`` on each prompt, by bisection."""
    assert base.tokens is not None
    tilt, tokens = base.reward / c, base.tokens

    def short(kappa: FloatArray) -> FloatArray:  # κ E T - KL = log Z - E r/c
        score = tilt + base.each(kappa) * tokens
        return np.asarray(base.log_mean_exp(score) - base.mean(base.law(score), tilt))

    low = np.zeros(base.size.size)
    high = base.log_mean_exp(tilt - base.each(base.mean(0.0 * tilt, tilt))) / np.minimum.reduceat(tokens, base.start)
    high = np.maximum(high, 1e-12)
    for _ in range(_ROUNDS):
        if (short(high) >= 0.0).all():
            break
        high = np.where(short(high) < 0.0, 2.0 * high, high)
    for _ in range(40):
        middle = 0.5 * (low + high)
        less = short(middle) < 0.0
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return base.law(tilt + base.each(0.5 * (low + high)) * tokens)


def _advantage(base: BaseSamples, law: Law, group: int | None, right: bool) -> FloatArray:
    """Return the mean advantage of each sample in a group of the policy's responses, up to a constant, (n,)."""
    spread = base.spread(law)
    if group is None or (group > _MANY and not right):
        return np.where(base.each(spread) > 0.0, base.reward / base.each(np.where(spread > 0.0, spread, 1.0)), 0.0)
    if right:
        success = base.mean(law, base.reward)
        inside = (success > 0.0) & (success < 1.0) & (spread > 0.0)
        gap = np.array([group_gap(float(one), group) if ok else 0.0 for one, ok in zip(success, inside, strict=True)])
        return np.asarray(base.each(gap) * base.reward)
    # Draws with repeats from few samples scatter less than the law: by √(1 - Σw²).
    few = np.sqrt(np.maximum(base._apart(law), 0.0))
    uniform = np.random.default_rng(_SEED).random((_DRAWS, group - 1))  # the same in every round
    found = np.zeros(base.reward.size)
    for x, (start, size) in enumerate(zip(base.start.tolist(), base.size.tolist(), strict=True)):
        if spread[x] > 0.0:
            mine = slice(start, start + size)
            found[mine] = few[x] * _in_groups(base.reward[mine], np.exp(law[mine]), uniform)
    return found


def _in_groups(reward: FloatArray, weight: FloatArray, uniform: FloatArray) -> FloatArray:
    """Return the mean advantage of each reward beside others drawn by weight, over draws of groups."""
    group = uniform.shape[1] + 1
    reach = np.cumsum(weight)
    others = reward[np.minimum(np.searchsorted(reach / reach[-1], uniform), reward.size - 1)]
    centre = float(reward @ weight / reach[-1])
    some = np.unique(np.quantile(reward, np.linspace(0.0, 1.0, _NODES))) - centre
    total, square = (others - centre).sum(axis=1), ((others - centre) ** 2).sum(axis=1)
    mean = (total[:, None] + some) / group
    variance = (square[:, None] + some**2 - group * mean**2) / (group - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(variance > 1e-24 * some.max() ** 2, (some - mean) / np.sqrt(variance), 0.0)
    return np.asarray(np.interp(reward - centre, some, values.mean(axis=0)))
