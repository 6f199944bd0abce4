"""The runs: which method, on which reward, at which penalty, for how long, with which seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alignlib.lm.methods import find

__all__ = ["METHODS", "PROXY", "RATES", "STEPS", "Run", "fleets", "grid", "tuning"]

PROXY = "proxy"
"""The reward model trained on noisy preferences; the other rewards are functions of `alignlib.lm.words.rewards`."""
METHODS = ("rloo", "ppo", "grpo", "dpo")
RATES = (1.5e-4, 3e-4, 6e-4, 1.2e-3, 2.4e-3)
"""What tuning tries, for every method alike; everything else is as the method comes."""
STEPS = (200, 600)
"""Steps of the runs that two cores train in an hour, and of long ones."""
_TUNING_SEED = 100
_PROXY_BETAS = (1.0, 0.5, 0.25)


@dataclass(frozen=True)
class Run:
    """One run.

    Parameters
    ----------
    reward : str
        ``"sentiment"``, ``"civility"`` or ``"proxy"``.
    method : str
        Name in `alignlib.lm.methods`.
    knob : float
        Its penalty β.
    steps, seed : int
        Length, and source of all luck.
    rate : float
        Adam's rate; 0 where tuning has still to say.
    stage : str
        ``"tuning"``, ``"core"`` (what two cores train in an hour) or ``"wide"`` (longer, and more of everything).
    """

    reward: str
    method: str
    knob: float
    steps: int
    seed: int
    rate: float = 0.0
    stage: str = "core"

    @property
    def key(self) -> str:
        """Name of its results."""
        rate = f"-{self.rate:g}" if self.stage == "tuning" else ""
        return f"{self.reward}-{self.method}-{self.knob:g}-{self.steps}-{self.seed}{rate}"

    def at(self, rate: float) -> Run:
        """The same run at a rate."""
        return replace(self, rate=rate)


def tuning(steps: int = STEPS[0]) -> list[Run]:
    """Return the trials: every method at its middle penalty, every rate once."""
    return [
        Run("sentiment", method, find(method).middle, steps, _TUNING_SEED, rate, "tuning")
        for method in METHODS
        for rate in RATES
    ]


def grid(stage: str = "wide", steps: tuple[int, int] = STEPS) -> list[Run]:
    """Return the runs of a stage, dearest first; ``"wide"`` holds ``"core"`` too.

    >>> core = grid("core")
    >>> len(core), {run.steps for run in core}
    (15, {200})
    """
    short, long = steps
    core = [
        *(Run("sentiment", method, find(method).middle, short, seed) for method in METHODS for seed in range(3)),
        *(Run(PROXY, "rloo", _PROXY_BETAS[1], short, seed) for seed in range(3)),
    ]
    if stage == "core":
        return core
    middle = [(method, find(method).middle) for method in METHODS]
    outer = [(method, knob) for method, there in middle for knob in find(method).knobs if knob != there]
    wide = [
        *(Run("sentiment", method, knob, long, seed) for method, knob in middle for seed in range(4)),
        *(Run(PROXY, "rloo", _PROXY_BETAS[-1], long, seed) for seed in range(3)),
        *(Run("sentiment", method, knob, short, seed) for method, knob in middle for seed in range(4)),
        *(Run(PROXY, "rloo", beta, short, seed) for beta in _PROXY_BETAS for seed in range(3)),
        *(Run("sentiment", method, knob, short, seed) for method, knob in outer for seed in range(3)),
        *(Run("civility", method, knob, short, seed) for method, knob in middle[:3] for seed in range(3)),
    ]
    known = {run.key: run for run in core}
    return [known.get(run.key, replace(run, stage="wide")) for run in wide]


def fleets(runs: Sequence[Run], size: int) -> list[list[Run]]:
    """Put runs that can travel together, of one reward and method, into fleets of at most ``size``."""
    found: dict[tuple[object, ...], list[list[Run]]] = {}
    order: list[list[Run]] = []
    for run in runs:
        parts = found.setdefault((run.stage == "tuning", run.reward, run.method), [])
        if not parts or len(parts[-1]) >= size:
            parts.append([])
            order.append(parts[-1])
        parts[-1].append(run)
    return order
