"""What each prompt had at each checkpoint, where a log holds single responses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields

__all__ = ["PerPrompt"]


@dataclass(frozen=True, eq=False)
class PerPrompt(SameFields):
    """Means over the responses to a prompt at a checkpoint, a row each.

    Attributes
    ----------
    checkpoint : array of int (m,)
        Position of the checkpoint in its log.
    prompt : array (m,)
        Name of the prompt.
    kl : array (m,)
        KL in nats per sequence.
    reward : array (m,)
        Mean reward.
    count : array (m,)
        Responses.
    """

    checkpoint: IntArray
    prompt: npt.NDArray[np.object_]
    kl: FloatArray
    reward: FloatArray
    count: FloatArray

    def moved(self, place: IntArray) -> PerPrompt:
        """Return the checkpoints by their new positions; -1 leaves one out, and those that share one are averaged.

        Parameters
        ----------
        place : array of int (checkpoints,)
            The new position of each.

        Examples
        --------
        >>> held = PerPrompt(np.array([0, 1]), np.array(["a", "a"], dtype=object), np.zeros(2), np.array([1.0, 3.0]),
        ...     np.ones(2))
        >>> held.moved(np.array([0, 0])).reward.tolist(), held.moved(np.array([-1, 0])).reward.tolist()
        ([2.0], [3.0])
        """
        new = place[self.checkpoint]
        kept = np.flatnonzero(new >= 0)
        return per_prompt_means(new[kept], self.prompt[kept], self.kl[kept], self.reward[kept], self.count[kept])

    def errors(self, size: int) -> tuple[FloatArray, FloatArray]:
        """Return the standard errors of mean KL and mean reward over prompts at each of ``size`` checkpoints.

        Parameters
        ----------
        size : int
            Number of checkpoints.

        Returns
        -------
        kl, reward : array (size,)
            Standard errors.
        """
        count = np.bincount(self.checkpoint, minlength=size).astype(np.float64)
        found = []
        for values in (self.kl, self.reward):
            mean = np.bincount(self.checkpoint, values, size) / np.maximum(count, 1.0)
            square = np.bincount(self.checkpoint, (values - mean[self.checkpoint]) ** 2, size)
            with np.errstate(invalid="ignore", divide="ignore"):
                found.append(np.where(count > 1, np.sqrt(square / (count - 1.0) / count), np.nan))
        return found[0], found[1]

    def errors_of_kl(self, weights: FloatArray) -> FloatArray:
        """Return the standard errors over prompts of weighted sums of the checkpoints' mean KLs, (sums,).

        A prompt that is at several checkpoints counts once, by all that it has there: what it has in common at these
        does not cancel. Infinite where a checkpoint has a single prompt, from which nothing is known.

        Parameters
        ----------
        weights : array (sums, checkpoints)
            Of each checkpoint in each sum.

        Examples
        --------
        >>> held = PerPrompt(np.array([0, 0, 1, 1]), np.array(["a", "b", "a", "b"], dtype=object),
        ...     np.array([0.0, 2.0, 1.0, 3.0]), np.zeros(4), np.ones(4))
        >>> held.errors_of_kl(np.array([[1.0, 0.0], [0.5, 0.5], [-1.0, 1.0]])).round(12).tolist()
        [1.0, 1.0, 0.0]
        """
        size = weights.shape[1]
        count = np.bincount(self.checkpoint, minlength=size).astype(np.float64)
        away = self.kl - (np.bincount(self.checkpoint, self.kl, size) / np.maximum(count, 1.0))[self.checkpoint]
        scale = 1.0 / np.sqrt(np.maximum(count * (count - 1.0), 1.0))
        names, code = np.unique(self.prompt.astype(str), return_inverse=True)
        parts = np.zeros((size, names.size))
        np.add.at(parts, (self.checkpoint, code), away * scale[self.checkpoint])
        found = np.sqrt(((weights @ parts) ** 2).sum(axis=1))
        return np.where((weights[:, count < 2.0] != 0.0).any(axis=1), np.inf, found)


def per_prompt_means(
    checkpoint: IntArray,
    prompt: npt.NDArray[np.object_],
    kl: FloatArray,
    reward: FloatArray,
    responses: FloatArray | None = None,
) -> PerPrompt:
    """Average rows of one checkpoint and prompt; a row stands for one response, or for as many as said.

    Parameters
    ----------
    checkpoint : array of int (rows,)
        Which checkpoint a row is of.
    prompt : array of object (rows,)
        Its prompt.
    kl : array (rows,)
        KL per sequence in nats.
    reward : array (rows,)
        Reward.
    responses : array (rows,), optional
        How many responses a row stands for.

    Returns
    -------
    PerPrompt
        Means, and numbers of responses.
    """
    codes: dict[tuple[int, object], int] = {}
    pairs = zip(checkpoint.tolist(), prompt.tolist(), strict=True)
    row = np.array([codes.setdefault(pair, len(codes)) for pair in pairs], dtype=np.int64)
    count = np.bincount(row, minlength=len(codes)).astype(np.float64)
    names = np.empty(len(codes), dtype=object)
    names[:] = [name for _, name in codes]
    return PerPrompt(
        np.array([place for place, _ in codes], dtype=np.int64),
        names,
        np.bincount(row, kl, len(codes)) / count,
        np.bincount(row, reward, len(codes)) / count,
        count if responses is None else np.bincount(row, responses, len(codes)).astype(np.float64),
    )
