"""The KL penalty that a trainer's setting amounts to: what to set, so that the optimum at β is aimed at."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import scipy

from alignlib._core.checks import as_number, require

__all__ = ["beta_to_set", "effective_beta", "group_gap"]

_CHARGED = ("before", "after")


def effective_beta(
    beta: float, charged: str, *, group: int | None = None, deviation: float = 1.0, success: float | None = None
) -> float:
    r"""Return the β of ``E R - β KL(π‖p)`` that a trainer's β amounts to.

    ``β`` itself if the KL is charged before rewards are centred and scaled in their group, since the scale then is that
    of both. ``β s G/(G-1)`` if it is charged after: rewards are divided by s, and a group's mean that holds the
    response itself takes 1/G of its reward away. That is exact for an s that is the same for every group. Where each
    group is divided by its own deviation, it is the limit of large groups only: of right and wrong answers, half of
    them right, pairs come to 1.41 times as much and groups of 8 to 1.01 times; at one right in twenty, to 3.24
    and 1.74 times. For these `success` gives what is exact, ``β/gap`` with `group_gap`; it is never less.

    Parameters
    ----------
    beta : float
        The trainer's coefficient, >= 0.
    charged : str
        ``"before"``: in the reward that the group compares. ``"after"``: in the loss, or in the reward of tokens once
        the group's mean has been taken off.
    group : int, optional
        Responses G whose mean is the baseline, the response itself among them; leave out for a leave-one-out baseline,
        a critic or none.
    deviation : float
        What rewards are divided by before the KL is charged, > 0: the standard deviation of the policy's rewards on a
        prompt, or of the batch's.
    success : float, optional
        In place of ``deviation``, for rewards of 0 and 1 that are divided by the sample deviation of their group: how
        often the policy is right on a prompt, in (0, 1). Needs ``group``.

    Raises
    ------
    InputError
        If a number is out of range, or ``success`` comes with a deviation or without a group.

    Examples
    --------
    >>> effective_beta(0.1, "after", group=8, deviation=0.5), effective_beta(0.1, "before", group=8, deviation=0.5)
    (0.05714285714285714, 0.1)
    >>> [round(effective_beta(0.1, "after", group=g, success=0.5), 4) for g in (2, 8, 1000)]
    [0.1414, 0.0576, 0.0501]

    Source: we derive.
    """
    as_number("beta", beta, 0.0)
    return beta * _scale(charged, group, deviation, success)


def beta_to_set(
    beta: float, charged: str, *, group: int | None = None, deviation: float = 1.0, success: float | None = None
) -> float:
    """Return the coefficient to set for the optimum at β: the inverse of `effective_beta`.

    Parameters
    ----------
    beta : float
        The β wished for, >= 0; ``1 / law.lam_at_kl(kl)`` for a wished KL.
    charged : str
        How the trainer charges its KL, as in `effective_beta`.
    group : int, optional
        Responses to a prompt.
    deviation : float
        Deviation of the reward within a prompt; exact in large groups only.
    success : float, optional
        For 0/1 rewards the probability to be right, in (0, 1).

    Raises
    ------
    InputError
        If ``beta`` is negative, or another argument is not one that `effective_beta` takes.

    Examples
    --------
    >>> round(beta_to_set(0.1, "after", group=8), 6)
    0.0875
    """
    as_number("beta", beta, 0.0)
    return beta / _scale(charged, group, deviation, success)


def _scale(charged: str, group: int | None, deviation: float, success: float | None) -> float:
    require(charged in _CHARGED, f"charged must be one of {', '.join(_CHARGED)}; got {charged!r}.")
    require(
        group is None or (isinstance(group, (int, np.integer)) and group >= 2),
        f"group must be a whole number of at least 2, or None; got {group!r}.",
    )
    as_number("deviation", deviation, 0.0, open_low=True)
    if success is not None:
        require(
            group is not None, "group must be given where success is: the deviation is that of each group.", "group"
        )
        require(
            deviation == 1.0, "deviation must be left out where success is given, which determines it.", "deviation"
        )
        gap = group_gap(success, cast(int, group))
        return 1.0 if charged == "before" else 1.0 / gap
    if charged == "before":
        return 1.0
    return deviation * (1.0 if group is None else group / (group - 1.0))


def group_gap(success: float, group: int) -> float:
    r"""Return how much more a right answer's standardised reward is, on average, than a wrong one's.

    With K of G answers right, a right one gets ``√((G-1)/G · (G-K)/K)``, a wrong one ``-√((G-1)/G · K/(G-K))``, and 0
    where all are alike. Training with a KL charged after stands at the optimum of 0/1 rewards at ``β/gap``. The gap
    tends to ``1/√(s(1-s))`` as G grows, and never exceeds ``(G-1)/G`` of it.

    Parameters
    ----------
    success : float
        Probability s that the policy is right, in (0, 1).
    group : int
        Responses G to a prompt, >= 2; divided by their sample standard deviation.

    Raises
    ------
    InputError
        If ``success`` lies outside (0, 1), or ``group`` is no whole number from 2 on.

    Examples
    --------
    >>> round(group_gap(0.5, 2), 6), round(group_gap(0.5, 1000), 3)
    (0.707107, 1.998)

    Source: we derive.
    """
    as_number("success", success, 0.0, 1.0, open_low=True, open_high=True)
    require(isinstance(group, (int, np.integer)) and group >= 2, f"group must be a whole number >= 2; got {group!r}.")
    others = np.arange(group)  # right ones among the other G - 1
    log_gamma, log_xy = scipy.special.gammaln, scipy.special.xlogy
    log_chance = log_gamma(group) - log_gamma(others + 1.0) - log_gamma(group - others)
    log_chance += log_xy(others, success) + (group - 1.0 - others) * math.log1p(-success)
    chance = np.exp(log_chance)
    with np.errstate(divide="ignore"):
        right = np.sqrt((group - 1.0 - others) / (others + 1.0))
        wrong = np.where(others > 0, np.sqrt(others / (group - others)), 0.0)
    return float(math.sqrt((group - 1.0) / group) * (chance @ (right + wrong)))
