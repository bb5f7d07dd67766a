"""Which column an item's tokens come from, and its numbers: what contextual embedders read.

Choices: files of their own beside the data set's arrays, so that data prepared before they
existed stay readable for every embedder that does without them. A column is known by a code of
the same codebook as its values. Numbers are standardised, and clipped to their range, by the
items that have training events, as the bins are; a column without two different numbers there
says nothing but whether it is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.events import FeatureSchema
from behavior_scaling.data.features import Tokens, code_of


@dataclass(frozen=True)
class ItemColumns:
    """Columns of the catalogue's items; V items, T tokens, n numeric columns."""

    column_of_token: NDArray[np.int32]  # [V, T] code of its column; -1: padding, or a number's bin
    numbers: NDArray[np.float32]  # [V, n] standardised; NaN where missing
    number_codes: NDArray[np.int32]  # [n, 2] codes of a numeric column's value and of its absence


def item_columns(
    items: pd.DataFrame,
    schema: FeatureSchema,
    trained: NDArray[np.bool_],
    tokens: Tokens,
    codebook: int,
) -> ItemColumns:
    """Columns of checked items.

    Args:
        items: canonical items, one row a catalogue index [V].
        schema: kinds of the columns.
        trained: items that have training events [V]; only their numbers are measured.
        tokens: what features.feature_tokens made of the items.
        codebook: number of codes.
    """
    numeric = [name for name, kind in schema.columns if kind == "numeric"]
    codes = [
        -1 if kind == "numeric" else code_of(f"column {name}", codebook)
        for name, kind in schema.columns
    ]
    numbers = np.empty((len(items), len(numeric)), dtype=np.float32)
    for place, name in enumerate(numeric):
        numbers[:, place] = _standardised(items[name].to_numpy(dtype=np.float64), trained)
    return ItemColumns(
        column_of_token=np.array([*codes, -1], dtype=np.int32)[tokens.columns],
        numbers=numbers,
        number_codes=np.array(
            [
                [code_of(f"{what} of {name}", codebook) for what in ("number", "absence")]
                for name in numeric
            ],
            dtype=np.int32,
        ).reshape(-1, 2),
    )


def open_item_columns(folder: Path) -> ItemColumns:
    """Read the columns of a prepared folder through memory maps.

    Raises:
        DataError: the data were prepared before columns were kept.
    """
    arrays = {}
    for field in fields(ItemColumns):
        file = folder / f"{field.name}.npy"
        if not file.is_file():
            raise DataError(
                f"{file}: missing: these data were prepared before columns were kept, which this "
                f"embedder reads; remove {folder} and prepare it again"
            )
        arrays[field.name] = np.load(file, mmap_mode="r", allow_pickle=False)
    return ItemColumns(**arrays)


def _standardised(values: NDArray[np.float64], trained: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(value - mean) / standard deviation of the trained items' finite values, NaN kept."""
    known = values[trained & np.isfinite(values)]
    if len(known) == 0 or known.min() == known.max():
        return np.where(np.isnan(values), np.nan, 0.0)
    clipped = np.clip(values, known.min(), known.max())
    standard: NDArray[np.float64] = (clipped - known.mean()) / known.std()
    return standard
