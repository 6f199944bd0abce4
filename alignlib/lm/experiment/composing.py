"""Samplers that compose a response while it is written, on the base of the world itself: their exact laws by prompt."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.lm.composed import Composed, PrefixWorld, blockwise_best_of_n, particle_filter, resampled_once
from alignlib.lm.space import ResponseSpace

__all__ = ["COLUMNS", "DEPTH", "DRAWS", "composed_rows"]

DRAWS = (2, 4, 8, 16, 32)
"""Particles, and N of best-of-N."""
DEPTH = 2
"""Tokens after which particles are resampled, and of a block."""
COLUMNS = ("sampler", "draws", "prompt", "lam", "kl", "gain", "tokens", "distance")


def composed_rows(
    log_base: FloatArray, gold: FloatArray, space: ResponseSpace, lam: float
) -> list[tuple[str, int, int, float, float, float, float, float]]:
    """Return a row of ``COLUMNS`` for each sampler and prompt.

    ``particles`` are resampled once, ``soft best-of-n`` at the end only; ``distance`` is the total variation to
    ``π_λ``, which both have as their target and the other two have not.

    Parameters
    ----------
    log_base, gold : array (P, size)
        Of every response.
    space : ResponseSpace
        The responses.
    lam : float
        λ of the target.
    """
    rows = []
    for prompt, (base, reward) in enumerate(zip(log_base, gold, strict=True)):
        prob = np.exp(base.astype(np.float64))
        world = PrefixWorld.of(space, prob / prob.sum(), reward.astype(np.float64))
        target = world.prob * np.exp(lam * (world.reward - world.reward.max()))
        target = target / target.sum()
        for n in DRAWS:
            found: dict[str, Composed] = {
                "particles": resampled_once(world, lam, n, DEPTH),
                "soft best-of-n": particle_filter(world, lam, n, space.length),
                "blockwise best-of-n": blockwise_best_of_n(world, n, DEPTH),
                "best-of-n": blockwise_best_of_n(world, n, space.length),
            }
            for name, one in found.items():
                apart = 0.5 * float(np.abs(one.policy - target).sum())
                rows.append((name, n, prompt, lam, one.kl, one.gain, one.tokens, apart))
    return rows
