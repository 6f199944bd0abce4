"""Reading a part: the samples of each piece as a summary, and what tells the file apart from others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.hashed import hashed
from alignlib.scale.dealt import names_of_groups
from alignlib.scale.kept_members import KINDS
from alignlib.scale.keys import keys_of
from alignlib.scale.parts import Part, from_anywhere, opened
from alignlib.scale.responses import Responses
from alignlib.scale.summary import Summary
from alignlib.scale.summary_file import holds_summary
from alignlib.tables import LARGEST_REWARD, TableFile, open_pieces, read_samples

__all__ = ["CorruptPartError", "Question", "Reading", "first_file", "first_ranges", "summaries"]

_BLOCK = 1 << 16  # names that are looked at together
_SALT = 3  # of what deals samples into groups
_DECIMAL = r"^-?[0-9]+\.0+$"  # what an integer is spelled like once it has been a float


class CorruptPartError(InputError):
    """A part that cannot be read at all.

    Examples
    --------
    >>> issubclass(CorruptPartError, InputError)
    True
    """


@dataclass(frozen=True)
class Question:
    """What is read of each part.

    Parameters
    ----------
    prompt : str, optional
        Column that names the prompt; None where all rows are of one.
    rewards : tuple of str
        Rewards, as in `RewardTable.read`.
    sample : str, optional
        Column that tells the samples of a prompt apart.
    wide : bool
        Whether a row has all samples of a prompt.
    drop_missing : bool
        Whether to go on without rows that lack a finite value.
    widths : tuple of float
        Width of the bins of each reward, powers of two.
    exact_up_to : int
        The most samples of a prompt that are kept one by one.
    members : tuple of str
        Further rewards, without which a row counts as having a gap: of a command those of an ensemble.
    combined : tuple of (str, float, float)
        Rewards that the first of ``rewards`` is made of, row by row, with mean and deviation of each; none if empty.
    kind : str
        How it is made of them.
    groups : int
        Groups among which the samples of each prompt are dealt at random, each a prompt of its own; 0 for none.

    Examples
    --------
    >>> Question(prompt="prompt_id", rewards=("reward", "gold")).wide
    False
    """

    prompt: str | None
    rewards: tuple[str, ...]
    sample: str | None = None
    wide: bool = False
    drop_missing: bool = False
    widths: tuple[float, ...] = ()
    exact_up_to: int = 0
    members: tuple[str, ...] = ()
    combined: tuple[tuple[str, float, float], ...] = ()
    kind: str = ""
    groups: int = 0

    @property
    def read(self) -> list[str]:
        """The rewards that are looked up in the table."""
        own = [*(name for name, _, _ in self.combined), *self.rewards[1:]] if self.combined else self.rewards
        return list(dict.fromkeys([*own, *self.members]))

    def columns_of(self, rewards: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return the rewards that are summarised, from those that were read.

        Parameters
        ----------
        rewards : mapping of str to array (samples,)
            As they were read.
        """
        if self.combined:
            rows = np.array([(rewards[name] - mean) / deviation for name, mean, deviation in self.combined])
            return {self.rewards[0]: KINDS[self.kind](rows, axis=0), self.rewards[1]: rewards[self.rewards[1]]}
        return {name: rewards[name] for name in self.rewards} if self.members else dict(rewards)


@dataclass(frozen=True)
class Reading:
    """What is read of a piece of a part.

    Attributes
    ----------
    summary : Summary
        Its samples.
    dropped : int
        Rows that were left out.
    responses : Responses, optional
        What names its rows, where that is asked.
    kind : str
        What its prompts are: integers, text, or, of a file where all is text, ``spelled integers``, ``decimals`` such
        as 7.0, or nothing that is known.
    truths : bool
        Whether rewards are truth values.
    notes : tuple of str
        Sentences on how cells were read.
    """

    summary: Summary
    dropped: int = 0
    responses: Responses | None = None
    kind: str = ""
    truths: bool = False
    notes: tuple[str, ...] = ()


def summaries(part: Part, question: Question) -> Iterator[Reading]:
    """Yield the summary of each piece of a part, and what tells it apart from others.

    Parameters
    ----------
    part : Part
        The file.
    question : Question
        What is read of it.

    Raises
    ------
    CorruptPartError
        Where the part cannot be read.
    InputError
        Where it can, and does not hold what is asked: the sentence names it.
    """
    for file in _pieces(part, question):
        found = _of_piece(file, question)
        yield replace(found, notes=tuple(one.replace(file.path, part.path) for one in file.notes))


