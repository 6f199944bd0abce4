"""Divergences and the frontiers of finite laws in them: duals, closed forms, and policies that do not do better."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.divergences import (
    CHI_SQUARED,
    HELLINGER,
    JENSEN_SHANNON,
    KL,
    REVERSE_KL,
    TOTAL_VARIATION,
    Divergence,
    Renyi,
)
from alignlib.divergences.divergence import check_declared
from alignlib.estimation import fit_frontier
from alignlib.laws import FiniteLaw, Gaussian, PromptAverage
from alignlib.laws.joint_newton import kept_outcomes
from alignlib.laws.optima import _one_by_one, optima
from alignlib.rules import BestOfN
from alignlib.rules.rank_rule import RankRule

SMOOTH = [KL, REVERSE_KL, CHI_SQUARED, HELLINGER, JENSEN_SHANNON, Renyi(0.5), Renyi(1.0 + 1e-7), Renyi(1.5), Renyi(4.0)]
ALL = [*SMOOTH, TOTAL_VARIATION]
laws = st.integers(0, 2**32 - 1).map(
    lambda seed: (lambda rng, k: (rng.normal(size=k).round(2), rng.dirichlet(np.ones(k))))(
        np.random.default_rng(seed), int(np.random.default_rng(seed).integers(2, 9))
    )
)


@pytest.mark.parametrize("divergence", [*ALL, *map(Renyi, (0.01, 0.99, 0.999, 1.001, 1.01, 100.0))])
def test_what_a_divergence_declares_holds(divergence: Divergence) -> None:
    if divergence != Renyi(1.0 + 1e-7):  # whose slope at ratio 1e-48 is still that of a logarithm
        check_declared(divergence)


class Typed(Divergence):
    """The KL of the base model to the policy, written by the recipe, with nothing declared."""

    name = "typed"
    label = "typed"

    def f(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(ratio - 1.0 - np.log(ratio))

    def slope(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 - 1.0 / ratio)

    def ratio_at(self, price: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / (1.0 - price))


class Ended(Typed):
    slope_at_infinity = 1.0


class EndedLate(Typed):
    slope_at_infinity = 2.0


class Dropping(Ended):
    slope_at_zero = -2.0


class Tilted(Ended):
    def f(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(-np.log(ratio))

    def slope(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(-1.0 / ratio)


class Steeper(Ended):
    def slope(self, ratio: FloatArray) -> FloatArray:
        return 2.0 * super().slope(ratio)


class Backwards(Ended):
    def ratio_at(self, price: FloatArray) -> FloatArray:
        return np.asarray(1.0 - price)


class WithoutZero(Typed):
    """KL, whose f is no number at ratio 0."""

    def f(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(ratio * np.log(ratio) - ratio + 1.0)

    def slope(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(np.log(ratio))

    def ratio_at(self, price: FloatArray) -> FloatArray:
        return np.asarray(np.exp(price))


class EndedLikeKL(Ended):
    f = KL.f
    slope = KL.slope
    ratio_at = KL.ratio_at


@pytest.mark.parametrize(
    ("divergence", "said"),
    [
        (Typed(), r"slope_at_infinity .* declared as inf, .* is 1, 1 and 1\. Write slope_at_infinity = 1 in"),
        (EndedLate(), r"slope_at_infinity .* declared as 2, .* Write slope_at_infinity = 1 in"),
        (EndedLikeKL(), r"slope_at_infinity .* declared as 1, .* Write slope_at_infinity = inf in"),
        (Dropping(), r"slope_at_zero .* declared as -2, .* Write slope_at_zero = -inf in"),
        (Tilted(), r"f .* must be 0 at ratio 1; got f\(1\) = -?0 and slope\(1\) = -1\. Take"),
        (Steeper(), r"slope .* must be the derivative of its f"),
        (Backwards(), r"ratio_at .* must be the inverse of its slope"),
        (WithoutZero(), r"f\(0\) is nan, .* scipy\.special\.xlogy"),
    ],
)
def test_a_divergence_that_contradicts_itself_is_refused(divergence: Divergence, said: str) -> None:
    law = FiniteLaw([0.0, 1.0], [0.5, 0.5])
    for use in (
        lambda: Gaussian().frontier([0.05], divergence),
        lambda: law.frontier([0.05], divergence),
        lambda: BestOfN(2.0).on(law).spent(divergence),
        lambda: fit_frontier(np.eye(4), divergence=divergence),
    ):
        with pytest.raises(InputError, match=said):
            use()


def test_a_divergence_by_the_recipe_is_refused_where_the_shipped_one_is() -> None:
    with pytest.raises(InputError, match="no finite optimum"):
        Gaussian().frontier([0.05], Ended())
    with pytest.raises(InputError, match="finite optimum"):
        fit_frontier(np.random.default_rng(0).standard_normal((20, 16)), divergence=Ended())
    law, budgets = FiniteLaw([0.0, 1.0, 3.0], [0.5, 0.3, 0.2]), [0.05, 0.5]
    np.testing.assert_allclose(law.frontier(budgets, Ended()).gain, law.frontier(budgets, REVERSE_KL).gain, rtol=1e-12)


@pytest.mark.parametrize("divergence", SMOOTH)
def test_f_its_slope_and_its_conjugate_agree(divergence: Divergence) -> None:
    ratio = np.array([1e-3, 0.2, 0.9, 1.0, 1.5, 40.0])
    assert divergence.f(np.array(1.0)) == divergence.slope(np.array(1.0)) == 0.0
    step = 1e-6 * ratio
    secant = (divergence.f(ratio + step) - divergence.f(ratio - step)) / (2 * step)
    np.testing.assert_allclose(divergence.slope(ratio), secant, rtol=1e-6, atol=1e-9)
    price = divergence.slope(ratio)
    # Near the price at which outcomes are dropped, t^{α-1} is what is left of a rounded price.
    lost = 1e-15 * 1e-3 ** (1.0 - divergence.alpha) if isinstance(divergence, Renyi) else 0.0
    np.testing.assert_allclose(divergence.ratio_at(price), ratio, rtol=1e-12 + lost)
    np.testing.assert_allclose(divergence.conjugate(price), price * ratio - divergence.f(ratio), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        Divergence.conjugate(divergence, price), divergence.conjugate(price), rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(divergence.f_of_log(np.log(ratio)), divergence.f(ratio), rtol=1e-12, atol=1e-15)
    if math.isfinite(divergence.slope_at_infinity):
        np.testing.assert_allclose(divergence.margin(ratio), divergence.slope_at_infinity - price, rtol=1e-12)
        np.testing.assert_allclose(divergence.ratio_within(divergence.margin(ratio)), ratio, rtol=1e-12)


@pytest.mark.parametrize("divergence", [KL, REVERSE_KL])
def test_laws_that_hardly_differ_keep_their_digits(divergence: Divergence) -> None:
    tilt = FiniteLaw([0.0, 1.0, 4.0], [0.5, 0.3, 0.2])
    lam = 1e-9
    got = divergence.of_log_ratio(tilt.log_ratio(lam), tilt.prob)
    assert got == pytest.approx(tilt.kl(lam) if divergence is KL else tilt.reverse_kl(lam), rel=1e-9)


@pytest.mark.parametrize("divergence", [KL, REVERSE_KL])
@pytest.mark.parametrize("lam", [0.3, 2.0])
def test_closed_forms_of_a_tilt_are_the_definition(divergence: Divergence, lam: float) -> None:
    law = FiniteLaw([0.0, 1.0, 4.0], [0.5, 0.3, 0.2])
    closed = law.kl(lam) if divergence is KL else law.reverse_kl(lam)
    assert closed == pytest.approx(divergence.of_log_ratio(law.log_ratio(lam), law.prob), rel=1e-13)
    assert closed == pytest.approx(divergence.between(np.exp(law.log_policy(lam)), law.prob), rel=1e-12)


def test_divergences_are_equal_by_kind() -> None:
    """A frontier that was pickled is still one in KL."""
    curve = pickle.loads(pickle.dumps(FiniteLaw([0.0, 1.0]).frontier([0.1])))
    assert curve.divergence == KL != REVERSE_KL
    assert len({KL, curve.divergence, REVERSE_KL}) == 2


def test_between_two_laws() -> None:
    p, q = [0.5, 0.5, 0.0], [0.25, 0.75, 0.0]
    want = float(mp.mpf(1) / 4 * mp.log(mp.mpf(1) / 2) + mp.mpf(3) / 4 * mp.log(mp.mpf(3) / 2))
    assert KL.between(q, p) == pytest.approx(want, rel=1e-14)
    assert KL.between(p, q) == pytest.approx(REVERSE_KL.between(q, p), rel=1e-14)
    assert KL.between([0.5, 0.0, 0.5], p) == math.inf
    assert REVERSE_KL.between([0.4, 0.4, 0.2], p) == pytest.approx(-math.log(0.8), rel=1e-13)
    with pytest.raises(ValueError, match=r"policy must have the shape of prob, \(3,\)"):
        KL.between([1.0], p)
    with pytest.raises(ValueError, match="must not be negative"):
        KL.between([1.5, -0.5, 0.0], p)


@settings(max_examples=60)
@given(laws, st.floats(1e-6, 3.0))
def test_kl_by_the_general_dual_is_the_tilt(law: tuple[np.ndarray, np.ndarray], budget: float) -> None:
    """The dual of any divergence, asked about KL, against Newton on the tilt."""
    finite = FiniteLaw(*law)
    gain, lam = optima(finite.reward, finite.prob, np.array([budget]), KL)
    assert gain[0] == pytest.approx(finite.gain_at_kl(budget), rel=1e-8, abs=1e-12)
    if budget < 0.99 * finite.max_kl:
        assert lam[0] == pytest.approx(finite.lam_at_kl(budget), rel=1e-6)


@settings(max_examples=60)
@given(laws, st.floats(1e-8, 8.0))
def test_reverse_kl_has_its_closed_form(law: tuple[np.ndarray, np.ndarray], budget: float) -> None:
    """``φ ∝ p/(ν - r)``: some ν above all rewards spends the budget, and its policy gains what the frontier says."""
    finite = FiniteLaw(*law)
    if finite.max_reward == finite.min_reward:
        return
    gap = finite.max_reward - finite.reward

    def policy(log_margin: float) -> np.ndarray:
        mass = finite.prob / (math.exp(log_margin) + gap)
        return mass / mass.sum()

    def excess(log_margin: float) -> float:
        return float(finite.prob @ (np.log(finite.prob) - np.log(policy(log_margin)))) - budget

    assume(excess(-600.0) > 0.0)
    margin = optimize.brentq(excess, -600.0, 40.0, xtol=1e-13)
    want = float((policy(margin) - finite.prob) @ finite.reward)
    limit = finite.frontier([budget], REVERSE_KL)
    assert limit.gain[0] == pytest.approx(want, rel=1e-6, abs=1e-9)
    assert limit.divergence is REVERSE_KL


@settings(max_examples=10)
@given(laws, st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("divergence", ALL)
def test_no_policy_lies_above(divergence: Divergence, law: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    finite = FiniteLaw(*law)
    other = np.random.default_rng(seed).dirichlet(np.ones(finite.prob.size))
    spent = divergence.between(other, finite.prob)
    reward = float(other @ finite.reward)
    assert reward <= finite.frontier([spent], divergence).reward[0] + 1e-9


def test_a_budget_that_no_double_can_spend_buys_everything() -> None:
    """``φ(0) = e^{-800}``: the gain is the largest to the last digit."""
    limit = FiniteLaw([0.0, 1.0], [0.01, 0.99]).frontier([8.0], REVERSE_KL)
    assert limit.gain[0] == pytest.approx(0.01, rel=1e-12)


def test_ends_of_the_curve() -> None:
    law = FiniteLaw([0.0, 1.0, 3.0], [0.5, 0.3, 0.2])
    assert law.max_spent() == law.max_kl
    assert law.max_spent(REVERSE_KL) == math.inf
    curve = law.frontier(divergence=REVERSE_KL)
    assert (curve.spent[0], curve.spent[-1], curve.gain[0], curve.lam[0]) == (0.0, 8.0, 0.0, 0.0)
    assert (np.diff(curve.gain) > 0).all()
    assert curve.reward[-1] < 3.0
    flat = FiniteLaw([2.0, 2.0]).frontier([0.0, 1.0], REVERSE_KL)
    assert flat.gain.tolist() == [0.0, 0.0]
    pair = PromptAverage([Gaussian(), Gaussian(sd=2.0)])
    with pytest.raises(ValueError, match="divergence must be KL for PromptAverage; got 'chi2'"):
        pair.frontier([0.1], CHI_SQUARED)


@pytest.mark.parametrize("divergence", [REVERSE_KL, HELLINGER, JENSEN_SHANNON, TOTAL_VARIATION, Renyi(0.5)])
def test_no_finite_optimum_says_which_tail(divergence: Divergence) -> None:
    """Nor is there one: with more and more of a Gaussian's upper tail, the same budget gains without end."""
    with pytest.raises(ValueError, match=r"has no finite optimum for Gaussian: .* into the upper tail"):
        Gaussian().frontier([0.1], divergence)
    gain = [
        float(FiniteLaw([0.0, 1.0, top], [0.5, 0.5 - 1e-6, 1e-6]).frontier([0.1], divergence).gain[0])
        for top in (1e2, 1e4, 1e6)
    ]
    assert gain[1] > 50.0 * gain[0]
    assert gain[2] > 50.0 * gain[1]


