"""A policy over all responses of the space: its exact KL, reward and gold, its distance to an optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib._core.special import kl_integrand

__all__ = ["PolicyLaw", "policy_law"]


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
