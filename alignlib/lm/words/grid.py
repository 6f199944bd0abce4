"""The runs: which method, on which reward, at which penalty, for how long, with which seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alignlib.lm.methods import RESPONSES, find

__all__ = ["CIVILITY", "FEW", "GOLD", "METHODS", "PROXY", "RATES", "SECOND", "STEPS", "Run", "fleets", "grid", "tuning"]

PROXY = "proxy"
"""The reward model trained on noisy preferences; the other rewards are functions of `alignlib.lm.words.rewards`."""
CIVILITY = "civility"
GOLD = ("sentiment", CIVILITY)
"""The rewards that every method is tuned and trained on; on the reward model it takes the rates of the first."""
METHODS = ("rloo", "ppo", "grpo", "dpo")
SECOND = ("grpo",)
"""Trained on the second gold reward already in the core: of the papers' verdict the cheaper one; others are wide."""
RATES = (1.5e-4, 3e-4, 6e-4, 1.2e-3, 2.4e-3)
"""What tuning tries, for every method alike; everything else is as the method comes."""
STEPS = (40, 200, 600)
"""Steps of quick runs, of the trials and the core, and of long runs."""
FEW = 64
"""Responses a step of quick runs; the others draw as many as every method of the book does."""
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
        ``"tuning"``, ``"quick"`` (minutes), ``"core"`` (an hour on two cores) or ``"wide"`` (more of everything).
    responses : int
        Drawn in a step.
    """

    reward: str
    method: str
    knob: float
    steps: int
    seed: int
    rate: float = 0.0
    stage: str = "core"
    responses: int = RESPONSES

    @property
    def key(self) -> str:
        """Name of its results."""
        rate = f"-{self.rate:g}" if self.stage == "tuning" else ""
        return f"{self.reward}-{self.method}-{self.knob:g}-{self.steps}-{self.seed}{rate}"

    @property
    def tuned_on(self) -> str:
        """The reward whose trials say its rate."""
        return self.reward if self.reward in GOLD else GOLD[0]

    def at(self, rate: float) -> Run:
        """The same run at the rate that trials found; shorter ones than the trials take twice that.

        Parameters
        ----------
        rate : float
            The rate that trials found.
        """
        return replace(self, rate=rate if self.responses == RESPONSES else 2.0 * rate)


def tuning(steps: int = STEPS[1], reward: str = "sentiment") -> list[Run]:
    """Return the trials: every method at its middle penalty, every rate once.

    Parameters
    ----------
    steps : int
        Length of each.
    reward : str
        What they are paid.
    """
    return [
        Run(reward, method, find(method).middle, steps, _TUNING_SEED, rate, "tuning")
        for method in METHODS
        for rate in RATES
    ]


def grid(stage: str = "wide", steps: tuple[int, int, int] = STEPS) -> list[Run]:
    """Return the runs of a stage, the most wanted first; the wide one begins with the core.

    One seed of every method comes before the next seed of any, and before policies on the reward model, so that a core
    that was cut short compares all methods alike. Quick runs are short, with few responses a step: to see that all
    works, and in no table.

    Parameters
    ----------
    stage : str
        ``"quick"``, ``"core"`` or ``"wide"``.
    steps : (int, int, int)
        Lengths of training.

    Examples
    --------
    >>> [len(grid(stage)) for stage in ("quick", "core", "wide")]
    [12, 18, 84]
    >>> {(run.steps, run.responses) for run in grid("quick")}
    {(40, 64)}
    """
    few, short, long = steps
    middle = [(method, find(method).middle) for method in METHODS]
    quick = [
        Run("sentiment", method, knob, few, seed, stage="quick", responses=FEW)
        for some in (middle[:3], middle[3:])
        for seed in range(3)
        for method, knob in some
    ]
    core = [
        *(Run("sentiment", method, knob, short, seed) for seed in range(3) for method, knob in middle),
        *(Run(PROXY, "rloo", _PROXY_BETAS[1], short, seed) for seed in range(3)),
        *(Run(CIVILITY, method, find(method).middle, short, seed) for method in SECOND for seed in range(3)),
    ]
    if stage != "wide":
        return quick if stage == "quick" else core
    outer = [(method, knob) for method, there in middle for knob in find(method).knobs if knob != there]
    wide = [
        *(Run(CIVILITY, method, knob, short, seed) for seed in range(4) for method, knob in middle),
        *(Run("sentiment", method, knob, long, seed) for method, knob in middle for seed in range(4)),
        *(Run(PROXY, "rloo", _PROXY_BETAS[-1], long, seed) for seed in range(3)),
        *(Run("sentiment", method, knob, short, seed) for method, knob in middle for seed in range(4)),
        *(Run(PROXY, "rloo", beta, short, seed) for beta in _PROXY_BETAS for seed in range(3)),
        *(Run("sentiment", method, knob, short, seed) for method, knob in outer for seed in range(3)),
    ]
    known = {run.key for run in core}
    return core + [replace(run, stage="wide") for run in wide if run.key not in known]


def fleets(runs: Sequence[Run], size: int) -> list[list[Run]]:
    """Put runs that can travel together, of one reward and method, into fleets.

    Parameters
    ----------
    runs : sequence of Run
        Most wanted first.
    size : int
        The most that travel together.
    """
    found: dict[tuple[object, ...], list[list[Run]]] = {}
    order: list[list[Run]] = []
    for run in runs:
        parts = found.setdefault((run.reward, run.method, run.responses), [])
        if not parts or len(parts[-1]) >= size:
            parts.append([])
            order.append(parts[-1])
        parts[-1].append(run)
    return order
