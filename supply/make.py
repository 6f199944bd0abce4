"""What ``make`` does, where there is no make and no shell: ``python -m alignlib make book``.

It needs Python alone, and makes the environment that the rest runs in; the Makefile takes that from here too.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["TARGETS", "main", "make_environment", "python_of"]

ROOT = Path(__file__).resolve().parent.parent
_STYLE = (("ruff", "check"), ("ruff", "format", "--check"), ("codespell_lib",))
_BOOK = (("alignbook",),)
_PYTEST = ("pytest", "-n", os.environ.get("TESTERS", "3"), "--dist", "loadgroup", "-m")
# Where pip is told to take packages from, and how uv, which does not read that, is told the same.
_SOURCES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
}
# Each a list of modules with what they are given; the Makefile says the same (a test compares them).
TARGETS: dict[str, tuple[tuple[str, ...], ...]] = {
    "setup": (),
    "book": _BOOK,
    "test": (*_STYLE, *_BOOK, (*_PYTEST, "not browser")),
    "browser": (*_BOOK, (*_PYTEST, "browser", "tests")),
    "lint": (*_STYLE, ("mypy",)),
    "release": (("supply", "release"),),
    "reproducible": (("supply", "reproducible"),),
    "sync": (("alignlib", "sync"),),
    "bench": (("benchmarks",),),
}
_MEANINGS = {
    "setup": "make the environment .venv from requirements.lock",
    "book": "build the book and print the page to open",
    "test": "build the book, check style, types, and everything that needs no browser",
    "browser": "look at every page in a real browser (Chromium)",
    "lint": "check style, spelling and types",
    "release": "build the book and leave build/release",
    "reproducible": "build sdist and wheel twice and compare them",
    "sync": "bring every notebook's .py and .ipynb into agreement",
    "bench": "time the library against its peers",
}


def python_of(root: Path = ROOT) -> Path:
    """The interpreter of the clone's environment."""
    return root / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_environment(root: Path = ROOT) -> None:
    """Make ``.venv`` from the lock, unless it was made from this very lock, by this Python, here.

    What it was made from is written into it last: an interrupted, moved or outdated one is recognised by content (time
    stamps do not survive a clone) and made again.
    """
    if sys.version_info < (3, 11):  # noqa: UP036  # this file is run by whichever Python there is
        raise SystemExit(
            f"Python 3.11 or newer is needed, {sys.executable} is not: name one, as in make book PYTHON=python3.12"
        )
    made, installed = root / ".venv" / ".made_from", root / ".venv" / ".installed"
    lock, metadata = (root / "requirements.lock").read_text("utf-8"), (root / "pyproject.toml").read_text("utf-8")
    source = f"Python {'.'.join(map(str, sys.version_info[:3]))}\n{root}\n{lock}"
    pip = [str(python_of(root)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not _says(made, source):
        try:
            import ensurepip  # noqa: F401
            import venv  # noqa: F401
        except ImportError:
            raise SystemExit(
                "Python's venv module is missing: on Debian and Ubuntu, apt-get install python3-venv"
            ) from None
        print("Making the environment from requirements.lock (half a minute, once)", flush=True)
        base = getattr(sys, "_base_executable", sys.executable)  # an environment is not made anew from inside
        _run([base, "-m", "venv", "--clear", str(root / ".venv")], root)
        # Not compiled here: Python compiles what is imported when it is, a fifth of it.
        checked = ["--only-binary", ":all:", "--require-hashes"]
        if not _installed_by_uv(pip, checked, lock, root):
            _run([*pip, *checked, "--no-compile", "-r", "requirements.lock"], root)
        _write(made, source)
    if not _says(installed, metadata):
        _run([*pip, "--no-deps", "--no-build-isolation", "--editable", "."], root)
        _write(installed, metadata)


def _installed_by_uv(pip: list[str], checked: list[str], lock: str, root: Path) -> bool:
    """Whether uv, which takes a fifth of pip's time, has installed the lock; its own pin and hashes stand there too."""
    own = re.search(r"^uv==(?:.*\\\n)*.*$", lock, re.MULTILINE)
    if own is None:
        return False
    python = str(python_of(root))
    only_uv = root / ".venv" / "uv.txt"
    _write(only_uv, own.group() + "\n")
    try:
        _run([*pip, *checked, "--no-compile", "-r", str(only_uv)], root)
        told = subprocess.run(
            [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
        ).stdout
        uv = [python, "-m", "uv", "pip", "install", "--quiet", "--python", python, "--system-certs", *checked]
        _run([*uv, "-r", "requirements.lock"], root, _as_pip_is_told(told))
    except SystemExit:
        print("uv could not install them; pip tries, which takes a minute", flush=True)
        return False
    return True


def _as_pip_is_told(configuration: str) -> dict[str, str]:
    """Variables that tell uv where to take packages from, of what ``pip config list`` says; what is set already stays.

    >>> _as_pip_is_told("global.index-url='https://mirror.invalid/simple'\\nglobal.timeout='60'")["UV_DEFAULT_INDEX"]
    'https://mirror.invalid/simple'
    """
    found: dict[str, str] = {}
    # As with pip, the environment counts for most, and what is said for `install` for more than what is said for all.
    for line in sorted(configuration.splitlines(), key=lambda said: (said[:1] != ":", said.startswith("global."))):
        name, _, value = line.partition("=")
        variable = _SOURCES.get(name.rpartition(".")[2])
        if variable and value:
            found.setdefault(variable, " ".join(str(ast.literal_eval(value)).split()))
    if "UV_FIND_LINKS" in found:
        found["UV_FIND_LINKS"] = found["UV_FIND_LINKS"].replace(" ", ",")
    # Every index is asked for every package, as pip does: the hashes say which bytes are meant.
    found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in found.items() if name not in os.environ}


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, "utf-8")
    part.replace(path)


def _run(command: list[str], root: Path, more: dict[str, str] | None = None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= more or {}
    if "pytest" in command:  # a thread each: more of them only wait for each other
        environment["OMP_NUM_THREADS"] = "1"
    code = subprocess.run(command, cwd=root, env=environment, check=False).returncode
    if code != 0:
        raise SystemExit(code)


def main(words: list[str], root: Path = ROOT) -> None:
    """Do what is named, one after the other; with nothing named, say what there is."""
    if not words or words[0] in ("-h", "--help"):
        print("python -m alignlib make TARGET …, in a clone: as make, which it does not need.\n")
        print("\n".join(f"  {name:13} {said}" for name, said in _MEANINGS.items()))
        print(f"  {'clean':13} delete everything that was built, and the environment")
        return
    unknown = [word for word in words if word not in (*TARGETS, "clean")]
    if unknown:
        print(f"There is no target {unknown[0]!r}; there are {', '.join(TARGETS)} and clean.", file=sys.stderr)
        raise SystemExit(2)
    for word in words:
        if word == "clean":
            for name in ("build", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"):
                shutil.rmtree(root / name, ignore_errors=True)
            continue
        make_environment(root)
        for module in TARGETS[word]:
            _run([str(python_of(root)), "-m", *module], root)


if __name__ == "__main__":
    main(sys.argv[1:])
