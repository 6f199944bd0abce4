"""Shards, settings and locks of a long job; no torch needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib._core.errors import InputError
from alignlib.models.resumable import Parts, write_parquet

SETTINGS = {"n": 4, "seed": 0}


def plan(rows: int = 3) -> Any:
    return lambda: {"shard_rows": rows}


def rows(parts: Parts, shard: int) -> pa.Table:
    return pa.table({"row": list(parts.rows(shard))})


def test_shards_are_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "t.parts"
    with Parts.begin(folder, SETTINGS, 8, plan()) as parts:
        assert (parts.n_shards, parts.n_done) == (3, 0)
        assert parts.last_metadata() == {}
        parts.write(0, rows(parts, 0).replace_schema_metadata({"batch_size": "2"}))
    with Parts.begin(folder, SETTINGS, 8, plan(5)) as parts:
        assert parts.shard_rows == 3  # the plan of the beginning holds
        assert parts.n_done == 1
        assert parts.last_metadata() == {"batch_size": "2"}
        for shard in (1, 2):
            parts.write(shard, rows(parts, shard))
        assert [len(parts.rows(shard)) for shard in range(3)] == [3, 3, 2]
        parts.remove()
    assert list(tmp_path.iterdir()) == []


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
    assert json.loads((tmp_path / "p" / "settings.json").read_text())["settings"] == {"n": 9}


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


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    with Parts.begin(tmp_path / "p", SETTINGS, 4, plan()) as parts:
        parts.path(0).write_bytes(b"PAR1 and nothing more")
        with pytest.raises(InputError, match=r"000000\.parquet cannot be read"):
            parts.read(0)


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
