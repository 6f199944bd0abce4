"""Which rate each method takes, from its trials."""

from __future__ import annotations

from collections.abc import Iterable

from alignlib.lm.methods import find

__all__ = ["best_rates"]


def best_rates(trials: Iterable[tuple[str, str, float, float, float]]) -> dict[tuple[str, str], float]:
    """Return each method's rate on each reward with the largest ``reward - β·KL`` on validation prompts.

    The penalty is that of RLOO's middle knob for all, because GRPO's own is in other units.

    Parameters
    ----------
    trials : iterable
        What was paid, method, rate, reward reached and KL in nats of each.

    Examples
    --------
    >>> tried = [("ppo", 1e-3, 0.9, 0.5), ("ppo", 3e-3, 1.1, 0.9), ("dpo", 1e-4, 0.1, 0.0)]
    >>> best_rates([("sentiment", *one) for one in tried])
    {('sentiment', 'ppo'): 0.001, ('sentiment', 'dpo'): 0.0001}
    """
    beta = find("rloo").middle
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for paid, method, rate, reward, kl in trials:
        best[paid, method] = max(best.get((paid, method), (-float("inf"), 0.0)), (reward - beta * kl, rate))
    return {which: rate for which, (_, rate) in best.items()}
