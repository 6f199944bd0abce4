"""Blockwise best-of-N and particle filters, against enumerations of all that they draw."""

import itertools

import numpy as np
import pytest

from alignlib import InputError
from alignlib.lm import composed
from alignlib.lm.composed import (
    COLUMNS,
    PrefixWorld,
    blockwise_best_of_n,
    composed_rows,
    particle_filter,
    resampled_once,
)
from alignlib.lm.space import ResponseSpace
from alignlib.rules import BestOfN, SoftBestOfN


def made(n_content: int, length: int, seed: int = 0) -> PrefixWorld:
    rng = np.random.default_rng(seed)
    space = ResponseSpace(n_content, length)
    prob = rng.dirichlet(np.ones(space.size))
    prob[1] = 0.0  # a response that is never drawn
    return PrefixWorld.of(space, prob / prob.sum(), rng.normal(size=space.size))


def extend(world: PrefixWorld, node: int, before: np.ndarray, after: np.ndarray) -> dict[int, float]:
    """Chances of the nodes that follow one node."""
    here = before == node
    mass = np.bincount(after[here], world.prob[here])
    return {int(k): float(mass[k] / mass.sum()) for k in np.flatnonzero(mass)}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_blockwise_best_of_n_is_the_enumeration_of_its_draws(n: int) -> None:
    world = made(2, 2)
    first, whole = world.nodes(1), np.arange(7)
    value = world.mean(first, world.reward)
    start, policy = np.zeros(7, int), np.zeros(7)
    of_node = {int(k): value[first == k][0] for k in np.unique(first)}
    for drawn in itertools.product(extend(world, 0, start, first).items(), repeat=n):
        best = max((k for k, _ in drawn), key=lambda k: of_node[k])
        chance = np.prod([p for _, p in drawn])
        for second in itertools.product(extend(world, best, first, whole).items(), repeat=n):
            policy[max((k for k, _ in second), key=lambda k: world.reward[k])] += chance * np.prod(
                [p for _, p in second]
            )
    np.testing.assert_allclose(blockwise_best_of_n(world, n, 1).policy, policy, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_particle_filter_is_the_enumeration_of_its_draws(k: int) -> None:
    world, lam = made(2, 2, 3), 1.7
    first, whole = world.nodes(1), np.arange(7)
    lifted = np.exp(lam * world.reward)
    psi = world.mean(first, lifted)
    of_node = {int(node): psi[first == node][0] for node in np.unique(first)}
    policy, start = np.zeros(7), np.zeros(7, int)
    for drawn in itertools.product(extend(world, 0, start, first).items(), repeat=k):
        share = np.array([of_node[node] for node, _ in drawn])
        share /= share.sum()
        for ancestors in itertools.product(range(k), repeat=k):
            chance = np.prod([p for _, p in drawn]) * np.prod(share[list(ancestors)])
            going = [extend(world, drawn[i][0], first, whole).items() for i in ancestors]
            for ends in itertools.product(*going):
                weight = np.array([lifted[y] / psi[y] for y, _ in ends])
                for (y, _), part in zip(ends, weight / weight.sum(), strict=True):
                    policy[y] += chance * part * np.prod([p for _, p in ends])
    found = particle_filter(world, lam, k, 1)
    np.testing.assert_allclose(found.policy, policy, rtol=1e-9, atol=1e-14)


def test_one_block_is_best_of_n_and_soft_best_of_n() -> None:
    world = made(3, 3)
    np.testing.assert_allclose(blockwise_best_of_n(world, 4, 3).policy, BestOfN(4).on(world.law).policy, rtol=1e-10)
    soft = particle_filter(world, 1.5, 4, 3)
    np.testing.assert_allclose(soft.policy, SoftBestOfN(4, 1.5).on(world.law).policy, rtol=1e-9, atol=1e-15)
    base = particle_filter(world, 1.5, 1, 1)
    np.testing.assert_allclose(base.policy, world.prob, rtol=1e-10, atol=1e-15)
    assert base.tokens == pytest.approx(float(world.prob @ world.tokens_upto(3)), rel=1e-12)
    assert soft.tokens == pytest.approx(4 * base.tokens, rel=1e-12)


def test_samplers_stay_below_the_limit_and_particles_tend_to_the_optimum() -> None:
    world, lam = made(3, 2, 5), 2.0
    target = np.exp(world.law.log_policy(lam))
    apart = []
    for k in (1, 2, 4, 6):
        found = particle_filter(world, lam, k, 1)
        assert found.gain <= float(world.law.gain_at_kl(found.kl)) + 1e-10
        apart.append(np.abs(found.policy - target).sum() / 2)
    assert (np.diff(apart) < 0).all()
    assert apart[3] * 6 < 1.5 * apart[2] * 4  # like 1/K
    for n in (2, 4):
        found = blockwise_best_of_n(world, n, 1)
        assert found.gain <= float(world.law.gain_at_kl(found.kl)) + 1e-10


def test_bad_input_is_named() -> None:
    world = made(3, 4)
    for call, said in (
        (lambda: PrefixWorld.of(ResponseSpace(2, 2), np.full(3, 1 / 3), np.zeros(7)), "each of the 7 responses; got 3"),
        (lambda: blockwise_best_of_n(world, 2, 5), r"block must lie in \[1, 4\]; got 5"),
        (lambda: blockwise_best_of_n(world, 0, 2), "n must lie in"),
        (lambda: particle_filter(world, 1.0, 20, 2), "particles must be fewer, or block larger"),
        (lambda: particle_filter(world, -1.0, 2, 2), "lam must lie in"),
    ):
        with pytest.raises(InputError, match=said):
            call()


@pytest.mark.parametrize(("k", "lam", "depth"), [(1, 3.0, 1), (2, 0.4, 2), (3, 6.0, 2), (4, 1.5, 1)])
def test_one_resampling_by_integrals_is_its_enumeration(k: int, lam: float, depth: int) -> None:
    space = ResponseSpace(2, 2 * depth)
    rng = np.random.default_rng(k)
    prob = rng.dirichlet(np.full(space.size, 0.4))
    prob[rng.integers(space.size, size=3)] = 0.0  # responses that are never drawn
    world = PrefixWorld.of(space, prob / prob.sum(), rng.normal(size=space.size))
    enumerated, summed = particle_filter(world, lam, k, depth), resampled_once(world, lam, k, depth)
    np.testing.assert_allclose(summed.policy, enumerated.policy, rtol=1e-9, atol=1e-15)
    assert summed.tokens == pytest.approx(enumerated.tokens, rel=1e-11)


def test_many_particles_come_to_the_optimum_like_one_over_their_number() -> None:
    world, lam = made(3, 2, 5), 1.0
    target = np.exp(world.law.log_policy(lam))
    apart = [0.5 * np.abs(resampled_once(world, lam, k, 1).policy - target).sum() for k in (12, 24)]
    assert apart[1] / apart[0] == pytest.approx(0.5, abs=0.05)
    with pytest.raises(InputError, match="depth"):
        resampled_once(world, lam, 2, 2)


def test_rows_of_composed_samplers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composed, "DRAWS", (2, 4))
    world = made(2, 3)
    log_base = np.log(np.maximum(world.prob, 1e-12))[None]
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in composed_rows(log_base, world.reward[None], world.space, 1)]
    assert len(rows) == 4 * 2
    best = BestOfN(4).on(world.law)
    (found,) = (row for row in rows if row["sampler"] == "best-of-n" and row["draws"] == 4)
    assert (found["kl"], found["gain"]) == pytest.approx((best.kl, best.gain), rel=1e-6)
