"""A run on the frontier: made-up runs whose share is known, real logs, and runs without base samples."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from alignlib import plotting
from alignlib._core.errors import InputError
from alignlib.answers.output.overlay import lines as overlay_lines
from alignlib.answers.output.run_headlines import headlines
from alignlib.answers.run_pictures import draw_overlay
from alignlib.cli import _picture
from alignlib.cli.main import main
from alignlib.estimation import fit_frontier
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from alignlib.training import Overlay, overlay
from alignlib.training.envelope import achieved_envelope
from alignlib.training.example_run import example_prompts, example_run
from alignlib.training.impossible import PointsOfRun
from alignlib.training.logs.per_prompt import PerPrompt
from alignlib.training.logs.training_log import TrainingLog, joined_logs, read_training_log
from alignlib.training.rounded_kl import half_digit
from alignlib.training.run_prompts import pair_prompts
from alignlib.training.run_start import RunStart
from alignlib.training.step_prompts import StepPrompts
from alignlib.training.wasted import Limit, best_of_n_of, of_kl_alone
from tests import awkward

pytestmark = pytest.mark.xdist_group("overlay")  # what is made once is made in one process

DATA = Path(__file__).parent / "data"
GRPO, BASE = DATA / "trl_grpo.json", DATA / "trl_base_table.csv"


def run(*arguments):
    return CliRunner().invoke(main, ["overlay", *map(str, arguments)])


@pytest.fixture(scope="module")
def made() -> tuple[TrainingLog, RewardTable]:
    return example_run(200, 64, np.random.default_rng(0), noise=0.02)


@pytest.fixture(scope="module")
def found(made) -> Overlay:
    return overlay(made[0], fit_frontier(made[1], n_boot=400))


# -- against what is known


def test_share_and_waste_of_a_normal_reward(found: Overlay) -> None:
    """The run has 0.85 of √(2 KL), so the same gain needs 0.85² of its KL."""
    kl = found.log.kl
    far = found.supported & (kl > 0.2)
    assert far.sum() >= 6
    held = (found.share_low[far] <= 0.85) & (found.share_high[far] >= 0.85)  # each to 95 %, not all at once
    assert held.mean() >= 0.75
    assert np.median(found.share[far]) == pytest.approx(0.85, abs=0.03)
    truth = (1.0 - 0.85**2) * kl[far]
    # Seven points of one table and run: the truth of one lies .0007 nats below an interval .1 nats wide.
    assert ((found.wasted_low[far] <= truth) & (truth <= found.wasted_high[far])).mean() > 0.7
    assert not found.above.any()
    assert found.width == 2
    assert "of what any method can gain there" in headlines(found)[0]


def test_intervals_cover() -> None:
    """Share of the last supported point, over tables and logs drawn anew."""
    held, rng = [], np.random.default_rng(1)
    for _ in range(24):
        log, table = example_run(100, 32, rng, kl_max=0.6)
        result = overlay(log, fit_frontier(table, n_boot=100))
        i = np.flatnonzero(result.supported)[-1]
        held.append(result.share_low[i] <= 0.85 <= result.share_high[i])
    assert np.mean(held) >= 0.87  # 95 % of 24 draws, less two standard errors


def test_intervals_of_waste_hold_the_noise_of_the_kl() -> None:
    """A run with a fifth of the limit needs next to no KL: an error of its KL is one of the waste, as large."""
    rng = np.random.default_rng(2)
    fit = fit_frontier(RewardTable.from_arrays(rng.standard_normal((100, 32))), n_boot=100)
    kl, held, wide = 0.4 * np.linspace(0.0, 1.0, 12), [], []
    log = replace(example_run(2, 3, rng, n_checkpoints=12)[0], kl_unit="sequence", length=None)
    for responses in (*[64.0] * 10, 1e6):
        noisy = kl + np.sqrt(2.0 * kl / responses) * rng.standard_normal(12)  # the mean log-ratio (k1)
        reward = 0.2 * np.sqrt(2.0 * kl) + 0.03 * rng.standard_normal(12)
        result = overlay(replace(log, kl=noisy, logged_kl=noisy, reward=reward), fit, check=False)
        told = slice(4, 12)
        truth = (1.0 - 0.2**2) * kl[told]
        if responses < 1e6:
            held.append((result.wasted_low[told] <= truth) & (truth <= result.wasted_high[told]))
        wide.append(float((result.wasted_high - result.wasted_low)[told].mean()))
    assert np.mean(held) >= 0.93  # half of them hold if the KL is taken for exact
    assert wide[-1] < 0.4 * np.mean(wide[:-1])


def test_intervals_of_a_dozen_means_hold_what_so_few_tell_of_their_noise() -> None:
    """Noise that grows along the run, as where some prompts are learnt and others not, seen at its last checkpoint."""
    rng = np.random.default_rng(6)
    fit = fit_frontier(RewardTable.from_arrays(3.0 * rng.standard_normal((400, 32))), n_boot=100)
    kl, held = 0.4 * np.linspace(0.0, 1.0, 12), []
    log = replace(example_run(2, 3, rng, n_checkpoints=12)[0], kl_unit="sequence", length=None, kl=kl, logged_kl=kl)
    gain = 2.0 * np.sqrt(kl)
    for _ in range(80):
        reward = gain + np.linspace(0.2, 0.4, 12) * rng.standard_normal(12)
        result = overlay(replace(log, reward=reward), fit, check=False)
        held.append(result.gain_low[-1] <= gain[-1] <= result.gain_high[-1])
    assert np.mean(held) >= 0.85  # by the normal law and the noise of the whole run .76


def test_intervals_of_gains_hold_the_noise_of_rewards_whose_kl_is_of_the_same_responses() -> None:
    """The log-ratio rises with the reward: the errors of both cancel in the distance to the limit, not in the gain."""
    rng, tilt, held = np.random.default_rng(7), np.linspace(0.0, 1.0, 20), []
    fit = fit_frontier(RewardTable.from_arrays(rng.standard_normal((400, 32))), n_boot=100)
    log = replace(example_run(2, 3, rng, n_checkpoints=20)[0], kl_unit="sequence", length=None)
    for _ in range(12):
        responses = tilt[:, None] + rng.standard_normal((20, 32))
        kl = (tilt[:, None] * responses).mean(axis=1) - tilt**2 / 2.0  # the mean log-ratio (k1)
        result = overlay(replace(log, kl=kl, logged_kl=kl, reward=responses.mean(axis=1)), fit, check=False, pool=1)
        held.append((result.gain_low <= tilt) & (tilt <= result.gain_high))
    assert np.mean(held) >= 0.93  # of 240; by the noise of the distance .55


def test_the_least_best_of_n_is_found_between_those_that_are_tried_first() -> None:
    fit = fit_frontier(RewardTable.from_arrays(np.random.default_rng(0).standard_normal((40, 128))), n_boot=100)
    every = fit.share([BestOfN(float(n)) for n in range(1, 129)])
    gain = every.gain[[1, 5, 9, 40, 110]]
    least, spent, _ = best_of_n_of(fit, gain, gain)
    assert least.tolist() == [2.0, 6.0, 10.0, 41.0, 111.0]
    np.testing.assert_allclose(spent, every.spent[[1, 5, 9, 40, 110]])


def test_an_error_of_the_kl_is_none_of_the_waste_at_the_limit_and_all_of_it_without_a_gain() -> None:
    fit = fit_frontier(RewardTable.from_arrays(np.random.default_rng(3).standard_normal((50, 32))), n_boot=100)
    limit = Limit.of(fit, example_run(2, 3, np.random.default_rng(0), kl_max=0.5)[0])
    part = of_kl_alone(limit, np.full(3, 0.4), np.array([0.4, 0.1, 0.0]))
    assert part[0] == pytest.approx(0.0, abs=1e-9)
    assert part[1] == pytest.approx(0.5, abs=0.05)  # √2κ has the slope 1/√2κ
    assert part[2] == 1.0


def test_the_optimum_itself_has_the_whole_limit() -> None:
    """Checkpoints of the tilted family of a discrete law, exact, against a large table drawn from it."""
    reward = np.array([0.0, 0.3, 1.0, 2.0])
    prob = np.array([0.4, 0.3, 0.2, 0.1])
    family = FiniteLaw(reward, prob)
    lam = np.linspace(0.0, 1.2, 8)
    rng = np.random.default_rng(0)
    table = RewardTable.from_arrays(rng.choice(reward, p=prob, size=(300, 128)))
    log = replace(
        example_run(4, 4, rng, n_checkpoints=8)[0],
        kl=family.kl(lam),
        reward=family.mean_reward(lam),
        kl_unit="sequence",
        length=None,
    )
    result = overlay(log, fit_frontier(table, n_boot=400), pool=1)
    known = result.supported & (log.kl > 0.05)
    assert known.sum() >= 4
    np.testing.assert_allclose(result.share[known], 1.0, atol=0.03)
    assert (result.share_low[known] <= 1.0).all()
    assert (result.share_high[known] >= 1.0).all()
    np.testing.assert_allclose(result.needed[known], log.kl[known], rtol=0.06)


def test_a_run_above_the_limit_is_marked(made) -> None:
    log, table = made
    result = overlay(replace(log, kl=log.kl / 8.0), fit_frontier(table, n_boot=200))
    assert result.above.any()
    assert any("lie above the limit's interval" in note for note in result.notes)
    shown = np.isfinite(result.wasted)
    assert shown.any()
    assert (result.wasted_low <= result.wasted)[shown].all()
    assert (result.wasted <= result.wasted_high)[shown].all()
    assert (result.wasted_low <= result.wasted_high).all()


@pytest.mark.parametrize(("base", "times"), [("grades", 0.1), ("penalties", 10.0), ("penalties", 100.0)])
def test_another_scale_below_the_samples_is_refused_however_far(base: str, times: float) -> None:
    """The law of the samples tilted so far down has no scatter left, by which that at the start seemed huge."""
    rng = np.random.default_rng(4)
    values = (
        -rng.gamma(0.7, 1.0, (60, 32)) if base == "penalties" else np.clip(rng.normal(3.0, 1.0, (60, 32)), 1.0, 5.0)
    )
    fit = fit_frontier(RewardTable.from_arrays(values), n_boot=100)
    kl = np.linspace(0.0, 0.3, 40)
    reward = values.mean() + 0.4 * np.sqrt(kl) + 0.04 * rng.standard_normal(40)
    log = replace(example_run(2, 3, rng, n_checkpoints=40)[0], kl_unit="sequence", length=None, kl=kl, logged_kl=kl)
    assert not overlay(replace(log, reward=reward), fit).doubted
    with pytest.raises(InputError, match="another reward scale"):
        overlay(replace(log, reward=times * reward), fit)


def test_next_to_the_base_no_interval_is_upside_down(made) -> None:
    """There the lower end of the limit may fall below 0, and the share has no upper end."""
    log, table = made
    result = overlay(replace(log, kl=log.kl * 1e-300), fit_frontier(table, n_boot=200), pool=1)
    assert not (result.share_low > result.share_high).any()
    placed = result.log.kl > 0.0
    assert not (result.share[placed] > result.share_high[placed]).any()


def test_a_point_far_above_the_limit_is_called_that(made) -> None:
    log, table = made
    far = replace(log, reward=log.reward + np.where(log.step >= 100, 9.0, 0.0))
    result = overlay(far, fit_frontier(table, n_boot=200), pool=1)
    assert result.above[-1]
    assert "more than any method can gain there" in headlines(result)[-1]


def test_beyond_the_support_only_bounds_are_given(made) -> None:
    log, table = made
    result = overlay(replace(log, kl=4.0 * log.kl), fit_frontier(table, n_boot=200))
    beyond = ~result.supported & (result.log.kl > 0.1)
    assert beyond.any()
    assert np.isnan(result.share[beyond]).all()
    known = result.needed[beyond]
    assert np.isfinite(known).any()  # how much KL the gain needs may still be known
    truth = 0.85 / np.sqrt(4.0)
    assert (result.share_low[beyond] <= truth * 1.1).all()


def test_negative_kls_have_no_place(made) -> None:
    log, table = made
    result = overlay(replace(log, kl=np.where(log.step == 0, -0.01, log.kl)), fit_frontier(table, n_boot=200), pool=1)
    assert np.isnan(result.share[0])
    assert not result.supported[0]
    assert result.log.kl[0] == -0.01
    assert np.isnan([result.wasted[0], result.wasted_low[0], result.wasted_high[0]]).all()


# -- other prompts, other rewards


def test_another_reward_is_refused_unless_it_differs_by_a_constant(made) -> None:
    log, table = made
    shifted = replace(log, reward=log.reward + 5.0)
    with pytest.raises(InputError, match="base='first'"):
        overlay(shifted, fit_frontier(table, n_boot=200))
    from_start = overlay(shifted, fit_frontier(table, n_boot=200), base="first")
    far = from_start.supported & (from_start.log.kl > 0.3)
    assert (from_start.share_low[far] < 0.85).all()
    assert (from_start.share_high[far] > 0.85).all()
    known = overlay(shifted, fit_frontier(table, n_boot=200), base=5.0)
    np.testing.assert_allclose(known.gain, overlay(log, fit_frontier(table, n_boot=200), base=0.0).gain, atol=1e-12)
    unchecked = overlay(shifted, fit_frontier(table, n_boot=200), check=False)
    assert unchecked.above.any()


def test_a_run_that_starts_far_from_the_base_cannot_be_checked(made) -> None:
    log, table = made
    late = replace(log, kl=log.kl + 0.5)
    assert any("cannot be checked" in note for note in overlay(late, fit_frontier(table, n_boot=200)).notes)
    with pytest.raises(ValueError, match="measure the base's reward"):
        overlay(late, fit_frontier(table, n_boot=200), base="first")


# -- the command


def tabled(tmp_path: Path, made) -> tuple[Path, Path]:
    log, table = made
    lines = pd.DataFrame({"step": log.step, "kl": log.logged_kl, "reward": log.reward, "tokens": log.length})
    lines.to_csv(tmp_path / "run.csv", index=False)
    prompts = np.repeat(np.arange(table.n_prompts), table.n_samples)
    pd.DataFrame({"prompt_id": prompts, "score": table.column("reward")}).to_csv(tmp_path / "base.csv", index=False)
    return tmp_path / "run.csv", tmp_path / "base.csv"


def test_lines_json_csv_and_picture(tmp_path: Path, made) -> None:
    log, base = tabled(tmp_path, made)
    options = (log, base, "--reward", "score", "--kl-unit", "token", "--run-length", "tokens")
    result = run(*options, "-o", tmp_path / "p.svg")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].endswith("12 points, 'kl' in nats per token, shown per sequence.")
    assert "best-of-N: N = 2 has" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("At step ")
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")
    refused = run(*options, "-o", tmp_path / "p.svg")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "p.svg exists; choose another output, or pass --force to replace it." in refused.stderr
    found = run(*options, "--json", "-o", tmp_path / "again.svg")
    assert (tmp_path / "p.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.svg", "base.csv", "p.svg", "run.csv"]
    document = json.loads(found.stdout, parse_constant=pytest.fail)
    rows = list(csv.DictReader(io.StringIO(run(*options, "--csv").stdout)))
    shares = [float(row["share"]) if row["share"] else None for row in rows[:12]]
    assert shares == [row["share"] for row in document["points"]]
    assert any(shares)
    rows = [row for row in rows if row["what"] == "checkpoint"]
    assert len(rows) == len(document["points"]) == 12
    assert document["headlines"] == [result.stdout.splitlines()[-1]]
    assert document["kl_unit"] == "token"


def test_a_real_log_of_trl_with_samples_of_its_base() -> None:
    result = run(GRPO, BASE, "--reward", "count", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["base_reward"] == pytest.approx(pd.read_csv(BASE)["count"].mean())
    assert document["points"][-1]["gain"] > 1.0
    assert not any(point["above"] for point in document["points"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((GRPO, BASE), "Say which column of TABLE holds the run's reward"),
        ((GRPO, BASE, "--reward", "score"), "no column 'score'"),
        ((DATA / "trl_grpo_beta_0.json", BASE, "--reward", "count"), "with beta = 0"),
        ((GRPO, BASE, "--reward", "count", "-o", "p.gif"), ".png, .svg or .pdf; got p.gif"),
        ((GRPO, BASE, "--reward", "count", "-o", "/nowhere/p.png"), "does not exist; make it first"),
        ((GRPO, BASE, "--reward", "count", "--run-base", "last"), "--run-base must be 'table', 'first' or a number"),
        ((GRPO, "--run-base", "first"), "needs TABLE"),
        ((GRPO, "--run-base", "nan"), "--run-base must be finite; got nan"),
        ((GRPO, BASE, "--reward", "count", "--run-base", "-inf"), "--run-base must be finite; got -inf"),
        ((BASE, BASE, "--reward", "count", "--kl-unit", "sequence"), "no column 'kl'"),
    ],
)
def test_bad_input_is_a_sentence(arguments, sentence: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


# -- without base samples


# A KL below 1e-100 nats is no measurement, and the slopes that this test takes would overflow.
@given(
    st.lists(
        st.tuples(st.just(0.0) | st.floats(1e-100, 50.0), st.floats(-5.0, 5.0)),
        min_size=1,
        max_size=30,
    )
)
def test_the_envelope_is_the_least_concave_curve_above(points: list[tuple[float, float]]) -> None:
    kl, reward = np.array(points).T
    found = achieved_envelope(kl, reward)
    assert (found.reward_at(kl) >= reward - 1e-9).all()
    assert set(zip(found.kl.tolist(), found.reward.tolist(), strict=True)) <= set(points)
    assert (np.diff(found.kl) > 0.0).all()
    slope = np.diff(found.reward) / np.diff(found.kl)
    assert (slope > 0.0).all()
    assert (np.diff(slope) <= 1e-9 * np.abs(slope[:-1])).all()
    needed = found.kl_needed(reward)
    assert (needed <= kl + 1e-7).all()


def test_mixtures_stay_below_the_frontier() -> None:
    """The envelope of members of the tilted family lies below the family's own curve."""
    family = FiniteLaw([0.0, 1.0, 3.0], [0.7, 0.2, 0.1])
    lam = np.array([0.3, 1.0, 2.5])
    found = achieved_envelope(family.kl(lam), family.mean_reward(lam), family.base_reward)
    kl = np.linspace(0.0, float(family.kl(2.5)), 50)
    assert (found.reward_at(kl) <= family.mean_reward(family.lam_at_kl(kl)) + 1e-12).all()


