"""What commands print as JSON and CSV: valid by the schema it names, documented, and with every point."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from alignlib.answers.output.render import SCHEMA, schema, to_csv
from alignlib.cli.main import main
from tests.built_book import parse

pytestmark = pytest.mark.xdist_group("json_schemas")  # what is made once is made in one process

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
QUESTIONS = ["capacity", "certify", "claims", "compare", "frontier", "kl", "overlay", "passk", "pick", "verify"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tables")
    rows = CliRunner().invoke(main, ["example", "--prompts", "40", "--samples", "16"]).stdout
    (place / "rewards.csv").write_text(rows)
    answers = CliRunner().invoke(main, ["example", "--kind", "answers", "--prompts", "9", "--samples", "8"]).stdout
    (place / "answers.csv").write_text(answers)
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 3, 900)
    said = np.where(rng.random(900) < 0.7, shown, rng.integers(0, 3, 900))
    raters = {"target": shown, "label": said, "task": rng.integers(0, 2, 900), "rater": rng.integers(0, 9, 900)}
    pd.DataFrame(raters).to_csv(place / "ratings.csv", index=False)
    log_prob = -10.0 - rng.random(300)
    responses = {"prompt_id": np.repeat(np.arange(30), 10), "n_tokens": 12, "log_prob": log_prob}
    pd.DataFrame({**responses, "base_log_prob": log_prob - rng.normal(0.5, 0.5, 300)}).to_csv(
        place / "samples.csv", index=False
    )
    steps = np.arange(12)
    gold = np.sqrt(steps) - 0.3 * steps + 0.01 * rng.standard_normal(12)
    run = {"step": steps, "kl": 0.02 * steps, "reward": 0.2 * np.sqrt(0.02 * steps), "gold": gold}
    pd.DataFrame(run).to_csv(place / "run.csv", index=False)
    return place


FRONTIER = ["frontier", "rewards.csv", "--reward", "score_a", "--n", "2,4"]
COMMANDS = [
    FRONTIER,
    [*FRONTIER, "--gold", "gold"],
    [*FRONTIER, "--gold", "gold", "--ensemble", "score_*", "--budget", "per-prompt", "--level", "0.8"],
    ["passk", "answers.csv", "--k", "1,4"],
    ["passk", "answers.csv", "--answer", "answer", "--score", "verifier"],
    [*FRONTIER, "--win-rate", "--kl", "0.1,0.5"],
    [*FRONTIER, "--opponent", "rewards.csv"],
    [*FRONTIER, "--divergence", "renyi:1.5", "--at", "0.1,0.2"],
    ["capacity", "ratings.csv"],
    ["capacity", "ratings.csv", "--context", "task", "--rater", "rater", "--level", "0.9"],
    ["certify", "tilt", "--reward", "0,1,1", "--lam", "2"],
    ["certify", "kl-inverse", "--q", "0.1", "--kl", "0.02"],
    ["kl", "samples.csv"],
    [
        *("kl", "samples.csv", "--n-tokens", "n_tokens", "--fixed-prompts"),
        *("--reward", "n_tokens", "--base-samples", "samples.csv"),
    ],
    ["overlay", str(DATA / "trl_grpo.json")],
    ["compare", str(DATA / "trl_grpo.json"), str(DATA / "trl_rloo.json"), "--run-reward", "reward", "--at", "0.5"],
    ["pick", "run.csv", "--kl-unit", "sequence", "--run-gold", "gold"],
    [
        *("pick", "run.csv", "--kl-unit", "sequence", "--run-gold", "gold"),
        *("--table", "rewards.csv", "--reward", "score_a", "--gold", "gold", "--kl", "0.1", "--group", "8"),
    ],
    ["overlay", str(DATA / "trl_grpo.json"), str(DATA / "trl_base_table.csv"), "--reward", "count"],
]


def printed(folder: Path, arguments: list[str], form: str) -> str:
    return answer(folder, tuple(arguments), form)


@cache  # several tests read one answer
def answer(folder: Path, arguments: tuple[str, ...], form: str) -> str:
    given = [str(folder / word) if (folder / word).is_file() else word for word in arguments]
    result = CliRunner().invoke(main, [*given, form])
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: " ".join(map(str, words))[:60])
def test_output_is_valid_by_its_schema(folder: Path, arguments: list[str]) -> None:
    document = json.loads(printed(folder, arguments, "--json"), parse_constant=pytest.fail)
    asked = schema(arguments[0])
    assert (document["$schema"], document["schema"]) == (asked["$id"], SCHEMA)
    problems = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(asked).iter_errors(document)]
    assert problems == []


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: " ".join(map(str, words))[:60])
def test_csv_holds_the_points_of_the_json(folder: Path, arguments: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(folder, arguments, "--csv"))))
    document = json.loads(printed(folder, arguments, "--json"))
    name, key = {
        "capacity": ("rows", "capacity"),
        "certify": ("rows", "value"),
        "passk": ("rows", "pass_at_k"),
        "kl": ("estimates", "kl"),
        "overlay": ("points", "reward"),
        "compare": ("rows", "difference"),
        "pick": ("pick", "behind"),
    }.get(arguments[0], ("", ""))
    if arguments[0] == "frontier":
        limit = document["gold" if document["gold"] else "reward"]["limit"]
        here = [row for row in rows if row["what"] == "limit"][-len(limit) :]
        assert [float(row["gain"]) for row in here] == [point["gain"] for point in limit]
        curve = [float(row["spent"]) for row in rows if row["what"] == "curve"]
        assert len(curve) > 20
        counted = document["gold" if document["gold"] else "reward"]
        # the curve drawn is that for an average; without ties win rates are known at every budget
        if counted["budget"] == "average" and counted["largest_supported"] is not None:
            assert max(curve) == counted["largest_supported"]
        return
    points = document[name]["points"] if name == "pick" else document[name]
    here = [row for row in rows if row.get("what", "checkpoint") in ("checkpoint", "comparison")]
    here = here[: len(points)]
    assert [float(row[key]) for row in here] == [point[key] for point in points]


def test_csv_of_an_overlay_holds_the_limit_that_is_drawn(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(folder, COMMANDS[-1], "--csv"))))
    kinds = [row["what"] for row in rows]
    assert {"checkpoint", "limit", "rule"} == set(kinds)
    assert all(row["gain_low"] for row in rows if row["what"] == "limit")


def test_every_schema_is_one_and_is_listed() -> None:
    shipped = sorted(file.name for file in files("alignlib.answers").joinpath("schemas").iterdir())
    assert shipped == [f"{question}.json" for question in QUESTIONS]
    for question in QUESTIONS:
        Draft202012Validator.check_schema(schema(question))
        assert schema(question)["$id"] == f"urn:alignlib:{question}:{SCHEMA}"


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_field_is_described_and_nothing_else_is_allowed(question: str) -> None:
    found = schema(question)
    for part in (found, *found.get("$defs", {}).values()):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
        assert all(field["description"].endswith(".") for field in part["properties"].values())


def test_every_command_with_json_has_a_schema_and_a_section_of_the_page() -> None:
    page = (ROOT / "book" / "json.md").read_text(encoding="utf-8")
    with_json = []
    for name in main.list_commands(None):  # type: ignore[arg-type]
        command = main.get_command(None, name)  # type: ignore[arg-type]
        if command is not None and any("--json" in parameter.opts for parameter in command.params):
            with_json.append(name)
    assert sorted(with_json) == QUESTIONS
    for name in with_json:
        assert f"```{{json-schema}} {name}\n" in page


BOTH = """
import sys
from sphinx.cmd.build import main
for builder in ("text", "html"):
    if main(["-b", builder, "-q", "-W", "-d", "trees", ".", builder]):
        sys.exit(1)
