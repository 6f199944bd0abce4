"""What a limit from samples assumes: which prompts carry it, and what one larger sample would change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation.bootstrap import FEWEST_PROMPTS
from alignlib.estimation.curve_in_bins import kl_in_bins
from alignlib.estimation.jackknife import jackknife_log_partition
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["Sensitivity", "sensitivity"]

_BLOCK = 1 << 17  # samples in work at a time
_NAMED = 3
_OPEN = 1e-2
_TELL_A_TAIL = 100  # samples of one prompt; with 48 three in ten intervals of exponential rewards miss, by simulation


@dataclass(frozen=True)
class Sensitivity:
    """What the limit at a budget assumes: that no reward much larger than all that were seen is likely.

    Attributes
    ----------
    kl : float
        The budget in nats.
    largest_gain : float
        The most that any sample lies above the mean of its prompt.
    raised_by : float
        How much one more sample there, twice as far above, would raise the limit.
    prompts_that_count : float
        Effective number of prompts that share the KL, ``(ΣD)²/ΣD²``.
    carriers : tuple of str
        The prompts that spend most.
    carried : float
        The part that they spend.
    few_prompts : bool
        That there are several, but fewer than twenty, and that prompts are resampled all the same: they do not show how
        unlike others are, so that the intervals of limits and shares assume that these are like them.
    few_samples : bool
        That there is one prompt, with too few samples to tell an exponential tail from a lighter one: of such a tail
        limit and share lie outside their intervals more often than those say.

    Examples
    --------
    >>> table = RewardTable.from_arrays(np.random.default_rng(0).standard_normal((50, 32)))
    >>> found = sensitivity(table, "reward", 0.5, 1.0)
    >>> found.kl, found.raised_by > 0.0, found.prompts_that_count > 20.0
    (0.5, True, True)
    """

    kl: float
    largest_gain: float
    raised_by: float
    prompts_that_count: float
    carriers: tuple[str, ...]
    carried: float
    few_prompts: bool
    few_samples: bool = False


def sensitivity(
    table: RewardTable, column: str, kl: float, lam: float, *, fixed_prompts: bool = False, discrete: bool = False
) -> Sensitivity | None:
    """Tell what the limit of a reward at a budget owes to single prompts and samples.

    None where bins leave open more than a hundredth of the KL that prompts spend, or of that rise.

    By the envelope theorem a change of the averaged log-partition function changes the limit by that over λ.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    kl : float
        The budget in nats.
    lam : float
        The λ that attains the limit.
    fixed_prompts : bool
        Whether the limit is of these very prompts.
    discrete : bool
        Whether the reward has few values, and so no tail to guess.

    Examples
    --------
    >>> table = RewardTable.from_arrays(np.random.default_rng(0).standard_normal((50, 32)))
    >>> found = sensitivity(table, "reward", 0.5, 1.0)
    >>> 0.0 < found.raised_by < 0.2, 25.0 < found.prompts_that_count <= 50.0
    (True, True)

    Source: derived here.
    """
    spent, best = np.empty(table.n_prompts), (-math.inf, 0.0)
    for where, (some, largest) in table.each(partial(_of_block, lam=lam), [column], _BLOCK):
        spent[where], best = some, max(best, largest)
    off, off_raised = 0.0, 0.0
    for one, (kl_of_one, its_off, largest, raised_off) in table.each_counted(partial(_of_counted, lam=lam), column):
        spent[one], best, off, off_raised = kl_of_one, max(best, largest), off + its_off, max(off_raised, raised_off)
    total = float(spent.sum())
    if off > _OPEN * total or off_raised > _OPEN * best[1]:
        return None
    order = np.argsort(-spent, kind="stable")[:_NAMED]
    return Sensitivity(
        kl=kl,
        largest_gain=best[0],
        raised_by=best[1] / (lam * table.n_prompts),
        prompts_that_count=total**2 / float(np.square(spent).sum()) if total > 0.0 else 0.0,
        carriers=tuple(str(table.prompts[k]) for k in order),
        carried=float(spent[order].sum()) / total if total > 0.0 else 0.0,
        few_prompts=1 < table.n_prompts < FEWEST_PROMPTS and not fixed_prompts,
        few_samples=table.n_prompts == 1 and int(table.n_samples[0]) < _TELL_A_TAIL and not discrete,
    )


def _of_block(rewards: FloatArray, *, lam: float) -> tuple[FloatArray, tuple[float, float]]:
    """Return what each prompt of a block spends, and the largest gain with the rise that one more sample makes."""
    rows = np.sort(rewards - rewards.mean(axis=1, keepdims=True), axis=1)[:, ::-1]
    found = jackknife_log_partition(rows, lam)
    i = int(rows[:, 0].argmax())
    return found.kl, _raised(float(rows[i, 0]), float(found.plug_in[i]), rows.shape[1], lam)


def _of_counted(samples: CountedSamples, *, lam: float) -> tuple[float, float, tuple[float, float], float]:
    """Return the same of one prompt whose samples are in bins, and how far its KL, and that rise, may be off."""
    gain = float(samples.bins.most[0]) - samples.mean
    log_mean, kl, off, kl_off = kl_in_bins(samples, lam)
    return kl, kl_off, _raised(gain, log_mean + lam * gain, samples.size, lam), off


def _raised(gain: float, before: float, n: int, lam: float) -> tuple[float, float]:
    """Return a largest gain, and by how much a sample of twice as much raises Λ of its prompt, gains being from a mean.

    The mean of the prompt rises too, by 2 gain/(n + 1).
    """
    after = np.logaddexp(math.log(n) + before, 2.0 * lam * gain) - math.log(n + 1) - 2.0 * lam * gain / (n + 1)
    return gain, float(after) - before
