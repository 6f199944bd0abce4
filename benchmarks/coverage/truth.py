"""What is true of a population: the limit, best-of-N, shares, gold along N and λ, and where gold turns."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from benchmarks.coverage.populations import Population, Reward

__all__ = ["Truth", "early_gold_of", "gold_of"]

_TILTS = 2.0 ** (np.arange(-40, 97) / 8.0)
_EVERY_TILT = 2.0 ** (np.arange(-112, 97) / 8.0)


def gold_of(z: FloatArray) -> FloatArray:
    """Return what gold is on average at a proxy of z, in units of the prompt's scale: it rises, then falls."""
    return np.asarray(z - 0.12 * np.square(z))


def early_gold_of(z: FloatArray) -> FloatArray:
    """Return the same for a gold that turns so early that few samples show it."""
    return np.asarray(z - 0.5 * np.square(z))


class Truth:
    """All that is true of a population; ``n`` are the draws of best-of-N, ``lam`` are in units of ``1/unit``.

    What is true of a mean over prompts is kept for each kind of prompt, so that `of_prompts` can average over others.
    """

    def __init__(self, population: Population, n: FloatArray, lam: FloatArray) -> None:
        self.n = n
        mean_square = sum(w * s**2 * law.variance for w, s, law in _kinds(population))
        unit = float(np.sqrt(mean_square))
        grid = _TILTS / unit
        kinds = len(population.chance)
        best = [law.best_of(n) for law in population.laws]
        fine = np.unique(np.round(np.geomspace(1, 1024, 50)))
        self._fine, more = fine, [law.best_of(fine)[1] for law in population.laws]
        sizes = (grid.size, n.size, n.size, n.size, lam.size, fine.size, grid.size)
        each = tuple(np.empty((kinds, size)) for size in sizes)
        for k, (_, s, law) in enumerate(_kinds(population)):
            kl, chance = best[population.which[k]]
            gold, early = gold_of(law.z), early_gold_of(law.z)
            base, base_gold, base_early = (law.prob @ values for values in (law.z, gold, early))
            values = (
                _log_partition(law, grid * s),
                kl,
                s * (chance @ law.z - base),
                s * (chance @ gold - base_gold),
                s * (_tilted(law, gold, lam / unit * s) - base_gold),
                s * (more[population.which[k]] @ early - base_early),
                s * (_tilted(law, early, grid * s) - base_early),
            )
            for into, value in zip(each, values, strict=True):
                into[k] = value
        self._each = each
        self._alone: dict[bytes, FloatArray] = {}  # limits of each law on its own, by budgets
        self.unit, self.lam, self._grid = unit, lam / unit, grid
        self._average(population)

    def _average(self, population: Population) -> None:
        """Average over a population of the same kinds; λ stay where they are."""
        self.population = population
        curve, spent, gain, gold_n, gold_lam, fine, early = (population.chance @ each for each in self._each)
        self._curve, self.spent, self.gain, self.gold_n, self.gold_lam = curve, spent, gain, gold_n, gold_lam
        # One step further than the last place at which it is seen to rise, gold does not turn on the grid.
        self.turn_n = float(self._fine[fine.argmax()])
        self.turn_lam = _peak(self._grid, early)
        self.share = np.minimum(self.gain / self.limit(self.spent), 1.0)

    def of_prompts(self, kinds: IntArray) -> Truth:
        """Return the same for a table's very prompts, of these kinds."""
        found, law = copy.copy(self), self.population
        chance = np.bincount(kinds, minlength=len(law.chance)) / kinds.size
        found._average(Population(chance, law.scale, law.which, law.laws))
        return found

    def scaled(self, scale: float) -> Truth:
        """Return the same with every reward multiplied by ``scale``."""
        found = copy.copy(self)
        law = self.population
        found.population = Population(law.chance, scale * law.scale, law.which, law.laws)
        for name in ("unit", "gain", "gold_n", "gold_lam"):
            setattr(found, name, scale * getattr(self, name))
        for name in ("lam", "turn_lam", "_grid"):
            setattr(found, name, getattr(self, name) / scale)
        return found

    def kinds(self) -> Iterator[tuple[float, float, Reward]]:
        """Return chance, scale and law of each kind of prompt."""
        return _kinds(self.population)

    def lam_at(self, kl: float) -> float:
        """Return about the λ of the limit at a budget."""
        return float(self._grid[int(np.argmin((kl + self._curve) / self._grid))])

    def limit(self, kl: FloatArray) -> FloatArray:
        """Return the largest gain within an average KL."""
        return _dual(self._grid, self._curve, kl, sum(w * s * law.most for w, s, law in _kinds(self.population)))

    def limit_on_every_prompt(self, kl: FloatArray) -> FloatArray:
        """Return the largest gain within the same KL on every prompt."""
        law, key = self.population, kl.tobytes()
        if key not in self._alone:
            self._alone[key] = np.array([_of_one(one, kl) for one in law.laws])
        return np.asarray((law.chance * law.scale) @ self._alone[key][law.which])


def _kinds(population: Population) -> Iterator[tuple[float, float, Reward]]:
    for w, s, i in zip(population.chance, population.scale, population.which, strict=True):
        yield float(w), float(s), population.laws[i]


def _weights(law: Reward, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
    x = np.atleast_1d(lam)[:, None] * law.z[None]
    top = np.where(law.prob > 0.0, x, -np.inf).max(axis=1, keepdims=True)
    return law.prob * np.exp(x - top), top[:, 0]


def _log_partition(law: Reward, lam: FloatArray) -> FloatArray:
    """Return the centred log-partition function."""
    weight, top = _weights(law, lam)
    return np.asarray(np.log(weight.sum(axis=1)) + top - lam * (law.prob @ law.z))


def _tilted(law: Reward, values: FloatArray, lam: FloatArray) -> FloatArray:
    weight, _ = _weights(law, lam)
    return np.asarray(weight @ values / weight.sum(axis=1))


def _of_one(law: Reward, kl: FloatArray) -> FloatArray:
    lam = _EVERY_TILT / np.sqrt(law.variance)  # a rare reward of 1 is sought with little λ for its spread
    return _dual(lam, _log_partition(law, lam), kl, law.most)


def _peak(lam: FloatArray, gold: FloatArray) -> float:
    """Return where gold is largest, by a parabola in log λ; 0 where it never rises, infinity where it never falls."""
    k = int(gold.argmax())
    if k in (0, lam.size - 1):
        return 0.0 if k == 0 else np.inf
    left, mid, right = gold[k - 1 : k + 2]
    bend = left - 2.0 * mid + right
    return float(lam[k] * (lam[1] / lam[0]) ** (0.5 * (left - right) / bend if bend < 0.0 else 0.0))


def _dual(lam: FloatArray, curve: FloatArray, kl: FloatArray, most: float) -> FloatArray:
    """Return ``min_λ (Δ + Λ)/λ`` by a parabola in log λ through the three lowest points; it is ``most`` at λ = ∞."""
    cost = (np.atleast_1d(kl)[:, None] + curve) / lam
    at = np.clip(cost.argmin(axis=1), 1, lam.size - 2)
    left, mid, right = (np.take_along_axis(cost, (at + k)[:, None], axis=1)[:, 0] for k in (-1, 0, 1))
    bend = left - 2.0 * mid + right
    move = np.divide(0.5 * (left - right), bend, out=np.zeros_like(mid), where=bend > 0.0)
    lowest = np.where(np.abs(move) <= 1.0, mid - 0.25 * (left - right) * move, np.minimum(np.minimum(left, mid), right))
    return np.asarray(np.minimum(lowest, most))
