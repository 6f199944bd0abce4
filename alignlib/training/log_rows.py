"""Checkpoints as a log holds them, before units are converted, and the error that says why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray

__all__ = ["LogRows", "no_length"]


@dataclass(frozen=True)
class LogRows:
    """KL in nats per ``kl_unit``, reward and mean length of each checkpoint, NaN where missing, (k,) each."""

    kl_name: str
    kl_unit: str
    reward_name: str
    step: FloatArray
    kl: FloatArray
    reward: FloatArray
    length: FloatArray | None
    run: npt.NDArray[np.object_]
    notes: tuple[str, ...] = ()

    def keep(self, mask: BoolArray) -> LogRows:
        """Return the checkpoints where ``mask`` holds."""
        length = None if self.length is None else self.length[mask]
        arrays = (self.step[mask], self.kl[mask], self.reward[mask], length, self.run[mask])
        return LogRows(self.kl_name, self.kl_unit, self.reward_name, *arrays, self.notes)


def no_length(path: Path, kl: str) -> str:
    """Say that nats per token cannot be converted."""
    return (
        f"{path}: {kl!r} is in nats per token and there is no mean length to convert it with; give the mean number of "
        "tokens per response, or what holds it (length)."
    )
