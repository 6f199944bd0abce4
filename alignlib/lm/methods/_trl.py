"""What the methods that trl implements share: explicit trainer settings, a tokenizer of ids, checkpoints in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast, PrinterCallback, Trainer, TrainerCallback
from trl import DPOTrainer

from alignlib.lm.methods._method import Budget, Checkpoint
from alignlib.lm.methods._training import frozen_copy, trainable_copy

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from alignlib.lm.base_model import EnumerableLM

__all__ = ["Keeper", "PairTrainer", "as_text", "common_arguments", "id_tokenizer", "run", "saved_reference"]


class Keeper(TrainerCallback):  # type: ignore[misc]
    """Keeps a copy of the policy after every step that is due."""

    def __init__(self, due: frozenset[int], completions_per_step: int) -> None:
        self._due, self._per_step = due, completions_per_step
        self._kept: dict[int, dict[str, Tensor]] = {}

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: EnumerableLM,
        **kwargs: object,
    ) -> None:
        """Copy the policy's weights; trl has put its own forward on the trainer's model, so not the model itself."""
        if state.global_step in self._due:
            weights = model.state_dict().items()
            self._kept[state.global_step] = {name: value.detach().clone() for name, value in weights}

    def checkpoints(self, base: EnumerableLM) -> Iterator[Checkpoint]:
        """Hand out what was kept as models of the base's kind."""
        for step, weights in self._kept.items():
            model = frozen_copy(base)
            model.load_state_dict(weights)
            yield Checkpoint(step, step * self._per_step, model)


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """trl's DPO on pairs given as ids, with their log-probabilities under the base.

    trl would turn text into ids and add an end to every response, also to one cut at the length limit.
    """

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset


def id_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer whose words are the ids themselves, for trl wants text: ``"<12> <11>"`` is [12, 11]."""
    end = as_text([0])
    words = Tokenizer(WordLevel({as_text([i]): i for i in range(vocab_size)}, unk_token=end))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token=end, pad_token=end, unk_token=end, padding_side="left"
    )


def as_text(tokens: list[int]) -> str:
    """Write ids as the tokenizer's words. The brackets keep the end's word from being found inside another."""
    return " ".join(f"<{token}>" for token in tokens)


def run(trainer: Trainer) -> None:
    """Train without printing."""
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def common_arguments(budget: Budget, batch: int, seed: int, folder: str) -> dict[str, object]:
    """Return the trainer arguments that every run sets explicitly, so that no default decides."""
    return {
        "output_dir": folder,
        "max_steps": budget.steps,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": 1,
        "learning_rate": budget.learning_rate,
        "lr_scheduler_type": budget.schedule,
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "max_grad_norm": budget.max_grad_norm,
        "optim": "adamw_torch",
        "bf16": False,
        "fp16": False,
        "activation_checkpointing": False,
        "use_cpu": True,
        "seed": seed,
        "data_seed": seed,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "logging_strategy": "no",
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


@contextmanager
def saved_reference(base: EnumerableLM) -> Iterator[tuple[EnumerableLM, str]]:
    """Save the base where trl will look for its reference model; yields a copy to train and a scratch folder."""
    with tempfile.TemporaryDirectory() as folder:
        model = trainable_copy(base)
        model.config.auto_map = {}  # trl reads it to know that no code is to be fetched
        model.save_pretrained(folder)
        model.config.name_or_path = folder
        yield model, folder
