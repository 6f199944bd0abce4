"""A table of runs that goes on from an earlier one: what that one has of other runs stays, digit by digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from alignlib._core.checks import require
from alignlib.lm.experiment.results import Results, Settings

__all__ = ["Tables", "beside"]

Tables = tuple[pd.DataFrame, Mapping[str, npt.NDArray[np.generic]], Settings]
"""Rows of runs, what runs do prompt by prompt, and settings, as `results.write` takes them."""


def beside(kept: Results, new: Tables, order: Sequence[str]) -> Tables:
    """Return the tables of new runs and of those that an earlier table has beside them.

    Parameters
    ----------
    kept : Results
        The earlier table.
    new : Tables
        What was trained since; a run that both have is taken from here.
    order : sequence of str
        Keys of the runs wanted, in their order; what the earlier table has of others is left out.

    Raises
    ------
    InputError
        If the earlier table is of another base model.
    """
    rows, prompts, settings = new
    known = kept.settings
    for task, now in settings["base_sha256"].items():
        before = known["base_sha256"].get(task, now)
        require(
            now == before,
            f"the table to keep must be of the same base; that of {task} is {before[:16]} there and {now[:16]} here. "
            "Train all of it anew.",
        )
    fresh = {*rows.run, *settings["diverged"]}
    older = set(kept.known) & set(order) - fresh
    place = {key: number for number, key in enumerate(order)}
    every = pd.concat([kept.runs[kept.runs.run.isin(list(older))], rows]).sort_values(
        "run", key=lambda keys: keys.map(place), kind="stable"
    )
    spent = every.drop_duplicates("run").seconds.sum()
    joined: Settings = settings | {
        "base_sha256": known["base_sha256"] | settings["base_sha256"],
        "base_length": known["base_length"] | settings["base_length"],
        "diverged": sorted({*settings["diverged"], *(older & set(known["diverged"]))}),
        "devices": sorted({*known["devices"], *settings["devices"]}),
        "seconds": {"tuning": settings["seconds"]["tuning"] or known["seconds"]["tuning"], "grid": round(spent)},
    }
    return every.reset_index(drop=True), _prompts(kept, prompts, older, place), joined


def _prompts(
    kept: Results, new: Mapping[str, npt.NDArray[np.generic]], older: set[str], place: Mapping[str, int]
) -> dict[str, npt.NDArray[np.generic]]:
    """What the runs of both do prompt by prompt, in the order in which they are wanted."""
    before = kept.prompts
    chosen = np.isin(before["run"], list(older))
    runs = np.concatenate([before["run"][chosen], new["run"]])
    at = np.argsort([place[key] for key in runs.tolist()], kind="stable")
    found: dict[str, npt.NDArray[np.generic]] = {"run": runs[at]}
    for name in new:
        if name != "run":
            found[name] = np.concatenate([before[name][chosen], new[name]])[at]
    return found
