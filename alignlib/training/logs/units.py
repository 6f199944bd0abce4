"""KL per sequence from KL per token, with what that misses, and what a negative or vanishing KL means."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.training.logs.decimals import decimals_of_rows, decimals_of_zeros, unlike
from alignlib.training.logs.lengths import all_alike, check_lengths, ends_of_lengths
from alignlib.training.logs.log_format import LogRows

__all__ = ["PerSequence", "per_sequence", "without_rounding"]

_ROUNDING = {"token": 1e-6, "sequence": 1e-5}  # nats: log-probabilities in float32, of some units, have seven digits
_SMALLEST = 1e-102  # nats: what is smaller has been measured by nobody, and its square is none
_COARSE = 0.1  # of the largest KL
_SURE, _FEWEST = 4.0, 6  # standard errors, second differences
_RESPONSES, _BY_CHANCE = 4.0, 1e-3  # of a batch at least; of an honest run
_OF_SCALE = (
    "if the logged KL is a mean over tokens, say so (kl_unit='token'); responses with their log-probabilities tell more"
)
_NEVER_NEGATIVE = "k3"  # of what has the KL for its mean


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
    remedy : str
        A clause on what would tell more, where ends are given.
    """

    kl: FloatArray
    low: FloatArray | None
    high: FloatArray | None
    notes: tuple[str, ...]
    remedy: str = ""


def per_sequence(
    rows: LogRows, lengths: tuple[float, float] | None = None, below: BoolArray | None = None
) -> PerSequence:
    """Return the KL of each checkpoint in nats per sequence, its bounds, and what is to be said of the conversion.

    With ``s`` the KL of a response and ``n`` its tokens, the wished mean of ``s`` is the logged KL times the mean
    length where the log divides the sum of ``s`` by that of ``n``. Where it averages ``s / n`` over responses, or such
    quotients over parts of a batch, ``least · kl ≤ mean s ≤ largest · kl``, for ``s ≥ 0`` and ``least ≤ n ≤ largest``;
    both ends are reached, so nothing sharper follows from means. Parts that are weighted by their mean length weigh a
    response by up to ``largest / least`` more or less, which widens both ends by that. Only k3 has ``s ≥ 0``: by k1,
    the log-ratio, responses that became less likely have ``s < 0``, and means of ``s / n`` bound nothing, unless all
    lengths are alike.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as the log holds them.
    lengths : (float, float), optional
        Least and largest tokens of a response, where the log does not hold them.
    below : array (k,), optional
        Whether the log had a negative KL, even where it was taken as 0.

    Raises
    ------
    InputError
        If a length of the log lies outside ``lengths``, or the lengths of the log contradict each other.
    """
    if rows.length is None:
        return _of_sequence(rows)
    check_lengths(rows)
    product = rows.kl * rows.length
    said = f"{rows.kl_name!r} is in nats per token and was multiplied by the mean length."
    if rows.mean_over == "scaled":
        unknown = np.full(rows.kl.size, np.inf)
        return PerSequence(np.maximum(product, 0.0), 0.0 * product, unknown, (_scaled(rows),), _OF_SCALE)
    if rows.mean_over == "own tokens":
        return _of_own_tokens(rows, product, said)
    over_responses = rows.mean_over in ("responses", "parts")
    if over_responses or (lengths is not None and (rows.estimator == _NEVER_NEGATIVE or not rows.mean_over)):
        least, largest = ends_of_lengths(rows, lengths)
        alike = all_alike(least, largest)
        if alike.all():
            return PerSequence(product, None, None, (f"{said} All responses of a batch are equally long.",))
        wider = largest / least if rows.mean_over == "parts" else np.ones(rows.kl.size)
        known = unlike(rows.half) or decimals_of_rows(rows) is not None
        half = rows.half if known and rows.half is not None else np.zeros(rows.kl.size)  # what rounding may have taken
        least_kl, most_kl = np.where(rows.kl > 0.0, np.maximum(rows.kl - half, 0.0), rows.kl), rows.kl + half
        with np.errstate(invalid="ignore", over="ignore"):  # 0 times infinity
            low, high = least_kl * least / wider, np.where(most_kl == 0.0, 0.0, most_kl * largest * wider)
        # Where single responses may be negative no end follows; where the mean is, some are, however little it is.
        some = most_kl != 0.0 if below is None else (most_kl != 0.0) | below
        may = ~alike & some & ((rows.estimator != _NEVER_NEGATIVE) | (rows.kl < 0.0))
        low, high = np.where(may, 0.0, low), np.where(may, np.inf, high)
        if rows.estimator != _NEVER_NEGATIVE:
            product = np.where(may, np.maximum(product, 0.0), product)  # its sign tells nothing
        return PerSequence(product, low, high, (_bound(rows, low, high, lengths),), _remedy(_kind(rows), high))
    if lengths is not None:
        ends_of_lengths(rows, lengths)
        said += f" Least and largest length (lengths) do not bound it: {_why_none(rows)}."
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


