"""The runner: what an execution yields, how it fails, that it repeats to the byte, and when the cache is asked."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import nbformat
import numpy as np
import pandas as pd
import pytest

from alignbook import cache, processes
from alignbook.normalise import normalise
from alignbook.parameters import ParameterError
from alignbook.project import Project
from alignbook.runner import Job, Run, execute, execute_all
from alignbook.watched_files import files_read, modules_read
from tests.small_project import GOOD, LIBRARY, make_project, plain

pytestmark = pytest.mark.xdist_group("runner")  # what is made once is made in one process
RAISES = "def f(x):\n    raise ValueError(f'kl must be >= 0; got {x}. Give a budget.')\n\nf(-1)"
SCRIPTS = {
    "01_roots": GOOD,
    "02_raises": plain(RAISES),
    "03_warns": plain("import warnings\nwarnings.warn('mind the gap')"),
    "04_address": plain("object()"),
    "05_bare_picture": plain("import matplotlib.pyplot as plt\n_ = plt.figure(figsize=(1, 1))\nplt.plot([0, 1])"),
    "06_false_claim": plain("claims.record(claims.at_most('off', 'two is at most one', 'arithmetic', 2, 1))"),
    "07_unknown_number": plain(title="Gains of {{share:.2f}}"),
    "08_dies": plain("import os\nos._exit(3)"),
    "09_twice_glued": plain("claims.glue(a=1)\nclaims.glue(a=2)"),
    "10_no_claims": plain().split("# %%\nclaims.record")[0],
    "11_environment": plain(
        "import os, random\n"
        "names = ['OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'PYTHONHASHSEED']\n"
        "print([os.environ[name] for name in names], hash('a'), os.path.basename(os.getcwd()))\n"
        "for i in range(200):\n    print(i, flush=True)"
    ),
    "12_free_claim": plain("claims.record(claims.at_most('off', 'two', 'arithmetic', 2, 1, must_hold=False))"),
    "13_bad_format": plain(title="{{n:.2q}}"),
}


@pytest.fixture(scope="module", name="project")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("runner"), SCRIPTS)


@pytest.fixture(scope="module", name="runs")
def _runs(project: Project) -> dict[str, Run]:
    """All of them executed once as pages of a book: the ones that fail must not disturb the others."""
    return {run.name: run for run in execute_all([Job(n, strict=True) for n in project.notebooks()], workers=2)}


def test_all_are_executed(runs: dict[str, Run]) -> None:
    assert set(runs) == set(SCRIPTS)
    assert {name for name, run in runs.items() if not run.failures} == {"01_roots", "11_environment", "12_free_claim"}


def test_claims_and_numbers_are_collected(runs: dict[str, Run]) -> None:
    run = runs["01_roots"]
    assert run.title == "Roots"
    assert run.numbers == {"root": 2.0}
    assert [(claim.key, claim.holds, claim.points) for claim in run.claims] == [("square", True, 5), ("cap", True, 5)]
    assert json.loads(json.dumps(run.record)) == run.record
    assert "seconds" not in run.record


def test_generated_numbers_are_filled_in(runs: dict[str, Run]) -> None:
    cells = nbformat.reads(runs["01_roots"].notebook, as_version=4).cells
    assert "With 5 points the largest root is 2.00, so $\\sqrt{4}=2$" in cells[0].source
    assert "{glue:text}`root:.1f`" in cells[0].source
    options = cells[3].metadata["mystnb"]
    assert options["figure"] == {"caption": "5 roots.", "name": "fig-roots"}
    assert options["image"] == {"alt": "Up to 2.00."}


def test_the_executed_notebook_is_valid_and_bare(runs: dict[str, Run]) -> None:
    node = nbformat.reads(runs["01_roots"].notebook, as_version=4)
    nbformat.validate(node)
    assert set(node.metadata) == {"kernelspec", "language_info", "alignlib"}
    assert node.metadata["alignlib"]["parameters"] == {"n": 5, "top": 4.0}
    for cell in node.cells:
        assert set(cell.metadata) <= {"tags", "mystnb"}
        for output in cell.get("outputs", []):
            assert not any(mime.startswith("application/vnd") for mime in output.get("data", {}))
    assert [output.output_type for output in node.cells[3].outputs] == ["display_data"]  # not what plot() returned


def test_one_thread_fixed_hash_and_one_stream(runs: dict[str, Run]) -> None:
    (output,) = nbformat.reads(runs["11_environment"].notebook, as_version=4).cells[2].outputs
    first, *rest = output.text.splitlines()
    assert first.startswith("['1', '1', '1', '0']")
    assert first.endswith("notebooks")
    assert rest == [str(i) for i in range(200)]


def test_a_second_execution_gives_the_same_bytes(project: Project, runs: dict[str, Run]) -> None:
    names = ["01_roots", "02_raises", "11_environment"]
    again = {run.name: run for run in execute_all([Job(project.find(n), strict=True) for n in names], workers=2)}
    for name in names:
        assert again[name].notebook == runs[name].notebook


def test_an_error_is_told_with_its_cell(runs: dict[str, Run]) -> None:
    (failure,) = runs["02_raises"].failures
    assert str(failure) == "cell 3: ValueError: kl must be >= 0; got -1. Give a budget."
    assert "f(-1)" in failure.source
    assert "raise ValueError" in failure.traceback
    assert "\x1b" not in failure.traceback
    node = nbformat.reads(runs["02_raises"].notebook, as_version=4)
    assert [output.output_type for output in node.cells[2].outputs] == ["error"]
    assert not any("papermill" in cell.source for cell in node.cells)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("03_warns", "cell 3 writes to stderr: UserWarning: mind the gap"),
        ("04_address", "cell 3 shows a memory address"),
        ("05_bare_picture", "cell 3 shows a picture without mystnb figure.caption, figure.name, image.alt"),
        ("06_false_claim", "the claim 'off' does not hold: two is at most one (2 ≤ 1)"),
        ("07_unknown_number", "cell 1 quotes {{share:.2f}}, but 'share' is neither a parameter nor a glued number"),
        ("08_dies", "DeadKernelError"),
        ("09_twice_glued", "the number 'a' is glued twice"),
        ("10_no_claims", "it records no claims"),
        ("13_bad_format", "cell 1 quotes {{n:.2q}}, but n is 1"),
    ],
)
def test_what_no_page_may_show_is_a_failure(runs: dict[str, Run], name: str, said: str) -> None:
    assert said in " ".join(str(failure) for failure in runs[name].failures)


def test_no_address_and_no_path_of_the_kernel_is_left(runs: dict[str, Run]) -> None:
    assert "at 0x…" in runs["04_address"].notebook
    assert "ipykernel_" not in runs["03_warns"].notebook


def test_a_table_has_its_names_in_one_row_and_no_heading_without_text() -> None:
    frame = pd.DataFrame({"a": [1], "b": [2], "<c>": [3]})
    upper = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("p", "q"), ("p", "r")]))
    frames = [frame, frame.set_index("a"), frame.set_index(["a", "b"]), upper.rename_axis("k")]
    cells = [nbformat.v4.new_code_cell() for _ in frames]
    for cell, shown in zip(cells, frames, strict=True):
        html = {"text/html": shown.to_html(notebook=True), "text/plain": "a table"}
        cell.outputs = [nbformat.v4.new_output("display_data", html)]
    normalise(nbformat.v4.new_notebook(cells=cells))
    heads = [re.findall(r"<(t[hd])[^>]*>(.*?)</t", c.outputs[0].data["text/html"].split("</thead>")[0]) for c in cells]
    names = [("th", name) for name in ("a", "b", "&lt;c&gt;")]
    levels = [("td", ""), ("th", "p"), ("th", "k"), ("th", "q"), ("th", "r")]
    assert heads == [[("td", ""), *names], names, names, levels]


def test_a_failed_run_is_not_kept(project: Project, runs: dict[str, Run], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only runs that succeeded are kept"):
        cache.store(tmp_path, "key", project, runs["02_raises"])


def test_a_kept_run_comes_back_as_it_was(project: Project, runs: dict[str, Run], tmp_path: Path) -> None:
    assert cache.load(tmp_path, "key", project) is None
    for name in ("01_roots", "12_free_claim"):
        assert cache.store(tmp_path, name, project, runs[name])
        assert cache.load(tmp_path, name, project) == runs[name]
        assert cache.load(tmp_path, f"{name}0", project) is None
    (kept,) = tmp_path.glob("01_roots-*")
    good = (kept / "run.json").read_text()
    data = json.loads(good)
    edits = [{"numbers": {"square": 12345.0}}, {"read": {"x": [1]}}, {"digest": None}, {"seconds": "1"}]
    damaged = [json.dumps(data | edit) for edit in edits] + [json.dumps({k: data[k] for k in list(data)[1:]})]
    for text in [*damaged, "{", "[]", "null", "[" * 20_000]:
        (kept / "run.json").write_text(text)
        assert cache.load(tmp_path, "01_roots", project) is None
    (kept / "run.json").write_bytes(b"\xff")
    assert cache.load(tmp_path, "01_roots", project) is None
    (kept / "run.json").write_text(good)
    assert cache.load(tmp_path, "01_roots", project) is not None
    (kept / "notebook.ipynb").write_text("{}")
    assert cache.load(tmp_path, "01_roots", project) is None


def test_only_what_was_kept_here_is_cleared(tmp_path: Path) -> None:
    """The folder may be a reader's own, or hold something of theirs."""
    entry = "0" * 64 + "-" + "1" * 12
    ours, mixed, theirs = tmp_path / "a" / entry, tmp_path / "b" / entry, tmp_path / "b" / "mine"
    for folder in (ours, mixed, theirs):
        folder.mkdir(parents=True)
        (folder / "run.json").touch()
    (mixed / "thesis.txt").touch()
    (tmp_path / "b" / ("f" * 64 + "-" + "2" * 12)).symlink_to(theirs)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    cache.clear(tmp_path / "link")
    assert ours.exists()
    for name in ("a", "b", "none"):
        cache.clear(tmp_path / name)
    assert not (tmp_path / "a").exists()
    assert (mixed / "thesis.txt").exists()
    assert (theirs / "run.json").exists()


