"""What can be known here of systems that are not here: Windows, macOS, a container, a hosted workflow."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import unicodedata
from collections import Counter
from pathlib import PureWindowsPath

import click
import pytest
import yaml

from alignlib.cli import _ending
from alignlib.cli.main import main
from supply.make import TARGETS
from tests.small_project import ROOT

# What Python has under Linux and macOS only, and where our code asks for it: behind `hasattr`, `fcntl is None`, or in a
# `try` that says what is done without. The programs that train (`alignlib.lm`) want Linux or macOS.
ONLY_POSIX = {"fcntl", "grp", "pwd", "resource", "termios", "tty", "pty"}
ONLY_POSIX_NAMES = {
    "os.fork", "os.getuid", "os.geteuid", "os.getgid", "os.setsid", "os.killpg", "os.getpgid", "os.mkfifo",
    "os.chown", "os.lchown", "os.sysconf", "os.statvfs", "os.uname", "os.wait3", "os.wait4", "os.nice",
    "os.getloadavg", "os.sched_getaffinity", "os.O_NOFOLLOW", "os.O_NONBLOCK", "os.O_CLOEXEC", "os.O_DIRECTORY",
    "os.posix_fadvise", "os.sendfile", "os.WNOHANG", "os.openpty", "os.pread", "os.pwrite", "signal.SIGPIPE",
    "signal.SIGKILL", "signal.SIGHUP", "signal.SIGALRM", "signal.SIGUSR1", "signal.SIGUSR2", "signal.SIGSTOP",
    "signal.SIGCONT", "signal.SIGXCPU", "signal.SIGXFSZ", "signal.setitimer", "signal.ITIMER_REAL",
    "signal.pthread_sigmask", "signal.sigwait", "signal.pause", "signal.alarm", "time.tzset", "mmap.MADV_DONTNEED",
}  # fmt: skip
GUARDED = {
    "alignbook/build.py": {"fcntl"},
    "alignbook/manifest.py": {"fcntl", "os.O_DIRECTORY", "os.O_NOFOLLOW"},
    "alignbook/processes.py": {"signal.SIGHUP", "signal.pthread_sigmask"},
    "alignlib/_core/claims.py": {"os.O_NOFOLLOW"},
    "alignlib/_core/locks.py": {"fcntl", "os.O_NOFOLLOW", "os.O_NONBLOCK", "os.geteuid"},
    "alignlib/_core/open_files.py": {"resource"},
    "alignlib/_core/working.py": {"os.geteuid"},
    "alignlib/cli/_ending.py": {"signal.SIGALRM", "signal.setitimer", "signal.ITIMER_REAL"},
    "alignlib/cli/_memory.py": {"resource"},
    "alignlib/models/batching.py": {"os.sysconf"},
    "alignlib/models/bounded.py": {"os.fork", "os.sysconf", "resource", "signal.SIGKILL"},
    "alignlib/models/resumable.py": {"fcntl", "os.O_NOFOLLOW"},
    "alignlib/scale/engine.py": {"signal.SIGHUP", "signal.pthread_sigmask"},
    "alignlib/tables/memory_limit.py": {"os.sysconf"},
    "alignlib/tables/reading.py": {"mmap.MADV_DONTNEED", "os.O_NONBLOCK"},
}


def only_posix(text: str) -> set[str]:
    """Modules and names of modules that a piece of code asks for and Windows lacks."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names} & ONLY_POSIX
        elif isinstance(node, ast.ImportFrom) and node.module in ONLY_POSIX:
            found.add(node.module)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {f"{node.value.id}.{node.attr}"} & ONLY_POSIX_NAMES
    return found


def test_what_windows_lacks_is_asked_for_only_where_that_is_known() -> None:
    found = {}
    for folder, place in ((ROOT, "alignlib"), (ROOT / "book", "alignbook")):
        for path in sorted((folder / place).rglob("*.py")):
            name = path.relative_to(folder).as_posix()
            if not name.startswith("alignlib/lm/") and (names := only_posix(path.read_text(encoding="utf-8"))):
                found[name] = names
    assert found == GUARDED


def test_a_closed_pipe_ends_a_command_where_there_is_no_such_signal() -> None:
    assert _ending._SIGPIPE == 13
    with pytest.raises(SystemExit) as ended, _ending.sentences():
        raise BrokenPipeError(32, "Broken pipe")
    assert ended.value.code == 141


def tracked() -> list[str]:
    """The files of the repository; of what was unpacked without one, those of its folders of sources."""
    if (ROOT / ".git").exists():
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.split("\0")[:-1]
    folders = ("alignlib", "book", "notebooks", "supply", "tests", "benchmarks")
    return [path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*")]


def test_every_file_has_a_name_that_every_system_takes() -> None:
    names = tracked()
    assert len(names) > 500
    folded = Counter(unicodedata.normalize("NFC", name).casefold() for name in names)
    assert [name for name, count in folded.items() if count > 1] == []  # Windows and macOS tell no cases apart
    for name in names:
        assert not PureWindowsPath(name).is_reserved(), name
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]', name), name
        assert not any(part.endswith((".", " ")) for part in name.split("/")), name
        assert len(name) < 180, name  # Windows takes 260 with the folder of the clone


def test_text_has_the_same_line_ends_everywhere() -> None:
    assert "* text=auto eol=lf" in (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()


def steps_of(job: dict[str, object]) -> list[str]:
    """The commands of a job."""
    steps = job["steps"]
    assert isinstance(steps, list)
    return [line for step in steps for line in step.get("run", "").splitlines()]


def check_command(line: str) -> None:
    """Fail unless a command of ours exists with all its options."""
    words = shlex.split(line.partition(" > ")[0])
    if words[0] == "make":
        assert words[1] in TARGETS, line
    elif words[0].endswith("alignlib"):
        assert isinstance(main, click.Group)
        command = main.get_command(click.Context(main), words[1])
        assert command is not None, line
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= options, line


def test_workflow_and_container_ask_for_what_there_is() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8"))
    reader = steps_of(workflow["jobs"]["reader"])
    assert {"ubuntu-latest", "macos-latest", "windows-latest"} == set(
        workflow["jobs"]["reader"]["strategy"]["matrix"]["os"]
    )
    for line in reader:
        assert not re.search(r"[$`;&|\\%*]|^\S+=", line), f"{line}: no shell of Windows takes it as it stands"
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    # The names that its specification has, of which one says what to start from.
    assert set(container) <= {"name", "image", "postCreateCommand", "customizations", "features", "remoteUser"}
    assert re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:3\.1[1-3]", container["image"])
    assert container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"].endswith(
        "/.venv/bin/python"
    )
    lines = [line for job in workflow["jobs"].values() for line in steps_of(job)]
    lines += container["postCreateCommand"].split(" && ")
    assert sum(line.startswith(("make ", "alignlib ", ".venv/bin/alignlib ")) for line in lines) > 8
    for line in lines:
        check_command(line)
    with pytest.raises(AssertionError):
        check_command("make nothing")
    with pytest.raises(AssertionError):
        check_command("alignlib frontier rewards.csv --rewards a")
