"""Populations of prompts whose every truth is known, on which the intervals are tried.

To add a law, register a function of no arguments that returns a `Population`::

    @register("skewed, few loud prompts")
    def _loud() -> Population:
        return Population.of(normal(), scales=lognormal_scales(1.15))

A population is a finite list of kinds of prompts: a chance, a reward law (`Reward`) and a scale by which its rewards
are multiplied. A table draws its prompts from the kinds and the rewards of each from its law; every truth is then a
finite sum over kinds, each exact to the quadrature of the law (``z``, ``prob``: atoms, or bins so fine that their error
is far below any interval). `atoms` makes a law of finitely many rewards, `continuous` one of a SciPy distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats
from scipy.stats.distributions import rv_frozen

from alignlib._core.checks import FloatArray, IntArray

__all__ = [
    "POPULATIONS", "Population", "Reward", "atoms", "continuous", "lognormal_scales", "mixture", "normal", "register",
]  # fmt: skip

_BINS = 6000
_KINDS = 61
Sampler = Callable[[np.random.Generator, tuple[int, int]], FloatArray]


@dataclass(frozen=True, eq=False)
class Reward:
    """The law of a reward: how to draw it, and its values ``z`` with their chances, exact or in fine bins."""

    sample: Sampler
    z: FloatArray
    prob: FloatArray
    ties: bool = False
    finite: bool = True  # whether its log-partition function is finite; the limit has no value where not

    @property
    def variance(self) -> float:
        """The variance."""
        return float(self.prob @ np.square(self.z - self.prob @ self.z))

    @property
    def most(self) -> float:
        """The largest gain there can be."""
        return float(self.z[self.prob > 0.0].max() - self.prob @ self.z)

    def best_of(self, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return KL and chances of every value, for best of each n: shapes (k,) and (k, values)."""
        above = np.cumsum(self.prob[::-1])[::-1]
        f_high = np.clip(1.0 - np.append(above[1:], 0.0), 0.0, 1.0)
        f_low = np.clip(1.0 - above, 0.0, 1.0)
        chance = f_high[None] ** n[:, None] - f_low[None] ** n[:, None]
        if not self.ties:
            return np.log(n) - (n - 1.0) / n, chance
        ratio = np.divide(chance, self.prob, out=np.ones_like(chance), where=chance > 0.0)
        return np.sum(chance * np.log(ratio), axis=1), chance


def atoms(values: npt.ArrayLike, prob: npt.ArrayLike) -> Reward:
    """Return a law of finitely many rewards."""
    z, p = np.asarray(values, dtype=np.float64), np.asarray(prob, dtype=np.float64)
    order = np.argsort(z)
    z, p = z[order], p[order] / p.sum()
    return Reward(
        lambda rng, size: z[np.minimum(np.searchsorted(np.cumsum(p), rng.random(size)), z.size - 1)], z, p, ties=True
    )


def continuous(dist: rv_frozen, low: float, high: float, *, finite: bool = True) -> Reward:
    """Return the law of a frozen SciPy distribution; ``low`` and ``high`` enclose what any tilt needs of it."""
    edges = np.linspace(low, high, _BINS + 1)
    below, above = dist.cdf(edges), dist.sf(edges)
    prob = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))
    return Reward(
        lambda rng, size: dist.rvs(size=size, random_state=rng), 0.5 * (edges[1:] + edges[:-1]), prob, finite=finite
    )


def normal() -> Reward:
    """Return the standard normal law."""
    return continuous(scipy.stats.norm(), -9.0, 14.0)