def test_a_divergence_whose_parts_disagree_is_found_out() -> None:
    class Wrong(type(KL)):  # type: ignore[misc]
        name = "wrong"

        def conjugate(self, price: np.ndarray) -> np.ndarray:
            return np.asarray(np.expm1(price) + 0.01)

    with pytest.raises(ArithmeticError, match=r"the optimum for 0\.1 of 'wrong' is not certified"):
        FiniteLaw([0.0, 1.0]).frontier([0.1], Wrong())


# What each measures, by its definition, in high precision: moments of t = φ/p under the base.
DEFINED = {
    "kl": lambda t: t * mp.log(t) if t else mp.mpf(0),
    "reverse_kl": lambda t: -mp.log(t) if t else mp.inf,
    "chi2": lambda t: t * t - 1,
    "hellinger": lambda t: 1 - mp.sqrt(t),
    "jensen_shannon": lambda t: (t * mp.log(t) if t else 0) / 2 - (1 + t) * mp.log((1 + t) / 2) / 2,
    "total_variation": lambda t: abs(t - 1) / 2,
}


def by_definition(divergence: Divergence, policy: list[mp.mpf], prob: list[mp.mpf]) -> mp.mpf:
    if isinstance(divergence, Renyi):
        a = mp.mpf(divergence.alpha)
        return mp.log(mp.fsum(p * (q / p) ** a for q, p in zip(policy, prob, strict=True))) / (a - 1)
    return mp.fsum(p * DEFINED[divergence.name](q / p) for q, p in zip(policy, prob, strict=True))


