"""``alignlib sync``: every notebook's script and its paired .ipynb in agreement."""

from __future__ import annotations

import click

from alignlib.cli._book import needs_book
from alignlib.cli._command import command as make
from alignlib.cli._command import option

__all__ = ["command"]


@make("sync", examples=["alignlib sync", "alignlib sync --check"])
@option("--check", is_flag=True, help="Write nothing; exit 1 when a pair disagrees.")
def command(check: bool) -> None:
    """Bring every notebook's .py and its paired .ipynb into agreement."""
    with needs_book("sync"):
        from alignbook.pairing import disagreement
        from alignbook.pairing import sync as sync_pair
        from alignbook.project import find_project
    scripts = [notebook.script for notebook in find_project().notebooks()]
    if check:
        said = [sentence for script in scripts if (sentence := disagreement(script))]
        click.echo("\n".join(said) or f"{len(scripts)} pairs agree.")
        raise SystemExit(bool(said))
    for script in scripts:
        if sync_pair(script):
            click.echo(f"Paired {script.name}")
