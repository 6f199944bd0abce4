"""Any answer as text, by whichever module writes answers of its kind."""

from __future__ import annotations

from alignlib._core.checks import require
from alignlib._core.doors import guard
from alignlib.answers.capacity import CapacityAnswer
from alignlib.answers.findings import Findings
from alignlib.answers.output import capacity, comparison, frontier, overlay, passk, pick, policy_kl
from alignlib.answers.output.pick import RunAdvice
from alignlib.pass_at_k import PassEstimate
from alignlib.training import PolicyKL
from alignlib.training.comparing import Comparison
from alignlib.training.envelope import Floor
from alignlib.training.placing import Overlay

__all__ = ["lines"]


def lines(
    found: Findings | CapacityAnswer | PassEstimate | PolicyKL | Overlay | Floor | Comparison | RunAdvice,
) -> list[str]:
    """Return an answer as the lines that a command prints, the answer in one sentence last.

    Parameters
    ----------
    found : Findings, PolicyKL, Overlay, Floor, Comparison, PassEstimate, RunAdvice or CapacityAnswer
        What `ask`, `estimate_policy_kl`, `overlay`, ``compare_runs``, `estimate_pass_at_k` or
        ``answers.capacity.ask_capacity`` returned.

    Raises
    ------
    InputError
        For anything else.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.answers.findings import ask
    >>> from alignlib.tables import RewardTable
    >>> table = RewardTable.from_arrays(np.random.default_rng(0).standard_normal((60, 16)))
    >>> lines(ask(table, "reward", kl=[0.1], n_boot=100))[0]
    '60 prompts with 16 samples each.'
    """
    if isinstance(found, Findings):
        return frontier.lines(found)
    if isinstance(found, PassEstimate):
        return passk.lines(found)
    if isinstance(found, RunAdvice):
        return pick.lines(found)
    if isinstance(found, PolicyKL):
        return policy_kl.lines(found)
    if isinstance(found, (Overlay, Floor)):
        return overlay.lines(found)
    if isinstance(found, Comparison):
        return comparison.lines(found)
    require(
        isinstance(found, CapacityAnswer),
        "lines takes what ask, estimate_policy_kl, overlay, compare_runs, estimate_pass_at_k or ask_capacity returned; "
        f"got {type(found).__name__}.",
    )
    return capacity.lines(found)


guard(globals())
