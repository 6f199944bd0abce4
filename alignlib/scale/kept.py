"""What a summary file keeps: samples in bins by the first reward, and by gold where that was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from alignlib._core.checks import require
from alignlib._core.same import SameFields
from alignlib.scale.dealt import whole_of
from alignlib.scale.summary import Summary

__all__ = ["Kept"]


@dataclass(frozen=True, eq=False)
class Kept(SameFields):
    """A summary, the same samples in bins by gold, and into how many groups few prompts were dealt.

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
        if len({part.groups for part in parts}) > 1:
            parts = [part.plain for part in parts]
        turned = [part.turned for part in parts if part.turned is not None]
        return cls(
            Summary.merged([part.summary for part in parts]),
            Summary.merged(turned) if len(turned) == len(parts) else None,
            parts[0].groups,
            any(part.unnamed for part in parts),
        )
