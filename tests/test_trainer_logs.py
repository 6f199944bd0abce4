"""Logs of trainers and trackers, of our own making in the documented shape: recognised, joined, in the right unit."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
import shlex
import sqlite3
import tempfile
from contextlib import closing
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.training import read_training_log
from alignlib.training.logs.steps import in_order
from alignlib.training.logs.trainers import known_trainers, recognise

STEPS = [10, 20, 30]
KL, REWARD, LENGTH = [0.01, 0.02, 0.03], [0.2, 0.3, 0.35], [100.0, 110.0, 120.0]
PER_TOKEN = [k * n for k, n in zip(KL, LENGTH, strict=True)]


def rows(kl: str, reward: str, length: str, step: str = "step") -> list[dict[str, float]]:
    return [
        dict(zip((step, kl, reward, length), one, strict=True)) for one in zip(STEPS, KL, REWARD, LENGTH, strict=True)
    ]


TRL = rows("kl", "reward", "completions/mean_length")
VERL = rows("actor/kl_loss", "critic/score/mean", "response_length/mean")


def as_csv(table: list[dict], head: list[str] | None = None) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, head or list(dict.fromkeys(key for row in table for key in row)))
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def lines(table: list[dict]) -> str:
    return "\n".join(map(json.dumps, table)) + "\n"


def panels(name: str, key: str) -> str:
    column = f"{name} - train/{key}"
    return as_csv(
        [{"train/global_step": r["step"], column: r[key], column + "__MIN": 0, column + "__MAX": 9} for r in TRL]
    )


def mlflow() -> str:
    return as_csv(
        [
            {"run_id": "f00", "key": key, "value": row[key], "step": row["step"], "timestamp": 1}
            for key in ("kl", "reward", "completions/mean_length")
            for row in TRL
        ]
    )


LOGS = {
    "verl, JSON lines": ("run.jsonl", lines([{"step": r["step"], "data": r} for r in VERL]), "verl"),
    "verl, console": (
        "run.log",
        "".join(
            f"\x1b[36m(TaskRunner pid=7)\x1b[0m step:{r['step']} - "
            + " - ".join(f"{key}:{value:.3f}" for key, value in r.items() if key != "step")
            + " - actor/ppo_kl:-0.000\nEpoch 1: 5%|x| 1/9\n"
            for r in VERL
        ),
        "verl",
    ),
    "verl, console of NumPy 2": (
        "run.txt",
        "".join(
            f"(TaskRunner pid=7) step:{r['step']} - "
            + " - ".join(f"{key}:np.float64({value!r})" for key, value in r.items() if key != "step")
            + " - training/global_step:np.int64(3) - actor/ppo_kl:np.float64(-8e-06)\n"
            for r in VERL
        ),
        "verl",
    ),
    "EasyR1, nested JSON lines": (
        "experiment_log.jsonl",
        lines(
            [
                {
                    "step": r["step"],
                    "actor": {"kl_loss": r["actor/kl_loss"]},
                    "reward": {"overall": r["critic/score/mean"]},
                    "response_length": {"mean": r["response_length/mean"]},
                }
                for r in VERL
            ]
        ),
        "EasyR1",
    ),
    "trl, console": (
        "out.txt",
        "".join(f"{ {'loss': 0.0, **{k: v for k, v in r.items() if k != 'step'}, 'epoch': 0.1} }\n" for r in TRL),
        "trl",
    ),
    "ms-swift, logging.jsonl": (
        "logging.jsonl",
        lines([{**r, "step": None, "global_step/max_steps": f"{r['step']}/30", "memory(GiB)": 9.1} for r in TRL]),
        "trl",
    ),
    "OpenRLHF, console": (
        "train.log",
        "".join(
            f"INFO ✨ Global step {r['step']}: {{'policy_loss': 0.1, 'kl': {r['kl']}, 'reward': {r['reward']}, "
            f"'response_length': {r['completions/mean_length']}, 'actor_lr': 5e-07}}\n"
            for r in TRL
        ),
        "OpenRLHF",
    ),
    "wandb, whole history": (
        "wandb.csv",
        as_csv(
            [
                {"_step": 7 * r["step"], **{f"train/{k}": v for k, v in r.items()}, "train/global_step": r["step"]}
                for r in TRL
            ]
        ),
        "trl",
    ),
    "wandb, history as JSON, sparse": (
        "history.json",
        json.dumps([{"_step": r["step"], f"train/{key}": r[key]} for r in TRL for key in r if key != "step"]),
        "trl",
    ),
    "MLflow": ("metrics.csv", mlflow(), "trl"),
    "NeMo-RL, by step": (
        "nemo.json",
        json.dumps(
            {
                "train/" + new: {str(r["step"]): r[old] for r in TRL}
                for new, old in (
                    ("kl_penalty", "kl"),
                    ("reward", "reward"),
                    ("mean_gen_tokens_per_sample", "completions/mean_length"),
                )
            }
        ),
        "NeMo-RL",
    ),
    "Tinker cookbook": (
        "metrics.jsonl",
        lines(rows("kl_policy_base", "env/all/reward/total", "env/all/ac_tokens_per_turn")),
        "Tinker cookbook",
    ),
}


@pytest.mark.parametrize("kind", LOGS)
def test_a_log_is_recognised_by_what_is_in_it(tmp_path: Path, kind: str) -> None:
    name, text, trainer = LOGS[kind]
    (tmp_path / name).write_text(text)
    log = read_training_log(tmp_path / name)
    np.testing.assert_allclose(log.kl, PER_TOKEN, rtol=1e-12)
    np.testing.assert_allclose(log.reward, REWARD)
    if kind != "trl, console":  # which prints no step
        assert log.step.tolist() == STEPS
    assert f"keys of {trainer}. The KL is" in log.notes[0]
    assert "in nats per token" in log.notes[0]
    assert "because" in log.notes[0]


OTHERS = {
    "trl before 0.12 (PPO)": ("objective/kl", "env/reward_mean", "tokens/responses_len_mean", "sequence"),
    "trl": ("objective/kl", "objective/scores", "logps/chosen", "sequence"),  # as online DPO logs
    "Open Instruct": ("objective/kl_avg", "objective/verifiable_reward", "val/sequence_lengths", "token"),
    "SkyRL": ("policy/policy_kl", "reward/avg_raw_reward", "generate/avg_num_tokens", "token"),
    "slime": ("train/kl_loss", "rollout/raw_reward", "rollout/response_lengths", "token"),
    "verl": ("critic/kl", "critic/score/mean", "response_length/mean", "token"),  # of older versions
}


@pytest.mark.parametrize("trainer", OTHERS)
def test_trainers_of_a_few_keys(tmp_path: Path, trainer: str) -> None:
    kl, reward, length, unit = OTHERS[trainer]
    (tmp_path / "run.jsonl").write_text(lines(rows(kl, reward, length)))
    log = read_training_log(tmp_path / "run.jsonl")
    np.testing.assert_allclose(log.kl, PER_TOKEN if unit == "token" else KL)
    np.testing.assert_allclose(log.reward, REWARD)
    assert f"keys of {trainer}. The KL is {kl!r}, in nats per {unit}" in log.notes[0]


def test_wandb_panels_hold_runs_side_by_side(tmp_path: Path) -> None:
    for key in ("kl", "reward", "completions/mean_length"):
        (tmp_path / f"{key.replace('/', '_')}.csv").write_text(panels("tuned - 2", key))
    log = read_training_log(tmp_path)
    np.testing.assert_allclose(log.kl, PER_TOKEN)
    assert log.runs == ["tuned - 2"]
    two = [{"Step": r["step"], **{f"{run} - train/{k}": v for run in ("a", "b") for k, v in r.items()}} for r in TRL]
    (tmp_path / "both.csv").write_text(as_csv(two))  # of two runs, without __MIN and __MAX
    assert read_training_log(tmp_path / "both.csv").runs == ["a", "b"]
    with pytest.raises(InputError, match="holds one metric of wandb's, 'train/reward'; put the CSVs of KL, reward"):
        read_training_log(tmp_path / "reward.csv")
    (tmp_path / "tensorboard.csv").write_text("Wall time,Step,Value\n1,1,0.1\n")
    with pytest.raises(InputError, match="TensorBoard's CSV of one scalar"):
        read_training_log(tmp_path / "tensorboard.csv")


def test_another_column_that_may_be_the_kl_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(lines([{"kl": 60.0 * r["kl"], **{f"train/{key}": value for key, value in r.items()}} for r in TRL]))
    log = read_training_log(path)
    np.testing.assert_allclose(log.kl, PER_TOKEN)
    assert log.kl_name == "train/kl"
    assert any("'kl' may be meant as well: it averages 1.2 where 'train/kl'" in note for note in log.notes)
    for times, said in ((3.0, True), (1.0, False)):
        path.write_text(lines([{**r, "actor/reward_kl_penalty": times * r["actor/kl_loss"]} for r in VERL]))
        notes = read_training_log(path).notes
        assert any("'actor/kl_loss' may be meant as well" in note for note in notes) == said


def test_what_is_no_kl_to_the_base_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(lines([{"step": 1, "data": {"actor/ppo_kl": 0.1, "critic/score/mean": 1.0}}]))
    with pytest.raises(InputError, match="'actor/ppo_kl' is the distance to the policy before the update"):
        read_training_log(path)
    path.write_text(lines([{"global_step": 1, "ppo_actor/task_reward/avg": 0.5, "ppo_actor/kl_rewards/avg": -1e-4}]))
    with pytest.raises(InputError, match="the KL per token times minus its coefficient"):
        read_training_log(path)
    path = tmp_path / "orchestrator.log"
    path.write_text("16:43:41 SUCCESS Step 13 | Time: 7.47s | Reward: 0.7307 | Seq. Length: 104.9 tokens/sample\n")
    with pytest.raises(InputError, match="prime-rl trains without a reference model"):
        read_training_log(path)


def test_what_a_log_tells_of_another_law_is_said(tmp_path: Path) -> None:
    def said(**more: float) -> str:
        table = [{"step": at, "kl": 0.002 * (at - 1), "reward": 1.0, "completions/mean_length": 50.0, **more}
                 for at in (1, 2, 3)]  # fmt: skip
        (tmp_path / "run.jsonl").write_text(lines(table))
        return " ".join(read_training_log(tmp_path / "run.jsonl").notes)

    key = "sampling/sampling_logp_difference/mean"
    assert "differ by" not in said(**{key: 1e-5})
    assert f"differ by 0.01 nats per token ('{key}')" in said(**{key: 0.01})
    assert "Before the first update it must be 0" not in said()
    assert "Before the first update it must be 0" in said(kl=0.05)


def test_a_mean_over_responses_is_bounded_by_the_lengths(tmp_path: Path) -> None:
    """Two responses: 50 tokens at 1 nat each and 1,000 at 0.05: 50 nats each, where mean times mean says 276."""
    row = {"step": 1, "critic/kl": 0.525, "critic/score/mean": 1.0, "response_length/mean": 525.0}
    (tmp_path / "a.jsonl").write_text(lines([row]))
    log = read_training_log(tmp_path / "a.jsonl", estimator="k3")
    assert [end.tolist() for end in log.ends] == [[0.525], [np.inf]]
    assert "least and largest tokens of a response bound it (lengths)" in log.notes[-1]
    given = read_training_log(tmp_path / "a.jsonl", lengths=(50, 1000), estimator="k3")
    (tmp_path / "a.jsonl").write_text(lines([row | {"response_length/min": 50.0, "response_length/max": 1000.0}]))
    log = read_training_log(tmp_path / "a.jsonl", estimator="k3")
    assert [end.tolist() for end in log.ends] == [[26.25], [525.0]] == [end.tolist() for end in given.ends]
    assert "lies between 26.2 and 525 nats" in log.notes[-1]
    with pytest.raises(InputError, match="at step 1 the log has responses of 50 to 1000 tokens"):
        read_training_log(tmp_path / "a.jsonl", estimator="k3", lengths=(500, 550))


@pytest.mark.parametrize("stops", [0.2, 0.8])  # the policy writes longer responses, or stops early
def test_lengths_bound_no_mean_of_log_ratios(tmp_path: Path, stops: float) -> None:
    """Responses of 20 or 200 tokens, as likely under the base: the exact KL lies outside what k3's ends would be."""
    n, policy = np.array([20.0, 200.0]), np.array([stops, 1.0 - stops])
    ratio = np.log(policy / 0.5)
    kl, mean = float(policy @ ratio), float(policy @ (ratio / n))
    assert not 20.0 * mean <= kl <= 200.0 * mean
    row = {"critic/kl": mean, "critic/score/mean": 0.5, "response_length/mean": float(policy @ n)}
    row |= {"response_length/min": 20.0, "response_length/max": 200.0}
    (tmp_path / "a.jsonl").write_text(lines([{"step": at, **row} for at in range(9)]))
    for estimator in (None, "k1", "k2"):
        log = read_training_log(tmp_path / "a.jsonl", estimator=estimator)
        assert all(low <= kl < high == np.inf for low, high in zip(*log.ends, strict=True))
        assert (log.kl >= 0.0).all()
        assert "nor does a least or largest length bound it" in log.notes[-1]
        assert ("say so (estimator)" in log.remedy) == (estimator is None and mean > 0.0)
    notes = " ".join(read_training_log(tmp_path / "a.jsonl").notes)
    assert ("its sign tells nothing of the KL" in notes) == (mean < 0.0)
    assert "impossible" not in notes
    done = CliRunner().invoke(main, ["overlay", str(tmp_path / "a.jsonl")])
    assert done.exit_code == 0
    assert "what KL that took is not told" in done.output
    one = {"response_length/mean": 50.0, "response_length/min": 50.0, "response_length/max": 50.0}
    (tmp_path / "a.jsonl").write_text(lines([{"step": at, **row, **one} for at in range(9)]))
    log = read_training_log(tmp_path / "a.jsonl")
    assert log.kl_low is None
    np.testing.assert_allclose(log.kl, 50.0 * mean)


