"""Gold and proxy means along λ for many proxies of one pool of samples, in one pass over the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_float_array, as_vector, require
from alignlib.estimation._weights import BLOCK, threads, tilted_sums

__all__ = ["CrossCurves", "cross_curves"]


@dataclass(frozen=True)
class CrossCurves:
    """Plug-in curves of K proxies along λ, arrays of shape (K, L): ``Λ̂``, mean proxy and mean gold under the tilt."""

    log_partition: FloatArray
    proxy_mean: FloatArray
    gold_mean: FloatArray


def cross_curves(proxies: npt.ArrayLike, gold: npt.ArrayLike, lam: npt.ArrayLike) -> CrossCurves:
    """Return ``log mean e^{λr̂}``, ``Σ r̂ e^{λr̂}/Σ e^{λr̂}`` and ``Σ r e^{λr̂}/Σ e^{λr̂}`` for every proxy and λ.

    Parameters
    ----------
    proxies : array (K, n)
        Scores of the same n samples by K proxies.
    gold : array (n,)
        Their gold reward.
    lam : array (L,)
        λ >= 0; equally spaced ones are several times faster.

    Raises
    ------
    InputError
        Where proxies and gold score different numbers of samples, or a λ is negative or not finite.

    Examples
    --------
    >>> curves = cross_curves([[0.0, 1.0]], [1.0, 0.0], [0.0, 1.0])
    >>> curves.gold_mean.round(6).tolist(), curves.log_partition.round(6).tolist()
    ([[0.5, 0.268941]], [[0.0, 0.620115]])

    Source: P26 (covariance form).
    """
    rows, golds, lams = as_float_array("proxies", proxies), as_vector("gold", gold), as_vector("lam", lam)
    require(
        rows.ndim == 2 and rows.shape[0] > 0 and rows.shape[1] == golds.size,
        f"proxies must have shape (K, {golds.size}), scores of the samples that gold scores; got {rows.shape}.",
    )
    require(
        bool(lams.size > 0 and np.isfinite(lams).all() and (lams >= 0).all()),
        f"lam must hold finite numbers that are not negative; got {lam!r}.",
    )
    centre = float(golds.mean())
    off, sums = golds - centre, tilted_sums(lams)

    def along(row: FloatArray) -> FloatArray:
        top, out = row.max(), np.zeros((3, 1, lams.size))
        for start in range(0, row.size, BLOCK):
            below = row[None, start : start + BLOCK] - top
            out += sums(below, below, off[None, start : start + BLOCK])
        return out[:, 0]

    with threads() as pool:
        total, first, gold_sum = np.stack(list(pool.map(along, rows)), axis=1)
    top = rows.max(axis=1)[:, None]
    return CrossCurves(np.log(total / golds.size) + lams * top, top + first / total, centre + gold_sum / total)