def test_bad_envelopes_are_a_sentence() -> None:
    with pytest.raises(ValueError, match="equally long"):
        achieved_envelope([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="not negative"):
        achieved_envelope([-1.0], [1.0])


def test_a_run_without_base_samples_shows_a_floor() -> None:
    result = run(GRPO)
    assert result.exit_code == 0, result.stderr
    assert "the limit is not known" in result.stdout
    document = json.loads(run(GRPO, "--json").stdout)
    assert document["table"] is None
    assert all(p["needed_at_most"] is None or p["needed_at_most"] <= p["kl"] + 1e-9 for p in document["points"])


def test_a_long_floor_is_cut_and_says_where_all_of_it_is(tmp_path: Path) -> None:
    kl = np.linspace(0.0, 4.0, 50)
    log = pd.DataFrame({"step": np.arange(50), "kl": kl, "reward": np.sqrt(kl)})
    log.to_csv(tmp_path / "log.csv", index=False)
    said = run(tmp_path / "log.csv", "--kl-unit", "sequence").stdout
    (floor,) = [line for line in said.splitlines() if line.startswith("(KL, 'reward') = ")]
    assert floor.count("(") == 12 + 2
    assert floor.endswith("(12 of 50; --csv writes all).")
    rows = list(csv.DictReader(io.StringIO(run(tmp_path / "log.csv", "--kl-unit", "sequence", "--csv").stdout)))
    assert sum(row["what"] == "envelope" for row in rows) == 50


def test_a_picture_does_not_replace_what_it_is_made_of(tmp_path: Path) -> None:
    for name, options in (("log.csv", []), ("base.csv", ["--force"])):
        path = tmp_path / name
        path.write_text("step,kl,reward\n0,0,0\n1,0.1,0.5\n")
        link = tmp_path / f"{name}.png"
        (link.symlink_to if options else link.hardlink_to)(path)
        table = [tmp_path / "base.csv", "--reward", "reward"] if name == "base.csv" else []
        found = run(tmp_path / "log.csv", *table, "--kl-unit", "sequence", "-o", link, *options)
        assert found.exit_code == 2
        assert f"{link} is {path}, which is read; choose another output." in found.stderr
        assert path.read_text().startswith("step,kl")


def test_settings_of_matplotlib_have_no_say(tmp_path: Path) -> None:
    run(GRPO, "-o", tmp_path / "plain.png")
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "red", "figure.dpi": 20}):
        assert run(GRPO, "-o", tmp_path / "own.png").exit_code == 0
        assert mpl.rcParams["text.usetex"]
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_drawing_holds_its_text_as_text_and_no_date(tmp_path: Path) -> None:
    for kind in ("svg", "pdf"):
        for name in ("a", "b"):
            assert run(GRPO, "-o", tmp_path / f"{name}.{kind}").exit_code == 0
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert re.search(r"<text[^>]*>KL to the base model", (tmp_path / "a.svg").read_text())
    paper = (tmp_path / "a.pdf").read_bytes()
    assert paper.startswith(b"%PDF-")
    assert b"/Type /Font" in paper
    assert b"/CreationDate" not in paper