@pytest.mark.parametrize(
    ("name", "text", "said", "unsaid"),
    [
        pytest.param(
            "run.jsonl",
            lines([{"step": 1, "actor/train/kl": 0.1, "rewards/sum": 1, "completions/mean_length": 9}]),
            r"no KL by a key of trl .*called like one: 'actor/train/kl'\. Name the one",
            "train with a reference model",
            id="another's key beside one of trl",
        ),
        pytest.param(
            "run.csv",
            "_step,policy/kl_per_token,policy/approx_kl,reward/mean,kl_ctl_value\n1,0.1,0.2,0.3,0.05\n",
            r"called like one: 'policy/kl_per_token'\. Name the one",
            "did you mean",
            id="a coefficient is none",
        ),
        pytest.param(
            "run.csv", "step,kl_coef,reward\n1,0.05,0.3\n", "nor is another called like one", "did you mean", id="none"
        ),
        pytest.param(
            "run.txt", "Step 1 | loss:0.1 kl:0.1\nStep 2 | loss:0.1 kl:0.2\n", "lines of keys and values, as 'loss:0.1",
            "Name one of these", id="pairs in a text",
        ),
        pytest.param(
            "run.log", "begun\nlevel=info step=1 kl=0.12 reward=0.3\n", "lines of keys and values, as 'step=1",
            "by its extension", id="pairs in a log",
        ),
    ],
)  # fmt: skip
def test_what_may_be_the_kl_is_told_where_none_is_known(
    tmp_path: Path, name: str, text: str, said: str, unsaid: str
) -> None:
    """No coefficient is proposed, nor the user sent to sample what is logged under another name."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=said) as refused:
        read_training_log(path)
    assert unsaid not in str(refused.value)


def test_means_of_log_ratios_of_roundings_size_are_no_kl_of_0(tmp_path: Path) -> None:
    """Log-ratios of both signs may cancel in a mean, whatever the KL; of equal lengths such a mean is 0."""
    row = {"critic/score/mean": 0.5, "response_length/mean": 100.0, "response_length/max": 200.0}
    for least, top in ((50.0, np.inf), (100.0, 0.0)):
        rest = row | {"response_length/min": least, "response_length/max": 200.0 if least < 100.0 else 100.0}
        made = [{"step": at, "critic/kl": kl, **rest} for at, kl in enumerate([-5e-7, -1e-9])]
        (tmp_path / "a.jsonl").write_text(lines(made))
        log = read_training_log(tmp_path / "a.jsonl")
        assert log.kl.tolist() == [0.0, 0.0]
        assert log.ends[1].tolist() == [top, top]


def test_a_turned_sign_shows_where_all_responses_are_equally_long(tmp_path: Path) -> None:
    """A mean over responses is then one over tokens; a mean length in float32 is off by its digits."""
    row = {"critic/score/mean": 0.5, "response_length/min": 100, "response_length/max": 100}
    row["response_length/mean"] = 100.00000762939453
    (tmp_path / "a.jsonl").write_text(lines([{"step": at, "critic/kl": -0.003, **row} for at in range(9)]))
    log = read_training_log(tmp_path / "a.jsonl")
    assert log.kl_low is None
    assert any("impossible of a mean over all tokens" in one and "or the sign is turned;" in one for one in log.notes)


@pytest.mark.parametrize(("least", "mean", "largest"), [(500, 20, 60), (5, 2000, 60), (-5, 20, 60), (30, 20, np.nan)])
def test_lengths_that_contradict_each_other_are_refused(
    tmp_path: Path, least: float, mean: float, largest: float
) -> None:
    row = {"critic/kl": 0.01, "critic/score/mean": 0.5, "response_length/min": least}
    row |= {"response_length/mean": mean, "response_length/max": largest}
    (tmp_path / "a.jsonl").write_text(lines([{"step": 3, **row}]))
    with pytest.raises(InputError, match="lengths of the log contradict each other at step 3"):
        read_training_log(tmp_path / "a.jsonl")
    assert read_training_log(tmp_path / "a.jsonl", length=20.0).ends[0].size == 1


def test_a_loss_on_an_unknown_scale_is_no_kl_unless_said(tmp_path: Path) -> None:
    """verl's versions divide it by the micro-batches, or sum it over updates."""
    (tmp_path / "a.jsonl").write_text(lines(VERL))
    log = read_training_log(tmp_path / "a.jsonl")
    assert np.isinf(log.ends[1]).all()
    assert not log.ends[0].any()
    assert "versions of the trainer log on several scales" in log.notes[-1]
    said = read_training_log(tmp_path / "a.jsonl", kl_unit="token")
    assert said.kl_low is None
    np.testing.assert_allclose(said.kl, PER_TOKEN)
    again = read_training_log(tmp_path / "a.jsonl", kl_unit="sequence")
    assert "as you said, though verl logs it per token" in again.notes[0]


def test_lengths_that_count_tools_tokens_give_no_lower_end(tmp_path: Path) -> None:
    """verl's response_length counts what tools wrote; its KL is a mean over what the policy wrote."""
    row = {"critic/score/mean": 0.5, "response_length/mean": 400.0, "response_length/min": 320.0,
           "response_length/max": 500.0, "num_turns/max": 6, "num_turns/mean": 4.5}  # fmt: skip
    for key, unit, most in (("critic/kl", None, 500.0), ("actor/kl_loss", "token", 400.0)):
        (tmp_path / "a.jsonl").write_text(lines([{"step": at, key: 0.0101234, **row} for at in range(9)]))
        log = read_training_log(tmp_path / "a.jsonl", estimator="k3", kl_unit=unit)
        assert log.ends[0][0] == pytest.approx(0.0101234)
        assert log.ends[1][0] == pytest.approx(most * 0.0101234)
        assert any("counts the tokens of tools too" in note for note in log.notes)
        own = read_training_log(tmp_path / "a.jsonl", estimator="k3", kl_unit="token", length=110.0)
        assert not any("tools" in note for note in own.notes)


def test_a_unit_is_said_of_those_logs_whose_unit_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "trl.jsonl").write_text(lines(TRL))
    (tmp_path / "own.csv").write_text(as_csv(rows("kl", "reward", "tokens")))
    both = ["overlay", str(tmp_path / "trl.jsonl"), "--also", str(tmp_path / "own.csv"), "--kl-unit", "sequence"]
    done = CliRunner().invoke(main, [*both, "--json"])
    point = json.loads(done.stdout)["points"]
    # As of each alone: the KL per token, of two decimals, is known between ends.
    assert [(one["kl_low"] + one["kl_high"]) / 2.0 for one in point] == pytest.approx([*PER_TOKEN, *KL])


def test_a_scale_said_with_the_unit_holds_among_several_logs(tmp_path: Path) -> None:
    (tmp_path / "verl.jsonl").write_text(lines(VERL))
    (tmp_path / "ppo.jsonl").write_text(
        lines([{"step": at, "objective/kl": one, "objective/scores": one} for at, one in enumerate(KL)])
    )
    both = ["overlay", str(tmp_path / "ppo.jsonl"), "--also", str(tmp_path / "verl.jsonl"), "--kl-unit", "token"]
    done = CliRunner().invoke(main, [*both, "--json"])
    found = [(one["kl_low"] + one["kl_high"]) / 2.0 for one in json.loads(done.stdout)["points"]]
    assert found == pytest.approx([*KL, *PER_TOKEN])


