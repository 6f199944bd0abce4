"""Gold, proxy and KL of each cell of prompts along λ and along N, and how far along λ the samples carry them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.support import remaining_bias, strain
from alignlib.estimation.tails import TailTest
from alignlib.estimation.tilted_mean import jackknife_tilted_means
from alignlib.rules import Rule, prepare
from alignlib.tables import RewardTable

__all__ = ["GoldCurves", "rule_curves", "supported_range", "tilted_curves"]

_BLOCK = 1 << 17  # samples in work at a time
_LEAST_ESS = 2.0
_SMALL_BIAS = 0.005  # of the value, or a quarter of the standard error: half of what the frontier allows
_BIAS_SHARE = 0.25


@dataclass(frozen=True)
class GoldCurves:
    """Per cell: gold gain, proxy gain and KL, each (cells, k); averages that tell the support, each (k,)."""

    gold: FloatArray
    proxy: FloatArray
    kl: FloatArray
    ess: FloatArray
    gold_orders: FloatArray
    proxy_orders: FloatArray


def tilted_curves(
    table: RewardTable, reward: str, gold: str, lam: FloatArray, cells: Cells, *, stop: bool
) -> GoldCurves:
    """Return the curves along λ; with ``stop`` only up to the first λ at which the samples give out."""
    size = _first_gone(_tabulated(table, reward, gold, lam, cells, 1)[0]) if stop else lam.size
    found = _tabulated(table, reward, gold, lam[:size], cells)
    if stop and size < lam.size and not (found[0] < _LEAST_ESS).any():  # the first prompts were no guide
        more = _tabulated(table, reward, gold, lam[size:], cells)
        found = tuple(np.concatenate(pair, axis=-1) for pair in zip(found, more, strict=True))
    used = _first_gone(found[0]) if stop else lam.size
    ess, orders, of_cells = (part[..., :used] for part in found)
    if cells.one_prompt:
        of_cells = cells.pseudo_values(_plug_in_without(table, reward, gold, lam[:used]), of_cells[:, 0]).swapaxes(0, 1)
    return GoldCurves(of_cells[0], of_cells[1], of_cells[2], ess, orders[0], orders[1])


def _first_gone(ess: FloatArray) -> int:
    """Return how many λ it takes to the first at which the samples give out, all where they never do."""
    gone = np.flatnonzero(ess < _LEAST_ESS)
    return int(gone[0]) + 1 if gone.size else ess.size


def _tabulated(
    table: RewardTable, reward: str, gold: str, lam: FloatArray, cells: Cells, blocks: int | None = None
) -> tuple[FloatArray, ...]:
    """Return the effective sample size (L,), the orders of gold and proxy (2, 3, L), and gold, proxy, KL of cells.

    ``blocks`` takes the first blocks of prompts only.
    """
    orders, ess, n_prompts = np.zeros((2, 3, lam.size)), np.zeros(lam.size), 0
    of_cells = np.zeros((3, 1 if cells.one_prompt else cells.size.size, lam.size))
    index = np.zeros(1, dtype=np.int64) if cells.one_prompt else cells.index
    for where, both in islice(_sorted_blocks(table, reward, gold), blocks):
        found = jackknife_tilted_means(both[1], both, lam)
        base = both.mean(axis=2)[:, None]
        for i, means in enumerate((found.plug_in, found.first_order, found.second_order)):
            orders[:, i] += (means - base).sum(axis=2)
        ess += found.ess.sum(axis=1)
        n_prompts += where.size
        kl = lam[:, None] * found.second_order[1] - found.log_partition
        for total, values in zip(of_cells, (*(found.second_order - base), kl), strict=True):
            _add(total, index[where], values.T)
    if not cells.one_prompt:
        of_cells /= cells.size[:, None]
    return ess / n_prompts, orders / n_prompts, of_cells


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
    nothing = np.zeros((3, len(rules)))
    ess = table.n_samples.mean() / np.array([rule.draws for rule in rules])
    return GoldCurves(of_cells[0], of_cells[1], of_cells[2], ess, nothing, nothing), tied


def _rules(proxies: FloatArray, golds: FloatArray, rules: Sequence[Rule]) -> FloatArray:
    """Return gold gain, proxy gain and KL of every rule on every prompt, shape (3, prompts, rules)."""
    counted, reported = prepare(proxies, golds), prepare(proxies)
    base_gold, base_proxy = golds.mean(axis=1), proxies.mean(axis=1)
    found = [(rule.evaluate(counted), rule.evaluate(reported).mean) for rule in rules]
    # the base model itself, without rounding
    parts = [(one.mean - base_gold, proxy - base_proxy, one.spent) if not rule.is_base else (0 * base_gold,) * 3
             for rule, (one, proxy) in zip(rules, found, strict=True)]  # fmt: skip
    return np.array(parts).transpose(1, 2, 0)


def supported_range(
    curves: GoldCurves, lam: FloatArray, cells: Cells, weights: FloatArray, n_prompts: int, tail: TailTest
) -> tuple[BoolArray, FloatArray]:
    """Tell up to which λ the proxy's weights are known and the bias left in gold is small, and bound that bias."""
    whole = weights[:1]
    proxy_error = cells.standard_error(whole, curves.proxy)[0]
    gold_error = cells.standard_error(whole, curves.gold)[0]
    scale = 0.0 if tail.light else tail.scale
    plug_in, first, second = curves.proxy_orders
    proxy_bias = remaining_bias(plug_in, first, second)
    strained = strain(lam, proxy_bias, second, proxy_error, curves.ess, n_prompts, scale)
    # Gold's own corrections change sign somewhere if gold turns, which says nothing about what they leave: the largest
    # so far is taken, no less than ESS^-1.5 of the correction before it, and its decay from the proxy's.
    with np.errstate(divide="ignore", invalid="ignore"):
        decay = np.where(second == first, 1.0, proxy_bias / np.abs(second - first))
    one = np.abs(curves.gold_orders[1] - curves.gold_orders[0])
    two = np.abs(curves.gold_orders[2] - curves.gold_orders[1])
    left = np.maximum(np.maximum.accumulate(two), np.maximum.accumulate(one) / curves.ess**1.5) * decay
    allowed = np.maximum(_BIAS_SHARE * gold_error, _SMALL_BIAS * np.abs(curves.gold_orders[2]))
    good = (strained <= 1.0) & (left <= allowed)
    return np.asarray(np.logical_and.accumulate(good)), np.minimum(left, allowed)
