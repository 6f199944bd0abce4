"""The limit per token of a Markov model: Perron roots, the twisted chain, and the tilted law that they make.

With ``M_λ(a,b) = P(a,b) e^{λρ(a,b)}``, ``e^{Λ(λ)}`` its Perron root and h its right Perron vector, the optimum for long
sequences is the twisted chain ``P_λ(a,b) = M_λ(a,b) h(b) / (e^{Λ} h(a))``.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_float_array, as_whole, frozen, require
from alignlib._core.special import exp_excess, kl_integrand
from alignlib.laws import Law
from alignlib.sequences.transition_matrix import (
    ReducibleChainError,
    best_cycle_mean,
    classes,
    critical_edges,
    perron,
    stationary,
    stationary_of_logs,
    stochastic_rows,
)

__all__ = ["TwistedChain"]

_ROUNDS = 60
_LEAST_VARIANCE = 1e-300  # in units of the span: what elimination leaves of less is rounding
_LARGE = 1e5  # of λ times the span: beyond, rounding of λ times a reward shows in what is left


class TwistedChain(Law):
    """The reward per token of a long Markov sequence, as a law: rates per token in the limit of infinite length.

    It has every method of `Law` but draws: a limit is not the law of anything that could be drawn.

    Parameters
    ----------
    transition : array (k, k)
        Irreducible transition matrix; rows sum to one.
    reward : array (k, k)
        Reward of each transition; read only where ``transition`` is positive.

    Raises
    ------
    InputError
        If a row is not a law, the chain is reducible, the shapes differ or the reward is constant.

    Examples
    --------
    >>> law = TwistedChain(np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    >>> round(law.base_reward, 6), round(law.max_kl, 6)
    (0.166667, 0.693147)

    Source: B26 (alignment with memory); the numerics are ours.
    """

    def __init__(self, transition: npt.ArrayLike, reward: npt.ArrayLike) -> None:
        self.transition = transition = frozen(as_float_array("transition", transition))
        stochastic_rows(transition)
        rewards = as_float_array("reward", reward)
        require(
            rewards.shape == transition.shape,
            f"reward must have the shape of transition, {transition.shape}; got {rewards.shape}.",
            argument="reward",
        )
        self._positive = transition > 0
        if len(found := classes(self._positive)) > 1:
            raise ReducibleChainError(found)
        earned = rewards[self._positive]
        require(
            float(np.ptp(earned)) > 0,
            f"reward must take two values or more on the transitions that are possible; it is {earned[0]:g} "
            "throughout, so every policy earns the same.",
            argument="reward",
        )
        self.reward = frozen(np.where(self._positive, rewards, 0.0))
        self.law = stationary(transition)
        self._centre = float((self.law[:, None] * transition).ravel() @ self.reward.ravel())
        held = np.where(self._positive, self.reward - self._centre, 0.0)
        # what rounding left of the mean
        rest = float((self.law[:, None] * transition).ravel() @ held.ravel())
        self._centred = np.where(self._positive, held - rest, 0.0)
        self._mean = self._centre + rest
        self._span = float(np.abs(self._centred).max())

    @property
    def base_reward(self) -> float:
        """Stationary mean reward per token."""
        return self._mean

    @property
    def lam_min(self) -> float:
        """``-inf``: every λ has a twisted chain, down to the worst cycles."""
        return -math.inf

    _steep = True  # between two cycles joined by rare transitions KL may leap within the last digit of λ

    # ------------------------------------------------------------------ one λ
    def _log_step(self, lam: float) -> tuple[FloatArray, float]:
        """``log(P_λ/P)`` on possible transitions and ``Λ`` of the centred reward."""
        if lam == 0.0:
            return np.zeros_like(self.transition), 0.0
        if abs(lam) * self._span < 0.1 and (near := self._log_step_near_zero(lam)) is not None:
            return near
        best, reward = 0.0, self._centred
        if abs(lam) * self._span > _LARGE:
            best, reward = self._below_best if lam > 0.0 else self._above_worst
        with np.errstate(divide="ignore"):
            value, vector = perron(np.log(self.transition) + lam * reward)
        step = lam * reward + vector[None, :] - vector[:, None] - value
        return np.where(self._positive, step, 0.0), lam * best + value

    @cached_property
    def _below_best(self) -> tuple[float, FloatArray]:
        """The best cycle's mean, and rewards of the same twist: 0 on best cycles, below elsewhere.

        A potential added to the reward of each transition and taken from the next changes no tilt. So nothing of the
        size of λ is left on the cycles that a large λ keeps.
        """
        return self._from_best(1.0)

    @cached_property
    def _above_worst(self) -> tuple[float, FloatArray]:
        """The same of the worst cycle, for λ < 0."""
        worst, reward = self._from_best(-1.0)
        return -worst, -reward

    def _from_best(self, sign: float) -> tuple[float, FloatArray]:
        best, potential = best_cycle_mean(sign * self._centred, self._positive)
        reward = sign * self._centred - best + potential[None, :] - potential[:, None]
        reward[np.abs(reward) <= 8.0 * np.finfo(np.float64).eps * self._span * len(reward)] = 0.0
        return best, np.where(self._positive, np.minimum(reward, 0.0), 0.0)

    def _log_step_near_zero(self, lam: float) -> tuple[FloatArray, float] | None:
        """The same with ``h = 1 + g``, ``e^Λ = 1 + η`` and g, η found to relative accuracy however small λ is."""
        rise = np.expm1(lam * self._centred)
        push = (self.transition * rise).sum(axis=1)
        g, eta = np.zeros(self.transition.shape[0]), 0.0
        for _ in range(_ROUNDS):
            right = push - self.law @ push + (self.transition * rise) @ g - eta * g
            right = right - self.law @ right
            new = self._fundamental @ right
            new_eta = float(self.law @ push + self.law @ ((self.transition * rise) @ new))
            done = np.abs(new - g).max() <= 1e-15 * np.abs(new).max() and abs(new_eta - eta) <= 1e-15 * abs(new_eta)
            g, eta = new, new_eta
            if done or not (np.abs(g).max() < 0.5 and abs(eta) < 0.5):
                break
        if not (done and np.abs(g).max() < 0.5):
            return None
        grown = np.log1p(g)
        step = lam * self._centred + grown[None, :] - grown[:, None] - math.log1p(eta)
        return np.where(self._positive, step, 0.0), math.log1p(eta)

    @cached_property
    def _fundamental(self) -> FloatArray:
        """``(I - P + 1π)^{-1}``."""
        k = self.transition.shape[0]
        return np.asarray(np.linalg.inv(np.eye(k) - self.transition + self.law[None, :]))

    def chain(self, lam: float) -> FloatArray:
        """The twisted chain's transition matrix ``P_λ``, with ``P_λ(i,j) = P(i,j) e^{λ r(i,j) - Λ(λ)} h(j)/h(i)``.

        Parameters
        ----------
        lam : float
            Inverse temperature λ of either sign, finite.

        Returns
        -------
        array (k, k)
            Rows sum to one.
        """
        return np.exp(self._log_chain(self._log_step(float(as_float_array("lam", lam)))[0]))

    def _log_chain(self, step: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            twisted = np.log(self.transition) + step
        return np.asarray(twisted - np.logaddexp.reduce(twisted, axis=1)[:, None])

    def _one(self, lam: float, name: str) -> float:
        if math.isinf(lam):
            return self._at_infinity(lam > 0, name)
        step, value = self._log_step(lam)
        if name == "log_partition":
            return lam * self.base_reward + value
        base_flow = self.law[:, None] * self.transition
        reverse_kl = float((base_flow * exp_excess(step)).sum())
        if name == "reverse_kl":
            return reverse_kl
        log_chain = self._log_chain(step)
        law = stationary_of_logs(log_chain)
        kl = float((law[:, None] * self.transition * kl_integrand(step)).sum())
        if name == "kl":
            return kl
        if abs(lam) * self._span > 0.1:
            return float((law[:, None] * np.exp(log_chain) * self._centred).sum())
        # Near λ = 0 that mean cancels; the Jeffreys form λ·gain = KL + reverse KL does not.
        return (kl + reverse_kl) / lam if lam else 0.0

    def _at_infinity(self, up: bool, name: str) -> float:
        best, best_kl, worst, worst_kl = self._ends
        if name == "kl":
            return best_kl if up else worst_kl
        if name == "gain":
            return self.max_gain if up else -self._max_loss
        if name == "log_partition":  # the extreme reward decides, unless it is 0
            end = best if up else -worst
            return math.copysign(math.inf, end) if end else -(best_kl if up else worst_kl)
        return math.inf

    def _each(self, lam: FloatArray, name: str) -> FloatArray:
        return np.array([self._one(v, name) for v in lam.reshape(-1).tolist()]).reshape(lam.shape)

    def _log_partition(self, lam: FloatArray) -> FloatArray:
        return self._each(lam, "log_partition")

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self._each(lam, "gain")

    def _kl(self, lam: FloatArray) -> FloatArray:
        return self._each(lam, "kl")

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return self._each(lam, "reverse_kl")

    def _gain_of_budgets(self, budgets: FloatArray, lam: FloatArray) -> FloatArray:
        gain, inside = self._gain(lam), (lam > 0.0) & np.isfinite(lam)
        price = np.where(inside, lam, 1.0)
        # Along the tangent, of slope 1/λ, where λ is too coarse to spend the budget.
        return np.asarray(gain + np.where(inside, (budgets - self._kl(lam)) / price, 0.0))

    def _variance(self, lam: FloatArray) -> FloatArray:
        values = [0.0 if math.isinf(v) else float(self.cumulants(2, v)[1]) for v in lam.reshape(-1).tolist()]
        return np.array(values).reshape(lam.shape)

    @cached_property
    def _sd(self) -> float:
        """Root of the variance per token of a long sequence; in units of the span, whose square may be no float."""
        unit = self._centred / self._span
        flow = self.transition * unit
        square = self.law @ (flow * unit).sum(axis=1) + 2.0 * (self.law @ flow) @ self._fundamental @ flow.sum(axis=1)
        return self._span * math.sqrt(max(float(square), _LEAST_VARIANCE))

    def _lam_of_budget(self, budget: float, guess: float) -> float:
        # Rare transitions may leave next to no variance: a Gaussian's λ is then far beyond the last that matters.
        most = (10.0 - 2.0 * math.log(float(self.transition[self._positive].min()))) / self._span
        return super()._lam_of_budget(budget, guess or min(math.sqrt(2.0 * budget) / self._sd, most))

    def cumulants(self, order: int, lam: float = 0.0) -> FloatArray:
        """``Λ'(λ), …, Λ^{(order)}(λ)`` per token, by the power series of the Perron root at the twisted chain.

        Double precision: relative accuracy falls by about a digit per order.

        Parameters
        ----------
        order : int
            The highest order, at least 1.
        lam : float
            Inverse temperature λ; 0 is the base.

        Returns
        -------
        array (order,)
            The first is the mean reward per token, the second the variance per token.

        Raises
        ------
        InputError
            If ``order`` is below 1.
        """
        order = as_whole("order", order, 1)
        log_chain = self._log_chain(self._log_step(float(as_float_array("lam", lam)))[0])
        chain, law = np.exp(log_chain), stationary_of_logs(log_chain)
        mean = float((law[:, None] * chain * self._centred).sum())
        k = chain.shape[0]
        solve = np.linalg.inv(np.eye(k) - chain + law[None, :])
        weights = [chain]
        for n in range(1, order + 1):
            weights.append(weights[-1] * (self._centred - mean) / n)
        vectors, roots = [np.ones(k)], [1.0]
        for n in range(1, order + 1):
            push = np.sum([weights[j] @ vectors[n - j] for j in range(1, n + 1)], axis=0)
            roots.append(float(law @ push))
            right = push - np.sum([roots[j] * vectors[n - j] for j in range(1, n + 1)], axis=0)
            new = solve @ right
            vectors.append(new - law @ new)
        # log of the series 1 + Σ roots[n] s^n
        logs = [0.0]
        for n in range(1, order + 1):
            logs.append(roots[n] - sum(j * logs[j] * roots[n - j] for j in range(1, n)) / n)
        out = np.array([math.factorial(n) * logs[n] for n in range(1, order + 1)])
        out[0] = self.base_reward + float(self.gain(lam))
        return out

    # ------------------------------------------------------------------ ends
    @cached_property
    def _ends(self) -> tuple[float, float, float, float]:
        """Best and worst mean reward of a cycle, and the divergence rates at which they are reached."""
        out: list[float] = []
        # Cycles that differ by what rounding of the rewards explains are taken as equal.
        rounding = 4.0 * float(np.finfo(np.float64).eps * np.abs(self.reward).max())
        for sign in (1.0, -1.0):
            mean, edges = critical_edges(sign * self._centred, self._positive, rounding)
            out += [self.base_reward + sign * mean, -_log_root(np.where(edges, self.transition, 0.0))]
        return out[0], out[1], out[2], out[3]

    @property
    def max_reward(self) -> float:
        """The largest mean reward per token: that of the best cycle."""
        return self._ends[0]

    @cached_property
    def max_gain(self) -> float:
        """The largest mean reward per token above the base's."""
        return critical_edges(self._centred, self._positive)[0]

    @cached_property
    def _max_loss(self) -> float:
        return critical_edges(-self._centred, self._positive)[0]

    @property
    def max_kl(self) -> float:
        """``lim D(λ)`` for ``λ → ∞``: what staying on best cycles costs, in nats per token."""
        return self._ends[1]

    @property
    def min_reward(self) -> float:
        """The smallest mean reward per token: that of the worst cycle."""
        return self._ends[2]


def _log_root(matrix: FloatArray) -> float:
    """``log`` of the largest Perron root of the classes of a matrix, each to relative accuracy however small."""
    inside = [np.ix_(found, found) for found in classes(matrix > 0)]
    with np.errstate(divide="ignore"):
        return max(perron(np.log(matrix[at]))[0] for at in inside if matrix[at].any())
