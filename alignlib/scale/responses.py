"""Which responses a part holds, by hashed names, so that one that stands in two parts is found when they are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from alignlib._core.checks import IntArray
from alignlib._core.hashed import hashed
from alignlib._core.same import SameFields
from alignlib.scale.keys import KeyArray, bucket_of, keys_of

__all__ = ["Responses", "repeats"]

_MISSING = 0x5BD1E995  # the key of a response without a name: two such of a prompt are one, as in one file


@dataclass(frozen=True, eq=False)
class Responses(SameFields):
    """What names the responses of prompts.

    Attributes
    ----------
    prompts : array of uint64 (prompts,)
        Keys of prompts, each once and rising.
    sizes : array of int (prompts,)
        Responses of each.
    samples : array of uint64 (responses,)
        Keys of these, rising within a prompt.

    Examples
    --------
    >>> one = Responses.of(pa.array(["a", "b"]), np.array([2, 1]), pa.array([0, 1, 0]))
    >>> two = Responses.of(pa.array(["b"]), np.array([2]), pa.array([0, 1]))
    >>> count, prompt, parts = repeats([one, two])
    >>> count, bool(prompt == keys_of(pa.array(["b"]))[0]), parts
    (1, True, (0, 1))
    """

    prompts: KeyArray
    sizes: IntArray
    samples: KeyArray

    @classmethod
    def of(cls, prompts: pa.Array, sizes: IntArray, samples: pa.Array) -> Responses:
        """Return those of runs of rows, with a name in each row.

        Parameters
        ----------
        prompts : Array (runs,)
            The prompt of each run.
        sizes : array of int (runs,)
            Its rows.
        samples : Array (rows,)
            The names.
        """
        there = samples.is_valid().to_numpy(zero_copy_only=False)
        keys = np.full(len(samples), _MISSING, dtype=np.uint64)
        keys[there] = keys_of(samples.drop_null().dictionary_encode())
        return cls._sorted(np.repeat(keys_of(prompts), sizes), keys)

    @classmethod
    def joined(cls, several: Sequence[Responses]) -> Responses:
        """Return all of several.

        Parameters
        ----------
        several : sequence of Responses
            Which may share prompts.
        """
        prompts = np.concatenate([np.repeat(one.prompts, one.sizes) for one in several])
        return cls._sorted(prompts, np.concatenate([one.samples for one in several]))

    @classmethod
    def _sorted(cls, prompts: KeyArray, samples: KeyArray) -> Responses:
        order = np.argsort(prompts, kind="stable")
        distinct, sizes = np.unique(prompts, return_counts=True)
        return cls(distinct, sizes.astype(np.int64), samples[order])

    def split(self, bits: int) -> list[pa.RecordBatch]:
        """Return them by ranges of prompts' keys, a batch each.

        Parameters
        ----------
        bits : int
            There are 2^bits ranges.
        """
        ends = np.searchsorted(bucket_of(self.prompts, bits), np.arange((1 << bits) + 1))
        places = np.concatenate([[0], np.cumsum(self.sizes)])
        found = []
        for low, high in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            offsets = pa.array(places[low : high + 1] - places[low])
            samples = pa.array(self.samples[places[low] : places[high]])
            lists = pa.LargeListArray.from_arrays(offsets, samples)
            found.append(pa.record_batch({"prompt": pa.array(self.prompts[low:high]), "samples": lists}))
        return found

    @classmethod
    def from_batch(cls, batch: pa.RecordBatch) -> Responses:
        """Return what `split` wrote.

        Parameters
        ----------
        batch : RecordBatch
            What was written.
        """
        lists = batch["samples"]
        sizes = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(batch["prompt"].to_numpy(), sizes, lists.flatten().to_numpy())


def repeats(parts: Sequence[Responses]) -> tuple[int, np.uint64, tuple[int, int]] | None:
    """Return how many responses repeat an earlier one, the prompt of the first, and the places of its two parts.

    Parameters
    ----------
    parts : sequence of Responses
        One for each part.

    Returns
    -------
    count : int
        How many repeat an earlier one.
    prompt : uint64
        Key of the prompt of the first.
    places : (int, int)
        Its two parts.
    """
    prompts = np.concatenate([np.repeat(one.prompts, one.sizes) for one in parts])
    samples = np.concatenate([one.samples for one in parts])
    pairs = hashed(prompts ^ hashed(samples, 1), 2)
    ordered = np.sort(pairs)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    order = np.lexsort((samples, prompts))  # stable: parts in their order
    same = (np.diff(prompts[order]) == 0) & (np.diff(samples[order]) == 0)
    again = np.flatnonzero(same)
    if not again.size:  # two pairs of one hash
        return None
    which = np.repeat(np.arange(len(parts)), [len(one.samples) for one in parts])
    first = int(again[0])
    two = (int(which[order[first]]), int(which[order[first + 1]]))
    return int(again.size), prompts[order[first]], two
