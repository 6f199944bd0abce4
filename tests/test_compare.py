"""Runs at equal KL: made-up runs whose difference is known, with seeds, with prompts, and what cannot be compared."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from alignlib import lines
from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.estimation import fit_frontier
from alignlib.tables import RewardTable
from alignlib.training import compare_runs, smoothing
from alignlib.training.example_run import example_prompts, example_run
from alignlib.training.logs.per_prompt import PerPrompt
from alignlib.training.logs.training_log import TrainingLog, read_training_log
from alignlib.training.smoothing import local_weights

pytestmark = pytest.mark.xdist_group("compare")


def made(share: float, seed: int, **options: float) -> TrainingLog:
    return example_run(20, 16, np.random.default_rng(seed), share=share, **options)[0]


@given(st.lists(st.floats(0.0, 9.0), min_size=3, max_size=30, unique=True), st.floats(0.0, 1.0))
def test_a_line_in_the_root_of_the_kl_is_met_everywhere(kl: list[float], part: float) -> None:
    values = np.array(kl)
    root = np.sqrt(values)
    centre = root.min() + part * (root.max() - root.min())
    if np.diff(np.sort(root)).min() < 1e-3:
        return
    weight, slope = local_weights(values, float(centre**2))
    assert weight.sum() == pytest.approx(1.0, abs=1e-6)
    assert slope.sum() == pytest.approx(0.0, abs=1e-3 / max(centre, 1e-3))
    assert weight @ (2.0 + 3.0 * root) == pytest.approx(2.0 + 3.0 * centre, abs=1e-5)


@pytest.mark.parametrize(("kl", "at"), [([0.0] * 9 + [1.0, 2.0], 0.0), ([0.0] + [1.0] * 11 + [4.0, 9.0], 1.0)])
def test_most_checkpoints_may_be_at_one_kl(kl: list[float], at: float) -> None:
    """The search for a width that holds other KLs too began at 0 and never left it."""
    weight, _ = local_weights(np.array(kl), at)
    assert weight.sum() == pytest.approx(1.0, abs=1e-6)
    assert weight[np.array(kl) == at].sum() == pytest.approx(1.0, abs=1e-3)


def test_the_difference_at_equal_kl_is_that_of_the_shares() -> None:
    table = example_run(150, 32, np.random.default_rng(9))[1]
    found = compare_runs({"low": made(0.5, 1), "high": made(0.9, 2)}, fit_frontier(table, n_boot=200))
    truth = 0.4 * np.sqrt(2.0 * found.kl)
    assert (found.difference[0] == 0.0).all()
    np.testing.assert_allclose(found.difference[1], truth, atol=0.08)
    assert (found.difference_low[1] > 0.0).all()
    assert found.share is not None
    assert found.supported is not None
    assert found.supported[:, 0].all()
    np.testing.assert_allclose(found.share[:, 0], [0.5, 0.9], atol=0.12)
    assert found.told_by == "checkpoints"
    assert "'high' has 0." in lines(found)[-1]


def test_intervals_cover_and_equal_runs_are_seldom_told_apart() -> None:
    held, apart = [], []
    for seed in range(30):
        same = compare_runs({"a": made(0.8, 2 * seed), "b": made(0.8, 2 * seed + 1)}, at=[0.3, 0.8])
        held += ((same.difference_low[1] <= 0.0) & (same.difference_high[1] >= 0.0)).tolist()
        other = compare_runs({"a": made(0.6, 2 * seed), "b": made(0.9, 2 * seed + 1)}, at=[0.8])
        apart.append(bool(other.difference_low[1, 0] > 0.0))
    assert np.mean(held) >= 0.865  # 95 % of 60 draws, less three standard errors
    assert np.mean(apart) > 0.9


def test_prompts_in_common_are_paired() -> None:
    """What prompts have in common cancels, so that runs on the same prompts differ by much less than by chance."""
    rng = np.random.default_rng(3)
    level = rng.normal(0.0, 3.0, 40)
    a, b = example_prompts(level, 0.6, rng), example_prompts(level, 0.9, rng)
    paired = compare_runs({"a": a, "b": b}, at=[0.5])
    other = example_prompts(rng.normal(0.0, 3.0, 40), 0.9, rng)
    held = other.per_prompt
    assert held is not None
    names = np.array([f"other {name}" for name in held.prompt], dtype=object)
    unpaired = compare_runs({"a": a, "b": replace(other, per_prompt=replace(held, prompt=names))}, at=[0.5])
    widths = [float((found.difference_high - found.difference_low)[1, 0]) for found in (paired, unpaired)]
    assert paired.told_by == unpaired.told_by == "prompts"
    assert ["the same ones paired" in " ".join(found.notes) for found in (paired, unpaired)] == [True, False]
    assert "no two methods share one (how hard the prompts are and the method" in " ".join(unpaired.notes)
    assert widths[0] < 0.2 * widths[1]
    assert paired.difference_low[1, 0] < 0.3 < paired.difference_high[1, 0]  # (0.9 - 0.6) √(2 · 0.5)


def test_gains_are_over_the_base_on_the_runs_own_prompts() -> None:
    """Both runs are on the harder half of the table's prompts, where the base has one less than on the others."""
    rng = np.random.default_rng(21)
    level = np.concatenate([np.full(30, -0.5), np.full(30, 0.5)]) + 0.2 * rng.standard_normal(60)
    table = RewardTable.from_arrays(
        reward=level[:, None] + rng.standard_normal((60, 64)), prompts=[f"p{i}" for i in range(60)]
    )
    logs = {"a": example_prompts(level[:30], 0.5, rng), "b": example_prompts(level[:30], 0.9, rng)}
    found = compare_runs(logs, fit_frontier(table, n_boot=100), at=[0.3, 0.8])
    assert found.gain is not None
    assert found.share_low is not None
    assert found.share_high is not None
    truth = np.outer([0.5, 0.9], np.sqrt(2.0 * found.kl))
    np.testing.assert_allclose(found.gain, truth, atol=0.15)
    np.testing.assert_allclose(found.difference[1], found.gain[1] - found.gain[0], atol=0.02)
    assert found.share_low[0, 1] <= 0.5 <= found.share_high[0, 1]
    first = compare_runs(logs, fit_frontier(table, n_boot=100), at=[0.3, 0.8], base="first")
    assert first.gain is not None
    np.testing.assert_allclose(first.gain, truth, atol=0.3)


