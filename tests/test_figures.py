"""Figures of the book: their files, their data, and that they can be read in the light and in the dark."""

from __future__ import annotations

import base64
import csv
import io
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pytest

from alignbook.figure_data import figure_data
from alignbook.figures import CSV, PDF, SVG, forms, take_out
from alignlib import plotting
from alignlib._core import palette
from alignlib.laws import Gaussian
from tests.built_book import HTML, ROOT, need_book, parse

Colour = npt.NDArray[np.float64]
LINKS = re.compile(r'<figure [^>]*id="(fig-[^"]+)".*?</figure>', re.DOTALL)


@pytest.fixture
def fig() -> mpl.figure.Figure:
    fig, ax = plotting.new()
    plotting.frontier(ax, Gaussian().frontier([0.0, 0.5, 1.0]), "the limit <b> & $\\lambda$")
    ax.fill_between([0.0, 1.0], [-1.0, 1.0], [2.0, 3.0])
    ax.axhline(0.25, label="quarter")
    ax.bar([1.0], [2.0], width=0.5, label="bars")
    plotting.points(ax, [0.5], [1.0], ["N=2"], low=[0.9], high=[1.2])
    yield fig
    plt.close(fig)


def test_a_figure_has_three_forms_always_the_same(fig: mpl.figure.Figure) -> None:
    found = forms(fig)
    assert set(found) == {SVG, PDF, CSV}
    assert found == forms(fig)
    assert found[SVG].startswith("<svg ")
    assert "KL to the base model" in found[SVG]  # text as text
    assert 'fill="#ffffff"' not in found[SVG]
    assert "fill: #ffffff" not in found[SVG]  # no background
    assert re.search(r'<svg [^>]*width="\d+"', found[SVG])
    paper = base64.b64decode(found[PDF])
    assert paper.startswith(b"%PDF-")
    assert b"/CreationDate" not in paper


def test_the_data_hold_every_point(fig: mpl.figure.Figure) -> None:
    rows = list(csv.DictReader(io.StringIO(figure_data(fig))))
    of = {kind: [row for row in rows if row["kind"] == kind] for kind in {row["kind"] for row in rows}}
    limit = [(float(row["x"]), float(row["y"])) for row in of["line"] if row["series"].startswith("the limit")]
    assert np.array(limit) == pytest.approx(np.array([[0.0, 0.0], [0.5, 1.0], [1.0, np.sqrt(2.0)]]))
    assert [(row["x"], row["y"]) for row in of["line"] if row["series"] == "quarter"] == [("", "0.25")] * 2
    assert [(row["x"], row["y"], row["y2"]) for row in of["band"]] == [("0.0", "-1.0", "2.0"), ("1.0", "1.0", "3.0")]
    assert [(row["x"], row["x2"], row["y2"]) for row in of["bar"]] == [("0.75", "1.25", "2.0")]
    assert [(row["y"], row["y2"]) for row in of["segment"]] == [("0.9", "1.2")]
    assert {row["text"] for row in of["text"]} == {"the limit <b> & λ", "N=2"}
    assert of["axis"][0]["text"] == plotting.KL_LABEL


def test_what_has_no_label_of_its_own_is_named_by_what_has_its_colour() -> None:
    fig, ax = plt.subplots()
    ax.errorbar([1], [1], [0.1], color="C0", label="PPO", capsize=2)  # whose caps say nothing that the bar does not
    ax.errorbar([2], [1], [0.1], color="C1")
    plotting.points(ax, [3], [1], low=[0], high=[2], color=palette.BASE, label="a control")
    ax.fill_between([1, 2], [0, 0], [1, 1], color="C2", alpha=0.2)
    ax.plot([1, 2], [3, 3], color="C2")
    ax.plot([1, 2], [4, 4], "o", color="C3")
    ax.axhline(0, color="k")
    ax.text(1, 3, "the limit", color="C2")
    ax.text(1, 4, "N=2", color="C3")
    fig.legend(handles=[mpl.lines.Line2D([], [], color="C1", label="GRPO")])
    rows = list(csv.DictReader(io.StringIO(figure_data(fig))))
    found = {(row["kind"], row["series"]) for row in rows if row["kind"] not in ("axis", "text")}
    assert found == {
        *((kind, name) for kind in ("line", "segment") for name in ("PPO", "GRPO")),
        *((kind, "a control") for kind in ("points", "segment")),
        *(("line", "the limit"), ("band", "the limit"), ("points", "series 5"), ("line", "series 6")),
    }
    plt.close(fig)


def test_a_curve_alone_beside_guides_is_what_the_axis_says() -> None:
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], color="C0")
    ax.axhline(0, color=palette.BASE, label="_nothing gained")
    ax.set_ylabel("gain")
    assert re.findall(r"^1,line,([^,]*),", figure_data(fig), re.MULTILINE) == ["gain"] * 2 + ["nothing gained"] * 2
    assert ax.get_legend_handles_labels() == ([], [])
    plt.close(fig)


