"""Which column an item's tokens come from, and its numbers: what contextual embedders read.

Choices: a column is known by a code of the same codebook as its values. Numbers are standardised,
and clipped to their range, by the items that have training events, as the bins are; what lies ten
times the distance of the quartiles beyond them is clipped too, so that one outlier does not press
the others together. A column without two different numbers there says nothing but whether it is
missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.features import code_of
from behavior_scaling.data.tables import FeatureSchema

FENCE = 10.0  # distances between a column's quartiles that a number may lie beyond them
_TAILS = (0.25, 0.1, 0.05, 0.01, 0.0)  # shares below and above, where the quartiles coincide

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ItemColumns:
    """Columns of the catalogue's items; V items, T tokens, n numeric columns."""

    column_of_token: NDArray[np.int32]  # [V, T] code of its column; -1: padding, or a number's bin
    numbers: NDArray[np.float32]  # [V, n] standardised; NaN where missing
    number_codes: NDArray[np.int32]  # [n, 2] codes of a numeric column's value and of its absence


def open_item_columns(folder: Path) -> ItemColumns:
    """Read the columns of a prepared folder through memory maps.

    Raises:
        DataError: a file is missing.
    """
    arrays = {}
    for field in fields(ItemColumns):
        file = folder / f"{field.name}.npy"
        if not file.is_file():
            raise DataError(f"{file}: missing from the prepared data; prepare it again")
        arrays[field.name] = np.load(file, mmap_mode="r", allow_pickle=False)
    return ItemColumns(**arrays)


def column_codes(schema: FeatureSchema, codebook: int) -> NDArray[np.int32]:
    """Codes of the schema's columns, -1 for a numeric one, and a last -1 for padding."""
    codes = [
        -1 if kind == "numeric" else code_of(f"column {name}", codebook)
        for name, kind in schema.columns
    ]
    return np.array([*codes, -1], dtype=np.int32)


def number_codes(names: Sequence[str], codebook: int) -> NDArray[np.int32]:
    """Codes of numeric columns' values and absences [n, 2]."""
    pairs = [
        [code_of(f"{what} of {name}", codebook) for what in ("number", "absence")] for name in names
    ]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


@dataclass(frozen=True)
class Standard:
    """How a column's numbers are standardised."""

    low: float
    high: float
    mean: float
    deviation: float  # 0: the column has no two different numbers

    @classmethod
    def of(cls, known: Floats) -> Standard:
        """Measure the trained items' numbers, none missing."""
        if not len(known):
            return cls(0.0, 0.0, 0.0, 0.0)
        low, high = known.min(), known.max()
        for tail in _TAILS:
            lower, upper = np.quantile(known, [tail, 1 - tail])
            if upper > lower:
                reach = FENCE * (upper - lower)
                low, high = max(low, lower - reach), min(high, upper + reach)
                break
        clipped = np.clip(known, low, high)
        deviation = 0.0 if low == high else clipped.std()
        return cls(float(low), float(high), float(clipped.mean()), float(deviation))

    def __call__(self, values: Floats) -> Floats:
        """(clipped value - mean) / standard deviation, NaN kept."""
        if not self.deviation:
            return np.where(np.isnan(values), np.nan, 0.0)
        standard: Floats = (np.clip(values, self.low, self.high) - self.mean) / self.deviation
        return standard
