"""The picture of a pick: gold of the checkpoints along KL, what base samples predict, and which one is kept."""

from __future__ import annotations

from matplotlib.figure import Figure

from alignlib import plotting
from alignlib._core.safe_text import for_picture
from alignlib.training.picking import Pick

__all__ = ["pick_picture"]


def pick_picture(found: Pick) -> Figure:
    """Draw measured gold along KL with the checkpoint kept, and where there is one the prediction beside it.

    Parameters
    ----------
    found : Pick
        The checkpoint to keep.
    """
    fig, ax = plotting.new()
    start, name = 0.0, "gold"
    predicted = found.predicted
    if predicted is not None:
        start, name = predicted.base_gold, for_picture(predicted.gold)
        for curve, color, label in (
            (predicted.along_lam, plotting.LIMIT, "optimum, predicted"),
            (predicted.along_n, plotting.BEST_OF_N, "best-of-N, predicted"),
        ):
            if curve is None:
                continue
            known = curve.supported
            ax.plot(curve.spent[known], start + curve.gold_gain[known], color=color, label=label)
            ax.fill_between(
                curve.spent[known], start + curve.gold_low[known], start + curve.gold_high[known], color=color,
                alpha=0.18, linewidth=0,
            )  # fmt: skip
    values, along = found.gold, found.kl if found.kl_low is None else found.step  # a KL with ends only has no place
    if values is None:
        assert predicted is not None
        values = start + predicted.tilted
    else:
        ax.plot(along, values, "s", color=plotting.THIRD, markersize=4, label="measured")
    i = found.chosen
    ax.plot(
        along[i], values[i], "o", color=plotting.FOURTH, markersize=11, markerfacecolor="none", markeredgewidth=2,
        label=f"keep step {found.step[i]:g}",
    )  # fmt: skip
    if found.turn is not None and found.turn.said_at is not None:
        ax.axvline(along[found.turn.said_at], color=plotting.BASE, linestyle=":", label="gold has fallen")
    plotting.name_axes(ax, plotting.KL_LABEL if found.kl_low is None else "step of training", name)
    plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return fig
