"""What k responses do: pass@k, pass^k, maj@k and best-of-k by a verifier, of tables of checked answers.

A kind of prompts has a law of answers, one of which is right, a law of no answer, and scores of a verifier in levels,
drawn apart for right and wrong responses, so that every truth is a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator

from alignlib._core.checks import FloatArray, IntArray
from alignlib.pass_at_k import all_of_k, estimate_pass_at_k, majority_of_law, pass_at_k
from alignlib.tables import AnswerTable
from benchmarks.coverage.kinds import PIECE, SHAPES, TRIED
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["TOPIC", "Checked"]

_KS = (1, 4, 8)
Rates = Callable[[Generator, int], FloatArray]  # of being right


@dataclass(frozen=True)
class Checked:
    """Kinds of prompts, equally likely.

    Attributes
    ----------
    answer : array (kinds, answers + 1)
        Law of the answers, the right one first, none last.
    score : array (kinds, 2, levels)
        Law of the verifier's score of a right response, and of another.
    """

    answer: FloatArray
    score: FloatArray

    @classmethod
    def drawn(cls, rng: Generator, rates: Rates, wrong: int, none: float, sight: float, levels: int) -> Checked:
        """Draw kinds: ``wrong`` uneven other answers, and scores that are right by ``sight`` standard deviations."""
        right = np.clip(rates(rng, 60), 0.0, 1.0)
        others = rng.dirichlet(np.full(wrong, 0.5), size=60) * ((1.0 - right) * (1.0 - none))[:, None]
        answer = np.column_stack([right, others, (1.0 - right) * none])
        place = np.linspace(-2.0, 2.0 + sight, levels)
        shape = np.exp(-0.5 * (place - np.array([[sight], [0.0]])) ** 2)
        return cls(answer, np.broadcast_to(shape / shape.sum(axis=1, keepdims=True), (60, 2, levels)))

    def truth(self) -> dict[str, float]:
        """Return what is true on average over the kinds."""
        right, found = self.answer[:, 0], {}
        flags = np.arange(self.answer.shape[1] - 1) == 0
        for k in _KS:
            found[f"pass@{k}"] = float(np.mean(np.asarray(pass_at_k(right, k))))
            found[f"pass^{k}"] = float(np.mean(np.asarray(all_of_k(right, k))))
            found[f"maj@{k}"] = float(np.mean([majority_of_law(row[:-1], flags, k).value for row in self.answer]))
            found[f"best of {k} by a verifier"] = float(self._picked(k).mean())
            name = f"best of {k} by a verifier over the majority"
            found[name] = found[f"best of {k} by a verifier"] - found[f"maj@{k}"]
        return found

    def _picked(self, k: int) -> FloatArray:
        """How often the best-scored of k is right: one of those on the highest level, at random."""
        mass = np.stack([self.answer[:, 0], 1.0 - self.answer[:, 0]], axis=1)[..., None] * self.score
        level = mass.sum(axis=1)
        upto = np.cumsum(level, axis=1)
        highest = upto**k - (upto - level) ** k
        return np.asarray((highest * mass[:, 0] / np.maximum(level, 1e-300)).sum(axis=1))

    def table(self, rng: Generator, shape: str) -> AnswerTable:
        """Draw a table; where n is unequal, prompts that are more often right have fewer responses."""
        size = SHAPES[shape]
        kinds = rng.integers(len(self.answer), size=size.prompts)
        counts = size.counts(self.answer[kinds, 0])
        rows = [self._responses(rng, kind, n) for kind, n in zip(kinds.tolist(), counts.tolist(), strict=True)]
        none = self.answer.shape[1] - 1
        return AnswerTable.from_arrays(
            [(given == 0).astype(np.float64) for given, _ in rows],
            answer=[[None if one == none else f"answer {one}" for one in given.tolist()] for given, _ in rows],
            score=[score.astype(np.float64) for _, score in rows],
        )

    def _responses(self, rng: Generator, kind: int, n: int) -> tuple[IntArray, IntArray]:
        given = _drawn(rng, self.answer[kind], n)
        right, other = (_drawn(rng, row, n) for row in self.score[kind])
        return given, np.where(given == 0, right, other)


def _drawn(rng: Generator, law: FloatArray, n: int) -> IntArray:
    return np.minimum(np.searchsorted(np.cumsum(law), rng.random(n), "right"), law.size - 1)


def _checked(law: Callable[[], Checked]) -> Trial:
    checked = law()
    truth = checked.truth()

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        found = estimate_pass_at_k(checked.table(rng, shape), _KS, rng=rng)
        measured = {
            "pass@{}": found.some,
            "pass^{}": found.every,
            "maj@{}": found.majority,
            "best of {} by a verifier": found.picked,
            "best of {} by a verifier over the majority": found.difference,
        }
        return {
            name.format(k): Said(float(one.low[i]), float(one.high[i]), truth[name.format(k)])
            for name, one in measured.items()
            if one is not None
            for i, k in enumerate(_KS)
        }

    return trial


def _of(rates: Rates, wrong: int = 4, none: float = 0.1, sight: float = 1.0, levels: int = 7) -> Checked:
    return Checked.drawn(np.random.default_rng(20), rates, wrong, none, sight, levels)


def _by_rule(number: int) -> Checked:
    """Rates of beta laws, other answers, abstentions and a verifier that are drawn."""
    rng = np.random.default_rng([20, number])
    a, b = 10.0 ** rng.uniform(-1.3, 0.8, size=2)
    return Checked.drawn(
        rng,
        lambda rng, m: rng.beta(a, b, m),
        wrong=int(rng.integers(1, 12)),
        none=rng.uniform(0.0, 0.4),
        sight=rng.uniform(-0.5, 3.0),
        levels=int(rng.integers(2, 15)),
    )


_LAWS: dict[str, Callable[[], Checked]] = {
    "answers, even": lambda: _of(lambda rng, m: rng.random(m)),
    "answers, beta(.3, 1)": lambda: _of(lambda rng, m: rng.beta(0.3, 1.0, m)),
    "answers, near 0": lambda: _of(lambda rng, m: rng.beta(0.05, 5.0, m)),
    "answers, never or always": lambda: _of(lambda rng, m: (rng.random(m) < 0.8).astype(float)),
    "answers, alike": lambda: _of(lambda rng, m: np.full(m, 0.3), wrong=2, none=0.0),
    "answers, rare": lambda: _of(lambda rng, m: np.where(rng.random(m) < 0.1, 0.5, 0.0)),
}
_LAWS |= {f"blind by rule: answers {k}": partial(_by_rule, k) for k in range(1, 7)}


def unseen(law: str, shape: str) -> float:
    """Return the chance that no prompt of a table is one of the few that are ever right, where those are few."""
    return float((1.0 - (_LAWS[law]().answer[:, 0] > 0.0).mean()) ** SHAPES[shape].prompts) if "rare" in law else 0.0


TOPIC = Topic("answers", {name: partial(_checked, law) for name, law in _LAWS.items()}, TRIED, PIECE, unseen)
