"""Which files of a folder are its table: what `datasets` saves beside them is none, and shards are all there or none.

A folder that was saved into again keeps the files of before, and one that was copied in part lacks some: what its
description names decides, not what lies there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence

from alignlib._core.errors import InputError, quoted
from alignlib.tables.json_text import parse_json

__all__ = ["FolderError", "check_one_set", "data_files", "without_descriptions", "wrong_shards"]

_STATE, _DICTIONARY, _INFO = "state.json", "dataset_dict.json", "dataset_info.json"
_CACHE = re.compile(r"cache-.*\.arrow")  # of what was mapped, shuffled or filtered after it was opened
# X-00001-of-00003.parquet, with a hash behind it where an older `push_to_hub` wrote it
_SHARD = re.compile(r"(?P<name>.*?)-(?P<at>\d{3,9})-of-(?P<of>\d{3,9})(-[0-9a-f]{8,})?(?P<kind>\.[^-]*)", re.DOTALL)
_AGAIN = "copy the folder again, or save it again where nothing lies"


class FolderError(InputError):
    """A folder lacks files of its table, or holds some of another.

    Examples
    --------
    >>> issubclass(FolderError, InputError)
    True
    """


def without_descriptions(files: Iterable[str]) -> list[str]:
    """Leave out the JSON that describes Arrow files, where such lie beside or below.

    Parameters
    ----------
    files : iterable of str
        Files of a folder, or of folders in one.

    Returns
    -------
    list of str
        The others, in the order of their names.

    Examples
    --------
    >>> without_descriptions(["hf/state.json", "hf/data-0.arrow"]), without_descriptions(["run/state.json"])
    (['hf/data-0.arrow'], ['run/state.json'])
    """
    found = sorted(files)
    if not any(one.lower().endswith(".arrow") for one in found):
        return found
    return [one for one in found if os.path.basename(one) not in (_STATE, _DICTIONARY, _INFO)]


def data_files(files: Iterable[str], *, picked: bool = False, content: Callable[[str], bytes | None]) -> list[str]:
    """Return the files of a folder that are its table, as its description by `datasets` says where it has one.

    Parameters
    ----------
    files : iterable of str
        The tables that lie there and below.
    picked : bool
        Whether a pattern named them: then some of a data set may be asked for, and none is left out in silence.
    content : callable
        Returns what stands in a file, None where there is none.

    Returns
    -------
    list of str
        In the order of their names.

    Raises
    ------
    FolderError
        Where files that are named are not there, or others lie there that cannot be told from the table's.

    Examples
    --------
    >>> held = {"hf/state.json": b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}'}
    >>> data_files(["hf/state.json", "hf/data-00000-of-00001.arrow", "hf/data-00000-of-00002.arrow"], content=held.get)
    ['hf/data-00000-of-00001.arrow']
    """
    found = sorted(files)
    folders = {os.path.dirname(one) for one in found if picked or os.path.basename(one) in (_STATE, _DICTIONARY)}
    for folder in sorted(folders):
        if not any(os.path.dirname(one) == folder for one in found):  # a part of an earlier save, left out above
            continue
        state, splits = (_read(os.path.join(folder, name), found, content) for name in (_STATE, _DICTIONARY))
        named = None if state is None else _names(folder, state)
        listed = None if splits is None else [str(one) for one in _list(splits.get("splits"))]
        if named is not None and listed is not None and not picked:
            raise FolderError(
                f"{folder} holds a data set ({_STATE}) and several by name ({_DICTIONARY}), of which one is left of an "
                "earlier save; take that away.",
                argument="path",
            )
        if named is not None:
            found = _chosen(folder, _STATE, [os.path.join(folder, one) for one in named], found, picked)
        elif listed and not picked and any(os.path.dirname(one) != folder for one in found):
            found = _chosen(folder, _DICTIONARY, [os.path.join(folder, one) for one in listed], found, picked)
    of_sets = {os.path.dirname(one) for one in found if os.path.basename(one) in (_STATE, _INFO)}
    return [
        one
        for one in without_descriptions(found)
        if not (os.path.dirname(one) in of_sets and _CACHE.fullmatch(os.path.basename(one)))
    ]


def check_one_set(folder: str, content: Callable[[str], bytes | None]) -> None:
    """Refuse a folder of several data sets by name, such as ``train`` and ``test``, where one is asked for.

    Parameters
    ----------
    folder : str
        The folder.
    content : callable
        Returns what stands in a file, None where there is none.

    Raises
    ------
    FolderError
        With the first of their names.

    Examples
    --------
    >>> check_one_set("runs", {}.get)
    """
    splits = _read(os.path.join(folder, _DICTIONARY), (), content)
    names = [] if splits is None else [one for one in _list(splits.get("splits")) if isinstance(one, str) and one]
    if names:
        raise FolderError(
            f"{folder} holds data sets by name ({', '.join(map(quoted, names[:5]))}), not one; name one of them, such "
            f"as {os.path.join(folder, names[0])}.",
            argument="path",
        )


def wrong_shards(files: Sequence[str]) -> str:
    """Say where files called as shards of one table (``X-00000-of-00003``) are not all there, or are of two tables.

    Parameters
    ----------
    files : sequence of str
        The files of a table.

    Returns
    -------
    str
        A part of a sentence, empty where nothing is wrong.

    Examples
    --------
    >>> wrong_shards(["a-00000-of-00003.parquet", "a-00002-of-00003.parquet"])
    'a-00000-of-00003.parquet is one of 3 shards, of which 2 are here and number 00001 is not'
    >>> wrong_shards(["a-00000-of-00001.parquet", "b.parquet"])
    ''
    """
    groups: dict[tuple[str, str, str], dict[int, str]] = {}
    for one in sorted(files):
        parts = _SHARD.fullmatch(os.path.basename(one))
        if parts is None:
            continue
        same = groups.setdefault((os.path.dirname(one), parts["name"], parts["kind"]), {})
        at, of = int(parts["at"]), int(parts["of"])
        first = next(iter(same.values()), one)
        total = _SHARD.fullmatch(os.path.basename(first))
        if at in same or (total is not None and int(total["of"]) != of):
            return f"{same.get(at, first)} and {one} are shards of two tables, or of one that was written twice"
        same[at] = one
    for same in groups.values():
        first = next(iter(same.values()))
        parts = _SHARD.fullmatch(os.path.basename(first))
        assert parts is not None
        of, width = int(parts["of"]), len(parts["at"])
        begin = 1 if 0 not in same and of in same else 0
        lacking = next((at for at in range(begin, begin + of) if at not in same), None)
        if lacking is not None:
            are = "is" if len(same) == 1 else "are"
            return (
                f"{first} is one of {of} shards, of which {len(same)} {are} here and number {lacking:0{width}} is not"
            )
    return ""


def _read(path: str, found: Sequence[str], content: Callable[[str], bytes | None]) -> dict[str, object] | None:
    """Return what a description says; nothing of what is none, such as a trainer's own state."""
    text = content(path)
    if text is None:
        return None
    try:
        held = parse_json(text.decode("utf-8"))
    except ValueError as error:
        if any(os.path.dirname(one) == os.path.dirname(path) and one.lower().endswith(".arrow") for one in found):
            raise FolderError(
                f"{path} says which files are the data set, and is not whole; {_AGAIN}.", argument="path"
            ) from error
        return None
    return held if isinstance(held, dict) else None


