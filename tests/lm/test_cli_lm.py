"""The two commands where there is no torch: their help, what they ask for, and that nothing else imports it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from alignlib.cli._machine import interruptible

HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "trl", "datasets")
REPORT = f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["sample", "--help"], ["score", "--help"], ["frontier", "--help"]], ids=" ".join
)
def test_help_imports_no_torch(arguments: list[str]) -> None:
    call = (
        f"from alignlib.cli.main import main; main({arguments!r}, standalone_mode=False)"
        if arguments
        else "import alignlib"
    )
    result = python(f"import sys; import alignlib; {call}\n{REPORT}")
    assert result.returncode == 0, result.stderr
    assert result.stderr.strip() == "[]"
    if arguments:
        assert "Usage:" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "--model", "m", "--prompts", "p.txt", "-o", "o.parquet"],
        ["score", "t.parquet", "--reward-model", "m"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_without_torch_one_sentence_says_what_to_install(arguments: list[str]) -> None:
    # None in sys.modules is how Python marks a module that cannot be imported.
    hide = "sys.modules['torch'] = sys.modules['transformers'] = None"
    result = python(f"import sys; {hide}; from alignlib.cli.main import main; main({arguments!r})")
    assert result.returncode == 2
    assert result.stderr == (
        "Error: This needs torch and transformers, not installed here; in a copy of the repository run "
        "`make lm-setup`, or `pip install -r requirements-lm.txt` into this environment.\n"
    )


def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    output = tmp_path / "rewards.parquet"
    for said in ("", f"; the same command goes on, what is done lies beside {output}"):
        with pytest.raises(SystemExit) as caught, interruptible(output):
            raise KeyboardInterrupt
        assert caught.value.code == 130
        assert capsys.readouterr().err == f"Stopped by SIGINT{said}.\n"
        (tmp_path / "rewards.parquet.parts").mkdir(exist_ok=True)


@pytest.mark.lm
def test_prompts_are_checked_before_a_model_is_sought(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from alignlib.cli.main import main

    arguments = ["sample", "--model", "nobody/nothing", "--prompts", str(tmp_path / "p.csv"), "-o", "o.parquet"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stderr == f"Error: There is no file {tmp_path / 'p.csv'}; check the path.\n"


@pytest.mark.lm
@pytest.mark.parametrize("name", ["a/b", "", "x" * 300])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    from click.testing import CliRunner

    from alignlib.cli.main import main

    result = CliRunner().invoke(main, ["score", "t.parquet", "--reward-model", "nobody/nothing", "--name", name])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --name must be part of the names of a column and a file")
