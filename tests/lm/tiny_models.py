"""Models of a few thousand weights, made on the spot and saved as the hub would: the real code runs on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()

WORDS = ["<eos>", "<pad>", "<unk>", *(f"w{i}" for i in range(30))]
SMALL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": None}
CHAT = (
    "{% for m in messages %}{% if m['role'] not in ['user', 'assistant', 'system'] %}"
    "{{ raise_exception('who is ' + m['role'] + '?') }}{% endif %}"
    "{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)


def word_tokenizer(words: list[str] = WORDS, chat: str | None = None, **special: str) -> PreTrainedTokenizerFast:
    """Split at spaces; unknown words are the word <unk>."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = special or {"eos_token": "<eos>", "pad_token": "<pad>"}
    special.setdefault("unk_token", "<unk>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **special)
    tokenizer.chat_template = chat
    return tokenizer


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE trained here, with an end token but no pad token, that ends every text with the end token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["the limit of the frontier", "the reward of the response"], trainer)
    made.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")


def gpt2(size: int, seed: int = 0, scale: float = 0.15, **config: Any) -> GPT2LMHeadModel:
    """A GPT-2 with learned positions."""
    torch.manual_seed(seed)
    shape = {"n_positions": 48, "n_embd": 24, "n_layer": 2, "n_head": 2, "eos_token_id": 0, "initializer_range": scale}
    return GPT2LMHeadModel(GPT2Config(vocab_size=size, **{**SMALL, **shape, **config}))


def llama(size: int, seed: int = 0) -> LlamaForCausalLM:
    """A Llama with rotary positions and shared keys."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(llama_config(size))


def llama_config(size: int, **config: Any) -> LlamaConfig:
    """Configuration of the Llama models."""
    return LlamaConfig(
        vocab_size=size,
        max_position_embeddings=48,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=0,
        **config,
    )


def save(folder: Path, model: Any, tokenizer: Any) -> str:
    """Save a model with its tokenizer and return the folder's name."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def save_all(root: Path) -> dict[str, str]:
    """Save the zoo and return its folders by name."""
    folders = {
        "gpt2": save(root / "gpt2", gpt2(len(WORDS)), word_tokenizer()),
        "gpt2_trained": save(root / "gpt2_trained", gpt2(len(WORDS), seed=1), word_tokenizer()),
        "llama": save(root / "llama", llama(len(WORDS) + 3), word_tokenizer([*WORDS, *ROLES], CHAT)),
        "bytes": save(root / "bytes", gpt2(300), byte_tokenizer()),
    }
    for name, label in {"reward": 1, "harm": 3}.items():
        torch.manual_seed(3)
        config = GPT2Config(
            vocab_size=len(WORDS), n_positions=48, n_embd=24, n_layer=2, n_head=2, num_labels=label, pad_token_id=1,
            **SMALL, initializer_range=0.2,
        )  # fmt: skip
        folders[name] = save(root / name, GPT2ForSequenceClassification(config), word_tokenizer())
    torch.manual_seed(4)
    config = llama_config(len(WORDS) + 3, num_labels=1)
    tokenizer = word_tokenizer([*WORDS, *ROLES], CHAT, eos_token="<eos>")
    folders["chat_reward"] = save(root / "chat_reward", LlamaForSequenceClassification(config), tokenizer)
    # A model as it often comes: with sampling settings of its own, which are not its law.
    tiny = gpt2(5, seed=2, scale=0.3)
    tiny.generation_config = GenerationConfig(
        do_sample=True, temperature=0.3, top_k=2, repetition_penalty=1.5, eos_token_id=[0]
    )
    words = ["<eos>", "<unk>", "a", "b", "c"]
    folders["tiny"] = save(root / "tiny", tiny, word_tokenizer(words, eos_token="<eos>"))
    return folders


ROLES = ["user", "assistant", "system"]
