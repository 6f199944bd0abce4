"""The exact law over all responses, against the library's own forward pass and in double precision."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch

from alignlib.lm.base_model import EnumerableLM, PretrainingSettings, new_model
from alignlib.lm.prefix_tree import tree_log_prob
from alignlib.lm.space import ResponseSpace
from alignlib.lm.tasks import Summarisation, Task
from alignlib.lm.torch_runtime import one_thread
from tests.lm.by_prompt import exact_log_prob


def rough(model: EnumerableLM, size: float = 0.3) -> EnumerableLM:
    """Give an untrained model weights large enough for its law to be far from uniform."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape) * size)
    return model.eval()


@pytest.fixture(scope="module", autouse=True)
def _threads():
    with one_thread(0):
        yield


@pytest.fixture(scope="module")
def task() -> Task:
    return Summarisation.task(ResponseSpace(n_content=5, length=4), n_prompts=6, n_validation=0, n_test=2)


@pytest.fixture(scope="module")
def model(task: Task) -> EnumerableLM:
    return rough(new_model(task))


def library_log_prob(model: EnumerableLM, task: Task, responses: np.ndarray, row: int) -> np.ndarray:
    """Score responses by the model's own forward pass, one position after the other, without sharing."""
    prompt = np.tile(task.prompts[row], (len(responses), 1))
    tokens = torch.as_tensor(np.concatenate([prompt, responses], axis=1))
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    log_prob = logits.double().log_softmax(-1)[:, task.prompt_length - 1 : -1].numpy()
    total = np.zeros(len(responses))
    for i, response in enumerate(responses):
        for place, token in enumerate(response):
            total[i] += log_prob[i, place, token]
            if token == 0:
                break
    return total


def test_agrees_with_the_forward_pass_of_the_library_on_every_response(task: Task, model: EnumerableLM) -> None:
    """To the last digits in double precision; single precision is off by its rounding, which processors do unlike."""
    precise = copy.deepcopy(model).double()
    exact, single = (exact_log_prob(m, task.prompts, task.space) for m in (precise, model))
    assert exact.std() > 1.0
    for row in (0, 5):
        library = library_log_prob(precise, task, task.space.tokens.astype(np.int64), row)
        np.testing.assert_allclose(exact[row], library, rtol=0, atol=1e-12)
        # A sum of five logarithms from logits of up to 40: eps · 40 · 5 is 2.4e-5, and the layers below round too.
        np.testing.assert_allclose(single[row], library, rtol=0, atol=5e-5)


def test_agrees_at_the_default_size_on_random_responses() -> None:
    task = Summarisation.task(n_prompts=2, n_validation=0, n_test=0)
    model = rough(new_model(task), 0.1)
    exact = exact_log_prob(model, task.prompts, task.space)
    which = np.random.default_rng(0).integers(task.space.size, size=200)
    for row in range(2):
        direct = library_log_prob(model, task, task.space.tokens[which].astype(np.int64), row)
        np.testing.assert_allclose(exact[row, which], direct, rtol=0, atol=2e-5)


def test_sums_to_one_and_double_precision_changes_less_than_a_millionth() -> None:
    task = Summarisation.task(n_prompts=3, n_validation=0, n_test=0)
    model = rough(new_model(task), 0.1)
    single = np.exp(exact_log_prob(model, task.prompts, task.space))
    assert np.abs(single.sum(axis=1) - 1).max() < 1e-12
    double = np.exp(exact_log_prob(model.double(), task.prompts, task.space))
    assert np.abs(single - double).sum(axis=1).max() / 2 < 1e-6
    assert np.abs(single - double).max() > 0  # it was another precision


@pytest.mark.parametrize(
    ("n_layer", "n_embd", "n_head", "space"),
    [(1, 16, 1, ResponseSpace(4, 1)), (3, 24, 4, ResponseSpace(5, 3)), (2, 64, 4, ResponseSpace(4, 6))],
)
def test_any_size(n_layer: int, n_embd: int, n_head: int, space: ResponseSpace) -> None:
    task = Summarisation.task(space, n_prompts=2, n_validation=0, n_test=0)
    model = rough(new_model(task, PretrainingSettings(n_layer=n_layer, n_embd=n_embd, n_head=n_head)), 0.1)
    exact = exact_log_prob(model, task.prompts, space)
    which = np.random.default_rng(0).integers(space.size, size=50)
    direct = library_log_prob(model, task, space.tokens[which].astype(np.int64), 1)
    np.testing.assert_allclose(exact[1, which], direct, rtol=0, atol=2e-5)


def test_gradients_flow_and_the_score_has_mean_zero(task: Task, model: EnumerableLM) -> None:
    log_prob = tree_log_prob(model, task.prompts[:2], task.space)
    weight = model.transformer.h[0].attn.c_attn.weight
    (score,) = torch.autograd.grad((log_prob.exp().detach() * log_prob).sum(), weight, retain_graph=True)
    (other,) = torch.autograd.grad(log_prob[:, 7].sum(), weight)
    assert float(score.abs().max()) < 1e-4 * float(other.abs().max())


def test_what_does_not_fit_is_refused(task: Task, model: EnumerableLM) -> None:
    with pytest.raises(ValueError, match=r"must have 10 outputs .*got 6"):
        tree_log_prob(model, task.prompts, ResponseSpace())
    with pytest.raises(ValueError, match=r"tokens in \[0, "):
        tree_log_prob(model, task.prompts + 40, task.space)
    with pytest.raises(ValueError, match="need 10 positions; the model has 7"):
        tree_log_prob(model, np.repeat(task.prompts, 3, axis=1), task.space)
    with pytest.raises(ValueError, match=re.escape("shape (P, prompt_length)")):
        tree_log_prob(model, task.prompts[0], task.space)
    with pytest.raises(ValueError, match="GPT-2"):
        tree_log_prob(torch.nn.Linear(2, 2), task.prompts, task.space)