def test_matplotlib_is_imported_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from a folder whose matplotlibrc it would read, and complain of in its own words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "nosuch")
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path))
    monkeypatch.delitem(sys.modules, "matplotlib")
    logger = logging.getLogger("matplotlib")
    monkeypatch.setattr(logger, "level", logger.level)
    with _picture._as_it_comes():
        assert not Path("matplotlibrc").exists()
        assert Path.cwd() != tmp_path
        assert Path(os.environ["MATPLOTLIBRC"]).is_file()
        assert (os.environ["MPLBACKEND"], logger.isEnabledFor(logging.WARNING)) == ("agg", False)
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_a_picture_is_told_without_spoiling_the_data(tmp_path: Path, form: list[str]) -> None:
    result = run(GRPO, "-o", tmp_path / "p.png", *form)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == f"Wrote {tmp_path / 'p.png'}\n"
    assert "Wrote" not in result.stdout
    if form == ["--json"]:
        json.loads(result.stdout)


def test_numbers_agree_with_their_nouns() -> None:
    assert re.search(r"\d+ checkpoints of 1 run, ", run(GRPO).stdout)


def test_checkpoints_past_their_best_waste_what_others_did_not_need(tmp_path: Path) -> None:
    """Runs past their best spend tens of nats on what others got for less."""
    frame = awkward.checkpoints()
    frame.to_csv(tmp_path / "runs.csv", index=False)
    options = (tmp_path / "runs.csv", "--run-reward", "gold_score", "--kl-unit", "sequence", "--run", "run")
    result = run(*options, "--only", "dpo_*", "-o", tmp_path / "p.png")
    assert result.exit_code == 0, result.stderr
    assert "40 checkpoints of 4 runs" in result.stdout
    points = json.loads(run(*options, "--only", "dpo_*", "--json").stdout)["points"]
    assert max(p["wasted_at_least"] or 0.0 for p in points) > 30.0