def test_other_prompts_are_taken_out_by_the_base_on_them() -> None:
    """One run is on easy prompts, one on hard ones, both in the table: what the base has on each is no difference."""
    rng, held = np.random.default_rng(5), []
    for _ in range(6):
        level = np.concatenate([rng.normal(1.0, 0.7, 30), rng.normal(-1.0, 0.7, 30)])
        table = RewardTable.from_arrays(
            reward=level[:, None] + rng.standard_normal((60, 16)), prompts=[f"p{i}" for i in range(60)]
        )
        easy, hard = example_prompts(level[:30], 0.5, rng), example_prompts(level[30:], 0.9, rng)
        own = hard.per_prompt
        names = np.array([f"p{int(name[1:]) + 30}" for name in own.prompt.tolist()], dtype=object)
        logs = {"a": easy, "b": replace(hard, per_prompt=replace(own, prompt=names))}
        raw = compare_runs(logs, at=[0.5])
        found = compare_runs(logs, fit_frontier(table, n_boot=100), at=[0.5])
        truth = 0.4
        assert raw.difference[1, 0] < -1.0  # what it takes to tell prompts from methods
        held.append(found.difference_low[1, 0] <= truth <= found.difference_high[1, 0])
        text = " ".join(found.notes)
        assert "gains over the base's mean reward on each run's own prompts" in text
        assert "the base's mean on each is taken out, but not how much there is to gain" in text
        assert "would take prompts out of it" not in text
        assert "cannot be told apart" not in text
    assert sum(held) >= 5  # of 6 at 95 %


