"""What the parameters of a notebook must be together, checked before anything runs.

The range of one parameter stands in its declaration. What depends on others (a budget below the largest useful one of
this law) stands in a cell tagged ``conditions`` right after the parameters, as calls of `need` or of what in the
library refuses bad input. `alignlib run` runs that cell alone before it starts the notebook, of which it is a part too.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

from alignbook.parameters import ParameterError, Value
from alignlib._core.errors import InputError

__all__ = ["called", "check_conditions", "need"]


def need(holds: object, sentence: str) -> None:
    """Refuse parameters that do not fit together, in a sentence that names one, its value and its range.

    Parameters
    ----------
    holds : bool
        Whether they do.
    sentence : str
        What to say where they do not.

    Raises
    ------
    ParameterError
        Unless ``holds``.
    """
    if not holds:
        raise ParameterError(sentence)


@contextlib.contextmanager
def called(**names: str) -> Iterator[None]:
    """Name parameters in what the library says of its arguments, where the two are called differently.

    Parameters
    ----------
    **names : str
        For an argument, the parameter that is given to it.

    Raises
    ------
    ParameterError
        In place of the library's `InputError`.

    Examples
    --------
    >>> with called(kl="kl_column"):
    ...     raise InputError("a.csv has no column 'kl' (kl); pass kl='x'.")
    Traceback (most recent call last):
    alignbook.parameters.ParameterError: a.csv has no column 'kl' (kl_column); pass kl_column='x'.
    >>> with called(ensemble="members"):
    ...     raise InputError("ensemble: no column is called 'a'.")
    Traceback (most recent call last):
    alignbook.parameters.ParameterError: members: no column is called 'a'.
    """
    try:
        yield
    except InputError as error:
        word = "|".join(map(re.escape, names))
        shown = rf"(?<=\()(?:{word})(?=[);])|(?<![\w.='\"])(?:{word})(?==)|^(?:{word})(?= must |: )"
        raise ParameterError(re.sub(shown, lambda found: names[found[0]], str(error))) from error


def check_conditions(source: str, values: Mapping[str, Value]) -> None:
    """Run the cell of conditions with the ``values`` of all parameters.

    Parameters
    ----------
    source : str
        The cell, of this project's own notebooks; empty for none.
    values : mapping
        Each parameter's value.

    Raises
    ------
    ParameterError
        With the sentence of the condition that does not hold.
    """
    try:
        exec(compile(source, "<conditions>", "exec"), {"__name__": "__main__", **values})
    except InputError as error:  # a condition's, or of the library, whose arguments are called like the parameters
        said = str(error)
        for name, value in values.items():
            if isinstance(value, str) and value and said.startswith(f"{value} "):  # a file is named, not who gave it
                said = f"{name}: {said}"
                break
        else:
            if isinstance(error, ParameterError):
                raise
        raise ParameterError(said) from error