def bernoulli_run(
    share: float, shift: float = 0.0, first: float = 0.01, last: float = 3.0
) -> tuple[TrainingLog, RewardTable]:
    """A run on 0/1 rewards of rate 0.2 that has ``share`` of the limit, less ``shift``, exactly; and base samples."""
    law, rng = FiniteLaw([0.0, 1.0], [0.8, 0.2]), np.random.default_rng(3)
    kl = np.linspace(first, last, 24)
    most = np.array([law.gain_at_kl(k) if k < law.max_kl else 0.8 for k in kl])
    log = replace(
        example_run(4, 4, rng)[0], kl=kl, reward=0.2 + share * most - shift, kl_unit="sequence", length=None, notes=()
    )
    return log, RewardTable.from_arrays((rng.random((150, 16)) < 0.2).astype(float))


def test_known_bounds_give_a_limit_as_far_as_the_run_goes(tmp_path: Path) -> None:
    log, table = bernoulli_run(0.8)
    plain = overlay(log, fit_frontier(table, n_boot=100), pool=1)  # a mean of checkpoints has less of the limit
    bounded = overlay(log, fit_frontier(table, n_boot=100, bounded=(0.0, 1.0)), pool=1)
    assert not plain.supported.all()
    assert bounded.supported.all()
    assert ((bounded.share_low <= 0.8) & (bounded.share_high >= 0.8)).all()
    assert np.isfinite(bounded.wasted).all()
    assert "bounded" in "\n".join(overlay_lines(bounded))
    beyond = replace(log, reward=np.append(log.reward[:-1], 1.001))  # however little: no scatter does that
    impossible = overlay(beyond, fit_frontier(table, n_boot=100, bounded=(0.0, 1.0)), pool=1)
    assert impossible.above.tolist() == [False] * 23 + [True]
    assert "another reward scale" in headlines(impossible)[0]
    # The largest reward itself, 1.1, as trainers hold it.
    tenth = RewardTable.from_arrays(np.where(table.column("reward") > 0.0, np.float32(1.1), 0.0).reshape(150, 16))
    for rounded, no_more in ((float(np.float32(1.1)), False), (1.1015625, False), (1.103, True)):
        most = replace(log, reward=np.append(1.1 * log.reward[:-2], [rounded] * 2))
        found = overlay(most, fit_frontier(tenth, n_boot=100, bounded=(0.0, 1.1)), pool=1)
        assert found.above.any() == no_more, rounded
    wide = replace(bounded, share_low=0.0 * bounded.share_low + 0.7, share_high=0.0 * bounded.share_high + 2.0)
    assert "at least 70.0 % of what any method can gain there" in headlines(wide)[0]  # as the table has it
    pd.DataFrame({"step": log.step, "kl": log.kl, "reward": log.reward}).to_csv(tmp_path / "run.csv", index=False)
    rows = [f"{i},{r:g}" for i in range(150) for r in table.column("reward")[16 * i : 16 * i + 16]]
    (tmp_path / "base.csv").write_text("\n".join(["prompt_id,reward", *rows]) + "\n")
    options = (tmp_path / "run.csv", tmp_path / "base.csv", "--reward", "reward", "--kl-unit", "sequence")
    said = json.loads(run(*options, "--bounded", "0,1", "--json").stdout)
    assert all(point["supported"] for point in said["points"])
    assert "beyond 0 to 0.5" in run(*options, "--bounded", "0,0.5").stderr
    assert "--bounded needs TABLE" in run(options[0], "--kl-unit", "sequence", "--bounded", "0,1").stderr


def test_what_averaging_takes_from_a_share_is_named_and_right() -> None:
    log, table = bernoulli_run(1.0, last=0.6)
    fit = fit_frontier(table, n_boot=100)
    one, many = overlay(log, fit, pool=1), overlay(log, fit, pool=8)
    assert not any("The limit bends" in note for note in one.notes)
    (said,) = (note for note in many.notes if "The limit bends" in note)
    lost = float(re.search(r"at most ([\d.e-]+) %", said)[1]) / 100.0  # type: ignore[index]
    # The first eight checkpoints together: the mean of their limits beside the limit at their mean KL.
    law = FiniteLaw([0.0, 1.0], [0.8, 0.2])
    parts = np.array([law.gain_at_kl(k) for k in log.kl[:8]])
    assert lost == pytest.approx(1.0 - parts.mean() / law.gain_at_kl(float(log.kl[:8].mean())), rel=0.1)
    assert lost > 0.01


