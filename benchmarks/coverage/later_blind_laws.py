"""Twelve more laws, chosen by someone who has seen neither the estimator nor its results.

Every law is a finite list of kinds of prompts, as `Population` asks. Rewards that mix atoms with a density (refusals,
clipped scores) are given as atoms plus fine bins with ``ties=True``, which makes the KL of best-of-N that of the mixed
law. Prompts of one kind share a location as well as a scale: the locations are part of the laws.
"""

from collections.abc import Callable

import numpy as np
import scipy.special
import scipy.stats

from alignlib._core.checks import FloatArray
from benchmarks.coverage.populations import Population, Reward, Sampler, atoms, mixture, register

_Chance = Callable[[FloatArray], FloatArray]  # a distribution function, or what is left above it

_ndtr, _ndtri, _expit = scipy.special.ndtr, scipy.special.ndtri, scipy.special.expit


def _mid(k: int) -> FloatArray:
    """Midpoints of k equal parts of (0, 1)."""
    return np.asarray((np.arange(k) + 0.5) / k)


def _other(k: int, step: int) -> FloatArray:
    """The same midpoints in another fixed order (step coprime to k), so that two traits of a prompt hardly go along."""
    return _mid(k)[(np.arange(k) * step + step // 2) % k]


def _bins(cdf: _Chance, sf: _Chance, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    below, above = cdf(edges), sf(edges)
    prob = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))
    return 0.5 * (edges[1:] + edges[:-1]), prob


def _law(sample: Sampler, z: FloatArray, prob: FloatArray, *, ties: bool = False) -> Reward:
    order = np.argsort(z, kind="stable")
    z, prob = np.asarray(z, dtype=float)[order], np.asarray(prob, dtype=float)[order]
    keep = prob > 0.0
    return Reward(sample, z[keep], prob[keep], ties=ties)


@register("blind2: reward-model logits, six topics with shared means, scales over 3x")
def _topics() -> Population:
    mean = [-6.0, -2.5, -1.0, 0.5, 3.0, 7.0]
    share = [0.08, 0.22, 0.3, 0.25, 0.1, 0.05]
    scale = np.exp(np.log(3.0) / 3.92 * _ndtri(_mid(5)))
    laws = [mixture([(1.0, m, s)]) for m in mean for s in scale]
    return Population.of(*laws, chance=[c / 5 for c in share for _ in scale])


@register("blind2: reward-model logits, slightly skewed to the left, prompt means apart, scales over 20x")
def _logits() -> Population:
    k = 31
    scale, mean = np.exp(np.log(20.0) / 3.92 * _ndtri(_mid(k))), 2.0 * _ndtri(_other(k, 12))
    return Population.of(
        *(
            mixture([(0.85, m + 0.2 * s, 0.8 * s), (0.15, m - 1.1 * s, 1.2 * s)])
            for m, s in zip(mean, scale, strict=True)
        )
    )


@register("blind2: Likert 1 to 7, skew by prompt")
def _likert() -> Population:
    k, grade = 24, np.arange(1, 8)
    laws = []
    for centre, width in zip(4.6 + 2.2 * _ndtri(_mid(k)), 0.6 + 1.6 * _other(k, 7), strict=True):
        logit = -0.5 * ((grade - centre) / width) ** 2
        laws.append(atoms(grade, 0.985 * scipy.special.softmax(logit) + 0.015 / 7))
    return Population.of(*laws)


@register("blind2: verifier 0/1, rates beta(.2, .6)")
def _verifier() -> Population:
    rates = np.clip(scipy.stats.beta.ppf(_mid(50), 0.2, 0.6), 1e-6, 1 - 1e-6)
    return Population.of(*(atoms([0.0, 1.0], [1.0 - q, q]) for q in rates))


def _refusal(refused: float, mean: float, spread: float) -> Reward:
    z, p = _bins(
        lambda x: _ndtr((x - mean) / spread),
        lambda x: _ndtr((mean - x) / spread),
        np.linspace(mean - 9 * spread, mean + 13 * spread, 3001),
    )

    def sample(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        return np.where(rng.random(size) < refused, -4.0, mean + spread * rng.standard_normal(size))

    return _law(sample, np.append(z, -4.0), np.append((1 - refused) * p, refused), ties=True)


@register("blind2: refusals score exactly -4 (1 % to 97 % by prompt), answers graded")
def _refusals() -> Population:
    k = 20
    refused = np.clip(scipy.stats.beta.ppf(_mid(k), 0.4, 0.8), 0.01, 0.97)
    return Population.of(
        *(
            _refusal(q, m, s)
            for q, m, s in zip(refused, 0.5 + 0.8 * _ndtri(_other(k, 7)), 0.4 + 1.0 * _other(k, 9), strict=True)
        )
    )


def _ceiling(loss: float) -> Reward:
    gamma = scipy.stats.gamma(1.2, scale=loss)
    whole = gamma.cdf(10.0)
    deep = 10.0 * np.linspace(0.0, 1.0, 3001) ** 2  # points below the ceiling, dense at it
    z = 10.0 - 0.5 * (deep[1:] + deep[:-1])
    below = gamma.cdf(deep)
    prob = np.where(below[1:] < 0.5, np.diff(below), -np.diff(gamma.sf(deep))) / whole

    def sample(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        return np.asarray(10.0 - loss * scipy.special.gammaincinv(1.2, whole * rng.random(size)), dtype=np.float64)

    return _law(sample, z, prob)


@register("blind2: scores of 0 to 10 crowded under the ceiling, skewed to the left")
def _ceilings() -> Population:
    return Population.of(*(_ceiling(s) for s in np.exp(np.log(1.2) + 0.8 * _ndtri(_mid(16)))))


@register("blind2: rubric of five items worth 1, 1, 1, 2, 3, good and poor answers")
def _rubric() -> Population:
    k, worth, hard = 24, [1, 1, 1, 2, 3], np.array([-1.5, -0.5, 0.0, 0.5, 1.5])
    laws = []
    for ability, good in zip(1.3 * _ndtri(_mid(k)), 0.1 + 0.8 * _other(k, 7), strict=True):
        total = np.zeros(9)
        for share, lift in ((good, 1.0), (1.0 - good, -1.5)):
            p = np.array([1.0])
            for w, q in zip(worth, _expit(ability + lift - hard), strict=True):
                item = np.zeros(w + 1)
                item[0], item[w] = 1.0 - q, q
                p = np.convolve(p, item)
            total += share * p
        laws.append(atoms(np.arange(9), total))
    return Population.of(*laws)


def _gamma_law(shape: float) -> Reward:
    edges = np.concatenate([[0.0], np.geomspace(1e-10, 2.0, 2001), np.linspace(2.0, 250.0, 5001)[1:]])
    dist = scipy.stats.gamma(shape)
    return _law(lambda rng, size: rng.standard_gamma(shape, size), *_bins(dist.cdf, dist.sf, edges))


@register("blind2: gamma, shape .4 (70 % of prompts) and 1.5")
def _gammas() -> Population:
    return Population.of(_gamma_law(0.4), _gamma_law(1.5), chance=[0.7, 0.3])


def _clipped(mean: float, spread: float, bound: float = 5.0) -> Reward:
    dist = scipy.stats.t(12, loc=mean, scale=spread)
    z, p = _bins(dist.cdf, dist.sf, np.linspace(-bound, bound, 3001))

    def sample(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        return np.clip(mean + spread * rng.standard_t(12, size), -bound, bound)

    return _law(
        sample, np.concatenate([z, [-bound, bound]]), np.concatenate([p, [dist.cdf(-bound), dist.sf(bound)]]), ties=True
    )


@register("blind2: Student t, 12 degrees, clipped to [-5, 5], means and scales by prompt")
def _clips() -> Population:
    k = 20
    return Population.of(
        *(_clipped(m, s) for m, s in zip(1.2 * _ndtri(_mid(k)), np.exp(0.5 * _ndtri(_other(k, 7))), strict=True))
    )


@register("blind2: wrong or right answers, two modes, chance and gap by prompt")
def _modes() -> Population:
    k = 21
    return Population.of(
        *(
            mixture([(1 - q, m, 0.6), (q, m + gap, 0.35)])
            for q, m, gap in zip(
                _expit(np.linspace(-4.5, 2.5, k)), 1.0 * _ndtri(_other(k, 8)), 1.5 + 3.5 * _other(k, 13), strict=True
            )
        )
    )


def _winning(centre: float, spread: float) -> Reward:
    z, p = _bins(
        lambda x: _ndtr((x - centre) / spread),
        lambda x: _ndtr((centre - x) / spread),
        np.linspace(centre - 10 * spread, centre + 10 * spread, 3001),
    )
    return _law(lambda rng, size: _expit(centre + spread * rng.standard_normal(size)), _expit(z), p)


@register("blind2: win probabilities crowded at 1")
def _wins() -> Population:
    k = 20
    return Population.of(
        *(_winning(m, s) for m, s in zip(3.0 + 1.5 * _ndtri(_mid(k)), 0.6 + 1.2 * _other(k, 7), strict=True))
    )


@register("blind2: length-penalised, scores rise with a lognormal length that costs by the token, rounded to .1")
def _lengths() -> Population:
    laws = []
    for cost, mean in zip(np.geomspace(0.0005, 0.004, 12), 0.7 * _ndtri(_other(12, 5)), strict=True):
        laws.append(_length(cost, mean))
    return Population.of(*laws)


def _length(cost: float, mean: float) -> Reward:
    node = np.linspace(-8.0, 8.0, 641)
    weight = np.exp(-0.5 * node**2)
    weight /= weight.sum()
    shift = mean + 0.8 * node - cost * np.exp(5.5 + 0.7 * node)
    # rewards below -40 count as -40, in draws and in truths (about one in 10^7 at the dearest token)
    tenth = np.arange(-400, int(10 * (mean + 13.0)))
    edge = (tenth[:-1] + 0.5) / 10
    below, above = _ndtr(edge[:, None] - shift) @ weight, _ndtr(shift - edge[:, None]) @ weight
    inner = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))

    def sample(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        length = rng.standard_normal(size)
        raw = mean + 0.8 * length - cost * np.exp(5.5 + 0.7 * length) + rng.standard_normal(size)
        return np.clip(np.round(10.0 * raw), tenth[0], tenth[-1]) / 10.0

    return _law(sample, tenth / 10.0, np.concatenate([below[:1], inner, above[-1:]]), ties=True)
