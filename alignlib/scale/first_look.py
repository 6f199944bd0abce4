"""How wide bins are: by the range of the first rewards that are seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignlib._core.errors import InputError
from alignlib.scale.bins import width_for
from alignlib.scale.joining import usual_bins
from alignlib.scale.parts import Part
from alignlib.scale.reading_parts import Question, first_ranges

__all__ = ["first_look"]

_FINEST = 20  # bits that a width lies below the largest reward of the first piece, at most
_FEW_LEVELS, _OF_LEVELS = 1024, 1 << 16  # of a combination; and bins that tell them apart, few of them occupied
_OF_A_BIN = 9  # samples that take the room of one


def first_look(parts: Sequence[Part], question: Question, skip_corrupt: bool) -> tuple[tuple[float, ...], float]:
    """Choose widths by the range of the first piece that has rewards, and guess what part of its samples is held.

    Parameters
    ----------
    parts : sequence of Part
        In their order.
    question : Question
        What is read of them.
    skip_corrupt : bool
        Whether to go on where one cannot be read.

    Returns
    -------
    widths : tuple of float
        One for each reward.
    held : float
        At most 1.
    """
    for part in parts:
        try:
            found = first_ranges(part, question)
        except InputError:
            if skip_corrupt:
                continue
            break  # what is wrong is said when its turn comes
        if found is not None:
            ends, n_samples, n_prompts, levels = found
            bins = usual_bins(len(ends))
            most = bins * _OF_A_BIN
            few = n_samples <= n_prompts * max(question.exact_up_to, most)
            # What combines scores of few levels has few levels too, some close to each other.
            fine = question.combined and levels <= _FEW_LEVELS
            widths = tuple(_width_of(*one, _OF_LEVELS if fine and not k else bins) for k, one in enumerate(ends))
            return widths, 1.0 if few else n_prompts * most / n_samples
    return (1.0,) * len(question.rewards), 1.0


def _width_of(low: float, high: float, bins: int) -> float:
    """Choose a width by the ends of rewards, which may be nearly equal where those of other parts are not."""
    most = max(-low, high)
    least = math.ldexp(1.0, math.frexp(most)[1] - _FINEST) if most > 0.0 else 0.0
    return max(width_for(low, high, bins), least)
