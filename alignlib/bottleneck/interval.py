"""The alignment performance interval: one capacity below, through Fano, and above, through PAC-Bayes.

Both ends bound the same risk only for a learner that is scored by the canonical observable loss
``E[loss(a,U)|s,y]`` on data from the very mixture that the floor is proved for. Both conditions are checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_float_array, require
from alignlib.bottleneck.codebook import CodebookMixture, ConditionError
from alignlib.bottleneck.pac_bayes import Form, expected_ceiling, probable_ceiling

__all__ = ["AlignmentInterval", "alignment_interval"]

_MATCH = 1e-9  # largest difference between two laws or losses that are said to be the same
_ATTRIBUTE = {"observed_loss": "canonical_loss", "data_law": "data_law"}


@dataclass(frozen=True)
class AlignmentInterval:
    """Both ends for one risk, and what they were computed from.

    Attributes
    ----------
    floor : float
        No learner's risk is lower; 0 says nothing.
    ceiling : float
        The risk is at most that; 1 or more says nothing.
    confidence : float, optional
        Probability with which the ceiling holds; None for expected risks.

    Examples
    --------
    >>> from alignlib.bottleneck import CodebookMixture
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], [[0.0, 1.0], [1.0, 0.0]])
    >>> found = alignment_interval(mixture, 0.1, 1000, observed_loss=mixture.canonical_loss, data_law=mixture.data_law)
    >>> found.floor < found.ceiling, found.confidence is None
    (True, True)
    """

    floor: float
    ceiling: float
    confidence: float | None


def alignment_interval(
    mixture: CodebookMixture,
    empirical_risk: float,
    m: int,
    *,
    observed_loss: npt.ArrayLike,
    data_law: npt.ArrayLike,
    context_information: float = 0.0,
    channel_information: float = 0.0,
    prior_mismatch: float = 0.0,
    kind: Literal["expectation", "probability"] = "expectation",
    delta: float = 0.025,
    eta: float = 0.025,
    form: Form = "seeger",
) -> AlignmentInterval:
    """Floor and ceiling on the risk of a learner of m labels, after checking that both bound the same risk.

    Parameters
    ----------
    mixture : CodebookMixture
        The values, the channel and the loss; gives the floor and the capacity.
    empirical_risk : float
        The learner's mean observed loss on its data; its expectation over data sets for ``kind="expectation"``.
    m : int
        Number of labels.
    observed_loss : array (contexts, labels, actions)
        The loss that the learner was scored by; must be ``mixture.canonical_loss``.
    data_law : array (contexts, labels)
        Law of one observation; must be ``mixture.data_law``.
    context_information, channel_information, prior_mismatch : float
        ``I(θ;S^m)``, ``ρ = I(θ;Y^m|U^m,S^m)`` and ``KL(E Q‖P)`` in nats, see `information_split`. Capacity does
        not bound them: at 0 they say that the learner has none, and the ceiling holds only if that is so.
    kind : "expectation" or "probability"
        Whether the ceiling holds on average over data sets, or with probability ``1 - delta - eta``.
    delta, eta : float
        Failure probabilities of PAC-Bayes and of Markov's inequality.
    form : "mcallester", "catoni" or "seeger"
        The ceiling.

    Raises
    ------
    ConditionError
        If the observed loss is not the canonical one, or the data do not come from the mixture.
    InputError
        If another argument leaves its range.

    Examples
    --------
    >>> mixture = CodebookMixture([1.0], [[[0.9, 0.1], [0.1, 0.9]]], [[0.0, 1.0], [1.0, 0.0]])
    >>> matched = dict(observed_loss=mixture.canonical_loss, data_law=mixture.data_law)
    >>> found = alignment_interval(mixture, 0.1, 10_000, **matched)
    >>> round(found.floor, 3), round(found.ceiling, 3)
    (0.1, 0.5)

    Source: C25 (alignment performance interval).
    """
    require(kind in ("expectation", "probability"), f"kind must be expectation or probability; got {kind!r}.")
    _require_match(
        "canonical observable loss", "observed_loss", observed_loss, mixture.canonical_loss, mixture.data_law
    )
    _require_match("matched mixture", "data_law", data_law, mixture.data_law, None)
    for name, value in (
        ("context_information", context_information),
        ("channel_information", channel_information),
        ("prior_mismatch", prior_mismatch),
    ):
        require(bool(np.isfinite(value)) and value >= 0, f"{name} must be a number >= 0 in nats; got {value!r}.")
    budget = m * mixture.capacity + context_information + channel_information + prior_mismatch
    if kind == "expectation":
        ceiling, confidence = expected_ceiling(empirical_risk, budget, m, form), None
    else:
        ceiling = probable_ceiling(empirical_risk, budget, m, delta, eta, form)
        confidence = 1.0 - delta - eta
    return AlignmentInterval(mixture.floor, float(ceiling), confidence)


def _require_match(condition: str, name: str, given: npt.ArrayLike, wanted: FloatArray, law: FloatArray | None) -> None:
    value = as_float_array(name, given)
    require(value.shape == wanted.shape, f"{name} must have shape {wanted.shape}; got {value.shape}.")
    difference = np.abs(value - wanted)
    if law is not None:
        difference = np.where(law[..., None] > 0, difference, 0.0)
    worst = float(difference.max())
    if worst > _MATCH:
        place = tuple(int(i) for i in np.unravel_index(int(difference.argmax()), difference.shape))
        raise ConditionError(
            f"{name} violates the condition '{condition}': entry {place} is {value[place]:g} where the mixture has "
            f"{wanted[place]:g}. Floor and ceiling would bound different risks; use mixture.{_ATTRIBUTE[name]}.",
            condition,
            worst,
        )
