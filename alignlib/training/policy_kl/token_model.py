"""A model of responses token by token, small enough to enumerate: every expectation over it is a finite sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray, as_float_array, require
from alignlib._core.doors import guard
from alignlib._core.same import SameFields
from alignlib._core.special import kl_integrand

__all__ = ["TokenModel", "next_token_kl", "perturbed_model", "random_model", "sequence_kl"]


@dataclass(frozen=True, eq=False)
class TokenModel(SameFields):
    """Responses of a Markov chain of tokens; token 0 ends one.

    A response that reaches the length ends there without an end token. Sequences are padded with 0.

    Parameters
    ----------
    log_next : array (k, k)
        ``log_next[a, b]`` is the log-probability that ``b`` follows ``a``; row 0 is the start.
    length : int
        The most content tokens.

    Examples
    --------
    >>> model = TokenModel(np.log([[0.5, 0.5], [0.5, 0.5]]), length=2)
    >>> model.sequences().tolist(), np.exp(model.token_log_prob(model.sequences()).sum(axis=1)).tolist()
    ([[0, 0], [1, 0], [1, 1]], [0.5, 0.25, 0.25])
    """

    log_next: FloatArray
    length: int

    def __post_init__(self) -> None:
        table = as_float_array("log_next", self.log_next, allow_inf=True)
        square = table.ndim == 2 and table.shape[0] == table.shape[1] and table.shape[0] >= 2
        require(square, f"log_next must be a square table of at least two tokens; got shape {table.shape}.")
        require(self.length >= 1, f"length must be at least 1; got {self.length}.")
        total = scipy.special.logsumexp(table, axis=1)
        require(
            bool((np.abs(total) < 1e-9).all()),
            f"each row of log_next must hold the logarithms of a law; the worst sums to {np.exp(total).max():g}.",
        )
        object.__setattr__(self, "log_next", table)

    @property
    def n_tokens(self) -> int:
        """Number of tokens, the end token included."""
        return len(self.log_next)

    def tempered(self, temperature: float) -> TokenModel:
        """Return the model that samples at ``temperature`` > 0: next-token laws ∝ ``q^{1/T}``.

        Parameters
        ----------
        temperature : float
            T > 0.

        Raises
        ------
        InputError
            If it is not positive.
        """
        require(temperature > 0.0, f"temperature must be positive; got {temperature:g}.")
        return TokenModel(scipy.special.log_softmax(self.log_next / temperature, axis=1), self.length)

    def truncated(self, top_p: float) -> TokenModel:
        """Return the model that samples from the fewest likeliest next tokens of mass at least ``top_p``.

        Parameters
        ----------
        top_p : float
            In (0, 1].

        Raises
        ------
        InputError
            If it lies outside.

        Examples
        --------
        >>> TokenModel(np.log([[0.5, 0.3, 0.2]] * 3), 1).truncated(0.7).log_next[0].round(3).tolist()
        [-0.47, -0.981, -inf]
        """
        require(0.0 < top_p <= 1.0, f"top_p must lie in (0, 1]; got {top_p:g}.")
        order = np.argsort(-self.log_next, axis=1, kind="stable")
        ranked = np.exp(np.take_along_axis(self.log_next, order, axis=1))
        before = np.cumsum(ranked, axis=1) - ranked
        kept = np.empty(ranked.shape, dtype=bool)
        np.put_along_axis(kept, order, before < top_p * (1.0 - 1e-12), axis=1)
        return TokenModel(scipy.special.log_softmax(np.where(kept, self.log_next, -np.inf), axis=1), self.length)

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw ``n`` responses, integers (n, length).

        Parameters
        ----------
        n : int
            How many responses.
        rng : Generator
            Source of randomness.
        """
        above = np.cumsum(np.exp(self.log_next), axis=1)[:, :-1]
        tokens = np.zeros((n, self.length), dtype=np.int64)
        last = np.zeros(n, dtype=np.int64)
        running = np.ones(n, dtype=bool)
        for t in range(self.length):
            last = np.where(running, (rng.random((n, 1)) > above[last]).sum(axis=1), 0)
            tokens[:, t] = last
            running &= last > 0
        return tokens

    def sequences(self) -> IntArray:
        """Return every response once, integers (n, length), the shorter first."""
        layers = [np.zeros((1, 0), dtype=np.int64)]
        content = np.arange(1, self.n_tokens)
        for _ in range(self.length):
            last = layers[-1]
            grown = np.repeat(last, content.size, axis=0)
            layers.append(np.column_stack([grown, np.tile(content, len(last))]))
        return np.concatenate([np.pad(layer, ((0, 0), (0, self.length - layer.shape[1]))) for layer in layers])

    def token_log_prob(self, tokens: IntArray) -> FloatArray:
        """Return the log-probability of each token of responses (n, length), 0 where there is none.

        Parameters
        ----------
        tokens : array of int (n, length)
            Responses.

        Returns
        -------
        array (n, length)
            In nats.
        """
        return np.where(self.is_token(tokens), self.log_next[self.states(tokens), tokens], 0.0)

    def states(self, tokens: IntArray) -> IntArray:
        """Return the last token before each position, (n, length).

        Parameters
        ----------
        tokens : array of int (n, length)
            Responses.
        """
        return np.column_stack([np.zeros(len(tokens), dtype=np.int64), tokens[:, :-1]])

    def is_token(self, tokens: IntArray) -> np.ndarray:
        """Return which positions hold a sampled token, the end token among them, (n, length).

        Parameters
        ----------
        tokens : array of int (n, length)
            Responses.
        """
        alive = np.cumprod(tokens > 0, axis=1).astype(bool)
        return np.asarray(np.column_stack([np.ones(len(tokens), dtype=bool), alive[:, :-1]]))


