"""What can be promised of a gold reward that is known on few rows only, or of which only a correlation is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt

from alignlib.estimation import Fit
from alignlib.hacking import GoldPromise, GoldSubset, promise_gold
from alignlib.rules import Rule

__all__ = ["PromiseAnswer", "half_error", "promise_answer"]


@dataclass(frozen=True)
class PromiseAnswer:
    """The promise, the rows of gold that the correlation is from (None where it was given), and the level of both."""

    promise: GoldPromise
    subset: GoldSubset | None
    level: float


def half_error(level: float) -> float:
    """Return the level at which two intervals together have at most the error of one at ``level``.

    >>> half_error(0.95)
    0.975
    """
    return 0.5 * (1.0 + level)


def promise_answer(
    fit: Fit,
    correlation: float | Sequence[float] | GoldSubset,
    *,
    rules: Sequence[Rule] | None = None,
    kl: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> PromiseAnswer:
    """Say what a fitted proxy promises of gold, given a correlation or measured on few rows.

    Parameters
    ----------
    fit : Fit
        Of the proxy.
    correlation : float, (value, low, high) or GoldSubset
        What is known of gold; a `GoldSubset` is to be measured at ``half_error(level)``.
    rules, kl
        As for `promise_gold`.
    level : float
        How sure the promise is of all that is estimated.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((60, 16)), n_boot=100)
    >>> promise_answer(fit, 0.7).promise.policy[:2]
    ('best-of-2', 'best-of-4')
    """
    known = isinstance(correlation, GoldSubset)
    given = correlation.range if isinstance(correlation, GoldSubset) else correlation
    promise = promise_gold(fit, given, rules=rules, kl=kl, level=half_error(level) if known else level)
    return PromiseAnswer(promise, correlation if isinstance(correlation, GoldSubset) else None, level)
