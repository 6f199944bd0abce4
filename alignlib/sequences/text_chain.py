"""A Markov chain of letters estimated from real text, and rewards on its transitions."""

from __future__ import annotations

import importlib
import unicodedata
from pathlib import Path

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError

__all__ = ["LETTERS", "letter_chain", "letter_states", "python_reference_text", "read_text", "transition_reward"]

LETTERS = " abcdefghijklmnopqrstuvwxyz"
_VOWELS = "aeiouy"


def python_reference_text() -> str:
    """Return the English text that every CPython carries: the language reference behind ``help()``.

    It is the module ``pydoc_data.topics`` of the standard library; it differs a little between Python versions.

    Examples
    --------
    >>> "lambda" in python_reference_text()
    True
    """
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return "\n".join(topics[name] for name in sorted(topics))


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    InputError
        If the file cannot be read, or is not text in UTF-8.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "text.txt")
    ...     _ = file.write_text("π", encoding="utf-8")
    ...     read_text(file)
    'π'
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"text must be a text file in UTF-8; {path} is not, at byte {error.start}. Save it in UTF-8."
        ) from error
    except OSError as error:
        raise InputError(
            f"text must be a file that can be read; {path} cannot ({error.strerror}).", argument="text"
        ) from error


def letter_states(text: str) -> IntArray:
    """Return the text as states: 0 for a run of anything that is no letter, 1 to 26 for a to z without accents.

    Parameters
    ----------
    text : str
        Any text.

    Examples
    --------
    >>> letter_states("Où? ok").tolist()
    [15, 21, 0, 15, 11]
    """
    plain = unicodedata.normalize("NFKD", text).lower()
    codes = np.array([LETTERS.find(c) for c in plain if not unicodedata.combining(c)], dtype=np.int64)
    codes = np.where(codes < 0, 0, codes)
    repeated = np.concatenate([[False], (codes[1:] == 0) & (codes[:-1] == 0)])
    return np.asarray(codes[~repeated]) if codes.size else codes


def letter_chain(states: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the maximum-likelihood chain of a sequence of states, closed to a circle.

    Closing it makes the chain irreducible on the states that occur and the letter frequencies its stationary law, at
    the price of one transition that the text does not have.

    Parameters
    ----------
    states : array (n,)
        States 0, 1, …; two different ones at least.

    Returns
    -------
    transition : array (k, k)
        Estimated transition matrix over the states that occur.
    law : array (k,)
        Their frequencies.
    kept : array (k,)
        Which states occur.

    Raises
    ------
    InputError
        If fewer than two different states occur.

    Examples
    --------
    >>> letter_chain(np.array([0, 1, 0, 2]))[0].tolist()
    [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    kept, index = np.unique(states, return_inverse=True)
    held = "".join(LETTERS[i] for i in kept.tolist() if i < len(LETTERS)).strip()
    require(
        kept.size >= 2,
        f"text must hold two different letters of a to z, or one and a space; it holds {held or 'no letter'}.",
    )
    counts = np.zeros((kept.size, kept.size))
    np.add.at(counts, (index, np.roll(index, -1)), 1.0)
    totals = counts.sum(axis=1)
    return counts / totals[:, None], totals / totals.sum(), kept


def transition_reward(kind: str, kept: IntArray) -> FloatArray:
    """Return a reward on transitions between letters, shape (k, k).

    Parameters
    ----------
    kind : str
        ``alternation``: 1 where a vowel and a consonant follow each other; ``words``: 1 where a word ends;
        ``doubles``: 1 where a letter is repeated.
    kept : array (k,)
        The letters, as indices into :data:`LETTERS`.

    Raises
    ------
    InputError
        If ``kind`` is none of these.

    Examples
    --------
    >>> kept = np.array([LETTERS.index(letter) for letter in "abs"])
    >>> transition_reward("alternation", kept).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    vowel = np.array([LETTERS[i] in _VOWELS for i in kept.tolist()])
    space = kept == 0
    kinds = {
        "alternation": (vowel[:, None] != vowel[None, :]) & ~space[:, None] & ~space[None, :],
        "words": ~space[:, None] & space[None, :],
        "doubles": (kept[:, None] == kept[None, :]) & ~space[:, None],
    }
    require(kind in kinds, f"reward must be one of {', '.join(kinds)}; got {kind!r}.")
    return np.asarray(kinds[kind], dtype=np.float64)
