"""The world with real words, on a toy text: prompts, base, training on texts, measuring, the table and its check."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from alignlib._core.errors import InputError
from alignlib.lm.fleet import Fleet, Plan
from alignlib.lm.methods import Settings, find
from alignlib.lm.payment import TextPayment
from alignlib.lm.stack import Stack
from alignlib.lm.words import rewards
from alignlib.lm.words.base import Pretraining, load_model, loss_per_token, make_tokenizer, new_model, pretrain
from alignlib.lm.words.check import OwnBeginnings, check, publish
from alignlib.lm.words.corpus import LENGTH, PROMPT_LENGTH, Corpus, read_verses
from alignlib.lm.words.grid import METHODS, RATES, grid, tuning
from alignlib.lm.words.measuring import base_table, command, sample_base
from alignlib.lm.words.place import Place
from alignlib.lm.words.results import WordsResults, agreement
from alignlib.lm.words.table import assemble
from alignlib.lm.words.training import chosen_rates, measure_run, result_file, train

_WHO = ("the king", "a shepherd", "my good friend", "the wicked judge", "our daughter")
_DID = ("walked slowly to", "sang with joy in", "hated the dust of", "gave bread and wine to")
_SYLLABLES = ("ba", "de", "gil", "ho", "jor", "ka", "lem", "mi", "nu", "ra", "sha", "tor")
_WHERE = ("the old city of stone", "a garden by the river", "the house of sorrow", "the hills beyond the sea")


@pytest.fixture(name="text", scope="module")
def _text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Verses of nobody, thirty chapters of them."""
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list(_SYLLABLES), 3)) for _ in range(400)]
    lines = []
    for chapter, verse in product(range(30), range(16)):
        who, did, where = (rng.choice(some) for some in (_WHO, _DID, _WHERE))
        first, second = rng.choice(names, 2)
        said = f"And {first} the son of {second}, {who}, {did} {where}, and it was evening and it was morning."
        lines.append(f"Toy{chapter + 1}:{verse + 1} {said}")
    path = tmp_path_factory.mktemp("text") / "toy.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(name="place", scope="module")
