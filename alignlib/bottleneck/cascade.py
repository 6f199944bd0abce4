"""Feedback in two stages, from target to judgement to label, and the capacities of its stages.

A target ``U`` is judged as ``H`` and reported as the label ``Y``, in a context ``S``. What the judge can hold, what the
report can carry and what reaches the learner are three capacities; the last is at most the smaller of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_law, require
from alignlib._core.same import SameFields
from alignlib.bottleneck._channel import as_channel
from alignlib.bottleneck.capacity import capacity
from alignlib.bottleneck.channels import mutual_information

__all__ = ["Cascade", "CascadeCapacities"]


@dataclass(frozen=True, eq=False)
class CascadeCapacities(SameFields):
    """Capacities of a cascade in nats: one entry per context, and their averages over the context law.

    Attributes
    ----------
    context_prob : array (contexts,)
        Law of the context.
    cognitive : array (contexts,)
        ``C_cog|s``, of target to judgement.
    articulation : array (contexts,)
        ``C_art|s``, of judgement to label.
    total : array (contexts,)
        ``C_tot|s``, of target to label.
    gap : float
        Each average lies at most so far below the true one.

    Examples
    --------
    >>> from alignlib.bottleneck import binary_symmetric_channel
    >>> flip = binary_symmetric_channel(0.1)
    >>> found = Cascade([0.5, 0.5], [flip, flip], [flip, np.eye(2)]).capacities()  # the second adds nothing
    >>> found.cognitive.round(3).tolist(), found.total.round(3).tolist()
    ([0.368, 0.368], [0.222, 0.368])
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
        """``C̄_tot|S`` as this book defines it, the mean capacity of the whole path; it bounds ``I(U;Y|S)``."""
        return float(self.context_prob @ self.total)

    @property
    def smaller(self) -> FloatArray:
        """The bound ``min(C_cog|s, C_art|s)`` on ``C_tot|s``, shape (contexts,)."""
        return np.minimum(self.cognitive, self.articulation)

    @property
    def mean_smaller(self) -> float:
        """Average over contexts of ``min(C_cog|s, C_art|s)``; others report it as C25's ``C̄_tot|S``. Never smaller."""
        return float(self.context_prob @ self.smaller)

    @property
    def shortfall(self) -> float:
        """How far ``C̄_tot|S`` stays below the average of the minima, in nats; the maximisers need not agree."""
        return self.mean_smaller - self.mean_total


@dataclass(frozen=True, eq=False)
class Cascade(SameFields):
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
    >>> from alignlib.bottleneck import binary_symmetric_channel
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
        """``I(U;Y|S)`` in nats for a target law independent of the context.

        Parameters
        ----------
        target_prob : array (targets,)
            Law of the target U.

        Raises
        ------
        InputError
            If it is no law, or not of as many targets.
        """
        found = [mutual_information(target_prob, channel) for channel in self.total]
        return float(self.context_prob @ np.array(found))

    def capacities(self, tol: float = 1e-9) -> CascadeCapacities:
        """Find the three capacities of every context, each certified to ``tol`` nats.

        Parameters
        ----------
        tol : float
            Largest gap of each capacity, in nats.

        Raises
        ------
        CapacityError
            If the solver did not come so close; it carries the best bracket.
        """
        found = [[capacity(channel, tol) for channel in stage] for stage in (self.judge, self.report, self.total)]
        cognitive, articulation, total = (np.array([one.value for one in stage]) for stage in found)
        gap = max(one.gap for stage in found for one in stage)
        return CascadeCapacities(self.context_prob, cognitive, articulation, total, gap)
