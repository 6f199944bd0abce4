"""Tables of any size: CPU and memory per row, beside readers and group-bys that do less.

``python -m benchmarks.bench_scale [--rows=1e6,1e7] [--shape=prompts,pools] [--record]``. Tables are generated as
Parquet under ``build/scale`` (``--build``) and deleted. Every measurement is a process of its own, on one thread: CPU
seconds (user and system, with start and imports) and the largest resident memory. ``--quick`` takes 10⁶ rows.
``--record`` puts what is measured into ``benchmarks/recorded/scale.json``, which the book shows: times differ from run
to run, pages must not. ``--idle --record`` measures all that the book shows (`SHOWN`: up to 2·10⁸ rows of both shapes),
some sixteen minutes on two cores that do nothing else, and keeps how long each took: only there does this tell how much
sooner two workers end. Tools take turns, three times where a round is short, and the median is kept: a virtual machine
is a tenth faster or slower from one minute to the next. What is shown for its CPU time and memory alone (`BESIDE`) is
measured two at a time.

``workers`` is the command with ``--workers 2``, start of Dask and of two processes included; ``--workers 1`` is the one
process of ``alignlib``. ``cluster_1`` and ``cluster_2`` ask a scheduler that runs already (``--scheduler``), which has
one worker of one thread, or two: what is measured begins and ends with the process that asks.

A process inherits the largest memory of the one that it is forked from, so that each is started by a small shell.

The group-bys compute what an uncorrected curve needs: for each prompt the largest reward and sums of ``e^{λ(r - max)}``
at 40 λ. They have neither bias correction nor intervals, and keep all rows in memory where noted.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
RECORDED = Path(__file__).parent / "recorded" / "scale.json"
LAM = np.geomspace(0.05, 10.0, 40)
PART = 4_000_000
SHAPES = {"prompts": 64, "pools": 1_000_000, "shuffled": 64, "four": 4}
# What the book shows.
SHOWN = [
    ("prompts", 1e6, "read,alignlib,workers,held,duckdb,polars,pandas"),
    ("prompts", 1e7, "read,alignlib,workers,phases,held,duckdb,polars,pandas"),
    ("prompts", 2e8, "read,alignlib,workers,cluster_1,cluster_2"),
    ("pools", 1e7, "read,alignlib,workers,phases,duckdb,polars,pandas"),
    ("pools", 1e6, "read,alignlib"),
    ("pools", 1e8, "read,alignlib"),
    ("pools", 2e8, "read,alignlib,workers,cluster_1,cluster_2,phases"),
]
BESIDE = [
    ("shuffled", 64e6, "read,alignlib"),
    ("prompts", 1e8, "read,alignlib"),
    ("four", 16e6, "read,alignlib"),
    ("four", 4e6, "memory"),
    ("four", 8e6, "memory"),
]
CLUSTERS = {"cluster_1": 1, "cluster_2": 2}  # workers
_MEMORY = {"OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": "65536"}  # as Dask's nanny starts workers
LONG = 120.0  # seconds, after which no further round begins
# In memory: not beyond these rows.
MOST = {"held": 10_000_000, "pandas": 10_000_000, "polars": 30_000_000}


def generate(folder: Path, rows: int, shape: str) -> None:
    """Write the table in parts of four million rows, a million to a row group, two at a time."""
    folder.mkdir(parents=True)
    starts = range(0, rows, PART)
    with ProcessPoolExecutor(min(2, len(starts)), get_context("spawn")) as pool:
        list(pool.map(partial(write_part, folder, rows, shape), starts))


def write_part(folder: Path, rows: int, shape: str, start: int) -> None:
    """Write one part, whose numbers depend on its place alone."""
    rng = np.random.default_rng((0, start))
    each = min(SHAPES[shape], rows // 10)
    size = min(PART, rows - start)
    names = np.arange(start, start + size) // each if shape != "shuffled" else rng.integers(0, rows // each, size)
    reward = rng.standard_normal(size) * (1.0 + (names % 5) / 4.0)
    table = pa.table({"prompt_id": names, "reward": reward})
    pq.write_table(table, folder / f"{start:012d}.parquet", row_group_size=1 << 20)


def alignlib(folder: Path, *more: str) -> None:
    from alignlib.cli.main import main

    main(
        ["frontier", str(folder), "--reward", "reward", "--json", "--checkpoint", str(folder) + "-kept", *more],
        standalone_mode=False,
    )


def workers(folder: Path) -> None:
    alignlib(folder, "--workers", "2")


def on_cluster(folder: Path) -> None:
    alignlib(folder, "--scheduler", os.environ["SCHEDULER"])


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[int]]]:
    """Start a scheduler and workers of one thread each, as a cluster has them; yield its address and the processes."""
    from distributed import Client

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        file = str(Path(folder, "scheduler.json"))
        common = ["--scheduler-file", file, "--host", "127.0.0.1", "--no-dashboard"]
        commands = [["scheduler", *common, "--port", "0"]]
        commands += [["worker", *common, "--nthreads", "1", "--no-nanny", "--local-directory", folder]] * workers
        processes = []
        for command in commands:
            one = subprocess.Popen(
                [sys.executable, "-m", "dask", *command], cwd=ROOT, env=os.environ | _MEMORY, stderr=subprocess.DEVNULL
            )
            running.callback(one.wait)
            running.callback(one.terminate)
            processes.append(one.pid)
        while not Path(file).exists():
            time.sleep(0.05)
        with Client(scheduler_file=file) as client:
            client.wait_for_workers(workers, timeout=60)
            address = str(client.scheduler.address)
        yield address, processes


def measure_on_cluster(tool: str, folder: Path) -> dict[str, Any]:
    """Ask a cluster of its own; CPU seconds are of the process that asks, the scheduler and the workers together."""
    import psutil

    def spent() -> float:
        return sum(sum(psutil.Process(one).cpu_times()[:2]) for one in processes)

    with cluster(CLUSTERS[tool]) as (address, processes):
        before = spent()
        row = measure("on_cluster", folder, SCHEDULER=address)
        held = [Path(f"/proc/{one}/status").read_text().partition("VmHWM:")[2].split()[0] for one in processes]
        peak = max(row["peak_mib"], *(round(int(one) / 1024) for one in held))
        cpu = round(row["cpu_s"] + spent() - before, 3)
        return {"cpu_s": cpu, "peak_mib": peak, "asking_s": row["cpu_s"], "wall_s": row["wall_s"]}


def kernels() -> dict[str, float]:
    """Return nanoseconds a row of what the curve cannot do without: to sort 64 rewards, to exponentiate five times."""
    rows = np.random.default_rng(0).standard_normal((1 << 11, 64))

    def best_of(work: Callable[[], object]) -> float:
        spent = []
        for _ in range(20):
            start = time.process_time()
            for _ in range(4):
                work()
            spent.append(time.process_time() - start)
        return round(1e9 * min(spent) / 4 / rows.size, 2)

    return {"sort": best_of(lambda: np.sort(rows, axis=1)), "exp": round(5.0 * best_of(lambda: np.exp(rows)), 2)}


def phases(folder: Path) -> dict[str, float]:
    """Return the CPU seconds of each phase."""
    from alignlib.estimation import fit_frontier
    from alignlib.scale import Question, open_parts

    marks = [("start", time.process_time())]
    told = set()

    def tell(what: str, done: int, of: int) -> None:
        if what == "read" and done >= of and what not in told:
            told.add(what)
            marks.append(("read and summarise", time.process_time()))

    with open_parts(str(folder), Question("prompt_id", ("reward",)), str(folder) + "-kept", tell=tell) as table:
        marks.append(("join", time.process_time()))
        fit = fit_frontier(table)
        marks.append(("curve", time.process_time()))
        fit.at(0.2, strict=False)
        marks.append(("bootstrap", time.process_time()))
        fit.share()
        marks.append(("best-of-N", time.process_time()))
    return {name: round(end - begin, 3) for (_, begin), (name, end) in itertools.pairwise(marks)}


def memory(folder: Path) -> dict[str, float]:
    """Return the bytes that arrays take once a fit is made, and the most that they take while it is.

    Blocks of samples take the same in all tables of many prompts, so that two of these tell what each prompt takes.
    Pieces are read from the disk in every pass, as they are where they are many.
    """
    from alignlib.estimation import fit_frontier
    from alignlib.scale import Question, open_parts

    tracemalloc.start()
    question = Question("prompt_id", ("reward",))
    with open_parts(str(folder), question, str(folder) + "-kept", engine=OneByOne()) as table:
        tracemalloc.reset_peak()
        fit = fit_frontier(table)
        fit.at(0.2, strict=False)
        fit.share()
        kept, most = tracemalloc.get_traced_memory()
    return {"kept": kept, "most": most}


class OneByOne:
    """This process, as `alignlib.scale.engine.Here`, for which small pieces stay in memory."""

    def map(self, work: Callable[[Any], Any], items: Sequence[Any], *, at_once: int = 1) -> Iterator[tuple[int, Any]]:
        """Yield place and result one after another."""
        for place, item in enumerate(items):
            yield place, work(item)


def read(folder: Path) -> None:
    """What no tool can avoid: read both columns and add them up."""
    import pyarrow.compute as pc

    total = 0.0
    for path in sorted(folder.iterdir()):
        for batch in pq.ParquetFile(path).iter_batches(1 << 20, use_threads=False):
            total += pc.sum(batch["prompt_id"]).as_py() + pc.sum(batch["reward"]).as_py()


def held(folder: Path) -> None:
    """The same question of a table in memory."""
    from alignlib.answers.findings import ask
    from alignlib.tables import RewardTable

    ask(RewardTable.from_frame(pq.read_table(folder, use_threads=False)), "reward")


def duckdb(folder: Path) -> None:
    import duckdb as engine

    sums = ", ".join(f"sum(exp({lam!r} * (reward - top))) AS s{k}" for k, lam in enumerate(LAM.tolist()))
    source = f"read_parquet('{folder}/*.parquet')"
    with engine.connect(config={"threads": 1}) as connection:
        connection.sql(
            f"SELECT prompt_id, {sums} FROM {source} JOIN (SELECT prompt_id, max(reward) AS top FROM {source} "
            "GROUP BY prompt_id) USING (prompt_id) GROUP BY prompt_id"
        ).to_arrow_table()


def polars(folder: Path) -> None:
    import polars as pl

    rows = pl.scan_parquet(f"{folder}/*.parquet").with_columns(
        below=pl.col("reward") - pl.col("reward").max().over("prompt_id")
    )
    rows.group_by("prompt_id").agg(
        ((pl.col("below") * lam).exp().sum()).alias(f"s{k}") for k, lam in enumerate(LAM.tolist())
    ).collect()


def pandas(folder: Path) -> None:
    import pandas as pd

    frame = pd.read_parquet(folder)
    below = (frame["reward"] - frame.groupby("prompt_id")["reward"].transform("max")).to_numpy()
    for lam in LAM.tolist():
        pd.Series(np.exp(lam * below)).groupby(frame["prompt_id"].to_numpy()).sum()


TOOLS: dict[str, Callable[[Path], dict[str, float] | None]] = {
    "alignlib": alignlib,
    "read": read,
    "held": held,
    "duckdb": duckdb,
    "polars": polars,
    "pandas": pandas,
    "workers": workers,
    "on_cluster": on_cluster,
    "phases": phases,
    "memory": memory,
}


def measure(tool: str, folder: Path, **more: str) -> dict[str, Any]:
    """Run a tool in a process of its own; ``more`` is added to its environment."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"} | more
    command = [sys.executable, "-m", "benchmarks.bench_scale", "--run", tool, "--folder", str(folder)]
    command = ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command]  # a fork of its own, which exec alone would not be
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{tool} failed: {done.stderr[-500:]}")
    last = json.loads(done.stderr.strip().splitlines()[-1])
    return {**last, "wall_s": round(time.monotonic() - started, 2)}