PACKAGE = {
    "__init__": "",
    "used": '"""What it is for."""\n\n\ndef number(n):\n    """Return it."""\n    return n\n',
    "late": "value = 2\n",
    "unused": "from package import used\n",
}
READS = """
from pathlib import Path
from types import ModuleType

import numpy as np
from package.used import number

from alignlib.tables import RewardTable

for name in ("rewards.parquet", "rewards.csv"):
    RewardTable.read(name, "prompt_id", "reward")
if n:
    import package.late
text = open("table.csv").read()
np.load("deep/array.npy")
[path.name for path in Path("deep").glob("*.npy")]
Path("written.txt").write_text("x")
Path("../build").mkdir(exist_ok=True)
Path("../build/generated.txt").write_text("x")
Path("../build/generated.txt").read_text()
"""


@pytest.fixture(scope="module", name="reader")
def _reader(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run]:
    """A page that imports a package beside it and reads data, executed once while it is watched."""
    project = make_project(tmp_path_factory.mktemp("reader"), {"01_reads": plain(READS)})
    for name, text in PACKAGE.items():
        path = project.folder / "package" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (project.folder / "table.csv").write_text("1")
    (project.folder / "deep").mkdir()
    np.save(project.folder / "deep" / "array.npy", np.zeros(1))
    frame = pd.DataFrame({"prompt_id": [0, 0], "reward": [0.0, 1.0]})
    frame.to_parquet(project.folder / "rewards.parquet")
    frame.to_csv(project.folder / "rewards.csv", index=False)
    # Its process is started anew: those that others are forked from may have imported more.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "context", multiprocessing.get_context("spawn"))
        (run,) = execute_all([reading(project)])
    assert run.failures == ()
    return project, run


