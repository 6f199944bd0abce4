"""Whose weights a model's files hold: of two for one place the library below takes either, and says nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from alignlib._core.errors import InputError, quoted
from alignlib.models.folder_checks import types_in

__all__ = ["check_places", "check_saved_once"]

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_OLD_NAMES = (("gamma", "weight"), ("beta", "bias"))  # of normalisations
_OF_ADAPTERS = ("lora_", "base_layer", "modules_to_save")  # in names that peft gives
_OF_LAYERS = ("weight", "bias")
_FLOATS = ("F64", "F32", "F16", "BF16")  # others, whole numbers or of 8 bits and fewer, are weights with their scales
_MASKS = re.compile(r"(^|\.)(attn|attention)\.(masked_)?bias$")  # ends of names, of old GPTs
_WRAPPERS = ("base_model.model.", "base_model.", "_orig_mod.", "module.")  # names of peft, torch.compile, DDP


def check_saved_once(name: str, role: str) -> list[str]:
    """Refuse a folder that holds a weight in two files, and return the names of all weights that are read.

    Parameters
    ----------
    name : str
        Folder, or name on the hub, of which nothing is looked at.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        If it holds a model whole and in parts, a weight in two parts, or one in whole numbers that nothing explains.

    Examples
    --------
    >>> check_saved_once("owner/name", "model")
    []
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
    for part in [_WHOLE] if whole else parts:
        for key, stored in types_in(folder / part).items():
            if _is_packed(key, stored) and not _says_how_stored(folder):
                raise InputError(
                    f"{role}={name} holds {quoted(key)} as {stored}, and config.json has no quantization_config that "
                    "says with which scales; save the model in floating point, or with that."
                )
            other = found.setdefault(key, part)
            if other != part:
                raise InputError(
                    f"{role}={name} holds the weight {quoted(key)} twice, in {other} and in {part}; save the model "
                    "again."
                )
    return sorted(found)


def _is_packed(key: str, stored: str) -> bool:
    """Say whether a weight is stored in numbers that stand for others.

    >>> [_is_packed("h.0.attn.bias", "U8"), _is_packed("h.0.attn.c_attn.bias", "I8"), _is_packed("wte.weight", "BF16")]
    [False, True, False]
    """
    return key.endswith((".weight", ".bias")) and stored not in _FLOATS and not _MASKS.search(key)


def _says_how_stored(folder: Path) -> bool:
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        return bool(json.loads((folder / "config.json").read_bytes()).get("quantization_config"))
    return False


def _parts(folder: Path) -> set[str]:
    """Return the files that an index names; one that cannot be read is refused elsewhere."""
    with suppress(OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {str(part) for part in json.loads((folder / _INDEX).read_bytes())["weight_map"].values()}
    return set()


def check_places(
    names: Iterable[str],
    held: Collection[str],
    modules: Collection[str],
    unused: Iterable[str],
    prefix: str,
    source: str,
) -> None:
    """Refuse two weights for one place of a model, and weights of its own layers for which there is none.

    Parameters
    ----------
    names : iterable of str
        What the weights are called in the model's files.
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
    >>> check_places(["h.0.weight", "score.bias"], ["t.h.0.weight"], ["t.h.0"], ["score.bias"], "t", "model=m")
    """
    found: dict[str, str] = {}
    for key in names:
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
