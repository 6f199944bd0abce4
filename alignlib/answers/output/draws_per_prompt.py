"""Which N, per prompt, as lines and as a CSV with a row for each prompt."""

from __future__ import annotations

from typing import Any

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib.answers.output.render import interval_name, percent
from alignlib.estimation import DrawsPerPrompt, shown_numbers

__all__ = ["COLUMNS", "lines", "points"]

COLUMNS = ("prompt", "n")


def points(found: DrawsPerPrompt) -> list[dict[str, Any]]:
    """Return the number of draws of each prompt.

    Parameters
    ----------
    found : DrawsPerPrompt
        The answer.

    Returns
    -------
    list of dict
        ``prompt`` and ``n``, one a prompt.

    Examples
    --------
    >>> from alignlib.estimation import draws_per_prompt
    >>> from alignlib.tables import example_table
    >>> sorted(points(draws_per_prompt(example_table(4, 8, 0.5, 0), "reward", n=2))[0])
    ['n', 'prompt']
    """
    return [{"prompt": name, "n": int(n)} for name, n in zip(found.prompts, found.each, strict=True)]


def lines(found: DrawsPerPrompt, picked_by: str, measured_in: str) -> list[str]:
    """Say how many draws go to how many prompts, and what that is worth.

    Parameters
    ----------
    found : DrawsPerPrompt
        The answer.
    picked_by : str
        The reward that picks.
    measured_in : str
        The reward whose mean is told.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.estimation import draws_per_prompt
    >>> from alignlib.tables import example_table
    >>> found = draws_per_prompt(example_table(60, 16, 0.5, np.random.default_rng(0)), "reward", n=2)
    >>> lines(found, "reward", "reward")[1][:60]
    'Chosen numbers of draws, against best-of-2 on every prompt: '
    """
    interval = interval_name(found.level)
    by = "" if picked_by == measured_in else f" picked by {picked_by!r}"
    worth = (
        f"Chosen numbers of draws, against best-of-{found.n}{by} on every prompt: the mean of {measured_in!r} is "
        f"{abs(found.gain):.3g} {'higher' if found.gain >= 0.0 else 'lower'} at as many draws ({interval} of the rise "
        f"{found.gain_low:.3g} to {found.gain_high:.3g})"
    )
    if found.saved > 0.0:
        saved = (
            f"the mean of best-of-{found.n} takes {percent(found.saved)} fewer draws ({interval} "
            f"{percent(found.saved_low)} to {percent(found.saved_high)})"
        )
    else:
        saved = "no draws are saved at equal mean"
    verdict = ""
    if found.gain_low <= 0.0:
        verdict = " So these samples do not show that it pays: draw the same number on all."
    half = counted(found.judged_up_to, "sample")
    return [
        f"For the most reward at {found.n} draws a prompt, {shown_numbers(found)}.",
        f"{worth}; {saved}.{verdict}",
        f"Judged on samples that did not choose, up to {half} a prompt; it holds for these very prompts, asked again.",
    ]


guard(globals())
