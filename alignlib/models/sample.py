"""Responses of a language model, with their log-probabilities: the table that limits are estimated from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alignlib._core.errors import InputError
from alignlib._core.files import check_new, check_place
from alignlib.models.batching import say_on_stderr
from alignlib.models.loading import require_torch
from alignlib.models.prompts import Prompts
from alignlib.models.resumable import Parts, discard, write_parquet
from alignlib.models.sample_job import SampleJob, SampleSettings
from alignlib.tables.memory_limit import check_fits, shown_bytes

__all__ = ["SampleSummary", "check_output", "sample"]

_KEY = b"alignlib_sample"
_IN_MEMORY, _ON_DISK = 16, 16  # bytes of a response: its places while all are put in order, a token of it in the file


@dataclass(frozen=True)
class SampleSummary:
    """What was written.

    Attributes
    ----------
    output : Path
        The file.
    n_prompts, n_responses : int
        How many it has.
    n_empty, n_truncated : int
        Responses without text, and those that were cut.
    n_infinite : int
        Responses that are impossible under the base.

    Examples
    --------
    >>> found = SampleSummary(Path("out.parquet"), n_prompts=2, n_responses=8, n_empty=0, n_truncated=1, n_infinite=0)
    >>> found.n_truncated / found.n_responses
    0.125
    """

    output: Path
    n_prompts: int
    n_responses: int
    n_empty: int
    n_truncated: int
    n_infinite: int


def sample(
    model: str,
    prompts: Prompts,
    output: str | Path,
    *,
    base: str | None = None,
    settings: SampleSettings | None = None,
    force: bool = False,
    say: Callable[[str], None] = say_on_stderr,
) -> SampleSummary:
    """Draw n responses ``y ~ π(·|x)`` to each prompt x and write them with ``log π(y|x)``, in nats, as Parquet.

    Columns: ``prompt_id``, ``sample_id``, ``prompt``, ``response``, ``n_tokens`` (the end token among them),
    ``truncated`` (no end token within the largest length), ``log_prob`` and ``token_log_prob`` (under the law that was
    sampled from), ``token_id``; with ``base`` also ``base_log_prob``, ``base_token_log_prob`` and ``token_kl``, the
    exact KL(policy ‖ base) of the next-token laws at each prefix that was visited. The base is taken at temperature 1
    with nothing cut.

    Parameters
    ----------
    model : str
        The policy: a name on the hub, or a folder.
    prompts : Prompts
        From `alignlib.models.prompts.read_prompts`.
    output : str or Path
        File to write; the folder ``output.parts`` beside it keeps what is done until then.
    base : str, optional
        What it is compared with: a name on the hub, or a folder.
    settings : SampleSettings, optional
        How to sample.
    force : bool
        Replace an existing file.
    say : callable
        Called with what was decided, in sentences.

    Raises
    ------
    InputError
        In one sentence, where a model, a prompt or an earlier run stands in the way.

    Examples
    --------
    .. code-block:: python

        from alignlib.models.prompts import as_prompts
        from alignlib.models.sample import sample
        from alignlib.models.sample_job import SampleSettings

        prompts = as_prompts(["Why is the sky blue?", "Why is grass green?"])
        settings = SampleSettings(n=8, max_new_tokens=16)
        found = sample("policy", prompts, "samples.parquet", settings=settings)  # a folder, or a name on the hub
        print(f"{found.n_responses} responses, {found.n_truncated} of them cut")
    """
    require_torch()
    settings = settings or SampleSettings()
    output = Path(output)
    check_output(output, force)
    _check_room(output, len(prompts), settings.n)
    job = SampleJob.prepare(model, base, prompts, settings, say)
    folder = _parts_of(output)
    if output.is_file() and not force:
        if _settings_of(output) != job.identity:
            raise InputError(f"{output} exists with other settings; choose another output, or pass force=True.")
        discard(folder, job.identity)
        say(f"{output} is complete already, with these settings; nothing to do.")
        return _summarise(output, len(job.prompts))
    with Parts.begin(folder, job.identity, job.n_rows, job.plan) as parts:
        if not force and os.path.lexists(output):  # by a job that ended while this one was being prepared
            raise InputError(f"{output} has been made meanwhile; choose another output, or pass force=True.")
        job.run(parts)
        own = {_KEY.decode(): json.dumps({"settings": job.identity, "plan": parts.plan})}
        described = {name: str(value) for name, value in {**job.metadata(parts), **own}.items()}
        schema = next(job.blocks(parts)).schema.with_metadata(described)
        write_parquet(output, job.blocks(parts), schema, folder, replace=force)
        parts.remove()
    summary = _summarise(output, len(job.prompts))
    for sentence in _remarks(summary, settings, base):
        say(sentence)
    return summary


def check_output(output: Path, force: bool) -> None:
    """Refuse, before any model is loaded, an output that cannot be written.

    Parameters
    ----------
    output : Path
        The file.
    force : bool
        Replace an existing file.

    Raises
    ------
    InputError
        With what is in the way.
    """
    if output.suffix.lower() != ".parquet":
        raise InputError(f"output must end in .parquet; got {output}.", argument="output")
    check_new(output, force or (output.is_file() and _settings_of(output) is not None))
    check_place(_parts_of(output), folder=True)


def _check_room(output: Path, n_prompts: int, n: int) -> None:
    """Refuse what can never end, though every response be a single token."""
    size = n_prompts * n
    said = f"{size:,} responses (n={n:,} to each of {n_prompts:,} prompts)"
    remedy = "take a smaller n, or fewer prompts"
    check_fits(_IN_MEMORY * size, f"A file of {said}", remedy)
    free = shutil.disk_usage(output.parent).free
    if _ON_DISK * size > free:
        raise InputError(
            f"{said} take {shown_bytes(_ON_DISK * size)} or more, and {shown_bytes(free)} are free for {output}; "
            f"{remedy}, or another disk.",
            argument="n",
        )


def _parts_of(output: Path) -> Path:
    return output.with_name(output.name + ".parts")


def _settings_of(output: Path) -> dict[str, object] | None:
    try:
        with output.open("rb") as file:
            metadata = pq.read_schema(file).metadata or {}
        settings: dict[str, object] = json.loads(metadata[_KEY])["settings"]
        return settings
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None


def _summarise(output: Path, n_prompts: int) -> SampleSummary:
    content = pq.ParquetFile(output.open("rb"))
    with_base = "base_log_prob" in content.schema_arrow.names
    wanted = ["n_tokens", "truncated", *(["base_log_prob"] if with_base else [])]
    table = content.read(wanted)
    content.close(force=True)
    lengths, truncated = table["n_tokens"].to_numpy(), table["truncated"].to_numpy()
    infinite = int(np.isinf(table["base_log_prob"].to_numpy()).sum()) if with_base else 0
    empty = int(((lengths == 1) & ~truncated).sum())
    return SampleSummary(output, n_prompts, lengths.size, empty, int(truncated.sum()), infinite)


def _remarks(summary: SampleSummary, settings: SampleSettings, base: str | None) -> Iterator[str]:
    total = summary.n_responses
    if summary.n_empty:
        yield f"{summary.n_empty} of {total} responses are empty: the end token came first. They are kept."
    if summary.n_truncated:
        yield (
            f"{summary.n_truncated} of {total} responses are cut at max_new_tokens={settings.max_new_tokens} (column "
            "truncated); their reward is that of an unfinished text."
        )
    if summary.n_infinite:
        yield f"{summary.n_infinite} of {total} responses are impossible under {base}: their KL term is infinite."
