"""Where training stops if nothing but the penalty decides: the fixed point of each way of charging the KL, exactly.

A policy that can choose every next-token law freely moves by ``u(s, a) = P(s) π(a|s) (...)`` at each prefix s. With
the sequence's log-ratio in the reward the bracket vanishes at ``π_λ``. A penalty taken token by token in the loss does
not see that a token leads to prefixes where more KL will be spent, so its fixed point is another policy.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from alignlib._core.checks import FloatArray, require
from alignlib.lm.space import ResponseSpace

__all__ = ["PENALTIES", "fixed_point"]

PENALTIES = ("sequence", "token reverse KL", "token k3")
_BISECTIONS = 200


def fixed_point(
    log_base: FloatArray, reward: FloatArray, space: ResponseSpace, beta: float, penalty: str
) -> FloatArray:
    r"""Return the log-policy at which the expected update of a tabular policy vanishes, by backward induction.

    With ``Q(s, a)`` the mean of what follows, at each prefix from the longest to the empty one:

    - ``sequence``: ``π(a|s) ∝ p(a|s) e^{Q/β}`` with the soft value ``V = β log Σ_a p e^{Q/β}``; this is ``π_λ``.
    - ``token reverse KL`` (k3 with its gradient's bias corrected): ``π(a|s) ∝ p(a|s) e^{Q/β}`` with the plain mean
      ``V = Σ_a π Q``.
    - ``token k3`` (as published): ``π(a|s) = β p(a|s) / (β + V - Q(s, a))`` with ``V = Σ_a π Q``, the law that a
      penalty by the *forward* KL gives.

    Parameters
    ----------
    log_base, reward : array (P, n)
        The base's log-probabilities in nats, and the reward, of every response.
    space : ResponseSpace
        The responses.
    beta : float
        KL penalty, > 0.
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
    log_next = _log_next(_checked(log_base, space), space)
    value = reward[:, space.index_range(space.length)]
    chosen: list[FloatArray] = []
    for depth in reversed(range(space.length)):
        stop = reward[:, space.index_range(depth)]
        q = np.concatenate([stop[..., None], value.reshape(*stop.shape, space.n_content)], axis=-1)
        if penalty == "token k3":
            law = _forward_law(log_next[depth], q, beta)
        else:
            tilted = log_next[depth] + q / beta
            law = tilted - logsumexp(tilted, axis=-1, keepdims=True)
        chosen.insert(0, law)
        if penalty == "sequence":
            value = beta * logsumexp(log_next[depth] + q / beta, axis=-1)
        else:
            value = (np.exp(law) * q).sum(axis=-1)
    return _log_sequences(chosen)


def _forward_law(log_next: FloatArray, q: FloatArray, beta: float) -> FloatArray:
    """Return ``log(β p / (c - Q))`` with c > max Q such that it sums to one; by bisection between sure bounds."""
    top = q.max(axis=-1, keepdims=True)
    prob = np.exp(log_next)
    # At c = max Q + β p(argmax) one term is already one; at max Q + β none exceeds its base mass.
    low = top + beta * np.where(q == top, prob, 0.0).max(axis=-1, keepdims=True)
    high = top + beta
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        over = (beta * prob / (middle - q)).sum(axis=-1, keepdims=True) > 1.0
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    law = np.log(beta) + log_next - np.log(high - q)
    return np.asarray(law - logsumexp(law, axis=-1, keepdims=True))


def _log_next(log_prob: FloatArray, space: ResponseSpace) -> list[FloatArray]:
    """Return the log-law of the next token after each prefix, (P, prefixes, outputs) for each depth."""
    below = log_prob[:, space.index_range(space.length)]
    out: list[FloatArray] = []
    for depth in reversed(range(space.length)):
        stop = log_prob[:, space.index_range(depth)]
        joint = np.concatenate([stop[..., None], below.reshape(*stop.shape, space.n_content)], axis=-1)
        below = logsumexp(joint, axis=-1)
        out.insert(0, joint - below[..., None])
    return out


def _log_sequences(log_next: list[FloatArray]) -> FloatArray:
    prefix = np.zeros((len(log_next[0]), 1))
    parts = []
    for law in log_next:
        parts.append(prefix + law[..., 0])
        prefix = (prefix[..., None] + law[..., 1:]).reshape(len(law), -1)
    return np.concatenate([*parts, prefix], axis=1)


def _checked(log_prob: FloatArray, space: ResponseSpace) -> FloatArray:
    require(
        log_prob.ndim == 2 and log_prob.shape[1] == space.size,
        f"log_base must have shape (prompts, {space.size}); got {log_prob.shape}.",
    )
    return log_prob
