"""Learners in the setting of the interval: each turns labels into a decoder ``P(a|s,y)``.

The number of times that each (context, value, label) occurred is all that such a learner can use, so data sets of any
size are drawn and learnt from as tables of counts. Of a few labels every data set is enumerated, a Gibbs learner on
each: the terms of the interval without sampling.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, as_rng, require
from alignlib._core.same import SameFields
from alignlib.bottleneck.codebook import CodebookMixture
from alignlib.bottleneck.information_split import InformationSplit, information_split

__all__ = [
    "EnumeratedLearner",
    "GibbsLearner",
    "counting_decoder",
    "draw_counts",
    "enumerate_gibbs",
    "gibbs_learner",
    "network_decoder",
    "pooled_decoder",
]

_MOST_CELLS = 2e7


def draw_counts(mixture: CodebookMixture, m: int, rng: np.random.Generator | int) -> FloatArray:
    """Draw m instances; return how often each occurred, shape (contexts, values, labels).

    Parameters
    ----------
    mixture : CodebookMixture
        The law of context, value and label.
    m : int
        Number of instances, >= 1.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    InputError
        If ``m`` is below 1.

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [np.eye(2)], 1 - np.eye(2))
    >>> float(draw_counts(mixture, 100, 0).sum())
    100.0
    """
    require(m >= 1, f"m must be at least 1; got {m!r}.")
    law = mixture.context_prob[:, None, None] * mixture.channel / mixture.n_values
    drawn = as_rng(rng).multinomial(m, law.reshape(-1) / law.sum())
    return drawn.reshape(law.shape).astype(np.float64)


def counting_decoder(mixture: CodebookMixture, counts: FloatArray, smoothing: float = 0.5) -> FloatArray:
    """Take for each (context, label) the action of least mean loss under the counted values, shape (s, y, a).

    Parameters
    ----------
    mixture : CodebookMixture
        The values and the loss.
    counts : array (contexts, values, labels)
        How often each instance was seen, as `draw_counts` gives.
    smoothing : float
        Count added to every cell.

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], 1 - np.eye(2))
    >>> counting_decoder(mixture, np.array([[[9.0, 1.0], [2.0, 8.0]]])).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    posterior = np.swapaxes(counts, 1, 2) + smoothing
    return _one_hot((posterior @ mixture.loss.T).argmin(axis=2), len(mixture.loss))


