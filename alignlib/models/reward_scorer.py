"""A scoring job: which output of a reward model is the reward, and the batches in which texts are scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alignlib._core.errors import InputError
from alignlib._core.names import unknown_name
from alignlib.models.batching import computing, guess_batch_size
from alignlib.models.journal import Plan
from alignlib.models.loaded import Loaded, fingerprint
from alignlib.models.prompts import Prompt
from alignlib.models.scoring import ScoreSettings, Scoring, content_hash
from alignlib.models.texts import Layout, encode_pairs

__all__ = ["RewardScorer", "choose_output"]


@dataclass
class RewardScorer(Scoring):
    """A prepared job: the model, the tokens of every text, which output counts.

    Attributes
    ----------
    content : str
        Hash of prompts and responses.
    order : array of int (rows,)
        In which order rows are scored.
    say : callable
        Called with what was decided, in sentences.
    settings : ScoreSettings
        How to score.
    loaded : Loaded
        The model.
    layout : Layout
        How prompt and response are laid out.
    texts : list of dict
        What the tokenizer gives the model, row by row.
    index : int
        Which output is the reward.
    names_pad : bool
        Whether the model itself says which token fills a batch.
    """

    loaded: Loaded
    layout: Layout
    texts: list[dict[str, list[int]]]
    index: int
    names_pad: bool  # whether the model itself says which token fills a batch

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
        """Choose the output, turn the texts into tokens, and refuse those that are too long.

        Parameters
        ----------
        loaded : Loaded
            The model.
        settings : ScoreSettings
            How to score.
        layout : Layout
            How prompt and response are laid out.
        prompts : sequence of prompts
            One for each row.
        responses : sequence of str
            One for each row.
        say : callable
            Called with what was decided, in sentences.

        Raises
        ------
        InputError
            If a text is too long or has no tokens, or it is not settled which output counts.
        """
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
        # Longest first: little padding, and memory runs out at once or never.
        order = np.argsort(-lengths, kind="stable").astype(np.int64)
        content = content_hash(prompts, responses)
        named = config.pad_token_id is not None
        return cls(content, order, say, settings, loaded, layout, texts, index, named)

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

    def announced(self) -> str:
        """How scoring is announced."""
        return f"Scoring on {self.loaded.device}"

    def work(self, rows: Sequence[int]) -> list[float]:
        """Score one batch.

        Parameters
        ----------
        rows : sequence of int
            Positions of the responses of a batch.

        Returns
        -------
        list of float
            One reward each.

        Raises
        ------
        InputError
            Where the model's output is not finite.
        """
        import torch

        texts = [self.texts[row] for row in rows]
        width = max(len(text["input_ids"]) for text in texts)
        filler = self.filler(texts)
        padded: dict[str, list[list[int]]] = {name: [] for name in texts[0]}
        for text in texts:
            for name, values in text.items():
                padded[name].append(values + [filler if name == "input_ids" else 0] * (width - len(values)))
        padded["attention_mask"] = [[1] * len(t["input_ids"]) + [0] * (width - len(t["input_ids"])) for t in texts]
        with torch.inference_mode(), computing(self.loaded):
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

        Parameters
        ----------
        texts : sequence of dict
            The texts of a batch.

        Raises
        ------
        InputError
            If every token of the vocabulary occurs in one of them.
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
    """Return which output of a reward model is the reward.

    Parameters
    ----------
    loaded : Loaded
        The model.
    label : str, optional
        The output's label.
    index : int, optional
        The output's number.

    Raises
    ------
    InputError
        If there is no such output, or several and none is named.
    """
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
