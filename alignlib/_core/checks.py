"""Argument checks that every room shares: one sentence that names the argument, the value and the remedy."""

from __future__ import annotations

import math
import operator
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from alignlib._core.array_likes import as_array
from alignlib._core.errors import InputError, quoted

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]
# A float for a float argument, else an array of its shape; overloads on every door would bury the mathematics.
FloatOrArray: TypeAlias = Any

_SUM_TOLERANCE = 1e-6
_LEAST_LEVEL, _LEAST_TAIL = 1e-6, 1e-9  # of the coverage of an interval


def as_float_array(name: str, value: npt.ArrayLike, *, allow_inf: bool = False) -> FloatArray:
    """Return ``value`` as a float array, or say which argument holds what is not a number.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : array_like
        Numbers in any shape.
    allow_inf : bool
        Whether infinities pass; NaN never does.

    Returns
    -------
    array
        A copy or the same array, in double precision.

    Raises
    ------
    InputError
        For text, ragged lists, complex numbers and what is not finite.
    """
    array = as_numbers(name, value)
    bad = np.isnan(array) if allow_inf else ~np.isfinite(array)
    if bad.any():
        first = int(np.argmax(bad.reshape(-1)))
        raise InputError(
            f"{name} must be finite; {int(bad.sum())} of {array.size} values are not, "
            f"the first is {array.reshape(-1)[first]} at position {first}. Remove or correct them.",
            argument=name,
        )
    return array


def as_numbers(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return ``value`` as a float array that may hold NaN and infinities, or say which argument holds no numbers.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : array_like
        Numbers in any shape, missing ones among them.

    Returns
    -------
    array
        In double precision.

    Raises
    ------
    InputError
        For what is no array of numbers.
    """
    held = as_array(name, value)
    try:
        if value is None or held.dtype.kind not in "biufO":
            raise TypeError
        if held.dtype == object and any(isinstance(v, (str, bytes)) for v in held.flat):
            raise TypeError  # text that spells numbers is a mistake that numpy would pass over
        with np.errstate(over="ignore"):  # of longer floats: who asked refuses the infinity
            return np.asarray(held, dtype=np.float64)
    except MemoryError:
        raise
    except Exception as error:  # an object's own __float__ may raise anything
        given: Any = value
        parts = [] if isinstance(given, type) or not is_dataclass(given) else list(fields(given))
        hint = f" Pass a number of it, such as .{parts[0].name}." if parts else ""
        raise InputError(f"{name} must hold numbers; got {quoted(value)}.{hint}", argument=name) from error


def as_shape(name: str, value: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return ``value``, a whole number or a tuple of them, as the shape of an array.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : int or tuple of int
        One length, or one for each dimension, none negative.

    Returns
    -------
    tuple of int
        As NumPy takes it.

    Raises
    ------
    InputError
        For anything else, or a negative length.
    """
    try:
        shape = tuple(operator.index(n) for n in (value if isinstance(value, tuple) else (value,)))
    except TypeError as error:
        raise InputError(
            f"{name} must be a whole number or a tuple of them; got {quoted(value)}.", argument=name
        ) from error
    require(all(n >= 0 for n in shape), f"{name} must not be negative; got {quoted(value)}.", argument=name)
    return shape


def as_vector(name: str, value: npt.ArrayLike, *, allow_inf: bool = False) -> FloatArray:
    """Return ``value`` as a non-empty one-dimensional float array.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : array_like
        At least one number, in one dimension.
    allow_inf : bool
        Whether infinities pass.

    Returns
    -------
    array (k,)
        In double precision.

    Raises
    ------
    InputError
        For another number of dimensions, an empty one, or what is no number.
    """
    array = as_float_array(name, value, allow_inf=allow_inf)
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"{name} must be a non-empty one-dimensional array; got shape {array.shape}.", argument=name)
    return array


def frozen(array: FloatArray) -> FloatArray:
    """Return a read-only copy, which no caller can change afterwards; the array itself where it is such a copy.

    Parameters
    ----------
    array : array
        Any float array.

    Returns
    -------
    array
        Not writeable, and no view of what a caller still holds.
    """
    if array.base is None and not array.flags.writeable:
        return array
    copy = np.array(array)
    copy.setflags(write=False)
    return copy


