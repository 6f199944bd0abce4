"""An f-divergence: what a policy spends when it moves away from the base model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from alignlib._core.array_likes import as_array
from alignlib._core.checks import FloatArray, as_float_array, as_vector, require
from alignlib._core.safe_text import visible

__all__ = ["SHORT_NAMES", "Divergence", "check_budgets"]

_STEP = 1e-6
SHORT_NAMES = {"js": "jensen_shannon", "tv": "total_variation", "chi_squared": "chi2"}


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
        return self.f(np.exp(log_ratio))

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
