"""A table owns its rewards: later changes of an array or a frame are not seen, and columns belong together."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from alignlib import InputError
from alignlib.estimation import fit_frontier
from alignlib.tables import RewardTable

IDS = np.repeat(np.arange(12), 8)
VALUES = np.random.default_rng(5).gamma(3.0, size=(12, 8))


def test_a_fit_does_not_see_its_array_change() -> None:
    given = VALUES.copy()
    fit = fit_frontier(given, n_boot=100)
    base, share = fit.base_reward, fit.share().gain
    given[:] *= 3.0
    assert fit.base_reward == base
    assert fit.share().gain.tolist() == share.tolist()


@pytest.mark.parametrize(
    "shape", [lambda x: x, list, lambda x: {"reward": x}, lambda x: x.T.copy().T, lambda x: x[::1]]
)
def test_no_memory_is_shared_with_arrays(shape: Callable[[Any], Any]) -> None:
    given = shape(VALUES.copy())
    column = RewardTable.from_arrays(given).column("reward")
    assert not any(np.may_share_memory(column, row) for row in (given["reward"] if isinstance(given, dict) else given))
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 0.0


def test_no_memory_is_shared_with_frames() -> None:
    given = VALUES.reshape(-1).copy()
    lent = pa.Array.from_buffers(pa.float64(), given.size, [None, pa.py_buffer(given)])
    for frame in (pa.table({"prompt_id": IDS, "reward": lent}), pl.DataFrame({"prompt_id": IDS, "reward": given})):
        column = RewardTable.from_frame(frame).column("reward")
        before = column.copy()
        given *= 2.0
        assert np.array_equal(column, before)


@pytest.mark.parametrize(
    ("offsets", "columns", "said"),
    [
        ([0, 2, 3], {"r": np.zeros(4)}, r"columns\['r'\] must hold a reward for each of 3 samples"),
        ([0, 2, 2], {"r": np.zeros(2)}, "offsets must rise"),
        ([1, 2, 3], {"r": np.zeros(3)}, "offsets must rise"),
        ([0, 3], {"r": np.zeros(3)}, "offsets must rise"),
        ([0, 1, 3], {}, "columns must hold"),
    ],
)
def test_what_does_not_belong_together_is_refused(offsets: list[int], columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        RewardTable(np.array(["a", "b"], dtype=object), np.array(offsets), columns)


def test_a_frame_is_no_array_of_rewards() -> None:
    frame = pd.DataFrame({"prompt_id": IDS, "reward": VALUES.reshape(-1)})
    for given in (frame, pa.table({"prompt_id": IDS, "reward": VALUES.reshape(-1)})):
        with pytest.raises(InputError, match=r"RewardTable\.from_frame"):
            RewardTable.from_arrays(given)
