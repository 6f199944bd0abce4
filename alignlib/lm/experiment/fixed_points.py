"""Where training stops if nothing but the penalty decides: the fixed point of each way of charging the KL, exactly.

A policy that can choose every next-token law freely moves by ``u(s, a) = P(s) π(a|s) (...)`` at each prefix s. With
the sequence's log-ratio in the reward the bracket vanishes at ``π_λ``. A penalty taken token by token in the loss does
not see that a token leads to prefixes where more KL will be spent, so its fixed point is another policy.

`policy_law` has the exact KL and reward of such a policy, or of any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib._core.special import kl_integrand
from alignlib.lm.charge import n_tokens
from alignlib.lm.next_laws import log_next_laws, log_sequences, reciprocal_law, solve_backwards
from alignlib.lm.space import ResponseSpace

__all__ = ["BETAS", "PENALTIES", "PolicyLaw", "fixed_point", "fixed_point_rows", "policy_law", "scaled_fixed_point"]

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


@dataclass(frozen=True, eq=False)
class PolicyLaw(SameFields):
    """A policy's exact law, prompt by prompt.

    Attributes
    ----------
    kl : array (P,)
        KL to the base in nats.
    reward, gold : array (P,)
        Mean reward and gold.
    """

    kl: FloatArray
    reward: FloatArray
    gold: FloatArray


def policy_law(log_policy: FloatArray, log_base: FloatArray, reward: FloatArray, gold: FloatArray) -> PolicyLaw:
    """Return a policy's exact KL to the base, reward and gold on each prompt.

    Parameters
    ----------
    log_policy, log_base : array (P, n)
        Log-probabilities of every response in nats, each row summing to one.
    reward, gold : array (P, n)
        What it was trained on, and what counts.

    Raises
    ------
    InputError
        If the shapes differ, or the policy responds where the base never does: its KL is infinite.

    Examples
    --------
    >>> base, r = np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]])
    >>> law = policy_law(np.log([[0.25, 0.75]]), base, r, 2 * r)
    >>> law.kl.round(6).tolist(), law.reward.tolist(), law.gold.tolist()
    ([0.130812], [0.75], [1.5])
    """
    _same_shape(log_policy, log_base, reward, gold)
    prob = np.exp(log_policy)
    return PolicyLaw(_kl(log_policy, log_base), (prob * reward).sum(axis=1), (prob * gold).sum(axis=1))


def _same_shape(*arrays: FloatArray) -> None:
    shapes = [array.shape for array in arrays]
    require(
        len(set(shapes)) == 1 and len(shapes[0]) == 2,
        f"log_policy, log_base, reward and gold must have one shape (P, n); got {', '.join(map(str, shapes))}.",
    )


def _kl(log_policy: FloatArray, log_other: FloatArray) -> FloatArray:
    held = np.isfinite(log_policy)
    require(
        not (held & ~np.isfinite(log_other)).any(),
        "log_policy must be -inf wherever log_base is: otherwise the KL is infinite.",
    )
    p, q = np.exp(log_other), np.exp(log_policy)
    ratio = np.where(np.isfinite(log_other), log_policy - np.where(np.isfinite(log_other), log_other, 0.0), 0.0)
    # Both laws sum to one, so a term may be q t - q + p: never negative, and accurate where the laws agree.
    near = np.abs(ratio) < 1.0
    terms = np.where(near | (q == 0.0), p, q * (np.where(q == 0.0, 0.0, ratio) - 1.0) + p)
    terms[near] = p[near] * kl_integrand(ratio[near])
    return np.asarray(terms.sum(axis=1))


def fixed_point_rows(
    log_base: FloatArray, gold: FloatArray, space: ResponseSpace
) -> list[tuple[str, float, int, float, float]]:
    """Penalty, β, prompt, KL and reward of every fixed point on some prompts.

    Parameters
    ----------
    log_base, gold : array (P, size)
        Of every response.
    space : ResponseSpace
        The responses.
    """
    rows = []
    for beta in BETAS:
        ends = {penalty: fixed_point(log_base, gold, space, beta, penalty) for penalty in PENALTIES}
        ends["GRPO"] = scaled_fixed_point(log_base, gold, space, beta)
        for penalty, end in ends.items():
            law = policy_law(end, log_base, gold, gold)
            found = zip(law.kl, law.reward, strict=True)
            rows += [(penalty, beta, x, float(kl), float(mean)) for x, (kl, mean) in enumerate(found)]
    return rows
