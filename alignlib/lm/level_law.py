"""The base's law collapsed to reward levels: frontier, optimum and rules, and what each gives in gold.

What KL and reward can say of a base law is its mass on each reward level of each prompt: a table of a few thousand
rows instead of millions of responses. With the mean gold on each level it also gives the gold reward of every law that
depends on the reward alone: the optimum, best-of-N, soft best-of-n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from alignlib._core.checks import FloatArray, IntArray, require, require_range
from alignlib._core.files import write_whole
from alignlib._core.same import SameFields
from alignlib.laws import FiniteLaw, Levels, PromptAverage
from alignlib.rules import Rule

__all__ = ["LawCurve", "LevelLaw", "collapse"]

_COLUMNS = ["prompt", "reward", "mass", "gold"]


@dataclass(frozen=True, eq=False)
class LawCurve(SameFields):
    """Averages over prompts along one parameter.

    Attributes
    ----------
    kl : array (k,)
        KL to the base in nats.
    gain, gold_gain : array (k,)
        Gain over the base in reward and in gold.

    Examples
    --------
    >>> law = LevelLaw(np.zeros(2, dtype=np.int64), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    >>> found = law.optimum([0.0, np.inf])
    >>> found.kl.round(6).tolist(), found.gain.tolist(), found.gold_gain.tolist()
    ([0.0, 0.693147], [0.0, 0.5], [0.0, 0.5])
    """

    kl: FloatArray
    gain: FloatArray
    gold_gain: FloatArray


@dataclass(frozen=True, eq=False)
class LevelLaw(SameFields):
    """Base mass and mean gold of each reward level of each prompt: four columns of equal length.

    Parameters
    ----------
    prompt : array of int (levels,)
        Prompts, numbered from 0.
    reward : array (levels,)
        The level's reward.
    mass : array (levels,)
        Its base mass; each prompt's sum to one.
    gold : array (levels,)
        Its mean gold: the reward, where that is gold itself.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> prompt, reward = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.0, 1.0])
    >>> law = LevelLaw(prompt, reward, mass=np.array([0.5, 0.5, 0.9, 0.1]), gold=reward)
    >>> law.base_gold, law.along([BestOfN(2)]).gain.round(6).tolist()
    (0.3, [0.17])
    """

    prompt: IntArray
    reward: FloatArray
    mass: FloatArray
    gold: FloatArray

    @cached_property
    def rows(self) -> tuple[npt.NDArray[np.intp], ...]:
        """Where each prompt's levels stand."""
        return tuple(np.flatnonzero(self.prompt == x) for x in range(int(self.prompt.max()) + 1))

    @cached_property
    def laws(self) -> tuple[FiniteLaw, ...]:
        """The law of the reward on each prompt."""
        return tuple(FiniteLaw(self.reward[at], self.mass[at]) for at in self.rows)

    @cached_property
    def average(self) -> PromptAverage:
        """All prompts under one penalty: the frontier for a budget on the average KL."""
        return PromptAverage(self.laws)

    @cached_property
    def base_gold(self) -> float:
        """Mean gold of the base over prompts."""
        return float(np.mean([self.mass[at] @ self.gold[at] for at in self.rows]))

    def optimum(self, lam: npt.ArrayLike) -> LawCurve:
        """The optimum under one penalty at each λ: its KL, its gain, and what that gives in gold.

        Parameters
        ----------
        lam : array (k,)
            Inverse temperatures λ >= 0, ``inf`` allowed.

        Raises
        ------
        InputError
            If a λ is negative or not a number.
        """
        lams = np.atleast_1d(require_range("lam", lam, 0.0, allow_inf=True))
        ratio = [[family.log_ratio(float(v)) for v in lams] for family in self.laws]
        kl, gain = np.asarray(self.average.kl(lams)), np.asarray(self.average.gain(lams))
        return LawCurve(kl, gain, self._gold_gain(ratio))

    def along(self, rules: Sequence[Rule]) -> LawCurve:
        """Each of several rules on every prompt, such as ``BestOfN.along([2, 4])``.

        Parameters
        ----------
        rules : sequence of Rule
            Such as ``BestOfN.along([2, 4])``.
        """
        levels = [family.levels for family in self.laws]
        ratio = [[rule.log_ratio(one) for rule in rules] for one in levels]
        kl = np.mean([[one.kl_of(t) for t in row] for one, row in zip(levels, ratio, strict=True)], axis=0)
        gain = np.mean([[one.gain_of(t) for t in row] for one, row in zip(levels, ratio, strict=True)], axis=0)
        by_row = [[t[one.index] for t in row] for one, row in zip(levels, ratio, strict=True)]
        return LawCurve(kl, gain, self._gold_gain(by_row))

    def _gold_gain(self, log_ratio: list[list[FloatArray]]) -> FloatArray:
        """Gold above the base's of policies given by ``log(policy / base)`` on each prompt's levels."""
        per_prompt = [
            [float((self.mass[at] * np.expm1(t)) @ self.gold[at]) for t in ratio]
            for at, ratio in zip(self.rows, log_ratio, strict=True)
        ]
        return np.asarray(np.mean(per_prompt, axis=0))

    def write(self, path: Path | str) -> None:
        """Write the table as CSV, whole or not at all; masses and gold with 12 digits.

        Parameters
        ----------
        path : Path or str
            The file.
        """
        columns = (self.prompt, self.reward, self.mass, self.gold)
        lines = [f"{x:d},{r:.12g},{p:.12g},{g:.12g}" for x, r, p, g in zip(*columns, strict=True)]
        write_whole(path, "\n".join([",".join(_COLUMNS), *lines]) + "\n")

    @classmethod
    def read(cls, path: Path | str) -> LevelLaw:
        """Read a table that `write` wrote.

        Parameters
        ----------
        path : Path or str
            The file.

        Raises
        ------
        InputError
            If the file is not such a table, or a prompt's masses do not sum to one.
        """
        require(Path(path).is_file(), f"path must name a table of reward levels; there is no file {str(path)!r}.")
        table = pd.read_csv(path)
        require(
            list(table.columns) == _COLUMNS,
            f"{str(path)!r} must have the columns {_COLUMNS}; got {list(table.columns)}.",
        )
        numbers = {name: table[name].to_numpy() for name in _COLUMNS}
        law = cls(numbers["prompt"].astype(np.int64), *(numbers[name].astype(np.float64) for name in _COLUMNS[1:]))
        totals = [law.mass[at].sum() for at in law.rows]
        require(
            bool(np.allclose(totals, 1.0, rtol=0, atol=1e-9)) and bool(np.isfinite(law.gold).all()),
            f"{str(path)!r} must hold masses that sum to one for each prompt and finite gold; write it anew.",
        )
        return law


