"""Sampling real models: the law drawn from, log-probabilities, resumption after a kill, and what is refused."""

from __future__ import annotations

import inspect
import json
import shutil
from collections import Counter
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from scipy import stats
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.models import batching, sample_job
from alignlib.models.journal import JOURNAL
from alignlib.models.next_token import SamplingLaw, kl_of_laws
from alignlib.models.prompts import as_prompts
from alignlib.models.resumable import Parts
from alignlib.models.sample import SampleSummary, sample
from alignlib.models.sample_job import SampleJob, SampleSettings
from tests.docstrings import without_session
from tests.lm.killing import killed_midway
from tests.lm.tiny_models import WORDS, gpt2, save, word_tokenizer

PROMPTS = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9", "w10 w11", "w1 w2 w4"]


def drawn(
    model: str, output: Path, prompts: list[Any] = PROMPTS, **options: Any
) -> tuple[dict[str, list[Any]], list[str], SampleSummary]:
    """Sample and return the table, what was said, and the summary."""
    said: list[str] = []
    outer = {name: options.pop(name) for name in ("base", "force") if name in options}
    options = {"n": 6, "max_new_tokens": 12, "batch_size": 8, **options}
    found = sample(model, as_prompts(prompts), output, settings=SampleSettings(**options), say=said.append, **outer)
    return pq.read_table(output).to_pydict(), said, found


@lru_cache
def exact_model(folder: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()


def next_token_laws(folder: str, prompt: list[int], response: list[int]) -> np.ndarray[Any, Any]:
    """Log-probabilities of every token at each place of a response: one sequence alone, no padding, float64."""
    with torch.no_grad():
        logits = exact_model(folder)(torch.tensor([[*prompt, *response]]), use_cache=False).logits[0]
    laws: np.ndarray[Any, Any] = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1].numpy()
    return laws


