"""Where a trainer charges the KL, and the expected update of a policy that can choose every next-token law freely.

With ``ℓ_t`` the log-ratio of token t to the base, a token is moved by ``c_t ∇log π(y_t|·)``. A charge in the reward is
held fixed while the policy moves, so every token of a response bears ``k(y)``; a charge in the loss is differentiated,
so that token t bears the slope ``k'(ℓ_t)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, require
from alignlib.lm.next_laws import log_next_laws
from alignlib.lm.space import ResponseSpace

__all__ = ["ESTIMATORS", "PLACES", "Charge", "expected_update", "n_tokens", "token_log_ratios"]

ESTIMATORS = ("k1", "k2", "k3", "k3_ratio")
PLACES = ("reward", "loss")
_LEAST = -1e150  # nats, of which the square is a float


@dataclass(frozen=True)
class Charge:
    """A way to charge the KL.

    Parameters
    ----------
    estimator : str
        ``k1 = ℓ``, ``k2 = ℓ²/2``, ``k3 = e^{-ℓ} - 1 + ℓ``, or ``k3_ratio``: k3 times the policy's ratio to the policy
        that drew the responses, which is differentiated too (in the loss only).
    place : str
        ``"reward"`` or ``"loss"``.
    per_token : bool
        Whether the estimator is that of each token, summed, or that of the whole response's log-ratio.
    mean : bool
        Whether the loss of a response is the mean over its tokens instead of the sum.
    averaged : bool
        In the reward only: whether the estimator is divided by the number of tokens.

    Raises
    ------
    InputError
        If a name is not known, or ``k3_ratio`` is asked for in the reward.

    Examples
    --------
    >>> Charge("k3", "loss").label
    'k3 in the loss, per token'
    """

    estimator: str
    place: str
    per_token: bool = True
    mean: bool = False
    averaged: bool = False

    def __post_init__(self) -> None:
        require(
            self.estimator in ESTIMATORS, f"estimator must be one of {', '.join(ESTIMATORS)}; got {self.estimator!r}."
        )
        require(self.place in PLACES, f"place must be one of {', '.join(PLACES)}; got {self.place!r}.")
        require(
            self.place == "loss" or self.estimator != "k3_ratio",
            "estimator k3_ratio is a loss: its ratio is 1 and has an effect only where it is differentiated; use k3.",
        )

        require(
            self.place == "reward" or not self.averaged,
            "averaged is for a charge in the reward; in the loss say mean, which divides the reward's part alike.",
        )

    @property
    def label(self) -> str:
        """Such as ``"k1 in the reward, per sequence"``."""
        name = "k3 × ratio" if self.estimator == "k3_ratio" else self.estimator
        return f"{name} in the {self.place}, per {'token' if self.per_token else 'sequence'}" + (
            (", averaged over tokens" if self.averaged else "") + (", mean over tokens" if self.mean else "")
        )

    def value(self, log_ratio: FloatArray) -> FloatArray:
        """The estimator at a log-ratio, in nats.

        Parameters
        ----------
        log_ratio : array
            ``ℓ = log π/p`` of sequences or tokens, in nats.
        """
        if self.estimator == "k1":
            return log_ratio
        return 0.5 * log_ratio**2 if self.estimator == "k2" else np.expm1(-log_ratio) + log_ratio

    def slope(self, log_ratio: FloatArray) -> FloatArray:
        """Its derivative: what multiplies ``∇log π`` where it is differentiated.

        Of k3 times the ratio it is k3 and the slope of k3 together, which is ℓ: that of k2.

        Parameters
        ----------
        log_ratio : array
            ``ℓ = log π/p`` of sequences or tokens, in nats.
        """
        if self.estimator == "k1":
            return np.ones_like(log_ratio)
        return -np.expm1(-log_ratio) if self.estimator == "k3" else log_ratio


def n_tokens(space: ResponseSpace) -> FloatArray:
    """Tokens that are chosen in each response, the end among them, shape (n,).

    Parameters
    ----------
    space : ResponseSpace
        The n responses.

    Examples
    --------
    >>> from alignlib.lm.space import ResponseSpace
    >>> n_tokens(ResponseSpace(n_content=2, length=2)).tolist()
    [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """
    return np.minimum(np.asarray(space.lengths, dtype=np.float64) + 1.0, space.length)


def token_log_ratios(
    log_policy: FloatArray, log_base: FloatArray, space: ResponseSpace
) -> tuple[FloatArray, BoolArray]:
    """Return the log-ratio of each token of each response, (P, n, L), 0 where there is none, and which are, (n, L).

    Parameters
    ----------
    log_policy, log_base : array (P, n)
        Log-probabilities of every response, in nats.
    space : ResponseSpace
        The n responses, of at most L tokens.

    Returns
    -------
    ratios : array (P, n, L)
        Log-ratio of each token in nats, 0 where there is none.
    chosen : array of bool (n, L)
        Where there is one.
    """
    ratios = [a - b for a, b in zip(log_next_laws(log_policy, space), log_next_laws(log_base, space), strict=True)]
    tokens = np.asarray(space.tokens, dtype=np.int64)
    chosen: BoolArray = np.arange(space.length) < n_tokens(space)[:, None]
    out = np.zeros((len(log_policy), space.size, space.length))
    prefix = np.zeros(space.size, dtype=np.int64)
    for depth, level in enumerate(ratios):
        here = chosen[:, depth]
        out[:, here, depth] = level[:, prefix[here], tokens[here, depth]]
        prefix = prefix * space.n_content + np.maximum(tokens[:, depth] - 1, 0)
    return out, chosen


def expected_update(
    log_policy: FloatArray, log_base: FloatArray, reward: FloatArray, space: ResponseSpace, beta: float, charge: Charge
) -> list[FloatArray]:
    """Return the mean step on the logits of every prefix, from the policy's own responses: (P, prefixes, tokens) each.

    ``Σ_y π(y) w(y) Σ_t (R(y) - m - β c_t(y)) ∇log π(y_t|·)`` with m the mean of what is paid and w = 1, or one over the
    number of tokens.

    Source: T25 for the slopes; we derive the rest.

    Parameters
    ----------
    log_policy, log_base : array (P, n)
        Log-probabilities of every response, in nats.
    reward : array (P, n)
        Reward of every response.
    space : ResponseSpace
        The responses.
    beta : float
        KL penalty.
    charge : Charge
        Where and how it is charged.

    Raises
    ------
    InputError
        If a response has no chance, or one below e^-1e150: what logits move has some everywhere, and squares have an
        end.

    Examples
    --------
    >>> from alignlib.lm.space import ResponseSpace
    >>> space = ResponseSpace(n_content=1, length=1)  # two responses: the empty one and one token
    >>> law = np.log([[0.5, 0.5]])
    >>> step = expected_update(law, law, np.array([[0.0, 1.0]]), space, beta=0.1, charge=Charge("k1", "reward"))
    >>> step[0].round(6).tolist()
    [[[-0.25, 0.25]]]
    """
    for name, law in (("log_policy", log_policy), ("log_base", log_base)):
        least = float(np.min(law))
        require(
            least >= _LEAST,
            f"{name} must be at least {_LEAST:.0e} nats everywhere, for logits give every response a chance; got "
            f"{least:g}. Give that response a small one.",
            name,
        )
    token, chosen = token_log_ratios(log_policy, log_base, space)
    whole = (log_policy - log_base)[..., None]
    log_prob, prob, ratio = log_policy[..., None], np.exp(log_policy), token if charge.per_token else whole
    if charge.place == "reward":
        value = _weighted(charge, log_prob, ratio)
        value = (value * chosen).sum(axis=2) if charge.per_token else value[..., 0]
        paid = prob * reward - beta * (value / n_tokens(space) if charge.averaged else value)
        borne = np.broadcast_to((paid - prob * paid.sum(axis=1, keepdims=True))[..., None], token.shape)
    else:
        slope = np.broadcast_to(_weighted(charge, log_prob, ratio), token.shape)
        borne = (prob * (reward - (prob * reward).sum(axis=1, keepdims=True)))[..., None] - beta * slope
    if charge.mean:
        borne = borne / n_tokens(space)[:, None]
    return _folded(borne * chosen, log_policy, space)


def _weighted(charge: Charge, log_prob: FloatArray, ratio: FloatArray) -> FloatArray:
    """Return probability times value (or slope, in the loss), also where ``e^{-ℓ}`` of k3 is beyond any float.

    The product is not: it is the probability of the response by the base, or with one token of the base's.
    """
    prob, of = np.exp(log_prob), charge.value if charge.place == "reward" else charge.slope
    if charge.estimator != "k3":
        return prob * of(ratio)
    inverse = np.exp(log_prob - ratio)
    far = inverse + prob * (ratio - 1.0) if charge.place == "reward" else prob - inverse
    return np.where(ratio < -1.0, far, prob * of(np.maximum(ratio, -1.0)))


def _folded(step: FloatArray, log_prob: FloatArray, space: ResponseSpace) -> list[FloatArray]:
    """Sum what tokens bear over the responses that share prefix and token, and take off the law's share."""
    laws = [np.exp(law) for law in log_next_laws(log_prob, space)]  # a probability may be too small for a float
    out: list[FloatArray] = []
    for depth, law in enumerate(laws):
        below = step[:, space.index_range(space.length), depth]
        for place in reversed(range(depth, space.length)):
            stop = step[:, space.index_range(place), depth]
            joint = np.concatenate([stop[..., None], below.reshape(*stop.shape, space.n_content)], axis=-1)
            below = joint.sum(axis=-1)
        out.append(joint - law * below[..., None])
    return out
