"""Laws chosen after the estimator was fixed, by someone who had not seen it."""

import numpy as np
import scipy.special
import scipy.stats

from benchmarks.coverage.populations import Population, atoms, continuous, lognormal_scales, mixture, normal, register


@register("blind: logistic, scales over 30x")
def _a() -> Population:
    return Population.of(continuous(scipy.stats.logistic(), -30.0, 60.0), scales=lognormal_scales(0.85))


@register("blind: skew normal to the left, scales over 10x")
def _b() -> Population:
    return Population.of(continuous(scipy.stats.skewnorm(-6.0), -8.0, 3.0), scales=lognormal_scales(0.6))


@register("blind: U-shaped beta(.3, .3), scales over 20x")
def _c() -> Population:
    return Population.of(continuous(scipy.stats.beta(0.3, 0.3), 0.0, 1.0), scales=lognormal_scales(0.75))


@register("blind: Weibull 1.5, scales over 20x")
def _d() -> Population:
    return Population.of(continuous(scipy.stats.weibull_min(1.5), 0.0, 25.0), scales=lognormal_scales(0.75))


@register("blind: half exactly zero, the rest graded")
def _e() -> Population:
    z = np.round(np.linspace(-1.0, 1.0, 41), 3)
    p = 0.5 * scipy.stats.norm.pdf(z, 0.1, 0.45)
    p = 0.5 * p / p.sum()
    p[20] += 0.5
    return Population.of(atoms(list(z), list(p)), scales=lognormal_scales(0.3))


@register("blind: 0/1, solved never, seldom, often, nearly always")
def _f() -> Population:
    rates = np.array([0.0005, 0.01, 0.1, 0.5, 0.99])
    return Population.of(*(atoms([0.0, 1.0], [1.0 - q, q]) for q in rates), chance=[0.4, 0.15, 0.15, 0.15, 0.15])


@register("blind: 0/1, rates beta(.3, 1)")
def _g() -> Population:
    rates = scipy.stats.beta.ppf((np.arange(40) + 0.5) / 40, 0.3, 1.0)
    return Population.of(*(atoms([0.0, 1.0], [1.0 - q, q]) for q in np.clip(rates, 1e-6, 1 - 1e-6)))


@register("blind: 3 % of prompts skewed to the right at 15x")
def _h() -> Population:
    right = continuous(scipy.stats.gumbel_r(), -5.0, 60.0)
    return Population.of(normal(), right, scales=np.array([1.0, 15.0]), chance=[0.97, 0.03])


@register("blind: normal, exponential and uniform prompts")
def _i() -> Population:
    return Population.of(
        normal(),
        continuous(scipy.stats.expon(), 0.0, 90.0),
        continuous(scipy.stats.uniform(), 0.0, 1.0),
        mixture([(0.9, 0.0, 1.0), (0.1, 4.0, 0.3)]),
        scales=np.array([1.0, 0.5, 6.0, 1.0]),
        chance=[0.4, 0.2, 0.2, 0.2],
    )


@register("blind: t with 5 degrees of freedom (no limit)")
def _j() -> Population:
    return Population.of(continuous(scipy.stats.t(5), -200.0, 400.0, finite=False))