SCHEMES = {  # how a log's KL per token is made of responses, a part of a batch to each
    "trl": ("kl", "reward", "completion_length", "responses"),
    "verl": ("critic/kl", "critic/score/mean", "response_length/mean", "responses"),
    "slime": ("train/kl_loss", "rollout/raw_reward", "rollout/response_len/mean", "responses"),
    "OpenRLHF": ("kl", "reward", "response_length", "parts"),
    "trl, any parts": ("kl", "reward", "completions/mean_length", "micro-batches"),
}


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 999), st.integers(0, 2)), min_size=1, max_size=9),
    st.sampled_from(sorted(SCHEMES)),
)
def test_the_bound_holds_whatever_the_responses(responses: list[tuple[float, int, int]], scheme: str) -> None:
    each, length, part = np.array(responses).T
    kl, reward, tokens, how = SCHEMES[scheme]
    groups = [part == one for one in np.unique(part)]
    if how == "responses":
        logged = each.mean()
    elif how == "parts":  # parts of equal size, each weighted by its mean length
        count = min(int(group.sum()) for group in groups)
        kept = np.concatenate([np.flatnonzero(group)[:count] for group in groups])
        each, length = each[kept].reshape(-1, count), length[kept].reshape(-1, count)
        weight = length.mean(axis=1)
        logged = float(weight @ each.mean(axis=1) / weight.sum())
    else:  # a mean over the tokens of each of equal parts
        count = min(int(group.sum()) for group in groups)
        kept = np.concatenate([np.flatnonzero(group)[:count] for group in groups])
        each, length = each[kept].reshape(-1, count), length[kept].reshape(-1, count)
        logged = float(((each * length).sum(axis=1) / length.sum(axis=1)).mean())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.jsonl")
        path.write_text(
            lines(
                [
                    {
                        "step": 3,
                        kl: float(logged),
                        reward: 0.5,
                        tokens: float(length.mean()),
                        "total_length": 9.0,
                        "reward_std": 0.1,
                    }
                ]
            )
        )
        ends = (float(length.min()), float(length.max()))
        low, high = read_training_log(path, lengths=ends, estimator="k3").ends
    truth = float((each * length).mean())
    assert low[0] <= truth * (1 + 1e-9) + 1e-9
    assert truth <= high[0] * (1 + 1e-9) + 1e-9


def test_batches_of_one_response_average_within_responses(tmp_path: Path) -> None:
    """What trl logs as a mean over tokens is then one within a response; over several steps nothing bounds lengths."""
    rows_ = [{"step": at, "kl": 0.01 * at, "reward": 0.5, "completions/mean_length": 50.0,
              "completions/min_length": 10.0, "completions/max_length": 90.0} for at in (1, 2)]  # fmt: skip
    path = tmp_path / "trainer_state.json"
    for size, every, ends in ((1, 1, (0.2, 1.8)), (1, 10, (0.02, np.inf)), (8, 1, (1.0, 1.0))):
        state = {"train_batch_size": size, "logging_steps": every, "log_history": rows_}
        path.write_text(json.dumps(state))
        log = read_training_log(path, estimator="k3")
        assert tuple(float(end[1]) for end in log.ends) == pytest.approx(ends)
        assert any("train_batch_size is 1" in note for note in log.notes) == (size == 1)
    assert "averaged first" in log.notes[-1]
    assert "at step 2 lies between 0.2 and 1.8 nats" in log.notes[-1]


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ((0, 5), "the least and the largest tokens of a response, 1 at least"),
        ((9, 5), "in this order; got 9, 5"),
        ((5, 20), "at step 1 responses have 100 tokens on average"),
    ],
)
def test_lengths_that_cannot_be_are_refused(tmp_path: Path, lengths: tuple[float, float], words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"step": 1, "critic/kl": 0.5, "critic/score/mean": 1.0, "response_length/mean": 100.0}]))
    with pytest.raises(InputError, match=words):
        read_training_log(path, lengths=lengths)
    row = {"critic/kl": 0.5, "critic/score/mean": 1.0, "response_length/mean": 100.0, "response_length/max": 200.0}
    path.write_text(lines([{"step": 1, **row}]))
    with pytest.raises(InputError, match="at step 1 the log has responses of 1 to 200 tokens"):
        read_training_log(path, lengths=(50, 120))
    path.write_text(lines([{"step": 1, "objective/kl": 0.5, "objective/scores": 1.0}]))
    with pytest.raises(InputError, match=r"lengths (has no say|must)"):
        read_training_log(path, lengths=lengths)


@pytest.mark.parametrize(
    ("kl", "trainer", "said"),
    [
        ([0.1, -1e-9, 0.2], "trl", "which is rounding: taken as 0"),
        ([0.1, -0.01, 0.2], "trl", "by chance, where the KL is small; k2 and k3 (as trl's GRPO logs it) never are"),
        (
            [-0.31, -0.29, -0.3],
            "trl",
            "that is impossible of a mean over all tokens, for their mean over the run is below 0",
        ),
        ([0.0, -0.005, -0.02, -0.045], "trl", "that is impossible of a mean over all tokens"),  # a sign turned
        # Of an honest run whose likelier responses no batch holds, all others are a little less likely.
        ([-1e-4, -1.1e-4, -1e-4], "trl", "or what became likelier is too rare for its batches"),
        ([0.1, -0.01, 0.2], "NeMo-RL", "impossible by k3, which is never negative"),
        ([0.0, 0.0, 0.0], "trl", "Every logged KL is 0. Either the policy is still its base"),
    ],
)
def test_negative_and_vanishing_kls_are_told_apart(tmp_path: Path, kl: list[float], trainer: str, said: str) -> None:
    key, length = (
        ("kl", "completions/mean_length") if trainer == "trl" else ("kl_penalty", "mean_gen_tokens_per_sample")
    )
    table = [{"step": at, key: one, "reward": 1.0, length: 50.0} for at, one in enumerate(kl)]
    (tmp_path / "run.jsonl").write_text(lines(table))
    log = read_training_log(tmp_path / "run.jsonl")
    assert sum(said in note for note in log.notes) == 1
    assert log.kl[1] == 50.0 * (0.0 if kl[1] == -1e-9 else kl[1])


def test_a_log_whose_kls_are_all_negative_is_refused_by_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text(lines([{**r, "kl": -r["kl"]} for r in TRL]))
    done = CliRunner().invoke(main, ["overlay", str(tmp_path / "run.jsonl")])
    assert done.exit_code == 2
    assert "all KLs are negative, -" in done.stderr
    assert "--run-kl" not in done.stderr


def test_a_resume_replaces_what_was_logged_beyond_it(tmp_path: Path) -> None:
    again = [{**r, "kl": r["kl"] + 0.001} for r in TRL[1:]]
    (tmp_path / "run.jsonl").write_text(lines([*TRL, *again]))
    log = read_training_log(tmp_path / "run.jsonl")
    assert log.step.tolist() == STEPS
    np.testing.assert_allclose(log.logged_kl, [0.01, 0.021, 0.031])
    assert any("run back 1 time (to 20)" in note and "2 earlier ones" in note for note in log.notes)


def test_a_printed_log_without_steps_is_resumed_by_its_epochs(tmp_path: Path) -> None:
    """Two steps of one printed epoch are two; what was printed again after a resume counts once."""
    at = [0.01, 0.01, 0.02, 0.03, 0.02, 0.03]
    table = [{**TRL[0], "kl": 0.001 * (i + 1), "epoch": one} for i, one in enumerate(at)]
    for row in table:
        del row["step"]
    # As PowerShell's > writes what a console shows.
    (tmp_path / "run.log").write_text("".join(f"{row}\n" for row in table), encoding="utf-16")
    log = read_training_log(tmp_path / "run.log")
    np.testing.assert_allclose(log.logged_kl, [0.001, 0.002, 0.005, 0.006])
    assert any("The epochs run back 1 time (to 0.02)" in note and "2 earlier ones" in note for note in log.notes)
    assert any("1 row with the epoch of the row before" in note for note in log.notes)


def test_a_counter_that_begins_anew_is_no_new_run(tmp_path: Path) -> None:
    more = [{**r, "kl": r["kl"] + 0.03} for r in TRL]
    (tmp_path / "run.jsonl").write_text(lines([*TRL, *more]))
    log = read_training_log(tmp_path / "run.jsonl")
    assert log.step.tolist() == [10, 20, 30, 40, 50, 60]
    assert any("30 is added to the steps" in note for note in log.notes)


@pytest.mark.parametrize(
    ("counts", "again", "back"),
    [
        pytest.param((4, 4, 4), None, 0, id="three of a length"),
        pytest.param((3, 6, 2, 5), None, 0, id="four of unlike lengths"),
        pytest.param((4, 4, 4), (8, 6), 2, id="a resume within the second"),
        pytest.param((4, 4, 4), (4, 2), 2, id="a resume within the first"),
        pytest.param((4, 4, 4), (7, 4), 3, id="a resume from the beginning of the second"),
    ],
)
def test_a_counter_may_begin_anew_several_times(
    tmp_path: Path, counts: tuple[int, ...], again: tuple[int, int] | None, back: int
) -> None:
    at = [step for count in counts for step in range(1, count + 1)]
    rows = [(step, 0.1001 * (i + 1), 0.1 * (i + 1)) for i, step in enumerate(at)]
    if again is not None:  # killed before the row of the first, and resumed from that of the second
        rows = [
            *rows[: again[0]],
            *((step, kl + 0.0031, reward) for step, kl, reward in rows[again[1] : again[0]]),
            *rows[again[0] :],
        ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["step,kl,reward", *(",".join(map(str, row)) for row in rows), ""]), encoding="utf-8")
    log = read_training_log(path, kl_unit="sequence")
    assert log.step.tolist() == [*range(1, sum(counts) + 1)]
    np.testing.assert_allclose(log.reward, 0.1 * log.step)
    assert (log.kl - 0.1001 * log.step > 0.003).sum() == back
    assert sum("taken for one run that went on with a new counter" in note for note in log.notes) == len(counts) - 1
    assert any("went back to step 5, where it was" in note for note in log.notes) == (back == 3)


def test_a_counter_begins_anew_only_where_the_kl_goes_on() -> None:
    step, run = np.array([1.0, 2.0, 1.0, 2.0, 3.0]), np.full(5, "a", dtype=object)
    kl = np.array([9.9, 9.11, 0.5, 1.0, 1.5])
    at, _, values, notes = in_order(step, run, {"kl": kl, "reward": kl})
    assert (at.tolist(), values["kl"].tolist()) == ([1.0, 2.0, 3.0], [0.5, 1.0, 1.5])
    assert not any("goes on" in note for note in notes)


@pytest.mark.parametrize("order", ["time", "metric"])
@pytest.mark.parametrize("times", [False, True])
def test_lines_without_times_that_replace_others_say_which_order_was_taken(
    tmp_path: Path, order: str, times: bool
) -> None:
    written = [(step, key) for step in (1, 2, 3, 2, 3) for key in ("kl", "reward")]
    rows = [f"r,{key},0.{i + 1},{step}" + (f",{1000 + i}" if times else "") for i, (step, key) in enumerate(written)]
    if order == "metric":
        rows.sort(key=lambda row: row.split(",")[1])
    head = "run_id,key,value,step" + (",timestamp" if times else "")
    for kept in (rows, [row for row in rows if row.split(",")[2] in ("0.1", "0.2", "0.3", "0.4")]):
        (tmp_path / "metrics.csv").write_text("\n".join([head, *kept, ""]), encoding="utf-8")
        log = read_training_log(tmp_path / "metrics.csv", kl="kl", reward="reward", kl_unit="sequence")
        said = [note for note in log.notes if "no times that tell their order" in note]
        assert len(said) == (not times and kept is rows)
        assert all(("order of metrics" in note) == (order == "metric") for note in said)


