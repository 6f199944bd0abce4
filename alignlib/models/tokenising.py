"""Texts to tokens by a model's own tokenizer: files of others, so they work within bounds of time and memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from alignlib._core.errors import InputError
from alignlib.models.bounded import lines_within_bounds
from alignlib.models.loaded import Loaded
from alignlib.tables import short

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["check_tokenizer", "tokenised"]

_SECONDS_A_CHARACTER = 1e-5  # of processor time; a tokenizer takes a tenth of that
_LONGEST = 1 << 24  # tokens of a text
_TO_LOAD, _MEMORY_TO_LOAD = 120.0, 4 << 30  # seconds and bytes; of a vocabulary of a million
_PROBE = "".join(map(chr, range(32, 127))) + " à la\n"
_LOOK = "look at its tokenizer.json, or save the tokenizer that belongs to the model."


def tokenised(loaded: Loaded, texts: Sequence[tuple[str, ...]], *, special: bool = True) -> list[dict[str, list[int]]]:
    """Return what a tokenizer makes of each text, or pair of texts, without the attention mask.

    Parameters
    ----------
    loaded : Loaded
        The model.
    texts : sequence of tuples of str
        One or two texts each.
    special : bool
        Whether the tokenizer adds the tokens that it opens and ends texts with.

    Raises
    ------
    InputError
        Where it cannot take one, or takes more time or memory than any tokenizer needs.
    """

    def lines() -> Iterator[str]:
        for text in texts:
            made: dict[str, list[int]] = {}
            error = ""
            try:
                made = {
                    name: list(values)
                    for name, values in loaded.tokenizer(*text, add_special_tokens=special).items()
                    if name != "attention_mask"
                }
                if len(made["input_ids"]) > _LONGEST:
                    made, error = {}, f"it makes {len(made['input_ids']):,} tokens of it"
            except MemoryError:
                return
            except BaseException as raised:  # the library below raises `Exception` itself, and what Rust calls a panic
                error = _said(raised)
            yield json.dumps([made, error])

    found: list[dict[str, list[int]]] = []
    for line in lines_within_bounds(lines, _SECONDS_A_CHARACTER * sum(len(part) for text in texts for part in text)):
        made, error = json.loads(line)
        if error:
            raise InputError(f"The tokenizer of {loaded.name} cannot take text {len(found) + 1} ({error}); {_LOOK}")
        found.append(made)
    if len(found) < len(texts):
        raise InputError(
            f"The tokenizer of {loaded.name} takes more time or memory for text {len(found) + 1} than any tokenizer "
            f"needs, or aborts; {_LOOK}"
        )
    return found


def check_tokenizer(load: Callable[[], PreTrainedTokenizerBase], said: str) -> None:
    """Refuse a tokenizer that cannot be loaded, or used on a short text, within bounds; errors are left to who loads.

    Parameters
    ----------
    load : callable
        Returns the tokenizer.
    said : str
        What messages call the model.

    Raises
    ------
    InputError
        Where it aborts, or takes more time or memory than any tokenizer needs.
    """

    def lines() -> Iterator[str]:
        error = ""
        try:
            tokenizer = load()
            tokenizer(_PROBE)
            tokenizer.decode(list(range(len(tokenizer))))
        except MemoryError:
            return
        except Exception:  # a sentence of its own, where it is loaded or used
            pass
        except BaseException as raised:
            error = _said(raised)
        yield json.dumps(error)

    found = list(lines_within_bounds(lines, _TO_LOAD, _MEMORY_TO_LOAD))
    if not found:
        raise InputError(f"The tokenizer of {said} takes more time or memory than any needs, or aborts; {_LOOK}")
    if error := json.loads(found[0]):
        raise InputError(f"The tokenizer of {said} cannot be used ({error}); {_LOOK}")


def _said(error: BaseException) -> str:
    """Return what went wrong in words; what ends this process, and is no panic of Rust's, is raised."""
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    return short(error)
