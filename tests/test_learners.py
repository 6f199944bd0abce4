"""Simulated learners and enumerated worlds: what is drawn, learnt and counted is what the definitions say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from alignlib.bottleneck import (
    CodebookMixture,
    FlatteryWorld,
    alignment_interval,
    capacity,
    counting_decoder,
    draw_counts,
    enumerate_gibbs,
    gibbs_learner,
    information_split,
    network_decoder,
    pooled_decoder,
    rating_channel,
    symmetric_channel,
)


def mixture_of(seed: int = 0, contexts: int = 3, values: int = 4, labels: int = 4) -> CodebookMixture:
    rng = np.random.default_rng(seed)
    return CodebookMixture(
        rng.dirichlet(np.full(contexts, 5.0)),
        rng.dirichlet(np.full(labels, 0.5), size=(contexts, values)),
        1 - np.eye(values),
    )


def test_draws_follow_the_mixture() -> None:
    mixture = mixture_of()
    counts = draw_counts(mixture, 10**6, np.random.default_rng(1))
    law = mixture.context_prob[:, None, None] * mixture.channel / mixture.n_values
    assert np.abs(counts / 1e6 - law).max() < 2e-3


@pytest.mark.parametrize("m", [1, 10, 1000, 100_000])
def test_no_learner_crosses_floor_or_bayes_risk(m: int) -> None:
    mixture, rng = mixture_of(), np.random.default_rng(m)
    counts = draw_counts(mixture, m, rng)
    decoders = [
        counting_decoder(mixture, counts),
        pooled_decoder(mixture, counts),
        network_decoder(mixture, counts, rng, steps=100),
        gibbs_learner(mixture, counts.sum(axis=1), 1.0).decoder,
    ]
    for decoder in decoders:
        assert np.allclose(decoder.sum(axis=2), 1)
        assert mixture.floor <= mixture.bayes_risk <= mixture.risk(decoder) + 1e-12


def test_learners_learn() -> None:
    """With many labels counting, the network and Gibbs reach the Bayes risk; pooling does not where contexts differ."""
    mixture, rng = mixture_of(), np.random.default_rng(0)
    counts = draw_counts(mixture, 200_000, rng)
    assert mixture.risk(counting_decoder(mixture, counts)) == pytest.approx(mixture.bayes_risk, abs=2e-3)
    assert mixture.risk(network_decoder(mixture, counts, rng)) == pytest.approx(mixture.bayes_risk, abs=2e-2)
    assert mixture.risk(gibbs_learner(mixture, counts.sum(axis=1), 1.0).decoder) == pytest.approx(
        mixture.bayes_risk, abs=2e-3
    )
    assert mixture.risk(pooled_decoder(mixture, counts)) > mixture.bayes_risk + 0.02


def test_gibbs_product_equals_gibbs_over_all_decoders() -> None:
    mixture = CodebookMixture([0.4, 0.6], np.random.default_rng(2).dirichlet([1, 1], size=(2, 2)), 1 - np.eye(2))
    seen, gamma = np.array([[3.0, 1.0], [0.0, 2.0]]), 0.7
    decoders = np.array(list(itertools.product(range(2), repeat=4))).reshape(-1, 2, 2)
    s, y = np.indices((2, 2))
    loss = (seen * mixture.canonical_loss[s, y, decoders]).sum(axis=(1, 2))
    q = np.exp(-gamma * loss)
    q /= q.sum()
    learner = gibbs_learner(mixture, seen, gamma)
    assert learner.kl == pytest.approx(float((q * np.log(q * len(q))).sum()), abs=1e-12)
    assert learner.empirical_risk == pytest.approx(float(q @ loss) / seen.sum(), abs=1e-12)
    assert mixture.risk(learner.decoder) == pytest.approx(
        float(q @ np.array([mixture.risk(np.eye(2)[d]) for d in decoders])), abs=1e-12
    )


@pytest.mark.parametrize("gamma", [0.0, 1.0, 10.0])
def test_enumerated_interval(gamma: float) -> None:
    """Floor ≤ risk ≤ ceiling with the capacity in the ceiling, for every number of labels; the identity to rounding."""
    mixture = mixture_of(3, contexts=2, values=2, labels=2)
    for m in (1, 2, 3, 4):
        found = enumerate_gibbs(mixture, m, gamma)
        split = found.split
        assert split.total == pytest.approx(split.expected_kl, abs=1e-12)
        assert split.target <= m * mixture.capacity + 1e-12
        for form in ("mcallester", "catoni", "seeger"):
            interval = alignment_interval(
                mixture,
                found.empirical_risk,
                m,
                observed_loss=mixture.canonical_loss,
                data_law=mixture.data_law,
                context_information=max(split.context, 0.0),
                channel_information=max(split.channel, 0.0),
                prior_mismatch=split.prior,
                form=form,  # type: ignore[arg-type]
            )
            assert interval.floor <= mixture.bayes_risk <= found.risk <= interval.ceiling


def test_enumeration_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"m=9 needs a table of .* cells"):
        enumerate_gibbs(mixture_of(), 9, 1.0)


def test_flattery_by_sequences() -> None:
    """Counts are sufficient: the split over counts equals the split over all sequences of labels."""
    world, gamma, m = FlatteryWorld(2, flattery=0.5, error=0.1, n_items=1), 1.3, 2
    contexts = list(itertools.product(range(2), repeat=m))
    labels = list(itertools.product(range(2), repeat=m))
    positive = world.positive
    s = np.full(len(contexts), 0.25)
    u = np.full((len(contexts), 2), 0.5)
    y = np.array(
        [
            [
                [
                    np.prod([positive[b, c] if k else 1 - positive[b, c] for c, k in zip(row, ys, strict=True)])
                    for ys in labels
                ]
                for b in range(2)
            ]
            for row in contexts
        ]
    )
    tables = world.verdicts()
    prior = np.exp(-3.0 * (tables[:, 0] != tables[:, 1]))
    prior /= prior.sum()
    q = np.array(
        [
            [
                prior * np.exp(-gamma * sum(np.abs(tables[:, c] - k) for c, k in zip(row, ys, strict=True)))
                for ys in labels
            ]
            for row in contexts
        ]
    )
    q /= q.sum(axis=2, keepdims=True)
    slow = information_split(s, u, y, q, prior)
    fast = world.learner(np.array([gamma]))[0].split
    for name in ("target", "context", "channel", "prior", "expected_kl", "carried"):
        assert getattr(fast, name) == pytest.approx(getattr(slow, name), abs=1e-12), name


def test_flattery_turns_over() -> None:
    """Proxy and training risk fall with strength throughout; gold risk falls, then rises."""
    points = FlatteryWorld(8).learner(np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0]))
    gold, proxy, training = (
        np.array([getattr(p, name) for p in points]) for name in ("gold_risk", "proxy_risk", "training_risk")
    )
    assert (np.diff(proxy) < 0).all()
    assert (np.diff(training) < 0).all()
    assert gold.argmin() == 3
    assert points[0].gold_risk == pytest.approx(0.5)
    honest = FlatteryWorld(8, flattery=0.0).learner(np.array([0.5, 2.0, 8.0]))
    assert (np.diff([p.gold_risk for p in honest]) < 0).all()  # the control: without the artefact gold only falls


def test_flattery_limits_are_named() -> None:
    with pytest.raises(ValueError, match=r"m must lie in \[1, 24\]"):
        FlatteryWorld(25)
    with pytest.raises(ValueError, match=r"flattery must lie in \[0, 1\]"):
        FlatteryWorld(3, flattery=1.5)


def test_rating_channel() -> None:
    rows = rating_channel(5, 0.3, 7)
    assert rows.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-14)
    assert rows == pytest.approx(rows[::-1, ::-1], abs=1e-15)
    assert capacity(rating_channel(5, 1e-3, 5)).value == pytest.approx(np.log(5), abs=1e-9)
    assert capacity(rating_channel(5, 100.0, 5)).value < 1e-4
    assert capacity(rating_channel(2, 0.5, 2)).value == pytest.approx(
        capacity(symmetric_channel(2, float(rating_channel(2, 0.5, 2)[0, 1]))).value, abs=1e-12
    )
