"""Next-token laws: the one that tokens are drawn from, and along given responses log-probabilities and exact KL."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignlib._core.checks import FloatArray, require
from alignlib.models.batching import computing
from alignlib.models.loaded import Loaded

if TYPE_CHECKING:
    import torch

__all__ = ["SamplingLaw", "kl_of_laws", "token_kl", "token_log_prob"]

_AT_ONCE = 1 << 24  # logits in float64 at one time
_IN_ONE_PASS = {"cpu": 1 << 24, "cuda": 1 << 27}  # logits of one forward pass


@dataclass(frozen=True)
class SamplingLaw:
    """Next-token law ``q(v) ∝ p(v)^{1/T}`` on the tokens that top-k and top-p leave, as ``transformers`` orders them.

    With temperature 1 and nothing cut it is the model's law. Any other is another policy, and its log-probabilities
    are those of the tokens as they were drawn, never the model's own.

    Parameters
    ----------
    temperature : float
        T > 0.
    top_k : int, optional
        Most tokens that are left, the likeliest; all if None.
    top_p : float, optional
        The likeliest tokens of this total probability are left, in (0, 1]; all if None.

    Raises
    ------
    InputError
        If one is out of its range.

    Examples
    --------
    >>> SamplingLaw().is_model, SamplingLaw(temperature=0.7).describe()
    (True, 'temperature 0.7')
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        require(
            0.0 < self.temperature < float("inf"),
            f"temperature must be positive; got {self.temperature:g}. A policy without randomness has one response per "
            "prompt, and nothing to estimate.",
        )
        require(self.top_k is None or self.top_k >= 1, f"top_k must be at least 1; got {self.top_k}.")
        require(self.top_p is None or 0.0 < self.top_p <= 1.0, f"top_p must lie in (0, 1]; got {self.top_p}.")

    @property
    def is_model(self) -> bool:
        """Whether the law is the model's own."""
        return self.temperature == 1.0 and self.top_k is None and self.top_p in (None, 1.0)

    def describe(self) -> str:
        """Name the law in a few words."""
        parts = [] if self.temperature == 1.0 else [f"temperature {self.temperature:g}"]
        parts += [] if self.top_k is None else [f"top-k {self.top_k}"]
        parts += [] if self.top_p in (None, 1.0) else [f"top-p {self.top_p:g}"]
        return ", ".join(parts) or "the model's own law"

    def log_prob(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-probabilities in nats, in double precision; −∞ for tokens cut off.

        Parameters
        ----------
        logits : tensor (…, tokens)
            What the model gives.
        """
        import torch

        logits = logits.double() / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = torch.topk(logits, self.top_k, dim=-1).values[..., -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p is not None and self.top_p < 1.0:
            falling, order = torch.sort(logits, dim=-1, descending=True, stable=True)
            prob = torch.softmax(falling, dim=-1)
            enough = prob.cumsum(dim=-1) - prob >= self.top_p  # the tokens before it hold top_p already
            logits = logits.masked_fill(enough.gather(-1, order.argsort(dim=-1)), -torch.inf)
        return torch.log_softmax(logits, dim=-1)


def token_log_prob(
    model: Loaded, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], law: SamplingLaw | None = None
) -> list[FloatArray]:
    """Log-probability in nats of each token of each response, given the prompt and the tokens before it.

    Parameters
    ----------
    model : Loaded
        The model.
    prompts, responses : sequences of token sequences
        One prompt for each response.
    law : SamplingLaw, optional
        Law of the tokens; the model's own by default.
    """
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

    Parameters
    ----------
    policy, base : Loaded
        Models of one vocabulary.
    prompts, responses : sequences of token sequences
        One prompt for each response.
    law : SamplingLaw, optional
        The policy's law of the tokens; its model's own by default.

    Returns
    -------
    policy : list of array (tokens,)
        Log-probabilities under the policy's law, in nats, response by response.
    base : list of array (tokens,)
        The same under the base.
    kl : list of array (tokens,)
        ``KL(policy's next-token law ‖ base's)`` at each prefix, in nats: the terms of the Rao–Blackwell estimator.
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
    """KL(p ‖ q) = Σ p log(p/q) along the last axis, as Σ [q − p − p log(q/p)], whose terms are never negative.

    Parameters
    ----------
    log_p, log_q : tensor (…, tokens)
        Log-probabilities in nats, each row summing to one.
    """
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
        with computing(model):
            logits = model.model(input_ids=ids, attention_mask=mask, use_cache=False, **keep).logits
        for i, row in enumerate(range(begin, begin + len(part))):
            first = len(prompts[row]) - 1 - (start if some else 0)
            yield logits[i, first : first + len(responses[row])]