def plain_tokens(folder: str, text: str) -> list[int]:
    return list(AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"])


def test_the_example_of_the_page_runs(
    zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy").symlink_to(zoo["tiny"])
    monkeypatch.chdir(tmp_path)
    exec(without_session(inspect.getdoc(sample) or ""), {})
    assert capsys.readouterr().out.startswith("16 responses, ")
    assert pq.read_table("samples.parquet").num_rows == 16


# The law ---------------------------------------------------------------------------------------------


def warp(log_prob: np.ndarray[Any, Any], law: SamplingLaw) -> np.ndarray[Any, Any]:
    """Temperature, top-k and top-p by their definitions, for one next-token law."""
    weights = np.exp(log_prob / law.temperature)
    ranked = np.argsort(-weights)
    kept = list(ranked[: law.top_k])
    share = weights[kept] / weights[kept].sum()
    if law.top_p is not None:
        kept = kept[: 1 + int(np.searchsorted(np.cumsum(share), law.top_p))]
    prob = np.zeros_like(weights)
    prob[kept] = weights[kept] / weights[kept].sum()
    return prob


def exact_law(folder: str, prompt: list[int], length: int, law: SamplingLaw) -> dict[tuple[int, ...], float]:
    """Probability of every response of at most ``length`` tokens, by enumeration."""
    found: dict[tuple[int, ...], float] = {}
    open_prefixes: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for place in range(length):
        grown = []
        for prefix, prob in open_prefixes:
            last = warp(next_token_laws(folder, prompt, [*prefix, 0])[-1], law)
            grown += [((*prefix, token), prob * share) for token, share in enumerate(last)]
        ended = place == length - 1
        found.update({tokens: prob for tokens, prob in grown if ended or tokens[-1] == 0})
        open_prefixes = [(tokens, prob) for tokens, prob in grown if tokens[-1] != 0]
    return found


def chi_square(counts: Counter[tuple[int, ...]], law: dict[tuple[int, ...], float]) -> float:
    """P-value of the counts under the law; responses expected fewer than 8 times are taken together."""
    total = sum(counts.values())
    assert all(law[tokens] > 0 for tokens in counts)
    often = [tokens for tokens, prob in law.items() if total * prob >= 8]
    observed = [counts[tokens] for tokens in often]
    expected = [total * law[tokens] for tokens in often]
    if total - sum(expected) > 1e-6 * total:
        observed, expected = [*observed, total - sum(observed)], [*expected, total - sum(expected)]
    return float(stats.chisquare(observed, np.array(expected) * (total / sum(expected))).pvalue)


@pytest.mark.parametrize(
    "law", [SamplingLaw(), SamplingLaw(temperature=0.7, top_k=4), SamplingLaw(top_p=0.8)], ids=SamplingLaw.describe
)
def test_responses_follow_the_law(zoo: dict[str, str], tmp_path: Path, law: SamplingLaw) -> None:
    # The saved model asks for temperature 0.3, top-k 2 and a repetition penalty: none of it may show.
    table, said, _ = drawn(
        zoo["tiny"], tmp_path / "t.parquet", ["a b"], n=6000, max_new_tokens=3, law=law, batch_size=1000
    )
    counts = Counter(map(tuple, table["token_id"]))
    exact = exact_law(zoo["tiny"], plain_tokens(zoo["tiny"], "a b"), 3, law)
    assert sum(exact.values()) == pytest.approx(1.0, abs=1e-12)
    assert chi_square(counts, exact) > 1e-3
    assert np.exp(table["log_prob"]) == pytest.approx([exact[tuple(t)] for t in table["token_id"]], rel=1e-5)
    other = exact_law(zoo["tiny"], plain_tokens(zoo["tiny"], "a b"), 3, SamplingLaw(law.temperature * 1.15, law.top_k))
    assert chi_square(counts, other) < 1e-6  # the control: a law a little warmer is told apart
    assert any("another law than the model's" in sentence for sentence in said) is not law.is_model


@pytest.mark.parametrize("n", [1, 6])  # with one response per prompt nothing is shared
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_log_probabilities_are_those_of_each_sequence_alone(
    zoo: dict[str, str], tmp_path: Path, name: str, n: int
) -> None:
    table, said, _ = drawn(zoo[name], tmp_path / "t.parquet", layout="text", max_new_tokens=20, n=n)
    assert len(set(map(len, (text.split() for text in table["prompt"])))) > 2  # so there is padding
    for row, text in enumerate(table["prompt"]):
        tokens = table["token_id"][row]
        laws = next_token_laws(zoo[name], plain_tokens(zoo[name], text), tokens)
        each = laws[np.arange(len(tokens)), tokens]
        assert table["token_log_prob"][row] == pytest.approx(each, abs=1e-5)
        assert table["log_prob"][row] == sum(table["token_log_prob"][row])
    assert any("agree: at most" in sentence for sentence in said)


def test_a_response_does_not_depend_on_its_batch_nor_on_n(zoo: dict[str, str], tmp_path: Path) -> None:
    runs = [
        drawn(zoo["gpt2"], tmp_path / f"{size}.parquet", n=n, batch_size=size)[0]
        for size, n in ((1, 6), (4, 6), (30, 6), (7, 9))
    ]
    where = {(p, s): row for row, (p, s) in enumerate(zip(runs[3]["prompt_id"], runs[3]["sample_id"], strict=True))}
    first = [where[key] for key in zip(runs[0]["prompt_id"], runs[0]["sample_id"], strict=True)]
    for run, rows in ((runs[1], range(30)), (runs[2], range(30)), (runs[3], first)):
        assert [run["token_id"][row] for row in rows] == runs[0]["token_id"]
        assert [run["log_prob"][row] for row in rows] == pytest.approx(runs[0]["log_prob"], abs=1e-5)


def test_seeds_give_different_responses(zoo: dict[str, str], tmp_path: Path) -> None:
    one, two = (drawn(zoo["gpt2"], tmp_path / f"{seed}.parquet", seed=seed)[0]["token_id"] for seed in (0, 1))
    assert one != two


# The base --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [SamplingLaw(), SamplingLaw(top_k=5)], ids=SamplingLaw.describe)
def test_base_and_token_kl(zoo: dict[str, str], tmp_path: Path, law: SamplingLaw) -> None:
    table, _, _ = drawn(zoo["gpt2_trained"], tmp_path / "t.parquet", base=zoo["gpt2"], law=law)
    for row, text in enumerate(table["prompt"]):
        tokens = table["token_id"][row]
        prompt = plain_tokens(zoo["gpt2"], text)
        ours, theirs = (next_token_laws(zoo[name], prompt, tokens) for name in ("gpt2_trained", "gpt2"))
        each = theirs[np.arange(len(tokens)), tokens]
        assert table["base_token_log_prob"][row] == pytest.approx(each, abs=1e-5)
        assert table["base_log_prob"][row] == sum(table["base_token_log_prob"][row])
        prob = [warp(row, law) for row in ours]
        kl = [np.sum(p[p > 0] * (np.log(p[p > 0]) - q[p > 0])) for p, q in zip(prob, theirs, strict=True)]
        assert table["token_kl"][row] == pytest.approx(kl, abs=1e-5)


def test_two_estimates_of_the_kl_agree(zoo: dict[str, str], tmp_path: Path) -> None:
    table, _, _ = drawn(zoo["gpt2_trained"], tmp_path / "t.parquet", base=zoo["gpt2"], n=200, batch_size=200)
    ratio = np.subtract(table["log_prob"], table["base_log_prob"])
    expected = np.array([sum(kl) for kl in table["token_kl"]])
    apart = ratio - expected  # mean zero, by the chain rule
    assert expected.mean() > 0.5
    assert abs(apart.mean()) < 4 * apart.std() / np.sqrt(apart.size)
    assert expected.std() < ratio.std()


def test_a_policy_that_is_its_base_has_kl_zero(zoo: dict[str, str], tmp_path: Path) -> None:
    table, _, _ = drawn(zoo["llama"], tmp_path / "t.parquet", base=zoo["llama"])
    assert {value for row in table["token_kl"] for value in row} == {0.0}
    assert table["base_log_prob"] == pytest.approx(table["log_prob"], abs=1e-5)


def test_kl_of_laws_against_high_precision() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 9)) * 3
    other = logits + rng.normal(size=(6, 9)) * np.array([1e-6, 1e-3, 0.1, 1.0, 30.0, 300.0])[:, None]
    p, q = torch.log_softmax(torch.tensor(logits), -1), torch.log_softmax(torch.tensor(other), -1)
    with mpmath.workdps(50):
        for found, ours, theirs in zip(kl_of_laws(p, q).tolist(), p.tolist(), q.tolist(), strict=True):
            # Normalised anew: the rounding of the inputs is not the function's.
            a, b = ([mpmath.exp(mpmath.mpf(v)) for v in law] for law in (ours, theirs))
            a, b = ([v / sum(law) for v in law] for law in (a, b))
            exact = sum(x * mpmath.log(x / y) for x, y in zip(a, b, strict=True))
            assert found == pytest.approx(float(exact), rel=1e-3, abs=1e-300)
            assert found >= 0.0
    cut = torch.log_softmax(torch.tensor([[0.0, 1.0, -torch.inf]], dtype=torch.float64), -1)
    whole = torch.log_softmax(torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64), -1)
    assert kl_of_laws(cut, whole).item() == pytest.approx(np.log((2 + np.e) / (1 + np.e)))
    assert kl_of_laws(whole, cut).item() == np.inf


