"""A divergence by its name, as a reader types it."""

from __future__ import annotations

import inspect
import math

from alignlib._core.checks import require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import spelled
from alignlib.divergences.divergence import SHORT_NAMES, Divergence, check_once
from alignlib.divergences.kl import KL
from alignlib.divergences.renyi import ORDERS, Renyi

__all__ = ["as_divergence"]

# Not looked at: the default, whose f imports SciPy's functions, and orders next to 1, which floats take for it.
_KNOWN = type(KL), Renyi
_NEAR_KL = 1e-6  # of Rényi's order as it is typed


def as_divergence(value: object) -> Divergence:
    """Return ``value``, or the divergence of that name; ``"renyi:2"`` is Rényi's of order 2.

    Parameters
    ----------
    value : Divergence or str
        A name may be short (``"js"``, ``"tv"``), and have hyphens.

    Raises
    ------
    InputError
        If it is anything else, with the names that are known, if the order is out of its range, or if what a reader's
        own divergence declares contradicts its ``f``.

    Examples
    --------
    >>> from alignlib.divergences import REVERSE_KL
    >>> as_divergence("reverse-kl") == REVERSE_KL
    True
    >>> as_divergence("renyi:1.5").name
    'renyi_1.5'
    """
    if isinstance(value, Divergence):
        if not isinstance(value, _KNOWN):
            check_once(value)
        return value
    kinds = {kind.name: kind for kind in Divergence.__subclasses__() if _is_whole(kind)}
    if isinstance(value, str):
        name, _, order = value.strip().lower().replace("-", "_").partition(":")
        name = SHORT_NAMES.get(name, name)
        if name in kinds and not order:
            return kinds[name]()
        if name == "renyi":
            return _renyi(value.partition(":")[2], value)
    raise InputError(
        f"divergence must be a Divergence or the name of one; got {quoted(value)}. Known by name: "
        f"{', '.join(map(repr, kinds))}, short 'js' and 'tv'; with a parameter, 'renyi:2'.",
        argument="divergence",
    )


def _renyi(order: str, given: str) -> Divergence:
    least, most = ORDERS
    try:
        alpha = spelled(order)
    except ValueError:
        alpha = math.nan
    require(
        least <= alpha <= most and abs(alpha - 1.0) >= _NEAR_KL,
        f"divergence must name the order of Rényi's, from {least:g} to {most:g} and not 1, and of a reward "
        f"that is known from samples no more than {Renyi.largest_from_samples:g}, such as 'renyi:2' (of order 1, or "
        f"within {_NEAR_KL:g} of it, it is 'kl'); got {quoted(given)}.",
        "divergence",
    )
    return Renyi(alpha)


def _is_whole(kind: type[Divergence]) -> bool:
    """Whether a class has all that a divergence needs, and no parameter."""
    return not inspect.isabstract(kind) and "name" in vars(kind) and not inspect.signature(kind).parameters
