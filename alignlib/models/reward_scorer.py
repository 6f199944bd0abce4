"""A scoring job: which output of a reward model is the reward, and the batches in which texts are scored."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.names import unknown_name
from alignlib.models.batching import guess_batch_size, in_batches, progress_bar
from alignlib.models.loaded import Loaded, fingerprint
from alignlib.models.prompts import Prompt
from alignlib.models.resumable import Parts, Plan
from alignlib.models.texts import Layout, encode_pairs

__all__ = ["RewardScorer", "ScoreSettings", "choose_output", "content_hash"]


@dataclass(frozen=True)
class ScoreSettings:
    """How to score; every field is an argument of `score` and an option of the command."""

    name: str | None = None
    label: str | None = None
    output_index: int | None = None
    value: str = "raw"
    negate: bool = False
    layout: str = "auto"
    template: str | None = None
    prompt: str = "prompt"
    response: str = "response"
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    remote_code: bool = False

    def __post_init__(self) -> None:
        require(
            self.name is None or re.fullmatch(r"[^/\\\0]{1,100}", self.name) is not None,
            f"name must be part of the names of a column and a file, 1 to 100 characters, without slashes; "
            f"got {self.name!r:.200}.",
            "name",
        )
        require(self.value in ("raw", "log-prob"), f"value must be 'raw' or 'log-prob'; got {self.value!r}.")
        require(self.label is None or self.output_index is None, "Give label or output_index, not both.")
        require(
            self.batch_size is None or self.batch_size >= 1, f"batch_size must be at least 1; got {self.batch_size}."
        )


@dataclass
class RewardScorer:
    """A prepared job: the model, the tokens of every text, which output counts."""

    loaded: Loaded
    settings: ScoreSettings
    layout: Layout
    texts: list[dict[str, list[int]]]
    content: str  # hash of prompts and responses
    order: IntArray  # longest first: little padding, and memory runs out at once or never
    index: int
    names_pad: bool  # whether the model itself says which token fills a batch
    say: Callable[[str], None]

    @classmethod
    def prepare(
        cls,
        loaded: Loaded,
        settings: ScoreSettings,
        layout: Layout,
        prompts: Sequence[Prompt],
        responses: Sequence[str],
        say: Callable[[str], None],
    ) -> RewardScorer:
        """Choose the output, turn the texts into tokens, and refuse those that are too long."""
        config = loaded.model.config
        index = choose_output(loaded, settings.label, settings.output_index)
        unsure = config.problem_type in (None, "single_label_classification")
        if loaded.n_outputs > 1 and settings.value == "raw" and unsure:
            say(
                f"{loaded.name} has {loaded.n_outputs} outputs; if it is a classifier, one raw output is fixed only up "
                "to a constant of each text, and value='log-prob' is what to compare."
            )
        texts = encode_pairs(loaded, prompts, responses, layout, settings.template)
        lengths = np.array([len(text["input_ids"]) for text in texts])
        if loaded.context is not None and lengths.max() > loaded.context:
            row = int(lengths.argmax())
            raise InputError(
                f"{int((lengths > loaded.context).sum())} of {len(texts)} texts are longer than the context of "
                f"reward_model={loaded.name}, {loaded.context} tokens; the longest, row {row + 1}, has "
                f"{lengths[row]}: sample shorter responses or prompts, or give another reward model."
            )
        if lengths.min() == 0:
            raise InputError(f"Row {int(lengths.argmin()) + 1} has no tokens for {loaded.name}; remove it.")
        order = np.argsort(-lengths, kind="stable").astype(np.int64)
        content = content_hash(prompts, responses)
        named = config.pad_token_id is not None
        return cls(loaded, settings, layout, texts, content, order, index, named, say)

    def identity(self) -> dict[str, object]:
        """Everything that decides the rewards."""
        return {
            "content of the reward model": fingerprint(self.loaded),
            "the prompts and responses (content)": self.content,
            "output_index": self.index,
            "value": self.settings.value,
            "negate": self.settings.negate,
            "layout": self.layout,
            "template": self.settings.template,
            "dtype": str(self.loaded.model.dtype).removeprefix("torch."),
            "device": self.loaded.device.type,
        }

    def metadata(self) -> dict[str, object]:
        """Say in the file where the column is from."""
        named = self.loaded.model.config.id2label or {}
        return {"model": self.loaded.name, "label": named.get(self.index), **self.identity()}

    def plan(self) -> Plan:
        """Choose what holds for the whole job, however often it is taken up again."""
        longest = len(self.texts[int(self.order[0])]["input_ids"])
        size = self.settings.batch_size or guess_batch_size(self.loaded, longest, self.loaded.n_outputs)
        return {"shard_rows": size, "batch_size": size}

    def run(self, parts: Parts) -> FloatArray:
        """Score the shards that are missing and return all rewards, in the order of the table."""
        earlier = parts.last_metadata().get("batch_size")
        size = int(self.settings.batch_size or earlier or parts.plan["batch_size"])
        first = parts.n_done
        done = min(len(self.texts), first * parts.shard_rows)
        if first:
            self.say(f"Going on from {parts.folder}: {done} of {len(self.texts)} rewards are there.")
        if first < parts.n_shards:
            self.say(f"Scoring on {self.loaded.device}, up to {size} responses at once.")
        with progress_bar(len(self.texts), done) as bar:
            for shard in range(first, parts.n_shards):
                rows = self.order[parts.rows(shard).start : parts.rows(shard).stop]
                found, size = in_batches(rows.tolist(), size, self.work, self.say)
                table = pa.table({"reward": pa.array(found, pa.float64())})
                parts.write(shard, table.replace_schema_metadata({"batch_size": str(size)}))
                bar.update(len(found))
        rewards = np.empty(len(self.texts))
        rewards[self.order] = np.concatenate([parts.read(i)["reward"].to_numpy() for i in range(parts.n_shards)])
        return rewards

    def work(self, rows: Sequence[int]) -> list[float]:
        """Score one batch."""
        import torch

        texts = [self.texts[row] for row in rows]
        width = max(len(text["input_ids"]) for text in texts)
        filler = self.filler(texts)
        padded: dict[str, list[list[int]]] = {name: [] for name in texts[0]}
        for text in texts:
            for name, values in text.items():
                padded[name].append(values + [filler if name == "input_ids" else 0] * (width - len(values)))
        padded["attention_mask"] = [[1] * len(t["input_ids"]) + [0] * (width - len(t["input_ids"])) for t in texts]
        with torch.inference_mode():
            inputs = {name: torch.tensor(values, device=self.loaded.device) for name, values in padded.items()}
            logits = self.loaded.model(**inputs).logits.double()
        if self.settings.value == "log-prob":
            several = self.loaded.model.config.problem_type == "multi_label_classification"
            apart = several or self.loaded.n_outputs == 1
            logits = torch.nn.functional.logsigmoid(logits) if apart else torch.log_softmax(logits, dim=-1)
        values = logits[:, self.index].cpu().numpy() * (-1.0 if self.settings.negate else 1.0)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise InputError(
                f"reward_model={self.loaded.name} gave {values[bad[0]]} for row {rows[int(bad[0])] + 1}; its weights "
                "or their number format are at fault: try dtype='float32'."
            )
        return [float(value) for value in values]

    def filler(self, texts: Sequence[dict[str, list[int]]]) -> int:
        """Return the token that fills a batch; some classes find the end of a text by it, not by the attention mask.

        Where the model names one, it was trained with it. Where it names none, the end is the last token, even of a
        text that closes with the tokenizer's pad token; so the filler is a token that none of the texts holds.
        """
        config = self.loaded.model.config
        if not self.names_pad:
            used = {token for text in texts for token in text["input_ids"]}
            config.pad_token_id = next(i for i in range(len(used) + 1) if i not in used)
            if config.pad_token_id >= config.get_text_config().vocab_size:
                raise InputError(
                    f"reward_model={self.loaded.name} names no pad token and the texts use every token there is; set "
                    "pad_token_id in its config.json."
                )
        return int(config.pad_token_id)


def choose_output(loaded: Loaded, label: str | None, index: int | None) -> int:
    """Return which output of a reward model is the reward."""
    named = {str(text): int(i) for i, text in (loaded.model.config.id2label or {}).items()}
    listed = ", ".join(f"{i} ({text})" for text, i in named.items())
    if label is not None:
        if label not in named:
            raise InputError(unknown_name(f"label of {loaded.name}", label, named))
        return named[label]
    if index is not None:
        if not 0 <= index < loaded.n_outputs:
            raise InputError(f"output_index={index} is no output of {loaded.name}; give one of {listed}.")
        return index
    if loaded.n_outputs > 1:
        raise InputError(
            f"reward_model={loaded.name} has {loaded.n_outputs} outputs, {listed}; say which is the reward: give label "
            "or output_index."
        )
    return 0


def content_hash(prompts: Sequence[Prompt], responses: Sequence[str]) -> str:
    """Hash of what is scored."""
    digest = hashlib.sha256()
    for prompt, response in zip(prompts, responses, strict=True):
        digest.update(json.dumps([prompt, response]).encode())
    return digest.hexdigest()[:16]
