"""Adapters, such as LoRA's: the base that one names, and what of it a model takes.

The library that loads both looks at no weights of the base, passes over weights of the adapter for which its config
has no place, and imports what that config names.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from alignlib._core.errors import InputError, quoted
from alignlib.models.bounded import lines_within_bounds
from alignlib.models.folder_checks import check_finite, check_folder, types_in
from alignlib.models.weight_names import check_adapter
from alignlib.tables import short

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["BASE", "base_of", "naming_the_base", "put_on"]

BASE = "base_model_name_or_path"
_OF_ADALORA = "ranknum"  # of numbers that the library looks for, and has not saved
_CONFIG, _WEIGHTS, _PICKLED = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
_PREFIX = "base_model.model."  # of the names of all weights
_PLACES = re.compile(r"\.modules_to_save(\.default)?(?=\.)|(?<=\.lora_[AB])\.default(?=\.)")
_LEADS_ELSEWHERE = ("megatron_config", "adapters", "shadow_model")  # to a module, to other adapters, to another model
_ON_WORDS = "alora_invocation_tokens"
_START, _AT_RANDOM = "init_lora_weights", "_niter_"  # as pissa_niter_4, a decomposition by random vectors
_FORMS = ("{}", r"(.*\.)?({})$", r"(^|.*\.){}($|\..*)")  # in which a text of a config is matched with names of layers
_LARGEST_RANK = 1 << 16  # above the width of any layer; matrices of that rank are made before the weights are read


def base_of(name: str, role: str, remote_code: bool = False) -> str | None:
    """Return the model that an adapter is put on, checked as any other, or None of a whole model.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    role : str
        The argument that messages name.
    remote_code : bool
        Whether code that the adapter names may run.

    Raises
    ------
    InputError
        If the adapter names no base, or code, or is larger than any; if it lies beside a whole model, or on an adapter;
        if the base is not to be loaded.
    """
    path = _config_path(name)
    if path is None:
        return None
    here = f"{_CONFIG} of {role}={name}"
    if (Path(name) / "config.json").exists():
        raise InputError(
            f"{role}={name} holds both a model (config.json) and an adapter ({_CONFIG}), and they may have been merged "
            f"or not; take {_CONFIG} away to have the model alone, or config.json to have the adapter on its base."
        )
    config = json.loads(path.read_text(encoding="utf-8"))
    check_finite(config, here)
    alphas = config.get("alpha_pattern")
    for key, one in {"lora_alpha": config.get("lora_alpha"), **(alphas if isinstance(alphas, dict) else {})}.items():
        if isinstance(one, bool):  # which would be taken for 1 or 0
            raise InputError(f"{here} has {quoted(one)} as {quoted(key)}, which is no number; correct it.")
    base = config.get(BASE)
    if not isinstance(base, str) or not base.strip():
        said = "has no" if BASE not in config else f"has {quoted(base)} as its"
        raise InputError(f"{here} {said} {BASE}; write there the folder, or the name on the hub, of its base model.")
    for key in () if remote_code else _LEADS_ELSEWHERE:
        if config.get(key):
            raise InputError(
                f"{here} names code or models elsewhere ({key}: {quoted(config[key])}), which are not run; take that "
                "line out, or pass remote_code=True."
            )
    if config.get(_ON_WORDS):  # which the reader of both never hears of, so that the base alone would answer
        raise InputError(
            f"{here} is of an adapter that acts after certain tokens only ({_ON_WORDS}), which cannot be applied here."
        )
    start = config.get(_START)
    if isinstance(start, str) and _AT_RANDOM in start:
        raise InputError(
            f"{here} has {quoted(start)} as {_START}, by which each load takes other, random numbers from the weights "
            "of the base; merge the adapter where it was trained (merge_and_unload), save that, and give it."
        )
    for key, rank in _ranks(config):
        if isinstance(rank, int) and not 0 < rank <= _LARGEST_RANK:
            raise InputError(
                f"{here} has {quoted(rank)} as {quoted(key)}; a rank lies between 1 and {_LARGEST_RANK:,}: correct it."
            )
    with naming_the_base(name, role):
        check_folder(base, BASE, remote_code)
    if _config_path(base) is not None:
        raise InputError(
            f"{here} names {quoted(base)} as its base ({BASE}), which holds an adapter itself; merge that into its "
            "model (merge_and_unload), save it, and name that folder."
        )
    return base


def _config_path(name: str) -> Path | None:
    """Return where the adapter's config is; without peft that of a folder is refused before, and the hub's not read."""
    if find_spec("peft") is None:
        return None
    if Path(name).is_dir():
        path = Path(name) / _CONFIG
        return path if path.exists() else None
    from transformers.utils.peft_utils import find_adapter_config_file

    try:
        found = find_adapter_config_file(name)
    except Exception:  # of a name that the hub does not allow; said where it is loaded
        return None
    return None if found is None else Path(found)


def _ranks(config: dict[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the ranks that an adapter's config promises, of all its matrices and of some.

    >>> list(_ranks({"r": 8, "rank_pattern": {"c_attn": 16}}))
    [('r', 8), ('c_attn', 16)]
    >>> list(_ranks({"r": 0, "oft_block_size": 32}))  # one of the two is 0, and follows from the other
    [('oft_block_size', 32)]
    """
    blocks = "oft_block_size"
    keys = [key for key in ("r", blocks) if config.get(key)] if config.get(blocks) is not None else ["r"]
    yield from ((key, config[key]) for key in (*(keys or ["r"]), "init_r", "target_r") if key in config)
    pattern = config.get("rank_pattern")
    if isinstance(pattern, dict):
        yield from pattern.items()


