"""What one axis adds to its law: a share is a part of a whole."""

import pytest

from behavior_scaling.laws.results import CurveFit, Estimate
from behavior_scaling.laws.study_axes import _within_the_whole


@pytest.mark.parametrize(("high", "kept"), [(1.7, 1.0), (0.8, 0.8), (None, None)])
def test_no_interval_of_a_share_passes_the_whole(high: float | None, kept: float | None) -> None:
    optimum = Estimate(0.7, 0.6, high, "converged", "")
    fit = CurveFit(1e12, 8, 4, optimum, optimum, {}, (), (), 0.01)
    assert _within_the_whole(fit).optimum == Estimate(0.7, 0.6, kept, "converged", "")
