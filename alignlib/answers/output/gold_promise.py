"""What a proxy promises of gold, as lines, as JSON and as points of a CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib.answers.output.render import Row, bounds, by_point, interval_name, listed

if TYPE_CHECKING:  # a table without gold starts without the room
    from alignlib.answers.gold_promise import PromiseAnswer
    from alignlib.hacking import GoldPromise

__all__ = ["answer_line", "lines", "points", "record"]

_POLICY = (
    "policy", "n", "lam", "spent", "chi_squared", "proxy_gain", "gold_low", "gold_high", "promised", "most",
)  # fmt: skip
_SUBSET = ("correlation", "low", "high", "gold_sd", "slope", "rows", "prompts", "notes")


def record(found: PromiseAnswer) -> dict[str, Any]:
    """Return the numbers for JSON.

    Parameters
    ----------
    found : PromiseAnswer
        The answer.
    """
    promise = found.promise
    return {
        **listed(promise, ("proxy", "correlation", "correlation_low", "correlation_high")),
        "level": found.level,
        "notes": list(promise.notes),
        "gold_table": None if found.subset is None else listed(found.subset, _SUBSET),
        "best": promise.policy[promise.best] if promise.policy else None,
        "policies": _policies(promise),
    }


def points(found: PromiseAnswer) -> list[dict[str, Any]]:
    """Return one row per policy; gains are in standard deviations of gold.

    Parameters
    ----------
    found : PromiseAnswer
        The answer.
    """
    return [
        {
            "what": "promise",
            "picked_by": found.promise.proxy,
            "measured_in": "gold, in standard deviations",
            "rule": row["policy"],
            "n": row["n"],
            "lam": row["lam"],
            "spent": row["spent"],
            "gain_low": row["promised"],
            "gain_high": row["most"],
        }
        for row in _policies(found.promise)
    ]


def _policies(promise: GoldPromise) -> list[dict[str, Any]]:
    return by_point({name: getattr(promise, name) for name in _POLICY}, len(promise.policy))


def lines(found: PromiseAnswer) -> list[str]:
    """Return the answer as text.

    Parameters
    ----------
    found : PromiseAnswer
        The answer.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.answers.gold_promise import promise_answer
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((60, 16)), n_boot=100)
    >>> lines(promise_answer(fit, 0.7))[0]
    "Gold of which a correlation of 0.7 with 'reward' within prompts is known"
    """
    promise, subset = found.promise, found.subset
    span = (
        ""
        if promise.correlation_low == promise.correlation_high
        else (f" ({promise.correlation_low:.3g} to {promise.correlation_high:.3g})")
    )
    said = [
        f"Gold of which a correlation of {promise.correlation:.3g}{span} with {promise.proxy!r} within prompts is known"
    ]
    if subset is not None:
        said += list(subset.notes)
        said.append(
            f"Measured on {counted(subset.rows, 'row')} of gold, {counted(subset.prompts, 'prompt')}; gold has a "
            f"standard deviation of {subset.gold_sd:.4g} within prompts."
        )
    said += promise.notes
    if not promise.policy:
        return [*said, answer_line(found)]
    width = max(len("policy"), *map(len, promise.policy))
    heads = f"{'policy':<{width}}  {'KL':>7} {'χ²':>8} {'proxy gain':>10}  {'gold gain':<18} {'with all errors'}"
    said.append(heads)
    for i, name in enumerate(promise.policy):
        exact = bounds(round(float(promise.gold_low[i]), 3), round(float(promise.gold_high[i]), 3))
        sure = bounds(round(float(promise.promised[i]), 3), round(float(promise.most[i]), 3))
        said.append(
            Row(
                f"{name:<{width}}  {promise.spent[i]:>7.3g} {promise.chi_squared[i]:>8.3g} "
                f"{promise.proxy_gain[i]:>z10.3f}  {exact:<18} {sure}"
            )
        )
    said.append(
        "Gains are in standard deviations within prompts, of the proxy and of gold. Some gold with this correlation is "
        "at either end of 'gold gain': no more can be promised without more of it."
    )
    return [*said, answer_line(found)]


def answer_line(found: PromiseAnswer) -> str:
    """Return the sentence that answers: which policy promises the most gold, and how much.

    Parameters
    ----------
    found : PromiseAnswer
        The answer.
    """
    promise = found.promise
    if not promise.policy:
        return "No rule and no KL budget asked for is supported by the samples, so nothing is promised of gold."
    best = promise.best
    confidence = interval_name(found.level).removesuffix(" interval")
    sure = f"with {confidence} confidence, unless the proxy's tail is heavier than exponential"
    if promise.promised[best] <= 0.0:
        return (
            f"No policy shown is promised to gain gold ({sure}); the least bad, {promise.policy[best]}, gains between "
            f"{promise.promised[best]:.3g} and {promise.most[best]:.3g} standard deviations. Have more rows judged, or "
            "find a proxy that correlates better."
        )
    return (
        f"{promise.policy[best][:1].upper()}{promise.policy[best][1:]} promises the most: at least "
        f"{promise.promised[best]:.3g} standard deviations of gold ({sure}), and at most {promise.most[best]:.3g}."
    )


guard(globals())
