"""A trained policy against the limit and against best-of-N at its KL, on the same held-out prompts, with intervals.

Nothing can be enumerated here: the limit and best-of-N are estimated from samples of the base (`fit_frontier`,
`BestOfN`), a policy's KL and reward from samples of its own. Replicates draw prompts anew, for all of them alike, and
seeds, so that differences are paired; how few samples a prompt has is part of what differs between prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.estimation import Fit
from alignlib.estimation.curve import AveragedCurve
from alignlib.lm.experiment.comparison import Interval
from alignlib.rules import BestOfN, prepare

__all__ = ["MEASURES", "BestCurve", "Comparison", "compare"]

MEASURES = ("kl", "gain", "share", "best_gain", "best_share", "over_gain", "over_share")


@dataclass(frozen=True)
class Comparison:
    """One setting of a method, averaged over seeds.

    Attributes
    ----------
    kl : Interval
        KL in nats.
    gain : Interval
        Mean reward above the base's.
    share, best_share, over_share : Interval
        The part of the limit at that KL: the method's, best-of-N's at the same KL, the difference.
    best_gain, over_gain : Interval
        Gain of best-of-N at that KL, and the method's less it.
    supported : bool
        Whether the base samples support the limit there; where not, shares are upper bounds.
    n_seeds : int
        Runs that were averaged.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(0).standard_normal((40, 32)), n_boot=100)
    >>> kl, gained = np.full((2, 40), 0.1), fit.table.prompt_means("reward") + np.full((2, 40), 0.2)
    >>> found = compare(fit, BestCurve.of(fit), kl, gained)
    >>> round(found.gain.mean, 6), 0.0 < found.share.mean < 1.0, found.n_seeds
    (0.2, True, 2)
    """

    kl: Interval
    gain: Interval
    share: Interval
    best_gain: Interval
    best_share: Interval
    over_gain: Interval
    over_share: Interval
    supported: bool
    n_seeds: int


@dataclass(frozen=True, eq=False)
class BestCurve(SameFields):
    """Best-of-N on each prompt, for N = 1 … half the samples of a prompt.

    Attributes
    ----------
    n : array (numbers,)
        The N.
    kl, gain : array (prompts, numbers)
        KL in nats, and gain.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(0).standard_normal((4, 8)), n_boot=100)
    >>> curve = BestCurve.of(fit)
    >>> curve.n.tolist(), curve.gain.shape
    ([1.0, 2.0, 3.0, 4.0], (4, 4))
    """

    n: FloatArray
    kl: FloatArray
    gain: FloatArray

    @classmethod
    def of(cls, fit: Fit, most: int | None = None) -> BestCurve:
        """Estimate it from the base samples of a fit, without bias for whole N; between them it is interpolated.

        Parameters
        ----------
        fit : Fit
            Of equally many samples for each prompt.
        most : int, optional
            The largest N; half the samples if None.

        Raises
        ------
        InputError
            If prompts have unequal numbers of samples.
        """
        (_, rows), *others = fit.table.blocks(fit.reward)
        require(not others, "fit must be of equally many samples for each prompt; it is not.")
        largest = rows.shape[1] // 2 if most is None else most
        n = np.unique(np.round(np.geomspace(1.0, float(largest), 40))).astype(np.float64)
        samples = prepare(np.sort(rows, axis=1)[:, ::-1])
        found = [BestOfN(int(one)).evaluate(samples) for one in n]
        base = rows.mean(axis=1)
        return cls(n, np.stack([one.spent for one in found], 1), np.stack([one.mean - base for one in found], 1))

    def at(self, weights: FloatArray, kl: FloatArray) -> FloatArray:
        """Gain at some KLs, for weights of prompts.

        Parameters
        ----------
        weights : array (replicates, prompts)
            Each row sums to one.
        kl : array (replicates, runs)
            KLs in nats.

        Returns
        -------
        array (replicates, runs)
            In the unit of the reward.
        """
        spent, gained = weights @ self.kl, weights @ self.gain
        spent[:, 0] = gained[:, 0] = 0.0
        spent = np.maximum.accumulate(spent, axis=1)
        root = np.sqrt(np.maximum(kl, 0.0))
        return np.stack([np.interp(x, np.sqrt(s), g) for x, s, g in zip(root, spent, gained, strict=True)])


def compare(fit: Fit, best: BestCurve, kl: FloatArray, reward: FloatArray, *, seed: int = 0) -> Comparison:
    """Compare the runs of one setting, a seed each, with limit and best-of-N.

    Parameters
    ----------
    fit : Fit
        Of the base samples, a row of equally many samples for each prompt.
    best : BestCurve
        Best-of-N from the same samples.
    kl, reward : array (seeds, prompts)
        Mean KL in nats and mean reward of each run on each prompt, in the order of the table.
    seed : int
        Of the draws of seeds; prompts are drawn as in the fit.

    Raises
    ------
    InputError
        If the prompts are not those of the fit.
    """
    n_seeds, n_prompts = kl.shape
    require(
        n_prompts == fit.table.n_prompts == fit.weights.shape[1],
        f"kl must be on the {fit.table.n_prompts} prompts of the base samples; it is on {n_prompts}.",
    )
    assert isinstance(fit.curve, AveragedCurve)
    gain = reward - fit.table.prompt_means(fit.reward)
    weights = fit.weights
    rng = np.random.default_rng(seed)
    seeds = rng.integers(n_seeds, size=(len(weights), n_seeds))
    seeds[0] = np.arange(n_seeds)
    spent = np.take_along_axis(weights @ kl.T, seeds, axis=1)
    gained = np.take_along_axis(weights @ gain.T, seeds, axis=1)
    held = np.minimum(spent, fit.supported_end)
    limit = np.asarray(fit.curve.gains(weights, held)[0])
    at_best = best.at(weights, spent)
    measures = {
        "kl": spent, "gain": gained, "share": gained / limit, "best_gain": at_best, "best_share": at_best / limit,
        "over_gain": gained - at_best, "over_share": (gained - at_best) / limit,
    }  # fmt: skip
    found: dict[str, Interval] = {}
    for name, values in measures.items():
        mean = values.mean(axis=1)
        low, high = np.quantile(mean[1:], [0.025, 0.975])
        found[name] = Interval(float(mean[0]), float(low), float(high))
    supported = bool(spent[0].max() <= fit.supported_end)
    return Comparison(**found, supported=supported, n_seeds=n_seeds)
