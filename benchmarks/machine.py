"""Where and with what something was measured, as text for a page: no name of a computer, no path."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["measured_here"]


def measured_here(*packages: str) -> dict[str, Any]:
    """Return today's date, the machine, and the versions of Python and ``packages``."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    kind = models[0] if models else platform.machine()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{kind}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in packages}},
    }
