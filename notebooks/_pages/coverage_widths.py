"""Widths of our intervals beside those of plainer rules, of chapter 30: who covers, and who is narrower."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields

__all__ = ["COVERS", "LEAST", "MOST", "Widths"]

COVERS, MOST = 0.93, 1.2  # of the tables, for a rule whose width counts; of the best such rule's width
LEAST = 30  # tables
_RULES = ("ours", "bootstrap-t", "percentile", "delta")
_TITLES = {"percentile": "percentiles", "delta": "delta method"}
Names = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Widths(SameFields):
    """Points in arrays of one length: tables on which rules were ``tried``; of each rule, ``held`` and ``width``."""

    law: Names
    shape: Names
    statement: Names
    tried: FloatArray
    held: dict[str, FloatArray]
    width: dict[str, FloatArray]

    @classmethod
    def read(cls, path: Path, least: int = LEAST) -> Widths:
        """Read what ``python -m benchmarks.coverage table`` writes: points of at least so many tables."""
        with path.open(encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        sizes = [len(line["at"].split()) for line in lines]

        def numbers(name: str) -> FloatArray:
            return np.array([float(part) for line in lines for part in line[name].split()])

        enough = numbers("tried") >= least
        law, shape, statement = (
            np.repeat([line[name] for line in lines], sizes)[enough] for name in ("law", "shape", "statement")
        )
        held = {name: numbers(f"{name} held")[enough] for name in _RULES}
        width = {name: numbers(f"{name} width")[enough] for name in _RULES}
        return cls(law, shape, statement, numbers("tried")[enough], held, width)

    def covers(self, rule: str) -> BoolArray:
        """Tell at which points a rule holds in 93 % of the tables."""
        return np.asarray(self.held[rule] >= COVERS * self.tried)

    @property
    def ratio(self) -> FloatArray:
        """Our width over that of the narrowest other rule that covers; NaN where none does."""
        others = [np.where(self.covers(name), self.width[name], np.inf) for name in _RULES[1:]]
        best = np.min(np.where(np.isnan(others), np.inf, others), axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.isfinite(best), self.width["ours"] / best, np.nan)

    @property
    def alone(self) -> int:
        """The number of points at which no other rule covers."""
        return int(np.isnan(self.ratio).sum())

    @property
    def wider(self) -> BoolArray:
        """Points at which ours is more than 1.2 times as wide as the narrowest other rule that covers."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.ratio > MOST)

    def median_ratio(self, statement: str) -> float:
        """Return the median of `ratio` over the points of a statement."""
        return float(np.nanmedian(self.ratio[self.statement == statement]))

    def table(self) -> str:
        """Return a table in Markdown: of each statement, at how many points every rule covers, and the widths."""
        rows = [
            "| statement | points | " + " | ".join(_TITLES.get(one, one) for one in _RULES) + " | width | > 1.2 |",
            "|---|---|" + "---|" * len(_RULES) + "---|---|",
        ]
        for name in dict.fromkeys(self.statement):
            mine = self.statement == name
            parts = [
                f"{self.covers(one)[mine].mean():.0%}" if np.isfinite(self.held[one][mine]).all() else ""
                for one in _RULES
            ]
            ratio, wide = self.ratio[mine], self.wider[mine].sum()
            rows.append(
                f"| {name} | {mine.sum():d} | "
                + " | ".join(parts)
                + f" | {self.median_ratio(str(name)):.2f} | {wide:d} of {np.isfinite(ratio).sum():d} |"
            )
        return "\n".join(rows)

    def wide_cells(self) -> str:
        """Return a list in Markdown: by statement and shape, the laws at which ours is more than 1.2 times as wide."""
        found = []
        ratio = self.ratio
        for name in dict.fromkeys(self.statement):
            for shape in dict.fromkeys(self.shape[self.statement == name]):
                mine = self.wider & (self.statement == name) & (self.shape == shape)
                if mine.any():
                    laws = [
                        f"{law} ({ratio[mine & (self.law == law)].max():.2f})" for law in dict.fromkeys(self.law[mine])
                    ]
                    found.append(f"- {name}, {shape}: {'; '.join(laws)}")
        return "\n".join(found or ["- None."])
