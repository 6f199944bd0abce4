"""All that `alignlib frontier` and `report` say of a table: both rewards, the proxy's price, the curves drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignlib.answers.answer import Answer, ask, limit_on_every_prompt
from alignlib.answers.hacking import HackingAnswer, ask_hacking
from alignlib.estimation.estimates import EstimatedFrontier
from alignlib.estimation.frontier_estimation import UnsupportedKLError, estimate_frontier
from alignlib.tables.rewards import RewardTable

__all__ = ["Findings", "find"]


@dataclass(frozen=True)
class Findings:
    """The answers on one table: ``reward`` in the reward that picks, ``gold`` and ``hacking`` where another counts.

    ``curve`` is the limit of the reward that counts as far as the samples support it, ``curve_on_every_prompt`` the
    same for the same KL on every prompt; each is None where it was not asked for or the samples support none.
    """

    table: RewardTable
    reward: Answer
    gold: Answer | None
    hacking: HackingAnswer | None
    curve: EstimatedFrontier | None = None
    curve_on_every_prompt: EstimatedFrontier | None = None

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answer in the reward that picks, then that in the gold reward if there is one."""
        return (self.reward,) if self.gold is None else (self.reward, self.gold)

    @property
    def counted(self) -> Answer:
        """The answer in the reward that counts."""
        return self.answers[-1]


def find(
    table: RewardTable,
    reward: str,
    gold: str | None = None,
    ensemble: Sequence[str] = (),
    *,
    kl: list[float] | None = None,
    n: list[float] | None = None,
    budget: str = "average",
    level: float = 0.95,
    n_boot: int = 2000,
    rng: int = 0,
    allow_heavy_tail: bool = False,
    curves: bool = False,
) -> Findings:
    """Answer in the reward that picks and, where ``gold`` is named, in the one that counts.

    Parameters
    ----------
    table : RewardTable
        Sampled rewards, at least 3 samples of each prompt.
    reward, gold : str
        The reward that picks the best of N, and the one that is counted (the same by default).
    ensemble : list of str
        Columns of other proxies to combine, against ``gold``.
    kl, n, budget, level, n_boot, rng, allow_heavy_tail
        As in `ask`.
    curves : bool
        Also return the curves that the pictures of the report draw.

    Raises
    ------
    ValueError
        As `ask` and `ask_hacking`.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.tables.example_table import example_table
    >>> table = example_table(60, 16, 0.5, np.random.default_rng(0))
    >>> find(table, "reward", "gold", n=[2.0], n_boot=100).counted.measured_in
    'gold'
    """
    shared = {"level": level, "n_boot": n_boot, "seed": rng, "allow_heavy_tail": allow_heavy_tail}
    asked = {"kl": kl, "n": n, "budget": budget, **shared}
    answer = ask(table, reward, **asked)  # type: ignore[arg-type]
    in_gold = None if gold is None else ask(table, reward, gold, **asked)  # type: ignore[arg-type]
    hacking = None if gold is None else ask_hacking(table, reward, gold, ensemble, **shared)  # type: ignore[arg-type]
    found = Findings(table, answer, in_gold, hacking)
    if not curves:
        return found
    counted = found.counted.measured_in
    try:
        curve = estimate_frontier(
            table, counted, level=level, n_boot=n_boot, rng=rng, allow_heavy_tail=allow_heavy_tail
        )
    except UnsupportedKLError:
        return found
    each = limit_on_every_prompt(table, counted, **shared)  # type: ignore[arg-type]
    return Findings(table, answer, in_gold, hacking, curve, each)
