"""Scoring with reward models: the rewards, what is refused, resumption after a kill, and the chain to a report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
)

from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.models.reward_scorer import RewardScorer
from alignlib.models.score import ScoreSummary, score
from alignlib.models.scoring import ScoreSettings
from tests.lm.killing import killed_midway
from tests.lm.tiny_models import SMALL, WORDS, save, word_tokenizer

ROWS = [("w1 w2", "w3 w4 w5"), ("w1", ""), ("w6 w7 w8 w9", "w1"), ("w1 w2", "w5"), ("w9", "w3 w3 w3 w3 w3 w3")] * 3


@pytest.fixture(name="table")
def _table(tmp_path: Path) -> Path:
    prompts, responses = zip(*ROWS, strict=True)
    columns = {"prompt_id": list(range(15)), "prompt": prompts, "response": responses, "extra": [[1.5]] * 15}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata({"model": "m"}), path)
    return path


def scored(table: Path, model: str, **options: Any) -> tuple[list[float], list[str], ScoreSummary]:
    """Score and return the rewards, what was said, and the summary."""
    said: list[str] = []
    outer = {name: options.pop(name) for name in ("output", "force") if name in options}
    settings = ScoreSettings(**{"name": "x", "batch_size": 4, **options})
    found = score(table, model, settings=settings, say=said.append, **outer)
    return pq.read_table(found.output)[found.column].to_pylist(), said, found


def alone(folder: str, *text: str, special: bool = True) -> np.ndarray[Any, Any]:
    """Outputs of a reward model for one text by itself, in float64."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(*text, return_tensors="pt", add_special_tokens=special)
    with torch.no_grad():
        logits: np.ndarray[Any, Any] = model(**inputs).logits[0].numpy()
    return logits


@pytest.mark.parametrize("size", [1, 4, None])
def test_rewards_are_those_of_each_text_alone(zoo: dict[str, str], table: Path, size: int | None) -> None:
    rewards, said, found = scored(table, zoo["reward"], batch_size=size)
    assert rewards == pytest.approx([alone(zoo["reward"], p + r).item() for p, r in ROWS], abs=1e-5)
    assert (found.column, found.n_rows) == ("reward_x", 15)
    assert (found.mean, found.std) == (pytest.approx(np.mean(rewards)), pytest.approx(np.std(rewards)))
    assert any("as plain text" in sentence for sentence in said)


def test_layouts(zoo: dict[str, str], table: Path, tmp_path: Path) -> None:
    name = zoo["chat_reward"]
    chat, said, _ = scored(table, name, name="chat")
    assert any("by the chat template" in sentence for sentence in said)
    assert chat == pytest.approx([alone(name, f"user {p} assistant {r}").item() for p, r in ROWS], abs=1e-5)
    laid, _, _ = scored(table, name, name="laid", template="system {prompt} then {response} <eos>")
    assert laid == pytest.approx([alone(name, f"system {p} then {r} <eos>").item() for p, r in ROWS], abs=1e-5)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        num_labels=1, initializer_range=0.4, pad_token_id=1,
    )  # fmt: skip
    bert = save(tmp_path / "bert", BertForSequenceClassification(config), word_tokenizer())
    pair, _, _ = scored(table, bert, name="pair", layout="pair")
    assert pair == pytest.approx([alone(bert, p, r).item() for p, r in ROWS], abs=1e-5)


def test_prompts_that_are_messages(zoo: dict[str, str], tmp_path: Path) -> None:
    chats = [
        [{"role": "system", "content": "w1"}, {"role": "user", "content": "w2"}],
        [{"role": "user", "content": "w3"}],
    ]
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"prompt": chats, "response": ["w4", "w5"]}), path)
    rewards, _, _ = scored(path, zoo["chat_reward"])
    texts = ["system w1 user w2 assistant w4", "user w3 assistant w5"]
    assert rewards == pytest.approx([alone(zoo["chat_reward"], text).item() for text in texts], abs=1e-5)


