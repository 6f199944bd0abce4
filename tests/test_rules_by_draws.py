"""Thresholds, rejection sampling and χ²-pessimism, against enumerations of their draws."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from alignlib import InputError
from alignlib.divergences import CHI_SQUARED, KL, REVERSE_KL, Renyi
from alignlib.estimation import fit_frontier
from alignlib.hacking import promise_gold
from alignlib.laws import Exponential, FiniteLaw, Gaussian, HeavyTailed, Laplace, Levels, PromptAverage, Uniform
from alignlib.rules import (
    BestOfN,
    ChiSquaredPessimism,
    LearntThreshold,
    OnLaw,
    RejectionSampling,
    Rule,
    SoftBestOfN,
    ThresholdStopping,
    named_rule,
    prepare,
)

REWARD, PROB = np.array([0.0, 1.0, 1.0, 2.5, -1.0]), np.array([0.1, 0.2, 0.3, 0.25, 0.15])
LAW = FiniteLaw(REWARD, PROB)
RULES = [
    ThresholdStopping(3.0),
    RejectionSampling(2.5),
    RejectionSampling(2.5, 4.0),
    ChiSquaredPessimism(3, 1.5),
    LearntThreshold(5, 2),
]


# ------------------------------------------------------------------ laws, by enumeration
@pytest.mark.parametrize(("n", "lam"), [(1, 2.0), (2, 0.3), (3, 1.5), (4, 40.0)])
def test_pessimism_is_the_enumeration_of_its_draws(n: int, lam: float) -> None:
    rule = ChiSquaredPessimism(n, lam)
    weight = rule.weight(LAW.levels)[LAW.levels.index]
    assert weight @ PROB == pytest.approx(1.0, rel=1e-14)
    policy = np.zeros(5)
    for drawn in itertools.product(range(5), repeat=n):
        w = weight[list(drawn)]
        kept = w / w.sum() if w.sum() else np.full(n, 1 / n)
        np.add.at(policy, list(drawn), kept * PROB[list(drawn)].prod())
    np.testing.assert_allclose(rule.on(LAW).policy, policy, rtol=1e-10)


def test_pessimism_with_an_offset_learnt_from_its_own_draws_tends_to_the_same() -> None:
    """What `choose` does, enumerated: the offset of the draws in place of the law's."""
    lam, apart = 1.5, []
    for n in (2, 4, 6):
        rule, policy = ChiSquaredPessimism(n, lam), np.zeros(5)
        for drawn in itertools.combinations_with_replacement(range(5), n):
            counts = np.bincount(drawn, minlength=5)
            chance = math.factorial(n) * np.prod(PROB**counts / [math.factorial(c) for c in counts])
            levels = Levels.of(REWARD[list(drawn)], None)
            w = rule.weight(levels)[levels.index]
            np.add.at(policy, list(drawn), chance * w / w.sum())
        apart.append(np.abs(policy - rule.on(LAW).policy).sum() / 2)
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 0.03


