"""What a trainer printed: verl's ``step:1 - key:value``, objects (trl, OpenRLHF), blocks (NeMo-RL)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from alignlib._core.names import counted, listed
from alignlib.tables import LEFT_OUT
from alignlib.training.logs.choose import choose
from alignlib.training.logs.columns import columns_of_rows, text_of
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.trainers import recognise
from alignlib.training.logs.whole_steps import missing_steps

__all__ = ["find_console", "jobs_of", "read_console"]

_TABLES = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"}
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)"
_WRAPPED = (  # as NumPy and torch print theirs
    rf"(?:np\.(?:float|int)(?:16|32|64)\(|tensor\()?['\"]?(?P<value>{_NUMBER})['\"]?"
    r"(?:(?:,\s*(?:device|dtype)=[\w':.\"]+)*\))?"
)
_OF_OBJECT = re.compile(rf"['\"](?P<key>[^'\"\n]{{1,120}})['\"]\s*:\s*{_WRAPPED}(?=\s*[,}}])", re.IGNORECASE)
_OF_VERL = re.compile(rf"(?:^|\s-\s|\s)(?P<key>[\w@.+/-]{{1,160}}):{_WRAPPED}(?=\s|$)", re.IGNORECASE)
_OF_BARS = re.compile(rf"(?P<key>[A-Z][\w. -]{{1,40}}?):?\s+(?P<value>{_NUMBER})\b", re.IGNORECASE)
_SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STEP = re.compile(r"\b(?:global[ _])?step[ :=]+(\d{1,15})\b", re.IGNORECASE)
_COUNTED = re.compile(r"\b(rollout|step) (\d{1,15}):\s*$")  # slime's head of a line, by one of two counters
_COUNTERS = {"rollout": "rollout/step", "step": "train/step"}
_DRIVER = re.compile(
    r"\((?:\w*TaskRunner|main_task) pid=(\d{1,9}(?:, ip=[\w.:]{1,60})?)"
)  # before a line, by Ray: one for a job
_PID = "pid"  # of a row's driver
_LONGEST_LINE = 100_000
_OF_BLOCK = re.compile(r"={5,} Step (?P<step>\d{1,12})/\d+ ={5,}")  # NeMo-RL's head of a step
_BULLET = re.compile(rf"^\s*•\s*(?P<key>[A-Za-z][\w .()-]{{1,60}}?):\s+(?P<value>{_NUMBER})\s*$", re.IGNORECASE)
_IN_BLOCKS = {  # what NeMo-RL's logger calls what its console spells out
    "Avg Reward": "reward",
    "Avg Filtered Reward": "reward",
    "Mean Generation Length": "mean_gen_tokens_per_sample",
    "Generation KL Error": "gen_kl_error",
    "Loss": "loss",
}


def find_console(path: Path) -> Path | None:
    """Take a text, not a table by its name, in which lines with a trainer's keys stand.

    Parameters
    ----------
    path : Path
        What was named.
    """
    return path if path.suffix.lower() not in _TABLES and _rows(path) else None


def read_console(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints that logged a KL or a reward.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.
    """
    rows, text = _rows(path), text_of(path) or ""
    notes = [LEFT_OUT] if _is_cut(text) else []
    of_drivers = [(row.pop(_PID, None), row) for row in rows]
    known = [(pid, row) for pid, row in of_drivers if pid is not None]
    found = jobs_of([(pid, row.get("step")) for pid, row in known])
    if found is not None:
        rows, jobs = [row for _, row in known], found[0]
        notes.append(found[1])
        if len(known) < len(of_drivers):
            left = counted(len(of_drivers) - len(known), "line")
            notes.append(f"Left out: {left} without a process in front, of which job is not known.")
    columns = columns_of_rows(path, "console lines", rows, None if found is None else jobs)
    chosen = choose(replace(columns, notes=tuple(notes)), query)
    missing = missing_steps(chosen.step, chosen.run)
    return replace(chosen, decimals=_decimals(text, chosen.kl_name), notes=(*chosen.notes, *missing))


