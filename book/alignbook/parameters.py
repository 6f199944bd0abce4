"""Typed, ranged parameters of a notebook, read from its one cell tagged ``parameters``.

Each line of that cell declares one parameter and says what it means and, after the last comma, what it may be::

    n_max: int = 64  # largest N of best-of-N, >= 1
    kl: list[float] = [0.5, 1.0]  # KL budgets in nats, > 0
    law: str = "gaussian"  # law of the reward, one of gaussian | uniform
    table: str | None = None  # table of your own rewards, existing file

The types are ``int``, ``float``, ``str``, ``bool``, ``list[int]``, ``list[float]``, ``list[str]`` and ``str | None``;
the ranges are those of :mod:`alignbook.ranges`. A range applies to each element of a list. Numbers need one;
``any`` says that none is meant. What the meaning of a list says about the list as a whole is checked as well, between
commas or semicolons: ``increasing``, ``summing to one``, ``2 to 10 values``, ``as many as other`` (a parameter)::

    reward: list[float] = [0.0, 1.0]  # rewards, increasing, as many as prob, any
"""

from __future__ import annotations

import ast
import io
import itertools
import json
import math
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from alignbook.ranges import AllowedRange, split_range
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import spelled, unknown_name

__all__ = ["Parameter", "ParameterError", "Value", "parse_cell", "resolve", "resolve_texts"]

Scalar: TypeAlias = int | float | str | bool | None
Value: TypeAlias = Scalar | list[int] | list[float] | list[str]

_MOST_DIGITS = 300  # of an integer on the command line
_FROM_ONE = 1e-6  # how far probabilities may be from summing to one, by the rounding of what was typed
_WORDS = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "str | None": "a text or none",
}
_TYPES = (*_WORDS, "list[int]", "list[float]", "list[str]")


class ParameterError(InputError):
    """A parameter that does not exist, is of the wrong type, out of its range or badly declared."""


@dataclass(frozen=True)
class Parameter:
    """One declared parameter."""

    name: str
    type: str
    default: Value
    meaning: str
    range: AllowedRange = field(default_factory=AllowedRange)

    @property
    def element(self) -> str:
        """The type of one element of a list, or the type itself."""
        return self.type.removeprefix("list[").removesuffix("]")

    @property
    def is_list(self) -> bool:
        """Whether the values are lists."""
        return self.element != self.type

    def check(self, value: object) -> Value:
        """Return ``value`` with its type settled (a whole number is a float where one is asked for).

        Raises:
            ParameterError: when type or range are wrong.
        """
        if not self.is_list:
            return self._check_scalar(value)
        # An empty list is a value only where it is the default: there it means "none asked for".
        if not isinstance(value, list | tuple) or (not value and self.default):
            raise self._wrong(value)
        return [self._check_scalar(item) for item in value]  # type: ignore[return-value]

    def parse(self, text: str) -> Value:
        """Turn ``text`` from a command line into a checked value; lists are ``1,2,3`` or JSON."""
        if not self.is_list:
            return self.check(self._parse_scalar(text))
        try:
            items = json.loads(text) if text.lstrip().startswith("[") else [item.strip() for item in text.split(",")]
        except (ValueError, RecursionError):
            raise self._wrong(text) from None
        return self.check([self._parse_scalar(item if isinstance(item, str) else json.dumps(item)) for item in items])

    def _check_scalar(self, value: object) -> Scalar:
        if isinstance(value, bool):
            right = self.element == "bool"
        elif isinstance(value, int):
            right = self.element in ("int", "float")
        elif isinstance(value, float):
            right = self.element == "float" and math.isfinite(value)
        elif isinstance(value, str):
            right = self.element in ("str", "str | None")
            if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
                raise ParameterError(f"{self.name} must be text in Unicode; got {value!r}. Rename what it names.")
        else:
            right = value is None and self.element == "str | None"
        if not right:
            raise self._wrong(value)
        assert value is None or isinstance(value, int | float | str)
        if value is not None and value not in self.range:
            raise ParameterError(f"{self.name} must be {self.range}; got {value!r}.")
        return float(value) if self.element == "float" and value is not None else value

    def _parse_scalar(self, text: str) -> Scalar:
        if self.element == "int" and re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
            if len(text) > _MOST_DIGITS:
                raise ParameterError(f"{self.name} must be a smaller number; got one of {len(text):,} digits.")
            return int(text)
        if self.element == "float":
            try:
                value = spelled(text)
            except ValueError:
                raise self._wrong(text) from None
            if not math.isfinite(value):  # 1e999, say
                raise self._wrong(text)
            return value
        if self.element == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if self.element == "str | None" and text.lower() == "none":
            return None
        return text  # a text, or what the check of the type then refuses

    def _wrong(self, value: object) -> ParameterError:
        words = _WORDS[self.element].replace("a number", "a finite number")
        words = f"a list (1,2,3) with at least one element, each {words}" if self.is_list else words
        return ParameterError(f"{self.name} must be {words}; got {quoted(value)}.")


