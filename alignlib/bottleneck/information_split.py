r"""What a learner's parameters know, split exactly: the target, the contexts, the noise of the labels, the average.

Data are contexts ``S^m`` and labels ``Y^m`` about targets ``U^m``; the parameters ``θ`` are drawn from
``Q(·|S^m,Y^m)``. For a prior ``P`` that does not depend on the data,

    E KL(Q‖P) = I(θ;U^m|S^m) + I(θ;S^m) + I(θ;Y^m|U^m,S^m) + KL(E Q‖P).

The first term is at most ``I(U^m;Y^m|S^m) ≤ m C̄``: only it is paid by the channel's capacity. A rater's *chance* errors
are memorised in the third. What a rater does *always*, such as preferring a style, is in every data set and so shows in
the last: in where the posterior goes on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_law, require
from alignlib.bottleneck._channel import as_channel

__all__ = ["InformationSplit", "information_split"]


@dataclass(frozen=True)
class InformationSplit:
    """Where the expected KL of a posterior comes from, in nats.

    Attributes
    ----------
    target : float
        ``I(θ;U^m|S^m)``, what the labels say of the targets.
    context : float
        ``I(θ;S^m)``, what the contexts say by themselves.
    channel : float
        ``ρ = I(θ;Y^m|U^m,S^m)``, what is memorised of the labels' chance errors.
    prior : float
        ``KL(E Q‖P)``, how far the posterior moves on average: a bias of the rater shows here.
    expected_kl : float
        ``E KL(Q‖P)``, computed on its own, not as the sum.
    carried : float
        ``I(U^m;Y^m|S^m)``, the most that ``target`` can be.

    Examples
    --------
    >>> found = information_split([1.0], [[0.5, 0.5]], [np.eye(2)], [np.eye(2)], [0.5, 0.5])
    >>> round(found.total, 6), round(found.expected_kl, 6)
    (0.693147, 0.693147)
    """

    target: float
    context: float
    channel: float
    prior: float
    expected_kl: float
    carried: float

    @property
    def total(self) -> float:
        """Sum of the four terms; equals ``expected_kl``."""
        return self.target + self.context + self.channel + self.prior


def information_split(
    context_prob: npt.ArrayLike,
    target_prob: npt.ArrayLike,
    label_prob: npt.ArrayLike,
    posterior: npt.ArrayLike,
    prior: npt.ArrayLike,
) -> InformationSplit:
    """Enumerate all data sets and split the expected KL of the posterior, without sampling.

    Parameters
    ----------
    context_prob : array (a,)
        Law of ``S^m``; a is the number of different context sequences, or of their sufficient statistics.
    target_prob : array (a, b)
        Law of ``U^m`` given ``S^m``.
    label_prob : array (a, b, c)
        Law of ``Y^m`` given ``S^m`` and ``U^m``.
    posterior : array (a, c, t)
        ``Q(θ|S^m,Y^m)`` over t parameters: the learner does not see ``U^m``.
    prior : array (t,)
        ``P(θ)``, positive wherever a posterior is.

    Raises
    ------
    InputError
        If a law does not sum to one, the shapes disagree, or the prior misses mass of a posterior.

    Examples
    --------
    One label of one bit through a noiseless channel, copied into the parameter:

    >>> split = information_split([1.0], [[0.5, 0.5]], [np.eye(2)], [np.eye(2)], [0.5, 0.5])
    >>> round(split.target, 6), split.channel, split.context, split.prior
    (0.693147, 0.0, 0.0, 0.0)

    Source: C25 (KL controlled by the channel); the four terms and the proof by the chain rule, we derive.
    """
    s = as_law("context_prob", context_prob)
    u = as_channel("target_prob", target_prob, ndim=2)
    y = as_channel("label_prob", label_prob, ndim=3)
    q = as_channel("posterior", posterior, ndim=3)
    p = as_law("prior", prior)
    require(
        u.shape[0] == y.shape[0] == q.shape[0] == s.size and y.shape[1] == u.shape[1] and q.shape[1] == y.shape[2],
        "context_prob, target_prob, label_prob and posterior must have shapes (a,), (a, b), (a, b, c), (a, c, t); got "
        f"{s.shape}, {u.shape}, {y.shape}, {q.shape}.",
    )
    require(q.shape[2] == p.size, f"prior must have one entry per parameter, {q.shape[2]}; got {p.size}.")

    given_su = np.einsum("abc,act->abt", y, q)  # law of θ given S and U
    given_s = np.einsum("ab,abt->at", u, given_su)
    average = s @ given_s
    label_given_s = np.einsum("ab,abc->ac", u, y)
    weight = s[:, None] * label_given_s
    require(
        bool((p[(weight[..., None] * q).sum(axis=(0, 1)) > 0] > 0).all()),
        "prior has no mass on a parameter that a posterior uses, so the divergence is infinite; spread the prior.",
    )
    weight_su = s[:, None] * u
    # The divergence of θ from its law given S and U, averaged over labels.
    channel = sum(
        _mean_kl(weight_su[a, b] * y[a, b], q[a], given_su[a, b]) for a in range(s.size) for b in range(u.shape[1])
    )
    return InformationSplit(
        target=_mean_kl(weight_su, given_su, given_s[:, None, :]),
        context=_mean_kl(s, given_s, average),
        channel=channel,
        prior=float(scipy.special.rel_entr(average, p).sum()),
        expected_kl=_mean_kl(weight, q, p),
        carried=_mean_kl(weight_su, y, label_given_s[:, None, :]),
    )


def _mean_kl(weight: FloatArray, law: FloatArray, other: FloatArray) -> float:
    each = scipy.special.rel_entr(law, other).sum(axis=-1)
    return float((weight * np.where(weight > 0, each, 0.0)).sum())
