"""The law that tokens are drawn from: the model's own, or one made from it by temperature, top-k and top-p."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignlib._core.checks import require

if TYPE_CHECKING:
    import torch

__all__ = ["SamplingLaw"]


@dataclass(frozen=True)
class SamplingLaw:
    """Next-token law q(v) ∝ p(v)^{1/T} on the tokens that top-k and top-p leave, as ``transformers`` orders them.

    With temperature 1 and nothing cut it is the model's law. Any other is another policy, and its log-probabilities
    are those of the tokens as they were drawn, never the model's own.

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
        """Log-probabilities in nats, float64, of shape (..., tokens) like ``logits``; −∞ for tokens cut off."""
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
