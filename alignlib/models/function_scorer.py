"""Scoring with a Python function that the reader names: texts in, numbers out."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from alignlib._core.array_likes import as_array
from alignlib._core.checks import FloatArray, IntArray, as_numbers
from alignlib._core.errors import InputError
from alignlib._core.names import unknown_name
from alignlib.models.guest import Guest, what_it_raised
from alignlib.models.journal import Plan
from alignlib.models.prompts import Prompt
from alignlib.models.scoring import ScoreSettings, Scoring, content_hash
from alignlib.models.texts import filled
from alignlib.tables.reward_range import check_range
from alignlib.tables.table_file import EXACT_INTEGERS

__all__ = ["FunctionScorer", "ScoringFunction", "find_scorer", "load_function"]

ScoringFunction = Callable[[list[str]], Sequence[float]]
"""From texts to as many numbers."""

_BATCH = 1024


def load_function(name: str, guest: Guest | None = None) -> ScoringFunction:
    """Return the function of a name such as ``package.module:function`` or ``path/to/file.py:function``.

    That module or file is imported, and so runs; nothing else is.

    Parameters
    ----------
    name : str
        The module or file, a colon, the function.
    guest : Guest, optional
        Where the reader's code was last, for what it leaves behind.

    Raises
    ------
    InputError
        If there is none of that name, or its module cannot be imported.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        raise InputError(
            f"scorer must name a function as module:function, or as file.py:function; got {name!r}.", argument="scorer"
        )
    guest = guest or Guest()
    module = _module(place, guest)
    try:
        with guest.visit():
            found = getattr(module, attribute, None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may answer for its names itself
        raise InputError(
            f"scorer={name} cannot be had from its module: {what_it_raised(error)}; correct the module.",
            argument="scorer",
        ) from error
    if found is None:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(unknown_name(f"function of {place} (scorer)", attribute, known))
    if not callable(found):
        raise InputError(f"scorer must name a function; {name} is of the type {type(found).__name__}.")
    return found  # type: ignore[no-any-return]  # what it returns is checked when it is called


def _module(place: str, guest: Guest) -> ModuleType:
    try:
        if not place.endswith(".py"):
            with guest.visit():
                return import_module(place)
        if not Path(place).is_file():
            raise InputError(f"scorer={place} is no file; give the path of a Python file that is there.")
        spec = spec_from_file_location(f"alignlib_scorer_{Path(place).stem}", place)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        # Dataclasses, pickle and processes look a module up by its name.
        sys.modules[spec.name] = module
        try:
            with guest.visit():
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[spec.name]
            raise
    except InputError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise InputError(
                f"scorer={place} is no module that Python finds here; install it, or give the path of its file, as in "
                "./scorer.py:function."
            ) from error
        raise InputError(f"scorer={place} cannot be imported: it needs {error.name}, not installed here.") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what the reader's code raises: SystemExit is no reason to stop in silence
        raise InputError(f"scorer={place} cannot be imported: {what_it_raised(error)}; correct the module.") from error
    return module


@dataclass
class FunctionScorer(Scoring):
    """A prepared job: the function, and the text of every row.

    Attributes
    ----------
    content : str
        Hash of prompts and responses.
    order : array of int (rows,)
        In which order rows are scored.
    say : callable
        Called with what was decided, in sentences.
    settings : ScoreSettings
        How to score.
    name : str
        What the scorer is called.
    function : callable
        From a list of texts to as many numbers.
    texts : list of str
        What it gets, row by row.
    guest : Guest
        Where the reader's code was last.
    """

    name: str
    function: ScoringFunction
    texts: list[str]
    guest: Guest

    @classmethod
    def prepare(
        cls,
        found: tuple[str, ScoringFunction, Guest],
        settings: ScoreSettings,
        prompts: Sequence[Prompt],
        responses: Sequence[str],
        say: Callable[[str], None],
    ) -> FunctionScorer:
        """Lay out the texts: the responses alone, or prompt and response by the template.

        Parameters
        ----------
        found : tuple
            What `find_scorer` returned.
        settings : ScoreSettings
            How to score.
        prompts : sequence of prompts
            One for each row.
        responses : sequence of str
            One for each row.
        say : callable
            Called with what was decided, in sentences.

        Raises
        ------
        InputError
            If a template does not go with the prompts.
        """
        name, function, guest = found
        texts = list(responses)
        if settings.template is None:
            say(f"Responses are given to {name} without their prompts; give template to lay out both.")
        else:
            messages = next((row for row, prompt in enumerate(prompts) if not isinstance(prompt, str)), None)
            if messages is not None:
                raise InputError(
                    f"template must go with prompts that are plain texts; row {messages + 1} has a list of messages."
                )
            texts = filled(settings.template, [str(prompt) for prompt in prompts], responses)
        order: IntArray = np.arange(len(texts))
        return cls(content_hash(prompts, responses), order, say, settings, name, function, texts, guest)

    def identity(self) -> dict[str, object]:
        """Everything that decides the rewards, as far as it can be seen: what the function itself calls cannot."""
        return {
            "scorer": self.name,
            "content of the scorer": _source_hash(self.function),
            "the prompts and responses (content)": self.content,
            "template": self.settings.template,
            "negate": self.settings.negate,
        }

    def metadata(self) -> dict[str, object]:
        """Say in the file where the column is from."""
        return self.identity()

    def plan(self) -> Plan:
        """Choose what holds for the whole job."""
        size = self.settings.batch_size or _BATCH
        return {"shard_rows": size, "batch_size": size}

    def announced(self) -> str:
        """How scoring is announced."""
        return f"Scoring with {self.name}"

    def work(self, rows: Sequence[int]) -> list[float]:
        """Score one batch, and refuse what are not as many finite numbers.

        Parameters
        ----------
        rows : sequence of int
            Positions of the responses of a batch.

        Returns
        -------
        list of float
            One reward each.

        Raises
        ------
        InputError
            Where the function raises, or returns anything else than as many finite numbers.
        """
        texts = [self.texts[row] for row in rows]
        answered = False
        try:
            with self.guest.visit():
                returned = self.function(list(texts))  # the list is its own to change
                answered = True
                found, values = self._numbers(returned)  # an object's own code may be run for it
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: it would end the job without a word
            if answered and isinstance(error, InputError):
                raise
            which = f"rows {rows[0] + 1} to {rows[-1] + 1}"
            raise InputError(
                f"scorer={self.name} failed on {which}: {what_it_raised(error)}; correct the function."
            ) from error
        if values.shape != (len(texts),):
            raise InputError(
                f"scorer={self.name} must return one number for each text; for {len(texts)} texts it returned "
                f"{_kind(returned)}{f' of the shape {values.shape}' if values.ndim else ''}."
            )
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise InputError(
                f"scorer={self.name} gave {found[int(bad[0])]} for row {rows[int(bad[0])] + 1}; rewards must be finite."
            )
        check_range(f"scorer={self.name}", values, lambda at: f"for row {rows[at] + 1}")
        for at in np.flatnonzero(np.abs(values) >= EXACT_INTEGERS).tolist():  # each by itself: a list may mix types
            if isinstance(found[at], Integral):
                raise InputError(
                    f"scorer={self.name} gave an integer beyond 2^53 for row {rows[at] + 1}, which a float would "
                    "round; return a float, or a smaller number."
                )
        return [float(value) for value in (-values if self.settings.negate else values)]

    def _numbers(self, found: Any) -> tuple[Any, FloatArray]:
        """Return what the function returned as a list or an array, and as floats."""
        if inspect.iscoroutine(found):  # of a function that is async
            found.close()
        try:
            values = as_numbers("what it returned", found)
        except InputError as error:
            raise InputError(
                f"scorer={self.name} must return numbers, one for each text; it returned {_kind(found)}: {error}"
            ) from error
        return (found if isinstance(found, list | tuple) else as_array("what it returned", found)), values


def name_of(function: ScoringFunction) -> str:
    """Return module and name of a function.

    Parameters
    ----------
    function : callable
        What scores.

    Returns
    -------
    str
        Such as ``"rewards:length"``.
    """
    kind = type(function)
    try:
        module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", kind.__name__)
    except Exception:  # an object may answer for its names itself
        module, name = kind.__module__, kind.__qualname__
    return f"{module}:{name}"


def find_scorer(scorer: str | ScoringFunction, settings: ScoreSettings) -> tuple[str, ScoringFunction, Guest]:
    """Return what a scorer is called, the function, and the guest as which it runs, before any table is read.

    Parameters
    ----------
    scorer : str or callable
        The function, or its name as in `load_function`.
    settings : ScoreSettings
        How to score.

    Returns
    -------
    name : str
        What the scorer is called.
    function : callable
        From a list of texts to as many numbers.
    guest : Guest
        Where the reader's code was last.

    Raises
    ------
    InputError
        If there is no such function, or a setting is one of reward models only.
    """
    _refuse_settings_of_models(settings)
    guest = Guest()
    if isinstance(scorer, str):
        return scorer, load_function(scorer, guest), guest
    return name_of(scorer), scorer, guest


def _refuse_settings_of_models(settings: ScoreSettings) -> None:
    plain = ScoreSettings()
    for name in ("label", "output_index", "value", "layout", "device", "dtype", "remote_code"):
        if getattr(settings, name) != getattr(plain, name):
            raise InputError(
                f"{name}={getattr(settings, name)!r} is for a reward model, not for a scorer; leave it out."
            )


def _kind(found: object) -> str:
    return f"a value of the type {type(found).__name__}"


def _source_hash(function: ScoringFunction) -> str | None:
    """Hash of the file that defines a function; None where it has none."""
    try:
        with Guest().visit():
            file = inspect.getsourcefile(inspect.unwrap(function))
        return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except KeyboardInterrupt:
        raise
    except BaseException:  # a reader's object may answer for its names itself
        return None