@pytest.mark.parametrize(("share", "words"), [(1.0, "at least"), (1.5, "more than any method can gain there")])
def test_no_sentence_has_a_run_beyond_the_whole(share: float, words: str) -> None:
    log, table = bernoulli_run(share, last=0.4)
    for seed in range(4):
        told = "\n".join(overlay_lines(overlay(log, fit_frontier(table, n_boot=100, rng=seed), check=False)))
        found = [float(x) for x in re.findall(r"(-?\d+\.\d) %", told.rpartition("\n")[2])]
        assert all(value <= 100.0 for value in found)
        assert share < 1.5 or ("over 100" in told and words in told)


def test_a_run_that_begins_below_the_base_is_pointed_out() -> None:
    log, table = bernoulli_run(0.8, shift=0.35, first=0.15, last=0.5)
    fit = fit_frontier(table, n_boot=100)
    assert any("is below that of the base samples" in note for note in overlay(log, fit).notes)
    assert not any("is below that of" in note for note in overlay(bernoulli_run(0.8, first=0.15)[0], fit).notes)


# -- where the run is: the last checkpoint first, floors beyond the support, impossible points with their evidence


def test_the_last_checkpoint_comes_first_and_then_the_last_within_the_support(made) -> None:
    log, table = made
    (said,) = headlines(overlay(replace(log, kl=4.0 * log.kl, reward=log.reward), fit_frontier(table, n_boot=200)))
    assert said.startswith("At step 225 the run has gained")
    assert "beyond the" in said
    assert "nats to which the base samples show the limit" in said
    assert re.search(r"the last within the samples' support, it had \d+\.\d % \(", said)


def test_best_of_n_is_a_floor_of_what_a_long_run_wastes() -> None:
    """A run at 30 nats with the gain of best-of-4: whoever draws four spends log 4 - 3/4, so the rest is wasted."""
    table = example_run(200, 32, np.random.default_rng(0))[1]
    gain = 1.0293753730039641  # mean of the largest of four standard normal draws
    kl = np.linspace(0.0, 30.0, 25)
    log = replace(
        example_run(4, 4, np.random.default_rng(1))[0].keep(np.arange(24) < 24),
        kl=kl[1:], reward=np.minimum(kl[1:], gain), kl_unit="sequence", length=None, notes=(),
    )  # fmt: skip
    result = overlay(log, fit_frontier(table, n_boot=200), pool=1)
    last = -1
    assert not result.supported[last]
    assert result.equal_n[last] in (4.0, 5.0)
    assert result.equal_n_kl[last] < np.log(5.0) - 0.8 + 0.01
    truth = 30.0 - gain**2 / 2.0  # the least KL for that gain of a normal reward
    assert result.wasted_low[last] <= truth <= result.wasted_high[last]
    assert result.wasted_low[last] > 27.5  # best-of-N up to 32 surely gains more, for at most 2.5 nats
    assert "(best-of-N with N = " in headlines(result)[0]


def test_floors_allow_for_the_noise_of_the_kl_itself() -> None:
    fit = fit_frontier(example_run(200, 32, np.random.default_rng(0))[1], n_boot=100)
    gain, rng, floors = 1.0293753730039641, np.random.default_rng(2), []  # of best-of-4
    log = example_run(4, 4, np.random.default_rng(1))[0]
    true = np.linspace(10.0, 30.0, 24)
    for _ in range(12):
        kl = true * np.exp(0.1 * rng.standard_normal(24))
        made_up = replace(log, kl=kl, reward=np.full(24, gain), kl_unit="sequence", length=None, notes=())
        floors.append(overlay(made_up, fit, pool=1, check=False).wasted_low[-1])
    truth = 30.0 - gain**2 / 2.0
    assert max(floors) <= truth
    assert np.mean(floors) > 0.6 * truth


@pytest.mark.parametrize(("times", "in_words"), [(1.0, True), (40.0, False)])
def test_the_limit_is_named_where_there_is_room(made, times: float, in_words: bool) -> None:
    log, table = made
    fig, ax = plotting.new()
    draw_overlay(overlay(replace(log, kl=times * log.kl), fit_frontier(table, n_boot=100), check=False), ax)
    legend = ax.get_legend()
    assert legend is not None
    assert ("the limit" in {text.get_text() for text in ax.texts}) == in_words
    assert ("the limit" in {text.get_text() for text in legend.get_texts()}) != in_words
    plt.close(fig)


def test_a_run_that_no_best_of_n_matches_has_no_floor() -> None:
    log, table = bernoulli_run(0.95)
    result = overlay(log, fit_frontier(RewardTable.from_arrays(table.column("reward").reshape(-1, 4)), n_boot=100))
    assert np.isnan(result.equal_n[-1])
    assert "No best-of-N up to the 4 samples of a prompt" in headlines(result)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda log: replace(log, kl=log.kl / 32.0), "A factor of the reward, .*need not show.* times what is logged"),
        (
            lambda log: replace(log, reward=np.where(log.kl < 0.1, 1.0, 10.0) * log.reward),
            "another scale.*, which agree within .*: no constant was added; a factor",
        ),
        (lambda log: replace(log, reward=10.0 * log.reward), "no response in the table scores above .* another scale"),
        (lambda log: replace(log, reward=log.reward + 3.0), "they are apart before training, so it is the reward"),
    ],
)
def test_impossible_points_say_what_speaks_for_which(made, change, words: str) -> None:
    log, table = made
    result = overlay(change(log), fit_frontier(table, n_boot=200), check=False)
    assert result.above.any()
    assert result.doubted
    (said,) = (note for note in result.notes if "lie above the limit's interval" in note)
    assert "another reward scale, base or unit of the KL" in said
    assert re.search(words, said), said
    assert "against the KL" not in said  # the base's mean is 0, which no factor moves


def means_of(kl: list[float], reward: list[float]) -> TrainingLog:
    """Return a run of which no more is known than mean KL and reward."""
    log = example_run(2, 3, np.random.default_rng(0), n_checkpoints=max(len(kl), 5))[0].keep(np.arange(len(kl)))
    seen = np.array(kl)
    return replace(
        log, step=np.arange(seen.size, dtype=float), kl=seen, logged_kl=seen, reward=np.array(reward), length=None,
        kl_unit="sequence", notes=(),
    )  # fmt: skip


FALLEN = [-5.0, -13.1, -12.6, -12.2, -8.0, -7.8, -8.3, -8.5]


