"""Rewards of sampled responses, by a reward model or a Python function, as one more column of their table."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError, quoted
from alignlib._core.files import check_new, check_place
from alignlib._core.locks import alone_in
from alignlib._core.names import as_path
from alignlib.models.batching import say_on_stderr
from alignlib.models.function_scorer import FunctionScorer, ScoringFunction, find_scorer, name_of
from alignlib.models.loading import choose_device, choose_dtype, load_reward_model, require_torch
from alignlib.models.prompts import Prompt, prompt_column
from alignlib.models.resumable import Parts, discard, write_parquet
from alignlib.models.reward_scorer import RewardScorer
from alignlib.models.scoring import ScoreSettings, Scoring, content_hash
from alignlib.models.texts import choose_layout
from alignlib.tables import check_file, open_table_file, require_column

if TYPE_CHECKING:
    import torch

__all__ = ["ScoreSummary", "score"]

_BLOCK = 8192  # rows per row group of the final file


@dataclass(frozen=True)
class ScoreSummary:
    """What was written.

    Attributes
    ----------
    output : Path
        The file.
    column : str
        The new column.
    n_rows : int
        Rows that were scored.
    mean, std : float
        Mean and standard deviation of the rewards.

    Examples
    --------
    >>> ScoreSummary(Path("answers.parquet"), "reward_brevity", n_rows=2, mean=-5.5, std=2.5).column
    'reward_brevity'
    """

    output: Path
    column: str
    n_rows: int
    mean: float
    std: float


def score(
    table: str | Path,
    reward_model: str | None = None,
    *,
    scorer: str | ScoringFunction | None = None,
    output: str | Path | None = None,
    settings: ScoreSettings | None = None,
    force: bool = False,
    say: Callable[[str], None] = say_on_stderr,
) -> ScoreSummary:
    """Score r(x, y) for every row and add the column ``reward_NAME``; other columns stay as they are.

    Parameters
    ----------
    table : str or Path
        Parquet (from ``alignlib sample``), CSV, TSV or JSON lines with a prompt and a response in each row.
    reward_model : str, optional
        Name on the hub, or folder, of a sequence-classification model.
    scorer : str or callable, optional
        In place of a reward model: a function from a list of texts to as many numbers, or its name, as in
        ``package.module:function`` or ``file.py:function``. It gets the responses, or what the template makes of
        prompts and responses.
    output : str or Path, optional
        Parquet file to write; the table itself by default, if it is Parquet.
    settings : ScoreSettings, optional
        How to score.
    force : bool
        Replace an existing column, or an existing other file.
    say : callable
        Called with what was decided, in sentences.

    Raises
    ------
    InputError
        In one sentence, where the model, the table or an earlier run stands in the way.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "answers.csv")
    ...     _ = path.write_text("prompt,response\\nWhy?,Because.\\nWhy?,No.\\n", encoding="utf-8")
    ...     settings = ScoreSettings(name="brevity")
    ...     output = path.with_suffix(".parquet")
    ...     found = score(path, scorer=lambda texts: [-len(one) for one in texts], output=output, settings=settings)
    >>> found.column, found.n_rows, found.mean
    ('reward_brevity', 2, -5.5)
    """
    if (reward_model is None) == (scorer is None):
        raise InputError("One of two must score: give reward_model, or give scorer, not both.")
    if reward_model is not None:
        require_torch()
    settings = settings or ScoreSettings()
    table = as_path(table)
    column = f"reward_{settings.name or _plain_name(reward_model, scorer)}"
    _require_unicode("name", column, settings.name is None)
    _require_unicode("template", settings.template or "")
    place = table if output is None else Path(output)
    folder = place.with_name(f"{place.name}.{column}.parts")
    written = None if force or not folder.exists() else _said_of(place, column)  # killed before it could tidy up
    target = _target(table, output, force or written is not None)
    replace = force or _is_one(table, target)
    check_place(folder, folder=True)
    found = None if scorer is None else find_scorer(scorer, settings)
    machine = None if found is not None else _machine(settings)
    prompts, responses = _read(table, settings, None if force or written is not None else column)
    job: Scoring
    if found is not None:
        job = FunctionScorer.prepare(found, settings, prompts, responses, say)
    else:
        assert reward_model is not None
        assert machine is not None
        job = _job_of_model(reward_model, settings, machine, prompts, responses, say)
    if written is not None:
        return _finished(job, target, column, written, folder, say)
    with Parts.begin(folder, job.identity(), len(responses), job.plan) as parts:
        rewards = job.run(parts)
        with alone_in(Path(os.path.realpath(target)).parent):  # another job may be adding a column of its own
            if content_hash(*_read(table, settings, None)) != job.content:
                raise InputError(f"{table} changed while it was scored; score it again.")
            _write(table, target, column, rewards, json.dumps(job.metadata()), folder, replace)
        parts.remove()
    return _summarise(target, column, rewards, say)


def _require_unicode(argument: str, text: str, is_missing: bool = False) -> None:
    """Refuse bytes that are no text, as a shell may pass them: no file of Parquet holds them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        what = "give one, since the model's is none" if is_missing else f"got {quoted(text, 100)}"
        raise InputError(f"{argument} must be text in Unicode; {what}.", argument=argument) from None


def _machine(settings: ScoreSettings) -> tuple[torch.device, torch.dtype]:
    device = choose_device(settings.device)
    return device, choose_dtype(settings.dtype, device)


