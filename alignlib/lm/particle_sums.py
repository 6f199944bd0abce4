"""A particle filter that resamples once, exactly, for any number of particles and as many prefixes as a world has.

K prefixes ``x`` are drawn, weigh ``w(x)``, and K new ones are drawn in proportion to that; each goes on to a response
``y``, and one response is returned in proportion to ``g(y)``. Both normalisers become integrals under which particles
are independent, ``1/Σg = ∫ e^{-tΣg} dt`` and ``1/(Σw)^K = ∫ s^{K-1} e^{-sΣw} ds / (K-1)!``. With
``φ_x(t) = E[e^{-tg}|x]`` the sum over the K prefixes that go on is a coefficient of a power of one polynomial,

    ``π(y) = K² g(y) p(y|x) ∫∫ e^{-tg(y)} p(x) s w(x) e^{-sw(x)} [z^{K-1}] e^{szw(x)φ_x} M(z)^{K-1} ds/s dt``

with ``M(z) = E_x e^{-sw+szwφ}``. All terms are positive, so nothing cancels. Derived here.
"""

from __future__ import annotations

import math

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray, as_number, as_whole
from alignlib.lm.composed import Composed, PrefixWorld, kept_by_weight

__all__ = ["resampled_once"]

_STEP = 0.3  # of log t: the integrand's Fourier transform has fallen to e^{-π²/0.3} there
_LOW, _HIGH = 34.0, 45.0
_CERTIFICATE = 1e-9


def resampled_once(world: PrefixWorld, lam: float, particles: int, depth: int) -> Composed:
    """Return the law of the response that a particle filter for ``π_λ`` returns, resampled after ``depth`` tokens.

    Like `particle_filter` with blocks of which only the first ends before the response does, but by two integrals
    instead of the sets of prefixes, whose number does not matter here.

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
    >>> from alignlib.lm.composed import particle_filter
    >>> from alignlib.lm.space import ResponseSpace
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
