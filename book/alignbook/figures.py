"""Figures of a page of the book: as SVG and as PDF, their text as text, and what they show as CSV.

A kernel that executes a page for the book shows each figure in these three forms, always the same bytes. The page shows
the SVG and links to the others, which `take_out` takes out of the notebook.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CSV", "PDF", "SVG", "forms", "show_all_forms", "take_out"]

SVG, PDF, CSV = "image/svg+xml", "application/pdf", "text/csv"
_WIDER = 2.5  # pixels a point: a figure fills the column, as its lines and letters were chosen for
_CLOUD = 2000  # markers; so many are one picture within the drawing
_SIZE = re.compile(r'(width|height)="([\d.]+)pt"')
_PREAMBLE = re.compile(r"^<\?xml[^>]*>\s*<!DOCTYPE[^>]*>\s*", re.DOTALL)


def show_all_forms() -> None:
    """Have the kernel that this runs in show each figure in all forms.

    By its configuration, which Matplotlib's backend reads when a page imports it: many a page draws nothing, and the
    import takes longer than all else that a kernel begins with.
    """
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    shell.config.InlineBackend.figure_formats = set()
    shell.display_formatter.mimebundle_formatter.for_type_by_name("matplotlib.figure", "Figure", forms)


def forms(fig: Figure, include: object = None, exclude: object = None) -> dict[str, str]:
    """Return the figure in all forms, by media type; the PDF as base64."""
    import matplotlib as mpl

    from alignbook.figure_data import figure_data

    if not fig.axes and not fig.lines:
        return {}
    for ax in fig.axes:
        for artist in (*ax.collections, *ax.lines):
            _flatten_cloud(artist)
    style: Any = {"svg.hashsalt": "alignlib", "svg.fonttype": "none", "pdf.fonttype": 3}
    options: Any = {"bbox_inches": "tight", "transparent": True, "dpi": 180}
    drawing, paper = io.StringIO(), io.BytesIO()
    with mpl.rc_context(style):
        fig.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None}, **options)
        layout = fig.get_layout_engine()
        fig.set_layout_engine("none")  # which is done
        fig.savefig(paper, format="pdf", metadata={"CreationDate": None}, **options)
        fig.set_layout_engine(layout)
    svg = _SIZE.sub(lambda m: f'{m[1]}="{_WIDER * float(m[2]):.0f}"', _PREAMBLE.sub("", drawing.getvalue()), count=2)
    return {SVG: svg, PDF: base64.b64encode(paper.getvalue()).decode(), CSV: figure_data(fig)}


def _flatten_cloud(artist: Any) -> None:
    points = artist.get_offsets() if hasattr(artist, "get_offsets") else artist.get_xydata()
    marked = hasattr(artist, "get_offsets") or artist.get_marker() not in ("None", "", None)
    if marked and len(points) > _CLOUD:
        artist.set_rasterized(True)


def take_out(cells: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Take PDF and CSV out of the outputs of cells, in place, and yield them by name: ``fig-share.csv``."""
    for cell in cells:
        name = cell.get("metadata", {}).get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if SVG not in data or PDF not in data:
                continue
            pdf, csv = data.pop(PDF), data.pop(CSV)
            if name:
                yield f"{name}.pdf", base64.b64decode("".join(pdf))
                yield f"{name}.csv", "".join(csv).encode()
