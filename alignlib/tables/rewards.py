"""The table of rewards: many prompts, several sampled responses each, one or more reward columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray, as_float_array, require
from alignlib._core.errors import InputError
from alignlib.tables.long_layout import long_samples
from alignlib.tables.reading import open_table_file
from alignlib.tables.wide_layout import wide_samples

__all__ = [
    "RewardTable",
]


@dataclass(frozen=True)
class RewardTable:
    """Rewards of sampled responses, rows grouped by prompt.

    Prompt ``i`` owns rows ``offsets[i]:offsets[i + 1]`` of every column. ``dropped`` counts the samples left out
    for want of a finite reward, and ``notes`` says in sentences what was left out or averaged over.

    >>> table = RewardTable.from_arrays([[0.0, 1.0, 1.0], [2.0, 0.5]])
    >>> table.n_prompts, table.n_samples.tolist()
    (2, [3, 2])
    >>> [block.tolist() for _, block in table.blocks("reward")]
    [[[2.0, 0.5]], [[0.0, 1.0, 1.0]]]
    """

    prompts: npt.NDArray[np.object_]
    offsets: IntArray
    columns: Mapping[str, FloatArray]
    dropped: int = 0
    notes: tuple[str, ...] = ()

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    @property
    def n_samples(self) -> IntArray:
        """Number of samples of each prompt, shape (n_prompts,)."""
        return np.diff(self.offsets)

    def column(self, name: str) -> FloatArray:
        """Rewards of all samples, shape (n_samples.sum(),), prompts one after another."""
        if name not in self.columns:
            names = ", ".join(repr(other) for other in self.columns)
            raise InputError(f"The table has no reward {name!r}; it was read with {names}.", column=name)
        return self.columns[name]

    def blocks(self, column: str) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield (prompt positions, rewards of shape (prompts, samples)) for each number of samples."""
        values = self.column(column)
        sizes = self.n_samples
        different = np.unique(sizes)
        if different.size == 1:  # a rectangle already: no copy
            yield np.arange(self.n_prompts), values.reshape(self.n_prompts, int(different[0]))
            return
        for size in different:
            where = np.flatnonzero(sizes == size)
            rows = self.offsets[where][:, None] + np.arange(size)
            yield where, values[rows]

    def with_mean(self, name: str, columns: Sequence[str]) -> RewardTable:
        """Return the table with one more reward: the mean of ``columns``, such as an ensemble of verifiers.

        >>> table = RewardTable.from_arrays([[0.0, 1.0], [2.0, 4.0]])
        >>> table.with_mean("same", ["reward", "reward"]).columns["same"].tolist()
        [0.0, 1.0, 2.0, 4.0]
        """
        require(len(columns) > 0, f"columns must name at least one reward to average; got {columns!r}.")
        if name in self.columns:
            raise InputError(f"name={name!r} is a reward of the table already; choose another.", column=name)
        total = np.zeros(int(self.offsets[-1]))
        for column in columns:
            total += self.column(column)
        return replace(self, columns={**self.columns, name: total / len(columns)})

    def constant_prompts(self, column: str) -> npt.NDArray[np.bool_]:
        """Tell for each prompt whether all its samples have one reward, shape (n_prompts,)."""
        values = self.column(column)
        starts = self.offsets[:-1]
        same: npt.NDArray[np.bool_] = np.maximum.reduceat(values, starts) == np.minimum.reduceat(values, starts)
        return same

    def check_varies(self, column: str, what: str = "reward") -> int:
        """Return on how many prompts the reward is constant, or raise where that is all of them; ``what`` it is called.

        Raises
        ------
        InputError
            Where no prompt has two different rewards: no method can gain anything over the base model.
        """
        constant = int(self.constant_prompts(column).sum())
        if constant == self.n_prompts:
            raise InputError(
                f"{what} {column!r} is constant within each of the {self.n_prompts} prompts, so there is nothing to "
                f"gain; choose a {what} that tells the samples of a prompt apart.",
                column=column,
            )
        return constant

    @classmethod
    def from_arrays(cls, rewards: Sequence[npt.ArrayLike] | npt.ArrayLike, name: str = "reward") -> RewardTable:
        """Build a table from one array of rewards per prompt (a 2-D array, or a ragged list)."""
        if isinstance(rewards, np.ndarray) and rewards.ndim == 2:
            values = as_float_array("rewards", rewards)
            sizes = np.full(values.shape[0], values.shape[1], dtype=np.int64)
        else:
            rows = [as_float_array(f"rewards[{i}]", row) for i, row in enumerate(rewards)]  # type: ignore[arg-type]
            flat = next((i for i, row in enumerate(rows) if row.ndim != 1), None)
            require(flat is None, f"rewards[{flat}] must be one-dimensional, the samples of one prompt.")
            sizes = np.array([row.size for row in rows], dtype=np.int64)
            values = np.concatenate(rows) if rows else np.empty(0)
        require(sizes.size > 0, "rewards must hold at least one prompt; got none.")
        require(
            sizes.min(initial=1) > 0,
            f"rewards must hold samples for each prompt; rewards[{sizes.argmin()}] is empty.",
        )
        return cls(
            prompts=np.arange(len(sizes)).astype(object),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            columns={name: values.reshape(-1)},
        )

    @classmethod
    def read(
        cls,
        path: str | Path,
        prompt: str = "prompt_id",
        reward: str | Sequence[str] = "reward",
        *,
        sample: str | None = None,
        wide: bool = False,
        drop_missing: bool = False,
        min_samples: int = 2,
    ) -> RewardTable:
        """Read rewards from CSV, TSV, JSON lines or Parquet, plain or gzipped.

        Parameters
        ----------
        path
            The file. Its extension tells the format: ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.parquet``,
            each also with ``.gz``.
        prompt
            Column that names the prompt, by integers or text. Its rows may lie anywhere in the file.
        reward
            One entry or several: a column, a pattern of columns (``score_*``; ``*`` is any text, ``?`` one
            character), or an average: ``mean:verifier_*`` needs every member, ``nanmean:verifier_*`` takes the
            members present. Each entry gives its name to the column of the table.
        sample
            Column that tells the samples of a prompt apart; a repeated (prompt, sample) is an error. Where none is
            named and the file has a column ``sample_id``, it is used.
        wide
            One row per prompt with the samples side by side. Each entry of ``reward`` is one reward: a pattern
            (``s*``) or a list (``s1,s2,s3``) of columns, which are its samples, or a column whose cells are lists.
            Several patterns pair up by what the wildcard stands for. Single names of columns that hold numbers are
            together the samples of one reward called ``reward``.
        drop_missing
            Go on without the samples that lack a prompt or a finite value of any reward asked for, missing or
            infinite alike. ``dropped`` counts them and ``notes`` says which.
        min_samples
            Fewest samples a prompt may have.

        Raises
        ------
        InputError
            With one sentence that says what is wrong, where, and what to do.
        """
        entries = list(dict.fromkeys([reward] if isinstance(reward, str) else reward))
        require(len(entries) > 0, f"reward must name at least one column; got {reward!r}.")
        file = open_table_file(path)
        samples = wide_samples(file, prompt, entries) if wide else long_samples(file, prompt, entries, sample)
        kept = samples.without_gaps(drop_missing)
        codes, prompts = kept.prompt_codes()
        sizes = np.bincount(codes, minlength=len(prompts))
        few = np.flatnonzero(sizes < min_samples)
        if few.size:
            hint = "" if wide or few.size < sizes.size else ", or pass wide=True (--wide) if they lie side by side"
            raise InputError(
                f"{few.size} of {sizes.size} prompts of {file.path} have fewer than {min_samples} samples, the first "
                f"{prompts[few[0]]!r} with {sizes[few[0]]}; sample more responses to them, or remove them{hint}.",
                column=prompt,
            )
        columns = dict(kept.rewards)
        if np.any(codes[1:] < codes[:-1]):  # bring the samples of a prompt together, in the order of the file
            order = np.argsort(codes, kind="stable")
            columns = {name: values[order] for name, values in columns.items()}
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(prompts, offsets, columns, samples.rows.size - kept.rows.size, kept.notes)
