"""Next-token laws along given responses, by one pass over prompt and response: log-probabilities and exact KL."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from alignlib._core.checks import FloatArray
from alignlib.models.models import Loaded
from alignlib.models.sampling_law import SamplingLaw

if TYPE_CHECKING:
    import torch

__all__ = ["kl_of_laws", "token_kl", "token_log_prob"]

_AT_ONCE = 1 << 24  # logits in float64 at one time
_IN_ONE_PASS = {"cpu": 1 << 24, "cuda": 1 << 27}  # logits of one forward pass


def token_log_prob(
    model: Loaded, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], law: SamplingLaw | None = None
) -> list[FloatArray]:
    """Log-probability in nats of each token of each response, given the prompt and the tokens before it."""
    import torch

    law = law or SamplingLaw()
    found = []
    with torch.inference_mode():
        for response, logits in zip(responses, _logits(model, prompts, responses), strict=True):
            chosen = torch.tensor(list(response), device=logits.device)[:, None]
            parts = [law.log_prob(part).gather(-1, at).squeeze(-1) for part, at in _slices(logits, chosen)]
            found.append(torch.cat(parts).cpu().numpy())
    return found


def token_kl(
    policy: Loaded,
    base: Loaded,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    law: SamplingLaw | None = None,
) -> tuple[list[FloatArray], list[FloatArray], list[FloatArray]]:
    """Compare two models along responses.

    Returns
    -------
    tuple
        Three lists of arrays of shape (tokens of the response,), in nats: log-probabilities under the policy's law,
        under the base, and KL(policy's next-token law ‖ base's) at each prefix: the terms of the Rao–Blackwell
        estimator.
    """
    import torch

    law = law or SamplingLaw()
    ours: list[FloatArray] = []
    theirs: list[FloatArray] = []
    kl: list[FloatArray] = []
    with torch.inference_mode():
        pairs = zip(_logits(policy, prompts, responses), _logits(base, prompts, responses), strict=True)
        for response, (logits, other) in zip(responses, pairs, strict=True):
            chosen = torch.tensor(list(response), device=logits.device)[:, None]
            parts = []
            for part, at, other_part in _slices(logits, chosen, other):
                log_p, log_q = law.log_prob(part), torch.log_softmax(other_part.double(), dim=-1)
                parts.append((log_p.gather(-1, at)[:, 0], log_q.gather(-1, at)[:, 0], kl_of_laws(log_p, log_q)))
            for result, pieces in zip((ours, theirs, kl), zip(*parts, strict=True), strict=True):
                result.append(torch.cat(pieces).cpu().numpy())
    return ours, theirs, kl


def kl_of_laws(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p ‖ q) = Σ p log(p/q) along the last axis, as Σ [q − p − p log(q/p)], whose terms are never negative."""
    import torch

    p, ratio = log_p.exp(), log_q - log_p
    near = p * (torch.expm1(ratio.clamp(max=1.0)) - ratio)  # keeps a KL of 1e-12 to 4 digits
    far = log_q.exp() - p - p * ratio
    inside = torch.where(ratio < 1.0, near, far)
    return torch.where(p > 0.0, inside, log_q.exp()).sum(dim=-1)


def _slices(*aligned: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Cut tensors of shape (positions, …) into runs of positions that fit in memory as float64."""
    step = max(1, _AT_ONCE // aligned[0].shape[-1])
    return zip(*(tensor.split(step) for tensor in aligned), strict=True)


def _logits(
    model: Loaded, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]
) -> Iterator[torch.Tensor]:
    """Yield for each response the logits of shape (its tokens, vocabulary) that its tokens were drawn from.

    Sequences are padded on the right, where a causal model cannot see it, so positions need no care.
    """
    import torch

    rows = [[*prompt, *response] for prompt, response in zip(prompts, responses, strict=True)]
    width = max(len(row) for row in rows) - 1  # the last token predicts nothing
    start = min(len(prompt) for prompt in prompts) - 1
    some = "logits_to_keep" in inspect.signature(model.model.forward).parameters
    keep = {"logits_to_keep": torch.arange(start, width, device=model.device)} if some else {}
    largest = _IN_ONE_PASS.get(model.device.type, _AT_ONCE)
    at_once = max(1, largest // ((width - (start if some else 0)) * model.n_outputs))
    for begin in range(0, len(rows), at_once):
        part = rows[begin : begin + at_once]
        ids = torch.tensor([(row + [model.pad_id] * width)[:width] for row in part], device=model.device)
        mask = torch.tensor(
            [[1] * min(len(row), width) + [0] * (width - len(row)) for row in part], device=model.device
        )
        logits = model.model(input_ids=ids, attention_mask=mask, use_cache=False, **keep).logits
        for i, row in enumerate(range(begin, begin + len(part))):
            first = len(prompts[row]) - 1 - (start if some else 0)
            yield logits[i, first : first + len(responses[row])]
