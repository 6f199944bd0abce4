"""Bradley–Terry networks and the tables made of them; pretraining and saving of bases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alignlib.lm.base_model import (
    EnumerableLM,
    PretrainingSettings,
    load_base,
    make_tokenizer,
    one_thread,
    pretrain,
    save_model,
)
from alignlib.lm.prefix_tree import exact_log_prob, exact_score
from alignlib.lm.raters import Raters, draw_pairs
from alignlib.lm.reward_models import (
    LATTICE,
    EnumerableRewardModel,
    RewardSettings,
    bradley_terry_loss,
    reward_table,
    train_reward_model,
)
from alignlib.lm.space import ResponseSpace
from alignlib.lm.tasks import Summarisation, Task

SMALL = PretrainingSettings(n_embd=32, n_pairs=3000, epochs=3)


@pytest.fixture(scope="module", autouse=True)
def _threads():
    with one_thread(0):
        yield


@pytest.fixture(scope="module")
def task() -> Task:
    return Summarisation.task(ResponseSpace(n_content=5, length=3), n_prompts=6, n_held_out=2)


@pytest.fixture(scope="module")
def base(task: Task) -> EnumerableLM:
    return pretrain(task, 0, SMALL)


@pytest.fixture(scope="module")
def log_base(task: Task, base: EnumerableLM) -> np.ndarray:
    return exact_log_prob(base, task.prompts, task.space)


@pytest.fixture(scope="module")
def model(task: Task, base: EnumerableLM, log_base: np.ndarray) -> EnumerableRewardModel:
    pairs = draw_pairs(log_base, task.gold(), 4000, Raters(), np.random.default_rng(0))
    return train_reward_model(base, task, pairs, 0, RewardSettings(passes=3))


def test_pretraining_repeats_and_learns(task: Task, base: EnumerableLM, log_base: np.ndarray) -> None:
    again = exact_log_prob(pretrain(task, 0, SMALL), task.prompts, task.space)
    assert (again == log_base).all()
    assert (exact_log_prob(pretrain(task, 1, SMALL), task.prompts, task.space) != log_base).any()
    shown = task.grammar.demonstrate(np.repeat(task.prompts, 300, axis=0), task.space, np.random.default_rng(0))
    rows = np.repeat(np.arange(len(task.prompts)), 300)
    loss = -log_base[rows, task.space.index_of(shown)].mean()
    assert loss < 0.75 * np.log(task.space.size)


def test_pretraining_needs_a_batch_of_pairs(task: Task) -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        pretrain(task, 0, PretrainingSettings(n_pairs=10))


def test_a_network_ranks_what_raters_prefer(task: Task, log_base: np.ndarray, model: EnumerableRewardModel) -> None:
    table = reward_table(model, task, log_base)
    fresh = draw_pairs(log_base, task.gold(), 4000, Raters(flip=0.0), np.random.default_rng(9))
    differs = task.gold()[fresh.prompt, fresh.chosen] != task.gold()[fresh.prompt, fresh.rejected]
    right = table[fresh.prompt, fresh.chosen] > table[fresh.prompt, fresh.rejected]
    assert right[differs].mean() > 0.65


def test_scores_agree_with_the_library_on_every_response(task: Task, model: EnumerableRewardModel) -> None:
    tree = exact_score(model, task.prompts, task.space)
    tokens = torch.as_tensor(
        np.concatenate([np.tile(task.prompts[1], (task.space.size, 1)), task.space.tokens], axis=1)
    )
    with torch.no_grad():
        direct = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[:, 0].numpy()
    np.testing.assert_allclose(tree[1], direct, rtol=0, atol=2e-5)


def test_the_loss_does_not_see_a_constant_of_each_prompt() -> None:
    rng = np.random.default_rng(0)
    chosen, rejected, constant = (torch.as_tensor(rng.standard_normal(50)) for _ in range(3))
    plain = bradley_terry_loss(chosen, rejected)
    assert float(bradley_terry_loss(chosen + 100 * constant, rejected + 100 * constant)) == pytest.approx(float(plain))
    assert float(bradley_terry_loss(chosen + constant, rejected)) != pytest.approx(float(plain))


def test_tables_are_of_base_mean_zero_on_the_lattice(
    task: Task, log_base: np.ndarray, model: EnumerableRewardModel
) -> None:
    table = reward_table(model, task, log_base)
    assert table.shape == log_base.shape
    assert (table / LATTICE == np.round(table / LATTICE)).all()
    assert np.abs((np.exp(log_base) * table).sum(axis=1)).max() <= LATTICE / 2
    # A constant added to the network's output is gone from the table.
    with torch.no_grad():
        hidden = model.transformer.ln_f.bias.clone()
        model.transformer.ln_f.bias += 3 * model.score.weight[0] / model.score.weight.norm()
        moved = reward_table(model, task, log_base)
        model.transformer.ln_f.bias.copy_(hidden)
    assert np.abs(moved - table).max() <= LATTICE


def test_an_ensemble_is_the_mean_of_its_members(
    task: Task, base: EnumerableLM, log_base: np.ndarray, model: EnumerableRewardModel
) -> None:
    pairs = draw_pairs(log_base, task.gold(), 300, Raters(), np.random.default_rng(1))
    other = train_reward_model(base, task, pairs, 1)
    both = reward_table([model, other], task, log_base)
    mean = 0.5 * (reward_table(model, task, log_base) + reward_table(other, task, log_base))
    assert np.abs(both - mean).max() <= LATTICE
    with pytest.raises(ValueError, match="at least one reward model"):
        reward_table([], task, log_base)
    with pytest.raises(ValueError, match="log_base must have shape"):
        reward_table(model, task, log_base[:2])


def test_steps_follow_the_pairs() -> None:
    assert RewardSettings().steps(20_000) == 1875
    assert RewardSettings().steps(300) == 60


def test_saved_and_loaded(tmp_path: Path, task: Task, base: EnumerableLM, model: EnumerableRewardModel) -> None:
    save_model(base, tmp_path / "base", task)
    model.save_pretrained(tmp_path / "reward")
    again = load_base(tmp_path / "base")
    assert (exact_log_prob(again, task.prompts, task.space) == exact_log_prob(base, task.prompts, task.space)).all()
    weights = EnumerableRewardModel.from_pretrained(tmp_path / "reward").state_dict()
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="folder must hold a saved"):
        load_base(tmp_path / "nothing")


def test_auto_classes_and_generation_know_the_models(tmp_path: Path, task: Task, base: EnumerableLM) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    save_model(base, tmp_path, task)
    assert "auto_map" not in (tmp_path / "config.json").read_text()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert type(model) is EnumerableLM
    text = task.decode(task.prompts[0])
    given = tokenizer([text], return_tensors="pt")
    assert given["input_ids"].tolist() == task.prompts[:1].tolist()
    out = model.generate(**given, do_sample=False, max_new_tokens=task.space.length)
    response = out[:, task.prompt_length :].numpy()
    assert 0 <= int(task.space.index_of(response)[0]) < task.space.size


def test_the_tokenizer_knows_every_word_and_no_other(task: Task) -> None:
    tokenizer = make_tokenizer(task)
    assert tokenizer(" ".join(task.words))["input_ids"] == list(range(task.vocab_size))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 0
    with pytest.raises(Exception, match="UNK"):
        tokenizer("elephant")
