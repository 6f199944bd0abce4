"""The table of rewards: many prompts, several sampled responses each, one or more reward columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignlib._core.array_likes import as_array
from alignlib._core.checks import BoolArray, FloatArray, IntArray, as_float_array, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.tables.arrays import Rewards, reward_arrays
from alignlib.tables.layouts import long_samples, wide_samples
from alignlib.tables.reading import open_frame, open_table_file
from alignlib.tables.repeats import without_repeats
from alignlib.tables.reward_range import check_range
from alignlib.tables.table_file import TableFile
from alignlib.tables.within_prompts import products, products_of_counted, squares_of_counted

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

__all__ = ["MemberTables", "RewardTable"]

_AT_ONCE = 1 << 18  # samples in work


@dataclass(frozen=True, eq=False)
class RewardTable(SameFields):
    """Rewards of sampled responses, rows grouped by prompt; made by `from_arrays`, `from_frame` or `read`.

    Prompt ``i`` owns rows ``offsets[i]:offsets[i + 1]`` of every column. Columns are read-only, and those three share
    no memory with what they are made from.

    Parameters
    ----------
    prompts : array (prompts,)
        Names of the prompts.
    offsets : array (prompts + 1,)
        Where the samples of each prompt begin.
    columns : mapping of str to array (samples,)
        Rewards by name.
    dropped : int
        Number of samples that were left out for want of a finite reward.
    notes : tuple of str
        Sentences on what was left out or averaged over.

    Raises
    ------
    InputError
        Where prompts, offsets and columns do not belong together.

    Examples
    --------
    >>> table = RewardTable.from_arrays([[0.0, 1.0, 1.0], [2.0, 0.5]])
    >>> table.n_prompts, table.n_samples.tolist()
    (2, [3, 2])
    >>> [block.tolist() for _, block in table.blocks("reward")]
    [[[2.0, 0.5]], [[0.0, 1.0, 1.0]]]
    """

    prompts: npt.NDArray[np.object_]
    offsets: IntArray
    columns: Mapping[str, FloatArray]
    dropped: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(
            isinstance(self.prompts, Sized) and isinstance(self.columns, Mapping),
            "prompts must hold names, and columns a mapping of names to rewards. Use RewardTable.from_arrays or "
            "from_frame, which make them.",
            "prompts" if isinstance(self.columns, Mapping) else "columns",
        )
        offsets, n_prompts = as_array("offsets", self.offsets), len(self.prompts)
        require(
            offsets.shape == (n_prompts + 1,)
            and offsets.dtype.kind in "iu"
            and n_prompts > 0
            and offsets[0] == 0
            and bool((np.diff(offsets) > 0).all()),
            f"offsets must rise from 0 and say where the samples of each of {n_prompts} prompts begin; "
            f"got {quoted(offsets)}. Use RewardTable.from_arrays or from_frame, which count them.",
            "offsets",
        )
        require(bool(self.columns), "columns must hold at least one reward; got none.", "columns")
        columns = {name: as_float_array(f"columns[{name!r}]", values) for name, values in self.columns.items()}
        for name, values in columns.items():
            require(
                values.shape == (offsets[-1],),
                f"columns[{name!r}] must hold a reward for each of {offsets[-1]} samples, as offsets count them; got "
                f"shape {values.shape}.",
                "columns",
            )
            check_range(name, values)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "columns", {name: _read_only(values) for name, values in columns.items()})

    def __repr__(self) -> str:
        """Return the names of the rewards and the sizes."""
        names = ", ".join(map(repr, self.columns))
        dropped = f", {self.dropped} dropped" if self.dropped else ""
        return f"<RewardTable of {names:.200}: {self.size_shown}{dropped}>"

    @property
    def size_shown(self) -> str:
        """The number of prompts and of samples, as text."""
        return f"{counted(self.n_prompts, 'prompt')}, {counted(int(self.n_samples.sum()), 'sample')}"

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    @property
    def n_samples(self) -> IntArray:
        """Number of samples of each prompt, shape (n_prompts,)."""
        return np.diff(self.offsets)

    def column(self, name: str) -> FloatArray:
        """Return the rewards of all samples, prompts one after another.

        Parameters
        ----------
        name : str
            A reward of the table.

        Returns
        -------
        array (n_samples.sum(),)
            Prompt ``i`` has those at ``offsets[i]:offsets[i + 1]``.

        Raises
        ------
        InputError
            If no reward has that name.
        """
        self.check_column(name)
        return self.columns[name]

    def check_column(self, name: str) -> None:
        """Refuse a name that no reward has.

        Parameters
        ----------
        name : str
            What was asked for.

        Raises
        ------
        InputError
            Where there is none.
        """
        if not isinstance(name, str) or name not in self.columns:
            names = ", ".join(repr(other) for other in self.columns)
            raise InputError(f"The table has no reward {name!r}; it was read with {names}.", column=str(name))

    def blocks(
        self, column: str, most: int | None = None, *, held_only: bool = False, by: str | None = None
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield (prompt positions, rewards of shape (prompts, samples)) for each number of samples.

        Parameters
        ----------
        column : str
            Name of the reward.
        most : int, optional
            About how many samples a block may hold; it holds at least one prompt. All of one size if omitted.
        held_only : bool
            Pass over prompts whose samples are in bins, for whom `each_counted` is asked; else they are refused.
        by : str, optional
            Another reward, whose blocks are taken beside these: of few samples in bins by it their means then do.
        """
        values = self.column(column)
        sizes = self.n_samples
        different = sorted(set(sizes.tolist()))
        for size in different:
            where = np.flatnonzero(sizes == size)
            step = max(1, where.size if most is None else most // size)
            for start in range(0, where.size, step):
                some = where[start : start + step]
                if len(different) == 1:  # a rectangle already: no copy
                    yield some, values[start * size : (start + some.size) * size].reshape(some.size, size)
                else:
                    yield some, values[self.offsets[some][:, None] + np.arange(size)]

    def each(
        self, work: Callable[..., Any], columns: Sequence[str], most: int, *arrays: npt.NDArray[Any], add: bool = False
    ) -> Iterator[tuple[IntArray, Any]]:
        """Yield (prompt positions, ``work(*rewards, *arrays of these prompts)``) for the blocks of several columns.

        Parameters
        ----------
        work : callable
            Takes the rewards of a block, (prompts, samples) for each of ``columns``, and the part of each of ``arrays``
            (prompts, …) that belongs to it. A table in parts may have it done elsewhere: it must pickle.
        columns : sequence of str
            Names of rewards.
        most : int
            About how many samples a block may hold.
        *arrays : array (prompts, …)
            What else is known of each prompt.
        add : bool
            That what work returns, a tuple of arrays, will be added up: a table in parts may do so part by part.

        Yields
        ------
        prompts : array of int
            Positions of the prompts of a block.
        result : object
            What work returned for them.
        """
        for blocks in zip(*(self.blocks(name, most, by=columns[0]) for name in columns), strict=True):
            where = blocks[0][0]
            yield where, work(*(rows for _, rows in blocks), *(array[where] for array in arrays))

    def each_counted(
        self, work: Callable[..., Any], column: str, *arrays: npt.NDArray[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield position and result of ``work(samples, *numbers of this prompt)`` for what `blocks` leaves out.

        The samples of such are in bins, `CountedSamples`; there is none where all are held.

        Parameters
        ----------
        work : callable
            Takes the samples and what ``arrays`` have at the prompt; a table in parts may have it done elsewhere.
        column : str
            A reward of the table.
        *arrays : array (prompts, …)
            What else is known of each prompt.
        """
        self.check_column(column)
        yield from ()

    @property
    def all_held(self) -> bool:
        """Whether every sample is held, none in bins."""
        return True

    @property
    def groups(self) -> int | None:
        """Into how many groups samples of few prompts in bins were dealt when they were read, if they were."""
        return None

    @property
    def ensemble(self) -> MemberTables | None:
        """Members of an ensemble in tables of their own, where this one does not hold them."""
        return None

    def prompt_squares(self, column: str) -> FloatArray:
        """Return the sum of squares about its mean of each prompt, shape (n_prompts,), of samples in bins too.

        Parameters
        ----------
        column : str
            A reward of the table.

        Examples
        --------
        >>> RewardTable.from_arrays([[0.0, 1.0], [2.0, 4.0]]).prompt_squares("reward").tolist()
        [0.5, 2.0]
        """
        found = np.empty(self.n_prompts)
        for where, some in self.each(products, [column, column], _AT_ONCE):
            found[where] = some
        for one, some in self.each_counted(squares_of_counted, column):
            found[one] = some
        return found

    def prompt_products(self, column: str, other: str) -> tuple[FloatArray, FloatArray]:
        """Return the sum of products of two rewards about their means, of each prompt.

        Parameters
        ----------
        column, other : str
            Rewards of the table; samples that are in bins are so by the first.

        Returns
        -------
        products, off : array (n_prompts,)
            The sums, and how far they may be off for samples in bins.

        Examples
        --------
        >>> table = RewardTable.from_arrays(a=[[0.0, 1.0]], b=[[4.0, 2.0]])
        >>> [one.tolist() for one in table.prompt_products("a", "b")]
        [[-1.0], [0.0]]
        """
        found = np.zeros((2, self.n_prompts))
        for where, some in self.each(products, [column, other], _AT_ONCE):
            found[0, where] = some
        for one, both in self.each_counted(partial(products_of_counted, other=other), column):
            found[:, one] = both
        return found[0], found[1]

    def extremes(self, column: str) -> tuple[float, float]:
        """Return the least and the largest reward of all samples.

        Parameters
        ----------
        column : str
            A reward of the table.

        Returns
        -------
        least, largest : float
            In the unit of the reward.
        """
        values = self.column(column)
        return float(values.min()), float(values.max())

    def prompt_maxima(self, column: str) -> FloatArray:
        """Return the largest reward of each prompt, shape (n_prompts,).

        Parameters
        ----------
        column : str
            A reward of the table.

        Examples
        --------
        >>> RewardTable.from_arrays([[0.0, 1.0], [4.0, 2.0]]).prompt_maxima("reward").tolist()
        [1.0, 4.0]
        """
        return np.asarray(np.maximum.reduceat(self.column(column), self.offsets[:-1]))

    def prompt_minima(self, column: str) -> FloatArray:
        """Return the least reward of each prompt, shape (n_prompts,).

        Parameters
        ----------
        column : str
            A reward of the table.
        """
        return np.asarray(np.minimum.reduceat(self.column(column), self.offsets[:-1]))

    def prompt_means(self, column: str) -> FloatArray:
        """Return the mean reward of each prompt, shape (n_prompts,).

        Parameters
        ----------
        column : str
            A reward of the table.

        Examples
        --------
        >>> RewardTable.from_arrays([[0.0, 1.0], [2.0, 4.0]]).prompt_means("reward").tolist()
        [0.5, 3.0]
        """
        return np.asarray(np.add.reduceat(self.column(column), self.offsets[:-1]) / self.n_samples)

    def with_at_least(self, n: int) -> RewardTable:
        """Return the table without the prompts that have fewer than n samples; a note says how many those are.

        Parameters
        ----------
        n : int
            Fewest samples of a prompt that is kept.

        Raises
        ------
        InputError
            Where no prompt has so many.

        Examples
        --------
        >>> table = RewardTable.from_arrays([[0.0, 1.0, 1.0], [2.0, 0.5]]).with_at_least(3)
        >>> table.n_samples.tolist(), len(table.notes)
        ([3], 1)
        """
        sizes = self.n_samples
        kept = sizes >= n
        require(
            bool(kept.any()),
            f"drop_below must leave a prompt: none of {self.n_prompts} has {n} samples, the most is {sizes.max()}.",
            "drop_below",
        )
        if kept.all():
            return self
        first = int(np.flatnonzero(~kept)[0])
        few = int((~kept).sum())
        note = (
            f"{few} of {counted(self.n_prompts, 'prompt')} left out, which {'have' if few > 1 else 'has'} fewer than "
            f"{n} samples, the first {self.prompts[first]!r} with {sizes[first]}: what is said holds for the others."
        )
        return replace(self.only(kept), notes=(*self.notes, note))

    def only(self, kept: BoolArray) -> RewardTable:
        """Return the table with some of its prompts.

        Parameters
        ----------
        kept : array of bool (n_prompts,)
            True for those that stay.

        Examples
        --------
        >>> RewardTable.from_arrays([[0.0, 1.0], [4.0, 2.0]]).only(np.array([False, True])).column("reward").tolist()
        [4.0, 2.0]
        """
        sizes = self.n_samples
        rows = np.repeat(kept, sizes)
        return RewardTable(
            self.prompts[kept],
            np.concatenate([[0], np.cumsum(sizes[kept])]).astype(np.int64),
            {name: values[rows] for name, values in self.columns.items()},
            self.dropped,
            self.notes,
        )

    def constant_prompts(self, column: str) -> npt.NDArray[np.bool_]:
        """Tell for each prompt whether all its samples have one reward, shape (n_prompts,).

        Parameters
        ----------
        column : str
            A reward of the table.
        """
        return np.asarray(self.prompt_maxima(column) == self.prompt_minima(column))

    def check_varies(self, column: str, what: str = "reward") -> int:
        """Return on how many prompts a reward is constant, or raise where that is all of them.

        Parameters
        ----------
        column : str
            Name of the reward.
        what : str
            What the sentence calls it.

        Raises
        ------
        InputError
            Where no prompt has two different rewards: no method can gain anything over the base model.
        """
        constant = int(self.constant_prompts(column).sum())
        if constant == self.n_prompts:
            raise InputError(
                f"{what} {column!r} is constant within each of the {self.n_prompts} prompts, so there is nothing to "
                f"gain; choose a {what} that tells the samples of a prompt apart.",
                column=column,
            )
        return constant

    @classmethod
    def from_arrays(
        cls,
        rewards: Rewards | Mapping[str, Rewards] | None = None,
        *,
        prompts: npt.ArrayLike | None = None,
        **columns: Rewards,
    ) -> RewardTable:
        """Build a table from one array of rewards per prompt, for one reward or several.

        Parameters
        ----------
        rewards : array_like (prompts, samples), or a list with an array for each prompt
            The column ``reward``; a mapping holds several columns by name.
        prompts : array_like (prompts,), optional
            Names of the prompts, all different; 0, 1, … if omitted.
        **columns : arrays
            Further rewards of the same samples by name, such as ``proxy=…, gold=…``.

        Raises
        ------
        InputError
            For values that are not finite, prompts without samples, or columns that do not score the same samples.

        Examples
        --------
        >>> table = RewardTable.from_arrays(proxy=[[0.0, 1.0], [2.0, 0.5]], gold=[[0.2, 0.7], [1.0, 1.5]])
        >>> table.column("gold").tolist()
        [0.2, 0.7, 1.0, 1.5]
        """
        return cls(*reward_arrays(rewards, columns, prompts))

    def check_enough(self, n: int, path: str, *, column: str = "", wide: bool = False) -> None:
        """Refuse prompts with fewer than n samples.

        Parameters
        ----------
        n : int
            Fewest samples of a prompt.
        path : str
            What messages call the table.
        column : str
            The column that names the prompts, for messages.
        wide : bool
            Whether the samples of a prompt lie side by side.

        Raises
        ------
        InputError
            If a prompt has fewer.

        Examples
        --------
        >>> RewardTable.from_arrays(reward=[[0.0, 1.0]]).check_enough(2, "t.csv")
        """
        sizes = self.n_samples
        few = np.flatnonzero(sizes < n)
        if few.size:
            hint = "" if wide or few.size < sizes.size else ", or pass wide=True if they lie side by side"
            raise InputError(
                f"{few.size} of {sizes.size} prompts of {path} have fewer than {n} samples, the first "
                f"{self.prompts[few[0]]!r} with {sizes[few[0]]}; sample more responses to them, or "
                f"leave these prompts out (drop_below={n}){hint}.",
                column=column,
            )

    @classmethod
    def from_frame(
        cls,
        frame: IntoFrame,
        prompt: str | None = "prompt_id",
        reward: str | Sequence[str] = "reward",
        *,
        sample: str | None = None,
        wide: bool = False,
        drop_missing: bool = False,
        min_samples: int = 2,
        drop_below: int = 0,
    ) -> RewardTable:
        """Take rewards from a data frame of pandas, polars, pyarrow or another library that narwhals knows.

        Parameters
        ----------
        frame : data frame
            One row per sample (or per prompt, if ``wide``), in any order; a lazy frame is collected.
        prompt : str, optional
            Column that names the prompt; None where all rows are of one.
        reward : str or sequence of str
            Columns, patterns or combinations such as ``mean:score_*``, as for `read`.
        sample : str, optional
            Column that tells the samples of a prompt apart.
        wide : bool
            Whether a row has all samples of a prompt.
        drop_missing : bool
            Go on without samples that lack a finite value.
        min_samples : int
            Fewest samples of a prompt that are taken.
        drop_below : int
            Leave out prompts with fewer samples than that.

        Raises
        ------
        InputError
            With one sentence that says what is wrong, where (rows counted from 0), and what to do.

        Examples
        --------
        >>> import pyarrow as pa
        >>> frame = pa.table({"question": ["a", "b", "a", "b"], "score": [1, 0, 3, 2]})
        >>> RewardTable.from_frame(frame, prompt="question", reward="score").column("score").tolist()
        [1.0, 3.0, 0.0, 2.0]
        """
        table = cls._from_file(open_frame(frame), prompt, reward, sample, wide, drop_missing, min_samples, drop_below)
        own = {name: values if _owned(values) else values.copy() for name, values in table.columns.items()}
        return replace(table, columns=own)

    @classmethod
    def read(
        cls,
        path: str | Path | TableFile,
        prompt: str | None = "prompt_id",
        reward: str | Sequence[str] = "reward",
        *,
        sample: str | None = None,
        wide: bool = False,
        drop_missing: bool = False,
        min_samples: int = 2,
        drop_below: int = 0,
    ) -> RewardTable:
        r"""Read rewards from a file of any known format: CSV, JSON, Parquet, Feather or NumPy, plain or gzipped.

        A reward is at most 1e102 in size, and the largest of a column at least 1e-102.

        Parameters
        ----------
        path : path or opened table
            The file. Its extension tells the format: ``.csv``, ``.tsv`` (whatever clearly separates the cells),
            ``.jsonl``, ``.ndjson``, ``.json``, ``.parquet``, ``.feather``, ``.arrow``, ``.npy``, each also with
            ``.gz``; ``-`` is standard input.
        prompt : str, optional
            Column that names the prompt, by integers, text or lists of chat messages. Its rows may lie anywhere. With
            None all rows are samples of one prompt.
        reward : str or sequence of str
            One entry or several: a column, a key within its objects (``scores.helpful``), a pattern of columns
            (``score_*``; ``*`` is any text, ``?`` one character), an average or a sum: ``mean:verifier_*`` and
            ``sum:reward_*`` need every member, ``nanmean:`` and ``nansum:`` take the members present. Each entry gives
            its name to the column of the table. A backslash keeps ``*``, ``?`` and ``,`` in the name of a column.
        sample : str, optional
            Column that tells the samples of a prompt apart; a repeated (prompt, sample) is an error. Where none is
            named and the file has a column ``sample_id``, it is used. Where there is none, a table that holds every
            row twice is read once, and a note says so; where rewards have few levels, such as 0 and 1, it is read as
            it is, and a note says that all counts are even.
        wide : bool
            One row per prompt with the samples side by side. Each entry of ``reward`` is one reward: a pattern
            (``s*``) or a list (``s1,s2,s3``) of columns, which are its samples, or a column whose cells are lists.
            Several patterns pair up by what the wildcard stands for. Single names of columns that hold numbers are
            together the samples of one reward called ``reward``.
        drop_missing : bool
            Go on without the samples that lack a prompt or a finite value of any reward asked for, missing or
            infinite alike. ``dropped`` counts them and ``notes`` says which.
        min_samples : int
            Fewest samples a prompt may have.
        drop_below : int
            Go on without the prompts that have fewer samples than this; ``notes`` says how many.

        Raises
        ------
        InputError
            With one sentence that says what is wrong, where, and what to do.
        """
        file = path if isinstance(path, TableFile) else open_table_file(path)
        table = cls._from_file(file, prompt, reward, sample, wide, drop_missing, min_samples, drop_below)
        pa.default_memory_pool().release_unused()  # Arrow would keep what reading took: several times the table
        return table

    @classmethod
    def _from_file(
        cls,
        file: TableFile,
        prompt: str | None,
        reward: str | Sequence[str],
        sample: str | None,
        wide: bool,
        drop_missing: bool,
        min_samples: int,
        drop_below: int,
    ) -> RewardTable:
        entries = list(dict.fromkeys([reward] if isinstance(reward, str) else reward))
        require(len(entries) > 0, f"reward must name at least one column; got {reward!r}.", "reward")
        require(not wide or prompt is not None, "prompt must name a column where the samples lie side by side.")
        samples = (
            wide_samples(file, prompt, entries)
            if wide and prompt is not None
            else long_samples(file, prompt, entries, sample)
        )
        kept = samples.without_gaps(drop_missing)
        prompts, sizes, columns = kept.by_prompt()
        repeats = ""
        if not wide and samples.sample is None:
            sizes, columns, repeats = without_repeats(sizes, columns, file.path)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        notes = dict.fromkeys((*file.notes, *kept.notes, *filter(None, [repeats])))
        table = cls(prompts, offsets, columns, samples.size - kept.size, tuple(notes))
        if drop_below > 0:
            table = table.with_at_least(drop_below)
        table.check_enough(min_samples, file.path, column=prompt or "", wide=wide)
        return table


@dataclass(frozen=True, eq=False)
class MemberTables(SameFields):
    """Each member of an ensemble with gold, and each way to combine them all, of the same samples.

    Attributes
    ----------
    members : mapping of str to RewardTable
        By the name of the member, which is the table's first column; gold is its second. Of two members the table of
        one has the other as a further column.
    scales : mapping of str to (float, float)
        Mean of a member, and its standard deviation within prompts.
    combined : mapping of str to RewardTable
        By the way of combining members brought to mean 0 and standard deviation 1; again the first column, with gold.
        Empty where these are not known: of summaries of parts, each has a scale of its own.

    Examples
    --------
    >>> rows = RewardTable.from_arrays(a=[[0.0, 1.0]], gold=[[1.0, 0.0]])
    >>> list(MemberTables({"a": rows}, {"a": (0.5, 0.5)}, {}).members)
    ['a']
    """

    members: Mapping[str, RewardTable]
    scales: Mapping[str, tuple[float, float]]
    combined: Mapping[str, RewardTable]

    def products(self, member: str, other: str) -> FloatArray:
        """Return the sums of products of a member and gold, or another member, about their means, of each prompt.

        Parameters
        ----------
        member : str
            One of the members.
        other : str
            Gold, or another of them.

        Returns
        -------
        array (2, n_prompts)
            The sums, and how far they may be off for samples in bins.

        Examples
        --------
        >>> rows = RewardTable.from_arrays(a=[[0.0, 1.0]], gold=[[1.0, 0.0]])
        >>> MemberTables({"a": rows}, {"a": (0.5, 0.5)}, {}).products("a", "gold").tolist()
        [[-0.5], [0.0]]
        """
        if other not in self.members[member].columns:
            member, other = other, member
        return np.array(self.members[member].prompt_products(member, other))


def _read_only(values: FloatArray) -> FloatArray:
    if not values.flags.writeable:
        return values
    view = values.view()
    view.setflags(write=False)
    return view


def _owned(values: FloatArray) -> bool:
    """Whether numpy made the memory: a frame of arrow or pandas may lend its own."""
    return values.flags.owndata or (isinstance(values.base, np.ndarray) and values.base.flags.owndata)
