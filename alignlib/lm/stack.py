"""Many small GPT-2 side by side: one more dimension in front, so that a run of training is a row.

Models of a hundred thousand weights are so small that a computer spends its time starting operations, not doing them.
A `Stack` holds the weights of R models as arrays (R, …), and every operation serves all of them: R runs of training
cost little more time than one on an accelerator, and are no dearer than R single ones on a processor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from alignlib._core.checks import require

if TYPE_CHECKING:
    from transformers.models.gpt2.modeling_gpt2 import GPT2PreTrainedModel

__all__ = ["KeysValues", "Packing", "Stack", "response_mask"]

_WORTH = 0.85  # gathering and spreading cost more than they save where fewer places than this are empty
KeysValues: TypeAlias = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, (R, P, heads, tokens, channels)."""
_EPS = 1e-5
_TOGETHER = 96  # tokens of all responses to a prompt up to which attention reads them as one row
_LOOK = 4  # tokens after which sampling looks for responses that have ended
_NOT_WEIGHTS = (".attn.bias", ".attn.masked_bias")


class Packing:
    """Which of N places of each of R runs are wanted, as rows of one width.

    A run that wants fewer places than another gets some more, so that rows are equally long; what is computed for them
    is never read.

    Parameters
    ----------
    wanted : tensor (R, N)
        1 where a place is wanted, 0 elsewhere.
    """

    def __init__(self, wanted: Tensor) -> None:
        self._shape = wanted.shape
        most = max(1, int(wanted.sum(1).max()))
        self.place = torch.argsort(wanted, dim=1, descending=True, stable=True)[:, :most]
        """Which places the rows hold, (R, M), each once."""
        first = torch.arange(len(wanted), device=wanted.device) * wanted.shape[1]
        self._flat = (self.place + first[:, None]).flatten()

    @classmethod
    def worth_it(cls, wanted: Tensor) -> Packing | None:
        """Return a packing, or None where nearly every place of some run is wanted.

        Parameters
        ----------
        wanted : tensor (R, N)
            1 where a place is wanted, 0 elsewhere.
        """
        return cls(wanted) if float(wanted.sum(1).max()) < _WORTH * wanted.shape[1] else None

    def pack(self, every: Tensor) -> Tensor:
        """Return the wanted places.

        Parameters
        ----------
        every : tensor (R, N, …)
            All places.

        Returns
        -------
        tensor (R, M, …)
            M is the largest number that a run wants.
        """
        rows = every.flatten(0, 1).index_select(0, self._flat)
        return rows.view(*self.place.shape, *every.shape[2:])

    def spread(self, rows: Tensor) -> Tensor:
        """Put rows back in their places, with 0 in the others.

        Parameters
        ----------
        rows : tensor (R, M, …)
            As `pack` gives them.

        Returns
        -------
        tensor (R, N, …)
            All places.
        """
        every = rows.new_zeros(self._shape.numel(), *rows.shape[2:])
        return every.index_copy(0, self._flat, rows.flatten(0, 1)).view(*self._shape, *rows.shape[2:])


def response_mask(tokens: Tensor) -> Tensor:
    """Return where a token was chosen, as 1 and 0: every token up to and with the first 0.

    Parameters
    ----------
    tokens : tensor (…, T)
        Responses, padded with 0.
    """
    before = torch.ones_like(tokens[..., :1])
    return torch.cat([before, (tokens[..., :-1] != 0).long().cumprod(dim=-1)], dim=-1).float()


def _same(every: Tensor) -> Tensor:
    return every