def first_ranges(part: Part, question: Question) -> tuple[list[tuple[float, float]], int, int, int] | None:
    """Return the ends of each reward in the first piece that has any, how many samples and runs of prompts it has.

    Parameters
    ----------
    part : Part
        The file.
    question : Question
        What is read of it.

    Returns
    -------
    ranges : list of (float, float)
        Ends of each reward in the first piece that has any.
    samples, runs, levels : int
        How many samples it has, runs of prompts, and, of a combination, different values.

    Raises
    ------
    InputError
        As `summaries`.
    """
    for file in _pieces(part, question):
        samples = read_samples(
            file, question.prompt, question.read, sample=question.sample, wide=question.wide, named=True
        )
        rewards = list(question.columns_of(samples.rewards).values())
        if not all(max(-low, high) <= LARGEST_REWARD for low, high in _ends(rewards)):
            # What lacks a value is dropped, or refused when its turn comes, as is one that is too large.
            finite = np.all([np.abs(one) <= LARGEST_REWARD for one in rewards], axis=0)
            rewards = [one[finite] for one in rewards]
        if rewards[0].size:
            ends = _ends(rewards)
            levels = len(np.unique(rewards[0])) if question.combined else 0
            names = samples.identifiers.drop_null() if samples.identifiers.null_count else samples.identifiers
            return ends, samples.size, len(_runs(names)[1]), levels
    return None


def _ends(rewards: Sequence[FloatArray]) -> list[tuple[float, float]]:
    """Return the least and the largest of each, NaN where one is; of nothing, infinities that are no ends."""
    return [(float(one.min(initial=np.inf)), float(one.max(initial=-np.inf))) for one in rewards]


def _pieces(part: Part, question: Question) -> Iterator[TableFile]:
    with opened(part) as source:
        groups = None if part.groups is None else range(*part.groups)
        pieces = open_pieces(part.path, lambda file: _needed(file, question), source, groups)
        while True:
            try:
                file = next(pieces, None)
            except InputError as error:
                if isinstance(error, _Asked):
                    raise InputError(str(error), argument=error.argument, column=error.column) from error
                raise CorruptPartError(str(error)) from error
            if file is None:
                return
            yield file


def first_file(parts: Sequence[Part]) -> TableFile:
    """Return the first piece that can be read and has rows, or else the first part: they tell what columns there are.

    Parameters
    ----------
    parts : sequence of Part
        In the order in which they are tried.

    Raises
    ------
    InputError
        Where none can be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from alignlib.scale.parts import list_parts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("prompt_id,reward\\n1,1\\n", encoding="utf-8")
    ...     first_file(list_parts(folder)).names
    ('prompt_id', 'reward')
    """
    problem: InputError | None = None
    seen: list[TableFile] = []

    def look(file: TableFile) -> list[str]:
        seen.append(file)
        return []  # a column that nobody asks for may be damaged

    for part in parts:
        try:
            with opened(part) as source:
                for file in open_pieces(part.path, look, source):
                    _check_no_summary(file)
                    return file
        except InputError as error:
            problem = problem or error
    if problem is None and seen:
        return seen[0]  # none has rows, which is said once it is known that the columns are there
    raise problem or InputError(f"{parts[0].path} has a header but no rows; give samples of each prompt.")


class _Asked(InputError):
    """What is asked is not there; the part itself is whole."""


def _needed(file: TableFile, question: Question) -> list[str]:
    """Return the columns that reading a table will load, by reading it without rows."""
    _check_no_summary(file)
    asked: list[str] = []

    def read(columns: list[str]) -> pa.Table:
        asked.extend(columns)
        return file.read(columns)

    empty = TableFile(file.path, file.names, read, nested=file.nested)
    try:
        read_samples(empty, question.prompt, question.read, sample=question.sample, wide=question.wide)
    except InputError as error:
        if not asked:
            raise _Asked(str(error), argument=error.argument, column=error.column) from error
    return list(dict.fromkeys(asked))


def _check_no_summary(file: TableFile) -> None:
    if holds_summary(file.names):
        raise _Asked(
            f"{file.path} is a summary, not a part of a table of rewards; ask for it by itself, and keep summaries "
            "elsewhere. Those of several tables are joined by alignlib.scale.Summary.merged.",
            argument="table",
        )


