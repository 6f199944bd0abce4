"""What a notebook verified: statement, source, value, what was expected, tolerance, and whether it holds.

A notebook ends with one cell that records its claims::

    claims.record(
        claims.equal("jeffreys", "$R(λ)-R(0)$ equals the Jeffreys form", "P26", gain, jeffreys, rtol=1e-12),
        claims.at_most("sqrt-kl", "the gain is at most $σ\\sqrt{2Δ}$", "M24", gain, bound),
    )

Whether a claim holds is computed from its numbers, never typed. The cell shows the claims as a table and
carries them as JSON for the scorecard.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from alignbook.claim import Claim, to_html, to_text
from alignlib._core.checks import BoolArray, FloatArray, require

__all__ = ["MIME", "Markdown", "at_least", "at_most", "equal", "glue", "record", "true"]

MIME = "application/vnd.alignbook.claims+json"
_GLUE = "application/papermill.record/"


class Markdown(str):
    """A text for :func:`glue` that is Markdown of the notebook's own; nothing of a reader's may be in it.

    >>> Markdown("at $N=4$")
    'at $N=4$'
    """


def equal(
    key: str,
    statement: str,
    source: str,
    value: npt.ArrayLike,
    expected: npt.ArrayLike,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    must_hold: bool = True,
) -> Claim:
    """Claim that |value - expected| ≤ atol + rtol·|expected| at every point.

    Args:
        key: short name, unique in the notebook.
        statement: what is claimed, one sentence; mathematics between dollar signs.
        source: the paper's key (theory sheet) and statement, or "we derive".
        value: what was computed, a number or an array.
        expected: what it is compared with, broadcast against ``value``.
        rtol: relative tolerance.
        atol: absolute tolerance; at least one of the two must be given and positive.
        must_hold: whether the page's text relies on it.

    Raises:
        ValueError: for a missing tolerance, shapes that do not match, or empty texts.

    >>> claim = equal("half", "0.1 + 0.2 is 0.3", "arithmetic", 0.1 + 0.2, 0.3, rtol=1e-15)
    >>> claim.holds, claim.requirement
    (True, '= 0.3 ± 3e-16')
    """
    require(rtol >= 0 and atol >= 0 and rtol + atol > 0, f"claim {key!r} needs a positive rtol or atol.")
    values, wanted = _pair(key, value, expected)
    tolerance = atol + rtol * np.where(np.isfinite(wanted), np.abs(wanted), 0.0)
    with np.errstate(all="ignore"):
        distance = np.where(values == wanted, 0.0, np.abs(values - wanted))
        at = _worst(distance <= tolerance, distance / tolerance)
    return _claim(key, statement, source, "equal", values[at], wanted[at], tolerance[at], values.size, must_hold)


def at_most(
    key: str,
    statement: str,
    source: str,
    value: npt.ArrayLike,
    bound: npt.ArrayLike,
    *,
    atol: float = 0.0,
    must_hold: bool = True,
    interval: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Claim:
    """Claim that value ≤ bound + atol at every point; arguments as in :func:`equal`.

    ``interval`` has the lower and the upper ends of the 95 % intervals of what was sampled, shaped as ``value``.

    >>> at_most("cap", "the gain stays below the bound", "M24", [0.5, 0.9], [1.0, 1.0]).value
    0.9
    """
    values, bounds = _pair(key, value, bound)
    at = _worst(values <= bounds + atol, _excess(values, bounds))
    ends = _ends(key, interval, values.size, at)
    return _claim(key, statement, source, "at most", values[at], bounds[at], atol, values.size, must_hold, ends)


def at_least(
    key: str,
    statement: str,
    source: str,
    value: npt.ArrayLike,
    bound: npt.ArrayLike,
    *,
    atol: float = 0.0,
    must_hold: bool = True,
    interval: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Claim:
    """Claim that value ≥ bound - atol at every point; arguments as in :func:`at_most`.

    >>> at_least("share", "best-of-N attains nine tenths of the limit", "we derive", 0.93, 0.9).holds
    True
    """
    values, bounds = _pair(key, value, bound)
    at = _worst(values >= bounds - atol, _excess(bounds, values))
    ends = _ends(key, interval, values.size, at)
    return _claim(key, statement, source, "at least", values[at], bounds[at], atol, values.size, must_hold, ends)


def true(key: str, statement: str, source: str, condition: npt.ArrayLike, *, must_hold: bool = True) -> Claim:
    """Claim that a computed condition is true at every point; arguments as in :func:`equal`.

    >>> true("concave", "the frontier is concave", "Y24", np.diff([3.0, 2.0, 1.0]) < 0).shown
    '2 of 2'
    """
    held = np.asarray(condition)
    require(
        held.dtype == np.bool_ and held.size > 0,
        f"claim {key!r} needs a computed truth value or an array of them.",
    )
    return _claim(key, statement, source, "true", held.sum(), held.size, 0.0, held.size, must_hold)


def record(*claims: Claim) -> None:
    """Show the claims as a table and hand them to whoever runs the notebook."""
    from IPython.display import display

    keys = [claim.key for claim in claims]
    require(len(keys) > 0, "record needs at least one claim.")
    require(
        len(set(keys)) == len(keys),
        f"the keys of claims must be unique in a notebook; got {', '.join(keys)}.",
    )
    data = {
        MIME: [claim.to_json() for claim in claims],
        "text/html": to_html(claims),
        "text/plain": to_text(claims),
    }
    display(data, raw=True)


def glue(**numbers: object) -> None:
    """Name numbers that the text, captions and alt texts quote: ``{{name:.3f}}`` in this notebook.

    Each is a number, a text or a truth value; NumPy scalars become Python's own. A text is shown as it is, whatever it
    holds; only one that is :class:`Markdown` is read as such.
    """
    from IPython.display import display

    for name, number_ in numbers.items():
        value = number_.item() if isinstance(number_, np.generic | np.ndarray) and number_.size == 1 else number_
        if not isinstance(value, int | float | str):
            raise ValueError(f"glue takes numbers and texts; {name} is a {type(number_).__name__}.")
        data = {f"{_GLUE}text/plain": repr(value)}
        scrapbook: dict[str, object] = {"name": name, "mime_prefix": _GLUE}
        if isinstance(value, Markdown):
            scrapbook["markdown"] = True
        display(data, raw=True, metadata={"scrapbook": scrapbook})


def _claim(
    key: str,
    statement: str,
    source: str,
    kind: str,
    value: Any,
    expected: Any,
    slack: float,
    n: int,
    must: bool,
    interval: tuple[float, float] | None = None,
) -> Claim:
    require(
        bool(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key)),
        f"the key of a claim is words of a-z, 0-9 joined by '-'; got {key!r}.",
    )
    require(bool(statement.strip()), f"claim {key!r} needs a statement.")
    require(bool(source.strip()), f"claim {key!r} needs a source.")
    require(slack >= 0, f"the tolerance of claim {key!r} must be >= 0; got {slack:g}.")
    return Claim(key, statement, source, kind, float(value), float(expected), float(slack), n, must, interval)


def _ends(
    key: str, interval: tuple[npt.ArrayLike, npt.ArrayLike] | None, size: int, at: int
) -> tuple[float, float] | None:
    """Return the ends of the interval at the point that is shown."""
    if interval is None:
        return None
    lows, highs = _pair(key, *interval)
    require(lows.size == size, f"claim {key!r} needs an interval for each of its {size} values; got {lows.size}.")
    require(bool(lows[at] <= highs[at]), f"claim {key!r} has an interval whose lower end is above the upper one.")
    return float(lows[at]), float(highs[at])


def _pair(key: str, value: npt.ArrayLike, other: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    try:
        left, right = np.broadcast_arrays(np.asarray(value, dtype=float), np.asarray(other, dtype=float))
    except ValueError as error:
        raise ValueError(f"claim {key!r} compares shapes that do not match, or no numbers: {error}.") from error
    require(left.size > 0, f"claim {key!r} compares nothing: the arrays are empty.")
    return left.reshape(-1), right.reshape(-1)


def _excess(left: FloatArray, right: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        return np.where(left == right, 0.0, left - right)


def _worst(holds: BoolArray, excess: FloatArray) -> int:
    """Position of the largest excess among the points that fail, else among all; NaN is the largest."""
    size = np.where(np.isnan(excess), np.inf, excess)
    return int(np.argmax(size if holds.all() else np.where(holds, -np.inf, size)))