@pytest.mark.parametrize("kind", ["row", "metric", "of two ranks"])
def test_steps_in_the_order_of_their_names_are_no_resume(tmp_path: Path, kind: str) -> None:
    """As of files of a folder one after the other."""
    steps = sorted(range(1, 13), key=str)
    held = [{"step": at, "kl": 0.1 * at, "reward": 0.01 * at} for at in steps]
    if kind == "metric":
        held = [{"step": row["step"], key: row[key]} for row in held for key in ("kl", "reward")]
    if kind == "of two ranks":
        held = [{**row, "rank": rank} for row in held for rank in (0, 1)]
    (tmp_path / "run.jsonl").write_text(lines(held))
    log = read_training_log(tmp_path / "run.jsonl", kl="kl", reward="reward", kl_unit="sequence")
    assert log.step.tolist() == [*range(1, 13)]
    np.testing.assert_allclose(log.kl, 0.1 * log.step)
    assert any("in the order of their steps' names" in note for note in log.notes)
    assert not any("run back" in note for note in log.notes)


LATE = {  # rows of KL and reward by their step, of another metric alone by its negative; and what counts
    "late": ([1, 2, 3, -2, 4, -3], [0, 1, 2, 4]),
    "late, in another order, at the end": ([1, 2, 3, 4, -3, -2, -2], [0, 1, 2, 3]),
    "before its step": ([-2, 1, 2, -4, 3, 4], [1, 2, 4, 5]),
    "of a step without KL": ([1, 2, 4, -3, 5], [0, 1, 2, 4]),
    "and a resume": ([1, 2, 3, -2, 2, 3, -3, 4], [0, 4, 5, 7]),
}


@pytest.mark.parametrize("kind", ["csv", "JSON lines"])
@pytest.mark.parametrize("order", LATE)
def test_a_row_of_another_metric_alone_is_no_resume(tmp_path: Path, order: str, kind: str) -> None:
    at, counts = LATE[order]
    rows = [
        {"step": s, "kl": 0.5 + i, "reward": 0.1 * i} if s > 0 else {"step": -s, "eval/acc": 0.3}
        for i, s in enumerate(at)
    ]
    path = tmp_path / ("run.csv" if kind == "csv" else "run.jsonl")
    path.write_text(pd.DataFrame(rows).to_csv(index=False) if kind == "csv" else lines(rows))
    log = read_training_log(path, kl="kl", reward="reward", kl_unit="sequence")
    assert log.step.tolist() == [at[i] for i in counts]
    np.testing.assert_allclose(log.kl, [0.5 + i for i in counts])
    assert any("run back" in note for note in log.notes) == ("resume" in order)


def test_a_resume_that_diverged_is_no_row_of_another_metric(tmp_path: Path) -> None:
    (tmp_path / "run.csv").write_text("step,kl,reward\n1,0.1,0.2\n2,0.2,0.3\n3,0.3,0.4\n2,nan,nan\n3,nan,nan\n")
    with pytest.raises(InputError, match="2 of 3 checkpoints"):
        read_training_log(tmp_path / "run.csv", kl_unit="sequence")


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_steps_rise_and_the_later_row_wins(steps: list[int]) -> None:
    step, place = np.array(steps, dtype=float), np.arange(float(len(steps)))
    run = np.full(len(steps), "a", dtype=object)
    found, _, values, notes = in_order(step, run, {"kl": 0.0 * place, "reward": place})
    assert (np.diff(found) > 0.0).all()
    if any(note.startswith("Averaged") for note in notes):  # many steps are written several times
        assert np.isin(found, step).all()
        return
    rows = [*enumerate(steps)]
    last = {at: i for i, at in (rows[::-1] if any("turned around" in note for note in notes) else rows)}
    kept = values["reward"].astype(int).tolist()
    assert all(last.get(int(at), i) == i for at, i in zip(found, kept, strict=True) if at == steps[i])


def test_an_empty_kl_means_no_reference_model(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("update,reward_mean,kl,kl_available\n0,0.2,,False\n1,0.22,,False\n")
    for options in ({}, {"reward": "reward_mean", "kl_unit": "sequence"}):
        with pytest.raises(InputError, match="is empty in all 2 rows, as where beta is 0"):
            read_training_log(path, **options)


def test_no_two_trainers_claim_a_log_by_the_same_marks() -> None:
    for trainer in known_trainers():
        assert recognise(trainer.known()) is trainer


def test_trackio_keeps_runs_in_a_database(tmp_path: Path) -> None:
    path = tmp_path / "project.db"
    base = sqlite3.connect(path)
    base.execute(
        "CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)"
    )
    for run in ("b", "a"):
        for row in TRL:
            held = json.dumps({f"train/{key}": value for key, value in row.items() if key != "step"})
            base.execute("INSERT INTO metrics VALUES (NULL, '', ?, ?, ?)", (run, row["step"], held.encode()))
    base.commit()
    base.close()
    log = read_training_log(path, only="a")  # bytes, as trackio writes them
    np.testing.assert_allclose(log.kl, PER_TOKEN)
    assert (log.runs, log.step.tolist()) == (["a"], STEPS)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="is no database of trackio's"):
        read_training_log(path)


def test_trackio_is_read_while_it_writes_and_tells_runs_of_one_name_apart(tmp_path: Path) -> None:
    """A running trackio keeps what is new in a file beside the database, and its runs have identifiers."""
    path = tmp_path / "project.db"
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT, run_name TEXT, step INTEGER, "
            "metrics TEXT)"
        )
        for run in ("f1", "f2"):
            for row in TRL:
                step, held = row["step"], json.dumps({k: v for k, v in row.items() if k != "step"})
                base.execute("INSERT INTO metrics VALUES (NULL, ?, '', 'tuned', ?, ?)", (run, step, held))
        base.commit()
        before = sorted(tmp_path.iterdir())
        log = read_training_log(path)
        assert log.runs == ["tuned (f1)", "tuned (f2)"]
        np.testing.assert_allclose(log.kl, [*PER_TOKEN, *PER_TOKEN])
        assert sorted(tmp_path.iterdir()) == before
    with closing(sqlite3.connect(tmp_path / "view.db")) as base:
        base.execute("CREATE VIEW metrics AS SELECT 'a' run_name, 1 step, '{}' metrics")
        base.commit()
    with pytest.raises(InputError, match="is no database of trackio's"):
        read_training_log(tmp_path / "view.db")


def test_mlflow_keeps_runs_in_folders_or_in_a_database(tmp_path: Path) -> None:
    store, base = tmp_path / "mlruns", sqlite3.connect(tmp_path / "mlflow.db")
    base.execute("CREATE TABLE runs (run_uuid TEXT, name TEXT)")
    base.execute("CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT, step INT, is_nan INT)")
    for run, name in (("aa", "tuned"), ("bb", "other")):
        base.execute("INSERT INTO runs VALUES (?, ?)", (run, name))
        (store / "0" / run / "tags").mkdir(parents=True)
        (store / "0" / run / "tags" / "mlflow.runName").write_text(name)
        for key in ("kl", "reward", "completions/mean_length"):
            file = store / "0" / run / "metrics" / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"17000 {row[key]} {row['step']}\n" for row in TRL))
            for row in TRL:
                base.execute("INSERT INTO metrics VALUES (?, ?, 17000, ?, ?, 0)", (key, row[key], run, row["step"]))
    base.commit()
    base.close()
    for path in (store, tmp_path / "mlflow.db"):
        log = read_training_log(path, only="tuned")
        np.testing.assert_allclose(log.kl, PER_TOKEN)
        assert (log.runs, log.step.tolist()) == (["tuned"], STEPS)
        assert "keys of trl" in log.notes[0]
    assert read_training_log(store / "0" / "bb").runs == ["other"]
    (store / "0" / "bb" / "metrics" / "kl").write_text("17000 0.1 1\n17000 oops 2\n")
    with pytest.raises(InputError, match="where MLflow writes timestamp, value and step"):
        read_training_log(store)
    (store / "0" / "bb" / "metrics" / "kl").write_text("".join(f"1 {r['kl']} {r['step']}\n" for r in TRL) + "1 0.01 1")
    (store / "0" / "aa" / "meta.yaml").write_text("end_time: 1\nlifecycle_stage: deleted\n")
    assert any("Left out: 1 run that MLflow holds as deleted" in note for note in read_training_log(store).notes)
    with pytest.raises(InputError, match="Left out: 1 run that MLflow"):
        read_training_log(store, kl="no such")
    log = read_training_log(store, only="other")  # while 0.01 is written at step 100
    assert (log.step.tolist(), log.kl.tolist()) == (STEPS, pytest.approx(PER_TOKEN))
    assert any("not written whole yet" in note for note in log.notes)


def test_mlflow_runs_of_one_name_are_told_apart_and_deleted_ones_left_out(tmp_path: Path) -> None:
    """Names are those that readers give; MLflow shows a deleted run no more, but its database holds it."""
    path = tmp_path / "mlflow.db"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE runs (run_uuid TEXT, name TEXT, lifecycle_stage TEXT)")
    base.execute("CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT, step INT, is_nan INT)")
    runs = {"a": "grpo", "b": "grpo", "c": "", "d": None, "e": "alone", "f": "alone", "g": "gone"}
    for time, (run, name) in enumerate(runs.items()):
        base.execute("INSERT INTO runs VALUES (?, ?, ?)", (run, name, "deleted" if run in "fg" else "active"))
        for key in ("kl", "reward", "completions/mean_length"):
            for row in TRL:
                values = (key, (1 + time) * row[key], time, run, row["step"])
                base.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, 0)", values)
    base.commit()
    log = read_training_log(path)
    assert log.runs == ["a", "alone", "b", "c", "d"]
    assert log.step[log.run == "b"].tolist() == STEPS
    np.testing.assert_allclose(log.reward[log.run == "b"], [2 * row["reward"] for row in TRL])
    assert [note for note in log.notes if "deleted" in note] == [
        "Left out: 2 runs that MLflow holds as deleted (mlflow runs restore)."
    ]
    base.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    base.commit()
    base.close()
    with pytest.raises(InputError, match="every run with a metric was deleted"):
        read_training_log(path)


def test_jobs_of_one_console_are_told_apart_by_the_process_before_their_lines(tmp_path: Path) -> None:
    """One of them was resumed: its process has another number. Processes one after the other are resumes."""

    def line(pid: int, step: int) -> str:
        keys = f"actor/kl_loss:0.00{pid}{step:02d} - critic/rewards/mean:0.{pid} - response_length/mean:100"
        return f"(TaskRunner pid={pid}) step:{step} - {keys}\n"

    turns = [(11, 1), (22, 1), (11, 2), (22, 2), (11, 3), (33, 2), (11, 4), (33, 3), (11, 5)]
    for lines, runs in ((turns, {"pid 11": 5, "pid 22": 3}), ([one for one in turns if one[0] != 11], {"log": 3})):
        (tmp_path / "log.log").write_text("".join(line(*one) for one in lines))
        log = read_training_log(tmp_path / "log.log", estimator="k3")
        assert {run: int((log.run == run).sum()) for run in log.runs} == runs
        assert log.reward[log.run != "pid 11"].tolist() == [0.22, 0.33, 0.33]
        assert any("told apart by the process" in note for note in log.notes) == (len(runs) > 1)
    both = [*turns[:4], (44, 2), (33, 3), (44, 3), (33, 4)]  # the two had ended before these began
    text = "".join(line(*one) for one in both)
    (tmp_path / "log.log").write_text(text + line(55, 4).partition(") ")[2])
    log = read_training_log(tmp_path / "log.log", estimator="k3")
    assert log.runs == ["pid 11", "pid 22", "pid 44", "pid 33"]
    assert any("pid 44 may go on with pid 11 or pid 22" in note for note in log.notes)
    assert any("Left out: 1 line without a process in front" in note for note in log.notes)
    node = [
        line(22, step).replace("pid=22", "pid=11, ip=10.0.0.2") for step in (1, 2, 3)
    ]  # of another node, as by chance
    text = "".join(one for step in (1, 2, 3) for one in (line(11, step), node[step - 1]))
    (tmp_path / "log.log").write_text(text)
    log = read_training_log(tmp_path / "log.log", estimator="k3")
    assert (log.runs, log.reward.tolist()) == (["pid 11", "pid 11, ip=10.0.0.2"], [0.11] * 3 + [0.22] * 3)


