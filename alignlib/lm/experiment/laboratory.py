"""One task ready for training and exact evaluation: its base models, its rewards on every response, and their laws."""

from __future__ import annotations

import base64
import fcntl
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.files import write_whole
from alignlib._core.same import SameFields
from alignlib.lm.base_model import PretrainingSettings, load_base, pretrain, save_model
from alignlib.lm.exact import PROMPTS_AT_ONCE, log_law, log_score
from alignlib.lm.experiment.grid import PROXIES
from alignlib.lm.level_law import LevelLaw, collapse
from alignlib.lm.payment import GoldPayment, Payment, ProxyPayment
from alignlib.lm.proxies import LATTICE, MEMBERS, train_members
from alignlib.lm.space import ResponseSpace
from alignlib.lm.stack import Stack
from alignlib.lm.tasks import TASKS, Task

__all__ = ["Evaluation", "Laboratory", "decode_weights", "encode_weights"]

_RATES = {2: 5e-3, 4: 5e-3, 8: 3e-3}  # of pretraining, by layers


@dataclass(frozen=True, eq=False)
class Evaluation(SameFields):
    """A policy's exact law on the prompts of a split.

    Attributes
    ----------
    kl : array (prompts,)
        KL to the base in nats.
    reward, gold : array (prompts,)
        Mean reward and gold of each prompt.
    length : float
        Mean number of tokens of a response.
    to_optimum : float, optional
        Mean KL to ``π_λ`` at the λ asked for, in nats; None if none was.
    """

    kl: FloatArray
    reward: FloatArray
    gold: FloatArray
    length: float
    to_optimum: float | None


