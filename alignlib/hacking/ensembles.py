"""Ensembles of K proxies: how they are combined, what they cost exactly, and how many members are worth having.

With member ``r̂_k = r + e_k`` the divergence ``KL(π*‖π̂_e)`` is convex in the error ``e``. So the mean ensemble is never
worse in it than its members on average, and for exchangeable members its expectation never rises with K. The regret
``β KL(π̂‖π*)`` is not convex: a single draw can get worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_float_array, as_vector, require, require_range
from alignlib.hacking.proxy_gap import ProxyPair

__all__ = ["KINDS", "EnsemblePrice", "combine", "ensemble_price", "members_worth_having", "small_error_regret"]

KINDS = ("mean", "median", "min", "mean_minus_std")


def combine(members: npt.ArrayLike, kind: str = "mean", c: float = 1.0) -> FloatArray:
    """Combine the proxies of an ensemble, sample by sample.

    Parameters
    ----------
    members : array (K, ...)
        One proxy per row.
    kind : "mean", "median", "min" or "mean_minus_std"
        The last is ``mean - c·std`` with the standard deviation over members (0 for one member).
    c : float
        Weight of the standard deviation, >= 0.

    Raises
    ------
    InputError
        For no members, an unknown kind, or a negative ``c``.

    Examples
    --------
    >>> combine([[0.0, 1.0], [2.0, 1.0]], "min").tolist(), combine([[0.0, 1.0], [2.0, 1.0]], "mean_minus_std").tolist()
    ([0.0, 1.0], [0.0, 1.0])
    """
    rows = as_float_array("members", members)
    require(rows.ndim >= 1 and rows.shape[0] > 0, f"members must hold at least one proxy; got shape {rows.shape}.")
    require(kind in KINDS, f"kind must be one of {', '.join(map(repr, KINDS))}; got {kind!r}.")
    require(c >= 0, f"c must not be negative; got {c:g}.")
    if kind == "median":
        return np.asarray(np.median(rows, axis=0))
    if kind == "min":
        return np.asarray(rows.min(axis=0))
    mean = rows.mean(axis=0)
    return np.asarray(mean - c * rows.std(axis=0) if kind == "mean_minus_std" else mean)


@dataclass(frozen=True)
class EnsemblePrice:
    """What an ensemble costs at one λ, and what its members cost on average.

    Attributes
    ----------
    divergence, members_divergence : float
        ``KL(π*‖π̂)`` in nats.
    regret, members_regret : float
        ``β KL(π̂‖π*)``, in the unit of gold.
    gold_gain : float
        ``E_π̂ r - E_p r``.

    Examples
    --------
    >>> found = ensemble_price([0.0, 1.0, 2.0], [[0.0, 2.0, 2.0], [0.0, 0.0, 2.0]], 1.0)
    >>> bool(found.divergence < found.members_divergence), bool(found.regret < found.members_regret)
    (True, True)
    """

    divergence: float
    regret: float
    gold_gain: float
    members_divergence: float
    members_regret: float


def ensemble_price(
    gold: npt.ArrayLike,
    members: npt.ArrayLike,
    lam: float,
    prob: npt.ArrayLike | None = None,
    kind: str = "mean",
    c: float = 1.0,
) -> EnsemblePrice:
    """Return the exact price of an ensemble on a finite law, beside the average price of its members.

    Parameters
    ----------
    gold : array (k,)
        Gold reward of each outcome.
    members : array (K, k)
        Proxies.
    lam : float
        λ >= 0.
    prob : array (k,), optional
        Base masses.
    kind : str
        How members are combined, as for `combine`.
    c : float
        Weight of the standard deviation, >= 0, as for `combine`.

    Raises
    ------
    InputError
        Where members and gold score different outcomes, or an argument is not valid.

    Examples
    --------
    >>> price = ensemble_price([0.0, 1.0], [[0.0, 0.0], [0.0, 2.0]], 1.0)
    >>> price.divergence, bool(price.members_divergence > 0.05)
    (0.0, True)

    Source: P26 (ensembles mitigate); the convexity theorem is derived here.
    """
    golds, rows = as_vector("gold", gold), as_float_array("members", members)
    require(
        rows.ndim == 2 and rows.shape[0] > 0 and rows.shape[1] == golds.size,
        f"members must have shape (K, {golds.size}), one score of each outcome that gold scores; got {rows.shape}.",
    )
    pairs = [ProxyPair(golds, combine(rows, kind, c), prob), *(ProxyPair(golds, row, prob) for row in rows)]
    value = float(require_range("lam", lam, 0.0))
    (divergence, regret), *members_pay = [pair.divergence_and_regret(value) for pair in pairs]
    members_divergence, members_regret = np.mean(members_pay, axis=0).tolist()
    return EnsemblePrice(divergence, regret, float(pairs[0].gold_gain(value)), members_divergence, members_regret)


def small_error_regret(lam: float, shared_variance: float, own_variance: float, n_members: npt.ArrayLike) -> FloatArray:
    """Return the regret of a mean ensemble of small errors, ``λ/2 · (shared + own/K)``, for each K.

    It falls as 1/K down to the floor ``λ/2 · shared``.

    Parameters
    ----------
    lam : float
        Inverse temperature λ >= 0.
    shared_variance : float
        Variance under ``π*`` of the part of the error that all members share, >= 0.
    own_variance : float
        Variance under ``π*`` of each member's own part, >= 0.
    n_members : array
        Numbers of members K >= 1.

    Returns
    -------
    array (members,)
        In the unit of the reward.

    Raises
    ------
    InputError
        If a value is out of its range.

    Examples
    --------
    >>> small_error_regret(2.0, 0.01, 0.08, [1, 8]).round(6).tolist()
    [0.09, 0.02]
    """
    require_range("shared_variance", shared_variance, 0.0)
    require_range("own_variance", own_variance, 0.0)
    members = np.atleast_1d(require_range("n_members", n_members, 1.0))
    return np.asarray(float(require_range("lam", lam, 0.0)) / 2.0 * (shared_variance + own_variance / members))


def members_worth_having(shared_variance: float, own_variance: float, excess: float = 0.1) -> float:
    """Return the fewest members that bring the regret within ``excess`` of its floor; ``inf`` where nothing is shared.

    ``K ≥ own / (excess · shared)``: more members cannot remove what they all get wrong.

    Parameters
    ----------
    shared_variance, own_variance : float
        Variance of the shared and of the own part of a member's error, >= 0.
    excess : float
        Allowed excess over the floor, > 0: 0.1 stands for 10 %.

    Raises
    ------
    InputError
        If a variance is negative, or ``excess`` is not positive.

    Examples
    --------
    >>> members_worth_having(0.01, 0.08), members_worth_having(0.0, 0.08), members_worth_having(0.0, 0.0)
    (80.0, inf, 1.0)
    >>> members_worth_having(5e-324, 1.0)
    inf
    """
    require_range("shared_variance", shared_variance, 0.0)
    require_range("own_variance", own_variance, 0.0)
    require_range("excess", excess, 0.0, open_low=True)
    if own_variance == 0.0:
        return 1.0
    if shared_variance == 0.0:
        return math.inf
    shared = excess * shared_variance
    if shared == 0.0 or math.isinf(own_variance / shared):  # beyond all numbers
        return math.inf
    return float(max(1, math.ceil(own_variance / shared * (1.0 - 1e-12))))