def keep(row: dict[str, Any]) -> None:
    """Put a measurement into the record, in the place of an earlier one of the same, and drop what is not shown."""
    known = json.loads(RECORDED.read_text(encoding="utf-8"))["measured"] if RECORDED.exists() else []
    names = ("shape", "rows", "tool")
    book = {(shape, round(size), tool) for shape, size, tools in [*SHOWN, *BESIDE] for tool in tools.split(",")}
    known = [
        one
        for one in known
        if [one[k] for k in names] != [row[k] for k in names] and tuple(one[k] for k in names) in book
    ]
    shapes, order = list(SHAPES), [*TOOLS, *CLUSTERS]
    known.append(row)
    known.sort(key=lambda one: (shapes.index(one["shape"]), one["rows"], order.index(one["tool"])))
    versions = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    versions["pyarrow"] = pa.__version__
    RECORDED.write_text(json.dumps({"versions": versions, "measured": known}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1e6,1e7")
    parser.add_argument("--shape", default="prompts,pools")
    parser.add_argument("--tools", default="read,alignlib,phases,held,duckdb,polars,pandas")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "scale")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--idle", action="store_true", help="measure all that the book shows, on an idle machine")
    parser.add_argument("--run")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.run:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        spent = TOOLS[asked.run](asked.folder)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own, children = (one.ru_utime + one.ru_stime for one in used)
        peak = round(max(one.ru_maxrss for one in used) / 1024)
        row: dict[str, Any] = {"cpu_s": round(own + children, 3), "peak_mib": peak}
        if asked.run == "workers":
            row["asking_s"] = round(own, 3)  # of the process that asks, which does not divide
        if spent:
            row |= spent if asked.run == "memory" else {"phases": spent, "kernels": kernels()}
        print(json.dumps(row), file=sys.stderr)
        return
    sizes = [1e6] if asked.quick else [float(text) for text in asked.rows.split(",")]
    wanted = SHOWN if asked.idle else list(itertools.product(asked.shape.split(","), sizes, [asked.tools]))
    beside = BESIDE if asked.idle else []
    print("; ".join(f"{shape}, {size:g} rows: {tools}" for shape, size, tools in [*wanted, *beside]), flush=True)
    for shape, size, tools in wanted:
        shown(asked, measured(asked.build, shape, size, tools, rounds=3 if asked.idle else 1), alone=True)
    with ThreadPoolExecutor(2) as pool:
        for rows in pool.map(lambda one: measured(asked.build, *one), beside):
            shown(asked, rows, alone=False)


def measured(build: Path, shape: str, size: float, tools: str, rounds: int = 1) -> list[dict[str, Any]]:
    """Generate a table, measure tools on it in turn, delete it, and return the median of ``rounds`` of each tool."""
    rows, found = round(size), []
    folder = build / f"{shape}-{rows}"
    shutil.rmtree(folder, ignore_errors=True)
    asked = [tool for tool in tools.split(",") if rows <= MOST.get(tool, rows)]
    try:
        generate(folder, rows, shape)
        started = time.monotonic()
        for _ in range(rounds):
            found.append([(measure_on_cluster if one in CLUSTERS else measure)(one, folder) for one in asked])
            if time.monotonic() - started > LONG:
                break  # what takes minutes is an average by itself
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(str(folder) + "-kept", ignore_errors=True)
    return [
        {"shape": shape, "rows": rows, "tool": tool, **sorted(each, key=lambda row: row["cpu_s"])[(len(each) - 1) // 2]}
        for tool, each in zip(asked, zip(*found, strict=True), strict=True)
    ]


def shown(asked: argparse.Namespace, found: list[dict[str, Any]], *, alone: bool) -> None:
    """Print measurements, and record them where that is asked."""
    for row in found:
        seconds = row.pop("wall_s")
        if asked.idle and alone:
            row["idle_s"] = seconds
        if asked.record:
            keep(row)
        print(", ".join(f"{name} {value}" for name, value in row.items()), f"wall {seconds}", flush=True)


if __name__ == "__main__":
    main()
