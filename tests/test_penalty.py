"""What a trainer's β amounts to, by enumerated groups; where adaptive penalties settle, by running them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax

from alignlib._core.errors import InputError
from alignlib.laws import FiniteLaw, Gaussian
from alignlib.training import KLController, beta_to_set, effective_beta, group_gap, resting_penalties

BASE = np.array([0.4, 0.3, 0.2, 0.1])
REWARD = np.array([0.0, 1.0, 0.5, 2.0])


def group_update(policy: np.ndarray, group: int, score: object, own: object) -> np.ndarray:
    """Mean of ``Σ (score + own) ∇log π`` over a group's responses, on the logits, every group enumerated."""
    out = np.zeros(policy.size)
    for drawn in itertools.product(range(policy.size), repeat=group):
        chosen = list(drawn)
        weight = np.prod(policy[chosen]) / group
        for i, advantage in zip(chosen, score(chosen), strict=True):  # type: ignore[operator]
            out += weight * (advantage + own(i)) * (np.eye(policy.size)[i] - policy)  # type: ignore[operator]
    return out


@pytest.mark.parametrize("group", [2, 3, 5])
def test_a_groups_own_mean_takes_its_share_of_the_reward_only(group: int) -> None:
    beta = 0.7
    effective = effective_beta(beta, "after", group=group)
    policy = np.exp(log_softmax(np.log(BASE) + REWARD / effective))
    ratio = np.log(policy / BASE)

    def centred(chosen: list[int]) -> np.ndarray:
        return np.asarray(REWARD[chosen] - REWARD[chosen].mean())

    # k2 in the loss, of whole sequences: its slope is the log-ratio.
    assert np.abs(group_update(policy, group, centred, lambda i: -beta * ratio[i])).max() < 1e-14
    # At the optimum at β itself it pushes on; a baseline of the others leaves that one alone.
    plain = np.exp(log_softmax(np.log(BASE) + REWARD / beta))
    plain_ratio = np.log(plain / BASE)
    assert np.abs(group_update(plain, group, centred, lambda i: -beta * plain_ratio[i])).max() > 1e-3

    def others(chosen: list[int]) -> np.ndarray:
        r = REWARD[chosen]
        return np.asarray(r - (r.sum() - r) / (group - 1))

    assert np.abs(group_update(plain, group, others, lambda i: -beta * plain_ratio[i])).max() < 1e-14


@pytest.mark.parametrize("group", [2, 4])
@pytest.mark.parametrize("scaled", [True, False])
def test_charged_before_the_group_compares_the_optimum_is_left_alone_and_nothing_else(group: int, scaled: bool) -> None:
    beta = 0.7
    assert effective_beta(beta, "before", group=group, deviation=3.0) == beta

    def update(policy: np.ndarray) -> np.ndarray:
        paid = REWARD - beta * np.log(policy / BASE)

        def advantages(chosen: list[int]) -> np.ndarray:
            some = paid[chosen] - paid[chosen].mean()
            return np.asarray(some / (np.std(paid[chosen], ddof=1) + 1e-4) if scaled else some)

        return group_update(policy, group, advantages, lambda i: 0.0)

    optimum = np.exp(log_softmax(np.log(BASE) + REWARD / beta))
    assert np.abs(update(optimum)).max() < 1e-11
    rng = np.random.default_rng(0)
    for policy in rng.dirichlet(np.ones(4), size=20):
        step = update(policy)
        assert np.abs(step).max() > 1e-4
        # What is paid more is raised: the step points to the optimum in every pair of responses.
        paid = REWARD - beta * np.log(policy / BASE)
        raised = step / policy
        assert (np.diff(raised[np.argsort(paid)]) > -1e-12).all()


@pytest.mark.parametrize("group", [2, 3, 6])
@pytest.mark.parametrize("success", [0.05, 0.5, 0.9])
def test_the_gap_of_right_and_wrong_answers_is_that_of_every_group(group: int, success: float) -> None:
    policy, right = np.array([1.0 - success, success]), np.array([0.0, 1.0])

    def advantages(chosen: list[int]) -> np.ndarray:
        r = right[chosen]
        return np.zeros(group) if np.ptp(r) == 0 else np.asarray((r - r.mean()) / np.std(r, ddof=1))

    update = group_update(policy, group, advantages, lambda i: 0.0)
    assert update[1] == pytest.approx(success * (1 - success) * group_gap(success, group), rel=1e-12)
    # So the optimum at β/gap is at rest, for a KL charged after.
    beta = 0.6
    assert group_gap(success, 100_000) == pytest.approx(1.0 / np.sqrt(success * (1 - success)), rel=1e-3)
    lam = group_gap(success, group) / beta
    base = np.exp(log_softmax(np.log(policy) - lam * right))
    ratio = np.log(policy / base)
    assert np.abs(group_update(policy, group, advantages, lambda i: -beta * ratio[i])).max() < 1e-14


