"""Part *Language models*, chapters 50 to 54: for each box a search for a counterexample.

What is said of losses as trainers write them is tested by automatic differentiation in `tests/lm`.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy
from scipy.special import log_softmax

from alignlib._core.checks import FloatArray
from alignlib.hacking.ensembles import combine
from alignlib.laws import FiniteLaw, PromptAverage
from alignlib.lm.experiment.fixed_points import PENALTIES, fixed_point, scaled_fixed_point
from alignlib.lm.level_law import LevelLaw
from alignlib.lm.space import ResponseSpace
from alignlib.rules import BestOfN, SoftBestOfN
from tests.searching import law, positive, worst_case
from tests.updates import expected_update, largest, next_laws

K, PROMPTS = 4, 2
ROUNDING = 1e-10


def laws_of(z: FloatArray) -> list[FiniteLaw]:
    """Return the rewards of two prompts, any masses, scales up to a hundred apart."""
    rows = z.reshape(PROMPTS, 2 * K + 1)
    return [FiniteLaw(positive(row[-1], 0.1, 10.0) * np.tanh(row[:K]), law(row[K : 2 * K])) for row in rows]


def policies_of(z: FloatArray) -> list[FloatArray]:
    return [law(row) for row in z.reshape(PROMPTS, K)]


def spent_and_gained(laws: list[FiniteLaw], policies: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return KL and gain of a policy on each prompt."""
    pairs = list(zip(laws, policies, strict=True))
    spent = [float(scipy.special.rel_entr(phi, one.prob).sum()) for one, phi in pairs]
    return np.array(spent), np.array([float((phi - one.prob) @ one.reward) for one, phi in pairs])


LAWS, POLICIES = PROMPTS * (2 * K + 1), PROMPTS * K


# ---------------------------------------------------------------- 50, the world
def test_thm_average_budget() -> None:
    """No policy gains more than the common λ at its mean KL, nor than E R_x(Δ) at its largest; the second is less."""

    def above(z: FloatArray) -> float:
        laws = laws_of(z[:LAWS])
        spent, gained = spent_and_gained(laws, policies_of(z[LAWS:]))
        both = PromptAverage(laws)
        size = 1.0 + max(float(np.ptp(one.reward)) for one in laws)
        on_each = float(both.gain_on_every_prompt(spent.max()))
        return (
            max(
                gained.mean() - float(both.gain_at_kl(spent.mean())),
                gained.mean() - on_each,
                on_each - float(both.gain_at_kl(spent.max())),
            )
            / size
        )

    assert worst_case(above, LAWS + POLICIES, starts=2, steps=45).excess <= ROUNDING


def test_thm_average_budget_is_attained() -> None:
    laws = laws_of(np.random.default_rng(0).standard_normal(LAWS))
    both = PromptAverage(laws)
    for lam in (0.3, 2.0):
        spent, gained = spent_and_gained(laws, [np.exp(one.log_policy(lam)) for one in laws])
        assert gained.mean() == pytest.approx(float(both.gain_at_kl(spent.mean())), rel=1e-10)
        assert spent.mean() == pytest.approx(float(both.kl(lam)), rel=1e-12)


def moved(z: FloatArray) -> tuple[LevelLaw, LevelLaw, FloatArray]:
    """Return two prompts, the same with a constant added on each, and the constants."""
    laws, constant = laws_of(z[:LAWS]), 100.0 * np.tanh(z[LAWS : LAWS + PROMPTS])
    prompt = np.repeat(np.arange(PROMPTS), K)
    reward, mass = (np.concatenate([getattr(one, name) for one in laws]) for name in ("reward", "prob"))
    gold = np.arange(float(prompt.size))
    return (
        LevelLaw(prompt, reward, mass, gold),
        LevelLaw(prompt, reward + constant[prompt], mass, gold),
        constant,
    )


