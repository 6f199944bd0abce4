"""The proxies that methods train on: Bradley–Terry networks on noisy raters' pairs, few or many, alone or averaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.files import whole_file
from alignlib.lm.raters import Raters, draw_pairs
from alignlib.lm.reward_models import reward_table, train_reward_model
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from alignlib.lm.base_model import EnumerableLM

__all__ = ["PROXIES", "Proxy", "proxy_tables"]


@dataclass(frozen=True)
class Proxy:
    """``members`` networks, each trained on its own ``n_pairs`` pairs of base responses."""

    n_pairs: int
    members: int = 1


PROXIES = {"weak": Proxy(300), "ensemble": Proxy(300, members=5), "strong": Proxy(20_000)}


def proxy_tables(
    name: str, base: EnumerableLM, task: Task, log_base: dict[str, FloatArray], gold: FloatArray, cache: Path
) -> dict[str, FloatArray]:
    """Return a proxy's reward of every response to the training and the held-out prompts; trained once, then cached.

    The weak proxy is the ensemble's first member: what averaging changes is then averaging alone.

    Parameters
    ----------
    name : str
        One of ``PROXIES``.
    base, task
        The base model and its task.
    log_base : dict of arrays
        The base's log-probabilities in nats for each split.
    gold : array
        Gold reward of every response to the training prompts.
    cache : path
        Folder of the tables, one file for each proxy, written whole.
    """
    require(name in PROXIES, f"reward_name must be gold or one of {', '.join(PROXIES)}; got {name!r}.")
    path = cache / f"{task.name}_{name}.npz"
    if not path.is_file():
        models = []
        for member in range(PROXIES[name].members):
            rng = np.random.default_rng([member, PROXIES[name].n_pairs])
            pairs = draw_pairs(log_base["train"], gold, PROXIES[name].n_pairs, Raters(), rng)
            models.append(train_reward_model(base, task, pairs, rng=member))
        both = {"train": task, "held_out": replace(task, prompts=task.held_out)}
        tables = {split: reward_table(models, one, log_base[split]) for split, one in both.items()}
        cache.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:  # the lattice of 1/64 is exact in single precision
            np.savez_compressed(
                file, train=tables["train"].astype(np.float32), held_out=tables["held_out"].astype(np.float32)
            )
    with np.load(path) as stored:
        return {split: stored[split].astype(np.float64) for split in ("train", "held_out")}
