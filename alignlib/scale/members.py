"""An ensemble in bins: each member with gold, and what combines them all, computed row by row while parts are read."""

from __future__ import annotations

import math
from dataclasses import replace

from alignlib.scale.first_look import first_look
from alignlib.scale.joining import Joined, Joining
from alignlib.scale.reading_parts import KINDS, Question
from alignlib.scale.store import Store
from alignlib.scale.summary_table import SummaryTable
from alignlib.tables import MemberTables, RewardTable

__all__ = ["member_tables"]


def member_tables(reading: Joining, question: Question, plain: Joined) -> tuple[MemberTables, list[Store]]:
    """Read each member with gold, then the ways to combine them on one scale, which the members' bins tell.

    Parameters
    ----------
    reading : Joining
        How parts are read.
    question : Question
        What is asked: its second reward is gold.
    plain : Joined
        The first reward with gold, as it was read.

    Returns
    -------
    tables : MemberTables
        Of the members.
    stores : list of Store
        What is kept on disk.
    """
    stores = list[Store]()
    gold, gaps = question.rewards[1], question.members if question.drop_missing else ()

    def read(name: str, scaled: tuple[tuple[str, float, float], ...] = (), kind: str = "") -> SummaryTable:
        found = plain
        if name != question.rewards[0]:
            asked = replace(question, rewards=(name, gold), members=gaps, combined=scaled, kind=kind)
            asked = replace(asked, widths=first_look(reading.parts, asked, reading.skip_corrupt)[0])
            found = reading.of(asked, finer=True)
            stores.extend(found.stores)
        pieces = found.pieces(reading.engine)
        return SummaryTable(pieces, list(found.heads.values()), pieces[0]().columns, engine=reading.engine)

    members = {name: read(name) for name in question.members if name != gold}
    scales = {name: _scale_of(table, name) for name, table in members.items()}
    scaled = tuple((name, mean, deviation) for name, (mean, deviation) in scales.items())
    kinds = [kind for kind in KINDS if kind != "median" or len(members) > 2]  # of two it is their mean
    combined = {kind: read(f"{kind} on one scale", scaled, kind) for kind in kinds}
    return MemberTables(members, scales, combined), stores


def _scale_of(table: RewardTable, name: str) -> tuple[float, float]:
    """Return the mean over all samples, and the standard deviation within prompts; 1 where there is none."""
    sizes = table.n_samples
    squares, samples = float(table.prompt_squares(name).sum()), int(sizes.sum())
    return float(sizes @ table.prompt_means(name)) / samples, math.sqrt(squares / samples) or 1.0
