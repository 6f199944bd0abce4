"""Has gold turned? A sequential test on the checkpoints of a run, whose chance of a false alarm is stated.

That gold never falls along the run so far is what is tested. Prompt by prompt, the mean of the last w checkpoints is
compared with the mean of each earlier block of w, for w = 1, 2, 4, …: where gold never falls, none of these differences
is positive in truth. Of means alone, their order is tested (`falling_ranks`). Bonferroni's inequality covers the
comparisons of a look, and the error is spent over the looks, so that the chance of a false alarm at any of them is at
most what was stated, however long one goes on looking.

The order's test is exact. Of the last w values it counts the pairs in which the earlier one is larger: all pairs
(Kendall), and those between the first half and the last (Mann and Whitney). Where values are a course that never falls
plus independent noise of one law, of whatever shape, neither count is likelier to be large than for a random order,
whose law is known exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, IntArray, as_number, as_numbers, require
from alignlib._core.same import SameFields

__all__ = ["GoldTurn", "falling_ranks", "goes_on", "gold_turn"]

_FEWEST_PROMPTS = 2
_LEAST_ERROR = 1e-9  # below it a tail holds less than rounding leaves of it
_LATE = 3.0  # the error is not spent on the first looks, before which gold can hardly have turned
_FEWEST = 6  # values: of five in falling order one in 120 orders is as far down
_EXACT = 48  # values; of more the counts' tails lie below the normal law's
_KNOTS, _MOST_APART, _LEAST_ALIKE = 24, 5, 0.2
_SURE = 0.95


@cache
def _tail(width: int, halves: bool) -> FloatArray:
    """Return how likely a random order has so many falling pairs or more, for 0, 1, … of them.

    >>> _tail(3, False).round(3).tolist(), _tail(4, True).round(3).tolist()
    ([1.0, 0.833, 0.5, 0.167], [1.0, 0.833, 0.667, 0.333, 0.167])
    """
    half = width // 2
    pairs = half * half if halves else width * (width - 1) // 2
    if width > _EXACT:
        mean = pairs / 2.0
        scale = math.sqrt(half**2 * (width + 1.0) / 12.0 if halves else width * (width - 1.0) * (2 * width + 5) / 72.0)
        return np.asarray(scipy.special.ndtr((mean + 0.5 - np.arange(pairs + 1.0)) / scale))
    orders = [1]
    for size in range(2, width + 1):  # times 1 + q + … + q^(size - 1), or in halves (1 - q^(half + j))/(1 - q^j)
        if halves and size <= half:
            continue
        longer = [*orders, *[0] * (size if halves else size - 1)]
        for i in range(len(longer) - 1, size - 1, -1) if halves else ():
            longer[i] -= longer[i - size]
        step, above = (size - half, size) if halves else (1, size)
        given = longer.copy()
        for i in range(step, len(longer)):
            longer[i] += longer[i - step]
            if not halves and i >= above:
                longer[i] -= given[i - above]
        orders = longer
    counts, total = orders[: pairs + 1], sum(orders[: pairs + 1])
    tail, left = [], total
    for count in counts:
        tail.append(left / total)
        left -= count
    return np.array(tail)


def _widths(size: int) -> list[int]:
    """Return 6, 8, 12, 16, 24, 32, … as far as there are values."""
    return sorted(first * 2**j for first in (6, 8) for j in range(64) if first * 2**j <= size)


def _falling(values: FloatArray, width: int) -> IntArray:
    """Count the falling pairs among the last ``width`` values at each place, (k,); too few are 0.

    >>> _falling(np.array([3.0, 1.0, 2.0, 0.0]), 3).tolist()
    [0, 0, 2, 2]
    """
    found = np.zeros(values.size, dtype=np.int64)
    total = 0
    for i in range(values.size):
        start = max(0, i - width + 1)
        if i >= width:
            total -= int(np.count_nonzero(values[start - 1] > values[start:i]))
        total += int(np.count_nonzero(values[start:i] > values[i]))
        found[i] = total if i >= width - 1 else 0
    return found


def falling_ranks(values: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return at each place how likely a random order falls as clearly there, and how many values tell.

    Bonferroni's inequality covers all counts of a place. Ties are no falls. Noise whose size changes has no such exact
    law; counted are symmetric ones that grow or shrink tenfold, or fiftyfold, along a sequence
    (``python -m benchmarks.gold_turn_study``), where each value dwarfs all before it chances are larger.

    Parameters
    ----------
    values : array (k,)
        In order.

    Returns
    -------
    p : array (k,)
        NaN where there are fewer than six.
    width : array of int (k,)
        The last so many values fell the most clearly: their first half lies above their last.

    Examples
    --------
    >>> p, width = falling_ranks(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 3.9, 3.0, 2.5, 1.0, 0.7, 0.2, -1.0]))
    >>> bool(p[11] < 0.0002), int(width[11]), bool(p[5] > 0.9)
    (True, 8, True)

    Source: Kendall (1938) and Mann and Whitney (1947), whose counts only fall where a course rises.
    """
    k = values.size
    best, width, compared = np.ones(k), np.zeros(k, dtype=np.int64), np.zeros(k)
    pairs: dict[int, IntArray] = {}
    for w in _widths(k):
        place = np.arange(w - 1, k)
        pairs[w] = _falling(values, w)
        found = [_tail(w, False)[pairs[w][place]]]
        half = pairs.get(w // 2)
        if half is not None:  # of six or eight, halves are too few to say anything
            found.append(_tail(w, True)[pairs[w][place] - half[place] - half[place - w // 2]])
        for p in found:
            compared[place] += 1.0
            less = (p < best[place]) | (width[place] == 0)
            best[place[less]], width[place[less]] = p[less], w
    return np.where(compared > 0.0, np.minimum(best * compared, 1.0), np.nan), width


def goes_on(values: FloatArray) -> int:
    """Return how many values apart noise is hardly alike: 1, unless the next is significantly like the one before.

    The course is taken for a cubic with one bend or one step, where it fits best.

    Parameters
    ----------
    values : array (k,)
        In order.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> walk = np.convolve(rng.standard_normal(400), 0.7 ** np.arange(30), "valid")[:100]
    >>> goes_on(walk), goes_on(rng.standard_normal(100))
    (5, 1)
    """
    u = np.linspace(-1.0, 1.0, values.size)
    smooth = np.stack([np.ones_like(u), u, u * u, u**3], axis=1)
    rest = [values - smooth @ np.linalg.lstsq(smooth, values)[0]]
    for knot in np.unique(np.linspace(2, values.size - 3, min(_KNOTS, values.size)).astype(int)):
        for broken in (np.maximum(u - u[knot], 0.0), (u >= u[knot]).astype(np.float64)):
            course = np.column_stack([smooth, broken])
            rest.append(values - course @ np.linalg.lstsq(course, values)[0])
    left = min(rest, key=lambda one: float(one @ one))
    square = float(left @ left)
    if square <= 1e-18 * float(values @ values) or values.size <= 2 * _FEWEST:
        return 1
    # Six coefficients take from the likeness of independent noise about as much as 3/k.
    alike = float(left[1:] @ left[:-1]) / square + 3.0 / values.size
    if alike <= float(scipy.special.ndtri(_SURE)) / math.sqrt(values.size):
        return 1
    alike = min(alike + 1.0 / math.sqrt(values.size), 0.95)
    return min(math.ceil(math.log(_LEAST_ALIKE) / math.log(alike)), _MOST_APART)


@dataclass(frozen=True, eq=False)
class GoldTurn(SameFields):
    """What each look said; NaN at checkpoints where nothing could be tested.

    Gold has turned, by ``error`` in all, where ``p <= spent``.

    Attributes
    ----------
    error : float
        Probability of a false alarm over all looks.
    told_by : str
        What the error of a difference was estimated from: ``"prompts"`` or ``"checkpoints"``.
    fall, fall_error : array (k,)
        The difference that speaks most for a turn at that checkpoint, gold of an earlier block minus that of the last
        one, with its standard error (of means by their scatter, as if of one size).
    p : array (k,)
        Its p-value for all comparisons of the look.
    spent : array (k,)
        The error spent there.
    said_at : int, optional
        Position of the first checkpoint that says so; None without one.
    before, after : (int, int), optional
        First and last position of the two blocks compared there.
    prompts : int, optional
        How many were compared; None where means were.
    apart : int
        Of means, how many checkpoints apart the scatter is hardly alike: 1, unless it significantly goes on from one
        to the next. Alarms then take a fall of checkpoints so far apart, too.

    Examples
    --------
    >>> course = np.concatenate([np.linspace(0.0, 1.0, 6), np.linspace(0.9, 0.0, 6)])
    >>> found = gold_turn(course[:, None] + 0.1 * np.random.default_rng(0).standard_normal((12, 50)))
    >>> found.told_by, found.prompts, found.said_at is not None
    ('prompts', 50, True)
    """

    error: float
    told_by: str
    fall: FloatArray
    fall_error: FloatArray
    p: FloatArray
    spent: FloatArray
    said_at: int | None
    before: tuple[int, int] | None
    after: tuple[int, int] | None
    prompts: int | None = None
    apart: int = 1

    @property
    def blind_from(self) -> int | None:
        """Position of the first checkpoint from which on no fall, however large, is shown; None where one could be.

        Of m prompts that all fall no comparison is less likely by chance than ``0.5^m``.
        """
        k = len(self.p)
        if self.prompts is None or k < 2:
            return None
        compared = np.array([sum((i + 1) // 2**j - 1 for j in range((i + 1).bit_length() - 1)) for i in range(k)])
        blind = np.maximum(compared, 1) * 0.5**self.prompts > self.spent
        return None if not blind[-1] else int(k - np.argmin(blind[::-1])) if not blind[1:].all() else 1

    @property
    def looks(self) -> int:
        """Checkpoints at which something was tested."""
        return int(np.isfinite(self.p).sum())


def gold_turn(gold: npt.ArrayLike, *, error: float = 0.05, looks: int | None = None) -> GoldTurn:
    r"""Test at every checkpoint whether gold has fallen below what it was, in the order in which they came.

    Parameters
    ----------
    gold : array (k,) or (k, m)
        Gold of the k checkpoints in order; mean gold, or that of each of m prompts, the same ones at all checkpoints
        (NaN where one was not scored). By prompts, differences are paired, and one prompt more is counted that rose as
        far as any was apart; the stated error presumes that no prompt in as many rises further, and that no mood of a
        judge moves all. Of means, their order is tested, which takes six checkpoints or more: the error is as stated
        where their noise is independent from one to the next and has one law, of any shape.
    error : float
        Chance of a false alarm at any look, in (0, 1).
    looks : int, optional
        How many checkpoints there will be in all, if that is known: the error is then spent evenly. By default look i
        may spend ``4 error / ((i + 3) (i + 4))``, which sums to ``error`` however many there are.

    Raises
    ------
    InputError
        For fewer than two checkpoints or prompts, or more looks than were said.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> course = np.concatenate([np.linspace(0.0, 1.0, 6), np.linspace(0.9, 0.4, 6)])
    >>> prompts = rng.standard_normal(50) + course[:, None] + 0.5 * rng.standard_normal((12, 50))
    >>> found = gold_turn(prompts)
    >>> found.said_at, gold_turn(prompts[:6]).said_at
    (10, None)

    Source: derived here; Bonferroni's inequality and the spending of error over looks are classical.
    """
    as_number("error", error, _LEAST_ERROR, 1.0, open_high=True)
    values = as_numbers("gold", gold)
    by_prompt, k = values.ndim == 2, len(np.atleast_1d(values))
    require(values.ndim in (1, 2), f"gold must be (k,) or (k, m); got {values.ndim} dimensions.", "gold")
    values = values.reshape(k, -1)
    require(k >= 2, f"gold must hold at least two checkpoints; got {k}.", "gold")
    require(
        not by_prompt or values.shape[1] >= _FEWEST_PROMPTS,
        f"gold must hold at least {_FEWEST_PROMPTS} prompts, or means of checkpoints as one row; got "
        f"{values.shape[1]}.",
        "gold",
    )
    require(by_prompt or bool(np.isfinite(values).all()), "gold must be finite at every checkpoint.", "gold")
    require(looks is None or looks >= k - 1, f"looks must be at least the {k - 1} that there are; got {looks}.")
    fall, fall_error, p = np.full(k, np.nan), np.full(k, np.nan), np.full(k, np.nan)
    order = np.arange(1.0, k)
    share = 4.0 / ((order + _LATE) * (order + _LATE + 1.0)) if looks is None else np.full(k - 1, 1.0 / looks)
    spent = np.concatenate([[0.0], error * share])
    blocks: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {}
    apart = 1
    if not by_prompt:
        fall, fall_error, p, told, apart = _by_means(values[:, 0], spent)
        blocks = {i: ((i + 1 - w, i - w // 2), (i + 1 - w // 2, i)) for i, w in enumerate(told.tolist()) if w}
    for i in range(1, k if by_prompt else 1):
        one = _by_prompt(values[: i + 1])
        if one is not None:
            fall[i], fall_error[i], p[i], width, start = one
            blocks[i] = ((start, start + width - 1), (i - width + 1, i))
    with np.errstate(invalid="ignore"):
        alarms = np.flatnonzero(p <= spent)
    said = int(alarms[0]) if alarms.size else None
    before, after = (None, None) if said is None else blocks[said]
    told_by = "prompts" if by_prompt else "checkpoints"
    prompts = values.shape[1] if by_prompt else None
    return GoldTurn(float(error), told_by, fall, fall_error, p, spent, said, before, after, prompts, apart)


def _blocks(values: FloatArray) -> list[tuple[int, IntArray, FloatArray]]:
    """Return width, starts and fall of the earlier blocks of each width, (blocks, …): their mean minus the last one's.

    >>> [(width, starts.tolist(), fall[:, 0].tolist()) for width, starts, fall in _blocks(np.arange(4.0)[:, None])]
    [(1, [0, 1, 2], [-3.0, -2.0, -1.0]), (2, [0], [-2.0])]
    """
    found, width, end = [], 1, len(values)
    while 2 * width <= end:
        starts = np.arange(end % width, end - width, width)
        earlier = values[starts[0] : end - width].reshape(starts.size, width, -1).mean(axis=1)
        found.append((width, starts, earlier - values[end - width :].mean(axis=0)))
        width *= 2
    return found


Look = tuple[float, float, float, int, int]  # fall, its error, p, width and start of the earlier block


def _by_prompt(values: FloatArray) -> Look | None:
    """Compare at the last checkpoint by Student's law of differences over prompts, with Bonferroni's inequality.

    Of n prompts none tells what one in n might do; so the test counts one more, as far up as any was from the mean.
    """
    best: Look | None = None
    blocks = _blocks(values)
    for width, starts, apart in blocks:
        known = np.isfinite(apart)
        n = known.sum(axis=1)
        apart = np.where(known, apart, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            fall = apart.sum(axis=1) / n
            around = np.where(known, apart - fall[:, None], 0.0)
            square, cube = (around**2).sum(axis=1), (around**3).sum(axis=1)
            spread = np.sqrt(square / (n - 1.0) / n)
            t, skew = _with_one_more(fall, square, cube, float(np.abs(around).max()), n)
            p = scipy.special.stdtr(n, -_without_skew(t, skew, n + 1))
        p = np.where(np.isfinite(t), p, np.where(fall > 0.0, 0.0, 1.0))  # all prompts moved alike, in all comparisons
        # Prompts that moved tell no more than as many tosses of a coin: of right and wrong answers few may move.
        p = np.where(n >= _FEWEST_PROMPTS, np.maximum(p, 0.5 ** np.count_nonzero(apart, axis=1)), np.inf)
        j = int(np.argmin(p))
        if np.isfinite(p[j]) and (best is None or p[j] < best[2]):
            best = float(fall[j]), float(spread[j]), float(p[j]), width, int(starts[j])
    if best is None:
        return None
    compared = sum(starts.size for _, starts, _ in blocks)
    return best[0], best[1], min(1.0, compared * best[2]), best[3], best[4]


def _with_one_more(
    fall: FloatArray, square: FloatArray, cube: FloatArray, far: float, n: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return Student's statistic and skewness with one prompt more, which rose ``far`` further than the others' mean.

    ``square`` and ``cube`` are sums of powers around the mean ``fall``; ``far`` how far any prompt was from it.
    Where few prompts rise far, the next one might be such a prompt, and prompts without one look like a fall.
    """
    shift = far / (n + 1.0)
    squares = square + far**2 * n / (n + 1.0)
    cubes = cube + 3.0 * shift * square + n * shift**3 - (far - shift) ** 3
    t = (fall - shift) / np.sqrt(squares / n / (n + 1.0))
    return t, cubes / (n + 1.0) / (squares / n) ** 1.5


def _without_skew(t: FloatArray, skew: FloatArray, n: IntArray) -> FloatArray:
    """Return Student's statistic as it would be without skewness, and never larger.

    Where few prompts rise far, a sample that lacks them looks like a fall.

    Source: Hall (1992), the cubic transformation.
    """
    u, g = t / np.sqrt(n), np.minimum(skew, 0.0)
    return np.asarray(np.minimum(np.sqrt(n) * (u + g * u**2 / 3.0 + g**2 * u**3 / 27.0 + g / (6.0 * n)), t))


def _by_means(values: FloatArray, spent: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, IntArray, int]:
    """Return fall, its error, p and how many values tell, at each checkpoint, by their order; last, how far apart.

    The fall is that from the first half of these to their last, its error told by second differences so far: a straight
    course has none. Where noise is significantly like the one before, an alarm must also be one of checkpoints so far
    apart that it hardly is.
    """
    p, width = falling_ranks(values)
    apart = 1
    for i in np.flatnonzero(p <= spent).tolist():
        apart = goes_on(values[: i + 1])
        if apart > 1:
            thinned = falling_ranks(values[i % apart : i + 1 : apart])[0][-1]
            p[i] = 1.0 if np.isnan(thinned) else max(p[i], float(thinned))
        if p[i] <= spent[i]:
            break
    fall, error = np.full(values.size, np.nan), np.full(values.size, np.nan)
    for i in np.flatnonzero(np.isfinite(p)).tolist():
        half, middle = width[i] // 2, i + 1 - width[i] // 2
        fall[i] = values[middle - half : middle].mean() - values[middle : i + 1].mean()
        error[i] = math.sqrt(np.mean(np.diff(values[: i + 1], 2) ** 2) / 6.0 * 2.0 / half)
    return fall, error, p, width, apart
