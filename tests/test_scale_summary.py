"""Summaries: the same bytes from any partition, bounds that hold, the fit of the samples."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib import InputError
from alignlib.answers.findings import ask
from alignlib.answers.output.frontier import lines
from alignlib.answers.output.frontier_sentences import headline
from alignlib.divergences import KL
from alignlib.estimation import fit_frontier
from alignlib.estimation.best_of_n_in_bins import counted_rules
from alignlib.estimation.curve_in_bins import curve_in_bins, kl_in_bins
from alignlib.estimation.draws_among import all_among
from alignlib.estimation.gold_in_bins import gold_of_counted_rules, tilted_gold_bounds, tilted_gold_of_counts
from alignlib.estimation.jackknife import doubling_grid, jackknife_log_partition
from alignlib.estimation.jackknife_in_bins import jackknife_of_counts
from alignlib.estimation.tabulation import _of_counted
from alignlib.estimation.tilted_mean import jackknife_tilted_means
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, ThresholdStopping, prepare
from alignlib.scale import (
    Bins,
    Head,
    Kept,
    Summary,
    SummaryTable,
    gain_bounds,
    kl_bounds,
    log_partition_bounds,
    read_summary,
    sql,
    table_of,
    width_for,
    write_summary,
)
from alignlib.scale.answers import checked_answers
from alignlib.scale.bounds import Atoms, counted_samples
from alignlib.scale.counting import bins_of_one
from alignlib.scale.dealt import in_new_groups
from alignlib.scale.expand import expanded, not_told
from alignlib.scale.kept_members import KINDS, KeptMembers, columns_apart, combination
from alignlib.scale.summary_file import from_arrow, to_arrow
from alignlib.tables import CountedBins, CountedSamples, RewardTable

WIDTH = 2.0**-6
LAM = np.array([0.01, 0.3, 1.0, 3.0, 10.0])


def summarised(names: np.ndarray, columns: dict[str, np.ndarray], exact: int = 8) -> Summary:
    """Summarise rows in any order."""
    order = np.argsort(names, kind="stable")
    distinct, sizes = np.unique(names, return_counts=True)
    return Summary.of(
        pa.array(distinct),
        sizes,
        {k: v[order] for k, v in columns.items()},
        widths=[WIDTH] * len(columns),
        exact_up_to=exact,
    )


def of_levels(value: np.ndarray, count: np.ndarray) -> CountedSamples:
    """Samples that tie at each of some rewards."""
    return CountedSamples(value, count, CountedBins(count, value, value, value, 0.0 * value), lambda lam: (lam, lam))


def as_table(*parts: Summary) -> SummaryTable:
    return SummaryTable([lambda part=part: part for part in parts], [Head.of(part) for part in parts], parts[0].columns)


def log_mean_exp(values: np.ndarray) -> np.ndarray:
    top = values.max()
    return np.array([lam * top + np.log(np.mean(np.exp(lam * (values - top)))) for lam in LAM])


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 5), st.booleans())
def test_any_partition_merged_in_any_order_is_the_same_to_the_byte(seed: int, n: int, parts: int, gold: bool) -> None:
    rng = np.random.default_rng(seed)
    names = rng.integers(0, 4, n)
    columns = {"r": np.round(rng.standard_normal(n), int(rng.integers(0, 18)))}  # also ties, zeros of both signs
    if gold:
        columns["g"] = rng.standard_normal(n) * 100.0
    whole = summarised(names, columns)
    part = rng.integers(0, parts, n)
    pieces = [summarised(names[part == k], {c: v[part == k] for c, v in columns.items()}) for k in np.unique(part)]
    rng.shuffle(pieces)
    cut = int(rng.integers(0, len(pieces)))
    tree = [Summary.merged(some) for some in (pieces[:cut], pieces[cut:]) if some]
    for merged in (Summary.merged(pieces), Summary.merged(tree[::-1]), Summary.merged(whole.split(2))):
        assert to_arrow(merged).equals(to_arrow(whole), check_metadata=True)
        reals = [(*one.values, one.bins.least, one.bins.most) for one in (merged, whole)]
        for a, b in zip(*reals, strict=True):  # zeros of either sign are equal, and not the same
            assert a.tobytes() == b.tobytes()
        assert merged == whole


def test_long_runs_in_any_order_are_the_same_to_the_byte() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.standard_normal((2, 6000))
    found = []
    for names, columns in (([1, 2], (one, two)), ([2, 1], (two, one)), ([1, 2, 1], (one[:9], two, one[9:]))):
        sizes = np.array([len(column) for column in columns])
        found.append(Summary.of(pa.array(names), sizes, {"r": np.concatenate(columns)}, exact_up_to=6000))
    assert found[0] == found[1] == found[2]
    assert [len(one) for one in found[0].values] == [12_000]


def test_bins_of_one_prompt_are_those_of_any_rows_to_the_byte() -> None:
    rng = np.random.default_rng(4)
    normal = rng.standard_normal(140_000)
    clusters = np.where(rng.random(normal.size) < 0.5, 0.05 * normal, 9.0 + 0.05 * normal)
    zeros = np.where(rng.random(normal.size) < 0.5, -0.0, 0.0)
    ends = np.resize(np.nextafter(0.25, [0.0, 1.0]), 600_000)  # of bins: the largest sums that there are
    for values in (normal, np.sort(normal), np.round(normal, 1), clusters, zeros, normal + 6e6, rng.random(9000), ends):
        for width in (0.25, 2.0**-6):
            same = Bins.of(np.zeros(values.size, dtype=np.int64), [values], [width])
            for within in (None, (min(0.0, values.min()), values.max()), (-9.0, 1e300)):
                found = bins_of_one([values], [width], within)
                assert found == same
                assert (found.least.tobytes(), found.most.tobytes()) == (same.least.tobytes(), same.most.tobytes())


def test_there_and_back_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    names = rng.integers(0, 9, 400) + 10 ** rng.integers(0, 3, 400)
    summary = summarised(names, {"r": rng.standard_normal(400), "g": rng.standard_normal(400)}, exact=14)
    assert 0 < summary.binned.sum() < len(summary.sizes)
    assert from_arrow(to_arrow(summary, {"dropped": 3})) == (Kept(summary), {"dropped": 3})
    write_summary(summary, tmp_path / "s.parquet")
    again, _ = read_summary(tmp_path / "s.parquet")
    assert again == summary
    write_summary(again, tmp_path / "t.parquet")
    assert (tmp_path / "s.parquet").read_bytes() == (tmp_path / "t.parquet").read_bytes()


def test_another_version_and_damage_are_said(tmp_path: Path) -> None:
    table = to_arrow(summarised(np.zeros(4, dtype=int), {"r": np.arange(4.0)}))
    assert from_arrow(_said_beside(table, version=4))[0].whole.n_samples == 4
    meta = {k: v.replace(b'"version": 5', b'"version": 9') for k, v in table.schema.metadata.items()}
    with pytest.raises(InputError, match="version 9"):
        from_arrow(table.replace_schema_metadata(meta))
    with pytest.raises(InputError, match="counts disagree"):
        from_arrow(table.set_column(1, "samples", pa.array([5])))
    with pytest.raises(InputError, match="no summary"):
        from_arrow(table.replace_schema_metadata({}))
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="not a whole Parquet file"):
        read_summary(tmp_path / "x.parquet")


def test_version_two_is_read_and_says_what_it_lacks_of_gold() -> None:
    rng = np.random.default_rng(8)
    columns = {"r": rng.standard_normal(340_000), "g": rng.standard_normal(340_000)}
    whole = summarised(np.repeat(np.arange(20), 17_000), columns)
    table = to_arrow(whole)
    newer = ("cross", "least.", "most.", "square_high.", "square_low.")
    kind = [one for one in table["bins"].type.value_type if not one.name.startswith(newer)]
    bins = pa.array(table["bins"].to_pylist(), pa.large_list(pa.struct(kind)))
    earlier = _said_beside(_changed(table, "bins", bins), version=2)
    found = as_table(from_arrow(earlier)[0].whole)
    assert found.prompt_means("g") == pytest.approx(as_table(whole).prompt_means("g"), abs=1e-12)
    with pytest.raises(InputError, match="the sum of each bin alone"):
        fit_frontier(found, "r", n_boot=100).tilted_gold("g", [0.1])


def test_version_three_is_read_with_the_most_that_squares_of_gold_may_be() -> None:
    rng = np.random.default_rng(8)
    now = summarised(np.zeros(20_000, dtype=int), {"r": rng.standard_normal(20_000), "g": rng.standard_t(3, 20_000)})
    table = to_arrow(now)
    kind = [one for one in table["bins"].type.value_type if "square" not in one.name or "." not in one.name]
    bins = pa.array(table["bins"].to_pylist(), pa.large_list(pa.struct(kind)))
    earlier = from_arrow(_said_beside(_changed(table, "bins", bins), version=3))[0].whole
    one, other = (counted_samples(its.bins, WIDTH, {"g": WIDTH}).further["g"] for its in (now, earlier))
    assert (one.deviation <= other.deviation + 1e-12).all()
    assert (other.deviation**2 <= (other.most - other.mean) * (other.mean - other.least) + WIDTH**2).all()
    assert one.deviation.sum() < 0.5 * other.deviation.sum()


def _changed(table: pa.Table, column: str, values: Any) -> pa.Table:
    place = table.schema.get_field_index(column)
    return table.set_column(place, column, values if isinstance(values, pa.Array) else pa.array(values))


def _bins(table: pa.Table, **change: Any) -> pa.Table:
    """Change fields of the first bin."""
    rows = table["bins"].to_pylist()
    next(row for row in rows if row)[0].update(change)
    return _changed(table, "bins", pa.array(rows, table["bins"].type))


def _said_beside(table: pa.Table, **change: Any) -> pa.Table:
    meta = json.loads(table.schema.metadata[b"alignlib_summary"]) | change
    return table.replace_schema_metadata({b"alignlib_summary": json.dumps(meta)})


NONE_SUCH = "no rewards make its bin"
DAMAGES: list[tuple[Callable[[pa.Table], pa.Table], str]] = [
    (lambda t: t.replace_schema_metadata({b"alignlib_summary": b"\xff"}), "what describes it is no JSON"),
    (lambda t: t.replace_schema_metadata({b"alignlib_summary": b"[" * 20_000}), "what describes it is no JSON"),
    (lambda t: t.replace_schema_metadata({b"alignlib_summary": b"[1]"}), "has no version"),
    (lambda t: _said_beside(t, version=[]), "is a summary of version []"),
    (lambda t: _said_beside(t, widths=["inf"]), "its widths are ['inf']"),
    (lambda t: _said_beside(t, widths=[1.0]), "its widths are [1.0]"),
    (lambda t: _said_beside(t, widths=["0x1p-3"] * 2), "for 1 column"),
    (lambda t: _said_beside(t, exact_up_to=True), "it has exact_up_to True"),
    (lambda t: _said_beside(t, about={"notes": "abc"}), "its notes are 'abc'"),
    (lambda t: _said_beside(t, about={"dropped": 10**30}), "the number it dropped is 1000000"),
    (lambda t: t.slice(1), "it was written with [3, 54] prompts and samples, and holds [2, "),
    (lambda t: _said_beside(t, counts="x"), "it was written with 'x' prompts and samples, and holds [3, 54]"),
    (lambda t: t.drop_columns(["samples"]), "it has 0 columns 'samples'"),
    (lambda t: t.append_column("bins", t["bins"]), "is not a whole Parquet file"),
    (lambda t: _changed(t, "samples", ["x"] * len(t)), "its column 'samples' holds string"),
    (lambda t: _changed(t, "samples", [None] + [3] * (len(t) - 1)), "its column 'samples' has a missing value"),
    (lambda t: _changed(t, "samples", pa.array([2**63] * len(t), pa.uint64())), "a number that is too large"),
    (lambda t: _changed(t, "prompt", [[1]] * len(t)), "its column 'prompt' holds list"),
    (lambda t: _changed(t, "bins", [[1]] * len(t)), "its column 'bins' holds list"),
    (lambda t: _changed(t, "reward.reward", [[float("nan")]] * len(t)), "its reward 'reward' has the value nan"),
    (lambda t: _changed(t, "reward.reward", [[1e103]] * len(t)), "its reward 'reward' has the value 1e+103"),
    (lambda t: _changed(t, "reward.reward", [[None, 1.0]] * len(t)), "its reward 'reward' has a missing value"),
    (lambda t: _bins(t, count=None), "its column 'count' has a missing value"),
    *(
        (partial(_bins, **change), NONE_SUCH)
        for change in (
            {"least": float("nan")},
            {"most": 1e308},
            {"count": 0},
            {"count": 2**62},
            {"total": 2**61},
            {"square_high": 2**61},
            {"square_high": 0, "square_low": 0},
            {"index": 5},
        )
    ),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES, ids=range(len(DAMAGES)))
def test_a_summary_that_another_program_changed_is_not_believed(
    damage: Callable[[pa.Table], pa.Table], said: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(8)
    summary = summarised(np.repeat([1, 2, 3], [4, 20, 30]), {"reward": rng.standard_normal(54)})
    write_summary(summary, tmp_path / "s.parquet")
    assert read_summary(tmp_path / "s.parquet")[0] == summary
    pq.write_table(damage(pq.read_table(tmp_path / "s.parquet")), tmp_path / "s.parquet")
    with pytest.raises(InputError) as caught:
        read_summary(tmp_path / "s.parquet")
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def _without(table: pa.Table, *names: str) -> pa.Table:
    kind = [one for one in table["bins"].type.value_type if one.name not in names]
    return _changed(table, "bins", pa.array(table["bins"].to_pylist(), pa.large_list(pa.struct(kind))))


GOLD_DAMAGES: list[tuple[Callable[[pa.Table], pa.Table], str]] = [
    *(
        (partial(_bins, **change), NONE_SUCH)  # the first bin holds the two rewards 0.25 and 0.75, and gold 1 and 5
        for change in (
            {"most": 0.875},
            {"least": 0.125},
            {"total": 1 << 23},
            {"square_high": 0},
            {"most.gold": 9.0},
            {"least.gold": -1.0},
            {"least.gold": 7.0},
            {"high.gold": 5},
            {"low.gold": 1},
            {"square_low": 1},
            {"square_low": 2},
            {"square_low.gold": 25},
            {"square_high.gold": 5},
            {"cross_high.gold": 3},
        )
    ),
    (lambda t: _bins(t, **{"least.gold": -1e300}), "its bins hold -1e+300 as a value of 'gold'"),
    (lambda t: _bins(t, **{"most.gold": math.inf}), "its bins hold inf as a value of 'gold'"),
    (lambda t: _bins(t, **{"most.gold": math.nan}), "its bins hold nan as a value of 'gold'"),
    (lambda t: _said_beside(t, columns=["gold", "reward"]), "it tells of the rewards ['gold', 'reward']"),
    (lambda t: _without(t, "cross_high.gold"), "it has 0 columns 'cross_high.gold'"),
    (lambda t: _without(t, "square_high.gold"), "it has 0 columns 'square_high.gold'"),
    (
        lambda t: _said_beside(
            _without(_bins(t, **{"most.gold": 1e300}), "square_high.gold", "square_low.gold"), version=3
        ),
        "its bins hold 1e+300",
    ),
    (lambda t: _said_beside(t, version=3), "it says to be of version 3, which has no square_high.gold"),
    (lambda t: _said_beside(t, version=2), "it says to be of version 2, which has no cross_high.gold"),
    (lambda t: _changed(t, "bins_by_gold", _other_reward(t)), "its bins by gold are of other samples"),
    (lambda t: _changed(t, "reward.reward", pa.array([[], [0.5, 0.75]], t["reward.reward"].type)), "out of order"),
]


def _other_reward(table: pa.Table) -> pa.Array:
    """Return bins by gold with a reward moved a little, which by themselves could be."""
    rows = table["bins_by_gold"].to_pylist()
    last = next(row for row in rows if row)[-1]
    moved = {f"{end}.reward": last[f"{end}.reward"] + 2.0**-22 for end in ("least", "most")}
    last |= moved | {"low.reward": last["low.reward"] + 4}
    return pa.array(rows, table["bins_by_gold"].type)


@pytest.mark.parametrize(("damage", "said"), GOLD_DAMAGES, ids=range(len(GOLD_DAMAGES)))
def test_what_bins_hold_of_gold_must_be_what_gold_can_be(damage: Callable[[pa.Table], pa.Table], said: str) -> None:
    columns = {"reward": np.array([0.25, 0.75, 3.5, 0.75, 0.5]), "gold": np.array([1.0, 5.0, 9.5, 0.0, 1.0])}
    found = Summary.of(pa.array([1, 0]), np.array([3, 2]), columns, widths=[1.0, 1.0], exact_up_to=2)
    by_gold = Bins.of(
        np.zeros(3, dtype=np.int64) + found.bins.row[0], [columns[c][:3] for c in ("gold", "reward")], [1.0] * 2
    )
    kept = Kept(found, found.by_second(1.0, by_gold))
    assert from_arrow(to_arrow(kept))[0] == kept
    with pytest.raises(InputError, match=re.escape(said)):
        from_arrow(damage(to_arrow(kept)))


@pytest.mark.parametrize(
    ("reward", "changes"),
    [
        (  # one sample: u = 3·2²⁰ + 5 of 2²⁴ above -3, and h = -31
            [-3.0 + 3 / 16 + 5 * 2.0**-24],
            {
                "square_low": (-1, 1, 2),
                "square_low.gold": (-1, 1, 2),
                "cross_low.gold": (-1, 1),
                "square_high.gold": (1, 3),
            },
        ),
        ([0.5 + 2.0**-24] * 7, {"square_low": (-2, 2), "square_low.gold": (-1,), "cross_low.gold": (-1, 1, 7)}),
        ([0.25 + 2.0**-24, 0.625, 0.75], {"square_low": (-2, 2), "square_low.gold": (-1, -4)}),
        (list(0.5 + np.arange(9) ** 2 * 2.0**-24), {"square_low": (-1, 1, 101)}),
    ],
)
def test_of_few_or_equal_samples_the_squares_follow(reward: list[float], changes: dict[str, tuple[int, ...]]) -> None:
    """Off by one is enough; squares of gold may be larger, as where a summary without any was merged."""
    columns = {"reward": np.array(reward), "gold": np.full(len(reward), -30.5)}
    found = Summary.of(pa.array([1]), np.array([len(reward)]), columns, widths=[1.0, 1.0], exact_up_to=0)
    table = to_arrow(Kept(found))
    assert from_arrow(table)[0] == Kept(found)
    held = table["bins"].to_pylist()[0][0]
    for name, steps in changes.items():
        for step in steps:
            with pytest.raises(InputError, match=NONE_SUCH):
                from_arrow(_bins(table, **{name: held[name] + step}))
    assert from_arrow(_bins(table, **{"square_high.gold": 2, "square_low.gold": 0}))
    if len(reward) > 1:
        assert from_arrow(_bins(table, **{"square_low.gold": held["square_low.gold"] + 1}))


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3, 4, 40, 4000]), st.integers(-20, 30), st.floats(-1e6, 1e6))
def test_whatever_is_summarised_is_believed(seed: int, n: int, exponent: int, middle: float) -> None:
    rng = np.random.default_rng(seed)
    width = 2.0 ** (exponent - 10)
    values = [np.round(rng.standard_t(3, n), int(rng.integers(0, 18))) * 2.0**exponent + middle for _ in range(2)]
    values = [np.clip(one, -1e9 * width, 1e9 * width) for one in values]
    columns = dict(zip(("reward", "gold"), values, strict=True))
    names = np.sort(rng.integers(0, 3, n))
    whole = Summary.of(pa.array(names), np.ones(n, dtype=int), columns, widths=[width] * 2, exact_up_to=0)
    gold_first = Summary.of(
        pa.array(names), np.ones(n, dtype=int), dict(reversed(columns.items())), widths=[width] * 2, exact_up_to=0
    )
    kept = Kept(whole, whole.by_second(width, gold_first.bins))
    assert from_arrow(to_arrow(kept))[0] == kept
    without = _without(to_arrow(whole), "square_high.gold", "square_low.gold")
    earlier = from_arrow(_said_beside(without, version=3))[0]
    assert (
        from_arrow(to_arrow(Kept.merged([earlier, Kept(whole)])))[0].whole.n_samples == 2 * n
    )  # written as it is known


MEMBERS = ("a", "b", "c")
SCALES = ((0.5, 2.0), (-1.0, 1.0), (0.0, 0.25))


def with_members(names: np.ndarray, columns: dict[str, np.ndarray], first: str = "a", scales: Any = SCALES) -> Kept:
    """Summarise rows with gold ``g`` by the first reward, by gold, by each member, and by what combines them."""

    def by(*some: str) -> Summary:
        return summarised(names, {name: columns[name] for name in some})

    others = tuple(by(*some) for some in columns_apart(MEMBERS, first, "g"))
    rows = np.array([(columns[name] - mean) / d for name, (mean, d) in zip(MEMBERS, scales, strict=True)])
    combined = tuple(
        summarised(names, {combination(kind): KINDS[kind](rows, axis=0), "g": columns["g"]}) for kind in KINDS
    )
    return Kept(by(first, "g"), by("g", first), members=KeptMembers(MEMBERS, others, combined, scales))


@settings(max_examples=12)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 4), st.sampled_from(["a", "b", "r"]))
def test_members_of_any_partition_in_any_order_are_the_same_to_the_byte(
    seed: int, n: int, parts: int, first: str
) -> None:
    rng = np.random.default_rng(seed)
    names, part = rng.integers(0, 4, n), rng.integers(0, parts, n)
    columns = {name: np.round(rng.standard_normal(n), int(rng.integers(0, 18))) for name in (*MEMBERS, "g", "r")}
    whole = with_members(names, columns, first)
    assert from_arrow(to_arrow(whole))[0] == whole
    assert whole.members is not None
    some = [(names[part == k], {c: v[part == k] for c, v in columns.items()}) for k in rng.permutation(np.unique(part))]
    kept = [with_members(*one, first) for one in some]
    cut = int(rng.integers(0, len(kept)))
    for merged in (Kept.merged(kept), Kept.merged([Kept.merged(its) for its in (kept[cut:], kept[:cut]) if its])):
        assert merged == whole
        assert to_arrow(merged).equals(to_arrow(whole), check_metadata=True)
    apart = replace(whole, members=KeptMembers(MEMBERS, whole.members.others))  # no scale of all
    other = with_members(*some[0], first, SCALES[::-1])
    assert Kept.merged([other, *kept[1:]]) == (apart if len(kept) > 1 else other)
    order = [first, "g", *(name for name in MEMBERS if name != first)]
    joint = [
        Kept(summarised(of, {name: its[name] for name in order}), members=KeptMembers(MEMBERS)) for of, its in some
    ]
    if not any(one.summary.binned.any() for one in joint):  # samples of all columns, which several may put into bins
        merged = Kept.merged(joint)
        assert (merged if merged.summary.binned.any() else merged.apart) == apart
        assert Kept.merged([*joint[:1], *kept[1:]]) == (apart if len(kept) > 1 else joint[0])
        assert from_arrow(to_arrow(joint[0]))[0] == joint[0]


def _member(table: pa.Table, column: str, **change: Any) -> pa.Table:
    rows = table[column].to_pylist()
    bins = next(row for row in rows if row)
    last = bins[-1] if "index" in change else max(bins, key=lambda one: one["count"])
    last.update({name: value(last[name]) if callable(value) else value for name, value in change.items()})
    return _changed(table, column, pa.array(rows, table[column].type))


def _told(table: pa.Table, **change: Any) -> pa.Table:
    said = json.loads(table.schema.metadata[b"alignlib_summary"])["ensemble"]
    return _said_beside(table, ensemble=said | change)


def _up(by: Any) -> Callable[[Any], Any]:
    return lambda value: value + by


WHOLE = {"index": _up(9), "least": _up(9 * WIDTH), "most": _up(9 * WIDTH)}
MEMBER_DAMAGES: list[tuple[Callable[[pa.Table], pa.Table], str]] = [
    (partial(_member, column="member0.bins", count=99), NONE_SUCH),
    (partial(_member, column="member1.bins", **{"low.g": _up(1)}), "'g' beside 'c' is of other samples"),
    (partial(_member, column="member1.bins", **{"low.b": _up(1)}), "'b' beside 'c' is of other samples"),
    (partial(_member, column="member1.bins", **{"cross_high.b": 1 << 30}), NONE_SUCH),
    (partial(_member, column="member0.bins", **WHOLE), "'b' beside 'c' is of other samples"),
    (partial(_member, column="member2.bins", **WHOLE), "'mean on one scale' is no mean of its members"),
    (partial(_member, column="member3.bins", **WHOLE), "'median on one scale' is no median of its members"),
    (lambda t: _changed(t, "member4.bins", t["member2.bins"]), "'min on one scale' is no min of its members"),
    (lambda t: _changed(t, "member0.bins", pa.nulls(len(t), t["bins"].type)), "has a missing value"),
    (lambda t: t.drop_columns(["member0.bins"]), "it has 0 columns 'bins'"),
    (lambda t: t.drop_columns(["member1.reward.b"]), "of a member it has the rewards ('c', 'g', 'a')"),
    (lambda t: _told(t, names=["a", "b"]), "what it tells of members is"),
    (lambda t: _told(t, names=["a", "b"], scales=[]), "it has widths of 5 summaries of members, for 1"),
    (lambda t: _told(t, names=["a", "b", "g"]), "it has the members ('a', 'b', 'g') beside the rewards ('a', 'g')"),
    (lambda t: _told(t, names=["a", "b", ["c"]]), "what it tells of members is"),
    (lambda t: _told(t, scales=[["0x1p0", "0x0p0"]] * 3), "what it tells of members is"),
    (lambda t: _told(t, scales=[["0x1p0", "inf"]] * 3), "what it tells of members is"),
    (lambda t: _told(t, scales=[["0x1p0", "0x1p3"]] * 3), "is no mean of its members"),
    (lambda t: _told(t, scales=[]), "it has widths of 5 summaries of members, for 2"),
    (lambda t: _told(t, widths=[]), "it holds no columns of the members ('a', 'b', 'c')"),
    (lambda t: _told(t, widths=[["0x1p-6"] * 2] * 5), "its widths are ['0x1p-6', '0x1p-6'], for 3 columns"),
    (lambda t: _told(t, exact_up_to=-1), "what it tells of members is"),
    (lambda t: _said_beside(t, ensemble=7), "what it tells of members is 7"),
    (lambda t: _said_beside(t, version=4), "it says to be of version 4, which has no members"),
]


@pytest.mark.parametrize(("damage", "said"), MEMBER_DAMAGES, ids=range(len(MEMBER_DAMAGES)))
def test_members_must_be_of_the_samples_of_a_summary(damage: Callable[[pa.Table], pa.Table], said: str) -> None:
    rng = np.random.default_rng(2)
    columns = {name: rng.standard_normal(23) for name in (*MEMBERS, "g")}
    table = to_arrow(with_members(np.repeat([1, 2], [20, 3]), columns | {"c": np.round(columns["c"])}))
    with pytest.raises(InputError, match=re.escape(said)):
        from_arrow(damage(table))


HALF = 1 << 23  # steps: the middle of a bin
FROM_SQL = {
    "prompt": ["a", "a"],
    "bin": [0, 1],
    "count": [2, 2],
    "total": [2 * HALF, 2 * HALF],
    "square_high": [HALF, HALF],  # twice the square of HALF, in units of 2^24
    "square_low": [0, 0],
    "least": [0.125, 0.375],
    "most": [0.125, 0.375],
    "width": [0.25, 0.25],
}
SQL_DAMAGES = [
    ("bin", [None, 1], "missing value"),
    ("bin", [0.5, 1.0], "holds double"),
    ("count", [True, True], "holds bool"),
    ("count", [0, 2], f"{NONE_SUCH} 0 with count 0"),
    ("count", [-1, 2], f"{NONE_SUCH} 0 with count -1"),
    ("total", [2**62, 0], f"{NONE_SUCH} 0"),
    ("square_high", [2**62, 0], f"{NONE_SUCH} 0"),
    ("least", ["a", "b"], "holds string"),
    ("prompt", [1.5, 2.5], "s.parquet has prompts that are fractions, which are no names; cast them to text"),
    ("width", [None, 0.25], "missing value"),
    ("high", [1, 1], "it has 0 columns 'low'"),
]


@pytest.mark.parametrize("gold", [None, "reward"])
def test_rows_without_a_reward_are_to_be_left_out_of_the_statement(tmp_path: Path, gold: str | None) -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("scored", pa.table({"prompt_id": [1, 1], "reward": [0.5, None]}))
        pq.write_table(connection.sql(sql("scored", gold=gold)).to_arrow_table(), tmp_path / "s.parquet")
    with pytest.raises(InputError, match="has bins without a reward; leave rows without one out of the statement"):
        read_summary(tmp_path / "s.parquet")


def test_steps_of_a_further_column_are_at_least_those_of_its_ends() -> None:
    rows = {"r": np.full(9, 0.5), "gold": 0.75 * WIDTH + 2.0 * WIDTH * np.arange(9)}
    good = summarised(np.zeros(9, dtype=int), rows, exact=0)
    further = good.bins.others[0]
    assert further.low[0] == 9 * 3 << 22
    for low, ok in ((9 * 3 << 22, True), ((2 * 3 << 22) - 1, False), ((2 * 3 << 22) + 7 * ((1 << 24) - 1) + 1, False)):
        its = replace(good, bins=replace(good.bins, others=(replace(further, low=np.array([low])),)))
        with nullcontext() if ok else pytest.raises(InputError, match=NONE_SUCH):
            from_arrow(to_arrow(its))


@pytest.mark.parametrize(("column", "values", "said"), SQL_DAMAGES, ids=range(len(SQL_DAMAGES)))
def test_bins_of_a_warehouse_are_looked_at(column: str, values: list[object], said: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(FROM_SQL), tmp_path / "good.parquet")
    assert read_summary(tmp_path / "good.parquet")[0].sizes.tolist() == [4]
    pq.write_table(pa.table({**FROM_SQL, column: values}), tmp_path / "s.parquet")
    with pytest.raises(InputError) as caught:
        read_summary(tmp_path / "s.parquet")
    assert said in str(caught.value)


@pytest.mark.parametrize("gold", [None, "g", "far"])  # whose products are beyond what floats hold
def test_one_statement_of_sql_makes_the_same_summary(tmp_path: Path, gold: str | None) -> None:
    import duckdb

    rng = np.random.default_rng(5)
    reward = np.concatenate([rng.standard_normal(3000), [0.0, -0.0, -1e-20, 1e-20, -WIDTH, WIDTH]])
    names, golds = rng.integers(0, 5, reward.size), 3.0 * rng.standard_normal(reward.size)
    far = 2.0**22 * (3.0 + rng.random(reward.size)) * rng.choice([-1, 1], reward.size)
    rows = pa.table({"prompt_id": names, "reward": reward, "g": golds, "far": far})
    with duckdb.connect() as connection:
        connection.register("scored", rows)
        pq.write_table(connection.sql(sql("scored", gold=gold, width=WIDTH)).to_arrow_table(), tmp_path / "b.parquet")
    columns = {"reward": reward} | ({} if gold is None else {"gold": golds if gold == "g" else far})
    made = pq.read_table(tmp_path / "b.parquet")
    for seed in range(4):  # engines give rows in any order
        order = np.random.default_rng(seed).permutation(made.num_rows) if seed else np.arange(made.num_rows)
        pq.write_table(made.take(pa.array(order)), tmp_path / "b.parquet")
        assert read_summary(tmp_path / "b.parquet")[0] == summarised(names, columns, exact=0), seed


LAWS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "gamma": lambda rng, n: rng.gamma(1.5, size=n),
    "skewed": lambda rng, n: rng.beta(5.0, 1.5, n),
    "right or wrong": lambda rng, n: (rng.random(n) < 0.3).astype(float),
    "an atom": lambda rng, n: np.maximum(rng.standard_normal(n), 0.0),
    "two far points": lambda rng, n: np.where(rng.random(n) < 0.01, 20.0, rng.standard_normal(n)),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("width", [2.0**-10, 2.0**-3, 2.0])
def test_the_bound_holds_and_falls_with_the_width(law: str, width: float) -> None:
    values = LAWS[law](np.random.default_rng(1), 5000)
    bins = Bins.of(np.zeros(5000, dtype=np.int64), [values], [width])
    low, high = log_partition_bounds(bins, width, LAM)
    samples = counted_samples(bins, width)
    exact, made = log_mean_exp(values), Atoms(samples.value, samples.count, 0.0).log_partition(LAM)
    assert (low <= exact).all()
    assert (exact <= high).all()
    assert (low - 1e-12 <= made).all()
    assert (made <= high + 1e-12).all()
    # third order in λ·width, and never beyond what the width itself leaves open
    assert (high - low <= np.minimum((LAM * width) ** 3, LAM * width) + 1e-8).all()
    its = curve_in_bins(samples, LAM, 0.0, 1.0)
    assert (its.found.plug_in[:, 0] - its.open_below <= exact).all()
    assert (exact <= its.found.plug_in[:, 0] + its.open_above).all()
    assert (its.open_below + its.open_above <= 2.0 * (high - low) + 3e-6).all()


FAR_TOO_WIDE = st.sampled_from([24, 30, 60, 1023])  # whose steps tell nothing of a reward


@given(st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=12), st.integers(-4, 2) | FAR_TOO_WIDE)
def test_the_bound_holds_for_any_few_samples(values: list[float], exponent: int) -> None:
    given_, width = np.array(values) + 0.0, 2.0**exponent
    bins = Bins.of(np.zeros(len(values), dtype=np.int64), [given_], [width])
    low, high = log_partition_bounds(bins, width, LAM)
    exact = log_mean_exp(given_)
    assert (low <= exact + 1e-12).all()
    assert (exact <= high + 1e-12).all()


@given(st.lists(st.tuples(st.floats(-3.0, 3.0), st.integers(2, 5)), min_size=2, max_size=8))
def test_counts_are_samples_that_come_so_often(levels: list[tuple[float, int]]) -> None:
    value = np.array(sorted({round(v, 3) for v, _ in levels}, reverse=True)) + 0.0
    count = np.array([c for _, c in levels])[: len(value)]
    rows = np.repeat(value, count)[None]
    if len(value) < 2:
        return
    lam = np.array([0.1, 0.5, 1.0])
    plain, found = jackknife_log_partition(rows, lam), jackknife_of_counts(value, count.astype(float), lam)
    for name in ("plug_in", "first_order", "second_order", "ess", "largest_weight", "kl"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=1e-9, abs=1e-9)
    samples = of_levels(value, count.astype(float))
    rules = [BestOfN(n) for n in (1, 2, 2.5, 3) if n <= rows.size]
    expected = [rule.evaluate(prepare(rows)) for rule in rules]
    of_rules = counted_rules(samples, rules)
    assert of_rules.gain == pytest.approx([float(e.mean[0]) - rows.mean() for e in expected], abs=1e-9)
    assert of_rules.spent[1:] == pytest.approx([float(e.spent[0]) for e in expected[1:]], abs=1e-9)


@pytest.mark.parametrize("n", [500, 1000])
def test_the_chance_that_all_draws_are_among_the_lowest_is_exact(n: int) -> None:
    upto = np.array([1000.0, 999.0, 993.0, 960.0, n, n - 1.0])
    exact = [math.comb(int(one), n) / math.comb(1000, n) for one in upto]
    assert all_among(float(n), upto, 1000) == pytest.approx(exact, rel=1e-12, abs=0.0)


def test_best_of_many_of_bins_is_the_formula_without_ties() -> None:
    values = np.random.default_rng(2).standard_normal(40_000)
    bins = Bins.of(np.zeros(values.size, dtype=np.int64), [values], [2.0**-9])
    rules = [BestOfN(2.0**k) for k in (1, 4, 8, 12)]
    found = counted_rules(counted_samples(bins, 2.0**-9), rules)
    rows = prepare(np.sort(values)[::-1][None])
    assert found.spent == pytest.approx([rule.spent_formula() for rule in rules], abs=1e-12)
    assert found.win == pytest.approx([rule.win_rate_formula() for rule in rules], abs=1e-12)
    exact = [float(rule.mean_kept(rows)[0]) - values.mean() for rule in rules]
    assert found.gain == pytest.approx(exact, abs=1e-6)
    assert (found.gain - found.gain_below <= exact).all()
    assert (exact <= found.gain + found.gain_above).all()
    assert (found.gain_below + found.gain_above < [1e-6, 3e-6, 5e-6, 2e-5]).all()


@given(
    st.sampled_from(sorted(LAWS)),
    st.integers(12, 400),
    st.integers(-6, 3) | FAR_TOO_WIDE,
    st.sampled_from([2, 3, 5, 12, 2.5, 7.25]),
    st.integers(0, 2**32),
)
def test_best_of_n_lies_within_the_bounds_of_bins(law: str, n: int, exponent: int, best_of: float, seed: int) -> None:
    values = LAWS[law](np.random.default_rng(seed), n)
    if seed % 2:
        values = np.round(values, 1)  # ties within bins
    width = 2.0**exponent
    bins = Bins.of(np.zeros(n, dtype=np.int64), [values], [width])
    rule = BestOfN(best_of)
    found = counted_rules(counted_samples(bins, width), [rule])
    exact = rule.evaluate(prepare(np.sort(values)[::-1][None]))
    gain, span = float(exact.mean[0]) - values.mean(), np.ptp(values)
    assert found.gain[0] - found.gain_below[0] <= gain + 1e-13 * span
    assert gain <= found.gain[0] + found.gain_above[0] + 1e-13 * span
    if n > 100:  # of few samples that tie the jackknife is no law's KL
        assert abs(found.spent[0] - exact.spent[0]) <= found.spent_open[0] + 1e-12
    if best_of == round(best_of):
        assert found.win[0] - found.win_below[0] - 1e-12 <= exact.win_rate[0] <= found.win[0] + 1e-12


@given(st.sampled_from(sorted(LAWS)), st.integers(2, 300), st.integers(-6, 3) | FAR_TOO_WIDE, st.integers(0, 2**32))
@settings(max_examples=60)
def test_gain_at_a_kl_and_kl_at_a_gain_lie_within_the_bounds_of_bins(
    law: str, n: int, exponent: int, seed: int
) -> None:
    values = LAWS[law](np.random.default_rng(seed), n) + 0.0
    bins, exact = Bins.of(np.zeros(n, dtype=np.int64), [values], [2.0**exponent]), FiniteLaw(values)
    kl = np.array([0.0, 0.01, 0.3, 1.0, 20.0])
    low, high = gain_bounds(bins, 2.0**exponent, kl)
    gain = exact.gain_at_kl(kl)
    assert (low <= gain).all()
    assert (gain <= high).all()
    asked = np.array([0.0, 0.1, 0.5, 0.9]) * gain[-1]
    low, high = kl_bounds(bins, 2.0**exponent, asked)
    spent = exact.kl_at_gain(asked)
    assert (low <= spent).all()
    assert (spent <= high).all()


@pytest.mark.parametrize("law", LAWS)
def test_the_bounds_are_of_use(law: str) -> None:
    """With about 2,000 bins, of 20,000 samples: fractions of what sampling leaves open, which is 10⁻² here."""
    values = LAWS[law](np.random.default_rng(7), 20_000)
    width = width_for(float(values.min()), float(values.max()), 2048)
    bins = Bins.of(np.zeros(20_000, dtype=np.int64), [values], [width])
    low, high = gain_bounds(bins, width, [0.1, 1.0])
    assert (high - low < 1e-6 * np.ptp(values)).all()
    found = counted_rules(counted_samples(bins, width), BestOfN.along([4, 64, 1024]))
    assert (found.gain_below + found.gain_above < 1e-5 * np.ptp(values)).all()
    if law != "an atom":  # a bin with other rewards beside it does not tell how many of its samples tie
        assert (found.spent_open < 2e-2).all()  # 0.0128 of 5.9 nats at N = 1024, with 2,048 bins


def test_the_fit_of_a_summary_is_that_of_the_samples() -> None:
    """At 1e-10, point and support; intervals too where each prompt is its own cell."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(4, 20, 120)
    rows = [rng.standard_normal(n) * (1 + i % 3) + i for i, n in enumerate(sizes)]
    names, rewards = np.repeat(np.arange(120), sizes), np.concatenate(rows)
    pieces = summarised(names, {"r": rewards}, exact=100).split(2)
    table = as_table(*pieces)
    order = [name for piece in pieces for name in piece.names.to_pylist()]
    held = RewardTable.from_arrays([rows[i] for i in order], prompts=order)
    mine, plain = fit_frontier(table, n_boot=200), fit_frontier(held, n_boot=200)
    kl = np.array([0.05, 0.1, 0.2])
    for name in ("gain", "gain_low", "gain_high", "lam", "ess"):
        assert getattr(mine.at(kl, strict=False), name) == pytest.approx(
            getattr(plain.at(kl, strict=False), name), abs=1e-10
        )
    assert mine.supported_end == pytest.approx(plain.supported_end, abs=1e-10)
    for name in ("spent", "gain", "gain_low", "gain_high", "share_low"):
        assert getattr(mine.share(), name) == pytest.approx(getattr(plain.share(), name), abs=1e-10)
    assert mine.base_interval == pytest.approx(plain.base_interval, abs=1e-10)