class Stack:
    """R models of GPT-2's form with their own weights, read from state dictionaries of the library's classes.

    Parameters
    ----------
    weights : mapping of tensors (R, …)
        By the names of the library's state dictionary, such as ``transformer.h.0.attn.c_attn.weight``.
    n_heads : int
        Attention heads.
    head : str
        Name of the last layer, ``"lm_head"`` or ``"score"``.
    trainable : bool
        Whether gradients flow to the weights; `flat` and `grad` then hold weights and gradients, (R, weights).

    Raises
    ------
    InputError
        If the weights lack those of the last layer.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], n_heads: int, head: str = "lm_head", *, trainable: bool = False
    ) -> None:
        names = [name for name in weights if not name.endswith(_NOT_WEIGHTS)]
        require(f"{head}.weight" in names, f"weights must hold {head}.weight, the last layer's; they do not.")
        self.n_heads, self.head = n_heads, head
        self.shapes = {name: tuple(weights[name].shape[1:]) for name in names}
        flat = torch.cat([weights[name].detach().float().flatten(1) for name in names], dim=1).contiguous()
        self._attach(flat, trainable)

    def _attach(self, flat: Tensor, trainable: bool) -> None:
        """Cut the weights out of one block of memory: an optimiser then takes a step on all of them at once."""
        self.flat, self.trainable = flat, trainable
        self.grad = torch.zeros_like(flat) if trainable else None
        self.w: dict[str, Tensor] = {}
        start = 0
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            part = flat[:, start : start + size].view(len(flat), *shape)
            if trainable:
                part = part.detach().requires_grad_(True)
                assert self.grad is not None
                part.grad = self.grad[:, start : start + size].view(len(flat), *shape)
            self.w[name] = part
            start += size
        self.n_layers = 1 + max(int(name.split(".")[2]) for name in self.shapes if name.startswith("transformer.h."))

    @classmethod
    def of(
        cls, model: GPT2PreTrainedModel, copies: int = 1, head: str = "lm_head", *, trainable: bool = False
    ) -> Stack:
        """Return ``copies`` of one model, or a stack of several if it is given as a list.

        Parameters
        ----------
        model : GPT2PreTrainedModel, or list of them
            The model.
        copies : int
            How many of one; of a list each comes once.
        head : str
            Name of the last layer.
        trainable : bool
            Whether gradients flow to the weights.
        """
        models = model if isinstance(model, list) else [model] * copies
        states = [one.state_dict() for one in models]
        weights = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        return cls(weights, models[0].config.n_head, head, trainable=trainable)

    def __len__(self) -> int:
        return len(self.flat)

    def to(self, device: torch.device | str) -> Stack:
        """Return the same models on a device.

        Parameters
        ----------
        device : torch.device or str
            Where.
        """
        return self._with(self.flat.to(device, copy=True), self.trainable)

    def copies(self, n: int, *, trainable: bool = False) -> Stack:
        """Return n copies of each model, one after the other.

        Parameters
        ----------
        n : int
            Of each model.
        trainable : bool
            Whether gradients flow to the weights.
        """
        return self._with(self.flat.detach().repeat_interleave(n, dim=0), trainable)

    def rows(self, keep: Tensor, *, trainable: bool = False) -> Stack:
        """Return the models of these rows, with weights of their own.

        Parameters
        ----------
        keep : tensor
            Which models.
        trainable : bool
            Whether gradients flow to the weights.
        """
        return self._with(self.flat.detach()[keep].clone(), trainable)

    def _with(self, flat: Tensor, trainable: bool) -> Stack:
        new = object.__new__(Stack)
        new.n_heads, new.head, new.shapes = self.n_heads, self.head, self.shapes
        new._attach(flat, trainable)
        return new

    def state(self, row: int) -> dict[str, Tensor]:
        """Return one model's weights by name, on the processor, as the library's state dictionary has them.

        Parameters
        ----------
        row : int
            Which model.
        """
        return {name: part[row].detach().cpu().clone() for name, part in self.w.items()}

    # -- forward ------------------------------------------------------------------------------------------------------

    def prompts(self, prompts: Tensor) -> tuple[Tensor, KeysValues]:
        """Read prompts.

        Parameters
        ----------
        prompts : tensor (R, P, tokens)
            Prompts of one length.

        Returns
        -------
        hidden : tensor (R, P, width)
            The last hidden state.
        kept : KeysValues
            Keys and values of every layer.
        """
        r, p, n = prompts.shape
        hidden = self._embed(prompts) + self.w["transformer.wpe.weight"][:, None, :n]
        hidden = hidden.flatten(1, 2)
        later = torch.full((n, n), -torch.inf, device=hidden.device).triu(1)
        kept: KeysValues = []
        for layer in range(self.n_layers):
            query, key, value = (self._heads(part, r, p, n) for part in self._qkv(layer, hidden))
            kept.append((key, value))
            score = query @ key.transpose(-1, -2) + later
            seen = (score.softmax(-1) @ value).transpose(2, 3).reshape(r, p * n, -1)
            hidden = self._finish(layer, hidden, seen)
        last = hidden.view(r, p, n, -1)[:, :, -1]
        return self._norm(last, "transformer.ln_f"), kept

    def hidden(self, prompts: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the states from which each response token is chosen, (R, P, G, length, width).

        Parameters
        ----------
        prompts : int tensor (R, P, prompt length)
            One row of prompts for each model.
        tokens : int tensor (R, P, G, length)
            G responses to each, padded with 0. The prompt is read once for all of them.
        mask : tensor (R, P, G, length), optional
            1 up to where states are wanted, see `response_mask`; those of other places then are of no meaning.
        """
        last, kept = self.prompts(prompts)
        r, p, g, n = tokens.shape
        first = last[:, :, None, None].expand(r, p, g, 1, -1)
        if n == 1:
            return first
        return torch.cat([first, self._responses(kept, tokens[..., :-1], None if mask is None else mask[..., 1:])], 3)

    def after(self, prompts: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the states after each response token: where a reward model reads.

        Parameters
        ----------
        prompts : tensor (R, P, prompt length)
            Tokens of the prompts.
        tokens : tensor (R, P, G, length)
            Tokens of the responses, padded with 0.
        mask : tensor (R, P, G, length), optional
            Where a state is wanted; everywhere if None.

        Returns
        -------
        tensor (R, P, G, length, width)
            In single precision.
        """
        _, kept = self.prompts(prompts)
        return self._responses(kept, tokens, mask)

    def _responses(self, kept: KeysValues, tokens: Tensor, mask: Tensor | None) -> Tensor:
        r, p, g, n = tokens.shape
        n_prompt = kept[0][0].shape[3]
        packing = None if mask is None else Packing.worth_it(mask.reshape(r, p * g * n))
        pack, spread = (_same, _same) if packing is None else (packing.pack, packing.spread)
        position = torch.arange(n, device=tokens.device).expand(r, p * g, n).reshape(r, p * g * n)
        hidden = self._embed(pack(tokens.reshape(r, p * g * n))) + self._position(pack(position) + n_prompt)
        # Short responses to one prompt are read as one row: what they do not see of each other costs less than to copy
        # the prompt's keys for each, and an operation for each.
        rows = 1 if g * n <= _TOGETHER else g
        seen = self._seen(n_prompt, n, g // rows, hidden.device)
        for layer, (prompt_key, prompt_value) in enumerate(kept):
            query, key, value = (
                self._heads(spread(part), r, p * rows, g // rows * n).flatten(0, 1) for part in self._qkv(layer, hidden)
            )
            shared = (part.repeat_interleave(rows, dim=1).flatten(0, 1) for part in (prompt_key, prompt_value))
            key, value = (torch.cat(both, dim=2) for both in zip(shared, (key, value), strict=True))
            found = scaled_dot_product_attention(query, key, value, seen, scale=1.0)
            hidden = self._finish(layer, hidden, pack(found.transpose(1, 2).reshape(r, p * g * n, -1)))
        return spread(self._norm(hidden, "transformer.ln_f")).view(r, p, g, n, -1)

    @staticmethod
    def _seen(n_prompt: int, n: int, together: int, device: torch.device) -> Tensor:
        """What a token sees: the whole prompt, and its own response of n tokens up to itself."""
        own = torch.block_diag(*[torch.ones((n, n), device=device).tril()] * together)
        return torch.cat([torch.ones((together * n, n_prompt), device=device), own], dim=1).bool()

    def logits(self, hidden: Tensor) -> Tensor:
        """Apply the last layer to states (R, …, width).

        Parameters
        ----------
        hidden : tensor (R, …, width)
            States.
        """
        weight = self.w[f"{self.head}.weight"].transpose(1, 2)
        flat = hidden.flatten(1, -2) if hidden.ndim > 3 else hidden
        out = flat @ weight
        bias = self.w.get(f"{self.head}.bias")
        return (out if bias is None else out + bias[:, None]).view(*hidden.shape[:-1], -1)

    def token_log_prob(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Return the log-probability of each response token, in nats, 0 past the end.

        Parameters
        ----------
        prompts : tensor (R, P, prompt length)
            Tokens of the prompts.
        tokens : tensor (R, P, G, length)
            Tokens of the responses, padded with 0.
        """
        mask = response_mask(tokens)
        hidden, chosen = (part.flatten(1, 3) for part in (self.hidden(prompts, tokens, mask), tokens[..., None]))
        packing = Packing.worth_it(mask.flatten(1))
        pack, spread = (_same, _same) if packing is None else (packing.pack, packing.spread)
        log_prob = self.logits(pack(hidden)).log_softmax(-1).gather(-1, pack(chosen))
        return spread(log_prob).view(tokens.shape) * mask

    def sample(self, prompts: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Draw responses by inversion.

        A response ends with token 0, which also fills what is left, or at the length limit.

        Parameters
        ----------
        prompts : int tensor (R, P, prompt length)
            Prompts.
        uniform : tensor (R, P, G, length)
            Numbers in [0, 1), which decide everything.

        Returns
        -------
        tokens : tensor (R, P, G, length)
            The responses.
        log_prob : tensor (R, P, G, length)
            Log-probability of each token in nats.
        """
        last, kept = self.prompts(prompts)
        r, p, g, length = uniform.shape
        hidden = last[:, :, None].expand(r, p, g, -1)
        own = self._room(r, p, g, length - 1)
        tokens = uniform.new_zeros((length, r * p * g), dtype=torch.long)
        chosen = uniform.new_zeros((length, r * p * g))
        uniform = uniform.reshape(r * p * g, length)
        row = torch.arange(r * p * g, device=prompts.device).view(r, p, g)
        going = torch.ones((r, p, g), dtype=torch.bool, device=prompts.device)
        for place in range(length):
            log_next = self.logits(hidden).log_softmax(-1)
            total = log_next.detach().exp().cumsum(-1)
            drawn = (total <= uniform[row, place, None] * total[..., -1:]).sum(-1).clamp_(max=total.shape[-1] - 1)
            drawn = drawn * going
            chosen[place].index_copy_(
                0, row.flatten(), (log_next.gather(-1, drawn[..., None])[..., 0] * going).flatten()
            )
            tokens[place].index_copy_(0, row.flatten(), drawn.flatten())
            going = going & (drawn != 0)
            if place + 1 < length:
                if place % _LOOK == _LOOK - 1 and (packing := Packing.worth_it(going.flatten(1).float())) is not None:
                    kept, own = self._without_ended(kept, own, packing, place)
                    drawn, row, going = (packing.pack(one.flatten(1))[..., None] for one in (drawn, row, going))
                hidden = self._next(kept, own, drawn, place)
        return tokens.T.reshape(r, p, g, length), chosen.T.reshape(r, p, g, length)

    def _room(self, r: int, p: int, g: int, length: int) -> KeysValues:
        """Make room for keys and values of so many tokens of each response, by layer."""
        width = self.w["transformer.wte.weight"].shape[2]
        shape = (r, p, self.n_heads, g, length, width // self.n_heads)
        return [(self.flat.new_empty(shape), self.flat.new_empty(shape)) for _ in range(self.n_layers)]

    def _without_ended(
        self, kept: KeysValues, own: KeysValues, packing: Packing, place: int
    ) -> tuple[KeysValues, KeysValues]:
        """Go on with some responses: each a row of its own, with its prompt's keys and values beside its own."""
        g, length = own[0][0].shape[3:5]
        room = self._room(packing.place.shape[0], packing.place.shape[1], 1, length)
        for there, here in zip(own, room, strict=True):
            for old, new in zip(there, here, strict=True):
                rows = old[..., :place, :].transpose(2, 3).flatten(1, 2)
                new[..., :place, :] = packing.pack(rows)[:, :, :, None]
        first = torch.arange(len(packing.place), device=packing.place.device)[:, None]
        return [(key[first, packing.place // g], value[first, packing.place // g]) for key, value in kept], room

    def _next(self, kept: KeysValues, own: KeysValues, token: Tensor, place: int) -> Tensor:
        """Read one more token of each response, (R, P, G); ``own`` has the earlier ones' keys and values."""
        r, p, g = token.shape
        n_prompt = kept[0][0].shape[3]
        position = self.w["transformer.wpe.weight"][:, n_prompt + place]
        hidden = (self._embed(token) + position[:, None, None]).view(r, p * g, -1)
        for layer, (prompt_key, prompt_value) in enumerate(kept):
            query, key, value = (self._heads(part, r, p, g) for part in self._qkv(layer, hidden))
            for room, new in zip(own[layer], (key, value), strict=True):
                room[..., place, :] = new
            own_key, own_value = (room[..., : place + 1, :] for room in own[layer])
            to_own = (query[..., None, :] * own_key).sum(-1)
            weight = torch.cat([query @ prompt_key.transpose(-1, -2), to_own], dim=-1).softmax(-1)
            seen = weight[..., :n_prompt] @ prompt_value
            seen = seen + (weight[..., n_prompt:, None] * own_value).sum(-2)
            hidden = self._finish(layer, hidden, seen.transpose(2, 3).reshape(r, p * g, -1))
        return self._norm(hidden, "transformer.ln_f").view(r, p, g, -1)

    def _embed(self, tokens: Tensor) -> Tensor:
        table = self.w["transformer.wte.weight"]
        r, n_words, width = table.shape
        offset = torch.arange(r, device=tokens.device).view(r, *[1] * (tokens.ndim - 1)) * n_words
        return torch.nn.functional.embedding(tokens + offset, table.reshape(r * n_words, width))

    def _position(self, place: Tensor) -> Tensor:
        """What places (R, …) add to a token, (R, …, width)."""
        table = self.w["transformer.wpe.weight"]
        r, n, width = table.shape
        offset = torch.arange(r, device=place.device).view(r, *[1] * (place.ndim - 1)) * n
        return torch.nn.functional.embedding(place + offset, table.reshape(r * n, width))

    def _qkv(self, layer: int, hidden: Tensor) -> tuple[Tensor, ...]:
        name = f"transformer.h.{layer}"
        query, key, value = self._linear(self._norm(hidden, f"{name}.ln_1"), f"{name}.attn.c_attn").chunk(3, dim=-1)
        return query * (query.shape[-1] // self.n_heads) ** -0.5, key, value

    def _heads(self, part: Tensor, r: int, p: int, n: int) -> Tensor:
        return part.view(r, p, n, self.n_heads, -1).transpose(2, 3)

    def _finish(self, layer: int, hidden: Tensor, seen: Tensor) -> Tensor:
        name = f"transformer.h.{layer}"
        hidden = hidden + self._linear(seen, f"{name}.attn.c_proj")
        inner = self._linear(self._norm(hidden, f"{name}.ln_2"), f"{name}.mlp.c_fc")
        inner = torch.nn.functional.gelu(inner, approximate="tanh")
        return hidden + self._linear(inner, f"{name}.mlp.c_proj")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return torch.baddbmm(self.w[f"{name}.bias"][:, None], x, self.w[f"{name}.weight"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        plain = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=_EPS)
        shape = (len(x), *[1] * (x.ndim - 2), x.shape[-1])
        weight, bias = self.w[f"{name}.weight"].view(shape), self.w[f"{name}.bias"].view(shape)
        return torch.addcmul(bias, plain, weight)
