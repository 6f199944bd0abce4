"""The exact law of a model, prompt by prompt, so that the activations of one fill the cache."""

from __future__ import annotations

import numpy as np
import torch
from transformers import GPT2PreTrainedModel

from alignlib._core.checks import FloatArray, IntArray
from alignlib.lm.prefix_tree import tree_log_prob
from alignlib.lm.space import ResponseSpace


def exact_log_prob(model: GPT2PreTrainedModel, prompts: IntArray, space: ResponseSpace) -> FloatArray:
    with torch.no_grad():
        return np.concatenate([tree_log_prob(model, prompt[None], space).numpy(force=True) for prompt in prompts])
