"""Raters and the pairs they label."""

from __future__ import annotations

import numpy as np
import pytest

from alignlib.lm.proxies import Raters


def test_preferences_are_logistic_with_slips_and_symmetric() -> None:
    raters = Raters(temperature=2.0, flip=0.05)
    gap = np.array([-900.0, -2.0, 0.0, 2.0, 900.0])
    expected = 0.05 + 0.9 / (1 + np.exp(-gap[1:4] / 2.0))
    np.testing.assert_allclose(raters.preference(gap)[1:4], expected, rtol=1e-14)
    np.testing.assert_allclose(raters.preference(gap) + raters.preference(-gap), 1.0, rtol=1e-14)
    assert raters.preference(gap)[[0, 4]].tolist() == pytest.approx([0.05, 0.95])


@pytest.mark.parametrize(
    ("arguments", "what"), [((0.0, 0.1), "temperature"), ((-1.0, 0.1), "temperature"), ((1.0, 0.6), "flip")]
)
def test_raters_out_of_range(arguments: tuple[float, float], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Raters(*arguments)
