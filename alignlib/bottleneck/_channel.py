"""What every function on a discrete channel needs: its checks, and divergences that keep their digits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import BoolArray, FloatArray, as_float_array, as_law, require
from alignlib._core.errors import InputError
from alignlib._core.special import kl_integrand

__all__ = ["as_channel", "context_law", "row_divergences"]

_SUM_TOLERANCE = 1e-6
_NEARLY_USELESS = 0.1  # below this many nats the plain sums lose digits worth keeping


def as_channel(name: str, value: npt.ArrayLike, *, ndim: int = 2, zero_rows: bool = False) -> FloatArray:
    """Return ``value`` as an array of transition laws along its last axis.

    With ``zero_rows`` a row of zeros stands for an input that cannot be used, and stays.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : array_like (…, outputs)
        Transition laws ``P(·|u)`` along the last axis.
    ndim : int
        How many dimensions it must have.
    zero_rows : bool
        Whether a row of zeros stands for an input that cannot be used.

    Returns
    -------
    array (…, outputs)
        Rows that sum to 1 up to rounding.

    Raises
    ------
    InputError
        For another shape, a negative entry, or a row whose sum is not 1.
    """
    channel = as_float_array(name, value)
    require(
        channel.ndim == ndim and channel.size > 0,
        f"{name} must be a non-empty array of {ndim} dimensions, rows are inputs; got shape {channel.shape}.",
    )
    if channel.min() < 0:
        where = tuple(int(i) for i in np.unravel_index(int(channel.argmin()), channel.shape))
        raise InputError(f"{name} must not be negative; entry {where} is {channel.min():g}.")
    total = channel.sum(axis=-1)
    usable: BoolArray = (total > 0) if zero_rows else np.ones(total.shape, dtype=np.bool_)
    bad = usable & (np.abs(total - 1) > _SUM_TOLERANCE)
    if bad.any():
        first = int(np.argmax(bad.reshape(-1)))
        place = tuple(int(i) for i in np.unravel_index(first, total.shape))
        label = place[0] if len(place) == 1 else place
        raise InputError(
            f"{name} must have rows that sum to one; {int(bad.sum())} of {total.size} do not, the first is row {label} "
            f"with sum {total.reshape(-1)[first]:.9g}. Divide counts by their row sums, and put inputs in rows."
        )
    require(bool(usable.any()), f"{name} has only rows of zeros; give at least one usable input.")
    return np.asarray(channel / np.where(usable, total, 1.0)[..., None])


def context_law(context_prob: npt.ArrayLike | None, size: int) -> FloatArray:
    """Return the checked law of ``size`` contexts, equal shares for None.

    Parameters
    ----------
    context_prob : array_like (size,), optional
        Masses of the contexts.
    size : int
        How many contexts there are.

    Returns
    -------
    array (size,)
        They sum to 1.

    Raises
    ------
    InputError
        For another number of masses, or no law.
    """
    if context_prob is None:
        return np.full(size, 1.0 / size)
    weight = as_law("context_prob", context_prob)
    require(weight.size == size, f"context_prob must have one entry per context, {size}; got {weight.size}.")
    return weight


def row_divergences(channel: FloatArray, output: FloatArray, entropy: FloatArray | None = None) -> FloatArray:
    """Return ``KL(P(·|u) ‖ q)`` of each row in nats; ``entropy`` may hold the rows' ``Σ P log P``.

    Where the divergences are small they are summed term by term, ``Σ q φ(log P/q)`` with ``φ ≥ 0``, because the two
    entropies nearly cancel.

    Parameters
    ----------
    channel : array (inputs, outputs)
        Transition laws.
    output : array (outputs,)
        The law q.
    entropy : array (inputs,), optional
        ``Σ P log P`` of each row, in nats, where it is known.

    Returns
    -------
    array (inputs,)
        In nats.
    """
    if entropy is None:
        entropy = scipy.special.xlogy(channel, channel).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_output = np.where(output > 0, np.log(output), 0.0)
        plain = entropy - channel @ log_output
        if output.min() <= 0:
            plain = np.where((channel[:, output <= 0] > 0).any(axis=1), np.inf, plain)
        if plain.max() > _NEARLY_USELESS:
            return np.asarray(plain)
        ratio = np.where(channel > 0, np.log(channel) - log_output, -np.inf)
        close = np.abs(channel - output) < 0.5 * output
        ratio = np.where(close, np.log1p((channel - output) / np.where(output > 0, output, 1.0)), ratio)
        return np.asarray(kl_integrand(ratio) @ output)
