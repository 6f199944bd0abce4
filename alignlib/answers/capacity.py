"""How much of what people value their feedback can carry to a learner, and the error that no learner avoids."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib.bottleneck import estimate_capacity, fano_floor
from alignlib.tables import RaterTable

__all__ = ["CapacityAnswer", "ContextCapacity", "ask_capacity"]


@dataclass(frozen=True)
class ContextCapacity:
    """Capacity of one context in nats per label, with its interval, and the floor of error that it implies.

    ``plug_in`` is the capacity of the counted frequencies, not corrected for the bias of counting. ``floor_low`` and
    ``floor_high`` enclose the smallest error of any learner that sees one label about one of equally likely targets.
    ``supported`` is False where the interval may hold the truth less often than its level says.
    """

    context: str
    labels: int
    capacity: float
    low: float
    high: float
    plug_in: float
    floor_low: float
    floor_high: float
    supported: bool


@dataclass(frozen=True)
class CapacityAnswer:
    """Capacities of a table of ratings: one per context, and ``average`` over the contexts where there are several.

    ``n_raters`` counts the raters left out in turn for the intervals; None where labels count as independent.
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


def ask_capacity(table: RaterTable, *, level: float = 0.95, by_rater: bool = False) -> CapacityAnswer:
    """Estimate the capacity of each context of ``table``, and the floor of error that follows.

    Parameters
    ----------
    table : RaterTable
        Who said what about which target.
    level : float
        Coverage of the intervals, in (0, 1).
    by_rater : bool
        Whether whole raters are left out in turn for the intervals; see `estimate_capacity`.

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
    found = estimate_capacity(table, level=level, by_rater=by_rater)
    n = len(table.targets)

    def row(
        context: str, labels: int, value: float, plug_in: float, low: float, high: float, supported: bool
    ) -> ContextCapacity:
        # The lower end of the floor's interval belongs to the upper end of the capacity's.
        floor_low, floor_high = fano_floor(high, n), fano_floor(low, n)
        return ContextCapacity(context, labels, value, low, high, plug_in, floor_low, floor_high, supported)

    contexts = tuple(
        row(name, one.n_labels, one.value, one.plug_in, float(low), float(high), one.supported)
        for name, one, low, high in zip(found.contexts, found.each, found.low, found.high, strict=True)
    )
    ends = (found.mean, found.mean_plug_in, found.mean_low, found.mean_high, found.supported)
    return CapacityAnswer(
        contexts=contexts,
        average=row("average", table.n_labels, *ends) if len(contexts) > 1 else None,
        targets=n,
        labels=len(table.labels),
        n_raters=len(table.raters) if by_rater else None,
        level=level,
        notes=tuple(table.notes),
    )
