"""A rater with an artefact, small enough to enumerate: what a learner takes from the target and what from the rater.

Items have hidden binary values. A label is about one item, shown in one of two styles; with probability ``flattery``
the rater reports the style instead of the value, otherwise the value with some error. The learner holds a table of
verdicts, one per item and style, under a prior that prefers verdicts that do not depend on the style.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, require, require_range
from alignlib.bottleneck.information_split import InformationSplit, information_split

__all__ = ["FlatteryPoint", "FlatteryWorld"]


@dataclass(frozen=True)
class FlatteryPoint:
    """What a learner of one strength knows and does.

    Attributes
    ----------
    split : InformationSplit
        Where the KL of its posterior comes from.
    gold_risk : float
        How often its verdict differs from the item's value.
    proxy_risk : float
        How often it differs from what the rater would say next.
    training_risk : float
        How often it differs from the labels that it was trained on.

    Examples
    --------
    >>> (point,) = FlatteryWorld(6).learner(np.array([8.0]))
    >>> bool(point.training_risk < point.proxy_risk), bool(point.split.total >= point.split.channel)
    (True, True)
    """

    split: InformationSplit
    gold_risk: float
    proxy_risk: float
    training_risk: float


@dataclass(frozen=True)
class FlatteryWorld:
    """All data sets of ``m`` labels about ``n_items`` items, by their counts.

    Parameters
    ----------
    m : int
        Number of labels.
    flattery : float
        Probability that the style is reported, in [0, 1].
    error : float
        Probability to misreport the value otherwise, in [0, 1].
    n_items : int
        Number of items, each with its own hidden value; the cost grows fast with it.

    Raises
    ------
    InputError
        If ``m`` lies outside [1, 24], ``n_items`` is neither 1 nor 2, or a probability lies outside [0, 1].
    """

    m: int
    flattery: float = 0.6
    error: float = 0.05
    n_items: int = 2

    def __post_init__(self) -> None:
        require(1 <= self.m <= 24, f"m must lie in [1, 24], every data set is enumerated; got {self.m!r}.")
        require(1 <= self.n_items <= 2, f"n_items must be 1 or 2, every data set is enumerated; got {self.n_items!r}.")
        require_range("flattery", self.flattery, 0.0, 1.0)
        require_range("error", self.error, 0.0, 1.0)

    @property
    def values(self) -> FloatArray:
        """Every assignment of values to items, shape (2^items, items)."""
        return np.array(list(itertools.product([0.0, 1.0], repeat=self.n_items)))

    @property
    def positive(self) -> FloatArray:
        """``P(label 1 | values, item, style)``, shape (assignments, cells); cell = 2·item + style."""
        honest = self.error + (1 - 2 * self.error) * np.repeat(self.values, 2, axis=1)
        style = np.tile([0.0, 1.0], self.n_items)
        return np.asarray(self.flattery * style + (1 - self.flattery) * honest)

    def laws(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return the laws of contexts, values and labels as counts; sequences with the same counts teach the same.

        Returns
        -------
        contexts : array (a,)
            Probability of each count of contexts.
        values : array (a, b)
            Probability of each assignment of values, given it.
        labels : array (a, b, c)
            Probability of each count of labels, given both.
        counts : array (a, c, cells, 2)
            Number of 0s and of 1s in each cell.
        """
        cells = 2 * self.n_items
        contexts = np.array([n for n in itertools.product(range(self.m + 1), repeat=cells) if sum(n) == self.m])
        log_prob = (
            scipy.special.gammaln(self.m + 1) - scipy.special.gammaln(contexts + 1).sum(axis=1) - self.m * np.log(cells)
        )
        n_values = len(self.values)
        most = max(int(np.prod(n + 1)) for n in contexts)
        label_prob = np.zeros((len(contexts), n_values, most))
        counts = np.zeros((len(contexts), most, cells, 2))
        for a, n in enumerate(contexts):
            ones = np.stack(np.meshgrid(*[np.arange(k + 1.0) for k in n], indexing="ij"), axis=-1).reshape(-1, cells)
            zeros = n - ones
            choose = (
                scipy.special.gammaln(n + 1) - scipy.special.gammaln(ones + 1) - scipy.special.gammaln(zeros + 1)
            ).sum(axis=1)
            for b, positive in enumerate(self.positive):
                log_label = choose + (
                    scipy.special.xlogy(ones, positive) + scipy.special.xlogy(zeros, 1 - positive)
                ).sum(axis=1)
                label_prob[a, b, : len(ones)] = np.exp(log_label)
            counts[a, : len(ones), :, 0], counts[a, : len(ones), :, 1] = zeros, ones
        return np.exp(log_prob), np.full((len(contexts), n_values), 1 / n_values), label_prob, counts

    def verdicts(self) -> FloatArray:
        """Every table of verdicts, shape (2^cells, cells)."""
        return np.array(list(itertools.product([0.0, 1.0], repeat=2 * self.n_items)))

    def learner(self, gammas: FloatArray, style_penalty: float = 3.0) -> list[FlatteryPoint]:
        """Gibbs learners of growing strength: ``Q ∝ P e^{-γ·disagreements}``, with a prior that dislikes the style,
        ``P ∝ e^{-penalty·items that use the style}``.

        Parameters
        ----------
        gammas : array
            Strengths γ >= 0.
        style_penalty : float
            The prior's penalty in nats for each item whose verdict depends on the style.

        Returns
        -------
        list of FlatteryPoint
            One for each strength.

        Examples
        --------
        >>> weak, strong = FlatteryWorld(6).learner(np.array([0.1, 8.0]))
        >>> strong.training_risk < weak.training_risk, strong.split.channel > weak.split.channel
        (True, True)
        """
        s, u, y, counts = self.laws()
        tables = self.verdicts()
        by_item = tables.reshape(len(tables), self.n_items, 2)
        log_prior = -style_penalty * (by_item[:, :, 0] != by_item[:, :, 1]).sum(axis=1)
        log_prior = log_prior - scipy.special.logsumexp(log_prior)
        # A verdict of 1 disagrees with the 0s of its cell and the other way round.
        wrong = counts[..., 0] @ tables.T + counts[..., 1] @ (1 - tables.T)
        gold = np.abs(np.repeat(self.values, 2, axis=1)[:, None, :] - tables).mean(axis=2)
        proxy = np.abs(self.positive[:, None, :] - tables).mean(axis=2)
        found = []
        for gamma in np.asarray(gammas, dtype=np.float64):
            log_q = log_prior - gamma * wrong
            q = np.exp(log_q - scipy.special.logsumexp(log_q, axis=2, keepdims=True))
            given = np.einsum("a,ab,abc,act->bt", s, u, y, q)
            seen = float(np.einsum("a,ab,abc,act,act->", s, u, y, q, wrong, optimize=True)) / self.m
            found.append(
                FlatteryPoint(
                    information_split(s, u, y, q, np.exp(log_prior)),
                    float((given * gold).sum()),
                    float((given * proxy).sum()),
                    seen,
                )
            )
        return found
