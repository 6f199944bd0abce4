"""The base model: a GPT-2 of a million weights with a byte-pair vocabulary, pretrained verse by verse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from alignlib._core.checks import IntArray, require
from alignlib.lm.torch_runtime import annealed_adam, one_thread, quiet
from alignlib.lm.words.corpus import LENGTH, PROMPT_LENGTH, Corpus

__all__ = ["Pretraining", "load_model", "loss_per_token", "make_tokenizer", "new_model", "pretrain", "save_model"]

_START = "<|end|>"
_CONTEXT = 64


@dataclass(frozen=True)
class Pretraining:
    """Size of the model and of its pretraining, at a rate that rises, then falls.

    Parameters
    ----------
    n_words : int
        Tokens of the vocabulary.
    n_layer, n_embd, n_head : int
        Layers, width, attention heads.
    epochs : float
        Passes over the verses.
    batch : int
        Verses at a time.
    learning_rate : float
        The largest rate.
    warm_up : float
        Share of the steps over which it rises from zero.
    weight_decay : float
        Of AdamW.
    """

    n_words: int = 2048
    n_layer: int = 4
    n_embd: int = 128
    n_head: int = 4
    epochs: float = 3.0
    batch: int = 48
    learning_rate: float = 4e-3
    warm_up: float = 0.03
    weight_decay: float = 0.05


def make_tokenizer(corpus: Corpus, n_words: int = 2048) -> PreTrainedTokenizerFast:
    """Learn a byte-pair vocabulary from the verses of training; token 0 starts every text and ends a response.

    Parameters
    ----------
    corpus : Corpus
        The verses; only those of training are read.
    n_words : int
        Tokens in the vocabulary.
    """
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=n_words, special_tokens=[_START], show_progress=False)
    inner.train_from_iterator(corpus.parts["train"], trainer)
    inner.post_processor = processors.TemplateProcessing(single=f"{_START} $A", special_tokens=[(_START, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=_START, eos_token=_START, pad_token=_START, padding_side="left"
    )


def new_model(settings: Pretraining, n_words: int) -> GPT2LMHeadModel:
    """Return an untrained model without dropout; its weights come from torch's random numbers.

    Parameters
    ----------
    settings : Pretraining
        Sizes.
    n_words : int
        Tokens of the vocabulary.
    """
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=n_words, n_positions=_CONTEXT, n_layer=settings.n_layer, n_embd=settings.n_embd,
            n_head=settings.n_head, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, tie_word_embeddings=False,
            bos_token_id=0, eos_token_id=0, pad_token_id=0, initializer_range=0.05,
        )
    )  # fmt: skip


def pretrain(
    verses: Sequence[Sequence[int]],
    settings: Pretraining,
    seed: int = 0,
    say: Callable[[str], None] = print,
    device: str = "cpu",
) -> GPT2LMHeadModel:
    """Pretrain on verses in tokens, the same for the same ``seed``.

    Parameters
    ----------
    verses : sequence of sequences of int
        Each with the start token in front and no end.
    settings : Pretraining
        Sizes.
    seed : int
        Source of weights and order.
    say : callable
        Gets a line of progress now and then.
    device : str
        Where to compute.

    Raises
    ------
    InputError
        If the verses do not fill one batch.
    """
    require(len(verses) >= settings.batch, f"verses must fill one batch of {settings.batch}; got {len(verses)}.")
    rows = [_row(verse) for verse in verses]
    rng = np.random.default_rng(seed)
    n_words = 1 + max(max(verse) for verse in verses)
    with one_thread(seed):
        model = new_model(settings, max(settings.n_words, n_words)).to(device)
        steps = round(settings.epochs * len(rows) / settings.batch)
        optimizer, schedule = annealed_adam(model, steps, settings)
        model.train()
        mean, start = torch.zeros((), device=device), time.process_time()
        for step, part in zip(range(steps), _batches([len(row) for row in rows], settings.batch, rng), strict=False):
            loss, n = _summed_loss(model, _padded([rows[i] for i in part]).to(device))
            optimizer.zero_grad()
            (loss / n).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            mean += max(0.02, 1.0 / (1 + step)) * (loss.detach() / n - mean)
            if step % 100 == 99:
                spent = time.process_time() - start
                say(f"pretraining: step {step + 1} of {steps}, {float(mean):.3f} nats per token, {spent:.0f} CPU-s")
    model.cpu().eval()
    return model


def loss_per_token(model: GPT2LMHeadModel, verses: Sequence[Sequence[int]], batch: int = 64) -> float:
    """Return the mean of ``-log p`` over the tokens of verses, in nats per token.

    Parameters
    ----------
    model : GPT2LMHeadModel
        The model.
    verses : sequence of sequences of int
        Tokens of each verse.
    batch : int
        Verses at a time.
    """
    rows = [_row(verse) for verse in verses]
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            loss, n = _summed_loss(model, _padded(rows[start : start + batch]))
            total, count = total + float(loss), count + n
    return total / count


def _row(verse: Sequence[int]) -> list[int]:
    """A verse with its end, or its beginning where it is too long."""
    return [*verse, 0][:_CONTEXT]


def _batches(lengths: Sequence[int], batch: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Yield batches of rows of similar length without end, every row once in each pass."""
    size = np.asarray(lengths)
    while True:
        order = rng.permutation(len(size))
        order = order[np.argsort(size[order] // 4, kind="stable")]
        parts = [order[i : i + batch] for i in range(0, len(order), batch)]
        for number in rng.permutation(len(parts)):
            yield parts[number]


def _padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[-100] * (width - len(row))] for row in rows])


def _summed_loss(model: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    seen, target = rows[:, :-1].clamp(min=0), rows[:, 1:]
    logits = model(input_ids=seen, attention_mask=torch.ones_like(seen)).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
    return loss, int((target != -100).sum())


def save_model(model: GPT2LMHeadModel, folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Save model and tokenizer as a folder that any Hugging Face tool reads.

    Parameters
    ----------
    model : GPT2LMHeadModel
        The model.
    folder : Path
        Where to.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    """
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_model(folder: Path) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """Load what `save_model` saved, in single precision, ready for evaluation.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    model : GPT2LMHeadModel
        The model.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.

    Raises
    ------
    InputError
        If the folder does not hold a model.
    """
    require(
        (folder / "model.safetensors").is_file(),
        f"folder must hold a saved model; {str(folder)!r} does not: run python -m alignlib.lm.words prepare.",
    )
    model = GPT2LMHeadModel(GPT2Config.from_pretrained(folder))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    assert model.config.n_positions >= 1 + PROMPT_LENGTH + LENGTH
    model.float().eval()
    return model, PreTrainedTokenizerFast.from_pretrained(folder)
