"""The largest pass@k within an average KL budget: which prompts a policy should spend its KL on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_vector, as_whole, require, require_range
from alignlib._core.root import rising_root
from alignlib._core.special import kl_integrand
from alignlib.laws import Frontier
from alignlib.pass_at_k.formulas import pass_at_k

__all__ = ["PassFrontier", "kl_of_success", "pass_frontier"]

_STEPS = 60  # of Newton's method; a handful are taken
_CLOSE = 1e-14  # step at which the method has converged: it is quadratic, and rounding is not far below
_LARGEST = 1e9  # logarithm of λ
_LEAST = -800.0  # a λ whose KL no float holds


@dataclass(frozen=True, eq=False)
class PassFrontier(Frontier):
    """The largest mean pass@k at each budget; ``dual - gain`` certifies a point, by weak duality.

    Attributes
    ----------
    spent : array (budgets,)
        KL to the base in nats, on average over prompts.
    gain : array (budgets,)
        Mean pass@k above ``base_reward``.
    lam : array (budgets,)
        What one nat is worth, inverted: λ = 1/β of the Lagrangian.
    base_reward : float
        Mean pass@k of the base.
    gain_low, gain_high, supported, level : None
        The curve is exact.
    divergence : Divergence
        KL.
    k : int
        Responses to a prompt.
    success : array (budgets, prompts)
        How often the optimal policy is right on each prompt.
    dual : array (budgets,)
        Upper bound on the gain of every policy.

    Examples
    --------
    >>> found = pass_frontier([0.02, 0.6], 4, [0.2])
    >>> round(float(found.reward[0]), 3), bool(found.pass_at(1)[0] < found.reward[0])
    (0.823, True)
    """

    k: int = 1
    success: FloatArray = None  # type: ignore[assignment]
    dual: FloatArray = None  # type: ignore[assignment]

    def pass_at(self, k: int) -> FloatArray:
        """Return the mean pass@k of the same policies at another k, shape (budgets,).

        Parameters
        ----------
        k : int
            Responses to a prompt.

        Returns
        -------
        array (budgets,)
            In [0, 1].
        """
        return np.asarray(np.mean(pass_at_k(self.success, k), axis=1))


def kl_of_success(success: npt.ArrayLike, base: npt.ArrayLike) -> FloatArray:
    """Return the least KL, in nats, of a policy that is right with probability ``success`` to a base with ``base``.

    ``s log(s/q) + (1-s) log((1-s)/(1-q))``: right responses among themselves, and wrong ones, keep their proportions.

    Parameters
    ----------
    success : array
        Probabilities s in [0, 1] that the policy is right.
    base : array
        Probabilities q in [0, 1] that the base is, of the same shape.

    Returns
    -------
    array
        In nats, ``inf`` where the base is never right, or never wrong, and the policy is.

    Raises
    ------
    InputError
        If a probability lies outside [0, 1].

    Examples
    --------
    >>> kl_of_success([0.5, 0.9], [0.5, 0.5]).round(4).tolist()
    [0.0, 0.3681]
    """
    s, q = require_range("success", success, 0.0, 1.0), require_range("base", base, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        right = np.where(q > 0.0, q * kl_integrand(np.log(s / q)), np.where(s > 0.0, np.inf, 0.0))
        wrong = np.where(q < 1.0, (1.0 - q) * kl_integrand(np.log1p(-s) - np.log1p(-q)), np.where(s < 1.0, np.inf, 0.0))
    return np.asarray(right + wrong)


def pass_frontier(success: npt.ArrayLike, k: int, kl: npt.ArrayLike) -> PassFrontier:
    """Return the largest mean pass@k of policies whose KL is within a budget on average over prompts.

    ``max E_x[1 - (1-s_x)^k]`` subject to ``E_x KL(s_x‖q_x) <= Δ`` is concave; at its price 1/λ each prompt solves
    ``logit s - logit q = λ k (1-s)^{k-1}``. For k = 1 all prompts are tilted alike; a larger k spends on prompts that
    are seldom right and little on those that are right anyway.

    Parameters
    ----------
    success : array (prompts,)
        Probability q that the base model's response is right, in [0, 1]. Where it is 0 no KL helps.
    k : int
        Number of responses of which one shall be right.
    kl : array (budgets,)
        Average budgets Δ >= 0, in nats.

    Raises
    ------
    InputError
        For a probability outside [0, 1], a negative budget, or a k that is no whole number.

    Examples
    --------
    >>> one, four = (pass_frontier([0.02, 0.6], k, [0.2]) for k in (1, 4))
    >>> one.success.round(2).tolist(), four.success.round(2).tolist()
    ([[0.13, 0.92]], [[0.24, 0.66]])
    >>> bool(abs(four.dual - four.gain)[0] < 1e-12), bool(one.pass_at(4)[0] < four.reward[0])
    (True, True)

    Source: derived here; concave duality.
    """
    base = as_vector("success", require_range("success", success, 0.0, 1.0))
    draws, budgets = as_whole("k", k, 1), as_vector("kl", np.atleast_1d(np.asarray(kl)))
    require(bool((budgets >= 0.0).all()), f"kl must not be negative; got {budgets.min():g} nats.", "kl")
    with np.errstate(divide="ignore"):
        start = np.log(base) - np.log1p(-base)
    most = float(np.mean(np.where(base > 0.0, -np.log(np.where(base > 0.0, base, 1.0)), 0.0)))
    log_lam = np.array([_log_lam_at(start, base, draws, budget, most) for budget in budgets.tolist()])
    logits = [_logits(start, draws, value) for value in log_lam.tolist()]
    moves = log_lam > -math.inf
    rows = np.stack([scipy.special.expit(z) if moved else base for z, moved in zip(logits, moves, strict=True)])
    spent = np.mean(kl_of_success(rows, base), axis=1)
    gain = np.mean(_gained(rows, base, draws), axis=1)
    with np.errstate(over="ignore"):
        lam = np.exp(log_lam)
    dual = gain.copy()
    for i, value in enumerate(log_lam.tolist()):
        if math.isfinite(value):
            price = math.exp(-value)
            dual[i] += (budgets[i] - spent[i]) * price + _slack(logits[i], start, draws, price)
    return PassFrontier(
        spent=budgets,
        gain=gain,
        lam=lam,
        base_reward=float(np.mean(pass_at_k(base, draws))),
        k=draws,
        success=rows,
        dual=dual,
    )


def _slack(z: FloatArray, start: FloatArray, k: int, price: float) -> float:
    """Bound by how much a prompt's maximum at λ exceeds its value at z: it is concave, so slope times distance."""
    inside = np.isfinite(z)
    right, wrong = scipy.special.expit(z[inside]), scipy.special.expit(-z[inside])
    slope = k * wrong ** (k - 1) - (z[inside] - start[inside]) * price
    return float(np.sum(np.abs(slope) * np.where(slope > 0.0, wrong, right)) / z.size)


