"""A method against the limit, and against best-of-N at the same KL, with intervals over prompts and seeds.

With ``Δ`` a policy's KL, ``g`` its gain and ``G`` the frontier of an average budget: the *share* is ``g / G(Δ)``; the
*wasted KL* ``Δ - G⁻¹(g)`` is also its distance to the nearest optimum, ``min_λ KL(φ‖π_λ)``. Best-of-N is asked at the
same ``Δ`` (for real N), so a difference to it is one of gain, of share or of wasted KL, and all have one sign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_rng, require
from alignlib.lm.experiment.curves import Curves, Weighed
from alignlib.lm.experiment.results import PerPrompt

__all__ = ["MEASURES", "Comparison", "Interval", "compare"]

MEASURES = ("kl", "gain", "share", "best_share", "over_gain", "over_share", "wasted", "best_wasted", "over_wasted")


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval.

    Attributes
    ----------
    mean : float
        The mean.
    low, high : float
        Ends of its 95 % interval.

    Examples
    --------
    >>> Interval(0.2, 0.1, 0.3).side, Interval(0.2, -0.1, 0.5).side
    (1, 0)
    """

    mean: float
    low: float
    high: float

    @property
    def side(self) -> int:
        """1 if the interval lies above zero, -1 if below, else 0."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


@dataclass(frozen=True)
class Comparison:
    """One setting of a method, averaged over seeds, against best-of-N at the same KL on the same prompts.

    Attributes
    ----------
    kl : Interval
        KL to the base in nats.
    gain : Interval
        Mean reward above the base's.
    share, best_share, over_share : Interval
        The part of the limit: the method's, best-of-N's, the paired difference.
    over_gain : Interval
        Gain of the method less that of best-of-N.
    wasted, best_wasted, over_wasted : Interval
        Nats that buy nothing: the method's, best-of-N's, the paired difference.
    n_seeds : int
        Runs that were averaged.

    Examples
    --------
    >>> from alignlib.lm.level_law import LevelLaw
    >>> law = LevelLaw(np.zeros(2, dtype=np.int64), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    >>> found = compare(Curves(law), PerPrompt(np.array([[0.2]]), np.array([[0.7]])), resamples=20)
    >>> round(found.gain.mean, 6), 0.0 < found.share.mean < 1.0, found.n_seeds
    (0.2, True, 1)
    """

    kl: Interval
    gain: Interval
    share: Interval
    best_share: Interval
    over_gain: Interval
    over_share: Interval
    wasted: Interval
    best_wasted: Interval
    over_wasted: Interval
    n_seeds: int


def compare(
    curves: Curves | Sequence[Curves], found: PerPrompt, *, resamples: int = 400, rng: np.random.Generator | int = 0
) -> Comparison:
    """Compare a setting's runs with limit and best-of-N, with intervals by bootstrap over prompts and seeds.

    Prompts and seeds are drawn anew independently of one another, so that an interval says what other prompts *and*
    other seeds would have given; limit and best-of-N are recomputed on the prompts drawn.

    Parameters
    ----------
    curves : Curves, or one for each run
        Limit and best-of-N on the prompts; each run may have as many prompts of its own.
    found : PerPrompt
        KL and reward of each run (a seed each) on each prompt.
    resamples : int
        Bootstrap samples, at least 20.
    rng : Generator or int
        Source of the bootstrap, or its seed.

    Raises
    ------
    InputError
        If the shapes do not fit, or a policy lies above the limit by more than rounding.
    """
    n_seeds, n = found.kl.shape
    shared = isinstance(curves, Curves)
    each = [curves] * n_seeds if isinstance(curves, Curves) else list(curves)
    require(len(each) == n_seeds, f"curves must be one for each of {n_seeds} runs; got {len(each)}.")
    for one in each:
        require(
            n == len(one.limit_kl), f"found must be on the {len(one.limit_kl)} prompts of the curves; it is on {n}."
        )
    require(resamples >= 20, f"resamples must be at least 20; got {resamples}.")
    gain = found.reward - np.stack([one.base_reward for one in each])
    rows: list[tuple[Curves, slice | list[int]]] = (
        [(each[0], slice(None))] if shared else [(c, [k]) for k, c in enumerate(each)]
    )

    def measured(draw: Callable[[], FloatArray]) -> dict[str, FloatArray]:
        """Every run's measures, with prompts weighed as drawn, once for all runs on the same prompts."""
        parts = []
        for one, at in rows:
            weights = draw()
            parts.append(_measures(one.weighed(weights), found.kl[at] @ weights, gain[at] @ weights))
        return {name: np.concatenate([part[name] for part in parts]) for name in MEASURES}

    centre = measured(lambda: np.full(n, 1.0 / n))
    most = float(np.mean([one.limit_gain[:, -1].mean() for one in each]))
    require(
        bool((centre["share"] <= 1.0 + 1e-4).all() or (centre["gain"] <= 1e-4 * most).all()),
        f"gain must not exceed the limit at its KL; the largest share is {float(centre['share'].max()):.6g}.",
    )
    generator = as_rng(rng)
    drawn = np.empty((resamples, len(MEASURES)))
    for row in range(resamples):
        measures = measured(lambda: np.bincount(generator.integers(n, size=n), minlength=n) / n)
        seeds = generator.integers(n_seeds, size=n_seeds)
        drawn[row] = [measures[name][seeds].mean() for name in MEASURES]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    intervals = {
        name: Interval(float(centre[name].mean()), float(low[k]), float(high[k])) for k, name in enumerate(MEASURES)
    }
    return Comparison(**intervals, n_seeds=n_seeds)


def _measures(curves: Weighed, kl: FloatArray, gain: FloatArray) -> dict[str, FloatArray]:
    """Every measure of policies with these mean KLs and gains, arrays (seeds,)."""
    limit, best = curves.limit(kl), curves.best_of_n(kl)
    wasted, best_wasted = kl - curves.least_kl(gain), kl - curves.least_kl(best)
    share, best_share = gain / limit, best / limit
    return {
        "kl": kl, "gain": gain, "share": share, "best_share": best_share, "over_gain": gain - best,
        "over_share": share - best_share, "wasted": wasted, "best_wasted": best_wasted,
        "over_wasted": wasted - best_wasted,
    }  # fmt: skip
