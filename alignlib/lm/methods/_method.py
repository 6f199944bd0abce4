"""What a training method is: one record, registered once, from which grid, table, chapters and pictures take it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypedDict, TypeVar

from alignlib._core.checks import FloatArray, require
from alignlib._core.names import unknown_name
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from alignlib.lm.base_model import EnumerableLM

__all__ = ["METHODS", "Ablation", "Budget", "Checkpoint", "Look", "Method", "Settings", "find", "register"]

_SCHEDULES = ("constant", "linear")


@dataclass(frozen=True)
class Budget:
    """How long and how hard a method trains; every step sees each prompt ``group`` times.

    Parameters
    ----------
    steps : int
        Optimiser rounds, >= 1: one batch of responses each.
    group : int
        Responses per prompt and step, >= 2.
    learning_rate : float
        AdamW's peak rate, > 0.
    schedule : str
        ``"constant"`` or ``"linear"`` (annealed to zero at the last step).
    checkpoints : tuple of int
        Steps after which the policy is handed out, increasing; the last step always is.
    max_grad_norm : float
        The gradient is scaled down to this norm, > 0.

    Raises
    ------
    InputError
        If a number is out of its range.

    Examples
    --------
    >>> sorted(Budget(steps=100, checkpoints=(30,)).handed_out)
    [30, 100]
    """

    steps: int
    group: int = 8
    learning_rate: float = 1e-3
    schedule: str = "linear"
    checkpoints: tuple[int, ...] = ()
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"steps must be at least 1; got {self.steps}.")
        require(self.group >= 2, f"group must be at least 2, for a baseline needs others; got {self.group}.")
        require(self.learning_rate > 0, f"learning_rate must be positive; got {self.learning_rate}.")
        require(self.max_grad_norm > 0, f"max_grad_norm must be positive; got {self.max_grad_norm}.")
        require(self.schedule in _SCHEDULES, f"schedule must be one of {', '.join(_SCHEDULES)}; got {self.schedule!r}.")
        inner = self.checkpoints
        require(
            list(inner) == sorted(set(inner)) and all(1 <= step <= self.steps for step in inner),
            f"checkpoints must be increasing steps from 1 to {self.steps}; got {inner}.",
        )

    @property
    def handed_out(self) -> frozenset[int]:
        """Every step after which a checkpoint is due."""
        return frozenset((*self.checkpoints, self.steps))


@dataclass(frozen=True)
class Settings:
    """The knobs of a method that has none of its own; the others' settings inherit from it and add theirs."""

    budget: Budget


@dataclass(frozen=True)
class Checkpoint:
    """A policy on its way: ``completions`` counts the responses that training has consumed so far."""

    step: int
    completions: int
    model: EnumerableLM


S = TypeVar("S", bound=Settings)
_S = TypeVar("_S", bound=Settings, contravariant=True)


class Train(Protocol[_S]):
    """What trains: from the base model towards the reward at one KL penalty, checkpoint by checkpoint."""

    def __call__(
        self, base: EnumerableLM, task: Task, reward: FloatArray, beta: float, seed: int, *, settings: _S
    ) -> Iterator[Checkpoint]:
        """Yield checkpoints in the order of their steps, the last after the budget's last step.

        Parameters
        ----------
        base : EnumerableLM
            The base model; it is left as it is.
        task : Task
            Prompts and response space.
        reward : array (P, n)
            Reward of every response to each prompt.
        beta : float
            KL penalty, > 0, in units of reward per nat; 1 for a method whose ``knob`` is another.
        seed : int
            Part of what a run is, as it seeds several libraries; the same seed gives the same checkpoints.
        settings
            The method's own knobs.
        """


@dataclass(frozen=True)
class Look:
    """How pictures show a method: any colour and marker of matplotlib."""

    color: str
    marker: str


class Style(TypedDict, total=False):
    """Colour and marker as keywords of matplotlib."""

    color: str
    marker: str