def test_prop_prompt_constant() -> None:
    def off(z: FloatArray) -> float:
        was, now, constant = moved(z)
        lam, budget = positive(z[-1], 0.05, 5.0), positive(z[-2], 0.01, 1.0)
        size = 1.0 + float(np.ptp(was.reward))
        values = [
            [
                *(np.exp(one.log_policy(lam)) @ np.arange(K) for one in found.laws),
                float(found.average.kl(lam)),
                float(found.average.gain(lam)) / size,
                *(
                    float(getattr(curve, name)[0]) / size
                    for rule in (BestOfN(3), SoftBestOfN(3, lam))
                    for curve in [found.along([rule])]
                    for name in ("kl", "gain", "gold_gain")
                ),
                float(found.average.gain_at_kl(budget)) / size,
                float(found.average.gain_on_every_prompt(budget)) / size,
            ]
            for found in (was, now)
        ]
        better, worse = was.reward[was.rows[0][:2]]
        likelihood = scipy.special.expit(better - worse) - scipy.special.expit(
            (better + constant[0]) - (worse + constant[0])
        )
        return max(float(np.abs(np.subtract(*values)).max()), abs(float(likelihood)))

    # rewards moved by 100 keep fourteen digits of the differences between them, and λ is up to 5
    assert worst_case(off, LAWS + PROMPTS + 2, starts=2, steps=20).excess <= 1e-7


