"""KL per sequence from KL per token, with what that misses, and what a negative or vanishing KL means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.training.logs.log_format import LogRows

__all__ = ["PerSequence", "of_decimals", "per_sequence", "without_rounding"]

_ROUNDING = {"token": 1e-6, "sequence": 1e-5}  # nats: log-probabilities in float32, of some units, have seven digits
_SMALLEST = 1e-102  # nats: what is smaller has been measured by nobody, and its square is none
_SEVERAL, _DECIMALS, _MATTERS = 4, 4, 0.02  # checkpoints, decimals, and the part of the largest KL
_SURE = 4.0  # standard errors


@dataclass(frozen=True, eq=False)
class PerSequence(SameFields):
    """KL in nats per sequence.

    Attributes
    ----------
    kl : array (k,)
        As logged, or times the mean length.
    low, high : array (k,), optional
        Ends between which it lies, where the product need not be it; infinite where nothing bounds it.
    notes : tuple of str
        What is to be said of the conversion.
    """

    kl: FloatArray
    low: FloatArray | None
    high: FloatArray | None
    notes: tuple[str, ...]


def per_sequence(rows: LogRows, lengths: tuple[float, float] | None = None) -> PerSequence:
    """Return the KL of each checkpoint in nats per sequence, its bounds, and what is to be said of the conversion.

    With ``s`` the KL of a response and ``n`` its tokens, the wished mean of ``s`` is the logged KL times the mean
    length where the log divides the sum of ``s`` by that of ``n``. Where it averages ``s / n`` over responses, or such
    quotients over parts of a batch, ``least · kl ≤ mean s ≤ largest · kl``, for ``s ≥ 0`` and ``least ≤ n ≤ largest``;
    both ends are reached, so nothing sharper follows from means. Parts that are weighted by their mean length weigh a
    response by up to ``largest / least`` more or less, which widens both ends by that.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as the log holds them.
    lengths : (float, float), optional
        Least and largest tokens of a response, where the log does not hold them or they are to be believed more.

    Raises
    ------
    InputError
        If a mean length lies outside ``lengths``.
    """
    if rows.length is None:
        return PerSequence(rows.kl, None, None, ())
    product = rows.kl * rows.length
    said = f"{rows.kl_name!r} is in nats per token and was multiplied by the mean length."
    if rows.mean_over in ("responses", "parts") or lengths is not None:
        least, largest = _lengths(rows, lengths)
        wider = largest / least if rows.mean_over == "parts" else np.ones(rows.kl.size)
        with np.errstate(invalid="ignore", over="ignore"):  # 0 times infinity
            low, high = rows.kl * least / wider, np.where(rows.kl == 0.0, 0.0, rows.kl * largest * wider)
        # Where the mean is negative some response's is, and no end follows.
        low, high = np.where(rows.kl < 0.0, 0.0, low), np.where(rows.kl < 0.0, np.inf, high)
        return PerSequence(product, low, high, (_bound(rows, low, high, lengths),))
    if rows.mean_over == "tokens":
        said += (
            " That is the batch's mean KL per sequence, for the KL is a mean over all tokens, if both are of the same "
            "responses; where parts of a batch were averaged first it misses what length and KL per token share"
            f"{_at(rows)}"
        )
    else:
        said += (
            " That is the batch's mean KL per sequence where both are means over the same tokens of the same "
            "responses; where batches or responses were averaged first it misses the covariance of length and KL per "
            f"token{_at(rows)}"
        )
    return PerSequence(product, None, None, (said,))


def _lengths(rows: LogRows, given: tuple[float, float] | None) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest tokens of a response at each checkpoint: logged, given, or 1 and infinite."""
    assert rows.length is not None
    size = rows.kl.size
    shortest = np.full(size, np.nan) if rows.shortest is None else rows.shortest
    longest = np.full(size, np.nan) if rows.longest is None else rows.longest
    least, largest = np.where(shortest >= 1.0, shortest, 1.0), np.where(np.isnan(longest), np.inf, longest)
    if given is not None:
        outside = (rows.length < given[0]) | (rows.length > given[1])
        if outside.any():
            i = int(np.argmax(outside))
            raise InputError(
                f"lengths must hold the mean length of every checkpoint; got {given[0]:g} to {given[1]:g}, and at step "
                f"{rows.step[i]:g} responses have {rows.length[i]:g} tokens on average.",
                argument="lengths",
            )
        least, largest = np.maximum(least, given[0]), np.minimum(largest, given[1])
    return np.minimum(least, rows.length), np.maximum(largest, rows.length)


def _at(rows: LogRows) -> str:
    """Say between which KLs the mean lies if parts of the batch were averaged first; end the sentence."""
    if rows.shortest is None or rows.longest is None:
        return ", which least and largest tokens of a response (lengths) would bound."
    least, largest = _lengths(rows, None)
    known = np.flatnonzero(np.isfinite(rows.kl * largest))
    if not known.size:
        return "."
    i = int(known[-1])
    low, high = rows.kl[i] * least[i], rows.kl[i] * largest[i]
    return (
        f", and at step {rows.step[i]:g} lies between {low:.3g} and {high:.3g} nats (by its least and largest length)."
    )


