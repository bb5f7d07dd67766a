"""The worlds that have a name: low, middle and high entropy, and payments.

Choices: about 2.5, 4 and 5.5 nats an event (docs/worlds.md has the measured values); an interest
that lasts and much repetition make a world easy, popularity that is flat makes it hard. The three
have no drift; payments drift with the weekend.
"""

from __future__ import annotations

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.worlds.parameters import Payments, World, WorldSpec, build

WORLDS = {
    spec.name: spec
    for spec in (
        WorldSpec("world-low", seed=1, items=5_000, zipf=1.4, kappa=4.0, repeat=0.6, stay=0.97),
        WorldSpec("world-middle", seed=2, items=6_000, zipf=1.1, kappa=3.0, repeat=0.25),
        WorldSpec("world-high", seed=3, items=10_000, zipf=1.05, kappa=3.0, repeat=0.1),
        WorldSpec(
            "world-payments",
            seed=4,
            items=8_000,
            zipf=1.0,
            kappa=3.0,
            repeat=0.35,
            regions=12,
            between=1.5 * 86_400.0,
            seasons=(0, 0, 0, 0, 0, 1, 1),
            payments=Payments(),
        ),
    )
}


def named(name: str) -> World:
    """The world of that name.

    Raises:
        DataError: there is none; the message lists those that there are.
    """
    if name not in WORLDS:
        raise DataError(f"no world is named {name!r}; there are {', '.join(WORLDS)}")
    return build(WORLDS[name])
