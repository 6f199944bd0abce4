"""``alignlib claims``: what the last build of the book verified."""

from __future__ import annotations

import json

import click

from alignbook.extra import require_extra
from alignlib._core.safe_text import for_terminal, lines_for_terminal
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._options import json_option

__all__ = ["command"]


@make(
    "claims",
    short_help="What the last build of the book verified.",
    examples=["alignlib claims", "alignlib claims --json"],
)
@json_option
def command(as_json: bool) -> None:
    """Print what the last build of the book verified; exit 1 when a claim that must hold does not."""
    require_extra("alignlib claims")
    from alignbook.project import find_clone
    from alignbook.scorecard import read_claims, to_lines

    project = find_clone()
    if not project.claims_file.is_file():
        raise BadInput(f"{project.claims_file} is not there yet; run `make book` first.")
    book = read_claims(project.claims_file)
    if as_json:
        from alignlib.answers.output.render import to_json
        from alignlib.cli._say import json_for

        notebooks = json.loads(project.claims_file.read_text(encoding="utf-8"))
        click.echo(json_for(to_json("claims", {"notebooks": notebooks})), nl=False)
    else:
        click.echo(lines_for_terminal(to_lines(book)))
    missing = [notebook.name for notebook in project.notebooks() if notebook.name not in book]
    if missing:
        click.echo(for_terminal(f"No record of {', '.join(missing)}; run `make book`."), err=True)
    if missing or any(claim.must_hold and not claim.holds for _, found in book.values() for claim in found):
        raise SystemExit(1)
