"""What the chapters on trained policies show of costs: draws in training against draws for every query."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alignlib.lm.experiment.comparison import Comparison
from alignlib.lm.experiment.costs import break_even, equal_draws
from alignlib.lm.experiment.standings import Standings
from alignlib.lm.methods import RESPONSES, find

__all__ = ["costs", "costs_in_tokens", "equal_draws_table", "once", "tokens_of_training"]

_DRAWS = (2.0, 4.0, 8.0, 16.0)


def equal_draws_table(test: Standings) -> pd.DataFrame:
    """Gain and KL of three ways to use the same mean number of draws a query without training."""
    found = equal_draws(test.curves.law, _DRAWS)
    rows = {
        f"{n:.0f}": {name: f"{curve.gain[k]:.2f} ({curve.kl[k]:.2f})" for name, curve in found.items()}
        for k, n in enumerate(_DRAWS)
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "draws a query"
    return table


def _there(test: Standings, methods: tuple[str, ...], steps: int) -> dict[str, Comparison]:
    found = {name: test.compare(name, find(name).middle, steps) for name in methods}
    return {name: one for name, one in found.items() if one is not None}


def costs(test: Standings, methods: tuple[str, ...], steps: int) -> str:
    """From how many queries on training is cheaper in responses drawn, a clause for each method."""
    parts = []
    for name, found in _there(test, methods, steps).items():
        cost = break_even(test.curves, found, steps * RESPONSES)
        text = (
            "no $N$ gains as much"
            if np.isinf(cost.draws)
            else (
                f"best-of-$N$ needs {cost.draws:.1f} draws a query for the same reward, so training pays from "
                f"{cost.queries:,.0f} queries on"
            )
        )
        parts.append(f"{find(name).label}: {text}")
    return "; ".join(parts) or "not trained yet"


def _lengths(test: Standings, name: str, steps: int) -> tuple[list[int], list[float]]:
    """Mean tokens of a response at the start, which is the base's, and after each length of training up to this."""
    at = [n for n in test.lengths() if n <= steps and not test.rows(name, find(name).middle, n).empty]
    base = float(test.results.settings["base_length"][test.task])
    return [0, *at], [base, *(float(test.rows(name, find(name).middle, n).length.mean()) for n in at)]


def tokens_of_training(test: Standings, name: str, steps: int) -> float:
    """About how many tokens a method drew in training: the mean length is interpolated between lengths of training."""
    at, length = _lengths(test, name, steps)
    return float(RESPONSES * np.trapezoid(length, at))


def costs_in_tokens(test: Standings, methods: tuple[str, ...], steps: int) -> str:
    """The same in tokens: about how many training draws, and from how many queries on it is cheaper."""
    parts = []
    for name, found in _there(test, methods, steps).items():
        _, length = _lengths(test, name, steps)
        spent = tokens_of_training(test, name, steps)
        cost = break_even(test.curves, found, spent, of_base=length[0], of_policy=length[-1])
        pays = "" if np.isinf(cost.draws) else f", which pays from {cost.queries:,.0f} queries on"
        drawn = f"{spent / 1000:,.0f} thousand tokens ({length[-1]:.1f} a response in the end)"
        parts.append(f"{find(name).label} {drawn}{pays}")
    return "; ".join(parts) or "not trained yet"


def once(test: Standings, methods: tuple[str, ...], steps: int) -> str:
    """Gain and KL of methods, which draw one response a query."""
    found = _there(test, methods, steps)
    return ", ".join(f"{find(name).label} {one.gain.mean:.2f} ({one.kl.mean:.2f})" for name, one in found.items())
