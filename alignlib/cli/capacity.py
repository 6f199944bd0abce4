"""``alignlib capacity``: how many nats per label reach the learner, from a table of ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alignlib._core.text import for_json, for_terminal
from alignlib.cli.rewards import in_options

__all__ = ["capacity_command"]


@click.command("capacity")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--target", default="target", show_default=True, help="Column with what should have been recognised.")
@click.option("--label", default="label", show_default=True, help="Column with what the rater said.")
@click.option("--context", help="Column that names the context; one context if omitted.")
@click.option("--rater", help="Column that names the rater, or the item; these are left out in turn for the interval.")
@click.option("--level", default=0.95, show_default=True, help="Coverage of the intervals, in (0, 1).")
@click.option("--drop-missing", is_flag=True, help="Go on without rows that lack a value.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def capacity_command(
    table: Path,
    target: str,
    label: str,
    context: str | None,
    rater: str | None,
    level: float,
    drop_missing: bool,
    as_json: bool,
) -> None:
    """Estimate the capacity of feedback from TABLE, one row per label given (CSV, TSV, JSON lines or Parquet).

    Prints nats per label for each context, corrected for the bias of counting, with an interval, and what they imply:
    the smallest error of any learner that sees one label about one of M equally likely targets.
    """
    from alignlib.bottleneck.capacity_estimate import estimate_capacity
    from alignlib.tables.rater_table import RaterTable

    try:
        ratings = RaterTable.read(
            table, target=target, label=label, context=context, rater=rater, drop_missing=drop_missing
        )
        found = estimate_capacity(ratings, level=level, by_rater=rater is not None)
    except ValueError as error:
        raise click.ClickException(in_options(str(error))) from error
    rows = _rows(ratings, found)
    if as_json:
        click.echo(for_json({"level": level, "targets": len(ratings.targets), "rows": rows}, indent=1), nl=False)
        return
    for note in ratings.notes:
        click.echo(for_terminal(note), err=True)
    click.echo(_table(rows, level))
    several = len(ratings.raters) if rater is not None else 0
    spread = f"{several} raters left out in turn" if several else "labels taken as independent"
    click.echo(f"Nats per label; {len(ratings.targets)} targets, {len(ratings.labels)} labels; intervals: {spread}.")
    click.echo("floor: no learner errs less often on a fresh target it sees one label of (all targets equally likely).")
    thin = [row["context"] for row in rows if not row["supported"]]
    if thin:
        names = for_terminal(", ".join(map(str, thin)))
        click.echo(
            f"* {names}: fewer than 400 labels for a target, or a capacity near zero; the interval may hold the truth "
            f"less often than {100 * level:g} % of the time. Collect more labels.",
            err=True,
        )


def _rows(ratings: Any, found: Any) -> list[dict[str, Any]]:
    from alignlib.bottleneck.fano import fano_floor

    n_values = len(ratings.targets)

    def row(name: str, n: int, value: float, plug_in: float, low: float, high: float, good: bool) -> dict[str, Any]:
        return {
            "context": name,
            "labels": n,
            "capacity": value,
            "low": low,
            "high": high,
            "plug_in": plug_in,
            # The lower end of the floor's interval belongs to the upper end of the capacity's.
            "floor_low": fano_floor(high, n_values),
            "floor_high": fano_floor(low, n_values),
            "supported": good,
        }

    rows = [
        row(name, one.n_labels, one.value, one.plug_in, float(low), float(high), one.supported)
        for name, one, low, high in zip(found.contexts, found.each, found.low, found.high, strict=True)
    ]
    if len(rows) > 1:
        rows.append(
            row(
                "average",
                ratings.n_labels,
                found.mean,
                found.mean_plug_in,
                found.mean_low,
                found.mean_high,
                found.supported,
            )
        )
    return rows


def _table(rows: list[dict[str, Any]], level: float) -> str:
    names = [for_terminal(str(row["context"])) for row in rows]
    width = max(len("context"), *map(len, names))
    percent = f"{100 * level:g} %"
    lines = [f"{'context':<{width}}  {'labels':>7}  {'capacity':>8}  {percent:>17}  {'uncorrected':>11}  {'floor':>15}"]
    for name, row in zip(names, rows, strict=True):
        interval = f"{row['low']:.4f} … {row['high']:.4f}"
        floor = f"{row['floor_low']:.3f} … {row['floor_high']:.3f}"
        mark = "" if row["supported"] else " *"
        lines.append(
            f"{name:<{width}}  {row['labels']:>7}  {row['capacity']:>8.4f}  {interval:>17}  "
            f"{row['plug_in']:>11.4f}  {floor:>15}{mark}"
        )
    return "\n".join(lines)
