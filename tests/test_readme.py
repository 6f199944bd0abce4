"""The commands of README.md on the example table, typed as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from alignlib.cli.main import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_commands_on_the_example_table_print_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = (block for block in BLOCKS if "alignlib example" in block)
    monkeypatch.chdir(tmp_path)
    shown = 0
    for part in re.split(r"^\$ alignlib ", block, flags=re.MULTILINE)[1:]:
        line, _, lines = part.partition("\n")
        command, _, file = line.partition(" > ")
        done = CliRunner().invoke(main, shlex.split(command))
        assert done.exit_code == 0, done.output
        if file:
            Path(file).write_text(done.stdout, encoding="utf-8")
        elif lines:
            begins, marked, ends = lines.partition("\n...\n")
            assert marked, "what is left out is marked"
            assert done.stdout.startswith(begins)
            assert ends
            assert done.stdout.splitlines()[-1] == ends.replace("\n", " ").strip()
            shown += 1
    assert shown == 1
    assert (tmp_path / "report" / "report.html").is_file()


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!\w+:)([^)]+)\)", README):
        path, _, part = target.partition("#")
        text = (ROOT / path).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert not part or part in [re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in headings]
