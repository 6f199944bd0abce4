"""The floor, the Bayes risk, the four terms of the divergence, and the interval with its conditions."""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.bottleneck import (
    CodebookMixture,
    ConditionError,
    alignment_interval,
    bayes_risk,
    capacity,
    fano_floor,
    information_split,
    mutual_information,
    required_capacity,
    symmetric_channel,
)

mp.mp.dps = 50


@pytest.mark.parametrize("n_values", [2, 3, 10, 1000])
@pytest.mark.parametrize("error", [0.0, 1e-6, 0.01, 0.2, 0.45])
def test_sharp_floor_is_attained_by_the_symmetric_channel(n_values: int, error: float) -> None:
    rows = symmetric_channel(n_values, error)
    value = capacity(rows).value
    assert fano_floor(value, n_values) == pytest.approx(error, abs=1e-12)
    assert bayes_risk(np.full(n_values, 1 / n_values), rows) == pytest.approx(error, abs=1e-12)


@settings(max_examples=100)
@given(st.integers(2, 10**6), st.floats(0, 1), st.floats(0.1, 3.0))
def test_property_floor(n_values: int, share: float, separation: float) -> None:
    """Rounded down, solves Fano's equation, is above the weak form, falls with capacity, inverts."""
    c = share * math.log(n_values)
    floor = fano_floor(c, n_values, separation)
    with mp.workdps(60):
        e, m = mp.mpf(float(fano_floor(c, n_values))), mp.mpf(n_values)
        entropy = (-e * mp.log(e) if e > 0 else 0) - (1 - e) * mp.log(1 - e)
        carried = mp.log(m) - entropy - e * mp.log(m - 1)
        assert carried >= c - mp.mpf("1e-15") * mp.log(m)
    assert floor >= fano_floor(c, n_values, separation, sharp=False) - 1e-12
    assert 0 <= floor <= separation * (1 - 1 / n_values) + 1e-15
    assert fano_floor(0.5 * c, n_values, separation) >= floor
    assert required_capacity(floor, n_values, separation) == pytest.approx(c, rel=1e-9, abs=1e-9)


def test_required_capacity_grows_with_log_m() -> None:
    m = np.array([10.0, 100.0, 1e4, 1e8, 1e16, 1e100])
    slope = np.diff(required_capacity(0.1, m)) / np.diff(np.log(m))
    assert slope[-1] == pytest.approx(0.9, abs=1e-3)
    assert (required_capacity(0.1, m) >= required_capacity(0.1, m, sharp=False)).all()
    assert required_capacity(0.9, 2) == 0.0


@settings(max_examples=80)
@given(st.integers(2, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_property_floor_below_bayes_risk(n_values: int, labels: int, seed: int) -> None:
    rows = np.random.default_rng(seed).dirichlet(np.full(labels, 0.4), size=n_values)
    mixture = CodebookMixture([1.0], [rows], 1 - np.eye(n_values))
    assert mixture.floor <= mixture.bayes_risk + 1e-12
    assert mixture.information <= mixture.capacity + 1e-12


def test_bayes_risk_by_enumeration() -> None:
    rng = np.random.default_rng(3)
    prob, rows, loss = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), size=3), rng.random((4, 3))
    risks = [
        sum(prob[u] * rows[u, y] * loss[rule[y], u] for u in range(3) for y in range(3))
        for rule in itertools.product(range(4), repeat=3)
    ]
    assert bayes_risk(prob, rows, loss) == pytest.approx(min(risks), abs=1e-15)


def mixture_of(seed: int, contexts: int = 2, values: int = 3, labels: int = 4) -> CodebookMixture:
    rng = np.random.default_rng(seed)
    return CodebookMixture(
        rng.dirichlet(np.ones(contexts)),
        rng.dirichlet(np.full(labels, 0.5), size=(contexts, values)),
        1 - np.eye(values),
    )


def test_canonical_loss_has_the_true_risk() -> None:
    """The tower property: a decoder's mean observed loss is its risk on the hidden target."""
    mixture = mixture_of(0)
    rng = np.random.default_rng(1)
    rule = rng.dirichlet(np.ones(3), size=(2, 4))
    direct = sum(
        mixture.context_prob[s] * mixture.channel[s, u, y] / 3 * rule[s, y, a] * mixture.loss[a, u]
        for s, u, y, a in itertools.product(range(2), range(3), range(4), range(3))
    )
    assert mixture.risk(rule) == pytest.approx(direct, abs=1e-14)
    best = np.eye(3)[mixture.canonical_loss.argmin(axis=2)]
    assert mixture.risk(best) == pytest.approx(mixture.bayes_risk, abs=1e-14)