# The book's own models --------------------------------------------------------------------------------


def test_the_book_s_own_models_against_their_exact_law(tmp_path: Path) -> None:
    pytest.importorskip("alignlib.lm.base_model", reason="the enumerable models are not part of this copy")
    from alignlib.lm.base_model import load_base, new_model, save_model
    from alignlib.lm.space import ResponseSpace
    from alignlib.lm.tasks import Summarisation
    from tests.lm.by_prompt import exact_log_prob

    space = ResponseSpace(9, 3)
    task = Summarisation.task(space)
    save_model(new_model(task), tmp_path / "base", task)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    prompts = [tokenizer.decode(row.tolist()) for row in np.asarray(task.prompts[:4])]
    table, _, _ = drawn(str(tmp_path / "base"), tmp_path / "t.parquet", prompts, n=40, max_new_tokens=3, batch_size=40)
    tokens = np.zeros((160, 3), dtype=np.int64)
    for row, ids in enumerate(table["token_id"]):
        tokens[row, : len(ids)] = ids
    exact = exact_log_prob(load_base(tmp_path / "base"), task.prompts[:4], space)
    assert table["log_prob"] == pytest.approx(exact[table["prompt_id"], space.index_of(tokens)], abs=1e-5)


# What a response is ----------------------------------------------------------------------------------


