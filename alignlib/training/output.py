"""An overlay as lines for a terminal, as JSON, as CSV and as a picture; the same for runs without base samples."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from alignlib import __version__, plotting
from alignlib._core.files import whole_file
from alignlib._core.text import for_csv, for_json, for_picture
from alignlib.answers.answer import percent
from alignlib.training.envelope import Envelope
from alignlib.training.placing import Overlay
from alignlib.training.training_log import TrainingLog

__all__ = ["draw", "draw_envelope", "envelope_lines", "envelope_rows", "rows", "save", "to_csv", "to_json", "to_lines"]

_FIELDS = (
    "gain", "gain_low", "gain_high", "limit", "limit_low", "limit_high", "share", "share_low", "share_high", "needed",
    "wasted", "wasted_low", "wasted_high", "supported", "above",
)  # fmt: skip


def to_lines(found: Overlay) -> list[str]:
    """Return the overlay as text, the answer last."""
    log, best = found.log, found.best_of_n
    interval = f"{100 * found.frontier.level:g} % interval"
    lines = [
        f"{log.path}: {found.gain.size} points, {log.kl_name!r} in nats per {log.kl_unit}, shown per sequence.",
        f"Gains of {found.measured_in!r} over {found.base_reward:.4g}, the base model's.",
        "",
        f"{'step':>7} {'KL':>7} {'gain':>8} {'share %':>8}  {interval:<16} {'needs KL':>8} {'wasted':>7}  {interval}",
    ]
    for i in range(found.gain.size):
        share = f"{100 * found.share[i]:>8.1f}  [{100 * found.share_low[i]:.1f}, {100 * found.share_high[i]:.1f}]"
        if not found.supported[i] or not found.share_high[i] - found.share_low[i] < 1.0:
            bound = f"at least {100 * found.share_low[i]:.1f}" if found.share_low[i] > 0.0 else ""
            share = f"{'unknown':>8}  {bound}"
        needs = f"{'unknown':>8}"
        if np.isfinite(found.needed[i]):
            bounds = f"[{found.wasted_low[i]:.3f}, {found.wasted_high[i]:.3f}]"
            needs = f"{found.needed[i]:>8.3f} {found.wasted[i]:>7.3f}  {bounds}"
        mark = "  above the limit" if found.above[i] else ""
        name = f"  {log.run[i]}" if len(log.runs) > 1 else ""
        lines.append(f"{log.step[i]:>7.5g} {log.kl[i]:>7.3f} {found.gain[i]:>8.3g} {share:<26} {needs}{mark}{name}")
    lines += ["", f"For comparison, best-of-N: {_best_of_n(found)}."] if best.share is not None else []
    notes = [f"- {note}" for note in found.notes]
    support = f"- The base samples support the limit up to {found.frontier.supported_kl:.3g} nats."
    return [*lines, "", *notes, support, "", *found.headlines]


def _best_of_n(found: Overlay) -> str:
    best = found.best_of_n
    assert best.share is not None
    known = np.zeros(best.n.size, dtype=bool) if best.supported is None else best.supported
    parts = [
        f"N = {best.n[i]:g} has {percent(best.share[i])} at {best.kl[i]:.3g} nats"
        for i in range(best.n.size)
        if best.n[i] > 1.0 and known[i]
    ]
    return ", ".join(parts) or "no N whose KL the samples support"


def rows(found: Overlay) -> list[dict[str, Any]]:
    """Return one record per point; what is unknown is None."""
    log = found.log
    columns = {"step": log.step, "kl": log.kl, "logged_kl": log.logged_kl, "reward": log.reward}
    columns |= {name: getattr(found, name) for name in _FIELDS}
    size = found.gain.size
    return [{"run": log.run[i], **{name: _plain(values[i]) for name, values in columns.items()}} for i in range(size)]


def envelope_rows(log: TrainingLog, envelope: Envelope) -> list[dict[str, Any]]:
    """Return one record per checkpoint: what the envelope has at its KL, and the least KL known to give its reward."""
    reach, needed = envelope.reward_at(log.kl), envelope.kl_needed(log.reward)
    columns = {"step": log.step, "kl": log.kl, "reward": log.reward, "envelope": reach, "needed_at_most": needed}
    columns["wasted_at_least"] = log.kl - needed
    return [{"run": log.run[i], **{k: _plain(v[i]) for k, v in columns.items()}} for i in range(log.kl.size)]


def envelope_lines(log: TrainingLog, envelope: Envelope) -> list[str]:
    """Say what the checkpoints themselves show of the frontier, the answer last."""
    wasted = log.kl - envelope.kl_needed(log.reward)
    points = ", ".join(f"({x:.3g}, {y:.3g})" for x, y in zip(envelope.kl, envelope.reward, strict=True))
    i = int(np.nanargmax(wasted))
    most = f"{wasted[i]:.3g} of its {log.kl[i]:.3g} nats if the points were exact (noise makes it look more)"
    return [
        f"{log.path}: {log.kl.size} checkpoints of {len(log.runs)} runs, {log.kl_name!r} in nats per {log.kl_unit}.",
        "Without samples of the base model the limit is not known, nor any share of it. These checkpoints show a floor",
        "of it, their concave envelope (mixtures of policies reach it), if all share one base model and prompts:",
        f"(KL, {log.reward_name}) = {points}.",
        *[f"- {note}" for note in log.notes],
        "",
        f"Most is wasted by {log.run[i]} at step {log.step[i]:g}: {most}; give the table of base samples for the rest.",
    ]


def to_json(found: list[dict[str, Any]], **about: Any) -> str:
    """Return the points as JSON, numbers at full precision."""
    document = {"schema": 1, "alignlib": __version__, **{k: _plain(v) for k, v in about.items()}, "points": found}
    return for_json(document)


def to_csv(found: list[dict[str, Any]]) -> str:
    """Return the points as CSV, one row each; what is unknown is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else for_csv(value) for name, value in row.items()} for row in found)
    return out.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def draw(found: Overlay, ax: Any) -> Any:
    """Draw the limit, best-of-N and the runs, gain against KL."""
    log, best, curve = found.log, found.best_of_n, found.frontier
    plotting.frontier(ax, curve, "the limit", at=0.45 * curve.supported_kl, offset=(-6, 8), ha="right", note=False)
    shown = (best.n > 1.0) & (best.kl <= max(1.15 * curve.supported_kl, float(log.kl.max())))
    names = [f"N={n:g}" for n in best.n[shown]]
    plotting.points(ax, best.kl[shown], best.gain[shown], names, offset=(6, -5))
    colors = [plotting.THIRD, plotting.FOURTH, *plotting.CYCLE[4:]]
    for k, name in enumerate(log.runs):
        mine = log.run == name
        color = colors[k % len(colors)]
        plotting.points(
            ax, log.kl[mine], found.gain[mine], color=color, marker="s", low=found.gain_low[mine],
            high=found.gain_high[mine], linestyle="-", linewidth=1.0, markersize=4.0,
            label=for_picture(name) if len(log.runs) > 1 else "the run",
        )  # fmt: skip
    ax.plot([], [], "o", color=plotting.BEST_OF_N, label="best-of-N")
    plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return plotting.name_axes(ax, plotting.KL_LABEL, f"gain in {for_picture(found.measured_in)}")


def draw_envelope(log: TrainingLog, envelope: Envelope, ax: Any) -> Any:
    """Draw the checkpoints and their concave envelope, reward against KL."""
    ax.plot(log.kl, log.reward, "o", color=plotting.BOUND, markersize=3, label="checkpoints")
    plotting.curve(ax, envelope.kl, envelope.reward, color=plotting.THIRD, label=None)
    ax.plot([], [], color=plotting.THIRD, label="a floor of the limit")
    plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return plotting.name_axes(ax, plotting.KL_LABEL, for_picture(log.reward_name))


def save(fig: Any, path: Path) -> None:
    """Write a picture (.png or .svg) whole or not at all."""
    kind = path.suffix.lower().lstrip(".")
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {}
    with (
        mpl.rc_context({"svg.hashsalt": "alignlib", "svg.fonttype": "path"}),  # the same picture, the same bytes
        whole_file(path) as file,
    ):
        fig.savefig(file, format=kind, metadata=metadata)