def test_no_partition_changes_an_interval() -> None:
    """More prompts than cells: they are pooled by key, not by place."""
    rng = np.random.default_rng(4)
    names = np.repeat(np.arange(600), 4)
    rewards = rng.standard_normal(2400)
    whole = summarised(names, {"r": rewards})
    shuffled = rng.permutation(2400)
    again = summarised(names[shuffled], {"r": rewards[shuffled]})
    fits = [fit_frontier(table, n_boot=100, rng=7) for table in (as_table(whole), as_table(*again.split(3)))]
    ends = [(f.at(0.05, strict=False).gain_low, f.at(0.05, strict=False).gain_high) for f in fits]
    assert np.array(ends[0]) == pytest.approx(np.array(ends[1]), abs=1e-12)
    other = fit_frontier(as_table(whole), n_boot=100, rng=8)
    assert abs(float((other.at(0.05, strict=False).gain_low - ends[0][0])[0])) > 1e-9


GOLD: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "linear": lambda r, noise: 0.7 * r + noise,
    "turns": lambda r, noise: r - 0.2 * r**3 + (noise > 0.0),
    "far": lambda r, _: 1000.0 + r**2,
}


@pytest.mark.parametrize("gold", GOLD)
@pytest.mark.parametrize("width", [2.0**-3, 2.0**-8])
@pytest.mark.parametrize(("samples", "digits"), [(20_000, 15), (20_000, 1), (6, 15)])
def test_gold_lies_within_the_bounds_of_bins(gold: str, width: float, samples: int, digits: int) -> None:
    rng = np.random.default_rng(samples)
    reward = np.round(rng.standard_normal(samples), digits)
    values = GOLD[gold](reward, rng.standard_normal(samples))
    bins = Bins.of(np.zeros(samples, dtype=np.int64), [reward, values], [width, WIDTH])
    assert samples == 6 or bins == bins_of_one([reward, values], [width, WIDTH])
    counted = counted_samples(bins, width, {"g": WIDTH})
    _, low, high = tilted_gold_bounds(counted, LAM, "g")
    weight = np.exp(LAM[:, None] * (reward - reward.max()))
    exact = weight @ values / weight.sum(axis=1)
    rounding = 1e-13 * np.abs(values).max()
    assert (low - rounding <= exact).all()
    assert (exact <= high + rounding).all()
    assert width > WIDTH or ((high - low)[:4] < 1e-4 * values.std()).all()  # of the second order in λ times the width
    rules = [BestOfN(n) for n in (1, 2, 5, 64) if n < samples]
    order = np.argsort(-reward, kind="stable")
    of_samples = prepare(reward[order][None], values[order][None])
    best = np.array([float(rule.evaluate(of_samples).mean[0]) - values.mean() for rule in rules])
    rows = gold_of_counted_rules(counted, rules, "g")
    assert (rows[0] - rows[3] - rounding <= best).all()
    assert (best <= rows[0] + rows[4] + rounding).all()


