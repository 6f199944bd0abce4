"""How much of what people value their feedback can carry to a learner, and the error that no learner avoids."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alignlib._core.doors import guard
from alignlib.bottleneck import DecoderError, estimate_capacity, fano_floor, label_floor
from alignlib.tables import RaterTable

__all__ = ["CapacityAnswer", "ContextCapacity", "ask_capacity"]


@dataclass(frozen=True)
class ContextCapacity:
    """Capacity of one context in nats per label, and the floor of error that it implies.

    In expectation the exact Bayes error of the channel lies between the two errors of the decoder.

    Attributes
    ----------
    context : str
        Its name.
    labels : int
        Labels that were counted.
    capacity, low, high : float
        In nats, with its interval.
    plug_in : float
        The capacity of the counted frequencies, not corrected for the bias of counting.
    floor, floor_low, floor_high : float
        What Fano's inequality makes of it: no learner errs less often who sees one label about one of the ``targets``,
        equally likely.
    supported : bool
        False where the interval may hold the truth less often than its level says.
    targets : int
        Targets that were told apart.
    label_floor : float
        The error that too few labels force: at most as many targets are ever named as there are labels.
    decoder_error, decoder_error_held_out : float
        Error of the best decoder of the counted channel, on its own counts and on labels that it has not seen.
    """

    context: str
    labels: int
    capacity: float
    low: float
    high: float
    plug_in: float
    floor: float
    floor_low: float
    floor_high: float
    supported: bool
    targets: int
    label_floor: float
    decoder_error: float
    decoder_error_held_out: float


@dataclass(frozen=True)
class CapacityAnswer:
    """Capacities of a table of ratings.

    Attributes
    ----------
    contexts : tuple of ContextCapacity
        One for each context.
    average : ContextCapacity, optional
        Over the contexts, where there are several.
    targets, labels : int
        How many different ones the table has.
    n_raters : int, optional
        Raters left out in turn for the intervals; None where labels count as independent.
    level : float
        Coverage that the intervals aim at.
    notes : tuple of str
        Sentences on what was left out.
    """

    contexts: tuple[ContextCapacity, ...]
    average: ContextCapacity | None
    targets: int
    labels: int
    n_raters: int | None
    level: float
    notes: tuple[str, ...]

    @property
    def rows(self) -> tuple[ContextCapacity, ...]:
        """The contexts, then their average if there is one."""
        return self.contexts if self.average is None else (*self.contexts, self.average)


def ask_capacity(
    table: RaterTable,
    *,
    level: float = 0.95,
    by_rater: bool | None = None,
    tell: Callable[[str, int, int], None] | None = None,
) -> CapacityAnswer:
    """Estimate the capacity of each context of ``table``, and the floor of error that follows.

    Parameters
    ----------
    table : RaterTable
        Who said what about which target.
    level : float
        Coverage of the intervals, in (0, 1).
    by_rater : bool, optional
        Whether whole raters are left out in turn for the intervals; see `estimate_capacity`. By default where the table
        names several.
    tell : callable, optional
        Told how far that is; see `estimate_capacity`.

    Raises
    ------
    ValueError
        As `estimate_capacity`.

    Examples
    --------
    >>> table = RaterTable.from_arrays(["a", "b"] * 500, ["a", "b"] * 400 + ["a", "a"] * 100)
    >>> answer = ask_capacity(table)
    >>> answer.average is None, answer.contexts[0].floor_low < answer.contexts[0].floor_high
    (True, True)
    """
    if by_rater is None and isinstance(table, RaterTable):
        by_rater = len(table.raters) > 1
    found = estimate_capacity(table, level=level, by_rater=bool(by_rater), tell=tell)
    n_labels = len(table.labels)

    def row(
        context: str,
        labels: int,
        value: float,
        plug_in: float,
        ends: tuple[float, float],
        supported: bool,
        targets: int,
        error: DecoderError,
    ) -> ContextCapacity:
        low, high = ends
        return ContextCapacity(
            context=context,
            labels=labels,
            capacity=value,
            low=low,
            high=high,
            plug_in=plug_in,
            floor=_floor(value, targets),
            # The lower end of the floor's interval belongs to the upper end of the capacity's.
            floor_low=_floor(high, targets),
            floor_high=_floor(low, targets),
            supported=supported,
            targets=targets,
            label_floor=label_floor(n_labels, targets),
            decoder_error=error.in_sample,
            decoder_error_held_out=error.held_out,
        )

    contexts = tuple(
        row(name, one.n_labels, one.value, one.plug_in, (float(low), float(high)), one.supported, targets, error)
        for name, one, low, high, targets, error in zip(
            found.contexts, found.each, found.low, found.high, found.n_targets, found.decoders, strict=True
        )
    )
    average = None
    if len(contexts) > 1:
        weight = found.context_prob
        error = DecoderError(
            float(weight @ np.array([one.in_sample for one in found.decoders])),
            float(weight @ np.array([one.held_out for one in found.decoders])),
        )
        # Fano's floor is convex in the capacity and grows with the number of targets, so the smallest is valid.
        few = min(found.n_targets)
        ends = (found.mean_low, found.mean_high)
        average = row("average", table.n_labels, found.mean, found.mean_plug_in, ends, found.supported, few, error)
    return CapacityAnswer(
        contexts=contexts,
        average=average,
        targets=len(table.targets),
        labels=n_labels,
        n_raters=len(table.raters) if by_rater else None,
        level=level,
        notes=(*table.notes, *found.notes),
    )


def _floor(capacity: float, targets: int) -> float:
    """Fano's floor; 0 from ``log M`` on, where an estimate may lie."""
    return 0.0 if capacity >= math.log(targets) else fano_floor(max(capacity, 0.0), targets)


guard(globals())
