"""Every data set of a few labels, a Gibbs learner on each: the terms of the interval without sampling."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import require
from alignlib.bottleneck.codebook import CodebookMixture
from alignlib.bottleneck.information_split import InformationSplit, information_split

__all__ = ["EnumeratedLearner", "enumerate_gibbs"]

_MOST_CELLS = 2e7


@dataclass(frozen=True)
class EnumeratedLearner:
    """Exact expectations over all data sets.

    Attributes
    ----------
    risk : float
        Expected risk on new data.
    empirical_risk : float
        Expected risk on the data learnt from.
    split : InformationSplit
        Where the expected divergence of posterior and prior comes from.
    """

    risk: float
    empirical_risk: float
    split: InformationSplit


def enumerate_gibbs(mixture: CodebookMixture, m: int, gamma: float) -> EnumeratedLearner:
    """Gibbs learner ``Q ∝ P e^{-γ m R̂}`` over all decoders, uniform prior, canonical loss, on every data set.

    Parameters
    ----------
    mixture : CodebookMixture
        The values, the channel and the loss.
    m : int
        Number of labels of a data set, >= 1.
    gamma : float
        Strength γ >= 0 of the learner.

    Raises
    ------
    InputError
        Where contexts, values, labels and decoders are too many to enumerate.

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], 1 - np.eye(2))
    >>> found = enumerate_gibbs(mixture, 2, 5.0)
    >>> mixture.floor <= found.risk <= 0.5, abs(found.split.total - found.split.expected_kl) < 1e-12
    (True, True)
    """
    require(m >= 1, f"m must be at least 1; got {m!r}.")
    require(gamma >= 0, f"gamma must not be negative; got {gamma!r}.")
    n_s, n_u, n_y = mixture.channel.shape
    n_decoders = len(mixture.loss) ** (n_s * n_y)
    size = float(n_s * n_y) ** m * max(float(n_u) ** m, float(n_decoders))
    require(
        size <= _MOST_CELLS,
        f"m={m} needs a table of {size:.1e} cells, more than {_MOST_CELLS:.0e}; take a smaller m.",
    )
    contexts, targets, labels = (np.array(list(itertools.product(range(n), repeat=m))) for n in (n_s, n_u, n_y))
    context_prob = mixture.context_prob[contexts].prod(axis=1)
    target_prob = np.full((len(contexts), len(targets)), 1.0 / len(targets))
    label_prob = np.ones((len(contexts), len(targets), len(labels)))
    decoders = np.array(list(itertools.product(range(len(mixture.loss)), repeat=n_s * n_y))).reshape(-1, n_s, n_y)
    s, y = np.indices((n_s, n_y))
    loss = mixture.canonical_loss[s, y, decoders]
    total = np.zeros((len(contexts), len(labels), n_decoders))
    for i in range(m):
        a, b, c = contexts[:, i], targets[:, i], labels[:, i]
        label_prob *= mixture.channel[a[:, None, None], b[None, :, None], c[None, None, :]]
        total += np.moveaxis(loss[:, a[:, None], c[None, :]], 0, 2)
    q = scipy.special.softmax(-gamma * total, axis=2)
    prior = np.full(n_decoders, 1.0 / n_decoders)
    weight = context_prob[:, None] * np.einsum("ab,abc->ac", target_prob, label_prob)
    risk = np.einsum("sy,tsy->t", mixture.data_law, loss)
    return EnumeratedLearner(
        risk=float(np.einsum("ac,act,t->", weight, q, risk)),
        empirical_risk=float(np.einsum("ac,act,act->", weight, q, total)) / m,
        split=information_split(context_prob, target_prob, label_prob, q, prior),
    )
