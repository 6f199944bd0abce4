"""What log-probabilities betray of how they were computed: the precision they were stored in, laws that were cut."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["stored_in", "sure_tokens"]

_ENOUGH = 50  # values: fewer may be round by chance
_BITS = {"bfloat16": 8, "float16": 11}  # of the significand
_SURE_SHARE, _SURE_TOKENS, _DOUBT = 0.02, 20, 0.05


def stored_in(log_prob: FloatArray) -> list[str]:
    """Say where every value is one that half precision has: what rounding it there makes of a KL.

    Parameters
    ----------
    log_prob : array
        Log-probabilities in nats.

    Examples
    --------
    >>> stored_in(-np.arange(1.0, 100.0) / 7.0), len(stored_in(-np.arange(1.0, 100.0) / 64.0))
    ([], 1)
    """
    values = log_prob[(log_prob != 0.0) & np.isfinite(log_prob)]
    if values.size < _ENOUGH or np.unique(values).size < _ENOUGH // 2 or (values == np.round(values)).all():
        return []
    for name, bits in _BITS.items():
        mantissa, exponent = np.frexp(values)
        scaled = np.ldexp(mantissa, bits)
        if (scaled == np.round(scaled)).all():
            half = np.ldexp(0.5, exponent - bits)  # the most that rounding moves a value
            spread = float(np.sqrt(2.0 * np.mean(half**2) / 3.0))
            said = (
                f"Every log-probability is one that {name} has ({bits} bits): rounding alone moves a log-ratio by "
                f"about {spread:.2g} nats for each number that was stored, which a response adds up over its tokens. "
                "Score in float32, and store it so."
            )
            return [said]
    return []


def sure_tokens(policy: FloatArray, base: FloatArray) -> list[str]:
    """Say where the policy is certain of many tokens of which the base is not: as with top-k or top-p.

    Parameters
    ----------
    policy, base : array (tokens,)
        Log-probabilities in nats.

    Examples
    --------
    >>> len(sure_tokens(np.zeros(100), np.full(100, -0.5))), sure_tokens(np.full(100, -0.1), np.full(100, -0.5))
    (1, [])
    """
    sure = (policy == 0.0) & (base < -_DOUBT)
    share = float(sure.mean()) if sure.size else 0.0
    if share < _SURE_SHARE or int(sure.sum()) < _SURE_TOKENS:
        return []
    said = (
        f"The policy gives probability 1 exactly to {100.0 * share:.2g} % of the tokens, of which the base is not "
        "sure: its log-probabilities look like those of a law cut by top-k or top-p, and the KL is that of this law, "
        "not of the model itself."
    )
    return [said]
