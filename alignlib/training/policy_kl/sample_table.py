"""A table of sampled responses with log-probabilities, as `alignlib sample` writes it when given a base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from alignlib._core.checks import BoolArray, FloatArray, IntArray, as_number, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.tables import (
    TableFile,
    holds_lists,
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
from alignlib.training.policy_kl.response_names import LENGTHS, MASKS, PROMPTS, SPLITS, STEPS, first_of, known_pair
from alignlib.training.policy_kl.samples import IMPOSSIBLE, LEAST_LOG_PROB, MOST_LOG_PROB, MOST_TOKENS, KLSamples
from alignlib.training.policy_kl.scored_by import stored_in, sure_tokens

__all__ = ["KLColumns", "Responses", "latest", "read_kl_samples", "read_responses"]

_MOST_RESUMES = 0.1  # of the blocks of one step: steps that fall more often are not in order
_SUMS = ("exact_kl", "entropy")  # over the tokens of a response, as `alignlib.training.callback` writes them
_CUTS = ("temperature", "top_p", "top_k", "min_p")  # of the law that was sampled from, where it is not the model's
_TRUNCATED = "truncated"  # column of `alignlib sample`: no end token within the largest length


@dataclass(frozen=True)
class KLColumns:
    """Names of the columns, by default those that `alignlib sample` writes.

    ``kl`` holds a KL of each response, in nats per ``kl_unit`` ("token" or "sequence"), for tables without
    log-probabilities, and ``step`` the step of training.
    """

    prompt: str = "prompt_id"
    log_prob: str = "log_prob"
    base_log_prob: str = "base_log_prob"
    n_tokens: str = "n_tokens"
    token_log_prob: str = "token_log_prob"
    base_token_log_prob: str = "base_token_log_prob"
    token_kl: str = "token_kl"
    kl: str = "kl"
    kl_unit: str | None = None
    step: str = "step"


@dataclass(frozen=True, eq=False)
class Responses(SameFields):
    """Rows of a table, a response each: their samples, and step, reward, prompt and split as named; None without."""

    samples: KLSamples
    prompt: pa.Array | None
    step: FloatArray | None
    reward: FloatArray | None
    split: pa.Array | None
    notes: tuple[str, ...]

    def take(self, rows: IntArray) -> Responses:
        """Return some of the rows, by their positions."""
        return Responses(
            self.samples.take(rows),
            None if self.prompt is None else self.prompt.take(pa.array(rows)),
            None if self.step is None else self.step[rows],
            None if self.reward is None else self.reward[rows],
            None if self.split is None else self.split.take(pa.array(rows)),
            self.notes,
        )


def read_kl_samples(
    path: str | Path | Sequence[str | Path], columns: KLColumns | None = None, step: float | str | None = None
) -> KLSamples:
    """Read responses with log-probabilities under policy and base, by sequence, by token or both.

    Token columns are lists, in CSV texts such as ``[-0.5, -1.25]``. Where both are there, the tokens must add up to the
    sequences. What trainers call these columns is known, too. A KL of each response, per token or per sequence, does
    where no log-probabilities are. Of a table with several steps of training one is taken.

    Parameters
    ----------
    path
        A table of any known format, one row per response; or several, or a folder of them, which together are one
        sample: a prompt that several name is one prompt.
    columns
        Names of the columns.
    step
        Step of training whose responses are taken; by default the last, and with "all" none is left out.

    Raises
    ------
    InputError
        For a file without log-probabilities of both models, missing or impossible values, sums that disagree, or a step
        that is not there.
    """
    names = columns or KLColumns()
    parts = [part for one in ([path] if isinstance(path, str | Path) else path) for part in tables_in(one)]
    require(bool(parts), "path names no table; give one at least.", "path")
    read = _of_step([read_responses(part, names) for part in parts], step, ", ".join(map(str, parts)))
    samples = _joined([one.samples for one in read], [str(part) for part in parts], [one.prompt for one in read])
    prompts = [one.prompt for one in read if one.prompt is not None]
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


def _of_step(read: list[Responses], step: float | str | None, path: str) -> list[Responses]:
    """Return the responses of one step of training, where the tables hold several."""
    if step is not None and step != "all":
        step = as_number("step", step)
        require(all(one.step is not None for one in read), f"{path} has no column of steps (step).", "step")
    alive = [None if one.step is None else latest(one.step) for one in read]
    every = np.unique(np.concatenate([np.zeros(0), *(one.step for one in read if one.step is not None)]))
    held = [one.step[rows] for one, rows in zip(read, alive, strict=True) if one.step is not None and rows is not None]
    steps = np.unique(np.concatenate([np.zeros(0), *held]))  # less what a resume has written anew or not reached again
    if step == "all" or (step is None and every.size < 2):
        return read
    chosen = float(steps[-1]) if step is None else float(step)
    if chosen not in steps:
        some = ", ".join(f"{one:g}" for one in steps[:8]) + (", …" if steps.size > 8 else "")
        raise InputError(f"{path} holds no responses of step {chosen:g}; it has {some}.", argument="step")
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


def latest(step: FloatArray) -> BoolArray:
    """Tell which rows are not logged anew after a resume: their steps are reached again by no later block of rows.

    >>> latest(np.array([1.0, 1.0, 2.0, 3.0, 2.0, 3.0])).tolist()
    [True, True, False, False, True, True]
    """
    first = np.flatnonzero(np.diff(step, prepend=np.nan) != 0.0)  # of each block of one step
    blocks = step[first]
    falls = int((np.diff(blocks) < 0.0).sum())
    if falls > max(1.0, _MOST_RESUMES * blocks.size):  # sorted otherwise, by prompt say: all rows count
        return np.ones(step.size, dtype=bool)
    least = np.append(np.minimum.accumulate(blocks[::-1])[::-1][1:], np.inf)
    return np.asarray(np.repeat(blocks < least, np.diff(np.append(first, step.size))))


def read_responses(path: str | Path, names: KLColumns, reward: str | None = None) -> Responses:
    """Read one table of responses, with the column of rewards if it is named."""
    file = open_table_file(path)
    have = set(file.names)
    for field in fields(KLColumns):  # a column that was asked for by name has to be there, and none may be there twice
        name = getattr(names, field.name)
        if field.name == "kl_unit" or not name:
            continue
        if name != field.default or name in have:
            require_column(file, name, field.name)
    if _TRUNCATED in have:
        require_column(file, _TRUNCATED, "table")
    names, told = _as_written(file, names)
    own = [name for name in (names.prompt, names.step, *SPLITS[:1]) if name in have]
    table = load(file, [*own, *([] if reward is None else [reward])], "one row per response") if own or reward else None
    samples = _with_notes(_samples(file, names), file)
    step = None if table is None or names.step not in have else _column(file, names.step, table)
    prompt = None if table is None or names.prompt not in have else _prompts(file, names.prompt, table)
    split = None if table is None or SPLITS[0] not in have else _prompts(file, SPLITS[0], table)
    rewards = None if table is None or reward is None else _column(file, reward, table)
    notes = (*told, *samples.notes)
    return Responses(replace(samples, notes=notes), prompt, step, rewards, split, notes)


def _as_written(file: TableFile, names: KLColumns) -> tuple[KLColumns, list[str]]:
    """Return the names of columns as a trainer wrote them, where those by default are not there, and what was taken."""
    have, told = set(file.names), []
    default = KLColumns()
    for field, known in (("prompt", PROMPTS), ("n_tokens", LENGTHS), ("step", STEPS)):
        found = first_of(known, have)
        if getattr(names, field) == getattr(default, field) and found is not None:
            names = replace(names, **{field: found})
    ours = {names.log_prob, names.token_log_prob}
    theirs = {names.base_log_prob, names.base_token_log_prob}
    pair = known_pair(have)
    if (
        not (ours & have and theirs & have)
        and pair is not None
        and names
        == replace(
            default, prompt=names.prompt, n_tokens=names.n_tokens, step=names.step, kl=names.kl, kl_unit=names.kl_unit
        )
    ):
        policy, base, who = pair
        told.append(f"Log-probabilities are taken from {policy!r} (policy) and {base!r} (base), names of {who}.")
        if holds_lists(file, policy, load(file, [policy], "one row per response").column(policy)):
            return replace(names, token_log_prob=policy, base_token_log_prob=base), told
        return replace(names, log_prob=policy, base_log_prob=base), told
    return names, told


def _samples(file: TableFile, names: KLColumns) -> KLSamples:
    """Read the log-probabilities of one table, or the KLs that stand for them."""
    have = set(file.names)
    by_token = {names.token_log_prob, names.base_token_log_prob} <= have
    by_sequence = {names.log_prob, names.base_log_prob} <= have
    if not (by_token or by_sequence):
        return _given(file, names) if names.kl in have else _refuse(file, names)
    wanted = [name for name in (names.n_tokens, *_SUMS) if name in have]
    wanted += [names.log_prob, names.base_log_prob] if by_sequence else []
    kl = names.token_kl if by_token and names.token_kl in have else None
    mask = first_of(MASKS, have) if by_token else None
    wanted += [names.token_log_prob, names.base_token_log_prob, *([kl] if kl else [])] if by_token else []
    table = load(file, [*wanted, *([mask] if mask else [])], "one row per response")
    sequence = None
    if by_sequence:
        ours, theirs = (
            _log_probs(file, name, _column(file, name, table), whose)
            for name, whose in ((names.log_prob, "policy"), (names.base_log_prob, "base"))
        )
        count = _counts(file, names.n_tokens, table) if names.n_tokens in have else None
        sequence = KLSamples.from_sequences(ours, theirs, n_tokens=count)
        of_sums, surprise = _sums(file, table, ours)
        sequence = replace(sequence, notes=tuple(stored_in(ours)), exact_kl=of_sums, surprise=surprise)
    if not by_token:
        assert sequence is not None
        return sequence
    ours, offsets = _lists(file, names.token_log_prob, table)
    theirs, same = _lists(file, names.base_token_log_prob, table)
    _same_lengths(file, names.token_log_prob, names.base_token_log_prob, offsets, same)
    exact = None
    if kl:
        exact, same = _lists(file, kl, table)
        _same_lengths(file, names.token_log_prob, kl, offsets, same)
    if mask:
        kept, same = _lists(file, mask, table)
        _same_lengths(file, names.token_log_prob, mask, offsets, same)
        counts = np.add.reduceat((kept != 0.0).astype(np.int64), offsets[:-1])
        ours, theirs = ours[kept != 0.0], theirs[kept != 0.0]
        exact = None if exact is None else exact[kept != 0.0]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        require(bool((counts > 0).all()), f"column {mask!r} of {file.path} leaves no token of a response.", mask)
    _log_probs(file, names.token_log_prob, ours, "policy", offsets)
    _log_probs(file, names.base_token_log_prob, theirs, "base", offsets)
    samples = KLSamples.from_flat(ours, theirs, offsets, exact)
    total = np.add.reduceat(ours, offsets[:-1])
    _, surprise = _sums(file, table, total)
    samples = replace(samples, notes=(*stored_in(ours), *sure_tokens(ours, theirs)), surprise=surprise)
    if sequence is not None:
        samples.check_sums(sequence.log_ratio, file.path)
    return samples


def _sums(file: TableFile, table: pa.Table, log_prob: FloatArray) -> tuple[FloatArray | None, FloatArray | None]:
    """Return what else was summed over each response: exact divergences, and surprise beyond the entropy."""
    exact, entropy = (_column(file, name, table) if name in table.column_names else None for name in _SUMS)
    return exact, None if entropy is None else -log_prob - entropy


def _given(file: TableFile, names: KLColumns) -> KLSamples:
    """Read a trainer's own KL of each response: a list over tokens, or a number per sequence or per token."""
    count = None
    have = set(file.names)
    wanted = [names.kl, *([names.n_tokens] if names.n_tokens in have else [])]
    table = load(file, wanted, "one row per response")
    if holds_lists(file, names.kl, table.column(names.kl)):
        values, offsets = _lists(file, names.kl, table)
        total, sizes = np.add.reduceat(values, offsets[:-1]), np.diff(offsets).astype(np.float64)
        return KLSamples(
            total, None, sizes, given=True, notes=(_as_given(names, "summed over the tokens of a response"),)
        )
    values = _column(file, names.kl, table)
    if names.n_tokens in have:
        count = _counts(file, names.n_tokens, table)
    if names.kl_unit == "sequence":
        return KLSamples(
            values, None, count, given=True, notes=(_as_given(names, "in nats per sequence, as you said"),)
        )
    if names.kl_unit != "token":
        raise InputError(
            f"{file.path} has no log-probabilities of both models; say whether its {names.kl!r} is in nats per "
            "sequence or per token (kl_unit='sequence' or kl_unit='token').",
            argument="kl_unit",
        )
    if count is None:
        raise InputError(
            f"{file.path}: {names.kl!r} is in nats per token and no column says how many tokens a response has "
            "(n_tokens); name it.",
            argument="n_tokens",
        )
    product, apart = float((values * count).mean()), float(values.mean() * count.mean())
    said = _as_given(names, f"times {names.n_tokens!r}")
    said += f" The product of their means would be {apart:.4g}, where the mean of the products is {product:.4g}."
    return KLSamples(values * count, None, count, given=True, notes=(said,))


