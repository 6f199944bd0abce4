"""Every response a small language model can give: an enumerable space of token sequences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import IntArray, require

__all__ = ["END", "ResponseSpace"]

END = 0
"""The token that ends a response; the padding after it is the same token."""

_MOST_RESPONSES = 5_000_000


@dataclass(frozen=True)
class ResponseSpace:
    """All sequences of at most ``length`` content tokens ``1 … n_content``, in prefix-tree order.

    A response ends with the token 0 or at full length, so there are ``Σ_{k ≤ L} C^k`` of them. They are numbered by
    length and, within a length, as numbers to base C: the children of a response of length d stand side by side.

    Parameters
    ----------
    n_content : int
        Content tokens C, 1 to 127.
    length : int
        Largest number of content tokens L, at least 1.

    Raises
    ------
    InputError
        If a size is out of range or the space has more than five million responses.

    Examples
    --------
    >>> space = ResponseSpace(n_content=2, length=2)
    >>> space.tokens.tolist()
    [[0, 0], [1, 0], [2, 0], [1, 1], [1, 2], [2, 1], [2, 2]]
    >>> ResponseSpace().size, ResponseSpace(length=6).size
    (66430, 597871)
    """

    n_content: int = 9
    length: int = 5

    def __post_init__(self) -> None:
        require(1 <= self.n_content <= 127, f"n_content must lie in [1, 127]; got {self.n_content}.")
        require(self.length >= 1, f"length must be at least 1; got {self.length}.")
        require(
            self.size <= _MOST_RESPONSES,
            f"n_content = {self.n_content} and length = {self.length} make {self.size} responses, more than can be "
            f"enumerated here ({_MOST_RESPONSES}). Choose smaller ones.",
        )

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Number of the first response of each length 0 … L, and the size at the end: L + 2 numbers."""
        starts = [0]
        for d in range(self.length + 1):
            starts.append(starts[-1] + self.n_content**d)
        return tuple(starts)

    @property
    def size(self) -> int:
        """Number of responses."""
        return self.starts[-1]

    @property
    def n_outputs(self) -> int:
        """Tokens a model chooses between: the content tokens and the end."""
        return self.n_content + 1

    @cached_property
    def lengths(self) -> npt.NDArray[np.int8]:
        """Number of content tokens of each response, shape (size,)."""
        lengths = np.repeat(np.arange(self.length + 1, dtype=np.int8), np.diff(self.starts))
        lengths.flags.writeable = False
        return lengths

    @cached_property
    def tokens(self) -> npt.NDArray[np.int8]:
        """Every response, shape (size, length), padded with 0."""
        tokens = np.zeros((self.size, self.length), dtype=np.int8)
        for d in range(1, self.length + 1):
            rank = np.arange(self.n_content**d)
            for place in range(d):
                digit = rank // self.n_content ** (d - 1 - place) % self.n_content
                tokens[self.starts[d] : self.starts[d + 1], place] = digit + 1
        tokens.flags.writeable = False
        return tokens

    def index_of(self, tokens: npt.ArrayLike) -> IntArray:
        """Return the number of each response.

        Parameters
        ----------
        tokens : int array (…, width)
            Responses of any width; what follows the first 0 is ignored.

        Raises
        ------
        InputError
            If a token is not of the space, or a response is longer than ``length``.

        Examples
        --------
        >>> space = ResponseSpace(n_content=2, length=2)
        >>> space.index_of([[2, 0], [2, 1]]).tolist()
        [2, 5]
        """
        given = np.asarray(tokens)
        require(
            given.ndim >= 1 and np.issubdtype(given.dtype, np.integer),
            f"tokens must be whole numbers in an array of at least one dimension; got {given.dtype}, {given.shape}.",
        )
        going = np.cumprod(given != END, axis=-1, dtype=np.int64).astype(bool)
        lengths = going.sum(axis=-1)
        bad = going & ((given < 1) | (given > self.n_content))
        require(
            not bad.any(),
            f"tokens must lie in [0, {self.n_content}]; got {given[bad][0] if bad.any() else ''}. Cut the prompt off.",
        )
        require(
            not (lengths > self.length).any(),
            f"a response has at most {self.length} tokens before the end; got {lengths.max(initial=0)}.",
        )
        rank = np.zeros(given.shape[:-1], dtype=np.int64)
        for place in range(min(self.length, given.shape[-1])):
            here = going[..., place]
            rank = np.where(here, rank * self.n_content + given[..., place] - 1, rank)
        return np.asarray(np.asarray(self.starts, dtype=np.int64)[lengths] + rank)

    def index_range(self, length: int) -> slice:
        """Where the responses of one length stand.

        Parameters
        ----------
        length : int
            Content tokens, from 0 to the longest.

        Raises
        ------
        InputError
            If no response has that length.
        """
        require(0 <= length <= self.length, f"length must lie in [0, {self.length}]; got {length}.")
        return slice(self.starts[length], self.starts[length + 1])
