"""What a summary file keeps of an ensemble: each member with gold and the members before it, and what combines them.

A member's own bins, and its products with gold and with the other members, follow from samples in one pass, so that
those of parts add up. What combines members is of members on one scale, which is known when all samples were read once:
so it adds up over parts that took one scale, and of others it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.scale.summary import Summary

__all__ = ["KINDS", "KeptMembers", "columns_apart", "combination", "kinds_of"]

KINDS: dict[str, Callable[..., FloatArray]] = {"mean": np.mean, "median": np.median, "min": np.min}


def kinds_of(members: Sequence[str]) -> list[str]:
    """Return the ways to combine members.

    Parameters
    ----------
    members : sequence of str
        Their names.
    """
    return [kind for kind in KINDS if kind != "median" or len(members) > 2]  # of two it is their mean


def combination(kind: str) -> str:
    """Return what the reward is called that combines members.

    Parameters
    ----------
    kind : str
        The way.
    """
    return f"{kind} on one scale"


def columns_apart(members: Sequence[str], first: str, gold: str) -> list[tuple[str, ...]]:
    """Return the columns of the summaries of members, but for the first reward: itself, gold, and the members before.

    Parameters
    ----------
    members : sequence of str
        Their names.
    first : str
        The reward that picks, a member or not.
    gold : str
        The reward that counts.

    Examples
    --------
    >>> columns_apart(["a", "b", "c"], "b", "gold")
    [('a', 'gold', 'b'), ('c', 'gold', 'b', 'a')]
    """
    before, found = [first] if first in members else [], list[tuple[str, ...]]()
    for name in members:
        if name != first:
            found.append((name, gold, *before))
            before.append(name)
    return found


@dataclass(frozen=True, eq=False)
class KeptMembers(SameFields):
    """Members of an ensemble, of the samples of a summary.

    Attributes
    ----------
    names : tuple of str
        Of the members.
    others : tuple of Summary
        Of each but the first reward, with the columns that `columns_apart` tells; none where one summary holds all.
    combined : tuple of Summary
        Of each way to combine them, with gold; none where parts had other scales.
    scales : tuple of (float, float)
        Mean and deviation of each member, with which these were made.
    """

    names: tuple[str, ...]
    others: tuple[Summary, ...] = ()
    combined: tuple[Summary, ...] = ()
    scales: tuple[tuple[float, float], ...] = ()

    @property
    def every(self) -> tuple[Summary, ...]:
        """All its summaries."""
        return (*self.others, *self.combined)

    @property
    def widths(self) -> tuple[tuple[float, ...], ...]:
        """Widths of the bins of members."""
        return tuple(one.widths for one in self.others)

    @property
    def exact_up_to(self) -> int | None:
        """The most samples of a prompt that are kept one by one, None where one summary holds all."""
        return self.others[0].exact_up_to if self.others else None

    @property
    def _made_with(self) -> tuple[object, ...]:
        return self.names, self.widths, self.exact_up_to

    @classmethod
    def merged(cls, parts: Sequence[KeptMembers]) -> KeptMembers | None:
        """Return those of all samples of several, None where they are of different members, or in other bins.

        Parameters
        ----------
        parts : sequence of KeptMembers
            At least one.
        """
        head = parts[0]
        if any(part._made_with != head._made_with for part in parts):
            return None
        others = tuple(map(Summary.merged, zip(*(part.others for part in parts), strict=True)))
        scale = {(part.scales, tuple(one.widths for one in part.combined)) for part in parts}
        if len(scale) > 1:
            return cls(head.names, others)
        combined = tuple(map(Summary.merged, zip(*(part.combined for part in parts), strict=True)))
        return cls(head.names, others, combined, head.scales)

    def each(self, change: Callable[[Summary], Summary]) -> KeptMembers:
        """Return the same with every summary changed.

        Parameters
        ----------
        change : callable
            From a summary to another of the same columns.
        """
        others, combined = (tuple(map(change, some)) for some in (self.others, self.combined))
        return replace(self, others=others, combined=combined)
