"""Pictures: what they draw, and what they must not."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import alignlib
from alignlib import plotting
from alignlib.estimation import fit_frontier
from alignlib.laws import Frontier, Gaussian, Law

mpl.use("agg")
ROWS = np.random.default_rng(0).standard_normal((40, 16))


@pytest.fixture
def ax():
    fig, axes = plotting.new()
    yield axes
    plt.close(fig)


def _estimated(supported: list[bool]) -> Frontier:
    kl = np.arange(4.0)
    return Frontier(kl, np.sqrt(kl), kl + 1, 0.0, np.sqrt(kl) - 0.1, np.sqrt(kl) + 0.1, np.array(supported), 0.95)


def test_an_estimate_is_never_drawn_beyond_its_support(ax) -> None:
    plotting.frontier(ax, _estimated([True, True, False, False]))
    assert max(line.get_xdata().max() for line in ax.lines) == 1.0
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 0].max() == 1.0
    assert any("support" in text.get_text() for text in ax.texts)


def test_an_exact_frontier_is_drawn_whole_and_without_note(ax) -> None:
    curve = Gaussian().frontier([0.0, 1.0, 4.0])
    assert plotting.frontier(ax, curve) is ax
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve.gain)
    assert [t.get_text() for t in ax.texts] == ["the limit"]


@pytest.mark.parametrize("make", [Gaussian, lambda: fit_frontier(ROWS, n_boot=100)])
def test_a_law_and_a_fit_are_drawn_by_their_frontier(ax, make) -> None:
    result = make()
    plotting.frontier(ax, result)
    curve = result.frontier() if isinstance(result, Law) else result.frontier
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), curve.gain)


@pytest.mark.parametrize("given", [ROWS, 3, "curve"])
def test_what_has_no_frontier_is_refused_in_a_sentence(ax, given) -> None:
    with pytest.raises(alignlib.InputError, match="result must be a frontier, or a law or fit"):
        plotting.frontier(ax, given)


@pytest.mark.parametrize("size", [(4.9, 3.4), (12.0, 3.0), (3.0, 5.0)])
@pytest.mark.parametrize("make", [Gaussian, lambda: fit_frontier(ROWS, n_boot=100)])
def test_on_axes_of_a_reader_both_are_named_and_all_text_lies_inside(size, make) -> None:
    fig, own = plt.subplots(figsize=size)
    plotting.frontier(own, make())
    fig.canvas.draw()
    assert (own.get_xlabel(), own.get_ylabel()) == (plotting.KL_LABEL, "gain in reward")
    frame = own.get_window_extent()
    for text in own.texts:
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1
    plt.close(fig)


def test_axes_that_have_names_keep_them(ax) -> None:
    plotting.name_axes(ax, "a", "b")
    plotting.frontier(ax, Gaussian())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")


def test_nothing_supported_is_an_error(ax) -> None:
    with pytest.raises(ValueError, match="no supported point"):
        plotting.frontier(ax, _estimated([False] * 4))


def test_points_carry_names_and_intervals(ax) -> None:
    plotting.points(ax, [1, 2], [0.5, 0.6], ["N=2", "N=4"], low=[0.4, 0.5], high=[0.6, 0.7])
    assert [t.get_text() for t in ax.texts] == ["N=2", "N=4"]
    assert len(ax.containers) == 1


def test_text_colours_have_contrast_on_white() -> None:
    """WCAG AA asks for 4.5:1 of text; labels are written in the colour of their curve."""
    for color in (*plotting.CYCLE, plotting.BOUND):
        channel = np.array(mpl.colors.to_rgb(color))
        linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
        luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
        assert 1.05 / (luminance + 0.05) >= 4.5, color


def test_style_does_not_leak() -> None:
    before = dict(mpl.rcParams)
    fig, _ = plotting.new(rows=2)
    plt.close(fig)
    assert dict(mpl.rcParams) == before


def test_names_that_leave_the_axes_no_room_are_pointed_out() -> None:
    fig, ax = plotting.new()
    ax.set_yticks([0.5], ["x" * 36])
    with pytest.warns(UserWarning, match=r"The axes take \d+% of the figure's width only: shorten the legend"):
        fig.canvas.draw()
    ax.set_yticks([0.5], ["x" * 12])
    fig.canvas.draw()  # warnings are errors
    plt.close(fig)
