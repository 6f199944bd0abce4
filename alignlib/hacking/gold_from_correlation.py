"""What a proxy's correlation with gold promises on a table: `alignlib.hacking.gold_range` with the error of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import BoolArray, FloatArray, as_level, as_vector, require
from alignlib._core.same import SameFields
from alignlib.divergences import CHI_SQUARED
from alignlib.estimation import Cells, Fit
from alignlib.hacking.gold_range import check_correlation, ends_of_range
from alignlib.hacking.gold_subset import heavy_tail_note, skew_stretch
from alignlib.rules import BestOfN, Rule, prepare

__all__ = ["GoldPromise", "promise_gold"]

_BLOCK = 1 << 18  # samples in work at a time
_TILTS = 6
_MOST_CORRECTED = 0.15  # of χ²: a larger correction tells that too few samples carry it


@dataclass(frozen=True, eq=False)
class GoldPromise(SameFields):
    """What optimising a proxy does to gold, as far as a correlation tells; gains are in standard deviations of gold.

    Given the ``correlation`` and the table as they are, gold's gain lies between ``gold_low`` and ``gold_high``, and
    both are reached by some gold where they differ; ``promised`` and ``most`` allow for the ends of the correlation
    too, and for the error of the table.

    Attributes
    ----------
    policy : tuple of str
        What is looked at, one entry each.
    n, lam : array (policies,)
        N of a rule, λ of a tilt; NaN for the other kind.
    spent : array (policies,)
        KL to the base in nats.
    chi_squared : array (policies,)
        χ² to the base.
    proxy_gain : array (policies,)
        Gain in the proxy, in its own standard deviations.
    gold_low, gold_high : array (policies,)
        Ends of gold's range, sharp.
    promised, most : array (policies,)
        The range with the errors of what was measured.
    correlation, correlation_low, correlation_high : float
        Of gold and proxy within prompts, with its interval.
    proxy : str
        The column that is optimised.
    level : float
        Coverage aimed at.
    notes : tuple of str
        Where the proxy's tail is too heavy for ``promised`` and ``most`` to be as sure as ``level``.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((100, 32)), n_boot=100)
    >>> found = promise_gold(fit, 0.8, rules=[BestOfN(2)], kl=[0.1])
    >>> found.policy, bool(found.gold_low[0] < found.gold_high[0])
    (('best-of-2', 'tilt at 0.1 nats'), True)
    """

    policy: tuple[str, ...]
    n: FloatArray
    lam: FloatArray
    spent: FloatArray
    chi_squared: FloatArray
    proxy_gain: FloatArray
    gold_low: FloatArray
    gold_high: FloatArray
    promised: FloatArray
    most: FloatArray
    correlation: float
    correlation_low: float
    correlation_high: float
    proxy: str
    level: float
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the correlation and the largest promise."""
        best = self.best
        what = f"{self.policy[best]} promises {self.promised[best]:.3g} SD" if self.policy else "no policy"
        return f"<GoldPromise at a correlation of {self.correlation:g}: {what}>"

    @property
    def best(self) -> int:
        """Which policy promises the most gold."""
        return int(np.argmax(self.promised))