class Laboratory:
    """Base models, log-probabilities and rewards of one task, each computed once, on one device.

    Parameters
    ----------
    name : str
        ``"summarisation"`` or ``"safety"``.
    folder : path
        Where the base model lies; it is pretrained and saved there if it does not. Deeper ones lie in ``cache``.
    cache : path
        Where deeper bases and reward models are kept.
    space : ResponseSpace, optional
        The responses; 66,430 of them by default.
    device : str
        ``"cpu"`` or ``"cuda"``.
    task : Task, optional
        Other prompts than the experiment's, for tests.

    Raises
    ------
    InputError
        If there is no task of that name.
    """

    def __init__(
        self,
        name: str,
        folder: str | Path,
        cache: str | Path = "build/lm",
        space: ResponseSpace | None = None,
        device: str = "cpu",
        task: Task | None = None,
    ) -> None:
        require(name in TASKS, f"task must be one of {', '.join(TASKS)}; got {name!r}.")
        self.task = TASKS[name].task(space) if task is None else task
        self.folder, self.cache, self.device = Path(folder), Path(cache), device
        self._bases: dict[int, Stack] = {}
        self._log_base: dict[tuple[int, str], Tensor] = {}
        self._rewards: dict[tuple[str, str], Tensor] = {}

    def base_folder(self, layers: int = 2) -> Path:
        """Where the base model of so many layers lies.

        Parameters
        ----------
        layers : int
            Depth of the model.
        """
        return self.folder / f"base_{self.task.name}" if layers == 2 else self.cache / f"base_{self.task.name}_{layers}"

    def base(self, layers: int = 2) -> Stack:
        """Return the base model, pretrained if it does not lie there yet.

        Parameters
        ----------
        layers : int
            Depth of the model.
        """
        if layers not in self._bases:
            place = self.base_folder(layers)
            with _made_once(place, place / "model.safetensors") as missing:
                if missing:
                    settings = PretrainingSettings(n_layer=layers, learning_rate=_RATES.get(layers, 3e-3))
                    save_model(pretrain(self.task, 0, settings), place, self.task)
            self._bases[layers] = Stack.of(load_base(place)).to(self.device)
        return self._bases[layers]

    @property
    def base_hash(self) -> str:
        """SHA-256 of the base's weights as they lie in the folder."""
        self.base()
        return hashlib.sha256((self.base_folder() / "model.safetensors").read_bytes()).hexdigest()

    def log_base(self, split: str, layers: int = 2) -> Tensor:
        """The base's log-probabilities of every response to the prompts of a split, in nats, (P, size).

        Parameters
        ----------
        split : str
            Which prompts.
        layers : int
            Depth of the base.
        """
        if (layers, split) not in self._log_base:
            base = self.base(layers)
            self._log_base[layers, split] = self._law(base.state(0), split)
        return self._log_base[layers, split]

    def _law(self, weights: Mapping[str, Tensor], split: str) -> Tensor:
        heads = self.base().n_heads
        return log_law(weights, heads, self.task.of_split(split), self.task, self.device)

    def reward(self, name: str, split: str) -> Tensor:
        """Reward of every response, (P, size): ``gold`` or a proxy, moved to a base mean of zero on each prompt.

        Parameters
        ----------
        name : str
            ``"gold"`` or a proxy.
        split : str
            Which prompts.
        """
        if (name, split) not in self._rewards:
            prompts = self.task.of_split(split)
            if name == "gold":
                responses = torch.as_tensor(self.task.grammar.response_features(self.task.space), device=self.device)
                known = torch.as_tensor(self.task.grammar.prompt_features(prompts).astype(np.float64))
                found = torch.stack([self.task.grammar.pay(one, responses) for one in known.to(self.device)])
                self._rewards[name, split] = found
            else:
                self._rewards |= self._mean_scores(PROXIES[name].n_pairs, split)
        return self._rewards[name, split]

    def _mean_scores(self, n_pairs: int, split: str) -> dict[tuple[str, str], Tensor]:
        """The means of the first reward models of so many pairs on every response, (P, size), of all such proxies.

        On the lattice, less their base means. The mean of eight takes those of fewer in passing: every network reads
        all responses once.
        """
        prompts = self.task.of_split(split)
        total = torch.zeros(len(prompts), self.task.space.size, dtype=torch.float64, device=self.device)
        alike = {proxy.members: proxy.name for proxy in PROXIES.values() if proxy.n_pairs == n_pairs}
        found = {}
        for row in range(max(alike)):
            total += self.score(n_pairs, row, prompts)
            if row + 1 in alike:
                found[alike[row + 1], split] = self._on_lattice(total / (row + 1), self.log_base(split))
        return found

    def score(self, n_pairs: int, member: int, prompts: IntArray) -> Tensor:
        """Return a reward model's score of every response to each prompt, (P, size).

        Parameters
        ----------
        n_pairs : int
            Pairs that it was trained on.
        member : int
            Which of those networks.
        prompts : array of int (P, prompt length)
            Prompts.
        """
        models = self.members(n_pairs)
        return log_score(models.state(member), models.n_heads, prompts, self.task, self.device)

    def _on_lattice(self, score: Tensor, log_base: Tensor) -> Tensor:
        rounded = (score / LATTICE).round() * LATTICE
        return rounded - (log_base.exp() * rounded).sum(1, keepdim=True)

    def members(self, n_pairs: int) -> Stack:
        """Return the reward models trained on so many pairs each, from the cache if they lie there.

        Parameters
        ----------
        n_pairs : int
            Pairs for each.
        """
        path = self.cache / "proxies" / f"{self.task.name}_{n_pairs}.safetensors"
        heads = self.base().n_heads
        with _made_once(path, path) as missing:
            if missing:
                found = train_members(
                    self.base(), self.task, self.payment("gold"), n_pairs, members=MEMBERS, device=self.device
                )
                write_whole(path, save({name: part.cpu().contiguous().clone() for name, part in found.w.items()}))
        return Stack(load_file(path), heads, "score").to(self.device)

    def payment(self, name: str) -> Payment:
        """What training pays: gold, or a proxy.

        Parameters
        ----------
        name : str
            ``"gold"`` or a proxy.
        """
        if name == "gold":
            return GoldPayment(self.task)
        proxy = PROXIES[name]
        rows = torch.arange(proxy.members, device=self.device)
        return ProxyPayment(self.members(proxy.n_pairs).rows(rows), LATTICE)

    @cached_property
    def _lengths(self) -> Tensor:
        """Tokens of each response, its end included where it is chosen."""
        space = self.task.space
        lengths = np.minimum(np.asarray(space.lengths, dtype=np.float64) + 1, space.length)
        return torch.as_tensor(lengths, device=self.device)

    def evaluate(
        self,
        weights: Mapping[str, Tensor],
        reward_name: str,
        split: str,
        layers: int = 2,
        beta: float | None = None,
    ) -> Evaluation:
        """Compute a policy's KL to its base, reward and gold exactly, prompt by prompt.

        Parameters
        ----------
        weights : mapping of tensors
            The policy's weights by name.
        reward_name : str
            ``"gold"`` or a proxy.
        split : str
            Which prompts.
        layers : int
            Depth of base and policy.
        beta : float, optional
            With it the distance to the optimum under this penalty is computed too.
        """
        log_policy, log_base = self._law(weights, split), self.log_base(split, layers)
        gold, every = self.reward("gold", split), self.reward(reward_name, split)
        # A few prompts at a time: on a processor the laws of all of them would fall out of the cache.
        n = PROMPTS_AT_ONCE[log_policy.device.type]
        parts = zip(log_policy.split(n), log_base.split(n), gold.split(n), every.split(n), strict=True)
        rows = [_moments(policy, base, true, paid, self._lengths, beta) for policy, base, true, paid in parts]
        kl, reward, true, length, closeness = (torch.cat(part) for part in zip(*rows, strict=True))
        found = [part.cpu().numpy() for part in (kl, reward, true)]
        to_optimum = None if beta is None else float(closeness.mean())
        return Evaluation(found[0], found[1], found[2], float(length.mean()), to_optimum)

    def law(self, reward_name: str, split: str, layers: int = 2) -> LevelLaw:
        """Return the base's mass by reward level: frontier and best-of-N follow from it.

        Parameters
        ----------
        reward_name : str
            ``"gold"`` or a proxy.
        split : str
            Which prompts.
        layers : int
            Depth of the base.
        """
        log_base, reward = self.log_base(split, layers).cpu().numpy(), self.reward(reward_name, split).cpu().numpy()
        return collapse(log_base, reward) if reward_name == "gold" else self._in_gold(log_base, reward, split)

    def score_law(self, score: Tensor, split: str = "test") -> LevelLaw:
        """Return the same for scores of every response to the first prompts of a split, with each level's mean gold.

        Parameters
        ----------
        score : tensor (P, size)
            Scores of every response to the first P prompts.
        split : str
            Of which split.
        """
        log_base = self.log_base(split)[: len(score)]
        return self._in_gold(log_base.cpu().numpy(), self._on_lattice(score, log_base).cpu().numpy(), split)

    def _in_gold(self, log_base: FloatArray, reward: FloatArray, split: str) -> LevelLaw:
        gold = self.reward("gold", split)[: len(reward)].cpu().numpy()
        return collapse(log_base, np.round(reward, 9), gold)  # the constant on each prompt splits levels by rounding

    def fingerprint(self, reward_name: str, layers: int = 2) -> str:
        """Hash of what a run is trained from: the base's weights and the reward.

        Parameters
        ----------
        reward_name : str
            ``"gold"`` or a proxy.
        layers : int
            Depth of the base.
        """
        digest = hashlib.sha256(self.base(layers).flat.cpu().numpy().tobytes())
        if reward_name == "gold":
            digest.update(self.task.gold(self.task.prompts[:4]).tobytes())
        else:
            proxy = PROXIES[reward_name]
            digest.update(self.members(proxy.n_pairs).flat[: proxy.members].cpu().numpy().tobytes())
        return digest.hexdigest()[:16]


