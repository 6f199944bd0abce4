"""Two files joined into one table: rewards with gold on a few rows, labels of a crowd with the truth of their items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.tables.as_identifiers import identifiers, texts
from alignlib.tables.columns import listed, require_column
from alignlib.tables.layouts import long_samples
from alignlib.tables.table_file import TableFile, load

__all__ = ["with_reward", "with_truth"]

_SAMPLE = "sample_id"


def with_reward(few: TableFile, all_rows: TableFile, reward: str, *, prompt: str, sample: str | None) -> TableFile:
    """Return the rows of ``few`` that ``all_rows`` has too, with the reward that they have there.

    Parameters
    ----------
    few : TableFile
        The rows wanted, one response each, with ``prompt`` and ``sample``.
    all_rows : TableFile
        The rows that have the reward, with the same columns.
    reward : str
        One entry of a reward of ``all_rows``, as `RewardTable.read` takes it; the column of that name is added.
    prompt : str
        The column that names the prompt.
    sample : str, optional
        The column that tells its responses apart; ``sample_id`` if None.

    Raises
    ------
    InputError
        Where the two have no row in common, or lack these columns.

    Examples
    --------
    >>> rows = pa.table({"prompt": [1, 1], "id": [1, 2], "gold": [0.0, 1.0]})
    >>> few, whole = (TableFile(name, ("prompt", "id", "gold"), rows.select) for name in ("few", "all"))
    >>> with_reward(replace(few, names=("prompt", "id")), whole, "gold", prompt="prompt", sample="id").names
    ('prompt', 'id', 'gold')
    """
    sample = _SAMPLE if sample is None else sample
    for file in (few, all_rows):
        if sample not in file.names:
            raise InputError(
                f"{file.path} has no column {sample!r} (sample), by which the rows of {few.path} are found in "
                f"{all_rows.path}; name a column that tells the responses of a prompt apart, or give the reward "
                f"{reward!r} in {few.path} too.",
                argument="sample",
                column=sample,
            )
        require_column(file, prompt, "prompt")
    found = long_samples(all_rows, prompt, [reward], sample)
    values = found.rewards[reward]
    there = _keys(found.identifiers, identifiers(all_rows, sample, all_rows.load([sample])[sample]))
    own = load(few, [prompt, sample], "the rows of which gold is known")
    here = _keys(identifiers(few, prompt, own[prompt]), identifiers(few, sample, own[sample]))
    place = pc.index_in(pa.array(here), value_set=pa.array(there))
    known = place.is_valid()
    without = int(place.null_count)
    if without == len(place):
        raise InputError(
            f"no ({prompt!r}, {sample!r}) of {few.path} is in {all_rows.path}: the first is {_shown(here[0])} there "
            f"and {_shown(there[0])} in {all_rows.path}; write them in the same way, or give the reward {reward!r} in "
            f"{few.path} too.",
            argument="sample",
        )
    if without:
        few.note(
            f"{counted(without, 'row')} of {few.path} of {len(place)} are not in {all_rows.path} and are left out."
        )
    added = pa.chunked_array([pa.array(values[np.asarray(place.drop_null())])])

    def read(columns: list[str]) -> pa.Table:
        held = few.load([name for name in columns if name != reward])
        kept = held.filter(known) if held.num_columns else held
        return pa.table({name: added if name == reward else kept[name] for name in columns})

    return replace(few, names=(*few.names, reward), read=read, nested={})


def _keys(prompts: pa.Array, samples: pa.Array) -> Sequence[str | None]:
    return [
        None if p is None or s is None else f"{type(p).__name__}:{p}\0{s}"
        for p, s in zip(prompts.to_pylist(), samples.to_pylist(), strict=True)
    ]


def _shown(key: str | None) -> str:
    prompt, _, sample = ("" if key is None else key.partition(":")[2]).partition("\0")
    return f"({prompt!r}, {sample!r})"


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
