"""Run every benchmark in this folder, one process each: ``python -m benchmarks [NAME ...] [--quick]``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run the named benchmarks (all by default) and return the worst exit code."""
    flags = [a for a in sys.argv[1:] if a.startswith("-")]
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    modules = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    unknown = [name for name in names if f"bench_{name}" not in modules]
    if unknown:
        known = ", ".join(module.removeprefix("bench_") for module in modules)
        print(f"No benchmark named {', '.join(unknown)}; there are {known}.", file=sys.stderr)
        return 2
    wanted = [f"bench_{name}" for name in names] or modules
    codes = [
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *flags], check=False).returncode for name in wanted
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
