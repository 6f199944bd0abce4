"""Run a command and kill it midway, as the system would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from alignlib._core.working import MARKER, working_folder


def killed_midway(arguments: list[object], parts: Path, after: int) -> None:
    """Run ``alignlib`` and kill it with SIGKILL once ``after`` shards are in ``parts``."""
    command = [sys.executable, "-m", "alignlib", *map(str, arguments)]
    home = parts.parent / "tmp"
    home.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TMPDIR": str(home)}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)  # which torch notes for its own process
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while len(list(parts.glob("[0-9]*.parquet"))) < after:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(process.communicate()[1].decode())
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    # What libraries put there lies in a folder that the next run knows as left behind.
    assert all((left / MARKER).is_file() for left in home.iterdir())
    with working_folder(home) as mine:
        assert list(home.iterdir()) == [mine.parent]
    home.rmdir()
