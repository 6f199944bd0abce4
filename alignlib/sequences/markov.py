"""Sequences with memory: a Markov base model, reward on its transitions (B26)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, as_float_array, as_vector, like, require
from alignlib.sequences.comparison import BestOfNAgainstOptimum, checked_length, compare, lam_at_delta
from alignlib.sequences.large_deviations import rate_function
from alignlib.sequences.markov_optimum import OptimumAtLength, optimum_at_length
from alignlib.sequences.markov_sum import log_sums, reward_offsets
from alignlib.sequences.sum_law import SumLaw
from alignlib.sequences.transition_matrix import ReducibleChainError, classes, period, reachable, stochastic_rows
from alignlib.sequences.twisted_chain import TwistedChain

__all__ = ["MarkovModel"]


class MarkovModel:
    r"""Markov sequences ``y_0, …, y_m`` with reward ``Σ_{t=1}^m ρ(y_{t-1}, y_t)``.

    The limits per token are those of ``token``, a :class:`~alignlib.sequences.twisted_chain.TwistedChain`; they need
    a chain that is irreducible on the states it reaches, periodic or not. What is said at finite length holds for any
    chain.

    Source: B26 (alignment with memory).

    Parameters
    ----------
    transition : array (k, k)
        Row a holds the law of the next state after a.
    reward : array (k, k) or (k,)
        Reward of each transition, or of each state arrived in; not constant over the possible transitions.
    initial : array (k,)
        Law of the first state, which earns nothing itself.
    length : int
        Number of transitions m >= 1.

    Raises
    ------
    InputError
        If a row or ``initial`` is not a law, the shapes do not fit, the reward is constant, or the length below 1.

    Examples
    --------
    >>> model = MarkovModel([[0.9, 0.1], [0.5, 0.5]], [0.0, 1.0], [1.0, 0.0], 1000)
    >>> round(model.token.base_reward, 6), round(model.sum_law().base_reward / 1000, 6)
    (0.166667, 0.166556)
    >>> model.period
    1
    """

    def __init__(self, transition: npt.ArrayLike, reward: npt.ArrayLike, initial: npt.ArrayLike, length: int) -> None:
        self.transition = stochastic_rows(as_float_array("transition", transition))
        k = self.transition.shape[0]
        rewards = as_float_array("reward", reward)
        require(rewards.shape in ((k,), (k, k)), f"reward must have shape ({k},) or ({k}, {k}); got {rewards.shape}.")
        self.reward = np.array(np.broadcast_to(rewards, (k, k)))
        first = as_vector("initial", initial)
        require(first.shape == (k,), f"initial must have shape ({k},); got {first.shape}.")
        require(
            first.min() >= 0 and abs(float(first.sum()) - 1) <= 1e-6,
            f"initial must be a law; its smallest value is {first.min():g} and its sum {first.sum():.9g}.",
        )
        self.initial = first / first.sum()
        self.length = checked_length(length)
        self.reached = reachable(self.transition > 0, self.initial)
        self._possible = (self.transition > 0) & self.reached[:, None]
        earned = self.reward[self._possible]
        require(
            float(np.ptp(earned)) > 0,
            f"reward must take two values or more on the transitions that are possible; it is {earned[0]:g} "
            "throughout, so every policy earns the same.",
        )

    # ------------------------------------------------------------------ structure
    @cached_property
    def classes(self) -> list[list[int]]:
        """Communicating classes of the reached states; one if the chain is irreducible there."""
        states = np.flatnonzero(self.reached)
        inner = classes((self.transition > 0)[np.ix_(states, states)])
        return [states[c].tolist() for c in inner]

    @property
    def period(self) -> int:
        """Greatest common divisor of the cycle lengths; all limits per token hold for any period."""
        self._require_irreducible()
        states = np.flatnonzero(self.reached)
        return period((self.transition > 0)[np.ix_(states, states)])

    def _require_irreducible(self) -> None:
        if len(self.classes) > 1:
            raise ReducibleChainError(self.classes)

    # ------------------------------------------------------------------ limits per token
    @cached_property
    def token(self) -> TwistedChain:
        """The limits per token; raises ``ReducibleChainError`` where there are none."""
        self._require_irreducible()
        states = np.flatnonzero(self.reached)
        inside = np.ix_(states, states)
        return TwistedChain(self.transition[inside], self.reward[inside])

    def tilted(self, lam: float) -> MarkovModel:
        """Return the model whose transitions are the twisted chain, the optimum's limit; the same first state.

        Parameters
        ----------
        lam : float
            Inverse temperature λ of either sign, finite.
        """
        states = np.flatnonzero(self.reached)
        matrix = np.array(self.transition)
        matrix[np.ix_(states, states)] = self.token.chain(lam)
        return MarkovModel(matrix, self.reward, self.initial, self.length)

    def rate(self, mean: npt.ArrayLike, lam: float = 0.0) -> FloatOrArray:
        """The rate function of ``S/m`` under ``π_λ``: ``I_λ(x) = sup_θ [θx - (Λ(λ+θ) - Λ(λ))]``, in nats per token.

        Parameters
        ----------
        mean : array
            Rewards per token, x.
        lam : float
            Inverse temperature λ; 0 is the base.
        """
        return rate_function((self if lam == 0 else self.tilted(lam)).token, mean)

    def cumulants(self, order: int, lam: float = 0.0) -> FloatArray:
        """``lim κ_n(S)/m`` under ``π_λ`` for orders 1 to ``order``.

        Parameters
        ----------
        order : int
            The highest order, at least 1.
        lam : float
            Inverse temperature λ; 0 is the base.

        Returns
        -------
        array (order,)
            The first is the mean reward per token, the second the variance per token.

        Raises
        ------
        InputError
            If ``order`` is below 1.
        """
        return self.token.cumulants(order, lam)

    def scaled_cgf(self, s: npt.ArrayLike, lam: float = 0.0) -> FloatOrArray:
        """``lim (1/m) log E_{π_λ} e^{sS} = Λ(λ+s) - Λ(λ)`` in nats per token.

        Parameters
        ----------
        s : array
            Arguments s of the generating function.
        lam : float
            Inverse temperature λ; 0 is the base.
        """
        return (self if lam == 0 else self.tilted(lam)).token.log_partition(s)

    # ------------------------------------------------------------------ finite length
    def optimum(self, lam: float) -> OptimumAtLength:
        """Return the exact ``π_λ`` at length m; see :func:`alignlib.sequences.markov_optimum.optimum_at_length`.

        Parameters
        ----------
        lam : float
            Inverse temperature λ of either sign, finite.
        """
        possible_transition = np.where(self._possible, self.transition, 0.0)
        return optimum_at_length(possible_transition, self.reward, self.initial, self.length, lam)

    def log_partition(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``log E e^{λS} = log ν M_λ^m 1`` at length m, in nats.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ of either sign, finite.
        """
        return self._at_length(lam, "log_partition")

    def mean_reward(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``E S`` under ``π_λ`` at length m.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ of either sign, finite.
        """
        return self._at_length(lam, "mean_reward")

    def kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π_λ ‖ p)`` of the sequence laws at length m, in nats.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ of either sign, finite.
        """
        return self._at_length(lam, "kl")

    def _at_length(self, lam: npt.ArrayLike, name: str) -> FloatOrArray:
        lams = as_float_array("lam", lam)
        values = [getattr(self.optimum(v), name) for v in lams.reshape(-1).tolist()]
        return like(lam, np.array(values).reshape(lams.shape))

    def sum_law(self, *, max_levels: int = 2_000_000) -> SumLaw:
        """Return the exact law of ``S`` at length m, for lattice rewards or, by counts of each reward, any others.

        Parameters
        ----------
        max_levels : int
            The most levels of ``S`` that may be held, some tens of bytes each.

        Raises
        ------
        TooManyLevelsError
            If the law has more than ``max_levels`` levels; the message says how many and what to do.
        """
        offsets, sums, smallest = reward_offsets(self.reward, self._possible, self.length, max_levels)
        logs = log_sums(np.where(self._possible, self.transition, 0.0), offsets, self.initial, self.length, sums.size)
        held = np.flatnonzero(np.isfinite(logs))
        order = held[np.argsort(sums[held], kind="stable")]
        values, logs = sums[order], logs[order]
        slack = 8 * np.finfo(np.float64).eps * float(values[-1])
        firsts = np.flatnonzero(np.concatenate([[True], np.diff(values) > slack]))
        values, logs = values[firsts], np.logaddexp.reduceat(logs, firsts)
        return SumLaw(self.length, self.length * smallest + float(values[0]), values - values[0], logs)

    def best_of_n(self, delta: float, *, max_levels: int = 2_000_000) -> BestOfNAgainstOptimum:
        """Return best-of-N with ``log N = mδ`` beside the exact optimum at length m that spends the same mδ nats.

        Parameters
        ----------
        delta : float
            Budget δ in nats per token, between 0 and ``-log P(S = max)/m``.
        max_levels : int
            As in :meth:`sum_law`.

        Raises
        ------
        InputError
            If δ is not attainable at this length.
        """
        law = self.sum_law(max_levels=max_levels)
        lam = lam_at_delta(law, delta, self.length)
        return compare(law, delta, lam)
