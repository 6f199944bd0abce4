"""The committed table of tuning: every method's random trials on validation prompts, and the settings it took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from alignlib._core.checks import require
from alignlib._core.same import SameFields
from alignlib.lm.methods import Settings, find

__all__ = ["PRICE", "Tuning", "tuning_path"]

PRICE = 1.0
"""Trials are judged by the mean reward less this times the mean KL: what every method serves, at its middle knob."""


def tuning_path(folder: Path | str) -> Path:
    """Return where the table of trials lies.

    Parameters
    ----------
    folder : Path or str
        Of results.
    """
    return Path(folder) / "tuning.csv"


@dataclass(frozen=True, eq=False)
class Tuning(SameFields):
    """The settings that each method was tried with.

    Attributes
    ----------
    trials : DataFrame
        A row each: settings (empty where a method does not read them), KL, reward, objective, ``taken``.
    """

    trials: pd.DataFrame

    @classmethod
    def read(cls, folder: Path | str) -> Tuning:
        """Read the table of a results folder.

        Parameters
        ----------
        folder : Path or str
            Of results.

        Raises
        ------
        InputError
            If there is none.
        """
        path = tuning_path(folder)
        require(
            path.is_file(),
            f"folder must hold the table of trials, {path.name}; {str(path.parent)!r} does not. Run make lm.",
        )
        return cls(pd.read_csv(path, keep_default_na=False))

    def taken(self, task: str, method: str) -> Settings:
        """Return the settings that a method took on a task; the number of steps is that of the trials.

        Parameters
        ----------
        task, method : str
            Which.

        Raises
        ------
        InputError
            If the table has no trial of the method.
        """
        table = self.trials
        rows = table[(table.task == task) & (table.method == method) & table.taken]
        require(len(rows) == 1, f"method must be in the table of trials; {method!r} on {task} is not.")
        row = rows.iloc[0]
        settings = Settings(int(row.steps))
        for name in find(method).searched:
            kind = type(getattr(settings, name))
            settings = replace(settings, **{name: kind(row[name])})
        return settings
