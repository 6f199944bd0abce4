"""Laws of responses as laws of the next token after every prefix, and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from alignlib._core.checks import FloatArray
from alignlib.lm.space import ResponseSpace

__all__ = ["log_next_laws", "log_sequences", "reciprocal_law", "solve_backwards"]

_NEWTON_STEPS = 60


def log_next_laws(log_prob: FloatArray, space: ResponseSpace) -> list[FloatArray]:
    """Return the log-law of the next token after each prefix, in nats.

    Parameters
    ----------
    log_prob : array (P, n)
        Log-probability of every response, in nats.
    space : ResponseSpace
        The n responses.

    Returns
    -------
    list of array (P, prefixes, outputs)
        One for each depth.
    """
    below = log_prob[:, space.index_range(space.length)]
    out: list[FloatArray] = []
    for depth in reversed(range(space.length)):
        stop = log_prob[:, space.index_range(depth)]
        joint = np.concatenate([stop[..., None], below.reshape(*stop.shape, space.n_content)], axis=-1)
        below = logsumexp(joint, axis=-1)
        out.insert(0, joint - below[..., None])
    return out


def log_sequences(log_next: list[FloatArray]) -> FloatArray:
    """Return the log-probability of every response from the log-laws of the next token.

    Parameters
    ----------
    log_next : list of array (P, prefixes, outputs)
        As `log_next_laws` gives them.

    Returns
    -------
    array (P, n)
        In nats.

    Examples
    --------
    >>> from alignlib.lm.space import ResponseSpace
    >>> space = ResponseSpace(n_content=2, length=2)
    >>> log_prob = np.log(np.full((1, space.size), 1.0 / space.size))
    >>> bool(np.allclose(log_sequences(log_next_laws(log_prob, space)), log_prob))
    True
    """
    prefix = np.zeros((len(log_next[0]), 1))
    parts = []
    for law in log_next:
        parts.append(prefix + law[..., 0])
        prefix = (prefix[..., None] + law[..., 1:]).reshape(len(law), -1)
    return np.concatenate([*parts, prefix], axis=1)


def solve_backwards(
    log_next: list[FloatArray],
    worth: FloatArray,
    share: FloatArray,
    space: ResponseSpace,
    beta: float,
    solve: Callable[[FloatArray, FloatArray, FloatArray], FloatArray],
) -> FloatArray:
    """Return the log-policy of which every prefix is solved for its law, from the longest up.

    Parameters
    ----------
    log_next : list of array (P, prefixes, outputs)
        The base, as `log_next_laws` returns it.
    worth, share : array (P, n)
        What each response is worth, and how its penalty counts.
    space : ResponseSpace
        The responses.
    beta : float
        KL penalty.
    solve : callable
        Takes the base's law of the next token, the mean worth Q and β times the mean share of what follows each token,
        and returns the log-law of the policy.

    Examples
    --------
    >>> space = ResponseSpace(n_content=1, length=1)
    >>> base, r = np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]])
    >>> policy = solve_backwards(log_next_laws(base, space), r, np.ones_like(r), space, 1.0, reciprocal_law)
    >>> np.exp(policy).round(4).tolist()
    [[0.2929, 0.7071]]
    """
    value, weight = (part[:, space.index_range(space.length)] for part in (worth, share))
    chosen: list[FloatArray] = []
    for depth in reversed(range(space.length)):
        at = space.index_range(depth)
        q, m = (
            np.concatenate([part[:, at][..., None], below.reshape(*part[:, at].shape, space.n_content)], axis=-1)
            for part, below in ((worth, value), (share, weight))
        )
        law = solve(log_next[depth], q, beta * m)
        chosen.insert(0, law)
        prob = np.exp(law)
        value, weight = (prob * q).sum(axis=-1), (prob * m).sum(axis=-1)
    return log_sequences(chosen)


def reciprocal_law(log_next: FloatArray, q: FloatArray, weight: FloatArray | float) -> FloatArray:
    """Return ``log π`` with ``π = w p / (c + w - Q)``, ``c`` such that it sums to one.

    By Newton's method from a sure bound below: the sum is convex and falls in ``c``, so that steps never overshoot.

    Parameters
    ----------
    log_next : array (…, outputs)
        ``log p`` in nats.
    q : array (…, outputs)
        Q of each output.
    weight : array or float
        w > 0.
    """
    scaled = np.exp(log_next) * weight
    gap = weight - q
    # At c = max(Q - w + w p) one term is already one.
    c = np.max(scaled - gap, axis=-1, keepdims=True)
    for _ in range(_NEWTON_STEPS):
        term = scaled / (c + gap)
        over = term.sum(axis=-1, keepdims=True) - 1.0
        if float(over.max()) <= 1e-12:
            break
        c = c + np.maximum(over, 0.0) / (term / (c + gap)).sum(axis=-1, keepdims=True)
    law = np.log(scaled) - np.log(c + gap)
    return np.asarray(law - logsumexp(law, axis=-1, keepdims=True))