def reading(project: Project, **parameters: int) -> Job:
    return Job(project.find("reads"), parameters, strict=True, watched=cache.our_folders(project))


def test_what_a_page_reads_is_seen(reader: tuple[Project, Run]) -> None:
    project, run = reader
    inside = {
        path.relative_to(project.folder).as_posix() for path in map(Path, run.read) if project.root in path.parents
    }
    data = {"table.csv", "deep/array.npy", "deep", "rewards.parquet", "rewards.csv"}
    assert inside == data | {"package/__init__.py", "package/used.py", "package/late.py"}
    ours = {
        path.relative_to(LIBRARY.parent).as_posix() for path in map(Path, run.read) if project.root not in path.parents
    }
    assert {"book/alignbook/claims.py", "book/alignbook/runner.py", "book/alignbook/normalise.py"} <= ours
    assert not {name for name in ours if name.startswith(("alignlib/laws", "book/alignbook/build", "tests"))}


def test_the_environment_in_a_clone_is_left_to_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("package/used.py", ".venv/lib/theirs.py", "build/made.py"):
        module = ModuleType(place)
        module.__file__ = str(tmp_path / place)
        monkeypatch.setitem(sys.modules, place, module)
    assert modules_read([str(tmp_path)]) == {tmp_path / "package" / "used.py"}
    # Nor does a run depend on what else is compiled beside what it imports.
    log, compiled = tmp_path / "log", tmp_path / "package" / "__pycache__"
    listed = (compiled, compiled / "used.cpython-311.pyc", tmp_path / ".venv" / "a.csv", tmp_path / "a.csv")
    log.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in listed))
    assert files_read(log, tmp_path) == {tmp_path / "package" / "used.py", tmp_path / "a.csv"}


