"""Controls, told what no method knows, samples of the optimum or the exact gradient: what a network can do at least."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from alignlib._core.checks import require
from alignlib.lm.methods import RESPONSES, Method, register
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

    from alignlib.lm.fleet import Fleet

__all__ = ["CrossEntropy", "ExactGradient"]

_POOL = 240
"""Prompts whose responses are all enumerated."""
_PER_STEP = 4


class _Enumerated:
    """The pool's base law and gold over every response."""

    def __init__(self, fleet: Fleet) -> None:
        import torch

        from alignlib.lm.exact import log_law

        task = fleet.task
        require(isinstance(task, Task), "task must be one whose responses can be enumerated, for this method.")
        assert isinstance(task, Task)
        n = fleet.plans[0].n_prompts or _POOL
        self.task = task
        self.prompts = task.pool(n)
        self.log_base = log_law(fleet.base.state(0), fleet.base.n_heads, self.prompts, task, str(fleet.device))
        self.gold = torch.as_tensor(task.gold(self.prompts), device=fleet.device)
        self.tokens = torch.as_tensor(np.asarray(task.space.tokens, dtype=np.int64), device=fleet.device)
        self.total: dict[float, Tensor] = {}  # the distribution function of the optimum at each β

    @staticmethod
    def of(fleet: Fleet) -> _Enumerated:
        """What a method has kept of a fleet."""
        pool = fleet.memory["pool"]
        assert isinstance(pool, _Enumerated)
        return pool


@register
class CrossEntropy(Method):
    """Maximum likelihood on samples of ``π_λ``; what it misses, the network or its optimiser misses."""

    name: ClassVar[str] = "cross_entropy"
    label: ClassVar[str] = "cross-entropy on the optimum"
    place: ClassVar[int] = 60

    def start(self, fleet: Fleet) -> None:
        """Enumerate the optimum of each run on the pool."""
        fleet.memory["pool"] = pool = _Enumerated(fleet)
        optimum = {beta: (pool.log_base + pool.gold / beta).softmax(-1) for beta in {one.knob for one in fleet.plans}}
        pool.total = {beta: prob.cumsum(-1) for beta, prob in optimum.items()}

    def step(self, fleet: Fleet) -> None:
        """Draw from the optimum, raise the likelihood."""
        import torch

        pool = _Enumerated.of(fleet)
        group = fleet.plans[0].settings.group
        rows = (fleet.uniform(RESPONSES // group) * len(pool.prompts)).long()
        uniform = fleet.uniform(RESPONSES // group, group).double()
        drawn = torch.stack(
            [
                torch.searchsorted(pool.total[plan.knob][row], u, right=True)
                for plan, row, u in zip(fleet.plans, rows, uniform, strict=True)
            ]
        ).clamp_(max=len(pool.tokens) - 1)
        prompts = torch.as_tensor(pool.prompts, device=fleet.device)[rows]
        log_prob = fleet.policy.token_log_prob(prompts, pool.tokens[drawn])
        fleet.update(-log_prob.sum(-1).mean((1, 2)))


@register
class ExactGradient(Method):
    """Ascend ``Σ_y π(y) (r(y) - β log(π(y)/p(y)))`` over all responses to a few prompts of the pool at a time."""

    name: ClassVar[str] = "exact_gradient"
    label: ClassVar[str] = "exact gradient"
    place: ClassVar[int] = 70
    cost: ClassVar[float] = 30.0

    def start(self, fleet: Fleet) -> None:
        """Enumerate the pool's law and gold."""
        fleet.memory["pool"] = _Enumerated(fleet)

    def step(self, fleet: Fleet) -> None:
        """Sum over every response; one run at a time, for memory."""
        import torch

        from alignlib.lm.exact import tree_of

        losses, pool = [], _Enumerated.of(fleet)
        rows = (fleet.uniform(_PER_STEP) * len(pool.prompts)).long()
        for run, plan in enumerate(fleet.plans):
            chosen = rows[run].cpu().numpy()
            log_prob = tree_of(fleet.policy, run, pool.prompts[chosen], pool.task)
            score = pool.gold[rows[run]] - plan.knob * (log_prob - pool.log_base[rows[run]])
            losses.append(-(log_prob.exp() * score).sum() / _PER_STEP)
        fleet.update(torch.stack(losses))
