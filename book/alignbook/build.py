"""Build the book: execute what changed, write the generated pages, run Jupyter Book with warnings as errors.

    python -m alignbook [--force] [--jobs N]

Everything goes to ``build/``: executed notebooks to ``build/cache``, the assembled sources to ``build/book``,
the pages to ``build/_build/html``. The book itself executes nothing.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click

from alignbook import cache
from alignbook.bad_input import tried
from alignbook.certificate import Before
from alignbook.pairing import disagreement
from alignbook.parameters import ParameterError
from alignbook.processes import run_bound
from alignbook.progress import show
from alignbook.project import Project, own_project
from alignbook.run_times import read_run_times
from alignbook.runner import Job, Run, execute_all, failed
from alignbook.scorecard import write_claims
from alignbook.staging import chapters, fingerprint, stage
from alignlib._core.files import write_whole
from alignlib._core.working import working_folder


def run_notebooks(project: Project, *, force: bool = False, jobs: int | None = None) -> list[Run]:
    """Execute every notebook without a run in the cache, those that take longest first; failures are among the runs."""
    folder, watched = project.build / "cache", cache.our_folders(project)
    recipes: dict[str, str] = {}
    waiting: dict[str, Job] = {}
    runs: list[Run] = []
    for notebook in project.notebooks():
        job = Job(notebook, strict=True, watched=watched)
        try:
            _ = notebook.parameters, notebook.title
        except ParameterError as error:
            runs.append(failed(notebook, str(error)))
            continue
        recipes[notebook.name] = cache.recipe(job, project)
        kept = None if force else cache.load(folder, recipes[notebook.name], project)
        if kept:
            runs.append(kept)
        else:
            waiting[notebook.name] = job
    if waiting:
        import matplotlib.font_manager  # noqa: F401  # builds its font cache once, not in every kernel

        click.echo(f"Executing {len(waiting)} of {len(project.notebooks())} notebooks")
    taken = {name: found.seconds for one in read_run_times(project.root) for name, found in one.notebooks.items()}
    first = sorted(waiting, key=lambda name: (-taken.get(name, math.inf), name))
    for run in show(execute_all([waiting[name] for name in first], jobs), first):
        runs.append(run)
        # A source edited meanwhile may or may not have been in this run, so its result is not kept.
        if not run.failures and cache.recipe(waiting[run.name], project) == recipes[run.name]:
            cache.store(folder, recipes[run.name], project, run)
    cache.prune(folder, recipes.values())
    return sorted(runs, key=lambda run: run.name)


def faults(project: Project) -> list[str]:
    """Say what is wrong with the sources before anything runs: pairs that disagree, notebooks in no chapter."""
    listed = chapters(project)
    found = [said for script in project.scripts() if (said := disagreement(script))]
    missing = [n.name for n in project.notebooks() if f"notebooks/{n.name}" not in listed]
    return found + [f"notebooks/{name} is in no chapter of book/_toc.yml" for name in missing]


def build_pages(project: Project, *, force: bool = False) -> bool:
    """Run Jupyter Book unless nothing changed since the last good build; return whether the pages are good."""
    mark, pages = project.build / "pages.sha256", project.build / "_build"
    wanted = fingerprint(project)
    if not force and mark.is_file() and mark.read_text() == wanted and (pages / "html/index.html").is_file():
        return True
    click.echo("Building the pages")
    # From nothing and beside the old pages: an incremental build keeps quiet about old warnings, and whoever reads or
    # tests the pages meanwhile should not find half of them.
    with working_folder(project.build) as folder:
        words = [
            *("build", str(project.build / "book"), "--config", str(project.root / "_config.yml")),
            *("--path-output", str(folder), "-W", "-n", "--keep-going", "-q"),
        ]
        environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000", "PYTHONHASHSEED": "0"}
        # Doctrees are many objects at once, and few of them garbage, which it is not worth looking for so often.
        program = "import gc; gc.set_threshold(50_000, 20, 20); from jupyter_book.cli.main import main; main()"
        done = run_bound(program, *words, cwd=project.root, env=environment, stderr=subprocess.PIPE)
        new = Path(folder, "_build")
        missing = [name for name in chapters(project) if not (new / f"html/{name}.html").is_file()]
        write_whole(project.build / "pages.log", done.stdout + done.stderr)
        if done.returncode != 0 or missing:
            click.echo(done.stdout + done.stderr, err=True)
            click.echo(f"Pages that were not written: {', '.join(missing) or 'none'}", err=True)
            return False
        (new / "html" / ".buildinfo").unlink(missing_ok=True)  # a digest of where we are, for the next build in there
        mark.unlink(missing_ok=True)
        shutil.rmtree(pages, ignore_errors=True)
        os.replace(new, pages)
    write_whole(mark, wanted)
    return True


@contextmanager
def alone(project: Project) -> Iterator[None]:
    """Wait for any other build of this project to end: two of them would mix their pages."""
    project.build.mkdir(exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (project.build / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            click.echo("Another build of this book is running; waiting for it", err=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def report(runs: list[Run]) -> int:
    """Print each failure with its cell and error; return how many notebooks failed."""
    for run in runs:
        for failure in run.failures:
            click.echo(f"\n{run.name} failed, {failure}", err=True)
            for part in (failure.source, failure.traceback):
                click.echo("".join(f"    {line}\n" for line in part.splitlines()), err=True, nl=False)
    return sum(bool(run.failures) for run in runs)


def build(project: Project, *, force: bool, jobs: int | None) -> list[Run]:
    """Execute, assemble and render; return the runs, or raise a sentence when anything is wrong."""
    if said := faults(project):
        raise click.ClickException("; ".join(said))
    # Broken inputs are counted meanwhile, for the page that tells how many were survived.
    with ThreadPoolExecutor(1) as beside:
        counted = beside.submit(tried, project)
        runs = run_notebooks(project, force=force, jobs=jobs)
        counted.result()
    write_claims(project.claims_file, runs)
    if failures := report(runs):
        raise click.ClickException(f"{failures} of {len(runs)} notebooks failed")
    stage(project, runs)
    if not build_pages(project, force=force):
        raise click.ClickException(f"Jupyter Book found faults; all of its output is in {project.build / 'pages.log'}")
    return runs


@click.command()
@click.option("--force", is_flag=True, help="Execute every notebook and rebuild every page.")
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks executed at once (default: as many as cores).")
@click.option("--root", type=click.Path(exists=True, file_okay=False, path_type=Path), hidden=True)
def main(force: bool, jobs: int | None, root: Path | None) -> None:
    """Build the book and print the page to open."""
    project = own_project() if root is None else Project(root)
    with alone(project):
        before = Before(project.root)
        build(project, force=force, jobs=jobs)
        before.seal()
    click.echo(f"Open {(project.build / '_build/html/index.html').as_uri()}")
