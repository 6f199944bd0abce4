"""Typed, ranged parameters of a notebook, read from its one cell tagged ``parameters``.

Each line of that cell declares one parameter and says what it means and what it may be::

    n_max: int = 64  # largest N of best-of-N, >= 1
    kl: list[float] = [0.5, 1.0]  # KL budgets in nats, > 0
    law: str = "gaussian"  # law of the reward, one of gaussian | uniform
    table: str | None = None  # table of your own rewards, existing file

Types: ``int``, ``float``, ``str``, ``bool``, ``list[int]``, ``list[float]``, ``list[str]``, ``str | None``.
The allowed range is what follows the last comma that introduces one of

    >= 1    > 0    <= 1    < 1    in [0, 1]    in (0, 1)    in [0, 1)    any
    one of a | b    existing file

It applies to each element of a list, and is required for numbers (``any`` says that none is meant).
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from alignlib._names import unknown_name

__all__ = ["Parameter", "ParameterError", "Value", "parse_cell", "resolve", "resolve_texts"]

Value: TypeAlias = int | float | str | bool | list[int] | list[float] | list[str] | None

TYPES = ("int", "float", "str", "bool", "list[int]", "list[float]", "list[str]", "str | None")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(
    rf"(?:^|,)\s*(?P<range>(?:>=|<=|>|<)\s*{_NUMBER}|in\s*[\[(]\s*{_NUMBER}\s*,\s*{_NUMBER}\s*[\])]"
    r"|one of\s+[^,|]+(?:\|[^,|]+)+|existing file|any)\s*$"
)
_LOOKS_LIKE_RANGE = re.compile(r",\s*(?:[<>=≤≥]|in\s*[\[(\d]|one of\b)[^,]*(?:,[^,]*)?$")


class ParameterError(ValueError):
    """A parameter that does not exist, is of the wrong type, out of its range or badly declared."""


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: ``range`` is the text of its allowed range, or ``any``."""

    name: str
    type: str
    default: Value
    meaning: str
    range: str = "any"

    def parse(self, text: str) -> Value:
        """Turn ``text`` from a command line into a checked value of this parameter's type."""
        if self.type.startswith("list["):
            return self.check([_parse_scalar(self, self.element, item) for item in _split(self, text)])
        return self.check(_parse_scalar(self, self.type, text))

    def check(self, value: object) -> Value:
        """Return ``value`` with its type settled, or raise when type or range are wrong."""
        if self.type.startswith("list["):
            if not isinstance(value, list | tuple) or len(value) == 0:
                raise ParameterError(f"{self.name} must be a non-empty {self.type}; got {value!r}.")
            return [self._check_scalar(self.element, item) for item in value]
        settled: Value = self._check_scalar(self.type, value)
        return settled

    @property
    def element(self) -> str:
        """The type of one element of a list, or the type itself."""
        return self.type.removeprefix("list[").removesuffix("]")

    def _check_scalar(self, kind: str, value: object) -> Any:
        right = {
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, int | float) and not isinstance(value, bool),
            "bool": isinstance(value, bool),
            "str": isinstance(value, str),
            "str | None": value is None or isinstance(value, str),
        }[kind]
        if not right:
            raise ParameterError(f"{self.name} must be {_article(self)}; got {value!r}.")
        if kind == "float":
            value = float(value)  # type: ignore[arg-type]
            if not math.isfinite(value):
                raise ParameterError(f"{self.name} must be a finite number; got {value!r}.")
        if value is not None and not _in_range(self.range, value):
            raise ParameterError(f"{self.name} must be {_range_words(self.range)}; got {value!r}.")
        return value


