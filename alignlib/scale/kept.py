"""What a summary file keeps: samples in bins by the first reward, by gold and by members where these were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from alignlib._core.checks import IntArray, require
from alignlib._core.same import SameFields
from alignlib.scale.bins import Bins
from alignlib.scale.dealt import groups_for, groups_of_rows, in_new_groups, regrouped, whole_of
from alignlib.scale.kept_members import KeptMembers, columns_apart
from alignlib.scale.keys import KeyArray
from alignlib.scale.summary import Summary

__all__ = ["Kept"]


@dataclass(frozen=True, eq=False)
class Kept(SameFields):
    """A summary, the same samples in bins by gold and by members, and into how many groups few prompts were dealt.

    Attributes
    ----------
    summary : Summary
        Of prompts, or of their groups.
    turned : Summary, optional
        The same prompts or groups by the second column; samples of those that are in no bins stand there too.
    groups : int
        Groups of each prompt; 0 where prompts are whole.
    unnamed : bool
        That the file does not tell what its columns are called, as what SQL makes.
    members : KeptMembers, optional
        Members of an ensemble, of whole prompts.

    Examples
    --------
    >>> import numpy as np
    >>> import pyarrow as pa
    >>> summary = Summary.of(pa.array(["a"]), np.array([2]), {"reward": np.array([0.0, 1.0])})
    >>> Kept.merged([Kept(summary), Kept(summary)]).whole.sizes.tolist()
    [4]
    """

    summary: Summary
    turned: Summary | None = None
    groups: int = 0
    unnamed: bool = False
    members: KeptMembers | None = None

    @cached_property
    def whole(self) -> Summary:
        """The summary of prompts."""
        return whole_of(self.summary) if self.groups else self.summary

    @cached_property
    def whole_turned(self) -> Summary | None:
        """The same by the second column, where that is kept."""
        return whole_of(self.turned) if self.groups and self.turned is not None else self.turned

    @property
    def plain(self) -> Kept:
        """The same of whole prompts."""
        return replace(self, summary=self.whole, turned=self.whole_turned, groups=0)

    @property
    def names_of_members(self) -> tuple[str, ...]:
        """Rewards beside gold of which an ensemble may be."""
        if self.members is not None:
            return self.members.names
        columns = self.summary.columns
        return (columns[0], *columns[2:]) if len(columns) > 2 else ()

    @property
    def apart(self) -> Kept:
        """The same with gold and each member in a summary of its own, where one holds all samples of all of them."""
        whole, names, members = self.summary, self.names_of_members, self.members
        if self.turned is not None or len(whole.columns) < 2 or whole.binned.any():
            return self
        first, gold = whole.columns[:2]
        if names and (members is None or not members.every):
            apart = columns_apart(names, first, gold)
            members = KeptMembers(names, tuple(whole.by(one, Bins.none(len(one) - 1)) for one in apart))
        summary, turned = (whole.by(pair, Bins.none(1)) for pair in ((first, gold), (gold, first)))
        return replace(self, summary=summary, turned=turned, members=members)

    def made_with(self, *, members: bool) -> dict[str, object]:
        """Return what summaries must agree in to be merged, by the argument that says it.

        Parameters
        ----------
        members : bool
            Whether members are asked for too; else those that do not agree are left out.
        """
        whole, its = self.whole, self.members if members else None
        found: dict[str, object] = {"ensemble": self.names_of_members} if members else {}
        found["bin_width"] = whole.widths, None if its is None else its.widths
        most = self._exact_up_to if its is None else its.exact_up_to or self._exact_up_to
        if most is not None:
            found["exact_up_to"] = most
        return found | {"reward": whole.columns}

    @property
    def _exact_up_to(self) -> int | None:
        """The most samples of a prompt that are kept one by one; groups and SQL do not tell, always in bins."""
        return None if self.groups or self.unnamed else self.summary.exact_up_to

    def _with(self, exact_up_to: int) -> Kept:
        """Return the same in which so many samples of a prompt would be kept."""
        turned = self.turned and replace(self.turned, exact_up_to=exact_up_to)
        return replace(self, summary=replace(self.summary, exact_up_to=exact_up_to), turned=turned)

    def in_groups(self, groups: int) -> Kept | None:
        """Return the same in so many groups, None where that cannot be told any more.

        Parameters
        ----------
        groups : int
            No more than there are, where prompts are in groups.
        """
        if self.groups:
            turned = self.turned and regrouped(self.turned, groups)
            return replace(self, summary=regrouped(self.summary, groups), turned=turned, groups=groups)
        its = self.apart
        if its.turned is None or its.summary.binned.any():
            return None
        columns = its.summary.columns
        first, turned = (in_new_groups(its.summary, groups, one) for one in (columns, columns[::-1]))
        return replace(its, summary=first, turned=turned, groups=groups)

    @classmethod
    def alike(cls, parts: Sequence[Kept]) -> list[Kept]:
        """Return several of which either none or all have members, and gold, in summaries of their own.

        Parameters
        ----------
        parts : sequence of Kept
            Of any columns.
        """
        own = any(part.turned is not None or (part.members is not None and part.members.every) for part in parts)
        return [part.apart for part in parts] if own else [*parts]

    @classmethod
    def _prompts(cls, parts: Sequence[Kept]) -> tuple[KeyArray, IntArray]:
        """Return the keys of the prompts of several, and how many samples each has in all of them."""
        keys, prompt = np.unique(np.concatenate([part.whole.keys for part in parts]), return_inverse=True)
        return keys, np.bincount(prompt, np.concatenate([part.whole.sizes for part in parts])).astype(np.int64)

    @classmethod
    def _in_step(cls, parts: Sequence[Kept]) -> list[Kept]:
        """Return parts with groups of one number where few prompts are in them, else whole prompts."""
        least = min(part.groups for part in parts if part.groups)
        if groups_of_rows(len(cls._prompts(parts)[0])):
            dealt = [part.in_groups(least) for part in parts]
            if all(part is not None for part in dealt):
                return [part for part in dealt if part is not None]
        return [part.plain for part in parts]

    @classmethod
    def _dealt(cls, parts: Sequence[Kept], most: int) -> list[Kept]:
        """Return parts that hold all samples in groups, where few prompts have more than ``most`` in all of them."""
        prompts, sizes = cls._prompts(parts)
        if len(parts) > 1 and len(prompts) and sizes.max() > most and groups_for(sizes):
            dealt = [part.in_groups(groups_of_rows(len(prompts))) for part in parts]
            if all(part is not None for part in dealt):
                return [part for part in dealt if part is not None]
        return [*parts]

    @classmethod
    def merged(cls, parts: Sequence[Kept]) -> Kept:
        """Return all samples of several; what some lack the result lacks.

        Parameters
        ----------
        parts : sequence of Kept
            Of the same columns and widths.

        Raises
        ------
        InputError
            Where they are not.
        """
        require(len(parts) > 0, "parts must hold at least one summary; got none.", "parts")
        parts = cls.alike(parts)
        most = [part._exact_up_to for part in parts]
        if len({part.groups for part in parts}) > 1:
            parts = cls._in_step(parts)
        elif not parts[0].groups:
            parts = cls._dealt(parts, min((one for one in most if one is not None), default=0))
        told = next((one for one in most if one is not None), None)
        if told is not None:
            pairs = zip(parts, most, strict=True)
            parts = [part._with(told) if one is None and not part.groups else part for part, one in pairs]
        summary = Summary.merged([part.summary for part in parts])
        if summary.binned.any():  # bins by the first reward do not tell those by another
            apart = [part.apart for part in parts]
            if all(part.turned is not None for part in apart) and any(part.turned is None for part in parts):
                return cls.merged(apart)
        turned = [part.turned for part in parts if part.turned is not None]
        same = len(turned) == len(parts) and len({one.widths for one in turned}) == 1
        members = [part.members for part in parts if part.members is not None]
        return cls(
            summary,
            Summary.merged(turned) if same else None,
            parts[0].groups,
            any(part.unnamed for part in parts),
            KeptMembers.merged(members) if len(members) == len(parts) else None,
        )
