"""What scoring jobs share: settings, and texts worked through shard by shard, so that a killed job goes on."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import quoted
from alignlib._core.same import SameFields
from alignlib.models.batching import in_batches, progress_bar
from alignlib.models.journal import Plan
from alignlib.models.loading import check_dtype
from alignlib.models.prompts import Prompt
from alignlib.models.resumable import Parts
from alignlib.models.texts import check_template

__all__ = ["ScoreSettings", "Scoring", "content_hash"]


@dataclass(frozen=True)
class ScoreSettings:
    """How to score; every field is an argument of `score` and an option of the command.

    Parameters
    ----------
    name : str, optional
        The new column is called ``reward_`` and this; by default after the scorer.
    label : str, optional
        Output that is the reward, by its label.
    output_index : int, optional
        Output that is the reward, by its number.
    value : str
        ``"raw"`` output, or its ``"log-prob"`` among the outputs.
    negate : bool
        Change the sign.
    layout : str
        How prompt and response are laid out: ``auto``, ``chat``, ``text`` or ``pair``.
    template : str, optional
        A text that holds ``{prompt}`` and ``{response}``, in place of a layout.
    prompt, response : str
        Columns of the table.
    device : str, optional
        Where to compute; a GPU if there is one.
    dtype : str, optional
        Number format; bfloat16 on a GPU, else float32.
    batch_size : int, optional
        Texts at once; guessed from the free memory if None.
    remote_code : bool
        Whether code that comes with the model may run.

    Raises
    ------
    InputError
        If ``name`` is no part of a file's name, ``value`` is none of these, or two settings exclude each other.

    Examples
    --------
    >>> ScoreSettings(name="brevity", negate=True).template is None
    True
    """

    name: str | None = None
    label: str | None = None
    output_index: int | None = None
    value: str = "raw"
    negate: bool = False
    layout: str = "auto"
    template: str | None = None
    prompt: str = "prompt"
    response: str = "response"
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    remote_code: bool = False

    def __post_init__(self) -> None:
        require(
            self.name is None or re.fullmatch(r"[^/\\\0]{1,100}", self.name) is not None,
            f"name must be part of the names of a column and a file, 1 to 100 characters, without slashes; "
            f"got {quoted(self.name, 200)}.",
            "name",
        )
        require(self.value in ("raw", "log-prob"), f"value must be 'raw' or 'log-prob'; got {self.value!r}.")
        check_template(self.template, ("{prompt}", "{response}"))
        check_dtype(self.dtype)
        require(self.label is None or self.output_index is None, "Give label or output_index, not both.")
        require(
            self.batch_size is None or self.batch_size >= 1, f"batch_size must be at least 1; got {self.batch_size}."
        )


@dataclass(eq=False)
class Scoring(ABC, SameFields):
    """A prepared job of one kind of scorer.

    Attributes
    ----------
    content : str
        Hash of prompts and responses.
    order : array of int (rows,)
        In which order rows are scored.
    say : callable
        Called with what was decided, in sentences.
    settings : ScoreSettings
        How to score.
    """

    content: str
    """Hash of prompts and responses."""
    order: IntArray
    """In which order rows are scored."""
    say: Callable[[str], None]
    settings: ScoreSettings

    @abstractmethod
    def identity(self) -> dict[str, object]:
        """Everything that decides the rewards."""

    @abstractmethod
    def metadata(self) -> dict[str, object]:
        """Say in the file where the column is from."""

    @abstractmethod
    def plan(self) -> Plan:
        """Choose what holds for the whole job, however often it is taken up again."""

    @abstractmethod
    def announced(self) -> str:
        """How scoring is announced."""

    @abstractmethod
    def work(self, rows: Sequence[int]) -> list[float]:
        """Score one batch.

        Parameters
        ----------
        rows : sequence of int
            Which rows of the table.

        Returns
        -------
        list of float
            A reward for each.
        """

    def run(self, parts: Parts) -> FloatArray:
        """Score the shards that are missing and return all rewards, in the order of the table.

        Parameters
        ----------
        parts : Parts
            What is finished, to which the rest is added.
        """
        earlier = parts.last_batch_size
        size = self.settings.batch_size or earlier or parts.plan["batch_size"]
        first = parts.n_done
        done = min(len(self.order), first * parts.shard_rows)
        if first:
            self.say(f"Going on from {parts.folder}: {done} of {len(self.order)} rewards are there.")
        if first < parts.n_shards:
            self.say(f"{self.announced()}, up to {size} responses at once.")
        with progress_bar(len(self.order), done) as bar:
            for shard in range(first, parts.n_shards):
                rows = self.order[parts.rows(shard).start : parts.rows(shard).stop]
                found, size = in_batches(rows.tolist(), size, self.work, self.say)
                table = pa.table({"reward": pa.array(found, pa.float64())})
                parts.write(shard, table.replace_schema_metadata({"batch_size": str(size)}))
                bar.update(len(found))
        rewards = np.empty(len(self.order))
        rewards[self.order] = np.concatenate([parts.read(i)["reward"].to_numpy() for i in range(parts.n_shards)])
        return rewards


def content_hash(prompts: Sequence[Prompt], responses: Sequence[str]) -> str:
    """Hash of what is scored.

    Parameters
    ----------
    prompts : sequence of prompts
        One for each row.
    responses : sequence of str
        One for each row.
    """
    digest = hashlib.sha256()
    for prompt, response in zip(prompts, responses, strict=True):
        digest.update(json.dumps([prompt, response]).encode())
    return digest.hexdigest()[:16]