def promise_gold(
    fit: Fit,
    correlation: float | Sequence[float],
    *,
    rules: Sequence[Rule] | None = None,
    kl: npt.ArrayLike | None = None,
    level: float | None = None,
) -> GoldPromise:
    """Say what best-of-N and tilting by a fitted proxy promise of a gold of which only its correlation is known.

    Parameters
    ----------
    fit : Fit
        Of the proxy.
    correlation : float, or (value, low, high)
        Correlation of gold and proxy within prompts: covariance and variances averaged over prompts.
    rules : list of Rule, optional
        By default best-of-N for the powers of two up to the fewest samples of a prompt.
    kl : array, optional
        Budgets of the tilt, in nats; those that the samples do not support are left out. By default six up to the
        largest supported.
    level : float, optional
        How sure ``promised`` and ``most`` are of the table's error; that of the fit by default.

    Raises
    ------
    InputError
        For a correlation outside [-1, 1], or a proxy that does not vary, which has no correlation.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((200, 32)))
    >>> found = promise_gold(fit, 0.8, rules=[BestOfN(4)], kl=[0.1])
    >>> found.policy, bool((found.promised < found.gold_low).all())
    (('best-of-4', 'tilt at 0.1 nats'), True)

    Source: `gold_range`; for gain and χ² each at half the error. The interval of ``log ĝ/σ̂`` is a bootstrap-t over
    prompts, never shorter than Student's, and longer where variances are skewed: of few samples a heavy tail shows
    nothing of the responses that make most of σ̂, and then the interval may still be too short.
    """
    value, least, largest = check_correlation(correlation)
    sure = fit.level if level is None else as_level(level)
    table, proxy = fit.table, fit.reward
    table.check_varies(proxy)
    fewest = int(table.n_samples.min())
    chosen = [BestOfN(2.0**k) for k in range(1, fewest.bit_length())] if rules is None else list(rules)
    for rule in chosen:
        require(not rule.lacks, rule.lacks, "rules")
    chosen = [rule for rule in chosen if rule.needs <= fewest]
    budgets, lam = _tilts(fit, kl)
    parts = _of_cells(fit, chosen, lam)
    ahead = np.abs(fit.cells.whole[0] @ parts.correction)  # how far a bias that was corrected may still go
    known = np.ones(len(chosen) + lam.size, dtype=bool)
    known[len(chosen) :] = (
        ahead[len(chosen) :] <= _MOST_CORRECTED * (fit.cells.whole[0] @ parts.chi_squared)[len(chosen) :]
    )
    if not np.isfinite(parts.variance).all():
        known[:], chosen = False, []
    parts, ahead, kept = parts.take(known), ahead[known], known[known.size - lam.size :]
    budgets, lam = budgets[kept], lam[kept]
    gain, rest, rest_error, chi_error = _standardised(parts, fit.cells)
    mean_chi = fit.cells.whole[0] @ parts.chi_squared
    tail = (1.0 - sure) / 4.0  # of each side, gain and χ² get half
    quantile = float(scipy.special.stdtrit(max(len(fit.cells.size) - 1, 1), 1.0 - tail))
    longer = skew_stretch(parts.variance)
    gains = _gain_ends(parts, fit.cells, fit.weights, quantile * longer, tail)
    most_gain = np.sqrt(np.maximum(mean_chi, 0.0) + ahead + quantile * chi_error * longer)  # no policy gains more
    gains = gains[0], np.maximum(np.minimum(gains[1], most_gain), gains[0])
    further = quantile * rest_error * fit.cells.stretch(mean_chi, rest_error)
    # What a smaller gain leaves of χ² is open.
    wide = np.sqrt(np.maximum(rest, 0.0) + ahead + np.maximum(further, np.square(gain) - np.square(gains[0])))
    corners = [ends_of_range(end, wide, least, largest) for end in gains]
    at_value = ends_of_range(gain, np.sqrt(np.maximum(rest, 0.0)), value, value)
    heavy = heavy_tail_note(table, proxy, "the promise")
    names = [rule.title for rule in chosen] + [f"tilt at {budget:.3g} nats" for budget in budgets.tolist()]
    return GoldPromise(
        policy=tuple(names),
        n=np.array([rule.draws for rule in chosen] + [math.nan] * lam.size),
        lam=np.array([math.nan] * len(chosen) + lam.tolist()),
        spent=np.concatenate([fit.cells.whole[0] @ parts.kl, budgets]),
        chi_squared=mean_chi,
        proxy_gain=gain,
        gold_low=at_value[0],
        gold_high=at_value[1],
        promised=np.minimum(corners[0][0], corners[1][0]),
        most=np.maximum(corners[0][1], corners[1][1]),
        correlation=value,
        correlation_low=least,
        correlation_high=largest,
        proxy=proxy,
        level=sure,
        notes=() if heavy is None else (heavy,),
    )


@dataclass(frozen=True, eq=False)
class _Parts(SameFields):
    """Means over cells: variance (cells,); gain, χ² and the correction of its bias (cells, policies); KL of rules."""

    variance: FloatArray
    gain: FloatArray
    chi_squared: FloatArray
    correction: FloatArray
    kl: FloatArray

    def take(self, policies: BoolArray) -> _Parts:
        """Return the parts of some policies."""
        gain, chi, off = (part[:, policies] for part in (self.gain, self.chi_squared, self.correction))
        return _Parts(self.variance, gain, chi, off, self.kl[:, policies[: self.kl.shape[1]]])


