"""Single responses of a run: written whole, read as a log and as samples of a policy, and what they betray."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.training import KLSamples, Rollouts, estimate_policy_kl, read_training_log
from alignlib.training.policy_kl import KLColumns, read_kl_samples
from alignlib.training.policy_kl.samples_of_table import stored_in, sure_tokens
from alignlib.training.policy_kl.token_model import perturbed_model, random_model


def written(folder: Path, steps: list[int], shift: float = 0.0, **more: object) -> Path:
    with Rollouts(folder) as rollouts:
        for step in steps:
            rollouts.write(
                step, prompt_id=["a", "a", "b"], reward=[step + shift, step + shift + 2.0, 5.0], n_tokens=[4, 6, 8],
                log_prob=[-5.0, -6.0, -7.0], base_log_prob=[-5.0 - step, -6.0, -7.0 - 0.5 * step], **more,
            )  # fmt: skip
        return rollouts.path


def test_a_step_is_the_mean_of_its_responses_prompts_counting_equally(tmp_path: Path) -> None:
    log = read_training_log(written(tmp_path, [0, 2]))
    assert log.step.tolist() == [0, 2]
    np.testing.assert_allclose(log.kl, [0.0, 0.5 * (1.0 + 1.0)])
    np.testing.assert_allclose(log.reward, [0.5 * (1.0 + 5.0), 0.5 * (3.0 + 5.0)])
    held = log.per_prompt
    assert held is not None
    assert held.prompt.tolist() == ["a", "b", "a", "b"]
    np.testing.assert_allclose(held.kl, [0.0, 0.0, 1.0, 1.0])
    assert held.count.tolist() == [2, 1, 2, 1]
    assert "log-ratio of policy to base summed over a response (k1)" in log.notes[0]
    both = log.pooled(2).per_prompt
    assert both is not None
    np.testing.assert_allclose(both.reward, [2.0, 5.0])


def test_a_line_cut_by_a_crash_is_removed_and_a_resume_wins(tmp_path: Path) -> None:
    path = written(tmp_path, [0, 1, 2])
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"step": 3, "reward": 0.')
    written(tmp_path, [1, 2, 3], shift=10.0)
    assert path.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in path.read_text().splitlines())
    log = read_training_log(path)
    assert log.step.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(log.reward[1:], [0.5 * (x + 11.0 + 5.0) for x in (1, 2, 3)])
    assert any("6 responses of steps that were run again are left out" in note for note in log.notes)
    path.write_bytes(b"no line end at all")
    Rollouts(tmp_path).close()
    assert path.read_bytes() == b""


def test_files_of_a_step_in_the_order_of_their_names_are_no_resume(tmp_path: Path) -> None:
    log = read_training_log(written(tmp_path, [10, 100, 20, 30]))
    assert log.step.tolist() == [10, 20, 30, 100]
    np.testing.assert_allclose(log.reward, 0.5 * (log.step + 1.0 + 5.0))
    assert not any("run again" in note for note in log.notes)


def test_a_resumed_run_ends_where_its_last_rows_do(tmp_path: Path) -> None:
    """Step 30 was written before the resume at 20 and is not reached again: kl takes 20."""
    path = written(tmp_path, [0, 10, 20, 30])
    written(tmp_path, [20])
    assert read_kl_samples(path).log_ratio.tolist() == [20.0, 0.0, 10.0]
    with pytest.raises(InputError, match="holds no responses of step 30; it has 0, 10, 20"):
        read_kl_samples(path, step=30)


def test_a_resume_at_the_step_last_written_replaces_it_and_other_prompts_and_splits_stay(tmp_path: Path) -> None:
    written(tmp_path, [0, 10, 20])
    written(tmp_path, [20], shift=1.0)
    path = written(tmp_path, [20], shift=10.0)
    with Rollouts(tmp_path) as rollouts:
        rollouts.write(
            20, split="held out", prompt_id=["a"], reward=[0.0], n_tokens=[4], log_prob=[-5.0], base_log_prob=[-5.0]
        )
        rollouts.write(20, prompt_id=["c"], reward=[6.0], n_tokens=[4], log_prob=[-5.0], base_log_prob=[-5.0])
    log = read_training_log(path)
    assert log.step.tolist() == [0, 10, 20]
    assert log.reward[2] == pytest.approx((31.0 + 5.0 + 6.0) / 3.0)
    assert any("6 responses of steps that were run again are left out" in note for note in log.notes)
    with Rollouts(tmp_path) as rollouts:  # an evaluation ends the file: of other prompts than the run's
        rollouts.write(
            24, split="held out", prompt_id=["a"], reward=[0.0], n_tokens=[4], log_prob=[-5.0], base_log_prob=[-5.0]
        )
    samples = read_kl_samples(path)
    assert samples.log_ratio.size == 4
    assert any("those of training are taken" in note for note in samples.notes)


@pytest.mark.parametrize(
    ("begun", "reward"),
    [
        pytest.param([[0, 1], [0]], [0.5, 0.5, 10.0, 10.0], id="one of two does not come back"),
        pytest.param([[0], [0, 1]], [0.0, 0.0, 10.5, 10.5], id="one more comes"),
        pytest.param([[0, 1], [0], [0, 1]], [0.5, 20.5, 20.5, 20.5], id="one is away and comes back"),
    ],
)
def test_a_resume_on_other_processes_replaces_what_all_had_written(
    tmp_path: Path, begun: list[list[int]], reward: list[float]
) -> None:
    for time, ranks in enumerate(begun):
        for rank in ranks:
            with Rollouts(tmp_path, rank) as rollouts:
                for step in ([0, 10, 20, 30], [20, 30], [10, 20, 30])[time]:
                    rollouts.write(step, prompt_id=[f"p{rank}"], reward=[10.0 * time + rank], n_tokens=[4],
                                   log_prob=[-5.0], base_log_prob=[-5.0 - 0.01 * step])  # fmt: skip
    np.testing.assert_allclose(read_training_log(tmp_path).reward, reward)
    assert read_kl_samples(tmp_path).log_ratio.size == len(begun[-1])


def _rows(steps: list[int], reward: float = 0.0, prompts: str = "ab", **more: object) -> list[dict[str, object]]:
    """Rows of a run, KL a hundredth of the step."""
    fixed = {"n_tokens": 4, "log_prob": -5.0}
    return [
        {"step": step, "prompt_id": name, "reward": reward + i, "base_log_prob": -5.0 - 0.01 * step, **fixed, **more}
        for step in steps for i, name in enumerate(prompts)
    ]  # fmt: skip


_TWO = [_rows([0, 10, 20], 0.0, rank=0), _rows([0, 10, 20], 4.0, "cd", rank=1)]
_BACK = [_rows([0, 10, 20, 30, 20, 30], 0.0, rank=0), _rows([0, 10, 20, 30], 4.0, "cd", rank=1)]


@pytest.mark.parametrize(
    ("rows", "reward", "size"),
    [
        pytest.param(_TWO[0] + _TWO[1], [2.5] * 3, 4, id="one process after the other"),
        pytest.param(sorted(_TWO[0] + _TWO[1], key=lambda one: int(str(one["step"]))), [2.5] * 3, 4, id="step by step"),
        pytest.param(_TWO[0][:4] + _TWO[1] + _TWO[0][4:], [2.5] * 3, 4, id="by turns, one ahead"),
        pytest.param(_BACK[0] + _BACK[1], [2.5, 2.5, 0.5, 0.5], 2, id="one after the other, one does not come back"),
        pytest.param(
            _rows([0, 10, 20], 0.0, "a") + _rows([0, 10, 20], 3.0, "b"), [1.5] * 3, 2, id="sorted by two prompts"
        ),
        pytest.param(
            _rows([0, 10, 20, 10, 20], 1.0, "a", split="train") + _rows([0, 10, 20], 9.0, split="held out"),
            [1.0] * 3, 1, id="splits one after the other",
        ),
        pytest.param(
            _rows([0, 10, 20], 9.0) + _rows([10, 20], 2.0, "cd"), [9.5, 2.5, 2.5], 2, id="a resume on other prompts"
        ),
    ],
)  # fmt: skip
def test_rows_of_one_after_another_are_no_resume(
    tmp_path: Path, rows: list[dict[str, object]], reward: list[float], size: int
) -> None:
    path = tmp_path / "rollouts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    log = read_training_log(path)
    np.testing.assert_allclose(log.reward, reward)
    assert read_kl_samples(path).log_ratio.size == size
    both = any("several processes wrote them" in note for note in log.notes)
    left_out = any("left out, the later ones taken" in note for note in log.notes)
    assert both == (left_out and "rank" not in rows[0])
    assert any("2 processes ('rank')" in note for note in log.notes) == ("rank" in rows[0])


@pytest.mark.parametrize("column", ["seed", "run_name"])
def test_runs_in_one_table_are_kept_apart(tmp_path: Path, column: str) -> None:
    """Of each the later rows count after a resume of its own."""
    rows = [*_rows([0, 10, 20, 10], 0.0, **{column: 1}), *_rows([0, 10, 20], 4.0, **{column: 2})]
    path = tmp_path / "rollouts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    log = read_training_log(path, run="seed" if column == "seed" else None)
    assert (log.run.tolist(), log.step.tolist()) == (["1"] * 2 + ["2"] * 3, [0, 10, 0, 10, 20])
    np.testing.assert_allclose(log.reward, [0.5, 0.5, 4.5, 4.5, 4.5])
    assert any("told apart by column 'run_name'" in note for note in log.notes) == (column == "run_name")
    assert read_training_log(path, run=column, only="2").kl.size == 3


def test_cut_responses_are_counted_among_those_taken_and_a_step_without_rewards_is_named(tmp_path: Path) -> None:
    with Rollouts(tmp_path) as rollouts:
        for step, reward in ((0, 0.5), (10, np.nan), (20, 0.7)):
            rollouts.write(step, prompt_id=["a", "b"], reward=[reward, reward], n_tokens=[4, 4],
                           log_prob=[-5.0, -6.0], base_log_prob=[-5.5, -6.5], truncated=[1, int(step > 0)])  # fmt: skip
    notes = read_training_log(tmp_path).notes
    assert any("2 of 6 responses without a number" in note and "of step 10 none has one" in note for note in notes)
    assert any(note.startswith("3 of 4 responses were cut") for note in notes)
    for step, told in ((0, "1 of 2"), (20, "2 of 2")):
        assert any(note.startswith(f"{told} responses were cut") for note in read_kl_samples(tmp_path, step=step).notes)


def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    with Rollouts(tmp_path), pytest.raises(InputError, match=r"is being written by another .* rank"):
        Rollouts(tmp_path)
    Rollouts(tmp_path).close()


@pytest.mark.parametrize("name", ["rollouts.jsonl", "rollouts.jsonl.gz"])
def test_a_last_line_that_is_being_written_is_left_for_later(tmp_path: Path, name: str) -> None:
    text = written(tmp_path, [0, 10]).read_bytes() + b'{"step": 20, "prompt_id": "p1", "reward": 0.2, "n_tok'
    path = tmp_path / "run" / name
    path.parent.mkdir()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    for notes in (read_training_log(path).notes, read_training_log(path.parent).notes, read_kl_samples(path).notes):
        assert any("not written whole yet" in note for note in notes)
    assert read_training_log(path).step.tolist() == [0, 10]


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, [0, 1])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    Rollouts(tmp_path).close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"reward": [1.0 + 2.0j]}, "reward"),
        ({"prompt_id": {"a"}}, "prompt_id"),
        ({"reward": (x for x in [1.0])}, "reward"),
        ({"reward": {"a": 1.0}}, "reward"),
        ({"n_tokens": [-3]}, "n_tokens"),
        ({"n_tokens": [1.5]}, "n_tokens"),
        ({"log_prob": [0.5]}, "log_prob"),
        ({"token_log_prob": [[-1.0, -2.0]], "base_token_log_prob": [[-1.0]]}, "base_token_log_prob"),
        ({"token_log_prob": [[-1.0, -2.0]], "base_token_log_prob": [[-1.0, -1.0]], "n_tokens": [7]}, "n_tokens"),
        ({"step": 0.5}, "step"),
        ({"step": True}, "step"),
    ],
)
def test_what_could_not_be_read_is_refused_when_written(tmp_path: Path, changed: dict[str, object], named: str) -> None:
    row: dict[str, object] = {"step": 1, "reward": [1.0], "log_prob": [-1.0], "base_log_prob": [-2.0]}
    with Rollouts(tmp_path) as rollouts:
        with pytest.raises(InputError, match=named):
            rollouts.write(**{**row, **changed})  # type: ignore[arg-type]
        assert rollouts.path.read_bytes() == b""


def test_processes_write_a_file_each_and_are_read_together(tmp_path: Path) -> None:
    written(tmp_path, [0, 1])
    with Rollouts(tmp_path, rank=1) as rollouts:
        rollouts.write(1, prompt_id=["c"], reward=[8.0], n_tokens=[3], log_prob=[-1.0], base_log_prob=[-4.0])
    log = read_training_log(tmp_path)
    np.testing.assert_allclose(log.reward, [3.0, (2.0 + 5.0 + 8.0) / 3.0])
    assert read_kl_samples(tmp_path).size == 4
    assert sorted(os.listdir(tmp_path)) == ["rollouts-1.jsonl", "rollouts.jsonl"]


# Files of a run with the steps of each, and the rewards that are left of them as starts: step + 10 for each before.
STARTS = {
    "not as far as the first": ({"run9": [1, 2, 3], "run10": [2]}, {1: 1.0, 2: 12.0}),
    "from one checkpoint twice": ({"1": [1, 2, 3], "2": [2, 3], "3": [2, 4]}, {1: 1.0, 2: 22.0, 4: 24.0}),
    "further back": ({"1": [1, 2, 3], "2": [3, 4], "3": [2]}, {1: 1.0, 2: 22.0}),
    "a folder each": ({"s9/a": [1, 2], "s10/a": [2]}, {1: 1.0, 2: 12.0}),
    "no step twice": ({"a": [1, 2], "b": [3]}, {1: 1.0, 2: 2.0, 3: 13.0}),
}


def start(path: Path, steps: list[int], shift: float, means: bool) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    if means:
        lines = ["step,kl,reward", *(f"{step},{0.1 * step},{step + shift}" for step in steps), ""]
        path.with_name(f"{path.name}.csv").write_text("\n".join(lines), encoding="utf-8")
        return
    rows = [
        {"step": step, "prompt_id": prompt, "reward": step + shift, "log_prob": -1.0, "base_log_prob": -1.0 - step}
        for step in steps
        for prompt in "ab"
    ]
    path.with_name(f"{path.name}.jsonl").write_text(
        "".join(map("{}\n".format, map(json.dumps, rows))), encoding="utf-8"
    )


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("means", [False, True])
def test_files_of_a_run_are_starts_where_the_reader_says_so(tmp_path: Path, kind: str, means: bool) -> None:
    files, left = STARTS[kind]
    for number, (name, steps) in enumerate(files.items()):
        start(tmp_path / name, steps, 10.0 * number, means)
    log = read_training_log(tmp_path, files="starts", kl_unit="sequence" if means else None)
    assert dict(zip(log.step.tolist(), log.reward.tolist(), strict=True)) == left
    assert (log.runs, sum(f"{len(files)} starts of one run" in note for note in log.notes)) == ([tmp_path.name], 1)
    assert any("Left out so" in note and "nothing" in note for note in log.notes) == (kind == "no step twice")
    assert any("Nothing is left of '2" in note for note in log.notes) == (len(files) == 3)
    if not means:
        assert read_kl_samples(tmp_path, files="starts", step="all").size == 2 * len(left)
        assert read_kl_samples(tmp_path, files="starts").log_ratio.tolist() == [max(left)] * 2


def test_files_of_the_same_steps_are_averaged_and_named(tmp_path: Path) -> None:
    start(tmp_path / "a", [1, 2, 3], 0.0, means=False)
    start(tmp_path / "b", [2], 10.0, means=False)
    start(tmp_path / "c", [4], 0.0, means=False)
    log = read_training_log(tmp_path)
    said = [
        note for note in log.notes if note.startswith("Averaged at each step, as of processes of one run: step 2 of")
    ]
    assert (log.reward.tolist(), len(said)) == ([1.0, 7.0, 3.0, 4.0], 1)
    assert "'a.jsonl' and 'b.jsonl'." in said[0]
    assert "files='starts'" in said[0]
    assert said[0] in read_kl_samples(tmp_path).notes
    (tmp_path / "b.jsonl").unlink()
    assert not any(
        note.startswith("Averaged") for note in (*read_training_log(tmp_path).notes, *read_kl_samples(tmp_path).notes)
    )


def test_processes_of_a_start_are_averaged_and_replaced_together(tmp_path: Path) -> None:
    for name, steps, shift in (("s1/0", [1, 2], 0.0), ("s1/1", [1], 4.0), ("s2/0", [2], 10.0), ("s2/1", [2], 20.0)):
        start(tmp_path / name, steps, shift, means=False)
    log = read_training_log(tmp_path, files="starts")
    assert (log.step.tolist(), log.reward.tolist()) == ([1.0, 2.0], [3.0, 17.0])
    assert any("2 of 6 responses of 's1'" in note for note in log.notes)


def test_commands_take_files_for_starts(tmp_path: Path) -> None:
    for folder in "xy":
        start(tmp_path / folder / "a", [0, 1, 2, 3], 0.0, means=False)
        start(tmp_path / folder / "b", [1, 2], 1.0, means=False)
    run = str(tmp_path / "x")
    for command in (
        ["overlay", run],
        ["kl", run],
        ["compare", run, f"{tmp_path / 'y'}"],
        ["pick", run, "--run-gold", "reward"],
    ):
        for more, said in ((["--files", "starts", "--json"], "2 starts of one run"), ([], "say --files starts")):
            shown = CliRunner().invoke(main, [*command, *more])
            assert (shown.exit_code, said in " ".join(shown.stdout.split())) == (0, True), shown.output
    with pytest.raises(InputError, match="files must be 'processes' or 'starts'; got 'ranks'"):
        read_training_log(run, files="ranks")


LARGER = {  # prompts of each step, and the step that may have been run again
    "the last of two": ([(1, "abc"), (2, "abcabc")], 2),
    "the last of two, killed within it": ([(1, "abc"), (2, "ababc")], 2),
    "no prompts": ([(1, "..."), (2, "..."), (3, "......")], 3),
    "no prompts, killed within it": ([(1, "..."), (2, "....."), (3, "...")], 2),
    "other prompts": ([(1, "abc"), (2, "abcdef")], None),
    "one prompt": ([(1, "a"), (2, "aa")], None),
    "batches of unlike size": ([(1, ".."), (2, "..."), (3, "...."), (4, ".....")], None),
    "far more than any of unlike size": ([(1, "ab"), (2, "abc"), (3, "cd"), (4, "abcxyz"), (5, "abc")], 4),
    "other sizes, the same prompts": ([(1, "aabb"), (2, "ccddee"), (3, "aabbaabb"), (4, "ff"), (5, "ffbbcc")], 3),
    "drawn twice": ([(1, "aabc"), (2, "ddef"), (3, "gghg"), (4, "iijk")], 3),
    "alike": ([(1, "..."), (2, "...")], None),
}


@pytest.mark.parametrize("kind", LARGER)
def test_a_step_that_may_have_been_run_again_is_told(tmp_path: Path, kind: str) -> None:
    blocks, again = LARGER[kind]
    rows = [
        {"step": step, "reward": 1.0, "log_prob": -1.0, "base_log_prob": -2.0}
        | ({} if prompt == "." else {"prompt_id": prompt})
        for step, prompts in blocks
        for prompt in prompts
    ]
    (tmp_path / "run.jsonl").write_text("".join(map("{}\n".format, map(json.dumps, rows))), encoding="utf-8")
    notes = read_training_log(tmp_path).notes
    told = [note for note in notes if "All of them count here" in note]
    assert [note.split(" holds")[0] for note in told] == ([] if again is None else [f"Step {again}"])
    assert any("of which 1 come back" in note and "drawn twice" in note for note in told) == (kind == "drawn twice")
    last = blocks[-1][0]
    assert any("All of them count here" in note for note in read_kl_samples(tmp_path).notes) == (again == last)


def test_splits_are_kept_apart_or_shown_side_by_side(tmp_path: Path) -> None:
    path = written(tmp_path, [0, 1])
    written(tmp_path, [1], shift=100.0, split="held out")
    assert read_training_log(path).reward.max() < 10.0
    assert read_training_log(path, evaluation=True).reward.tolist() == [0.5 * (102.0 + 5.0)]
    both = read_training_log(path, splits=True)
    assert (both.runs, both.kl.size) == (["train", "held out"], 3)
    shown = CliRunner().invoke(main, ["overlay", str(path), "--split", "--json"])
    assert {point["run"] for point in json.loads(shown.stdout)["points"]} == {"train", "held out"}


def test_kl_takes_the_last_step_or_the_one_that_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, [0, 1, 4])
    assert read_kl_samples(path).log_ratio.tolist() == [4.0, 0.0, 2.0]
    assert read_kl_samples(path, step=1).log_ratio.tolist() == [1.0, 0.0, 0.5]
    assert read_kl_samples(path, step="all").size == 9
    written(tmp_path, [1, 2])
    again = read_kl_samples(path, step="all")
    assert (again.size, sorted(again.log_ratio.tolist())) == (9, [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 2.0])
    assert any("6 responses of these left out" in note for note in again.notes)
    path.unlink()
    path = written(tmp_path, [0, 1, 4])
    with pytest.raises(InputError, match="holds no responses of step 3; it has 0, 1, 4"):
        read_kl_samples(path, step=3)
    said = CliRunner().invoke(main, ["kl", str(path), "--step", "1"])
    assert "those of step 1 are taken (--step)" in said.stdout, said.output
    refused = CliRunner().invoke(main, ["kl", str(path), "--step", "x"])
    assert (refused.exit_code, "--step" in refused.stderr) == (2, True)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, json.dumps({**json.loads(lines[-1]), "step": 5}), ""]), encoding="utf-8")
    with pytest.raises(InputError, match=r"at least two responses; got 1\. .* 4 steps .* step 5 are taken \(step\)"):
        estimate_policy_kl(read_kl_samples(path))


TRAINERS = [
    ("per_token_logps", "ref_per_token_logps", "completion_mask"),
    ("old_log_probs", "ref_log_prob", "response_mask"),
    ("action_log_probs", "base_action_log_probs", "action_mask"),
    ("log_probs", "ref_log_probs", "loss_masks"),
    ("logps", "ref_logps", "any_mask_of_tokens"),
]


@pytest.mark.parametrize(("policy", "base", "mask"), TRAINERS)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_lists_by_the_names_of_trainers_padding_left_out(
    tmp_path: Path, kind: str, policy: str, base: str, mask: str
) -> None:
    frame = pd.DataFrame(
        {
            "step": [3, 3],
            "uid": ["x", "y"],
            policy: [[-1.0, -2.0, np.nan if mask == "completion_mask" else 0.0], [-0.5, -0.25, -0.125]],
            base: [[-1.5, -2.5, -9.0], [-0.5, -0.5, -0.5]],
            mask: [[1, 1, 0], [1, 1, 1]],
            "prompt_mask": [[0, 0, 1], [0, 0, 0]],
            "score": [1.0, 2.0],
        }
    )
    path = tmp_path / f"rows.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    samples = read_kl_samples(path)
    np.testing.assert_allclose(samples.log_ratio, [1.0, 0.625])
    assert samples.n_tokens is not None
    assert samples.n_tokens.tolist() == [2, 3]
    assert any(repr(policy) in note for note in samples.notes)
    assert any(note == f"The tokens are those where {mask!r} is 1." for note in samples.notes) == ("any" in mask)
    log = read_training_log(path)
    np.testing.assert_allclose([log.kl[0], log.reward[0]], [0.8125, 1.5])


@pytest.mark.parametrize(
    ("masks", "told"),
    [
        ({"key_padding_mask": "pad"}, "'key_padding_mask' is 0, as what it names is padding."),
        ({"padding": "pad", "a_mask": "keep"}, "'padding' is 0 and 'a_mask' is 1, as what it names is padding."),
        ({"pad_mask": "keep"}, "'pad_mask' is 1."),
        ({"a_mask": "keep", "b_mask": "keep"}, "'a_mask' is 1 and 'b_mask' is 1."),
        ({"a_mask": "keep", "b_mask": "pad"}, ""),
    ],
)
def test_a_mask_of_the_padding_says_which_tokens_are_left_out(tmp_path: Path, masks: dict[str, str], told: str) -> None:
    """Masks that say the same are one; a row without padding, or zeros on one side, show which way one is meant."""
    rows = {"keep": [[1, 1, 0], [1, 1, 1]], "pad": [[0, 0, 1], [0, 0, 0]]}
    held = [
        {"step": 3, "uid": name, "logps": mine, "ref_logps": ref, "score": 1.0}
        | {mask: rows[kind][i] for mask, kind in masks.items()}
        for i, (name, mine, ref) in enumerate(
            [("x", [-1.0, -2.0, -7.5], [-1.5, -2.5, -9.0]), ("y", [-0.5] * 3, [-1.0] * 3)]
        )
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in held), encoding="utf-8")
    samples = read_kl_samples(path)
    np.testing.assert_allclose(samples.log_ratio, [1.0 if told else 2.5, 1.5])
    assert any(note == f"The tokens are those where {told}" for note in samples.notes) == bool(told)


def test_a_kl_per_token_is_multiplied_response_by_response(tmp_path: Path) -> None:
    """Of 50 tokens at 1 nat and 1,000 at 0.05 nats the mean is 50, where mean times mean says 276."""
    path = tmp_path / "rows.csv"
    path.write_text("step,prompt_id,kl,n_tokens,reward\n7,a,1,50,0\n7,b,0.05,1000,1\n")
    with pytest.raises(InputError, match="kl_unit"):
        read_kl_samples(path)
    found = estimate_policy_kl(read_kl_samples(path, KLColumns(kl_unit="token")))
    assert found.best.name == "given"
    assert found.best.value == pytest.approx(50.0)
    assert read_training_log(path, kl_unit="token").kl.tolist() == [50.0]
    said = CliRunner().invoke(main, ["kl", str(path), "--kl-unit", "token"]).stdout
    assert "would be 275.6, where the mean of the products is 50" in said
    assert read_training_log(path, kl_unit="sequence").kl.tolist() == [0.525]


def test_what_is_no_response_is_refused(tmp_path: Path) -> None:
    with Rollouts(tmp_path) as rollouts:
        with pytest.raises(InputError, match="write needs reward, and log_prob with base_log_prob"):
            rollouts.write(0, reward=[1.0])
        with pytest.raises(InputError, match="base_log_prob must have 1 entries"):
            rollouts.write(0, reward=[1.0], log_prob=[-1.0], base_log_prob=[-1.0, -2.0])
    with pytest.raises(InputError, match="closed"):
        rollouts.write(0, reward=[1.0], kl=[0.5])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        Rollouts(tmp_path / "file")


def test_texts_of_responses_are_data(tmp_path: Path) -> None:
    text = 'a"b\n\u2028{"step": 9}\r\n=1+1'
    with Rollouts(tmp_path) as rollouts:
        rollouts.write(0, prompt=[text], response=[text], reward=[1.0], log_prob=[-1.0], base_log_prob=[-1.5])
    (line,) = rollouts.path.read_bytes().splitlines()
    assert json.loads(line)["response"] == text
    assert read_training_log(tmp_path).kl.tolist() == [0.5]


@pytest.mark.parametrize("size", [4, 5])
def test_what_was_done_to_rewards_within_a_group_is_told(tmp_path: Path, size: int) -> None:
    """Advantages beside the rewards tell the normalisation; in the place of rewards they are refused."""
    rng = np.random.default_rng(size)
    reward = rng.random((10, size)).round(2)
    apart = reward - reward.mean(axis=1, keepdims=True)
    deviation = reward.std(axis=1, ddof=1, keepdims=True)
    made = {
        "group-scaled": apart / (deviation + 1e-4),
        "group-centred": apart,
        "leave-one-out": apart * size / (size - 1),
    }
    common = {
        "prompt_id": np.repeat([f"p{i}" for i in range(10)], size).tolist(),
        "log_prob": np.full(10 * size, -3.0), "base_log_prob": np.full(10 * size, -3.5),
    }  # fmt: skip
    for name, advantage in made.items():
        with Rollouts(tmp_path / name) as rollouts:
            rollouts.write(0, reward=reward.ravel(), advantage=advantage.ravel(), **common)
        assert f"the normalisation is {name}." in " ".join(read_training_log(tmp_path / name).notes)
        with Rollouts(tmp_path / f"only {name}") as rollouts:
            rollouts.write(0, reward=advantage.ravel(), **common)
        with pytest.raises(InputError, match=r"within the responses to every prompt of a step: these are advantages"):
            read_training_log(tmp_path / f"only {name}")
    with Rollouts(tmp_path / "other") as rollouts:
        rollouts.write(0, reward=reward.ravel(), advantage=rng.standard_normal(10 * size), **common)
    assert "normalisation" not in " ".join(read_training_log(tmp_path / "other").notes)


def test_halves_of_characters_stay_apart(tmp_path: Path) -> None:
    """No file can hold them; written as one mark, two prompts would be one."""
    with Rollouts(tmp_path) as rollouts:
        columns = {"prompt_id": ["\ud800", "\udfff"], "\udc80": [1, 2], "log_prob": [-1.0, -2.0]}
        rollouts.write(0, split="\ud83d", reward=[1.0, 3.0], base_log_prob=[-1.0, -3.0], **columns)
    held = read_training_log(tmp_path).per_prompt
    assert held is not None
    assert held.prompt.tolist() == ["\\ud800", "\\udfff"]
    assert held.kl.tolist() == [0.0, 1.0]


def test_exact_sums_are_read_beside_the_log_ratios(tmp_path: Path) -> None:
    path = written(tmp_path, [1], exact_kl=[0.3, 0.5, 0.2])
    found = estimate_policy_kl(read_kl_samples(path))
    assert found.best.name == "rao_blackwell"
    assert found.best.value == pytest.approx(0.5 * (0.4 + 0.2))
    assert read_training_log(path).kl.tolist() == [pytest.approx(0.3)]


# -- what log-probabilities betray


@pytest.mark.parametrize(("bits", "name"), [(8, "bfloat16"), (11, "float16")])
def test_half_precision_is_recognised_and_its_error_is_right(bits: int, name: str) -> None:
    exact = -np.random.default_rng(0).exponential(2.0, 4000)
    mantissa, exponent = np.frexp(exact)
    stored = np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)
    (said,) = stored_in(stored)
    assert name in said
    told = float(said.split("about ")[1].split(" nats")[0])
    assert told == pytest.approx(np.sqrt(2.0) * (stored - exact).std(), rel=0.1)
    assert stored_in(exact) == []
    assert stored_in(exact.astype(np.float32).astype(float)) == []


def test_a_cut_law_is_known_by_its_certain_tokens() -> None:
    base = np.full(200, -0.7)
    assert len(sure_tokens(np.where(np.arange(200) % 4 == 0, 0.0, -0.4), base)) == 1
    assert sure_tokens(np.where(np.arange(200) % 4 == 0, -1e-7, -0.4), base) == []


def test_another_temperature_shows_in_the_surprise_and_the_right_one_does_not() -> None:
    rng = np.random.default_rng(5)
    base = random_model(5, 8, 1.0, rng)
    policy = perturbed_model(base, 0.4, rng)
    lengths, alarms = 400, 0

    def surprise(sampler: object) -> KLSamples:
        drawn = sampler.sample(lengths, rng)  # type: ignore[attr-defined]
        ours, theirs = policy.token_log_prob(drawn), base.token_log_prob(drawn)
        entropy = -(np.exp(policy.log_next) * policy.log_next).sum(1)
        total = (entropy[policy.states(drawn)] * policy.is_token(drawn)).sum(1)
        return KLSamples(ours.sum(1) - theirs.sum(1), surprise=-ours.sum(1) - total)

    for _ in range(40):
        check = estimate_policy_kl(surprise(policy), n_boot=100).checks["surprise"]
        alarms += not check[1] <= 0.0 <= check[2]
    assert alarms <= 2  # of 99.9 % intervals
    cold = estimate_policy_kl(surprise(policy.tempered(0.7)), n_boot=100).checks["surprise"]
    hot = estimate_policy_kl(surprise(policy.tempered(1.4)), n_boot=100).checks["surprise"]
    assert cold[2] < 0.0 < hot[1]


def test_responses_without_a_reward_are_left_out_and_counted(tmp_path: Path) -> None:
    """A reward function of trl may return None, which its mean leaves out."""
    with Rollouts(tmp_path) as rollouts:
        for step in (0, 10):
            rollouts.write(step, prompt_id=["a", "b"], reward=[0.5, float("nan")], log_prob=[-1.0, -2.0],
                           base_log_prob=[-1.5, -2.0])  # fmt: skip
        with pytest.raises(InputError, match="log_prob must hold finite log-probabilities; that of response 1 is none"):
            rollouts.write(20, reward=[0.5, 0.5], log_prob=[-1.0, float("-inf")], base_log_prob=[-1.5, -2.0])
    log = read_training_log(tmp_path)
    assert (log.reward.tolist(), log.kl.tolist()) == ([0.5, 0.5], [0.5, 0.5])
    assert any("Left out: 2 of 4 responses without a number in 'reward'" in note for note in log.notes)


@pytest.mark.parametrize(("pad", "tokens"), [(0.0, 2.0), (-1.0, 3.0)])
def test_lists_that_go_on_past_their_number_of_tokens(tmp_path: Path, pad: float, tokens: float) -> None:
    path = tmp_path / "padded.jsonl"
    row = {"token_log_prob": [-1.0, -2.0, pad], "base_token_log_prob": [-1.5, -2.0, pad], "n_tokens": 2}
    path.write_text("\n".join([json.dumps(row)] * 3) + "\n", encoding="utf-8")
    found = read_kl_samples(path)
    assert found.n_tokens is not None
    assert found.n_tokens.tolist() == [tokens] * 3
    assert any("'n_tokens'" in note for note in found.notes)


@pytest.mark.parametrize(
    ("ours", "more", "tokens", "said"),
    [
        ([-1.0, -2.0, 0.0, 0.0, 0.0], {}, 2.0, "end in zeros, or nothing, which stand nowhere else"),
        ([-1.0, -2.0, None, None, None], {}, 2.0, "end in zeros, or nothing, which stand nowhere else"),
        ([-1.0, -2.0, 0.0, 0.0], {}, 4.0, ""),  # as an end that is sure
        ([-1.0, 0.0, -2.0, 0.0, 0.0, 0.0], {}, 6.0, ""),  # sure tokens stand elsewhere, too
        ([-1.0, -2.0, 0.0], {"mask_a": [1, 1, 0], "mask_b": [1, 0, 0]}, 3.0, "'mask_a', 'mask_b' look like masks"),
    ],
)
def test_lists_that_nothing_ends(
    tmp_path: Path, ours: list[float | None], more: dict[str, object], tokens: float, said: str
) -> None:
    path = tmp_path / "padded.jsonl"
    theirs = [one and 1.5 * one for one in ours]
    whole = {"token_log_prob": [-1.0] * len(ours), "base_token_log_prob": [-1.0] * len(ours)}
    rows = [{"token_log_prob": ours, "base_token_log_prob": theirs, **more}] * 2 + [{**whole, **more}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = read_kl_samples(path)
    assert found.n_tokens is not None
    assert found.n_tokens.tolist() == [tokens, tokens, len(ours)]
    np.testing.assert_allclose(found.log_ratio, [1.5, 1.5, 0.0])
    assert any((said or "padding") in note for note in found.notes) == bool(said)


def test_a_kl_by_token_is_summed_where_its_mask_holds(tmp_path: Path) -> None:
    path = tmp_path / "kl.jsonl"
    row = {"kl": [0.5, 0.25, None], "response_mask": [1, 0, 0]}
    path.write_text((json.dumps(row) + "\n") * 3, encoding="utf-8")
    found = read_kl_samples(path)
    assert found.n_tokens is not None
    assert (found.log_ratio.tolist(), found.n_tokens.tolist()) == ([0.5] * 3, [1.0] * 3)


ORDERS: dict[
    str, Callable[[dict[str, float]], object]
] = {  # how rows of a resumed run stand, by start of training, writer, and time
    "time": lambda row: (row["time"],),
    "starts, one writer after the other": lambda row: (row["start"], row["rank"], row["split"], row["time"]),
    "starts, one split after the other": lambda row: (row["start"], row["split"], row["time"]),
    "writers": lambda row: (row["rank"], row["split"], row["time"]),
    "splits": lambda row: (row["split"], row["time"]),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("starts", "ranks"), [((1, 2), 2), ((1, 2, 3), 1), ((1, 3, 2, 2), 3), ((1, 3, 5), 2)])
def test_a_resume_is_told_by_each_writers_own_steps(
    tmp_path: Path, order: str, starts: tuple[int, ...], ranks: int
) -> None:
    """Each start goes on three steps; what it writes of a step and beyond replaces what earlier ones had written."""
    rows, expected = list[dict[str, float]](), dict[float, float]()
    for start, first in enumerate(starts):
        expected = {step: reward for step, reward in expected.items() if step < first}
        for step in range(first, first + 3):
            expected[step] = step + 0.125 * start
            rows += [
                {"step": step, "rank": rank, "split": split, "start": start, "reward": expected[step], "kl": 0.5}
                for split in (0, 1)
                for rank in range(ranks)
                for _ in "pq"
            ]
    made = sorted(({**row, "time": time} for time, row in enumerate(rows)), key=ORDERS[order])
    shown = [
        {**row, "prompt_id": "pq"[int(row["time"]) % 2], "split": ("test", "train")[int(row["split"])]} for row in made
    ]
    names = {"step", "prompt_id", "reward", "kl", "split"} | ({"rank"} if ranks > 1 else set())
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({k: row[k] for k in row if k in names}) + "\n" for row in shown))
    log = read_training_log(path, kl_unit="sequence")
    assert dict(zip(log.step.tolist(), log.reward.tolist(), strict=True)) == expected
    assert any("are left out, the later ones taken" in note for note in log.notes)
