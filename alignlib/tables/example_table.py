"""A made-up table for the reader who has none at hand: prompts of unequal scale, a proxy and a gold reward."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import as_rng, require
from alignlib.tables.rewards import RewardTable

__all__ = ["example_scores", "example_table"]


def example_table(n_prompts: int, n_samples: int, noise: float, rng: np.random.Generator | int) -> RewardTable:
    """Draw ``gold = s_x z`` and ``reward = gold + noise s_x z'`` with normal z, z' and a scale s_x for each prompt.

    Parameters
    ----------
    n_prompts, n_samples : int
        Size of the table, >= 1.
    noise : float
        Standard deviation of the proxy's error in units of the gold reward's, >= 0.
    rng : Generator or int
        Source of randomness, or a seed.

    Raises
    ------
    InputError
        If a number is not positive, or ``noise`` is negative.

    Examples
    --------
    >>> table = example_table(4, 8, 0.5, 0)
    >>> table.n_prompts, sorted(table.columns)
    (4, ['gold', 'reward'])
    """
    require(
        n_prompts >= 1 and n_samples >= 1, f"n_prompts and n_samples must be positive; got {n_prompts}, {n_samples}."
    )
    require(noise >= 0, f"noise must not be negative; got {noise:g}.")
    rng = as_rng(rng)
    scale = np.exp(0.4 * rng.standard_normal((n_prompts, 1)))
    gold = scale * rng.standard_normal((n_prompts, n_samples))
    proxy = gold + noise * scale * rng.standard_normal((n_prompts, n_samples))
    return RewardTable.from_arrays(reward=proxy, gold=gold)


def example_scores(n_prompts: int, n_samples: int, rng: np.random.Generator | int) -> RewardTable:
    """Draw a gold reward of unequal scale over prompts, and three proxies with own errors and one in common.

    Parameters
    ----------
    n_prompts, n_samples : int
        Size of the table, >= 1.
    rng : Generator or int
        Source of randomness, or a seed.

    Raises
    ------
    InputError
        If a number is not positive.

    Examples
    --------
    >>> sorted(example_scores(4, 8, 0).columns)
    ['gold', 'score_a', 'score_b', 'score_c']
    """
    require(
        n_prompts >= 1 and n_samples >= 1, f"n_prompts and n_samples must be positive; got {n_prompts}, {n_samples}."
    )
    rng, shape = as_rng(rng), (n_prompts, n_samples)
    scale = np.exp(0.4 * rng.standard_normal((n_prompts, 1)))
    gold = scale * rng.standard_normal(shape) + rng.standard_normal((n_prompts, 1))
    common = 0.4 * scale * rng.standard_normal(shape)
    columns = {"gold": gold}
    for name, own in (("score_a", 0.3), ("score_b", 0.8), ("score_c", 1.2)):
        columns[name] = gold + common + own * scale * rng.standard_normal(shape)
    return RewardTable.from_arrays(columns)
