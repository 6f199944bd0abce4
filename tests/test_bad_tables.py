"""Each unusable table gives one sentence that names the argument, the value and the remedy."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignlib._core.errors import InputError
from alignlib.tables import RewardTable, open_table_file

GOOD = "prompt_id,reward\n1,0.5\n1,1.5\n2,0\n2,1\n"


def refuse(path, *parts, **arguments):
    """Assert that reading fails, names every part, ends its sentence, and leaves the folder as it was."""
    before = sorted(os.listdir(path.parent)) if path.parent.is_dir() else None
    with pytest.raises(InputError) as caught:
        RewardTable.read(path, **arguments)
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert message[-1] in ".?"
    assert "\n" not in message
    assert isinstance(caught.value, ValueError)
    if before is not None:
        assert sorted(os.listdir(path.parent)) == before
    return caught.value


def text(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(tmp_path, *records):
    return text(tmp_path, "".join(json.dumps(record) + "\n" for record in records), "t.jsonl")


# -- the file


def test_no_such_file_suggests_the_nearest(tmp_path):
    text(tmp_path, GOOD, "rewards.csv")
    refuse(tmp_path / "reward.csv", "There is no file", "reward.csv", "did you mean 'rewards.csv'?")
    refuse(tmp_path / "zzz.parquet", "There is no file", "check the path")
    refuse(tmp_path / "nowhere" / "t.csv", "its folder does not exist", "check the path")
    refuse(Path("https://nowhere.example/t.csv"), "https://nowhere.example/t.csv is an address", "fetch it")


def test_folder_instead_of_file(tmp_path):
    text(tmp_path, GOOD, "rewards.csv")
    refuse(tmp_path, "is a folder", "name a file ('rewards.csv')")
    text(tmp_path, GOOD, "more.csv")
    refuse(tmp_path, "is a folder", "join its parts to one, or name the table ('more.csv', 'rewards.csv')")
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", "is a folder", "it holds no table")


def test_pipe_instead_of_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    refuse(tmp_path / "pipe.csv", "neither a file nor a folder", "write the table to a file first")


def test_a_file_of_the_system_that_waits(tmp_path, monkeypatch):
    """As /proc/kmsg does, which says that it is empty."""
    (tmp_path / "log.csv").touch()
    refuse(tmp_path / "log.csv", "is empty")
    given = [b"a", None]

    def read(*_):
        if (part := given.pop(0)) is None:
            raise BlockingIOError
        return part

    monkeypatch.setattr(os, "read", read)
    refuse(tmp_path / "log.csv", "is waited for, as a pipe is; write the table to a file first")


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.gz", "t.zip"])
def test_unknown_extension_lists_the_known(tmp_path, name):
    refuse(
        text(tmp_path, GOOD, name),
        "unknown extension",
        ".csv, .tsv, ",
        ".jsonl, .ndjson, .json, ",
        "with .gz",
        "convert",
    )
    refuse(text(tmp_path, GOOD, "t.csv.zip"), "t.csv.zip is a table packed in a way that is not read here; unpack it")
    refuse(text(tmp_path, GOOD, "t.npz"), "unknown extension '.npz'", "save one array of it with numpy.save, as .npy")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.csv.gz", "t.parquet.gz"])
def test_empty_file(tmp_path, name):
    refuse(text(tmp_path, b"", name), "is empty", "give a table")
    if name.endswith(".gz"):
        refuse(text(tmp_path, gzip.compress(b""), name), "is empty")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_blank_file(tmp_path, name):
    refuse(text(tmp_path, "\n\n", name), "is empty", "give a table")


@pytest.mark.parametrize("content", ["prompt_id,reward", "prompt_id,reward\n", "prompt_id,reward\n\n"])
def test_header_only(tmp_path, content):
    refuse(text(tmp_path, content), "has a header but no rows", "give samples of each prompt")


def test_parquet_without_rows(tmp_path):
    pd.DataFrame({"prompt_id": [], "reward": []}).to_parquet(tmp_path / "t.parquet")
    refuse(tmp_path / "t.parquet", "has a header but no rows")


def test_not_utf8(tmp_path):
    refuse(text(tmp_path, GOOD.encode("utf-16-le")), "is not UTF-8", "save it as UTF-8")
    refuse(text(tmp_path, "prompt_id,reward\né,1\né,2\n".encode("latin-1")), "is not UTF-8", "save it as UTF-8")
    refuse(text(tmp_path, "é,reward\n1,1\n".encode("latin-1")), "is not UTF-8", "save it as UTF-8")
    refuse(
        text(tmp_path, '{"prompt_id": "é", "reward": 1}\n'.encode("latin-1"), "t.jsonl"),
        "is not UTF-8",
        "save it as UTF-8",
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from(["parquet", "csv.gz", "jsonl.gz"]))
def test_truncated_files(tmp_path, data, kind):
    frame = pd.DataFrame(
        {"prompt_id": np.repeat(np.arange(50), 4), "reward": np.random.default_rng(0).normal(size=200)}
    )
    whole = tmp_path / f"whole.{kind}"
    if kind == "parquet":
        frame.to_parquet(whole)
    elif kind == "csv.gz":
        frame.to_csv(whole, index=False)
    else:
        frame.to_json(whole, orient="records", lines=True)
    content = whole.read_bytes()
    cut = data.draw(st.integers(1, len(content) - 1))
    what = "Parquet" if kind == "parquet" else "gzip"
    refuse(text(tmp_path, content[:cut], f"cut.{kind}"), f"is not a whole {what} file", "again")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_corrupt_parquet_gives_no_other_error(tmp_path, data):
    frame = pd.DataFrame({"prompt_id": np.repeat([f"é{i}" for i in range(50)], 4), "reward": np.arange(200.0)})
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    for i in range(start, min(start + data.draw(st.integers(1, 64)), len(content))):
        content[i] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(InputError):  # damage in a page without a checksum cannot be seen
        RewardTable.read(path)


def test_plain_text_named_parquet_or_gzip(tmp_path):
    refuse(text(tmp_path, GOOD, "t.parquet"), "is not a whole Parquet file", "copy or write it again")
    refuse(text(tmp_path, GOOD, "t.csv.gz"), "is not a whole gzip file", "copy or compress it again")


def test_gzip_is_known_by_its_content(tmp_path):
    assert RewardTable.read(text(tmp_path, gzip.compress(GOOD.encode()))).n_prompts == 2


def test_wrong_separator(tmp_path):
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars"), (" ", "spaces")):
        path = text(tmp_path, GOOD.replace(",", separator))
        table = RewardTable.read(path)
        assert table.column("reward").tolist() == [0.5, 1.5, 0.0, 1.0]
        assert table.notes == (f"{path} is separated by {name}.",)
        if separator != " ":  # text has spaces
            path = text(tmp_path, GOOD.replace(",", separator) + f"3{separator}1{separator}2\n")
            refuse(path, "promises commas", name)
    assert RewardTable.read(text(tmp_path, GOOD, "t.tsv")).n_prompts == 2


def test_ragged_row(tmp_path):
    refuse(text(tmp_path, GOOD + "3,1,9\n"), "has 3 cells in row 6 (line 6)", "the header has 2", "quote a text")


def test_quotation_mark_without_its_pair(tmp_path):
    content = 'prompt_id,reward,response\n1,1,a\n1,2,"b\n2,3,c\n2,4,d\n'
    assert refuse(text(tmp_path, content), "quotation mark without its pair", "line 3", "close it").rows == (2,)
    odd_but_closed = 'prompt_id,reward,response\n1,1,5" screen\n1,2,b\n'
    assert RewardTable.read(text(tmp_path, odd_but_closed)).n_samples.tolist() == [2]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('[{"prompt_id": 1}]\n', ["line 1 holds an array", "one object per line"]),
        ('{"prompt_id": 1, "reward": 1}\n{"prompt_id": 1, "rew', ["line 2 does not parse", "correct it to one object"]),
        ('{"prompt_id": 1}\n\n7\n', ["line 3 holds a number", "one object per line"]),
        ('{"prompt_id": 1, "reward": 1, "reward": 2}\n', ["line 1", "'reward' comes twice"]),
    ],
)
def test_not_json_lines(tmp_path, content, parts):
    refuse(text(tmp_path, content, "t.jsonl"), "is not JSON lines", *parts)


# -- columns


def test_missing_column_suggests_the_nearest_and_lists_all(tmp_path):
    path = text(tmp_path, GOOD)
    error = refuse(
        path, "no column 'rewrad' (reward)", "did you mean 'reward'?", "'prompt_id', 'reward'", reward="rewrad"
    )
    assert error.column == "rewrad"
    refuse(path, "no column 'Prompt_ID' (prompt)", "did you mean 'prompt_id'?", prompt="Prompt_ID")
    refuse(
        path, "no column 'sampel' (sample)", "it has 'prompt_id', 'reward'. Name one of these, or add", sample="sampel"
    )
    refuse(path, "no column 'x' (reward)", reward=["reward", "x"])
    refuse(path, "no column 'x' (reward)", reward="mean:reward,x")
    refuse(path, "no column 'prompt' (prompt)", "did you mean 'prompt_id'?", prompt="prompt", wide=True)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_missing_column_in_other_formats(tmp_path, kind):
    frame = pd.DataFrame({"prompt": [1, 1], "reward": [0.0, 1.0]})
    path = tmp_path / f"t.{kind}"
    frame.to_parquet(path) if kind == "parquet" else frame.to_json(path, orient="records", lines=True)
    refuse(path, "no column 'prompt_id' (prompt)", "did you mean 'prompt'?")


def test_many_columns_are_not_all_listed(tmp_path):
    header = ",".join(f"c{i}" for i in range(100))
    refuse(text(tmp_path, header + "\n"), "'c39' and 60 more")


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("reward", ["score_*", "mean:score_*", "x?"])
def test_a_pattern_without_a_match(tmp_path, reward, wide):
    path = text(tmp_path, GOOD)
    if wide and reward.startswith("mean:"):
        reward = "score*"
    refuse(path, "No column of", reward.removeprefix("mean:"), "* is any text", "'reward'", reward=reward, wide=wide)


def test_duplicate_column_names(tmp_path):
    path = text(tmp_path, "prompt_id,reward,reward,x,x\n1,0,1,2,3\n1,1,2,3,4\n")
    refuse(path, "2 columns named 'reward' (reward)", "rename all but one")
    refuse(path, "2 columns named 'x'", "rename all but one", reward="?")
    refuse(text(tmp_path, "p,p,reward\n1,0,1\n"), "2 columns named 'p' (prompt)", prompt="p")
    unused = text(tmp_path, "prompt_id,reward,x,x\n1,0,1,2\n1,1,2,3\n")
    assert RewardTable.read(unused).n_prompts == 1


@pytest.mark.parametrize("wide", [False, True])
def test_reward_is_the_prompt(tmp_path, wide):
    path = text(tmp_path, GOOD)
    refuse(path, "'prompt_id' is asked for as reward and as prompt", "name two", reward="prompt_id", wide=wide)


def test_reward_is_the_sample(tmp_path):
    refuse(text(tmp_path, GOOD), "'reward' is asked for as reward and as sample", "name two", sample="reward")
    refuse(text(tmp_path, GOOD), "'prompt_id' is asked for as prompt and as sample", "name two", sample="prompt_id")


def test_no_reward_at_all(tmp_path):
    with pytest.raises(ValueError, match="reward must name at least one column; got \\[\\]"):
        RewardTable.read(text(tmp_path, GOOD), reward=[])


# -- values


def test_text_among_numbers_names_the_first_row(tmp_path):
    path = text(tmp_path, GOOD + "3,n.d.\n3,1\n3,bad\n")
    error = refuse(
        path, "column 'reward'", "text in 2 of 7 rows", "'n.d.' in row 6 (the header is row 1)", "drop_missing=True"
    )
    assert error.rows == (4, 6)
    refuse(path, "text in 2 of 7 rows", drop_missing=True)
    refuse(text(tmp_path, "prompt_id,reward\n1,A\n1,B\n"), "text in 2 of 2 rows", "name a column of numbers")
    refuse(text(tmp_path, "prompt_id,reward\n1,0\n1,true\n"), "text in 1 of 2 rows", "'true'")
    refuse(text(tmp_path, 'prompt_id,reward\n1,"0,5"\n1,1\n'), "'0,5' in row 2")


def test_numbers_as_text_in_json_and_parquet(tmp_path):
    path = lines(tmp_path, {"prompt_id": 1, "reward": "0.5"}, {"prompt_id": 1, "reward": "1"})
    refuse(path, "holds text, the first '0.5' in row 1 (the first is row 1)", "numbers there, without quotes")
    path = lines(tmp_path, {"prompt_id": 1, "reward": 0.5}, {"prompt_id": 1, "reward": "1"})
    refuse(path, "column 'reward'", "mixes kinds of values: 0.5 in line 1 and '1' in line 2", "without quotes")
    frame = pd.DataFrame({"prompt_id": [1, 1], "reward": ["1", "2"]})
    frame.to_parquet(tmp_path / "t.parquet")
    refuse(tmp_path / "t.parquet", "holds text, the first '1' in row 1", "numbers there, without quotes")


def test_values_that_are_no_numbers(tmp_path):
    frame = pd.DataFrame({"prompt_id": [1, 1], "reward": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    frame.to_parquet(tmp_path / "t.parquet")
    refuse(tmp_path / "t.parquet", "holds timestamp", "not numbers", "name a column of numbers")
    path = lines(tmp_path, {"prompt_id": 1, "reward": [1, 2]}, {"prompt_id": 2, "reward": [1, 2]})
    refuse(path, "holds list of int64 values", "pass wide=True")
    path = lines(tmp_path, {"prompt_id": 1, "reward": {"a": 1}}, {"prompt_id": 2, "reward": {"a": 2}})
    refuse(path, "struct of 'a'", "name a key within it, such as 'reward.a'")
    path = lines(tmp_path, {"prompt_id": 1, "reward": ["a", "b"]}, {"prompt_id": 2, "reward": ["c"]})
    refuse(path, "holds text, the first 'a'", "without quotes", wide=True)


@pytest.mark.parametrize("spelling", ["", "NA", "nan", "NaN", "null", "None", "N/A"])
def test_missing_rewards_say_which_rows(tmp_path, spelling):
    path = text(tmp_path, GOOD + f"1,{spelling}\n2,{spelling}\n")
    error = refuse(path, "2 of 6 samples", "'reward' in 2", "rows 6, 7 (the header is row 1)", "drop_missing=True")
    assert error.rows == (4, 5)
    table = RewardTable.read(path, drop_missing=True)
    assert (table.dropped, table.n_samples.tolist()) == (2, [2, 2])


@pytest.mark.parametrize("spelling", ["inf", "-inf", "Infinity", "1e999"])
def test_infinite_rewards_are_not_called_missing(tmp_path, spelling):
    path = text(tmp_path, GOOD + f"1,{spelling}\n")
    refuse(path, "1 of 5 samples", "'reward' in 1 (1 infinite)", "row 6", "drop_missing=True")
    table = RewardTable.read(path, drop_missing=True)
    assert (table.dropped, len(table.notes)) == (1, 1)


def test_infinite_and_missing_in_json_and_parquet(tmp_path):
    records = [{"prompt_id": 1, "reward": r} for r in (0.0, 1.0, float("nan"), float("inf"), None)] + [{"prompt_id": 1}]
    path = lines(tmp_path, *records)
    refuse(path, "4 of 6 samples", "'reward' in 4 (1 infinite)", "rows 3, 4, 5, 6 (the first is row 1)")
    assert RewardTable.read(path, drop_missing=True).dropped == 4
    frame = pd.DataFrame({"prompt_id": [1] * 4, "reward": [0.0, np.nan, np.inf, 1.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    refuse(tmp_path / "t.parquet", "2 of 4 samples", "'reward' in 2 (1 infinite)", "rows 2, 3")


def test_many_missing_rows_are_cut_short(tmp_path):
    path = text(tmp_path, GOOD + "1,\n" * 20)
    refuse(path, "rows 6, 7, 8, 9, 10, … (the header")


def test_missing_in_every_sample(tmp_path):
    path = text(tmp_path, "prompt_id,reward\n1,\n1,\n")
    refuse(path, "2 of 2 samples", "Nothing would be left", "fill them in", drop_missing=True)


def test_missing_prompts(tmp_path):
    path = text(tmp_path, GOOD + ",1\n")
    refuse(path, "'prompt_id' in 1", "row 6", "drop_missing=True")
    assert RewardTable.read(path, drop_missing=True).dropped == 1


@pytest.mark.parametrize("large", [2**53 + 1, -(2**53) - 1, 2**60, 2**70])
def test_integers_beyond_floats(tmp_path, large):
    refuse(text(tmp_path, GOOD + f"1,{large}\n"), "column 'reward'", str(large), "row 6", "beyond 2^53", "rescale")
    path = lines(tmp_path, {"prompt_id": 1, "reward": 0.5}, {"prompt_id": 1, "reward": large})
    refuse(path, "column 'reward'", str(large), "line 2", "beyond 2^53", "rescale")
    path = lines(tmp_path, {"prompt_id": 1, "reward": 1}, {"prompt_id": 1, "reward": large})
    refuse(path, "column 'reward'", str(large), "2", "beyond 2^53", "rescale")
    if abs(large) < 2**63:
        pd.DataFrame({"prompt_id": [1, 1], "reward": [1, large]}).to_parquet(tmp_path / "t.parquet")
        refuse(tmp_path / "t.parquet", "column 'reward'", str(large), "row 2", "beyond 2^53", "rescale")


def test_large_floats_and_the_last_exact_integer_are_fine(tmp_path):
    path = text(tmp_path, f"prompt_id,reward\n1,1e100\n1,{2**53}\n1,-9007199254740992.0\n")
    assert RewardTable.read(path).columns["reward"].tolist() == [1e100, 2.0**53, -(2.0**53)]
    path = lines(tmp_path, {"prompt_id": 1, "reward": 1e100}, {"prompt_id": 1, "reward": 2**53})
    assert RewardTable.read(path).columns["reward"].tolist() == [1e100, 2.0**53]


# -- prompts and samples


def test_mixed_prompt_names_in_json(tmp_path):
    path = lines(tmp_path, {"prompt_id": 1, "reward": 0}, {"prompt_id": "1", "reward": 1})
    refuse(path, "column 'prompt_id'", "mixes kinds of values: 1 in line 1 and '1' in line 2", "write all in one way")


def test_fractions_and_truths_cannot_name_prompts(tmp_path):
    path = lines(tmp_path, {"prompt_id": 1.5, "reward": 0}, {"prompt_id": 1.5, "reward": 1})
    refuse(path, "column 'prompt_id'", "holds fractions", "integers or text")
    path = lines(tmp_path, {"prompt_id": True, "reward": 0}, {"prompt_id": True, "reward": 1})
    refuse(path, "column 'prompt_id'", "holds bool values", "integers or text")


def test_integers_that_once_had_a_gap_name_prompts(tmp_path):
    frame = pd.DataFrame({"prompt_id": [1.0, 1.0, np.nan], "reward": [0.0, 1.0, 2.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    refuse(tmp_path / "t.parquet", "'prompt_id' in 1", "row 3")
    assert RewardTable.read(tmp_path / "t.parquet", drop_missing=True).prompts.tolist() == [1]


def test_duplicate_samples(tmp_path):
    content = "prompt_id,sample_id,reward\na,0,1\na,1,2\nb,0,3\na,0,4\nb,0,5\nb,1,6\n"
    error = refuse(
        text(tmp_path, content),
        "2 rows",
        "repeat an earlier ('prompt_id', 'sample_id')",
        "the first ('a', 0) in rows 2, 5 (the header is row 1)",
        "remove the repeats",
        "name in sample the column",
    )
    assert error.rows == (0, 3)
    path = text(tmp_path, content.replace("sample_id", "draw"))
    assert RewardTable.read(path).n_samples.tolist() == [3, 3]
    refuse(path, "('prompt_id', 'draw')", "remove the repeats", sample="draw")


def test_a_single_sample_per_prompt(tmp_path):
    path = text(tmp_path, GOOD + "3,1\n4,2\n")
    refuse(
        path,
        "2 of 4 prompts",
        "fewer than 2 samples",
        "the first 3 with 1",
        "sample more responses to them, or leave these prompts out",
    )
    assert RewardTable.read(path, min_samples=1).n_prompts == 4
    path = text(tmp_path, "prompt_id,s0,s1\n1,2,3\n2,3,4\n")
    refuse(path, "2 of 2 prompts", "pass wide=True", reward="s*")


def test_dropping_may_leave_a_single_sample(tmp_path):
    path = text(tmp_path, GOOD + "3,1\n3,\n")
    refuse(path, "1 of 3 prompts", "the first 3 with 1", drop_missing=True)


# -- the wide layout


def test_wide_patterns_that_do_not_pair_up(tmp_path):
    path = text(tmp_path, "prompt_id,p_0,p_1,g_0,g_2\n1,1,2,3,4\n")
    refuse(path, "'p_*' and 'g_*' do not pair up", "mean 2 and 2 columns", reward=["p_*", "g_*"], wide=True)
    refuse(path, "mixes groups of columns and single ones", "per reward", reward=["p_*", "g_0"], wide=True)


def test_wide_prompt_twice(tmp_path):
    path = text(tmp_path, "prompt_id,s0,s1\n1,1,2\n2,3,4\n1,5,6\n")
    refuse(path, "1 rows", "repeat a prompt, the first 1 in row 4", "one row per prompt", reward="s*", wide=True)


def test_wide_lists_of_unequal_length(tmp_path):
    path = lines(tmp_path, {"prompt_id": 1, "a": [1, 2], "b": [1, 2]}, {"prompt_id": 2, "a": [1, 2], "b": [1]})
    refuse(path, "'a' and 'b'", "list 2 and 1 samples in row 2", "each sample needs both", reward=["a", "b"], wide=True)
    path = lines(tmp_path, {"prompt_id": 1, "a": [1, 2]}, {"prompt_id": 2, "a": []})
    refuse(path, "'a'", "lists no samples in 1 row,", "row 2", "remove these prompts", reward="a", wide=True)


def test_wide_with_one_sample(tmp_path):
    path = text(tmp_path, "prompt_id,s0\n1,1\n2,3\n")
    refuse(path, "2 of 2 prompts", "fewer than 2 samples", reward="s*", wide=True)


def test_rewards_of_different_samples_say_how_many_match(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("prompt_id,proxy,gold\n0,1,\n0,2,1\n0,3,2\n0,,3\n")
    with pytest.raises(InputError, match="2 samples have every reward asked for"):
        RewardTable.read(path, reward=["proxy", "gold"])
    path.write_text("prompt_id,proxy,gold\n0,1,\n0,2,\n0,,2\n0,,3\n")
    for drop in (False, True):
        with pytest.raises(InputError, match="No sample has a value of every reward asked for; score the same"):
            RewardTable.read(path, reward=["proxy", "gold"], drop_missing=drop)


@pytest.mark.parametrize(
    "header", ["{'shape': 1 + (2, 3)}", "{'shape': lambda: 1}", "1 @ 2", "{'descr': f'{1}'}", "x.y"]
)
def test_a_header_of_numpy_that_is_no_literal_is_said_without_an_address(tmp_path, header):
    content = b"\x93NUMPY\x01\x00" + np.uint16(117 + 1).tobytes() + header.encode().ljust(117) + b"\n" + bytes(64)
    with pytest.raises(InputError, match="is not an array of NumPy") as refused:
        RewardTable.read(text(tmp_path, content, "t.npy"), prompt=None, reward="reward")
    assert " at 0x" not in str(refused.value)


def test_a_working_folder_that_is_gone_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InputError, match="the working folder is gone; change into one that exists"):
        open_table_file("rewards.csv")
