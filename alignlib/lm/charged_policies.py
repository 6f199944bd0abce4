"""The policies at which the ways to charge the KL leave a policy alone, and what they waste."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib.laws import FiniteLaw, PromptAverage
from alignlib.lm.charge import Charge, n_tokens
from alignlib.lm.next_laws import log_next_laws, reciprocal_law, solve_backwards
from alignlib.lm.space import ResponseSpace

__all__ = ["at_rest", "best_responses", "driven", "wasted_kl"]

_ROUNDS, _CLOSE = 400, 1e-13
_GONE = -60.0  # a log-ratio at which a response is no longer drawn


def best_responses(log_base: FloatArray, reward: FloatArray) -> FloatArray:
    """Return the log-law of the base given that the reward is the largest: where training without a penalty ends.

    Parameters
    ----------
    log_base : array (P, n)
        Log-probability of every response, in nats.
    reward : array (P, n)
        Reward of every response.

    Examples
    --------
    >>> np.exp(best_responses(np.log([[0.2, 0.3, 0.5]]), np.array([[0.0, 1.0, 1.0]]))).round(3).tolist()
    [[0.0, 0.375, 0.625]]
    """
    kept = np.where(reward >= reward.max(axis=1, keepdims=True), log_base, -np.inf)
    return np.asarray(kept - logsumexp(kept, axis=1, keepdims=True))


def at_rest(log_base: FloatArray, reward: FloatArray, space: ResponseSpace, beta: float, charge: Charge) -> FloatArray:
    r"""Return the log-policy with full support at which the expected update of a charge vanishes, (P, n).

    - k1 in the reward, and k2 or k3 times the ratio in the loss of whole sequences: ``π_λ`` at ``λ = 1/β``.
    - k1 in the reward, averaged over tokens: ``π ∝ p e^{T(R - c)/β}``, a larger λ for longer responses.
    - k2, or k3 times the ratio, in the loss, token by token: ``π(a|s) ∝ p(a|s) e^{Q/β}``, Q the mean of what follows.
    - k3 in the loss: ``π = β p/(c + β - R)`` for whole sequences, ``β p(a|s)/(c(s) + β - Q(s, a))`` token by token.
    - a mean over the tokens of each response weighs rewards and charges of tokens by 1/T: ``(Q - c)/M`` for ``Q``, with
      Q and M the means of ``(R - m)/T`` and ``1/T``. In the reward it changes nothing. In the loss of whole sequences
      ``π ∝ p e^{R/β + κT}`` with ``κ = KL(π‖p)/E T``: longer responses are favoured.

    Parameters
    ----------
    log_base, reward : array (P, n)
        Of every response.
    space : ResponseSpace
        The responses.
    beta : float
        KL penalty, > 0.
    charge : Charge
        Where and how.

    Raises
    ------
    InputError
        If there is none: k1 in the loss does not hold a policy, and k2 and k3 in the reward leave none with full
        support alone for good (`driven` follows them). If β is so small that the mean over tokens finds none.

    Examples
    --------
    >>> space = ResponseSpace(n_content=1, length=1)
    >>> base, r = np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]])
    >>> [round(float(np.exp(at_rest(base, r, space, 1.0, Charge(k, "loss")))[0, 1]), 4) for k in ("k2", "k3")]
    [0.7311, 0.7071]

    Source: we derive; T25 for the gradients of the estimators.
    """
    require(beta > 0, f"beta must be positive; got {beta}.")
    _refuse(charge)
    if charge.averaged:
        return _exponential_law(log_base, reward, np.broadcast_to(beta / n_tokens(space), reward.shape))
    if charge.estimator == "k1" or (not charge.per_token and charge.estimator != "k3"):
        tilted = log_base + reward / beta
        if charge.mean and charge.place == "loss":
            tilted = np.array([_favouring_length(row, reward[i] / beta, space) for i, row in enumerate(tilted)])
        return np.asarray(tilted - logsumexp(tilted, axis=1, keepdims=True))
    if not charge.per_token:
        return reciprocal_law(log_base, reward, beta)
    log_next = log_next_laws(log_base, space)
    share = 1.0 / n_tokens(space) if charge.mean else np.ones(space.size)
    weight = np.broadcast_to(share, reward.shape)
    solve = reciprocal_law if charge.estimator == "k3" else _exponential_law
    if not charge.mean:
        return solve_backwards(log_next, reward, weight, space, beta, solve)
    centre, pace, before = (np.exp(log_base) * reward).sum(axis=1, keepdims=True), 1.0, np.inf
    for _ in range(_ROUNDS):
        policy = solve_backwards(log_next, (reward - centre) * share, weight, space, beta, solve)
        new = (np.exp(policy) * reward).sum(axis=1, keepdims=True)
        moved = float(np.abs(new - centre).max())
        if moved <= _CLOSE * max(1.0, float(np.abs(reward).max())):
            return policy
        pace = 0.5 * pace if moved > before else pace
        centre, before = centre + pace * (new - centre), moved
    raise InputError(f"beta must allow a policy at rest; at {beta:g} none was found in {_ROUNDS} rounds.")


def _refuse(charge: Charge) -> None:
    require(
        charge.place == "reward" or charge.estimator != "k1",
        "k1 in the loss holds no policy back: its mean gradient is 0. Training ends at best_responses(...).",
    )
    require(
        charge.place == "loss" or charge.estimator == "k1",
        f"{charge.estimator} in the reward has no stable policy with full support; follow it by driven(...).",
    )


def _favouring_length(tilted: FloatArray, scaled: FloatArray, space: ResponseSpace) -> FloatArray:
    """Add ``κT`` to the unnormalised log-policy of one prompt, ``κ E T`` being its KL."""
    tokens = n_tokens(space)

    def missing(kappa: float) -> float:  # κ E T - KL = log Z - E R/β
        log_z = float(logsumexp(tilted + kappa * tokens))
        return log_z - float(np.exp(tilted + kappa * tokens - log_z) @ scaled)

    high = 1.0
    while missing(high) < 0.0:
        high *= 2.0
    return np.asarray(tilted + float(brentq(missing, 0.0, high, xtol=1e-15)) * tokens)


def _exponential_law(log_next: FloatArray, q: FloatArray, weight: FloatArray) -> FloatArray:
    """Return ``log π`` with ``π = p e^{(Q - c)/w}``, c such that it sums to one, by Newton's method on ``log Σ``."""
    # log Σ is convex and falls in c: from below, steps never overshoot. At c = min Q no term is below p.
    c = q.min(axis=-1, keepdims=True)
    for _ in range(200):
        terms = log_next + (q - c) / weight
        over = logsumexp(terms, axis=-1, keepdims=True)
        if float(np.abs(over).max()) <= 1e-14:
            break
        law = np.exp(terms - over)
        c = c + over / (law / weight).sum(axis=-1, keepdims=True)
    terms = log_next + (q - c) / weight
    return np.asarray(terms - logsumexp(terms, axis=-1, keepdims=True))


