"""Rules that draw one response at a time and accept each with a probability that depends on its reward."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, as_plain, as_rng, as_vector, as_whole
from alignlib._core.same import SameFields
from alignlib.laws import FiniteLaw, Levels
from alignlib.rules.rule import Rule

__all__ = ["OneByOne", "Stopped"]


@dataclass(frozen=True, eq=False)
class Stopped(SameFields):
    """Responses drawn one by one until accepted.

    Attributes
    ----------
    outcome : array of int
        Which outcome of the law was kept.
    draws : array of int
        After how many draws, the accepted one counted; of the same shape.

    Examples
    --------
    >>> from alignlib.rules import ThresholdStopping
    >>> kept = ThresholdStopping(4.0).draw(FiniteLaw([0.0, 1.0], [0.75, 0.25]), 0, 3)
    >>> kept.outcome.tolist(), kept.draws.shape
    ([1, 1, 1], (3,))
    """

    outcome: IntArray
    draws: IntArray


@dataclass(frozen=True)
class OneByOne(Rule):
    """Draw until a response is accepted; the policy is base times acceptance, ``n = 1 / E_p a`` draws on average.

    On a law with largest ratio ``M = max π/p`` response y is accepted with probability ``π(y)/(M p(y))``, which takes M
    draws on average; larger acceptance probabilities in the same proportion there are none. A subclass defines
    `log_ratio` with ``M = n``, or less where the best level alone is more likely than ``1/n``. Acceptance needs the
    law, which is taken as known; `choose`, which has nothing but its draws, takes them for the law.

    Parameters
    ----------
    n : float
        Mean number of draws, >= 1; 1 is the base model.

    Raises
    ------
    InputError
        If ``n`` is below 1 or not a number.
    """

    n: float

    parameter = "n"
    symbol = "N"
    start = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", as_plain("n", self.n, self.start))

    @property
    def draws(self) -> float:
        """N, the mean number; fewer where the best level alone is more likely than 1/N."""
        return float(self.n)

    def draws_on(self, levels: Levels) -> float:
        """Return the mean number of draws on a law, ``max π/p``.

        Parameters
        ----------
        levels : Levels
            The base law, sorted by reward.

        Examples
        --------
        >>> from alignlib.rules import ThresholdStopping
        >>> ThresholdStopping(4.0).draws_on(Levels.of([0.0, 1.0], None))
        2.0
        """
        return math.exp(float(self.log_ratio(levels).max()))

    def acceptance(self, levels: Levels) -> FloatArray:
        """Return the probability to accept a response of each level.

        Parameters
        ----------
        levels : Levels
            The base law, sorted by reward.

        Returns
        -------
        array (levels,)
            Probabilities in [0, 1], 1 on the likeliest level relative to the base.
        """
        ratio = self.log_ratio(levels)
        return np.asarray(np.exp(ratio - ratio.max()))

    def number_of_draws(self, rng: np.random.Generator) -> int:
        """A geometric number of mean N."""
        return int(rng.geometric(1.0 / self.n))

    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """One of the draws by the rule's policy on their own law: more draws, nearer to the rule's."""
        levels = Levels.of(as_vector("rewards", rewards), None)
        share = np.exp(levels.log_policy_of(self.log_ratio(levels)))
        return int(rng.choice(share.size, p=share / share.sum()))

    def draw(self, law: FiniteLaw, rng: np.random.Generator | int, size: int) -> Stopped:
        """Draw responses of a finite law, one at a time, until ``size`` of them are accepted.

        Parameters
        ----------
        law : FiniteLaw
            The base law, which also sets the acceptance probabilities.
        rng : Generator or int
            Source of randomness, or its seed.
        size : int
            How many accepted responses.

        Returns
        -------
        Stopped
            Arrays of shape (size,).

        Raises
        ------
        InputError
            If ``size`` is not a whole number of at least 1.

        Examples
        --------
        >>> from alignlib.rules import ThresholdStopping
        >>> kept = ThresholdStopping(2.0).draw(FiniteLaw([0.0, 1.0]), 0, 1000)
        >>> bool((kept.outcome == 1).all()), bool(abs(kept.draws.mean() - 2.0) < 0.2)
        (True, True)
        """
        generator, wanted = as_rng(rng), as_whole("size", size, 1)
        levels, places = law.levels, np.flatnonzero(np.isfinite(np.asarray(law.log_policy(0.0))))
        accepted = self.acceptance(levels)[levels.index]
        mean = self.draws_on(levels)
        outcome, draws, since = np.empty(0, np.int64), np.empty(0, np.int64), 0
        while outcome.size < wanted:
            many = math.ceil((wanted - outcome.size) * mean) + 16
            drawn = generator.choice(levels.prob.size, size=many, p=levels.prob)
            at = np.flatnonzero(generator.random(many) < accepted[drawn])
            draws = np.append(draws, np.diff(at, prepend=-1 - since))
            outcome = np.append(outcome, places[drawn[at]])
            since = many - 1 - int(at[-1]) if at.size else since + many
        return Stopped(outcome[:wanted], draws[:wanted])
