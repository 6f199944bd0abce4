"""``alignlib frontier`` on a table of a million rewards, in CPU time beside reading the file and one ``exp`` of it.

Extra memory is the peak of the command, less that on a small table and the columns it reads, in units of these columns.

``--full`` takes ten million rows (156,250 prompts of 64), ``--quick`` a hundred thousand.
"""

from __future__ import annotations

import os
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
_APART = (
    "import os, sys; pid = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ); "
    "_, status, used = os.wait4(pid, 0); print(used.ru_utime, used.ru_maxrss, file=sys.stderr); "
    "sys.exit(os.waitstatus_to_exitcode(status))"
)
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


def spent(*command: str) -> tuple[float, float]:
    """User seconds of one process, its start included, and the most memory it held, in bytes.

    A small process starts it: what the starting process holds counts as the started one's.
    """
    done = subprocess.run(
        [sys.executable, "-c", _APART, *command],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=_ONE_THREAD,
    )  # fmt: skip
    seconds, most = done.stderr.split()[-2:]
    return float(seconds), float(most) * (1.0 if sys.platform == "darwin" else 1024.0)


def main(quick: bool = False, full: bool = False) -> None:
    """Time the command with and without a gold reward."""
    n_prompts = 156_250 if full else 1_562 if quick else 15_625
    with tempfile.TemporaryDirectory() as folder:
        table, small = Path(folder, "rewards.parquet"), Path(folder, "small.parquet")
        write_table(table, n_prompts)
        write_table(small, 20)
        for name, more in (("alignlib frontier", ()), ("alignlib frontier --gold", ("--gold", "gold"))):
            read = ("prompt_id", "reward", *more[1:])
            floor, _ = spent("-c", _READ_AND_EXP, str(table), *read)
            (_, start), (seconds, most) = (
                spent("-m", "alignlib", "frontier", str(path), "--reward", "reward", "--json", *more)
                for path in (small, table)
            )
            report(
                name,
                rows=n_prompts * _SAMPLES,
                cpu_seconds=seconds,
                read_and_exp_seconds=floor,
                times_slower=seconds / floor,
                extra_memory_over_input=(most - start) / (8.0 * n_prompts * _SAMPLES * len(read)) - 1.0,
            )


if __name__ == "__main__":
    main("--quick" in sys.argv, "--full" in sys.argv)
