"""Models side by side are the library's models, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alignlib.lm.exact import log_law, log_score, tree_of
from alignlib.lm.payment import GoldPayment, index_of, scores_of_pairs
from alignlib.lm.proxies import Raters, RewardSettings, train_members
from alignlib.lm.stack import Packing, Stack, response_mask
from alignlib.lm.words.base import Pretraining, new_model
from tests.lm.by_prompt import exact_log_prob
from tests.lm.tiny import SPACE, tiny_base, tiny_task

TASK = tiny_task()


@pytest.fixture(scope="module")
def models() -> list[object]:
    torch.set_num_threads(1)
    return [tiny_base(seed) for seed in (0, 1)]


def every_response(n: int) -> torch.Tensor:
    """All responses to each prompt, for n models: (n, P, size, length)."""
    tokens = torch.from_numpy(np.asarray(SPACE.tokens).astype(np.int64))
    return tokens.expand(n, len(TASK.prompts), -1, -1)


def test_each_model_gives_what_the_library_and_the_tree_give(models: list[object]) -> None:
    stack = Stack.of(models)
    prompts = torch.as_tensor(TASK.prompts).expand(2, -1, -1)
    found = stack.token_log_prob(prompts, every_response(2)).detach().sum(-1).numpy()
    for row, model in enumerate(models):
        exact = exact_log_prob(model, TASK.prompts, SPACE)
        assert np.abs(found[row] - exact).max() < 1e-5
        tokens = every_response(1)[0, 0]
        inputs = torch.cat([prompts[row, :1].expand(SPACE.size, -1), tokens[:, :-1]], dim=1)
        library = model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).logits[:, 1:]
        ours = stack.rows(torch.tensor([row]))
        hidden = ours.hidden(prompts[row : row + 1, :1], every_response(1)[:, :1])
        assert (ours.logits(hidden)[0, 0] - library).abs().max() < 1e-5
        state = stack.state(row)
        assert np.abs(log_law(state, 2, TASK.prompts, TASK).numpy() - exact).max() < 1e-12
        own = model.state_dict()
        assert all(torch.equal(part, own[name]) for name, part in state.items())


def test_gradients_reach_every_model_as_they_reach_the_library_s(models: list[object]) -> None:
    stack = Stack.of(models, trainable=True)
    weight = torch.randn(len(TASK.prompts), SPACE.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (tree_of(stack, 1, TASK.prompts, TASK) * weight).sum().backward()
    by_tree = stack.grad.clone()
    assert by_tree[0].abs().max() == 0.0
    stack.grad.zero_()
    prompts = torch.as_tensor(TASK.prompts).expand(2, -1, -1)
    (stack.token_log_prob(prompts, every_response(2)).sum(-1)[1] * weight).sum().backward()
    assert (stack.grad - by_tree).abs().max() < 1e-4 * by_tree.abs().max()


def test_draws_follow_the_law_and_carry_their_log_probability(models: list[object]) -> None:
    stack = Stack.of(models)
    prompts = torch.as_tensor(TASK.prompts[:2]).expand(2, -1, -1)
    uniform = torch.rand(2, 2, 4000, SPACE.length, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens, log_prob = stack.sample(prompts, uniform)
        assert (log_prob - stack.token_log_prob(prompts, tokens)).abs().max() < 1e-5
    index = index_of(tokens, torch.tensor(SPACE.starts), SPACE.n_content).numpy()
    assert (index == SPACE.index_of(tokens.numpy())).all()
    for row, model in enumerate(models):
        prob = np.exp(exact_log_prob(model, TASK.prompts[:2], SPACE))
        for x in range(2):
            seen = np.bincount(index[row, x], minlength=SPACE.size) / 4000
            assert np.abs(seen - prob[x]).sum() < 0.16  # expected total deviation: about sqrt(2·85/(π·4000)) = .12


def test_responses_that_end_early_are_drawn_and_weighed_as_if_all_went_on() -> None:
    sizes = Pretraining(n_words=15, n_layer=2, n_embd=16, n_head=2)
    torch.manual_seed(0)
    stack = Stack.of([new_model(sizes, 15), new_model(sizes, 15)])
    prompts = torch.randint(1, 15, (2, 3, 4))
    uniform = torch.rand(2, 3, 5, 40)
    with torch.no_grad():
        tokens, log_prob = stack.sample(prompts, uniform)
        mask = response_mask(tokens)
        assert 0.1 < float(mask.mean()) < 0.6  # most end, at all lengths
        every = stack.logits(stack.hidden(prompts, tokens)).log_softmax(-1)  # of all places, ended or not
        total = every.exp().cumsum(-1)
        drawn = (total <= uniform[..., None]).sum(-1).clamp(max=14)
        assert torch.equal(drawn * mask.long(), tokens)
        chosen = every.gather(-1, tokens[..., None])[..., 0] * mask
        assert (chosen - log_prob).abs().max() < 1e-5
        assert (chosen - stack.token_log_prob(prompts, tokens)).abs().max() < 1e-5


def test_gradients_pass_a_packing_as_they_pass_without() -> None:
    sizes = Pretraining(n_words=15, n_layer=2, n_embd=16, n_head=2)
    torch.manual_seed(1)
    stack = Stack.of([new_model(sizes, 15), new_model(sizes, 15)], trainable=True)
    prompts = torch.randint(1, 15, (2, 3, 4))
    with torch.no_grad():
        tokens, _ = stack.sample(prompts, torch.rand(2, 3, 5, 40))
    weight = torch.randn(2, 3, 5)
    (stack.token_log_prob(prompts, tokens).sum(-1) * weight).sum().backward()
    packed = stack.grad.clone()
    stack.grad.zero_()
    every = stack.logits(stack.hidden(prompts, tokens)).log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    ((every * response_mask(tokens)).sum(-1) * weight).sum().backward()
    assert (stack.grad - packed).abs().max() < 1e-4 * packed.abs().max()


def test_a_packing_puts_everything_back() -> None:
    wanted = torch.tensor([[1, 0, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0]]).float()
    packing = Packing(wanted)
    every = torch.arange(24.0).view(2, 6, 2)
    back = packing.spread(packing.pack(every))
    assert torch.equal(back * wanted[..., None], every * wanted[..., None])
    assert packing.place.shape == (2, 3)
    assert Packing.worth_it(torch.ones(1, 6)) is None


def test_the_mask_counts_the_end_once() -> None:
    tokens = torch.tensor([[0, 0, 0], [2, 0, 0], [1, 2, 3]])
    assert response_mask(tokens).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_gold_is_looked_up_pair_by_pair(models: list[object]) -> None:
    known = torch.as_tensor(TASK.grammar.prompt_features(TASK.prompts), dtype=torch.float32)
    paid = GoldPayment(TASK)(torch.as_tensor(TASK.prompts)[None], known[None], every_response(1))
    assert np.array_equal(paid[0].numpy(), TASK.gold().astype(np.float32))


def test_reward_models_learn_what_raters_prefer_and_are_scored_alike_by_the_tree(models: list[object]) -> None:
    base = Stack.of(models[:1])
    settings = RewardSettings(passes=8, learning_rate=1e-2)
    raters = Raters(temperature=0.05, flip=0.0)
    members = train_members(base, TASK, GoldPayment(TASK), 1500, members=2, raters=raters, settings=settings)
    tree = [log_score(members.state(row), 2, TASK.prompts, TASK).numpy() for row in range(2)]
    with torch.no_grad():
        pairs = scores_of_pairs(members, torch.as_tensor(TASK.prompts).expand(2, -1, -1), every_response(2)).numpy()
    assert np.abs(pairs - np.stack(tree)).max() < 1e-4
    gold = TASK.gold()
    for score in tree:
        right = [np.corrcoef(score[x], gold[x])[0, 1] for x in range(len(gold))]
        assert np.mean(right) > 0.6
    assert np.abs(tree[0] - tree[1]).max() > 0.01  # each has pairs of its own


def test_preferences_are_logistic_with_slips_and_symmetric() -> None:
    raters = Raters(temperature=2.0, flip=0.05)
    gap = np.array([-900.0, -2.0, 0.0, 2.0, 900.0])
    expected = 0.05 + 0.9 / (1 + np.exp(-gap[1:4] / 2.0))
    np.testing.assert_allclose(raters.preference(gap)[1:4], expected, rtol=1e-14)
    np.testing.assert_allclose(raters.preference(gap) + raters.preference(-gap), 1.0, rtol=1e-14)
    assert raters.preference(gap)[[0, 4]].tolist() == pytest.approx([0.05, 0.95])


@pytest.mark.parametrize(
    ("arguments", "what"), [((0.0, 0.1), "temperature"), ((-1.0, 0.1), "temperature"), ((1.0, 0.6), "flip")]
)
def test_raters_out_of_range(arguments: tuple[float, float], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Raters(*arguments)
