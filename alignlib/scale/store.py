"""Parts on disk by ranges of keys: the checkpoint of a run, and the pieces of its table.

A part is done when its file of results is there, under a name made from the part, its size and change, and what was
asked; files appear whole or not at all. A range of keys is done when its piece is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from alignlib._core.checks import IntArray
from alignlib._core.errors import InputError
from alignlib._core.files import whole_file, write_whole
from alignlib.scale.heads import Head
from alignlib.scale.parts import Part
from alignlib.scale.reading_parts import CorruptPartError, Question, summaries
from alignlib.scale.responses import Responses, repeats
from alignlib.scale.summary import Summary
from alignlib.scale.summary_file import from_batch, to_batch

__all__ = ["Again", "Done", "Store", "load_piece", "only"]

_FLUSHED = 1 << 20  # samples of a part that wait in memory
_VERSION = 6  # of what is kept; other versions are done anew


@dataclass(frozen=True)
class Done:
    """What became of a part.

    Attributes
    ----------
    path : str
        The part.
    samples, dropped : int
        Samples kept, and rows left out.
    files : tuple of str
        What was written.
    fingerprint : str
        Of its rewards.
    kinds : tuple of str
        What its prompts are, as `Reading` has it.
    truths : bool
        Whether rewards are truth values.
    named : tuple of str
        Files of its responses.
    sums : tuple of str
        BLAKE2 of each file, those of ``files`` first.
    corrupt : str
        What was said where it could not be read.
    notes : tuple of str
        Sentences on how its cells were read.
    """

    path: str
    samples: int = 0
    dropped: int = 0
    files: tuple[str, ...] = ()
    fingerprint: str = ""
    kinds: tuple[str, ...] = ()
    truths: bool = False
    named: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    corrupt: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of_slices(cls, several: Sequence[Done]) -> Done:
        """Return what became of a part that was read in slices; where one is corrupt, nothing of it is used.

        Parameters
        ----------
        several : sequence of Done
            One for each slice, in order.
        """
        if len(several) == 1:
            return several[0]
        corrupt = next((one for one in several if one.corrupt), None)
        if corrupt is not None:
            return cls(corrupt.path, corrupt=corrupt.corrupt)
        having = [one for one in several if one.samples]
        return cls(
            several[0].path,
            samples=sum(one.samples for one in several),
            dropped=sum(one.dropped for one in several),
            files=tuple(file for one in several for file in one.files),
            fingerprint=" ".join(one.fingerprint for one in having),
            kinds=tuple(sorted({kind for one in several for kind in one.kinds})),
            truths=any(one.truths for one in several),
            named=tuple(file for one in several for file in one.named),
            notes=tuple(dict.fromkeys(note for one in several for note in one.notes)),
        )


@dataclass(frozen=True)
class Again:
    """What repeats in a range of keys.

    Attributes
    ----------
    count : int
        Responses that repeat an earlier one.
    prompt : str
        Of the first.
    files : (str, str)
        Its two parts.
    """

    count: int
    prompt: str
    files: tuple[str, str]


@dataclass(frozen=True)
class Store:
    """A folder with what is done of one question about one list of parts.

    Parameters
    ----------
    folder : str
        Where it is kept.
    question : Question
        What is asked.
    bits : int
        There are 2^bits ranges of keys.
    run : str
        Digest of question and parts, in the names of pieces.
    """

    folder: str
    question: Question
    bits: int
    run: str

    @classmethod
    def of(cls, folder: Path, question: Question, bits: int, parts: Sequence[Part]) -> Store:
        """Name the pieces after all that they are made of, so that no two runs share any.

        Parameters
        ----------
        folder : Path
            Where it is kept.
        question : Question
            What is asked.
        bits : int
            There are 2^bits ranges of keys.
        parts : sequence of Part
            All that is read.
        """
        text = json.dumps([asdict(question), bits, [asdict(part) for part in parts]])
        return cls(str(folder), question, bits, hashlib.blake2b(text.encode(), digest_size=12).hexdigest())

    def name_of(self, part: Part) -> str:
        """Return the start of the names of a part's files.

        Parameters
        ----------
        part : Part
            The part.
        """
        return _name_of(part, self.question, self.bits)

    def done_before(self, part: Part) -> Done | None:
        """Return what was done of a part before, None where it was not, or where what is kept was changed.

        Parameters
        ----------
        part : Part
            The part.
        """
        marker = Path(self.folder, f"{self.name_of(part)}.json")
        try:
            text, _, own = _content(marker).decode("utf-8").rpartition("\n")
            if own != _sum(text.encode()):
                return None
            known: dict[str, Any] = json.loads(text)
            done = Done(**{name: _as_typed(one) for name, one in known.items()})
            sums = tuple(_sum(_content(Path(self.folder, file))) for file in (*done.files, *done.named))
        except InputError:
            raise
        except (OSError, ValueError):
            return None
        return replace(done, path=part.path) if sums == done.sums else None

    def summarise(self, part: Part) -> Done:
        """Summarise a part, unless that was done before, and write it by ranges of keys.

        Parameters
        ----------
        part : Part
            The part.

        Raises
        ------
        InputError
            Where the part does not hold what is asked, or changes meanwhile.
        """
        before = self.done_before(part)
        if before is not None:
            return before
        name = self.name_of(part)
        done = Done(part.path)
        waiting: list[Summary] = []
        told_apart: list[Responses] = []
        sums, of_named, kinds = list[str](), list[str](), set[str]()

        def flush() -> None:
            nonlocal done
            if waiting:
                whole = Summary.merged(waiting)
                waiting.clear()
                done = replace(done, files=(*done.files, f"{name}-{len(done.files)}.arrow"))
                sums.append(_sum(_write(Path(self.folder, done.files[-1]), map(to_batch, whole.split(self.bits)))))
            if told_apart:
                responses = Responses.joined(told_apart)
                told_apart.clear()
                done = replace(done, named=(*done.named, f"{name}-named-{len(done.named)}.arrow"))
                of_named.append(_sum(_write(Path(self.folder, done.named[-1]), responses.split(self.bits))))

        part.check_unchanged()
        try:
            for read in summaries(part, self.question):
                kinds.add(read.kind)
                done = replace(
                    done,
                    samples=done.samples + read.summary.n_samples,
                    dropped=done.dropped + read.dropped,
                    truths=done.truths or read.truths,
                    notes=tuple(dict.fromkeys([*done.notes, *read.notes])),
                )
                if not read.summary.n_samples:
                    continue
                waiting.append(read.summary)
                if read.responses is not None:
                    told_apart.append(read.responses)
                held = sum(len(one.values[0]) + len(one.bins.row) for one in waiting)
                if max(held, sum(len(one.samples) for one in told_apart)) > _FLUSHED:
                    flush()
        except CorruptPartError as error:
            part.check_unchanged()
            return Done(part.path, corrupt=str(error))
        flush()
        part.check_unchanged()
        if done.samples:
            done = replace(done, fingerprint=_sum("".join(sums).encode()), kinds=tuple(sorted(kinds - {""})))
        text = json.dumps(asdict(replace(done, sums=(*sums, *of_named))))
        write_whole(Path(self.folder, f"{name}.json"), f"{text}\n{_sum(text.encode())}")
        return done

    def piece(self, bucket: int) -> Path:
        """Return the file of the piece with a range of keys.

        Parameters
        ----------
        bucket : int
            The range.
        """
        return Path(self.folder, f"{self.run}-piece-{bucket}.arrow")

    def merge(self, task: tuple[int, tuple[str, ...], tuple[str, ...], int]) -> tuple[Head, int, str, Again | None]:
        """Merge a range of keys from the files of all parts, and write it as a piece; leave out small prompts.

        Parameters
        ----------
        task : tuple
            The range, the files, those of responses, and the fewest samples that a prompt may have.

        Returns
        -------
        head : Head
            What is known of the piece.
        dropped : int
            Prompts that were left out.
        name : str
            One of them.
        again : Again, optional
            What repeats.
        """
        bucket, files, named, least = task
        parts = [self._part_of(file, bucket) for file in files]
        merged = Summary.merged([part for part in parts if len(part.sizes)] or parts[:1])
        again = self._again(bucket, named, merged) if named else None
        small, first = int((merged.sizes < least).sum()), ""
        if small:
            at = int(np.argmax(merged.sizes < least))
            first = f"{merged.names[at].as_py()!r} with {merged.sizes[at]}"
            merged = only(merged, np.flatnonzero(merged.sizes >= least))
        _write(self.piece(bucket), [to_batch(merged)])
        return Head.of(merged), small, first, again

    def _again(self, bucket: int, named: tuple[str, ...], merged: Summary) -> Again | None:
        """Look for responses that come twice."""
        found = repeats([Responses.from_batch(_batch(str(Path(self.folder, file)), bucket)) for file in named])
        if found is None:
            return None
        count, prompt, (one, other) = found
        name = merged.names[int(np.searchsorted(merged.keys, prompt))].as_py()
        return Again(count, repr(name), (named[one], named[other]))

    def first_range(self, done: Sequence[Done]) -> list[tuple[str, Summary]]:
        """Return the path of each part that has rows, and its samples in the first range of keys.

        Parameters
        ----------
        done : sequence of Done
            What became of the parts.
        """
        return [(one.path, Summary.merged([self._part_of(file, 0) for file in one.files])) for one in done if one.files]

    def _part_of(self, file: str, bucket: int) -> Summary:
        return _read(str(Path(self.folder, file)), bucket, self.question)

    def loader(self, bucket: int) -> partial[Summary]:
        """Return what loads a piece.

        Parameters
        ----------
        bucket : int
            The range.
        """
        return partial(load_piece, str(self.piece(bucket)), self.question)

    def clear(self, parts: Sequence[Part]) -> None:
        """Delete what was kept, and the folder if nothing else is in it.

        Parameters
        ----------
        parts : sequence of Part
            All that was read.
        """
        folder = Path(self.folder)
        with contextlib.suppress(FileNotFoundError):  # another has cleared it, where the disk knows no locks
            for name in (*map(self.name_of, parts), f"{self.run}-piece"):
                for path in (folder / f"{name}.json", *folder.glob(f"{name}-*.arrow")):
                    path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


@lru_cache(maxsize=1024)  # it is asked for several times while a part is read
def _name_of(part: Part, question: Question, bits: int) -> str:
    text = json.dumps([_VERSION, asdict(part), asdict(question), bits])
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def load_piece(path: str, question: Question) -> Summary:
    """Load a piece.

    Parameters
    ----------
    path : str
        The file.
    question : Question
        What is asked.
    """
    return _read(path, 0, question)


def _read(path: str, place: int, question: Question) -> Summary:
    return from_batch(_batch(path, place), question.widths, question.exact_up_to, path, own=True)


def _as_typed(value: Any) -> Any:
    """Return what JSON made of a field of `Done`: its tuples became lists."""
    return tuple(value) if isinstance(value, list) else value


def _content(path: Path) -> bytes:
    """Return what a file holds; a pipe or a device in its place may have no end, and a folder cannot be replaced."""
    if path.exists() and not path.is_file():
        raise InputError(
            f"{path} is not a file, as it was written; take it away, or keep the work in another folder.",
            argument="checkpoint",
        )
    return path.read_bytes()


def _sum(content: bytes | pa.Buffer) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _batch(path: str, place: int) -> pa.RecordBatch:
    try:
        with open(path, "rb") as file, pa.ipc.open_file(file) as opened:
            return opened.get_batch(place)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}, which this run keeps on disk, cannot be read ({type(error).__name__}): workers must see the same "
            "folder; pass as checkpoint one that they share, and free space where there is none.",
            argument="checkpoint",
        ) from error


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> pa.Buffer:
    """Write batches as one file, whole or not at all, and return what it holds."""
    waiting = iter(batches)
    first = next(waiting)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, first.schema) as writer:
        writer.write_batch(first)
        for batch in waiting:
            writer.write_batch(batch)
    content = sink.getvalue()
    with whole_file(path) as file:
        file.write(content)
    return content


def only(summary: Summary, rows: IntArray) -> Summary:
    """Return the summary of some prompts.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
    rows : array of int
        Positions of those that stay, rising.
    """
    kept = np.zeros(len(summary.sizes), dtype=bool)
    kept[rows] = True
    exact = ~summary.binned
    samples = np.repeat(kept[exact], summary.sizes[exact])
    rank = np.cumsum(kept) - 1
    bins = summary.bins.take(np.flatnonzero(kept[summary.bins.row]))
    fields: dict[str, Any] = {name: getattr(summary, name)[kept] for name in ("keys", "sizes", "binned")}
    return replace(
        summary,
        names=summary.names.filter(pa.array(kept)),
        values=tuple(one[samples] for one in summary.values),
        bins=replace(bins, row=rank[bins.row]),
        **fields,
    )
