"""The reward networks as the library's models: GPT-2 with a scalar read after the last token that is not padding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from transformers import AutoModelForSequenceClassification, GPT2ForSequenceClassification

from alignlib.lm.base_model import EnumerableConfig, config_like

__all__ = ["EnumerableRewardModel", "reward_model_like"]


class EnumerableRewardModel(GPT2ForSequenceClassification):  # type: ignore[misc]
    """GPT-2 with a scalar read after the last token that is not padding.

    Parameters
    ----------
    config : EnumerableConfig
        Sizes.
    """

    config_class = EnumerableConfig

    def __init__(self, config: EnumerableConfig) -> None:
        super().__init__(config)
        self.transformer.wte = torch.nn.Embedding(config.n_inputs, config.n_embd)
        self.post_init()


AutoModelForSequenceClassification.register(EnumerableConfig, EnumerableRewardModel, exist_ok=True)


def reward_model_like(shapes: Mapping[str, tuple[int, ...]], n_heads: int) -> EnumerableRewardModel:
    """Return a reward model whose weights have these names and shapes.

    Parameters
    ----------
    shapes : mapping
        Of each weight by name, as in a state dictionary.
    n_heads : int
        Attention heads.
    """
    config = config_like(shapes, n_heads)
    config.num_labels = 1
    model = EnumerableRewardModel(config)
    model.eval()
    return model
