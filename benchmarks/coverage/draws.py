"""Rules by draws: gains, and shares of the limit, of tables of rewards whose kinds of prompts are those of `kinds`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.estimation import fit_frontier
from alignlib.laws import PromptAverage
from alignlib.rules import (
    BestOfPoisson,
    ChiSquaredPessimism,
    LearntThreshold,
    RejectionSampling,
    Rule,
    SoftBestOfN,
    ThresholdStopping,
)
from benchmarks.coverage.kinds import PIECE, REPLICATES, SHAPES, Kinds, of_each
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["TOPIC"]


def _rules(make: Callable[[], Kinds]) -> Trial:
    kinds = make()
    lam = 1.0 / math.sqrt(np.mean([law.variance(0.0) for law in kinds.laws]))
    rules: list[Rule] = [
        SoftBestOfN(6.0, lam),
        ChiSquaredPessimism(6.0, lam),
        BestOfPoisson(2.0),
        ThresholdStopping(2.0),
        RejectionSampling(2.0, max(law.max_reward for law in kinds.laws)),
        LearntThreshold(6, 2),
    ]
    on = [[rule.on(law) for law in kinds.laws] for rule in rules]
    gains = np.array([[one.gain for one in row] for row in on])
    spent = np.array([[one.spent() for one in row] for row in on])

    @lru_cache(maxsize=64)
    def truth(meant: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        some = list(meant)
        limit = PromptAverage([kinds.laws[k] for k in meant]).gain_at_kl(spent[:, some].mean(axis=1))
        return gains[:, some].mean(axis=1), np.asarray(limit)

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        which, rows = kinds.table(rng, shape)
        gain, limit = truth(kinds.meant(which, rows))
        fewest = min(len(row) for row in rows)
        asked = [k for k, rule in enumerate(rules) if rule.needs <= fewest]  # of the samples of a prompt
        try:
            found = fit_frontier(rows, n_boot=REPLICATES, rng=rng).share([rules[k] for k in asked])
        except InputError:  # rewards that do not vary
            return {}
        said = {}
        for j, k in enumerate(asked):
            low, high = float(found.gain_low[j]), float(found.gain_high[j])
            said[f"gain of {rules[k].name}"] = Said(low, high, float(gain[k]))
            if found.share_low is not None and found.share_high is not None and found.supported is not None:
                low, high = float(found.share_low[j]), float(found.share_high[j])
                said[f"share of {rules[k].name}"] = Said(low, high, float(gain[k] / limit[k]), bool(found.supported[j]))
        return said

    return trial


TOPIC = Topic(
    "rules by draws", of_each("rules by draws", _rules), tuple(one for one in SHAPES if one != "2000 × 8"), PIECE
)
