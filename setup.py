"""The part of packaging that pyproject.toml cannot say.

The notebooks travel with the machine that runs them, and two builds of the same sources are the same bytes: files have
one time, one owner and one mode whatever the time, the user and the umask (`make reproducible` compares).
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
EPOCH = os.environ.setdefault("SOURCE_DATE_EPOCH", "1700000000")  # the wheel's files have this time too
# All that `alignlib run` and `alignlib report` read, laid out as in a clone.
SHIPPED = (
    "CITATION.cff",
    "_config.yml",
    "benchmarks/recorded/*.json",
    "book/*.md",
    "book/references.bib",
    "notebooks/[0-9]*.py",
    "notebooks/pages.yml",
    "notebooks/_pages/*.py",
    "notebooks/coverage_results/*.csv",
    "notebooks/lm_results/*.csv",
    "notebooks/lm_results/*.json",
    "notebooks/lm_results/*.npz",
    "notebooks/public_tables/*",
    "notebooks/words_results/*.csv",
    "notebooks/words_results/*.json",
    "notebooks/words_results/*.npz",
)


class BuildWithNotebooks(build_py):
    """Build the packages, and put the notebooks into ``alignbook/shipped``."""

    def run(self) -> None:
        """Start from nothing: what an earlier build left would be packed too."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for source, target in self._shipped():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            set_modes(Path(self.build_lib))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What is installed."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        return outputs + [str(target) for _, target in self._shipped()]

    def _shipped(self) -> list[tuple[Path, Path]]:
        target = Path(self.build_lib, "alignbook", "shipped")
        files = [path for pattern in SHIPPED for path in sorted(ROOT.glob(pattern))]
        return [(path, target / path.relative_to(ROOT)) for path in files]


class SameWheel(bdist_wheel):
    """Pack the same bytes from the same sources."""

    def write_wheelfile(self, *arguments: str) -> None:
        """Write the last file of the metadata."""
        super().write_wheelfile(*arguments)
        set_modes(Path(arguments[0]))


class SameSdist(sdist):
    """Pack the same bytes from the same sources."""

    def make_archive(
        self,
        base_name: str,
        format: str,
        root_dir: str | None = None,
        base_dir: str | None = None,
        *_: object,
        **__: object,
    ) -> str:
        """Pack ``base_dir``; of the formats only gztar is asked for here."""
        if format != "gztar" or base_dir is None:
            raise ValueError(f"this project is packed as gztar, not as {format}")
        folder = Path(root_dir or ".", base_dir)
        with (
            open(f"{base_name}.tar.gz", "wb") as file,
            gzip.GzipFile("", "wb", 6, mtime=int(EPOCH), fileobj=file) as packed,
            tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in [folder, *sorted(folder.rglob("*"))]:
                name = Path(base_dir, path.relative_to(folder)).as_posix()
                archive.add(path, name, recursive=False, filter=plain)
        return f"{base_name}.tar.gz"


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out of an entry what the machine has put into it."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(EPOCH)
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry


def set_modes(folder: Path) -> None:
    """Give the files in a folder the mode that they have under the usual umask."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


setup(cmdclass={"build_py": BuildWithNotebooks, "bdist_wheel": SameWheel, "sdist": SameSdist})
