"""KL per sequence from KL per token, with what that misses, and what a negative or vanishing KL means."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.names import counted
from alignlib.training.logs.log_format import LogRows

__all__ = ["of_decimals", "per_sequence", "without_rounding"]

_ROUNDING = {"token": 1e-6, "sequence": 1e-5}  # nats: log-probabilities in float32, of some units, have seven digits
_SMALLEST = 1e-102  # nats: what is smaller has been measured by nobody, and its square is none
_SEVERAL, _DECIMALS, _MATTERS = 4, 4, 0.02  # checkpoints, decimals, and the part of the largest KL
_SURE = 4.0  # standard errors


def per_sequence(rows: LogRows) -> tuple[FloatArray, list[str]]:
    """Return the KL of each checkpoint in nats per sequence, and what is to be said of the conversion.

    The mean of KL times length is the mean KL per token *over tokens* times the mean length. Where responses were
    averaged first, the product misses the covariance of length and KL per token: the mean then lies between the mean
    KL per token times the least and times the largest length, and nothing sharper follows from means.

    Parameters
    ----------
    rows : LogRows
        Checkpoints as the log holds them.

    Returns
    -------
    kl : array (k,)
        In nats per sequence.
    notes : list of str
        What is to be said of the conversion.
    """
    if rows.length is None:
        return rows.kl, []
    product = rows.kl * rows.length
    said = f"{rows.kl_name!r} is in nats per token and was multiplied by the mean length."
    if rows.mean_over == "responses":
        return product, [said + _bound(rows, product)]
    if rows.mean_over == "tokens":
        said += (
            " That is the batch's mean KL per sequence, for the KL is a mean over all tokens, if both are of the same "
            "responses; where parts of a batch were averaged first it misses what length and KL per token share."
        )
    else:
        said += (
            " That is the batch's mean KL per sequence where both are means over the same tokens of the same "
            "responses; where batches or responses were averaged first it misses the covariance of length and KL per "
            "token."
        )
    return product, [said]


def _bound(rows: LogRows, product: FloatArray) -> str:
    """Say between which KLs the mean of products lies where only the product of means is known."""
    said = " It is a mean over responses, so the product misses the covariance of length and KL per token"
    advice = "For the KL itself take responses with their log-probabilities (`alignlib kl`)."
    if rows.shortest is None or rows.longest is None:
        return f"{said}, which this log does not bound: it holds no least and largest length. {advice}"
    least, most = rows.kl * rows.shortest, rows.kl * rows.longest
    known = np.flatnonzero(np.isfinite(least) & np.isfinite(most))
    if not known.size:
        return f"{said}. {advice}"
    i = int(known[-1])
    return (
        f"{said}: at step {rows.step[i]:g} the KL lies between {least[i]:.3g} and {most[i]:.3g} nats (its KL per token "
        f"times the least and the largest length, if no response's is negative), not surely at {product[i]:.3g}. "
        f"{advice}"
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
