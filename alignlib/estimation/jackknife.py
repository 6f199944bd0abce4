"""The log-partition function of one prompt from samples, with its O(1/n) and O(1/n²) biases removed.

Deleting one or two samples from ``log mean e^{λr}`` has a closed form, so both jackknives cost no more
than a few passes over the samples; nothing is resampled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.special import log1p_excess

__all__ = ["LogPartitionEstimate", "jackknife_log_partition", "jackknife_maximum"]


@dataclass(frozen=True)
class LogPartitionEstimate:
    """Estimates of ``log E e^{λr}``, one per prompt, arrays of shape (prompts,)."""

    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    ess: FloatArray
    largest_weight: FloatArray


def jackknife_log_partition(descending: FloatArray, lam: float) -> LogPartitionEstimate:
    """Estimate ``Λ(λ) = log E e^{λr}`` of each prompt from its n samples.

    ``descending`` has shape (prompts, n), n ≥ 3, each row sorted from the largest reward down; ``lam`` ≥ 0.
    With ``Λ̂ = log mean e^{λr}`` and ``Λ̂₍ₖ₎`` its average over all samples with k deleted,

        first order   n Λ̂ - (n-1) Λ̂₍₁₎
        second order  ½ [n² Λ̂ - 2(n-1)² Λ̂₍₁₎ + (n-2)² Λ̂₍₂₎]

    leave biases of O(1/n²) and O(1/n³) where the weights ``e^{λr}`` have moments enough. The two largest
    rewards are kept apart, in logarithms, so that no difference of nearly equal numbers is taken however
    large λ is.

    >>> rows = np.array([[3.0, 1.0, 0.5, 0.0]])
    >>> estimate = jackknife_log_partition(rows, 0.5)
    >>> float(estimate.plug_in[0]) < float(estimate.first_order[0]) < float(estimate.second_order[0])
    True

    Source: Quenouille's and Schucany, Gray and Owen's jackknife; the closed form is derived here.
    """
    n = descending.shape[1]
    require(n >= 3, f"jackknife_log_partition needs at least 3 samples per prompt; got {n}.")
    first, second, third = (descending[:, k] for k in range(3))
    top, runner_up = lam * (first - third), lam * (second - third)
    weight = np.exp(lam * (descending[:, 2:] - third[:, None]))  # in (0, 1], relative to the third largest
    rest = weight.sum(axis=1)
    log_rest = np.log(rest)
    without_top = np.logaddexp(runner_up, log_rest)
    without_runner_up = np.logaddexp(top, log_rest)
    total = np.logaddexp(top, without_top)

    # Σ log(1 - p_i) = -1 + singles and Σ_{i<j} log(1 - p_i - p_j) = (n-1) Σ log(1 - p_i) + pairs: in this form
    # nothing of order n or n² has to cancel.
    p = weight * np.exp(-total)[:, None]
    log_kept = np.log1p(-p)
    log_one_kept = log_kept.sum(axis=1)
    log_kept_first, log_kept_second = without_top - total, without_runner_up - total
    p_first, p_second = np.exp(top - total), np.exp(runner_up - total)
    singles = (log_kept_first + p_first) + (log_kept_second + p_second) + (log_kept + p).sum(axis=1)
    pairs = (log_rest - total) - log_kept_first - log_kept_second + _log_pair_products(p / (1.0 - p))
    for kept in (without_top, without_runner_up):
        pairs += np.log1p(-weight * np.exp(-kept)[:, None]).sum(axis=1) - log_one_kept

    shift = lam * third
    plug_in = total - np.log(n)
    one, two = (float(log1p_excess(np.array(k / n))) for k in (1.0, 2.0))
    first_order = plug_in - (n - 1) * one - (n - 1) / n * singles
    constant = 0.5 * (n - 2) ** 2 * two - (n - 1) ** 2 * one
    second_order = plug_in + constant - (2 * n - 3) / n * singles + (n - 2) ** 2 / (n * (n - 1)) * pairs
    return LogPartitionEstimate(
        plug_in=plug_in + shift,
        first_order=first_order + shift,
        second_order=second_order + shift,
        ess=1.0 / (p_first**2 + p_second**2 + np.einsum("ij,ij->i", p, p)),
        largest_weight=p_first,
    )


def _log_pair_products(q: FloatArray) -> FloatArray:
    """Return ``Σ_{i<j} log(1 - q_i q_j)`` of each row by power sums; every q is at most 1/2."""
    total = np.zeros(len(q))
    power_sums = [q.sum(axis=1)]
    power = q
    for k in range(1, 60):
        while len(power_sums) < 2 * k:
            power = power * q
            power_sums.append(power.sum(axis=1))
        term = (power_sums[k - 1] ** 2 - power_sums[2 * k - 1]) / (2 * k)
        total -= term
        if np.all(term <= 1e-14 * (1.0 - total)):
            break
    return total


def jackknife_maximum(descending: FloatArray) -> FloatArray:
    """Return the second-order jackknife of the largest reward of each prompt, shape (prompts,).

    This is the limit λ → ∞ of ``Λ(λ)/λ``; ``descending`` as in `jackknife_log_partition`.

    >>> jackknife_maximum(np.array([[1.0, 1.0, 1.0, 0.0]])).tolist()
    [1.0]
    """
    n = descending.shape[1]
    first, second, third = (descending[:, k] for k in range(3))
    one = ((n - 1) * first + second) / n
    two = ((n - 1) * (n - 2) / 2 * first + (n - 2) * second + third) / (n * (n - 1) / 2)
    result: FloatArray = 0.5 * (n * n * first - 2 * (n - 1) ** 2 * one + (n - 2) ** 2 * two)
    return result