FEW: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "two modes in a bin": lambda rng, n: np.where(rng.random(n) < 0.9, 0.02, 0.8) + 0.1 * rng.random(n),
    "grid": lambda rng, n: np.round(4.0 * rng.standard_normal(n)) / 4.0,
    "ties": lambda rng, n: np.where(rng.random(n) < 0.5, 0.3, rng.random(n)),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
}


@pytest.mark.parametrize("law", FEW)
def test_every_number_of_few_samples_in_bins_lies_within_its_bound(law: str) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n, width = int(rng.choice([5, 8, 20, 100, 500])), 2.0 ** int(rng.integers(-6, 2))
        reward = np.sort(FEW[law](rng, n))[::-1]
        gold = (reward > np.median(reward)) + 0.1 * rng.standard_normal(n)
        bins = Bins.of(np.zeros(n, dtype=np.int64), [reward, gold], [width, 2.0**-6])
        samples = counted_samples(bins, width, {"g": 2.0**-6})
        lam = np.geomspace(0.05, 2.0, 12) / reward.std()
        held = jackknife_log_partition(reward[None] - reward.mean(), lam)
        lam = lam[held.ess[:, 0] > max(4.0, 0.03 * n)]
        held = jackknife_log_partition(reward[None] - reward.mean(), lam)
        curve = _of_counted(samples, samples.mean, 1.0, lam=lam)
        apart = (held.second_order - curve.found.second_order)[:, 0]
        assert (-curve.open_below[:, 0] - 1e-9 <= apart).all()
        assert (apart <= curve.open_above[:, 0] + 1e-9).all()
        tops, spent, *offs = np.array([kl_in_bins(samples, one) for one in lam.tolist()]).T
        exact_tops = held.plug_in[:, 0] - lam * (reward[0] - reward.mean())
        assert (np.abs(exact_tops - tops) <= offs[0] + 1e-9).all()
        assert (np.abs(held.kl[:, 0] - spent) <= offs[1] + 1e-9).all()
        gold_gain, proxy, kl, below, above, step, _, proxy_off, kl_off = tilted_gold_of_counts(samples, lam, "g")
        both = np.stack([gold, reward])[:, None]
        tilted = jackknife_tilted_means(both[1], both, lam)
        of_gold = tilted.second_order[0, :, 0] - gold.mean() - gold_gain
        assert (-below - np.abs(step) - 1e-9 <= of_gold).all()
        assert (of_gold <= above + np.abs(step) + 1e-9).all()
        of_proxy = tilted.second_order[1, :, 0]
        assert (np.abs(of_proxy - reward.mean() - proxy) <= proxy_off + 1e-9).all()
        assert (np.abs(lam * of_proxy - tilted.log_partition[:, 0] - kl) <= kl_off + 1e-9).all()
        rules = [BestOfN(k) for k in (2, 5, n)]
        found, of_gold_rules = counted_rules(samples, rules), gold_of_counted_rules(samples, rules, "g")
        plain, with_gold = prepare(reward[None]), prepare(reward[None], gold[None])
        for j, rule in enumerate(rules):
            exact, most = rule.evaluate(plain), float(rule.spent_formula(KL))
            gain, best = float(exact.mean[0]) - reward.mean(), float(rule.evaluate(with_gold).mean[0]) - gold.mean()
            assert found.gain[j] - found.gain_below[j] <= gain + 1e-12 <= found.gain[j] + found.gain_above[j] + 2e-12
            assert of_gold_rules[0, j] - of_gold_rules[3, j] <= best <= of_gold_rules[0, j] + of_gold_rules[4, j]
            assert abs(min(float(exact.spent[0]), most) - min(found.spent[j], most)) <= found.spent_open[j] + 1e-9
            win = min(float(exact.win_rate[0]), rule.win_rate_formula())
            assert found.win[j] - found.win_below[j] - 1e-12 <= win <= found.win[j] + 1e-12


