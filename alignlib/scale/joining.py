"""Parts are summarised one by one, and their prompts joined by ranges of keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.names import counted
from alignlib.scale.bins import width_for
from alignlib.scale.engine import Engine, Here
from alignlib.scale.heads import Head
from alignlib.scale.notes_on_parts import looked_at, repeated_responses
from alignlib.scale.parts import Part
from alignlib.scale.passes import Held, Piece
from alignlib.scale.reading_parts import Question
from alignlib.scale.store import Again, Done, Store
from alignlib.scale.summary import Summary
from alignlib.tables import check_fits

__all__ = ["MOST_GATHERED", "Joined", "Joining", "Tell", "part_sizes", "spans", "usual_bins"]

Tell = Callable[[str, int, int], None]  # what is done, how much of it, of how much

MOST_GATHERED = 1 << 26  # samples that are put together in memory for what asks for all of them at once
_BYTES_OF_A_PROMPT = 50  # in memory, without its samples
_HELD = 1 << 26  # bytes of all pieces, up to which they stay in memory
_AT_ONCE, _SMALL = 32, 1 << 25  # tasks that a worker gets together, at most, and bytes of the parts among them
_BINS, _WITH_GOLD = 1024, 2048  # of a prompt; what bins leave open of gold at some N falls no faster than their width


@dataclass(frozen=True)
class Joined:
    """What was read of parts: the last of the stores holds the pieces.

    Attributes
    ----------
    stores : list of Store
        What is kept on disk.
    done : list of Done
        What became of each part.
    heads : dict of int to Head
        What is known of the pieces, in order.
    notes : list of str
        Sentences on what was found on the way.
    """

    stores: list[Store]
    done: list[Done]
    heads: dict[int, Head]
    notes: list[str]

    @property
    def question(self) -> Question:
        """What was asked, with the widths of bins that suit."""
        return self.stores[-1].question

    @property
    def in_bins(self) -> bool:
        """Whether samples of a prompt are in bins."""
        return any(bool(head.binned.any()) for head in self.heads.values())

    @property
    def gathers(self) -> bool:
        """Whether no prompt is in bins, and all samples are few enough to be put together in memory."""
        return not self.in_bins and sum(one.samples for one in self.done) <= MOST_GATHERED

    def first(self) -> Summary:
        """Return the first piece."""
        return self.stores[-1].loader(next(iter(self.heads)))()

    def pieces(self, engine: Engine) -> list[Piece]:
        """Return what loads the pieces, or those that are in memory where they are small.

        Parameters
        ----------
        engine : Engine
            Who will do passes over them.
        """
        store = self.stores[-1]
        pieces: list[Piece] = [store.loader(bucket) for bucket in self.heads]
        if isinstance(engine, Here) and sum(store.piece(bucket).stat().st_size for bucket in self.heads) <= _HELD:
            pieces = [Held(load()) for load in pieces]
        return pieces


@dataclass(frozen=True)
class Joining:
    """How parts are read.

    Parameters
    ----------
    parts : sequence of Part
        All that is read.
    location : str
        Where they lie, for sentences.
    folder : Path
        Where what is done is kept.
    bits : int
        There are 2^bits ranges of keys.
    drop_below : int
        Prompts with fewer samples are left out.
    skip_corrupt : bool
        Whether to go on without parts that cannot be read.
    engine : Engine
        Who does the work.
    tell : callable
        Told how far it is.
    """

    parts: Sequence[Part]
    location: str
    folder: Path
    bits: int
    drop_below: int
    skip_corrupt: bool
    engine: Engine
    tell: Tell

    def of(self, question: Question, *, finer: bool) -> Joined:
        """Read the parts.

        Parameters
        ----------
        question : Question
            What is asked of them.
        finer : bool
            Whether they are read again where its bins turn out to be far too wide.

        Raises
        ------
        InputError
            With one sentence that names the part.
        """
        stores = [Store.of(self.folder, question, self.bits, self.parts)]
        more = self.drop_below, self.skip_corrupt, self.engine, self.tell
        done, heads, notes = _joined(stores[0], self.parts, self.location, *more)
        width = _finer(list(heads.values()), question.widths[0], len(question.widths)) if finer else None
        if width is not None:
            asked = replace(question, widths=(width, *question.widths[1:]))
            stores.append(Store.of(self.folder, asked, self.bits, self.parts))
            done, heads, notes = _joined(stores[1], self.parts, self.location, *more)
        return Joined(stores, done, heads, notes)


def _joined(
    store: Store,
    parts: Sequence[Part],
    location: str,
    drop_below: int,
    skip_corrupt: bool,
    engine: Engine,
    tell: Tell,
) -> tuple[list[Done], dict[int, Head], list[str]]:
    """Summarise the parts and join their prompts; return what became of parts, the pieces in order, and notes."""
    done = _summarised(store, parts, engine, tell)
    notes = looked_at(done, skip_corrupt)
    files = tuple(file for one in done for file in one.files)
    empty = done[0].path if len(done) == 1 else location
    lost = sum(one.dropped for one in done)
    require(
        bool(files) or not lost,
        f"{lost} of {lost} samples of {empty} lack a prompt or a finite value. Nothing would be left without them; "
        "fill them in.",
        "table",
    )
    require(bool(files), f"{empty} has a header but no rows; give samples of each prompt.", "table")
    heads: dict[int, Head] = {}
    small, prompts, firsts, repeated = 0, 0, dict[int, str](), dict[int, Again]()
    named = tuple(file for one in done for file in one.named)
    buckets = range(1 << store.bits)
    tasks = [(bucket, files, named, drop_below or 1) for bucket in buckets]
    for bucket, (head, few, first, again) in engine.map(store.merge, tasks, at_once=_AT_ONCE):
        heads[bucket], small = head, small + few
        prompts += head.prompts
        known = prompts * len(buckets) / len(heads)
        check_fits(
            _BYTES_OF_A_PROMPT * known,
            f"{location} has about {known:,.0f} distinct prompts, what is kept of each of which",
            "name in prompt the column that tells prompts, not samples, apart, or take fewer parts",
        )
        if again is not None:
            repeated[bucket] = again
        if first:
            firsts[bucket] = first
        tell("join", len(heads), len(buckets))
    if repeated:
        raise repeated_responses(done, [repeated[bucket] for bucket in sorted(repeated)], store.question.wide)
    if small:
        require(prompts > 0, f"drop_below must leave a prompt: none of {small} has {drop_below} samples.", "drop_below")
        notes.append(
            f"{small} of {counted(prompts + small, 'prompt')} left out, with fewer than {drop_below} samples, such "
            f"as {firsts[min(firsts)]}: what is said holds for the others."
        )
    return done, {bucket: heads[bucket] for bucket in buckets}, notes


def spans(heads: Sequence[Head]) -> FloatArray:
    """Return the range of the rewards of each prompt in bins.

    Parameters
    ----------
    heads : sequence of Head
        What is known of pieces.
    """
    return np.concatenate([head.spans for head in heads])


def usual_bins(columns: int) -> int:
    """Return how many bins the rewards of a prompt have.

    Parameters
    ----------
    columns : int
        Rewards that are read.
    """
    return _BINS if columns == 1 else _WITH_GOLD


def _finer(heads: Sequence[Head], width: float, columns: int) -> float | None:
    """Return the width that suits prompts in bins, where the one chosen by the first part is far too large for them."""
    found = spans(heads)
    found = found[found > 0.0]
    if not found.size:
        return None
    wanted = width_for(0.0, float(np.median(found)), usual_bins(columns))
    return wanted if width >= 4.0 * wanted else None


def _summarised(store: Store, parts: Sequence[Part], engine: Engine, tell: Tell) -> list[Done]:
    found: dict[int, Done] = {}
    for place, part in enumerate(parts):
        before = store.done_before(part)
        if before is not None:
            found[place] = before
    if found:
        tell("kept", len(found), len(parts))
    left = [place for place in range(len(parts)) if place not in found]
    sizes = part_sizes(parts)
    total, read = sum(sizes), sum(sizes[place] for place in found)
    few = min(max(_SMALL * len(parts) // max(total, 1), 1), _AT_ONCE)
    for k, done in engine.map(store.summarise, [parts[place] for place in left], at_once=few):
        found[left[k]] = done
        read += sizes[left[k]]
        tell("read", read, total)
    of_paths: dict[str, list[Done]] = {}
    for place, part in enumerate(parts):
        of_paths.setdefault(part.path, []).append(found[place])
    return [Done.of_slices(several) for several in of_paths.values()]


def part_sizes(parts: Sequence[Part]) -> list[int]:
    """Return the bytes of each part, of a slice its share.

    Parameters
    ----------
    parts : sequence of Part
        Files, or slices of them.
    """
    slices = Counter(part.path for part in parts)
    return [part.size // slices[part.path] for part in parts]
