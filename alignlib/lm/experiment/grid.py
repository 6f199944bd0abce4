"""What is trained, as data: tuning, methods, penalties, lengths, seeds and studies, in the order in which they matter.

Every method is tuned by the same number of random trials on prompts of its own (`trials`); the grid takes the best of
them from the committed table of tuning. An interrupted grid is a smaller table: the longest runs of every method come
first, then shorter ones, then the studies.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np

from alignlib.lm.methods import METHODS, Method, Settings, find
from alignlib.lm.tasks import TASKS

__all__ = [
    "CHECKED", "FEW", "FEW_SEEDS", "LENGTHS", "LONG", "POOLED", "PROXIES", "SEEDS", "SIZE_STUDY", "TRIALS",
    "TUNING_SEED", "Proxy", "Run", "Tuned", "compared", "grid", "key_of", "pool_name", "trials", "tuning_runs",
]  # fmt: skip

SEEDS = (0, 1, 2, 3)
FEW_SEEDS = tuple(range(6))
LENGTHS = (1200, 600, 300, 100)
LONG = 600
TRIALS = 16
TUNING_STEPS, TUNING_SEED = 300, 100
TRIED_RATES = (3e-4, 1e-2)  # log-uniform between them
_TRIED: Mapping[str, tuple[object, ...]] = {
    "schedule": ("linear", "constant"),
    "group": (4, 8, 16),
    "epochs": (1, 2, 4),
    "clip": (0.1, 0.2, 0.3),
    "gae_lambda": (0.9, 0.95, 1.0),
}
# Of each one method: a policy of it is committed beside the table, and a short run of it is trained anew by the check.
CHECKED = dict(zip(TASKS, ("rloo", "grpo"), strict=True))
FEW = 24
POOLED = ("few", "pool")
"""Stages whose runs learn from a pool of prompts, one for each seed, and not from fresh ones."""
SIZE_STUDY = ("depth", "pool", "lengths", "members")
"""Stages of the study of sizes (of models, prompts, training and ensembles), which a GPU serves where one is."""
_STUDIED = ("rloo", "ppo", "grpo")  # of the verdicts and the studies of prompts; the others stand beside them
_POOLS = (72, 240, 2000, 20000)
_DEPTHS = (4, 8)
_PROXY_STEPS = 300
_PROXY_BETAS = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)
_WEAK = 300  # pairs of proxies on which gold turns earliest
_DEPTH_SEEDS = (0, 1, 2, 3)

Tuned = Callable[[str, str], Settings]
"""The settings of a method on a task, found by tuning; `steps` is not meant."""


@dataclass(frozen=True)
class Proxy:
    """The mean of several networks, each trained on pairs of base responses of its own.

    Parameters
    ----------
    n_pairs : int
        Pairs of each.
    members : int
        Networks.
    """

    n_pairs: int
    members: int = 1

    @property
    def name(self) -> str:
        """Its name in the table."""
        return f"{self.n_pairs}x{self.members}"


PROXIES = {proxy.name: proxy for n in (300, 1000, 5000, 20000) for proxy in (Proxy(n, k) for k in (1, 2, 4, 8))}


@dataclass(frozen=True)
class Run:
    """One training run.

    Parameters
    ----------
    stage : str
        Which part of the experiment wants it.
    task, method : str
        What is learnt, and how.
    knob : float
        β, or the number of draws of which one is kept.
    settings : Settings
        Rates, steps, groups.
    seed : int
        Of everything random in it.
    n_prompts : int, optional
        Prompts it may learn from; None where every step has fresh ones.
    layers : int
        Depth of base and policy.
    reward_name : str
        What is paid: ``"gold"`` or a proxy.
    """

    stage: str
    task: str
    method: str
    knob: float
    settings: Settings
    seed: int
    n_prompts: int | None = None
    layers: int = 2
    reward_name: str = "gold"

    @property
    def beta(self) -> float | None:
        """The KL penalty; None where the knob is another."""
        return self.knob if find(self.method).knob == "beta" else None

    @property
    def own_pool(self) -> str | None:
        """Name of the prompts that it learns from over and over; None if every step has fresh ones."""
        return pool_name(self.seed) if self.stage in POOLED else None

    def prompts_of(self, split: str) -> str:
        """Return which prompts a split means for this run: seen ones are its own.

        Parameters
        ----------
        split : str
            One of the splits, such as ``"train"``.
        """
        return self.own_pool or split if split == "train" else split

    @property
    def description(self) -> dict[str, object]:
        """Everything that decides the outcome, as plain data, and the stage that asks for it."""
        return asdict(self)

    @property
    def key(self) -> str:
        """Name of the run: a hash of what decides its outcome, so that nothing is run twice under two names."""
        return key_of(self.description)

    @property
    def kept(self) -> bool:
        """Whether its policy's weights are kept: the check evaluates them anew."""
        return (
            self.stage == "main"
            and self.seed == 0
            and self.settings.steps == LONG
            and CHECKED[self.task] == self.method
            and self.knob == find(self.method).middle
        )

    @property
    def work(self) -> float:
        """About how long it trains, in steps of RLOO on two layers."""
        return self.settings.steps * find(self.method).cost * (self.layers / 2) * (1 + self.settings.epochs) / 2


def pool_name(seed: int) -> str:
    """Return the split of prompts that a seed's pool begins with: pool 0 begins with the training prompts.

    Parameters
    ----------
    seed : int
        The seed of the run.
    """
    return f"pool{seed}" if seed else "train"


