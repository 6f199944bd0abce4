"""The exact law of a small GPT-2 over every response, by walking the tree of prefixes once.

Responses with a common prefix share its keys and values, and at full length no network is needed: the law of the last
token is known at its parent. So a space of 66,430 responses costs 7,381 positions per prompt instead of 332,150.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib.lm.space import ResponseSpace

if TYPE_CHECKING:
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block, GPT2PreTrainedModel

__all__ = ["exact_score", "tree_log_prob"]

_NODES_AT_ONCE = 8192  # above it the activations fall out of the cache
_KeyValue: TypeAlias = tuple[torch.Tensor, torch.Tensor]


def tree_log_prob(model: GPT2PreTrainedModel, prompts: IntArray, space: ResponseSpace) -> torch.Tensor:
    """Return ``log p(y|x)`` of every response to each prompt, in nats: (P, size), float64, with gradients.

    All prompts at once: for more than a few of them memory grows to gigabytes.

    Parameters
    ----------
    model : GPT-2 with a language-model head
        With ``n_content + 1`` outputs; evaluated as in ``model.eval()``, in the precision of its weights.
    prompts : array of int (P, prompt_length)
        Prompts of one length, without padding.
    space : ResponseSpace
        The responses.

    Raises
    ------
    InputError
        If the model is not such a GPT-2, or a prompt does not fit it.
    """
    weights = _checked(model, prompts, space, "lm_head", space.n_outputs)
    log_prefix = torch.zeros(len(prompts), 1, dtype=torch.float64, device=weights.lm_head.weight.device)
    parts = []
    # At full length a response has ended by itself, so its last prefix is one token shorter.
    for hidden in _Walk(weights, _as_prompts(prompts), space).hidden(space.length):
        log_next = weights.lm_head(hidden).double().log_softmax(-1)
        # The probability of stopping here, then of going on with each content token.
        parts.append(log_prefix + log_next[..., 0])
        log_prefix = (log_prefix[..., None] + log_next[..., 1:]).flatten(1)
    return torch.cat([*parts, log_prefix], dim=1)


def exact_score(model: GPT2PreTrainedModel, prompts: IntArray, space: ResponseSpace) -> FloatArray:
    """Return a reward network's score of every response to each prompt, read after the last content token.

    Parameters
    ----------
    model : GPT-2 with a scalar head
        ``transformer`` and a linear ``score`` of one output.
    prompts : array of int (P, prompt_length)
        Prompts of one length, without padding.
    space : ResponseSpace
        The responses.

    Returns
    -------
    array (P, size)

    Raises
    ------
    InputError
        If the model is not such a GPT-2, a prompt does not fit it, or a score is not a number.
    """
    rows = _as_prompts(prompts)
    weights = _checked(model, rows, space, "score", 1)
    out = np.empty((len(rows), space.size))
    with torch.no_grad():
        for row in range(len(rows)):
            levels = _Walk(weights, rows[row : row + 1], space).hidden(space.length + 1)
            out[row] = torch.cat([weights.score(hidden)[0, :, 0] for hidden in levels]).numpy(force=True)
    require(
        not np.isnan(out).any(),
        "the model's scores are not numbers for some prompt; its weights have diverged; "
        "take an earlier checkpoint, or a smaller learning rate.",
    )
    return out


def _as_prompts(prompts: IntArray) -> IntArray:
    rows = np.asarray(prompts)
    require(
        rows.ndim == 2 and rows.size > 0 and np.issubdtype(rows.dtype, np.integer),
        f"prompts must be whole numbers of shape (P, prompt_length); got {rows.dtype} of shape {rows.shape}.",
    )
    return rows.astype(np.int64)


def _checked(
    model: GPT2PreTrainedModel, prompts: IntArray, space: ResponseSpace, head: str, n_outputs: int
) -> GPT2PreTrainedModel:
    require(
        hasattr(getattr(model, "config", None), "scale_attn_weights") and hasattr(model, head),
        f"model must be a GPT-2 with a head named {head}; got {type(model).__name__}.",
    )
    config = model.config
    plain = (
        config.activation_function == "gelu_new"
        and config.scale_attn_weights
        and not config.scale_attn_by_inverse_layer_idx
        and not config.add_cross_attention
    )
    require(plain, "model must be a plain GPT-2: gelu_new, scaled attention, no scaling by layer, no cross attention.")
    found = getattr(model, head).weight.shape[0]
    require(
        found == n_outputs, f"model must have {n_outputs} outputs for {space.n_content} content tokens; got {found}."
    )
    rows = _as_prompts(prompts)
    n_inputs, n_positions = model.transformer.wte.weight.shape[0], model.transformer.wpe.weight.shape[0]
    require(
        rows.min() >= 0 and rows.max() < n_inputs,
        f"prompts must hold tokens in [0, {n_inputs - 1}]; got {rows.min()} to {rows.max()}.",
    )
    needed = rows.shape[1] + space.length
    require(
        needed <= n_positions,
        f"prompts of {rows.shape[1]} tokens and responses of {space.length} need {needed} positions; the model has "
        f"{n_positions}.",
    )
    return model


class _Walk:
    """GPT-2's forward pass down the tree, level by level; keys and values of all levels above are kept."""

    def __init__(self, model: GPT2PreTrainedModel, prompts: IntArray, space: ResponseSpace) -> None:
        self.gpt = model.transformer
        self.device = self.gpt.wte.weight.device
        self.n_heads = model.config.n_head
        self.prompts = torch.as_tensor(prompts, device=self.device)
        self.n_content = space.n_content
        # Keys and values of each layer: the prompt's, then those of each level's nodes.
        self.kept: list[list[_KeyValue]] = [[] for _ in self.gpt.h]

    def hidden(self, n_levels: int) -> Iterator[torch.Tensor]:
        """Yield the last hidden states after the prompt, then of each level's nodes: (P, n_content ** depth, width)."""
        yield self._prompt()
        for depth in range(1, n_levels):
            yield self._level(depth, keep=depth + 1 < n_levels)

    def _prompt(self) -> torch.Tensor:
        n = self.prompts.shape[1]
        hidden = self.gpt.wte(self.prompts) + self.gpt.wpe.weight[:n]
        later = torch.full((n, n), -torch.inf, dtype=hidden.dtype, device=self.device).triu(1)
        for layer, block in enumerate(self.gpt.h):
            query, key, value = self._heads(block, hidden)
            self.kept[layer].append((key, value))
            score = torch.einsum("pqhc,pkhc->phqk", query, key) + later
            seen = torch.einsum("phqk,pkhc->pqhc", score.softmax(-1), value)
            hidden = _finish(block, hidden, seen)
        return self.gpt.ln_f(hidden[:, -1:])

    def _level(self, depth: int, *, keep: bool) -> torch.Tensor:
        """Go to all nodes of a level, whole subtrees at a time: so many that the activations stay small."""
        at_once = max(self.n_content**k for k in range(depth + 1) if self.n_content**k <= _NODES_AT_ONCE)
        parts = [self._nodes(depth, start, start + at_once, keep) for start in range(0, self.n_content**depth, at_once)]
        if keep:
            for layer, kept in enumerate(self.kept):
                new = [part[1][layer] for part in parts]
                kept.append((torch.cat([kv[0] for kv in new], dim=1), torch.cat([kv[1] for kv in new], dim=1)))
        return torch.cat([part[0] for part in parts], dim=1)

    def _nodes(self, depth: int, start: int, stop: int, keep: bool) -> tuple[torch.Tensor, list[_KeyValue]]:
        # The first layer knows a node by its token alone, and siblings go through all of them, family by family.
        n_tokens = min(self.n_content, stop - start)
        token = 1 + torch.arange(start, start + n_tokens, device=self.device) % self.n_content
        position = self.prompts.shape[1] + depth - 1
        siblings = (self.gpt.wte(token) + self.gpt.wpe.weight[position])[None]

        def everywhere(part: torch.Tensor) -> torch.Tensor:
            times = (len(self.prompts), (stop - start) // n_tokens, *[1] * (part.ndim - 2))
            return part.repeat(times)

        hidden = everywhere(siblings)
        new = []
        for layer, block in enumerate(self.gpt.h):
            known = self._heads(block, hidden if layer else siblings)
            query, key, value = known if layer else map(everywhere, known)
            above = [self.kept[layer][0]]
            for level, (keys, values) in enumerate(self.kept[layer][1:], start=1):
                first = start // self.n_content ** (depth - level)
                last = (stop - 1) // self.n_content ** (depth - level) + 1
                above.append((keys[:, first:last], values[:, first:last]))
            hidden = _finish(block, hidden, _attend(query, [*above, (key, value)]))
            if keep:
                new.append((key, value))
        return self.gpt.ln_f(hidden), new

    def _heads(self, block: GPT2Block, hidden: torch.Tensor) -> list[torch.Tensor]:
        """Query (scaled), key and value, each of shape (P, nodes, heads, channels)."""
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)) for part in block.attn.c_attn(block.ln_1(hidden)).chunk(3, dim=-1)
        )
        return [query * query.shape[-1] ** -0.5, key, value]


