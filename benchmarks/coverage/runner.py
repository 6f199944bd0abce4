"""The pieces of the study shared out over processes, one line of JSON each; what is done already is not done again."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from alignlib._core.crew import Crew, Over
from benchmarks.coverage.populations import POPULATIONS
from benchmarks.coverage.standing import Key, counted
from benchmarks.coverage.study import PARTS, SHAPES, try_tables
from benchmarks.coverage.topics import topic_of, topics, try_topic, version_of

__all__ = ["DEEP_LAWS", "DEEP_SHAPES", "left", "run"]

_PIECE = 25  # tables
_Piece = tuple[str | None, str, str, int, int, str]  # module of laws, law, shape, first table, tables, part
# The deep level: laws of others and the library's own in turn; all laws at the cheapest shapes first.
DEEP_LAWS = (
    "blind: Weibull 1.5, scales over 20x",
    "normal, scales over 100x",
    "blind2: Likert 1 to 7, skew by prompt",
    "0/1, rates from .003 to .3",
    "blind: normal, exponential and uniform prompts",
    "skewed to the left",
    "blind2: gamma, shape .4 (70 % of prompts) and 1.5",
    "two modes",
    "blind: half exactly zero, the rest graded",
    "gamma, scales over 100x",
    "blind2: reward-model logits, six topics with shared means, scales over 3x",
    "a jackpot in 1000 responses",
    "blind2: Student t, 12 degrees, clipped to [-5, 5], means and scales by prompt",
    "blind: 0/1, rates beta(.3, 1)",
)
DEEP_SHAPES = ("30 × 64", "100 × 16", "40 × 10–40", "10 × 1000", "200 × 64", "1 × 2000", "2000 × 8", "20000 × 4")


def run(
    out: Path,
    workers: int,
    tables: int,
    laws: Sequence[str] | None = None,
    shapes: Sequence[str] | None = None,
    laws_from: str | None = None,
    *,
    deep: bool = False,
    others: bool = False,
    of_topics: Sequence[str] | None = None,
    parts: Sequence[str] | None = None,
    onto: Path | None = None,
) -> None:
    """Append what ``out`` lacks of so many tables a cell, of the laws and shapes named (all by default).

    With ``deep`` the laws and shapes are those of the deep level, in its order; with ``others`` they are those of
    `topics`, what is not said of a table of rewards, or of the topics named, shape by shape. What an
    earlier version of the code counted stays in the file and does not stand for the present one. ``parts`` are those of
    the statements on rewards; tables that ``onto``, a table of the book, has counted already are not drawn.
    """
    _register(laws_from)
    done, standing = _done(out), {} if onto is None else counted(onto)
    if others or of_topics:
        _share_out(out, workers, _other_pieces(tables, laws, shapes, done, of_topics, deep=deep, standing=standing))
        return
    wanted = None if shapes is None else {part.replace("x", " × ") for part in shapes}
    pieces = [
        (laws_from, name, shape.name, first, count, part)
        for shape in sorted(SHAPES, key=lambda one: -one.prompts * one.samples)
        for name in POPULATIONS
        if (not laws or any(word in name for word in laws)) and (wanted is None or shape.name in wanted)
        for part in (PARTS if parts is None else parts)
        if shape.has(part)
        for first, count in _lacking((name, shape.name, part), tables, _PIECE, done, standing)
    ]
    pieces.sort(key=lambda one: one[3] // _PIECE)
    if deep:
        pieces = [one for one in pieces if one[1] in DEEP_LAWS and one[2] in DEEP_SHAPES]
        pieces.sort(key=lambda one: (DEEP_SHAPES.index(one[2]) // 2, DEEP_LAWS.index(one[1]), one[3]))
    _share_out(out, workers, pieces)


def _other_pieces(
    tables: int,
    laws: Sequence[str] | None,
    shapes: Sequence[str] | None,
    done: Mapping[Key, set[int]],
    of_topics: Sequence[str] | None = None,
    *,
    deep: bool = False,
    standing: Mapping[Key, tuple[int, int]] | None = None,
) -> list[_Piece]:
    """Return the pieces of what is not said of a table of rewards.

    A first part of every cell comes before the next, and of it the first shape of every topic, which is the cheapest;
    with ``deep`` one shape is finished before the next.
    """
    found: list[tuple[int, _Piece]] = [
        (place, (None, law, shape, first, count, ""))
        for topic in topics()
        if not of_topics or topic.name in of_topics
        for law in topic.laws
        for place, shape in enumerate(topic.shapes)
        if (not laws or any(part in law for part in laws))
        and (not shapes or any(_close(part) in _close(shape) for part in shapes))
        for first, count in _lacking((law, shape, ""), tables, topic.piece, done, standing or {})
    ]
    return [piece for _, piece in sorted(found, key=lambda one: (one[0], one[1][3]) if deep else (one[1][3], one[0]))]


def _close(shape: str) -> str:
    """Return a shape as it is typed either way: 100x16 and 100 × 16 are one."""
    return shape.replace("x", "×").replace(" ", "")


def _lacking(
    key: Key, tables: int, piece: int, done: Mapping[Key, set[int]], standing: Mapping[Key, tuple[int, int]]
) -> list[tuple[int, int]]:
    drawn, tried = standing.get(key, (0, 0))
    return left(drawn + max(tables - tried, 0), piece, done.get(key, set()), drawn)


def left(tables: int, piece: int, done: set[int], start: int = 0) -> list[tuple[int, int]]:
    """Return first table and number of tables of the pieces that are missing, none of them longer than ``piece``.

    >>> left(300, 100, set(range(50)))
    [(50, 50), (100, 100), (200, 100)]
    """
    found: list[tuple[int, int]] = []
    for number in range(start, tables):
        if number in done:
            continue
        goes_on = bool(found) and sum(found[-1]) == number and number % piece != 0
        if goes_on:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return found


def _share_out(out: Path, workers: int, pieces: Sequence[_Piece]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file, Crew(_found, {"piece": workers}) as crew:
        for piece in pieces:
            crew.give("piece", piece)
        number = 0
        for job, found in filter(None, crew.answers()):
            if isinstance(found, Over) and not found.error:
                number += 1
                print(f"\r{number} of {len(pieces)} pieces", end="", file=sys.stderr, flush=True)
                continue
            if isinstance(found, Over):  # its process was killed; tried again by the next run
                _, name, shape, first, _, _ = job
                found = {"law": name, "shape": shape, "first": first, "error": found.error}
            file.write(json.dumps(found, ensure_ascii=False) + "\n")
            file.flush()
    print(file=sys.stderr)


def _register(laws_from: str | None) -> None:
    if laws_from:
        importlib.import_module(laws_from)


def _done(path: Path) -> dict[Key, set[int]]:
    """Return the numbers of the tables of each cell and part that the present code has counted."""
    found: dict[Key, set[int]] = {}
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line) if line.endswith("}") else {}
        part = one.get("part", "")
        if one and one.get("code") == version_of(one["law"], part):
            mine = found.setdefault((one["law"], one["shape"], part), set())
            mine.update(range(one["first"], one["first"] + one["tables"]))
    return found


def _found(asked: _Piece) -> Iterator[dict[str, Any]]:
    yield _piece(asked)


def _piece(asked: _Piece) -> dict[str, Any]:
    laws_from, name, shape, first, count, part = asked
    _register(laws_from)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            if topic_of(name) is not None:
                found = try_topic(name, shape, first, count)
            else:
                found = try_tables(name, next(one for one in SHAPES if one.name == shape), first, count, part=part)
        except Exception as error:  # kept beside the other pieces, and tried again by the next run
            return {"law": name, "shape": shape, "first": first, "error": f"{type(error).__name__}: {error}"}
        return {**found, "code": version_of(name, part)}