def mixture(parts: Sequence[tuple[float, float, float]]) -> Reward:
    """Return a mixture of normal laws: (chance, mean, standard deviation) of each."""
    chance, mean, spread = np.array(parts).T
    low, high = (mean - 9.0 * spread).min(), (mean + 14.0 * spread).max()
    edges = np.linspace(low, high, _BINS + 1)[:, None]
    prob = np.diff(scipy.special.ndtr((edges - mean) / spread), axis=0) @ chance
    tail = -np.diff(scipy.special.ndtr((mean - edges) / spread), axis=0) @ chance
    prob = np.where(np.cumsum(prob) < 0.5, prob, tail)

    def sample(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        which = rng.choice(chance.size, size=size, p=chance)
        return np.asarray(mean[which] + spread[which] * rng.standard_normal(size))

    return Reward(sample, 0.5 * (edges[1:, 0] + edges[:-1, 0]), prob)


def lognormal_scales(sigma: float) -> FloatArray:
    """Return equally likely scales ``e^{σz}`` at the midpoints of the normal law: σ = 1.15 spreads 95 % over 100×."""
    return np.asarray(np.exp(sigma * scipy.special.ndtri((np.arange(_KINDS) + 0.5) / _KINDS)))


@dataclass(frozen=True, eq=False)
class Population:
    """Kinds of prompts: ``chance``, ``scale`` and the position of its law in ``laws`` for each, arrays (kinds,)."""

    chance: FloatArray
    scale: FloatArray
    which: IntArray
    laws: tuple[Reward, ...]
    name: str = field(default="")

    @classmethod
    def of(cls, *laws: Reward, scales: FloatArray | None = None, chance: Sequence[float] | None = None) -> Population:
        """Return one law at several scales, or several laws, each at its own scale."""
        if len(laws) == 1 and scales is not None:
            size, which = len(scales), np.zeros(len(scales), dtype=np.int64)
        else:
            size, which = len(laws), np.arange(len(laws))
        weight = np.ones(size) if chance is None else np.asarray(chance, dtype=np.float64)
        spread = np.ones(size) if scales is None else np.asarray(scales, dtype=np.float64)
        return cls(weight / weight.sum(), spread, which, laws)

    def of_kind(self, kind: int) -> Population:
        """Return the population of one kind of prompt only."""
        return Population(np.ones(1), self.scale[[kind]], np.zeros(1, dtype=np.int64), (self.laws[self.which[kind]],))

    def unseen(self, prompts: int, part: float = 0.25) -> float:
        """Return the chance that so many prompts hold none of the loudest kinds, which make this part of the variance.

        What such a table cannot show no method can know from it.
        """
        variance = np.array([self.laws[i].variance for i in self.which]) * self.scale**2
        order = np.argsort(-variance, kind="stable")
        carried = np.cumsum((self.chance * variance)[order]) / (self.chance @ variance)
        loudest = self.chance[order][: int(np.searchsorted(carried, part)) + 1].sum()
        return float((1.0 - loudest) ** prompts)

    @property
    def finite(self) -> bool:
        """Whether every prompt has a limit."""
        return all(law.finite for law in self.laws)


POPULATIONS: dict[str, Callable[[], Population]] = {}


def register(name: str) -> Callable[[Callable[[], Population]], Callable[[], Population]]:
    """Add a population to the study under a name."""

    def keep(made: Callable[[], Population]) -> Callable[[], Population]:
        POPULATIONS[name] = made
        return made

    return keep


@register("normal")
def _normal() -> Population:
    return Population.of(normal())


@register("normal, scales over 100x")
def _scales() -> Population:
    return Population.of(normal(), scales=lognormal_scales(1.15))


@register("uniform")
def _uniform() -> Population:
    return Population.of(continuous(scipy.stats.uniform(), 0.0, 1.0))


@register("exponential")
def _exponential() -> Population:
    return Population.of(continuous(scipy.stats.expon(), 0.0, 90.0))


@register("Laplace, scales over 8x")
def _laplace() -> Population:
    return Population.of(continuous(scipy.stats.laplace(), -30.0, 90.0), scales=lognormal_scales(0.5))


@register("skewed to the left")
def _left() -> Population:
    return Population.of(continuous(scipy.stats.gumbel_l(), -30.0, 5.0), scales=lognormal_scales(0.5))


@register("gamma, scales over 100x")
def _gamma() -> Population:
    return Population.of(continuous(scipy.stats.gamma(2.0), 0.0, 90.0), scales=lognormal_scales(1.15))


@register("two modes")
def _modes() -> Population:
    return Population.of(mixture([(0.8, 0.0, 1.0), (0.2, 3.0, 0.5)]), scales=lognormal_scales(0.4))


@register("grades 1 to 5")
def _grades() -> Population:
    shape = [
        np.array([0.3, 0.3, 0.2, 0.15, 0.05]),
        np.array([0.05, 0.1, 0.25, 0.35, 0.25]),
        np.array([0.6, 0.2, 0.1, 0.07, 0.03]),
    ]
    return Population.of(*(atoms([1, 2, 3, 4, 5], p) for p in shape))


@register("0/1, rates from .05 to .95")
def _coins() -> Population:
    rates = scipy.special.expit(np.linspace(-3.0, 3.0, 25))
    return Population.of(*(atoms([0.0, 1.0], [1.0 - q, q]) for q in rates))


@register("0/1, rates from .003 to .3")
def _rare() -> Population:
    return Population.of(*(atoms([0.0, 1.0], [1.0 - q, q]) for q in np.geomspace(0.003, 0.3, 25)))


@register("a jackpot in 1000 responses")
def _jackpot() -> Population:
    return Population.of(mixture([(0.999, 0.0, 1.0), (0.001, 10.0, 0.3)]))


@register("1 % of prompts at 30x")
def _loud() -> Population:
    return Population.of(normal(), scales=np.array([1.0, 30.0]), chance=[0.99, 0.01])


@register("10 % of prompts at 10x")
def _tenth() -> Population:
    return Population.of(normal(), scales=np.array([1.0, 10.0]), chance=[0.9, 0.1])


@register("contaminated normal")
def _contaminated() -> Population:
    return Population.of(mixture([(0.95, 0.0, 1.0), (0.05, 0.0, 3.0)]), scales=lognormal_scales(0.3))


@register("lognormal (no limit)")
def _lognormal() -> Population:
    return Population.of(continuous(scipy.stats.lognorm(0.5), 0.0, 60.0, finite=False))
