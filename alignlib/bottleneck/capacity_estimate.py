"""Capacity of feedback estimated from a table of ratings: per context and on average, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_level, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.bottleneck._channel import context_law
from alignlib.bottleneck.confusion_estimate import ConfusionEstimate, estimate_from_counts
from alignlib.bottleneck.counted_decoder import DecoderError, decoder_error, decoder_error_by_rater
from alignlib.bottleneck.counted_draws import CapacityDraws
from alignlib.bottleneck.over_raters import Tell, ends_over_raters, leave_out_raters
from alignlib.tables import RaterTable

__all__ = ["CapacityEstimate", "estimate_capacity"]

_MANY_RATERS = 100  # fewer may lack a kind of rater that matters to the second digit


@dataclass(frozen=True, eq=False)
class CapacityEstimate(SameFields):
    """Capacities of a table of ratings: one per context, and their average over the law of the context, in nats.

    Intervals stay between 0 and the logarithm of the number of targets or labels in use; the values are not cut.

    Attributes
    ----------
    contexts : tuple of str
        Names of the contexts.
    context_prob : array (contexts,)
        Weight of each in the average.
    each : tuple of ConfusionEstimate
        What is known of each context's capacity.
    low, high : array (contexts,)
        Ends of the interval of each capacity, in nats.
    mean : float
        Average capacity, corrected for its bias.
    mean_plug_in : float
        The same of the counts as they are, too large on average.
    mean_low, mean_high : float
        Ends of its interval.
    mean_standard_error : float
        Its standard error in nats.
    level : float
        Coverage that the intervals aim at.
    supported : bool
        Whether there are labels enough to believe them.
    n_clusters : int, optional
        Raters left out in turn; None where labels count as independent.
    inflation : array (contexts + 1,)
        For each context and last for the average: how much larger the variance is than that of independent labels, 1
        unless raters were left out in turn.
    decoders : tuple of DecoderError
        Errors of the best decoder of each context's counts.
    n_targets : tuple of int
        Targets that each of them told apart.
    notes : tuple of str
        Sentences on what was left out.

    Examples
    --------
    >>> target = np.arange(200) % 2
    >>> found = estimate_capacity(RaterTable.from_arrays(target, np.where(np.arange(200) % 10, target, 1 - target)))
    >>> found.contexts, bool(found.mean_low < found.mean < found.mean_high), found.decoders[0].in_sample
    (('all',), True, 0.09999999999999998)
    """

    contexts: tuple[str, ...]
    context_prob: FloatArray
    each: tuple[ConfusionEstimate, ...]
    low: FloatArray
    high: FloatArray
    mean: float
    mean_plug_in: float
    mean_low: float
    mean_high: float
    mean_standard_error: float
    level: float
    supported: bool
    n_clusters: int | None
    inflation: FloatArray
    decoders: tuple[DecoderError, ...]
    n_targets: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def value(self) -> FloatArray:
        """Corrected capacity of each context, shape (contexts,)."""
        return np.array([one.value for one in self.each])


def estimate_capacity(
    table: RaterTable,
    *,
    context_prob: npt.ArrayLike | None = None,
    level: float = 0.95,
    by_rater: bool = False,
    tell: Tell | None = None,
) -> CapacityEstimate:
    """Estimate the capacity of each context and their average ``C̄`` from ratings.

    The intervals are read off channels that could have given the counts, drawn with one more label where it would harm
    most (`CapacityDraws`). With ``by_rater`` there are as many fewer labels as the spread between raters asks for.

    Parameters
    ----------
    table : RaterTable
        Who said what about which target. A target with a single label in a context shows no spread there and is left
        out of it, with a note.
    context_prob : array (contexts,), optional
        How often each context occurs in use; the shares of the table's labels if omitted.
    level : float
        Coverage of the intervals, in (0, 1).
    by_rater : bool
        With False, labels are taken as independent given target and context. With True, whole raters are left out in
        turn (a jackknife) and drawn anew with one more of a kind not seen, which allows for raters who differ and for
        kinds that no rater of the table is of (`ends_over_raters`); the intervals are then wider. Where several labels
        are of one item, they go together by item: give the item as the rater. It assumes that raters are drawn
        independently.
    tell : callable, optional
        Told how far ``by_rater`` is: ``"leave out"`` or ``"draw"``, how many raters or draws are done, of how many.

    Raises
    ------
    InputError
        If fewer than two targets of a context have two labels, or fewer than three raters are to be left out in turn.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> target = rng.integers(0, 2, 400)
    >>> table = RaterTable.from_arrays(target, target ^ (rng.random(400) < 0.1))
    >>> found = estimate_capacity(table)
    >>> bool(found.mean_low < 0.3681 < found.mean_high)
    True

    Source: C25 asks for the capacity to be measured; the estimator is derived here.
    """
    require(
        isinstance(table, RaterTable),
        f"table must be a RaterTable, of which RaterTable.from_arrays makes one; got {quoted(table)}.",
        "table",
    )
    as_level(level)
    shares = np.bincount(table.context, minlength=len(table.contexts)) / table.n_labels
    weight = shares if context_prob is None else context_law(context_prob, len(table.contexts))
    counts, notes = table.counts(), []
    for context, name in zip(counts, table.contexts, strict=True):
        notes += _leave_lone_out(context, name, table)
    each = tuple(estimate_from_counts(context) for context in counts)
    value = np.array([one.value for one in each])
    independent = np.array([one.standard_error for one in each])
    errors = np.append(independent, np.sqrt((weight * independent) @ (weight * independent)))
    inflation = np.ones(errors.size)
    n_clusters = None
    if by_rater:
        n_clusters = len(table.raters)
        left_out, alone = leave_out_raters(table, counts, each, weight, tell)
        wider = float(scipy.special.stdtrit(n_clusters - 1, 0.5 + level / 2) / scipy.special.ndtri(0.5 + level / 2))
        ratio = np.divide(left_out * wider, errors, out=np.ones_like(errors), where=errors > 0)
        inflation, errors = np.maximum(ratio**2, 1.0), np.maximum(left_out, errors)
        if alone:
            notes.append(
                f"{counted(alone, 'target')} with labels of one rater only: how raters differ on them is not seen."
            )
    elif len(table.raters) > 1:
        notes.append(
            f"Labels count as independent, though {len(table.raters)} raters gave them; by_rater=True allows for "
            "raters who differ."
        )
    ceilings = np.array([one.ceiling for one in each])
    top = np.append(ceilings, weight @ ceilings)
    low, high = _intervals(each, weight, inflation, level, top)
    if by_rater and n_clusters is not None:
        if n_clusters < _MANY_RATERS:
            notes.append(_of_these(n_clusters, *_intervals(each, weight, np.ones(errors.size), level, top), level))
        drawn = ends_over_raters(table, counts, each, weight, level, tell)
        low, high = np.clip(np.minimum(low, drawn[0]), 0.0, None), np.minimum(np.maximum(high, drawn[1]), top)
    return CapacityEstimate(
        contexts=table.contexts,
        context_prob=weight,
        each=each,
        low=low[:-1],
        high=high[:-1],
        mean=float(weight @ value),
        mean_plug_in=float(weight @ np.array([one.plug_in for one in each])),
        mean_low=float(low[-1]),
        mean_high=float(high[-1]),
        mean_standard_error=float(errors[-1]),
        level=level,
        supported=all(one.supported for one, w in zip(each, weight, strict=True) if w > 0),
        n_clusters=n_clusters,
        inflation=inflation,
        decoders=tuple(_decoder(table, i, context, by_rater) for i, context in enumerate(counts)),
        n_targets=tuple(int((context.sum(axis=1) > 0).sum()) for context in counts),
        notes=tuple(notes),
    )


def _of_these(raters: int, low: FloatArray, high: FloatArray, level: float) -> str:
    """Say what the interval over raters allows for, and what these raters alone have."""
    unseen = -math.expm1(math.log(0.5 - level / 2.0) / raters)
    return (
        f"{raters} raters are few: up to {100.0 * unseen:.2g} % of all raters may be of a kind that none of them is "
        "of, such as those who answer without looking; the interval allows for it. For labels of these raters alone it "
        f"is {low[-1]:.4f} … {high[-1]:.4f}{' on average' if low.size > 2 else ''}."
    )


def _decoder(table: RaterTable, context: int, counts: FloatArray, by_rater: bool) -> DecoderError:
    """Errors of the best decoder on the targets that are left in a context."""
    kept = counts.sum(axis=1) > 0
    if not by_rater:
        return decoder_error(counts)
    place = np.cumsum(kept) - 1
    here = (table.context == context) & kept[table.target]
    shape = (int(kept.sum()), len(table.labels))
    return decoder_error_by_rater(place[table.target[here]], table.label[here], table.rater[here], shape)


def _leave_lone_out(counts: FloatArray, name: str, table: RaterTable) -> list[str]:
    """Take out the targets of a context that have one label only; say how many."""
    size = counts.sum(axis=1)
    lone = np.flatnonzero(size == 1)
    if not lone.size:
        return []
    if int((size > 1).sum()) < 2:
        raise InputError(
            f"target {table.targets[int(lone[0])]!r} has a single label in context {name!r} ({lone.size} such "
            "targets), and fewer than two targets have more; one label shows no spread. Collect more."
        )
    counts[lone] = 0.0
    where = f" of context {name!r}" if len(table.contexts) > 1 else ""
    many = counted(int(lone.size), "target")
    return [
        f"{many}{where} with a single label left out, such as {table.targets[int(lone[0])]!r}: one shows no spread."
    ]


def _intervals(
    each: tuple[ConfusionEstimate, ...], weight: FloatArray, inflation: FloatArray, level: float, top: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Intervals of each context and of their average, independent of each other."""

    # Draws go by what contexts hold, not by the order of their names.
    order = np.lexsort(([one.plug_in for one in each], [one.counts.sum() for one in each]))
    place = np.argsort(order).tolist()

    def drawn(i: int, times: float) -> CapacityDraws:
        one = each[i]
        return CapacityDraws.of(one.counts, one.prob, one.plug_in, one.bias, inflation=times, number=place[i])

    own = [drawn(i, float(times)) for i, times in enumerate(inflation[:-1])]
    together = own if len(own) == 1 else [drawn(i, float(inflation[-1])) for i in range(len(each))]
    ends = [one.interval(level) for one in (*own, CapacityDraws.average(together, weight))]
    low, high = np.array(ends).T
    return np.clip(low, 0.0, top), np.clip(high, 0.0, top)
