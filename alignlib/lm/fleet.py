"""A fleet: runs of one method that train side by side, each with its own weights, penalty, rate, prompts and luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib.lm.payment import Payment
from alignlib.lm.settings import RESPONSES, Settings
from alignlib.lm.stack import Stack, response_mask

__all__ = ["Batch", "Finished", "Fleet", "Optimiser", "Plan", "Trainer", "World"]

_BLOCK = 32  # steps whose prompts are drawn together
_ROLLS = 16  # steps whose random numbers are
_BETAS, _EPS, _LARGEST_NORM = (0.9, 0.999), 1e-8, 1.0


class World(Protocol):
    """Where prompts come from: `alignlib.lm.tasks.Task`, or prompts whose responses nobody can enumerate."""

    @property
    def length(self) -> int:
        """Most tokens of a response."""

    def fresh(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw prompts to learn from.

        Parameters
        ----------
        n : int
            How many.
        rng : Generator
            Source of randomness.

        Returns
        -------
        array of int (n, prompt length)
            One may come twice.
        """

    def pool(self, n: int, number: int = 0) -> IntArray:
        """Return n distinct prompts to learn from; each number is another pool.

        Parameters
        ----------
        n : int
            How many.
        number : int
            Which pool.
        """

    def features(self, prompts: IntArray) -> FloatArray | IntArray:
        """What rewards know of each prompt beside its tokens, (n, k).

        Parameters
        ----------
        prompts : array of int (n, prompt length)
            Prompts.

        Returns
        -------
        array (n, k)
            For what pays.
        """


@dataclass(frozen=True)
class Plan:
    """One run.

    Parameters
    ----------
    knob : float
        The value of its method's knob.
    seed : int
        Of everything random in it.
    settings : Settings
        Rates, steps, groups.
    n_prompts : int, optional
        How many prompts it may learn from; fresh ones at every step if None.
    responses : int
        Responses that a step draws, a multiple of the group; equal for all runs of a fleet.
    """

    knob: float
    seed: int
    settings: Settings
    n_prompts: int | None = None
    """None: fresh prompts at every step, as many as there are."""
    responses: int = RESPONSES
    """Responses that a step draws, a multiple of the group; equal for all runs of a fleet."""


