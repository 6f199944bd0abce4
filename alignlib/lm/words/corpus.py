"""English that is at hand without a network: the King James Bible as Debian packages it, its split and its prompts.

The text is in the public domain (in the United Kingdom it is printed under letters patent of the Crown). None of it is
part of this project: it is read from the package ``bible-kjv``, or from a file that the reader names.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alignlib._core.checks import IntArray, require
from alignlib._core.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["LENGTH", "PROMPT_LENGTH", "SPLITS", "Corpus", "WordsWorld", "read_verses"]

PROMPT_LENGTH = 10
"""Tokens of a prompt, without the start token in front."""
LENGTH = 40
"""Most tokens of a response."""
SPLITS = {"test": 0.10, "validation": 0.05}
"""Share of the chapters kept from pretraining and training; the others are for both."""

_REFERENCE = re.compile(r"^(\d?[A-Za-z]+)(\d+):(\d+) (.+)$")
_LEAST_LEFT = 8  # tokens of the verse after the prompt: a prompt is a beginning, not a whole


def read_verses(path: Path | None = None) -> dict[str, list[str]]:
    """Return the verses of each chapter, by names such as ``Ge1``.

    Parameters
    ----------
    path : path, optional
        A file with a verse a line, each after its reference (``Ge1:1 In the beginning …``); by default what Debian's
        ``bible -f`` writes.

    Raises
    ------
    InputError
        If there is no such text.
    """
    text = _of_package() if path is None else path.read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        match = _REFERENCE.match(line.strip())
        if match:
            book, chapter, _, verse = match.groups()
            found.setdefault(book + chapter, []).append(verse)
    require(len(found) >= 20, f"path must hold at least 20 chapters of verses like 'Ge1:1 In the …'; got {len(found)}.")
    return found


def _of_package() -> str:
    program = shutil.which("bible")
    if program is None:
        raise InputError(
            "path must name the text where the Debian package bible-kjv is not installed; install it (apt-get install "
            "bible-kjv), or give a file with a verse a line."
        )
    done = subprocess.run(
        [program, "-f", "gen1:1-rev22:21"], cwd="/usr/lib", capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@dataclass(frozen=True)
class Corpus:
    """Verses by what they are for: whole chapters go to one part, so that no verse is beside one of another part.

    Parameters
    ----------
    parts : mapping of str to tuple of str
        Verses of ``train``, ``validation`` and ``test``.

    Examples
    --------
    >>> corpus = Corpus.split({f"Ps{i}": [f"verse {i}"] for i in range(1, 41)})
    >>> {name: len(verses) for name, verses in corpus.parts.items()}
    {'test': 4, 'validation': 2, 'train': 34}
    """

    parts: Mapping[str, tuple[str, ...]]

    @classmethod
    def split(cls, chapters: Mapping[str, Sequence[str]], seed: int = 0) -> Corpus:
        """Draw the chapters of each part.

        Parameters
        ----------
        chapters : mapping of str to sequence of str
            Verses of each chapter.
        seed : int
            Of the draw.
        """
        names = list(chapters)
        order = np.random.default_rng(seed).permutation(len(names))
        sizes = [round(share * len(names)) for share in SPLITS.values()]
        cut = np.split(order, np.cumsum(sizes))
        return cls(
            {
                part: tuple(verse for number in sorted(rows) for verse in chapters[names[number]])
                for part, rows in zip((*SPLITS, "train"), cut, strict=True)
            }
        )


@dataclass(frozen=True)
class WordsWorld:
    """Prompts that begin verses, in tokens, and what trains on them: a world of `alignlib.lm.fleet`.

    Parameters
    ----------
    tokenizer : tokenizer
        Puts the start token 0 in front, which also ends a response.
    corpus : Corpus
        The verses.
    """

    tokenizer: PreTrainedTokenizerFast
    corpus: Corpus

    length = LENGTH

    def prompts(self, part: str) -> IntArray:
        """Beginnings of the verses of a part, each once, in the order of the text.

        Only beginnings that end where a word does: read as text, they give the same tokens again.

        Parameters
        ----------
        part : str
            ``train``, ``validation`` or ``test``.

        Returns
        -------
        array of int (P, 1 + PROMPT_LENGTH)
            Their tokens.
        """
        found: dict[tuple[int, ...], None] = {}
        for verse in self.encoded(part):
            if len(verse) >= 1 + PROMPT_LENGTH + _LEAST_LEFT and verse[1 + PROMPT_LENGTH] in self._starts_word:
                found[tuple(verse[: 1 + PROMPT_LENGTH])] = None
        return np.array(list(found), dtype=np.int64).reshape(len(found), 1 + PROMPT_LENGTH)

    def held_out(self, part: str, n: int, seed: int = 0) -> IntArray:
        """Draw prompts of a part that begin no verse to learn from.

        Parameters
        ----------
        part : str
            ``validation`` or ``test``.
        n : int
            How many.
        seed : int
            Of the draw.

        Raises
        ------
        InputError
            If there are fewer.
        """
        known = {tuple(row) for row in self.pool_of_training.tolist()}
        fresh = np.array([row for row in self.prompts(part).tolist() if tuple(row) not in known], dtype=np.int64)
        require(len(fresh) >= n, f"n must not exceed the {len(fresh)} prompts of {part!r}; got {n}.")
        return fresh[np.sort(np.random.default_rng(seed).permutation(len(fresh))[:n])]

    def encoded(self, part: str) -> list[list[int]]:
        """Tokens of each verse of a part, with the start token in front and no end.

        Parameters
        ----------
        part : str
            ``train``, ``validation`` or ``test``.
        """
        found: list[list[int]] = self.tokenizer(list(self.corpus.parts[part]))["input_ids"]
        return found

    def texts(self, tokens: IntArray) -> list[str]:
        """Write rows of tokens as text, without start, end and what follows the end.

        Parameters
        ----------
        tokens : array of int (n, length)
            Prompts or responses.
        """
        rows = np.asarray(tokens).tolist()
        found: list[str] = self.tokenizer.backend_tokenizer.decode_batch(rows, skip_special_tokens=True)
        return found

    @cached_property
    def _starts_word(self) -> frozenset[int]:
        return frozenset(i for token, i in self.tokenizer.get_vocab().items() if token.startswith("Ġ"))

    @cached_property
    def pool_of_training(self) -> IntArray:
        """Every prompt to learn from."""
        return self.prompts("train")

    # -- what a fleet asks of its world --------------------------------------------------------------------------------

    def fresh(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw prompts to learn from.

        Parameters
        ----------
        n : int
            How many.
        rng : Generator
            Source of randomness.

        Returns
        -------
        array of int (n, 1 + PROMPT_LENGTH)
            One may come twice.
        """
        return self.pool_of_training[rng.integers(len(self.pool_of_training), size=n)]

    def pool(self, n: int, number: int = 0) -> IntArray:
        """Return distinct prompts to learn from.

        Parameters
        ----------
        n : int
            How many.
        number : int
            Which pool.

        Raises
        ------
        InputError
            If there are fewer.
        """
        rng = np.random.default_rng([7, number])
        require(n <= len(self.pool_of_training), f"n must not exceed {len(self.pool_of_training)} prompts; got {n}.")
        return self.pool_of_training[rng.permutation(len(self.pool_of_training))[:n]]

    def features(self, prompts: IntArray) -> IntArray:
        """What rewards know of a prompt beside its tokens: nothing.

        Parameters
        ----------
        prompts : array of int (n, tokens)
            Prompts.

        Returns
        -------
        array of int (n, 0)
            Nothing.
        """
        return np.zeros((len(prompts), 0), dtype=np.int64)