def _of_own_tokens(rows: LogRows, product: FloatArray, said: str) -> PerSequence:
    """Bound a mean over the policy's own tokens, of which a response has one at least and no more than are counted."""
    ends = np.minimum(rows.kl, product), np.maximum(rows.kl, product)
    said = (
        f"{said} It is a mean over the policy's own tokens, where the length counts others too: the KL per sequence is "
        f"that times the mean number of its own tokens, one at least, so at step {rows.step[-1]:g} between "
        f"{ends[0][-1]:.3g} and {ends[1][-1]:.3g} nats."
    )
    return PerSequence(product, *ends, (said,), "the mean number of the policy's own tokens (length) tells it")


def _at(rows: LogRows) -> str:
    """Say between which KLs the mean lies if parts of the batch were averaged first; end the sentence."""
    if rows.estimator != _NEVER_NEGATIVE:
        return "."
    if rows.shortest is None or rows.longest is None:
        return ", which least and largest tokens of a response (lengths) would bound."
    least, largest = ends_of_lengths(rows, None)
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
    if rows.estimator != _NEVER_NEGATIVE:
        return (
            f"{said}, nor does a least or largest length bound it: {_why_none(rows)}. Responses with their "
            "log-probabilities tell it (`alignlib kl`)."
        )
    known = np.flatnonzero(np.isfinite(high))
    if np.isinf(high).any():
        least = ", only that it is at least its KL per token times the least length" if low.any() else ""
        remedy = "least and largest tokens of a response bound it (lengths)"
        if lengths is not None:
            remedy = "a negative KL per token has no bound"
        return f"{said}{least}; {remedy}, and responses with their log-probabilities tell it (`alignlib kl`)."
    i = int(known[-1])
    return (
        f"{said}: at step {rows.step[i]:g} it lies between {low[i]:.3g} and {high[i]:.3g} nats per sequence (by the "
        "least and the largest length). Responses with their log-probabilities tell it (`alignlib kl`)."
    )


def _why_none(rows: LogRows) -> str:
    """Say why lengths bound nothing where the estimator is not known to be k3."""
    if _kind(rows):
        kind = "k1 (the log-ratio)" if _kind(rows) == "k1" else f"{rows.estimator}, whose mean is not the KL,"
        why = "a single response may be negative" if _kind(rows) == "k1" else "ends would be of another quantity"
        return f"by {kind} {why}"
    return (
        "by k1 (the log-ratio) a single response may be negative. If it was estimated by k3, which never is "
        "(low_var_kl in verl), say so (estimator)"
    )


def _kind(rows: LogRows) -> str:
    """Return the estimator; negative values tell k1."""
    return rows.estimator or ("k1" if (rows.kl < 0.0).any() else "")


def _scaled(rows: LogRows) -> str:
    return (
        f"{rows.kl_name!r} is a loss, which versions of the trainer log on several scales: a mean over the tokens of "
        "one micro-batch; that divided by the micro-batches of a mini-batch (verl in the autumn of 2025); or its sum "
        "over mini-batches and epochs (since). The log does not tell which, so no KL is told. Where it is the mean "
        "over tokens, as with one micro-batch and one update a step, say so (kl_unit='token')."
    )


def _remedy(estimator: str, high: FloatArray) -> str:
    """Say what would tell more of a KL of which ends are known, or none."""
    tell = "responses with their log-probabilities tell more"
    if np.isfinite(high).all():
        return tell
    if estimator == _NEVER_NEGATIVE:
        return f"the least and largest tokens of a response (lengths) bound the KL, and {tell}"
    if estimator:
        return f"by {estimator} no lengths bound the KL, but {tell}"
    return (
        "if the KL was estimated by k3, say so (estimator), and the least and largest tokens of a response (lengths) "
        f"bound it; {tell}"
    )


def _of_sequence(rows: LogRows) -> PerSequence:
    """Return KLs per sequence: where rounding may be more than a tenth of the largest, with their ends."""
    kl, shown, each = rows.kl, decimals_of_rows(rows), unlike(rows.half)
    half = np.zeros(kl.size) if shown is None else np.full(kl.size, 0.5 * 10.0**-shown)
    if each and rows.half is not None:
        half = rows.half
    if float(half.max(initial=0.0)) <= _COARSE * float(np.abs(kl).max(initial=0.0)):
        return PerSequence(kl, None, None, ())
    said = (
        "Logged KLs have unlike decimals: they are taken for rounded, so each is known up to half of its own last one, "
        f"{half.min():g} to {half.max():g} nats."
    )
    if not each:
        said = (
            f"No logged KL has more than {counted(shown or 0, 'decimal')}: they are taken for rounded, so each is "
            f"known up to {half[0]:g} nats."
        )
    least = np.where(kl < 0.0, kl, np.maximum(kl - half, 0.0))
    return PerSequence(kl, least, kl + half, (said,), "a log with more decimals of the KL tells more")