def _place(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    pretraining = Pretraining(n_words=300, n_layer=1, n_embd=16, n_head=2, epochs=2.0)
    place = Place(
        tmp_path_factory.mktemp("words"), text, "cpu", pretraining, {"test": 3, "validation": 2}, 64, (1, 2, 3)
    )
    place.make_base(lambda _: None)
    return place


def test_chapters_go_whole_to_one_part(text: Path) -> None:
    chapters = read_verses(text)
    corpus = Corpus.split(chapters)
    assert sum(map(len, corpus.parts.values())) == sum(map(len, chapters.values())) == 480
    assert {name: len(part) // 16 for name, part in corpus.parts.items()} == {"test": 3, "validation": 2, "train": 25}
    assert corpus == Corpus.split(chapters)
    with pytest.raises(InputError, match="at least 20 chapters"):
        read_verses(Path(__file__))


def test_prompts_are_beginnings_that_read_as_the_same_tokens(place: Place) -> None:
    world = place.world
    prompts = world.pool_of_training
    assert prompts.shape[1] == 1 + PROMPT_LENGTH
    assert len(np.unique(prompts, axis=0)) == len(prompts)
    assert world.tokenizer(world.texts(prompts))["input_ids"] == prompts.tolist()
    starts = tuple(place.corpus.parts["train"])
    assert all(any(verse.startswith(text + " ") for verse in starts) for text in world.texts(prompts[:20]))
    known = {tuple(row) for row in prompts.tolist()}
    assert all(tuple(row) in known for row in world.fresh(5, np.random.default_rng(0)).tolist())
    with pytest.raises(InputError, match="must not exceed"):
        world.held_out("test", 10_000)


def test_held_out_prompts_begin_no_verse_to_learn_from(place: Place) -> None:
    world = place.world
    held = world.held_out("test", 3)
    assert not {tuple(row) for row in held.tolist()} & {tuple(row) for row in world.pool_of_training.tolist()}
    texts = [json.loads(line)["prompt"] for line in place.prompts_file("test").read_text().splitlines()]
    assert texts == world.texts(held)


def test_the_stack_is_the_model(place: Place) -> None:
    model, _ = load_model(place.base_folder)
    stack, prompts = place.base, torch.as_tensor(place.world.pool_of_training[:3])
    uniform = torch.rand((1, 3, 2, LENGTH), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens, log_prob = stack.sample(prompts[None], uniform)
        whole = torch.cat([prompts, tokens[0, :, 0]], dim=1)
        logits = model(input_ids=whole, attention_mask=torch.ones_like(whole)).logits
    each = logits.log_softmax(-1)[:, PROMPT_LENGTH:-1].gather(-1, tokens[0, :, 0][..., None])[..., 0]
    drawn = log_prob[0, :, 0]
    assert torch.allclose(torch.where(drawn != 0.0, each, 0.0), drawn, atol=1e-5)
    again = stack.token_log_prob(prompts[None], tokens)
    assert torch.allclose(again, log_prob, atol=1e-5)


def test_pretraining_learns_and_repeats(place: Place) -> None:
    verses = place.world.encoded("train")
    settings = Pretraining(n_words=300, n_layer=1, n_embd=16, n_head=2, epochs=0.5)
    one, two = (pretrain(verses, settings, say=lambda _: None) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    some = place.world.encoded("validation")
    assert loss_per_token(one, some) < loss_per_token(new_model(settings, 300), some) - 0.1
    assert make_tokenizer(place.corpus, 300).get_vocab() == place.world.tokenizer.get_vocab()


def test_a_policy_learns_a_reward_of_texts(place: Place) -> None:
    payment = TextPayment(lambda texts: [float(text.count("e")) for text in texts], place.world.texts)
    plan = Plan(0.05, 0, Settings(12, 1e-2))
    fleet = Fleet(find("rloo"), place.base, place.world, [plan], payment)
    before = float(fleet.draw(fleet.policy).reward.mean())
    fleet.count += 1
    (done,) = fleet.train()
    model, _ = load_model(place.base_folder)
    model.load_state_dict(done.policy)
    after = Fleet(find("rloo"), Stack.of(model), place.world, [plan], payment)
    assert float(after.draw(after.policy).reward.mean()) > before + 0.5


def test_lexicon_rewards() -> None:
    pytest.importorskip("vaderSentiment")
    good, again, bad, none = rewards.sentiment(["joy", "joy joy, Joy!", "hate", "the"])
    assert good > again - 0.5 > 0 > bad
    assert none == 0.0
    assert rewards.repeated_sentiment(["joy joy joy"])[0] > good
    assert rewards.once("A word, a Word; another") == "A word, another"


def test_the_grid_has_its_core_and_every_method_its_trials() -> None:
    keys = [run.key for run in grid("wide")]
    assert len(keys) == len(set(keys))
    assert keys[: len(grid("core"))] == [run.key for run in grid("core")]
    assert {run.stage for run in grid("wide")} == {"core", "wide"}
    assert not {run.key for run in grid("quick")} & set(keys)
    # Cut short anywhere, no method has two seeds more than another.
    gold = [run for run in grid("core") if run.reward == "sentiment"]
    for n in range(1, len(gold) + 1):
        counts = [sum(run.method == method for run in gold[:n]) for method in METHODS]
        assert max(counts) - min(counts) <= 1
    trials = tuning()
    assert len({(run.method, run.rate) for run in trials}) == len(trials) == len(METHODS) * len(RATES)
    assert not {run.seed for run in trials} & {run.seed for run in grid("wide")}


def test_from_text_to_table_and_check(place: Place, tmp_path: Path) -> None:
    pytest.importorskip("vaderSentiment")
    pytest.importorskip("profanity_check")
    run = grid("core", place.steps)[0].at(1e-3)
    place.make_proxy(lambda _: None)
    train(tuning(2)[:2], place, lambda _: None)
    assert set(chosen_rates(place)) == {("sentiment", "rloo")}
    train([run], place, lambda _: None)
    measure_run(run, place, kept=4, say=lambda _: None)
    sample_base(place, 8)
    found = assemble(place, tmp_path / "table")
    (row,) = found.runs.to_dict("records")
    kept = json.loads(result_file(place, run).read_text())
    assert row["kl"] == pytest.approx(np.mean(kept["by_prompt"]["kl"]), rel=1e-4)
    assert row["kl_low"] <= row["kl"] <= row["kl_high"]
    assert (found.base.n_prompts, found.validation.n_prompts) == (3, 2)
    assert found.per_prompt(found.runs, "sentiment").shape == (1, 3)
    assert not any(one.apart > 1e-6 for one in agreement(found, found))
    assert "prompt" not in json.dumps(found.settings["examples"])
    said = command("frontier", base_table(place), "--reward", "reward_civility")
    assert "supported" in said or "support" in said
    policy = load_file(place.folder / "policies" / run.key / "model.safetensors")
    publish(place.base_folder, policy, tmp_path / "kept")
    assert all(one.agrees for one in check(tmp_path / "kept"))
    assert len(OwnBeginnings(Stack.of(load_model(tmp_path / "kept")[0])).prompts) == 64
    wrong = json.loads((tmp_path / "kept" / "check.json").read_text())
    (tmp_path / "kept" / "check.json").write_text(json.dumps({name: value + 1.0 for name, value in wrong.items()}))
    assert not any(one.agrees for one in check(tmp_path / "kept"))


def test_another_reward_model_is_no_disagreement_but_other_gold_is() -> None:
    found = WordsResults.read(Path(__file__).parents[2] / "notebooks" / "words_results")
    runs = found.runs
    # A reward model trained anew is known up to a constant.
    moved = replace(found, runs=runs.assign(proxy=runs.proxy - 0.6))
    assert all(one.agrees for one in agreement(found, moved))
    learned = runs.reward == "proxy"
    other = replace(found, runs=runs.assign(sentiment=runs.sentiment + 0.5 * learned))
    assert [one.setting for one in agreement(found, other) if not one.agrees] == ["proxy rloo 0.5 200, in sentiment"]


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(InputError, match=r"alignlib frontier failed: .*nowhere\.csv"):
        command("frontier", "nowhere.csv", "--reward", "r")
