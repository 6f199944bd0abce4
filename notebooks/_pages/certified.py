"""Numbers of the library against balls that contain the exact values: what is certified, and to how many digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from flint import arb

from alignlib._core.checks import FloatArray
from alignlib.bottleneck import binary_kl, capacity, catoni, kl_inverse_first, kl_inverse_upper, mcallester, seeger
from alignlib.certified import balls
from alignlib.laws import FiniteLaw, Gaussian, win_rates
from alignlib.rules import BestOfN

__all__ = ["GROUPS", "SAFE", "UNITS", "Laws", "Number", "digits", "numbers", "some_laws", "worst_of"]

LAMS = (1e-8, 1e-4, 0.03, 1.0, 17.0, 650.0, 1e4, 1e8)
UNITS = 16.0
"""Units in the last place within which a number is stated to lie."""
SAFE = 256.0
"""The same for a number that is rounded to its safe side, by a margin wider than its rounding errors."""
_EXPONENT = 745.0  # e^-745 is the smallest double
NS = (1.5, 2.0, 4.0, 64.0, 1e6, 1e12)


@dataclass(frozen=True)
class Number:
    """One number of the library with what is proved of it.

    ``units``: it lies within so many units in its last place of the exact value (on the safe side, for a bound);
    ``allowed``: within how many it is stated to lie; ``value``: the number itself.
    """

    quantity: str
    where: str
    value: float
    units: float
    allowed: float

    @property
    def relative(self) -> float:
        """The proved relative error; of a number that is 0 or below 1e-290, where doubles lose digits, 0."""
        size = abs(self.value)
        return self.units * float(np.spacing(size)) / size if size > 1e-290 else 0.0


Laws: TypeAlias = dict[str, tuple[FloatArray, FloatArray]]


def some_laws(seed: int = 0, n_random: int = 8) -> Laws:
    """Return rewards and masses of laws on which a plain formula loses its digits, and of random ones."""
    rng = np.random.default_rng(seed)
    tiny = np.array([1e-300, 1e-200, 1e-20, 1e-3, 0.0, 1.0])
    tiny[-1] = 1 - tiny[:-1].sum()
    found = {
        "rewards of a million and a little": (1e6 + rng.normal(size=12), rng.dirichlet(np.ones(12))),
        "ties": (np.repeat([0.0, 1.0, 1.5], 4), rng.dirichlet(np.ones(12))),
        "masses of 1e-300 on top": (np.array([3.0, 2.5, 2.0, 1.0, 5.0, 0.0]), tiny),
        "masses of 1e-300 at the bottom": (np.array([-3.0, -2.5, -2.0, -1.0, -5.0, 0.0]), tiny),
        "nearly sure": (np.array([0.0, 1.0]), np.array([1e-12, 1 - 1e-12])),
        "one far away": (np.array([-1.0, 1.0, 1e6]), np.array([0.5, 0.5 - 1e-12, 1e-12])),
        "nearly tied at the top": (np.array([0.0, 1.0, 1.0 + 1e-9]), np.array([0.7, 0.2, 0.1])),
        "one reward only": (np.full(5, -2.0), np.full(5, 0.2)),
    }
    for i in range(n_random):
        size = int(rng.integers(2, 12))
        found[f"random law {i + 1}"] = (rng.normal(size=size), rng.dirichlet(np.full(size, 0.5)))
    return found


def _with_exponents(largest: float) -> float:
    """``UNITS`` and two for each nat of the largest exponent: rounding x once moves ``e^-x`` by up to x units."""
    return UNITS + 2.0 * min(largest, _EXPONENT)


def tilts(laws: Laws) -> Iterator[Number]:
    """Λ, D, R and their relatives at each λ."""
    names = {
        "log_partition": "log-partition Λ(λ)",
        "mean_reward": "reward R(λ)",
        "gain": "gain R(λ) - R(0)",
        "kl": "KL D(λ)",
        "reverse_kl": "KL of base to optimum",
        "variance": "variance at λ",
    }
    for where, (reward, prob) in laws.items():
        law = FiniteLaw(reward, prob)
        held = reward[prob > 0]
        for lam in LAMS:
            allowed = _with_exponents(lam * float(np.ptp(held)))
            largest = float(np.abs(held).max())  # of what is summed; a sum of terms of both signs may be near 0
            sizes = {"mean_reward": largest, "log_partition": lam * largest}
            for name, ball in balls.tilt(reward, prob, lam).items():
                value = float(getattr(law, name)(lam))
                lost = max(1.0, sizes.get(name, 0.0) / abs(value)) if value else 1.0
                units = balls.units_apart(value, ball)
                yield Number(names[name], f"{where}, λ = {lam:g}", value, units, lost * allowed)


def frontiers(laws: Laws) -> Iterator[Number]:
    """The limit at a budget, through the solver."""
    for where, (reward, prob) in laws.items():
        law = FiniteLaw(reward, prob)
        for kl in (1e-12, 1e-3, 0.1, 1.0):
            if kl >= 0.999 * law.max_kl:
                continue
            gain, lam = float(law.gain_at_kl(kl)), float(law.lam_at_kl(kl))
            ball = balls.frontier(reward, prob, kl, lam)
            allowed = _with_exponents(lam * float(np.ptp(reward[prob > 0])))
            yield Number("limit R(Δ) - R(0)", f"{where}, Δ = {kl:g}", gain, balls.units_apart(gain, ball), allowed)


def rules(laws: Laws) -> Iterator[Number]:
    """Best-of-N on finite laws up to N = 1e12, and without ties."""
    names = {"kl": "KL of best-of-N", "mean_reward": "reward of best-of-N", "gain": "gain of best-of-N"}
    for where, (reward, prob) in laws.items():
        law = FiniteLaw(reward, prob)
        least = float(prob[reward == reward[prob > 0].min()].sum())
        for n in NS:
            best = BestOfN(n).on(law)
            for name, ball in balls.best_of_n(reward, prob, n).items():
                value = float(getattr(best, name))
                lost = max(1.0, float(np.abs(reward).max()) / abs(value)) if name == "mean_reward" and value else 1.0
                allowed = lost * _with_exponents(-n * math.log(least))
                yield Number(names[name], f"{where}, N = {n:g}", value, balls.units_apart(value, ball), allowed)
    for n in (1.0 + 1e-9, *NS):
        value = BestOfN(n).spent_formula()
        exact = arb(n).log() - (arb(n) - 1) / arb(n)
        yield Number("log N - (N-1)/N", f"N = {n!r}", value, balls.units_apart(value, exact), UNITS)
    with balls.precision(120):
        for k in (2, 4, 64):
            value = BestOfN(k).on(Gaussian()).gain
            yield Number(
                "best-of-N, normal rewards",
                f"N = {k}",
                value,
                balls.units_apart(value, balls.gaussian_best_of_n(k)),
                UNITS,
            )
    curve = win_rates(Gaussian())
    for lam in (1e-6, 0.01, 1.0, 30.0, 700.0):
        for name, ball in balls.uniform_tilt(lam).items():
            value = float(getattr(curve, name)(lam))
            yield Number("win-rate curve", f"{name}, λ = {lam:g}", value, balls.units_apart(value, ball), UNITS)


def divergences(_: Laws) -> Iterator[Number]:
    """The binary divergence and its inverses, which are rounded to the safe side."""
    rng = np.random.default_rng(1)
    pairs = [(0.0, 0.5), (0.3, 0.3 + 1e-9), (1e-300, 1e-12), (0.999, 1.0 - 1e-15), (0.5, 1e-300), (1.0, 0.25)]
    pairs += [(float(a), float(b)) for a, b in rng.random((20, 2))]
    for q, p in pairs:
        value = float(binary_kl(q, p))
        units = balls.units_apart(value, balls.binary_kl(q, p))
        yield Number("kl(q‖p)", f"q = {q:.3g}, p = {p:.3g}", value, units, UNITS)
    for q in (0.0, 1e-12, 0.1, 0.5, 0.9, *(float(x) for x in rng.random(4))):
        for c in (1e-9, 0.01, 0.3, 3.0):
            up = float(kl_inverse_upper(q, c))
            units = balls.inverse_units(q, arb(c), up)
            yield Number("inverse of kl(q‖·), rounded up", f"q = {q:.3g}, {c:g} nats", up, units, SAFE)
            if q > 0:
                down = float(kl_inverse_first(q, c))
                yield Number(
                    "inverse of kl(·‖p), rounded down",
                    f"p = {q:.3g}, {c:g} nats",
                    down,
                    balls.inverse_units(q, arb(c), down, up=False),
                    SAFE,
                )


def ceilings(_: Laws) -> Iterator[Number]:
    """PAC-Bayes ceilings, which are rounded up."""
    rng = np.random.default_rng(2)
    for _trial in range(20):
        risk, kl = float(rng.random() ** 3), float(rng.exponential(10.0))
        m, delta, rate = (
            int(10 ** rng.uniform(0, 7)),
            float(rng.choice([0.5, 0.05, 1e-9])),
            float(rng.uniform(0.1, 3.0)),
        )
        paid = arb(kl) + (2 * arb(m).sqrt()).log() - arb(delta).log()
        where = f"risk {risk:.3g}, KL {kl:.3g}, m = {m}, δ = {delta:g}"
        exact = arb(risk) + (paid / (2 * m)).sqrt()
        value = float(mcallester(risk, kl, m, delta))
        yield _ceiling("McAllester's ceiling", where, value, exact)
        value = float(seeger(risk, kl, m, delta))
        yield Number("Seeger's ceiling", where, value, balls.inverse_units(risk, paid / m, value), SAFE)
        inner = (-(arb(rate) * arb(risk) + (arb(kl) - arb(delta).log()) / m)).expm1()
        value = float(catoni(risk, kl, m, delta, rate))
        yield _ceiling("Catoni's ceiling", where, value, inner / (-arb(rate)).expm1())


def _ceiling(quantity: str, where: str, value: float, exact: arb) -> Number:
    units = balls.units_apart(value, exact) if arb(value) >= exact else math.inf
    return Number(quantity, where, value, units, SAFE)


def capacities(_: Laws) -> Iterator[Number]:
    """Capacities: the bracket against the exact value where it has a closed form, else against its own certificate."""
    rng = np.random.default_rng(3)
    channels = {
        "binary symmetric": np.array([[0.9, 0.1], [0.1, 0.9]]),
        "Z": np.array([[1.0, 0.0], [0.3, 0.7]]),
        "nearly useless": np.array([[0.5 + 1e-6, 0.5 - 1e-6], [0.5, 0.5]]),
        "nearly noiseless": np.array([[1.0 - 1e-9, 1e-9], [1e-7, 1.0 - 1e-7]]),
    }
    for size in (2, 3, 4, 5):
        channels[f"random, {size} × {size}"] = 0.6 * np.eye(size) + 0.4 * rng.dirichlet(np.ones(size), size)
    for where, channel in channels.items():
        exact = balls.capacity_of_square(channel)
        if exact is None:
            continue
        found = capacity(channel)
        inside = bool(arb(found.value) <= exact) and bool(exact <= arb(found.upper))
        width = float(found.gap / np.spacing(found.value))
        yield Number("capacity, against its closed form", where, found.value, width if inside else math.inf, math.inf)
    for shape in ((3, 5), (6, 4), (2, 7)):
        channel = rng.dirichlet(np.full(shape[1], 0.5), shape[0])
        found = capacity(channel)
        top = balls.largest_divergence(channel, found.input_prob)
        width = float(found.gap / np.spacing(found.value))
        certain = bool(top <= arb(found.upper))
        where = f"random, {shape[0]} × {shape[1]}"
        yield Number("capacity, against its certificate", where, found.value, width if certain else math.inf, math.inf)


GROUPS: dict[str, Callable[[Laws], Iterator[Number]]] = {
    "the optimum at λ": tilts,
    "the limit at a budget": frontiers,
    "rules": rules,
    "binary divergence": divergences,
    "ceilings": ceilings,
    "capacity": capacities,
}


def numbers(laws: Laws) -> dict[str, list[Number]]:
    """Return every number of each group."""
    with balls.precision():
        return {name: list(group(laws)) for name, group in GROUPS.items()}


def digits(number: Number) -> float:
    """Significant digits of which a number is certain, at most 16."""
    return min(-math.log10(number.relative), 16.0) if number.relative > 0 else 16.0


def worst_of(found: list[Number]) -> dict[str, tuple[int, Number]]:
    """Return of each quantity how many numbers there are, and the one with the fewest certain digits."""
    by_quantity: dict[str, list[Number]] = {}
    for number in found:
        by_quantity.setdefault(number.quantity, []).append(number)
    return {name: (len(all_of_it), min(all_of_it, key=digits)) for name, all_of_it in by_quantity.items()}
