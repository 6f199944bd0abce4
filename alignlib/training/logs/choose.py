"""The checkpoints in the columns of a log, with what was recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.training.logs.column_choice import ADVICE, Chosen, called_kl, choose_columns, plain_names, step_names
from alignlib.training.logs.columns import Columns
from alignlib.training.logs.counters import Joined, join_counters
from alignlib.training.logs.doubts import mean_length, of_cut, of_law, of_other_kl, of_reward, times_length, with_tools
from alignlib.training.logs.left_behind import left_behind
from alignlib.training.logs.log_format import LogQuery, LogRows
from alignlib.training.logs.processes import mean_of_processes, named_process, process_of_rows
from alignlib.training.logs.run_steps import RunSteps, steps_in_run
from alignlib.training.logs.splits import of_split, of_training, with_split
from alignlib.training.logs.steps import backwards, in_order
from alignlib.training.logs.trainers import KLKey, Trainer, recognise
from alignlib.training.logs.values_by_step import each_by_itself, logged_again
from alignlib.training.logs.whole_steps import not_numbers, whole_steps

__all__ = ["choose", "empty"]


def choose(columns: Columns, query: LogQuery, trainer: Trainer | None = None) -> LogRows:
    """Return the checkpoints in ``columns``, by the vocabulary of ``trainer``, or of the one that the names show.

    Parameters
    ----------
    columns : Columns
        The log.
    query : LogQuery
        What is asked of it.
    trainer : Trainer, optional
        Who wrote it.

    Raises
    ------
    InputError
        If there is no KL or no reward in it, or several and none is named.
    """
    log = columns
    columns, kept = _of_splits(columns, query)
    plain = plain_names(columns.names, query.evaluation)
    writer = trainer or recognise(plain)
    chosen = choose_columns(columns, query, writer, plain)
    kl, reward = columns.bounded(chosen.kl), columns.bounded(chosen.reward)
    if kl.size and np.isnan(kl).all():
        raise InputError(empty(columns.path, chosen.kl, kl.size))
    size = columns.size
    counter = _counter(columns, query, writer, chosen, plain)
    if counter is None:
        _have_steps(columns, chosen, kl, reward)
    run = columns.run if columns.run is not None else np.full(size, columns.path.stem, dtype=object)
    step = columns.bounded(chosen.step).copy() if chosen.step else np.arange(size, dtype=np.float64)
    of_steps = list[str]()
    if chosen.step and query.step is None and counter is None:
        of_steps = _of_runs_without(columns, step_names(columns, writer, plain), step, run, ~np.isnan(kl))
    several = counted_on = None
    if chosen.step is not None and counter is None:
        several = process_of_rows(columns, step, run, {"kl": kl, "reward": reward})
        process = None if several is None else several[0]
        counted_on = _in_whole_run(log, kept, query, chosen, step, run, process)
    logged, step = step, step if counted_on is None else counted_on.step
    lengths: dict[str, FloatArray] = {}
    held = chosen.length
    if chosen.unit == "token":
        known_length = mean_length(columns, query, writer, chosen, plain)
        lengths["length"] = np.zeros(size) if known_length is None else known_length
        if isinstance(held, str) and writer is not None and query.length is None:
            for part, keys in (("shortest", writer.shortest), ("longest", writer.longest)):
                name = next((plain[key] for key in keys if key in plain), None)
                if name is not None:
                    lengths[part] = columns.bounded(name)
    tools = with_tools(columns, query, writer, chosen, plain)
    if tools:
        lengths.pop("shortest", None)
    values = {"kl": kl, "reward": reward, **lengths}
    weights = {"kl": "length"} if _mean_over(query, chosen.key, bool(tools)) in ("", "tokens") else None
    again = np.unique(step[~np.isnan(kl) & columns.absent(chosen.reward) & np.isfinite(step)])
    known = writer is not None and bool(writer.marks)
    epoch = columns.bounded(plain["epoch"]) if known and chosen.step is None and "epoch" in plain else None
    needed = {"kl": chosen.kl, "reward": chosen.reward} | ({"length": held} if isinstance(held, str) else {})
    by_hand = writer is not None and not writer.marks  # a table of one's own: whole lines, so nothing is to come
    told = {} if by_hand else not_numbers(columns, needed, run, step)
    other: bool | BoolArray = known or _of_something_else(columns, chosen, step, run)
    first = () if counter is None else _join_counters(columns, chosen, counter, step, run, values)
    if isinstance(first, Joined):
        step, run, values, other = first.step, first.run, first.values, known
    stands = np.ones(step.size, dtype=bool) if counted_on is None else ~counted_on.again
    if several is not None:
        whole = step[stands], run[stands], several[0][stands], {name: one[stands] for name, one in values.items()}
        behind, said = left_behind(*whole)
        stands[np.flatnonzero(stands)[behind]] = False
        several = (several[0][stands], f"{several[1]}; {said}" if said else several[1])
    if not stands.all():
        step, run, logged = step[stands], run[stands], logged[stands]
        values = {name: one[stands] for name, one in values.items()}
        other = other if isinstance(other, bool) else other[stands]
    if counted_on is not None and counted_on.turned.any():
        order = _in_time(step, run, counted_on.turned[stands])
        step, run, logged = step[order], run[order], logged[order]
        values = {name: one[order] for name, one in values.items()}
        other = other if isinstance(other, bool) else other[order]
        several = None if several is None else (several[0][order], several[1])
    names, of_process = ([], run) if several is None else _each_process(run, several[0])
    ordered = in_order(
        step, of_process, values, counted=chosen.step is not None, sparse=other, epoch=epoch, weights=weights
    )
    if counter is None and several is None and chosen.step and not _whole(values):
        apart = each_by_itself(logged, run, values)
        if apart is not None and _whole(apart[2]) > 2 * _whole(ordered[2]):
            ordered = in_order(*apart, sparse=known)
            ordered[3].append("KL and reward stand in rows of their own, which were joined by their steps.")
            counted_on = None
    step, run, values, notes = ordered
    if several is not None:
        whose = np.array([*(names[one] for one in run.tolist()), None], dtype=object)[:-1]
        step, run, values, mean = mean_of_processes(step, whose, values, several[1], weights)
        notes = [*dict.fromkeys(notes), mean]
    of_counters = () if counted_on is None else counted_on.notes
    notes = [*(first.notes if isinstance(first, Joined) else ()), *of_counters, *notes]
    used = np.isnan(values["reward"]) & np.isin(step, again) & known
    (step, run, values), gone = whole_steps((step, run, values), used, told, needed, chosen.step is not None)
    notes += gone
    return LogRows(
        chosen.kl,
        chosen.unit,
        chosen.reward,
        step,
        values["kl"],
        values["reward"],
        values.get("length"),
        run,
        (
            _recognised(columns, query, writer, chosen, times_length(query, writer, plain)),
            *columns.notes,
            *of_steps,
            *_of_both(log, chosen),
            *logged_again(columns.again, [chosen.kl, chosen.reward, *([held] if isinstance(held, str) else [])]),
            *notes,
            *of_reward(writer, plain, chosen),
            *of_other_kl(columns, query, writer, chosen, plain),
            *tools,
            *of_cut(columns, query, writer, chosen, plain),
            *of_law(columns, writer, plain, chosen, step, values["kl"]),
        ),
        estimator=query.estimator or (chosen.key.estimator if chosen.key else ""),
        mean_over=_mean_over(query, chosen.key, bool(tools)),
        shortest=values.get("shortest"),
        longest=values.get("longest"),
    )


def _of_splits(columns: Columns, query: LogQuery) -> tuple[Columns, BoolArray]:
    """Return the rows of training, or those that are none for an evaluation; or all, with each split a run.

    Parameters
    ----------
    columns : Columns
        The log.
    query : LogQuery
        What is asked of it.

    Returns
    -------
    columns : Columns
        The rows.
    kept : array of bool (rows,)
        Which rows of the log these are.
    """
    every = np.ones(columns.size, dtype=bool)
    if columns.split is None:
        return columns, every
    if query.splits:
        return replace(columns, run=with_split(_runs_apart(columns, query), columns.split)), every
    kept, said = of_split(columns.split, query.held_out, "rows")
    return replace(columns.keep(kept), notes=(*columns.notes, *said)), kept


def _of_both(log: Columns, chosen: Chosen) -> list[str]:
    """Say what is read where evaluations are told apart by a column and by keys."""
    late = [name for name in called_kl(log.names) if name.startswith(("eval_", "eval/"))]
    if log.split is None or not late:
        return []
    twice = f"a column 'split' and by keys such as {late[0]!r} at once"
    read = f"{chosen.kl!r} and {chosen.reward!r}"
    return [f"Evaluations are told apart by {twice}: of the rows that are taken, {read} are read."]


def _runs_apart(columns: Columns, query: LogQuery) -> npt.NDArray[np.object_] | None:
    """Return the run of each row where there are several, or the reader named what tells them apart."""
    several = columns.run is not None and (query.run is not None or len(set(columns.run.tolist())) > 1)
    return columns.run if several else None


def _in_whole_run(
    log: Columns,
    kept: BoolArray,
    query: LogQuery,
    chosen: Chosen,
    step: FloatArray,
    run: npt.NDArray[np.object_],
    process: IntArray | None,
) -> RunSteps:
    """Return the steps of the rows that are read in the whole run, of which training's counter of steps leads."""
    assert chosen.step is not None
    at, kl, reward = log.bounded(chosen.step).copy(), log.bounded(chosen.kl), log.bounded(chosen.reward)
    at[kept] = step
    apart = _runs_apart(log, query)
    whole = np.full(log.size, log.path.stem, dtype=object) if apart is None else apart
    part, leads = np.full(log.size, "", dtype=object), np.ones(log.size, dtype=bool)
    if log.split is not None and (query.splits or of_training(log.split).any()):
        part, leads = log.split, of_training(log.split)
    counted = leads.copy()
    by_key = query.evaluation or chosen.kl.startswith(("eval_", "eval/"))
    training = _training_columns(log, query) if by_key else None
    if training is not None:
        trained = [log.bounded(name) for name in training]
        leads &= ~np.isnan(trained[0]) | ~np.isnan(trained[1])
        kl, reward = (np.where(leads, one, own) for one, own in zip(trained, (kl, reward), strict=True))
        part = np.where(leads, part, "evaluations")
    told = np.isfinite(at) & ~(np.isnan(kl) & np.isnan(reward))
    ranks = named_process(log, at, with_split(whole, part), told)
    if ranks is not None:
        whole = _led_by(whole, ranks, leads & told)
    elif process is not None:  # each writes for itself
        _, whole = _each_process(run, process)
        part = np.full(whole.size, "", dtype=object)
        return steps_in_run(step, whole, part, {"kl": kl[kept], "reward": reward[kept]}, *2 * (part == "",))
    found = steps_in_run(at, whole, part, {"kl": kl, "reward": reward}, leads, kept, counted)
    if (found.unknown | ~told)[kept].all() and found.unknown.any():
        raise InputError(f"{log.path}: {found.notes[-1]}")
    # An evaluation in a row of training that the next counter's step 0 stands for again stays where it is.
    again = found.unknown | (found.again & (training is None))
    return RunSteps(found.step[kept], again[kept], found.unknown[kept], found.turned[kept], found.notes)