def test_a_correction_of_the_second_order_lies_within_its_bounds_however_few_samples_carry_it() -> None:
    rng = np.random.default_rng(3)
    laws = [
        lambda n: rng.standard_t(2, n),
        lambda n: rng.beta(0.3, 0.3, n),
        lambda n: np.append(rng.random(n - 1), -30.0),
        lambda n: np.where(rng.random(n) < 0.2, 1.0, np.round(rng.random(n), 1)),
    ]
    widths = []
    for k in range(48):
        n, width = int(rng.choice([3, 4, 7, 30, 200])), 2.0 ** int(rng.integers(-6, 3))
        reward = np.sort(laws[k % len(laws)](n))[::-1]
        samples = counted_samples(Bins.of(np.zeros(n, dtype=np.int64), [reward], [width]), width)
        lam = doubling_grid(0.02, 30.0) / reward.std()
        held = jackknife_log_partition((reward - reward.mean())[None], lam)
        some = held.ess[:, 0] > 1.05
        its = _of_counted(samples, samples.mean, 1.0, lam=lam[some])
        apart = (held.second_order[some] - its.found.second_order)[:, 0]
        slack = 1e-9 * (1.0 + np.abs(held.second_order[some, 0]))
        assert (-its.open_below[:, 0] - slack <= apart).all()
        assert (apart <= its.open_above[:, 0] + slack).all()
        enough = held.ess[some, 0] > 4.0
        widths.extend((its.open_below + its.open_above)[enough, 0] / held.second_order[some][enough, 0])
    assert np.median(widths) < 0.02  # a bound that says something


