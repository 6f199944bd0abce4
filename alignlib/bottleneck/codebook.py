"""The setting of the interval: one of M separated values, a fresh one per instance, behind a channel per context."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_float_array, as_law, require
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.bottleneck._channel import as_channel
from alignlib.bottleneck.capacity import capacity
from alignlib.bottleneck.channels import mutual_information
from alignlib.bottleneck.fano import bayes_risk, fano_floor

__all__ = ["CodebookMixture", "ConditionError"]


class ConditionError(InputError):
    """A condition of the interval does not hold.

    Parameters
    ----------
    message : str
        What fails, and what to do.
    condition : str
        The condition's name; kept under this name.
    discrepancy : float
        By how much it fails; kept under this name.

    Examples
    --------
    >>> from alignlib.bottleneck import alignment_interval
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], [[0.0, 1.0], [1.0, 0.0]])
    >>> try:
    ...     alignment_interval(mixture, 0.1, 100, observed_loss=mixture.loss[None], data_law=mixture.data_law)
    ... except ConditionError as error:
    ...     print(error.condition, round(error.discrepancy, 3))
    canonical observable loss 0.1
    """

    def __init__(self, message: str, condition: str, discrepancy: float) -> None:
        super().__init__(message)
        self.condition = condition
        self.discrepancy = discrepancy


@dataclass(frozen=True, eq=False)
class CodebookMixture(SameFields):
    """One of M equally likely values, a fresh one for each instance, reported through a channel per context.

    Parameters
    ----------
    context_prob : array (contexts,)
        Law of the context, independent of the value.
    channel : array (contexts, values, labels)
        ``P(y|u,s)``, the whole cascade.
    loss : array (actions, values)
        Loss of each action in [0, 1]; each action may decode to one value only.

    Raises
    ------
    InputError
        If a law does not sum to one, the codebook has one value, or a loss leaves [0, 1].
    ConditionError
        If an action is nearly right for two values, so that the loss does not separate them.

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], [[0.0, 1.0], [1.0, 0.0]])
    >>> round(mixture.floor, 12), round(mixture.bayes_risk, 12)
    (0.1, 0.1)

    Source: C25 (separable codebook mixture).
    """

    context_prob: FloatArray
    channel: FloatArray
    loss: FloatArray

    def __post_init__(self) -> None:
        prob, rows = as_law("context_prob", self.context_prob), as_channel("channel", self.channel, ndim=3)
        loss = as_float_array("loss", self.loss)
        require(len(rows) == prob.size, f"channel must have one entry per context, {prob.size}; got {len(rows)}.")
        values = rows.shape[1]
        require(
            values >= 2, "channel must carry at least 2 values; a codebook of one value leaves nothing to get wrong."
        )
        require(
            loss.ndim == 2 and loss.shape[1] == values, f"loss must have shape (actions, {values}); got {loss.shape}."
        )
        require(
            bool(loss.min() >= 0 and loss.max() <= 1),
            f"loss must lie in [0, 1]; it spans [{loss.min():g}, {loss.max():g}]. Shift and divide it by its range.",
        )
        for name, value in (("context_prob", prob), ("channel", rows), ("loss", loss)):
            object.__setattr__(self, name, value)
        if self.separation <= 0:
            raise ConditionError(
                "loss must separate the values; an action has zero loss for two of them. Use a finer loss, or merge "
                "them.",
                "separable loss",
                self.separation,
            )

    @property
    def n_values(self) -> int:
        """Number M of values."""
        return int(self.channel.shape[1])

    @property
    def separation(self) -> float:
        """The largest Δ such that each action has loss ≥ Δ for all values but the one it decodes to."""
        return float(np.partition(self.loss, 1, axis=1)[:, 1].min())

    @cached_property
    def capacity(self) -> float:
        """``C̄_tot|S`` in nats, a certified upper bound, at most log M."""
        found = [capacity(rows).upper for rows in self.channel]
        return float(min(self.context_prob @ np.array(found), np.log(self.n_values)))

    @property
    def information(self) -> float:
        """``I(U;Y|S)`` in nats for the equally likely values."""
        uniform = np.full(self.n_values, 1.0 / self.n_values)
        return float(self.context_prob @ np.array([mutual_information(uniform, rows) for rows in self.channel]))

    @property
    def floor(self) -> float:
        """The sharp Fano floor."""
        return float(fano_floor(self.capacity, self.n_values, self.separation))

    @property
    def bayes_risk(self) -> float:
        """Risk of the best decoder of context and label; no learner does better, whatever its data."""
        uniform = np.full(self.n_values, 1.0 / self.n_values)
        return float(self.context_prob @ np.array([bayes_risk(uniform, rows, self.loss) for rows in self.channel]))

    @property
    def data_law(self) -> FloatArray:
        """Law of one observation (S, Y), shape (contexts, labels)."""
        return np.asarray(self.context_prob[:, None] * self.channel.mean(axis=1))

    @property
    def canonical_loss(self) -> FloatArray:
        """``E[loss(a,U)|s,y]``, shape (contexts, labels, actions); 0 where (s, y) never occurs."""
        posterior = np.swapaxes(self.channel, 1, 2)
        total = posterior.sum(axis=2, keepdims=True)
        posterior = np.divide(posterior, total, out=np.zeros_like(posterior), where=total > 0)
        return np.asarray(posterior @ self.loss.T)

    def risk(self, policy: npt.ArrayLike) -> float:
        """``E loss(U, A)``, the risk of a randomised decoder.

        Parameters
        ----------
        policy : array (contexts, labels, actions)
            The decoder ``P(a|s,y)``; each row sums to one.

        Raises
        ------
        InputError
            If it is no channel or has another shape.
        """
        rule = as_channel("policy", policy, ndim=3)
        require(
            rule.shape == self.canonical_loss.shape,
            f"policy must have shape {self.canonical_loss.shape}; got {rule.shape}.",
        )
        return float((self.data_law[..., None] * rule * self.canonical_loss).sum())
