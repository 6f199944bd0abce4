"""PAC-Bayes ceilings on the risk of a randomised learner, each rounded up."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, like, require, require_range
from alignlib._core.errors import InputError
from alignlib.bottleneck.binary_kl import kl_inverse_upper

__all__ = ["Form", "catoni", "expected_ceiling", "mcallester", "probable_ceiling", "seeger"]

Form: TypeAlias = Literal["mcallester", "catoni", "seeger"]
_UP = 1.0 + 16 * float(np.finfo(float).eps)  # a handful of roundings, each half an ulp


def mcallester(risk: npt.ArrayLike, kl: npt.ArrayLike, m: npt.ArrayLike, delta: float) -> FloatOrArray:
    r"""Ceiling ``R̂ + √((KL(Q‖P) + log(2√m/δ)) / 2m)`` that holds with probability ``1 - δ``.

    Parameters
    ----------
    risk : array
        Empirical risk ``R̂`` of the posterior, in [0, 1]; divide a loss by its range first.
    kl : array
        ``KL(Q‖P)`` in nats, for a prior independent of the data.
    m : array
        Number of independent samples, >= 1.
    delta : float
        Failure probability in (0, 1).

    Raises
    ------
    InputError
        If an argument leaves its range.

    Examples
    --------
    >>> round(mcallester(0.1, 5.0, 1000, 0.05), 4)
    0.1779
    >>> mcallester(0.1, 50.0, 10, 0.05) > 1  # vacuous, and shown as it is
    True

    Source: McAllester (1999) with Maurer's constant (2004); used as a ceiling by C25.
    """
    r, k, n = _checked(risk, kl, m, delta)
    value = (r + np.sqrt((k + np.log(2 * np.sqrt(n)) - math.log(delta)) / (2 * n))) * _UP
    return like(np.broadcast_arrays(risk, kl, m)[0], value)


def seeger(risk: npt.ArrayLike, kl: npt.ArrayLike, m: npt.ArrayLike, delta: float) -> FloatOrArray:
    """Ceiling ``kl⁻¹(R̂, (KL(Q‖P) + log(2√m/δ))/m)``, never above McAllester's.

    Parameters
    ----------
    risk : array
        Empirical risk ``R̂`` of the posterior, in [0, 1].
    kl : array
        ``KL(Q‖P)`` in nats, >= 0.
    m : array
        Number of independent samples, >= 1.
    delta : float
        Failure probability in (0, 1).

    Examples
    --------
    >>> seeger(0.1, 5.0, 1000, 0.05) < mcallester(0.1, 5.0, 1000, 0.05)
    True

    Source: Seeger (2002) with Maurer's constant (2004).
    """
    r, k, n = _checked(risk, kl, m, delta)
    value = kl_inverse_upper(r, (k + np.log(2 * np.sqrt(n)) - math.log(delta)) / n * _UP)
    return like(np.broadcast_arrays(risk, kl, m)[0], np.asarray(value))


def catoni(risk: npt.ArrayLike, kl: npt.ArrayLike, m: npt.ArrayLike, delta: float, rate: float = 1.0) -> FloatOrArray:
    """Ceiling ``(1 - exp(-c R̂ - (KL(Q‖P) + log 1/δ)/m)) / (1 - e^{-c})`` for a ``rate`` ``c > 0`` fixed beforehand.

    Parameters
    ----------
    risk : array
        Empirical risk ``R̂`` of the posterior, in [0, 1].
    kl : array
        ``KL(Q‖P)`` in nats, >= 0.
    m : array
        Number of independent samples, >= 1.
    delta : float
        Failure probability in (0, 1).
    rate : float
        c > 0.

    Raises
    ------
    InputError
        If ``rate`` is not positive, or a risk, KL, number of samples or ``delta`` is out of its range.

    Examples
    --------
    >>> catoni(0.02, 5.0, 1000, 0.05, rate=0.5) < mcallester(0.02, 5.0, 1000, 0.05)
    True

    Source: Catoni (2007).
    """
    require(rate > 0 and math.isfinite(rate), f"rate must be a positive number; got {rate!r}.")
    r, k, n = _checked(risk, kl, m, delta)
    value = -np.expm1(-(rate * r + (k - math.log(delta)) / n)) / -math.expm1(-rate) * _UP
    return like(np.broadcast_arrays(risk, kl, m)[0], np.asarray(value))


def expected_ceiling(
    risk: npt.ArrayLike, expected_kl: npt.ArrayLike, m: npt.ArrayLike, form: Form = "seeger", rate: float = 1.0
) -> FloatOrArray:
    r"""Ceiling on the *expected* risk from the *expected* empirical risk and the expected KL.

    ``mcallester``: ``E R̂ + √(E KL/2m)``; ``seeger``: ``kl⁻¹(E R̂, (E KL + log 2√m)/m)``; ``catoni``: as `catoni`
    with no term for δ. A capacity bounds the expected KL, so this is the form that it enters without loss.

    Parameters
    ----------
    risk : array
        Empirical risk ``R̂`` of the posterior, in [0, 1].
    expected_kl : array
        ``E KL(Q‖P)`` in nats, >= 0.
    m : array
        Number of independent samples, >= 1.
    form : "mcallester", "seeger" or "catoni"
        The ceiling.
    rate : float
        Catoni's c > 0, fixed beforehand.

    Raises
    ------
    InputError
        If ``form`` is none of these, or a risk, KL, number of samples or ``rate`` is out of its range.

    Examples
    --------
    >>> round(expected_ceiling(0.1, 5.0, 1000, form="mcallester"), 4)
    0.15

    Source: we derive: Donsker and Varadhan's inequality in expectation over the data, then Jensen's.
    """
    require(form in get_args(Form), f"form must be one of {', '.join(get_args(Form))}; got {form!r}.")
    r, k, n = _checked(risk, expected_kl, m, 0.5)
    if form == "mcallester":
        value = (r + np.sqrt(k / (2 * n))) * _UP
    elif form == "seeger":
        value = np.asarray(kl_inverse_upper(r, (k + np.log(2 * np.sqrt(n))) / n * _UP))
    else:
        require(rate > 0 and math.isfinite(rate), f"rate must be a positive number; got {rate!r}.")
        value = -np.expm1(-(rate * r + k / n)) / -math.expm1(-rate) * _UP
    return like(np.broadcast_arrays(risk, expected_kl, m)[0], np.asarray(value))


def probable_ceiling(
    risk: npt.ArrayLike,
    expected_kl: npt.ArrayLike,
    m: npt.ArrayLike,
    delta: float,
    eta: float,
    form: Form = "seeger",
    rate: float = 1.0,
) -> FloatOrArray:
    """Ceiling that holds with probability ``1 - δ - η`` when only the expected KL is known: Markov pays ``1/η``.

    Parameters
    ----------
    risk : array
        Empirical risk ``R̂`` of the posterior, in [0, 1].
    expected_kl : array
        ``E KL(Q‖P)`` in nats, >= 0.
    m : array
        Number of independent samples, >= 1.
    delta, eta : float
        Failure probabilities of PAC-Bayes and of Markov's inequality, in (0, 1).
    form : "mcallester", "seeger" or "catoni"
        The ceiling.
    rate : float
        Catoni's c > 0, fixed beforehand.

    Raises
    ------
    InputError
        If ``form`` is none of these, ``delta + eta`` reaches 1, or another value is out of its range.

    Examples
    --------
    >>> probable_ceiling(0.1, 5.0, 1000, delta=0.025, eta=0.025) > seeger(0.1, 5.0, 1000, delta=0.05)
    True

    Source: C25 pairs the channel with PAC-Bayes; that a capacity bounds the expected KL only, we derive.
    """
    require(form in get_args(Form), f"form must be one of {', '.join(get_args(Form))}; got {form!r}.")
    require(0 < eta < 1, f"eta must lie in (0, 1); got {eta!r}.")
    require(0 < delta < 1, f"delta must lie in (0, 1); got {delta!r}.")
    require(delta + eta < 1, f"delta + eta must be less than 1; got {delta!r} + {eta!r}.")
    paid = np.asarray(expected_kl, dtype=np.float64) / eta
    if form == "catoni":
        return catoni(risk, paid, m, delta, rate)
    return (mcallester if form == "mcallester" else seeger)(risk, paid, m, delta)


def _checked(
    risk: npt.ArrayLike, kl: npt.ArrayLike, m: npt.ArrayLike, delta: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    require(0 < delta < 1, f"delta must lie in (0, 1); got {delta!r}.")
    try:
        r = require_range("risk", risk, 0.0, 1.0)
    except ValueError as error:
        raise InputError(f"{str(error).rstrip('.')}; divide a loss by its range first.") from None
    return np.broadcast_arrays(r, require_range("kl", kl, 0.0), require_range("m", m, 1.0))  # type: ignore[return-value]
