"""A model with its tokenizer as the jobs need it: what was decided on loading, what it costs, and which one it is."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alignlib._core.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Loaded", "check_same_vocabulary", "fingerprint"]

_PROBES = 16  # places of each file that a fingerprint looks at
_PROBE = 1 << 18  # bytes


@dataclass(frozen=True)
class Loaded:
    """A model with its tokenizer, and what was decided about them.

    Attributes
    ----------
    name : str
        Folder, or name on the hub.
    model : PreTrainedModel
        The model, ready for evaluation.
    tokenizer : PreTrainedTokenizerBase
        Its tokenizer.
    pad_id : int
        The token that fills a batch.
    eos_ids : frozenset of int
        The tokens that end a response.
    context : int, optional
        Most tokens that it reads; None where it does not say.
    n_outputs : int
        Numbers that it gives for each token, or for each text.
    notes : tuple of str
        Sentences for the user.
    role : str
        The argument that messages name.
    base : str, optional
        Folder, or name on the hub, of the model that an adapter is put on; None of a whole model.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    pad_id: int
    eos_ids: frozenset[int]
    context: int | None
    n_outputs: int
    notes: tuple[str, ...] = ()
    role: str = "model"
    base: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        device: torch.device = self.model.device
        return device

    @property
    def bytes_per_token(self) -> int:
        """Estimate of the memory that one token of one sequence takes: keys and values, and one layer at work."""
        config = self.model.config.get_text_config()
        hidden = int(getattr(config, "hidden_size", 1024))
        layers = int(getattr(config, "num_hidden_layers", 24))
        heads = int(getattr(config, "num_attention_heads", 1) or 1)
        kv_heads = int(getattr(config, "num_key_value_heads", heads) or heads)
        head = int(getattr(config, "head_dim", 0) or hidden // heads)
        return int(self.model.dtype.itemsize) * (2 * layers * kv_heads * head + 16 * hidden)


def check_same_vocabulary(policy: Loaded, base: Loaded) -> None:
    """Refuse a base whose tokens are not the policy's: their probabilities could not be compared token by token.

    Parameters
    ----------
    policy, base : Loaded
        The models to compare.

    Raises
    ------
    InputError
        Where tokenizers or numbers of outputs differ.
    """
    if policy.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        ours, theirs = policy.tokenizer.get_vocab(), base.tokenizer.get_vocab()
        odd = next(iter(sorted(set(ours.items()) ^ set(theirs.items()))))
        raise InputError(
            f"base={base.name} has another tokenizer than model={policy.name} ({len(theirs)} and {len(ours)} "
            f"tokens, {odd[0]!r} among the differences); give the model that the policy was trained from."
        )
    if policy.n_outputs != base.n_outputs:
        raise InputError(
            f"base={base.name} has {base.n_outputs} outputs and model={policy.name} {policy.n_outputs}, so their "
            "next-token laws cannot be compared; give both the same size of vocabulary (resize_token_embeddings)."
        )


def fingerprint(loaded: Loaded) -> str:
    """Hash of a model's folder: all of its small files, and probes all through its weights.

    A model from the hub is known by its commit. A folder is known by its content, so that it may be moved, and
    retrained weights under the same name are noticed.

    Parameters
    ----------
    loaded : Loaded
        The model.
    """
    commit = getattr(loaded.model.config, "_commit_hash", None)
    parts = [loaded.name] if loaded.base is None else [loaded.name, loaded.base]
    found = [_content(Path(part)) if Path(part).is_dir() else part for part in parts]
    if commit is not None and not Path(parts[-1]).is_dir():
        found[-1] = str(commit)[:16]
    return " on ".join(found)


def _content(folder: Path) -> str:
    """Hash a folder's small files, and probes all through its weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".json", ".safetensors", ".bin", ".model", ".jinja", ".txt", ".py") or path.is_dir():
            continue
        size = path.stat().st_size
        digest.update(os.fsencode(f"{path.name} {size} "))  # a name need not be UTF-8
        with path.open("rb") as file:
            for probe in range(_PROBES):
                file.seek(max(0, (size - _PROBE) * probe // (_PROBES - 1)))
                digest.update(file.read(_PROBE))
                if size <= _PROBE:
                    break
    return digest.hexdigest()[:16]
