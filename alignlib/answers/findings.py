"""All that `alignlib frontier` and `report` say of a table: both rewards, the proxy's price, the curves drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import require
from alignlib._core.doors import guard
from alignlib.answers.answer import Answer, answer, limit_on_every_prompt
from alignlib.divergences import KL, Divergence, as_divergence, check_budgets
from alignlib.estimation import (
    EstimatedFrontier,
    Fit,
    check_beyond,
    check_bounds,
    check_needs,
    check_resampling,
    fit_frontier,
)
from alignlib.rules import Rule
from alignlib.tables import RewardTable, against_opponent

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from alignlib.answers.gold_promise import PromiseAnswer
    from alignlib.answers.hacking import HackingAnswer
    from alignlib.hacking import GoldSubset

__all__ = ["Findings", "ask"]


@dataclass(frozen=True)
class Findings:
    """The answers on one table; what is None was not asked for, or the samples support none.

    Attributes
    ----------
    table : RewardTable
        The samples.
    reward : Answer
        In the reward that picks.
    gold : Answer, optional
        In another that counts.
    hacking : HackingAnswer, optional
        What optimising the first does to the second.
    curve : EstimatedFrontier, optional
        The limit of the reward that counts, as far as the samples support it.
    curve_on_every_prompt : EstimatedFrontier, optional
        The same for the same KL on every prompt.
    curve_beside : EstimatedFrontier, optional
        The first at the budgets of the second.
    promise : PromiseAnswer, optional
        What a correlation with gold promises.
    """

    table: RewardTable
    reward: Answer
    gold: Answer | None
    hacking: HackingAnswer | None
    curve: EstimatedFrontier | None = None
    curve_on_every_prompt: EstimatedFrontier | None = None
    curve_beside: EstimatedFrontier | None = None
    promise: PromiseAnswer | None = None

    def __repr__(self) -> str:
        """Return what was asked of which table, and where to find it as text."""
        gold = "" if self.gold is None else f" counted in {self.gold.measured_in!r}"
        return f"<Findings on {self.reward.picked_by!r}{gold}: {self.table.size_shown}; as text: alignlib.lines(…)>"

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answer in the reward that picks, then that in the gold reward if there is one."""
        return (self.reward,) if self.gold is None else (self.reward, self.gold)

    @property
    def counted(self) -> Answer:
        """The answer in the reward that counts."""
        return self.answers[-1]


def ask(
    table: RewardTable | Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike] | npt.NDArray[Any] | IntoFrame,
    reward: str,
    gold: str | None = None,
    ensemble: Sequence[str] = (),
    *,
    kl: float | Sequence[float] | None = None,
    rules: Sequence[Rule] | None = None,
    budget: str = "average",
    level: float = 0.95,
    n_boot: int = 2000,
    rng: int = 0,
    bounded: Sequence[float] | None = None,
    divergence: Divergence | str = KL,
    win_rate: bool = False,
    opponent: RewardTable | None = None,
    curves: bool = False,
    gold_correlation: float | Sequence[float] | GoldSubset | None = None,
) -> Findings:
    """Answer in the reward that picks and, where ``gold`` is named, in the one that counts.

    Parameters
    ----------
    table : RewardTable, array (prompts, n), list of arrays, mapping of names to either, or data frame
        Sampled rewards, at least 2 samples of each prompt; an array is the reward ``"reward"``, a data frame has a row
        for each sample and its prompt in ``prompt_id``.
    reward, gold : str
        The reward that picks, and the one that is counted (the same by default).
    ensemble : list of str
        Columns of other proxies to combine, against ``gold``.
    kl : float or sequence of float, optional
        Budgets in the units of ``divergence`` (nats for KL); some that are supported if None.
    rules : sequence of Rule, optional
        What is put beside the limit; best-of-N for powers of two if None.
    budget : str
        What a budget bounds: the KL ``"average"`` over prompts, or that of every prompt, ``"per_prompt"``.
    level : float
        Coverage of the intervals of both fits, in (0, 1).
    n_boot : int
        Their bootstrap replicates.
    rng : int
        Seed of these.
    bounded : (low, high), optional
        Known bounds of the reward that counts, as in `fit_frontier`.
    divergence : Divergence or str
        What budgets (``kl``) are measured in, as in `fit_frontier`; without ``gold`` only.
    win_rate : bool
        Count the win rate over the base model by ``reward``, or with an ``opponent`` that over its responses.
    opponent : RewardTable, optional
        Responses of a fixed opponent to the same prompts, with the same reward: what counts is how often a response
        beats them, ties as one half.
    curves : bool
        Also return the curves that the pictures of the report draw.
    gold_correlation : float, (value, low, high) or GoldSubset, optional
        What is known of a gold reward that the table does not hold: its correlation with ``reward`` within prompts, or
        few rows of it, measured; see `promise_gold`.

    Raises
    ------
    ValueError
        As `answer` and `hacking_answer`.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.rules import BestOfN
    >>> from alignlib.tables import example_table
    >>> table = example_table(60, 16, 0.5, np.random.default_rng(0))
    >>> ask(table, "reward", "gold", rules=[BestOfN(2)], n_boot=100).counted.measured_in
    'gold'
    """
    options: dict[str, Any] = {"level": level, "n_boot": n_boot, "rng": rng}
    if isinstance(kl, (int, float, np.number)):
        kl = [float(kl)]
    asked: dict[str, Any] = {"kl": kl, "rules": rules, "budget": budget}
    if hasattr(table, "columns") and not isinstance(table, RewardTable):  # a data frame: every reward asked for
        entries = [reward, *([] if gold is None else [gold]), *ensemble]
        table = RewardTable.from_frame(cast(Any, table), reward=list(dict.fromkeys(entries)))
    elif not isinstance(table, RewardTable):
        table = RewardTable.from_arrays(cast(Any, table))
    # Whatever is wrong is said before the work, not after it.
    check_resampling(level, n_boot, rng)
    divergence = as_divergence(divergence)
    if divergence != KL or win_rate or opponent is not None:
        require(
            gold is None and not ensemble,
            "gold must be left out for win rates and for divergences other than KL, which are known for one reward.",
            "gold",
        )
        if opponent is None:
            check_beyond(bounded, budget, divergence, win_rate)
    if opponent is None:
        check_bounds(bounded, budget, table, reward if gold is None else gold)
    require(
        gold is None or gold_correlation is None,
        "gold_correlation is for a gold reward that the table does not hold, and gold names one that it does; leave "
        "out one of the two.",
        "gold_correlation",
    )
    if kl is not None:
        check_budgets(kl, divergence)
    table.check_varies(reward)
    if opponent is not None:
        require(bounded is None, "bounded must be left out for win rates, which lie between 0 and 1.", "bounded")
        return _against(table, reward, opponent, divergence, asked, options, curves)
    if gold is not None:
        table.check_varies(gold, "gold reward")
    if rules is not None:
        check_needs(rules, int(table.n_samples.min()))
    if ensemble and gold is not None:
        _hacking().members_of(table, ensemble, gold)
    beyond_kl: dict[str, Any] = {"divergence": divergence, "win_rate": win_rate}
    picking = fit_frontier(table, reward, **options, **beyond_kl, bounded=bounded if gold is None else None)
    counted = picking if gold is None else fit_frontier(picking.table, gold, **options, bounded=bounded)
    found = Findings(
        picking.table,
        answer(picking, **asked),
        None if gold is None else answer(counted, reward, **asked),
        None if gold is None else _hacking().hacking_answer(picking, counted, ensemble),
    )
    if gold_correlation is not None:
        from alignlib.answers.gold_promise import promise_answer

        promised = promise_answer(picking, gold_correlation, rules=rules, kl=kl, level=level)
        found = replace(found, promise=promised)
    return _with_curves(found, counted) if curves and counted.supported_end > 0.0 else found