@pytest.mark.parametrize("width", [0.25, 4.0])
@pytest.mark.parametrize(
    "law",
    [
        lambda rng, shape: rng.standard_normal(shape),
        lambda rng, shape: np.where(rng.random(shape) < 0.3, 1.0, 0.0),
        lambda rng, shape: rng.lognormal(0.0, 0.7, shape) - 7.0,
    ],
    ids=["normal", "ones", "lognormal"],
)
def test_the_limit_of_the_file_lies_between_the_ends_of_few_samples_in_wide_bins(
    law: Callable[[np.random.Generator, tuple[int, int]], Any], width: float
) -> None:
    rows = law(np.random.default_rng(5), (25, 24))
    names, columns = np.repeat(np.arange(25), 24), {"r": rows.reshape(-1)}
    held = fit_frontier(as_table(summarised(names, columns, 24)), "r", n_boot=100)
    table = table_of(Summary.of(pa.array(np.arange(25)), np.full(25, 24), columns, widths=[width], exact_up_to=0))
    binned = fit_frontier(table, "r", n_boot=100)
    kl = [0.02, 0.05, 0.1]
    one, other = held.at(kl, strict=False), binned.at(kl, strict=False)
    assert (other.gain_low <= np.minimum(one.gain, other.gain)).all()
    assert (np.maximum(one.gain, other.gain) <= other.gain_high).all()
    rules = BestOfN.along([2, 8, 24])
    best, its = held.share(rules), binned.share(rules)
    assert its.reward_low is not None
    assert its.reward_high is not None
    for truth, low, high in (
        (best.gain, its.gain_low, its.gain_high),
        (best.reward, its.reward_low, its.reward_high),
    ):
        assert (low <= truth + 1e-12).all()
        assert (truth <= high + 1e-12).all()
    assert (its.reward <= rows.max(axis=1).mean() + 1e-6).all()
    assert best.limit_gain is not None
    assert its.limit_gain is not None
    assert its.limit_gain_off is not None
    assert its.supported is not None
    within = np.abs(best.limit_gain - its.limit_gain) <= its.limit_gain_off + 1e-9
    assert (within | ~its.supported | ~np.asarray(best.supported)).all()
    assert (np.isnan(its.limit_gain_off[~its.supported]) | table.all_held).all()
    most = np.minimum(its.spent_off, its.spent)  # of what ties leave open, all of it
    assert (np.abs(best.spent - its.spent) <= most + 1e-9).all()
    said = "\n".join(lines(ask(table, "r", n_boot=100)))
    assert ("is judged by the points" in said) == (not table.all_held)
    assert "0 prompts all samples" not in said


