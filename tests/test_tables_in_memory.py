"""Tables from arrays and data frames hold what the same rewards in a file give."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from alignlib._core.errors import InputError
from alignlib.tables import RaterTable, RewardTable

ROWS = {
    "question": ["b", "a", "b", "a", "c", "c", "c"],
    "proxy": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.5],
    "gold": [0, 1, 0, 1, 1, 0, 0],
}


def frames() -> list[Any]:
    return [pd.DataFrame(ROWS, index=list("abcdefg")), pl.DataFrame(ROWS), pl.LazyFrame(ROWS), pa.table(ROWS)]


def same(one: RewardTable, other: RewardTable) -> bool:
    return (
        one.prompts.tolist() == other.prompts.tolist()
        and np.array_equal(one.offsets, other.offsets)
        and {k: v.tolist() for k, v in one.columns.items()} == {k: v.tolist() for k, v in other.columns.items()}
    )


def test_frames_arrays_and_files_give_one_table(tmp_path: Path) -> None:
    pa_csv.write_csv(pa.table(ROWS), tmp_path / "t.csv")
    want = RewardTable.read(tmp_path / "t.csv", prompt="question", reward=["proxy", "gold"])
    for frame in frames():
        assert same(RewardTable.from_frame(frame, prompt="question", reward=["proxy", "gold"]), want), type(frame)
    by_prompt = {
        name: [[ROWS[name][i] for i in at] for at in ([0, 2], [1, 3], [4, 5, 6])] for name in ("proxy", "gold")
    }
    assert same(RewardTable.from_arrays(**by_prompt, prompts=["b", "a", "c"]), want)
    assert same(RewardTable.from_arrays(by_prompt, prompts=np.array(["b", "a", "c"])), want)


def test_a_frame_may_lie_wide_and_have_numbers_for_names() -> None:
    frame = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    frame["id"] = [10, 11]
    table = RewardTable.from_frame(frame, "id", "0,1,2", wide=True)
    assert table.columns["0,1,2"].tolist() == [0, 1, 2, 3, 4, 5]
    lists = pa.table({"id": [1, 2], "r": [[1.0, 2.0], [3.0, 4.0, 5.0]]})
    assert RewardTable.from_frame(lists, "id", "r", wide=True).n_samples.tolist() == [2, 3]


def test_a_frame_says_what_is_wrong_with_it() -> None:
    bad = pd.DataFrame({"id": [0, 0, 1, 1], "r": [1.0, float("nan"), 2.0, 3.0], "mixed": [1, "a", 2.5, None]})
    with pytest.raises(InputError, match=r"1 of 4 samples of the data frame .*row 1 \(the first is row 0\)") as caught:
        RewardTable.from_frame(bad, "id", "r")
    assert caught.value.rows == (1,)
    assert RewardTable.from_frame(bad, "id", "r", drop_missing=True, min_samples=1).dropped == 1
    with pytest.raises(InputError, match="the data frame has no column 'reward'"):
        RewardTable.from_frame(bad, "id")
    with pytest.raises(InputError, match="column 'mixed' of the data frame cannot be read"):
        RewardTable.from_frame(bad, "id", "mixed")
    with pytest.raises(InputError, match=r"frame must be a data frame .*; got dict"):
        RewardTable.from_frame({"id": [0]}, "id", "r")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="frame has columns that cannot be told apart"):
        RewardTable.from_frame(pd.concat([bad, bad], axis=1), "id", "r")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RewardTable.from_arrays(), r"from_arrays\(proxy=…, gold=…\)"),
        (lambda: RewardTable.from_arrays(3.0), "rewards must hold an array of rewards for each prompt; got 3.0"),
        (lambda: RewardTable.from_arrays("abc"), "rewards must hold an array"),
        (lambda: RewardTable.from_arrays([1.0, 2.0]), "which prompt each reward belongs to; got 2 in one row"),
        (lambda: RewardTable.from_arrays([[1.0], 2.0]), r"rewards\[1\] must be one-dimensional"),
        (lambda: RewardTable.from_arrays({"a": [[1.0]]}, a=[[2.0]]), "a is given twice"),
        (lambda: RewardTable.from_arrays(a=[[1.0]], b=[[1.0], [2.0]]), "a and b must score .* 1 and 2 prompts"),
        (lambda: RewardTable.from_arrays(a=[[1.0, 2]], b=[[1.0]]), "must score .* 2 and 1 samples of prompt 0"),
        (lambda: RewardTable.from_arrays(a=[[1.0]], b=[[np.inf]]), r"b\[0\] must be finite"),
        (lambda: RewardTable.from_arrays([[1.0], [2.0]], prompts=["x", "x"]), r"prompts must .* 1 different"),
        (lambda: RewardTable.from_arrays([[1.0], [2.0]], prompts=["x"]), r"prompts must hold a name"),
    ],
)
def test_arrays_that_are_no_table_are_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_ratings_from_arrays_frames_and_files_are_one_table(tmp_path: Path) -> None:
    rows = {"shown": ["cat", "dog", "cat", "dog"], "said": [1, 0, 0, 0], "who": ["x", "y", "y", "x"]}
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "t.csv", index=False)
    read = RaterTable.read(tmp_path / "t.csv", "shown", "said", rater="who")
    for table in (
        RaterTable.from_frame(frame, "shown", "said", rater="who"),
        RaterTable.from_arrays(rows["shown"], np.array(rows["said"]), rater=rows["who"]),
    ):
        assert (table.targets, table.labels, table.raters) == (read.targets, read.labels, read.raters)
        assert np.array_equal(table.counts(rater=1), read.counts(rater=1))
    with pytest.raises(InputError, match="label must hold one number or text per label given, 2"):
        RaterTable.from_arrays([0, 1], [0])
    with pytest.raises(InputError, match="1 of 3 rows of the arrays lack"):
        RaterTable.from_arrays([0, 1, 1], [0.0, 1.0, np.nan])


def test_a_gap_in_ratings_is_spelt_as_in_rewards(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("target,label\na,1\nb,#N/A\nb,0\nb,<na>\n")
    with pytest.raises(
        InputError, match=r"2 of 4 rows .*: 'label' in 2 \('#N/A' .*; rows 3, 5 \(the header is row 1\)"
    ):
        RaterTable.read(tmp_path / "t.csv")
    table = RaterTable.read(tmp_path / "t.csv", drop_missing=True)
    assert table.counts().tolist() == [[[0.0, 1.0], [1.0, 0.0]]]
    assert table.notes[0] == "2 of 4 rows were left out for want of a value."
    assert table.notes[1].startswith("'#N/A' in column 'label' is read as a missing value")
