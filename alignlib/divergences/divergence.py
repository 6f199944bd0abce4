"""An f-divergence, what a policy spends when it moves away from the base model; and whether it is what it declares."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from alignlib._core.array_likes import as_array
from alignlib._core.checks import FloatArray, as_float_array, as_vector, require
from alignlib._core.safe_text import visible

__all__ = ["SHORT_NAMES", "Divergence", "check_budgets", "check_declared", "check_once"]

_STEP = 1e-6
_LEAST_LOG = -700.0  # below, e^t leaves the range in which slopes keep their digits
SHORT_NAMES = {"js": "jensen_shannon", "tv": "total_variation", "chi_squared": "chi2"}
_RATIOS = np.exp2(np.linspace(-6.0, 6.0, 97))
_FAR = np.array([1e12, 1e24, 1e48])  # each the square of the one before: of a logarithm, equal parts
_CLOSE = 1e-6


class Divergence(ABC):
    r"""``D_f(φ‖p) = E_p f(φ/p)`` for a convex ``f`` with ``f(1) = 0``: a subclass gives ``f`` and two of its relatives.

    A frontier needs ``f`` strictly convex and differentiable; only total variation has one of its own. What is reported
    may be a rising function of ``E_p f`` (`of_mean`), as it is for Rényi's.

    A subclass names itself (``name``, ``label``) and defines `f`, `slope` and `ratio_at`; the conjugate and the
    divergence between two laws follow. An instance carries no state but its parameters.

    Attributes
    ----------
    name : str
        What messages and columns call it, such as ``"kl"``.
    label : str
        Name for an axis, with the unit.
    slope_at_zero : float
        ``f'(0+)``: below this price a policy drops an outcome; ``-inf`` where it never does.
    slope_at_infinity : float
        ``lim f(t)/t``: prices stay below it; ``inf`` for most divergences.

    Examples
    --------
    >>> from alignlib.divergences import KL
    >>> round(KL.between([0.5, 0.5], [0.75, 0.25]), 6)
    0.143841

    Source: Csiszár (1967); Ali and Silvey (1966).
    """

    name: ClassVar[str]
    label: ClassVar[str]
    slope_at_zero: ClassVar[float] = -math.inf
    slope_at_infinity: ClassVar[float] = math.inf

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *sorted(vars(self).items())))

    def __repr__(self) -> str:
        return f"<divergence {visible(self.name)}>"

    @property
    def called(self) -> str:
        """The name in a message, quoted, with its short form where one may be typed.

        >>> from alignlib.divergences import JENSEN_SHANNON, KL
        >>> JENSEN_SHANNON.called, KL.called
        ("'jensen_shannon' ('js')", "'kl'")
        """
        short = [f" ({one!r})" for one, name in SHORT_NAMES.items() if name == self.name and len(one) < 3]
        return repr(self.name) + "".join(short)

    @property
    def largest(self) -> float:
        """The largest value there is, of two laws with no outcome in common: ``f(0) + f'(∞)``; ``inf`` for KL.

        >>> from alignlib.divergences import HELLINGER, TOTAL_VARIATION, Renyi
        >>> [divergence.largest for divergence in (TOTAL_VARIATION, HELLINGER, Renyi(0.5))]
        [1.0, 1.0, inf]
        """
        if math.isinf(self.slope_at_infinity):  # of KL without SciPy's functions, which are slow to import
            return math.inf
        return float(self.of_mean(self.f(np.zeros(1)) + self.slope_at_infinity)[0])

    def check_strictly_convex(self) -> None:
        """Refuse a divergence whose slope does not rise, or not as far as floats tell.

        Raises
        ------
        InputError
            With its slopes at a few ratios.
        """
        slopes = self.slope(np.array([0.25, 0.5, 1.0, 2.0, 4.0]))
        require(
            bool((np.diff(slopes) > 0.0).all()),
            f"divergence must be strictly convex and differentiable for a frontier in it; the slope of {self.called} "
            f"at ratios 1/4, 1/2, 1, 2 and 4 is {', '.join(f'{s:g}' for s in slopes.tolist())}, which does not rise.",
            argument="divergence",
        )

    @abstractmethod
    def f(self, ratio: FloatArray) -> FloatArray:
        """``f(t)`` for ratios ``t = φ/p >= 0``, with ``f(1) = f'(1) = 0``: a multiple of ``t - 1`` costs nothing.

        Parameters
        ----------
        ratio : array
            Ratios ``t = φ/p`` of policy to base, >= 0.

        Returns
        -------
        array
            Of the same shape, in the unit of the divergence (nats for KL).
        """

    @abstractmethod
    def slope(self, ratio: FloatArray) -> FloatArray:
        """``f'(t)``, the price of a little more mass at a ratio.

        Parameters
        ----------
        ratio : array
            Ratios ``t = φ/p``, >= 0.
        """

    @abstractmethod
    def ratio_at(self, price: FloatArray) -> FloatArray:
        """The ratio ``t >= 0`` with ``f'(t) = price``; 0 below ``slope_at_zero``. Also the conjugate's slope.

        Parameters
        ----------
        price : array
            Slopes of ``f``, in the unit of the divergence; at an optimum, ``λ(r - ν)`` of each outcome.
        """

    def conjugate(self, price: FloatArray) -> FloatArray:
        """``f*(s) = sup_t (s t - f(t))``, by the ratio that attains it; infinite beyond ``slope_at_infinity``.

        Parameters
        ----------
        price : array
            Slopes s, in the unit of the divergence.
        """
        ratio = self.ratio_at(price)
        return np.asarray(price * ratio - self.f(ratio))

    def margin(self, ratio: FloatArray) -> FloatArray:
        """``slope_at_infinity - f'(t)``, where that is finite; overridden where digits are known that this loses.

        Parameters
        ----------
        ratio : array
            Ratios ``t = φ/p``, >= 0.
        """
        return np.asarray(self.slope_at_infinity - self.slope(ratio))

    def ratio_within(self, margin: FloatArray) -> FloatArray:
        """The ratio at the price ``slope_at_infinity - margin``: the inverse of `margin`.

        Parameters
        ----------
        margin : array
            How far the price stays below ``slope_at_infinity``, > 0.
        """
        return self.ratio_at(self.slope_at_infinity - margin)

    def response(self, ratio: FloatArray) -> FloatArray:
        """How fast the ratio ``t`` rises with its price, ``1/f''(t)``; 0 where an outcome is dropped.

        Parameters
        ----------
        ratio : array
            Ratios ``t = φ/p``, >= 0.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = (self.slope(ratio * (1.0 + _STEP)) - self.slope(ratio * (1.0 - _STEP))) / (2.0 * _STEP * ratio)
            return np.where(ratio > 0.0, 1.0 / rise, 0.0)

    def between(self, policy: npt.ArrayLike, prob: npt.ArrayLike) -> float:
        """``D_f(policy‖prob)`` of two laws on the same outcomes.

        Parameters
        ----------
        policy, prob : arrays (k,)
            Masses, each summing to one.

        Raises
        ------
        ValueError
            If the shapes differ, a mass is negative, or masses do not sum to one within 1e-6.
        """
        phi, p = as_vector("policy", policy), as_vector("prob", prob)
        require(phi.shape == p.shape, f"policy must have the shape of prob, {p.shape}; got {phi.shape}.")
        require(bool(min(phi.min(), p.min()) >= 0), "policy and prob must not be negative.")
        for name, law in (("policy", phi), ("prob", p)):
            total = float(law.sum())
            require(
                abs(total - 1.0) <= 1e-6,
                f"{name} must sum to one; it sums to {total:.9g}. Divide it by its sum if that is what you mean.",
                argument=name,
            )
        held = p > 0
        with np.errstate(divide="ignore"):
            log_ratio = np.log(phi[held]) - np.log(p[held])
        escaped = float(phi[~held].sum())
        if not escaped:
            return self.of_log_ratio(log_ratio, p[held])
        return float(self.of_mean(np.asarray(p[held] @ self.f_of_log(log_ratio) + escaped * self.slope_at_infinity)))

    def of_log_ratio(self, log_ratio: npt.ArrayLike, prob: npt.ArrayLike) -> float:
        """``D(φ‖p) = Σ p f(e^t)`` for ``t = log φ/p`` outcome by outcome: accurate however close the two are.

        Parameters
        ----------
        log_ratio : array (k,)
            ``log φ/p``, ``-inf`` where the policy has no mass.
        prob : array (k,)
            Base masses, positive.

        Raises
        ------
        InputError
            If the two have different shapes, or a value is not a number.
        """
        t = as_float_array("log_ratio", log_ratio, allow_inf=True)
        p = as_float_array("prob", prob)
        require(t.shape == p.shape, f"log_ratio must have the shape of prob, {p.shape}; got {t.shape}.", "log_ratio")
        return float(self.of_mean(np.asarray(p @ self.f_of_log(t))))

    def f_of_log(self, log_ratio: FloatArray) -> FloatArray:
        """``f(e^t)``; overridden where a form without cancellation near ``t = 0`` is known.

        Parameters
        ----------
        log_ratio : array
            ``t = log φ/p``, ``-inf`` where the policy has no mass.
        """
        held = np.maximum(
            log_ratio, _LEAST_LOG
        )  # below, e^t is no number: ``f`` goes on as it does there, by its slope
        value, missing = np.asarray(self.f(np.exp(held))), held - log_ratio
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            nothing = self.f(np.zeros(1))[0]
            falls = missing * np.exp(_LEAST_LOG) * self.slope(np.exp(np.full(1, _LEAST_LOG)))[0]
        beyond = np.where(missing > 0.0, value - falls, value) if np.isinf(nothing) else value
        return np.asarray(np.where(np.isneginf(log_ratio), nothing, beyond))

    def of_mean(self, mean: FloatArray) -> FloatArray:
        """The divergence for a value of ``E_p f(φ/p)``: itself, unless another scale is usual.

        Parameters
        ----------
        mean : array
            Values of ``E_p f(φ/p)``, >= 0.
        """
        return mean

    def mean_of(self, value: FloatArray) -> FloatArray:
        """``E_p f(φ/p)`` for a value of the divergence: the inverse of `of_mean`.

        Parameters
        ----------
        value : array
            Values of the divergence, in its own unit, >= 0.
        """
        return value

    def mean_slope(self, value: FloatArray) -> FloatArray:
        """Derivative of `mean_of`.

        Parameters
        ----------
        value : array
            Values of the divergence, in its own unit, >= 0.
        """
        return np.ones_like(value)


