"""pass@k, pass^k, maj@k and best-of-k by a verifier, from a table of checked responses, with intervals over prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray, as_level, as_rng, as_vector, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.estimation import bounded_mean_interval
from alignlib.pass_at_k.formulas import all_of_k_estimate, pass_at_k_estimate
from alignlib.pass_at_k.votes import Majority, majority_estimate
from alignlib.rules import BestOfN, prepare
from alignlib.tables import AnswerTable

__all__ = ["Measured", "PassEstimate", "check_k", "estimate_pass_at_k"]
_NAMES = ("some", "every", "majority", "picked", "difference")


@dataclass(frozen=True, eq=False)
class Measured(SameFields):
    """A mean over prompts at each k, with its interval.

    Attributes
    ----------
    value : array (ks,)
        The mean.
    low, high : array (ks,)
        Ends of its interval over prompts.

    Examples
    --------
    >>> found = estimate_pass_at_k(AnswerTable.from_arrays([[1, 0], [1, 1], [0, 0]]), [1]).some
    >>> found.value.tolist(), bool(found.low[0] < 0.5 < found.high[0])
    ([0.5], True)
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class PassEstimate(SameFields):
    """What k responses do, at each ``k``. What was not asked for is None.

    Attributes
    ----------
    k : array of int (ks,)
        Numbers of responses.
    prompts : array of int (ks,)
        Prompts with at least k responses, over which a row is averaged.
    some, every : Measured
        pass@k, the chance that one of k is right, and pass^k, that all are.
    majority : Measured, optional
        maj@k, ties broken at random.
    ties_lost, ties_won : array (ks,), optional
        Its values if every tie with a wrong answer were lost or won.
    vote_error : array (ks,), optional
        Standard error of subsets drawn where votes were too many to count, else 0.
    picked : Measured, optional
        How often the best-scored of k is right, ties of the score averaged.
    difference : Measured, optional
        ``picked`` minus ``majority`` on the same responses.
    n_prompts, n_samples : int
        Prompts, and responses in all.
    fewest, most : int
        Responses of a prompt.
    never_right, always_right : int
        Prompts of which no response is right, and of which all are.
    level : float
        Coverage that the intervals aim at.
    notes : tuple of str
        Sentences on what was left out.

    Examples
    --------
    >>> found = estimate_pass_at_k(AnswerTable.from_arrays([[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]), [1, 2])
    >>> found.k.tolist(), found.never_right, found.always_right, found.majority is None
    ([1, 2], 1, 1, True)
    """

    k: IntArray
    prompts: IntArray
    some: Measured
    every: Measured
    majority: Measured | None
    ties_lost: FloatArray | None
    ties_won: FloatArray | None
    vote_error: FloatArray | None
    picked: Measured | None
    difference: Measured | None
    n_prompts: int
    n_samples: int
    fewest: int
    most: int
    never_right: int
    always_right: int
    level: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Return the ends of pass@k."""
        ends = f"pass@{self.k[0]} {self.some.value[0]:.3g}, pass@{self.k[-1]} {self.some.value[-1]:.3g}"
        return f"<PassEstimate: {counted(self.n_prompts, 'prompt')}, {ends}>"


def estimate_pass_at_k(
    table: AnswerTable, k: Sequence[float] | None = None, *, level: float = 0.95, rng: np.random.Generator | int = 0
) -> PassEstimate:
    """Estimate pass@k and pass^k, with answers maj@k, with scores best-of-k, each without bias on each prompt.

    Each is a mean over all subsets of k responses of a prompt, then over the prompts that have k. The interval is for
    prompts like these, which count as drawn independently; it has a width even where all prompts agree.

    Parameters
    ----------
    table : AnswerTable
        Which responses are right, what they answer, how a verifier scores them.
    k : list of int, optional
        Numbers of responses; by default powers of two up to the fewest responses of a prompt.
    level : float
        Coverage of the intervals, in (0, 1).
    rng : Generator or int
        Used only where a prompt's votes are too many to count.

    Raises
    ------
    InputError
        For a k that is not a whole number from 1 on, or that exceeds the responses of every prompt.

    Examples
    --------
    >>> found = estimate_pass_at_k(AnswerTable.from_arrays([[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]), [1, 2])
    >>> found.some.value.round(4).tolist(), found.every.value.round(4).tolist()
    ([0.4167, 0.5], [0.4167, 0.3333])

    Source: ChenM2021 (pass@k), Yao2024 (pass^k), Wang2023 (majority vote); the interval is `bounded_mean_interval`.
    """
    as_level(level)
    generator = as_rng(rng)
    sizes, right = table.n_samples, table.n_correct
    ks = _checked(k, sizes)
    notes = list(table.notes)
    columns: dict[str, list[tuple[float, float, float]]] = {name: [] for name in _NAMES}
    extra: dict[str, list[float]] = {"ties_lost": [], "ties_won": [], "vote_error": []}
    answers = None if table.answer is None else list(table.answers())
    for size in ks.tolist():
        kept = sizes >= size
        some = np.asarray(pass_at_k_estimate(sizes[kept], right[kept], size))
        every = np.asarray(all_of_k_estimate(sizes[kept], right[kept], size))
        values = {"some": some, "every": every}
        if answers is not None:
            votes = [
                majority_estimate(one.counts, one.right, size, abstaining=one.abstaining, rng=generator)
                if one.counts.size
                else Majority(0.0, 0.0, 0.0)
                for one, in_row in zip(answers, kept, strict=True)
                if in_row
            ]
            values["majority"] = np.array([one.value for one in votes])
            extra["ties_lost"].append(float(np.mean([one.ties_lost for one in votes])))
            extra["ties_won"].append(float(np.mean([one.ties_won for one in votes])))
            extra["vote_error"].append(float(np.linalg.norm([one.error for one in votes])) / len(votes))
        if table.score is not None:
            values["picked"] = _picked(table, kept, size)
        if "majority" in values and "picked" in values:
            # One response is chosen by whatever chooses: there they are the same on every prompt there can be.
            values["difference"] = values["picked"] - values["majority"] if size > 1 else np.zeros(some.size)
        for name, found in values.items():
            low = -1.0 if name == "difference" else 0.0
            known = name == "difference" and size == 1
            ends = (0.0, 0.0) if known else bounded_mean_interval(found, level, low=low, high=1.0)
            columns[name].append((float(found.mean()), *ends))
        if not kept.all():
            notes.append(
                f"k = {size}: {counted(int((~kept).sum()), 'prompt')} of {kept.size} with fewer than {size} responses "
                "are not in this row; compare it with other rows on the same prompts only."
            )
    rate = right / sizes
    return PassEstimate(
        k=ks,
        prompts=np.array([int((sizes >= size).sum()) for size in ks]),
        **{name: _measured(columns[name]) for name in _NAMES},  # type: ignore[arg-type]
        **{name: np.array(found) if found else None for name, found in extra.items()},  # type: ignore[arg-type]
        n_prompts=table.n_prompts,
        n_samples=int(sizes.sum()),
        fewest=int(sizes.min()),
        most=int(sizes.max()),
        never_right=int((rate == 0.0).sum()),
        always_right=int((rate == 1.0).sum()),
        level=level,
        notes=tuple(notes),
    )


def check_k(k: Sequence[float]) -> FloatArray:
    """Refuse numbers of responses that are none, before any table is read.

    Parameters
    ----------
    k : sequence of float
        Numbers of responses.

    Returns
    -------
    array (ks,)
        The same, as given.

    Raises
    ------
    InputError
        If one is no whole number from 1 on.

    Examples
    --------
    >>> check_k([1, 4]).tolist()
    [1.0, 4.0]
    """
    ks = as_vector("k", np.atleast_1d(np.asarray(k)))
    wrong = ks[(ks != np.round(ks)) | (ks < 1.0)]
    require(not wrong.size, f"k must hold whole numbers from 1 on; got {wrong[:1].sum():g}.", "k")
    return ks


def _checked(k: Sequence[float] | None, sizes: IntArray) -> IntArray:
    if k is None:
        return np.asarray(2 ** np.arange(int(sizes.min()).bit_length()), dtype=np.int64)
    ks = check_k(k)
    if ks.max() > sizes.max():
        raise InputError(
            f"k must not exceed the responses to a prompt, at most {int(sizes.max())} here; got {ks.max():g}. A larger "
            "k cannot be estimated without a model of the prompts; lower k, or draw more responses.",
            argument="k",
        )
    return np.asarray(np.unique(ks.astype(np.int64)))


def _picked(table: AnswerTable, kept: BoolArray, k: int) -> FloatArray:
    """How often the best-scored of k responses is right on each prompt kept: a mean over subsets, ties averaged."""
    assert table.score is not None
    found = np.empty(kept.size)
    sizes = table.n_samples
    for size in np.unique(sizes[kept]).tolist():
        where = np.flatnonzero(sizes == size)
        rows = table.offsets[where][:, None] + np.arange(size)
        samples = prepare(table.score[rows], table.correct[rows].astype(np.float64))
        found[where] = BestOfN(k).mean_kept(samples)
    return np.asarray(np.clip(found[kept], 0.0, 1.0))


def _measured(points: list[tuple[float, float, float]]) -> Measured | None:
    return Measured(*np.array(points).T) if points else None
