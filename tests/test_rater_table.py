"""Capacity from ratings: reading, the correction against a jackknife and the truth, coverage, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from alignlib._core.errors import InputError
from alignlib.bottleneck import capacity, estimate_capacity, estimate_from_counts, rating_channel, symmetric_channel
from alignlib.cli.main import main
from alignlib.tables import RaterTable
from tests import awkward

RATING = np.array(
    [
        [0.6, 0.25, 0.1, 0.04, 0.01],
        [0.2, 0.5, 0.2, 0.08, 0.02],
        [0.05, 0.15, 0.4, 0.3, 0.1],
        [0.02, 0.05, 0.13, 0.3, 0.5],
    ]
)


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_read_counts(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        "task,truth,score,who\ncode,good,5,ann\ncode,bad,1,bob\nchat,good,4.0,ann\nchat,bad,4,ann\ncode,good,10,bob\n",
    )
    table = RaterTable.read(file, target="truth", label="score", context="task", rater="who")
    assert (table.contexts, table.targets, table.raters) == (("chat", "code"), ("bad", "good"), ("ann", "bob"))
    assert table.labels == ("1", "4", "5", "10")  # in the order of numbers; 4 and 4.0 are one label
    assert table.counts().tolist() == [[[0, 1, 0, 0], [0, 1, 0, 0]], [[1, 0, 0, 0], [0, 0, 1, 1]]]
    assert table.counts(0).sum() == 3


def test_names_are_texts_and_one_number_in_two_spellings_is_said(tmp_path: Path) -> None:
    rows = [
        f"{task},{truth},{score},{who}"
        for task in ("1e+07", "10000000")
        for truth in "ab"
        for score in ("4", "4.0", "5", "+5")
        for who in ("1.1", "1.10")
    ]
    file = write(tmp_path / "a.csv", "\n".join(["task,truth,score,who", *rows, ""]))
    table = RaterTable.read(file, target="truth", label="score", context="task", rater="who")
    assert (table.contexts, table.labels, table.raters) == (("10000000", "1e+07"), ("4", "+5", "5"), ("1.1", "1.10"))
    assert (
        "'4' and '4.0' in column 'score' are one number, and read as one. '+5' and '5' in column 'score' are one "
        "number, and read as two; spell them alike if they are one."
    ) in table.notes
    assert any(
        note.startswith("'1.1' and '1.10' in column 'who' are one number, and read as two") for note in table.notes
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_texts_of_json_and_parquet_are_no_numbers_and_numbers_are(tmp_path: Path, suffix: str) -> None:
    """Versions 1.1 and 1.10 are two labels; the numbers -0.0 and 0 are one target."""
    rows = pa.table({"version": ["1.1", "1.10", "1", "1.0"] * 8, "truth": [-0.0, 0.0, 1.0, 2.0] * 8})
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(rows, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))
    table = RaterTable.read(path, target="truth", label="version")
    assert (table.targets, table.labels) == (("0", "1", "2"), ("1", "1.0", "1.1", "1.10"))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "tsv"])
def test_read_other_formats(tmp_path: Path, suffix: str) -> None:
    import pandas as pd

    frame = pd.DataFrame({"target": [0, 0, 1, 1], "label": ["x", "y", "y", "y"]})
    path = tmp_path / f"a.{suffix}"
    if suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t", index=False)
    assert RaterTable.read(path).counts().tolist() == [[[1, 1], [0, 2]]]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("target,label\n0,a\n1,a\n", {}, "every label in .* is 'a': a rater who always says the same"),
        ("target,label\n0,a\n0,b\n", {}, "context 'all' of .* has labels for one target only, '0'"),
        (
            "target,label,task\n0,a,p\n0,b,p\n0,a,q\n",
            {"context": "task"},
            "'p' .* one target only, '0', and so has each of 2",
        ),
        (
            "target,label\n0,a\n1,\n",
            {},
            "1 of 2 rows of .* lack a target, label, context or rater: 'label' in 1; row 3",
        ),
        ("target,label\n0,a\n1,b\n", {"label": "lable"}, "has no column 'lable' .label.; did you mean 'label'"),
        (
            "target,label\n0,a\n1,b\n",
            {"label": "target"},
            "target and label must be different columns; both are 'target'",
        ),
        ("target,label\n", {}, "a header but no rows"),
        ("target,label\n,a\n,b\n", {"drop_missing": True}, "holds no complete rating"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RaterTable.read(write(tmp_path / "a.csv", text), **arguments)  # type: ignore[arg-type]


def test_missing_rows_are_counted(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "target,label\n0,a\n1,\nNA,b\n1,b\n")
    table = RaterTable.read(file, drop_missing=True)
    assert table.n_labels == 2
    assert table.notes == (
        "2 of 4 rows were left out for want of a value.",
        "'NA' in column 'target' is read as a missing value, as in all CSV; rename it if it is one of the values.",
    )


def test_bad_counts_are_named() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        estimate_from_counts([[0.5, 0.5], [1, 1]])
    with pytest.raises(ValueError, match="target 1 has a single label"):
        estimate_from_counts([[3, 2], [1, 0]])
    with pytest.raises(ValueError, match="holds no labels"):
        estimate_from_counts([[0, 0]])
    table = RaterTable.from_arrays([0, 0, 1, 1], [0, 1, 1, 1])
    with pytest.raises(ValueError, match="at least 3 raters"):
        estimate_capacity(table, by_rater=True)
    with pytest.raises(ValueError, match=r"level must lie between .*; got 1"):
        estimate_capacity(table, level=1.0)
    with pytest.raises(ValueError, match="target '1' has a single label in context 'all'"):
        estimate_capacity(RaterTable.from_arrays([0, 0, 1], [0, 1, 1]))


def jackknife(counts: np.ndarray) -> tuple[float, float]:
    """Bias and variance by leaving out every label in turn, each row a stratum."""

    def plug_in(table: np.ndarray) -> float:
        return capacity(table / table.sum(axis=1, keepdims=True)).value

    whole, bias, variance = plug_in(counts), 0.0, 0.0
    for u, y in np.argwhere(counts > 0):
        counts[u, y] -= 1
        counts[u, y], left = counts[u, y] + 1, plug_in(counts)
        n = counts[u].sum()
        bias += (n - 1) * counts[u, y] / n * (left - whole)
        variance += (n - 1) / n * counts[u, y] * (left - whole) ** 2
    for u in range(len(counts)):  # around each row's own mean
        n = counts[u].sum()
        lefts = []
        for y in np.flatnonzero(counts[u]):
            less = counts.copy()
            less[u, y] -= 1
            lefts.append((counts[u, y], plug_in(less) - whole))
        mean = sum(c * d for c, d in lefts) / n
        variance -= (n - 1) * mean**2
    return bias, variance


@pytest.mark.parametrize("rows", [RATING, symmetric_channel(3, 0.2)])
def test_second_order_agrees_with_the_jackknife(rows: np.ndarray) -> None:
    counts = np.round(2000 * rows)
    found = estimate_from_counts(counts)
    bias, variance = jackknife(counts)
    assert found.bias == pytest.approx(bias, rel=0.02)
    assert found.standard_error**2 == pytest.approx(variance, rel=0.02)


COVERED = {
    "five marks": (RATING, 200),
    "five marks, ends used": (rating_channel(4, 0.28, 5), 400),
    "yes or no": (symmetric_channel(2, 0.1), 200),
    "yes or no, poor": (symmetric_channel(2, 0.35), 200),
    "four, half wrong": (symmetric_channel(4, 0.5), 200),
}


@pytest.mark.parametrize("name", list(COVERED))
def test_coverage_of_the_interval(name: str) -> None:
    """93 to 99 % of 400 intervals hold the truth, the plug-in is biased up, the corrected estimate is not."""
    rows, n = COVERED[name]
    rng = np.random.default_rng(1)
    true, runs = capacity(rows).value, 400
    found = [estimate_from_counts(rng.multinomial(n, rows)) for _ in range(runs)]
    held = np.array([low <= true <= high for low, high in (one.interval() for one in found)])
    # 1.1 % is one standard error of a coverage from 400 tables.
    assert 0.93 - 0.011 <= held.mean() <= 0.99
    value = np.array([one.value for one in found])
    noise = value.std() / math.sqrt(runs)
    assert abs(value.mean() - true) <= 3 * noise + 0.1 * value.std()
    plug_in = np.array([one.plug_in for one in found]).mean()
    if len(rows) > 2:  # the control: without the correction it is too high; for two targets by less than the noise
        assert plug_in - true > 3 * noise
    assert np.mean([one.supported for one in found]) >= 0.95


def test_few_labels_are_said_to_be_too_few() -> None:
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(8, 0.5), size=8)
    assert not any(estimate_from_counts(rng.multinomial(8, rows)).supported for _ in range(50))


def test_raters_who_differ_need_the_rater_interval() -> None:
    """Labels of one rater go together: the label interval is too short, the rater interval is not."""
    rng = np.random.default_rng(2)
    runs, raters, each = 100, 12, 60
    truth = capacity(0.5 * symmetric_channel(2, 0.02) + 0.5 * symmetric_channel(2, 0.4)).value
    held = {False: 0, True: 0}
    for _ in range(runs):
        rater = np.repeat(np.arange(raters), each)
        error = rng.choice([0.02, 0.4], raters)[rater]
        target = rng.integers(0, 2, rater.size)
        table = RaterTable.from_arrays(target, target ^ (rng.random(rater.size) < error), rater=rater)
        for by_rater in held:
            found = estimate_capacity(table, by_rater=by_rater)
            held[by_rater] += found.mean_low <= truth <= found.mean_high
    assert held[True] / runs >= 0.88
    assert held[False] / runs < 0.8


def test_average_over_contexts() -> None:
    rng = np.random.default_rng(3)
    context, target = rng.integers(0, 2, 4000), rng.integers(0, 2, 4000)
    error = np.array([0.05, 0.3])[context]
    table = RaterTable.from_arrays(target, target ^ (rng.random(4000) < error), context=context)
    found = estimate_capacity(table, context_prob=[0.25, 0.75])
    truth = 0.25 * capacity(symmetric_channel(2, 0.05)).value + 0.75 * capacity(symmetric_channel(2, 0.3)).value
    assert found.mean == pytest.approx(truth, abs=3 * found.mean_standard_error)
    assert found.mean == pytest.approx(0.25 * found.value[0] + 0.75 * found.value[1])


def ratings_file(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    lines = ["task,truth,score,who"]
    for _ in range(1200):
        u = rng.integers(4)
        lines.append(f"{rng.choice(['code', 'chat'])},{'ABCD'[u]},{rng.choice(5, p=RATING[u]) + 1},r{rng.integers(6)}")
    return write(tmp_path / "ratings.csv", "\n".join(lines) + "\n")


def test_command_line(tmp_path: Path) -> None:
    file = ratings_file(tmp_path)
    run = CliRunner().invoke(main, ["capacity", file, "--target", "truth", "--label", "score", "--context", "task"])
    assert run.exit_code == 0, run.output
    assert [line.split()[0] for line in run.output.splitlines()[1:4]] == ["chat", "code", "average"]
    assert "fewer than 100 labels" not in run.output
    run = CliRunner().invoke(
        main,
        ["capacity", file, "--target", "truth", "--label", "score", "--context", "task", "--rater", "who", "--json"],
    )
    average = json.loads(run.output)["rows"][-1]
    true = capacity(RATING).value
    assert average["low"] < true < average["high"]
    assert average["floor_low"] < average["floor_high"]
    assert average["labels"] == 1200


def test_an_estimate_below_zero_is_shown_as_zero_with_a_note_and_kept_in_json(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = [f"c{i % 8},{rng.integers(2)},{rng.integers(3)}" for i in range(4000)]
    file = write(tmp_path / "chance.csv", "\n".join(["context,target,label", *rows]) + "\n")
    run = CliRunner().invoke(main, ["capacity", file, "--context", "context"])
    values = {r["context"]: r["capacity"] for r in json.loads(_as_json(file))["rows"]}
    below = {name: value for name, value in values.items() if value < 0.0}
    assert below, "the case is not tested"
    (note,) = [line for line in run.output.splitlines() if line.startswith("Shown as 0")]
    shown = {line.split()[0]: line.split()[2] for line in run.output.splitlines() if line.startswith(("c", "average"))}
    for name, value in values.items():
        assert (f"{name!r} ({value:.2g})" in note) == (name in below)
        assert shown[name] == f"{max(value, 0.0):.4f}"


def _as_json(file: Path) -> str:
    return CliRunner().invoke(main, ["capacity", file, "--context", "context", "--json"]).output


def test_command_line_says_one_sentence(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["capacity", ratings_file(tmp_path), "--target", "truth"])
    assert run.exit_code == 2
    assert "has no column 'label' (--label)" in run.output
    assert "Traceback" not in run.output


def test_verifiers_as_raters() -> None:
    """A verifier's verdict as the label, correctness as the target: raters that tie, err and skip."""
    frame = awkward.verified()
    long = frame.melt(id_vars=["correct"], value_vars=awkward.VERIFIERS[:8]).dropna()
    table = RaterTable.from_arrays(
        long["correct"].to_numpy(np.int64),
        (long["value"].to_numpy() > 0.5).astype(np.int64),
        rater=long["variable"].str[-2:].astype(int).to_numpy(),
    )
    found = estimate_capacity(table, by_rater=True)
    assert 0 < found.mean_low < found.mean_high < math.log(2)


def test_a_context_of_one_target_is_left_out_and_counted() -> None:
    few = {
        "target": ["a", "b", "a", "b", "c"],
        "label": ["x", "y", "x", "x", "z"],
        "context": ["p", "p", "p", "p", "q"],
    }
    table = RaterTable.from_arrays(**few, rater=["1", "2", "1", "2", "3"])
    assert table.notes[-1].startswith("1 context with labels for one target only left out, such as 'q' (1 label)")
    assert (table.contexts, table.targets, table.labels, table.raters) == (("p",), ("a", "b"), ("x", "y"), ("1", "2"))
    assert table.counts().tolist() == [[[2.0, 0.0], [1.0, 1.0]]]
