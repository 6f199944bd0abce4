"""The frontier of each prompt for the same KL budget on all, from its samples, bias removed.

The gain ``g(Δ) = min_λ (Δ + Λ̂(λ))/λ`` of a prompt is not linear in Λ̂, so the whole functional is jackknifed: at
the minimum, deleting a sample changes Λ̂, its slope and its curvature in closed form, and one Newton step in log λ
moves to the new minimum.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.curve import CurvePoints
from alignlib.estimation.dual import lam_grid, minimise_dual
from alignlib.estimation.support import excess_bias, first_strained, remaining_bias, strain
from alignlib.estimation.tails import TailTest
from alignlib.tables import RewardTable

__all__ = ["PerPromptCurve", "PromptGains", "prompt_gains"]

_BLOCK = 1 << 15
_SEARCHED = 28
_LEAST_KL = 0.005
_SLOW = 3.0  # the bias of a minimum falls no faster than 1/n where it counts: halves then show half of it, or less


class PerPromptCurve:
    """The gain of a budget that bounds the KL of every prompt: each has its own λ. ``seed`` chooses the halves."""

    def __init__(self, table: RewardTable, column: str, tail: TailTest, cells: Cells, seed: int) -> None:
        self._table, self._column, self._cells, self._seed = table, column, cells, seed
        most = float(np.log(table.n_samples.min()))
        searched = np.geomspace(_LEAST_KL, most, _SEARCHED)
        found = self._averages(searched)
        second, whole = found.second_order, cells.whole
        strained = strain(
            lam=(whole @ found.tail)[0],
            bias=_SLOW * remaining_bias(*((whole @ part)[0] for part in (found.plug_in, found.first_order, second))),
            value=(whole @ second)[0],
            standard_error=cells.standard_error(whole, second)[0],
            ess=(whole @ found.ess)[0],
            n_prompts=table.n_prompts,
            tail_scale=0.0 if tail.light else 1.0,
        )
        self.supported_end = min(most, first_strained(searched, strained))

    def at(self, kl: FloatArray, weights: FloatArray, *, correct: bool) -> CurvePoints:
        """Return what is known at budgets of shape (k,); ``correct`` asks for the gain without its biases."""
        found = self._averages(kl)
        chosen = found.second_order if correct else found.plug_in
        error = self._cells.standard_error(weights, chosen)
        whole = weights[0]
        orders = [whole @ part for part in (found.plug_in, found.first_order, found.second_order)]
        wider = excess_bias(_SLOW * remaining_bias(*orders), orders[2], error[0]) if correct else np.zeros(kl.size)
        return CurvePoints(
            weights @ chosen, error, wider, whole @ found.slope, whole @ found.ess, whole @ found.largest_weight
        )

    def _averages(self, kl: FloatArray) -> PromptGains:
        """Return the gains of each cell of prompts instead of each prompt."""
        rng = np.random.default_rng(self._seed)  # the same halves at every budget
        out = np.empty((7, self._table.n_prompts, len(kl)))
        for where, rewards in self._table.blocks(self._column):
            found = prompt_gains(rewards, kl, rng)
            out[:, where] = [getattr(found, part.name) for part in fields(PromptGains)]
        return PromptGains(*(self._cells.mean(part) for part in out))


@dataclass(frozen=True)
class PromptGains:
    """Gains of each prompt at each budget, arrays of shape (prompts, k).

    ``second_order`` extrapolates the jackknife of all samples and of their halves. ``tail`` is λ times the mean
    exceedance of the top quarter of the samples over the rest, ``slope`` is 1/λ.
    """

    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    slope: FloatArray
    ess: FloatArray
    largest_weight: FloatArray
    tail: FloatArray


def prompt_gains(rewards: FloatArray, kl: FloatArray, rng: np.random.Generator) -> PromptGains:
    """Estimate the frontier of every prompt; ``rewards`` has shape (prompts, n), ``kl`` shape (k,).

    >>> rows = np.random.default_rng(0).standard_normal((400, 64))
    >>> gains = prompt_gains(rows, np.array([0.5]), np.random.default_rng(1))  # the truth is 1
    >>> bool(gains.plug_in.mean() < 0.98 < abs(gains.second_order.mean()) < 1.02)
    True
    """
    step = max(1, _BLOCK // rewards.shape[1])
    shuffled = rng.permuted(rewards, axis=1)
    half = rewards.shape[1] // 2
    parts = []
    for start in range(0, len(rewards), step):
        block = shuffled[start : start + step]
        whole = _jackknife(block, kl)
        halves = [_jackknife(block[:, :half], kl)[1], _jackknife(block[:, half : 2 * half], kl)[1]]
        first = whole[1]
        # A bias c/n² left by the first order is four times as large in halves.
        second = first + (first - 0.5 * (halves[0] + halves[1])) / 3.0
        parts.append((whole[0], first, second, *whole[2:]))
    return PromptGains(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _jackknife(rewards: FloatArray, kl: FloatArray) -> tuple[FloatArray, ...]:
    """Return plug-in and jackknifed gain, 1/λ, ESS, largest weight and tail index, each of shape (prompts, k)."""
    rows = -np.sort(-rewards, axis=1)
    n = rows.shape[1]
    rows = rows - rows.mean(axis=1, keepdims=True)
    below = rows - rows[:, :1]
    spread = np.sqrt(np.square(rows).mean(axis=1))
    varies = spread > 0.0
    unit = np.where(varies, spread, 1.0)[:, None]
    grid = lam_grid(1.0)
    curve = np.stack([np.log(np.exp(below * (value / unit)).mean(axis=1)) for value in grid], axis=1)
    curve += grid * rows[:, :1] / unit
    gain, lam = minimise_dual(grid, curve, rows[:, 0] / unit[:, 0], kl)
    excess = rows[:, : max(1, n // 4)].mean(axis=1) - rows[:, max(1, n // 4)]

    corrected, slope, ess, largest = (np.empty_like(gain) for _ in range(4))
    flat = np.isinf(lam) | ~varies[:, None]
    top = rows[:, 0] + (n - 1) / n * (rows[:, 0] - rows[:, 1])
    for k, budget in enumerate(kl):
        inner = np.where(flat[:, k] | (lam[:, k] == 0.0), 1.0, lam[:, k])[:, None] / unit
        weight = np.exp(below * inner)
        total = weight.sum(axis=1, keepdims=True)
        p = weight / total
        ess[:, k] = 1.0 / np.einsum("ij,ij->i", p, p)
        whole, deleted = _with_and_without(p, below, np.log(total / n), inner, float(budget))
        jackknifed = n * whole[:, 0] - (n - 1) * deleted.mean(axis=1) + rows[:, 0]
        corrected[:, k] = np.where(flat[:, k], top, jackknifed)
        slope[:, k] = np.where(flat[:, k], 0.0, 1.0 / inner[:, 0])
        ess[:, k] = np.where(flat[:, k], (rows == rows[:, :1]).sum(axis=1), ess[:, k])
        largest[:, k] = np.where(flat[:, k], 1.0 / ess[:, k], p[:, 0])
    corrected[:, kl == 0.0] = 0.0
    tail = np.divide(excess[:, None], slope, out=np.zeros_like(slope), where=slope > 0.0)
    return gain * unit * varies[:, None], corrected * varies[:, None], slope, ess, largest, tail


def _with_and_without(
    p: FloatArray, below: FloatArray, log_partition: FloatArray, lam: FloatArray, budget: float
) -> tuple[FloatArray, FloatArray]:
    """Return ``min_λ (Δ + Λ)/λ`` relative to the largest reward: of all samples, and with each deleted in turn."""
    n = p.shape[1]
    mean = np.einsum("ij,ij->i", p, below)[:, None]
    distance = below - mean
    variance = np.einsum("ij,ij->i", p, np.square(distance))[:, None]
    # Only of the largest sample's weight can 1 - p cancel.
    kept = 1.0 - p
    kept[:, 0] = p[:, 1:].sum(axis=1)
    kept = np.maximum(kept, np.finfo(np.float64).tiny)
    odds = p / kept
    left = log_partition + np.log(kept) - np.log1p(-1.0 / n)
    spread = variance + odds * (variance - np.square(distance)) - np.square(odds * distance)
    whole = _step(budget + log_partition, mean, variance, lam)
    return whole, _step(budget + left, mean - odds * distance, spread, lam)


def _step(cost: FloatArray, mean: FloatArray, variance: FloatArray, lam: FloatArray) -> FloatArray:
    """Return the minimum over λ of ``cost(λ)/λ`` to second order in log λ, from cost, its slope and curvature."""
    value = cost / lam
    slope = mean - value
    bend = lam * variance - slope
    gained = np.divide(np.square(slope), 2.0 * bend, out=np.zeros_like(value), where=bend > 0.0)
    return np.asarray(value - gained)
