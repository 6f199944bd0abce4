"""What a training method is: one class, registered once, from which grid, table, chapters and pictures take it.

`OnPolicy` is one that learns from its own responses: draw, pay, weigh, update once or more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypedDict

from alignlib._core.checks import require
from alignlib._core.names import unknown_name
from alignlib.lm.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from alignlib.lm.fleet import Batch, Fleet

__all__ = ["METHODS", "Look", "Method", "OnPolicy", "Style", "clipped", "find", "register"]


@dataclass(frozen=True)
class Look:
    """How pictures show a method: any colour and marker of matplotlib.

    Parameters
    ----------
    color : str
        A colour of matplotlib.
    marker : str
        A marker of matplotlib.
    """

    color: str
    marker: str


class Style(TypedDict, total=False):
    """Colour and marker as keywords of matplotlib."""

    color: str
    marker: str


class Method(ABC):
    """A training method: how it takes a step, and everything that grid, table, chapters and pictures know of it.

    A subclass says what differs; see the recipe in ``CONTRIBUTING.md``.
    """

    name: ClassVar[str]
    """Its name in the table of runs: letters, digits and underscores."""
    label: ClassVar[str]
    """Its name on a page."""
    look: ClassVar[Look | None] = None
    """How it is drawn among the methods compared; None for a control, which only bounds what a network can do."""
    knob: ClassVar[str] = "beta"
    """What moves it along the frontier: ``"beta"``, the KL penalty, or ``"n"``, the draws of which one is kept."""
    knobs: ClassVar[tuple[float, ...]] = (2.0, 1.0, 0.5)
    """Values of the knob at which it is compared; it is tuned at the middle one."""
    searched: ClassVar[tuple[str, ...]] = ("learning_rate", "schedule", "group")
    """Which settings its tuning draws at random."""
    cost: ClassVar[float] = 1.0
    """Processor time of a step, as a multiple of RLOO's; for the time left only."""
    place: ClassVar[int] = 100
    """Where it stands in tables and legends; equal places by name."""

    @abstractmethod
    def step(self, fleet: Fleet) -> None:
        """Draw ``RESPONSES`` responses for every run of the fleet and update its policies once, or ``epochs`` times.

        Parameters
        ----------
        fleet : Fleet
            The runs, their models and their payment.
        """

    def start(self, fleet: Fleet) -> None:  # noqa: B027  # most methods have nothing to prepare
        """Prepare what only this method keeps between steps, such as a critic.

        Parameters
        ----------
        fleet : Fleet
            The runs; what is kept goes into its ``extra`` and ``memory``.
        """

    def group(self, settings: Settings, knob: float) -> int:
        """Responses to one prompt in a step: the settings' ``group``, or the knob where that is the number of draws.

        Parameters
        ----------
        settings : Settings
            Of the run.
        knob : float
            The value of the method's knob.
        """
        return int(knob) if self.knob == "n" else settings.group

    @property
    def compared(self) -> bool:
        """Whether it is compared with best-of-N; a control is not."""
        return self.look is not None

    @property
    def style(self) -> Style:
        """Its look as keywords of matplotlib; empty for a control."""
        return {} if self.look is None else {"color": self.look.color, "marker": self.look.marker}

    @property
    def middle(self) -> float:
        """The middle value of its knob."""
        return self.knobs[len(self.knobs) // 2]


METHODS: dict[str, Method] = {}


def register(method: type[Method]) -> type[Method]:
    """Make a method known under its name, in its place; to be written above its class.

    Parameters
    ----------
    method : type of Method
        The class.

    Returns
    -------
    type of Method
        The same class.

    Raises
    ------
    InputError
        If another method has that name or that label.
    """
    require(method.name.isidentifier(), f"name must hold letters, digits and underscores only; got {method.name!r}.")
    for other in METHODS.values():
        require(
            other.name != method.name and other.label != method.label,
            f"name and label must be new; {method.name!r} ({method.label}) is taken by {other.name!r} ({other.label}).",
        )
    METHODS[method.name] = method()
    for name in sorted(METHODS, key=lambda name: (METHODS[name].place, name)):
        METHODS[name] = METHODS.pop(name)
    return method


def find(name: str) -> Method:
    """Return a method by name.

    Parameters
    ----------
    name : str
        As the table of runs has it.

    Returns
    -------
    Method
        The one instance.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> from alignlib.lm.methods import find
    >>> find("ppo").label, find("ppo").knob
    ('PPO', 'beta')
    """
    require(name in METHODS, unknown_name("method", name, METHODS))
    return METHODS[name]


class OnPolicy(Method):
    """A method of the family of policy gradients: a subclass says how responses are weighed and what the loss is."""

    searched: ClassVar[tuple[str, ...]] = ("learning_rate", "schedule", "group", "epochs", "clip")

    @abstractmethod
    def advantage(self, fleet: Fleet, batch: Batch, old: Tensor, base: Tensor) -> Tensor:
        """Return how much each response is to be made likelier; no gradients flow through it.

        Parameters
        ----------
        fleet : Fleet
            The runs.
        batch : Batch
            What they drew.
        old, base : tensor (R, P, G, T)
            Log-probabilities of tokens under the policy that drew them and under the base, in nats.

        Returns
        -------
        tensor (R, P, G)
            In the unit of the reward.
        """

    @abstractmethod
    def loss(self, fleet: Fleet, batch: Batch, now: Tensor, old: Tensor, base: Tensor, advantage: Tensor) -> Tensor:
        """Return the loss of each run.

        Parameters
        ----------
        fleet : Fleet
            The runs.
        batch : Batch
            What they drew.
        now : tensor (R, P, G, T)
            Log-probabilities of tokens under the policies, with gradients.
        old, base : tensor (R, P, G, T)
            The same under the policy that drew them and under the base.
        advantage : tensor (R, P, G)
            As `advantage` gives it.

        Returns
        -------
        tensor (R,)
            To be made smaller.
        """

    def step(self, fleet: Fleet) -> None:
        """Draw, weigh, update."""
        batch = fleet.draw(fleet.policy)
        base = fleet.log_base(batch)
        advantage = self.advantage(fleet, batch, batch.log_prob, base)
        for epoch in range(fleet.most_epochs):
            now = fleet.policy.token_log_prob(batch.prompts, batch.tokens)
            fleet.update(self.loss(fleet, batch, now, batch.log_prob, base, advantage), epoch)


def clipped(log_ratio: Tensor, advantage: Tensor, clip: Tensor) -> Tensor:
    """Return PPO's clipped surrogate ``min(ratio · A, clamp(ratio, 1 ± clip) · A)``.

    Parameters
    ----------
    log_ratio : Tensor
        Logarithm of policy over the policy that drew, of tokens or of responses.
    advantage : Tensor
        Of the same shape, in the unit of the reward.
    clip : Tensor
        The width ε of each run; it broadcasts.

    Returns
    -------
    Tensor
        Of the same shape.
    """
    import torch

    ratio = log_ratio.exp()
    kept = torch.minimum(torch.maximum(ratio, 1.0 - clip), 1.0 + clip)
    return torch.minimum(ratio * advantage, kept * advantage)