def test_first_terms_that_bins_do_not_tell_are_said_to_be_left_out() -> None:
    rows = np.random.default_rng(0).standard_normal((25, 5))
    names = pa.array(np.arange(25))
    table = table_of(Summary.of(names, np.full(25, 5), {"r": rows.reshape(-1)}, widths=[4.0], exact_up_to=0))
    assert "first terms of the limit, which few samples tell, are not told" in "\n".join(lines(ask(table, "r")))


@pytest.mark.parametrize("exponent", [23, 25, 40, 1023])
def test_bins_of_any_width_leave_no_more_open_than_their_samples_span(exponent: int) -> None:
    rows = np.random.default_rng(0).uniform(-4.0, 4.0, (25, 8))
    made = partial(Summary.of, pa.array(np.arange(25)), np.full(25, 8), widths=[2.0**exponent], exact_up_to=0)
    fit = fit_frontier(table_of(made({"r": rows.reshape(-1)})), n_boot=100)
    found, best = fit.at(np.array([0.05, 0.2])), fit.share(BestOfN.along([2, 8]))
    for one in (found, best):
        assert (one.gain_low >= -8.0).all()
        assert (one.gain_low <= one.gain).all()
        assert (one.gain <= one.gain_high).all()
        assert (one.gain_high <= 12.0).all()  # 8 of the bins, and what chance adds
    held = fit_frontier(rows, n_boot=100).at(np.array([0.05, 0.2]), strict=False)
    assert (found.gain_low <= held.gain).all()
    assert (held.gain <= found.gain_high).all()