def pooled_decoder(mixture: CodebookMixture, counts: FloatArray, smoothing: float = 0.5) -> FloatArray:
    """Count without regard to the context: fewer parameters, and blind to what contexts change.

    Parameters
    ----------
    mixture : CodebookMixture
        The values and the loss.
    counts : array (contexts, values, labels)
        How often each instance was seen, as `draw_counts` gives.
    smoothing : float
        Added to every count, so that nothing unseen is impossible.

    Returns
    -------
    array (contexts, labels, actions)
        The decoder, the same in every context.

    Examples
    --------
    >>> mixture = CodebookMixture([0.5, 0.5], [np.eye(2), np.eye(2)], 1 - np.eye(2))
    >>> pooled_decoder(mixture, draw_counts(mixture, 100, 0))[1].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    pooled = np.broadcast_to(counts.sum(axis=0, keepdims=True), counts.shape)
    return counting_decoder(mixture, pooled, smoothing)


def network_decoder(
    mixture: CodebookMixture,
    counts: FloatArray,
    rng: np.random.Generator | int,
    *,
    width: int = 32,
    steps: int = 300,
    rate: float = 0.03,
    decay: float = 1e-3,
) -> FloatArray:
    """Train one hidden layer on (context, label) by cross-entropy and Adam, then act on its posterior of the value.

    Parameters
    ----------
    mixture : CodebookMixture
        The values and the loss.
    counts : array (contexts, values, labels)
        How often each instance was seen, as `draw_counts` gives.
    rng : Generator or int
        Source of the first weights, or its seed.
    width : int
        Hidden units.
    steps : int
        Full-batch steps.
    rate : float
        Learning rate.
    decay : float
        Weight decay.

    Returns
    -------
    array (contexts, labels, actions)
        The decoder.

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [np.eye(2)], 1 - np.eye(2))
    >>> network_decoder(mixture, draw_counts(mixture, 100, 0), 0, width=4, steps=50).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    generator = as_rng(rng)
    n_contexts, n_values, n_labels = counts.shape
    inputs = np.zeros((n_contexts, n_labels, n_contexts + n_labels))
    inputs[np.arange(n_contexts), :, np.arange(n_contexts)] = 1.0
    inputs[:, np.arange(n_labels), n_contexts + np.arange(n_labels)] = 1.0
    x = inputs.reshape(n_contexts * n_labels, -1)
    target = np.swapaxes(counts, 1, 2).reshape(len(x), n_values) / counts.sum()
    weights = [
        generator.normal(size=(x.shape[1], width)),
        np.zeros(width),
        generator.normal(size=(width, n_values)) / np.sqrt(width),
        np.zeros(n_values),
    ]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for step in range(1, steps + 1):
        hidden = np.tanh(x @ weights[0] + weights[1])
        error = (
            target.sum(axis=1, keepdims=True) * scipy.special.softmax(hidden @ weights[2] + weights[3], axis=1) - target
        )
        back = (error @ weights[2].T) * (1 - hidden**2)
        gradients = [x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
        for i, gradient in enumerate(gradients):
            first[i] += 0.1 * (gradient - first[i])
            second[i] += 0.001 * (gradient**2 - second[i])
            scale = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            weights[i] = weights[i] * (1 - rate * decay) - scale * first[i] / (np.sqrt(second[i]) + 1e-8)
    hidden = np.tanh(x @ weights[0] + weights[1])
    posterior = scipy.special.softmax(hidden @ weights[2] + weights[3], axis=1).reshape(n_contexts, n_labels, n_values)
    return _one_hot((posterior @ mixture.loss.T).argmin(axis=2), len(mixture.loss))


@dataclass(frozen=True, eq=False)
class GibbsLearner(SameFields):
    """A randomised decoder with what its ceiling needs.

    Attributes
    ----------
    decoder : array (contexts, labels, actions)
        ``Q``'s probability of each action.
    empirical_risk : float
        Its mean loss on the data seen.
    kl : float
        ``KL(Q‖P)`` in nats.

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], 1 - np.eye(2))
    >>> found = gibbs_learner(mixture, np.array([[50.0, 50.0]]), gamma=0.0)  # it learns nothing
    >>> found.decoder.tolist(), float(found.kl)
    ([[[0.5, 0.5], [0.5, 0.5]]], 0.0)
    """

    decoder: FloatArray
    empirical_risk: float
    kl: float


def gibbs_learner(mixture: CodebookMixture, seen: FloatArray, gamma: float) -> GibbsLearner:
    """Gibbs posterior over all decoders, uniform prior, scored by the canonical loss: ``Q ∝ P e^{-γ m R̂}``.

    The posterior is a product over (context, label), so risk and divergence are exact however many decoders there are.

    Parameters
    ----------
    mixture : CodebookMixture
        The law behind the data, and the loss.
    seen : array (contexts, labels)
        How often each pair was seen; the hidden values are not used.
    gamma : float
        Strength γ >= 0 of the learner.

    Raises
    ------
    InputError
        If ``gamma`` is negative, or ``seen`` has another shape.

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], 1 - np.eye(2))
    >>> learner = gibbs_learner(mixture, np.array([[50.0, 50.0]]), gamma=1.0)
    >>> round(mixture.risk(learner.decoder), 6), bool(learner.kl <= 2 * np.log(2))
    (0.1, True)
    """
    require(gamma >= 0, f"gamma must not be negative; got {gamma!r}.")
    require(seen.shape == mixture.data_law.shape, f"seen must have shape {mixture.data_law.shape}; got {seen.shape}.")
    log_q = scipy.special.log_softmax(-gamma * seen[..., None] * mixture.canonical_loss, axis=2)
    q = np.exp(log_q)
    empirical = float((seen[..., None] * q * mixture.canonical_loss).sum() / seen.sum())
    kl = float((q * (log_q + np.log(len(mixture.loss)))).sum())
    return GibbsLearner(q, empirical, max(kl, 0.0))


def _one_hot(action: np.ndarray, size: int) -> FloatArray:
    return np.asarray(np.eye(size)[action])


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

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], 1 - np.eye(2))
    >>> found = enumerate_gibbs(mixture, 4, 5.0)
    >>> found.empirical_risk < found.risk, found.split.channel > 0.0
    (True, True)
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