def random_model(n_tokens: int, length: int, spread: float, rng: np.random.Generator) -> TokenModel:
    """Return a model whose next-token logits are normal with standard deviation ``spread``.

    Parameters
    ----------
    n_tokens, length : int
        Number of tokens, the end token included, and largest number of content tokens.
    spread : float
        Standard deviation of the logits, >= 0.
    rng : Generator
        Source of randomness.

    Examples
    --------
    >>> random_model(10, 5, 1.0, np.random.default_rng(0)).sequences().shape
    (66430, 5)
    """
    return TokenModel(scipy.special.log_softmax(spread * rng.standard_normal((n_tokens, n_tokens)), axis=1), length)


def perturbed_model(base: TokenModel, size: float, rng: np.random.Generator) -> TokenModel:
    """Return ``base`` with normal noise of standard deviation ``size`` added to its logits: a "trained" policy.

    Parameters
    ----------
    base : TokenModel
        The model to start from.
    size : float
        Standard deviation of the noise on each logit, >= 0.
    rng : Generator
        Source of randomness.

    Examples
    --------
    >>> base = TokenModel(np.log(np.full((3, 3), 1 / 3)), 2)
    >>> np.exp(perturbed_model(base, 1.0, np.random.default_rng(0)).log_next).sum(axis=1).round(9).tolist()
    [1.0, 1.0, 1.0]
    """
    noise = size * rng.standard_normal(base.log_next.shape)
    return TokenModel(scipy.special.log_softmax(base.log_next + noise, axis=1), base.length)


def next_token_kl(policy: TokenModel, base: TokenModel) -> FloatArray:
    """Return ``KL(policy(·|a) ‖ base(·|a))`` in nats after each last token a, shape (n_tokens,).

    Parameters
    ----------
    policy, base : TokenModel
        Models of the same tokens.
    """
    with np.errstate(invalid="ignore"):
        log_ratio = np.where(np.isneginf(policy.log_next), -np.inf, policy.log_next - base.log_next)
    return np.asarray((np.exp(base.log_next) * kl_integrand(log_ratio)).sum(axis=1))


def sequence_kl(policy: TokenModel, base: TokenModel) -> float:
    """Return ``KL(policy ‖ base)`` over responses, in nats, by the chain rule: next-token KLs at the prefixes visited.

    Parameters
    ----------
    policy, base : TokenModel
        Models of the same tokens and length.

    Examples
    --------
    >>> base = TokenModel(np.log([[0.5, 0.5], [0.5, 0.5]]), 2)
    >>> sequence_kl(base, base)
    0.0
    """
    step = np.exp(policy.log_next)
    local = next_token_kl(policy, base)
    visited = np.zeros(policy.n_tokens)
    visited[0] = 1.0  # the start; whoever has ended is no longer counted
    total = 0.0
    for _ in range(policy.length):
        total += float(visited @ local)
        visited = visited @ step
        visited[0] = 0.0
    return total


guard(globals())
