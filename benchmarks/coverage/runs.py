"""Functional forms fitted to checkpoints of training runs that scatter: their coefficients, and where gold turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator

from alignlib._core.checks import FloatArray
from alignlib.hacking.scaling_fit import fit_scaling
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["SHAPES", "TOPIC"]

SHAPES = {  # runs, and checkpoints of each; "uneven" runs end anywhere in their second half
    "3 runs × 10": (3, 10, True),
    "4 runs × 25, uneven": (4, 25, False),
    "6 runs × 15": (6, 15, True),
    "8 runs × 40, uneven": (8, 40, False),
    "20 runs × 12": (20, 12, True),
    "20 runs × 30, uneven": (20, 30, False),
}
_STAND_OUT = 0.2  # of the runs are of the smaller group
_SCATTER: dict[str, Callable[[Generator, int], FloatArray]] = {  # of mean 0 and spread 1
    "normal": lambda rng, n: rng.standard_normal(n),
    "skewed": lambda rng, n: (rng.standard_gamma(2.0, n) - 2.0) / np.sqrt(2.0),
    "t with 4": lambda rng, n: rng.standard_t(4.0, n) / np.sqrt(2.0),
    "two groups": lambda rng, n: np.where(rng.random(n) < _STAND_OUT, 2.0, -0.5),
}


@dataclass(frozen=True)
class Runs:
    """A form with mean coefficients; runs scatter about them, checkpoints about their run (``memory`` in the noise)."""

    form: str
    alpha: float
    beta: float
    spread: float  # of a run's coefficients, as a part of them
    noise: float
    memory: float = 0.0
    scatter: str = "normal"
    most_kl: float = 30.0
    intercept: float | None = None

    @property
    def peak(self) -> float:
        """The KL at which gold of mean coefficients turns down."""
        if self.form == "best_of_n":
            return float((0.5 * self.alpha / self.beta) ** 2)
        return float(np.exp(2.0 * (self.alpha / self.beta - 1.0)))

    def curve(self, d: FloatArray, alpha: float, beta: float) -> FloatArray:
        """Return gold above the start at ``d = √KL``."""
        if self.form == "sqrt":
            return alpha * d
        return d * (alpha - beta * (d if self.form == "best_of_n" else np.log(d)))

    def draw(self, shape: str, rng: Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return KL, gold and the number of the run of every checkpoint."""
        runs, most, even = SHAPES[shape]
        scatter = 1.0 + self.spread * np.array([_SCATTER[self.scatter](rng, runs) for _ in range(2)])
        parts = []
        for run in range(runs):
            points = most if even else int(rng.integers(most // 2, most + 1))
            kl = np.linspace(self.most_kl / most, self.most_kl, most)[:points]
            noise = rng.standard_normal(points)
            for k in range(1, points):
                noise[k] = self.memory * noise[k - 1] + np.sqrt(1.0 - self.memory**2) * noise[k]
            gold = self.curve(np.sqrt(kl), self.alpha * scatter[0, run], self.beta * scatter[1, run])
            parts.append(np.array([kl, gold + self.noise * noise, np.full(points, run)]))
        kl, gold, run_of = np.concatenate(parts, axis=1)
        return kl, gold + (self.intercept or 0.0), run_of


def _by_rule(number: int) -> Runs:
    """Return runs of which all is drawn: form, coefficients, scatter, noise and its memory, and how far they go."""
    rng = np.random.default_rng([17, number])
    alpha = rng.uniform(0.5, 3.0)
    return Runs(
        form=str(rng.choice(["best_of_n", "rl", "sqrt"])),
        alpha=alpha,
        beta=alpha * rng.uniform(0.05, 0.6),
        spread=rng.uniform(0.02, 0.4),
        noise=rng.uniform(0.02, 0.5),
        memory=rng.uniform(0.0, 0.9),
        scatter=str(rng.choice(list(_SCATTER))),
        most_kl=10.0 ** rng.uniform(0.3, 2.0),
        intercept=None if rng.random() < 0.5 else rng.uniform(-1.0, 1.0),
    )


def _runs(law: Callable[[], Runs]) -> Trial:
    runs = law()

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        kl, gold, run_of = runs.draw(shape, rng)
        fit = fit_scaling(kl, gold, run_of.tolist(), form=runs.form, intercept=runs.intercept)
        said = {"α of a scaling fit": Said(fit.alpha_low, fit.alpha_high, runs.alpha)}
        if runs.form != "sqrt":
            said["β of a scaling fit"] = Said(fit.beta_low, fit.beta_high, runs.beta)
            said["where a scaling fit turns"] = Said(
                fit.peak_kl_low, min(fit.peak_kl_high, 1e300), runs.peak, bool(np.isfinite(fit.peak_kl_high))
            )
        return said

    return trial


_LAWS: dict[str, Callable[[], Runs]] = {
    "best-of-N's form, runs alike": lambda: Runs("best_of_n", 1.0, 0.1, 0.02, 0.05, intercept=0.0),
    "best-of-N's form, runs unlike, noise with memory": lambda: Runs("best_of_n", 1.0, 0.1, 0.3, 0.1, 0.8),
    "best-of-N's form, one run in five stands out": lambda: Runs("best_of_n", 2.0, 0.25, 0.2, 0.1, 0.5, "two groups"),
    "RL's form, runs unlike": lambda: Runs("rl", 1.0, 0.3, 0.2, 0.05, intercept=0.0),
    "RL's form, seldom seen to turn": lambda: Runs("rl", 1.0, 0.3, 0.2, 0.1, 0.5, most_kl=20.0),
    "RL's form, skewed runs": lambda: Runs("rl", 1.5, 0.6, 0.3, 0.1, 0.7, "skewed", 40.0),
    "√KL, noise with memory": lambda: Runs("sqrt", 1.0, 0.0, 0.2, 0.2, 0.9, intercept=0.0),
    "√KL, runs of heavy tails": lambda: Runs("sqrt", 1.0, 0.0, 0.3, 0.05, 0.3, "t with 4"),
}
_LAWS |= {f"blind by rule: runs {k}": partial(_by_rule, k) for k in range(1, 9)}


def unseen(law: str, shape: str) -> float:
    """Return the chance that no run of a table is of the small group that stands out, where there is one."""
    return float((1.0 - _STAND_OUT) ** SHAPES[shape][0]) if _LAWS[law]().scatter == "two groups" else 0.0


TOPIC = Topic("scaling fits", {name: partial(_runs, law) for name, law in _LAWS.items()}, tuple(SHAPES), unseen=unseen)