"""


@pytest.fixture(scope="module", name="fields")
def _fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All schemas on one page, built by Sphinx alone with the book's directive: as text, and as HTML."""
    folder = tmp_path_factory.mktemp("fields")
    (folder / "index.md").write_text("# Fields\n\n" + "\n".join(f"```{{json-schema}} {q}\n```\n" for q in QUESTIONS))
    place = str(ROOT / "book" / "sphinx_extensions")
    settings = f"import sys\nsys.path.insert(0, {place!r})\nextensions = ['myst_parser', 'json_schemas']\n"
    (folder / "conf.py").write_text(settings)
    done = subprocess.run([sys.executable, "-c", BOTH], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_page_lists_every_field(fields: Path) -> None:
    text = " ".join((fields / "text" / "index.txt").read_text(encoding="utf-8").split())
    for question in QUESTIONS:
        for part in (schema(question), *schema(question).get("$defs", {}).values()):
            for name, field in part["properties"].items():
                assert f'"{name}" (' in text
                assert " ".join(field["description"].split()) in text


def test_a_field_that_holds_objects_leads_to_their_fields(fields: Path) -> None:
    page = parse(fields / "html" / "index.html")
    parts = {f"json-{q}-{name}".replace("_", "-") for q in QUESTIONS for name in schema(q).get("$defs", {})}
    linked = {link.removeprefix("#") for link in page.links if link.startswith("#json-")}
    assert linked == parts
    assert parts <= set(page.ids)


def test_a_cell_that_a_spreadsheet_would_compute_is_text() -> None:
    assert to_csv([{"run": "=1+1", "gain": -1.0}], ["run", "gain"]) == "run,gain\n'=1+1,-1.0\n"