def test_a_line_that_was_cut_is_no_further_update_and_a_database_without_rows_is_empty(tmp_path: Path) -> None:
    keys = "actor/kl_loss:0.0{0} - response_length/mean:100 - critic/rewards/mean:0.{0}"
    lines = [f"step:{step} - {keys.format(step)}" for step in range(1, 8)]
    lines[3] = lines[3].partition(" - critic")[0]
    (tmp_path / "log.log").write_text("\n".join([*lines, ""]))
    notes = read_training_log(tmp_path / "log.log", estimator="k3").notes
    assert any("1 step with a KL but no reward, as where a line was cut" in note for note in notes)
    with sqlite3.connect(tmp_path / "trackio.db") as base:
        base.execute("CREATE TABLE metrics (id INT, run_name TEXT, step INT, metrics TEXT)")
    with pytest.raises(InputError, match="logs nothing yet: there is no row in it"):
        read_training_log(tmp_path / "trackio.db")


def test_splits_of_a_run_have_one_counter_of_steps(tmp_path: Path) -> None:
    """That of training: where it began anew, evaluations are counted on by as much."""
    first = [
        (step, split) for step in range(10, 130, 10) for split in ("train", "eval") if split != "eval" or step % 50
    ]
    path, at = tmp_path / "run.csv", [*((one, split, one) for one, split in [*first, (125, "eval")])]
    at += [(5, "eval", 125), *((step, split, 120 + step) for step, split in first if step < 90)]
    rows = [f"{step},{0.001 * true},{0.3 + 0.01 * true**0.5},{split}" for step, split, true in at]
    path.write_text("\n".join(["step,kl,reward,split", *rows]))
    log = read_training_log(path, kl_unit="sequence", splits=True)
    np.testing.assert_allclose(log.kl, 0.001 * log.step, rtol=1e-9)
    assert log.runs == ["train", "eval"]
    assert [note[:34] for note in log.notes if "begin anew" in note] == ["Of 'train': The steps begin anew a"]
    path.write_text(path.read_text().replace("eval", "train_2"))
    assert any("all called training" in note for note in read_training_log(path, kl_unit="sequence").notes)


def test_mlflow_of_one_step_the_later_in_time_counts(tmp_path: Path) -> None:
    """Sorted by key and step, the newer first: order in the file tells nothing, timestamps do."""
    head, *table = mlflow().splitlines()
    again = [{"run_id": "f00", "key": key, "value": 2.0 * TRL[2][key], "step": 30, "timestamp": 99}
             for key in ("kl", "reward", "completions/mean_length")]  # fmt: skip
    (tmp_path / "m.csv").write_text("\n".join([head, *as_csv(again).splitlines()[1:], *table]))
    log = read_training_log(tmp_path / "m.csv")
    assert log.step.tolist() == STEPS
    assert log.logged_kl[-1] == pytest.approx(2.0 * TRL[2]["kl"])


KEYS = ("kl", "reward", "completions/mean_length")
KILLED = {  # what a run logs, a letter a metric: the steps, less what it did not come to
    "between metrics": [(10, "krl"), (20, "krl"), (30, "k"), (30, "krl"), (40, "krl")],
    "between metrics, resumed before": [(10, "krl"), (20, "krl"), (30, "krl"), (40, "k"), (30, "krl"), (40, "krl")],
    "twice": [(10, "krl"), (20, "krl"), (30, "k"), (20, "kr"), (20, "krl"), (30, "kr"), (30, "krl"), (40, "krl")],
    "not at all, one corrected": [(10, "krl"), (20, "krl"), (30, "krl"), (40, "krl"), (40, "r")],
    "not at all, one corrected early": [(10, "krl"), (20, "krl"), (30, "krl"), (40, "krl"), (20, "r")],
    "and one corrected later": [
        (10, "krl"),
        (20, "krl"),
        (30, "krl"),
        (20, "krl"),
        (30, "krl"),
        (40, "krl"),
        (10, "r"),
    ],
    "and one corrected before": [
        *((at, "krl") for at in (10, 20, 30)),
        (10, "k"),
        *((at, "krl") for at in (20, 30, 40)),
    ],
    "and one corrected while it ran": [*((at, "krl") for at in (10, 20, 30)), (10, "r"), (30, "l"), (40, "krl")],
    "twice after one checkpoint": [(10, "krl"), *2 * [(20, "krl"), (30, "l")], *((at, "krl") for at in (20, 30, 40))],
}


@pytest.mark.parametrize(
    "kind", ["csv", "csv by metric", "csv without times", "folder", "database", "rows", "lines"]
)  # and "events" where TensorBoard is installed
@pytest.mark.parametrize("killed", KILLED)
def test_metrics_of_a_step_meet_whenever_the_run_was_killed(tmp_path: Path, kind: str, killed: str) -> None:
    """Values rise with time, so that the later one of a step is known from the earlier."""
    made, expected = list[dict[str, float | str]](), dict[tuple[int, str], float]()
    for time, (step, letters) in enumerate(KILLED[killed]):
        for key in (key for key in KEYS if key.rpartition("/")[2].removeprefix("mean_")[0] in letters):
            value = (100.0 if "length" in key else 0.001 if key == "kl" else 0.1) * (1.0 + 0.25 * time)
            made.append({"run_id": "a", "key": key, "value": value, "step": step, "timestamp": 1000 + time})
            expected[step, key] = value
    path = tmp_path / "m.csv"
    if kind in ("csv by metric", "folder"):
        made.sort(key=lambda one: str(one["key"]))
    if kind == "folder":
        path = tmp_path / "mlruns"
        for one in made:
            file = path / "0" / "a" / "metrics" / str(one["key"])
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a") as held:
                held.write(f"{one['timestamp']} {one['value']} {one['step']}\n")
    elif kind == "database":
        path = tmp_path / "mlflow.db"
        with closing(sqlite3.connect(path)) as base:
            base.execute("CREATE TABLE runs (run_uuid TEXT, name TEXT)")
            base.execute(
                "CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT, step INT, is_nan INT)"
            )
            base.executemany("INSERT INTO metrics VALUES (:key, :value, :timestamp, :run_id, :step, 0)", made)
            base.commit()
    elif kind == "events":
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        path = tmp_path
        writer = EventFileWriter(str(path))
        for one in made:
            value = Summary.Value(tag=f"train/{one['key']}", simple_value=float(one["value"]))
            writer.add_event(
                Event(step=int(one["step"]), wall_time=float(one["timestamp"]), summary=Summary(value=[value]))
            )
        writer.close()
    elif kind in ("rows", "lines"):
        written = [{"step": one["step"], str(one["key"]): one["value"]} for one in made]
        if kind == "rows":
            each = groupby(made, key=lambda one: one["timestamp"])
            written = [
                {k: v for one in row for k, v in (("step", one["step"]), (str(one["key"]), one["value"]))}
                for _, row in each
            ]
        path = tmp_path / "log.jsonl"
        path.write_text(lines(written))
    else:
        shown = [{k: v for k, v in one.items() if k != "timestamp" or "without" not in kind} for one in made]
        path.write_text(as_csv(shown))
    log = read_training_log(path)
    assert log.step.tolist() == [10, 20, 30, 40]
    if kind == "rows" and killed == "not at all, one corrected":  # or resumed there, which a whole row does not tell
        assert any("The later row of step 40 lacks the KL, and is left out" in note for note in log.notes)
        return
    for key, found in zip(KEYS, (log.logged_kl, log.reward, log.length), strict=True):
        assert found is not None
        np.testing.assert_allclose(found, [expected[step, key] for step in (10, 20, 30, 40)], rtol=1e-6)
    assert any(re.search("the later (one was|ones were|rows were) taken", note) for note in log.notes)


def test_nemo_rl_prints_no_kl_to_the_base(tmp_path: Path) -> None:
    block = "{0} Step {1}/9 {0}\n\n📊 Training Results:\n  • Loss: 0.05\n  • Generation KL Error: 0.0007\n"
    block += "  • Avg Reward: 0.07\n  • Mean Generation Length: 325.3\n\n  • Total step time: 9.10s\n"
    (tmp_path / "grpo.log").write_text("".join(block.format("=" * 25, step) for step in (1, 2)))
    with pytest.raises(InputError, match=r"its console prints none .* have 'train/kl_penalty'"):
        read_training_log(tmp_path / "grpo.log")
    log = read_training_log(tmp_path / "grpo.log", kl="gen_kl_error", kl_unit="token")
    assert (log.step.tolist(), log.reward.tolist()) == ([1.0, 2.0], [0.07, 0.07])


def test_tensorboard_is_read_by_its_own_package(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(b"")
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.raises(InputError, match="pip install tensorboard"):
            read_training_log(tmp_path)
        return
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    path.unlink()
    writer = EventFileWriter(str(tmp_path))
    for row in TRL:
        values = [Summary.Value(tag=f"train/{key}", simple_value=row[key]) for key in row if key != "step"]
        writer.add_event(Event(step=row["step"], wall_time=1.0, summary=Summary(value=values)))
    writer.close()
    log = read_training_log(tmp_path)
    np.testing.assert_allclose(log.kl, PER_TOKEN, rtol=1e-6)
    assert log.step.tolist() == STEPS


PAGE = (Path(__file__).parents[1] / "book" / "from_your_trainer.md").read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"^```\{code-block\} (\w+)\n:caption: (\S+)\n(.*?)^```\n(?:\n[^`\n][^\n]*\n)?\n```console\n\$ alignlib (.*?)\n```$",
    PAGE,
    re.M | re.S,
)


@pytest.mark.parametrize(("kind", "name", "text", "command"), BLOCKS, ids=[block[1] for block in BLOCKS])
def test_the_page_reads_each_trainers_log_by_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, text: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = kind == "python" and importlib.util.find_spec("tensorboard") is None
    if missing:
        Path(name).mkdir()
        Path(name, "events.out.tfevents.1.host").write_bytes(b"")
    elif kind == "python":
        exec(text, {})
    elif kind == "sql":
        with closing(sqlite3.connect(name)) as base:
            base.executescript(text)
    else:
        Path(name).write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, shlex.split(command))
    if missing or name == "orchestrator.log":
        assert done.exit_code == 2, done.output
        assert ("pip install tensorboard" if missing else "prime-rl trains without a reference model") in done.stderr
        return
    assert done.exit_code == 0, done.output
    assert "2 checkpoints of 1 run" in done.stdout
    assert "- Recognised:" in done.stdout
    unit = command.split("--kl-unit ")[1].split()[0] if "--kl-unit" in command else None
    expected = [0.12, 0.5]  # 0.001 · 120 and 0.004 · 125, or as it stands
    np.testing.assert_allclose(read_training_log(name, kl_unit=unit).kl, expected, rtol=1e-6)


