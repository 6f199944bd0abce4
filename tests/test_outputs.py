"""An output that cannot be written is refused before anything is read: every command, option and kind of place."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from alignlib._core.errors import InputError
from alignlib._core.files import check_place
from alignlib._core.locks import host_key
from alignlib.cli._options import Output
from alignlib.cli.main import main

GONE = "gone.csv"  # whatever is read first would say that there is no such file
WORDS = {
    "frontier": [GONE, "--reward", "r"],
    "report": [GONE, "--reward", "r", "-o", "report"],
    "passk": [GONE],
    "overlay": [GONE],
    "compare": [GONE, "other.csv"],
    "pick": [GONE, "--run-gold", "g"],
    "sample": ["--model", GONE, "--prompts", GONE, "-o", "s.parquet"],
    "score": [GONE, "--scorer", "gone:f"],
    "run": [GONE, "-o", "o.ipynb"],
    "sweep": [GONE, "--grid", "seed=0:2", "-o", "o.csv"],
}
PLACES = (
    "a folder that is not there", "a file for a folder", "a folder", "a link to itself", "a link to nowhere",
    "a link to a device", "a pipe", "a socket", "a device", "a long name", "a long path", "nothing", "half a character",
) + (("a folder of the system", "a link into one") if sys.platform == "linux" else ())  # fmt: skip


def outputs() -> list[tuple[str, str]]:
    """Return each command with each of its options that name an output."""
    context = click.Context(main)
    found = []
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        found += [(name, max(one.opts, key=len)) for one in command.params if isinstance(one.type, Output)]
    return found


def make(folder: Path, place: str, suffix: str) -> str:
    """Make a place where nothing can be written, and return its path; a folder holds something of the reader's."""
    path = folder / f"out{suffix}"
    if place == "a folder":
        (path / "mine").mkdir(parents=True)
    elif place == "a pipe":
        os.mkfifo(path)
    elif place == "a socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(path))  # a socket's path is short
    (folder / "file").write_text("mine")
    links = {
        "a link to itself": path,
        "a link to nowhere": folder / "none" / f"y{suffix}",
        "a link to a device": Path("/dev/full"),
        "a link into one": Path(f"/proc/x{suffix}"),
    }
    if place in links:
        path.symlink_to(links[place])
    named = {
        "a folder that is not there": folder / "none" / f"x{suffix}",
        "a file for a folder": folder / "file" / f"x{suffix}",
        "a device": "/dev/null",
        "a long name": folder / f"{'n' * 300}{suffix}",
        "a long path": folder / Path(*["d" * 200] * 30) / f"x{suffix}",
        "nothing": "",
        "half a character": f"a\ud800{suffix}",
        "a folder of the system": f"/proc/x{suffix}",
    }
    return str(named.get(place, path))


def cases() -> list[tuple[str, str, str]]:
    """Return each output with each place; a folder may be there, or be made with those above it."""
    found = []
    for name, option in outputs():
        kind = _kind(name, option)
        for place in PLACES:
            is_made = kind.parents and place.endswith(("not there", "nowhere"))
            if not is_made and not (kind.folder and place == "a folder"):
                found.append((name, option, place))
    return found


def refused(folder: Path, name: str, option: str, place: str) -> None:
    """Ask for an output there, and see it refused before the table is looked for."""
    suffixes = _kind(name, option).suffixes
    with contextlib.chdir(folder):
        path = make(folder, place, suffixes[0] if suffixes else "")
        before = sorted(folder.rglob("*"))
        done = CliRunner().invoke(main, [name, *_without(WORDS[name], option), option, path])
    assert (done.exit_code, done.stdout) == (2, ""), done.exception
    assert "gone" not in done.stderr
    assert done.stderr.count("\n") == 1
    remedies = (
        "must end in",
        "choose another",
        "make it first",
        "give the name",
        "holds half a character",
        "correct the link",
    )
    assert any(remedy in done.stderr for remedy in remedies)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(("name", "option"), outputs())
def test_an_output_that_cannot_be_written_is_refused_first(tmp_path: Path, name: str, option: str) -> None:
    for k, (*one, place) in enumerate(cases()):
        if one == [name, option]:
            (tmp_path / str(k)).mkdir()
            refused(tmp_path / str(k), name, option, place)


def test_every_output_is_known_as_one() -> None:
    """What is written in the end is an `Output`, and each command that has one is tried here."""
    assert {name for name, _ in outputs()} == set(WORDS)
    for name in WORDS:
        typed = {max(one.opts, key=len) for one in _params(name) if {"-o", "--summary", "--crate"} & set(one.opts)}
        assert typed <= {option for command, option in outputs() if command == name}


def test_a_place_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    """And what a process, now ended, left of such a trial is cleared away."""
    (tmp_path / "there").write_text("mine")
    (tmp_path / f".new.alignlib-{host_key()}-{2**22 + 1}-0123abcd").write_text(" ")
    for path, folder, parents in (
        ("new", False, False),
        ("there", False, False),
        ("", True, False),
        ("a/b", True, True),
    ):
        check_place(tmp_path / path, folder=folder, parents=parents)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    with pytest.raises(InputError, match="is a file; choose another folder"):
        check_place(tmp_path / "there", folder=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", GONE, "b.csv", "--at", "-1"], "--at must not be negative; got -1."),
        (
            ["compare", GONE, "b.csv", "--table", "t.csv", "--reward", "r", "--run-base", "inf"],
            "--run-base must be finite",
        ),
        (["pick", GONE, "--table", "t.csv", "--reward", "r", "--kl", "1", "--bounded", "1,0"], "--bounded must"),
        (["pick", GONE, "--table", "t.csv", "--reward", "r", "--kl", "1", "-o", "p.png"], "-o draws gold along KL"),
        (["kl", GONE, "--step", "nan"], "--step must be a number"),
        (["score", GONE, "--scorer", "gone:f", "--template", "x"], "--template must hold {prompt} once"),
        (["score", GONE, "--scorer", "gone:f", "--dtype", "int8"], "--dtype int8 is not known"),
        (["sample", "--model", "m", "--prompts", GONE, "-o", "s.parquet", "--temperature", "1_0"], "give a number"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_values_that_need_no_table_are_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def _kind(name: str, option: str) -> Output:
    found = next(one.type for one in _params(name) if option in one.opts)
    assert isinstance(found, Output)
    return found


def _params(name: str) -> list[click.Parameter]:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command.params


def _without(words: list[str], option: str) -> list[str]:
    """Leave out an output that is given again."""
    at = words.index("-o") if option == "--output" and "-o" in words else None
    return words if at is None else words[:at] + words[at + 2 :]
