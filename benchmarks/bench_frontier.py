"""``alignlib frontier`` on a table of a million rewards, in CPU time beside reading the file and one ``exp`` of it.

``--full`` takes ten million rows (156,250 prompts of 64), ``--quick`` a hundred thousand.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import report

_SAMPLES = 64
_ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
_READ_AND_EXP = (
    "import sys, numpy as np, pyarrow.parquet as pq; "
    "[np.exp(-np.abs(c.to_numpy())) for c in pq.read_table(sys.argv[1], columns=sys.argv[2:]).columns]"
)


def write_table(path: Path, n_prompts: int) -> None:
    """Write prompts of unequal scale, a gold reward, and a proxy that sees it through noise."""
    rng = np.random.default_rng(0)
    scale = rng.gamma(4.0, 0.25, (n_prompts, 1))
    gold = scale * rng.standard_normal((n_prompts, _SAMPLES))
    columns = {"reward": gold + 0.7 * scale * rng.standard_normal(gold.shape), "gold": gold}
    prompts = np.repeat(np.arange(n_prompts), _SAMPLES)
    pq.write_table(pa.table({"prompt_id": prompts, **{name: rows.reshape(-1) for name, rows in columns.items()}}), path)


def cpu_seconds(*command: str) -> float:
    """User seconds of one process, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, env=_ONE_THREAD)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main(quick: bool = False, full: bool = False) -> None:
    """Time the command with and without a gold reward."""
    n_prompts = 156_250 if full else 1_562 if quick else 15_625
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "rewards.parquet")
        write_table(table, n_prompts)
        asked = ("-m", "alignlib", "frontier", str(table), "--reward", "reward", "--json")
        for name, more in (("alignlib frontier", ()), ("alignlib frontier --gold", ("--gold", "gold"))):
            read = ("prompt_id", "reward", *more[1:])
            floor, ours = cpu_seconds("-c", _READ_AND_EXP, str(table), *read), cpu_seconds(*asked, *more)
            report(
                name, rows=n_prompts * _SAMPLES, cpu_seconds=ours, read_and_exp_seconds=floor, times_slower=ours / floor
            )


if __name__ == "__main__":
    main("--quick" in sys.argv, "--full" in sys.argv)
