"""Discrete channels by name, and the information that passes through one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_law, require, require_range
from alignlib.bottleneck._channel import as_channel, row_divergences

__all__ = [
    "binary_erasure_channel",
    "binary_symmetric_channel",
    "mutual_information",
    "rating_channel",
    "symmetric_channel",
    "z_channel",
]


def binary_symmetric_channel(error: float) -> FloatArray:
    """Channel that flips a bit with probability ``error``; capacity ``log 2 - h(error)``, shape (2, 2).

    Parameters
    ----------
    error : float
        Probability in [0, 1].

    Examples
    --------
    >>> binary_symmetric_channel(0.25).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    return symmetric_channel(2, error)


def symmetric_channel(n_values: int, error: float) -> FloatArray:
    """Channel that errs with probability ``error``, to each other value alike, shape (n_values, n_values).

    Its capacity is ``log M - h(error) - error log(M - 1)`` in nats: Fano's inequality with equality.

    Parameters
    ----------
    n_values : int
        Number M >= 2 of inputs and outputs.
    error : float
        Probability in [0, 1].

    Raises
    ------
    InputError
        If there are fewer than two values, or ``error`` lies outside [0, 1].

    Examples
    --------
    >>> symmetric_channel(3, 0.5).tolist()
    [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    """
    require(n_values >= 2, f"n_values must be at least 2; got {n_values!r}.")
    error = float(require_range("error", error, 0.0, 1.0))
    channel = np.full((n_values, n_values), error / (n_values - 1))
    np.fill_diagonal(channel, 1.0 - error)
    return channel


def binary_erasure_channel(erasure: float) -> FloatArray:
    """Channel that replaces a bit by "no answer" with probability ``erasure``; capacity ``(1 - erasure) log 2``.

    Parameters
    ----------
    erasure : float
        Probability in [0, 1].

    Raises
    ------
    InputError
        If ``erasure`` lies outside [0, 1].

    Examples
    --------
    >>> binary_erasure_channel(0.25).tolist()
    [[0.75, 0.25, 0.0], [0.0, 0.25, 0.75]]
    """
    erasure = float(require_range("erasure", erasure, 0.0, 1.0))
    return np.array([[1.0 - erasure, erasure, 0.0], [0.0, erasure, 1.0 - erasure]])


def z_channel(error: float) -> FloatArray:
    """Channel that reports 1 as 0 with probability ``error`` and never errs on 0.

    Its capacity is ``log(1 + (1 - e) e^{e/(1-e)})`` in nats.

    Parameters
    ----------
    error : float
        Probability in [0, 1].

    Raises
    ------
    InputError
        If ``error`` lies outside [0, 1].

    Examples
    --------
    >>> z_channel(0.25).tolist()
    [[1.0, 0.0], [0.25, 0.75]]
    """
    error = float(require_range("error", error, 0.0, 1.0))
    return np.array([[1.0, 0.0], [error, 1.0 - error]])


def rating_channel(n_values: int, noise: float, n_labels: int) -> FloatArray:
    """Rater who places values 0, …, 1 on a scale of ``n_labels`` marks with Gaussian ``noise``, shape (values, labels).

    A shorter scale or more noise lowers the capacity; unlike the symmetric channel, near values are confused most.

    Parameters
    ----------
    n_values : int
        Number of values, >= 2.
    noise : float
        Standard deviation > 0, in units of the range of values.
    n_labels : int
        Number of marks, >= 2.

    Raises
    ------
    InputError
        If there are fewer than two values or marks, or ``noise`` is not positive.

    Examples
    --------
    >>> rating_channel(2, 0.5, 2).round(4).tolist()
    [[0.8413, 0.1587], [0.1587, 0.8413]]
    """
    require(n_values >= 2, f"n_values must be at least 2; got {n_values!r}.")
    require(n_labels >= 2, f"n_labels must be at least 2; got {n_labels!r}.")
    noise = float(require_range("noise", noise, 0.0, open_low=True))
    value = np.linspace(0.0, 1.0, n_values)[:, None]
    edge = (np.linspace(0.0, 1.0, n_labels)[1:] + np.linspace(0.0, 1.0, n_labels)[:-1]) / 2
    # The larger of the two tails is never subtracted from one: small masses keep their digits.
    z = (edge - value) / noise
    below, above = scipy.special.ndtr(z), scipy.special.ndtr(-z)
    low = np.hstack([np.zeros_like(value), below])
    high = np.hstack([above, np.zeros_like(value)])
    upper_half = np.hstack([np.zeros_like(value), z]) > 0
    mass = np.where(
        upper_half,
        np.hstack([np.ones_like(value), above]) - high,
        np.hstack([below, np.ones_like(value)]) - low,
    )
    return np.asarray(mass / mass.sum(axis=1, keepdims=True))


def mutual_information(prob: npt.ArrayLike, channel: npt.ArrayLike) -> float:
    """Mutual information ``I(U;Y) = Σ_u p_u KL(P(·|u) ‖ q)`` in nats, full relative accuracy when it is small.

    Parameters
    ----------
    prob : array (inputs,)
        Law of the input.
    channel : array (inputs, outputs)
        Row ``u`` is the law ``P(·|u)``; rows of mass zero may be zero.

    Raises
    ------
    InputError
        If ``prob`` is no law, ``channel`` no channel, their sizes differ, or an input with mass has a row of zeros.

    Examples
    --------
    >>> round(mutual_information([0.5, 0.5], binary_erasure_channel(0.25)) / float(np.log(2)), 12)
    0.75
    """
    law, rows = as_law("prob", prob), as_channel("channel", channel, zero_rows=True)
    require(law.size == len(rows), f"prob must have one entry per row of channel, {len(rows)}; got {law.size}.")
    used = law > 0
    require(
        bool((rows[used].sum(axis=1) > 0).all()),
        "prob puts mass on an input whose row of channel is zero; move that mass.",
    )
    return float(law[used] @ row_divergences(rows[used], law[used] @ rows[used]))
