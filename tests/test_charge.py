from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax

from alignlib._core.errors import InputError
from alignlib.lm.charge import ESTIMATORS, Charge, expected_update, n_tokens, token_log_ratios
from alignlib.lm.charged_policies import at_rest, best_responses, driven, wasted_kl
from alignlib.lm.experiment.fixed_points import fixed_point
from alignlib.lm.next_laws import log_next_laws, log_sequences
from alignlib.lm.space import ResponseSpace
from alignlib.training.policy_kl.estimators import k2
from tests.updates import largest

SPACE = ResponseSpace(n_content=2, length=3)
CHARGES = [
    Charge(k, place, per_token, mean)
    for k, place, per_token, mean in itertools.product(ESTIMATORS, ("reward", "loss"), (True, False), (True, False))
    if (k, place) != ("k3_ratio", "reward")
]
CHARGES += [Charge("k1", "reward", mean=mean, averaged=True) for mean in (True, False)]
RESTING = [c for c in CHARGES if (c.estimator == "k1") == (c.place == "reward")]


def case(seed: int, n_prompts: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    log_base, log_policy = log_softmax(rng.normal(size=(2, n_prompts, SPACE.size)), axis=2)
    return log_policy, log_base, rng.normal(size=(n_prompts, SPACE.size))


def from_logits(logits: list[np.ndarray]) -> np.ndarray:
    """Log-probabilities of all responses, also of complex logits."""
    return log_sequences([x - np.log(np.exp(x).sum(axis=-1, keepdims=True)) for x in logits])


def surrogate(
    logits: list[np.ndarray], log_old: np.ndarray, log_base: np.ndarray, reward: np.ndarray, beta: float, c: Charge
) -> np.ndarray:
    """What a trainer would differentiate, averaged over all responses of the old policy; minus the loss."""
    laws = [x - np.log(np.exp(x).sum(axis=-1, keepdims=True)) for x in logits]
    tokens = np.asarray(SPACE.tokens, dtype=int)

    def of_tokens(levels: list[np.ndarray]) -> np.ndarray:
        out = np.zeros((len(reward), SPACE.size, SPACE.length), dtype=levels[0].dtype)
        for y in range(SPACE.size):
            prefix = 0
            for t in range(int(n_tokens(SPACE)[y])):
                out[:, y, t] = levels[t][:, prefix, tokens[y, t]]
                prefix = prefix * SPACE.n_content + max(tokens[y, t] - 1, 0)
        return out

    now, old, base = (
        of_tokens(laws),
        of_tokens(log_next_laws(log_old, SPACE)),
        of_tokens(log_next_laws(log_base, SPACE)),
    )
    drawn = np.exp(log_old)

    def k(x: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        return {"k1": x, "k2": x * x / 2, "k3": np.exp(-x) - 1 + x, "k3_ratio": ratio * (np.exp(-x) - 1 + x)}[
            c.estimator
        ]

    share = 1.0 / n_tokens(SPACE) if c.mean else np.ones(SPACE.size)
    if c.place == "reward":
        fixed = old - base
        charge = k(fixed, np.ones_like(fixed)).sum(2) if c.per_token else k(fixed.sum(2), np.ones(1))
        charge = charge / n_tokens(SPACE) if c.averaged else charge
        advantage = reward - beta * charge
        advantage = advantage - (drawn * advantage).sum(1, keepdims=True)
        return np.asarray((drawn * share * advantage * now.sum(2)).sum())
    advantage = reward - (drawn * reward).sum(1, keepdims=True)
    gain = (drawn * share * advantage * now.sum(2)).sum()
    if c.per_token:
        return np.asarray(gain - beta * (drawn[..., None] * share[:, None] * k(now - base, np.exp(now - old))).sum())
    whole = k((now - base).sum(2), np.exp((now - old).sum(2)))
    # The mean over T tokens that all bear the sequence's charge is that charge over T.
    return np.asarray(gain - beta * (drawn * share * whole).sum())


@pytest.mark.parametrize("charge", CHARGES, ids=lambda c: c.label)
def test_the_expected_update_is_the_derivative_of_what_a_trainer_differentiates(charge: Charge) -> None:
    """By complex steps, which leave no truncation: f(x + ih) has f'(x) h as its imaginary part."""
    log_policy, log_base, reward = case(1)
    got = expected_update(log_policy, log_base, reward, SPACE, 0.7, charge)
    logits = [law.astype(complex) for law in log_next_laws(log_policy, SPACE)]
    rng = np.random.default_rng(0)
    for depth, law in enumerate(got):
        places = list(np.ndindex(*law.shape))
        for place in [places[i] for i in rng.permutation(len(places))[:6]]:
            logits[depth][place] += 1e-30j
            slope = surrogate(logits, log_policy, log_base, reward, 0.7, charge).imag / 1e-30
            logits[depth][place] -= 1e-30j
            assert law[place] == pytest.approx(float(slope), rel=1e-10, abs=1e-13)


def test_gradients_of_the_estimators_are_those_of_the_two_divergences() -> None:
    """T25: k1 none, k2 that of KL(π‖p), k3 that of KL(p‖π), over whole sequences."""
    log_policy, log_base, _ = case(2)
    nothing = np.zeros_like(log_base)
    logits = [law.astype(complex) for law in log_next_laws(log_policy, SPACE)]

    def slope(divergence: object, depth: int, place: tuple[int, ...]) -> float:
        logits[depth][place] += 1e-30j
        out = divergence(from_logits(logits)).imag / 1e-30  # type: ignore[operator]
        logits[depth][place] -= 1e-30j
        return float(out)

    kinds = {
        "k1": lambda x: 0.0 * x.sum(),
        "k2": lambda x: (np.exp(x) * (x - log_base)).sum(),
        "k3": lambda x: (np.exp(log_base) * (log_base - x)).sum(),
        "k3_ratio": lambda x: (np.exp(x) * (x - log_base)).sum(),
    }
    for name, divergence in kinds.items():
        got = expected_update(log_policy, log_base, nothing, SPACE, 1.0, Charge(name, "loss", per_token=False))
        for depth, law in enumerate(got):
            for place in list(np.ndindex(*law.shape))[:5]:
                assert law[place] == pytest.approx(-slope(divergence, depth, place), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("charge", RESTING, ids=lambda c: c.label)
@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_nothing_moves_at_rest(charge: Charge, beta: float) -> None:
    for seed in range(3):
        _, log_base, reward = case(seed)
        policy = at_rest(log_base, reward, SPACE, beta, charge)
        assert np.exp(policy).sum(axis=1) == pytest.approx(1.0, abs=1e-12)
        assert largest(expected_update(policy, log_base, reward, SPACE, beta, charge)) < 1e-11


def test_the_charges_that_rest_at_the_optimum_are_these() -> None:
    _, log_base, reward = case(4)
    optimum = log_softmax(log_base + reward / 0.5, axis=1)
    there = {c.label for c in CHARGES if largest(expected_update(optimum, log_base, reward, SPACE, 0.5, c)) < 1e-12}
    want = {c.label for c in CHARGES if c.place == "reward" and c.estimator == "k1" and not c.averaged}
    want |= {
        c.label for c in CHARGES if c.place == "loss" and not (c.per_token or c.mean) and "k1" != c.estimator != "k3"
    }
    assert there == want
    for c in RESTING:
        waste = wasted_kl(at_rest(log_base, reward, SPACE, 0.5, c), log_base, reward)
        assert (abs(waste) < 1e-10) if c.label in there else (waste > 1e-4), (c.label, waste)


def test_token_charges_agree_with_the_fixed_points_of_the_tables() -> None:
    _, log_base, reward = case(5)
    for name, penalty in {"k2": "token KL", "k3": "token k3"}.items():
        got = at_rest(log_base, reward, SPACE, 0.6, Charge(name, "loss"))
        np.testing.assert_allclose(got, fixed_point(log_base, reward, SPACE, 0.6, penalty), atol=1e-11)


def test_at_the_beta_of_the_optimum_k2_mostly_spends_more_and_k3_more_or_less() -> None:
    """What `pick` says of the loss token by token; in every world β is 0.5."""
    more: dict[str, list[float]] = {"k2": [], "k3": []}
    for seed in range(12):
        _, log_base, reward = case(seed, 1)
        optimum = log_softmax(log_base + reward / 0.5, axis=1)
        for name, ratios in more.items():
            rest = at_rest(log_base, reward, SPACE, 0.5, Charge(name, "loss"))
            spent = [float((np.exp(law) * (law - log_base)).sum()) for law in (rest, optimum)]
            ratios.append(spent[0] / spent[1])
    assert np.mean(np.array(more["k2"]) > 1.0) > 0.6
    assert min(more["k3"]) < 0.95
    assert max(more["k3"]) > 1.05


def test_k2_and_k3_in_the_reward_drive_the_policy_off_responses() -> None:
    """At most one response that is drawn at the end is rarer than in the base."""
    _, log_base, reward = case(6)
    for name in ("k2", "k3"):
        charge = Charge(name, "reward", per_token=False)
        end = driven(log_base, reward, 0.5, charge)
        held = np.isfinite(end)
        assert (held.sum(axis=1) < SPACE.size).all()
        assert ((end < log_base) & held).sum(axis=1).max() <= 1
        ratio = np.where(held, end - log_base, 0.0)
        paid = np.where(held, reward - 0.5 * charge.value(ratio), np.nan)
        mean = np.nansum(np.exp(end) * paid, axis=1, keepdims=True)
        assert np.nanmax(np.exp(end) * np.abs(paid - mean)) < 1e-6  # all that are drawn are paid alike
        assert wasted_kl(end, log_base, reward) > 0.01
    end = driven(log_base, reward, 0.5, Charge("k1", "reward", per_token=False))
    np.testing.assert_allclose(end, log_softmax(log_base + reward / 0.5, axis=1), atol=1e-4)


def test_token_log_ratios_add_up() -> None:
    log_policy, log_base, _ = case(7)
    ratio, chosen = token_log_ratios(log_policy, log_base, SPACE)
    np.testing.assert_allclose(ratio.sum(axis=2), log_policy - log_base, atol=1e-12)
    assert chosen.sum(axis=1).tolist() == n_tokens(SPACE).tolist()


def test_without_a_penalty_the_best_responses_are_left() -> None:
    _, log_base, reward = case(8)
    best = best_responses(log_base, reward)
    assert (np.exp(best) * reward).sum(axis=1) == pytest.approx(reward.max(axis=1))
    update = expected_update(log_base, log_base, reward, SPACE, 5.0, Charge("k1", "loss"))
    none = expected_update(log_base, log_base, reward, SPACE, 0.0, Charge("k1", "loss"))
    assert all(np.allclose(a, b, atol=1e-14) for a, b in zip(update, none, strict=True))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Charge("k4", "loss"), "estimator must be one of k1, k2, k3, k3_ratio; got 'k4'"),
        (lambda: Charge("k1", "advantage"), "place must be one of reward, loss; got 'advantage'"),
        (lambda: Charge("k3_ratio", "reward"), "is a loss"),
        (lambda: Charge("k2", "loss", averaged=True), "averaged is for a charge in the reward"),
        (lambda: at_rest(*case(0)[1:], SPACE, 1.0, Charge("k1", "loss")), "holds no policy back"),
        (lambda: at_rest(*case(0)[1:], SPACE, 1.0, Charge("k3", "reward")), "no stable policy with full support"),
        (lambda: at_rest(*case(0)[1:], SPACE, 0.0, Charge("k2", "loss")), "beta must be positive"),
        (lambda: driven(*case(0)[1:], 1.0, Charge("k2", "reward")), "per sequence"),
        (lambda: driven(*case(0)[1:], 0.0, Charge("k2", "reward", False)), "beta must be positive"),
        (lambda: driven(*case(0)[1:], 1.0, Charge("k2", "reward", False), n_steps=3), "still moves"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def test_a_response_too_unlikely_for_a_float_bears_nothing() -> None:
    """Far from the base, as at a small beta, whole branches have no probability left that a float could hold."""
    log_policy, log_base, reward = case(1)
    log_policy = log_policy - 800.0 * (np.arange(SPACE.size) > 0)
    for law in expected_update(log_policy, log_base, reward, SPACE, 0.7, CHARGES[0]):
        assert np.isfinite(law).all()


@pytest.mark.parametrize("place", ["reward", "loss"])
@pytest.mark.parametrize("per_token", [True, False])
def test_what_k3_charges_for_a_response_too_unlikely_for_a_float_is_what_the_base_gives_it(
    place: str, per_token: bool
) -> None:
    """Its ``e^{-ℓ}`` is beyond any float, times its probability it is the base's."""
    log_base = np.log([[0.5, 0.5]])
    (step,) = expected_update(
        np.array([[0.0, -800.0]]), log_base, np.zeros((1, 2)), ResponseSpace(1, 1), 0.1, Charge("k3", place, per_token)
    )
    sign = -1.0 if place == "reward" else 1.0
    np.testing.assert_allclose(step, [[[-0.05 * sign, 0.05 * sign]]], rtol=1e-12)


@pytest.mark.parametrize("least", [-np.inf, np.nan, -1e200])
def test_a_response_without_a_chance_is_refused(least: float) -> None:
    """Logits give every response one; the square of its log-ratio would be no float."""
    law = np.zeros((1, SPACE.size)) - np.log(SPACE.size)
    gone = law.copy()
    gone[0, 1] = least
    for name, pair in (("log_policy", (gone, law)), ("log_base", (law, gone))):
        with pytest.raises(InputError, match=f"{name} must be at least -1e.150 nats everywhere, .* a small one"):
            expected_update(*pair, np.zeros_like(law), SPACE, 0.1, Charge("k2", "reward"))
    assert k2(1e200) == np.inf
