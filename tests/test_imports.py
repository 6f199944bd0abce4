"""What starting costs, counted in packages imported rather than in seconds: the library, its doors, and a command."""

from __future__ import annotations

import ast
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import alignlib
from alignlib.cli.main import one_thread

ROOT = Path(__file__).resolve().parent.parent
SLOW = {
    *("scipy.stats", "scipy.special", "scipy.optimize", "scipy.integrate", "scipy.linalg", "scipy.signal"),
    *("matplotlib", "pandas", "narwhals", "nbformat", "jupytext", "jinja2", "papermill", "IPython", "torch", "yaml"),
}


def imported(code: str, *arguments: str) -> set[str]:
    """Names of the modules that a fresh Python has imported after running ``code``."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules, sep='\\n', file=sys.stderr)", *arguments]
    readers = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=readers)
    return set(done.stderr.split())


def test_importing_the_library_imports_nothing_else() -> None:
    found = imported("import alignlib; dir(alignlib)")
    assert not {
        name for name in found if name.partition(".")[0] in ("numpy", "scipy", "pyarrow", "matplotlib", "pandas")
    }
    assert {name for name in found if name.startswith("alignlib")} == {
        "alignlib",
        "alignlib._core",
        "alignlib._core.version",
    }


COMMAND = """
import os, sys
from alignlib.cli.main import main
assert "numpy" not in sys.modules, "it starts its threads before a command can say how many"
sys.argv = ["alignlib", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("threads=" + os.environ["OPENBLAS_NUM_THREADS"], file=sys.stderr)
"""
TABLES = {
    "frontier": ("prompt_id,reward", lambda i: f"{i % 50},{i * 7919 % 1009 / 100}"),
    "capacity": ("target,label", lambda i: f"{i % 2},{i * 7919 % 1009 % (3 + i % 2)}"),
    "passk": ("prompt_id,correct", lambda i: f"{i % 50},{i * 7919 % 1009 % 2}"),
    "kl": ("prompt_id,log_prob,base_log_prob", lambda i: f"{i % 50},-{i % 7},-{i % 7 + i * 7919 % 1009 / 2000}"),
}


@pytest.mark.parametrize("command", TABLES)
def test_a_command_on_a_small_table_imports_nothing_slow(tmp_path: Path, command: str) -> None:
    header, row = TABLES[command]
    (tmp_path / "t.csv").write_text("\n".join([header, *map(row, range(1600))]) + "\n")
    options = ["--reward", "reward"] if command == "frontier" else []
    found = imported(COMMAND, command, str(tmp_path / "t.csv"), *options)
    assert "alignlib.tables" in found
    assert "alignlib.hacking" not in found
    assert "threads=1" in found
    needed = {
        "capacity": {"scipy.special", "scipy.linalg"},
        "kl": {"scipy.special"},
    }  # certificates; Student's quantile
    assert SLOW & found == needed.get(command, set())


@pytest.mark.parametrize("chosen", ["OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"])
def test_how_many_threads_there_are_is_the_readers_choice(chosen: str) -> None:
    environ = {chosen: "4"}
    one_thread(environ)
    assert environ == {chosen: "4"}
    environ[chosen] = ""
    one_thread(environ)
    assert environ == {chosen: "", "OPENBLAS_NUM_THREADS": "1"}


@pytest.mark.parametrize("name", sorted(alignlib._HOMES))
def test_each_name_of_the_front_door_has_an_example(name: str) -> None:
    value = getattr(alignlib, name)
    assert name in dir(alignlib)
    assert ">>>" in (value.__doc__ or ""), f"{name} has no example"


def test_type_checkers_see_the_same_front_door() -> None:
    tree = ast.parse((ROOT / "alignlib" / "__init__.py").read_text(encoding="utf-8"))
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    seen = [(alias.asname, node.module) for node in imports for alias in node.names]
    assert {name: home for name, home in seen if home != "alignlib"} == alignlib._HOMES
    assert {name for name, home in seen if home == "alignlib"} == set(alignlib._MODULES)
    for name in alignlib._MODULES:
        assert getattr(alignlib, name).__name__ == f"alignlib.{name}"


def test_all_is_the_front_door_and_dir_shows_nothing_else() -> None:
    assert set(alignlib.__all__) == {*alignlib._HOMES, "plotting"}
    assert set(dir(alignlib)) == {*alignlib.__all__, *alignlib._MODULES, "__version__"}
    found: dict[str, object] = {}
    exec("from alignlib import *", found)
    assert set(found) - {"__builtins__"} == set(alignlib.__all__)


def test_the_docstring_names_the_whole_front_door_and_rooms() -> None:
    told = set(re.findall(r"`(\w+)`", alignlib.__doc__ or ""))
    assert set(alignlib.__all__) <= told
    assert set(alignlib._MODULES) <= {*told, *re.findall(r"alignlib\.(\w+)", alignlib.__doc__ or "")}
    shown = pydoc.plain(pydoc.render_doc(alignlib))
    assert all(f" {name}" in shown for name in alignlib.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'alignlib' has no attribute 'frontire'"):
        alignlib.frontire  # noqa: B018