def _bound(rows: LogRows, low: FloatArray, high: FloatArray, lengths: tuple[float, float] | None) -> str:
    """Say between which KLs the mean of products lies where only the product of means is known."""
    how = {
        "responses": "is a mean over responses of their own mean per token",
        "parts": "is a mean over responses of their own mean per token, parts of a batch weighted by their length",
        "tokens": "may be a mean of parts of a batch",
    }.get(rows.mean_over, "may be a mean of responses or parts of a batch")
    said = (
        f"{rows.kl_name!r} is in nats per token and {how}: its product with the mean length misses the covariance of "
        "length and KL per token, so no single KL is told"
    )
    of_any = "" if rows.estimator in ("k2", "k3") else ", if no response's KL per token is negative"
    known = np.flatnonzero(np.isfinite(high))
    if np.isinf(high).any():
        least = f", only that it is at least its KL per token times the least length{of_any}" if low.any() else ""
        remedy = "least and largest tokens of a response bound it (lengths)"
        if lengths is not None:
            remedy = "a negative KL per token has no bound"
        return f"{said}{least}; {remedy}, and responses with their log-probabilities tell it (`alignlib kl`)."
    i = int(known[-1])
    return (
        f"{said}: at step {rows.step[i]:g} it lies between {low[i]:.3g} and {high[i]:.3g} nats per sequence (by the "
        f"least and the largest length{of_any}). Responses with their log-probabilities tell it (`alignlib kl`)."
    )


def of_decimals(rows: LogRows) -> list[str]:
    """Say so where a KL per token was rounded to so few decimals that it matters, as consoles print it.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as they were logged.
    """
    kl = rows.kl
    if rows.kl_unit != "token" or rows.length is None or kl.size < _SEVERAL or not kl.any():
        return []
    shown = next((d for d in range(1, _DECIMALS + 1) if np.abs(kl - kl.round(d)).max() < 1e-3 * 10.0**-d), None)
    if shown is None:
        return []
    half, i = 0.5 * 10.0**-shown, int(np.argmax(np.abs(kl)))
    if half < _MATTERS * abs(kl[i]):
        return []
    said = (
        f"No logged KL has more than {counted(shown, 'decimal')}. If they were rounded, each is known up to {half:g} "
        f"nats per token, so at step {rows.step[i]:g} the KL is {kl[i] * rows.length[i]:.2g} nats per sequence up to "
        f"{half * rows.length[i]:.2g}; a trainer's files (JSON lines, wandb, TensorBoard) have more decimals than its "
        "console."
    )
    return [said]


def without_rounding(rows: LogRows) -> tuple[FloatArray, list[str]]:
    """Return the logged KL with negatives of rounding's size as 0, and what negative or vanishing values mean.

    No KL is negative, and no mean of k2 or k3; the mean of log-ratios (k1) is, by chance, where the KL is small.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as the log holds them.

    Returns
    -------
    kl : array (k,)
        In the log's unit.
    notes : list of str
        What negative or vanishing values mean.
    """
    kl, notes = rows.kl.copy(), []
    rounding = (kl < 0.0) & (kl >= -_ROUNDING[rows.kl_unit])
    if rounding.any():
        kl[rounding] = 0.0
        notes.append(
            f"{counted(int(rounding.sum()), 'logged KL')} below 0 by at most {_ROUNDING[rows.kl_unit]:g} "
            f"nats, which is rounding: taken as 0."
        )
    tiny = (np.abs(kl) < _SMALLEST) & (kl != 0.0)
    if tiny.any():
        kl[tiny] = 0.0
        notes.append(f"{counted(int(tiny.sum()), 'logged KL')} below {_SMALLEST:g} nats in size: taken as 0.")
    finite = kl[np.isfinite(kl)]
    negative = int((kl < 0.0).sum())
    if negative:
        notes.append(f"{negative} of {kl.size} logged KLs are negative: {_meaning(rows, finite)}")
    if finite.size > 1 and not finite.any():
        notes.append(
            "Every logged KL is exactly 0. Either the policy is still its base (before the first update, or with a "
            "learning rate of 0), or the trainer writes 0 where it has no reference model; the reward tells which."
        )
    return kl, notes


def _meaning(rows: LogRows, kl: FloatArray) -> str:
    stay = "they are left as they are and have no place on the frontier."
    if rows.estimator in ("k2", "k3"):
        return (
            f"that is impossible by {rows.estimator}, which is never negative, so the key holds something else, "
            f"such as the mean log-ratio (k1); {stay}"
        )
    if kl.size > 2 and kl.mean() + _SURE * kl.std(ddof=1) / np.sqrt(kl.size) < 0.0:
        return (
            "that is impossible, for their mean over the run is below 0 by more than chance. The log-probabilities are "
            "not of the policy that sampled (another temperature, top-k or top-p, precision or engine), or the sign is "
            f"turned; {stay}"
        )
    if rows.estimator == "k1":
        return f"estimates from one batch by k1 (the mean log-ratio) are, by chance, where the KL is small; {stay}"
    return (
        f"the least is {kl.min():.2g} nats per {rows.kl_unit}. One batch's mean log-ratio (k1, as trl's RLOO logs it) "
        f"is, by chance, where the KL is small; k2 and k3 (as trl's GRPO logs it) never are, so then the key holds "
        f"something else or the sum lost its digits; {stay}"
    )