def test_several_outputs_need_a_choice(zoo: dict[str, str], table: Path) -> None:
    with pytest.raises(ValueError, match=r"has 3 outputs, 0 .LABEL_0., .*give label or output_index"):
        scored(table, zoo["harm"])
    with pytest.raises(ValueError, match=r"Unknown label .* 'LABEL_7'; did you mean 'LABEL_"):
        scored(table, zoo["harm"], label="LABEL_7")
    with pytest.raises(ValueError, match=r"output_index=3 is no output"):
        scored(table, zoo["harm"], output_index=3)
    outputs = np.array([alone(zoo["harm"], p + r) for p, r in ROWS])
    raw, said, _ = scored(table, zoo["harm"], name="a", output_index=2)
    assert raw == pytest.approx(outputs[:, 2], abs=1e-5)
    assert any("value='log-prob'" in sentence for sentence in said)
    cost, _, _ = scored(table, zoo["harm"], name="b", label="LABEL_1", value="log-prob", negate=True)
    assert cost == pytest.approx(np.logaddexp.reduce(outputs, axis=1) - outputs[:, 1], abs=1e-5)


def test_a_text_that_closes_with_the_pad_token_is_read_to_its_end(table: Path, tmp_path: Path) -> None:
    # The model names no pad token, the tokenizer has only <eos>, and every text ends with it.
    torch.manual_seed(5)
    config = GPT2Config(vocab_size=len(WORDS), n_positions=48, n_embd=24, n_layer=1, n_head=2, num_labels=1, **SMALL)
    folder = save(tmp_path / "m", GPT2ForSequenceClassification(config), word_tokenizer(eos_token="<eos>"))
    rewards, said, _ = scored(table, folder, template="{prompt} {response} <eos>")
    assert rewards == pytest.approx([alone(folder, f"{p} {r} <eos>").item() for p, r in ROWS], abs=1e-5)
    assert any("no pad token" in sentence for sentence in said)


def test_other_columns_and_metadata_stay(zoo: dict[str, str], table: Path) -> None:
    before = pq.read_table(table)
    scored(table, zoo["reward"])
    scored(table, zoo["chat_reward"], name="y")
    after = pq.read_table(table)
    assert after.column_names == [*before.column_names, "reward_x", "reward_y"]
    assert after.select(before.column_names).equals(before)
    assert after.schema.metadata[b"model"] == b"m"
    assert json.loads(after.schema.metadata[b"alignlib_score:reward_y"])["model"] == zoo["chat_reward"]
    with pytest.raises(ValueError, match=r"has a column 'reward_x' already; choose another name, or pass force=True"):
        scored(table, zoo["reward"])
    again, _, _ = scored(table, zoo["reward"], force=True, negate=True)
    assert again == [-value for value in after["reward_x"].to_pylist()]
    assert pq.read_table(table).column_names == after.column_names


def test_csv_needs_an_output(zoo: dict[str, str], table: Path, tmp_path: Path) -> None:
    pd.DataFrame(ROWS, columns=["q", "a"]).query("a != ''").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        ValueError,
        match=r"cannot take another column: it is .*, and rewards are added to Parquet only.*give -o NAME.parquet",
    ):
        scored(tmp_path / "t.csv", zoo["reward"], prompt="q", response="a")
    options = {"prompt": "q", "response": "a", "output": tmp_path / "o.parquet"}
    rewards, _, _ = scored(tmp_path / "t.csv", zoo["reward"], **options)
    assert rewards == pytest.approx([alone(zoo["reward"], p + r).item() for p, r in ROWS if r], abs=1e-5)
    with pytest.raises(ValueError, match=r"exists; choose another output"):
        scored(tmp_path / "t.csv", zoo["reward"], **options)