def _job_of_model(
    reward_model: str,
    settings: ScoreSettings,
    machine: tuple[torch.device, torch.dtype],
    prompts: Sequence[Prompt],
    responses: Sequence[str],
    say: Callable[[str], None],
) -> RewardScorer:
    """Load the model and lay out the texts for it."""
    device, dtype = machine
    loaded = load_reward_model(reward_model, device=device, dtype=dtype, remote_code=settings.remote_code)
    messages = not isinstance(prompts[0], str)
    layout, said = choose_layout(loaded, settings.layout, messages, settings.template)
    for sentence in (*loaded.notes, said):
        say(sentence)
    return RewardScorer.prepare(loaded, settings, layout, prompts, responses, say)


def _summarise(target: Path, column: str, rewards: FloatArray, say: Callable[[str], None]) -> ScoreSummary:
    # One response scored in another batch differs by some roundings of single precision; in half precision, whose
    # roundings are as large as real differences, only equal rewards are called equal.
    if np.ptp(rewards) <= 64.0 * np.finfo(np.float32).eps * np.abs(rewards).max():
        say(f"All rewards are {rewards[0]:g}: this scorer does not tell the responses apart.")
    return ScoreSummary(target, column, rewards.size, float(rewards.mean()), float(rewards.std()))


def _said_of(target: Path, column: str) -> dict[str, object] | None:
    """What a file says of a column of rewards that it holds; None where it has none."""
    try:
        with target.open("rb") as file:
            schema = pq.read_schema(file)
        said = json.loads((schema.metadata or {})[_key(column).encode()])
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None
    # Whoever takes a column away rarely takes away what is said of it.
    return said if isinstance(said, dict) and column in schema.names else None


def _finished(
    job: Scoring,
    target: Path,
    column: str,
    written: dict[str, object],
    folder: Path,
    say: Callable[[str], None],
) -> ScoreSummary:
    """Tidy up after a job that was killed when its file stood already."""
    identity = json.loads(json.dumps(job.identity()))
    if any(written.get(name) != value for name, value in identity.items()):
        raise InputError(f"{target} has a column {column!r} already; choose another name, or pass force=True.")
    discard(folder, identity)
    say(f"{target} has the column {column!r} already, with these settings; nothing to do.")
    with target.open("rb") as file:
        rewards = pq.ParquetFile(file).read([column])[column].to_numpy()
    return _summarise(target, column, rewards, say)


def _key(column: str) -> str:
    return f"alignlib_score:{column}"


def _target(table: Path, output: str | Path | None, force: bool) -> Path:
    """Return the file to write, or refuse one that cannot take a column or would be lost."""
    if str(table) != "-":
        check_file(table)
    target = table if output is None else Path(output)
    if target.suffix.lower() != ".parquet":
        if output is not None:
            raise InputError(f"{target} cannot take another column; the output must end in .parquet.")
        kind = table.suffix.removeprefix(".") or "no ending"
        raise InputError(
            f"{target} cannot take another column: it is {kind}, and rewards are added to Parquet only, in which "
            "nothing of the table changes on the way; give -o NAME.parquet."
        )
    check_new(target, force or _is_one(table, target))
    return target


def _is_one(table: Path, target: Path) -> bool:
    """Whether a column is added to the table itself."""
    return table.exists() and target.exists() and target.samefile(table)


def _read(table: Path, settings: ScoreSettings, new: str | None) -> tuple[list[Prompt], list[str]]:
    """Read prompts and responses, and refuse a table that lacks some, or that has the ``new`` column already."""
    file = open_table_file(table)
    if new in file.names:
        raise InputError(f"{table} has a column {new!r} already; choose another name, or pass force=True.")
    names = (settings.prompt, settings.response)
    require_column(file, settings.prompt, "prompt")
    require_column(file, settings.response, "response")
    found = file.load(names)
    prompts, responses = (prompt_column(file, name, found[name]) for name in names)
    if not prompts:
        raise InputError(f"{table} has no rows; sample some responses first.")
    for name, values in zip(names, (prompts, responses), strict=True):
        if None in values:
            raise InputError(
                f"column {name!r} of {table} has no value in {file.where([values.index(None)])}; fill it in."
            )
    texts = [text for text in responses if isinstance(text, str)]
    if len(texts) < len(prompts):
        raise InputError(f"Column {settings.response!r} of {table} holds lists of messages; responses must be texts.")
    return [prompt for prompt in prompts if prompt is not None], texts


def _write(table: Path, target: Path, column: str, rewards: FloatArray, said: str, folder: Path, replace: bool) -> None:
    """Write the table as it is now (it may have gained another column meanwhile) with the new one."""
    file = open_table_file(table)
    whole = file.whole()
    values = pa.array(rewards, pa.float64())
    if column in whole.column_names:
        whole = whole.set_column(whole.column_names.index(column), column, values)
    else:
        whole = whole.append_column(column, values)
    schema = whole.schema.with_metadata({**(whole.schema.metadata or {}), _key(column): said})
    write_parquet(
        target, (whole.slice(i, _BLOCK) for i in range(0, whole.num_rows, _BLOCK)), schema, folder, replace=replace
    )


def _plain_name(reward_model: str | None, scorer: str | ScoringFunction | None) -> str:
    """Name a column after a model (the last part of its name) or a function."""
    if scorer is not None:
        name = (scorer if isinstance(scorer, str) else name_of(scorer)).rpartition(":")[2]
    else:
        assert reward_model is not None
        path = Path(reward_model)
        name = path.resolve().name if path.is_dir() else reward_model.rsplit("/", maxsplit=1)[-1]
    return re.sub(r"[^\w.-]+", "_", name)
