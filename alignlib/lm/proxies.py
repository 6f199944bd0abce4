"""The proxies that methods train on: Bradley–Terry networks on noisy raters' pairs, few or many, alone or averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alignlib._core.checks import FloatArray, require
from alignlib.lm.fleet import Optimiser, World
from alignlib.lm.payment import Payment, scores_of_pairs
from alignlib.lm.stack import Stack

__all__ = ["LATTICE", "MEMBERS", "Raters", "RewardSettings", "train_members"]

_TOKENS_AT_ONCE = 81_920
LATTICE = 1 / 16
"""Rewards of networks are rounded to multiples of this: part of the proxy's definition, so that levels are few."""
MEMBERS = 8
"""Networks trained for each number of pairs; an ensemble of K is the first K of them."""


@dataclass(frozen=True)
class RewardSettings:
    """Training of a reward model.

    Few pairs are seen often, as where labels are scarce: 300 pairs thirteen times, 20,000 three times.

    Parameters
    ----------
    passes : float
        Over the pairs.
    least_steps : int
        But at least so many steps.
    batch : int
        Pairs at a time.
    learning_rate : float
        Of Adam.
    """

    passes: float = 3.0
    least_steps: int = 60
    batch: int = 64
    learning_rate: float = 1e-3

    def steps(self, n_pairs: int) -> int:
        """Number of steps for so many pairs.

        Parameters
        ----------
        n_pairs : int
            Pairs to learn from.
        """
        return max(self.least_steps, math.ceil(self.passes * n_pairs / self.batch))


def train_members(
    base: Stack,
    task: World,
    payment: Payment,
    n_pairs: int,
    *,
    members: int = MEMBERS,
    seed: int = 0,
    raters: Raters | None = None,
    settings: RewardSettings | None = None,
    device: str = "cpu",
) -> Stack:
    """Train reward models side by side, each on pairs of its own: two responses of the base to a prompt, one preferred.

    Each is the base's body with a head that reads the state after the last token, and minimises the mean of
    ``-log σ(r(chosen) - r(rejected))``, which no constant added to a prompt's rewards changes.

    Parameters
    ----------
    base : Stack
        The base model, one row.
    task : World
        Gives prompts to learn from: none of validation or test.
    payment : Payment
        The gold reward, which the raters see.
    n_pairs : int
        Pairs for each member, at least 1.
    members : int
        Networks.
    seed : int
        Source of pairs, labels and heads.
    raters : Raters, optional
        How they choose.
    settings : RewardSettings, optional
        Length and rate of training.
    device : str
        Where to compute.

    Raises
    ------
    InputError
        If ``n_pairs`` is below 1.
    """
    require(n_pairs >= 1, f"n_pairs must be at least 1; got {n_pairs}.")
    settings, raters = settings or RewardSettings(), raters or Raters()
    here = base.to(device)
    rng = np.random.default_rng([seed, n_pairs])
    prompts, pairs = _labelled(here, task, payment, n_pairs * members, raters, rng)
    prompts, pairs = prompts.view(members, n_pairs, -1), pairs.view(members, n_pairs, 2, -1)
    models = _fresh_heads(here, members, rng)
    optimiser = Optimiser(models)
    steps = settings.steps(n_pairs)
    orders = np.stack([_order(n_pairs, steps * settings.batch, rng) for _ in range(members)])
    order = torch.from_numpy(orders).to(here.flat.device).view(members, steps, settings.batch)
    member = torch.arange(members, device=here.flat.device)[:, None]
    for step in range(steps):
        rows = order[:, step]
        chosen, rejected = scores_of_pairs(models, prompts[member, rows], pairs[member, rows]).unbind(-1)
        loss = -torch.nn.functional.logsigmoid(chosen - rejected).mean(1)
        rate = settings.learning_rate * min(1.0, 20 * (step + 1) / steps) * (1.0 - step / steps)
        optimiser.step(loss, torch.full((members,), rate, device=loss.device))
    return models.rows(torch.arange(members, device=here.flat.device))


def _fresh_heads(base: Stack, members: int, rng: np.random.Generator) -> Stack:
    """The base's body, several times, each with a head of its own."""
    body = {
        name: part.detach().expand(members, *part.shape[1:])
        for name, part in base.w.items()
        if not name.startswith("lm_head")
    }
    width = body["transformer.ln_f.weight"].shape[1]
    head = 0.1 * rng.standard_normal((members, 1, width)).astype(np.float32)
    return Stack(body | {"score.weight": torch.from_numpy(head).to(base.flat.device)}, base.n_heads, "score").copies(
        1, trainable=True
    )


def _labelled(
    base: Stack, task: World, payment: Payment, n: int, raters: Raters, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Prompts (n, length) and two responses to each (n, 2, T), the preferred one first."""
    drawn = task.fresh(n, rng)
    known = task.features(drawn).astype(np.float32)
    device = base.flat.device
    prompts, features = torch.from_numpy(drawn).to(device), torch.from_numpy(known).to(device)
    uniform = torch.from_numpy(rng.random((n, 2, task.length), dtype=np.float32)).to(device)
    paid = payment.to(device)
    parts, golds = [], []
    with torch.no_grad():
        rows = max(1, _TOKENS_AT_ONCE // (2 * task.length))
        for start in range(0, n, rows):
            at = slice(start, start + rows)
            parts.append(base.sample(prompts[None, at], uniform[None, at])[0])
            golds.append(paid(prompts[None, at], features[None, at], parts[-1])[0])
    kept, gold = torch.cat(parts, dim=1)[0], torch.cat(golds)
    difference = (gold[:, 0] - gold[:, 1]).double().cpu().numpy()
    first = torch.from_numpy(rng.random(n) < raters.preference(difference)).to(device)
    return prompts, torch.where(first[:, None, None], kept, kept.flip(1))


def _order(n: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    passes = [rng.permutation(n) for _ in range(math.ceil(wanted / n))]
    return np.concatenate(passes)[:wanted]


@dataclass(frozen=True)
class Raters:
    """Raters who prefer y to y' with probability ``f + (1 - 2f) / (1 + exp(-(r(y) - r(y')) / temperature))``.

    ``r`` is the gold reward, ``f`` (``flip``) the chance of a slip of the pen.

    Parameters
    ----------
    temperature : float
        Gold difference at which a careful rater prefers the better one 73 times in 100, > 0.
    flip : float
        In [0, 0.5].

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> Raters(temperature=1.0, flip=0.1).preference(np.array([0.0, 50.0])).tolist()
    [0.5, 0.9]
    """

    temperature: float = 1.0
    flip: float = 0.1

    def __post_init__(self) -> None:
        require(self.temperature > 0, f"temperature must be positive; got {self.temperature}.")
        require(0 <= self.flip <= 0.5, f"flip must lie in [0, 0.5]; got {self.flip}.")

    def preference(self, difference: FloatArray) -> FloatArray:
        """Probability of preferring the first response of a pair.

        Parameters
        ----------
        difference : array
            How much more gold it has than the second.
        """
        logistic = 0.5 + 0.5 * np.tanh(0.5 * difference / self.temperature)
        return np.asarray(self.flip + (1.0 - 2.0 * self.flip) * logistic)