def brute_force_split(
    mixture: CodebookMixture, m: int, gamma: float
) -> tuple[tuple[np.ndarray, ...], dict[str, float]]:
    """All data sets of m labels, a Gibbs learner over all decoders, and the four terms by plain summation."""
    n_s, n_u, n_y = mixture.channel.shape
    actions = len(mixture.loss)
    decoders = list(itertools.product(range(actions), repeat=n_s * n_y))
    contexts = list(itertools.product(range(n_s), repeat=m))
    targets = list(itertools.product(range(n_u), repeat=m))
    labels = list(itertools.product(range(n_y), repeat=m))
    p_s = np.array([np.prod([mixture.context_prob[s] for s in row]) for row in contexts])
    p_u = np.full((len(contexts), len(targets)), 1 / len(targets))
    p_y = np.array(
        [
            [
                [np.prod([mixture.channel[s, u, y] for s, u, y in zip(a, b, c, strict=True)]) for c in labels]
                for b in targets
            ]
            for a in contexts
        ]
    )
    scores = np.array(
        [
            [
                [sum(mixture.canonical_loss[s, y, d[s * n_y + y]] for s, y in zip(a, c, strict=True)) for d in decoders]
                for c in labels
            ]
            for a in contexts
        ]
    )
    q = np.exp(-gamma * scores)
    q /= q.sum(axis=2, keepdims=True)
    joint = np.einsum("a,ab,abc,act->abct", p_s, p_u, p_y, q)

    def information(x: tuple[int, ...], given: tuple[int, ...]) -> float:
        """I(θ; X | given), axes by number, from marginal entropies."""

        def entropy(axes: tuple[int, ...]) -> float:
            marginal = joint.sum(axis=tuple(i for i in range(4) if i not in axes)).reshape(-1)
            marginal = marginal[marginal > 0]
            return float(-(marginal * np.log(marginal)).sum())

        return (
            entropy((*x, *given)) + entropy((3, *given)) - entropy((3, *x, *given)) - (entropy(given) if given else 0)
        )

    return (p_s, p_u, p_y, q), {
        "target": information((1,), (0,)),
        "context": information((0,), ()),
        "channel": information((2,), (0, 1)),
    }


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("gamma", [0.5, 5.0])
def test_information_split_by_enumeration(m: int, gamma: float) -> None:
    mixture = mixture_of(5, contexts=2, values=2, labels=2)
    laws, brute = brute_force_split(mixture, m, gamma)
    prior = np.random.default_rng(0).dirichlet(np.full(laws[3].shape[2], 5.0))
    split = information_split(*laws, prior)
    for name, value in brute.items():
        assert getattr(split, name) == pytest.approx(value, abs=1e-12), name
    assert split.total == pytest.approx(split.expected_kl, abs=1e-12)
    uniform = np.full(2, 0.5)
    per_label = mixture.context_prob @ np.array([mutual_information(uniform, rows) for rows in mixture.channel])
    assert split.carried == pytest.approx(m * per_label, abs=1e-12)
    assert split.target <= split.carried + 1e-12
    assert split.expected_kl <= m * mixture.capacity + split.context + split.channel + split.prior + 1e-12


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_property_split_adds_up(seed: int, a: int, b: int, c: int, t: int) -> None:
    rng = np.random.default_rng(seed)
    split = information_split(
        rng.dirichlet(np.full(a, 0.5)),
        rng.dirichlet(np.full(b, 0.5), size=a),
        rng.dirichlet(np.full(c, 0.5), size=(a, b)),
        rng.dirichlet(np.full(t, 0.5), size=(a, c)),
        rng.dirichlet(np.full(t, 5.0)),
    )
    assert split.total == pytest.approx(split.expected_kl, abs=1e-11)
    assert min(split.target, split.context, split.channel, split.prior) >= -1e-14
    assert split.target <= split.carried + 1e-12


def test_interval_contains_the_risk_of_exact_gibbs_learners() -> None:
    """Every term by enumeration: floor ≤ expected risk ≤ ceiling, with the capacity in place of the divergence."""
    mixture = mixture_of(5, contexts=2, values=2, labels=2)
    decoders = np.array(list(itertools.product(range(2), repeat=4))).reshape(-1, 2, 2)
    risk_of = np.array([mixture.risk(np.eye(2)[d]) for d in decoders])
    for m, gamma in itertools.product((1, 2), (0.0, 1.0, 20.0)):
        laws, _ = brute_force_split(mixture, m, gamma)
        p_s, p_u, p_y, q = laws
        prior = np.full(len(decoders), 1 / len(decoders))
        split = information_split(*laws, prior)
        weight = p_s[:, None] * np.einsum("ab,abc->ac", p_u, p_y)
        risk = float((weight[..., None] * q * risk_of).sum())
        # The empirical loss of decoder t on data (a, c) is recovered from the Gibbs weights' definition.
        seen = 0.0
        for i, s_row in enumerate(itertools.product(range(2), repeat=m)):
            for j, y_row in enumerate(itertools.product(range(2), repeat=m)):
                losses = np.mean(
                    [mixture.canonical_loss[s, y][decoders[:, s, y]] for s, y in zip(s_row, y_row, strict=True)], axis=0
                )
                seen += weight[i, j] * float(q[i, j] @ losses)
        for form in ("mcallester", "seeger", "catoni"):
            found = alignment_interval(
                mixture,
                seen,
                m,
                observed_loss=mixture.canonical_loss,
                data_law=mixture.data_law,
                context_information=split.context,
                channel_information=split.channel,
                prior_mismatch=split.prior,
                form=form,  # type: ignore[arg-type]
            )
            assert found.floor <= risk <= found.ceiling


