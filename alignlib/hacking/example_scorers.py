"""A made-up table of many scorers: fine and coarse ones that share an error, and the right answer always first."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import require
from alignlib.tables import RewardTable

__all__ = ["scored_answers"]


def scored_answers(
    n_prompts: int, n_samples: int, n_models: int, n_judges: int, rng: np.random.Generator
) -> RewardTable:
    """Return answers of which the first is right, scored by models (continuous) and judges (whole points, 0 to 10).

    Columns ``model_0``, …, ``judge_0``, … and ``right``. All scorers see the right answer through an error of which
    they share a part.

    >>> table = scored_answers(3, 4, 1, 1, np.random.default_rng(0))
    >>> sorted(table.columns), table.column("right").reshape(3, 4).tolist()[0]
    (['judge_0', 'model_0', 'right'], [1.0, 0.0, 0.0, 0.0])
    """
    require(
        n_prompts >= 1 and n_samples >= 2, f"n_prompts, n_samples must be at least 1, 2; got {n_prompts}, {n_samples}."
    )
    require(
        n_models >= 0 and n_judges >= 0 and n_models + n_judges > 0,
        f"n_models and n_judges must not be negative nor both 0; got {n_models}, {n_judges}.",
    )
    right = np.zeros((n_prompts, n_samples))
    right[:, 0] = 1.0
    shared = 0.6 * rng.standard_normal(right.shape)

    def seen() -> np.ndarray:
        return np.asarray(0.8 * right + shared + rng.standard_normal(right.shape))

    columns = {f"model_{k}": 10.0**k * seen() for k in range(n_models)}
    columns |= {f"judge_{k}": np.clip(np.round(8.0 + 1.5 * seen()), 0.0, 10.0) for k in range(n_judges)}
    return RewardTable.from_arrays(columns, right=right)
