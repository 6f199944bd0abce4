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
_FIRST = 2  # pieces of every cell before any has more


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
        for first in range(0, tables, _PIECE)
        for shape in sorted(SHAPES, key=lambda one: -one.prompts * one.samples)
        for name in POPULATIONS
        if (not laws or any(part in name for part in laws))
        and (wanted is None or shape.name in wanted)
        and (name, shape.name, first) not in done
    ]
    pieces.sort(key=lambda one: _turn(one[1], one[3] // _PIECE))
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file, multiprocessing.get_context("spawn").Pool(workers) as pool:
        for number, found in enumerate(pool.imap_unordered(_piece, pieces), 1):
            file.write(json.dumps(found, ensure_ascii=False) + "\n")
            file.flush()
            print(f"\r{number} of {len(pieces)} pieces", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _turn(name: str, number: int) -> int:
    """Return when a piece has its turn: two of every cell, two more of the blind laws, then of all again."""
    return number if number < _FIRST or name.startswith("blind") else number + _FIRST


def _register(laws_from: str | None) -> None:
    if laws_from:
        importlib.import_module(laws_from)


def _done(path: Path) -> set[tuple[str, str, int]]:
    if not path.exists():
        return set()
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}"))
    return {(one["law"], one["shape"], one["first"]) for one in lines if "error" not in one}


def _piece(asked: tuple[str | None, str, Shape, int, int]) -> dict[str, Any]:
    laws_from, *arguments = asked
    _register(laws_from)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return try_tables(*arguments)
        except Exception as error:  # kept beside the other pieces, and tried again by the next run
            name, shape, first, _ = arguments
            return {"law": name, "shape": shape.name, "first": first, "error": f"{type(error).__name__}: {error}"}