@pytest.mark.parametrize(
    ("first", "impossible"),
    [
        pytest.param([11.0, 10.2], True, id="far above the limit while all but the base, though it then falls by 23"),
        pytest.param([0.2, 0.9], False, id="the same fall from the base: a run may lose whatever it likes"),
        pytest.param([11.0, 0.9], False, id="one checkpoint alone, as of a single easy prompt, may be chance"),
    ],
)
def test_a_run_that_falls_is_not_one_that_scatters(first: list[float], impossible: bool) -> None:
    rng = np.random.default_rng(8)
    table = RewardTable.from_arrays(rng.normal(0.0, 3.5, 20)[:, None] + rng.standard_normal((20, 32)))
    kl = [0.05, 0.25, 8.0, 14.0, 19.0, 22.0, 24.0, 23.0, 23.5, 22.0]
    found = overlay(means_of(kl, [*first, *FALLEN]), fit_frontier(table, n_boot=100), check=False, pool=1)
    assert found.above.tolist() == [impossible] * 2 + [False] * 8
    assert any("no policy can, so this is another reward scale" in note for note in found.notes) == impossible
    told = [note for note in found.notes if "than policies are that near" in note and "it is the reward or the" in note]
    assert len(told) == (first[0] > 1.0)  # what speaks for which is told where chance may do it, too
    assert ("above the limit, where no policy can be" in headlines(found)[0]) == impossible


def test_a_mean_far_beyond_every_response_is_impossible_however_much_the_run_scatters() -> None:
    table = RewardTable.from_arrays(np.random.default_rng(0).uniform(-1.0, 1.0, (30, 16)))
    found = overlay(means_of([0.05, 0.3, 8.0, 14.0, 19.0, 22.0, 24.0, 23.0], [11.0, -4.0, *FALLEN[:6]]),
                    fit_frontier(table, n_boot=100), check=False, pool=1)  # fmt: skip
    assert found.above.tolist() == [True] + [False] * 7


@pytest.mark.parametrize("steps", [10, 30])
def test_one_prompt_a_step_accuses_no_honest_run(steps: int) -> None:
    """Each step's reward is that of other responses to a single new prompt: it scatters as prompts do."""
    rng, kl = np.random.default_rng(3), 0.01 + np.linspace(0.0, 1.0, steps) ** 1.5
    for _ in range(4):
        table = RewardTable.from_arrays(4.0 * rng.standard_normal((20, 1)) + rng.standard_normal((20, 16)))
        reward = 4.0 * rng.standard_normal(steps) + np.sqrt(2.0 * kl) + 0.25 * rng.standard_normal(steps)
        found = overlay(means_of(kl.tolist(), reward.tolist()), fit_frontier(table, n_boot=100), check=False, pool=1)
        assert not found.above.any()


def test_a_constant_added_to_right_and_wrong_is_noticed_at_the_start_and_above_1() -> None:
    rng, kl = np.random.default_rng(5), np.linspace(0.0, 1.0, 12)
    table = RewardTable.from_arrays((rng.random((60, 32)) < rng.random((60, 1))).astype(float))
    reward = np.clip(0.5 + 0.5 * np.sqrt(kl), 0.0, 0.99) + 0.02 * rng.standard_normal(12) + 0.35
    found = overlay(means_of(kl.tolist(), reward.tolist()), fit_frontier(table, n_boot=100), pool=1)
    assert found.above[-1]
    assert found.above[0]


GRADES = FiniteLaw([1.0, 2.0, 3.0, 4.0, 5.0], [0.02, 0.02, 0.06, 0.25, 0.65])
PENALTY = FiniteLaw([-10.0, -0.3, 0.0, 0.3], [0.05, 0.3, 0.35, 0.3])  # rare, and soon unlearnt: then hardly any scatter


@pytest.mark.parametrize("law", [GRADES, PENALTY], ids=["grades that are mostly the best", "a rare penalty"])
def test_a_run_scatters_as_the_responses_of_each_checkpoint_do(law: FiniteLaw) -> None:
    """Optimum, 128 responses a checkpoint: none is accused, and a KL thirty times too small is found."""
    rng, lam = np.random.default_rng(7), np.linspace(0.0, 1.5, 12)
    found_out = 0
    for _ in range(4):
        table = RewardTable.from_arrays(rng.choice(law.reward, (60, 32), p=law.prob))
        weight = [law.prob * np.exp(price * law.reward) for price in lam]
        reward = [float(rng.choice(law.reward, 128, p=one / one.sum()).mean()) for one in weight]
        log, fit = means_of([float(law.kl(price)) for price in lam], reward), fit_frontier(table, n_boot=100)
        honest = overlay(log, fit, pool=1)
        assert not honest.above.any()
        found_out += bool(overlay(replace(log, kl=log.kl / 30.0), fit, check=False, pool=1).above.any())
    assert found_out >= 3


def test_a_quiet_run_beside_a_noisy_one_takes_nothing_from_its_intervals() -> None:
    rng, kl = np.random.default_rng(11), np.linspace(0.0, 0.8, 12)
    table, course = RewardTable.from_arrays(rng.standard_normal((60, 32))), 0.8 * np.sqrt(2.0 * kl)
    logs = [means_of(kl.tolist(), (course + noise * rng.standard_normal(12)).tolist()) for noise in (0.3, 0.005)]
    fit = fit_frontier(table, n_boot=100)
    alone, both = overlay(logs[0], fit), overlay(joined_logs(logs, ["noisy", "quiet"], "both"), fit)
    mine = both.log.run == "noisy"
    for name in ("share_low", "share_high", "wasted_low", "wasted_high", "gain_low"):
        np.testing.assert_array_equal(getattr(both, name)[mine], getattr(alone, name))
    assert both.own is None


def test_a_start_far_from_0_speaks_against_the_kl(made) -> None:
    log, table = made
    shifted = RewardTable.from_arrays(reward=table.column("reward").reshape(table.n_prompts, -1) + 3.0)
    log = replace(log, kl=log.kl / 32.0, reward=log.reward + 3.0)
    notes = overlay(log, fit_frontier(shifted, n_boot=200), check=False).notes
    assert "against the KL" in next(note for note in notes if "lie above" in note)


def test_a_run_that_lost_reward_wasted_all_of_its_kl(made) -> None:
    log, table = made
    falls = replace(log, kl=20.0 * log.kl, reward=log.reward - 2.0 * log.kl**2)
    (said,) = headlines(overlay(falls, fit_frontier(table, n_boot=200)))
    assert "has lost" in said
    assert "so all of that KL is wasted" in said


def prompted(names: list[str], level: np.ndarray, seed: int = 0) -> TrainingLog:
    log = example_prompts(level, 0.8, np.random.default_rng(seed), kl_max=0.8)
    held = log.per_prompt
    assert held is not None
    by = {f"p{i}": name for i, name in enumerate(names)}
    named = np.array([by[name] for name in held.prompt], dtype=object)
    return replace(log, per_prompt=replace(held, prompt=named))


