"""Where things lie: the base model, prompts, reward model and samples of one folder, each made once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, GPT2Config, GPT2ForSequenceClassification

from alignlib._core.files import write_whole
from alignlib.lm.fleet import World
from alignlib.lm.payment import Payment, ProxyPayment, TextPayment
from alignlib.lm.proxies import Raters, RewardSettings, train_members
from alignlib.lm.stack import Stack
from alignlib.lm.torch_runtime import quiet
from alignlib.lm.words import rewards
from alignlib.lm.words.base import Pretraining, load_model, loss_per_token, make_tokenizer, pretrain, save_model
from alignlib.lm.words.corpus import Corpus, WordsWorld, read_verses
from alignlib.lm.words.grid import PROXY, STEPS

__all__ = ["Place"]

_PAIRS = 12_000


@dataclass(frozen=True)
class Place:
    """A folder of results, ``build/words`` for `make lm-words`.

    Parameters
    ----------
    folder : path
        Everything is made here.
    text : path, optional
        See `alignlib.lm.words.corpus.read_verses`.
    device : str
        ``"cpu"`` or ``"cuda"``.
    pretraining : Pretraining
        Of the base model.
    n_prompts : mapping
        Held-out prompts by part.
    pairs : int
        Labelled pairs that the reward model learns from.
    steps : three int
        See `alignlib.lm.words.grid.STEPS`.
    """

    folder: Path
    text: Path | None = None
    device: str = "cpu"
    pretraining: Pretraining = field(default_factory=Pretraining)
    n_prompts: dict[str, int] = field(default_factory=lambda: {"test": 96, "validation": 48})
    pairs: int = _PAIRS
    steps: tuple[int, int, int] = STEPS

    @classmethod
    def toy(cls, folder: Path, text: Path | None = None, device: str = "cpu") -> Place:
        """Return a place whose everything is tiny, to see that it works.

        Parameters
        ----------
        folder : Path
            Where all lies.
        text : Path, optional
            The corpus; the one of the project if None.
        device : str
            Where to compute.
        """
        pretraining = Pretraining(n_words=600, n_layer=2, n_embd=32, epochs=0.1)
        return cls(folder, text, device, pretraining, {"test": 6, "validation": 4}, 64, (1, 2, 3))

    @property
    def base_folder(self) -> Path:
        """The base model, in the form of the Hugging Face hub."""
        return self.folder / "base"

    @property
    def proxy_folder(self) -> Path:
        """The reward model."""
        return self.folder / "proxy"

    def prompts_file(self, part: str) -> Path:
        """Held-out prompts as a table with the columns ``prompt_id`` and ``prompt``.

        Parameters
        ----------
        part : str
            ``"test"`` or ``"validation"``.
        """
        return self.folder / f"prompts_{part}.jsonl"

    @cached_property
    def corpus(self) -> Corpus:
        """The verses by what they are for."""
        return Corpus.split(read_verses(self.text))

    @cached_property
    def world(self) -> WordsWorld:
        """Prompts to learn from, in the base's tokens."""
        return WordsWorld(load_model(self.base_folder)[1], self.corpus)

    @cached_property
    def base(self) -> Stack:
        """The base as a stack of one."""
        return Stack.of(load_model(self.base_folder)[0]).to(self.device)

    def payment(self, reward: str) -> Payment:
        """What training pays: a function of the text, or the reward model.

        Parameters
        ----------
        reward : str
            Name of the reward.
        """
        if reward == PROXY:
            model = AutoModelForSequenceClassification.from_pretrained(self.proxy_folder)
            return ProxyPayment(Stack.of(model, head="score").to(self.device), 1e-3)
        return TextPayment(getattr(rewards, reward), self.world.texts)

    # -- making --------------------------------------------------------------------------------------------------------

    def take_base(self, folder: Path) -> None:
        """Copy a base model that lies elsewhere, if none lies here.

        Parameters
        ----------
        folder : Path
            Where it lies.
        """
        if not (self.base_folder / "model.safetensors").is_file():
            model, tokenizer = load_model(folder)
            save_model(model, self.base_folder, tokenizer)

    def make_base(self, say: Callable[[str], None]) -> None:
        """Pretrain the base if it does not lie here; write the held-out prompts.

        Parameters
        ----------
        say : callable
            Gets a line of progress now and then.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.base_folder / "model.safetensors").is_file():
            tokenizer = make_tokenizer(self.corpus, self.pretraining.n_words)
            world = WordsWorld(tokenizer, self.corpus)
            model = pretrain(world.encoded("train"), self.pretraining, say=say, device=self.device)
            say(f"held-out verses: {loss_per_token(model, world.encoded('validation')):.3f} nats per token")
            save_model(model, self.base_folder, tokenizer)
        for part, n in self.n_prompts.items():
            if not self.prompts_file(part).is_file():
                texts = self.world.texts(self.world.held_out(part, n))
                lines = [json.dumps({"prompt_id": i, "prompt": text}) for i, text in enumerate(texts)]
                write_whole(self.prompts_file(part), "\n".join(lines) + "\n")

    def make_proxy(self, say: Callable[[str], None]) -> None:
        """Train the reward model on noisy preferences if it does not lie here.

        Parameters
        ----------
        say : callable
            Gets a line of progress now and then.
        """
        if (self.proxy_folder / "model.safetensors").is_file():
            return
        world: World = self.world
        members = train_members(
            self.base, world, self.payment("sentiment"), self.pairs, members=1, raters=Raters(),
            settings=RewardSettings(learning_rate=5e-4), device=self.device,
        )  # fmt: skip
        config = GPT2Config.from_pretrained(self.base_folder)
        config.num_labels = 1
        with quiet():
            model = GPT2ForSequenceClassification(config)
            model.load_state_dict(members.state(0))
            model.save_pretrained(self.proxy_folder)
            self.world.tokenizer.save_pretrained(self.proxy_folder)
        say(f"reward model trained on {self.pairs} labelled pairs")

    def held_out(self, part: str) -> torch.Tensor:
        """The held-out prompts of a part in tokens.

        Parameters
        ----------
        part : str
            ``"test"`` or ``"validation"``.

        Returns
        -------
        tensor (P, prompt length)
            On the place's device.
        """
        return torch.as_tensor(np.asarray(self.world.held_out(part, self.n_prompts[part]))).to(self.device)