def _in_time(step: FloatArray, run: npt.NDArray[np.object_], turned: BoolArray) -> IntArray:
    """Return rows in the order of training, also where too few are read to show that the log begins with its last."""
    order = np.arange(step.size)
    for name in dict.fromkeys(run.tolist()):
        mine = np.flatnonzero((run == name) & np.isfinite(step))
        if turned[mine].any() and not backwards(step[mine].tolist()):
            order[mine] = mine[::-1]
    return order


def _led_by(run: npt.NDArray[np.object_], ranks: tuple[IntArray, str], leads: BoolArray) -> npt.NDArray[np.object_]:
    """Return the process of each row, as a run; what none of training wrote is of the first that did."""
    process, name = ranks[0].copy(), ranks[1]
    for one in dict.fromkeys(run.tolist()):
        mine = run == one
        trained = process[mine & leads]
        if trained.size:
            process[mine & ~np.isin(process, trained)] = trained[0]
    one_run = len(set(run.tolist())) == 1
    found = np.empty(run.size, dtype=object)
    found[:] = [
        f"{name} {rank}" if one_run else f"{whose}, {name} {rank}"
        for whose, rank in zip(run.tolist(), process.tolist(), strict=True)
    ]
    return found


def _training_columns(log: Columns, query: LogQuery) -> tuple[str, str] | None:
    """Return the columns of KL and reward of training in a log whose evaluations are read; None where it has none."""
    plain = plain_names(log.names)
    asked = replace(query, kl=None, reward=None, evaluation=False, length=1.0, kl_unit="token")  # columns alone
    try:
        found = choose_columns(log, asked, recognise(plain), plain)
    except InputError:
        return None
    return found.kl, found.reward


