"""Arrays of sampled responses as given in Python: log-probabilities, counts, offsets and prompts, or what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from alignlib._core.array_likes import as_array, as_names
from alignlib._core.checks import FloatArray, IntArray, as_numbers, as_vector, require
from alignlib._core.errors import InputError, quoted

__all__ = [
    "IMPOSSIBLE",
    "LEAST_LOG_PROB",
    "MOST_LOG_PROB",
    "MOST_TOKENS",
    "OF_SUMS",
    "as_log_probs",
    "as_log_ratio",
    "as_offsets",
    "as_prompts",
    "as_token_counts",
    "as_token_values",
    "flattened",
    "same_offsets",
]

# How far below 0 an exact divergence or an entropy of one token may come out, in nats; sums over a response, so often.
# Log-probabilities in single precision near 20 nats are off by 1e-6, and their normaliser, a sum over a vocabulary of
# some hundred thousand, by up to a few 1e-5, in all tokens alike, so that a response's errors add up. Those of bfloat16
# are off by 1e-2, as much as such a divergence itself: what they push below 0 is none, and refused.
OF_SUMS = 1e-4
MOST_TOKENS = 2.0**53  # of one response; beyond, a float counts no more
LEAST_LOG_PROB = -1e30  # of a sequence, far below what any model gives; eighth powers of it are numbers
MOST_LOG_PROB = 1e-3  # what rounding makes of a log-probability of 0
IMPOSSIBLE = {
    "base": "the base model cannot produce it, so the KL is infinite",
    "policy": "the policy cannot have produced it: score with the law that sampled (same temperature, top-p, top-k)",
}


def as_log_ratio(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return finite log-ratios within what floats add up, in nats.

    Parameters
    ----------
    name : str
        What messages call it.
    value : array (n,)
        Log-ratios.

    Raises
    ------
    InputError
        If one is not finite, or too large.
    """
    array = as_vector(name, value)
    far = int(np.argmax(np.abs(array)))
    require(
        bool(abs(array[far]) <= -LEAST_LOG_PROB),
        f"{name} must not exceed {-LEAST_LOG_PROB:g} nats in size; got {array[far]:g} at position {far}. Correct that "
        "value.",
        name,
    )
    return array


def as_token_values(name: str, value: npt.ArrayLike, offsets: IntArray | None) -> FloatArray:
    """Return a number for each token that the offsets count.

    Parameters
    ----------
    name : str
        What messages call it.
    value : array (t,)
        A number for each token.
    offsets : array of int (n + 1,), optional
        Where the tokens of each response begin.

    Raises
    ------
    InputError
        If there are no offsets, or they count other tokens.
    """
    if offsets is None:
        raise InputError(f"{name} needs offsets, which say whose tokens they are.", argument=name)
    values = as_log_ratio(name, value)
    require(
        values.size == offsets[-1],
        f"{name} must hold a number for each of {offsets[-1]} tokens, as offsets count them; got {values.size}.",
        name,
    )
    return values


def as_token_counts(n_tokens: npt.ArrayLike, size: int) -> FloatArray:
    """Return whole numbers of tokens, one for each response.

    Parameters
    ----------
    n_tokens : array (n,)
        Tokens of each response.
    size : int
        Responses.

    Raises
    ------
    InputError
        If there are more or fewer, or one is no whole number from 1 on.
    """
    count = as_vector("n_tokens", n_tokens)
    require(count.size == size, f"n_tokens must have {size} entries; got {count.size}.", "n_tokens")
    require(bool((count >= 1.0).all()), f"n_tokens must be at least 1; got {count.min():g}.", "n_tokens")
    odd = count[(count > MOST_TOKENS) | (count != np.floor(count))]
    require(not odd.size, f"n_tokens must be whole numbers up to 2^53; got {odd[:1]}.", "n_tokens")
    return count


