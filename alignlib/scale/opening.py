"""From parts to a table: how wide bins are, which bins a question needs, what is said of how parts were read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from alignlib._core.checks import require
from alignlib._core.locks import beside_others
from alignlib._core.names import counted
from alignlib.scale.bins import check_width, width_for
from alignlib.scale.dealt import Dealt, groups_for, groups_of_rows, rows_of
from alignlib.scale.engine import Engine, Here
from alignlib.scale.first_look import first_look
from alignlib.scale.heads import Head
from alignlib.scale.joining import Joined, Joining, Tell, part_sizes, spans
from alignlib.scale.kept import Kept
from alignlib.scale.members import member_tables, tables_of
from alignlib.scale.notes_on_parts import written_twice
from alignlib.scale.parts import from_anywhere, list_parts
from alignlib.scale.passes import Held
from alignlib.scale.reading_parts import Question
from alignlib.scale.store import Store, only
from alignlib.scale.summary import EXACT_UP_TO, Summary
from alignlib.scale.summary_table import SummaryTable
from alignlib.tables import MemberTables, wrong_shards

__all__ = ["open_parts", "table_of", "with_at_least", "without_bins"]

_ORDER = "Prompts stand in an order made from their names: at one seed, one file has another draw of the intervals."
_COARSE = "Bins of width"
_JUDGED_BEFORE = (  # as summaries say that were made before
    "Up to where the samples support the limit, and how many more are wanted, is judged by the points that stand for "
    "the samples of a bin: of these alone no bound is computed."
)
_JUDGED = (
    f"{_JUDGED_BEFORE} Wide bins mostly claim more support than the "
    "samples have, at worst many times as much; where few rewards lie far above the rest, they can claim less."
)
_FEW_BINS = 128  # over the rewards of a prompt: of fewer a word is said
_IN_A_PIECE = 1 << 21  # samples
_BYTES_OF_A_ROW = 8  # of a file, at least, as a guess of how many samples it holds


def _silent(_what: str, _done: int, _of: int) -> None:
    """Tell nobody."""


@contextmanager
def open_parts(
    location: str,
    question: Question,
    checkpoint: str | Path,
    *,
    bin_width: float | None = None,
    exact_up_to: int = EXACT_UP_TO,
    drop_below: int = 0,
    skip_corrupt: bool = False,
    keep: bool = False,
    engine: Engine | None = None,
    tell: Tell = _silent,
) -> Iterator[SummaryTable]:
    """Read the tables of a folder, a pattern or an address as one, and yield it while its pieces lie on disk.

    Parameters
    ----------
    location : str
        Folder, pattern, file or address of tables.
    question : Question
        Columns, and what is done about gaps, as in `RewardTable.read`.
    checkpoint : path
        Folder where what is done is kept until all is; the same call goes on from there.
    bin_width : float, optional
        A power of two; by default 1,024 bins over the rewards of the first piece, 2,048 where there is
        another reward, such as gold.
    exact_up_to : int
        The most samples of a prompt that are kept one by one.
    drop_below : int
        Leave out prompts with fewer samples, once they are joined.
    skip_corrupt : bool
        Go on without parts that cannot be read; ``notes`` count them and name the first.
    keep : bool
        Leave the checkpoint when the block ends without an error.
    engine : Engine, optional
        Who does the work; this process by default.
    tell : callable
        Told how far it is.

    Yields
    ------
    SummaryTable
        It reads its pieces from the checkpoint, which goes when the block ends.

    Raises
    ------
    InputError
        With one sentence that names the part.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "rewards.csv").write_text("prompt_id,reward\\n1,0.0\\n1,1.0\\n", encoding="utf-8") and None
    ...     with open_parts(f"{folder}/*.csv", Question("prompt_id", ("reward",)), Path(folder, "kept")) as table:
    ...         table.prompt_means("reward").tolist()
    [0.5]
    """
    engine = Here() if engine is None else engine
    listed = list_parts(location if isinstance(engine, Here) else from_anywhere(location))  # workers run elsewhere
    parts = [one for part in listed for one in part.slices()]
    folder = Path(os.path.realpath(checkpoint))
    with beside_others(folder) as is_last:  # the same question may be asked twice at once
        members = question.members
        question = replace(question, exact_up_to=exact_up_to, members=members if question.drop_missing else ())
        widths, held = first_look(parts, question, skip_corrupt)
        if bin_width is not None:
            widths = (check_width(bin_width),) * len(widths)
        rows = held * sum(part_sizes(parts)) / (_BYTES_OF_A_ROW * len(question.rewards))
        bits = min(max(0, math.ceil(math.log2(max(rows, 1.0) / _IN_A_PIECE))), 12)
        reading = Joining(parts, location, folder, bits, drop_below, skip_corrupt, engine, tell)
        plain = reading.of(replace(question, widths=widths), finer=bin_width is None)
        if members and plain.gathers:  # one table holds them all
            every = replace(question, rewards=tuple(dict.fromkeys([*question.rewards, *members])), members=())
            widths = first_look(parts, every, skip_corrupt)[0] if bin_width is None else widths[:1] * len(every.rewards)
            plain = reading.of(replace(every, widths=widths), finer=bin_width is None)
        stores, notes, aside = plain.stores, plain.notes, dict[str, SummaryTable | Dealt]()
        ensemble: MemberTables | None = None
        done, heads, pieces = plain.done, list(plain.heads.values()), plain.pieces(engine)
        groups: Kept | None = None
        if len(question.rewards) == len(widths) == 2 and plain.in_bins:
            groups, aside, more = _by_gold(plain, reading, finer=bin_width is None)
            stores = [*stores, *more]
        if groups is not None:  # a summary that is kept holds no more than the groups
            heads, pieces, aside = [Head.of(groups.whole)], [Held(groups.whole)], _aside_of(groups)
        columns = pieces[0]().columns
        if members and not plain.gathers:
            own = SummaryTable(pieces, heads, columns, engine=engine)
            ensemble, more = member_tables(reading, replace(question, members=members), own, bin_width)
            stores = [*stores, *more]
        notes.append(_ORDER)
        if len(listed) > 1 and (said := wrong_shards([part.path for part in listed])):  # of a pattern
            notes.append(f"{said}; what the pattern names is read.")
        if question.sample is None:
            notes += written_twice(plain.first(), location, partial(plain.stores[-1].first_range, done))
        dropped = sum(one.dropped for one in done)
        table = SummaryTable(
            pieces,
            heads,
            columns,
            dropped=dropped,
            notes=(*notes, *_coarse(heads, plain.question.widths[0]), *_judged(heads)),
            engine=engine,
            aside=aside,
            groups=groups,
            ensemble=ensemble,
            members=tuple(name for name in members if name != question.rewards[1]),
        )
        del (
            heads,
            pieces,
            done,
            plain,
        )  # the table has its own arrays: of many prompts these are a good part of the memory
        yield table
        if not keep and is_last():
            for store in stores:
                store.clear(parts)


def _by_gold(
    plain: Joined, reading: Joining, *, finer: bool
) -> tuple[Kept | None, dict[str, SummaryTable | Dealt], list[Store]]:
    """Read parts again, into bins by gold: those by another reward do not tell its law.

    Few prompts are dealt into groups too, and so in bins by either; that is how they come back, and others as a table.
    """
    asked = plain.question
    groups = groups_of_rows(sum(head.prompts for head in plain.heads.values()))
    stores, found_by, aside = list[Store](), list[Summary](), dict[str, SummaryTable | Dealt]()
    if groups:
        reading, asked = replace(reading, drop_below=0), replace(asked, groups=groups, exact_up_to=0)
        names = [name for piece in plain.pieces(reading.engine) for name in piece().names.to_pylist()]
        both = [asked]
    else:
        both = []
    both.append(replace(asked, rewards=asked.rewards[::-1], widths=asked.widths[::-1]))
    for one in both:
        found = reading.of(one, finer=finer and one is both[-1])
        stores += found.stores
        pieces = found.pieces(reading.engine)
        columns = pieces[0]().columns
        if groups:
            dealt = Summary.merged([piece() for piece in pieces])
            found_by.append(only(dealt, rows_of(dealt, names)))  # none of prompts left out
        else:
            aside[columns[0]] = SummaryTable(pieces, list(found.heads.values()), columns, engine=reading.engine)
    return (Kept(found_by[0], found_by[1], groups) if groups else None), aside, stores


def _coarse(heads: Sequence[Head], width: float) -> list[str]:
    """Say where bins are so wide that intervals are, too."""
    found = spans(heads)
    found = found[found > 0.0]
    if not found.size or width <= float(np.median(found)) / _FEW_BINS:
        return []
    number = max(1, round(float(np.median(found)) / width))
    said = (
        f"{_COARSE} {width:g} cut the rewards of a prompt into {counted(number, 'part')}: intervals are wide by "
        f"what these leave open. Take a bin width of {width_for(0.0, float(np.median(found))):g} or less."
    )
    return [said]


def _judged(heads: Sequence[Head]) -> list[str]:
    """Say what has no bound of prompts whose samples bins do not tell."""
    return [_JUDGED] if any(head.apart.any() for head in heads) else []


def without_bins(notes: Sequence[str]) -> list[str]:
    """Return the sentences that say nothing of what bins leave open.

    Parameters
    ----------
    notes : sequence of str
        Those of a table.

    Examples
    --------
    >>> without_bins([_JUDGED, "One of 2 parts has no rows."])
    ['One of 2 parts has no rows.']
    """
    return [note for note in notes if not note.startswith(_COARSE) and note not in (_JUDGED, _JUDGED_BEFORE)]


def table_of(summary: Summary | Kept, notes: Sequence[str] = (), dropped: int = 0) -> SummaryTable:
    """Return the table over a summary in memory.

    Parameters
    ----------
    summary : Summary or Kept
        Samples of prompts, or all that a file kept of them.
    notes : sequence of str
        Sentences on how it was made.
    dropped : int
        Rows that were left out.

    Examples
    --------
    >>> import pyarrow as pa
    >>> summary = Summary.of(pa.array(["a"]), np.array([3]), {"reward": np.array([0.0, 2.0, 1.0])})
    >>> table_of(summary).prompt_means("reward").tolist()
    [1.0]
    """
    kept = summary if isinstance(summary, Kept) else Kept(summary)
    whole = kept.whole
    held, head = Held(whole), Head.of(whole)
    # What a part was told of its bins is told anew of all.
    notes = without_bins(notes)
    notes += [*_coarse([head], whole.widths[0]), *_judged([head])]
    ensemble = None
    if kept.members is not None and kept.members.every:
        ensemble = tables_of(whole, kept.members)
    return SummaryTable(
        [held],
        [head],
        whole.columns,
        notes=tuple(notes),
        dropped=dropped,
        aside=_aside_of(kept),
        groups=kept if kept.groups and kept.turned is not None else None,
        ensemble=ensemble,
        members=kept.names_of_members,
    )


def _aside_of(kept: Kept) -> dict[str, SummaryTable | Dealt]:
    """Return the same samples in bins by another column, and in groups where few prompts have samples enough."""
    whole = kept.whole
    groups = min(groups_for(whole.sizes), kept.groups)
    if kept.turned is not None and groups:
        names = whole.names.to_pylist()
        return {one.columns[0]: Dealt(one, names, groups) for one in (kept.summary, kept.turned)}
    if kept.whole_turned is not None:
        return {whole.columns[1]: table_of(kept.whole_turned)}
    return {}


def with_at_least(kept: Kept, n: int) -> tuple[Kept, str]:
    """Return the prompts with enough samples, and a sentence on the others.

    Parameters
    ----------
    kept : Kept
        Samples of prompts.
    n : int
        Fewest samples of a prompt that stays.

    Returns
    -------
    kept : Kept
        The same one where all stay.
    sentence : str
        How many were left out, empty where none were.

    Raises
    ------
    InputError
        If no prompt stays.

    Examples
    --------
    >>> import pyarrow as pa
    >>> summary = Summary.of(pa.array(["a", "b"]), np.array([2, 1]), {"reward": np.array([0.0, 2.0, 1.0])})
    >>> with_at_least(Kept(summary), 2)[0].whole.names.to_pylist()
    ['a']
    """
    sizes = kept.whole.sizes
    few = int((sizes < n).sum())
    if not few:
        return kept, ""
    require(few < len(sizes), f"drop_below must leave a prompt: none has {n} samples.", "drop_below")
    said = f"{few} of {counted(len(sizes), 'prompt')} left out, with fewer than {n} samples."
    whole = rows = np.flatnonzero(sizes >= n)
    if kept.groups:
        rows = rows_of(kept.summary, kept.whole.names.take(pa.array(whole)).to_pylist())
    turned = kept.turned and only(kept.turned, rows)
    members = kept.members and kept.members.each(partial(only, rows=whole))
    return replace(kept, summary=only(kept.summary, rows), turned=turned, members=members), said
