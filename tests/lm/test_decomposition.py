"""Policies against limit and best-of-N on toy laws where everything can be computed otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from alignlib.laws import kl_to_optimum
from alignlib.lm.experiment.comparison import compare
from alignlib.lm.experiment.costs import break_even, equal_draws
from alignlib.lm.experiment.curves import Curves
from alignlib.lm.experiment.decomposition import best_of_n_waste, decompose, split_waste
from alignlib.lm.experiment.fixed_points import policy_law
from alignlib.lm.experiment.results import PerPrompt
from alignlib.lm.level_law import LevelLaw, collapse
from alignlib.rules import BestOfN
from tests.oracle import kl_to_tilt


def base_and_reward(seed: int, prompts: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    log_base = np.log(rng.dirichlet(np.full(20, 0.5), size=prompts))
    return log_base, rng.integers(0, 5, (prompts, 20)) * rng.choice([1.0, 2.0, 4.0], size=(prompts, 1))


def small_law(seed: int = 0, prompts: int = 4) -> LevelLaw:
    return collapse(*base_and_reward(seed, prompts))


@given(st.integers(0, 30), st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_theorem_waste_is_the_distance_to_the_optima(seed: int, spread: float) -> None:
    """Within prompts: the distance to each prompt's nearest optimum; in all: to the nearest with one λ for all."""
    log_base, reward = base_and_reward(seed)
    rng = np.random.default_rng(seed + 1)
    log_policy = log_base + reward / np.arange(1.0, 5.0)[:, None] + spread * rng.standard_normal((4, 20))
    log_policy -= np.logaddexp.reduce(log_policy, axis=1, keepdims=True)
    policy = policy_law(log_policy, log_base, reward, reward)
    split = split_waste(Curves(collapse(log_base, reward)), PerPrompt(policy.kl[None], policy.reward[None]))

    def distance(lam: float) -> np.ndarray:
        return kl_to_tilt(log_policy, log_base, reward, float(lam))

    def nearest(of: object) -> float:
        return float(optimize.minimize_scalar(of, bounds=(0.0, 40.0), method="bounded", options={"xatol": 1e-10}).fun)

    alone = [nearest(lambda v, x=x: distance(v)[x]) for x in range(4)]
    assert split.within[0] == pytest.approx(np.mean(alone), abs=2e-4)  # the curves are interpolated
    assert split.total[0] == pytest.approx(nearest(lambda v: distance(v).mean()), abs=2e-4)
    assert split.allocation[0] >= -1e-4


def test_curves_are_those_of_the_law() -> None:
    law = small_law(3)
    curves = Curves(law).weighed()
    kl = np.array([0.05, 0.3, 1.0])
    assert curves.limit(kl) == pytest.approx(law.average.gain_at_kl(kl), rel=2e-4)
    assert curves.least_kl(law.average.gain_at_kl(kl)) == pytest.approx(kl, abs=2e-4)
    exact = law.along(BestOfN.along([1.3, 2.0, 7.7, 60.0]))
    assert curves.best_of_n(exact.kl) == pytest.approx(exact.gain, rel=2e-3)
    assert curves.draws(exact.gain) == pytest.approx([1.3, 2.0, 7.7, 60.0], rel=2e-2)
    assert np.isinf(curves.draws(np.array([1e6]))[0])


def test_weights_stand_for_repeated_prompts() -> None:
    """A bootstrap's weights give what a law in which prompts are repeated gives."""
    log_base, reward = base_and_reward(5)
    curves = Curves(collapse(log_base, reward)).weighed(np.array([0.5, 0.25, 0.25, 0.0]))
    again = Curves(collapse(log_base[[0, 0, 1, 2]], reward[[0, 0, 1, 2]])).weighed()
    kl = np.array([0.1, 0.7])
    assert curves.limit(kl) == pytest.approx(again.limit(kl), rel=1e-9)
    assert curves.best_of_n(kl) == pytest.approx(again.best_of_n(kl), rel=1e-9)


def policies(law: LevelLaw, lam: float, seeds: int, noise: float, rng: np.random.Generator) -> PerPrompt:
    """The optimum on every prompt, with less reward that differs by prompt and seed."""
    kl = np.array([family.kl(lam) for family in law.laws])
    reward = np.array([family.mean_reward(lam) for family in law.laws])
    lost = noise * rng.random((seeds, len(kl)))
    return PerPrompt(np.tile(kl, (seeds, 1)), reward - lost)


def test_the_optimum_has_all_of_the_gain_and_is_above_best_of_n() -> None:
    law = small_law(1, 12)
    found = compare(Curves(law), policies(law, 1.0, 3, 0.0, np.random.default_rng(0)), resamples=60)
    assert found.share.mean == pytest.approx(1.0, abs=1e-3)
    assert found.wasted.mean == pytest.approx(0.0, abs=1e-3)
    assert found.over_share.side == found.over_gain.side == -found.over_wasted.side == 1
    assert found.best_share.mean + found.over_share.mean == pytest.approx(found.share.mean, abs=1e-12)
    kl = float(law.average.kl(1.0))
    exact = optimize.brentq(lambda n: float(law.along([BestOfN(n)]).kl[0]) - kl, 1.01, 500.0)
    best = law.along([BestOfN(exact)])
    assert found.gain.mean - found.over_gain.mean == pytest.approx(float(best.gain[0]), rel=2e-3)
    assert found.best_wasted.mean == pytest.approx(
        optimize.minimize_scalar(  # convex in λ
            lambda lam: kl_to_optimum(law.average, lam, kl, float(best.gain[0])), bounds=(0.05, 10.0)
        ).fun,
        abs=2e-3,
    )


