"""Loading Hugging Face models from a folder or the hub, checked: nothing runs on weights that are not there."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignlib._core.errors import InputError, quoted
from alignlib.models.adapters import BASE, base_of, naming_the_base, put_on
from alignlib.models.folder_checks import FLOATS_ONLY, check_folder
from alignlib.models.loaded import Loaded
from alignlib.models.tokenising import check_tokenizer
from alignlib.models.weight_names import check_places, check_saved_once, check_stored, stored_in
from alignlib.tables import short

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.models.auto.auto_factory import _BaseAutoModelClass as AutoClass

__all__ = [
    "check_dtype",
    "choose_device",
    "choose_dtype",
    "load_language_model",
    "load_reward_model",
    "require_torch",
]

_LAYER = re.compile(r".*?\.\d+(?=\.)")  # the name of a weight, up to the number of its layer
_VOCABULARIES = (".model", ".tiktoken", ".spm", ".bpe", ".gguf")  # of other libraries
_NOT_TOLD = "rotary_emb.inv_freq"  # within names: the library leaves such weights out, and does not list them
_LEAST_BITS = 8  # numbers that a byte holds at most
_SMALL = 10_000_000  # numbers, made in no time
_DTYPES = ("float32", "bfloat16", "float16")


def require_torch() -> None:
    """Say what to install where PyTorch or Transformers is missing.

    Raises
    ------
    InputError
        If one is missing; it says how to install it.
    """
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"This needs {' and '.join(missing)}, not installed here; in a copy of the repository run `make lm-setup`, "
            "or `pip install -r requirements-lm.txt` into this environment."
        )


def choose_device(name: str | None) -> torch.device:
    """Return the device of that name; without one, a GPU if there is one.

    Parameters
    ----------
    name : str, optional
        Such as ``cpu`` or ``cuda:1``.

    Raises
    ------
    InputError
        If there is no such device, or it computes nothing.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device={name} cannot be used ({short(error)}); give cpu, or cuda on a GPU.") from error
    if device.type == "meta":
        raise InputError("device=meta computes nothing; give cpu, or cuda on a GPU.")
    return device


def check_dtype(name: str | None) -> None:
    """Refuse a name that is no number format of ours, before PyTorch is there.

    Parameters
    ----------
    name : str, optional
        Such as ``float32``.

    Raises
    ------
    InputError
        If the name is not known.
    """
    if name is not None and name not in _DTYPES:
        raise InputError(f"dtype={name} is not known; give one of {', '.join(_DTYPES)}.")


def choose_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """Return the number format of that name; without one, bfloat16 on a GPU and float32 elsewhere.

    Parameters
    ----------
    name : str, optional
        Such as ``float32``.
    device : torch.device
        Where it is used.

    Raises
    ------
    InputError
        If the name is not known.
    """
    import torch

    if name is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    check_dtype(name)
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def load_language_model(
    name: str, *, device: torch.device, dtype: torch.dtype, role: str = "model", remote_code: bool = False
) -> Loaded:
    """Load a causal language model with its tokenizer.

    The model's own generation settings (temperature, repetition penalty, …) are put aside, so that what is drawn from
    is the model's law; of them only the tokens that end a response are kept.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    device : torch.device
        Where it computes.
    dtype : torch.dtype
        In which number format.
    role : str
        The argument that messages name.
    remote_code : bool
        Whether code that comes with the model may run.

    Raises
    ------
    InputError
        Where there is no such model, or it lacks weights, a tokenizer, or any token to pad with.
    """
    from transformers import AutoModelForCausalLM, GenerationConfig

    model, tokenizer, base = _load(AutoModelForCausalLM, name, device, dtype, role, remote_code)
    ends = _ends(model.generation_config.eos_token_id, name, role)
    eos_ids = frozenset(ends | ({tokenizer.eos_token_id} - {None}))
    pad_id, notes = _pad(name, tokenizer, role)
    notes += _at_random(tokenizer, name)
    model.generation_config = GenerationConfig(
        do_sample=False, pad_token_id=pad_id, eos_token_id=sorted(eos_ids) or None
    )
    if not eos_ids:
        notes.append(f"{role}={name} has no token that ends a response; every response runs to its largest length.")
    head = model.get_output_embeddings()
    n_outputs = int(model.config.get_text_config().vocab_size if head is None else head.weight.shape[0])
    return Loaded(name, model, tokenizer, pad_id, eos_ids, _context(model), n_outputs, tuple(notes), role, base)


