"""Each line "Try" of the book is what one can type: commands and parameters exist, values are allowed, quick ones run.

``python -m tests.try_lines`` executes all of them, and looks for what they say one will see.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from alignlib.cli.main import main
from alignlib.lm.space import ResponseSpace
from tests.small_project import ROOT
from tests.try_lines import PROJECT, PROMISES, TRIES, Try, broken, readers_files

QUICK = ("00", "02", "03", "04", "10", "20", "25")  # about a quarter of a second each
ids = pytest.mark.parametrize("one", TRIES, ids=lambda one: f"{one.page[:2]}: {one.text}")


@ids
def test_a_line_names_what_there_is(one: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(readers_files(tmp_path))
    if one.is_run:
        notebook, values = one.resolved(tmp_path)
        assert any(notebook.parameters[name].default != value for name, value in values.items()), "nothing is changed"
    elif one.words[0] == "make":
        assert re.search(rf"^{one.words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    else:
        group = main
        name, command, rest = group.resolve_command(click.Context(group), one.with_files(tmp_path)[1:])
        assert command is not None
        command.make_context(name, rest)  # raises where an option or a file is not there


@pytest.mark.parametrize("one", [one for one in TRIES if one.page.startswith(QUICK)], ids=lambda one: one.page)
def test_quick_ones_run_and_show_what_they_say(one: Try, tmp_path: Path) -> None:
    assert broken(one, tmp_path) == ""


def test_promises_are_those_of_lines() -> None:
    assert set(PROMISES) <= {(one.page, one.text) for one in TRIES}


def test_numbers_of_lines_in_code_hold() -> None:
    """Such as "`ResponseSpace(…)` has 597,871 responses"."""
    for notebook in PROJECT.notebooks():
        text = notebook.script.read_text(encoding="utf-8")
        for code, number in re.findall(r"`(ResponseSpace\([^`]*\))` has ([\d,]+) responses", text):
            assert eval(code, {"ResponseSpace": ResponseSpace}).size == int(number.replace(",", ""))
