"""The same table in every form that people keep it in gives the same numbers; what is unusual is read and said."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alignlib._core.errors import InputError, bounded
from alignlib.models.resumable import write_parquet
from alignlib.scale.parts import list_parts
from alignlib.tables import RaterTable, RewardTable, check_alone, open_table_file, parquet_sizes
from alignlib.tables.arrow_sizes import announced_sizes
from alignlib.tables.cell_types import plain_cells
from alignlib.tables.data_files import FolderError
from alignlib.tables.formats import delimited
from alignlib.tables.json_text import check_lines
from alignlib.tables.memory_limit import MOST_BYTES
from alignlib.tables.parquet_sizes import announced_values
from alignlib.tables.pieces import open_pieces
from alignlib.tables.reading import tables_in
from alignlib.tables.table_file import TableFile, nested_keys
from alignlib.training.policy_kl.sample_table import read_kl_samples

rng = np.random.default_rng(11)
PROMPTS, SAMPLES = 6, 5
REWARDS = rng.normal(size=(PROMPTS, SAMPLES)).round(4)
RECORDS = [
    {"prompt_id": i, "sample_id": j, "reward": float(REWARDS[i, j])} for i in range(PROMPTS) for j in range(SAMPLES)
]
COLUMNS = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}


def csv(separator: str = ",", point: str = ".") -> str:
    rows = [separator.join(map(str, record.values())).replace(".", point) for record in RECORDS]
    return "\n".join([separator.join(COLUMNS), *rows]) + "\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


FORMS = {
    "t.csv": csv(),
    "semicolons.csv": csv(";"),
    "tabs.csv": csv("\t"),
    "bars.csv": csv("|"),
    "spaces.csv": csv(" "),
    "carets.csv": csv("^"),
    "tildes.txt": csv("~"),
    "colons.txt": csv(":"),
    "ampersands.txt": csv("&"),
    "t.txt": csv(),
    "commas.tsv": csv(","),
    "decimal_commas.csv": csv(";", ","),
    "t.jsonl": "".join(json.dumps(record) + "\n" for record in RECORDS),
    "array.json": json.dumps(RECORDS, indent=1),
    "columns.json": json.dumps(COLUMNS),
    "under_a_key.json": json.dumps({"version": 2, "data": RECORDS}),
    "lines.json": "".join(json.dumps(record) + "\n" for record in RECORDS),
    "t.csv.gz": gzip.compress(csv().encode()),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_table_in_every_form(tmp_path: Path, name: str) -> None:
    table = RewardTable.read(written(tmp_path, name, FORMS[name]))
    np.testing.assert_array_equal(table.column("reward").reshape(PROMPTS, SAMPLES), REWARDS)
    assert table.prompts.tolist() == list(range(PROMPTS))
    separator = {"semicolons": "semicolons", "tabs": "tabs", "bars": "vertical bars", "spaces": "spaces"}.get(
        name[:-4], name[:-4] if name[:-4] in ("carets", "tildes", "colons", "ampersands") else None
    )
    assert any(f"separated by {separator}" in note for note in table.notes) == (separator is not None)
    assert any("decimal commas" in note for note in table.notes) == name.startswith("decimal")


def test_arrays_and_frames_in_files(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", REWARDS)
    np.save(tmp_path / "swapped.npy", np.asfortranarray(REWARDS).astype(">f8"))
    records = np.array(
        [(*r.values(), 0) for r in RECORDS], [("prompt_id", "i8"), ("sample_id", "i4"), ("reward", "f8"), ("μ", "i4")]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the version of the format that has letters such as μ
        np.save(tmp_path / "records.npy", records)
    assert open_table_file(tmp_path / "records.npy").names[-1] == "μ"
    pa.feather.write_feather(pa.table(COLUMNS), tmp_path / "t.feather")
    for name in ("t.npy", "swapped.npy", "records.npy", "t.feather"):
        found = RewardTable.read(tmp_path / name)
        np.testing.assert_array_equal(found.column("reward").reshape(PROMPTS, SAMPLES), REWARDS)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])  # the latter with its mark, from PowerShell
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "array.json", "t.parquet"])
def test_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, encoding: str, packed: bool
) -> None:
    if name == "t.parquet":
        pq.write_table(pa.table(COLUMNS), tmp_path / name)
    content = (tmp_path / name).read_bytes() if name == "t.parquet" else str(FORMS[name]).encode(encoding)
    stream = io.TextIOWrapper(io.BytesIO(gzip.compress(content) if packed else content))
    monkeypatch.setattr(sys, "stdin", stream)
    np.testing.assert_array_equal(RewardTable.read("-").column("reward").reshape(PROMPTS, SAMPLES), REWARDS)


def test_keys_within_objects_and_lists_within_cells(tmp_path: Path) -> None:
    nested = [{"prompt_id": r["prompt_id"], "a": {"b": {"c": r["reward"]}, "x.y": 1}} for r in RECORDS]
    pq.write_table(pa.Table.from_pylist(nested), tmp_path / "t.parquet")
    lines = "".join(json.dumps(record) + "\n" for record in nested)
    odd = lines + json.dumps({"prompt_id": 0, "a": None, "z": [1, "a"]}) + "\n"  # read line by line
    for path in (tmp_path / "t.parquet", written(tmp_path, "t.jsonl", lines), written(tmp_path, "odd.jsonl", odd)):
        for reward in ("a.b.c", "a.*.c"):
            table = RewardTable.read(path, reward=reward, drop_missing=path.stem == "odd")
            np.testing.assert_array_equal(table.column("a.b.c").reshape(PROMPTS, SAMPLES), REWARDS)
    real = written(tmp_path, "t.csv", "prompt_id,a.b\n0,1\n0,2\n")  # a column of that name is no key
    assert RewardTable.read(real, reward="a.b").column("a.b").tolist() == [1.0, 2.0]
    for cells in (
        "".join(f'{i},"{row.tolist()}"\n' for i, row in enumerate(REWARDS)),
        "".join(f'{i},"{[[v] for v in row.tolist()]}"\n' for i, row in enumerate(REWARDS)),
        "".join(f"{i},[{' '.join(map(str, row.tolist()))}]\n" for i, row in enumerate(REWARDS)),
    ):
        table = RewardTable.read(written(tmp_path, "t.csv", "prompt_id,reward\n" + cells), wide=True)
        np.testing.assert_array_equal(table.column("reward").reshape(PROMPTS, SAMPLES), REWARDS)


def test_lists_of_responses_within_prompts(tmp_path: Path) -> None:
    each = [[{"text": "a", "scores": {"r": r}} for r in row] for row in REWARDS.tolist()]
    prompts = [{"prompt_id": i, "responses": responses} for i, responses in enumerate(each)]
    pq.write_table(pa.Table.from_pylist(prompts), tmp_path / "t.parquet")
    for path in (
        written(tmp_path, "t.json", json.dumps(prompts)),
        written(tmp_path, "t.jsonl", "".join(json.dumps(prompt) + "\n" for prompt in prompts)),
        tmp_path / "t.parquet",
    ):
        table = RewardTable.read(path, reward="responses.scores.r", wide=True)
        np.testing.assert_array_equal(table.column("responses.scores.r").reshape(PROMPTS, SAMPLES), REWARDS)
        with pytest.raises(InputError, match="wide=True"):
            RewardTable.read(path, reward="responses.scores.r")
    by_prompt = {f"p{i}": each[i][: 2 + i % 3] for i in range(PROMPTS)}
    table = RewardTable.read(written(tmp_path, "by_prompt.json", json.dumps(by_prompt)), reward="scores.r")
    assert table.n_samples.tolist() == [2, 3, 4, 2, 3, 4]
    assert table.column("scores.r")[:2].tolist() == REWARDS[0, :2].tolist()
    prompts[2]["responses"] = None
    with pytest.raises(InputError, match="lists no samples in 1 row"):
        RewardTable.read(written(tmp_path, "t.json", json.dumps(prompts)), reward="responses.scores.r", wide=True)
    scores = written(tmp_path, "scores.json", json.dumps({"a": [0.5, 1.0], "b": [0.5]}))
    with pytest.raises(InputError, match="of scores by prompt"):
        RewardTable.read(scores)


def test_sums_and_averages_of_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", 'prompt_id,a,b,"c,d"\n0,1,,4\n0,2,3,\n0,,,\n0,,5,1\n')
    expected = {"sum": [], "mean": [], "nansum": [5.0, 5.0, 6.0], "nanmean": [2.5, 2.5, 3.0]}
    for how, values in expected.items():
        name = f"{how}:a,b,c\\,d"
        if not values:
            with pytest.raises(InputError, match="ask for 'nan" + how):
                RewardTable.read(path, reward=name)
            continue
        table = RewardTable.read(path, reward=name, drop_missing=True)
        assert table.column(name).tolist() == values
        assert table.dropped == 1  # no member is there: the sum of nothing is no reward
        assert "6 of 12 values are missing" in table.notes[0]


def test_chats_are_prompts(tmp_path: Path) -> None:
    chats = [
        [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": "."}] for i in COLUMNS["prompt_id"]
    ]
    pq.write_table(pa.table({"prompt": chats, "reward": COLUMNS["reward"]}), tmp_path / "t.parquet")
    table = RewardTable.read(tmp_path / "t.parquet", prompt="prompt")
    assert [json.loads(name)[0]["content"] for name in table.prompts] == [f"{i}?" for i in range(PROMPTS)]
    np.testing.assert_array_equal(table.column("reward").reshape(PROMPTS, SAMPLES), REWARDS)


def test_a_table_written_several_times_counts_once(tmp_path: Path) -> None:
    once = [f"{i},{r}" for i in range(PROMPTS) for r in REWARDS[i]]
    for times in (1, 2, 3):
        path = written(tmp_path, "t.csv", "\n".join(["prompt_id,reward", *once * times]) + "\n")
        table = RewardTable.read(path)
        np.testing.assert_array_equal(table.column("reward").reshape(PROMPTS, SAMPLES), REWARDS)
        assert any(f"comes {times} times" in note for note in table.notes) == (times > 1)
    few = written(tmp_path, "t.csv", "\n".join(["prompt_id,reward", *once, once[3], once[7]]) + "\n")
    assert "2 of 32 samples" in RewardTable.read(few).notes[0]
    rounded = np.random.default_rng(1).normal(size=(40, 64)) + 3.0 * np.arange(40)[:, None]  # ties are chance
    rows = [f"{i},{r:.2f}" for i in range(40) for r in rounded[i]]
    rows += [f"{40 + i // 16},1.0" for i in range(160)]  # nothing else than one reward
    assert RewardTable.read(written(tmp_path, "t.csv", "\n".join(["prompt_id,reward", *rows]) + "\n")).notes == ()
    levels = "prompt_id,reward\n" + "".join(f"{i // 8},{i % 2}\n" for i in range(800))  # balanced on purpose
    table = RewardTable.read(written(tmp_path, "t.csv", levels))
    assert (table.offsets[-1], len(table.notes)) == (800, 1)
    assert "comes 4 times or a multiple of it, as where a table is written 4 times, or is balanced" in table.notes[0]
    chance = "prompt_id,reward\n" + "".join(f"{i // 8},{i * i % 11 % 2}\n" for i in range(800))
    assert RewardTable.read(written(tmp_path, "t.csv", chance)).notes == ()


def test_no_digit_of_an_identifier_is_lost(tmp_path: Path) -> None:
    big = 2**53
    target = [big + i % 4 for i in range(40)]
    label = [Decimal(f"0.{'0' * 20}{i % 4 + 1}") for i in range(40)]
    path = written(
        tmp_path, "t.csv", "target,label\n" + "".join(f"{t},{y}\n" for t, y in zip(target, label, strict=True))
    )
    table = RaterTable.read(path)
    assert table.targets == tuple(str(big + i) for i in range(4))
    assert len(table.labels) == 4
    pq.write_table(pa.table({"target": target, "label": [f"0{i % 2}" for i in range(40)]}), tmp_path / "t.parquet")
    with_zeros = RaterTable.read(tmp_path / "t.parquet")
    assert (with_zeros.targets, with_zeros.labels) == (table.targets, ("00", "01"))
    seven = written(tmp_path, "t.csv", "target,label\n" + "".join(f"{10**7 + i % 2},{i % 3}.0\n" for i in range(40)))
    assert RaterTable.read(seven).targets == ("10000000", "10000001")
    assert RaterTable.read(seven).labels == ("0", "1", "2")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_what_is_missing_and_what_is_a_word(tmp_path: Path, suffix: str) -> None:
    label = ["None", "a", "b", "", None, "a", "b", "NA", "A"] * 2
    target = [i % 2 for i in range(18)]
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        path.write_text("target,label\n" + "".join(f"{t},{y or ''}\n" for t, y in zip(target, label, strict=True)))
    elif suffix == "jsonl":
        path.write_text(
            "".join(json.dumps({"target": t, "label": y}) + "\n" for t, y in zip(target, label, strict=True))
        )
    else:
        pq.write_table(pa.table({"target": target, "label": label}), path)
    table = RaterTable.read(path, drop_missing=True)
    assert table.labels == (("A", "None", "a", "b") if suffix == "csv" else ("A", "NA", "None", "a", "b"))
    assert any("'None' in column 'label' is a text of its own" in note for note in table.notes)
    assert any("'NA' in column 'label' is read as a missing value" in note for note in table.notes) == (suffix == "csv")
    assert any("'A' and 'a' in column 'label' differ in capitals" in note for note in table.notes)


def test_labels_and_truth_in_two_files(tmp_path: Path) -> None:
    truth = {f"q{i}": "yes" if i % 3 else "no" for i in range(12)}
    given = [(f"q{i % 13}", "yes" if (i + i // 5) % 3 else "no", f"w{i % 4}") for i in range(130)]
    written(tmp_path, "truth.csv", "question,answer\n" + "".join(f"{q},{a}\n" for q, a in truth.items()) + "q0,no\n")
    labels = written(tmp_path, "l.csv", "question,label,who\n" + "".join(f"{q},{y},{w}\n" for q, y, w in given))
    asked = {"target": "answer", "rater": "who", "truth": tmp_path / "truth.csv"}
    with pytest.raises(InputError, match=r"10 of 130 rows .* lack a target, .*'answer' in 10"):
        RaterTable.read(labels, **asked)
    table = RaterTable.read(labels, drop_missing=True, **asked)
    joined = [(truth[q], y) for q, y, _ in given if q in truth]
    expected = [[sum(pair == (t, y) for pair in joined) for y in ("no", "yes")] for t in ("no", "yes")]
    assert table.counts().tolist() == [expected]
    written(tmp_path, "truth.csv", "question,answer\nq1,yes\nq1,no\n")
    with pytest.raises(InputError, match="has two values of 'answer' for the question 'q1'; keep one"):
        RaterTable.read(labels, **asked)


def test_what_we_write_carries_checksums_that_are_verified(tmp_path: Path) -> None:
    table = pa.table(COLUMNS)
    write_parquet(tmp_path / "t.parquet", [table], table.schema)
    whole = (tmp_path / "t.parquet").read_bytes()
    column = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0).column(2)
    place = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 8
    for at in range(place, place + 4):
        damaged = bytearray(whole)
        damaged[at] ^= 4
        with pytest.raises(InputError, match="is not a whole Parquet file"):
            RewardTable.read(written(tmp_path, "d.parquet", bytes(damaged)))


def test_limits_of_memory_name_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MOST_BYTES, "1000")
    packed = written(tmp_path, "t.csv.gz", gzip.compress(csv().encode() * 3))
    for path in (packed, written(tmp_path, "t.json", str(FORMS["array.json"]))):
        with pytest.raises(InputError, match=f"of memory, and 1000 B are allowed; .*, or set {MOST_BYTES} to"):
            RewardTable.read(path)
    monkeypatch.setattr(delimited, "_SURE", 0)
    pa.feather.write_feather(pa.table(COLUMNS), tmp_path / "t.feather", compression="zstd")
    monkeypatch.setenv(MOST_BYTES, "400")
    for path in (written(tmp_path, "t.csv", csv()), written(tmp_path, "t.jsonl", csv()), tmp_path / "t.feather"):
        with pytest.raises(InputError, match=f"{path.name} needs about .* of memory, and 400 B are allowed; "):
            RewardTable.read(path)
    monkeypatch.setenv(MOST_BYTES, "plenty")
    with pytest.raises(InputError, match=f"{MOST_BYTES} must be a number of bytes, such as 8e9; got 'plenty'"):
        RewardTable.read(packed)


texts = st.text(st.sampled_from('ab1,;"\n '), max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(rows=[(i, "a") for i in range(12)], strays=[(3, 0), (7, 1)])
@given(
    rows=st.lists(st.tuples(st.integers(0, 9), texts), min_size=8, max_size=20),
    strays=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 1)), max_size=3),
)
def test_no_quotation_mark_swallows_a_row(
    tmp_path: Path, rows: list[tuple[int, str]], strays: list[tuple[int, int]]
) -> None:
    """Texts written by the rules are read whole; marks put in by chance are read whole, too, or refused."""
    quoted = "".join(f'{i % 2},{r},"{text.replace(chr(34), 2 * chr(34))}"\n' for i, (r, text) in enumerate(rows))
    path = written(tmp_path, "t.csv", "prompt_id,reward,text\n" + quoted)
    assert RewardTable.read(path, min_samples=1).column("reward").size == len(rows)
    plain = [f"{i % 2},{r},{re.sub(chr(34) + '|,|' + chr(10), '', text)}" for i, (r, text) in enumerate(rows)]
    for place, back in strays:
        line = plain[place % len(plain)]
        at = len(line) if back else line.rindex(",") + 1
        plain[place % len(plain)] = f'{line[:at]}"{line[at:]}'
    path = written(tmp_path, "t.csv", "\n".join(["prompt_id,reward,text", *plain]) + "\n")
    with contextlib.suppress(InputError):
        assert RewardTable.read(path, min_samples=1).column("reward").size == len(rows)


def test_token_lists_are_the_same_in_csv_and_json(tmp_path: Path) -> None:
    records = [{"token_log_prob": [-1.0 - i, -0.25], "base_token_log_prob": [-1.5, -0.5 * i]} for i in range(5)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    cells = "".join(f'"{r["token_log_prob"]}","{r["base_token_log_prob"]}"\n' for r in records)
    from_lines = read_kl_samples(written(tmp_path, "t.jsonl", lines))
    from_cells = read_kl_samples(written(tmp_path, "t.csv", "token_log_prob,base_token_log_prob\n" + cells))
    np.testing.assert_array_equal(from_lines.log_ratio, from_cells.log_ratio)


@given(st.text(max_size=40), st.integers(1, 5000))
def test_every_sentence_is_bounded(text: str, times: int) -> None:
    name = text * times
    said = str(InputError(f"no column {name!r} in {name} (reward); it has {name!r}. Name one."))
    assert len(said) <= 1200
    assert bounded(said) == said or len(bounded(said)) <= len(said)
    assert said.startswith("no column")
    assert said.endswith("Name one.") or len(said) < 60


def test_integers_of_any_size_are_identifiers_in_json(tmp_path):
    """Neighbours beyond 64 bits stay two, and have the names that CSV gives them."""
    names = [2**63 - 1, 2**63, 2**64 + 1, -(2**63) - 1, 10**75 + 1, 10**75 + 2]
    records = [{"prompt_id": name, "reward": reward} for name in names for reward in (0.5, 1.5)]
    forms = {
        "t.csv": "prompt_id,reward\n" + "".join(f"{r['prompt_id']},{r['reward']}\n" for r in records),
        "t.jsonl": "".join(json.dumps(record) + "\n" for record in records),
        "t.json": json.dumps(records),
    }
    read = [RewardTable.read(written(tmp_path, name, content)) for name, content in forms.items()]
    for table in read:
        assert sorted(map(str, table.prompts)) == sorted(map(str, names))
    long = written(tmp_path, "long.json", json.dumps([{"prompt_id": 10**80, "reward": 1.0}] * 2))
    with pytest.raises(InputError, match=r"an integer of more than 76 digits in object 1; rescale a reward, or write"):
        RewardTable.read(long)


@pytest.mark.parametrize(("endless", "said"), [(b"\0", "holds a NUL"), (b"1", "has a row longer than 16 MiB")])
def test_standard_input_without_end_is_refused_at_its_beginning(monkeypatch, endless, said):
    class Endless(io.RawIOBase):
        given = 0

        def readable(self):
            return True

        def readinto(self, place):
            Endless.given += len(place)
            assert Endless.given < 1 << 26, "it was all read"
            place[:] = endless * len(place)
            return len(place)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    with pytest.raises(InputError, match=f"standard input {said}"):
        RewardTable.read("-")


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_compressed_feather_is_refused_by_what_it_announces(tmp_path, monkeypatch, compression, dictionary):
    rows = 200_000
    names = pa.array(["x" * 50 + str(i % 2) for i in range(rows)])
    whole = {"prompt_id": names.dictionary_encode() if dictionary else names, "reward": np.arange(rows) % 7 / 2.0}
    if dictionary:  # whose values fill the file once decompressed
        whole["other"] = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(rows, np.int32)), pa.array(["y" * 10_000_000])
        )
    pyarrow.feather.write_feather(pa.table(whole), tmp_path / "t.feather", compression=compression)
    assert RewardTable.read(tmp_path / "t.feather").n_prompts == 2
    monkeypatch.setenv(MOST_BYTES, "9e5")

    def decompressed(*_):
        raise AssertionError("it was decompressed")

    class Closed:
        num_record_batches = 1
        schema = pa.ipc.open_file(tmp_path / "t.feather").schema
        get_batch = decompressed

    monkeypatch.setattr(pa.ipc, "open_file", lambda *_, **__: Closed())
    with pytest.raises(InputError, match=r"t\.feather needs about .* of memory, and 879 KiB are allowed; write it in"):
        RewardTable.read(tmp_path / "t.feather")


def refused(path, said, **options):
    with pytest.raises(InputError) as error:
        RewardTable.read(path, **options)
    assert re.search(said, str(error.value)), error.value


def test_lists_and_gaps_are_refused_by_what_is_wrong_with_them(tmp_path):
    for odd, said in (([True, 1], "True and 1"), ([1, "a"], "1 and 'a'"), (["a", None, 2], "'a' and 2")):
        records = [{"prompt_id": 1, "reward": [1.0, None]}, {"prompt_id": 2, "reward": odd}]
        path = written(tmp_path, "t.json", json.dumps(records))
        refused(path, f"'reward' of .* mixes kinds of values in object 2: {said}", wide=True)
        path = written(tmp_path, "t.jsonl", "".join(json.dumps(record) + "\n" for record in records))
        refused(path, "'reward' of .* in line 2", wide=True)
    path = written(tmp_path, "t.tsv", "prompt_id\treward\n1\t[1_0, 2]\n")
    refused(path, r"holds '\[1_0, 2\]' in row 2", wide=True)
    path = written(tmp_path, "t.csv", "prompt_id,reward\n,1\n1,2\n1,3\n")
    refused(path, "lack a prompt: 'prompt_id' in 1; row 2")
    refused(written(tmp_path, "t.csv", "prompt_id,reward\n,1\n1,\n1,3\n"), "lack a prompt or a finite value: ")


@pytest.mark.parametrize("count", [1.5, 1e308])
def test_tokens_are_counted_in_whole_numbers(tmp_path, count):
    path = written(tmp_path, "t.csv", f"log_prob,base_log_prob,n_tokens\n-1,-2,3\n-1,-2,{count}\n")
    with pytest.raises(InputError, match=r"'n_tokens' of .* must count tokens in whole numbers.* in row 3"):
        read_kl_samples(path)


def test_a_truth_that_lacks_items_is_named(tmp_path):
    labels = written(tmp_path, "labels.csv", "item,label\n1,a\n2,b\n3,a\n")
    truth = written(tmp_path, "truth.csv", "item,target\n1,a\n2,b\n")
    with pytest.raises(InputError, match=r"'target' is looked up in .*truth\.csv, which lacks it for these.* row 4"):
        RaterTable.read(labels, truth=truth)
    with pytest.raises(InputError, match=r"none\.csv is empty; give a table, with a name for each column"):
        RaterTable.read(labels, truth=written(tmp_path, "none.csv", ""))


def test_integers_within_lists_keep_their_digits(tmp_path: Path) -> None:
    """Arrow makes floats of the integers of a list that holds a fraction too, and merges two of them."""
    big = 2**53
    for cells in ([[big, 0.5], [big + 1, 0.5]], [[{"n": big}, {"n": 0.5}], [{"n": big + 1}, {"n": 0.5}]]):
        lines = [{"prompt_id": cells[i // 2], "reward": i} for i in range(4)]
        path = written(tmp_path, "t.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        with contextlib.suppress(InputError):  # to refuse what Arrow cannot hold is right as well
            assert RewardTable.read(path).n_prompts == 2


@pytest.mark.parametrize(
    ("kind", "size", "made"),
    [
        (pa.list_view(pa.float64()), pa.int32(), pa.ListViewArray),
        (pa.large_list_view(pa.float64()), pa.int64(), pa.LargeListViewArray),
    ],
)
def test_views_of_lists_are_lists(tmp_path: Path, kind: pa.DataType, size: pa.DataType, made: Any) -> None:
    """They may lie in any order, overlap and have gaps."""
    values, mask = pa.array([1.0, None, 2.0, 5.0, 7.0]), pa.array([False, False, True, False, False])
    views = made.from_arrays(pa.array([3, 0, 1, 2, 0], size), pa.array([2, 2, 3, 3, 0], size), values, mask=mask)
    column = pa.chunked_array([views, views.slice(1), views[:0]], kind)
    found = plain_cells(TableFile("t", ("a",), lambda _: pa.table({})), "a", column)
    found.validate(full=True)
    assert found.to_pylist() == column.to_pylist()
    whole = pa.table({"prompt_id": ["a", "b"], "r": pa.array([[1.0, 2.0, 5.0], [0.0, 1.0, 3.0]], kind)})
    pa.feather.write_feather(whole, tmp_path / "t.feather")
    assert RewardTable.read(tmp_path / "t.feather", reward="r", wide=True).n_samples.tolist() == [3, 3]


def test_digits_of_other_scripts_are_labels_of_their_own(tmp_path: Path) -> None:
    rows = "".join(f"{'1١１2'[i % 4]},{'1١１2'[i % 4]}\n" for i in range(40))
    table = RaterTable.read(written(tmp_path, "t.csv", f"target,label\n{rows}"))
    assert (len(table.targets), len(table.labels)) == (4, 4)


def awkward_columns(n: int = 20) -> dict[str, pa.Array]:
    """Columns of every layout that Arrow has."""
    union = [pa.field("a", pa.int64()), pa.field("b", pa.string())]
    kinds = [
        *(pa.null(), pa.bool_(), pa.float64(), pa.string(), pa.large_binary(), pa.binary(5), pa.decimal128(9, 2)),
        *(
            pa.list_(pa.int64()),
            pa.large_list(pa.string()),
            pa.list_(pa.float32(), 3),
            pa.map_(pa.string(), pa.int32()),
        ),
        *(pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]), pa.dictionary(pa.int32(), pa.string())),
        *(pa.list_view(pa.int32()), pa.dense_union(union), pa.sparse_union(union), pa.uuid(), pa.binary_view()),
    ]
    views = pa.array([["x" * 100]] * n, pa.list_(pa.string_view()))  # beyond what a view holds in itself
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([n], pa.int32()), pa.array(["a"]))
    return {f"c{i}": pa.nulls(n, kind) for i, kind in enumerate(kinds)} | {"views": views, "runs": runs}


def test_what_feather_announces_is_told_by_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {**awkward_columns(), "last": pa.array(np.arange(20.0))}
    out, batch = pa.BufferOutputStream(), pa.record_batch(columns)
    with pa.ipc.new_file(out, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    sizes = {name: announced_sizes(out.getvalue(), batch.schema, [name])[1][0] for name in columns}
    assert announced_sizes(out.getvalue(), batch.schema, list(columns))[1] == [sum(sizes.values())]
    assert (sizes["last"], sizes["c0"], sizes["c2"]) == (160, 0, 163)  # 20 bits of what is there are 3 bytes
    assert sizes["views"] > 2000
    table = pa.table({"prompt_id": np.arange(40) // 4, "reward": np.arange(40) % 7 / 2.0, "text": ["x" * 10_000] * 40})
    pa.feather.write_feather(table, tmp_path / "t.feather", compression="zstd")
    monkeypatch.setenv(MOST_BYTES, "1e4")
    assert RewardTable.read(tmp_path / "t.feather").n_prompts == 10
    with pytest.raises(InputError, match="needs about"):
        RewardTable.read(tmp_path / "t.feather", prompt="text")


def test_a_stream_of_arrow_is_read_as_its_file_and_announces_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` saves tables so, whatever the name says."""
    columns, packed = awkward_columns(), pa.ipc.IpcWriteOptions(compression="zstd")
    wide = pa.record_batch({name: one for name, one in columns.items() if name != "c12"})  # dictionaries come apart
    told = []
    for begin in (pa.ipc.new_file, pa.ipc.new_stream):
        out = pa.BufferOutputStream()
        with begin(out, wide.schema, options=packed) as writer:
            writer.write_batch(wide)
            writer.write_batch(wide)
        told.append(announced_sizes(out.getvalue(), wide.schema, wide.schema.names))
    assert told[0] == told[1]
    assert min(told[0][1]) > 2000
    table = pa.table(
        {"prompt_id": pa.array(np.arange(40) // 4).cast(pa.string()).dictionary_encode(), **COLUMNS_OF_FORTY}
    )
    for number, options in enumerate((None, packed)):
        with (
            pa.OSFile(str(tmp_path / f"{number}.arrow"), "wb") as file,
            pa.ipc.new_stream(file, table.schema, options=options) as writer,
        ):
            writer.write_table(table, 15)
        assert RewardTable.read(tmp_path / f"{number}.arrow").columns["reward"].tolist() == COLUMNS_OF_FORTY["reward"]
    for name in ("state.json", "dataset_info.json"):  # saved beside them, and no tables
        written(tmp_path, name, b"{}")
    for listed in (tables_in(tmp_path), [Path(part.path) for part in list_parts(str(tmp_path))]):
        assert [one.name for one in listed] == ["0.arrow", "1.arrow"]
    held = (tmp_path / "1.arrow").read_bytes()
    # The last but one is whole but for the mark of its end, as where a copy stops between two batches.
    for cut in (
        held[: len(held) // 2],
        held[:6],
        held[:4] + b"\xff\xff\xff\x7f" + held[8:],
        held[:-8],
        held[:4],
        held[:-4] + b"\xff" * 4,
    ):
        with pytest.raises(InputError, match=r"is not a whole|no rows"):
            RewardTable.read(written(tmp_path, "cut.arrow", cut))
    monkeypatch.setenv(MOST_BYTES, "1e4")
    with pytest.raises(InputError, match="needs about"):
        RewardTable.read(tmp_path / "1.arrow", prompt="text")


NAMED = '{"_data_files": [{"filename": "data-00000-of-00002.arrow"}, {"filename": "data-00001-of-00002.arrow"}]}'
FIRST, SECOND = "data-00000-of-00002.arrow", "data-00001-of-00002.arrow"


def lying(folder: Path, held: dict[str, str]) -> Path:
    for name, text in held.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        written(folder, name, text.encode())
    return folder


def test_of_a_saved_data_set_the_files_that_it_names_are_read(tmp_path: Path) -> None:
    """It was saved into with fewer shards, and opened and mapped since."""
    others = ("data-00002-of-00003.arrow", "mapped.arrow", "cache-0b1c.arrow", "dataset_info.json")
    saved = lying(tmp_path / "hf", {"state.json": NAMED, **dict.fromkeys((FIRST, SECOND, *others), "{}")})
    for place in (str(saved), f"file://{saved}"):
        assert [Path(one.path).name for one in list_parts(place)] == [FIRST, SECOND]
    assert [one.name for one in tables_in(saved)] == [FIRST, SECOND]
    assert [Path(one.path).name for one in list_parts(str(saved / others[0]))] == [others[0]]  # named by itself
    assert [Path(one.path).name for one in list_parts(f"{saved}/data-00000*")] == [FIRST]
    with pytest.raises(FolderError, match=r"data-00002-of-00003\.arrow .* does not name it"):
        list_parts(f"{saved}/data-*.arrow")
    both = lying(
        tmp_path / "both",
        {"dataset_dict.json": '{"splits": ["train"]}', "train/a.arrow": "", "old/b.arrow": "", "old/state.json": NAMED},
    )
    assert [Path(one.path).name for one in list_parts(str(both))] == ["a.arrow"]
    with pytest.raises(FolderError, match=r"holds data sets by name \('train'\), not one; name one of them, .*train\."):
        tables_in(both, below=True)
    assert [one.name for one in tables_in(lying(tmp_path / "deep", {"b.csv": "", "x/a.csv": ""}), below=True)] == [
        "b.csv",
        "a.csv",
    ]
    downloaded = lying(tmp_path / "hub", dict.fromkeys(("x-train.arrow", *others[2:]), "{}"))
    assert [one.name for one in tables_in(downloaded)] == ["x-train.arrow"]


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"state.json": NAMED, FIRST: ""}, "names 'data-00001-of-00002.arrow' of 2, and it is not there"),
        ({"state.json": NAMED}, "names 'data-00000-of-00002.arrow' and 1 more of 2"),
        ({"state.json": NAMED, FIRST: "", SECOND: "", "more.csv": ""}, "more.csv lies in a data set"),
        ({"state.json": NAMED, FIRST: "", SECOND: "", "deep/a.arrow": ""}, "a.arrow lies in a data set"),
        ({"state.json": NAMED[:40], FIRST: "", SECOND: ""}, "is not whole; copy the folder again"),
        ({"state.json": '{"_indices_data_files": [{}]}', FIRST: ""}, "a choice of rows beside the rows"),
        ({"state.json": NAMED, "dataset_dict.json": "{}", FIRST: ""}, "a data set .* and several by name"),
        ({"dataset_dict.json": '{"splits": ["train", "test"]}', "train/a.arrow": ""}, "names 'test' of 2"),
        ({f"a-0000{k}-of-00003.parquet": "" for k in (0, 2)}, "of which 2 are here and number 00001 is not; fetch"),
        ({f"a-0000{k}-of-00003.csv": "" for k in (1, 3)}, "of which 2 are here and number 00002 is not; fetch"),
        ({"a-00000-of-00002-0123456789abcdef.parquet": ""}, "of which 1 is here and number 00001 is not; fetch"),
        ({"a.csv": "", "b.csv.bz2": ""}, "b.csv.bz2 is a table packed in a way that is not read here; unpack it"),
        ({"a-00000-of-00001.csv": "", "a-00001-of-00002.csv": ""}, "are shards of two tables"),
        ({"a-000-of-001-0123abcd.csv": "", "a-000-of-001-89abcdef.csv": ""}, "are shards of two tables"),
    ],
)
def test_a_folder_that_lacks_files_or_holds_others_is_refused(tmp_path: Path, held: dict[str, str], said: str) -> None:
    lying(tmp_path, held)
    with pytest.raises(FolderError, match=said):
        list_parts(str(tmp_path))
    if not any("/" in name for name in held):
        with pytest.raises(FolderError, match=said):
            tables_in(tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow"])
@pytest.mark.parametrize("rows", [(8, 8), (8, 4), (4, 8), (4, 4, 4), (200, 8), (8, 200)], ids=str)
def test_files_joined_end_to_end_are_not_taken_for_one(tmp_path: Path, kind: str, rows: tuple[int, ...]) -> None:
    """Of several, the libraries read the footer of the last and the rows of the first, or the first alone."""
    joined = b""
    for n in rows:
        table = pa.table({"prompt_id": np.arange(n) // 4, "reward": np.arange(n) % 3 + 0.5})
        out = pa.BufferOutputStream()
        if kind == "parquet":
            pq.write_table(table, out, write_page_index=n == 4, compression="none")
        else:
            with (pa.ipc.new_file if kind == "feather" else pa.ipc.new_stream)(out, table.schema) as writer:
                writer.write_table(table, 4)
        RewardTable.read(written(tmp_path, f"one.{kind}", out.getvalue().to_pybytes()))
        joined += out.getvalue().to_pybytes()
    path = written(tmp_path, f"all.{kind}", joined)
    with pytest.raises(InputError, match="several files are joined end to end in it; give each of them"):
        RewardTable.read(path)
    with pytest.raises(InputError, match="several files are joined end to end"):
        [piece.load(["reward"]) for piece in open_pieces(str(path), lambda _: ["reward"])]


@pytest.mark.parametrize("options", [{}, {"write_page_index": True, "use_dictionary": False}, {"bloom": True}], ids=str)
def test_parquet_behind_anything_else_is_not_answered(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its footer counts bytes from another beginning: rows would be those of what lies before it."""
    if options.pop("bloom", False):
        options["bloom_filter_options"] = {"prompt_id": {"ndv": 500, "fpp": 0.01}}
    one, two = (
        parquet({"prompt_id": np.arange(n) // 4, "reward": np.arange(n) % 3 + 0.5}, **options).to_pybytes()
        for n in (480, 40)
    )
    check_alone(io.BytesIO(one))
    fronts = (one + b"\n", one + bytes(16), one[: len(one) // 2], one[:4], one[:-1], one[:-8], one[:-4], bytes(3))
    for file in (*(front + two for front in fronts), one + two[4:], one[:9] + two[4:]):
        with pytest.raises(ValueError, match="as where several files are joined end to end"):
            check_alone(io.BytesIO(file))
    with pytest.raises(ValueError, match="4 bytes that its footer names are missing"):
        check_alone(io.BytesIO(one[:100] + one[104:]))
    monkeypatch.setattr(parquet_sizes, "_FILTER_SIZE", 99)  # some writers leave it out
    check_alone(io.BytesIO(one))


def test_what_the_footer_says_of_the_last_column_may_stand_before_it() -> None:
    """As in files of Arrow before 17."""
    held = parquet({"reward": [0.5, 1.5]}).to_pybytes()
    footer, begins = parquet_sizes._footer(io.BytesIO(held))
    said = footer.held[footer.columns[-1]]
    check_alone(io.BytesIO(held[:begins] + said + held[begins:]))
    with pytest.raises(ValueError, match="joined"):
        check_alone(io.BytesIO(held[:begins] + said[::-1] + held[begins:]))


COLUMNS_OF_FORTY = {"reward": (np.arange(40) % 7 / 2.0).tolist(), "text": ["x" * 10_000] * 40}


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_text_written_as_differences_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """Spark and DuckDB write so where they are asked for the second version of pages."""
    columns = {"prompt_id": [f"a long name {i // 4}" for i in range(40)], **COLUMNS_OF_FORTY}
    spelled = {"prompt_id": encoding, "text": encoding, "reward": "PLAIN"}
    path = written(tmp_path, "t.parquet", parquet(columns, use_dictionary=False, column_encoding=spelled).to_pybytes())
    assert RewardTable.read(path).prompts.tolist() == [f"a long name {i}" for i in range(10)]
    (piece,) = open_pieces(str(path), lambda _: ["prompt_id", "reward"])
    assert piece.load(["prompt_id"]).column(0).to_pylist() == columns["prompt_id"]
    monkeypatch.setenv(MOST_BYTES, "1e4")
    with pytest.raises(InputError, match="needs about"):
        RewardTable.read(path, prompt="text")


def parquet(columns: Any, **options: Any) -> pa.Buffer:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def test_what_parquet_announces_is_what_pyarrow_reads() -> None:
    columns = {"a.b": [1] * 50, "l": [[1] * (i % 4) for i in range(50)], "s": [{"x": 1, "y": [1, 2]}] * 50}
    data = parquet({**columns, **{f"c{i}": [None, "x" * i] * 25 for i in range(20)}}, row_group_size=7)
    about = pq.ParquetFile(pa.BufferReader(data)).metadata
    found: dict[str, int] = {}
    for group in range(about.num_row_groups):
        for part in range(about.num_columns):
            chunk = about.row_group(group).column(part)
            name = "a.b" if chunk.path_in_schema == "a.b" else chunk.path_in_schema.split(".")[0]
            found[name] = found.get(name, 0) + chunk.num_values
    assert announced_values(data) == found


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_damaged_footer_is_a_sentence(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    """Some end the process where pyarrow is asked for the columns of a row group, so it is not."""
    held = bytearray(parquet({"prompt_id": [0, 0, 1, 1], "reward": [1.0, 2.0, 3.0, 4.0]}).to_pybytes())
    held[-1 - at % len(held)] = byte
    path = tmp_path_factory.mktemp("f") / "t.parquet"
    path.write_bytes(held)
    with contextlib.suppress(InputError):
        RewardTable.read(path)
    with contextlib.suppress(ValueError):
        announced_values(pa.py_buffer(bytes(held)))


def test_pyarrow_is_not_asked_for_the_columns_of_a_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a damaged file these may end the process; what is said of the whole file may be asked for.
    monkeypatch.setattr(pq.ParquetFile, "metadata", property(lambda _: SimpleNamespace(metadata=None)))
    path = written(tmp_path, "t.parquet", parquet(COLUMNS).to_pybytes())
    assert RewardTable.read(path).n_prompts == PROMPTS


def test_a_key_is_counted_once_however_many_there_are() -> None:
    """In time that grows with the number of keys: twice as many are looked at twice as often, not four times."""
    looked = []

    class Names(list):  # type: ignore[type-arg]
        def count(self, name: object) -> int:
            raise AssertionError("a count for each name takes the square of their number")

    class Schema:
        names = Names(f"k{i}" for i in range(500))

        def __iter__(self):
            return (looked.append(name) or pa.field(name, pa.struct([("a", pa.int8())])) for name in self.names)

    assert len(nested_keys(Schema())) == 500  # type: ignore[arg-type]
    assert len(looked) == 500


def test_lines_with_keys_of_their_own_are_read_one_by_one(tmp_path: Path) -> None:
    """Arrow would make a column of each key, in time that grows with the square of their number."""
    lines = [{"prompt_id": i // 2, "reward": i, "z": [{f"k{i}_{j}": j} for j in range(2000)]} for i in range(4)]
    text = "\n".join(map(json.dumps, lines))
    assert not check_lines("t", pa.py_buffer(text.encode()))
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    assert RewardTable.read(path, "prompt_id", "reward").column("reward").tolist() == [0.0, 1.0, 2.0, 3.0]
