"""The alignment bottleneck: what feedback can carry, the least risk that it allows, and the most that it guarantees."""

from __future__ import annotations

from alignlib.bottleneck.allocation import Allocation, allocate, optimal_judge
from alignlib.bottleneck.capacity import CapacityError, CapacityResult, blahut_arimoto, capacity
from alignlib.bottleneck.capacity_estimate import CapacityEstimate, estimate_capacity
from alignlib.bottleneck.channels import (
    Cascade,
    CascadeCapacities,
    binary_erasure_channel,
    binary_symmetric_channel,
    mutual_information,
    rating_channel,
    symmetric_channel,
    z_channel,
)
from alignlib.bottleneck.codebook import CodebookMixture, ConditionError
from alignlib.bottleneck.confusion_estimate import ConfusionEstimate, estimate_from_counts
from alignlib.bottleneck.fano import bayes_risk, fano_floor, required_capacity
from alignlib.bottleneck.interval import AlignmentInterval, alignment_interval
from alignlib.bottleneck.pac_bayes import catoni, expected_ceiling, mcallester, probable_ceiling, seeger
from alignlib.bottleneck.rate_distortion import RateDistortionPoint, Task, rate_distortion
from alignlib.bottleneck.water_filling import GaussianAllocation, reverse_water_filling

__all__ = [
    "AlignmentInterval",
    "Allocation",
    "CapacityError",
    "CapacityEstimate",
    "CapacityResult",
    "Cascade",
    "CascadeCapacities",
    "CodebookMixture",
    "ConditionError",
    "ConfusionEstimate",
    "GaussianAllocation",
    "RateDistortionPoint",
    "Task",
    "alignment_interval",
    "allocate",
    "bayes_risk",
    "binary_erasure_channel",
    "binary_symmetric_channel",
    "blahut_arimoto",
    "capacity",
    "catoni",
    "estimate_capacity",
    "estimate_from_counts",
    "expected_ceiling",
    "fano_floor",
    "mcallester",
    "mutual_information",
    "optimal_judge",
    "probable_ceiling",
    "rate_distortion",
    "rating_channel",
    "required_capacity",
    "reverse_water_filling",
    "seeger",
    "symmetric_channel",
    "z_channel",
]
