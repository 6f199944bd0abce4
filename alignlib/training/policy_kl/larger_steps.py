"""Steps that hold more responses than the others, of which nothing tells whether they were run again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.names import counted
from alignlib.training.policy_kl.responses import Responses

__all__ = ["of_larger_steps"]

_FEW = 3  # such steps at most: where more are larger, batches are of unlike size
_FAR_MORE = 1.5  # times the largest of the others


def of_larger_steps(parts: Sequence[Responses], taken: FloatArray | None = None) -> list[str]:
    """Name both readings of a step that may have been run again after a resume, where its rows do not tell.

    Of a step that holds more than the others, where these are of one size, or far more, or to whose prompts it comes
    back as no other step does, all count.

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


def _twice(first: IntArray, size: IntArray, prompt: Sequence[str]) -> list[int]:
    """Return the few steps that come back to a prompt after another one, where others have each in one piece.

    Parameters
    ----------
    first, size : array of int (k,)
        Where each step begins, and its responses.
    prompt : sequence of str
        The prompt of each response.

    Examples
    --------
    >>> prompts = ["a", "a", "b", "b"] * 2 + ["c", "c", "d", "d", "e", "e", "f", "f", "g", "g", "h", "h"]
    >>> _twice(np.array([0, 8, 12, 16]), np.array([8, 4, 4, 4]), prompts)
    [0]
    """
    pieces = [[name for name, _ in groupby(prompt[at : at + many])] for at, many in zip(first, size, strict=True)]
    back = [i for i, names in enumerate(pieces) if len(set(names)) < len(names)]
    return back if len(back) <= min(_FEW, first.size - len(back)) else []


def _larger(step: FloatArray, prompt: Sequence[str] | None) -> list[tuple[float, str]]:
    first = np.flatnonzero(np.diff(step, prepend=np.nan) != 0.0)
    size = np.diff(np.append(first, step.size))
    if first.size < 2 or np.unique(step[first]).size < first.size:
        return []
    values, often = np.unique(size, return_counts=True)
    usual = int(values[np.argmax(often)])  # the least of these
    larger = size > usual
    alike = int((size == usual).sum())
    said = dict[float, str]()
    if 0 < larger.sum() <= min(_FEW, alike) and alike == first.size - larger.sum() > 1:
        for at, many in zip(step[first[larger]].tolist(), size[larger].tolist(), strict=True):
            both = f"of a larger batch; if the step was run again after a resume, remove its first {many - usual}"
            held = f"Step {at:g} holds {counted(many, 'response')} where most others hold {usual}"
            said[at] = f"{held}. All of them count here, as {both}."
        return [*said.items()]
    said = dict(_largest(step[first], size))
    if prompt is None:
        return [*said.items()]
    for i in _twice(first, size, prompt):
        several = counted(int(size[i]), "response")
        seen, back = set[str](), 0
        for name, group in groupby(prompt[first[i] : first[i] + size[i]]):
            back += len([*group]) if name in seen else 0
            seen.add(name)
        held, as_of = f"Step {step[first[i]]:g} holds {several}, of which {back}", "of a larger batch"
        if size[i] <= np.delete(size, i).max():
            as_of = "of prompts that were drawn twice"
        sentence = (
            f"{held} come back to prompts after others, as at no other step. All of them count here, as {as_of}; if "
            "the step was run again after a resume, remove those of its first time."
        )
        said.setdefault(float(step[first[i]]), sentence)
    return [*said.items()]
