"""The table of rewards reads the same from every format and layout."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignlib._core.errors import InputError
from alignlib.tables import RewardTable

FORMATS = ["csv", "tsv", "jsonl", "ndjson", "parquet"]


def write(frame, path):
    """Write a data frame in the format that the extension names."""
    name = path.name.removesuffix(".gz")
    plain = path.with_name(name)
    if name.endswith(".csv"):
        frame.to_csv(plain, index=False)
    elif name.endswith(".tsv"):
        frame.to_csv(plain, index=False, sep="\t")
    elif name.endswith(".parquet"):
        frame.to_parquet(plain)
    else:
        rows = [{k: v.item() if hasattr(v, "item") else v for k, v in row.items()} for row in frame.to_dict("records")]
        plain.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if path != plain:
        with plain.open("rb") as source, gzip.open(path, "wb") as target:
            shutil.copyfileobj(source, target)
        plain.unlink()
    return path


def as_dict(table, column):
    """Rewards by prompt, exact."""
    values = table.columns[column]
    bounds = table.offsets
    return {p: values[bounds[i] : bounds[i + 1]].tolist() for i, p in enumerate(table.prompts)}


LONG = pd.DataFrame(
    {
        "prompt_id": ["b", "a", "b", "a", "b"],
        "sample_id": [0, 0, 1, 1, 2],
        "reward": [0.1, -2.5, 1e-300, 3.0, 0.30000000000000004],
        "votes": [1, 2, 3, 4, 5],
        "right": [True, False, False, True, True],
        "response": ["x", 'says "no",\nthen stops', "", "é", "y"],
    }
)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_table(tmp_path, kind, suffix):
    table = RewardTable.read(write(LONG, tmp_path / f"t.{kind}{suffix}"), reward=["reward", "votes", "right"])
    assert table.prompts.tolist() == ["b", "a"]
    assert table.offsets.tolist() == [0, 3, 5]
    assert as_dict(table, "reward") == {"b": [0.1, 1e-300, 0.30000000000000004], "a": [-2.5, 3.0]}
    assert as_dict(table, "votes") == {"b": [1.0, 3.0, 5.0], "a": [2.0, 4.0]}
    assert as_dict(table, "right") == {"b": [1.0, 0.0, 1.0], "a": [0.0, 1.0]}
    assert (table.dropped, table.notes) == (0, ())
    assert all(values.dtype == np.float64 for values in table.columns.values())


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("kind", FORMATS)
def test_wide_layout_pairs_proxy_and_gold_by_the_wildcard(tmp_path, kind, suffix):
    frame = pd.DataFrame(
        {
            "prompt_id": [7, 3],
            "gold_1": [1, 0],
            "gold_0": [0, 0],
            "proxy_0": [0.5, 0.25],
            "proxy_1": [2.0, 4.0],
            "note": ["n", "m"],
        }
    )
    path = write(frame, tmp_path / f"w.{kind}{suffix}")
    table = RewardTable.read(path, reward=["proxy_*", "gold_?"], wide=True)
    assert table.prompts.tolist() == [7, 3]
    assert as_dict(table, "proxy_*") == {7: [0.5, 2.0], 3: [0.25, 4.0]}
    assert as_dict(table, "gold_?") == {7: [0.0, 1.0], 3: [0.0, 0.0]}
    named = RewardTable.read(path, reward=["proxy_0", "proxy_1"], wide=True)
    assert as_dict(named, "reward") == as_dict(table, "proxy_*")
    listed = RewardTable.read(path, reward=["proxy_0,proxy_1", "gold_0,gold_1"], wide=True)
    assert as_dict(listed, "gold_0,gold_1") == as_dict(table, "gold_?")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_wide_layout_takes_lists(tmp_path, kind):
    path = tmp_path / f"lists.{kind}"
    rows = {"prompt_id": ["p", "q"], "proxy": [[1.0, 2.0, 3.0], [0.5, 0.25]], "gold": [[0, 1, 1], [0, 0]]}
    if kind == "parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("".join(json.dumps({k: v[i] for k, v in rows.items()}) + "\n" for i in range(2)))
    table = RewardTable.read(path, reward=["proxy", "gold"], wide=True)
    assert as_dict(table, "proxy") == {"p": [1.0, 2.0, 3.0], "q": [0.5, 0.25]}
    assert as_dict(table, "gold") == {"p": [0.0, 1.0, 1.0], "q": [0.0, 0.0]}


rewards = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False).filter(lambda x: abs(x) < 2**53),
    st.integers(-(2**53), 2**53).map(float),
)
names = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5, unique=True),
    # A lone digit string is an integer in CSV and text in Parquet, so text names here start with a letter.
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=5).map(
            "q{}".format
        ),
        min_size=1,
        max_size=5,
        unique=True,
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), prompts=names, kind=st.sampled_from(FORMATS), zipped=st.booleans())
def test_random_ragged_tables_come_back_exactly(tmp_path, data, prompts, kind, zipped):
    wanted = {p: data.draw(st.lists(rewards, min_size=2, max_size=6)) for p in prompts}
    rows = [(p, r) for p, values in wanted.items() for r in values]
    order = data.draw(st.permutations(range(len(rows))))
    by_order = [rows[i] for i in order]
    frame = pd.DataFrame({"id": [p for p, _ in by_order], "score": [r for _, r in by_order]})
    path = write(frame, tmp_path / f"t.{kind}{'.gz' if zipped else ''}")
    table = RewardTable.read(path, prompt="id", reward="score")
    assert table.prompts.tolist() == list(dict.fromkeys(p for p, _ in by_order))
    expected = {p: [r for q, r in by_order if q == p] for p in prompts}
    assert as_dict(table, "score") == expected
    assert table.n_samples.sum() == len(rows)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 5).flatmap(
        lambda k: st.lists(st.lists(rewards, min_size=k + 1, max_size=k + 1), min_size=1, max_size=5)
    ),
    st.sampled_from(FORMATS),
)
def test_wide_and_long_are_one_table(tmp_path, matrix, kind):
    values = np.array(matrix)
    wide = pd.DataFrame(values, columns=[f"s{i}" for i in range(values.shape[1])]).assign(prompt_id=range(len(values)))
    long = pd.DataFrame({"prompt_id": np.repeat(np.arange(len(values)), values.shape[1]), "s": values.reshape(-1)})
    from_wide = RewardTable.read(write(wide, tmp_path / f"w.{kind}"), reward="s*", wide=True)
    from_long = RewardTable.read(write(long, tmp_path / f"l.{kind}"), reward="s")
    assert as_dict(from_wide, "s*") == as_dict(from_long, "s")


def test_text_identifiers_keep_their_spelling(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("prompt_id,reward\n007,1\n7,2\n007,3\n7,4\n")
    assert as_dict(RewardTable.read(path), "reward") == {"007": [1.0, 3.0], "7": [2.0, 4.0]}
    path.write_text("prompt_id,reward\nNA,1\nNA,2\n7,2\n7,4\n")
    with pytest.raises(InputError, match=r"'prompt_id' in 2 \('NA' counts as missing in CSV\)"):
        RewardTable.read(path)
    table = RewardTable.read(path, drop_missing=True)
    assert as_dict(table, "reward") == {7: [2.0, 4.0]}
    path = path.with_suffix(".jsonl")  # a file that knows null
    path.write_text('{"prompt_id": "NA", "reward": 1}\n{"prompt_id": "NA", "reward": 2}\n')
    assert as_dict(RewardTable.read(path), "reward") == {"NA": [1.0, 2.0]}


def test_dates_in_json_keep_their_spelling(tmp_path):
    path = tmp_path / "t.jsonl"
    lines = [("2024-01-01", 1), ("2024-01-01 00:00:00", 2), ("2024-01-01", 3), ("2024-01-01 00:00:00", 4)]
    path.write_text("".join(json.dumps({"prompt_id": p, "reward": r}) + "\n" for p, r in lines))
    assert as_dict(RewardTable.read(path), "reward") == {"2024-01-01": [1.0, 3.0], "2024-01-01 00:00:00": [2.0, 4.0]}


def test_a_type_that_changes_late_in_the_file_is_no_surprise(tmp_path):
    path = tmp_path / "late.csv"
    n = 1_500_000  # past the block a reader would guess types from
    with path.open("w") as file:
        file.write("prompt_id,reward\n")
        file.writelines("1,0\n" for _ in range(n))
        file.write("a,0.5\na,0.25\n")
    table = RewardTable.read(path)
    assert table.prompts.tolist() == ["1", "a"]
    assert table.columns["reward"][-2:].tolist() == [0.5, 0.25]
    assert table.n_samples.tolist() == [n, 2]


def test_json_columns_nobody_asks_for_may_be_anything(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"prompt_id": 1, "reward": 1, "meta": "x"}\n\n{"prompt_id": 1, "reward": 0.5, "meta": {"a": [1]}}\n'
    )
    assert as_dict(RewardTable.read(path), "reward") == {1: [1.0, 0.5]}


@pytest.mark.parametrize("text", ["True", "true", "TRUE"])
def test_truth_values_in_text(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(f"prompt_id,reward\n1,{text}\n1,false\n")
    assert as_dict(RewardTable.read(path), "reward") == {1: [1.0, 0.0]}


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffprompt_id,reward\r\n1, 2 \r\n1,3\r\n".encode())
    assert as_dict(RewardTable.read(path), "reward") == {1: [2.0, 3.0]}


def test_categories_in_parquet(tmp_path):
    frame = pd.DataFrame({"prompt_id": pd.Categorical(["x", "y", "x", "y"]), "reward": np.float32([0.5, 1, 2, 3])})
    assert as_dict(RewardTable.read(write(frame, tmp_path / "t.parquet")), "reward") == {"x": [0.5, 2.0], "y": [1, 3]}


def test_names_with_wildcards_in_them_are_names_first(tmp_path):
    frame = pd.DataFrame({"prompt_id": [1, 1], "a*": [1.0, 2.0], "ab": [3.0, 4.0], "mean:ab": [5.0, 6.0]})
    path = write(frame, tmp_path / "t.csv")
    assert set(RewardTable.read(path, reward="a*").columns) == {"a*"}
    assert as_dict(RewardTable.read(path, reward="mean:ab"), "mean:ab") == {1: [5.0, 6.0]}
    assert set(RewardTable.read(path, reward=["a?", "*b"]).columns) == {"a*", "ab", "mean:ab"}


def test_patterns_leave_out_prompt_and_sample(tmp_path):
    path = write(LONG.drop(columns=["response"]), tmp_path / "t.csv")
    assert list(RewardTable.read(path, reward="*").columns) == ["reward", "votes", "right"]


GAPS = pd.DataFrame(
    {
        "prompt_id": [1, 1, 1, 2, 2, 2],
        "v_0": [1.0, np.nan, 3.0, 4.0, 5.0, 6.0],
        "v_1": [3.0, 5.0, np.nan, 0.0, 1.0, np.inf],
        "gold": [1, 0, 1, 0, 1, 1],
    }
)


def test_means_need_every_member_unless_asked_otherwise(tmp_path):
    path = write(GAPS.iloc[:5], tmp_path / "t.parquet")
    strict = RewardTable.read(path, reward=["mean:v_*", "gold"], drop_missing=True, min_samples=1)
    assert as_dict(strict, "mean:v_*") == {1: [2.0], 2: [2.0, 3.0]}
    assert strict.dropped == 2
    present = RewardTable.read(path, reward=["nanmean:v_0,v_1", "gold"])
    assert as_dict(present, "nanmean:v_0,v_1") == {1: [2.0, 5.0, 3.0], 2: [2.0, 3.0]}
    assert present.dropped == 0
    assert present.notes == ("'nanmean:v_0,v_1' averages the members present; 2 of 10 values are missing.",)
    with pytest.raises(InputError, match=r"2 of 5 samples .*'mean:v_\*' in 2; rows 2, 3 .*'nanmean:v_\*'"):
        RewardTable.read(path, reward="mean:v_*")


def test_dropping_is_counted_and_said(tmp_path):
    path = write(GAPS, tmp_path / "t.csv")
    table = RewardTable.read(path, reward=["v_0", "v_1"], drop_missing=True, min_samples=1)
    assert as_dict(table, "v_0") == {1: [1.0], 2: [4.0, 5.0]}
    assert as_dict(table, "v_1") == {1: [3.0], 2: [0.0, 1.0]}
    assert table.dropped == 3
    (note,) = table.notes
    assert "Dropped: 3 of 6 samples" in note
    assert "'v_0' in 1, 'v_1' in 2 (1 infinite); rows 3, 4, 7 (the header is row 1)" in note


def test_prompts_that_vanish_are_said(tmp_path):
    frame = pd.DataFrame({"prompt_id": [1, 1, 2, 2], "reward": [np.nan, np.nan, 1.0, 2.0]})
    table = RewardTable.read(write(frame, tmp_path / "t.csv"), drop_missing=True)
    assert table.prompts.tolist() == [2]
    assert "1 prompts have no samples left and are gone" in table.notes[0]


def test_wide_gaps_make_a_ragged_table(tmp_path):
    frame = pd.DataFrame({"prompt_id": ["a", "b"], "s0": [1.0, 2.0], "s1": [3.0, np.nan], "s2": [5.0, 6.0]})
    table = RewardTable.read(write(frame, tmp_path / "t.csv"), reward="s*", wide=True, drop_missing=True)
    assert as_dict(table, "s*") == {"a": [1.0, 3.0, 5.0], "b": [2.0, 6.0]}
    assert table.dropped == 1


def test_constant_rewards():
    table = RewardTable.from_arrays([[1.0, 1.0], [0.0, 1.0], [2.0, 2.0, 2.0]])
    assert table.constant_prompts("reward").tolist() == [True, False, True]
    assert table.check_varies("reward") == 2
    flat = RewardTable.from_arrays(correct=[[1.0, 1.0], [0.0, 0.0]])
    with pytest.raises(InputError, match=r"'correct' is constant within each of the 2 prompts.*nothing to gain"):
        flat.check_varies("correct")


def test_blocks_cover_every_sample_once():
    table = RewardTable.from_arrays([[1.0, 2.0], [3.0], [4.0, 5.0]])
    seen = {
        int(p): row.tolist() for where, block in table.blocks("reward") for p, row in zip(where, block, strict=True)
    }
    assert seen == {0: [1.0, 2.0], 1: [3.0], 2: [4.0, 5.0]}
    square = RewardTable.from_arrays(np.arange(6.0).reshape(2, 3))
    ((where, block),) = square.blocks("reward")
    assert where.tolist() == [0, 1]
    assert block.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.shares_memory(block, square.columns["reward"])


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ([], "at least one prompt"),
        (np.empty((0, 3)), "at least one prompt"),
        ([[1.0], []], r"rewards\[1\] is empty"),
        ([[1.0], [[2.0]]], r"rewards\[1\] must be one-dimensional"),
        ([[1.0, np.nan]], r"rewards\[0\] must be finite"),
        ([1.0, 2.0], "rewards must say which prompt each reward belongs to"),
    ],
)
def test_from_arrays_refuses(rewards, message):
    with pytest.raises(ValueError, match=message):
        RewardTable.from_arrays(rewards)


def test_a_million_rows_group_as_pandas_groups_them(tmp_path):
    rng = np.random.default_rng(0)
    n = 1_000_000
    frame = pd.DataFrame({"prompt_id": rng.integers(0, 20_000, n), "reward": rng.normal(size=n)})
    path = tmp_path / "large.parquet"
    frame.to_parquet(path)
    table = RewardTable.read(path)
    grouped = frame.groupby("prompt_id", sort=False)["reward"]
    assert table.n_prompts == grouped.ngroups
    np.testing.assert_array_equal(table.n_samples, grouped.size().to_numpy())
    np.testing.assert_array_equal(
        np.maximum.reduceat(table.columns["reward"], table.offsets[:-1]), grouped.max().to_numpy()
    )
    np.testing.assert_array_equal(table.columns["reward"][table.offsets[:-1]], grouped.first().to_numpy())
