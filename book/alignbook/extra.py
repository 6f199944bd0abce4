"""What running notebooks and making pages needs beyond the base installation, and how to say that it is missing."""

from __future__ import annotations

from importlib.util import find_spec

from alignlib._core.errors import InputError

__all__ = ["MissingExtraError", "require_extra"]

# The last has a name that cannot be imported; its files are MathJax.
_MODULES = (
    "yaml",
    "pandas",
    "nbformat",
    "jupytext",
    "papermill",
    "ipykernel",
    "sphinx",
    "myst_nb",
    "sphinx_design",
    "sphinx_proof",
    "sphinxcontrib.bibtex",
    "sphinx-mathjax-offline",
)


class MissingExtraError(InputError):
    """A command that needs the packages of the extra ``report``."""


def require_extra(command: str) -> None:
    """Raise unless the packages of the extra ``report`` are installed.

    >>> require_extra("alignlib report")
    """
    missing = next((name for name in _MODULES if not _installed(name)), None)
    if missing is not None:
        raise MissingExtraError(
            f"{command} needs the extra [report], and {missing} is not installed: run pip install '.[report]' in a "
            "copy of the repository (the distribution is alignment-limits)."
        )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
