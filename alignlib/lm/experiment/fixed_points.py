"""Where training stops if nothing but the penalty decides: the fixed point of each way of charging the KL, exactly.

A policy that can choose every next-token law freely moves by ``u(s, a) = P(s) π(a|s) (...)`` at each prefix s. With
the sequence's log-ratio in the reward the bracket vanishes at ``π_λ``. A penalty taken token by token in the loss does
not see that a token leads to prefixes where more KL will be spent, so its fixed point is another policy.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib.lm.charge import n_tokens
from alignlib.lm.next_laws import log_next_laws, log_sequences, reciprocal_law, solve_backwards
from alignlib.lm.space import ResponseSpace

__all__ = ["BETAS", "PENALTIES", "fixed_point", "scaled_fixed_point"]

PENALTIES = ("sequence", "token KL", "token k3")
BETAS = (2.0, 1.0, 0.8, 0.5, 0.25)
"""Penalties at which the table has fixed points."""
_MOST_ROUNDS, _CLOSE = 60, 1e-5
_LEAST_DEVIATION = 1e-4


def fixed_point(
    log_base: FloatArray, reward: FloatArray, space: ResponseSpace, beta: float, penalty: str
) -> FloatArray:
    r"""Return the log-policy at which the expected update of a tabular policy vanishes, by backward induction.

    With ``Q(s, a)`` the mean of what follows, at each prefix from the longest to the empty one:

    - ``sequence``: ``π(a|s) ∝ p(a|s) e^{Q/β}`` with the soft value ``V = β log Σ_a p e^{Q/β}``; this is ``π_λ``.
    - ``token KL`` (k3 with its gradient's bias corrected): ``π(a|s) ∝ p(a|s) e^{Q/β}`` with the plain mean
      ``V = Σ_a π Q``.
    - ``token k3`` (as published): ``π(a|s) = β p(a|s) / (β + V - Q(s, a))`` with ``V = Σ_a π Q``, the law that a
      penalty by the reverse KL, ``KL(p‖π)`` of the token, gives.

    Parameters
    ----------
    log_base, reward : array (P, n)
        The base's log-probabilities in nats, and the reward, of every response.
    space : ResponseSpace
        The responses.
    beta : float
        KL penalty, > 0. Where the mean of a group of G is the baseline, ``βG/(G-1)`` for the last two, see
        `alignlib.training.effective_beta`.
    penalty : str
        One of ``PENALTIES``.

    Raises
    ------
    InputError
        If the penalty is not known, β not positive, or a shape is wrong.

    Examples
    --------
    >>> space = ResponseSpace(n_content=1, length=1)
    >>> base, r = np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]])
    >>> [np.exp(fixed_point(base, r, space, 1.0, p))[0, 1].round(4).item() for p in PENALTIES]
    [0.7311, 0.7311, 0.7071]

    Source: we derive.
    """
    require(penalty in PENALTIES, f"penalty must be one of {', '.join(PENALTIES)}; got {penalty!r}.")
    require(beta > 0, f"beta must be positive; got {beta}.")
    log_next = log_next_laws(_checked(log_base, space), space)
    value = reward[:, space.index_range(space.length)]
    chosen: list[FloatArray] = []
    for depth in reversed(range(space.length)):
        stop = reward[:, space.index_range(depth)]
        q = np.concatenate([stop[..., None], value.reshape(*stop.shape, space.n_content)], axis=-1)
        if penalty == "token k3":
            law = reciprocal_law(log_next[depth], q, beta)
        else:
            tilted = log_next[depth] + q / beta
            law = tilted - logsumexp(tilted, axis=-1, keepdims=True)
        chosen.insert(0, law)
        if penalty == "sequence":
            value = beta * logsumexp(log_next[depth] + q / beta, axis=-1)
        else:
            value = (np.exp(law) * q).sum(axis=-1)
    return log_sequences(chosen)


def scaled_fixed_point(log_base: FloatArray, reward: FloatArray, space: ResponseSpace, beta: float) -> FloatArray:
    """Return the log-policy at which the expected update of GRPO as published vanishes, for a tabular policy.

    With m and s the mean and standard deviation of the reward under the policy itself, a response of t tokens counts
    ``A/t`` with ``A = (r - m)/s``, and so does k3. With ``Q`` and ``M`` the means of ``A/t`` and of ``1/t`` over what
    follows a token, the update vanishes at ``π(a|s) = β M p / (c + β M - Q)``. Groups are taken as infinite. The policy
    determines m and s and they determine it: iterated from the base's until neither moves.

    Source: we derive.

    Parameters
    ----------
    log_base : array (P, n)
        Log-probability of every response, in nats.
    reward : array (P, n)
        Reward of every response.
    space : ResponseSpace
        The responses.
    beta : float
        KL penalty, > 0.

    Raises
    ------
    InputError
        If ``beta`` is not positive, or no fixed point was found at it.
    """
    require(beta > 0, f"beta must be positive; got {beta}.")
    log_next = log_next_laws(_checked(log_base, space), space)
    tokens = n_tokens(space)
    moments, before, pace = _moments(log_base, reward), np.inf, 1.0
    for _ in range(_MOST_ROUNDS):
        advantage = (reward - moments[0]) / (moments[1] + _LEAST_DEVIATION)
        share = np.broadcast_to(1.0 / tokens, reward.shape)
        policy = solve_backwards(log_next, advantage / tokens, share, space, beta, reciprocal_law)
        new = _moments(policy, reward)
        moved = float(np.abs(new - moments).max())
        if moved < _CLOSE:
            return policy
        pace = 0.5 * pace if moved > before else pace  # shorter steps where they begin to swing
        moments, before = moments + pace * (new - moments), moved
    raise InputError(f"beta must allow a fixed point; at {beta:g} none was found in {_MOST_ROUNDS} rounds.")


def _moments(log_policy: FloatArray, reward: FloatArray) -> FloatArray:
    """Mean and standard deviation of the reward on each prompt, shape (2, P, 1)."""
    prob = np.exp(log_policy)
    mean = (prob * reward).sum(axis=1, keepdims=True)
    spread = np.sqrt((prob * (reward - mean) ** 2).sum(axis=1, keepdims=True))
    return np.stack([mean, spread])


def _checked(log_prob: FloatArray, space: ResponseSpace) -> FloatArray:
    require(
        log_prob.ndim == 2 and log_prob.shape[1] == space.size,
        f"log_base must have shape (prompts, {space.size}); got {log_prob.shape}.",
    )
    return log_prob