@pytest.mark.parametrize("divergence", ALL)
def test_a_divergence_is_its_definition_however_close_the_laws(divergence: Divergence) -> None:
    prob = [mp.mpf(1) / 4, mp.mpf(1) / 4, mp.mpf(1) / 2]
    for step in (1e-9, 1e-3, 0.4):
        move = [mp.mpf(step) / 4, mp.mpf(-step) / 8, mp.mpf(-step) / 8]
        with mp.workdps(60):
            policy = [p + m for p, m in zip(prob, move, strict=True)]
            want = float(by_definition(divergence, policy, prob))
            log_ratio = [float(mp.log(q / p)) for q, p in zip(policy, prob, strict=True)]
        # Of ratios that are rounded to doubles: a relative error of 1e-16/step, twice where f is quadratic.
        assert divergence.of_log_ratio(log_ratio, [0.25, 0.25, 0.5]) == pytest.approx(want, rel=1e-12 + 1e-15 / step)


def by_bisection(f: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf) -> mp.mpf:
    for _ in range(70):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return (low + high) / 2


# The optimum's shape in s = log of the policy's only parameter, solved for the normaliser in closed form or not at all.
SHAPES = {
    "reverse_kl": lambda gap, c: 1 / (c + gap),
    "hellinger": lambda gap, c: 1 / (c + gap) ** 2,
    "chi2": lambda gap, c: max(c - gap, mp.mpf(0)),
    "renyi_0.5": lambda gap, c: 1 / (c + gap) ** 2,
    "renyi_1.5": lambda gap, c: max(c - gap, mp.mpf(0)) ** 2,
    "renyi_4": lambda gap, c: max(c - gap, mp.mpf(0)) ** (mp.mpf(1) / 3),
}


