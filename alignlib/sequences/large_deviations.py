"""Large deviations of the reward per token: its cumulants of every order and the rate function (Y24).

Λ's n-th derivative is an alternating combination of moments that cancels ever more with n; it is formed in decimal
arithmetic whose precision is raised until two precisions agree, so that what is returned is right to rounding. It is a
Rényi cross entropy too. The rate function is ``sup_θ [θx - Λ(θ)]``, with the first correction of Bahadur and Rao.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal, Overflow, localcontext

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import (
    FloatArray,
    FloatOrArray,
    as_float_array,
    as_number,
    as_vector,
    as_whole,
    like,
    require,
)
from alignlib.laws import FiniteLaw, Law

__all__ = ["cumulants", "exact_asymptotics", "rate_function", "renyi_cross_entropy", "scaled_cgf"]

_HIGHEST = 10_000  # order; each more costs two more digits
_AGREEMENT = Decimal("1e-16")
_VANISHING = Decimal("1e-40")
_MOST_DIGITS = 2000


def cumulants(reward: npt.ArrayLike, prob: npt.ArrayLike, order: int, lam: float = 0.0) -> FloatArray:
    """Return ``Λ'(λ), Λ''(λ), …, Λ^{(order)}(λ)``, the cumulants of the reward under ``π_λ ∝ p e^{λ r}``.

    Parameters
    ----------
    reward : array (k,)
        Rewards, finite.
    prob : array (k,)
        Base masses, summing to one.
    order : int
        Highest order, >= 1.
    lam : float
        Tilt λ, finite.

    Returns
    -------
    array (order,)
        In the reward's unit to the power 1, 2, …; a memoryless sequence of length m has m times these.

    Raises
    ------
    InputError
        If the law is not one, ``order`` is below 1 or ``lam`` is not finite.
    ArithmeticError
        If 2000 digits do not suffice.

    Examples
    --------
    >>> cumulants([0.0, 1.0], [0.75, 0.25], 4).tolist()
    [0.25, 0.1875, 0.09375, -0.0234375]
    """
    order = as_whole("order", order, 1, _HIGHEST)
    tilt = float(as_float_array("lam", lam))
    law = FiniteLaw(reward, prob)  # checks the law
    rewards, masses = as_vector("reward", reward).tolist(), as_vector("prob", prob).tolist()
    pairs = [(r, p) for r, p in zip(rewards, masses, strict=True) if p > 0]
    scale = Decimal(law.max_reward) - Decimal(law.min_reward)
    digits, previous = 40 + 2 * order, None
    while digits <= _MOST_DIGITS:
        with localcontext(Context(prec=digits)):
            try:
                values = _cumulants(pairs, order, Decimal(tilt), Decimal(law.max_reward))
            except Overflow:
                raise ArithmeticError(f"lam = {tilt:g} puts weights beyond the range of decimal arithmetic.") from None
            if previous is not None and all(
                abs(a - b) <= max(_AGREEMENT * abs(a), _VANISHING * scale**n)
                for n, (a, b) in enumerate(zip(values, previous, strict=True), start=1)
            ):
                return np.array([float(v) for v in values])
        previous, digits = values, 2 * digits
    raise ArithmeticError(f"cumulants of order {order} at lam = {tilt:g} need more than {_MOST_DIGITS} digits.")


def _cumulants(pairs: list[tuple[float, float]], order: int, lam: Decimal, top: Decimal) -> list[Decimal]:
    weights = [Decimal(p) * (lam * (Decimal(r) - top)).exp() for r, p in pairs]
    total = sum(weights, Decimal(0))
    mean = sum((w * Decimal(r) for w, (r, _) in zip(weights, pairs, strict=True)), Decimal(0)) / total
    centred = [Decimal(r) - mean for r, _ in pairs]
    powers, moments = [w / total for w in weights], [Decimal(1)]
    for _ in range(order):
        powers = [x * c for x, c in zip(powers, centred, strict=True)]
        moments.append(sum(powers, Decimal(0)))
    # κ_n = μ_n - Σ_j C(n-1, j-1) κ_j μ_{n-j}, with central moments: κ_1 is put back at the end
    out = [Decimal(0)]
    for n in range(1, order + 1):
        known = sum((math.comb(n - 1, j - 1) * out[j] * moments[n - j] for j in range(1, n)), Decimal(0))
        out.append(moments[n] - known)
    out[1] = mean
    return out[1:]


def scaled_cgf(law: FiniteLaw, s: npt.ArrayLike, lam: float = 0.0) -> FloatOrArray:
    """Return ``Λ(λ+s) - Λ(λ) = (1/m) log E_{π_λ} e^{s S}`` in nats per token, for each s.

    Parameters
    ----------
    law : FiniteLaw
        Law of one token's reward.
    s : array
        Finite, of either sign.
    lam : float
        Tilt λ under which the expectation is taken.

    Examples
    --------
    >>> round(scaled_cgf(FiniteLaw([0.0, 1.0]), 1.0), 6)
    0.620115
    """
    shift = as_float_array("s", s)
    under = law if lam == 0 else law.tilted(lam)
    return like(s, np.asarray(under.log_partition(shift)))


def renyi_cross_entropy(prob: npt.ArrayLike, target: npt.ArrayLike, order: npt.ArrayLike) -> FloatOrArray:
    """Return ``H_t(φ‖q) = (1-t)^{-1} log Σ φ q^{t-1}`` in nats, for each order t; at ``t = 1`` it is ``-Σ φ log q``.

    With the reward ``ρ = log q`` and ``φ = π_λ`` the scaled cumulant generating function at s is
    ``-s H_{1+s}(π_λ‖q)``.

    Parameters
    ----------
    prob : array (k,)
        The law φ.
    target : array (k,)
        The law q; it must be positive where φ is.
    order : array
        Orders t, finite.

    Raises
    ------
    InputError
        If ``target`` vanishes where ``prob`` does not, or either is not a law.

    Examples
    --------
    >>> renyi_cross_entropy([0.5, 0.5], [0.25, 0.75], 2.0).__round__(6)
    0.693147

    Source: Y24 (growth of the scaled cumulants).
    """
    phi, q = as_vector("prob", prob), as_vector("target", target)
    orders = as_float_array("order", order)
    law = FiniteLaw(log_target(q, phi), phi)
    shift = orders - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(shift == 0, 0.0, np.asarray(law.reverse_kl(shift)) / shift)
    return like(order, -(law.base_reward + slope))


def log_target(target: FloatArray, prob: FloatArray) -> FloatArray:
    """``log q`` where ``prob`` is positive, 0 elsewhere; refuses a law q that misses a letter of ``prob``.

    Parameters
    ----------
    target : array (k,)
        The law q of a token.
    prob : array (k,)
        The base's.

    Returns
    -------
    array (k,)
        In nats.

    Raises
    ------
    InputError
        For a q of 0 where the base has mass.
    """
    require(
        target.shape == prob.shape, f"target must have the shape of the base law, {prob.shape}; got {target.shape}."
    )
    require(
        target.min() >= 0 and abs(float(target.sum()) - 1) <= 1e-6,
        f"target must be a law; its smallest value is {target.min():g} and its sum {target.sum():.9g}.",
    )
    held = prob > 0
    missing = np.flatnonzero(held & (target <= 0))
    require(
        missing.size == 0,
        f"target must be positive wherever the base law is; it vanishes at position {missing[:1].tolist()}. "
        "Give it mass there or drop these letters from the base law.",
    )
    return np.log(np.where(held, target, 1.0))


def rate_function(law: Law, mean: npt.ArrayLike) -> FloatOrArray:
    """Return ``I(x) = sup_θ [θx - Λ(θ)] = KL(tilt with mean x ‖ base)`` in nats per token, for each x.

    The base is the law that ``law`` tilts: for the rate function under ``π_λ`` give the law whose base is
    ``π_λ`` (the model's ``rate`` does). ``inf`` outside the range of the reward.

    Parameters
    ----------
    law : Law
        A token law, or a twisted chain.
    mean : array
        Rewards per token x.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> round(rate_function(FiniteLaw([0.0, 1.0]), 1.0), 6)
    0.693147
    >>> rate_function(FiniteLaw([0.0, 1.0]), 1.5)
    inf

    Source: Y24 (large-deviation principle and its rate function).
    """
    at = as_float_array("mean", mean)
    return like(mean, np.array([_rate(law, x) for x in at.reshape(-1).tolist()]).reshape(at.shape))


def _rate(law: Law, x: float) -> float:
    if not law.min_reward <= x <= law.max_reward:
        return math.inf
    return float(law.kl(law.lam_at_gain(x - law.base_reward)))


def exact_asymptotics(law: Law, mean: float, length: int, step: float | None = None) -> float:
    """Return the ``log P(S >= m x)`` of Bahadur and Rao: the rate function with its first finite-length correction.

    ``-m I(x) - log(θ σ √(2πm))`` with θ the tilt of mean x and σ² its variance; on a lattice of spacing ``step``
    (``m x`` a lattice point) θ is replaced by ``(1 - e^{-θ step})/step``.

    Parameters
    ----------
    law : Law
        A token law, or a twisted chain.
    mean : float
        Reward per token x, above the base mean and below the top reward.
    length : int
        Number of tokens m.
    step : float, optional
        Spacing of the lattice of sums, for lattice rewards.

    Raises
    ------
    InputError
        If ``mean`` does not lie between the base mean and the top reward.

    Examples
    --------
    >>> from alignlib.sequences import MemorylessModel
    >>> model = MemorylessModel([0.5, 0.5], [0.0, 1.0], 1000)
    >>> round(exact_asymptotics(model.token, 0.6, 1000, step=1.0), 3), round(model.sum_law().log_tail(600.0), 3)
    (-22.696, -22.715)

    Source: Bahadur and Ranga Rao (1960).
    """
    require(
        law.base_reward < mean < law.max_reward,
        f"mean must lie in ({law.base_reward:g}, {law.max_reward:g}); got {mean:g}.",
    )
    length = as_whole("length", length, 1)
    step = None if step is None else as_number("step", step, 0.0, open_low=True)
    theta = law.lam_at_gain(mean - law.base_reward)
    fall = 0.0 if step is None else theta * step  # of the weights from one lattice point to the next
    slope = theta if fall == 0.0 else theta * -math.expm1(-fall) / fall
    spread = math.sqrt(2 * math.pi * length * float(law.variance(theta)))
    return -length * float(law.kl(theta)) - math.log(slope * spread)