def check_budgets(value: npt.ArrayLike, divergence: Divergence, name: str | None = None) -> FloatArray:
    """Return budgets as an array, none of which is negative or more than the divergence can be.

    Parameters
    ----------
    value : float or array (k,)
        In the units of ``divergence``.
    divergence : Divergence
        What they are measured in.
    name : str, optional
        What messages call the value; ``kl`` of KL, else ``budgets``, if None.

    Raises
    ------
    InputError
        By that name.

    Examples
    --------
    >>> from alignlib.divergences import TOTAL_VARIATION
    >>> check_budgets([0.25, 1], TOTAL_VARIATION).tolist()
    [0.25, 1.0]
    """
    is_kl = divergence.name == "kl"
    name = name or ("kl" if is_kl else "budgets")
    unit = "nats" if is_kl else f"of {divergence.called}"
    budgets = as_vector(name, np.atleast_1d(as_array(name, value)))
    require(bool((budgets >= 0.0).all()), f"{name} must not be negative; got {budgets.min():g} {unit}.", name)
    most = divergence.largest
    require(
        bool((budgets <= most * (1.0 + 1e-12)).all()),
        f"{name} must not exceed {most:.6g}, the largest {divergence.called} of any two laws; got {budgets.max():g}.",
        name,
    )
    return budgets