def _of_something_else(columns: Columns, chosen: Chosen, step: FloatArray, run: npt.NDArray[np.object_]) -> BoolArray:
    """Tell which rows of a table without KL and reward, such as an evaluation that took longer, are no checkpoints.

    Their step has those in another row, or it is an earlier one than the run had come to.
    """
    found = columns.empty(chosen.kl) & columns.empty(chosen.reward)
    if not found.any() or chosen.step is None:
        return found
    held = {*zip(run[~found].tolist(), step[~found].tolist(), strict=True)}
    ends: dict[object, tuple[float, float, float]] = {}  # of each run the first step, the last and the largest so far
    for row, (name, at) in enumerate(zip(run.tolist(), step.tolist(), strict=True)):
        first, last, most = ends.get(name, (at, at, at))
        if found[row]:
            found[row] = (name, at) in held or (at < last == most and first < last)
        else:
            ends[name] = first, at, max(most, at)
    return found


def _whole(values: Mapping[str, FloatArray]) -> int:
    """Return how many rows have a KL and a reward."""
    return int(np.isfinite(values["kl"] + values["reward"]).sum())


def _of_runs_without(
    columns: Columns, names: list[str], step: FloatArray, run: npt.NDArray[np.object_], told: BoolArray
) -> list[str]:
    """Count runs that have no step, in ``step``, by the next column in which they have one, and say so."""
    said = []
    for one in dict.fromkeys(run.tolist()):
        mine = (run == one) & told
        if not mine.any() or np.isfinite(step[mine]).any():
            continue
        other = next((name for name in names if np.isfinite(columns.bounded(name)[mine]).all()), None)
        if other is None:
            said.append(f"Run {one!r} has no step in any row with a KL, and is left out.")
        else:
            step[run == one] = columns.bounded(other)[run == one]
            said.append(f"The steps of run {one!r} are {other!r}, for it has no other.")
    return said