@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_means_of_runs_that_differ_at_the_base_are_pointed_out(apart: float) -> None:
    a, b = made(0.6, 1), made(0.9, 2)
    notes = compare_runs({"a": a, "b": replace(b, reward=b.reward + apart)}).notes
    said = [note for note in notes if "further apart than chance. Unless one gained so much within so few nats" in note]
    assert bool(said) == (apart > 0.0)
    assert not said or "is part of every difference" in said[0]


def test_intervals_over_prompts_cover() -> None:
    rng, held = np.random.default_rng(4), []
    for _ in range(80):
        level = rng.normal(0.0, 1.0, 30)
        runs = {name: example_prompts(level, share, rng) for name, share in (("a", 0.6), ("b", 0.8))}
        found = compare_runs(runs, at=[0.5])
        held.append(found.difference_low[1, 0] <= 0.2 <= found.difference_high[1, 0])
    assert np.mean(held) >= 0.875  # 95 % of 80 draws, less three standard errors


@pytest.mark.parametrize("per_step", [1, 2, 4])
def test_intervals_cover_where_every_step_has_new_prompts(per_step: int) -> None:
    """Of one prompt a step nothing is left once its mean is taken off: the scatter of checkpoints tells the error."""
    rng, held, told = np.random.default_rng(7), [], set()
    steps = 16
    place = np.repeat(np.arange(steps), per_step)

    def drawn(name: str, share: float) -> TrainingLog:
        log = example_prompts(np.zeros(per_step), share, rng, n_checkpoints=steps, spread=0.0)
        there = log.per_prompt
        assert there is not None
        names = np.array([f"{name} {i}" for i in range(place.size)], dtype=object)
        reward = there.reward + rng.standard_normal(place.size)
        mean = np.bincount(place, reward) / per_step
        return replace(log, reward=mean, per_prompt=replace(there, prompt=names, reward=reward))

    for _ in range(40):
        found = compare_runs({"a": drawn("a", 0.6), "b": drawn("b", 0.8)}, at=[0.5])
        told.add(found.told_by)
        held.append(found.difference_low[1, 0] <= 0.2 <= found.difference_high[1, 0])
    assert np.mean(held) >= 0.845  # 95 % of 40 draws, less three standard errors
    assert told == {"checkpoints" if per_step == 1 else "prompts"}
    assert ("one prompt alone" in " ".join(found.notes)) == (per_step == 1)


@pytest.mark.parametrize("noise", [0.005, 0.02])
def test_intervals_cover_where_a_run_bends(noise: float) -> None:
    """Reward a √KL - b KL, as where a proxy is optimised too far: a line misses it by more than the noise."""
    rng, held = np.random.default_rng(8), []
    straight = made(0.5, 1)
    kl = 6.0 * np.linspace(0.0, 1.0, 24) ** 1.5

    def drawn(bend: float) -> TrainingLog:
        reward = np.sqrt(kl) - bend * kl + noise * rng.standard_normal(kl.size)
        run = np.full(kl.size, "made-up run", dtype=object)
        return replace(straight, step=np.arange(24.0), logged_kl=kl, kl=kl, reward=reward, length=None, run=run)

    for _ in range(40):
        found = compare_runs({"a": drawn(0.0), "b": drawn(0.4)})
        truth = -0.4 * found.kl
        held.append((found.difference_low[1] <= truth) & (truth <= found.difference_high[1]))
    assert np.mean(held) >= 0.88  # 95 %, less what 40 draws with four budgets each leave open


