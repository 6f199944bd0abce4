"""The picture that goes with an answer on a proxy: gold as it is optimised, as far as the samples tell."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from alignlib import plotting
from alignlib._core.text import for_picture
from alignlib.answers.answer import Answer
from alignlib.answers.hacking import HackingAnswer
from alignlib.hacking.proxy_estimation import OverOptimisationEstimate

__all__ = ["gold_caption", "gold_picture"]

_LOOKS = {"n": (plotting.BEST_OF_N, "best-of-N", "N", "o"), "lam": (plotting.LIMIT, "tilting by λ", "λ", "s")}


def gold_picture(ax: Axes, answer: Answer, hacking: HackingAnswer | None) -> Axes:
    """Draw gold gain against KL along N and along λ, supported parts only, with the most gold on each.

    Without a gold reward, what best-of-N gains of the reward itself.
    """
    if hacking is None:
        best = answer.best_of_n
        plotting.points(ax, best.kl, best.gain, low=best.gain_low, high=best.gain_high, linestyle="-", linewidth=1.2)
        return plotting.name_axes(ax, plotting.KL_LABEL, f"gain in {for_picture(answer.measured_in)} of best-of-N")
    for found in (hacking.along_lam, hacking.along_n):
        if found is not None:
            _path(ax, found)
    ax.axhline(0.0, color=plotting.BASE, linewidth=1, linestyle=":")
    plotting.name_axes(ax, plotting.KL_LABEL, f"gain in {for_picture(hacking.gold)} over the base model")
    return plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0))


def _path(ax: Axes, found: OverOptimisationEstimate) -> None:
    color, name, symbol, marker = _LOOKS[found.path]
    known = found.supported
    ax.fill_between(
        found.kl[known], found.gold_low[known], found.gold_high[known], color=color, alpha=0.18, linewidth=0
    )
    if found.path == "n":  # between whole N there is no policy to draw
        ax.plot(found.kl[known], found.gold_gain[known], ".", color=color)
    stop = found.hedge
    ax.plot(
        found.kl[known],
        found.gold_gain[known],
        color=color,
        label=f"{name}: most gold at {symbol} = {stop.parameter:.3g}",
    )
    ax.plot(stop.kl, stop.gold_gain, marker, color=color, markersize=9, markerfacecolor="white", markeredgewidth=2)


def gold_caption(answer: Answer, hacking: HackingAnswer | None) -> str:
    """Return the picture's caption, without its full stop."""
    if hacking is None:
        return (
            f"No gold reward is named: what best-of-N gains of {answer.measured_in}, with {answer.best_of_n.level:.0%} "
            "intervals"
        )
    paths = [found for found in (hacking.along_n, hacking.along_lam) if found is not None]
    ends = " and ".join(
        f"{float(np.max(found.kl[found.supported])):.2f} nats along {_LOOKS[found.path][2]}" for found in paths
    )
    how = "by best-of-N and by tilting" if len(paths) > 1 else "by best-of-N"
    return (
        f"{hacking.gold} as {hacking.proxy} is optimised, {how}, with {hacking.along_n.level:.0%} bands, as far as the "
        f"samples support it ({ends}); large markers: most gold by the estimate, how surely is said below"
    )
