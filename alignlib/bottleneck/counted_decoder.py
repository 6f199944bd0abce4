"""The error of the best decoder of a counted channel: on the labels it was counted from, and on labels held out.

The decoder that names, for each label, the target that gave it most often errs least if the counted frequencies are the
channel. Judged on the same counts it looks too good, for it has seen them; judged on labels that it has not seen it is
worse than the best decoder of the true channel. So in expectation that one's error, the exact Bayes error for equally
likely targets, lies between the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, as_float_array, require

__all__ = ["DecoderError", "decoder_error", "decoder_error_by_rater"]


@dataclass(frozen=True)
class DecoderError:
    """How often the best decoder of counted labels errs.

    Attributes
    ----------
    in_sample : float
        On the labels counted, too low on average.
    held_out : float
        On labels left out when it was made.

    Examples
    --------
    >>> found = decoder_error(np.array([[3, 1], [1, 3]]))
    >>> found.in_sample, round(found.held_out, 3)
    (0.25, 0.25)
    """

    in_sample: float
    held_out: float


def decoder_error(counts: FloatArray) -> DecoderError:
    """Return both errors for equally likely targets, each label held out in turn.

    Parameters
    ----------
    counts : array (targets, labels)
        How often each label was given to each target; targets without labels are left out.

    Raises
    ------
    InputError
        If a target has a single label, or fewer than two have any.

    Examples
    --------
    >>> found = decoder_error(np.array([[90, 10], [20, 80]]))
    >>> round(found.in_sample, 4), round(found.held_out, 4)
    (0.15, 0.15)
    """
    table = as_float_array("counts", counts)
    table = table[table.sum(axis=1) > 0]
    size = table.sum(axis=1)
    require(len(table) > 1 and bool((size > 1).all()), "counts must hold two targets or more, with two labels each.")
    rows = table / size[:, None]
    rivals = _best_rival(rows)
    without = (table - 1.0) / (size - 1.0)[:, None]
    return DecoderError(
        in_sample=1.0 - float(rows.max(axis=0).sum()) / len(table),
        held_out=1.0 - float((rows * _wins(without, *rivals)).sum()) / len(table),
    )


def decoder_error_by_rater(target: IntArray, label: IntArray, rater: IntArray, shape: tuple[int, int]) -> DecoderError:
    """Return the same with all labels of a rater held out together.

    Parameters
    ----------
    target, label, rater : array (labels given,)
        Codes; every target must have labels.
    shape : tuple
        Numbers of targets and labels.

    Examples
    --------
    >>> target = np.array([0, 1] * 6)
    >>> decoder_error_by_rater(target, target, np.repeat([0, 1, 2], 4), (2, 2))
    DecoderError(in_sample=0.0, held_out=0.0)
    """
    table = np.zeros(shape)
    np.add.at(table, (target, label), 1.0)
    size = table.sum(axis=1)
    right = np.zeros(shape[0])
    for one in np.unique(rater):
        mine = rater == one
        rest = table.copy()
        np.add.at(rest, (target[mine], label[mine]), -1.0)
        left = rest.sum(axis=1)
        rows = rest / np.where(left > 0, left, 1.0)[:, None]
        won = _wins(rows, *_best_rival(rows))
        right += np.bincount(target[mine], won[target[mine], label[mine]], shape[0])
    rows = table / size[:, None]
    return DecoderError(1.0 - float(rows.max(axis=0).sum()) / shape[0], 1.0 - float((right / size).mean()))


def _best_rival(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return, for each target and label, the largest frequency among other targets, and how many others have it."""
    second, first = np.sort(rows, axis=0)[-2:]
    leads = rows == first
    many = leads.sum(axis=0)
    alone = leads & (many == 1)
    return np.where(alone, second, first), np.where(alone, (rows == second).sum(axis=0), many - leads)


def _wins(own: FloatArray, rival: FloatArray, many: FloatArray) -> FloatArray:
    """Probability that a decoder which breaks ties at random names the target."""
    return np.where(own > rival, 1.0, np.where(own == rival, 1.0 / (1.0 + many), 0.0))