@pytest.mark.parametrize("steps", [12, 24])
def test_intervals_cover_on_runs_of_many_shapes(steps: int) -> None:
    """Bent, saturating, falling after a peak, straight in the KL: none is a line in √KL."""
    rng, base = np.random.default_rng(9), made(0.5, 1)
    kl = 4.0 * np.linspace(0.0, 1.0, steps) ** 1.5

    def drawn(reward: np.ndarray) -> TrainingLog:
        run = np.full(steps, "made-up run", dtype=object)
        seen = reward + 0.02 * rng.standard_normal(steps)
        return replace(base, step=np.arange(steps) + 0.0, logged_kl=kl, kl=kl, reward=seen, length=None, run=run)

    held = []
    for shape in (
        np.log1p,
        lambda k: 1.0 - np.exp(-3.0 * k),
        lambda k: np.sqrt(k) * np.exp(-k / 2.0),
        lambda k: 0.3 * k,
    ):
        for _ in range(8):
            found = compare_runs({"a": drawn(0.4 * np.sqrt(kl)), "b": drawn(shape(kl))})
            truth = shape(found.kl) - 0.4 * np.sqrt(found.kl)
            held.append((found.difference_low[1] <= truth) & (truth <= found.difference_high[1]))
    assert np.mean(held) >= 0.9  # 95 to 100 % of 80 draws of each of seven shapes, less what 32 leave open


@pytest.mark.parametrize(("noise", "said"), [(0.02, False), (0.15, True)])
def test_a_kl_that_scatters_far_is_pointed_out(noise: float, said: bool) -> None:
    rng, logs = np.random.default_rng(8), {}
    for name in "ab":
        kl = np.linspace(0.0, 3.0, 40) * np.exp(noise * rng.standard_normal(40))
        run = made(0.8, 1)
        logs[name] = replace(
            run.keep(np.zeros(40, dtype=np.int64)), step=np.arange(40.0), kl=kl, logged_kl=kl,
            reward=np.sqrt(kl) + 0.02 * rng.standard_normal(40), length=None,
        )  # fmt: skip
    notes = [note for note in compare_runs(logs).notes if "scatters by" in note]
    assert bool(notes) == said
    assert not said or any(f"scatters by {part} %" in notes[0] for part in range(11, 20))


@pytest.mark.parametrize(("moved", "memory"), [(False, 0.0), (True, 0.0), (False, 0.8)])
def test_intervals_cover_at_the_last_kl_though_the_kl_is_noisy(moved: bool, memory: float) -> None:
    """A KL measured up to 15 %, or one that moved so, of a run that turns down: as logged, 8 of 24 runs held.

    Where the noise goes on from step to step, and that was not minded, 16 of 24 did.
    """
    rng, base, held = np.random.default_rng(10), made(0.5, 1), []
    run = np.full(24, "made-up run", dtype=object)

    def falls(kl: np.ndarray) -> np.ndarray:
        return 0.5 * np.sqrt(kl) - 0.04 * kl**3

    def drawn(shape) -> TrainingLog:
        course = 3.0 * np.linspace(0.0, 1.0, 24) ** 1.5
        noise = rng.standard_normal(24)
        for i in range(1, 24):
            noise[i] = memory * noise[i - 1] + np.sqrt(1.0 - memory**2) * noise[i]
        kl = course * np.exp(0.15 * noise)
        reward = shape(kl if moved else course) + 0.01 * rng.standard_normal(24)
        return replace(base, step=np.arange(24.0), logged_kl=kl, kl=kl, reward=reward, length=None, run=run)

    for _ in range(24):
        found = compare_runs({"a": drawn(lambda kl: 0.4 * np.sqrt(kl)), "b": drawn(falls)})
        truth = falls(found.kl) - 0.4 * np.sqrt(found.kl)
        held.append((found.difference_low[1] <= truth) & (truth <= found.difference_high[1]))
    assert np.mean(held, axis=0).min() >= 0.85  # 90 % and more of 40, less what 24 leave open


def rollouts(share: float, steps: int, names: list[str], rng: np.random.Generator) -> TrainingLog:
    """Return means by prompt of 8 normal rewards of scale 1 each, with their log-ratios for the KL, up to .45 nats.

    The policy is tilted by ``share`` of its KL; the rest of its log-ratio has nothing to do with the reward.
    """
    kl = 0.45 * np.linspace(0.0, 1.0, steps) ** 1.5
    tilt, waste = (np.sqrt(2.0 * part * kl)[:, None, None] for part in (share, 1.0 - share))
    reward, other = (rng.standard_normal((steps, len(names), 8)) + one for one in (tilt, waste))
    ratio = (tilt * reward - tilt**2 / 2.0 + waste * other - waste**2 / 2.0).mean(axis=2)
    held = PerPrompt(
        np.repeat(np.arange(steps), len(names)), np.tile(np.array(names, dtype=object), steps), ratio.ravel(),
        reward.mean(axis=2).ravel(), np.full(steps * len(names), 8.0),
    )  # fmt: skip
    mean = ratio.mean(axis=1)
    return replace(
        made(0.5, 1).keep(np.zeros(steps, dtype=np.int64)), step=np.arange(steps) + 0.0, kl=mean, logged_kl=mean,
        reward=reward.mean(axis=(1, 2)), length=None, per_prompt=held,
    )  # fmt: skip


