"""Finished runs, one line of JSON each, in one file: appended as they finish, read back in any order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from alignlib.lm.experiment.grid import key_of

__all__ = ["RunData", "RunStore"]


class RunData(TypedDict):
    """A finished run: its description, what it was trained from, its cost, and its policy's law prompt by prompt.

    ``prompts`` has by split the KL (nats) and reward of each prompt, and the gold where the reward is another; it is
    empty if the run diverged. ``length`` has the mean number of tokens of a response, ``to_optimum`` the mean KL to the
    optimum at the run's β, both by split; ``weights`` the policy itself, in base64, if the run is one of those kept.
    """

    run: dict[str, object]
    trained_from: str
    seconds: float
    device: str
    prompts: dict[str, dict[str, list[float]]]
    length: dict[str, float]
    to_optimum: dict[str, float | None]
    weights: str | None


class RunStore:
    """The file ``runs.jsonl`` of a folder. A line that a kill cut short is not a run, and is trained anew.

    Parameters
    ----------
    output : Path
        The folder.
    """

    def __init__(self, output: Path) -> None:
        self.path = output / "runs.jsonl"

    def read(self) -> dict[str, RunData]:
        """Return the finished runs by key."""
        if not self.path.is_file():
            return {}
        found: dict[str, RunData] = {}
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                data: RunData = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[key_of(data["run"])] = data
        return found

    def append(self, data: RunData | Mapping[str, object]) -> None:
        """Add one run.

        Parameters
        ----------
        data : RunData or mapping
            The run.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+", encoding="utf-8") as file:
            # A line cut short by a kill must not swallow the next one.
            end = file.seek(0, 2)
            if end and (file.seek(end - 1) is not None) and file.read(1) != "\n":
                file.write("\n")
            file.write(json.dumps(data) + "\n")
