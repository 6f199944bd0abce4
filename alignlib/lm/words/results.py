"""The committed table: every policy's KL and rewards prompt by prompt, and the rewards of the base's samples.

`agreement` says whether another such table agrees with it, setting by setting, as seeds do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.estimation import Fit, fit_frontier
from alignlib.lm.methods import find
from alignlib.lm.words.comparison import BestCurve, Comparison, compare
from alignlib.tables import RewardTable

__all__ = ["COLUMNS", "REWARDS", "Agreement", "WordsResults", "agreement", "best_rates"]

REWARDS = ("sentiment", "repeated_sentiment", "civility", "proxy")
COLUMNS = (
    "run", "stage", "reward", "method", "knob", "steps", "responses", "seed", "rate", "device", "train_seconds",
    "kl", "kl_low", "kl_high", *REWARDS, "n_tokens", "truncated", "share", "share_low", "share_high", "supported",
)  # fmt: skip
_SETTING = ["reward", "method", "knob", "steps"]
_WIDEST = 3.0  # standard errors, between two tables that agree
# A reward model trained anew is another network, and its score is known up to a constant only: policies that it
# trained are compared in gold.
_JUDGED_BY = {"proxy": "sentiment"}


class WordsSettings(TypedDict):
    """What ``settings.json`` says of how the tables were made.

    ``planned`` has by reward how many runs the core of the grid has, ``verses`` how many each part of the corpus has;
    ``layers``, ``width`` and ``weights`` are the base's; ``policy_samples`` is the fewest responses that a policy was
    measured on, and ``examples`` some of them, by reward and method.
    """

    versions: dict[str, str]
    planned: dict[str, int]
    base_sha256: str
    layers: int
    width: int
    weights: int
    prompt_tokens: int
    response_tokens: int
    vocabulary: int
    training_prompts: int
    verses: dict[str, int]
    responses_a_step: int
    policy_samples: int
    labelled_pairs: int
    devices: list[str]
    train_seconds: int
    examples: dict[str, list[str]]


@dataclass(frozen=True, eq=False)
class WordsResults(SameFields):
    """What `make lm-words` leaves for the book, read without torch.

    Attributes
    ----------
    folder : Path
        Where it lies.
    runs : DataFrame
        A row for each run (``COLUMNS``: KL in nats per response with its interval, the mean of every reward, and the
        share of the limit on the run's own reward as ``alignlib overlay`` has it, unknown where noise hides it).
    tuning : DataFrame
        A row for each trial: what was ``paid``, and what was reached of it (``reward``) at which KL.
    settings : WordsSettings
        How everything was made.

    Examples
    --------
    >>> found = WordsResults.read("notebooks/words_results")  # of a clone
    >>> sorted(found.settings["planned"]), bool((found.runs.kl > 0.0).all())
    (['civility', 'proxy', 'sentiment'], True)
    """

    folder: Path
    runs: pd.DataFrame
    tuning: pd.DataFrame
    settings: WordsSettings

    @classmethod
    def read(cls, folder: str | Path) -> WordsResults:
        """Read and check the tables of a folder.

        Parameters
        ----------
        folder : str or Path
            The folder.

        Raises
        ------
        InputError
            If a file or a column is missing.
        """
        place = Path(folder)
        for name in ("runs.csv", "tuning.csv", "policies.npz", "base.npz", "settings.json"):
            require((place / name).is_file(), f"folder must hold {name}; {str(place)!r} does not: run make lm-words.")
        runs = pd.read_csv(place / "runs.csv")
        missing = [name for name in COLUMNS if name not in runs]
        require(not missing, f"runs.csv must have the columns {', '.join(COLUMNS)}; it lacks {', '.join(missing)}.")
        tuning = pd.read_csv(place / "tuning.csv")
        require("paid" in tuning, "tuning.csv must have the column paid; it does not: run make lm-words.")
        return cls(place, runs, tuning, json.loads((place / "settings.json").read_text(encoding="utf-8")))

    @cached_property
    def base(self) -> RewardTable:
        """Rewards of the base's samples, equally many for each held-out prompt."""
        with np.load(self.folder / "base.npz") as stored:
            return RewardTable.from_arrays({name: stored[name].astype(np.float64) for name in REWARDS})

    @cached_property
    def validation(self) -> RewardTable:
        """What the base's samples on the prompts of tuning are worth by the rewards that tune."""
        with np.load(self.folder / "base.npz") as stored:
            known = {name: f"validation_{name}" for name in REWARDS if f"validation_{name}" in stored}
            return RewardTable.from_arrays({name: stored[key].astype(np.float64) for name, key in known.items()})

    @cached_property
    def rates(self) -> dict[tuple[str, str], float]:
        """The rate that each method takes on each reward, see `best_rates`; on the reward model that of sentiment."""
        columns = ["paid", "method", "rate", "reward", "kl"]
        return best_rates(self.tuning[columns].itertuples(index=False, name=None))

    def fit(self, reward: str, n_boot: int = 400, seed: int = 0) -> Fit:
        """Estimate the limit of a reward from the base's samples.

        Parameters
        ----------
        reward : str
            Name of the reward.
        n_boot : int
            Bootstrap replicates.
        seed : int
            Of their randomness.
        """
        return fit_frontier(self.base, reward, n_boot=n_boot, rng=seed)

    @cached_property
    def _policies(self) -> dict[str, npt.NDArray[np.generic]]:
        with np.load(self.folder / "policies.npz") as stored:
            return dict(stored)

    def per_prompt(self, rows: pd.DataFrame, name: str) -> FloatArray:
        """Return the KL or a reward of runs on each prompt.

        Parameters
        ----------
        rows : DataFrame
            Rows of ``runs``.
        name : str
            ``"kl"``, or a reward.

        Returns
        -------
        array (runs, prompts)
            KL in nats.
        """
        place = {run: number for number, run in enumerate(self._policies["run"].tolist())}
        return np.asarray(self._policies[name][[place[run] for run in rows.run]], dtype=np.float64)

    def select(self, **wanted: object) -> pd.DataFrame:
        """Return the rows in which the columns named have the values given.

        Parameters
        ----------
        **wanted : object
            Columns with the value that they must have.
        """
        rows = self.runs
        for column, value in wanted.items():
            rows = rows[rows[column] == value]
        return rows

    def compare(self, fit: Fit, best: BestCurve, rows: pd.DataFrame) -> Comparison:
        """Compare the runs of one setting with the limit and best-of-N of a fit's reward.

        Parameters
        ----------
        fit : Fit
            The limit of a reward.
        best : BestCurve
            Best-of-N by it.
        rows : DataFrame
            Rows of ``runs``, of one setting.
        """
        return compare(fit, best, self.per_prompt(rows, "kl"), self.per_prompt(rows, fit.reward))

    def settings_of(self, reward: str, methods: Sequence[str] | None = None) -> list[tuple[str, float, int]]:
        """Return method, knob and steps of every setting trained on a reward, in the order of the table.

        Parameters
        ----------
        reward : str
            Name of the reward.
        methods : sequence of str, optional
            Those wanted; all if None.
        """
        rows = self.select(reward=reward)
        found = dict.fromkeys(zip(rows.method, rows.knob, rows.steps, strict=True))
        return [one for one in found if methods is None or one[0] in methods]


def best_rates(trials: Iterable[tuple[str, str, float, float, float]]) -> dict[tuple[str, str], float]:
    """Return each method's rate on each reward with the largest ``reward - β·KL`` on validation prompts.

    The penalty is that of RLOO's middle knob for all, because GRPO's own is in other units.

    Parameters
    ----------
    trials : iterable
        What was paid, method, rate, reward reached and KL in nats of each.

    Examples
    --------
    >>> tried = [("ppo", 1e-3, 0.9, 0.5), ("ppo", 3e-3, 1.1, 0.9), ("dpo", 1e-4, 0.1, 0.0)]
    >>> best_rates([("sentiment", *one) for one in tried])
    {('sentiment', 'ppo'): 0.001, ('sentiment', 'dpo'): 0.0001}
    """
    beta = find("rloo").middle
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for paid, method, rate, reward, kl in trials:
        best[paid, method] = max(best.get((paid, method), (-float("inf"), 0.0)), (reward - beta * kl, rate))
    return {which: rate for which, (_, rate) in best.items()}


@dataclass(frozen=True)
class Agreement:
    """One setting, trained there and here.

    Attributes
    ----------
    setting : str
        Method, penalty and length.
    there, here : (float, float)
        Mean KL in nats, and gain, of its seeds.
    apart : float
        How far apart the two are, in standard errors.
    """

    setting: str
    there: tuple[float, float]
    here: tuple[float, float]
    apart: float

    @property
    def agrees(self) -> bool:
        """Whether they differ by no more than other seeds would."""
        return self.apart <= _WIDEST

    def __str__(self) -> str:
        """Return a line."""
        (kl, gain), (kl_here, gain_here) = self.there, self.here
        return (
            f"{self.setting}: gain {gain:.3f} at {kl:.3f} nats there, {gain_here:.3f} at {kl_here:.3f} here, "
            f"{self.apart:.1f} standard errors apart"
        )


def agreement(there: WordsResults, here: WordsResults) -> list[Agreement]:
    """Compare the settings that two tables share; a standard error is that of sampling and of seeds together.

    Gains are over each table's own base samples, in the reward trained on; in gold where a learned model was.

    Parameters
    ----------
    there, here : WordsResults
        The committed table and another.
    """
    found = []
    groups = dict(iter(here.runs.groupby(_SETTING, sort=False)))
    for key, rows in there.runs.groupby(_SETTING, sort=False):
        if key in groups:
            reward = str(rows.reward.iloc[0])
            judge = _JUDGED_BY.get(reward, reward)
            bases = [float(one.base.prompt_means(judge).mean()) for one in (there, here)]
            sides = [_moments(one, judge, base) for one, base in zip((rows, groups[key]), bases, strict=True)]
            (a, a_error), (b, b_error) = sides
            apart = np.abs(a - b) / np.maximum(np.hypot(a_error, b_error), 1e-9)
            name = " ".join(f"{part:g}" if isinstance(part, float) else f"{part}" for part in key)
            name += f", in {judge}" * (judge != reward)
            found.append(Agreement(name, (a[0], a[1]), (b[0], b[1]), float(apart.max())))
    return found


def _moments(rows: pd.DataFrame, reward: str, base: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean KL and gain over seeds, and their standard errors."""
    values = rows[["kl", reward]].to_numpy(dtype=np.float64) - [0.0, base]
    sampling = (rows.kl_high - rows.kl_low).to_numpy(dtype=np.float64).mean() / 3.92
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.abs(values[0]) * 0.1
    error = np.hypot(spread, [sampling, 0.02]) / np.sqrt(len(values))
    return values.mean(axis=0), error