@pytest.mark.parametrize("divergence", [d for d in SMOOTH if d.name in SHAPES])
def test_the_optimum_is_that_of_high_precision(divergence: Divergence) -> None:
    """One number c gives the policy: ``φ ∝ p · shape(gap, c)``; it is found by bisection with 40 digits."""
    reward, prob = [0.0, 0.3, 1.0, 2.5], [0.4, 0.3, 0.2, 0.1]
    with mp.workdps(40):
        p = [mp.mpf(v) / mp.fsum(mp.mpf(v) for v in prob) for v in prob]
        gap = [mp.mpf(2.5) - mp.mpf(v) for v in reward]

        def policy(log_c: mp.mpf) -> list[mp.mpf]:
            mass = [q * SHAPES[divergence.name](g, mp.exp(log_c)) for q, g in zip(p, gap, strict=True)]
            return [m / mp.fsum(mass) for m in mass]

        for budget in (1e-3, 0.05, 0.25):
            c = by_bisection(lambda x, b=budget: b - by_definition(divergence, policy(x), p), mp.mpf(-12), mp.mpf(8))
            want = mp.fsum((a - b) * mp.mpf(v) for a, b, v in zip(policy(c), p, reward, strict=True))
            got = FiniteLaw(reward, prob).frontier([budget], divergence)
            assert got.gain[0] == pytest.approx(float(want), rel=1e-12)
            nearby = FiniteLaw(reward, prob).frontier([budget * 0.9999, budget * 1.0001], divergence)
            slope = float(np.diff(nearby.gain)[0] / np.diff(nearby.spent)[0])
            assert got.lam[0] == pytest.approx(1.0 / slope, rel=1e-6)


