"""Run every benchmark in this folder, one process each: ``python -m benchmarks [NAME ...] [--quick] [--record]``.

``--record`` keeps what they report, with machine, versions and date, in ``benchmarks/recorded/performance.json``, from
which the page on performance is made. What is not named keeps what was recorded of it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alignbook.performance import FILE
from alignlib._core.files import write_whole
from benchmarks.machine import measured_here

ROOT = Path(__file__).parent.parent
# Ours first, then the peers.
_PACKAGES = ("numpy", "scipy", "pyarrow", "cvxpy", "scs", "dit", "torch", "transformers")


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
    record = "--record" in flags
    wanted = [f"bench_{name}" for name in names] or modules
    return max(_run(name, [flag for flag in flags if flag != "--record"], record) for name in wanted)


def _run(name: str, flags: list[str], record: bool) -> int:
    """Run one benchmark, passing its lines on as they come; keep them where all went well."""
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{name}", *flags], stdout=subprocess.PIPE, text=True
    ) as one:
        for line in one.stdout or ():
            print(line, end="", flush=True)
            said.append(line)
    if record and one.returncode == 0:
        _keep(name, [json.loads(line) for line in said if line.startswith("{")])
    return one.returncode


def _keep(name: str, rows: list[dict[str, object]]) -> None:
    file, module = ROOT / FILE, Path(__file__).with_name(f"{name}.py")
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    doc = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    entry = {
        "what": " ".join(doc.partition("\n\n")[0].split()),
        **measured_here(*filter(_there, _PACKAGES)),
        "rows": rows,
    }
    kept[name.removeprefix("bench_")] = entry
    write_whole(file, json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False) + "\n")


def _there(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
