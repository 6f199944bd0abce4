"""From prompts and responses to tokens: chat templates where a model has one, plain text elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeAlias

from alignlib._core.errors import InputError
from alignlib.models.bounded import lines_within_bounds
from alignlib.models.loaded import Loaded
from alignlib.models.prompts import Message, Prompt, Prompts
from alignlib.models.tokenising import tokenised
from alignlib.tables import short

__all__ = [
    "Layout",
    "check_template",
    "choose_layout",
    "encode_pairs",
    "encode_prompts",
    "filled",
    "laid_out",
    "with_room",
]

Layout: TypeAlias = Literal["chat", "text", "pair"]
_SECONDS_A_ROW = 0.01  # of processor time; a template takes well below a millisecond
_LONGEST = 1 << 22  # characters of a prompt, a million tokens


def choose_layout(loaded: Loaded, wanted: str, messages: bool, template: str | None) -> tuple[Layout, str]:
    """Settle how prompts are laid out for a model, and say it in a sentence.

    Parameters
    ----------
    loaded : Loaded
        The model.
    wanted : str
        ``auto``, ``chat``, ``text`` or ``pair`` (prompt and response as the tokenizer's two sequences).
    messages : bool
        Whether the prompts are lists of chat messages.
    template : str, optional
        Text with ``{prompt}``, and ``{response}`` where responses are scored, which stands for the layout ``text``.

    Returns
    -------
    layout : Layout
        What was settled.
    sentence : str
        The same, said.

    Raises
    ------
    InputError
        If what is wanted does not go with the prompts, the model or the template.
    """
    has_chat = bool(getattr(loaded.tokenizer, "chat_template", None))
    if template is not None:
        if messages or wanted not in ("auto", "text"):
            raise InputError(
                f"template must go with prompts that are plain texts and no other layout; got "
                f"{'lists of messages' if messages else f'layout={wanted!r}'}; leave one of them out."
            )
        return "text", f"Prompts are laid out by the template for {loaded.name}."
    if wanted == "chat" or (wanted == "auto" and has_chat) or messages:
        if not has_chat:
            reason = "layout='chat' needs" if wanted == "chat" else "prompts that are lists of messages need"
            raise InputError(
                f"The tokenizer of {loaded.name} has no chat template, which {reason}; give plain texts, or set "
                "tokenizer.chat_template and save it."
            )
        if wanted not in ("chat", "auto"):
            raise InputError(f"layout={wanted!r} cannot take prompts that are lists of messages; leave it out.")
        return "chat", f"Prompts are laid out by the chat template of {loaded.name}."
    if wanted == "pair":
        return "pair", f"Prompt and response are the two sequences of {loaded.name}'s tokenizer."
    return "text", f"Prompts are given to {loaded.name} as plain text, without a chat template."


def encode_prompts(
    loaded: Loaded, prompts: Sequence[Prompt], layout: Layout, template: str | None = None
) -> list[list[int]]:
    """Turn prompts into tokens that a response is to continue.

    Parameters
    ----------
    loaded : Loaded
        The model.
    prompts : sequence of prompts
        Texts, or lists of messages.
    layout : Layout
        As `choose_layout` settled it.
    template : str, optional
        The text that stands for it, if one does.

    Raises
    ------
    InputError
        Where a prompt has no tokens, or the chat template cannot take it.
    """
    check_template(template, ("{prompt}",))
    if layout == "chat":
        texts = laid_out(loaded, [_messages(prompt) for prompt in prompts], opens=True)
    else:
        texts = [str(prompt) if template is None else template.replace("{prompt}", str(prompt)) for prompt in prompts]
    encoded = _tokens(loaded, texts, special=layout != "chat")
    # Some tokenizers end every text; a response would start after the end.
    ended = [row for row, tokens in enumerate(encoded) if tokens[1:] and tokens[-1] in loaded.eos_ids]
    if layout != "chat" and ended:
        plain = _tokens(loaded, [texts[row] for row in ended], special=False)
        for row, tokens in zip(ended, plain, strict=True):
            if tokens != encoded[row]:
                encoded[row] = encoded[row][:-1]
    empty = next((row for row, tokens in enumerate(encoded) if not tokens), None)
    if empty is not None:
        raise InputError(f"Prompt {empty + 1} has no tokens for {loaded.name}; remove it, or write a text there.")
    _check_known(loaded, encoded)
    return encoded


def with_room(
    models: Sequence[Loaded],
    prompts: Prompts,
    tokens: Sequence[Sequence[int]],
    new: int,
    drop: bool,
    say: Callable[[str], None],
) -> list[int]:
    """Return which prompts leave room for a response in every model.

    Parameters
    ----------
    models : sequence of Loaded
        Policy and base.
    prompts : Prompts
        For their names.
    tokens : sequence of token sequences
        Of each prompt.
    new : int
        Tokens of the longest response.
    drop : bool
        Leave out those without room, and say so.
    say : callable
        Called with what was decided, in sentences.

    Returns
    -------
    list of int
        Places of the prompts that stay.

    Raises
    ------
    InputError
        If one has no room and is not to be dropped, or none is left.
    """
    context = min((model.context for model in models if model.context is not None), default=sys.maxsize)
    long = [row for row, found in enumerate(tokens) if len(found) > context - new]
    if not long:
        return list(range(len(tokens)))
    said = (
        f"{len(long)} of {len(tokens)} prompts leave no room for max_new_tokens={new} in the context of {context} "
        f"tokens, the first prompt_id {prompts.ids[long[0]].as_py()!r} with {len(tokens[long[0]])} tokens"
    )
    if not drop:
        raise InputError(f"{said}; shorten them, lower max_new_tokens, or pass drop_long=True to go on without them.")
    if len(long) == len(tokens):
        raise InputError(f"{said}; no prompt is left without them: lower max_new_tokens.")
    say(f"{said}; left out.")
    return [row for row, found in enumerate(tokens) if len(found) <= context - new]


def encode_pairs(
    loaded: Loaded, prompts: Sequence[Prompt], responses: Sequence[str], layout: Layout, template: str | None = None
) -> list[dict[str, list[int]]]:
    """Turn prompts with their responses into what the tokenizer gives the model (``input_ids`` and more).

    Parameters
    ----------
    loaded : Loaded
        The model.
    prompts, responses : sequences
        One prompt for each response.
    layout : Layout
        As `choose_layout` settled it.
    template : str, optional
        The text that stands for it, if one does.

    Raises
    ------
    InputError
        Where the chat template cannot take a prompt.
    """
    check_template(template, ("{prompt}", "{response}"))
    pairs = list(zip(prompts, responses, strict=True))
    texts: list[tuple[str, ...]]
    if layout == "chat":
        turns: list[list[Message]] = [[*_messages(p), {"role": "assistant", "content": r}] for p, r in pairs]
        texts = [(text,) for text in laid_out(loaded, turns, opens=False)]
    elif layout == "pair":
        texts = [(str(prompt), response) for prompt, response in pairs]
    elif template is not None:
        texts = [(text,) for text in filled(template, [str(prompt) for prompt in prompts], responses)]
    else:
        texts = [(str(prompt) + response,) for prompt, response in pairs]
    encoded = tokenised(loaded, texts, special=layout != "chat")
    _check_known(loaded, [one["input_ids"] for one in encoded])
    return encoded


def filled(template: str, prompts: Sequence[str], responses: Sequence[str]) -> list[str]:
    """Put each prompt and its response in their places of a template.

    Parameters
    ----------
    template : str
        A text that holds ``{prompt}`` and ``{response}``.
    prompts, responses : sequence of str
        One prompt for each response.

    Examples
    --------
    >>> filled("Q: {prompt} A: {response}", ["What is {response}?"], ["A word."])
    ['Q: What is {response}? A: A word.']
    """
    check_template(template, ("{prompt}", "{response}"))
    # One pass over the template: a prompt may itself contain the word "{response}".
    head, _, tail = template.partition("{prompt}")
    return [
        head.replace("{response}", response) + prompt + tail.replace("{response}", response)
        for prompt, response in zip(prompts, responses, strict=True)
    ]


def check_template(template: str | None, needed: Sequence[str]) -> None:
    """Refuse a template without the places for what it lays out.

    Parameters
    ----------
    template : str, optional
        The text; without one nothing is refused.
    needed : sequence of str
        The places, each of which it must hold once.

    Raises
    ------
    InputError
        If one is missing, or there twice.
    """
    missing = [] if template is None else [part for part in needed if template.count(part) != 1]
    if missing:
        raise InputError(f"template must hold {missing[0]} once; got {template!r}: put it where that text belongs.")


def _check_known(loaded: Loaded, encoded: Sequence[Sequence[int]]) -> None:
    """Refuse tokens that the model has no embedding of, before it looks them up."""
    known = int(loaded.model.get_input_embeddings().weight.shape[0])
    for row, tokens in enumerate(encoded):
        largest = max(tokens, default=0)
        if largest >= known:
            raise InputError(
                f"The tokenizer of {loaded.name} makes token {largest} of prompt {row + 1}, and the model "
                f"knows {known}; save the tokenizer that belongs to the model."
            )


def _messages(prompt: Prompt) -> list[Message]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def _tokens(loaded: Loaded, texts: Sequence[str], *, special: bool) -> list[list[int]]:
    return [found["input_ids"] for found in tokenised(loaded, [(text,) for text in texts], special=special)]


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
