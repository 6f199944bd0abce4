"""Discrete feedback channels: named examples, mutual information, and the cascade from target to label.

A target ``U`` is judged as ``H`` and reported as the label ``Y``, in a context ``S``. What the judge can hold, what the
report can carry and what reaches the learner are three capacities; the last is at most the smaller of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_law, require, require_range
from alignlib.bottleneck._channel import as_channel, row_divergences
from alignlib.bottleneck.capacity import capacity

__all__ = [
    "Cascade",
    "CascadeCapacities",
    "binary_erasure_channel",
    "binary_symmetric_channel",
    "mutual_information",
    "rating_channel",
    "symmetric_channel",
    "z_channel",
]


def binary_symmetric_channel(error: float) -> FloatArray:
    """Channel that flips a bit with probability ``error``; capacity ``log 2 - h(error)``, shape (2, 2)."""
    return symmetric_channel(2, error)


def symmetric_channel(n_values: int, error: float) -> FloatArray:
    """Channel that errs with probability ``error``, to each other value alike, shape (n_values, n_values).

    Its capacity is ``log M - h(error) - error log(M - 1)`` in nats: Fano's inequality with equality.

    >>> symmetric_channel(3, 0.5).tolist()
    [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    """
    require(n_values >= 2, f"n_values must be at least 2; got {n_values!r}.")
    error = float(require_range("error", error, 0.0, 1.0))
    channel = np.full((n_values, n_values), error / (n_values - 1))
    np.fill_diagonal(channel, 1.0 - error)
    return channel


def binary_erasure_channel(erasure: float) -> FloatArray:
    """Channel that replaces a bit by "no answer" with probability ``erasure``; capacity ``(1 - erasure) log 2``."""
    erasure = float(require_range("erasure", erasure, 0.0, 1.0))
    return np.array([[1.0 - erasure, erasure, 0.0], [0.0, erasure, 1.0 - erasure]])


def z_channel(error: float) -> FloatArray:
    """Channel that reports 1 as 0 with probability ``error`` and never errs on 0.

    Its capacity is ``log(1 + (1 - e) e^{e/(1-e)})`` in nats.
    """
    error = float(require_range("error", error, 0.0, 1.0))
    return np.array([[1.0, 0.0], [error, 1.0 - error]])


def rating_channel(n_values: int, noise: float, n_labels: int) -> FloatArray:
    """Rater who places values 0, …, 1 on a scale of ``n_labels`` marks with Gaussian ``noise``, shape (values, labels).

    A shorter scale or more noise lowers the capacity; unlike the symmetric channel, near values are confused most.

    >>> rating_channel(2, 0.5, 2).round(4).tolist()
    [[0.8413, 0.1587], [0.1587, 0.8413]]
    """
    require(n_values >= 2, f"n_values must be at least 2; got {n_values!r}.")
    require(n_labels >= 2, f"n_labels must be at least 2; got {n_labels!r}.")
    noise = float(require_range("noise", noise, 0.0, open_low=True))
    value = np.linspace(0.0, 1.0, n_values)[:, None]
    edge = (np.linspace(0.0, 1.0, n_labels)[1:] + np.linspace(0.0, 1.0, n_labels)[:-1]) / 2
    # The larger of the two tails is never subtracted from one: small masses keep their digits.
    z = (edge - value) / noise
    below, above = scipy.special.ndtr(z), scipy.special.ndtr(-z)
    low = np.hstack([np.zeros_like(value), below])
    high = np.hstack([above, np.zeros_like(value)])
    upper_half = np.hstack([np.zeros_like(value), z]) > 0
    mass = np.where(
        upper_half,
        np.hstack([np.ones_like(value), above]) - high,
        np.hstack([below, np.ones_like(value)]) - low,
    )
    return np.asarray(mass / mass.sum(axis=1, keepdims=True))


def mutual_information(prob: npt.ArrayLike, channel: npt.ArrayLike) -> float:
    """Mutual information ``I(U;Y) = Σ_u p_u KL(P(·|u) ‖ q)`` in nats, full relative accuracy when it is small.

    ``prob`` has shape (inputs,) and ``channel`` (inputs, outputs). Rows of mass zero may be zero.

    >>> round(mutual_information([0.5, 0.5], binary_erasure_channel(0.25)) / float(np.log(2)), 12)
    0.75
    """
    law, rows = as_law("prob", prob), as_channel("channel", channel, zero_rows=True)
    require(law.size == len(rows), f"prob must have one entry per row of channel, {len(rows)}; got {law.size}.")
    used = law > 0
    require(
        bool((rows[used].sum(axis=1) > 0).all()),
        "prob puts mass on an input whose row of channel is zero; move that mass.",
    )
    return float(law[used] @ row_divergences(rows[used], law[used] @ rows[used]))


@dataclass(frozen=True)
class CascadeCapacities:
    """Capacities of a cascade in nats: one entry per context, and their averages over the context law.

    ``cognitive`` is ``C_cog|s`` of target to judgement, ``articulation`` is ``C_art|s`` of judgement to label,
    ``total`` is ``C_tot|s`` of target to label. Each average lies within ``gap`` below the true one.
    """

    context_prob: FloatArray
    cognitive: FloatArray
    articulation: FloatArray
    total: FloatArray
    gap: float

    @property
    def mean_cognitive(self) -> float:
        """``C̄_cog|S``."""
        return float(self.context_prob @ self.cognitive)

    @property
    def mean_articulation(self) -> float:
        """``C̄_art|S``."""
        return float(self.context_prob @ self.articulation)

    @property
    def mean_total(self) -> float:
        """``C̄_tot|S``, which bounds ``I(U;Y|S)``."""
        return float(self.context_prob @ self.total)

    @property
    def smaller(self) -> FloatArray:
        """The bound ``min(C_cog|s, C_art|s)`` on ``C_tot|s``, shape (contexts,)."""
        return np.minimum(self.cognitive, self.articulation)

    @property
    def mean_smaller(self) -> float:
        """Average over contexts of ``min(C_cog|s, C_art|s)``."""
        return float(self.context_prob @ self.smaller)

    @property
    def shortfall(self) -> float:
        """How far ``C̄_tot|S`` stays below the average of the minima, in nats; the maximisers need not agree."""
        return self.mean_smaller - self.mean_total


@dataclass(frozen=True)
class Cascade:
    """Feedback ``U → H → Y`` in each context ``S``: who judges, who reports, how often which context.

    Parameters
    ----------
    context_prob : array (contexts,)
        Law of the context.
    judge : array (contexts, targets, judgements)
        ``P(h|u,s)``.
    report : array (contexts, judgements, labels)
        ``P(y|h,s)``.

    Raises
    ------
    InputError
        If a law does not sum to one, the shapes disagree, or an entry is negative.

    Examples
    --------
    >>> flip = binary_symmetric_channel(0.1)
    >>> cascade = Cascade([1.0], [flip], [flip])
    >>> bool(np.allclose(cascade.total[0], binary_symmetric_channel(0.18)))
    True
    >>> found = cascade.capacities()
    >>> round(found.mean_smaller, 4), round(found.mean_total, 4)
    (0.3681, 0.2218)

    Source: C25 (two-stage cascade, its capacities and the min bound).
    """

    context_prob: FloatArray
    judge: FloatArray
    report: FloatArray

    def __post_init__(self) -> None:
        prob = as_law("context_prob", self.context_prob)
        judge = as_channel("judge", self.judge, ndim=3)
        report = as_channel("report", self.report, ndim=3)
        require(
            len(judge) == len(report) == prob.size,
            f"context_prob, judge and report must have one entry per context; got {prob.size}, {len(judge)}, "
            f"{len(report)}.",
        )
        require(
            judge.shape[2] == report.shape[1],
            f"judge must end in the judgements that report starts from; got shapes {judge.shape} and {report.shape}.",
        )
        for name, value in (("context_prob", prob), ("judge", judge), ("report", report)):
            object.__setattr__(self, name, value)

    @property
    def total(self) -> FloatArray:
        """``P(y|u,s) = Σ_h P(h|u,s) P(y|h,s)``, shape (contexts, targets, labels)."""
        return self.judge @ self.report

    def information(self, target_prob: npt.ArrayLike) -> float:
        """``I(U;Y|S)`` in nats for a target law independent of the context, shape (targets,)."""
        found = [mutual_information(target_prob, channel) for channel in self.total]
        return float(self.context_prob @ np.array(found))

    def capacities(self, tol: float = 1e-9) -> CascadeCapacities:
        """Find the three capacities of every context, each certified to ``tol`` nats."""
        found = [[capacity(channel, tol) for channel in stage] for stage in (self.judge, self.report, self.total)]
        cognitive, articulation, total = (np.array([one.value for one in stage]) for stage in found)
        gap = max(one.gap for stage in found for one in stage)
        return CascadeCapacities(self.context_prob, cognitive, articulation, total, gap)
