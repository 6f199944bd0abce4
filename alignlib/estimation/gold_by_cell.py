"""Gold, proxy and KL of each cell of prompts along λ and along N, and how far along λ the samples carry them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.halves import canonical_rank, part_weight, parts_of, sort_keys
from alignlib.estimation.tilted_mean import jackknife_tilted_means
from alignlib.rules import Rule, prepare
from alignlib.tables import RewardTable

__all__ = ["GoldCurves", "rule_curves", "tilted_curves"]

_BLOCK = 1 << 17  # samples in work at a time


@dataclass(frozen=True, eq=False)
class GoldCurves(SameFields):
    """Per cell: gold gain, how far its bias may still have to go, proxy gain and KL, each (cells, k); ``ess`` (k,)."""

    gold: FloatArray
    gold_ahead: FloatArray
    proxy: FloatArray
    kl: FloatArray
    ess: FloatArray


def tilted_curves(table: RewardTable, reward: str, gold: str, lam: FloatArray, cells: Cells) -> GoldCurves:
    """Return the curves along λ; the bias left is judged from halves of the samples, as for the limit."""
    ess = np.zeros(lam.size)
    of_cells = np.zeros((4, 1 if cells.one_prompt else cells.size.size, lam.size))
    index = np.zeros(1, dtype=np.int64) if cells.one_prompt else cells.index
    rank = _rank(table, reward)
    for where, both in _sorted_blocks(table, reward, gold):
        n = both.shape[2]
        found = jackknife_tilted_means(both[1], both, lam)
        base = both.mean(axis=2)[:, None]
        step = found.second_order[0] - found.first_order[0]
        if n > 3:  # halves of the proxy, and of gold in the same order
            place = parts_of(np.broadcast_to(np.arange(n), both.shape[1:]), rank[where], table.n_prompts)
            halves = np.take_along_axis(both[:, None], place[None].astype(np.int64), axis=3)
            flat = halves.reshape(2, -1, halves.shape[3])
            in_parts = jackknife_tilted_means(flat[1], flat[:1], lam).second_order[0]
            step = found.second_order[0] - in_parts.reshape(lam.size, *halves.shape[1:3]).mean(axis=1)
        ess += found.ess.sum(axis=1)
        gain = found.second_order - base
        kl = lam[:, None] * found.second_order[1] - found.log_partition
        ahead = step * (part_weight(n) if n > 3 else 2.0)
        for total, values in zip(of_cells, (gain[0], ahead, gain[1], kl), strict=True):
            _add(total, index[where], values.T)
    ess /= table.n_prompts
    if cells.one_prompt:
        own = of_cells[[0, 2, 3], 0]
        parts = cells.pseudo_values(_plug_in_without(table, reward, gold, lam), own).swapaxes(0, 1)
        return GoldCurves(parts[0], np.broadcast_to(of_cells[1], parts[0].shape), parts[1], parts[2], ess)
    gold_gain, ahead, proxy, kl = of_cells / cells.size[:, None]
    return GoldCurves(gold_gain, ahead, proxy, kl, ess)


def _rank(table: RewardTable, reward: str) -> IntArray:
    keys, spread = np.empty((4, table.n_prompts)), 0.0
    for where, rewards in table.blocks(reward, _BLOCK):
        rows = np.sort(rewards - rewards.mean(axis=1, keepdims=True), axis=1)[:, ::-1]
        keys[:, where], spread = sort_keys(rows), max(spread, float(rows.max()))
    return canonical_rank(keys, spread)


def _sorted_blocks(table: RewardTable, reward: str, gold: str) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield prompt positions, and gold and proxy (2, prompts, n) sorted from the largest proxy down."""
    for (where, proxies), (_, golds) in zip(table.blocks(reward, _BLOCK), table.blocks(gold, _BLOCK), strict=True):
        order = np.argsort(proxies, axis=1)[:, ::-1]
        yield where, np.stack([np.take_along_axis(values, order, axis=1) for values in (golds, proxies)])


def _add(total: FloatArray, index: IntArray, values: FloatArray) -> None:
    """Add ``values`` (prompts, k) to the cells (cells, k) of their prompts."""
    place = (index[:, None] * total.shape[1] + np.arange(total.shape[1])).reshape(-1)
    total += np.bincount(place, values.reshape(-1), total.size).reshape(total.shape)


def _plug_in_without(table: RewardTable, reward: str, gold: str, lam: FloatArray) -> Callable[[BoolArray], FloatArray]:
    proxies, golds = table.column(reward), table.column(gold)
    x = lam[:, None] * (proxies - proxies.max())

    def without(kept: BoolArray) -> FloatArray:
        weight = np.exp(x[:, kept])
        total = weight.sum(axis=1)
        gold_gain = weight @ golds[kept] / total - golds[kept].mean()
        mean = weight @ proxies[kept] / total
        kl = lam * (mean - proxies.max()) - np.log(total / kept.sum())
        return np.stack([gold_gain, mean - proxies[kept].mean(), kl])

    return without


def rule_curves(
    table: RewardTable, reward: str, gold: str, rules: Sequence[Rule], cells: Cells
) -> tuple[GoldCurves, int]:
    """Return the curves along rules, proxy ties averaged, and the number of prompts with ties."""
    of_cells = np.zeros((3, 1 if cells.one_prompt else cells.size.size, len(rules)))
    index = np.zeros(1, dtype=np.int64) if cells.one_prompt else cells.index
    tied = 0
    for where, (golds, proxies) in _sorted_blocks(table, reward, gold):
        for total, values in zip(of_cells, _rules(proxies, golds, rules), strict=True):
            _add(total, index[where], values)
        tied += int((np.diff(proxies, axis=1) == 0.0).any(axis=1).sum())
    if cells.one_prompt:
        proxies, golds = table.column(reward)[None], table.column(gold)[None]
        parts = cells.pseudo_values(lambda kept: _rules(proxies[:, kept], golds[:, kept], rules)[:, 0], of_cells[:, 0])
        of_cells = parts.swapaxes(0, 1)
    else:
        of_cells /= cells.size[:, None]
    ess = table.n_samples.mean() / np.array([rule.draws for rule in rules])
    return GoldCurves(of_cells[0], 0.0 * of_cells[0], of_cells[1], of_cells[2], ess), tied


def _rules(proxies: FloatArray, golds: FloatArray, rules: Sequence[Rule]) -> FloatArray:
    """Return gold gain, proxy gain and KL of every rule on every prompt, shape (3, prompts, rules)."""
    counted, reported = prepare(proxies, golds), prepare(proxies)
    base_gold, base_proxy = golds.mean(axis=1), proxies.mean(axis=1)
    found = [(rule.evaluate(counted), rule.evaluate(reported).mean) for rule in rules]
    # the base model itself, without rounding
    parts = [(one.mean - base_gold, proxy - base_proxy, one.spent) if not rule.is_base else (0 * base_gold,) * 3
             for rule, (one, proxy) in zip(rules, found, strict=True)]  # fmt: skip
    return np.array(parts).transpose(1, 2, 0)
