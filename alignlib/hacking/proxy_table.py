"""Tables scored by a proxy and by gold, checked for what makes a comparison empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib.tables import MemberTables, RewardTable

__all__ = ["check_members", "on_one_scale"]

_SAME_IN_BINS = 1e-8  # deviations, on the one scale: as far as bins round


def check_members(table: RewardTable, members: Sequence[str], gold: str | None = None) -> None:
    """Refuse an ensemble in which a column comes twice, under one name or two, is gold itself, or tells nothing apart.

    Parameters
    ----------
    table : RewardTable
        What holds the columns.
    members : sequence of str
        Columns of the ensemble.
    gold : str, optional
        The reward that counts, which may not be among them.

    Raises
    ------
    InputError
        Which names the column, and the one that it agrees with on every sample.

    Examples
    --------
    >>> check_members(RewardTable.from_arrays(a=[[0.0, 1.0]], b=[[0.0, 1.0]]), ["a"], "b")
    """
    require(len(members) > 0, "members must name at least one reward; got none.")
    if gold in members:
        raise InputError(f"members of the ensemble include gold {gold!r}; leave it out.", column=gold)
    for i, name in enumerate(members):
        own = table if table.ensemble is None else table.ensemble.members[name]
        if bool(own.constant_prompts(name).all()):
            raise InputError(
                f"ensemble column {name!r} is constant within each of the {table.n_prompts} prompts, so it picks "
                "nothing; leave it out.",
                column=name,
            )
        for other in members[:i]:
            if name == other or _alike(table, name, other):
                size = int(table.n_samples.sum())
                same = "is named twice" if name == other else f"duplicates {other!r} on all {size} samples"
                raise InputError(
                    f"ensemble column {name!r} {same}: it would count double and make the ensemble look better "
                    "agreed than it is; leave one of them out.",
                    column=name,
                )


def _alike(table: RewardTable, name: str, other: str) -> bool:
    """Tell whether two members are one: of samples in bins, by mean and ends of every prompt, on any scale."""
    if table.ensemble is None:
        return np.array_equal(table.column(name), table.column(other))
    one, two = (_measured(table.ensemble, each) for each in (name, other))
    return bool(np.abs(one - two).max() < _SAME_IN_BINS)


def _measured(ensemble: MemberTables, name: str) -> FloatArray:
    """Return mean and ends of each prompt on the one scale."""
    table, (mean, deviation) = ensemble.members[name], ensemble.scales[name]
    found = np.array([table.prompt_means(name), table.prompt_minima(name), table.prompt_maxima(name)])
    return np.asarray((found - mean) / deviation)


def on_one_scale(table: RewardTable, members: Sequence[str]) -> RewardTable:
    """Return the table with each member shifted to mean 0 and scaled to a standard deviation within prompts of 1.

    Neither changes what a member picks alone; without it the mean of an ensemble is that of the members with the widest
    scale, and the minimum that of those with the lowest scores.

    Parameters
    ----------
    table : RewardTable
        What holds the columns.
    members : sequence of str
        Columns of the ensemble; of the result only these are left.

    Raises
    ------
    InputError
        For a member that is constant within every prompt, or another member on another scale.

    Examples
    --------
    >>> table = RewardTable.from_arrays(a=[[0.0, 2.0], [4.0, 6.0]], b=[[0.0, 100.0], [100.0, 0.0]])
    >>> {name: values.tolist() for name, values in on_one_scale(table, ["a", "b"]).columns.items()}
    {'a': [-3.0, -1.0, 1.0, 3.0], 'b': [-1.0, 1.0, 1.0, -1.0]}
    """
    check_members(table, members)
    if table.ensemble is not None:  # its combinations are of members on one scale
        return table
    starts, sizes = table.offsets[:-1], table.n_samples
    scaled: dict[str, FloatArray] = {}
    for name in members:
        values = table.column(name) - table.column(name).mean()
        own = values - np.repeat(np.add.reduceat(values, starts) / sizes, sizes)
        scaled[name] = values / np.sqrt(np.mean(own**2))
        for other in members[: len(scaled) - 1]:
            if np.abs(scaled[name] - scaled[other]).max() < 1e-9:
                raise InputError(
                    f"ensemble column {name!r} duplicates {other!r} on another scale, on all {values.size} samples: it "
                    "would count double; leave one of them out.",
                    column=name,
                )
    return replace(table, columns={**table.columns, **scaled})
