"""The part of packaging that pyproject.toml cannot say: the notebooks travel with the machine that runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
# All that `alignlib run` and `alignlib report` read, laid out as in a clone.
SHIPPED = (
    "_config.yml",
    "benchmarks/recorded/*.json",
    "book/*.md",
    "book/references.bib",
    "notebooks/[0-9]*.py",
    "notebooks/pages.yml",
    "notebooks/_pages/*.py",
    "notebooks/lm_results/*.csv",
    "notebooks/lm_results/*.json",
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

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What is installed."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        return outputs + [str(target) for _, target in self._shipped()]

    def _shipped(self) -> list[tuple[Path, Path]]:
        target = Path(self.build_lib, "alignbook", "shipped")
        files = [path for pattern in SHIPPED for path in sorted(ROOT.glob(pattern))]
        return [(path, target / path.relative_to(ROOT)) for path in files]


setup(cmdclass={"build_py": BuildWithNotebooks})