def test_the_page_has_an_example_of_each_format() -> None:
    assert len(BLOCKS) == PAGE.count("{code-block}") == 17
    held = {block[1] for block in BLOCKS}
    assert {"ppo.json", "verl.log", "verl.jsonl", "wandb_history.csv", "wandb_history.json", "project.db"} < held


def test_a_policy_that_is_its_base_has_kl_0_and_is_not_accused(tmp_path: Path) -> None:
    path = tmp_path / "same.csv"
    table = [{"log_prob": -9.1 - at, "base_log_prob": -9.1 - at - 1e-9 * (at % 3), "n_tokens": 9} for at in range(40)]
    path.write_text(as_csv(table))
    done = CliRunner().invoke(main, ["kl", str(path)])
    assert done.exit_code == 0, done.output
    assert "the same probabilities, up to rounding: the KL is 0" in " ".join(done.stdout.split())
    assert "check that they were scored" not in done.stdout


def test_a_run_on_its_own_floor_wastes_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.csv").write_text("kl,reward\n0,0.1\n0.1,0.2\n0.2,0.3\n")
    done = CliRunner().invoke(main, ["overlay", str(tmp_path / "run.csv"), "--kl-unit", "sequence"])
    assert "No checkpoint shows that another wastes KL" in done.stdout


def test_few_decimals_are_said_with_what_they_leave_open(tmp_path: Path) -> None:
    """As verl's console rounds: the true KL lies within what is said."""
    kl = np.array([0.00049, 0.00097, 0.0016, 0.0021, 0.00251])
    line = "step:{} - actor/kl_loss:{:.{}f} - critic/score/mean:0.2 - response_length/mean:300.000\n"
    for digits in (3, 6):
        text = "".join(line.format(i, one, digits) for i, one in enumerate(kl))
        (tmp_path / f"{digits}.log").write_text(text)
    rounded = read_training_log(tmp_path / "3.log", kl_unit="token")
    (said,) = (note for note in rounded.notes if "decimals" in note)
    assert "more than 3 decimals" in said
    assert "at step 4 the KL is 0.9 nats per sequence up to 0.15" in said
    assert np.abs(rounded.kl - 300.0 * kl).max() <= 0.15
    assert not any("decimals" in note for note in read_training_log(tmp_path / "6.log").notes)
    text = (tmp_path / "3.log").read_text().replace("actor/kl_loss", "critic/kl")
    (tmp_path / "3.log").write_text(text)
    ends = read_training_log(tmp_path / "3.log", estimator="k3", lengths=(100, 500)).ends
    for per_token in (kl, np.round(kl, 3) - 0.00049, np.round(kl, 3) + 0.00049):
        assert (ends[0] <= 100.0 * np.maximum(per_token, 0.0)).all()
        assert (500.0 * per_token <= ends[1]).all()


def test_dumps_of_responses_without_log_probabilities_say_what_they_lack(tmp_path: Path) -> None:
    """As verl's rollout_data_dir: a file a step."""
    for step in (1, 2):
        row = {"input": "q", "output": "a", "gts": "1", "score": 1.0, "step": step}
        (tmp_path / f"{step}.jsonl").write_text(lines([row] * 4))
    with pytest.raises(InputError, match=r"folder of tables with 'input', .* hold no KL: .* log-probabilities under"):
        read_training_log(tmp_path)


EACH = 1.0372e-4  # nats per token a step, with more decimals than a console would round to


def slime(steps_each: int, rollouts: int = 6) -> list[tuple[str, int, dict[str, float]]]:
    """What slime logs: two rows a rollout, by one counter, and one a training step, by another."""
    made: list[tuple[str, int, dict[str, float]]] = []
    for r in range(rollouts):
        made.append(("rollout", r, {"rollout/response_len/mean": 300.0, "rollout/response_len/min": 20.0,
                                    "rollout/response_len/max": 900.0, "rollout/step": r}))  # fmt: skip
        made.append(("rollout", r, {"rollout/raw_reward": 0.2 + 0.02 * r, "rollout/kl": 0.0, "rollout/step": r}))
        for t in range(r * steps_each, (r + 1) * steps_each):
            made.append(("step", t, {"train/kl_loss": EACH * t, "train/ppo_kl": 1e-5, "train/step": t}))
    return made


def printed(made: list[tuple[str, int, dict[str, float]]]) -> str:
    return "".join(
        f"(Trainer pid=1) [2026-01-01 10:00:00] data.py:193 - {what} {n}: "
        f"{ {key: value for key, value in row.items() if not key.endswith('/step')} }\n"
        for what, n, row in made
    )


@pytest.mark.parametrize("steps_each", [1, 4])
@pytest.mark.parametrize("kind", ["console", "jsonl", "csv", "events", "by first step", "sorted", "ahead"])
def test_rollouts_are_joined_with_their_first_training_step(tmp_path: Path, kind: str, steps_each: int) -> None:
    made = slime(steps_each)
    path = tmp_path / {"console": "run.log", "csv": "run.csv"}.get(kind, "run.jsonl")
    if kind == "by first step":  # as wandb_always_use_train_step counts rollouts
        made = [(w, n, row | ({"rollout/step": n * steps_each} if w == "rollout" else {})) for w, n, row in made]
    if kind == "ahead":  # each rollout is logged before the training on the one before it
        made = sorted(made, key=lambda one: one[1] - 1.5 if one[0] == "rollout" else one[1] // steps_each)
    if kind == "sorted":
        made = sorted(made, key=lambda one: one[0])
    if kind == "events":  # a step of TensorBoard is one or the other
        held: dict[int, dict[str, float]] = {}
        for _, n, row in made:
            held.setdefault(n, {"step": n}).update({k: v for k, v in row.items() if not k.endswith("/step")})
        path.write_text(lines([held[n] for n in sorted(held)]))
    elif kind == "console":
        path.write_text("starting\n" + printed(made))
    elif kind == "csv":
        path.write_text(as_csv([{"_step": i, **row} for i, (_, _, row) in enumerate(made)]))
    else:
        path.write_text(lines([row for _, _, row in made]))
    log = read_training_log(path, estimator="k3")
    assert log.step.tolist() == [r * (steps_each if kind == "by first step" else 1) for r in range(6)]
    np.testing.assert_allclose(log.logged_kl, [EACH * r * steps_each for r in range(6)])
    np.testing.assert_allclose(log.reward, [0.2 + 0.02 * r for r in range(6)])
    np.testing.assert_allclose(log.ends[1], [900 * EACH * r * steps_each for r in range(6)])
    left = any(f"{6 * (steps_each - 1)} later training steps" in note for note in log.notes)
    assert left == (steps_each > 1)
    assert not any("may be meant as well" in note for note in log.notes)


@pytest.mark.parametrize("steps_each", [1, 2])
@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("lost", ["first", "last", "nothing after"])
def test_a_rollout_whose_first_step_is_lost_is_left_out(
    tmp_path: Path, steps_each: int, ahead: bool, lost: str
) -> None:
    """The second step of a rollout is of a policy that has moved on, and not taken for the first."""
    gone = {"first": [6 * steps_each], "last": [7 * steps_each - 1], "nothing after": range(19 * steps_each, 99)}[lost]
    made = slime(steps_each, 20)
    if ahead:
        made = sorted(made, key=lambda one: one[1] - 1.5 if one[0] == "rollout" else one[1] // steps_each)
    (tmp_path / "run.jsonl").write_text(lines([row for what, n, row in made if what == "rollout" or n not in gone]))
    log = read_training_log(tmp_path / "run.jsonl")
    left = [r for r in range(20) if r * steps_each not in gone]
    assert log.step.tolist() == left
    np.testing.assert_allclose(log.logged_kl, [EACH * r * steps_each for r in left])
    assert any("1 rollout without its first training step left out" in one for one in log.notes) == (len(left) < 20)


def test_steps_of_no_regular_number_are_joined_up_to_a_gap(tmp_path: Path) -> None:
    """Rollouts of 1, 2, 3, 1, … steps, and the first of one is lost."""
    made, step = list[dict[str, float]](), 0
    for r in range(15):
        row = {"rollout/response_len/mean": 300.0, "rollout/raw_reward": 0.2 + 0.02 * r, "rollout/step": r}
        made.append(row)
        for _ in range(1 + r % 3):
            made += [{"train/kl_loss": EACH * step, "train/step": step}] if step != 9 else []
            step += 1
    (tmp_path / "run.jsonl").write_text(lines(made))
    log = read_training_log(tmp_path / "run.jsonl")
    firsts = np.cumsum([0, *(1 + r % 3 for r in range(14))])
    left = [r for r in range(15) if firsts[r] != 9]
    assert log.step.tolist() == left
    np.testing.assert_allclose(log.logged_kl, EACH * firsts[left])


def test_a_resumed_run_of_two_counters_keeps_the_later_rows(tmp_path: Path) -> None:
    made = slime(4)
    cut = next(i for i, one in enumerate(made) if one[:2] == ("step", 18))  # in rollout 4; resumed at rollout 3
    again = [(w, n, {k: v + (0.5 if k == "rollout/raw_reward" else 0.0) for k, v in row.items()}) for w, n, row in made
             if n >= (12 if w == "step" else 3)]  # fmt: skip
    (tmp_path / "run.log").write_text(printed(made[:cut] + again))
    log = read_training_log(tmp_path / "run.log")
    np.testing.assert_allclose(log.reward, [0.2, 0.22, 0.24, 0.76, 0.78, 0.8])
    np.testing.assert_allclose(log.logged_kl, [4.0 * EACH * r for r in range(6)])
    assert any("The rollouts run back 1 time (to 3)" in note and "2 earlier ones" in note for note in log.notes)


def test_counters_that_tell_no_pairs_are_refused(tmp_path: Path) -> None:
    """Sorted rows of two rollouts and five training steps: two or three to a rollout."""
    made = [one for one in slime(3, 2) if one[:2] != ("step", 5)]
    (tmp_path / "run.jsonl").write_text(lines([row for _, _, row in sorted(made, key=lambda one: one[0])]))
    with pytest.raises(InputError, match=r"which steps belong to which rollout does not follow .* in the order of"):
        read_training_log(tmp_path / "run.jsonl")


def test_console_lines_of_nobodys_keys_are_said_to_be_that(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("step:3 - kl:0.3 - reward:0.3\n")
    with pytest.raises(InputError, match=r"what was sought in its lines is not there: .* columns of a CSV"):
        read_training_log(path)


@pytest.mark.parametrize("name", ["response_length", "completion_length", "policy_loss", "reward/mean", "kl_penalty"])
def test_one_name_that_anybody_uses_makes_no_trainer(tmp_path: Path, name: str) -> None:
    assert recognise(["step", "kl", "reward", name]) is None
    assert recognise(["step", "kl", "reward", "response_length", "policy_loss"]) is None
    path = tmp_path / "run.csv"
    path.write_text(f"step,kl,reward,{name}\n0,0.0,0.2,20\n1,0.5,0.3,21\n", encoding="utf-8")
    with pytest.raises(InputError, match="in nats per sequence or per token"):
        read_training_log(path)


def test_steps_of_a_batch_that_is_used_again_are_left_out(tmp_path: Path) -> None:
    """trl with num_iterations=2: every second row has a KL and neither reward nor length."""
    rows = [
        {"step": i, "loss": 0.1, "kl": 0.01 * i, "entropy": 1.0}
        | ({"reward": 0.1 * i, "reward_std": 0.1, "completions/mean_length": 20.0} if i % 2 else {})
        for i in range(1, 10)
    ]
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"log_history": rows}))
    found = read_training_log(path)
    assert found.step.tolist() == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert any(note.startswith("Left out: 4 steps with a KL but no reward") for note in found.notes)
    console = tmp_path / "run.log"  # the same rows as they are printed, without a step
    console.write_text("\n".join(str({key: row[key] for key in row if key != "step"}) for row in rows))
    printed = read_training_log(console)
    np.testing.assert_array_equal([printed.kl, printed.reward], [found.kl, found.reward])
    assert any(note.startswith("Left out: 4 rows with a KL but no reward") for note in printed.notes)
    rows[3]["reward"] = float("nan")  # it diverged there
    path.write_text(json.dumps({"log_history": rows}))
    with pytest.raises(InputError, match="diverged"):
        read_training_log(path)


