"""What a wished KL would take: about how many samples of each prompt, and of how many prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import as_number
from alignlib.estimation.fit import Fit
from alignlib.estimation.support import known_kl

__all__ = ["Wanted", "samples_wanted"]

_MOST_LOG = 300.0  # of a number of samples
_FEWEST_PROMPTS = 8
_FEWEST_SAMPLES = 4.0  # three support hardly any budget


@dataclass(frozen=True)
class Wanted:
    """How many samples would support a budget.

    Attributes
    ----------
    kl : float
        The budget in nats.
    samples : float
        About how many of each prompt it takes.
    prompts : int
        And at least so many prompts.
    rule : str
        Title of the rule that spends it, where its share of the limit is what is wanted.
    """

    kl: float
    samples: float
    prompts: int
    rule: str = ""


def samples_wanted(fit: Fit, kl: float, *, rule: str = "", draws: float = 0.0) -> Wanted:
    """Say how many samples a KL budget, or the share of a rule that spends it, would take.

    The support grows with the KL that n samples of a prompt show, a quarter of ``log n`` and less for very few, so that
    each further nat multiplies the samples: ``n^(kl/end)`` where n is large. Where none is supported, prompts of alike
    rewards are assumed.

    Parameters
    ----------
    fit : Fit
        Of the samples at hand.
    kl : float
        The KL budget in nats, > 0.
    rule : str
        Title of the rule that spends it, if one does.
    draws : float
        Samples of a prompt that the rule needs in any case.

    Raises
    ------
    InputError
        If ``kl`` is not positive.

    Examples
    --------
    >>> from alignlib.estimation.fitting import fit_frontier
    >>> rows = np.random.default_rng(0).standard_normal((100, 64))
    >>> fit = fit_frontier(rows, n_boot=100)
    >>> samples_wanted(fit, 2.0 * fit.supported_end).samples
    4100.0
    """
    kl = as_number("kl", kl, 0.0, open_low=True)
    sizes, counts = np.unique(fit.table.n_samples, return_counts=True)
    shown = float(counts @ [known_kl(max(int(n), 3)) for n in sizes]) / fit.table.n_prompts
    end = fit.supported_end
    number = max(_samples_that_show(kl * shown / end if 0.0 < end < math.inf else kl), _FEWEST_SAMPLES, draws)
    return Wanted(kl, _two_digits(number), max(_FEWEST_PROMPTS, fit.table.n_prompts), rule)


def _samples_that_show(kl: float) -> float:
    """Return the least number of samples of a prompt that show ``kl`` nats."""
    low, high = math.log(_FEWEST_SAMPLES - 1.0), _MOST_LOG
    if known_kl(math.exp(high)) < kl:
        return math.inf
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if known_kl(math.exp(middle)) < kl else (low, middle)
    return math.exp(high)


def _two_digits(value: float) -> float:
    if not math.isfinite(value):
        return value
    unit = 10.0 ** max(math.floor(math.log10(value)) - 1, 0)
    return math.ceil(value / unit) * unit
