"""The table of rewards: many prompts, several sampled responses each, one or more reward columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._checks import FloatArray, IntArray, as_float_array

__all__ = ["RewardTable"]


@dataclass(frozen=True)
class RewardTable:
    """Rewards of sampled responses, rows grouped by prompt.

    Prompt ``i`` owns rows ``offsets[i]:offsets[i + 1]`` of every column.

    >>> table = RewardTable.from_arrays([[0.0, 1.0, 1.0], [2.0, 0.5]])
    >>> table.n_prompts, table.n_samples.tolist()
    (2, [3, 2])
    >>> [block.tolist() for _, block in table.blocks("reward")]
    [[[2.0, 0.5]], [[0.0, 1.0, 1.0]]]
    """

    prompts: npt.NDArray[np.object_]
    offsets: IntArray
    columns: Mapping[str, FloatArray]

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    @property
    def n_samples(self) -> IntArray:
        """Number of samples of each prompt, shape (n_prompts,)."""
        return np.diff(self.offsets)

    def blocks(self, column: str) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield (prompt positions, rewards of shape (prompts, samples)) for each number of samples."""
        sizes = self.n_samples
        values = self.columns[column]
        for size in np.unique(sizes):
            where = np.flatnonzero(sizes == size)
            rows = self.offsets[where][:, None] + np.arange(size)
            yield where, values[rows]

    @classmethod
    def from_arrays(cls, rewards: Sequence[npt.ArrayLike] | npt.ArrayLike, name: str = "reward") -> RewardTable:
        """Build a table from one array of rewards per prompt (a 2-D array, or a ragged list)."""
        rows = [as_float_array(f"rewards[{i}]", row) for i, row in enumerate(rewards)]  # type: ignore[arg-type]
        sizes = np.array([row.size for row in rows], dtype=np.int64)
        return cls(
            prompts=np.arange(len(rows)).astype(object),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            columns={name: np.concatenate(rows)},
        )