def without_rounding(rows: LogRows) -> tuple[FloatArray, list[str]]:
    """Return the logged KL with negatives of rounding's size as 0, and what negative or vanishing values mean.

    No KL is negative, and no mean of k2 or k3; the mean of log-ratios (k1) is, by chance, where the KL is small. A mean
    over responses of their own mean log-ratio may be without chance, where long responses became likelier.

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
        of_means = rows.mean_over in ("responses", "parts") and rows.estimator not in ("k2", "k3")
        what = ", which is rounding: taken as 0."
        if of_means and rows.length is not None:
            what = " (rounding, or a mean of log-ratios of both signs): 0 only where all responses are equally long."
        notes.append(
            f"{counted(int(rounding.sum()), 'logged KL')} below 0 by at most {_ROUNDING[rows.kl_unit]:g} nats{what}"
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
        digits, known = decimals_of_zeros(rows.decimals, rows.kl_unit == "token")
        why = "as the log prints them" if known else "which is assumed, for the log does not show how many it printed"
        rounded = (
            f"or the KLs were rounded (to {counted(digits, 'decimal')}, {why}: each may be {0.5 * 10.0**-digits:g} "
            f"nats per {rows.kl_unit} at most); the reward tells which."
        )
        if rows.per_prompt is not None:  # of log-probabilities, which nobody has rounded so
            rounded = "or these are the base's own log-probabilities."
        notes.append(
            "Every logged KL is 0. Either the policy is still its base (before the first update, or with a learning "
            f"rate of 0), or the trainer writes 0 where it has no reference model, {rounded}"
        )
    return kl, notes


def _meaning(rows: LogRows, kl: FloatArray) -> str:
    stay = "they are left as they are and have no place on the frontier."
    if rows.estimator in ("k2", "k3"):
        return (
            f"that is impossible by {rows.estimator}, which is never negative, so the key holds something else, "
            f"such as the mean log-ratio (k1); {stay}"
        )
    if rows.mean_over == "scaled":
        return "the mean log-ratio (k1) of a part of a batch may be, whatever the KL; k3 never is, so this is not k3."
    of_means = rows.mean_over in ("responses", "parts")
    if rows.length is not None and of_means and not all_alike(*ends_of_lengths(rows, None)).all():
        return (
            "a mean over responses of their own mean log-ratio (k1) may be, by chance or where the policy came to "
            "write longer responses, for the short ones then weigh as much as these: its sign tells nothing of the KL "
            "per sequence, which is never negative (k3 never is either, so this is not k3)."
        )
    no_policy = _of_no_policy(rows, kl)
    if no_policy or (kl.size > 2 and kl.mean() + _of_chance(rows, kl) < 0.0):
        parts = " of a mean over all tokens" if rows.kl_unit == "token" else ""
        more = (
            ", or it is a mean over responses or parts of a batch of their own means" if parts and not of_means else ""
        )
        if not no_policy:  # likelier responses that no batch holds make all others less likely
            more += ", or what became likelier is too rare for its batches"
        word = "impossible" if no_policy else "hardly chance"
        return (
            f"that is {word}{parts}, for their mean over the run is below 0 by more than chance. The "
            "log-probabilities are not of the policy that sampled (another temperature, top-k or top-p, precision or "
            f"engine), or the sign is turned{more}; {stay}"
        )
    if rows.estimator == "k1":
        return f"estimates from one batch by k1 (the mean log-ratio) are, by chance, where the KL is small; {stay}"
    return (
        f"the least is {kl.min():.2g} nats per {rows.kl_unit}. One batch's mean log-ratio (k1, as trl's RLOO logs it) "
        f"is, by chance, where the KL is small; k2 and k3 (as trl's GRPO logs it) never are, so then the key holds "
        f"something else or the sum lost its digits; {stay}"
    )


def _of_no_policy(rows: LogRows, kl: FloatArray) -> bool:
    """Say whether log-ratios add up to less than those of any policy's responses do, but once in a thousand runs.

    Whatever policy sampled, the probability of a response under the base over that under it averages 1. So the product
    of all of a run does, and exceeds a thousand in one run of a thousand at most (Markov), however the KL goes.
    """
    length = 1.0
    if rows.kl_unit == "token" and rows.length is not None:  # a mean over responses only where all are equally long
        length = float(np.min(rows.length))
    return bool(_RESPONSES * length * float(kl.sum()) < math.log(_BY_CHANCE))


def _of_chance(rows: LogRows, kl: FloatArray) -> float:
    """Return how far below 0 chance may bring the mean of KLs, by their scatter around the runs' course if it shows."""
    names = list(dict.fromkeys(rows.run.tolist()))
    second = np.concatenate([np.diff(rows.kl[rows.run == name], 2) for name in names])
    second, reach = second[np.isfinite(second)], _SURE * float(kl.std(ddof=1))
    if second.size >= _FEWEST:
        few = -float(scipy.special.stdtrit(second.size / 2.0, scipy.special.ndtr(-_SURE)))  # neighbours go together
        reach = min(reach, few * math.sqrt(float(np.mean(second**2)) / 6.0))
    return reach / math.sqrt(kl.size)
