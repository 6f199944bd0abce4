"""Pages are written by as many processes as there are cores; they are read by one, as not all extensions allow more."""

from __future__ import annotations

import os
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def write_together(app: Sphinx, env: BuildEnvironment) -> None:
    """Ask for it once all pages are read; Jupyter Book has no option for it."""
    app.parallel = os.cpu_count() or 1


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("env-updated", write_together)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
