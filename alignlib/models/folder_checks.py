"""What is refused of a model's folder before it is loaded: code to fetch, absurd sizes, damaged files.

Libraries that open such files name none of them, wait for ever, or go on.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from alignlib._core.checks import require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import as_address
from alignlib._core.safe_text import hide_password
from alignlib.tables import short

__all__ = [
    "FLOATS_ONLY",
    "check_config",
    "check_counts",
    "check_files",
    "check_finite",
    "check_folder",
    "check_name",
    "check_shards",
    "refuse_named_code",
    "types_in",
]

FLOATS_ONLY = (
    "models are read in floating point only: load this one with Transformers where it was made, dequantize() and save "
    "it (save_pretrained), or sample and score with it elsewhere and give the table"
)
_PACKED, _LIMIT = "quantization_config", "_limit"  # a key of a config; the end of those that may be infinite, as none
_OTHER_FILE = "transformers_weights"  # a key of a config: weights are then read from a file of that name
_NAMES_CODE = ("attn_implementation", "attn_implementation_internal", "experts_implementation", "kernel_config")
_COUNTS = re.compile(r"(?:layers?|blocks?|experts?|labels|heads?|depths?)$")  # keys of a config for numbers of parts
_MANY_PARTS = 2000  # built within a minute
_LONGEST_HEADER = 100 * 2**20  # bytes, as safetensors itself allows
# What is read of a folder, if it is there. A `generation_config.json` that cannot be read is passed over by
# transformers, and with it the tokens that end a response.
_READ = {
    "config.json", "adapter_config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "chat_template.json",
}  # fmt: skip
_LARGEST = 1 << 28  # bytes of one of them; a vocabulary of a quarter of a million takes an eighth


def check_folder(name: str, role: str, remote_code: bool = False) -> None:
    """Refuse what is not to be loaded, by all the checks of this file.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    role : str
        The argument that messages name.
    remote_code : bool
        Whether code that the config names may run.

    Raises
    ------
    InputError
        If one of them refuses it.
    """
    check_name(name, role)
    check_files(name, role)
    check_config(name, role)
    if not remote_code:
        refuse_named_code(name, role)
    check_counts(name, role)
    check_shards(name, role)


def check_name(name: str, role: str) -> None:
    """Refuse a path that is not the folder of a model.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        If the folder is not there, or not one, or holds an adapter that nothing here could read.
    """
    hide_password(name)
    require(bool(name.strip()), f"{role} must name a model, a folder or one on the hub; got {name!r}.", role)
    folder = Path(name)
    try:
        os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):  # a name on the hub
        pass
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{role}={name} cannot be looked up here ({said}); check the name.", argument=role) from error
    if (folder / "adapter_config.json").exists() and find_spec("peft") is None:
        raise InputError(
            f"{role}={name} holds an adapter (adapter_config.json), which is read by peft, not installed here; install "
            "it, or merge the adapter into its model (merge_and_unload) and give that."
        )
    if folder.is_dir():
        if not any((folder / file).is_file() for file in ("config.json", "adapter_config.json")):
            raise InputError(
                f"{role}={name} is a folder without config.json; name the folder that save_pretrained wrote, such as "
                "a checkpoint inside it."
            )
    elif folder.exists():
        raise InputError(f"{role}={name} is a file; name the folder that save_pretrained wrote.")
    elif as_address(name):
        raise InputError(f"{role}={name} is an address; give a folder, or the name on the hub alone, as owner/model.")
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"{role}={name}: there is no such folder; check the path.")


def check_config(name: str, role: str) -> None:
    """Refuse a config that says how weights are packed, or in which other file they are, and numbers that are none.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        If there is any of these.
    """
    from transformers import PretrainedConfig

    try:
        config, _ = PretrainedConfig.get_config_dict(name)
    except Exception:  # said where it is loaded
        return
    if any(key == _PACKED and value is not None for key, value in _pairs(config)):
        raise InputError(f"config.json of {role}={name} has a {_PACKED}, and {FLOATS_ONLY}.")
    if config.get(_OTHER_FILE) is not None:
        raise InputError(
            f"config.json of {role}={name} has {quoted(config[_OTHER_FILE])} as {_OTHER_FILE}; weights are read from "
            "model.safetensors, or the files that its index names: call them so, and take that key out."
        )
    check_finite(config, f"config.json of {role}={name}")


def check_finite(config: object, source: str) -> None:
    """Refuse what Python's JSON reads as a number and is none, NaN or infinite.

    Parameters
    ----------
    config : object
        As read.
    source : str
        What it was read from, as messages say it.

    Raises
    ------
    InputError
        With the first of them.

    Examples
    --------
    >>> check_finite({"r": 8, "alpha_pattern": {"c_attn": 1.5}, "time_step_limit": [0.0, float("inf")]}, "config.json")
    """
    for key, value in _pairs(config):
        if isinstance(value, float) and not math.isfinite(value) and not (key.endswith(_LIMIT) and value > 0):
            raise InputError(
                f"{source} has {json.dumps(value)} as {quoted(key)}, which is no finite number; correct it."
            )


def _pairs(config: object) -> Iterator[tuple[str, object]]:
    """Yield the keys and values of a config, at any depth; what stands in a list has its key.

    >>> list(_pairs({"a": {"b": [1, 2]}}))[2:]
    [('b', [1, 2]), ('b', 2), ('b', 1)]
    """
    left: list[tuple[str, object]] = [("", config)]
    while left:
        key, value = left.pop()
        yield key, value
        if isinstance(value, dict):
            left += [(str(inner), one) for inner, one in value.items()]
        elif isinstance(value, list):
            left += [(key, one) for one in value]


def refuse_named_code(name: str, role: str) -> None:
    """Refuse a config that names attention or experts on the hub, ``owner/kernel``: that is code, fetched and run.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        If it does.
    """
    from transformers import PretrainedConfig

    try:
        config, _ = PretrainedConfig.get_config_dict(name)
    except Exception:  # said where it is loaded
        return
    found = _named_code(config)
    if found is not None:
        key, value = found
        raise InputError(
            f"The config of {role}={name} names code on the hub ({key}: {quoted(value)}), which is not run; take that "
            "line out of config.json, or pass remote_code=True."
        )


def check_counts(name: str, role: str) -> None:
    """Refuse a config that promises far more layers, experts or labels than its folder has weights for.

    Each is built, one by one, before the weights are looked at: a billion of them is a process without end.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        If it does.
    """
    try:
        config = json.loads((Path(name) / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):  # said where it is loaded; of the hub it is not ours to read
        return
    for key, count in _counts(config):
        if count < 0 or (count == 0 and key.endswith(("head", "heads"))):
            raise InputError(f"The config of {role}={name} has {count} as {quoted(key)}; correct config.json.")
        if count > _MANY_PARTS and count > (held := _held_weights(Path(name))):
            raise InputError(
                f"The config of {role}={name} promises {count:.4g} of {quoted(key)}, and the folder holds weights of "
                f"{held} names; correct config.json."
            )


def _counts(config: object) -> Iterator[tuple[str, int]]:
    """Yield what a config says of how many parts a model has, at any depth.

    >>> list(_counts({"n_layer": 2, "text_config": {"num_experts": 8, "eos_token_id": 9}}))
    [('n_layer', 2), ('num_experts', 8)]
    """
    if isinstance(config, dict):
        for key, value in config.items():
            if type(value) is int and _COUNTS.search(str(key)):
                yield str(key), value
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for value in inner:
        yield from _counts(value)


def _held_weights(folder: Path) -> int:
    """Return how many tensors the safetensors of a folder name."""
    return sum(len(types_in(path)) for path in folder.glob("*.safetensors"))


def types_in(path: Path) -> dict[str, str]:
    """Return the names of the weights in a file of safetensors, and as what they are stored; its header alone is read.

    Parameters
    ----------
    path : Path
        The file. Of one that cannot be read nothing is returned: it is refused elsewhere.

    Examples
    --------
    >>> types_in(Path("nowhere.safetensors"))
    {}
    """
    with suppress(OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError), path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(size, _LONGEST_HEADER)))
        return {str(key): str(its["dtype"]) for key, its in header.items() if key != "__metadata__"}
    return {}


def _named_code(config: object) -> tuple[str, str] | None:
    """Return the key and value that names code to fetch, at any depth.

    >>> _named_code({"text_config": {"_attn_implementation": {"": "owner/kernel"}}})
    ('_attn_implementation', 'owner/kernel')
    >>> _named_code({"attn_implementation": "sdpa", "architectures": ["A"]})
    """
    if isinstance(config, dict):
        for key, value in config.items():
            if str(key).endswith(_NAMES_CODE):
                for said in value.values() if isinstance(value, dict) else [value]:
                    if isinstance(said, str) and "/" in said:
                        return str(key), said
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return next((found for value in inner if (found := _named_code(value)) is not None), None)


def check_shards(name: str, role: str) -> None:
    """Refuse an index of weights that leads out of its folder: a model is what lies in it.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        If it does.
    """
    for path in Path(name).glob("*.index.json"):
        try:
            shards = set(json.loads(path.read_bytes())["weight_map"].values())
        except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):  # said where it is loaded
            continue
        for shard in sorted(map(str, shards)):
            if Path(shard).is_absolute() or ".." in Path(shard).parts:
                raise InputError(
                    f"{path.name} of {role}={name} leads out of its folder, to {quoted(shard)}; put the weights beside "
                    "it, and give their names there."
                )


def check_files(name: str, role: str) -> None:
    """Refuse a folder in which a file is none, is cut short, or holds something else than its name says.

    Parameters
    ----------
    name : str
        Folder, or name on the hub, of which nothing is refused.
    role : str
        The argument that messages name.

    Raises
    ------
    InputError
        With the name of the file.
    """
    folder = Path(name)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        wrong = _wrong(path)
        if wrong:
            raise InputError(
                f"{path.name} of {role}={name} {wrong}; copy or save the model again, or give another one."
            )


def _wrong(path: Path) -> str:
    """Return what is wrong with a file, in words; nothing of a folder, or of a file that is not read."""
    try:
        about = path.stat()
    except OSError as error:
        return f"cannot be read ({short(error)})"
    if stat.S_ISDIR(about.st_mode):
        return "is a folder, not a file" if path.name in _READ else ""
    if not stat.S_ISREG(about.st_mode):
        return "is no regular file"
    if path.name in _READ or path.name.endswith(".index.json"):
        return _wrong_json(path, about.st_size)
    return _wrong_weights(path, about.st_size) if path.suffix == ".safetensors" else ""


def _wrong_json(path: Path, size: int) -> str:
    if size > _LARGEST:
        return f"has {size:,} bytes, more than any such file needs"
    try:
        found = json.loads(path.read_bytes().decode())
    except OSError as error:
        return f"cannot be read ({short(error)})"
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    except ValueError as error:
        return f"is not whole JSON ({short(error)})"
    except RecursionError:
        return "is nested too deeply to be read"
    return "" if isinstance(found, dict) else f"holds {type(found).__name__} in place of names with values"


def _wrong_weights(path: Path, size: int) -> str:
    """Of weights the header is read, which says how long the file is."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(size - 8, _LONGEST_HEADER):
                return "is cut short, or holds no weights in safetensors"
            header = json.loads(file.read(length).decode())
        ends = [one["data_offsets"][1] for key, one in header.items() if key != "__metadata__"]
        held, promised = size - 8 - length, max(ends, default=0)
    except OSError as error:
        return f"cannot be read ({short(error)})"
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return "has a damaged header"
    return "" if held == promised else f"holds {held:,} bytes of weights where its header promises {promised!r}"