def test_prompts_in_common_sharpen_and_others_are_noticed() -> None:
    rng = np.random.default_rng(2)
    level = rng.normal(0.0, 2.0, 60)
    names = [f"q{i}" for i in range(60)]
    rows = level[:, None] + rng.standard_normal((60, 32))
    table = RewardTable.from_arrays(rows, prompts=names)
    fit = fit_frontier(table, n_boot=200)
    paired = overlay(prompted(names, level), fit, pool=1)
    assert not paired.doubted
    plain = overlay(replace(prompted(names, level), per_prompt=None), fit, pool=1)
    widths = [float((one.gain_high - one.gain_low)[-1]) for one in (paired, plain)]
    assert widths[0] < 0.4 * widths[1]
    held = prompted(names, level).per_prompt
    assert held is not None
    last = held.checkpoint == held.checkpoint.max()
    base = {name: float(row.mean()) for name, row in zip(names, rows, strict=True)}
    apart = held.reward[last] - np.array([base[name] for name in held.prompt[last]])
    assert widths[0] == pytest.approx(2.0 * stdtrit(59, 0.975) * apart.std(ddof=1) / np.sqrt(60))  # no KL in it
    assert paired.share_low[-1] < 0.8 < paired.share_high[-1]
    other = overlay(prompted([f"x{i}" for i in range(60)], level), fit, pool=1)
    assert other.doubted
    assert any("None of the run's 60 prompts is among the table's 60" in note for note in other.notes)
    swapped = overlay(prompted(names[::-1], level), fit, pool=1)
    assert any("they are other prompts, or another reward" in note for note in swapped.notes)
    some = overlay(prompted(names, level), fit_frontier(RewardTable.from_arrays(
        np.vstack([rows, rows[:5]]), prompts=[*names, *"abcde"]), n_boot=100), pool=1)  # fmt: skip
    assert any("Of the table's 65 prompts the log has 60" in note for note in some.notes)
    assert not some.doubted


def test_logs_stand_side_by_side(tmp_path: Path, made) -> None:
    log, base = tabled(tmp_path, made)
    (tmp_path / "seed2").mkdir()
    other = tmp_path / "seed2" / "run.csv"
    other.write_bytes(log.read_bytes())
    options = ("--reward", "score", "--kl-unit", "token", "--run-length", "tokens")
    said = run(log, base, *options, "--also", other)
    assert said.exit_code == 0, said.stderr
    assert len([line for line in said.stdout.splitlines() if line.startswith("At step ")]) == 2
    assert "'seed2'" in said.stdout
    shown = json.loads(run(log, "--kl-unit", "token", "--run-length", "tokens", "--also", other, "--json").stdout)
    assert len({point["run"] for point in shown["points"]}) == 2


def test_training_and_evaluation_of_one_log_stand_side_by_side(tmp_path: Path) -> None:
    rows = [{"step": 10 * i, "kl": 0.01 * i, "reward": 0.1 * i, "reward_std": 0.1, "completions/mean_length": 9.0}
            for i in range(5)]  # fmt: skip
    late = [{"step": row["step"], **{f"eval_{k}": v for k, v in row.items() if k != "step"}} for row in rows[::2]]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": [*rows, *late]}))
    shown = json.loads(run(tmp_path, "--split", "--json").stdout)
    assert [point["run"] for point in shown["points"]] == ["train"] * 5 + ["held out"] * 3
    assert "leave out --evaluation" in run(tmp_path, "--split", "--evaluation").stderr


@pytest.mark.parametrize(
    ("shift", "words"),
    [(0.0, "which agree within 0.3: another base"), (1.0, "apart before training, so it is the reward")],
)
def test_points_above_the_interval_by_chance_or_not_tell_what_speaks_for_which(made, shift: float, words: str) -> None:
    """Of 152 honest runs of 12 points none had more than three."""
    log, table = made
    log = log.keep(np.arange(12))
    gain = np.linspace(0.0, 1.1, 12) + shift
    log = replace(log, kl=np.linspace(0.0, 1.1, 12), reward=table.column("reward").mean() + gain)
    fit = fit_frontier(table, n_boot=100)
    prompts = StepPrompts.of(log, fit, gain, np.ones(12), 1, known=True)
    start = RunStart(0.0, 0.0, float(log.reward[0]), float(log.reward[0]) - shift, 0.1, 0.0, True, False, prompts, 0)
    points = PointsOfRun(log, fit, gain, gain - 0.05, np.linspace(0.0, 0.2, 12), np.full(12, 2.0), start, prompts)
    (few,), (many,) = (points.above_by_chance(np.arange(12) >= first) for first in (9, 5))
    assert few.startswith("3 points lie above the limit's interval, the first at step"), few
    assert "but so few checkpoints or such scatter may do that by chance" in few
    assert many.startswith("7 points lie above the limit's interval, the first at step"), many
    assert "which a run seldom does by chance" in many
    for said in (few, many):
        assert "another reward scale, base or unit of the KL than the table's, its prompts are others, or" in said
        assert words in said, said


def test_gains_of_a_run_whose_trainer_writes_no_kl_are_no_noise_at_the_base(made) -> None:
    log, table = made
    gain = np.linspace(0.0, 0.9, log.kl.size)
    log = replace(log, kl=0.0 * log.kl, logged_kl=0.0 * log.kl, reward=table.column("reward").mean() + gain)
    found = overlay(log, fit_frontier(table, n_boot=100), pool=1)
    assert found.above[-1]
    assert found.needed[-1] > 0.05 > 0.0 > found.wasted_high[-1]
    assert "for 0 to 0.016 nats per sequence, more than any method can gain there" in headlines(found)[0]


def of_kl(log: TrainingLog, kl: npt.NDArray[np.float64]) -> TrainingLog:
    return replace(log, kl=kl, logged_kl=kl, length=None)


def test_zeros_alone_may_be_rounded(made) -> None:
    """A log that prints one decimal has 0.0 at each of its steps for a KL below 0.05."""
    log, table = made
    fit = fit_frontier(table, n_boot=100)
    most = 0.8 * float(fit.at(0.05).gain[0])
    zeros = np.zeros(log.kl.size)
    reward = table.column("reward").mean() + np.linspace(0.0, most, log.kl.size)
    found = overlay(replace(log, kl=zeros, logged_kl=zeros, length=None, reward=reward), fit, pool=1)
    assert not found.above.any()
    assert not found.doubted
    assert 0.0 < found.share_low[-1] < 1.0 == found.share_high[-1]
    assert "0 to 0.05 nats per sequence" in headlines(found)[0]
    fallen = overlay(replace(of_kl(log, zeros), reward=reward[0] - (reward - reward[0])), fit, pool=1)
    assert "has lost" in headlines(fallen)[0]
    assert "for 0 to 0.05 nats per sequence: the base itself has more" in headlines(fallen)[0]
    too_much = overlay(replace(of_kl(log, zeros), reward=reward[0] + 3.0 * (reward - reward[0])), fit, pool=1)
    said = next(note for note in too_much.notes if "lie above" in note)
    assert re.search(r"needs 0\.\d+ nats or more, where 0 is logged, which is 0\.05 nats at most", said)
    assert "times what is logged" not in said
    exact = replace(
        of_kl(log, zeros + np.where(np.arange(zeros.size) == 1, 0.123456789, 0.0)), reward=fallen.log.reward
    )
    told = headlines(overlay(exact, fit, pool=1))[0]  # a point at 0, by a log of many decimals
    assert ("told from noise" in told, "is chance, or its KL is not what is logged" in told) == (False, True)
    near = overlay(replace(of_kl(log, zeros), reward=np.full(zeros.size, reward[0])), fit, pool=1)
    assert re.search("at 0 nats as its KL is logged, and may be the base: .* told from noise", headlines(near)[0])


