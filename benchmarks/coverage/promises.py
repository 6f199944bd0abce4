"""Gold promised from a correlation, of tables of rewards whose kinds of prompts are those of `kinds`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.divergences import CHI_SQUARED
from alignlib.estimation import fit_frontier
from alignlib.hacking import gold_range, measure_gold, promise_gold
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from benchmarks.coverage.kinds import PIECE, REPLICATES, TRIED, Kinds, of_each
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["TOPIC"]

_CORRELATION = 0.7
_NO_TILTS = [0.0]


def _promises(make: Callable[[], Kinds]) -> Trial:
    """The worst and the best gold of a given correlation under best-of-4, and a gold of which few rows are judged."""
    kinds = make()
    variance = np.array([law.variance(0.0) for law in kinds.laws])
    four = [BestOfN(4).on(law) for law in kinds.laws]
    gain, moved_mass = np.array([(one.gain, one.spent(CHI_SQUARED)) for one in four]).T
    # A gold that falls where the proxy is high, and noise: its gain and its correlation are sums over the laws.
    means, tops = [law.base_reward for law in kinds.laws], [law.quantile(0.85) for law in kinds.laws]

    def gold_of(kind: int, rewards: FloatArray) -> FloatArray:
        top = float(np.asarray(tops[kind]))
        return np.where(rewards < top, rewards, 2.0 * top - rewards) - means[kind]

    laws_of_gold = [FiniteLaw(gold_of(k, law.reward), law.prob) for k, law in enumerate(kinds.laws)]
    noise = 0.5 * math.sqrt(variance.mean())
    of_gold = np.array([law.variance(0.0) + noise**2 for law in laws_of_gold])
    moved = np.array([_moved(law, gold_of(k, law.reward)) for k, law in enumerate(kinds.laws)])
    covariance = np.array(
        [law.prob @ ((law.reward - law.base_reward) * gold_of(k, law.reward)) for k, law in enumerate(kinds.laws)]
    )

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        which, rows = kinds.table(rng, shape)
        meant = list(kinds.meant(which, rows))
        judged = [row[: 5 if len(rows) > 1 else 200] for row in rows]
        of_judged = meant if len(rows) == 1 else list(range(len(kinds.laws)))
        gold = [gold_of(int(k), row) for k, row in zip(which, judged, strict=True)]
        gold = [row + noise * rng.standard_normal(row.size) for row in gold]
        spread = variance[meant].mean()
        ends = gold_range(_CORRELATION, float(gain[meant].mean() / math.sqrt(spread)), float(moved_mass[meant].mean()))
        try:
            fit = fit_frontier(rows, n_boot=REPLICATES, rng=rng)
            subset = measure_gold(RewardTable.from_arrays(reward=judged, gold=gold), "reward", "gold", level=0.975)
        except InputError:  # rewards that do not vary
            return {}
        one = promise_gold(fit, _CORRELATION, rules=[BestOfN(4)], kl=_NO_TILTS)
        sure = not one.notes
        two = promise_gold(fit, subset.range, rules=[BestOfN(4)], kl=_NO_TILTS, level=0.975)
        each = zip(("gold promised from a correlation", "most gold from a correlation"), ends, strict=True)
        said = {name: Said(float(one.promised[0]), float(one.most[0]), float(end), sure) for name, end in each}
        correlation = covariance[of_judged].mean() / math.sqrt(variance[of_judged].mean() * of_gold[of_judged].mean())
        said["correlation from few rows, at 97.5 %"] = Said(subset.low, subset.high, float(correlation))
        truth = float(moved[meant].mean() / math.sqrt(of_gold[meant].mean()))
        said["gold from few rows"] = Said(float(two.promised[0]), float(two.most[0]), truth, not two.notes)
        return said

    return trial


def _moved(law: FiniteLaw, gold: FloatArray) -> float:
    """The gold that best-of-4 by the proxy gains, ties at random."""
    return float((BestOfN(4).on(law).policy - law.prob) @ gold)


TOPIC = Topic("promises", of_each("gold from a correlation", _promises), TRIED, PIECE)
