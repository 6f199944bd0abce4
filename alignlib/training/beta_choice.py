"""Which β to set for a wished KL, in the normalisation of the trainer, from samples of the base."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_number, as_whole, require
from alignlib._core.errors import InputError
from alignlib.estimation import Fit, beta_at
from alignlib.training.penalty import beta_to_set, effective_beta
from alignlib.training.trainer_penalties import BaseSamples, group_scaled, length_normalised, per_token, spent

__all__ = ["LEAST_KL", "MOST_GROUP", "NORMALISATIONS", "BetaChoice", "choose_beta"]

NORMALISATIONS = ("sequence", "per-token", "length-normalised", "group-centred", "group-scaled")
LEAST_KL = 1e-12  # nats: below, a KL is lost in the rounding of the law that spends it
MOST_GROUP = 1 << 16
_BLOCK = 1 << 17  # samples in work at a time
_MOST, _PROMPTS = 1 << 16, 400  # samples and prompts on which a coefficient is found


@dataclass(frozen=True)
class BetaChoice:
    """The β for a KL, and what to set for it, which depends on how a trainer charges its KL.

    None where what it takes is not known.

    Attributes
    ----------
    kl : float
        KL aimed at, in nats per sequence.
    beta, beta_low, beta_high : float
        β of ``E R - β KL(π‖p)`` with its interval, the KL summed over a response: what to set where a trainer takes the
        penalty per sequence.
    level : float
        Coverage that the interval aims at.
    length : float, optional
        Mean tokens of a response, at the optimum where those of the samples are known.
    group : int, optional
        Responses G to a prompt.
    deviation : float
        Mean deviation of the reward within a prompt at the optimum.
    scale, scale_low, scale_high : float, optional
        What a coefficient of 1 amounts to where rewards are divided by the deviation within the group: ``beta`` over
        ``group_scaled``, and where four of five prompts lie.
    still : int
        Prompts whose rewards do not vary.
    unequal : bool
        Whether the samples hold lengths and these differ. The next two then spend the KL with these lengths; else they
        are for responses of one length.
    per_token : float, optional
        For a KL per token against the reward of the whole response: of one length, ``beta`` times ``length``.
    length_normalised : float
        For a loss that divides reward's part, less the group's mean, and KL of a response by its length: of one length,
        ``beta (G-1)/G``.
    naive : tuple of float, optional
        KL that ``beta`` times ``length``, and ``beta``, would spend with lengths that differ.
    group_centred : float
        For a KL charged after the group's mean is taken off the rewards: ``beta (G-1)/G``, of a large group ``beta``.
    group_scaled : float, optional
        For a KL charged after they are also divided by the group's deviation.
    understated : float, optional
        By which part less ``per_token`` seems to spend on half of the samples of each prompt, where lengths differ.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((60, 32)), n_boot=100)
    >>> found = choose_beta(fit, 0.3)
    >>> bool(found.beta_low < found.beta < found.beta_high), found.per_token is None
    (True, True)
    """

    kl: float
    beta: float
    beta_low: float
    beta_high: float
    level: float
    length: float | None
    group: int | None
    deviation: float
    scale: float | None
    scale_low: float | None
    scale_high: float | None
    still: int
    unequal: bool
    per_token: float | None
    length_normalised: float
    naive: tuple[float, float] | None
    group_centred: float
    group_scaled: float | None
    understated: float | None = None

    def to_set(self, normalisation: str) -> float | None:
        """Return what to set in one of the ``NORMALISATIONS``.

        Parameters
        ----------
        normalisation : str
            How the trainer charges its KL, one of ``NORMALISATIONS``.
        """
        return {
            "sequence": self.beta,
            "per-token": self.per_token,
            "length-normalised": self.length_normalised,
            "group-centred": self.group_centred,
            "group-scaled": self.group_scaled,
        }[normalisation]


def choose_beta(
    fit: Fit, kl: float, *, length: float | None = None, tokens: str | None = None, group: int | None = None
) -> BetaChoice:
    r"""Return the β at which the optimum spends a KL, and what to set for that KL in every normalisation.

    Where responses have unequal lengths, or prompts unequal deviations, some normalisations rest at no optimum (see
    `alignlib.training.trainer_penalties`). What to set is found on the base samples: the coefficient whose policy at
    rest spends what the optimum at β does.

    Parameters
    ----------
    fit : Fit
        The run's reward, fitted on samples of its base.
    kl : float
        Wished KL in nats per sequence, at least 1e-12.
    length : float, optional
        Mean tokens of a response at that KL, where ``tokens`` is not given.
    tokens : str, optional
        The column of the fit's table with the tokens of each response.
    group : int, optional
        Responses to a prompt that the trainer compares, >= 2 and at most 65,536, the response itself
        among them; by default a large group.

    Raises
    ------
    UnsupportedBudgetError
        For a KL beyond what the samples support.
    InputError
        For numbers of tokens below 1, and a KL or a group out of range.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(2.0 * np.random.default_rng(1).standard_normal((100, 64)), n_boot=200)
    >>> found = choose_beta(fit, 0.5, length=100.0)
    >>> round(found.per_token / found.beta, 6), bool(abs(found.group_scaled - found.beta / 2.0) < 0.05)
    (100.0, True)

    Source: derived here; what scaling within a group does is in `effective_beta`.
    """
    if length is not None:
        as_number("length", length, 0.0, open_low=True)
    if group is not None:
        group = as_whole("group", group, 2, MOST_GROUP)
    as_number("kl", kl, LEAST_KL)
    if tokens is not None and tokens not in fit.table.columns:
        raise InputError(f"tokens must name a column of the fit's table; got {tokens!r}.", argument="tokens")
    beta, low, high = beta_at(fit, kl)
    lam = 1.0 / beta if beta > 0.0 else np.inf
    deviation, success = _at_optimum(fit, lam)
    varies = deviation > 0.0
    scales = np.array(
        [
            effective_beta(1.0, "after", group=group, success=float(chance))
            if group is not None and np.isfinite(chance)
            else effective_beta(1.0, "after", group=group, deviation=float(spread))
            for spread, chance in zip(deviation[varies], success[varies], strict=True)
        ]
    )
    ends = np.quantile(scales, [0.1, 0.9]) if scales.size else (None, None)
    base = _samples(fit, tokens)
    tilt = base.law(base.reward * lam) if beta > 0.0 else None
    scaled: float | None = None
    if scales.size:
        scaled = beta / float(scales.mean()) if tilt is None else group_scaled(base, base.kl(tilt), beta, group)
        if scaled and tilt is not None and group is not None and not np.isfinite(success[varies]).any():
            # The formula of large groups tells how prompts differ; of few responses all have another scale.
            large = group_scaled(base, base.kl(tilt), beta, None)
            ends = np.quantile(scales, [0.1, 0.9]) * (group - 1.0) / group * large / scaled
    if base.tokens is not None and tilt is not None:
        length = float(base.mean(tilt, base.tokens).mean())
    unequal = base.tokens is not None and bool(np.ptp(base.tokens) > 0.0) and tilt is not None
    held = 1.0 if group is None else (group - 1.0) / group  # of a reward, once its group's mean is taken off
    by_token, by_length, naive = None if length is None else beta * length, held * beta, None
    less: float | None = None
    if unequal and tilt is not None and by_token is not None:
        target = base.kl(tilt)
        plain = (spent(base, by_token, "per-token"), spent(base, beta / held, "length-normalised"))
        naive = (plain[0] * kl / target, plain[1] * kl / target)
        by_token, by_length = per_token(base, target, by_token), held * length_normalised(base, target, beta)
        less = 1.0 - sum(spent(_half(base, side), by_token, "per-token") for side in (0, 1)) / (2.0 * target)
    return BetaChoice(
        kl=float(kl),
        beta=beta,
        beta_low=low,
        beta_high=high,
        level=fit.level,
        length=length,
        group=group,
        deviation=float(deviation[varies].mean()) if scales.size else 0.0,
        scale=None if not scaled else beta / scaled,
        scale_low=None if ends[0] is None else float(ends[0]),
        scale_high=None if ends[1] is None else float(ends[1]),
        still=int((~varies).sum()),
        unequal=unequal,
        per_token=by_token,
        length_normalised=by_length,
        naive=naive,
        group_centred=beta_to_set(beta, "after", group=group),
        group_scaled=scaled,
        understated=less,
    )


def _half(base: BaseSamples, side: int) -> BaseSamples:
    """Return every second sample of each prompt, from the first or the second on; of prompts of one sample that."""
    place = np.arange(base.reward.size) - np.repeat(base.start, base.size)
    kept = (place % 2 == side) | np.repeat(base.size == 1, base.size)
    size = np.where(base.size == 1, 1, (base.size + 1 - side) // 2)
    return BaseSamples(base.reward[kept], size, None if base.tokens is None else base.tokens[kept])


def _samples(fit: Fit, tokens: str | None) -> BaseSamples:
    """Return the base samples, of large tables those of some prompts, evenly spaced: enough for a coefficient."""
    table, size = fit.table, np.asarray(fit.table.n_samples, dtype=np.int64)
    held = None if tokens is None else table.column(tokens)
    if held is not None:
        least = float(held.min())
        require(least >= 1.0, f"tokens must be 1 or more of each response; {tokens!r} holds {least:g}.", "tokens")
    every = max(math.ceil(table.n_samples.sum() / _MOST), math.ceil(table.n_prompts / _PROMPTS))
    some = np.zeros(table.n_prompts, dtype=bool)
    some[::every] = True
    kept = np.repeat(some, size)
    return BaseSamples(table.column(fit.reward)[kept], size[some], None if held is None else held[kept])


def _at_optimum(fit: Fit, lam: float) -> tuple[FloatArray, FloatArray]:
    """Return each prompt's deviation of the reward under the tilt, and how often it is right where rewards are 0 or 1.

    The weighted variance is divided by ``1 - Σ w²``, without which few samples understate it.
    """
    column, table = fit.reward, fit.table
    deviation, success = np.zeros(table.n_prompts), np.full(table.n_prompts, np.nan)
    binary = set(table.extremes(column)) <= {0.0, 1.0} and bool(np.isin(table.column(column), (0.0, 1.0)).all())
    for where, rewards in table.blocks(column, _BLOCK):
        top = rewards.max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            weight = np.where(rewards == top, 1.0, np.exp(lam * (rewards - top)))
        weight /= weight.sum(axis=1, keepdims=True)
        mean = (weight * rewards).sum(axis=1, keepdims=True)
        apart = 1.0 - np.square(weight).sum(axis=1)
        spread = (weight * np.square(rewards - mean)).sum(axis=1)
        varies = np.ptp(rewards, axis=1) > 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation[where] = np.where(varies & (apart > 0.0), np.sqrt(spread / apart), 0.0)
        if binary:
            success[where] = np.where(varies, mean[:, 0], np.nan)
    return deviation, np.where((success > 0.0) & (success < 1.0), success, np.nan)