@settings(max_examples=60)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=8), st.floats(1.0, 30.0), st.integers(0, 2**32 - 1))
def test_threshold_stopping_has_the_most_reward_of_all_with_its_mean_draws(
    masses: list[float], n: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    prob = np.array(masses) / sum(masses)
    law = FiniteLaw(rng.normal(size=prob.size), prob)
    best = ThresholdStopping(n).on(law)
    assert best.policy.sum() == pytest.approx(1.0, rel=1e-12)
    assert (best.policy <= n * prob * (1 + 1e-12)).all()
    most = ThresholdStopping(n).draws_on(law.levels)
    assert most == pytest.approx(min(n, 1 / law.levels.mass[-1]), rel=1e-10)
    rejected = RejectionSampling(n)
    assert rejected.draws_on(law.levels) == pytest.approx(most, rel=1e-9)
    other = rng.dirichlet(np.ones(prob.size))
    other = prob + (other - prob) * min(1.0, ((n - 1) * prob / np.maximum(other - prob, 1e-300)).min())
    for mean in (rejected.on(law).mean_reward, other @ law.reward):
        assert mean <= best.mean_reward + 1e-9
    assert best.mean_reward >= BestOfN(n).on(law).mean_reward - 1e-9


def test_an_accepted_response_has_the_policy_and_takes_the_draws() -> None:
    law = FiniteLaw(np.append(REWARD, 9.0), np.append(PROB, 0.0))  # an outcome without mass keeps its place
    for rule in (ThresholdStopping(3.0), RejectionSampling(2.5), RejectionSampling(2.5, 4.0), ThresholdStopping(50.0)):
        kept = rule.draw(law, np.random.default_rng(1), 20_000)
        found = np.bincount(kept.outcome, minlength=6) / 20_000
        np.testing.assert_allclose(found, rule.on(law).policy, atol=0.015)
        assert kept.draws.min() >= 1
        mean = rule.draws_on(law.levels)
        assert abs(kept.draws.mean() - mean) < 4 * math.sqrt(mean * (mean - 1) / 20_000)


@pytest.mark.parametrize("highest", [None, 2.5, 3.0, 40.0])
def test_rejection_sampling_is_the_tilt_whose_largest_acceptance_is_one(highest: float | None) -> None:
    for n in (1.0, 1.001, 2.0, 3.9, 30.0):
        rule = RejectionSampling(n, highest)
        least, *_, most = rule.log_ratio(LAW.levels).tolist()
        lam = (most - least) / float(LAW.levels.reward[-1] - LAW.levels.reward[0])
        np.testing.assert_allclose(rule.on(LAW).policy, np.exp(LAW.log_policy(lam)), rtol=1e-9, atol=1e-14)
        assert rule.acceptance(LAW.levels).max() <= 1.0
        if math.isfinite(lam):
            assert rule.acceptance(LAW.levels) @ LAW.levels.mass == pytest.approx(1 / n, rel=1e-12)
            assert rule.draws_on(LAW.levels) == pytest.approx(n, rel=1e-12)
        else:
            assert n >= 4.0


def test_a_learnt_threshold_is_the_enumeration_of_what_it_learns_from() -> None:
    """Ties are broken by a uniform number, so the tail mass above the threshold is Beta-distributed."""
    n, place = 5, 2
    levels = LAW.levels
    policy = np.zeros_like(levels.mass)
    nodes = stats.beta(place, n - place + 1)
    for i in range(policy.size):
        low, high = levels.above[i], levels.above[i] + levels.mass[i]
        inside = integrate.quad(lambda x, a=low, b=high: nodes.pdf(x) * (min(x, b) - a) / x, low, 1, points=[high])
        policy[i] = inside[0]
    found = LearntThreshold(n, place).on(LAW)
    np.testing.assert_allclose(levels.policy_of(found.log_ratio), policy, rtol=1e-8)


def test_a_learnt_threshold_draws_as_it_says() -> None:
    rng = np.random.default_rng(0)
    rule, kept, counts = LearntThreshold(6, 3), np.empty(4000), np.empty(4000)
    for i in range(kept.size):
        rewards = rng.choice(REWARD, size=400, p=PROB)
        rewards[-1] = 99.0  # far enough away to be met by hardly any
        at = rule.choose(rewards, rng)
        kept[i], counts[i] = rewards[at], at + 1
    assert abs(kept.mean() - rule.on(LAW).mean_reward) < 4 * kept.std() / 63
    assert abs(counts.mean() - rule.draws) < 4 * counts.std() / 63
    drawn = np.array([rule.number_of_draws(rng) for _ in range(4000)])
    assert abs(drawn.mean() - rule.draws) < 4 * drawn.std() / 63
    assert LearntThreshold(6, 3, 3).draws == 2 + 3


# ------------------------------------------------------------------ closed forms
@pytest.mark.parametrize("n", [1.0, 1.5, 4.0, 1e6])
def test_threshold_stopping_without_ties(n: float) -> None:
    rule = ThresholdStopping(n)
    assert rule.spent_formula() == pytest.approx(math.log(n), abs=1e-15)
    assert rule.spent_formula(CHI_SQUARED) == pytest.approx(n - 1, rel=1e-12, abs=1e-12)
    assert rule.spent_formula(REVERSE_KL) == (0.0 if n == 1 else math.inf)
    assert rule.win_rate_formula() == 1 - 1 / (2 * n)
    assert rule.on(Uniform()).gain == pytest.approx((1 - 1 / n) / 2, rel=1e-9, abs=1e-12)
    assert rule.on(Exponential()).gain == pytest.approx(math.log(n), rel=1e-9, abs=1e-12)
    gaussian = n * stats.norm.pdf(stats.norm.isf(1 / n)) if n > 1 else 0.0
    assert rule.on(Gaussian()).gain == pytest.approx(gaussian, rel=1e-8, abs=1e-12)
    for law in (Laplace(), HeavyTailed(stats.t(3))):
        fine = FiniteLaw(law.quantile((np.arange(200_000) + 0.5) / 200_000))
        if n < 100:
            assert rule.on(law).gain == pytest.approx(rule.on(fine).gain, rel=2e-2, abs=1e-9)


@pytest.mark.parametrize(("n", "place"), [(2, 2), (8, 2), (30, 7), (400, 2)])
def test_a_learnt_threshold_without_ties(n: int, place: int) -> None:
    rule = LearntThreshold(n, place)
    fine = rule.on(FiniteLaw(np.arange(40_000)))
    assert fine.win_rate == pytest.approx(rule.win_rate_formula(), rel=1e-6)
    assert fine.kl == pytest.approx(rule.spent_formula(), rel=1e-4)
    assert fine.win_rate == pytest.approx(1 - place / (2 * (n + 1)), rel=1e-6)


def test_at_equal_draws_a_known_threshold_beats_best_of_n_beats_a_learnt_one() -> None:
    for n in range(2, 200):
        learnt = LearntThreshold(n, 2)
        draws = learnt.draws
        assert learnt.win_rate_formula() < draws / (draws + 1) < ThresholdStopping(draws).win_rate_formula()


@settings(max_examples=60)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=9), st.floats(0.0, 1e3), st.integers(0, 2**32 - 1))
def test_many_draws_of_pessimism_are_the_optimum_for_its_price(masses: list[float], lam: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prob = np.array(masses) / sum(masses)
    law = FiniteLaw(rng.normal(size=prob.size), prob)
    weight = ChiSquaredPessimism(4, lam).weight(law.levels)
    assert weight @ law.levels.mass == pytest.approx(1.0, rel=1e-12)

    def worth(ratio: np.ndarray) -> float:
        mass = law.levels.mass
        return float(lam * (mass * ratio) @ law.levels.reward - mass @ (ratio - 1) ** 2)

    best = worth(weight)
    for _ in range(5):
        other = rng.dirichlet(np.ones(weight.size)) / law.levels.mass
        for step in (1.0, 0.01):
            assert worth(weight + step * (other - weight)) <= best + 1e-9 * (1 + lam)


# ------------------------------------------------------------------ from samples
@pytest.mark.parametrize("rule", RULES, ids=[rule.title for rule in RULES])
def test_estimates_agree_with_the_exact_law(rule: Rule) -> None:
    rows = np.random.default_rng(1).choice(REWARD, p=PROB, size=(60, 64))
    exact, found = rule.on(LAW), rule.evaluate(prepare(rows), KL)
    wanted = (exact.spent(), exact.mean_reward, exact.win_rate)
    for values, want in zip((found.spent, found.mean, found.win_rate), wanted, strict=True):
        assert abs(values.mean() - want) < 4 * values.std() / np.sqrt(values.size) + 0.006 * abs(want)


@pytest.mark.parametrize("rule", [ThresholdStopping(4.0), LearntThreshold(6, 2)])
def test_rules_of_ranks_have_their_gain_from_samples_without_ties(rule: Rule) -> None:
    rows = np.random.default_rng(2).standard_normal((2000, 32))
    found, exact = rule.evaluate(prepare(rows)), rule.on(Gaussian())
    assert abs(found.mean.mean() - exact.gain) < 4 * found.mean.std() / np.sqrt(2000) + 0.002
    assert found.spent[0] == pytest.approx(exact.kl, rel=1e-9)


def test_a_pool_of_draws_stands_for_the_law() -> None:
    rng = np.random.default_rng(5)
    pool = rng.choice(REWARD, size=30, p=PROB)
    for rule in (ThresholdStopping(3.0), RejectionSampling(2.5)):
        kept = np.array([pool[rule.choose(pool, rng)] for _ in range(500)])
        assert abs(kept.mean() - rule.on(FiniteLaw(pool)).mean_reward) < 4 * kept.std() / math.sqrt(500)


# ------------------------------------------------------------------ by name, and refused
def test_rejection_sampling_from_samples_asks_for_the_largest_reward() -> None:
    """Of normal rewards no λ but 0 takes three draws: the largest of 16 samples would promise half a deviation."""
    rows = np.random.default_rng(3).uniform(size=(60, 16))
    fit = fit_frontier(rows, n_boot=100)
    for ask in (fit.share, lambda rule: fit.gold("reward", [rule]), lambda rule: promise_gold(fit, 0.7, rules=[rule])):
        with pytest.raises(InputError, match="largest reward there can be, which samples do not show"):
            ask(RejectionSampling(2.0))
    found, exact = fit.share(RejectionSampling(2.0, 1.0)), RejectionSampling(2.0).on(FiniteLaw(np.arange(2000) / 2000))
    assert found.gain_low[0] < exact.gain < found.gain_high[0]


@pytest.mark.parametrize("prob", [[0.7, 0.3], [0.3, 0.3, 0.2, 0.15, 0.05]])
@pytest.mark.parametrize("order", [1.01, 3.0, 10.0])
def test_spending_in_renyi_is_that_of_the_enumeration_or_said_to_be_open(order: float, prob: list[float]) -> None:
    """Few samples of rewards that tie do not tell high moments: the most that a rule can spend stands for them."""
    rng = np.random.default_rng(3)
    rules = [BestOfN(2), BestOfN(4), BestOfN(8), ThresholdStopping(2.0), SoftBestOfN(4.0, 2.0)]
    divergence, law = Renyi(order), FiniteLaw(np.arange(len(prob)), prob)
    exact = [rule.on(law) for rule in rules]
    spent = np.array([divergence.between(one.policy, law.prob) for one in exact])
    share = np.array([one.gain for one in exact]) / law.frontier(spent, divergence).gain
    opened = held = 0
    for _ in range(2):
        rows = rng.choice(len(prob), size=(40, 16), p=prob).astype(float)
        found = fit_frontier(rows, divergence=divergence, n_boot=100, rng=rng).share(rules)
        assert found.share_low is not None
        assert found.share_high is not None
        assert found.supported is not None
        told = found.spent_told
        assert (np.abs(found.spent - spent)[told] <= 0.3 * spent[told]).all()
        assert (found.spent >= spent - 1e-9)[~told].all()
        assert (found.spent <= np.log([2, 4, 8, 2, 4]) + 1e-9).all()
        assert not found.supported[~told].any()
        assert (found.share_high[~told] == 1.0).all()
        held += int(((found.share_low <= share + 1e-9) & (share <= found.share_high + 1e-9)).sum())
        opened += int((~told).sum())
    assert held >= 8  # of 10, at 95 %
    assert opened > 0 or order < 10.0


def test_shares_of_rules_with_an_edge_hold_on_grades() -> None:
    """What they spend has a bias that falls like 1/√n: shares held in 12 of 25 and 5 of 25 such tables without it."""
    rng = np.random.default_rng(1)
    laws = [FiniteLaw([0.0, 1.0, 2.0], prob) for prob in rng.dirichlet(np.full(3, 2.0), 20)]
    rules = [ThresholdStopping(2.0), RejectionSampling(2.0, 2.0)]
    gain, spent = (np.array([[f(r.on(law)) for law in laws] for r in rules]).mean(axis=1) for f in (_gain, _kl))
    share = gain / PromptAverage(laws).gain_at_kl(spent)
    held = np.zeros((2, 2))
    for _ in range(6):
        rows = np.array([rng.choice(3, size=16, p=laws[k].prob) for k in rng.integers(20, size=100)], dtype=float)
        found = fit_frontier(rows, n_boot=100, rng=rng).share(rules)
        assert found.share_low is not None
        assert found.share_high is not None
        held += [
            (found.share_low <= share) & (share <= found.share_high),
            (found.gain_low <= gain) & (gain <= found.gain_high),
        ]
    assert (held >= 5).all()


def _gain(rule: OnLaw) -> float:
    return rule.gain


def _kl(rule: OnLaw) -> float:
    return rule.spent()


def test_rules_by_name() -> None:
    assert named_rule("best-of-N:4") == BestOfN(4.0)
    assert named_rule("chi-squared-pessimism:8:0.5") == ChiSquaredPessimism(8.0, 0.5)
    assert named_rule("rejection-sampling:4:1") == RejectionSampling(4.0, 1.0)
    assert named_rule("learnt-threshold:8") == LearntThreshold(8, 2)
    for text, said in (
        ("best", "rule must be one of best-of-n:N, soft-best-of-n:N:LAM, best-of-poisson:MU, "),
        ("soft-best-of-n:8", "takes numbers as in soft-best-of-n:N:LAM; got 'soft-best-of-n:8'"),
        ("best-of-n:many", "takes numbers as in best-of-n:N; got 'best-of-n:many'"),
        ("threshold-stopping:0.5", r"n must lie in \[1, ∞\); got 0.5"),
        ("learnt-threshold:8:1", "place must lie in"),
        (4, "rule must be a name and numbers"),
    ):
        with pytest.raises(InputError, match=said):
            named_rule(text)  # type: ignore[arg-type]


def test_bad_input_is_named() -> None:
    rng = np.random.default_rng(0)
    for call, said in (
        (lambda: LearntThreshold(3, 4), "place must be one of the n draws to learn from; got 4, of 3"),
        (lambda: LearntThreshold(3, 2, 0.5), "responses must lie in"),
        (lambda: LearntThreshold(3).choose(np.zeros(3), rng), "more draws than the 3 to learn from; got 3"),
        (lambda: LearntThreshold(3).choose(np.array([3.0, 2.0, 1.0, 0.0]), rng), "Draw more"),
        (lambda: RejectionSampling(2, 1.0).on(LAW), "highest must be no less than every reward; got 1, and a rew"),
        (lambda: ChiSquaredPessimism(2, -1), r"lam must lie in \[0, ∞\); got -1"),
        (lambda: ThresholdStopping(2).draw(LAW, 0, 0), "size must lie in"),
        (lambda: RejectionSampling(2).on(Gaussian()), "law must be finite for rejection sampling"),
    ):
        with pytest.raises(InputError, match=said):
            call()
