"""Shards, settings and locks of a long job; no torch needed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib._core.errors import InputError
from alignlib.models import resumable
from alignlib.models.journal import JOURNAL, _digest, _line
from alignlib.models.resumable import Parts, discard, write_parquet

SETTINGS = {"n": 4, "seed": 0}


def plan(rows: int = 3) -> Any:
    return lambda: {"shard_rows": rows}


def rows(parts: Parts, shard: int) -> pa.Table:
    return pa.table({"row": list(parts.rows(shard))})


def test_shards_are_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "t.parts"
    with Parts.begin(folder, SETTINGS, 8, plan()) as parts:
        assert (parts.n_shards, parts.n_done) == (3, 0)
        assert parts.last_batch_size is None
        parts.write(0, rows(parts, 0).replace_schema_metadata({"batch_size": "2"}))
    with Parts.begin(folder, SETTINGS, 8, plan(5)) as parts:
        assert parts.shard_rows == 3  # the plan of the beginning holds
        assert parts.n_done == 1
        assert parts.last_batch_size == 2
        for shard in (1, 2):
            parts.write(shard, rows(parts, shard))
        assert [len(parts.rows(shard)) for shard in range(3)] == [3, 3, 2]
        parts.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_did_nothing_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "t.parts"

    def no_plan() -> Any:
        raise InputError("no")

    with pytest.raises(InputError, match="no"), Parts.begin(folder, SETTINGS, 8, no_plan):
        pass
    assert list(tmp_path.iterdir()) == []

    def stopped_after(parts: Parts, done: int) -> None:
        for shard in range(done):
            parts.write(shard, rows(parts, shard))
        raise KeyboardInterrupt

    for done in (0, 1):
        with pytest.raises(KeyboardInterrupt), Parts.begin(folder, SETTINGS, 8, plan()) as parts:
            stopped_after(parts, done)
        assert folder.exists() == bool(done)  # what is done is not lost


@settings(deadline=None)  # it writes files
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_gathering_is_a_permutation(
    tmp_path_factory: pytest.TempPathFactory, n: int, size: int, block: int, random: Any
) -> None:
    folder = tmp_path_factory.mktemp("gather") / "parts"
    order = np.array(random.sample(range(n), n))
    with Parts.begin(folder, {}, n, plan(size)) as parts:
        for shard in range(parts.n_shards):
            parts.write(shard, rows(parts, shard))
        blocks = list(parts.gather(order, block))
    assert [value for table in blocks for value in table["row"].to_pylist()] == order.tolist()
    assert max(table.num_rows for table in blocks) <= block


def test_a_shard_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    with (
        Parts.begin(tmp_path / "p", {}, 4, plan()) as parts,
        pytest.raises(ValueError, match="must have 3 rows; got 1"),
    ):
        parts.write(0, pa.table({"row": [0]}))


def test_a_changed_setting_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    with Parts.begin(folder, SETTINGS, 4, plan()) as parts:
        parts.write(0, rows(parts, 0))
    for changed, expected in (
        ({**SETTINGS, "n": 5}, "n=4, now it is 5; give"),
        ({"n": 5, "seed": 1}, "n=4, now it is 5 (seed changed too)"),
        ({**SETTINGS, "new": "a"}, "new=None, now it is 'a'"),
    ):
        with pytest.raises(InputError) as caught, Parts.begin(folder, changed, 4, plan()):
            pass
        assert expected in str(caught.value)
        assert caught.value.argument in ("n", "new")
    with Parts.begin(folder, SETTINGS, 4, plan()) as parts:
        assert parts.n_done == 1


def test_settings_may_change_before_the_first_shard(tmp_path: Path) -> None:
    with Parts.begin(tmp_path / "p", SETTINGS, 4, plan()):
        pass
    with Parts.begin(tmp_path / "p", {"n": 9}, 4, plan(2)) as parts:
        assert parts.shard_rows == 2
    assert json.loads((tmp_path / "p" / JOURNAL).read_text())["settings"] == {"n": 9}


def test_one_process_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no file locks of that kind")
    with (
        Parts.begin(tmp_path / "p", SETTINGS, 4, plan()),
        pytest.raises(InputError, match="Another process is at work"),
        Parts.begin(tmp_path / "p", SETTINGS, 4, plan()),
    ):
        pass
    with Parts.begin(tmp_path / "p", SETTINGS, 4, plan()):
        pass


def test_foreign_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.txt"), Parts.begin(tmp_path, SETTINGS, 4, plan()):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


# ------------------------------------------------------------------ tampering
def begun(folder: Path, n_rows: int = 12, n_done: int = 3) -> Path:
    with Parts.begin(folder, SETTINGS, n_rows, plan()) as parts:
        for shard in range(n_done):
            parts.write(shard, rows(parts, shard))
    return folder


def swapped(folder: Path) -> None:
    first, second = folder / "000000.parquet", folder / "000001.parquet"
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)


def edited_shard(folder: Path) -> None:
    """As a careful hand would: same schema, same metadata, another value."""
    path = folder / "000001.parquet"
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.set_column(0, "row", pa.array([7, 7, 7])), path)


def edit_line(number: int, change: Any) -> Any:
    def apply(folder: Path) -> None:
        lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
        lines[number : number + 1] = change(lines[number])
        (folder / JOURNAL).write_bytes(b"".join(lines))

    return apply


def replaced(old: bytes, new: bytes) -> Any:
    return lambda line: [line.replace(old, new)]


TAMPERING = {
    "swapped": (swapped, r"000000\.parquet is not as the job wrote it \(it holds shard 1\)"),
    "doubled": (
        lambda p: shutil.copy(p / "000000.parquet", p / "000002.parquet"),
        r"000002\.parquet is not as the job wrote it \(it holds shard 0\)",
    ),
    "truncated": (lambda p: os.truncate(p / "000001.parquet", 100), r"000001\.parquet is not as the job wrote it;"),
    "emptied": (lambda p: os.truncate(p / "000001.parquet", 0), r"000001\.parquet is not as the job wrote it;"),
    "edited": (edited_shard, r"000001\.parquet is not as the job wrote it;"),
    "one bit": (
        lambda p: (p / "000002.parquet").write_bytes(
            (data := (p / "000002.parquet").read_bytes())[:20] + bytes([data[20] ^ 1]) + data[21:]
        ),
        r"000002\.parquet is not as the job wrote it;",
    ),
    "removed": (lambda p: (p / "000001.parquet").unlink(), r"000001\.parquet is missing, though the journal lists it"),
    "added": (
        lambda p: shutil.copy(p / "000000.parquet", p / "000009.parquet"),
        r"000009\.parquet is there, but the journal does not list it",
    ),
    "a link": (
        lambda p: ((p / "000001.parquet").rename(p.parent / "x"), (p / "000001.parquet").symlink_to(p.parent / "x")),
        r"holds 000001\.parquet, which is no part of a job",
    ),
    "no journal": (lambda p: (p / JOURNAL).unlink(), r"000000\.parquet is there, but there is no journal"),
    "emptied journal": (lambda p: os.truncate(p / JOURNAL, 0), r"journal\.jsonl is empty or cut"),
    "no line break": (lambda p: (p / JOURNAL).write_bytes(b"{}"), r"journal\.jsonl is empty or cut"),
    "emptied settings": (edit_line(0, lambda line: [b"{}\n"]), r"Line 1 of .*journal\.jsonl is not as"),
    "another seed": (edit_line(0, replaced(b'"seed": 0', b'"seed": 1')), r"Line 1 of .*journal\.jsonl is not as"),
    "another size": (edit_line(0, replaced(b'rows": 3', b'rows": 2')), r"Line 1 of .*journal\.jsonl is not as"),
    "not JSON": (edit_line(2, lambda line: [b"nonsense\n"]), r"Line 3 of .*journal\.jsonl is not as"),
    "a list": (edit_line(2, lambda line: [b"[]\n"]), r"Line 3 of .*journal\.jsonl is not as"),
    "nested": (edit_line(1, lambda line: [b"[" * 100_000 + b"\n"]), r"Line 2 of .*journal\.jsonl is not as"),
    "a line twice": (edit_line(1, lambda line: [line, line]), r"Line 3 of .*journal\.jsonl is not as"),
    "a line less": (edit_line(1, lambda line: []), r"Line 2 of .*journal\.jsonl is not as"),
    "cut at the end": (
        lambda p: (p / JOURNAL).write_bytes(b"".join((p / JOURNAL).read_bytes().splitlines(keepends=True)[:2])),
        r"000002\.parquet is there, but the journal does not list it",
    ),
}


def forged(change: Any = lambda head, shards: None, files: Any = lambda folder: None) -> Any:
    """Tamper with a right journal: with lines, files or both, and all digests made anew."""

    def apply(folder: Path) -> None:
        lines = [json.loads(line) for line in (folder / JOURNAL).read_bytes().splitlines()]
        head, *shards = ({name: said[name] for name in said if name != "digest"} for said in lines)
        files(folder)
        for said in shards:
            path = folder / f"{said['shard']:06d}.parquet"
            said["file"] = hashlib.sha256(path.read_bytes()).hexdigest()
        shards = change(head, shards) or shards
        out, digest = b"", ""
        for said in (head, *shards):
            digest = _digest(digest, said)
            out += _line(said, digest)
        (folder / JOURNAL).write_bytes(out)

    return apply


def remade(**change: Any) -> Any:
    """Write shard 1 anew, with its own metadata, other columns or other rows."""

    def apply(folder: Path) -> None:
        path = folder / "000001.parquet"
        table = pq.read_table(path, partitioning=None)
        columns = {**{name: table[name] for name in table.column_names}, **change}
        pq.write_table(pa.table(columns).replace_schema_metadata(table.schema.metadata), path)

    return apply


def again(folder: Path) -> None:
    shutil.copy(folder / "000000.parquet", folder / "000003.parquet")


FORGED = {
    "forged: swapped": (forged(files=swapped), r"000000\.parquet is not as the job wrote it \(it holds shard 1\)"),
    "forged: doubled": (
        forged(lambda head, shards: [*shards, {**shards[0], "shard": 3}], again),
        r"000003\.parquet is not as the job wrote it \(it holds shard 0\)",
    ),
    "forged: smaller shards": (
        forged(lambda head, _: head["plan"].update(shard_rows=2)),
        r"000000\.parquet is not as the job wrote it;",
    ),
    "forged: shards without end": (
        forged(lambda head, _: head["plan"].update(shard_rows=10**400)),
        r"000000\.parquet is not as the job wrote it;",
    ),
    "forged: fewer rows": (forged(files=remade(row=[7])), r"000001\.parquet is not as the job wrote it;"),
    "forged: one column more": (
        forged(files=remade(more=[0, 0, 0])),
        r"000001\.parquet is not as the job wrote it;",
    ),
    "forged: another type": (
        forged(files=remade(row=["a", "b", "c"])),
        r"000001\.parquet is not as the job wrote it;",
    ),
    "forged: no Parquet": (
        forged(files=lambda p: (p / "000001.parquet").write_bytes(b"PAR1 and nothing more")),
        r"000001\.parquet is not as the job wrote it;",
    ),
    "forged: of another job": (
        forged(lambda head, _: head["settings"].update(seed=1)),
        r"000000\.parquet is not as the job wrote it;",
    ),
    "the folder a link": (
        lambda p: (p.rename(p.parent / "elsewhere"), p.symlink_to(p.parent / "elsewhere")),
        r"t\.parts is a link, where a job makes a folder of its own; remove it",
    ),
}
TAMPERING |= FORGED


@pytest.mark.parametrize("kind", TAMPERING)
def test_every_tampering_is_one_sentence_that_names_the_file(tmp_path: Path, kind: str) -> None:
    change, said = TAMPERING[kind]
    folder = begun(tmp_path / "t.parts")
    change(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=said) as caught, Parts.begin(folder, SETTINGS, 12, plan()):
        pass
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_endless_journal_is_not_read(tmp_path: Path) -> None:
    folder = begun(tmp_path / "p")
    os.truncate(folder / JOURNAL, 1 << 40)  # takes no room
    with (
        pytest.raises(InputError, match=r"is larger than any journal"),
        Parts.begin(folder, SETTINGS, 12, plan()),
    ):
        pass


def test_a_journal_of_another_schema_is_named(tmp_path: Path) -> None:
    said: dict[str, Any] = {"schema": 99, "settings": SETTINGS, "plan": {"shard_rows": 3}, "n_rows": 12}
    (tmp_path / "p").mkdir()
    for change in ({}, {"schema": 1, "plan": {"shard_rows": 0}}, {"schema": 1, "n_rows": "12"}, {"schema": True}):
        line = {**said, **change}
        (tmp_path / "p" / JOURNAL).write_bytes(_line(line, _digest("", line)))
        with pytest.raises(InputError, match=r"journal\.jsonl is not of schema 1"):
            begun(tmp_path / "p")


@pytest.mark.parametrize("said", ["abc", "0", "", "9" * 400, b"\xff"])
def test_a_batch_size_that_is_none_is_named(tmp_path: Path, said: str | bytes) -> None:
    with Parts.begin(tmp_path / "p", SETTINGS, 4, plan()) as parts:
        parts.write(0, rows(parts, 0).replace_schema_metadata({"batch_size": said}))
    with (
        Parts.begin(tmp_path / "p", SETTINGS, 4, plan()) as parts,
        pytest.raises(InputError, match=r"000000\.parquet is not as the job wrote it"),
    ):
        _ = parts.last_batch_size


def test_a_shard_that_changes_while_the_job_runs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Parts.begin(tmp_path / "p", SETTINGS, 4, plan()) as parts:
        parts.write(0, rows(parts, 0))
        parts.path(0).write_bytes(b"PAR1 and nothing more")
        with pytest.raises(InputError, match=r"000000\.parquet is not as the job wrote it"):
            parts.read(0)
        monkeypatch.setattr(resumable, "_LARGE", 10)
        monkeypatch.delattr(Path, "read_bytes")  # one that has grown is not taken into memory
        size = parts.journal.sizes[0]
        parts.journal.sizes[0] = None  # as earlier versions wrote it
        with pytest.raises(InputError, match=r"000000\.parquet is not as the job wrote it"):
            parts.read(0)
        parts.journal.sizes[0] = size
        monkeypatch.delattr("hashlib.file_digest")  # nor read to its end
        with pytest.raises(InputError, match=r"000000\.parquet is not as the job wrote it"):
            parts.read(0)


@pytest.mark.parametrize("after", ["before the journal", "in the middle of a line"])
def test_a_kill_while_a_shard_is_noted_loses_that_shard_alone(tmp_path: Path, after: str) -> None:
    folder = begun(tmp_path / "p")
    journal = (folder / JOURNAL).read_bytes()
    end = journal.rindex(b"\n", 0, -1) + 1
    (folder / JOURNAL).write_bytes(journal[: end + (0 if after.startswith("before") else 30)])
    with Parts.begin(folder, SETTINGS, 12, plan()) as parts:
        assert parts.n_done == 2
        parts.write(2, rows(parts, 2))
    assert (folder / JOURNAL).read_bytes() == journal


def test_what_others_put_into_the_folder_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    with Parts.begin(folder, SETTINGS, 3, plan()) as parts:
        parts.write(0, rows(parts, 0))
        (folder / "thesis.txt").write_text("years of work")
        parts.remove()
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_finished_job_is_discarded_by_its_settings_alone(tmp_path: Path) -> None:
    folder = begun(tmp_path / "p")
    discard(folder, {**SETTINGS, "n": 5})
    assert folder.is_dir()
    discard(folder, SETTINGS)
    discard(folder, SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"a": [1]})
    write_parquet(path, [table], table.schema)

    def failing() -> Any:
        yield table
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(path, failing(), table.schema)
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.parquet"]
    assert pq.read_table(path).equals(table)