def test_jensen_shannon_has_its_closed_form() -> None:
    """``φ/p = 1/(e^{a + b·gap} - 1)``: with the λ that is told, some a makes it sum to one and spend the budget."""
    law = FiniteLaw([0.0, 0.3, 1.0, 2.5], [0.4, 0.3, 0.2, 0.1])
    got = law.frontier([0.1], JENSEN_SHANNON)
    gap = law.max_reward - law.reward

    def ratio(a: float) -> np.ndarray:
        return np.asarray(1.0 / np.expm1(2.0 * (math.exp(a) + float(got.lam[0]) * gap)))

    a = optimize.brentq(lambda a: float(law.prob @ ratio(a)) - 1.0, -20.0, 2.0, xtol=1e-15)
    policy = law.prob * ratio(a)
    assert JENSEN_SHANNON.between(policy / policy.sum(), law.prob) == pytest.approx(0.1, rel=1e-11)
    assert float((policy - law.prob) @ law.reward) == pytest.approx(float(got.gain[0]), rel=1e-12)


@settings(max_examples=15)
@given(laws, st.floats(0.0, 1.0))
def test_total_variation_moves_mass_from_the_worst_to_the_best(
    law: tuple[np.ndarray, np.ndarray], budget: float
) -> None:
    finite = FiniteLaw(*law)
    k = finite.prob.size
    # φ = p + up - down, the masses moved at most the budget
    found = optimize.linprog(
        np.concatenate([-finite.reward, finite.reward]),
        A_ub=np.concatenate([np.ones(k), np.zeros(k)])[None, :],
        b_ub=[budget],
        A_eq=np.concatenate([np.ones(k), -np.ones(k)])[None, :],
        b_eq=[0.0],
        bounds=[(0.0, None)] * k + [(0.0, m) for m in finite.prob],
    )
    assert finite.frontier([budget], TOTAL_VARIATION).gain[0] == pytest.approx(-found.fun, rel=1e-7, abs=1e-9)
    assert finite.max_spent(TOTAL_VARIATION) == pytest.approx(
        float(finite.prob[finite.reward < finite.max_reward].sum()), abs=1e-12
    )


@settings(max_examples=15)
@given(laws, st.floats(1e-6, 4.0))
def test_chi_squared_gains_a_standard_deviation_per_root(law: tuple[np.ndarray, np.ndarray], part: float) -> None:
    """Exactly while no outcome is dropped, and never more."""
    finite = FiniteLaw(*law)
    assume(finite.max_reward > finite.min_reward)
    sd = math.sqrt(finite.variance(0.0))
    root = part * sd / (finite.base_reward - finite.min_reward)
    gain = float(finite.frontier([root**2], CHI_SQUARED).gain[0])
    if part <= 1.0:
        assert gain == pytest.approx(sd * root, rel=1e-9)
    else:
        assert gain < sd * root