def test_lengths_ends_and_empty_responses(zoo: dict[str, str], tmp_path: Path) -> None:
    model = gpt2(len(WORDS))
    with torch.no_grad():
        model.transformer.ln_f.bias += 4.0 * model.lm_head.weight[0] / model.lm_head.weight[0].norm()
    folder = save(tmp_path / "eager", model, word_tokenizer())
    table, said, found = drawn(folder, tmp_path / "t.parquet", n=40, batch_size=50)
    lengths, cut = np.array(table["n_tokens"]), np.array(table["truncated"])
    assert [len(tokens) for tokens in table["token_id"]] == lengths.tolist()
    assert [tokens[-1] == 0 and 0 not in tokens[:-1] for tokens in table["token_id"]] == (~cut).tolist()
    assert (lengths[cut] == 12).all()
    empty = (lengths == 1) & ~cut
    assert {table["response"][row] for row in np.flatnonzero(empty)} == {""}
    assert (found.n_responses, found.n_empty, found.n_truncated) == (200, empty.sum(), cut.sum())
    assert 0 < empty.sum() < 200
    assert any(f"{empty.sum()} of 200 responses are empty" in sentence for sentence in said)


def test_columns_and_metadata(zoo: dict[str, str], tmp_path: Path) -> None:
    drawn(zoo["gpt2"], tmp_path / "t.parquet", law=SamplingLaw(temperature=0.9), seed=7)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.column_names == [
        "prompt_id", "sample_id", "prompt", "response", "n_tokens", "truncated", "log_prob", "token_log_prob",
        "token_id",
    ]  # fmt: skip
    assert table["prompt_id"].to_pylist() == np.repeat(np.arange(5), 6).tolist()
    assert table["sample_id"].to_pylist() == list(range(6)) * 5
    assert table["prompt"].to_pylist() == np.repeat(PROMPTS, 6).tolist()
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert (said["model"], said["base"], said["temperature"], said["seed"]) == (zoo["gpt2"], "", "0.9", "7")
    assert json.loads(said["alignlib_sample"])["settings"]["temperature"] == 0.9


def test_a_tokenizer_that_ends_every_text_and_cannot_pad(zoo: dict[str, str], tmp_path: Path) -> None:
    table, said, _ = drawn(zoo["bytes"], tmp_path / "t.parquet", ["the limit", "the"])
    assert any("no pad token; '<end>' fills the batches" in sentence for sentence in said)
    tokens = table["token_id"][0]
    laws = next_token_laws(zoo["bytes"], plain_tokens(zoo["bytes"], "the limit"), tokens)
    assert table["token_log_prob"][0] == pytest.approx(laws[np.arange(len(tokens)), tokens], abs=1e-5)


def test_chat_templates(zoo: dict[str, str], tmp_path: Path) -> None:
    chat = [
        [{"role": "system", "content": "w7"}, {"role": "user", "content": "w1"}],
        [{"role": "user", "content": "w2"}],
    ]
    table, said, _ = drawn(zoo["llama"], tmp_path / "t.parquet", chat)
    assert any("by the chat template" in sentence for sentence in said)
    assert table["prompt"] == [message for message in chat for _ in range(6)]
    plain, said, _ = drawn(zoo["llama"], tmp_path / "p.parquet", ["w2"], layout="text")
    assert any("without a chat template" in sentence for sentence in said)
    auto, _, _ = drawn(zoo["llama"], tmp_path / "a.parquet", ["w2"])
    laid, _, _ = drawn(zoo["llama"], tmp_path / "l.parquet", ["w2"], template="user {prompt} assistant")
    for found, row, rendered in (
        (table, 0, "system w7 user w1 assistant"),
        (table, 6, "user w2 assistant"),
        (plain, 0, "w2"),
        (auto, 0, "user w2 assistant"),
        (laid, 0, "user w2 assistant"),
    ):
        tokens = found["token_id"][row]
        laws = next_token_laws(zoo["llama"], plain_tokens(zoo["llama"], rendered), tokens)
        assert found["token_log_prob"][row] == pytest.approx(laws[np.arange(len(tokens)), tokens], abs=1e-5)


