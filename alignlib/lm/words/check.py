"""Check the committed table on one policy, without the corpus: measure it anew, and train a few steps anew.

The base and the policy lie beside the table, in half precision and as rounded differences to it, so that neither is
large. Prompts are beginnings that the base writes itself, so that none of the text has to lie there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from alignlib._core.checks import IntArray, require
from alignlib._core.files import write_whole
from alignlib.lm.fleet import Fleet, Plan
from alignlib.lm.methods import Settings, find
from alignlib.lm.payment import TextPayment
from alignlib.lm.stack import Stack
from alignlib.lm.torch_runtime import one_thread, quiet
from alignlib.lm.words.base import load_model, save_model
from alignlib.lm.words.corpus import LENGTH, PROMPT_LENGTH
from alignlib.lm.words.grid import FEW
from alignlib.lm.words.rewards import sentiment

__all__ = ["Checked", "OwnBeginnings", "check", "publish"]

_TOLERANCE = 0.03
"""A response that rounding makes another one on another processor moves a mean of 512 by a few thousandths."""
_BEGINNINGS, _EACH, _STEPS, _RATE = 64, 8, 3, 1e-3


@dataclass(frozen=True)
class Checked:
    """A number of the table's folder, and what the code gives now.

    Attributes
    ----------
    name : str
        What it is.
    kept, now : float
        As it was written, and as it is measured.
    """

    name: str
    kept: float
    now: float

    @property
    def agrees(self) -> bool:
        """Whether they are the same but for rounding."""
        return abs(self.now - self.kept) <= _TOLERANCE * max(abs(self.kept), 0.1)

    def __str__(self) -> str:
        """Return a line."""
        return f"{self.name}: {self.kept:.5g} kept, {self.now:.5g} now, {'agrees' if self.agrees else 'DIFFERS'}"


class OwnBeginnings:
    """Prompts that a model writes itself, each of ``PROMPT_LENGTH`` tokens: a world of `alignlib.lm.fleet`.

    Parameters
    ----------
    base : Stack
        The model that writes them, one row.
    n : int
        How many.

    Raises
    ------
    InputError
        If it writes too few that do not end early.
    """

    length = LENGTH

    def __init__(self, base: Stack, n: int = _BEGINNINGS) -> None:
        start = torch.zeros((1, 1, 1), dtype=torch.long)
        uniform = torch.rand((1, 1, 4 * n, PROMPT_LENGTH), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            tokens = base.sample(start, uniform)[0][0, 0]
        whole = tokens[(tokens != 0).all(1)][:n]
        require(len(whole) == n, f"base must write {n} beginnings that do not end early; it wrote {len(whole)}.")
        self.prompts: IntArray = torch.cat([torch.zeros((n, 1), dtype=torch.long), whole], dim=1).numpy()

    def fresh(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw some of them.

        Parameters
        ----------
        n : int
            How many.
        rng : Generator
            Source of randomness.
        """
        return self.prompts[rng.integers(len(self.prompts), size=n)]

    def pool(self, n: int, number: int = 0) -> IntArray:
        """Return the first of them.

        Parameters
        ----------
        n : int
            How many.
        number : int
            Not used: there is one pool.
        """
        return self.prompts[:n]

    def features(self, prompts: IntArray) -> IntArray:
        """Rewards know nothing of a prompt beside its tokens.

        Parameters
        ----------
        prompts : array of int (n, tokens)
            Prompts.

        Returns
        -------
        array of int (n, 0)
            Nothing.
        """
        return np.zeros((len(prompts), 0), dtype=np.int64)


@dataclass(frozen=True)
class _Kept:
    """The folder with base and policy."""

    folder: Path

    @cached_property
    def base(self) -> Stack:
        return Stack.of(load_model(self.folder)[0])

    @cached_property
    def payment(self) -> TextPayment:
        decode = load_model(self.folder)[1].backend_tokenizer.decode_batch
        return TextPayment(sentiment, lambda tokens: decode(tokens.tolist(), skip_special_tokens=True))

    def policy(self) -> Stack:
        model = load_model(self.folder)[0]
        model.load_state_dict(_restored(self.base.state(0), load_file(self.folder / "policy.safetensors")))
        return Stack.of(model)

    def measured(self) -> dict[str, float]:
        """KL and reward of the kept policy, the base's reward, and what a few steps of training give."""
        with quiet(), one_thread(0):
            world = OwnBeginnings(self.base)
            plan = Plan(1.0, 0, Settings(_STEPS, _RATE, "constant"), responses=FEW)
            (done,) = Fleet(find("rloo"), self.base, world, [plan], self.payment).train()
            model = load_model(self.folder)[0]
            model.load_state_dict(done.policy)
            kept = _law(self.base, self.policy(), world, self.payment)
            trained = _law(self.base, Stack.of(model), world, self.payment)
            start = _law(self.base, self.base, world, self.payment)
        return {
            "KL of the kept policy": kept[0],
            "reward of the kept policy": kept[1],
            "reward of the base": start[1],
            f"KL after {_STEPS} steps of RLOO": trained[0],
            f"reward after {_STEPS} steps of RLOO": trained[1],
        }


def _law(base: Stack, policy: Stack, world: OwnBeginnings, payment: TextPayment) -> tuple[float, float]:
    """Rao–Blackwell KL and mean reward on the beginnings."""
    prompts = torch.as_tensor(world.prompts)[None]
    uniform = torch.rand((1, prompts.shape[1], _EACH, LENGTH), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        tokens, _ = policy.sample(prompts, uniform)
        log_pi, log_p = (one.logits(one.hidden(prompts, tokens)).log_softmax(-1) for one in (policy, base))
        each = (log_pi.exp() * (log_pi - log_p)).sum(-1)
        before = torch.cat([torch.ones_like(tokens[..., :1]), (tokens[..., :-1] != 0).long().cumprod(-1)], dim=-1)
        return float((each * before).sum(-1).mean()), float(payment(prompts, prompts[..., :0], tokens).mean())


def check(folder: Path) -> list[Checked]:
    """Measure what lies in a folder of `publish` anew, and compare.

    Parameters
    ----------
    folder : Path
        As `publish` left it.
    """
    kept = json.loads((folder / "check.json").read_text(encoding="utf-8"))
    now = _Kept(folder).measured()
    return [Checked(name, float(value), now[name]) for name, value in kept.items()]


def publish(base: Path, policy: Mapping[str, Tensor], folder: Path) -> None:
    """Leave base, policy and what is measured of them in a folder, 4 MB.

    Parameters
    ----------
    base : path
        The base model's folder.
    policy : mapping of tensors
        The policy's weights.
    folder : path
        Where to.
    """
    model, tokenizer = load_model(base)
    save_model(model.half(), folder, tokenizer)
    rounded = load_model(folder)[0].state_dict()
    save_file(_rounded(rounded, policy), folder / "policy.safetensors")
    write_whole(folder / "check.json", json.dumps(_Kept(folder).measured(), indent=1) + "\n")


def _rounded(base: Mapping[str, Tensor], policy: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Differences to the base in 255 steps, row by row of each weight."""
    found: dict[str, Tensor] = {}
    for name, weight in policy.items():
        difference = weight.float() - base[name].float()
        step = difference.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127.0
        found[name] = (difference / step).round().to(torch.int8)
        found[f"{name}/step"] = step
    return found


def _restored(base: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight + stored[name].float() * stored[f"{name}/step"] for name, weight in base.items()}
