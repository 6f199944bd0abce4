"""The alignment bottleneck: what feedback can carry, the least risk that it allows, and the most that it guarantees."""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.bottleneck.allocation import Allocation, allocate, optimal_judge
from alignlib.bottleneck.binary_kl import binary_kl, kl_inverse_first, kl_inverse_upper
from alignlib.bottleneck.capacity import CapacityError, CapacityResult, blahut_arimoto, capacity
from alignlib.bottleneck.capacity_estimate import CapacityEstimate, estimate_capacity
from alignlib.bottleneck.cascade import Cascade, CascadeCapacities
from alignlib.bottleneck.channels import (
    binary_erasure_channel,
    binary_symmetric_channel,
    mutual_information,
    rating_channel,
    symmetric_channel,
    z_channel,
)
from alignlib.bottleneck.codebook import CodebookMixture, ConditionError
from alignlib.bottleneck.confusion_estimate import ConfusionEstimate, estimate_from_counts
from alignlib.bottleneck.counted_decoder import DecoderError, decoder_error
from alignlib.bottleneck.counted_draws import CapacityDraws
from alignlib.bottleneck.fano import bayes_risk, fano_floor, label_floor, required_capacity
from alignlib.bottleneck.flattery import FlatteryPoint, FlatteryWorld
from alignlib.bottleneck.information_split import InformationSplit, information_split
from alignlib.bottleneck.interval import AlignmentInterval, alignment_interval
from alignlib.bottleneck.learners import (
    EnumeratedLearner,
    GibbsLearner,
    counting_decoder,
    draw_counts,
    enumerate_gibbs,
    gibbs_learner,
    network_decoder,
    pooled_decoder,
)
from alignlib.bottleneck.pac_bayes import catoni, expected_ceiling, mcallester, probable_ceiling, seeger
from alignlib.bottleneck.rate_distortion import (
    GaussianAllocation,
    RateDistortionPoint,
    RateDistortionTask,
    rate_distortion,
    reverse_water_filling,
)

__all__ = [
    "AlignmentInterval",
    "Allocation",
    "CapacityDraws",
    "CapacityError",
    "CapacityEstimate",
    "CapacityResult",
    "Cascade",
    "CascadeCapacities",
    "CodebookMixture",
    "ConditionError",
    "ConfusionEstimate",
    "DecoderError",
    "EnumeratedLearner",
    "FlatteryPoint",
    "FlatteryWorld",
    "GaussianAllocation",
    "GibbsLearner",
    "InformationSplit",
    "RateDistortionPoint",
    "RateDistortionTask",
    "alignment_interval",
    "allocate",
    "bayes_risk",
    "binary_erasure_channel",
    "binary_kl",
    "binary_symmetric_channel",
    "blahut_arimoto",
    "capacity",
    "catoni",
    "counting_decoder",
    "decoder_error",
    "draw_counts",
    "enumerate_gibbs",
    "estimate_capacity",
    "estimate_from_counts",
    "expected_ceiling",
    "fano_floor",
    "gibbs_learner",
    "information_split",
    "kl_inverse_first",
    "kl_inverse_upper",
    "label_floor",
    "mcallester",
    "mutual_information",
    "network_decoder",
    "optimal_judge",
    "pooled_decoder",
    "probable_ceiling",
    "rate_distortion",
    "rating_channel",
    "required_capacity",
    "reverse_water_filling",
    "seeger",
    "symmetric_channel",
    "z_channel",
]

guard(globals())
