"""The exact optimum of a Markov base at finite length: backward products of the tilted matrix, then forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_float_array, require
from alignlib._core.same import SameFields
from alignlib._core.special import kl_integrand

__all__ = ["OptimumAtLength", "optimum_at_length"]

_LARGEST_LIFT = 600.0


@dataclass(frozen=True, eq=False)
class OptimumAtLength(SameFields):
    """The exact optimum of a chain of k states at length m, Markov too, but not homogeneous in time.

    Attributes
    ----------
    log_partition : float
        ``log E e^{λS}`` in nats, of the whole sequence.
    mean_reward : float
        ``E S`` under the optimum, of the whole sequence.
    kl : float
        ``KL(π_λ‖p)`` in nats, of the whole sequence.
    first : array (k,)
        Law of the first state.
    steps : array (m, k, k)
        Transition matrix of each step.

    Examples
    --------
    >>> from alignlib.sequences import MarkovModel
    >>> found = MarkovModel([[0.9, 0.1], [0.5, 0.5]], [0.0, 1.0], [1.0, 0.0], 3).optimum(1.0)
    >>> found.steps.shape, round(found.kl - (found.mean_reward - found.log_partition), 12)
    ((3, 2, 2), 0.0)
    """

    log_partition: float
    mean_reward: float
    kl: float
    first: FloatArray
    steps: FloatArray


def optimum_at_length(
    transition: FloatArray, reward: FloatArray, initial: FloatArray, length: int, lam: float
) -> OptimumAtLength:
    """Return ``π_λ`` for m transitions: ``h_{t-1} = M_λ h_t`` from ``h_m = 1``, step ``M_λ(a,b) h_t(b)/h_{t-1}(a)``.

    The divergence is summed step by step (chain rule), each term non-negative.

    Source: the closed form is Y24's; its recursion for chains is dynamic programming.

    Parameters
    ----------
    transition : array (k, k)
        Transition matrix; rows of states that are never reached may be zero.
    reward : array (k, k)
        Reward of each transition.
    initial : array (k,)
        Law of the first state.
    length : int
        Number of transitions m.
    lam : float
        Tilt λ, with ``|λ|`` times the range of the reward at most 600.

    Raises
    ------
    InputError
        If λ is too large for this reward.
    """
    tilt = float(as_float_array("lam", lam))
    possible = transition > 0
    earned = reward[possible]
    span = float(np.ptp(earned))
    require(
        abs(tilt) * span <= _LARGEST_LIFT,
        f"lam must stay within ±{_LARGEST_LIFT / span:.6g} for this reward; got {tilt:g}.",
    )
    top = float(earned.max() if tilt >= 0 else earned.min())
    above = np.where(possible, reward - top, 0.0)
    lift = tilt * above
    weight = transition * np.exp(lift)
    k = initial.size
    steps, divergences = np.zeros((length, k, k)), np.zeros((length, k))
    ahead, log_scale = np.ones(k), 0.0
    for t in range(length - 1, -1, -1):
        behind = weight @ ahead
        held = behind > 0
        row = np.log(np.where(held, behind, 1.0))
        with np.errstate(divide="ignore"):
            log_ratio = np.where(possible & held[:, None], lift + np.log(ahead)[None, :] - row[:, None], -np.inf)
        steps[t] = transition * np.exp(log_ratio)
        divergences[t] = (transition * kl_integrand(log_ratio)).sum(axis=1)
        size = float(behind.max())
        ahead, log_scale = behind / size, log_scale + float(np.log(size))
    start = float(initial @ ahead)
    with np.errstate(divide="ignore"):
        kl = float(initial @ kl_integrand(np.log(ahead / start)))
    first = initial * ahead / start
    state, gain = first, 0.0
    for t in range(length):
        flow = state[:, None] * steps[t]
        kl += float(state @ divergences[t])
        gain += float((flow * above).sum())
        state = flow.sum(axis=0)
    log_partition = log_scale + float(np.log(start)) + length * tilt * top
    return OptimumAtLength(log_partition, length * top + gain, kl, first, steps)