LUMPS, RARE = [0.25] * 4, [0.55, 0.42, 0.02, 0.01]


@pytest.mark.parametrize(("constant", "said"), [
    (0, " and spends at most 0.193 nats; its share of that is not known, for ties leave open what it spends."),
    (3, "best-of-N's share of it is not known, for ties leave open what it spends."),
])  # fmt: skip
def test_ties_are_said_to_leave_open_what_a_rule_spends_in_bins(constant: int, said: str) -> None:
    rows = np.random.default_rng(5).choice([1.0, 2.0, 10.0, 11.0], (25, 30), p=LUMPS if constant else RARE)
    rows[:constant] = 2.0
    names, sizes = pa.array(np.arange(25)), np.full(25, rows.shape[1])
    table = table_of(Summary.of(names, sizes, {"r": rows.reshape(-1)}, widths=[16.0], exact_up_to=0))
    assert headline(ask(table, "r", n_boot=100).reward).endswith(said)


@pytest.mark.parametrize("width", [0.25, 2.0, 8.0])
def test_right_and_wrong_are_told_in_a_bin_that_holds_both(width: float) -> None:
    right = (np.random.default_rng(1).random((30, 50)) < np.linspace(0.0, 1.0, 30)[:, None]).astype(np.float64)
    made = partial(Summary.of, pa.array(np.arange(30)), np.full(30, 50), widths=[width], exact_up_to=0)
    found = checked_answers(table_of(made({"right": right.reshape(-1)})), "right")
    assert found.n_correct.tolist() == right.sum(axis=1)[[int(name) for name in found.prompts]].tolist()
    right[3, :2] = 0.25, 0.75
    with pytest.raises(InputError, match="must be 1 or 0 for each response"):
        checked_answers(table_of(made({"right": right.reshape(-1)})), "right")


def test_right_and_wrong_in_bins_leave_nothing_open_or_are_not_told() -> None:
    right = {"right": np.tile([0.0, 1.0, 1.0, 0.0, 1.0], 60)}
    made = partial(Summary.of, pa.array(np.arange(3)), np.full(3, 100), right, exact_up_to=0)
    table = table_of(made(widths=[4.0]), ["Of a part."])
    assert len(table.notes) == 3
    assert checked_answers(table, "right").notes == ("Of a part.",)
    for width in (2.0**20, 2.0**40, 2.0**1023):
        with pytest.raises(InputError, match=r"bin_width must be 1 or less .* of the 100 responses"):
            checked_answers(table_of(made(widths=[width])), "right")


@pytest.mark.parametrize("largest", [0.0, 5.0])
def test_a_known_largest_reward_far_beyond_wide_bins_is_answered(largest: float) -> None:
    rng = np.random.default_rng(2)
    rows = np.minimum(np.where(rng.random((20, 60)) < 0.5, -7.0, -6.5) + 0.01 * rng.standard_normal((20, 60)), -6.0)
    rows[:, 0] = -6.0
    columns = {"r": rows.reshape(-1)}
    held = fit_frontier(rows, bounded=(-8.0, largest), n_boot=100)
    summary = Summary.of(pa.array(np.arange(20)), np.full(20, 60), columns, widths=[0.125], exact_up_to=0)
    binned = fit_frontier(table_of(summary), bounded=(-8.0, largest), n_boot=100)
    one, other = held.at([0.1, 1.0]), binned.at([0.1, 1.0])
    assert (other.gain_low <= one.gain).all()
    assert (one.gain <= other.gain_high).all()


def test_what_the_file_says_of_few_samples_lies_in_the_intervals_of_their_bins() -> None:
    rng = np.random.default_rng(7)
    rows = np.where(
        rng.random((24, 300)) < 0.9, 0.02 + 0.06 * rng.random((24, 300)), 0.8 + 0.19 * rng.random((24, 300))
    )
    rows[:, 0] = -130.0  # one far below: most samples of a prompt are in one bin
    columns = {"r": rows.reshape(-1), "g": (rows + 0.1 * rng.standard_normal(rows.shape)).reshape(-1)}
    names = np.repeat(np.arange(24), 300)
    held = fit_frontier(as_table(summarised(names, columns, 300)), "r", n_boot=100)
    table = as_table(Summary.of(pa.array(np.arange(24)), np.full(24, 300), columns, widths=[1.0, 0.5], exact_up_to=0))
    binned = fit_frontier(table, "r", n_boot=100)
    assert not table.all_held
    kl, rules = [0.05, 0.1], BestOfN.along([2, 8])
    one, other = held.at(kl, strict=False), binned.at(kl, strict=False)
    best, its = held.share(rules), binned.share(rules)
    gold, of_gold = held.gold("g", rules), binned.gold("g", rules)
    for truth, low, high in (
        (one.gain, other.gain_low, other.gain_high),
        (best.gain, its.gain_low, its.gain_high),
        (best.spent, its.spent - its.spent_off, its.spent + its.spent_off + 1e-12),
        (best.win_rate, its.win_rate - its.win_rate_off, its.win_rate + 1e-12),
        (gold.gold_gain, of_gold.gold_low, of_gold.gold_high),
        (gold.proxy_gain, of_gold.proxy_gain - of_gold.proxy_off, of_gold.proxy_gain + of_gold.proxy_off),
    ):
        assert (low <= truth).all()
        assert (truth <= high).all()
    assert binned.sensitivity(0.05) is None  # bins leave too much of it open
    for asked in (lambda: binned.share(ThresholdStopping(4.0)), lambda: binned.per_prompt.at(0.1)):
        with pytest.raises(InputError, match="exact_up_to"):
            asked()


def test_gold_of_a_table_in_bins_is_that_of_its_samples() -> None:
    rng = np.random.default_rng(0)
    size = 2_000
    rows = rng.standard_normal((24, size)) * (1.0 + np.arange(24)[:, None] % 3 / 3.0)
    columns = {"r": rows.reshape(-1), "g": (0.6 * rows - 0.05 * rows**3 + rng.standard_normal(rows.shape)).reshape(-1)}
    names = np.repeat(np.arange(24), size)
    held, binned = (fit_frontier(as_table(summarised(names, columns, one)), "r", n_boot=100) for one in (size, 10))
    assert not binned.table.all_held
    for of_held, of_bins in (
        [fit.tilted_gold("g", [0.1, 0.5, 1.0]) for fit in (held, binned)],
        [fit.gold("g", BestOfN.along([1, 2, 16])) for fit in (held, binned)],
    ):
        assert of_bins.gold_gain == pytest.approx(of_held.gold_gain, abs=2e-3)
        assert of_bins.proxy_gain == pytest.approx(of_held.proxy_gain, abs=1e-3)
        assert of_bins.spent == pytest.approx(of_held.spent, abs=1e-3)
        widths = (of_bins.gold_high - of_bins.gold_low)[1:] / (of_held.gold_high - of_held.gold_low)[1:]
        assert ((widths > 0.7) & (widths < 2.5)).all()  # what wide bins leave open of best of two is as wide as chance
    turned = as_table(summarised(names, dict(reversed(columns.items())), 10))
    aside = SummaryTable(binned.table._pieces, [Head.of(binned.table._pieces[0]())], ("r", "g"), aside={"g": turned})
    limits = [fit_frontier(table, "g", n_boot=100) for table in (held.table, aside)]
    at_held, at_aside = (fit.at([0.1, 0.5]) for fit in limits)
    assert at_aside.gain == pytest.approx(at_held.gain, abs=1e-4)
    of_held, of_aside = (fit.share(BestOfN.along([2, 16]), "r") for fit in limits)
    assert of_aside.gain == pytest.approx(of_held.gain, abs=2e-3)
    assert of_aside.spent == pytest.approx(of_held.spent, abs=1e-3)
    assert (of_aside.gain_low < of_held.gain_low).all()  # what bins leave open is in it
    assert (of_aside.gain_high > of_held.gain_high).all()


