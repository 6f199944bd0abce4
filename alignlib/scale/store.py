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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from alignlib._core.checks import IntArray
from alignlib._core.errors import InputError
from alignlib._core.files import whole_file, write_whole
from alignlib.scale.parts import CorruptPartError, Part, Question, summaries
from alignlib.scale.summary import Summary
from alignlib.scale.summary_file import from_batch, to_batch
from alignlib.scale.summary_table import Head

__all__ = ["Done", "Store", "load_piece", "only"]

_FLUSHED = 1 << 20  # samples of a part that wait in memory


@dataclass(frozen=True)
class Done:
    """What became of a part: samples kept and left out, files written, a fingerprint of its rewards.

    ``whole_names`` tells whether its prompts are integers, None where it has no rows or is text; ``corrupt`` is what
    was said where it could not be read.
    """

    path: str
    samples: int = 0
    dropped: int = 0
    files: tuple[str, ...] = ()
    fingerprint: str = ""
    whole_names: bool | None = None
    corrupt: str = ""


@dataclass(frozen=True)
class Store:
    """A folder with what is done of one question about one list of parts."""

    folder: str
    question: Question
    bits: int
    run: str

    @classmethod
    def of(cls, folder: Path, question: Question, bits: int, parts: Sequence[Part]) -> Store:
        """Name the pieces after all that they are made of, so that no two runs share any."""
        text = json.dumps([asdict(question), bits, [asdict(part) for part in parts]])
        return cls(str(folder), question, bits, hashlib.blake2b(text.encode(), digest_size=12).hexdigest())

    def name_of(self, part: Part) -> str:
        """Return the start of the names of a part's files."""
        text = json.dumps([asdict(part), asdict(self.question), self.bits])
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def is_done(self, part: Part) -> bool:
        """Tell whether a part was done before."""
        return Path(self.folder, f"{self.name_of(part)}.json").is_file()

    def summarise(self, part: Part) -> Done:
        """Summarise a part, unless that was done before, and write it by ranges of keys.

        Raises
        ------
        InputError
            Where the part does not hold what is asked, or changes meanwhile.
        """
        name = self.name_of(part)
        marker = Path(self.folder, f"{name}.json")
        if marker.is_file():
            known = json.loads(marker.read_text(encoding="utf-8"))
            return Done(**(known | {"files": tuple(known["files"]), "path": part.path}))
        done = Done(part.path)
        waiting: list[Summary] = []
        digest, kinds = hashlib.blake2b(digest_size=16), set[bool | None]()

        def flush() -> tuple[str, ...]:
            if not waiting:
                return done.files
            whole = Summary.merged(waiting)
            waiting.clear()
            file = f"{name}-{len(done.files)}.arrow"
            _write(Path(self.folder, file), whole.split(self.bits))
            for values in (whole.keys, whole.sizes, *whole.values, whole.bins.count, whole.bins.total):
                digest.update(np.ascontiguousarray(values).data)
            return (*done.files, file)

        part.check_unchanged()
        try:
            for summary, dropped, whole_names in summaries(part, self.question):
                if summary.n_samples:
                    waiting.append(summary)
                kinds.add(whole_names)
                done = replace(done, samples=done.samples + summary.n_samples, dropped=done.dropped + dropped)
                if sum(len(one.values[0]) for one in waiting) > _FLUSHED:
                    done = replace(done, files=flush())
        except CorruptPartError as error:
            part.check_unchanged()
            return Done(part.path, corrupt=str(error))
        done = replace(done, files=flush())
        part.check_unchanged()
        if done.samples:
            done = replace(
                done,
                fingerprint=digest.hexdigest(),
                whole_names=None if kinds == {None} else all(kind for kind in kinds if kind is not None),
            )
        write_whole(marker, json.dumps(asdict(done)))
        return done

    def piece(self, bucket: int) -> Path:
        """Return the file of the piece with a range of keys."""
        return Path(self.folder, f"{self.run}-piece-{bucket}.arrow")

    def merge(self, task: tuple[int, tuple[str, ...], int]) -> tuple[Head, int, str]:
        """Merge a range of keys from the files of all parts, and write it as a piece; leave out small prompts.

        ``task`` is the range, the files, and the fewest samples that a prompt may have. Returns what is known of the
        piece, how many prompts were left out, and the first of them.
        """
        bucket, files, least = task
        parts = [self._part_of(file, bucket) for file in files]
        merged = Summary.merged([part for part in parts if len(part.sizes)] or parts[:1])
        small, first = int((merged.sizes < least).sum()), ""
        if small:
            at = int(np.argmax(merged.sizes < least))
            first = f"{merged.names[at].as_py()!r} with {merged.sizes[at]}"
            merged = only(merged, np.flatnonzero(merged.sizes >= least))
        _write(self.piece(bucket), [merged])
        return Head.of(merged), small, first

    def _part_of(self, file: str, bucket: int) -> Summary:
        return _read(str(Path(self.folder, file)), bucket, self.question)

    def loader(self, bucket: int) -> partial[Summary]:
        """Return what loads a piece."""
        return partial(load_piece, str(self.piece(bucket)), self.question)

    def clear(self, files: Sequence[str], parts: Sequence[Part], buckets: Iterable[int]) -> None:
        """Delete what was kept, and the folder if nothing else is in it."""
        names = [*files, *(f"{self.name_of(part)}.json" for part in parts)]
        for path in (*(Path(self.folder, name) for name in names), *map(self.piece, buckets)):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            Path(self.folder).rmdir()


def load_piece(path: str, question: Question) -> Summary:
    """Load a piece."""
    return _read(path, 0, question)


def _read(path: str, place: int, question: Question) -> Summary:
    try:
        with pa.OSFile(path) as file, pa.ipc.open_file(file) as opened:
            batch = opened.get_batch(place)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}, which this run keeps on disk, cannot be read ({type(error).__name__}): workers must see the same "
            "folder; pass as checkpoint one that they share, and free space where there is none.",
            argument="checkpoint",
        ) from error
    return from_batch(batch, question.widths, question.exact_up_to, path)


def _write(path: Path, summaries_: list[Summary]) -> None:
    """Write summaries as the batches of one file, whole or not at all."""
    batches = [to_batch(summary) for summary in summaries_]
    with whole_file(path) as file, pa.ipc.new_file(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def only(summary: Summary, rows: IntArray) -> Summary:
    """Return the summary of some prompts."""
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