def collapse(log_prob: FloatArray, reward: FloatArray, gold: FloatArray | None = None) -> LevelLaw:
    """Collapse a law over all responses to its mass, and its mean gold, on each reward level.

    Parameters
    ----------
    log_prob : array (P, n)
        The base's log-probabilities in nats.
    reward : array (P, n)
        Reward of each response; equal values form a level.
    gold : array (P, n), optional
        The gold reward; the reward itself if omitted.

    Raises
    ------
    InputError
        If the shapes differ, or a row's probabilities do not sum to one within 1e-6.

    Examples
    --------
    >>> law = collapse(np.log([[0.5, 0.25, 0.25]]), np.array([[0.0, 1.0, 1.0]]), np.array([[2.0, 4.0, 6.0]]))
    >>> law.mass.tolist(), law.gold.tolist()
    ([0.5, 0.5], [2.0, 5.0])
    """
    counted = reward if gold is None else gold
    require(
        log_prob.ndim == 2 and log_prob.shape == reward.shape == counted.shape,
        f"log_prob, reward and gold must have one shape (P, n); got {log_prob.shape}, {reward.shape}, {counted.shape}.",
    )
    parts = []
    for x in range(len(log_prob)):
        levels = Levels.of(reward[x], np.exp(log_prob[x]))
        weighted = np.bincount(levels.index, weights=levels.prob * counted[x], minlength=levels.mass.size)
        value = levels.reward if gold is None else weighted / levels.mass
        parts.append((np.full(levels.mass.size, x), levels.reward, levels.mass, value))
    prompt, *columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return LevelLaw(prompt.astype(np.int64), *columns)
