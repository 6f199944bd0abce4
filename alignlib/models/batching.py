"""How a long job goes: so many sequences at once as the memory takes, and what is said meanwhile."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from alignlib._core.errors import InputError
from alignlib.models.loaded import Loaded
from alignlib.tables import short

if TYPE_CHECKING:
    import torch

__all__ = ["computing", "guess_batch_size", "in_batches", "progress_bar", "say_on_stderr"]

Row = TypeVar("Row")
Result = TypeVar("Result")
_LARGEST = {"cpu": 64}  # beyond it keys and values leave the processor's caches: slower, measured on a 5 M-weight GPT-2
_LARGEST_ELSEWHERE = 256
_FULL = ("out of memory", "can't allocate memory", "not enough memory")


def guess_batch_size(loaded: Loaded, n_tokens: int, n_logits: int) -> int:
    """Return how many sequences of ``n_tokens`` should fit in 60 % of the free memory, a power of two.

    It is at most 256, on a CPU 64. ``n_logits`` counts the numbers over the vocabulary that each sequence needs at
    one time.

    Parameters
    ----------
    loaded : Loaded
        The model.
    n_tokens : int
        Tokens of the longest sequence.
    n_logits : int
        Numbers over the vocabulary that a sequence needs at one time.
    """
    per_row = loaded.bytes_per_token * n_tokens + 40 * n_logits
    fits = int(0.6 * _free_memory(loaded.device) / per_row)
    size = 1
    while 2 * size <= min(fits, _LARGEST.get(loaded.device.type, _LARGEST_ELSEWHERE)):
        size *= 2
    return size


def in_batches(
    rows: Sequence[Row],
    size: int,
    work: Callable[[Sequence[Row]], Sequence[Result]],
    say: Callable[[str], None],
) -> tuple[list[Result], int]:
    """Work through ``rows``, ``size`` at a time, with half as many from where memory ran out.

    Returns the results in order, and the size in the end.

    Parameters
    ----------
    rows : sequence
        What is to be worked on.
    size : int
        How many at once to begin with.
    work : callable
        Takes some rows, returns a result for each.
    say : callable
        Called with what was decided, in a sentence.

    Returns
    -------
    results : list
        One for each row, in order.
    size : int
        How many at once in the end.

    Raises
    ------
    InputError
        Where memory is too small for a single row.
    """
    done: list[Result] = []
    while len(done) < len(rows):
        batch = rows[len(done) : len(done) + size]
        found: Sequence[Result] | None = None
        try:
            found = work(batch)
        except (RuntimeError, MemoryError) as error:
            if not _is_full(error):
                raise
        if found is not None:
            done.extend(found)
            continue
        # Only here, outside the handler, are the tensors of the failed batch free to go.
        if len(batch) == 1:
            raise InputError(
                "Memory is too small for one sequence; lower max_new_tokens, shorten the prompts, or give "
                "dtype='bfloat16' or a smaller model."
            )
        size = (len(batch) + 1) // 2
        _release()
        say(f"Out of memory with {len(batch)} sequences at once; going on with {size}.")
    return done, size


@contextmanager
def computing(loaded: Loaded) -> Iterator[None]:
    """Say of a model that fails at its work that it does: its config may promise what its code cannot do.

    Parameters
    ----------
    loaded : Loaded
        The model that works in the block.

    Raises
    ------
    InputError
        In place of whatever its code raises but for lack of memory.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of others, so of every kind
        if _is_full(error):
            raise
        raise InputError(
            f"{loaded.role}={loaded.name} fails on tokens that it is given ({type(error).__name__}: {short(error)}); "
            "look at its config.json, or give another model."
        ) from error


def _is_full(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _FULL)
    )


def say_on_stderr(sentence: str) -> None:
    """Print a sentence, above the bar if there is one.

    Parameters
    ----------
    sentence : str
        What was decided.
    """
    tqdm.write(sentence, file=sys.stderr)


def progress_bar(total: int, done: int) -> tqdm:
    """Show responses done, their rate and the time left; in a log rather than a terminal, twice a minute.

    Parameters
    ----------
    total, done : int
        Responses in all, and those that an earlier call has finished.
    """
    interval = 0.1 if sys.stderr.isatty() else 30.0
    return tqdm(total=total, initial=done, unit=" responses", mininterval=interval, dynamic_ncols=True)


def _free_memory(device: torch.device) -> int:
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # macOS, Windows
        return 4 << 30


def _release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
