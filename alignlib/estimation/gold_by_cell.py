"""Gold, proxy and KL of each cell of prompts along λ and along N, and how far along λ the samples carry them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.gold_in_bins import gold_of_counted_rules, tilted_gold_of_counts
from alignlib.estimation.halves import canonical_rank, either_way, part_weight, parts_of, sort_keys
from alignlib.estimation.in_groups import in_groups
from alignlib.estimation.small_tilts import MANY_BLOCKS, narrow_to_wide
from alignlib.estimation.tilted_mean import jackknife_tilted_means
from alignlib.rules import Rule, prepare
from alignlib.tables import RewardTable

__all__ = ["GoldCurves", "rule_curves", "tilted_curves"]

_BLOCK = 1 << 17  # samples in work at a time
_EVERY, _DENSE, _NEAR = 3, 12, 2.0


@dataclass(frozen=True, eq=False)
class GoldCurves(SameFields):
    """What optimising a proxy does, cell by cell.

    Attributes
    ----------
    gold : array (cells, k)
        Gold gain.
    gold_down, gold_up : array (cells, k)
        How far down and up its bias may go.
    proxy : array (cells, k)
        Proxy gain.
    kl : array (cells, k)
        KL in nats.
    ess : array (k,)
        Effective sample size.
    proxy_off, kl_off : array (k,)
        How far from their mean bins leave those of the samples, to either side.
    """

    gold: FloatArray
    gold_down: FloatArray
    gold_up: FloatArray
    proxy: FloatArray
    kl: FloatArray
    ess: FloatArray
    proxy_off: FloatArray
    kl_off: FloatArray


def tilted_curves(table: RewardTable, reward: str, gold: str, lam: FloatArray, cells: Cells) -> GoldCurves:
    """Return the curves along λ; the bias left is judged from halves of the samples, as for the limit.

    From few samples of a prompt the last term of the jackknife may take the wrong way: it counts to either side.

    Parameters
    ----------
    table : RewardTable
        The samples.
    reward, gold : str
        The proxy, and the reward that counts.
    lam : array (k,)
        Inverse temperatures λ.
    cells : Cells
        The units that are resampled.
    """
    ess = np.zeros(lam.size)
    of_cells = np.zeros((3, cells.n_fixed or cells.size.size, lam.size))
    index = np.arange(table.n_prompts) if cells.fixed_prompts else cells.index
    rank = _rank(table, reward)
    some = _enough(lam)
    aheads, lasts = np.zeros((2, len(of_cells[0]), some.size))
    open_, off = np.zeros((2, *of_cells[0].shape)), np.zeros((2, lam.size))
    for one, its in table.each_counted(partial(tilted_gold_of_counts, lam=lam, gold=gold), reward):
        for total, row in zip((*of_cells, *open_), its[[0, 1, 2, 3, 4]], strict=True):
            total[index[one]] += row
        aheads[index[one]] += its[5, some]
        lasts[index[one]] += its[5, some]
        ess += its[6]
        off += its[7:] / table.n_prompts
    for where, both in _sorted_blocks(table, reward, gold):
        n = both.shape[2]
        found = jackknife_tilted_means(both[1], both, lam)
        base = both.mean(axis=2)[:, None]
        step = (found.second_order[0] - found.first_order[0])[some]
        if n > 3:  # halves of the proxy, and of gold in the same order
            place = parts_of(np.broadcast_to(np.arange(n), both.shape[1:]), rank[where], table.n_prompts)
            halves = np.take_along_axis(both[:, None], place[None].astype(np.int64), axis=3)
            flat = halves.reshape(2, -1, halves.shape[3])
            in_parts = jackknife_tilted_means(flat[1], flat[:1], lam[some]).second_order[0]
            step = found.second_order[0, some] - in_parts.reshape(some.size, *halves.shape[1:3]).mean(axis=1)
        ess += found.ess.sum(axis=1)
        gain = found.second_order - base
        kl = lam[:, None] * found.second_order[1] - found.log_partition
        ahead = step * (part_weight(n) if n > 3 else 2.0)
        last = found.second_order[0, some] - found.first_order[0, some]
        for total, values in zip((*of_cells, aheads, lasts), (gain[0], gain[1], kl, ahead, last), strict=True):
            _add(total, index[where], values.T)
    ess /= table.n_prompts
    ahead, last = (np.stack([np.interp(lam, lam[some], one) for one in part]) for part in (aheads, lasts))
    if cells.fixed_prompts:
        parts = (_of_samples if table.all_held else _of_groups)(table, reward, gold, lam, cells, of_cells)
        ahead, last = (np.broadcast_to(part.mean(axis=0), parts[0].shape) for part in (ahead, last))
        down, up = either_way(ahead, last, cells.whole[0])
        below, above = open_.mean(axis=1)
        return GoldCurves(parts[0], down - below, up + above, parts[1], parts[2], ess, *off)
    gold_gain, proxy, kl = of_cells / cells.size[:, None]
    ahead, last = ahead / cells.size[:, None], last / cells.size[:, None]
    down, up = either_way(ahead, last, cells.whole[0])
    below, above = open_ / cells.size[:, None]
    return GoldCurves(gold_gain, down - below, up + above, proxy, kl, ess, *off)


def _enough(lam: FloatArray) -> IntArray:
    """Return at which λ the bias ahead is evaluated: of a dense grid every third and the last, for it is smooth."""
    every = np.arange(lam.size)
    if lam.size < _DENSE or (lam[_EVERY:] > _NEAR * lam[:-_EVERY]).any():
        return every
    return np.unique(np.append(every[::_EVERY], every[-1]))


def _rank(table: RewardTable, reward: str) -> IntArray:
    keys, spread = np.zeros((4, table.n_prompts)), 0.0
    for where, rewards in table.blocks(reward, _BLOCK, held_only=True):
        rows = np.sort(rewards - rewards.mean(axis=1, keepdims=True), axis=1)[:, ::-1]
        keys[:, where], spread = sort_keys(rows), max(spread, float(rows.max()))
    if spread == 0.0:  # all are in bins
        return np.arange(table.n_prompts)
    return canonical_rank(keys, spread)


def _sorted_blocks(table: RewardTable, reward: str, gold: str) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield prompt positions, and gold and proxy (2, prompts, n) sorted from the largest proxy down.

    Prompts of a block are about as wide, by the proxy.
    """
    of_both = (table.blocks(name, MANY_BLOCKS, held_only=True, by=reward) for name in (reward, gold))
    for (where, proxies), (_, golds) in zip(*of_both, strict=True):
        order = np.argsort(proxies, axis=1)[:, ::-1]
        both = np.stack([np.take_along_axis(values, order, axis=1) for values in (golds, proxies)])
        for some in narrow_to_wide(both[1], _BLOCK):
            yield where[some], both[:, some]