def _gained(success: FloatArray, base: FloatArray, k: int) -> FloatArray:
    """``(1-q)^k - (1-s)^k`` without cancellation."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log1p(-success) - np.log1p(-base)
        return np.where(base < 1.0, -((1.0 - base) ** k) * np.expm1(k * ratio), 0.0)


def _logits(start: FloatArray, k: int, log_lam: float) -> FloatArray:
    """Return each prompt's ``z = logit s`` at λ: the root of ``z - z_0 = λ k (1-s)^{k-1}``.

    With ``w = log(z - z_0)`` it is that of ``w + (k-1) log(1 + e^z) - log(λk)``, which is convex and rises: from above,
    Newton's method falls to it without a step too far.
    """
    if log_lam == math.inf:
        return np.where(start > -np.inf, np.inf, start)
    if log_lam == -math.inf:
        return start
    known = np.isfinite(start)
    z0, log_pull = start[known], log_lam + math.log(k)
    w = np.full(z0.shape, log_pull)
    if k > 1:
        most = log_pull / (k - 1) - z0  # from log(1 + e^z) >= z, where w is positive
        w = np.minimum(w, np.log(np.maximum(most, 1.0)))
        for _ in range(_STEPS):
            z = z0 + np.exp(w)
            value = w + (k - 1) * np.logaddexp(0.0, z) - log_pull
            step = value / (1.0 + (k - 1) * scipy.special.expit(z) * np.exp(w))
            w = w - step
            if (np.abs(step) <= _CLOSE * np.maximum(np.abs(w), 1.0)).all():
                break
    out = start.copy()
    out[known] = z0 + np.exp(w)
    return out


def _log_lam_at(start: FloatArray, base: FloatArray, k: int, budget: float, most: float) -> float:
    """Return the log λ whose policy spends the budget; ``-inf`` for none, ``inf`` where all that can be is spent."""
    if budget == 0.0 or most == 0.0:
        return -math.inf
    if budget >= most:
        return math.inf

    def over(log_lam: float) -> float:
        success = scipy.special.expit(_logits(start, k, log_lam))
        return math.log(max(float(np.mean(kl_of_success(success, base))), 1e-320)) - goal

    goal = math.log(budget)
    low, high = -1.0, 1.0
    while over(low) > 0.0:
        if low < _LEAST:  # the budget is less than what rounding spends
            return -math.inf
        low -= 4.0
    while over(high) < 0.0:
        if high > _LARGEST:
            return math.inf
        high *= 4.0
    return rising_root(over, low, high)