def _each_process(run: npt.NDArray[np.object_], process: IntArray) -> tuple[list[object], npt.NDArray[np.object_]]:
    """Return the run of each process, and the number of the process of each row."""
    pairs = [*zip(run.tolist(), process.tolist(), strict=True)]
    number = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
    return [name for name, _ in number], np.array([number[pair] for pair in pairs], dtype=object)


def empty(path: Path, kl: str, rows: int) -> str:
    """Say that a KL is in the log but was never measured.

    Parameters
    ----------
    path : Path
        The log.
    kl : str
        The column.
    rows : int
        Rows of the log.
    """
    return (
        f"{path}: the KL, {kl!r}, is empty in all {counted(rows, 'row')}, as where beta is 0 and there is no reference "
        f"model to compare with: how far the run is from its base was not measured; {ADVICE}."
    )


def _have_steps(columns: Columns, chosen: Chosen, kl: FloatArray, reward: FloatArray) -> None:
    """Refuse a log whose rewards, or KLs, stand in no row with a step: they cannot be told to belong together."""
    counted_on = np.isfinite(columns.bounded(chosen.step)) if chosen.step else np.ones(columns.size, dtype=bool)
    for name, other, values in ((chosen.reward, chosen.kl, reward), (chosen.kl, chosen.reward, kl)):
        if np.isfinite(values).any() and not np.isfinite(values[counted_on]).any():
            raise InputError(
                f"{columns.path}: {name!r} stands in no row with {chosen.step!r}, the step of {other!r}; name a step "
                "that both have (step), or join them in a table of step, KL, reward and length.",
                argument="step",
            )


