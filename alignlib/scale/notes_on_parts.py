"""What is found wrong with parts, or odd: corrupt, empty, twice the same, of other kinds, written twice."""

from __future__ import annotations

from collections.abc import Sequence

from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.scale.copies import equal_prompts, shared_rows
from alignlib.scale.store import Again, Done
from alignlib.scale.summary import Summary
from alignlib.tables import without_repeats

__all__ = ["looked_at", "repeated_responses", "written_twice"]


def written_twice(first: Summary, location: str, parts: Sequence[tuple[str, Summary]]) -> list[str]:
    """Say where rows of the first piece come two or more times, as of a part that was written twice, or half of one.

    Parameters
    ----------
    first : Summary
        The first piece.
    location : str
        Where the parts lie.
    parts : sequence of (str, Summary)
        What each part holds of some prompts.
    """
    held = ~first.binned
    if not held.any():
        return []
    sizes, columns = first.sizes[held], dict(zip(first.columns, first.values, strict=True))
    once, _, some = without_repeats(sizes, columns, location)
    times = int(sizes[0]) // int(once[0])
    if times == 1:
        several = len(parts) > 1
        if some:
            return [" ".join(filter(None, [some, shared_rows(parts) if several else ""]))]
        return [said] if several and (said := equal_prompts(parts)) else []
    said = (
        f"Every prompt and reward of {location} comes {times} times or a multiple of it, and each counts, as if they "
        "were different responses. Where a part was written several times, keep one copy; else name the column that "
        "tells responses apart (sample)."
    )
    return [said]


def looked_at(done: Sequence[Done], skip_corrupt: bool) -> list[str]:
    """Say what parts are corrupt, empty or twice the same, or refuse them.

    Parameters
    ----------
    done : sequence of Done
        What became of the parts.
    skip_corrupt : bool
        Go on without parts that cannot be read.

    Raises
    ------
    InputError
        For parts that are corrupt, hold the same, or do not agree.
    """
    notes = []
    corrupt = [one for one in done if one.corrupt]
    if corrupt and not skip_corrupt:
        more = f" (and {len(corrupt) - 1} more of {len(done)} parts)" if len(corrupt) > 1 else ""
        raise InputError(
            f"{corrupt[0].corrupt.rstrip('.')}{more}, or pass skip_corrupt=True to go on without it.", argument="table"
        )
    if corrupt:
        notes.append(
            f"{len(corrupt)} of {counted(len(done), 'part')} could not be read and are left out, the first "
            f"{corrupt[0].path}."
        )
    empty = [one for one in done if not one.corrupt and not one.samples]
    if empty:
        notes.append(f"{len(empty)} of {counted(len(done), 'part')} have no rows, the first {empty[0].path}.")
    notes.extend(_of_kinds(done))
    seen: dict[str, str] = {}
    for one in done:
        if one.fingerprint in seen:
            raise InputError(
                f"{seen[one.fingerprint]} and {one.path} hold the same rewards of the same prompts; remove one of "
                "them, or its samples count twice.",
                argument="table",
            )
        if one.fingerprint:
            seen[one.fingerprint] = one.path
    dropped = [one for one in done if one.dropped]
    if dropped:
        lost, every = (sum(count) for count in zip(*((d.dropped, d.dropped + d.samples) for d in done), strict=True))
        notes.append(
            f"Dropped: {lost} of {every} samples lack a finite value, in {counted(len(dropped), 'part')}, "
            f"the first {dropped[0].path}."
        )
    return notes


def _of_kinds(done: Sequence[Done]) -> list[str]:
    """Refuse parts that write prompts in different ways; say where rewards are truth values in some parts alone."""
    kinds = {kind: one.path for one in reversed(done) for kind in one.kinds}
    whole = kinds.get("integers") or kinds.get("spelled integers")
    for one, other in (
        ("integers in {}, text in {}", (kinds.get("integers"), kinds.get("text"))),
        ("spelled like 7 in {}, like 7.0 in {}", (whole, kinds.get("decimals"))),
    ):
        if None not in other:
            raise InputError(
                f"The parts do not agree in what a prompt is: {one.format(*other)}; write it in one way, or the "
                "samples of one prompt may count as those of two.",
                argument="prompt",
            )
    having = [one for one in done if one.samples]
    truths = [one for one in having if one.truths]
    if truths and len(truths) < len(having):
        said = (
            f"Rewards are true or false in {len(truths)} of {counted(len(having), 'part')}, the first "
            f"{truths[0].path}, and count as 1 and 0 beside the numbers of the others."
        )
        return [said]
    return []


def repeated_responses(done: Sequence[Done], found: Sequence[Again], wide: bool) -> InputError:
    """Say which responses come twice, as the reader of one file does.

    Parameters
    ----------
    done : sequence of Done
        What became of the parts.
    found : sequence of Again
        Responses that come twice, by piece.
    wide : bool
        Whether a row has all samples of a prompt.
    """
    paths = {file: one.path for one in done for file in one.named}
    count = sum(one.count for one in found)
    two = list(dict.fromkeys(paths[file] for file in found[0].files))
    where = f"{two[0]} and {two[1]}" if len(two) == 2 else f"{two[0]}, twice"
    if wide:
        return InputError(
            f"Prompt {found[0].prompt} has a row in {where}, and {counted(count, 'sample')} in all repeat an earlier "
            "one; the wide layout has one row per prompt: merge them, or leave out wide=True.",
            argument="prompt",
        )
    return InputError(
        f"{counted(count, 'sample')} of the parts repeat an earlier (prompt, sample), the first of prompt "
        f"{found[0].prompt} in {where}; remove the repeats, or name in sample the column that tells the samples of a "
        "prompt apart.",
        argument="sample",
    )
