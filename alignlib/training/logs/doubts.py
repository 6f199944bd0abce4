"""What is doubted of a log: lengths of more than the policy's tokens, laws that did not sample, and other KLs."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.training.logs.column_choice import PREFERENCE, Chosen, called_kl, prefixes
from alignlib.training.logs.columns import Columns
from alignlib.training.logs.log_format import LogQuery
from alignlib.training.logs.trainers import KLKey, Trainer

__all__ = ["mean_length", "of_cut", "of_law", "of_other_kl", "of_reward", "times_length", "with_tools"]

_SINGLE_TURN = 2.0  # messages: a question and an answer
_SAME = 0.02  # of two KLs: estimators of one KL are that close
_APART = 0.2  # of the KL per token
_AT_START = {"token": 0.01, "sequence": 0.2}  # nats: more than rounding makes of two forward passes


def with_tools(
    columns: Columns, query: LogQuery, trainer: Trainer | None, chosen: Chosen, plain: dict[str, str]
) -> list[str]:
    """Say so where the lengths of a log count what tools wrote beside what the policy wrote.

    Parameters
    ----------
    columns : Columns
        The log.
    query : LogQuery
        What is asked of it.
    trainer : Trainer, optional
        Who wrote it.
    chosen : Chosen
        What was chosen.
    plain : dict of str to str
        Its columns by their names without a prefix.
    """
    if trainer is None or chosen.unit != "token" or query.length is not None:
        return []
    for key in trainer.turns:
        turns = columns.numbers(plain[key]) if key in plain else np.zeros(0)
        if turns.size and np.nanmax(turns, initial=0.0) > _SINGLE_TURN:
            said = (
                f"Conversations have up to {np.nanmax(turns):.3g} messages ({plain[key]!r}): {chosen.length!r} counts "
                "the tokens of tools too, and the KL is a mean over those of the policy alone, so their product is not "
                "the KL. Give the mean number of the policy's own tokens (length)."
            )
            return [said]
    return []


def of_cut(
    columns: Columns, query: LogQuery, trainer: Trainer | None, chosen: Chosen, plain: dict[str, str]
) -> list[str]:
    """Say so where cut responses may be in the mean length but not in the KL.

    Parameters
    ----------
    columns : Columns
        The log.
    query : LogQuery
        What is asked of it.
    trainer : Trainer, optional
        Who wrote it.
    chosen : Chosen
        What was chosen.
    plain : dict of str to str
        Its columns by their names without a prefix.
    """
    if trainer is None or chosen.unit != "token" or query.length is not None:
        return []
    key = next((plain[name] for name in trainer.cut if name in plain), None)
    part = np.nanmax(columns.numbers(key), initial=0.0) if key is not None else 0.0
    if key is None or not part > 0.0:
        return []
    said = (
        f"Up to {100.0 * part:.3g} % of a step's responses were cut at the largest length ({key!r}). Where the trainer "
        "masks these (mask_truncated_completions), the KL is a mean over the others alone, also 0 where none is left, "
        "and times the mean length of all it is not the run's KL: then take responses with their log-probabilities."
    )
    return [said]


def of_law(
    columns: Columns, trainer: Trainer | None, plain: dict[str, str], chosen: Chosen, step: FloatArray, kl: FloatArray
) -> list[str]:
    """Say what the log tells of log-probabilities not of the law that sampled, or not of the base's.

    Parameters
    ----------
    columns : Columns
        The log.
    trainer : Trainer, optional
        Who wrote it.
    plain : dict of str to str
        Its columns by their names without a prefix.
    chosen : Chosen
        What was chosen.
    step, kl : array (k,)
        Step and KL of each checkpoint.
    """
    said = []
    key = next((plain[name] for name in (trainer.mismatch if trainer else ()) if name in plain), None)
    apart = np.abs(columns.numbers(key)) if key is not None and key != chosen.kl else np.zeros(0)
    apart, known = apart[np.isfinite(apart)], np.abs(kl[np.isfinite(kl)])
    if apart.size and known.size and chosen.unit == "token" and apart.mean() > _APART * known.mean() > 0.0:
        said.append(
            f"The engine that sampled and the trainer that scored differ by {apart.mean():.2g} nats per token "
            f"({key!r}), where the KL is {known.mean():.2g} per token on average: the KL is that of the trainer's law, "
            "and the responses were drawn from another (precision, temperature, top-k or top-p)."
        )
    first = step.size > 1 and 0.0 <= step[0] <= 1.0 and chosen.step is not None
    if trainer is not None and trainer.marks and first and kl[0] > _AT_START[chosen.unit]:
        said.append(
            f"At step {step[0]:g} the KL is {kl[0]:.2g} nats per {chosen.unit} already. Before the first update it "
            "must be 0: unless this step made several, policy and base are scored differently (temperature, dropout, "
            "precision, template), or the run did not begin at its base."
        )
    return said


def of_other_kl(
    columns: Columns, query: LogQuery, trainer: Trainer | None, chosen: Chosen, plain: dict[str, str]
) -> list[str]:
    """Say so where another column may be the KL as well, in this unit or the other, and is another number.

    Parameters
    ----------
    columns : Columns
        The log.
    query : LogQuery
        What is asked of it.
    trainer : Trainer, optional
        Who wrote it.
    chosen : Chosen
        What was chosen.
    plain : dict of str to str
        Its columns by their names without a prefix.
    """
    if query.kl is not None or trainer is None:
        return []
    names = {prefix + one.name: one for one in trainer.kl for prefix in prefixes(query.evaluation)}
    if PREFERENCE & set(plain):  # KTO's 'kl' is none
        names = {name: one for name, one in names.items() if one.unit == chosen.unit}
    others = {name: _same_unit(columns, query, trainer, chosen, plain, one) for name, one in names.items()}
    if not trainer.marks:  # nobody's: any column that is called a KL
        others = dict.fromkeys(called_kl(columns.names), 1.0)
    taken, said = columns.bounded(chosen.kl), list[str]()
    for name, factor in others.items():
        if name in (chosen.kl, chosen.reward, chosen.step, chosen.length) or name not in columns.names:
            continue
        if factor is None:
            continue
        try:
            other = columns.bounded(name) * factor
        except InputError:  # of text, say: not a KL, and not asked for
            continue
        both = np.isfinite(other) & np.isfinite(taken)
        if not other[both].any():  # written where it is not measured
            continue
        means = float(other[both].mean()), float(taken[both].mean())
        if abs(means[0] - means[1]) > _SAME * max(map(abs, means)):
            by = "" if np.ndim(factor) == 0 else f" per {chosen.unit}, by the mean length,"
            said.append(
                f"{name!r} may be meant as well: it averages {means[0]:.3g}{by} where {chosen.kl!r}, which was taken, "
                f"averages {means[1]:.3g}; name the one that is the KL to the base (kl)."
            )
    return said


def _same_unit(
    columns: Columns, query: LogQuery, trainer: Trainer, chosen: Chosen, plain: dict[str, str], other: KLKey
) -> FloatArray | float | None:
    """Return what makes another KL one in the unit of that which was chosen; None where nothing does."""
    if other.unit == chosen.unit:
        return 1.0
    exact = [one.mean_over for one in (chosen.key, other) if one is not None and one.unit == "token"]
    if {chosen.unit, other.unit} != {"token", "sequence"} or exact != ["tokens"]:
        return None
    length = mean_length(columns, query, trainer, chosen, plain)
    if length is None:
        return None
    return length if other.unit == "token" else np.where(length > 0.0, 1.0 / np.maximum(length, 1.0), np.nan)


def mean_length(
    columns: Columns, query: LogQuery, trainer: Trainer | None, chosen: Chosen, plain: dict[str, str]
) -> FloatArray | None:
    """Return the mean length in each row, of all turns where the log counts the tokens of one.

    Parameters
    ----------
    columns : Columns
        The log.
    query : LogQuery
        What is asked of it.
    trainer : Trainer, optional
        Who wrote it.
    chosen : Chosen
        What was chosen.
    plain : dict of str to str
        Its columns by their names without a prefix.

    Returns
    -------
    array (rows,), optional
        None where the log does not tell.
    """
    held = chosen.length
    if held is None and trainer is not None:
        held = next((plain[key] for key in trainer.length if key in plain), None)
    if held is None or not isinstance(held, str):
        return None if held is None else np.full(columns.size, float(held))
    times = times_length(query, trainer, plain)
    return columns.bounded(held) * (columns.bounded(times) if times else 1.0)


def times_length(query: LogQuery, trainer: Trainer | None, plain: dict[str, str]) -> str | None:
    """Return the column that the length of the log is to be multiplied by, if there is one.

    Parameters
    ----------
    query : LogQuery
        What is asked of it.
    trainer : Trainer, optional
        Who wrote it.
    plain : dict of str to str
        Its columns by their names without a prefix.
    """
    keys = trainer.turns_each if trainer is not None and query.length is None else ()
    return next((plain[key] for key in keys if key in plain), None)


def of_reward(trainer: Trainer | None, plain: dict[str, str], chosen: Chosen) -> list[str]:
    """Say what must be said where a key of the reward is taken.

    Parameters
    ----------
    trainer : Trainer, optional
        Who wrote it.
    plain : dict of str to str
        Its columns by their names without a prefix.
    chosen : Chosen
        What was chosen.
    """
    said = trainer.reward_notes if trainer else {}
    return [note for key, note in said.items() if plain.get(key) == chosen.reward]
