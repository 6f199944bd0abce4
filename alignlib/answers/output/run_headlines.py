"""A run in a sentence: the KL of its last checkpoint, and where it lies beside the limit."""

from __future__ import annotations

import numpy as np

from alignlib._core.shown import between
from alignlib.answers.output.render import percent
from alignlib.training.envelope import Floor
from alignlib.training.placing import Overlay
from alignlib.training.rounded_kl import half_digit

__all__ = ["headlines", "nats"]


def headlines(found: Overlay) -> tuple[str, ...]:
    """Return the answer for each run: its last checkpoint first, then the last that the samples support.

    Parameters
    ----------
    found : Overlay
        Runs beside their limit.

    Returns
    -------
    tuple of str
        One answer for each run.

    Examples
    --------
    >>> from alignlib.training import overlay
    >>> from alignlib.training.example_run import example_run
    >>> from alignlib.estimation import fit_frontier
    >>> log, table = example_run(60, 32, np.random.default_rng(0))
    >>> (said,) = headlines(overlay(log, fit_frontier(table, n_boot=100)))
    >>> "the run has gained" in said, "of what any method can gain there" in said
    (True, True)
    """
    return tuple(_headline(found, name) for name in found.log.runs)


def _headline(found: Overlay, run: str) -> str:
    log, mine = found.log, np.flatnonzero(found.log.run == run)
    last = int(mine[-1])
    who = f"At step {log.step[last]:g} {repr(run) if len(log.runs) > 1 else 'the run'}"
    said = f"{who} {_place(found, last)}"
    if found.above[mine].any() and not found.above[last]:
        said += (
            " Other points of it are above the limit, where no policy can be: its reward, base or unit is not the "
            "table's, or its samples lack a rare reward (see above), and this says nothing."
        )
    elif found.doubted and not found.above[last]:
        why = (
            " The notes above doubt that the run's reward, prompts and base are the table's: only then does this hold."
        )
        said += why
    known = mine[found.supported[mine] & ~found.above[mine]]
    told = found.supported[last] or found.above[mine].any() or not known.size
    i = int(known[-1]) if known.size else last
    if told or not found.share_high[i] - found.share_low[i] < 1.0 or found.share[i] >= 1.0 or found.share[i] < 0.0:
        return said
    before = f"At step {log.step[i]:g} ({nats(found, i)} nats), the last within the samples' support, it had"
    share = (
        f"{percent(found.share[i])} ({_ends_of_share(found, i)})"
        if np.isfinite(found.share[i])
        else _ends_of_share(found, i)
    )
    return f"{said} {before} {share} of what any method can gain there."


def nats(found: Overlay | Floor, i: int) -> str:
    """Write the KL of a point, or the ends between which it lies.

    Parameters
    ----------
    found : Overlay or Floor
        Runs beside their limit, or alone.
    i : int
        Which point.
    """
    low, high = (float(one[i]) for one in found.log.ends)
    return f"{low:z.2f}" if found.log.kl_low is None else between(low, high, ".2g")


def _ends_of_share(found: Overlay, i: int) -> str:
    """Write the interval of the share of the limit at a point.

    Parameters
    ----------
    found : Overlay
        Runs beside their limit.
    i : int
        Which point.
    """
    return f"{percent(found.share_low[i])} to {percent(min(found.share_high[i], 1.0))}"


