"""Numbers as text; bounds are rounded to the side on which they stay true."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

__all__ = ["written"]


def written(value: object, spec: str) -> str:
    """Format a value; a specification that ends in ``-`` rounds a number down, one that ends in ``+`` up.

    >>> written(0.99926, ".2%"), written(0.99926, ".2%-"), written(0.000485831, ".5f+")
    ('99.93%', '99.92%', '0.00049')
    >>> written(3.0, ".1f-"), written(8.6e-12, ".0e+"), written(8.6e-12, ".0e-")
    ('3.0', '9e-12', '8e-12')

    Raises
    ------
    ValueError
        Where the value cannot take the format.
    """
    if not spec.endswith(("+", "-")) or not isinstance(value, int | float):
        return format(value, spec)
    text = format(value, spec[:-1])
    if not math.isfinite(value):
        return text
    try:
        shown = Decimal(text.rstrip("%").replace(",", ""))
    except InvalidOperation:
        raise ValueError(f"{spec!r} rounds a number only") from None
    scale = Decimal(100 if text.endswith("%") else 1)
    exact, unit = Decimal(value) * scale, Decimal((0, (1,), int(shown.as_tuple().exponent)))
    if spec.endswith("-") and shown > exact:
        shown -= unit
    elif spec.endswith("+") and shown < exact:
        shown += unit
    return format(float(shown / scale), spec[:-1])
