"""A world's canonical tables: its items once, its events block by block.

Choices: of an item's f_i, popularity and category only noisy numbers and the category's name are
given, besides its id: a reader of features must find the rest in the events; session_id is
unique over users; amounts are not rounded, so that their density is exact.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from behavior_scaling.data.tables import FeatureSchema, ItemKind
from behavior_scaling.data.worlds.generate import Histories
from behavior_scaling.data.worlds.parameters import Ints, World

_NOISE_STREAM = 1  # of the world's seed, apart from its distributions and its events


def schema(world: World) -> FeatureSchema:
    """The kinds of the columns; an item's most telling ones come first."""
    spec = world.spec
    named = ["item_id", "category", *(["region"] if spec.regions else [])]
    columns: list[tuple[str, ItemKind]] = [(name, "categorical") for name in named]
    columns.append(("popularity", "numeric"))
    columns += [(f"f{number}", "numeric") for number in range(1, spec.features + 1)]
    if spec.payments is None:
        return FeatureSchema(tuple(columns))
    return FeatureSchema(
        tuple(columns),
        (("amount", "numeric"), ("type", "categorical"), ("fraud", "categorical")),
    )


def items_table(world: World) -> pa.Table:
    """One row an item, ids 0 .. V - 1."""
    spec = world.spec
    rng = np.random.default_rng([spec.seed, _NOISE_STREAM])
    columns: dict[str, object] = {
        "item_id": np.arange(spec.items),
        "category": _labels("category", world.category, spec.categories),
    }
    if spec.regions:
        columns["region"] = _labels("region", world.region, spec.regions)
    columns["popularity"] = world.popularity + spec.noise * rng.standard_normal(spec.items)
    noisy = world.features + spec.noise * rng.standard_normal(world.features.shape)
    columns |= {f"f{number}": noisy[:, number - 1] for number in range(1, spec.features + 1)}
    return pa.table(columns)


def events_table(world: World, histories: Histories, first: int) -> pa.Table:
    """The events of users first, first + 1, ..., in order of user and time."""
    present = histories.present
    user, _ = np.nonzero(present)
    longest = histories.items.shape[1]
    session = (np.cumsum(histories.starts, axis=1) - 1)[present]
    columns: dict[str, object] = {
        "user_id": first + user,
        "item_id": histories.items[present],
        "timestamp": histories.times[present],
        "session_id": (first + user) * longest + session,
    }
    if world.spec.payments is not None and histories.marks is not None:
        marks = histories.marks
        columns["amount"] = marks.amounts[present]
        columns["type"] = _named(marks.kinds[present], world.spec.payments.types)
        columns["fraud"] = _named(marks.fraud[present].astype(np.int64), ("no", "yes"))
    return pa.table(columns)


def _labels(name: str, codes: Ints, count: int) -> pa.DictionaryArray:
    return _named(codes, tuple(f"{name} {code + 1}" for code in range(count)))


def _named(codes: Ints, names: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(names))
