"""pass@k, pass^k, majority vote and a verifier's pick, as lines, as JSON and as the points of a CSV."""

from __future__ import annotations

from typing import Any

from alignlib._core.names import counted
from alignlib._core.shown import level_shown
from alignlib.answers.output.render import by_point, interval_name, listed, percent
from alignlib.pass_at_k import Measured, PassEstimate

__all__ = ["COLUMNS", "lines", "points", "record"]

# The field of the result, and what it is called in JSON and CSV.
_MEASURED = (
    ("some", "pass_at_k"),
    ("every", "pass_hat_k"),
    ("majority", "maj_at_k"),
    ("picked", "best_of_k"),
    ("difference", "best_of_k_minus_maj_at_k"),
)
_PLAIN = (("ties_lost", "maj_at_k_ties_lost"), ("ties_won", "maj_at_k_ties_won"), ("vote_error", "maj_at_k_error"))
COLUMNS = (
    "k",
    "prompts",
    *(name + end for _, name in _MEASURED for end in ("", "_low", "_high")),
    *(name for _, name in _PLAIN),
)
_FEW = 30  # prompts
_TIES_MATTER = 0.005


# ------------------------------------------------------------------ JSON and CSV
def record(found: PassEstimate) -> dict[str, Any]:
    """Return the numbers for JSON; what was not asked for is None.

    Parameters
    ----------
    found : PassEstimate
        The answer.
    """
    about = ("n_prompts", "n_samples", "fewest", "most", "never_right", "always_right", "level", "notes")
    return {**listed(found, about), "rows": points(found)}


def points(found: PassEstimate) -> list[dict[str, Any]]:
    """Return one row per k.

    Parameters
    ----------
    found : PassEstimate
        The answer.
    """
    columns: dict[str, Any] = {"k": found.k, "prompts": found.prompts}
    for field, name in _MEASURED:
        one: Measured | None = getattr(found, field)
        for end, part in (("", "value"), ("_low", "low"), ("_high", "high")):
            columns[name + end] = None if one is None else getattr(one, part)
    for field, name in _PLAIN:
        columns[name] = getattr(found, field)
    return by_point(columns, found.k.size)


# ------------------------------------------------------------------ lines
def lines(found: PassEstimate) -> list[str]:
    """Return the answer as text, the answer in one sentence last.

    Parameters
    ----------
    found : PassEstimate
        The answer.

    Examples
    --------
    >>> from alignlib.pass_at_k import estimate_pass_at_k
    >>> from alignlib.tables import AnswerTable
    >>> lines(estimate_pass_at_k(AnswerTable.from_arrays([[1, 0], [0, 0]]), [1]))[0]
    '2 prompts with 2 responses each; 1 never right in them, 0 always.'
    """
    each = f"{found.most}" if found.fewest == found.most else f"{found.fewest} to {found.most}"
    size = f"{counted(found.n_prompts, 'prompt')} with {each} response{'s' if found.most > 1 else ''}"
    often = f"{found.never_right} never right in them, {found.always_right} always"
    said = [
        f"{size}{' each' if found.n_prompts > 1 else ''}; {often}.",
        *found.notes,
        "",
        *_table(found),
        *_explained(found),
    ]
    return [*said, "", _answer(found)]


def _table(found: PassEstimate) -> list[str]:
    sure = level_shown(found.level)
    titles = {"some": "pass@k", "every": "pass^k", "majority": "maj@k", "picked": "best-of-k"}
    shown = [(title, getattr(found, field)) for field, title in titles.items() if getattr(found, field) is not None]
    if found.difference is not None:
        shown.append(("best-of-k − maj@k", found.difference))
    head = f"{'k':>6} {'prompts':>8}" + "".join(f"  {title + ', ' + sure:<{_width(title)}}" for title, _ in shown)
    said = [head.rstrip()]
    for i, k in enumerate(found.k.tolist()):
        cells = "".join(
            f"  {f'{one.value[i]:z.4f} [{one.low[i]:z.3f}, {one.high[i]:z.3f}]':<{_width(title)}}"
            for title, one in shown
        )
        said.append(f"{k:>6} {found.prompts[i]:>8}{cells}".rstrip())
    return said


def _width(title: str) -> int:
    return max(24, len(title) + 6)


def _explained(found: PassEstimate) -> list[str]:
    said = [
        (
            "pass@k: one of k responses is right; pass^k: all are. Each is the mean over all subsets of k of a "
            "prompt's responses, which has no bias; it takes at least k of them, and more make it steadier."
        )
    ]
    if found.majority is not None and found.ties_lost is not None and found.ties_won is not None:
        said.append("maj@k: the answer that most of the k responses give is right; ties are broken at random.")
        span = found.ties_won - found.ties_lost
        at = int(span.argmax())
        if span[at] > _TIES_MATTER:
            said.append(
                f"Ties matter: maj@{found.k[at]} is {found.ties_lost[at]:.4f} if every tie with a wrong answer is lost "
                f"and {found.ties_won[at]:z.4f} if every one is won."
            )
    if found.vote_error is not None and found.vote_error.any():
        said.append(
            f"For large k subsets were drawn: maj@k then has a standard error of up to {found.vote_error.max():.2g} "
            "from that, which is not in the interval."
        )
    if found.picked is not None:
        said.append("best-of-k: the response that the verifier scores highest is right; equal scores share.")
    where = "The intervals are for prompts like these, not for these alone"
    few = f"; with {counted(found.n_prompts, 'prompt')} they are wide" if found.n_prompts < _FEW else ""
    said.append(f"{where}{few}.")
    return said


def _answer(found: PassEstimate) -> str:
    sure, last = interval_name(found.level), int(found.k.size - 1)
    k = int(found.k[last])

    def shown(one: Measured) -> str:
        return f"{percent(one.value[last])} ({sure} {percent(one.low[last])} to {percent(one.high[last])})"

    said = (
        f"One of {k} responses is right on {shown(found.some)} of prompts"
        if k > 1
        else (f"A response is right {shown(found.some)} of the time")
    )
    ways = []
    if found.majority is not None:
        ways.append(f"the majority of {k} on {shown(found.majority)}")
    if found.picked is not None:
        ways.append(f"the verifier's pick of {k} on {shown(found.picked)}")
    if k > 1 and ways:
        said += "; " + ", ".join(ways)
    if found.difference is not None and k > 1:
        low, high = found.difference.low[last], found.difference.high[last]
        if low > 0.0:
            said += ". The verifier beats the vote"
        elif high < 0.0:
            said += ". The vote beats the verifier"
        else:
            said += ". These prompts do not tell verifier and vote apart"
    return said + "."