def check_declared(divergence: Divergence) -> None:
    """Refuse a divergence whose ``f``, slopes, inverse and declared limits contradict each other.

    A limit that is wrong, or left at its default by mistake, would give a frontier where there is none, or another.

    Parameters
    ----------
    divergence : Divergence
        As a subclass declares it.

    Raises
    ------
    InputError
        With the attribute or method, what it says, what was seen, and the remedy.

    Examples
    --------
    >>> from alignlib.divergences import HELLINGER
    >>> check_declared(HELLINGER)
    """
    called = f"the divergence {divergence.called}"
    with np.errstate(all="ignore"):
        f, slope = divergence.f(_RATIOS), divergence.slope(_RATIOS)
        one = np.ones(1)
        at_one = float(divergence.f(one)[0]), float(divergence.slope(one)[0])
        back = divergence.ratio_at(slope)
        far, near = divergence.slope(_FAR), divergence.slope(1.0 / _FAR)
        at_zero, towards_zero = float(divergence.f(np.zeros(1))[0]), divergence.f(1.0 / _FAR)
    require(
        max(map(abs, at_one)) <= _CLOSE,
        f"f of {called} and its slope must be 0 at ratio 1; got f(1) = {at_one[0]:g} and slope(1) = {at_one[1]:g}. "
        "Take f(1) + (t - 1) slope(1) from f.",
        "divergence",
    )
    chord = np.diff(f) / np.diff(_RATIOS)  # of a convex f between the slopes at both ends
    spare = _CLOSE * np.maximum(1.0, np.abs(chord))
    wrong = ~((slope[:-1] <= chord + spare) & (chord <= slope[1:] + spare))
    place = int(np.argmax(wrong))
    require(
        not wrong.any(),
        f"slope of {called} must be the derivative of its f, which must be convex; between ratios {_RATIOS[place]:.3g} "
        f"and {_RATIOS[place + 1]:.3g} f rises by {chord[place]:.4g} for 1, and slope is {slope[place]:.4g} and "
        f"{slope[place + 1]:.4g}. Mend the one that is wrong.",
        "divergence",
    )
    rises = np.diff(slope, prepend=math.inf, append=-math.inf) > _CLOSE
    rises = rises[:-1] & rises[1:]  # where the slope tells the ratio: neither beside a kink nor past all digits
    wrong = rises & ~(np.abs(back - _RATIOS) <= 1e-3 * _RATIOS)
    place = int(np.argmax(wrong))
    require(
        not wrong.any(),
        f"ratio_at of {called} must be the inverse of its slope; at ratio {_RATIOS[place]:.4g} slope is "
        f"{slope[place]:.4g}, for which ratio_at gives {back[place]:.4g}. Mend the one that is wrong.",
        "divergence",
    )
    for name, what, declared, seen, sign, towards in (
        ("slope_at_infinity", "the limit of f(t)/t", divergence.slope_at_infinity, far, 1.0, "1e12, 1e24 and 1e48"),
        ("slope_at_zero", "the slope at 0", divergence.slope_at_zero, near, -1.0, "1e-12, 1e-24 and 1e-48"),
    ):
        require(
            _may_be(sign * declared, sign * seen),
            f"{name} of {called} must be {what}; it is declared as {declared:g}, but the slope at ratios {towards} is "
            f"{_listed(seen)}. Write {name} = {_limit(sign * seen) * sign:g} in the class if that is the limit.",
            "divergence",
        )
    require(
        _may_be(at_zero, towards_zero),
        f"f of {called} must have its limit at ratio 0; f(0) is {at_zero:g}, but at ratios 1e-12, 1e-24 and 1e-48 it "
        f"is {_listed(towards_zero)}. Give f(0) its limit, such as by scipy.special.xlogy for t log t.",
        "divergence",
    )


