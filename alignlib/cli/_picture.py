"""A picture beside the answer of a command: refused before anything runs, drawn without a say of the environment."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alignlib._core.files import check_new
from alignlib._core.safe_text import for_terminal
from alignlib.cli._command import option
from alignlib.cli._options import Output, claim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alignlib.pass_at_k import PassEstimate
    from alignlib.training import Comparison, Floor, Overlay

__all__ = ["check_picture", "picture_options", "save_picture", "save_picture_of", "wrote"]

F = TypeVar("F", bound=Callable[..., Any])


def picture_options(command: F) -> F:
    """Add the options for a picture.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with these options.
    """
    command = option("--force", is_flag=True, help="Replace a picture that is there under that name.")(command)
    return option(
        "-o",
        "--output",
        "picture",
        type=Output(".png", ".svg", ".pdf"),
        help="Also leave a picture: .png, .svg or .pdf.",
    )(command)


def check_picture(picture: Path | None, force: bool, read: Sequence[Path]) -> None:
    """Refuse, before anything runs, a picture in the place of another file.

    Parameters
    ----------
    picture : Path, optional
        Where a picture is to be; nothing is checked if None.
    force : bool
        Whether a file in its place may be replaced.
    read : sequence of Path
        The files that the answer is made of.
    """
    if picture is not None:
        claim(picture)
        check_new(picture, force, list(read))


def save_picture(draw: Callable[[], Figure], picture: Path, force: bool) -> None:
    """Draw with matplotlib as it comes: no backend of the environment and no matplotlibrc in a folder has a say.

    Parameters
    ----------
    draw : callable
        Takes nothing and returns a figure.
    picture : Path
        Where it is to be; its ending says in which format.
    force : bool
        Whether a file in its place may be replaced.
    """
    with _as_it_comes():
        import matplotlib as mpl

    from alignlib.answers import pictures

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names are as long as the reader made them, in letters that a font may lack
        mpl.rcdefaults()
        pictures.save(draw(), picture, replace=force)


def save_picture_of(
    found: Overlay | Floor | Comparison | Mapping[str, Comparison] | PassEstimate, picture: Path, force: bool
) -> None:
    """Draw a run, several (split by split), or pass@k, as `save_picture` does.

    Parameters
    ----------
    found : Overlay, Floor, Comparison, mapping of str to Comparison, or PassEstimate
        The answer.
    picture : Path
        Where its picture is to be.
    force : bool
        Whether a file in its place may be replaced.
    """

    def draw() -> Figure:
        from alignlib.answers import pictures

        return pictures.picture_of(found)

    save_picture(draw, picture, force)


@contextlib.contextmanager
def _as_it_comes() -> Iterator[None]:
    """Import matplotlib from a folder of ours, with its own settings: it would read, and say, what lies around it."""
    found = None if "matplotlib" in sys.modules else find_spec("matplotlib")
    if found is None or found.origin is None:
        yield
        return
    package = Path(found.origin).parent
    os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": str(package / "mpl-data" / "matplotlibrc")}
    import logging

    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)  # of a home that cannot be written, too
    with contextlib.ExitStack() as folder:
        with contextlib.suppress(OSError):  # the working folder may be gone, and holds nothing then
            folder.enter_context(contextlib.chdir(package))
        yield


def wrote(picture: Path) -> None:
    """Say on standard error that the picture is there: standard output is the answer alone.

    Parameters
    ----------
    picture : Path
        The file.
    """
    click.echo(for_terminal(f"Wrote {picture}"), err=True)
