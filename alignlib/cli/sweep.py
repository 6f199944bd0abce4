"""``alignlib sweep``: a notebook of the book over a grid of parameters, as one table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignbook.extra import require_extra
from alignlib._core.files import check_new, check_place, whole_file, write_whole
from alignlib._core.names import counted
from alignlib._core.safe_text import for_terminal
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import option
from alignlib.cli._notebooks import (
    OnNotebook,
    check_names,
    check_output,
    name_and_parameters,
    notebook_words,
    say_other_clone,
    workers_option,
)
from alignlib.cli._options import Output, claim

if TYPE_CHECKING:
    from alignbook.runner import Job, Run

__all__ = ["command"]


@click.command(
    "sweep",
    cls=OnNotebook,
    short_help="Run a notebook of the book over a grid of parameters.",
    examples=[
        "alignlib sweep from_samples --grid n_samples=16,64 --grid seed=0:5 -o sweep.csv",
        "alignlib sweep best_of_n --grid n_max=8,32 --scheduler tcp://host:8786 -o sweep.parquet",
    ],
    context_settings={"ignore_unknown_options": True, "show_default": True, "help_option_names": ["-h", "--help"]},
)
@notebook_words("NAME [--PARAMETER VALUE]...")
@option(
    "--grid",
    multiple=True,
    metavar="PARAMETER=V1,V2,...",
    help="Run at every value, or combination where given several times. Whole numbers also as 0:10 (0 to 9); lists "
    "divided by semicolons.",
)
@workers_option
@option("--scheduler", metavar="ADDRESS", help="A Dask scheduler whose workers run; they see the same folders.")
@option("-o", "--output", type=Output(".csv", ".parquet"), help="The table, OUT.csv or OUT.parquet.")
@option("--force", is_flag=True, help="Replace a file that is there under this name.")
def command(
    words: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    grid: tuple[str, ...],
    workers: int | None,
    scheduler: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Run the notebook NAME at every point of a grid: parameters, claims and numbers of each run in one table.

    A run that fails is tried once more and listed. What has run is kept beside OUT until all has: the same command
    goes on from there, with --force where OUT is written, as it is when runs have failed.
    """
    name, more = name_and_parameters(words)
    require_extra("alignlib sweep")
    from alignbook import cache, sweep
    from alignbook.project import own_project

    if name is None or output is None or not grid:
        raise BadInput("Say which notebook, over what and where to: alignlib sweep NAME --grid seed=0:5 -o sweep.csv.")
    if workers is not None and scheduler is not None:
        raise BadInput("--workers and --scheduler are both there; name one.")
    project = own_project()
    say_other_clone(project)
    notebook = project.find(name)
    check_names(notebook, more, grid)
    points = sweep.grid(notebook, grid, [*pairs, *more], Path.cwd())
    check_output(output, project, ".csv", ".parquet")
    claim(output)
    check_new(output, force)
    kept = output.parent / f".{output.name}.kept"
    check_place(kept, folder=True)
    rows: dict[int, dict[str, Any]] = {}
    before = 0
    with (
        _running(workers, scheduler) as run_all,
        closing(sweep.sweep(project, notebook, points, run_all, kept)) as ended,
    ):
        for place, row, was_kept in ended:
            rows[place] = row
            before += was_kept
            if was_kept:
                continue
            if before:
                click.echo(f"Going on: {before} of {counted(len(points), 'run')} were done before.", err=True)
                before = 0
            said = ", ".join(f"{one} = {row[one]}" for one in points[place])
            how = "done" if row["failed"] is None else f"failed, {row['failed']}"
            click.echo(for_terminal(f"{len(rows)} of {len(points)}: {said}: {how} in {row['seconds']:.1f} s"), err=True)
    found = [rows[place] for place in sorted(rows)]
    try:
        _write(found, sweep.columns(found), output, force)
    except FileExistsError as error:
        raise BadInput(
            f"{output} has been made by another program meanwhile; move it away, or add --force, and give the same "
            f"command: what has run is kept in {kept}."
        ) from error
    click.echo(for_terminal(f"Wrote {output}"))
    failed = [place for place in sorted(rows) if rows[place]["failed"] is not None]
    if not failed:
        cache.clear(kept)
        return
    some = f"{len(failed)} of {counted(len(points), 'run')} failed twice, see the column failed"
    click.echo(f"{some}; the same command with --force runs these again:", err=True)
    for place in failed:
        click.echo(for_terminal("  " + ", ".join(f"{one} = {rows[place][one]}" for one in points[place])), err=True)
    raise SystemExit(1)


@contextmanager
def _running(
    workers: int | None, scheduler: str | None
) -> Generator[Callable[[list[Job]], Generator[Run, None, None]], None, None]:
    """Yield what runs jobs: workers of Dask, on this machine or of a scheduler, or processes that need no extra."""
    if scheduler is None and (workers in (None, 1) or find_spec("distributed") is None):
        from alignbook.runner import execute_all

        yield partial(execute_all, workers=workers)
        return
    from alignbook.sweep import run_by
    from alignlib.scale import engine_for

    with engine_for(workers, scheduler) as engine:
        yield run_by(engine.map)


def _write(rows: Sequence[Mapping[str, Any]], columns: list[str], output: Path, force: bool) -> None:
    if output.suffix.lower() == ".csv":
        from alignlib.answers.output.render import to_csv

        write_whole(output, to_csv(rows, columns), replace=force)
        return
    import pyarrow as pa
    import pyarrow.parquet as pa_parquet

    arrays = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        try:
            arrays[name] = pa.array(values)
        except pa.ArrowException:  # of several types
            arrays[name] = pa.array([None if value is None else str(value) for value in values])
    with whole_file(output, replace=force) as file:
        pa_parquet.write_table(pa.table(arrays), file, write_page_checksum=True)