@contextmanager
def naming_the_base(name: str, role: str) -> Iterator[None]:
    """Say of whose base it is that the messages within speak.

    Parameters
    ----------
    name : str
        The adapter.
    role : str
        The argument that gave it.

    Raises
    ------
    InputError
        Where one is raised within.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"The base that {_CONFIG} of {role}={name} names cannot be used: {error}") from error


def put_on(
    model: PreTrainedModel, name: str, role: str, dtype: torch.dtype, lacking: Collection[str]
) -> tuple[str, ...]:
    """Put an adapter on its base, and return what of the base's missing weights it does not bring.

    Parameters
    ----------
    model : PreTrainedModel
        The base.
    name : str
        The adapter.
    role : str
        The argument that gave it.
    dtype : torch.dtype
        In which number format.
    lacking : collection of str
        Names of weights that the base's files do not hold, as the head of a reward model.

    Raises
    ------
    InputError
        If it cannot be put on, lacks weights, or holds some for which there is no place.
    """
    _check_expressions([key for key, _ in model.named_modules()], name, role)
    if Path(name).is_dir() and not (Path(name) / _WEIGHTS).exists() and not (Path(name) / _PICKLED).exists():
        raise InputError(f"{role}={name} holds no weights ({_WEIGHTS}); copy the adapter whole, or save it again.")
    if (Path(name) / _PICKLED).exists() and not (Path(name) / _WEIGHTS).exists():
        raise InputError(
            f"{role}={name} has its weights in {_PICKLED}, which may hold code and is not read; save it again where it "
            f"was trained, as {_WEIGHTS} (save_pretrained)."
        )
    config = _config_path(name)
    weights = (Path(name) if config is None else config.parent) / _WEIGHTS  # of the hub: where both are fetched to
    check_adapter(types_in(weights), f"{role}={name}")
    own, tables = set(model.state_dict()), _embeddings(model)
    try:
        info = model.load_adapter(name, dtype=dtype)
    except Exception as error:  # the libraries below raise errors of every kind
        if "ignore_mismatched_sizes" in str(error):
            raise InputError(
                f"The weights of {role}={name} have other sizes than {_CONFIG} promises (r, rank_pattern) or than the "
                f"base has; correct {_CONFIG}, or name the base that it was trained on ({BASE})."
            ) from error
        reason = f"{type(error).__name__}: {short(error)}".rstrip(": ")
        raise InputError(
            f"The adapter {role}={name} cannot be put on its base ({reason}); correct {_CONFIG}, or merge the adapter "
            "where it was trained (merge_and_unload) and give that."
        ) from error
    kinds = types_in(weights)
    check_adapter(kinds, f"{role}={name}")  # again, once those of the hub are here
    missing = sorted([*info.missing_keys, *(str(key) for key in info.mismatched_keys)])
    if any(_OF_ADALORA in one for one in missing):
        raise InputError(
            f"{role}={name} is an AdaLoRA, which is not read as it is saved; merge the adapter where it was trained "
            "(merge_and_unload) and give that."
        )
    renamed = next((one for one in map(_in_model, kinds) if any(key.startswith(f"{one}.") for key in missing)), None)
    if renamed is not None:  # as of DoRA: nothing in the config is to be corrected
        raise InputError(
            f"{role}={name} holds {quoted(renamed)}, which is not looked for under the name that it is saved by; "
            "merge the adapter where it was trained (merge_and_unload) and give that."
        )
    if missing:
        raise InputError(
            f"{role}={name} has no weights for {missing[0]}{_and_more(missing)}, which {_CONFIG} promises; they would "
            f"be random: correct {_CONFIG}, or merge the adapter where it was trained (merge_and_unload) and give that."
        )
    unused = sorted(info.unexpected_keys)
    if unused:
        raise InputError(
            f"{role}={name} holds weights for {unused[0]}{_and_more(unused)}, for which {type(model).__name__} with "
            f"this {_CONFIG} has no place; it would be another model: correct target_modules, layers_to_transform and "
            f"modules_to_save there, name the base that it was trained on ({BASE}), or give an adapter of that kind."
        )
    brought = {key.replace(".modules_to_save.default", "") for key in model.state_dict() if "modules_to_save" in key}
    lacking, held = tuple(key for key in lacking if key not in brought), _held(name, role)
    for key in lacking:
        if key in held:
            module = key.split(".")[-2]
            raise InputError(
                f"{role}={name} holds {key}, which its base lacks, but {_CONFIG} does not name it; add "
                f"{module!r} to modules_to_save there."
            )
    _check_own(own & {_whole(key) for key in held}, tables, name, role)
    return lacking


def _embeddings(model: PreTrainedModel) -> dict[str, int]:
    """Return the weights of a model's embeddings by name, and which object each is: tied ones are one."""
    get_ends = [getattr(model, name, None) for name in ("get_input_embeddings", "get_output_embeddings")]
    ends = {id(get()) for get in get_ends if get is not None}
    return {f"{key}.weight": id(part.weight) for key, part in model.named_modules() if id(part) in ends}