def load_reward_model(
    name: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    role: str = "reward_model",
    remote_code: bool = False,
) -> Loaded:
    """Load a sequence-classification model with its tokenizer.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    device : torch.device
        Where it computes.
    dtype : torch.dtype
        In which number format.
    role : str
        The argument that messages name.
    remote_code : bool
        Whether code that comes with the model may run.

    Raises
    ------
    InputError
        Where there is no such model, or it lacks weights, a tokenizer, or any token to pad with.
    """
    from transformers import AutoModelForSequenceClassification

    model, tokenizer, base = _load(AutoModelForSequenceClassification, name, device, dtype, role, remote_code)
    pad_id, notes = _pad(name, tokenizer, role)
    notes += _at_random(tokenizer, name)
    return Loaded(
        name,
        model,
        tokenizer,
        pad_id,
        frozenset(),
        _context(model),
        int(model.config.num_labels),
        tuple(notes),
        role,
        base,
    )


def _load(
    kind: type[AutoClass], name: str, device: torch.device, dtype: torch.dtype, role: str, remote_code: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str | None]:
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # what matters is said here, in a sentence
    logging.disable_progress_bar()
    with suppress(ImportError):
        import_module("alignlib.lm.base_model")  # registers the class of the book's own models
    check_folder(name, role, remote_code)
    base = base_of(name, role, remote_code)
    load = partial(AutoTokenizer.from_pretrained, name, trust_remote_code=remote_code)
    check_tokenizer(load, f"{role}={name}")
    tokenizer = _tokenizer(load, name, role, kind)
    if base is None:
        model, missing = _weights(kind, name, dtype, role, remote_code)
    else:
        with naming_the_base(name, role):
            model, missing = _weights(kind, base, dtype, BASE, remote_code)
        missing = put_on(model, name, role, dtype, missing)
        _check_finite(model, f"{role}={name}", missing)
    if missing:
        raise InputError(
            f"{role}={name} has no weights for {missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''}, "
            f"which {type(model).__name__} needs; they would be random: give a model of that kind."
        )
    if not isinstance(tokenizer.model_max_length, (int, float)):
        raise InputError(
            f"The tokenizer of {role}={name} has {quoted(tokenizer.model_max_length)} as its model_max_length; correct "
            "tokenizer_config.json."
        )
    model.config.return_dict = True  # what it gives is taken by name
    return model.to(device).eval(), tokenizer, base


def _weights(
    kind: type[AutoClass], name: str, dtype: torch.dtype, role: str, remote_code: bool
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """Load a whole model, and name the weights that its files do not hold."""
    stored, source = check_saved_once(name, role), f"{role}={name}"
    plan = _check_size(kind, name, role, remote_code)
    kinds = stored or stored_in(Path(name))
    check_stored(kinds, plan, source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are then refused
            model, info = kind.from_pretrained(
                name, dtype=dtype, trust_remote_code=remote_code, output_loading_info=True
            )
    except Exception as error:  # the libraries below raise errors of every kind, some their own
        raise _cannot_load(name, role, kind, error) from error
    held, unused = model.state_dict(), sorted(info["unexpected_keys"])
    left_out = _layers_left_out(held, unused)
    if left_out:
        raise InputError(
            f"{role}={name} holds weights of {left_out[0]}, a layer that its config leaves out; the model would be "
            "another one: correct the number of layers in config.json."
        )
    if getattr(model, "hf_quantizer", None) is not None:  # as code that comes with a model may ask for
        raise InputError(f"{source} is packed by a method, and {FLOATS_ONLY}.")
    kinds = kinds or stored_in(_fetched(model, name))
    silent = (key for key in kinds if _NOT_TOLD in key)
    check_places(kinds, model, {*unused, *silent}, source, info["missing_keys"])
    check_stored(kinds, plan, source, unused)
    missing = tuple(sorted([*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])]))
    _check_finite(model, source, missing)
    return model, missing