def parse_cell(source: str, where: str = "the parameters cell") -> dict[str, Parameter]:
    """Read the declarations of a parameters cell.

    Args:
        source: the text of the cell.
        where: what to call the cell in an error.

    Raises:
        ParameterError: for a line that is untyped, uncommented, not a literal, of an unknown type, without
            a range where one is needed, or whose default lies outside its own range.

    >>> parse_cell("n_max: int = 64  # largest N of best-of-N, >= 1")["n_max"]
    Parameter(name='n_max', type='int', default=64, meaning='largest N of best-of-N', range='>= 1')
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"{where} is not Python: {error.msg} (line {error.lineno}).") from error
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for statement in statements:
        parameter = _declaration(statement, comments, where)
        if parameter.name in found:
            raise ParameterError(f"{where} declares {parameter.name} twice.")
        found[parameter.name] = parameter
    return found


def resolve(declared: Mapping[str, Parameter], given: Mapping[str, object]) -> dict[str, Value]:
    """Check the ``given`` values against what is ``declared``; return only those given, typed.

    >>> cell = parse_cell("n_max: int = 64  # largest N of best-of-N, >= 1")
    >>> resolve(cell, {"n_max": 0})
    Traceback (most recent call last):
    alignlib.parameters.ParameterError: n_max must be >= 1; got 0.
    """
    return {name: _known(declared, name).check(value) for name, value in given.items()}


def resolve_texts(
    declared: Mapping[str, Parameter], given: Iterable[tuple[str, str]], folder: Path
) -> dict[str, Value]:
    """Check (name, text) pairs from a command line; paths to existing files are taken from ``folder``."""
    values: dict[str, Value] = {}
    for name, text in given:
        parameter = _known(declared, name)
        if name in values:
            raise ParameterError(f"{name} is given twice; give it once.")
        if parameter.range == "existing file" and not _is_none(parameter, text):
            text = str(folder / text)
        values[name] = parameter.parse(text)
    return values


def _known(declared: Mapping[str, Parameter], name: str) -> Parameter:
    if name not in declared:
        raise ParameterError(unknown_name("parameter", name, declared))
    return declared[name]


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def _declaration(statement: ast.stmt, comments: Mapping[int, str], where: str) -> Parameter:
    line = ast.unparse(statement)
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        raise ParameterError(f"{where} may only hold lines such as 'n: int = 1  # meaning, >= 1'; got {line!r}.")
    name, kind = statement.target.id, ast.unparse(statement.annotation)
    if kind not in TYPES:
        raise ParameterError(f"{where}: {name} has the type {kind!r}; allowed are {', '.join(TYPES)}.")
    if statement.value is None:
        raise ParameterError(f"{where}: {name} needs a default.")
    try:
        default = ast.literal_eval(statement.value)
    except ValueError as error:
        raise ParameterError(f"{where}: the default of {name} must be a literal; got {line!r}.") from error
    comment = comments.get(statement.end_lineno or statement.lineno, "")
    match = _RANGE.search(comment)
    meaning = comment[: match.start()].strip(" ,") if match else comment
    if not meaning:
        raise ParameterError(f"{where}: {name} needs a comment that says what it means.")
    if match is None and _LOOKS_LIKE_RANGE.search(comment):
        raise ParameterError(f"{where}: the range of {name} cannot be read from {comment!r}.")
    numeric = any(word in kind for word in ("int", "float"))
    if match is None and numeric:
        raise ParameterError(f"{where}: {name} needs its allowed range after the last comma, such as '>= 1' or 'any'.")
    limits = " ".join(match["range"].split()) if match else "any"
    if limits != "any" and numeric != limits.startswith((">", "<", "in ")):
        raise ParameterError(f"{where}: the range {limits!r} of {name} does not fit its type {kind}.")
    parameter = Parameter(name, kind, default, meaning, limits)
    if limits != "existing file" or default is None:
        parameter = Parameter(name, kind, parameter.check(default), meaning, limits)
    return parameter


def _in_range(limits: str, value: object) -> bool:
    if limits == "any":
        return True
    if limits == "existing file":
        return Path(str(value)).is_file()
    if limits.startswith("one of "):
        return value in [option.strip() for option in limits.removeprefix("one of ").split("|")]
    assert isinstance(value, int | float)
    if limits.startswith("in "):
        low, high = (float(part) for part in limits[3:].strip()[1:-1].split(","))
        above = low <= value if "[" in limits else low < value
        return above and (value <= high if limits.endswith("]") else value < high)
    sign, bound = re.match(r"(>=|<=|>|<)\s*(.*)", limits).groups()  # type: ignore[union-attr]
    return {
        ">=": value >= float(bound),
        "<=": value <= float(bound),
        ">": value > float(bound),
        "<": value < float(bound),
    }[sign]


def _range_words(limits: str) -> str:
    return "the path of an existing file" if limits == "existing file" else limits


def _article(parameter: Parameter) -> str:
    words = {
        "int": "an integer",
        "float": "a number",
        "bool": "true or false",
        "str": "a text",
        "str | None": "a text or none",
    }
    return (
        f"a list, each element {words[parameter.element]}"
        if parameter.type.startswith("list[")
        else words[parameter.type]
    )


def _is_none(parameter: Parameter, text: str) -> bool:
    return parameter.type == "str | None" and text.lower() == "none"


def _split(parameter: Parameter, text: str) -> list[str]:
    """Elements of ``1,2,3`` or of a JSON list."""
    if not text.strip().startswith("["):
        return [item.strip() for item in text.split(",")]
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParameterError(f"{parameter.name} must be a list such as 1,2,3 or [1, 2, 3]; got {text!r}.") from error
    return [item if isinstance(item, str) else json.dumps(item) for item in items]


def _parse_scalar(parameter: Parameter, kind: str, text: str) -> Value:
    wrong = ParameterError(f"{parameter.name} must be {_article(parameter)}; got {text!r}.")
    if kind == "int":
        if not re.fullmatch(r"\s*[+-]?\d+\s*", text):
            raise wrong
        return int(text)
    if kind == "float":
        try:
            return float(text)
        except ValueError:
            raise wrong from None
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise wrong
        return text.lower() == "true"
    return None if _is_none(parameter, text) else text
