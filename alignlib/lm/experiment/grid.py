"""What is trained, as data: methods, penalties, seeds, budgets and ablations, in the order in which they matter.

An interrupted grid is a smaller table: the first seed of everything (methods, controls, ablations, proxies), then the
second of everything, so that every chapter has its numbers early and its intervals later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from alignlib.lm.methods import METHODS, Budget, Settings, find
from alignlib.lm.tasks import TASKS

__all__ = ["CHECKED", "SEEDS", "TRIED_RATES", "Run", "compared", "grid", "main_run", "short_run"]

SEEDS = (0, 1, 2)
# Of each one method: its policy is committed beside the table, and a short run of it is trained anew by the check.
CHECKED = dict(zip(TASKS, ("group_kl", "grpo"), strict=True))
LONG, SHORT, PATIENT = 600, 100, 1800
# Tuned on summarisation, gold, half the long budget, middle penalty, seed 100, each method with these four rates; the
# best by regularised objective (rejection sampling: by share) is taken, and a claim of the book says whether it was.
TRIED_RATES = (1e-3, 3e-3, 3e-4, 1e-2)
TUNING_SEED = 100
PATIENT_RATE = 1e-3
_MIDDLE = 2  # of a method's penalties
_STUDIED = ("group_kl", "grpo")  # how much do a constant rate and more steps change
_PROXY_METHOD = "group_kl"
_EVALUATION_SECONDS = 1.7  # on the training prompts; the last policy on the held-out ones too


@dataclass(frozen=True)
class Run:
    """One training run: ``variant`` names what differs from the method as compared, ``""`` if nothing."""

    stage: str
    task: str
    method: str
    settings: Settings
    beta: float | None
    seed: int
    reward_name: str = "gold"
    variant: str = ""

    @property
    def knob(self) -> float:
        """What moves the run along the frontier: β, or what its method has instead."""
        return float(getattr(self.settings, find(self.method).knob) if self.beta is None else self.beta)

    @property
    def description(self) -> dict[str, object]:
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
        return self.stage == "main" and self.seed == 0 and self.knob == _middle(self.method)

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        budget = self.settings.budget
        return float(
            budget.steps * find(self.method).seconds_per_step + len(budget.handed_out) * _EVALUATION_SECONDS + 2.0
        )


def compared() -> tuple[str, ...]:
    """Names of the methods that are compared with best-of-N, each at all its penalties."""
    return tuple(name for name, method in METHODS.items() if method.compared)


def _middle(method: str) -> float:
    return find(method).penalties[_MIDDLE]


def _budget(method: str, steps: int, schedule: str = "linear", group: int = 8, rate: float | None = None) -> Budget:
    inner = (100, 300) if schedule == "linear" else ()
    checkpoints = tuple(step for step in inner if step < steps)
    return Budget(steps, group, find(method).learning_rate if rate is None else rate, schedule, checkpoints)


def _run(
    stage: str,
    task: str,
    method: str,
    knob: float,
    seed: int,
    budget: Budget,
    *,
    variant: str = "",
    reward_name: str = "gold",
    **changes: object,
) -> Run:
    settings, beta = find(method).at(knob, budget, **changes)
    return Run(stage, task, method, settings, beta, seed, reward_name, variant)


def main_run(task: str, method: str, knob: float, seed: int) -> Run:
    """The method as compared: long and annealed."""
    return _run("main", task, method, knob, seed, _budget(method, LONG))


def short_run(task: str, method: str, seed: int = 0, knob: float | None = None) -> Run:
    """The method short and at a constant rate, at its middle penalty if no other is given."""
    at = _middle(method) if knob is None else knob
    return _run("short", task, method, at, seed, _budget(method, SHORT, "constant"))


def grid() -> tuple[Run, ...]:
    """Return every run in the order in which it is wanted; a run wanted twice stands once, where it is first wanted."""
    first: dict[str, Run] = {}
    for run in _all():
        first.setdefault(run.key, run)
    return tuple(first.values())


def _all() -> Iterator[Run]:
    most = max(len(find(name).penalties) for name in compared())
    for seed in SEEDS:
        # The middle of the frontier first, then outwards: a curve becomes readable early.
        for place in (_MIDDLE, 0, 4, 1, 3, *range(5, most)):
            for name in compared():
                if place < len(find(name).penalties):
                    yield from _both_lengths(name, find(name).penalties[place], seed)
            if seed == 0 and place == _MIDDLE:
                yield from _tuning()
                yield from _for_the_check()
        for part in (_controls, _ablations, _proxies):
            yield from part(seed)


def _both_lengths(method: str, knob: float, seed: int) -> Iterator[Run]:
    for task in TASKS:
        yield main_run(task, method, knob, seed)
        yield short_run(task, method, seed, knob)


def _for_the_check() -> Iterator[Run]:
    """Other seeds of the two short runs that `make lm-check` trains anew: it needs their spread."""
    for seed in SEEDS[1:]:
        for task, method in CHECKED.items():
            yield short_run(task, method, seed)


def _controls(seed: int) -> Iterator[Run]:
    """Lower bounds on what network and optimiser can do: one seed shows that they can."""
    if seed > 0:
        return
    for task in TASKS:
        for beta in (0.5, 0.125):
            yield _run("control", task, "cross_entropy", beta, seed, _budget("cross_entropy", 1200, group=16))
        yield _run("control", task, "exact_gradient", 0.5, seed, Budget(300, 2, 1e-3, "linear", (100,)))


def _tuning() -> Iterator[Run]:
    for rate in TRIED_RATES:
        for name in compared():
            budget = _budget(name, LONG // 2, rate=rate)
            variant = f"rate {rate:g}"
            yield _run("tuning", "summarisation", name, _middle(name), TUNING_SEED, budget, variant=variant)


def _ablations(seed: int) -> Iterator[Run]:
    for task in TASKS:
        for name, method in METHODS.items():
            for ablation in method.ablations:
                for beta in ablation.penalties:
                    settings, _ = method.at(beta, _budget(name, LONG), **ablation.changes)
                    yield Run("ablation", task, name, settings, beta, seed, variant=ablation.label)
        if seed == 0:  # one seed, for want of time; the page says so
            for name in _STUDIED:
                constant = replace(_budget(name, LONG), schedule="constant")
                yield _run("schedule", task, name, _middle(name), seed, constant, variant="constant rate")
                patient = _budget(name, PATIENT, rate=PATIENT_RATE)
                variant = f"{PATIENT} steps at {PATIENT_RATE:g}"
                yield _run("length", task, name, _middle(name), seed, patient, variant=variant)


def _proxies(seed: int) -> Iterator[Run]:
    for beta in (0.5, 0.125) if seed == 0 else (0.125,):
        for task in TASKS:
            for reward in ("weak", "ensemble", "strong"):
                budget = _budget(_PROXY_METHOD, LONG)
                yield _run("proxy", task, _PROXY_METHOD, beta, seed, budget, reward_name=reward)