def as_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return a single finite number in its range as a float, or say what was given instead.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : float
        What was given.
    low, high : float
        The range; its ends belong to it.
    open_low, open_high : bool
        Whether that end does not.

    Returns
    -------
    float
        Python's, whatever type held it.

    Raises
    ------
    InputError
        For what is no finite number, or lies outside.

    Examples
    --------
    >>> as_number("share", 0.9, 0.0, 1.0, open_low=True)
    0.9
    """
    array = as_numbers(name, value)
    if array.ndim:
        raise InputError(f"{name} must be one number, not several; got {quoted(value)}.", argument=name)
    number = float(array)
    if not math.isfinite(number):
        raise InputError(f"{name} must be finite; got {number:g}.", argument=name)
    above = number > low if open_low else number >= low
    below = number < high if open_high else number <= high
    if not (above and below):
        left = "(" if open_low or math.isinf(low) else "["
        right = f"{high:g}{')' if open_high else ']'}" if math.isfinite(high) else "∞)"
        raise InputError(f"{name} must lie in {left}{low:g}, {right}; got {number:g}.", argument=name)
    return number


def as_level(level: Any, name: str = "level") -> float:
    """Return the coverage that an interval is to have, or say what was given instead.

    Beyond the bounds a tail holds less than rounding leaves of it, or an interval has no width; nobody asks for either.

    Parameters
    ----------
    level : float
        Coverage, between 0 and 1.
    name : str
        What messages call the argument.

    Returns
    -------
    float
        The coverage.

    Raises
    ------
    InputError
        For what is no number, or no coverage that an interval can have.

    Examples
    --------
    >>> as_level(0.9)
    0.9
    """
    number = as_number(name, level)
    require(
        _LEAST_LEVEL <= number <= 1.0 - _LEAST_TAIL,
        f"{name} must lie between {_LEAST_LEVEL:g} and 1 - {_LEAST_TAIL:g}, such as 0.95; got {number!r}.",
        name,
    )
    return number


def as_plain(name: str, value: Any, low: float) -> float:
    """Return a single finite number from ``low`` on as Python's int or float, whatever type held it.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : float
        What was given; an array of one element will do.
    low : float
        The least that is allowed.

    Returns
    -------
    int or float
        An int only where an integer type held it.

    Raises
    ------
    InputError
        For what is no finite number, or below ``low``.

    Examples
    --------
    >>> as_plain("n", np.array(4.0), 1.0), as_plain("n", np.int64(4), 1.0), as_plain("n", 4, 1.0)
    (4.0, 4, 4)
    """
    number = as_number(name, value, low)
    return int(value) if isinstance(value, (int, np.integer)) else number


def as_whole(name: str, value: Any, low: float, high: float = math.inf) -> int:
    """Return a whole number in its range as an int; ``1e3`` is one.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : float
        What was given.
    low, high : float
        The range; its ends belong to it.

    Returns
    -------
    int
        The number.

    Raises
    ------
    InputError
        For a fraction, what is no number, or lies outside.

    Examples
    --------
    >>> as_whole("n_boot", 1e3, 100)
    1000
    """
    number = as_number(name, value, low, high)
    require(number == round(number), f"{name} must be a whole number; got {quoted(value)}.", name)
    return int(number)


def as_flag(name: str, value: Any) -> bool:
    """Return True or False, or say that something else was given.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : bool
        Python's or NumPy's truth value; 0 and 1 are none.

    Returns
    -------
    bool
        Python's.

    Raises
    ------
    InputError
        For anything else.
    """
    require(isinstance(value, (bool, np.bool_)), f"{name} must be True or False; got {quoted(value)}.", name)
    return bool(value)


def as_rng(rng: Any) -> np.random.Generator:
    """Return a generator, or the one of a seed.

    Parameters
    ----------
    rng : Generator or int
        A source of randomness, or a seed for a new one.

    Returns
    -------
    Generator
        The very object that was given, if it is one: its state moves on with every draw.

    Raises
    ------
    InputError
        For anything else, or a negative seed.

    Examples
    --------
    >>> generator = np.random.default_rng(3)
    >>> as_rng(generator) is generator, as_rng(3).random() == generator.random()
    (True, True)
    """
    if isinstance(rng, np.random.Generator):
        return rng
    seed = isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and rng >= 0
    require(seed, f"rng must be a numpy Generator or its seed, a whole number >= 0; got {quoted(rng)}.", "rng")
    return np.random.default_rng(int(rng))


def as_law(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return ``value`` as a vector of masses, divided by their sum, which must be one within 1e-6.

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : array_like (k,)
        Masses, none negative.

    Returns
    -------
    array (k,)
        They sum to 1 up to rounding.

    Raises
    ------
    InputError
        For a negative mass, or a sum that is not 1.
    """
    law = as_vector(name, value)
    require(law.min() >= 0, f"{name} must not be negative; its smallest value is {law.min():g}.", argument=name)
    total = float(law.sum())
    require(
        abs(total - 1) <= _SUM_TOLERANCE,
        f"{name} must sum to one; it sums to {total:.9g}. Divide it by its sum if that is what you mean.",
        argument=name,
    )
    return law / total


def require(condition: bool | np.bool_, message: str, argument: str = "") -> None:
    """Raise ``InputError(message)`` about an argument unless ``condition`` holds.

    Parameters
    ----------
    condition : bool
        What must hold.
    message : str
        One sentence: the argument, what was given, and the remedy.
    argument : str
        The argument it is about, by which commands find the option; read off the message if empty.

    Raises
    ------
    InputError
        With the message, unless the condition holds.
    """
    if not condition:
        raise InputError(message, argument=argument)


def require_range(
    name: str,
    value: npt.ArrayLike,
    low: float,
    high: float = math.inf,
    *,
    open_low: bool = False,
    allow_inf: bool = False,
) -> FloatArray:
    """Return ``value`` as an array after checking low <= value <= high (low < value if ``open_low``).

    Parameters
    ----------
    name : str
        What messages call the argument.
    value : array_like
        Numbers in any shape.
    low, high : float
        The range; its ends belong to it.
    open_low : bool
        Whether the lower end does not.
    allow_inf : bool
        Whether infinities pass.

    Returns
    -------
    array
        In double precision.

    Raises
    ------
    InputError
        For what is no number, or where one lies outside: the message shows it.
    """
    array = as_float_array(name, value, allow_inf=allow_inf)
    bad = (array <= low) if open_low else (array < low)
    bad = bad | (array > high)
    if bad.any():
        worst = array.reshape(-1)[int(np.argmax(bad.reshape(-1)))]
        left = "(" if open_low else "["
        right = f"{high:g}]" if math.isfinite(high) else "∞)"
        raise InputError(f"{name} must lie in {left}{low:g}, {right}; got {worst:g}.", argument=name)
    return array


def like(template: npt.ArrayLike, value: FloatArray) -> FloatOrArray:
    """Return ``value`` as a Python float where ``template`` was a scalar, else as the array it is.

    Parameters
    ----------
    template : array_like
        The argument as the caller gave it.
    value : array
        The result.

    Returns
    -------
    float or array
        A float for a scalar ``template``.
    """
    return float(value.reshape(-1)[0]) if np.ndim(template) == 0 else value
