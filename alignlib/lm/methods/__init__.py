"""Methods that align the small language models. Each trains from the base with one KL penalty and yields checkpoints.

Every module has a frozen settings class and ``train(base, task, reward, beta, seed, *, settings)``; they are imported
when asked for, because each brings its own library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from alignlib._core.checks import require

__all__ = ["METHODS", "settings_class", "trainer"]

METHODS = {
    "group_kl": "GroupKL",
    "grpo": "GRPO",
    "ppo": "PPO",
    "dpo": "DPO",
    "rejection": "Rejection",
    "cross_entropy": "CrossEntropy",
    "exact_gradient": "ExactGradient",
}


def settings_class(method: str) -> Any:
    """Return the settings class of a method."""
    require(method in METHODS, f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    return getattr(import_module(f"alignlib.lm.methods.{method}"), METHODS[method])


def trainer(method: str) -> Callable[..., Iterator[Any]]:
    """Return the ``train`` function of a method."""
    require(method in METHODS, f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    train: Callable[..., Iterator[Any]] = import_module(f"alignlib.lm.methods.{method}").train
    return train
