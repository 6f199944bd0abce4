"""A real tiny run of trl with its responses written down: what it logs itself, and what kl and overlay read."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.lm.torch_runtime import quiet
from alignlib.training import estimate_policy_kl, read_training_log
from alignlib.training.callback import _Recorder, rollout_callback
from alignlib.training.policy_kl import read_kl_samples
from tests.docstrings import without_session
from tests.lm.tiny_models import WORDS, gpt2, save, word_tokenizer


def ones(completions: list[str], **_: object) -> list[float]:
    return [float(text.count("w1")) for text in completions]


def spaces(completions: list[str], **_: object) -> list[float]:
    return [float(text.count(" ")) for text in completions]


def trained(folder: Path, kind: str, steps: int, **options: Any) -> Any:
    from datasets import Dataset

    config, make = {"GRPO": (GRPOConfig, GRPOTrainer), "RLOO": (RLOOConfig, RLOOTrainer)}[kind]
    rewards, every = options.pop("rewards", [ones]), options.pop("record", {})
    with quiet():
        model = save(folder / "base", gpt2(len(WORDS)), word_tokenizer())
        rows = [{"prompt": f"w{i} w{i + 1}", "prompt_id": f"p{i}"} for i in range(6)]
        settings = {
            "learning_rate": 1e-2, "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 6,
            "logging_steps": 1, "save_steps": 2, "report_to": [], "use_cpu": True, "disable_tqdm": True, "bf16": False,
            "beta": 0.05, "activation_checkpointing": False, **options,
        }  # fmt: skip
        trainer = make(
            model=model, reward_funcs=rewards, train_dataset=Dataset.from_list(rows), processing_class=word_tokenizer(),
            args=config(output_dir=str(folder / "out"), max_steps=steps, **settings),
        )  # fmt: skip
        resumes = any((folder / "out").glob("checkpoint-*"))
        if not every and not resumes:  # as its example has it
            with contextlib.chdir(folder):
                exec(without_session(inspect.getdoc(rollout_callback) or ""), {"trainer": trainer})
        else:
            trainer.add_callback(rollout_callback(trainer, folder / "run", **every))
            trainer.train(resume_from_checkpoint=resumes or None)
    return trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("trl")
    return SimpleNamespace(folder=folder, trainer=trained(folder, "GRPO", 3, record={"tokens": True}))


def test_what_is_written_is_what_trl_itself_logs(run: SimpleNamespace) -> None:
    """Its reward and length, and its KL, k3 of each token averaged over tokens; step 0 is the base itself."""
    logged = [row for row in run.trainer.state.log_history if "kl" in row]
    log = read_training_log(run.folder / "run")
    assert log.step.tolist() == [0, 1, 2]
    np.testing.assert_allclose(log.reward, [row["reward"] for row in logged], atol=1e-6)
    assert log.kl[0] == pytest.approx(0.0, abs=1e-6)
    for step in (1, 2):
        found = estimate_policy_kl(read_kl_samples(run.folder / "run", step=step))
        token = found["k3_tokens"].per_token
        assert token is not None
        assert token[0] == pytest.approx(logged[step]["kl"], rel=1e-4)
        assert found.best.value == pytest.approx(log.kl[step], rel=1e-4)


@pytest.mark.parametrize(("kind", "how"), [("GRPO", "group-scaled"), ("RLOO", "leave-one-out")])
def test_advantages_are_the_trainers_and_tell_its_normalisation(tmp_path: Path, kind: str, how: str) -> None:
    # RLOO takes its KL off the reward; at beta = 0 it does not, and has no reference model either.
    plain = {"beta": 0.0, "record": {"base": gpt2(len(WORDS))}} if kind == "RLOO" else {}
    trained(tmp_path, kind, 8, **plain)
    rows = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()]
    for start in range(0, len(rows), 4):
        group = rows[start : start + 4]
        assert len({row["prompt_id"] for row in group}) == 1
        reward = np.array([row["reward"] for row in group])
        apart = reward - reward.mean()
        expected = apart / (reward.std(ddof=1) + 1e-4) if kind == "GRPO" else apart * 4.0 / 3.0
        np.testing.assert_allclose([row["advantage"] for row in group], expected, atol=1e-5)
    assert any(f"the normalisation is {how}." in note for note in read_training_log(tmp_path / "run").notes)


def test_its_files_answer_by_their_commands(run: SimpleNamespace, tmp_path: Path) -> None:
    rows = [f"p{i},{(7 * i + 3 * j) % 5}" for i in range(6) for j in range(16)]
    (tmp_path / "base.csv").write_text("\n".join(["prompt_id,score", *rows]) + "\n")
    place = str(run.folder / "run")
    said = CliRunner().invoke(main, ["overlay", place, str(tmp_path / "base.csv"), "--reward", "score", "--no-check"])
    assert said.exit_code == 0, said.output
    assert "At step 2 the run has" in said.stdout
    said = CliRunner().invoke(main, ["kl", place, "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["best"] == "rao_blackwell"


def test_a_resumed_run_goes_on_in_the_same_file(run: SimpleNamespace) -> None:
    shutil.rmtree(run.folder / "out" / "checkpoint-3")  # as if it had crashed before it
    before = (run.folder / "run" / "rollouts.jsonl").read_bytes()
    trained(run.folder, "GRPO", 5, record={"tokens": True})  # from the checkpoint after 2 steps
    path = run.folder / "run" / "rollouts.jsonl"
    assert path.read_bytes().startswith(before)
    log = read_training_log(path)
    assert log.step.tolist() == [0, 1, 2, 3, 4]
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps[::8] == [0, 1, 2, 2, 3, 4]


def test_rloo_with_several_rewards_and_every_second_step(tmp_path: Path) -> None:
    trainer = trained(tmp_path, "RLOO", 3, rewards=[ones, spaces], reward_weights=[1.0, 0.5], record={"every": 2})
    rows = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()]
    assert {row["step"] for row in rows} == {0, 2}
    for row in rows:
        assert {"advantage", "reward"} < set(row)
        assert row["reward"] == pytest.approx(row["rewards/ones"] + 0.5 * row["rewards/spaces"])
        assert row["rewards/ones"] == ones([row["response"]])[0]
    assert trainer.state.global_step == 3


def test_at_another_temperature_the_policy_is_the_one_that_sampled(tmp_path: Path) -> None:
    trained(tmp_path, "GRPO", 1, temperature=0.6, record={"texts": False})
    samples = read_kl_samples(tmp_path / "run")
    assert any("temperature 0.6" in note for note in samples.notes)
    assert samples.log_ratio.mean() > 0.1  # the base at temperature 1 is another law, before any update
    row = json.loads((tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()[0])
    assert "response" not in row
    assert row["prompt_id"].startswith("p")


def test_without_a_reference_model_the_base_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="with beta = 0 the trainer has no reference model"):
        trained(tmp_path, "GRPO", 1, beta=0.0)
    trained(tmp_path, "GRPO", 1, beta=0.0, record={"base": gpt2(len(WORDS))})
    assert read_training_log(tmp_path / "run").kl.tolist() == [pytest.approx(0.0, abs=1e-6)]
    with pytest.raises(
        InputError, match=r"must be trl's GRPOTrainer or RLOOTrainer.*Linear \(trl .* has no _generate_and"
    ):
        rollout_callback(torch.nn.Linear(1, 1), tmp_path)


class Model(torch.nn.Module):
    """A model of rewards, as trl takes one."""

    def forward(self, x: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=x[:, None])


async def later(values: list[float]) -> list[float | None]:
    return [*values[1:], None]


def other_trl(**output: object) -> SimpleNamespace:
    """What is used of a trainer, whose drawing asks two functions and a model for rewards and returns this."""
    names = ["sums", "later", "Model"]

    def draw(inputs: list[dict]) -> dict:
        values = [one["value"] for one in inputs]
        first, second, third = trainer.reward_funcs
        assert list(first(values)) == values
        assert asyncio.run(second(values))[-1] is None
        assert third(torch.tensor(values)).logits.shape == (len(values), 1)
        return output

    trainer = SimpleNamespace(
        _generate_and_score_completions=draw, reward_funcs=[iter, later, Model()], reward_weights=torch.ones(3),
        reward_func_names=names, accelerator=SimpleNamespace(unwrap_model=lambda model: model, process_index=0),
        ref_model=Model(), model=SimpleNamespace(training=True), state=SimpleNamespace(global_step=0),
    )  # fmt: skip
    return trainer


def test_rewards_of_every_kind_of_function_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[int, np.ndarray]] = []
    monkeypatch.setattr(_Recorder, "record", lambda self, *_: seen.append(dict(self.rewards)))
    trainer = other_trl()
    rollout_callback(trainer, tmp_path)
    trainer._generate_and_score_completions([{"value": 1.0}, {"value": 3.0}])
    np.testing.assert_array_equal(np.array([seen[0][i] for i in range(3)]), [[1.0, 3.0], [3.0, np.nan], [1.0, 3.0]])


def test_another_trl_loses_the_rollouts_and_not_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = other_trl(completion_ids=torch.ones(2, 3), completion_mask=torch.ones(2, 3))
    rollout_callback(trainer, tmp_path / "run")
    for _ in range(2):
        assert set(trainer._generate_and_score_completions([{"value": 1.0}] * 2)) == {
            "completion_ids",
            "completion_mask",
        }
    (said,) = capsys.readouterr().err.splitlines()
    assert "hands out no prompt_ids, prompt_mask of each response); training goes on." in said
    assert not (tmp_path / "run").exists()
