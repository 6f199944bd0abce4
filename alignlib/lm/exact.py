"""Exact laws of the models of a `Stack`: over every response to each prompt, with gradients where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from alignlib._core.checks import IntArray, require
from alignlib.lm.base_model import EnumerableLM, new_model_like, reward_model_like
from alignlib.lm.prefix_tree import exact_score, tree_log_prob
from alignlib.lm.space import ResponseSpace
from alignlib.lm.stack import Stack
from alignlib.lm.tasks import Task

__all__ = ["PROMPTS_AT_ONCE", "log_law", "log_score", "tree_of"]

PROMPTS_AT_ONCE = {"cpu": 1, "cuda": 24}
"""Prompts whose laws are computed together: on a processor one prompt's activations fill the cache."""


class _Tree(torch.nn.Module):  # type: ignore[misc]  # the extra's classes are not seen by the check of types
    """The walk down the tree of prefixes as a module, so that its weights can be given from outside."""

    def __init__(self, model: EnumerableLM, space: ResponseSpace) -> None:
        super().__init__()
        self.model, self._space = model, space

    def forward(self, prompts: IntArray) -> Tensor:
        """Return the log-probability of every response, (P, size)."""
        return tree_log_prob(self.model, prompts, self._space)


@lru_cache(maxsize=8)
def _tree(shapes: tuple[tuple[str, tuple[int, ...]], ...], n_heads: int, space: ResponseSpace) -> _Tree:
    return _Tree(new_model_like(dict(shapes), n_heads), space)


def _law(weights: Mapping[str, Tensor], n_heads: int, prompts: IntArray, space: ResponseSpace) -> Tensor:
    shapes = tuple((name, tuple(part.shape)) for name, part in weights.items())
    tree = _tree(shapes, n_heads, space)
    given = {f"model.{name}": part for name, part in weights.items()}
    found: Tensor = torch.func.functional_call(tree, given, (prompts,))
    return found


def tree_of(stack: Stack, row: int, prompts: IntArray, task: Task) -> Tensor:
    """Return the log-law of one model of a stack, (P, size), float64, with gradients to the stack's weights.

    Parameters
    ----------
    stack : Stack
        The models.
    row : int
        Which of them.
    prompts : array of int (P, prompt length)
        Prompts.
    task : Task
        Gives the responses.
    """
    return _law({name: part[row] for name, part in stack.w.items()}, stack.n_heads, prompts, task.space)


def log_law(weights: Mapping[str, Tensor], n_heads: int, prompts: IntArray, task: Task, device: str = "cpu") -> Tensor:
    """Return ``log p(y|x)`` of every response to each prompt in nats, (P, size), float64, on the device.

    Parameters
    ----------
    weights : mapping of tensors
        A model's weights by name.
    n_heads : int
        Its attention heads.
    prompts : int array (P, prompt length)
        Prompts.
    task : Task
        Gives the responses.
    device : str
        Where to compute.

    Raises
    ------
    InputError
        If a probability is not a number: the weights have diverged.
    """
    there = {name: part.to(device) for name, part in weights.items()}
    at_once = PROMPTS_AT_ONCE[torch.device(device).type]
    rows = np.asarray(prompts)
    with torch.no_grad():
        parts = [
            _law(there, n_heads, rows[start : start + at_once], task.space) for start in range(0, len(rows), at_once)
        ]
    found = torch.cat(parts)
    require(
        not bool(found.isnan().any()),
        "the model's probabilities are not numbers for some prompt; its weights have diverged. Train at a lower rate.",
    )
    return found


def log_score(
    weights: Mapping[str, Tensor], n_heads: int, prompts: IntArray, task: Task, device: str = "cpu"
) -> Tensor:
    """Return a reward model's score of every response to each prompt, (P, size), float64, on the device.

    Parameters
    ----------
    weights : mapping of tensors
        A model's weights by name, with a scalar head.
    n_heads : int
        Its attention heads.
    prompts : array of int (P, prompt length)
        Prompts.
    task : Task
        Gives the responses.
    device : str
        Where to compute.
    """
    model = reward_model_like({name: tuple(part.shape) for name, part in weights.items()}, n_heads)
    model.load_state_dict(dict(weights))
    found = exact_score(model.to(device), prompts, task.space)
    return torch.as_tensor(found, device=device)