def _names(folder: str, state: dict[str, object]) -> list[str] | None:
    if any(_list(state.get(name)) for name in ("_indices_data_files", "_indices_files")):
        raise FolderError(
            f"{folder} holds a choice of rows beside the rows, as old versions of datasets saved it; load it with "
            "datasets, and save it again (flatten_indices, save_to_disk).",
            argument="path",
        )
    names = [one.get("filename") for one in _list(state.get("_data_files")) if isinstance(one, dict)]
    return [one for one in names if isinstance(one, str)] or None


def _list(held: object) -> list[object]:
    return held if isinstance(held, list) else []


def _chosen(folder: str, by: str, named: Sequence[str], found: Sequence[str], picked: bool) -> list[str]:
    """Return what a description names, each a file or a folder, and what lies elsewhere."""
    said = os.path.join(folder, by)

    def within(one: str) -> bool:
        return any(one == name or one.startswith(name + os.sep) or one.startswith(name + "/") for name in named)

    if not picked:
        lost = [name for name in named if not any(one == name or os.path.dirname(one) == name for one in found)]
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            raise FolderError(
                f"{said} names {quoted(os.path.basename(lost[0]))}{more} of {len(named)}, and it is not there; "
                f"{_AGAIN}.",
                argument="path",
            )
    kept = []
    for one in found:
        here = os.path.dirname(one) == folder
        below = here or folder == "" or one.startswith((folder + os.sep, folder + "/"))
        if within(one) or not below or (here and os.path.basename(one) in (_STATE, _DICTIONARY, _INFO)):
            kept.append(one)
        elif picked or not (by == _DICTIONARY or here) or not one.lower().endswith((".arrow", ".json")):
            raise FolderError(
                f"{one} lies in a data set that datasets saved and is no part of it: {said} does not name it; "
                + ("name the folder, or that file alone." if picked else "move it away, or name it by itself."),
                argument="path",
            )
    return kept
