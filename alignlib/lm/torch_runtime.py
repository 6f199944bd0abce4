"""How torch computes here: on one thread, seeded, without comments of the libraries, at an annealed rate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from transformers.utils import logging

__all__ = ["Annealing", "annealed_adam", "one_thread", "quiet", "seed_for_torch"]


def seed_for_torch(rng: np.random.Generator | int) -> int:
    """Return a seed for torch: the number itself, or one drawn from the generator.

    Parameters
    ----------
    rng : Generator or int
        Source of randomness, or its seed.
    """
    return rng if isinstance(rng, int) else int(rng.integers(2**63))


@contextmanager
def one_thread(seed: int) -> Iterator[None]:
    """Seed torch and compute on one thread, so that results repeat; what was before is restored.

    Parameters
    ----------
    seed : int
        Of torch's random numbers in this block.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what transformers and trl say of their own defaults and deprecations, and their progress bars."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            # Weights are cut out of one block (`Stack`), so their gradients are too.
            warnings.filterwarnings("ignore", "grad and param do not obey")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


class Annealing(Protocol):
    """The optimiser's part of some settings."""

    @property
    def learning_rate(self) -> float:
        """Peak rate."""

    @property
    def warm_up(self) -> float:
        """Part of the steps over which the rate rises."""

    @property
    def weight_decay(self) -> float:
        """AdamW's decay."""


def annealed_adam(
    model: torch.nn.Module, steps: int, settings: Annealing
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW whose rate rises linearly over ``warm_up`` of the steps, then falls to zero along a cosine.

    Parameters
    ----------
    model : Module
        Its weights are trained.
    steps : int
        Steps in all.
    settings : Annealing
        The largest rate, the warm-up, the decay of weights.

    Returns
    -------
    optimizer : Optimizer
        AdamW.
    schedule : LRScheduler
        To be stepped with it.
    """
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    rise = max(1.0, settings.warm_up * steps)

    def factor(step: int) -> float:
        fall = 0.5 + 0.5 * math.cos(math.pi * max(0.0, step - rise) / max(1.0, steps - rise))
        return float(min((step + 1) / rise, fall))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
