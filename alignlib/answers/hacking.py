"""For a reader's own rewards: where the proxy starts to cost gold, what it leaves unclaimed, what an ensemble adds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from alignlib._core.checks import require
from alignlib._core.doors import guard
from alignlib._core.errors import InputError
from alignlib.estimation import Fit, GoldEstimate
from alignlib.hacking.error_split import ErrorSplit, split_error
from alignlib.hacking.member_comparison import MemberComparison, compare_members
from alignlib.hacking.proxy_table import check_members, on_one_scale
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable

__all__ = ["HackingAnswer", "Unclaimed", "hacking_answer", "members_of"]

_KINDS = ("mean", "median", "min")
_NOT_COMBINED = (
    "What combines these members is not kept: it needs one scale for all samples, which is known once all are read. "
    "Summarise all parts in one command, with just these members, for it."
)


@dataclass(frozen=True)
class Unclaimed:
    """Gold that the limit at the KL of best-of-N holds beyond what the proxy gains there.

    Attributes
    ----------
    n : float
        N.
    spent : float
        Its KL in nats.
    value : float
        The gold left.
    low, high : float
        Its interval.
    share : float
        Its part of that limit.
    """

    n: float
    spent: float
    value: float
    low: float
    high: float
    share: float


@dataclass(frozen=True)
class HackingAnswer:
    """Gold along N and along λ as the proxy is optimised, and at the best N what the proxy leaves unclaimed.

    Attributes
    ----------
    proxy, gold : str
        The reward that is optimised, and the one that counts.
    along_n : GoldEstimate
        Gold along N.
    along_lam : GoldEstimate, optional
        Gold along λ; None where the tilt is not known.
    why_no_lam : str
        Why it is not.
    unclaimed : Unclaimed, optional
        The gold left at the best N, or at the largest N below it at which the samples support the limit; None where
        there is none.
    ensemble : MemberComparison, optional
        Members against the ways to combine them, at the best N (at N = 2 where that is 1), members brought to one
        scale.
    split : ErrorSplit, optional
        Shared and own error of the members.
    why_no_ensemble : str
        Why an ensemble that was named cannot be compared, or its members alone.
    """

    proxy: str
    gold: str
    along_n: GoldEstimate
    along_lam: GoldEstimate | None
    why_no_lam: str
    unclaimed: Unclaimed | None
    ensemble: MemberComparison | None
    split: ErrorSplit | None
    why_no_ensemble: str = ""


def members_of(table: RewardTable, entries: Sequence[str], gold: str) -> list[str]:
    """Return the columns that the entries of an ensemble name; ``*`` and ``?`` are wildcards, gold is no member.

    Parameters
    ----------
    table : RewardTable
        What holds the columns.
    entries : sequence of str
        Columns or patterns, as they are typed.
    gold : str
        The reward that counts, which no pattern takes.

    Raises
    ------
    InputError
        For fewer than two members, gold among them, and members that cannot be told apart.

    Examples
    --------
    >>> table = RewardTable.from_arrays(s1=[[0.0, 1.0]], s2=[[1.0, 0.0]], gold=[[0.0, 1.0]])
    >>> members_of(table, ["s*"], "gold")
    ['s1', 's2']
    """
    found = []
    known = dict.fromkeys([*table.columns, *(() if table.ensemble is None else table.ensemble.members)])
    for entry in entries:
        named = [entry] if entry in known else [name for name in known if fnmatchcase(name, entry) and name != gold]
        if not named:
            raise InputError(f"ensemble: no column of the table is called {entry!r}; name those it has.", column=entry)
        found += named
    require(len(found) >= 2, f"ensemble must name at least two columns; got {', '.join(map(repr, found))} alone.")
    check_members(table, found, gold)
    return found


def hacking_answer(proxy: Fit, gold: Fit, ensemble: Sequence[str] = ()) -> HackingAnswer:
    """Say where optimising a proxy starts to cost gold, how much it leaves unclaimed, and what an ensemble adds.

    Parameters
    ----------
    proxy, gold : Fit
        The reward that is optimised and the one that counts, fitted on one table.
    ensemble : list of str
        Columns of other proxies, at least two.

    Raises
    ------
    InputError
        For columns that cannot be told apart, or a duplicated member of the ensemble.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.hacking.examples import exploit_pair, sampled_table
    >>> table = sampled_table(exploit_pair(), 100, 32, np.random.default_rng(0))
    >>> found = hacking_answer(*(fit_frontier(table, name, n_boot=200) for name in ("proxy", "gold")))
    >>> found.along_n.hedge.turns_down
    'yes'
    """
    along_n = proxy.gold(gold.reward)
    along_lam, why = None, ""
    try:
        along_lam = proxy.tilted_gold(gold.reward)
    except InputError as error:
        why = str(error)
    stop = along_n.hedge.parameter
    unclaimed = _unclaimed(gold, proxy.reward, stop) if stop > 1.0 else None
    compared = split = None
    table = proxy.table
    members = members_of(table, ensemble, gold.reward) if ensemble else []
    alone = (
        "" if not members or table.n_prompts > 1 else "Members of an ensemble are compared over prompts; here is one."
    )
    if members and not alone:
        even = on_one_scale(table, members)
        n_boot = len(proxy.weights) - 1
        options: dict[str, Any] = {"level": proxy.level, "n_boot": n_boot}
        split = split_error(
            even, members, gold.reward, level=proxy.level, n_boot=min(n_boot, 1000), rng=copy.deepcopy(proxy.start)
        )
        rule = BestOfN(max(stop, 2.0))
        kinds = _KINDS if len(members) > 2 else [kind for kind in _KINDS if kind != "median"]  # of two, their mean
        if table.ensemble is not None and not (table.ensemble.combined and {*members} == {*table.ensemble.members}):
            kinds, alone = [], _NOT_COMBINED
        compared = compare_members(
            even, members, gold.reward, rule=rule, kinds=kinds, rng=copy.deepcopy(proxy.start), **options
        )
    return HackingAnswer(proxy.reward, gold.reward, along_n, along_lam, why, unclaimed, compared, split, alone)


def _unclaimed(gold: Fit, picked_by: str, stop: float) -> Unclaimed | None:
    """Compare with the limit at ``stop``, or at the largest power of two below it where the samples support that."""
    draws = sorted({stop, *(2.0**k for k in range(1, 40) if 2.0**k < stop)})
    found = gold.share(BestOfN.along(draws), picked_by)
    parts = (found.limit_gain, found.share, found.share_low, found.share_high)
    if found.supported is None or any(part is None for part in parts) or not found.supported[found.n > 1.0].any():
        return None
    i = int(np.flatnonzero(found.supported & (found.n > 1.0))[-1])
    limit, share, low, high = (float(part[i]) for part in parts if part is not None)
    left, least, most = (limit * (1.0 - part) for part in (share, high, low))
    return Unclaimed(float(found.n[i]), float(found.spent[i]), left, least, most, 1.0 - share)


guard(globals())
