"""The exact law of a base model over 24 × 66,430 responses, against the library's own forward pass in batches."""

from __future__ import annotations

import importlib.util
import resource
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib.lm.tasks import Summarisation, Task
from benchmarks.timing import report

if TYPE_CHECKING:
    from transformers import GPT2PreTrainedModel


def main(quick: bool = False) -> None:
    """Time both on one thread; the peer on one prompt only, and ``quick`` on a twentieth of its responses."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        report("exact law by prefix tree", skipped="needs the extra lm (make lm-setup)")
        return
    import torch

    from alignlib.lm.base_model import new_model
    from alignlib.lm.prefix_tree import tree_log_prob
    from alignlib.lm.torch_runtime import one_thread

    def exact_log_prob(model: GPT2PreTrainedModel, prompts: IntArray) -> FloatArray:
        with torch.no_grad():  # one prompt at a time, so that the activations stay in the cache
            return np.concatenate([tree_log_prob(model, one[None], task.space).numpy(force=True) for one in prompts])

    task = Summarisation.task()
    with one_thread(0):
        model = new_model(task).eval()
        exact_log_prob(model, task.prompts[:1])
        timed = []
        for _ in range(1 if quick else 5):
            start = time.process_time()
            log_prob = exact_log_prob(model, task.prompts)
            timed.append(time.process_time() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        double = np.exp(exact_log_prob(model.double(), task.prompts[:4]))

        model.float()
        responses = task.space.tokens[:: 20 if quick else 1].astype(np.int64)
        start = time.process_time()
        naive = np.concatenate(
            [_forward(model, task, part) for part in np.array_split(responses, max(1, len(responses) // 2048))]
        )
        one_prompt = (time.process_time() - start) * task.space.size / len(responses)
    prob = np.exp(log_prob)
    report(
        "exact law by prefix tree",
        prompts=len(task.prompts),
        responses=task.space.size,
        peer="transformers forward, batches of 2048 (from one prompt)",
        cpu_seconds=float(np.median(timed)),
        peer_cpu_seconds=one_prompt * len(task.prompts),
        times_faster=one_prompt * len(task.prompts) / float(np.median(timed)),
        peak_gib=memory,
        largest_difference_to_peer=float(np.abs(naive - log_prob[0, :: 20 if quick else 1]).max()),
        largest_departure_from_one=float(np.abs(prob.sum(axis=1) - 1).max()),
        total_variation_to_double=float(np.abs(prob[:4] - double).sum(axis=1).max() / 2),
    )


def _forward(model: GPT2PreTrainedModel, task: Task, responses: IntArray) -> FloatArray:
    import torch

    tokens = torch.as_tensor(np.concatenate([np.tile(task.prompts[0], (len(responses), 1)), responses], axis=1))
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    log_next = logits[:, task.prompt_length - 1 : -1].double().log_softmax(-1)
    chosen = log_next.gather(2, tokens[:, task.prompt_length :, None])[..., 0].numpy()
    counted = np.cumsum(responses == 0, axis=1) <= 1  # up to and with the first end
    return np.asarray(np.where(counted, chosen, 0.0).sum(axis=1))


if __name__ == "__main__":
    main("--quick" in sys.argv)
