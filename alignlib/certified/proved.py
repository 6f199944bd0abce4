"""A number that a reader names, as the library has it and as ball arithmetic proves it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_number, as_vector, require
from alignlib._core.errors import InputError
from alignlib.bottleneck import binary_kl, capacity, catoni, kl_inverse_first, kl_inverse_upper, mcallester, seeger
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN

if TYPE_CHECKING:
    from flint import arb

__all__ = [
    "Certified",
    "certified_best_of_n",
    "certified_capacity",
    "certified_ceilings",
    "certified_kl",
    "certified_kl_inverse",
    "certified_limit",
    "certified_tilt",
]

_ROUNDING = 1e-28  # nats: what rows pass that differ in the last place of a double, which is the square of that
_DIGITS = 30
_NAMES = {
    "log_partition": "log-partition Λ(λ)",
    "mean_reward": "reward R(λ)",
    "gain": "gain R(λ) - R(0)",
    "kl": "KL D(λ) of the optimum to the base",
    "reverse_kl": "KL of the base to the optimum",
    "variance": "variance at λ",
}


@dataclass(frozen=True)
class Certified:
    """One number, and what is proved of it.

    Attributes
    ----------
    quantity : str
        What it is.
    value : float
        As the library has it.
    low, high : float
        Doubles between which the exact value is proved to lie.
    ball : str
        The exact value to thirty digits or as many as are proved, with its radius.
    units : float
        Proved distance of ``value`` to the exact value, in units of its last place.
    side : str
        ``"upper"`` where ``value`` is rounded up on purpose, ``"lower"`` where down, else empty; proved too.

    Examples
    --------
    >>> (found,) = certified_kl(0.25, 0.5)
    >>> found.low <= found.value <= found.high, found.units <= 1.0
    (True, True)
    """

    quantity: str
    value: float
    low: float
    high: float
    ball: str
    units: float
    side: str = ""


def certified_tilt(reward: npt.ArrayLike, prob: npt.ArrayLike | None, lam: float) -> tuple[Certified, ...]:
    """Certify Λ, R, D and their relatives at a λ.

    Parameters
    ----------
    reward : array (k,)
        Rewards.
    prob : array (k,), optional
        Their masses; equal ones by default.
    lam : float
        λ = 1/β, from -1e8 to 1e8.

    Returns
    -------
    tuple of Certified
        One for each quantity.

    Raises
    ------
    InputError
        For what is no law or no λ, or without python-flint.

    Examples
    --------
    >>> certified_tilt([0, 1], None, 1.0)[1].ball
    '[0.731058578630004879251159241822 +/- 1.64e-31]'
    """
    balls, lam = _balls(), as_number("lam", lam, -1e8, 1e8)
    law, rewards, masses = _law(reward, prob)
    with balls.precision():
        found = balls.tilt(rewards, masses, lam)
        return tuple(_of(name, float(getattr(law, key)(lam)), found[key]) for key, name in _NAMES.items())


def certified_limit(reward: npt.ArrayLike, prob: npt.ArrayLike | None, kl: float) -> tuple[Certified, ...]:
    """Certify the largest gain within a KL budget.

    Parameters
    ----------
    reward : array (k,)
        Rewards.
    prob : array (k,), optional
        Their masses; equal ones by default.
    kl : float
        The budget in nats.

    Returns
    -------
    tuple of Certified
        The gain.

    Raises
    ------
    InputError
        For what is no law or no budget, or one within rounding of the last useful one, or without python-flint.

    Examples
    --------
    >>> certified_limit([0, 1], None, 0.1)[0].ball
    '[0.21979462616140973710591387 +/- 4.67e-27]'
    """
    balls, kl = _balls(), as_number("kl", kl, 0.0, open_low=True)
    law, rewards, masses = _law(reward, prob)
    value = float(law.gain_at_kl(kl))
    with balls.precision():
        last = balls.best_of_n(rewards, masses, 1.0)["mean_reward"]
        if kl > law.max_kl * (1.0 + 1e-12):
            return (_of("limit R(Δ) - R(0)", value, balls.exactly(law.max_reward) - last),)
        try:
            ball = balls.frontier(rewards, masses, kl, float(law.lam_at_kl(kl)))
        except ValueError as error:
            raise InputError(
                f"kl must not be so near {law.max_kl:g}, where the best response has all mass; got {kl!r}. Lower kl.",
                argument="kl",
            ) from error
    return (_of("limit R(Δ) - R(0)", value, ball),)


def certified_best_of_n(
    n: float, reward: npt.ArrayLike | None = None, prob: npt.ArrayLike | None = None
) -> tuple[Certified, ...]:
    """Certify what best-of-N spends; of a law with ties also its reward and gain.

    Parameters
    ----------
    n : float
        Draws, from 1 to 1e15.
    reward : array (k,), optional
        Rewards; without them no two are equal.
    prob : array (k,), optional
        Their masses; equal ones by default.

    Returns
    -------
    tuple of Certified
        One for each quantity.

    Raises
    ------
    InputError
        For what is no law or no number of draws, or without python-flint.

    Examples
    --------
    >>> certified_best_of_n(1e12)[0].ball
    '[26.6310211159295482082158974562 +/- 1.24e-29]'
    """
    balls, n = _balls(), as_number("n", n, 1.0, 1e15)
    with balls.precision():
        if reward is None:
            require(prob is None, "prob must come with reward; give both, or none.", "prob")
            draws = balls.exactly(n)
            exact = draws.log() - (draws - 1) / draws
            return (_of("KL of best-of-N without ties", BestOfN(n).spent_formula(), exact),)
        law, rewards, masses = _law(reward, prob)
        best, found = BestOfN(n).on(law), balls.best_of_n(rewards, masses, n)
        names = {"kl": "KL of best-of-N", "mean_reward": "reward of best-of-N", "gain": "gain of best-of-N"}
        return tuple(_of(name, float(getattr(best, key)), found[key]) for key, name in names.items())


def certified_kl(q: float, p: float) -> tuple[Certified, ...]:
    """Certify ``kl(q‖p)`` of two probabilities.

    Parameters
    ----------
    q, p : float
        Probabilities; p is neither 0 nor 1.

    Returns
    -------
    tuple of Certified
        The divergence.

    Raises
    ------
    InputError
        For what is no probability, or without python-flint.

    Examples
    --------
    >>> certified_kl(0.25, 0.5)[0].ball
    '[0.130812035941136959129201806234 +/- 2.83e-31]'
    """
    balls, q = _balls(), as_number("q", q, 0.0, 1.0)
    p = as_number("p", p, 0.0, 1.0, open_low=True, open_high=True)
    with balls.precision():
        return (_of("kl(q‖p)", float(binary_kl(q, p)), balls.binary_kl(q, p)),)


def certified_kl_inverse(q: float, kl: float) -> tuple[Certified, ...]:
    """Certify the largest p with ``kl(q‖p) <= kl`` and the smallest x with ``kl(x‖q) <= kl``.

    Parameters
    ----------
    q : float
        A probability.
    kl : float
        The divergence in nats.

    Returns
    -------
    tuple of Certified
        The first is rounded up, the second down.

    Raises
    ------
    InputError
        For what is no probability or no divergence, or without python-flint.

    Examples
    --------
    >>> certified_kl_inverse(0.0, 1.0)[0].ball  # 1 - 1/e
    '[0.632120558828557678404476229839 +/- 4.61e-31]'
    """
    balls, q, kl = _balls(), as_number("q", q, 0.0, 1.0), as_number("kl", kl, 0.0, 700.0, open_low=True)
    with balls.precision():
        bound = balls.exactly(kl)
        largest = float(kl_inverse_upper(q, kl))
        up = _of("largest p with kl(q‖p) ≤ Δ", largest, balls.inverse(q, bound), "upper", than=_end(largest))
        if not 0.0 < q < 1.0:
            return (up,)
        down = balls.inverse(q, bound, up=False)
        smallest = float(kl_inverse_first(q, kl))
        return up, _of("smallest x with kl(x‖q) ≤ Δ", smallest, down, "lower", than=_end(smallest))


def certified_capacity(channel: npt.ArrayLike) -> tuple[Certified, ...]:
    """Certify the capacity of a channel between what an input law passes and what no input law exceeds.

    Parameters
    ----------
    channel : array (inputs, outputs)
        Rows are laws of the output.

    Returns
    -------
    tuple of Certified
        The capacity in nats; the library's number is its lower end.

    Raises
    ------
    InputError
        For what is no channel, or without python-flint.

    Examples
    --------
    >>> found = certified_capacity([[0.9, 0.1], [0.1, 0.9]])[0]
    >>> round(found.value, 6), found.low <= found.value  # rounded down
    (0.368064, False)
    """
    balls, found = _balls(), capacity(channel)
    rows = np.asarray(channel, dtype=np.float64)
    usable = rows.any(axis=1)  # a row of zeros is an input that is never sent
    rows, sent = rows[usable], found.input_prob[usable]
    with balls.precision(400):
        passed = balls.mutual_information(rows, sent)
        ball = passed.union(balls.largest_divergence(rows, sent))
        if rows.shape[0] == rows.shape[1] and np.linalg.matrix_rank(rows) == len(rows):
            closed = balls.capacity_of_square(rows)
            ball = ball if closed is None else closed
        if found.value == 0.0 and (rows == rows[0]).all():
            ball = passed = balls.exactly(0.0)
        elif not balls.exactly(found.value) <= passed and balls.ends(ball)[1] < _ROUNDING:
            raise InputError(
                "channel must have rows that differ by more than the rounding of their entries; the capacity of these "
                f"is proved to be at most {balls.ends(ball)[1]:.3g} nats, and no digit of it is.",
                argument="channel",
            )
        return (_of("capacity", found.value, ball, "lower", than=passed),)


def certified_ceilings(risk: float, kl: float, m: int, delta: float, rate: float = 1.0) -> tuple[Certified, ...]:
    """Certify PAC-Bayes ceilings: McAllester's, Seeger's and Catoni's.

    Parameters
    ----------
    risk : float
        Empirical risk in [0, 1].
    kl : float
        KL of posterior to prior in nats.
    m : int
        Labels.
    delta : float
        The chance that the ceiling fails, in (0, 1).
    rate : float
        Of Catoni's.

    Returns
    -------
    tuple of Certified
        All are rounded up.

    Raises
    ------
    InputError
        For a number out of its range, or without python-flint.

    Examples
    --------
    >>> [round(one.value, 4) for one in certified_ceilings(0.1, 5.0, 10_000, 0.05)]
    [0.1258, 0.1162, 0.1517]
    """
    balls = _balls()
    values = float(mcallester(risk, kl, m, delta)), float(seeger(risk, kl, m, delta))
    third = float(catoni(risk, kl, m, delta, rate))
    with balls.precision():
        exact, labels, c = balls.exactly(risk), balls.exactly(m), balls.exactly(rate)
        lost = balls.exactly(kl) - balls.exactly(delta).log()
        paid = lost + (2 * labels.sqrt()).log()
        last = (-(c * exact + lost / labels)).expm1() / (-c).expm1()
        return (
            _of("McAllester's ceiling", values[0], exact + (paid / (2 * labels)).sqrt(), "upper"),
            _of(
                "Seeger's ceiling", values[1], balls.inverse(float(risk), paid / labels), "upper", than=_end(values[1])
            ),
            _of("Catoni's ceiling", third, last, "upper"),
        )


def _balls() -> ModuleType:
    try:
        from alignlib.certified import balls
    except ImportError as error:
        raise InputError(
            "Certified numbers need python-flint, which is not installed: install the extra, with "
            "`pip install '.[certify]'` in a copy of the repository."
        ) from error
    return balls


def _law(reward: npt.ArrayLike, prob: npt.ArrayLike | None) -> tuple[FiniteLaw, FloatArray, FloatArray]:
    """Return a law, and rewards and masses as they were given: its own masses are rounded."""
    rewards = as_vector("reward", reward)
    masses = np.ones(rewards.size) if prob is None else as_vector("prob", prob)
    return (FiniteLaw(rewards) if prob is None else FiniteLaw(rewards, masses)), rewards, masses


def _end(value: float) -> arb | None:
    """Return 0 or 1 where an inverse is one: no probability is beyond, whatever its ball reaches by rounding."""
    return _balls().exactly(value) if value in (0.0, 1.0) else None


def _of(quantity: str, value: float, ball: arb, side: str = "", than: arb | None = None) -> Certified:
    """Put a number beside its ball; one on the wrong side of it (or of ``than``) is an error of ours."""
    balls = _balls()
    low, high = balls.ends(ball)
    ours, other = balls.exactly(value), ball if than is None else than
    right = {"upper": ours >= other, "lower": ours <= other}.get(side, True)
    if not right or not math.isfinite(low) or not math.isfinite(high):
        raise ArithmeticError(f"{quantity} is not certified: the library has {value!r}, the ball is {ball.str(20)}")
    return Certified(quantity, value, low, high, ball.str(_DIGITS), balls.units_apart(value, ball), side)