def _moments(
    log_policy: Tensor, log_base: Tensor, gold: Tensor, reward: Tensor, lengths: Tensor, beta: float | None
) -> tuple[Tensor, ...]:
    """KL, reward, gold, length and KL to the optimum of a penalty of some prompts' laws (P, size), each (P,)."""
    prob = log_policy.exp()
    optimum = log_base if beta is None else (log_base + reward / beta).log_softmax(-1)
    against = ((prob * (log_policy - other)).sum(1) for other in (log_base, optimum))
    kl, closeness = against
    return kl, (prob * reward).sum(1), (prob * gold).sum(1), prob @ lengths, closeness


@contextmanager
def _made_once(place: Path, file: Path) -> Iterator[bool]:
    """Whether a file is missing; where it is, other processes wait until it is made."""
    if file.is_file():
        yield False
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not file.is_file()


def encode_weights(weights: Mapping[str, Tensor]) -> str:
    """Write a policy as text: a file of safetensors in base64.

    Parameters
    ----------
    weights : mapping of tensors
        The policy's weights by name.
    """
    return base64.b64encode(save({name: part.contiguous() for name, part in weights.items()})).decode()


def decode_weights(text: str) -> bytes:
    """Return the file of safetensors that `encode_weights` wrote.

    Parameters
    ----------
    text : str
        As `encode_weights` wrote it.
    """
    return base64.b64decode(text)