def parse_cell(source: str, where: str = "the parameters cell") -> dict[str, Parameter]:
    """Read the declarations of a parameters cell.

    Args:
        source: the text of the cell.
        where: what to call the cell in an error.

    Raises:
        ParameterError: for a line that is untyped, uncommented, not a literal, of an unknown type, without a range
            where one is needed, or whose default lies outside its own range.

    >>> parse_cell("n_max: int = 64  # largest N of best-of-N, >= 1")["n_max"].meaning
    'largest N of best-of-N'
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"{where} is not Python: {error.msg} (line {error.lineno}); correct it.") from error
    except (RecursionError, MemoryError, ValueError):  # of thousands of signs in a row, or a NUL
        raise ParameterError(f"{where} is no Python that can be read; give plain values.") from None
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}
    found: dict[str, Parameter] = {}
    for statement in statements:
        parameter = _declaration(statement, comments.get(statement.end_lineno or 0, ""), where)
        if parameter.name in found:
            raise ParameterError(f"{where} declares {parameter.name} twice; leave one out.")
        found[parameter.name] = parameter
    _check_lists(found, {})
    return found


def resolve(declared: Mapping[str, Parameter], given: Mapping[str, object]) -> dict[str, Value]:
    """Check the ``given`` values against what is ``declared``; return only those given, typed.

    >>> cell = parse_cell("n_max: int = 64  # largest N of best-of-N, >= 1")
    >>> resolve(cell, {"n_max": 0})
    Traceback (most recent call last):
    alignbook.parameters.ParameterError: n_max must be >= 1; got 0.
    """
    values = {name: _known(declared, name).check(value) for name, value in given.items()}
    _check_lists(declared, values)
    return values


def resolve_texts(
    declared: Mapping[str, Parameter], given: Iterable[tuple[str, str]], folder: Path
) -> dict[str, Value]:
    """Check (name, text) pairs from a command line; paths of files and folders are taken from ``folder``."""
    values: dict[str, Value] = {}
    for name, text in given:
        parameter = _known(declared, name)
        if name in values:
            raise ParameterError(f"{name} is given twice; give it once.")
        is_path = (parameter.range.file or parameter.range.folder) and not (
            parameter.type == "str | None" and text.lower() == "none"
        )
        values[name] = parameter.parse(str(folder / text) if is_path and text else text)
    _check_lists(declared, values)
    return values


def _check_lists(declared: Mapping[str, Parameter], given: Mapping[str, Value]) -> None:
    """Refuse lists of numbers that are not what their meaning says of them as a whole, or do not fit each other."""
    values = {name: parameter.default for name, parameter in declared.items()} | dict(given)
    for name, parameter in declared.items():
        items = values[name]
        if not isinstance(items, list):
            continue
        for said in map(str.strip, re.split("[,;]", parameter.meaning)):
            if said == "increasing" and any(b <= a for a, b in itertools.pairwise(items)):  # type: ignore[operator]
                raise ParameterError(f"{name} must increase from each value to the next; got {items}.")
            if said == "summing to one" and abs(math.fsum(items) - 1.0) > _FROM_ONE:  # type: ignore[arg-type]
                raise ParameterError(f"{name} must sum to one; {items} sums to {math.fsum(items):.9g}.")  # type: ignore[arg-type]
            if (several := re.fullmatch(r"(\d+) to (\d+) values", said)) and not (
                int(several[1]) <= len(items) <= int(several[2])
            ):
                raise ParameterError(f"{name} must have {said}; got {len(items)}.")
            other = said.removeprefix("as many as ")
            if other not in values and other != said:
                raise ParameterError(f"{name} shall have as many values as {other}, which is no parameter.")
            if other != said and len(items) != len(values[other]):  # type: ignore[arg-type]
                raise ParameterError(
                    f"{name} must have as many values as {other}; got {len(items)} for {name} and "
                    f"{len(values[other])} for {other}. Give both."  # type: ignore[arg-type]
                )


def _known(declared: Mapping[str, Parameter], name: str) -> Parameter:
    if name not in declared:
        raise ParameterError(unknown_name("parameter", name, declared))
    return declared[name]


def _declaration(statement: ast.stmt, comment: str, where: str) -> Parameter:
    line = ast.unparse(statement)
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        raise ParameterError(f"{where} may only hold lines such as 'n: int = 1  # meaning, >= 1'; got {line!r}.")
    name, kind = statement.target.id, ast.unparse(statement.annotation)
    if kind not in _TYPES:
        raise ParameterError(f"{where}: {name} has the type {kind!r}; allowed are {', '.join(_TYPES)}.")
    if statement.value is None:
        raise ParameterError(f"{where}: {name} needs a default.")
    try:
        default = ast.literal_eval(statement.value)
    except (ValueError, RecursionError, MemoryError) as error:
        raise ParameterError(f"{where}: the default of {name} must be a literal; got {line!r}.") from error
    try:
        meaning, limits = split_range(comment)
    except ValueError as error:
        raise ParameterError(f"{where}: {name} is badly declared: {error}; correct it.") from error
    if not meaning:
        raise ParameterError(f"{where}: {name} needs a comment that says what it means.")
    numeric = "int" in kind or "float" in kind
    if limits is None and numeric:
        raise ParameterError(f"{where}: {name} needs its allowed range after the last comma, such as '>= 1' or 'any'.")
    limits = limits or AllowedRange()
    if not limits.fits(numeric):
        raise ParameterError(f"{where}: the range {limits.text!r} of {name} does not fit its type {kind}.")
    parameter = Parameter(name, kind, default, meaning, limits)
    if limits.file and isinstance(default, str):
        return parameter  # a path relative to the notebook, looked at when it runs
    return Parameter(name, kind, parameter.check(default), meaning, limits)
