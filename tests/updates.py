"""The expected update of a tabular policy under a penalty: what training would do on average, summed over responses."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from alignlib._core.checks import FloatArray
from alignlib.lm.space import ResponseSpace

__all__ = ["expected_update", "largest", "next_laws"]


def next_laws(log_prob: FloatArray, space: ResponseSpace) -> list[FloatArray]:
    """Return the logarithm of each next-token law, an array (prompts, prefixes, tokens) for each depth."""
    tokens = np.asarray(space.tokens)
    levels = []
    for depth in range(space.length):
        law = np.empty((len(log_prob), space.n_content**depth, space.n_outputs))
        for prefix in range(space.n_content**depth):
            digits = [prefix // space.n_content ** (depth - 1 - i) % space.n_content + 1 for i in range(depth)]
            under = (tokens[:, :depth] == digits).all(axis=1)
            for token in range(space.n_outputs):
                law[:, prefix, token] = logsumexp(log_prob[:, under & (tokens[:, depth] == token)], axis=1)
        levels.append(law - logsumexp(law, axis=-1, keepdims=True))
    return levels


def expected_update(
    log_policy: FloatArray, log_base: FloatArray, reward: FloatArray, beta: float, penalty: str, space: ResponseSpace
) -> list[FloatArray]:
    """The mean gradient step on the logits of every prefix, summed over all responses: one array for each depth."""
    policy, base = next_laws(log_policy, space), next_laws(log_base, space)
    score = reward - beta * (log_policy - log_base) if penalty == "sequence" else reward
    reach = [np.ones((len(reward), 1))]
    for level in policy[:-1]:
        reach.append((reach[-1][..., None] * np.exp(level[..., 1:])).reshape(len(reward), -1))
    value = score[:, space.index_range(space.length)]
    updates = []
    for depth in reversed(range(space.length)):
        stop = score[:, space.index_range(depth)]
        q = np.concatenate([stop[..., None], value.reshape(*stop.shape, space.n_content)], axis=-1)
        law, ratio = np.exp(policy[depth]), policy[depth] - base[depth]
        value = (law * q).sum(axis=-1)
        step = law * (q - value[..., None])
        if penalty == "token KL":
            step -= beta * law * (ratio - (law * ratio).sum(axis=-1, keepdims=True))
        elif penalty == "token k3":
            step -= beta * (law - np.exp(base[depth]))
        updates.insert(0, reach[depth][..., None] * step)
    return updates


def largest(updates: list[FloatArray]) -> float:
    """Return the size of the largest step."""
    return max(float(np.abs(update).max()) for update in updates)