def _add(total: FloatArray, index: IntArray, values: FloatArray) -> None:
    """Add ``values`` (prompts, k) to the cells (cells, k) of their prompts."""
    place = (index.astype(np.int64)[:, None] * total.shape[1] + np.arange(total.shape[1])).reshape(-1)
    total += np.bincount(place, values.reshape(-1), total.size).reshape(total.shape)


def _of_samples(
    table: RewardTable, reward: str, gold: str, lam: FloatArray, cells: Cells, whole: FloatArray
) -> FloatArray:
    """Return pseudo-values of the curves ``whole`` (3, prompts, L) of fixed prompts, (3, cells, L)."""
    proxies, golds = table.column(reward), table.column(gold)
    parts = [
        own.about(_plug_in_without(proxies[where], golds[where], lam, own), whole[:, x])
        for x, (where, own) in enumerate(cells.of_each)
    ]
    return cells.joined(parts).swapaxes(0, 1)


def _of_groups(
    table: RewardTable, reward: str, gold: str, lam: FloatArray, cells: Cells, whole: FloatArray
) -> FloatArray:
    """Return the same of prompts whose samples are in bins."""
    dealt = in_groups(table, reward, len(cells.size) // cells.n_fixed, gold)
    parts = [own.cells.about(own.tilted_without(lam), whole[:, x]) for x, own in enumerate(dealt)]
    return cells.joined(parts).swapaxes(0, 1)


def _plug_in_without(proxies: FloatArray, golds: FloatArray, lam: FloatArray, cells: Cells) -> FloatArray:
    """Return gold gain, proxy gain and KL at each λ with each group of a prompt left out, (groups, 3, L)."""
    top = proxies.max()
    base = cells.kept_sums(np.stack([np.ones_like(golds), golds, proxies - top]))
    found = np.empty((len(base), 3, lam.size))
    for k, value in enumerate(lam):
        weight = np.exp(value * (proxies - top))
        total, of_gold, of_proxy = cells.kept_sums(np.stack([weight, weight * golds, weight * (proxies - top)])).T
        mean = of_proxy / total
        found[:, 0, k] = of_gold / total - base[:, 1] / base[:, 0]
        found[:, 1, k] = mean - base[:, 2] / base[:, 0]
        found[:, 2, k] = value * mean - np.log(total / base[:, 0])
    return found


def rule_curves(
    table: RewardTable, reward: str, gold: str, rules: Sequence[Rule], cells: Cells
) -> tuple[GoldCurves, int]:
    """Return the curves along rules, proxy ties averaged, and the number of prompts with ties.

    Parameters
    ----------
    table : RewardTable
        The samples.
    reward, gold : str
        The proxy, and the reward that counts.
    rules : sequence of Rule
        What picks.
    cells : Cells
        The units that are resampled.

    Returns
    -------
    curves : GoldCurves
        One point a rule.
    tied : int
        Prompts with ties of the proxy.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> table = RewardTable.from_arrays(proxy=[[0.0, 1.0]] * 2, gold=[[2.0, 3.0]] * 2)
    >>> cells = Cells.of(table.n_samples, np.random.default_rng(0))
    >>> rule_curves(table, "proxy", "gold", [BestOfN(2)], cells)[0].gold.tolist()
    [[0.5], [0.5]]
    """
    of_cells = np.zeros((3, cells.n_fixed or cells.size.size, len(rules)))
    index = np.arange(table.n_prompts) if cells.fixed_prompts else cells.index
    tied = 0
    open_, off = np.zeros((2, *of_cells[0].shape)), np.zeros((2, len(rules)))
    for one, its in table.each_counted(partial(gold_of_counted_rules, rules=rules, gold=gold), reward):
        for total, row in zip((*of_cells, *open_), its[:5], strict=True):
            total[index[one]] += row
        off += its[7:] / table.n_prompts
    for where, (golds, proxies) in _sorted_blocks(table, reward, gold):
        for total, values in zip(of_cells, _rules(proxies, golds, rules), strict=True):
            _add(total, index[where], values)
        tied += int((proxies[:, 1:] == proxies[:, :-1]).any(axis=1).sum())
    if cells.fixed_prompts and not table.all_held:
        dealt = in_groups(table, reward, len(cells.size) // cells.n_fixed, gold)
        each = [own.cells.about(own.rules_without(rules)[:, [3, 1, 0]], of_cells[:, x]) for x, own in enumerate(dealt)]
        of_cells = cells.joined(each).swapaxes(0, 1)
    elif cells.fixed_prompts:
        proxies, golds = table.column(reward), table.column(gold)

        def of_prompt(where: slice, own: Cells, whole: FloatArray) -> FloatArray:
            proxy, counted = proxies[where], golds[where]
            order = np.argsort(-proxy, kind="stable")
            return own.pseudo_values(
                lambda kept: _rules(proxy[kept], counted[kept], rules).swapaxes(0, 1), whole, order
            )

        parts = cells.joined([of_prompt(*each, of_cells[:, x]) for x, each in enumerate(cells.of_each)])
        of_cells = parts.swapaxes(0, 1)
    else:
        of_cells /= cells.size[:, None]
        open_ /= cells.size[:, None]
    if cells.fixed_prompts:
        open_ = np.broadcast_to(open_.mean(axis=1, keepdims=True), (2, *of_cells[0].shape))
    ess = table.n_samples.mean() / np.array([rule.draws for rule in rules])
    return GoldCurves(of_cells[0], -open_[0], open_[1], of_cells[1], of_cells[2], ess, *off), tied


def _rules(proxies: FloatArray, golds: FloatArray, rules: Sequence[Rule]) -> FloatArray:
    """Return gold gain, proxy gain and KL of every rule on every prompt, shape (3, prompts, rules)."""
    counted = prepare(proxies, golds)
    reported = replace(counted, values=counted.picking)
    base_gold, base_proxy = golds.mean(axis=1), proxies.mean(axis=1)
    found = [(rule.evaluate(counted), rule.evaluate(reported).mean) for rule in rules]
    # the base model itself, without rounding
    parts = [(one.mean - base_gold, proxy - base_proxy, one.spent) if not rule.is_base else (0 * base_gold,) * 3
             for rule, (one, proxy) in zip(rules, found, strict=True)]  # fmt: skip
    return np.array(parts).transpose(1, 2, 0)