def test_the_fit_of_bins_lies_within_its_bound() -> None:
    rng = np.random.default_rng(6)
    rows = rng.gamma(2.0, size=(20, 20_000))  # of fewer prompts all would be said of these very ones, from samples
    summary = summarised(np.repeat(np.arange(20), 20_000), {"r": rows.ravel()}, exact=1000)
    assert summary.binned.all()
    mine = fit_frontier(as_table(summary), n_boot=100)
    plain = fit_frontier(rows[summary.names.to_pylist()], n_boot=100)
    kl = np.array([0.05, 0.1, 0.2])
    found, exact = mine.at(kl, strict=False), plain.at(kl, strict=False)
    bounds = [
        log_partition_bounds(summary.bins.take(np.flatnonzero(summary.bins.row == k)), WIDTH, exact.lam)
        for k in range(20)
    ]
    open_ = np.mean([high - low for low, high in bounds], axis=0) / exact.lam  # of the gain, by the envelope theorem
    assert (np.abs(found.gain - exact.gain) <= open_ + 1e-10).all()
    assert (open_ < 1e-4).all()
    assert mine.tail.ratio == pytest.approx(plain.tail.ratio, abs=1e-2)
    assert mine.supported_end == pytest.approx(plain.supported_end, rel=1e-2)


def test_samples_that_bins_tell_are_taken_as_they_are() -> None:
    rng = np.random.default_rng(8)
    names, rewards = np.repeat(np.arange(50), 32), rng.standard_normal(1600)
    golds = np.round(rng.standard_normal(1600) - rewards, 1)
    columns = {"r": rewards, "g": golds}
    exact, binned = (summarised(names, columns, exact=e) for e in (100, 0))
    told = ~not_told(binned)
    assert 10 < told.sum() < 50  # of others a bin has three samples, or two whose gold is in one bin
    back = expanded(binned)
    assert (back.binned == ~told).all()
    for mine, plain in zip(back.values, exact.values, strict=True):
        assert np.array_equal(mine, plain[np.repeat(told, exact.sizes)])
    kl = np.array([0.05, 0.2])
    gains = [fit_frontier(as_table(one), "r", n_boot=100).at(kl, strict=False).gain for one in (exact, binned)]
    assert gains[0] == pytest.approx(gains[1], abs=1e-6)


def test_what_takes_every_sample_is_refused_by_name() -> None:
    summary = summarised(np.repeat([0, 1], 20_000), {"r": np.random.default_rng(0).standard_normal(40_000)}, exact=10)
    table = as_table(summary)
    with pytest.raises(InputError, match="exact_up_to"):
        table.column("r")
    with pytest.raises(InputError, match="exact_up_to"):
        fit_frontier(table, budget="per_prompt").at(0.1)
    with pytest.raises(InputError, match="no reward 'x'"):
        fit_frontier(table, "x")
    with pytest.raises(InputError, match="power of two"):
        Summary.of(pa.array([1]), np.array([1]), {"r": np.ones(1)}, widths=[0.3])
    with pytest.raises(InputError, match="too small"):
        Summary.of(pa.array([1]), np.array([1]), {"r": np.array([1e9])}, widths=[2.0**-30], exact_up_to=0)
    with pytest.raises(InputError, match="agree in widths"):
        Summary.merged([summary, Summary.of(pa.array([1]), np.array([1]), {"r": np.ones(1)}, exact_up_to=10)])


@pytest.mark.parametrize("prompts", [1, 3])
def test_few_prompts_in_bins_are_these_very_prompts_as_in_memory(prompts: int) -> None:
    sizes = 1.0 + np.arange(prompts)[:, None]
    rows = np.random.default_rng(9).standard_normal((prompts, 20_000)) * sizes + sizes
    table = as_table(summarised(np.repeat(np.arange(prompts), 20_000), {"r": rows.reshape(-1)}, exact=10))
    held, binned = (fit_frontier(one, n_boot=200) for one in (rows, table))
    assert held.fixed_prompts
    assert binned.fixed_prompts
    assert binned.base_interval == pytest.approx(held.base_interval, abs=1e-6)
    kl = np.array([0.1, 0.5])
    one, other = held.at(kl), binned.at(kl)
    assert other.gain == pytest.approx(one.gain, rel=1e-6)
    widths = (other.gain_high - other.gain_low) / (one.gain_high - one.gain_low)  # groups are dealt anew
    assert ((widths > 0.6) & (widths < 1.6)).all()
    best, of_bins = (fit.share(BestOfN.along([4, 16])) for fit in (held, binned))
    assert of_bins.gain == pytest.approx(best.gain, rel=1e-4)
    widths = (of_bins.gain_high - of_bins.gain_low) / (best.gain_high - best.gain_low)
    assert ((widths > 0.6) & (widths < 1.6)).all()


def test_samples_are_dealt_alike_before_summaries_are_merged_and_after() -> None:
    rng = np.random.default_rng(4)
    names, columns = np.repeat([1, 2], 300), {"r": rng.standard_normal(600), "g": rng.standard_normal(600)}
    part = rng.integers(3, size=600)
    pieces = [summarised(names[part == k], {c: v[part == k] for c, v in columns.items()}, exact=900) for k in range(3)]
    at_once = Summary.merged([in_new_groups(one, 5, ["g", "r"]) for one in pieces])
    in_steps = [Summary.merged(pieces[:2]), pieces[2]]
    assert Summary.merged([in_new_groups(one, 5, ["g", "r"]) for one in in_steps]) == at_once
    assert at_once.sizes.min() > 30
    equal = in_new_groups(summarised(np.zeros(100, dtype=int), {"r": np.ones(100)}, exact=900), 5, ["r"])
    assert equal.sizes.tolist() == [20] * 5  # samples that are equal are dealt in turn


def test_few_prompts_in_bins_that_were_not_dealt_are_answered_in_their_reward_and_not_in_gold() -> None:
    values = np.random.default_rng(9).standard_normal(60_000)
    fit = fit_frontier(as_table(summarised(np.zeros(60_000, dtype=int), {"r": values, "g": values}, exact=10)), "r")
    found = fit.at(0.5)
    assert found.gain_low[0] < 1.0 < found.gain_high[0]
    for asked in (fit.gold, partial(fit.tilted_gold, lam=[0.1])):
        with pytest.raises(InputError, match="needs every sample of each, or groups into which these were dealt"):
            asked("g")


def dealt_into(groups: int, name: str, columns: dict[str, np.ndarray]) -> Summary:
    """Groups of one prompt, by each row's place."""
    labels = np.array([f"{k % groups} {name}" for k in range(len(columns["r"]))])
    return summarised(labels, columns, exact=0)


def test_groups_add_up_to_their_prompts_whatever_was_merged_first() -> None:
    rng = np.random.default_rng(3)
    columns = [{"r": rng.standard_normal(999).round(k), "g": rng.gamma(2.0, size=999)} for k in (2, 9)]
    parts = [dealt_into(7, name, one) for name, one in zip("ab", columns, strict=True)]
    whole = summarised(
        np.repeat(["a", "b"], 999), {k: np.concatenate([one[k] for one in columns]) for k in ("r", "g")}, exact=0
    )
    kept = [Kept(one, dealt_into(7, name, dict(reversed(its.items()))), 7) for one, name, its in
            zip(parts, "ab", columns, strict=True)]  # fmt: skip
    for both in (kept, kept[::-1]):
        merged = Kept.merged(both)
        assert merged.whole == whole
        assert merged == from_arrow(to_arrow(merged))[0]
        assert merged.groups == 7
    held, more = (
        Kept(summarised(np.repeat(["a", "b"], 30), {"r": rng.normal(size=60), "g": rng.normal(size=60)}, exact=40))
        for _ in range(2)
    )
    dealt = Kept.merged([held, more])  # all samples are there, more than are kept of a prompt
    assert dealt == Kept.merged([more, held])
    assert dealt.groups > 1
    assert dealt.whole.bins == Summary.merged([held.summary, more.summary]).bins
    lacking = Kept.merged([kept[0], Kept(kept[1].whole)])  # one of whole prompts, and without gold's bins
    assert (lacking.whole, lacking.turned, lacking.groups) == (whole, None, 0)
    table = to_arrow(merged)
    for change, said in (
        ({"groups": 3}, "its prompts are no groups, of which it tells 3"),
        ({"groups": True}, "the number of its groups is True"),
        ({"by_gold": "x"}, "its widths are ['x']"),
        ({"by_gold": None, "groups": -1}, "the number of its groups is -1"),
    ):
        with pytest.raises(InputError) as caught:
            from_arrow(_said_beside(table, **change))
        assert said in str(caught.value)
    rows = table["bins_by_gold"].to_pylist()
    with pytest.raises(InputError, match="counts by gold disagree"):
        from_arrow(_changed(table, "bins_by_gold", pa.array([rows[0][:-1], *rows[1:]], table["bins_by_gold"].type)))
