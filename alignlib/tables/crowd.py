"""Labels of a crowd and the truth in files of their own, joined by the item that was labelled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.errors import InputError
from alignlib.tables.as_identifiers import texts
from alignlib.tables.columns import listed, require_column
from alignlib.tables.table_file import TableFile, load

__all__ = ["with_truth"]


def with_truth(labels: TableFile, truth: TableFile, wanted: Mapping[str, str | None], item: str | None) -> TableFile:
    """Return the table of labels with one column more: the target of each item, null where it is not known.

    Parameters
    ----------
    labels, truth : TableFile
        One row per label given, and one row per item.
    wanted : mapping of str to str
        Columns: ``label``, ``context`` and ``rater`` of the first, ``target`` of the second.
    item : str, optional
        Column of both that names the item; by default the one that both have.

    Raises
    ------
    InputError
        Where no column or several could name the item, or an item has two truths.
    """
    target = require_column(truth, str(wanted["target"]), "target")
    item = _item(labels, truth, wanted, target) if item is None else item
    require_column(labels, item, "item")
    require_column(truth, item, "item")
    held = load(truth, [item, target], "the target of each item")
    names, targets = (texts(truth, one, held[one], labels=True) for one in (item, target))
    known = pc.and_(names.is_valid(), targets.is_valid())
    names, targets = names.filter(known), targets.filter(known)
    first = names.dictionary_encode()
    where = np.unique(first.indices.to_numpy(), return_index=True)[1]
    apart = pc.not_equal(targets, targets.take(pa.array(where)).take(first.indices))
    if pc.any(apart).as_py():
        row = int(np.argmax(apart.to_numpy(zero_copy_only=False)))
        raise InputError(
            f"{truth.path} has two values of {target!r} for the {item} {names[row].as_py()!r}; keep one.", column=target
        )

    def read(columns: list[str]) -> pa.Table:
        own = load(labels, [item, *(name for name in columns if name != target)], "one row per label")
        place = pc.index_in(texts(labels, item, own[item], labels=True), value_set=first.dictionary)
        without = int(place.null_count)
        if without == len(place):
            there = f"{first.dictionary[0].as_py()!r} there" if len(first.dictionary) else "no whole row there"
            here = f"{texts(labels, item, own[item], labels=True)[0].as_py()!r} in {labels.path}"
            raise InputError(
                f"{truth.path} has a {target!r} for no {item} of the labels: the first {item} is {there} and {here}; "
                "write them in the same way, or name the column that both have.",
                column=item,
            )
        if without:
            labels.note(f"{without} of {len(place)} labels are of items without a {target!r} in {truth.path}.")
        found = targets.take(pa.array(where)).take(place)
        return pa.table({name: found if name == target else own[name] for name in columns})

    names_of_both = (*(name for name in labels.names if name != target), target)
    return TableFile(
        labels.path,
        names_of_both,
        read,
        labels.is_text,
        labels.first_row,
        labels.separator,
        notes=labels.notes,
        missing_words=labels.missing_words,
    )


def _item(labels: TableFile, truth: TableFile, wanted: Mapping[str, str | None], target: str) -> str:
    """Return the one column of both files that is not used otherwise."""
    used = {name for name in wanted.values() if name is not None} | {target}
    both = [name for name in dict.fromkeys(labels.names) if name in truth.names and name not in used]
    if len(both) != 1:
        said = f"share the columns {listed(both)}" if both else "share no column"
        raise InputError(
            f"{labels.path} and {truth.path} {said}; say which column of both names the item (item).", argument="item"
        )
    return both[0]
