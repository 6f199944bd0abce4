"""What is known of the frontier without base samples: no lower than the concave envelope of the policies measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_float_array, as_number, as_vector, require
from alignlib._core.same import SameFields
from alignlib.training.logs.training_log import TrainingLog

__all__ = ["Envelope", "Floor", "achieved_envelope"]


@dataclass(frozen=True, eq=False)
class Envelope(SameFields):
    """Vertices of the least concave curve above the points.

    Attributes
    ----------
    kl : array (v,)
        In nats, rising.
    reward : array (v,)
        Rising.

    Examples
    --------
    >>> envelope = achieved_envelope([1.0, 4.0], [0.5, 1.0], base_reward=0.0)
    >>> envelope.reward_at(2.5).tolist(), envelope.kl_needed(0.75).tolist()
    ([0.75], [2.5])
    """

    kl: FloatArray
    reward: FloatArray

    def reward_at(self, kl: npt.ArrayLike) -> FloatArray:
        """Return the envelope, NaN left of its first vertex and flat right of its last.

        Parameters
        ----------
        kl : array
            KL in nats.
        """
        values = np.atleast_1d(as_float_array("kl", kl))
        return np.where(values < self.kl[0], np.nan, np.interp(values, self.kl, self.reward))

    def kl_needed(self, reward: npt.ArrayLike) -> FloatArray:
        """Return the least KL at which the envelope has a reward; NaN above its top, its first KL below its start.

        Parameters
        ----------
        reward : array
            Mean rewards.

        Returns
        -------
        array (k,)
            In nats.
        """
        values = np.atleast_1d(as_float_array("reward", reward))
        return np.where(values > self.reward[-1], np.nan, np.interp(values, self.reward, self.kl))


@dataclass(frozen=True)
class Floor:
    """A log without samples of its base: no limit is known, but the run itself bounds it from below.

    Where the log tells ends of the KL only, the envelope is that of the upper ones, and waste counts from the lower.

    Attributes
    ----------
    log : TrainingLog
        Its checkpoints.
    envelope : Envelope, optional
        The concave envelope that they reach together; None where nothing bounds their KL from above.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> log = example_run(4, 4, np.random.default_rng(0), n_checkpoints=5)[0]
    >>> found = Floor(log, achieved_envelope(log.kl, log.reward, base_reward=0.0))
    >>> bool((found.envelope.reward_at(found.log.kl[-1]) >= found.log.reward[-1] - 1e-9).all())
    True
    """

    log: TrainingLog
    envelope: Envelope | None

    @property
    def wasted(self) -> FloatArray:
        """KL of each checkpoint beyond what the envelope needs for its reward; NaN without one."""
        if self.envelope is None:
            return np.full(self.log.kl.size, np.nan)
        # The lower end of a KL may be less than the envelope of the upper ones needs: that tells of no waste.
        return np.maximum(self.log.ends[0] - self.envelope.kl_needed(self.log.reward), 0.0)


def achieved_envelope(kl: npt.ArrayLike, reward: npt.ArrayLike, base_reward: float | None = None) -> Envelope:
    """Return the concave envelope of policies of one base model, measured at ``kl`` with mean ``reward``.

    A mixture of policies has the mean of their rewards and, the divergence being convex, at most the mean of their
    KLs: so no point of the envelope lies above the frontier for an average KL. Gains measured against it are upper
    bounds on the share of the frontier, and KL beyond it lower bounds on what is wasted, up to the noise of the points.

    Parameters
    ----------
    kl, reward : array (k,)
        Of each policy, in nats per sequence and in the reward's unit; negative KLs are left out of the envelope.
    base_reward : float, optional
        Mean reward of the base model itself, the point at KL 0.

    Raises
    ------
    InputError
        For arrays of unequal length, or no KL that is not negative.

    Examples
    --------
    >>> envelope = achieved_envelope([1.0, 2.0, 4.0], [0.5, 0.6, 1.0], base_reward=0.0)
    >>> envelope.kl.tolist(), envelope.reward_at(2.0).round(4).tolist(), envelope.kl_needed(0.6).round(4).tolist()
    ([0.0, 1.0, 4.0], [0.6667], [1.6])

    Source: we derive, from the convexity of the divergence.
    """
    xs, ys = as_vector("kl", kl), as_vector("reward", reward)
    require(xs.shape == ys.shape, f"kl and reward must be equally long; got {xs.size} and {ys.size}.")
    kept = xs >= 0.0
    require(bool(kept.any()), "kl must hold at least one value that is not negative.")
    xs, ys = xs[kept], ys[kept]
    if base_reward is not None:
        xs, ys = np.append(xs, 0.0), np.append(ys, as_number("base_reward", base_reward))
    hull: list[tuple[float, float]] = []
    for x, y in sorted(zip(xs.tolist(), ys.tolist(), strict=True), key=lambda point: (point[0], -point[1])):
        if hull and y <= hull[-1][1]:  # less reward for no less KL
            continue
        while len(hull) >= 2 and _below(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return Envelope(np.array([x for x, _ in hull]), np.array([y for _, y in hull]))


def _below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or below the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])
