"""Tables in parts: the same answers as one file, and what can be wrong with a part, said by its name."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import logging
import math
import multiprocessing
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from alignlib import InputError
from alignlib.answers import findings
from alignlib.cli.main import main
from alignlib.estimation import fit_frontier
from alignlib.hacking import check_members, compare_members, on_one_scale, split_error
from alignlib.rules import BestOfN
from alignlib.scale import (
    EXACT_UP_TO,
    Question,
    SummaryTable,
    engine_for,
    is_summary,
    list_parts,
    open_parts,
    parts,
    read_kept,
    read_summary,
    reading_parts,
    sql,
    table_of,
    write_summary,
)
from alignlib.scale import engine as engines
from alignlib.scale import store as stored
from alignlib.tables import FolderError, RewardTable, pieces, tables_in

N, PER = 60, 24
ASKED = Question("prompt_id", ("reward",))
RNG = np.random.default_rng(0)
NAMES = np.repeat(np.arange(N), PER)
REWARDS = RNG.standard_normal(N * PER) * (1 + NAMES % 3)


def rows(where: np.ndarray, **more: Any) -> pa.Table:
    return pa.table({"prompt_id": NAMES[where], "reward": REWARDS[where], **more})


def as_csv(table: pa.Table) -> str:
    lines = zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
    return "\n".join([",".join(table.column_names), *(",".join(map(str, line)) for line in lines)]) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three parts of shuffled rows, one of each format: every prompt is split over them."""
    made = tmp_path / "parts"
    (made / "deep").mkdir(parents=True)
    parts = np.array_split(np.random.default_rng(1).permutation(N * PER), 3)
    pq.write_table(rows(parts[0]), made / "a.parquet", row_group_size=100)
    (made / "b.csv").write_text(as_csv(rows(parts[1])), encoding="utf-8")
    lines = [json.dumps(one) for one in rows(parts[2]).to_pylist()]
    (made / "deep" / "c.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (made / "notes.md").write_text("no table", encoding="utf-8")
    return made


def opened(folder: Path, question: Question = ASKED, **options: Any) -> SummaryTable:
    """Open parts, and leave their pieces where they are."""
    with open_parts(str(folder), question, folder.parent / "kept", keep=True, **options) as table:
        return table


def command(*typed: object, name: str = "frontier") -> Result:
    return CliRunner().invoke(main, [name, *map(str, typed)])


def test_parts_of_any_format_are_the_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_BYTES", 1000)  # text in several pieces too
    monkeypatch.setattr(pieces, "_ROWS", 128)
    table = opened(folder)
    held = RewardTable.from_arrays([REWARDS[name == NAMES] for name in table.prompts[:]], prompts=table.prompts[:])
    assert table.n_samples.tolist() == [PER] * N
    kl = [0.05, 0.2]
    for name in ("gain", "gain_low", "gain_high"):
        mine, plain = (getattr(fit_frontier(one, n_boot=100).at(kl), name) for one in (table, held))
        assert mine == pytest.approx(plain, abs=1e-10)


def _add_to(told: list[tuple[str, int, int]], what: str, done: int, of: int) -> None:
    told.append((what, done, of))


def test_a_large_part_is_read_in_slices_of_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows(np.arange(N * PER))
    for name, order in (("a", np.arange(N * PER)), ("b", np.arange(N * PER)[::-1])):
        shifted = table.take(order).set_column(0, "prompt_id", pa.array(NAMES[order] + N * (name == "b")))
        pq.write_table(shifted, tmp_path / f"{name}.parquet", row_group_size=100)
    question = Question("prompt_id", ("reward",))
    found = []
    for large in (1 << 27, 1 << 12):
        monkeypatch.setattr(parts, "_LARGE", large)
        listed = [one for part in list_parts(str(tmp_path)) for one in part.slices()]
        assert len(listed) == 2 if large > 1 << 12 else len(listed) > 4
        told: list[tuple[str, int, int]] = []
        tell = partial(_add_to, told)
        with open_parts(str(tmp_path), question, tmp_path.parent / "k", tell=tell) as table_of_parts:
            found.append(table_of_parts.column("reward"))
        assert sum(about[0] == "read" for about in told) == len(listed)
    assert np.array_equal(*found)
    for part in listed:
        part.check_unchanged()
    content = bytearray((tmp_path / "b.parquet").read_bytes())
    content[len(content) // 2] ^= 1  # within one row group of it
    (tmp_path / "b.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"b\.parquet is not a whole Parquet file"):
        opened(tmp_path)
    left = opened(tmp_path, skip_corrupt=True)
    assert (left.n_prompts, "1 of 2 parts could not be read" in left.notes[0]) == (N, True)


def test_a_part_with_quotes_is_cut_between_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_BYTES", 30)
    text = "prompt_id,reward\n" + "".join(f'"a\n""{k % 4}"" b",{k}\n' for k in range(40))
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    table = opened(tmp_path / "x.csv")
    assert sorted(table.prompts) == [f'a\n"{k}" b' for k in range(4)]
    assert sorted(table.column("reward")) == list(range(40))


def test_lines_that_end_in_a_carriage_return_alone_are_rows_of_a_part(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(as_csv(rows(np.arange(N * PER))).replace("\n", "\r").encode())
    assert opened(tmp_path / "a.csv").offsets[-1] == N * PER


def test_a_cache_that_cannot_be_made_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "file"))
    said = command(folder, "--reward", "reward").stderr
    assert "file/alignlib/scale until all is, and that folder cannot be made" in said
    assert "name another with --checkpoint" in said


@pytest.mark.parametrize("where", ["", "below"])
@pytest.mark.parametrize(
    ("log", "kind"),
    [
        ("_delta_log/00000000000000000000.json", "Delta Lake"),
        (".hoodie/hoodie.properties", "Apache Hudi"),
        ("metadata/v1.metadata.json", "Apache Iceberg"),
    ],
)
def test_a_table_with_a_log_is_refused(
    tmp_path: Path, where: str, log: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that its log has taken out lie there too."""
    (tmp_path / where / log).parent.mkdir(parents=True)
    (tmp_path / where / log).write_text("{}")
    inside = tmp_path / where / "data" / "day=1" / "b=x"
    inside.mkdir(parents=True)
    for folder in (tmp_path / where, inside):
        (folder / "a.csv").write_text("reward\n1\n", encoding="utf-8")
    for place in (tmp_path, inside):
        for location in (str(place), f"file://{place}"):
            with pytest.raises(InputError, match=f"in a table of {kind}"):
                list_parts(location)
    for place in (tmp_path / where, inside):
        with pytest.raises(InputError, match=f"in a table of {kind}"):
            tables_in(place)
    monkeypatch.chdir(inside)
    with pytest.raises(InputError, match=f"in a table of {kind}"):
        list_parts(".")
    assert len(list_parts(str(tmp_path / where / "a*.csv"))) == 1  # named by a pattern


def test_a_folder_that_goes_while_parts_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gone", "kept", "kept/.hidden", "kept/deep"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("reward\n1\n", encoding="utf-8")
    places = (tmp_path, tmp_path / "**" / "*.csv", tmp_path / "**" / "**" / "a.*")
    scandir = os.scandir

    def lost(error: type[OSError]) -> None:
        def scan(path: str) -> Any:
            if str(path).endswith("gone"):
                raise error(path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", scan)

    lost(FileNotFoundError)
    kept = [str(tmp_path / "kept" / name) for name in ("a.csv", "deep/a.csv")]
    for place in places:
        assert [part.path for part in list_parts(str(place))] == kept
    lost(PermissionError)  # what cannot be read may hold rows
    for place in places:
        with pytest.raises(PermissionError):
            list_parts(str(place))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: (f / "d.parquet").write_bytes(b"PAR1 torn"), r"d\.parquet is not a whole Parquet file"),
        (lambda f: (f / "d.csv").write_text("prompt_id,score\n1,2\n"), r"d\.csv has no column 'reward'"),
        (
            lambda f: pq.write_table(pa.table({"prompt_id": [1], "score": [1.0]}), f / "d.parquet"),
            r"^\S*d\.parquet has no column 'reward'",  # and is not taken for damaged, which may be skipped
        ),
        (
            lambda f: (f / "d.csv").write_text("prompt_id,reward\n1,2\n1,high\n"),
            r"column 'reward' of .*d\.csv holds text",
        ),
        (lambda f: (f / "d.csv").write_text("prompt_id,reward\n1,2\n1,nan\n"), r"d\.csv lack a finite value"),
        (lambda f: pq.write_table(pa.table({"prompt_id": ["x"], "reward": [1.0]}), f / "d.parquet"), "do not agree"),
        (lambda f: (f / "d.parquet").write_bytes((f / "a.parquet").read_bytes()), r"a\.parquet and .*d\.parquet hold"),
        (lambda f: pq.write_table(pa.table({"prompt_id": [1], "reward": ["1"]}), f / "d.parquet"), "without quotes"),
    ],
    ids=[
        "torn",
        "another schema",
        "another schema of Parquet",
        "text",
        "NaN",
        "names of two kinds",
        "twice",
        "mixed types",
    ],
)
def test_what_is_wrong_with_a_part_is_said_by_name(folder: Path, make: Any, said: str) -> None:
    make(folder)
    with pytest.raises(InputError, match=said):
        opened(folder)


# Text that is not UTF-8, which Arrow does not look at.
_NO_TEXT = pa.Array.from_buffers(
    pa.string(), 64, [None, pa.py_buffer(np.arange(0, 129, 2, dtype=np.int32)), pa.py_buffer(b"p\xff" * 64)]
)


def _no_text(path: Path) -> None:
    pq.write_table(pa.table({"prompt_id": _NO_TEXT, "reward": np.arange(64.0)}), path)


_ROWS = "".join(f"{k // 8},{k * k % 7}\n" for k in range(64))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a.parquet", _no_text, "a.parquet is not a whole Parquet file (column 'prompt_id': text that is not UTF-8)"),
        (
            "a.csv",
            f"prompt_id,reward\n{_ROWS}9,1\n",
            "1 of 9 prompts of WHERE have fewer than 2 samples, the first ",
        ),
        (
            "a.csv",
            f"prompt_id,reward\n{_ROWS}9,1e308\n9,-1e308\n",
            "holds 1e+308 in row 66 (the header is row 1)",
        ),
        ("a.csv", f"prompt_id,reward\n{_ROWS}".replace("\n", "\v"), "has no column 'reward'"),
        ("a.csv", b"\x28\xb5\x2f\xfd" + bytes(60), "a.csv is packed with zstd"),
        ("a.csv", f"prompt_id,reward\n{_ROWS}".encode("utf-16"), ""),
        ("a.csv", gzip.compress(f"prompt_id,reward\n{_ROWS}".encode()), ""),
    ],
    ids=range(7),
)
def test_a_table_in_a_folder_is_read_or_refused_as_it_is_alone(
    tmp_path: Path, name: str, make: Callable[[Path], None] | str | bytes, said: str
) -> None:
    path = tmp_path / "t" / name
    path.parent.mkdir()
    make(path) if callable(make) else path.write_bytes(make.encode() if isinstance(make, str) else make)
    for where in (path, path.parent, f"file://{path}"):
        kept = () if where == path else ("--checkpoint", tmp_path / "k")
        found = command(where, "--reward", "reward", "--kl", "0.05", *kept)
        assert found.exit_code == (2 if said else 0), found.output
        assert said.replace("WHERE", str(where).removeprefix("file://")) in found.stderr  # which is that path


_TABLE = f"prompt_id,reward\n{_ROWS}"
_LINES = "".join(json.dumps({"prompt_id": k // 8, "reward": k * k % 7}) + "\n" for k in range(64))


def _parquet(columns: dict[str, Any]) -> bytes:
    held = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), held)
    return bytes(held.getvalue().to_pybytes())


_WHOLE: dict[str, Any] = {"prompt_id": [k // 8 for k in range(64)], "reward": list(range(64))}
_ODD: dict[str, str | bytes] = {
    "no_line_end.csv": "<html>no</html>",
    "wrong_header.csv": "a,b\n",
    "header.csv": "prompt_id,reward",
    "blank.csv": "\n\n\n",
    "spaces.csv": "  ",
    "blank.jsonl": "\n\n",
    "zstd_of_blank_lines.csv": b"\x28\xb5\x2f\xfd\n\n\n",
    "bzip2.csv": bz2.compress(_TABLE.encode()),
    "named.csv.bz2": bz2.compress(_TABLE.encode()),
    "named.parquet.zst": b"",
    "not_zipped.csv.gz": _TABLE,
    "zipped_twice.csv.gz": gzip.compress(gzip.compress(_TABLE.encode())),
    "cut.csv": gzip.compress(_TABLE.encode())[:-20],
    "zipped.jsonl": gzip.compress(_LINES.encode()),
    "zipped.parquet": gzip.compress(_parquet(_WHOLE)),
    "utf_16.csv.gz": gzip.compress(_TABLE.encode("utf-16")),
    "utf_16.jsonl": _LINES.encode("utf-16"),
    "utf_32.csv": _TABLE.encode("utf-32"),
    "latin.csv": _TABLE.encode() + b"\xe9,1\n\xe9,2\n",
    "nul.csv": _TABLE + "9,\0\n",
    "next_line.csv": _TABLE.replace("\n", "\x85"),
    "empty.parquet": b"",
    "text.parquet": _TABLE,
    "no_rows.parquet": _parquet({"a": pa.array([], pa.int64())}),
    "no_columns.parquet": _parquet({}),
    "large.parquet": _parquet(_WHOLE | {"reward": [1.7e308, -1.7e308] * 32}),
    "small.parquet": _parquet(_WHOLE | {"reward": [k * 1e-200 for k in range(64)]}),
    "not_asked_for.parquet": _parquet({"note": _NO_TEXT} | _WHOLE),
    "one.csv": _TABLE + "x,1\n",
    "commas.csv": _TABLE.replace(",", ";").replace(";1\n", ";1,5\n"),
    "spaces_in.csv": _TABLE.replace("\n0,", "\n 0 ,").replace("\n1,", "\nNone,"),
    "a[1].csv": _TABLE,
}


@pytest.mark.parametrize("name", _ODD)
def test_a_folder_of_one_file_says_what_the_file_says(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, path = _ODD[name], tmp_path / "t" / name
    path.parent.mkdir()
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    read: list[RewardTable] = []

    def asked(table: RewardTable, reward: str, *_: object, **__: object) -> None:
        table.check_varies(reward)
        read.append(table)
        raise InputError(f"{table.n_samples.tolist()} {table.prompt_means(reward).mean():.9e}")

    monkeypatch.setattr(findings, "ask", asked)  # what is read is compared, the answer takes ten times as long
    alone, *others = (
        command(where, "--reward", "reward", "--kl", "0.05")
        for where in (path, path.parent, f"file://{path}", f"{path.parent}/*")
    )
    for found in others:  # which prompts have too few samples is said of all files together
        said = re.sub(r"(prompts of )\S+", r"\1TABLE", found.stderr)
        said = said.removeprefix("Going on: 1 of 1 parts were done before.\n")  # file:// is the same question again
        assert said == re.sub(r"(prompts of )\S+", r"\1TABLE", alone.stderr)
        assert found.exit_code == alone.exit_code == 2, found.output
    for table in read[1:]:
        assert set(read[0].notes) <= {*table.notes}
    assert len(read) in (0, 4)


def test_what_is_said_of_cells_of_several_parts_is_said_once(tmp_path: Path) -> None:
    for k in range(3):
        rows = "".join(f"{j};{j},{k + 1}\n{j};{k},5\n" for j in range(8))
        (tmp_path / f"{k}.csv").write_text(f"prompt_id;reward\n{rows}", encoding="utf-8")
    found = json.loads(command(tmp_path, "--reward", "reward", "--kl", "0.05", "--json").stdout)["table"]["notes"]
    assert f"{tmp_path}/0.csv is separated by semicolons. So it is in 2 more of 3 parts." in found
    assert sum("decimal commas" in note for note in found) == 1


def test_a_folder_whose_samples_all_lack_a_reward_is_not_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt_id,reward\n1,\n1,\n", encoding="utf-8")
    found = command(tmp_path, "--reward", "reward", "--drop-missing")
    assert found.exit_code == 2
    assert f"2 of 2 samples of {tmp_path}/a.csv lack a prompt or a finite value. Nothing would be left" in found.stderr


@pytest.mark.parametrize("where", ["{}", "file://{}", "{}/*"])
def test_a_packed_table_beside_others_is_not_left_out_in_silence(tmp_path: Path, where: str) -> None:
    (tmp_path / "a.csv").write_text(_TABLE, encoding="utf-8")
    (tmp_path / "b.csv.xz").write_bytes(b"")
    found = command(where.format(tmp_path), "--reward", "reward")
    assert found.exit_code == 2
    assert "b.csv.xz is a table packed in a way that is not read here" in found.stderr


def test_parts_are_opened_here_whatever_they_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow takes such names for addresses or somebody's home, and opens none that is not UTF-8."""
    monkeypatch.chdir(tmp_path)
    whole = rows(np.arange(N * PER))
    for name in ("file:x", "s3:x", "~", os.fsdecode(b"\xff\xfe")):
        place = Path(name, "in")
        place.mkdir(parents=True)
        with (place / f"{name}-000-of-002.parquet").open("wb") as file:
            pq.write_table(whole, file)
        with (place / f"{name}-001-of-002.parquet").open("wb") as file:
            pq.write_table(rows(np.arange(N)), file)
        table = opened(place)
        assert table.offsets[-1] == N * PER + N
        write_summary(table.summaries(), Path(name, "s.parquet"))
        assert is_summary(Path(name, "s.parquet"))
        assert len(read_summary(Path(name, "s.parquet"))[0].sizes) == N


def test_shards_that_a_pattern_leaves_out_are_said(folder: Path) -> None:
    (folder / "a.parquet").rename(folder / "a-00000-of-00002.parquet")
    (folder / "b.csv").rename(folder / "a-00001-of-00002.csv")
    said = "is one of 2 shards, of which 1 is here and number 00001 is not; what the pattern names is read."
    assert any(note.endswith(said) for note in opened(folder / "a*").notes)


@pytest.mark.parametrize("first", [0.5, 1.0 + 1e-15 * np.arange(10)], ids=["constant", "nearly"])
def test_bins_suit_the_rewards_whatever_the_first_part_holds(tmp_path: Path, first: Any) -> None:
    """Best-of-N from bins is that of the samples, though ten equal rewards come before all others."""
    rewards = np.random.default_rng(5).beta(0.7, 2.0, 8000) * (1.0 if np.ndim(first) == 0 else 50.0)
    rewards[:10] = first
    (tmp_path / "p").mkdir()
    for name, some in (("a", rewards[:10]), ("b", rewards[10:])):
        pq.write_table(
            pa.table({"prompt_id": np.arange(some.size) % 2, "reward": some}), tmp_path / "p" / f"{name}.parquet"
        )
    binned = opened(tmp_path / "p", exact_up_to=100)
    held = RewardTable.from_arrays([rewards[i::2] for i in range(2)])
    best = [fit_frontier(one, n_boot=100).share(BestOfN(8)).gain[0] for one in (binned, held)]
    assert best[0] == pytest.approx(best[1], rel=2e-3)
    assert not any("too few" in note for note in binned.notes)
    coarse = opened(tmp_path / "p", exact_up_to=100, bin_width=8.0)
    assert any("cut the rewards of a prompt into" in note for note in coarse.notes)


def named(where: np.ndarray) -> pa.Table:
    return rows(where, sample_id=where % PER)


@pytest.mark.parametrize("wide", [False, True], ids=["long", "wide"])
def test_a_response_in_two_parts_is_found_and_both_are_named(tmp_path: Path, wide: bool) -> None:
    """Whatever else the parts hold, and where the second one has been scored anew."""
    made = tmp_path / "parts"
    made.mkdir()
    half = np.arange(N * PER // 2)
    tables = {"a": named(half), "b": named(half + half.size), "c": named(half[5:] + half.size)}
    if wide:
        several = {f"s{k}": REWARDS.reshape(N, PER)[:, k] for k in range(2)}
        whole = pa.table({"prompt_id": np.arange(N), **several})
        tables = {"a": whole[:30], "b": whole[30:], "c": whole[30:59]}
    question = Question("prompt_id", ("s*",) if wide else ("reward",), wide=wide)
    for name in "ab":
        pq.write_table(tables[name], made / f"{name}.parquet")
    assert opened(made, question).n_prompts == N
    pq.write_table(tables["c"], made / "c.parquet")
    count = 58 if wide else half.size - 5
    with pytest.raises(
        InputError, match=rf"{count} samples .*b\.parquet and .*c\.parquet|b\.parquet .* {count} samples"
    ):
        opened(made, question)
    other = tables["c"].set_column(1, tables["c"].column_names[1], pa.array(np.arange(float(len(tables["c"])))))
    pq.write_table(other, made / "c.parquet")
    with pytest.raises(InputError, match=r"b\.parquet and .*c\.parquet"):
        opened(made, question)


def test_names_beyond_64_bits_with_a_sign_are_names(tmp_path: Path) -> None:
    """Hashes of 64 bits are, in some parts and not in others."""
    for name, prompts in (("a", [5, 7]), ("b", [7, 2**63 + 5])):
        names = pa.array(np.repeat(np.array(prompts, dtype=np.uint64), 8))
        pq.write_table(pa.table({"prompt_id": names, "reward": RNG.standard_normal(16)}), tmp_path / f"{name}.parquet")
    table = opened(tmp_path)
    assert dict(zip(table.prompts[:], table.n_samples.tolist(), strict=True)) == {"5": 8, "7": 16, str(2**63 + 5): 8}


def test_prompts_as_whole_and_as_decimal_numbers_and_truth_values_are_said(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    pq.write_table(pa.table({"prompt_id": [0, 1], "reward": [0.5, 2.0]}), tmp_path / "p" / "a.parquet")
    pq.write_table(pa.table({"prompt_id": [0, 1], "reward": [True, False]}), tmp_path / "p" / "b.parquet")
    (note,) = (one for one in opened(tmp_path / "p").notes if "true or false" in one)
    assert "1 of 2 parts" in note
    assert "b.parquet" in note
    (tmp_path / "p" / "c.csv").write_text("prompt_id,reward\n0.0,1\n1.0,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"like 7 in .*a\.parquet, like 7\.0 in .*c\.csv"):
        opened(tmp_path / "p")


@pytest.mark.parametrize("harm", ["marker", "cut", "flipped", "gone"])
def test_what_is_kept_and_was_changed_is_done_anew(folder: Path, harm: str) -> None:
    whole = opened(folder).column("reward")
    for path in sorted((folder.parent / "kept").iterdir()):
        content = path.read_bytes()
        if path.suffix == ".json" and harm == "marker":
            path.write_bytes(content.replace(b'"files": [', b'"files": [], "other": ['))
        if path.suffix == ".arrow" and harm == "flipped":
            path.write_bytes(content[:700] + bytes([content[700] ^ 1]) + content[701:])
        if path.suffix == ".arrow" and harm == "cut":
            path.write_bytes(content[:100])
        if path.suffix == ".arrow" and harm == "gone":
            path.unlink()
    assert np.array_equal(opened(folder).column("reward"), whole)


def test_a_summary_whose_bytes_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    write_summary(opened(folder).summaries(), tmp_path / "s.parquet")
    content = bytearray((tmp_path / "s.parquet").read_bytes())
    group = pq.ParquetFile(tmp_path / "s.parquet").metadata.row_group(0)
    of_rewards = next(i for i in range(group.num_columns) if group.column(i).path_in_schema.startswith("reward."))
    meta = group.column(of_rewards)
    start = min(filter(None, (meta.dictionary_page_offset, meta.data_page_offset)))
    content[start + meta.total_compressed_size - 9] ^= 1
    (tmp_path / "s.parquet").write_bytes(content)
    with pytest.raises(InputError, match="not a whole Parquet file"):
        read_summary(tmp_path / "s.parquet")


def test_corrupt_parts_are_skipped_only_when_asked_and_counted(folder: Path) -> None:
    (folder / "d.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match=r"copy or write it again, or pass skip_corrupt=True"):
        opened(folder)
    table = opened(folder, skip_corrupt=True)
    assert table.offsets[-1] == N * PER
    assert [note for note in table.notes if "1 of 4 parts could not be read" in note and "d.parquet" in note]


def test_empty_parts_and_dropped_samples_are_counted(folder: Path) -> None:
    pq.write_table(rows(np.arange(0)), folder / "d.parquet")
    (folder / "e.csv").write_text("prompt_id,reward\n1,\n2,inf\n", encoding="utf-8")
    table = opened(folder, Question("prompt_id", ("reward",), drop_missing=True))
    assert table.dropped == 2
    assert any("have no rows" in note and "d.parquet" in note for note in table.notes)
    assert any(f"2 of {N * PER + 2} samples" in note and "e.csv" in note for note in table.notes)


def test_small_prompts_are_left_out_once_they_are_joined(folder: Path) -> None:
    (folder / "d.csv").write_text("prompt_id,reward\n999,1\n998,2\n0,3\n", encoding="utf-8")
    table = opened(folder, drop_below=2)
    assert table.n_prompts == N
    assert table.n_samples.max() == PER + 1
    assert any("2 of 62 prompts left out" in note for note in table.notes)


def test_a_part_that_changes_while_it_is_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = stored.summaries

    def slow(part: Any, question: Any) -> Any:
        yield from plain(part, question)
        if part.path.endswith("b.csv"):
            with open(part.path, "a", encoding="utf-8") as file:
                file.write("1,2.5\n")

    monkeypatch.setattr(stored, "summaries", slow)
    with pytest.raises(InputError, match=r"b\.csv changed while it was read"):
        opened(folder)


def test_a_stopped_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, read = stored.summaries, []

    def stops(part: Any, question: Any) -> Any:
        read.append(os.path.basename(part.path))
        if len(read) == 3:
            raise KeyboardInterrupt
        yield from plain(part, question)

    monkeypatch.setattr(stored, "summaries", stops)
    with pytest.raises(KeyboardInterrupt):
        opened(folder)
    told = []
    table = opened(folder, tell=lambda *about: told.append(about))
    assert read == ["a.parquet", "b.csv", "c.jsonl", "c.jsonl"]  # the last one again
    assert told[0] == ("kept", 2, 3)
    monkeypatch.undo()
    assert np.array_equal(table.column("reward"), opened(folder).column("reward"))


def test_a_folder_that_is_given_keeps_what_is_not_ours(folder: Path) -> None:
    kept = folder.parent / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("x")
    for place, left in ((kept, ["mine.txt"]), (folder.parent / "new", None)):
        with open_parts(str(folder), ASKED, place):
            assert any(path.name.endswith("piece-0.arrow") for path in place.iterdir())
        assert ([path.name for path in place.iterdir()] if place.exists() else None) == left


def test_the_same_question_asked_twice_at_once(folder: Path) -> None:
    """What one has kept is the other's too: the last clears it away."""
    kept = folder.parent / "kept"
    with open_parts(str(folder), ASKED, kept) as first:
        with open_parts(str(folder), ASKED, kept) as second:
            means = second.prompt_means("reward")
        assert kept.is_dir()
        assert np.array_equal(first.prompt_means("reward"), means)
    assert not kept.exists()


def test_more_prompts_than_pieces_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pieces: no prompt is lost or doubled, and the answer stays."""
    from alignlib.scale import opening

    pq.write_table(rows(np.random.default_rng(2).permutation(N * PER)), tmp_path / "a.parquet")
    whole = opened(tmp_path / "a.parquet")
    monkeypatch.setattr(opening, "_IN_A_PIECE", 100)
    monkeypatch.setattr(stored, "_FLUSHED", 300)
    many = opened(tmp_path / "a.parquet")
    assert many.prompts[:].tolist() == whole.prompts[:].tolist()
    assert np.array_equal(many.column("reward"), whole.column("reward"))
    ends = [fit_frontier(table, n_boot=100).at(0.1).gain_high[0] for table in (whole, many)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-12)


def test_commands_read_folders_patterns_addresses_and_summaries(folder: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text(as_csv(rows(np.arange(N * PER))), encoding="utf-8")
    about = ("--reward", "reward", "--kl", "0.1", "--json")
    plain = json.loads(command(one, *about).stdout)
    summary = tmp_path / "s.parquet"
    places = (folder, folder / "**" / "*.[pcj]*", f"file://{folder}", summary)
    for place in places:
        typed = [place, *about, "--checkpoint", tmp_path / "cp"] if place != summary else [place, *about]
        written = ["--summary", summary] if place == folder else []
        result = command(*typed, *written)
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        gains = [one["reward"]["limit"][0]["gain"] for one in (found, plain)]
        assert gains[0] == pytest.approx(gains[1], abs=1e-10)
    assert "exists" in command(folder, *about, "--summary", summary, "--checkpoint", tmp_path / "cp").stderr
    assert "summarises 'reward'" in command(summary, "--reward", "other").stderr
    assert "is a summary" in command(summary, *about, "--workers", "2").stderr
    for typed in (("--pool",), ("--prompt", "x"), ("--drop-missing",)):
        assert f"{typed[0]} says how rows are read" in command(summary, *about, *typed).stderr
    assert "be a part of" in command(folder, *about, "--summary", folder / "deep" / "x.parquet").stderr
    (folder / "s.parquet").write_bytes(summary.read_bytes())
    assert "s.parquet is a summary, not a part" in command(folder, *about, "--checkpoint", tmp_path / "cp").stderr
    assert read_summary(summary)[0].n_samples == N * PER


def test_an_address_of_another_file_system_is_read(folder: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("a.parquet", "b.csv", "deep/c.jsonl"):
        memory.pipe(f"/parts/{name}", (folder / name).read_bytes())
    for hidden in (".d.csv", ".ipynb_checkpoints/b.csv"):  # as those of a folder of this machine
        memory.pipe(f"/parts/{hidden}", b"not a table")
    plain = opened(folder)
    for place in ("memory://parts", "MEMORY://parts/**"):  # kinds are the same in capitals
        with open_parts(place, ASKED, folder.parent / "other") as table:
            assert np.array_equal(table.column("reward"), plain.column("reward"))
    memory.pipe("/parts/a.csv?token=1", b"reward\n1\n")
    with pytest.raises(InputError, match=r"^memory://parts/a\.csv\?token=1 has a query .* fetch it, and name the file"):
        list_parts("memory://parts/a.csv?token=1")
    memory.rm("/parts/a.csv?token=1")
    memory.pipe("/parts/d.parquet", b"PAR1 torn")
    with (
        pytest.raises(InputError, match=r"memory://.*d\.parquet is not a whole"),
        open_parts("memory://parts", ASKED, folder.parent / "other"),
    ):
        pass


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_kept_work_that_is_no_file_any_more_is_named(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.csv").write_text("prompt_id,reward\n0,1\n0,2\n1,3\n1,5\n")
    opened(tmp_path / "t")
    for kept in [path for path in (tmp_path / "kept").rglob("*") if "-piece-" not in path.name and path.is_file()]:
        content = kept.read_bytes()
        for replaced in (Path.mkdir, os.mkfifo):
            kept.unlink()
            replaced(kept)
            with pytest.raises(InputError, match=f"{kept.name} is not a file, as it was written; take it away"):
                opened(tmp_path / "t")
            kept.rmdir() if kept.is_dir() else kept.unlink()
            kept.write_bytes(content)


@pytest.mark.parametrize("place", ["", "*.csv", "**/*.csv"])
def test_a_part_that_leads_nowhere_is_not_left_out_in_silence(tmp_path: Path, place: str) -> None:
    (tmp_path / "a.csv").write_text("reward\n1\n")
    (tmp_path / "folder.csv").mkdir()
    for other in (".hidden.csv", "notes.pdf"):
        (tmp_path / other).symlink_to("gone")
    wheres = [str(tmp_path / place), f"file://{tmp_path / place}"]
    for where in wheres:
        assert [Path(part.path).name for part in list_parts(where)] == ["a.csv"]
    for name, target in (
        ("b.csv", "../gone"),
        ("b.csv", "b.csv"),
        ("b.csv", "/dev/zero"),
        ("sub", "gone"),
        ("k=.5", "gone"),
    ):
        if place == "*.csv" and name != "b.csv":
            continue
        (tmp_path / name).symlink_to(target)
        for listed, where in [(list_parts, where) for where in wheres] + ([] if place else [(tables_in, wheres[0])]):
            with pytest.raises(
                InputError, match=rf"{name} is (a link to '.*', which is not there|no file, but a pipe)"
            ):
                listed(where)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("place", ["*/*.csv", "day=[0-9]/in/*", "**/in/*.csv", "day=2/in/*.csv", "*/*/**/*.csv"])
@pytest.mark.parametrize("link", ["day=2", "day=2/in"])
def test_a_pattern_passes_over_no_folder_that_is_gone(tmp_path: Path, place: str, link: str) -> None:
    """As the folder itself is refused; what begins with a dot is not looked at."""
    (tmp_path / "day=1" / "in").mkdir(parents=True)
    for table in ("day=1/a.csv", "day=1/in/b.csv"):
        (tmp_path / table).write_text("reward\n1\n")
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "in").symlink_to("gone")
    if "day=2" not in place:
        assert list_parts(str(tmp_path / place))
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "gone")
    if (place, link) in (("*/*.csv", "day=2/in"), ("day=2/in/*.csv", "day=2")):  # which look for no such folder
        return
    for where in ("", "file://"):
        with pytest.raises(
            InputError, match=rf"{link} is a link to '.*gone', which is not there; fetch what it stands"
        ):
            list_parts(f"{where}{tmp_path / place}")


@pytest.mark.parametrize("place", ["", "*/*.csv", "**/*.csv", "*/b.csv"])
def test_a_pattern_passes_over_no_folder_that_is_closed(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user who may not look into one; whoever runs the tests may be allowed to."""
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "b.csv").write_text("reward\n1\n")
    closed, scandir, access = str(tmp_path / "closed"), os.scandir, os.access

    def looked_into(path: str) -> Any:
        if path == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", looked_into)
    monkeypatch.setattr(os, "access", lambda path, how: path != closed and access(path, how))
    with pytest.raises(PermissionError, match="closed"):
        list_parts(str(tmp_path / place))


@pytest.mark.parametrize("place", ["", "**/*.csv", "*/*.csv"])
def test_links_to_folders_are_followed_to_each_folder_once(tmp_path: Path, place: str) -> None:
    folder, elsewhere = tmp_path / "d", tmp_path / "elsewhere"
    for part in (folder / "a" / "1.csv", elsewhere / "2.csv", elsewhere / "in" / "3.csv"):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("reward\n1\n")
    for hidden in (folder / ".ipynb_checkpoints" / "4.csv", folder / "._1.csv"):
        hidden.parent.mkdir(exist_ok=True)
        hidden.touch()
    links = {"A": "a", "round": ".", "sub": "../elsewhere", "a/back": "..", "in": "../elsewhere/in", ".hidden": "/"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    for where in (folder / place, f"file://{folder / place}"):
        assert sorted(Path(part.path).name for part in list_parts(str(where))) == ["1.csv", "2.csv", "3.csv"]
    (elsewhere / "above").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"above is a link to '.*', which holds .*d itself; take it away"):
        list_parts(str(folder))
    (elsewhere / "above").unlink()
    (tmp_path / "lake" / "_delta_log").mkdir(parents=True)
    (tmp_path / "lake" / "day=1").mkdir()
    (folder / "lake").symlink_to("../lake/day=1")
    with pytest.raises(FolderError, match="Delta Lake"):
        list_parts(str(folder))


@pytest.mark.parametrize(
    "address",
    ["zip://a.csv::none.zip", "zip://a.csv", "tar://x::a.tar", "file:///x/a::b.csv", "ZIP://*.csv::b.zip",
     "blockcache::memory://x/a.csv"],
)  # fmt: skip
def test_what_lies_in_an_archive_is_to_be_unpacked(tmp_path: Path, address: str) -> None:
    """The names of such files are not those of their kind."""
    with pytest.raises(InputError, match=r"is an address within a file, .* unpack or copy what lies there"):
        list_parts(address)


def test_an_address_of_this_machine_is_its_path(tmp_path: Path) -> None:
    """Whichever command it is given; what names no file, or another machine, is told as it was typed."""
    path = tmp_path / "nothing.csv"
    for kind in ("file://", "local://", "FILE:", "file:///"):
        for name, *more in (("frontier", "--reward", "r"), ("kl",), ("passk",)):
            found = CliRunner().invoke(main, [name, f"{kind}{path}", *more])
            assert (found.exit_code, found.stdout) == (2, "")
            assert f"There is no file {path};" in found.stderr
    for typed, said in (
        ("tar://", "tar:// is the beginning of an address; give all of it"),
        ("file:///", "file:/// is the beginning of an address"),
        ("file://far/a.csv", "file://far/a.csv begins with the name of a machine; give the path alone"),
        ("blockcache::gs://b/a.csv", "blockcache::gs://b/a.csv is an address within a file"),
        ("TAR://a.csv::b.tar", "TAR://a.csv::b.tar is an address within a file"),
    ):
        for name in ("frontier", "kl"):
            found = CliRunner().invoke(main, [name, typed, *(["--reward", "r"] if name == "frontier" else [])])
            assert (found.exit_code, said in found.stderr) == (2, True), found.output


@pytest.mark.parametrize(
    "address", ["gs://b//k.csv", "hdfs:///k/t.csv", "az://c/./k.csv/", "gcs://b/of?f=sftp://h/k.csv"]
)
def test_an_address_is_asked_for_as_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Two objects of a store may differ by a slash, and a query may hold another address."""
    asked: list[str] = []

    def refused(path: str) -> None:
        asked.append(path)
        raise OSError("nobody is there")

    import fsspec

    from alignlib._core.names import as_path

    monkeypatch.setattr(fsspec.core, "url_to_fs", refused)
    for name, *more in (("frontier", "--reward", "r"), ("passk",), ("report", "--reward", "r")):
        more = [*more, "-o", str(tmp_path / "r")] if name == "report" else more
        found = CliRunner().invoke(main, [name, address, *more])
        assert f"{address} cannot be opened (nobody is there)" in found.stderr
    assert set(asked) == {address}
    found = CliRunner().invoke(main, ["compare", f"{address}?a=1", f"{address}?b=2", "--at", "0.2"])  # no names of runs
    assert f"Error: {address}?a=1 is an address, and a" in found.stderr
    for name, *more in (("kl",), ("capacity",), ("overlay",)):
        assert f"Error: {address} is an address, and a" in CliRunner().invoke(main, [name, address, *more]).stderr
    one_slash = re.sub(":/+", ":/", address, count=1)
    for name, *typed in (("kl", one_slash), ("compare", f"g={one_slash}", "h=b.csv"), ("passk", one_slash)):
        said = CliRunner().invoke(main, [name, *typed]).stderr
        assert f"{one_slash} is neither an address nor in a folder" in said
        assert "two slashes after its kind" in said
    monkeypatch.chdir(tmp_path)
    (tmp_path / address.partition("/")[0]).mkdir()  # a folder called like its kind
    assert str(as_path(address)) == str(Path(address))


def test_an_address_on_the_web_is_read(folder: Path) -> None:
    pytest.importorskip("aiohttp")
    kept = folder.parent / "other"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        for places in ((f"{root}/", folder), (f"{root}/a.parquet", folder / "a.parquet")):
            found = []
            for place in places:
                with open_parts(str(place), ASKED, kept) as table:
                    found.append(table.column("reward"))
            assert np.array_equal(*found)
        with pytest.raises(InputError, match=r"Nothing is found at http://.*/x\.csv"):
            list_parts(f"{root}/x.csv")
        listed = list_parts(f"{root}/b.csv")[0]
        os.utime(folder / "b.csv", (10**9, 10**9))
        with pytest.raises(InputError, match="changed while it was read"):
            listed.check_unchanged()
        server.shutdown()
    with pytest.raises(InputError, match=r"Nothing is found at http://.*/b\.csv; check the address"):
        listed.check_unchanged()


def test_a_folder_of_summaries_is_their_sum(folder: Path, tmp_path: Path) -> None:
    about = ("--reward", "reward", "--kl", "0.1", "--json")
    plain = command(folder, *about, "--checkpoint", tmp_path / "cp")
    (tmp_path / "sums").mkdir()
    width = ("--bin-width", "0.0078125", "--checkpoint", tmp_path / "cp")
    for name in ("a.parquet", "b.csv", "deep"):
        made = command(folder / name, *about, *width, "--summary", tmp_path / "sums" / f"{name[0]}.parquet")
        assert made.exit_code == 0, made.stderr
    merged = command(tmp_path / "sums", *about, "--summary", tmp_path / "all.parquet")
    assert merged.exit_code == 0, merged.stderr
    assert json.loads(merged.stdout)["reward"] == json.loads(plain.stdout)["reward"]
    assert read_summary(tmp_path / "all.parquet")[0].n_samples == N * PER
    (tmp_path / "sums" / "a.parquet").rename(tmp_path / "sums" / "z.parquet")
    assert command(tmp_path / "sums", *about, "--summary", tmp_path / "turned.parquet").stdout == merged.stdout
    assert (tmp_path / "turned.parquet").read_bytes() == (tmp_path / "all.parquet").read_bytes()
    (tmp_path / "sums" / "z.parquet").rename(tmp_path / "sums" / "a.parquet")
    pq.write_table(pq.read_table(tmp_path / "all.parquet").slice(0, 0), tmp_path / "none.parquet")
    assert "is a summary of no prompts" in command(tmp_path / "none.parquet", *about).stderr
    (tmp_path / "sums" / "again.parquet").write_bytes((tmp_path / "sums" / "a.parquet").read_bytes())
    assert "hold the same summary" in command(tmp_path / "sums", *about).stderr
    other = ("--bin-width", "0.5", "--summary", tmp_path / "sums" / "again.parquet", "--force")
    assert command(folder / "a.parquet", *about, "--checkpoint", tmp_path / "cp", *other).exit_code == 0
    assert "made with different --bin-width" in command(tmp_path / "sums", *about).stderr


def test_more_prompts_than_memory_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNLIB_MAX_BYTES", "2.8e3")
    with pytest.raises(InputError, match=r"a.parquet has about 60 distinct prompts, .* needs about 2.9 KiB of memory"):
        opened(folder / "a.parquet")


def test_bins_that_sql_made_are_a_table(tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("scored", rows(np.arange(N * PER)))
        pq.write_table(connection.sql(sql("scored", width=2.0**-9)).to_arrow_table(), tmp_path / "b.parquet")
    result = command(tmp_path / "b.parquet", "--reward", "reward", "--kl", "0.1", "--json")
    (tmp_path / "one.csv").write_text(as_csv(rows(np.arange(N * PER))), encoding="utf-8")
    plain = json.loads(command(tmp_path / "one.csv", "--reward", "reward", "--kl", "0.1", "--json").stdout)
    gains = [one["reward"]["limit"][0]["gain"] for one in (json.loads(result.stdout), plain)]
    assert gains[0] == pytest.approx(gains[1], abs=1e-6)


def test_names_of_columns_are_names_in_sql_whatever_they_hold() -> None:
    name = 'a"; DROP TABLE x; --\n'
    inside = sql("scored", prompt=name, reward=name, gold=name, width=0.25).replace('"a""; DROP TABLE x; --\n"', "")
    assert "DROP" not in inside
    for bad in ("", "a\0b"):
        with pytest.raises(InputError, match="must have a name without NUL"):
            sql("scored", reward=bad)


def test_an_ensemble_of_parts_is_that_of_the_table(tmp_path: Path) -> None:
    table = pa.table({"prompt_id": NAMES, "a": REWARDS, "b": REWARDS[::-1], "gold": np.roll(REWARDS, 1) + REWARDS})
    (tmp_path / "parts").mkdir()
    for k in range(2):
        pq.write_table(table.take(pa.array(np.arange(k, N * PER, 2))), tmp_path / "parts" / f"{k}.parquet")
    pq.write_table(table, tmp_path / "one.parquet")
    asked = ("--reward", "a", "--gold", "gold", "--ensemble", "a,b", "--n", "2", "--json")
    kept = ("--checkpoint", tmp_path / "cp", "--summary", tmp_path / "s.parquet")
    one, other, back = (
        json.loads(command(*typed, *asked).stdout)["hacking"]["ensemble"]
        for typed in ((tmp_path / "parts", *kept), (tmp_path / "one.parquet",), (tmp_path / "s.parquet",))
    )
    assert back == one
    none = command(tmp_path / "s.parquet", *asked[:5], "c*").stderr
    assert "is a summary with the members 'a', 'b', and none is 'c*'; write it with --gold and --ensemble" in none
    gains = [[row["gold_gain"] for row in (*found["members"], *found["combined"])] for found in (one, other)]
    assert gains[0] == pytest.approx(gains[1], abs=1e-10)


def test_pass_at_k_of_parts(tmp_path: Path) -> None:
    right = (REWARDS > 0.5).astype(int)
    table = pa.table({"prompt_id": NAMES, "correct": right, "half": 0.5 * right})
    (tmp_path / "parts").mkdir()
    order = np.random.default_rng(3).permutation(N * PER)
    for k, some in enumerate(np.array_split(order, 4)):
        pq.write_table(table.take(pa.array(some)), tmp_path / "parts" / f"{k}.parquet")
    pq.write_table(table, tmp_path / "one.parquet")
    kept = ("--checkpoint", tmp_path / "cp")
    found, plain = (
        json.loads(command(*typed, "--k", "1,4", "--json", name="passk").stdout)
        for typed in ((tmp_path / "parts", *kept), (tmp_path / "one.parquet",))
    )
    for one, other in zip(found["rows"], plain["rows"], strict=True):
        assert one == pytest.approx(other, abs=1e-12)
    assert found["n_samples"] == plain["n_samples"] == N * PER
    (tmp_path / "parts" / "other.csv").write_text("prompt_id,other\n1,1\n")
    for typed, said in (
        (("--answer", "a"), "--answer goes with"),
        ((), "other.csv has no column 'correct' (--correct)"),
    ):
        assert said in command(tmp_path / "parts", *kept, *typed, name="passk").stderr
    (tmp_path / "parts" / "other.csv").unlink()
    for typed, said in ((("--correct", "half"), "must be 1 or 0"),):
        assert said in command(tmp_path / "parts", *kept, *typed, name="passk").stderr


def test_refusals_name_options(folder: Path, tmp_path: Path) -> None:
    kept = ("--reward", "reward", "--checkpoint", tmp_path / "cp")
    (folder / "d.parquet").write_bytes(b"PAR1 torn")
    assert "pass --skip-corrupt to go on" in command(folder, *kept).stderr
    assert "--bin-width must be a power of two" in command(folder, *kept, "--bin-width", "0.3").stderr
    assert "holds no table" in command(tmp_path / "parts" / "deep" / "*.csv", *kept).stderr
    assert "no file" in command(tmp_path / "none.csv", *kept).stderr
    assert "--gold-table goes with" in command(folder, *kept, "--gold-table", folder / "b.csv").stderr
    assert "fsspec cannot open" in command("nosuch://x/y", *kept).stderr
    assert "must end in .parquet" in command(folder, *kept, "--summary", tmp_path / "s.csv").stderr


@pytest.fixture(scope="module")
def dask() -> Any:
    """Two workers, started once for all tests that need them, and forked: of each that is killed another is started."""
    from dask import config
    from distributed.utils import get_mp_context

    forked = {"distributed.worker.multiprocessing-method": "forkserver"}
    with config.set(forked if "forkserver" in multiprocessing.get_all_start_methods() else {}):
        get_mp_context()  # which preloads what Dask needs, once; what a worker of ours needs comes with it
        if "forkserver" in multiprocessing.get_all_start_methods():
            multiprocessing.get_context("forkserver").set_forkserver_preload(
                ["distributed", "alignlib.scale.opening", "alignlib.estimation", "alignbook.runner", "papermill"]
            )
        with engine_for(workers=2) as engine:
            yield engine


class _Killing:
    """An engine whose workers are killed, one at the first task of each kind of work."""

    def __init__(self, engine: Any, places: Path) -> None:
        self._engine, self._places = engine, places

    def map(self, work: Any, items: Any, *, at_once: int = 1) -> Any:
        name = getattr(work, "__qualname__", "other")
        once = (
            partial(_dies_once, work, str(self._places / name))
            if name in ("Store.summarise", "PassOverBlocks.__call__")
            else work
        )
        yield from self._engine.map(once, items, at_once=at_once)


def _dies_once(work: Any, place: str, item: Any) -> Any:
    """End the process the first time."""
    if not os.path.exists(place):
        Path(place).touch()
        os._exit(1)
    return work(item)


def _where_files_pass(_: int) -> str:
    return os.environ["TMPDIR"]


def test_what_workers_have_started_ends_before_their_folder_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has just begun when a signal comes would make the folder anew, which nobody clears then."""
    import distributed

    begun: list[Any] = []

    def cluster(**options: Any) -> Any:
        home = options["env"]["TMPDIR"]
        begun.append(subprocess.Popen(["sleep", "60"], env={**os.environ, "TMPDIR": f"{home}/run-1"}))
        return nullcontext()

    monkeypatch.setattr(distributed, "LocalCluster", cluster)
    monkeypatch.setattr(distributed, "Client", lambda _: nullcontext())
    with engine_for(workers=2):
        assert begun[0].poll() is None
    assert begun[0].wait(0.5) == -signal.SIGKILL


def test_what_workers_leave_lies_in_a_folder_that_goes_with_them(dask: Any) -> None:
    """Also where a signal ends them in the middle of a notebook."""
    ((_, place),) = dask.map(_where_files_pass, [0])
    assert Path(place).parent.name.startswith("alignlib-")


def test_workers_give_what_one_process_does_and_one_that_is_killed_changes_nothing(
    folder: Path, tmp_path: Path, dask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignlib.scale import opening

    monkeypatch.setattr(opening, "_IN_A_PIECE", 700)
    monkeypatch.chdir(folder.parent)  # where the workers are not
    kl = [0.05, 0.2]
    found = []
    for engine in (None, _Killing(dask, tmp_path)):
        with open_parts(folder.name, ASKED, folder.parent / "kept", engine=engine) as table:
            fit = fit_frontier(table, n_boot=100)
            found.append([*fit.at(kl).gain_low, *fit.at(kl).gain, *fit.share().gain_high])
    assert found[1] == pytest.approx(found[0], rel=0.0, abs=1e-12)
    assert (tmp_path / "Store.summarise").exists()
    assert (tmp_path / "PassOverBlocks.__call__").exists()


def test_a_sweep_runs_on_the_workers_of_a_scheduler(dask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.small_project import make_project, plain

    project = make_project(tmp_path / "clone", {"01_roots": plain()})
    monkeypatch.setattr("alignbook.project.own_project", lambda: project)
    monkeypatch.chdir(tmp_path)
    asked = []

    @contextmanager
    def there(*options: Any) -> Any:
        asked.append(options)
        yield dask

    monkeypatch.setattr("alignlib.scale.engine_for", there)
    for k, option in enumerate([("--scheduler", "tcp://host:1"), ("--workers", "2")]):
        done = command("roots", "--grid", f"n={3 + k}", *option, "-o", f"{k}.parquet", name="sweep")
        assert done.exit_code == 0, done.output
        found = pq.read_table(f"{k}.parquet")
        assert found["n"].to_pylist() == [3 + k]
        assert found["failed"].null_count == 1
    assert asked == [(None, "tcp://host:1"), (2, None)]


def test_bad_input_of_a_worker_is_the_same_sentence(folder: Path, dask: Any) -> None:
    (folder / "d.csv").write_text("prompt_id,reward\n1,2\n1,nan\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"d\.csv lack a finite value"):
        opened(folder, engine=dask)


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (None, "does not answer"),
        (b"", "does not answer"),
        (b"SSH-2.0-OpenSSH_9\r\n", "is answered by something that is no scheduler of Dask"),
    ],
    ids=["closed", "silent", "another"],
)
def test_a_scheduler_that_does_not_answer_is_a_sentence(
    greeting: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignlib.scale import engine

    held = []

    def answer(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                held.append(server.accept()[0])
                held[-1].sendall(greeting or b"")

    monkeypatch.setattr(engine, "_SECONDS", 0.5)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        if greeting is None:
            server.close()
        else:
            Thread(target=answer, args=(server,), daemon=True).start()
        with pytest.raises(InputError, match=said), engine_for(scheduler=address):
            pass
        if greeting is not None:
            server.shutdown(socket.SHUT_RDWR)
    for one in held:
        one.close()


def test_a_scheduler_that_is_lost_is_a_sentence_and_what_was_done_is_kept(folder: Path) -> None:
    """A real one, which goes when the first part is read."""
    import dask
    from distributed import LocalCluster

    quiet = {"processes": False, "protocol": "tcp://", "dashboard_address": ":0", "silence_logs": 60}
    with (
        ExitStack() as in_the_end,
        LocalCluster(n_workers=1, threads_per_worker=1, **quiet) as cluster,  # type: ignore[no-untyped-call]
    ):

        def tell(what: str, done: int, of: int) -> None:
            if done < of:
                cluster.sync(cluster.scheduler.close)

        with pytest.raises(FileNotFoundError), engine_for(scheduler=cluster.scheduler_address) as engine:
            list(engine.map(os.stat, [folder / "none"]))  # of the work itself: no scheduler is lost
        with (
            pytest.raises(InputError, match=r"The scheduler at tcp://\S+ was lost .* what was done is kept"),
            engine_for(scheduler=cluster.scheduler_address) as engine,
        ):
            opened(folder, engine=engine, tell=tell)
        # The worker of this cluster, when it is closed, looks for the scheduler that is gone.
        in_the_end.enter_context(dask.config.set({"distributed.comm.timeouts.connect": "0.1s"}))
    told = []
    table = opened(folder, tell=lambda *about: told.append(about))
    assert told[0][0] == "kept"
    assert told[0][1] >= 1
    assert table.offsets[-1] == N * PER


def test_a_report_lies_where_its_files_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alignlib.cli._bad_input import BadInput
    from alignlib.cli._scale import location, place

    assert place(folder / "**" / "*.csv") == folder
    assert place(folder / "a.parquet") == folder / "a.parquet"
    with pytest.raises(BadInput, match="files of this machine"):
        place(Path("s3://bucket/x"))
    monkeypatch.chdir(folder)
    Path("exp:").mkdir()
    assert [location(Path(typed)) for typed in ("exp:/t.csv", "ext://t.csv")] == ["exp:/t.csv", "ext://t.csv"]
    Path("exp:").rmdir()


def test_the_name_of_a_file_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder called like the beginning of an address stays a folder; links to it lead there once."""
    outside, inside = tmp_path / "o", tmp_path / "d" / f"file:{tmp_path}" / "o"
    for folder, rows in ((outside, range(30)), (inside, range(3)), (tmp_path / "d", range(10, 14))):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "s.csv").write_text("prompt_id,r\n" + "".join(f"{i},{i + k}\n" for i in rows for k in (0, 1, 3)))
    (tmp_path / "d" / "round").symlink_to(tmp_path / "d")
    (tmp_path / "d" / "again").symlink_to(tmp_path / "d")
    monkeypatch.chdir(tmp_path / "d")
    for location in (".", "**/*.csv"):
        parts = list_parts(location)
        assert sorted(os.path.samefile(part.path, inside / "s.csv") for part in parts) == [False, True]
        assert not any(part.url for part in parts)
        for part in parts:
            part.check_unchanged()


@pytest.mark.parametrize("address", ["data://h/x.csv", "zip://x.csv::file:///none.csv", "reference://h/x.csv"])
def test_whatever_an_address_is_answered_with_is_a_sentence(address: str) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(InputError, match=r"fsspec cannot|within a file|Nothing is found|cannot be (read|opened) \("):
        list_parts(address)


def test_few_long_texts_that_each_come_many_times_are_not_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small Parquet file whose column of text is 400 MB once every row has its own."""
    texts = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(4, dtype=np.int32), 50)), pa.array([f"{k}" + "x" * 2_000_000 for k in range(4)])
    )
    table = pa.table({"prompt_id": texts, "r": np.random.default_rng(0).normal(size=200)})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=1 << 30, store_schema=False)
    assert path.stat().st_size < 100_000
    monkeypatch.setenv("ALIGNLIB_MAX_BYTES", "1e8")
    with pytest.raises(InputError, match=r"column 'prompt_id' of .*a\.parquet needs about"):
        list(pieces.open_pieces(str(path), lambda file: ["prompt_id", "r"]))
    monkeypatch.setenv("ALIGNLIB_MAX_BYTES", "1e9")
    (piece,) = pieces.open_pieces(str(path), lambda file: ["prompt_id", "r"])
    assert pa.types.is_string(piece.load(["prompt_id"]).column(0).type)


def test_a_part_that_was_written_twice_is_said(tmp_path: Path) -> None:
    """By itself it is read once."""
    rng = np.random.default_rng(4)
    rows = "".join(f"{i},{r:.6f}\n" for i in range(20) for r in rng.standard_normal(8))
    for text, said in ((rows + rows, True), (rows, False)):
        (tmp_path / "a.csv").write_text("prompt_id,r\n" + text)
        with open_parts(str(tmp_path), Question("prompt_id", ("r",)), tmp_path / "kept") as table:
            assert any("comes 2 times or a multiple of it, and each counts" in note for note in table.notes) == said


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (0, "40 of 160 samples of {0} have the prompt and reward of another"),
        (
            5,
            "10 of 10 prompts that stand in two parts have the same rewards in both, such as in {0}/a.csv and",
        ),
    ],
)
def test_half_of_a_part_that_was_written_twice_is_said(tmp_path: Path, levels: int, said: str) -> None:
    """Also where rewards tie; other samples of the same prompts are none of that."""
    rng, folder = np.random.default_rng(4), tmp_path / "parts"
    folder.mkdir()

    def rows(prompts: int) -> list[str]:
        draw = rng.integers(0, levels, (prompts, 12)) if levels else rng.standard_normal((prompts, 4)).round(6)
        return [f"{i},{r}\n" for i in range(prompts) for r in draw[i].tolist()]

    one, other = rows(20 if levels else 30), rows(20 if levels else 30)
    half = one[: 120 if levels else 40]
    for second, is_said in ((half, True), (other, False)):
        for name, some in (("a", one), ("b", second)):
            (folder / f"{name}.csv").write_text("prompt_id,r\n" + "".join(some))
        with open_parts(str(folder), Question("prompt_id", ("r",)), tmp_path / "kept") as table:
            assert any(note.startswith(said.format(folder)) for note in table.notes) == is_said


@pytest.mark.parametrize("prompts", [1, 2, 20])
def test_gold_of_prompts_in_bins_has_the_limit_of_its_samples(prompts: int, tmp_path: Path) -> None:
    size, made = EXACT_UP_TO + 16, tmp_path / "parts"
    made.mkdir()
    rng = np.random.default_rng(prompts)
    reward = rng.standard_normal(prompts * size)
    gold = 0.6 * reward + 0.8 * rng.standard_normal(reward.size)  # of unit variance
    names = np.repeat(np.arange(prompts), size)
    pq.write_table(pa.table({"prompt_id": names, "reward": reward, "gold": gold}), made / "a.parquet")
    table = opened(made, Question("prompt_id", ("reward", "gold")))
    assert (table.n_prompts, table.all_held) == (prompts, False)
    fit = fit_frontier(table, "gold", n_boot=100)
    assert fit.fixed_prompts == (prompts < 20)
    if prompts == 2:  # as in memory
        held = fit_frontier(opened(made, Question("prompt_id", ("reward", "gold")), exact_up_to=10**6), "gold")
        pairs = [(one.at(0.5), one.share([BestOfN(4)], "reward")) for one in (held, fit)]
        for name in ("gain", "gain_low", "gain_high"):
            one, other = (getattr(limit, name)[0] for limit, _ in pairs)
            assert other == pytest.approx(one, abs=1e-6 if name == "gain" else 1e-2)
        for name, off in (("gain", 1e-3), ("share", 1e-3), ("share_low", 0.02), ("share_high", 0.02)):
            one, other = (getattr(best, name)[0] for _, best in pairs)
            assert other == pytest.approx(one, abs=off)
    write_summary(table.kept(), tmp_path / "kept.parquet", counts=table.kept_counts)
    back = fit_frontier(table_of(read_kept(tmp_path / "kept.parquet")[0]), "gold", n_boot=100)
    assert back.at(0.5).gain_high == fit.at(0.5).gain_high
    assert back.share([BestOfN(4)], "reward").share_low == fit.share([BestOfN(4)], "reward").share_low
    limit, best = fit.at(0.5), fit.share([BestOfN(4)], "reward")
    assert limit.gain_low[0] < 1.0 < limit.gain_high[0]  # of the normal law
    assert best.gain_low[0] < 0.6 * 1.0294 < best.gain_high[0]
    assert best.share is not None
    assert best.share[0] == pytest.approx(0.6 * 1.0294 / math.sqrt(2.0 * 0.6363), abs=0.02)


def test_rows_are_dealt_into_the_same_groups_wherever_a_folder_is_named_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    question = Question(None, ("reward",), widths=(0.25,), groups=5)
    names = (folder, folder.name)  # workers have absolute paths
    one, other = ([list(reading_parts.summaries(part, question)) for part in list_parts(str(name))] for name in names)
    assert one == other
    assert len(one[0][0].summary.sizes) == 5


@pytest.mark.parametrize("scores", ["normal", "few levels"])
def test_an_ensemble_in_bins_is_that_of_its_samples(scores: str, tmp_path: Path) -> None:
    size, made = EXACT_UP_TO + 16, tmp_path / "parts"
    made.mkdir()
    rng = np.random.default_rng(5)
    names = np.repeat(np.arange(3), size)
    gold, shared, *own = rng.standard_normal((5, names.size))
    members = {f"s{k}": 10.0**k * (gold + 0.7 * shared + (1.0 + k) * one) for k, one in enumerate(own)}
    if scores == "few levels":
        members = {name: np.round(values / values.std()) for name, values in members.items()}
    table = pa.table({"prompt_id": names, "gold": gold} | members)
    for k in range(2):
        pq.write_table(table.take(pa.array(np.arange(k, names.size, 2))), made / f"{k}.parquet")
    few = pa.table({"prompt_id": [9, 9], "gold": [0.0, 1.0]} | {name: [0.0, 1.0] for name in members})
    pq.write_table(few, made / "few.parquet")
    question = Question("prompt_id", ("s0", "gold"), members=("s0", "s1", "s2"))
    with open_parts(str(made), question, tmp_path / "cp", drop_below=3) as binned:
        held = RewardTable.from_arrays(
            {
                name: table[name].to_numpy().reshape(3, size)[binned.prompts[:].astype(int)]
                for name in table.column_names[1:]
            }
        )
        asked: Any = (["s0", "s1", "s2"], "gold")
        kinds, rule = ["mean", "median", "min"], BestOfN(8)
        even = on_one_scale(held, asked[0])
        assert binned.ensemble is not None
        assert on_one_scale(binned, asked[0]) is binned
        one, other = (compare_members(its, *asked, rule=rule, kinds=kinds) for its in (even, binned))
        assert other.gold_gain == pytest.approx(one.gold_gain, abs=5e-3)
        assert other.spent == pytest.approx(one.spent, abs=1e-3)
        assert (other.gold_low <= one.gold_low + 1e-9).all()  # what bins leave open is in it
        assert (other.gold_high >= one.gold_high - 1e-9).all()
        assert other.difference == pytest.approx(one.difference, abs=5e-3)
        split, of_bins = (split_error(its, *asked) for its in (even, binned))
        for name in ("shared", "own", "slope", "shared_low", "shared_high", "own_high"):
            assert getattr(of_bins, name) == pytest.approx(getattr(split, name), abs=1e-3)
        write_summary(binned.kept(), tmp_path / "kept.parquet", counts=binned.kept_counts)
        back = table_of(read_kept(tmp_path / "kept.parquet")[0])
        assert compare_members(back, *asked, rule=rule, kinds=kinds) == other  # to the last bit
        assert split_error(back, *asked) == of_bins
        with pytest.raises(InputError, match="include gold"):
            check_members(binned, ["s0", "gold"], "gold")
        with pytest.raises(InputError, match="is named twice"):
            check_members(binned, ["s0", "s0"], "gold")
    assert not (tmp_path / "cp").exists()
    again = pa.table({"prompt_id": names, "gold": gold, "s0": members["s0"], "twice": 2.0 * members["s0"] + 1.0})
    pq.write_table(again, made / "0.parquet")
    for name in ("1.parquet", "few.parquet"):
        (made / name).unlink()
    question = Question("prompt_id", ("s0", "gold"), members=("s0", "twice"))
    with open_parts(str(made), question, tmp_path / "cp") as binned, pytest.raises(InputError, match="duplicates 's0'"):
        check_members(binned, ["s0", "twice"], "gold")


def in_parts(folder: Path, table: pa.Table) -> Path:
    """Write every second row of a table into another part."""
    folder.mkdir()
    for k in range(2):
        pq.write_table(table.take(pa.array(np.arange(k, table.num_rows, 2))), folder / f"{k}.parquet")
    return folder


def with_golds(sizes: list[int], seed: int, named: str = "p") -> pa.Table:
    """Members a, b, c and gold of prompts with so many samples; bins by a member tell little of gold."""
    rng = np.random.default_rng(seed)
    gold = rng.gamma(2.0, size=sum(sizes))
    members = {name: (k + 1) * gold + 3.0 * rng.standard_normal(gold.size) for k, name in enumerate("abc")}
    return pa.table(
        {"prompt_id": np.repeat([f"{named}{k}" for k in range(len(sizes))], sizes), **members, "gold": gold}
    )


GOLD = ("--reward", "a", "--gold", "gold", "--kl", "0.1", "--n", "2", "--json")


def told(table: Path, *more: object, members: str | None = None) -> dict[str, Any]:
    """What `frontier` says of gold, and of an ensemble."""
    ensemble = () if members is None else ("--ensemble", members)
    result = command(table, *GOLD, *ensemble, *more)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize("sizes", [[24] * 20, [24, 60] * 2], ids=["held", "dealt"])
def test_gold_of_prompts_in_bins_with_few_samples_is_that_of_the_samples(sizes: list[int], tmp_path: Path) -> None:
    table = with_golds(sizes, 4)
    pq.write_table(table, tmp_path / "one.parquet")
    more = "--exact-up-to", 30 if 60 in sizes else 0, "--checkpoint", tmp_path / "cp"
    kept = tmp_path / "kept.parquet"
    one, other, back = (
        told(*typed, members="a,b,c")
        for typed in (
            (tmp_path / "one.parquet",),
            (in_parts(tmp_path / "parts", table), *more, "--summary", kept),
            (kept,),
        )
    )
    assert {**back, "table": None, "path": None} == {**other, "table": None, "path": None}
    assert back["table"]["notes"] == other["table"]["notes"]
    for side in ("reward", "gold"):
        assert other[side]["limit"][0]["gain"] == pytest.approx(one[side]["limit"][0]["gain"], rel=1e-4)
    best, its = (found["gold"]["rules"][0] for found in (one, other))
    assert its["gain"] == pytest.approx(best["gain"], rel=1e-2)
    assert its["share"] == pytest.approx(best["share"], rel=1e-2)
    for mine, plain in zip(other["hacking"]["ensemble"]["members"], one["hacking"]["ensemble"]["members"], strict=True):
        assert mine["gold_gain"] == pytest.approx(plain["gold_gain"], abs=0.02)


def test_summaries_of_few_prompts_add_up_whatever_their_number_and_samples(tmp_path: Path) -> None:
    (tmp_path / "sums").mkdir()
    width = "--bin-width", "0.0078125", "--checkpoint", tmp_path / "cp"
    tables = [with_golds([40] * 3, 1, "x"), with_golds([20] * 4 + [40], 2, "y"), with_golds([25] * 5, 3, "z")]

    def kept(k: int) -> None:
        made = in_parts(tmp_path / str(k), tables[k])
        told(made, *width, *(() if k > 1 else ("--exact-up-to", 30)), "--summary", tmp_path / "sums" / f"{k}.parquet")

    def compare(known: list[pa.Table], summary: Path) -> dict[str, Any]:
        pq.write_table(pa.concat_tables(known), tmp_path / "one.parquet")
        other, one = told(summary), told(tmp_path / "one.parquet")
        assert other["reward"]["fixed_prompts"] == one["reward"]["fixed_prompts"]
        assert other["gold"]["limit"][0]["gain"] == pytest.approx(one["gold"]["limit"][0]["gain"], rel=1e-3)
        assert other["gold"]["rules"][0]["share"] == pytest.approx(one["gold"]["rules"][0]["share"], rel=1e-2)
        return other

    for k in range(2):
        kept(k)
    compare(tables[:2], tmp_path / "sums")  # in 50 groups and in 40
    kept(2)  # whose samples are all held
    found = told(tmp_path / "sums", "--summary", tmp_path / "all.parquet")
    assert compare(tables, tmp_path / "all.parquet")["gold"] == found["gold"]
    few = told(tmp_path / "all.parquet", "--min-samples", 30)
    pq.write_table(pa.concat_tables([tables[0], tables[1].slice(80)]), tmp_path / "one.parquet")
    assert few["gold"]["limit"][0]["gain"] == pytest.approx(
        told(tmp_path / "one.parquet")["gold"]["limit"][0]["gain"], rel=1e-3
    )
    tables.append(with_golds([20] * 20, 5, "w"))
    kept(3)
    compare(tables, tmp_path / "sums")  # 33 prompts, which stand for others


def test_samples_of_few_prompts_are_dealt_however_few_and_what_is_refused_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "sums").mkdir()
    more = "--exact-up-to", 0, "--bin-width", 0.25, "--checkpoint", tmp_path / "cp"
    tables = [with_golds([10] * 12, 1), with_golds([8] * 12, 2)]
    for k, table in enumerate(tables):
        told(in_parts(tmp_path / str(k), table), *more, "--summary", tmp_path / "sums" / f"{k}.parquet")
    whole = told(in_parts(tmp_path / "whole", pa.concat_tables(tables)), *more)
    merged = told(tmp_path / "sums", "--summary", tmp_path / "all.parquet")
    again = told(tmp_path / "all.parquet")
    for side in ("reward", "gold"):
        assert merged[side]["limit"] == again[side]["limit"]
        assert merged[side]["limit"][0]["gain"] == pytest.approx(whole[side]["limit"][0]["gain"], rel=1e-9)
    refused = command(tmp_path / "sums", *GOLD, "--kl", "1e9", "--summary", tmp_path / "none.parquet")
    assert (refused.exit_code, "Wrote" in refused.stderr) == (2, False), refused.stderr
    assert not (tmp_path / "none.parquet").exists()


def test_gold_is_not_guessed_from_bins_of_another_reward(tmp_path: Path) -> None:
    import duckdb

    table = with_golds([24] * 20, 6)
    with duckdb.connect() as connection:
        connection.register("scored", table)
        made = connection.sql(sql("scored", reward="a", gold="gold", width=0.5)).to_arrow_table()
    (tmp_path / "sums").mkdir()
    pq.write_table(made, tmp_path / "sums" / "sql.parquet")
    refused = command(tmp_path / "sums" / "sql.parquet", *GOLD).stderr
    assert "takes every sample of 'gold', and 20 prompts have theirs in bins" in refused
    plain = ("--reward", "a", "--kl", "0.1", "--json")
    more = "--bin-width", "0.5", "--checkpoint", tmp_path / "cp", "--summary", tmp_path / "sums" / "ours.parquet"
    told(in_parts(tmp_path / "parts", with_golds([24] * 20, 7, "q")), *more)
    both = command(tmp_path / "sums", *plain)  # of the statement nobody knows what --exact-up-to would be
    assert both.exit_code == 0, both.stderr
    assert "20 prompts" in command(tmp_path / "sums", *GOLD).stderr


def test_nothing_is_logged_of_a_scheduler_that_is_lost() -> None:
    log = logging.getLogger("distributed.client")
    with engines._unheard():
        assert not log.isEnabledFor(logging.CRITICAL)
    assert log.isEnabledFor(logging.CRITICAL)
