"""The recipe "a table format" of CONTRIBUTING.md: one new file, and every reader of tables reads it."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.tables import RewardTable, formats
from tests.recipes import recipes


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of formats with one file more, as if it lay beside the others, and a table in that format."""
    (tmp_path / "toy.py").write_text(recipes()["A table format"])
    monkeypatch.setattr(formats, "_BY_EXTENSION", dict(formats.known_formats()))
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "alignlib.tables.formats.toy", raising=False)
    formats._import_all.cache_clear()
    table = tmp_path / "table.toy"
    table.write_text("prompt_id|reward\n" + "".join(f"{i % 40}\n{i * i % 17}\n" for i in range(40 * 64)))
    yield table
    formats._import_all.cache_clear()
    sys.modules.pop("alignlib.tables.formats.toy", None)


def test_a_format_is_one_file_estimated_printed_and_drawn(toy: Path) -> None:
    table = RewardTable.read(toy)
    assert table.n_prompts == 40
    assert table.column("reward")[:3].tolist() == [0.0, 1600 % 17, 6400 % 17]
    picture = toy.with_suffix(".svg")
    done = CliRunner().invoke(main, ["frontier", str(toy), "--reward", "reward", "-o", str(picture)])
    assert done.exit_code == 0, done.output
    assert "40 prompts" in done.output
    assert picture.read_text(encoding="utf-8").count("<path") > 5
    toy.write_text("prompt_id|reward\n0\n")
    refused = CliRunner().invoke(main, ["frontier", str(toy), "--reward", "reward"])
    assert refused.exit_code == 2
    assert "is no toy table" in refused.output
    with pytest.raises(InputError, match=r"a table is \.csv, .*\.toy"):
        RewardTable.read(toy.rename(toy.with_suffix(".unknown")))


def test_an_extension_belongs_to_one_format() -> None:
    for extension, message in ((".csv", "is read as CSV"), ("csv", "begin with a dot"), (".gz", "not be .gz")):
        with pytest.raises(InputError, match=message):
            formats.register(formats.TableFormat("mine", (extension,), lambda path, data: None))  # type: ignore
    assert "mine" not in {known.name for known in formats.known_formats().values()}
