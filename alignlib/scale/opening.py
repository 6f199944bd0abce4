"""From parts to a table: how wide bins are, which bins a question needs, what is said of how parts were read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from alignlib._core.checks import require
from alignlib._core.errors import InputError
from alignlib._core.locks import beside_others
from alignlib._core.names import counted
from alignlib.scale.bins import check_width, width_for
from alignlib.scale.engine import Engine, Here
from alignlib.scale.heads import Head
from alignlib.scale.joining import Joining, Tell, part_sizes, spans, usual_bins
from alignlib.scale.notes_on_parts import written_twice
from alignlib.scale.parts import Part, list_parts
from alignlib.scale.passes import Held
from alignlib.scale.reading_parts import Question, first_ranges
from alignlib.scale.store import only
from alignlib.scale.summary import EXACT_UP_TO, Summary
from alignlib.scale.summary_table import SummaryTable

__all__ = ["open_parts", "table_of", "with_at_least"]

_ORDER = "Prompts stand in an order made from their names: at one seed, one file has another draw of the intervals."
_GROUPS = 50  # of the samples of a single prompt
_DEALT = (
    "The {:,} samples of the one prompt are dealt at random into {} groups that count as prompts: what differs between "
    "them is chance."
)
_FEW_BINS = 128  # over the rewards of a prompt: of fewer a word is said
_FINEST = 20  # bits that a width lies below the largest reward of the first piece, at most
_IN_A_PIECE = 1 << 21  # samples
_OF_A_BIN = 9  # samples that take the room of one
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
    parts = [one for part in list_parts(location) for one in part.slices()]
    folder = Path(os.path.realpath(checkpoint))  # kernels and workers run elsewhere
    with beside_others(folder) as is_last:  # the same question may be asked twice at once
        question = replace(question, exact_up_to=exact_up_to)
        widths, held = _first_look(parts, question, skip_corrupt)
        if bin_width is not None:
            widths = (check_width(bin_width),) * len(widths)
        rows = held * sum(part_sizes(parts)) / (_BYTES_OF_A_ROW * len(question.rewards))
        bits = min(max(0, math.ceil(math.log2(max(rows, 1.0) / _IN_A_PIECE))), 12)
        reading = Joining(parts, location, folder, bits, drop_below, skip_corrupt, engine, tell)
        found = plain = reading.of(replace(question, widths=widths), finer=bin_width is None)
        stores, notes, aside = plain.stores, plain.notes, dict[str, SummaryTable]()
        if len(question.rewards) == len(widths) == 2 and plain.in_bins:
            # Bins by the one reward do not tell the law of the other, which has bins of its own.
            asked = plain.question
            if sum(head.prompts for head in plain.heads.values()) == 1:
                reading, asked = replace(reading, drop_below=0), replace(asked, groups=_GROUPS)
                found = reading.of(asked, finer=False)
                stores = [*stores, *found.stores]
                notes = [*notes, _DEALT.format(sum(one.samples for one in found.done), _GROUPS)]
            if found.in_bins:
                turned = replace(asked, rewards=asked.rewards[::-1], widths=asked.widths[::-1])
                other = reading.of(turned, finer=bin_width is None)
                stores, its = [*stores, *other.stores], other.pieces(engine)
                columns = its[0]().columns
                aside[columns[0]] = SummaryTable(its, list(other.heads.values()), columns, engine=engine)
        done, heads, pieces = plain.done, found.heads, found.pieces(engine)
        notes += [*_coarse(list(heads.values()), found.question.widths[0]), _ORDER]
        if question.sample is None:
            notes += written_twice(plain.first(), location, plain.stores[-1].first_range(done))
        dropped = sum(one.dropped for one in done)
        table = SummaryTable(
            pieces,
            list(heads.values()),
            pieces[0]().columns,
            dropped=dropped,
            notes=tuple(notes),
            engine=engine,
            aside=aside,
        )
        del (
            heads,
            done,
            found,
            plain,
        )  # the table has its own arrays: of many prompts these are a good part of the memory
        yield table
        if not keep and is_last():
            for store in stores:
                store.clear(parts)


def _coarse(heads: Sequence[Head], width: float) -> list[str]:
    """Say where bins are too wide for what is computed by their places."""
    found = spans(heads)
    found = found[found > 0.0]
    if not found.size or width <= float(np.median(found)) / _FEW_BINS:
        return []
    number = max(1, round(float(np.median(found)) / width))
    said = (
        f"Bins of width {width:g} cut the rewards of a prompt into {counted(number, 'part')}, too few: intervals do "
        f"not hold all that these leave open, those of best-of-N nothing of it. Take a bin width of "
        f"{width_for(0.0, float(np.median(found))):g} or less."
    )
    return [said]


def table_of(summary: Summary, notes: Sequence[str] = (), dropped: int = 0) -> SummaryTable:
    """Return the table over a summary in memory.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
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
    held, head = Held(summary), Head.of(summary)
    notes = (*notes, *(one for one in _coarse([head], summary.widths[0]) if one not in notes))
    return SummaryTable([held], [head], summary.columns, notes=notes, dropped=dropped)


def with_at_least(summary: Summary, n: int) -> tuple[Summary, str]:
    """Return the summary of the prompts with enough samples, and a sentence on the others.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
    n : int
        Fewest samples of a prompt that stays.

    Returns
    -------
    summary : Summary
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
    >>> with_at_least(summary, 2)[0].names.to_pylist()
    ['a']
    """
    kept = np.flatnonzero(summary.sizes >= n)
    if len(kept) == len(summary.sizes):
        return summary, ""
    require(len(kept) > 0, f"drop_below must leave a prompt: none has {n} samples.", "drop_below")
    few = len(summary.sizes) - len(kept)
    said = f"{few} of {counted(len(summary.sizes), 'prompt')} left out, with fewer than {n} samples."
    return only(summary, kept), said


def _first_look(parts: Sequence[Part], question: Question, skip_corrupt: bool) -> tuple[tuple[float, ...], float]:
    """Choose widths by the range of the first piece that has rewards, and guess what part of its samples is held."""
    for part in parts:
        try:
            found = first_ranges(part, question)
        except InputError:
            if skip_corrupt:
                continue
            break  # what is wrong is said when its turn comes
        if found is not None:
            ends, n_samples, n_prompts = found
            bins = usual_bins(len(ends))
            most = bins * _OF_A_BIN
            few = n_samples <= n_prompts * max(question.exact_up_to, most)
            return tuple(
                _width_of(*one, usual_bins(len(ends))) for one in ends
            ), 1.0 if few else n_prompts * most / n_samples
    return (1.0,) * len(question.rewards), 1.0


def _width_of(low: float, high: float, bins: int) -> float:
    """Choose a width by the ends of rewards, which may be nearly equal where those of other parts are not."""
    most = max(-low, high)
    least = math.ldexp(1.0, math.frexp(most)[1] - _FINEST) if most > 0.0 else 0.0
    return max(width_for(low, high, bins), least)