def _place(found: Overlay, i: int) -> str:
    """Say where one point is: impossible, of no gain, beside the limit, or beyond what the samples show of it.

    Parameters
    ----------
    found : Overlay
        Runs beside their limit.
    i : int
        Which point.
    """
    kl, gain, end = found.log.kl[i], found.gain[i], found.frontier.supported_end
    at_base = kl == 0.0 and found.log.ends[1][i] == 0.0  # and not rounded to it
    has = f"has gained {gain:.3g} of {found.measured_in!r} for {nats(found, i)} nats per sequence"
    if kl < 0.0:
        return f"has gained {gain:.3g} of {found.measured_in!r} at a KL below 0, which has no place beside the limit."
    if found.above[i] and at_base:
        why = "its KL is not what is logged, or its reward scale or base are not the table's; see above for which"
        return f"{has}, more than chance gives a policy that is the base itself: {why}."
    if found.above[i] and not gain > found.limit_high[i]:
        return f"{has}, to a mean above the largest reward there is: another reward scale than the table's."
    if found.above[i]:
        why = (
            "another reward scale, base, prompts or unit than the table's, or a reward too rare for it; see above for "
            "which"
        )
        return f"{has}, more than any method can gain there ({found.limit_high[i]:.3g} at most): {why}."
    if at_base and (found.gain_high[i] < 0.0 or found.gain_low[i] > 0.0):
        moved = f"its gain of {gain:.3g} of {found.measured_in!r} is chance, or its KL is not what is logged, or its"
        return f"is at 0 nats, the base itself: {moved} reward, prompts or base are not the table's."
    if at_base and (found.log.kl_low is not None or half_digit(found.log)[i] > 0.0):
        return (
            f"is at 0 nats as its KL is logged, and may be the base: its gain of {gain:.3g} of {found.measured_in!r} "
            "cannot be told from noise."
        )
    if at_base:
        return (
            f"is at 0 nats, the base itself: its gain of {gain:.3g} of {found.measured_in!r} cannot be told from noise."
        )
    if found.gain_high[i] < 0.0:
        lost = f"has lost {-gain:.3g} of {found.measured_in!r} for {nats(found, i)} nats per sequence"
        return f"{lost}: the base itself has more" + (", so all of that KL is wasted." if kl > 0.0 else ".")
    if found.gain_low[i] <= 0.0 and gain <= 0.0:
        return f"{has}, nothing beyond noise."
    if found.log.kl_low is not None and found.log.ends[0][i] < found.log.ends[1][i]:
        return _between(found, i, has)
    if kl > 0.0 and np.isnan([found.share_low[i], found.share_high[i]]).all():
        return f"{has}; what share of the limit that is cannot be told, for its checkpoints are on different prompts."
    if not found.supported[i]:
        return _beyond(found, i, has, end)
    if not found.share_high[i] - found.share_low[i] < 1.0:
        if found.share_low[i] > 0.0:
            least = percent(found.share_low[i])
            return f"{has}, at least {least} of what any method can gain there; log or base samples tell no more."
        return f"{has}; what share of the limit that is cannot be told, for log or base samples are too few."
    if found.share[i] >= 1.0:
        least = percent(found.share_low[i])
        return f"{has}, which cannot be told from the most that any method can gain there (at least {least} of it)."
    wasted = ""
    if np.isfinite(found.wasted[i]):
        bounds = f"{found.wasted_low[i]:z.2f} to {found.wasted_high[i]:z.2f}"
        wasted = (
            f"; {_nats(float(found.needed[i]))} nats would do for that gain, {found.wasted[i]:z.2f} ({bounds}) are "
            "wasted"
        )
    share = f"{percent(found.share[i])} ({_ends_of_share(found, i)}) of what any method can gain there"
    return f"{has}, {share}{wasted}."


def _between(found: Overlay, i: int, has: str) -> str:
    """Say what is known where the log holds means only, which give ends of the KL or none."""
    low, high = found.share_low[i], found.share_high[i]
    said = f"{has}, for its log tells only ends of the KL"
    if high < 1.0:
        said += f": {percent(max(low, 0.0))} to {percent(high)} of what any method can gain there"
    elif low > 0.0:
        said += f": at least {percent(min(low, 1.0))} of what any method can gain there"
    else:
        said += ", so what share of the limit that is cannot be told"
    if found.wasted_low[i] > 0.0:
        said += f"; {between(found.wasted_low[i], found.wasted_high[i], '.2g')} nats of it are wasted"
    same = f"est-of-N with N = {found.equal_n[i]:g} gains as much for {found.equal_n_kl[i]:z.2f}"
    known = np.isfinite(found.equal_n_kl[i]) and found.equal_n[i] > 1.0
    if np.isfinite(found.needed[i]):
        said += f". {_nats(float(found.needed[i]))} nats would do for that gain{f' (b{same})' if known else ''}"
    elif known:
        said += f". B{same} nats"
    return f"{said}; {found.log.remedy}."


def _beyond(found: Overlay, i: int, has: str, end: float) -> str:
    """Say what is known of a run that went further than the samples show the limit: floors."""
    least = f", at least {percent(min(found.share_low[i], 1.0))} of it" if found.share_low[i] > 0.0 else ""
    said = f"{has}, beyond the {end:.3g} nats to which the base samples show the limit{least}."
    if np.isfinite(found.wasted[i]):
        bounds = f"{max(found.wasted_low[i], 0.0):z.2f} to {found.wasted_high[i]:z.2f}"
        needed = _nats(float(found.needed[i]))
        said += f" {needed} nats would do for that gain: {found.wasted[i]:z.2f} ({bounds}) are wasted"
    elif found.wasted_low[i] > 0.0:
        said += f" At least {found.wasted_low[i]:z.2f} of its nats are wasted"
    else:
        most = int(found.largest_n)
        return (
            f"{said} No best-of-N up to the {most} samples of a prompt surely gains as much, so what is wasted is not "
            "known; draw more samples per prompt, or give the bounds of the reward (bounded)."
        )
    if np.isfinite(found.equal_n_kl[i]) and found.equal_n[i] > 1.0:
        said += f" (best-of-N with N = {found.equal_n[i]:g} gains as much for {found.equal_n_kl[i]:z.2f})"
    return f"{said}."


def _nats(kl: float) -> str:
    """Return a KL with two decimals, or with the first that is none.

    >>> _nats(0.5), _nats(0.0042), _nats(0.0)
    ('0.50', '0.004', '0.00')
    """
    return f"{kl:z.2f}" if abs(kl) >= 0.005 or kl == 0.0 else f"{kl:.1g}"  # half of the last decimal
