"""Capacity from counts: intervals at few errors, raters left out in closed form, the decoder beside the floor."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from alignlib import InputError
from alignlib.answers.capacity import ask_capacity
from alignlib.bottleneck import (
    bayes_risk,
    capacity,
    decoder_error,
    estimate_capacity,
    estimate_from_counts,
    rating_channel,
    symmetric_channel,
)
from alignlib.bottleneck.counted_decoder import decoder_error_by_rater
from alignlib.bottleneck.over_raters import _Cells, ends_over_raters, leave_out_raters
from alignlib.cli._progress import Progress
from alignlib.cli.main import main
from alignlib.tables import RaterTable


@pytest.mark.parametrize("n", [2, 8, 500, 100_000])
@pytest.mark.parametrize("targets", [2, 5])
def test_no_error_seen_does_not_mean_no_error(n: int, targets: int) -> None:
    found = estimate_from_counts(n * np.eye(targets))
    low, high = found.interval()
    assert high == pytest.approx(math.log(targets))
    # An error rate with which n labels show no error in one table of forty lies within.
    rate = -math.expm1(math.log(0.025) / n)
    if targets == 2:
        assert low <= capacity([[1.0, 0.0], [rate, 1.0 - rate]]).value
    assert low < high - 0.1 / n


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=6))
def test_intervals_have_width_and_stay_within_the_logarithm_of_the_labels(rows: list[list[int]]) -> None:
    counts = np.array(rows) + np.array([2, 0, 0])
    found = estimate_from_counts(counts)
    low, high = found.interval()
    assert 0.0 <= low < high <= math.log(min(counts.shape)) + 1e-12


RARE = {
    "yes or no, .05 %": (symmetric_channel(2, 0.0005), 500),
    "yes or no, .1 %": (symmetric_channel(2, 0.001), 2000),
    "yes or no, .2 %": (symmetric_channel(2, 0.002), 500),
    "four, .1 %": (symmetric_channel(4, 0.001), 800),
    "six, .2 %": (symmetric_channel(6, 0.002), 300),
    "one of three errs, .15 %": (np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0015, 0.0, 0.9985]]), 1000),
    "uneven": (np.array([[0.9995, 0.0005, 0.0], [0.03, 0.9695, 0.0005], [0.0, 0.002, 0.998]]), 400),
}


@pytest.mark.parametrize("name", list(RARE))
def test_coverage_where_errors_are_rare(name: str) -> None:
    rows, n = RARE[name]
    true, rng, runs = capacity(rows).value, np.random.default_rng(11), 200
    ends = np.array([estimate_from_counts(rng.multinomial(n, rows)).interval() for _ in range(runs)])
    held = (ends[:, 0] <= true) & (true <= ends[:, 1])
    assert held.mean() >= 0.93 - 2.0 * 0.018  # two standard errors of 200 tables


def rated(seed: int, raters: int = 14, each: int = 80, targets: int = 4) -> RaterTable:
    rng = np.random.default_rng(seed)
    rater = np.repeat(np.arange(raters), each)
    rate = rng.choice([0.02, 0.3], raters)[rater]
    target = rng.integers(0, targets, rater.size)
    label = np.where(rng.random(rater.size) < rate, rng.integers(0, targets, rater.size), target)
    return RaterTable.from_arrays(target, label, rater=rater)


def test_raters_left_out_in_closed_form_agree_with_solving_again() -> None:
    table = rated(3)
    counts = table.counts()
    each = (estimate_from_counts(counts[0]),)
    errors, alone = leave_out_raters(table, counts, each, np.ones(1))
    values = []
    for rater in range(len(table.raters)):
        rest = counts[0] - table.counts(rater)[0]
        values.append(capacity(rest / rest.sum(axis=1, keepdims=True)).value)
    spread = np.array(values) - np.mean(values)
    exact = math.sqrt((len(values) - 1) / len(values) * float(spread @ spread))
    assert alone == 0
    assert errors == pytest.approx([exact, exact], rel=2e-3)


def test_a_target_of_one_rater_does_not_stop_the_others() -> None:
    table = rated(4)
    more = RaterTable.from_arrays(
        np.append(table.target, [9, 9, 9]), np.append(table.label, [0, 1, 2]), rater=np.append(table.rater, [0, 0, 0])
    )
    found = estimate_capacity(more, by_rater=True)
    assert found.mean_low < found.mean < found.mean_high
    assert found.mean_standard_error == pytest.approx(
        estimate_capacity(table, by_rater=True).mean_standard_error, rel=0.3
    )


def test_coverage_with_raters_who_differ() -> None:
    truth = capacity(0.5 * symmetric_channel(4, 0.75 * 0.02) + 0.5 * symmetric_channel(4, 0.75 * 0.3)).value
    found = [estimate_capacity(rated(seed), by_rater=True) for seed in range(150)]
    held = np.mean([one.mean_low <= truth <= one.mean_high for one in found])
    assert held >= 0.93 - 2.0 * 0.021


@pytest.mark.parametrize(("share", "careless", "raters"), [(0.2, 0.6, 5), (0.05, 0.75, 10)])
def test_coverage_where_a_kind_of_rater_may_not_be_seen(share: float, careless: float, raters: int) -> None:
    """Of five raters none is careless in a third of the tables, of ten none a spammer in six of ten."""
    rng, runs, held, t_held = np.random.default_rng(5), 60, 0, 0
    truth = capacity((1 - share) * symmetric_channel(4, 0.04) + share * symmetric_channel(4, careless)).value
    for _ in range(runs):
        rater = np.repeat(np.arange(raters), 100)
        rate = np.where(rng.random(raters) < share, careless, 0.04)[rater]
        target = rng.integers(0, 4, rater.size)
        other = (target + rng.integers(1, 4, rater.size)) % 4
        table = RaterTable.from_arrays(target, np.where(rng.random(rater.size) < rate, other, target), rater=rater)
        found = estimate_capacity(table, by_rater=True)
        held += found.mean_low <= truth <= found.mean_high
        reach = 2.8 * found.mean_standard_error
        t_held += abs(found.mean - truth) <= reach
    assert held >= 0.93 * runs
    assert t_held < 0.8 * runs, "the case is too easy"


def test_channels_of_drawn_raters_agree_with_the_mixtures_written_out() -> None:
    rng, table = np.random.default_rng(2), rated(7, raters=5, each=30)
    counts = table.counts()[0]
    one = estimate_from_counts(counts)
    cells, used = _Cells(table, 0, counts, one), one.input_prob > 1e-9
    gaps, more = rng.standard_exponential((6, 5)), 0.2 * rng.standard_exponential(6)
    best = cells.column[cells.best]
    for i, found in enumerate(zip(*cells.information(gaps, more), strict=True)):
        each = np.array([table.counts(rater)[0][used] for rater in range(5)])
        mass = np.einsum("r,rul->ul", gaps[i], each)
        rows = mass / mass.sum(axis=1, keepdims=True)
        share = more[i] * counts[used].sum(axis=1) / (mass.sum(axis=1) + more[i] * counts[used].sum(axis=1))
        useless = (1 - share)[:, None] * rows + share[:, None] * (one.prob @ rows)
        ideal = (1 - share)[:, None] * rows
        ideal[np.arange(len(rows)), best] += share
        assert found == pytest.approx([information_of(one.prob, channel) for channel in (rows, useless, ideal)])


def information_of(prob: np.ndarray, channel: np.ndarray) -> float:
    """Mutual information, term by term."""
    output = prob @ channel
    return float(sum(
        prob[u] * p * math.log(p / output[y]) for u, row in enumerate(channel) for y, p in enumerate(row) if p > 0
    ))  # fmt: skip


def test_intervals_over_raters_hold_those_of_these_raters_and_narrow_with_their_number() -> None:
    widths = []
    for raters in (4, 40, 400):
        table = rated(1, raters=raters, each=4000 // raters)
        counts, found = table.counts(), estimate_capacity(table, by_rater=True)
        low, high = ends_over_raters(table, counts, (estimate_from_counts(counts[0]),), np.ones(1), 0.95)
        assert found.mean_low <= low[-1] < found.mean < high[-1] <= found.mean_high + 1e-12 <= math.log(4) + 1e-9
        alone = estimate_capacity(table)
        assert found.mean_low <= alone.mean_low
        assert alone.mean_high <= found.mean_high
        assert any("For labels of these raters alone" in note for note in found.notes) == (raters < 100)
        widths.append(found.mean_high - found.mean_low)
    assert widths[0] > 1.5 * widths[1] > 1.5 * widths[2]


def test_measured_numbers_are_no_labels_until_they_are_in_bins(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 600)
    score = np.round(target + rng.normal(0.0, 0.5, 600), 4)
    path = tmp_path / "scores.csv"
    path.write_text("target,label\n" + "".join(f"{t},{s}\n" for t, s in zip(target, score, strict=True)))
    refused = CliRunner().invoke(main, ["capacity", str(path)])
    assert refused.exit_code == 2
    assert "--bins 5" in refused.stderr
    assert "in 600 rows" in refused.stderr
    said = CliRunner().invoke(main, ["capacity", str(path), "--bins", "4", "--json"])
    answer = json.loads(said.stdout)
    assert answer["labels"] == 4
    assert any("were put into 4 bins" in note for note in answer["notes"])
    edges = np.quantile(score, [0.25, 0.5, 0.75])
    ours = RaterTable.read(path, bins=4).counts()[0]
    theirs = np.histogram2d(target, np.searchsorted(edges, score, side="left"), [2, 4])[0]
    assert np.abs(ours - theirs).sum() <= 6  # a value on an edge may go to either side
    # Bins lose information: the scores themselves carry 0.337 nats (two normal laws two standard deviations apart).
    grid = np.linspace(-4.0, 5.0, 20_001)
    laws = np.exp(-0.5 * ((grid - np.array([[0.0], [1.0]])) / 0.5) ** 2)
    laws /= laws.sum(axis=1, keepdims=True)
    carried = information_of(np.array([0.5, 0.5]), laws)
    assert carried == pytest.approx(0.337, abs=1e-3)
    row = answer["rows"][0]
    assert row["low"] < carried
    assert row["capacity"] < carried + 0.5 * (row["high"] - row["low"])


@given(st.lists(st.integers(0, 40), min_size=30, max_size=80), st.integers(2, 6))
def test_bins_keep_order_and_equal_numbers_together(values: list[int], bins: int) -> None:
    numbers = np.array(values)
    if np.unique(numbers).size <= bins:  # as many labels as there are numbers: nothing to put into bins
        with pytest.raises(InputError, match="nothing in the arrays is put into bins"):
            RaterTable.from_arrays(np.arange(numbers.size) % 2, numbers, bins=bins)
        return
    table = RaterTable.from_arrays(np.arange(numbers.size) % 2, numbers, bins=bins)
    if len(table.labels) == 1:
        return
    assert len(table.labels) <= bins
    order = np.argsort(numbers, kind="stable")
    assert (np.diff(table.label[order]) >= 0).all()
    assert all(np.unique(table.label[numbers == value]).size == 1 for value in set(values))


def test_single_labels_are_left_out_with_a_note() -> None:
    found = ask_capacity(RaterTable.from_arrays([0] * 300 + [1] * 300 + [2], [0] * 300 + [1] * 300 + [1]))
    assert any("1 target with a single label left out, such as '2'" in note for note in found.notes)
    assert found.contexts[0].targets == 2
    with pytest.raises(InputError, match="fewer than two targets have more"):
        estimate_capacity(RaterTable.from_arrays([0, 0, 1], [0, 1, 1]))


def test_a_target_with_few_labels_is_never_supported_though_it_looks_idle() -> None:
    """Three labels of the third target can look as if it added nothing; then an interval for two would be wrong."""
    rng, rows = np.random.default_rng(1), symmetric_channel(3, 0.3)
    truth, idle = capacity(rows).value, 0
    for _ in range(60):
        found = estimate_from_counts(
            np.array([rng.multinomial(n, row) for n, row in zip((500, 500, 3), rows, strict=True)])
        )
        assert not found.supported
        if found.input_prob[2] < 1e-9:
            idle += 1
            assert found.interval()[1] < truth
    assert idle > 2, "the case is not tested"


def test_few_raters_are_pointed_out_and_the_label_bound_is_for_the_targets_left(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = [f"t{u},{rng.integers(3)},w{rng.integers(4)}" for u in range(4) for _ in range(150)] + ["t4,0,w0"]
    path = tmp_path / "few.csv"
    path.write_text("\n".join(["target,label,rater", *rows]) + "\n")
    said = CliRunner().invoke(main, ["capacity", str(path), "--rater", "rater"]).output
    assert "4 raters are few" in said
    assert "3 labels name at most 3 of 4 targets: every decoder errs at least 0.250 of the time" in said


def brute_force(counts: np.ndarray) -> tuple[float, float]:
    """Both errors, label by label."""
    targets, labels = counts.shape
    in_sample = held_out = 0.0
    for u in range(targets):
        for y in range(labels):
            for left_out, share in ((0.0, 0), (1.0, 1)):
                rest = counts.astype(float)
                if counts[u, y] == 0:
                    continue
                rest[u, y] -= left_out
                rows = rest / rest.sum(axis=1, keepdims=True)
                best = np.flatnonzero(rows[:, y] == rows[:, y].max())
                right = counts[u, y] / counts[u].sum() * (1.0 / len(best) if u in best else 0.0) / targets
                in_sample, held_out = (in_sample + right, held_out) if share == 0 else (in_sample, held_out + right)
    return 1.0 - in_sample, 1.0 - held_out


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=2, max_size=5))
def test_decoder_errors_by_enumeration(rows: list[list[int]]) -> None:
    counts = np.array(rows) + np.array([2, 0, 0])
    found = decoder_error(counts)
    assert (found.in_sample, found.held_out) == pytest.approx(brute_force(counts))
    uniform = np.full(len(counts), 1.0 / len(counts))
    assert found.in_sample == pytest.approx(bayes_risk(uniform, counts / counts.sum(axis=1, keepdims=True)))
    # Each label a rater of its own is the same.
    target, label = np.array([(u, y) for u, y in np.ndindex(counts.shape) for _ in range(int(counts[u, y]))]).T
    by_rater = decoder_error_by_rater(target, label, np.arange(target.size), counts.shape)
    assert (by_rater.in_sample, by_rater.held_out) == pytest.approx((found.in_sample, found.held_out))


def test_the_exact_error_lies_between_in_expectation_and_above_the_floors() -> None:
    rng, rows = np.random.default_rng(5), rating_channel(6, 0.35, 4)
    exact = bayes_risk(np.full(6, 1.0 / 6.0), rows)
    found = [decoder_error(rng.multinomial(40, rows).astype(float)) for _ in range(200)]
    assert np.mean([one.in_sample for one in found]) < exact < np.mean([one.held_out for one in found])
    table = RaterTable.from_arrays(
        np.repeat(np.arange(6), 3000), np.concatenate([rng.choice(4, 3000, p=row) for row in rows])
    )
    row = ask_capacity(table).contexts[0]
    assert row.label_floor == pytest.approx(1.0 - 4.0 / 6.0)
    assert max(row.floor, row.label_floor) <= row.decoder_error <= row.decoder_error_held_out
    assert row.decoder_error == pytest.approx(exact, abs=0.02)
    assert row.floor_low <= row.floor <= row.floor_high


def test_the_command_says_what_the_labels_and_the_decoder_allow(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    lines = [f"{u},{y},w{rng.integers(30)}" for u in range(12) for y in rng.integers(0, 3, 60)]
    path = tmp_path / "few.csv"
    path.write_text("\n".join(["target,label,rater", *lines]) + "\n")
    said = CliRunner().invoke(main, ["capacity", str(path), "--rater", "rater"]).output
    assert "3 labels name at most 3 of 12 targets: every decoder errs at least 0.750 of the time" in said
    assert "best decoder" in said
    row = json.loads(CliRunner().invoke(main, ["capacity", str(path), "--rater", "rater", "--json"]).output)["rows"][0]
    assert row["high"] <= math.log(3)
    assert row["label_floor"] == 0.75
    assert row["decoder_error"] <= row["decoder_error_held_out"]


@pytest.mark.parametrize("by_rater", [False, True])
def test_an_interval_does_not_depend_on_names(by_rater: bool) -> None:
    rng = np.random.default_rng(0)
    target, rater, context = rng.integers(0, 4, 400), rng.integers(0, 9, 400), rng.integers(0, 3, 400)
    label = np.where(rng.random(400) < 0.3, rng.integers(0, 4, 400), target)

    def ends(targets: str, labels: str, raters: str, contexts: str) -> tuple[float, float]:
        columns = [np.array(list(names))[codes] for names, codes in ((targets, target), (labels, label))]
        more = {"rater": np.array(list(raters))[rater], "context": np.array(list(contexts))[context]}
        found = estimate_capacity(RaterTable.from_arrays(*columns, **more), by_rater=by_rater)
        return found.mean_low, found.mean_high

    one = ends("abcd", "abcd", "abcdefghi", "abc")
    assert ends("dbca", "zxyw", "ihgbcdefa", "cab") == pytest.approx(one, rel=1e-9)


def test_leaving_raters_out_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(4)
    target = np.repeat(np.arange(6), 40)
    table = RaterTable.from_arrays(
        target, target % 3, rater=np.tile(np.arange(20), 12), context=rng.integers(2, size=240)
    )
    told: list[tuple[str, int, int]] = []
    found = estimate_capacity(table, by_rater=True, tell=lambda *one: told.append(one))
    assert found == estimate_capacity(table, by_rater=True)
    assert [done for what, done, of in told if what == "leave out"] == list(range(1, 21))
    drawn = [done for what, done, of in told if what == "draw"]
    assert drawn == sorted(drawn)
    assert told[-1] == ("draw", drawn[-1], drawn[-1])
    clock = iter(range(0, 1000, 11))  # a log gets a line every ten seconds
    monkeypatch.setattr("alignlib.cli._progress.time.monotonic", lambda: float(next(clock)))
    progress = Progress()
    for one in told[:3]:
        progress.tell(*one)
    progress.end()
    assert capsys.readouterr().err.splitlines() == [
        "Raters left out: 5%",
        "Raters left out: 10%, about 3 min left",
        "Raters left out: 15%, about 3 min left",
    ]