def test_conditions_are_checked_not_assumed() -> None:
    mixture = mixture_of(0)
    matched = {"observed_loss": mixture.canonical_loss, "data_law": mixture.data_law}
    alignment_interval(mixture, 0.3, 100, **matched)
    label_loss = np.broadcast_to(1.0 - np.eye(4, 3)[None], mixture.canonical_loss.shape)
    with pytest.raises(ConditionError, match="canonical observable loss") as caught:
        alignment_interval(mixture, 0.3, 100, **(matched | {"observed_loss": label_loss}))
    assert caught.value.condition == "canonical observable loss"
    assert caught.value.discrepancy > 0.1
    with pytest.raises(ConditionError, match="matched mixture"):
        alignment_interval(mixture, 0.3, 100, **(matched | {"data_law": mixture_of(1).data_law}))
    with pytest.raises(ConditionError, match="must separate the values"):
        CodebookMixture([1.0], [np.eye(2)], [[0.0, 0.0], [1.0, 0.0]])


def test_label_loss_can_look_better_than_the_floor() -> None:
    """Why the condition matters: agreement with a noisy rater undercuts the floor on the true risk."""
    mixture = CodebookMixture([1.0], [symmetric_channel(3, 0.4)], 1 - np.eye(3))
    copies_the_rater = np.eye(3)[None]
    assert (copies_the_rater[0] * (1 - np.eye(3))).sum() == 0  # never disagrees with the label
    assert mixture.floor == pytest.approx(0.4, abs=1e-9)
    assert mixture.risk(copies_the_rater) == pytest.approx(0.4, abs=1e-12)


def test_probability_form_pays_markov() -> None:
    mixture = mixture_of(0)
    matched = {"observed_loss": mixture.canonical_loss, "data_law": mixture.data_law}
    expected = alignment_interval(mixture, 0.1, 1000, **matched)
    probable = alignment_interval(mixture, 0.1, 1000, kind="probability", **matched)
    assert probable.ceiling > expected.ceiling
    assert probable.confidence == pytest.approx(0.95)
    assert expected.confidence is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fano_floor(0.1, 1), "n_values must be at least 2; got 1. A codebook of one value"),
        (lambda: fano_floor(1.0, 2), r"capacity=1 exceeds log\(n_values\)=0.693147 for n_values=2"),
        (lambda: fano_floor(-0.1, 4), r"capacity must lie in \[0, ∞\); got -0.1"),
        (lambda: fano_floor(0.1, 4, 0.0), "separation must lie in .*; got 0"),
        (lambda: required_capacity(-0.1, 4), r"risk must lie in \[0, ∞\); got -0.1"),
        (lambda: bayes_risk([0.5, 0.5], np.eye(3)), "one entry per row of channel, 3; got 2"),
        (lambda: CodebookMixture([1.0], [[[0.5, 0.5]]], [[0.0]]), "a codebook of one value"),
        (lambda: CodebookMixture([1.0], [np.eye(2)], [[0.0, 2.0], [1.0, 0.0]]), r"loss must lie in \[0, 1\]; it spans"),
        (
            lambda: CodebookMixture([1.0], [[[0.5, 0.1], [0, 1]]], 1 - np.eye(2)),
            "channel must have rows that sum to one",
        ),
        (lambda: information_split([1.0], [[1.0]], [[[1.0]]], [[[0.5, 0.5]]], [1.0, 0.0]), "spread the prior"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(("size", "seed", "budget"), [(99, 1, 0.15**2), (95, 1, 0.175**2)])
def test_a_search_that_gets_stuck_begins_elsewhere(size: int, seed: int, budget: float) -> None:
    """About one in two thousand budgets of random channels: the first start leads along an edge."""
    rng = np.random.default_rng(seed)
    judge = rng.dirichlet(np.full(5, 0.3), size=(4, size))
    channel = judge[0] @ rng.dirichlet(np.full(5, 0.3), size=(4, 5))[0]
    found = capacity(channel, cost=np.linspace(0.0, 1.0, size), budget=budget)
    assert found.gap <= 1e-9
    assert np.linspace(0.0, 1.0, size) @ found.input_prob <= budget * (1 + 1e-12)
