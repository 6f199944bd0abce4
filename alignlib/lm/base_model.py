"""The base model: a small GPT-2 pretrained on a task's noisy demonstrations, saved as any Hugging Face model.

One base for each task, because the tasks speak different words: a shared one would have outputs that the other task's
responses never use. The model has exactly the C + 1 outputs of the response space, and reads a larger vocabulary, for
the prompts; a mask on the logits would do too, were it not that training libraries compute log-probabilities from the
head's weights directly. Reward models are the same network with a scalar head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from alignlib._core.checks import IntArray, require
from alignlib.lm.space import END
from alignlib.lm.tasks import Task
from alignlib.lm.torch_runtime import annealed_adam, one_thread, quiet, seed_for_torch

__all__ = [
    "EnumerableConfig",
    "EnumerableLM",
    "EnumerableRewardModel",
    "PretrainingSettings",
    "config_like",
    "load_base",
    "make_tokenizer",
    "new_model",
    "new_model_like",
    "pretrain",
    "reward_model_like",
    "save_model",
]


class EnumerableConfig(GPT2Config):  # type: ignore[misc]  # the extra's classes are not seen by the check of types
    """GPT-2 that chooses between ``vocab_size`` tokens and reads ``n_inputs`` of them.

    Parameters
    ----------
    n_inputs : int
        Tokens that are read: words of prompts and of responses.
    **options : object
        Those of ``GPT2Config``; ``vocab_size`` is the number of tokens to choose from.
    """

    model_type = "enumerable_gpt2"

    def __init__(self, n_inputs: int = 50257, **options: object) -> None:
        self.n_inputs = n_inputs
        super().__init__(**options)


class EnumerableLM(GPT2LMHeadModel):  # type: ignore[misc]
    """GPT-2 with a language-model head of few outputs and an input embedding of more.

    Parameters
    ----------
    config : EnumerableConfig
        Sizes.
    """

    config_class = EnumerableConfig
    _tied_weights_keys: dict[str, str] = {}  # noqa: RUF012  # what the library expects here

    def __init__(self, config: EnumerableConfig) -> None:
        super().__init__(config)
        self.transformer.wte = torch.nn.Embedding(config.n_inputs, config.n_embd)
        self.post_init()


AutoConfig.register(EnumerableConfig.model_type, EnumerableConfig, exist_ok=True)


AutoModelForCausalLM.register(EnumerableConfig, EnumerableLM, exist_ok=True)


@dataclass(frozen=True)
class PretrainingSettings:
    """Size of the model and of its pretraining, at a rate that falls to zero along a cosine.

    Parameters
    ----------
    n_layer, n_embd, n_head : int
        Layers, width, attention heads.
    n_pairs : int
        Demonstrations, drawn afresh.
    epochs, batch : int
        Passes over them, and how many at a time.
    learning_rate : float
        The largest rate.
    warm_up : float
        Share of the steps over which it rises from zero.
    weight_decay : float
        Of AdamW.
    """

    n_layer: int = 2
    n_embd: int = 64
    n_head: int = 4
    n_pairs: int = 20_000
    epochs: int = 4
    batch: int = 128
    learning_rate: float = 5e-3
    warm_up: float = 0.05
    weight_decay: float = 0.01


def new_model(task: Task, settings: PretrainingSettings | None = None) -> EnumerableLM:
    """Return an untrained model for the task, dropout 0; its weights come from torch's random numbers.

    Parameters
    ----------
    task : Task
        Gives the number of inputs and outputs.
    settings : PretrainingSettings, optional
        Sizes.
    """
    settings = settings or PretrainingSettings()
    config = EnumerableConfig(
        n_inputs=task.vocab_size,
        vocab_size=task.space.n_outputs,
        n_positions=task.prompt_length + task.space.length + 1,
        n_layer=settings.n_layer,
        n_embd=settings.n_embd,
        n_head=settings.n_head,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.1,  # the library's 0.02 is for wide models; at this width it never learns to copy
        tie_word_embeddings=False,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=END,
    )
    return EnumerableLM(config)


def config_like(shapes: Mapping[str, tuple[int, ...]], n_heads: int) -> EnumerableConfig:
    """Return the configuration of a model whose weights have these names and shapes.

    Parameters
    ----------
    shapes : mapping
        Of each weight by name, as in a state dictionary.
    n_heads : int
        Attention heads.
    """
    n_inputs, width = shapes["transformer.wte.weight"]
    layers = {name.split(".")[2] for name in shapes if name.startswith("transformer.h.")}
    return EnumerableConfig(
        n_inputs=n_inputs,
        vocab_size=shapes.get("lm_head.weight", (n_inputs,))[0],
        n_positions=shapes["transformer.wpe.weight"][0],
        n_layer=len(layers),
        n_embd=width,
        n_head=n_heads,
        tie_word_embeddings=False,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=END,
    )


def new_model_like(shapes: Mapping[str, tuple[int, ...]], n_heads: int) -> EnumerableLM:
    """Return a model of this kind whose weights have these names and shapes; arguments as in `config_like`.

    Parameters
    ----------
    shapes : mapping
        Of each weight by name, as in a state dictionary.
    n_heads : int
        Attention heads.
    """
    model = EnumerableLM(config_like(shapes, n_heads))
    model.eval()
    return model


def pretrain(
    task: Task, rng: np.random.Generator | int = 0, settings: PretrainingSettings | None = None
) -> EnumerableLM:
    """Pretrain a base model on noisy demonstrations of the task, the same for the same ``rng``.

    Parameters
    ----------
    task : Task
        Its grammar gives prompts and demonstrations.
    rng : Generator or int
        Source of the weights, the demonstrations and their order, or its seed.
    settings : PretrainingSettings, optional
        Sizes; the default takes seconds.

    Raises
    ------
    InputError
        If the settings ask for fewer pairs than one batch.
    """
    settings = settings or PretrainingSettings()
    require(
        settings.n_pairs >= settings.batch,
        f"n_pairs must be at least one batch, {settings.batch}; got {settings.n_pairs}.",
    )
    seed = seed_for_torch(rng)
    rng = np.random.default_rng(seed)
    prompts, responses = task.reference(settings.n_pairs, rng)
    with one_thread(seed):
        model: EnumerableLM = new_model(task, settings)
        per_epoch = settings.n_pairs // settings.batch
        steps = settings.epochs * per_epoch
        optimizer, schedule = annealed_adam(model, steps, settings)
        model.train()
        for step in range(steps):
            if step % per_epoch == 0:
                order = rng.permutation(settings.n_pairs)
            part = order[step % per_epoch * settings.batch :][: settings.batch]
            loss = response_loss(model, prompts[part], responses[part])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()
    return model


def response_loss(model: torch.nn.Module, prompts: IntArray, responses: IntArray) -> torch.Tensor:
    """Mean over responses of ``-log p(y|x)`` in nats per sequence; a response of full length has no end to predict.

    Parameters
    ----------
    model : Module
        A language model of torch.
    prompts : array of int (B, P)
        Tokens.
    responses : array of int (B, T)
        Tokens, filled up with ends.

    Returns
    -------
    Tensor
        One number, in nats per sequence.
    """
    tokens = torch.as_tensor(np.concatenate([prompts, responses], axis=1))
    n_prompt = prompts.shape[1]
    # All ones: nothing before a counted token is padding.
    seen = tokens[:, :-1]
    logits = model(input_ids=seen, attention_mask=torch.ones_like(seen)).logits[:, n_prompt - 1 :]
    target = tokens[:, n_prompt:]
    token_loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), target, reduction="none")
    # The first end counts, the padding after it does not.
    counted = torch.nn.functional.pad((target != END).cumprod(1)[:, :-1], (1, 0), value=1)
    return (token_loss * counted).sum() / len(tokens)


def make_tokenizer(task: Task) -> PreTrainedTokenizerFast:
    """Return a tokenizer of the task's words, separated by spaces; end and padding are the same token.

    A word of no prompt or response is an error, not a token of its own.

    Parameters
    ----------
    task : Task
        Gives the words.
    """
    words = {word: number for number, word in enumerate(task.words)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<no such word>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    end = task.words[END]
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=end, pad_token=end, bos_token=end, padding_side="left"
    )


def save_model(model: EnumerableLM, folder: Path, task: Task | None = None) -> None:
    """Save a model as a Hugging Face folder, with the task's tokenizer if a task is given.

    Parameters
    ----------
    model : EnumerableLM
        The model.
    folder : Path
        Where to.
    task : Task, optional
        Its tokenizer is saved too.
    """
    with quiet():
        model.save_pretrained(folder)
    if task is not None:
        make_tokenizer(task).save_pretrained(folder)


def load_base(folder: Path | str) -> EnumerableLM:
    """Load a saved model, ready for evaluation, in single precision.

    Parameters
    ----------
    folder : Path or str
        The folder that `save_model` wrote.

    Raises
    ------
    InputError
        If the folder does not hold such a model.
    """
    path = Path(folder)
    require(
        (path / "config.json").is_file() and (path / "model.safetensors").is_file(),
        f"folder must hold a saved model (config.json and model.safetensors); {str(path)!r} does not. Run make lm.",
    )
    model = EnumerableLM(EnumerableConfig.from_pretrained(path))
    model.load_state_dict(load_file(path / "model.safetensors"))
    model.float().eval()
    return model


class EnumerableRewardModel(GPT2ForSequenceClassification):  # type: ignore[misc]
    """GPT-2 with a scalar read after the last token that is not padding.

    Parameters
    ----------
    config : EnumerableConfig
        Sizes.
    """

    config_class = EnumerableConfig

    def __init__(self, config: EnumerableConfig) -> None:
        super().__init__(config)
        self.transformer.wte = torch.nn.Embedding(config.n_inputs, config.n_embd)
        self.post_init()


AutoModelForSequenceClassification.register(EnumerableConfig, EnumerableRewardModel, exist_ok=True)


def reward_model_like(shapes: Mapping[str, tuple[int, ...]], n_heads: int) -> EnumerableRewardModel:
    """Return a reward model whose weights have these names and shapes.

    Parameters
    ----------
    shapes : mapping
        Of each weight by name, as in a state dictionary.
    n_heads : int
        Attention heads.
    """
    config = config_like(shapes, n_heads)
    config.num_labels = 1
    model = EnumerableRewardModel(config)
    model.eval()
    return model