def _attend(query: torch.Tensor, above: list[_KeyValue]) -> torch.Tensor:
    """Attend to the prompt, to each ancestor and to oneself."""
    # What is attended to comes first: a softmax over a short last dimension is several times slower.
    scores = [torch.einsum("pnhc,pkhc->kpnh", query, above[0][0])]
    for key, _ in above[1:]:
        # The descendants of a node stand side by side, so its key is shared by reshaping, not by copying.
        family = query.unflatten(1, (key.shape[1], -1))
        scores.append((family * key[:, :, None]).sum(-1).flatten(1, 2)[None])
    weight = torch.cat(scores).softmax(0)
    n_prompt = above[0][0].shape[1]
    seen = torch.einsum("kpnh,pkhc->pnhc", weight[:n_prompt], above[0][1])
    for share, (_, value) in zip(weight[n_prompt:], above[1:], strict=True):
        family = share[..., None].unflatten(1, (value.shape[1], -1))
        seen = seen + (family * value[:, :, None]).flatten(1, 2)
    return seen


def _finish(block: GPT2Block, hidden: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    hidden = hidden + block.attn.c_proj(seen.flatten(-2))
    # gelu_new by its fused kernel
    inner = torch.nn.functional.gelu(block.mlp.c_fc(block.ln_2(hidden)), approximate="tanh")
    return hidden + block.mlp.c_proj(inner)
