"""The functional forms of reward over-optimisation in ``d = √KL`` fitted to checkpoints, with honest residuals.

``"best_of_n"`` is ``a + d (α - β d)``, ``"rl"`` is ``a + d (α - β log d)`` and ``"sqrt"``, the √KL law to compare with,
is ``a + α d``. All are linear in their coefficients, so the fit is least squares; checkpoints of one training run are
not independent, so intervals leave whole runs out in turn. With runs of the same checkpoints that is the t-interval of
the coefficients fitted run by run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_level, as_vector, require, require_range

__all__ = ["FORMS", "ScalingFit", "fit_scaling"]

FORMS = ("best_of_n", "rl", "sqrt")


@dataclass(frozen=True)
class ScalingFit:
    """A fitted form, each coefficient with its interval (NaN for a coefficient the form lacks).

    The intervals assume that runs are drawn independently and that their coefficients are about normal; nothing is
    assumed of points within a run.

    Attributes
    ----------
    form : str
        Which form was fitted.
    intercept : float
        Gold at KL 0, given or fitted.
    alpha, alpha_low, alpha_high : float
        Coefficient of ``√KL``, with its interval.
    beta, beta_low, beta_high : float
        What bends it down, with its interval.
    peak_kl : float
        KL in nats where the form turns down, ``inf`` where it does not.
    peak_kl_low, peak_kl_high : float
        Its interval, Fieller's for ``α/β``, which reaches infinity where the runs do not show that the form turns.
    residual_sd : float
        Root mean square residual, with the degrees of freedom taken off.
    left_out_sd : float
        That of runs predicted by a fit to the other runs.
    r_squared : float
        Share of variance explained.
    run_correlation : float
        Share of the residual variance that lies between runs: where it is large, runs differ and one curve does not
        describe them.
    n_points, n_runs : int
        What was fitted.
    level : float
        Coverage that the intervals aim at.
    freedom : float
        Degrees of freedom of the t-quantile for α.

    Examples
    --------
    >>> d = np.sqrt(np.linspace(0.5, 30, 20))
    >>> found = fit_scaling(d**2, d * (2.0 - 0.3 * d), form="best_of_n")
    >>> round(found.peak_kl, 4), found.n_points, bool(found.residual_sd < 1e-9)
    (11.1111, 20, True)
    """

    form: str
    intercept: float
    alpha: float
    alpha_low: float
    alpha_high: float
    beta: float
    beta_low: float
    beta_high: float
    peak_kl: float
    peak_kl_low: float
    peak_kl_high: float
    residual_sd: float
    left_out_sd: float
    r_squared: float
    run_correlation: float
    n_points: int
    n_runs: int
    level: float
    freedom: float

    def predict(self, kl: npt.ArrayLike) -> FloatArray:
        """Gold that the form expects.

        Parameters
        ----------
        kl : array
            KL to the base in nats, >= 0.

        Returns
        -------
        array (k,)
            In the unit of gold.

        Raises
        ------
        InputError
            If a KL is negative or not a number.
        """
        values = np.atleast_1d(require_range("kl", kl, 0.0))
        beta = 0.0 if math.isnan(self.beta) else self.beta
        coefficients = np.array([self.alpha, beta])[: _size(self.form)]
        return np.asarray(self.intercept + _design(np.sqrt(values), self.form) @ coefficients)


def fit_scaling(
    kl: npt.ArrayLike,
    gold: npt.ArrayLike,
    run: Sequence[object] | None = None,
    *,
    form: str = "rl",
    intercept: float | None = None,
    level: float = 0.95,
) -> ScalingFit:
    """Fit a functional form of gold against KL by least squares, with intervals over runs.

    Parameters
    ----------
    kl, gold : array (k,)
        KL in nats, > 0, and gold score of each checkpoint.
    run : sequence (k,), optional
        The run each checkpoint belongs to, the unit that is left out; each point is its own if omitted.
    form : "best_of_n", "rl" or "sqrt"
        ``a + d(α - βd)``, ``a + d(α - β log d)``, ``a + αd``, with ``d = √KL``.
    intercept : float, optional
        Gold of the initial policy; fitted if omitted.
    level : float
        Nominal coverage, in (0, 1).

    Raises
    ------
    InputError
        For lengths that differ, too few points or runs, or KL that is not positive.

    Examples
    --------
    >>> kl = np.linspace(0.5, 30, 40)
    >>> d = np.sqrt(kl)
    >>> fit = fit_scaling(kl, 1.0 + d * (2.0 - 0.3 * d), form="best_of_n")
    >>> round(fit.alpha, 6), round(fit.beta, 6), round(fit.peak_kl, 4), round(fit.intercept, 6)
    (2.0, 0.3, 11.1111, 1.0)

    Source: G22 (the forms); the jackknife over clusters with Bell and McCaffrey's degrees of freedom (2002), and
    Fieller (1954) for the ratio, are classical.
    """
    kls, golds = as_vector("kl", kl), as_vector("gold", gold)
    as_level(level)
    require(
        kls.shape == golds.shape, f"kl and gold must have one value per checkpoint; got {kls.size} and {golds.size}."
    )
    require(form in FORMS, f"form must be one of {', '.join(map(repr, FORMS))}; got {form!r}.")
    require_range("kl", kls, 0.0, open_low=True)
    labels = list(range(kls.size)) if run is None else list(run)
    require(len(labels) == kls.size, f"run must name the run of each of the {kls.size} checkpoints; got {len(labels)}.")
    index = _codes(labels)
    n_runs, free = int(index.max()) + 1, _size(form) + (intercept is None)
    require(
        kls.size > free and n_runs >= 3,
        f"form {form!r} needs more than {free} checkpoints of at least 3 runs; got {kls.size} of {n_runs}.",
    )
    columns = _design(np.sqrt(kls), form)
    design = np.column_stack([columns, np.ones(kls.size)]) if intercept is None else columns
    target = golds if intercept is None else golds - intercept
    grams, moments = _by_run(design, target, index, n_runs)
    coefficients = _solve(grams.sum(axis=0)[None], moments.sum(axis=0)[None])[0]
    residual = target - design @ coefficients
    left_out = _solve(grams.sum(axis=0) - grams, moments.sum(axis=0) - moments)
    missed = target - np.einsum("ij,ij->i", design, left_out[index])
    changes = left_out - coefficients
    covariance = (n_runs - 1) / n_runs * changes.T @ changes
    freedom = _freedom(grams)
    reach = scipy.special.stdtrit(freedom, 0.5 + level / 2.0)
    half = reach * np.sqrt(np.diag(covariance))
    low, high = coefficients - half, coefficients + half
    has_beta = _size(form) == 2
    peaks = (math.inf, math.inf)
    if has_beta:
        peaks = _peak_interval(form, coefficients[:2], float(reach[:2].max()) ** 2 * covariance[:2, :2])
    return ScalingFit(
        form=form,
        intercept=float(coefficients[-1]) if intercept is None else float(intercept),
        alpha=float(coefficients[0]),
        alpha_low=float(low[0]),
        alpha_high=float(high[0]),
        beta=float(coefficients[1]) if has_beta else math.nan,
        beta_low=float(low[1]) if has_beta else math.nan,
        beta_high=float(high[1]) if has_beta else math.nan,
        peak_kl=_peak(form, float(coefficients[0]), float(coefficients[1])) if has_beta else math.inf,
        peak_kl_low=peaks[0],
        peak_kl_high=peaks[1],
        residual_sd=float(np.sqrt(residual @ residual / (kls.size - free))),
        left_out_sd=float(np.sqrt(np.mean(missed**2))),
        r_squared=float(1.0 - residual @ residual / np.sum((golds - golds.mean()) ** 2)),
        run_correlation=_between(residual, index, n_runs),
        n_points=int(kls.size),
        n_runs=n_runs,
        level=level,
        freedom=float(freedom[0]),
    )


def _size(form: str) -> int:
    return 1 if form == "sqrt" else 2


def _design(d: FloatArray, form: str) -> FloatArray:
    if form == "sqrt":
        return d[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = d * d if form == "best_of_n" else np.where(d > 0, d * np.log(d), 0.0)
    return np.column_stack([d, -bend])


def _peak(form: str, alpha: float, beta: float) -> float:
    """Return the KL at which the form is largest: 0 where it falls from the start, inf where it never falls."""
    if beta <= 0:
        return math.inf
    if form == "rl":
        exponent = 2.0 * (alpha / beta - 1.0)
        return math.exp(exponent) if exponent < 700.0 else math.inf
    return (alpha / (2.0 * beta)) ** 2 if alpha > 0 else 0.0


def _peak_interval(form: str, coefficients: FloatArray, spread: FloatArray) -> tuple[float, float]:
    """Fieller's interval of the peak: the ratios θ = α/β with ``(α - θβ)² <= spread of α - θβ``."""
    alpha, beta = coefficients.tolist()
    a, b, c = beta**2 - spread[1, 1], alpha * beta - spread[0, 1], alpha**2 - spread[0, 0]
    root = math.sqrt(max(b * b - a * c, 0.0))
    if a > 0.0:  # β differs from 0: an interval of ratios
        if beta < 0.0:
            return math.inf, math.inf
        return _peak(form, (b - root) / a, 1.0), _peak(form, (b + root) / a, 1.0)
    if c > 0.0 and alpha > 0.0 and a < 0.0:  # α does, β does not: from some ratio on, or no peak at all
        return _peak(form, (b - root) / a, 1.0), math.inf
    return 0.0, math.inf