def test_a_column_gained_meanwhile_is_kept(zoo: dict[str, str], table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RewardScorer.run

    def busy(self: RewardScorer, parts: Any) -> Any:
        pq.write_table(pq.read_table(table).append_column("reward_other", pa.array([0.5] * 15)), table)
        return run(self, parts)

    monkeypatch.setattr(RewardScorer, "run", busy)
    scored(table, zoo["reward"])
    assert pq.read_table(table).column_names[-2:] == ["reward_other", "reward_x"]


def test_a_table_that_changed_meanwhile_is_refused(
    zoo: dict[str, str], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RewardScorer.run

    def busy(self: RewardScorer, parts: Any) -> Any:
        pq.write_table(pq.read_table(table).slice(1), table)
        return run(self, parts)

    monkeypatch.setattr(RewardScorer, "run", busy)
    with pytest.raises(ValueError, match=r"changed while it was scored"):
        scored(table, zoo["reward"])
    assert "reward_x" not in pq.read_table(table).column_names


@pytest.mark.parametrize("layers", [1, 0, -1])
def test_a_config_that_leaves_layers_out_is_another_model(
    zoo: dict[str, str], table: Path, tmp_path: Path, layers: int
) -> None:
    shutil.copytree(zoo["reward"], tmp_path / "short")
    config = json.loads((tmp_path / "short" / "config.json").read_text())
    (tmp_path / "short" / "config.json").write_text(json.dumps(config | {"n_layer": layers}))
    said = (
        r"holds weights of transformer\.h\.\d, a layer that its config leaves out" if layers >= 0 else "has -1 as 'n_l"
    )
    with pytest.raises(InputError, match=said):
        scored(table, str(tmp_path / "short"))


def test_what_cannot_be_scored(zoo: dict[str, str], table: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no weights for score.weight, which GPT2ForSequenceClassification needs"):
        scored(table, zoo["gpt2"])
    model = AutoModelForSequenceClassification.from_pretrained(zoo["reward"])
    with torch.no_grad():
        model.transformer.wte.weight[WORDS.index("w5")] = 3e38  # finite, and what follows from it is not
    broken = save(tmp_path / "broken", model, word_tokenizer())
    with pytest.raises(ValueError, match=r"gave nan for row 1; .* try dtype='float32'"):
        scored(table, broken)
    with pytest.raises(ValueError, match=r"has no column 'text' .response."):
        scored(table, zoo["reward"], response="text")
    long = tmp_path / "long.parquet"
    pq.write_table(pa.table({"prompt": ["w1", "w1"], "response": ["w1", "w2 " * 60]}), long)
    with pytest.raises(ValueError, match=r"1 of 2 texts are longer than the context .* 48 tokens; .* row 2, has 6[01]"):
        scored(long, zoo["reward"])
    gaps = tmp_path / "gaps.parquet"
    pq.write_table(pa.table({"prompt": ["w1", None], "response": ["w1", "w2"]}), gaps)
    with pytest.raises(ValueError, match=r"olumn 'prompt' of .* has no value in row 2"):
        scored(gaps, zoo["reward"])
    with pytest.raises(ValueError, match=r"template must hold {response} once"):
        scored(table, zoo["reward"], template="{prompt}")


def test_a_reward_model_that_does_not_tell_responses_apart(zoo: dict[str, str], tmp_path: Path) -> None:
    """Also where batches of unlike size round unlike; and half precision's coarse rewards are not called equal."""
    path = tmp_path / "t.parquet"
    for rows in (3, 5):
        pq.write_table(pa.table({"prompt": ["w1"] * rows, "response": ["w2"] * rows}), path)
        _, said, _ = scored(path, zoo["reward"], force=True)
        assert any("does not tell the responses apart" in sentence for sentence in said)
    pq.write_table(pa.table({"prompt": ["w1"] * 3, "response": ["w2", "w3", "w4 w5"]}), path)
    _, said, _ = scored(path, zoo["reward"], force=True, dtype="bfloat16")
    assert not any("does not tell the responses apart" in sentence for sentence in said)


def test_killed_and_resumed_gives_the_same_file(zoo: dict[str, str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(WORDS[3:], size)) for size in rng.integers(1, 20, 400)]
    columns = {"prompt_id": np.arange(400) // 8, "prompt": ["w1"] * 400, "response": words}
    output, whole = tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    for path in (output, whole):
        pq.write_table(pa.table(columns), path)
    before = output.read_bytes()
    options: list[object] = ["--reward-model", zoo["reward"], "--name", "x", "--batch-size", 4]
    killed_midway(["score", output, *options], tmp_path / "killed.parquet.reward_x.parts", after=5)
    assert output.read_bytes() == before
    runner = CliRunner()
    for path, expected in ((output, "rewards are there"), (whole, "up to 4 responses")):
        result = runner.invoke(main, ["score", str(path), *map(str, options)])
        assert result.exit_code == 0, result.stderr
        assert expected in result.stderr
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed.parquet", "whole.parquet"]


def test_exchanged_shards_are_refused_and_a_finished_job_is_tidied(
    zoo: dict[str, str], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("alignlib.models.score._write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            scored(table, zoo["reward"], batch_size=2)
    parts, kept = table.with_name(f"{table.name}.reward_x.parts"), table.with_name("kept")
    shutil.copytree(parts, kept)
    before = table.read_bytes()
    first, second = sorted(parts.glob("*.parquet"))[:2]
    both = first.read_bytes(), second.read_bytes()
    first.write_bytes(both[1])
    second.write_bytes(both[0])
    with pytest.raises(InputError, match=r"000000\.parquet is not as the job wrote it \(it holds shard 1\)"):
        scored(table, zoo["reward"], batch_size=2)
    assert table.read_bytes() == before
    first.write_bytes(both[0])
    second.write_bytes(both[1])
    rewards, _, found = scored(table, zoo["reward"], batch_size=2)
    assert not parts.exists()
    shutil.copytree(kept, parts)  # as if it had been killed when the file stood
    with pytest.raises(InputError, match="has a column 'reward_x' already"):
        scored(table, zoo["reward"], batch_size=2, negate=True)
    again, said, summary = scored(table, zoo["reward"], batch_size=2)
    assert (again, summary) == (rewards, found)
    assert any("nothing to do" in sentence for sentence in said)
    assert not parts.exists()


def test_from_a_model_to_a_report(zoo: dict[str, str], tmp_path: Path) -> None:
    table = tmp_path / "rewards.parquet"
    (tmp_path / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt_id": f"q{i}", "prompt": f"w{i} w{i + 1}"}) + "\n" for i in range(20))
    )
    runner = CliRunner()

    def alignlib(*arguments: object) -> Any:
        result = runner.invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output + str(result.exception)
        return result

    model = ["--model", zoo["gpt2_trained"], "--base", zoo["gpt2"]]
    result = alignlib(
        "sample", *model, "--prompts", tmp_path / "prompts.jsonl", "--n", 32, "--max-new-tokens", 6, "-o", table
    )
    assert result.stdout == f"Wrote {table}: 640 responses to 20 prompts.\n"
    result = alignlib("score", table, "--reward-model", zoo["reward"], "--name", "x")
    assert result.stdout.startswith(f"Wrote {table}: 640 rewards in reward_x, mean ")
    result = alignlib("frontier", table, "--reward", "reward_x", "--json")
    found = json.loads(result.stdout)
    assert found["table"]["n_prompts"] == 20
    assert found["reward"]["largest_supported"] > 0
    measured = json.loads(alignlib("kl", table, "--json").stdout)
    kl = {one["name"]: one["kl"] for one in measured["estimates"]}
    columns = pq.read_table(table).to_pydict()
    assert kl["rao_blackwell"] == pytest.approx(np.mean([sum(row) for row in columns["token_kl"]]), rel=1e-6)
    assert kl["k1"] == pytest.approx(np.mean(np.subtract(columns["log_prob"], columns["base_log_prob"])), rel=1e-6)
    alignlib("report", table, "--reward", "reward_x", "-o", tmp_path / "report")
    assert (tmp_path / "report" / "report.html").is_file()