def _check_own(brought: Collection[str], embeddings: dict[str, int], name: str, role: str) -> None:
    """Refuse weights of the base in an adapter's file, but those that its config names and whole embeddings.

    Of tied embeddings, which are one weight under two names, both are to be there and the same.
    """
    path = _config_path(name)
    if path is None or not brought:
        return
    config = json.loads(path.read_text(encoding="utf-8"))
    saved, biases = config.get("modules_to_save") or (), config.get("bias", "none") != "none"
    named = {
        key
        for key in brought
        if any(layer.endswith(tuple(saved)) for layer in _layers_of(key)) or (biases and key.endswith("bias"))
    }
    whole, others = sorted({*brought} - named), sorted({*brought} - named - {*embeddings})
    if others:
        raise InputError(
            f"{role}={name} holds {others[0]}{_and_more(others)}, a weight of its base that {_CONFIG} does not name; "
            f"name its layer in modules_to_save there, or take it out of {_WEIGHTS}."
        )
    tied = len(set(embeddings.values())) < len(embeddings)
    if whole and tied and not _the_same(path.parent / _WEIGHTS, embeddings):
        raise InputError(
            f"{role}={name} holds {whole[0]}, and its base has one weight for {' and '.join(sorted(embeddings))}; both "
            "are to be there and the same: save the adapter again where it was trained (save_embedding_layers=True)."
        )


