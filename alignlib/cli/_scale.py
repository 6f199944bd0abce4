"""Tables in many parts, summaries of them, and who reads them: options of `frontier`, `report` and `passk`."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from alignlib._core.names import as_address
from alignlib._core.safe_text import for_terminal
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import option
from alignlib.cli._options import NUMBER, Output, Whole, claim
from alignlib.cli._progress import Progress

if TYPE_CHECKING:
    from alignlib.scale import Question, SummaryTable
    from alignlib.tables import TableFile

__all__ = ["SCALE", "Scale", "scale_options"]

F = TypeVar("F", bound=Callable[..., Any])
_OF_ROWS = ("prompt", "pool", "sample", "wide", "drop_missing")


def scale_options(command: F) -> F:
    """Add the options on tables in many parts.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with these options.
    """
    for add in reversed(
        [
            option("--workers", type=Whole(1, 1024), help="Processes that read parts side by side (Dask)."),
            option("--scheduler", metavar="ADDRESS", help="A Dask scheduler whose workers read the parts."),
            option(
                "--checkpoint",
                type=Output(folder=True, parents=True),
                help="Folder for what is done, where a stopped run goes on; workers must see it.  [default: a cache]",
            ),
            option("--skip-corrupt", is_flag=True, help="Go on without parts that cannot be read; they are counted."),
            option(
                "--summary",
                type=Output(".parquet"),
                help="Also write the summary of TABLE to FILE.parquet, a TABLE itself; a folder of summaries is one.",
            ),
            option(
                "--bin-width", type=NUMBER, help="Width of the bins of rewards, a power of two, such as 0.0009765625."
            ),
            option(
                "--exact-up-to",
                type=Whole(min=0),
                help="Most samples of a prompt that are kept one by one; beyond there are bins.  [default: 16384]",
            ),
        ]
    ):
        command = add(command)
    return command


@dataclass(frozen=True)
class Scale:
    """What those options say.

    Parameters
    ----------
    workers : int, optional
        Processes.
    scheduler : str, optional
        Address of Dask's.
    checkpoint : Path, optional
        Where finished parts are kept.
    skip_corrupt : bool
        Whether parts that cannot be read are left out.
    summary : Path, optional
        Where a summary is written.
    bin_width : float, optional
        Width of bins, in the unit of the reward.
    exact_up_to : int, optional
        Samples of a prompt up to which no bins are made.
    """

    workers: int | None = None
    scheduler: str | None = None
    checkpoint: Path | None = None
    skip_corrupt: bool = False
    summary: Path | None = None
    bin_width: float | None = None
    exact_up_to: int | None = None

    @property
    def asked(self) -> bool:
        """Whether any of them was typed."""
        return self != Scale()

    def takes(self, table: Path) -> bool:
        """Tell whether a table is read in parts, or is a summary.

        Parameters
        ----------
        table : Path
            As typed: a file, a folder, a pattern, or an address.

        Returns
        -------
        bool
            False for one file that fits into memory.

        Raises
        ------
        BadInput
            For options on parts where there are none.
        """
        if str(table) == "-":
            if self.asked:
                raise BadInput("Standard input is read at once; save it to a file for options on parts.")
            return False
        where = location(table)
        if self.asked or os.path.isdir(where) or "://" in where or any(c in where for c in "*?["):
            return True
        if not where.lower().endswith(".parquet"):
            return False
        from alignlib.scale import is_summary

        return is_summary(where)

    @contextmanager
    def opened(
        self, table: Path, question: Callable[[TableFile | None], Question], drop_below: int, force: bool
    ) -> Iterator[SummaryTable]:
        """Yield the table; ``question`` says what is asked of it, given its columns, or None of a summary.

        Parameters
        ----------
        table : Path
            As typed.
        question : callable
            Takes the first part, or None for a summary, and returns what is asked with the names it has.
        drop_below : int
            Prompts with fewer samples are left out.
        force : bool
            Whether a summary in the place of the new one may be replaced.

        Raises
        ------
        BadInput
            For a summary that would be a part of the table.
        """
        from alignlib.scale import engine_for, is_summary

        where = location(table)
        if self.summary is not None:
            from alignlib._core.files import check_new

            claim(self.summary)
            check_new(self.summary, force, [table] if table.is_file() else [])
            if _within(self.summary, where):
                raise BadInput(f"--summary {self.summary} would be a part of {where} itself; write it elsewhere.")
        several = [where] if is_summary(where) else _summaries(where)
        if several:
            found = self._read(several, where, question(None), drop_below)
            yield found
            self._keep(found, force)  # of an answer alone: what is refused leaves no file
            return
        if self.bin_width is not None:
            from alignlib.scale import check_width

            check_width(self.bin_width)
        from alignlib.scale import EXACT_UP_TO, first_file, is_many, list_parts, open_parts
        from alignlib.tables import check_file

        if not is_many(where):
            check_file(Path(where))
        asked = question(first_file(list_parts(where)))
        progress = Progress()
        with (
            engine_for(self.workers, self.scheduler) as engine,
            open_parts(
                where,
                asked,
                self.checkpoint or _cache(where, asked),
                bin_width=self.bin_width,
                exact_up_to=EXACT_UP_TO if self.exact_up_to is None else self.exact_up_to,
                drop_below=drop_below,
                skip_corrupt=self.skip_corrupt,
                engine=engine,
                tell=progress.tell,
            ) as found,
        ):
            progress.end()
            yield found
            self._keep(found, force)

    def _keep(self, found: SummaryTable, force: bool) -> None:
        """Write the summary, if it is asked for."""
        if self.summary is None:
            return
        from alignlib.scale import write_summary

        about = {"notes": found.notes, "dropped": found.dropped}
        write_summary(found.kept(), self.summary, about, force=force, counts=found.kept_counts)
        click.echo(for_terminal(f"Wrote {self.summary}"), err=True)

    def _read(self, paths: list[str], where: str, asked: Question, drop_below: int) -> SummaryTable:
        """Read summaries as one, whose first column is what picks."""
        from alignlib.scale import Kept, read_kept, table_of, with_at_least

        if replace(self, summary=None).asked:
            raise BadInput(f"{where} is a summary, made before; leave out the options on parts.")
        context = click.get_current_context()
        for one in context.command.params:
            if one.name in _OF_ROWS and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE:
                raise BadInput(
                    f"{where} is a summary, made before, and {max(one.opts, key=len)} says how rows are read; leave it "
                    "out, or summarise anew."
                )
        found: list[Kept] = []
        notes: list[str] = []
        dropped = 0
        for path in paths:
            kept, about = read_kept(path)
            summary = kept.summary
            if kept.unnamed:
                summary = replace(summary, columns=(*asked.rewards, "gold")[: len(summary.columns)])
                kept = replace(kept, summary=summary)
            missing = [name for name in asked.rewards if name not in summary.columns]
            if missing or asked.rewards[0] != summary.columns[0]:
                names = ", ".join(map(repr, summary.columns))
                raise BadInput(f"{path} summarises {names}, by the first; ask for that as --reward, or summarise anew.")
            if kept in found:
                raise BadInput(
                    f"{paths[found.index(kept)]} and {path} hold the same summary; remove one of them, or its "
                    "samples count twice."
                )
            found.append(kept)
            notes += [note for note in about.get("notes", ()) if note not in notes]
            dropped += int(about.get("dropped", 0))
        found = Kept.alike(found)
        before: dict[str, tuple[str, object]] = {}
        for path, its in zip(paths, found, strict=True):
            for what, value in its.made_with(members=bool(asked.members)).items():
                other, its_own = before.setdefault(what, (path, value))
                if value != its_own:
                    typed = f"--{what.replace('_', '-')}"
                    raise BadInput(
                        f"{other} and {path} were made with different {typed}; make them anew with the same."
                    )
        if not any(len(one.summary.sizes) for one in found):
            raise BadInput(f"{where} is a summary of no prompts; summarise a table that has some.")
        merged, note = with_at_least(Kept.merged(found), drop_below)
        if len(paths) > 1:  # in any order, and merged in steps, the same
            notes.sort()
        return table_of(merged, (*notes, *filter(None, [note])), dropped)


def _summaries(where: str) -> list[str]:
    """Return the summaries that a folder or a pattern of this machine holds, where it holds nothing else."""
    from alignlib.scale import is_many, is_summary, list_parts

    if "://" in where or not is_many(where):
        return []
    paths = [part.path for part in list_parts(where)]
    return paths if all(map(is_summary, paths)) else []


SCALE = tuple(field.name for field in fields(Scale))  # the options, as they are typed


def location(table: Path) -> str:
    """Return a table as it was typed; an address may have lost a slash, unless a folder here is called like its kind.

    Parameters
    ----------
    table : Path
        As typed.

    Returns
    -------
    str
        With both slashes of an address.
    """
    if Path(*table.parts[:1]).is_dir():  # whose own name ends in a colon
        return str(table)
    return as_address(table) or str(table)


def _within(file: Path, where: str) -> bool:
    """Tell whether a file would be a part of a local folder, pattern or file."""
    if "://" in where and not where.startswith("file://"):
        return False
    here, table = file.resolve(), Path(where.removeprefix("file://")).absolute()
    if table.is_dir():
        return table.resolve() in here.parents or table in file.absolute().parents  # a link in it is followed
    return fnmatch(str(here), str(table)) and ("**" in where or len(here.parts) == len(table.parts))


def place(table: Path) -> Path:
    """Return the file or the folder in which a local table lies: of a pattern, the folder above its first wildcard.

    Parameters
    ----------
    table : Path
        As typed.

    Returns
    -------
    Path
        As typed where nothing is there.

    Raises
    ------
    BadInput
        For an address of another machine.
    """
    if "://" in location(table) and not str(table).startswith("file:"):
        raise BadInput("A report needs files of this machine, which it names; copy them, or write a --summary first.")
    found = Path(location(table).removeprefix("file://"))
    while not found.exists() and any(c in str(found) for c in "*?["):
        found = found.parent
    return found


def _cache(where: str, asked: Question) -> Path:
    """Return the folder for one question about one location, the same whenever it is asked."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "alignlib", "scale")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"What is done is kept in {root} until all is, and that folder cannot be made ({error.strerror}); name "
            "another with --checkpoint."
        ) from error
    with contextlib.suppress(OSError):
        where = where if "://" in where else os.path.abspath(where)
    return root / hashlib.blake2b(f"{where} {asked}".encode(errors="surrogateescape"), digest_size=12).hexdigest()
