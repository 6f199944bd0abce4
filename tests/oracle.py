"""The slow truth: the definitions evaluated in 50-digit arithmetic, shared by the accuracy tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np
from scipy import special

mp.mp.dps = 50


def normalised(prob: Sequence[float]) -> list[mp.mpf]:
    masses = [mp.mpf(float(p)) for p in prob]
    total = mp.fsum(masses)
    return [p / total for p in masses]


def tilted(reward: Sequence[float], prob: Sequence[float], lam: float) -> dict[str, mp.mpf]:
    """Everything about π_λ straight from the definitions, with enough digits for any cancellation."""
    # D(λ) ~ λ² and masses of 1e-300 need far more than 50 digits to leave 50 good ones.
    with mp.workdps(700):
        r = [mp.mpf(float(x)) for x in reward]
        p = normalised(prob)
        lam_ = mp.mpf(float(lam))
        top = max(x for x, m in zip(r, p, strict=True) if m > 0)
        w = [m * mp.exp(lam_ * (x - top)) for x, m in zip(r, p, strict=True)]
        total = mp.fsum(w)
        policy = [x / total for x in w]
        base = mp.fsum(m * x for m, x in zip(p, r, strict=True))
        mean = mp.fsum(q * x for q, x in zip(policy, r, strict=True))
        log_sum = mp.log(total)
        kl = lam_ * (mean - top) - log_sum
        reverse = log_sum + lam_ * (top - base)
        return {
            "log_partition": log_sum + lam_ * top,
            "mean_reward": mean,
            "gain": mean - base,
            "kl": kl,
            "reverse_kl": reverse,
            "jeffreys": kl + reverse,
            "variance": mp.fsum(q * (x - mean) ** 2 for q, x in zip(policy, r, strict=True)),
        }


def transformed(
    reward: Sequence[float], prob: Sequence[float], transform: Callable[[mp.mpf], mp.mpf]
) -> tuple[list[mp.mpf], mp.mpf, mp.mpf]:
    """Policy, KL and mean reward of the law whose distribution function is ``transform(F)`` (ties share)."""
    with mp.workdps(700):
        p = normalised(prob)
        r = [mp.mpf(float(x)) for x in reward]
        policy = []
        for x in r:
            below = mp.fsum(m for y, m in zip(r, p, strict=True) if y < x)
            level = mp.fsum(m for y, m in zip(r, p, strict=True) if y == x)
            share = (transform(below + level) - transform(below)) / level if level > 0 else mp.mpf(0)
            policy.append(share)
        q = [s * m for s, m in zip(policy, p, strict=True)]
        kl = mp.fsum(a * mp.log(s) for a, s in zip(q, policy, strict=True) if a > 0)
        return q, kl, mp.fsum(a * x for a, x in zip(q, r, strict=True))


def relative(got: Any, want: mp.mpf, scale: float = 0.0) -> float:
    """|got - want| relative to |want|, or to ``scale`` where ``want`` lies below 1e-15 of it."""
    size = max(abs(want), mp.mpf(scale) * mp.mpf("1e-15"))
    difference = abs(mp.mpf(float(got)) - want)
    return float(difference / size) if difference else 0.0


def kl_to_tilt(log_policy: np.ndarray, log_base: np.ndarray, reward: np.ndarray, lam: float) -> np.ndarray:
    """``KL(φ‖π_λ)`` of a policy on each prompt, in nats, from the two laws themselves; arrays (prompts, n)."""
    tilted = log_base + lam * reward
    log_optimum = tilted - np.logaddexp.reduce(tilted, axis=1, keepdims=True)
    return special.rel_entr(np.exp(log_policy), np.exp(log_optimum)).sum(axis=1)
