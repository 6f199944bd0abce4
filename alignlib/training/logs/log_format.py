"""Formats of training logs, one file each: a file put into this folder registers the logs that it can read."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from shlex import quote

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, require
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.tables import check_file, is_table_name, open_table_file, tables_in
from alignlib.training.logs.per_prompt import PerPrompt

__all__ = ["BY_ID", "LogFormat", "LogQuery", "LogRows", "find_log", "known_formats", "no_length", "register"]


BY_ID = "are called"  # of a note on names that several runs have
_SHOWN, _LOOKED_AT = 4, 200  # logs in a folder
_KINDS = {
    "trl": "runs of trl",
    "trackio": "databases, as trackio's",
    "tensorboard": "folders or files of TensorBoard's events",
    "mlflow": "runs of MLflow",
}


@dataclass(frozen=True)
class LogQuery:
    """What is asked of a log, as in `read_training_log`; None where the format's own names are meant.

    Parameters
    ----------
    kl, reward, step : str, optional
        Keys or columns.
    length : float or str, optional
        Mean tokens of a response, or where they are.
    kl_unit : str, optional
        Nats per what: ``"sequence"`` or ``"token"``.
    run : str, optional
        What names the run, where there are several.
    evaluation : bool
        Take the keys of evaluations instead of those of training steps.
    held_out : bool
        Take the rows whose split is no training instead of those of training, where a column names splits.
    splits : bool
        Keep splits of the data apart, as runs of their own.
    estimator : str
        ``"k1"``, ``"k2"`` or ``"k3"``; "" where the key is to tell.
    files : str
        What several files with the same steps are of, ``"processes"`` or ``"starts"``.
    """

    kl: str | None = None
    reward: str | None = None
    step: str | None = None
    length: float | str | None = None
    kl_unit: str | None = None
    run: str | None = None
    evaluation: bool = False
    splits: bool = False
    held_out: bool = False
    estimator: str = ""
    files: str = "processes"


@dataclass(frozen=True, eq=False)
class LogRows(SameFields):
    """Checkpoints as a log holds them, before units are converted.

    Attributes
    ----------
    kl_name, reward_name : str
        What the log calls them.
    kl_unit : str
        Nats per what.
    step : array (k,)
        Steps of training.
    kl, reward : array (k,)
        KL in nats per ``kl_unit`` and mean reward, NaN where missing.
    length : array (k,), optional
        Mean tokens of a response; None where the KL is per sequence.
    run : array (k,)
        The run of each.
    notes : tuple of str
        Sentences on how it was read.
    estimator : str
        ``"k1"``, ``"k2"`` or ``"k3"`` where known.
    mean_over : str
        What a KL per token is the mean over, ``"tokens"``, ``"responses"`` or ``"parts"``, where known; ``"scaled"``
        where it is a loss on a scale that the log does not tell, ``"own tokens"`` where the length counts others too.
    shortest, longest : array (k,), optional
        Ends of the lengths.
    per_prompt : PerPrompt, optional
        What each prompt had, where the log holds single responses.
    decimals : int, optional
        With how many the log prints every KL, where it is text and they are as many throughout.
    half : array (k,), optional
        Half of the last decimal of each, 0 of one with many; None where it is not looked at yet (`halves`).
    """

    kl_name: str
    kl_unit: str
    reward_name: str
    step: FloatArray
    kl: FloatArray
    reward: FloatArray
    length: FloatArray | None
    run: npt.NDArray[np.object_]
    notes: tuple[str, ...] = ()
    estimator: str = ""
    mean_over: str = ""
    shortest: FloatArray | None = None
    longest: FloatArray | None = None
    per_prompt: PerPrompt | None = None
    decimals: int | None = None
    half: FloatArray | None = None

    def keep(self, mask: BoolArray) -> LogRows:
        """Return the checkpoints where ``mask`` holds.

        Parameters
        ----------
        mask : array of bool (k,)
            True for those that are kept.
        """

        def kept(values: FloatArray | None) -> FloatArray | None:
            return None if values is None else values[mask]

        return replace(
            self,
            step=self.step[mask],
            kl=self.kl[mask],
            reward=self.reward[mask],
            length=kept(self.length),
            run=self.run[mask],
            shortest=kept(self.shortest),
            longest=kept(self.longest),
            half=kept(self.half),
            per_prompt=None
            if self.per_prompt is None
            else self.per_prompt.moved(np.where(mask, np.cumsum(mask) - 1, -1)),
        )


@dataclass(frozen=True)
class LogFormat:
    """A format of training logs.

    Parameters
    ----------
    name : str
        What the format is called.
    find : callable
        ``find(path)`` takes a file or a folder and returns the file to read, or None if that is not of this format.
    read : callable
        ``read(path, query)`` reads the checkpoints; it raises `InputError` where it cannot.
    place : int
        Formats are asked in this order, equal places by name: a general one after those that it would swallow.
    """

    name: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path, LogQuery], LogRows]
    place: int = 0


_FORMATS: dict[str, LogFormat] = {}


def register(new: LogFormat) -> LogFormat:
    """Make a format known by its name, which must be free, and return it.

    Parameters
    ----------
    new : LogFormat
        The format.

    Raises
    ------
    InputError
        If its name is taken.
    """
    require(new.name not in _FORMATS, f"name must be new; there is a log format {new.name!r} already.")
    _FORMATS[new.name] = new
    return new


def known_formats() -> tuple[LogFormat, ...]:
    """Return every format in the order in which they are asked, after importing the files of this folder.

    Examples
    --------
    >>> [one.name for one in known_formats()]
    ['rollouts', 'console', 'json lines', 'mlflow', 'tensorboard', 'trackio', 'wandb panels', 'trl', 'table']
    """
    _import_all()
    return tuple(sorted(_FORMATS.values(), key=lambda one: (one.place, one.name)))


@cache
def _import_all() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")


def no_length(path: Path, kl: str) -> str:
    """Say that nats per token cannot be converted.

    Parameters
    ----------
    path : Path
        The log.
    kl : str
        The column.
    """
    return (
        f"{path}: {kl!r} is in nats per token and there is no mean length to convert it with; give the mean number of "
        "tokens per response, or what holds it (length)."
    )


def find_log(path: Path) -> tuple[Path, LogFormat]:
    """Return the file to read and its format.

    Parameters
    ----------
    path : Path
        A file or a folder.

    Returns
    -------
    path : Path
        The file, or a folder that is a log by itself.
    log_format : LogFormat
        What reads it.

    Raises
    ------
    InputError
        For a folder that holds no log of any known format, or a pipe in the place of a log.
    """
    _check_files(path)
    for one in known_formats():
        found = one.find(path)
        if found is not None:
            return found, one
    rows = _of_a_table(path)
    if rows and "kl" not in rows:
        raise InputError(
            f"{path} is a folder of tables with {', '.join(map(repr, rows[:8]))}, which hold no KL: neither KL and "
            "reward of each step, nor, for single responses, log-probabilities under policy and base beside 'step' and "
            "'reward'. Add them, or sample from the run's checkpoints with `alignlib sample`, naming the base.",
            argument="path",
        )
    inside = _logs_in(path)
    if inside:
        some = ", ".join(f"{one.name!r}" for one, _ in inside[:_SHOWN]) + (", …" if len(inside) > _SHOWN else "")
        kinds = " and ".join(dict.fromkeys(_KINDS.get(kind, "logs") for _, kind in inside))
        raise InputError(
            f"{path} is no log but holds {kinds}: {some}. Name one, as in `alignlib overlay "
            f"{quote(str(inside[0][0]))}`.",
            argument="path",
        )
    raise InputError(
        f"{path} holds no trainer_state.json, nor does a checkpoint-* in it; name the trainer's log, or a table.",
        argument="path",
    )


def _logs_in(path: Path) -> list[tuple[Path, str]]:
    """Return what lies in a folder, or one deeper, and is a log by itself, with its format; tables apart."""
    try:
        near = sorted(path.iterdir())[:_LOOKED_AT] if path.is_dir() else []
        deeper = [sorted(one.iterdir())[:_LOOKED_AT] if one.is_dir() else [] for one in near]
    except OSError:
        return []
    for level in (near, [one for some in deeper for one in some][:_LOOKED_AT]):
        found = []
        for one in level:
            asked = (form for form in known_formats() if form.name in _KINDS and (form.name != "trl" or one.is_dir()))
            kind = next((form.name for form in asked if form.find(one) is not None), None)
            if kind is not None:
                found.append((one, kind))
        if found:
            return found
    return []


def _check_files(path: Path) -> None:
    """Refuse a pipe or a device, itself or in a folder: each format looks into it, and would wait without end."""
    if not path.is_dir():
        within = [path]
    else:
        within = [one for one in path.iterdir() if is_table_name(one) or "tfevents" in one.name]
    for one in within:
        if one.exists() and not one.is_dir():
            check_file(one)


def _of_a_table(path: Path) -> tuple[str, ...]:
    """Return the columns of the first table in a folder of tables, such as a trainer's dumps of responses."""
    try:
        return open_table_file(tables_in(path)[0], unfinished=True).names if path.is_dir() else ()
    except (InputError, OSError, LookupError):
        return ()
