"""Runs compared at equal KL, as lines, as JSON and as the points of a CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib.answers.output import overlay
from alignlib.answers.output.render import Row, bounds, by_point, interval_name, percent
from alignlib.training.comparing import Comparison

__all__ = ["COLUMNS", "headlines", "lines", "points", "record"]

_OF_RUN = (
    "limit", "limit_low", "limit_high", "supported", "reward", "reward_low", "reward_high", "difference",
    "difference_low", "difference_high", "gain", "share", "share_low", "share_high",
)  # fmt: skip
_OF_KL = ("kl",)
_OTHERS = tuple(name for name in overlay.COLUMNS[2:] if name not in _OF_KL + _OF_RUN)
COLUMNS = ("what", "split", "run", "seeds", *_OF_KL, *_OF_RUN, *_OTHERS)


# ------------------------------------------------------------------ JSON and CSV
Compared = Comparison | Mapping[str, Comparison]  # of all checkpoints, or split by split


def _parts(found: Compared) -> list[tuple[str | None, Comparison]]:
    return [(None, found)] if isinstance(found, Comparison) else list(found.items())


def record(found: Compared) -> dict[str, Any]:
    """Return the numbers for JSON; what is unknown or infinite is None.

    Parameters
    ----------
    found : Comparison
        The answer.
    """
    parts = _parts(found)
    first = parts[0][1]
    by_split = [
        {"split": split, "told_by": part.told_by, "base_reward": part.base_reward}
        for split, part in parts
        if split is not None
    ]
    return {
        "runs": [{"name": name, "seeds": seeds} for name, seeds in zip(first.names, first.seeds, strict=True)],
        "measured_in": first.measured_in,
        "level": first.level,
        "told_by": first.told_by,
        "base_reward": first.base_reward,
        "splits": by_split or None,
        "headlines": list(headlines(found)),
        "notes": _notes(parts),
        "rows": [{"split": split, **row} for split, part in parts for row in _rows(part)],
    }


def points(found: Compared) -> list[dict[str, Any]]:
    """Return a row for each run and KL, and what the picture draws beside them; ``what`` says which.

    Parameters
    ----------
    found : Comparison
        The answer.
    """
    parts = _parts(found)
    return [{**row, "split": split} for split, part in parts for row in _points(part)]


def _points(found: Comparison) -> list[dict[str, Any]]:
    rows = [{"what": "comparison", **row} for row in _rows(found)]
    if found.placed is not None:
        return rows + overlay.points(found.placed)
    log = found.log
    columns = {"run": log.run, **overlay.of_log(log)}
    return rows + [{"what": "checkpoint", **row} for row in by_point(columns, log.kl.size)]


def _notes(parts: list[tuple[str | None, Comparison]]) -> list[str]:
    """Return the notes, what is said of every split once."""
    shared = [note for note in parts[0][1].notes if all(note in part.notes for _, part in parts)]
    own = [f"{split}: {note}" for split, part in parts for note in part.notes if note not in shared]
    return shared + own


def _rows(found: Comparison) -> list[dict[str, Any]]:
    rows = []
    for r, name in enumerate(found.names):
        columns = {column: getattr(found, column) for column in _OF_KL}
        columns |= {column: None if getattr(found, column) is None else getattr(found, column)[r] for column in _OF_RUN}
        rows += [{"run": name, "seeds": found.seeds[r], **row} for row in by_point(columns, found.kl.size)]
    return rows


# ------------------------------------------------------------------ lines
def headlines(found: Compared) -> tuple[str, ...]:
    """Return what sets each run apart from the first, at the largest KL that all reach.

    Parameters
    ----------
    found : Comparison
        The answer.

    Examples
    --------
    >>> from alignlib.training import compare_runs
    >>> from alignlib.training.example_run import example_run
    >>> rng = np.random.default_rng(0)
    >>> runs = {name: example_run(60, 32, rng, share=part)[0] for name, part in (("a", 0.6), ("b", 0.9))}
    >>> (said,) = headlines(compare_runs(runs))
    >>> said.startswith("At 1.13 nats per sequence 'b' has 0.") and "more of 'reward' than 'a'" in said
    True
    """
    return tuple(
        ("" if split is None else f"On {split!r}: ") + _headline(part, r, part.kl.size - 1)
        for split, part in _parts(found)
        for r in range(1, len(part.names))
    )


def _shares(found: Comparison, r: int, j: int) -> str:
    """Return the shares of both at the last KL, or at the last at which the samples show the limit."""
    if found.share is None:
        return ""
    known = np.flatnonzero([_told(found, 0, j) and _told(found, r, j) for j in range(found.kl.size)])
    if not known.size:
        return ""
    i = int(known[-1])
    mine, first = (percent(float(np.clip(found.share[row, i], 0.0, 1.0))) for row in (r, 0))
    where = "" if i == j else f"at {found.kl[i]:.3g} nats, the last at which base samples tell both shares, "
    return f" ({where}{mine} of the limit against {first})"


def _told(found: Comparison, r: int, j: int) -> bool:
    """Whether a share is told: as in `overlay`, an interval from nothing to all tells nothing."""
    if found.share is None or found.share_low is None or found.share_high is None:
        return False
    return bool(np.isfinite(found.share[r, j]) and not found.share_high[r, j] - found.share_low[r, j] >= 1.0)


def _headline(found: Comparison, r: int, j: int) -> str:
    low, value, high = (float(part[r, j]) for part in (found.difference_low, found.difference, found.difference_high))
    where = f"At {found.kl[j]:.3g} nats per sequence {found.names[r]!r}"
    share = _shares(found, r, j)
    if not np.isfinite(low):
        return (
            f"{where} is {value:+.3g} of {found.measured_in!r} from {found.names[0]!r}{share}; how sure is not known."
        )
    if low <= 0.0 <= high:
        return (
            f"{where} and {found.names[0]!r} cannot be told apart: the difference in {found.measured_in!r} is "
            f"{value:+.3g} ({low:+.3g} to {high:+.3g}){share}."
        )
    word, ends = ("more", (low, high)) if value > 0.0 else ("less", (-high, -low))
    return (
        f"{where} has {abs(value):.3g} ({ends[0]:.3g} to {ends[1]:.3g}) {word} of {found.measured_in!r} than "
        f"{found.names[0]!r}{share}."
    )


def lines(found: Compared) -> list[str]:
    """Return the comparison as text, the answer last.

    Parameters
    ----------
    found : Comparison
        The answer.
    """
    parts, said = _parts(found), list[str]()
    for split, part in parts:
        said += [*([] if split is None else [f"On {split!r}:"]), *_table(part), ""]
    return [*said, *[f"- {note}" for note in _notes(parts)], "", *headlines(found)]


def _table(found: Comparison) -> list[str]:
    several = [f"{name!r} ({counted(seeds, 'seed')})" for name, seeds in zip(found.names, found.seeds, strict=True)]
    over = "" if found.base_reward is None else f", gains over {found.base_reward:.4g}, the base model's"
    interval = interval_name(found.level)
    width = max(4, *(len(name) for name in found.names))
    head = f"{'KL':>7}  {'run':<{width}} {'reward':>8} {'gain':>8} {'share %':>8}  {interval:<16} {'to first':>9}"
    said = [
        f"{', '.join(several)} at equal KL, in {found.measured_in!r}{over}.",
        "",
        f"{head}  {interval}",
    ]
    for j in range(found.kl.size):
        for r, name in enumerate(found.names):
            said.append(Row(f"{found.kl[j]:>z7.3f}  {name:<{width}} {_row(found, r, j)}"))
    return said


def _row(found: Comparison, r: int, j: int) -> str:
    gain = "" if found.gain is None else f"{found.gain[r, j]:.3g}"
    share, ends = "", ""
    if found.share is not None and found.share_low is not None and found.share_high is not None:
        least, most = 100.0 * found.share_low[r, j], min(100.0 * found.share_high[r, j], 100.0)
        known = _told(found, r, j)
        share = f"{min(100.0 * found.share[r, j], 100.0):z.1f}" if known else "unknown"
        ends = f"[{least:z.1f}, {most:z.1f}]" if known else f"at least {least:z.1f}" if least > 0.0 else ""
        if known and np.isnan(least):
            ends = "unknown"
    apart = ""
    if r > 0:
        apart = f"{found.difference[r, j]:>+9.3g}  {bounds(found.difference_low[r, j], found.difference_high[r, j])}"
    return f"{found.reward[r, j]:>8.4g} {gain:>8} {share:>8}  {ends:<16} {apart}".rstrip()


guard(globals())