def test_groups_that_divide_by_their_own_deviation_reach_its_limit_from_above() -> None:
    for success in (0.01, 0.05, 0.5, 0.8):
        s = float(np.sqrt(success * (1.0 - success)))
        ratio = [
            effective_beta(0.3, "after", group=g, success=success) / effective_beta(0.3, "after", group=g, deviation=s)
            for g in (2, 3, 8, 64, 4096)
        ]
        assert (np.diff(ratio) < 0.0).all()
        assert 1.0 < ratio[-1] < 1.01
        assert ratio[0] == pytest.approx(np.sqrt(0.5) / s, rel=1e-12)  # in pairs the gap is √½, however often right
    assert effective_beta(0.3, "before", group=2, success=0.1) == 0.3


def test_what_to_set_is_the_inverse() -> None:
    for given in ({"group": 4}, {"group": 4, "success": 0.1}, {"deviation": 0.2}, {"group": 16, "deviation": 3.0}, {}):
        assert effective_beta(beta_to_set(0.3, "after", **given), "after", **given) == pytest.approx(0.3, rel=1e-15)  # type: ignore[arg-type]


@pytest.mark.parametrize("law", [Gaussian(0.0, 2.0), FiniteLaw([0.0, 1.0, 3.0], [0.5, 0.3, 0.2])])
@pytest.mark.parametrize("pace", [1.0, 0.3, 0.1])
def test_a_controller_settles_where_and_how_it_is_said_to(law: FiniteLaw, pace: float) -> None:
    target = 0.4
    elasticity = KLController(target, 0.1).settles(law).elasticity
    for gain in (0.1 * pace, 0.5, 1.3):
        control = KLController(target, gain / elasticity)
        found = control.settles(law, pace)
        log_lam = float(np.log(found.lam)) - 1e-3
        beta = float(np.exp(-log_lam))
        path = []
        for _ in range(int(25 / min(gain, pace))):
            path.append(log_lam - np.log(found.lam))
            kl = float(law.kl(np.exp(log_lam)))
            log_lam += pace * (-np.log(beta) - log_lam)
            beta = control.next_beta(beta, kl)
            if abs(path[-1]) > 0.05:
                break
        tail = np.abs(path[-max(len(path) // 4, 20) :]).max()
        assert (tail < 2e-4) == found.stable, (gain, tail)
        assert (max(path) > 1e-7) == found.overshoots


def test_a_reward_of_any_first_coefficient_ends_at_the_target() -> None:
    law, control = FiniteLaw([0.0, 1.0, 3.0], [0.5, 0.3, 0.2]), KLController(0.3, 0.5)
    for beta in (1e-3, 50.0):
        for _ in range(2000):
            beta = control.next_beta(beta, float(law.kl(1.0 / beta)))
        assert law.kl(1.0 / beta) == pytest.approx(0.3, rel=1e-9)


def test_noise_moves_the_kl_at_rest_to_where_clipped_errors_balance() -> None:
    rng = np.random.default_rng(0)
    skewed = rng.pareto(3.0, size=(4000, 4)).mean(axis=1) * 2.0
    control = KLController(1.0, 0.02)
    settled = control.settled_kl(skewed)
    assert settled > 1.05
    # A Gaussian law's KL is λ²/2: run the controller on noisy measurements of it.
    beta, seen = 0.7, []
    for noise in rng.permutation(skewed):
        kl = 0.5 / beta**2
        seen.append(kl)
        beta = control.next_beta(beta, kl * noise)
    assert np.exp(np.mean(np.log(seen[1000:]))) == pytest.approx(settled, rel=0.03)
    assert control.settled_kl(np.ones(3)) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: effective_beta(-1.0, "after"), r"beta must lie in \[0, ∞\); got -1"),
        (lambda: effective_beta(1.0, "loss"), "charged must be one of before, after; got 'loss'"),
        (lambda: effective_beta(1.0, "after", group=1), "group must be a whole number of at least 2"),
        (lambda: beta_to_set(1.0, "after", deviation=0.0), r"deviation must lie in \(0, ∞\)"),
        (lambda: effective_beta(1.0, "after", success=0.5), "group must be given where success is"),
        (lambda: beta_to_set(1.0, "after", group=4, deviation=0.5, success=0.5), "deviation must be left out"),
        (lambda: group_gap(1.0, 4), r"success must lie in \(0, 1\)"),
        (lambda: group_gap(0.5, 1), "group must be a whole number >= 2"),
        (lambda: KLController(0.0, 0.1), r"target must lie in \(0, ∞\)"),
        (lambda: KLController(1.0, 0.1).settles(FiniteLaw([0.0, 1.0])), "would fall for ever"),
        (lambda: KLController(1.0, 0.1).settles(Gaussian(), 2.0), r"pace must lie in \(0, 1\]"),
        (lambda: KLController(1.0, 0.1).settled_kl([-1.0, 0.5]), "positive mean"),
        (lambda: KLController(1.0, 0.1).settled_kl([-1.0, -1.0, 9.0]), "allow a balance"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def test_a_policy_at_rest_tells_the_penalty_of_its_charge() -> None:
    """The optimum for k1 in the reward and ``p β/(ν - r)`` for k3 in the loss, and intervals of others that hold."""
    rng = np.random.default_rng(5)
    base = rng.dirichlet(np.ones(12), size=9)
    reward = rng.standard_normal((9, 12))
    place = reward.max(axis=1) + 0.4
    beta = 1.0 / (base / (place[:, None] - reward)).sum(axis=1)  # of each prompt its own
    reward, place = reward / beta[:, None], place / beta
    rest = {"k1": base * np.exp(reward / 0.6), "k3": base / (place[:, None] - reward)}
    rest["neither"] = base * np.exp(0.5 * reward + 0.5 * rng.standard_normal(reward.shape))
    for name, weight in rest.items():
        policy = weight / weight.sum(axis=1, keepdims=True)
        ratio = np.log(policy / base)
        about = ratio - (policy * ratio).sum(axis=1, keepdims=True)
        top = (policy * about * reward).sum(axis=1).mean()
        truth = (top / (policy * about**2).sum(axis=1).mean(), top / ((policy - base) * ratio).sum(axis=1).mean())
        assert name == "neither" or truth[("k1", "k3").index(name)] == pytest.approx(0.6 if name == "k1" else 1.0)
        held = np.zeros(2)
        for _ in range(100):
            kinds = rng.integers(9, size=(40, 1))
            drawn, other = (
                (rng.random((40, 6, 1)) > np.cumsum(law[kinds[:, 0]], axis=1)[:, None, :-1]).sum(axis=2)
                for law in (policy, base)
            )
            prompt = np.repeat(np.arange(40), 6)
            found = resting_penalties(
                (reward[kinds, drawn] + 0.3 * rng.standard_normal((40, 6))).ravel(),
                ratio[kinds, drawn].ravel(),
                prompt,
                base_log_ratio=ratio[kinds, other].ravel(),
                base_prompt=prompt,
            )
            held += [one.beta_low <= right <= one.beta_high for one, right in zip(found, truth, strict=True)]
            assert all(one.beta_low <= one.beta <= one.beta_high for one in found)
        assert (held >= 88).all(), (name, held)  # of 100, at 95 %: 3.3 standard errors


def test_what_tells_no_penalty_at_rest_is_refused() -> None:
    with pytest.raises(InputError, match="prompt must name two prompts or more that have two responses; 1 of 2 do"):
        resting_penalties([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], ["a", "a", "b"])
    with pytest.raises(InputError, match="log_ratio must vary within a prompt"):
        resting_penalties([1.0, 2.0, 3.0, 1.0], [0.1, 0.1, 0.3, 0.3], ["a", "a", "b", "b"])
    with pytest.raises(InputError, match=r"log_ratio must have one entry for each reward, 2; got shape \(1,\)"):
        resting_penalties([1.0, 2.0], [0.1], ["a", "b"])
    with pytest.raises(InputError, match="base_prompt must name every prompt of two responses; 1 of 2 have none"):
        resting_penalties(
            [1.0, 2.0, 3.0, 1.0], [0.1, 0.2, 0.3, 0.1], list("aabb"), base_log_ratio=[0.0], base_prompt=["a"]
        )
