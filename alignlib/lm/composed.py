"""Responses composed block by block, in a world small enough to enumerate: the exact laws of two samplers.

*Blockwise best-of-N* draws N continuations of one block, keeps the one with the highest value and goes on from it. A
*particle filter* (sequential Monte Carlo) carries K prefixes, each resampled in proportion to the rise of its value,
and returns one of the K responses in proportion to its weight. Values are exact here: the mean reward of the base
model's responses from a prefix on, and the mean of ``e^{λr}``. Tokens are counted, for blocks end where responses do.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, IntArray, as_law, as_number, as_vector, as_whole, frozen, require
from alignlib._core.same import SameFields
from alignlib.laws import FiniteLaw, Levels
from alignlib.lm.space import ResponseSpace
from alignlib.rules import BestOfN, weighted_choice

__all__ = [
    "COLUMNS",
    "DEPTH",
    "DRAWS",
    "Composed",
    "PrefixWorld",
    "blockwise_best_of_n",
    "composed_rows",
    "kept_by_weight",
    "particle_filter",
    "resampled_once",
]

_MOST_STATES = 20_000
_LEAST = 1e-300  # of a weight
# Of the integrals of a particle filter that resamples once.
_STEP = 0.3  # of log t: the integrand's Fourier transform has fallen to e^{-π²/0.3} there
_LOW, _HIGH = 34.0, 45.0
_CERTIFICATE = 1e-9
DRAWS = (2, 4, 8, 16, 32)
"""Particles, and N of best-of-N."""
DEPTH = 2
"""Tokens after which particles are resampled, and of a block."""
COLUMNS = ("sampler", "draws", "prompt", "lam", "kl", "gain", "tokens", "distance")


@dataclass(frozen=True, eq=False)
class Composed(SameFields):
    """What a sampler does on one prompt.

    Attributes
    ----------
    policy : array (size,)
        Its law over all responses.
    kl : float
        KL to the base in nats.
    gain : float
        Mean reward above the base's.
    tokens : float
        Mean number of tokens that it draws.
    """

    policy: FloatArray
    kl: float
    gain: float
    tokens: float


@dataclass(frozen=True, eq=False)
class PrefixWorld(SameFields):
    """A base law over the responses of a space, and their rewards, arrays of shape (size,).

    Parameters
    ----------
    space : ResponseSpace
        The responses.
    prob : array (size,)
        Base mass of each.
    reward : array (size,)
        Reward of each.

    Examples
    --------
    >>> world = PrefixWorld.of(ResponseSpace(2, 2), np.full(7, 1 / 7), np.arange(7.0))
    >>> world.law.base_reward, world.nodes(1).tolist()
    (3.0, [0, 1, 2, 1, 1, 2, 2])
    """

    space: ResponseSpace
    prob: FloatArray
    reward: FloatArray

    @classmethod
    def of(cls, space: ResponseSpace, prob: npt.ArrayLike, reward: npt.ArrayLike) -> PrefixWorld:
        """Check that there is a mass and a reward for every response.

        Parameters
        ----------
        space : ResponseSpace
            The responses.
        prob : array (size,)
            Base mass of each, summing to one.
        reward : array (size,)
            Reward of each.

        Raises
        ------
        InputError
            If there are more or fewer than responses, or the masses are no law.
        """
        rewards, masses = frozen(as_vector("reward", reward)), frozen(as_law("prob", prob))
        for name, held in (("reward", rewards), ("prob", masses)):
            require(
                held.size == space.size,
                f"{name} must hold one value for each of the {space.size} responses; got {held.size}.",
                name,
            )
        return cls(space, masses, rewards)

    @cached_property
    def law(self) -> FiniteLaw:
        """The law of whole responses."""
        return FiniteLaw(self.reward, self.prob)

    def nodes(self, depth: int) -> IntArray:
        """Return, for each response, what has been drawn of it after ``depth`` tokens, by number of the same prefix.

        Parameters
        ----------
        depth : int
            Tokens drawn so far.
        """
        width = np.asarray(self.space.tokens)[:, :depth]
        return self.space.index_of(width) if depth else np.zeros(self.space.size, np.int64)

    def tokens_upto(self, depth: int) -> FloatArray:
        """Return how many tokens of each response are drawn after ``depth``, its end counted where one is drawn.

        Parameters
        ----------
        depth : int
            Tokens drawn at most.
        """
        lengths = self.space.lengths.astype(np.float64)
        return np.minimum(np.minimum(lengths + 1.0, self.space.length), depth)

    def mean(self, nodes: IntArray, values: FloatArray) -> FloatArray:
        """Return the base's mean of ``values`` from each response's node on, shape (size,).

        Parameters
        ----------
        nodes : array of int (size,)
            As `nodes` gives them.
        values : array (size,)
            What is averaged.
        """
        mass = np.bincount(nodes, self.prob)
        with np.errstate(invalid="ignore"):
            return np.asarray((np.bincount(nodes, self.prob * values) / mass)[nodes])

    def found(self, policy: FloatArray, tokens: float) -> Composed:
        """Return a law with what it spends and gains.

        Parameters
        ----------
        policy : array (size,)
            A law over all responses.
        tokens : float
            Mean number of tokens drawn for it.
        """
        held = policy > 0.0
        kl = float(policy[held] @ np.log(policy[held] / self.prob[held]))
        return Composed(policy, max(kl, 0.0), float((policy - self.prob) @ self.reward), tokens)

    def steps(self, block: int) -> list[int]:
        """Return the depths at which blocks end.

        Parameters
        ----------
        block : int
            Tokens of a block, at least 1 and at most the length.
        """
        size = as_whole("block", block, 1, self.space.length)
        return [*range(size, self.space.length, size), self.space.length]


def blockwise_best_of_n(world: PrefixWorld, n: int, block: int) -> Composed:
    """Return the law of best-of-N block by block, ranked by the base's mean reward from each block's end on.

    Parameters
    ----------
    world : PrefixWorld
        The base law and the reward.
    n : int
        Draws of each block.
    block : int
        Tokens of a block; as many as the longest response has make it best-of-N.

    Examples
    --------
    >>> world = PrefixWorld.of(ResponseSpace(2, 2), np.full(7, 1 / 7), np.arange(7.0))
    >>> whole, halves = (blockwise_best_of_n(world, 2, block) for block in (2, 1))
    >>> bool(np.isclose(whole.kl, BestOfN(2).on(world.law).kl)), halves.gain > whole.gain, halves.kl > whole.kl
    (True, True, True)
    """
    rule = BestOfN(as_whole("n", n, 1))
    policy, before, tokens, start = world.prob.copy(), np.zeros(world.space.size, np.int64), 0.0, 0
    for depth in world.steps(block):
        after = world.nodes(depth)
        value = world.mean(after, world.reward)
        cost = world.tokens_upto(depth) - world.tokens_upto(start)
        ratio = np.ones(world.space.size)
        order = np.argsort(before, kind="stable")
        for here in np.split(order, np.flatnonzero(np.diff(before[order])) + 1):  # what goes on from one prefix
            here = here[world.prob[here] > 0.0]
            if not here.size:
                continue
            base = world.prob[here] / world.prob[here].sum()
            tokens += rule.n * float(policy[here].sum()) * float(base @ cost[here])
            child, at, which = np.unique(after[here], return_index=True, return_inverse=True)
            if child.size > 1:
                law = FiniteLaw(value[here][at], np.bincount(which, base))
                ratio[here] = np.exp(rule.on(law).log_policy - np.log(law.prob))[which]
        policy, before, start = policy * ratio, after, depth
    return world.found(policy, tokens)


def particle_filter(world: PrefixWorld, lam: float, particles: int, block: int) -> Composed:
    """Return the law of the response that a particle filter for ``π_λ`` returns.

    After each block a particle weighs ``ψ(new prefix)/ψ(old)`` with ``ψ = E e^{λr}`` of the base's responses from the
    prefix on; K new ones are drawn from the weighed ones, and go on. One of the K responses is returned by weight. The
    law of the sets of prefixes is enumerated, the last block by an integral.

    Parameters
    ----------
    world : PrefixWorld
        The base law and the reward.
    lam : float
        λ of the target.
    particles : int
        K; 1 gives the base.
    block : int
        Tokens between two resamplings; as many as the longest response has make it soft best-of-n.

    Raises
    ------
    InputError
        Where there are more than 20,000 sets of prefixes to enumerate.

    Examples
    --------
    >>> world = PrefixWorld.of(ResponseSpace(2, 2), np.full(7, 1 / 7), np.arange(7.0))
    >>> target = np.exp(world.law.log_policy(1.0))
    >>> apart = [abs(particle_filter(world, 1.0, k, 1).policy - target).sum() / 2 for k in (1, 2, 4)]
    >>> bool(apart[0] > apart[1] > apart[2])
    True
    """
    lam, k = as_number("lam", lam, 0.0), as_whole("particles", particles, 1)
    lifted = np.exp(lam * (world.reward - world.reward.max()))
    depths = world.steps(block)
    # Given the K prefixes before resampling, those after it go on as independent draws of one mixture.
    states: dict[tuple[int, ...], float] = {(0,): 1.0}
    before, psi, start, tokens = np.zeros(world.space.size, np.int64), np.ones(world.space.size), 0, 0.0
    share = np.ones(world.space.size)  # of a prefix when resampled, by its number
    for depth in depths[:-1]:
        after = world.nodes(depth)
        cost, next_psi = world.tokens_upto(depth) - world.tokens_upto(start), world.mean(after, lifted)
        following: dict[tuple[int, ...], float] = {}
        for state, chance in states.items():
            mixture = _mixture(world, before, state, share)
            tokens += chance * k * float(mixture @ cost)
            mass = np.bincount(after, mixture)
            nodes = np.flatnonzero(mass)
            sets = math.comb(nodes.size + k - 1, k)
            require(
                len(states) * sets <= _MOST_STATES,
                f"particles must be fewer, or block larger: {len(states) * sets:,} sets of prefixes are too many to "
                f"enumerate; got {k} particles and blocks of {block}.",
                "particles",
            )
            for drawn in itertools.combinations_with_replacement(nodes.tolist(), k):
                many = np.unique(drawn, return_counts=True)[1]
                ways = math.factorial(k) / math.prod(math.factorial(int(c)) for c in many)
                following[drawn] = following.get(drawn, 0.0) + chance * ways * float(np.prod(mass[list(drawn)]))
        share = np.zeros(world.space.size)
        share[after] = np.divide(next_psi, psi, out=np.zeros_like(psi), where=psi > 0.0)
        states, before, psi, start = following, after, next_psi, depth
    weight = np.divide(lifted, psi, out=np.zeros_like(psi), where=psi > 0.0)
    cost = world.tokens_upto(depths[-1]) - world.tokens_upto(start)
    policy = np.zeros(world.space.size)
    for state, chance in states.items():
        mixture = _mixture(world, before, state, share)
        tokens += chance * k * float(mixture @ cost)
        policy += chance * kept_by_weight(mixture, weight, k)
    return world.found(policy / policy.sum(), tokens)


def _mixture(world: PrefixWorld, before: IntArray, state: tuple[int, ...], share: FloatArray) -> FloatArray:
    """Return the base's law of responses on from the prefixes of a state, each in proportion to its share."""
    number, many = np.unique(state, return_counts=True)
    part = np.zeros(world.space.size)
    part[number] = many * share[number]
    mass = np.bincount(before, world.prob, world.space.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(part > 0.0, part / part.sum() / mass, 0.0)
    return np.asarray(world.prob * each[before])


def kept_by_weight(mixture: FloatArray, weight: FloatArray, k: int) -> FloatArray:
    """Return the law of one of k draws of ``mixture``, kept in proportion to its weight.

    Parameters
    ----------
    mixture : array (size,)
        The law that is drawn from.
    weight : array (size,)
        Weight of each outcome, >= 0.
    k : int
        Number of draws.
    """
    held = mixture > 0.0
    with np.errstate(divide="ignore"):
        levels = Levels.of(np.log(np.maximum(weight[held], _LEAST)), mixture[held] / mixture[held].sum())
    out = np.zeros_like(mixture)
    out[held] = np.exp(levels.log_policy_of(weighted_choice(levels, levels.reward, 1.0, float(k), "a particle filter")))
    return out


def resampled_once(world: PrefixWorld, lam: float, particles: int, depth: int) -> Composed:
    """Return the law of the response that a particle filter for ``π_λ`` returns, resampled after ``depth`` tokens.

    Like `particle_filter` with blocks of which only the first ends before the response does, but by two integrals
    instead of the sets of prefixes, whose number does not matter here.

    K prefixes ``x`` are drawn, weigh ``w(x)``, and K new ones are drawn in proportion to that; each goes on to a
    response ``y``, and one response is returned in proportion to ``g(y)``. Both normalisers become integrals under
    which particles are independent, ``1/Σg = ∫ e^{-tΣg} dt`` and ``1/(Σw)^K = ∫ s^{K-1} e^{-sΣw} ds / (K-1)!``. With
    ``φ_x(t) = E[e^{-tg}|x]`` the sum over the K prefixes that go on is a coefficient of a power of one polynomial,

        ``π(y) = K² g(y) p(y|x) ∫∫ e^{-tg(y)} p(x) s w(x) e^{-sw(x)} [z^{K-1}] e^{szw(x)φ_x} M(z)^{K-1} ds/s dt``

    with ``M(z) = E_x e^{-sw+szwφ}``. All terms are positive, so nothing cancels.

    Parameters
    ----------
    world : PrefixWorld
        The base law and the reward.
    lam : float
        λ of the target, >= 0.
    particles : int
        K >= 1; 1 gives the base.
    depth : int
        Tokens before the one resampling, from 1 to one less than the longest response has.

    Raises
    ------
    ArithmeticError
        Where the integrals do not sum to one within 1e-9.

    Examples
    --------
    >>> world = PrefixWorld.of(ResponseSpace(2, 2), np.full(7, 1 / 7), np.arange(7.0))
    >>> enumerated, summed = particle_filter(world, 1.0, 3, 1), resampled_once(world, 1.0, 3, 1)
    >>> bool(np.allclose(enumerated.policy, summed.policy, rtol=1e-9))
    True

    Source: we derive.
    """
    lam, k = as_number("lam", lam, 0.0), as_whole("particles", particles, 1)
    depth = as_whole("depth", depth, 1, world.space.length - 1)
    after = world.nodes(depth)
    lifted = np.exp(lam * (world.reward - world.reward.max()))
    psi = world.mean(after, lifted)
    held = np.flatnonzero(world.prob > 0.0)
    node, first = np.unique(after[held], return_index=True)
    weight = psi[held][first]
    weight = weight / weight.max()
    rank = np.searchsorted(node, after[held])
    mass: FloatArray = np.bincount(rank, world.prob[held]).astype(np.float64)
    # Responses of one prefix and one reward count as one.
    both, group = np.unique(np.stack([rank, lifted[held] / psi[held]]), axis=1, return_inverse=True)
    prefix, kept = both[0].astype(np.int64), both[1]
    share = np.bincount(group.reshape(-1), world.prob[held]) / mass[prefix]
    ratio = _ratio(prefix, kept, share, mass, weight, k)
    policy = np.zeros(world.space.size)
    policy[held] = world.prob[held] * ratio[group.reshape(-1)]
    total = float(policy.sum())
    if abs(total - 1.0) > _CERTIFICATE:
        raise ArithmeticError(f"a particle filter lost accuracy: its law sums to {total!r} with {k} particles.")
    early = world.tokens_upto(depth)
    late = world.tokens_upto(world.space.length) - early
    gone_on = kept_by_weight(world.prob, np.where(world.prob > 0.0, psi, 0.0), k)
    return world.found(policy / total, k * float(world.prob @ early + gone_on @ late))


def _ratio(
    prefix: IntArray, kept: FloatArray, share: FloatArray, mass: FloatArray, weight: FloatArray, k: int
) -> FloatArray:
    """Return policy over base of each group: ``kept`` is g, ``share`` a group's part of its prefix's mass."""
    step = _step_of(k)
    log_s = np.arange(-_LOW / k - math.log(k) - 1.0, math.log((_HIGH + 2.0 * k) / float(weight.min())), step)
    expected = np.exp(log_s)[:, None] * weight  # s w(x), of shape (s, prefixes)
    order = np.arange(float(k))[:, None]
    # The law of Poisson: (s w)^j e^{-s w} / j!, of shape (K, s, prefixes)
    chance = np.exp(order[..., None] * np.log(expected) - expected - scipy.special.gammaln(order + 1.0)[..., None])
    onward = np.ascontiguousarray((chance * expected).swapaxes(1, 2))
    log_t = np.arange(-_LOW - math.log(k * float(kept.max())), math.log(_HIGH / float(kept.min())), _STEP)
    found = np.zeros(kept.size)
    for t in np.exp(log_t).tolist():
        decay = np.exp(-t * kept)
        powers = np.bincount(prefix, share * decay) ** order  # of φ, (K, prefixes)
        others = _power((chance @ (mass * powers)[..., None])[..., 0], k - 1)
        inner = step * (powers * (onward @ others[::-1, :, None])[..., 0]).sum(axis=0)
        found += _STEP * t * k * k * kept * decay * inner[prefix]
    return np.asarray(found)


def _step_of(k: int) -> float:
    """The step of log s at which the trapezoidal rule is exact to rounding: where ``Γ(K + 2πi/step)`` has vanished."""
    step = 0.3
    while (scipy.special.loggamma(k + 2j * math.pi / step) - scipy.special.loggamma(k)).real > -_LOW:
        step *= 0.8
    return step


def _power(series: FloatArray, n: int) -> FloatArray:
    """Return the first coefficients of the n-th power of series, of shape (K, s)."""
    out = np.zeros_like(series)
    out[0] = 1.0
    while n:
        if n & 1:
            out = _product(out, series)
        series, n = _product(series, series), n >> 1
    return out


def _product(a: FloatArray, b: FloatArray) -> FloatArray:
    out = np.zeros_like(a)
    for j in range(len(a)):
        out[j:] += a[j] * b[: len(a) - j]
    return out


def composed_rows(
    log_base: FloatArray, gold: FloatArray, space: ResponseSpace, lam: float
) -> list[tuple[str, int, int, float, float, float, float, float]]:
    """Return a row of ``COLUMNS`` for each sampler and prompt.

    ``particles`` are resampled once, ``soft best-of-n`` at the end only; ``distance`` is the total variation to
    ``π_λ``, which both have as their target and the other two have not.

    Parameters
    ----------
    log_base, gold : array (P, size)
        Of every response.
    space : ResponseSpace
        The responses.
    lam : float
        λ of the target.
    """
    rows = []
    for prompt, (base, reward) in enumerate(zip(log_base, gold, strict=True)):
        prob = np.exp(base.astype(np.float64))
        world = PrefixWorld.of(space, prob / prob.sum(), reward.astype(np.float64))
        target = world.prob * np.exp(lam * (world.reward - world.reward.max()))
        target = target / target.sum()
        for n in DRAWS:
            found: dict[str, Composed] = {
                "particles": resampled_once(world, lam, n, DEPTH),
                "soft best-of-n": particle_filter(world, lam, n, space.length),
                "blockwise best-of-n": blockwise_best_of_n(world, n, DEPTH),
                "best-of-n": blockwise_best_of_n(world, n, space.length),
            }
            for name, one in found.items():
                apart = 0.5 * float(np.abs(one.policy - target).sum())
                rows.append((name, n, prompt, lam, one.kl, one.gain, one.tokens, apart))
    return rows
