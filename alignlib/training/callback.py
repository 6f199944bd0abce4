"""What trl's GRPO and RLOO draw, written down as `alignlib kl` and `alignlib overlay` read it.

`rollout_callback` is for trl, whose extra it needs; `Rollouts` is for any other trainer.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Mapping, Sequence
from functools import wraps
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import quoted
from alignlib._core.safe_text import for_terminal
from alignlib.training.rollouts import Rollouts

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["rollout_callback"]

# What is used of a trainer. trl offers its reward functions and their weights; the responses themselves it hands out in
# one method only that is its own affair, which the releases from 0.19 to 1.16 have: another one is refused, or noticed.
_NEEDED = ("_generate_and_score_completions", "reward_funcs", "reward_weights", "reward_func_names", "accelerator")
_HANDED = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")


def rollout_callback(
    trainer: Any, folder: str | Path, *, every: int = 1, base: Any = None, tokens: bool = False, texts: bool = True
) -> Any:
    """Return a callback that writes down the responses which trl's GRPO or RLOO trainer draws.

    ``trainer.add_callback(rollout_callback(trainer, "run"))`` before ``trainer.train()``; then ``alignlib overlay run
    base.parquet --reward score`` and ``alignlib kl run``. Each recorded batch costs a forward pass of policy and base.
    Log-probabilities of the policy are those at the temperature at which it samples, those of the base at 1, and step 0
    is the base itself.

    Parameters
    ----------
    trainer : GRPOTrainer or RLOOTrainer
        Of trl, before it trains.
    folder : str or Path
        Where ``rollouts.jsonl`` is written; it goes on where it is.
    every : int
        Steps between recorded batches.
    base : model, optional
        The base model; by default the trainer's reference model, or the policy without its adapter. With beta = 0 there
        is neither, and it must be given.
    tokens : bool
        Also write the log-probabilities of every token.
    texts : bool
        Also write prompts and responses.

    Raises
    ------
    InputError
        For another trainer, a release of trl without what is used of it, or where there is no base.

    Examples
    --------
    .. code-block:: python

        from alignlib.training import rollout_callback

        trainer.add_callback(rollout_callback(trainer, "run"))
        trainer.train()
    """
    from transformers import TrainerCallback

    recorder = _Recorder(trainer, Path(folder), every, base, tokens, texts)

    class RolloutCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no types here
        """Keeps the file of rollouts open as long as training lasts."""

        def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            recorder.close()

    recorder.attach()
    return RolloutCallback()


class _Recorder:
    """Listens to a trainer's own drawing and scoring of responses."""

    def __init__(self, trainer: Any, folder: Path, every: int, base: Any, tokens: bool, texts: bool) -> None:
        require(
            isinstance(every, int) and every >= 1, f"every must be a whole number >= 1; got {quoted(every)}.", "every"
        )
        missing = [name for name in _NEEDED if not hasattr(trainer, name)]
        require(
            not missing,
            "trainer must be trl's GRPOTrainer or RLOOTrainer, of a trl from 0.19 to 1.16 or alike; "
            f"{type(trainer).__name__} (trl {_version()}) has no {', '.join(missing)}. Write its responses with "
            "Rollouts.",
            "trainer",
        )
        adapter = hasattr(trainer.accelerator.unwrap_model(trainer.model), "disable_adapter")
        self.base = base if base is not None else getattr(trainer, "ref_model", None)
        require(
            self.base is not None or adapter,
            "base must be given: with beta = 0 the trainer has no reference model.",
            "base",
        )
        self.trainer, self.folder, self.every, self.tokens, self.texts = trainer, folder, every, tokens, texts
        self.rollouts: Rollouts | None = None
        self.rewards: dict[int, FloatArray] = {}  # what each reward function gave to the last batch
        self.broken = False

    def attach(self) -> None:
        """Put this between the trainer, its reward functions and its drawing of responses."""
        self.trainer.reward_funcs = [self._heard(i, one) for i, one in enumerate(self.trainer.reward_funcs)]
        draw = self.trainer._generate_and_score_completions

        def generate(inputs: Any) -> Any:
            step, training = int(self.trainer.state.global_step), bool(self.trainer.model.training)
            self.rewards.clear()
            output = draw(inputs)
            if step % self.every == 0 and not self.broken:
                try:
                    self.record(step, "train" if training else "held out", inputs, output)
                # Neither a full disk nor another trl is a reason to lose the training.
                except (OSError, LookupError, AttributeError, TypeError, RuntimeError) as error:
                    self.broken = True
                    said = f"alignlib: rollouts are no longer written ({_why(error)}); training goes on."
                    print(for_terminal(said), file=sys.stderr)
            return output

        self.trainer._generate_and_score_completions = generate

    def _heard(self, place: int, function: Any) -> Any:
        """Return a reward function, or a model of rewards, to which this listens."""
        if hasattr(function, "register_forward_hook"):

            def heard(_model: Any, _inputs: Any, output: Any) -> None:
                self._hear(place, output.logits[:, 0])  # what a hook returns would take the output's place

            function.register_forward_hook(heard)
            return function
        if any(inspect.iscoroutinefunction(one) for one in (function, getattr(type(function), "__call__", None))):  # noqa: B004

            @wraps(function)
            async def later(*arguments: Any, **named: Any) -> Any:
                return self._hear(place, await function(*arguments, **named))

            return later

        @wraps(function)
        def at_once(*arguments: Any, **named: Any) -> Any:
            return self._hear(place, function(*arguments, **named))

        return at_once

    def _hear(self, place: int, given: Any) -> Any:
        given = given if hasattr(given, "detach") else list(given)
        values = given.detach().cpu().tolist() if hasattr(given, "detach") else given
        self.rewards[place] = np.array([math.nan if value is None else float(value) for value in values])
        return given

    def close(self) -> None:
        """Close the file."""
        if self.rollouts is not None:
            self.rollouts.close()
            self.rollouts = None

    def record(self, step: int, split: str, inputs: Sequence[Mapping[str, Any]], output: Mapping[str, Any]) -> None:
        """Write the responses of one batch."""
        trainer = self.trainer
        lacking = [name for name in _HANDED if name not in output] + [
            name for i, name in enumerate(trainer.reward_func_names) if len(self.rewards.get(i, ())) != len(inputs)
        ]
        if lacking:
            raise LookupError(f"trl {_version()} hands out no {', '.join(lacking)} of each response")
        if self.rollouts is None:
            self.rollouts = Rollouts(self.folder, int(trainer.accelerator.process_index))
        mask = self._mask(output)
        scored = [self._scored(output, mask, rows) for rows in self._chunks(len(inputs))]
        columns: dict[str, Any] = {name: [one for part in scored for one in part[name]] for name in scored[0]}
        each = np.column_stack([self.rewards[i] for i in range(len(trainer.reward_func_names))])
        weights = trainer.reward_weights.detach().cpu().double().numpy()
        reward = np.where(np.isnan(each).all(axis=1), np.nan, np.nansum(each * weights, axis=1))
        named = zip(trainer.reward_func_names, each.T, strict=True) if each.shape[1] > 1 else ()
        columns |= {f"rewards/{name}": values for name, values in named}
        if all("prompt_id" in one for one in inputs):
            columns["prompt_id"] = [str(one["prompt_id"]) for one in inputs]
        if self.texts or "prompt_id" not in columns:
            columns["prompt"] = [_as_text(one.get("prompt")) for one in inputs]
        if self.texts:
            kept = [ids[row.bool()].tolist() for ids, row in zip(output["completion_ids"], mask, strict=True)]
            columns["response"] = trainer.processing_class.batch_decode(kept, skip_special_tokens=True)
        advantages = output.get("advantages")
        if advantages is not None and tuple(advantages.shape) == (len(inputs),):
            columns["advantage"] = advantages.detach().cpu().double().numpy()
        columns |= self._law(len(inputs))
        self.rollouts.write(step, split=split, reward=reward, **columns)

    def _mask(self, output: Mapping[str, Any]) -> Tensor:
        """Return which tokens are the policy's own; of a cut response that is masked whole, all that are no padding."""
        mask = output["completion_mask"]
        pad = getattr(self.trainer.processing_class, "pad_token_id", None)
        empty = mask.sum(1) == 0
        if bool(empty.any()) and pad is not None:
            mask = mask.clone()
            mask[empty] = (output["completion_ids"][empty] != pad).to(mask.dtype)
        return mask * output["tool_mask"] if "tool_mask" in output else mask

    def _chunks(self, size: int) -> list[slice]:
        step = max(1, int(self.trainer.args.per_device_train_batch_size))
        return [slice(start, min(start + step, size)) for start in range(0, size, step)]

    def _law(self, size: int) -> dict[str, Any]:
        """Return what cuts or heats the law that was sampled from, where anything does."""
        args = self.trainer.args
        held = {
            "temperature": (float(getattr(args, "temperature", 1.0)), 1.0),
            "top_p": (float(getattr(args, "top_p", 1.0)), 1.0),
            "top_k": (float(getattr(args, "top_k", 0) or 0), 0.0),
            "min_p": (float(getattr(args, "min_p", None) or 0.0), 0.0),
        }
        return {name: [value] * size for name, (value, plain) in held.items() if value != plain}

    def _scored(self, output: Mapping[str, Any], mask: Tensor, rows: slice) -> dict[str, list[Any]]:
        """Score some responses with policy and base, exactly at each prefix."""
        import torch

        trainer = self.trainer
        policy = trainer.accelerator.unwrap_model(trainer.model)
        ids = torch.cat([output["prompt_ids"][rows], output["completion_ids"][rows]], dim=1)
        attention = torch.cat([output["prompt_mask"][rows], output["completion_mask"][rows].clamp(min=0)], dim=1)
        length = output["completion_ids"].shape[1]
        attention[:, -length:] = torch.maximum(attention[:, -length:], mask[rows].to(attention.dtype))
        own = mask[rows].bool()

        def law(model: Any, temperature: float) -> Tensor:
            was = model.training
            model.eval()
            try:
                logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits
            finally:
                model.train(was)
            return torch.log_softmax(logits[:, -length - 1 : -1].float() / temperature, dim=-1)

        with torch.no_grad():
            ours = law(policy, float(getattr(trainer.args, "temperature", 1.0)))
            if self.base is None:
                with policy.disable_adapter():
                    theirs = law(policy, 1.0)
            else:
                theirs = law(self.base, 1.0)
            drawn = output["completion_ids"][rows].unsqueeze(-1)
            log_prob, base_log_prob = (one.gather(-1, drawn).squeeze(-1).double() for one in (ours, theirs))
            prob = ours.exp()
            token_kl = (prob * (ours - theirs)).sum(-1).double().clamp(min=0.0)
            entropy = -(prob * ours).sum(-1).double()

        def total(values: Tensor) -> list[float]:
            return [float(one) for one in (values * own).sum(1).cpu()]

        found: dict[str, list[Any]] = {
            "n_tokens": [int(one) for one in own.sum(1).cpu()],
            "log_prob": total(log_prob),
            "base_log_prob": total(base_log_prob),
            "exact_kl": total(token_kl),
            "entropy": total(entropy),
            "truncated": self._cut(output["completion_ids"][rows], own),
        }
        if self.tokens:
            for name, values in (
                ("token_log_prob", log_prob),
                ("base_token_log_prob", base_log_prob),
                ("token_kl", token_kl),
            ):
                found[name] = [row[kept].cpu().tolist() for row, kept in zip(values, own, strict=True)]
        return found

    def _cut(self, ids: Tensor, own: Tensor) -> list[int]:
        end = getattr(self.trainer.processing_class, "eos_token_id", None)
        return [
            0 if end is None else int(not bool(((row == end) & kept).any())) for row, kept in zip(ids, own, strict=True)
        ]


def _version() -> str:
    try:
        return metadata.version("trl")
    except metadata.PackageNotFoundError:
        return "not installed"


def _why(error: Exception) -> str:
    return (
        str(error) if isinstance(error, OSError) or type(error) is LookupError else f"{type(error).__name__}: {error}"
    )


def _as_text(prompt: Any) -> str:
    """Return a prompt as text: of a conversation, its messages as JSON."""
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False, default=str)