@dataclass(frozen=True)
class Ablation:
    """A variant that is trained beside the method: ``changes`` to its settings, at some values of its knob."""

    label: str
    penalties: tuple[float, ...]
    changes: Mapping[str, object]


@dataclass(frozen=True)
class Method(Generic[S]):
    """A training method: everything that the grid, the table, the chapters and the pictures know of it.

    Parameters
    ----------
    name : str
        Its name in the table of runs: letters, digits and underscores.
    label : str
        Its name on a page.
    train
        See `Train`; libraries that it alone needs are imported when it is called.
    settings
        Class of its settings, its knobs with their defaults.
    look : Look, optional
        Where it is drawn among the methods compared; None for a control, which only bounds what a network can do.
    learning_rate : float
        The best of the rates tried for it.
    penalties : tuple of float
        Values of the knob at which it is compared, the middle of the frontier third; β in reward per nat.
    knob : str
        ``"beta"``, or the field of its settings that moves it along the frontier instead.
    configure, optional
        Of a method with another knob: the settings for a budget and a value of the knob.
    aims_at_optimum : bool
        Whether the policy that its objective asks for is the optimum ``π_λ`` at ``λ = 1/β``.
    responses_per_step
        What a step costs in responses, given the settings and the task; every prompt's group, if not said.
    seconds_per_step : float
        CPU-seconds for 192 responses on one thread, measured; for the time left only.
    ablations : tuple of Ablation
        Variants that are trained beside it.
    place : int
        Where it stands in tables and legends; equal places by name.
    """

    name: str
    label: str
    train: Train[S]
    settings: Callable[..., S]
    look: Look | None = None
    learning_rate: float = 3e-3
    penalties: tuple[float, ...] = (2.0, 1.0, 0.5, 0.25, 0.125)
    knob: str = "beta"
    configure: Callable[[Budget, float], S] | None = None
    aims_at_optimum: bool = True
    responses_per_step: Callable[[S, Task], int] = field(
        default=lambda settings, task: settings.budget.group * len(task.prompts)
    )
    seconds_per_step: float = 0.1
    ablations: tuple[Ablation, ...] = ()
    place: int = 100

    def __post_init__(self) -> None:
        require(self.name.isidentifier(), f"name must hold letters, digits and underscores only; got {self.name!r}.")
        require(
            (self.knob == "beta") == (self.configure is None),
            f"configure must be given just where knob is not 'beta'; got {self.knob!r}.",
        )

    @property
    def compared(self) -> bool:
        """Whether it is compared with best-of-N; a control is not."""
        return self.look is not None

    @property
    def style(self) -> Style:
        """Its look as keywords of matplotlib; empty for a control."""
        return {} if self.look is None else {"color": self.look.color, "marker": self.look.marker}

    def at(self, knob: float, budget: Budget, **changes: object) -> tuple[S, float | None]:
        """Return the settings and the β, None if it has none, of a run at one value of the knob."""
        if self.configure is None:
            return self.settings(budget, **changes), knob
        return self.configure(budget, knob), None


# Each has settings of its own, which the type of a shared dictionary cannot say.
METHODS: dict[str, Method[Any]] = {}


def register(method: Method[S]) -> Method[S]:
    """Make a method known under its name, in its place.

    Raises
    ------
    InputError
        If another method has that name or that label.
    """
    for other in METHODS.values():
        require(
            other.name != method.name and other.label != method.label,
            f"name and label must be new; {method.name!r} ({method.label}) is taken by {other.name!r} ({other.label}).",
        )
    METHODS[method.name] = method
    for name in sorted(METHODS, key=lambda name: (METHODS[name].place, name)):
        METHODS[name] = METHODS.pop(name)
    return method


def find(name: str) -> Method[Any]:
    """Return a method by name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    require(name in METHODS, unknown_name("method", name, METHODS))
    return METHODS[name]
