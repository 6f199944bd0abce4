"""Part *The bottleneck*: for each theorem, proposition and claim of chapters 60 to 66 a search for a counterexample.

The names are those of the boxes. What a box does not say is searched for too: where a condition is needed, or a shorter
form of the statement is false, the counterexample must be found.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy

from alignlib._core.checks import FloatArray
from alignlib.bottleneck import (
    Cascade,
    CodebookMixture,
    FlatteryWorld,
    InformationSplit,
    RateDistortionTask,
    allocate,
    bayes_risk,
    capacity,
    estimate_from_counts,
    expected_ceiling,
    fano_floor,
    information_split,
    label_floor,
    mutual_information,
    optimal_judge,
    rate_distortion,
    required_capacity,
    reverse_water_filling,
    symmetric_channel,
)
from tests.searching import channel, law, positive, worst_case

SLACK = 1e-8  # capacities are certified to 1e-9


def uniform(size: int) -> FloatArray:
    return np.full(size, 1.0 / size)


# ---------------------------------------------------------------- 60, the feedback channel
def two_contexts(z: FloatArray) -> Cascade:
    judge = np.stack([channel(z[:6], 3), channel(z[6:12], 3)])
    report = np.stack([channel(z[12:18], 2), channel(z[18:24], 2)])
    return Cascade(law(z[24:26]), judge, report)


def test_prop_min_bound() -> None:
    def excess(z: FloatArray) -> float:
        cascade = two_contexts(z)
        found = cascade.capacities()
        over_min = float((found.total - found.smaller).max())
        return max(over_min, cascade.information(law(z[26:])) - found.mean_total, found.mean_total - found.mean_smaller)

    assert worst_case(excess, 29, starts=2, steps=15).excess <= SLACK


def test_prop_min_bound_also_where_the_value_depends_on_the_context() -> None:
    def excess(z: FloatArray) -> float:
        cascade = two_contexts(z)
        weight = np.asarray(cascade.context_prob)
        told = 0.0
        for w, rows, p in zip(weight, cascade.total, (law(z[26:29]), law(z[29:32])), strict=True):
            out = p @ rows
            told += float(w * (p @ scipy.special.rel_entr(rows, out).sum(axis=1)))
        return told - cascade.capacities().mean_total

    assert worst_case(excess, 32, starts=2, steps=20).excess <= SLACK


def test_equal_capacities_need_no_perfect_stage() -> None:
    """C_cog = C_art = C_tot where the best inputs get through; a third, idle input keeps both stages imperfect."""
    judge = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    report = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    found = Cascade(np.ones(1), judge[None], report[None]).capacities()
    np.testing.assert_allclose([found.cognitive, found.articulation, found.total], np.log(2.0), atol=1e-9)
    for stage in (judge, report):  # neither is a relabelling: some row leaves its label open
        assert (stage.max(axis=1) < 1.0).any()


def test_prop_equal_capacities() -> None:
    """C_tot = C_cog just where, for a best input law of the judge, the label tells all that the judgement does."""

    # the best law keeps at most C_tot: so nothing is lost of the capacity where nothing of its information is
    def excess(z: FloatArray) -> float:
        judge, report = channel(z[:6], 2), channel(z[6:], 3)
        best = capacity(judge)
        return mutual_information(best.input_prob, judge @ report) - capacity(judge @ report).value

    assert worst_case(excess, 15, starts=2, steps=25).excess <= SLACK
    # two of three judgements in use, and the report keeps these two apart: equal, though the report is no relabelling
    judge = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    report = np.array([[1.0, 0.0, 0.0], [0.0, 0.7, 0.3], [0.5, 0.5, 0.0]])
    assert capacity(judge @ report).value == pytest.approx(capacity(judge).value, abs=1e-9)
    report[1] = [0.1, 0.6, 0.3]
    assert capacity(judge @ report).value < capacity(judge).value - 1e-2


def test_prop_capacity_certificate() -> None:
    def excess(z: FloatArray) -> float:
        rows, p = channel(z[:12], 4), law(z[12:])
        output = p @ rows
        value = capacity(rows).value
        return max(
            mutual_information(p, rows) - value,
            value - float(scipy.special.rel_entr(rows, output).sum(axis=1).max()),
        )

    assert worst_case(excess, 16, starts=2, steps=30).excess <= SLACK


def blahut_arimoto_masses(rows: FloatArray, steps: int) -> FloatArray:
    p = uniform(len(rows))
    masses = [p]
    for _ in range(steps):
        raised = p * np.exp(scipy.special.rel_entr(rows, p @ rows).sum(axis=1))
        p = raised / raised.sum()
        masses.append(p)
    return np.array(masses)


@pytest.mark.parametrize("seed", range(4))
def test_prop_leaving_inputs_shrink_geometrically(seed: int) -> None:
    """An input whose divergence from the best output is below C loses the factor exp(KL_u - C) a step."""
    rng = np.random.default_rng(seed)
    rows = np.vstack([np.eye(3) * 0.8 + 0.2 / 3, rng.dirichlet(np.ones(3), 3) * 0.2 + 0.8 / 3])
    found = capacity(rows)
    divergence = scipy.special.rel_entr(rows, found.input_prob @ rows).sum(axis=1)
    idle = divergence < found.value - 1e-3
    assert idle.any()
    masses = blahut_arimoto_masses(rows, 400)[:, idle]
    measured = np.log(masses[400] / masses[300]) / 100
    np.testing.assert_allclose(measured, (divergence - found.value)[idle], rtol=1e-3)


def tied_channel() -> FloatArray:
    """Two inputs in use and a third, idle one, whose divergence is exactly C."""
    two = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]])
    best = capacity(two)
    output = best.input_prob @ two

    def row(t: float) -> FloatArray:
        return np.array([0.5 - t / 2, 0.5 - t / 2, t])

    tie = scipy.optimize.brentq(
        lambda t: float(scipy.special.rel_entr(row(t), output).sum()) - best.value, 0.05, 0.9, xtol=1e-15
    )
    return np.vstack([two, row(tie)])


def test_prop_leaving_inputs_go_like_one_over_t_at_a_tie_only() -> None:
    mass = blahut_arimoto_masses(tied_channel(), 8000)[:, 2]
    assert mass[8000] * 8000 == pytest.approx(mass[4000] * 4000, rel=0.01)
    assert mass[8000] > 1e-5


# ---------------------------------------------------------------- 61, measuring capacity
def binary_capacity(a: FloatArray, b: FloatArray) -> FloatArray:
    """Capacity of the channel with rows (1-a, a), (1-b, b): ``log(e^{z0} + e^{z1})``, z solving ``P z = -H``."""
    h0, h1 = (scipy.special.entr(x) + scipy.special.entr(1 - x) for x in (a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (h0 - h1) / (b - a)  # z1 - z0 = -(h1 - h0)/(b - a)
        z0 = -h0 - a * slope
        value = z0 + np.logaddexp(0.0, slope)
    return np.where(a == b, 0.0, value)


@pytest.mark.parametrize(("a", "b"), [(0.1, 0.8), (0.3, 0.9), (0.05, 0.4)])
def test_prop_counted_capacity(a: float, b: float) -> None:
    """Bias and variance of the counted capacity, summed over every table of two rows, against the second order."""
    left = []
    for n in (60, 240):
        k = np.arange(n + 1)
        weight = np.outer(scipy.stats.binom.pmf(k, n, a), scipy.stats.binom.pmf(k, n, b))
        value = binary_capacity(*np.meshgrid(k / n, k / n, indexing="ij"))
        mean = float((weight * value).sum())
        truth = capacity([[1 - a, a], [1 - b, b]]).value
        at_truth = estimate_from_counts(np.round(np.array([[1 - a, a], [1 - b, b]]) * n * 1000))
        bias, spread = 1000 * at_truth.bias, np.sqrt(1000) * at_truth.standard_error
        assert mean - truth == pytest.approx(bias, rel=40 / n)
        assert np.sqrt(float((weight * (value - mean) ** 2).sum())) == pytest.approx(spread, rel=12 / n)
        left.append(abs(mean - truth - bias))
    assert left[1] < left[0] / 8  # what is left falls faster than 1/n


def test_prop_counted_capacity_variance_near_zero_is_that_of_the_quadratic_term() -> None:
    """Two values alike: no linear term is left, and over every table the variance is ½ tr(HΣHΣ).

    Elsewhere that is one of several terms of order 1/n²: what the linear term leaves is more than it.
    """
    n = 400
    k = np.arange(n + 1)

    def variance(a: float, b: float) -> float:
        weight = np.outer(scipy.stats.binom.pmf(k, n, a), scipy.stats.binom.pmf(k, n, b))
        value = binary_capacity(*np.meshgrid(k / n, k / n, indexing="ij"))
        return float((weight * (value - (weight * value).sum()) ** 2).sum())

    blind = estimate_from_counts(n * np.array([[0.7, 0.3], [0.7, 0.3]]))
    assert np.sqrt(variance(0.3, 0.3)) == pytest.approx(blind.standard_error, rel=0.02)

    rows = np.array([[0.9, 0.1], [0.2, 0.8]])
    best = capacity(rows)
    g = best.input_prob[:, None] * np.log(rows / (best.input_prob @ rows))
    linear = float(((rows * g**2).sum(axis=1) - (rows * g).sum(axis=1) ** 2).sum()) / n
    second = estimate_from_counts(n * rows).standard_error ** 2 - linear * n / (n - 1)
    assert variance(0.1, 0.8) - linear > 1.5 * second > 0.0


def curvature(rows: FloatArray, direction: FloatArray, step: float) -> float:
    """Half the second derivative of the capacity along ``step·direction``, from one side, first order taken off."""
    best = capacity(rows, 1e-13)
    slope = best.input_prob[:, None] * np.log(rows / (best.input_prob @ rows))
    moved = capacity(rows + step * direction, 1e-13).value - best.value - step * float((slope * direction).sum())
    return moved / step**2


def directions(inputs: int, outputs: int, seed: int) -> FloatArray:
    drawn = np.random.default_rng(seed).standard_normal((2, inputs, outputs))
    return np.asarray(drawn - drawn.mean(axis=2, keepdims=True))


def test_prop_counted_capacity_needs_a_unique_input_law() -> None:
    """At capacity 0 every input law is best: with more than two targets the capacity has no second derivative there.

    A second derivative is a quadratic form, which obeys the parallelogram law.
    """
    defect = {}
    for targets in (2, 3):
        rows = np.tile([0.3, 0.5, 0.2], (targets, 1))
        each = []
        for one, other in (directions(targets, 3, seed) for seed in range(3)):
            both, apart, first, second = (curvature(rows, d, 1e-4) for d in (one + other, one - other, one, other))
            each.append(abs((both + apart) / (2 * first + 2 * second) - 1.0))
        defect[targets] = max(each)
    assert defect[2] < 1e-2
    assert defect[3] > 3e-2


def test_prop_counted_capacity_needs_a_fixed_support() -> None:
    """Where an idle input ties, the capacity bends differently to either side; where it is clearly idle, alike."""
    direction = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-0.5, -0.5, 1.0]])
    tied, idle = tied_channel(), tied_channel()
    idle[2] = 0.5 * idle[2] + 0.25 * (idle[0] + idle[1])
    up, down = (curvature(tied, direction, step) for step in (1e-3, -1e-3))
    assert up > 0.05
    assert abs(down) < 1e-2 * up
    assert max(abs(curvature(idle, direction, step)) for step in (1e-3, -1e-3)) < 1e-2 * up


# ---------------------------------------------------------------- 62, floor and ceiling
def mixture_of(z: FloatArray) -> CodebookMixture:
    """Three values, two contexts, four labels, any loss in [0, 1] that separates the values."""
    rows = np.stack([channel(z[:12], 3), channel(z[12:24], 3)])
    loss = 1.0 / (1.0 + np.exp(-z[26:38].clip(-6, 6).reshape(4, 3)))
    return CodebookMixture(law(z[24:26]), rows, loss)


def test_thm_fano_floor() -> None:
    def excess(z: FloatArray) -> float:
        mixture = mixture_of(z)
        sharp = mixture.floor
        weak = float(fano_floor(mixture.capacity, 3, mixture.separation, sharp=False))
        return max(sharp - mixture.bayes_risk, weak - sharp)

    worst = worst_case(excess, 38, starts=2, steps=30)
    assert worst.excess <= SLACK
    attained = CodebookMixture(np.ones(1), symmetric_channel(5, 0.3)[None], 1 - np.eye(5))
    assert attained.floor == pytest.approx(attained.bayes_risk, abs=1e-9)


def test_thm_fano_floor_is_the_smaller_solution() -> None:
    """The equation has a second solution where capacity is small, always for two values: that one is no floor."""
    for values, error in ((2, 0.2), (3, 0.6)):
        rows = symmetric_channel(values, error)

        def left(x: float, m: int = values, c: float = capacity(rows).value) -> float:
            return float(scipy.special.entr(x) + scipy.special.entr(1 - x) + x * np.log(m - 1) - np.log(m)) + c

        larger = scipy.optimize.brentq(left, 1 - 1 / values + 1e-9, 1.0 - 1e-12)
        assert larger > 1 - 1 / values
        assert float(fano_floor(capacity(rows).value, values)) == pytest.approx(error, abs=1e-8)
        assert bayes_risk(uniform(values), rows) == pytest.approx(error)


def learner_of(z: FloatArray) -> tuple[CodebookMixture, InformationSplit, float, float, int]:
    """Any posterior over four decoders after each of all data sets of two labels; split, risk and empirical risk."""
    m = 2
    rows = np.stack([channel(z[:4], 2), channel(z[4:8], 2)])
    mixture = CodebookMixture(np.array([0.4, 0.6]), np.asarray(rows), 1 - np.eye(2))
    s, u, y = (np.array(list(itertools.product(range(2), repeat=m))) for _ in range(3))
    posterior = np.exp(z[8:72].clip(-9, 9).reshape(4, 4, 4))
    posterior /= posterior.sum(axis=2, keepdims=True)
    context = mixture.context_prob[s].prod(axis=1)
    labels = np.ones((4, 4, 4))
    for i in range(m):
        labels *= rows[s[:, i][:, None, None], u[:, i][None, :, None], y[:, i][None, None, :]]
    split = information_split(context, np.full((4, 4), 0.25), labels, posterior, law(z[72:76].clip(-3, 3)))
    action = (z[76:92].reshape(4, 2, 2) > 0).astype(int)  # four decoders of (context, label)
    loss = mixture.canonical_loss[np.arange(2)[:, None], np.arange(2)[None, :], action]
    seen = np.mean([loss[:, s[:, i][:, None], y[:, i][None, :]] for i in range(m)], axis=0)
    weight = context[:, None] * labels.mean(axis=1)
    risk = float(np.einsum("ac,act,t->", weight, posterior, (mixture.data_law * loss).sum(axis=(1, 2))))
    return mixture, split, risk, float(np.einsum("ac,act,tac->", weight, posterior, seen)), m


def test_thm_capacity_ceiling() -> None:
    def excess(z: FloatArray) -> float:
        mixture, split, risk, empirical, m = learner_of(z)
        terms = np.array([split.target, split.context, split.channel, split.prior])
        full = m * mixture.capacity + float(terms[1:].sum())
        return max(
            float(abs(split.total - split.expected_kl)),
            float(-terms.min()),
            split.target - split.carried,
            split.carried - m * mixture.capacity,
            split.expected_kl - full,
            risk - float(expected_ceiling(empirical, max(full, 0.0), m)),
            mixture.floor - risk,
        )

    assert worst_case(excess, 92, starts=2, steps=25).excess <= SLACK


def test_capacity_times_labels_alone_is_no_ceiling_of_the_divergence() -> None:
    def excess(z: FloatArray) -> float:
        mixture, split, _, _, m = learner_of(z)
        return float(split.expected_kl - m * mixture.capacity)

    assert worst_case(excess, 92, starts=1, steps=40).excess > 1.0


# ---------------------------------------------------------------- 63, more labels
def test_prop_more_labels() -> None:
    """Whatever decoder a learner ends with, from any number of labels, its risk is no less than the floor."""

    def excess(z: FloatArray) -> float:
        mixture = mixture_of(z)
        decoder = np.exp(z[38:70].reshape(2, 4, 4))
        return mixture.floor - mixture.risk(decoder / decoder.sum(axis=2, keepdims=True))

    assert worst_case(excess, 70, starts=2, steps=15).excess <= SLACK


def test_prop_shared_target() -> None:
    def excess(z: FloatArray) -> float:
        rows = channel(z[:9], 3)
        both = np.einsum("uy,uz->uyz", rows, rows).reshape(3, -1)
        carried = mutual_information(uniform(3), both)
        twice = 2 * capacity(rows).value
        floor = float(fano_floor(min(twice, np.log(3.0)), 3))
        return max(carried - twice, floor - bayes_risk(uniform(3), both))

    assert worst_case(excess, 9, starts=2, steps=40).excess <= SLACK


# ---------------------------------------------------------------- 64, harder values
def test_prop_required_capacity() -> None:
    def excess(z: FloatArray) -> float:
        rows = channel(z, 4)
        needed = float(required_capacity(bayes_risk(uniform(4), rows), 4))
        return needed - capacity(rows).value

    assert worst_case(excess, 20, starts=3, steps=60).excess <= SLACK


def test_prop_required_capacity_only_below_blind_guessing() -> None:
    """A risk that guessing reaches needs no capacity, though the formula of the proposition would ask for some."""
    coin = np.full((2, 2), 0.5)
    assert bayes_risk(uniform(2), coin) <= 0.9
    assert capacity(coin).value == pytest.approx(0.0, abs=SLACK)
    formula = np.log(2.0) - float(scipy.special.entr(0.9) + scipy.special.entr(0.1))
    assert formula > 0.3
    assert required_capacity(0.9, 2) == 0.0


def test_prop_label_count() -> None:
    """With L labels for M values no channel errs less than 1 - L/M, and one attains it."""

    def excess(z: FloatArray) -> float:
        return float(label_floor(5, 8)) - bayes_risk(uniform(8), channel(z, 8))

    assert worst_case(excess, 40, starts=4, steps=250).excess <= 1e-12
    attained = np.vstack([np.eye(5), np.tile(np.eye(5)[0], (3, 1))])
    assert bayes_risk(uniform(8), attained) == pytest.approx(label_floor(5, 8), abs=1e-15) == 0.375


def test_required_capacity_is_not_sufficient() -> None:
    """Five labels can carry what 10 % errors on 8 values require, and no rater with five labels reaches 10 %."""
    assert required_capacity(0.1, 8) < np.log(5.0)
    assert label_floor(5, 8) > 0.1


# ---------------------------------------------------------------- 65, past saturation
def test_prop_saturation() -> None:
    def excess(z: FloatArray) -> float:
        flattery, error = (1 / (1 + np.exp(-z[:2]))).tolist()
        world = FlatteryWorld(2, flattery, error, n_items=1)
        (point,) = world.learner(np.array([positive(float(z[2]), 0.05, 20.0)]), positive(float(z[3]), 0.01, 20.0))
        styles = world.positive
        most = 2 * float(np.mean([capacity(np.stack([1 - styles[:, c], styles[:, c]], 1)).value for c in (0, 1)]))
        split = point.split
        return max(split.target - split.carried, split.carried - most, abs(split.total - split.expected_kl))

    assert worst_case(excess, 4, starts=3, steps=40).excess <= SLACK


def test_prop_noise_and_bias() -> None:
    """A rater who always reports the style leaves ρ = 0, however strong the learner; the style shows in KL(E Q‖P)."""

    def excess(z: FloatArray) -> float:
        world = FlatteryWorld(4, 1.0, 1 / (1 + np.exp(-z[0])), n_items=1)
        (point,) = world.learner(np.array([positive(float(z[1]), 0.05, 50.0)]), positive(float(z[2]), 0.1, 10.0))
        return point.split.channel

    assert worst_case(excess, 3, starts=2, steps=20).excess <= 1e-12
    always, noisy, flatterer = (
        FlatteryWorld(10, flattery, error).learner(np.array([8.0]))[0]
        for flattery, error in ((1.0, 0.05), (0.0, 0.3), (0.6, 0.05))
    )
    assert always.split.prior > 5.0
    assert noisy.split.channel > flatterer.split.channel
    assert noisy.gold_risk < flatterer.gold_risk


def test_prop_noise_and_bias_for_any_labels_that_are_a_function_of_value_and_context() -> None:
    """ρ = 0 for every such rater, posterior and prior; with labels drawn at random it is not."""

    def rho(z: FloatArray, *, certain: bool) -> float:
        scores = z[:16].reshape(2, 4, 2)  # contexts, values, labels
        labels = np.eye(2)[scores.argmax(axis=2)] if certain else scipy.special.softmax(scores, axis=2)
        posterior = scipy.special.softmax(z[16:28].reshape(2, 2, 3), axis=2)
        return information_split(law(z[28:30]), np.full((2, 4), 0.25), labels, posterior, law(z[30:])).channel

    assert worst_case(lambda z: abs(rho(z, certain=True)), 33, starts=3, steps=30).excess <= 1e-12
    assert worst_case(lambda z: rho(z, certain=False), 33, starts=2, steps=60).excess > 0.05


# ---------------------------------------------------------------- 66, the capacity budget
def test_thm_optimal_judge() -> None:
    """No judge lies below the supporting line of the curve: I + λ·loss is at least its dual value."""

    def excess(z: FloatArray) -> float:
        prob, loss, slope = law(z[:3]), z[3:12].reshape(3, 3), positive(float(z[12]), 0.1, 10.0)
        point = rate_distortion(prob, loss, slope)
        judge = channel(z[13:], 3)
        spent = mutual_information(prob, judge) + slope * float(prob @ (judge * loss).sum(axis=1))
        tilted = (prob @ point.judge) * np.exp(-slope * (loss - loss.min(axis=1, keepdims=True)))
        form = float(np.abs(point.judge - tilted / tilted.sum(axis=1, keepdims=True)).max())
        return max(point.dual - spent, form - 1e-5)

    assert worst_case(excess, 22, starts=3, steps=60).excess <= SLACK


def test_thm_optimal_judge_at_the_ends() -> None:
    """At capacity 0 and λ = 0 any q would do, but only the best guess is best; without error no finite λ is left."""
    prob, loss = np.array([0.5, 0.3, 0.2]), 1 - np.eye(3)
    blind = optimal_judge(prob, loss, 0.0).loss
    assert float(prob @ loss @ uniform(3)) > blind + 0.1
    assert np.isinf(optimal_judge(prob, loss, np.log(3.0)).slope)


def test_prop_reverse_water_filling() -> None:
    rng = np.random.default_rng(2)
    weight = np.array([0.5, 0.3, 0.2])
    tasks = [RateDistortionTask(rng.dirichlet(np.ones(3)), scale * (1 - np.eye(3))) for scale in (0.3, 1.0, 2.0)]
    best = allocate(tasks, 0.3, weight).loss
    variance = np.array([2.0, 0.5, 0.1])
    gaussian = reverse_water_filling(variance, 0.3, weight).loss

    def excess_gaussian(z: FloatArray) -> float:
        return gaussian - float(weight @ (variance * np.exp(-2 * law(z) * 0.3 / weight)))

    def excess(z: FloatArray) -> float:
        rates = law(z) * 0.3 / weight
        return best - float(
            weight @ [optimal_judge(t.prob, t.loss, float(r)).loss for t, r in zip(tasks, rates, strict=True)]
        )

    assert worst_case(excess_gaussian, 3, steps=200).excess <= 1e-12
    assert worst_case(excess, 3, starts=1, steps=12).excess <= 1e-7
