"""What `make` does is done without it, by Python alone, and the two do the same."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from supply import make
from tests.small_project import ROOT


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make to compare with")
def test_targets_do_what_the_makefile_does() -> None:
    names = [name for name in make.TARGETS if name != "setup"]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS")}
    done = subprocess.run(["make", "-n", *names], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    python = ".venv/bin/python -m "
    said = [shlex.split(line.partition(python)[2]) for line in done.stdout.splitlines() if python in line]
    # Of several targets make does what they share once.
    ours = list(dict.fromkeys(command for name in names for command in make.TARGETS[name]))
    assert sorted(map(tuple, said)) == sorted(ours)


def test_an_environment_is_made_once_and_again_when_the_lock_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[list[str]] = []

    def run(command: list[str], root: Path, more: object = None) -> None:
        said.append([word for word in command if not word.startswith(("/", "--quiet", "--disable"))])
        (root / ".venv").mkdir(exist_ok=True)

    monkeypatch.setattr(make, "_run", run)
    (tmp_path / "requirements.lock").write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    make.make_environment(tmp_path)
    assert [words[1] for words in said] == ["venv", "pip", "pip"]
    assert "--require-hashes" in said[1]
    assert said[2][-1] == "."
    said.clear()
    make.make_environment(tmp_path)
    assert said == []
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    make.make_environment(tmp_path)
    assert [words[1] for words in said] == ["pip"]
    said.clear()
    (tmp_path / "requirements.lock").write_text("a==2\n")
    make.make_environment(tmp_path)
    assert [words[1] for words in said][:2] == ["venv", "pip"]


@pytest.mark.parametrize("works", [True, False])
def test_uv_installs_the_lock_and_pip_does_where_uv_cannot(
    works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[tuple[str, list[str]]] = []

    def run(command: list[str], root: Path, more: object = None) -> None:
        (root / ".venv").mkdir(exist_ok=True)
        said.append((command[2], command))
        if command[2] == "uv":
            assert (root / ".venv" / "uv.txt").read_text() == "uv==1 \\\n    --hash=sha256:0\n"
            if not works:
                raise SystemExit(2)

    monkeypatch.setattr(make, "_run", run)
    monkeypatch.setattr(make.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    (tmp_path / "requirements.lock").write_text("a==1 \\\n    --hash=sha256:1\nuv==1 \\\n    --hash=sha256:0\nz==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    make.make_environment(tmp_path)
    assert [name for name, _ in said] == ["venv", "pip", "uv", *([] if works else ["pip"]), "pip"]
    assert all("--require-hashes" in command for _, command in said[1:-1])  # nothing is installed unchecked
    assert ("uv could not" in capsys.readouterr().out) is not works


def test_uv_is_told_what_pip_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    told = make._as_pip_is_told(
        ":env:.index-url='https://one.invalid/simple'\nglobal.index-url='https://two.invalid'\nglobal.timeout='9'\n"
        "install.extra-index-url='\\nfile:///a\\nfile:///b'\nglobal.find-links='/w /v'\n"
    )
    assert told["UV_DEFAULT_INDEX"] == "https://one.invalid/simple"
    assert told["UV_INDEX"] == "file:///a file:///b"
    assert told["UV_FIND_LINKS"] == "/w,/v"
    monkeypatch.setenv(
        "UV_DEFAULT_INDEX", "https://three.invalid"
    )  # what a reader says to uv, uv is not told otherwise
    assert "UV_DEFAULT_INDEX" not in make._as_pip_is_told("global.index-url='https://one.invalid'")


def test_it_needs_no_package(tmp_path: Path) -> None:
    """`python -m alignlib make` in a fresh clone: nothing that is not Python's own is imported."""
    for name in ("alignlib", "supply"):
        (tmp_path / name).mkdir()
    for name in ("__init__", "__main__", "cli/__init__", "cli/main", "_core/__init__", "_core/version", "_core/make"):
        target = tmp_path / "alignlib" / f"{name}.py"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "alignlib" / f"{name}.py", target)
    shutil.copy(ROOT / "supply" / "make.py", tmp_path / "supply")
    for words, code, said in ([], 0, "build the book"), (["nonsense"], 2, "There is no target 'nonsense'"):
        command = [sys.executable, "-S", "-m", "alignlib", "make", *words]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stderr
