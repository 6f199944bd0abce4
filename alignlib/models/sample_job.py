"""A sampling job: what decides its content, its batches, and the rows it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib._core.version import __version__
from alignlib.models.batching import guess_batch_size, in_batches, progress_bar
from alignlib.models.generation import Drawn, draw, uniforms
from alignlib.models.journal import Plan
from alignlib.models.loaded import Loaded, check_same_vocabulary, fingerprint
from alignlib.models.loading import check_dtype, choose_device, choose_dtype, load_language_model
from alignlib.models.next_token import SamplingLaw, token_kl, token_log_prob
from alignlib.models.prompts import Prompts
from alignlib.models.resumable import Parts
from alignlib.models.texts import check_template, choose_layout, encode_prompts, with_room

if TYPE_CHECKING:
    import torch

__all__ = ["SampleJob", "SampleSettings"]

_BLOCK = 8192  # rows per row group of the final file
# Mean difference per token, in nats, between the two ways to a log-probability, above which something is wrong.
_AGREEMENT = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
_CHECKED = 16  # responses of the first batch that are computed both ways; with a base it is all of them
_LIST = pa.list_(pa.float32())
_KINDS = {
    "response": pa.string(),
    "n_tokens": pa.int32(),
    "truncated": pa.bool_(),
    "log_prob": pa.float64(),
    "token_log_prob": _LIST,
    "token_id": pa.list_(pa.int32()),
    "base_log_prob": pa.float64(),
    "base_token_log_prob": _LIST,
    "token_kl": _LIST,
}


@dataclass(frozen=True)
class SampleSettings:
    """How to sample; every field is an argument of `sample` and an option of the command.

    Parameters
    ----------
    n : int
        Responses to each prompt, >= 1.
    max_new_tokens : int
        The largest length; a longer response is cut.
    seed : int
        Decides every response, whatever the batches are.
    law : SamplingLaw
        Law of the tokens.
    layout : str
        How prompts are laid out: ``auto``, ``chat`` or ``text``.
    template : str, optional
        A text that holds ``{prompt}``, in place of a layout.
    device : str, optional
        Where to compute; a GPU if there is one.
    dtype : str, optional
        Number format; bfloat16 on a GPU, else float32.
    batch_size : int, optional
        Responses at once; guessed from the free memory if None.
    drop_long : bool
        Go on without prompts that leave no room for a response.
    remote_code : bool
        Whether code that comes with a model may run.

    Raises
    ------
    InputError
        If a number is too small, or the template or the number format is none.

    Examples
    --------
    >>> settings = SampleSettings(n=8, law=SamplingLaw(temperature=0.7))
    >>> settings.law.describe(), settings.layout
    ('temperature 0.7', 'auto')
    """

    n: int = 64
    max_new_tokens: int = 256
    seed: int = 0
    law: SamplingLaw = field(default_factory=SamplingLaw)
    layout: str = "auto"
    template: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    drop_long: bool = False
    remote_code: bool = False

    def __post_init__(self) -> None:
        least = {"n": (self.n, 1), "max_new_tokens": (self.max_new_tokens, 1), "seed": (self.seed, 0)}
        for name, (value, low) in {
            **least,
            "batch_size": (1 if self.batch_size is None else self.batch_size, 1),
        }.items():
            require(value >= low, f"{name} must be at least {low}; got {value}.")
        check_template(self.template, ("{prompt}",))
        check_dtype(self.dtype)


@dataclass(eq=False)
class SampleJob(SameFields):
    """A prepared job: models loaded, prompts in tokens, everything checked.

    Attributes
    ----------
    policy : Loaded
        What is drawn from.
    base : Loaded, optional
        What it is compared with.
    prompts : Prompts
        With their names.
    tokens : list of list of int
        Tokens of each prompt.
    order : array of int (prompts,)
        Longest prompts first: little padding, and memory runs out at once or never.
    settings : SampleSettings
        How to sample.
    identity : dict
        Everything that decides the content.
    say : callable
        Called with what was decided, in sentences.
    checked : bool
        Whether a batch has been compared with a second pass.
    """

    policy: Loaded
    base: Loaded | None
    prompts: Prompts
    tokens: list[list[int]]
    order: IntArray  # prompts, longest first: little padding, and memory runs out at once or never
    settings: SampleSettings
    identity: dict[str, object]  # everything that decides the content
    say: Callable[[str], None]
    checked: bool = False

    @classmethod
    def prepare(
        cls, model: str, base: str | None, prompts: Prompts, settings: SampleSettings, say: Callable[[str], None]
    ) -> SampleJob:
        """Load the models, lay out the prompts, and say what was decided.

        Parameters
        ----------
        model : str
            The policy: a name on the hub, or a folder.
        base : str, optional
            What it is compared with.
        prompts : Prompts
            With their names.
        settings : SampleSettings
            How to sample.
        say : callable
            Called with what was decided, in sentences.
        """
        device = choose_device(settings.device)
        dtype = choose_dtype(settings.dtype, device)
        load = partial(load_language_model, device=device, dtype=dtype, remote_code=settings.remote_code)
        policy = load(model)
        other = None if base is None else load(base, role="base")
        if other is not None:
            check_same_vocabulary(policy, other)
        messages = not isinstance(prompts.prompts[0], str)
        layout, said = choose_layout(policy, settings.layout, messages, settings.template)
        for sentence in (*policy.notes, said, f"Sampling on {device} in {_name(dtype)}."):
            say(sentence)
        if not settings.law.is_model:
            say(
                f"The policy sampled from is {model} with {settings.law.describe()}, another law than the model's; "
                "log-probabilities are those of the tokens as drawn."
            )
        models = [policy] if other is None else [policy, other]
        tokens = encode_prompts(policy, prompts.prompts, layout, settings.template)
        kept = with_room(models, prompts, tokens, settings.max_new_tokens, settings.drop_long, say)
        prompts, tokens = prompts.take(kept), [tokens[row] for row in kept]
        order = np.argsort([-len(row) for row in tokens], kind="stable").astype(np.int64)
        identity = {
            "content of the model": fingerprint(policy),
            "content of the base": None if other is None else fingerprint(other),
            "content of the prompts": prompts.fingerprint(),
            "n": settings.n,
            "max_new_tokens": settings.max_new_tokens,
            "seed": settings.seed,
            "temperature": settings.law.temperature,
            "top_k": settings.law.top_k,
            "top_p": settings.law.top_p,
            "layout": layout,
            "template": settings.template,
            "dtype": _name(dtype),
            "device": device.type,
        }
        return cls(policy, other, prompts, tokens, order, settings, identity, say)

    @property
    def n_rows(self) -> int:
        """Number of responses."""
        return len(self.prompts) * self.settings.n

    def plan(self) -> Plan:
        """Choose what holds for the whole job, however often it is taken up again."""
        import torch
        import transformers

        longest = len(self.tokens[int(self.order[0])]) + self.settings.max_new_tokens
        size = self.settings.batch_size or guess_batch_size(self.policy, longest, 2 * self.policy.n_outputs)
        return {
            "shard_rows": size,
            "batch_size": size,
            "model": self.policy.name,
            "base": None if self.base is None else self.base.name,
            "versions": {"alignlib": __version__, "torch": torch.__version__, "transformers": transformers.__version__},
        }

    def run(self, parts: Parts) -> None:
        """Draw the shards that are missing.

        Parameters
        ----------
        parts : Parts
            What is finished, to which the rest is added.
        """
        earlier = parts.last_batch_size
        size = self.settings.batch_size or earlier or parts.plan["batch_size"]
        first = parts.n_done
        done = min(self.n_rows, first * parts.shard_rows)
        if first:
            self.say(f"Going on from {parts.folder}: {done} of {self.n_rows} responses are there.")
        if earlier is not None and earlier != size:
            self.say(f"Earlier responses were drawn {earlier} at once, now {size}; rounding may differ in later ones.")
        elif first < parts.n_shards:
            self.say(f"Up to {size} responses at once.")
        with progress_bar(self.n_rows, done) as bar:
            for shard in range(first, parts.n_shards):
                found, size = in_batches(parts.rows(shard), size, self.work, self.say)
                table = pa.table({name: pa.array([row[name] for row in found], _KINDS[name]) for name in found[0]})
                parts.write(shard, table.replace_schema_metadata({"batch_size": str(size)}))
                bar.update(len(found))

    def work(self, rows: Sequence[int]) -> list[dict[str, object]]:
        """Draw one batch and describe it.

        Parameters
        ----------
        rows : sequence of int
            Which responses, in the order of the job.

        Returns
        -------
        list of dict
            A row of the file for each.
        """
        n, steps = self.settings.n, self.settings.max_new_tokens
        where = [(int(self.order[row // n]), row % n) for row in rows]
        prompts = [self.tokens[prompt] for prompt, _ in where]
        numbers = np.stack([uniforms(self.settings.seed, prompt, number, steps) for prompt, number in where])
        return self.describe(prompts, draw(self.policy, prompts, numbers, self.settings.law))

    def describe(self, prompts: list[list[int]], drawn: list[Drawn]) -> list[dict[str, object]]:
        """Turn drawn responses into rows, compared with the base where there is one.

        Parameters
        ----------
        prompts : list of list of int
            Tokens of the prompt of each response.
        drawn : list of Drawn
            The responses.

        Raises
        ------
        InputError
            If the base gives a probability that is not a number.
        """
        tokens = [one.tokens for one in drawn]
        kept = [one.tokens if one.truncated else one.tokens[:-1] for one in drawn]
        texts = self.policy.tokenizer.batch_decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        rows = [
            {
                "response": text,
                "n_tokens": len(one.tokens),
                "truncated": one.truncated,
                "log_prob": _sum(one.log_prob),
                "token_log_prob": one.log_prob,
                "token_id": one.tokens,
            }
            for one, text in zip(drawn, texts, strict=True)
        ]
        if self.base is not None:
            again, theirs, kl = token_kl(self.policy, self.base, prompts, tokens, self.settings.law)
            for row, base, each in zip(rows, theirs, kl, strict=True):
                if np.isnan(base).any() or np.isnan(each).any():
                    raise InputError(f"base={self.base.name} gave a probability of NaN; try dtype='float32'.")
                row |= {"base_log_prob": _sum(base), "base_token_log_prob": base, "token_kl": each}
            self.check([one.log_prob for one in drawn], again)
        elif not self.checked:
            some = slice(None, None, -(-len(drawn) // _CHECKED))
            again = token_log_prob(self.policy, prompts[some], tokens[some], self.settings.law)
            self.check([one.log_prob for one in drawn[some]], again)
        return rows

    def check(self, drawn: list[FloatArray], again: list[FloatArray]) -> None:
        """Compare log-probabilities from drawing (cached keys, left padding) with those of one pass over the text.

        Parameters
        ----------
        drawn : list of array (tokens,)
            Log-probabilities in nats, as they came while drawing.
        again : list of array (tokens,)
            The same from one pass over the text.

        Raises
        ------
        InputError
            If the two are further apart than rounding in the number format.
        """
        ours, theirs = np.concatenate(drawn), np.concatenate(again)
        both = np.isfinite(theirs)  # at the edge of top-k or top-p a token may fall out
        apart = np.abs(ours - theirs)[both]
        limit = _AGREEMENT[str(self.identity["dtype"])]
        if np.isnan(theirs).any() or not both.any() or apart.mean() > limit:
            raise InputError(
                f"The log-probabilities of model={self.policy.name} from drawing and from one pass over the text "
                f"differ by {apart.mean() if both.any() else np.nan:.2g} nats per token on average, where rounding "
                f"explains {limit:g}; this kind of model cannot be sampled in batches: try batch_size=1, or "
                "dtype='float32'."
            )
        if not self.checked:
            self.say(
                "Log-probabilities from drawing and from one pass over the text agree: at most "
                f"{apart.max():.1e} nats apart in the first {apart.size} tokens."
            )
            self.checked = True

    def blocks(self, parts: Parts) -> Iterator[pa.Table]:
        """Yield the rows in the order of the prompts, with what names them in front.

        Parameters
        ----------
        parts : Parts
            All shards, finished.
        """
        n = self.settings.n
        rank = np.empty_like(self.order)
        rank[self.order] = np.arange(self.order.size)
        rows = (rank[:, None] * n + np.arange(n)).reshape(-1)
        texts = pa.array(list(self.prompts.prompts))
        start = 0
        for block in parts.gather(rows, _BLOCK):
            here = np.arange(start, start + block.num_rows)
            start += block.num_rows
            owner = pa.array(here // n)
            front = {
                "prompt_id": self.prompts.ids.take(owner),
                "sample_id": pa.array(here % n),
                "prompt": texts.take(owner),
            }
            yield pa.table({**front, **{name: block[name] for name in block.column_names}})

    def metadata(self, parts: Parts) -> dict[str, object]:
        """Say in the file what it is.

        Parameters
        ----------
        parts : Parts
            All shards, finished.
        """
        law: Mapping[str, object] = {
            "temperature": self.settings.law.temperature,
            "sampling_law": self.settings.law.describe(),
        }
        names = {"model": parts.plan["model"], "base": parts.plan["base"] or ""}
        sizes = {"seed": self.settings.seed, "n": self.settings.n, "max_new_tokens": self.settings.max_new_tokens}
        return {**names, **law, **sizes, "units": "nats"}


def _sum(each: FloatArray) -> float:
    # Of the values as they are stored, so that a sequence is the sum of its tokens to the last digit.
    return float(each.astype(np.float32).astype(np.float64).sum())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
