"""The pictures that go with an answer: the limit, gold as a proxy is optimised, pass@k; `run_pictures` draws runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alignlib import plotting
from alignlib._core.doors import guard
from alignlib._core.files import whole_file
from alignlib._core.safe_text import for_picture
from alignlib.answers.answer import Answer
from alignlib.answers.findings import Findings
from alignlib.answers.gold_promise import PromiseAnswer
from alignlib.answers.hacking import HackingAnswer
from alignlib.answers.run_pictures import draw_comparison, draw_envelope, draw_overlay
from alignlib.estimation import GoldEstimate
from alignlib.laws import Uniform
from alignlib.pass_at_k import PassEstimate
from alignlib.training.comparing import Comparison
from alignlib.training.envelope import Floor
from alignlib.training.placing import Overlay

__all__ = [
    "draw_pass_at_k",
    "gold_caption",
    "gold_picture",
    "limit_picture",
    "picture_of",
    "save",
]

_LOOKS = {False: (plotting.BEST_OF_N, "o"), True: (plotting.LIMIT, "s")}  # a rule, the tilt


def gold_picture(ax: Axes, answer: Answer, hacking: HackingAnswer | None, promise: PromiseAnswer | None = None) -> Axes:
    """Draw gold gain against KL along N and along λ, supported parts only, with the most gold on each.

    Where only a correlation with gold is known, what that promises of each policy; without a gold reward, what
    best-of-N gains of the reward itself.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    answer : Answer
        What is known of the proxy itself.
    hacking : HackingAnswer, optional
        What the table says of gold, where it has that column.
    promise : PromiseAnswer, optional
        What a correlation with gold promises.

    Examples
    --------
    >>> from alignlib.answers.findings import ask
    >>> found = ask({"reward": np.random.default_rng(0).standard_normal((30, 16))}, "reward", n_boot=100)
    >>> fig, ax = plotting.new()
    >>> gold_picture(ax, found.counted, None).get_ylabel()
    'gain in reward of best-of-N'
    """
    if promise is not None and promise.promise.policy:
        return _promised(ax, promise)
    if hacking is None:
        best = answer.rules
        plotting.points(ax, best.spent, best.gain, low=best.gain_low, high=best.gain_high, linestyle="-", linewidth=1.2)
        return plotting.name_axes(ax, plotting.KL_LABEL, _gain_of(answer))
    for found in (hacking.along_lam, hacking.along_n):
        if found is not None:
            _path(ax, found)
    ax.axhline(0.0, color=plotting.BASE, linewidth=1, linestyle=":", label="_nothing gained")
    plotting.name_axes(ax, plotting.KL_LABEL, f"gain in {for_picture(hacking.gold)} over the base model")
    return plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0))


def _promised(ax: Axes, found: PromiseAnswer) -> Axes:
    """Bars from the least to the most that gold can gain, a row for each policy; thick: no errors of estimation."""
    one = found.promise
    rows = np.arange(len(one.policy))[::-1]
    for low, high, width, label in (
        (one.promised, one.most, 2.0, f"with {found.level:.0%} confidence"),
        (one.gold_low, one.gold_high, 6.0, "by the correlation alone"),
    ):
        ax.hlines(rows, low, high, color=plotting.LIMIT, linewidth=width, alpha=0.5, label=label)
    ax.set_yticks(rows, [for_picture(name) for name in one.policy], fontsize=8)
    ax.axvline(0.0, color=plotting.BASE, linewidth=1, linestyle=":")
    plotting.name_axes(ax, "gold gain, in standard deviations of gold", "")
    return plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)


def _gain_of(answer: Answer) -> str:
    return f"gain in {for_picture(answer.measured_in)} of {answer.rules.rules.name}"


def _path(ax: Axes, found: GoldEstimate) -> None:
    color, marker = _LOOKS[found.tilts]
    known = found.supported
    ax.fill_between(
        found.spent[known], found.gold_low[known], found.gold_high[known], color=color, alpha=0.18, linewidth=0
    )
    if not found.tilts:  # between whole N there is no policy to draw
        ax.plot(found.spent[known], found.gold_gain[known], ".", color=color)
    stop = found.hedge
    ax.plot(
        found.spent[known],
        found.gold_gain[known],
        color=color,
        label=f"{found.name}: most gold at {found.symbol} = {stop.parameter:.3g}",
    )
    ax.plot(stop.spent, stop.gold_gain, marker, color=color, markersize=9, markerfacecolor="white", markeredgewidth=2)


def gold_caption(answer: Answer, hacking: HackingAnswer | None, promise: PromiseAnswer | None = None) -> str:
    """Return the picture's caption, without its full stop.

    Parameters
    ----------
    answer : Answer
        What is known of the proxy itself.
    hacking : HackingAnswer, optional
        What the table says of gold, where it has that column.
    promise : PromiseAnswer, optional
        What a correlation with gold promises.

    Examples
    --------
    >>> from alignlib.answers.findings import ask
    >>> found = ask({"reward": np.random.default_rng(0).standard_normal((30, 16))}, "reward", n_boot=100)
    >>> print(gold_caption(found.counted, None))
    No gold reward is named: what best-of-N gains of reward, with 95% intervals
    """
    if promise is not None and promise.promise.policy:
        return (
            f"What a correlation of {promise.promise.correlation:.3g} with {promise.promise.proxy} promises of gold, "
            "policy by policy: from the least to the most that gold of this correlation can gain (thick), and with the "
            f"errors of estimation, {promise.level:.0%} confidence (thin)"
        )
    if hacking is None:
        return (
            f"No gold reward is named: what {answer.rules.rules.name} gains of {answer.measured_in}, with "
            f"{answer.rules.level:.0%} intervals"
        )
    paths = [found for found in (hacking.along_n, hacking.along_lam) if found is not None]
    ends = " and ".join(
        f"{float(np.max(found.spent[found.supported])):z.2f} nats along {found.symbol}" for found in paths
    )
    how = f"by {hacking.along_n.name}" + (" and by tilting" if len(paths) > 1 else "")
    return (
        f"{hacking.gold} as {hacking.proxy} is optimised, {how}, with {hacking.along_n.level:.0%} bands, as far as the "
        f"samples support it ({ends}); large markers: most gold by the estimate, how surely is said below"
    )


def limit_picture(found: Findings) -> Figure:
    """Return the picture of an answer: the limit with its interval as far as it is supported, and the rules.

    For win rates the curve without ties, which is known exactly, stands beside them.

    Parameters
    ----------
    found : Findings
        The answers on one table.
    """
    answer, curve = found.counted, found.curve
    fig, ax = plotting.new()
    best = answer.rules
    shift = 0.5 if answer.win_rate else 0.0
    shown = best.optimises & np.isfinite(best.spent)
    if curve is not None:
        reach = float(curve.spent[-1])
        shown &= best.spent <= 1.15 * reach
        ax.fill_between(
            curve.spent, curve.gain_low + shift, curve.gain_high + shift, color=plotting.LIMIT, alpha=0.18, linewidth=0
        )
        plotting.curve(ax, curve.spent, curve.gain + shift, None, color=plotting.LIMIT)
        ax.plot([], [], color=plotting.LIMIT, label="the limit")
        if answer.win_rate and answer.tied_pairs:
            free = Uniform().frontier(np.linspace(0.0, 1.0, 20) ** 2 * reach, answer.divergence)
            ax.plot(free.spent, free.gain + shift, color=plotting.BOUND, linestyle="--", label="without ties")
    names = [rule.label for rule, drawn in zip(best.rules, shown, strict=True) if drawn]
    plotting.points(
        ax, best.spent[shown], best.gain[shown] + shift, names, low=best.gain_low[shown] + shift,
        high=best.gain_high[shown] + shift, offset=(6, -5),
    )  # fmt: skip
    ax.plot([], [], "o", color=plotting.BEST_OF_N, label=best.rules.name)
    plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    what = "win rate over the base model" if answer.win_rate else f"gain in {for_picture(answer.measured_in)}"
    plotting.name_axes(ax, answer.divergence.label, what)
    return fig


def draw_pass_at_k(found: PassEstimate, ax: Axes) -> Axes:
    """Draw pass@k, pass^k and what else was asked for against k, each with its interval.

    Parameters
    ----------
    found : PassEstimate
        The answer.
    ax : Axes
        Where to draw.

    Examples
    --------
    >>> from alignlib.pass_at_k import estimate_pass_at_k
    >>> from alignlib.tables import AnswerTable
    >>> fig, ax = plotting.new()
    >>> ax = draw_pass_at_k(estimate_pass_at_k(AnswerTable.from_arrays([[1, 0, 0, 0], [1, 1, 1, 0]]), [1, 2, 4]), ax)
    >>> ax.get_xlabel(), len(ax.lines)
    ('responses k', 2)
    """
    shown = {
        "pass@k": (found.some, plotting.LIMIT, "o", "-"),
        "pass^k": (found.every, plotting.BOUND, "v", ":"),
        "majority vote": (found.majority, plotting.THIRD, "s", "--"),
        "verifier's pick": (found.picked, plotting.BEST_OF_N, "D", "-."),
    }
    for name, (one, color, marker, style) in shown.items():
        if one is not None:
            ax.fill_between(
                found.k, one.low, one.high, color=color, alpha=0.15, linewidth=0, label=f"_{name}: interval"
            )
            ax.plot(found.k, one.value, color=color, marker=marker, linestyle=style, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(found.k, [f"{k}" for k in found.k])
    ax.minorticks_off()
    ax.set_ylim(-0.02, 1.02)
    plotting.name_axes(ax, "responses k", "share of prompts")
    return plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)


def picture_of(found: Overlay | Floor | Comparison | Mapping[str, Comparison] | PassEstimate) -> Figure:
    """Return the picture of a run or several, with their limit or without one, or of pass@k.

    Parameters
    ----------
    found : Overlay, Floor, Comparison or PassEstimate
        The answer.

    Examples
    --------
    >>> from alignlib.pass_at_k import estimate_pass_at_k
    >>> from alignlib.tables import AnswerTable
    >>> fig = picture_of(estimate_pass_at_k(AnswerTable.from_arrays([[1, 0, 0, 0], [1, 1, 1, 0]]), [1, 2, 4]))
    >>> fig.axes[0].get_ylabel()
    'share of prompts'
    """
    if isinstance(found, Mapping):
        fig, axes = plotting.new(rows=len(found), squeeze=False)
        for (split, part), ax in zip(found.items(), axes[:, 0], strict=True):
            draw_comparison(part, ax)
            ax.set_ylabel(f"{ax.get_ylabel()}, {for_picture(split)}")
        return fig
    fig, ax = plotting.new()
    if isinstance(found, Comparison):
        draw_comparison(found, ax)
    elif isinstance(found, PassEstimate):
        draw_pass_at_k(found, ax)
    elif isinstance(found, Overlay):
        draw_overlay(found, ax)
    else:
        draw_envelope(found, ax)
    return fig


def save(fig: Figure, path: Path, *, replace: bool = True) -> None:
    """Write a picture (.png, .svg or .pdf) whole or not at all; the text of an .svg and a .pdf is text.

    Parameters
    ----------
    fig : Figure
        What is saved.
    path : Path
        The file, whose extension says in what form.
    replace : bool
        Whether a file that is there may be replaced.
    """
    kind = path.suffix.lower().lstrip(".")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with (
        mpl.rc_context({"svg.hashsalt": "alignlib", "svg.fonttype": "none"}),  # the same picture, the same bytes
        whole_file(path, replace=replace) as file,
    ):
        fig.savefig(file, format=kind, metadata=undated.get(kind, {}))


guard(globals())
