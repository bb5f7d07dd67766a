"""Counts that publishers print: which part of a source they stand for, and where they don't."""

from __future__ import annotations

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.sources.amazon_2023 import CATEGORIES
from behavior_scaling.data.sources.published import published


def of(source: str, variant: str | None) -> tuple[float, float, float] | None:
    found = published(DataConfig(source=source, variant=variant))
    return None if found is None else (found.users, found.items, found.events)


@pytest.mark.parametrize(
    ("source", "variant", "counts"),
    [
        ("amazon-2023", "Home_and_Kitchen", (23.2e6, 3.7e6, 67.4e6)),
        ("amazon-2023", "Home_and_Kitchen-0core", (23.2e6, 3.7e6, 67.4e6)),
        ("amazon-2023", None, (632e3, 112.6e3, 701.5e3)),
        ("amazon-2023", "Subscription_Boxes", (15_200, 641, 16_200)),
        ("yambda", "5b-listens", (1_000_000, 9_390_623, 4_649_567_411)),
        ("yambda", None, (10_000, 934_057, 46_467_212)),
        ("amazon-2023", "Garden", None),
        ("otto", None, None),
    ],
)
def test_the_part_that_a_study_names(
    source: str, variant: str | None, counts: tuple[float, float, float] | None
) -> None:
    assert of(source, variant) == (None if counts is None else pytest.approx(counts))


def test_every_category_is_counted_and_adds_up_to_what_the_publisher_prints() -> None:
    """571.54 million reviews in 33 categories and Unknown, each rounded to three digits."""
    counts = [of("amazon-2023", name) for name in CATEGORIES]
    assert None not in counts
    assert sum(count[2] for count in counts if count) == pytest.approx(571.54e6, rel=2e-3)
