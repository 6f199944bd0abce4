"""The table of checked answers: many prompts, several responses each, which are right, and what they answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignlib._core.array_likes import as_names
from alignlib._core.checks import BoolArray, FloatArray, IntArray, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted, look_alike
from alignlib._core.same import SameFields
from alignlib.tables.arrays import Rewards
from alignlib.tables.as_identifiers import spelled_number, texts
from alignlib.tables.columns import require_column
from alignlib.tables.reading import open_table_file
from alignlib.tables.rewards import RewardTable
from alignlib.tables.table_file import TableFile

__all__ = ["AnswerTable", "PromptAnswers"]

_ABSTAINS = -1


@dataclass(frozen=True, eq=False)
class PromptAnswers(SameFields):
    """The answers of one prompt.

    Attributes
    ----------
    counts : array of int (answers,)
        How often each was given.
    right : array of bool (answers,)
        Which are right.
    abstaining : int
        How many responses gave none.

    Examples
    --------
    >>> (one,) = AnswerTable.from_arrays(answer=[["a", "a", "b"]], correct=[[1, 1, 0]]).answers()
    >>> one.counts.tolist(), one.right.tolist(), one.abstaining
    ([2, 1], [True, False], 0)
    """

    counts: IntArray
    right: BoolArray
    abstaining: int


@dataclass(frozen=True, eq=False)
class AnswerTable(SameFields):
    """Checked responses, rows grouped by prompt; made by `from_arrays` or `read`.

    Attributes
    ----------
    prompts : array (prompts,)
        What each prompt is called.
    offsets : array of int (prompts + 1,)
        Prompt ``i`` owns rows ``offsets[i]:offsets[i + 1]``.
    correct : array of bool (rows,)
        Whether each response is right.
    answer : array of int (rows,), optional
        A code for each answer, -1 for a response without one; None where answers were not asked for.
    score : array (rows,), optional
        A verifier's score of each response; None where it was not asked for.
    dropped : int
        Rows left out for a missing cell.
    notes : tuple of str
        Sentences on how the table was read.

    Examples
    --------
    >>> table = AnswerTable.from_arrays([[1, 0, 1], [0, 0]], answer=[["A", "B", "A"], ["C", "D"]])
    >>> table.n_prompts, table.n_samples.tolist(), table.n_correct.tolist()
    (2, [3, 2], [2, 0])
    >>> [(one.counts.tolist(), one.right.tolist()) for one in table.answers()]
    [([2, 1], [True, False]), ([1, 1], [False, False])]
    """

    prompts: npt.NDArray[np.object_]
    offsets: IntArray
    correct: BoolArray
    answer: IntArray | None = None
    score: FloatArray | None = None
    dropped: int = 0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the sizes."""
        size = f"{counted(self.n_prompts, 'prompt')}, {counted(int(self.offsets[-1]), 'response')}"
        return f"<AnswerTable: {size}, {self.correct.mean():.1%} right>"

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    @property
    def n_samples(self) -> IntArray:
        """Responses to each prompt, shape (prompts,)."""
        return np.diff(self.offsets)

    @property
    def n_correct(self) -> IntArray:
        """Right responses to each prompt, shape (prompts,)."""
        return np.add.reduceat(self.correct.astype(np.int64), self.offsets[:-1])

    def answers(self) -> Iterator[PromptAnswers]:
        """Yield the answers of each prompt.

        Raises
        ------
        InputError
            If the table was read without answers.
        """
        require(self.answer is not None, "The table was read without answers; name their column in answer.", "answer")
        assert self.answer is not None
        for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            given = self.answer[start:end]
            names, first, counts = np.unique(given, return_index=True, return_counts=True)
            voiced = names != _ABSTAINS
            yield PromptAnswers(counts[voiced], self.correct[start:end][first[voiced]], int(counts[~voiced].sum()))

    @classmethod
    def from_arrays(
        cls,
        correct: Rewards,
        *,
        answer: Sequence[Any] | npt.NDArray[Any] | None = None,
        score: Rewards | None = None,
        prompts: npt.ArrayLike | None = None,
    ) -> AnswerTable:
        """Build a table from one array a prompt.

        Parameters
        ----------
        correct : array_like (prompts, responses), or a list with an array for each prompt
            1 (or True) where a response is right, else 0.
        answer : the same shape, optional
            What each response answers, text or numbers; None (or NaN, NA) where it gives no answer.
        score : the same shape, optional
            What a verifier says of each response; the largest is picked.
        prompts : array_like (prompts,), optional
            Names of the prompts.

        Raises
        ------
        InputError
            For values other than 0 and 1 in ``correct``, arrays that do not belong together, or one answer to a prompt
            that is right and wrong.
        """
        columns: dict[str, Any] = {"correct": correct}
        names: tuple[str, ...] = ()
        if answer is not None:
            rows = _rows_of_answers(answer)
            sizes = np.cumsum([row.size for row in rows])[:-1]
            names, codes = _coded([None if value is None else str(value) for row in rows for value in row.tolist()])
            codes = np.where(codes == len(names), float(_ABSTAINS), codes)
            columns["answer"] = np.split(codes, sizes)
        if score is not None:
            columns["score"] = score
        table = RewardTable.from_arrays(columns, prompts=prompts)
        return cls._of(table, "the arrays", "correct", "answer" if answer is not None else None, names, "score")

    @classmethod
    def read(
        cls,
        path: str | Path | TableFile,
        correct: str = "correct",
        *,
        answer: str | None = None,
        score: str | None = None,
        prompt: str | None = "prompt_id",
        sample: str | None = None,
        blank_abstains: bool = False,
        abstains: Sequence[str] = (),
        drop_missing: bool = False,
    ) -> AnswerTable:
        """Read checked responses from a file of any known format, one row per response.

        Parameters
        ----------
        path : path or opened table
            The file; its extension tells the format.
        correct : str
            Column that is 1 or true where the response is right, else 0 or false.
        answer : str, optional
            Column with what the response answers. Numbers that are equal are one answer, other texts are compared as
            they are written.
        score : str, optional
            Column of a verifier's score, or ``mean:…`` of several, as in `RewardTable.read`.
        prompt, sample : str, optional
            Columns that name the prompt, and tell its responses apart, as in `RewardTable.read`.
        blank_abstains : bool
            Responses without an answer cast no vote; without it they are an error.
        abstains : list of str
            Answers that are none, such as ``["[invalid]"]``: such responses cast no vote either.
        drop_missing : bool
            Go on without responses that lack a value; ``notes`` says how many.

        Raises
        ------
        InputError
            With one sentence that says what is wrong, where, and what to do.
        """
        file = path if isinstance(path, TableFile) else open_table_file(path)
        correct = require_column(file, correct, "correct")
        taken = {"correct": correct, "answer": answer, "score": score, "prompt": prompt, "sample": sample}
        for what, name in taken.items():
            other = next((w for w, its in taken.items() if its == name and w != what), None)
            if name is not None and other is not None:
                raise InputError(
                    f"{name!r} is asked for twice, as ({what}) and as ({other}); name two columns.",
                    argument=other,
                    column=name,
                )
        require(
            answer is not None or not (blank_abstains or abstains),
            "Only answers abstain: pass answer, the column that holds them.",
            "answer",
        )
        names: tuple[str, ...] = ()
        if answer is not None:
            answer = require_column(file, answer, "answer")
            file, names = _with_codes(file, answer, blank_abstains, abstains, drop_missing)
        if score is not None:
            score = require_column(file, score, "score")
        wanted = [name for name in (correct, answer, score) if name is not None]
        table = RewardTable.read(file, prompt, wanted, sample=sample, drop_missing=drop_missing, min_samples=1)
        return cls._of(table, file.path, correct, answer, names, score)

    @classmethod
    def _of(
        cls,
        table: RewardTable,
        where: str,
        correct: str,
        answer: str | None,
        names: Sequence[str],
        score: str | None,
    ) -> AnswerTable:
        right = table.column(correct)
        other = right[(right != 0.0) & (right != 1.0)]
        if other.size:
            raise InputError(
                f"{correct!r} of {where} must be 1 or 0 for each response, right or wrong; {other.size} of "
                f"{right.size} values are not, the first is {other[0]:g}. Set a threshold where it is a score.",
                column=correct,
                argument="correct",
            )
        flags = right == 1.0
        codes = None if answer is None else table.column(answer).astype(np.int64)
        notes = table.notes
        if codes is not None:
            silent = codes == _ABSTAINS
            _check_one_verdict(table, codes, flags, where, names)
            notes = (*notes, *filter(None, [look_alike(answer or "", names)]))
            if silent.any():
                notes = (*notes, f"{int(silent.sum())} of {silent.size} responses give no answer and cast no vote.")
            if bool((flags & silent).any()):
                notes = (*notes, "Some of them are marked right; in a vote they count for nothing.")
        scores = table.columns.get(score) if score is not None else None
        return cls(table.prompts, table.offsets, flags, codes, scores, table.dropped, notes)

    def only(self, prompts: BoolArray) -> AnswerTable:
        """Return the table of some of the prompts.

        Parameters
        ----------
        prompts : array of bool (prompts,)
            True for those that are kept.
        """
        kept = np.repeat(prompts, self.n_samples)
        sizes = self.n_samples[prompts]
        return replace(
            self,
            prompts=self.prompts[prompts],
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            correct=self.correct[kept],
            answer=None if self.answer is None else self.answer[kept],
            score=None if self.score is None else self.score[kept],
        )


