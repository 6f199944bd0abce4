"""Steps that hold more responses than the others, of which nothing tells whether they were run again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.names import counted
from alignlib.training.policy_kl.responses import Responses

__all__ = ["of_larger_steps"]

_FEW = 3  # such steps at most: where more are larger, batches are of unlike size
_FAR_MORE = 1.5  # times the largest of the others


def of_larger_steps(parts: Sequence[Responses], taken: FloatArray | None = None) -> list[str]:
    """Name both readings of a step that may have been run again after a resume, where its rows do not tell.

    Of a step that holds more than the others, with the same prompts over again or where all others are of one size, all
    count.

    Parameters
    ----------
    parts : sequence of Responses
        The files of a run, less what was surely run again.
    taken : array, optional
        The steps that are taken; all of them by default.
    """
    said = list[str]()
    for one in parts:
        if one.step is None or one.opened is not None or one.process is not None:
            continue
        split = [None] * one.step.size if one.split is None else one.split.to_pylist()
        prompt = None if one.prompt is None else [str(name) for name in one.prompt.to_pylist()]
        for name in dict.fromkeys(split):
            rows = [i for i, each in enumerate(split) if each == name]
            found = _larger(one.step[rows], None if prompt is None else [prompt[i] for i in rows])
            said += [sentence for step, sentence in found if taken is None or step in taken]
    return list(dict.fromkeys(said))


def _largest(step: FloatArray, size: IntArray) -> list[tuple[float, str]]:
    """Name both readings of the few steps that hold far more than any other, where batches are of unlike size.

    Parameters
    ----------
    step, size : array (k,)
        Steps, and the responses of each.

    Examples
    --------
    >>> [step for step, _ in _largest(np.arange(6.0), np.array([6, 9, 18, 6, 9, 18]))]
    [2.0, 5.0]
    >>> _largest(np.arange(5.0), np.array([6, 9, 6, 9, 12]))
    []
    """
    order = np.argsort(-size, kind="stable")
    for many in range(1, min(_FEW, step.size - _FEW) + 1):
        top, others = np.sort(order[:many]), size[order[many:]]
        if size[top].min() >= _FAR_MORE * others.max():
            break
    else:
        return []
    said = list[tuple[float, str]]()
    for one in top.tolist():
        sentence = (
            f"Step {step[one]:g} holds {counted(int(size[one]), 'response')} where others hold {others.min()} to "
            f"{others.max()}. All of them count here, as of a larger batch; if the step was run again after a resume, "
            "remove those of its first time."
        )
        said.append((float(step[one]), sentence))
    return said


def _larger(step: FloatArray, prompt: Sequence[str] | None) -> list[tuple[float, str]]:
    first = np.flatnonzero(np.diff(step, prepend=np.nan) != 0.0)
    size = np.diff(np.append(first, step.size))
    if first.size < 2 or np.unique(step[first]).size < first.size:
        return []
    values, often = np.unique(size, return_counts=True)
    usual = int(values[np.argmax(often)])  # the least of these
    larger = size > usual
    if not 0 < larger.sum() <= min(_FEW, int((size == usual).sum())):
        return _largest(step[first], size)
    said = list[tuple[float, str]]()
    of_one_size = int((size == usual).sum()) == first.size - int(larger.sum()) > 1
    for start, many in zip(first[larger].tolist(), size[larger].tolist(), strict=True):
        earlier = many - usual
        if prompt is not None and not of_one_size:  # a resume may go on with other prompts
            own, last = prompt[start : start + many], prompt[start + earlier : start + many]
            if own[:earlier] != [last[i % usual] for i in range(earlier)] or len(set(own)) < 2:
                continue
        others = "the other one holds" if first.size == 2 else "most others hold"
        sentence = (
            f"Step {step[start]:g} holds {counted(many, 'response')} where {others} {usual}. All of them count here, "
            f"as of a larger batch; if the step was run again after a resume, remove its first {earlier}."
        )
        said.append((float(step[start]), sentence))
    return said
