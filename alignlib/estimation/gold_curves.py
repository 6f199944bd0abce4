"""Gold, proxy and KL of each cell of prompts along λ and along N, and how far along λ the samples carry them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.support import remaining_bias, strain
from alignlib.estimation.tails import TailTest
from alignlib.estimation.tilted_mean import jackknife_tilted_mean
from alignlib.rules import Rule, prepare
from alignlib.tables import RewardTable

__all__ = ["GoldCurves", "rule_curves", "supported_range", "tilted_curves"]

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


def _sorted(table: RewardTable, reward: str, gold: str) -> list[tuple[npt.NDArray[np.int64], FloatArray, FloatArray]]:
    """Return (prompt positions, proxy from the top, gold alongside) in blocks of equal numbers of samples."""
    blocks = []
    for (where, proxies), (_, golds) in zip(table.blocks(reward), table.blocks(gold), strict=True):
        order = np.argsort(-proxies, axis=1, kind="stable")
        blocks.append((where, np.take_along_axis(proxies, order, axis=1), np.take_along_axis(golds, order, axis=1)))
    return blocks


def tilted_curves(
    table: RewardTable, reward: str, gold: str, lam: FloatArray, cells: Cells, *, stop: bool
) -> GoldCurves:
    """Return the curves along λ; with ``stop`` only up to the first λ at which the samples give out."""
    blocks = _sorted(table, reward, gold)
    values = np.empty((3, table.n_prompts, lam.size))
    orders = np.zeros((2, 3, lam.size))
    ess = np.zeros(lam.size)
    used = lam.size
    for j, v in enumerate(lam.tolist()):
        for where, proxies, golds in blocks:
            counted = jackknife_tilted_mean(proxies, golds, v)
            reported = jackknife_tilted_mean(proxies, proxies, v)
            base_gold, base_proxy = golds.mean(axis=1), proxies.mean(axis=1)
            values[0, where, j] = counted.second_order - base_gold
            values[1, where, j] = reported.second_order - base_proxy
            values[2, where, j] = v * reported.second_order - counted.log_partition
            for k, (found, base) in enumerate(((counted, base_gold), (reported, base_proxy))):
                for i, part in enumerate((found.plug_in, found.first_order, found.second_order)):
                    orders[k, i, j] += float((part - base).sum())
            ess[j] += float(counted.ess.sum())
        if stop and ess[j] < _LEAST_ESS * table.n_prompts:
            used = j + 1
            break
    values, orders, ess = values[:, :, :used], orders[:, :, :used] / table.n_prompts, ess[:used] / table.n_prompts
    if cells.one_prompt:
        parts = cells.pseudo_values(_plug_in_without(table, reward, gold, lam[:used]), values[:, 0])
        gold_cells, proxy_cells, kl_cells = (parts[:, i] for i in range(3))
    else:
        gold_cells, proxy_cells, kl_cells = (cells.mean(part) for part in values)
    return GoldCurves(gold_cells, proxy_cells, kl_cells, ess, orders[0], orders[1])


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
    values = np.empty((3, table.n_prompts, len(rules)))
    tied = 0
    for (where, proxies), (_, golds) in zip(table.blocks(reward), table.blocks(gold), strict=True):
        values[:, where] = _rules(proxies, golds, rules)
        tied += int((np.diff(np.sort(proxies, axis=1), axis=1) == 0.0).any(axis=1).sum())
    if cells.one_prompt:
        proxies, golds = table.column(reward)[None], table.column(gold)[None]
        parts = cells.pseudo_values(lambda kept: _rules(proxies[:, kept], golds[:, kept], rules)[:, 0], values[:, 0])
        gold_cells, proxy_cells, kl_cells = (parts[:, i] for i in range(3))
    else:
        gold_cells, proxy_cells, kl_cells = (cells.mean(part) for part in values)
    nothing = np.zeros((3, len(rules)))
    ess = table.n_samples.mean() / np.array([rule.draws for rule in rules])
    return GoldCurves(gold_cells, proxy_cells, kl_cells, ess, nothing, nothing), tied


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