def _check_finite(model: PreTrainedModel, source: str, missing: Collection[str]) -> None:
    """Refuse weights that are no finite numbers as they were read: the format asked for may be too small for them."""
    for key, one in model.state_dict().items():
        if key in missing or not one.numel() or not one.is_floating_point():
            continue
        ends = [float(end) for end in one.aminmax()]  # takes a tenth of the time that reading did
        wrong = next((end for end in ends if not math.isfinite(end)), None)
        if wrong is not None:
            kind = str(one.dtype).removeprefix("torch.")
            wider = ", or give dtype='float32', which holds larger ones" if kind == "float16" else ""
            raise InputError(
                f"{source} has {wrong} among the weights {quoted(key)}, as read in {kind}; a model is made of finite "
                f"numbers: save it again where it was trained{wider}."
            )


def _fetched(model: PreTrainedModel, name: str) -> Path:
    """Return the folder to which a model of the hub was fetched."""
    from transformers.utils import cached_file

    commit = getattr(model.config, "_commit_hash", None)
    with suppress(Exception):  # of a folder, or of weights in another place than the config: nothing is looked at
        return Path(str(cached_file(name, "config.json", revision=commit, local_files_only=True))).parent
    return Path(name)


def _check_size(kind: type[AutoClass], name: str, role: str, remote_code: bool) -> PreTrainedModel | None:
    """Refuse a config of a far larger model than its folder holds weights of: what lacks is made first, then named.

    Such is a ``model_type`` that none of the other keys fits, so that all of them take that model's defaults. Returned
    is the model without its numbers, where it can be made so.
    """
    import torch
    from transformers import AutoConfig

    files = [path for end in ("safetensors", "bin") for path in Path(name).glob(f"*.{end}")]
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=remote_code)
        with torch.device("meta"):  # shapes alone
            model = kind.from_config(config, trust_remote_code=remote_code)
    except Exception:  # said where it is loaded
        return None
    promised, held = sum(one.numel() for one in model.parameters()), sum(path.stat().st_size for path in files)
    if files and promised > _LEAST_BITS * held + _SMALL:
        raise InputError(
            f"The config of {role}={name} promises a {type(model).__name__} of {promised:.3g} numbers, and the folder "
            f"holds {held:,} bytes of weights; correct model_type and sizes in config.json."
        )
    return model


