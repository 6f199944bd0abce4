"""``alignlib verify``: a release of the book, or the crate of one run, checked and run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignlib._core.names import counted
from alignlib._core.plain import plain
from alignlib._core.safe_text import for_terminal, lines_for_terminal
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._memory import check_memory
from alignlib.cli._notebooks import workers_option
from alignlib.cli._options import FILE, Range, json_option

if TYPE_CHECKING:
    from alignbook.bundle import Verified
    from alignbook.bundle.again import Rerun

__all__ = ["command"]


@make(
    "verify",
    short_help="Check a release of the book or a crate, and rerun it.",
    examples=[
        "alignlib verify alignment-limits-0.1.0.zip",
        "alignlib verify alignment-limits-0.1.0 --json",
        "alignlib verify alignment-limits-0.1.0.zip --rerun 01 best_of_n",
    ],
)
@click.argument("bundle", type=FILE)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@option(
    "--rerun",
    "again",
    is_flag=True,
    help="Run the notebooks NAME again (all, where none is named) and compare every number.",
)
@option(
    "--rtol",
    "tolerance",
    type=Range(0.0, 1.0),
    default=1e-9,
    help="Relative difference that still counts as the same number.",
)
@workers_option
@json_option
def command(
    bundle: Path, names: tuple[str, ...], again: bool, tolerance: float, workers: int | None, as_json: bool
) -> None:
    """Check sums, crate and claims of BUNDLE, a folder or a ZIP archive; exit 1 where anything differs.

    Nothing from the bundle is executed or unpacked: --rerun runs the notebooks of this installation.
    """
    if names and not again:
        raise BadInput(f"Give --rerun to run {names[0]} again, or leave the name out.")
    if workers is not None and not again:
        raise BadInput("--workers goes with --rerun; leave it out.")
    if again:
        check_memory("run")  # which it does
    from alignbook.bundle import open_bundle, verify

    with open_bundle(bundle) as opened:
        found = verify(opened)
    reruns = _rerun(found, names, tolerance, workers) if again else []
    if as_json:
        from alignlib.answers.output.render import to_json
        from alignlib.cli._say import json_for

        click.echo(json_for(to_json("verify", _record(found, reruns, again, tolerance))), nl=False)
    else:
        click.echo(lines_for_terminal(_lines(found, reruns, again)))
    if not found.good or not all(one.good for one in reruns):
        raise SystemExit(1)


def _rerun(found: Verified, names: tuple[str, ...], tolerance: float, workers: int | None) -> list[Rerun]:
    from alignbook.extra import require_extra

    require_extra("alignlib verify --rerun")
    from alignbook.bundle.again import chosen, rerun
    from alignbook.project import own_project

    project = own_project()
    wanted = chosen(found.records, names, project)

    def say(one: Rerun) -> None:
        how = (
            "not run again"
            if one.failed is not None
            else f"{one.n_same} of {len(one.numbers)} numbers and texts are the same"
        )
        click.echo(for_terminal(f"{one.notebook}: {how}"), err=True)

    return rerun(found.records, wanted, project, tolerance=tolerance, scripts=found.scripts, workers=workers, done=say)


def _lines(found: Verified, reruns: list[Rerun], again: bool) -> list[str]:
    lines = [
        f"{found.name or 'A bundle'}, made with alignlib {found.made_with or 'of unknown version'}.",
        f"{found.n_files:,} files, {found.n_bytes / 1e6:.1f} MB; SHA-256 of SHA256SUMS: {found.digest}",
        f"{counted(found.n_runs, 'run')}; {found.n_hold} of {found.n_claims} claims hold by their numbers"
        + (f", {found.n_excused} need not" if found.n_excused else "")
        + ".",
    ]
    lines += [f"  {problem}" for problem in found.problems]
    if found.good:
        lines.append("Sums, crate and claims agree. Whether it is the published one, the digest above says.")
    else:
        lines.append(f"Not verified: {counted(found.n_problems, 'fault')}.")
    for one in reruns:
        if not one.same_script:
            lines.append(
                f"  {one.notebook}: the script in the bundle is not that of this installation, which is what was run; "
                "the numbers say nothing of the bundle's own script."
            )
        if one.failed is not None:
            lines.append(f"  {one.notebook} could not be run again: {one.failed}")
        lines += [
            f"  {one.notebook}, {number.what} {number.name}: {_shown(number.bundle)} in the bundle, "
            f"{_shown(number.here)} here"
            for number in one.numbers
            if not number.same
        ]
    if any(one.failed is None for one in reruns):
        n, same = sum(len(one.numbers) for one in reruns), sum(one.n_same for one in reruns)
        largest = max((one.largest for one in reruns), default=0.0)
        foreign = sum(not one.same_script for one in reruns)
        lines.append(
            f"Run again: {counted(sum(one.failed is None for one in reruns), 'notebook')}"
            + (f", {foreign} of them by another script than the bundle's" if foreign else "")
            + f"; {same:,} of {n:,} numbers and texts of claims the same, largest relative difference {largest:.1e}."
        )
    return lines


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:60]


def _record(found: Verified, reruns: list[Rerun], again: bool, tolerance: float) -> dict[str, Any]:
    record = {name: value for name, value in vars(found).items() if name not in ("records", "scripts")}
    record |= {"good": found.good and all(one.good for one in reruns)}
    return record | {
        "rerun": None
        if not again
        else {
            "rtol": tolerance,
            "notebooks": [
                {
                    "notebook": one.notebook,
                    "good": one.good,
                    "failed": one.failed,
                    "same_script": one.same_script,
                    "numbers": plain(list(one.numbers)),
                }
                for one in reruns
            ],
        }
    }
