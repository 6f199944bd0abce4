"""The KL of a policy to its base, on kinds of prompts whose KL is known: from the policy's responses and the base's.

A policy is a finite list of equally likely kinds of prompts. Of each kind responses are drawn with the logarithm of
their ratio, policy over base; token by token where a response is a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.special
from numpy.random import Generator

from alignlib._core.checks import FloatArray
from alignlib.answers.output.policy_kl import messages
from alignlib.training import KLSamples, PolicyKL, estimate_policy_kl
from alignlib.training.policy_kl import KLEstimate
from benchmarks.coverage.topics import Said, Topic, Trial

__all__ = ["SHAPES", "TOPIC"]

_KINDS = 40
_REPLICATES = 500
SHAPES = {  # prompts, and responses of each
    "30 × 1": (30, 1),
    "200 × 1": (200, 1),
    "1000 × 1": (1000, 1),
    "8 × 50": (8, 50),
    "50 × 8": (50, 8),
    "300 × 16": (300, 16),
    "one prompt × 400": (1, 400),
}


@dataclass(frozen=True)
class Answers:
    """One kind of prompt: its KL, and log-ratios of so many responses drawn from the policy, or from the base."""

    kl: float
    draw: Callable[[Generator, int, bool], FloatArray]  # generator, responses, from the base


def _shifted(mean: float) -> Answers:
    """Normal responses of unit spread whose mean the policy has moved."""
    return Answers(
        0.5 * mean**2,
        lambda rng, n, base: mean * (rng.standard_normal(n) + (0.0 if base else mean)) - 0.5 * mean**2,
    )


def _finite(base: FloatArray, policy: FloatArray) -> Answers:
    with np.errstate(divide="ignore"):
        ratio = np.log(policy) - np.log(base)
    kl = float(scipy.special.rel_entr(policy, base).sum())
    ends = np.cumsum(policy), np.cumsum(base)

    def draw(rng: Generator, n: int, from_base: bool) -> FloatArray:
        found = np.searchsorted(ends[int(from_base)], rng.random(n))
        return np.asarray(ratio[np.minimum(found, ratio.size - 1)])

    return Answers(kl, draw)


def _tilted(rng: Generator, outcomes: int, concentration: float, lam: float) -> Answers:
    """A drawn base, and the tilt of it by drawn rewards."""
    base = np.maximum(rng.dirichlet(np.full(outcomes, concentration)), 1e-12)
    base /= base.sum()
    policy = base * np.exp(lam * rng.standard_normal(outcomes))
    return _finite(base, policy / policy.sum())


def _by_rule(number: int) -> list[Answers]:
    """A number of outcomes, a concentration of the base, and tilts of prompts that are spread, all drawn."""
    rng = np.random.default_rng([15, number])
    outcomes = int(np.round(10.0 ** rng.uniform(0.5, 3.0)))
    concentration, middle, spread = (
        10.0 ** rng.uniform(-1.0, 0.5),
        10.0 ** rng.uniform(-1.0, 0.5),
        rng.uniform(0.0, 1.2),
    )
    lam = middle * np.exp(spread * rng.standard_normal(_KINDS))
    return [_tilted(rng, outcomes, concentration, float(one)) for one in lam]


def _midpoints() -> FloatArray:
    return np.asarray(scipy.special.ndtri((np.arange(_KINDS) + 0.5) / _KINDS))


def _hardly_moved() -> list[Answers]:
    return [_shifted(0.05)]


def _alike() -> list[Answers]:
    return [_shifted(1.4)]


def _spread() -> list[Answers]:
    return [_shifted(float(one)) for one in np.exp(0.5 * _midpoints())]


def _few_far() -> list[Answers]:  # one prompt in forty has moved far
    return [_shifted(0.5)] * (_KINDS - 1) + [_shifted(4.0)]


def _rare_word() -> list[Answers]:  # the policy has learnt a word that the base hardly ever says
    base = np.array([0.6, 0.399, 0.001])
    return [_finite(base, np.array([0.5, 0.5 - hit, hit])) for hit in np.geomspace(0.002, 0.4, _KINDS)]


def _best_of() -> list[Answers]:
    """Best of eight of a hundred responses, ranked differently on every prompt."""
    rank = np.arange(1, 101) / 100.0
    return [_finite(np.full(100, 0.01), rank**8 - (rank - 0.01) ** 8)]


def _answers(kinds: Callable[[], Sequence[Answers]]) -> Trial:
    known = kinds()
    each = np.array([one.kl for one in known])

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        prompts, n = SHAPES[shape]
        which = rng.integers(len(known), size=prompts)
        truth = float(each[which[0]] if prompts == 1 else each.mean())
        said = {}
        for base in (False, True):
            ratio = np.concatenate([known[k].draw(rng, n, base) for k in which])
            prompt = None if prompts == 1 else np.repeat(np.arange(prompts), n)
            samples = KLSamples(log_ratio=ratio, prompt=prompt)
            found = estimate_policy_kl(samples, sampled_from="base" if base else "policy", n_boot=_REPLICATES, rng=rng)
            best = found.best
            trusted = not _warned(found, best)
            if base:  # what the base hardly ever says is not in it, as the answer says: it is a lower bound
                said["KL of a policy, at least, from the base"] = Said(best.low, math.inf, truth, trusted)
            else:
                said["KL of a policy"] = Said(best.low, best.high, truth, trusted)
        return said

    return trial


def _warned(found: PolicyKL, one: KLEstimate) -> bool:
    """Whether the tool says that the interval of an estimate is not to be trusted."""
    label = one.about.label
    return any(text.startswith((f"{label}: one ", f"{label}: a log-ratio", "With ")) for text in messages(found))


def _sentences(cap: int, spread: float) -> Trial:
    """Sequences of tokens up to a cap, one of which ends them; every prompt has its own tilt of eight tokens."""
    rng = np.random.default_rng([16, cap])
    base = rng.dirichlet(np.ones(8), size=_KINDS)
    policy = base * np.exp(0.3 * np.exp(spread * _midpoints())[:, None] * rng.standard_normal((_KINDS, 8)))
    policy /= policy.sum(axis=1, keepdims=True)
    token_kl = scipy.special.rel_entr(policy, base).sum(axis=1)
    end = policy[:, 0]
    length = (1.0 - (1.0 - end) ** cap) / end
    ratio, ends = np.log(policy / base), np.cumsum(policy, axis=1)

    def trial(shape: str, rng: Generator) -> Mapping[str, Said]:
        prompts, n = SHAPES[shape]
        which = np.repeat(rng.integers(_KINDS, size=prompts), n)
        token = (rng.random((which.size, cap))[:, :, None] > ends[which][:, None, :]).sum(axis=2)
        stop = np.where((token == 0).any(axis=1), (token == 0).argmax(axis=1) + 1, cap)
        kept = np.arange(cap) < stop[:, None]
        row = np.nonzero(kept)[0]
        flat = np.minimum(token[kept], 7)
        samples = KLSamples(
            log_ratio=np.asarray(np.bincount(row, ratio[which[row], flat], minlength=which.size), dtype=np.float64),
            prompt=None if prompts == 1 else np.repeat(np.arange(prompts), n),
            n_tokens=stop.astype(np.float64),
            offsets=np.append(0, np.cumsum(stop)),
            token_log_ratio=ratio[which[row], flat],
            token_kl=token_kl[which[row]],
        )
        found = estimate_policy_kl(samples, n_boot=_REPLICATES, rng=rng)
        mine = which[:1] if prompts == 1 else np.arange(_KINDS)
        truth = float((token_kl * length)[mine].mean())
        trusted = not _warned(found, found.best)
        said = {"KL of a policy": Said(found.best.low, found.best.high, truth, trusted)}
        k1, each = found["k1"], found.best.per_token
        said["KL of a policy, k1"] = Said(k1.low, k1.high, truth, not _warned(found, k1))
        if each is not None:
            of_tokens = truth / float(length[mine].mean())
            said["KL of a policy, per token"] = Said(each[1], each[2], of_tokens, trusted)
        return said

    return trial


_KINDS_OF: dict[str, Callable[[], list[Answers]]] = {
    "all prompts moved alike": _alike,
    "hardly moved": _hardly_moved,
    "moved by prompt, KL over 50x": _spread,
    "one prompt in 40 moved far": _few_far,
    "a word that the base hardly says": _rare_word,
    "best of 8 of 100 responses": _best_of,
} | {f"blind by rule: policy {k}": partial(_by_rule, k) for k in range(1, 9)}


def unseen(law: str, shape: str) -> float:
    """Return the chance that no prompt of a table is of the kinds that carry a third of the KL."""
    prompts, _ = SHAPES.get(shape, (1, 1))  # a file may hold shapes of an earlier version
    if prompts == 1 or law not in _KINDS_OF:
        return 0.0
    each = np.sort([one.kl for one in _KINDS_OF[law]()])[::-1]
    carried = np.cumsum(each) / each.sum()
    loud = (int(np.searchsorted(carried, 1.0 / 3.0)) + 1) / each.size
    return float((1.0 - loud) ** prompts)


TOPIC = Topic(
    "policies",
    {name: partial(_answers, kinds) for name, kinds in _KINDS_OF.items()}
    | {
        "sentences of up to 20 tokens": partial(_sentences, 20, 0.4),
        "sentences of up to 60 tokens, prompts unlike": partial(_sentences, 60, 0.9),
    },
    tuple(SHAPES),
    unseen=unseen,
)