def test_a_mean_over_the_policys_own_tokens_has_ends_by_k1_too(tmp_path: Path) -> None:
    rows = [{"step": i, "actor/kl_loss": 0.01 * i, "critic/score/mean": 0.1 * i, "response_length/mean": 100.0,
             "num_turns/max": 6} for i in range(1, 6)]  # fmt: skip
    path = tmp_path / "run.jsonl"
    path.write_text(lines(rows))
    found = read_training_log(path, kl_unit="token", estimator="k1")
    np.testing.assert_allclose(found.ends[0], 0.01 * np.arange(1, 6))
    np.testing.assert_allclose(found.ends[1], np.arange(1, 6))
    assert "own tokens" in found.remedy


def test_steps_that_are_written_several_times_are_averaged(tmp_path: Path) -> None:
    """Two processes log each step; nothing runs back."""
    path = tmp_path / "run.jsonl"
    path.write_text(lines([{"step": i // 2, "kl": 0.1 * i, "reward": 0.5} for i in range(10)]))
    found = read_training_log(path, kl_unit="sequence")
    np.testing.assert_allclose(found.kl, 0.1 * (2.0 * np.arange(5) + 0.5))
    assert any("Averaged: 10 rows to 5" in note for note in found.notes)
    assert not any("run back" in note for note in found.notes)


def _of_process(place: int, steps: list[int], **more: object) -> list[dict[str, object]]:
    return [{"step": k, "kl": 0.1 * k + 0.02 * place, "reward": 0.2 * k + 0.1 * place, **more} for k in steps]


TURNS = [(rank, [k, k + 1]) for k in (0, 2, 4) for rank in (0, 1)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param(
            [row for rank, steps in TURNS for row in _of_process(rank, steps, rank=rank)], "2 processes ('rank')",
            id="blocks, with a column",
        ),
        pytest.param(
            [row for rank, steps in TURNS for row in _of_process(rank, steps)],
            "as of 2 processes that write by turns",
            id="blocks, without one",
        ),
        pytest.param(
            [row for rank in (0, 1) for row in _of_process(rank, [*range(6)], process_index=rank)],
            "2 processes ('process_index')", id="file after file, with a column",
        ),
        pytest.param(
            [row for rank in (0, 1) for k in range(6) for row in _of_process(rank, [k], timestamp=1.7e9 + 60.0 * k)],
            "times that overlap ('timestamp')", id="file after file, at the same times",
        ),
        pytest.param(
            [row for rank in (0, 1) for part in ([*range(4)], [*range(2, 6)])
             for row in _of_process(rank, part, rank=rank)],
            "2 processes ('rank')", id="each process resumed",
        ),
    ],
)  # fmt: skip
def test_rows_of_several_processes_are_averaged_in_whatever_order(
    tmp_path: Path, rows: list[dict[str, object]], words: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(lines(rows))
    found = read_training_log(path, kl_unit="sequence")
    np.testing.assert_allclose(found.kl, 0.1 * np.arange(6) + 0.01)
    np.testing.assert_allclose(found.reward, 0.2 * np.arange(6) + 0.05)
    assert any(note.startswith("Averaged: ") and words in note for note in found.notes)


TO_3, FROM_2, FROM_4 = [*range(4)], [*range(2, 6)], [*range(4, 7)]  # steps of launches, each resumed from the last
RESUMES = [  # ranks and steps of each launch, and the rewards by the order of the rows; the last number where in doubt
    pytest.param(
        [((0, 1, 2), TO_3), ((0,), FROM_2), ((0, 1), FROM_4)], [1.1, 1.1, 2, 2, 3.05, 3.05, 3.05], 3, id="comes back"
    ),
    pytest.param(
        [((0, 1), TO_3), ((0,), FROM_2), ((1, 0, 2), FROM_4)], [1.05, 1.05, 2, 2, 3.1, 3.1, 3.1], 3, id="and more"
    ),
    pytest.param([((0, 1), TO_3), ((1,), FROM_2)], [1.05, 1.05, 2.1, 2.1, 2.1, 2.1], 2.1, id="the other alone"),
    pytest.param([((0, 1), TO_3), ((0,), [3, 4])], [1.05, 1.05, 1.05, 2, 2], 2, id="the last step again"),
    pytest.param(
        [((0, 1, 2), TO_3), ((2, 0, 1), [1, 2, 3]), ((1, 0), TO_3[1:])],
        [1.1, 3.05, 3.05, 3.05],
        3.05,
        id="twice to one",
    ),
]


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize(("launches", "means", "doubted"), RESUMES)
def test_a_resume_takes_back_what_other_processes_wrote_before_it(
    tmp_path: Path,
    launches: list[tuple[tuple[int, ...], list[int]]],
    means: list[float],
    doubted: float,
    in_doubt: bool,
) -> None:
    """By the order of the rows; where they are sorted by process, those in doubt are left out, which is said."""
    rows = [
        {"step": k, "rank": rank, "kl": 0.1 * k, "reward": place + 0.1 * rank}
        for place, (ranks, steps) in enumerate(launches, 1)
        for k in steps
        for rank in ranks
    ]
    path = tmp_path / "run.jsonl"
    path.write_text(lines(sorted(rows, key=lambda row: row["rank"]) if in_doubt else rows))
    found = read_training_log(path, kl_unit="sequence")
    last = found.step >= launches[-1][1][0]
    np.testing.assert_allclose(found.reward, np.where(last & in_doubt, doubted, means))
    said = "did not go back where another did" if in_doubt else "did not come back after a resume"
    assert any("left out" in note and said in note for note in found.notes)


def test_whole_passes_may_be_training_begun_anew_or_processes_and_both_are_said(tmp_path: Path) -> None:
    """Nothing tells which; training begun anew shows at later times."""
    for more in ({}, {"timestamp": 1.7e9}):
        rows = [r for n in (0, 1) for r in _of_process(n, [*range(6)], **{k: v + 9e3 * n for k, v in more.items()})]
        (tmp_path / "run.jsonl").write_text(lines(rows))
        found = read_training_log(tmp_path / "run.jsonl", kl_unit="sequence")
        np.testing.assert_allclose(found.kl, 0.1 * np.arange(6) + 0.02)
        assert any("6 earlier ones" in note and "several runs or processes instead" in note for note in found.notes)


def test_verls_console_line_cut_within_is_left_out(tmp_path: Path) -> None:
    rows = [f"step:{k} - actor/kl_loss:{0.01 * k} - critic/score/mean:{0.1 * k} - response_length/mean:100.0 - x/end:1"
            for k in range(1, 5)]  # fmt: skip
    path = tmp_path / "run.log"
    for end, steps in ((rows[-1][:48], 3), (rows[-1], 4)):  # a whole line without its end is no cut one
        path.write_text("\n".join([*rows[:-1], end]))
        found = read_training_log(path, estimator="k1")
        assert found.step.size == steps
        assert any("last line" in note for note in found.notes) == (steps == 3)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["pp.db", "qq.db"], "databases, as trackio's: 'pp.db', 'qq.db'"),
        (["a/events.out.tfevents.1.host", "b/events.out.tfevents.2.host"], "TensorBoard's events: 'a', 'b'"),
        (["x/trainer_state.json"], "runs of trl: 'x'"),
    ],
)
def test_a_folder_of_logs_is_refused_with_what_lies_in_it(tmp_path: Path, names: list[str], words: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"SQLite format 3\0" if name.endswith(".db") else b"{}")
    with pytest.raises(InputError) as error:
        read_training_log(tmp_path)
    assert words in str(error.value)
    assert f"alignlib overlay {tmp_path / Path(names[0]).parts[0]}" in str(error.value)


def test_another_column_that_may_be_the_kl_is_named_in_a_table_of_ones_own(tmp_path: Path) -> None:
    rows = [f"{k},{0.1 * k},{0.2 * k},{0.1 * k},0.01,0.5,{0.3 * k}" for k in range(5)]
    (tmp_path / "run.csv").write_text("\n".join(["step,kl,kl_ref,same_kl,approx_kl,kl_coef,reward", *rows]) + "\n")
    notes = read_training_log(tmp_path / "run.csv", kl_unit="sequence").notes
    assert [note.split()[0] for note in notes if "may be meant as well" in note] == ["'kl_ref'"]


def test_a_column_of_runs_tells_them_apart_without_being_named(tmp_path: Path) -> None:
    rows = [f"{name},{k},{0.1 * k},{0.2 * k + place}" for k in range(5) for place, name in enumerate("AB")]
    (tmp_path / "run.csv").write_text("\n".join(["run,step,kl,reward", *rows]) + "\n")
    found = read_training_log(tmp_path / "run.csv", kl_unit="sequence")
    assert found.runs == ["A", "B"]
    assert "2 runs, told apart by column 'run'." in found.notes


def test_a_log_that_is_being_written_and_one_with_an_infinite_value(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = lines(TRL)
    path.write_text(whole.rstrip("\n") + "\n" + whole.splitlines()[-1][:-9])
    cut = read_training_log(path)
    assert cut.step.size == len(PER_TOKEN)
    assert "The last line is not written whole yet, and was left out." in cut.notes
    console = tmp_path / "run.log"
    console.write_text("".join(f"{row}\n" for row in TRL) + str(TRL[-1])[:-9])
    assert read_training_log(console).step.size == len(PER_TOKEN)
    table = tmp_path / "run.csv"
    for last, size, note in (("2,0.2", 2, "was left out"), ("2,0.25,0.4", 3, "may be cut short")):
        table.write_text(f"step,kl,reward\n0,0.0,0.2\n1,0.1,0.3\n{last}")
        log = read_training_log(table, kl_unit="sequence")
        assert log.step.size == size
        assert any(note in one for one in log.notes)
    path.write_text('{"step": 0, "kl": 0.0, "reward": 0.2}\n{"step": 1, "kl": 0.1, "reward": 0.3}\n{"step": 2, "k')
    assert read_training_log(path, kl_unit="sequence").step.tolist() == [0.0, 1.0]
    table.write_text("step,kl,reward\n0,0.0,0.2\n1,inf,0.3\n2,0.5,0.4\n")
    assert read_training_log(table, kl_unit="sequence", drop_missing=True).step.tolist() == [0.0, 2.0]
    with pytest.raises(InputError, match="training may have diverged"):
        read_training_log(table, kl_unit="sequence")


def test_turns_of_one_length_each_add_up(tmp_path: Path) -> None:
    """Tinker's cookbook divides the tokens of all turns by the turns."""
    path = tmp_path / "metrics.jsonl"
    row = {"kl_policy_base": 0.004, "env/all/reward/total": 0.3, "env/all/ac_tokens_per_turn": 125.0}
    path.write_text(lines([row | {"step": 1, "env/all/turns_per_episode": 3.0}]))
    log = read_training_log(path)
    assert log.kl.tolist() == pytest.approx([0.004 * 125.0 * 3.0])
    assert "'env/all/ac_tokens_per_turn' times 'env/all/turns_per_episode'" in log.notes[0]
    assert read_training_log(path, length=200.0).kl.tolist() == pytest.approx([0.8])


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_a_kl_of_the_other_unit_is_compared_by_the_length(tmp_path: Path, ratio: float) -> None:
    path = tmp_path / "run.jsonl"
    rows = [{"training_step": s, "objective/kl_avg": 0.001 * s, "objective/kl": ratio * 0.12 * s,
             "objective/scores": 0.2, "val/sequence_lengths": 120.0} for s in (1, 2)]  # fmt: skip
    path.write_text(lines(rows))
    log = read_training_log(path)
    assert (log.kl_name, log.kl.tolist()) == ("objective/kl", pytest.approx([0.12 * ratio, 0.24 * ratio]))
    assert any("'objective/kl_avg' may be meant as well" in note for note in log.notes) == (ratio != 1.0)
    path.write_text(lines([{k: v for k, v in row.items() if k != "objective/kl"} for row in rows]))
    assert read_training_log(path).kl_name == "objective/kl_avg"


@pytest.mark.parametrize("ranks", [False, True])
def test_rows_of_a_step_are_multiplied_before_they_are_averaged(tmp_path: Path, ranks: bool) -> None:
    """Of 50 tokens at 1 nat and 1,000 at 0.05 nats the mean is 50, where mean times mean says 276."""
    rows = [{"step": step, "kl": kl * step, "n_tokens": n, "reward": 1.0, "rank": rank}
            for step in (1, 2) for rank, (kl, n) in enumerate([(1.0, 50), (0.05, 1000)])]  # fmt: skip
    path = tmp_path / "run.csv"
    path.write_text(as_csv([row if ranks else {k: v for k, v in row.items() if k != "rank"} for row in rows]))
    log = read_training_log(path, kl_unit="token")
    assert log.kl.tolist() == pytest.approx([50.0, 100.0])
    assert "the mean length is 'n_tokens'" in log.notes[0]


def test_a_run_without_the_others_steps_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    rows = [(run, n, {"train/kl": 0.001 * n, "train/reward": 0.2, "train/completions/mean_length": 100.0}
             | ({"train/global_step": 10 * n} if run == "x" else {})) for run in "xy" for n in (1, 2)]  # fmt: skip
    with closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_name TEXT, step INTEGER, metrics TEXT)")
        base.executemany(
            "INSERT INTO metrics(run_name, step, metrics) VALUES (?, ?, ?)",
            [(*one[:2], json.dumps(one[2])) for one in rows],
        )
        base.commit()
    log = read_training_log(path)
    assert (log.run.tolist(), log.step.tolist()) == (["x", "x", "y", "y"], [10, 20, 1, 2])
    assert "The steps of run 'y' are 'step', for it has no other." in log.notes
    path = tmp_path / "runs.jsonl"
    rows = [{"run": run, "kl": 0.1, "reward": 0.2, "step": 1 if run == "x" else None} for run in "xy"]
    path.with_suffix(".csv").write_text(as_csv(rows))
    log = read_training_log(path.with_suffix(".csv"), kl_unit="sequence", run="run")
    assert log.runs == ["x"]
    assert any(note == "Run 'y' has no step in any row with a KL, and is left out." for note in log.notes)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("lacking", ["train/kl", "train/reward", "train/completions/mean_length"])
@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_last_step_that_is_not_written_whole_is_left_out(
    tmp_path: Path, kind: str, lacking: str, value: float | None
) -> None:
    """What is no number is something else: training diverged."""
    rows = [
        {f"train/{key}" if key != "step" else "train/global_step": held for key, held in row.items()} for row in TRL
    ]
    more = {**rows[-1], "train/global_step": 40}
    more = {key: held for key, held in more.items() if key != lacking} | ({} if value is None else {lacking: value})
    path = tmp_path / f"run.{kind}"
    shown = [*rows, {key: more.get(key) for key in rows[0]}]
    text = as_csv(shown) if kind == "csv" else lines([*rows, more])
    path.write_text(text.replace(",nan", ",NaN"))
    if value is not None:
        with pytest.raises(InputError, match=r"1 of 4 checkpoints .* may have diverged there, or not have logged it"):
            read_training_log(path)
        return
    log = read_training_log(path)
    assert log.step.tolist() == STEPS
    assert (
        f"Left out: step 40, the last, of which {lacking!r} is not in the log, as while a step is being written."
        in (log.notes)
    )


@pytest.mark.parametrize("late", [0, 1.5, 9])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_metrics_in_rows_of_their_own_are_joined_by_their_steps(tmp_path: Path, kind: str, late: float) -> None:
    """The reward comes with its KL, a step late, or after all KLs."""
    halves = [(at + n * late, {key: row[key] for key in keys}) for at, row in enumerate(TRL)
              for n, keys in enumerate([("step", "kl", "completions/mean_length"), ("step", "reward")])]  # fmt: skip
    rows = [row for _, row in sorted(halves, key=lambda one: one[0])]
    path = tmp_path / f"run.{kind}"
    path.write_text(as_csv(rows) if kind == "csv" else lines(rows))
    log = read_training_log(path)
    assert (log.step.tolist(), log.reward.tolist()) == (STEPS, [row["reward"] for row in TRL])
    np.testing.assert_allclose(log.kl, PER_TOKEN)
    assert any(("rows of their own" if late else "Joined: ") in note for note in log.notes)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "log", "mlflow", "panel", "responses"])
