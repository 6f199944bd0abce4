"""What chapter 76 says of trl's options, asked of the installed version."""

from __future__ import annotations

import dataclasses

import torch
from trl import GRPOConfig, RLOOConfig


def defaults(config: type) -> dict[str, object]:
    return {field.name: field.default for field in dataclasses.fields(config)}


def test_defaults_are_those_of_the_table() -> None:
    grpo, rloo = defaults(GRPOConfig), defaults(RLOOConfig)
    assert (grpo["beta"], grpo["use_bias_correction_kl"], grpo["scale_rewards"]) == (0.0, True, "group")
    assert rloo["beta"] == 0.05


def test_k3_times_the_ratio_has_the_slope_of_k2_at_every_sample() -> None:
    now = torch.tensor([-1.0, -3.0, -0.2], dtype=torch.float64, requires_grad=True)
    base, old = torch.tensor([-2.0, -0.5, -0.3], dtype=torch.float64), now.detach()
    k3 = (base - now).exp() - (base - now) - 1.0
    (corrected,) = torch.autograd.grad((k3 * (now - old).exp()).sum(), now, retain_graph=True)
    (plain,) = torch.autograd.grad(k3.sum(), now, retain_graph=True)
    (k2,) = torch.autograd.grad((0.5 * (now - base).square()).sum(), now)
    torch.testing.assert_close(corrected, k2)
    torch.testing.assert_close(plain, 1.0 - (base - now).exp())
