"""A table of sampled responses with log-probabilities, as `alignlib sample` writes it when given a base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from alignlib._core.checks import BoolArray, FloatArray, as_number, require
from alignlib._core.doors import guard
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.tables import (
    TableFile,
    load,
    numbers,
    open_table_file,
    require_column,
    tables_in,
)
from alignlib.training.policy_kl.larger_steps import of_larger_steps
from alignlib.training.policy_kl.response_columns import numbers_of, prompts_of
from alignlib.training.policy_kl.response_marks import (
    TRUNCATED,
    advantages_of,
    cut_of,
    of_cut,
    opened_again,
    processes_of,
)
from alignlib.training.policy_kl.response_names import SPLITS
from alignlib.training.policy_kl.responses import Responses
from alignlib.training.policy_kl.run_again import latest_of
from alignlib.training.policy_kl.run_files import FILES, STARTS, check_files, last_starts, of_shared_steps
from alignlib.training.policy_kl.samples import KLSamples
from alignlib.training.policy_kl.samples_of_table import KLColumns, as_written, samples_of

__all__ = ["ScoredSamples", "read_kl_samples", "read_responses", "read_scored_samples"]

_CUTS = ("temperature", "top_p", "top_k", "min_p")  # of the law that was sampled from, where it is not the model's


def read_kl_samples(
    path: str | Path | Sequence[str | Path],
    columns: KLColumns | None = None,
    step: float | str | None = None,
    files: str = FILES[0],
) -> KLSamples:
    """Read responses with log-probabilities under policy and base, by sequence, by token or both.

    Token columns are lists, in CSV texts such as ``[-0.5, -1.25]``. Where both are there, the tokens must add up to the
    sequences. What trainers call these columns is known, too. A KL of each response, per token or per sequence, does
    where no log-probabilities are. Of a table with several steps of training one is taken.

    Parameters
    ----------
    path : str, Path or sequence
        A table of any known format, one row per response; or several, or a folder of them, which together are one
        sample: a prompt that several name is one prompt.
    columns : KLColumns, optional
        Names of the columns, where they are not those of a known trainer.
    step : float or str, optional
        Step of training whose responses are taken; by default the last. Of a run's splits those of training are, and
        with "all" those of every step and split are that were not run again.
    files : "processes" or "starts"
        What several files with steps are of; of starts, in the order of their names with digits read as numbers, a
        later one replaces what earlier ones hold from its first step on. Files in several folders: a folder each.

    Raises
    ------
    InputError
        For a file without log-probabilities of both models, missing or impossible values, sums that disagree, or a step
        that is not there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "responses.csv")
    ...     _ = file.write_text("log_prob,base_log_prob\\n-3.0,-3.5\\n-2.5,-2.0\\n", encoding="utf-8")
    ...     read_kl_samples(file).log_ratio.tolist()
    [0.5, -0.5]
    """
    return read_scored_samples(path, columns, step, files=files).samples


@dataclass(frozen=True, eq=False)
class ScoredSamples(SameFields):
    """Responses of one sample, with what names the prompt of each and its reward, where these are known.

    Attributes
    ----------
    samples : KLSamples
        What policy and base said of them.
    prompt : Array (n,), optional
        Name of the prompt.
    reward : array (n,), optional
        Of each response.
    """

    samples: KLSamples
    prompt: pa.Array | None
    reward: FloatArray | None


def read_scored_samples(
    path: str | Path | Sequence[str | Path],
    columns: KLColumns | None = None,
    step: float | str | None = None,
    reward: str | None = None,
    files: str = FILES[0],
) -> ScoredSamples:
    """Read responses as `read_kl_samples` does, with their rewards; those without one are left out.

    Parameters
    ----------
    path : str, Path or sequence
        A table, several, or a folder of them.
    columns : KLColumns, optional
        Names of the columns.
    step : float or str, optional
        Step of training whose responses are taken.
    reward : str, optional
        The column of rewards.
    files : "processes" or "starts"
        What several files with steps are of.

    Raises
    ------
    InputError
        As `read_kl_samples`, and for a column that is not there or holds no number.
    """
    check_files(files)
    names = columns or KLColumns()
    parts = [part for one in ([path] if isinstance(path, str | Path) else path) for part in tables_in(one, below=True)]
    require(bool(parts), "path names no table; give one at least.", "path")
    read = [read_responses(part, names, reward) for part in parts]
    starts = files == STARTS
    read, of_files = last_starts([read]) if starts else (read, [])
    read = read if step == "all" else _of_training(read)
    of_files += [] if starts else _of_shared(read)
    alive = [None if one.step is None else np.isfinite(one.step) for one in read] if starts else latest_of(read)
    left = [one if rows is None else one.take(np.flatnonzero(rows)) for one, rows in zip(read, alive, strict=True)]
    read = _of_step(read, alive, step, ", ".join(map(str, parts)))
    of_files += of_larger_steps(
        left, np.unique(np.concatenate([[], *(one.step for one in read if one.step is not None)]))
    )
    samples = _joined([one.samples for one in read], [str(part) for part in parts], [one.prompt for one in read])
    unscored = [note for one in read for note in one.notes if note not in one.samples.notes]
    cut = of_cut([one.cut for one in read])
    samples = replace(samples, notes=(*samples.notes, *of_files, *dict.fromkeys(unscored), *cut))
    rewards = None if reward is None else np.concatenate([one.reward for one in read if one.reward is not None])
    prompts = [one.prompt for one in read if one.prompt is not None]
    if not prompts:
        alone = (
            f"No column {names.prompt!r} names the prompts (prompt), so each response counts as one to a prompt of its "
            "own; where several are to one prompt, the intervals are too narrow."
        )
        return ScoredSamples(replace(samples, notes=(*samples.notes, alone)), None, rewards)
    alike = all(prompt.type == prompts[0].type for prompt in prompts)
    every = pa.concat_arrays(prompts if alike else [prompt.cast(pa.string()) for prompt in prompts])
    codes = every.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return ScoredSamples(replace(samples, prompt=np.asarray(codes, dtype=np.int64)), every, rewards)


def _of_training(read: list[Responses]) -> list[Responses]:
    """Return the responses of training, where others stand beside them: held-out prompts are another population."""
    named = [None if one.split is None else np.array([str(name) for name in one.split.to_pylist()]) for one in read]
    every = np.unique(np.concatenate([np.zeros(0, dtype=str), *(one for one in named if one is not None)]))
    training = [name for name in every.tolist() if name.lower().startswith("train")]
    if not 0 < len(training) < every.size:
        return read
    told = ", ".join(map(repr, every.tolist()[:8]))
    note = f"The responses are of several splits ({told}); those of training are taken."
    kept = []
    for one, split in zip(read, named, strict=True):
        rows = np.arange(one.samples.size) if split is None else np.flatnonzero(np.isin(split, training))
        if rows.size:
            part = one.take(rows)
            kept.append(replace(part, samples=replace(part.samples, notes=(note, *part.samples.notes))))
    return kept


def _of_step(
    read: list[Responses], alive: list[BoolArray | None], step: float | str | None, path: str
) -> list[Responses]:
    """Return the responses of one step of training that count, where the tables hold several."""
    if step is not None and step != "all":
        step = as_number("step", step)
        require(
            all(one.step is not None for one in read),
            f"{path} has no column of steps (step); name it, or leave out the step.",
            "step",
        )
    every = np.unique(np.concatenate([np.zeros(0), *(one.step for one in read if one.step is not None)]))
    held = [one.step[rows] for one, rows in zip(read, alive, strict=True) if one.step is not None and rows is not None]
    steps = np.unique(np.concatenate([np.zeros(0), *held]))  # less what a resume has written anew or not reached again
    if step == "all" or (step is None and every.size < 2):
        return _living(read, alive)
    chosen = float(steps[-1]) if step is None else float(step)
    if chosen not in steps:
        some = ", ".join(f"{one:g}" for one in steps[:8]) + (", …" if steps.size > 8 else "")
        raise InputError(
            f"{path} holds no responses of step {chosen:g}; it has {some}. Ask for one of these.", argument="step"
        )
    note = f"The responses are of {counted(steps.size, 'step')} of training; those of step {chosen:g} are taken (step)."
    kept = []
    for one, living in zip(read, alive, strict=True):
        rows = np.arange(one.samples.size)
        if one.step is not None and living is not None:
            rows = np.flatnonzero(living & (one.step == chosen))
        if rows.size:
            part = one.take(rows)
            kept.append(replace(part, samples=replace(part.samples, notes=(note, *part.samples.notes))))
    return kept


def _of_shared(kept: list[Responses]) -> list[str]:
    """Say which files hold responses of the same steps."""
    held = [(one.path, one.step) for one in kept if one.step is not None]
    if len(held) < max(2, len(kept)):
        return []
    file = np.repeat(np.arange(len(held)), [step.size for _, step in held])
    at, place = np.unique(np.concatenate([step for _, step in held]), return_inverse=True)
    return of_shared_steps(file, [Path(path).name for path, _ in held], place, at)


def _living(read: list[Responses], alive: list[BoolArray | None]) -> list[Responses]:
    """Return the responses of steps that were not run again, and say how many others there are."""
    lost = sum(int((~rows).sum()) for rows in alive if rows is not None)
    many = counted(lost, "response")
    note = f"Steps were run again, as after a resume: {many} of these left out, the later ones taken."
    kept = []
    for one, rows in zip(read, alive, strict=True):
        part = one if rows is None or rows.all() else one.take(np.flatnonzero(rows))
        if part.samples.size:
            more = (note,) if lost else ()
            kept.append(replace(part, samples=replace(part.samples, notes=(*more, *part.samples.notes))))
    return kept


def read_responses(path: str | Path, names: KLColumns, reward: str | None = None, run: str | None = None) -> Responses:
    """Read one table of responses, with the column of rewards if it is named.

    Parameters
    ----------
    path : str or Path
        The table.
    names : KLColumns
        Its columns.
    reward : str, optional
        The column of rewards.
    run : str, optional
        The column that names the run.

    Raises
    ------
    InputError
        If a column is missing, or a cell is impossible.
    """
    file = open_table_file(path, unfinished=True)
    have = set(file.names)
    for field in fields(KLColumns):  # a column that was asked for by name has to be there, and none may be there twice
        name = getattr(names, field.name)
        if field.name == "kl_unit" or not name:
            continue
        if name != field.default or name in have:
            require_column(file, name, field.name)
    if TRUNCATED in have:
        require_column(file, TRUNCATED, "table")
    for option, wanted in (("reward", reward), ("run", run)):
        if wanted is not None:
            require_column(file, wanted, option)
    names, told = as_written(file, names)
    own = [name for name in (names.prompt, names.step, *SPLITS[:1]) if name in have]
    table = load(file, [*own, *([] if reward is None else [reward])], "one row per response") if own or reward else None
    samples = _with_notes(samples_of(file, names), file)
    step = None if table is None or names.step not in have else numbers_of(file, names.step, table)
    prompt = None if table is None or names.prompt not in have else prompts_of(file, names.prompt, table)
    split = None if table is None or SPLITS[0] not in have else prompts_of(file, SPLITS[0], table)
    rewards = None if table is None or reward is None else numbers_of(file, reward, table, missing=True)
    notes = (*told, *samples.notes)
    advantage = None if reward is None else advantages_of(file)
    opened = opened_again(file) if step is not None else None
    process, said = processes_of(file) if step is not None else (None, "")
    notes = (*notes, said) if said else notes
    found = Responses(
        replace(samples, notes=notes), prompt, step, rewards, split, notes, advantage, opened, cut_of(file), process,
        None if run is None else prompts_of(file, run, load(file, [run], "one row per response")),
        str(path),
    )  # fmt: skip
    if rewards is None or not np.isnan(rewards).any():
        return found
    scored = np.flatnonzero(~np.isnan(rewards))
    lost = f"{rewards.size - scored.size} of {counted(rewards.size, 'response')}"
    require(
        bool(scored.size), f"column {reward!r} of {path} holds no number; name that of the reward (reward).", "reward"
    )
    note = f"Left out: {lost} without a number in {reward!r}, as where a reward could not be told"
    gone = [] if step is None else np.setdiff1d(step, step[scored]).tolist()
    if gone:
        some = ", ".join(f"{one:g}" for one in gone[:5]) + (", …" if len(gone) > 5 else "")
        note += f"; of step{'s' if len(gone) > 1 else ''} {some} none has one, and no checkpoint is made of it"
    note += "."
    return replace(found.take(scored), notes=(*notes, note))


def _joined(parts: Sequence[KLSamples], paths: Sequence[str], prompts: Sequence[pa.Array | None]) -> KLSamples:
    """Return the responses of several tables as one sample; what only some of them have cannot be used."""
    if len(parts) == 1:
        return parts[0]
    for what, have in (
        ("log-probabilities by token", [part.token_log_ratio is not None for part in parts]),
        ("exact next-token divergences", [part.token_kl is not None for part in parts]),
        ("numbers of tokens", [part.n_tokens is not None for part in parts]),
        ("prompts", [prompt is not None for prompt in prompts]),
    ):
        if any(have) and not all(have):
            raise InputError(
                f"{paths[have.index(True)]} has {what}, {paths[have.index(False)]} has none; to join them, give all "
                "the same columns.",
                argument="path",
            )
    notes = [f"{len(parts)} tables are read as one sample; prompts of one name are one prompt."]
    for i, one in enumerate(parts):
        same = next((j for j in range(i) if np.array_equal(parts[j].log_ratio, one.log_ratio)), None)
        if same is not None:
            notes.append(
                f"{paths[same]} and {paths[i]} have the same log-ratios row by row; leave one out if it is a copy."
            )
    notes += dict.fromkeys(note for part in parts for note in part.notes)
    return KLSamples.joined(parts, tuple(notes))


def _with_notes(samples: KLSamples, file: TableFile) -> KLSamples:
    """Add what the file itself says of how it was sampled."""
    notes = [*file.notes, *samples.notes]
    cuts = [name for name in _CUTS if name in file.names]
    if cuts:
        table = load(file, cuts, "one row per response")
        shown = ", ".join(f"{name} {float(numbers(file, name, table.column(name))[-1]):g}" for name in cuts)
        notes.append(
            f"The responses were drawn with {shown}: the KL is that of the policy so heated or cut only where its "
            "log-probabilities are (a cut law's are not, as trainers write them), not that of the model itself."
        )
    told = _metadata(file.path) if file.path.endswith(".parquet") else {}
    law = told.get(b"sampling_law", b"").decode("utf-8", "replace")
    if "temperature" in law or "top-" in law:
        notes.append(
            f"Sampled with {law}: the KL is that of the policy so sampled, with its log-probabilities; that of the "
            "model itself needs samples of the model itself."
        )
    return replace(samples, notes=tuple(notes))


def _metadata(path: str) -> Mapping[bytes, bytes]:
    """Return what a Parquet file says of itself beside its columns."""
    import pyarrow.parquet as pa_parquet

    try:
        with open(path, "rb") as file:
            return pa_parquet.read_schema(file).metadata or {}
    except (pa.ArrowException, OSError):  # a file in memory may have such a name
        return {}


guard(globals())