@pytest.mark.parametrize(
    ("file", "content", "kept"),
    [
        ("package/used.py", "def number(n): return n  # as before", True),
        ("package/used.py", PACKAGE["used"].replace("Return it", "Return the number"), True),
        ("package/used.py", PACKAGE["used"].replace("return n", "return 2 * n"), False),
        ("package/late.py", "value = 3\n", False),
        ("package/unused.py", "value = 3\n", True),
        ("package/new.py", "", True),
        ("table.csv", "2", False),
        ("table.csv", None, False),
        ("deep/another.npy", "", False),
        ("deep/another.txt", "", False),
        ("beside.csv", "", True),
        ("written.txt", "y", True),
    ],
)
def test_a_kept_run_is_used_while_what_it_read_is_the_same(
    reader: tuple[Project, Run], tmp_path: Path, file: str, content: str | None, kept: bool
) -> None:
    project, run = reader
    copy = Project(Path(shutil.copytree(project.root, tmp_path / "moved")))
    recipe = cache.recipe(reading(project), project)
    assert cache.store(copy.build, recipe, project, run)
    assert cache.load(copy.build, recipe, copy) is not None
    if content is None:
        (copy.folder / file).unlink()
    else:
        (copy.folder / file).write_text(content)
    assert (cache.load(copy.build, recipe, copy) is not None) == kept


def test_a_run_that_may_have_read_either_content_is_not_kept(reader: tuple[Project, Run], tmp_path: Path) -> None:
    project, run = reader
    assert cache.store(tmp_path, "recipe", project, run)
    text = (project.folder / "table.csv").read_text()
    (project.folder / "table.csv").write_text(text)
    assert not cache.store(tmp_path, "recipe", project, run)


def test_runs_of_two_states_are_both_kept(reader: tuple[Project, Run], tmp_path: Path) -> None:
    project, run = reader
    copy = Project(Path(shutil.copytree(project.root, tmp_path / "copy")))
    here = replace(run, read=tuple(name.replace(str(project.root), str(copy.root)) for name in run.read), started=1e12)
    other = replace(here, notebook=run.notebook + "\n")
    cache.store(copy.build, "recipe", copy, here)
    (copy.folder / "table.csv").write_text("other")
    cache.store(copy.build, "recipe", copy, other)
    assert cache.load(copy.build, "recipe", copy) == other
    (copy.folder / "table.csv").write_text("1")
    assert cache.load(copy.build, "recipe", copy) == here
    cache.prune(copy.build, ["recipe"], spare=0)
    assert cache.load(copy.build, "recipe", copy) == here
    (copy.folder / "table.csv").write_text("other")
    assert cache.load(copy.build, "recipe", copy) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project.folder / "01_roots.py").write_text(GOOD + "\n# %%\n1\n"),
        lambda project: project.lock.write_text("numpy==0\n"),
    ],
    ids=["script", "lock"],
)
def test_script_and_lock_change_the_recipe(tmp_path: Path, change: Callable[[Project], object]) -> None:
    project = make_project(tmp_path / "p", {"01_roots": GOOD, "02_other": plain()})
    before = [recipe_of(project, name) for name in ("01_roots", "02_other")]
    assert before == [recipe_of(project, name) for name in ("01_roots", "02_other")]
    change(project)
    after = [recipe_of(project, name) for name in ("01_roots", "02_other")]
    assert after[0] != before[0]
    assert (after[1] != before[1]) == project.lock.is_file()  # touching one notebook leaves the other alone


