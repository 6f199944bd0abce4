"""What training pays for responses: gold looked up pair by pair, reward models, any function of texts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from alignlib._core.checks import IntArray
from alignlib.lm.stack import Stack
from alignlib.lm.tasks import Task

__all__ = ["GoldPayment", "Payment", "ProxyPayment", "TextPayment", "index_of", "scores_of_pairs"]

_ROWS_AT_ONCE = 4096


class Payment(Protocol):
    """Pays for responses, pair by pair: tables of every response to a fresh prompt would cost more than training."""

    def __call__(self, prompts: Tensor, known: Tensor, tokens: Tensor) -> Tensor:
        """Return the reward of responses, (R, P, G).

        Parameters
        ----------
        prompts, known, tokens : tensors (R, P, prompt length), (R, P, k), (R, P, G, length)
            Prompts, what gold knows of them (`Grammar.prompt_features`), and responses padded with 0.
        """

    def to(self, device: torch.device) -> Payment:
        """Return the same on a device.

        Parameters
        ----------
        device : torch.device
            Where to compute.
        """


def index_of(tokens: Tensor, starts: Tensor, n_content: int) -> Tensor:
    """Return the numbers of responses (…, length) in a space, as `ResponseSpace.index_of` does.

    Parameters
    ----------
    tokens : int tensor (…, length)
        Responses padded with 0.
    starts : int tensor (length + 2,)
        `ResponseSpace.starts`, where the tokens are.
    n_content : int
        Content tokens.
    """
    going = (tokens != 0).long().cumprod(-1)
    rank = torch.zeros_like(tokens[..., 0])
    for place in range(tokens.shape[-1]):
        rank = torch.where(going[..., place] > 0, rank * n_content + tokens[..., place] - 1, rank)
    return starts[going.sum(-1)] + rank


def scores_of_pairs(models: Stack, prompts: Tensor, responses: Tensor) -> Tensor:
    """Return each model's scores of its responses to its prompts.

    Parameters
    ----------
    models : Stack
        M reward models.
    prompts : tensor (M, N, length)
        Tokens of the prompts.
    responses : tensor (M, N, G, T)
        Tokens of the responses, padded with 0.

    Returns
    -------
    tensor (M, N, G)
        In the unit of each model.
    """
    last, _ = models.prompts(prompts)
    words = (responses != 0).long().cumprod(-1)
    states = models.after(prompts, responses, words.float())
    states = torch.cat([last[:, :, None, None].expand(*states.shape[:3], 1, -1), states], dim=3)
    length = words.sum(-1)
    end = states.gather(3, length[..., None, None].expand(*states.shape[:3], 1, states.shape[-1]))
    return models.logits(end)[..., 0, 0]


class GoldPayment:
    """The gold rule of a task.

    Parameters
    ----------
    task : Task
        Whose rule it is.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._features = torch.as_tensor(task.grammar.response_features(task.space).astype(np.float32))
        self._starts = torch.tensor(task.space.starts)

    def __call__(self, prompts: Tensor, known: Tensor, tokens: Tensor) -> Tensor:
        """See `Payment`."""
        responses = self._features[index_of(tokens, self._starts, self._task.space.n_content)]
        paid: Tensor = self._task.grammar.pay(known[:, :, None], responses)
        return paid

    def to(self, device: torch.device) -> GoldPayment:
        """See `Payment`.

        Parameters
        ----------
        device : torch.device
            Where to compute.
        """
        there = copy.copy(self)
        there._features, there._starts = self._features.to(device), self._starts.to(device)
        return there


class ProxyPayment:
    """The mean of reward models, rounded to multiples of ``lattice``; a constant on each prompt means nothing.

    Parameters
    ----------
    members : Stack
        The reward models.
    lattice : float
        The step to which scores are rounded.
    """

    def __init__(self, members: Stack, lattice: float) -> None:
        self._members, self._lattice = members, lattice

    def __call__(self, prompts: Tensor, known: Tensor, tokens: Tensor) -> Tensor:
        """See `Payment`."""
        runs, rows, group, length = tokens.shape
        flat_prompts, flat = prompts.reshape(-1, prompts.shape[-1]), tokens.reshape(-1, group, length)
        parts = [
            self._score(flat_prompts[start : start + _ROWS_AT_ONCE], flat[start : start + _ROWS_AT_ONCE])
            for start in range(0, len(flat), _ROWS_AT_ONCE)
        ]
        return torch.cat(parts).view(runs, rows, group)

    def _score(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Mean score over members of rows of prompts (N, length) and responses (N, G, T); (N, G)."""
        n = len(self._members)
        score = scores_of_pairs(self._members, prompts.expand(n, *prompts.shape), tokens.expand(n, *tokens.shape))
        return (score.mean(0) / self._lattice).round() * self._lattice

    def to(self, device: torch.device) -> ProxyPayment:
        """See `Payment`.

        Parameters
        ----------
        device : torch.device
            Where to compute.
        """
        return ProxyPayment(self._members.to(device), self._lattice)


class TextPayment:
    """A function of texts as a payment.

    Parameters
    ----------
    reward : callable
        From texts to numbers.
    write : callable
        From rows of tokens to texts.
    """

    def __init__(self, reward: Callable[[Sequence[str]], list[float]], write: Callable[[IntArray], list[str]]) -> None:
        self._reward, self._write = reward, write

    def __call__(self, prompts: Tensor, known: Tensor, tokens: Tensor) -> Tensor:
        """See `Payment`."""
        texts = self._write(tokens.flatten(0, -2).cpu().numpy())
        paid = torch.tensor(self._reward(texts), dtype=torch.float32, device=tokens.device)
        return paid.view(tokens.shape[:-1])

    def to(self, device: torch.device) -> TextPayment:
        """Return itself: texts are read on the processor.

        Parameters
        ----------
        device : torch.device
            Where policies are trained.
        """
        return self
