"""What the commands for a reader's own models share: how to compute, and what an interrupt says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from alignlib._core.safe_text import for_terminal
from alignlib.cli._command import Command, option
from alignlib.cli._ending import nothing_to_put_away, stopped
from alignlib.cli._options import Whole

__all__ = ["import_models", "interruptible", "machine_options", "say"]

F = TypeVar("F", bound=Callable[..., Any])

_MOST_AT_ONCE = 1 << 20
_TORCH_KEEPS = "TORCHINDUCTOR_CACHE_DIR"  # torch makes this folder as soon as it generates, compiled or not


def machine_options(command: F) -> F:
    """Add the options that say how to compute.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with these options.
    """
    for add in reversed(
        [
            option("--dtype", help="float32, bfloat16 or float16  [default: bfloat16 on a GPU, else float32]"),
            option("--device", help="cpu, cuda, cuda:1, …  [default: the GPU, if there is one]"),
            option(
                "--batch-size",
                type=Whole(min=1, max=_MOST_AT_ONCE),
                help="Responses at once; halved where memory runs out  [default: by memory]",
            ),
            option("--trust-remote-code", "remote_code", is_flag=True, help="Run code that comes with the model."),
            option("--force", is_flag=True, help="Replace what is there under that name."),
        ]
    ):
        command = add(command)
    return command


def say(sentence: str) -> None:
    """Write a sentence of the library on standard error, with options for its arguments.

    Parameters
    ----------
    sentence : str
        One that names arguments of the library.
    """
    from alignlib.models.batching import say_on_stderr

    command = click.get_current_context().command
    assert isinstance(command, Command)
    say_on_stderr(for_terminal(command.said(sentence)))


def import_models() -> None:
    """Import what runs models; that takes seconds, in which a signal ends the process at once."""
    from alignlib.models.loading import require_torch

    require_torch()
    with nothing_to_put_away():
        for name in ("torch", "transformers.models.auto", "transformers.generation"):
            import_module(name)
    click.get_current_context().with_resource(_with_what_torch_keeps())


@contextmanager
def interruptible(output: Path) -> Iterator[None]:
    """Turn an interrupt into a sentence that says how to go on, where anything is done.

    Parameters
    ----------
    output : Path
        Where the work that is kept lies.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        stopped(error, f"; the same command goes on, what is done lies beside {output}" if _begun(output) else "")


@contextmanager
def _with_what_torch_keeps() -> Iterator[None]:
    """Have torch put what it compiles into a folder of ours while the command runs: it leaves its own behind."""
    if _TORCH_KEEPS in os.environ:
        yield
        return
    from alignlib._core.working import working_folder  # here, since help does without what it imports

    with working_folder() as folder:
        os.environ[_TORCH_KEEPS] = str(folder)
        try:
            yield
        finally:
            os.environ.pop(_TORCH_KEEPS, None)


def _begun(output: Path) -> bool:
    """Whether a job's folder lies beside its output."""
    with suppress(OSError):
        names = os.listdir(output.parent)
        return any(name.startswith(f"{output.name}.") and name.endswith(".parts") for name in names)
    return False