def _of_piece(file: TableFile, question: Question) -> Reading:
    samples = read_samples(file, question.prompt, question.read, sample=question.sample, wide=question.wide, named=True)
    rewards = list(samples.rewards.values())
    if question.drop_missing and not (np.isfinite(rewards).all(axis=0) & _named(samples.identifiers)).any():
        nothing = question.columns_of({name: np.empty(0) for name in samples.rewards})
        none = Summary.of(
            pa.array([], pa.int64()), np.empty(0, dtype=np.int64), nothing, widths=question.widths or None
        )
        return Reading(replace(none, exact_up_to=question.exact_up_to), samples.size)
    kept = samples.without_gaps(question.drop_missing)
    columns = {name: np.asarray(values) for name, values in question.columns_of(kept.rewards).items()}
    if question.groups:
        return Reading(_dealt(file, kept.identifiers, kept.told_apart, columns, question), samples.size - kept.size)
    prompts, sizes = _runs(kept.identifiers)
    widths = question.widths or None
    within = None if question.combined else kept.within.get(next(iter(columns)))
    found = Summary.of(prompts, sizes, columns, widths=widths, exact_up_to=question.exact_up_to, within=within)
    responses = None if kept.told_apart is None else Responses.of(prompts, sizes, kept.told_apart)
    kind = "" if question.prompt is None else _kind(prompts, file.is_text)
    return Reading(found, samples.size - kept.size, responses, kind, _truths(file, question))


def _dealt(
    file: TableFile,
    identifiers: pa.Array,
    told_apart: pa.Array | None,
    columns: dict[str, FloatArray],
    question: Question,
) -> Summary:
    """Return the samples of a piece dealt into groups: by the names of samples, or else by the place of the piece."""
    names = identifiers.dictionary_encode()
    prompt = names.indices.to_numpy().astype(np.int64)
    if told_apart is None or told_apart.null_count:
        place = hashlib.blake2b(f"{from_anywhere(file.path)} {file.first_row}".encode(), digest_size=8).digest()
        of = np.random.default_rng(int.from_bytes(place, "big")).integers(0, question.groups, len(prompt))
    else:  # in whatever file they are
        keys = keys_of(names.dictionary)[prompt] ^ hashed(keys_of(told_apart.dictionary_encode()), 1)
        of = (hashed(keys, _SALT) % np.uint64(question.groups)).astype(np.int64)
    code = prompt * question.groups + of
    order, sizes = np.argsort(code, kind="stable"), np.bincount(code)
    held = np.flatnonzero(sizes)
    dealt = {name: values[order] for name, values in columns.items()}
    called = names_of_groups(names.dictionary, held // question.groups, held % question.groups)
    widths = question.widths or None
    return Summary.of(called, sizes[held], dealt, widths=widths, exact_up_to=question.exact_up_to)


def _runs(names: pa.Array) -> tuple[pa.Array, IntArray]:
    """Return the names of runs of one prompt, and how many rows each has."""
    if pa.types.is_integer(names.type) and len(names):  # a quarter of the time
        values = names.to_numpy()
        starts = _starts(values)
        return pa.array(values[starts]), np.diff(starts, append=len(values))
    runs = pc.run_end_encode(names, run_end_type=pa.int64())
    return runs.values, np.diff(runs.run_ends.to_numpy(), prepend=0)


def _starts(values: IntArray) -> IntArray:
    """Return where each run of one value begins, looking closer only at blocks that hold several."""
    found, memory, size = [np.zeros(1, dtype=np.int64)], pa.py_buffer(values), values.itemsize
    for low in range(1, len(values), _BLOCK):
        some = values[low : low + _BLOCK]
        if not memory.slice(low * size, some.nbytes).equals(memory.slice((low - 1) * size, some.nbytes)):
            found.append(np.flatnonzero(some != values[low - 1 : low - 1 + len(some)]) + low)
    return np.concatenate(found)


def _kind(names: pa.Array, is_text: bool) -> str:
    """Say what names are; a file where all is text tells less."""
    if pa.types.is_integer(names.type):
        return "spelled integers" if is_text else "integers"
    if not is_text:
        return "text"
    first = names.slice(0, 1)
    if not pc.all(pc.match_substring_regex(first, _DECIMAL)).as_py():  # most names are no numbers
        return ""
    return "decimals" if pc.all(pc.match_substring_regex(names, _DECIMAL)).as_py() else ""


def _truths(file: TableFile, question: Question) -> bool:
    """Tell whether a reward is a column of truth values, which count as 1 and 0."""
    plain = [name for name in question.rewards if name in file.names]
    return not file.is_text and any(pa.types.is_boolean(one.type) for one in file.load(plain).columns)


def _named(identifiers: pa.Array) -> BoolArray:
    return np.asarray(identifiers.is_valid().to_numpy(zero_copy_only=False))