def jobs_of(rows: Sequence[tuple[object, object]]) -> tuple[list[str], str] | None:
    """Return the job of each row, where processes write by turns, and what was done; None where one is at work at once.

    A process that begins when another has written its last line, at a step that this one knew or at its next, is the
    same job that was resumed. If several have, it may be any of these, and is a job of its own.

    Parameters
    ----------
    rows : sequence of (pid, step)
        What stands in front of each line, and its step.

    Returns
    -------
    jobs : list of str
        One for each row.
    said : str
        How they were told apart.

    Examples
    --------
    >>> jobs_of([(11, 1), (22, 1), (11, 2), (22, 2), (33, 2), (11, 3)])[0]
    ['pid 11', 'pid 22', 'pid 11', 'pid 22', 'pid 22', 'pid 11']
    >>> jobs_of([(11, 1), (11, 2), (33, 2)]) is None
    True
    >>> jobs_of([(11, 1), (22, 1), (11, 2), (22, 2), (33, 2)])[0][-1]
    'pid 33'
    """
    pids = [pid for pid, _ in rows]
    first = {pid: pids.index(pid) for pid in pids}
    if not any(first[one] < first[other] < _last(pids, one) for one in first for other in first):
        return None
    job: dict[object, object] = {}
    free: dict[object, object] = {}  # the process that wrote last, by its job
    resumed, unknown = list[str](), list[str]()
    for pid, start in first.items():
        step = rows[start][1]
        ended = [
            one for one, process in free.items() if _last(pids, process) < start
            if isinstance(reached := rows[_last(pids, process)][1], float | int)
            and isinstance(step, float | int) and step <= reached + 1
        ]  # fmt: skip
        job[pid] = ended[0] if len(ended) == 1 else pid
        free[job[pid]] = pid
        if len(ended) == 1:
            resumed.append(f"pid {pid} goes on with pid {ended[0]}")
        elif ended:
            unknown.append(f"pid {pid} may go on with {' or '.join(f'pid {one}' for one in ended)}")
    jobs = [f"pid {job[pid]}" for pid in pids]
    if len(set(jobs)) < 2:
        return None
    told = ", ".join(repr(one) for one in dict.fromkeys(jobs))
    said = f"Lines of several jobs by turns, told apart by the process in front of them ({told})"
    said += f"; {listed(resumed)}, which had ended, as after a resume" if resumed else ""
    said += f". {listed(unknown)}: which is not known, so each is a job of its own" if unknown else ""
    return jobs, f"{said}."


def _last(pids: Sequence[object], pid: object) -> int:
    return len(pids) - 1 - pids[::-1].index(pid)


def _decimals(text: str, key: str) -> int | None:
    """Return with how many decimals the values of a key are printed, where they are as many throughout."""
    printed = re.findall(rf"(?<![\w/.]){re.escape(key)}['\"]?\s*:\s*['\"]?[-+]?\d+\.?(\d*)(?![\d.eE])", text)
    sizes = {len(digits) for digits in printed}
    return sizes.pop() if len(sizes) == 1 and len(printed) > 1 else None


def _is_cut(text: str) -> bool:
    """Tell whether the last line, without an end, breaks off within an object, or before the last key of verl's."""
    *before, last = re.split(r"[\r\n]", text)
    if " - " in last and "step:" in last:
        like = next((line for line in reversed(before) if " - " in line and "step:" in line), "")
        keys = [[match["key"] for match in _OF_VERL.finditer(line)] for line in (like, last)]
        return bool(keys[0]) and keys[0][-1] not in keys[1]
    return "{" in last and last.count("{") > last.count("}")


def _rows(path: Path) -> list[dict[str, object]]:
    text = text_of(path)
    if text is None or "\0" in text:
        return []
    text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] if _is_cut(text) else text
    lines = [_SEQUENCES.sub("", line) for line in re.split(r"[\r\n]+", text) if len(line) <= _LONGEST_LINE]
    rows = list(_of_blocks(lines)) or [row for line in lines for row in _of_line(line)]
    names = {name for row in rows for name in row}
    return rows if recognise(names) else []


def _of_blocks(lines: list[str]) -> Iterator[dict[str, object]]:
    """Give the numbers below each head of a step, as NeMo-RL prints them."""
    row: dict[str, object] = {}
    for line in lines:
        head, bullet = _OF_BLOCK.search(line), _BULLET.match(line)
        if head:
            if len(row) > 1:
                yield row
            row = {"step": float(head["step"])}
        elif row and bullet and bullet["key"] in _IN_BLOCKS:
            row.setdefault(_IN_BLOCKS[bullet["key"]], float(bullet["value"]))
    if len(row) > 1:
        yield row


def _of_line(line: str) -> Iterator[dict[str, object]]:
    """Give the numbers of one line by their keys, if it is one that a trainer wrote."""
    if " - " in line and "step:" in line:
        start = line.index("step:")
        driver = _DRIVER.search(line[:start])
        row: dict[str, object] = {match["key"]: float(match["value"]) for match in _OF_VERL.finditer(line[start:])}
        yield row | ({_PID: driver[1]} if driver else {})
    elif "{" in line and ":" in line:
        first = line.index("{")
        found: dict[str, object] = {m["key"]: float(m["value"]) for m in _OF_OBJECT.finditer(line[first:])}
        before = _STEP.search(line[:first])
        ratio = re.search(r"['\"]global_step/max_steps['\"]\s*:\s*['\"](\d{1,15})/", line)
        counter = _COUNTED.search(line[:first])
        if counter and any(key.startswith(_COUNTERS[counter[1]].partition("/")[0] + "/") for key in found):
            found.setdefault(_COUNTERS[counter[1]], float(counter[2]))
        elif before or ratio:
            found.setdefault("step", float((before or ratio)[1]))  # type: ignore[index]
        if len(found) > 1:
            yield found
    elif " | " in line and "Step" in line:
        pieces = line[line.index("Step") :].split(" | ")
        matches = [_OF_BARS.match(piece.strip()) for piece in pieces]
        bars: dict[str, object] = {m["key"].strip(): float(m["value"]) for m in matches if m}
        if len(bars) > 1:
            yield bars


register(LogFormat("console", find_console, read_console, place=-10))