def test_kls_that_a_dozen_noisy_checkpoints_pass_are_known_to_be_passed() -> None:
    """Six of ten such pairs were refused, or told to reach a tenth of what they do, for noise that might go on."""
    rng, names, held, last = np.random.default_rng(12), [f"p{i}" for i in range(40)], [], []
    for steps in (8, 12, 12, 20):
        a, b = rollouts(0.9, steps, names, rng), rollouts(0.6, steps, names, rng)
        for logs in ({"a": a, "b": b}, {name: replace(log, per_prompt=None) for name, log in (("a", a), ("b", b))}):
            found = compare_runs(logs, at=[0.1, 0.2])
            truth = (np.sqrt(0.6) - np.sqrt(0.9)) * np.sqrt(2.0 * found.kl)
            assert found.kl.tolist() == [0.1, 0.2]
            held += ((found.difference_low[1] <= truth) & (truth <= found.difference_high[1])).tolist()
            last.append(float(compare_runs(logs).kl[-1]))
    assert np.mean(held) >= 0.8  # 95 %, less what 16 with two budgets each leave open
    assert min(last) > 0.25  # of .45, which 320 responses measure up to .05
    assert np.mean(last) < 0.45


def test_what_unknown_memory_of_the_noise_costs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number told is that by which intervals shrink where noise is taken for independent."""
    kl, rng = np.linspace(0.1, 1.0, 9), np.random.default_rng(0)
    log = replace(example_run(2, 3, rng, n_checkpoints=9)[0], kl=kl, logged_kl=kl, kl_unit="sequence", length=None)
    noise = 0.05 * rng.standard_normal(9)
    runs = {name: replace(log, reward=rises * np.sqrt(kl) + noise) for name, rises in (("a", 2.0), ("b", 1.0))}
    found = compare_runs(runs, at=[float(np.median(kl))])
    (said,) = (note for note in found.notes if "times as wide" in note)
    times = float(said.split("up to ")[1].split(" times")[0])
    monkeypatch.setattr(smoothing, "noise_memory", lambda hat, rest, told: (np.eye(rest.size), 1.0))
    independent = compare_runs(runs, at=[float(np.median(kl))])
    width, alone = (one.difference_high[1, 0] - one.difference_low[1, 0] for one in (found, independent))
    assert times == pytest.approx(width / alone, rel=0.1)
    assert times > 2.0
    assert not any("times as wide" in note for note in independent.notes)


def test_seeds_of_a_method_widen_its_interval() -> None:
    runs = {"a": [made(share, 10 + i) for i, share in enumerate((0.6, 0.7, 0.8))], "b": [made(0.9, 20), made(0.95, 21)]}
    found = compare_runs(runs, at=[0.8])
    one = compare_runs({"a": made(0.7, 11), "b": made(0.9, 20)}, at=[0.8])
    assert (found.told_by, found.seeds) == ("seeds", (3, 2))
    widths = [float((x.difference_high - x.difference_low)[1, 0]) for x in (found, one)]
    assert widths[0] > widths[1]
    np.testing.assert_allclose(found.difference[1, 0], (0.925 - 0.7) * np.sqrt(1.6), atol=0.06)


def test_what_cannot_be_compared_is_a_sentence() -> None:
    near, far = made(0.8, 1, kl_max=0.5), made(0.8, 2, kl_max=9.0)
    far = far.keep(far.kl > 1.0)
    with pytest.raises(InputError, match="have no KL in common: 'far' begins at"):
        compare_runs({"near": near, "far": far})
    with pytest.raises(InputError, match="two runs at least; got 1"):
        compare_runs({"near": near})
    with pytest.raises(InputError, match="two seeds of 'near' are the same log"):
        compare_runs({"near": [near, near], "far": far})
    with pytest.raises(InputError, match="at must name KLs that all runs reach"):
        compare_runs({"near": near, "again": made(0.8, 3)}, at=[5.0])
    with pytest.raises(InputError, match="checkpoints of 1 different KL; three at least"):
        compare_runs({"near": near, "short": near.keep(near.step < 5.0)})
    with pytest.raises(InputError, match="2 different KLs; three at least"):
        compare_runs({"near": near, "short": near.keep(near.step < 15.0)})
    found = compare_runs({"near": near, "again": made(0.8, 3)}, at=[0.2, 5.0])
    assert found.kl.tolist() == [0.2]
    assert any("Not all runs reach 5 nats" in note for note in found.notes)


@pytest.mark.parametrize("power", [338, -338])
def test_the_unit_of_the_reward_changes_nothing_but_the_unit(power: int) -> None:
    """At either end of the rewards that are read, where the square of a variance is no float."""
    logs = {"a": made(0.6, 1), "b": made(0.9, 2)}
    plain = compare_runs(logs)
    scaled = compare_runs({name: replace(log, reward=log.reward * 2.0**power) for name, log in logs.items()})
    for name in ("reward", "difference", "difference_low", "difference_high"):
        np.testing.assert_array_equal(getattr(scaled, name), getattr(plain, name) * 2.0**power)
    mixed = compare_runs({"a": logs["a"], "b": replace(logs["b"], reward=logs["b"].reward * 2.0**power)})
    assert np.isfinite([mixed.difference_low, mixed.difference_high]).all()


def test_rewards_too_small_for_their_variance_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.csv"
    path.write_text("step,kl,reward\n0,0,1e-170\n1,0.1,2e-170\n2,0.2,3e-170\n")
    with pytest.raises(InputError, match=r"'reward' of .* holds rewards of size 3e-170 at most; .* rescale the column"):
        read_training_log(path, kl_unit="sequence")


def files(folder: Path) -> tuple[Path, Path, Path]:
    logs = [made(0.6, 1), made(0.9, 2)]
    for name, log in zip(("a.csv", "b.csv"), logs, strict=True):
        pd.DataFrame({"step": log.step, "kl": log.kl, "reward": log.reward}).to_csv(folder / name, index=False)
    table = example_run(30, 16, np.random.default_rng(5))[1]
    prompt = np.repeat(np.arange(30), 16)
    pd.DataFrame({"prompt_id": prompt, "score": table.column("reward")}).to_csv(folder / "base.csv", index=False)
    return folder / "a.csv", folder / "b.csv", folder / "base.csv"


def run(*arguments: object):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_the_command_answers_in_every_form(tmp_path: Path) -> None:
    a, b, base = files(tmp_path)
    options = ("--table", base, "--reward", "score", "--kl-unit", "sequence")
    said = run(a, f"better={b}", *options, "-o", tmp_path / "p.png")
    assert said.exit_code == 0, said.stderr
    assert said.stdout.splitlines()[-1].startswith("At 1.")
    assert "'better' has 0." in said.stdout.splitlines()[-1]
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    both = pd.concat([pd.read_csv(path).assign(which=name) for path, name in ((a, "a"), (b, "better"))])
    both.to_csv(tmp_path / "both.csv", index=False)
    assert run(tmp_path / "both.csv", "--run", "which", *options).stdout == said.stdout  # runs of one log
    two = json.loads(
        run(tmp_path / "both.csv", f"y={tmp_path}/both.csv", "--run", "which", *options[-2:], "--json").stdout
    )
    assert [one["name"] for one in two["runs"]] == ["both: a", "both: better", "y: a", "y: better"]
    document = json.loads(run(a, f"better={b}", *options, "--json").stdout)
    assert [one["name"] for one in document["runs"]] == ["a", "better"]
    assert document["headlines"] == [said.stdout.splitlines()[-1]]
    rows = list(csv.DictReader(io.StringIO(run(a, f"better={b}", *options, "--csv").stdout)))
    assert {row["what"] for row in rows} == {"comparison", "checkpoint", "limit", "rule"}
    assert sum(row["what"] == "comparison" for row in rows) == len(document["rows"]) == 8
    seeds = json.loads(run(f"x={a}", f"x={b}", f"y={b}", f"y={a}", "--kl-unit", "sequence", "--json").stdout)
    assert [one["seeds"] for one in seeds["runs"]] == [2, 2]
    assert seeds["told_by"] == "seeds"
    assert seeds["base_reward"] is None


def test_training_and_held_out_prompts_are_compared_apart(tmp_path: Path) -> None:
    """Method b is better in training and alike on held-out prompts, by logs that hold both."""
    rng = np.random.default_rng(3)
    truth = {("a", "train"): 0.5, ("a", "val"): 0.5, ("b", "train"): 0.9, ("b", "val"): 0.5}
    for name in "ab":
        rows = ["step,kl,reward,split"]
        for split in ("train", "val"):
            for step, kl in enumerate(np.linspace(0.0, 2.0, 24)):
                reward = truth[name, split] * np.sqrt(2.0 * kl) + 0.02 * rng.standard_normal()
                rows.append(f"{step},{kl},{reward},{split}")
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    options = ("--kl-unit", "sequence", "--split")
    document = json.loads(run(a, b, *options, "--json").stdout)
    assert [one["split"] for one in document["splits"]] == ["train", "val"]
    last = {row["split"]: row for row in document["rows"] if row["run"] == "b"}
    for split, row in last.items():
        apart = (truth["b", split] - truth["a", split]) * np.sqrt(2.0 * row["kl"])
        assert row["difference_low"] - 0.02 < apart < row["difference_high"] + 0.02
    assert document["headlines"][0].startswith("On 'train': At 2 nats per sequence 'b' has 0.7")
    assert document["headlines"][1].startswith("On 'val': At 2 nats per sequence 'b' and 'a' cannot be told apart")
    said = run(a, b, *options, "-o", tmp_path / "both.png")
    assert said.stdout.splitlines()[-2:] == document["headlines"]
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    assert said.stdout.count("at equal KL, in 'reward'") == 2
    rows = list(csv.DictReader(io.StringIO(run(a, b, *options, "--csv").stdout)))
    assert {(row["what"], row["split"]) for row in rows} == {
        (what, split) for what in ("comparison", "checkpoint") for split in ("train", "val")
    }
    (tmp_path / "c.csv").write_text((tmp_path / "b.csv").read_text().replace("train", "x").replace("val", "y"))
    for arguments, sentence in (
        ((a, tmp_path / "c.csv", *options), "RUN must have a split in common; 'a' has 'train', 'val'; 'c' has 'x'"),
        ((a, b, *options, "--run", "split"), "--split compares by RUN's column 'split'"),
        ((a, b, *options, "--at", "9"), "On 'train': --at must name KLs"),
    ):
        found = run(*arguments)
        assert (found.exit_code, found.stdout) == (2, ""), found.output
        assert sentence in found.stderr


def test_bad_input_of_the_command_is_a_sentence(tmp_path: Path) -> None:
    a, b, base = files(tmp_path)
    unit = ("--kl-unit", "sequence")
    for arguments, sentence in (
        ((a, *unit), "RUN must hold two runs at least"),
        ((a, b, "--table", base, *unit), "Say which column of --table"),
        ((a, b, "--reward", "score", *unit), "need --table"),
        ((a, tmp_path / "none.csv", *unit), "There is no file"),
        ((a, b, "--at", "7", *unit), "--at must name KLs"),
        ((a, b), "--kl-unit"),
    ):
        found = run(*arguments)
        assert (found.exit_code, found.stdout) == (2, ""), found.output
        assert sentence in found.stderr
        assert "Traceback" not in found.stderr
