"""The log of a training run as KL and reward per checkpoint: a trainer's own, a tracker's export, or a table of both.

Units decide everything here. trl's GRPO and RLOO log ``kl`` in nats per token, its PPO and online DPO
``objective/kl`` in nats per sequence; a table of names that are no trainer's must say. Only KL per sequence can be
compared with the frontier.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, IntArray, as_number, as_vector, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import as_path, counted
from alignlib._core.same import SameFields
from alignlib._core.shown import span
from alignlib.tables import check_range, is_table_name, open_table_file
from alignlib.training.logs.columns import LARGEST
from alignlib.training.logs.decimals import half_of, of_decimals
from alignlib.training.logs.halves import with_halves
from alignlib.training.logs.log_format import BY_ID, LogFormat, LogQuery, LogRows, find_log
from alignlib.training.logs.per_prompt import PerPrompt
from alignlib.training.logs.splits import SPLIT
from alignlib.training.logs.starts import read_starts, starts_in
from alignlib.training.logs.units import per_sequence, without_rounding
from alignlib.training.policy_kl.run_files import FILES, STARTS, check_files

__all__ = ["TrainingLog", "joined_logs", "read_training_log"]


@dataclass(frozen=True, eq=False)
class TrainingLog(SameFields):
    """Checkpoints of one or several runs.

    Attributes
    ----------
    path : str
        Where they were read.
    kl_name, reward_name : str
        What the log calls them.
    kl_unit : str
        The unit of ``logged_kl``, such as ``"token"``.
    step : array (k,)
        Steps of training.
    logged_kl : array (k,)
        The KL as logged.
    kl : array (k,)
        The KL in nats per sequence.
    reward : array (k,)
        Mean reward.
    length : array (k,), optional
        Mean tokens by which a KL per token was multiplied; None if it was not.
    kl_low, kl_high : array (k,), optional
        Ends between which the KL lies, the upper one infinite where nothing bounds it, where the log holds means only
        whose product ``kl`` need not be the KL; None where ``kl`` is it.
    remedy : str
        A clause on what would tell more of such a KL; "" where it is told.
    half : array (k,), optional
        Half of the last decimal of each logged KL, 0 of one with many, or whose ends hold it; of a log that was not
        read what its numbers show (`halves`).
    run : array (k,)
        The run of each checkpoint.
    notes : tuple of str
        Sentences on how the log was read.
    per_prompt : PerPrompt, optional
        What each prompt had, where the log holds single responses.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> log = example_run(4, 4, np.random.default_rng(0), n_checkpoints=5)[0]
    >>> log.step.tolist(), log.kl_unit
    ([0.0, 10.0, 20.0, 30.0, 40.0], 'token')
    """

    path: str
    kl_name: str
    kl_unit: str
    reward_name: str
    step: FloatArray
    logged_kl: FloatArray
    kl: FloatArray
    reward: FloatArray
    length: FloatArray | None
    run: npt.NDArray[np.object_]
    notes: tuple[str, ...]
    per_prompt: PerPrompt | None = None
    kl_low: FloatArray | None = None
    kl_high: FloatArray | None = None
    remedy: str = ""
    half: FloatArray | None = None

    def __repr__(self) -> str:
        """Return the file, the sizes and the ends of KL and reward."""
        size = f"{counted(self.kl.size, 'checkpoint')} of {counted(len(self.runs), 'run')}"
        return f"<TrainingLog of {self.path!r}: {size}, kl {span(self.kl)}, {self.reward_name!r} {span(self.reward)}>"

    @property
    def runs(self) -> list[str]:
        """Names of the runs in order of appearance."""
        return list(dict.fromkeys(self.run.tolist()))

    @property
    def ends(self) -> tuple[FloatArray, FloatArray]:
        """Ends between which each KL lies, (k,) each: twice the KL where the log tells it.

        Returns
        -------
        low, high : array (k,)
            In nats per sequence.
        """
        return (self.kl, self.kl) if self.kl_low is None or self.kl_high is None else (self.kl_low, self.kl_high)

    @property
    def halves(self) -> FloatArray:
        """Half of the last decimal of each logged KL, 0 of one with many, or whose ends hold it, (k,)."""
        if self.half is not None:
            return self.half
        found = np.zeros(self.kl.size)
        for name in self.runs if self.per_prompt is None and self.kl_low is None else []:
            found[self.run == name] = half_of(self.logged_kl[self.run == name], None, self.length is not None)
        return found

    def noise(self, values: FloatArray | None = None) -> float | None:
        """Standard deviation of a quantity around its course along the runs; None for short logs.

        From second differences: a straight course has none, and those of independent noise have six times its variance.

        Parameters
        ----------
        values : array (k,), optional
            The quantity at each checkpoint; the reward if None.
        """
        course = self.reward if values is None else values
        second = np.concatenate([np.diff(course[self.run == name], 2) for name in self.runs])
        second = second[np.isfinite(second)]
        return float(np.sqrt(np.mean(second**2) / 6.0)) if second.size >= 3 else None

    def keep(self, rows: BoolArray | IntArray) -> TrainingLog:
        """Return some of the checkpoints.

        Parameters
        ----------
        rows : array
            True for those that are kept, or their places in the order wanted.
        """
        place = np.full(self.kl.size, -1, dtype=np.int64)
        place[rows] = np.arange(place[rows].size)
        return replace(
            self,
            step=self.step[rows],
            logged_kl=self.logged_kl[rows],
            kl=self.kl[rows],
            reward=self.reward[rows],
            length=None if self.length is None else self.length[rows],
            run=self.run[rows],
            per_prompt=None if self.per_prompt is None else self.per_prompt.moved(place),
            kl_low=None if self.kl_low is None else self.kl_low[rows],
            kl_high=None if self.kl_high is None else self.kl_high[rows],
            half=None if self.half is None else self.half[rows],
        )

    def pooled(self, width: int) -> TrainingLog:
        """Return the log with each ``width`` consecutive checkpoints of a run averaged into one.

        Parameters
        ----------
        width : int
            How many become one.
        """
        if width <= 1:
            return self
        parts: list[npt.NDArray[np.intp]] = []
        for name in self.runs:
            mine = np.flatnonzero(self.run == name)
            parts += np.array_split(mine, max(1, mine.size // width))

        def mean(values: FloatArray) -> FloatArray:
            return np.array([values[part].mean() for part in parts])

        return replace(
            self,
            step=mean(self.step),
            logged_kl=mean(self.logged_kl),
            kl=mean(self.kl),
            reward=mean(self.reward),
            length=None if self.length is None else mean(self.length),
            kl_low=None if self.kl_low is None else mean(self.kl_low),
            kl_high=None if self.kl_high is None else mean(self.kl_high),
            half=None if self.half is None else mean(self.half),
            run=self.run[[part[0] for part in parts]],
            per_prompt=None if self.per_prompt is None else self.per_prompt.moved(_places(parts, self.kl.size)),
        )


def _places(parts: list[npt.NDArray[np.intp]], size: int) -> IntArray:
    """Return the part that each of ``size`` checkpoints is in."""
    place = np.full(size, -1, dtype=np.int64)
    for number, part in enumerate(parts):
        place[part] = number
    return place


def read_training_log(
    path: str | Path,
    *,
    kl: str | None = None,
    reward: str | None = None,
    step: str | None = None,
    length: float | str | None = None,
    lengths: tuple[float, float] | None = None,
    kl_unit: str | None = None,
    estimator: str | None = None,
    run: str | None = None,
    only: str | None = None,
    evaluation: bool = False,
    splits: bool = False,
    drop_missing: bool = False,
    files: str = FILES[0],
) -> TrainingLog:
    """Read the checkpoints of a run from a trainer's or tracker's log, recognised by what is in it, or from a table.

    Known are the keys of trl, verl, OpenRLHF, NeMo-RL, Open Instruct, SkyRL, EasyR1 and Tinker's cookbook, in trl's
    ``trainer_state.json`` (or the folder it is in), JSON lines, console lines, CSV and Parquet, also as wandb, MLflow,
    trackio and TensorBoard hand them out. What was recognised, in which unit the KL is and why, stands first among the
    notes. Rows of one step are joined; where steps run back after a resume, the later rows count.

    Parameters
    ----------
    path : str or Path
        A file, or trl's folder, or a folder of wandb's CSVs, one for each metric.
    kl, reward, step : str, optional
        Key or column, where not the trainer's own: of other tables ``kl``, ``reward`` and, if there is one, ``step``.
    length : float or str, optional
        Mean number of tokens per response, or the key or column that holds it; the trainer's own by default.
    lengths : (float, float), optional
        Least and largest tokens of a response: they bound a KL per token by k3 that was averaged response by response,
        or over parts of a batch, of which the log has mean lengths only.
    kl_unit : "sequence" or "token"
        Unit of the KL, nats per one of these; known of a trainer's keys, required of other names, of which
        ``"token"`` is taken for a mean over all tokens unless ``lengths`` is given.
    estimator : "k1", "k2" or "k3", optional
        How the trainer estimated the KL of a token, where its key does not tell: by the log-ratio, half its square, or
        ratio - 1 - log-ratio, which is never negative (``low_var_kl`` in verl).
    run : str, optional
        Column that names the run.
    only : str, optional
        A pattern such as ``dpo_*`` of the runs to keep.
    evaluation : bool
        Take the evaluations (keys that begin with ``eval_`` or ``eval/``, or rows whose column ``split`` does not begin
        with ``train``) instead of training steps.
    splits : bool
        Take both, as two runs, or the splits that a column ``split`` names.
    drop_missing : bool
        Go on without checkpoints that lack a finite value.
    files : "processes" or "starts"
        What files of a folder that hold the same steps are of: processes of one run, whose responses are averaged, or
        starts of one run, such as resumes, a file each (or a folder each, of its processes). Of starts, in the order of
        their names without endings, digits read as numbers and files before folders, a later one replaces what earlier
        ones hold from its first step on.

    Raises
    ------
    InputError
        Where there is no KL in the log, no unit, or no length to convert with; one sentence that says what to do.
        For a table that cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "log.csv")
    ...     _ = path.write_text("step,kl,reward\\n0,0.0,0.1\\n10,0.4,0.5\\n")
    ...     log = read_training_log(path, kl_unit="sequence")
    >>> log.kl.tolist(), log.reward.tolist()
    ([0.0, 0.4], [0.1, 0.5])
    """
    if kl_unit not in (None, "sequence", "token"):
        raise InputError(f"kl_unit must be 'sequence' or 'token'; got {kl_unit!r}.", argument="kl_unit")
    require(
        estimator in (None, "k1", "k2", "k3"),
        f"estimator must be 'k1', 'k2' or 'k3'; got {quoted(estimator)}.",
        "estimator",
    )
    if length is not None and not isinstance(length, str):
        length = as_number("length", length, 0.0, open_low=True)
    lengths = None if lengths is None else _ends_of_lengths(lengths)
    require(isinstance(path, (str, Path)), f"path must be the path of a log; got {quoted(path)}.", "path")
    require(not (splits and evaluation), "splits=True shows the evaluations too; leave out evaluation.", "splits")
    check_files(files)
    place = as_path(path)
    starts, unread = starts_in(place) if files == STARTS else ([], [])
    found, reads = (starts[0].path, starts[0].log_format) if starts else find_log(place)
    by_column = _by_column(reads, found)
    of_keys = evaluation and not by_column
    query = LogQuery(kl, reward, step, length, kl_unit, run, of_keys, splits, evaluation, estimator or "", files)

    def read(asked: LogQuery) -> LogRows:
        if not starts:
            return with_halves(reads.read(found, asked), found)
        rows = read_starts(place, starts, asked)
        return replace(rows, notes=(*rows.notes, *unread))

    found = place if starts else found
    if splits and not by_column:
        parts = [read(replace(query, evaluation=late, held_out=late, splits=False)) for late in (False, True)]
        logs = [_finish(found, one, only, drop_missing, lengths) for one in parts]
        return joined_logs(logs, ("train", "held out"), str(found))
    return _finish(found, read(query), only, drop_missing, lengths)


def _by_column(reads: LogFormat, path: Path) -> bool:
    """Whether a column names the splits of a log, rather than keys of evaluations."""
    if reads.name not in ("table", "json lines") or not is_table_name(path):
        return reads.name == "rollouts"
    with contextlib.suppress(InputError):  # reading it says what is wrong
        names = open_table_file(path, unfinished=True).names
        return SPLIT in names and (reads.name == "table" or not any(name.startswith("eval") for name in names))
    return False


def _ends_of_lengths(given: tuple[float, float]) -> tuple[float, float]:
    """Return least and largest tokens of a response, checked."""
    ends = as_vector("lengths", given)
    require(
        ends.size == 2 and 1.0 <= ends[0] <= ends[1],
        "lengths must be the least and the largest tokens of a response, 1 at least and in this order; got "
        f"{', '.join(map('{:g}'.format, ends.tolist()))}.",
        "lengths",
    )
    return float(ends[0]), float(ends[1])


def joined_logs(logs: Sequence[TrainingLog], names: Sequence[str], path: str) -> TrainingLog:
    """Return several logs as one with their runs side by side, each under a name of its own.

    The runs of a log of several keep their names, after that of the log.

    Parameters
    ----------
    logs : sequence of TrainingLog
        Of one reward.
    names : sequence of str
        A name for each.
    path : str
        What messages call all of them.

    Raises
    ------
    InputError
        For logs of different rewards, or names that are not all different.
    """
    require(len(logs) == len(names) > 0, "logs and names must be equally many, one at least.", "logs")
    require(len(set(names)) == len(names), f"names must differ; got {', '.join(map(repr, names))}.", "names")
    runs, notes = [], []
    for log, name in zip(logs, names, strict=True):
        several = len(log.runs) > 1
        runs += [f"{name} {one}" if several else name for one in log.run.tolist()]
        notes += [note if len(logs) == 1 else f"{name}: {note}" for note in log.notes]
    shared = [note for note in logs[0].notes if all(note in one.notes for one in logs)]
    notes = [*shared, *(note for note in notes if not any(note.endswith(f": {one}") for one in shared))]
    run = np.empty(len(runs), dtype=object)
    run[:] = runs
    starts = np.cumsum([0, *(log.kl.size for log in logs)])
    held = [(one.per_prompt, int(start)) for one, start in zip(logs, starts, strict=False)]
    whole = None
    if all(one is not None for one, _ in held):
        some = [(one, start) for one, start in held if one is not None]
        whole = PerPrompt(
            np.concatenate([one.checkpoint + start for one, start in some]),
            np.concatenate([one.prompt for one, _ in some]),
            np.concatenate([one.kl for one, _ in some]),
            np.concatenate([one.reward for one, _ in some]),
            np.concatenate([one.count for one, _ in some]),
        )
    lengths = [log.length for log in logs if log.length is not None]
    bounded = any(log.kl_low is not None for log in logs)
    units, as_logged = {log.kl_unit for log in logs}, len(lengths) == len(logs)
    return TrainingLog(
        path=path,
        kl_name=logs[0].kl_name,
        kl_unit=logs[0].kl_unit if len(units) == 1 else "sequence",
        reward_name=logs[0].reward_name,
        step=np.concatenate([log.step for log in logs]),
        logged_kl=np.concatenate([log.logged_kl if len(units) == 1 else log.kl for log in logs]),
        kl=np.concatenate([log.kl for log in logs]),
        reward=np.concatenate([log.reward for log in logs]),
        length=np.concatenate(lengths) if as_logged else None,
        run=run,
        notes=tuple(notes),
        per_prompt=whole,
        kl_low=np.concatenate([log.ends[0] for log in logs]) if bounded else None,
        kl_high=np.concatenate([log.ends[1] for log in logs]) if bounded else None,
        remedy=next((log.remedy for log in logs if log.remedy), ""),
        half=np.concatenate([one.halves * (1.0 if as_logged or one.length is None else one.length) for one in logs]),
    )


def _finish(
    path: Path, rows: LogRows, only: str | None, drop_missing: bool, lengths: tuple[float, float] | None
) -> TrainingLog:
    require(
        lengths is None or rows.length is not None,
        f"lengths has no say: {rows.kl_name!r} of {path} is in nats per sequence; leave it out.",
        "lengths",
    )
    if only is not None:
        kept = np.array([fnmatchcase(name, only) for name in rows.run.tolist()], dtype=bool)
        if not kept.any():
            runs = sorted(set(rows.run.tolist()))
            hint = "; name the column that tells runs apart (run)" if len(runs) == 1 else ""
            by_id = "".join(f" {note}" for note in rows.notes if note.startswith(f"Several runs {BY_ID}"))
            raise InputError(
                f"{path} has no run that matches {only!r} (only); it has {', '.join(map(repr, runs))}{hint}.{by_id}"
            )
        rows = rows.keep(kept)
    finite = np.isfinite(rows.kl) & np.isfinite(rows.reward)
    if rows.length is not None:
        finite &= np.isfinite(rows.length) & (rows.length > 0.0)
    lacking = int((~finite).sum())
    notes = list(rows.notes)
    if lacking and (not drop_missing or lacking == finite.size):
        raise InputError(
            f"{lacking} of {finite.size} checkpoints of {path} lack a finite {rows.kl_name!r}, {rows.reward_name!r} or "
            f"length, the first at step {rows.step[int(np.argmin(finite))]:g}: training may have diverged there, "
            "or not have logged it. Correct the log, or pass drop_missing=True to go on without them."
        )
    if lacking:
        notes.append(f"Dropped: {lacking} of {finite.size} checkpoints, which lack a finite value.")
        rows = rows.keep(finite)
    check_range(f"{rows.reward_name!r} of {path}", rows.reward)
    logged, negative = without_rounding(rows)
    below = rows.kl < 0.0
    rows = replace(rows, kl=logged)
    converted = per_sequence(rows, lengths, below)
    sequence = converted.kl
    large = np.abs(sequence) > LARGEST  # what is logged is in bounds; that times the length need not be
    if large.any():
        row = int(np.argmax(large))
        raise InputError(
            f"{path} holds a KL of {sequence[row]:g} nats per sequence at step {rows.step[row]:g}; no number may "
            f"exceed {LARGEST:g} in size: correct it."
        )
    notes += [*negative, *converted.notes, *of_decimals(rows, converted.low is None)]
    return TrainingLog(
        path=str(path),
        kl_name=rows.kl_name,
        kl_unit=rows.kl_unit,
        reward_name=rows.reward_name,
        step=rows.step,
        logged_kl=rows.kl,
        kl=sequence,
        reward=rows.reward,
        length=rows.length,
        run=rows.run,
        notes=tuple(notes),
        per_prompt=rows.per_prompt,
        kl_low=converted.low,
        kl_high=converted.high,
        remedy=converted.remedy,
        half=rows.half if converted.low is None else np.zeros(sequence.size),  # which these hold
    )
