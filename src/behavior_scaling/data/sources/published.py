"""How large sources are by what their publishers print, for a plan before anything is downloaded.

Choices: rounded as printed and so only 'about'; nothing but `plan-study` reads them, because a
run's identity rests on the data that were prepared. Amazon's are counts of raw reviews, of which
repeated ones of a product are no events of their own in a '-0core' variant; Yambda's are of
listens, and its tracks those of all kinds of events.
"""

from __future__ import annotations

from dataclasses import dataclass

from behavior_scaling.config_parts import DataConfig

AMAZON = "https://amazon-reviews-2023.github.io/, 'Grouped by Category'"
YAMBDA = "https://huggingface.co/datasets/yandex/yambda, 'Statistics'"


@dataclass(frozen=True)
class Published:
    """Counts of a source as its publisher prints them."""

    users: float
    items: float
    events: float
    source: str


_AMAZON = {  # thousands of users, items, ratings
    "All_Beauty": (632.0, 112.6, 701.5),
    "Amazon_Fashion": (2_000, 825.9, 2_500),
    "Appliances": (1_800, 94.3, 2_100),
    "Arts_Crafts_and_Sewing": (4_600, 801.3, 9_000),
    "Automotive": (8_000, 2_000, 20_000),
    "Baby_Products": (3_400, 217.7, 6_000),
    "Beauty_and_Personal_Care": (11_300, 1_000, 23_900),
    "Books": (10_300, 4_400, 29_500),
    "CDs_and_Vinyl": (1_800, 701.7, 4_800),
    "Cell_Phones_and_Accessories": (11_600, 1_300, 20_800),
    "Clothing_Shoes_and_Jewelry": (22_600, 7_200, 66_000),
    "Digital_Music": (101.0, 70.5, 130.4),
    "Electronics": (18_300, 1_600, 43_900),
    "Gift_Cards": (132.7, 1.1, 152.4),
    "Grocery_and_Gourmet_Food": (7_000, 603.2, 14_300),
    "Handmade_Products": (586.6, 164.7, 664.2),
    "Health_and_Household": (12_500, 797.4, 25_600),
    "Health_and_Personal_Care": (461.7, 60.3, 494.1),
    "Home_and_Kitchen": (23_200, 3_700, 67_400),
    "Industrial_and_Scientific": (3_400, 427.5, 5_200),
    "Kindle_Store": (5_600, 1_600, 25_600),
    "Magazine_Subscriptions": (60.1, 3.4, 71.5),
    "Movies_and_TV": (6_500, 747.8, 17_300),
    "Musical_Instruments": (1_800, 213.6, 3_000),
    "Office_Products": (7_600, 710.4, 12_800),
    "Patio_Lawn_and_Garden": (8_600, 851.7, 16_500),
    "Pet_Supplies": (7_800, 492.7, 16_800),
    "Software": (2_600, 89.2, 4_900),
    "Sports_and_Outdoors": (10_300, 1_600, 19_600),
    "Subscription_Boxes": (15.2, 0.641, 16.2),
    "Tools_and_Home_Improvement": (12_200, 1_500, 27_000),
    "Toys_and_Games": (8_100, 890.7, 16_300),
    "Unknown": (23_100, 13_200, 63_800),
    "Video_Games": (2_800, 137.2, 4_600),
}
_YAMBDA = {
    "50m": (10_000, 934_057, 46_467_212),
    "500m": (100_000, 3_004_578, 466_512_103),
    "5b": (1_000_000, 9_390_623, 4_649_567_411),
}


def published(config: DataConfig) -> Published | None:
    """What is printed of the part of a source that a study names; None where nothing is known."""
    variant = (config.variant or "").partition("-")[0]
    if config.source == "amazon-2023" and (found := _AMAZON.get(variant or "All_Beauty")):
        users, items, events = (1000 * count for count in found)
        return Published(users, items, events, AMAZON)
    if config.source == "yambda" and (found := _YAMBDA.get(variant or "50m")):
        return Published(*found, YAMBDA)
    return None