def _layers_of(key: str) -> list[str]:
    """Return the parts of a model that a weight lies in, the innermost last.

    >>> _layers_of("h.0.norm.weight")
    ['h', 'h.0', 'h.0.norm']
    """
    return list(itertools.accumulate(key.split(".")[:-1], lambda outer, inner: f"{outer}.{inner}"))


def _the_same(path: Path, places: Collection[str]) -> bool:
    """Whether the weights of these places are all in a file, and the same."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        found = [file.get_tensor(one) for one in file.keys() if _whole(_in_model(one)) in places]  # noqa: SIM118
    return len(found) == len(places) and all(one.equal(found[0]) for one in found)


def _whole(name: str) -> str:
    """Return what a weight that an adapter lies on is called in the model without it.

    >>> _whole("h.0.c_attn.base_layer.bias")
    'h.0.c_attn.bias'
    """
    return name.replace(".base_layer.", ".")


def _held(name: str, role: str) -> set[str]:
    """Return the weights that an adapter's file holds, by the names that they have in the model.

    Of two with one name, the reader of both takes either.
    """
    path = _config_path(name)
    if path is None or not (path.parent / _WEIGHTS).exists():
        return set()
    from safetensors import safe_open

    with safe_open(path.parent / _WEIGHTS, framework="pt") as file:
        names = sorted(file.keys())
    refused = f"{role}={name} holds {{}} in {_WEIGHTS}; save it again where it was trained (save_pretrained)."
    others = [one for one in names if not one.startswith(_PREFIX)]
    if 0 < len(others) < len(names):
        raise InputError(refused.format(f"{quoted(others[0])} beside names that begin with {_PREFIX}"))
    found: dict[str, str] = {}
    for one in names:
        other = found.setdefault(_in_model(one), one)
        if other != one:
            raise InputError(refused.format(f"two weights for one place, {quoted(other)} and {quoted(one)},"))
    return set(found)


def _in_model(name: str) -> str:
    """Return what a weight of an adapter's file is called in the model.

    >>> _in_model("base_model.model.score.modules_to_save.default.weight"), _in_model("h.c_attn.lora_A.default.weight")
    ('score.weight', 'h.c_attn.lora_A.weight')
    """
    return _PLACES.sub("", name.removeprefix(_PREFIX))


def _check_expressions(layers: list[str], name: str, role: str) -> None:
    """Refuse an expression for names of layers that takes for ever on those of this model: it comes from others."""
    path = _config_path(name)
    texts = [] if path is None else sorted(set(_expressions(json.loads(path.read_text(encoding="utf-8")))))

    def lines() -> Iterator[str]:
        for text in texts:
            with suppress(re.error, RecursionError):  # said where it is used
                for form in _FORMS:
                    expression = re.compile(form.format(text))
                    for layer in layers:
                        expression.fullmatch(layer)
            yield ""

    done = len(list(lines_within_bounds(lines, 0.0))) if texts else 0
    if done < len(texts):
        raise InputError(
            f"{_CONFIG} of {role}={name} has an expression for the names of layers that takes too long on this model, "
            f"{quoted(texts[done])}; write a list of names there."
        )


def _expressions(config: object) -> Iterator[str]:
    """Yield the texts of a config, at any depth, keys too, in which something may be repeated.

    >>> list(_expressions({"target_modules": ["c_attn"], "rank_pattern": {"(a+)+": 4}, "exclude_modules": ".*h"}))
    ['(a+)+', '.*h']
    """
    if isinstance(config, str) and set("*+{") & set(config):
        yield config
    if isinstance(config, dict):
        yield from _expressions(list(config))
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for value in inner:
        yield from _expressions(value)


def _and_more(names: Collection[str]) -> str:
    """Return how many more there are than the first.

    >>> _and_more(["a"]), _and_more(["a", "b"])
    ('', ' and 1 more')
    """
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
