"""Where the log of a run is: the file or folder that a path means, and the format that it is in."""

from __future__ import annotations

from pathlib import Path

from alignlib._core.errors import InputError
from alignlib.tables import open_table_file, tables_in
from alignlib.training.logs.log_format import LogFormat, known_formats

__all__ = ["find_log"]


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
        For a folder that holds no log of any known format.
    """
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
    raise InputError(
        f"{path} holds no trainer_state.json, nor does a checkpoint-* in it; name the trainer's log, or a table.",
        argument="path",
    )


def _of_a_table(path: Path) -> tuple[str, ...]:
    """Return the columns of the first table in a folder of tables, such as a trainer's dumps of responses."""
    try:
        return open_table_file(tables_in(path)[0]).names if path.is_dir() else ()
    except (InputError, OSError, LookupError):
        return ()