def test_prop_prompt_constant_does_not_hold_of_a_minimum_over_an_ensemble() -> None:
    """Unlike the mean, the least of several proxies orders responses otherwise once one of them is moved."""
    two = np.array([[0.0, 2.0, 1.0], [1.0, 0.0, 2.0]])
    shifted = two + np.array([[5.0], [0.0]])
    assert combine(two, "mean").argmax() == combine(shifted, "mean").argmax()
    assert combine(two, "min").argmax() == 2
    np.testing.assert_array_equal(combine(two, "min"), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(combine(shifted, "min"), [1.0, 0.0, 2.0])


# ---------------------------------------------------------------- 51 and 52, training
def test_thm_wasted_safety() -> None:
    """Δ less what its gain needs is the distance to the nearest optimum, searched for over λ in [0, ∞]."""

    def off(z: FloatArray) -> float:
        laws, policies = laws_of(z[:LAWS]), policies_of(z[LAWS:])
        spent, gained = spent_and_gained(laws, policies)
        both, gain = PromptAverage(laws), float(gained.mean())
        needed = float(both.kl_at_gain(max(gain, 0.0)))

        def distance(log_lam: float) -> float:
            pairs = zip(laws, policies, strict=True)
            far = [phi @ (np.log(phi) - one.log_policy(float(np.exp(log_lam)))) for one, phi in pairs]
            return float(np.mean(far))

        grid = np.linspace(-14.0, 7.0, 36)
        best = int(np.argmin([distance(v) for v in grid]))
        ends = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
        nearest = scipy.optimize.minimize_scalar(distance, bounds=ends, method="bounded", options={"xatol": 1e-10}).fun
        nearest = min(float(nearest), float(spent.mean()))  # λ = 0
        return abs(float(spent.mean()) - needed - nearest) / (1.0 + float(spent.mean()))

    assert worst_case(off, LAWS + POLICIES, starts=2, steps=18, width=1.0).excess <= 1e-5


# ---------------------------------------------------------------- 53, why trained policies fall short
def test_thm_allocation() -> None:
    """Both parts of the waste are never negative; the second vanishes where one λ serves both prompts."""

    def below(z: FloatArray) -> float:
        laws = laws_of(z[:LAWS])
        spent, gained = spent_and_gained(laws, policies_of(z[LAWS:]))
        # a prompt on which the policy loses needs no KL; on average its loss must be made up for by the others
        gained = np.maximum(gained, 0.0)
        each = np.array([float(one.kl_at_gain(g)) for one, g in zip(laws, gained, strict=True)])
        together = float(PromptAverage(laws).kl_at_gain(gained.mean()))
        return max(float((each - spent).max()), together - each.mean()) / (1.0 + float(spent.mean()))

    assert worst_case(below, LAWS + POLICIES, starts=2, steps=45).excess <= ROUNDING
    laws = laws_of(np.random.default_rng(1).standard_normal(LAWS))
    gained = np.array([float(one.gain(0.7)) for one in laws])
    each = [float(one.kl_at_gain(g)) for one, g in zip(laws, gained, strict=True)]
    assert float(PromptAverage(laws).kl_at_gain(gained.mean())) == pytest.approx(np.mean(each), rel=1e-9)


SPACE = ResponseSpace(n_content=2, length=2)


def world_of(z: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return one prompt's base over all responses, their rewards, and β."""
    n = SPACE.size
    return log_softmax(z[None, :n], axis=1), np.tanh(z[None, n : 2 * n]), positive(z[-1], 0.2, 3.0)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_thm_fixed_points(penalty: str) -> None:
    def moves(z: FloatArray) -> float:
        base, reward, beta = world_of(z)
        end = fixed_point(base, reward, SPACE, beta, penalty)
        off = abs(float(np.exp(end).sum()) - 1.0)
        if penalty == "sequence":
            off = max(off, float(np.abs(end - log_softmax(base + reward / beta, axis=1)).max()))
        return max(off, largest(expected_update(end, base, reward, beta, penalty, SPACE)))

    assert worst_case(moves, 2 * SPACE.size + 1, starts=3, steps=40).excess <= 1e-9


def policy_of(logits: FloatArray) -> FloatArray:
    """Return the log-probabilities of all responses from the logits of every next-token law."""
    first, second = log_softmax(logits[:3]), log_softmax(logits[3:].reshape(2, 3), axis=1)
    found = np.empty((1, SPACE.size))
    for i, tokens in enumerate(np.asarray(SPACE.tokens).tolist()):
        found[0, i] = first[tokens[0]] + (second[tokens[0] - 1, tokens[1]] if tokens[0] else 0.0)
    return found


@pytest.mark.parametrize("penalty", PENALTIES)
def test_thm_fixed_points_are_the_only_ones_with_every_token_possible(penalty: str) -> None:
    """Searched among policies that give every token some probability; certain ones may stand still for any reward."""
    rng = np.random.default_rng(3)
    base, reward, beta = world_of(rng.standard_normal(2 * SPACE.size + 1))
    end = np.exp(fixed_point(base, reward, SPACE, beta, penalty))

    def stands_still(z: FloatArray) -> float:
        policy = policy_of(2.0 * np.tanh(z))
        if 0.5 * np.abs(np.exp(policy) - end).sum() < 0.1:
            return -1.0
        return -largest(expected_update(policy, base, reward, beta, penalty, SPACE))

    assert worst_case(stands_still, 9, starts=3, steps=60).excess < -1e-3
    certain = largest(expected_update(policy_of(40.0 * np.array([1.0, 0, 0] * 3)), base, reward, beta, penalty, SPACE))
    if penalty == "token k3":  # charges a token that the base has and the policy does not
        assert certain > 1e-2
    else:
        assert certain < 1e-12


def test_thm_fixed_points_as_published() -> None:
    """GRPO as published, by differences of its loss with the policy's own mean, deviation and weights held fixed."""
    tokens = np.minimum(np.asarray(SPACE.lengths) + 1.0, SPACE.length)

    def loss(logits: FloatArray, base: FloatArray, prob: FloatArray, advantage: FloatArray, beta: float) -> float:
        policy, k3 = policy_of(logits), np.zeros(SPACE.size)
        for part, ref in zip(next_laws(policy, SPACE), next_laws(base, SPACE), strict=True):
            gap = ref - part
            term = np.exp(gap) - gap - 1.0
            depth = 0 if part.shape[1] == 1 else 1
            for i, token in enumerate(np.asarray(SPACE.tokens).tolist()):
                if depth == 0:
                    k3[i] += term[0, 0, token[0]]
                elif token[0]:
                    k3[i] += term[0, token[0] - 1, token[1]]
        return float((prob * (beta * k3 - advantage * policy[0]) / tokens).sum())

    def moves(z: FloatArray) -> float:
        base, reward, beta = world_of(np.append(z[:-1].clip(-2, 2), z[-1]))
        end = scaled_fixed_point(base, reward, SPACE, beta)
        prob, r = np.exp(end[0]), reward[0]
        advantage = (r - prob @ r) / np.sqrt(prob @ (r - prob @ r) ** 2)
        logits = np.concatenate([part.ravel() for part in next_laws(end, SPACE)])
        h, steps = 1e-5, np.eye(9)
        arguments = base, prob, advantage, beta
        slope = [(loss(logits + h * e, *arguments) - loss(logits - h * e, *arguments)) / (2 * h) for e in steps]
        return float(np.abs(slope).max())

    # the solver stops where mean and deviation have settled to 1e-5; elsewhere the slope is thousands of times larger
    rng = np.random.default_rng(0)
    assert max(moves(rng.standard_normal(2 * SPACE.size + 1)) for _ in range(6)) <= 2e-4


def test_a_tree_of_the_fixed_points_is_the_law_of_its_responses() -> None:
    """What the tests above rest on: logits of every prefix give each response once."""
    assert [tuple(t) for t in np.asarray(SPACE.tokens).tolist()].count((0, 0)) == 1
    assert SPACE.size == 1 + 2 + len(list(product((1, 2), repeat=2)))
    assert np.exp(policy_of(np.arange(9.0))).sum() == pytest.approx(1.0, abs=1e-14)
