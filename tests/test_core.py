"""What every room shares: files written whole, plain data, the one class of bad input."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from alignlib._core.checks import as_float_array, as_vector, require, require_range
from alignlib._core.errors import InputError
from alignlib._core.files import whole_file, write_whole
from alignlib._core.plain import plain
from alignlib.answers.findings import ask
from alignlib.tables import example_table


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half", 1])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_whole(path, "α\r\n")
    assert path.read_bytes() == b"\xce\xb1\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_what_the_umask_leaves_and_a_replaced_one_keeps_its_own(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", "x")
        (tmp_path / "private").touch(mode=0o600)
        write_whole(tmp_path / "private", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_a_link_is_followed_and_a_long_name_has_room(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "far")
    write_whole(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far").read_text() == "x"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=r"no regular file.*loop"):
        write_whole(tmp_path / "loop", "x")
    write_whole(tmp_path / ("é" * 127), "x")  # 254 bytes, the most but one that a name may have


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    for path, kind in ((tmp_path / "no/file", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(kind) as caught:
            write_whole(path, "x")
        assert caught.value.filename == str(path)


def test_plain_data_survives_json() -> None:
    @dataclass
    class Result:
        kl: float
        gain: np.ndarray

    data = {"r": Result(np.float64("nan"), np.array([[1.0, -np.inf]])), "t": (True, np.int32(2), None), "s": {"b", "a"}}
    assert json.loads(json.dumps(plain(data), allow_nan=False)) == {
        "r": {"kl": None, "gain": [[1.0, None]]},
        "t": [True, 2, None],
        "s": ["a", "b"],
    }
    with pytest.raises(TypeError, match="no plain form of a object"):
        plain({"x": object()})


def test_bad_input_carries_the_argument_and_is_a_value_error() -> None:
    for call in (
        lambda: as_float_array("lam", "x"),
        lambda: as_float_array("lam", [np.nan]),
        lambda: as_vector("lam", [[1.0]]),
        lambda: require_range("lam", -1.0, 0.0),
        lambda: require(False, "lam must be what it is.", "lam"),
    ):
        with pytest.raises(InputError, match=r"^lam must") as caught:
            call()
        assert caught.value.argument == "lam"
    assert issubclass(InputError, ValueError)
    assert InputError("x", column="a", rows=[np.int64(1)]).rows == (1,)


def test_equal_results_are_equal() -> None:
    table = example_table(20, 8, 0.5, np.random.default_rng(0))
    one, other = (ask(table, "reward", "gold", n_boot=100) for _ in range(2))
    assert one.reward == other.reward
    assert one == other
    changed = ask(table, "reward", "gold", n_boot=101)
    assert one.reward.rules != changed.reward.rules
    assert one != changed
    with pytest.raises(TypeError, match="unhashable"):
        hash(one.reward.rules)
