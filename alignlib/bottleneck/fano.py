"""The Fano floor: what no decoder of a limited channel can undercut, and the exact Bayes risk beside it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatOrArray, as_float_array, as_law, as_number, like, require, require_range
from alignlib._core.errors import InputError
from alignlib.bottleneck._channel import as_channel
from alignlib.bottleneck.binary_kl import binary_kl, kl_inverse_first

__all__ = ["bayes_risk", "fano_floor", "label_floor", "required_capacity"]

_ROUNDING = 1e-9  # a capacity computed from a channel of M inputs may exceed log M by its certified gap


def fano_floor(
    capacity: npt.ArrayLike, n_values: npt.ArrayLike, separation: float = 1.0, *, sharp: bool = True
) -> FloatOrArray:
    r"""Risk that no decoder can undercut when one of ``M`` values must pass a channel of given capacity.

    Parameters
    ----------
    capacity : array
        Average total capacity ``C̄`` in nats, in [0, log M].
    n_values : array
        Number ``M >= 2`` of equally likely values in the codebook.
    separation : float
        ``Δ > 0``: the loss is at least Δ unless the action decodes to the right value.
    sharp : bool
        With True, ``Δ P_e`` where ``h(P_e) + P_e log(M-1) = log M - C̄``, attained by the M-ary symmetric channel and
        rounded down. With False, the weaker ``Δ (1 - (C̄ + log 2)/log M)``, which says nothing where it is negative.

    Raises
    ------
    InputError
        For a codebook of one value, a capacity below 0 or above ``log M``, or a separation that is not positive.

    Examples
    --------
    >>> round(fano_floor(0.5, 8), 6), round(fano_floor(0.5, 8, sharp=False), 6)
    (0.457338, 0.426217)
    >>> fano_floor(0.9, 2, sharp=False)
    Traceback (most recent call last):
        ...
    alignlib.InputError: capacity=0.9 exceeds log(n_values)=0.693147 for n_values=2: no more than log M nats ...

    Source: C25 (Fano lower bound on a separable codebook mixture); the sharp form is Fano's inequality itself.
    """
    c, m = np.broadcast_arrays(
        require_range("capacity", capacity, 0.0), require_range("n_values", n_values, 1.0, 1e300)
    )
    require(c.size > 0, "capacity must hold at least one number; got none.", "capacity")
    _check_codebook(m)
    separation = as_number("separation", separation, 0.0, open_low=True)
    excess = c > np.log(m) * (1 + 1e-12) + _ROUNDING
    if excess.any():
        at = int(np.argmax(excess.reshape(-1)))
        got, values = float(c.reshape(-1)[at]), float(m.reshape(-1)[at])
        raise InputError(
            f"capacity={got:g} exceeds log(n_values)={math.log(values):.6g} for n_values={values:g}: no more than log "
            "M nats about one of M values can pass. Give the capacity in nats, restricted to the M inputs in use; from "
            "log M on the floor is 0."
        )
    if sharp:
        value = separation * np.asarray(kl_inverse_first(1.0 - 1.0 / m, c, complement=1.0 / m))
    else:
        value = separation * (1.0 - (c + math.log(2.0)) / np.log(m))
    return like(np.broadcast_arrays(capacity, n_values)[0], np.asarray(value))


def label_floor(n_labels: npt.ArrayLike, n_values: npt.ArrayLike, separation: float = 1.0) -> FloatOrArray:
    r"""Risk that no decoder can undercut when one of ``M`` values is reported by one of ``L`` labels: ``Δ(1 - L/M)``.

    A decoder names one value for each label, so that at most ``L`` of the ``M`` equally likely values are ever named.
    The channel that gives ``L`` values a label of their own attains it. It says more than `fano_floor` at ``log L``
    nats, the most that ``L`` labels carry: a capacity is necessary, not sufficient.

    Parameters
    ----------
    n_labels : array
        Number ``L >= 1`` of labels.
    n_values : array
        Number ``M >= 2`` of equally likely values.
    separation : float
        As in `fano_floor`.

    Raises
    ------
    InputError
        For a number of labels or values that is too small or not whole.

    Examples
    --------
    >>> label_floor(5, 8), round(fano_floor(float(np.log(5)), 8), 4)
    (0.375, 0.0882)

    Source: a count of the values that a decoder can name; classical.
    """
    separation = as_number("separation", separation, 0.0, open_low=True)
    labels, m = np.broadcast_arrays(require_range("n_labels", n_labels, 1.0), require_range("n_values", n_values, 1.0))
    _check_codebook(m)
    require(bool((labels == np.round(labels)).all()), "n_labels must be whole, they count labels.")
    return like(np.broadcast_arrays(n_labels, n_values)[0], separation * np.maximum(1.0 - labels / m, 0.0))


def required_capacity(
    risk: npt.ArrayLike, n_values: npt.ArrayLike, separation: float = 1.0, *, sharp: bool = True
) -> FloatOrArray:
    """Capacity in nats that a risk requires: no channel below it lets any decoder reach ``risk``.

    The inverse of `fano_floor`: ``kl(P_e ‖ 1 - 1/M)`` at ``P_e = risk/Δ``, 0 from blind guessing on; with
    ``sharp=False`` ``(1 - risk/Δ) log M - log 2``, which requires nothing where it is negative.

    Parameters
    ----------
    risk : array
        Risk to reach, >= 0.
    n_values : array of int
        Number M of values, >= 2.
    separation : float
        ``Δ > 0``, as in `fano_floor`.
    sharp : bool
        Which form of the floor, as in `fano_floor`.

    Raises
    ------
    InputError
        For a codebook of one value, a negative risk, or a separation that is not positive.

    Examples
    --------
    >>> round(required_capacity(fano_floor(0.5, 8), 8), 12)
    0.5
    >>> bool(required_capacity(0.1, 64) > required_capacity(0.1, 64, sharp=False))
    True

    Source: C25 (risk on more values requires capacity that grows with log M).
    """
    separation = as_number("separation", separation, 0.0, open_low=True)
    r, m = np.broadcast_arrays(require_range("risk", risk, 0.0), require_range("n_values", n_values, 1.0, 1e300))
    _check_codebook(m)
    error = r / separation
    if sharp:
        blind = 1.0 - 1.0 / m
        value = np.where(
            error >= blind, 0.0, np.asarray(binary_kl(np.minimum(error, blind), blind, complement=1.0 / m))
        )
    else:
        value = (1.0 - error) * np.log(m) - math.log(2.0)
    return like(np.broadcast_arrays(risk, n_values)[0], np.asarray(value))


def bayes_risk(prob: npt.ArrayLike, channel: npt.ArrayLike, loss: npt.ArrayLike | None = None) -> float:
    """Smallest risk of any decoder that knows the channel: ``Σ_y min_a Σ_u p_u P(y|u) loss(a,u)``.

    Parameters
    ----------
    prob : array (targets,)
        Law of the target.
    channel : array (targets, labels)
        ``P(y|u)``.
    loss : array (actions, targets), optional
        Loss of each action; errors counted as 1 if omitted.

    Raises
    ------
    InputError
        If a law does not sum to one or the shapes disagree.

    Examples
    --------
    >>> round(bayes_risk([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]]), 12)
    0.15
    """
    law, rows = as_law("prob", prob), as_channel("channel", channel)
    require(law.size == len(rows), f"prob must have one entry per row of channel, {len(rows)}; got {law.size}.")
    losses = 1.0 - np.eye(law.size) if loss is None else as_float_array("loss", loss)
    require(
        losses.ndim == 2 and losses.shape[1] == law.size,
        f"loss must have shape (actions, {law.size}); got {losses.shape}.",
    )
    return float((losses @ (law[:, None] * rows)).min(axis=0).sum())


def _check_codebook(n_values: npt.NDArray[np.float64]) -> None:
    if n_values.min() < 2:
        raise InputError(
            f"n_values must be at least 2; got {n_values.min():g}. A codebook of one value leaves nothing to "
            "get wrong, so there is no floor."
        )
    broken = n_values != np.round(n_values)
    if broken.any():
        got = n_values[broken].flat[0]
        raise InputError(f"n_values must be whole, they count values; got {got:g}.", argument="n_values")
