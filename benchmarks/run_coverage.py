"""How often statements on training runs hold: ``python -m benchmarks.run_coverage [--quick] [--only noisy]``.

Runs are made up, their place known: rewards of the base are normal, lognormal or right and wrong, and a run has a share
of the limit, exactly, up to a KL within the support of the samples or far beyond. One line of JSON a kind: the part of
runs whose interval of share or waste holds the truth, whose floor on waste holds, that are accused without cause, that
are found out with one, and the same of differences between runs at equal KL.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.estimation import fit_frontier
from alignlib.laws import FiniteLaw, Gaussian, Law
from alignlib.tables import RewardTable
from alignlib.training import TrainingLog, compare_runs, overlay
from alignlib.training.example_run import example_prompts, example_run
from benchmarks.timing import report

KINDS = (("within", 0.7, 0.6), ("best", 1.0, 0.6), ("beyond", 0.4, 4.0), ("far", 0.25, 30.0))
N_PROMPTS, N_SAMPLES, CHECKPOINTS = 80, 32, 24
HELD = ("share", "waste", "floor")
Draw = Callable[[np.random.Generator, int], FloatArray]


def right_or_wrong(rng: np.random.Generator, n: int) -> FloatArray:
    """Rewards of 0 and 1, one in four right."""
    return (rng.random(n) < 0.25).astype(float)


_GRID = np.exp(0.5 * np.linspace(-6.0, 4.5, 4001))  # a lognormal law, cut where base samples hardly ever are
_MASS = np.exp(-0.5 * np.linspace(-6.0, 4.5, 4001) ** 2)
LAWS: dict[str, tuple[Law, Draw]] = {
    "normal": (Gaussian(), lambda rng, n: rng.standard_normal(n)),
    "right or wrong": (FiniteLaw([0.0, 1.0], [0.75, 0.25]), right_or_wrong),
    "skewed": (
        FiniteLaw(_GRID, _MASS / _MASS.sum()),
        lambda rng, n: rng.choice(_GRID, n, p=_MASS / _MASS.sum()),
    ),
}


def made(
    law: Law, draw: Draw, share: float, kl_max: float, rng: np.random.Generator
) -> tuple[TrainingLog, RewardTable]:
    """Return a run that has ``share`` of the limit up to ``kl_max`` nats, with noise, and base samples."""
    table = RewardTable.from_arrays(draw(rng, N_PROMPTS * N_SAMPLES).reshape(N_PROMPTS, N_SAMPLES))
    kl = kl_max * np.linspace(0.0, 1.0, CHECKPOINTS) ** 1.5
    limit = np.array([0.0 if k == 0.0 else float(law.gain_at_kl(min(k, 0.999 * law.max_kl))) for k in kl])
    noise = 0.03 * float(np.sqrt(law.variance(0.0)))
    reward = float(law.base_reward) + share * limit + noise * rng.standard_normal(kl.size)
    log = example_run(2, 3, rng, n_checkpoints=CHECKPOINTS)[0]
    seen = kl * np.exp(0.05 * rng.standard_normal(kl.size))
    return replace(log, kl=seen, logged_kl=seen, reward=reward, kl_unit="sequence", length=None, notes=()), table


def places(runs: int, rng: np.random.Generator) -> None:
    """Count intervals of share and waste within the support, and floors beyond it."""
    for name, (law, draw) in LAWS.items():
        for kind, share, kl_max in (
            ("within", 0.7, 0.6),
            ("best", 1.0, 0.6),
            ("beyond", 0.4, 4.0),
            ("far", 0.25, 30.0),
        ):
            count: dict[str, list[bool]] = defaultdict(list)
            for _ in range(runs):
                log, table = made(law, draw, share, kl_max, rng)
                found = overlay(log, fit_frontier(table, n_boot=200), check=False, pool=2)
                i = found.gain.size - 1
                kl = float(found.log.kl[i])
                limits = [float(law.gain_at_kl(min(k, 0.999 * law.max_kl))) for k in log.kl[-2:]]
                gain = share * float(np.mean(limits))  # of the two checkpoints in the last point
                most = float(law.gain_at_kl(min(kl, 0.999 * law.max_kl)))
                need = float(law.kl_at_gain(gain)) if share < 1.0 else kl
                count["share"].append(bool(found.share_low[i] <= gain / most <= found.share_high[i]))
                count["waste"].append(bool(found.wasted_low[i] <= kl - need <= found.wasted_high[i]))
                count["floor"].append(bool(found.wasted_low[i] <= kl - need))
                count["has_floor"].append(bool(found.wasted_low[i] > 0.0))
                count["supported"].append(bool(found.supported[i]))
                count["called_impossible"].append(bool(found.above.any()))
            parts = {f"{what}_holds" if what in HELD else what: float(np.mean(v)) for what, v in count.items()}
            report(f"{kind}, {name}", runs=runs, has_of_limit=share, kl=kl_max, **parts)


def accusations(runs: int, rng: np.random.Generator) -> None:
    """Count runs that are doubted: honest ones, and ones of another unit, scale, base or other prompts."""
    changes: dict[str, Callable[[TrainingLog], TrainingLog]] = {
        "honest": lambda log: log,
        "nats per token taken for nats per sequence": lambda log: replace(log, kl=log.kl / 32.0),
        "rewards ten times as large": lambda log: replace(log, reward=10.0 * log.reward),
        "a constant of one deviation added": lambda log: replace(log, reward=log.reward + 1.0),
    }
    for name, change in changes.items():
        for kind, (law, draw) in LAWS.items():
            doubted = 0
            for _ in range(runs):
                log, table = made(law, draw, 0.8, 1.0, rng)
                doubted += overlay(change(log), fit_frontier(table, n_boot=100), check=False).doubted
            report(f"{name}, {kind}", runs=runs, doubted=doubted / runs)
    for name in ("the same prompts", "other prompts under the same names"):
        doubted = 0
        for _ in range(runs):
            level = rng.normal(0.0, 1.0, N_PROMPTS)
            names = [f"p{i}" for i in range(N_PROMPTS)]
            table = RewardTable.from_arrays(level[:, None] + rng.standard_normal((N_PROMPTS, N_SAMPLES)), prompts=names)
            mine = level if name == "the same prompts" else rng.permutation(level)
            log = example_prompts(mine, 0.8, rng)
            doubted += overlay(log, fit_frontier(table, n_boot=100), check=False).doubted
        report(name, runs=runs, doubted=doubted / runs)


def differences(runs: int, rng: np.random.Generator) -> None:
    """Count intervals of differences at equal KL: by checkpoints, over prompts, over seeds."""
    for name in ("checkpoints", "prompts", "seeds"):
        for other in (0.8, 0.6):
            held, apart, width = [], [], []
            for _ in range(runs):
                logs: dict[str, TrainingLog | list[TrainingLog]]
                if name == "prompts":
                    level = rng.normal(0.0, 1.0, 40)
                    logs = {"a": example_prompts(level, 0.8, rng), "b": example_prompts(level, other, rng)}
                elif name == "checkpoints":
                    logs = {k: example_run(2, 3, rng, share=s)[0] for k, s in (("a", 0.8), ("b", other))}
                else:
                    logs = {
                        k: [example_run(2, 3, rng, share=float(np.clip(s + 0.04 * rng.standard_normal(), 0.1, 1.0)))[0]
                            for _ in range(4)] for k, s in (("a", 0.8), ("b", other))
                    }  # fmt: skip
                found = compare_runs(logs, at=[0.2, 0.8])
                truth = (other - 0.8) * np.sqrt(2.0 * found.kl)
                held.append((found.difference_low[1] <= truth) & (truth <= found.difference_high[1]))
                apart.append((found.difference_high[1] < 0.0) | (found.difference_low[1] > 0.0))
                width.append(found.difference_high[1] - found.difference_low[1])
            report(
                f"difference by {name}, {other:g} against 0.8", runs=runs, holds=np.mean(held, axis=0).tolist(),
                told_apart=np.mean(apart, axis=0).tolist(), width=np.mean(width, axis=0).tolist(),
            )  # fmt: skip


SHAPES: dict[
    str, Callable[[FloatArray], FloatArray]
] = {  # of reward against KL up to 3 nats; none is a parabola in √KL
    "rises late": lambda kl: 1.0 / (1.0 + np.exp(-3.0 * (kl - 1.5))),
    "steep, then level": lambda kl: 0.8 * kl / (kl + 0.15),
    "bent": lambda kl: 0.5 * kl**0.8 - 0.12 * kl**1.6,
    "a kink at 1 nat": lambda kl: 0.5 * np.sqrt(np.minimum(kl, 1.0)) + 0.1 * np.maximum(kl - 1.0, 0.0),
    "wavy": lambda kl: 0.5 * np.sqrt(kl) + 0.05 * np.sin(3.0 * kl),
}
RUNS_OF = {  # checkpoints, noise of the reward, relative noise of the KL, prompts a step
    "24 checkpoints": (24, 0.02, 0.0, 0),
    "8 checkpoints": (8, 0.02, 0.0, 0),
    "60 checkpoints, hardly noisy": (60, 0.004, 0.0, 0),
    "KL noisy by 5 %": (24, 0.01, 0.05, 0),
    "KL noisy by 15 %": (24, 0.01, 0.15, 0),
    "one new prompt a step": (40, 0.0, 0.0, 1),
    "four new prompts a step": (16, 0.0, 0.0, 4),
}


MORE_SHAPES: dict[str, Callable[[FloatArray], FloatArray]] = {  # which no one fitted anything to
    "turns down": lambda kl: np.sqrt(kl) - 0.45 * kl,
    "falls steeply at the end": lambda kl: 0.5 * np.sqrt(kl) - 0.04 * kl**3,
    "straight in the KL": lambda kl: 0.3 * kl,
    "saturates": lambda kl: 0.9 * (1.0 - np.exp(-1.3 * kl)),
    "a step at 2.2 nats": lambda kl: 0.2 * np.sqrt(kl) + 0.5 / (1.0 + np.exp(-8.0 * (kl - 2.2))),
}
COURSES: dict[str, Callable[[FloatArray], FloatArray]] = {  # of the KL along the steps
    "rising": lambda u: u**1.5,
    "early": lambda u: 1.0 - (1.0 - u) ** 2.5,
    "up and back": lambda u: np.sin(2.2 * u),
}
NOISY = (  # checkpoints, noise of the KL as measured, by which it really moves, what is left of that of the step before
    (24, 0.05, 0.0, 0.0), (24, 0.15, 0.0, 0.0), (24, 0.3, 0.0, 0.0), (12, 0.15, 0.0, 0.0), (60, 0.15, 0.0, 0.0),
    (24, 0.0, 0.15, 0.0), (24, 0.1, 0.1, 0.0), (24, 0.15, 0.0, 0.5), (24, 0.15, 0.0, 0.9), (60, 0.15, 0.0, 0.9),
)  # fmt: skip


def of_noisy_kl(
    shape: Callable[[FloatArray], FloatArray], kl: FloatArray, measured: float, moves: float, memory: float,
    rng: np.random.Generator,
) -> TrainingLog:  # fmt: skip
    """Return a run whose KL moves around ``kl`` and is measured with noise, both as parts of it."""

    def noise() -> FloatArray:
        found = rng.standard_normal(kl.size)
        for i in range(1, kl.size):
            found[i] = memory * found[i - 1] + np.sqrt(1.0 - memory**2) * found[i]
        return found

    moved = kl * np.exp(moves * noise())
    seen = moved * np.exp(measured * noise())
    reward = shape(moved) + 0.01 * rng.standard_normal(kl.size)
    log = example_run(2, 3, rng, n_checkpoints=kl.size)[0]
    return replace(log, kl=seen, logged_kl=seen, reward=reward, kl_unit="sequence", length=None, notes=())


def noisy(runs: int, rng: np.random.Generator) -> None:
    """Count intervals of differences where the KL is noisy, by how it is, its course, the shape and the budget."""
    for steps, measured, moves, memory in NOISY:
        for course, along in COURSES.items():
            cells, width, refused = {}, [], 0
            kl = 3.0 * along(np.linspace(0.0, 1.0, steps))
            for name, shape in {**SHAPES, **MORE_SHAPES}.items():
                held = []
                for _ in range(runs):
                    logs = {"a": of_noisy_kl(lambda kl: 0.4 * np.sqrt(kl), kl, measured, moves, memory, rng),
                            "b": of_noisy_kl(shape, kl, measured, moves, memory, rng)}  # fmt: skip
                    try:
                        found = compare_runs(logs)
                    except InputError:  # no KL is known to be passed by both
                        refused += 1
                        continue
                    truth = shape(found.kl) - 0.4 * np.sqrt(found.kl)
                    held.append((found.difference_low[1] <= truth) & (truth <= found.difference_high[1]))
                    width.append(found.difference_high[1] - found.difference_low[1])
                cells[name] = np.mean(held, axis=0)
            worst = min(cells, key=lambda name: float(cells[name].min()))
            what = f"{steps} checkpoints, {measured:g} measured, {moves:g} moved, memory {memory:g}, {course}"
            report(
                f"noisy KL, {what}", runs=runs, refused=refused,
                holds=float(np.mean(list(cells.values()))), least=float(cells[worst].min()), where=worst,
                width=float(np.mean(width)),
            )  # fmt: skip


def one_of(shape: Callable[[FloatArray], FloatArray], kind: str, name: str, rng: np.random.Generator) -> TrainingLog:
    """Return a run of a shape: its means, or single responses to prompts that no other step has."""
    steps, noise, kl_noise, prompts = RUNS_OF[kind]
    kl = 3.0 * np.linspace(0.0, 1.0, steps) ** 1.5
    log = example_prompts(np.zeros(max(prompts, 1)), 0.5, rng, kl_max=3.0, n_checkpoints=steps, spread=0.0)
    seen = kl * np.exp(kl_noise * rng.standard_normal(steps))
    held = log.per_prompt
    assert held is not None
    if not prompts:
        reward = shape(kl) + noise * rng.standard_normal(steps)
        return replace(log, kl=seen, logged_kl=seen, reward=reward, per_prompt=None)
    names = np.array([f"{name} {i}" for i in range(steps * prompts)], dtype=object)
    each = shape(kl)[held.checkpoint] + 0.3 * rng.standard_normal(steps * prompts)
    mean = np.bincount(held.checkpoint, each) / prompts
    own = replace(held, prompt=names, reward=each, kl=kl[held.checkpoint])
    return replace(log, kl=kl, logged_kl=kl, reward=mean, per_prompt=own)


def shapes(runs: int, rng: np.random.Generator) -> None:
    """Count intervals of differences between a run straight in √KL and others of shapes that no fit has."""
    for kind in RUNS_OF:
        held, width = defaultdict(list), []
        for name, shape in SHAPES.items():
            for _ in range(runs):
                logs = {"a": one_of(lambda kl: 0.4 * np.sqrt(kl), kind, "a", rng), "b": one_of(shape, kind, "b", rng)}
                found = compare_runs(logs)
                truth = shape(found.kl) - 0.4 * np.sqrt(found.kl)
                held[name].append((found.difference_low[1] <= truth) & (truth <= found.difference_high[1]))
                width.append(found.difference_high[1] - found.difference_low[1])
        by_shape = {name: np.mean(one, axis=0) for name, one in held.items()}
        report(
            f"difference of shapes, {kind}", runs=runs, holds=float(np.mean(list(by_shape.values()))),
            by_budget=np.mean(list(by_shape.values()), axis=0).tolist(), width=float(np.mean(width)),
            by_shape={name: float(one.mean()) for name, one in by_shape.items()},
            least=float(np.min(list(by_shape.values()))),
        )  # fmt: skip


def memory(runs: int, rng: np.random.Generator) -> None:
    """Count intervals of differences where the noise of the reward goes on from one checkpoint to the next."""
    at = [0.3, 0.6]
    for steps in (6, 8, 12, 16, 20, 30):
        kl = (np.arange(1.0, steps + 1.0) / steps) ** 1.3
        for kept in (0.0, 0.5, 0.8, 0.9, 0.95):
            held, width = [], []
            for _ in range(runs):
                logs = {}
                for name, rises in (("a", 2.0), ("b", 1.0)):
                    noise = rng.standard_normal(steps)
                    for i in range(1, steps):
                        noise[i] = kept * noise[i - 1] + np.sqrt(1.0 - kept**2) * noise[i]
                    log = example_run(2, 3, rng, n_checkpoints=steps)[0]
                    logs[name] = replace(
                        log, kl=kl, logged_kl=kl, kl_unit="sequence", length=None, notes=(),
                        reward=rises * np.sqrt(kl) + 0.05 * noise,
                    )  # fmt: skip
                found = compare_runs(logs, at=at)
                held.append(np.abs(found.difference[1] + np.sqrt(at)) <= found.difference_high[1] - found.difference[1])
                width.append(found.difference_high[1] - found.difference_low[1])
            report(
                f"memory of the noise {kept:g}, {steps} checkpoints", runs=runs,
                holds=float(np.mean(held)), width=float(np.mean(width)),
            )  # fmt: skip


def main(quick: bool = False, only: str = "") -> None:
    """Count over fresh runs; ``quick`` takes 40 of each instead of 300, and of noisy KLs a sixth."""
    runs = 40 if quick else 300
    parts = (
        (places, runs), (accusations, runs), (differences, 4 * runs), (shapes, runs), (noisy, max(runs // 6, 20)),
        (memory, runs),
    )  # fmt: skip
    for place, (part, number) in enumerate(parts):
        if only in ("", part.__name__):
            part(number, np.random.default_rng([17, place]))


if __name__ == "__main__":
    main("--quick" in sys.argv, sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else "")