def key_of(description: Mapping[str, object]) -> str:
    """Return the name of a run from its description.

    Parameters
    ----------
    description : mapping
        The run's fields; its stage does not count.
    """
    deciding = {name: value for name, value in description.items() if name != "stage"}
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:10]
    return f"{description['task']}-{description['method']}-{digest}"


def compared() -> tuple[str, ...]:
    """Names of the methods that are compared with best-of-N, each at all its knobs.

    Examples
    --------
    >>> "ppo" in compared(), "rejection" in compared()
    (True, True)
    """
    return tuple(name for name, method in METHODS.items() if method.compared)


def trials(method: Method) -> tuple[Settings, ...]:
    """Return the random settings that a method is tried with: of those it reads, each drawn independently.

    Parameters
    ----------
    method : Method
        The method.
    """
    rng = np.random.default_rng(zlib.crc32(method.name.encode()))
    found = []
    for _ in range(TRIALS):
        # All are drawn, also those not read, so that a method's trials do not depend on which they are.
        rate = float(np.format_float_scientific(np.exp(rng.uniform(*np.log(TRIED_RATES))), precision=2))
        drawn = {name: values[int(rng.integers(len(values)))] for name, values in _TRIED.items()}
        read = {name: value for name, value in drawn.items() if name in method.searched}
        found.append(Settings(TUNING_STEPS, rate, **read))  # type: ignore[arg-type]
    return tuple(found)


def tuning_runs() -> tuple[Run, ...]:
    """Every trial of every method compared, on both tasks, at its middle knob, with a seed that is not used again."""
    return tuple(
        Run("tuning", task, name, METHODS[name].middle, settings, TUNING_SEED)
        for task in TASKS
        for name in compared()
        for settings in trials(METHODS[name])
    )


def grid(tuned: Tuned) -> tuple[Run, ...]:
    """Return every run in the order in which it is wanted; a run wanted twice stands once, where it is first wanted.

    Parameters
    ----------
    tuned : Tuned
        The settings of each method on each task.
    """
    first: dict[str, Run] = {}
    for run in _all(tuned):
        first.setdefault(run.key, run)
    return tuple(first.values())


def _all(tuned: Tuned) -> Iterator[Run]:
    found = cache(tuned)  # a table of trials is searched for each; thousands of runs share sixteen answers

    def run(stage: str, task: str, method: str, knob: float, seed: int, steps: int, **more: object) -> Run:
        settings = replace(found(task, method), steps=steps)
        return Run(stage, task, method, knob, settings, seed, **more)  # type: ignore[arg-type]

    # The dearest first, for they take longest.
    by_cost = sorted(compared(), key=lambda name: -find(name).cost)
    for name in by_cost:
        for task in TASKS:
            for steps in LENGTHS:
                for knob in _knobs(name, steps):
                    for seed in SEEDS:
                        yield run("main", task, name, knob, seed, steps)
    for layers in sorted(_DEPTHS, reverse=True):
        for task in TASKS:
            for seed in _DEPTH_SEEDS:
                yield run("depth", task, "rloo", find("rloo").middle, seed, LONG, layers=layers)
    for name in sorted(_STUDIED, key=by_cost.index):
        for task in TASKS:
            for seed in FEW_SEEDS:
                yield run("few", task, name, find(name).middle, seed, LONG, n_prompts=FEW)
    for task in TASKS:
        for seed in SEEDS:
            for n_prompts in _POOLS:
                yield run("pool", task, "rloo", find("rloo").middle, seed, LONG, n_prompts=n_prompts)
    yield from _controls()
    for name in sorted(PROXIES, key=lambda name: -PROXIES[name].members):
        if _first(PROXIES[name]):
            for task in TASKS:
                twice = PROXIES[name].members == 1 and PROXIES[name].n_pairs <= _WEAK
                for seed in (0, 1) if twice else (0,):
                    for knob in _PROXY_BETAS:
                        yield run("proxy", task, "rloo", knob, seed, _PROXY_STEPS, reward_name=name)
    # What `_knobs` leaves out, the cheapest first: it is wanted last, and there may not be time for all of it.
    for steps in reversed(LENGTHS):
        for name in reversed(by_cost):
            for task in TASKS:
                for knob in find(name).knobs:
                    for seed in SEEDS:
                        yield run("lengths", task, name, knob, seed, steps)
    for name, proxy in PROXIES.items():
        if not _first(proxy):
            for task in TASKS:
                for knob in _PROXY_BETAS:
                    yield run("members", task, "rloo", knob, 0, _PROXY_STEPS, reward_name=name)


def _first(proxy: Proxy) -> bool:
    """Whether policies are trained on a proxy before there is time for all: one network, or few pairs for each."""
    return proxy.members == 1 or proxy.n_pairs == _WEAK or proxy.name == "1000x8"


def _knobs(name: str, steps: int) -> tuple[float, ...]:
    """Penalties at which a method is trained for so many steps, for want of time not all.

    The methods of the verdicts at all of their own after every length; the others at all for `LONG` steps, and at the
    middle one for the fewest. Their other penalties and lengths belong to the study of sizes.
    """
    if steps == LONG or name in _STUDIED:
        return find(name).knobs
    return (find(name).middle,) if steps == LENGTHS[-1] else ()


def _controls() -> Iterator[Run]:
    """Bounds on what network and optimiser can do: one seed shows that they can. They are told too much to be tuned."""
    for task in TASKS:
        for knob in find("cross_entropy").knobs:
            yield Run("control", task, "cross_entropy", knob, Settings(1200, 3e-3, group=8), 0, n_prompts=240)
        yield Run("control", task, "exact_gradient", 1.0, Settings(200, 3e-3), 0, n_prompts=240)
