"""Which rate each method takes, from its trials."""

from __future__ import annotations

from collections.abc import Iterable

from alignlib.lm.methods import find

__all__ = ["best_rates"]


def best_rates(trials: Iterable[tuple[str, float, float, float]]) -> dict[str, float]:
    """Return each method's rate with the largest ``reward - β·KL`` on validation prompts.

    The penalty is that of RLOO's middle knob for all, because GRPO's own is in other units.

    Parameters
    ----------
    trials : iterable
        Method, rate, reward and KL in nats of each.

    Examples
    --------
    >>> best_rates([("ppo", 1e-3, 0.9, 0.5), ("ppo", 3e-3, 1.1, 0.9), ("dpo", 1e-4, 0.1, 0.0)])
    {'ppo': 0.001, 'dpo': 0.0001}
    """
    beta = find("rloo").middle
    best: dict[str, tuple[float, float]] = {}
    for method, rate, reward, kl in trials:
        best[method] = max(best.get(method, (-float("inf"), 0.0)), (reward - beta * kl, rate))
    return {method: rate for method, (_, rate) in best.items()}