def _against(
    table: RewardTable,
    reward: str,
    opponent: RewardTable,
    divergence: Divergence,
    asked: dict[str, Any],
    options: dict[str, Any],
    curves: bool,
) -> Findings:
    """Answer in win rates against the responses of an opponent."""
    name = f"win rate against the opponent by {reward}"
    counted = against_opponent(table, reward, opponent, name)
    sizes = opponent.n_samples
    each = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    bounds = (0.0, 1.0) if math.isfinite(divergence.slope_at_infinity) else None
    fit = fit_frontier(counted, name, **options, divergence=divergence, bounded=bounds)
    low, high = fit.base_interval
    note = (
        f"The base model wins {fit.base_reward:.1%} of comparisons with the opponent ({fit.level:.0%} interval "
        f"{low:.1%} to {high:.1%}), over {each} {'response' if each == '1' else 'responses'} to each prompt, ties "
        "counted as one half. The limit is against these very responses, and against others of the opponent less."
    ).replace("%", " %")
    # A win rate is at most one: nothing is assumed of its tail.
    said = replace(answer(fit, reward, **asked), assumed=None)
    notes = (*fit.table.notes, note, *_wins(said))
    found = Findings(replace(fit.table, notes=notes), said, None, None)
    return _with_curves(found, fit) if curves and fit.supported_end > 0.0 else found


def _wins(said: Answer) -> tuple[str, ...]:
    """Say how often the rules themselves win against the opponent, where that is known with an interval."""
    best = said.rules
    if best.reward_low is None or best.reward_high is None:
        return ()
    each = [
        f"{rule.title} {wins:.1%} ({max(low, 0.0):.1%} to {min(high, 1.0):.1%})"
        for rule, wins, low, high, counts in zip(
            best.rules, best.reward, best.reward_low, best.reward_high, best.optimises, strict=True
        )
        if counts
    ]
    return (f"Of the rules win ({best.level:.0%} intervals): {', '.join(each)}.".replace("%", " %"),) if each else ()


def _with_curves(found: Findings, counted: Fit) -> Findings:
    """Add the curves that pictures draw."""
    if not found.counted.plain:
        return replace(found, curve=counted.frontier)
    each = limit_on_every_prompt(counted)
    beside = None if each is None else counted.at(each.spent)
    return replace(found, curve=counted.frontier, curve_on_every_prompt=each, curve_beside=beside)


def _hacking() -> ModuleType:
    from alignlib.answers import hacking  # where it is asked for: a table without gold starts without the room

    return hacking


guard(globals())
