"""Made up to try things on: a base model with an exploit that a proxy likes best and nobody wants, and many scorers."""

from __future__ import annotations

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib._core.doors import guard
from alignlib.hacking.error_laws import finite_law
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.tables import RewardTable

__all__ = ["exploit_pair", "sampled_checkpoints", "sampled_table", "scored_answers"]

_LEVELS, _STEPS = 41, np.linspace(-1.0, 1.0, 5)


def exploit_pair(
    exploit_mass: float = 0.03, exploit_gold: float = -2.0, noise: float = 1.0, lead: float = 0.25
) -> ProxyPair:
    """Return a standard normal proxy that sees gold through bounded noise, and one response that it likes best.

    Gold is the proxy plus independent noise, so ``E[r | r̂]`` rises with the proxy up to the exploit and falls there.

    Parameters
    ----------
    exploit_mass : float
        Base mass of the exploit, in (0, 1).
    exploit_gold : float
        Its gold reward; the others' has mean 0 and a standard deviation above 1.
    noise : float
        Half-width of the noise, >= 0.
    lead : float
        By how much the proxy puts the exploit above the best of the others, > 0.

    Raises
    ------
    InputError
        If a value is out of its range.

    Examples
    --------
    >>> pair = exploit_pair()
    >>> pair.prob.size, bool(pair.gold[pair.proxy.argmax()] == -2.0)
    (206, True)
    """
    require(0 < exploit_mass < 1, f"exploit_mass must lie in (0, 1); got {exploit_mass:g}.")
    require(noise >= 0, f"noise must not be negative; got {noise:g}.")
    require(lead > 0, f"lead must be positive; got {lead:g}.")
    values, mass = finite_law(scipy.stats.norm(), _LEVELS, 1e-3)
    proxy, gold = np.repeat(values, _STEPS.size), (values[:, None] + noise * _STEPS).reshape(-1)
    prob = np.repeat(mass, _STEPS.size) / _STEPS.size * (1.0 - exploit_mass)
    return ProxyPair(np.append(gold, exploit_gold), np.append(proxy, proxy.max() + lead), np.append(prob, exploit_mass))


def sampled_table(pair: ProxyPair, n_prompts: int, n_samples: int, rng: np.random.Generator) -> RewardTable:
    """Return a table of samples from the pair's law, the same for every prompt, with rewards ``proxy`` and ``gold``.

    Parameters
    ----------
    pair : ProxyPair
        The law of proxy and gold, of every prompt alike.
    n_prompts, n_samples : int
        Prompts, and samples of each, >= 1.
    rng : Generator
        Source of randomness.

    Raises
    ------
    InputError
        If a number is not positive.

    Examples
    --------
    >>> table = sampled_table(exploit_pair(), 3, 4, np.random.default_rng(0))
    >>> table.n_prompts, sorted(table.columns)
    (3, ['gold', 'proxy'])
    """
    require(
        n_prompts >= 1 and n_samples >= 1, f"n_prompts and n_samples must be positive; got {n_prompts}, {n_samples}."
    )
    index = rng.choice(pair.prob.size, p=pair.prob, size=(n_prompts, n_samples))
    return RewardTable.from_arrays(proxy=pair.proxy[index], gold=pair.gold[index])


def sampled_checkpoints(
    pair: ProxyPair, n_runs: int, n_checkpoints: int, spread: float, rng: np.random.Generator
) -> dict[str, list[int] | FloatArray]:
    """Return made-up checkpoints of training on the proxy: runs climb the tilt to random ends, each with an offset.

    Parameters
    ----------
    pair : ProxyPair
        The law of proxy and gold.
    n_runs, n_checkpoints : int
        Runs, and checkpoints of each, >= 1.
    spread : float
        Standard deviation of the offset of a run's gold, twice that of a checkpoint's; >= 0.
    rng : Generator
        Source of randomness.

    Returns
    -------
    dict
        ``run`` (a list of numbers), and arrays such as ``kl`` in nats, one entry a checkpoint.

    Raises
    ------
    InputError
        If a number is not positive, or ``spread`` is negative.

    Examples
    --------
    >>> points = sampled_checkpoints(exploit_pair(), 2, 3, 0.1, np.random.default_rng(0))
    >>> points["run"], points["kl"].shape
    ([0, 0, 0, 1, 1, 1], (6,))
    """
    require(
        n_runs >= 1 and n_checkpoints >= 1, f"n_runs and n_checkpoints must be positive; got {n_runs}, {n_checkpoints}."
    )
    require(spread >= 0, f"spread must not be negative; got {spread:g}.")
    ends = rng.uniform(0.4, 1.6, n_runs)
    lam = (ends[:, None] * np.linspace(1.0 / n_checkpoints, 1.0, n_checkpoints)).reshape(-1)
    run = np.repeat(np.arange(n_runs), n_checkpoints)
    noise = spread * rng.standard_normal(n_runs)[run] + spread / 2 * rng.standard_normal(lam.size)
    return {"run": run.tolist(), "kl": np.asarray(pair.kl(lam)), "gold": np.asarray(pair.gold_gain(lam)) + noise}


def scored_answers(
    n_prompts: int, n_samples: int, n_models: int, n_judges: int, rng: np.random.Generator
) -> RewardTable:
    """Return answers of which the first is right, scored by models (continuous) and judges (whole points, 0 to 10).

    Columns ``model_0``, …, ``judge_0``, … and ``right``. All scorers see the right answer through an error of which
    they share a part.

    Parameters
    ----------
    n_prompts : int
        Prompts, >= 1.
    n_samples : int
        Answers of each prompt, >= 2, of which the first is right.
    n_models, n_judges : int
        Scorers of either kind.
    rng : Generator
        Source of randomness.

    Raises
    ------
    InputError
        If a number is too small.

    Examples
    --------
    >>> table = scored_answers(3, 4, 1, 1, np.random.default_rng(0))
    >>> sorted(table.columns), table.column("right").reshape(3, 4).tolist()[0]
    (['judge_0', 'model_0', 'right'], [1.0, 0.0, 0.0, 0.0])
    """
    require(
        n_prompts >= 1 and n_samples >= 2, f"n_prompts, n_samples must be at least 1, 2; got {n_prompts}, {n_samples}."
    )
    require(
        n_models >= 0 and n_judges >= 0 and n_models + n_judges > 0,
        f"n_models and n_judges must not be negative nor both 0; got {n_models}, {n_judges}.",
    )
    right = np.zeros((n_prompts, n_samples))
    right[:, 0] = 1.0
    shared = 0.6 * rng.standard_normal(right.shape)

    def seen() -> np.ndarray:
        return np.asarray(0.8 * right + shared + rng.standard_normal(right.shape))

    columns = {f"model_{k}": 10.0**k * seen() for k in range(n_models)}
    columns |= {f"judge_{k}": np.clip(np.round(8.0 + 1.5 * seen()), 0.0, 10.0) for k in range(n_judges)}
    return RewardTable.from_arrays(columns, right=right)


guard(globals())