def as_offsets(value: npt.ArrayLike, size: int) -> IntArray:
    """Return where the tokens of each response begin, and where the last end.

    Parameters
    ----------
    value : array of int (n + 1,)
        Where the tokens of each response begin.
    size : int
        Responses.

    Raises
    ------
    InputError
        If they do not rise from 0, or count other responses.
    """
    offsets = as_array("offsets", value)
    rises = (
        offsets.shape == (size + 1,)
        and offsets.dtype.kind in "iu"
        and offsets[0] == 0
        and bool((np.diff(offsets.astype(np.int64)) >= 0).all())
    )
    if not rises:
        raise InputError(
            f"offsets must rise from 0 and say where the tokens of each of {size} responses begin; got "
            f"{quoted(value)}.",
            argument="offsets",
        )
    return offsets.astype(np.int64)


def as_log_probs(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return log-probabilities, in nats, none impossible and none positive.

    Parameters
    ----------
    name : str
        ``policy`` or ``base``.
    value : array
        Log-probabilities.

    Raises
    ------
    InputError
        If one is positive, or impossible.
    """
    array = as_numbers(f"{name} log-probabilities", value)
    impossible = np.flatnonzero(np.isneginf(array))
    if impossible.size:
        raise InputError(f"{name} log-probability is -inf at position {impossible[0]}: {IMPOSSIBLE[name]}.")
    array = as_vector(f"{name} log-probabilities", array)
    high = float(array.max())
    require(
        high <= MOST_LOG_PROB, f"{name} log-probabilities must not be positive; got {high:g}. Give logarithms, in nats."
    )
    low = float(array.min())
    require(
        low >= LEAST_LOG_PROB,
        f"{name} log-probabilities must not lie below {LEAST_LOG_PROB:g}; got {low:g}. Correct that value.",
    )
    return array


def flattened(name: str, rows: Sequence[npt.ArrayLike]) -> tuple[FloatArray, IntArray]:
    """Return the tokens of all responses one after another, and where each begins.

    Parameters
    ----------
    name : str
        ``policy`` or ``base``.
    rows : sequence of array
        The tokens of each response.

    Returns
    -------
    values : array (t,)
        One response after another.
    offsets : array of int (n + 1,)
        Where each begins.

    Raises
    ------
    InputError
        If there is no response, or one is no list of numbers.
    """
    require(
        isinstance(rows, Iterable) and not isinstance(rows, (str, bytes)),
        f"{name} must hold an array of log-probabilities for each response; got {quoted(rows)}.",
        name,
    )
    arrays = [np.atleast_1d(as_numbers(f"{name}[{place}]", row)) for place, row in enumerate(rows)]
    require(len(arrays) > 0, f"{name} must hold at least one response; got none.", name)
    deep = next((place for place, row in enumerate(arrays) if row.ndim != 1), None)
    require(deep is None, f"{name}[{deep}] must be one-dimensional, the tokens of one response.", name)
    offsets = np.concatenate([[0], np.cumsum([row.size for row in arrays])]).astype(np.int64)
    return np.concatenate(arrays), offsets


def same_offsets(name: str, offsets: IntArray, same: IntArray) -> None:
    """Refuse two lists of responses that differ in their numbers of tokens.

    Parameters
    ----------
    name : str
        Whose they are, for messages.
    offsets, same : array of int (n + 1,)
        Where responses begin.

    Raises
    ------
    InputError
        If they differ.
    """
    if len(offsets) != len(same):
        raise InputError(f"{name} must have {len(offsets) - 1} responses; got {len(same) - 1}.")
    apart = np.flatnonzero(np.diff(offsets) != np.diff(same))
    if apart.size:
        i = int(apart[0])
        raise InputError(
            f"{name} must have as many tokens as the policy; response {i} has {np.diff(same)[i]}, not "
            f"{np.diff(offsets)[i]}. Score the same tokens with both models."
        )


def as_prompts(prompt: npt.ArrayLike | None, size: int) -> IntArray | None:
    """Return the prompts by number, in the order in which they appear.

    Parameters
    ----------
    prompt : array (n,), optional
        What names the prompt of each response.
    size : int
        Responses.

    Raises
    ------
    InputError
        If there are more or fewer.
    """
    if prompt is None:
        return None
    names = as_names("prompt", prompt)
    require(names.size == size, f"prompt must have {size} entries; got {names.size}.", "prompt")
    codes: dict[object, int] = {}
    return np.array([codes.setdefault(name, len(codes)) for name in names.tolist()], dtype=np.int64)
