"""How commands end: signals, full disks, closed pipes, folders that are gone; nothing is left, one sentence is said."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from alignbook.processes import Died, in_processes
from alignbook.runner import execute_all
from alignlib._core.errors import InputError
from alignlib._core.files import check_new, whole_file, write_whole
from alignlib._core.locks import host_key
from alignlib._core.open_files import allow_open_files
from alignlib._core.working import working_folder
from alignlib.cli import _ending
from alignlib.cli._ending import Stopped, _unraisable, refused
from alignlib.cli._say import csv_for, json_for
from alignlib.cli.main import main
from alignlib.scale.engine import engine_for
from tests.small_project import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and locks of POSIX")

# A program that ends as alignlib does: the outermost handler around one function.
PROGRAM = """
import os, sys, time
from pathlib import Path
from alignlib.cli._ending import as_program
from alignlib._core.working import working_folder
import click
def ready(): Path(sys.argv[1], "ready").touch()
{function}
if __name__ == "__main__":
    as_program(command)
"""
POOL = """
from alignbook.processes import in_processes
import subprocess
def prepare(home): pass
def work(place):
    Path(os.environ["TMPDIR"], "half").write_text("x")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    Path(place, "ready").touch()
    time.sleep(60)
def command():
    list(in_processes(work, sys.argv[1:2], 1, prepare))
"""


def heed_signals() -> None:
    """Undo what a shell's background or nohup does, which is inherited."""
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)


def started(tmp_path: Path, function: str, **options: Any) -> subprocess.Popen[str]:
    (tmp_path / "program.py").write_text(PROGRAM.format(function=function))
    (tmp_path / "tmp").mkdir(exist_ok=True)
    environment = os.environ | {
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "book")]),
        "TEST_MARK": str(tmp_path),
    }
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
    settings["preexec_fn"] = heed_signals
    return subprocess.Popen(command, env=environment, text=True, **settings | options)


def until_ready(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    while not (tmp_path / "ready").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def alive(tmp_path: Path) -> list[int]:
    """Processes that were started for this test, by a variable that they inherit."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("TEST_MARK") == str(tmp_path)
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize(
    ("error", "said"), [(Stopped(15), False), (KeyboardInterrupt(), True), (ValueError("x"), True)]
)
def test_a_signal_in_a_callback_of_pythons_own_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, said: bool
) -> None:
    """As in a weak reference's, or when a process is copied; it is raised again a moment later."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "__unraisablehook__", told.append)
    lost: Any = SimpleNamespace(exc_value=error)
    _unraisable(lost)
    assert told == [lost] * said


# ------------------------------------------------------------------ signals
SIGNALS = [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)]