@dataclass(eq=False)
class Batch:
    """What a step draws: R runs, P rows of prompts, G responses to each, at most T tokens.

    Parameters
    ----------
    prompts : tensor (R, P, prompt length)
        Tokens of the prompts.
    tokens : tensor (R, P, G, T)
        Tokens of the responses, padded with 0.
    log_prob : tensor (R, P, G, T)
        Of each token under the model that drew it, in nats.
    reward : tensor (R, P, G)
        What each response is paid.

    Attributes
    ----------
    mask : tensor (R, P, G, T)
        Where a token was chosen.
    """

    prompts: Tensor
    """(R, P, prompt length)"""
    tokens: Tensor
    """(R, P, G, T), padded with 0"""
    log_prob: Tensor
    """Of each token under the model that drew it, (R, P, G, T), in nats"""
    reward: Tensor
    """(R, P, G)"""
    mask: Tensor = field(init=False)
    """Where a token was chosen, (R, P, G, T)"""

    def __post_init__(self) -> None:
        self.mask = response_mask(self.tokens)

    def pick(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return some of the responses with their prompts.

        Parameters
        ----------
        index : tensor (R, K)
            Their numbers in [0, P·G).

        Returns
        -------
        prompts : tensor (R, K, prompt length)
            Their prompts.
        tokens : tensor (R, K, 1, T)
            Their tokens.
        """
        per_prompt, length = self.tokens.shape[2:]
        tokens = self.tokens.flatten(1, 2).gather(1, index[..., None].expand(-1, -1, length))
        row = (index // per_prompt)[..., None].expand(-1, -1, self.prompts.shape[-1])
        return self.prompts.gather(1, row), tokens[:, :, None]


@dataclass(frozen=True, eq=False)
class Finished:
    """A run that has taken its last step.

    Attributes
    ----------
    number : int
        Its place in the fleet's plans.
    policy : dict of str to tensor
        Its weights by name.
    """

    number: int
    policy: dict[str, Tensor]


class Optimiser:
    """Adam for all runs at once: one rate, one norm of the gradient and one clock for each.

    Parameters
    ----------
    policy : Stack
        The models, a row for each run.
    """

    def __init__(self, policy: Stack) -> None:
        self._stacks: list[Stack] = []
        self._moments: list[tuple[Tensor, Tensor]] = []
        self._clock = torch.zeros(len(policy), device=policy.flat.device)
        self.add(policy)

    def add(self, stack: Stack) -> None:
        """Train these models too, in the same steps: the norm is that of both.

        Parameters
        ----------
        stack : Stack
            A row for each run.
        """
        self._stacks.append(stack)
        self._moments.append((torch.zeros_like(stack.flat), torch.zeros_like(stack.flat)))

    def replace(self, stacks: Sequence[Stack], keep: Tensor) -> None:
        """Go on with these rows of the runs, whose models are now these.

        Parameters
        ----------
        stacks : sequence of Stack
            The models from now on.
        keep : tensor
            Rows of the runs that go on.
        """
        self._stacks = list(stacks)
        self._moments = [(first[keep], second[keep]) for first, second in self._moments]
        self._clock = self._clock[keep]

    def step(self, loss: Tensor, rate: Tensor, active: Tensor | None = None) -> None:
        """Take one step down each run's loss.

        Parameters
        ----------
        loss, rate : tensor (R,)
            A loss and a rate for each run.
        active : tensor (R,), optional
            1 for the runs that take the step, 0 for those that rest; all take it if none is given.
        """
        for stack in self._stacks:
            assert stack.grad is not None
            stack.grad.zero_()
        loss.sum().backward()
        with torch.no_grad():
            moving = torch.ones_like(self._clock) if active is None else active
            self._clock += moving
            norm = torch.stack([_grad(stack).square().sum(1) for stack in self._stacks]).sum(0).sqrt()
            scale = (_LARGEST_NORM / (norm + 1e-6)).clamp(max=1.0)[:, None]
            clock = self._clock.clamp(min=1.0)
            pace = (rate * moving / (1.0 - _BETAS[0] ** clock))[:, None]
            spread = (1.0 - _BETAS[1] ** clock).sqrt()[:, None]
            # In place: the weights of a fleet fill the cache, and every pass over them counts.
            for stack, (first, second) in zip(self._stacks, self._moments, strict=True):
                gradient = _grad(stack).mul_(scale)
                first.lerp_(gradient, (1.0 - _BETAS[0]) * moving[:, None])
                second.lerp_(gradient.square_(), (1.0 - _BETAS[1]) * moving[:, None])
                size = second.sqrt().div_(spread).add_(_EPS)
                stack.flat -= torch.div(first, size, out=size).mul_(pace)


def _grad(stack: Stack) -> Tensor:
    assert stack.grad is not None
    return stack.grad


class _Prompts:
    """Where a run's prompts come from: fresh ones, or passes over a pool in random order."""

    def __init__(self, task: World, plan: Plan, group: int) -> None:
        self._task, self._per_step = task, plan.responses // group
        self._rng = np.random.default_rng([plan.seed, 1])
        # Each seed has a pool of its own, for one draw of 24 prompts says nothing of 24 prompts.
        self._pool = None if plan.n_prompts is None else task.pool(plan.n_prompts, plan.seed)
        self._order = np.empty(0, dtype=np.int64)

    def block(self, steps: int) -> np.ndarray:
        """Prompts of the next steps, (steps, prompts a step, prompt length)."""
        wanted = steps * self._per_step
        if self._pool is None:
            found = self._task.fresh(wanted, self._rng)
        else:
            while len(self._order) < wanted:
                self._order = np.concatenate([self._order, self._rng.permutation(len(self._pool))])
            found, self._order = self._pool[self._order[:wanted]], self._order[wanted:]
        return found.reshape(steps, self._per_step, -1)


class _Dice:
    """Uniform numbers of one shape for every run, drawn on the processor for several steps at a time."""

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...], device: torch.device) -> None:
        self._sources = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape, self._device, self._place = shape, device, _ROLLS
        self._drawn = torch.empty(0)

    def roll(self) -> Tensor:
        """Return the next numbers, (R, *shape)."""
        if self._place == _ROLLS:
            drawn = [torch.rand(_ROLLS, *self._shape, generator=source) for source in self._sources]
            self._drawn, self._place = torch.stack(drawn).to(self._device), 0
        self._place += 1
        return self._drawn[:, self._place - 1]

    def keep(self, rows: list[int]) -> None:
        """Go on with these runs."""
        self._sources = [self._sources[row] for row in rows]
        self._drawn = self._drawn[rows]


class Trainer(Protocol):
    """How the steps of a fleet are taken: `alignlib.lm.methods.Method`, which builds on fleets."""

    knob: ClassVar[str]

    def group(self, settings: Settings, knob: float) -> int:
        """Responses to one prompt in a step.

        Parameters
        ----------
        settings : Settings
            Of the run.
        knob : float
            The value of the method's knob.
        """

    def start(self, fleet: Fleet) -> None:
        """Prepare what is kept between steps.

        Parameters
        ----------
        fleet : Fleet
            The runs.
        """

    def step(self, fleet: Fleet) -> None:
        """Update the policies of every run.

        Parameters
        ----------
        fleet : Fleet
            The runs.
        """


