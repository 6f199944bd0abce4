"""The journal of a long job: what was decided, and which shards are done, so that nothing else is taken for them.

``journal.jsonl`` has a line for the job and one for each finished shard, in their order. A line holds the SHA-256 of
what it says and of the line before it, and a shard's line that of its file: a line or a file that was changed, put in
another's place, doubled or cut is found. Only the last line may be half, where the process was killed; it is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Required, TypedDict

from alignlib._core.errors import InputError
from alignlib._core.files import write_whole

__all__ = ["JOURNAL", "SCHEMA", "Journal", "Plan"]

JOURNAL = "journal.jsonl"
_LARGEST = 1 << 28  # bytes: lines of a million shards
SCHEMA = 1


class Plan(TypedDict, total=False):
    """What was chosen when a job began and holds for the whole of it; a job adds what it wants to find again."""

    shard_rows: Required[int]
    batch_size: int
    model: str
    base: str | None
    versions: dict[str, str]


@dataclass
class Journal:
    """The journal in a folder: what a job is, and the shards that it has finished.

    Attributes
    ----------
    path : Path
        The file.
    settings : dict
        Everything that decides the content.
    plan : Plan
        What was chosen when the job began.
    n_rows : int
        Rows in all.
    job : str
        Digest of the first line.
    shards : list of str
        SHA-256 of each finished shard.
    last : str
        Digest of the last line.
    sizes : list of int or None
        Bytes of each finished shard; None where an earlier version did not note them.
    """

    path: Path
    settings: dict[str, Any]
    plan: Plan
    n_rows: int
    job: str  # digest of the first line
    shards: list[str] = field(default_factory=list)
    last: str = ""  # digest of the last line
    sizes: list[int | None] = field(default_factory=list)

    @classmethod
    def begin(cls, folder: Path, settings: Mapping[str, Any], plan: Plan, n_rows: int) -> Journal:
        """Write the first line, in place of a journal that is there.

        Parameters
        ----------
        folder : Path
            The job's folder.
        settings : mapping
            Everything that decides the content.
        plan : Plan
            What holds for the whole job.
        n_rows : int
            Rows in all.
        """
        said = {"schema": SCHEMA, "settings": dict(settings), "plan": dict(plan), "n_rows": n_rows}
        digest = _digest("", said)
        write_whole(folder / JOURNAL, _line(said, digest))
        return cls(folder / JOURNAL, dict(settings), plan, n_rows, digest, [], digest)

    @classmethod
    def read(cls, folder: Path) -> Journal | None:
        """Read the journal of a folder; None where there is none.

        Parameters
        ----------
        folder : Path
            The job's folder.

        Raises
        ------
        InputError
            Where a line is not as it was written.
        """
        path = folder / JOURNAL
        if not path.exists():
            return None
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is larger than any journal; delete the folder {folder} and start again.")
        content = path.read_bytes()
        whole, _, half = content.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        if not lines:
            raise InputError(f"{path} is empty or cut; delete the folder {folder} and start again.")
        head, digest = _checked(path, 1, lines[0], "")
        plan, n_rows, settings = head.get("plan"), head.get("n_rows"), head.get("settings")
        schema = head.get("schema")
        known = type(schema) is int and schema == SCHEMA and isinstance(settings, dict)
        if not known or not _is_plan(plan) or not _is_count(n_rows):
            raise InputError(
                f"{path} is not of schema {SCHEMA}, the one that this version knows; finish the job with the version "
                f"that began it, or delete the folder {folder} and start again."
            )
        found = cls(path, settings, plan, n_rows, digest, [], digest)  # type: ignore[arg-type]  # checked above
        for number, line in enumerate(lines[1:]):
            said, found.last = _checked(path, number + 2, line, found.last)
            if said.get("shard") != number or not isinstance(said.get("file"), str):
                raise _changed(path, number + 2)
            found.shards.append(said["file"])
            found.sizes.append(said.get("size") if _is_count(said.get("size")) else None)
        if half:
            os.truncate(path, len(content) - len(half))
        return found

    def add(self, file: str, size: int) -> None:
        """Note the next shard, by the SHA-256 of its file and its size.

        Parameters
        ----------
        file : str
            The SHA-256 of the next shard.
        size : int
            Its bytes.
        """
        said = {"shard": len(self.shards), "file": file, "size": size}
        digest = _digest(self.last, said)
        with self.path.open("ab") as out:
            out.write(_line(said, digest))
            out.flush()
            os.fsync(out.fileno())
        self.shards.append(file)
        self.sizes.append(size)
        self.last = digest


def _line(said: Mapping[str, Any], digest: str) -> bytes:
    return json.dumps({**said, "digest": digest}).encode() + b"\n"


def _digest(before: str, said: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{before}\n{json.dumps(said, sort_keys=True)}".encode()).hexdigest()


def _checked(path: Path, number: int, line: bytes, before: str) -> tuple[dict[str, Any], str]:
    try:
        said = json.loads(line)
        digest = said.pop("digest")
        right = digest == _digest(before, said)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise _changed(path, number) from None
    if not right:
        raise _changed(path, number)
    return said, digest


def _changed(path: Path, number: int) -> InputError:
    return InputError(
        f"Line {number} of {path} is not as the job wrote it; delete the folder {path.parent} and start again."
    )


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_plan(plan: object) -> bool:
    """Whether this is what `Plan` says."""
    if not isinstance(plan, dict):
        return False
    versions = plan.get("versions", {})
    sizes = [plan.get("shard_rows"), plan.get("batch_size", 1)]
    names = [plan.get("model", ""), plan.get("base") or ""]
    return (
        all(_is_count(size) and size for size in sizes)
        and all(isinstance(name, str) for name in names)
        and isinstance(versions, dict)
        and all(isinstance(version, str) for version in versions.values())
    )
