"""What holds for every command: help with examples and defaults, one kind of bad input, completion."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import shlex
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from alignlib.cli._bad_input import in_options
from alignlib.cli._command import Command, options_of
from alignlib.cli.main import main
from tests.small_project import GOOD, ROOT, make_project

NAMES = [
    "example",
    "frontier",
    "report",
    "passk",
    "capacity",
    "kl",
    "overlay",
    "compare",
    "pick",
    "certify",
    "sample",
    "score",
    "run",
    "sweep",
    "claims",
    "verify",
    "sync",
    "make",
]
DATA = ROOT / "tests" / "data"
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")


def alignlib(*arguments: object) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def command(name: str) -> Command:
    found = main.get_command(click.Context(main), name)
    assert isinstance(found, Command)
    return found


def test_an_unknown_command_is_told_the_nearest() -> None:
    result = CliRunner().invoke(main, ["frontire", "t.csv"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Unknown command 'frontire'; did you mean 'frontier'?" in result.stderr


def test_the_commands_are_these() -> None:
    assert main.list_commands(click.Context(main)) == NAMES
    listed = alignlib("--help").output
    for name in NAMES:
        assert re.search(rf"^  {name} +\w.*\.$", listed, re.MULTILINE), "its short help is cut off or absent"


# ------------------------------------------------------------------ help
@pytest.mark.parametrize("name", NAMES)
def test_help_has_examples_defaults_and_a_text_for_every_option(name: str) -> None:
    result = alignlib(name, "--help")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    for example in command(name).examples:
        assert f"$ alignlib {example.removeprefix('alignlib ')}" in result.output
    assert any(example.startswith(f"alignlib {name}") for example in command(name).examples)
    context = click.Context(command(name))
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no text"
            default = parameter.get_default(context)
            if isinstance(default, str | int | float) and not parameter.is_flag:
                assert f"[default: {default}" in text, f"{parameter.name} shows no default"


@pytest.mark.parametrize("name", NAMES)
def test_examples_name_options_that_exist(name: str) -> None:
    for example in command(name).examples:
        words = shlex.split(example.partition(" > ")[0])
        asked = command(words[1])
        known = {typed for parameter in asked.params for typed in parameter.opts} | {"--help"}
        typed = {word for word in words[2:] if word.startswith("-")}
        if words[1] == "run":  # and parameters of a notebook
            known.add("--n-max")
        assert typed <= known


def test_the_example_table_is_no_larger_than_fits() -> None:
    result = CliRunner().invoke(main, ["example", "--samples", "9" * 30])
    assert result.exit_code == 2
    assert "--prompts times --samples must be at most 1,000,000 rows; got 60 ×" in result.output


def test_examples_on_the_example_table_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for example in dict.fromkeys([*command("example").examples, *command("frontier").examples]):
        asked, _, target = example.removeprefix("alignlib ").partition(" > ")
        result = alignlib(*shlex.split(asked))
        assert result.exit_code == 0, result.stderr
        if target:
            Path(target).write_text(result.stdout)
        else:
            assert result.stdout


def test_level_and_budget_wherever_they_make_sense() -> None:
    levels = [name for name in NAMES if "level" in options_of(command(name))]
    assert levels == ["frontier", "report", "passk", "capacity", "kl", "overlay", "compare", "pick"]
    assert [name for name in NAMES if "budget" in options_of(command(name))] == ["frontier", "report"]


# ------------------------------------------------------------------ the example table
def test_the_example_is_a_table_with_several_rewards() -> None:
    one, again, other = (alignlib("example", "--seed", seed).stdout for seed in (0, 0, 1))
    assert one == again != other
    rows = list(csv.DictReader(io.StringIO(one)))
    assert list(rows[0]) == ["prompt_id", "sample_id", "gold", "score_a", "score_b", "score_c"]
    assert len(rows) == 60 * 32
    assert len(alignlib("example", "--prompts", 3, "--samples", 2).stdout.splitlines()) == 7
    gold, proxy = (np.array([float(row[name]) for row in rows]) for name in ("gold", "score_a"))
    assert 0.5 < np.corrcoef(gold, proxy)[0, 1] < 1.0


def test_the_examples_of_other_kinds_have_the_answers_they_were_made_with(tmp_path: Path) -> None:
    for kind in ("rewards", "labels", "kl", "log"):
        (tmp_path / f"{kind}.csv").write_text(alignlib("example", "--kind", kind).stdout)
    (k1, *_) = json.loads(alignlib("kl", tmp_path / "kl.csv", "--json").stdout)["estimates"]
    assert k1["low"] < 0.5 < k1["high"]
    asked = ("--reward", "score_a", "--kl-unit", "sequence", "--json")
    run = json.loads(alignlib("overlay", tmp_path / "log.csv", tmp_path / "rewards.csv", *asked).stdout)
    shares = [point["share"] for point in run["points"] if point["share"] is not None and point["kl"] > 0.1]
    assert len(shares) > 2
    np.testing.assert_allclose(shares, 0.85, atol=0.08)
    columns = ("--context", "task", "--target", "truth", "--label", "score", "--rater", "who", "--json")
    easy, hard = json.loads(alignlib("capacity", tmp_path / "labels.csv", *columns).stdout)["rows"][1::-1]
    assert 0.0 < hard["capacity"] < easy["capacity"] < np.log(3)


# ------------------------------------------------------------------ levels
@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    (folder / "rewards.csv").write_text(alignlib("example", "--prompts", 40, "--samples", 12).stdout)
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 3, 600)
    ratings = {"target": shown, "label": np.where(rng.random(600) < 0.7, shown, 0), "rater": rng.integers(0, 9, 600)}
    pd.DataFrame(ratings).to_csv(folder / "ratings.csv", index=False)
    log_prob = -10.0 - rng.random(300)
    base = log_prob - rng.normal(0.5, 0.5, 300)
    samples = {"prompt_id": np.repeat(np.arange(30), 10), "log_prob": log_prob, "base_log_prob": base}
    pd.DataFrame(samples).to_csv(folder / "samples.csv", index=False)
    (folder / "quiz.csv").write_text(alignlib("example", "--kind", "answers", "--samples", 4).stdout)
    (folder / "broken.parquet").write_bytes(b"PAR1 not really")
    (folder / "gaps.csv").write_text("prompt_id,reward,target,label\n0,1,a,b\n0,,a,\n0,2,b,b\n0,3,b,a\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "low", "high"),
    [
        (["frontier", "rewards.csv", "--reward", "gold", "--kl", "0.1", "--n", "2"], "gain_low", "gain_high"),
        (["passk", "quiz.csv"], "pass_at_k_low", "pass_at_k_high"),
        (["capacity", "ratings.csv"], "low", "high"),
        (["kl", "samples.csv"], "low", "high"),
        (
            ["overlay", DATA / "trl_grpo.json", DATA / "trl_base_table.csv", "--reward", "count"],
            "limit_low",
            "limit_high",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_lower_level_gives_narrower_intervals(tables: Path, arguments: list[str], low: str, high: str) -> None:
    def widths(level: float) -> list[float]:
        given = [tables / word if (tables / str(word)).is_file() else word for word in arguments]
        result = alignlib(*given, "--level", level, "--csv")
        assert result.exit_code == 0, result.stderr
        rows = csv.DictReader(io.StringIO(result.stdout))
        return [float(row[high]) - float(row[low]) for row in rows if row[low] and row[high]]

    narrow, wide = widths(0.5), widths(0.99)
    assert len(narrow) == len(wide) > 0
    assert np.all(np.array(narrow) <= np.array(wide))
    assert np.mean(narrow) < 0.8 * np.mean(wide)


# ------------------------------------------------------------------ bad input
BAD = [
    ["nonsense"],
    ["--nonsense"],
    ["frontier"],
    ["frontier", "nowhere.csv", "--reward", "gold"],
    ["frontier", "rewards.csv"],
    ["frontier", "rewards.csv", "--reward", "gold", "--kl", "a"],
    ["frontier", "rewards.csv", "--reward", "gold", "--kl", "-1"],
    ["frontier", "rewards.csv", "--reward", "gold", "--n", "99"],
    ["frontier", "rewards.csv", "--reward", "gold", "--level", "1"],
    ["frontier", "rewards.csv", "--reward", "gold", "--level", "x"],
    ["frontier", "rewards.csv", "--reward", "gold", "--budget", "none"],
    ["frontier", "rewards.csv", "--reward", "gold", "--sample", "q"],
    ["frontier", "rewards.csv", "--reward", "gold", "--prompt", "q"],
    ["frontier", "rewards.csv", "--reward", "gold", "--wide"],
    ["frontier", "rewards.csv", "--reward", "score_a", "--gold", "gold", "--ensemble", "x*"],
    ["frontier", "broken.parquet", "--reward", "gold"],
    ["frontier", "gaps.csv", "--reward", "reward"],
    ["report", "rewards.csv", "--reward", "gold"],
    ["report", "nowhere.csv", "--reward", "gold", "-o", "report"],
    ["report", "rewards.csv", "--reward", "gold", "-o", "no/folder/here"],
    ["passk", "nowhere.csv"],
    ["passk", "rewards.csv"],
    ["passk", "quiz.csv", "--k", "5"],
    ["passk", "quiz.csv", "--answer", "answer", "--abstains", "none"],
    ["passk", "gaps.csv", "--correct", "reward"],
    ["capacity", "nowhere.csv"],
    ["capacity", "broken.parquet"],
    ["capacity", "rewards.csv"],
    ["capacity", "ratings.csv", "--rater", "who"],
    ["capacity", "gaps.csv"],
    ["kl", "nowhere.csv"],
    ["kl", "broken.parquet"],
    ["kl", "rewards.csv"],
    ["kl", "samples.csv", "--prompt", "who"],
    ["kl", "samples.csv", "--token-kl", "x"],
    ["kl", "gaps.csv", "--log-prob", "reward", "--base-log-prob", "reward"],
    ["overlay", "nowhere.csv"],
    ["overlay", "broken.parquet", "--kl-unit", "token"],
    ["overlay", "rewards.csv"],
    ["overlay", "rewards.csv", "--run-kl", "gold", "--run-reward", "nothing", "--kl-unit", "token"],
    ["overlay", "rewards.csv", "--run-kl", "gold", "--run-reward", "gold"],
    ["overlay", "rewards.csv", "--run-kl", "gold", "--run-reward", "gold", "--kl-unit", "token"],
    ["overlay", DATA / "trl_grpo.json", "--run-base", "first"],
    ["overlay", DATA / "trl_grpo.json", "--run-kl", "nothing"],
    ["overlay", DATA / "trl_grpo.json", "--only", "dpo*"],
    ["overlay", DATA / "trl_grpo.json", DATA / "trl_base_table.csv", "--reward", "nothing"],
    ["overlay", DATA / "trl_grpo.json", DATA / "trl_base_table.csv", "--reward", "count", "--run-base", "last"],
    ["sample", "--model", "x"],
    ["score", "rewards.csv"],
    ["certify", "tilt", "--reward", "0,1"],
    ["certify", "kl", "--q", "0.1", "--p", "0.2", "--n", "2"],
    ["certify", "kl", "--q", "0.1", "--p", "1"],
    ["certify", "limit", "--reward", "0,1", "--kl", "0.6931471805599453"],
    ["certify", "capacity", "--channel", "0.9,0.1/1"],
    ["run", "nowhere", "-o", "out.ipynb"],
    ["run", "best_of_n", "--nothing", "1", "-o", "out.ipynb"],
    ["run", "best_of_n", "--n-max", "1", "-o", "out.ipynb"],
    ["run", "best_of_n", "-o", "out.txt"],
    ["run", "nowhere", "--help"],
    ["example", "--prompts", "0"],
    ["example", "rewards.csv"],
    ["claims", "--jsn"],
    ["sync", "now"],
]


@pytest.mark.parametrize("arguments", BAD, ids=lambda words: " ".join(Path(str(word)).name for word in words))
def test_bad_input_is_one_sentence_that_names_options_as_typed(
    tables: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object]
) -> None:
    monkeypatch.chdir(tables)
    before = {path: path.read_bytes() for path in tables.iterdir()}
    result = alignlib(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith(".\n")
    assert result.stderr.count("\n") == 1
    assert "=True" not in result.stderr
    assert "=False" not in result.stderr
    if arguments[0] in NAMES:
        asked = command(str(arguments[0]))
        known = {typed for parameter in asked.params for typed in parameter.opts} | {"--help"}
        of_notebook = re.search(r"Allowed: ([^.]*)", result.stderr) if arguments[0] == "run" else None
        known |= set(of_notebook[1].split(", ")) if of_notebook else set()  # its parameters are options too
        assert set(OPTION.findall(result.stderr)) - set(map(str, arguments)) <= known
        underscored = {name for name in options_of(asked) if "_" in name and "=" not in name}
        said = re.sub(r"'[^']*'|\S*/\S*", "", result.stderr)
        assert not {name for name in underscored if re.search(rf"(?<![\w-]){name}\b", said)} - {"prompt_id", "log_prob"}
    assert {path: path.read_bytes() for path in tables.iterdir()} == before


def test_bad_input_says_what_a_shell_user_can_type(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tables)
    for arguments, said in [
        (["frontier", "gaps.csv", "--reward", "reward"], "or pass --drop-missing to go on"),
        (["frontier", "rewards.csv", "--reward", "gold", "--n", "99"], "--n must not exceed 12"),
        (["frontier", "rewards.csv", "--reward", "gold", "--sample", "q"], "(--sample)"),
        (["capacity", "ratings.csv", "--rater", "who"], "no column 'who' (--rater)"),
        (["kl", "samples.csv", "--token-kl", "x"], "no column 'x' (--token-kl)"),
        (["overlay", "rewards.csv", "--run-kl", "gold", "--run-reward", "no", "--kl-unit", "token"], "(--run-reward)"),
        (
            ["overlay", "rewards.csv", "--run-kl", "gold", "--run-reward", "gold"],
            "(--kl-unit sequence or --kl-unit tok",
        ),
    ]:
        assert said in alignlib(*arguments).stderr


def test_what_cannot_be_written_is_a_sentence(tables: Path) -> None:
    target = tables / "a.svg"
    target.mkdir()
    try:
        result = alignlib("overlay", DATA / "trl_grpo.json", "-o", target)
    finally:
        target.rmdir()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert str(target) in result.stderr


def test_an_error_message_moves_no_cursor(tables: Path) -> None:
    result = alignlib("frontier", tables / "rewards.csv", "--reward", "\x1b[31mred\nError: forged")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_there_is_one_class_of_bad_input() -> None:
    """And the library never names an option: commands translate."""
    library = [
        path for path in (ROOT / "alignlib").rglob("*.py") if not {"cli", "lm"} & set(path.relative_to(ROOT).parts)
    ]
    for path in (ROOT / "alignlib").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and path.name != "_bad_input.py":
                bases = {ast.unparse(base) for base in node.bases}
                assert not any(base.endswith(("ClickException", "UsageError")) for base in bases), node.name
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docs:
                assert path not in library or not OPTION.search(node.value), f"{path.name}: {node.value!r}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n must be 1; lower n.", "--n must be 1; lower --n."),
        ("each prompt must have n samples", "each prompt must have n samples"),
        ("pass drop_missing=True to go on", "pass --drop-missing to go on"),
        ("set check=False, or base='first'", "set --no-check, or --run-base first"),
        ("no column 'n must be' (sample)", "no column 'n must be' (--sample)"),
        ("the model's n must not", "the model's n must not"),
        ("drop_missing is not max_drop_missing", "--drop-missing is not max_drop_missing"),
    ],
)
def test_arguments_become_options(text: str, said: str) -> None:
    options = {
        "n": "--n",
        "sample": "--sample",
        "drop_missing": "--drop-missing",
        "drop_missing=True": "--drop-missing",
    }
    options |= {"check=False": "--no-check", "base": "--run-base", "prompt": "--prompt"}
    assert in_options(text, options) == said


# ------------------------------------------------------------------ run NAME --help, completion
@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    law = 'law: str = "flat"  # law of the points, one of flat | steep\n'
    other = GOOD.replace("top: float", law + "top: float").replace("# # Roots", "# # Other roots")
    made = make_project(tmp_path / "clone", {"01_roots": GOOD, "02_other": other})
    monkeypatch.chdir(made.root)
    monkeypatch.setattr("alignbook.project.own_project", lambda: made)


@pytest.mark.usefixtures("project")
def test_help_of_one_notebook_shows_its_parameters() -> None:
    result = alignlib("run", "roots", "--help")
    assert result.exit_code == 0, result.stderr
    assert result.output.startswith("Usage: alignlib run 01_roots [--PARAMETER VALUE]... -o OUT.ipynb")
    assert re.search(r"--n INT +number of points, >= 2 +\[default: 5\]", result.output)
    assert re.search(r"--top FLOAT +largest radicand, > 0 +\[default: 4.0\]", result.output)
    assert alignlib("run", "-h", "roots").output == result.output
    assert "one of flat | steep" in alignlib("run", "other", "--help").output


def offered(arguments: list[str], incomplete: str) -> list[str]:
    complete = ShellComplete(main, {}, "alignlib", "_ALIGNLIB_COMPLETE")
    return [item.value for item in complete.get_completions(arguments, incomplete)]


@pytest.mark.usefixtures("project")
def test_completion_of_notebooks_and_their_parameters() -> None:
    assert offered(["run"], "") == ["01_roots", "02_other"]
    assert offered(["run"], "ro") == ["01_roots"]
    assert offered(["run", "roots"], "") == []
    assert {"--n", "--top", "--html"} <= set(offered(["run", "roots"], "--"))
    assert "--law" not in offered(["run", "roots"], "--")
    assert offered(["run", "other"], "--l") == ["--law", "--list"]
    assert offered(["run", "other", "--law"], "") == ["flat", "steep"]
    assert offered(["run", "other", "--law"], "s") == ["steep"]
    assert offered([], "fr") == ["frontier"]


def test_completion_outside_any_project_offers_the_books_notebooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "10_best_of_n" in offered(["run"], "")


def test_reading_json_needs_no_more_than_the_output(tables: Path, tmp_path: Path) -> None:
    """Standard output holds the document and nothing else, also where there is something to warn of."""
    few = pd.read_csv(tables / "ratings.csv").head(40)
    few.loc[:3, "target"] = 9
    few.to_csv(tmp_path / "few.csv", index=False)
    result = alignlib("capacity", tmp_path / "few.csv", "--json")
    assert json.loads(result.stdout)["rows"][0]["supported"] is False
    assert result.stderr == ""


@pytest.mark.parametrize("text", ["٠.٩", "0.5_0", "１", "nan", ""])
@pytest.mark.parametrize(
    "options", [("pick", "log.csv", "--error"), ("verify", ".", "--rtol"), ("frontier", "t.csv", "--level")]
)
def test_a_number_is_written_as_in_a_table(options: tuple[str, ...], text: str) -> None:
    result = alignlib(*options, text)
    assert result.exit_code == 2
    assert options[-1] in result.stderr