class Fleet:
    """Runs of one method on one task and one reward, side by side; `train` hands out each as it finishes.

    What a run learns does not depend on the fleet it travels in, but for rounding: it has its own prompts, and its own
    random numbers, which are drawn on the processor also where a GPU computes.

    Parameters
    ----------
    method : Trainer
        How a step is taken.
    base : Stack
        The base model, one row.
    task : World
        Prompts to learn from, and how long a response may be.
    plans : sequence of Plan
        The runs.
    payment : Payment
        What responses are paid.
    device : str
        Where to compute, ``"cpu"`` or ``"cuda"``.

    Attributes
    ----------
    policy, base : Stack
        R models that are trained, and the one they start from.
    beta, clip, gae_lambda : tensors (R, 1, 1)
        Each run's penalty (1 where the knob is another), clipping range and λ of advantage estimation.
    epochs, knob : tensors (R,)
        Updates on each batch, and the value of the method's knob.
    count : int
        Steps taken.

    Raises
    ------
    InputError
        If there is no run, or runs draw unequally many responses a step.
    """

    def __init__(
        self, method: Trainer, base: Stack, task: World, plans: Sequence[Plan], payment: Payment, device: str = "cpu"
    ) -> None:
        require(len(plans) >= 1, "plans must hold at least one run; it holds none.")
        drawn = {plan.responses for plan in plans}
        require(len(drawn) == 1, f"plans must draw equally many responses a step; got {sorted(drawn)}.")
        self.method, self.task, self.device = method, task, torch.device(device)
        self.base = base.to(device)
        self.policy = self.base.copies(len(plans), trainable=True)
        self.optimiser = Optimiser(self.policy)
        self.extra: dict[str, Stack] = {}  # models that a method trains or keeps besides, a row for each run
        self.memory: dict[str, object] = {}  # what else it keeps
        self.payment = payment.to(self.device)
        self.count = 0
        self._numbers = list(range(len(plans)))
        self._prompts: Tensor
        self._features: Tensor
        groups = [method.group(plan.settings, plan.knob) for plan in plans]
        self._per_row = gcd(*groups)
        self._sources = [_Prompts(task, plan, group) for plan, group in zip(plans, groups, strict=True)]
        self._dice: dict[tuple[int, ...], _Dice] = {}
        self._take(list(plans), groups)
        self._next = 0
        method.start(self)

    def _take(self, plans: list[Plan], groups: list[int]) -> None:
        """Spread the plans over tensors, one entry for each run."""
        self.plans, self._groups = plans, groups
        settings = [plan.settings for plan in plans]
        beta = [plan.knob if self.method.knob == "beta" else 1.0 for plan in plans]
        self.beta = self._column(beta)
        self.clip, self.gae_lambda = (self._column([getattr(s, n) for s in settings]) for n in ("clip", "gae_lambda"))
        self.knob, self.epochs = self._row([plan.knob for plan in plans]), self._row([s.epochs for s in settings])
        self._steps = self._row([s.steps for s in settings])
        self._rate = self._row([s.learning_rate for s in settings])
        self._falling = self._row([float(s.schedule == "linear") for s in settings])
        self._sizes = [
            (size, torch.tensor([i for i, g in enumerate(groups) if g == size], device=self.device))
            for size in sorted(set(groups))
        ]

    def _row(self, values: Sequence[float]) -> Tensor:
        return torch.tensor([float(value) for value in values], device=self.device)

    def _column(self, values: Sequence[float]) -> Tensor:
        return self._row(values)[:, None, None]

    def __len__(self) -> int:
        return len(self.plans)

    def train(self) -> Iterator[Finished]:
        """Take all steps of all runs; every run is handed out once, after its last step."""
        while len(self):
            self.method.step(self)
            self.count += 1
            over = [plan.settings.steps <= self.count for plan in self.plans]
            if any(over):
                yield from (
                    Finished(self._numbers[row], self.policy.state(row)) for row, done in enumerate(over) if done
                )
                self._keep([row for row, done in enumerate(over) if not done])

    def _keep(self, rows: list[int]) -> None:
        """Go on with these runs only."""
        self._numbers = [self._numbers[row] for row in rows]
        self._sources = [self._sources[row] for row in rows]
        for dice in self._dice.values():
            dice.keep(rows)
        keep = torch.tensor(rows, dtype=torch.long, device=self.device)
        trained = [name for name, stack in self.extra.items() if stack.trainable]
        self.policy = self.policy.rows(keep, trainable=True)
        self.extra = {name: stack.rows(keep, trainable=stack.trainable) for name, stack in self.extra.items()}
        self.optimiser.replace([self.policy, *(self.extra[name] for name in trained)], keep)
        if self._next:
            self._prompts, self._features = self._prompts[keep], self._features[keep]
        self._take([self.plans[row] for row in rows], [self._groups[row] for row in rows])

    # -- what methods use ---------------------------------------------------------------------------------------------

    def prompts(self) -> tuple[Tensor, Tensor]:
        """Return this step's prompts, and what gold knows of them.

        A prompt stands in as many rows side by side as its group needs.

        Returns
        -------
        prompts : tensor (R, P, prompt length)
            Tokens.
        features : tensor (R, P, k)
            For what pays.
        """
        place = self.count % _BLOCK
        if place == 0 and self._next == self.count:
            blocks = [
                np.repeat(source.block(_BLOCK), group // self._per_row, axis=1)
                for source, group in zip(self._sources, self._groups, strict=True)
            ]
            self._next += _BLOCK
            drawn = np.stack(blocks)
            known = self.task.features(drawn.reshape(-1, drawn.shape[-1]))
            self._prompts = torch.from_numpy(drawn).to(self.device)
            self._features = torch.from_numpy(known.astype(np.float32)).view(*drawn.shape[:-1], -1).to(self.device)
        return self._prompts[:, place], self._features[:, place]

    def uniform(self, *shape: int) -> Tensor:
        """Draw numbers in [0, 1) for every run from its own source, (R, *shape); one call of each shape a step.

        Parameters
        ----------
        *shape : int
            What each run gets.

        Returns
        -------
        tensor (R, *shape)
            One call of each shape a step.
        """
        if shape not in self._dice:
            seeds = [1000 * plan.seed + len(self._dice) for plan in self.plans]
            self._dice[shape] = _Dice(seeds, shape, self.device)
        return self._dice[shape].roll()

    def draw(self, sampler: Stack) -> Batch:
        """Draw a step's responses for every run and pay for them; nothing of it carries gradients.

        Parameters
        ----------
        sampler : Stack
            Who responds: one model for all runs, or one for each.
        """
        prompts, known = self.prompts()
        uniform = self.uniform(prompts.shape[1], self._per_row, self.task.length)
        with torch.no_grad():
            tokens, log_prob = self._through(sampler, sampler.sample, prompts, uniform)
            return Batch(prompts, tokens, log_prob, self.payment(prompts, known, tokens))

    def log_base(self, batch: Batch) -> Tensor:
        """Return each token's log-probability under the base, (R, P, G, T), without gradients.

        Parameters
        ----------
        batch : Batch
            Responses.
        """
        with torch.no_grad():
            return self._through(self.base, lambda *x: (self.base.token_log_prob(*x),), batch.prompts, batch.tokens)[0]

    def _through(self, stack: Stack, function: Callable[..., tuple[Tensor, ...]], *given: Tensor) -> list[Tensor]:
        """Apply a function of a stack to rows of all runs: a stack of one model sees them as rows of its own."""
        if len(stack) == len(self):
            return list(function(*given))
        runs, rows = given[0].shape[:2]
        found = function(*(part.reshape(1, runs * rows, *part.shape[2:]) for part in given))
        return [part.view(runs, rows, *part.shape[2:]) for part in found]

    def in_groups(self, values: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a function to groups of responses to one prompt, run by run of its own size.

        Parameters
        ----------
        values : tensor (R, P, G)
            One number for each response.
        function : callable
            From (…, groups, responses to one prompt) to the same shape.
        """
        if len(self._sizes) == 1:
            return function(values.reshape(len(values), -1, self._sizes[0][0])).reshape(values.shape)
        out = torch.empty_like(values)
        for size, rows in self._sizes:
            part = values[rows]
            out[rows] = function(part.reshape(len(part), -1, size)).reshape(part.shape)
        return out

    def update(self, loss: Tensor, epoch: int = 0) -> None:
        """Take one step of every run that makes more updates on a batch than there have been, at its rate.

        Parameters
        ----------
        loss : tensor (R,)
            The loss of each run.
        epoch : int
            Updates made on this batch so far.
        """
        gone = (self.count + epoch / self.epochs) / self._steps
        rate = self._rate * (1.0 - self._falling * gone)
        self.optimiser.step(loss, rate, None if epoch == 0 else (self.epochs > epoch).float())

    @property
    def most_epochs(self) -> int:
        """The most updates that a run makes on a batch."""
        return max(plan.settings.epochs for plan in self.plans)
