"""What a figure shows, as rows of CSV: every point that is drawn, panel by panel."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from alignlib.answers.output.render import to_csv

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import Container
    from matplotlib.figure import Figure

__all__ = ["figure_data"]

_COLUMNS = ("panel", "kind", "series", "x", "y", "x2", "y2", "text")
_NAMELESS = re.compile(r"_(child|container|line|nolegend_|image|collection)?\d*_?$")
_DIGITS = 10
Row = dict[str, Any]


def figure_data(fig: Figure) -> str:
    """Return one row for each axis, named tick, point, segment, band, bar and text of the figure.

    ``x`` and ``y`` are in the units of the axes, which the rows of kind ``axis`` name. A ``band`` reaches from ``y`` to
    ``y2``, a ``segment`` from (``x``, ``y``) to (``x2``, ``y2``), a ``bar`` covers the box between these. What reaches
    from edge to edge has no coordinate along that side. An error bar is one segment.

    >>> import matplotlib.pyplot as plt
    >>> fig, ax = plt.subplots()
    >>> _ = ax.plot([0, 1], [2, 3], label="a"), ax.set_xlabel("nats"), ax.annotate("N=2", (1, 3))
    >>> print(figure_data(fig).replace("\\r", ""), end="")
    panel,kind,series,x,y,text
    1,axis,x,,,nats
    1,axis,y,,,
    1,line,a,0.0,2.0,
    1,line,a,1.0,3.0,
    1,text,,1.0,3.0,N=2
    >>> plt.close(fig)
    """
    rows = [{"panel": panel, **row} for panel, ax in enumerate(fig.axes, start=1) for row in _rows(ax)]
    used = [name for name in _COLUMNS if any(row.get(name) not in (None, "") for row in rows)]
    return to_csv([{name: _cell(row.get(name)) for name in used} for row in rows], used)


def _cell(value: object) -> object:
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.{_DIGITS}g}") if np.isfinite(value) else ""  # a number: only text is made safe
    return value


def _rows(ax: Axes) -> Iterator[Row]:
    from matplotlib.category import StrCategoryLocator
    from matplotlib.container import ErrorbarContainer
    from matplotlib.ticker import FixedLocator

    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        yield {"kind": "axis", "series": name, "text": _plain(axis.get_label_text())}
        if isinstance(axis.get_major_locator(), FixedLocator | StrCategoryLocator):  # names, not numbers
            for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False):
                if label.get_text().strip():
                    yield {"kind": "tick", "series": name, name: float(place), "text": _plain(label.get_text())}
    if ax.get_title(loc="left") or ax.get_title():
        yield {"kind": "title", "text": _plain(ax.get_title(loc="left") or ax.get_title())}
    caps = {id(cap) for bars in ax.containers if isinstance(bars, ErrorbarContainer) for cap in bars[1]}
    drawn = [one for one in (*ax.lines, *ax.collections, *ax.patches, *ax.images) if id(one) not in caps]
    names = _names(ax, drawn)
    for number, artist in enumerate(drawn, start=1):
        name = names.get(id(artist)) or f"series {number}"
        for row in _drawn(artist):
            yield _in_data(ax, artist, {"series": name, **row})
    for text in ax.texts:
        x, y = getattr(text, "xy", text.get_position())
        if text.get_text().strip():
            said = {"kind": "text", "x": _number(x), "y": _number(y), "text": _plain(text.get_text())}
            yield _in_data(ax, text, said) if not hasattr(text, "xy") else said


def _in_data(ax: Axes, artist: Artist, row: Row) -> Row:
    """A row without the coordinates that are shares of the axes, as those along a line from edge to edge."""
    for is_data, names in zip(artist.get_transform().contains_branch_seperately(ax.transData), "xy", strict=True):
        if not is_data and not hasattr(artist, "get_offsets"):
            row = {key: None if key in (names, f"{names}2") else value for key, value in row.items()}
    return row


def _drawn(artist: Any) -> Iterator[Row]:
    from matplotlib.collections import LineCollection, PathCollection, PolyCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    if isinstance(artist, Line2D):
        kind = "line" if artist.get_linestyle() not in ("None", "", " ") else "points"
        for x, y in np.asarray(artist.get_xydata(), dtype=float):
            yield {"kind": kind, "x": x, "y": y}
    elif isinstance(artist, PathCollection):
        for x, y in np.asarray(artist.get_offsets(), dtype=float):
            yield {"kind": "points", "x": x, "y": y}
    elif isinstance(artist, LineCollection):
        for line in artist.get_segments():
            for (x, y), (x2, y2) in itertools.pairwise(line):
                yield {"kind": "segment", "x": float(x), "y": float(y), "x2": float(x2), "y2": float(y2)}
    elif isinstance(artist, PolyCollection):
        for path in artist.get_paths():
            yield from _band(np.asarray(path.vertices, dtype=float))
    elif isinstance(artist, Rectangle):
        x, y = (float(one) for one in artist.get_xy())
        yield {"kind": "bar", "x": x, "y": y, "x2": x + float(artist.get_width()), "y2": y + float(artist.get_height())}
    else:
        raise TypeError(f"a figure holds a {type(artist).__name__}, which its data do not: add it to figure_data.py")


def _band(corners: Any) -> Iterator[Row]:
    """The lower and upper edge of a filled band, at each place where it has a corner."""
    low: dict[float, float] = {}
    high: dict[float, float] = {}
    for x, y in corners:
        low[x], high[x] = min(y, low.get(x, y)), max(y, high.get(x, y))
    for x in sorted(low):
        yield {"kind": "band", "x": x, "y": low[x], "y2": high[x]}


def _names(ax: Axes, drawn: Sequence[Artist]) -> dict[int, str]:
    """Name what is drawn, by its own label, that of its error bars, or what alone in the axes has its colour.

    Those are entries of a legend, then other series (the band of a curve is named like it), then texts beside curves.
    """
    names = {id(artist): name for artist in drawn if (name := _name(artist))}
    _share(ax, names)
    legends = [legend for legend in (ax.get_legend(), *ax.figure.legends) if legend is not None]
    entries = [
        (_colour(handle), _plain(text.get_text()))
        for legend in legends
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
    ]
    series = [(_colour(artist), names[id(artist)]) for artist in drawn if id(artist) in names]
    texts = [(_colour(text), _plain(text.get_text())) for text in ax.texts]
    coloured = [artist for artist in drawn if len(set(_colour(artist) or (0.0,))) > 1]  # guides are grey
    for artist in coloured:
        marks = "points" in {row["kind"] for row in itertools.islice(_drawn(artist), 1)}  # whose texts name one of them
        for source in (entries, series) if marks else (entries, series, texts):
            found = {name for colour, name in source if colour == _colour(artist)}
            if id(artist) not in names and len(found) == 1:
                names[id(artist)] = found.pop()
    _share(ax, names)
    if len(coloured) == 1 and id(coloured[0]) not in names:
        names[id(coloured[0])] = _plain(ax.yaxis.get_label_text())
    return names


def _share(ax: Axes, names: dict[int, str]) -> None:
    """Give points, bars and caps of errors one name, where any of them has it."""
    for container in ax.containers:
        parts = container.get_children()
        if label := _name(container) or next((names[id(part)] for part in parts if id(part) in names), ""):
            names |= {id(part): label for part in parts}


def _colour(artist: Any) -> tuple[float, ...] | None:
    """The colour of an artist without its opacity; nothing where it has several or none."""
    from matplotlib.colors import to_rgb, to_rgba_array

    for part in ("get_color", "get_facecolor", "get_edgecolor"):
        value = getattr(artist, part, lambda: None)()
        colours = {to_rgb(one) for one in to_rgba_array(value) if one[3] > 0} if value is not None else set()
        if len(colours) == 1:
            return colours.pop()
    return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | np.number) else None


def _name(artist: Artist | Container) -> str:
    label = str(artist.get_label() or "")
    return "" if _NAMELESS.fullmatch(label) else _plain(label.removeprefix("_"))


def _plain(text: str) -> str:
    """Text as one line, its mathematics as plain text."""
    from alignbook.plain_math import plain_math

    return " ".join(re.sub(r"\$([^$]+)\$", lambda m: plain_math(m[1]), text).replace("\u00a0", " ").split())
