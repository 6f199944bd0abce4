"""``alignlib sync``: every notebook's script and its paired .ipynb in agreement."""

from __future__ import annotations

import click

from alignbook.extra import require_extra
from alignlib._core.safe_text import for_terminal, lines_for_terminal
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import option

__all__ = ["command"]


@make(
    "sync",
    short_help="Bring scripts and paired notebooks into agreement.",
    examples=["alignlib sync", "alignlib sync --check"],
)
@option("--check", is_flag=True, help="Write nothing; exit 1 when a pair disagrees.")
def command(check: bool) -> None:
    """Bring every notebook's .py and its paired .ipynb into agreement."""
    require_extra("alignlib sync")
    from alignbook.pairing import PairingError, alone, disagreement
    from alignbook.pairing import sync as sync_pair
    from alignbook.project import find_clone

    scripts = find_clone().scripts()
    if check:
        said = [*alone(scripts), *(sentence for script in scripts if (sentence := disagreement(script)))]
        click.echo(lines_for_terminal(said or [f"{len(scripts)} pairs agree."]))
        raise SystemExit(bool(said))
    refused = alone(scripts)
    for script in scripts:
        try:
            taken = sync_pair(script)
        except PairingError as error:
            refused.append(str(error))
            continue
        if taken:
            click.echo(for_terminal(f"Paired {script.stem}, from {taken}"))
    if refused:
        raise BadInput(" ".join(refused))
