"""Bad input, one case a line: what is wrong, a file that has it, a command that reads it, and what is said.

``CASES`` is what `tests/test_bad_input.py` runs and what the page "What it does with bad input" counts. A case that is
``read`` is not refused: the file is unusual but clear, and the command answers with exit code 0.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["CASES", "FILE", "Case"]

FILE = "FILE"  # stands for the path that `make` returns, wherever it is in `command`


class Case(NamedTuple):
    """One bad input.

    ``make(folder)`` writes the input into an empty folder and returns its path; ``command`` is what is typed after
    ``alignlib``; ``expected`` is part of the sentence on standard error (or of the answer, where ``read``).
    """

    family: str
    name: str
    make: Callable[[Path], Path]
    command: tuple[str, ...]
    expected: str
    read: bool = False


FRONTIER = ("frontier", FILE, "--reward", "reward")
CAPACITY = ("capacity", FILE)
KL = ("kl", FILE)
OVERLAY = ("overlay", FILE, "--kl-unit", "sequence")


def text(content: str | bytes, name: str = "t.csv") -> Callable[[Path], Path]:
    """Return what writes this content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return path

    return make


def rows(reward: Callable[[int, int], object] = lambda prompt, sample: (prompt + 3 * sample) % 7) -> str:
    """Return a table of 8 prompts with 8 samples each."""
    cells = [f"{prompt},{reward(prompt, sample)}" for prompt in range(8) for sample in range(8)]
    return "\n".join(["prompt_id,reward", *cells]) + "\n"


CASES: list[Case] = [
    Case("the file", "no such file", lambda folder: folder / "t.csv", FRONTIER, "There is no file"),
    Case("the file", "an empty file", text(""), FRONTIER, "is empty"),
    Case("the file", "a header without rows", text("prompt_id,reward\n"), FRONTIER, "has a header but no rows"),
    Case("the file", "another encoding", text(rows().encode("utf-16")), FRONTIER, "is not UTF-8 text"),
    Case("the file", "a truncated gzip file", text(gzip.compress(rows().encode())[:-9], "t.csv.gz"), FRONTIER, "gzip"),
    Case("columns", "no such column", text("prompt_id,rewrad\n0,1\n"), FRONTIER, "did you mean 'rewrad'?"),
    Case("values", "text among the rewards", text(rows() + "7,high\n"), FRONTIER, "'high' in row 66"),
    Case("JSON", "an array in a line", text(json.dumps([1]), "t.jsonl"), FRONTIER, "holds an array, not an object"),
]
