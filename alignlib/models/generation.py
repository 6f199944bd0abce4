"""Drawing responses by inversion: one uniform number per token, of a stream that belongs to the response alone.

Response ``s`` to prompt ``x`` uses the stream ``(seed, x, s)``, whatever else is in its batch, so a killed job draws
the same responses when it goes on, and a larger ``n`` adds responses without changing the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.models.batching import computing
from alignlib.models.loaded import Loaded
from alignlib.models.next_token import SamplingLaw

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

__all__ = ["Drawn", "draw", "uniforms"]


@dataclass(frozen=True, eq=False)
class Drawn(SameFields):
    """One response.

    Attributes
    ----------
    tokens : list of int
        Its tokens, the last of them the end token unless it was cut.
    log_prob : array (tokens,)
        Log-probability of each in nats, under the law that was drawn from.
    truncated : bool
        Whether it was cut at the largest length.
    """

    tokens: list[int]
    log_prob: FloatArray
    truncated: bool


def uniforms(seed: int, prompt: int, sample: int, size: int) -> FloatArray:
    """Return the uniform numbers in [0, 1) that draw one response.

    Parameters
    ----------
    seed : int
        Seed of the job.
    prompt, sample : int
        Place of the prompt, and which of its responses is meant.
    size : int
        How many numbers; fewer are the first of more.

    Examples
    --------
    >>> np.array_equal(uniforms(0, 3, 5, 4), uniforms(0, 3, 5, 9)[:4])
    True
    """
    sequence = np.random.SeedSequence([seed, prompt, sample])
    return np.random.Generator(np.random.Philox(sequence)).random(size)


class _Inversion:
    """A logits processor that leaves one token possible: where the law's cumulative sum passes the uniform number."""

    def __init__(self, law: SamplingLaw, numbers: torch.Tensor) -> None:
        self.law = law
        self.numbers = numbers  # (rows, steps)
        self.log_prob: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        log_prob = self.law.log_prob(scores)
        total = log_prob.exp().cumsum(dim=-1)
        # Scaled by the sum as rounded, a number below 1 stays below it, so a token of probability 0 is never drawn.
        step = min(len(self.log_prob), self.numbers.shape[1] - 1)  # on a GPU the library may look one step too far
        number = self.numbers[:, step, None] * total[:, -1:]
        token = torch.searchsorted(total, number, right=True).clamp_(max=total.shape[-1] - 1)
        self.log_prob.append(log_prob.gather(-1, token).squeeze(-1))
        return torch.full_like(scores, -torch.inf).scatter_(-1, token, 0.0)


def draw(
    policy: Loaded, prompts: Sequence[Sequence[int]], numbers: FloatArray, law: SamplingLaw | None = None
) -> list[Drawn]:
    """Draw one response to each prompt.

    Parameters
    ----------
    policy : Loaded
        The model.
    prompts : sequence of token sequences
        Equal prompts that follow each other are read once.
    numbers : array (prompts, largest number of new tokens)
        Uniform numbers in [0, 1), which decide everything.
    law : SamplingLaw, optional
        Law of the tokens; the model's own by default.

    Raises
    ------
    InputError
        Where the model gives a token a probability that is not a number.
    """
    import torch
    from transformers import LogitsProcessorList

    width = max(len(prompt) for prompt in prompts)
    device = policy.device
    ids = torch.tensor([[policy.pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    inversion = _Inversion(law or SamplingLaw(), torch.tensor(numbers, dtype=torch.float64, device=device))
    with torch.inference_mode(), computing(policy):
        found = policy.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=numbers.shape[1],
            logits_processor=LogitsProcessorList([inversion]),
            **_shared_prefix(policy, prompts, ids, mask),
        )
    new = found[:, width:].cpu().tolist()
    log_prob = torch.stack(inversion.log_prob, dim=1).cpu().numpy()
    drawn = []
    for row, tokens in enumerate(new):
        end = next((i for i, token in enumerate(tokens) if token in policy.eos_ids), None)
        length = len(tokens) if end is None else end + 1
        if not np.isfinite(log_prob[row, :length]).all():
            raise InputError(
                f"model={policy.name} gave a response the log-probability {log_prob[row, :length].sum()}; its "
                "weights or their number format are at fault: try dtype='float32'."
            )
        drawn.append(Drawn(tokens[:length], log_prob[row, :length], end is None))
    return drawn


def _shared_prefix(
    policy: Loaded, prompts: Sequence[Sequence[int]], ids: torch.Tensor, mask: torch.Tensor
) -> dict[str, DynamicCache]:
    """Read each prompt once, but for its last token, and hand its keys and values to all responses to it."""
    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer

    first = [row for row, prompt in enumerate(prompts) if row == 0 or prompt != prompts[row - 1]]
    known = {"position_ids", "past_key_values", "attention_mask", "logits_to_keep"}
    if (
        ids.shape[1] < 2
        or 2 * len(first) > len(prompts)
        or not known <= set(signature(policy.model.forward).parameters)
    ):
        return {}
    cache = DynamicCache(config=policy.model.config)
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        return {}  # sliding windows and recurrent states are left to the library
    owner = np.searchsorted(first, np.arange(len(prompts)), side="right") - 1
    position = (mask[first].cumsum(dim=-1) - 1).clamp(min=0)
    policy.model(
        input_ids=ids[first, :-1],
        attention_mask=mask[first, :-1],
        position_ids=position[:, :-1],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cache.batch_select_indices(torch.tensor(owner, device=ids.device))
    return {"past_key_values": cache}
