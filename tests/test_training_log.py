"""Training logs: real ones of trl, made-up ones by its key names, tables, and their units."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from alignlib._core.errors import InputError
from alignlib.training import read_training_log
from alignlib.training.logs import LogFormat, LogQuery, LogRows, log_format, register
from tests import awkward

DATA = Path(__file__).parent / "data"
GRPO, RLOO = DATA / "trl_grpo.json", DATA / "trl_rloo.json"  # trl 1.16 on a model of 11 tokens, unchanged


def ppo(step: int, **more) -> dict:
    """One entry of ``log_history`` with the keys that trl's PPOTrainer writes."""
    return {
        "eps": 3,
        "objective/kl": 0.1 * step,
        "objective/entropy": 41.0,
        "objective/non_score_reward": -0.5,
        "objective/rlhf_reward": 0.2 * step - 0.5,
        "objective/scores": 0.2 * step,
        "policy/approxkl_avg": 0.001,
        "loss/policy_avg": 0.01,
        "episode": 4 * step,
        "step": step,
        **more,
    }


def written(tmp_path: Path, history: object, name: str = "trainer_state.json") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps({"log_history": history}))
    return path


def test_grpo_is_read_as_trl_writes_it() -> None:
    log = read_training_log(GRPO)
    history = [row for row in json.loads(GRPO.read_text())["log_history"] if "reward" in row]
    assert (log.kl_name, log.kl_unit, log.reward_name) == ("kl", "token", "reward")
    assert log.step.tolist() == [row["step"] for row in history] == list(range(1, 17))
    assert log.logged_kl.tolist() == [row["kl"] for row in history]
    assert log.kl.tolist() == [row["kl"] * row["completions/mean_length"] for row in history]
    assert any("nats per token and was multiplied by the mean length" in note for note in log.notes)


def test_evaluations_are_read_apart() -> None:
    log = read_training_log(GRPO, evaluation=True)
    rows = [row for row in json.loads(GRPO.read_text())["log_history"] if "eval_reward" in row]
    assert log.kl_name == "eval_kl"
    assert log.kl.tolist() == [row["eval_kl"] * row["eval_completions/mean_length"] for row in rows]
    assert log.reward.tolist() == [row["eval_reward"] for row in rows]


def test_rloo_logs_negative_kls_and_they_stay() -> None:
    log = read_training_log(RLOO)
    assert (log.logged_kl < 0.0).sum() == 3
    assert (log.kl < 0.0).sum() == 3
    assert any(note.startswith("3 of 10 logged KLs are negative") for note in log.notes)
    assert any("were cut at the largest length" in note for note in log.notes)


def test_ppo_logs_per_sequence_and_its_score_is_the_reward(tmp_path: Path) -> None:
    path = written(tmp_path, [ppo(step) for step in range(1, 6)])
    log = read_training_log(path)
    assert (log.kl_unit, log.reward_name, log.length) == ("sequence", "objective/scores", None)
    np.testing.assert_allclose(log.kl, 0.1 * np.arange(1, 6))
    np.testing.assert_allclose(log.reward, 0.2 * np.arange(1, 6))
    assert [note.split(":")[0].split(".")[0] for note in log.notes] == [
        "Recognised", "No logged KL has more than 1 decimal",
    ]  # fmt: skip
    assert "'objective/kl', in nats per sequence by k1, because trl's PPO sums" in log.notes[0]


