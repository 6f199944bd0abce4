"""Noisy raters: pairs of responses drawn from the base model, and which of the two was preferred."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray, require

__all__ = ["Pairs", "Raters", "draw_pairs"]


@dataclass(frozen=True)
class Raters:
    """Raters who prefer y to y' with probability ``f + (1 - 2f) / (1 + exp(-(r(y) - r(y')) / temperature))``.

    ``r`` is the gold reward, ``f`` (``flip``) the chance of a slip of the pen.

    Parameters
    ----------
    temperature : float
        Gold difference at which a careful rater prefers the better one 73 times in 100, > 0.
    flip : float
        In [0, 0.5].

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> Raters(temperature=1.0, flip=0.1).preference(np.array([0.0, 50.0])).tolist()
    [0.5, 0.9]
    """

    temperature: float = 1.0
    flip: float = 0.1

    def __post_init__(self) -> None:
        require(self.temperature > 0, f"temperature must be positive; got {self.temperature}.")
        require(0 <= self.flip <= 0.5, f"flip must lie in [0, 0.5]; got {self.flip}.")

    def preference(self, difference: FloatArray) -> FloatArray:
        """Probability of preferring the first response, given how much more gold it has."""
        logistic = 0.5 + 0.5 * np.tanh(0.5 * difference / self.temperature)
        return np.asarray(self.flip + (1.0 - 2.0 * self.flip) * logistic)


@dataclass(frozen=True)
class Pairs:
    """Labelled pairs: the row of the prompt, the numbers of the chosen and of the rejected response, shapes (n,)."""

    prompt: IntArray
    chosen: IntArray
    rejected: IntArray


def draw_pairs(log_base: FloatArray, gold: FloatArray, n: int, raters: Raters, rng: np.random.Generator) -> Pairs:
    """Draw prompts uniformly, two responses to each from the base, and a rater's choice between them.

    Parameters
    ----------
    log_base, gold : array (P, size)
        The base's log-probabilities (nats) and the gold reward of every response.
    n : int
        Number of pairs, at least 1.
    raters : Raters
        How they choose.
    rng : Generator
        Source of randomness.

    Raises
    ------
    InputError
        If the shapes differ or ``n`` is not positive.
    """
    require(
        log_base.ndim == 2 and log_base.shape == gold.shape,
        f"log_base and gold must have one shape (P, size); got {log_base.shape} and {gold.shape}.",
    )
    require(n >= 1, f"n must be at least 1; got {n}.")
    prompt = np.sort(rng.integers(len(log_base), size=n))
    drawn = np.empty((n, 2), dtype=np.int64)
    for x in np.unique(prompt):
        at = np.flatnonzero(prompt == x)
        # By inversion: one sorted sum serves all draws of a prompt.
        total = np.exp(log_base[x]).cumsum()
        places = np.searchsorted(total, rng.random((at.size, 2)) * total[-1], side="right")
        drawn[at] = np.minimum(places, total.size - 1)
    difference = gold[prompt, drawn[:, 0]] - gold[prompt, drawn[:, 1]]
    first: BoolArray = rng.random(n) < raters.preference(difference)
    chosen = np.where(first, drawn[:, 0], drawn[:, 1])
    order = rng.permutation(n)
    return Pairs(prompt[order], chosen[order], np.where(first, drawn[:, 1], drawn[:, 0])[order])
