"""Sampling responses from a small language model, and the log-probabilities of given ones, with gradients."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from alignlib._core.checks import IntArray
from alignlib.lm.space import ResponseSpace

if TYPE_CHECKING:
    from alignlib.lm.base_model import EnumerableLM

__all__ = [
    "PrefixValue",
    "ResponseLogits",
    "as_tokens",
    "response_mask",
    "sample",
    "sequence_log_prob",
    "token_log_prob",
    "token_logits",
]


def sample(model: EnumerableLM, prompts: Tensor, group: int, length: int, generator: torch.Generator) -> Tensor:
    """Draw ``group`` responses to each prompt; int tensor (prompts · group, length), prompt by prompt.

    A response ends with token 0 (end and padding alike) or at the length limit.

    Parameters
    ----------
    model : EnumerableLM
        The policy.
    prompts : int tensor (P, prompt length)
        Prompts of one length.
    group : int
        Responses to each.
    length : int
        Most tokens of a response.
    generator : torch.Generator
        Source of randomness.
    """
    with torch.no_grad():
        first = model(input_ids=prompts, past_key_values=DynamicCache(config=model.config), use_cache=True)
        cache = first.past_key_values
        cache.batch_repeat_interleave(group)
        logits = first.logits[:, -1].repeat_interleave(group, dim=0)
        tokens = torch.zeros((len(logits), length), dtype=torch.long)
        going = torch.ones(len(logits), dtype=torch.bool)
        for t in range(length):
            drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
            tokens[:, t] = drawn * going
            going &= drawn != 0
            if t + 1 == length or not going.any():
                break
            step = model(input_ids=tokens[:, t : t + 1], past_key_values=cache, use_cache=True)
            logits = step.logits[:, -1]
    return tokens


def response_mask(tokens: Tensor) -> Tensor:
    """Return where a token was chosen: every token up to and with the first 0, float (batch, length)."""
    before = torch.ones_like(tokens[:, :1])
    return torch.cat([before, (tokens[:, :-1] != 0).long().cumprod(dim=1)], dim=1).float()


def token_logits(model: EnumerableLM, prompts: Tensor, tokens: Tensor) -> Tensor:
    """Return the logits at each response position, (batch, length, outputs); prompts (batch, prompt length).

    Parameters
    ----------
    model : EnumerableLM
        The policy.
    prompts, tokens : int tensors (batch, prompt length), (batch, length)
        A response to each prompt, padded with 0.
    """
    inputs = torch.cat([prompts, tokens[:, :-1]], dim=1)
    return model(input_ids=inputs, use_cache=False).logits[:, prompts.shape[1] - 1 :]


def token_log_prob(model: EnumerableLM, prompts: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-probability of each token, 0 past the end of a response; (batch, length), nats.

    Parameters
    ----------
    model, prompts, tokens
        As in `token_logits`.
    """
    logits = token_logits(model, prompts, tokens)
    chosen = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return chosen * response_mask(tokens)


def sequence_log_prob(model: EnumerableLM, prompts: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-probability of each response, its end included; (batch,), nats.

    Parameters
    ----------
    model, prompts, tokens
        As in `token_logits`.
    """
    return token_log_prob(model, prompts, tokens).sum(dim=1)


def as_tokens(space: ResponseSpace, index: IntArray) -> Tensor:
    """Return the responses of these indices as a long tensor (…, length)."""
    return torch.from_numpy(np.asarray(space.tokens)[index].astype(np.int64))


class ResponseLogits(torch.nn.Module):  # type: ignore[misc]
    """Logits at each response position."""

    def __init__(self, model: EnumerableLM, prompt_length: int) -> None:
        super().__init__()
        self.model, self._first = model, prompt_length - 1

    def forward(self, inputs: Tensor) -> Tensor:
        """Return them for prompts followed by responses, the last token left out, (batch, tokens)."""
        return self.model(input_ids=inputs, use_cache=False).logits[:, self._first :]


class PrefixValue(torch.nn.Module):  # type: ignore[misc]
    """Value of the state before each response token, (batch, length, 1)."""

    def __init__(self, base: EnumerableLM, prompt_length: int) -> None:
        super().__init__()
        self.body, self._first = copy.deepcopy(base.transformer), prompt_length - 1
        self.head = torch.nn.Linear(base.config.n_embd, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return them for prompts followed by responses, the last token left out, (batch, tokens)."""
        return self.head(self.body(input_ids=inputs, use_cache=False).last_hidden_state[:, self._first :])
