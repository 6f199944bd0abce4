"""Whether runs trained here agree with those of the committed table, setting by setting, as seeds do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alignlib.lm.words.results import WordsResults

__all__ = ["Agreement", "agreement"]

_SETTING = ["reward", "method", "knob", "steps"]
_WIDEST = 3.0
# A reward model trained anew is another network, and its score is known up to a constant only: policies that it
# trained are compared in gold.
_JUDGED_BY = {"proxy": "sentiment"}


@dataclass(frozen=True)
class Agreement:
    """One setting, trained there and here.

    Attributes
    ----------
    setting : str
        Method, penalty and length.
    there, here : (float, float)
        Mean KL in nats, and gain, of its seeds.
    apart : float
        How far apart the two are, in standard errors.
    """

    setting: str
    there: tuple[float, float]
    here: tuple[float, float]
    apart: float

    @property
    def agrees(self) -> bool:
        """Whether they differ by no more than other seeds would."""
        return self.apart <= _WIDEST

    def __str__(self) -> str:
        """Return a line."""
        (kl, gain), (kl_here, gain_here) = self.there, self.here
        return (
            f"{self.setting}: gain {gain:.3f} at {kl:.3f} nats there, {gain_here:.3f} at {kl_here:.3f} here, "
            f"{self.apart:.1f} standard errors apart"
        )


def agreement(there: WordsResults, here: WordsResults) -> list[Agreement]:
    """Compare the settings that two tables share; a standard error is that of sampling and of seeds together.

    Gains are over each table's own base samples, in the reward trained on; in gold where a learned model was.

    Parameters
    ----------
    there, here : WordsResults
        The committed table and another.
    """
    found = []
    groups = dict(iter(here.runs.groupby(_SETTING, sort=False)))
    for key, rows in there.runs.groupby(_SETTING, sort=False):
        if key in groups:
            reward = str(rows.reward.iloc[0])
            judge = _JUDGED_BY.get(reward, reward)
            bases = [float(one.base.prompt_means(judge).mean()) for one in (there, here)]
            sides = [_moments(one, judge, base) for one, base in zip((rows, groups[key]), bases, strict=True)]
            (a, a_error), (b, b_error) = sides
            apart = np.abs(a - b) / np.maximum(np.hypot(a_error, b_error), 1e-9)
            name = " ".join(f"{part:g}" if isinstance(part, float) else f"{part}" for part in key)
            name += f", in {judge}" * (judge != reward)
            found.append(Agreement(name, (a[0], a[1]), (b[0], b[1]), float(apart.max())))
    return found


def _moments(rows: pd.DataFrame, reward: str, base: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean KL and gain over seeds, and their standard errors."""
    values = rows[["kl", reward]].to_numpy(dtype=np.float64) - [0.0, base]
    sampling = (rows.kl_high - rows.kl_low).to_numpy(dtype=np.float64).mean() / 3.92
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.abs(values[0]) * 0.1
    error = np.hypot(spread, [sampling, 0.02]) / np.sqrt(len(values))
    return values.mean(axis=0), error
