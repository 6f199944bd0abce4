"""How tests are chosen and drawn: what needs the extra lm only where it is installed, properties by a fixed profile."""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Generator
from functools import cache, cached_property, wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion import rewrite
from hypothesis import HealthCheck, settings
from hypothesis.errors import FlakyStrategyDefinition, HypothesisException
from hypothesis.internal.conjecture import providers

from tests.built_book import NO_BROWSER, browser_here

ROOT = Path(__file__).resolve().parent
EXTRA = {
    "torch",
    "transformers",
    "trl",
    "torchrl",
    "tensordict",
    "datasets",
    "tokenizers",
    "safetensors",
    "tensorboard",
}
TOGETHER = 8  # tests of a file; the smallest file that begins early for what it makes has more, and pieces go by size
REWARDS = {"vaderSentiment", "profanity_check"}  # of the extra too, imported by the functions that call them

# `make test` draws the same examples everywhere, whatever ran before and however slow the machine is; `make fuzz` draws
# new ones, more of them, and keeps what failed in .hypothesis for the next time.
settings.register_profile("fixed", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile(
    "fuzz", max_examples=500, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "fixed")
settings.load_profile(PROFILE)
END = float(os.environ.get("FUZZ_END", "inf"))  # when `make fuzz` is to end, in seconds since 1970
TURN = 0.1 * (END - time.time())  # that each property has its turn, however many examples it would draw
# Hypothesis also tries the numbers that it finds in whatever modules happen to be loaded, which differ between a whole
# run, a part of it and the processes of xdist: the fixed examples do without. It has no setting for that, so a private
# function is replaced, and a version of Hypothesis that has no such function is refused rather than left as it is.
if PROFILE == "fixed":
    if not hasattr(providers, "_get_local_constants"):
        raise pytest.UsageError(
            "This version of Hypothesis has no providers._get_local_constants: find where it collects the constants of "
            "loaded modules now, and replace that in conftest.py, so that fixed examples are the same everywhere."
        )
    providers._get_local_constants = providers.Constants


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and say at once where no test can do what it is to."""
    config.addinivalue_line("markers", "lm: needs the extra lm; left out where it is not installed")
    config.addinivalue_line("markers", "early: of a file with a group that begins before all others: it takes long")
    config.addinivalue_line("markers", "browser: opens pages in Chromium; of every test that takes its fixture")
    if config.option.markexpr == "browser" and browser_here() is None:
        raise pytest.UsageError(NO_BROWSER)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Draw no more once a turn or `make fuzz` is to end: Hypothesis leaves a property when an example is skipped.

    Not where one has failed, which is made smaller by trying others.
    """
    handle = getattr(pyfuncitem.obj, "hypothesis", None)
    if handle is None or not math.isfinite(END):
        return (yield)
    inner, failed, over, end = handle.inner_test, False, False, min(END, time.time() + TURN)

    @wraps(inner)
    def in_time(*drawn: object, **named: object) -> None:
        nonlocal failed, over
        over = not failed and time.time() > end
        if over:
            pytest.skip("its time is over")
        try:
            inner(*drawn, **named)
        except HypothesisException:  # an example that is not counted
            raise
        except Exception:
            failed = True
            raise

    handle.inner_test = in_time
    try:
        return (yield)
    except FlakyStrategyDefinition:  # the example that was skipped drew less than one that began as it did
        if not over:
            raise
        pytest.skip("its time is over")
    finally:
        handle.inner_test = inner


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Look for no garbage among thousands of tests and all they import, which stay to the end."""
    gc.disable()
    _compile_a_share(session.config)
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(50_000, 20, 20)  # thousands of syntax trees and rows live at once, and few are garbage


def _compile_a_share(config: pytest.Config) -> None:
    """In one of several processes, compile a share of the tests, as pytest does where it imports them first.

    In a new clone that takes longer than all else before the tests begin, and each process would do it for all files.
    pytest keeps what it compiled, and has no word for doing so beforehand: these functions are private, and where a
    version lacks them, or has others, each process compiles all files again.
    """
    here = getattr(config, "workerinput", None)
    if here is None or sys.dont_write_bytecode:
        return
    with contextlib.suppress(AttributeError, TypeError, KeyError, OSError, SyntaxError):
        state = config.stash[rewrite.assertstate_key]
        files = sorted((ROOT / "tests").rglob("test_*.py"))
        for path in files[int(here["workerid"].removeprefix("gw")) :: here["workercount"]]:
            folder = rewrite.get_cache_dir(path)
            kept = folder / (path.name[:-3] + rewrite.PYC_TAIL)
            if rewrite.try_makedirs(folder) and rewrite._read_pyc(path, kept) is None:
                about, code = rewrite._rewrite_test(path, config)
                rewrite._write_pyc(state, code, about, kept)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep tests that share what they make in one process: it is made once.

    A file with the mark `xdist_group` or a fixture of its own is one piece of work; of any other, some tests that
    follow each other are. The largest pieces begin first, and before them those with the mark `early`. xdist 3.8 writes
    groups into a field that pytest 9.2 no longer reads, and so forgets them; the files tell them too.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    class ByFile(LoadGroupScheduling):  # type: ignore[misc]
        """Groups by the file of a test, or by its place there."""

        @cached_property
        def pieces(self) -> dict[str, str]:
            """The piece of work of each test."""
            before: Counter[str] = Counter()
            found = {}
            for nodeid in self.collection:
                path = nodeid.partition("::")[0]
                group = _says(path, "pytest.mark.xdist_group(") or _says(path, 'fixture(scope="module"')
                found[nodeid] = path if group else f"{path} {before[path] // TOGETHER}"
                before[path] += 1
            return found

        def _split_scope(self, nodeid: str) -> str:
            return self.pieces[nodeid]

        def _assign_work_unit(self, node: Any) -> None:
            for piece in [piece for piece in self.workqueue if _says(piece, "pytest.mark.early")]:
                self.workqueue.move_to_end(piece, last=False)
            super()._assign_work_unit(node)

    return ByFile(config, log)


@cache
def _says(path: str, text: str) -> bool:
    file = ROOT / path
    return file.suffix == ".py" and file.is_file() and text in file.read_text(encoding="utf-8")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a module that fails for want of the extra, and for no other reason; for the browser, what has none."""
    if collection_path.suffix != ".py":
        return None
    if config.option.markexpr == "browser" and collection_path.name.startswith("test_"):
        return None if _says(str(collection_path), "Browser") else True
    if ROOT / "tests" / "lm" in collection_path.parents:
        return True if _lacks_extra() and _imports_extra(collection_path) else None
    if ROOT / "alignlib" / "lm" not in collection_path.parents:
        return None
    name = ".".join(collection_path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        return True if (error.name or "").partition(".")[0] in EXTRA else None
    return True if any(find_spec(reward) is None for reward in REWARDS & _imported(collection_path)) else None


@pytest.hookimpl(tryfirst=True)  # before `-m browser` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that take the browser, whichever way; leave out single tests that need the extra.

    The examples of what the door of a room offers are those of the module that it lives in, where they run.
    """
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
            if not _says(str(item.path), "Browser"):  # which `pytest -m browser` goes by, to collect these files only
                raise pytest.UsageError(f"{item.nodeid} takes the browser: give its fixture the type `Browser`.")
    out = [item for item in items if (_lacks_extra() and item.get_closest_marker("lm")) or _at_a_door(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


def _at_a_door(item: pytest.Item) -> bool:
    """Whether a test is the example of a function that a door has wrapped, `alignlib._core.doors.guard`."""
    if not isinstance(item, pytest.DoctestItem) or item.path.name != "__init__.py":
        return False
    offered = item.dtest.globs.get(item.name.rpartition(".")[2])
    wrapped = getattr(offered, "__wrapped__", None)
    return wrapped is not None and wrapped.__module__ != offered.__module__


def _imported(path: Path) -> set[str]:
    """Return the packages that a module imports from, at its top or within its functions."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


@cache
def _lacks_extra() -> bool:
    return any(find_spec(name) is None for name in EXTRA)


@cache
def _imports_extra(path: Path) -> bool:
    """Whether a test module, or another of its folder that it imports, imports the extra at its top."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            beside = ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if name.partition(".")[0] in EXTRA or (name.startswith("tests.lm.") and _imports_extra(beside)):
                return True
    return False
