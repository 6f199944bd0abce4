"""What is trained, as data: methods, penalties, seeds, budgets and ablations, in the order in which they matter.

An interrupted grid is a smaller table: the first seed of everything (methods, controls, ablations, proxies), then the
second of everything, so that every chapter has its numbers early and its intervals later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from alignlib.lm.experiment.results import TASK_NAMES
from alignlib.lm.methods import settings_class
from alignlib.lm.methods.training import Budget

__all__ = [
    "BETAS",
    "LEARNING_RATES",
    "METHODS_COMPARED",
    "RETRAINED",
    "SEEDS",
    "TASK_NAMES",
    "Run",
    "grid",
    "main_run",
    "short_run",
    "tiny_grid",
]

METHODS_COMPARED = ("group_kl", "grpo", "dpo", "rejection", "ppo")
SEEDS = (0, 1, 2)
BETAS = (2.0, 1.0, 0.5, 0.25, 0.125)
# Division by the group's standard deviation takes the reward's scale away: the same KLs need other penalties. From 0.8
# to 0.4 the KL leaps from under one nat to nearly four: the last two penalties lie in that leap.
STANDARDISED_BETAS = (1.6, 1.1, 0.8, 0.4, 0.2, 0.6, 0.5)
# Trained anew by the check, one for each task.
RETRAINED = ("group_kl", "grpo")
DRAWS = (2, 4, 8, 16, 32)
LONG, SHORT, PATIENT = 600, 100, 1800
# Tuned on summarisation, gold, half the long budget, middle penalty, seed 100, each method with these four rates; the
# best by regularised objective (rejection sampling: by share) is taken, and a claim of the book says whether it was.
TRIED_RATES = (1e-3, 3e-3, 3e-4, 1e-2)
TUNING_SEED = 100
LEARNING_RATES = {"group_kl": 3e-3, "grpo": 3e-3, "ppo": 1e-3, "dpo": 1e-3, "rejection": 3e-3}
CONTROL_RATE = 3e-3

# CPU-seconds per step of 192 responses on one thread, measured; used for the time left only.
_SECONDS = {
    "group_kl": 0.06, "grpo": 0.1, "ppo": 0.2, "dpo": 0.06, "rejection": 0.04, "cross_entropy": 0.05,
    "exact_gradient": 1.1,
}  # fmt: skip
_EVALUATION_SECONDS = 1.7  # on the training prompts; the last policy on the held-out ones too
PATIENT_RATE = 1e-3


@dataclass(frozen=True)
class Run:
    """One training run: ``variant`` names what differs from the method as compared, ``""`` if nothing."""

    stage: str
    task: str
    method: str
    settings: Any
    beta: float | None
    seed: int
    reward_name: str = "gold"
    variant: str = ""

    @property
    def knob(self) -> float:
        """What moves the run along the frontier: β, or k of rejection sampling."""
        return float(self.settings.k if self.beta is None else self.beta)

    @property
    def description(self) -> dict[str, Any]:
        """Everything that decides the outcome, as plain data."""
        return {
            "task": self.task,
            "reward_name": self.reward_name,
            "method": self.method,
            "settings": asdict(self.settings),
            "beta": self.beta,
            "seed": self.seed,
        }

    @property
    def key(self) -> str:
        """Name of the run: a hash of its description, so that nothing is run twice under two names."""
        text = json.dumps(self.description, sort_keys=True)
        return f"{self.task}-{self.method}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @property
    def kept(self) -> bool:
        """Whether its last policy's weights are kept: the first seed at the middle penalty, as compared."""
        return self.stage == "main" and self.seed == 0 and self.knob == _knobs(self.method)[2]

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        budget = self.settings.budget
        return float(budget.steps * _SECONDS[self.method] + len(budget.handed_out) * _EVALUATION_SECONDS + 2.0)


def _budget(method: str, steps: int, schedule: str, **changes: Any) -> Budget:
    inner = (100, 300) if schedule == "linear" else ()
    checkpoints = tuple(step for step in inner if step < steps)
    return replace(Budget(steps, 8, LEARNING_RATES.get(method, CONTROL_RATE), schedule, checkpoints), **changes)


def _knobs(method: str, scaled: bool = True) -> tuple[float, ...]:
    if method == "rejection":
        return tuple(float(k) for k in DRAWS)
    return STANDARDISED_BETAS if method == "grpo" and scaled else BETAS


def _run(stage: str, task: str, method: str, knob: float, seed: int, budget: Budget, **changes: Any) -> Run:
    variant, reward = changes.pop("variant", ""), changes.pop("reward_name", "gold")
    make = settings_class(method)
    if method == "rejection":
        rounds = 2 if budget.schedule == "linear" else 1
        budget = replace(budget, checkpoints=())
        settings = make(budget, k=int(knob), rounds=rounds, **changes)
        return Run(stage, task, method, settings, None, seed, reward, variant)
    return Run(stage, task, method, make(budget, **changes), knob, seed, reward, variant)


