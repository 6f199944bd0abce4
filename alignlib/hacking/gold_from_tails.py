"""What a proxy's correlation with gold promises where tails are known to be light: a range in KL, not in χ².

Standardised within prompts, gold is ``ρ r̂ + √(1-ρ²) u`` with a rest ``u`` that no linear function of the proxy ``r̂``
sees. If ``log E_p e^{λu} ≤ s²λ²/2``, no policy moves u by more than ``s √(2 KL)``; the χ² of best-of-N grows like N/2,
its KL like log N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatOrArray, as_number, as_vector, like, require_range
from alignlib._core.errors import InputError
from alignlib.hacking.gold_range import check_correlation, ends_of_range

__all__ = ["gold_range_at_kl"]


def gold_range_at_kl(
    correlation: float | Sequence[float],
    proxy_gain: npt.ArrayLike,
    kl: npt.ArrayLike,
    *,
    rest_tail: float = 1.0,
    proxy_tail: float | None = None,
) -> tuple[FloatOrArray, FloatOrArray]:
    """Return the least and the largest gold gain, in its standard deviations: ``ρ ĝ ± s√(1-ρ²)√(2KL)`` for light tails.

    Parameters
    ----------
    correlation : float, or (value, low, high)
        Correlation of gold and proxy under the base model, within prompts.
    proxy_gain : float or array (k,)
        The policy's gain in the proxy, in standard deviations of the proxy.
    kl : float or array (k,)
        KL of the policy to the base model, in nats.
    rest_tail : float
        ``s >= 1`` with ``log E_p e^{λu} <= s²λ²/2`` for the rest u of gold on the proxy, in its own standard deviation:
        1 if it is normal; half its range if it is bounded.
    proxy_tail : float, optional
        ``t >= 1`` with ``log E_p e^{a r̂ + b u} <= (t²a² + s²b²)/2`` for proxy and rest together: 1 if they are jointly
        normal. Then ``2KL`` is lessened by ``ĝ²/t²``, what the proxy's own gain takes.

    Returns
    -------
    least, largest : float or array (k,)
        In standard deviations of gold; floats where gain and KL are numbers.

    Raises
    ------
    InputError
        For a correlation outside [-1, 1], a tail below 1, or a gain that no policy of that KL has under ``proxy_tail``.

    Examples
    --------
    >>> low, high = gold_range_at_kl(0.8, 1.0, 0.5)
    >>> round(low, 4), round(high, 4)
    (0.2, 1.4)
    >>> [round(end, 4) for end in gold_range_at_kl(0.8, 1.0, 0.5, proxy_tail=1.0)]
    [0.8, 0.8]

    Source: Donsker and Varadhan's inequality for sub-Gaussian variables, as in transport inequalities.
    """
    _, least, largest = check_correlation(correlation)
    rest = as_number("rest_tail", rest_tail, 1.0)
    gain, spent = np.broadcast_arrays(
        as_vector("proxy_gain", np.atleast_1d(np.asarray(proxy_gain))),
        require_range("kl", np.atleast_1d(np.asarray(kl)), 0.0),
    )
    left = 2.0 * spent
    if proxy_tail is not None:
        own = np.square(gain / as_number("proxy_tail", proxy_tail, 1.0))
        short = left - own < -1e-9 * np.maximum(left, 1e-300)
        if short.any():
            at = int(np.argmax(short))
            raise InputError(
                f"proxy_gain must not exceed proxy_tail·√(2 kl), {proxy_tail * math.sqrt(left[at]):.6g}; got "
                f"{abs(gain[at]):.6g}. The proxy's tail is heavier than proxy_tail says.",
                argument="proxy_gain",
            )
        left = np.maximum(left - own, 0.0)
    low, high = ends_of_range(gain, rest * np.sqrt(left), least, largest)
    given = np.zeros(np.broadcast_shapes(np.shape(proxy_gain), np.shape(kl)))
    return like(given, low), like(given, high)
