"""Arrays of NumPy: rewards with a row for each prompt, or records with named fields."""

from __future__ import annotations

import io
import math
import warnings

import numpy as np
import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.table_file import TableFile, short

__all__ = ["open_numpy"]

_VERSIONS = (1, 0), (2, 0), (3, 0)
_ARRAY = ("prompt_id", "sample_id", "reward")


def open_numpy(path: str, data: pa.Buffer) -> TableFile:
    """Read an array (prompts, samples) as one reward, or an array of records as their fields.

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.

    Raises
    ------
    InputError
        If it is no such array.
    """
    array = _array(path, data)
    if array.dtype.names is not None and array.ndim == 1:
        fields = {name: np.asarray(array[name]) for name in array.dtype.names}  # type: ignore[call-overload]
        return TableFile(
            path, tuple(fields), lambda columns: pa.table({n: _column(path, n, fields[n]) for n in columns})
        )
    if array.ndim not in (1, 2) or array.dtype.names is not None:
        raise InputError(
            f"{path} holds an array of shape {array.shape}; give one of (prompts, samples), or records with named "
            "fields."
        )
    rows = array.reshape(-1, array.shape[-1])

    def read(columns: list[str]) -> pa.Table:
        every = {
            "prompt_id": np.repeat(np.arange(rows.shape[0]), rows.shape[1]),
            "sample_id": np.tile(np.arange(rows.shape[1]), rows.shape[0]),
            "reward": rows.reshape(-1),
        }
        return pa.table({name: _column(path, name, every[name]) for name in columns})

    return TableFile(path, _ARRAY, read)


def _array(path: str, data: pa.Buffer) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Return the array, after its header has been checked against the size of the file."""
    file = io.BytesIO(data[: min(data.size, 1 << 16)].to_pybytes())
    try:
        version = np.lib.format.read_magic(file)
        if version not in _VERSIONS:
            raise InputError(f"its format is of version {version[0]}.{version[1]}, and versions to 3.0 are known")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on headers that Python 2 wrote, which are read
            shape, fortran, kind = header(file)
        if version == (3, 0) and kind.names is not None:  # whose names are UTF-8, and were read as Latin-1
            kind.names = tuple(name.encode("latin-1").decode() for name in kind.names)
    except Exception as error:  # it parses the header as Python, and so may fail in any way
        raise InputError(f"{path} is not an array of NumPy ({short(error)}); write it with numpy.save.") from error
    if kind.subdtype is not None or any(isinstance(n, bool) for n in shape):
        raise InputError(f"{path} is not an array of numbers or records; write it with numpy.save.")
    if kind.hasobject:
        raise InputError(f"{path} holds Python objects, which are not read; save an array of numbers.")
    count = math.prod(shape)
    if min(shape, default=1) < 0 or kind.itemsize * count != data.size - file.tell():
        raise InputError(
            f"{path} is not whole: {shape} values of {kind.itemsize} bytes are announced, and "
            f"{data.size - file.tell()} bytes are there; write it with numpy.save again."
        )
    if kind.itemsize == 0 or count == 0:
        raise InputError(f"{path} is empty; give samples of each prompt.")
    flat = np.frombuffer(data, np.uint8)[file.tell() :].view(kind)
    return flat.reshape(shape, order="F" if fortran else "C")


def _column(path: str, name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> pa.Array:
    try:
        return pa.array(values.astype(values.dtype.newbyteorder("=")) if values.ndim == 1 else values.tolist())
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            f"column {name!r} of {path} holds {values.dtype!s:.40} values; give numbers or text.", column=name
        ) from error


register(TableFormat("NumPy", (".npy",), open_numpy))