def _freedom(grams: FloatArray) -> FloatArray:
    """Return the degrees of freedom of the jackknife variance of each coefficient, shape (c,).

    With independent errors of one size the variance is a quadratic form of them, ``Σ (g_i·y)²``; a multiple of χ² with
    as many degrees of freedom has its mean and variance. Runs with the same design have one fewer than runs.
    """
    whole = np.linalg.pinv(grams.sum(axis=0), hermitian=True)
    others = np.linalg.pinv(grams.sum(axis=0) - grams, hermitian=True)
    found = []
    for direction in others.transpose(1, 0, 2):  # row c of each inverse
        pushed = np.einsum("rij,rj->ri", grams, direction)
        form = np.diag(np.einsum("ri,ri->r", pushed, direction)) - pushed @ whole @ pushed.T
        total, square = float(np.trace(form)), float((form**2).sum())
        found.append(total * total / square if square > 0.0 else len(grams) - 1.0)
    return np.maximum(found, 1.0)


def _codes(labels: Sequence[object]) -> npt.NDArray[np.int64]:
    place = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([place[label] for label in labels], dtype=np.int64)


def _by_run(
    design: FloatArray, target: FloatArray, index: npt.NDArray[np.int64], n_runs: int
) -> tuple[FloatArray, FloatArray]:
    """Return the normal equations of each run, shapes (runs, c, c) and (runs, c)."""
    grams = np.zeros((n_runs, design.shape[1], design.shape[1]))
    moments = np.zeros((n_runs, design.shape[1]))
    np.add.at(grams, index, design[:, :, None] * design[:, None, :])
    np.add.at(moments, index, design * target[:, None])
    return grams, moments


def _solve(grams: FloatArray, moments: FloatArray) -> FloatArray:
    # pinv: a resample of few runs may not determine every coefficient
    return np.asarray(np.einsum("bij,bj->bi", np.linalg.pinv(grams, hermitian=True), moments))


def _between(residual: FloatArray, index: npt.NDArray[np.int64], n_runs: int) -> float:
    """Return the intraclass correlation of the residuals (analysis of variance), at least 0."""
    size = np.bincount(index, minlength=n_runs).astype(np.float64)
    mean = np.bincount(index, residual, minlength=n_runs) / size
    if residual.size == n_runs:
        return 0.0
    within = float(((residual - mean[index]) ** 2).sum()) / (residual.size - n_runs)
    between = float((size * (mean - residual.mean()) ** 2).sum()) / (n_runs - 1)
    typical = float((size.sum() - (size**2).sum() / size.sum()) / (n_runs - 1))
    part = (between - within) / typical
    return max(part / (part + within), 0.0) if part + within > 0 else 0.0
