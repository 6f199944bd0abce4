"""Finite laws side by side, one a row, so that each λ is done for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray
from alignlib.laws.finite import FiniteLaw
from alignlib.laws.law import Law
from alignlib.laws.tilt_moments import (
    NEARLY_SATURATED,
    OF_EACH,
    SCALE_ABOVE,
    Extremes,
    moments_of_each,
    moments_of_each_near_saturation,
)

__all__ = ["SideBySide"]

_AT_ONCE = 1 << 14  # outcomes of the laws that are done together: what a core keeps at hand
_PADDED = 4  # times the outcomes that there are, at most: else each law is better by itself


class SideBySide:
    """The moments of many finite laws at one λ, as each law has them by itself.

    A row with fewer outcomes than the longest is filled with outcomes of no mass at the base mean.

    Parameters
    ----------
    laws : sequence of FiniteLaw
        One a row.
    """

    def __init__(self, laws: Sequence[FiniteLaw]) -> None:
        self._laws = laws
        self._unit = np.array([law._unit for law in laws])
        self._prob = _rows([law.prob for law in laws])
        self._centred = _rows([law._e for law in laws])
        self._high, self._low = self._centred.max(axis=1), self._centred.min(axis=1)
        self._ends: dict[bool, Extremes] = {}

    @classmethod
    def of(cls, laws: Sequence[Law]) -> SideBySide | None:
        """Put laws side by side; None where they are not finite, or too different in size for it to pay.

        Parameters
        ----------
        laws : sequence of Law
            At least one.
        """
        finite = [law for law in laws if isinstance(law, FiniteLaw)]
        if len(finite) < max(len(laws), 2):
            return None
        sizes = [law.prob.size for law in finite]
        return cls(finite) if max(sizes) <= min(_AT_ONCE, _PADDED * sum(sizes) / len(sizes)) else None

    def each(self, name: str, lam: FloatArray) -> FloatArray:
        """Return a moment of each law at each λ.

        Parameters
        ----------
        name : str
            ``log_partition`` (centred), ``gain`` or ``kl``.
        lam : array (L,)
            Inverse temperatures λ of either sign.

        Returns
        -------
        array (laws, L)
            In nats; a gain in the unit of the reward.

        Examples
        --------
        >>> laws = [FiniteLaw([0.0, 1.0]), FiniteLaw([0.0, 4.0, 5.0])]
        >>> together = SideBySide(laws).each("kl", np.array([0.5]))[:, 0]
        >>> bool(np.allclose(together, [law.kl(0.5) for law in laws], rtol=1e-14))
        True
        """
        out = np.empty((len(self._laws), lam.size))
        step = max(1, _AT_ONCE // self._prob.shape[1])
        for start in range(0, len(self._laws), step):
            rows = np.arange(start, min(start + step, len(self._laws)))
            for place, value in enumerate(lam.tolist()):
                out[rows, place] = self._of_rows(name, rows, value)
        return out

    def _of_rows(self, name: str, rows: npt.NDArray[np.intp], lam: float) -> FloatArray:
        out, kl = np.full(rows.size, np.nan), np.full(rows.size, np.inf)
        with np.errstate(over="ignore"):
            which, scaled = OF_EACH.index(name), lam * self._unit[rows]
        if lam and np.isfinite(scaled).all():
            with np.errstate(over="ignore"):
                within = np.maximum(scaled * self._high[rows], scaled * self._low[rows]) <= SCALE_ABOVE
            some = rows if within.all() else rows[within]  # of a slice of rows, no copy is made
            if some.size:
                found = moments_of_each(self._prob[some], self._centred[some], scaled[within])
                out[within], kl[within] = found[which], found[2]
            end = self._end(lam > 0.0)
            near = np.flatnonzero(kl >= NEARLY_SATURATED * end.saturation[rows])
            if near.size:
                from_end = moments_of_each_near_saturation(self._prob[rows[near]], end.of(rows[near]), scaled[near])[
                    which
                ]
                out[near] = -from_end if name == "gain" and lam < 0.0 else from_end
        if name == "gain":
            out *= self._unit[rows]
        for place in np.flatnonzero(np.isnan(out)).tolist():  # no λ, infinite ones, and where it takes another way
            law, at = self._laws[rows[place]], np.array([lam])
            out[place] = (law._gain(at) if name == "gain" else law._each(at, name))[0]
        return out

    def _end(self, up: bool) -> Extremes:
        if up not in self._ends:
            ends = [law._top(up) for law in self._laws]
            numbers = np.array([(end.mass, end.saturation, end.gain) for end in ends]).T
            self._ends[up] = Extremes(_rows([end.gap for end in ends]), *numbers)
        return self._ends[up]


def _rows(parts: Sequence[FloatArray]) -> FloatArray:
    """Put parts below each other, filled with zeros to the longest."""
    out = np.zeros((len(parts), max(part.size for part in parts)))
    for row, part in zip(out, parts, strict=True):
        row[: part.size] = part
    return out