def _as_given(names: KLColumns, how: str) -> str:
    return (
        f"The KL of each response is {names.kl!r}, {how}: by the estimator of whoever wrote it, which no samples here "
        "check."
    )


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


def _refuse(file: TableFile, names: KLColumns) -> KLSamples:
    """Say which log-probabilities are missing."""
    if names.log_prob in file.names or names.token_log_prob in file.names:
        raise InputError(
            f"{file.path} has log-probabilities of the policy but none of the base ({names.base_log_prob!r}); sample "
            "with the base model, or name the column (base_log_prob)."
        )
    require_column(file, names.log_prob, "log_prob")
    raise InputError(f"{file.path} has no log-probabilities of the base ({names.base_log_prob!r}).")


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


def _with_notes(samples: KLSamples, file: TableFile) -> KLSamples:
    """Add what the file itself says of how it was sampled."""
    notes = [*file.notes, *samples.notes]
    if _TRUNCATED in file.names:
        table = load(file, [_TRUNCATED], "one row per response")
        cut = int((numbers(file, _TRUNCATED, table.column(_TRUNCATED)) > 0.0).sum())
        if cut:
            notes.append(
                f"{cut} of {samples.size} responses were cut at the largest length: the KL is that of responses up to "
                "there, and longer ones have more."
            )
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