def test_a_policy_above_the_limit_is_refused() -> None:
    law = small_law(1)
    found = policies(law, 1.0, 1, 0.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="gain must not exceed the limit at its KL; the largest share is"):
        compare(Curves(law), PerPrompt(found.kl, found.reward + 0.05), resamples=20)
    with pytest.raises(ValueError, match="must be on the 4 prompts of the curves; it is on 3"):
        compare(Curves(law), PerPrompt(found.kl[:, :3], found.reward[:, :3]))


def test_intervals_cover_what_other_prompts_and_seeds_would_give() -> None:
    """Tables of 30 prompts and 4 seeds, drawn from a world of prompts: 95% intervals cover the world's difference."""
    size = 150
    world = small_law(11, size)
    everything = Curves(world)
    rng = np.random.default_rng(2)
    lost = 0.4 * rng.random(size)  # a prompt's own, beside the seed's
    kl = np.array([family.kl(0.8) for family in world.laws])
    reward = np.array([family.mean_reward(0.8) for family in world.laws]) - lost

    def run(rows: np.ndarray, seeds: int) -> PerPrompt:
        shift = 0.1 * rng.standard_normal((seeds, 1))
        return PerPrompt(np.tile(kl[rows], (seeds, 1)), reward[rows] + np.minimum(shift, 0.15))

    everyone = np.arange(size)
    truth = compare(everything, run(everyone, 400), resamples=20).over_share.mean
    covered, tables = 0, 60
    for _ in range(tables):
        rows = rng.choice(size, size=30)
        part = Curves.__new__(Curves)
        part.law = world
        for name in ("limit_kl", "limit_gain", "best_kl", "best_gain"):
            setattr(part, name, getattr(everything, name)[rows])
        part.__dict__["base_reward"] = everything.base_reward[rows]
        found = compare(part, run(rows, 4), resamples=80, rng=int(rng.integers(1 << 30)))
        covered += found.over_share.low <= truth <= found.over_share.high
    assert covered >= 0.85 * tables  # nominal 95; 60 tables have a standard error of 3


def test_runs_on_prompts_of_their_own_are_compared_one_by_one() -> None:
    laws = [small_law(seed, 6) for seed in (20, 21, 22)]
    curves = [Curves(law) for law in laws]
    rng = np.random.default_rng(0)
    each = [policies(law, 1.0, 1, 0.2, rng) for law in laws]
    found = PerPrompt(np.concatenate([one.kl for one in each]), np.concatenate([one.reward for one in each]))
    whole = compare(curves, found, resamples=60)
    alone = [compare(curve, one, resamples=20) for curve, one in zip(curves, each, strict=True)]
    for name in ("share", "over_share", "wasted", "over_gain"):
        assert getattr(whole, name).mean == pytest.approx(np.mean([getattr(one, name).mean for one in alone]))
    assert whole.share.low < whole.share.mean < whole.share.high
    with pytest.raises(ValueError, match="curves must be one for each of 3 runs; got 2"):
        compare(curves[:2], found)


def test_parts_add_up_to_the_waste() -> None:
    law = small_law(4, 6)
    curves = Curves(law)
    rng = np.random.default_rng(0)
    fresh, few = (split_waste(curves, policies(law, lam, 3, noise, rng)) for lam, noise in ((1.0, 0.3), (1.4, 0.9)))
    parts = decompose(best_of_n_waste(curves, 0.4), fresh, few)
    assert parts.total == pytest.approx(float(few.total.mean()))
    assert decompose(best_of_n_waste(curves, 0.4), fresh).total == pytest.approx(float(fresh.total.mean()))


def test_best_of_n_wastes_what_is_said_of_it() -> None:
    law = small_law(6, 5)
    curve = law.along([BestOfN(4.0)])
    found = best_of_n_waste(Curves(law), float(curve.kl[0]))
    exact = float(curve.kl[0]) - float(law.average.kl_at_gain(float(curve.gain[0])))
    assert found.total[0] == pytest.approx(exact, abs=2e-3)


def test_draws_for_the_same_reward_pay_for_training() -> None:
    law = small_law(7, 6)
    curves = Curves(law)
    found = compare(curves, policies(law, 0.7, 2, 0.0, np.random.default_rng(0)), resamples=20)
    cost = break_even(curves, found, 1000)
    assert float(law.along([BestOfN(cost.draws)]).gain[0]) == pytest.approx(found.gain.mean, rel=2e-3)
    assert cost.queries * (cost.draws - 1.0) == pytest.approx(1000)
    # In tokens the longer responses of a policy count, too; one that is as long as N of the base's never pays.
    tokens = break_even(curves, found, 4000, of_base=4.0, of_policy=6.0)
    assert tokens.queries * (cost.draws * 4.0 - 6.0) == pytest.approx(4000)
    assert break_even(curves, found, 1.0, of_policy=cost.draws).queries == np.inf


def test_equal_draws() -> None:
    # One prompt, a thousand equal levels: best-of-N has win rate N/(N+1), the first of the best 1/N has 1 - 1/(2N).
    n = 1000
    law = LevelLaw(np.zeros(n, dtype=int), (np.arange(n) + 0.5) / n, np.full(n, 1.0 / n), np.zeros(n))
    found = equal_draws(law, [1.0, 4.0])
    assert found["best-of-N"].gain == pytest.approx([0.0, 0.3], abs=1e-3)
    assert found["first of the best 1/N"].gain == pytest.approx([0.0, 0.375], abs=1e-3)
    assert found["first of the best 1/N"].kl == pytest.approx([0.0, np.log(4.0)], abs=1e-9)
    name = "rejection sampling of the optimum"
    lam = float(law.average.lam_at_kl(float(found[name].kl[1])))
    draws = np.exp(lam * law.reward.max()) / (law.mass @ np.exp(lam * law.reward))
    assert draws == pytest.approx(4.0, rel=1e-2)
