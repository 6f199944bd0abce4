"""What training pays for texts: any function of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from alignlib._core.checks import IntArray

__all__ = ["TextPayment"]


class TextPayment:
    """A function of texts as a payment of `alignlib.lm.fleet`.

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
        """See `alignlib.lm.payment.Payment`."""
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
