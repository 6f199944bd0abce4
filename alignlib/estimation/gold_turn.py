"""Has gold turned? A sequential test on the checkpoints of a run, whose chance of a false alarm is stated.

That gold never falls along the run so far is what is tested. Prompt by prompt, the mean of the last w checkpoints is
compared with the mean of each earlier block of w, for w = 1, 2, 4, …: where gold never falls, none of these differences
is positive in truth. Of means alone, their order is tested (`falling_ranks`). Bonferroni's inequality covers the
comparisons of a look, and the error is spent over the looks, so that the chance of a false alarm at any of them is at
most what was stated, however long one goes on looking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, IntArray, as_number, as_numbers, require
from alignlib._core.same import SameFields
from alignlib.estimation.falling_ranks import falling_ranks, goes_on

__all__ = ["GoldTurn", "gold_turn"]

_FEWEST_PROMPTS = 2
_LEAST_ERROR = 1e-9  # below it a tail holds less than rounding leaves of it
_LATE = 3.0  # the error is not spent on the first looks, before which gold can hardly have turned


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
