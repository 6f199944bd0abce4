"""The pictures of a training run: on the frontier or without a limit, beside others, and which checkpoint to keep."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alignlib import plotting
from alignlib._core.checks import FloatArray, require
from alignlib._core.safe_text import for_picture
from alignlib.training import TrainingLog
from alignlib.training.comparing import Comparison
from alignlib.training.envelope import Floor
from alignlib.training.picking import Pick
from alignlib.training.placing import Overlay

__all__ = ["draw_comparison", "draw_envelope", "draw_overlay", "pick_picture"]

_FAR = 2.5  # times the support, beyond which a run leaves the limit little room


def draw_overlay(found: Overlay, ax: Axes) -> Axes:
    """Draw the limit, best-of-N and the runs, gain against KL.

    Parameters
    ----------
    found : Overlay
        Runs beside their limit.
    ax : Axes
        Where to draw.
    """
    log, best, curve = found.log, found.rules, found.frontier
    furthest = float(log.ends[1][np.isfinite(log.ends[1])].max(initial=0.0))
    if found.own is not None:
        ax.plot([], [], color=plotting.BASE, linewidth=1.8, alpha=0.5, label="pale: the limit on a run's own prompts")
    elif furthest <= _FAR * curve.supported_end:
        plotting.frontier(ax, curve, "the limit", at=0.45 * curve.supported_end, offset=(-6, 8), ha="right", note=False)
    else:  # next to the axis there is no room for words
        plotting.frontier(ax, curve, None, note=False)
        ax.plot([], [], color=plotting.LIMIT, label="the limit")
    shown = best.optimises & (found.own is None) & (best.spent <= max(1.15 * curve.supported_end, furthest))
    names = [rule.label for rule, drawn in zip(best.rules, shown, strict=True) if drawn]
    plotting.points(ax, best.spent[shown], best.gain[shown], names, offset=(6, -5))
    colors = [plotting.THIRD, plotting.FOURTH, *plotting.CYCLE[4:]]
    for k, name in enumerate(log.runs):
        mine = log.run == name
        color = colors[k % len(colors)]
        if found.own is not None:
            one = found.own[name]
            plotting.curve(ax, one.spent, one.gain, color=color, label=None, linewidth=1.8, alpha=0.5)
        kl = _told(
            ax, log.keep(mine), found.gain[mine], color, max(furthest, min(curve.supported_end, curve.spent[-1]))
        )
        plotting.points(
            ax, kl, found.gain[mine], color=color, marker="s", low=found.gain_low[mine],
            high=found.gain_high[mine], linestyle="-", linewidth=1.0, markersize=4.0,
            label=for_picture(name) if len(log.runs) > 1 else "the run",
        )  # fmt: skip
    if found.own is None:
        ax.plot([], [], "o", color=plotting.BEST_OF_N, label=best.rules.name)
    plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return plotting.name_axes(ax, plotting.KL_LABEL, f"gain in {for_picture(found.measured_in)}")


def _told(ax: Axes, log: TrainingLog, height: FloatArray, color: str, end: float) -> FloatArray:
    """Return the KL of each checkpoint, NaN where only ends of it are known: a line between these is drawn instead."""
    low, high = log.ends
    for left, right, at in zip(low.tolist(), high.tolist(), height.tolist(), strict=True):
        if left < right:
            ax.plot([left, min(right, end)], [at, at], color=color, linewidth=1.5, alpha=0.7)
            if math.isinf(right):
                ax.plot([end], [at], ">", color=color, markersize=5)
    return np.where(low < high, np.nan, log.kl)


def draw_comparison(found: Comparison, ax: Axes) -> Axes:
    """Draw the runs beside the limit, or by their rewards without one, and the KLs at which they are compared.

    Parameters
    ----------
    found : Comparison
        Runs at equal KL.
    ax : Axes
        Where to draw.
    """
    if found.placed is not None:
        draw_overlay(found.placed, ax)
    else:
        log = found.log
        for k, name in enumerate(log.runs):
            mine = log.run == name
            color = plotting.CYCLE[k % len(plotting.CYCLE)]
            kl = _told(ax, log.keep(mine), log.reward[mine], color, float(log.kl.max()))
            ax.plot(
                kl, log.reward[mine], "s-", color=color, markersize=3.0,
                linewidth=0.8, label=for_picture(name),
            )  # fmt: skip
        plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
        plotting.name_axes(ax, plotting.KL_LABEL, for_picture(log.reward_name))
    for kl in found.kl:
        ax.axvline(kl, color=plotting.BASE, linewidth=0.8, linestyle=":")
    return ax


def draw_envelope(found: Floor, ax: Axes) -> Axes:
    """Draw the checkpoints and their concave envelope, reward against KL.

    Parameters
    ----------
    found : Floor
        A log without samples of its base.
    ax : Axes
        Where to draw.

    Raises
    ------
    InputError
        For a log that bounds no KL, which has no envelope.
    """
    log, envelope = found.log, found.envelope
    require(envelope is not None, "found must have an envelope to draw; its log bounds no KL.", "found")
    assert envelope is not None
    kl = _told(ax, log, log.reward, plotting.BOUND, float(envelope.kl[-1]))
    ax.plot(kl, log.reward, "o", color=plotting.BOUND, markersize=3, label="checkpoints")
    plotting.curve(ax, envelope.kl, envelope.reward, color=plotting.THIRD, label=None)
    ax.plot([], [], color=plotting.THIRD, label="a floor of the limit")
    plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return plotting.name_axes(ax, plotting.KL_LABEL, for_picture(log.reward_name))


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
