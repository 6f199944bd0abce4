"""What a table often does not show: the loudest prompts, and the rare responses that most of an answer rests on.

Where none of them is in a table, no method can know of them from it. Points for which that happens often are set aside
in the summary, by name and not for how intervals did on them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation import few_prompts
from benchmarks.coverage.populations import POPULATIONS, Population, Reward
from benchmarks.coverage.study import DRAWS, SHAPES, TILTS
from benchmarks.coverage.topics import topic_of
from benchmarks.coverage.truth import Truth

__all__ = ["unseen"]

_TOGETHER = 20
_PART = 1.0 / 3.0  # of what is asked for rests on what may be missing


def unseen(law: str, shape: str, statement: str, at: float, end: float) -> float:
    """Return the chance that a table of a shape lacks what a third of the answer rests on.

    ``at`` is the point of the statement, ``end`` the usual end of the tables' support in nats. 0 for laws that are not
    registered.
    """
    if law not in POPULATIONS:
        topic = topic_of(law)
        return 0.0 if topic is None else topic.unseen(law, shape)
    end = float(f"{end:.2g}") if "own end" in statement else 0.0
    size = next(one for one in SHAPES if one.name == shape)
    counts = size.counts(np.arange(size.prompts))
    prompts, samples = size.prompts, float(counts.mean())
    if not few_prompts(counts):  # of few prompts all is said of these very ones
        loud = _loud_prompts(law, prompts)
        return max(loud, float((1.0 - _rare(law, None, statement, at, end)) ** (prompts * samples)))
    population = _population(law)
    chance = np.bincount(population.which, population.chance)
    _, first = np.unique(population.which, return_index=True)  # one law at several scales rests on the same responses
    rare = np.array([_rare(law, int(kind), statement, at, end) for kind in first])
    return float(chance @ (1.0 - rare) ** samples)


@lru_cache(maxsize=64)
def _population(law: str) -> Population:
    """Return the population with bins put together: a chance of not being seen needs no more."""
    found = POPULATIONS[law]()
    return replace(found, laws=tuple(_coarse(one) for one in found.laws))


def _coarse(law: Reward) -> Reward:
    if law.ties or law.z.size % _TOGETHER:
        return law
    prob = law.prob.reshape(-1, _TOGETHER).sum(axis=1)
    return replace(law, z=law.z.reshape(-1, _TOGETHER).mean(axis=1), prob=prob)


@lru_cache(maxsize=1024)
def _loud_prompts(law: str, prompts: int) -> float:
    return _population(law).unseen(prompts)


@lru_cache(maxsize=256)
def _truth(law: str, kind: int | None) -> Truth:
    population = _population(law)
    return Truth(population if kind is None else population.of_kind(kind), DRAWS, TILTS)


@lru_cache(maxsize=8192)
def _rare(law: str, kind: int | None, statement: str, at: float, end: float) -> float:
    """Return the chance of the responses that carry a third of a gain, those that weigh most for their chance."""
    truth = _truth(law, kind)
    parts = list(truth.kinds())
    if "best-of" in statement or statement.endswith("N"):
        if at not in DRAWS:
            return 1.0
        tilted = [one.best_of(np.array([at]))[1][0] for _, _, one in parts]
    else:
        if statement == "gold along λ":
            lam = at / truth.unit
        elif statement == "share of the limit":
            lam = truth.lam_at(float(np.interp(at, DRAWS, truth.spent)))
        else:
            lam = truth.lam_at(at * end if "own end" in statement else at)
        tilted = [_tilted(one.z, one.prob, lam * scale) for _, scale, one in parts]
    carried, mass, worth = [], [], []
    for (weight, scale, one), chance in zip(parts, tilted, strict=True):
        gained = weight * scale * chance * np.maximum(one.z - one.prob @ one.z, 0.0)
        carried.append(gained)
        mass.append(weight * one.prob)
        worth.append(np.divide(gained, weight * one.prob, out=np.zeros_like(gained), where=one.prob > 0.0))
    order = np.argsort(-np.concatenate(worth), kind="stable")
    share = np.cumsum(np.concatenate(carried)[order])
    last = int(np.searchsorted(share, _PART * share[-1]))
    return float(min(np.concatenate(mass)[order][: last + 1].sum(), 1.0))


def _tilted(z: FloatArray, prob: FloatArray, lam: float) -> FloatArray:
    x = lam * z
    weight = prob * np.exp(x - x[prob > 0.0].max())
    return np.asarray(weight / weight.sum())
