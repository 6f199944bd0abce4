"""One style for every figure, one function per kind of picture; each takes ``ax`` and returns it, none shows it.

Colours follow Okabe and Ito's, darkened where text is written in them; they are told apart by every kind of colour
vision and always backed by a second cue (a direct label, a marker, a dash). Sizes are chosen so that text stays legible
when the picture is scaled to a phone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from alignlib._core.checks import as_number, as_numbers, as_whole, require
from alignlib._core.doors import guard
from alignlib._core.errors import InputError, quoted
from alignlib._core.palette import BASE, BEST_OF_N, BOUND, CYCLE, FOURTH, LIMIT, THIRD
from alignlib.divergences import KL
from alignlib.laws import Frontier, Law

__all__ = [
    "BASE",
    "BEST_OF_N",
    "BOUND",
    "CYCLE",
    "FOURTH",
    "KL_LABEL",
    "LIMIT",
    "THIRD",
    "apart",
    "curve",
    "frontier",
    "legend",
    "name_axes",
    "new",
    "points",
    "save",
    "tail_note",
]

KL_LABEL = KL.label
"""The label of an axis of KL budgets, with its unit."""

_LEAST_WIDTH = 0.4  # of the figure, that axes keep beside a legend and long names

_STYLE: Any = {
    "figure.figsize": (4.9, 3.4),
    "figure.dpi": 100,
    "savefig.dpi": 180,
    "figure.constrained_layout.use": True,
    "font.size": 11.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 11.0,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.fontsize": 10.0,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 2.0,
    "lines.markersize": 6.0,
    "svg.hashsalt": "alignlib",
    "svg.fonttype": "none",
}


def new(*, rows: int = 1, columns: int = 1, height: float = 3.4, **kwargs: Any) -> tuple[Figure, Any]:
    """Return a figure in the house style and its axes; several rows stack, as a phone would show them.

    Parameters
    ----------
    rows, columns : int
        Panels; several rows stack, as a phone would show them.
    height : float
        Inches of a row.
    **kwargs : object
        Passed to ``matplotlib.pyplot.subplots``.

    Returns
    -------
    figure : Figure
        The figure.
    axes : Axes, or array of Axes
        Its axes.

    Raises
    ------
    InputError
        If ``rows`` or ``columns`` is no whole number from 1 on, or ``height`` is not positive.

    Examples
    --------
    >>> fig, ax = new()
    >>> fig.get_size_inches().tolist()
    [4.9, 3.4]
    >>> plt.close(fig)
    """
    rows, columns = as_whole("rows", rows, 1), as_whole("columns", columns, 1)
    height = as_number("height", height, 0.0, open_low=True)
    size = (4.9, height * rows if columns == 1 else height)
    # Not rc_context: it would also undo the interactive mode that the first figure of a notebook switches on.
    before = {key: mpl.rcParams[key] for key in _STYLE}
    mpl.rcParams.update(_STYLE)
    try:
        fig, axes = plt.subplots(rows, columns, figsize=size, dpi=180, **kwargs)
    finally:
        mpl.rcParams.update(before)
    fig.canvas.mpl_connect("draw_event", lambda _: _warn_of_squeezed_axes(fig, columns))
    return fig, axes


def _warn_of_squeezed_axes(fig: Figure, columns: int) -> None:
    """Say where a legend or long names have left the picture itself hardly any room."""
    widths = [ax.get_position().width for ax in fig.axes]
    if widths and max(widths) < _LEAST_WIDTH / columns:
        warnings.warn(
            f"The axes take {max(widths):.0%} of the figure's width only: shorten the legend or the names beside them.",
            stacklevel=2,
        )


def name_axes(ax: Axes, x: str, y: str, title: str | None = None) -> Axes:
    """Name both axes, units included; a title only where panels need telling apart.

    Parameters
    ----------
    ax : Axes
        The axes.
    x, y : str
        What is along each, with the unit.
    title : str, optional
        Only where panels need telling apart.

    Examples
    --------
    >>> fig, ax = new()
    >>> name_axes(ax, "KL (nats)", "gain").get_xlabel()
    'KL (nats)'
    >>> plt.close(fig)
    """
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title, loc="left")
    return ax


def legend(ax: Axes, **place: Any) -> Axes:
    """Add a legend without a frame, for what has no room for a direct label.

    Parameters
    ----------
    ax : Axes
        What is drawn on them has labels.
    **place : object
        Passed to ``Axes.legend``.

    Examples
    --------
    >>> fig, ax = new()
    >>> _ = ax.plot([0, 1], [0, 1], label="limit")
    >>> [text.get_text() for text in legend(ax).get_legend().get_texts()]
    ['limit']
    >>> plt.close(fig)
    """
    ax.legend(**{"frameon": False, "fontsize": 10.0, "handlelength": 1.8, **place})
    return ax


def curve(
    ax: Axes,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    label: str | None = None,
    *,
    color: str = LIMIT,
    at: float | None = None,
    offset: tuple[float, float] = (0.0, 6.0),
    ha: str = "center",
    **line: Any,
) -> Axes:
    """Draw a line and write its name next to it, at the abscissa ``at`` (the end by default).

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x, y : array (k,)
        The points of the line.
    label : str, optional
        Its name, which also stands next to it.
    color : str
        Of the line and its name.
    at : float, optional
        The abscissa at which the name stands; the end of the line by default.
    offset : (float, float)
        Of the name from there, in points.
    ha : str
        Its horizontal alignment.
    **line : object
        Passed to ``Axes.plot``.

    Raises
    ------
    InputError
        If ``x`` or ``y`` holds no numbers, or Matplotlib knows no such colour or alignment.

    Examples
    --------
    >>> fig, ax = new()
    >>> [text.get_text() for text in curve(ax, [0.0, 1.0], [0.0, 1.0], "limit").texts]
    ['limit']
    >>> plt.close(fig)
    """
    xs, ys = as_numbers("x", x), as_numbers("y", y)
    offset = _check_style(color=color, ha=ha, offset=offset)
    hidden = {"label": f"_{label}"} if label else {}  # legends leave out what begins with _; figures' data keep it
    ax.plot(xs, ys, color=color, **(hidden | line))
    if label:
        _write(ax, xs, ys, label, color, at, offset, ha)
    return ax


def _check_style(
    *, color: str = LIMIT, ha: str = "center", marker: str = "o", offset: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float]:
    """Say what Matplotlib would only say when it draws, or in its own words; return the offset."""
    require(is_color_like(color), f"color must be a colour of Matplotlib's; got {quoted(color)}.", "color")
    known = isinstance(ha, str) and ha in ("left", "center", "right")
    require(known, f"ha must be 'left', 'center' or 'right'; got {quoted(ha)}.", "ha")
    try:
        MarkerStyle(marker)
    except (ValueError, TypeError):
        raise InputError(f"marker must be one of Matplotlib's; got {quoted(marker)}.", argument="marker") from None
    place = as_numbers("offset", offset)
    require(place.shape == (2,), f"offset must be two numbers, in points; got {quoted(offset)}.", "offset")
    return float(place[0]), float(place[1])


def _write(
    ax: Axes,
    xs: npt.NDArray[np.float64],
    ys: npt.NDArray[np.float64],
    label: str,
    color: str,
    at: float | None,
    offset: tuple[float, float],
    ha: str,
) -> None:
    order = np.argsort(xs)
    where = float(xs[order[-1]]) if at is None else at
    height = float(np.interp(where, xs[order], ys[order]))
    ax.annotate(
        label, (where, height), xytext=offset, textcoords="offset points", color=color, ha=ha,
        va="bottom" if offset[1] >= 0 else "top", fontsize=10.5,
    )  # fmt: skip


class Estimated(Protocol):
    """What has a frontier of its own, such as a `Fit`."""

    @property
    def frontier(self) -> Frontier:
        """The frontier."""


def frontier(
    ax: Axes,
    result: Frontier | Law | Estimated,
    label: str | None = "the limit",
    *,
    color: str = LIMIT,
    at: float | None = None,
    offset: tuple[float, float] | None = None,
    ha: str | None = None,
    note: bool = True,
) -> Axes:
    """Draw gain against budget; an estimate with its band, only as far as the samples support it.

    Axes that have no name get one: the divergence of the budget, and the gain in reward.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    result : Frontier, Law or Fit
        The frontier, or what has one.
    label : str, optional
        Written beside the curve, by default above its middle.
    color : str
        Of curve, band and text.
    at : float, optional
        The budget that the label stands at.
    offset : (float, float), optional
        Of the label from there, in points.
    ha : str, optional
        What of the label is there: its ``"left"``, ``"center"`` or ``"right"``.
    note : bool
        Whether to write that an estimate ends because the samples support no more.

    Raises
    ------
    InputError
        For what has no frontier, or one without a supported point.

    Examples
    --------
    >>> from alignlib.laws import Gaussian
    >>> fig, ax = new()
    >>> frontier(ax, Gaussian()).get_ylabel()
    'gain in reward'
    >>> plt.close(fig)
    """
    result = _frontier_of(result)
    inside = at is None and offset is None and ha is None
    if inside:  # a concave curve leaves room above its middle, whatever the axes
        offset, ha = (-6.0, 6.0), "right"
    known = np.ones(result.spent.size, dtype=bool) if result.supported is None else result.supported
    require(bool(known.any()), "frontier has no supported point to draw; ask for smaller budgets.")
    x, y = result.spent[known], result.gain[known]
    if result.gain_low is not None and result.gain_high is not None:
        ax.fill_between(x, result.gain_low[known], result.gain_high[known], color=color, alpha=0.2, linewidth=0)
    at = 0.5 * float(x[-1]) if inside else at
    curve(ax, x, y, label, color=color, at=at, offset=offset or (0.0, 6.0), ha=ha or "center")
    if not ax.get_xlabel():
        ax.set_xlabel(result.divergence.label)
    if not ax.get_ylabel():
        ax.set_ylabel("gain in reward")
    if result.supported is not None:
        ax.plot(x[-1], y[-1], marker="|", markersize=12, color=color, markeredgewidth=2)
        if note:
            tail_note(ax, float(x[-1]), float(y[-1]), "samples support\nno more", color, inside=inside)
    return ax


def _frontier_of(result: object) -> Frontier:
    found = result if isinstance(result, Frontier) else getattr(result, "frontier", None)
    found = found() if isinstance(result, Law) and callable(found) else found
    if not isinstance(found, Frontier):
        raise InputError(
            f"result must be a frontier, or a law or fit, which have one; got {type(result).__name__}.",
            argument="result",
        )
    return found


def tail_note(ax: Axes, x: float, y: float, text: str, color: str = BOUND, *, inside: bool = False) -> Axes:
    """Write a short note to the right of where a curve has to stop, or ``inside``, below its end.

    Parameters
    ----------
    ax : Axes
        Where to write.
    x, y : float
        Where the curve ends.
    text : str
        The note.
    color : str
        Of the text.
    inside : bool
        Below the end of the curve, where the right margin has no room.

    Raises
    ------
    InputError
        If Matplotlib knows no such colour.

    Examples
    --------
    >>> fig, ax = new()
    >>> len(tail_note(ax, 1.0, 1.0, "beyond the samples").texts)
    1
    >>> plt.close(fig)
    """
    _check_style(color=color)
    place: Any = {"xytext": (0, -56), "ha": "right"} if inside else {"xytext": (6, -2), "ha": "left"}
    ax.annotate(text, (x, y), textcoords="offset points", color=color, va="top", fontsize=9.5, **place)
    return ax


def points(
    ax: Axes,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    names: Sequence[object] | Iterable[object] | None = None,
    *,
    color: str = BEST_OF_N,
    marker: str = "o",
    low: npt.ArrayLike | None = None,
    high: npt.ArrayLike | None = None,
    offset: tuple[float, float] = (7.0, -4.0),
    label: str | None = None,
    **line: Any,
) -> Axes:
    """Draw methods as points, with intervals if given, each named next to its marker.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x, y : array (k,)
        The points.
    names : sequence, optional
        What stands next to each.
    color, marker : str
        Of the markers.
    low, high : array (k,), optional
        Ends of each point's interval along y.
    offset : (float, float)
        Of the names, in points.
    label : str, optional
        Of all together, for a legend.
    **line : object
        Passed to ``Axes.plot``.

    Raises
    ------
    InputError
        If ``x``, ``y``, ``low`` or ``high`` holds no numbers, names are not as many as points, or Matplotlib knows no
        such colour or marker.

    Examples
    --------
    >>> fig, ax = new()
    >>> [text.get_text() for text in points(ax, [1.0, 2.0], [0.5, 0.7], [2, 4]).texts]
    ['2', '4']
    >>> plt.close(fig)
    """
    xs, ys = np.atleast_1d(as_numbers("x", x)), np.atleast_1d(as_numbers("y", y))
    offset = _check_style(color=color, marker=marker, offset=offset)
    written = [] if names is None else [str(name) for name in names]
    as_many = names is None or len(written) == xs.size
    require(as_many, f"names must be as many as points, {xs.size}; got {len(written)}.", "names")
    if low is not None and high is not None:
        bars = np.stack([ys - as_numbers("low", low), as_numbers("high", high) - ys])
        named = f"_{label.removeprefix('_')}" if label else None  # as in curve
        look: Any = {"fmt": "none", "ecolor": color, "elinewidth": 1.3, "capsize": 2.5}
        ax.errorbar(xs, ys, yerr=np.maximum(bars, 0.0), label=named, **look)
    style = {"linestyle": "none", **line}
    ax.plot(xs, ys, color=color, marker=marker, label=label, **style)
    for px, py, name in zip(xs, ys, written, strict=False):
        ax.annotate(
            name, (px, py), xytext=offset, textcoords="offset points", color=color, fontsize=9.5,
            ha="left" if offset[0] >= 0 else "right", va="top" if offset[1] < 0 else "bottom",
        )  # fmt: skip
    return ax


def apart(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, names: Sequence[str], least: float = 0.12) -> list[str]:
    """Return the names with those blanked whose point lies too close to a named one; the last point keeps its name.

    ``least`` is a share of the width of what ``ax`` shows already and of the points; half of it serves for the height.

    Parameters
    ----------
    ax : Axes
        Where the points will be drawn; what it shows already counts for its width.
    x, y : array (k,)
        The points.
    names : sequence of str
        Their names.
    least : float
        Least distance of two named ones, as a share of the width of what ``ax`` shows and of the points; half of it
        serves for the height.

    Raises
    ------
    InputError
        If ``x`` or ``y`` holds no numbers.

    Examples
    --------
    >>> fig, ax = new()
    >>> apart(ax, [0.0, 1.0, 1.01, 1.02], [0.0, 1.0, 1.0, 1.0], ["a", "b", "c", "d"])
    ['a', '', '', 'd']
    >>> plt.close(fig)
    """
    places = np.stack([as_numbers("x", x), as_numbers("y", y)], axis=1)
    drawn = np.array(ax.dataLim.get_points(), dtype=np.float64)
    span = np.ptp(np.concatenate([places, drawn[np.isfinite(drawn).all(axis=1)]]), axis=0)
    scaled = places / np.where(span > 0.0, span, 1.0) / [least, least / 2.0]
    kept: list[int] = []
    for i in reversed(range(len(names))):
        if all(np.abs(scaled[i] - scaled[k]).max() >= 1.0 for k in kept):
            kept.append(i)
    return [name if i in kept else "" for i, name in enumerate(names)]


def save(fig: Figure, folder: str | Path | None, name: str) -> None:
    """Leave ``name.png`` and ``name.svg`` in an existing folder; nothing where ``folder`` is None.

    Parameters
    ----------
    fig : Figure
        What is saved.
    folder : str or Path, optional
        An existing folder.
    name : str
        Of the files, without extension.

    Raises
    ------
    InputError
        If there is no such folder.

    Examples
    --------
    >>> save(plt.figure(), None, "nothing")
    >>> plt.close()
    """
    if folder is None:
        return
    require(Path(folder).is_dir(), f"folder must be an existing folder; got {str(folder)!r}. Make it first.")
    with mpl.rc_context({"svg.hashsalt": "alignlib", "svg.fonttype": "none"}):
        fig.savefig(Path(folder) / f"{name}.png", dpi=180)
        fig.savefig(Path(folder) / f"{name}.svg", metadata={"Date": None})


guard(globals())
