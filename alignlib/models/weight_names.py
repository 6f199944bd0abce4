"""Whose weights a model's files hold: of two for one place the library below takes either, and says nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from alignlib._core.errors import InputError, quoted
from alignlib.models.folder_checks import FLOATS_ONLY, types_in

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["check_adapter", "check_places", "check_saved_once", "check_stored", "stored_in"]

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLED = "pytorch_model.bin"
_OLD_NAMES = (("gamma", "weight"), ("beta", "bias"))  # of normalisations
_OF_ADAPTERS = ("lora_", "base_layer", "modules_to_save")  # in names that peft gives
_OF_LAYERS = ("weight", "bias")
_LONG = 4  # spaces of a name of layers in words, as in " h 0 attn ", which no other part has by chance
_FLOATS = ("F64", "F32", "F16", "BF16")  # others, whole numbers or of 8 bits and fewer, are weights with their scales
_NAMES = {"torch.float64": "F64", "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}
_MASKS = re.compile(r"(^|\.)(attn|attention)\.(masked_)?bias$|(^|[._])position_ids$")  # of old models, ends of names
# What old files hold in each attention, and is made anew from the config: by its exact place.
_MADE_ANEW = re.compile(
    r"(.*(?:attn|attention))\.(?:bias|masked_bias|causal_mask|(?:rotary|rotary_emb)\.(?:inv_freq|(?:cos|sin)_cached))"
)
# Of other tasks: beside a head that is taken, in BERT; of an encoder, of pictures and places, in no part of their own.
_OTHER_TASKS = (
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
    "final_logits_bias",
    "image_newline",
    "position_ids",
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# Words of names by which alone a tensor may be what other weights are to be multiplied with, or moved by.
_SCALES = frozenset(("scale", "scales", "scaling", "zero", "zeros", "amax", "absmax", "qparams"))
_MANY = ("they are left-overs", "them", "those keys")
_OF_TOWERS = (".weight", ".bias", "._extra_state")  # ends of names
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
        for key, stored in _kinds_in(folder / part).items():
            other = found.setdefault(key, part)
            if other != part:
                raise InputError(
                    f"{role}={name} holds the weight {quoted(key)} twice, in {other} and in {part}; save the model "
                    "again."
                )
            kinds[key] = stored
    return dict(sorted(kinds.items()))


def stored_in(folder: Path) -> dict[str, str]:
    """Return the weights of a folder that the library below reads, and as what they are stored, in pickles too.

    Parameters
    ----------
    folder : Path
        Where they are. What is not there, or cannot be read, is refused elsewhere.

    Examples
    --------
    >>> stored_in(Path("nowhere"))
    {}
    """
    for whole in (_WHOLE, _PICKLED):
        parts = {whole} if (folder / whole).exists() else _parts(folder, f"{whole}.index.json")
        if parts:
            return {key: kind for part in sorted(parts) for key, kind in _kinds_in(folder / part).items()}
    return {}


def _kinds_in(path: Path) -> dict[str, str]:
    """Return what `types_in` does, by the file's ending, as the library below: either index may name either kind.

    No code of a file of PyTorch runs, and no number of it is read.
    """
    if path.suffix == ".safetensors":
        return types_in(path)
    import torch

    try:
        held = torch.load(path, map_location="meta", weights_only=True)
        tensors = {str(key): one for key, one in held.items() if isinstance(one, torch.Tensor)}
    except Exception:  # said where it is loaded
        return {}
    return {key: _NAMES.get(str(one.dtype), str(one.dtype)) for key, one in tensors.items()}


def check_stored(
    kinds: Mapping[str, str], plan: Module | None, source: str, unused: Collection[str] | None = None
) -> None:
    """Refuse numbers that stand for others (whole, truth values, of 8 bits) where the model takes them as they are.

    Parameters
    ----------
    kinds : mapping of str to str
        The weights of the files, and as what each is stored.
    plan : Module, optional
        The model as it is before anything is loaded: what it has in whole numbers is a mask or an index.
    source : str
        Whose files these are, as messages say it.
    unused : collection of str, optional
        Weights of the files that it does not take. Before that is known, only those are looked at whose names it has.

    Raises
    ------
    InputError
        With the first such weight.

    Examples
    --------
    >>> check_stored({"weight": "BF16", "h.attn.bias": "U8"}, None, "model=m", [])
    """
    held = {} if plan is None else {**plan.state_dict(), **dict(plan.named_buffers())}
    numbers = {key for key, one in held.items() if one.is_floating_point()}
    masks, prefix = {*held} - numbers, str(getattr(plan, "base_model_prefix", ""))
    ends = {one.rpartition(".")[2] for one in masks}
    for key, stored in kinds.items():
        if stored in _FLOATS or key in (unused or ()):
            continue
        place = _place(key, held, prefix)
        other = unused is None or _MASKS.search(key) or key.rpartition(".")[2] in ends
        if place in masks or (place not in numbers and other):
            continue
        raise InputError(f"{source} holds {quoted(key)} as {stored}, numbers that stand for others, and {FLOATS_ONLY}.")


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


def _parts(folder: Path, index: str = _INDEX) -> set[str]:
    """Return the files that an index names; one that cannot be read is refused elsewhere."""
    with suppress(OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {str(part) for part in json.loads((folder / index).read_bytes())["weight_map"].values()}
    return set()


def check_places(
    kinds: Mapping[str, str], model: Module, unused: Iterable[str], source: str, missing: Collection[str] = ()
) -> None:
    """Refuse two weights for one place of a model, and whatever it does not take.

    Such may be a scale or an offset, by any name: then the weights stand for others. Passed over are buffers that the
    model makes by itself, those of old files in their place, and heads and towers of other tasks.

    Parameters
    ----------
    kinds : mapping of str to str
        What the weights are called in the model's files, and as what each is stored.
    model : Module
        The model as it was loaded.
    unused : iterable of str
        Weights of the files that it does not take.
    source : str
        Whose files these are, as messages say it.
    missing : collection of str
        Weights of the model that the files lack, as far as their names tell.

    Raises
    ------
    InputError
        If there are any.

    Examples
    --------
    >>> from unittest.mock import Mock
    >>> model = Mock(base_model_prefix="", **{"state_dict.return_value": {"weight": 0}})  # as of a layer
    >>> check_places({"weight": "F32", "module.weight": "F32"}, model, [], "model=m")
    Traceback (most recent call last):
    alignlib.InputError: model=m holds two weights for one place, 'weight' and 'module.weight'; save the model again.
    """
    found: dict[str, str] = {}
    held, prefix = model.state_dict(), str(getattr(model, "base_model_prefix", ""))
    for key in kinds:
        other = found.setdefault(_place(key, held, prefix), key)
        if other != key:
            raise InputError(
                f"{source} holds two weights for one place, {quoted(other)} and {quoted(key)}; save the model again."
            )
    made = dict(model.named_buffers(remove_duplicate=False))
    layers, inner = _layers(model), _parts_of(model, prefix)
    unused = sorted(unused)
    _check_wrapped(unused, set(missing), prefix, source)
    left: list[str] = []
    for key in unused:
        count = kinds and "." not in key and kinds.get(key) not in _FLOATS
        if count and not _may_scale(key) and _is_of_others(f"{key}.0", inner, prefix):
            continue  # of steps, or the state of a generator
        if any(mark in key for mark in _OF_ADAPTERS):
            raise InputError(
                f"{source} holds a weight of an adapter, {quoted(key)}, that was not merged into the model; merge it "
                "(merge_and_unload) and save the model again, or give the adapter's own folder."
            )
        if _place(key, made, prefix) in made or _is_made_anew(key, model, prefix):
            continue
        if not _may_scale(key) and _is_of_others(key, inner, prefix):
            continue
        head, _, last = key.rpartition(".")
        layer = next((one for one in _written(head, prefix) if one in layers), None)
        if last in _OF_LAYERS and layer is not None:
            raise InputError(
                f"{source} holds the weight {quoted(key)}, for which its config has no place in that layer; the model "
                "would be another one: correct config.json."
            )
        place = _place(key, held, prefix)
        if place in held:
            raise _wrapped(source, place, key)
        left.append(key)
    if left:
        they, it, that = ("it is a left-over", "it", "that key") if len(left) == 1 else _MANY
        raise InputError(
            f"{source} holds {_counted(left)}, which {type(model).__name__} does not take. Where its weights stand for "
            f"others, {FLOATS_ONLY}; where {they} that no output hangs on, take {it} out of the file (load its "
            f"tensors, delete {that}, save them)."
        )


def _check_wrapped(unused: Iterable[str], missing: Collection[str], prefix: str, source: str) -> None:
    """Refuse a model whose names have something before them, whatever it is: what is left of them is missing."""
    found: dict[str, list[tuple[str, str]]] = {}
    for key in unused:
        for rest in _ends(key):
            place = _place(rest, missing, prefix)
            if place in missing and place.startswith(f"{prefix}." if prefix else ""):  # a head alone is another task's
                found.setdefault(key.removesuffix(rest), []).append((place, key))
                break
    if found:  # of towers with names like the model's the one that is most of it
        raise _wrapped(source, *max(found.values(), key=len)[0])


def _wrapped(source: str, place: str, key: str) -> InputError:
    return InputError(
        f"{source} holds {quoted(place)} by another name, {quoted(key)}, which is not read; take the model out of what "
        "it was wrapped in and save it again."
    )


def _ends(name: str) -> Iterator[str]:
    """Yield what is left of a name without its first piece, its first two, and so on.

    >>> list(_ends("a.b.c"))
    ['b.c', 'c']
    """
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _counted(names: Sequence[str]) -> str:
    """Write the first of some names, how many more there are, and with what all of them begin.

    >>> _counted(["a.b.c", "a.b.d"]), _counted(["a"]), _counted(["a.b", "c"])
    ("'a.b.c' and 1 more that begins with 'a.b.'", "'a'", "'a.b' and 1 more")
    """
    if len(names) == 1:
        return quoted(names[0])
    pieces = zip(*(name.split(".") for name in names), strict=False)
    shared = "".join(f"{one[0]}." for one in takewhile(lambda one: len(set(one)) == 1, pieces))
    begin = "begin" if len(names) > 2 else "begins"
    return f"{quoted(names[0])} and {len(names) - 1} more" + f" that {begin} with {quoted(shared)}" * bool(shared)


def _may_scale(key: str) -> bool:
    """Whether a name says that other weights may have to be multiplied with it, or moved by it.

    >>> _may_scale("output.k_scale"), _may_scale("weightScales.0"), _may_scale("v_head.summary.weight")
    (True, True, False)
    """
    return not _SCALES.isdisjoint(_words(key).split())


def _is_made_anew(key: str, model: Module, prefix: str) -> bool:
    """Whether a name is that of a mask or a frequency of positions in an attention, which has no numbers of its own."""
    found = _MADE_ANEW.fullmatch(_bare(key, prefix))
    if found is None:
        return False
    parts = dict(model.named_modules(remove_duplicate=False))
    part = next((parts[one] for one in _written(found[1], prefix) if one in parts), None)
    return part is not None and not any(True for _ in part.parameters(recurse=False))


def _parts_of(model: Module, prefix: str) -> tuple[set[str], set[str], set[str]]:
    """Return the names of the first parts of a model and its base, and in words those of its layers, long and short."""
    base = getattr(model, prefix, None) if prefix else None
    outer = [one for one in (model, base) if one is not None and hasattr(one, "named_modules")]
    names = {key.split(".")[0] for one in outer for key, _ in [*one.named_parameters(), *one.named_buffers()]}
    names |= {key for one in outer for key, _ in one.named_children()}
    layers = {*_layers(model)} | {key for key, _ in model.named_parameters(remove_duplicate=False)}
    shorter = {one.removeprefix(f"{prefix}.") for one in layers}
    return names, {_words(one) for one in layers if "." in one}, {_words(one) for one in shorter}


def _is_of_others(key: str, parts: tuple[set[str], set[str], set[str]], prefix: str) -> bool:
    """Whether a name is of the head or tower of another task: no part of the model, and named after none.

    >>> parts = {"h", "lm_head"}, {" model h 0 "}, {" h 0 ", " lm head "}
    >>> [_is_of_others(one, parts, "model") for one in ("v_head.a", "module.model.tower.of.h.0.weight", "cls.a.bias")]
    [True, True, True]
    >>> [_is_of_others(one, parts, "model") for one in ("q.model-h/0", "lm_headScale", "q.h.0", "h.0.weight")]
    [False, False, False, False]
    """
    names, layers, short = parts
    bare = _bare(key, prefix)
    if bare in _OTHER_TASKS:
        return True
    first, _, rest = bare.partition(".")
    if not rest or first in names:  # what lies in no part, as a mean or a factor, may be of any
        return False
    if bare.endswith(_OF_TOWERS):
        return True
    inside, whole = _words(rest), _words(bare)
    if any(one in whole for one in layers) or any(one in _words(first) or inside.startswith(one) for one in short):
        return False
    return not any(one in whole for one in short if one.count(" ") > _LONG)


def _words(name: str) -> str:
    """Return the words of a name, whatever is between them.

    >>> _words("model/layers-0.q_projScale")
    ' model layers 0 q proj scale '
    """
    return f" {' '.join(_WORDS.findall(name)).lower()} "


def _bare(key: str, prefix: str) -> str:
    """Return a name without wrappers and what stands before all names of the base.

    >>> _bare("module.base_model.model.model.h.0", "model"), _bare("h.0", "")
    ('h.0', 'h.0')
    """
    outer = next((one for one in (*_WRAPPERS, f"{prefix}.") if len(one) > 1 and key.startswith(one)), None)
    return key if outer is None else _bare(key.removeprefix(outer), prefix)


def _layers(model: Module) -> set[str]:
    """Return the innermost parts of a model, in which no other has numbers of its own.

    >>> from unittest.mock import Mock
    >>> parts = {"parameters": ["0.weight", "1.0.weight"], "buffers": [], "modules": ["", "0", "1", "1.0"]}
    >>> model = Mock(**{f"named_{kind}.return_value": [(name, 0) for name in names] for kind, names in parts.items()})
    >>> sorted(_layers(model))
    ['0', '1.0']
    """
    ends = (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
    outer = {one for end in ends for key, _ in end for one in [*_shorter(key, ".")][2:]}
    return {name for name, _ in model.named_modules(remove_duplicate=False)} - outer - {""}


def _shorter(name: str, mark: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(mark)[0]


def _written(name: str, prefix: str) -> tuple[str, str, str]:
    """Return what a name may be in the model: with or without what stands before all of its own."""
    return name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")


def _place(key: str, held: Collection[str], prefix: str) -> str:
    """Return what a weight of a file is called in the model.

    >>> _place("h.0.ln.gamma", ["model.h.0.ln.weight"], "model"), _place("score.weight", [], "model")
    ('model.h.0.ln.weight', 'score.weight')
    >>> _place("base_model.model.h.0.ln.weight", ["model.h.0.ln.weight"], "model")
    'model.h.0.ln.weight'
    """
    head, _, last = key.rpartition(".")
    for written in (key, *(f"{head}.{new}" for old, new in _OLD_NAMES if last == old)):
        for one in _written(written, prefix):
            if one in held:
                return one
    wrapper = next((one for one in _WRAPPERS if key.startswith(one)), None)
    if wrapper is not None:
        inside = _place(key.removeprefix(wrapper), held, prefix)
        return inside if inside in held else key
    return key