def check_once(divergence: Divergence) -> None:
    """`check_declared`, once for each divergence, or each time where its parameters have no hash.

    Parameters
    ----------
    divergence : Divergence
        As a subclass declares it.
    """
    try:
        hash(divergence)
    except TypeError:
        check_declared(divergence)
    else:
        _checked(divergence)


@lru_cache(maxsize=256)
def _checked(divergence: Divergence) -> None:
    check_declared(divergence)


def _may_be(declared: float, seen: FloatArray) -> bool:
    """Whether a rising function seen at `_FAR` may have a limit; values that overflow to NaN say nothing."""
    if math.isnan(declared) or np.isnan(seen).any():
        return not math.isnan(declared)
    found, last = _limit(seen), float(seen[-1])
    if math.isinf(declared) or math.isinf(last):
        return declared == found
    more = _CLOSE * max(1.0, abs(declared))
    return last - more <= declared <= last + more + _still_to_come(seen)


def _still_to_come(seen: FloatArray) -> float:
    """Return the most by which a limit may exceed the last value, were the rest a power of the ratio; 0 of a log."""
    before, after = np.diff(seen).tolist()
    if not 0.0 < after < 1.98 * before:
        return 0.0
    shrunk = 0.5 * (math.sqrt(1.0 + 4.0 * after / before) - 1.0)  # c u, c u² and c u⁴ are left at the three
    return float(max(after, 1.1 * (before / (1.0 - shrunk) - before - after)))


def _limit(seen: FloatArray) -> float:
    """Return infinity where a function rises no more slowly from place to place of `_FAR`, else its last value."""
    first, second, last = seen.tolist()
    if math.isinf(last) or last - second > 0.9 * (second - first) > 0.0:
        return math.copysign(math.inf, last)
    return float(last)


def _listed(seen: FloatArray) -> str:
    first, second, last = (f"{value:.6g}" for value in seen.tolist())
    return f"{first}, {second} and {last}"