def test_a_turned_sign_is_told_by_the_scatter_not_by_the_course_of_the_kl(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    kl = -0.5 * np.linspace(0.0, 1.0, 12) ** 2
    path.write_text("step,kl,reward\n" + "".join(f"{i},{x:.9f},{i}\n" for i, x in enumerate(kl)), encoding="utf-8")
    notes = " ".join(read_training_log(path, kl_unit="sequence").notes)
    assert "below 0 by more than chance" in notes
    noisy = np.abs(kl) + 0.2 * np.random.default_rng(0).standard_normal(12) - 0.1
    path.write_text("step,kl,reward\n" + "".join(f"{i},{x:.9f},{i}\n" for i, x in enumerate(noisy)), encoding="utf-8")
    notes = " ".join(read_training_log(path, kl_unit="sequence").notes)
    assert "are negative" in notes
    assert "impossible" not in notes


def test_online_dpo_has_a_kl_although_it_compares(tmp_path: Path) -> None:
    path = written(tmp_path, [ppo(step, **{"logps/chosen": -3.0, "rewards/chosen": 0.1}) for step in (1, 2)])
    assert read_training_log(path).kl_name == "objective/kl"


def test_old_grpo_calls_its_length_otherwise(tmp_path: Path) -> None:
    path = written(tmp_path, [{"step": 1, "kl": 0.5, "reward": 1.0, "completion_length": 4.0}])
    log = read_training_log(path)
    assert log.kl.tolist() == [2.0]  # as far as means tell: of two responses, 1 and 7 tokens, it may be 0.5 or 3.5
    assert "mean over responses" in log.notes[-1]
    assert "mean over all tokens" not in " ".join(log.notes)
    new = written(tmp_path, [{"step": 1, "kl": 0.5, "reward": 1.0, "completions/mean_length": 4.0}])
    assert "mean over all tokens" in read_training_log(new).notes[-1]


def test_folders_of_checkpoints(tmp_path: Path) -> None:
    for step in (9, 100):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        written(folder, [ppo(step)])
    assert read_training_log(tmp_path).step.tolist() == [100.0]
    written(tmp_path, [ppo(7)])
    assert read_training_log(tmp_path).step.tolist() == [7.0]


def test_tables_must_say_their_unit(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("kl,reward,tokens\n0.1,1,10\n0.2,2,20\n")
    assert read_training_log(path, kl_unit="sequence").kl.tolist() == [0.1, 0.2]
    assert read_training_log(path, kl_unit="token", length=10.0).kl.tolist() == [1.0, 2.0]
    assert read_training_log(path, kl_unit="token", length="tokens").kl.tolist() == [1.0, 4.0]
    lines = tmp_path / "run.jsonl"
    lines.write_text('{"kl": 0.1, "reward": 1, "step": 5}\n{"kl": 0.2, "reward": 2, "step": 9}\n')
    assert read_training_log(lines, kl_unit="sequence").step.tolist() == [5.0, 9.0]


def test_runs_are_kept_apart_and_chosen(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("kl,reward,run\n" + "".join(f"{k},{k},{name}\n" for name in ("a1", "b1", "a2") for k in range(4)))
    log = read_training_log(path, kl_unit="sequence", run="run", only="a*")
    assert log.runs == ["a1", "a2"]
    pooled = log.pooled(2)
    assert pooled.kl.tolist() == [0.5, 2.5, 0.5, 2.5]
    assert pooled.run.tolist() == ["a1", "a1", "a2", "a2"]
    assert log.pooled(3).step.size == 2  # what is left over joins its neighbours
    assert log.pooled(1) is log


def test_noise_is_measured_beside_a_straight_course(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "run.csv"
    rows = [f"{k / 100},{3 + k / 10 + 0.2 * rng.standard_normal()}" for k in range(4000)]
    path.write_text("kl,reward\n" + "\n".join(rows) + "\n")
    assert read_training_log(path, kl_unit="sequence").noise() == pytest.approx(0.2, rel=0.05)
    path.write_text("kl,reward\n0,1\n1,2\n2,3\n3,4\n")
    assert read_training_log(path, kl_unit="sequence").noise() is None


@pytest.mark.parametrize(
    ("history", "options", "sentence"),
    [
        (
            [{"step": 1, "reward": 1.0}],
            {},
            "logs rewards but no KL: with beta = 0, trl's default, GRPO has no reference model",
        ),
        ([{"step": 1, "loss": 1.0}], {}, "no KL ('kl' or 'objective/kl')"),
        ([{"step": 1, "rewards/chosen": 1.0, "logps/chosen": -1.0}], {}, "preference training"),
        ([{"step": 1, "kl": 0.1, "rewards/chosen": 1.0}], {}, "KTO's 'kl' is another quantity"),
        ([{"step": 1, "kl": 0.1, "reward": 1.0}], {}, "no mean length to convert it with"),
        ([{"step": 1, "kl": 0.1, "reward": "x"}], {"length": 3.0}, ", not a number"),
        ([{"step": 1, "kl": 0.1, "reward": True}], {"length": 3.0}, ", not a number"),
        (
            [{"step": 1, "kl": 0.1, "reward": 1.0}, {"step": 3, "kl": float("nan"), "reward": 1.0}],
            {"length": 3.0},
            "the first at step 3",
        ),
        ([{"step": 3, "kl": None, "reward": 1.0, "reward_std": 1.0}], {"length": 3.0}, "is empty in all 1 row"),
        ([{"step": 1, "kl": 0.1}], {"length": 3.0}, "logs no 'reward' (reward)"),
        ([{"step": 1, "mykl": 0.1, "reward": 1.0}], {"kl": "mykl"}, "per sequence or per token"),
        ([{"step": 1, "mykl": 0.1, "r": 1.0}], {"kl": "mykl", "kl_unit": "sequence"}, "name the key of the reward"),
        ([{"step": 1, "kl": 0.1, "reward": 1.0}], {"kl": "other", "kl_unit": "sequence"}, "logs no 'other' (kl)"),
        ([{"step": 1, "kl": 0.1, "reward": 1.0}], {"evaluation": True}, "evaluations of "),
        ([], {}, "logged nothing"),
        ({}, {}, "no 'log_history'"),
        ([ppo(1)], {"kl_unit": "word"}, "kl_unit must be"),
    ],
)
def test_bad_logs_are_a_sentence(tmp_path: Path, history, options, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        read_training_log(written(tmp_path, history), **options)
    assert sentence in str(caught.value)


def test_beta_zero_on_the_real_log() -> None:
    with pytest.raises(InputError, match="with beta = 0"):
        read_training_log(DATA / "trl_grpo_beta_0.json")


def test_other_bad_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no trainer_state"):
        read_training_log(tmp_path)
    with pytest.raises(InputError, match="There is no file"):
        read_training_log(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"log_history": [')
    with pytest.raises(InputError, match="not whole JSON"):
        read_training_log(tmp_path / "cut.json")
    table = tmp_path / "run.csv"
    table.write_text("kl,reward\n0.1,1\n,2\n")
    with pytest.raises(InputError, match="per sequence or per token"):
        read_training_log(table)
    with pytest.raises(InputError, match="no mean length"):
        read_training_log(table, kl_unit="token")
    with pytest.raises(InputError, match="1 of 2 checkpoints"):
        read_training_log(table, kl_unit="sequence")
    assert read_training_log(table, kl_unit="sequence", drop_missing=True).notes[1].startswith("Dropped: 1 of 2")
    with pytest.raises(ValueError, match="no column 'score'"):
        read_training_log(table, kl_unit="sequence", reward="score")
    table.write_text("kl,reward,run\n0.1,1,a\n")
    with pytest.raises(InputError, match="no run that matches 'b'"):
        read_training_log(table, kl_unit="sequence", run="run", only="b")


def test_checkpoints_of_many_runs(tmp_path: Path) -> None:
    frame = awkward.checkpoints()
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    log = read_training_log(path, reward="gold_score", kl_unit="sequence", run="run")
    assert (log.kl.size, log.runs) == (120, frame["run"].unique().tolist())
    np.testing.assert_array_equal(log.kl, frame["kl"])
    one = read_training_log(path, reward="gold_score", kl_unit="sequence", run="run", only="rloo_*")
    assert sorted(one.runs) == sorted(name for name in log.runs if name.startswith("rloo"))


def test_a_format_is_one_file_that_registers_itself(tmp_path: Path) -> None:
    """What such a file would hold; it is asked before tables are, which take any file."""

    def read_pairs(path: Path, query: LogQuery) -> LogRows:
        pairs = np.array([line.split() for line in path.read_text().splitlines()], dtype=float)
        steps, names = np.arange(float(len(pairs))), np.full(len(pairs), path.stem, dtype=object)
        return LogRows("kl", "sequence", query.reward or "reward", steps, pairs[:, 0], pairs[:, 1], None, names)

    toy = LogFormat("pairs", lambda path: path if path.suffix == ".pairs" else None, read_pairs)
    (tmp_path / "run.pairs").write_text("0 1\n0.5 2\n")
    with pytest.raises(InputError, match=r"unknown extension '\.pairs'"):
        read_training_log(tmp_path / "run.pairs")
    register(toy)
    try:
        log = read_training_log(tmp_path / "run.pairs", reward="score")
        with pytest.raises(InputError, match="there is a log format 'pairs' already"):
            register(toy)
    finally:
        log_format._FORMATS.pop("pairs")
    assert (log.kl.tolist(), log.reward.tolist(), log.reward_name, log.runs) == (
        [0.0, 0.5],
        [1.0, 2.0],
        "score",
        ["run"],
    )