def test_text_in_utf_16_as_spreadsheets_and_powershell_write_it(tmp_path: Path, kind: str, end: str) -> None:
    text, name = {
        "csv": (as_csv(TRL), "run.csv"),
        "tsv": (as_csv(TRL).replace(",", "\t"), "run.tsv"),
        "jsonl": (lines(TRL), "run.jsonl"),
        "json": (json.dumps({"log_history": TRL}), "trainer_state.json"),
        "log": ("".join(f"{row}\n" for row in TRL), "run.log"),
        "mlflow": (mlflow(), "m.csv"),
        "panel": (panels("a", "kl"), "kl.csv"),
        "responses": (as_csv([{"step": 10 * (at + 1), "log_prob": -1.0, "base_log_prob": -1.0 - kl, "reward": 0.2}
                              for at, kl in enumerate(PER_TOKEN) for _ in range(2)]), "responses.csv"),
    }[kind]  # fmt: skip
    (tmp_path / name).write_bytes(text.replace("\r\n", "\n").replace("\n", end).encode("utf-16"))
    path = tmp_path / name
    if kind == "panel":
        path = tmp_path
        for key in ("reward", "completions/mean_length"):
            (path / f"{key[:6]}.csv").write_bytes(panels("a", key).encode("utf-16"))
    np.testing.assert_allclose(read_training_log(path).kl, PER_TOKEN)
    if kind in ("csv", "jsonl", "responses"):
        whole = path.read_bytes()
        path.write_bytes(whole[:-21])  # half a letter is left of the last
        assert any("not written whole" in note or "no end yet" in note for note in read_training_log(path).notes)
    if kind == "csv":
        path.write_bytes(text.encode("utf-16-le"))
        with pytest.raises(InputError, match="is not UTF-8 text"):
            read_training_log(path)


def test_panels_that_do_not_agree_are_said(tmp_path: Path) -> None:
    for key in ("kl", "reward", "completions/mean_length"):
        (tmp_path / f"b{key[:3]}.csv").write_text(panels("a", key))
    (tmp_path / "a.csv").write_text(panels("a", "kl").replace(str(TRL[2]["kl"]), "0.5"))
    log = read_training_log(tmp_path)
    np.testing.assert_allclose(log.kl, PER_TOKEN)
    assert "'train/kl' stands in several panels with other values; those of bkl.csv count." in log.notes
    (tmp_path / "a.csv").write_text(panels("a", "kl").replace("train/global_step", "Step"))
    with pytest.raises(InputError, match=r"different axes \('train/kl' by 'Step', 'train/.*' by 'train/global_step'\)"):
        read_training_log(tmp_path)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "json"])
def test_preference_training_is_told_whatever_exported_it(tmp_path: Path, kind: str) -> None:
    rows = [{"step": 1, "loss": 0.6, "rewards/chosen": 0.1, "rewards/rejected": 0.0, "logps/chosen": -9.0}]
    path = tmp_path / f"run.{kind}"
    path.write_text({"jsonl": lines(rows), "csv": as_csv(rows), "json": json.dumps({"log_history": rows})}[kind])
    with pytest.raises(InputError, match="is a log of preference training"):
        read_training_log(path)


@pytest.mark.parametrize("repeated", [1, 2])
def test_a_console_that_two_write_to_counts_once(tmp_path: Path, repeated: int) -> None:
    rows = [{key: value for key, value in row.items() if key != "step"} | {"epoch": 0.01} for row in TRL]
    (tmp_path / "run.log").write_text("".join(f"{row}\n" * repeated for row in rows))
    log = read_training_log(tmp_path / "run.log")
    np.testing.assert_allclose(log.kl, PER_TOKEN)
    assert any("Left out: 3 rows with epoch and values of the row before" in note for note in log.notes) == (
        repeated == 2
    )


def test_a_console_shows_its_rounding_in_any_number_of_rows(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text(
        "".join(f"step:{i} - actor/reward_kl_penalty:0.00{i} - critic/score/mean:0.1 - response_length/mean:300.000 - "
                "response_length/min:100.000 - response_length/max:1000.000\n" for i in range(3))
    )  # fmt: skip
    log = read_training_log(tmp_path / "run.log", estimator="k3")
    np.testing.assert_allclose(log.ends[0], [0.0, 0.05, 0.15])
    np.testing.assert_allclose(log.ends[1], [0.5, 1.5, 2.5])
