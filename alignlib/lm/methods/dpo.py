"""DPO as trl implements it, on pairs of base responses labelled from the reward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.palette import BOUND
from alignlib.lm.methods import Checkpoint, Look, Method, Settings, register
from alignlib.lm.methods._training import check_reward
from alignlib.lm.policy_law import draw
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from alignlib.lm.base_model import EnumerableLM

__all__ = ["DPO", "preference_pairs", "train"]


@dataclass(frozen=True)
class DPO(Settings):
    """Settings of trl's ``DPOTrainer`` (sigmoid loss, reverse KL).

    Parameters
    ----------
    budget : Budget
        A step sees ``group / 2`` fresh pairs of each prompt: the same number of responses as the other methods.
    label : str
        ``"bradley-terry"``: a is preferred to b with probability σ(r(a) - r(b)), for which ``π_λ`` is the loss's
        minimiser over all policies; ``"argmax"``: always the better one (ties by a coin), for which it is not.
    """

    label: str = "bradley-terry"

    def __post_init__(self) -> None:
        allowed = ("bradley-terry", "argmax")
        require(self.label in allowed, f"label must be one of {', '.join(allowed)}; got {self.label!r}.")
        require(self.budget.group % 2 == 0, f"group must be even, it is split in pairs; got {self.budget.group}.")


def preference_pairs(
    log_prob: FloatArray, reward: FloatArray, n: int, label: str, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw n pairs of responses for each prompt from the base law; indices (chosen, rejected), each (prompts, n).

    Parameters
    ----------
    log_prob, reward : array (P, size)
        The base's log-probabilities in nats, and the reward, of every response.
    n : int
        Pairs of each prompt.
    label : str
        As in `DPO`.
    rng : Generator
        Source of randomness.
    """
    both = draw(np.exp(log_prob), 2 * n, rng).reshape(len(reward), n, 2)
    value = np.take_along_axis(reward[:, None, :], both, axis=2)
    margin = value[..., 0] - value[..., 1]
    first_wins = expit(margin) if label == "bradley-terry" else 0.5 * (1.0 + np.sign(margin))
    swap = (rng.random(margin.shape) >= first_wins).astype(np.int64)
    order = np.stack([swap, 1 - swap], axis=-1)
    ranked = np.take_along_axis(both, order, axis=2)
    return ranked[..., 0], ranked[..., 1]


def train(
    base: EnumerableLM, task: Task, reward: FloatArray, beta: float, seed: int, *, settings: DPO
) -> Iterator[Checkpoint]:
    """Train with trl's ``DPOTrainer``, every pair seen once; arguments as in `Train`."""
    from datasets import Dataset
    from trl import DPOConfig

    from alignlib.lm.methods._trl import Keeper, PairTrainer, common_arguments, id_tokenizer, run, saved_reference
    from alignlib.lm.prefix_tree import exact_log_prob
    from alignlib.lm.torch_runtime import quiet

    budget = settings.budget
    table = check_reward(reward, task, beta)
    log_prob = exact_log_prob(base, task.prompts, task.space)
    n_prompts, pairs = len(task.prompts), budget.group // 2
    rng = np.random.default_rng(seed)
    chosen, rejected = preference_pairs(log_prob, table, budget.steps * pairs, settings.label, rng)
    tokens, lengths = np.asarray(task.space.tokens), np.asarray(task.space.lengths, dtype=np.int64)
    # The end is a choice of the model except at the length limit, where nothing is left to choose.
    shown = np.minimum(lengths + 1, task.space.length)
    prompts = np.asarray(task.prompts).tolist()

    def rows() -> Iterator[dict[str, object]]:
        for step in range(budget.steps):
            for row in range(n_prompts):
                for pair in range(step * pairs, (step + 1) * pairs):
                    good, bad = int(chosen[row, pair]), int(rejected[row, pair])
                    yield {
                        "prompt_ids": prompts[row],
                        "chosen_ids": tokens[good, : shown[good]].tolist(),
                        "rejected_ids": tokens[bad, : shown[bad]].tolist(),
                        "ref_chosen_logps": float(log_prob[row, good]),
                        "ref_rejected_logps": float(log_prob[row, bad]),
                    }

    with quiet(), saved_reference(base) as (model, folder):
        keeper = Keeper(budget.handed_out, n_prompts * budget.group)
        trainer = PairTrainer(
            model=model,
            processing_class=id_tokenizer(model.get_input_embeddings().num_embeddings),
            train_dataset=Dataset.from_list(list(rows())),
            callbacks=[keeper],
            args=DPOConfig(
                **common_arguments(budget, n_prompts * pairs, seed, folder),
                beta=beta,
                loss_type=["sigmoid"],
                label_smoothing=0.0,
                f_divergence_type="reverse_kl",
                precompute_ref_log_probs=True,
                max_length=None,
                disable_dropout=False,
                sync_ref_model=False,
                use_weighting=False,
                remove_unused_columns=False,
            ),
        )
        run(trainer)
    yield from keeper.checkpoints(base)


register(
    Method(
        name="dpo",
        label="DPO",
        train=train,
        settings=DPO,
        look=Look(BOUND, "D"),
        learning_rate=1e-3,
        seconds_per_step=0.06,
        place=40,
    )
)
