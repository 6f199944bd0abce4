"""Numbers with a proof: balls of ball arithmetic that contain the exact value, for a number that a reader names.

A `Certified` holds a number of the library beside the interval that is proved to contain the exact one. They come from
`certified_tilt` (Λ, D, R at a λ), `certified_limit` (the frontier), `certified_best_of_n`, `certified_kl` and
`certified_kl_inverse` of two probabilities, `certified_capacity` and `certified_ceilings` (PAC-Bayes). The balls
themselves are in ``alignlib.certified.balls``; they need python-flint, the extra ``certify``.
"""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.certified.proved import (
    Certified,
    certified_best_of_n,
    certified_capacity,
    certified_ceilings,
    certified_kl,
    certified_kl_inverse,
    certified_limit,
    certified_tilt,
)

__all__ = [
    "Certified",
    "certified_best_of_n",
    "certified_capacity",
    "certified_ceilings",
    "certified_kl",
    "certified_kl_inverse",
    "certified_limit",
    "certified_tilt",
]

guard(globals())