@settings(max_examples=8)
@given(laws, st.floats(1e-4, 2.0))
def test_renyi_is_the_scale_of_others(law: tuple[np.ndarray, np.ndarray], budget: float) -> None:
    """Order 2 is ``log(1 + χ²)``, order ½ is ``-2 log(1 - H²)``; next to order 1 it is KL."""
    finite = FiniteLaw(*law)
    assume(finite.max_reward > finite.min_reward)

    def gain(spent: float, divergence: Divergence) -> float:
        return float(finite.frontier([spent], divergence).gain[0])

    assert gain(budget, Renyi(2.0)) == pytest.approx(gain(math.expm1(budget), CHI_SQUARED), rel=1e-10)
    assert gain(budget, Renyi(0.5)) == pytest.approx(gain(-math.expm1(-budget / 2.0), HELLINGER), rel=1e-10)
    assert gain(budget, Renyi(1.0 + 1e-9)) == pytest.approx(gain(budget, KL), rel=1e-7)


class Jeffreys(Divergence):
    """``(t - 1) log t``, infinite at 0, by the recipe: nothing is overridden."""

    name, label = "jeffreys", "Jeffreys divergence (nats)"

    def f(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray((ratio - 1.0) * np.log(ratio))

    def slope(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(ratio) + 1.0 - 1.0 / ratio)

    def ratio_at(self, price: FloatArray) -> FloatArray:
        return np.asarray(1.0 / special.wrightomega(1.0 - price))


@pytest.mark.parametrize("n", [2, 16, 64, 1000])
def test_ratios_below_all_numbers_cost_what_they_do(n: int) -> None:
    """The worst responses keep less of their mass than a number can hold, and that is a part of what is spent."""
    assert BestOfN(n).on(Gaussian()).spent(Jeffreys()) == pytest.approx((n - 1) ** 2 / n, rel=1e-12)
    assert Jeffreys().f_of_log(np.array([-1e4, -np.inf])).tolist() == [pytest.approx(1e4, rel=1e-12), np.inf]


@pytest.mark.parametrize("n", [2.0, 3.5, 16.0])
def test_best_of_n_has_its_closed_forms_without_ties(n: float) -> None:
    rule = BestOfN(n)
    overlap = 2.0 * math.sqrt(n) / (n + 1.0)
    assert rule.spent_formula(CHI_SQUARED) == pytest.approx((n - 1.0) ** 2 / (2.0 * n - 1.0), rel=1e-10)
    assert rule.spent_formula(TOTAL_VARIATION) == pytest.approx(n ** (-1.0 / (n - 1.0)) * (1.0 - 1.0 / n), rel=1e-7)
    assert rule.spent_formula(HELLINGER) == pytest.approx(1.0 - overlap, rel=1e-10)
    assert rule.spent_formula(REVERSE_KL) == pytest.approx(n - 1.0 - math.log(n), rel=1e-9)
    for alpha in (0.5, 1.5, n / (n - 1.0), 10.0):
        by_integral = RankRule.spent_formula(rule, Renyi(alpha))
        assert rule.spent_formula(Renyi(alpha)) == pytest.approx(by_integral, rel=1e-9)
    assert rule.on(FiniteLaw(np.arange(2000.0))).spent(JENSEN_SHANNON) == pytest.approx(
        rule.spent_formula(JENSEN_SHANNON), rel=1e-3
    )


@pytest.mark.parametrize("n", [2.0, 3.0, 16.0])
def test_best_of_n_has_the_best_win_rate_for_its_renyi_divergence(n: float) -> None:
    """Of order ``N/(N-1)``, without ties; 2,000 outcomes are near enough to that."""
    k = 2000
    law = FiniteLaw((np.arange(k) + 0.5) / k)
    best, divergence = BestOfN(n).on(law), Renyi(n / (n - 1.0))
    limit = law.frontier([best.spent(divergence)], divergence)
    assert best.gain <= limit.gain[0] + 1e-12
    assert best.gain == pytest.approx(float(limit.gain[0]), rel=1e-10)
    if n > 2.0:  # another order tells them apart
        other = law.frontier([best.spent(KL)], KL)
        assert other.gain[0] - best.gain > 1e-5


@pytest.mark.parametrize("divergence", SMOOTH)
def test_many_outcomes_are_solved_as_few_are(divergence: Divergence) -> None:
    """By a histogram first: each of 300 outcomes a hundred times is the law of 300, certified alike."""
    rng = np.random.default_rng(0)
    reward, prob = rng.normal(size=300), rng.dirichlet(np.ones(300))
    budgets = np.array([1e-6, 0.05, 0.3])
    few = optima(reward, prob, budgets, divergence)
    many = optima(np.repeat(reward, 100), np.repeat(prob, 100) / 100, budgets, divergence)
    np.testing.assert_allclose(many[0], few[0], rtol=1e-11)
    np.testing.assert_allclose(many[1], few[1], rtol=1e-9)


def test_the_order_of_a_renyi_divergence_is_positive_and_not_one() -> None:
    with pytest.raises(ValueError, match=r"alpha must lie in \[0.01, 100\]; got 0"):
        Renyi(0.0)
    with pytest.raises(ValueError, match=r"the Rényi divergence of order 1 is KL\. Use KL"):
        Renyi(1.0)
    assert Renyi(2.0) == Renyi(2.0) != Renyi(3.0)
    assert pickle.loads(pickle.dumps(Renyi(2.0))) == Renyi(2.0)
    assert Renyi(0.5).between([0.4, 0.4, 0.2], [0.5, 0.5, 0.0]) == pytest.approx(-2.0 * math.log(math.sqrt(0.8)))
    assert Renyi(2.0).between([0.4, 0.4, 0.2], [0.5, 0.5, 0.0]) == math.inf


def test_a_divergence_that_is_flat_somewhere_has_no_frontier() -> None:
    class Flat(type(TOTAL_VARIATION)):  # type: ignore[misc]
        name = "flat"

    with pytest.raises(ValueError, match="divergence must be strictly convex and differentiable"):
        FiniteLaw([0.0, 1.0]).frontier([0.1], Flat())


@pytest.mark.parametrize("divergence", [CHI_SQUARED, REVERSE_KL, JENSEN_SHANNON, Renyi(1.5)], ids=str)
def test_many_budgets_at_once_are_what_each_is_alone(divergence: Divergence) -> None:
    """On few outcomes and on as many as are condensed first, from tiny budgets to beyond the largest."""
    rng = np.random.default_rng(3)
    for size in (3, 40, 700):
        reward, prob = rng.standard_t(3, size=size), rng.dirichlet(np.full(size, 0.5))
        prob = np.maximum(prob, 1e-9) / np.maximum(prob, 1e-9).sum()
        most = FiniteLaw(reward, prob).max_spent(divergence)
        budgets = np.concatenate([[0.0, 1e-14, 1e-6], np.linspace(0.01, 0.99, 9) * min(most, 3.0), [most, 2.0 * most]])
        together = optima(reward, prob, budgets, divergence)
        alone = [optima(reward, prob, budgets[k : k + 1], divergence) for k in range(budgets.size)]
        for j in range(2):
            np.testing.assert_allclose(together[j], [float(one[j][0]) for one in alone], rtol=2e-9, atol=0.0)


def test_chi_squared_by_sums_is_the_policy() -> None:
    """The closed form against the policy that it names, also where outcomes are dropped."""
    rng = np.random.default_rng(4)
    gap, prob = rng.exponential(size=50), rng.dirichlet(np.ones(50))
    gap -= gap.min()
    budgets = np.geomspace(1e-2, 0.95 * (1.0 / prob[gap == 0.0][0] - 1.0), 12)
    price, lam, gain, dual = kept_outcomes(gap, prob, budgets)
    ratio = np.maximum(1.0 + 0.5 * (price[:, None] - lam[:, None] * gap), 0.0)
    assert (ratio == 0.0).any()
    np.testing.assert_allclose(ratio @ prob, 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.square(ratio - 1.0) @ prob, budgets, rtol=1e-10)
    np.testing.assert_allclose(gain, (1.0 - ratio) @ (prob * gap), rtol=1e-11)
    np.testing.assert_allclose(dual, gain, rtol=1e-11)


@pytest.mark.parametrize("alpha", [3.0, 4.0])
def test_an_outcome_about_to_be_dropped_does_not_spoil_the_certificate(alpha: float) -> None:
    """Above order 2 its ratio rises infinitely fast where it starts: the price that just drops it is known exactly."""
    reward, prob = np.array([0.0, 0.4, 0.7, 1.0]), np.array([0.3, 0.4, 0.2, 0.1])
    ratio = reward ** (1.0 / (alpha - 1.0))
    ratio = ratio / (prob @ ratio)
    order = Renyi(alpha)
    budgets = math.log(prob @ ratio**alpha) / (alpha - 1.0) * (1.0 - np.array([0.0, 1e-12, 1e-9]))
    _, gain, dual = _one_by_one(1.0 - reward, prob, budgets, order)
    np.testing.assert_allclose(gain, dual, atol=1e-12)
    np.testing.assert_allclose(gain, prob @ ((ratio - 1.0) * reward), rtol=1e-8)


HARD = {  # rewards, masses: a rare top, a heavy one, ties, an outcome just below the top, and the smallest of units
    "rare": ([0.0, 1.0], [1 - 1e-9, 1e-9]),
    "heavy": ([1e3, 1.0, 0.5, 0.2, 0.0], [1e-6, 0.2, 0.3, 0.3, 0.2 - 1e-6]),
    "ties": ([1.0, 1.0, 0.0, 0.0, 0.5], [0.1, 0.2, 0.3, 0.15, 0.25]),
    "close": ([1.0, 1.0 - 1e-9, 0.3, 0.0], [0.1, 0.2, 0.3, 0.4]),
    "small": ([1e-90, 2e-90, 5e-90], [0.3, 0.3, 0.4]),
}


@pytest.mark.parametrize("law", HARD)
@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.5, 2.0, 4.0, 10.0, 30.0])
def test_every_order_of_renyi_is_certified_on_hard_laws(alpha: float, law: str) -> None:
    """Policies by their top ratio in 40 digits: what each spends buys what it gains; and close to the most there is."""
    reward, prob = HARD[law]
    finite, order = FiniteLaw(reward, prob), Renyi(alpha)
    most, scale = finite.max_spent(order), max(reward) - min(reward)
    assert (np.diff(finite.frontier(most * np.array([1e-6, 0.1, 0.999, 1.0 - 1e-9, 1.0]), order).gain) >= 0.0).all()
    with mp.workdps(40):
        power, masses = 1 / (mp.mpf(alpha) - 1), [mp.mpf(one) / mp.fsum(prob) for one in prob]
        gaps = [(mp.mpf(max(reward)) - mp.mpf(one)) / mp.mpf(scale) for one in reward]
        for exponent in (-2, 0, 0.5, 3):
            z = mp.mpf(10) ** exponent
            v = [max(1 - z * gap, 0) if alpha > 1 else 1 + z * gap for gap in gaps]
            weight = [mass * one**power if one else mp.mpf(0) for mass, one in zip(masses, v, strict=True)]
            policy = [one / mp.fsum(weight) for one in weight]
            moment = mp.fsum(m * (q / m) ** alpha for q, m in zip(policy, masses, strict=True))
            spent = float(mp.log(moment) / (alpha - 1))
            gain = float(mp.fsum((m - q) * gap for q, m, gap in zip(policy, masses, gaps, strict=True)))
            if 1e-9 < spent < most * (1.0 - 1e-12):
                assert finite.frontier([spent], order).gain[0] / scale == pytest.approx(gain, abs=1e-12)