def _tokenizer(
    load: Callable[[], PreTrainedTokenizerBase], name: str, role: str, kind: type[AutoClass]
) -> PreTrainedTokenizerBase:
    """Load the tokenizer; where its files are not there, the library makes one up, to which every text is alike."""
    none = InputError(
        f"{role}={name} holds no tokenizer, as where only the weights were saved; save the tokenizer into that folder "
        "too (tokenizer.save_pretrained)."
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tokenizer = load()
    except Exception as error:  # the libraries below raise errors of every kind, some their own
        raise (none if _lacks_vocabulary(Path(name)) else _cannot_load(name, role, kind, error)) from error
    files = set(tokenizer.vocab_files_names.values())  # of characters or bytes alone there are none
    if files and _lacks_vocabulary(Path(name), files):
        raise none
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise InputError(f"{role}={name} has an empty tokenizer; save the tokenizer into the folder too.")
    return tokenizer


def _lacks_vocabulary(folder: Path, files: Collection[str] = ()) -> bool:
    """Whether a folder holds nothing that a tokenizer's vocabulary is kept in; a name on the hub is none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _lacks_vocabulary(Path(folder)), _lacks_vocabulary(Path(folder, "owner/name"))
    (True, False)
    """
    known = {"tokenizer.json", "tekken.json", "vocab.json", "vocab.txt", *files}
    held = folder.iterdir() if folder.is_dir() else ()
    found = (path.name in known or path.suffix in _VOCABULARIES or path.match("tokenizer.*.json") for path in held)
    return folder.is_dir() and not any(found)


def _at_random(tokenizer: PreTrainedTokenizerBase, name: str) -> list[str]:
    """Turn off what makes the tokens of a text a matter of chance, as some tokenizers have it for training."""
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    found = [what for what in ("dropout", "alpha") if getattr(model, what, None)]
    for what in found:
        setattr(model, what, None)
    return [
        f"The tokenizer of {name} draws the tokens of a text at random ({what}); here it does not." for what in found
    ]


def _layers_left_out(held: Iterable[str], unused: Iterable[str]) -> list[str]:
    """Name the layers that a model has weights of and does not use, though it has others of their kind or none at all.

    >>> _layers_left_out(["h.0.weight", "head.bias"], ["h.1.weight", "h.0.attention.bias", "pooler.weight"])
    ['h.1']
    >>> _layers_left_out(["wte.weight"], ["h.0.weight", "h.1.weight"])
    ['h.0', 'h.1']
    """
    layers = {found[0] for key in held if (found := _LAYER.match(key))}
    kinds = {layer.rpartition(".")[0] for layer in layers}
    others = {found[0] for key in unused if (found := _LAYER.match(key))} - layers
    return sorted(layer for layer in others if not kinds or layer.rpartition(".")[0] in kinds)


def _cannot_load(name: str, role: str, kind: type[AutoClass], error: Exception) -> InputError:
    task = "sequence-classification" if "SequenceClassification" in kind.__name__ else "causal language"
    if isinstance(error, OSError) and not Path(name).is_dir():
        return InputError(
            f"{role}={name} is no folder here, and could not be fetched from the hub ({short(error)}); check the "
            "name, or fetch it where there is a network and give its folder."
        )
    if "trust_remote_code" in str(error):
        return InputError(
            f"{role}={name} needs code that comes with it, which is not run; pass remote_code=True if you trust it."
        )
    if "ignore_mismatched_sizes" in str(error):  # the report that it speaks of is a log, which is silent here
        return InputError(
            f"{role}={name} holds weights of other sizes than its config.json promises; correct that, or give another "
            "model."
        )
    reason = short(error)
    if isinstance(error, KeyError) or not str(error).strip():  # a bare word
        reason = f"{type(error).__name__}: {reason}".rstrip(": ")
    return InputError(f"{role}={name} cannot be loaded as a {task} model ({reason}); give another model.")


def _ends(given: Any, name: str, role: str) -> set[int]:
    """Return the tokens that end a response, of which a config names none, one or a list.

    >>> _ends(None, "m", "model"), _ends(3, "m", "model"), _ends([3, 4], "m", "model")
    (set(), {3}, {3, 4})
    """
    listed = [] if given is None else given if isinstance(given, list) else [given]
    if not all(type(one) is int for one in listed):
        raise InputError(
            f"The eos_token_id of {role}={name} must be a token's number or a list of them; got {quoted(given)}. "
            "Correct generation_config.json."
        )
    return set(listed)


def _pad(name: str, tokenizer: PreTrainedTokenizerBase, role: str) -> tuple[int, list[str]]:
    """Choose the token that fills the batches; the attention mask hides it."""
    if tokenizer.pad_token_id is not None:
        return int(tokenizer.pad_token_id), []
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"The tokenizer of {role}={name} has neither a pad token nor an end-of-sequence token; set one and save "
            "it (tokenizer.pad_token = …; tokenizer.save_pretrained(…))."
        )
    said = f"The tokenizer of {name} has no pad token; {tokenizer.eos_token!r} fills the batches (masked)."
    tokenizer.pad_token = tokenizer.eos_token
    return int(tokenizer.eos_token_id), [said]


def _context(model: PreTrainedModel) -> int | None:
    value = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(value) if isinstance(value, int) and value > 0 else None
