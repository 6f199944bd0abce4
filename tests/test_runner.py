"""The runner: what an execution yields, how it fails, that it repeats to the byte, and when the cache is asked."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from alignbook import cache
from alignbook.dependencies import library_files, mentioned_files
from alignbook.parameters import ParameterError
from alignbook.project import Project
from alignbook.runner import Job, Run, execute_all
from tests.small_project import GOOD, LIBRARY, make_project, plain

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


def test_a_failed_run_is_not_kept(runs: dict[str, Run], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only runs that succeeded are kept"):
        cache.store(tmp_path, "key", runs["02_raises"])


def test_a_kept_run_comes_back_as_it_was(runs: dict[str, Run], tmp_path: Path) -> None:
    assert cache.load(tmp_path, "key") is None
    for name in ("01_roots", "12_free_claim"):
        cache.store(tmp_path, "key", runs[name])
        assert cache.load(tmp_path, "key") == runs[name]
    (tmp_path / "key" / "run.json").write_text("{")
    assert cache.load(tmp_path, "key") is None


@pytest.fixture(name="library")
def _library(tmp_path: Path) -> Path:
    """A copy of the library that a test may change."""
    return Path(shutil.copytree(LIBRARY, tmp_path / "alignlib", ignore=shutil.ignore_patterns("__pycache__")))


def key_of(project: Project, library: Path, name: str = "01_roots", **parameters: float) -> str:
    return cache.key(Job(project.find(name), parameters, strict=True), project, library)


def test_the_key_is_the_same_twice(project: Project, library: Path) -> None:
    assert key_of(project, library) == key_of(project, library)


@pytest.mark.parametrize("module", ["claims", "_checks", "notebook/runner", "notebook/normalise", "__init__"])
def test_a_change_in_what_is_imported_changes_the_key(project: Project, library: Path, module: str) -> None:
    before = key_of(project, library)
    with (library / f"{module}.py").open("a") as file:
        file.write("\n# changed\n")
    assert key_of(project, library) != before


def test_a_change_elsewhere_in_the_library_does_not(project: Project, library: Path) -> None:
    before = key_of(project, library)
    (library / "unrelated.py").write_text("import alignbook.claims\n")
    with (library / "tilting.py").open("a") as file:
        file.write("\n# changed\n")
    assert key_of(project, library) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project.folder / "01_roots.py").write_text(GOOD + "\n# %%\n1\n"),
        lambda project: project.lock.write_text("numpy==0\n"),
    ],
    ids=["script", "lock"],
)
def test_script_and_lock_change_the_key(tmp_path: Path, change: Callable[[Project], object]) -> None:
    project = make_project(tmp_path / "p", {"01_roots": GOOD, "02_other": plain()})
    before = [key_of(project, LIBRARY, name) for name in ("01_roots", "02_other")]
    change(project)
    after = [key_of(project, LIBRARY, name) for name in ("01_roots", "02_other")]
    assert after[0] != before[0]
    assert (after[1] != before[1]) == project.lock.is_file()  # touching one notebook leaves the other alone


def test_twins_do_not_share_a_key(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", {"01_a": plain(), "02_b": plain()})
    assert key_of(project, LIBRARY, "01_a") != key_of(project, LIBRARY, "02_b")


def test_parameters_and_files_read_change_the_key(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", {"01_a": plain("open('data.csv')")})
    data = project.folder / "data.csv"
    keys = [key_of(project, LIBRARY, "01_a"), key_of(project, LIBRARY, "01_a", n=2)]
    for text in ("1", "2"):
        data.write_text(text)
        keys.append(key_of(project, LIBRARY, "01_a"))
    assert len(set(keys)) == 4


@pytest.fixture(name="package")
def _package(tmp_path: Path) -> Path:
    """A package of modules that import each other."""
    files = {
        "__init__.py": "",
        "a.py": "from alignlib import b\n",
        "b.py": "def late():\n    from alignlib.c import thing\n",
        "c.py": "thing = 1\n",
        "d.py": "import alignlib.e.f\n",
        "e/__init__.py": "",
        "e/f.py": "",
        "g.py": "import importlib\n",
        "look.mplstyle": "",
    }
    for name, text in files.items():
        path = tmp_path / "alignlib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "alignlib"


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("import numpy", "look.mplstyle"),
        ("from alignlib import a", "__init__.py a.py b.py c.py look.mplstyle"),
        ("from alignlib.c import thing", "__init__.py c.py look.mplstyle"),
        ("if True:\n    from alignlib.b import late", "__init__.py b.py c.py look.mplstyle"),
        ("import alignlib.d as d", "__init__.py d.py e/__init__.py e/f.py look.mplstyle"),
        ("from alignlib.e import f", "__init__.py e/__init__.py e/f.py look.mplstyle"),
        ("import alignlib", None),
        ("from alignlib import __version__", None),
        ("from alignlib import *", None),
        ("from alignlib import g", None),
        ("import importlib", None),
        ("files = !ls", None),
    ],
)
def test_dependencies_are_found_or_all_are_taken(package: Path, source: str, wanted: str | None) -> None:
    everything = {p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file()}
    found = {p.relative_to(package).as_posix() for p in library_files(source, package)}
    assert found == (everything if wanted is None else set(wanted.split()))


def test_files_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("")
    assert mentioned_files("read('table.csv', 'other.csv', '', '.')", tmp_path) == [tmp_path / "table.csv"]
    assert mentioned_files("not python at all", tmp_path) == []


ONE = plain("print(task)", title="{{Task}}: training").replace(
    "n: int = 1", 'task: str = "safety"  # which, one of safety | summaries\nn: int = 1'
)
ONE += """
# %% [markdown] tags=["only-51_a"]
# Of the first.

# %% mystnb={"figure": {"caption": "{{Task}}.", "name": "fig-{{task}}"}, "image": {"alt": "{{task}}"}}
import matplotlib.pyplot as plt
plt.plot([0, 1]);
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
    runs = {run.name: run for run in execute_all([Job(page, strict=True) for page in project.notebooks()], workers=2)}
    assert all(run.failures == () for run in runs.values()), runs
    pages = [nbformat.reads(runs[name].notebook, as_version=4) for name in ("51_a", "52_b")]
    assert [page.cells[0].source for page in pages] == ["# Safety: training", "# Summaries: training"]
    assert [page.cells[2].outputs[0].text for page in pages] == ["safety\n", "summaries\n"]
    assert [page.cells[-1].metadata["mystnb"]["figure"]["name"] for page in pages] == ["fig-safety", "fig-summaries"]
    assert [any("Of the first" in cell.source for cell in page.cells) for page in pages] == [True, False]
    assert "only-" not in runs["51_a"].notebook
    (run,) = execute_all([Job(project.find("51"), {"task": "summaries"})])
    assert "# Summaries: training" in run.notebook


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
