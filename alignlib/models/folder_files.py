"""The files of a model's folder, looked at before a library opens them, which names none, waits for ever or goes on."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from alignlib._core.errors import InputError
from alignlib.tables import short

__all__ = ["check_files"]

# What is read of a folder, if it is there. A `generation_config.json` that cannot be read is passed over by
# transformers, and with it the tokens that end a response.
_READ = {
    "config.json", "adapter_config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "chat_template.json",
}  # fmt: skip
_LARGEST = 1 << 28  # bytes of one of them; a vocabulary of a quarter of a million takes an eighth
_LONGEST_HEADER = 100 * 2**20  # bytes, as safetensors itself allows


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