def main_run(task: str, method: str, knob: float, seed: int) -> Run:
    """The method as compared: long and annealed."""
    return _run("main", task, method, knob, seed, _budget(method, LONG, "linear"))


def short_run(task: str, method: str, seed: int = 0) -> Run:
    """The method as compared, at its middle penalty, short and at a constant rate."""
    return _run("short", task, method, _knobs(method)[2], seed, _budget(method, SHORT, "constant"))


def grid() -> tuple[Run, ...]:
    """Return every run in the order in which it is wanted; a run wanted twice stands once, where it is first wanted."""
    first: dict[str, Run] = {}
    for run in _all():
        first.setdefault(run.key, run)
    return tuple(first.values())


def _all() -> Iterator[Run]:
    for seed in SEEDS:
        # The middle of the frontier first, then outwards: a curve becomes readable early.
        for place in (2, 0, 4, 1, 3):
            for method in METHODS_COMPARED:
                yield from _compared(method, _knobs(method)[place], seed)
            if seed == 0 and place == 2:
                yield from _tuning()
                yield from _for_the_check()
        for knob in STANDARDISED_BETAS[len(BETAS) :]:
            yield from _compared("grpo", knob, seed)
        for part in (_controls, _ablations, _proxies):
            yield from part(seed)


def _compared(method: str, knob: float, seed: int) -> Iterator[Run]:
    for task in TASK_NAMES:
        yield main_run(task, method, knob, seed)
        yield _run("short", task, method, knob, seed, _budget(method, SHORT, "constant"))


def _for_the_check() -> Iterator[Run]:
    """Other seeds of the two short runs that `make lm-check` trains anew: it needs their spread."""
    for seed in SEEDS[1:]:
        for task, method in zip(TASK_NAMES, RETRAINED, strict=True):
            yield short_run(task, method, seed)


def _controls(seed: int) -> Iterator[Run]:
    """Lower bounds on what network and optimiser can do: one seed shows that they can."""
    if seed > 0:
        return
    for task in TASK_NAMES:
        for beta in (0.5, 0.125):
            yield _run("control", task, "cross_entropy", beta, seed, _budget("cross_entropy", 1200, "linear", group=16))
        yield _run("control", task, "exact_gradient", 0.5, seed, Budget(300, 2, 1e-3, "linear", (100,)))


def _tuning() -> Iterator[Run]:
    for rate in TRIED_RATES:
        for method in METHODS_COMPARED:
            budget = _budget(method, LONG // 2, "linear", learning_rate=rate)
            knob = _knobs(method)[2]
            yield _run("tuning", "summarisation", method, knob, TUNING_SEED, budget, variant=f"rate {rate:g}")


def _ablations(seed: int) -> Iterator[Run]:
    for task in TASK_NAMES:
        long = _budget("grpo", LONG, "linear")
        for beta in (1.0, 0.25):
            yield _run("ablation", task, "grpo", beta, seed, long, scale_rewards="none", variant="no scaling")
        yield _run(
            "ablation", task, "grpo", 1.0, seed, long, scale_rewards="none", bias_correction=False,
            variant="no scaling, k3 as published",
        )  # fmt: skip
        if seed == 0:  # one seed, for want of time; the page says so
            for method in ("group_kl", "grpo"):
                constant = replace(_budget(method, LONG, "linear"), schedule="constant")
                yield _run("schedule", task, method, _knobs(method)[2], seed, constant, variant="constant rate")
                patient = _budget(method, PATIENT, "linear", learning_rate=PATIENT_RATE)
                variant = f"{PATIENT} steps at {PATIENT_RATE:g}"
                yield _run("length", task, method, _knobs(method)[2], seed, patient, variant=variant)


def _proxies(seed: int) -> Iterator[Run]:
    for beta in (0.5, 0.125) if seed == 0 else (0.125,):
        for task in TASK_NAMES:
            for reward in ("weak", "ensemble", "strong"):
                yield _run(
                    "proxy", task, "group_kl", beta, seed, _budget("group_kl", LONG, "linear"), reward_name=reward
                )


def tiny_grid(steps: int = 6) -> tuple[Run, ...]:
    """Return a grid of six small runs, for tests of the machinery."""
    budget = Budget(steps, 2, 1e-3, "linear", (1,))
    return tuple(
        Run("main", "safety", method, settings_class(method)(budget), 0.5, seed)
        for method in ("group_kl", "cross_entropy")
        for seed in SEEDS
    )