def test_a_rare_top_keeps_the_digits_of_chi_squared() -> None:
    """While nothing is dropped the gain is ``σ √χ²``."""
    gain = FiniteLaw([0.0, 1.0], [1 - 1e-9, 1e-9]).frontier([250.0], CHI_SQUARED).gain[0]
    assert gain == pytest.approx(math.sqrt(250.0 * 1e-9 * (1 - 1e-9)), rel=1e-9)


@pytest.mark.parametrize("alpha", [30.0, 60.0, 100.0])
@pytest.mark.parametrize("kept", [0.05, 0.6])
def test_renyi_optima_of_every_order_are_those_of_policies_of_their_form(alpha: float, kept: float) -> None:
    """Of the furthest outcome a part is left, whose ``v`` floats do not hold beside one."""
    reward, prob = np.array([0.0, 1.0, 2.5, 3.0]), np.array([0.3, 0.4, 0.2, 0.1])
    delta = alpha - 1.0
    ratio = (1.0 - (3.0 - reward) * (1.0 - kept**delta) / 3.0).clip(0.0) ** (1.0 / delta)
    ratio[0] = kept
    policy = prob * ratio / (prob @ ratio)
    law, divergence = FiniteLaw(reward, prob), Renyi(alpha)
    found = law.frontier(np.array([divergence.between(policy, prob)]), divergence)
    assert float(found.gain[0]) == pytest.approx(float((policy - prob) @ reward), abs=1e-12)
    with pytest.raises(InputError, match="order up to 10 where it is estimated from samples"):
        fit_frontier(np.array([[0.0, 1.0, 2.0, 0.0]] * 4), divergence=divergence)
