"""Whose weights a model's files hold: of two for one place the library below takes either, and says nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from alignlib._core.errors import InputError, quoted
from alignlib.models.folder_checks import types_in

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["check_adapter", "check_method", "check_places", "check_saved_once", "check_stored", "left_packed"]

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_OLD_NAMES = (("gamma", "weight"), ("beta", "bias"))  # of normalisations
_OF_ADAPTERS = ("lora_", "base_layer", "modules_to_save")  # in names that peft gives
_OF_LAYERS = ("weight", "bias")
_FLOATS = ("F64", "F32", "F16", "BF16")  # others, whole numbers or of 8 bits and fewer, are weights with their scales
_MASKS = re.compile(r"(^|\.)(attn|attention)\.(masked_)?bias$|(^|[._])position_ids$")  # of old models, ends of names
_METHOD, _OLD_METHODS = "quant_method", ("load_in_8bit", "load_in_4bit")  # keys of a quantization_config
_SCALES = re.compile(r"(^|[._])(scales?|absmax|SCB)(_inv|_\d)?$")  # ends of names
_BESIDE = re.compile(r"[._](weight[._]+)?q?(scales?|absmax|SCB)(_weight|_inv|_\d)?")  # what is added to a layer's name
_AS_SCALES = (*_FLOATS, "F8_E8M0", "F8_E4M3", "U8")  # whole ones of 8 bits are exponents, in formats that have them
_TAKES_AS_IT_IS = ("torch.nn.", "transformers.models.", "transformers.pytorch_utils", "transformers_modules.")
_NOT_UNPACKED = (
    "and the method of config.json's quantization_config leaves it as it is, since its scales are missing, or called "
    "otherwise than there; save the model in floating point"
)
_COUNTS = ("indices", "ranknum")  # ends of names, in adapters, of what is counted
_WRAPPERS = ("base_model.model.", "base_model.", "_orig_mod.", "module.")  # names of peft, torch.compile, DDP


def check_saved_once(name: str, role: str) -> dict[str, str]:
    """Refuse a folder that holds a weight in two files, and return all weights that are read, and as what they stand.

    Parameters
    ----------
    name : str
        Folder, or name on the hub, of which nothing is looked at.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        If it holds a model whole and in parts, or a weight in two parts.

    Examples
    --------
    >>> check_saved_once("owner/name", "model")
    {}
    """
    folder = Path(name)
    parts = sorted(_parts(folder))
    whole = (folder / _WHOLE).exists()
    if whole and parts not in ([], [_WHOLE]):
        raise InputError(
            f"{role}={name} holds its weights twice, in {_WHOLE} and in the files that {_INDEX} names, such as "
            f"{quoted(parts[0])}; take away those of the earlier save."
        )
    found: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for part in [_WHOLE] if whole else parts:
        for key, stored in types_in(folder / part).items():
            other = found.setdefault(key, part)
            if other != part:
                raise InputError(
                    f"{role}={name} holds the weight {quoted(key)} twice, in {other} and in {part}; save the model "
                    "again."
                )
            kinds[key] = stored
    return dict(sorted(kinds.items()))


def check_method(name: str, role: str) -> bool:
    """Refuse a ``quantization_config`` that names no method, and say whether it names one that is then applied.

    The library below asks for a method, whatever the weights are; one that it does not know it passes over.

    Parameters
    ----------
    name : str
        Folder, or name on the hub, of which nothing is looked at.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        If there is such a key, at the top or in the config of a part. Null is none.

    Examples
    --------
    >>> check_method("owner/name", "model")
    False
    """
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    applied = False
    try:
        config = json.loads((Path(name) / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):  # said where it is loaded
        return False
    for part in (config, *(one for one in config.values() if isinstance(one, dict))):
        said = part.get("quantization_config")
        if said is None:
            continue
        old = isinstance(said, dict) and any(said.get(key) is True for key in _OLD_METHODS)
        if not old and not (isinstance(said, dict) and isinstance(said.get(_METHOD), str)):
            raise InputError(
                f"config.json of {role}={name} has {quoted(said)} as its quantization_config, which names no method "
                f"({_METHOD}); take that key out if the weights are in floating point, or name how they are stored."
            )
        applied |= old or said[_METHOD] in AUTO_QUANTIZATION_CONFIG_MAPPING
    return applied


def check_stored(
    kinds: Mapping[str, str],
    weights: Collection[str],
    masks: Collection[str],
    unused: Collection[str],
    prefix: str,
    source: str,
    quantized: bool = False,
    left: Collection[str] = (),
) -> None:
    """Refuse numbers that stand for others (whole, truth values, of 8 bits) where the model takes them as they are.

    Parameters
    ----------
    kinds : mapping of str to str
        The weights of the files, and as what each is stored.
    weights : collection of str
        What the model computes with as numbers, by name.
    masks : collection of str
        What it has in whole numbers or truth values, such as masks.
    unused : collection of str
        Weights of the files that it does not take.
    prefix : str
        What may stand before a name, or be left out.
    source : str
        Whose files these are, as messages say it.
    quantized : bool
        Whether a method that the library below knows was applied to them. A weight to which it took no scales, it takes
        as it is.
    left : collection of str
        What the model still holds so, where nothing unpacks it.

    Raises
    ------
    InputError
        With the first such weight.

    Examples
    --------
    >>> check_stored({"h.attn.bias": "U8", "h.sinks": "BF16"}, ["h.sinks"], ["h.attn.bias"], [], "", "model=m")
    """
    ends = {one.rpartition(".")[2] for one in masks}
    for key, stored in kinds.items():
        if stored in _FLOATS or key in unused:
            continue
        place = _place(key, {*weights, *masks}, prefix)
        if quantized and _SCALES.search(key) and stored not in _AS_SCALES:
            raise InputError(
                f"{source} holds the scales {quoted(key)} as {stored}, whole numbers that stand for others; save the "
                "model in floating point, or with its scales in that."
            )
        if place in masks or (place not in weights and (_MASKS.search(key) or key.rpartition(".")[2] in ends)):
            continue
        if not quantized:
            raise InputError(
                f"{source} holds {quoted(key)} as {stored}, and config.json has no quantization_config that says with "
                "which scales, by a method that is known here; save the model in floating point, or with that."
            )
        no_scales = place.endswith("bias") or not _has_scales(key, kinds, unused)  # no method has those of biases
        if place in left or (place in weights and no_scales):
            raise InputError(f"{source} holds {quoted(key)} as {stored}, {_NOT_UNPACKED}.")
    if left:
        raise InputError(f"{source} holds {quoted(min(left))} packed, {_NOT_UNPACKED}.")


def left_packed(model: Module, floats: Collection[str] = ()) -> list[str]:
    """Return what stands for other numbers (whole ones, or of 8 bits) in layers that take them as they are.

    Layers of a method that unpacks have classes of their own.

    Parameters
    ----------
    model : Module
        As loaded.
    floats : collection of str
        Its buffers that hold numbers in floating point before anything is loaded. Others may be masks.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1).to(torch.float8_e5m2)
    >>> left_packed(torch.nn.ModuleDict({"a": layer, "b": torch.nn.Linear(2, 1)}))
    ['a.weight', 'a.bias']
    """
    found = []
    for where, layer in model.named_modules():
        # one with a scheme unpacks as it is called, with what was hung upon it
        if type(layer).__module__.startswith(_TAKES_AS_IT_IS) and not hasattr(layer, "quantization_scheme"):
            head = f"{where}." if where else ""
            held = {head + name: one for name, one in layer.named_parameters(recurse=False)}
            buffers = {head + name: one for name, one in layer.named_buffers(recurse=False)}
            held |= {key: one for key, one in buffers.items() if key in floats}
            found += [key for key, one in held.items() if not one.is_floating_point() or one.dtype.itemsize == 1]
    return found


def check_adapter(kinds: Mapping[str, str], source: str) -> None:
    """Refuse an adapter whose weights stand for others: its format has no place for scales.

    Parameters
    ----------
    kinds : mapping of str to str
        Its weights, and as what each is stored.
    source : str
        Whose they are, as messages say it.

    Raises
    ------
    InputError
        With the first of them.

    Examples
    --------
    >>> check_adapter({"h.lora_A.weight": "BF16", "h.topk_indices": "U8"}, "model=m")
    """
    for key, stored in kinds.items():
        if stored not in _FLOATS and not key.endswith(_COUNTS):
            raise InputError(
                f"{source} holds {quoted(key)} as {stored}, numbers that stand for others, and an adapter says nowhere "
                "for which; save the adapter in floating point."
            )


def _has_scales(key: str, names: Collection[str], unused: Collection[str]) -> bool:
    """Say whether scales that were used stand beside a weight.

    What was not used may be called as the library below calls it, which is not always as the file does.

    >>> names = ["h.q.weight", "h.q.bias", "h.q.scale", "h.gate.weight", "h.gate.input_scale", "h.gate_up.weight_scale"]
    >>> _has_scales("h.q.weight", names, []), _has_scales("h.q.weight", names, ["h.q.weight_scale_inv"])
    (True, False)
    >>> _has_scales("h.gate.weight", names, []), _has_scales("h.gate_up", names, [])
    (False, True)
    """
    layer = key.removesuffix(".weight")
    scales = {one for one in names if one.startswith(layer) and _BESIDE.fullmatch(one, len(layer))}
    renamed = any(one.startswith(f"{layer}.") for one in unused if one not in names)
    return bool(scales.difference(unused)) and not renamed


def _parts(folder: Path) -> set[str]:
    """Return the files that an index names; one that cannot be read is refused elsewhere."""
    with suppress(OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {str(part) for part in json.loads((folder / _INDEX).read_bytes())["weight_map"].values()}
    return set()


def check_places(
    kinds: Mapping[str, str],
    held: Collection[str],
    modules: Collection[str],
    unused: Iterable[str],
    prefix: str,
    source: str,
) -> None:
    """Refuse two weights for one place of a model, and weights of its own layers for which there is none.

    Parameters
    ----------
    kinds : mapping of str to str
        What the weights are called in the model's files, and as what each is stored.
    held : collection of str
        What they are called in the model.
    modules : collection of str
        What its parts are called.
    unused : iterable of str
        Weights of the files that it does not take.
    prefix : str
        What may stand before a name, or be left out.
    source : str
        Whose files these are, as messages say it.

    Raises
    ------
    InputError
        If there are any.

    Examples
    --------
    >>> check_places({"h.0.weight": "F32"}, ["t.h.0.weight"], ["t.h.0"], ["score.bias"], "t", "model=m")
    """
    found: dict[str, str] = {}
    for key in kinds:
        other = found.setdefault(_place(key, held, prefix), key)
        if other != key:
            raise InputError(
                f"{source} holds two weights for one place, {quoted(other)} and {quoted(key)}; save the model again."
            )
    for key in sorted(unused):
        if any(mark in key for mark in _OF_ADAPTERS):
            raise InputError(
                f"{source} holds a weight of an adapter, {quoted(key)}, that was not merged into the model; merge it "
                "(merge_and_unload) and save the model again, or give the adapter's own folder."
            )
        if _MASKS.search(key) and kinds.get(key) not in _FLOATS:  # which later versions of the library make anew
            continue
        layer, _, last = key.rpartition(".")
        if last in _OF_LAYERS and layer and {layer, f"{prefix}.{layer}", layer.removeprefix(f"{prefix}.")} & {*modules}:
            raise InputError(
                f"{source} holds the weight {quoted(key)}, for which its config has no place in that layer; the model "
                "would be another one: correct config.json."
            )


def _place(key: str, held: Collection[str], prefix: str) -> str:
    """Return what a weight of a file is called in the model.

    >>> _place("h.0.ln.gamma", ["model.h.0.ln.weight"], "model"), _place("score.weight", [], "model")
    ('model.h.0.ln.weight', 'score.weight')
    >>> _place("base_model.model.h.0.ln.weight", ["model.h.0.ln.weight"], "model")
    'model.h.0.ln.weight'
    """
    head, _, last = key.rpartition(".")
    for written in (key, *(f"{head}.{new}" for old, new in _OLD_NAMES if last == old)):
        for one in (written, f"{prefix}.{written}", written.removeprefix(f"{prefix}.")):
            if one in held:
                return one
    wrapper = next((one for one in _WRAPPERS if key.startswith(one)), None)
    if wrapper is not None:
        inside = _place(key.removeprefix(wrapper), held, prefix)
        return inside if inside in held else key
    return key
