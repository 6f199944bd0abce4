"""The matrix of coverage of chapter 30: points of a law, shape, statement and budget, in levels, and their tables."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.names import counted
from alignlib._core.same import SameFields

__all__ = ["UNSEEN", "Level", "Matrix"]

Names = npt.NDArray[np.str_]

UNSEEN = 0.05  # of the tables lack the prompts that matter most
# Versions of the estimator that are not the present one, the latest first, and what they are.
_BEFORE = {
    "207020df": "one that differs from it in what it says of fewer than twenty prompts, which were not counted with it",
    "cf55a329": "one that told where gold turns, of which alone its counts are, by neighbours on the path",
    "ca4e617c": "the one before these",
}
_DEEP = 50  # tables of a cell, and more
_TOO_WIDE = 0.99
_NAMES = ("law", "shape", "statement", "topic", "code")
_POINTWISE = (
    "at",
    "claimed",
    "held_claimed",
    "tried",
    "held",
    "width",
    "ratio",
    "unseen",
)  # a line holds several points
# Short, so that nine columns stand beside each other; the page says below what they count.
_HEAD = (
    " | points | hold | others' | tables | >\u00a099\u00a0% | width | <\u00a090\u00a0% | apart |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)
_PLACE = {"limit, own end": "part of the end", "share of the limit": "N =", "gain of best-of-N": "N ="}


@dataclass(frozen=True, eq=False)
class Matrix(SameFields):
    """Points in arrays of one length; ``numbers["cell"]`` is how many tables of their law and shape were tried."""

    law: Names
    shape: Names
    statement: Names
    topic: Names  # empty for tables of rewards
    numbers: dict[str, FloatArray]
    code: Names  # the version of the estimator that counted

    @classmethod
    def read(cls, path: Path) -> Matrix:
        """Read the table that ``python -m benchmarks.coverage table`` writes."""
        with path.open(encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        sizes = [len(line["at"].split()) for line in lines]
        names = {name: np.repeat([line[name] for line in lines], sizes) for name in _NAMES}
        numbers = {
            name: np.array([float(part) for line in lines for part in line[name].split()]) for name in _POINTWISE
        }
        for name in ("tables", "cell"):
            numbers[name] = np.repeat([float(line[name]) for line in lines], sizes)
        return cls(names["law"], names["shape"], names["statement"], names["topic"], numbers, names["code"])

    @property
    def given(self) -> FloatArray:
        """The share of claimed intervals that hold."""
        return np.asarray(self.numbers["held_claimed"] / np.maximum(self.numbers["claimed"], 1))

    @property
    def overall(self) -> FloatArray:
        """The share of all tables that are not misled."""
        return np.asarray(1.0 - (self.numbers["tried"] - self.numbers["held"]) / self.numbers["tables"])

    @property
    def bound(self) -> FloatArray:
        """Two standard errors of the simulation below 90 %."""
        return np.asarray(0.9 - 2.0 * np.sqrt(0.09 / np.maximum(self.numbers["claimed"], 1)))

    def versions(self) -> str:
        """Say how many cells of a law and shape each version of the estimator counted, the present one first."""
        cells: dict[str, set[tuple[str, str]]] = defaultdict(set)
        of_turns: set[str] = set()  # versions that are told by where gold turns, too
        whose = zip(self.law, self.shape, self.topic, self.code, self.statement, strict=True)
        for law, shape, topic, code, statement in whose:
            if str(statement).startswith("turn") and code not in _BEFORE:
                of_turns.add(str(code))
            elif not topic:
                cells[str(code)].add((str(law), str(shape)))
        order = [*(code for code in cells if code not in _BEFORE), *(code for code in _BEFORE if code in cells)]
        turns = f", where gold turns with its own version {' '.join(f'`{one}`' for one in sorted(of_turns))}"
        return "; ".join(
            f"{len(cells[code]):d} with {_BEFORE.get(code, 'the present version')} (`{code}`"
            f"{turns if of_turns and code not in _BEFORE else ''})"
            for code in order
        )

    def drawn(self, which: BoolArray) -> str:
        """Say on how many tables of a cell statements were tried at these points: one number, or from the least on."""
        low, high = (int(end(self.numbers["tables"][which])) for end in (np.min, np.max))
        return f"{low:d}" if low == high else f"{low:d} to {high:d}"

    def level(self, name: str) -> Level:
        """Return the deep level, of tables of rewards; the survey, of the cells that are not in it; or other topics."""
        deep, rewards = self.numbers["cell"] >= _DEEP, self.topic == ""
        mine = {"deep": rewards & deep, "survey": rewards & ~deep, "others": ~rewards}[name]
        enough = mine & (self.numbers["claimed"] >= np.maximum(self.numbers["tables"] / 3.0, 15))
        seen = self.numbers["unseen"] <= UNSEEN
        return Level(self, mine, enough, enough & seen, enough & ~seen)

    def pooled(self, which: BoolArray) -> float:
        """Return the share of claimed intervals that hold at these points together."""
        return float(self.numbers["held_claimed"][which].sum() / max(self.numbers["claimed"][which].sum(), 1.0))

    @property
    def blind(self) -> BoolArray:
        """Whether the law was chosen by somebody else."""
        return np.char.startswith(self.law, "blind")


@dataclass(frozen=True, eq=False)
class Level(SameFields):
    """One level: all its points, those that enough tables claim, and of these the ones kept and the ones set apart.

    Those set apart are of tables that often lack what the answer rests on.
    """

    matrix: Matrix
    every: BoolArray
    enough: BoolArray
    used: BoolArray
    apart: BoolArray

    @property
    def weak(self) -> BoolArray:
        """Points, kept, that hold in clearly less than 90 % of the tables that claim them."""
        return self.used & (self.matrix.given < self.matrix.bound)

    @property
    def weak_apart(self) -> BoolArray:
        """The same of those set apart."""
        return self.apart & (self.matrix.given < self.matrix.bound)

    def table(self, by: str) -> str:
        """Return a table in Markdown, a row a statement or a shape."""
        of = self.matrix.statement if by == "statement" else self.matrix.shape
        first = "| statement" if by == "statement" else "| prompts × samples"
        return first + _HEAD + "\n".join(self._row(name, of == name) for name in dict.fromkeys(of[self.used]))

    def _row(self, name: str, whose: BoolArray) -> str:
        matrix, which = self.matrix, self.used & whose
        ratios = matrix.numbers["ratio"][which]
        ratios = ratios[np.isfinite(ratios)]
        blind = which & matrix.blind
        cells = [
            name,
            f"{which.sum():d}",
            f"{matrix.pooled(which):.1%}",
            f"{matrix.pooled(blind):.1%}" if blind.any() else "",
            f"{matrix.overall[which].mean():.1%}",
            f"{(matrix.given[which] > 0.99).mean():.0%}",
            f"{np.median(ratios):.2f}" if ratios.size else "",
            f"{(which & self.weak).sum():d}",
            f"{(whose & self.weak_apart).sum():d}/{(whose & self.apart).sum():d}",
        ]
        return "| " + " | ".join(cells) + " |"

    def wide(self) -> str:
        """Return a list in Markdown: statements, and the shapes of tables for which over 99 % of the intervals hold."""
        matrix = self.matrix
        found: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys(matrix.statement[self.used]):
            for shape in dict.fromkeys(matrix.shape[self.used & (matrix.statement == name)]):
                which = self.used & (matrix.statement == name) & (matrix.shape == shape)
                if matrix.pooled(which) > _TOO_WIDE:
                    found[str(name)].append(f"{shape} ({matrix.pooled(which):.1%})")
        lines = [f"- {name}: {', '.join(shapes)}" for name, shapes in found.items()]
        return "\n".join(lines or ["- None."])

    def weak_points(self) -> str:
        """Return a list in Markdown: the weak points, worst first, then those set apart."""
        found = [*self._named(), *self._set_apart()]
        return "\n".join(found or ["- None lies below 90 % by more than the error of the simulation."])

    def _named(self) -> list[str]:
        matrix, given = self.matrix, self.matrix.given
        groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for i in np.flatnonzero(self.weak):
            groups[str(matrix.law[i]), str(matrix.shape[i]), str(matrix.statement[i])].append(int(i))
        found = []
        for (law, shape, what), some in sorted(groups.items(), key=lambda one: given[one[1]].min()):
            worst = some[int(given[some].argmin())]
            values = [float(matrix.numbers["at"][i]) for i in some]
            at = f", {_PLACE.get(what, 'at')} {', '.join(f'{one:g}' for one in values)}" if any(values) else ""
            tables = matrix.numbers["claimed"][worst]
            found.append(f"- {law}, {shape}, {what}{at}: {given[worst]:.0%} of {tables:.0f} tables")
        return found

    def _set_apart(self) -> list[str]:
        matrix, given = self.matrix, self.matrix.given
        places: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i in np.flatnonzero(self.weak_apart):
            places[str(matrix.law[i]), str(matrix.shape[i])].append(int(i))
        found = []
        for (law, shape), some in sorted(places.items(), key=lambda one: given[one[1]].mean()):
            claimed = matrix.numbers["claimed"][some]
            held = matrix.numbers["held_claimed"][some].sum() / claimed.sum()
            none = [i for i in some if given[i] == 0.0]
            never = f"; {len(none)} of them, of {_list(matrix, none)}, hold in no table" if none else ""
            found.append(
                f"- Set apart: {law}, {shape}: {held:.0%} of {claimed.sum():,.0f} intervals at "
                f"{counted(len(some), 'point')}, of {_list(matrix, some)}{never}"
            )
        return found


def _list(matrix: Matrix, some: list[int]) -> str:
    return "; ".join(dict.fromkeys(matrix.statement[some]))