def _tilts(fit: Fit, kl: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """Return the supported budgets and their λ."""
    nothing = np.empty(0), np.empty(0)
    end = fit.supported_end
    if fit.problem is not None or not end > 0.0:
        return nothing
    most = min(end, float(np.log(fit.table.n_samples).mean()))
    budgets = most * np.linspace(0.0, 1.0, _TILTS + 1)[1:] ** 2 if kl is None else as_vector("kl", np.atleast_1d(kl))
    budgets = budgets[(budgets > 0.0) & (budgets <= end * (1.0 + 1e-12))]
    if not budgets.size:
        return nothing
    lam = fit.at(budgets).lam
    return budgets[np.isfinite(lam)], lam[np.isfinite(lam)]


def _of_cells(fit: Fit, rules: Sequence[Rule], lam: FloatArray) -> _Parts:
    table, cells = fit.table, fit.cells
    k, m = len(rules), len(rules) + lam.size

    def of_prompts(rows: FloatArray) -> FloatArray:
        """Variance, gains, χ², its corrections and KL, shape (prompts, 1 + 3 m + k)."""
        rows = np.sort(rows, axis=1)[:, ::-1]
        base = rows.mean(axis=1)
        samples = prepare(rows)
        found = [(rule.evaluate(samples, CHI_SQUARED), rule.evaluate(samples)) for rule in rules]
        tilted = [_tilted(rows - base[:, None], value) for value in lam.tolist()]
        # Of one sample, as where one of a prompt's two is left out, there is no variance.
        columns = [rows.var(axis=1, ddof=1) if rows.shape[1] > 1 else np.full(len(rows), np.nan)]
        columns += [one.mean - base for one, _ in found] + [gain for gain, _, _ in tilted]
        columns += [one.spent for one, _ in found] + [chi for _, chi, _ in tilted]
        columns += [np.zeros(len(rows)) for _ in found] + [off for _, _, off in tilted]
        return np.stack([*columns, *(one.spent for _, one in found)], axis=1)

    if cells.fixed_prompts:
        column = table.column(fit.reward)

        def of_samples(own: FloatArray, groups: Cells) -> FloatArray:
            order = np.argsort(-own, kind="stable")
            return groups.pseudo_values(lambda kept: of_prompts(own[kept]), of_prompts(own[None])[0], order)

        values = cells.joined([of_samples(column[where], groups) for where, groups in cells.of_each])
    else:
        rows = np.empty((table.n_prompts, 1 + 3 * m + k))
        for where, rewards in table.blocks(fit.reward, _BLOCK):
            rows[where] = of_prompts(rewards)
        values = cells.mean(rows)
    gain, chi, off = (values[:, 1 + i * m : 1 + (i + 1) * m] for i in range(3))
    return _Parts(values[:, 0], gain, chi, off, values[:, 1 + 3 * m :])


def _tilted(centred: FloatArray, lam: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gain and χ² of the tilt on each prompt, jackknifed, and by how much χ² was corrected for its bias of O(1/n)."""
    n = centred.shape[1]
    weight = np.exp(lam * (centred - centred.max(axis=1, keepdims=True)))
    sums = [part.sum(axis=1, keepdims=True) for part in (weight, weight * weight, weight * centred)]
    one, two, gain = sums
    less = one - weight
    safe = np.where(less > 0.0, less, 1.0)
    left_gain = np.where(less > 0.0, (gain - weight * centred) / safe, 0.0).mean(axis=1)
    left_chi = ((n - 1) * np.where(less > 0.0, (two - weight * weight) / safe**2, 1.0) - 1.0).mean(axis=1)
    whole_gain, whole_chi = (gain / one)[:, 0], (n * two / one**2)[:, 0] - 1.0
    # The base's mean of the samples left is not 0: it moves by what is left out, which averages to nothing.
    chi = n * whole_chi - (n - 1) * left_chi
    return n * whole_gain - (n - 1) * left_gain, chi, chi - whole_chi


def _standardised(parts: _Parts, cells: Cells) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return ``ĝ/σ̂``, ``χ² - ĝ²/σ̂²``, and the standard errors of this and of χ², by the delta method over cells."""
    whole = cells.whole[0]
    variance, gain, chi = whole @ parts.variance, whole @ parts.gain, whole @ parts.chi_squared
    off_v, off_g, off_x = parts.variance[:, None] - variance, parts.gain - gain, parts.chi_squared - chi
    of_rest = off_x - 2.0 * gain / variance * off_g + np.square(gain / variance) * off_v
    few = max(len(cells.size) - 1, 1)
    errors = [np.sqrt(whole @ np.square(one) / few) for one in (of_rest, off_x)]
    return gain / math.sqrt(float(variance)), chi - np.square(gain) / variance, errors[0], errors[1]


def _gain_ends(
    parts: _Parts, cells: Cells, weights: FloatArray, reach: float, tail: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of ``ĝ/σ̂``: a bootstrap-t of its logarithm, and at least ``reach`` standard errors.

    Of a skewed proxy σ̂ is mostly too small, and so is the error that comes with it: the logarithm's t knows of both.
    """
    units = [
        float(np.abs(one).max(initial=0.0)) or 1.0 for one in (parts.variance, parts.gain)
    ]  # squares stay within floats
    v, g = parts.variance[:, None] / units[0], parts.gain / units[1]
    mean_v, mean_g = np.maximum(weights @ v, 0.0), weights @ g
    few = max(len(cells.size) - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = [weights @ one for one in (np.square(g), g * v, np.square(v))]
        spread = off[0] / mean_g**2 - off[1] / (mean_g * mean_v) + off[2] / (4.0 * mean_v**2) - 0.25
        error = np.sqrt(np.maximum(spread, 0.0) / few)
        log = np.where((mean_g > 0.0) & (mean_v > 0.0), np.log(mean_g) - 0.5 * np.log(mean_v), np.nan)
        t = np.where(error[1:] > 0.0, (log[1:] - log[0]) / error[1:], np.nan)
    t = np.where(np.isfinite(t), t, 0.0)
    longer = max(reach / float(scipy.special.stdtrit(few, 1.0 - tail)), 1.0)
    down = np.maximum(longer * np.quantile(t, 1.0 - tail, axis=0), reach) * error[0]
    up = np.maximum(longer * -np.quantile(t, tail, axis=0), reach) * error[0]
    value = mean_g[0] / math.sqrt(float(mean_v[0, 0])) * (units[1] / math.sqrt(units[0]))
    low, high = (np.where(value > 0.0, value * np.exp(np.minimum(arm, 300.0)), 0.0) for arm in (-down, up))
    return low, high
