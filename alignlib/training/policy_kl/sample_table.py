"""A table of sampled responses with log-probabilities, as `alignlib sample` writes it when given a base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib.tables import (
    TableFile,
    identifiers,
    is_list,
    list_cells,
    load,
    numbers,
    open_table_file,
    plain_cells,
    require_column,
    tables_in,
)
from alignlib.training.policy_kl.samples import IMPOSSIBLE, LEAST_LOG_PROB, MOST_LOG_PROB, MOST_TOKENS, KLSamples

__all__ = ["KLColumns", "read_kl_samples"]

_TRUNCATED = "truncated"  # column of `alignlib sample`: no end token within the largest length


@dataclass(frozen=True)
class KLColumns:
    """Names of the columns, by default those that `alignlib sample` writes."""

    prompt: str = "prompt_id"
    log_prob: str = "log_prob"
    base_log_prob: str = "base_log_prob"
    n_tokens: str = "n_tokens"
    token_log_prob: str = "token_log_prob"
    base_token_log_prob: str = "base_token_log_prob"
    token_kl: str = "token_kl"


def read_kl_samples(path: str | Path | Sequence[str | Path], columns: KLColumns | None = None) -> KLSamples:
    """Read responses with log-probabilities under policy and base, by sequence, by token or both.

    Token columns are lists, in CSV texts such as ``[-0.5, -1.25]``. Where both are there, the tokens must add up to the
    sequences.

    Parameters
    ----------
    path
        A table of any known format, one row per response; or several, or a folder of them, which together are one
        sample: a prompt that several name is one prompt.
    columns
        Names of the columns.

    Raises
    ------
    InputError
        For a file without log-probabilities of both models, missing or impossible values, or sums that disagree.
    """
    names = columns or KLColumns()
    parts = [part for one in ([path] if isinstance(path, str | Path) else path) for part in tables_in(one)]
    require(bool(parts), "path names no table; give one at least.", "path")
    read = [_read(part, names) for part in parts]
    samples = _joined([one for one, _ in read], [str(part) for part in parts], [prompt for _, prompt in read])
    prompts = [prompt for _, prompt in read if prompt is not None]
    if not prompts:
        alone = (
            f"No column {names.prompt!r} names the prompts (prompt), so each response counts as one to a prompt of its "
            "own; where several are to one prompt, the intervals are too narrow."
        )
        return replace(samples, notes=(*samples.notes, alone))
    alike = all(prompt.type == prompts[0].type for prompt in prompts)
    every = pa.concat_arrays(prompts if alike else [prompt.cast(pa.string()) for prompt in prompts])
    codes = every.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return replace(samples, prompt=np.asarray(codes, dtype=np.int64))


def _read(path: str | Path, names: KLColumns) -> tuple[KLSamples, pa.Array | None]:
    """Read one table; return its prompts as they are named apart."""
    file = open_table_file(path)
    have = set(file.names)
    for field in fields(KLColumns):  # a column that was asked for by name has to be there, and none may be there twice
        name = getattr(names, field.name)
        if name != field.default or name in have:
            require_column(file, name, field.name)
    if _TRUNCATED in have:
        require_column(file, _TRUNCATED, "table")
    by_token = {names.token_log_prob, names.base_token_log_prob} <= have
    by_sequence = {names.log_prob, names.base_log_prob} <= have
    if not (by_token or by_sequence):
        _refuse(file, names)
    wanted = [name for name in (names.prompt, names.n_tokens, _TRUNCATED) if name in have]
    wanted += [names.log_prob, names.base_log_prob] if by_sequence else []
    kl = names.token_kl if by_token and names.token_kl in have else None
    wanted += [names.token_log_prob, names.base_token_log_prob, *([kl] if kl else [])] if by_token else []
    table = load(file, wanted, "one row per response")
    prompt = _prompts(file, names.prompt, table) if names.prompt in have else None
    sequence = None
    if by_sequence:
        ours, theirs = (
            _log_probs(file, name, _column(file, name, table), whose)
            for name, whose in ((names.log_prob, "policy"), (names.base_log_prob, "base"))
        )
        count = _counts(file, names.n_tokens, table) if names.n_tokens in have else None
        sequence = KLSamples.from_sequences(ours, theirs, n_tokens=count)
    if not by_token:
        assert sequence is not None
        return _with_notes(sequence, file, table), prompt
    ours, offsets = _lists(file, names.token_log_prob, table)
    theirs, same = _lists(file, names.base_token_log_prob, table)
    _same_lengths(file, names.token_log_prob, names.base_token_log_prob, offsets, same)
    _log_probs(file, names.token_log_prob, ours, "policy", offsets)
    _log_probs(file, names.base_token_log_prob, theirs, "base", offsets)
    exact = None
    if kl:
        exact, same = _lists(file, kl, table)
        _same_lengths(file, names.token_log_prob, kl, offsets, same)
    samples = KLSamples.from_flat(ours, theirs, offsets, exact)
    if sequence is not None:
        samples.check_sums(sequence.log_ratio, file.path)
    return _with_notes(samples, file, table), prompt


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


def _refuse(file: TableFile, names: KLColumns) -> None:
    """Say which log-probabilities are missing."""
    if names.log_prob in file.names or names.token_log_prob in file.names:
        raise InputError(
            f"{file.path} has log-probabilities of the policy but none of the base ({names.base_log_prob!r}); sample "
            "with the base model, or name the column (base_log_prob)."
        )
    require_column(file, names.log_prob, "log_prob")


def _column(file: TableFile, name: str, table: pa.Table) -> FloatArray:
    values = numbers(file, name, _scalars(file, name, table))
    bad = np.flatnonzero(np.isnan(values))
    if bad.size:
        raise InputError(
            f"column {name!r} of {file.path} lacks a number in {bad.size} of {values.size} rows, "
            f"{file.where(bad[:5].tolist(), bad.size)}; score these responses again, or remove them.",
            column=name,
            rows=bad.tolist(),
        )
    return values


def _counts(file: TableFile, name: str, table: pa.Table) -> FloatArray:
    """Return numbers of tokens, or say in which row there is none."""
    values = _column(file, name, table)
    bad = np.flatnonzero(~((values >= 1.0) & (values <= MOST_TOKENS) & (values == np.floor(values))))
    if bad.size:
        raise InputError(
            f"column {name!r} of {file.path} must count tokens in whole numbers, at least one, the end token; "
            f"got {values[bad[0]]:g} in "
            f"{file.where(bad[:5].tolist(), bad.size)}; count these again, or remove these responses.",
            column=name,
            rows=bad.tolist(),
        )
    return values


def _log_probs(
    file: TableFile, name: str, values: FloatArray, whose: str, offsets: IntArray | None = None
) -> FloatArray:
    """Return log-probabilities, or say in which row one is none, or is one of what a model cannot produce."""
    below = (values < LEAST_LOG_PROB) & ~np.isneginf(values)
    for bad, problem in (
        (values > MOST_LOG_PROB, "must not be positive"),
        (np.isneginf(values), "is -inf"),
        (below, f"must not lie below {LEAST_LOG_PROB:g}"),
    ):
        rows = np.flatnonzero(bad) if offsets is None else np.searchsorted(offsets, np.flatnonzero(bad), "right") - 1
        rows = np.unique(rows)
        if rows.size:
            value, where = values[int(np.argmax(bad))], file.where(rows[:5].tolist(), rows.size)
            said = f"; got {value:g} in {where}; give logarithms of probabilities, in nats"
            if problem == "is -inf":
                said = f" in {where}: {IMPOSSIBLE[whose]}"
            raise InputError(f"column {name!r} of {file.path} {problem}{said}.", column=name, rows=rows.tolist())
    return values


def _scalars(file: TableFile, name: str, table: pa.Table) -> pa.ChunkedArray:
    """Return a column of scalars, or say that its cells are lists."""
    require_column(file, name, "column")
    column = plain_cells(file, name, table.column(name))
    if is_list(column.type):
        raise InputError(f"column {name!r} of {file.path} holds lists; name the column of sums.", column=name)
    return column


def _lists(file: TableFile, name: str, table: pa.Table) -> tuple[FloatArray, IntArray]:
    """Return the values of a column of lists one after another, and where each list begins."""
    values, counts = list_cells(file, name, table.column(name))
    missing = np.flatnonzero(counts == 0)
    if missing.size:
        where = file.where(missing[:5].tolist(), missing.size)
        raise InputError(
            f"column {name!r} of {file.path} has no tokens in {where}; every response has at least one token, the end: "
            "score these responses again, or remove them.",
            column=name,
            rows=missing.tolist(),
        )
    offsets = np.concatenate([[0], np.cumsum(counts)])
    bad = np.flatnonzero(np.isnan(values))
    if bad.size:
        row = int(np.searchsorted(offsets, bad[0], side="right")) - 1
        raise InputError(
            f"column {name!r} of {file.path} lacks a number for {bad.size} of {values.size} tokens, the first in "
            f"{file.where([row])}; score that response again.",
            column=name,
            rows=[row],
        )
    return values, offsets


def _same_lengths(file: TableFile, one: str, other: str, offsets: IntArray, same: IntArray) -> None:
    apart = np.flatnonzero(np.diff(offsets) != np.diff(same))
    if apart.size:
        row = int(apart[0])
        raise InputError(
            f"{file.path}: {one!r} and {other!r} have {np.diff(offsets)[row]} and {np.diff(same)[row]} tokens in "
            f"{file.where([row])}; score the same tokens with both models.",
            rows=apart.tolist(),
        )


def _prompts(file: TableFile, name: str, table: pa.Table) -> pa.Array:
    values = identifiers(file, name, table.column(name))
    require(values.null_count == 0, f"column {name!r} of {file.path} lacks {values.null_count} prompts; fill them in.")
    return values


def _with_notes(samples: KLSamples, file: TableFile, table: pa.Table) -> KLSamples:
    """Add what the file itself says of how it was sampled."""
    notes = [*file.notes, *samples.notes]
    if _TRUNCATED in table.column_names:
        cut = int((numbers(file, _TRUNCATED, table.column(_TRUNCATED)) > 0.0).sum())
        if cut:
            notes.append(
                f"{cut} of {samples.size} responses were cut at the largest length: the KL is that of responses up to "
                "there, and longer ones have more."
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
