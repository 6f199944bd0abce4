"""TensorBoard's events: those of a real tiny run of trl, and the page's example; here its package is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from torch.utils.tensorboard import SummaryWriter

from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.training import read_training_log
from tests import test_trainer_logs as page
from tests.lm.test_rollout_callback import trained

COLUMNS = {"train/kl": "kl", "train/reward": "reward", "train/completions/mean_length": "completions/mean_length"}


def test_the_events_of_a_real_run_are_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    trainer = trained(tmp_path, "GRPO", 4, report_to=["tensorboard"])
    logged = [row for row in trainer.state.log_history if "kl" in row]
    log = read_training_log(tmp_path / "events")
    assert log.notes[0].startswith(
        "Recognised: TensorBoard's events, keys of trl. The KL is 'train/kl', in nats per token"
    )
    assert log.step.tolist() == [row["step"] for row in logged]
    np.testing.assert_allclose(
        log.kl, [row["kl"] * row["completions/mean_length"] for row in logged], rtol=1e-5, atol=1e-9
    )
    np.testing.assert_allclose(log.reward, [row["reward"] for row in logged], rtol=1e-6)
    own = read_training_log(tmp_path / "out")  # trl's trainer_state.json
    np.testing.assert_allclose(log.kl, own.kl, rtol=1e-5, atol=1e-9)
    said = CliRunner().invoke(main, ["overlay", str(tmp_path / "events")])
    assert said.exit_code == 0, said.output
    assert "4 checkpoints of 1 run" in said.stdout


def test_a_resume_in_another_file_replaces_what_was_logged_beyond_it(tmp_path: Path) -> None:
    """A run that ended at step 5 goes on from step 2, in a second file of the folder, whose name is not UTF-8."""
    tmp_path = tmp_path / os.fsdecode(b"tb\xff")
    for start, end, kl in ((0, 6, 0.01), (3, 8, 0.02)):
        with SummaryWriter(str(tmp_path.parent / "made"), filename_suffix=f".{start}") as writer:
            for step in range(start, end):
                for tag, value in zip(COLUMNS, (kl * step, 0.1 * step, 50.0), strict=True):
                    writer.add_scalar(tag, value, step, walltime=float(10 * start + step))
    (tmp_path.parent / "made").rename(tmp_path)
    log = read_training_log(tmp_path)
    assert log.step.tolist() == list(range(8))
    np.testing.assert_allclose(log.logged_kl, [0.0, 0.01, 0.02, *(0.02 * step for step in range(3, 8))], rtol=1e-6)
    assert any("run back" in note or "resume" in note for note in log.notes)


def test_a_tag_of_fewer_steps_is_kept_where_another_shows_the_resume(tmp_path: Path) -> None:
    """Rewards at every fourth step stand once each, though the KL of every second was written again."""
    for start, end in ((0, 6), (6, 14)):
        with SummaryWriter(str(tmp_path), filename_suffix=f".{start}") as writer:
            for step in range(start, end + 2, 2):
                writer.add_scalar("train/kl", 0.01 * step, step, walltime=float(10 * start + step))
                if step % 4 == 0:
                    writer.add_scalar("train/reward", 0.1 * step, step, walltime=float(10 * start + step))
    log = read_training_log(tmp_path, kl="train/kl", reward="train/reward", kl_unit="sequence", drop_missing=True)
    assert log.step.tolist() == [0.0, 4.0, 8.0, 12.0]
    np.testing.assert_allclose(log.reward, [0.0, 0.4, 0.8, 1.2], rtol=1e-6)


def test_scalars_that_newer_writers_store_as_tensors(tmp_path: Path) -> None:
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(tmp_path))
    for step in (10, 20):
        values = [
            Summary.Value(tag=tag, tensor=make_tensor_proto(torch.tensor(0.001 * step).numpy())) for tag in COLUMNS
        ]
        writer.add_event(Event(step=step, wall_time=1.0, summary=Summary(value=values)))
    writer.close()
    np.testing.assert_allclose(read_training_log(tmp_path).kl, [1e-4, 4e-4], rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "steps", "said"),
    [
        (
            lambda held, at: held[: at + 15] + bytes([held[at + 15] ^ 4]) + held[at + 16 :],
            0,
            "is damaged after record 4",
        ),
        (lambda held, at: held[: at + 1] + b"\1" + held[at + 2 :], 0, "is damaged after record 4"),
        (lambda held, at: held[:at] + bytes(500) + held[at:], 0, "is damaged after record 4"),
        (lambda held, at: held[:at] + bytes(3 << 20) + held[at:], 0, "is damaged after record 4"),
        (lambda held, at: held[: 16 + held[0]], 0, "holds no numbers yet; ask again when"),
        (lambda held, at: held[:20], 0, "holds no numbers yet; ask again when"),
        (lambda held, at: held[:3], 0, "holds no numbers yet; ask again when"),
        (lambda held, at: held[: at + 15], 3, "ends within a record, after 4 whole ones"),
        (lambda held, at: held[:at] + bytes(500), 3, "ends within a record, after 4 whole ones"),
        (lambda held, at: held[:at], 3, ""),
        (lambda held, at: held, 6, ""),
        (lambda held, at: b"no events at all, but long enough for a header", 0, "holds no events of TensorBoard's"),
        (lambda held, at: bytes(100), 0, "holds no events of TensorBoard's"),
        (lambda held, at: b"", 0, "is empty; ask again when"),
    ],
)
def test_what_follows_a_damaged_record_is_not_left_out_in_silence(
    tmp_path: Path, changed: Callable[[bytes, int], bytes], steps: int, said: str
) -> None:
    """TensorBoard's own reader stops there without a word."""
    writer = EventFileWriter(str(tmp_path))
    for step in range(6):
        values = [Summary.Value(tag=tag, simple_value=0.1 * (step + 1)) for tag in COLUMNS]
        writer.add_event(Event(step=step, wall_time=1.0, summary=Summary(value=values)))
    writer.close()
    (path,) = tmp_path.iterdir()
    held, at = path.read_bytes(), 0
    for _ in range(4):  # the first names the version of the format
        at += 16 + int.from_bytes(held[at : at + 8], "little")
    path.write_bytes(changed(held, at))
    if not steps:
        with pytest.raises(InputError, match=said):
            read_training_log(tmp_path)
        return
    log = read_training_log(tmp_path)
    assert log.step.size == steps
    assert any(said in note for note in log.notes) if said else not any("record" in note for note in log.notes)


def test_which_of_ones_own_keys_is_the_kl_is_asked(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        for tag in ("kl", "reward"):
            writer.add_scalar(tag, 0.1, 1)
    with pytest.raises(
        InputError, match=r"logs 'kl', 'reward', 'step', the keys of no trainer .*; name that of the KL"
    ):
        read_training_log(tmp_path, kl_unit="sequence")
    assert read_training_log(tmp_path, kl_unit="sequence", kl="kl").step.tolist() == [1]


def test_the_pages_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = (block for block in page.BLOCKS if block[0] == "python")
    page.test_the_page_reads_each_trainers_log_by_its_command(tmp_path, monkeypatch, *block)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.host").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"tfevents.1.host is no file.* move it away"):
        read_training_log(tmp_path)


@pytest.mark.parametrize("killed", page.KILLED)
def test_events_of_a_step_meet_whenever_the_run_was_killed(tmp_path: Path, killed: str) -> None:
    """As those of every other kind of log."""
    page.test_metrics_of_a_step_meet_whenever_the_run_was_killed(tmp_path, "events", killed)
