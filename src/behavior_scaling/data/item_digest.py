"""SHA-256 of a catalogue's ids and canonical values, taken a batch at a time.

Choices: a column is hashed as the arrays that determine it (counts, lengths and letters of texts;
float64 numbers; which vectors there are, and their float32 entries), each by a hash of its own, so
that the digest does not depend on where batches end; names and kinds of columns have a part.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from behavior_scaling.data.item_values import Place, Values, canonical
from behavior_scaling.data.tables import FeatureSchema
from behavior_scaling.records.spec import canonical_json

_PARTS = 3  # arrays of a column, at most


class ItemDigest:
    """The digest of the items added so far."""

    def __init__(self, schema: FeatureSchema) -> None:
        self._kinds = {"": "id", **dict(schema.columns)}
        self._hashes = {name: [hashlib.sha256() for _ in range(_PARTS)] for name in self._kinds}

    def add_ids(self, ids: pa.Array) -> None:
        """Add the ids of the next items: integers of any width, or text."""
        if pa.types.is_integer(ids.type):
            self._kinds[""] = "integer id"
            self._add("", ids.cast(pa.int64()).to_numpy())
        else:
            self.add("", canonical(ids, "categorical", Place("item_id", 0, ids)))

    def add(self, name: str, values: Values) -> None:
        """Add the values that one column has for the next items."""
        self._add(name, *values.parts())

    def hexdigest(self) -> str:
        """The digest, in hexadecimal."""
        columns = [
            [name, self._kinds[name], [part.hexdigest() for part in parts]]
            for name, parts in self._hashes.items()
        ]
        return hashlib.sha256(canonical_json(columns).encode()).hexdigest()

    def _add(self, name: str, *arrays: NDArray[np.generic]) -> None:
        for digest, array in zip(self._hashes[name], arrays, strict=False):
            digest.update(np.ascontiguousarray(array).data)