def _rows_of_answers(answer: Any) -> list[npt.NDArray[np.object_]]:
    """Return the answers to each prompt; None where there is none."""
    rows = None
    if not (isinstance(answer, (str, bytes, set, frozenset, Mapping)) or hasattr(type(answer), "columns")):
        with contextlib.suppress(Exception):  # what has no elements raises whatever its library likes
            rows = list(answer)
    if rows is None:
        raise InputError(
            f"answer must hold a list of answers for each prompt; got {quoted(answer)}. Give it in the shape of "
            "correct.",
            argument="answer",
        )
    return [as_names("answer", row, with_gaps=True) for row in rows]


def _coded(values: Sequence[str | None]) -> tuple[tuple[str, ...], FloatArray]:
    """Return names and their codes; the code of no value is the number of names."""
    spelled = [value if value is None else spelled_number(value.strip()) or value.strip() for value in values]
    place: dict[str, int] = {}
    for value in spelled:
        if value is not None:
            place.setdefault(value, len(place))
    codes = [len(place) if value is None else place[value] for value in spelled]
    return tuple(place), np.array(codes, dtype=np.float64)


def _with_codes(
    file: TableFile, answer: str, blank: bool, none: Sequence[str], dropped: bool
) -> tuple[TableFile, tuple[str, ...]]:
    """Return the file with codes in place of answers, no value where none was given."""
    column = texts(file, answer, file.load([answer])[answer])
    if column.null_count and not (blank or dropped):
        rows = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist()
        raise InputError(
            f"{len(rows)} of {len(column)} responses of {file.path} have no {answer!r}{file.word_for_missing(answer)}; "
            f"{file.where(rows[:5], total=len(rows))}. Fill them in, pass blank_abstains=True if such a response casts "
            "no vote, or drop_missing=True to go on without it.",
            argument="answer",
            column=answer,
            rows=rows,
        )
    encoded = column.dictionary_encode()
    written = encoded.dictionary.to_pylist()
    names, of_names = _coded(written)
    first: dict[float, str] = {}
    for text, code in zip(written, of_names.tolist(), strict=True):
        if first.setdefault(code, text) != text:
            file.note(f"Answers in {answer!r} that are one number count as one, such as {first[code]!r} and {text!r}.")
            break
    for text in none:
        if text.strip() not in names:
            raise InputError(
                f"no response of {file.path} answers {text!r} in {answer!r}, so none abstains by it (abstains); write "
                "it as it is in the column.",
                argument="abstains",
                column=answer,
            )
        of_names[of_names == names.index(text.strip())] = _ABSTAINS
    places = encoded.indices.fill_null(len(of_names)).to_numpy()
    codes = np.append(of_names, float(_ABSTAINS) if blank else np.nan)[places]

    def read(columns: list[str]) -> pa.Table:
        own = file.load([name for name in columns if name != answer])
        held = {name: own[name] for name in own.column_names} | {answer: pa.chunked_array([pa.array(codes)])}
        return pa.table({name: held[name] for name in columns})

    return replace(file, read=read, nested={}), names


def _check_one_verdict(table: RewardTable, codes: IntArray, right: BoolArray, where: str, names: Sequence[str]) -> None:
    """Refuse an answer to a prompt that is right in one response and wrong in another: a vote for it is neither."""
    prompt = np.repeat(np.arange(table.n_prompts), table.n_samples)
    given = codes != _ABSTAINS
    pairs, place = np.unique(np.stack([prompt, codes])[:, given], axis=1, return_inverse=True)
    total = np.bincount(place.reshape(-1))
    ours = np.bincount(place.reshape(-1), right[given], total.size)
    mixed = np.flatnonzero((ours > 0) & (ours < total))
    if mixed.size:
        at = int(mixed[0])
        name = names[int(pairs[1, at])]
        raise InputError(
            f"{counted(mixed.size, 'answer')} of {where} are right in some responses and wrong in others, the first "
            f"{name!r} to prompt {table.prompts[pairs[0, at]]!r} ({int(ours[at])} of {int(total[at])} right): whether "
            "a vote for it is right cannot be said. Correct the column, or leave out answer.",
            argument="answer",
        )
