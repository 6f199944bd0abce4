"""The commands of README.md and of the page "Change one thing" on the example table, typed as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from alignbook.project import Project
from alignbook.readme import headline_table, with_headlines
from alignlib.cli.main import main
from tests.built_book import need_book

pytestmark = [pytest.mark.xdist_group("readme"), pytest.mark.early]

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_commands_on_the_example_table_print_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = (block for block in BLOCKS if "alignlib example" in block)
    monkeypatch.chdir(tmp_path)
    # How the notebook of a report becomes its page is seen in `test_report.py`.
    monkeypatch.setattr("alignbook.report.write_page", lambda text, page, root: page.write_text(text, encoding="utf-8"))
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
            assert len([*begins.splitlines(), *ends.splitlines()]) == 8  # enough to see what comes
            assert done.stdout.splitlines()[-1] == ends.replace("\n", " ").strip()
            shown += 1
    assert shown == 1
    assert (tmp_path / "report" / "report.html").is_file()


def test_its_headlines_are_those_of_the_front_page() -> None:
    need_book()
    table = headline_table(ROOT, Project(ROOT).claims_file)
    assert with_headlines(README, table) == README, "run python -m alignbook.readme"


def test_each_step_of_the_walk_prints_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One option is changed at a time, and the last line of the answer is the one that is shown."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "book" / "change_one_thing.md").read_text(encoding="utf-8")
    first, rows, *steps = re.findall(r"^```(?:console|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert first == "$ alignlib example > rewards.csv\n"
    table = CliRunner().invoke(main, ["example"]).stdout
    assert table.startswith(rows)
    Path("rewards.csv").write_text(table, encoding="utf-8")
    for command, said in (step.removeprefix("$ alignlib ").split("\n", 1) for step in steps[:-1]):
        done = CliRunner().invoke(main, shlex.split(command))
        assert done.stdout.splitlines()[-1] == said.strip()
    for line in steps[-1].splitlines():
        _, run, name, *options = shlex.split(line.removeprefix("$ "))
        notebook = Project(ROOT).find(name)
        values = dict(zip(options[::2], options[1::2], strict=False))
        assert run == "run"
        assert {option.removeprefix("--") for option in values if option != "-o"} <= set(notebook.parameters)


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!\w+:)([^)]+)\)", README):
        path, _, part = target.partition("#")
        text = (ROOT / (path or "README.md")).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert not part or part in [re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in headings]
