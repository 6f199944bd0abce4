"""A short name for what a model is, by its content: a job is not taken up again with other weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from alignlib.models.models import Loaded

__all__ = ["fingerprint"]

_PROBES = 16  # places of each file that a fingerprint looks at
_PROBE = 1 << 18  # bytes


def fingerprint(loaded: Loaded) -> str:
    """Hash of a model's folder: all of its small files, and probes all through its weights.

    A model from the hub is known by its commit. A folder is known by its content, so that it may be moved, and
    retrained weights under the same name are noticed.
    """
    commit = getattr(loaded.model.config, "_commit_hash", None)
    folder = Path(loaded.name)
    if commit is not None and not folder.is_dir():
        return str(commit)[:16]
    if not folder.is_dir():
        return loaded.name
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".json", ".safetensors", ".bin", ".model", ".jinja", ".txt", ".py"):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            for probe in range(_PROBES):
                file.seek(max(0, (size - _PROBE) * probe // (_PROBES - 1)))
                digest.update(file.read(_PROBE))
                if size <= _PROBE:
                    break
    return digest.hexdigest()[:16]
