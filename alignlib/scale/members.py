"""An ensemble in bins: each member with gold, and what combines them all, computed row by row while parts are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from alignlib.scale.first_look import first_look
from alignlib.scale.heads import Head
from alignlib.scale.joining import Joined, Joining
from alignlib.scale.kept_members import KeptMembers, columns_apart, combination, kinds_of
from alignlib.scale.passes import Held
from alignlib.scale.reading_parts import Question
from alignlib.scale.store import Store
from alignlib.scale.summary import Summary
from alignlib.scale.summary_table import SummaryTable
from alignlib.tables import MemberTables, RewardTable

__all__ = ["member_tables", "tables_of"]


def member_tables(
    reading: Joining, question: Question, first_one: SummaryTable, bin_width: float | None
) -> tuple[MemberTables, list[Store]]:
    """Read each member with gold, then the ways to combine them on one scale, which the members' bins tell.

    Parameters
    ----------
    reading : Joining
        How parts are read.
    question : Question
        What is asked: its second reward is gold.
    first_one : SummaryTable
        The first reward with gold.
    bin_width : float, optional
        Of the bins of members, where it is given.

    Returns
    -------
    tables : MemberTables
        Of the members.
    stores : list of Store
        What is kept on disk.
    """
    stores = list[Store]()
    first, gold = question.rewards
    names = [name for name in question.members if name != gold]
    gaps = question.members if question.drop_missing else ()

    def table_of(found: Joined) -> SummaryTable:
        pieces = found.pieces(reading.engine)
        return SummaryTable(pieces, list(found.heads.values()), pieces[0]().columns, engine=reading.engine)

    def read(asked: Question, width: float | None = None) -> SummaryTable:
        asked = replace(asked, members=gaps)
        widths = first_look(reading.parts, asked, reading.skip_corrupt)[0]
        widths = widths if width is None else (width,) * len(widths)
        found = reading.of(replace(asked, widths=widths), finer=width is None)
        stores.extend(found.stores)
        return table_of(found)

    own = [first_one] if first in names else []
    own += [read(replace(question, rewards=columns), bin_width) for columns in columns_apart(names, first, gold)]
    members, scales = _in_order(names, own)
    scaled = tuple((name, *scales[name]) for name in names)
    combined = {
        kind: read(replace(question, rewards=(combination(kind), gold), combined=scaled, kind=kind))
        for kind in kinds_of(names)
    }
    return MemberTables(members, scales, combined), stores


def tables_of(whole: Summary, kept: KeptMembers) -> MemberTables:
    """Return the tables of the members that a summary keeps.

    Parameters
    ----------
    whole : Summary
        Prompts by the first reward, with gold.
    kept : KeptMembers
        Members of its samples.
    """

    def table_of(summary: Summary) -> SummaryTable:
        return SummaryTable([Held(summary)], [Head.of(summary)], summary.columns)

    own = [table_of(one) for one in ((whole,) if whole.columns[0] in kept.names else ()) + kept.others]
    members, scales = _in_order(kept.names, own)
    if kept.scales:
        scales = dict(zip(kept.names, kept.scales, strict=True))
    combined = {kind: table_of(one) for kind, one in zip(kinds_of(kept.names), kept.combined, strict=False)}
    return MemberTables(members, scales, combined)


def _in_order(
    names: Sequence[str], tables: Sequence[RewardTable]
) -> tuple[dict[str, RewardTable], dict[str, tuple[float, float]]]:
    """Return the table of each member by its name, and its scale."""
    known = {next(iter(table.columns)): table for table in tables}
    return {name: known[name] for name in names}, {name: _scale_of(known[name], name) for name in names}


def _scale_of(table: RewardTable, name: str) -> tuple[float, float]:
    """Return the mean over all samples, and the standard deviation within prompts; 1 where there is none."""
    sizes = table.n_samples
    squares, samples = float(table.prompt_squares(name).sum()), int(sizes.sum())
    return float(sizes @ table.prompt_means(name)) / samples, math.sqrt(squares / samples) or 1.0
