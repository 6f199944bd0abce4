"""How often the intervals hold: ``make coverage``, or ``python -m benchmarks.coverage run --workers 16 --out FILE``.

Pieces of a cell (a law, a shape, some tables) are shared out over the workers; each appends one line of JSON as it is
done. Killed and started again, the study goes on with the pieces that are missing. ``summary`` reads the lines, and
``table`` writes the tables that the book reads: of all points, and of widths beside those of plainer rules; ``pooled``
writes another beside them, of statements that are counted over kinds of prompts together.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    """Run the study, or sum it up."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(prog="benchmarks.coverage", description=__doc__)
    parser.add_argument("what", choices=["run", "summary", "table", "pooled"])
    parser.add_argument("--out", type=Path, default=Path("build/coverage.jsonl"))
    parser.add_argument("--to", type=Path, default=Path("notebooks/coverage_results/matrix.csv"), help="of the table")
    parser.add_argument("--before", action="append", default=[], help="whose counts stand where later ones have none")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tables", type=int, default=300)
    parser.add_argument("--law", action="append", help="names that contain this only")
    parser.add_argument("--shape", action="append", help="such as '200 × 64' or 200x64")
    parser.add_argument(
        "--deep", action="store_true", help="14 laws and 8 shapes, the cheapest shapes first; of topics, shape by shape"
    )
    parser.add_argument(
        "--others",
        action="store_true",
        help="what is no reward for a KL budget (topics.py)",
    )
    parser.add_argument("--topic", action="append", help="of topics.py, these only, such as 'budgets'")
    parser.add_argument(
        "--part", action="append", choices=["rewards", "prompts", "turns"], help="of rewards, these only"
    )
    parser.add_argument(
        "--onto", type=Path, help="a table of the book, from which a run goes on; --to the same, it is added to"
    )
    parser.add_argument("--laws-from", help="a module that registers more laws")
    asked = parser.parse_args()
    from benchmarks.coverage import runner, summary, widths

    if asked.what == "run":
        runner.run(
            asked.out,
            asked.workers,
            asked.tables,
            asked.law,
            asked.shape,
            asked.laws_from,
            deep=asked.deep,
            others=asked.others,
            of_topics=asked.topic,
            parts=None if asked.part is None else ["" if one == "rewards" else one for one in asked.part],
            onto=asked.onto,
        )
    if asked.what == "table":
        rows = summary.latest(summary.read(asked.out), asked.before)
        summary.write(rows, asked.to, onto=asked.onto == asked.to)
        widths.write(rows, asked.to.with_name("widths.csv"), onto=asked.onto == asked.to)
    if asked.what == "pooled":
        summary.write_pooled(summary.latest(summary.read(asked.out), asked.before), asked.to.with_name("beyond.csv"))
        return 0
    print(summary.text(summary.read(asked.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