def test_names_along_an_axis_are_data_too() -> None:
    fig, ax = plt.subplots()
    ax.bar(["a", "b"], [1.0, 2.0])
    ax.set_yticks([0.0, 2.0], ["none", "all"])
    rows = list(csv.DictReader(io.StringIO(figure_data(fig))))
    ticks = [(row["series"], row["x"], row["y"], row["text"]) for row in rows if row["kind"] == "tick"]
    assert ticks == [("x", "0.0", "", "a"), ("x", "1.0", "", "b"), ("y", "", "0.0", "none"), ("y", "", "2.0", "all")]
    plt.close(fig)


def test_what_the_data_would_lack_is_named() -> None:
    fig, ax = plt.subplots()
    ax.imshow([[0.0, 1.0]])
    with pytest.raises(TypeError, match="AxesImage"):
        figure_data(fig)
    plt.close(fig)


def test_a_page_shows_the_drawing_and_leaves_the_rest_to_files() -> None:
    data = {SVG: "<svg/>", PDF: base64.b64encode(b"%PDF").decode(), CSV: "x\n1\n", "text/plain": "<Figure>"}
    cell = {"metadata": {"mystnb": {"figure": {"name": "fig-a"}}}, "outputs": [{"data": data}]}
    assert dict(take_out([cell])) == {"fig-a.pdf": b"%PDF", "fig-a.csv": b"x\n1\n"}
    assert set(data) == {SVG, "text/plain"}


# The filter that the dark theme puts on pictures, as CSS defines it: https://www.w3.org/TR/filter-effects-1/
def inverted(colour: Colour) -> Colour:
    """``invert(1) hue-rotate(180deg)``."""
    weights = np.array([0.213, 0.715, 0.072])
    turned = 2.0 * np.tile(weights, (3, 1)) - np.eye(3)
    return np.clip(turned @ (1.0 - colour), 0.0, 1.0)


def contrast(one: Colour, other: Colour) -> float:
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    low, high = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in linear)
    return (high + 0.05) / (low + 0.05)


LIGHT, DARK = np.ones(3), np.array(mpl.colors.to_rgb("#121212"))


@pytest.mark.parametrize("name", [*palette.CYCLE, palette.BOUND])
def test_colours_can_be_read_in_the_light_and_in_the_dark(name: str) -> None:
    colour = np.array(mpl.colors.to_rgb(name))
    assert contrast(colour, LIGHT) >= 4.5
    assert contrast(inverted(colour), DARK) >= 4.5
    assert "filter: invert(1) hue-rotate(180deg) !important" in (ROOT / "book/_assets/book.css").read_text("utf-8")


def test_text_in_figures_of_the_book_is_text_and_can_be_read_in_the_light_and_in_the_dark() -> None:
    need_book()
    faint = {}
    for path in sorted((HTML / "_images").glob("*.svg")):
        drawing = path.read_text(encoding="utf-8")
        assert "<text " in drawing, path.name
        assert not re.search(r'id="[A-Z]\w*-[0-9a-f]+"', drawing), path.name  # a letter drawn as an outline
        for style in set(re.findall(r'<text style="([^"]*)"', drawing)):
            said = re.search(r"fill: (#[0-9a-f]{6})", style)
            opacity = re.search(r"(?<!-)opacity: ([\d.]+)", style)
            share = float(opacity[1]) if opacity else 1.0
            colour = 1.0 - share * (1.0 - np.array(mpl.colors.to_rgb(said[1] if said else "#000000")))
            worst = min(contrast(colour, LIGHT), contrast(inverted(colour), DARK))
            if worst < 4.5:
                faint[path.name] = (style, round(worst, 2))
    assert faint == {}


def test_every_figure_of_the_book_has_data_drawings_and_code() -> None:
    need_book()
    seen = 0
    for page in sorted((HTML / "notebooks").glob("*.html")):
        text = page.read_text(encoding="utf-8")
        for match in LINKS.finditer(text):
            name, figure = match[1], match[0]
            seen += 1
            links = re.findall(r'<a href="([^"]+)"(?: download="([^"]+)")?>', figure.partition("figure-files")[2])
            assert [saved for _, saved in links] == [f"{name}.csv", f"{name}.svg", f"{name}.pdf", ""], (page.name, name)
            assert links[3][0].removeprefix("#") in parse(page).ids
            data, drawing, paper = ((page.parent / href).read_bytes() for href, _ in links[:3])
            assert data.startswith(b"panel,kind,series,")
            assert data.count(b"\n") > 3, name
            assert not re.search(rb"^\d+,\w+,series \d+,", data, re.MULTILINE), (
                name
            )  # label it, from "_" on for the data alone
            assert b"<text" in drawing
            assert len(drawing) < 600_000, name  # the matrix of chapter 30 has thousands of cells
            assert paper.startswith(b"%PDF-")
    assert seen > 80
