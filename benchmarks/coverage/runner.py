"""The pieces of the study shared out over processes, one line of JSON each; what is done already is not done again."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.coverage.populations import POPULATIONS
from benchmarks.coverage.study import SHAPES, Shape, try_tables

__all__ = ["run"]

_PIECE = 25  # tables


def run(
    out: Path,
    workers: int,
    tables: int,
    laws: Sequence[str] | None = None,
    shapes: Sequence[str] | None = None,
    laws_from: str | None = None,
) -> None:
    """Append what ``out`` lacks of so many tables a cell, of the laws and shapes named (all by default)."""
    _register(laws_from)
    done = _done(out)
    wanted = None if shapes is None else {part.replace("x", " × ") for part in shapes}
    pieces = [
        (laws_from, name, shape, first, min(_PIECE, tables - first))
        for first in range(0, tables, _PIECE)  # every cell has some tables before any has all
        for shape in sorted(SHAPES, key=lambda one: -one.prompts * one.samples)
        for name in POPULATIONS
        if (not laws or any(part in name for part in laws))
        and (wanted is None or shape.name in wanted)
        and (name, shape.name, first) not in done
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file, multiprocessing.get_context("spawn").Pool(workers) as pool:
        for number, found in enumerate(pool.imap_unordered(_piece, pieces), 1):
            file.write(json.dumps(found, ensure_ascii=False) + "\n")
            file.flush()
            print(f"\r{number} of {len(pieces)} pieces", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _register(laws_from: str | None) -> None:
    if laws_from:
        importlib.import_module(laws_from)


def _done(path: Path) -> set[tuple[str, str, int]]:
    if not path.exists():
        return set()
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}"))
    return {(one["law"], one["shape"], one["first"]) for one in lines}


def _piece(asked: tuple[str | None, str, Shape, int, int]) -> dict[str, Any]:
    laws_from, *arguments = asked
    _register(laws_from)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return try_tables(*arguments)