# Resumption ------------------------------------------------------------------------------------------


def test_killed_and_resumed_gives_the_same_file(zoo: dict[str, str], tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS))
    output, whole = tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    options: list[object] = ["sample", "--model", zoo["gpt2_trained"], "--base", zoo["gpt2"], "--prompts", prompts]
    options += ["--n", 24, "--max-new-tokens", 16, "--batch-size", 4]
    parts = tmp_path / "killed.parquet.parts"
    killed_midway([*options, "-o", output], parts, after=4)
    assert not output.exists()
    shards = (parts / JOURNAL).read_bytes().count(b"\n") - 1  # a shard that is not noted there is drawn again
    assert 3 <= shards < 30
    (parts / ".000029.parquet.alignlib-01234567-1-01234567").write_bytes(
        b"half"
    )  # as if the kill had come during a write
    runner = CliRunner()
    result = runner.invoke(main, [str(option) for option in [*options, "-o", output]])
    assert result.exit_code == 0, result.stderr
    assert f"{4 * shards} of 120 responses are there" in result.stderr
    assert runner.invoke(main, [str(option) for option in [*options, "-o", whole]]).exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed.parquet", "prompts.txt", "whole.parquet"]


@pytest.mark.parametrize("moment", [0, 1, 4, "last"])
def test_interrupted_anywhere(
    zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int | str
) -> None:
    whole, _, _ = drawn(zoo["gpt2"], tmp_path / "whole.parquet", batch_size=5)
    with monkeypatch.context() as patch:
        if moment == "last":
            patch.setattr("alignlib.models.resumable.os.fsync", lambda _: None)
            patch.setattr("alignlib.models.sample.write_parquet", interrupt)
        else:
            write = Parts.write
            patch.setattr(
                Parts, "write", lambda self, shard, table: interrupt() if shard == moment else write(self, shard, table)
            )
        with pytest.raises(KeyboardInterrupt):
            drawn(zoo["gpt2"], tmp_path / "t.parquet", batch_size=5)
    assert not (tmp_path / "t.parquet").exists()
    again, said, _ = drawn(zoo["gpt2"], tmp_path / "t.parquet", batch_size=5)
    assert again == whole
    assert (tmp_path / "t.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert any("Going on from" in sentence for sentence in said) is (moment != 0)


def test_exchanged_shards_are_refused_and_a_finished_job_is_tidied(
    zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, parts = tmp_path / "t.parquet", tmp_path / "t.parquet.parts"
    with monkeypatch.context() as patch:
        patch.setattr("alignlib.models.sample.write_parquet", interrupt)
        with pytest.raises(KeyboardInterrupt):
            drawn(zoo["gpt2"], output, batch_size=5)
    first, second = sorted(parts.glob("*.parquet"))[:2]
    kept = tmp_path / "kept.parts"
    shutil.copytree(parts, kept)
    both = first.read_bytes(), second.read_bytes()
    first.write_bytes(both[1])
    second.write_bytes(both[0])
    with pytest.raises(InputError, match=r"000000\.parquet is not as the job wrote it \(it holds shard 1\)"):
        drawn(zoo["gpt2"], output, batch_size=5)
    assert not output.exists()
    first.write_bytes(both[0])
    second.write_bytes(both[1])
    drawn(zoo["gpt2"], output, batch_size=5)
    assert not parts.exists()
    kept.rename(parts)  # as if it had been killed when the file stood
    _, said, _ = drawn(zoo["gpt2"], output, batch_size=5)
    assert any("complete already" in sentence for sentence in said)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_a_changed_setting_is_refused_by_name(
    zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "t.parquet"
    with monkeypatch.context() as patch:
        write = Parts.write
        patch.setattr(
            Parts, "write", lambda self, shard, table: interrupt() if shard == 2 else write(self, shard, table)
        )
        with pytest.raises(KeyboardInterrupt):
            drawn(zoo["gpt2"], output)
    changes: list[tuple[str, dict[str, Any]]] = [
        ("n=6, now it is 7", {"n": 7}),
        ("seed=0, now it is 3", {"seed": 3}),
        ("max_new_tokens=12, now it is 5", {"max_new_tokens": 5}),
        ("temperature=1.0, now it is 0.5", {"law": SamplingLaw(0.5)}),
        ("top_k=None, now it is 3", {"law": SamplingLaw(top_k=3)}),
        ("content of the prompts ", {"prompts": [*PROMPTS, "w1"]}),
        ("content of the base None", {"base": zoo["gpt2"]}),
        ("dtype='float32', now it is 'bfloat16'", {"dtype": "bfloat16"}),
    ]
    for expected, change in changes:
        with pytest.raises(InputError, match="was begun with") as caught:
            drawn(zoo["gpt2"], output, **change)
        assert expected in str(caught.value)
    with pytest.raises(InputError, match="content of the model"):
        drawn(zoo["gpt2_trained"], output)
    assert drawn(zoo["gpt2"], output)[2].n_responses == 30


def test_a_finished_file_is_left_alone(zoo: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "t.parquet"
    drawn(zoo["gpt2"], output)
    before = output.read_bytes()
    _, said, found = drawn(zoo["gpt2"], output)
    assert any("complete already" in sentence for sentence in said)
    assert found.n_responses == 30
    with pytest.raises(InputError, match="exists with other settings"):
        drawn(zoo["gpt2"], output, n=2)
    assert output.read_bytes() == before
    assert drawn(zoo["gpt2"], output, n=2, force=True)[2].n_responses == 10


@pytest.mark.parametrize("late", [False, True])
def test_a_file_that_another_job_makes_meanwhile_is_not_replaced(
    zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    output = tmp_path / "t.parquet"
    place = "run" if late else "plan"  # once all is sampled, or between the first look and the lock
    before = getattr(SampleJob, place)

    def other(*arguments: Any) -> Any:
        found = before(*arguments)
        output.write_bytes(b"of another")
        return found

    monkeypatch.setattr(SampleJob, place, other)
    with pytest.raises(InputError, match="has been made meanwhile"):
        drawn(zoo["gpt2"], output)
    assert output.read_bytes() == b"of another"
    assert (tmp_path / "t.parquet.parts").is_dir() == late
    monkeypatch.undo()
    output.unlink()
    assert drawn(zoo["gpt2"], output)[2].n_responses == 30
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("value", ["someone/kernel", "someone/kernel@v1:f", {"": "someone/kernel"}])
@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_experts_implementation"])
def test_code_that_a_config_names_on_the_hub_is_not_run(
    zoo: dict[str, str], tmp_path: Path, key: str, value: object
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(zoo["gpt2"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(InputError, match=r"names code on the hub .*someone/kernel"):
        drawn(str(folder), tmp_path / "t.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_layer": 10**9}, r"promises 1e\+09 of 'n_layer', and the folder holds weights of \d+ names"),
        ({"text_config": {"num_labels": 10**9}}, r"promises 1e\+09 of 'num_labels'"),
        ({"n_positions": 7}, "holds weights of other sizes than its config.json promises"),
        ({"activation_function": "evil"}, r"KeyError: 'evil'"),
        ({"model_type": "x", "auto_map": {"AutoConfig": "x.X"}}, "needs code that comes with it, which is not run"),
    ],
)
def test_what_a_config_promises_is_in_the_folder(
    zoo: dict[str, str], tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(zoo["gpt2"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match=said):
        drawn(str(folder), tmp_path / "t.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_out_of_memory_halves_the_batch(zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, _ = drawn(zoo["gpt2"], tmp_path / "whole.parquet", batch_size=10)
    real = sample_job.draw

    def small(policy: Any, prompts: Any, *rest: Any) -> Any:
        if len(prompts) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(policy, prompts, *rest)

    monkeypatch.setattr(sample_job, "draw", small)
    table, said, _ = drawn(zoo["gpt2"], tmp_path / "t.parquet", batch_size=10)
    assert [s for s in said if "memory" in s] == [
        "Out of memory with 10 sequences at once; going on with 5.",
        "Out of memory with 5 sequences at once; going on with 3.",
    ]
    assert table["token_id"] == whole["token_id"]
    assert table["log_prob"] == pytest.approx(whole["log_prob"], abs=1e-5)
    # Killed after the first shard, it goes on with the size it had come to: the same bytes.
    with monkeypatch.context() as patch:
        write = Parts.write
        patch.setattr(Parts, "write", lambda self, shard, rows: interrupt() if shard else write(self, shard, rows))
        with pytest.raises(KeyboardInterrupt):
            drawn(zoo["gpt2"], tmp_path / "again.parquet", batch_size=10)
    _, said, _ = drawn(zoo["gpt2"], tmp_path / "again.parquet", batch_size=None)
    assert not [s for s in said if "Out of memory" in s]
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "t.parquet").read_bytes()


def test_memory_too_small_for_one(zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(sample_job, "draw", never)
    with pytest.raises(InputError, match="too small for one sequence; lower max_new_tokens"):
        drawn(zoo["gpt2"], tmp_path / "t.parquet")


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        batching.in_batches([1, 2], 2, broken, print)


def test_the_check_notices_a_model_whose_two_log_probabilities_part(
    zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sample_job.token_log_prob
    monkeypatch.setattr(sample_job, "token_log_prob", lambda *a: [each - 0.01 for each in real(*a)])
    with pytest.raises(InputError, match=r"differ by 0\.01 nats per token on average, where rounding explains 0\.001"):
        drawn(zoo["gpt2"], tmp_path / "t.parquet")


def test_half_precision_runs(zoo: dict[str, str], tmp_path: Path) -> None:
    table, said, _ = drawn(zoo["llama"], tmp_path / "t.parquet", dtype="bfloat16")
    assert any("on cpu in bfloat16" in sentence for sentence in said)
    assert np.isfinite(table["log_prob"]).all()


# What is refused -------------------------------------------------------------------------------------


def refused(model: str, tmp_path: Path, prompts: list[Any] = PROMPTS, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:
        drawn(model, tmp_path / "t.parquet", prompts, **options)
    assert not (tmp_path / "t.parquet").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_models_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "model=./nothing: there is no such folder" in refused("./nothing", tmp_path)
    assert "model must name a model, a folder or one on the hub; got ' '" in refused(" ", tmp_path)
    assert "cannot be looked up here (File name too long)" in refused("x" * 3000, tmp_path)
    assert "could not be fetched from the hub" in refused("nobody/nothing-of-this-name", tmp_path)
    (tmp_path / "empty").mkdir()
    assert "is a folder without config.json" in refused(str(tmp_path / "empty"), tmp_path)
    (tmp_path / "file").write_text("")
    assert "is a file" in refused(str(tmp_path / "file"), tmp_path)


def test_models_that_lack_something(zoo: dict[str, str], tmp_path: Path) -> None:
    bare = save(tmp_path / "bare", gpt2(len(WORDS)), word_tokenizer(unk_token="<unk>"))
    assert "has neither a pad token nor an end-of-sequence token" in refused(bare, tmp_path)
    model = gpt2(len(WORDS))
    with torch.no_grad():
        model.transformer.wte.weight[5] = 3e38  # finite, and what follows from it is not
    broken = save(tmp_path / "broken", model, word_tokenizer())
    assert "the log-probability nan" in refused(broken, tmp_path)
    # A remedy that changes a setting works, as nothing has been done yet.
    assert "the log-probability nan" in refused(broken, tmp_path, dtype="bfloat16")


def test_damaged_weights(zoo: dict[str, str], tmp_path: Path) -> None:
    damaged = save(tmp_path / "damaged", gpt2(len(WORDS)), word_tokenizer())
    weights = Path(damaged) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "model.safetensors of model=" in refused(damaged, tmp_path)


def test_bases_that_cannot_be_compared(zoo: dict[str, str], tmp_path: Path) -> None:
    other = save(tmp_path / "other", gpt2(len(WORDS)), word_tokenizer([*WORDS[:-1], "odd"]))
    said = refused(zoo["gpt2"], tmp_path, base=other)
    assert "has another tokenizer" in said
    assert "'odd'" in said
    wide = save(tmp_path / "wide", gpt2(len(WORDS) + 4), word_tokenizer())
    assert f"has {len(WORDS) + 4} outputs" in refused(zoo["gpt2"], tmp_path, base=wide)
    with torch.no_grad():
        model = gpt2(len(WORDS))
        model.transformer.wte.weight[5] = 3e38  # finite, and what follows from it is not
    broken = save(tmp_path / "broken", model, word_tokenizer())
    assert "gave a probability of NaN" in refused(zoo["gpt2"], tmp_path, base=broken)


def test_prompts_without_room(zoo: dict[str, str], tmp_path: Path) -> None:
    long = [*PROMPTS, " ".join(["w1"] * 40)]
    said = refused(zoo["gpt2"], tmp_path, long)
    assert "1 of 6 prompts leave no room for max_new_tokens=12 in the context of 48 tokens" in said
    assert "prompt_id 5 with 40 tokens" in said
    assert "no prompt is left" in refused(zoo["gpt2"], tmp_path, long[-1:], drop_long=True)
    table, said_then, _ = drawn(zoo["gpt2"], tmp_path / "t.parquet", long, drop_long=True)
    assert sorted(set(table["prompt_id"])) == [0, 1, 2, 3, 4]
    assert any("left out" in sentence for sentence in said_then)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"layout": "chat"}, "has no chat template, which layout='chat' needs"),
        ({"prompts": [[{"role": "user", "content": "w1"}]]}, "has no chat template, which prompts that are lists"),
        ({"template": "no place"}, "must hold {prompt} once"),
        ({"device": "nowhere"}, "device=nowhere cannot be used"),
        ({"dtype": "float8"}, "dtype=float8 is not known; give one of float32, bfloat16, float16"),
    ],
)
def test_options_that_do_not_fit(zoo: dict[str, str], tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    assert expected in refused(zoo["gpt2"], tmp_path, **options)


def test_a_chat_template_that_refuses(zoo: dict[str, str], tmp_path: Path) -> None:
    said = refused(zoo["llama"], tmp_path, [[{"role": "robot", "content": "w1"}]])
    assert "cannot take prompt 1 (who is robot?)" in said


def test_outputs_that_cannot_be(zoo: dict[str, str], tmp_path: Path) -> None:
    prompts, settings = as_prompts(PROMPTS), SampleSettings(n=1)
    for name, expected in (("t.csv", "must end in .parquet"), ("none/t.parquet", "does not exist; make it first")):
        with pytest.raises(InputError, match=expected):
            sample(zoo["gpt2"], prompts, tmp_path / name, settings=settings)
    (tmp_path / "mine.parquet").write_bytes(b"precious")
    with pytest.raises(InputError, match="exists; choose another output, or pass force=True to replace it"):
        sample(zoo["gpt2"], prompts, tmp_path / "mine.parquet", settings=settings)
    assert (tmp_path / "mine.parquet").read_bytes() == b"precious"


def test_a_tokenizer_of_another_model_is_a_sentence_before_any_work(tmp_path: Path) -> None:
    place = save(tmp_path / "model", gpt2(len(WORDS)), word_tokenizer())
    path = Path(place) / "tokenizer.json"
    said = json.loads(path.read_text())
    word = WORDS[-1]
    said["model"]["vocab"][word] = 1_000_000
    path.write_text(json.dumps(said))
    (tmp_path / "p.txt").write_text(f"{word} {word}\n")
    words = ["sample", "--prompts", str(tmp_path / "p.txt"), "--model", place, "-o", str(tmp_path / "o.parquet")]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "makes token 1000000 of prompt 1, and the model knows" in done.stderr
    settings = Path(place) / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": "x"}))
    assert "has 'x' as its model_max_length" in CliRunner().invoke(main, words).stderr


def test_what_can_never_fit_is_told_before_a_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = partial(sample, "no model", as_prompts(["a", "b"]), tmp_path / "o.parquet", settings=SampleSettings(n=10**9))
    monkeypatch.setenv("ALIGNLIB_MAX_BYTES", "1e9")
    with pytest.raises(InputError, match=r"2,000,000,000 responses \(n=1,000,000,000 .* about 30 GiB of .*; take"):
        many()
    monkeypatch.setenv("ALIGNLIB_MAX_BYTES", "1e12")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(InputError, match=r"take 30 GiB or more, and 1 GiB are free for .*o.parquet; take"):
        many()