def driven(
    log_base: FloatArray, reward: FloatArray, beta: float, charge: Charge, *, step: float = 0.1, n_steps: int = 40_000
) -> FloatArray:
    """Return where small natural-gradient steps from the base end, for an estimator of whole sequences in the reward.

    ``log π`` moves by ``R - β k(ℓ)`` less its mean. A response whose log-ratio falls below -60 is dropped: it is no
    longer drawn, and what is not drawn does not come back.

    Parameters
    ----------
    log_base : array (P, n)
        Log-probability of every response, in nats.
    reward : array (P, n)
        Reward of every response.
    beta : float
        KL penalty, > 0.
    charge : Charge
        In the reward, per sequence.
    step : float
        Size of a step.
    n_steps : int
        Largest number of steps.

    Raises
    ------
    InputError
        If the charge is not one of whole sequences in the reward, or it has not come to rest.

    Examples
    --------
    >>> base = np.log([[0.5, 0.5]])
    >>> found = driven(base, np.array([[0.0, 1.0]]), 1.0, Charge("k1", "reward", per_token=False))
    >>> np.exp(found).round(4).tolist()  # the optimum, 1/(1 + e) and e/(1 + e)
    [[0.2689, 0.7311]]
    """
    require(beta > 0, f"beta must be positive; got {beta}.")
    require(
        charge.place == "reward" and not charge.per_token,
        f"charge must be in the reward and per sequence; got {charge.label}.",
    )
    base = np.exp(log_base)
    pace = step / max(beta, float(np.ptp(reward, axis=1).max()), 1e-300)
    held, ratio, prob = np.ones(base.shape, dtype=bool), np.zeros_like(base), base
    for _ in range(n_steps):
        paid = np.where(held, reward - beta * charge.value(ratio), 0.0)
        push = paid - (prob * paid).sum(axis=1, keepdims=True)
        if float((prob * np.abs(push)).max()) < 1e-6:
            return np.where(held, log_base + ratio, -np.inf)
        # A response may fall without end: by no more than one nat in a step, which changes nothing of where it ends.
        held &= ratio > _GONE
        ratio = np.where(held, ratio + np.maximum(pace * push, -1.0), 0.0)
        prob = np.where(held, base * np.exp(ratio), 0.0)
        total = prob.sum(axis=1, keepdims=True)
        prob, ratio = prob / total, np.where(held, ratio - np.log(total), 0.0)
    raise InputError(f"n_steps must be enough to come to rest; after {n_steps} steps it still moves.")


def wasted_kl(log_policy: FloatArray, log_base: FloatArray, reward: FloatArray) -> float:
    """Return the KL of a policy less the smallest KL that buys its reward, in nats, averaged over prompts.

    Parameters
    ----------
    log_policy, log_base, reward : array (P, n)
        Of every response.

    Examples
    --------
    >>> base, r = np.log([[0.5, 0.25, 0.25]]), np.array([[0.0, 1.0, 2.0]])
    >>> round(wasted_kl(np.log([[0.2, 0.2, 0.6]]), base, r), 4) > 0
    True
    """
    prob, base = np.exp(log_policy), np.exp(log_base)
    with np.errstate(invalid="ignore"):
        kl = np.where(prob > 0, prob * (log_policy - log_base), 0.0).sum(axis=1).mean()
    gain = float(((prob - base) * reward).sum(axis=1).mean())
    limit = PromptAverage([FiniteLaw(r, p) for r, p in zip(reward, base, strict=True)])
    return float(kl - limit.kl_at_gain(gain))
