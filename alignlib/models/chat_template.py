"""A model's chat template on prompts: a program of others, so it runs within bounds of time and memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from alignlib._core.errors import InputError
from alignlib.models.bounded import lines_within_bounds
from alignlib.models.loaded import Loaded
from alignlib.models.prompts import Message
from alignlib.tables import short

__all__ = ["laid_out"]

_SECONDS_A_ROW = 0.01  # of processor time; a template takes well below a millisecond
_LONGEST = 1 << 22  # characters of a prompt, a million tokens


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
    for line in lines_within_bounds(lambda: _lines(loaded, rows, opens), _SECONDS_A_ROW * len(rows)):
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