def test_twins_and_parameters_do_not_share_a_recipe(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", {"01_a": plain(), "02_b": plain()})
    recipes = [recipe_of(project, "01_a"), recipe_of(project, "02_b"), recipe_of(project, "01_a", n=2)]
    assert len(set(recipes)) == 3


def recipe_of(project: Project, name: str, **parameters: int) -> str:
    return cache.recipe(Job(project.find(name), parameters, strict=True), project)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("class A:\n    'Doc.'\n", "class A:\n    'Another.'\n", True),
        ("'Doc.'\nx = 1", "x = 1  # one", True),
        ("async def f():\n    'Doc.'\n    'text'\n", "async def f():\n    'Doc.'\n", False),
        ("x = 'one'", "x = 'two'", False),
        ("def f():\n    return 'one'", "def f():\n    return 'two'", False),
        ("f'{x}'\ny = 1", "f'{x}'\ny = 2", False),
        ("x = 1\n'text'", "x = 1\n'other'", False),  # only the first text is a docstring
    ],
)
def test_the_digest_of_code_is_of_what_it_does(one: str, other: str, same: bool) -> None:
    assert (cache.code_digest(one) == cache.code_digest(other)) == same


ONE = plain("print(task)", title="{{Task}}: training").replace(
    "n: int = 1", 'task: str = "safety"  # which, one of safety | summaries\nn: int = 1'
)
ONE += """
# %% [markdown] tags=["only-51_a"]
# Of the first, in {numref}`fig-{{task}}`.

# %% mystnb={"figure": {"caption": "{{Task}}.", "name": "fig-{{task}}"}, "image": {"alt": "{{task}}"}}
from IPython.display import SVG
SVG('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
"""
PAGES = "51_a: {script: 51_one, task: safety}\n52_b: {script: 51_one, task: summaries}\n"


def test_one_script_gives_several_pages(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"51_one": ONE, "60_other": plain()})
    (project.folder / "pages.yml").write_text(PAGES)
    assert [page.name for page in project.notebooks()] == ["51_a", "52_b", "60_other"]
    assert [page.title for page in project.notebooks()][:2] == ["Safety: training", "Summaries: training"]
    assert project.find("52").parameters["task"].default == "summaries"
    with pytest.raises(ParameterError, match="'51_one' could be any of 51_a, 52_b; say which"):
        project.find("51_one")
    jobs = [Job(page, strict=True) for page in project.notebooks()[:2]]
    runs = {run.place: run for run in execute_all([*jobs, Job(project.find("51"), {"task": "summaries"})], workers=2)}
    assert all(run.failures == () for run in runs.values()), runs
    assert [runs[place].name for place in range(3)] == ["51_a", "52_b", "51_a"]
    pages = [nbformat.reads(runs[place].notebook, as_version=4) for place in (0, 1)]
    assert [page.cells[0].source for page in pages] == ["# Safety: training", "# Summaries: training"]
    assert [page.cells[2].outputs[0].text for page in pages] == ["safety\n", "summaries\n"]
    assert all("image/svg+xml" in page.cells[-1].outputs[0].data for page in pages)
    assert [page.cells[-1].metadata["mystnb"]["figure"]["name"] for page in pages] == ["fig-safety", "fig-summaries"]
    said = "Of the first, in {numref}`fig-safety`."
    assert [any(said in cell.source for cell in page.cells) for page in pages] == [True, False]
    assert "only-" not in runs[0].notebook
    assert "# Summaries: training" in runs[2].notebook


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ("51_a: {script: 51_gone}", "makes the page 51_a from '51_gone', but there is no 51_gone.py"),
        ("51_a: {script: 51_one, tusk: safety}", "gives 'tusk', which is no parameter of that script"),
        ("51_a: {script: 51_one, task: sefety}", "task must be one of safety | summaries"),
    ],
)
def test_pages_that_cannot_be_made_are_refused(tmp_path: Path, pages: str, said: str) -> None:
    project = make_project(tmp_path, {"51_one": ONE})
    (project.folder / "pages.yml").write_text(pages)
    with pytest.raises(ParameterError, match=re.escape(said)):
        _ = [page.parameters for page in project.notebooks()]


def test_a_notebook_that_could_not_be_written_whole_is_a_failure(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", lambda _, output, **__: Path(output).write_text('{"cells": ['))
    found = execute(Job(project.notebooks()[0]))
    assert found.failures[0].message == "what it wrote is cut: the disk is full, or files may not be that large"


def test_a_full_disk_is_said_as_that(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import papermill

    def full(source: str, output: str, **settings: object) -> None:
        Path(output).write_text("{")
        raise OSError(errno.ENOSPC, "No space left on device", output)

    monkeypatch.setattr(papermill, "execute_notebook", full)
    with pytest.raises(OSError, match="No space left on device"):
        execute(Job(project.notebooks()[0]))