@pytest.mark.parametrize(
    ("name", "zero", "most", "known"),
    [
        ("log.csv", "0.0000", 5e-5, True),
        ("log.csv", "0.00", 5e-3, True),
        ("log.csv", "0.0", 0.05, False),
        ("log.csv", "0", 0.05, False),
        ("log.tsv", "0.000", 5e-4, True),
        ("log.jsonl", "0.0000", 5e-5, True),
        ("log.jsonl", "0.0", 0.05, False),
    ],
)
def test_a_log_of_zeros_is_known_by_the_decimals_of_its_text(
    tmp_path: Path, name: str, zero: str, most: float, known: bool
) -> None:
    steps = range(1, 7)
    if name.endswith("jsonl"):
        lines = [f'{{"step": {step}, "objective/kl": {zero}, "objective/scores": 0.{step}}}' for step in steps]
    else:
        tab = "," if name.endswith("csv") else "\t"
        lines = [
            tab.join(row) for row in (("step", "kl", "reward"), *((str(step), zero, f"0.{step}") for step in steps))
        ]
    (tmp_path / name).write_text("\n".join([*lines, ""]), encoding="utf-8")
    log = read_training_log(tmp_path / name, kl_unit="sequence")
    np.testing.assert_allclose(half_digit(log), most)
    assert any("as the log prints them" in note for note in log.notes) == known
    assert any("which is assumed" in note for note in log.notes) != known
    assert any(f"each may be {most:g} nats per sequence at most" in note for note in log.notes)


LATER = np.linspace(0.1, 0.4, 15)  # nats


@pytest.mark.parametrize(
    ("scale", "level", "wrong"),
    [
        pytest.param(1.0, 0.0, False, id="as the table has them"),
        pytest.param(100.0, 0.0, True, id="times a hundred, at the start below every sample"),
        pytest.param(-5.0, 0.0, True, id="another sign, so that all checkpoints scatter as far as they lie apart"),
        pytest.param(1.0, -6.0, True, id="less a constant"),
    ],
)
def test_rewards_below_those_of_the_table_are_told_whatever_scatters(scale: float, level: float, wrong: bool) -> None:
    """The law of the least samples hardly scatters, so that a run taken for it would have scattered by any amount."""
    rng, size = np.random.default_rng(4), 128
    kl = np.append(np.linspace(0.0, 0.08, 9), LATER)
    sign = 1.0 if scale < 0.0 else -1.0  # penalties, or what the run takes for these
    table = RewardTable.from_arrays(sign * rng.gamma(0.7, 1.0, (60, 32)))
    own = sign * rng.gamma(0.7, np.exp(sign * np.sqrt(kl))[:, None], (kl.size, size))
    log = means_of(kl.tolist(), (scale * own.mean(axis=1) + level).tolist())
    try:
        told = overlay(log, fit_frontier(table, n_boot=100)).doubted
    except InputError as error:
        told = "So it is another reward scale or base than the table's" in str(error)
    assert told == wrong


# -- steps of few prompts


@pytest.mark.parametrize("checkpoints", [3, 12])
def test_a_step_of_one_prompt_accuses_no_run(checkpoints: int) -> None:
    """Prompts of two kinds, a new one each step: 16 independent responses would scatter a quarter as far."""
    rng = np.random.default_rng(3)
    table = RewardTable.from_arrays(np.repeat([-1.0, 1.0], 50)[:, None] + 0.1 * rng.standard_normal((100, 8)))
    fit = fit_frontier(table, n_boot=100)
    for _ in range(8):
        reward = rng.choice([-1.0, 1.0], checkpoints) + 0.03 * rng.standard_normal(checkpoints)
        log = means_of(np.linspace(0.0, 0.02, checkpoints).tolist(), reward.tolist())
        assert not overlay(log, fit, pool=1).above.any()


def test_the_least_of_noisy_kls_is_no_base() -> None:
    log = means_of([0.3, 0.4, 0.0, 0.4, 0.45, 0.5], [5.0, 5.1, 5.2, 5.1, 5.3, 5.2])
    table = RewardTable.from_arrays(np.random.default_rng(0).standard_normal((40, 16)))
    found = overlay(log, fit_frontier(table, n_boot=100), pool=1)
    assert any("cannot be checked" in note for note in found.notes)
    assert any("No checkpoint is near enough to the base" in note for note in found.notes)


@pytest.mark.parametrize("mixed", [False, True], ids=["the same prompts", "names dealt anew"])
def test_rewards_of_other_prompts_are_seen_in_their_order_and_skewed_ones_accused_of_nothing(mixed: bool) -> None:
    rng = np.random.default_rng(1)
    means = rng.gamma(1.0, 2.0, 60)
    table = RewardTable.from_arrays(
        means[:, None] * rng.gamma(0.6, 1.0, (60, 16)), prompts=[f"p{i}" for i in range(60)]
    )
    names = np.array([f"p{i}" for i in (rng.permutation(60) if mixed else range(60))], dtype=object)
    own = np.tile((means[:, None] * rng.gamma(0.6, 1.0, (60, 4))).mean(axis=1), 5)
    held = PerPrompt(np.repeat(np.arange(5), 60), np.tile(names, 5), np.zeros(300), own, np.full(300, 4.0))
    log = replace(means_of([0.0] * 5, [float(own.mean())] * 5), per_prompt=held)
    _, said, doubted = pair_prompts(log, table, "reward")
    assert doubted == mixed
    assert ["prompts have other rewards" in note for note in said] == [True] * mixed


@pytest.mark.parametrize("other", [False, True])
def test_easy_prompts_whose_few_samples_are_all_right_are_no_others(other: bool) -> None:
    """Quartiles of such means are all alike in every part of the table, and need not be in a run."""
    doubts = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rate = rng.beta(6.0, 1.0, 16)
        of_run = rng.beta(1.0, 1.0, 16) if other else rate
        table = RewardTable.from_arrays(
            (rng.random((16, 8)) < rate[:, None]).astype(float), prompts=[*map(str, range(16))]
        )
        log = example_prompts(np.zeros(16), 0.0, rng)
        held = log.per_prompt
        assert held is not None
        names = np.array([str(i % 16) for i in range(held.prompt.size)], dtype=object)
        mean = rng.binomial(8, of_run[np.arange(names.size) % 16]) / 8.0
        log = replace(log, kl=0.0 * log.kl, per_prompt=replace(held, prompt=names, reward=mean, kl=0.0 * held.kl))
        doubts.append(pair_prompts(log, table, "reward")[2])
    assert np.mean(doubts) >= 0.7 if other else not any(doubts)