@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_a_signal_leaves_no_folder_no_process_and_one_sentence(tmp_path: Path, name: str, code: int) -> None:
    process = started(tmp_path, POOL)
    until_ready(tmp_path, process)
    assert len(alive(tmp_path)) >= 3  # the command, its worker and what that started
    if name == "SIGHUP":  # a terminal that is closed tells all
        os.killpg(process.pid, signal.SIGHUP)
    else:
        process.send_signal(getattr(signal, name))
    said = process.communicate()
    assert (process.returncode, *said) == (code, "", f"Stopped by {name}.\n")
    assert alive(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


PAIRS = [("SIGTERM", "SIGHUP", 143), ("SIGHUP", "SIGHUP", 129), ("SIGINT", "SIGTERM", 130)]


@pytest.mark.parametrize(("first", "second", "code"), PAIRS)
def test_two_signals_to_all_leave_nothing_and_the_first_decides(
    tmp_path: Path, first: str, second: str, code: int
) -> None:
    """As a scheduler or a terminal sends them: workers get them too, and what a worker has started does not."""
    process = started(tmp_path, POOL)
    until_ready(tmp_path, process)
    os.killpg(process.pid, getattr(signal, first))
    time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.killpg(process.pid, getattr(signal, second))
    said = process.communicate()
    assert (process.returncode, *said) == (code, "", f"Stopped by {first}.\n")
    assert alive(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


# What interrupts putting away: an exception in the middle of it, or a block that never ends.
UNFINISHED = {
    "an exception": "raise KeyError",
    "a hang": "time.sleep(60)",
    "a thread that is waited for": "threading.Thread(target=time.sleep, args=(60,)).start()",
}


@pytest.mark.parametrize("way", UNFINISHED)
def test_what_a_block_did_not_put_away_is_put_away_in_the_end(tmp_path: Path, way: str) -> None:
    """And nothing keeps the process longer than it is given."""
    function = f"""
import threading
from alignlib._core.stopping import in_the_end
from alignlib.cli import _ending
_ending._PATIENCE = 1.0
def command():
    place = Path(os.environ["TMPDIR"], "made")
    place.mkdir()
    in_the_end(place.rmdir)
    try:
        ready()
        time.sleep(60)
    finally:
        {UNFINISHED[way]}
"""
    process = started(tmp_path, function)
    until_ready(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    assert (process.wait(), *process.communicate()) == (143, "", "Stopped by SIGTERM.\n")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_copy_of_the_process_ends_at_a_signal_as_any_other(tmp_path: Path) -> None:
    """A reader's function may make some (`multiprocessing.Pool`), and ends them by SIGTERM."""
    function = """
def command():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"x")
        time.sleep(60)
    os.read(reader, 1)
    os.kill(child, 15)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    process = started(tmp_path, function)
    assert process.communicate() == ("-15\n", "")


def test_a_signal_waits_until_what_must_be_whole_is(tmp_path: Path) -> None:
    function = """
from alignlib._core.stopping import undisturbed
def command():
    with undisturbed:
        ready()
        for _ in range(3):
            time.sleep(0.3)
        print("whole")
    print("not reached")
"""
    process = started(tmp_path, function)
    until_ready(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    assert (process.wait(), *process.communicate()) == (143, "whole\n", "Stopped by SIGTERM.\n")


def test_a_process_that_is_killed_costs_its_own_job_alone(tmp_path: Path) -> None:
    found = dict(in_processes(_killed_or_doubled, [1, 0, 3], 1, str))
    assert found == {0: 2, 1: Died(-signal.SIGKILL), 2: 6}
    with pytest.raises(ValueError, match="no 7"):
        list(in_processes(_killed_or_doubled, [7], 1, str))


def _killed_or_doubled(number: int) -> int:
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 7:
        raise ValueError("no 7")
    return 2 * number


# A signal whose exception is lost: swallowed by who calls back from C, made another error, or stuck while putting away.
LOST = {
    "swallowed": "try:\n        ready(); time.sleep(60)\n    except BaseException:\n        time.sleep(60)",
    "another error": "try:\n        ready(); time.sleep(60)\n    except BaseException:\n        raise ImportError('x')",
    "forgotten": "try:\n        ready(); time.sleep(60)\n    except BaseException:\n        pass\n    time.sleep(60)",
}


@pytest.mark.parametrize("way", LOST)
def test_a_signal_that_is_lost_on_its_way_ends_the_command_all_the_same(tmp_path: Path, way: str) -> None:
    process = started(tmp_path, f"def command():\n    {LOST[way]}")
    until_ready(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    if way == "swallowed":  # it looks like putting away: a second signal ends that
        time.sleep(_ending._TOGETHER + 0.1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert (process.wait(), *process.communicate()) == (130, "", "Stopped by SIGINT.\n")
    else:
        assert (process.wait(), *process.communicate()) == (143, "", "Stopped by SIGTERM.\n")


def test_ctrl_c_while_workers_begin_is_one_sentence(tmp_path: Path) -> None:
    """They import for a while, and the terminal tells them too."""
    busy = 'if __name__ == "__mp_main__":\n    ready(); time.sleep(60)\n'
    process = started(tmp_path, busy + POOL)
    until_ready(tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)
    assert (process.wait(), *process.communicate()) == (130, "", "Stopped by SIGINT.\n")
    assert alive(tmp_path) == []


def test_where_there_is_nothing_to_put_away_a_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    function = """
from alignlib.cli._ending import nothing_to_put_away
def command():
    with nothing_to_put_away():
        try:
            ready(); time.sleep(60)
        finally:
            print("here")
"""
    process = started(tmp_path, function)
    until_ready(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    assert (process.wait(), *process.communicate()) == (143, "", "Stopped by SIGTERM.\n")


def test_after_a_kill_no_process_stays_and_the_next_run_clears_the_folder(tmp_path: Path) -> None:
    process = started(tmp_path, POOL, stderr=subprocess.DEVNULL)
    until_ready(tmp_path, process)
    process.kill()
    process.communicate()
    while alive(tmp_path):  # the worker notices by itself
        time.sleep(0.01)
    (left,) = (tmp_path / "tmp").iterdir()
    with working_folder(tmp_path / "tmp") as mine:
        assert not left.exists()
        assert list((tmp_path / "tmp").iterdir()) == [mine.parent]
    assert list((tmp_path / "tmp").iterdir()) == []


# Signals that come when a module begins to be imported: the first of ours, the first of others, a compiled one.
IMPORTS = [("alignlib.cli", "SIGINT", 130), ("click", "SIGTERM", 143), ("numpy._core._multiarray_umath", "SIGINT", 130)]
IMPORTING = """
import os, runpy, sys, _signal
class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), _signal.{name})
sys.meta_path.insert(0, Finder)
sys.argv[1:] = ["frontier", "-", "--reward", "a"]
runpy.run_module("alignlib", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("module", "name", "code"), IMPORTS)
def test_a_signal_during_the_imports_is_one_sentence_too(module: str, name: str, code: int) -> None:
    command = [sys.executable, "-c", IMPORTING.format(module=module, name=name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=heed_signals)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"Stopped by {name}.\n")


def test_nothing_slow_is_imported_before_signals_are_heeded() -> None:
    """Until then Python itself answers Ctrl-C with a traceback."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules); import alignlib.__main__; "
        "print(*sorted(set(sys.modules) - before - {'os', 'stat', 'posixpath', 'genericpath', '_collections_abc'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["alignlib", "alignlib.__main__", "alignlib._core", "alignlib._core.version"]


def test_nohup_is_respected(tmp_path: Path) -> None:
    function = "def command():\n    ready(); time.sleep(0.3); print('done')"
    process = started(tmp_path, function, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until_ready(tmp_path, process)
    process.send_signal(signal.SIGHUP)
    assert process.communicate() == ("done\n", "")


MARKER = ".alignlib-working-folder"
GONE = 2**22 + 1  # larger than any process number of Linux


MARKERS = [
    None,
    "",
    "[]",
    "[" * 500,
    '{"made by": "alignlib"}',
    json.dumps({"made by": "alignlib", "host": host_key(), "pid": os.getpid()}),
    json.dumps({"made by": "alignlib", "host": "another1", "pid": GONE}),
    json.dumps({"made by": "someone", "host": host_key(), "pid": GONE}),
    json.dumps({"made by": "alignlib", "host": host_key(), "pid": "1"}),
    json.dumps({"made by": "alignlib", "host": host_key(), "pid": -1}),
    json.dumps({"made by": "alignlib", "host": host_key(), "pid": GONE}) + " " * 2000,
]


@pytest.mark.parametrize("marker", MARKERS, ids=range(len(MARKERS)))  # the same in every process
def test_folders_that_are_not_known_as_left_are_never_touched(tmp_path: Path, marker: str | None) -> None:
    theirs = tmp_path / "alignlib-thesis"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    if marker is not None:
        (theirs / MARKER).write_text(marker)
    with working_folder(tmp_path):
        pass
    assert (theirs / "thesis.txt").read_text() == "years of work"


def test_links_are_not_followed_where_folders_are_cleared(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / MARKER).write_text(json.dumps({"made by": "alignlib", "host": host_key(), "pid": GONE}))
    (tmp_path / "alignlib-link").symlink_to(target)
    (tmp_path / "alignlib-other").mkdir()
    (tmp_path / "alignlib-other" / MARKER).symlink_to(target / MARKER)
    with working_folder(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"target", "alignlib-link", "alignlib-other"}
    (left := tmp_path / "alignlib-left").mkdir()
    (target / MARKER).rename(left / MARKER)
    with working_folder(tmp_path):
        assert not left.exists()


def test_a_left_part_of_a_file_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    ours = f".a.txt.alignlib-{host_key()}-{GONE}-0123abcd"
    kept = [
        ".a.txt.12",
        f".a.txt.alignlib-{host_key()}-{os.getpid()}-0123abcd",
        f".a.txt.alignlib-ffffffff-{GONE}-0123abcd",
        f".b.txt.alignlib-{host_key()}-{GONE}-0123abcd",
        f"a.txt.alignlib-{host_key()}-{GONE}-0123abcd",
    ]
    for name in (ours, *kept):
        (tmp_path / name).write_text("half")
    write_whole(tmp_path / "a.txt", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", *kept}


# ------------------------------------------------------------------ files
def test_the_umask_holds_for_folders_too(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with working_folder(tmp_path) as folder:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o750
            os.rename(folder, tmp_path / "kept")
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a"
    check_new(path, force=False)
    write_whole(path, "mine", replace=False)
    with pytest.raises(InputError, match=r"a exists; choose another output, or pass force=True to replace it\."):
        check_new(path, force=False)
    check_new(path, force=True)
    with pytest.raises(FileExistsError, match="exists"):
        write_whole(path, "new", replace=False)
    with pytest.raises(FileExistsError), whole_file(tmp_path / "b", replace=False):
        (tmp_path / "b").write_text("meanwhile")
    assert (path.read_text(), (tmp_path / "b").read_text()) == ("mine", "meanwhile")
    with pytest.raises(InputError, match="is a folder"):
        check_new(tmp_path, force=True)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists"):
        check_new(tmp_path / "gone", force=False)


def test_a_table_whose_name_is_not_unicode(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.csv"
    try:
        with open(path, "w") as file:
            file.write("prompt_id,reward\n" + "".join(f"{i // 4},{i * 7 % 5}\n" for i in range(40)))
    except OSError:
        pytest.skip("this disk has no such names")
    for form in ([], ["--json"], ["--csv"]):
        result = CliRunner().invoke(main, ["frontier", os.fsdecode(path), "--reward", "reward", *form])
        assert (result.exit_code, result.stderr) == (0, "")
    result = CliRunner().invoke(main, ["frontier", os.fsdecode(path), "--reward", "rewrad"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert r"\udcff\udcfe.csv" in result.stderr
    report = ["report", os.fsdecode(path), "--reward", "reward", "-o", str(tmp_path / "r")]
    result = CliRunner().invoke(main, report)
    assert (result.exit_code, result.stdout) == (2, "")
    assert r"\udcff\udcfe.csv is no name in Unicode, as a report needs; rename the file or its folder." in result.stderr


def test_a_closed_folder_is_said_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def closed(path: str, *rest: int) -> int:
        if Path(path).parent == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", closed)
    log = ROOT / "tests" / "data" / "trl_grpo.json"
    result = CliRunner().invoke(main, ["overlay", str(log), "-o", str(tmp_path / "a.png")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "a.png cannot be written, its folder is closed; choose another output." in result.stderr


def test_a_device_is_no_place_for_a_file(tmp_path: Path) -> None:
    """A link to one would be followed, and the device gone."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        check_new(tmp_path / "link", force=True)
    with pytest.raises(OSError, match="no regular file"):
        write_whole(tmp_path / "link", "x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_text("old")
    code = (
        "import resource, sys; from alignlib._core.files import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_whole(sys.argv[1], b'x' * int(sys.argv[2]))\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    for size in ("5000", "500000"):  # found when a buffer is emptied, and at once
        done = subprocess.run([sys.executable, "-c", code, path, size], cwd=ROOT, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (f"{errno.EFBIG} {path}\n", "")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------ standard streams
def alignlib(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.run([sys.executable, "-m", "alignlib", *arguments], **settings | options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_standard_output_is_a_sentence() -> None:
    with open("/dev/full", "w") as full:
        done = alignlib(["--help"], stdout=full)
    assert (done.returncode, done.stderr) == (
        2,
        "Error: No space left on device (standard output); free some space, or choose another disk.\n",
    )


def test_a_closed_standard_error_is_one_for_what_is_started_too(tmp_path: Path) -> None:
    """A kernel would find its own closed, and end without a word."""
    process = started(tmp_path, "def command():\n    print(os.get_inheritable(2))", preexec_fn=lambda: os.close(2))
    assert process.communicate()[0] == "True\n"


def test_a_closed_standard_output_is_a_sentence(tmp_path: Path) -> None:
    done = alignlib(["--help"], preexec_fn=lambda: os.close(1))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Standard output is closed")
    assert alignlib(["--help"], preexec_fn=lambda: (os.close(2), os.close(0))).returncode == 0
    assert alignlib(["frontier"], preexec_fn=lambda: os.close(2)).returncode == 2


def test_whoever_reads_may_have_enough() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        for arguments in (["--help"], ["example"], ["example", "--help"]):
            done = alignlib(arguments, stdout=closed)
            assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")  # 1 would say that the answer is no


def test_few_letters_are_enough() -> None:
    text = '{"é": "μ 🔬"}'
    assert [json.loads(json_for(text, encoding)) for encoding in ("ascii", "latin-1", "utf-8")] == [{"é": "μ 🔬"}] * 3
    assert json_for(text, "utf-8") == text
    assert csv_for("é", "latin-1") == "é"
    with pytest.raises(Exception, match=r"Standard output is latin-1, which has no 'μ'; set PYTHONIOENCODING=utf-8"):
        csv_for("μ", "latin-1")
    done = alignlib(["frontier", "μ.csv", "--reward", "b"], env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert r"\u03bc.csv" in done.stderr


# ------------------------------------------------------------------ what comes from outside, in a sentence
def outcome(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Result:
    def failing(*_: object, **__: object) -> None:
        raise error

    module = import_module("alignlib.tables.example_table")
    monkeypatch.setattr(module, "example_scores", failing)
    return CliRunner().invoke(main, ["example"])


ENDINGS = [
    (MemoryError(), 2, "Error: Memory is too small for this"),
    (ImportError("libarrow.so: failed to map segment from shared object"), 2, "Error: Memory is too small for this"),
    (RecursionError("maximum"), 2, "Error: The input is nested too deeply"),
    (KeyboardInterrupt(), 130, "Stopped by SIGINT.\n"),
    (_ending.Stopped(15), 143, "Stopped by SIGTERM.\n"),
    (PermissionError(13, "Permission denied", "/x/y"), 2, "Error: Permission denied (/x/y); change"),
    (
        OSError(errno.ENAMETOOLONG, "File name too long", "a\nb"),
        2,
        "Error: File name too long (a\\nb); choose a shorter name.\n",
    ),
    (
        OSError(errno.ENOSPC, "No space left on device"),
        2,
        "Error: No space left on device, perhaps on that of temporary files (TMPDIR=",
    ),
    (OSError(errno.EFBIG, "File too large"), 2, "Error: File too large, perhaps a temporary one (TMPDIR="),
    (OSError(errno.EFBIG, "File too large", "x"), 2, "Error: File too large (x); raise the limit of a file's size"),
]


@pytest.mark.parametrize(("error", "code", "said"), ENDINGS)
def test_what_ends_a_command_from_outside(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    result = outcome(monkeypatch, error)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("most", [200, 32])
def test_too_few_open_files_are_said_before_any_work(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    resource = pytest.importorskip("resource")
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (32, most))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: asked.append(both))
    if most == 200:
        allow_open_files(96)
        assert asked == [(96, 200)]
        return
    for start in (lambda: allow_open_files(96), lambda: next(execute_all([], 2)), lambda: engine_for(2).__enter__()):
        with pytest.raises(InputError, match=r"open at once, and 32 are allowed; raise that limit \(ulimit -n \d\d\)"):
            start()


def test_a_fault_of_ours_is_one_sentence_too(tmp_path: Path) -> None:
    process = started(tmp_path, "def command():\n    raise KeyError('two\\nlines')")
    out, said = process.communicate()
    assert (process.returncode, out) == (_ending.FAULT, "")
    assert said.startswith("Error: KeyError: 'two")
    assert "ALIGNLIB_TRACEBACK=1" in said
    assert said.count("\n") == 1


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    assert refused(FileNotFoundError(2, "No such file or directory")).message == (
        "The working folder is gone; change into one that exists."
    )
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="bounded memory as Linux has it")
@pytest.mark.parametrize(("command", "needed"), [("frontier", 512), ("run", 2048)])
def test_too_little_memory_to_begin_is_one_sentence(command: str, needed: int) -> None:
    """Libraries would end the process in words of theirs, with the exit code for "no"."""
    resource = pytest.importorskip("resource")
    arguments = {"frontier": ["frontier", "t.csv", "--reward", "a"], "run": ["run", "best_of_n", "-o", "t.ipynb"]}
    bound = (230 << 20, 230 << 20)
    done = alignlib(arguments[command], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, bound))
    said = f"Error: This process may have 230 MiB of memory (ulimit -v), and {needed} MiB are needed to begin"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


NAMES = [
    ["frontier", "a\0b.csv", "--reward", "x"],
    ["frontier", "x" * 5000, "--reward", "x"],
    ["frontier", "", "--reward", "x"],
    ["capacity", "/".join(["d"] * 3000)],
    ["overlay", "t.csv", "-o", "y" * 300 + ".png"],
    ["overlay", "t.csv", "-o", "a\0.png"],
    ["report", "t.csv", "--reward", "x", "-o", "a\0b"],
    ["report", "t.csv", "--reward", "x", "-o", "z" * 300],
    ["run", "best_of_n", "-o", "z" * 300 + ".ipynb"],
    ["kl", os.fsdecode(b"\xff\xfe.csv")],
    ["frontier", "t.csv", "--reward", "x", "--checkpoint", "s3://bucket/kept"],
    ["frontier", "t.csv", "--reward", "x", "--summary", "file:///x/s.parquet"],
]


@pytest.mark.parametrize("said", ["x", "", "-1", "9" * 40])
def test_a_time_of_builds_that_is_none(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Numpy would fail over it in the middle of the work."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", said)
    result = CliRunner().invoke(main, ["frontier", "t.csv", "--reward", "x"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        f"SOURCE_DATE_EPOCH must be a whole number of seconds since 1970, of at most 11 digits; got '{said}'"
        in result.stderr
    )
    assert CliRunner().invoke(main, ["frontier", "--help"]).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    NAMES,
    ids=lambda words: " ".join(words)[:30].encode("unicode_escape").decode(),
)
def test_names_of_files_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 1000
    assert list(tmp_path.iterdir()) == []
