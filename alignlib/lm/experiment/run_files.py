"""The files of finished runs: where each lies and what it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from alignlib.lm.experiment.grid import Run

__all__ = ["FORMAT", "CheckpointRow", "RunData", "finished", "run_path", "weights_path"]

FORMAT = 1


class CheckpointRow(TypedDict):
    """What a checkpoint has on one split, averaged over prompts; ``kl_to_optimum`` is None without β."""

    step: int
    completions: int
    split: str
    kl: float
    reward: float
    gold: float
    kl_to_optimum: float | None


class RunData(TypedDict):
    """The file of a finished run; ``prompts`` has the last checkpoint prompt by prompt, by split and measure."""

    format: int
    run: dict[str, object]
    trained_from: str
    seconds: float
    rows: list[CheckpointRow]
    prompts: dict[str, dict[str, list[float]]]


def run_path(output: Path, run: Run) -> Path:
    """Where a run's result lies once it is finished."""
    return output / "runs" / f"{run.key}.json"


def weights_path(output: Path, run: Run) -> Path:
    """Where the last policy of a run lies, if it is one of those kept."""
    return output / "checkpoints" / f"{run.key}.safetensors"


def finished(output: Path, run: Run) -> RunData | None:
    """Return a run's result, or None if there is none yet or it is of another format."""
    path = run_path(output, run)
    if not path.is_file():
        return None
    data: RunData = json.loads(path.read_text(encoding="utf-8"))
    return data if data["format"] == FORMAT else None
