"""A model's chat template on prompts: a program of others, so it runs in a process with bounded time and memory."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, NoReturn

from alignlib._core.errors import InputError
from alignlib._core.stopping import in_the_end, undisturbed
from alignlib.models.loaded import Loaded
from alignlib.models.prompts import Message
from alignlib.tables import short

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["laid_out"]

_SECONDS, _SECONDS_A_ROW = 20, 0.01  # of processor time; a template takes well below a millisecond
_MEMORY = 1 << 30  # bytes more than the process has
_LONGEST = 1 << 24  # characters of a prompt


def laid_out(loaded: Loaded, rows: Sequence[list[Message]], *, opens: bool) -> list[str]:
    """Return each list of messages as the chat template of a model lays it out.

    Parameters
    ----------
    loaded : Loaded
        The model.
    rows : sequence of lists of messages
        A prompt each.
    opens : bool
        Whether the template is asked to open the turn of the response.

    Raises
    ------
    InputError
        Where the template cannot take a prompt, or takes more time or memory than any template needs.
    """
    found: list[str] = []
    lines = _from_child(loaded, rows, opens) if _can_fork() else _lines(loaded, rows, opens)
    for line in lines:
        text, error = json.loads(line)
        if error:
            raise InputError(
                f"The chat template of {loaded.name} cannot take prompt {len(found) + 1} ({error}); change its "
                "messages, or the template."
            )
        found.append(text)
    if len(found) < len(rows):
        raise InputError(
            f"The chat template of {loaded.name} takes more time or memory for prompt {len(found) + 1} than any "
            "template needs; look at the template (chat_template.jinja or tokenizer_config.json), and lay prompts out "
            "as plain text if it is not to be trusted."
        )
    return found


def _can_fork() -> bool:
    return hasattr(os, "fork") and resource is not None and sys.platform == "linux"


def _lines(loaded: Loaded, rows: Sequence[list[Message]], opens: bool) -> Iterator[str]:
    """Yield a line of JSON for each prompt: the text, and what went wrong."""
    for messages in rows:
        text, error = "", ""
        try:
            text = str(loaded.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opens))
            if len(text) > _LONGEST:
                text, error = "", f"it makes a text of {len(text):,} characters of it"
        except MemoryError:
            return
        except Exception as raised:  # a template is a program of the model's: 1/0 in it too
            error = short(raised)
        yield json.dumps([text, error])


def _from_child(loaded: Loaded, rows: Sequence[list[Message]], opens: bool) -> Iterator[str]:
    """Yield the lines that a copy of this process writes within its bounds."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with undisturbed:
        with warnings.catch_warnings():  # of a copy of a process with threads: none of theirs is used in it
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.close(reader)
            _child(writer, loaded, rows, opens)
        end = in_the_end(lambda: _end(child))
        os.close(writer)
    try:
        with os.fdopen(reader, encoding="ascii") as lines:
            yield from (line for line in lines if line.endswith("\n"))
    finally:
        end()


def _child(writer: int, loaded: Loaded, rows: Sequence[list[Message]], opens: bool) -> NoReturn:
    try:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        seconds = _SECONDS + int(_SECONDS_A_ROW * len(rows))
        for what, most in (
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_AS, _held() + _MEMORY),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        with os.fdopen(writer, "w", buffering=1, encoding="ascii") as out:  # whole lines, whatever comes
            _write(out, _lines(loaded, rows, opens))
    finally:
        os._exit(0)


def _write(out: IO[str], lines: Iterator[str]) -> None:
    for line in lines:
        out.write(f"{line}\n")


def _held() -> int:
    """Bytes of addresses that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