def _counter(
    columns: Columns, query: LogQuery, trainer: Trainer | None, chosen: Chosen, plain: dict[str, str]
) -> str | None:
    """Return the column that counts the KL, where that is another than the step or the same one with other numbers."""
    own = trainer.kl_step.get(chosen.key.name) if trainer and chosen.key and query.step is None else None
    if own is None or chosen.step is None:
        return None
    kl, reward, step = (columns.numbers(name) for name in (chosen.kl, chosen.reward, chosen.step))
    found = own if own in columns.names and np.isfinite(columns.numbers(own)[np.isfinite(kl)]).any() else chosen.step
    at = columns.numbers(found)
    trained, drawn = (np.unique(one[np.isfinite(one) & ~np.isnan(held)]) for one, held in ((at, kl), (step, reward)))
    apart = found != chosen.step or not np.array_equal(trained, drawn)
    return found if trained.size and drawn.size and apart else None


def _join_counters(
    columns: Columns,
    chosen: Chosen,
    counter: str,
    step: FloatArray,
    run: npt.NDArray[np.object_],
    values: dict[str, FloatArray],
) -> Joined:
    """Join what is counted by ``counter`` with what is counted by the step, or refuse."""
    found = join_counters(columns.bounded(counter), step, run, values)
    if found is None or not found.step.size:
        raise InputError(
            f"{columns.path}: {chosen.kl!r} is counted by training steps and {chosen.reward!r} by rollouts, and which "
            "steps belong to which rollout does not follow from their numbers or order. Take the log in the order of "
            "training (the console, or wandb's history), or a table of step, KL, reward and length.",
            argument="step",
        )
    return found


def _mean_over(query: LogQuery, key: KLKey | None, tools: bool) -> str:
    """Return what the KL is the mean over; of a loss on an unknown scale the reader may say that it is per token."""
    mean = key.mean_over if key else ""
    mean = "" if mean == "scaled" and query.kl_unit == "token" else mean
    return "own tokens" if tools and mean in ("", "tokens") else mean


def _recognised(columns: Columns, query: LogQuery, trainer: Trainer | None, chosen: Chosen, times: str | None) -> str:
    """Say what was recognised, in which unit its KL is and why."""
    whose = f"keys of {trainer.name}" if trainer and trainer.name else "keys of no known trainer"
    estimator = query.estimator or (chosen.key.estimator if chosen.key else "")
    kind = f" by {estimator}" if estimator else ""
    told = f"because {chosen.key.why}" if chosen.key and chosen.key.unit == chosen.unit else "as you said"
    if trainer and chosen.key and chosen.key.unit and chosen.key.unit != chosen.unit:
        told += f", though {trainer.name} logs it per {chosen.key.unit}"
    length = f", the mean length is {chosen.length!r}" if isinstance(chosen.length, str) else ""
    length += f" times {times!r}" if length and times else ""
    step = f"the step is {chosen.step!r}" if chosen.step else "there is no step, so rows are counted"
    return (
        f"Recognised: {columns.kind}, {whose}. The KL is {chosen.kl!r}, in nats per {chosen.unit}{kind}, {told}; the "
        f"reward is {chosen.reward!r}{length}, {step}."
    )
