"""One task ready for training and exact evaluation: its base model, its rewards on every response, and their laws."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib.lm.base_model import EnumerableLM, load_base, pretrain, save_model
from alignlib.lm.experiment.results import law_path
from alignlib.lm.level_law import collapse
from alignlib.lm.policy_law import PolicyLaw, kl_to_optimum_directly, policy_law
from alignlib.lm.prefix_tree import exact_log_prob
from alignlib.lm.proxies import proxy_tables
from alignlib.lm.space import ResponseSpace
from alignlib.lm.tasks import TASKS

__all__ = ["SPLITS", "Evaluation", "Laboratory"]

SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class Evaluation:
    """A policy's exact law against the base on one split; ``kl_to_optimum`` per prompt, None without β."""

    law: PolicyLaw
    kl_to_optimum: FloatArray | None


class Laboratory:
    """Base model, log-probabilities and reward tables of one task, each computed once.

    Parameters
    ----------
    name : str
        ``"summarisation"`` or ``"safety"``.
    folder : path
        Where the base model lies; it is pretrained and saved there if it does not.
    space : ResponseSpace, optional
        The responses; 66,430 of them by default.
    cache : path
        Where the tables of trained proxies are kept.
    """

    def __init__(
        self, name: str, folder: str | Path, space: ResponseSpace | None = None, cache: str | Path = "build/lm"
    ) -> None:
        require(name in TASKS, f"task must be one of {', '.join(TASKS)}; got {name!r}.")
        self.folder, self.cache = Path(folder), Path(cache) / "proxies"
        self.task = TASKS[name].task(space)
        place = self.folder / f"base_{name}"
        if not (place / "model.safetensors").is_file():
            model = pretrain(self.task)
            place.parent.mkdir(parents=True, exist_ok=True)
            save_model(model, place, self.task)
        self.base = load_base(place)
        self.base_hash = hashlib.sha256((place / "model.safetensors").read_bytes()).hexdigest()
        self._rewards: dict[tuple[str, str], FloatArray] = {}

    def prompts(self, split: str) -> IntArray:
        """The prompts of a split."""
        return self.task.prompts if split == "train" else self.task.held_out

    @cached_property
    def log_base(self) -> dict[str, FloatArray]:
        """The base's log-probabilities of every response, by split."""
        return {split: exact_log_prob(self.base, self.prompts(split), self.task.space) for split in SPLITS}

    def reward(self, name: str, split: str = "train") -> FloatArray:
        """Reward of every response, (prompts, responses): ``gold`` or a proxy."""
        if (name, split) not in self._rewards:
            self._rewards[name, split] = self._reward(name, split)
        return self._rewards[name, split]

    def _reward(self, name: str, split: str) -> FloatArray:
        if name == "gold":
            return self.task.gold(self.prompts(split))
        gold = self.reward("gold")
        for part, table in proxy_tables(name, self.base, self.task, self.log_base, gold, self.cache).items():
            self._rewards[name, part] = table
        return self._rewards[name, split]

    def policy(self, weights: Mapping[str, Tensor]) -> EnumerableLM:
        """Return a model of the base's kind with these weights."""
        model: EnumerableLM = copy.deepcopy(self.base).requires_grad_(False).eval()
        model.load_state_dict(weights)
        return model

    def evaluate(self, model: EnumerableLM, reward_name: str, beta: float | None, split: str) -> Evaluation:
        """Compute a policy's KL, reward and gold exactly, prompt by prompt."""
        log_policy = exact_log_prob(model, self.prompts(split), self.task.space)
        log_base, reward = self.log_base[split], self.reward(reward_name, split)
        law = policy_law(log_policy, log_base, reward, self.reward("gold", split))
        to_optimum = None if beta is None else kl_to_optimum_directly(log_policy, log_base, reward, 1.0 / beta)
        return Evaluation(law, to_optimum)

    def write_laws(self, reward_names: list[str], folder: str | Path) -> None:
        """Write the base's mass by reward level for each split: frontier and best-of-N follow from these tables."""
        for name in reward_names:
            gold = None if name == "gold" else "gold"
            for split in SPLITS:
                counted = None if gold is None else self.reward("gold", split)
                law = collapse(self.log_base[split], self.reward(name, split), counted)
                law.write(law_path(folder, self.task.name, name, split))

    def fingerprint(self, reward_name: str) -> str:
        """Hash of what a run is trained from: base weights and reward table."""
        table = np.ascontiguousarray(self.reward(reward_name))
        return hashlib.sha256(self.base_hash.encode() + table.tobytes()).hexdigest()[:16]
